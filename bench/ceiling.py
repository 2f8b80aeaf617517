#!/usr/bin/env python3
"""How near a tuned scorecard comes to what its own figures can tell: the AUC of the rules' score, of the tuned one, and of a
plain logistic regression on the same aggregates, all on time that neither knew.

    ceiling.py --events usage.ndjson.zst --accounts accounts.ndjson --outcomes outcomes.csv --rules rules.yaml \\
               --cut 2024-05-01 [--cut …] --aggregate 'ratio(active_users[28d], seats)' --aggregate 'active_days[14d]'

The aggregates are the factors' values, asked of `tidemark eval` at each week's begin for accounts known for 56 days by their
account records; cases and losses are made here, from the outcomes, not by the program that is judged. The regression is
Newton's method without a penalty, on standardised columns as they are, and on their logarithms (log(1 + x) with the sign
kept); the better of both on the judging time is called the ceiling, which flatters it. A missing value is the mean.
"""

import argparse
import collections
import csv
import datetime as dt
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[1]
DAY = dt.timedelta(days=1)
HORIZON, TENURE = 30 * DAY, 56 * DAY


def time_of(text):
    at = dt.datetime.fromisoformat(text.replace("Z", "+00:00"))
    return at if at.tzinfo else at.replace(tzinfo=dt.timezone.utc)


def stamp(at):
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def said(*argv):
    done = subprocess.run([str(a) for a in argv], capture_output=True, text=True)
    if done.returncode not in (0, 65):
        sys.exit(f"{argv}: {done.stderr}")
    return done.stdout


def solve(matrix, right):
    """Gauss with pivots."""
    n = len(right)
    rows = [list(row) + [r] for row, r in zip(matrix, right)]
    for k in range(n):
        pivot = max(range(k, n), key=lambda i: abs(rows[i][k]))
        rows[k], rows[pivot] = rows[pivot], rows[k]
        for i in range(k + 1, n):
            part = rows[i][k] / rows[k][k]
            for j in range(k, n + 1):
                rows[i][j] -= part * rows[k][j]
    answer = [0.0] * n
    for k in reversed(range(n)):
        answer[k] = (rows[k][n] - sum(rows[k][j] * answer[j] for j in range(k + 1, n))) / rows[k][k]
    return answer


def logistic(rows, came):
    """Coefficients, the intercept first, by Newton's method."""
    width = len(rows[0]) + 1
    b = [0.0] * width
    for _ in range(25):
        gradient, hessian = [0.0] * width, [[1e-9 * (i == j) for j in range(width)] for i in range(width)]
        for row, word in zip(rows, came):
            x = (1.0, *row)
            p = 1 / (1 + math.exp(-sum(c * v for c, v in zip(b, x))))
            for i in range(width):
                gradient[i] += (word - p) * x[i]
                part = p * (1 - p) * x[i]
                for j in range(width):
                    hessian[i][j] += part * x[j]
        step = solve(hessian, gradient)
        b = [c + s for c, s in zip(b, step)]
        if max(map(abs, step)) < 1e-9:
            break
    return b


def area(scores, came):
    """The chance that one that was lost has the lower score, ties half."""
    groups = collections.defaultdict(lambda: [0, 0])
    for score, word in zip(scores, came):
        groups[score][word] += 1
    stayed_above, won = sum(1 for w in came if not w), 0.0
    for score in sorted(groups):
        stayed, lost = groups[score]
        stayed_above -= stayed
        won += lost * (stayed_above + stayed / 2)
    lost = sum(came)
    return won / (lost * (len(came) - lost))


def column_means(rows):
    means = []
    for column in zip(*rows):
        known = [v for v in column if v is not None]
        means.append(sum(known) / len(known) if known else 0.0)
    return means


def standard(rows, means, spreads):
    return [[((m if v is None else v) - m) / s if s else 0.0 for v, m, s in zip(row, means, spreads)] for row in rows]


def regress(training, judging):
    """AUC on `judging` of what was learned on `training`, lists of (values, lost)."""
    rows, came = zip(*training)
    means = column_means(rows)
    spreads = [math.sqrt(sum((v - m) ** 2 for v in column if v is not None) / len(rows)) for column, m in zip(zip(*rows), means)]
    kept = [k for k, s in enumerate(spreads) if s > 1e-12]
    pick = lambda part: [[row[k] for k in kept] for row in standard(part, means, spreads)]  # noqa: E731
    b = logistic(pick(rows), came)
    return area([-sum(c * v for c, v in zip(b[1:], row)) for row in pick([r for r, _ in judging])], [w for _, w in judging])


