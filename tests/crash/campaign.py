#!/usr/bin/env python3
"""Kills the processor at named points and at random moments, over and over, and has the outcome judged. See docs/crash-campaign.md.

    campaign.py --ci                            what the checks on a change run: one round, at least 40 kills at 30 points, and aof.py
    campaign.py --kills 1000 --log FILE         goes on where FILE ends, until it has so many kills
    campaign.py --points|--random N|--stop N|--proxies N|--servers N|--live N       one kind of blow alone, N of them; every point until
                                                it was hit or given up; servers: Redis or the broker is killed besides
    campaign.py --summary FILE...               what logs say
    campaign.py --seed N                        one round

The log has a JSON object a line: each blow as it falls, and each round's verdict. Needs the build `crash`; ends with 0 only when
every round was good.
"""

import argparse
import collections
import contextlib
import json
import os
import pathlib
import random
import signal
import subprocess
import sys
import time
import traceback

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import rounds  # noqa: E402,I001 (it says where the others are)
import aof  # noqa: E402
import crashpoints  # noqa: E402
import harness  # noqa: E402
import live  # noqa: E402
import test_points  # noqa: E402
from proxy import kafka as kafka_proxy, redis as redis_proxy  # noqa: E402

POINTS = sorted({argument.strip('"') for _, _, argument in crashpoints.points(rounds.ROOT)})

# Where a point is passed only then: the first that fits is tried before anything is known.
HINTS = {
    "rebuild": ("emptied",), "journal_opened": ("emptied",), "journal_line": ("emptied",), "install": ("emptied",),
    "worker_rebuild": ("emptied",), "run_reload": ("reload",), "worker_adopt": ("reload",), "settle_": ("exec_spoiled",),
    "redis_read": ("exec_spoiled",), "redis_doubt": ("exec_spoiled",), "worker_pauses": ("redis_killed",),
    "renew_compare": ("end_spoiled",), "publish_failed": ("end_spoiled",), "kafka_abort": ("woken_to_publish",),
    "worker_claim_again": ("woken_to_commit", "epoch_bumped"), "commit_dropped": ("woken_to_commit", "epoch_bumped"),
    "redis_discard": ("woken_to_commit", "epoch_bumped"),
    "membership_gone": ("woken_to_publish",), "worker_settle": ("stopped", "plain"),
    "run_stop": ("stopped", "plain"), "kafka_leave": ("stopped", "plain"), "kafka_sought": ("epoch_bumped",),
}
ALWAYS = ("exec_spoiled", "end_spoiled", "woken_to_commit", "woken_to_publish")  # not worth their time for what others pass, too

# Where standing still matters: what was decided before is acted on after others have gone on.
STOPS = ("store_commit_before", "redis_commit_queued", "redis_exec_before", "redis_exec_sent", "redis_exec_answered", "commit_stored",
         "publish_begin", "kafka_begun", "kafka_produced", "kafka_flushed", "kafka_offsets_sent", "kafka_committed",
         "claim_epoch", "redis_epoch_watched", "redis_epoch_sent", "redis_epoch_raised", "kafka_init_before", "kafka_initialised",
         "claim_committed", "claim_compared", "worker_polled", "sealed")
SLOW_STOPS = ("kafka_offsets_sent", "kafka_flushed", "kafka_produced")  # a transaction stays open until its time is up

# What only another's mistake, or a machine's mood, brings about: not for a run that has no time.
MOODY = ("kafka_abort_before", "kafka_aborted", "membership_gone", "redis_discard", "redis_doubt_ended", "commit_dropped", "worker_claim_again",
         "settle_read", "settle_answered", "redis_read", "renew_compare", "publish_failed", "kafka_sought", "worker_claims_published")
MIX = {"points": 70, "random": 12, "proxies": 12, "stops": 6, "live": 40}  # the whole campaign's


