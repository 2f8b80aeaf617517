"""What is checked at the start, by name; what `check`, `explain` and `eval` say of a running service; a dry run; ends
that are asked for; and an orderly stop."""

import json
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import jobs  # noqa: E402

T0 = 1_772_323_200_000  # 2026-03-01T00:00:00Z
HOUR = 3_600_000
RULES = """
version: 1
metrics:
  events: {count: "*", keep: 7d}
  users: {distinct: user, keep: 7d}
rules:
  - {name: busy, kind: expansion, when: 'events[1d] >= 3', clear: 'events[1d] < 3'}
  - {name: silent, kind: churn_risk, when: 'age(events) >= 24h', clear: 'age(events) < 24h'}
"""


def event(number, account, at):
    return {"key": account, "timestamp": at, "value": json.dumps(
        {"id": f"e{number}", "account": account, "event": "seen", "at": at, "user": f"u{number}"})}


class Starts(jobs.TestCase):
    """`check` and `run` refuse what would go wrong later, and name it."""

    def refused(self, config, status, *words):
        for command in (["check"], ["run", "--once"]):
            done = self.tidemark.run(*command, "--config", config, status=status)
            text = done.stdout + done.stderr
            for word in words:
                self.assertIn(word, text, done)

    def test_partition_counts_differ(self):
        topics = self.create_topics(partitions=3, without=("journal", "accounts"))
        self.kafka.create_topics([topics["accounts"]], partitions=2, **{"cleanup.policy": "compact"})
        self.refused(self.write_config(topics, rules=RULES), 78, topics["accounts"], "2 partitions", "3")

    def test_accounts_not_compacted(self):
        topics = self.create_topics(partitions=1, without=("journal", "accounts"))
        self.kafka.create_topics([topics["accounts"]], partitions=1)
        self.refused(self.write_config(topics, rules=RULES), 78, topics["accounts"], "not compacted")

    def test_too_little_compaction_lag_is_a_warning(self):
        topics = self.create_topics(partitions=1, without=("journal", "accounts"))
        self.kafka.create_topics([topics["accounts"]], **{"cleanup.policy": "compact", "min.compaction.lag.ms": "0"})
        done = self.tidemark.run("run", "--once", "--config", self.write_config(topics, rules=RULES))
        self.assertRegex(done.stderr, rf"level=warning event=check .*{topics['accounts']}")
        self.assertIn("min.compaction.lag.ms", done.stderr)

    def test_an_output_topic_is_missing(self):
        for role in ("churn_risk", "expansion", "advisories", "health", "dead_letters", "usage"):
            topics = self.create_topics(partitions=1, without=("journal", role), prefix=f"{self.prefix}-{role}")
            self.refused(self.write_config(topics, rules=RULES), 78, topics[role], "not there")

    def test_redis_may_evict(self):
        topics = self.create_topics(partitions=1)
        config = self.write_config(topics, rules=RULES)
        self.redis.command("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        self.refused(config, 78, "maxmemory-policy", "noeviction")

    def test_a_server_does_not_answer(self):
        topics = self.create_topics(partitions=1)
        nowhere = f"127.0.0.1:{harness.free_port()}"
        config = self.write_config(topics, rules=RULES, redis={"url": f"redis://{nowhere}/0"})
        self.refused(config, 69, nowhere)
        config = self.write_config(topics, rules=RULES, kafka={"brokers": nowhere})
        done = self.tidemark.run("run", "--once", "--config", config, status=69)
        self.assertIn(nowhere, done.stderr)

    def test_a_new_place_is_good(self):
        topics = self.create_topics(partitions=2)
        config = self.write_config(topics, rules=RULES)
        self.tidemark.run("check", "--config", config)  # the journal is made by `run`
        self.tidemark.run("run", "--once", "--config", config)
        self.tidemark.run("check", "--config", config)

    def test_accounts_may_be_switched_off(self):
        topics = self.create_topics(partitions=2, without=("journal", "accounts"))
        topics["accounts"] = harness.Verbatim("off")
        config = self.write_config(topics, rules=RULES)
        # In the settings above topics are one JSON object: `off` has to stand there as a word of its own.
        text = config.read_text().replace('"off"', "off")
        config.write_text(text)
        self.kafka.produce(topics["usage"], [event(n, "acme", T0 + n * 1000) for n in range(4)]
                           + [event(9, "acme", T0 + HOUR)])
        self.tidemark.run("run", "--once", "--config", config)
        found = [r.json()["data"]["rule"] for r in self.kafka.read(topics["expansion"])]
        self.assertEqual(found, ["busy"])


class Live(jobs.TestCase):
    def setUp(self):
        super().setUp()
        self.topics = self.create_topics(partitions=3)
        self.config = self.write_config(self.topics, rules=RULES, history="complete", commit_interval="200ms")
        self.usage = [event(i * 100 + n, f"a{i}", T0 + i * HOUR + n * 60_000) for i in range(12) for n in range(4)]
        self.kafka.produce(self.topics["usage"], self.usage)

    def redis_state(self):
        return {key: value for key, value in self.redis.everything().items()}

    def test_a_dry_run_writes_nothing(self):
        done = self.tidemark.run("run", "--config", self.config, "--dry-run")
        shown = done.json_lines()
        self.assertGreater(len(shown), 5)
        self.assertEqual(self.redis_state(), {})
        self.assertEqual(self.kafka.group_offsets(self.prefix), {})
        self.assertNotIn(self.topics["journal"], self.kafka.topics())
        self.assertEqual(self.signals(self.topics), [])
        # What it shows is what a run then publishes.
        self.tidemark.run("run", "--config", self.config, "--once")
        self.assert_same_signals(shown, self.signals(self.topics))

    def test_until(self):
        until = T0 + 6 * HOUR + 90_500
        text = "2026-03-01T06:01:30.500Z"
        self.tidemark.run("run", "--config", self.config, "--until", text)
        taken = sum(o for (t, _), (o, _) in self.kafka.group_offsets(self.prefix).items() if t == self.topics["usage"])
        self.assertEqual(taken, sum(row["timestamp"] <= until for row in self.usage))
        [answer] = self.tidemark.run("eval", "--config", self.config, "--account", "a6", "--json", "events[1d]").json_lines()
        self.assertEqual((answer["at"], answer["values"]), (text, {"events[1d]": 2}))
        # And on from there.
        self.tidemark.run("run", "--config", self.config, "--once")
        files = self.files([row["value"] for row in self.usage])
        self.assert_same_signals(self.signals(self.topics), self.replayed(files, self.config))

    def test_eval_and_explain_of_a_service(self):
        self.tidemark.run("run", "--config", self.config, "--once")
        end = max(row["timestamp"] for row in self.usage)
        files = self.files([row["value"] for row in self.usage])
        expressions = ["events[1d]", "users[7d]", "age(events)", "first(events)", "ratio(events[1d], users[7d])"]
        at = harness_time(end)
        for account in ("a0", "a7", "a11", "nobody"):
            live = self.tidemark.run("eval", "--config", self.config, "--account", account, "--json", *expressions)
            filed = self.tidemark.run("eval", "--events", files.usage, "--config", self.config, "--account", account,
                                      "--at", at, "--json", *expressions)
            self.assertEqual(live.json_lines(), filed.json_lines())
        early = self.tidemark.run("eval", "--config", self.config, "--account", "a0", "--at", harness_time(end - HOUR),
                                  "events[1d]", status=65)
        self.assertIn("stands", early.stderr)
        beyond = self.tidemark.run("eval", "--config", self.config, "--account", "a0", "events[30d]", status=65)
        self.assertIn("kept", beyond.stderr)
        explained = self.tidemark.run("explain", "--config", self.config, "--account", "a7", "--json").json_lines()
        self.assertIn("busy", json.dumps(explained))
        said = self.tidemark.run("explain", "--config", self.config, "--account", "a7").stdout
        self.assertIn("raised", said)

    def test_sigterm_settles_and_leaves(self):
        run = self.start_tidemark("run", "--config", self.config)
        run.wait_for_line("shard_claimed", skip=2)
        harness.wait_until("all to be taken", interval=0.2, condition=lambda: sum(
            o for (t, _), (o, _) in self.kafka.group_offsets(self.prefix).items() if t == self.topics["usage"]) == len(self.usage))
        self.assertEqual(run.terminate(), 0, run.stderr)
        positions = {p: self.redis.command("HGET", f"tm:{{{self.prefix}/{p}}}:meta", "position") for p in range(3)}
        for p, position in positions.items():
            usage, _, commit = map(int, position.split(":"))
            offset, metadata = self.kafka.group_offsets(self.prefix)[self.topics["usage"], p]
            self.assertEqual(offset, usage)
            self.assertRegex(metadata, f"^{commit} [1-9][0-9]*$", "n, and the claim that made it")
        self.assertRegex(run.stderr, r"event=start .*version=")
        self.assertRegex(run.stderr, r"event=stop")

    def test_a_second_process_shares_the_work(self):
        first = self.start_tidemark("run", "--config", self.config)
        first.wait_for_line("shard_claimed", skip=2)
        other = self.write_config(self.topics, rules=RULES, name="two.yaml", instance="two", history="complete",
                                  commit_interval="200ms")
        second = self.start_tidemark("run", "--config", other)
        second.wait_for_line("shard_claimed")
        harness.wait_until("signals", lambda: self.signals(self.topics), interval=0.2)
        self.assertEqual(second.terminate(), 0, second.stderr)
        self.assertEqual(first.terminate(), 0, first.stderr)


def harness_time(ms):
    from datetime import datetime, timezone

    return datetime.fromtimestamp(ms / 1000, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03}Z"


if __name__ == "__main__":
    unittest.main()
