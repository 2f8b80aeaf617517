"""The pages that commands write, as a real Chromium shows them: what their scripts made of the figures, and that they ask
nobody for anything."""

import html.parser
import json
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support")]

import harness  # noqa: E402

QUIET = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync",
         "--disable-background-networking", "--disable-component-update"]
DAY = 86_400_000
T0 = 1_704_067_200_000  # 2024-01-01T00:00:00Z
RULES = """version: 12
metrics: {events: {count: "*"}}
rules:
  - {name: quiet, kind: churn_risk, severity: high, when: 'events[3d] == 0'}
  - {name: busy, kind: expansion, when: 'events[3d] > 3'}
"""
# What would be markup, and end the script that carries it, if it were not escaped.
HOSTILE = "a</script><b id='planted'>b"


class Shown(html.parser.HTMLParser):
    """Rows of tables, texts of charts, and ids, of a document as the browser has it after its scripts ran."""

    def __init__(self, text):
        super().__init__()
        self.rows, self.texts, self.ids, self.circles = [], [], set(), 0
        self._cell = self._text = None
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.ids.add(dict(attributes).get("id"))
        self.circles += tag == "circle"
        if tag == "tr":
            self.rows.append([])
        if tag in ("td", "th"):
            self._cell = []
        self._text = []

    def handle_data(self, data):
        for into in (self._cell, self._text):
            if into is not None:
                into.append(data)

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.rows[-1].append("".join(self._cell))
            self._cell = None
        if tag in ("p", "h1", "h2", "h3", "text"):
            self.texts.append("".join(self._text or []))


