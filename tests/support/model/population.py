#!/usr/bin/env python3
"""A seeded population of accounts as two NDJSON files, for property and integration tests, and seeded rule packs.

    population.py --seed 1 --accounts 2000 --days 60 --out DIR [--start 2024-03-01] [--rate 8] [--dirt]

The order of the usage file is that of arrival: some events come late (minutes to weeks), some twice (at once, or about one
dedup window later). No event is ever ahead of the file's running maximum by more than its own order, so none is in the future.
With --dirt some lines cannot be used. Same seed, same bytes.
"""

import argparse
import json
import os
import random
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import zone  # noqa: E402

MINUTE, HOUR, DAY = 60_000, zone.HOUR, zone.DAY
KINDS = ("steady", "steady", "fade", "stop", "grow", "pause", "sparse", "new")
USE = ("login", "report_viewed", "export_run", "record_created", "record_created", "billing.viewed", "billing.invoice", "api_call")
TIERS = ("high", "low", "tech")


def dumps(x):
    return json.dumps(x, ensure_ascii=False, separators=(",", ":"))


def rhythm(rng, t):
    """How likely an event is at this hour: days more than nights, weekdays more than weekends."""
    hour, weekday = t // HOUR % 24, (t // DAY + 3) % 7
    return (1.0 if 7 <= hour < 19 else 0.15) * (0.25 if weekday >= 5 else 1.0)


def level(kind, x, knee):
    """Activity at the share x of the time, 1 is the usual."""
    if kind == "fade":
        return 1.0 if x < knee else max(0.0, 1 - 1.6 * (x - knee) / (1 - knee))
    if kind == "stop":
        return 1.0 if x < knee else 0.0
    if kind == "grow":
        return 0.4 if x < knee else 0.4 + 2 * (x - knee)
    if kind == "pause":
        return 0.0 if knee < x < knee + 0.2 else 1.0
    if kind == "sparse":
        return 0.08
    if kind == "new":
        return 0.0 if x < 0.3 else 0.8
    return 1.0


