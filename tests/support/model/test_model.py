#!/usr/bin/env python3
"""Tests of the model: hand-worked cases of semantics.md, and its two ways of judging held against each other.

    python3 -m unittest discover -s tests/support/model
"""

import io
import json
import os
import random
import sqlite3
import sys
import tempfile
import unittest

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import expr  # noqa: E402
import model  # noqa: E402
import pack as packs  # noqa: E402
import population  # noqa: E402
import records  # noqa: E402
import world as worlds  # noqa: E402
import zone  # noqa: E402

M, H, D = 60_000, zone.HOUR, zone.DAY
T0 = zone.parse_time("2024-05-06T00:00:00Z")  # a Monday, on the grid and on a midnight


def lines(items):
    return [x if isinstance(x, bytes) else json.dumps(x).encode() for x in items]


def text(doc):
    """Scalars as the YAML loader gives them."""
    if isinstance(doc, dict):
        return {k: text(v) for k, v in doc.items()}
    return [text(x) for x in doc] if isinstance(doc, list) else str(doc)


class Case(unittest.TestCase):
    METRICS = {
        "x": {"last": "value", "event": "x"},
        "y": {"last": "value", "event": "y"},
        "n": {"count": "*"},
        "ping": {"count": "ping"},
    }

    def setUp(self):
        self.n = 0

    def ev(self, at, event="ping", value=None, account="a", **more):
        self.n += 1
        e = {"id": f"i{self.n}", "account": account, "event": event, "at": at, **more}
        return e if value is None else dict(e, value=value)

    def world(self, rules, usage, accounts=(), until=None, literal=None, metrics=None, scope=None, **config):
        config = {"timezone": "UTC", "history": "complete", **config}
        doc = {"version": 1, "metrics": metrics or self.METRICS, "rules": rules}
        if scope:
            doc["scope"] = scope
        out = []
        for lit in (False, True) if literal is None else (literal,):
            w = worlds.World(packs.Pack(text(doc)), packs.Config(config), lit)
            w.signals = w.run(lines(usage), lines(accounts), until)
            out.append(w)
        self.assertEqual(out[0].signals, out[-1].signals, "pruned and literal judging differ")
        return out[0]

    def run_rules(self, *args, **kw):
        """[(minutes since T0, rule, state)]"""
        self.w = self.world(*args, **kw)
        self.signals = self.w.signals
        return [((zone.parse_time(s["time"]) - T0) / M, s["rule"], s["state"]) for s in self.signals]

    def values(self, exprs, usage, at, accounts=(), metrics=None, account="a", **config):
        config = {"timezone": "UTC", "history": "complete", **config}
        doc = text({"version": 1, "metrics": metrics or self.METRICS})
        pack = packs.Pack(doc, exprs)
        got, _ = model.evaluate(pack, packs.Config(config), lines(usage), lines(accounts), [(at, account)])
        return list(got[0]["values"].values())


