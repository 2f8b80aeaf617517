#!/usr/bin/env bash
# `init` and `test` as a user meets them: init_and_test.sh TIDEMARK SOURCE_DIR
set -uo pipefail
tidemark=$1
source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$work" || exit 1
failures=0

# expect STATUS TEXT COMMAND…: the exit status, and a text in what was printed.
expect() {
    local wanted=$1 text=$2 got output
    shift 2
    output=$("$@" 2>&1)
    got=$?
    if [ "$got" != "$wanted" ] || [[ $output != *"$text"* ]]; then
        echo "FAIL $*: status $got, wanted $wanted with '$text'; it said:"
        echo "$output" | head -20
        failures=$((failures + 1))
    fi
}
same() {
    cmp "$1" "$2" || failures=$((failures + 1))
}

# --- init ---
expect 0 'tidemark check --config here/tidemark.yaml' "$tidemark" init here
same here/tidemark.yaml "$source/deploy/tidemark.yaml"
same here/rules.yaml "$source/deploy/rules.yaml"
for file in "$source"/deploy/rules-tests/*.yaml; do
    same "here/rules-tests/${file##*/}" "$file"
done
[ "$(stat -c %a here/user.key)" = 600 ] || { echo "FAIL user.key is not 0600"; failures=$((failures + 1)); }
[ "$(base64 -d <here/user.key | wc -c)" = 32 ] || { echo "FAIL user.key"; failures=$((failures + 1)); }
expect 0 ' 0 failed' "$tidemark" test here/rules-tests/*.yaml
echo 'version: 1' >here/rules.yaml
cp here/user.key key
expect 73 'rules.yaml is there already' "$tidemark" init here
[ "$(cat here/rules.yaml)" = 'version: 1' ] || { echo "FAIL init wrote over a file"; failures=$((failures + 1)); }
expect 0 'user.key is kept' "$tidemark" init --force --brokers 'k:1,l:2' --redis 'unix:///run/a b.sock' here
same here/user.key key
same here/rules.yaml "$source/deploy/rules.yaml"
grep -qx '  brokers: k:1,l:2' here/tidemark.yaml || { echo "FAIL brokers"; failures=$((failures + 1)); }
grep -qx '  url: "unix:///run/a b.sock"' here/tidemark.yaml || { echo "FAIL url"; failures=$((failures + 1)); }
[[ $("$tidemark" init --partitions 3 there) == *'--topic accounts --partitions 3 --config cleanup.policy=compact --config min.compaction.lag.ms='* ]] ||
    { echo "FAIL the plan of topics"; failures=$((failures + 1)); }
expect 64 'one folder' "$tidemark" init a b
expect 64 '--partitions' "$tidemark" init --partitions 0 c
touch file
expect 73 'file' "$tidemark" init file/below
expect 0 'usage: tidemark init' "$tidemark" init --help

# --- test ---
cat >rules.yaml <<'END'
version: 1
metrics: {events: {count: "*"}}
rules:
  - {name: silent, kind: churn_risk, when: age(events) >= 2d, update_change: 9}
END
cat >good.yaml <<'END'
rules: rules.yaml
tests:
  - name: silence is told
    start: 2026-01-05T00:00:00Z
    until: 5d
    events: [{account: a, event: x, at: 0}]
    expect: [{account: a, rule: silent, state: raised, at: 2d}]
  - {name: nobody is silent, start: 2026-01-05T00:00:00Z, until: 5d}
END
sed 's/at: 2d/at: 3d/' good.yaml >wrong.yaml
sed 's/rule: silent/rule: silnt/' good.yaml >unknown.yaml
sed 's/^rules.*//' good.yaml >homeless.yaml
sed 's/until: 5d/timezone: Mars\/Olympus, until: 5d/' good.yaml | sed 's/^    timezone: \(.*\), until/    timezone: \1\n    until/' >zone.yaml
sed 's/>= 2d/>= 2x/' rules.yaml >broken.yaml
expect 0 'pass  silence is told' "$tidemark" test good.yaml
expect 0 '2 passed, 0 failed' "$tidemark" test "$work/good.yaml"
expect 0 '1 passed, 0 failed' "$tidemark" test --run nobody good.yaml
expect 1 '  - 2026-01-08T00:00:00.000Z  a  silent raised  (line 7)' "$tidemark" test wrong.yaml
expect 1 '  + 2026-01-07T00:00:00.000Z  a  silent raised  warn' "$tidemark" test wrong.yaml
expect 1 'FAIL  silence is told  (wrong.yaml:3)' "$tidemark" test good.yaml wrong.yaml
expect 78 "the rules have no rule 'silnt'" "$tidemark" test unknown.yaml
expect 78 'which rules?' "$tidemark" test homeless.yaml
expect 0 '2 passed' "$tidemark" test --rules rules.yaml homeless.yaml
expect 78 'broken.yaml:4' "$tidemark" test --rules broken.yaml good.yaml
expect 78 'Mars' "$tidemark" test zone.yaml
expect 66 'absent.yaml' "$tidemark" test absent.yaml
expect 66 'absent.yaml' "$tidemark" test --rules absent.yaml good.yaml
expect 64 'which files' "$tidemark" test
expect 64 "no test has 'else'" "$tidemark" test --run else good.yaml
expect 64 'did you mean' "$tidemark" test --rule x good.yaml
"$tidemark" test --json good.yaml wrong.yaml >out.json
python3 - <<'END' || failures=$((failures + 1))
import json
out = json.load(open("out.json"))
assert (out["passed"], out["failed"]) == (3, 1), out
assert [t["passed"] for t in out["tests"]] == [True, True, False, True], out
missing, unexpected = sorted(out["tests"][2]["differences"], key=lambda d: d["kind"])
assert missing == {"kind": "missing", "at": "2026-01-08T00:00:00.000Z", "line": 7, "account": "a", "rule": "silent",
                   "state": "raised", "subject": None, "expected": None, "got": None}, missing
assert (unexpected["at"], unexpected["line"], unexpected["got"]) == ("2026-01-07T00:00:00.000Z", None, "warn"), unexpected
END
[ "$failures" = 0 ] && echo "all as expected"
exit $((failures > 0))
