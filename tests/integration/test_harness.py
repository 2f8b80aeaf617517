"""The ground itself: a real broker and Redis do what the other tests take for granted."""

import base64
import collections
import os
import pathlib
import signal
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402

T0 = 1_704_067_200_000  # 2024-01-01T00:00:00Z


def murmur2_partition(key, partitions):
    """Kafka's default partition of a key, written out from the published algorithm."""
    m, mask = 0x5BD1E995, 0xFFFFFFFF
    h = (0x9747B28C ^ len(key)) & mask
    whole = len(key) & ~3
    for i in range(0, whole, 4):
        k = int.from_bytes(key[i:i + 4], "little") * m & mask
        h = (h * m ^ (k ^ k >> 24) * m) & mask
    rest = key[whole:]
    if rest:
        h = (h ^ int.from_bytes(rest, "little")) * m & mask
    h = (h ^ h >> 13) * m & mask
    return ((h ^ h >> 15) & 0x7FFFFFFF) % partitions


class SharedBroker(harness.TestCase):
    def test_every_kind_of_bytes_comes_back(self):
        self.kafka.create_topics([self.prefix])
        sent = [
            {"key": "plain", "value": "text ✓ \n\t\"", "timestamp": T0, "headers": [("a", "1"), ("a", b"\xff\x00"), ("b", None)]},
            {"key": b"\xfe\xff", "value": b"\x00\x80", "timestamp": T0 + 5},
            {"key": "erased", "value": None, "timestamp": T0 + 1},
            {"value": "no key"},
        ]
        self.assertEqual(self.kafka.produce(self.prefix, sent), 4)
        got = self.kafka.read(self.prefix)
        self.assertEqual([(r.key, r.value) for r in got], [(r.get("key"), r["value"]) for r in sent])
        self.assertEqual([r.timestamp for r in got[:3]], [T0, T0 + 5, T0 + 1])
        self.assertEqual(got[0].headers, [("a", "1"), ("a", b"\xff\x00"), ("b", None)])

    def test_files_of_records_are_stamped_with_their_running_maximum(self):
        self.kafka.create_topics([self.prefix], partitions=3)
        lines = [
            '{"id": "1", "account": "a", "event": "e", "at": "2024-01-01T01:00:00+01:00"}',
            '{"id": "2", "account": "b", "event": "e", "at": 1704067260000}',
            '{"id": "3", "account": "a", "event": "e", "at": "2024-01-01T00:00:30.250Z"}',
            '{"account": "b", "at": "2024-01-01T00:02:00Z", "erase": true}',
            '{"id": "5", "account": "c", "event": "e", "at": "2024-06-30T23:59:60Z"}',
        ]
        path = self.dir / "records.ndjson"
        path.write_text("\n".join(lines) + "\n")
        self.assertEqual(self.kafka.produce_records(self.prefix, path), 5)
        got = sorted(self.kafka.read(self.prefix), key=lambda r: (r.timestamp, r.key))
        self.assertEqual([(r.key, r.timestamp - T0, r.value) for r in got], [
            ("a", 0, lines[0]), ("a", 60_000, lines[2]), ("b", 60_000, lines[1]), ("b", 120_000, None),
            ("c", 182 * harness.DAY_MS, lines[4])])
        for r in got:
            self.assertEqual(r.partition, murmur2_partition(r.key.encode(), 3), r)

    def test_transactions_hide_what_is_open_or_aborted(self):
        self.kafka.create_topics([self.prefix])
        self.kafka.produce(self.prefix, [{"value": "committed"}], transactional_id=self.prefix + "a")
        self.kafka.produce(self.prefix, [{"value": "aborted"}], transactional_id=self.prefix + "b", end="abort")
        self.kafka.produce(self.prefix, [{"value": "open"}], transactional_id=self.prefix + "c", end="open")

        def values(isolation):
            return [r.value for r in self.kafka.read(self.prefix, isolation=isolation)]

        self.assertEqual(values("read_committed"), ["committed"])
        self.assertEqual(values("read_uncommitted"), ["committed", "aborted", "open"])
        where = self.kafka.offsets([self.prefix])[(self.prefix, 0)]
        self.assertEqual((where["start"], where["stable"], where["end"]), (0, 4, 5))
        self.kafka.end_transaction(self.prefix + "c", "commit")
        self.assertEqual(values("read_committed"), ["committed", "open"])

    def test_topics_and_groups_can_be_looked_at_and_moved(self):
        topics = self.create_topics(partitions=2)
        found = self.kafka.describe_topics([topics["usage"], topics["accounts"]])
        self.assertEqual(found[topics["usage"]]["partitions"], 2)
        self.assertEqual(found[topics["usage"]]["configs"]["retention.ms"], "-1")
        self.assertEqual(found[topics["accounts"]]["configs"]["cleanup.policy"], "compact")
        self.assertNotIn(topics["journal"], self.kafka.topics())
        self.kafka.move_group(self.prefix, {(topics["usage"], 1): (7, "n=3")})
        self.assertEqual(self.kafka.group_offsets(self.prefix), {(topics["usage"], 1): (7, "n=3")})
        self.kafka.grow_topic(topics["usage"], 3)
        harness.wait_until("the third partition", lambda: len(self.kafka.offsets([topics["usage"]])) == 3)
        with self.assertRaisesRegex(harness.HarnessError, "TopicExists"):
            self.kafka.create_topics([topics["usage"]])

    def test_reading_waits_for_records_up_to_its_deadline(self):
        self.kafka.create_topics([self.prefix])
        self.kafka.produce(self.prefix, [{"value": "one"}])
        self.assertEqual(len(self.kafka.read(self.prefix, records=1)), 1)
        with self.assertRaisesRegex(harness.HarnessError, "read 1 of 2 records"):
            self.kafka.read(self.prefix, records=2, timeout=0.3)