class Pages(unittest.TestCase):
    def setUp(self):
        self.tidemark, self.dir = harness.Tidemark(), harness.temp_dir()

    def show(self, page):
        """The document after its scripts, and what the browser's console said."""
        done = subprocess.run(["chromium", *QUIET, f"--user-data-dir={self.dir / 'profile'}", "--enable-logging=stderr",
                               "--dump-dom", page.as_uri()], stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=180, check=True)
        return Shown(done.stdout), [line for line in done.stderr.splitlines() if ":CONSOLE" in line]

    def write_archive(self):
        """Two accounts use the product daily; one stops after ten days and churns. Outcomes as CSV."""
        lines = []
        for day in range(120):
            for account in ("steady", HOSTILE, *(["gone"] if day < 10 else [])):
                for n in range(2):
                    lines.append({"id": f"{day}-{account}-{n}", "account": account, "event": "login",
                                  "at": T0 + day * DAY + (9 + n) * 3_600_000})
        (self.dir / "usage.ndjson").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (self.dir / "rules.yaml").write_text(RULES)
        (self.dir / "outcomes.csv").write_text(f'account,outcome,date,reason\ngone,churned,2024-01-20,price\n'
                                               f'"{HOSTILE}",churned,2024-02-20,"{HOSTILE}"\n')

    def test_backtest(self):
        self.write_archive()
        page = self.dir / "backtest.html"
        said = self.tidemark.run("backtest", "--events", self.dir / "usage.ndjson", "--rules", self.dir / "rules.yaml",
                                 "--outcomes", self.dir / "outcomes.csv", "--within", "20d", "--tenure", "7d",
                                 "--score", "events[7d]", "--against", self.dir / "rules.yaml", "--json", "--html", page)
        packs = json.loads(said.stdout)["packs"]
        shown, console = self.show(page)
        self.assertEqual(console, [])
        self.assertNotIn("planted", shown.ids)
        quiet = next(f for f in packs[0]["rules"] if f["rule"] == "quiet")
        self.assertEqual((quiet["raised"], quiet["hits"], quiet["precision"]["value"]), (1, 1, 1))
        rows = [row for row in shown.rows if row and row[0] == "quiet"]
        self.assertEqual(len(rows), 2, "a table a pack")
        self.assertEqual(rows[0][1:3], ["1", "0"])
        self.assertTrue(rows[0][3].startswith("100.0 % "), rows[0])
        self.assertIn("Rules of version 12", shown.texts)
        self.assertIn("Against: rules of version 12", shown.texts)
        self.assertIn([HOSTILE, "2024-02-20", "–", HOSTILE], shown.rows)
        self.assertTrue(any(text.startswith("AUC ") for text in shown.texts))
        drawn = sum(f[field]["value"] is not None for pack in packs for f in pack["rules"] for field in ("precision", "recall"))
        self.assertEqual(shown.circles, drawn)
        self.assertGreater(drawn, 0)

    def write_book(self):
        """Three customers in two currencies: one grows, one leaves, one has a name that wants to be markup."""
        records = [{"account": name, "at": T0 + day * DAY, "mrr": mrr, "currency": currency, "status": status, "seats": 3, "plan": plan,
                    "renewal_at": f"2024-0{3 + day // 60}-01", "owners": {"csm": HOSTILE}, "attributes": {"channel": HOSTILE}}
                   for name, day, mrr, currency, status, plan in (("a", 0, 100, "EUR", "active", "pro"), ("b", 1, 40, "EUR", "active", HOSTILE),
                                                                  ("c", 2, 70, "USD", "active", "pro"), ("a", 70, 150, "EUR", "active", "pro"),
                                                                  ("b", 80, 40, "EUR", "churned", HOSTILE))]
        (self.dir / "accounts.ndjson").write_text("".join(json.dumps(r) + "\n" for r in records))
        (self.dir / "outcomes.csv").write_text(f'account,outcome,at,reason\nb,churned,2024-03-21,"{HOSTILE}"\n')

    def test_report(self):
        self.write_archive()
        self.write_book()
        page = self.dir / "report.html"
        said = self.tidemark.run("report", "--events", self.dir / "usage.ndjson", "--accounts", self.dir / "accounts.ndjson", "--outcomes", self.dir / "outcomes.csv",
                                 "--rules", self.dir / "rules.yaml", "--from", "2024-02-01", "--at", "2024-04-20", "--by", "plan", "--json", "--html", page)
        report = json.loads(said.stdout)
        shown, console = self.show(page)
        self.assertEqual(console, [])
        self.assertNotIn("planted", shown.ids)
        rows = [row for row in shown.rows if row[:3] == ["all", "–", "EUR"]]
        self.assertIn(["150", "1,800", "140", "0", "0", "50", "0", "40", "0", "10"], [row[3:13] for row in rows])
        self.assertTrue(any(row[:2] == ["plan", HOSTILE] for row in shown.rows))
        self.assertTrue(any(row[:4] == ["all", "–", "EUR", HOSTILE] for row in shown.rows), "the reason")
        for title in ("Recurring revenue", "From opening to closing MRR, EUR", "From opening to closing MRR, USD", "MRR by plan, EUR", "Customers kept", "Churn by reason"):
            if title != "MRR by plan, EUR":  # one plan is left, and one bar says nothing
                self.assertIn(title, shown.texts)
        drawn = sum(row[key]["value"] is not None for section, key in (("customers", "retention"), ("renewals", "rate"), ("channels", "churn")) for row in report[section])
        drawn += sum(row["by"] == "all" for row in report["churn_reasons"])
        self.assertEqual(shown.circles, drawn)
        self.assertGreater(drawn, 3)

    def test_light_and_dark(self):
        """Each page looks different in the dark: its own colours are used, and text stands out from paper in both."""
        self.write_archive()
        self.write_book()
        pages = {"backtest": ["--outcomes", self.dir / "outcomes.csv", "--events", self.dir / "usage.ndjson"],
                 "report": ["--accounts", self.dir / "accounts.ndjson"]}
        for command, options in pages.items():
            page, pictures = self.dir / f"{command}.html", []
            self.tidemark.run(command, *options, "--rules", self.dir / "rules.yaml", "--html", page)
            for scheme in ("light", "dark"):
                picture = self.dir / f"{command}-{scheme}.png"
                subprocess.run(["chromium", *QUIET, f"--user-data-dir={self.dir / 'profile'}", *(["--force-dark-mode"] if scheme == "dark" else []),
                                f"--blink-settings=preferredColorScheme={0 if scheme == 'dark' else 1}", f"--screenshot={picture}", "--window-size=900,700",
                                page.as_uri()], stdin=subprocess.DEVNULL, capture_output=True, timeout=180, check=True)
                pictures.append(picture.read_bytes())
            self.assertNotEqual(pictures[0], pictures[1], command)

    def test_pages_ask_nobody(self):
        for page in (ROOT / "processor" / "pages").glob("*.html"):
            text = page.read_text()
            self.assertIn("default-src 'none'", text, page)
            for word in ("http:", "https:", "src=", "@import", "url("):
                self.assertNotIn(word, text.replace("http://www.w3.org/2000/svg", ""), page)

    def test_a_page_that_cannot_be_written(self):
        self.write_archive()
        done = self.tidemark.run("backtest", "--events", self.dir / "usage.ndjson", "--rules", self.dir / "rules.yaml",
                                 "--outcomes", self.dir / "outcomes.csv", "--html", self.dir / "absent" / "x.html", status=73)
        self.assertIn("x.html cannot be created", done.stderr)


if __name__ == "__main__":
    unittest.main()
