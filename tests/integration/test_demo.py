"""What a newcomer runs first."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import jobs  # noqa: E402


class Demo(jobs.TestCase):
    def test_signals_within_a_minute(self):
        demo = self.start_tidemark("demo", "--seconds", "45", "--json")
        demo.wait_for_line(r'"state":"raised"', which="stdout")
        self.assertEqual(demo.wait(), 0, demo.stderr)
        signals = [json.loads(line) for line in demo.lines("stdout")]
        self.assertGreater(len(signals), 20)
        self.assertLessEqual({"raised", "cleared"}, {s["data"]["state"] for s in signals})
        self.assertTrue(all(s["data"]["summary"] for s in signals if s["data"]["state"] == "raised"))
        self.assertEqual(len({s["id"] for s in signals}), len(signals), "a signal was shown twice")
        jobs.validate("signal", demo.lines("stdout"))

    def test_nothing_is_left_behind(self):
        demo = self.start_tidemark("demo", "--seconds", "3", "--accounts", "20", "--days", "20", env={"TMPDIR": str(self.dir)})
        self.assertEqual(demo.wait(), 0, demo.stderr)
        self.assertEqual([p.name for p in self.dir.iterdir()], [])


if __name__ == "__main__":
    unittest.main()
