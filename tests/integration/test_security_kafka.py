"""TLS, SASL and rights at a real broker that asks for them: the service runs with exactly the rights that
`check --permissions` prints, and one that is missing is named."""

import base64
import contextlib
import json
import pathlib
import re
import signal
import sys
import unittest
import urllib.error
import urllib.request

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import jobs  # noqa: E402
import secured  # noqa: E402

T0 = 1_772_323_200_000  # 2026-03-01T00:00:00Z
HOUR = 3_600_000
RULES = """
version: 1
metrics:
  events: {count: "*", keep: 7d}
rules:
  - {name: busy, kind: churn_risk, when: 'events[1d] >= 3', clear: 'events[1d] < 3'}
"""


class Guarded(jobs.TestCase):
    RULES = RULES

    def setUp(self):
        super().setUp()
        self.guarded, self._kafka, self.acls = secured.shared_broker()
        self.numbers = iter(range(1, 1000))

    @property
    def broker(self):
        return self.guarded

    @property
    def kafka(self):
        return self._kafka

    def configure(self, topics, brokers=None, name="tidemark.yaml", **properties):
        """A configuration for the SASL listener, its secrets in files; `properties` with _ for the dots, None: without."""
        (self.dir / "sasl.password").write_text(secured.PASSWORD + "\n")
        (self.dir / "sasl.password").chmod(0o600)
        all_of_them = {"security.protocol": "SASL_SSL", "sasl.mechanism": "PLAIN", "sasl.username": "tidemark",
                       "sasl.password": harness.Verbatim("!file sasl.password"),
                       "ssl.ca.location": str(self.guarded.certificates / "ca.pem"),
                       **{key.replace("_", "."): value for key, value in properties.items()}}
        return self.write_config(topics, rules=self.RULES, name=name, kafka={
            "brokers": brokers or self.guarded.sasl,
            "properties": {key: value for key, value in all_of_them.items() if value is not None}})

    def names(self):
        return {role: f"{self.prefix}-{role.replace('_', '-')}" for role in harness.TOPICS}

    def permissions(self, config):
        return [secured.commands_of(self.tidemark.run("check", "--permissions", "--config", config).stdout),
                json.loads(self.tidemark.run("check", "--permissions", "--json", "--config", config).stdout)["kafka"]]

    def produce_busy(self, topics, account):
        """What makes `busy` true for the account, and a record that is none."""
        day = next(self.numbers) * 24 * HOUR
        rows = [{"key": account, "timestamp": T0 + day + i * 1000, "value": json.dumps(
            {"id": f"{account}-{i}", "account": account, "event": "seen", "at": T0 + day + i * 1000})} for i in range(4)]
        self.kafka.produce(topics["usage"], [*rows, {"key": account, "timestamp": T0 + day + HOUR, "value": "junk"}])

    def raised(self, topics):
        return [r.json()["subject"] for r in self.kafka.read(topics["churn_risk"]) if r.json()["data"]["state"] == "raised"]


