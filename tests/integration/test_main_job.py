"""The main job, end to end: a population of 2,000 accounts over 60 days, with late, doubled and erased things in it and
a change to summer time, goes through a real broker and a real Redis. A foreign client reads the signals; `replay` and
the independent model must have the same ones."""

import collections
import contextlib
import io
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support" / "model"))

import harness  # noqa: E402
import jobs  # noqa: E402
import model  # noqa: E402

PARTITIONS = 6
ZONE = "Europe/Berlin"
# From 15 February: 29 March 2026 has 23 hours in Berlin.
POPULATION = {"accounts": 2000, "days": 60, "start": "2026-02-15", "intensity": 0, "largest": 6, "seed": 11}


def differences(ours, theirs):
    """The model's signals and tidemark's -> their number of differences, and a report for people."""
    report = io.StringIO()
    count = model.compare([model.flatten(s) for s in ours], [model.from_cloudevent(s) for s in theirs], report)
    return count, report.getvalue()


class MainJob(jobs.TestCase):
    def start_model(self, files, config):
        """The model takes minutes: it works beside the program, and is asked at the end what it found."""
        out = self.dir / "model.ndjson"
        child = harness.Child([sys.executable, harness.SUPPORT / "model" / "model.py", "--events", files.usage,
                               "--accounts", files.accounts, "--config", config, "--signals", out], name="model")
        self.addCleanup(child.kill)
        return child, out

    def assert_same_health(self, topics, files, config):
        """Every record of scores, in each account's order; of the erased ones a tombstone, which files cannot hold."""
        out = self.dir / "health.ndjson"
        self.replayed(files, config, "--health", out)
        told, expected = collections.defaultdict(list), collections.defaultdict(list)
        for r in self.records(topics, ("health",))["health"]:
            if r.value is not None:
                told[r.key].append(r.json())
        for record in jobs.read_ndjson(out):
            expected[record["account"]].append(record)
        self.assertGreater(len(expected), 1000)
        self.assertEqual(told.keys(), expected.keys())
        for account, records in expected.items():
            self.assertEqual(told[account], records, account)

    def test_signals_of_kafka_replay_and_model_are_the_same(self):
        # The same seed gives the same bytes: once into files, once to the broker with the timestamps of a loader.
        files = self.population(**POPULATION)
        topics = self.create_topics(partitions=PARTITIONS)
        config = self.write_config(topics, rules=jobs.RULES, workers=2, timezone=ZONE)
        model_child, found = self.start_model(files, config)
        words = [w for k, v in POPULATION.items() for w in (f"--{k}", v)]
        self.tidemark.run("generate", "--brokers", self.broker.bootstrap, "--usage", topics["usage"], "--accounts-topic",
                          topics["accounts"], "--truth", self.dir / "truth.csv", *words, timeout=600)
        self.tidemark.run("run", "--config", config, "--once", timeout=900)
        signals = self.signals(topics)
        self.assert_same_signals(signals, self.replayed(files, config), minimum=2000)
        self.assert_same_health(topics, files, config)
        self.assert_valid(topics, minimum={"churn_risk": 1000, "expansion": 10, "advisories": 10, "health": 1000, "journal": PARTITIONS})
        self.assertEqual({s["data"]["state"] for s in signals}, {"raised", "updated", "cleared"})
        self.assertIn("erased", {s["data"]["reason"] for s in signals if s["data"]["state"] == "cleared"})
        self.assertEqual(model_child.wait(2400), 0, model_child.stderr)
        count, report = differences(jobs.read_ndjson(found), signals)
        self.assertEqual(count, 0, report)


if __name__ == "__main__":
    unittest.main()
