"""Answers of Kafka that are lost, late or doubled, and connections that die or only seem to live: a foreign subscriber
sees exactly the signals of an undisturbed replay.

The campaign: KAFKA_FAULTS=300 makes one of 300 faults chosen by SEED.
"""

import os
import pathlib
import random
import struct
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import jobs  # noqa: E402
from proxy import kafka as proxies  # noqa: E402
from trickle import Trickle  # noqa: E402

POPULATION = {"accounts": 60, "days": 45, "start": "2026-02-15", "intensity": 2, "largest": 10}
ERASED_AT = "2026-03-20T12:34:56.789Z"
PARTITIONS = 3
INVALID_PRODUCER_EPOCH, CONCURRENT_TRANSACTIONS, PRODUCER_FENCED = 47, 51, 90
# Api and action, in this order. Each meets the running worker once, while a part of the input goes through it.
FAULTS = [("EndTxn", "drop_answer"), ("EndTxn", "close_after"), ("EndTxn", "close_before"), ("EndTxn", "double"),
          ("EndTxn", "delay_answer"), ("EndTxn", "half_open"), ("TxnOffsetCommit", "drop_answer"),
          ("TxnOffsetCommit", "close_after"), ("AddOffsetsToTxn", "close_after"), ("AddPartitionsToTxn", "close_after"),
          ("Produce", "close_after"), ("Produce", "half_open"), ("Fetch", "half_open"), ("ListOffsets", "close_after"),
          ("Heartbeat", "half_open")]
APIS = ("Produce", "Fetch", "ListOffsets", "Metadata", "OffsetFetch", "FindCoordinator", "JoinGroup", "Heartbeat",
        "SyncGroup", "InitProducerId", "AddPartitionsToTxn", "AddOffsetsToTxn", "EndTxn", "TxnOffsetCommit")
ACTIONS = ("delay", "swallow", "drop_answer", "delay_answer", "double", "close_before", "close_after", "hold", "half_open")
CAMPAIGN = int(os.environ.get("KAFKA_FAULTS", "0"))