class OwnBroker(unittest.TestCase):
    def test_records_survive_kill_and_stop(self):
        broker = harness.Broker({"log.retention.hours": "1"})
        self.addCleanup(broker.kill)
        address = broker.start()
        kafka = harness.Kafka(address)
        self.addCleanup(kafka.close)
        kafka.create_topics(["many"], partitions=6)
        path = harness.temp_dir() / "lines.tsv"
        with open(path, "w") as out:
            for i in range(10_000):
                out.write(f"\taccount-{i % 700}\t{T0 + i * 1000}\tvalue {i}\n")
        self.assertEqual(kafka.produce_lines("many", path), 10_000)

        def check(records):
            self.assertEqual(len(records), 10_000)
            self.assertEqual({int(r.value.split()[1]) for r in records}, set(range(10_000)))
            by_key = collections.defaultdict(list)
            for r in records:
                number = int(r.value.split()[1])
                self.assertEqual((r.key, r.timestamp), (f"account-{number % 700}", T0 + number * 1000))
                self.assertEqual(r.partition, murmur2_partition(r.key.encode(), 6))
                by_key[r.key].append(number)
            for numbers in by_key.values():
                self.assertEqual(numbers, sorted(numbers))

        check(kafka.read("many"))
        broker.kill()
        self.assertEqual(broker.start(), address)
        check(kafka.read("many"))
        broker.stop()
        self.assertEqual(broker.start(), address)
        check(kafka.read("many", isolation="read_uncommitted"))

    def test_a_broker_that_cannot_start_says_why(self):
        broker = harness.Broker({"log.segment.bytes": "nonsense"})
        with self.assertRaisesRegex(harness.HarnessError, "log.segment.bytes"):
            broker.start()


class PrivateRedis(unittest.TestCase):
    def start(self, **more):
        redis = harness.Redis(**more)
        self.addCleanup(redis.kill)
        redis.start()
        return redis

    def test_commands_and_replies(self):
        redis = self.start()
        self.assertEqual(redis.command("SET", "k", b"\xff\x00"), "OK")
        self.assertEqual(redis.command("GET", "k"), b"\xff\x00")
        self.assertIsNone(redis.command("GET", "none"))
        redis.command("HSET", "h", "f", "v", "g", 2)
        self.assertEqual(redis.everything(), {"k": b"\xff\x00", "h": ["f", "v", "g", "2"]})
        with self.assertRaises(harness.RedisError):
            redis.command("INCR", "h")
        self.assertEqual(redis.command("CONFIG", "GET", "maxmemory-policy"), ["maxmemory-policy", "noeviction"])

    def test_two_are_two(self):
        one, two = self.start(), self.start()
        one.command("SET", "k", "v")
        self.assertIsNone(two.command("GET", "k"))

    def test_kill_loses_memory_and_the_append_only_file_keeps_it(self):
        plain = self.start()
        kept = self.start(options={"appendonly": "yes", "appendfsync": "always"}, unix=True)
        for redis in (plain, kept):
            redis.command("SET", "k", "v")
            url = redis.url
            redis.kill()
            self.assertEqual(redis.start(), url)
        self.assertIsNone(plain.command("GET", "k"))
        self.assertEqual(kept.command("GET", "k"), "v")


class Children(unittest.TestCase):
    def child(self, script):
        child = harness.Child(["bash", "-c", script])
        self.addCleanup(child.kill)
        return child

    def test_lines_are_waited_for(self):
        child = self.child("echo first >&2; echo 'ready port=12'; exec sleep 60")
        self.assertEqual(child.wait_for_line(r"port=(\d+)")[1], "12")
        child.wait_for_line("first", which="stderr")  # two pipes, two readers: the order between them is nobody's
        self.assertEqual(child.lines("stderr"), ["first"])
        with self.assertRaisesRegex(harness.HarnessError, "0.2 s passed"):
            child.wait_for_line("never", timeout=0.2)
        self.assertEqual(child.terminate(), -signal.SIGTERM)

    def test_a_child_that_ended_is_not_waited_for(self):
        child = self.child("echo gone >&2; exit 3")
        with self.assertRaisesRegex(harness.HarnessError, "(?s)ended with .*gone"):
            child.wait_for_line("never", timeout=60)
        self.assertEqual(child.wait(), 3)

    def test_nothing_outlives_the_tests(self):
        script = ("import sys, os, time; sys.path.insert(0, sys.argv[1]); import harness\n"
                  "r = harness.Redis(); r.start(); print(r.process.pid, flush=True); os.kill(os.getpid(), 9)")
        done = subprocess.run([sys.executable, "-c", script, str(harness.SUPPORT)], stdout=subprocess.PIPE, text=True,
                              check=False)
        pid = int(done.stdout)

        def gone():
            try:
                return pathlib.Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[0] == "Z"
            except OSError:
                return True

        harness.wait_until(f"redis-server {pid} to end", gone, timeout=10)


class Configuration(unittest.TestCase):
    def test_yaml_says_what_was_meant(self):
        text = harness.yaml({"group": "a: b", "kafka": {"brokers": "h:1", "properties": {"fetch.min.bytes": 5}},
                             "workers": 3, "user_key": harness.Verbatim("!file user.key")})
        self.assertEqual(text, 'group: "a: b"\nkafka:\n  brokers: "h:1"\n  properties:\n    "fetch.min.bytes": 5\n'
                               'workers: 3\nuser_key: !file user.key\n')


if __name__ == "__main__":
    unittest.main()
