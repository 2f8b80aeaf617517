"""`tidemark backtest` as a real process, against a second computation of every figure out of `replay`, `eval` and the
outcomes, by definition and without a clever step; and that nothing knows an outcome before its time."""

import csv
import datetime as dt
import json
import math
import os
import pathlib
import random
import statistics
import sys
import threading
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support")]

import harness  # noqa: E402

DAY = 86_400_000
WITHIN, LOSS, TENURE = 45 * DAY, 20 * DAY, 21 * DAY
SPANS = ("--within", "45d", "--loss", "20d", "--tenure", "21d")
SCORE, USE, ALIKE = "events[28d]", "events[7d]", "tier"
RULES = """version: 5
metrics:
  events: {count: "*"}
  users: {distinct: user}
rules:
  - {name: fell, kind: churn_risk, severity: high, when: 'ratio(events[7d], events[7d offset 7d]) < 0.6', for: 12h, cooldown: 5d}
  - {name: quiet, kind: churn_risk, when: 'age(events) > 3d', severity: 'if(age(events) > 6d, "critical", "warn")'}
  - {name: full, kind: expansion, when: 'ratio(users[14d], seats) > 0.6', clear: 'ratio(users[14d], seats) < 0.4'}
  - {name: note, kind: advisory, when: 'events[7d] > 20'}
"""
FORETELLS = {"churn_risk": "churned", "expansion": "expanded"}
SEVERITIES = ["info", "warn", "high", "critical"]


