"""`tidemark accounts` out of files, each column against what `eval`, `replay` and the records themselves say."""

import csv
import io
import json
import pathlib
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support" / "model"), str(ROOT / "tests" / "support")]

import harness  # noqa: E402
import population  # noqa: E402

USAGE, DATAERR, NOINPUT = 64, 65, 66
RULES = {"version": 1, "metrics": dict(population.METRICS, any={"count": "*"}),
         "stages": [{"name": "new", "enter": "age(any) == null or first(any) < 3d"}, {"name": "grown", "enter": "first(any) >= 3d"}],
         "scorecards": {"health": {"use": {"value": "events[7d]", "map": [[0, 0], [60, 100]], "weight": 1}}},
         "rules": [
             {"name": "few", "kind": "churn_risk", "severity": "warn", "when": "events[3d] < 40", "for": "1h"},
             {"name": "lost", "kind": "churn_risk", "severity": "critical", "when": "age(any) > 20h"},
             {"name": "busy", "kind": "expansion", "severity": "high", "when": "ratio(events[1d], events[7d]) > 0.2 and band != 'red'"}]}
WEIGHTS = {"info": 1, "warn": 2, "high": 3, "critical": 4}


class Accounts(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tidemark, cls.dir = harness.Tidemark(), harness.temp_dir()
        usage, facts = population.generate(11, 30, 10)
        (cls.dir / "usage.ndjson").write_bytes(b"\n".join(usage) + b"\n")
        (cls.dir / "accounts.ndjson").write_bytes(b"\n".join(facts) + b"\n")
        (cls.dir / "rules.json").write_text(json.dumps(RULES))
        cls.files = ["--events", cls.dir / "usage.ndjson", "--accounts", cls.dir / "accounts.ndjson", "--rules", cls.dir / "rules.json"]

    def rows(self, *options):
        return [json.loads(line) for line in self.tidemark.run("accounts", *self.files, *options, "--json").stdout.splitlines()]

    def judged(self, at):
        """Every account at `at` as eval and replay know it."""
        everyone = self.rows("--all", "--at", at)
        points = self.dir / "points.csv"
        with points.open("w", newline="") as out:
            csv.writer(out).writerows([["account", "at"], *[[row["account"], at] for row in everyone]])
        asked = ("mrr", "tier", "status", "owners.csm", "currency", "days_to_renewal", "health", "band", "stage", "name")
        done = self.tidemark.run("eval", *self.files, "--points", points, "--json", *asked)
        values = {line["account"]: line["values"] for line in map(json.loads, done.stdout.splitlines())}
        still = {}
        for signal in map(json.loads, self.tidemark.run("replay", *self.files, "--until", at).stdout.splitlines()):
            data = signal["data"]
            if data["state"] == "cleared":
                still.pop(data["episode"], None)
            else:
                raised = still.get(data["episode"], {}).get("raised_at", signal["time"])
                still[data["episode"]] = {"account": data["account"], "raised_at": raised,
                                          "rule": data["rule"], "kind": data["kind"], "severity": data["severity"]}
        return everyone, values, still

    def test_each_column(self):
        for at in ("2024-03-25T12:00:00.000Z", "2024-03-28T00:00:00.000Z"):
            everyone, values, still = self.judged(at)
            self.assertGreater(len(everyone), 20)
            for row in everyone:
                v = values[row["account"]]
                for column, asked in (("mrr", "mrr"), ("tier", "tier"), ("owner", "owners.csm"), ("currency", "currency"), ("name", "name"),
                                      ("days_to_renewal", "days_to_renewal"), ("health", "health"), ("band", "band"), ("stage", "stage")):
                    self.assertEqual(row[column], v[asked], (row["account"], column, at))
                mine = [{k: s[k] for k in ("rule", "kind", "severity", "raised_at")} for s in still.values() if s["account"] == row["account"]]
                self.assertCountEqual(row["open"], mine, row["account"])
                weight = max([WEIGHTS[s["severity"]] for s in mine if s["kind"] == "churn_risk"], default=0)
                self.assertEqual(row["risk"], None if v["mrr"] is None else weight * v["mrr"])
            self.assertTrue(any(row["open"] for row in everyone) and any(row["risk"] for row in everyone))
            self.assertEqual({row["account"] for row in self.rows("--at", at)},
                             {a for a, v in values.items() if v["status"] in (None, "active")})

    def test_last_event(self):
        """The hour of the greatest `at` among the account's events that a metric selects, whatever their order."""
        hour, lines, last = 3_600_000, [], {}
        for n in range(200):
            at, account = (n * 7919 % 200) * hour // 2, f"a{n % 9}"
            lines.append({"id": str(n), "account": account, "event": ("seen", "heard")[n % 2], "at": at})
            last[account] = max(last.get(account, 0), at // hour)
        lines.append({"id": "x", "account": "none", "event": "passed over", "at": 150 * hour})
        (self.dir / "seen.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (self.dir / "seen.yaml").write_text('version: 1\nmetrics: {seen: {count: seen}, heard: {count: heard}}\nrules: []\n')
        done = self.tidemark.run("accounts", "--events", self.dir / "seen.ndjson", "--rules", self.dir / "seen.yaml", "--json")
        shown = {row["account"]: row["last_event"] for row in map(json.loads, done.stdout.splitlines())}
        self.assertIsNone(shown.pop("none"))
        self.assertEqual(shown, {a: f"1970-01-{1 + h // 24:02}T{h % 24:02}:00:00.000Z" for a, h in last.items()})

    def test_order_filters_and_forms(self):
        rows = self.rows("--all")
        keys = [(-(row["risk"] or 0), row["account"]) for row in rows]
        self.assertEqual([k[0] for k in keys], sorted(k[0] for k in keys))
        known = lambda name, order: [row[name] for row in self.rows("--all", "--sort", order) if row[name] is not None]
        self.assertEqual(known("mrr", "mrr"), sorted(known("mrr", "mrr"), reverse=True))
        self.assertEqual(known("days_to_renewal", "renewal"), sorted(known("days_to_renewal", "renewal")))
        self.assertEqual(known("health", "health"), sorted(known("health", "health")))
        names = [row["name"] or row["account"] for row in self.rows("--all", "--sort", "name")]
        self.assertEqual(names, sorted(names, key=str.encode))
        for option, column in (("--tier", "tier"), ("--owner", "owner"), ("--stage", "stage")):
            for value in {row[column] for row in rows}:
                self.assertCountEqual([row["account"] for row in self.rows("--all", option, value or "")],
                                      [row["account"] for row in rows if row[column] == value])
        self.assertEqual(self.rows("--all", "--limit", "3"), rows[:3])
        table = list(csv.DictReader(io.StringIO(self.tidemark.run("accounts", *self.files, "--all", "--csv").stdout)))
        self.assertEqual([row["account"] for row in table], [row["account"] for row in rows])
        self.assertEqual([row["mrr"] and float(row["mrr"]) for row in table], ["" if row["mrr"] is None else row["mrr"] for row in rows])
        said = self.tidemark.run("accounts", *self.files, "--all", "--limit", "2").stdout.splitlines()
        self.assertTrue(said[0].startswith("account "))
        self.assertEqual(said[-1], f"and {len(rows) - 2} more")

    def test_a_moment_before_everything(self):
        self.assertEqual(self.rows("--all", "--at", "1999-01-01T00:00:00Z"), [])

    def test_what_would_move_the_cursor_is_not_shown(self):
        (self.dir / "odd.ndjson").write_text(json.dumps({"account": "a\x1b[2Jb", "at": 1000, "name": "x\u009by", "mrr": 1}) + "\n")
        said = self.tidemark.run("accounts", "--accounts", self.dir / "odd.ndjson", "--rules", self.dir / "rules.json").stdout
        self.assertIn("a?[2Jb", said)
        self.assertNotIn("\x1b", said)
        self.assertNotIn("\u009b", said)

    def test_mistakes(self):
        run = self.tidemark.run
        self.assertIn("--sort takes", run("accounts", *self.files, "--sort", "luck", status=USAGE).stderr)
        self.assertIn("--config is needed", run("accounts", "--rules", self.dir / "rules.json", status=USAGE).stderr)
        self.assertIn("exclude each other", run("accounts", *self.files, "--json", "--csv", status=USAGE).stderr)
        run("accounts", "--events", self.dir / "absent", "--rules", self.dir / "rules.json", status=NOINPUT)


if __name__ == "__main__":
    unittest.main()
