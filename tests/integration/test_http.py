"""What the service tells of itself over HTTP: probes that name what it waits for, and metrics that a foreign parser reads."""

import http.client
import json
import os
import pathlib
import re
import socket
import subprocess
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402
import jobs  # noqa: E402

RULES = """
version: 3
metrics:
  events: {count: "*"}
rules:
  - {name: busy, kind: expansion, when: 'events[1d] >= 3', clear: 'events[1d] < 1'}
"""
TOKEN = "canary-of-the-http-token-0123456789"

# Prometheus' own client library reads the text; it is installed for one of these.
PARSER = """
import json, sys
from prometheus_client.parser import text_string_to_metric_families
print(json.dumps([[f.name, f.type, f.documentation, [[s.name, s.labels, s.value] for s in f.samples]]
                  for f in text_string_to_metric_families(sys.stdin.read())]))
"""


def parsed(text):
    for python in (sys.executable, "/usr/bin/python3"):
        done = subprocess.run([python, "-c", PARSER], input=text, capture_output=True, text=True, timeout=300, check=False)
        if "No module named 'prometheus_client'" not in done.stderr:
            break
    if done.returncode != 0:
        raise AssertionError(f"{done.stderr}\n{text}")
    return json.loads(done.stdout)


class Metrics:
    def __init__(self, text):
        self.families = parsed(text)
        self.samples = [tuple([name, labels, value]) for f in self.families for name, labels, value in f[3]]

    def sum(self, name, **labels):
        found = [value for n, l, value in self.samples if n == name and all(l.get(k) == v for k, v in labels.items())]
        if not found:
            raise AssertionError(f"no sample {name} {labels}")
        return sum(found)


