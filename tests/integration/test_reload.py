"""SIGHUP takes new rules between two commits: with a greater version they act, without one or with errors the old stay."""

import json
import pathlib
import signal
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402

RULES = """
version: {version}
scope: 'true'
metrics:
  events: {{count: "*"}}
rules:
  - {{name: {name}, kind: {kind}, when: '{when}'}}
"""


class Reload(harness.TestCase):
    def signals(self, topics):
        found = []
        for record in self.kafka.read([topics["churn_risk"], topics["expansion"]]):
            data = record.json()["data"]
            found.append((data["rule"], data["state"], data.get("reason"), data["rules_version"]))
        return sorted(found, key=str)

    def test_new_rules_act_and_bad_ones_do_not(self):
        topics = self.create_topics(partitions=2)
        config = self.write_config(topics, rules=RULES.format(version=1, name="first", kind="expansion", when="events[1d] >= 1"),
                                   evaluate_every="1s", grace="0s", commit_interval="100ms")
        child = self.start_tidemark("run", "--config", config)
        child.wait_for_line("shard_claimed")
        now = int(time.time() * 1000)
        self.kafka.produce(topics["usage"], [{"key": "acme", "timestamp": now, "value": json.dumps(
            {"id": "e1", "account": "acme", "event": "seen", "at": now})}])
        harness.wait_until("the first rule's signal", lambda: len(self.signals(topics)) == 1)

        rules = self.dir / "rules.yaml"
        rules.write_text("version: 2\nrules:\n  - {name: broken, kind: expansion, when: 'evnts[1d] > 1'}\n")
        child.signal(signal.SIGHUP)
        child.wait_for_line("reload_refused")
        rules.write_text(RULES.format(version=1, name="other", kind="churn_risk", when="events[1d] >= 1"))
        child.signal(signal.SIGHUP)
        child.wait_for_line("need a version above")
        rules.write_text(RULES.format(version=2, name="second", kind="churn_risk", when="events[1d] >= 1"))
        child.signal(signal.SIGHUP)
        child.wait_for_line("next grid instant")
        harness.wait_until("the new rule's signal and the old one's end", lambda: len(self.signals(topics)) == 3)
        self.assertEqual(self.signals(topics), [("first", "cleared", "rule_removed", 2), ("first", "raised", None, 1),
                                                ("second", "raised", None, 2)])
        self.assertEqual(child.terminate(), 0)

        # The journal has both packs; a restart goes on under the second, and the first is refused now.
        lines = [r.json() for r in self.kafka.read([topics["journal"]])]
        self.assertEqual({line["rules_version"] for line in lines if line["kind"] == "configuration"}, {1, 2})
        done = self.tidemark.run("run", "--config", config, "--once")
        self.assertEqual(len(self.signals(topics)), 3, done.stderr)
        rules.write_text(RULES.format(version=1, name="first", kind="expansion", when="events[1d] >= 1"))
        done = self.tidemark.run("run", "--config", config, "--once", status=70)
        self.assertIn("last written under rules version 2", done.stderr)


if __name__ == "__main__":
    unittest.main()
