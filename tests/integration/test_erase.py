"""A null value on `accounts` erases: what was open is cleared, then nothing of the account is left anywhere tidemark
keeps things. And a person's id is never kept, or shown, as it came."""

import json
import pathlib
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import jobs  # noqa: E402

DAY = harness.DAY_MS
T0 = 1_772_323_200_000  # 2026-03-01T00:00:00Z
GONE = "canary-account-gone"
STAYS = "canary-account-stays"
PEOPLE = [f"canary-person-{n}@example.org" for n in range(40)]
RULES = """
version: 1
metrics:
  events: {count: "*", keep: 7d}
  users: {distinct: user}
  last_level: {last: properties.level}
  champion_events: {count: "*", where: user in champions}
rules:
  - {name: crowded, kind: expansion, when: 'users[7d] >= 5', summary: '{{users[7d] | number}} people'}
  - {name: silent, kind: churn_risk, when: 'age(events) >= 3d', clear: 'events[1d] >= 1'}
  - {name: led, kind: advisory, when: 'champion_events[7d] >= 2'}
"""


def everything_of(redis):
    """All that Redis holds, as bytes."""
    def flat(value):
        if isinstance(value, (list, tuple)):
            return b"\n".join(flat(v) for v in value)
        return value if isinstance(value, bytes) else str(value).encode()

    return b"\n".join(flat([key, value]) for key, value in redis.everything().items())


class Erase(jobs.TestCase):
    def events(self, account, day, count, people=PEOPLE):
        return [{"key": account, "timestamp": T0 + day * DAY + n * 1000,
                 "value": json.dumps({"id": f"{account}-{day}-{n}", "account": account, "event": "seen",
                                      "at": T0 + day * DAY + n * 1000, "user": people[n % len(people)],
                                      "properties": {"level": 7}})} for n in range(count)]

    def record(self, account, day):
        return {"key": account, "timestamp": T0 + day * DAY,
                "value": json.dumps({"account": account, "name": "canary-name", "champions": PEOPLE[:2], "seats": 40})}

    def once(self):
        done = self.tidemark.run("run", "--config", self.config, "--once")
        self.logs += done.stdout + done.stderr

    def values(self, account):
        done = self.tidemark.run("eval", "--config", self.config, "--account", account, "--json",
                                 "events[7d]", "users[7d]", "age(events)", "seats", "last_level")
        return done.json_lines()[0]["values"]

    def test_nothing_is_left(self):
        topics = self.create_topics(partitions=2)
        self.config = self.write_config(topics, rules=RULES, history="complete")
        self.logs = ""
        self.kafka.produce(topics["accounts"], [self.record(a, 0) for a in (GONE, STAYS)])
        self.kafka.produce(topics["usage"], self.events(GONE, 0, 40) + self.events(STAYS, 0, 40) + self.events(STAYS, 1, 3))
        self.once()
        kept = everything_of(self.redis)
        self.assertIn(GONE.encode(), kept)
        self.assertEqual(self.values(GONE)["users[7d]"], 40)

        erased_at = T0 + 2 * DAY + 12345
        self.kafka.produce(topics["accounts"], [{"key": GONE, "timestamp": erased_at, "value": None}])
        # The shard goes on for long enough that fingerprints run out and every mark of publication is made.
        self.kafka.produce(topics["usage"], self.events(STAYS, 3, 3))
        self.once()
        self.kafka.produce(topics["usage"], self.events(STAYS, 4, 3))
        self.once()
        kept = everything_of(self.redis)
        for canary in (GONE, "canary-person"):
            self.assertNotIn(canary.encode(), kept)
        self.assertIn(STAYS.encode(), kept)

        cleared = [s for s in self.signals(topics) if s["subject"] == GONE and s["data"]["state"] == "cleared"]
        self.assertEqual({(s["data"]["rule"], s["data"]["reason"], jobs.epoch_ms(s["time"]), s["data"]["facts"])
                          for s in cleared},
                         {("crowded", "erased", erased_at, None), ("led", "erased", erased_at, None)})
        tombstones = [(r.key, r.value) for r in self.records(topics, ("health",))["health"]]
        self.assertIn((GONE, None), tombstones)

        # Later events make a new account, without facts and without a past.
        self.assertEqual(self.values(GONE), {"events[7d]": 0, "users[7d]": 0, "age(events)": None, "seats": None,
                                             "last_level": None})
        self.kafka.produce(topics["usage"], self.events(GONE, 5, 2))
        self.once()
        self.assertEqual(self.values(GONE), {"events[7d]": 2, "users[7d]": 2, "age(events)": 0, "seats": None,
                                             "last_level": 7})
        self.assert_valid(topics)
        self.assert_no_person_anywhere(topics)

    def assert_no_person_anywhere(self, topics):
        """User ids are kept as keyed hashes only: in Redis, signals, journal, and in what is logged."""
        self.assertNotIn(b"canary-person", everything_of(self.redis))
        for role, records in self.records(topics, ("churn_risk", "expansion", "advisories", "journal", "health")).items():
            for r in records:
                self.assertNotIn("canary-person", f"{r.value}{r.headers}", role)
        self.assertNotIn("canary-person", self.logs)

    def test_erased_before_anything_was_known(self):
        topics = self.create_topics(partitions=2)
        self.config = self.write_config(topics, rules=RULES, history="complete")
        self.logs = ""
        self.kafka.produce(topics["accounts"], [{"key": "nobody", "timestamp": T0, "value": None}])
        self.kafka.produce(topics["usage"], self.events(STAYS, 0, 3))
        self.once()
        self.kafka.produce(topics["usage"], self.events(STAYS, 1, 3))
        self.once()  # what was published is forgotten by the next commit
        self.assertEqual([s for s in self.signals(topics) if s["subject"] == "nobody"], [])
        self.assertNotIn(b"nobody", everything_of(self.redis))


if __name__ == "__main__":
    unittest.main()
