#!/usr/bin/env python3
"""How well a pack sees changes that are known: recall, delay, false alarms.

    effectiveness.py --events planted/events.ndjson --truth planted/truth.csv [--accounts accounts.ndjson] [--rules rules.yaml]

Replays a stream in which changes were planted and holds the signals against the truth: a CSV account,kind,onset,full_effect;
kind fade, stop, breadth, feature or growth begins at onset, `none` was left alone, and the account * has the days of a
`holiday` and an `outage` of everybody's. A change counts as seen when a rule of its kind (growth: expansion, the others:
churn risk) is raised within 42 days of the onset. False alarms are alarms of accounts left alone, after the
first --warm-up days, over their months from then (or from their first event) to the stream's end.
docs/effectiveness.md has the figures of the default pack and the commands that made them.
"""

import argparse
import collections
import csv
import datetime as dt
import json
import os
import pathlib
import re
import statistics
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
DAY = 86_400_000
MONTH = 30.44
RANK = ("info", "warn", "high", "critical")


def ms(text):
    return int(dt.datetime.fromisoformat(text.replace("Z", "+00:00")).timestamp() * 1000)


def read_truth(path):
    changes, calm, common = {}, set(), {}
    with open(path, newline="") as f:
        for row in csv.DictReader(f):
            if row["account"] == "*":
                common[row["kind"]] = (ms(row["onset"]), ms(row["full_effect"]))
            elif row["kind"] == "none":
                calm.add(row["account"])
            else:
                changes[row["account"]] = (row["kind"], ms(row["onset"]))
    return changes, calm, common


def read_span(path, calm):
    """First event of each account left alone, and the stream's last."""
    first, line = {}, b""
    with open(path, "rb") as f:
        for line in f:
            if len(first) == len(calm):
                continue
            account = re.search(rb'"account":"([^"]*)"', line)[1].decode()
            if account in calm and account not in first:
                first[account] = ms(json.loads(line)["at"])
    return first, ms(json.loads(line)["at"])


def raised(tidemark, arguments):
    out, grave = [], set()
    with subprocess.Popen([tidemark, "replay", *arguments], stdout=subprocess.PIPE) as p:
        for line in p.stdout:
            s = json.loads(line)
            d = s["data"]
            # An alarm is a raise, and whatever makes an episode high for the first time.
            high = d["severity"] in RANK[2:]
            if d["state"] == "raised" or d["state"] == "updated" and high and d["episode"] not in grave:
                out.append((ms(s["time"]), s["subject"], d["rule"], d["kind"], d["severity"], d["state"]))
            if high:
                grave.add(d["episode"])
        if p.wait():
            sys.exit(f"tidemark replay ended with {p.returncode}")
    return out


def recall(signals, changes, kind, takes, within):
    delays, count = [], 0
    first = {}
    for t, account, *about in signals:
        if account in changes and changes[account][0] == kind and takes(*about):
            onset = changes[account][1]
            if onset <= t < onset + within * DAY and account not in first:
                first[account] = (t - onset) / DAY
    delays = list(first.values())
    count = sum(1 for k, _ in changes.values() if k == kind)
    return len(delays) / count if count else float("nan"), statistics.median(delays) if delays else float("nan"), count


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--events", required=True)
    p.add_argument("--truth", required=True)
    p.add_argument("--accounts")
    p.add_argument("--rules", default=str(ROOT / "deploy" / "rules.yaml"))
    p.add_argument("--tidemark", default=os.environ.get("TIDEMARK", str(ROOT / "build" / "release" / "tidemark")))
    p.add_argument("--within", type=float, default=42, help="days after the onset in which an alarm counts")
    p.add_argument("--warm-up", type=float, default=70, help="days at the beginning whose alarms do not count")
    a = p.parse_args(argv)
    changes, calm, common = read_truth(a.truth)
    first, end = read_span(a.events, calm)
    arguments = ["--events", a.events, "--rules", a.rules] + (["--accounts", a.accounts] if a.accounts else [])
    signals = raised(a.tidemark, arguments)
    begin = min(first.values()) + a.warm_up * DAY
    months = sum(end - max(begin, t) for t in first.values()) / DAY / MONTH
    holiday = common.get("holiday", (0, 0))
    outage = common.get("outage", (0, 0))

    rules = sorted({(s[3], s[2]) for s in signals})
    views = [("all churn risks", lambda r, k, s, u: k == "churn_risk" and u == "raised"),
             ("churn risks of severity high", lambda r, k, s, u: k == "churn_risk" and s in RANK[2:]),
             ("all expansions", lambda r, k, s, u: k == "expansion" and u == "raised")]
    views += [(name, lambda r, k, s, u, name=name: r == name and u == "raised") for _, name in rules]
    kinds = ("fade", "stop", "breadth", "feature", "growth")
    counts = {k: recall(signals, changes, k, lambda *x: False, 0)[2] for k in kinds}
    print("| rules | " + " | ".join(f"{k} ({counts[k]})" for k in kinds) + " | false alarms an account-month | a week, in the holiday | after the outage |")
    print("| --- |" + " --- |" * (len(kinds) + 3))
    weeks_all = months * MONTH / 7
    for name, takes in views:
        cells = []
        for kind in kinds:
            share, delay, _ = recall(signals, changes, kind, takes, a.within)
            cells.append(f"{share:.2f}, {delay:.0f}" if share > 0 else "–")
        false = [s for s in signals if s[1] in calm and s[0] >= begin and takes(*s[2:])]
        # The holiday is felt while its days are in windows: a week of its own, and the week after.
        felt = [s for s in false if holiday[0] <= s[0] < holiday[1] + 7 * DAY]
        present = sum(1 for t in first.values() if t < holiday[0]) * 2
        after = [s for s in false if outage[0] <= s[0] < outage[1] + DAY]
        usual = (len(false) - len(felt)) / max(1, weeks_all - present)
        print(f"| {name} | " + " | ".join(cells) + f" | {len(false) / months:.3f} | "
              f"{len(felt) / max(1, present):.4f} against {usual:.4f} | {len(after)} |")
    seen = collections.Counter(s[2] for s in signals if s[5] == "raised")
    print(f"\n{len(calm)} accounts left alone, {months:.0f} account-months; signals raised in all: "
          + ", ".join(f"{n} {c}" for n, c in seen.most_common()))


if __name__ == "__main__":
    main()
