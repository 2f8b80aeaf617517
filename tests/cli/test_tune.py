"""`tidemark tune` as a real process, on a small population whose relation is known: what it finds, what it does not know,
what it refuses, and that the file it writes is as good as it says."""

import csv
import datetime as dt
import json
import math
import pathlib
import random
import re
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support")]

import harness  # noqa: E402

START = dt.datetime(2026, 1, 5, tzinfo=dt.timezone.utc)
ACCOUNTS, DAYS = 420, 182
CUT = "2026-05-06T00:00:00Z"  # after two thirds
RULES = """# What we had, with its remarks.
version: 3
metrics:
  logins: {count: login}
  exports: {count: export}
  noise: {count: ping}
scorecards:
  main:
    logins:  {value: "logins[28d]", map: [[0, 0], [60, 100]], weight: 5}   # of old
    exports:
      value: exports[28d]
      map:
        - [0, 0]
        - [60, 100]
      weight: 5
    noise:   {value: "noise[28d]", map: [[0, 0], [60, 100]], weight: 80}
    survey:  {value: "if(age(logins) < 0h, 1, null)", map: [[0, 0], [1, 100]], weight: 10}
rules:
  - {name: quiet, kind: churn_risk, when: 'age(logins) > 9d'}
"""


def stamp(at):
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


