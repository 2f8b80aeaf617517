"""The take-over table on a real Redis and a real Kafka: a Redis that fell back is brought up to date, and whatever an
operator has to decide is named by `doctor`, carried out by `shard`, and taken up by the next run."""

import json
import pathlib
import re
import shutil
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402

DAY = 86_400_000
START = 1_710_028_800_000 + 6 * 3_600_000

RULES = """
version: 1
scope: 'true'
metrics:
  events: {count: "*"}
  users: {distinct: user}
rules:
  - {name: busy, kind: expansion, when: 'events[3h] >= 3', clear: 'events[1h] == 0'}
  - {name: quiet, kind: churn_risk, when: 'age(events) >= 4h'}
"""


class Takeover(harness.TestCase):
    partitions = 6

    def setUp(self):
        super().setUp()
        self.count = 0
        self.hour = {}

    def configure(self, **more):
        self.topics = self.create_topics(partitions=self.partitions)
        self.config = self.write_config(
            self.topics, rules=RULES, commit_interval="100ms",
            kafka={"properties": {"session.timeout.ms": "1500", "heartbeat.interval.ms": "300"}}, **more)

    def use(self, hours, partitions=None):
        """Some hours of usage in each partition, every second of them busy."""
        records = []
        for p in partitions if partitions is not None else range(self.partitions):
            first = self.hour.get(p, 0)
            for hour in range(first, first + hours):
                for n in range(1 + 2 * (hour % 2)):
                    self.count += 1
                    at = START + hour * 3_600_000 + n * 60_000
                    records.append({"partition": p, "key": f"a{p}", "timestamp": at, "value": json.dumps(
                        {"id": f"e{self.count}", "account": f"a{p}", "event": "seen", "user": f"u{n}", "at": at})})
            self.hour[p] = first + hours + 6  # long enough to be missed
        records.sort(key=lambda r: r["timestamp"])
        self.kafka.produce(self.topics["usage"], records)

    def once(self, status=0):
        return self.tidemark.run("run", "--config", self.config, "--once", status=status)

    def doctor(self, status=0):
        done = self.tidemark.run("doctor", "--config", self.config, "--json", status=status)
        found = json.loads(done.stdout)
        self.assertEqual(found["good"], status == 0)
        return {s["shard"]: s["code"] or s["row"] for s in found["shards"]}

    def shard(self, *words, status=0, live=False):
        if not live:
            self.wait_for_empty_group()
        return self.tidemark.run("shard", *map(str, words), "--config", self.config, status=status)

    def ids(self):
        """The accounts and ids of all signals, sorted."""
        return sorted((r.json()["subject"], r.json()["id"])
                      for r in self.kafka.read([self.topics["churn_risk"], self.topics["expansion"]]))

    def key(self, partition, name):
        return f"tm:{{{self.prefix}/{partition}}}:{name}"

    def state(self, partitions=None):
        """What Redis keeps of the shards, but epochs and what waits to be forgotten."""
        kept = {}
        for p in partitions if partitions is not None else range(self.partitions):
            for key in sorted(self.redis.command("KEYS", self.key(p, "a:*"))):
                kept[key] = dict(zip(*[iter(self.redis.command("HGETALL", key))] * 2))
            position = self.redis.command("HGET", self.key(p, "meta"), "position")
            kept[p] = position.rsplit(":", 1)[0] if position else None  # a run at its end commits once more
        return kept

    def test_a_redis_that_fell_back(self):
        """The append-only directory of an earlier moment takes the place of the present one."""
        self._redis = harness.Redis({"appendonly": "yes", "appendfsync": "always"})
        self.addCleanup(self._redis.kill)
        self._redis.start()
        self.configure(workers=2)
        self.use(5)
        self.once()
        earlier = self.dir / "earlier"
        shutil.copytree(self.redis.dir / "appendonlydir", earlier)
        for _ in range(2):
            self.use(6)
            self.once()
        expected, signals = self.state(), self.ids()
        self.assertGreater(len(signals), 12)
        self.redis.kill()
        shutil.rmtree(self.redis.dir / "appendonlydir")
        shutil.copytree(earlier, self.redis.dir / "appendonlydir")
        self.redis.start()
        harness.wait_until("Redis has loaded its file", lambda: "loading:0" in self.redis.command("INFO", "persistence"))
        self.assertNotEqual(self.state(), expected)
        self.assertEqual(set(self.doctor().values()), {"tail_lost"})
        done = self.once()
        self.assertEqual(len(re.findall("event=replayed ", done.stderr)), self.partitions, done.stderr)
        self.assertNotIn("rebuild_differs", done.stderr)
        self.assertEqual(self.state(), expected, "bit for bit")
        self.assertEqual(self.ids(), signals, "nothing is published twice")
        self.assertEqual(set(self.doctor().values()), {"clean"})
        self.use(3)
        self.once()
        self.assertEqual(len(set(self.ids())), len(self.ids()))
        self.assertGreater(len(self.ids()), len(signals))

    def test_what_an_operator_decides(self):
        self.configure()
        for _ in range(2):
            self.use(3)
            self.once()
        self.assertEqual(set(self.doctor().values()), {"clean"})
        usage, accounts = self.topics["usage"], self.topics["accounts"]
        committed = self.kafka.group_offsets(self.prefix)
        before, signals = self.state(), self.ids()

        def moved(partition, by=0, metadata=None):
            return {(t, partition): (max(0, committed[t, partition][0] - (by if t == usage else 0)),
                                     committed[t, partition][1] if metadata is None else metadata)
                    for t in (usage, accounts) if (t, partition) in committed}

        self.wait_for_empty_group()
        self.kafka.move_group(self.prefix, {**moved(1, by=2), **moved(2, metadata=""), **moved(3, metadata="0")})
        self.redis.command("UNLINK", *self.redis.command("KEYS", self.key(4, "*")))
        halts = {0: "clean", 1: "offsets_moved", 2: "offsets_foreign", 3: "offsets_expired", 4: "store_empty",
                 5: "clean"}
        self.assertEqual(self.doctor(status=78), halts)
        shown = self.tidemark.run("doctor", "--config", self.config, status=78).stdout
        self.assertRegex(shown, r"'tidemark shard resume 1'")
        self.assertIn("3 of 6 shards need a decision", shown)

        # The halted stand, with their names in the log; the others go on.
        child = self.start_tidemark("run", "--config", self.config)
        for name in ("offsets_moved", "offsets_foreign", "offsets_expired"):
            child.wait_for_line(f"code={name}")
        child.wait_for_line("rebuilt")
        self.assertIn("members", self.shard("resume", 1, status=75, live=True).stderr)
        child.terminate()
        self.assertEqual(child.returncode, 70)

        # Nothing is changed by looking, nor where one of several choices does not fit.
        plan = self.shard("resume", 1, 2, 3, 4, "--dry-run", status=78).stdout
        self.assertIn("--outbox publish", plan)
        self.shard("resume", 1, 2, 3, status=78)
        self.shard("reset", 1, status=64)
        self.shard("resume", 99, status=64)
        self.assertEqual({p: c for p, c in self.doctor(status=78).items() if p in (1, 2, 3)},
                         {p: halts[p] for p in (1, 2, 3)})
        done = json.loads(self.shard("resume", 0, 1, 2, "--outbox", "discard", "--json").stdout)
        self.assertEqual([s["done"] for s in done["shards"]], [0, 1, 1])
        self.shard("resume", 3, "--outbox", "publish")
        self.shard("rebuild", 5, "--yes")
        found = self.doctor()
        self.assertEqual({found[p] for p in (0, 1, 2)}, {"clean"})
        self.assertEqual((found[3], found[5]), ("unpublished", "store_empty"))
        self.once()
        self.assertEqual(set(self.doctor().values()), {"clean"})
        for p in range(6):
            self.assertEqual(self.state([p])[p], before[p])
        found = self.ids()
        doubled = [i for n, i in enumerate(found) if i in found[:n]]
        self.assertEqual({account for account, _ in doubled} - {"a3"}, set(), "only what was asked to be published again")
        self.assertEqual(set(signals) - set(found), set())

        # All offsets expire, after a clean stop: the journal ends where they stood.
        self.wait_for_empty_group()
        self.kafka.delete_group(self.prefix)
        self.assertEqual(set(self.doctor().values()), {"clean"})
        self.assertIn("the group forgot its offsets", self.tidemark.run("doctor", "--config", self.config).stdout)
        done = self.once()
        self.assertEqual(len(re.findall("event=offsets_expired ", done.stderr)), 6, done.stderr)
        self.assertEqual(self.ids(), found)
        self.use(3)
        self.once()
        later = self.ids()
        self.assertGreater(len(later), len(found))
        self.assertEqual(set(self.doctor().values()), {"clean"})

        # And once more, with all that Redis has: rebuilt up to where the journal ends, nothing is published again.
        kept = self.state()
        self.wait_for_empty_group()
        self.kafka.delete_group(self.prefix)
        self.redis.command("UNLINK", *self.redis.command("KEYS", f"tm:{{{self.prefix}/*"))
        self.assertEqual(set(self.doctor().values()), {"store_empty"})
        self.once()
        self.assertEqual(self.state(), kept, "bit for bit")
        self.assertEqual(self.ids(), later)

    def test_a_reset_begins_anew(self):
        self.configure()
        self.use(5)
        self.once()
        signals = self.ids()
        self.shard("reset", 0, 1, "--yes", "--dry-run")
        self.assertEqual(set(self.doctor().values()), {"clean"})
        self.shard("reset", 0, "--yes")
        self.shard("reset", 1, "--yes", "--at", "end")
        self.assertEqual({p: r for p, r in self.doctor().items() if p < 2}, {0: "first_start", 1: "first_start"})
        self.once()
        again = self.ids()
        self.assertEqual(set(again), set(signals), "the same records lead to the same ids")
        self.assertEqual(len(again), len(signals) * 7 // 6, "what was raised is raised again, in one shard")
        self.use(2, partitions=[0, 1])
        self.once()
        again = self.ids()
        # The lines before the reset are gone: a rebuild leads to where the new life was, not the old.
        anew = self.state([0, 1])
        self.shard("rebuild", 0, 1, "--yes")
        done = self.once()
        self.assertNotIn("rebuild_differs", done.stderr)
        self.assertEqual(self.state([0, 1]), anew)
        self.assertEqual(self.ids(), again)
        shown = self.tidemark.run("eval", "--config", self.config, "--account", "a1", "--at",
                                  "2024-03-11T12:00:00Z", "events[3h]", "--json").json_lines()[0]
        self.assertIsNone(shown["values"]["events[3h]"], "what came before is not taken for nothing")

    def test_records_that_retention_took(self):
        """Before they were read: they are passed over, and what they would have counted is not taken for nothing."""
        self.partitions = 2
        self.configure()
        self.use(5)
        self.once()
        usage = self.topics["usage"]
        read = self.kafka.offsets([usage])[usage, 0]["end"]
        self.use(4)
        self.kafka.cut(usage, 0, read + 3)
        done = self.once()
        self.assertRegex(done.stderr, rf"event=records_gone .*partition=0 .*from={read} to={read + 3}")
        self.assertEqual(done.stderr.count("event=records_gone"), 1, done.stderr)
        self.assertEqual(self.doctor(), {0: "clean", 1: "clean"})
        values = {}
        for account in ("a0", "a1"):
            for at in ("2024-03-10T23:00:00Z", "2024-03-11T12:00:00Z"):
                shown = self.tidemark.run("eval", "--config", self.config, "--account", account, "--at", at,
                                          "events[3h]", "--json").json_lines()[0]
                values[account, at[8:10]] = shown["values"]["events[3h]"]
        self.assertEqual(values, {("a0", "10"): None, ("a0", "11"): 0, ("a1", "10"): 0, ("a1", "11"): 0})
        # Told once: the next run has nothing to add, and nothing is published twice.
        self.use(3)
        self.assertNotIn("records_gone", self.once().stderr)
        self.assertEqual(len(set(self.ids())), len(self.ids()))

    def test_another_topic(self):
        self.partitions = 2
        self.configure()
        self.use(5)
        self.once()
        usage = self.topics["usage"]
        # Cut: retention took what was read already, and a little more is no harm.
        self.kafka.cut(usage, 0, 3)
        self.assertEqual(self.doctor(), {0: "clean", 1: "clean"})
        # Recreated with other records in one partition, fewer in the other.
        self.kafka.delete_topics([usage])
        self.kafka.create_topics({usage: {}}, partitions=2)
        self.hour = {0: 1}
        self.use(8, partitions=[0])
        self.assertEqual(self.doctor(status=78), {0: "topic_recreated", 1: "topic_cut"})
        done = self.once(status=70)
        self.assertIn("code=topic_recreated", done.stderr)
        self.assertIn("code=topic_cut", done.stderr)
        self.assertIn("tidemark shard reset 1", done.stderr)
        self.shard("resume", 0, status=78)
        self.shard("rebuild", 1, "--yes", status=78)
        self.shard("reset", 0, 1, "--yes")
        self.once()
        self.assertEqual(self.doctor(), {0: "clean", 1: "clean"})
        # More partitions: accounts have moved between all shards.
        self.kafka.grow_topic(usage, 3)
        self.kafka.grow_topic(self.topics["accounts"], 3)
        self.kafka.grow_topic(self.topics["journal"], 3)
        found = self.doctor(status=78)
        self.assertEqual({found[0], found[1]}, {"partitions_changed"})
        self.shard("reset", 0, "--yes", status=78)
        self.assertIn("code=partitions_changed", self.once(status=70).stderr)

    def test_partitions_change_under_a_running_service(self):
        """More of them, and a topic made anew with fewer: every shard halts by name, whatever was read meanwhile; with the
        former number again, SIGHUP is enough."""
        self.partitions = 3
        self.configure()
        self.use(3)
        run = self.start_tidemark("run", "--config", self.config)
        for n in range(self.partitions):
            run.wait_for_line("shard_claimed", skip=n)
        topics = [self.topics[role] for role in ("usage", "accounts", "journal")]
        for topic in topics:
            self.kafka.grow_topic(topic, 4)
        for p in range(self.partitions):
            run.wait_for_line(rf"event=shard_halted .*partition={p} code=partitions_changed .*from 3 to 4", timeout=60)
        self.assertEqual(run.terminate(40), 70, run.stderr)
        self.assertFalse([line for line in run.lines() if "shard_claimed" in line and "partition=3" in line])
        self.assertEqual({self.doctor(status=78)[p] for p in range(self.partitions)}, {"partitions_changed"})

        # Others, of which one input is made anew with fewer while it runs.
        self.prefix += "-b"
        self.hour = {}
        self.configure(instance="two")
        self.use(3)
        run = self.start_tidemark("run", "--config", self.config)
        for n in range(self.partitions):
            run.wait_for_line("shard_claimed", skip=n)
        anew = [self.topics["usage"], self.topics["accounts"]]
        self.kafka.delete_topics(anew)
        self.kafka.create_topics({anew[0]: {}, anew[1]: {"cleanup.policy": "compact"}}, partitions=2)
        run.wait_for_line(r"event=shard_halted .*code=partitions_changed .*from 3 to 2", timeout=90)
        self.assertIsNone(run.returncode, run.stderr)
        self.assertEqual(run.terminate(40), 70, run.stderr)


if __name__ == "__main__":
    unittest.main()
