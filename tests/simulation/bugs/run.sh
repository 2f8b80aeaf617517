#!/usr/bin/env bash
# Plants each bug of this folder in a copy of the sources and counts the seeds until the simulation catches it. A bug that
# no seed catches is a failure, and so is one that no longer applies.
#
#   tests/simulation/bugs/run.sh [--most SEEDS] [NAME...]     all bugs, or those named; at most 10,000 seeds each
#
# Prints a table. The last line counts. Only the changed files are compiled; the rest is that of build/simulation.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
bugs=$root/tests/simulation/bugs
build=$root/build/simulation
most=10000
names=()
while [ $# -gt 0 ]; do
    case $1 in
    --most)
        most=$2
        shift
        ;;
    -*)
        sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
        exit 64
        ;;
    *) names+=("$1") ;;
    esac
    shift
done
if [ ${#names[@]} -eq 0 ]; then
    for file in "$bugs"/*.patch; do
        names+=("$(basename "$file" .patch)")
    done
fi

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
if ! (cd "$root" && cmake --preset simulation && cmake --build --preset simulation --target simulation) >"$scratch/log" 2>&1; then
    cat "$scratch/log"
    exit 1
fi
cd "$build" || exit 1
ninja -t commands simulation >"$scratch/commands"

# plant NAME: $scratch/simulation with the bug in it.
plant() {
    local file objects="" command link
    rm -rf "$scratch"/{processor,tests,include,simulation}
    mkdir "$scratch/tests"
    cp -r "$root/processor" "$root/include" "$scratch/"
    cp -r "$root/tests/simulation" "$scratch/tests/"
    git -C "$scratch" apply -C1 --recount --unsafe-paths --directory="$scratch" "$bugs/$1.patch" || return 1
    link=$(tail -n 1 "$scratch/commands")
    while read -r file; do
        # The file's own command, on the copy, without dependencies written and without warnings that end it.
        command=$(grep -F -- "-c $root/$file" "$scratch/commands" | head -n 1 |
            sed -E "s# -MD -MT [^ ]+ -MF [^ ]+##; s# -Werror # #; s# -o [^ ]+# -o $scratch/$(basename "$file").o#; s#$root/#$scratch/#g")
        bash -c "$command" || return 1
        objects+=" $scratch/$(basename "$file").o"
    done < <(sed -nE 's#^\+\+\+ b/##p' "$bugs/$1.patch")
    # Before the libraries: what they have of the same names is not taken then.
    link=$(sed -E "s# -o [^ ]*simulation # $objects -o $scratch/simulation #" <<<"$link")
    bash -c "$link"
}

caught=0 missed=0
printf '| bug | what it does | seeds | seen as |\n| --- | --- | --- | --- |\n'
for name in "${names[@]}"; do
    what=$(head -n 1 "$bugs/$name.patch" | sed 's/\.$//')
    if ! plant "$name" >"$scratch/log" 2>&1; then
        printf '| `%s` | %s | cannot be planted | |\n' "$name" "$what"
        tail -n 20 "$scratch/log" >&2
        missed=$((missed + 1))
        continue
    fi
    result=$("$scratch/simulation" --from 1 --count "$most")
    if [ $? -ne 0 ] && first=$(grep -m 1 -E '^seed [0-9]+: ' <<<"$result"); then
        seed=${first#seed }
        seed=${seed%%:*}
        seen=$(sed -E 's/^seed [0-9]+: //; s/\|/ /g' <<<"$first" | cut -c 1-110)
        printf '| `%s` | %s | %s | %s |\n' "$name" "$what" "$seed" "$seen"
        caught=$((caught + 1))
    else
        printf '| `%s` | %s | not in %s | |\n' "$name" "$what" "$most"
        missed=$((missed + 1))
    fi
done
echo
echo "$caught passed, $missed failed"
[ "$missed" -eq 0 ]
