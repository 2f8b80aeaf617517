"""Shards that move, and shards that must not: a revocation settles, a rolling restart moves nothing, and a worker that
hung past its session writes nothing any more. KAFKA_LONG=1: at more moments."""

import os
import pathlib
import random
import re
import signal
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import jobs  # noqa: E402
from proxy import kafka as proxies  # noqa: E402
from trickle import Trickle  # noqa: E402

POPULATION = {"accounts": 60, "days": 45, "start": "2026-02-15", "intensity": 2, "largest": 10}
ERASED_AT = "2026-03-20T12:34:56.789Z"
PARTITIONS = 6
LATER = "1m"  # a commit interval after which nothing happens here
LONG = os.environ.get("KAFKA_LONG")


def claimed(child, since=0):
    """The partitions that a process took over, from a line of its log on."""
    return [int(m.group(1)) for m in (re.search(r"event=shard_claimed .*partition=(\d+)", line)
                                      for line in child.lines()[since:]) if m]


class Rebalance(jobs.TestCase):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("SEED", random.randrange(1 << 31)))
        self.random = random.Random(self.seed)
        self.input = self.population(**POPULATION, seed=self.seed % 1000)
        self.erasures_added(self.input, [f"acme-{i:05}" for i in range(0, 60, 4)], ERASED_AT)
        self.topics = self.create_topics(partitions=PARTITIONS)
        self.rows = jobs.timeline(self.input)

    def configure(self, instance, commit_interval="50ms", session=3000, brokers=None):
        self.config = self.write_config(
            self.topics, rules=jobs.RULES, name=f"{instance}.yaml", instance=instance, commit_interval=commit_interval,
            kafka={"brokers": brokers or self.broker.bootstrap,
                   "properties": {"session.timeout.ms": str(session), "heartbeat.interval.ms": "300"}})
        return self.config

    def start(self, config):
        return self.start_tidemark("run", "--config", config)

    def feed(self, parts):
        self.trickle = Trickle(self, self.topics, jobs.parts(self.rows, parts, self.random), PARTITIONS)
        self.trickle.next()

    def finish(self, runs):
        while self.trickle.next():
            self.trickle.wait(runs=runs)
        for run in runs:
            self.assertEqual(run.terminate(), 0, run.stderr)
            self.assertNotIn("shard_halted", run.stderr)
        self.trickle.end()
        self.wait_for_empty_group()
        self.tidemark.run("run", "--config", self.config, "--once")
        with self.subTest(seed=self.seed):
            self.assert_same_signals(self.signals(self.topics), self.replayed(self.input, self.config), minimum=40)

    def test_a_revocation_settles_what_was_applied(self):
        """The first process has applied records and is minutes from its next commit when the second joins: it commits and
        publishes them before it lets go, and nobody reads a record twice."""
        self.feed(parts=2)
        proxy = proxies.Proxy(self.broker.bootstrap)
        self.addCleanup(proxy.close)
        # Nobody's session ends here, however busy the machine: what is read twice would be counted twice.
        first = self.start(self.configure("a", commit_interval=LATER, session=20000, brokers=proxy.bootstrap))
        first.wait_for_line("shard_claimed", skip=PARTITIONS - 1)
        # It asks for more when it was given something, and takes that before it hears of a revocation.
        proxy.fault("Fetch", "watch", count=None).wait(4)
        second = self.start(self.configure("b", commit_interval=LATER, session=20000))
        second.wait_for_line("shard_claimed", skip=1)
        settled = self.trickle.missing()
        self.assertGreater(sum(c for c, _ in settled.values()) or not settled, 0, "nothing was published")
        self.trickle.next()
        for run in (first, second):
            self.assertEqual(run.terminate(), 0, run.stderr)
        # Of the held transactions' records, which are aborted, none was taken.
        taken = [int(re.findall(r" records=(\d+)", run.stderr)[-1]) for run in (first, second)]
        given, behind = len(self.rows), self.behind()
        self.assertEqual(sum(taken), given - behind, f"{taken} of {given}, {behind} not taken yet")
        self.config = self.configure("a")
        self.finish([])

    def behind(self):
        """Committed records that the group's offsets are not past: account records later than any event."""
        offsets = self.kafka.group_offsets(self.prefix)
        return sum(r.offset >= offsets.get((r.topic, r.partition), (0,))[0]
                   for r in self.kafka.read([self.topics["usage"], self.topics["accounts"]]))

    def test_a_rolling_restart_moves_nothing(self):
        self.feed(parts=9)
        # Longer than any restart takes; whoever has stopped for good holds its shards for so long.
        configs = {name: self.configure(name, session=20000) for name in "abc"}
        runs = {name: self.start(config) for name, config in configs.items()}
        harness.wait_until("each to have its two shards", condition=lambda: sorted(
            p for run in runs.values() for p in claimed(run)[-2:]) == list(range(PARTITIONS)))
        self.trickle.wait(runs=runs.values())
        before = {name: sorted(set(claimed(run)[-2:])) for name, run in runs.items()}
        for name in "abc":
            self.trickle.next()  # it is stopped in the middle of this
            self.assertEqual(runs[name].terminate(), 0, runs[name].stderr)
            runs[name] = self.start(configs[name])
            self.trickle.next()
            runs[name].wait_for_line("shard_claimed", skip=1)
            self.trickle.wait(runs=runs.values())
        self.assertEqual({name: sorted(claimed(run)) for name, run in runs.items()}, before)
        self.finish(list(runs.values()))

    def hang(self, moments):
        """A process is stopped at each of these moments for longer than its session; another takes its shards over; then
        it goes on, and what it sent before arrives."""
        proxy = proxies.Proxy(self.broker.bootstrap)
        self.addCleanup(proxy.close)
        self.feed(parts=2 * len(moments) + 2)
        runs = [self.start(self.configure("a", session=3000, brokers=proxy.bootstrap)),
                self.start(self.configure("b", session=3000))]
        harness.wait_until("both to have shards", lambda: all(claimed(run) for run in runs))
        self.trickle.wait(runs=runs)
        for api in moments:
            mine = set(claimed(runs[0])[-3:])
            since = [len(run.lines()) for run in runs]
            gate = proxy.fault(api, "gate")
            self.trickle.next()
            gate.wait()
            runs[0].signal(signal.SIGSTOP)
            harness.wait_until(f"the other to take over at {api}", lambda: mine <= set(claimed(runs[1], since[1])))
            self.trickle.wait(runs=runs[1:])
            written = {p: self.redis.command("HGETALL", f"tm:{{{self.prefix}/{p}}}:meta") for p in mine}
            gate.release()
            runs[0].signal(signal.SIGCONT)
            # Until it is a member again, which moves shards back, nothing is given that anybody could write about.
            runs[0].wait_for_line("commit_refused|membership_lost|SESSTMOUT|shard_claimed|member_renewed|UNKNOWN_MEMBER",
                                  skip=sum(bool(re.search("commit_refused|membership_lost|SESSTMOUT|shard_claimed|"
                                                          "member_renewed|UNKNOWN_MEMBER", line))
                                           for line in runs[0].lines()[:since[0]]))
            for p, before in written.items():
                now = self.redis.command("HGETALL", f"tm:{{{self.prefix}/{p}}}:meta")
                self.assertEqual(*[dict(zip(h[::2], h[1::2]))["position"] for h in (now, before)], f"{api} {p}")
            self.trickle.next()
            harness.wait_until("it to have shards again", lambda: claimed(runs[0], since[0]))
            self.trickle.wait(runs=runs)
        self.finish(runs)

    def test_a_worker_that_hung_past_its_session_writes_nothing(self):
        self.hang(["AddOffsetsToTxn", "Fetch"])

    @unittest.skipUnless(LONG, "open transactions that have to time out: KAFKA_LONG=1")
    def test_a_worker_that_hung_with_a_transaction_open(self):
        self.hang(["Produce", "TxnOffsetCommit", "EndTxn", "Heartbeat", "AddPartitionsToTxn"])


if __name__ == "__main__":
    unittest.main()
