#!/usr/bin/env python3
"""The main job against the speed of light: tidemark and a raw librdkafka consumer on the same topic, in turn.

    cmake --preset release && cmake --build --preset release
    python3 bench/throughput.py [--events 3000000] [--accounts 100000] [--days 30] [--runs 5] [--workers 2]
                                [--rules bench/one_rule.yaml] [--binary build/release/tidemark]

Starts a private Kafka broker and a private Redis, fills a topic once, then runs A B A B …: each run of tidemark is
`run --once` in a fresh group with an empty Redis, commits every second. CPU and peak memory are the operating system's
account of the finished process. Prints one JSON object a run and the medians.
"""
import argparse, json, os, pathlib, statistics, subprocess, sys, time

ROOT = pathlib.Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT / "tests" / "support"))
import harness  # noqa: E402


def timed(argv, log):
    """Runs argv; wall seconds, CPU seconds and peak MiB of that process, and its standard output."""
    begun = time.monotonic()
    with open(log, "wb") as err:
        child = subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=err)
        out = child.stdout.read()
        _, status, usage = os.wait4(child.pid, 0)
    if status != 0:
        sys.exit(f"{argv[0]} failed ({status}): {open(log).read()[-2000:]}")
    return {"wall": time.monotonic() - begun, "cpu": usage.ru_utime + usage.ru_stime, "peak_mib": usage.ru_maxrss / 1024}, out.decode()


def main():
    ap = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    ap.add_argument("--events", type=int, default=3_000_000)
    ap.add_argument("--accounts", type=int, default=100_000)
    ap.add_argument("--days", type=int, default=30)
    ap.add_argument("--partitions", type=int, default=6)
    ap.add_argument("--workers", type=int, default=2)
    ap.add_argument("--runs", type=int, default=5)
    ap.add_argument("--rules", default=str(ROOT / "bench" / "one_rule.yaml"))
    ap.add_argument("--build", default=str(ROOT / "build" / "release"))
    ap.add_argument("--binary")
    ap.add_argument("--property", action="append", default=[], metavar="NAME=VALUE", help="a librdkafka property for tidemark")
    a = ap.parse_args()
    build = pathlib.Path(a.build)
    binary = a.binary or str(build / "tidemark")
    with harness.temp_dir() as folder:
        folder = pathlib.Path(folder)
        broker = harness.Broker(properties={"log.retention.ms": "-1"})
        broker.start()
        kafka = harness.Kafka(broker.bootstrap)
        forever = {"retention.ms": "-1"}
        kafka.create_topics(["usage", "churn-risk", "expansion", "advisories", "usage-dlq"], partitions=a.partitions, **forever)
        kafka.create_topics(["accounts", "health"], partitions=a.partitions, **{"cleanup.policy": "compact", "min.compaction.lag.ms": "86400000"})
        loaded = subprocess.run([str(build / "bench" / "bench_load"), broker.bootstrap, "usage", str(a.events), str(a.accounts), str(a.days)],
                                check=True, capture_output=True, text=True)
        print(loaded.stdout.strip(), flush=True)
        rows = []
        for run in range(a.runs + 1):
            raw, out = timed([str(build / "bench" / "bench_raw"), broker.bootstrap, "usage", str(a.partitions)], folder / "raw.log")
            raw["events_per_second"] = json.loads(out)["events_per_second"]
            redis = harness.Redis()
            redis.start()
            config = folder / f"tidemark-{run}.yaml"
            config.write_text(f"""group: bench-{run}
instance: bench
workers: {a.workers}
history: complete
rules: {pathlib.Path(a.rules).resolve()}
kafka: {{brokers: "{broker.bootstrap}", properties: {{{", ".join(p.replace("=", ": ", 1) for p in a.property)}}}}}
topics: {{journal: journal-{run}}}
redis: {{url: "{redis.url}"}}
user_key: a key for measuring only
log: {{format: json}}
""")
            mine, _ = timed([binary, "run", "--config", str(config), "--once"], folder / "run.log")
            first = last = None
            for line in open(folder / "run.log"):
                entry = json.loads(line) if line.startswith("{") else {}
                if entry.get("event") == "status":
                    last = entry
            mine["records"] = last["records"] if last else None
            mine["signals"] = last["signals"] if last else None
            mine["events_per_second"] = a.events / mine["wall"]
            redis.stop()
            row = {"run": run, "warm_up": run == 0, "raw": raw, "tidemark": mine, "ratio_wall": raw["wall"] / mine["wall"],
                   "ratio_rate": mine["events_per_second"] / raw["events_per_second"],
                   "raw_cpu_us": raw["cpu"] / a.events * 1e6, "tidemark_cpu_us": mine["cpu"] / a.events * 1e6}
            print(json.dumps(row), flush=True)
            if run:
                rows.append(row)
        median = lambda f: statistics.median(f(r) for r in rows)
        print(json.dumps({"median": {
            "raw_events_per_second": median(lambda r: r["raw"]["events_per_second"]),
            "events_per_second": median(lambda r: r["tidemark"]["events_per_second"]),
            "ratio": median(lambda r: r["ratio_rate"]), "cpu_us_per_event": median(lambda r: r["tidemark_cpu_us"]),
            "raw_cpu_us_per_event": median(lambda r: r["raw_cpu_us"]), "peak_mib": median(lambda r: r["tidemark"]["peak_mib"])}}))
        kafka.close()
        broker.stop()


if __name__ == "__main__":
    main()
