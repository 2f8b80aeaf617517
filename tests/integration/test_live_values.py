"""eval, explain and accounts out of Redis, after a run through Kafka, against the same commands on the same records as files."""

import json
import pathlib
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support" / "model"), str(ROOT / "tests" / "support")]

import harness  # noqa: E402
import population  # noqa: E402

UNAVAILABLE, DATAERR = 69, 65
ASKED = ("events[7d]", "users[5d]", "age(events)", "first(features)", "nps", "seats", "ratio(events[1d], events[7d])", "key_actions[1h]")
RULES = {"version": 1, "metrics": population.METRICS, "rules": [
    {"name": "few", "kind": "churn_risk", "when": "events[7d] < 40", "for": "1h"},
    {"name": "lost", "kind": "churn_risk", "when": "users[5d] < 2 and age(events) > 1d and nps != 3", "clear": "users[5d] >= 2"},
    {"name": "busy", "kind": "expansion", "when": "ratio(events[1d], events[7d]) > 0.3 and key_actions[2h] >= 1"}]}


class LiveValues(harness.TestCase):
    def test_redis_answers_as_files_do(self):
        usage, facts = population.generate(5, 40, 14)
        events, accounts = self.dir / "usage.ndjson", self.dir / "accounts.ndjson"
        events.write_bytes(b"\n".join(usage) + b"\n")
        accounts.write_bytes(b"\n".join(facts) + b"\n")
        topics = self.create_topics(partitions=6)
        config = self.write_config(topics, rules=json.dumps(RULES), timezone="Europe/Berlin")
        self.kafka.produce_records(topics["usage"], events)
        self.kafka.produce_records(topics["accounts"], accounts)
        self.tidemark.run("run", "--config", config, "--once")
        names = [f"acct-{i:04}" for i in range(40)] + ["never-seen"]

        live = {}
        for name in names:
            done = self.tidemark.run("eval", "--config", config, "--account", name, "--json", *ASKED)
            live[name] = json.loads(done.stdout)
        ends = {v["at"] for v in live.values()}
        self.assertEqual(len(ends), 1, "run --once ends every shard at the same instant")
        end = ends.pop()
        points = self.dir / "points.csv"
        points.write_text("account,at\n" + "".join(f"{name},{end}\n" for name in names))
        files = ["--events", events, "--accounts", accounts, "--config", config]
        done = self.tidemark.run("eval", *files, "--points", points, "--json", *ASKED)
        for line in done.stdout.splitlines():
            expected = json.loads(line)
            self.assertEqual(live[expected["account"]], expected)
        self.assertTrue(any(v["values"]["events[7d]"] for v in live.values()))

        for name in names[:8] + names[-1:]:
            from_files = self.tidemark.run("explain", *files, "--account", name, "--json", "--at", end).stdout
            self.assertEqual(json.loads(self.tidemark.run("explain", "--config", config, "--account", name, "--json").stdout),
                             json.loads(from_files), name)

        for form in ("--json", "--csv"):
            said = self.tidemark.run("accounts", "--config", config, "--all", "--sort", "name", form).stdout
            self.assertEqual(said, self.tidemark.run("accounts", *files, "--all", "--sort", "name", form, "--at", end).stdout)
        listed = [json.loads(line) for line in
                  self.tidemark.run("accounts", "--config", config, "--all", "--json").stdout.splitlines()]
        self.assertTrue(len(listed) >= 40 and any(row["open"] for row in listed) and any(row["mrr"] for row in listed))

        before = self.tidemark.run("eval", "--config", config, "--account", names[0], "--at", "2024-03-21T00:00:00Z", "events[7d]", status=DATAERR)
        self.assertIn("where the account's shard stands", before.stderr)
        beyond = self.tidemark.run("eval", "--config", config, "--account", names[0], "events[30d]", status=DATAERR)
        self.assertIn("'events' is kept for 7 days, 30 are asked for", beyond.stderr)


if __name__ == "__main__":
    import unittest
    unittest.main()
