#!/usr/bin/env bash
# Many seeds, for hours or days, twenty thousand at a time: each batch appends a line to build/simulation/campaign.log, so
# that it may be stopped at any moment. docs/simulation.md keeps the sums.
#
#   tests/simulation/campaign.sh --from SEED --count N [--jobs J]
#
# Goes on after a seed that fails, and names it: simulation --shrink SEED says why.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1
from="" count="" jobs=1
while [ $# -gt 1 ]; do
    case $1 in
    --from) from=$2 ;;
    --count) count=$2 ;;
    --jobs) jobs=$2 ;;
    *) break ;;
    esac
    shift 2
done
if [ $# -gt 0 ] || [ -z "$from" ] || [ -z "$count" ]; then
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit 64
fi
mkdir -p build/simulation
if ! { cmake --preset simulation && cmake --build --preset simulation --target simulation; } >build/simulation/build.log 2>&1; then
    cat build/simulation/build.log
    exit 1
fi
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
# A copy: the tree may be built anew meanwhile.
program=$(mktemp)
trap 'rm -f "$program"' EXIT
install -m 755 build/simulation/tests/simulation/simulation "$program"
end=$((from + count)) failed=0
while [ "$from" -lt "$end" ]; do
    batch=$((end - from < 20000 ? end - from : 20000))
    output=$(nice -n 19 "$program" --from "$from" --count "$batch" --jobs "$jobs" --go-on) || failed=1
    echo "$output"
    echo "$(date -u +%FT%TZ) $commit $(grep '^seeds ' <<<"$output"); $(tail -n 1 <<<"$output")" >>build/simulation/campaign.log
    from=$((from + batch))
done
exit "$failed"