class Campaign:
    def __init__(self, log=None, quiet=False):
        self.log = pathlib.Path(log) if log else None
        self.quiet = quiet
        self.reach = collections.defaultdict(collections.Counter)  # circumstance -> point -> passings in one process
        self.points = POINTS
        self.hits = collections.Counter()
        self.tries = collections.Counter()
        self.kills = collections.Counter()
        self.blows = collections.Counter()
        self.why = ""  # the last round that was bad
        self.rounds = collections.Counter()
        self.stops = collections.Counter()
        self.ground = None
        self.fault = self.after = None

    def write(self, **line):
        if self.log:
            with open(self.log, "a", encoding="utf-8") as out:
                out.write(json.dumps(line) + "\n")
        if not self.quiet:
            print(json.dumps(line), flush=True)

    # --- which point ---

    def choose(self, rng, circumstances, wanted=None):
        """(circumstance, point, k). The point that was hit least comes first, where it is known or hoped to be passed."""
        order = list(wanted or POINTS)
        rng.shuffle(order)
        order.sort(key=lambda p: self.hits[p] + self.tries[p] / 3)
        for point in order:
            known = [c for c in circumstances if self.reach[c][point]]
            hoped = [c for prefix, names in HINTS.items() if point.startswith(prefix) for c in names if c in circumstances or c in ALWAYS]
            if not known and not hoped:
                hoped = ["plain"]
            # What comes with a machine's moods is tried with what may bring it about, too.
            circumstance = rng.choice(known) if known and rng.random() < 0.85 or not hoped else hoped[int(self.tries[point]) % len(hoped)]
            most = self.reach[circumstance][point]
            k = 1 if most < 2 or rng.random() < 0.3 else rng.randint(1, min(most, 60))
            return circumstance, point, k
        return "plain", rng.choice(POINTS), 1

    # --- the blows: each starts what it needs, and has nothing running when it returns ---

    def plain(self, r, order):
        return [r.start(crash=order)]

    def two(self, r, order):
        return [r.start("a", crash=order, workers=1), r.start("b", workers=1)]

    def claimed(self, child, timeout=harness.PATIENCE):
        """Waits until it has a shard; False when it ended before that."""
        try:
            child.wait_for_line("shard_claimed", timeout=timeout)
            return True
        except harness.HarnessError:
            try:
                child.process.wait(2)  # its pipes close a moment before it is gone
            except subprocess.TimeoutExpired:
                raise rounds.Verdict("no shard was claimed within %g s:\n%s" % (timeout, "\n".join(child.lines()[-20:]))) from None
            return False

    def joined_late(self, r, order):
        """A second process comes while the first is in the middle, held up by a Redis that stands still."""
        which = r.random.random() < 0.5
        a = r.start("a", crash=None if which else order, workers=1)
        if self.claimed(a):
            r.redis.freeze()
            try:
                b = r.start("b", crash=order if which else None, workers=1)
                time.sleep(r.random.uniform(0.4, 1.2))
            finally:
                r.redis.thaw()
            return [a, b]
        return [a]

    def stopped(self, r, order):
        child = r.start(crash=order)
        if self.claimed(child):
            time.sleep(r.random.uniform(0, 0.2))
            child.signal(signal.SIGTERM)
        return [child]

    def reload(self, r, order):
        child = r.start(crash=order)
        if self.claimed(child):
            r.redis.freeze()
            try:
                r.version += 1
                r.write_rules()
                child.signal(signal.SIGHUP)
                child.wait_for_line('event=reloaded', timeout=2)
            except harness.HarnessError:
                pass  # it was ended there, or did not come so far
            finally:
                r.redis.thaw()
        return [child]

    def emptied(self, r, order):
        r.redis.command("FLUSHALL")
        return [r.start(crash=order)]

    def redis_killed(self, r, order):
        child = r.start(crash=order)
        if self.claimed(child):
            time.sleep(r.random.uniform(0, 0.08))
            r.redis.kill()
            self.kills["redis"] += 1
            time.sleep(r.random.uniform(0, 0.4))
            r.redis.start()
        return [child]

    def epoch_bumped(self, r, order):
        """As one leaves it that raised the epoch in its take-over and died: the owner's commits are refused, and it claims again."""
        child = r.start(crash=order)
        if self.claimed(child):
            for p in range(r.partitions):
                r.redis.command("HINCRBY", f"tm:{{{r.prefix}/{p}}}:meta", "epoch", "1")
        return [child]

    def redis_frozen(self, r, order):
        child = r.start(crash=order)
        if self.claimed(child):
            r.redis.freeze()
            time.sleep(r.random.uniform(0.1, 0.5))
            r.redis.thaw()
        return [child]

    def broker_frozen(self, r, order):
        child = r.start(crash=order)
        if self.claimed(child):
            time.sleep(r.random.uniform(0, 0.2))
            self.ground.broker.freeze()
            time.sleep(r.random.uniform(0.15, 0.7))
            self.ground.broker.thaw()
        return [child]

    def broker_killed(self, r, order):
        child = r.start(crash=order)
        if self.claimed(child):
            time.sleep(r.random.uniform(0, 0.2))
            self.kills["broker"] += 1
            self.ground.restart_broker(r.random.uniform(0, 0.3))
        return [child]

    # Stopped for longer than a session lasts, and woken when others have its shards.

    def stop(self, r, order):
        """A processor that stands still at a point; None when it ended before."""
        child = r.start("a", stop=order, workers=1)
        while child.returncode is None and rounds.state_of(child.pid) != "T":
            time.sleep(0.01)
        child.stood = child.returncode is None
        return child

    def wake(self, child):
        child.signal(signal.SIGCONT)

    def slept(self, r, order):
        """Another takes over and ends before it wakes."""
        a = self.stop(r, order)
        if a.stood:
            time.sleep(rounds.SESSION_MS / 1000 + 0.2)
            b = r.start("b", workers=1)
            self.settled(b)
            self.wake(a)
            return [a, b]
        return [a]

    def slept_by_twin(self, r, order):
        """Its own successor, of the same name, takes over at once."""
        a = self.stop(r, order)
        if a.stood:
            b = r.start("a", workers=1)
            self.settled(b)
            self.wake(a)
            a.also = (70,)  # another runs with its name: it has to go
            return [a, b]
        return [a]

    def slept_across(self, r, order):
        """It wakes while its successor is in the middle of something."""
        a = self.stop(r, order)
        if a.stood:
            time.sleep(rounds.SESSION_MS / 1000 + 0.2)
            middle = r.random.choice(("commit_gathered", "redis_commit_queued", "commit_stored", "kafka_produced", "kafka_commit_before"))
            b = r.start("b", stop=f"{middle}:{r.random.randint(1, 3)}", workers=1)
            until = time.monotonic() + 20
            while b.returncode is None and rounds.state_of(b.pid) != "T" and time.monotonic() < until:
                time.sleep(0.01)
            self.wake(a)
            time.sleep(r.random.uniform(0.1, 0.8))
            self.wake(b)
            return [a, b]
        return [a]

    # The blow falls on one that wakes, finds that its shards are another's, and lets go.

    def woken(self, r, stop, crash):
        a = r.start("a", stop=stop, crash=crash, workers=1)
        while a.returncode is None and rounds.state_of(a.pid) != "T":
            time.sleep(0.01)
        if a.returncode is not None:
            return [a]
        time.sleep(rounds.SESSION_MS / 1000 + 0.2)
        b = r.start("b", workers=1)
        self.settled(b)
        self.wake(a)
        return [a, b]

    def woken_to_commit(self, r, order):
        return self.woken(r, r.random.choice(("store_commit_before:1", "redis_commit_put:1", "sealed:1")), order)

    def woken_to_publish(self, r, order):
        return self.woken(r, r.random.choice(("publish_begin:1", "kafka_begun:1", "publish_commit_before:1")), order)

    def settled(self, child, timeout=120.0):
        try:
            child.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise rounds.Verdict("a successor does not come to its end:\n" + "\n".join(child.lines()[-30:])) from None

    # Answers that are lost, late, doubled.

    def before_redis(self, r):
        """A proxy in front of Redis for this blow."""
        proxy = redis_proxy.Proxy(r.redis.port).start()
        self.after.callback(proxy.stop)
        self.after.callback(setattr, r, "redis_url", r.redis_url)
        r.redis_url = proxy.url
        return proxy

    def exec_spoiled(self, r, order):
        proxy = self.before_redis(r)
        action = r.random.choice((redis_proxy.Close(after=True), redis_proxy.Close(after=True), redis_proxy.Close(), redis_proxy.Late(r.random.uniform(0, 0.5)),
                                  redis_proxy.Hold(), redis_proxy.Delay(r.random.uniform(0.05, 0.5))))
        rule = proxy.on(r.random.choice((redis_proxy.commit_of(), "EXEC", "HMGET")), action, skip=r.random.randint(0, 6))
        child = r.start(crash=order)
        if isinstance(action, redis_proxy.Hold) and not isinstance(action, redis_proxy.Late):
            self.settled(child)
            if rule.hits:
                rule.release()
        self.fault = rule, f"redis {type(action).__name__}"
        return [child]

    def kafka_spoiled(self, r, order, api=None, actions=("close_before", "close_after", "double", "delay", "delay_answer")):
        proxy = kafka_proxy.Proxy(self.ground.broker.bootstrap)
        self.after.callback(proxy.close)
        self.after.callback(setattr, r, "kafka_url", r.kafka_url)
        r.kafka_url = proxy.bootstrap
        api = api or r.random.choice(("Produce", "AddPartitionsToTxn", "AddOffsetsToTxn", "TxnOffsetCommit", "InitProducerId", "OffsetFetch"))
        action = r.random.choice(actions)
        if (api, action) == ("InitProducerId", "double"):
            action = "close_after"  # TCP doubles nothing, and whoever asks twice over two connections loses one of them first
        fault = proxy.fault(api, action, skip=r.random.choice((0, 0, 0, 1, 2)), seconds=r.random.uniform(0.05, 0.6))
        child = r.start(crash=order)
        if action == "hold":
            try:
                fault.wait(timeout=10)
                time.sleep(r.random.uniform(0, 0.6))
                fault.release()
            except harness.TimedOut:
                pass
        self.fault = fault, f"{api} {action}"
        return [child]

    def end_spoiled(self, r, order):
        return self.kafka_spoiled(r, order, "EndTxn", ("close_before", "close_after", "double", "delay", "delay_answer", "hold", "hold"))

    def blow(self, r, circumstance, point=None, k=1, moment=False):
        """One kill, or the attempt; `moment`: at a random one. With neither, the circumstance is the blow."""
        begun = time.monotonic()
        before = self.kills.copy()
        self.fault = None
        with contextlib.ExitStack() as self.after:
            children = getattr(self, circumstance)(r, f"{point}:{k}" if point else None)
            if moment:
                victim = r.random.choice(children)
                try:
                    victim.process.wait(r.random.uniform(0, 1.0))
                except subprocess.TimeoutExpired:
                    victim.kill()
            statuses = [r.end(child, also=getattr(child, "also", ())) for child in children]
        self.blows[circumstance] += 1
        hit = -signal.SIGKILL in statuses
        stood = any(getattr(child, "stood", False) for child in children)
        for child in children:
            for name, count in child.passed.items():
                self.reach[circumstance][name] = max(self.reach[circumstance][name], count)
        if hit:
            self.kills["tidemark"] += 1
        if stood:
            self.kills["stops"] += 1
        if point or moment:
            (self.hits if hit or stood else self.tries)[point or "random"] += 1
        line = {"round": r.seed, "portion": r.fed, "circumstance": circumstance, "point": point or ("random" if moment else None), "k": k, "hit": hit}
        if self.fault:
            met = self.fault[0].hits
            line["fault"] = self.fault[1]
            line["met"] = met if isinstance(met, int) else len(met)
            self.kills["faults"] += line["met"] > 0
        line["also"] = {what: n - before[what] for what, n in self.kills.items() if what != "tidemark" and n > before[what]}
        self.write(**line, statuses=statuses, seconds=round(time.monotonic() - begun, 1))
        return hit

    # --- rounds ---

    def circumstances(self, r, rng):
        """What may happen in this portion: the costly ones seldom."""
        names = ["plain", "plain", "stopped", "redis_killed", "redis_frozen", "broker_frozen", "epoch_bumped"]
        if r.fed > 1:
            names += ["emptied", "reload"]
        if rng.random() < 0.35:
            names += ["two", "joined_late"]
        if rng.random() < 0.08:
            names += ["broker_killed"]
        return names

    def next_blow(self, r, rng, mix, wanted):
        kind = rng.choices(list(mix), weights=mix.values())[0]
        if kind == "points":
            return self.blow(r, *self.choose(rng, self.circumstances(r, rng), wanted))
        if kind == "random":
            return self.blow(r, rng.choice(("plain", "plain", "two", "redis_frozen")), moment=True)
        if kind == "servers":
            circumstances = [rng.choice(("broker_killed", "broker_killed", "redis_killed"))]
            if rng.random() < 0.25:
                return self.blow(r, circumstances[0], moment=True)
            return self.blow(r, *self.choose(rng, circumstances, [p for p in POINTS if self.reach[circumstances[0]][p]]))
        if kind == "proxies":
            circumstance = rng.choice(("exec_spoiled", "end_spoiled", "end_spoiled", "kafka_spoiled"))
            if rng.random() < 0.3:
                known = [p for p in POINTS if self.reach[circumstance][p]] or ["worker_pauses"]
                return self.blow(r, circumstance, rng.choice(known))
            return self.blow(r, circumstance)
        point = min(STOPS, key=lambda p: (self.stops[p] + (1 if p in SLOW_STOPS else 0), rng.random()))
        self.stops[point] += 1
        return self.blow(r, rng.choice(("slept", "slept_by_twin", "slept_across")), point, rng.choice((1, 1, 2, 3)))

    def portions(self, r, rng, per_portion, blows, wanted, mix, until, last):
        """Feeds all portions, each to processors that come to its end, if they live so long."""
        if blows:
            per_portion = -(-blows // len(r.portions))
        while r.feed():
            for n in range(per_portion):
                if until and until():
                    break
                # Where one came to its end, little is left to be in the middle of.
                if not self.next_blow(r, rng, mix, wanted) and n > 0 and r.fed < len(r.portions):
                    break
            while last and r.fed == len(r.portions) and not last() and not (until and until()):
                self.next_blow(r, rng, mix, wanted)
            r.finish_portion()

    def round(self, seed, per_portion=4, blows=None, wanted=None, mix=None, until=None, last=None, **options):
        """One data set. True when the judge is content. blows: how many in all, about; mix: {kind of blow:
        weight}; until: true when nothing more is to fall; last: true when as much fell as the last portion has to see."""
        if self.ground is None:
            self.ground = rounds.Ground()
        r = None
        before, begun = self.kills.copy(), time.monotonic()
        mix = mix or MIX
        try:
            rng = random.Random(f"blows {seed}")
            if rng.random() * sum(mix.values()) < mix.get("live", 0):
                r = live.LiveRound(self.ground, seed, **options)
                live.play(self, r, rng, per_portion - 1, until)
            else:
                r = rounds.Round(self.ground, seed, **options)
                self.portions(r, rng, per_portion, blows, wanted, {k: v for k, v in mix.items() if k != "live"}, until, last)
            verdict = {"verdict": "good", **r.judge()}
        except rounds.Verdict as wrong:
            verdict = {"verdict": "bad", "why": str(wrong)}
        except (AssertionError, harness.Hangs) as wrong:  # a command of tidemark did not do its work
            verdict = {"verdict": "bad", "why": str(wrong)}
        except Exception as trouble:  # pylint: disable=broad-except  # the ground gave way: that says nothing about tidemark
            verdict = {"verdict": "void", "why": f"{type(trouble).__name__}: {trouble}\n{traceback.format_exc()[-1500:]}"}
        kills = {what: n - before[what] for what, n in self.kills.items() if n > before[what]}
        self.rounds[verdict["verdict"]] += 1
        self.why = verdict.get("why", self.why)
        self.write(round=seed, **verdict, kills=kills, seconds=round(time.monotonic() - begun, 1))
        if r:
            r.close()
        if verdict["verdict"] == "void":
            self.ground.close()
            self.ground = None
        return verdict["verdict"] == "good"

    def close(self):
        if self.ground:
            self.ground.close()


def summarise(*paths):
    """Counts of logs: blows of rounds that came to a verdict."""
    blows, verdicts = collections.defaultdict(list), {}
    sound = collections.Counter()
    servers, circumstances, points, rounds_of = collections.Counter(), collections.Counter(), collections.Counter(), collections.Counter()
    stops, faults, blown = collections.Counter(), collections.Counter(), 0
    for line in (line for path in paths for line in path.read_text().splitlines()):
        d = json.loads(line)
        if "verdict" in d:
            for b in blows.pop(d["round"], []) if d["verdict"] != "void" else ():
                servers.update(b["also"])
                blown += 1
                if b["also"].get("stops") and b["circumstance"] != "live":
                    stops[f'{b["point"]} {b["circumstance"]}'] += 1
                if b.get("met"):
                    faults[b["fault"]] += 1
                if b["hit"]:
                    points[b["point"]] += 1
                    circumstances[b["circumstance"]] += 1
            blows.pop(d["round"], None)
            verdicts[d["round"]] = d["verdict"]
            rounds_of[d["verdict"]] += 1
            sound.update({k: v for k, v in d.items() if k in ("signals", "dead_letters", "values")})
        elif "point" in d:
            if blows[d["round"]] and blows[d["round"]][-1]["portion"] > d["portion"]:
                blows[d["round"]] = []  # it was broken off, and begun again
            blows[d["round"]].append(d)
    return {"kills": sum(points.values()), "points": points, "circumstances": circumstances, "servers": servers,
            "blows": blown, "stops": stops, "faults": faults, "rounds": rounds_of, "compared": sound, "next": max(verdicts, default=0) + 1}


def show(paths):
    s = summarise(*paths)
    named = {p: n for p, n in s["points"].items() if p != "random"}
    print(f"{s['kills']} kills: {sum(named.values())} at {len(named)} of {len(POINTS)} points, {s['points']['random']} at random moments")
    print(f"{s['blows']} blows; besides the kills: {dict(s['servers'])}")
    print(f"rounds: {dict(s['rounds'])}; compared: {dict(s['compared'])}")
    print(f"circumstances: {dict(s['circumstances'].most_common())}")
    print(f"stood still at: {dict(s['stops'].most_common())}")
    print(f"answers spoiled: {dict(s['faults'].most_common())}")
    print("by point: " + ", ".join(f"{p} {n}" for p, n in sorted(s["points"].items())))
    print("never hit: " + ", ".join(p for p in POINTS if p not in s["points"]))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ci", action="store_true")
    parser.add_argument("--points", action="store_true")
    for kind in ("random", "stop", "proxies", "servers", "live"):
        parser.add_argument(f"--{kind}", type=int, metavar="N")
    parser.add_argument("--kills", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--log", type=pathlib.Path)
    parser.add_argument("--summary", type=pathlib.Path, nargs="+", metavar="FILE")
    parser.add_argument("--seconds", type=float)
    o = parser.parse_args()
    if o.summary:
        show(o.summary)
        return 0
    campaign = Campaign(o.log, quiet=o.log is not None)
    begun = time.monotonic()

    def late():
        return o.seconds is not None and time.monotonic() - begun > o.seconds

    try:
        if o.ci:
            return check(campaign, o.seed if o.seed is not None else int(os.environ.get("SEED", "1")), begun)
        seed, done = o.seed or 1, 0
        if o.log and o.log.exists():
            old = summarise(o.log)
            seed, done = max(seed, old["next"]), old["kills"]
            campaign.hits.update(old["points"])
        mix, count, enough = MIX, "tidemark", (o.kills or 1) - done
        for kind, given, counted in (("random", o.random, "tidemark"), ("stops", o.stop, "stops"), ("proxies", o.proxies, "faults"),
                                     ("servers", o.servers, "tidemark"), ("live", o.live, "tidemark")):
            if given:
                mix, count, enough = {kind: 1}, counted, given
        if o.points:
            mix = {"points": 1}

        def done_enough():
            if o.points:
                return all(campaign.hits[p] or campaign.tries[p] > 8 for p in POINTS)
            return campaign.kills[count] >= enough

        while not late() and not done_enough():
            campaign.round(seed, mix=mix, until=lambda: late() or done_enough())
            seed += 1
    finally:
        campaign.close()
    print(f"{dict(campaign.kills)}, {dict(campaign.rounds)} rounds in {time.monotonic() - begun:.0f} s")
    return 1 if campaign.rounds["bad"] or not campaign.rounds["good"] else 0


KILLS, SEEN = 40, 30  # what the checks on a change have to see


def check(campaign, seed, begun):
    """A round for the checks on a change: bounded in time, and it has to have hit enough."""
    missing = test_points.names() - test_points.traces(test_points.CRASH)
    if missing:
        print(f"{test_points.CRASH} does not have {sorted(missing)}")

    def seen():
        return campaign.kills["tidemark"], len([p for p in campaign.hits if p != "random"])

    def fall():
        """Some two minutes, and on a busy machine for as long as it takes to see enough."""
        start = time.monotonic()
        return campaign.round(
            seed, blows=54, wanted=[p for p in POINTS if p not in MOODY], days=8,
            mix={"points": 82, "random": 10, "proxies": 6, "stops": 2}, last=lambda: campaign.kills["tidemark"] >= 44,
            until=lambda: time.monotonic() - start > (125 if seen()[0] >= KILLS and seen()[1] >= SEEN else 600))

    good = fall()
    if campaign.rounds["void"] == 1 and not campaign.rounds["bad"]:
        print(f"the ground gave way, which says nothing about tidemark: once more ({campaign.why.splitlines()[0][:300]})", flush=True)
        good = fall()
    campaign.ground = campaign.ground or rounds.Ground()
    lengths, _, states, problems, _, _ = aof.sweep(campaign.ground, seed, samples=12)
    print("\n".join([f"Redis' file cut at {lengths} places, {len(states)} states", *problems]))
    kills, points = seen()
    print(f"seed {seed}: {kills} kills at {points} points in {time.monotonic() - begun:.0f} s")
    enough = kills >= KILLS and points >= SEEN
    if not good:
        print(f"FAILED crash/round, seed {seed}: {' '.join(campaign.why.split())[:300]}")
    if not enough:
        print(f"FAILED crash/enough: {kills} kills at {points} points are too few: at least {KILLS} at {SEEN}")
    for problem in problems:
        print(f"FAILED crash/file: {' '.join(str(problem).split())[:300]}")
    failed = (not good) + (not enough) + bool(missing) + bool(problems)
    print(f"{4 - failed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
