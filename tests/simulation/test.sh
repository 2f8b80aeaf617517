#!/usr/bin/env bash
# What CI runs of the simulation.
#
#   tests/simulation/test.sh hashes SIMULATION            the same seeds give the same traces, in every process and machine
#   tests/simulation/test.sh write SIMULATION             writes hashes.txt anew
#   tests/simulation/test.sh seeds SIMULATION COUNT JOBS  the first COUNT seeds
set -uo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
simulation=$(realpath "$2")

# What the traces depend on.
sources() { (cd "$here/../.." && cat processor/{base,core,codec,rules,pipeline}/*.{c,cc} include/tidemark/*/*.h tests/simulation/*.[ch] 2>/dev/null) | sha256sum | cut -c 1-16; }

case $1 in
hashes)
    # Two processes with other surroundings, and the seeds in another order.
    known=$(grep -v '^sources' "$here/hashes.txt")
    seeds=$(cut -d ' ' -f 1 <<<"$known")
    # shellcheck disable=SC2086
    first=$("$simulation" --hash $seeds) || exit 1
    # shellcheck disable=SC2046
    second=$(cd / && TZ=Asia/Kolkata LC_ALL=C "$simulation" --hash $(tac <<<"$seeds") | tac) || exit 1
    if [ "$first" != "$second" ]; then
        echo "two processes give different traces:"
        diff <(echo "$first") <(echo "$second")
        exit 1
    fi
    # On another machine the same sources have to give what was written down. Other sources do other things at their ports.
    if [ "$(sources)" != "$(sed -n 's/^sources //p' "$here/hashes.txt")" ]; then
        echo "the sources changed since hashes.txt was written (test.sh write): two processes agree, that is all"
    elif [ "$first" != "$known" ]; then
        echo "the same sources, other traces than those written down:"
        diff <(echo "$known") <(echo "$first")
        exit 1
    fi
    ;;
write)
    {
        echo "sources $(sources)"
        # shellcheck disable=SC2046
        "$simulation" --hash $(seq 1 12)
    } >"$here/hashes.txt"
    ;;
seeds)
    "$simulation" --from 1 --count "$3" --jobs "$4" --go-on
    ;;
*)
    exit 64
    ;;
esac