class Episodes(Case):
    R = {"name": "r", "when": "x > 5", "scope": "true"}

    def xs(self, *pairs):
        return [self.ev(T0 + int(m * M), "x", v) for m, v in pairs]

    def go(self, rule, pairs, until, **kw):
        return self.run_rules([dict(self.R, **rule)], self.xs(*pairs), until=T0 + int(until * M), **kw)

    def test_raised_at_first_grid_instant(self):
        self.assertEqual(self.go({}, [(0.5, 6)], 3), [(1, "r", "raised")])
        s = self.signals[0]
        self.assertEqual(s["episode"], f"a/r/{T0 + M}")
        self.assertEqual((s["sequence"], s["severity"], s["value"], s["threshold"], s["clear_threshold"]), (1, "warn", 6, 5, 5))

    def test_record_on_the_grid_is_seen_at_its_instant(self):
        self.assertEqual(self.go({}, [(1, 6)], 3), [(1, "r", "raised")])

    def test_end_judged_only_on_the_grid(self):
        self.assertEqual(self.go({}, [(1, 6)], 1), [(1, "r", "raised")])
        self.assertEqual(self.go({}, [(1.5, 6)], 1.9), [])
        self.assertEqual(self.run_rules([self.R], self.xs((2, 6))), [(2, "r", "raised")])
        self.assertEqual(self.run_rules([self.R], self.xs((2, 6), (2.5, 6))), [(2, "r", "raised")])
        self.assertEqual(self.run_rules([self.R], self.xs((2.5, 6))), [])

    def test_for(self):
        self.assertEqual(self.go({"for": "10m"}, [(0, 6)], 20), [(10, "r", "raised")])
        self.assertEqual(self.go({"for": "90s"}, [(0, 6)], 20), [(2, "r", "raised")])
        self.assertEqual(self.go({"for": "10m"}, [(0, 6), (9, 1), (12, 6)], 30), [(22, "r", "raised")])
        # False between two grid instants is not seen.
        self.assertEqual(self.go({"for": "10m"}, [(0, 6), (8.2, 1), (8.7, 6)], 30), [(10, "r", "raised")])

    def test_null_ends_pending(self):
        rule = {"for": "10m", "when": "x / y > 5"}
        u = self.xs((0, 6)) + [self.ev(T0, "y", 1), self.ev(T0 + 5 * M, "y", 0), self.ev(T0 + 6 * M, "y", 1)]
        self.assertEqual(self.run_rules([dict(self.R, **rule)], u, until=T0 + 60 * M), [(16, "r", "raised")])

    def test_raised_is_judged_again_one_instant_later(self):
        # `clear` is true all along: raise, clear, and `when` again, one grid instant each.
        self.assertEqual(
            self.go({"clear": "x > 0"}, [(0, 6)], 5),
            [(i, "r", "raised" if i % 2 == 0 else "cleared") for i in range(6)],
        )

    def test_clear_default_is_not_when_and_null_does_not_clear(self):
        self.assertEqual(self.go({}, [(0, 6), (3, 5)], 9), [(0, "r", "raised"), (3, "r", "cleared")])
        u = self.xs((0, 6)) + [self.ev(T0, "y", 1), self.ev(T0 + 5 * M, "y", 0), self.ev(T0 + 7 * M, "y", 2)]
        got = self.run_rules([dict(self.R, when="x / y > 5")], u, until=T0 + 60 * M)
        self.assertEqual(got, [(0, "r", "raised"), (7, "r", "cleared")])

    def test_clear_for(self):
        rule = {"clear": "x <= 2", "clear_for": "10m"}
        self.assertEqual(self.go(rule, [(0, 6), (20, 2)], 60), [(0, "r", "raised"), (30, "r", "cleared")])
        # Falls back at 25 without a signal, then clears ten minutes after 40.
        got = self.go(rule, [(0, 6), (20, 2), (25, 6), (40, 1)], 60)
        self.assertEqual(got, [(0, "r", "raised"), (50, "r", "cleared")])
        self.assertEqual(self.signals[1]["reason"], "condition")
        self.assertEqual(self.signals[1]["sequence"], 2)
        self.assertEqual(self.signals[1]["clear_threshold"], 2)

    def test_fell_back_is_judged_again_at_the_next_instant(self):
        # At 25 it falls back from clearing; severity rose at once, but `updated` waits for the next instant.
        rule = {"clear": "x <= 2", "clear_for": "10m", "severity": "if(x > 8, 'critical', 'warn')"}
        got = self.go(rule, [(0, 6), (20, 2), (25, 9)], 60)
        self.assertEqual(got, [(0, "r", "raised"), (26, "r", "updated")])

    def test_cooldown(self):
        rule = {"cooldown": "30m", "for": "10m"}
        # Cleared at 20; true again from 25: `for` ends at 35, the cooldown at 50.
        got = self.go(rule, [(0, 6), (20, 1), (25, 6)], 90)
        self.assertEqual(got, [(10, "r", "raised"), (20, "r", "cleared"), (50, "r", "raised")])
        got = self.go(rule, [(0, 6), (20, 1), (45, 6)], 90)
        self.assertEqual(got[2:], [(55, "r", "raised")])
        got = self.go({"cooldown": "once"}, [(0, 6), (20, 1), (25, 6)], 9000)
        self.assertEqual(got, [(0, "r", "raised"), (20, "r", "cleared")])

    def test_update_by_value_waits_a_day(self):
        # 10 -> 12 is a fifth; the hold ends 24 h after the last signal.
        got = self.go({}, [(0, 10), (5, 12)], 3000)
        self.assertEqual(got, [(0, "r", "raised"), (1440, "r", "updated")])
        self.assertEqual((self.signals[1]["value"], self.signals[1]["sequence"]), (12, 2))
        self.assertEqual(self.go({}, [(0, 10), (5, 11.999999)], 3000), [(0, "r", "raised")])
        # Back before the hold ends: judged again at its end, nothing to say.
        self.assertEqual(self.go({}, [(0, 10), (5, 12), (1400, 10)], 3000), [(0, "r", "raised")])
        # After the hold an update comes at once, measured from the last published value.
        got = self.go({}, [(0, 10), (5, 12), (2000, 14.3), (4000, 14.4)], 9000)
        self.assertEqual([g[0] for g in got], [0, 1440, 4000])
        # update_change: 0 still needs a movement.
        self.assertEqual(self.go({"update_change": 0}, [(0, 10)], 9000), [(0, "r", "raised")])
        got = self.go({"update_change": 0}, [(0, 10), (3, 10.000001)], 9000)
        self.assertEqual([g[0] for g in got], [0, 1440])

    def test_update_by_severity(self):
        rule = {"severity": "if(x > 8, 'critical', if(x > 7, 'nonsense', 'warn'))", "update_change": 100}
        got = self.go(rule, [(0, 6), (5, 9)], 3000)
        self.assertEqual(got, [(0, "r", "raised"), (5, "r", "updated")])
        # A fall is held for a day; an unknown severity is null and keeps the former.
        got = self.go(rule, [(0, 6), (5, 9), (9, 6)], 3000)
        self.assertEqual(got[2:], [(1445, "r", "updated")])
        self.assertEqual([s["severity"] for s in self.signals], ["warn", "critical", "warn"])
        self.assertEqual(self.go(rule, [(0, 9), (5, 7.5)], 3000), [(0, "r", "raised")])
        self.go(dict(rule, severity="if(x > 8, 'info', null)"), [(0, 6)], 5)
        self.assertEqual(self.signals[0]["severity"], "warn")

    def test_null_value_never_updates(self):
        got = self.go({"value": "y"}, [(0, 10), (5, 20)], 3000)
        self.assertEqual(got, [(0, "r", "raised")])
        u = self.xs((0, 10)) + [self.ev(T0 + 5 * M, "y", 3), self.ev(T0 + 9 * M, "y", 30)]
        self.assertEqual(self.run_rules([dict(self.R, value="y")], u, until=T0 + 4000 * M), [(0, "r", "raised")])

    def test_clear_before_updated(self):
        # Value and severity moved and `clear` is true: only clearing happens.
        rule = {"clear": "x >= 9", "clear_for": "1h", "severity": "if(x > 8, 'critical', 'warn')"}
        self.assertEqual(self.go(rule, [(0, 6), (5, 9)], 100), [(0, "r", "raised"), (65, "r", "cleared"), (66, "r", "raised")])
        self.assertEqual([s["severity"] for s in self.signals], ["warn", "warn", "critical"])

    def test_scope(self):
        rule = {"scope": "y == 1", "for": "10m", "cooldown": "1h"}
        y = lambda m, v: self.ev(T0 + m * M, "y", v)
        # Pending since 0 is lost at 5, counts anew from 7; open at 17; out of scope at 30; cooldown ends at 90.
        u = self.xs((0, 6)) + [y(0, 1), y(5, 0), y(7, 1), y(30, 0), y(40, 1)]
        got = self.run_rules([dict(self.R, **rule)], u, until=T0 + 200 * M)
        self.assertEqual(got, [(17, "r", "raised"), (30, "r", "cleared"), (90, "r", "raised")])
        self.assertEqual(self.signals[1]["reason"], "out_of_scope")

    def test_default_scope_and_packs_scope(self):
        churned = [{"account": "a", "at": T0, "status": "churned"}]
        rule = {"name": "r", "when": "x > 5"}
        u = self.xs((0, 6))
        self.assertEqual(self.run_rules([rule], u), [(0, "r", "raised")])
        self.assertEqual(self.run_rules([rule], u, churned), [])
        self.assertEqual(self.run_rules([rule], u, churned, scope="status == 'churned'"), [(0, "r", "raised")])
        self.assertEqual(self.run_rules([dict(rule, scope="false")], u, scope="true"), [])

    def test_silence_acts_without_records(self):
        rule = {"name": "r", "when": "age(ping) >= 3h"}
        got = self.run_rules([rule], [self.ev(T0 + 59 * M), self.ev(T0 + 5 * M, account="b")], until=T0 + 600 * M)
        self.assertEqual(got, [(180, "r", "raised"), (180, "r", "raised")])
        self.assertEqual([s["account"] for s in self.signals], ["a", "b"])
        self.assertEqual(self.signals[0]["value"], 3 * H)

    def test_severity_and_play_by_tier(self):
        rule = dict(self.R, severity={"high": "critical", "low": "info"}, play={"low": "Mail"})
        acc = lambda t: [{"account": "a", "at": T0, "tier": t}]
        for tier, sev, play in (("high", "critical", None), ("low", "info", "Mail"), ("odd", "warn", None)):
            self.run_rules([rule], self.xs((0, 6)), acc(tier))
            self.assertEqual((self.signals[0]["severity"], self.signals[0]["play"]), (sev, play))

    def test_ids(self):
        import uuid

        self.go({}, [(0, 6)], 3)
        name = f"tidemark:a/r/{T0}/raised/1"
        self.assertEqual(self.signals[0]["id"], str(uuid.uuid5(uuid.NAMESPACE_URL, name)))


