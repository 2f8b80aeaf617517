#!/usr/bin/env bash
# Many seeds, for hours or days. Each run appends a line to build/simulation/campaign.log; docs/simulation.md keeps the sums.
#
#   tests/simulation/campaign.sh --from SEED --count N [--jobs J]
#
# Goes on after a seed that fails, and names it: simulation --shrink SEED says why.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root" || exit 1
case ${1:-} in
--from) ;;
*)
    sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
    exit 64
    ;;
esac
mkdir -p build/simulation
if ! { cmake --preset simulation && cmake --build --preset simulation --target simulation; } >build/simulation/build.log 2>&1; then
    cat build/simulation/build.log
    exit 1
fi
commit=$(git rev-parse --short HEAD 2>/dev/null || echo unknown)
nice -n 19 build/simulation/tests/simulation/simulation "$@" --go-on | tee build/simulation/last.log
status=${PIPESTATUS[0]}
echo "$(date -u +%FT%TZ) $commit $(grep '^seeds ' build/simulation/last.log); $(tail -n 1 build/simulation/last.log)" >>build/simulation/campaign.log
exit "$status"
