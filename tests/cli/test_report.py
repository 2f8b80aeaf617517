"""`tidemark report` as a real process, each figure against a second computation by the definitions of docs/report.md; that groups
add up to the whole; and that nothing later than --at is known."""

import csv
import datetime as dt
import io
import json
import math
import pathlib
import random
import statistics
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support")]

import harness  # noqa: E402

USAGE, NOINPUT, CANTCREAT = 64, 66, 73
DAY = 86_400_000
T0 = 1_704_067_200_000  # 2024-01-01T00:00:00Z
Z = 1.959963984540054
MONTH = 365.25 / 12 * DAY
MARGIN = 0.8
LOOKS = (120, 90, 60, 30)
RULES = """version: 1
first_value: value
metrics:
  events: {count: "*"}
  users: {distinct: user}
  value: {count: value}
  tickets: {count: "ticket*"}
  trained: {count: training_done, where: user != null}
stages:
  - {name: new, enter: contract_age != null}
  - {name: using, enter: age(value) != null}
scorecards:
  health:
    use: {value: 'events[14d]', map: [[0, 0], [40, 100]], weight: 3}
    seats: {value: 'ratio(users[28d], seats)', map: [[0, 0], [1, 100]], weight: 1}
rules: []
"""
FACTORS = {"health.use": "events[14d]", "health.seats": "ratio(users[28d], seats)", "health": "health"}


def day(t):
    return dt.datetime.fromtimestamp(t / 1000, dt.timezone.utc).strftime("%Y-%m-%d")


def ms(text):
    return round(dt.datetime.fromisoformat(text + "T00:00:00+00:00").timestamp() * 1000)


