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

    def killed(self, number, user=None, **env):
        """Kills a process that waits for its input: whether the kernel wrote a core, the limit for cores that it had,
        and to whom its files under /proc belong."""
        def unlimited():
            hard = resource.getrlimit(resource.RLIMIT_CORE)[1]
            resource.setrlimit(resource.RLIMIT_CORE, (hard, hard))
            signal.signal(number, signal.SIG_DFL)  # a shell's background job has SIGQUIT ignored, and hands it on

        child = subprocess.Popen([self.tidemark.binary, "replay", "--events", "-", "--rules", "rules.yaml"], cwd=self.dir,
                                 stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, user=user,
                                 env={**self.tidemark.env, **env}, preexec_fn=unlimited)
        # More than a pipe holds: when it is written, the process reads and is beyond its start.
        child.stdin.write(b"{}\n" * 100_000)
        child.stdin.flush()
        limits = pathlib.Path(f"/proc/{child.pid}/limits").read_text()
        limit = next(line for line in limits.splitlines() if line.startswith("Max core file size")).split()[4]
        owner = os.stat(f"/proc/{child.pid}/environ").st_uid
        os.kill(child.pid, number)
        _, status = os.waitpid(child.pid, 0)
        child.returncode = status
        child.stdin.close()
        child.stdout.close()
        self.assertEqual(os.WTERMSIG(status), number)
        return os.WCOREDUMP(status), limit, owner

    def test_no_core_is_written(self):
        for number in (signal.SIGABRT, signal.SIGSEGV, signal.SIGQUIT):
            with self.subTest(signal=number):
                dumped, limit, _ = self.killed(number)
                self.assertFalse(dumped)
                self.assertEqual(limit, "0")
        self.assertEqual([p.name for p in self.dir.iterdir()], ["rules.yaml"])

    @unittest.skipUnless(os.geteuid() == 0, "only root may start a process of another user")
    def test_others_of_the_same_user_cannot_look_in(self):
        """A core_pattern that starts a program does not heed the limit, and a debugger none at all: both ask the
        process' own word, and where that is no, its files under /proc are root's."""
        nobody = 65534
        os.chmod(self.dir, 0o755)
        try:
            dumped, _, owner = self.killed(signal.SIGSEGV, user=nobody)
            _, _, open_owner = self.killed(signal.SIGSEGV, user=nobody, TIDEMARK_ALLOW_CORE="1")
        except PermissionError:
            self.skipTest("another user cannot start the program from where it is")
        self.assertFalse(dumped)
        self.assertEqual((owner, open_owner), (0, nobody))

    def test_one_can_be_asked_for(self):
        if resource.getrlimit(resource.RLIMIT_CORE)[1] == 0:
            self.skipTest("this machine allows no cores at all")
        _, limit, _ = self.killed(signal.SIGABRT, TIDEMARK_ALLOW_CORE="1")
        self.assertNotEqual(limit, "0")
        if pathlib.Path("/proc/sys/kernel/core_pattern").read_text().strip() == "core":
            self.assertNotEqual([p.name for p in self.dir.iterdir()], ["rules.yaml"])


if __name__ == "__main__":
    unittest.main()
