"""What is shipped is hardened: the binary's own flags, read out of its ELF headers, and the systemd unit's sandbox."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BINARY = pathlib.Path(os.environ.get("TIDEMARK", ROOT / "build" / "release" / "tidemark"))
UNIT = ROOT / "deploy" / "tidemark@.service"
EXPOSURE_MOST = 1.5


def readelf(*args):
    return subprocess.run(["readelf", "-W", *map(str, args)], capture_output=True, text=True, check=True, timeout=60,
                          env={**os.environ, "LC_ALL": "C"}).stdout


def weaknesses(binary):
    """What a checklist of hardening flags finds missing."""
    dynamic, segments = readelf("-d", binary), readelf("-l", binary)
    imports = set(re.findall(r" UND (\w+)", readelf("--dyn-syms", binary)))
    flags = " ".join(re.findall(r"\(FLAGS(?:_1)?\) +(.*)", dynamic))
    loads = re.findall(r"^ +(LOAD|GNU_STACK) .* ([R ][W ][E ]) 0x", segments, re.M)
    if "PIE" not in flags or "DYN" not in readelf("-h", binary):
        yield "no position-independent executable: its code lies at a known address"
    if "GNU_RELRO" not in segments:
        yield "no RELRO: relocations stay writable"
    if "NOW" not in flags:
        yield "no BIND_NOW: the table of functions stays writable"
    if not any(kind == "GNU_STACK" for kind, _ in loads):
        yield "no GNU_STACK: the stack may be executable"
    for kind, rights in loads:
        if "E" in rights and (kind == "GNU_STACK" or "W" in rights):
            yield f"{kind} is executable{' and writable' if 'W' in rights else ''}"
    for tag in ("RPATH", "RUNPATH", "TEXTREL"):
        if f"({tag})" in dynamic:
            yield f"{tag} is set"
    if "__stack_chk_fail" not in imports:
        yield "no stack protector"
    if not {name for name in imports if name.endswith("_chk")}:
        yield "no fortified functions"
    for name in sorted(imports & {"gets", "strcpy", "strcat", "sprintf", "vsprintf", "system", "popen", "mktemp", "tmpnam"}):
        yield f"{name}() is called"


class Binary(unittest.TestCase):
    def test_flags(self):
        self.assertEqual(list(weaknesses(BINARY)), [])

    def test_segments_of_code_hold_code_alone(self):
        """-z separate-code: no bytes of headers or constants are executable."""
        rights = re.findall(r"^ +LOAD .* ([R ][W ][E ]) 0x", readelf("-l", BINARY), re.M)
        self.assertEqual([r for r in rights if "E" in r], ["R E"])
        self.assertGreaterEqual(len(rights), 4)

    def test_what_is_missing_is_found(self):
        compiler = shutil.which("cc") or shutil.which("gcc")
        if not compiler:
            self.skipTest("no C compiler")
        with tempfile.TemporaryDirectory() as folder:
            source, soft = pathlib.Path(folder) / "soft.c", pathlib.Path(folder) / "soft"
            source.write_text("#include <string.h>\nint main(int n, char **a) { char b[64]; strcpy(b, a[0]); return b[n]; }\n")
            subprocess.run([compiler, "-O0", "-fno-stack-protector", "-U_FORTIFY_SOURCE", "-fno-builtin", "-no-pie", "-o", soft,
                            source, "-Wl,-z,norelro", "-Wl,-z,lazy", "-Wl,-z,execstack", "-Wl,-rpath,/tmp"],
                           check=True, capture_output=True, timeout=60)
            found = "\n".join(weaknesses(soft))
        for word in ("position-independent", "RELRO", "BIND_NOW", "GNU_STACK is executable", "PATH is set", "stack protector",
                     "fortified", "strcpy() is called"):
            self.assertIn(word, found)


class Unit(unittest.TestCase):
    def analyze(self, unit):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        done = subprocess.run(["systemd-analyze", "security", "--offline=true", "--no-pager", unit], capture_output=True,
                              text=True, timeout=60, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})
        found = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
        self.assertTrue(found, done.stdout + done.stderr)
        return float(found.group(1)), done.stdout

    def test_exposure(self):
        level, report = self.analyze(UNIT)
        self.assertLessEqual(level, EXPOSURE_MOST, report)
        version = subprocess.run(["systemd-analyze", "--version"], capture_output=True, text=True, check=True, timeout=60).stdout
        if version.startswith("systemd 252 "):
            self.assertIn(f"gives it {level:g} of 10", (ROOT / "deploy" / "README.md").read_text())

    def test_a_unit_without_a_sandbox_is_found(self):
        with tempfile.TemporaryDirectory() as folder:
            bare = pathlib.Path(folder) / "bare.service"
            bare.write_text("[Service]\nExecStart=/usr/bin/tidemark run\n")
            self.assertGreater(self.analyze(bare)[0], 9)

    def test_it_lets_the_service_do_its_work(self):
        """What the program needs is not among what is taken away."""
        settings = {}
        for name, value in re.findall(r"^(\w+)=(.*)$", UNIT.read_text(), re.M):
            settings.setdefault(name, []).append(value)
        # Kafka, Redis, HTTP; the socket on which systemd is told that all is well.
        self.assertEqual(set(settings["RestrictAddressFamilies"][0].split()), {"AF_INET", "AF_INET6", "AF_UNIX"})
        self.assertEqual(settings["LimitCORE"], ["0"])  # no secret on a disk
        self.assertIn("yes", settings["MemoryDenyWriteExecute"])  # there is no code made at run time
        self.assertNotIn("PrivateNetwork", settings)
        self.assertNotIn("IPAddressDeny", settings)
        watchdog, stop = int(settings["WatchdogSec"][0]), int(settings["TimeoutStopSec"][0])
        self.assertGreaterEqual(watchdog, 10)
        self.assertGreaterEqual(stop, 30)

    def complaints(self, text):
        if not shutil.which("systemd-analyze"):
            self.skipTest("systemd-analyze is not installed")
        with tempfile.TemporaryDirectory() as folder:
            unit = pathlib.Path(folder) / "tidemark@x.service"
            unit.write_text(text.replace("/usr/bin/tidemark", str(BINARY.resolve())))
            done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit], capture_output=True,
                                  text=True, timeout=60, check=False, env={**os.environ, "LC_ALL": "C.UTF-8"})
        return [line for line in done.stderr.splitlines() if "tidemark@" in line]

    def test_systemd_reads_it(self):
        self.assertEqual(self.complaints(UNIT.read_text()), [])
        self.assertTrue(self.complaints(UNIT.read_text().replace("WatchdogSec=", "WatchdogSecs=")), "a key that there is not")


if __name__ == "__main__":
    unittest.main()