class Inhibition(Case):
    def go(self, pairs, until, tail="0", order=1, **more):
        rules = [
            {"name": "boss", "when": "x > 5"},
            {"name": "low", "when": "y > 5", "inhibited_by": ["boss"], "inhibit_tail": tail, **more},
        ][::order]
        u = [self.ev(T0 + m * M, k, v) for m, k, v in pairs]
        return self.run_rules(rules, u, until=T0 + until * M, scope="true")

    def test_same_instant(self):
        for order in (1, -1):
            self.assertEqual(self.go([(0, "x", 6), (0, "y", 6)], 90, order=order), [(0, "boss", "raised")])

    def test_holds_back_but_never_clears(self):
        self.assertEqual(self.go([(0, "y", 6), (5, "x", 6)], 90), [(0, "low", "raised"), (5, "boss", "raised")])

    def test_released_at_the_clear_itself(self):
        for order in (1, -1):
            got = self.go([(0, "x", 6), (0, "y", 6), (30, "x", 1)], 90, order=order)
            self.assertEqual(got, [(0, "boss", "raised"), (30, "boss", "cleared"), (30, "low", "raised")])

    def test_tail(self):
        got = self.go([(0, "x", 6), (0, "y", 6), (30, "x", 1)], 90, tail="20m")
        self.assertEqual(got[2:], [(50, "low", "raised")])
        # The tail starts again with each clear; pending goes on all the while.
        got = self.go([(0, "x", 6), (0, "y", 6), (30, "x", 1), (40, "x", 6), (45, "x", 1)], 90, tail="20m")
        self.assertEqual(got[-1], (65, "low", "raised"))
        # `when` becomes false within the tail: pending is over, nothing is raised.
        got = self.go([(0, "x", 6), (0, "y", 6), (30, "x", 1), (40, "y", 1)], 90, tail="20m")
        self.assertEqual(len(got), 2)

    def test_clearing_still_inhibits(self):
        rules = [
            {"name": "boss", "when": "x > 5", "clear_for": "10m"},
            {"name": "low", "when": "y > 5", "inhibited_by": ["boss"]},
        ]
        u = [self.ev(T0, "x", 6), self.ev(T0, "y", 6), self.ev(T0 + 30 * M, "x", 1)]
        self.assertEqual(self.run_rules(rules, u, until=T0 + 90 * M, scope="true")[1:], [(40, "boss", "cleared"), (40, "low", "raised")])

    def test_errors(self):
        r = lambda n, i: {"name": n, "when": "x > 1", "inhibited_by": i}
        for rules in ([r("a", ["b"])], [r("a", ["a"])], [r("a", ["b"]), r("b", ["a"])]):
            with self.assertRaises(packs.PackError):
                packs.Pack({"metrics": self.METRICS, "rules": rules})


