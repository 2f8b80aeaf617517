"""Load on a running tidemark, and an answer to the one question: are the signals and the state exactly what they should
be? Events are stamped by the clock and trickle in while the test does what it does; at the end `replay` has the word, on
the same records, up to where the run came.

    class Something(live.TestCase):
        def test_it(self):
            run = self.begin(redis={"url": …})
            …; self.feed(); …                   # events of this moment, as often as wanted
            self.caught_up()                    # everything fed is committed in both ledgers
            self.finish()                       # stops, and compares
"""

import json
import random
import time

import harness
import jobs

LEAST, MOST, STEP = 3, 60, 3  # one rule for each number of events that an account may come to

RULES = """
version: 1
metrics:
  events: {count: "*"}
  users: {distinct: user, keep: 2d}
rules:
  - {name: pulse, kind: expansion, when: 'events[2d] >= 2', for: 2s, clear: 'events[2d] >= 8', clear_for: 1s}
""" + "".join(f"  - {{name: at{n}, kind: churn_risk, when: 'events[2d] >= {n}', for: 1s}}\n"
              for n in range(LEAST, MOST, STEP))

# A record is stamped a second back: no commit that takes it began before, and stream time stays `grace` behind.
STAMPED_BACK = 1000


class TestCase(jobs.TestCase):
    partitions = 3
    accounts = 40

    def begin(self, workers=1, wait=True, **settings):
        """Topics, configuration, first events, and the run, once it has its shards."""
        self.random = random.Random(7)
        self.topics = self.create_topics(partitions=self.partitions)
        self.config = self.write_config(
            self.topics, rules=RULES, workers=workers, history="complete", evaluate_every="1s", commit_interval="100ms",
            **settings)
        self.sent = []
        self.feed()
        self.run_ = self.start()
        if wait:
            for n in range(self.partitions):
                self.run_.wait_for_line("shard_claimed", skip=n)
        return self.run_

    def start(self):
        return self.start_tidemark("run", "--config", self.config)

    def feed(self, count=30):
        """So many events of this moment."""
        at = max(int(time.time() * 1000) - STAMPED_BACK, self.sent[-1]["at"] if self.sent else 0)
        events = [{"id": f"e{len(self.sent) + i}", "account": f"acme-{self.random.randrange(self.accounts)}", "at": at,
                   "event": "seen", "user": f"u{self.random.randrange(12)}"} for i in range(count)]
        self.kafka.produce(self.topics["usage"], [{"key": e["account"], "timestamp": at, "value": json.dumps(e)}
                                                  for e in events])
        self.sent += events

    def published(self):
        """Records of the usage topic that the group's offsets are past, which they are in the transaction of the outputs."""
        offsets = self.kafka.group_offsets(self.prefix)
        return sum(offset for (topic, _), (offset, _) in offsets.items() if topic == self.topics["usage"])

    def caught_up(self, timeout=harness.PATIENCE):
        try:
            harness.wait_until(f"{len(self.sent)} events to be committed and published",
                               lambda: self.alive() and self.published() == len(self.sent), timeout=timeout, interval=0.05)
        except harness.TimedOut as late:
            raise harness.TimedOut(f"{late}: {self.published()} were\n{self.run_.stderr[-4000:]}") from late

    def alive(self):
        if self.run_.returncode is not None:
            self.fail(f"it ended with {self.run_.returncode}:\n{self.run_.stderr[-4000:]}")
        return True

    def finish(self, minimum=20):
        """Stops, brings all shards to the same stream time, and compares signals and state with `replay`."""
        self.assertEqual(self.run_.terminate(), 0, self.run_.stderr[-4000:])
        # Everything may have been sent within a second; what it raises after `for` has its time before the last events.
        ripe = self.sent[-1]["at"] + 3000 + STAMPED_BACK
        harness.wait_until("the clock to pass what rules wait for", lambda: time.time() * 1000 >= ripe)
        self.feed(count=60)
        until = self.sent[-1]["at"]
        self.tidemark.run("run", "--config", self.config, "--once")
        stamp = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(until // 1000)) + f".{until % 1000:03}Z"
        expected = self.replayed(self.files(self.sent), self.config, "--until", stamp)
        self.assert_same_signals(self.signals(self.topics), expected, minimum=minimum)
        self.assertEqual(self.state(), self.expected_state(), "what is kept is not what was sent")

    def state(self):
        """Counts and distinct users of every account, as kept."""
        found = {}
        for account in sorted({e["account"] for e in self.sent})[::4]:
            done = self.tidemark.run("eval", "--config", self.config, "--account", account, "--json", "events[2d]",
                                     "users[2d]")
            [point] = done.json_lines()
            found[account] = (point["values"]["events[2d]"], point["values"]["users[2d]"])
        return found

    def expected_state(self):
        found = {}
        for account in sorted({e["account"] for e in self.sent})[::4]:
            own = [e for e in self.sent if e["account"] == account]
            found[account] = (len(own), len({e["user"] for e in own}))
        return found
