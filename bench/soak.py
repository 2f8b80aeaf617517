#!/usr/bin/env python3
"""Hours under load with a fault every half minute: are the signals exact, and do memory and open files stay flat?

    cmake --preset release && cmake --build --preset release
    python3 bench/soak.py [--minutes 120] [--rate 60000] [--accounts 50000] [--days 60] [--fault-every 30]
                      [--processes 2] [--rules deploy/rules.yaml] [--seed 1]

Events of DAYS days are sent in order within the minutes, so many a second, into a real broker; `tidemark run` processes
with two workers each consume them from there while, one after the other, a process is killed, stopped for longer than
its session lasts, or restarted, Redis or the broker is killed or frozen, or Redis drops every connection or refuses
writes. Afterwards a last `run --once` comes to the end, and the signals that a foreign read_committed client finds are
compared with those of `tidemark replay` on the same events, made again as lines. Every 10 s memory (VmRSS) and open files
of each process and Redis' memory are noted. The last line is one JSON object; the exit status is 0 when the signals are
the same. Stream time follows the records alone (`grace` is longer than the stream), so the comparison is exact.
"""
import argparse, collections, contextlib, json, os, pathlib, random, signal, subprocess, sys, threading, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))
import harness  # noqa: E402
import jobs  # noqa: E402

TOPICS = {"usage": "usage", "accounts": "accounts", "churn_risk": "churn-risk", "expansion": "expansion",
          "advisories": "advisories", "health": "health", "dead_letters": "usage-dlq", "journal": "journal"}


