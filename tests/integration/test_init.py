"""What `init` writes and creates is what `check` and `run` want to find."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402


class Init(harness.TestCase):
    def setUp(self):
        super().setUp()
        self.folder = pathlib.Path(self.dir) / "first"
        self.config = self.folder / "tidemark.yaml"

    def init(self, *more, status=0):
        return self.tidemark.run("init", *more, self.folder, status=status)

    def test_a_newcomer_gets_from_init_to_run(self):
        broker, redis = self.broker.bootstrap, self.redis.url
        self.init("--brokers", broker, "--redis", redis)
        # Topics of this test's own, as a user would name them, beside those of the other tests.
        names = {"usage": "usage", "accounts": "accounts", "churn_risk": "churn-risk", "expansion": "expansion",
                 "advisories": "advisories", "health": "health", "dead_letters": "usage-dlq", "journal": "tidemark-journal"}
        text = self.config.read_text()
        for key, name in names.items():
            self.assertIn(f"\n  #{key}: {name}\n", text)
            text = text.replace(f"\n  #{key}: {name}\n", f"\n  {key}: {self.prefix}-{name}\n")
        text = text.replace("#group: tidemark", f"group: {self.prefix}")
        self.config.write_text(text)
        before = {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}

        self.init("--topics", "--partitions", "3")
        after = {path.name: path.read_bytes() for path in self.folder.iterdir() if path.is_file()}
        self.assertEqual(before, after, "files that were there are as they were")
        topics = self.kafka.describe_topics([f"{self.prefix}-{name}" for name in names.values()])
        for key, name in names.items():
            topic = topics[f"{self.prefix}-{name}"]
            self.assertEqual(topic["partitions"], 3, name)
            policy = "compact" if key in ("accounts", "health") else "delete"
            self.assertEqual(topic["configs"]["cleanup.policy"], policy, name)
        self.assertEqual(topics[f"{self.prefix}-accounts"]["configs"]["min.compaction.lag.ms"], "86400000")
        self.assertEqual(topics[f"{self.prefix}-usage"]["configs"]["retention.ms"], "-1")
        journal = topics[f"{self.prefix}-tidemark-journal"]["configs"]
        self.assertEqual((journal["retention.ms"], journal["max.message.bytes"]), ("-1", str(32 << 20)))

        self.init("--topics", "--partitions", "5")
        again = self.kafka.describe_topics([f"{self.prefix}-usage"])
        self.assertEqual(again[f"{self.prefix}-usage"]["partitions"], 3, "a topic that is there is left as it is")

        checked = json.loads(self.tidemark.run("check", "--json", "--config", str(self.config)).stdout)
        self.assertNotIn("journal", json.dumps(checked["findings"]), "what init made, check has nothing to say about")
        self.tidemark.run("run", "--config", str(self.config), "--once")

    def test_no_broker_answers(self):
        self.init("--brokers", "127.0.0.1:1", "--topics", status=69)
        self.assertTrue(self.config.exists(), "what was written stays: the next call only makes the topics")


if __name__ == "__main__":
    unittest.main()