class Rights(Guarded):
    def test_exactly_those_that_are_listed(self):
        topics = self.names()
        config = self.configure(topics)
        (for_run, for_init), rights = self.permissions(config)
        refused = self.tidemark.run("check", "--config", config, status=78)
        self.assertIn("--permissions", refused.stdout)
        for line in for_run + for_init:
            self.acls.run(line)
        self.assertEqual(len(rights), sum(line.count("--operation ") for line in for_run + for_init))
        self.tidemark.run("init", "--topics", "--partitions", "2", self.dir)
        for name in topics.values():
            if name != topics["journal"]:  # the signals' times are of long ago
                self.kafka.configure_topic(name, **{"retention.ms": "-1"})
        self.assertLessEqual(set(topics.values()) - {topics["journal"]}, set(self.kafka.topics()))
        for right in (r for r in rights if r["for"] == "init"):
            self.acls.change(right, back=False)

        # With what is left: all of it, the making of the journal and a rebuild from it included.
        self.assertNotIn("could not be looked at", self.tidemark.run("check", "--config", config).stdout)
        self.produce_busy(topics, "acme")
        first = self.tidemark.run("run", "--once", "--config", config)
        self.assertEqual(self.raised(topics), ["acme"], first)
        self.assertEqual(len(self.kafka.read(topics["dead_letters"])), 1)
        self.tidemark.run("run", "--dry-run", "--config", config)
        self.tidemark.run("explain", "--account", "acme", "--config", config)
        self.redis.command("FLUSHALL")
        self.produce_busy(topics, "beta")
        done = self.tidemark.run("run", "--once", "--config", config)
        self.assertRegex(done.stderr, "event=rebuilt")
        self.assertEqual(sorted(self.raised(topics)), ["acme", "beta"])

        # And with each of them missing: what is missing at the start is named there, the rest where it is needed.
        for right in (r for r in rights if r["for"] == "run" and r["resource"] == "topic"):
            name, operation = right["name"], right["operation"]
            if name == topics["journal"] and operation != "DescribeConfigs":
                continue  # below
            if operation == "DescribeConfigs" and name not in (topics["usage"], topics["health"]):
                continue  # asked for all topics in one request
            with self.subTest(name=name, operation=operation):
                with self.missing(right):
                    done = self.tidemark.run("run", "--once", "--config", config, status=None)
                if operation == "DescribeConfigs":
                    self.assertEqual(done.status, 0, done)
                    self.assertRegex(done.stderr, rf"level=warning event=check .*could not be looked at.*{name}.*DescribeConfigs")
                else:
                    self.assertEqual(done.status, 78, done)
                    self.assertRegex(done.stderr, rf"'{name}': .*authorization failed\n.*{operation}")
        of = {(r["resource"], r["name"], r["operation"]): r for r in rights if r["for"] == "run"}
        self._waits_for(config, of["group", self.prefix, "Read"], "Group authorization failed", "READ on the group")
        self._waits_for(config, of["transactional-id", f"{self.prefix}-", "Write"], "Transactional Id authorization failed",
                        "Write on the transactional id")
        self.redis.command("FLUSHALL")
        self._waits_for(config, of["topic", topics["journal"], "Read"], "uthorization failed", topics["journal"])
        for role in ("journal", "churn_risk"):
            write = of["topic", topics[role], "Write"]
            seen = {**write, "operation": "Describe"}
            self.acls.change(seen, back=True)
            self.produce_busy(topics, f"beyond-{role}")
            self._waits_for(config, write, "Write on the output topic",
                            librdkafka=rf'Failed to add partition \\"{topics[role]}\\".*Topic authorization failed')
            self.acls.change(seen, back=False)
        self.assertEqual(sorted(self.raised(topics)), ["acme", "beta", "beyond-churn_risk", "beyond-journal"])

        with self.missing(of["topic", topics["journal"], "Create"]):
            other = {**topics, "journal": f"{topics['journal']}-other"}
            done = self.tidemark.run("run", "--once", "--config", self.configure(other, name="other.yaml"), status=78)
        self.assertRegex(done.stderr, other["journal"] + "(.|\n)*[Aa]uthorization failed")

    @contextlib.contextmanager
    def missing(self, right):
        self.acls.change(right, back=False)
        try:
            yield
        finally:
            self.acls.change(right, back=True)

    def _waits_for(self, config, right, *words, librdkafka=None):
        """Without the right the service waits and says for what; once it has it, it goes on by itself to the end."""
        with self.subTest(**right):
            with self.missing(right):
                run = self.start_tidemark("run", "--once", "--config", config)
                run.wait_for_line(r"level=(warning|error) event=(waiting|claim_waiting|shard_halted) " +
                                  "".join(f"(?=.*{re.escape(word)})" for word in words))
                if librdkafka:
                    run.wait_for_line(librdkafka)
            self.assertEqual(run.wait(), 0, run.stderr)