def iso(t):
    return dt.datetime.fromtimestamp(t / 1000, dt.timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def population(seed, accounts=140, days=400):
    """Account records, events and outcomes with all that can happen to a contract."""
    r = random.Random(seed)
    records, events, outcomes = [], [], []
    for n in range(accounts):
        name, t = f"a{n}", T0 + r.randrange(0, 200) * DAY + r.choice([0, 5 * 3_600_000])
        months = r.choice([1, 3, 3, 6])
        facts = {"account": name, "plan": r.choice(["basic", "pro"]), "mrr": r.choice([10.5, 100, 250, 0.1]), "status": "active",
                 "tier": "rare" if n % 10 == 3 else r.choice(["high", "low", None]), "currency": r.choice(["EUR", "EUR", "USD", None]), "seats": r.randrange(1, 9),
                 "owners": {"csm": r.choice(["ann", "bob"])} if r.random() < 0.8 else {}, "contract_start": day(t),
                 "term_months": months, "attributes": {"channel": r.choice(["web", "fair"]), "region": r.choice(["emea", "apac"]), "level": r.choice([1, 2.5, True])}}
        if r.random() < 0.1:
            del facts["mrr"]
        if r.random() < 0.5:
            facts["products"] = [{"name": "core", "mrr": 5}, {"name": r.choice(["chat", "mail"]), "mrr": r.choice([1.5, 2])}]
        will_leave, end = r.random() < 0.5, None
        began = t
        while t < T0 + days * DAY:
            facts = dict(facts, at=t, renewal_at=day(t + months * 30 * DAY))
            records.append(facts)
            term_end = ms(facts["renewal_at"])
            for _ in range(r.choice([0, 0, 1, 2])):  # changes within the term
                t2 = r.randrange(t + 1, term_end)
                change = r.choice(["mrr", "currency", "products", "seats", "renewal_at", "no end"])
                facts = dict(facts, at=t2)
                if change == "mrr" and "mrr" in facts:
                    facts["mrr"] = r.choice([10.5, 50, 300, 0.3])
                elif change == "currency":
                    facts["currency"] = r.choice(["EUR", "USD"])
                elif change == "products":
                    facts["products"] = [{"name": r.choice(["core", "chat", "mail"]), "mrr": r.choice([1, 2.25, 7])}]
                elif change == "no end":
                    facts.pop("renewal_at", None)
                elif change == "renewal_at":
                    facts["renewal_at"] = day(term_end - r.choice([0, 1, 3]) * DAY)
                else:
                    facts["seats"] = r.randrange(1, 12)
                records.append(facts)
            t = max(term_end + r.choice([0, 0, 0, -3, 4]) * DAY, facts["at"] + 1)
            if r.random() < (0.35 if will_leave else 0.03):
                end, how = t, r.choice(["record", "outcome", "both", "early"])
                reason = r.choice(["price", "product", "went bankrupt", ""])
                if how in ("record", "both"):
                    gone = dict(facts, at=end, status="churned")
                    if r.random() < 0.5:
                        gone["attributes"] = dict(facts["attributes"], churn_reason="told by the record")
                    records.append(gone)
                if how == "early":
                    records.append(dict(facts, at=end + 2 * DAY, status="churned"))
                if how != "record":
                    outcomes.append((name, "churned", end, reason))
                if r.random() < 0.25:
                    t = end + r.randrange(5, 60) * DAY  # and comes back
                    will_leave = False
                    continue
                break
            if r.random() < 0.15:
                outcomes.append((name, "renewed", t, ""))
        used_until = end or T0 + days * DAY
        for _ in range(r.randrange(20, 120)):
            at = r.randrange(began, max(began + 1, used_until))
            fading = end and at > end - 40 * DAY and r.random() < 0.8
            if not fading:
                events.append({"account": name, "event": "login", "at": at, "user": f"{name}-{r.randrange(6)}"})
        for what in ("value", "ticket_opened", "ticket_closed", "training_done"):
            for _ in range(r.choice([0, 1, 4])):
                events.append({"account": name, "event": what, "at": r.randrange(began, max(began + 1, used_until)),
                               "properties": {"feature": r.choice(["export", "search"])}})
    events += [{"account": "a3", "event": "login", "at": T0 + n * DAY, "user": "a3-1"} for n in (200, 310)]
    records.append({"account": "a3", "at": T0 + 300 * DAY, "erase": True})
    events.append({"account": "never told of", "event": "login", "at": T0 + 250 * DAY, "user": "x"})
    for n, event in enumerate(events):
        event["id"] = str(n)
    events += [dict(e) for e in r.sample(events, 40)]  # duplicates
    outcomes += [("nobody", "churned", T0 + 200 * DAY, "price"), ("a1", "active", T0 + days * DAY, ""), ("a2", "upsold", T0 + 200 * DAY, "")]
    order = lambda items: sorted(items, key=lambda i: i["at"])
    return order(records), order(events), outcomes


def wilson(hits, n):
    if not n:
        return None
    p, z2 = hits / n, Z * Z
    mid, half = (p + z2 / (2 * n)) / (1 + z2 / n), Z / (1 + z2 / n) * math.sqrt(p * (1 - p) / n + z2 / (4 * n * n))
    return (p, 0 if hits == 0 else mid - half, 1 if hits == n else mid + half, n)


def byar(k, exposure):
    if not exposure:
        return None
    low = k * (1 - 1 / (9 * k) - Z / (3 * math.sqrt(k))) ** 3 if k else 0
    return (k / exposure, max(low, 0) / exposure, (k + 1) * (1 - 1 / (9 * (k + 1)) + Z / (3 * math.sqrt(k + 1))) ** 3 / exposure, k)


def hanley(lost, kept):
    """The chance by comparing every pair, and its interval."""
    n1, n0 = len(lost), len(kept)
    if not n1 or not n0:
        return None
    a = sum((x < y) + (x == y) / 2 for x in lost for y in kept) / (n1 * n0)
    if min(n1, n0) < 5:
        return (a, None, None, n1 + n0)
    q1, q2 = a / (2 - a), 2 * a * a / (1 + a)
    half = Z * math.sqrt(max(0, a * (1 - a) + (n1 - 1) * (q1 - a * a) + (n0 - 1) * (q2 - a * a)) / (n1 * n0))
    return (a, max(0, a - half), min(1, a + half), n1 + n0)


def fnv(text):
    value = 2166136261
    for byte in text.encode():
        value = (value ^ byte) * 16777619 % 2**32
    return value


class Account:
    """One account's life: states in order, None while it is no customer."""

    def __init__(self, records, outcomes, until):
        told = [(r["at"], 0, n, r) for n, r in enumerate(records) if r["at"] <= until]
        told += [(t, 1 if what == "renewed" else 2, n, (what, reason)) for n, (what, t, reason) in enumerate(outcomes)
                 if t <= until and what in ("churned", "renewed")]
        told.sort(key=lambda e: e[:3])
        self.facts = next((r for _, kind, _, r in reversed(told) if kind == 0), None)
        self.states, self.signed, self.churns = [], [], []
        now = None
        for t, kind, _, what in told:
            if kind == 1:
                self.signed.append((t, len(self.states)))
                continue
            if kind == 0 and what["status"] == "active":
                now = what
            else:
                reason = what[1] or None if kind == 2 else what["attributes"].get("churn_reason")
                if now:
                    self.churns.append({"t": t, "before": now, "reason": reason})
                    now = None
                elif self.churns and reason and (kind == 2 or not self.churns[-1]["reason"]):
                    self.churns[-1]["reason"] = reason
                    continue
                else:
                    continue
            self.states.append((t, now))

    def at(self, moment):
        return next((s for t, s in reversed(self.states) if t <= moment), None)

    def changes(self):
        """(t, before, after, whether it was a customer ever before)"""
        before, ever = None, False
        for t, after in self.states:
            yield t, before, after, ever
            before, ever = after, ever or after is not None

    def lived(self, begin, end):
        edges = [*self.states, (end, None)]
        return sum(max(0, min(b, end) - max(a, begin)) for (a, s), (b, _) in zip(edges, edges[1:]) if s)

    def terms(self):
        """Runs of one planned end: (planned end, last state, first term?, what became of it, when)."""
        found, running = [], None
        signs = list(self.signed)
        for index, (t, state) in enumerate(self.states):
            for sign in [s for s in signs if s[1] <= index]:
                signs.remove(sign)
                if running and running["fate"] is None:
                    running.update(fate="renewed", decided=sign[0])
            if state is None:
                if running and running["fate"] is None:
                    running.update(fate="lost", decided=t)
                running = None
                continue
            if "renewal_at" not in state:  # an end taken back: no such term
                if running and running["fate"] is None:
                    found.remove(running)
                    running = None
                continue
            due = ms(state["renewal_at"])
            if running and due > running["due"]:
                if running["fate"] is None:
                    running.update(fate="renewed", decided=t)
                running = None
            if not running:
                running = {"fate": None, "decided": None}
                found.append(running)
            if running["fate"] is None:
                running.update(due=due, state=state, first=first_term(state))
            else:
                running.setdefault("due", due)
        if running and running["fate"] is None and signs:
            running.update(fate="renewed", decided=signs[0][0])
        return found


def first_term(state):
    if "renewal_at" not in state:
        return False
    start = dt.date.fromisoformat(state["contract_start"])
    m = start.month - 1 + state["term_months"]
    year, month = start.year + m // 12, m % 12 + 1
    last = [31, 29 if year % 4 == 0 and (year % 100 or year % 400 == 0) else 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31][month - 1]
    return dt.date.fromisoformat(state["renewal_at"]) <= start.replace(year=year, month=month, day=min(start.day, last))


def price(state, product):
    if state is None:
        return 0
    if product is None:
        return round(state.get("mrr", 0) * 1e6)
    priced = {p["name"]: round(p["mrr"] * 1e6) for p in state.get("products", [])}
    return round(state.get("mrr", 0) * 1e6) - sum(priced.values()) if product == "" else priced.get(product, 0)


def products_of(state):
    if state is None:
        return set()
    named = {p["name"] for p in state.get("products", [])}
    return named | ({""} if not named or price(state, "") else set())


class Book:
    def __init__(self, records, outcomes, begin, end):
        self.begin, self.end, self.accounts = begin, end, {}
        names = {r["account"] for r in records}
        for name in names:
            mine = [r for r in records if r["account"] == name]
            erased = max([n for n, r in enumerate(mine) if "erase" in r and r["at"] <= end], default=None)
            since = mine[erased]["at"] if erased is not None else -1
            mine = [r for r in mine[(erased + 1 if erased is not None else 0):] if "erase" not in r]
            account = Account(mine, [(w, t, why) for a, w, t, why in outcomes if a == name and t > since], end)
            if account.facts:
                self.accounts[name] = account

    def inside(self, t):
        return self.begin < t <= self.end

    def customers(self, chosen):
        of = lambda f: sum(1 for a in chosen if f(a))
        opening, kept = of(lambda a: a.at(self.begin)), of(lambda a: a.at(self.begin) and a.at(self.end))
        begins = [ever for a in chosen for t, b, s, ever in a.changes() if self.inside(t) and s and not b]
        terms = [t for a in chosen for t in a.terms()]
        due = [t for t in terms if self.inside(t["due"])]
        first = [t for t in terms if t["first"] and t["fate"] and self.inside(t["decided"])]
        fate = lambda ts, f: sum(1 for t in ts if t["fate"] == f)
        return {"opening": opening, "closing": of(lambda a: a.at(self.end)), "new": begins.count(False), "returned": begins.count(True),
                "churned": sum(1 for a in chosen for c in a.churns if self.inside(c["t"])), "retention": wilson(kept, opening),
                "seats": sum(a.at(self.end).get("seats", 0) for a in chosen if a.at(self.end)),
                "without_mrr": of(lambda a: a.at(self.end) and "mrr" not in a.at(self.end)),
                "due": len(due), "renewed": fate(due, "renewed"), "lost": fate(due, "lost"), "rate": wilson(fate(due, "renewed"), len(due)),
                "first_terms": len(first), "first_lost": fate(first, "lost")}

    def money(self, chosen, currency, product=None):
        m = dict.fromkeys(("opening", "closing", "new", "returned", "expansion", "contraction", "churned", "moved"), 0)
        base = net = gross = payers = 0
        pays = lambda s: s is not None and s.get("currency") == currency and (product is None or product in products_of(s))
        for a in chosen:
            one, two = a.at(self.begin), a.at(self.end)
            p1, p2 = price(one, product) if pays(one) else 0, price(two, product) if pays(two) else 0
            m["opening"] += p1
            m["closing"] += p2
            payers += bool(pays(one))
            if p1 > 0:
                base, net, gross = base + p1, net + p2, gross + min(p1, p2)
            for t, b, s, ever in a.changes():
                if not self.inside(t):
                    continue
                old, new = price(b, product), price(s, product)
                mine, next_ = b is not None and b.get("currency") == currency, s is not None and s.get("currency") == currency
                if mine and next_:
                    m["expansion"] += max(0, new - old)
                    m["contraction"] += max(0, old - new)
                elif mine and s is None:
                    m["churned"] += old
                elif mine:
                    m["moved"] -= old
                elif next_ and b is None:
                    m["returned" if ever else "new"] += new
                elif next_:
                    m["moved"] += new
        assert m["closing"] == m["opening"] + m["new"] + m["returned"] + m["expansion"] - m["contraction"] - m["churned"] + m["moved"]
        m["net_new_existing"] = m["expansion"] - m["contraction"] - m["churned"]
        found = {k: v / 1e6 for k, v in m.items()}
        found.update(mrr=found["closing"], arr=12 * found["closing"], gross_retention=gross / base if base else None,
                     net_retention=net / base if base else None, of=payers)
        return found

    def lifetime(self, chosen, currency):
        now = [a for a in chosen if a.at(self.end) and a.at(self.end).get("currency") == currency]
        average = sum(price(a.at(self.end), None) for a in now) / 1e6 / len(now) if now else None
        last = lambda a: next((s.get("currency") for _, s in reversed(a.states) if s), "none")
        months = sum(a.lived(self.begin, self.end) for a in chosen if last(a) == currency) / MONTH
        churns = sum(1 for a in chosen for c in a.churns if self.inside(c["t"]) and c["before"].get("currency") == currency)
        return {"customers": len(now), "average_mrr": average, "customer_months": months, "monthly_churn": byar(churns, months)}

    def decided(self):
        """What became of each account last: {name: (lost, t)}."""
        found = {}
        for name, a in self.accounts.items():
            lost = [c["t"] for c in a.churns if self.inside(c["t"])]
            kept = [t["due"] for t in a.terms() if t["fate"] == "renewed" and self.inside(t["due"])]
            if lost or kept:
                found[name] = (True, max(lost)) if lost else (False, kept[fnv(name) % len(kept)])
        return found


class Report(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tidemark, cls.dir = harness.Tidemark(), harness.temp_dir()
        cls.records, cls.events, cls.outcomes = population(5)
        # Both ends of the period are moments at which something is due and something begins.
        due = {ms(r["renewal_at"]) for r in cls.records if "renewal_at" in r} & {r["at"] for r in cls.records}
        cls.BEGIN, cls.END = (min(t for t in due if t >= T0 + days * DAY) for days in (120, 330))
        cls.write("all", cls.records, cls.events, cls.outcomes)
        (cls.dir / "rules.yaml").write_text(RULES)
        cls.book = Book(cls.records, cls.outcomes, cls.BEGIN, cls.END)
        cls.by = "plan,product,owner,region,attributes.level,stage,tier"
        cls.report = json.loads(cls.run_("all", "--from", iso(cls.BEGIN), "--at", iso(cls.END), "--margin", str(MARGIN), "--by", cls.by, "--json").stdout)

    @classmethod
    def write(cls, name, records, events, outcomes):
        for kind, lines in (("accounts", records), ("usage", events)):
            (cls.dir / f"{name}-{kind}.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
        with (cls.dir / f"{name}.csv").open("w", newline="") as out:
            csv.writer(out).writerows([("account", "outcome", "at", "reason"), *outcomes])

    @classmethod
    def run_(cls, name, *options, status=0):
        return cls.tidemark.run("report", "--accounts", cls.dir / f"{name}-accounts.ndjson", "--events", cls.dir / f"{name}-usage.ndjson",
                                "--outcomes", cls.dir / f"{name}.csv", "--rules", cls.dir / "rules.yaml", "--history", "complete", *options, status=status)

    def rows(self, section, by="all", report=None):
        return [row for row in (report or self.report)[section] if row.get("by", "all") == by]

    def near(self, shown, true, what):
        """A number, or an estimate against (value, low, high, of)."""
        if isinstance(shown, dict):
            for key, value in zip(("value", "low", "high"), true[:3] if true else (None,) * 3):
                self.near(shown[key], value, (what, key))
            if true:
                self.assertEqual(shown["of"], true[3], what)
        elif true is None or shown is None:
            self.assertEqual(shown, true, what)
        else:
            self.assertTrue(math.isclose(shown, true, rel_tol=1e-9, abs_tol=1e-9), (what, shown, true))

    def labels(self, by):
        """{label: accounts} by the records' last facts."""
        plain = lambda v: None if v is None else json.dumps(v) if isinstance(v, (bool, int, float)) else v
        pick = {"plan": lambda f: f["plan"], "owner": lambda f: f["owners"].get("csm"), "region": lambda f: f["attributes"]["region"],
                "attributes.level": lambda f: f["attributes"]["level"], "tier": lambda f: f["tier"],
                "attributes.channel": lambda f: f["attributes"]["channel"]}[by]
        found = {}
        for account in self.book.accounts.values():
            found.setdefault(plain(pick(account.facts)), []).append(account)
        return found

    def check_money(self, row, true):
        for key in ("mrr", "arr", "opening", "new", "returned", "expansion", "contraction", "churned", "moved", "net_new_existing"):
            self.near(row[key], true[key], (row["by"], row["group"], row["currency"], key))
        for key in ("gross_retention", "net_retention"):
            self.near(row[key]["value"], true[key], (row["group"], key))
            self.assertEqual(row[key]["of"], true["of"])

    def check_group(self, by, group, chosen):
        what = (by, group)
        [row] = [r for r in self.rows("customers", by) if r["group"] == group]
        true = self.book.customers(chosen)
        for key in ("opening", "closing", "new", "returned", "churned", "seats", "without_mrr", "retention"):
            self.near(row[key], true[key], (what, key))
        if true["retention"]:
            p, low, high, n = true["retention"]
            self.near(row["churn"], (1 - p, 1 - high, 1 - low, n), what)
        [row] = [r for r in self.rows("renewals", by) if r["group"] == group]
        for key in ("due", "renewed", "lost", "rate"):
            self.near(row[key], true[key], (what, key))
        self.assertEqual(row["open"], true["due"] - true["renewed"] - true["lost"])
        for row in self.rows("revenue", by):
            if row["group"] == group:
                self.check_money(row, self.book.money(chosen, row["currency"]))
        for row in self.rows("renewed_revenue", by):
            if row["group"] == group:
                due = [t for a in chosen for t in a.terms() if self.book.inside(t["due"]) and t["state"].get("currency") == row["currency"]]
                sums = [sum(price(t["state"], None) for t in ts) / 1e6 for ts in (due, [t for t in due if t["fate"] == "renewed"])]
                self.near(row["due"], sums[0], what)
                self.near(row["renewed"], sums[1], what)
                self.near(row["rate"]["value"], sums[1] / sums[0] if sums[0] else None, what)
        for row in self.rows("lifetime_value", by):
            if row["group"] != group:
                continue
            true = self.book.lifetime(chosen, row["currency"])
            for key, value in true.items():
                self.near(row[key], value, (what, key))
            rate = true["monthly_churn"]
            ltv = true["average_mrr"] * MARGIN / rate[0] if rate and rate[0] and true["average_mrr"] is not None else None
            self.near(row["lifetime_value"]["value"], ltv, what)
            if ltv is not None:
                self.near(row["lifetime_value"]["low"], true["average_mrr"] * MARGIN / rate[2], what)
        churns = [c for a in chosen for c in a.churns if self.book.inside(c["t"])]
        mine = [r for r in self.rows("churn_reasons", by) if r["group"] == group]
        self.assertEqual({(r["item"], r["currency"]) for r in mine}, {(c["reason"], c["before"].get("currency")) for c in churns})
        for row in mine:
            those = [c for c in churns if c["reason"] == row["item"] and c["before"].get("currency") == row["currency"]]
            self.assertEqual(row["churned"], len(those), what)
            self.near(row["amount"], sum(price(c["before"], None) for c in those) / 1e6, what)
            self.near(row["share"], wilson(len(those), len(churns)), what)

    def test_the_whole(self):
        self.check_group("all", None, list(self.book.accounts.values()))
        [row] = self.rows("customers")
        self.assertTrue(all(row[key] > 0 for key in ("opening", "new", "returned", "churned", "closing", "without_mrr")), row)
        sums = {r["currency"]: r for r in self.rows("revenue")}
        self.assertEqual(set(sums), {"EUR", "USD", None})
        self.assertTrue(all(sums["EUR"][key] for key in ("expansion", "contraction", "churned", "moved", "returned", "new")))
        self.assertTrue({r["item"] for r in self.rows("churn_reasons")} >= {"price", "told by the record", None})
        unknown = [o for o in self.outcomes if o[1] != "active" and o[0] not in self.book.accounts]
        self.assertEqual(self.report["outcomes"]["unknown_accounts"], len(unknown))
        self.assertEqual(self.report["outcomes"]["other_words"], 1)

    def test_groups(self):
        for by in ("plan", "owner", "region", "attributes.level", "tier"):
            groups = self.labels(by)
            self.assertEqual({r["group"] for r in self.rows("customers", by)} - {None}, set(groups) - {None})
            for group, chosen in groups.items():
                self.check_group(by, group, chosen)

    def test_products(self):
        everyone = list(self.book.accounts.values())
        rows = self.rows("revenue", "product")
        self.assertEqual({r["group"] for r in rows}, {None, "core", "chat", "mail"})
        for row in rows:
            self.check_money(row, self.book.money(everyone, row["currency"], row["group"] or ""))

    def test_groups_add_up(self):
        for by in self.by.split(","):
            for section, keys in (("customers", ("opening", "new", "returned", "churned", "closing", "seats")), ("renewals", ("due", "renewed", "lost", "open")),
                                  ("use", ("accounts", "users", "events")), ("first_value", ("started",))):
                if by != "product":
                    for key in keys:
                        self.assertEqual(sum(r[key] for r in self.rows(section, by)), self.rows(section)[0][key], (by, section, key))
            for whole in self.rows("revenue"):
                parts = [r for r in self.rows("revenue", by) if r["currency"] == whole["currency"]]
                for key in ("mrr", "opening", "new", "returned", "churned", "moved", "net_new_existing"):
                    self.near(sum(r[key] for r in parts), whole[key], (by, key))
            if by != "product":
                for whole in self.rows("churn_reasons"):
                    parts = [r for r in self.rows("churn_reasons", by) if (r["item"], r["currency"]) == (whole["item"], whole["currency"])]
                    self.assertEqual(sum(r["churned"] for r in parts), whole["churned"])

    def taken(self):
        seen, taken = set(), []
        for e in self.events:
            if e["id"] in seen or e["at"] > self.END:
                continue
            seen.add(e["id"])
            if e["at"] > self.BEGIN and (e["account"] != "a3" or e["at"] >= T0 + 300 * DAY):  # it was erased then
                taken.append(e)
        return taken

    def test_use_features_and_first_value(self):
        taken = self.taken()
        [row] = self.rows("use")
        self.assertEqual((row["events"], row["accounts"], row["users"]), (len(taken), len({e["account"] for e in taken}), len({(e["account"], e["user"]) for e in taken if "user" in e})))
        customers = {n for n, a in self.book.accounts.items() if a.at(self.END)}
        self.near(row["of_customers"], wilson(len(customers & {e["account"] for e in taken}), len(customers)), "use")
        names = {row["item"] for row in self.report["metrics"]}
        self.assertEqual(names, {"events", "value", "tickets"}, "those with a condition are not counted")
        lost = {n for n, a in self.book.accounts.items() if any(self.book.inside(c["t"]) for c in a.churns)}
        self.assertEqual({row["item"] for row in self.report["features"]}, {"export", "search"})
        for row in self.report["features"]:
            about = [e for e in taken if e["event"].startswith("ticket") and e["properties"]["feature"] == row["item"]]
            who = {e["account"] for e in about}
            gone = [e for e in self.events if e["account"] == "a3"]  # what was counted before it was erased stays counted
            self.assertLessEqual(abs(row["tickets"] - len(about)), len(gone))
            if row["accounts"] == len(who):
                self.near(row["churned"], wilson(len(who & lost), len(who)), row["item"])
        reasons = self.rows("churn_reasons", "feature")
        for feature in ("export", "search"):
            who = {e["account"] for e in taken if e["event"].startswith("ticket") and e["properties"]["feature"] == feature}
            churns = [c for n in who & set(self.book.accounts) for c in self.book.accounts[n].churns if self.book.inside(c["t"])]
            mine = [r for r in reasons if r["group"] == feature]
            self.assertEqual({(r["item"], r["currency"]) for r in mine}, {(c["reason"], c["before"].get("currency")) for c in churns})
            for row in mine:
                those = [c for c in churns if c["reason"] == row["item"] and c["before"].get("currency") == row["currency"]]
                self.assertEqual(row["churned"], len(those))
                self.near(row["share"], wilson(len(those), len(churns)), feature)
            self.assertGreater(len(churns), 3)
        started = [n for n, a in self.book.accounts.items() if self.BEGIN < ms(a.facts["contract_start"]) <= self.END]
        days = []
        for name in started:
            first = min((e["at"] for e in self.events if e["account"] == name and e["event"] == "value" and e["at"] <= self.END), default=None)
            if first is not None:
                days.append(max(0, first // DAY - ms(self.book.accounts[name].facts["contract_start"]) // DAY))
        [row] = self.rows("first_value")
        self.assertEqual(row["started"], len(started))
        self.near(row["reached"], wilson(len(days), len(started)), "reached")
        self.assertEqual(row["days"]["value"], statistics.median(days))
        self.assertGreater(len(days), 8)

    def test_channels(self):
        for group, chosen in self.labels("attributes.channel").items():
            [row] = [r for r in self.report["channels"] if r["group"] == group]
            true = self.book.customers(chosen)
            self.assertEqual((row["closing"], row["new"], row["first_terms"], row["lost"]), (true["closing"], true["new"], true["first_terms"], true["first_lost"]))
            self.near(row["churn"], wilson(true["first_lost"], true["first_terms"]), group)
        self.assertGreater(sum(row["lost"] for row in self.report["channels"]), 2)

    def test_factors(self):
        decided = self.book.decided()
        points = self.dir / "points.csv"
        with points.open("w", newline="") as out:
            csv.writer(out).writerows([("account", "at"), *[(n, iso(t - d * DAY)) for n, (_, t) in decided.items() for d in LOOKS]])
        done = self.tidemark.run("eval", "--events", self.dir / "all-usage.ndjson", "--accounts", self.dir / "all-accounts.ndjson", "--rules", self.dir / "rules.yaml",
                                 "--history", "complete", "--points", points, "--json", *FACTORS.values())
        met = {}
        for line in self.records + self.events:
            met[line["account"]] = min(met.get(line["account"], math.inf), line["at"])
        values = {}
        for line in map(json.loads, done.stdout.splitlines()):
            values[line["account"], line["at"]] = line["values"]
        tiers = {name: a.facts["tier"] for name, a in self.book.accounts.items()}
        groups = {("all", None): set(decided)} | {("tier", t): {n for n in decided if tiers[n] == t} for t in ("high", "low", "rare", None)}
        told = 0
        for (by, group), names in groups.items():
            for item, asked in FACTORS.items():
                rows = [r for r in self.rows("factors", by) if r["group"] == group and r["item"] == item]
                earliest = None
                for days in LOOKS:
                    sides = ([], [])
                    for name in names:
                        lost, t = decided[name]
                        value = values[name, iso(t - days * DAY)][asked]
                        if value is not None and met[name] <= t - days * DAY:
                            sides[not lost].append(value)
                    true = hanley(*sides)
                    if rows:
                        self.near(rows[0][f"auc_{days}"], true, (by, group, item, days))
                        told += true is not None
                    if true and true[1] is not None and (true[1] > 0.5 or true[2] < 0.5):
                        earliest = earliest or days
                if rows:
                    self.assertEqual(rows[0]["earliest"], earliest, (by, group, item))
        self.assertGreater(told, 10)
        rare = [r for r in self.rows("factors", "tier") if r["group"] == "rare" and r["auc_30"]["value"] is not None]
        self.assertTrue(rare and all(r["auc_30"]["low"] is None and r["earliest"] is None for r in rare), "too few to tell")

    def test_csv_is_json(self):
        text = self.run_("all", "--from", iso(self.BEGIN), "--at", iso(self.END), "--margin", str(MARGIN), "--by", self.by, "--csv").stdout
        figures = {}
        for row in csv.DictReader(io.StringIO(text)):
            figures[tuple(row[k] for k in ("section", "by", "group", "currency", "item", "figure"))] = row
        count = 0
        for section, rows in self.report.items():
            for row in rows if isinstance(rows, list) else []:
                key = (section, *[row.get(k) or "" for k in ("by", "group", "currency", "item")])
                for name, value in row.items():
                    if name in ("by", "group", "currency", "item"):
                        continue
                    found = figures[(*key, name)]
                    parts = value if isinstance(value, dict) else {"value": value}
                    for part, number in parts.items():
                        self.assertEqual(float(found[part]) if found[part] else None, number, (key, name, part))
                    count += 1
        self.assertEqual(count, len(figures))

    def test_no_peeking(self):
        """The same from an archive that ends at --at."""
        end = self.END
        self.write("cut", [r for r in self.records if r["at"] <= end], [e for e in self.events if e["at"] <= end],
                   [o for o in self.outcomes if o[2] <= end or o[0] == "nobody" or o[1] in ("active", "upsold")])
        cut = json.loads(self.run_("cut", "--from", iso(self.BEGIN), "--at", iso(end), "--margin", str(MARGIN), "--by", self.by, "--json").stdout)
        cut.pop("outcomes")
        whole = dict(self.report)
        whole.pop("outcomes")
        self.assertEqual(cut, whole)

    def test_before_everything(self):
        early = json.loads(self.run_("all", "--at", "2001-01-01", "--json").stdout)
        self.assertEqual(early["at"], "2001-01-01T00:00:00.000Z")
        [row] = self.rows("customers", report=early)
        self.assertTrue(all(row[key] == 0 for key in ("opening", "new", "returned", "churned", "closing", "seats", "without_mrr")))
        self.assertEqual(row["retention"], {"value": None, "low": None, "high": None, "of": 0})
        self.assertEqual((early["revenue"], early["churn_reasons"], early["factors"], early["channels"]), ([], [], [], []))

    def test_where_the_files_end(self):
        said = json.loads(self.run_("all", "--json").stdout)
        last = max(line["at"] for line in self.records + self.events)
        first = min(line["at"] for line in self.records + self.events)
        self.assertEqual((said["from"], said["at"]), (iso(max(first, last - 365 * DAY)), iso(last)))

    def test_tables(self):
        said = self.run_("all", "--from", iso(self.BEGIN), "--at", iso(self.END)).stdout
        for title in ("Customers", "Recurring revenue", "Renewals", "Lifetime value", "Churn by reason", "Time to first value", "Use", "Tickets by feature"):
            self.assertIn(f"\n{title}\n", said)

    def test_mistakes(self):
        run = self.tidemark.run
        self.assertIn("tidemark accounts", run("report", "--rules", self.dir / "rules.yaml", status=USAGE).stderr)
        self.assertIn("more than once", run("report", "--accounts", "-", "--rules", self.dir / "rules.yaml", status=USAGE).stderr)
        self.assertIn("--margin", self.run_("all", "--margin", "2", status=USAGE).stderr)
        self.assertIn("--by takes", self.run_("all", "--by", "plan,,x", status=USAGE).stderr)
        self.assertIn("take a day", self.run_("all", "--at", "soon", status=USAGE).stderr)
        self.assertIn("later than", self.run_("all", "--at", "2024-05-01", "--from", "2024-06-01", status=NOINPUT).stderr)
        self.run_("all", "--outcomes", self.dir / "absent.csv", status=NOINPUT)


if __name__ == "__main__":
    unittest.main()