class Records(Case):
    def count(self, usage, at, accounts=(), **kw):
        return self.values(["n[1d]"], usage, at, accounts, **kw)[0]

    def test_dedup_boundary(self):
        e = lambda at, **k: dict(self.ev(at), id="same", **k)
        at = T0 + 12 * H
        self.assertEqual(self.count([e(at), e(at + H - 1)], at + 9 * H), 1)
        self.assertEqual(self.count([e(at), e(at + H)], at + 9 * H), 2)
        # A duplicate does not extend the window.
        self.assertEqual(self.count([e(at), e(at + H - 1), e(at + H)], at + 9 * H), 2)
        # An accepted one does open a new window.
        self.assertEqual(self.count([e(at), e(at + H), e(at + 2 * H - 1)], at + 9 * H), 2)
        self.assertEqual(self.count([e(at), e(at, source="")], at + 9 * H), 1)
        self.assertEqual(self.count([e(at), e(at, source="web")], at + 9 * H), 2)
        self.assertEqual(self.count([e(at), dict(e(at), account="b")], at + 9 * H), 1)
        self.assertEqual(self.count([e(at), e(at + 10 * M)], at + 9 * H, dedup={"window": "10m"}), 2)

    def test_dedup_runs_on_stream_time_not_on_at(self):
        e = lambda at: dict(self.ev(at), id="same")
        # The clock stands at 12:00 when the first comes late with 09:00, and at 12:59 when it comes again.
        u = [self.ev(T0 + 12 * H), e(T0 + 9 * H), self.ev(T0 + 13 * H - M), e(T0 + 9 * H)]
        self.assertEqual(self.count(u, T0 + 20 * H), 3)
        # Every record moves the clock, even one that cannot be used or is a duplicate.
        u = [self.ev(T0 + 12 * H), e(T0 + 9 * H), {"at": T0 + 13 * H}, e(T0 + 9 * H)]
        self.assertEqual(self.count(u, T0 + 20 * H), 3)

    def test_late_events_count_in_their_own_bucket(self):
        u = [self.ev(T0 + 3 * D), self.ev(T0 + 5 * H)]
        got = self.values(["n[1d]", "n[1d offset 3d]", "n[4d]", "n[1h offset 67h]", "age(n)", "first(n)"], u, T0 + 3 * D)
        self.assertEqual(got, [1, 1, 2, 1, 0, 67 * H])
        # A late event is judged at the clock's instant, not at its own.
        rule = {"name": "r", "when": "n[9d] >= 2"}
        self.assertEqual(self.run_rules([rule], u), [(3 * 1440, "r", "raised")])

    def test_ties_accounts_first(self):
        m = {"c": {"count": "*", "where": "user in champions"}}
        acc = lambda at: [{"account": "a", "at": at, "champions": ["u"]}]
        u = [self.ev(T0 + 1000, user="u")]
        f = lambda at: self.values(["c[1d]"], u, T0 + H, acc(at), metrics=m)
        self.assertEqual((f(T0 + 1000), f(T0 + 1001)), ([1], [0]))

    def test_unusable_lines(self):
        good = self.ev(T0)
        bad = {
            "bad_json": [b"{", b"[]", b"\xff", b'{"at":NaN}', b"1", b'{"a":1} x', b'{"id":"\\ud800","account":"a","event":"e","at":1}'],
            "missing_field": [{k: v for k, v in good.items() if k != gone} for gone in good] + [dict(good, id="")],
            "bad_time": [dict(good, at=t) for t in ("2024-05-06", "2024-05-06T00:00:00", "2024-13-01T00:00:00Z")],
            "wrong_type": [dict(good, **d) for d in ({"at": True}, {"at": 1.5}, {"value": "5"}, {"user": 7}, {"properties": [1]},
                                                     {"properties": {"a": {}}}, {"account": 3})],
            "number_out_of_range": [dict(good, value=9.1e9), dict(good, properties={"p": -1e300})],
            "at_out_of_range": [dict(good, at=-1), dict(good, at=1 << 60)],
            "too_long": [dict(good, id="x" * 129), dict(good, account="ä" * 65), dict(good, event="e" * 65)],
            "duplicate_key": [json.dumps(good).encode()[:-1] + b',"id":"z"}'],
        }
        for reason, items in bad.items():
            for item in items:
                w = self.world([], [self.ev(T0), item])
                self.assertEqual(w.dead, {reason: 1}, item)

    def test_limits_that_are_allowed(self):
        ok = [dict(self.ev(T0), value=9e9), dict(self.ev(T0), id="ä" * 64, user=None, properties={"a": None, "b": "x"})]
        self.assertEqual(self.world([], ok).dead, {})

    def test_times(self):
        p = zone.parse_time
        self.assertEqual(p("2024-05-06T02:00:00+02:00"), T0)
        self.assertEqual(p("2024-05-05t23:59:60z"), T0)
        self.assertEqual(p("2024-05-06T01:59:60.5+02:00"), T0 + 500)
        self.assertIsNone(p("2024-05-06T12:00:60Z"))
        self.assertEqual(p("2024-05-06T00:00:00.9999Z"), T0 + 999)
        self.assertIsNone(p("2024-02-30T00:00:00Z"))
        self.assertIsNone(p("2024-05-06T24:00:00Z"))
        self.assertEqual(zone.format_time(T0 + 7), "2024-05-06T00:00:00.007Z")

    def test_erase(self):
        rule = {"name": "r", "when": "n[9d] >= 2", "summary": "{{n[9d]}}"}
        u = [self.ev(T0), self.ev(T0), self.ev(T0 + 8 * M), dict(self.ev(T0 + 9 * M), id="i1"), self.ev(T0 + 20 * M)]
        acc = [{"account": "a", "at": T0 - M, "plan": "pro"}, {"account": "a", "at": T0 + 5 * M + 7, "erase": True},
               {"account": "nobody", "at": T0 + 5 * M + 7, "erase": True}]
        got = self.run_rules([rule], u, acc, until=T0 + H)
        # After the erasure it starts anew (and i1 is still a duplicate): the second event comes at 20.
        self.assertEqual([(round(g[0], 3), g[2]) for g in got], [(0, "raised"), (5.0, "cleared"), (20, "raised")])
        s = self.signals[1]
        self.assertEqual((s["reason"], s["facts"], s["time"]), ("erased", None, zone.format_time(T0 + 5 * M + 7)))
        self.assertEqual(self.signals[0]["facts"]["plan"], "pro")
        self.assertIsNone(self.signals[2]["facts"]["plan"])

    def test_account_record_replaces_all_facts(self):
        acc = [{"account": "a", "at": T0, "plan": "pro", "seats": 5}, {"account": "a", "at": T0 - D, "seats": 6}]
        self.assertEqual(self.values(["plan", "seats"], [], T0 + H, acc), [None, 6])

    def test_lines_without_a_time(self):
        # An account line without `at` counts with the running maximum, or at the start.
        acc = [{"account": "a", "seats": 1}, {"account": "a", "at": T0 + H, "seats": 2}, {"account": "a", "seats": 3}]
        for at, seats in ((T0 + H - 1, 1), (T0 + H, 3)):
            self.assertEqual(self.values(["seats"], [self.ev(T0 + 2 * M)], at, acc), [seats])

    def test_until(self):
        rule = {"name": "r", "when": "n[9d] >= 2"}
        u = [self.ev(T0), self.ev(T0 + 5 * M)]
        self.assertEqual(self.run_rules([rule], u, until=T0 + 5 * M - 1), [])
        self.assertEqual(self.run_rules([rule], u, until=T0 + 5 * M), [(5, "r", "raised")])
        self.assertEqual(self.run_rules([rule], u, until=T0 - 5 * M), [])