def logarithm(value):
    return None if value is None else math.copysign(math.log1p(abs(value)), value)


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    for name in ("events", "accounts", "outcomes"):
        parser.add_argument("--" + name, required=True)
    parser.add_argument("--rules", default=ROOT / "deploy" / "rules.yaml")
    parser.add_argument("--cut", action="append", required=True, help="a day: learned before, judged from it on")
    parser.add_argument("--aggregate", action="append", required=True, help="a factor's value")
    parser.add_argument("--tidemark", default=os.environ.get("TIDEMARK", ROOT / "build" / "release" / "tidemark"))
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args(argv)
    files = ["--events", asked.events, "--accounts", asked.accounts]

    met, lost = {}, {}
    with open(asked.accounts) as lines:
        for record in map(json.loads, lines):
            met.setdefault(record["account"], time_of(record["at"]))
    with open(asked.outcomes, newline="") as rows:
        for row in csv.DictReader(rows):
            if row["outcome"] == "churned":
                at = time_of(row.get("at") or row["date"])
                lost[row["account"]] = min(at, lost.get(row["account"], at))
    end = time_of(json.loads(said(asked.tidemark, "tune", *files, "--outcomes", asked.outcomes, "--rules", asked.rules,
                                  "--json"))["seen_until"])

    week, points = min(met.values()) + 7 * DAY, []
    while week <= end - HORIZON:
        points += [(account, week) for account in sorted(met)
                   if week - met[account] >= TENURE and (account not in lost or week < lost[account])]
        week += 7 * DAY
    with tempfile.NamedTemporaryFile("w", suffix=".csv") as out:
        out.write("account,at\n" + "".join(f"{a},{stamp(t)}\n" for a, t in points))
        out.flush()
        answers = said(asked.tidemark, "eval", "--rules", asked.rules, *files, "--points", out.name, "--json",
                       *asked.aggregate).splitlines()
    cases = [(t, [json.loads(line)["values"][e] for e in asked.aggregate], int(a in lost and lost[a] <= t + HORIZON))
             for (a, t), line in zip(points, answers, strict=True)]

    found = []
    for text in asked.cut:
        cut = time_of(text)
        training = [(v, w) for t, v, w in cases if t + HORIZON <= cut]
        judging = [(v, w) for t, v, w in cases if t >= cut]
        plain = regress(training, judging)
        logs = regress(*([([logarithm(v) for v in values], w) for values, w in part] for part in (training, judging)))
        with tempfile.TemporaryDirectory() as folder:
            tuned = pathlib.Path(folder) / "tuned.yaml"
            learned = json.loads(said(asked.tidemark, "tune", *files, "--outcomes", asked.outcomes, "--rules", asked.rules,
                                      "--until", stamp(cut), "--out", tuned, "--json"))
            pair = ["--against", tuned] if tuned.exists() else []
            packs = json.loads(said(asked.tidemark, "backtest", *files, "--outcomes", asked.outcomes, "--rules", asked.rules,
                                    *pair, "--since", stamp(cut), "--json"))["packs"]
        aucs = [pack["ranking"]["auc"] for pack in packs]
        ceiling = max(plain, logs)
        found.append({"cut": text, "cases": len(judging), "lost": sum(w for _, w in judging), "score": aucs[0],
                      "tuned": aucs[-1] if pair else None, "regression": plain, "regression_of_logarithms": logs,
                      "gain": learned["held_out"]["gain"],
                      "part_of_ceiling": (aucs[-1]["value"] - 0.5) / (ceiling - 0.5) if pair else None})
    if asked.json:
        print(json.dumps(found, indent=1))
        return
    print(f"{'cut':<12}{'cases':>7}{'lost':>6}  {'score':>6}  {'tuned':<22}{'regression':>10}  {'of logs':>7}  part of the ceiling")
    for f in found:
        tuned = "left as it was" if not f["tuned"] else "{value:.3f} ({low:.3f}-{high:.3f})".format(**f["tuned"])
        part = "-" if f["part_of_ceiling"] is None else f"{f['part_of_ceiling']:.2f}"
        print(f"{f['cut']:<12}{f['cases']:>7}{f['lost']:>6}  {f['score']['value']:>6.3f}  {tuned:<22}{f['regression']:>10.3f}"
              f"  {f['regression_of_logarithms']:>7.3f}  {part}")


if __name__ == "__main__":
    main()
