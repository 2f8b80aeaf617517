"""Silence is a signal: a live run tells of an account that stopped although nothing arrives any more, also after a
restart, and never while its input is not known to be complete."""

import json
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import jobs  # noqa: E402

# Hours are the finest that rules count in: an account whose last event lies in the hour before has age 1h. `for` in
# seconds is what has to run out on its own.
RULES = """
version: 1
metrics:
  events: {count: "*"}
rules:
  - {name: quiet, kind: churn_risk, when: 'age(events) >= 1h', for: %s, clear: 'age(events) < 1h'}
"""


class Silence(jobs.TestCase):
    def start(self, topics, hold):
        config = self.write_config(topics, rules=RULES % hold, history="complete", evaluate_every="1s", grace="500ms",
                                   commit_interval="200ms")
        run = self.start_tidemark("run", "--config", config)
        run.wait_for_line("shard_claimed")
        return run

    def event(self, account, at):
        self.sent = getattr(self, "sent", 0) + 1
        return {"key": account, "timestamp": at, "value": json.dumps(
            {"id": str(self.sent), "account": account, "event": "seen", "at": at})}

    def states(self, topics):
        return [(s["subject"], s["data"]["state"]) for s in self.signals(topics)]

    def test_no_event_is_needed(self):
        topics = self.create_topics(partitions=2)
        now = int(time.time() * 1000)
        self.kafka.produce(topics["usage"], [self.event("acme", now - 2 * 3_600_000)])
        run = self.start(topics, "4s")
        signals = harness.wait_until("the silence", lambda: self.signals(topics), interval=0.3)
        self.assertEqual(self.states(topics), [("acme", "raised")])
        # Raised when `for` had run out in stream time, which was at most the clock's less the grace by then.
        raised = jobs.epoch_ms(signals[0]["time"])
        begun = (now // 3_600_000 - 1) * 3_600_000  # the hour after its last event's
        self.assertEqual(raised, begun + 4000)
        self.assertLessEqual(raised, int(time.time() * 1000) - 500)
        self.kafka.produce(topics["usage"], [self.event("acme", int(time.time() * 1000))])
        harness.wait_until("the return", lambda: ("acme", "cleared") in self.states(topics), interval=0.3)
        self.assertEqual(run.terminate(), 0, run.stderr)
        self.assert_valid(topics)

    def test_after_a_restart_too(self):
        topics = self.create_topics(partitions=1)
        now = int(time.time() * 1000)
        # Two hours ago: pending since the hour changed; the rest of `for` runs out around a restart.
        since = (now // 3_600_000 - 1) * 3_600_000  # its last event lies in the hour before this one
        hold = (now - since) // 1000 + 12
        # Behind another account's event, by which it has become pending, an open transaction: nothing is drained, and
        # stream time does not follow the clock past the end of `for` before the restart, however long that takes.
        self.kafka.produce(topics["usage"], [self.event("acme", since - 1000), self.event("other", since + 2000)])
        self.kafka.produce(topics["usage"], [{"key": "nobody", "timestamp": since + 2000, "value": "{}"}], end="open",
                           transactional_id=self.prefix, properties={"transaction.timeout.ms": "600000"})
        run = self.start(topics, f"{hold}s")
        harness.wait_until("both to be taken", lambda: self.kafka.group_offsets(self.prefix).get(
            (topics["usage"], 0), (0,))[0] == 2)
        self.assertEqual(run.terminate(), 0, run.stderr)
        self.assertEqual(self.states(topics), [])
        self.kafka.end_transaction(self.prefix, "abort")
        run = self.start(topics, f"{hold}s")
        signals = harness.wait_until("the silence", lambda: self.signals(topics), interval=0.3)
        self.assertEqual(self.states(topics), [("acme", "raised")])
        self.assertEqual(jobs.epoch_ms(signals[0]["time"]), since + hold * 1000)
        self.assertEqual(run.terminate(), 0, run.stderr)

    def test_an_outage_of_the_broker_is_nobodys_silence(self):
        topics = self.create_topics(partitions=1)
        now = int(time.time() * 1000)
        self.kafka.produce(topics["usage"], [self.event("acme", now - 1000)])
        run = self.start(topics, "1h")
        harness.wait_until("a first commit", lambda: self.kafka.group_offsets(self.prefix))
        self.broker.freeze()
        try:
            frozen_at = time.time() * 1000
            harness.wait_until("an outage of six seconds", lambda: time.time() * 1000 > frozen_at + 6000)
            [position] = self.tidemark.run("eval", "--config", self.dir / "tidemark.yaml", "--account", "acme", "--json",
                                           "age(events)").json_lines()
        finally:
            self.broker.thaw()
        self.assertLess(jobs.epoch_ms(position["at"]), frozen_at + 4000, "stream time followed the clock")
        self.assertEqual(run.terminate(), 0, run.stderr)


if __name__ == "__main__":
    unittest.main()