class Uncertain(jobs.TestCase):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("SEED", random.randrange(1 << 31)))
        self.random = random.Random(self.seed)
        self.input = self.population(**POPULATION, seed=self.seed % 1000)
        self.erasures_added(self.input, [f"acme-{i:05}" for i in range(0, 60, 4)], ERASED_AT)
        self.topics = self.create_topics(partitions=PARTITIONS)
        self.proxy = proxies.Proxy(self.broker.bootstrap)
        self.addCleanup(self.proxy.close)
        self.rows = jobs.timeline(self.input)

    def begin(self, parts, **properties):
        self.config = self.write_config(
            self.topics, rules=jobs.RULES, commit_interval="50ms",
            kafka={"brokers": self.proxy.bootstrap,
                   "properties": {"session.timeout.ms": "3000", "heartbeat.interval.ms": "300",
                                  "socket.timeout.ms": "1500", **properties}})
        self.trickle = Trickle(self, self.topics, jobs.parts(self.rows, parts, self.random), PARTITIONS)
        self.trickle.next()
        self.run = self.start_tidemark("run", "--config", self.config)
        self.trickle.wait(runs=[self.run])

    def finish(self):
        self.assertIsNone(self.run.returncode, self.run.stderr)
        while self.trickle.next():
            self.trickle.wait()
        self.proxy.clear()
        self.assertIn(self.run.terminate(), (0, 75), self.run.stderr)
        self.assertNotIn("shard_halted", self.run.stderr)
        self.trickle.end()
        self.tidemark.run("run", "--config", self.config, "--once")
        with self.subTest(seed=self.seed):
            self.assert_same_signals(self.signals(self.topics), self.replayed(self.input, self.config), minimum=40)

    def come_through(self, *said):
        """The part given last is taken; what went before is named if not."""
        before = len(self.run.lines())
        try:
            self.trickle.wait(runs=[self.run])
        except (AssertionError, harness.TimedOut) as error:
            raise type(error)(f"{' '.join(said)}, seed {self.seed}: {error}\n" +
                                 "\n".join(self.run.lines()[before:])) from None

    def test_faults_met_one_by_one(self):
        self.begin(parts=len(FAULTS) + 2)
        for api, action in FAULTS:
            fault = self.proxy.fault(api, action, seconds=0.25)
            self.trickle.next()
            fault.wait()
            self.come_through(api, action)
        self.finish()

    @unittest.skipUnless(CAMPAIGN, "a campaign: KAFKA_FAULTS says how many faults")
    def test_campaign(self):
        self.begin(parts=CAMPAIGN + 2)
        for n in range(CAMPAIGN):
            faults = [(self.random.choice(APIS), self.random.choice(ACTIONS)) for _ in range(self.random.choice((1, 1, 2, 3)))]
            for api, action in faults:
                self.proxy.fault(api, action, seconds=self.random.uniform(0, 0.5), skip=self.random.randrange(4))
            self.trickle.next()
            self.come_through(f"{n}:", *[f"{api} {action}" for api, action in faults])
            for held in list(self.proxy._faults):
                if held.action == "hold" and self.random.random() < 0.5:
                    held.release()
            if self.random.random() < 0.1:
                self.proxy.clear()
        self.finish()

    def test_a_late_copy_of_an_end_ends_no_other_transaction(self):
        """The first copy of an end is late, the second was answered; the first arrives when the next transaction has its
        outputs and not yet its offsets, and then the process dies. Were it obeyed, those outputs would be visible and
        published again."""
        self.begin(parts=4)
        ghost = self.proxy.fault("EndTxn", "hold")
        self.trickle.next()
        ghost.wait()
        self.trickle.wait(runs=[self.run])
        harness.wait_until("the transactions to end", lambda: not self.trickle.missing())
        gate = self.proxy.fault("AddOffsetsToTxn", "gate")
        self.trickle.next()
        gate.wait()
        ghost.release(answers=1)
        # Correlation id, throttle time, error: the producer's epoch is an old one.
        error = struct.unpack_from(">h", ghost.answers[0], 8)[0]
        self.run.kill()
        self.proxy.clear()
        gate.release()
        self.proxy.cut()
        self.run = self.start_tidemark("run", "--config", self.config)
        self.trickle.wait(runs=[self.run])
        self.finish()
        self.assertIn(error, (INVALID_PRODUCER_EPOCH, PRODUCER_FENCED))

    def test_a_late_initialisation_is_no_other_process(self):
        """The first copy of what makes a producer arrives after the second: it fences its own sender, which goes on with a
        new one instead of taking it for another process of its name. Once before a transaction, once in the middle of one.

        The sender stands at a gate meanwhile: a ghost that came before its second copy, or while the last transaction's
        end is being written down, would do nothing."""
        self.begin(parts=6, **{"socket.timeout.ms": "8000"})
        producer = f"{self.prefix}-one-0"
        for at, obeyed, ends in (("AddPartitionsToTxn", 0, ("Empty", "CompleteCommit", "CompleteAbort")),
                                 ("AddOffsetsToTxn", CONCURRENT_TRANSACTIONS, ("Ongoing",))):
            said = sum("fenced by a newer instance" in line for line in self.run.lines())
            ghost = self.proxy.fault("InitProducerId", "hold")
            self.proxy.fault("EndTxn", "close_before")
            self.trickle.next()
            ghost.wait()
            self.come_through("InitProducerId")
            gate = self.proxy.fault(at, "gate", count=None)
            self.trickle.next()
            gate.wait()
            harness.wait_until(f"one of {ends}", lambda ends=ends: self.kafka.transaction_state(producer) in ends)
            ghost.release(answers=1)
            # Correlation id, tags (none), throttle time, error. In the middle, its answer is to ask again.
            self.assertEqual(struct.unpack_from(">h", ghost.answers[0], 9)[0], obeyed)
            gate.release()
            gate.stop()
            self.come_through("InitProducerId", "released at", at)
            self.run.wait_for_line("fenced by a newer instance", skip=said)
        self.finish()

    def test_a_late_join_is_no_other_process(self):
        """Likewise what makes a member of the group, when its session had ended without it."""
        self.begin(parts=4)
        claimed = sum("shard_claimed" in line for line in self.run.lines())
        ghost = self.proxy.fault("JoinGroup", "hold")
        silent = self.proxy.fault("Heartbeat", "half_open", count=None)
        ghost.wait()
        silent.stop()
        # By the second join the shards are taken over again.
        self.run.wait_for_line("shard_claimed", skip=claimed)
        ghost.release(answers=1)
        self.run.wait_for_line("member_renewed")
        self.trickle.next()
        self.come_through("JoinGroup")
        self.finish()


if __name__ == "__main__":
    unittest.main()
