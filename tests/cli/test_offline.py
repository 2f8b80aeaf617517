"""The commands that need no server, as real processes: help, errors that point, exit statuses, and figures that others computed."""

import gzip
import json
import pathlib
import subprocess
import sys
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "support" / "model"), str(ROOT / "tests" / "support")]

import crm_oracle  # noqa: E402
import harness  # noqa: E402
import population  # noqa: E402

OK, USAGE, DATAERR, NOINPUT, UNAVAILABLE, CANTCREAT, CONFIG = 0, 64, 65, 66, 69, 73, 78
COMMANDS = ("run", "demo", "init", "check", "accounts", "replay", "backtest", "report", "tune", "eval", "explain", "test", "generate", "schema", "version")
RULES = """version: 3
metrics:
  events: {count: "*"}
  users: {distinct: user}
  unread: {count: nothing}
rules:
  - name: quiet
    kind: churn_risk
    when: events[2d] < 2
    for: 1h
    severity: high
    summary: '{{events[2d] | number}} events'
  - name: held
    kind: expansion
    when: users[1d] >= 1
    inhibited_by: [quiet]
"""
HOUR = 3_600_000
T0 = 1_704_103_200_000  # 2024-01-01T10:00:00Z


def event(n, account, at, **more):
    return json.dumps({"id": f"e{n}", "account": account, "event": "login", "at": at, **more}) + "\n"


class Offline(unittest.TestCase):
    def setUp(self):
        self.tidemark = harness.Tidemark()
        self.dir = harness.temp_dir()

    def write(self, name, text):
        path = self.dir / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    def run_(self, *args, status=OK, **more):
        return self.tidemark.run(*args, status=status, **more)


class Help(Offline):
    def test_every_command_explains_itself(self):
        said = self.run_("--help").stdout
        for name in COMMANDS:
            self.assertIn(f"\n  {name} ", said)
            own = self.run_(name, "--help").stdout
            self.assertTrue(own.startswith(f"usage: tidemark {name}"), own)
            self.assertIn("--help", own)

    def test_mistakes_are_answered_with_the_nearest_name(self):
        self.assertIn("did you mean 'replay'?", self.run_("repaly", status=USAGE).stderr)
        self.assertIn("did you mean '--events'?", self.run_("replay", "--evnts", "x", status=USAGE).stderr)
        self.assertIn("did you mean 'signal'?", self.run_("schema", "sginal", status=USAGE).stderr)

    def test_what_is_missing_is_named(self):
        rules = self.write("rules.yaml", RULES)
        for args, word in ((("replay", "--rules", rules), "--events"), (("replay", "--events", "x"), "--rules"),
                           (("eval", "--events", "x"), "expressions"), (("eval", "1"), "--events"),
                           (("eval", "--events", "x", "1"), "--account"), (("eval", "--events", "x", "--account", "a", "1"), "--at"),
                           (("explain", "--events", "x", "--rules", rules), "--account"),
                           (("replay", "--events", "x", "--rules", rules, "--until", "soon"), "soon"),
                           (("replay", "--events", "x", "--rules", rules, "extra"), "extra")):
            self.assertIn(word, self.run_(*args, status=USAGE).stderr)


