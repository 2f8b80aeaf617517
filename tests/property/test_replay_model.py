"""Replay and eval against the brute-force model, on random populations, rules, zones and grids: signal for signal.

REPLAY_SECONDS (20) bounds each test's time; REPLAY_SEED is the first seed (1), REPLAY_ROUNDS the greatest number of
seeds (400, so that a fast machine takes none that no other took before). A failure names its seed; KEEP=1 keeps the files.
"""

import io
import json
import os
import pathlib
import random
import sys
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support" / "model"), str(ROOT / "tests" / "support")]

import harness  # noqa: E402
import model  # noqa: E402
import pack as packs  # noqa: E402
import population  # noqa: E402
import records  # noqa: E402
import world as worlds  # noqa: E402
import zone  # noqa: E402

SECONDS = float(os.environ.get("REPLAY_SECONDS", "20"))
FIRST = int(os.environ.get("REPLAY_SEED", "1"))
ROUNDS = int(os.environ.get("REPLAY_ROUNDS", "400"))
# Half an hour's and a whole hour's change, the west, the east, midnights that a change skips, and no change at all.
ZONES = ("UTC", "Europe/Berlin", "America/New_York", "Asia/Tokyo", "Australia/Lord_Howe", "America/Santiago", "Asia/Kolkata",
         "Africa/Cairo", "Pacific/Apia")
# Where clocks change in many of them, and once where nothing does.
STARTS = ("2024-03-02", "2024-03-20", "2024-10-20", "2024-04-18", "2023-08-30", "2011-12-20", "2024-01-05")


def seeds():
    """Seeds until the time is up."""
    until = time.monotonic() + SECONDS
    for seed in range(FIRST, FIRST + ROUNDS):
        yield seed
        if time.monotonic() > until:
            return


class Case:
    """One random world as files and as the model's configuration."""

    def __init__(self, seed, folder):
        rng = random.Random(f"replay {seed}")
        self.rng, self.folder = rng, folder
        self.start, days = rng.choice(STARTS), rng.randrange(5, 26)
        accounts, rate = rng.randrange(3, 16), rng.choice((3, 8, 8, 16))
        if rng.random() < 0.2:  # long enough for weekdays to have medians, and thin enough for the model
            days, accounts, rate = rng.choice((rng.randrange(35, 60), rng.randrange(65, 100))), rng.randrange(2, 5), rng.choice((0.5, 2, 4))
        usage, facts = population.generate(seed, accounts, days, self.start, rate,
                                           dirt=rng.random() < 0.5, erased=rng.choice((0, 0.1, 0.4)))
        self.days, self.accounts = days, accounts
        self.events = self.write("usage.ndjson", b"".join(line + b"\n" for line in usage))
        self.facts = self.write("accounts.ndjson", b"".join(line + b"\n" for line in facts))
        self.pack = population.rule_pack(seed, rng.randrange(1, 14))
        self.rules = self.write("rules.yaml", json.dumps(self.pack, indent=1).encode())
        self.settings = {"timezone": rng.choice(ZONES), "evaluate_every": rng.choice(("1m", "1m", "5m", "30m", "1h", "10s")),
                         "history": rng.choice(("first-record", "first-record", "complete", self.day(rng.randrange(-3, days)))),
                         "dedup": {"window": rng.choice(("1h", "1h", "10m", "2d", "0s"))}}
        self.config = self.write("tidemark.yaml", json.dumps(self.settings).encode())
        if rng.random() < 0.5:
            self.answer()
        self.until = None
        if rng.random() < 0.3:
            at = self.instant()
            self.until = at - at % 60_000 if rng.random() < 0.5 else at

    def answer(self):
        """Adds what people say to the signals that come without it: later ones may be others then."""
        w = worlds.World(packs.Pack(self.pack, ()), packs.Config(self.settings))
        said = w.run(self.events, self.facts)
        lines = [(records.instant(json.loads(x)["at"]) if x.startswith(b'{"') and b'"id":"e-' in x else 0, x)
                 for x in pathlib.Path(self.events).read_bytes().splitlines()]
        rng = self.rng
        for n, s in enumerate(rng.sample(said, min(len(said), rng.randrange(1, 40)))):
            at = zone.parse_time(s["time"]) + rng.choice((0, 1, 60_000, rng.randrange(3 * zone.DAY)))
            key = rng.choice(("rule", "rule", "episode"))
            to = {key: s[key]} if rng.random() < 0.95 else {key: "no_such"}
            say = {"by": "ann"} if rng.random() < 0.7 else {"by": 5}
            event = rng.choice(("signal_acknowledged", "signal_snoozed", "signal_snoozed"))
            if event == "signal_snoozed":
                say |= rng.choice(({"for": rng.choice(("0", "90m", "1d", "3d", "soon", ""))}, {"for": 5}, {},
                                   {"until": zone.format_time(at + rng.randrange(-zone.DAY, 4 * zone.DAY))}, {"until": "9999-01-01T00:00:00Z"}))
            i = next((i for i, (t, _) in enumerate(lines) if t > at), len(lines))  # where the running maximum comes to it
            lines.insert(i, (at, json.dumps({"id": f"say-{n}", "account": s["account"], "event": event, "at": zone.format_time(at),
                                             "user": "u", "properties": to | say}).encode()))
        self.events = self.write("usage.ndjson", b"".join(x + b"\n" for _, x in lines))

    def day(self, after):
        return zone.day_text(zone.date_day(self.start) + after)

    def instant(self):
        begin = zone.date_day(self.start) * zone.DAY
        return begin + self.rng.randrange((self.days + 2) * zone.DAY)

    def write(self, name, content):
        path = self.folder / name
        path.write_bytes(content)
        return str(path)

    def arguments(self):
        return ["--events", self.events, "--accounts", self.facts, "--rules", self.rules, "--config", self.config]


