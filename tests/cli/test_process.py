"""What a killed process leaves behind: no picture of its memory, unless it was asked for."""

import os
import pathlib
import resource
import signal
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests" / "support"))

import harness  # noqa: E402


class NoCore(unittest.TestCase):
    def setUp(self):
        self.tidemark = harness.Tidemark()
        self.dir = harness.temp_dir()
        (self.dir / "rules.yaml").write_text("version: 1\n")

    def killed(self, number, lift=False, **env):
        """Kills a process that waits for its input; whether the kernel wrote a core, and the limit it had. `lift`: the
        limit is raised from outside before, so that only the process' own word stands against a core."""
        def unlimited():
            hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
            resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))

        child = subprocess.Popen([self.tidemark.binary, "replay", "--events", "-", "--rules", "rules.yaml"], cwd=self.dir,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, env={**self.tidemark.env, **env},
                                 preexec_fn=unlimited)
        # It reads what we write: then it is beyond its start.
        child.stdin.write(b"{}\n" * 100_000)
        child.stdin.flush()
        limits = pathlib.Path(f"/proc/{child.pid}/limits").read_text()
        limit = next(line for line in limits.splitlines() if line.startswith("Max core file size")).split()[4]
        if lift:
            resource.prlimit(child.pid, resource.RLIMIT_CORE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        os.kill(child.pid, number)
        _, status = os.waitpid(child.pid, 0)
        child.returncode = status
        child.stdin.close()
        child.stdout.close()
        self.assertEqual(os.WTERMSIG(status), number)
        return os.WCOREDUMP(status), limit

    def test_no_core_is_written(self):
        for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGQUIT):
            with self.subTest(signal=number):
                dumped, limit = self.killed(number)
                self.assertFalse(dumped)
                self.assertEqual(limit, "0")
        self.assertEqual([p.name for p in self.dir.iterdir()], ["rules.yaml"])

    @unittest.skipUnless(os.geteuid() == 0, "only root may raise a limit")
    def test_none_where_the_limit_is_raised_or_not_heeded(self):
        """A core_pattern that starts a program does not look at the limit."""
        dumped, _ = self.killed(signal.SIGSEGV, lift=True)
        self.assertFalse(dumped)
        self.assertEqual([p.name for p in self.dir.iterdir()], ["rules.yaml"])

    def test_one_can_be_asked_for(self):
        if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
            self.skipTest("this machine allows no cores at all")
        _, limit = self.killed(signal.SIGABRT, TIDEMARK_ALLOW_CORE="1")
        self.assertNotEqual(limit, "0")
        if pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip() == "core":
            self.assertNotEqual([p.name for p in self.dir.iterdir()], ["rules.yaml"])


if __name__ == "__main__":
    unittest.main()
