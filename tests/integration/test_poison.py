"""A record that trips an internal check is passed over once and for all and the rest counts exactly; a shard whose
invariant broke halts with a report while the others go on. The records trip by a property that only the build of the
crash tests looks at."""

import json
import pathlib
import re
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import jobs  # noqa: E402

T0 = 1_772_000_000_000  # 2026-02-25T06:13:20Z
MINUTE = 60_000
HOOKED = harness.ROOT / "build" / "crash" / "tidemark"
RULES = """
version: 1
metrics:
  events: {count: "*"}
  amount: {sum: value}
rules:
  - {name: busy, kind: expansion, when: 'events[1d] >= 3', value: 'events[1d]'}
  - {name: spender, kind: advisory, when: 'amount[1d] >= 20', value: 'amount[1d]', clear: 'amount[1d] < 0'}
"""


def event(number, account, trip=None):
    more = {"properties": {"tidemark.trip": trip}} if trip else {}
    return {"id": f"e{number}", "account": account, "event": "seen", "at": T0 + number * MINUTE, "value": 7, **more}


def fields(line):
    """key=value of a log line, quoted or not."""
    return {key: (quoted.replace('\\"', '"') if quoted else plain) for key, quoted, plain in
            re.findall(r'(\w+)=(?:"((?:[^"\\]|\\.)*)"|(\S*))', line)}


@unittest.skipUnless(HOOKED.exists(), "no build of the crash tests")
class Poison(jobs.TestCase):
    @property
    def hooked(self):
        return harness.Tidemark(HOOKED, cwd=self.dir)

    def accounts_of_partitions(self):
        """Two names that lie in partition 0, and two of partition 1."""
        by_partition = {0: [], 1: []}
        for n in range(100):
            by_partition[jobs.partition_of(f"c{n}", 2)].append(f"c{n}")
        return by_partition[0][:2] + by_partition[1][:2]

    def test_it_is_passed_over_and_a_rebuild_passes_over_it_too(self):
        topics = self.create_topics(partitions=2)
        config = self.write_config(topics, rules=RULES)
        names = self.accounts_of_partitions()
        events = [event(n, names[n % 4]) for n in range(40)]
        poison, company = (9, 22), (14,)
        for n in poison:
            events[n] = event(n, names[n % 4], "record")
        for n in company:
            events[n] = event(n, names[n % 4], "company")
        self.kafka.produce(topics["usage"], [{"key": e["account"], "value": json.dumps(e), "timestamp": e["at"]}
                                             for e in events])
        done = self.hooked.run("run", "--config", config, "--once")
        self.assertEqual(done.stderr.count("record_poison"), 2, done.stderr)
        self.assertEqual(done.stderr.count("record_suspected"), 3, done.stderr)
        self.assertEqual(done.stderr.count("record_acquitted"), 1, done.stderr)
        # As if the two had not been there; their bytes and the check are in the letters.
        without = self.files([e for n, e in enumerate(events) if n not in poison])
        expected = self.replayed(without, config)
        self.assert_same_signals(self.signals(topics), expected, minimum=4)
        letters = [r.json() for r in self.records(topics, ("dead_letters",))["dead_letters"]]
        self.assertEqual(sorted((r["reason"], r["key"]) for r in letters),
                         sorted(("internal_check", names[n % 4]) for n in poison))
        self.assertTrue(all("tripped_by_record" in r["detail"] for r in letters), letters)
        journal = [json.loads(r.value) for r in self.records(topics, ("journal",))["journal"]]
        told = sorted((line["partition"], skip["offset"]) for line in journal for skip in line.get("skipped", []))
        self.assertEqual(told, sorted((r["partition"], r["offset"]) for r in letters))
        self.assert_valid(topics)
        # Nothing is done twice, and an empty Redis is filled from the journal under a build without the hook.
        self.hooked.run("run", "--config", config, "--once")
        before = self.values(config, names)
        self.redis.command("FLUSHALL")
        done = self.tidemark.run("run", "--config", config, "--once")
        self.assertEqual(done.stderr.count("event=rebuilt"), 2, done.stderr)
        self.assertNotIn("rebuild_differs", done.stderr)
        self.assertEqual(self.values(config, names), before)
        self.assertEqual(sum(before.values()), len(events) - len(poison))
        self.assert_same_signals(self.signals(topics), expected)
        self.assertEqual(len(self.records(topics, ("dead_letters",))["dead_letters"]), 2)

    def values(self, config, names):
        return {name: self.tidemark.run("eval", "--config", config, "--account", name, "--json", "events[1d]")
                .json_lines()[0]["values"]["events[1d]"] for name in names}

    def test_a_broken_shard_halts_with_a_report(self):
        topics = self.create_topics(partitions=2)
        config = self.write_config(topics, rules=RULES)
        first, _, other, _ = self.accounts_of_partitions()

        def send(events):
            self.kafka.produce(topics["usage"], [{"key": e["account"], "value": json.dumps(e), "timestamp": e["at"]}
                                                 for e in events])

        send([event(1, first), event(2, other)])
        self.hooked.run("run", "--config", config, "--once")
        send([event(11, first, "judge"), event(12, first), event(13, other), event(14, other), event(15, first)])
        done = self.hooked.run("run", "--config", config, "--once", status=70)
        self.assertIn("open_episodes", done.stderr)
        [report] = [fields(line) for line in done.stderr.splitlines() if "shard_broken" in line]
        self.assertEqual((report["check"], report["partition"], report["accounts"]), ("open_episodes", "0", "1"))
        self.assertRegex(report["at"], r"^judge\.c:\d+$")
        self.assertRegex(report["state_hash"], r"^[0-9a-f]{16}$")
        self.assertEqual((report["commit"], report["next_usage"]), ("1", "1"), "what Redis has")
        [halt] = [fields(line) for line in done.stderr.splitlines() if "shard_halted" in line]
        self.assertEqual(halt["code"], "invariant")
        # The other shard went on, and nothing of the broken one came out.
        self.assertEqual([(s["data"]["account"], s["data"]["rule"]) for s in self.signals(topics)],
                         [(other, "busy"), (other, "spender")])


if __name__ == "__main__":
    unittest.main()
