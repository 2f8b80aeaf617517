"""The brute-force machine: accounts, their events in plain lists, and the episode table of semantics.md.

Each account is carried forward by itself: what it sees depends on its own records and on the clock only.
`literal=True` judges every grid instant and remembers no value between two looks.
"""

import uuid
from bisect import bisect_left, bisect_right
from collections import deque

import expr
import records
import zone
import pack as packs
from pack import RANK

INACTIVE, PENDING, RAISED, CLEARING = "inactive", "pending", "raised", "clearing"
NEVER = 1 << 62
DAYKEY = 1 << 48  # a day's events sort as day * DAYKEY + at
UPDATE_HOLD = 24 * zone.HOUR


class Series:
    """One metric of one account: its accepted events, sorted by local day and at, by at, and (windowless) by at."""

    __slots__ = ("metric", "dk", "dv", "hk", "hv", "wk", "wv", "log_d", "log_h", "version", "known", "whole_known")

    def __init__(self, metric):
        self.metric = metric
        self.dk, self.dv, self.hk, self.hv, self.wk, self.wv = [], [], [], [], [], []
        self.log_d, self.log_h = [], []
        self.version = 0
        self.known, self.whole_known = {}, None

    @staticmethod
    def _put(keys, values, key, v):
        # Equal keys keep the order in which they came.
        if not keys or key >= keys[-1]:
            keys.append(key)
            values.append(v)
        else:
            i = bisect_right(keys, key)
            keys.insert(i, key)
            values.insert(i, v)

    def add(self, at, day, v, windowless):
        m = self.metric
        self.version += 1
        if m.need_d:
            key = day * DAYKEY + at
            self._put(self.dk, self.dv, key, v)
            self.log_d.append(key)
        if m.need_h:
            self._put(self.hk, self.hv, at, v)
            self.log_h.append(at)
        if m.need_w and windowless:
            self._put(self.wk, self.wv, at, v)

    def window(self, unit, n, first, end, literal):
        """first, end: bounds of the keys, half open."""
        keys, values, log = (self.dk, self.dv, self.log_d) if unit == "d" else (self.hk, self.hv, self.log_h)
        if not literal:
            old = self.known.get((unit, n, first))
            if old is not None and old[0] == end and len(log) - old[2] < 50:
                if not any(first <= k < end for k in log[old[2] :]):
                    self.known[(unit, n, first)] = (end, old[1], len(log))
                    return old[1]
        v = self.reduce(keys, values, bisect_left(keys, first), bisect_left(keys, end))
        if not literal:
            if len(self.known) > 400:
                self.known.clear()
            self.known[(unit, n, first)] = (end, v, len(log))
        return v

    def days_before(self, day):
        """How many records lie on days before this one: more of them, and what was known of these days is no more."""
        return bisect_left(self.dk, day * DAYKEY)

    def reduce(self, keys, values, i, j):
        kind = self.metric.kind
        if kind == "count":
            return float(j - i)
        if kind == "sum":
            return float(sum(records.micros(v) for v in values[i:j] if v is not None)) / 1e6
        if kind == "distinct":
            return float(len(set(values[i:j]) - {None}))
        if kind == "max":
            return max((v for v in values[i:j] if v is not None), default=None)
        best_at, best = None, None
        for x in range(i, j):
            if values[x] is None:
                continue
            at = keys[x] % DAYKEY
            if best_at is None or (at >= best_at if kind == "last" else at < best_at):
                best_at, best = at, values[x]
        return best

    def whole(self, literal):
        if literal or self.whole_known is None or self.whole_known[0] != self.version:
            self.whole_known = (self.version, self.reduce(self.wk, self.wv, 0, len(self.wk)))
        return self.whole_known[1]


