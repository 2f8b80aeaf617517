"""The same input, however it is cut: in parts with restarts between, with 1, 2 and 3 workers, with orderly stops in the
middle. The signals are those of one replay of the files."""

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

ZONE = "America/New_York"  # summer time from 8 March 2026
POPULATION = {"accounts": 60, "days": 45, "start": "2026-02-15", "intensity": 2, "largest": 10}
ERASED_AT = "2026-03-20T12:34:56.789Z"


class Splits(jobs.TestCase):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("SEED", random.randrange(1 << 31)))
        self.random = random.Random(self.seed)
        self.input = self.population(**POPULATION, seed=self.seed % 1000)
        # Some that are silent by then, so that there are open episodes to clear, and some that go on.
        self.erasures_added(self.input, [f"acme-{i:05}" for i in range(0, 60, 4)], ERASED_AT)
        self.topics = self.create_topics(partitions=6)

    def config(self, workers):
        # Members that left by a smaller number of workers hold their shards until the session ends.
        return self.write_config(self.topics, rules=jobs.RULES, workers=workers, timezone=ZONE, commit_interval="100ms",
                                 kafka={"properties": {"session.timeout.ms": "1500", "heartbeat.interval.ms": "300"}})

    def compare(self, config):
        signals = self.signals(self.topics)
        with self.subTest(seed=self.seed):
            self.assert_same_signals(signals, self.replayed(self.input, config), minimum=40)
        self.assert_valid(self.topics)

    def test_parts_with_restarts_between(self):
        for n, part in enumerate(jobs.parts(jobs.timeline(self.input), 6, self.random, least=0)):
            self.produce(self.topics, part)
            config = self.config(workers=(1, 2, 3)[n % 3])
            self.tidemark.run("run", "--config", config, "--once")
        self.compare(config)

    def test_orderly_stops_in_the_middle(self):
        parts = jobs.parts(jobs.timeline(self.input), 4, self.random, least=0)
        for n, (part, workers) in enumerate(zip(parts, (2, 1, 3, 2))):
            self.produce(self.topics, part)
            # While a producer's transaction is open, no input is drained: stream time stays with the records, so that
            # `run` without an end can be stopped and started without ever following the wall clock.
            last = max(row["timestamp"] for _, row in part)
            held = f"{self.prefix}-{n}"
            self.kafka.produce(self.topics["usage"], [{"partition": p, "key": "nobody", "timestamp": last, "value": "{}"}
                                                      for p in range(6)],
                               transactional_id=held, end="open", properties={"transaction.timeout.ms": "600000"})
            # Stopped wherever it is: with nothing taken of the part, some of it, or all; more always follows.
            run = self.start_tidemark("run", "--config", self.config(workers))
            run.wait_for_line("shard_claimed")
            with contextlib.suppress(subprocess.TimeoutExpired):
                run.process.wait(self.random.uniform(0.05, 0.4))
            self.assertEqual(run.terminate(), 0, run.stderr)
            self.kafka.end_transaction(held, "abort")
        config = self.config(3)
        self.tidemark.run("run", "--config", config, "--once")
        self.compare(config)


if __name__ == "__main__":
    unittest.main()
