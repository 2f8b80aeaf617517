"""TLS, SASL and rights at a real broker that asks for them: the service runs with exactly the rights that
`check --permissions` prints, and one that is missing is named."""

import contextlib
import json
import pathlib
import re
import sys
import unittest

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
        return self.write_config(topics, rules=RULES, name=name, kafka={
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
                    done = self.tidemark.run("run", "--once", "--config", config, status=None, timeout=30)
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
                line = run.wait_for_line(r"level=(warning|error) event=(waiting|claim_waiting|shard_halted) .*")[0]
                if librdkafka:
                    run.wait_for_line(librdkafka)
                for word in words:
                    self.assertIn(word, line, run.stderr)
            self.assertEqual(run.wait(60), 0, run.stderr)


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
                self.assertEqual(child.wait(60), 69, child.stdout + child.stderr)
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


if __name__ == "__main__":
    unittest.main()
