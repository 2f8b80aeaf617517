#!/usr/bin/env python3
"""A brute-force model of tidemark: the signals a perfect implementation gives, and values at points.

    model.py --events F [--accounts F] --rules F [--config F] [--until T] [--signals OUT]
    model.py --events F ... --compare SIGNALS.ndjson      compare with tidemark's own signals
    model.py --events F ... --eval POINTS.csv EXPR...     values, one JSON object a point
"""

import argparse
import csv
import json
import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import pack as packs  # noqa: E402
import records  # noqa: E402
import world as worlds  # noqa: E402
import zone  # noqa: E402

COMPARED = (
    "id type subject time account rule kind state severity episode sequence raised_at value threshold "
    "clear_threshold reason summary play route stage health acknowledged"
).split()


def moment(text):
    t = int(text) if text.lstrip("-").isdigit() else zone.parse_time(text)
    if t is None:
        raise argparse.ArgumentTypeError(f"not a time: {text!r}")
    return t


def dumps(x):
    return json.dumps(x, ensure_ascii=False, separators=(",", ":"))


def type_of(s):
    return f"tidemark.{s['kind']}.{s['state']}.v1"


def flatten(ours):
    """One of our signals with the fields that are compared."""
    special = {"type": type_of(ours), "subject": ours["account"], "stage": (ours["facts"] or {}).get("stage")}
    return {k: special[k] if k in special else ours.get(k) for k in COMPARED}


def from_cloudevent(ce):
    data = ce.get("data") or {}
    outer = ("id", "type", "subject", "time")
    flat = {k: ce.get(k) if k in outer else data.get(k) for k in COMPARED}
    return dict(flat, stage=(data.get("facts") or {}).get("stage"))


def same(a, b):
    if isinstance(a, bool) or isinstance(b, bool):
        return a is b
    return a == b


def compare(ours, theirs, out=sys.stdout, limit=50):
    """Two lists of flat signals, in any order -> number of differences; prints the first `limit`."""
    left, right, shown = {}, {}, 0

    def say(time, line):
        problems.append((time or "", line))

    problems = []
    for side, items, who in ((left, ours, "model"), (right, theirs, "tidemark")):
        for s in items:
            if s["id"] in side:
                say(s["time"], f"{who} has signal {s['id']} twice: {s['episode']} {s['state']} {s['sequence']}")
            side[s["id"]] = s
    for i in left.keys() | right.keys():
        a, b = left.get(i), right.get(i)
        if a is None or b is None:
            s, who = (a, "only in the model") if b is None else (b, "only in tidemark")
            say(s["time"], f"{who}: {dumps(s)}")
            continue
        bad = [k for k in COMPARED if not same(a[k], b[k])]
        if bad:
            what = ", ".join(f"{k}: model {dumps(a[k])}, tidemark {dumps(b[k])}" for k in bad)
            say(a["time"], f"{a['episode']} {a['state']} {a['sequence']} at {a['time']}: {what}")
    for _, line in sorted(problems)[:limit]:
        print(line, file=out)
        shown += 1
    if len(problems) > shown:
        print(f"... and {len(problems) - shown} more", file=out)
    print(f"{len(ours)} signals of the model, {len(theirs)} of tidemark, {len(problems)} differences", file=out)
    return len(problems)


def read_points(path):
    f = sys.stdin if path == "-" else open(path, newline="", encoding="utf-8")
    with f:
        rows = csv.DictReader(f)
        return [(moment(r["at"].strip()), r["account"]) for r in rows]


def make_config(args):
    doc = packs.load_yaml(args.config) if args.config else {}
    for key, v in (("timezone", args.timezone), ("history", args.history), ("evaluate_every", args.evaluate_every)):
        if v is not None:
            doc[key] = v
    if args.dedup_window is not None:
        doc["dedup"] = {"window": args.dedup_window}
    config = packs.Config(doc)
    rules = args.rules
    if rules is None and config.rules:
        rules = os.path.join(os.path.dirname(args.config), config.rules)
    return config, rules


def evaluate(pack, config, events, accounts, points, until=None):
    """points: (at, account) -> the JSON objects, in the same order."""
    answers = [None] * len(points)

    def asker(i):
        def ask(a):
            answers[i] = {
                "account": points[i][1],
                "at": zone.format_time(points[i][0]),
                "values": {text: worlds.plain(x.fn(a)) for text, x in pack.extra},
            }

        return ask

    order = sorted(range(len(points)), key=lambda i: points[i][0])
    w = worlds.World(pack, config)
    pack.rules, pack.order = [], []  # no judging: values only
    until = max([p[0] for p in points], default=0) if until is None else until
    w.run(events, accounts, until, [(points[i][0], points[i][1], asker(i)) for i in order])
    return answers, w


def main(argv=None):
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--events", required=True)
    p.add_argument("--accounts")
    p.add_argument("--rules")
    p.add_argument("--config")
    p.add_argument("--timezone")
    p.add_argument("--history")
    p.add_argument("--evaluate-every")
    p.add_argument("--dedup-window")
    p.add_argument("--until", type=moment)
    p.add_argument("--signals", help="write the signals here instead of standard output")
    p.add_argument("--every-instant", action="store_true", help="judge every grid instant, remember nothing")
    p.add_argument("--compare", metavar="FILE", help="tidemark's signals (CloudEvents, NDJSON); exit 1 if they differ")
    p.add_argument("--eval", nargs="+", metavar=("POINTS.csv", "EXPR"), help="values of expressions at points")
    args = p.parse_args(argv)
    try:
        config, rules = make_config(args)
        pack = packs.Pack(packs.load_yaml(rules) if rules else {}, args.eval[1:] if args.eval else ())
    except (packs.PackError, ValueError) as e:
        print(f"model: {e}", file=sys.stderr)
        return 78
    if args.eval:
        answers, w = evaluate(pack, config, args.events, args.accounts, read_points(args.eval[0]), args.until)
        for a in answers:
            print(dumps(a))
        return 0
    w = worlds.World(pack, config, literal=args.every_instant)
    signals = w.run(args.events, args.accounts, args.until)
    print(f"model: dead_letters {json.dumps(w.dead, sort_keys=True)} duplicates {w.duplicates}", file=sys.stderr)
    if args.compare:
        theirs = []
        for line in records.lines_of(args.compare):
            theirs.append(from_cloudevent(json.loads(line)))
        if args.signals:
            write(signals, args.signals)
        return 1 if compare([flatten(s) for s in signals], theirs) else 0
    write(signals, args.signals or "-")
    return 0


def write(signals, path):
    f = sys.stdout if path == "-" else open(path, "w", encoding="utf-8")
    for s in signals:
        print(dumps(s), file=f)
    if f is not sys.stdout:
        f.close()


if __name__ == "__main__":
    sys.exit(main())
