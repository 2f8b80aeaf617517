"""The Kafka adapters against a real broker: kafka_adapters_check runs the ports' contracts and their own promises; here its
verdicts are read, and what it committed is looked at with a foreign client."""
import os
import pathlib
import subprocess
import sys
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

import harness  # noqa: E402


def find_check():
    named = os.environ.get("TIDEMARK_BUILD")
    for build in [pathlib.Path(named)] if named else sorted((harness.ROOT / "build").glob("*")):
        path = build / "tests" / "kafka_adapters_check"
        if path.exists():
            return path
    raise harness.HarnessError("kafka_adapters_check is not built: cmake --build --preset dev")


def verdicts(lines):
    return [line for line in lines if line.startswith(("ok ", "not ok "))]


class KafkaAdapters(harness.TestCase):
    def test_contracts(self):
        done = subprocess.run([find_check(), self.broker.bootstrap], stdin=subprocess.DEVNULL, capture_output=True,
                              text=True, timeout=900, check=False)
        lines = verdicts(done.stdout.splitlines())
        self.assertEqual([line for line in lines if line.startswith("not ok")], [], done.stderr[-4000:])
        self.assertGreaterEqual(len(lines), 17, done.stdout)
        self.assertEqual(done.returncode, 0, done.stderr[-4000:])

    def test_commit_seen_by_a_foreign_client(self):
        done = subprocess.run([find_check(), self.broker.bootstrap, "publisher commits"], stdin=subprocess.DEVNULL,
                              capture_output=True, text=True, timeout=300, check=False)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr[-4000:])
        # The program names its topics and its group after its process id and run: the journal of its one run.
        topic = max((t for t in self.kafka.topics() if t.endswith("-journal") and t.startswith("k")),
                    key=lambda t: int(t[1:].split("-")[0]))
        prefix = topic[:-len("-journal")]
        offsets = self.kafka.group_offsets(prefix)
        self.assertEqual({where: tuple(what) for where, what in offsets.items()},
                         {(f"{prefix}-usage", 1): (7, "13"), (f"{prefix}-accounts", 1): (3, "13"),
                          (f"{prefix}-usage", 2): (4, "2")})
        records = self.kafka.read(f"{prefix}-churn-risk")
        self.assertEqual([(r.partition, r.key, r.value, r.timestamp) for r in records],
                         [(1, "acme", "one", 1700000000123), (1, "acme", None, 1700000000123)])

    def test_outage(self):
        broker = harness.Broker()
        self.addCleanup(broker.kill)
        broker.start()
        acts = {"kill": broker.kill, "start": broker.start, "freeze": broker.freeze, "thaw": broker.thaw}
        with subprocess.Popen([find_check(), broker.bootstrap, "kafka outlives its broker"], stdin=subprocess.PIPE,
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as child:
            self.addCleanup(child.kill)
            lines = []
            for line in child.stdout:
                lines.append(line.rstrip("\n"))
                if line.startswith("? "):
                    acts[line[2:].strip()]()
                    child.stdin.write("done\n")
                    child.stdin.flush()
            child.wait(300)
        self.assertEqual(len(verdicts(lines)), 1, lines)
        self.assertTrue(verdicts(lines)[0].startswith("ok "), lines)
        self.assertEqual(child.returncode, 0)


if __name__ == "__main__":
    unittest.main()
