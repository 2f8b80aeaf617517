#!/usr/bin/env python3
"""Redis loses the tail of its append-only file, at any byte of the last two commits, after everything was published.

    aof.py --every 1 [--seed N] [--log FILE] [--seconds N]   every byte: Redis is started on what is left, and so is the
                                               processor; goes on where FILE ends (the same seed makes the same file)
    aof.py --every 97 [--seed N]               every 97th byte, begun at random

Redis drops an incomplete command or transaction at the end of its file, so what it loads is the state before one of the
commits, or between a claim and a commit. Whatever it is, the processor has to find the group's offsets ahead of it, replay
the journal up to them without publishing anything, and end with the state that the input's files give. What Redis loads is
looked at for every length; each state that differs is counted.
"""

import argparse
import collections
import hashlib
import json
import pathlib
import random
import shutil
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import rounds  # noqa: E402,I001 (it says where the others are)
import harness  # noqa: E402

OUTPUTS = ("churn_risk", "expansion", "advisories", "health", "dead_letters", "journal")
INCREMENT = "appendonlydir/appendonly.aof.1.incr.aof"


class Sweep:
    def __init__(self, ground, seed):
        self.ground = ground
        self.r = rounds.Round(ground, seed, accounts=3, days=10, rate=4.0, rules=6, portion=1, partitions=1,
                              redis_options={"auto-aof-rewrite-percentage": "0"})
        self.cut()
        self.build()

    @property
    def file(self):
        return self.r.redis.dir / INCREMENT

    def cut(self):
        """Most of the input, then two commits of a record or two, then what is left for the end."""
        pieces = self.r.portions
        at = len(pieces) * 7 // 10
        self.r.portions = [sum(pieces[:at], []), pieces[at], pieces[at + 1], sum(pieces[at + 2:], [])]

    def build(self):
        """All portions but the last, in undisturbed runs; what the last two wrote is what is lost."""
        r = self.r
        sizes = []
        while r.fed < len(r.portions) - 1 and r.feed():
            sizes.append(self.file.stat().st_size)
            r.finish_portion()
        self.begin, self.end = sizes[-2], self.file.stat().st_size
        self.commit = self.position()
        # Neither input is drained while these stand open: a processor that finds nothing to read finds nothing to commit.
        self.hold = f"{r.prefix}-hold"
        for role in ("accounts", "usage"):
            self.ground.kafka.produce(r.topics[role], [{"partition": 0, "key": "nobody", "timestamp": r.final, "value": "{}"}],
                                      transactional_id=f"{self.hold}-{role}", end="open", properties={"transaction.timeout.ms": str(rounds.HOLD_MS)})
        self.outputs = self.ends()
        r.final = r.portions[r.fed - 1][-1][1]["timestamp"]
        self.files_until = r.final
        self.kept = r.dir / "kept"
        r.redis.kill()
        shutil.copytree(r.redis.dir / "appendonlydir", self.kept)

    def ends(self):
        return {k: v["end"] for k, v in self.ground.kafka.offsets([self.r.topics[role] for role in OUTPUTS]).items()}

    def position(self, redis=None):
        return (redis or self.r.redis).command("HGET", f"tm:{{{self.r.prefix}/0}}:meta", "position")

    def load(self, length):
        """The round's Redis on the first `length` bytes of its file; returns a digest of what it loaded."""
        redis = self.r.redis
        redis.kill()
        shutil.rmtree(redis.dir / "appendonlydir")
        shutil.copytree(self.kept, redis.dir / "appendonlydir")
        with open(self.file, "r+b") as file:
            file.truncate(length)
        redis.start()
        harness.wait_until("Redis to load its file", lambda: "\nloading:0" in redis.command("INFO", "persistence"), interval=0.005)
        everything = sorted((k, sorted(map(str, v)) if isinstance(v, list) else str(v)) for k, v in redis.everything().items())
        return hashlib.sha256(repr(everything).encode()).hexdigest()[:12], self.position()

    def run(self, length):
        """The processor on what is loaded; the problems."""
        r = self.r
        problems = []
        child = r.start(workers=1, once=False)
        self.live(child)
        child.signal(signal.SIGTERM)
        status = r.end(child, also=(70,))
        said = "\n".join(child.lines()[-8:])
        if status != 0:
            return [f"at {length}: it ended with {status}:\n{said}"]
        if self.position() != self.commit:
            problems.append(f"at {length}: Redis is at {self.position()} and not at {self.commit}:\n{said}")
        if self.ends() != self.outputs:
            problems.append(f"at {length}: something was published: {self.ends()} instead of {self.outputs}")
        r.compare_state(problems)
        return problems

    def live(self, child):
        """Waits until the shard is live, or halted, or the processor gone."""
        try:
            child.wait_for_line(r"event=shard_claimed.*state=live|event=(replayed|rebuilt|shard_halted)", timeout=60)
        except harness.HarnessError:
            pass

    def finish(self):
        """What was left is fed, and the whole judged."""
        r = self.r
        r.exact = False
        for role in ("accounts", "usage"):
            self.ground.kafka.end_transaction(f"{self.hold}-{role}", "abort")
        while r.feed():
            r.finish_portion()
        r.final = r.rows[-1][1]["timestamp"]
        return r.judge()