class Check(Offline):
    def test_every_error_with_line_and_caret(self):
        rules = self.write("rules.yaml", "version: 1\nmetrics:\n  events: {count: '*'}\nrules:\n"
                                         "  - name: a\n    kind: churn_risk\n    when: evens[7d] < 2\n"
                                         "  - name: b\n    kind: churn_rsk\n    when: events[7d] < 2\n")
        said = self.run_("check", "--rules", rules, status=CONFIG).stderr
        self.assertIn("rules.yaml:7:11:", said)
        self.assertIn("    when: evens[7d] < 2\n          ^", said)
        self.assertIn("did you mean 'events'?", said)
        self.assertIn("rules.yaml:9:11:", said)
        found = json.loads(self.run_("check", "--rules", rules, "--json", status=CONFIG).stdout)
        self.assertFalse(found["good"])
        self.assertEqual([(e["line"], e["column"]) for e in found["errors"]], [(7, 11), (9, 11)])

    def test_both_files_at_once(self):
        config = self.write("tidemark.yaml", "kafka:\n  brokers: 127.0.0.1:1\nredis:\n  url: redis://127.0.0.1:1\nworkrs: 2\n")
        rules = self.write("rules.yaml", "version: 1\nrulez: []\n")
        said = self.run_("check", "--config", config, "--rules", rules, "--offline", status=CONFIG).stderr
        self.assertIn("tidemark.yaml:5:1:", said)
        self.assertIn("did you mean 'workers'?", said)
        self.assertIn("rules.yaml:2:1:", said)

    def test_good_files(self):
        self.write("rules.yaml", RULES)
        config = self.write("tidemark.yaml", "kafka: {brokers: '127.0.0.1:1'}\nredis: {url: 'redis://127.0.0.1:1'}\nhistory: 2024-01-01\n")
        said = self.run_("check", "--config", config, "--offline").stdout
        self.assertIn("quiet                        can answer from 2024-01-02", said)
        self.assertIn("metric 'unread' is not used by any rule", said)
        self.assertIn("no user_key is set", said)
        found = json.loads(self.run_("check", "--config", config, "--offline", "--json").stdout)
        self.assertTrue(found["good"])
        self.assertEqual([m["days"] for m in found["metrics"]], [2, 1, 0])
        self.assertEqual([r["answers_from"] for r in found["rules"]], ["2024-01-02T00:00:00.000Z", "2024-01-01T00:00:00.000Z"])

    def test_a_secret_beside_the_configuration_and_a_variable(self):
        self.write("rules.yaml", RULES)
        self.write("user.key", "0123456789abcdef0123456789abcdef")
        config = self.write("tidemark.yaml", "kafka: {brokers: '${BROKER}'}\nredis: {url: 'redis://127.0.0.1:1'}\nuser_key: !file user.key\n")
        said = self.run_("check", "--config", config, "--offline", env={"BROKER": "127.0.0.1:1"}).stdout
        self.assertNotIn("user_key", said)

    def test_missing_files(self):
        self.run_("check", "--config", self.dir / "none.yaml", status=NOINPUT)
        config = self.write("tidemark.yaml", "kafka: {brokers: '127.0.0.1:1'}\nredis: {url: 'redis://127.0.0.1:1'}\nrules: none.yaml\n")
        self.assertIn("none.yaml", self.run_("check", "--config", config, "--offline", status=NOINPUT).stderr)
        zone = self.write("zone.yaml", "kafka: {brokers: '127.0.0.1:1'}\nredis: {url: 'redis://127.0.0.1:1'}\ntimezone: Europe/Nowhere\n")
        self.write("rules.yaml", RULES)
        self.assertIn("Europe/Nowhere", self.run_("check", "--config", zone, "--offline", status=CONFIG).stderr)

    def test_errors_found_behind_the_reader_point_too(self):
        self.write("rules.yaml", RULES)
        for line, at, word, hint in (
                ("timezone: Europe/Nowhere", "5:11", "Europe/Nowhere", "IANA"),
                ("mapping: {id: a, acount: b, event: c, at: d}", "5:18", "'acount'", "'account'"),
                ("mapping: {id: a, account: a.b.c.d.e, event: c, at: d}", "5:27", "'a.b.c.d.e'", None),
                ("mapping: {id: a, account: b, event: [c, '=d']}", "5:1", "where at comes from", None)):
            config = self.write("t.yaml", f"kafka:\n  brokers: h:1\nredis:\n  url: redis://h:1\n{line}\n")
            said = self.run_("check", "--config", config, "--offline", status=CONFIG).stderr
            self.assertIn(f"t.yaml:{at}: ", said)
            self.assertIn(word, said.splitlines()[0])
            self.assertIn(f"    {line}\n", said)
            self.assertIn(hint or "", said)
        for name in ("isolation.level", "fetch.min.byts"):
            config = self.write("t.yaml", f"kafka:\n  brokers: h:1\n  properties:\n    {name}: 1\nredis:\n  url: redis://h:1\n")
            self.assertIn("t.yaml:4:5: ", self.run_("check", "--config", config, "--offline", status=CONFIG).stderr)

    def test_a_mapping_tries_a_list_in_its_order(self):
        self.write("rules.yaml", RULES)
        config = self.write("t.yaml", "kafka: {brokers: 'h:1'}\nredis: {url: 'redis://h:1'}\nhistory: complete\n"
                                      "mapping: {id: n, account: [org, tenant], event: [kind, '=click'], at: ts}\n")
        events = self.write("e.ndjson", f'{{"n": "1", "org": "a", "kind": "nothing", "ts": {T0}}}\n'
                                        f'{{"n": "2", "tenant": "a", "ts": {T0}}}\n')
        found = json.loads(self.run_("eval", "--config", config, "--events", events, "--account", "a", "--at", str(T0), "--json",
                                     "events[1d]", "unread[1d]").stdout)
        self.assertEqual(found["values"], {"events[1d]": 2, "unread[1d]": 1})

    def test_servers_that_do_not_answer(self):
        self.write("rules.yaml", RULES)
        port = harness.free_port()
        config = self.write("tidemark.yaml", f"kafka: {{brokers: '127.0.0.1:{port}'}}\nredis: {{url: 'redis://127.0.0.1:{port}'}}\n")
        done = self.run_("check", "--config", config, "--json", status=UNAVAILABLE, timeout=120)
        found = json.loads(done.stdout)
        self.assertFalse(found["good"])
        self.assertGreaterEqual([f["level"] for f in found["findings"]].count("error"), 2)