class Account:
    def __init__(self, rng, i, start, end):
        self.name = f"acct-{i:04d}" if rng.random() < 0.95 else f"Kunde Ä/{i}"
        self.kind = rng.choice(KINDS)
        self.knee = rng.uniform(0.35, 0.7)
        self.users = [f"u-{i}-{k}" for k in range(rng.choice((1, 2, 5, 5, 12, 30)))]
        self.start, self.end = start, end
        self.facts = self.contract(rng, start)

    def contract(self, rng, now):
        seats = rng.choice((None, 5, 10, len(self.users), 2 * len(self.users), 12.5))
        began = now - rng.randrange(0, 400) * DAY
        renew = now + rng.randrange(-20, 200) * DAY
        f = {
            "name": f"Company {self.name}",
            "plan": rng.choice(("starter", "pro", "enterprise")),
            "seats": seats,
            "mrr": rng.choice((49, 99.95, 1200, 15000.5)),
            "currency": "EUR",
            "contract_start": zone.day_text(began // DAY),
            "renewal_at": zone.format_time(renew) if rng.random() < 0.3 else zone.day_text(renew // DAY),
            "term_months": rng.choice((1, 12, None)),
            "tier": rng.choice(TIERS + (None,)),
            "status": rng.choice(("active", "active", "active", "active", "churned", None)),
            "owners": {"csm": rng.choice(("ann", "bob")), "sales": "cy"},
            "champions": rng.sample(self.users, 1) if rng.random() < 0.7 else None,
            "products": [{"name": "core", "seats": seats, "mrr": 10}, {"name": "addon", "mrr": 5.5}][: rng.choice((1, 2))],
            "goals": {"records": rng.choice((10, 500))},
            "attributes": {"region": rng.choice(("emea", "apac")), "score": rng.choice((1, 2.5)), "pilot": rng.random() < 0.5},
        }
        return {k: v for k, v in f.items() if v is not None}

    def record(self, at):
        return dict({"account": self.name, "at": stamp(at)}, **self.facts)


def stamp(at):
    """Times as text and as numbers, one by one."""
    return at if at % 5 == 0 else zone.format_time(at)


def account_events(rng, a, rate):
    """The events of one account as (at, event dict)."""
    t, mean = a.start, DAY / max(rate, 0.01) / 2.2
    while True:
        t += int(rng.expovariate(1 / mean)) + 1
        if t >= a.end:
            return
        x = (t - a.start) / (a.end - a.start)
        lv = level(a.kind, x, a.knee)
        if rng.random() > lv * rhythm(rng, t) / 2.4 * 2:
            continue
        r = rng.random()
        e = {"account": a.name, "at": t}
        if rng.random() < 0.03:  # on a minute, an hour, a day, or the millisecond before
            unit = rng.choice((MINUTE, HOUR, DAY))
            e["at"] = max(a.start, t // unit * unit - rng.choice((0, 0, 1)))
        if r < 0.02:
            e.update(event="nps_response", value=rng.choice((0, 3, 6, 7, 9, 10)))
            if rng.random() < 0.2:
                del e["value"]
        elif r < 0.03:
            e.update(event="follow_up")
        elif r < 0.08:
            e.update(event="sync.run", source="integration", properties={"ok": rng.random() < 0.8, "rows": rng.randrange(1000)})
            yield e["at"], e
            continue
        elif r < 0.11:
            e.update(event="purchase", value=round(rng.uniform(-50, 400), rng.choice((0, 2, 7))))
        elif r < 0.12:
            e.update(event="training_done")
        else:
            p = {"ok": rng.choice((True, True, False)), "feature": rng.choice("abcd"), "ms": rng.randrange(5, 900) / 8}
            p = {k: v for k, v in p.items() if rng.random() < 0.8}
            e.update(event=rng.choice(USE), properties=p)
        if rng.random() < 0.95:
            alive = max(1, int(len(a.users) * min(1.0, lv)))
            e["user"] = rng.choice(a.users[:alive])
        if rng.random() < 0.3:
            e["source"] = rng.choice(("web", "mobile"))
        yield e["at"], e


DIRT = (
    b"{", b"not json", b'{"id":"x"}', b"[]", b'{"id":"x","account":"a","event":"e","at":"yesterday"}', b"\xff\xfe",
    b'{"id":"x","account":"acct-0001","event":"login","at":NaN}',
    b'{"id":"x","account":"acct-0001","event":"login","at":-5}',
    b'{"id":"x","id":"y","account":"acct-0001","event":"login","at":1000}',
)


def generate(seed, accounts=20, days=20, start="2024-03-20", rate=8.0, dirt=False, erased=0.06):
    """-> (usage lines, account lines) as lists of bytes without line ends."""
    rng = random.Random(seed)
    begin = zone.date_day(start) * DAY + rng.randrange(DAY)
    end = begin + days * DAY
    arrivals, facts, n = [], [], 0
    for i in range(accounts):
        a = Account(rng, i, begin, end)
        if rng.random() < 0.8:
            facts.append((begin + rng.randrange(max(1, (end - begin) // 6)), a.record))
        for _ in range(rng.choice((0, 0, 1, 3))):
            facts.append((rng.randrange(begin, end), lambda at, f=a.contract(rng, begin), a=a: dict(a.record(at), **f)))
        if rng.random() < erased:
            at = rng.randrange(begin, end)
            facts.append((at, lambda at, a=a: {"account": a.name, "at": stamp(at), "erase": True}))
        # Now and then what happened is held up on its way and comes all at once: late data that overturn verdicts.
        held = [(at, at + rng.randrange(HOUR, 4 * DAY)) for at in (rng.randrange(begin, end) for _ in range(rng.choice((0, 0, 2, 4))))]
        for at, e in account_events(rng, a, rate * rng.choice((0.3, 1, 1, 2.5))):
            n += 1
            e["id"] = f"e-{n}"
            e["at"] = stamp(at)
            late, r = 0, rng.random()
            if r < 0.06:
                late = int(rng.expovariate(1 / (20 * MINUTE)))
            elif r < 0.07:
                late = rng.randrange(days * DAY // 2)
            late = max([late] + [until - at for since, until in held if since <= at < until])
            arrivals.append((at + late, len(arrivals), e))
            if rng.random() < 0.02:
                again = rng.choice((0, 1000, HOUR - 1, HOUR, HOUR + 1, 3 * HOUR))
                arrivals.append((at + late + again, len(arrivals), e))
    arrivals.sort(key=lambda x: x[:2])
    usage = []
    for _, _, e in arrivals:
        if dirt and usage and rng.random() < 0.01:
            usage.append(rng.choice(DIRT))
        if dirt and usage and rng.random() < 0.005:
            broken = dict(e, id=f"{e['id']}-bad", **{rng.choice(("user", "value", "properties")): [1]})
            usage.append(dumps(broken).encode())
        usage.append(dumps(e).encode())
    lines = [dumps(make(at)).encode() for at, make in sorted(facts, key=lambda x: x[0])]
    if dirt:
        for bad in (b"{]", b'{"at":5}', b'{"account":"acct-0002","seats":"many"}', b'{"account":"acct-0003","plan":"pro"}'):
            # Not first: {"at":5} there would begin the stream's time in 1970.
            lines.insert(rng.randrange(1, len(lines) + 1) if lines else 0, bad)
    return usage, lines


METRICS = {
    "events": {"count": "*"},
    "human": {"count": "*", "where": "user != null"},
    "key_actions": {"count": ["report_viewed", "export_run"], "where": "properties.ok == true"},
    "billing": {"count": ["billing.*"]},
    "users": {"distinct": "user"},
    "features": {"distinct": "event"},
    "letters": {"distinct": "properties.feature"},
    "days": {"distinct": "day", "event": ["login", "report_viewed", "export_run", "record_created"]},
    "spent": {"sum": "value", "event": "purchase"},
    "slowest": {"max": "properties.ms"},
    "nps": {"last": "value", "event": "nps_response"},
    "first_nps": {"first": "value", "event": "nps_response"},
    "follow_up": {"count": "follow_up"},
    "sync": {"count": "sync.*", "where": "source == 'integration'"},
    "champion": {"count": "*", "where": "user in champions"},
}


def baseline(rng):
    """An expression that measures an account against its own past; most reach back no further than a few weeks."""
    m = rng.choice(("events", "events", "human", "key_actions", "spent", "users", "days"))
    off = rng.choice(("", "", " offset 1d", " offset 2d"))
    w, n = rng.choice(((1, 3), (1, 5), (1, 8), (2, 3), (2, 4), (3, 4), (7, 3), (7, 6)))
    return rng.choice((
        f"zscore({m}[{w}d{off}], {n})", f"zscore({m}[{w}d{off}], {n})", f"growth({m}[{w}d{off}], {n})",
        f"median_weekday({m}, {rng.choice((4, 5, 7))}w{off})", f"cusum({m}, 4w{rng.choice(('', ', 0.25', ', 1'))})",
        f"gap({rng.choice(('events', 'human', 'billing', 'sync', 'spent'))}, {rng.choice((1, 50, 90, 95, 100))}) / 1d",
    ))


def baseline_rules(rng):
    x, h = rng.choice((-1.5, -0.5, 0.2, 0.8, 1.2, 3)), rng.choice((6, 12, 24))
    b = baseline(rng)
    return (
        (f"{b} <= {x}", f"{b} > {x + 0.4}"),
        (f"{baseline(rng)} >= {x}", None),
        (f"age(human) >= clamp(coalesce(2 * gap(human, {rng.choice((50, 95))}), 1d), {h}h, 3d)", f"age(human) < {h}h"),
    )


STAGES = ("contracted", "onboarding", "adoption", "utilisation", "renewal")


def stage_list(rng):
    """No stages, or some in order; conditions that records, hours and midnights make true and false again."""
    if rng.random() < 0.5:
        return []
    n, h, k = rng.choice((1, 2, 3)), rng.choice((1, 6, 30)), rng.choice((1, 5, 20))
    enter = ("true", f"age(key_actions) == null and contract_age < {k * 10}d", f"first(key_actions) >= {h}h", f"users[{n}d] >= {n}",
             f"days_to_renewal <= {k * 3}", f"events[{n}d] > {k}", f"events[{h}h] >= 1 and tier != 'low'", "nps <= 6", "plan == 'pro'",
             f"time_to_first_value >= {k}d", f"events[{n}d offset 1d] < {k}")
    return [{"name": name, "enter": rng.choice(enter), **({"stay": rng.choice(("0", "90m", "1d", "3d"))} if rng.random() < 0.6 else {})}
            for name in STAGES[: rng.randrange(1, 6)]]


def scorecards(rng, stages):
    """No cards, or some: of a stage, of a tier, of everybody; two scores."""
    if rng.random() < 0.5:
        return {}
    n = rng.choice((1, 2, 7))
    m = rng.choice(("events", "human", "users", "days", "spent"))
    factors = {
        "use": (f"ratio(users[{n}d], seats)", rng.choice(([[0, 0], [0.7, 100]], [[0.1, 20], [0.3, 5], [1, 90.5]]))),
        "trend": (f"ratio({m}[{n}d offset 1d], {m}[{n}d offset {n + 1}d])", [[0.5, 0], [1, 60], [2, 100]]),
        "nps": ("nps", [[0, 0], [6, 30], [10, 100]]),
        "rest": (f"age({rng.choice(('key_actions', 'human', 'sync'))})", [["2h", 100], ["1d", 40], ["36h", 10.25]]),
        "sync": ("sync[1d] - 3", [[-3, 0], [-1.5, 33.3], [5, 100]]),
        "score": ("attributes.score", [[1, 10], [3, 100]]),
        "contract": ("contract_age", [["0", 0], ["200d", 100]]),
        "before": (f"health[{rng.choice((1, 2, 5))}d ago]", [[0, 100], [100, 0]]),
        "hours": (f"{m}[6h]", [[0, 0], [10, 100]]),
    }
    if stages:
        factors["stage_age"] = ("stage_age", [["1h", 100], ["3d", 0]])

    def card():
        names = rng.sample(sorted(factors), rng.randrange(1, 5))
        return {name: {"value": factors[name][0], "map": factors[name][1], "weight": rng.choice((1, 10, 25, 0.3, 40))} for name in names}

    cards = {}
    for stage in stages[:2]:
        cards[stage["name"]] = card()
    if rng.random() < 0.5:
        cards["tiered"] = dict(card(), card={"tiers": rng.choice(("high", ["low", "tech"])), "when": "seats != null"})
    cards["all"] = card()
    if rng.random() < 0.5:
        cards["approach"] = dict(card(), card={"score": "approach", "when": f"events[{n}d] > 3"})
    for spec in cards.values():
        if rng.random() < 0.6:
            continue
        settings = spec.setdefault("card", {})
        settings.update({"bands": rng.choice(({}, {"margin": rng.choice((0, 1.5, 10, 40))}, {"green": 60, "yellow": 20.5, "margin": 0.1})),
                         "version": rng.choice((1, 7))})
        if rng.random() < 0.2:
            settings["keep"] = "3d"
    return cards


def score_conditions(rng, cards, a):
    if not cards:
        return ()
    k = rng.choice((20, 45, 50, 75))
    out = ((f"health <= {k} and coverage(health) >= 0.5", f"health > {k + 5}"), (f"health >= {k}", None), ("health == null", "health != null"),
           (f"card(health) == 'all' and events[{a}d] > 3", None), (f"coverage(health) < 0.{rng.randrange(1, 9)}", None),
           ("band == 'red'", "band == 'green'"), ("band != 'green' and health >= 75", None), (f"health - health[{rng.choice((1, 2, 3, 7))}d ago] <= -{rng.choice((0.1, 5, 15))}", f"health >= health[{rng.choice((1, 3))}d ago]"),
           (f"{rng.choice(('min', 'max', 'mean'))}(health[{rng.choice((1, 2, 4, 9))}d]) < {k}", None), (f"health[{a}d ago] == null", None),
           ("band != null and band in ['yellow', 'green']", "band == null"))
    return out + (("approach > health or approach == null", None), ("band(approach) != band", "band(approach) == null"),
                  (f"approach[{a}d ago] > health or mean(approach[2d]) < 30", None), (f"approach * 2 > {k}", None)) if "approach" in cards else out


def standing_conditions(rng, stages, h, a):
    if not stages:
        return ()
    names = [s["name"] for s in stages]
    name = rng.choice(names)
    return ((f"stage == '{name}' and events[{a}d] < 20", None), (f"stage_age >= {h}h", f"stage != '{name}'"),
            (f"previous_stage_time < {h * 2}h and stage in ['{name}', 'renewal']", None), (f"stage_age / 1h > {h}", None),
            (f"time_to_first_value > {h}d or previous_stage == '{name}'", f"stage_age > {h + 5}h"), ("stage == null or stage_age > 2d", None))


def stage_rules(rng, rules, stages):
    """Limits rules to stages and tiers, and has some told of changes."""
    names = [s["name"] for s in stages]
    for r in rules:
        if rng.random() < 0.2:
            r["stages"] = rng.choice((rng.choice(names), rng.sample(names, rng.randrange(1, len(names) + 1))))
        if rng.random() < 0.1:
            r["tiers"] = rng.choice(("high", ["low", "tech"]))
    for i in range(rng.choice((0, 1, 1, 2))):
        r = {"name": f"moved_{i}", "kind": "advisory", "on": "stage_changed", "severity": rng.choice(("info", "if(mrr > 1000, 'high', 'info')")),
             "summary": "from {{previous_stage}} after {{previous_stage_time | duration}} to {{stage}}"}
        if rng.random() < 0.4:
            r["when"] = rng.choice(("previous_stage != null", "events[1d] > 2", f"stage == '{rng.choice(names)}'"))
        if rng.random() < 0.3:
            r["cooldown"] = rng.choice(("once", "6h", "3d"))
        if rng.random() < 0.3:
            r["tiers"] = ["high", "low"]
        if rules and rng.random() < 0.3:
            r["inhibited_by"], r["inhibit_tail"] = [rng.choice(rules)["name"]], "6h"
        elif rules and rng.random() < 0.4:
            victim = rng.choice(rules)
            victim["inhibited_by"], victim["inhibit_tail"] = [r["name"]], "1d"
        rules.append(r)


CASES = ("tier == 'high'", "mrr > 1000 and first_term", "attributes.region == 'emea'", "events[1d] > 5", "nps <= 6", "days_to_renewal < 60",
         "plan in ['pro', 'enterprise']", "success_plan != null", "seats > 10")


def route(rng):
    return {key: rng.choice(of) for key, of in (("queue", ("cs", "sales")), ("responsible", ("csm", "sales")), ("informed", ("sales", "boss")))
            if rng.random() < 0.7}


def routes(rng):
    return [dict(route(rng), when=rng.choice(CASES)) if rng.random() < 0.8 else route(rng) for _ in range(rng.randrange(1, 4))]


def rule_pack(seed, rules=12):
    """A random but sensible rules file, as a dict for a YAML writer."""
    rng = random.Random(seed)
    n = lambda: rng.choice((1, 2, 3, 5, 7, 14))
    dur = lambda: rng.choice(("0", "10m", "1h", "90m", "6h", "24h", "2d", "7d"))
    off = lambda: rng.choice(("", "", " offset 1d", " offset 3d"))

    def pick():
        a, b = n(), n()
        w = rng.choice((f"[{a}d{off()}]", f"[{a}d]", f"[{rng.choice((1, 6, 24, 48))}h]", f"[{b}h offset {a}h]"))
        m = rng.choice(("events", "human", "key_actions", "billing", "users", "features", "letters", "days", "spent"))
        x = rng.choice((0.3, 0.5, 0.8, 1, 1.5))
        k = rng.choice((0, 1, 2, 5, 10, 20))
        h = rng.choice((1, 3, 12, 36, 72))
        return rng.choice((
            (f"ratio({m}[{a}d offset 1d], {m}[{a}d offset {a + 1}d]) <= {x} and {m}[{a}d offset {a + 1}d] >= {k}",
             f"ratio({m}[{a}d offset 1d], {m}[{a}d offset {a + 1}d]) > {x + 0.3}"),
            (f"{m}{w} <= {k}", f"{m}{w} > {k + 2}"),
            (f"{m}{w} >= {k}", None),
            (f"age({m if m != 'spent' else 'events'}) >= {h}h", None),
            (f"age(champion) >= {h}h or (seats != null and age(champion) == null)", f"age(champion) < {h}h"),
            # Not both at once: on a grid of seconds such a rule makes a million signals.
            rng.choice(((f"ratio(users[{a}d], seats) < {x}", f"ratio(users[{a}d], seats) > {x}"),
                        (f"ratio(users[{a}d], seats) >= {x}", f"ratio(users[{a}d], seats) < {x}"))),
            (f"nps <= 6 and not coalesce(age(follow_up) <= age(nps), false)", "nps >= 7 or age(follow_up) <= age(nps)"),
            (f"days_to_renewal <= {k * 3} and mrr > 50", None),
            (f"contract_age >= {k * 10}d and first(key_actions) == null", None),
            (f"slowest > {20 * k} or slowest[{a}d] < {k}", None),
            (f"nps[{a}d] != first_nps and tier in ['high', 'tech']", None),
            (f"clamp(spent{w}, 0, 500) / 100 - min({k}, {x}) > abs({m}[{a}d] - {k}) * 0.5", None),
            (f"attributes.pilot or goals.records > {m}[{a}d] and products.core.seats < {k}", None),
            (f"if(first_term, log({m}[{a}d] + 1), {k}) >= {x} and days[{a}d] < {a}", None),
            (f"age(sync) >= {h}h and sync[{a}d] > {k}", f"age(sync) < {h}h"),
            *baseline_rules(rng),
        ) + standing_conditions(rng, stages, h, a) + score_conditions(rng, cards, a))

    out, stages = [], stage_list(rng)
    cards = scorecards(rng, stages)
    for i in range(rules):
        when, clear = pick()
        r = {"name": f"r{rng.randrange(100)}_{i}", "kind": rng.choice(("churn_risk", "churn_risk", "expansion", "advisory")), "when": when}
        if clear and rng.random() < 0.8:
            r["clear"] = clear
        for key, p in (("for", 0.6), ("clear_for", 0.5), ("cooldown", 0.5)):
            if rng.random() < p:
                r[key] = dur()
        if rng.random() < 0.1:
            r["cooldown"] = "once"
        r["severity"] = rng.choice((
            "warn", "high", "info", {"high": "critical", "low": "warn", "tech": "info"},
            "if(mrr > 1000, 'critical', 'warn')", "if(events[1d] > 3, 'info', if(users[1d] > 0, 'warn', 'high'))",
        ))
        if out and rng.random() < 0.45:
            r["inhibited_by"] = [x["name"] for x in rng.sample(out, min(len(out), rng.choice((1, 2))))]
            if rng.random() < 0.6:
                r["inhibit_tail"] = dur()
        if rng.random() < 0.15:
            r["scope"] = rng.choice(("events[7d] > 2", "tier != 'low'", "true", "coalesce(seats, 1) > 5"))
        if rng.random() < 0.2:
            r["value"] = "events[7d]"
        if rng.random() < 0.1:
            r["threshold"] = "5"
        if rng.random() < 0.2:
            r["update_change"] = rng.choice(("0", "0.05", "0.5"))
        if rng.random() < 0.7:
            r["summary"] = (
                "{{ratio(users[7d], seats) | percent}} of {{seats}} seats, {{events[7d] | number}} events, last {{age(events) | duration}} "
                "ago, renews {{renewal_at | date}}, {{plan}} {{attributes.pilot}}"
            )
        if rng.random() < 0.5:
            r["play"] = rng.choice(("Call them", {"high": "Call", "low": "Mail", "tech": "Guide"},
                                    [{"when": rng.choice(CASES), "play": {"high": "Visit", "default": "Write"}}, {"when": "users[1d] > 0", "play": "Ask"}]))
        if rng.random() < 0.5:
            r["route"] = rng.choice((route(rng), route(rng), routes(rng), {}))
        out.append(r)
    if rng.random() < 0.5:
        rng.shuffle(out)  # inhibitors may stand further down
    if stages:
        stage_rules(rng, out, stages)
    pack = {"version": 1, "metrics": METRICS, "rules": out}
    if cards:
        pack["scorecards"] = cards
    if stages:
        pack["stages"], pack["first_value"] = stages, "key_actions"
    if rng.random() < 0.5:
        pack["routes"] = rng.choice((route(rng), routes(rng)))
    if rng.random() < 0.6:
        pack["flapping"] = {"episodes": rng.choice((2, 2, 2, 3, 4, 8)), "within": rng.choice(("3h", "1d", "10d", "21d", "21d"))}
    if rng.random() < 0.3:
        pack["scope"] = rng.choice(("true", "plan != 'starter'"))
    return pack


def write_lines(path, lines):
    with open(path, "wb") as f:
        for line in lines:
            f.write(line + b"\n")


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--seed", type=int, default=1)
    p.add_argument("--accounts", type=int, default=20)
    p.add_argument("--days", type=int, default=20)
    p.add_argument("--start", default="2024-03-20")
    p.add_argument("--rate", type=float, default=8.0, help="about how many events an account has on a working day")
    p.add_argument("--rules", type=int, default=12)
    p.add_argument("--dirt", action="store_true")
    p.add_argument("--out", required=True, help="a folder: usage.ndjson, accounts.ndjson, rules.yaml")
    a = p.parse_args(argv)
    usage, facts = generate(a.seed, a.accounts, a.days, a.start, a.rate, a.dirt)
    os.makedirs(a.out, exist_ok=True)
    write_lines(os.path.join(a.out, "usage.ndjson"), usage)
    write_lines(os.path.join(a.out, "accounts.ndjson"), facts)
    # JSON is YAML; expressions stay readable and every writer quotes it alike.
    with open(os.path.join(a.out, "rules.yaml"), "w", encoding="utf-8") as f:
        json.dump(rule_pack(a.seed, a.rules), f, indent=1, ensure_ascii=False)
    print(f"{len(usage)} usage lines, {len(facts)} account lines", file=sys.stderr)


if __name__ == "__main__":
    main()