class Certificates(Guarded):
    def test_a_client_certificate_is_enough(self):
        topics = self.create_topics(partitions=1)
        for name, text in (("passphrase", secured.PASSPHRASE),):
            (self.dir / name).write_text(text + "\n")
            (self.dir / name).chmod(0o600)
        certificates = self.guarded.certificates
        config = self.configure(
            topics, brokers=self.guarded.tls, security_protocol="SSL", sasl_mechanism=None, sasl_username=None,
            sasl_password=None, ssl_certificate_location=str(certificates / "client.pem"),
            ssl_key_location=str(certificates / "client.key"), ssl_key_password=harness.Verbatim("!file passphrase"))
        for line in self.permissions(config)[0][0]:
            self.acls.run(line.replace("User:tidemark", "User:client"))
        self.produce_busy(topics, "acme")
        self.tidemark.run("run", "--once", "--config", config)
        self.assertEqual(self.raised(topics), ["acme"])

    def test_who_is_not_who_they_should_be(self):
        topics = self.names()
        certificates = self.guarded.certificates
        port = self.guarded.sasl.rpartition(":")[2]
        cases = {
            "a stranger's CA": ({"ssl_ca_location": str(certificates / "stranger.pem")}, "certificate verify failed"),
            "another host": ({"brokers": f"localhost:{port}"}, "certificate verify failed"),
            "a wrong password": ({"sasl_password": "canary-that-is-wrong"}, "Authentication failed"),
        }
        configs = {name: self.configure(topics, name=f"{number}.yaml", **settings)
                   for number, (name, (settings, _)) in enumerate(cases.items())}
        running = {name: self.start_tidemark("check", "--config", config) for name, config in configs.items()}
        for name, child in running.items():
            with self.subTest(name):
                self.assertEqual(child.wait(), 69, child.stdout + child.stderr)
                said = child.stdout + child.stderr
                self.assertIn(cases[name][1], said)
                self.assertNotIn("canary", said)

    def test_scram_says_which_library_can(self):
        topics = self.names()
        self.acls.add_user("tidemark", secured.PASSWORD)
        config = self.configure(topics, sasl_mechanism="SCRAM-SHA-512")
        done = self.tidemark.run("check", "--config", config, status=None)
        version = re.search(r"^librdkafka +([0-9.]+)", self.tidemark.run("version").stdout, re.M)[1]
        if tuple(map(int, version.split("."))) < (2, 6, 1):
            self.assertEqual(done.status, 69, done)
            self.assertIn("2.6.1 or later", done.stdout)
        else:
            self.assertEqual(done.status, 78, done)  # let in, and nothing allowed
            self.assertIn("--permissions", done.stdout)


