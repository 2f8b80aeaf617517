"""Killed in the middle, at any moment, and between the two ledgers; and with everything in Redis gone: nothing is lost,
nothing is there twice."""

import os
import pathlib
import random
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import jobs  # noqa: E402

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
        self.config = self.write_config(
            self.topics, rules=jobs.RULES, workers=2, timezone="Europe/Berlin", commit_interval="50ms",
            kafka={"properties": {"session.timeout.ms": "1500", "heartbeat.interval.ms": "300"}})
        self.rows = jobs.timeline(self.input)

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

    def wait_a_moment(self, run, seconds):
        """True when the run ended within that time."""
        try:
            run.process.wait(seconds)
            return True
        except subprocess.TimeoutExpired:
            return False

    def test_killed_at_random_moments(self):
        self.load(self.topics, self.input)
        middle = blows = 0
        for _ in range(12):
            run = self.start_tidemark("run", "--config", self.config, "--once")
            run.wait_for_line("shard_claimed")
            # The first falls at once, whatever the machine; the others wherever they fall.
            if self.wait_a_moment(run, self.random.uniform(0.0, 0.5) if blows else 0):
                break  # it came to its end before the blow
            run.kill()
            blows += 1
            middle += 0 < self.taken() < len(self.rows)
            if middle >= 3:
                break
        self.once()
        self.compare()
        self.assertGreater(blows, 0, "it ended before any blow")

    def test_killed_between_the_ledgers(self):
        self.load(self.topics, self.input)
        caught = False
        for _ in range(12):
            run = self.start_tidemark("run", "--config", self.config, "--once")
            run.wait_for_line("shard_claimed")
            if self.wait_a_moment(run, self.random.uniform(0.0, 0.15)):
                break
            # The broker stands still: what was fetched is applied and goes to Redis, and its publication waits.
            self.broker.freeze()
            try:
                before = None
                while before != (before := self.commits()):
                    self.wait_a_moment(run, 0.4)
                commits = before
                run.kill()
            finally:
                self.broker.thaw()
            published = {p: 0 for p in range(PARTITIONS)}
            for (_, partition), (_, metadata) in self.kafka.group_offsets(self.prefix).items():
                published[partition] = int(metadata or 0)
            caught |= any(commits[p] > published[p] for p in commits)
            if caught:
                break
        self.once()
        self.compare()
        self.assertTrue(caught, "no blow came between the ledgers")

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