def at_ms(text):
    return round(dt.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


class Judge:
    """The definitions of docs/backtest.md, word by word."""

    def __init__(self, signals, met, snapshots, outcomes, until, since=0):
        self.met, self.until, self.since = met, until, since
        self.snapshots = [row for row in snapshots if row[1] >= since]
        self.outcomes = sorted(outcomes)  # (t, account, what)
        self.over = {}
        for t, account, what in self.outcomes:
            if what == "churned":
                self.over.setdefault(account, t)
        self.alarms = []
        for s in signals:
            d = s["data"]
            if d["state"] == "raised":
                self.alarms.append({"account": d["account"], "rule": d["rule"], "kind": d["kind"], "episode": d["episode"],
                                    "severity": SEVERITIES.index(d["severity"]), "raised": at_ms(s["time"]),
                                    "cleared": math.inf})
            else:
                alarm = next(a for a in self.alarms if a["episode"] == d["episode"])
                alarm["severity"] = max(alarm["severity"], SEVERITIES.index(d["severity"] or "info"))
                if d["state"] == "cleared":
                    alarm["cleared"] = at_ms(s["time"])

    def over_at(self, account):
        return self.over.get(account, math.inf)

    def came(self, account, t, what, span):
        if any(a == account and w == what and t < o <= min(t + span, self.until) for o, a, w in self.outcomes):
            return True
        ended = self.over_at(account) <= self.until and self.over_at(account) - t <= span
        return False if ended or self.until - t >= span else None

    def counted(self, chosen):
        return [a for a in self.alarms if chosen(a) and self.since <= a["raised"] < self.over_at(a["account"])]

    def figures(self, chosen, what):
        seen = [a for a in self.alarms if chosen(a) and a["raised"] < self.over_at(a["account"])]
        alarms = self.counted(chosen)
        words = [self.came(a["account"], a["raised"], what, WITHIN) for a in alarms]
        random_words = [self.came(a, t, what, WITHIN) for a, t, _ in self.snapshots if t < self.over_at(a)]
        known = [w for w in random_words if w is not None]
        steady = {a for a in self.met if not any(b == a and w == what for _, b, w in self.outcomes)}
        months = sum(max(0, min(self.over_at(a), self.until) - max(self.met[a], self.since)) for a in steady) / (30 * DAY)
        false = sum(1 for a, w in zip(alarms, words) if w is False and a["account"] in steady)
        leads, asked = [], 0
        for t, account, w in self.outcomes:
            if w != what or t > self.until or t < self.since or t - self.met[account] < TENURE or (w != "churned" and t > self.over_at(account)):
                continue
            asked += 1
            opened = [max(a["raised"], t - WITHIN) for a in seen
                      if a["account"] == account and a["raised"] < t and a["cleared"] > t - WITHIN]
            if opened:
                leads.append((t - min(opened)) / DAY)
        return {"raised": len(alarms), "accounts": len({a["account"] for a in alarms}), "hits": words.count(True),
                "misses": words.count(False), "undecided": words.count(None),
                "precision": wilson(words.count(True), words.count(True) + words.count(False)),
                "chance": sum(known) / len(known) if known else None, "recall": wilson(len(leads), asked),
                "lead_days": statistics.median(leads) if leads else None,
                "false_per_account_month": false / months if months else None}

    def cases(self):
        for account, t, score in self.snapshots:
            if t < self.over_at(account) and t - self.met[account] >= TENURE and score is not None and self.until - t >= LOSS:
                word = self.came(account, t, "churned", LOSS)
                if word is not None:
                    yield score, word


def plays(weekly, starts, over, until):
    """{play: figures}: strata by week, alike and tenth of the score; Mantel and Haenszel with Sato's variance."""
    standing = {(a, t): (score, use, alike) for a, t, score, use, alike in weekly}
    tenths = {}
    for week in {t for _, t, *_ in weekly}:
        ranked = sorted((s, a) for a, t, s, *_ in weekly if t == week and s is not None and week < over(a))
        below = [s for s, _ in ranked]
        for score, account in ranked:
            tenths[account, week] = below.index(score) * 10 // len(ranked)
    found = {}
    for play in {p for _, p, _ in starts}:
        times = {}
        for account, p, t in starts:
            if p == play:
                times.setdefault(account, []).append(t)
        strata = {}
        for (account, week), (score, use, alike) in standing.items():
            if week >= over(account):
                continue
            mine = times.get(account, [])
            with_ = any(week <= t < week + 7 * DAY for t in mine)
            if not with_ and any(week - WITHIN <= t < week for t in mine):
                continue
            went_on = (False if over(account) <= until and over(account) - week <= WITHIN else
                       True if until - week >= WITHIN else None)
            later = standing.get((account, week + 28 * DAY), (None,) * 3)[1]
            change = None if later is None or use is None else math.log((1 + later) / (1 + use))
            strata.setdefault((week, alike, tenths.get((account, week), 10)), []).append((with_, went_on, change))
        w = rd = p_part = q_part = w1 = w0 = with_n = without_n = 0
        uw = ud = us = ss = free = 0
        for rows in strata.values():
            known = [[r[1] for r in rows if r[0] == side and r[1] is not None] for side in (False, True)]
            (n0, y0), (n1, y1) = [(len(k), sum(k)) for k in known]
            if n0 and n1:
                n = n0 + n1
                w += n0 * n1 / n
                rd += (y1 * n0 - y0 * n1) / n
                p_part += (n1 ** 2 * y0 - n0 ** 2 * y1 + n1 * n0 * (n0 - n1) / 2) / n ** 2
                q_part += (y1 * (n0 - y0) + y0 * (n1 - y1)) / (2 * n)
                w1, w0 = w1 + n0 * y1 / n, w0 + n1 * y0 / n
                with_n, without_n = with_n + n1, without_n + n0
            moved = [[r[2] for r in rows if r[0] == side and r[2] is not None] for side in (False, True)]
            if all(moved):
                weight = len(moved[0]) * len(moved[1]) / (len(moved[0]) + len(moved[1]))
                uw += weight
                ud += weight * (statistics.fmean(moved[1]) - statistics.fmean(moved[0]))
                us += weight ** 2 * (1 / len(moved[0]) + 1 / len(moved[1]))
                ss += sum((x - statistics.fmean(m)) ** 2 for m in moved for x in m)
                free += len(moved[0]) + len(moved[1]) - 2
        z = 1.959963984540054
        half = z * math.sqrt(max(0, rd / w * p_part + q_part)) / w if w else None
        use_half = z * math.sqrt(ss / free * us) / uw if uw and free else None
        found[play] = {"started": sum(map(len, times.values())), "with": with_n, "without": without_n,
                       "went_on_with": w1 / w if w else None, "went_on_without": w0 / w if w else None,
                       "association": (rd / w, rd / w - half, rd / w + half) if w else None,
                       "use_ratio": None if not uw else (math.exp(ud / uw), *((None, None) if use_half is None else
                                    (math.exp(ud / uw - use_half), math.exp(ud / uw + use_half))))}
    return found


def wilson(hits, trials):
    """Solves |p - q| = z sqrt(q (1 - q) / n) for q, by bisection instead of by formula."""
    if not trials:
        return None
    p, z = hits / trials, 1.959963984540054

    def edge(low, high, outside):
        for _ in range(200):
            middle = (low + high) / 2
            if abs(p - middle) > z * math.sqrt(middle * (1 - middle) / trials):
                low, high = (middle, high) if outside == "low" else (low, middle)
            else:
                low, high = (low, middle) if outside == "low" else (middle, high)
        return (low + high) / 2

    return p, 0.0 if hits == 0 else edge(0, p, "low"), 1.0 if hits == trials else edge(p, 1, "high")


class Backtest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tidemark, cls.dir = harness.Tidemark(), harness.temp_dir()
        cls.seed = int(os.environ.get("SEED", random.randrange(1 << 20)))
        cls.random = random.Random(cls.seed)
        cls.tidemark.run("generate", "--out", cls.dir, "--accounts", 60, "--days", 110, "--intensity", 1, "--largest", 8,
                         "--seed", cls.seed % 1000, "--no-erasures")
        cls.events, cls.accounts = cls.dir / "usage.ndjson", cls.dir / "accounts.ndjson"
        (cls.dir / "rules.yaml").write_text(RULES)
        cls.add_plays()
        cls.files = ("--events", cls.events, "--accounts", cls.accounts, "--rules", cls.dir / "rules.yaml")
        cls.signals = [json.loads(line) for line in cls.tidemark.run("replay", *cls.files).stdout.splitlines()]
        cls.met, cls.until = {}, 0
        for record in sorted(((at_ms(r["at"]) if isinstance(r["at"], str) else r["at"], r["account"])
                              for path in (cls.accounts, cls.events) for r in map(json.loads, path.open())), key=lambda r: r[0]):
            cls.met.setdefault(record[1], record[0])
            cls.until = max(cls.until, record[0])
        names = sorted(cls.met)
        cls.outcomes = []
        for account in cls.random.sample(names, 30):
            t = cls.random.randrange(cls.met[account] + DAY, cls.until + 20 * DAY)
            cls.outcomes.append((t, account, "churned"))
        for account in cls.random.choices(names, k=30):
            cls.outcomes.append((cls.random.randrange(cls.met[account] + 1, cls.until), account, "expanded"))
        cls.csv = cls.dir / "outcomes.csv"
        with cls.csv.open("w", newline="") as out:
            rows = csv.writer(out)
            rows.writerow(["note, quoted", "outcome", "account", "at", "reason"])
            for t, account, what in cls.outcomes:
                word = cls.random.choice(["expanded", "upsold", "upgraded"]) if what == "expanded" else what
                rows.writerow(['a "b", c', word, account, t, "price, mostly"])
            rows.writerow(["", "active", names[0], cls.until, ""])
            rows.writerow(["", "churned", "nobody", cls.until, ""])

    @classmethod
    def add_plays(cls):
        """Plays among the events, where their time is; each file keeps its running maximum."""
        lines, cls.starts, cls.done = cls.events.read_text().splitlines(), [], 0
        events = [json.loads(line) for line in lines]
        names = sorted({e["account"] for e in events})
        first, last = (at_ms(events[i]["at"]) if isinstance(events[i]["at"], str) else events[i]["at"] for i in (0, -1))
        for n in range(90):
            account, play = cls.random.choice(names), cls.random.choice(["call", "mail"])
            at, kind = cls.random.randrange(first, last), cls.random.choice(["play_started", "play_started", "play_done"])
            events.append({"id": f"play-{n}", "account": account, "event": kind, "at": at, "properties": {"play": play}})
            if kind == "play_started":
                cls.starts.append((account, play, at))
            cls.done += kind == "play_done"
        events.append({"id": "play-nameless", "account": names[0], "event": "play_started", "at": last})
        events.sort(key=lambda e: at_ms(e["at"]) if isinstance(e["at"], str) else e["at"])
        cls.events.write_text("".join(json.dumps(e) + "\n" for e in events))

    def backtest(self, *more, **options):
        return self.tidemark.run("backtest", *self.files, "--outcomes", self.csv, *SPANS, *more, **options)

    def weekly(self):
        """(account, instant, score) of every account known at each week's begin."""
        first = min(self.met.values())
        weeks = range((first // DAY + 7) * DAY, self.until + 1, 7 * DAY)
        points = [(account, t) for t in weeks for account in sorted(self.met) if self.met[account] <= t]
        path = self.dir / "points.csv"
        path.write_text("account,at\n" + "".join(f"{a},{t}\n" for a, t in points))
        answers = self.tidemark.run("eval", *self.files, "--points", path, "--json", SCORE, USE,
                                    ALIKE).stdout.splitlines()
        values = [json.loads(line)["values"] for line in answers]
        return [(a, t, v[SCORE], v[USE], v[ALIKE]) for (a, t), v in zip(points, values, strict=True)]

    def assert_near(self, found, expected, where):
        if expected is None:
            self.assertIsNone(found, where)
        else:
            self.assertAlmostEqual(found, expected, 9, where)

    def test_every_figure_since(self):
        since = min(self.met.values()) + 50 * DAY
        found = json.loads(self.backtest("--json", "--score", SCORE, "--since", since).stdout)["packs"][0]
        judge = Judge(self.signals, self.met, [row[:3] for row in self.weekly()], self.outcomes, self.until, since)
        for figures in found["rules"]:
            what = FORETELLS.get(figures["kind"])
            chosen = lambda a, name=figures["rule"]: a["rule"] == name  # noqa: E731
            if not what:
                self.assertEqual(figures["raised"], len(judge.counted(chosen)))
                continue
            expected = judge.figures(chosen, what)
            for name in ("raised", "hits", "misses", "undecided"):
                self.assertEqual(figures[name], expected[name], f"{name}: seed {self.seed}, {figures}")
            for name in ("chance", "false_per_account_month"):
                self.assert_near(figures[name], expected[name], f"{name}: seed {self.seed}, {figures}")
            self.assert_near(figures["lead_days"]["value"], expected["lead_days"], f"seed {self.seed}, {figures}")
            self.assert_near(figures["recall"]["value"], expected["recall"] and expected["recall"][0], f"seed {self.seed}")
        self.ranked(found["ranking"], list(judge.cases()))

    def test_every_figure(self):
        found = json.loads(self.backtest("--json", "--score", SCORE, "--use", USE, "--alike", ALIKE).stdout)["packs"][0]
        weekly = self.weekly()
        judge = Judge(self.signals, self.met, [row[:3] for row in weekly], self.outcomes, self.until)
        self.played(found["plays"], plays(weekly, self.starts, judge.over_at, self.until))
        wanted = [(f, lambda a, f=f: a["rule"] == f["rule"]) for f in found["rules"]]
        wanted += [(f, lambda a, f=f: a["kind"] == f["kind"] and a["severity"] >= SEVERITIES.index(f["severity_from"]))
                   for f in found["groups"]]
        self.assertEqual({f["rule"] for f in found["rules"]}, {a["rule"] for a in judge.alarms})
        for figures, chosen in wanted:
            where = f"seed {self.seed}, {figures}"
            what = FORETELLS.get(figures["kind"])
            if not what:
                self.assertEqual(figures["raised"], len(judge.counted(chosen)), where)
                self.assertEqual(figures["accounts"], len({a["account"] for a in judge.counted(chosen)}), where)
                continue
            expected = judge.figures(chosen, what)
            for name in ("raised", "accounts", "hits", "misses", "undecided"):
                self.assertEqual(figures[name], expected[name], f"{name}: {where}")
            for name in ("chance", "false_per_account_month"):
                self.assert_near(figures[name], expected[name], f"{name}: {where}")
            self.assert_near(figures["lead_days"]["value"], expected["lead_days"], where)
            for name in ("precision", "recall"):
                for part, number in zip(("value", "low", "high"), expected[name] or (None,) * 3):
                    self.assert_near(figures[name][part], number, f"{name} {part}: {where}")
        self.assertGreater(sum(f["hits"] for f in found["rules"]), 0, f"seed {self.seed}")
        self.ranked(found["ranking"], list(judge.cases()))
        self.assertEqual(found["outcomes"]["unknown_accounts"], 1)
        self.assertEqual(found["outcomes"]["other_words"], 1)
        self.unseen(found["unseen"], judge)

    def played(self, found, expected):
        self.assertEqual({f["play"] for f in found}, set(expected))
        self.assertEqual(sum(f["done"] for f in found), self.done)
        self.assertGreater(sum(f["with"] for f in found), 0)
        for figures in found:
            wanted = expected[figures["play"]]
            where = f"seed {self.seed}, {figures}, {wanted}"
            for name in ("started", "with", "without"):
                self.assertEqual(figures[name], wanted[name], where)
            for name in ("went_on_with", "went_on_without"):
                self.assert_near(figures[name], wanted[name], where)
            for name in ("association", "use_ratio"):
                for part, number in zip(("value", "low", "high"), wanted[name] or (None,) * 3):
                    self.assert_near(figures[name][part], number, f"{name} {part}: {where}")

    def ranked(self, found, cases):
        came = [score for score, word in cases if word]
        stayed = [score for score, word in cases if not word]
        self.assertEqual((found["came"], found["auc"]["of"]), (len(came), len(cases)), f"seed {self.seed}")
        if not came:
            return
        wins = sum((c < s) + (c == s) / 2 for c in came for s in stayed)
        self.assertAlmostEqual(found["auc"]["value"], wins / (len(came) * len(stayed)), 9)
        lowest, share, left = 0.0, {}, len(cases) / 10
        for score in sorted({score for score, _ in cases}):
            words = [word for s, word in cases if s == score]
            part = min(1.0, max(0.0, left / len(words)))
            lowest += sum(words) * part
            left -= len(words) * part
        self.assertAlmostEqual(found["lowest_tenth_lift"]["value"], lowest / (len(cases) / 10) / (len(came) / len(cases)), 9)
        for name in ("auc", "lowest_tenth_lift"):
            self.assertLessEqual(found[name]["low"], found[name]["high"])

    def unseen(self, found, judge):
        expected = []
        for t, account, what in judge.outcomes:
            if what == "churned" and t <= self.until and t - self.met[account] >= TENURE and not any(
                    a["kind"] == "churn_risk" and a["account"] == account and a["raised"] < t and
                    a["cleared"] > t - WITHIN for a in judge.alarms):
                expected.append(account)
        self.assertEqual([u["account"] for u in found], expected, f"seed {self.seed}")
        self.assertLessEqual({u["reason"] for u in found}, {"price, mostly"})

    def test_an_outcome_is_not_known_before_its_time(self):
        """The outcomes are not even opened before the last event was read: their pipe is fed only when the events' pipe
        is drained. Were they read first, neither would ever come."""
        events, outcomes = self.dir / "events.pipe", self.dir / "outcomes.pipe"
        os.mkfifo(events)
        os.mkfifo(outcomes)

        def feed():
            events.write_bytes(self.events.read_bytes())
            outcomes.write_bytes(self.csv.read_bytes())

        thread = threading.Thread(target=feed, daemon=True)
        thread.start()
        found = self.tidemark.run("backtest", "--events", events, "--accounts", self.accounts, "--rules",
                                  self.dir / "rules.yaml", "--outcomes", outcomes, *SPANS, "--json").stdout
        thread.join(60)
        self.assertEqual(json.loads(found), json.loads(self.backtest("--json").stdout))

    def test_what_it_prints(self):
        other = self.dir / "other.yaml"
        other.write_text(RULES.replace("version: 5", "version: 6").replace("< 0.6", "< 0.3"))
        said = self.backtest("--against", other, "--score", SCORE).stdout
        for words in ("Rules of version 5", "Against: Rules of version 6", "precision", "Signals per owner and week",
                      f"Ranking by {SCORE}: AUC ", "losses were seen by some rule"):
            self.assertIn(words, said)
        both = json.loads(self.backtest("--against", other, "--json").stdout)["packs"]
        alone = json.loads(self.tidemark.run("backtest", *self.files[:4], "--rules", other, "--outcomes", self.csv,
                                             *SPANS, "--json").stdout)["packs"]
        self.assertEqual(both[1], alone[0])
        self.assertNotEqual(both[0]["rules"], both[1]["rules"])

    def test_what_is_wrong_is_said(self):
        bad = self.dir / "bad.csv"
        for text, words in (("account,what\n", "bad.csv:1: there is no header"),
                            ("account,outcome,at\nacme-1,churned,soon\n", "bad.csv:2: `at` is no time"),
                            ("account,outcome,at\n,churned,2026-01-01\n", "bad.csv:2: the row has no account"),
                            ('account,outcome,at\n"acme,churned,2026-01-01\n', "bad.csv:2: the row cannot be read")):
            bad.write_text(text)
            said = self.tidemark.run("backtest", *self.files, "--outcomes", bad, status=66).stderr
            self.assertIn(words, said)
        self.assertIn("is needed", self.tidemark.run("backtest", *self.files, status=64).stderr)
        self.assertIn("a duration", self.backtest("--within", "soon", status=64).stderr)
        self.tidemark.run("backtest", *self.files, "--outcomes", self.dir / "absent.csv", status=66)


if __name__ == "__main__":
    unittest.main()