class Windows(Case):
    def days(self, tz, at_texts, now, exprs=("n[1d]", "n[1d offset 1d]", "n[2d]"), **kw):
        u = sorted((self.ev(zone.parse_time(t)) for t in at_texts), key=lambda e: e["at"])
        return self.values(list(exprs), u, zone.parse_time(now), timezone=tz, **kw)

    def test_berlin_spring(self):
        # 2024-03-31 has 23 hours: 2024-03-30T23:00Z to 2024-03-31T22:00Z.
        at = ("2024-03-30T22:59:59.999Z", "2024-03-30T23:00:00Z", "2024-03-31T21:59:59.999Z", "2024-03-31T22:00:00Z")
        self.assertEqual(self.days("Europe/Berlin", at, "2024-03-31T22:00:00Z"), [1, 2, 3])
        self.assertEqual(self.days("Europe/Berlin", at, "2024-03-31T21:59:59.999Z"), [2, 1, 3])

    def test_berlin_autumn(self):
        # 2024-10-27 has 25 hours: 2024-10-26T22:00Z to 2024-10-27T23:00Z.
        at = ("2024-10-26T21:59:59.999Z", "2024-10-26T22:00:00Z", "2024-10-27T22:59:59.999Z", "2024-10-27T23:00:00Z")
        self.assertEqual(self.days("Europe/Berlin", at, "2024-10-27T23:00:00Z"), [1, 2, 3])

    def test_new_york(self):
        at = ("2024-03-10T04:59:59.999Z", "2024-03-10T05:00:00Z", "2024-03-11T03:59:59.999Z", "2024-03-11T04:00:00Z")
        self.assertEqual(self.days("America/New_York", at, "2024-03-11T04:00:00Z"), [1, 2, 3])
        at = ("2024-11-03T03:59:59.999Z", "2024-11-03T04:00:00Z", "2024-11-04T04:59:59.999Z", "2024-11-04T05:00:00Z")
        self.assertEqual(self.days("America/New_York", at, "2024-11-04T05:00:00Z"), [1, 2, 3])

    def test_midnights_on_the_grid(self):
        z = zone.Zone("Europe/Berlin")
        a = zone.parse_time("2024-03-29T12:00:00Z")
        got = [zone.format_time(t)[5:16] for t in z.day_changes(a, a + 4 * D)]
        self.assertEqual(got, ["03-29T23:00", "03-30T23:00", "03-31T22:00", "04-01T22:00"])
        # Samoa had no 2011-12-30; St John's moved its clocks at 00:01, so one minute belonged to the next day too early.
        z = zone.Zone("Pacific/Apia")
        a = zone.parse_time("2011-12-30T09:00:00Z")
        self.assertEqual([z.day(t) - z.day(a) for t in z.day_changes(a, a + D)], [2])
        z = zone.Zone("America/St_Johns")
        a = zone.parse_time("2006-10-29T00:00:00Z")
        got = z.day_changes(a, a + 6 * H)
        self.assertEqual([z.day(t) - z.day(a) for t in got], [1, 0, 1])

    def test_half_hour_zone_and_hourly_grid(self):
        # Midnight in Kolkata is 18:30Z; with an hourly grid it acts at 19:00Z.
        rule = {"name": "r", "when": "n[1d] == 0"}
        at = zone.parse_time("2024-05-06T10:00:00Z")
        got = self.run_rules([rule], [self.ev(at)], until=at + D, timezone="Asia/Kolkata", evaluate_every="1h")
        self.assertEqual(got, [(19 * 60, "r", "raised")])
        got = self.run_rules([rule], [self.ev(at)], until=at + D, timezone="Asia/Kolkata", evaluate_every="5m")
        self.assertEqual(got, [(18.5 * 60, "r", "raised")])

    def test_hours(self):
        u = [self.ev(T0 + t) for t in (0, H - 1, H, 2 * H - 1, 2 * H)]
        q = ["n[1h]", "n[2h]", "n[1h offset 1h]", "n[1h offset 2h]", "n[3h]"]
        self.assertEqual(self.values(q, u, T0 + 2 * H + 5), [1, 3, 2, 2, 5])

    def test_age_in_clock_hours(self):
        u = [self.ev(T0 + 59 * M)]
        for at, h in ((T0 + 59 * M, 0), (T0 + H - 1, 0), (T0 + H, 1), (T0 + 3 * H + 58 * M, 3)):
            self.assertEqual(self.values(["age(n)", "first(n)"], u, at), [h * H, h * H])
        self.assertEqual(self.values(["age(n)", "age(x)", "n[1d]", "x"], u, T0 + H, account="unseen"), [None, None, 0, None])

    def test_counting_start(self):
        u = [self.ev(T0 + 10 * H), self.ev(T0 + 2 * D + H), self.ev(T0 - H), self.ev(T0 + H)]
        q = ["n[3d]", "n[4d]", "n[1d offset 2d]", "n[1d offset 3d]", "n[49h offset 1h]", "n[50h offset 1h]", "first(n)"]
        now = T0 + 2 * D + H
        # Events from before the day of the start belong to no window, yet windowless values take them.
        self.assertEqual(self.values(q, u, now, history="first-record"), [3, None, 2, None, 2, None, 50 * H])
        self.assertEqual(self.values(q, u, now, history="complete"), [3, 4, 2, 1, 2, 3, 50 * H])
        self.assertEqual(self.values(["n[2d]", "n[3d]"], u, now, history="2024-05-07"), [1, None])
        # The start is that of the whole file; an account that appears later has true zeros.
        self.assertEqual(self.values(["n[3d]", "n[4d]"], u, now, account="b", history="first-record"), [0, None])

    def test_kinds(self):
        m = {
            "sum": {"sum": "value"}, "max": {"max": "value"}, "last": {"last": "value"}, "first": {"first": "value"},
            "users": {"distinct": "user"}, "events": {"distinct": "event"}, "days": {"distinct": "day"},
            "props": {"distinct": "properties.p"}, "b": {"count": ["b.*", "x"]}, "w": {"count": "*", "where": "properties.p = 1"},
        }
        u = [
            self.ev(T0, "b.one", 1.5, user="u", properties={"p": 1}), self.ev(T0 + D, "b", 7, user="v", properties={"p": "1"}),
            self.ev(T0 + D, "x", None, user="u", properties={"p": True}), self.ev(T0 + D, "b.two", 5, properties={"p": 1.0}),
            self.ev(T0 + 5, "c", -3),
        ]
        q = [f"{k}[9d]" for k in m] + ["last", "max", "first", "sum[9d] / 2", "last[1d offset 1d]", "first[1d]"]
        got = self.values(q, u, T0 + D, metrics=m)
        self.assertEqual(got, [10.5, 7, 5, 1.5, 2, 5, 2, 3, 3, 2, 5, 7, 1.5, 5.25, -3, 7])
        got = self.values(q, u, T0 + D, metrics=m, account="none")
        self.assertEqual(got, [0, None, None, None, 0, 0, 0, 0, 0, 0, None, None, None, 0, None, None])

    def test_reach_limits(self):
        for kind, window, ok in (("count: *", "400d", True), ("count: *", "400d offset 1d", False), ("distinct: user", "62d", True),
                                 ("distinct: user", "63d", False), ("count: *", "1488h", True), ("count: *", "1489h", False)):
            k, v = kind.split(": ")
            doc = {"metrics": {"m": {k: v}}}
            if ok:
                packs.Pack(doc, [f"m[{window}]"])
            else:
                with self.assertRaises(packs.PackError):
                    packs.Pack(doc, [f"m[{window}]"])

    def test_against_sqlite(self):
        usage, _ = population.generate(5, accounts=8, days=20, start="2024-03-20")
        for tz in ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe"):
            z = zone.Zone(tz)
            db = sqlite3.connect(":memory:")
            db.execute("create table e(account, at, day, hour, user, event, value)")
            seen, clock, kept = {}, 0, []
            for line in usage:
                e = records.read_event(records.parse(line))
                clock = max(clock, e["at"])
                key = (e["account"], e["source"] or "", e["id"])
                if key in seen and seen[key] > clock - H:
                    continue
                seen[key] = clock
                kept.append((clock, e))
            end = clock
            now = end - 3 * D - 12345
            db.executemany(
                "insert into e values(?,?,?,?,?,?,?)",
                [(e["account"], e["at"], z.day(e["at"]), e["at"] // H, e["user"], e["event"],
                  None if e["value"] is None else round(e["value"] * 1e6)) for c, e in kept if c <= now],
            )
            m = {"n": {"count": "*"}, "u": {"distinct": "user"}, "s": {"sum": "value", "event": "purchase"}}
            doc = {"version": 1, "metrics": m}
            q = ["n[7d]", "n[7d offset 7d]", "u[14d]", "s[28d]", "n[24h]", "n[48h offset 24h]"]
            names = sorted({e["account"] for _, e in kept})
            got, _ = model.evaluate(packs.Pack(doc, q), packs.Config({"timezone": tz, "history": "complete"}),
                                    usage, None, [(now, a) for a in names])
            day, hour = z.day(now), now // H
            for a, g in zip(names, got):
                sql = lambda what, lo, hi, col="day", more="": db.execute(
                    f"select coalesce({what}, 0) from e where account = ? and {col} between ? and ? {more}", (a, lo, hi)).fetchone()[0]
                want = [
                    sql("count(*)", day - 6, day), sql("count(*)", day - 13, day - 7), sql("count(distinct user)", day - 13, day),
                    sql("sum(value)", day - 27, day, more="and event = 'purchase'") / 1e6,
                    sql("count(*)", hour - 23, hour, "hour"), sql("count(*)", hour - 71, hour - 24, "hour"),
                ]
                self.assertEqual(list(g["values"].values()), want, (tz, a))


