#!/usr/bin/env bash
# Runs every fuzz target of the fuzz preset, one process a core at a time, each for FUZZ_SECONDS (60) from its saved
# corpus. A target is build/fuzz/tests/fuzz/fuzz_NAME, its corpus tests/fuzz/corpus/NAME (left as it is). Logs, and the
# input of a failure, are in build/test-logs/fuzz/. Names as arguments choose targets.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1
seconds=${FUZZ_SECONDS:-60}
logs=$root/build/test-logs/fuzz
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$logs"

targets=()
for target in build/fuzz/tests/fuzz/fuzz_*; do
    [ -f "$target" ] && [ -x "$target" ] || continue
    name=${target##*/fuzz_}
    if [ $# -eq 0 ] || [[ " $* " == *" $name "* ]]; then
        targets+=("$name")
    fi
done
if [ ${#targets[@]} -eq 0 ]; then
    echo "tests/fuzz/run.sh: no target in build/fuzz/tests/fuzz; build the fuzz preset first" >&2
    exit 66
fi

# What a target finds goes to a directory of this run; the saved corpus is only read.
fuzz_one() {
    local name=$1 saved=()
    [ -d "tests/fuzz/corpus/$name" ] && saved=("tests/fuzz/corpus/$name")
    local dictionary=()
    [ -f "tests/fuzz/$name.dict" ] && dictionary=("-dict=tests/fuzz/$name.dict")
    mkdir -p "$work/$name"
    timeout -k 10 $((seconds + 120)) "build/fuzz/tests/fuzz/fuzz_$name" -max_total_time="$seconds" -timeout=60 \
        -rss_limit_mb=2048 -len_control=100 -artifact_prefix="$logs/$name-" "${dictionary[@]}" "$work/$name" "${saved[@]}" \
        >"$logs/$name.log" 2>&1
    echo $? >"$work/$name.status"
}

cores=$(nproc)
for name in "${targets[@]}"; do
    while [ "$(jobs -rp | wc -l)" -ge "$cores" ]; do
        wait -n
    done
    fuzz_one "$name" &
done
wait

passed=0 failed=0 bad=()
for name in "${targets[@]}"; do
    status=$(cat "$work/$name.status" 2>/dev/null || echo lost)
    if [ "$status" = 0 ]; then
        passed=$((passed + 1))
        echo "ok   fuzz $name: $(grep -aE '^Done [0-9]+ runs' "$logs/$name.log" | tail -n 1)"
    else
        failed=$((failed + 1))
        bad+=("FAILED fuzz/$name: status $status: $(grep -aE 'ERROR:|runtime error:|SUMMARY:|panic' "$logs/$name.log" | head -n 1)")
        echo "FAIL fuzz $name (status $status); the end of $logs/$name.log:"
        tail -n 40 "$logs/$name.log"
    fi
done
[ ${#bad[@]} -eq 0 ] || printf '%s\n' "${bad[@]}"
echo "$passed passed, $failed failed"
[ "$failed" -eq 0 ]