class Http(jobs.TestCase):
    def begin(self, partitions=2, **settings):
        topics = self.create_topics(partitions=partitions)
        settings.setdefault("http", {"listen": "127.0.0.1:0"})
        self.config = self.write_config(topics, rules=RULES, history="complete", evaluate_every="1s", grace="500ms",
                                        commit_interval="200ms", **settings)
        return topics

    def serve(self):
        run = self.start_tidemark("run", "--config", self.config)
        self.port = int(run.wait_for_line(r"event=listening .*port=(\d+)").group(1))
        return run

    def get(self, path, headers=None, method="GET"):
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        try:
            link.request(method, path, headers=headers or {})
            answer = link.getresponse()
            return answer.status, answer.read().decode(), {k.lower(): v for k, v in answer.getheaders()}
        finally:
            link.close()

    def status(self, path, **more):
        return self.get(path, **more)[0]

    def wait_ready(self, timeout=harness.PATIENCE):
        harness.wait_until("readiness", lambda: self.status("/readyz") == 200, timeout=timeout, interval=0.1)

    def waits(self):
        return {wait["for"]: wait for worker in json.loads(self.get("/readyz")[1])["workers"] for wait in worker["waiting"]}

    def event(self, number, account="acme", at=None):
        at = at or int(time.time() * 1000)
        return {"key": account, "timestamp": at,
                "value": json.dumps({"id": str(number), "account": account, "event": "seen", "at": at, "user": "canary-user"})}

    def scrape(self):
        status, text, headers = self.get("/metrics")
        self.assertEqual((status, headers["content-type"]), (200, "text/plain; version=0.0.4; charset=utf-8"))
        return Metrics(text)

    def test_what_is_told_is_what_was_done(self):
        topics = self.begin(workers=3)  # one more than there are partitions
        run = self.serve()
        self.assertIn(self.status("/readyz"), (200, 503))
        self.assertEqual(self.status("/livez"), 200)
        self.wait_ready()
        sent = [self.event(i, account=f"a{i % 5}") for i in range(40)] + [self.event(7, account="a2")]
        self.kafka.produce(topics["usage"], sent + [{"key": "a1", "value": "no event"}])
        harness.wait_until("42 records", lambda: self.scrape().sum("tidemark_records_total") == 42)
        harness.wait_until("the signals", lambda: self.scrape().sum("tidemark_signals_total", state="raised") == 5)

        def settled():
            """A sample between two commits, with nothing waited for: on a busy machine the end of a transaction may take
            long enough to be doubted for a moment."""
            m = self.scrape()
            return m if (m.sum("tidemark_waiting") == 0 and m.sum("tidemark_ready") == 1 and
                         m.sum("tidemark_commits_total") == m.sum("tidemark_commit_seconds_count")) else None
        m = harness.wait_until("nothing to be waited for", settled)
        self.assertEqual(m.sum("tidemark_applied_total"), 40)
        self.assertEqual(m.sum("tidemark_duplicates_total"), 1)
        self.assertEqual(m.sum("tidemark_dead_letters_total"), 1)
        self.assertEqual(m.sum("tidemark_signals_total", kind="expansion"), 5)
        self.assertEqual(m.sum("tidemark_signals_total", kind="churn_risk"), 0)
        self.assertEqual(m.sum("tidemark_open_episodes", kind="expansion"), 5)
        self.assertEqual(m.sum("tidemark_accounts"), 5)
        self.assertEqual(m.sum("tidemark_shards"), 2)
        self.assertEqual(m.sum("tidemark_halted_shards"), 0)
        self.assertEqual(m.sum("tidemark_rules_version"), 3)
        self.assertEqual(m.sum("tidemark_configuration_info", group=self.prefix, instance="one", timezone="UTC"), 1)
        self.assertEqual(m.sum("tidemark_commit_seconds_bucket", le="+Inf"), m.sum("tidemark_commit_seconds_count"))
        self.assertGreater(m.sum("tidemark_publish_seconds_count"), 0)
        self.assertLess(m.sum("tidemark_lag_seconds", worker="0") if m.sum("tidemark_shards", worker="0") else 0, 60)
        self.assertLess(abs(m.sum("process_start_time_seconds") - time.time()), 120)
        self.assertGreater(m.sum("process_resident_memory_bytes"), 1 << 20)
        self.assertGreater(m.sum("process_open_fds"), 5)
        self.assertGreater(m.sum("process_cpu_seconds_total"), 0)
        # Each family once, with its help, and all that the document lists but what has no sample now.
        names = [f[0] for f in m.families]
        self.assertEqual(len(names), len(set(names)))
        self.assertFalse([f for f in m.families if not f[2] or f[1] == "unknown"])
        page = (harness.ROOT / "docs" / "operations.md").read_text()
        listed = set(re.findall(r"^\| `((?:tidemark|process)_[a-z_]+)` \|", page, re.M))
        text = self.get("/metrics")[1]
        self.assertEqual(set(re.findall(r"^# TYPE (\S+)", text, re.M)), listed)
        self.assertNotIn("canary", text)
        self.assertNotIn("acme", text)
        # A run with an end has its place beside it, under the same file.
        once = self.tidemark.run("run", "--config", self.config, "--dry-run")
        self.assertNotIn("listening", once.stderr)
        self.assertEqual(run.terminate(), 0, run.stderr)
        self.assertNotRegex(run.stderr, "event=waiting .*what=group", "the worker without a shard has nothing to wait for")
        # A worker for whom there is no partition does not keep a run with an end from ending.
        self.tidemark.run("run", "--config", self.config, "--once")

    def test_redis_does_not_answer(self):
        topics = self.begin()
        run = self.serve()
        self.wait_ready()
        self.redis.freeze()
        self.addCleanup(self.redis.thaw)
        self.kafka.produce(topics["usage"], [self.event(i) for i in range(5)])
        wait = harness.wait_until("the store is named", lambda: self.status("/readyz") == 503 and self.waits().get("store"))
        self.assertIn("Redis at", wait["detail"])
        self.assertEqual(self.status("/livez"), 200)
        m = self.scrape()
        self.assertGreaterEqual(m.sum("tidemark_waiting", **{"for": "store"}), 1)
        self.assertEqual(m.sum("tidemark_ready"), 0)
        self.redis.thaw()
        self.wait_ready()
        harness.wait_until("the signal", lambda: self.signals(topics), interval=0.2)
        self.assertEqual(run.terminate(), 0, run.stderr)
        self.assertRegex(run.stderr, r"level=warning event=waiting .*what=store seconds=0 error=.*Redis at")
        self.assertRegex(run.stderr, r"level=info event=going_on .*what=store seconds=\d+")
        self.assertEqual(len(re.findall(r"event=waiting .*what=store", run.stderr)), 1, run.stderr)
        self.assert_valid(topics)

    def test_no_broker_answers(self):
        topics = self.begin()
        run = self.serve()
        self.wait_ready()
        self.kafka.produce(topics["usage"], [self.event(0)])
        self.broker.kill()
        try:
            harness.wait_until("Kafka is named", lambda: self.status("/readyz") == 503 and
                               {"input", "publisher"} & set(self.waits()))
            self.assertEqual(self.status("/livez"), 200)
        finally:
            self.broker.start()
        self.wait_ready()
        self.kafka.produce(topics["usage"], [self.event(i) for i in range(1, 5)])
        harness.wait_until("the signal", lambda: self.signals(topics), interval=0.2)
        self.assertEqual(run.terminate(), 0, run.stderr)
        self.assertRegex(run.stderr, r"event=going_on .*what=(input|publisher) seconds=\d+")

    def test_a_halted_shard_is_named(self):
        topics = self.begin()
        run = self.serve()
        self.wait_ready()
        self.kafka.produce(topics["usage"], [self.event(i, account=f"a{i}") for i in range(20)])
        harness.wait_until("all of it", lambda: self.scrape().sum("tidemark_records_total") == 20)
        self.assertEqual(run.terminate(), 0, run.stderr)
        metas = sorted(key for key in self.redis.command("KEYS", "*:meta"))
        self.assertEqual(len(metas), 2)
        self.redis.command("HSET", metas[0], "meta", "nonsense")
        run = self.serve()
        told = harness.wait_until("one halted", lambda: json.loads(self.get("/readyz")[1]).get("halted"))
        self.assertEqual([(h["partition"], h["code"]) for h in told], [(0, "state_damaged")])
        self.assertIn("shard 0", told[0]["reason"])
        self.wait_ready()  # the other shard goes on
        self.assertEqual(self.scrape().sum("tidemark_halted", code="state_damaged", partition="0"), 1)
        run.terminate()
        self.redis.command("HSET", metas[1], "meta", "nonsense")
        run = self.serve()
        harness.wait_until("both halted", lambda: len(json.loads(self.get("/readyz")[1]).get("halted", [])) == 2)
        self.assertEqual(self.status("/readyz"), 503)
        self.assertEqual(self.status("/livez"), 200)
        run.terminate()

    def test_the_token(self):
        (self.dir / "http.token").write_text(TOKEN + "\n")
        (self.dir / "http.token").chmod(0o600)
        self.begin(http={"listen": "127.0.0.1:0", "token": harness.Verbatim("!file http.token")})
        run = self.serve()
        mine = {"Authorization": f"Bearer {TOKEN}"}
        self.assertEqual(self.get("/livez")[:2], (200, "ok\n"))
        harness.wait_until("readiness", lambda: self.status("/readyz") == 200)
        self.assertEqual(json.loads(self.get("/readyz")[1]), {"ready": True})
        status, _, headers = self.get("/metrics")
        self.assertEqual(status, 401)
        self.assertTrue(headers["www-authenticate"].startswith("Bearer "))
        for wrong in (TOKEN[:-1], TOKEN + "x", "", "Basic"):
            for path in ("/metrics", "/readyz", "/livez"):
                self.assertEqual(self.status(path, headers={"Authorization": f"Bearer {wrong}"}), 401)
        self.assertEqual(self.status("/metrics", headers=mine), 200)
        self.assertEqual(json.loads(self.get("/readyz", headers=mine)[1])["state"], "running")
        told = self.get("/metrics", headers=mine)[1] + self.get("/readyz", headers=mine)[1]
        # Only this machine reaches it: another address of the loopback network is not answered.
        with self.assertRaises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", self.port), timeout=5).close()
        self.assertEqual(run.terminate(), 0)
        self.assertNotIn(TOKEN, told + run.stderr + run.stdout)

    def test_a_port_that_is_taken(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            address = "127.0.0.1:%d" % taken.getsockname()[1]
            self.begin(http={"listen": address})
            done = self.tidemark.run("run", "--config", self.config, status=78)
            self.assertIn(address, done.stderr)
            self.assertIn("http.listen", done.stderr)
            self.assertIn("in use", done.stderr)
            self.tidemark.run("run", "--config", self.config, "--once")

    def test_what_check_says(self):
        self.begin(http={"listen": "0.0.0.0:9464"})
        done = self.tidemark.run("check", "--config", self.config)
        self.assertIn("without a token", done.stdout + done.stderr)
        for wrong, said in (({"listen": "127.0.0.1"}, "no address"), ({"listen": "127.0.0.1:0", "token": "has blanks in its text"}, "token"),
                            ({"listen": ":9464"}, "no address"), ({"token": "short"}, "16 bytes")):
            self.write_config({}, rules=RULES, http=wrong)
            done = self.tidemark.run("check", "--config", self.config, status=78)
            self.assertRegex(done.stdout + done.stderr, r"tidemark\.yaml:\d+:\d+")
            self.assertIn(said, done.stdout + done.stderr)
            self.assertNotIn("has blanks in its text", done.stdout + done.stderr)


if __name__ == "__main__":
    unittest.main()