class Expressions(Case):
    FACTS = {"account": "a", "at": T0, "plan": "pro", "seats": 10, "mrr": 99.95, "contract_start": "2024-01-01",
             "renewal_at": "2024-05-16T23:30:00Z", "term_months": 1, "owners": {"csm": "ann"}, "goals": {"g": 7},
             "attributes": {"t": "x", "n": 3, "b": True}, "products": [{"name": "core", "seats": 4}], "champions": ["u1"]}

    def ask(self, *q, **kw):
        return self.values(list(q), [self.ev(T0)], T0 + 9 * H, [self.FACTS], **kw)

    def test_three_valued_logic(self):
        names = {True: "true", False: "false", None: "(x > 1)"}
        for a in names:
            self.assertEqual(self.ask(f"not {names[a]}"), [None if a is None else not a])
            for b in names:
                both = {a, b}
                want_and = False if False in both else None if None in both else True
                want_or = True if True in both else None if None in both else False
                got = self.ask(f"{names[a]} and {names[b]}", f"{names[a]} or {names[b]}")
                self.assertEqual(got, [want_and, want_or], (a, b))

    def test_null(self):
        q = {"tier == null": True, "tier != null": False, "plan == null": False, "plan != null": True, "null == null": True,
             "tier == 'x'": None, "tier != 'x'": None, "tier in ['x']": None, "plan in ['x', null]": None, "plan in ['pro', null]": True,
             "seats / 0": None, "ratio(seats, 0)": None, "ratio(tier, 2)": None, "min(1, x)": None, "max(1, x)": None,
             "clamp(5, x, 9)": None, "if(x > 1, 1, 2)": None, "if(true, 1, x)": 1, "coalesce(x, tier, 3)": 3, "coalesce(x, y)": None,
             "log(0)": None, "log(-1)": None, "x + 1": None, "-x": None, "abs(x)": None}
        self.assertEqual(self.ask(*q), list(q.values()))

    def test_arithmetic_and_precedence(self):
        q = {"1 + 2 * 3 - 4 / 2": 5, "(1 + 2) * 3": 9, "-2 * -3": 6, "2 - -2": 4, "not 1 > 2 and 3 > 2": True,
             "true or false and false": True, "1 = 1": True, "1 != 2": True, "2 >= 2": True, "3d / 24h": 3, "1d + 12h": 36 * H,
             "2 * 1h": 2 * H, "3h / 2": 90 * M, "1h * 1h": None, "1w == 7d": True, "clamp(9, 0, 5)": 5, "clamp(-9, 0, 5)": 0, "max(3, 7, 5)": 7,
             "min(2h, 90m)": 90 * M, "abs(-2h)": 2 * H, "log(1)": 0, "0.1 + 0.2 == 0.3": False, "'it\\'s' == \"it's\"": True}
        self.assertEqual(self.ask(*q), list(q.values()))

    def test_facts(self):
        q = {"owners.csm": "ann", "owners.support": None, "goals.g": 7, "attributes.t": "x", "attributes.n + 1": 4, "attributes.b": True,
             "attributes.b and true": True, "attributes.t and true": None, "attributes.t == 3": None, "products.core.seats": 4,
             "products.core.mrr": None, "products.none.seats": None, "contract_age": 126 * D, "contract_age >= 126d": True,
             "days_to_renewal": 10, "first_term": False, "renewal_at": "2024-05-16", "mrr": 99.95, "'u1' in champions": True, "'u2' in champions": False}
        self.assertEqual(self.ask(*q), list(q.values()))
        self.assertEqual(self.ask("days_to_renewal", timezone="Europe/Berlin"), [11])

    def test_first_term(self):
        # renewal_at and term_months of FACTS stay: the first renewal has happened when it lies beyond the first term.
        for start, want in (("2024-04-15", False), ("2024-04-16", True), ("2024-05-01", True)):
            got = self.values(["first_term"], [], T0, [dict(self.FACTS, contract_start=start)])
            self.assertEqual(got, [want], start)
        self.assertEqual(self.values(["first_term"], [], T0, [dict(self.FACTS, contract_start="2024-04-30", term_months=None)]), [None])

    def test_mistakes(self):
        for q in ("n", "age(n[7d])", "nope", "n[7]", "n[7d offset 24h]", "n[1m]", "n[0d]", "1 < 2 < 3", "foo(1)", "ratio(1)", "'x", "1 +", "7x"):
            with self.assertRaises(packs.PackError, msg=q):
                packs.Pack({"metrics": self.METRICS}, [q])

    def test_fixed_point(self):
        self.assertEqual(records.number(0.0000005), 0)
        self.assertEqual(records.number(0.0000015), 0.000002)
        self.assertEqual(records.number(0.1234567), 0.123457)
        m = {"s": {"sum": "value"}}
        u = [self.ev(T0, value=0.1) for _ in range(10)] + [self.ev(T0, value=1.0000004)]
        self.assertEqual(self.values(["s[1d]", "s[1d] == 2"], u, T0, metrics=m), [2, True])
        u = [self.ev(T0, value=9e9) for _ in range(3)] + [self.ev(T0, value=0.000001)]
        self.assertEqual(self.values(["s[1d]"], u, T0, metrics=m), [27000000000000001 / 1e6])

    def test_first_comparison(self):
        r = packs.Pack({"metrics": self.METRICS, "rules": [{"name": "r", "when": "not (n[7d] > 3 or x < 2)"}]}).rules[0]
        self.assertEqual((r.value.source(), r.threshold.source(), r.clear_threshold.source()), ("n[7d]", "3", "3"))
        r = packs.Pack({"metrics": self.METRICS, "rules": [{"name": "r", "when": "if(x > 1, 2, 3) >= 2", "clear": "y"}]}).rules[0]
        self.assertEqual((r.value.source(), r.threshold.source(), r.clear_threshold), ("if(x > 1, 2, 3)", "2", None))

    def test_formats(self):
        d = expr.Dur
        cases = [
            (0.5, "percent", "50%"), (0.099, "percent", "9.9%"), (0.0996, "percent", "10%"), (0.05, "percent", "5%"), (0.125, "percent", "12%"),
            (0.135, "percent", "14%"), (-0.123, "percent", "-12%"), (0.0, "percent", "0%"), (-0.0001, "percent", "0%"), (12.0, "percent", "1200%"),
            (3.0, None, "3"), (3.14159, "number", "3.14"), (3.1, "number", "3.1"), (2.999, "number", "3"), (1e9, None, "1000000000"), (-0.001, None, "0"),
            (d(3 * D + 4 * H + 5 * M), None, "3d 4h"), (d(3 * D + 5 * M), "duration", "3d"), (d(0), "duration", "0s"), (d(-90 * M), None, "-1h 30m"),
            (d(65_999), None, "1m 5s"), (d(400 * D), None, "400d"), (None, "percent", "n/a"), ("pro", None, "pro"), (True, None, "true"),
            ("2024-05-16", "date", "2024-05-16"),
        ]
        for v, fmt, want in cases:
            self.assertEqual(packs.show(v, fmt, None), want, (v, fmt))

    def test_summary(self):
        rule = {"name": "r", "when": "n[7d] >= 1", "summary": "{{n[7d]}} of {{ seats | number }}, {{age(n) | duration}} {{x}}: {{ratio(n[7d], seats)|percent}}!"}
        self.run_rules([rule], [self.ev(T0)], [self.FACTS], until=T0)
        self.assertEqual([s["summary"] for s in self.signals], ["1 of 10, 0s n/a: 10%!"])


