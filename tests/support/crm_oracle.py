#!/usr/bin/env python3
"""Compares `tidemark eval` on files with figures that PostgreSQL computed from the same raw events.

    crm_oracle.py FOLDER [--tidemark BINARY]           out of files
    crm_oracle.py FOLDER --kafka [--tidemark BINARY]   out of Redis, after runs through a real Kafka that stop at each instant

FOLDER holds events.ndjson (or .zst, .gz), oracle.csv and oracle_boundary.csv; tests/data/crm_sample is one. Every row is
asked twice: at its instant `at`, where windows hold the events up to then (columns _bucketcut), and at the last
millisecond of its day, where they hold whole days (columns _bucket). Exit status 0 when every figure agrees.
"""

import argparse
import csv
import json
import os
import pathlib
import subprocess
import sys
import tempfile
from datetime import datetime

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import harness  # noqa: E402

NAMES = ("create_opportunity", "email_lead", "edit_meeting", "call_lead", "add_lead")
RULES = "version: 1\nmetrics:\n  events: {count: '*'}\n  users: {distinct: user}\n" + "".join(
    f"  {n}: {{count: {n}}}\n" for n in NAMES)
CUT = {f"{m}_{d}d_bucketcut": f"{m}[{d}d]" for m in ("events", "users") for d in (7, 28)}
WHOLE = {f"{m}_{d}d_bucket": f"{m}[{d}d]" for m in ("events", "users") for d in (7, 28)}
WHOLE |= {f"{n}_28d_bucket": f"{n}[28d]" for n in NAMES}
HOUR = 3_600_000


def hours(text):
    return int(datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp()) // 3600


def rows_of(folder):
    rows = []
    for name in ("oracle.csv", "oracle_boundary.csv"):
        with open(folder / name, newline="", encoding="utf-8") as f:
            rows += [dict(r, file=f"{name}:{n}") for n, r in enumerate(csv.DictReader(f), 2)]
    return rows


def events_of(folder):
    for ending in ("", ".zst", ".gz"):
        path = folder / f"events.ndjson{ending}"
        if path.exists():
            return path
    raise SystemExit(f"there is no events.ndjson in {folder}")


def ask(tidemark, events, rules, points, expressions):
    """[(account, at)] -> their values, asked in one pass through a pipe."""
    text = "at,account\n" + "".join(f"{at},{account}\n" for account, at in points)
    done = tidemark.run("eval", "--events", events, "--rules", rules, "--history", "complete", "--points", "-", "--json",
                        *expressions, input=text, timeout=600)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    if [(a["account"], a["at"]) for a in answers] != points:
        raise AssertionError("the answers are not those to the points asked, in their order")
    return [a["values"] for a in answers]


def compare(folder, tidemark, say=print):
    """-> (figures compared, figures that differ)"""
    folder = pathlib.Path(folder)
    rows, events = rows_of(folder), events_of(folder)
    compared = differ = 0

    def check(row, column, expected, got):
        nonlocal compared, differ
        compared += 1
        if expected != got:
            differ += 1
            if differ <= 20:
                say(f"{row['file']}: {row['account']} at {row['at']}: {column} is {expected}, eval says {got}")

    with tempfile.TemporaryDirectory() as where:
        rules = pathlib.Path(where) / "rules.yaml"
        rules.write_text(RULES, encoding="utf-8")
        points = [(r["account"], r["at"]) for r in rows]
        values = ask(tidemark, events, rules, points, [*CUT.values(), "age(events)"])
        for row, got in zip(rows, values):
            for column, expression in CUT.items():
                check(row, column, int(row[column]), got[expression])
            last = row["last_event_at"]
            age = (hours(row["at"]) - hours(last)) * HOUR if last else None
            check(row, "last_event_at", age, got["age(events)"])
        points = [(r["account"], f"{r['d']}T23:59:59.999Z") for r in rows]
        values = ask(tidemark, events, rules, points, list(WHOLE.values()))
        for row, got in zip(rows, values):
            for column, expression in WHOLE.items():
                check(row, column, int(row[column]), got[expression])
    return compared, differ