class Generate(Offline):
    def test_files_and_the_truth_beside_them(self):
        done = self.run_("generate", "--out", self.dir / "g", "--accounts", "7", "--days", "3", "--json")
        counts = json.loads(done.stdout)
        self.assertEqual(counts["events"], len((self.dir / "g" / "usage.ndjson").read_text().splitlines()))
        self.assertEqual(counts["account_records"], len((self.dir / "g" / "accounts.ndjson").read_text().splitlines()))
        self.assertEqual(len((self.dir / "g" / "truth.csv").read_text().splitlines()), 1 + 7)

    def test_where_it_cannot_write(self):
        self.run_("generate", status=USAGE)
        self.run_("generate", "--out", self.write("file", "") / "g", "--accounts", "3", "--days", "1", status=CANTCREAT)
        self.run_("generate", "--brokers", f"127.0.0.1:{harness.free_port()}", "--accounts", "3", "--days", "1", status=UNAVAILABLE)

    def test_names_of_the_schemas(self):
        names = json.loads(self.run_("schema", "--json").stdout)
        self.assertEqual(names, self.run_("schema").stdout.split())


class Approximate(Offline):
    def test_a_distinct_beyond_the_cap_says_so(self):
        rules = self.write("rules.yaml", "version: 1\nmetrics:\n  users: {distinct: user}\n  kinds: {distinct: event}\n")
        for people, marked in ((4096, False), (4097, True)):
            events = self.write("e.ndjson", "".join(event(n, "a", T0 + n, user=f"u{n}") for n in range(people)))
            words = ("eval", "--events", events, "--rules", rules, "--account", "a", "--at", str(T0 + HOUR), "--history", "complete")
            found = json.loads(self.run_(*words, "--json", "users[1d]", "kinds[1d]").stdout)
            self.assertEqual(found.get("approximate"), ["users[1d]"] if marked else None)
            self.assertEqual(found["values"]["kinds[1d]"], 1)
            if not marked:
                self.assertEqual(found["values"]["users[1d]"], people)
            self.assertEqual("(approximate)" in self.run_(*words, "users[1d]").stdout, marked)