class Compare(Case):
    def setUp(self):
        super().setUp()
        u = [self.ev(T0, "x", 6), self.ev(T0 + 5 * M, "x", 1)]
        self.ours = self.world([{"name": "r", "when": "x > 5"}], u).signals

    def events(self):
        keep = [k for k in model.COMPARED if k not in ("id", "type", "subject", "time")]
        return [
            {"specversion": "1.0", "id": s["id"], "type": model.type_of(s), "subject": s["account"], "time": s["time"],
             "data": {k: s.get(k) for k in keep if k != "stage"} | {"facts": s["facts"]}} for s in self.ours
        ]

    def diff(self, events):
        out = io.StringIO()
        return model.compare([model.flatten(s) for s in self.ours], [model.from_cloudevent(e) for e in events], out), out.getvalue()

    def test_equal(self):
        self.assertEqual(self.diff(self.events()[::-1])[0], 0)

    def test_differences(self):
        e = self.events()
        self.assertEqual(self.diff(e[:1])[0], 1)
        self.assertEqual(self.diff(e + e[:1])[0], 1)
        e[1]["data"]["value"] = 1.5
        count, said = self.diff(e)
        self.assertEqual(count, 1)
        self.assertIn("value: model 1, tidemark 1.5", said)

    def test_command(self):
        with tempfile.TemporaryDirectory() as d:
            path = lambda n: os.path.join(d, n)
            population.main(["--seed", "3", "--accounts", "12", "--days", "10", "--rules", "14", "--out", d])
            args = ["--events", path("usage.ndjson"), "--accounts", path("accounts.ndjson"), "--rules", path("rules.yaml"),
                    "--timezone", "Europe/Berlin", "--history", "complete"]
            self.assertEqual(model.main(args + ["--signals", path("out")]), 0)
            with open(path("out"), encoding="utf-8") as f:
                self.ours = [json.loads(line) for line in f]
            self.assertTrue(self.ours)
            population.write_lines(path("ce"), [json.dumps(e).encode() for e in self.events()])
            stdout, sys.stdout = sys.stdout, io.StringIO()
            try:
                self.assertEqual(model.main(args + ["--compare", path("ce")]), 0)
                population.write_lines(path("ce"), [json.dumps(e).encode() for e in self.events()[1:]])
                self.assertEqual(model.main(args + ["--compare", path("ce")]), 1)
            finally:
                sys.stdout = stdout