KEPT = "version: 1\nmetrics:\n  events: {count: '*', keep: 28d}\n  users: {distinct: user, keep: 28d}\n"


def compare_live(folder, tidemark, say=print, limit=None):
    """The _bucketcut columns out of Redis: one group that goes on from instant to instant with `run --until`."""
    folder = pathlib.Path(folder)
    rows, events = rows_of(folder), events_of(folder)
    stops = {}
    for row in rows:
        stops.setdefault(row["at"], []).append(row)
    compared = differ = 0
    with tempfile.TemporaryDirectory() as where:
        where = pathlib.Path(where)
        broker, redis = harness.Broker(), harness.Redis()
        broker.start()
        redis.start()
        (where / "rules.yaml").write_text(KEPT, encoding="utf-8")
        (where / "tidemark.yaml").write_text(
            f"group: oracle\ninstance: one\nworkers: 2\nhistory: complete\nrules: rules.yaml\nkafka: {{brokers: '{broker.bootstrap}'}}\n"
            f"redis: {{url: '{redis.url}'}}\nuser_key: a key for this comparison only\nlog: {{level: warning}}\n", encoding="utf-8")
        kafka = harness.Kafka(broker.bootstrap)
        forever = {"retention.ms": "-1"}
        kafka.create_topics(["usage", "churn-risk", "expansion", "advisories", "usage-dlq"], partitions=6, **forever)
        kafka.create_topics(["accounts", "health"], partitions=6, **{"cleanup.policy": "compact", "min.compaction.lag.ms": "86400000"})
        plain = events
        if events.suffix in (".zst", ".gz"):
            plain = where / "events.ndjson"
            with open(plain, "wb") as out:
                subprocess.run(["zstdcat" if events.suffix == ".zst" else "zcat", events], stdout=out, check=True)
        kafka.produce_records("usage", plain)
        kafka.close()
        for n, at in enumerate(sorted(stops, key=lambda t: datetime.fromisoformat(t.replace("Z", "+00:00")))[:limit]):
            tidemark.run("run", "--config", where / "tidemark.yaml", "--until", at, timeout=900)
            asked = stops[at]
            text = "at,account\n" + "".join(f"{at},{row['account']}\n" for row in asked)
            done = tidemark.run("eval", "--config", where / "tidemark.yaml", "--points", "-", "--json", *CUT.values(), "age(events)",
                                input=text, timeout=300)
            for row, line in zip(asked, done.stdout.splitlines(), strict=True):
                got = json.loads(line)["values"]
                last = row["last_event_at"]
                expected = {e: int(row[c]) for c, e in CUT.items()}
                expected["age(events)"] = (hours(row["at"]) - hours(last)) * HOUR if last else None
                for expression, figure in expected.items():
                    compared += 1
                    if got[expression] != figure:
                        differ += 1
                        if differ <= 20:
                            say(f"{row['file']}: {row['account']} at {at}: {expression} is {figure}, Redis says {got[expression]}")
            if n % 50 == 49:
                say(f"{n + 1} of {len(stops)} instants, {compared} figures compared, {differ} differ")
        redis.stop()
        broker.stop()
    return compared, differ


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("folder")
    p.add_argument("--tidemark")
    p.add_argument("--kafka", action="store_true", help="out of Redis after runs through Kafka, not out of files")
    p.add_argument("--stops", type=int, help="with --kafka: only the first so many instants")
    args = p.parse_args()
    tidemark = harness.Tidemark(args.tidemark)
    compared, differ = compare_live(args.folder, tidemark, limit=args.stops) if args.kafka else compare(args.folder, tidemark)
    print(f"{compared} figures compared, {differ} differ")
    return 1 if differ or not compared else 0


if __name__ == "__main__":
    sys.exit(main())