def order_of(signal):
    return signal["time"], signal["subject"].encode(), signal["data"]["rule"].encode()


def instant_expressions(rng, stages, cards):
    """Expressions over the population's metrics with windows that its rules may not have."""
    def window(limit_days):
        if rng.random() < 0.35:
            text = f"{rng.randrange(1, 50)}h"
            return text + (f" offset {rng.randrange(1, 60)}h" if rng.random() < 0.4 else "")
        text = f"{rng.randrange(1, limit_days)}d"
        return text + (f" offset {rng.randrange(1, 12)}d" if rng.random() < 0.5 else "")

    counted = ("events", "human", "key_actions", "billing", "spent")
    members = ("users", "features", "letters", "days")
    out = [f"{rng.choice(counted)}[{window(20)}]" for _ in range(3)]
    out += [f"{rng.choice(members)}[{window(12)}]" for _ in range(3)]
    out += [f"slowest[{window(9)}]", f"nps[{window(9)}]", f"first_nps[{window(9)}]", "nps", "slowest", "first_nps"]
    name = rng.choice(counted + members + ("nps", "sync", "champion"))
    out += [f"age({name})", f"first({name})", "contract_age", "days_to_renewal", "first_term", "plan", "seats", "attributes.pilot"]
    out += [f"ratio(events[{window(9)}], events[{window(9)}])", f"coalesce(nps[{window(9)}], -1) + users[{window(9)}] * 2"]
    # Types known only when read: of unlike ones everything is null.
    odd = ("attributes.pilot", "attributes.region", "attributes.size", "goals.records", "products.core.seats", "owners.csm", "plan")
    for _ in range(4):
        out.append(f"{rng.choice(odd[:3])} {rng.choice(('==', '!='))} {rng.choice(('3', 'true', repr('pro'), '2h', 'seats'))}")
        out.append(f"{rng.choice(odd[:3])} {rng.choice(('<', '>='))} {rng.choice(('3', '2h', 'seats'))}")
    out += [f"{rng.choice(odd[:3])} in [3, true, 'emea']", f"coalesce({rng.choice(odd[3:5])}, 1) / {rng.choice(('0', 'seats', 'mrr'))}",
            f"if({rng.choice(odd[:3])} == true, 1, 2)", f"not ({rng.choice(odd[:3])} == 'x') or seats > 5", f"{rng.choice(odd)} == null",
            f"clamp(events[{window(9)}], 2, {rng.randrange(2, 40)})", f"min(users[{window(5)}], seats)", f"log(events[{window(9)}])",
            *(population.baseline(rng) for _ in range(6)), f"age(human) >= 2 * gap(human, 90)",
            f"abs(1 - human[{window(5)}] * 0.1)", f"max(age({name}), 3h) > 2d", f"age({name}) / 1h"]
    for score in ("health", "approach"):
        if score in (cards or ()) or score == "health" and cards:
            out += [score, f"coverage({score})", f"card({score})", f"band({score})", f"{score} <= 50",
                    *(f"{score}[{rng.choice((1, 1, 2, 3, 7, 20))}d ago]" for _ in range(2)),
                    *(f"{fn}({score}[{rng.choice((1, 2, 3, 8))}d])" for fn in ("min", "max", "mean")), f"100 - {score}"]
    if stages:
        out += ["stage", "stage_age", "previous_stage", "previous_stage_time", "time_to_first_value", "stage == 'onboarding'",
                f"stage_age > {rng.randrange(1, 90)}h", "max(stage_age, 3h)", f"previous_stage_time >= time_to_first_value"]
    return list(dict.fromkeys(out))