class BothWays(unittest.TestCase):
    """Judging only where something can change, and judging every grid instant without memory, give the same signals."""

    ROUNDS = int(os.environ.get("MODEL_ROUNDS", "40"))

    def test_random(self):
        seen = {}
        for seed in range(self.ROUNDS):
            rng = random.Random(seed * 7919)
            usage, facts = population.generate(
                seed, accounts=4, days=rng.choice((3, 6, 11)), start=rng.choice(("2024-03-24", "2024-10-20", "2024-03-05")),
                rate=rng.choice((2, 8, 20)), dirt=True, erased=0.3,
            )
            doc = text(population.rule_pack(seed, 10))
            config = packs.Config({
                "timezone": rng.choice(("UTC", "Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe")),
                "history": rng.choice(("complete", "complete", "first-record", "2024-03-26")),
                "evaluate_every": rng.choice(("5m", "10m", "30m", "1h")),
            })
            both = []
            for literal in (False, True):
                w = worlds.World(packs.Pack(doc), config, literal)
                both.append(w.run(usage, facts))
            self.assertEqual(both[0], both[1], f"seed {seed}")
            for s in both[0]:
                key = (s["state"], s["reason"])
                seen[key] = seen.get(key, 0) + 1
        for key in (("raised", None), ("updated", None), ("cleared", "condition"), ("cleared", "out_of_scope"), ("cleared", "erased")):
            self.assertGreater(seen.get(key, 0), 0, f"the random inputs never gave {key}: {seen}")


if __name__ == "__main__":
    unittest.main()