class Canaries(Guarded):
    """Unique strings as user ids and as every secret, a run at its most talkative, mistakes of all kinds: none of them
    turns up in anything that leaves the process. Dead letters hold the original bytes by design; what else stands in
    them is looked at too."""

    USERS = ("canary-user-plain", "canary-user-champion", "canary-user-unusable", "canary-user-late", "canary-user-future",
             "canary-user-stranger", "canary-user-in-junk", "canary-user-\u00fc")
    SECRETS = {"redis.password": "canary-of-the-redis-user", "sasl.password": secured.PASSWORD,
               "user.key": "canary-of-the-key-of-users", "http.token": "canary-of-the-http-token",
               "wrong": "canary-that-opens-nothing"}

    def setUp(self):
        super().setUp()
        self.said = {}  # where -> text or bytes

    def forms(self, canary):
        """As it is, in hexadecimal, and in base64 wherever it may begin in a longer text."""
        raw = canary.encode()
        yield raw
        yield raw.hex().encode()
        for shift in range(3):
            yield base64.b64encode(b"\0" * shift + raw)[(shift * 8 + 5) // 6:len(raw) * 4 // 3 - 2]

    def assert_silent(self):
        for where, text in self.said.items():
            data = text if isinstance(text, bytes) else text.encode()
            for canary in (*self.USERS, *self.SECRETS.values()):
                for form in self.forms(canary):
                    at = data.find(form)
                    self.assertEqual(at, -1, f"{where} holds {canary}: …{data[max(0, at - 200):at + 100]!r}")

    def finish(self, name, child, status):
        self.assertEqual(child.wait(), status, child.stdout + child.stderr)
        self.said[name] = child.stdout + child.stderr
        return self.said[name]

    def try_all(self, cases):
        """cases: {name: (arguments, status, words)}, all at once."""
        running = {name: self.start_tidemark(*arguments) for name, (arguments, _, _) in cases.items()}
        for name, child in running.items():
            _, status, words = cases[name]
            self.assertIn(words, self.finish(name, child, status), name)

    def http(self, address, path, token=None):
        request = urllib.request.Request(f"http://{address}{path}", headers={"Authorization": f"Bearer {token}"} if token else {})
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                return answer.status, answer.read() + str(answer.headers).encode()
        except urllib.error.HTTPError as error:
            return error.code, error.read() + str(error.headers).encode()

    def events(self):
        plain, champion, unusable, late, future, stranger, junk, umlaut = self.USERS
        at = T0 + 30 * 24 * HOUR
        def event(number, user, **more):
            return {"id": f"e{number}", "account": "acme", "event": "seen", "at": at + number * 1000, "user": user, **more}

        rows = [event(1, plain), event(1, plain), event(2, umlaut), event(3, champion), event(4, plain),
                event(5, late, at=at - 20 * 24 * HOUR), event(6, future, at=at + 99 * 24 * HOUR),
                event(7, {"id": unusable}), event(8, unusable * 20), event(9, unusable, at=unusable),
                event(10, unusable, value=unusable), event(11, unusable, account=7), event(12, unusable, id=None),
                event(13, unusable, properties={"deep": {"er": unusable}}), event(14, stranger, account="other")]
        values = [json.dumps(row) for row in rows] + [f'{{"user": "{junk}", "id": ', f"{junk}", f'["{junk}"]']
        return [{"key": "acme", "timestamp": at + n * 1000, "value": value} for n, value in enumerate(values)]

    def accounts(self):
        at = T0 + 30 * 24 * HOUR - 1
        rows = [{"account": "acme", "champions": [self.USERS[1]], "seats": 4},
                {"account": "acme", "champions": {"who": self.USERS[2]}},
                {"account": "acme", "champions": [self.USERS[2]] * 2, "seats": self.USERS[2]},
                {"account": "other", "champions": [self.USERS[5]]}]
        return [{"key": "acme", "timestamp": at, "value": json.dumps(row)} for row in rows]

    RULES = """
version: 1
metrics:
  users: {distinct: user, keep: 7d}
  by_champions: {count: "*", where: user in champions}
rules:
  - {name: busy, kind: churn_risk, when: 'users[1d] >= 2 and by_champions[1d] >= 1', clear: 'users[1d] < 2',
     summary: '{{users[1d] | number}} people'}
"""

    def test_nothing_leaves_that_should_stay(self):
        topics = self.create_topics(partitions=1)
        for name, secret in self.SECRETS.items():
            (self.dir / name).write_text(secret + "\n")
            (self.dir / name).chmod(0o600)
        self.redis.command("ACL", "SETUSER", "canary", "on", ">" + self.SECRETS["redis.password"], *harness.store_permissions())
        address = f"127.0.0.1:{harness.free_port()}"

        def secret(name):
            return harness.Verbatim(f"!file {name}")

        def config(name, url=None, password="redis.password", sasl="sasl.password", **more):
            path = self.configure(topics, name=name, debug="security,broker,protocol,cgrp,eos,consumer", sasl_password=secret(sasl))
            text = path.read_text().replace('user_key: !file user.key', 'user_key: !file user.key\nlog: {level: debug}')
            path.write_text(text)
            for key, value in more.items():
                path.write_text(path.read_text() + f"{key}: {value}\n")
            settings = harness.yaml({"redis": {"url": url or f"redis://127.0.0.1:{self.redis.port}/0", "username": "canary",
                                               "password": secret(password)}})
            path.write_text(re.sub(r"^redis:\n(  .*\n)+", lambda _: settings, path.read_text(), flags=re.M))
            for file, value in self.SECRETS.items():
                (self.dir / file).write_text(value + "\n")  # write_config puts a user.key of its own there
            return path

        good = config("good.yaml", http=f"{{listen: '{address}', token: !file http.token}}")
        for line in self.permissions(good)[0][0]:
            self.acls.run(line)
        self.said["permissions"] = self.tidemark.run("check", "--permissions", "--config", good).stdout
        self.said["check"] = self.tidemark.run("check", "--json", "--config", good).stdout

        # Mistakes.
        wrong = self.SECRETS["wrong"]
        broken = config("broken.yaml", url=f"redis://canary:{wrong}@127.0.0.1:{wrong}/0")
        halves = config("halves.yaml", url=f"redis://canary:%zz{wrong}@127.0.0.1:1/0")
        slip = config("slip.yaml")
        slip.write_text(slip.read_text().replace('"sasl.password": !file sasl.password', f'"sasl.pasword": "{wrong}"'))
        stray = config("stray.yaml")
        stray.write_text(stray.read_text().replace("redis:\n", f"redis:\n  passwort: {wrong}\n"))
        short = config("short.yaml")
        short.write_text(short.read_text().replace("!file user.key", wrong[:9]))
        self.SECRETS["short"] = wrong[:9]
        self.try_all({
            "a broken URL": (("run", "--config", broken), 78, "Redis URL"),
            "a malformed password": (("run", "--config", halves), 78, "malformed %xx"),
            "a slip in a property": (("run", "--config", slip), 78, "sasl.pasword"),
            "a key that is none": (("check", "--json", "--config", stray), 78, "passwort"),
            "a key too short": (("run", "--config", short), 78, "fewer than 16 bytes"),
            "a wrong Redis password": (("run", "--config", config("redis.yaml", password="wrong")), 78, "WRONGPASS"),
            "a wrong SASL password": (("run", "--config", config("sasl.yaml", sasl="wrong")), 69, "Authentication failed"),
            "no Redis": (("run", "--config", config("none.yaml", url=f"redis://127.0.0.1:{harness.free_port()}/0")), 69, "refused"),
        })

        # A run, with Redis refusing in the middle, rules that are wrong, and questions of strangers.
        self.kafka.produce(topics["accounts"], self.accounts())
        self.kafka.produce(topics["usage"], self.events())
        (self.dir / "http.token").chmod(0o644)
        run = self.start_tidemark("run", "--config", good)
        run.wait_for_line(r"level=warning event=check .*everybody on this machine may read .*http\.token")
        run.wait_for_line("event=shard_claimed")
        harness.wait_until("dead letters", lambda: len(self.kafka.read(topics["dead_letters"])) >= 12, interval=0.3)
        harness.wait_until("the signal", lambda: self.raised(topics) == ["acme"], interval=0.3)
        # Letters lie in the outbox until they are known to be published.
        self.said["what Redis keeps"] = re.sub(r'"value_base64":"[^"]*"', "", repr(self.redis.everything()))
        for path in ("/metrics", "/readyz", "/livez", "/nowhere"):
            for token in (None, wrong, self.SECRETS["http.token"]):
                status, body = self.http(address, path, token)
                self.said[f"{path} with {'a' if token else 'no'} token: {status}"] = body
        self.assertIn(b"tidemark_records", self.http(address, "/metrics", self.SECRETS["http.token"])[1])
        for name in ("cmdline", "environ"):
            with contextlib.suppress(PermissionError):  # which is better still
                self.said[name] = pathlib.Path(f"/proc/{run.pid}/{name}").read_bytes()
        (self.dir / "rules.yaml").write_text(self.RULES + f"# {self.USERS[0]}\n  - {{nam: x}}\n")
        run.signal(signal.SIGHUP)
        run.wait_for_line("event=reload_refused")
        (self.dir / "rules.yaml").write_text(self.RULES)
        self.redis.command("CONFIG", "SET", "maxmemory", "1")
        self.kafka.produce(topics["usage"], self.events())
        run.wait_for_line("level=warning event=waiting .*what=store")
        self.redis.command("CONFIG", "SET", "maxmemory", "0")
        run.wait_for_line("event=going_on")
        run.signal(signal.SIGTERM)
        self.finish("the run", run, 0)
        self.assertIn("level=debug event=librdkafka", self.said["the run"])

        for role, topic in topics.items():
            for record in self.kafka.read(topic):
                value = record.json() if role in ("dead_letters",) else record.value
                if role == "dead_letters":
                    value.pop("value_base64")
                if role not in ("usage", "accounts"):
                    self.said[f"{topic} {record.partition}:{record.offset}"] = f"{record.key} {value} {record.headers}"
        explained = self.tidemark.run("explain", "--account", "acme", "--json", "--config", good).stdout
        self.said["explain"] = explained
        self.assertRegex(explained, r'users\[1d\]')
        self.assert_silent()
        # And the search is able to find: what is in the input, and in a letter, by design.
        self.said = {"letters": "".join(r.value for r in self.kafka.read(topics["dead_letters"]))}
        with self.assertRaises(AssertionError):
            self.assert_silent()


if __name__ == "__main__":
    unittest.main()
