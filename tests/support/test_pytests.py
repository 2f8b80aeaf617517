"""The runner of tests itself: what it counts, what it tries once more, and what it never does."""

import pathlib
import re
import subprocess
import sys
import tempfile
import unittest

SUPPORT = pathlib.Path(__file__).resolve().parent
HEAD = f"""
import pathlib, subprocess, sys, unittest
sys.path.insert(0, {str(SUPPORT)!r})
import ground
HERE = pathlib.Path(__file__).parent

def once(name):
    "True the first time, in whatever process."
    try:
        (HERE / name).touch(exist_ok=False)
        return True
    except FileExistsError:
        return False
"""


class Runner(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory(prefix="tidemark-test-")
        self.addCleanup(folder.cleanup)
        self.dir = pathlib.Path(folder.name)

    def run_(self, body, *options, status=0, more=None):
        """The lines that are printed for a file with these tests, of which the last counts."""
        (self.dir / "test_subject.py").write_text(HEAD + body)
        if more:
            (self.dir / "test_zother.py").write_text(HEAD + more)
        done = subprocess.run([sys.executable, SUPPORT / "pytests.py", *options, self.dir], capture_output=True, text=True,
                              stdin=subprocess.DEVNULL, timeout=120, check=False)
        self.assertEqual(done.returncode, status, done.stdout + done.stderr)
        return done.stdout.splitlines()

    def both(self, body, status, last, **more):
        """The same alone and in lanes."""
        (self.dir / "lanes").mkdir()
        alone = self.run_(body, status=status, **more)
        self.assertEqual(alone[-1], last, "\n".join(alone))
        self.dir = self.dir / "lanes"
        lanes = self.run_(body, "--lanes", "2", status=status, **more)
        self.assertEqual(lanes[-1], last, "\n".join(lanes))
        return alone, lanes

    def test_counts_and_names(self):
        body = """
class Subject(unittest.TestCase):
    def test_good(self): pass
    def test_skipped(self): self.skipTest("not today")
    def test_wrong(self): self.assertEqual(1, 2, "x" * 500)
    def test_broken(self): raise ground.HarnessError("no ground" + chr(10) + "and much to say of it")
    def test_parts(self):
        with self.subTest(part=1): self.assertEqual(3, 4)
        with self.subTest(part=2): self.assertEqual(5, 6)
"""
        for lines in self.both(body, 1, "1 passed, 3 failed, 1 skipped"):
            failed = sorted(lines[-4:-1])
            self.assertRegex(failed[0], r"^FAILED .*\.Subject\.test_broken: test_subject\.py:\d+: HarnessError: no ground$")
            self.assertRegex(failed[1], r"^FAILED .*\.Subject\.test_parts: test_subject\.py:\d+: AssertionError: 3 != 4$")
            self.assertRegex(failed[2], r"^FAILED .*\.Subject\.test_wrong: test_subject\.py:\d+: AssertionError: 1 != 2 : x+$")
            self.assertLess(len(failed[2]), 500)
            self.assertFalse([line for line in lines if "again" in line])

    def test_a_wait_that_ran_out_is_tried_once_more(self):
        body = """
class Subject(unittest.TestCase):
    def test_good(self): pass
    def test_late(self):
        if once("late"): raise ground.TimedOut("waited 3 s for a line" + chr(10) + "last lines")
    def test_part(self):
        with self.subTest(part=1):
            if once("part"): raise subprocess.TimeoutExpired(["sleep"], 3)
"""
        for lines in self.both(body, 0, "3 passed, 0 failed, 0 skipped"):
            said = [line for line in lines if line.startswith("ok again ")]
            self.assertEqual(len(said), 2, lines)
            self.assertRegex(said[0], r"^ok again .*\.test_late \(first: test_subject\.py:\d+: TimedOut: waited 3 s for a line\)$")
            self.assertIn("TimeoutExpired", said[1])
            self.assertTrue(lines[-2].startswith("2 of those that passed were late first"), lines[-2])
            self.assertEqual(sum(bool(re.match(r"LATE .*test_late ", line)) for line in lines), 1)

    def test_twice_late_has_failed(self):
        body = """
class Subject(unittest.TestCase):
    def test_late(self): raise ground.TimedOut("first" if once("late") else "second")
    def test_wrong_then(self):
        if once("then"): raise ground.TimedOut("first")
        self.assertEqual(1, 2)
"""
        for lines in self.both(body, 1, "0 passed, 2 failed, 0 skipped"):
            self.assertRegex(lines[-3], r"test_late: .*TimedOut: first; and again: .*TimedOut: second$")
            self.assertRegex(lines[-2], r"test_wrong_then: .*TimedOut: first; and again: .*AssertionError: 1 != 2$")

    def test_a_verdict_is_never_tried_again(self):
        body = """
class Subject(unittest.TestCase):
    def test_wrong(self): self.assertTrue(not once("wrong"), "the signals differ")
    def test_ground(self):
        if once("ground"): raise ground.HarnessError("it ended with 1 before the line")
    def test_late_and_wrong(self):
        with self.subTest(part=1):
            if once("a"): raise ground.TimedOut("late")
        with self.subTest(part=2): self.assertTrue(not once("b"), "a dead letter too many")
"""
        for lines in self.both(body, 1, "0 passed, 3 failed, 0 skipped"):
            self.assertFalse([line for line in lines if "again" in line])
            self.assertIn("a dead letter too many", next(line for line in lines if line.startswith("FAILED") and "late_and" in line))

    def test_many_late_are_no_chance(self):
        body = """
class Subject(unittest.TestCase):
""" + "".join(f"    def test_{n}(self):\n        if once('{n}'): raise ground.TimedOut('late')\n" for n in range(7))
        for lines in self.both(body, 1, "0 passed, 7 failed, 0 skipped"):
            self.assertTrue([line for line in lines if "none is tried again" in line])

    def test_a_fixture_that_was_late(self):
        body = """
class Subject(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        if once("class"): raise ground.TimedOut("no broker")
    def test_one(self): pass
    def test_two(self): pass

class SubjectToo(unittest.TestCase):
    def test_three(self): pass
"""
        for lines in self.both(body, 0, "3 passed, 0 failed, 0 skipped"):
            self.assertEqual(sum(line.startswith("ok again setUpClass") for line in lines), 1)

    def test_a_lane_that_dies(self):
        body = """
import os
class Subject(unittest.TestCase):
    def test_gone(self): os._exit(7)
"""
        other = """
class Other(unittest.TestCase):
    def test_good(self): pass
"""
        lines = self.run_(body, "--lanes", "2", status=1, more=other)
        self.assertEqual(lines[-1], "1 passed, 1 failed, 0 skipped")
        self.assertRegex(lines[-2], r"^FAILED .*test_subject\.py: its process ended with 7$")

    def test_nothing_found_is_a_failure(self):
        self.assertEqual(self.run_("", "-k", "nothing", status=1)[-1], "0 passed, 0 failed, 0 skipped")


class Ground(unittest.TestCase):
    def test_ports_lie_below_those_of_clients(self):
        sys.path.insert(0, str(SUPPORT))
        import ground
        lowest = int(pathlib.Path("/proc/sys/net/ipv4/ip_local_port_range").read_text().split()[0])
        for _ in range(50):
            self.assertLess(ground.free_port(), lowest)


if __name__ == "__main__":
    unittest.main()
