"""Rounds in which processors run without an end, as they do in earnest, while they are fed.

Stream time follows the wall clock wherever an input is drained, and then no file could tell what has to come out. So neither
input is ever drained here: a producer's open transaction stands behind each portion, and the next portion and its own open
transaction are there before it is aborted. The merge of two inputs needs a record of each, so every portion ends with an
account record in each partition, of an account that is there for nothing else.
"""

import json
import signal
import subprocess
import time

import rounds
from rounds import SESSION_MS, harness, population


class LiveRound(rounds.Round):
    def __init__(self, ground, seed, **options):
        super().__init__(ground, seed, **options)
        self.beat()
        self.hold = 0
        self.exact = False

    def beat(self):
        """An account record a partition at each portion's end, in the records and in the file."""
        for rows in self.portions:
            at = rows[-1][1]["timestamp"]
            for p in range(self.partitions):
                line = json.dumps({"account": f"beat-{p}", "at": at, "plan": "pro"})
                row = {"partition": p, "key": f"beat-{p}", "timestamp": at, "value": line}
                self.lines[id(row)] = line.encode()
                rows.append(("accounts", row))
        self.rows = [entry for rows in self.portions for entry in rows]
        population.write_lines(self.files.accounts, [self.lines[id(row)] for role, row in self.rows if role == "accounts"])

    def feed(self):
        if self.fed == len(self.portions):
            return False
        rows = self.portions[self.fed]
        self.fed += 1
        for role in ("accounts", "usage"):
            part = [row for r, row in rows if r == role]
            if part:
                self.ground.kafka.produce(self.topics[role], part)
        self.open_hold()
        return True

    def open_hold(self):
        """An open transaction behind all that is there; then the former one goes."""
        self.hold += 1
        for role in ("accounts", "usage"):
            dummies = [{"partition": p, "key": "nobody", "timestamp": self.final, "value": "{}"} for p in range(self.partitions)]
            self.ground.kafka.produce(self.topics[role], dummies, transactional_id=f"{self.prefix}-{role}-{self.hold}", end="open",
                                      properties={"transaction.timeout.ms": str(rounds.HOLD_MS)})
        self.close_hold(self.hold - 1)

    def close_hold(self, hold):
        for role in ("accounts", "usage") if hold else ():
            self.ground.kafka.end_transaction(f"{self.prefix}-{role}-{hold}", "abort")

    def finish(self):
        """Orderly stops, the inputs' true ends, and an undisturbed run to them."""
        for child in list(self.children):
            child.signal(signal.SIGCONT)
            child.signal(signal.SIGTERM)
        for child in list(self.children):
            self.end(child, also=(70,))
        self.close_hold(self.hold)
        # Members that were stopped keep their shards until their session ends, and nobody else is there to take them.
        time.sleep(SESSION_MS / 1000 + 0.5)
        self.finish_portion()


class Crew:
    """Some processors of a round, each with an order of its own to die by."""

    def __init__(self, campaign, r, rng, size):
        self.campaign, self.r, self.rng = campaign, r, rng
        self.names = "abc"[:size]
        self.members = {}

    def start(self, name, order=None):
        child = self.r.start(name, crash=order, workers=1, once=False)
        child.order = order
        self.members[name] = child
        return child

    def order(self):
        """A point that running processors pass, and when."""
        known = self.campaign.reach["live"]
        points = [p for p in self.campaign.points if known[p]] or ["commit_stored", "redis_exec_sent", "kafka_produced", "worker_claimed"]
        self.rng.shuffle(points)
        point = min(points, key=lambda p: self.campaign.hits[p])
        most = known[point]
        return f"{point}:{1 if most < 2 or self.rng.random() < 0.3 else self.rng.randint(1, min(most, 80))}"

    def gather(self, name):
        """The member is gone, or goes now: what it passed is noted. Returns True when it died by its order."""
        child = self.members[name]
        by_order = child.returncode == -signal.SIGKILL and child.order is not None
        if child.returncode is None:
            child.kill()
        status = self.r.end(child, also=(70,))
        for point, count in child.passed.items():
            self.campaign.reach["live"][point] = max(self.campaign.reach["live"][point], count)
        if status not in (-signal.SIGKILL, 0, *rounds.BUSY):
            raise rounds.Verdict(f"a processor ended by itself with {status}:\n" + "\n".join(child.lines()[-30:]))
        return by_order


def blow(campaign, r, crew, rng):
    """One kill of a running member, and its restart: at once, or after the others took over."""
    begun = time.monotonic()
    name = rng.choice(list(crew.members))
    child = crew.members[name]
    also = {}
    what = rng.random()
    if what < 0.06:
        r.redis.kill()
        time.sleep(rng.uniform(0, 0.5))
        r.redis.start()
        also["redis"] = 1
    elif what < 0.10:
        child.signal(signal.SIGSTOP)
        time.sleep(rng.uniform(0.2, 2 * SESSION_MS / 1000))
        child.signal(signal.SIGCONT)
        also["stops"] = 1
    elif what < 0.16 and any("event=start" in line for line in child.lines()):  # before that, the signal is its end
        r.version += 1
        r.write_rules()
        child.signal(signal.SIGHUP)
    elif what < 0.18:
        campaign.ground.restart_broker(rng.uniform(0, 0.3))
        also["broker"] = 1
    if child.order:
        try:
            child.process.wait(rng.uniform(0.5, 1.2))
        except subprocess.TimeoutExpired:
            pass
    else:
        time.sleep(rng.uniform(0, 0.5))
    order = child.order
    hit = crew.gather(name)
    point = order.partition(":")[0] if hit else None
    if order and not hit:
        campaign.tries[order.partition(":")[0]] += 0.3
    campaign.hits[point or "random"] += 1
    campaign.blows["live"] += 1
    campaign.kills["tidemark"] += 1
    campaign.kills.update(also)
    if rng.random() < 0.12:
        time.sleep(SESSION_MS / 1000 + 0.3)
    crew.start(name, crew.order() if rng.random() < 0.8 else None)
    campaign.write(round=r.seed, portion=r.fed, circumstance="live", point=point or "random", k=int(order.partition(":")[2]) if hit else 1,
                   hit=True, also=also, processes=len(crew.members), seconds=round(time.monotonic() - begun, 1))


def play(campaign, r, rng, kills_per_portion, until):
    """Feeds all portions to a crew that is killed meanwhile."""
    crew = Crew(campaign, r, rng, rng.choice((1, 2, 2, 3)))
    r.feed()
    for name in crew.names:
        crew.start(name, crew.order() if rng.random() < 0.8 else None)
    campaign.claimed(crew.members["a"], 30)
    more = True
    while more:
        for _ in range(kills_per_portion):
            if not (until and until()):
                blow(campaign, r, crew, rng)
        more = r.feed()
    time.sleep(0.3)
    r.finish()