def sweep(ground, seed, every=0, samples=0, first=0, log=None, seconds=None, thin=1):
    """Returns (lengths loaded, runs, states, problems, what was compared at the end). thin: of lengths with the same loaded state,
    the processor is started on every so-many-th, and on the first of each state."""
    begun = time.monotonic()
    s = Sweep(ground, seed)
    every = every or max(1, (s.end - s.begin) // samples)
    states, runs, problems = collections.Counter(), 0, []
    lengths = range(s.begin + (first or random.Random(seed).randrange(every)), s.end + 1, every)
    loaded = 0
    for length in lengths:
        if seconds and time.monotonic() - begun > seconds:
            break
        state, position = s.load(length)
        loaded += 1
        states[state] += 1
        if states[state] % thin == (1 if thin > 1 else 0):
            problems += s.run(length)
            runs += 1
        if log:
            with open(log, "a", encoding="utf-8") as out:
                out.write(json.dumps({"seed": seed, "length": length - s.begin, "of": s.end - s.begin, "state": state, "position": position,
                                      "runs": runs, "problems": problems[-3:]}) + "\n")
        if len(problems) > 10:
            break
    compared = None
    if not problems:
        s.load(s.begin)
        compared = s.finish()
    span = s.end - s.begin
    s.r.close()
    return loaded, runs, states, problems, compared, span


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--every", type=int, default=97)
    parser.add_argument("--thin", type=int, default=1)
    parser.add_argument("--seed", type=int, default=random.randrange(1 << 20))
    parser.add_argument("--from", dest="first", type=int, default=0)
    parser.add_argument("--log", type=pathlib.Path)
    parser.add_argument("--seconds", type=float)
    o = parser.parse_args()
    begun = time.monotonic()
    if o.log and o.log.exists():
        last = json.loads(o.log.read_text().splitlines()[-1])
        o.seed, o.first = last["seed"], last["length"] + o.every
    ground = rounds.Ground()
    try:
        loaded, runs, states, problems, compared, span = sweep(ground, o.seed, o.every, 0, o.first, o.log, o.seconds, o.thin)
    except rounds.Verdict as wrong:
        loaded, runs, states, problems, compared, span = 0, 0, {}, [str(wrong)], None, 0
    finally:
        ground.close()
    for problem in problems:
        print(problem)
    print(f"seed {o.seed}: {loaded} lengths of {span} bytes loaded, {runs} runs, {len(states)} states {dict(states)}, then {compared} in {time.monotonic() - begun:.0f} s")
    print(f"{0 if problems else 1} passed, {1 if problems else 0} failed")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
