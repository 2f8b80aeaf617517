"""What cannot be used goes to the dead-letter topic once, with its reason, place and original bytes, and never stops the
stream."""

import base64
import json
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import jobs  # noqa: E402

T0 = 1_772_000_000_000  # 2026-02-25T06:13:20Z
MINUTE = 60_000
RULES = """
version: 1
metrics:
  events: {count: "*"}
rules:
  - {name: busy, kind: expansion, when: 'events[1d] >= 2'}
"""


def event(number, account="acme", at=T0, **more):
    return json.dumps({"id": f"e{number}", "account": account, "event": "seen", "at": at, **more})


class DeadLetters(jobs.TestCase):
    def test_every_kind_goes_there_once(self):
        topics = self.create_topics(partitions=1)
        config = self.write_config(topics, rules=RULES, commit_interval="200ms")
        long_text = "x" * 300
        usage = [
            ("invalid_json", "acme", "{not json"),
            ("invalid_json", "acme", '{"id": "a", "account"'),
            ("invalid_utf8", "acme", b'{"id": "\xff", "account": "acme", "event": "seen", "at": 1772000000000}'),
            ("too_deep", "acme", event(11)[:-1] + ', "x": ' + "[" * 40 + "]" * 40 + "}"),
            ("trailing_bytes", "acme", event(1) + " {}"),
            ("duplicate_key", "acme", event(2)[:-1] + ', "account": "acme"}'),
            ("missing_field", "acme", '{"id": "m", "account": "acme", "at": 1772000000000}'),
            ("wrong_type", "acme", event(3, value="ten")),
            ("number_out_of_range", "acme", event(4, value=9e9 + 1)),
            ("string_too_long", "acme", event(5)[:-1] + f', "user": "{long_text}"}}'),
            ("string_empty", "acme", event(6).replace('"seen"', '""')),
            ("invalid_time", "acme", event(7, at="2026-02-30T00:00:00Z")),
            ("invalid_time", "acme", event(8, at="yesterday")),
            ("future", "acme", event(9, at=T0 + 6 * MINUTE)),
            ("key_mismatch", "globex", event(10)),
            ("no_value", "acme", None),
            ("no_key", None, event(12)),
        ]
        accounts = [
            ("account_mismatch", "acme", json.dumps({"account": "globex", "seats": 3})),
            ("wrong_type", "acme", json.dumps({"account": "acme", "seats": "many"})),
        ]
        rows = {"usage": usage, "accounts": accounts}
        self.kafka.produce(topics["accounts"], [{"key": k, "value": v, "timestamp": T0} for _, k, v in accounts])
        self.kafka.produce(topics["usage"], [{"key": "acme", "value": event(100), "timestamp": T0}]
                           + [{"key": k, "value": v, "timestamp": T0 + 1} for _, k, v in usage]
                           + [{"key": "acme", "value": event(101), "timestamp": T0 + 2 * MINUTE},
                              {"key": "globex", "value": event(102, account="globex"), "timestamp": T0 + 5 * MINUTE}])
        self.tidemark.run("run", "--config", config, "--once")
        # A second run finds nothing new.
        self.tidemark.run("run", "--config", config, "--once")

        letters = self.records(topics, ("dead_letters",))["dead_letters"]
        found = {(r.json()["topic"], r.json()["offset"]): r for r in letters}
        self.assertEqual(len(found), len(letters), "one is there twice")
        self.assertEqual(len(letters), len(usage) + len(accounts), [r.json()["reason"] for r in letters])
        for role, first in (("usage", 1), ("accounts", 0)):
            for n, (reason, key, value) in enumerate(rows[role]):
                letter = found[topics[role], first + n]
                said = letter.json()
                raw = value.encode() if isinstance(value, str) else value
                with self.subTest(reason=reason, value=value):
                    self.assertEqual(said["reason"], reason, said["detail"])
                    self.assertEqual((said["partition"], said["key"], said["truncated"]), (0, key, False))
                    self.assertEqual(said["value_base64"], None if raw is None else base64.b64encode(raw).decode())
                    self.assertTrue(said["detail"])
                    self.assertEqual(letter.key, key)
                    self.assertEqual(jobs.epoch_ms(said["timestamp"]), T0 if role == "accounts" else T0 + 1)
        self.assert_valid(topics, minimum={"dead_letters": len(letters)})
        # The stream went on: both good events count.
        signals = self.signals(topics)
        self.assertEqual([(s["data"]["rule"], s["data"]["state"], s["data"]["value"]) for s in signals],
                         [("busy", "raised", 2)])

    def test_timestamps_from_the_future_are_clamped_by_the_clock(self):
        topics = self.create_topics(partitions=1, without=("journal", "usage"))
        # Brokers since 3.6 refuse such records unless told otherwise.
        self.kafka.create_topics([topics["usage"]], **{"message.timestamp.after.max.ms": str(2 ** 63 - 1)})
        config = self.write_config(topics, rules=RULES, history="complete")
        now = int(time.time() * 1000)
        ahead = now + 3 * harness.DAY_MS
        self.kafka.produce(topics["usage"], [
            {"key": "acme", "value": event(1, at=now), "timestamp": now},
            {"key": "acme", "value": event(2, at=ahead), "timestamp": ahead},
            {"key": "acme", "value": event(3, at=now), "timestamp": ahead},
        ])
        run = self.start_tidemark("run", "--config", config)
        run.wait_for_line("shard_claimed")
        harness.wait_until("all to be taken", interval=0.1, condition=lambda: self.kafka.group_offsets(self.prefix).get(
            (topics["usage"], 0), (0,))[0] == 3)
        self.assertEqual(run.terminate(), 0, run.stderr)
        letters = [r.json() for r in self.records(topics, ("dead_letters",))["dead_letters"]]
        self.assertEqual([(r["reason"], r["offset"]) for r in letters], [("future", 1)])
        # Nobody was carried three days ahead: the shard stands at the clock.
        done = self.tidemark.run("eval", "--config", config, "--account", "acme", "--json", "events[1d]")
        [answer] = done.json_lines()
        self.assertLess(jobs.epoch_ms(answer["at"]), now + harness.DAY_MS)
        self.assertEqual(answer["values"], {"events[1d]": 2})

    def test_key_mismatch_may_be_ignored(self):
        topics = self.create_topics(partitions=1)
        config = self.write_config(topics, rules=RULES, key_mismatch="ignore")
        self.kafka.produce(topics["usage"], [{"key": "elsewhere", "value": event(n), "timestamp": T0 + n}
                                             for n in range(2)])
        self.tidemark.run("run", "--config", config, "--once")
        self.assertEqual(self.records(topics, ("dead_letters",))["dead_letters"], [])
        done = self.tidemark.run("eval", "--config", config, "--account", "acme", "--json", "events[1d]")
        self.assertEqual(done.json_lines()[0]["values"], {"events[1d]": 2})


if __name__ == "__main__":
    unittest.main()