class State:
    """One rule for one account."""

    __slots__ = ("phase", "since", "raised_at", "seq", "severity", "value", "last", "cooled", "spent", "cleared_at", "due", "stale", "scoped", "raises", "flapping", "snoozed", "ack", "revised_raise", "revised_value")

    def __init__(self):
        self.phase, self.since, self.raised_at, self.seq = INACTIVE, None, None, 0
        self.severity, self.value, self.last = None, None, None
        self.cooled, self.spent = 0, False  # the instant from which it may raise again; cooldown: once used up
        self.cleared_at = None
        self.stale, self.scoped = -1, "not asked"  # what changed since the scope was last asked, and its answer then
        self.revised_raise = self.revised_value = False  # what late data overturned
        self.snoozed, self.ack = 0, None  # nothing but its end is heard until then; {"at", "by"}
        self.raises, self.flapping = [], False  # every instant raised; whether the open episode is one too many
        self.due = NEVER  # the next grid instant it must be judged at even if nothing else happens


class Account:
    """Also the context in which its expressions are evaluated."""

    def __init__(self, world, name):
        self.world, self.name, self.zone = world, name, world.zone
        self.facts = {}
        self.series = [Series(m) for m in world.pack.metrics]
        self.states = [State() for _ in world.pack.rules]
        self.t = self.day = self.hour = None
        self.event = None
        self.judged = self.hour_judged = None
        self.next_due = NEVER
        self.changed = -1  # bits of what changed since the last judging; at first everything
        self.dirty = NEVER
        self.path = []  # (stage, instant entered), all of them
        self.stage_due = NEVER
        self.tenures = {}  # score -> [(day, (stage, card, version)), ...], each other than the one before
        self.daily = {}  # score -> [(day, value at its last judgement), ...]: days between are as the one before
        self.tracks = {}  # score -> ((card, version) or None, band or None), as the last look at it found
        self.told = None  # (score, band, by) of the last record of health, and its day
        self.remembered = {}  # baselines.py: what full days said

    # --- what expressions ask for

    def stage(self):
        return self.path[-1][0] if self.path else None

    def stage_age(self):
        return expr.Dur((self.hour - self.path[-1][1] // zone.HOUR) * zone.HOUR) if self.path else None

    def previous_stage(self):
        return self.path[-2][0] if len(self.path) > 1 else None

    def previous_stage_time(self):
        return expr.Dur(self.path[-1][1] - self.path[-2][1]) if len(self.path) > 1 else None

    def band(self, score):
        return self.tracks[score][1] if score in self.tracks else None

    def since(self, score):
        """The day from which on the score was given as it is now."""
        return max((day for day, _ in self.tenures[score]), default=None) if score in self.tenures else None

    def score_on(self, score, day):
        return next(v for d, v in reversed(self.daily[score]) if d <= day)

    def score_ago(self, score, days):
        since = self.since(score)
        if since is None or not self.daily.get(score) or self.day - days < since:
            return None
        return self.score_on(score, self.day - days)

    def score_over(self, fn, score, days):
        since, first = self.since(score), self.day - days + 1
        if since is None or not self.daily.get(score) or first < since:
            return None
        found = [v for v in (self.score_on(score, day) for day in range(first, self.day + 1)) if v is not None]
        if not found:
            return None
        return sum(round(v * 10) for v in found) / (10 * len(found)) if fn == "mean" else min(found) if fn == "min" else max(found)

    def time_to_first_value(self, i):
        keys, start = self.series[i].wk, self.facts.get("_start_day")
        if not keys or start is None:
            return None
        return expr.Dur(max(0, self.zone.day(keys[0] // zone.HOUR * zone.HOUR) - start) * zone.DAY)

    def look(self, t):
        self.t, self.day, self.hour = t, self.zone.day(t), t // zone.HOUR

    def window(self, i, n, k, unit):
        w = self.world
        if unit == "d":
            first, end = self.day - k - n + 1, self.day - k + 1
            if w.count_day is None or first < w.count_day:
                return None
            return self.series[i].window("d", n, first * DAYKEY, end * DAYKEY, w.literal)
        first, end = (self.hour - k - n + 1) * zone.HOUR, (self.hour - k + 1) * zone.HOUR
        if w.count_day is None or self.zone.day(first) < w.count_day:
            return None
        return self.series[i].window("h", n, first, end, w.literal)

    def whole(self, i):
        return self.series[i].whole(self.world.literal)

    def age(self, i):
        keys = self.series[i].wk
        return expr.Dur(max(0, self.hour - keys[-1] // zone.HOUR) * zone.HOUR) if keys else None

    def since_first(self, i):
        keys = self.series[i].wk
        return expr.Dur(max(0, self.hour - keys[0] // zone.HOUR) * zone.HOUR) if keys else None

    def begun(self, i):
        keys = self.series[i].wk
        return self.zone.day(keys[0] // zone.HOUR * zone.HOUR) if keys else None

    # --- records

    def apply_event(self, e, ts):
        """An accepted event, at effective time ts."""
        w = self.world
        interested = w.pack.metrics_of(e["event"])
        late = [r for r in w.pack.rules if not r.on and self.states[r.index].phase in (RAISED, CLEARING) and e["at"] < self.states[r.index].last]
        self.look(ts)
        before = [self.verdict(r) for r in late]
        if interested:
            self.look(ts)
            self.event = e
            day = self.zone.day(e["at"])
            windowless = w.count_from is None or self.day >= w.count_from
            for m in interested:
                if m.where is None or m.where.fn(self) is True:
                    self.series[m.index].add(e["at"], day, m.member(e, day), windowless)
                    self.changed |= m.bit
        for r, (held, had_moved) in zip(late, before):
            s, (holds, has_moved) = self.states[r.index], self.verdict(r)
            if held and not holds and e["at"] < s.raised_at:
                s.revised_raise, s.due = True, 0
            if has_moved and not had_moved:
                s.revised_value, s.due = True, 0
        self.touch(ts)

    def verdict(self, r):
        """Of an open episode: whether its condition is true, and whether an update would be due, were none held."""
        s = self.states[r.index]
        v = r.value.fn(self) if r.value else None
        return r.when.fn(self) is True, (r.severity_now(self) or s.severity) != s.severity or moved(v, s.value, r.update_change)

    def reply(self, e, ts):
        """What people answer to signals, at effective time ts."""
        p, pack = e["properties"], self.world.pack
        texts = {k: p[k] for k in ("episode", "rule", "until", "for", "by") if type(p.get(k)) is str}
        for r in pack.rules:
            s = self.states[r.index]
            is_open = s.phase in (RAISED, CLEARING)
            if not (is_open and texts["episode"] == f"{self.name}/{r.name}/{s.raised_at}" if "episode" in texts else texts.get("rule") == r.name):
                continue
            if e["event"] == "signal_acknowledged":
                if is_open:
                    s.ack = {"at": zone.format_time(e["at"]), "by": texts.get("by")}
                continue
            if "until" in texts:
                until = zone.parse_time(texts["until"])
            else:
                try:
                    until = e["at"] + zone.parse_duration(texts["for"])
                except (KeyError, ValueError):
                    until = None
            if until is not None:
                s.snoozed, s.due = min(until, ts + 400 * zone.DAY), 0

    def apply_facts(self, facts, ts):
        self.facts = facts
        self.changed |= expr.Env.FACTS
        self.touch(ts)

    def touch(self, ts):
        if self.dirty == NEVER:
            self.dirty = self.world.ceil(ts)

    def erase(self, ts):
        for r in self.world.pack.order:
            s = self.states[r.index]
            if s.phase in (RAISED, CLEARING):
                s.seq += 1
                self.publish(r, s, ts, "cleared", "erased", bare=True)

    # --- judging

    def advance(self, limit):
        """Judge every instant due, up to and including the grid instant `limit`."""
        w = self.world
        if self.dirty > limit and self.judged is None:
            return
        if w.literal:
            t = self.dirty if self.judged is None else self.judged + w.grid
            while t <= limit:
                self.judge(t)
                t += w.grid
            return
        while True:
            t = self.dirty
            if self.judged is not None:
                t = min(t, (self.judged // zone.HOUR + 1) * zone.HOUR, w.next_midnight(self.judged))
                t = min(t, self.next_due)
            if t > limit:
                return
            self.judge(t)

    def judge(self, t):
        if self.judged is not None and t <= self.judged:
            raise AssertionError(f"{self.name}: {t} was judged already")  # a timer that does not lie ahead would never end
        hour, day = self.hour_judged if self.judged is not None else (None, None)
        self.look(t)
        if self.hour != hour:
            self.changed |= expr.Env.HOUR
        if self.day != day:
            self.changed |= expr.Env.DAY
        every = self.world.literal
        moved_stage = False
        if every or self.judged is None or self.changed & self.world.pack.stage_deps or self.stage_due <= t:
            moved_stage = self.step_stage(t)
        kept = [(name, score) for name, score in self.world.pack.env.scores.items() if score.tracked]
        kept = [x for x in kept if every or self.judged is None or self.changed & (x[1].deps | expr.Env.STAGE)]
        for name, score in kept:
            self.step_tenure(name, score)
        for name, score in kept:
            self.step_score(name, score)
        if "health" in self.tracks:
            self.tell_health(t)
        changed = self.changed
        for r in self.world.pack.order:
            s = self.states[r.index]
            if r.on:
                s.due = NEVER  # an inhibitor may have woken it
                if moved_stage:
                    self.moment(r, s, t)
                continue
            if every or s.due <= t or changed & r.deps:
                s.stale |= changed
                self.step(r, s, t)
        self.judged, self.hour_judged = t, (self.hour, self.day)
        self.changed, self.dirty = 0, NEVER
        self.next_due = min([s.due for s in self.states] + [self.stage_due])

    def step_stage(self, t):
        """True when the account is in another stage than before: the last in the file whose `enter` is true."""
        stages = self.world.pack.stages
        self.stage_due = NEVER
        if self.path:
            stay = next(s.stay for s in stages if s.name == self.path[-1][0])
            if t < self.path[-1][1] + stay:
                self.stage_due = self.world.ceil(self.path[-1][1] + stay)
                return False
        entered = [s.name for s in stages if s.enter.fn(self) is True]
        if not entered or entered[-1] == self.stage():
            return False
        self.path.append((entered[-1], t))
        self.changed |= expr.Env.STAGE
        return True

    def step_tenure(self, name, score):
        card = score.of(self)
        by = (self.stage(), (card.name, card.version) if card else None)
        known = self.tenures.setdefault(name, [])
        if not known or known[-1][1] != by:
            known.append((self.day, by))
            self.changed |= expr.Env.TRACK

    def step_score(self, name, score):
        card = score.of(self)
        value = score.value(self) if card else None
        by = (card.name, card.version) if card else None
        former_by, former = self.tracks.get(name, (None, None))
        band = None if value is None else card.band(value, former if by == former_by else None)
        if band != former:
            self.changed |= expr.Env.BAND
        self.tracks[name] = (by, band)
        daily = self.daily.setdefault(name, [])
        if not daily or daily[-1][1] != value:
            if daily and daily[-1][0] == self.day:
                daily.pop()
            daily.append((self.day, value))
            self.changed |= expr.Env.TRACK

    def tell_health(self, t):
        """A record of the score health, where it says something else than the last one."""
        by, band = self.tracks["health"]
        by, value = (self.stage(), by), self.daily["health"][-1][1]
        if self.told is None:
            if by[1] is None:
                return
        else:
            (score, *rest), day = self.told
            if rest == [band, by]:
                far = (score is None) != (value is None) or score is not None and abs(round(score * 10) - round(value * 10)) >= 10
                if not far or day == self.day:
                    return
        self.told = (value, band, by), self.day
        health = self.health() or {"score": None, "band": None, "coverage": 0, "change": {"7d": None, "28d": None}, "factors": []}
        card, version = by[1] or (None, None)
        self.world.health.append((t, self.name, {"account": self.name, "at": zone.format_time(t), "stage": self.stage(),
                                                 "card": card, "card_version": version, **health,
                                                 "rules_version": self.world.pack.version}))

    def moment(self, r, s, t):
        """A rule on a change of stage: raised, and over."""
        if r.scope.fn(self) is not True or r.when.fn(self) is not True or s.spent:
            return
        waits = [s.cooled, s.snoozed]
        for i in r.inhibitors:
            o = self.states[i]
            if o.phase in (RAISED, CLEARING):
                return
            if o.cleared_at is not None:
                waits.append(o.cleared_at + r.tail)
        if max(waits) > t:
            return
        s.raised_at, s.seq, s.last = t, 1, t
        s.severity = r.severity_now(self) or "warn"
        s.value = r.value.fn(self) if r.value else None
        self.publish(r, s, t, "raised", None)
        s.cooled, s.spent, s.cleared_at = t + r.cooldown, r.once, t
        self.wake(r, t)

    def wake(self, r, t):
        """r opened or closed: what it holds back comes later in the order of this very instant."""
        for i in r.dependents:
            self.states[i].due = min(self.states[i].due, t)

    def step(self, r, s, t):
        w = self.world
        s.due = NEVER
        is_open = s.phase in (RAISED, CLEARING)
        if w.literal or s.stale & r.scope.deps or s.scoped == "not asked":
            s.scoped = r.scope.fn(self)
        s.stale = 0
        if s.scoped is not True:
            if is_open:
                self.close(r, s, t, "out_of_scope")
            else:
                s.phase = INACTIVE
            return
        if not is_open:
            if r.when.fn(self) is not True:
                s.phase = INACTIVE
                return
            if s.phase == INACTIVE:
                s.phase, s.since = PENDING, t
            if s.spent:
                return
            waits = [s.since + r.hold, s.cooled, s.snoozed]
            held = False
            for i in r.inhibitors:
                o = self.states[i]
                if o.phase in (RAISED, CLEARING):
                    held = True
                elif o.cleared_at is not None:
                    waits.append(o.cleared_at + r.tail)
            if held or max(waits) > t:
                s.due = w.ceil(min((x for x in waits if x > t), default=NEVER))
                return
            s.phase, s.since, s.raised_at, s.seq, s.last = RAISED, t, t, 1, t
            s.severity = r.severity_now(self) or "warn"
            s.value = r.value.fn(self) if r.value else None
            f = w.pack.flapping
            s.flapping = f is not None and sum(t - f[1] < x for x in s.raises) >= f[0] - 1
            s.raises.append(t)
            self.publish(r, s, t, "raised", "flapping" if s.flapping else None)
            s.due = t + w.grid
            self.wake(r, t)
            return
        if s.revised_raise:
            s.revised_raise = False
            if r.when.fn(self) is not True:
                self.close(r, s, t, "revised")
                s.due = t + w.grid
                return
        clear = r.clear.fn(self) if r.clear else expr.tv_not(r.when.fn(self))
        if s.phase == RAISED and clear is True:
            s.phase, s.since, s.revised_value = CLEARING, t, False
        if s.phase == CLEARING:
            if clear is not True:
                s.phase, s.since = RAISED, t
                s.due = t + w.grid
            elif t - s.since >= max(r.clear_hold, self.calm(s)):
                self.close(r, s, t, "condition")
                s.due = t + w.grid
            else:
                s.due = w.ceil(s.since + max(r.clear_hold, self.calm(s)))
            return
        severity = r.severity_now(self) or s.severity
        v = r.value.fn(self) if r.value else None
        if severity == s.severity and not moved(v, s.value, r.update_change):
            s.revised_value = False
            return
        free = max(s.last + UPDATE_HOLD, s.since + self.calm(s))
        free = max(s.snoozed, t if RANK[severity] > RANK[s.severity] else free)
        if t >= free:
            s.seq += 1
            s.severity, s.value, s.last = severity, v, t
            self.publish(r, s, t, "updated", "revised" if s.revised_value else None)
            s.revised_value = False
        else:
            s.due = w.ceil(free)

    def calm(self, s):
        """So long nothing may happen before a flapping episode goes on like any other."""
        episodes, within = self.world.pack.flapping or (2, 0)
        return within // (episodes - 1) if s.flapping else 0

    def health(self):
        score = self.world.pack.env.scores.get("health")
        card = score.of(self) if score else None
        if card is None:
            return None
        now, since = score.value(self), {}
        for days in (7, 28):
            then = self.score_ago("health", days)
            since[f"{days}d"] = None if None in (now, then) else plain((round(now * 10) - round(then * 10)) / 10)
        found = [(name, value.fn(self), points, weight) for (name, value), (points, weight) in zip(card.values, card.points(self))]
        present = sum(w for _, _, p, w in found if p is not None)
        found.sort(key=lambda f: -1 if f[2] is None else f[3] * (100 - f[2]), reverse=True)
        return {
            "score": None if now is None else plain(now), "band": self.band("health"), "coverage": plain(score.coverage(self)),
            "change": since,
            "factors": [{"factor": name, "value": plain(v), "points": None if p is None else plain(p),
                         "weight": 0 if p is None else plain(round(100 * w / present * 10) / 10),
                         "contribution": 0 if p is None else plain(round(100 * w / present * p / 10) / 10)} for name, v, p, w in found]}

    def close(self, r, s, t, reason):
        s.seq += 1
        self.publish(r, s, t, "cleared", reason)
        s.phase, s.since, s.ack = INACTIVE, None, None
        s.revised_raise = s.revised_value = False
        if reason != "revised":
            s.cooled, s.spent, s.cleared_at = t + r.cooldown, r.once, t
        self.wake(r, t)

    def publish(self, r, s, t, state, reason, bare=False):
        episode = f"{self.name}/{r.name}/{s.raised_at}"
        f = self.facts
        out = {
            "account": self.name,
            "rule": r.name,
            "kind": r.kind,
            "state": state,
            "severity": s.severity,
            "episode": episode,
            "sequence": s.seq,
            "time": zone.format_time(t),
            "raised_at": zone.format_time(s.raised_at),
            "value": None,
            "threshold": None,
            "clear_threshold": None,
            "summary": "",
            "reason": reason,
            "evidence": {},
            "id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"tidemark:{episode}/{state}/{s.seq}")),
            "facts": None,
            "health": None,
            "play": None,
        }
        if not bare:
            out["acknowledged"] = s.ack
            for key in ("value", "threshold", "clear_threshold"):
                x = getattr(r, key)
                out[key] = plain(x.fn(self)) if x else None
            out["summary"] = r.summary.render(self) if r.summary else ""
            out["evidence"] = {k: plain(x.fn(self)) for k, x in r.parts}
            out["facts"] = {k: plain(f.get(k)) for k in ("plan", "seats", "mrr", "renewal_at", "tier")}
            out["facts"]["stage"] = self.stage()
            out["health"] = self.health()
            out["play"], out["route"] = r.play_now(self), r.route_now(self)
        self.world.signals.append((t, self.name, r.name, len(self.world.signals), out))


def moved(v, p, change):
    if type(v) not in (float, expr.Dur) or type(v) is not type(p) or v == p:
        return False
    return abs(v - p) >= change * abs(p)


def plain(v):
    """A value as JSON: durations in milliseconds, whole numbers without a point."""
    if type(v) in (float, expr.Dur):
        return int(v) if v == int(v) else float(v)
    return sorted(v) if isinstance(v, frozenset) else v


class World:
    def __init__(self, pack, config, literal=False):
        self.pack, self.zone, self.grid, self.config, self.literal = pack, config.zone, config.grid, config, literal
        self.accounts, self.dups = {}, {}
        self.signals, self.dead, self.duplicates = [], {}, 0
        self.health = []  # (instant, account, record)
        self.count_day = None  # local day of the counting start; None: no usage yet, no window can answer
        self.count_from = None  # with history DATE: the local day from which windowless values take events
        self.midnights = []
        self.end = None

    def ceil(self, t):
        return -(-t // self.grid) * self.grid

    def next_midnight(self, t):
        """The first grid instant after t that is the first at or after a change of the local day."""
        m = self.midnights
        i = bisect_right(m, t)
        return m[i] if i < len(m) else NEVER

    def _counting(self, first_usage):
        h = self.config.history
        if h == "complete":
            self.count_day = -(1 << 40)
        elif h == "first-record":
            self.count_day = None if first_usage is None else self.zone.day(first_usage)
        else:
            day = zone.date_day(h)
            while not any(self.zone.day(day * zone.DAY + k * zone.HOUR) == day for k in range(-15, 40)):
                day += 1  # a day that the zone skipped
            self.count_day = self.count_from = day

    def is_duplicate(self, e, t):
        """Was the same (account, source, id) accepted at an effective time > t - window? If not, note this one."""
        seen, queue = self.dups.setdefault(e["account"], ({}, deque()))
        while queue and queue[0][0] <= t - self.config.dedup:
            del seen[queue.popleft()[1]]
        key = (e["source"] or "", e["id"])
        if key in seen:
            return True
        seen[key] = t
        queue.append((t, key))
        return False

    def kill(self, reason):
        self.dead[reason] = self.dead.get(reason, 0) + 1

    def run(self, events, accounts, until=None, points=()):
        """points: (at, account, callback(Account)) in order of at for each account."""
        start, first_usage, stream = records.merged(events, accounts, until)
        self._counting(first_usage)
        asked = {}
        for p in points:
            asked.setdefault(p[1], deque()).append(p)
        last = start
        seen_midnights = start
        for ts, which, d in stream:
            last = ts
            if ts > (seen_midnights or ts) - zone.DAY:  # the list of midnights stays ahead of the records
                seen_midnights = self._midnights_to(seen_midnights or ts, ts + 30 * zone.DAY)
            try:
                if isinstance(d, records.Bad):
                    raise d
                if which == records.USAGE:
                    item = records.read_event(d)
                    name = item["account"]
                else:
                    name, item = records.read_account(d, self.zone)
            except records.Bad as e:
                self.kill(e.args[0])
                continue
            q = asked.get(name)
            while q and q[0][0] < ts:
                self.answer(q.popleft())
            if which == records.USAGE and self.is_duplicate(item, ts):
                self.duplicates += 1
                continue
            a = self.accounts.get(name)
            if a is None:
                if item is None:
                    continue
                a = self.accounts[name] = Account(self, name)
            elif self.pack.judges:
                a.advance(self.ceil(ts) - self.grid)  # every grid instant before ts
            if which == records.USAGE:
                a.apply_event(item, ts)
                if item["event"] in packs.REPLIES:
                    a.reply(item, ts)
            elif item is None:
                a.erase(ts)
                del self.accounts[name]
            else:
                a.apply_facts(item, ts)
        self.end = last if until is None or start is None else until
        if start is not None and self.end >= start and self.pack.judges:
            self._midnights_to(seen_midnights, self.end + zone.DAY)
        for q in asked.values():
            while q:
                self.answer(q.popleft())
        if start is not None and self.end >= start and self.pack.judges:
            limit = self.end // self.grid * self.grid
            for a in self.accounts.values():
                a.advance(limit)
        self.signals.sort(key=lambda s: s[:4])
        self.health.sort(key=lambda h: h[:2])
        return [s[4] for s in self.signals]

    def _midnights_to(self, a, b):
        if b > a:
            for x in self.zone.day_changes(a, b):
                x = self.ceil(x)
                if not self.midnights or self.midnights[-1] < x:
                    self.midnights.append(x)
        return max(a, b)

    def answer(self, point):
        at, name, callback = point
        a = self.accounts.get(name) or Account(self, name)
        if name in self.accounts and self.pack.judges:
            a.advance(at // self.grid * self.grid)
        a.look(at)
        callback(a)