class ReplayAgainstModel(unittest.TestCase):
    def setUp(self):
        self.tidemark = harness.Tidemark()

    def compare(self, case, seed):
        arguments = case.arguments()
        if case.until is not None:
            arguments += ["--until", str(case.until)]
        told = case.folder / "health.ndjson"
        done = self.tidemark.run("replay", *arguments, "--health", told)
        theirs = [json.loads(line) for line in done.stdout.splitlines()]
        self.assertEqual(theirs, sorted(theirs, key=order_of), f"seed {seed}: not in order of time, account, rule")
        w = worlds.World(packs.Pack(case.pack, ()), packs.Config(case.settings))
        ours = [model.flatten(s) for s in w.run(case.events, case.facts, case.until)]
        said = io.StringIO()
        if model.compare(ours, [model.from_cloudevent(s) for s in theirs], out=said, limit=8):
            self.fail(f"seed {seed} in {case.folder}, {case.settings}, until {case.until}:\n{said.getvalue()}")
        scores = [json.loads(line) for line in told.read_text(encoding="utf-8").splitlines()]
        for i, (a, b) in enumerate(zip([h[2] for h in w.health], scores)):
            self.assertEqual(a, b, f"seed {seed} in {case.folder}, {case.settings}: record of health {i}")
        self.assertEqual(len(w.health), len(scores), f"seed {seed} in {case.folder}: records of health")
        return len(theirs), len(scores)

    def test_signals(self):
        count = signals = scores = 0
        for seed in seeds():
            found = self.compare(Case(seed, harness.temp_dir()), seed)
            signals, scores, count = signals + found[0], scores + found[1], count + 1
        print(f"  {count} populations, {signals} signals and {scores} records of health, all as the model's", flush=True)
        self.assertGreater(min(signals, scores), 0, "nothing was raised, so nothing was compared")

    def test_every_instant_changes_nothing(self):
        """Due times and dirty marks only skip instants at which nothing can change."""
        until, signals = time.monotonic() + SECONDS / 3, 0
        for seed in range(FIRST, FIRST + ROUNDS):
            case = Case(seed, harness.temp_dir())
            told = case.folder / "health.ndjson"
            short = self.tidemark.run("replay", *case.arguments(), "--health", told).stdout + told.read_text(encoding="utf-8")
            full = self.tidemark.run("replay", *case.arguments(), "--every-instant", "--health", told).stdout + told.read_text(encoding="utf-8")
            if short != full:
                a, b = short.splitlines(), full.splitlines()
                at = next((i for i, (x, y) in enumerate(zip(a, b)) if x != y), min(len(a), len(b)))
                self.fail(f"seed {seed} in {case.folder}: signal {at} is\n{a[at:at + 1]}\nand with every instant\n{b[at:at + 1]}")
            signals += len(short.splitlines())
            if time.monotonic() > until:
                break
        self.assertGreater(signals, 0)

    def test_values(self):
        count = 0
        for seed in seeds():
            case = Case(seed, harness.temp_dir())
            rng = case.rng
            texts = instant_expressions(rng, case.pack.get("stages"), case.pack.get("scorecards"))
            names = [f"acct-{i:04}" for i in range(case.accounts)] + ["never-seen"]
            points = [(case.instant(), rng.choice(names)) for _ in range(25)]
            table = case.write("points.csv", ("account,at\n" + "".join(f"{a},{t}\n" for t, a in points)).encode())
            done = self.tidemark.run("eval", *case.arguments(), "--points", table, "--json", *texts)
            theirs = [json.loads(line) for line in done.stdout.splitlines()]
            ours, _ = model.evaluate(packs.Pack(case.pack, texts), packs.Config(case.settings), case.events, case.facts, points)
            self.assertEqual(len(theirs), len(ours))
            for a, b in zip(ours, theirs):
                wrong = {k: (v, b["values"][k]) for k, v in a["values"].items() if not model.same(v, b["values"][k])}
                if wrong or (a["account"], a["at"]) != (b["account"], b["at"]):
                    self.fail(f"seed {seed} in {case.folder}, {case.settings}: {a['account']} at {a['at']}: (model, tidemark) {wrong}")
                count += len(a["values"])
        print(f"  {count} values, all as the model's", flush=True)


if __name__ == "__main__":
    unittest.main()