class Replay(Offline):
    def files(self):
        lines = "".join(event(n, "acme", T0 + n * HOUR, user=f"u{n % 3}") for n in range(5))
        return ["--events", self.write("e.ndjson", lines), "--rules", self.write("rules.yaml", RULES)]

    def test_silence_raises_at_its_instant(self):
        until = T0 + 4 * 24 * HOUR
        lines = self.run_("replay", *self.files(), "--until", str(until)).stdout.splitlines()
        signals = [json.loads(line) for line in lines]
        quiet = [s for s in signals if s["data"]["rule"] == "quiet"]
        self.assertEqual([(s["time"], s["data"]["state"]) for s in quiet], [("2024-01-03T01:00:00.000Z", "raised")])
        self.assertEqual(quiet[0]["source"], "tidemark/replay")
        self.assertIsNone(quiet[0]["data"]["input"])
        self.assertEqual(quiet[0]["data"]["summary"], "0 events")
        self.assertEqual([s["time"] for s in signals], sorted(s["time"] for s in signals))

    def test_standard_streams_and_compression(self):
        args = self.files()
        plain = self.run_("replay", *args).stdout
        self.assertTrue(plain)
        text = pathlib.Path(args[1]).read_bytes()
        self.assertEqual(self.run_("replay", "--events", "-", *args[2:], input=text).stdout, plain)
        packed = self.write("e.ndjson.gz", gzip.compress(text))
        out = self.dir / "signals.ndjson.zst"
        self.run_("replay", "--events", packed, *args[2:], "--signals", out)
        self.assertEqual(subprocess.run(["zstd", "-dcq", out], check=True, stdout=subprocess.PIPE).stdout.decode(), plain)

    def test_what_cannot_be_used_is_counted_and_kept(self):
        lines = event(1, "a", T0) + "not json\n\n" + '{"id":"x","account":"a","event":"e","at":"noon"}\n' + event(2, "a", T0 + 1)
        letters = self.dir / "dead.ndjson"
        done = self.run_("replay", "--events", self.write("e.ndjson", lines), "--rules", self.write("rules.yaml", RULES),
                         "--dead-letters", letters)
        self.assertIn("invalid_json 1", done.stderr)
        self.assertIn("invalid_time 1", done.stderr)
        dead = [json.loads(line) for line in letters.read_text().splitlines()]
        self.assertEqual([(d["reason"], d["offset"]) for d in dead], [("invalid_json", 1), ("invalid_time", 2)])

    def test_the_time_of_a_refused_line_moves_the_clock(self):
        """Its `at` counts where it can be read; a text that is refused as a whole has none."""
        bad = '{"id":"x","account":"a","event":"e","user":[],"at":%d}\n' % (T0 + 4 * 24 * HOUR)
        args = ["--rules", self.write("rules.yaml", RULES)]
        moved = self.run_("replay", "--events", self.write("e.ndjson", event(1, "a", T0) + bad), *args).stdout
        self.assertIn("2024-01-03T01:00:00.000Z", moved)
        still = self.run_("replay", "--events", self.write("f.ndjson", event(1, "a", T0) + bad[:-2] + "\n"), *args).stdout
        self.assertNotIn("quiet", still)

    def test_account_records_without_a_time_come_first(self):
        rules = self.write("rules.yaml", "version: 1\nmetrics: {n: {count: '*'}}\nrules:\n  - {name: r, kind: advisory, when: seats == 3}\n")
        accounts = self.write("a.ndjson", '{"account":"a","seats":2}\n{"account":"a","seats":3}\n')
        done = self.run_("replay", "--events", self.write("e.ndjson", event(1, "b", T0)), "--accounts", accounts, "--rules", rules)
        self.assertEqual([json.loads(line)["time"] for line in done.stdout.splitlines()], ["2024-01-01T10:00:00.000Z"])

    def test_statuses(self):
        args = self.files()
        self.run_("replay", "--events", self.dir / "none", *args[2:], status=NOINPUT)
        self.run_("replay", *args[:2], "--rules", self.dir / "none", status=NOINPUT)
        self.run_("replay", *args, "--signals", self.dir / "no" / "where", status=CANTCREAT)
        self.run_("replay", *args, "--history", "yesterday", status=USAGE)
        self.run_("replay", *args, "--evaluate-every", "7m", status=USAGE)
        self.assertEqual(self.run_("replay", "--events", self.write("empty", ""), *args[2:]).stdout, "")

    def test_as_the_model(self):
        usage, facts = population.generate(11, 12, 14, dirt=True)
        events = self.write("usage.ndjson", b"\n".join(usage) + b"\n")
        accounts = self.write("accounts.ndjson", b"\n".join(facts) + b"\n")
        rules = self.write("rules.yaml", json.dumps(population.rule_pack(11, 8)))
        out = self.dir / "signals.ndjson"
        files = ["--events", str(events), "--accounts", str(accounts), "--rules", str(rules), "--timezone", "Europe/Berlin"]
        self.run_("replay", *files, "--signals", out)
        self.assertTrue(out.read_text())
        model = subprocess.run([sys.executable, ROOT / "tests/support/model/model.py", *files, "--compare", out],
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        self.assertEqual(model.returncode, 0, model.stdout)


class Eval(Offline):
    def test_table_and_json(self):
        events = self.write("e.ndjson", "".join(event(n, "acme", T0 + n * HOUR, user=f"u{n % 3}") for n in range(5)))
        rules = self.write("rules.yaml", RULES)
        args = ["eval", "--events", events, "--rules", rules, "--account", "acme", "--at", "2024-01-01T14:30:00Z"]
        asked = ["events[1d]", "users[1d]", "age(events)", "plan", "events[2d]", "events[1d] > 3"]
        done = self.run_(*args, "--json", *asked)
        self.assertEqual(json.loads(done.stdout), {
            "account": "acme", "at": "2024-01-01T14:30:00.000Z",
            "values": dict(zip(asked, [5, 3, 0, None, None, True]))})
        people = self.run_(*args, *asked).stdout
        self.assertIn("acme at 2024-01-01T14:30:00.000Z\n", people)
        self.assertIn("  age(events)     0s\n", people)
        said = self.run_(*args, "events[1d", status=CONFIG).stderr
        self.assertIn("expression 1:1:10", said)

    def test_points_in_their_order(self):
        events = self.write("e.ndjson", "".join(event(n, "acme", T0 + n * HOUR) for n in range(5)))
        rules = self.write("rules.yaml", RULES)
        points = 'x,at,"account"\n1,2024-01-01T14:00:00Z,acme\n2,2024-01-01T10:00:00Z,"acme"\n3,1704106799999,acme\n4,2024-01-01T12:00:00Z,no one\n'
        done = self.run_("eval", "--events", events, "--rules", rules, "--points", "-", "--json", "events[1d]", input=points)
        self.assertEqual([json.loads(line)["values"]["events[1d]"] for line in done.stdout.splitlines()], [5, 1, 1, 0])
        wrong = self.write("p.csv", "account,when\nacme,1\n")
        self.assertIn("p.csv:1", self.run_("eval", "--events", events, "--rules", rules, "--points", wrong, "1", status=DATAERR).stderr)

    def test_a_database_counted_the_same(self):
        said = []
        compared, differ = crm_oracle.compare(ROOT / "tests" / "data" / "crm_sample", self.tidemark, said.append)
        self.assertEqual(differ, 0, "\n".join(said))
        self.assertEqual(compared, 2590)


class Explain(Offline):
    def test_state_conditions_and_what_is_waited_for(self):
        events = self.write("e.ndjson", event(1, "acme", T0) + event(2, "other", T0 + 70 * HOUR))
        accounts = self.write("a.ndjson", '{"account":"acme","at":%d,"plan":"team","owners":{"csm":"mina"}}\n' % T0)
        args = ["explain", "--events", events, "--accounts", accounts, "--rules", self.write("rules.yaml", RULES), "--account", "acme"]
        found = json.loads(self.run_(*args, "--json").stdout)
        self.assertEqual(found["facts"]["owners.csm"], "mina")
        quiet, held = found["rules"]
        self.assertEqual((quiet["state"], quiet["raised_at"]), ("raised", "2024-01-02T01:00:00.000Z"))
        self.assertEqual([(p["depth"], p["text"], p["value"]) for p in quiet["when"]],
                         [(0, "events[2d] < 2", True), (1, "events[2d]", 0)])
        self.assertEqual((held["state"], held["answers_from"]), ("inactive", "2024-01-01T00:00:00.000Z"))
        early = json.loads(self.run_(*args, "--json", "--at", str(T0 + HOUR), "--rule", "quiet").stdout)["rules"]
        self.assertEqual([r["waiting"] for r in early], ["cannot answer before 2024-01-02"])
        people = self.run_(*args).stdout
        self.assertIn("quiet (churn_risk): raised since 2024-01-02T01:00:00.000Z, severity high", people)
        self.assertIn("did you mean 'quiet'?", self.run_(*args, "--rule", "quite", status=USAGE).stderr)
        unknown = self.run_("explain", "--events", events, "--rules", self.dir / "rules.yaml", "--account", "nobody").stdout
        self.assertIn("never seen", unknown)


class Others(Offline):
    def test_schema(self):
        names = self.run_("schema").stdout.split()
        self.assertEqual(names, sorted(p.name.removesuffix(".schema.json") for p in (ROOT / "schemas").glob("*.schema.json")))
        for name in names:
            self.assertEqual(self.run_("schema", name).stdout, (ROOT / "schemas" / f"{name}.schema.json").read_text(encoding="utf-8"))

    def test_version(self):
        found = json.loads(self.run_("version", "--json").stdout)
        self.assertEqual(set(found), {"tidemark", "event_reader", "simdjson", "jansson", "librdkafka", "redis_client", "libfyaml",
                                       "libmicrohttpd", "compiler"})
        self.assertIn(found["event_reader"], ("simdjson", "jansson"))


if __name__ == "__main__":
    unittest.main()