class Tune(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        """Logins say most about who leaves, exports less, pings nothing."""
        cls.tidemark, cls.dir = harness.Tidemark(), harness.temp_dir()
        dice = random.Random(7)
        events, cls.lost = [], []
        with (cls.dir / "accounts.ndjson").open("w") as out:
            for number in range(ACCOUNTS):
                account = f"a{number}"
                levels = [dice.random() for _ in range(3)]
                hazard = 1 / (1 + math.exp(3.6 + 3.5 * (levels[0] - 0.5) + 1.6 * (levels[1] - 0.5)))
                end = next((d for d in range(20, DAYS, 7) if dice.random() < hazard), None)
                if end is not None:
                    cls.lost.append([account, "churned", stamp(START + dt.timedelta(days=end))])
                out.write(json.dumps({"account": account, "at": stamp(START), "seats": 9}) + "\n")
                for day in range(end or DAYS):
                    for name, level in zip(("login", "export", "ping"), levels):
                        if dice.random() < level:
                            at = START + dt.timedelta(days=day, seconds=dice.randrange(86400))
                            events.append((at, account, name))
        events.sort()
        with (cls.dir / "events.ndjson").open("w") as out:
            for n, (at, account, name) in enumerate(events):
                out.write(json.dumps({"id": str(n), "account": account, "event": name, "at": stamp(at)}) + "\n")
        cls.rules = cls.dir / "rules.yaml"
        cls.rules.write_text(RULES)
        cls.outcomes = cls.write("outcomes.csv", cls.lost)
        cls.files = ("--events", cls.dir / "events.ndjson", "--accounts", cls.dir / "accounts.ndjson")
        cls.said = json.loads(cls.tune(cls.outcomes, "--out", cls.dir / "tuned.yaml").stdout)
        cls.tuned = (cls.dir / "tuned.yaml").read_text()

    @classmethod
    def write(cls, name, rows):
        path = cls.dir / name
        with path.open("w", newline="") as out:
            csv.writer(out).writerows([["account", "outcome", "at"], *rows])
        return path

    @classmethod
    def tune(cls, outcomes, *more, rules=None, status=0):
        return cls.tidemark.run("tune", *cls.files, "--rules", rules or cls.rules, "--outcomes", outcomes, "--until", CUT,
                                "--json", *more, status=status)

    def test_finds_the_relation(self):
        card = self.said["cards"][0]
        weights = {f["factor"]: f["weight"] for f in card["factors"]}
        lessons = {f["factor"]: f["lesson"] for f in card["factors"]}
        self.assertEqual((card["verdict"], sum(weights.values())), ("changed", 100), card)
        self.assertGreater(weights["logins"], weights["exports"], card)
        self.assertGreater(weights["exports"], weights["noise"], card)
        self.assertEqual((lessons["logins"], lessons["survey"], weights["survey"]), ("learned", "kept", 10))
        self.assertTrue(self.said["gain_shown"], self.said)
        self.assertGreater(self.said["held_out"]["gain"]["low"], 0)
        self.assertEqual(self.said["learned_until"], "2026-05-06T00:00:00.000Z")

    def test_the_file_is_the_old_one_with_other_numbers(self):
        self.tidemark.run("check", "--rules", self.dir / "tuned.yaml")
        bare = [line for line in self.tuned.splitlines() if "# tuned: " not in line]
        old = RULES.splitlines()
        self.assertEqual(bare[0], old[0])
        self.assertEqual(bare[1], "version: 4")
        numbers = re.compile(r"\[\[.*\]\]|weight: [\d.]+|version: \d+")
        block = old.index("        - [0, 0]")
        flat = old[:block - 1] + ["      map: [[0, 0], [60, 100]]"] + old[block + 2:]
        edges = self.said["cards"][0]["bands"]
        settings = f"    card: {{version: 2, bands: {{green: {edges['green']:g}, yellow: {edges['yellow']:g}}}}}"
        self.assertEqual(bare.pop(bare.index("  main:") + 1), settings)
        self.assertEqual([numbers.sub("", line) for line in bare], [numbers.sub("", line) for line in flat])
        self.assertIn("    # tuned: weight was 5", self.tuned)
        self.assertIn("gain " + f"{self.said['held_out']['gain']['value']:.3f}", self.tuned)

    def test_is_as_good_as_it_says(self):
        for pack, stated in ((self.rules, "before"), (self.dir / "tuned.yaml", "after")):
            found = json.loads(self.tidemark.run("backtest", *self.files, "--rules", pack, "--outcomes", self.outcomes,
                                                 "--since", CUT, "--json").stdout)["packs"][0]["ranking"]
            self.assertEqual(found["score"], "health")
            self.assertEqual((found["auc"]["of"], found["came"]),
                             (self.said["held_out"][stated]["of"], self.said["held_out"]["came"]))
            self.assertAlmostEqual(found["auc"]["value"], self.said["held_out"][stated]["value"], 12)

    def test_bands_hold_as_many_as_before(self):
        """Of the accounts at a week of the training time."""
        counts = []
        path = self.dir / "points.csv"
        path.write_text("account,at\n" + "".join(f"a{n},2026-{week}T00:00:00Z\n" for week in ("03-16", "04-13", "05-04")
                                                 for n in range(ACCOUNTS)
                                                 if all(row[0] != f"a{n}" or row[2][5:10] > week for row in self.lost)))
        for pack in (self.rules, self.dir / "tuned.yaml"):
            cards = pack.read_text()
            found = re.search(r"green: ([\d.]+), yellow: ([\d.]+)", cards)
            green, yellow = map(float, found.groups()) if found else (75, 50)
            lines = self.tidemark.run("eval", *self.files, "--rules", pack, "--points", path, "--json", "health").stdout
            scores = [json.loads(line)["values"]["health"] for line in lines.splitlines()]
            counts.append((sum(s >= green for s in scores), sum(s >= yellow for s in scores), len(scores)))
        for i in range(2):
            self.assertAlmostEqual(counts[0][i] / counts[0][2], counts[1][i] / counts[1][2], delta=0.05, msg=str(counts))

    def test_knows_nothing_after_its_time(self):
        later = [row if row[2] <= CUT else [row[0], "renewed", row[2]] for row in self.lost]
        later += [[f"a{n}", "churned", "2026-05-07T00:00:00Z"] for n in range(0, ACCOUNTS, 9)
                  if all(f"a{n}" != row[0] for row in self.lost)]
        other = self.dir / "other.yaml"
        said = json.loads(self.tune(self.write("later.csv", later), "--out", other).stdout)
        self.assertEqual(said["cards"], self.said["cards"])
        self.assertNotEqual(said["held_out"], self.said["held_out"])
        heading = re.compile(r"\A(# tuned: .*\n)+")
        self.assertEqual(heading.sub("", other.read_text()), heading.sub("", self.tuned))

    def test_the_order_of_files_does_not_matter(self):
        dice = random.Random(1)
        lines = (self.dir / "accounts.ndjson").read_text().splitlines()
        dice.shuffle(lines)
        path = self.dir / "shuffled.ndjson"
        path.write_text("\n".join(lines) + "\n")
        rows = dice.sample(self.lost, len(self.lost))
        self.tidemark.run("tune", *self.files[:2], "--accounts", path, "--rules", self.rules, "--until", CUT, "--outcomes",
                          self.write("turned.csv", rows), "--out", self.dir / "again.yaml")
        self.assertEqual((self.dir / "again.yaml").read_text(), self.tuned)

    def test_claims_no_gain_where_there_is_none(self):
        dice = random.Random(3)
        names = dice.sample([f"a{n}" for n in range(ACCOUNTS)], len(self.lost))
        rows = [[name, *row[1:]] for name, row in zip(names, self.lost)]
        for turn in range(3):
            dice.shuffle(names)
            rows = [[name, *row[1:]] for name, row in zip(names, self.lost)]
            done = self.tune(self.write(f"chance{turn}.csv", rows), "--out", self.dir / "chance.yaml", status=None)
            self.assertIn(done.status, (0, 65))
            self.assertFalse(json.loads(done.stdout)["gain_shown"], done.stdout)
            if done.status == 0:
                self.assertIn("NO GAIN IS SHOWN", (self.dir / "chance.yaml").read_text())

    def test_keeps_directions_when_told(self):
        rules = self.dir / "backwards.yaml"
        rules.write_text(RULES.replace("map: [[0, 0], [60, 100]], weight: 5}   # of old",
                                       "map: [[0, 100], [60, 0]], weight: 5}"))
        free = json.loads(self.tune(self.outcomes, rules=rules).stdout)["cards"][0]["factors"][0]
        kept = json.loads(self.tune(self.outcomes, "--keep-directions", rules=rules).stdout)["cards"][0]["factors"][0]
        self.assertEqual((free["lesson"], kept["lesson"]), ("turned", "nothing"))
        self.assertLess(free["map"][0][1], free["map"][-1][1])
        self.assertEqual(kept["weight"], 1)

    def test_refuses_too_little(self):
        few = self.write("few.csv", self.lost[:30])
        out = self.dir / "none.yaml"
        done = self.tidemark.run("tune", *self.files, "--rules", self.rules, "--outcomes", few, "--out", out, status=65)
        self.assertRegex(done.stdout, r"Card main: \d+ weekly cases, \d+ accounts lost\. Too few: 50 are needed")
        self.assertIn("nothing was written", done.stderr)
        self.assertFalse(out.exists())

    def test_what_is_wrong_is_said(self):
        bare = self.dir / "bare.yaml"
        bare.write_text("version: 1\n")
        self.assertIn("no scorecards", self.tune(self.outcomes, rules=bare, status=65).stderr)
        self.assertIn("no card 'other'", self.tune(self.outcomes, "--card", "other", status=65).stderr)
        self.assertIn("a duration", self.tune(self.outcomes, "--horizon", "soon", status=64).stderr)
        self.assertIn("--folds", self.tune(self.outcomes, "--folds", "0", status=64).stderr)
        self.assertIn("is needed", self.tidemark.run("tune", *self.files, "--rules", self.rules, status=64).stderr)
        self.tune(self.dir / "absent.csv", status=66)
        self.tune(self.outcomes, "--out", self.dir / "no" / "such", status=73)


if __name__ == "__main__":
    unittest.main()
