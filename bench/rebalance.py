#!/usr/bin/env python3
"""How long a shard's signals pause when processes come, go and die.

    python3 bench/rebalance.py [--build build/release] [--partitions 6] [--session 6000]

Three processes of one worker share the shards; each partition gets an event ten times a second; commits are made every
200 ms. What a shard publishes is seen in its journal, whose topic takes the broker's clock (LogAppendTime): the pause of a
shard is the longest time between two of its lines around what was done. Idle, that is the commit interval.
"""

import argparse
import json
import pathlib
import signal
import statistics
import sys
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))

import harness  # noqa: E402

RULES = "version: 1\nmetrics: {events: {count: '*'}}\nrules: [{name: busy, kind: expansion, when: 'events[1d] > 5'}]\n"


class Bench(harness.TestCase):
    def runTest(self):
        pass

    def prepare(self, args):
        self.args = args
        self.topics = self.create_topics(partitions=args.partitions)
        self.kafka.create_topics({self.topics["journal"]: {"message.timestamp.type": "LogAppendTime",
                                                           "max.message.bytes": "33554432"}}, partitions=args.partitions)
        self.configs = {}
        for name in "abcd":
            self.configs[name] = self.write_config(
                self.topics, rules=RULES, name=f"{name}.yaml", instance=name, commit_interval="200ms",
                kafka={"properties": {"session.timeout.ms": str(args.session)}})
        self.runs = {}
        self.stopping = threading.Event()
        feeder = harness.Kafka(self.broker.bootstrap)
        self.addCleanup(feeder.close)
        feeder.topics()
        self.thread = threading.Thread(target=self.feed, args=(feeder,), daemon=True)
        self.thread.start()

    def feed(self, kafka):
        n = 0
        while not self.stopping.is_set():
            now = int(time.time() * 1000)
            n += 1
            kafka.produce(self.topics["usage"], [
                {"partition": p, "key": f"account-{p}", "timestamp": now, "value": json.dumps(
                    {"id": f"{n}-{p}", "account": f"account-{p}", "event": "seen", "at": now})}
                for p in range(self.args.partitions)])
            self.stopping.wait(0.1)

    def start(self, name):
        self.runs[name] = self.start_tidemark("run", "--config", self.configs[name])

    def lines(self):
        """{partition: times in ms at which the broker took a journal line}"""
        found = {p: [] for p in range(self.args.partitions)}
        for r in self.kafka.read(self.topics["journal"]):
            found[r.partition].append(r.timestamp)
        return found

    def measure(self, what, act, seconds, touched):
        """touched: names whose shards are told apart; they are looked up before anything is done."""
        time.sleep(4)
        before = self.lines()
        owners = self.owners()
        mine = {p for p in before if any(p in owners.get(name, ()) for name in touched)}
        begun = int(time.time() * 1000)
        act()
        time.sleep(seconds)
        after = self.lines()
        pauses = {}
        for p, times in after.items():
            times = [t for t in times if t >= begun - 1500]
            pauses[p] = max((b - a for a, b in zip(times, times[1:])), default=seconds * 1000) / 1000
        for label, group in (("its shards", mine), ("the others'", set(pauses) - mine)):
            values = sorted(pauses[p] for p in group)
            if values:
                print(f"| {what} | {label} ({len(values)}) | {statistics.median(values):.2f} | {values[-1]:.2f} |", flush=True)

    def owners(self):
        """{name: partitions}, as the group says."""
        owners = {}
        for member in self.kafka.describe_group(self.prefix)["members"]:
            name = (member["instance"] or "").rsplit("-", 2)[-2:][0]
            owners[name] = {int(at.rsplit("-", 1)[1]) for at in member["partitions"]}
        return owners

    def stop_and_start(self, name):
        self.runs[name].terminate(20)
        self.start(name)

    def kill(self, name):
        self.runs[name].signal(signal.SIGKILL)
        self.runs[name].wait(10)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", default="build/release", metavar="FOLDER")
    parser.add_argument("--partitions", type=int, default=6)
    parser.add_argument("--session", type=int, default=6000, metavar="MS")
    args = parser.parse_args()
    bench = Bench()
    bench._tidemark = harness.Tidemark(binary=ROOT / args.build / "tidemark")
    bench.setUp()
    try:
        bench._tidemark.cwd = bench.dir
        bench.prepare(args)
        for name in "abc":
            bench.start(name)
            bench.runs[name].wait_for_line("shard_claimed", timeout=60)
        print("| what | whose shards | median s | longest s |\n| --- | --- | --- | --- |")
        wait = args.session / 1000 + 8
        bench.measure("nothing", lambda: None, 5, "")
        for name in "abc":
            bench.measure(f"process {name} restarted (SIGTERM, start)", lambda n=name: bench.stop_and_start(n), 8, name)
        bench.measure("kill -9, started again at once", lambda: (bench.kill("b"), bench.start("b")), wait, "b")
        bench.measure("a fourth process joins", lambda: bench.start("d"), 8, "d")
        bench.measure("stopped for good (SIGTERM)", lambda: bench.runs["d"].terminate(20), wait, "d")
        bench.measure("kill -9, not started again", lambda: bench.kill("c"), wait, "c")
    finally:
        bench.stopping.set()
        bench.thread.join(5)
        bench.doCleanups()


if __name__ == "__main__":
    main()
