"""Kafka that refuses, is away, or moves, under a running worker: it waits, says for what, stays in its group or comes
back to it, goes on by itself, and the signals are those of an undisturbed replay. KAFKA_LONG=1: what takes long, too."""

import json
import os
import pathlib
import random
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import jobs  # noqa: E402
import secured  # noqa: E402
from trickle import Trickle  # noqa: E402

POPULATION = {"accounts": 60, "days": 45, "start": "2026-02-15", "intensity": 2, "largest": 10}
ERASED_AT = "2026-03-20T12:34:56.789Z"
PARTITIONS = 3
LONG = os.environ.get("KAFKA_LONG")


class Surroundings(jobs.TestCase):
    def setUp(self):
        super().setUp()
        self.seed = int(os.environ.get("SEED", random.randrange(1 << 31)))
        self.random = random.Random(self.seed)
        self.input = self.population(**POPULATION, seed=self.seed % 1000)
        self.erasures_added(self.input, [f"acme-{i:05}" for i in range(0, 60, 4)], ERASED_AT)
        self.rows = jobs.timeline(self.input)

    def begin(self, parts, **kafka):
        self.prepare(parts, **kafka)
        self.start()

    def prepare(self, parts, **kafka):
        self.topics = self.create_topics(partitions=PARTITIONS)
        self.config = self.write_config(
            self.topics, rules=jobs.RULES, commit_interval="50ms",
            kafka={**kafka, "properties": {"session.timeout.ms": "3000", "heartbeat.interval.ms": "300",
                                           **kafka.get("properties", {})}})
        self.trickle = Trickle(self, self.topics, jobs.parts(self.rows, parts, self.random), PARTITIONS)
        self.trickle.next()

    def start(self):
        self.run = self.start_tidemark("run", "--config", self.config)
        self.goes_on()

    def goes_on(self):
        self.trickle.wait(timeout=120, runs=[self.run])

    def finish(self):
        self.assertIsNone(self.run.returncode, self.run.stderr)
        while self.trickle.next():
            self.goes_on()
        self.assertEqual(self.run.terminate(), 0, self.run.stderr)
        self.assertNotIn("shard_halted", self.run.stderr)
        self.trickle.end()
        self.tidemark.run("run", "--config", self.config, "--once")
        with self.subTest(seed=self.seed):
            self.assert_same_signals(self.signals(self.topics), self.replayed(self.input, self.config), minimum=40)

    def test_outputs_refused(self):
        self.begin(parts=8)
        # Not even one signal fits any more: it is waited for the topic to take it.
        self.kafka.configure_topic(self.topics["churn_risk"], **{"max.message.bytes": "600"})
        refusal = f"event=waiting .*{self.topics['churn_risk']}' refuses a .*max.message.bytes"
        while not any(re.search(refusal, line) for line in self.run.lines()):
            self.assertTrue(self.trickle.next(), "no part had a signal")
            harness.wait_until("a refusal, or no signal in the part", condition=lambda: not
                               self.trickle.missing() or any(re.search(refusal, x) for x in self.run.lines()))
        # Now one does, and few of them together do not.
        self.kafka.configure_topic(self.topics["churn_risk"], **{"max.message.bytes": "2500"})
        self.goes_on()
        # A dead letter is cut: the record itself is still in the input.
        letters = self.topics["dead_letters"]
        self.kafka.configure_topic(letters, **{"max.message.bytes": "6000"})
        at = self.trickle.last
        poison = {"key": "acme-00001", "timestamp": at, "value": "{" + "x" * 20000}
        self.kafka.produce(self.topics["usage"], [poison])
        self.trickle.next()
        self.goes_on()
        cut = [json.loads(r.value) for r in self.kafka.read(letters) if len(r.value) > 3000]
        self.assertEqual([c["truncated"] for c in cut], [True])
        self.finish()

    def test_a_broker_that_stops_and_one_that_is_killed(self):
        # A broker of its own: the shared one may serve other tests at the same time.
        self.stand_on(harness.Broker())
        self.begin(parts=4)
        # It stands still for longer than the session, as in a long collection of garbage: the library gives its session up
        # by itself and joins anew beside the member it was, which may fence it.
        self.stood.freeze()
        self.run.wait_for_line("SESSTMOUT")
        self.stood.thaw()
        self.goes_on()
        for down in (self.stood.stop, self.stood.kill):
            self.trickle.next()  # it goes down in the middle of this
            down()
            self.run.wait_for_line("event=kafka_unreachable|event=waiting")
            self.stood.start()
            self.goes_on()
        self.finish()

    def stand_on(self, ground):
        """This test's broker or cluster, and a foreign client of it."""
        self.stood = ground
        self.addCleanup(ground.kill)
        ground.start()
        self._kafka = harness.Kafka(ground.bootstrap)
        self.addCleanup(self._kafka.close)

    @property
    def broker(self):
        return getattr(self, "stood", None) or super().broker

    @property
    def kafka(self):
        return getattr(self, "_kafka", None) or super().kafka

    @unittest.skipUnless(LONG, "three brokers: KAFKA_LONG=1")
    def test_each_of_three_brokers_killed_in_turn(self):
        """With it go the coordinators of the group and of the transactions, leaders of every topic, and the controller."""
        self.stand_on(harness.Cluster(3))
        self.kafka.replication = 3
        self.begin(parts=9)
        for broker in self.stood.brokers:
            self.trickle.next()
            broker.kill()
            self.goes_on()
            self.trickle.next()
            self.goes_on()
            broker.start()
        self.finish()

    @unittest.skipUnless(LONG, "three brokers: KAFKA_LONG=1")
    def test_partitions_without_a_leader(self):
        """Topics of one replica: while its broker is away, longer than the session, nobody leads some of the partitions."""
        self.stand_on(harness.Cluster(3, properties={"min.insync.replicas": "1"}))
        self.begin(parts=6, properties={"session.timeout.ms": "6000"})
        for broker in self.stood.brokers:
            self.trickle.next()
            broker.kill()
            self.run.wait_for_line("event=waiting", skip=sum("event=waiting" in x for x in self.run.lines()))
            self.assertIsNone(self.run.returncode, self.run.stderr)
            broker.start()
            self.goes_on()
        self.finish()

    @unittest.skipUnless(LONG, "a guarded broker: KAFKA_LONG=1")
    def test_rights_taken_away_under_way(self):
        """Reading, the group, publishing: each refused in the middle, named, and gone on with when it is granted again."""
        self.stood, self._kafka, acls = secured.shared_broker()
        (self.dir / "sasl.password").write_text(secured.PASSWORD + "\n")
        (self.dir / "sasl.password").chmod(0o600)
        guarded = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "tidemark",
                   "sasl.password": harness.Verbatim("!file sasl.password"),
                   "ssl.ca.location": str(self.stood.certificates / "ca.pem")}
        self.prepare(parts=8, brokers=self.stood.sasl, properties=guarded)
        for lines in secured.commands_of(self.tidemark.run("check", "--permissions", "--config", self.config).stdout):
            for line in lines:
                acls.run(line)
        rights = json.loads(self.tidemark.run("check", "--permissions", "--json", "--config", self.config).stdout)["kafka"]
        of = {(r["resource"], r["name"], r["operation"]): r for r in rights if r["for"] == "run"}
        self.start()
        for key, said in ((("topic", self.topics["usage"], "Read"), "uthorization failed"),
                          (("group", self.prefix, "Read"), "uthorization failed"),
                          (("topic", self.topics["journal"], "Write"), "uthorization failed")):
            before = len(self.run.lines())
            acls.change(of[key], back=False)
            self.trickle.next()
            harness.wait_until(f"{key} to be missed", condition=lambda: any(
                "event=waiting" in line and said in line for line in self.run.lines()[before:]))
            self.assertIsNone(self.run.returncode, self.run.stderr)
            acls.change(of[key], back=True)
            self.goes_on()
        self.finish()

    @unittest.skipUnless(LONG, "half a minute of time-outs: KAFKA_LONG=1")
    def test_an_output_topic_deleted_under_way(self):
        self.begin(parts=3)
        letters = self.topics["dead_letters"]
        self.kafka.delete_topics([letters])
        self.kafka.produce(self.topics["usage"], [{"key": "acme-00001", "timestamp": self.trickle.last, "value": "{"}])
        self.trickle.next()
        self.run.wait_for_line("event=waiting .*what=publisher.*(there is no topic|not delivered in time)")
        self.kafka.create_topics([letters], partitions=PARTITIONS)
        self.goes_on()
        self.finish()


if __name__ == "__main__":
    unittest.main()
