"""A population that reaches tidemark part by part, while it runs without an end.

Behind each part a producer's transaction is left open in every partition: until the next part is there no input of
`usage` is drained, so that stream time never follows the wall clock and the signals stay those of a replay of the whole.

    trickle = Trickle(self, topics, jobs.parts(rows, 10, random), partitions=6)
    while trickle.next():                       # the next part is there
        trickle.wait()                          # and taken, as the group's offsets say
    ... stop what runs ...
    trickle.end()                               # nothing is open any more: `run --once` takes the last step
"""

import harness
import jobs

HOLD_MS = 600_000


class Trickle:
    def __init__(self, test, topics, parts, partitions, kafka=None, group=None):
        """test: a jobs.TestCase; kafka: another client than the test's, where a thread of its own feeds."""
        self.test, self.topics, self.parts, self.partitions = test, topics, list(parts), partitions
        self.kafka, self.group = kafka or test.kafka, group or test.prefix
        self.given = 0
        self.last = 0  # the greatest timestamp given
        self._held = None
        self._wanted = {}  # partition of usage -> the offset that its C has to reach

    def next(self):
        """Gives the next part; False when there is none."""
        if self.given == len(self.parts):
            return False
        part = self.parts[self.given]
        self.given += 1
        for role in ("accounts", "usage"):
            records = [row for r, row in part if r == role]
            if records:
                self.kafka.produce(self.topics[role], records)
        ends = self.kafka.offsets([self.topics["usage"]])
        for p in {jobs.partition_of(row["key"], self.partitions) for role, row in part if role == "usage"}:
            self._wanted[p] = ends[self.topics["usage"], p]["end"]
        held = f"{self.group}-held-{self.given}"
        self.last = last = max(row["timestamp"] for _, row in part)
        self.kafka.produce(self.topics["usage"], [{"partition": p, "key": "nobody", "timestamp": last, "value": "{}"}
                                                  for p in range(self.partitions)],
                           transactional_id=held, end="open", properties={"transaction.timeout.ms": str(HOLD_MS)})
        self.end()
        self._held = held
        return True

    def end(self):
        """Ends what is held open."""
        if self._held:
            self.kafka.end_transaction(self._held, "abort")
            self._held = None

    def missing(self):
        """{partition: (C, wanted)} where C of usage is behind what was given."""
        offsets = self.kafka.group_offsets(self.group)
        found = {p: (offsets.get((self.topics["usage"], p), (0,))[0], wanted) for p, wanted in self._wanted.items()}
        return {p: pair for p, pair in found.items() if pair[0] < pair[1]}

    def wait(self, timeout=harness.PATIENCE, runs=()):
        """Until everything given was taken and its signals published. runs: Children, one of which at least has to be
        there all the time."""
        def settled():
            try:
                return not self.missing() or runs and all(r.returncode is not None for r in runs)
            except harness.HarnessError:  # brokers may be away
                return False
        try:
            harness.wait_until("the part to be taken", settled, timeout, interval=0.05)
        except harness.TimedOut as error:
            raise harness.TimedOut(f"{error}: C, wanted by partition: {self.missing()}") from None
        if missing := self.missing():
            raise AssertionError(f"ended with {[r.returncode for r in runs]} before the part was taken: C, wanted by "
                                 f"partition: {missing}\n" + "\n".join(r.stderr[-2000:] for r in runs))