class Soak:
    def __init__(self, arguments, folder):
        self.a, self.folder, self.random = arguments, folder, random.Random(arguments.seed)
        self.build = pathlib.Path(arguments.build)
        self.first = int(time.time() * 1000) // 86400000 * 86400000 - (arguments.days + 1) * 86400000
        self.events = int(arguments.minutes * 60 * arguments.rate)
        self.samples, self.faults = [], collections.Counter()
        self.running, self.logs, self.started = {}, [], time.monotonic()

    def prepare(self):
        self.broker = harness.Broker(properties={"log.retention.ms": "-1", "log.segment.bytes": "104857600"}, heap="1g")
        self.broker.start()
        kafka = harness.Kafka(self.broker.bootstrap)
        plain = [TOPICS[role] for role in ("usage", "churn_risk", "expansion", "advisories", "dead_letters")]
        kafka.create_topics(plain, partitions=6, **{"retention.ms": "-1"})
        kafka.create_topics([TOPICS["accounts"], TOPICS["health"]], partitions=6,
                        **{"cleanup.policy": "compact", "min.compaction.lag.ms": "86400000"})
        kafka.close()
        self.redis = harness.Redis(options={"appendonly": "yes", "appendfsync": "everysec"})
        self.redis.start()

    def config(self, instance):
        path = self.folder / f"{instance}.yaml"
        path.write_text(harness.yaml({
            "group": "soak", "instance": instance, "workers": 2, "history": "complete", "grace": "400d",
            "rules": str(pathlib.Path(self.a.rules).resolve()), "kafka": {"brokers": self.broker.bootstrap},
            "topics": TOPICS, "redis": {"url": self.redis.url}, "user_key": "a key for measuring only"}))
        return path

    def start(self, instance):
        log = open(self.folder / f"{instance}.log", "ab")
        self.running[instance] = subprocess.Popen([self.build / "tidemark", "run", "--config", self.config(instance)],
                                              stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        log.close()

    def look(self):
        for instance, process in self.running.items():
            with contextlib.suppress(OSError, IndexError):  # it may end at this moment
                status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
                kib = int(status.split("VmRSS:")[1].split()[0])
                files = len(os.listdir(f"/proc/{process.pid}/fd"))
                self.samples.append((time.monotonic() - self.started, instance, process.pid, kib // 1024, files))

    # --- faults: each leaves the world as it was, at once or a little later ---

    def one(self):
        return self.random.choice(sorted(self.running))

    def process_killed(self):
        instance = self.one()
        self.running[instance].kill()
        self.running[instance].wait()
        self.start(instance)

    def process_restarted(self):
        instance = self.one()
        self.running[instance].terminate()
        try:
            self.running[instance].wait(60)
        except subprocess.TimeoutExpired:
            raise SystemExit(f"{instance} did not stop within 60 s of SIGTERM") from None
        self.start(instance)

    def process_stopped(self):
        process = self.running[self.one()]
        process.send_signal(signal.SIGSTOP)
        time.sleep(self.random.uniform(4, 12))
        process.send_signal(signal.SIGCONT)

    def redis_killed(self):
        self.redis.kill()
        time.sleep(self.random.uniform(0, 3))
        self.redis.start()

    def redis_frozen(self):
        self.redis.freeze()
        time.sleep(self.random.uniform(1, 8))
        self.redis.thaw()

    def redis_connections_dropped(self):
        self.redis.command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")

    def redis_refuses_writes(self):
        self.redis.command("CONFIG", "SET", "min-replicas-to-write", "1")
        time.sleep(self.random.uniform(1, 5))
        self.redis.command("CONFIG", "SET", "min-replicas-to-write", "0")

    def broker_killed(self):
        self.broker.kill()
        self.broker.start()

    def broker_frozen(self):
        self.broker.freeze()
        time.sleep(self.random.uniform(1, 8))
        self.broker.thaw()

    def broker_restarted(self):
        self.broker.stop()
        self.broker.start()

    def faulted(self):
        kinds = [self.process_killed, self.process_restarted, self.process_stopped, self.redis_killed, self.redis_frozen,
                 self.redis_connections_dropped, self.redis_refuses_writes, self.broker_killed, self.broker_frozen,
                 self.broker_restarted]
        order = []
        while self.loader.poll() is None:
            due = time.monotonic() + self.a.fault_every
            while time.monotonic() < due and self.loader.poll() is None:
                time.sleep(min(10, max(0.1, due - time.monotonic())))
                self.look()
            if self.loader.poll() is not None:
                break
            order = order or self.random.sample(kinds, len(kinds))
            fault = order.pop()
            print(f"{time.monotonic() - self.started:8.1f} s  {fault.__name__}", file=sys.stderr, flush=True)
            fault()
            self.faults[fault.__name__] += 1
            for instance, process in self.running.items():
                if process.poll() is not None:
                    tail = (self.folder / f"{instance}.log").read_text(errors="replace")[-3000:]
                    raise SystemExit(f"{instance} ended by itself with {process.returncode}:\n{tail}")

    def stream(self, *target):
        return [self.build / "bench" / "bench_soak", *target[:2], str(self.first), str(self.a.days), str(self.events),
                target[2], str(self.a.accounts)]

    def run(self):
        self.replay()
        for n in range(self.a.processes):
            self.start(f"process-{n}")
        self.loader = subprocess.Popen(self.stream(self.broker.bootstrap, TOPICS["usage"], str(self.a.rate)),
                                   stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True)
        self.faulted()
        loaded = json.loads(self.loader.stdout.read())
        for process in self.running.values():
            process.terminate()
        for instance, process in self.running.items():
            if process.wait(120) != 0:
                raise SystemExit(f"{instance} ended with {process.returncode}")
        begun = time.monotonic()
        subprocess.run([self.build / "tidemark", "run", "--config", self.config("process-0"), "--once"], check=True,
                       stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        return loaded, time.monotonic() - begun

    def replay(self):
        """What an undisturbed run publishes, made beside the load with whatever time that leaves."""
        lines = subprocess.Popen(["nice", "-n", "19", *self.stream("-", "-", "0")], stdout=subprocess.PIPE,
                                 stdin=subprocess.DEVNULL)
        with open(self.folder / "expected.jsonl", "wb") as out:
            replay = subprocess.Popen(["nice", "-n", "19", self.build / "tidemark", "replay", "--events", "-", "--config",
                                       self.config("replay")], stdin=lines.stdout, stdout=out)
        lines.stdout.close()
        self.replaying = (lines, replay)

    def compare(self):
        kafka = harness.Kafka(self.broker.bootstrap)
        found = kafka.read([TOPICS[role] for role in jobs.SIGNAL_ROLES], timeout=1800)
        kafka.close()
        got = collections.Counter()
        for record in found:
            got[json.dumps(jobs.comparable(record.json()), sort_keys=True)] += 1
        if any(process.wait() != 0 for process in self.replaying):
            raise SystemExit("the replay failed")
        expected = collections.Counter()
        with open(self.folder / "expected.jsonl", encoding="utf-8") as texts:
            for text in texts:
                expected[json.dumps(jobs.comparable(json.loads(text)), sort_keys=True)] += 1
        return got, expected

    def flat(self):
        """Of each process that lived long: the greatest memory (MiB) and files of its middle and of its last third."""
        by_pid = collections.defaultdict(list)
        for _, instance, pid, mib, files in self.samples:
            by_pid[instance].append((mib, files))
        out = {}
        for instance, rows in sorted(by_pid.items()):
            third = len(rows) // 3
            if third:
                middle, last = rows[third:2 * third], rows[2 * third:]
                out[instance] = {"samples": len(rows), "middle_mib": max(r[0] for r in middle),
                             "last_mib": max(r[0] for r in last), "middle_files": max(r[1] for r in middle),
                             "last_files": max(r[1] for r in last)}
        return out


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=120)
    parser.add_argument("--rate", type=int, default=60000, help="events a second")
    parser.add_argument("--accounts", type=int, default=50000)
    parser.add_argument("--days", type=int, default=60)
    parser.add_argument("--fault-every", type=float, default=30, metavar="SECONDS")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument("--rules", default=str(ROOT / "deploy" / "rules.yaml"))
    parser.add_argument("--build", default=str(ROOT / "build" / "release"))
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    soak = Soak(arguments, harness.temp_dir("tidemark-soak-"))
    soak.prepare()
    loaded, rest = soak.run()
    got, expected = soak.compare()
    missing, extra = expected - got, got - expected
    for name, some in (("missing", missing), ("too many", extra)):
        for text in list(some)[:5]:
            print(f"{name}: {jobs.short(json.loads(text))}", file=sys.stderr)
    same = not missing and not extra and bool(expected)
    print(json.dumps({"events": loaded["events"], "load_seconds": loaded["seconds"], "rest_seconds": round(rest, 1),
                      "faults": dict(sorted(soak.faults.items())), "signals": sum(got.values()),
                      "expected": sum(expected.values()), "missing": sum(missing.values()),
                      "too_many": sum(extra.values()), "processes": soak.flat(),
                      "exact": same}))
    return 0 if same else 1


if __name__ == "__main__":
    sys.exit(main())
