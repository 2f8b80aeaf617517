"""Killed in the middle, at any moment, and between the two ledgers; and with everything in Redis gone: nothing is lost,
nothing is there twice."""

import contextlib
import os
import pathlib
import random
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import jobs  # noqa: E402
from proxy import kafka as proxies  # noqa: E402

POPULATION = {"accounts": 60, "days": 45, "start": "2026-02-15", "intensity": 2, "largest": 10}
ERASED_AT = "2026-03-20T12:34:56.789Z"
PARTITIONS = 6


class Crash(jobs.TestCase):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("SEED", random.randrange(1 << 31)))
        self.random = random.Random(self.seed)
        self.input = self.population(**POPULATION, seed=self.seed % 1000)
        self.erasures_added(self.input, [f"acme-{i:05}" for i in range(0, 60, 4)], ERASED_AT)
        self.topics = self.create_topics(partitions=PARTITIONS)
        self.config = self.configure("tidemark.yaml")
        self.rows = jobs.timeline(self.input)

    def configure(self, name, **kafka):
        return self.write_config(
            self.topics, rules=jobs.RULES, name=name, workers=2, timezone="Europe/Berlin", commit_interval="50ms",
            kafka={"properties": {"session.timeout.ms": "1500", "heartbeat.interval.ms": "300"}, **kafka})

    def once(self):
        return self.tidemark.run("run", "--config", self.config, "--once")

    def compare(self):
        with self.subTest(seed=self.seed):
            self.assert_same_signals(self.signals(self.topics), self.replayed(self.input, self.config), minimum=40)

    def taken(self):
        """Records of the input that the group's offsets are past."""
        return sum(offset for offset, _ in self.kafka.group_offsets(self.prefix).values())

    def commits(self):
        """n of each shard as Redis has it: the last number of its position."""
        positions = {p: self.redis.command("HGET", f"tm:{{{self.prefix}/{p}}}:meta", "position") for p in range(PARTITIONS)}
        return {p: int(position.split(":")[2]) for p, position in positions.items() if position}

    @contextlib.contextmanager
    def held(self):
        """A producer's transaction is open meanwhile: no input is drained, so that `run` without an end neither follows
        the wall clock nor comes to an end before a blow."""
        last = max(row["timestamp"] for _, row in self.rows)
        self.kafka.produce(self.topics["usage"], [{"partition": p, "key": "nobody", "timestamp": last, "value": "{}"}
                                                  for p in range(PARTITIONS)],
                           transactional_id=self.prefix, end="open", properties={"transaction.timeout.ms": "600000"})
        yield
        self.kafka.end_transaction(self.prefix, "abort")

    def test_killed_at_random_moments(self):
        self.load(self.topics, self.input)
        middle = 0
        with self.held():
            for blow in range(12):
                run = self.start_tidemark("run", "--config", self.config)
                run.wait_for_line("shard_claimed")
                # The first falls at once, the others wherever they fall.
                with contextlib.suppress(subprocess.TimeoutExpired):
                    run.process.wait(self.random.uniform(0.0, 0.5) if blow else 0)
                self.assertIsNone(run.returncode, run.stderr)
                run.kill()
                middle += 0 < self.taken() < len(self.rows)
                if middle >= 3:
                    break
        self.once()
        self.compare()

    def test_killed_between_the_ledgers(self):
        """A transaction's first request stands at a gate: what it is to publish is in Redis by then."""
        self.load(self.topics, self.input)
        with proxies.Proxy(self.broker.bootstrap) as proxy:
            config = self.configure("proxied.yaml", brokers=proxy.bootstrap)
            for turn in ("in the middle", "while a take-over publishes what was left"):
                gate = proxy.fault("AddPartitionsToTxn", "gate", count=None)
                run = self.start_tidemark("run", "--config", config, "--once")
                gate.wait()
                run.kill()
                proxy.cut()
                gate.release()
                gate.stop()
                published = {p: 0 for p in range(PARTITIONS)}
                for (_, partition), (_, metadata) in self.kafka.group_offsets(self.prefix).items():
                    published[partition] = int((metadata or "0").split()[0])
                commits = self.commits()
                self.assertTrue(any(commits[p] > published[p] for p in commits), f"{turn}: {commits}, {published}")
        self.once()
        self.compare()

    def test_redis_emptied_between_two_runs(self):
        first, second, third = jobs.parts(self.rows, 3, self.random)
        self.produce(self.topics, first)
        self.once()
        self.produce(self.topics, second)
        self.once()
        accounts = sorted({row["key"] for _, row in self.rows})
        expressions = ["human_events[7d]", "active_users[28d]", "age(human_events)", "nps", "seats", "first(reports)"]
        before = self.values(accounts, expressions)
        self.redis.command("FLUSHALL")
        self.once()
        self.assertEqual(self.values(accounts, expressions), before)
        self.produce(self.topics, third)
        self.once()
        self.compare()

    def values(self, accounts, expressions):
        found = {}
        for account in accounts[::7]:
            done = self.tidemark.run("eval", "--config", self.config, "--account", account, "--json", *expressions)
            found[account] = done.json_lines()
        return found


if __name__ == "__main__":
    unittest.main()
