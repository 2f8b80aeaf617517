#!/usr/bin/env bash
# Plants each bug of this folder in a copy of the sources and counts the seeds until the simulation catches it. A bug that
# no seed catches is a failure, and so is one that no longer applies.
#
#   tests/simulation/bugs/run.sh [--most SEEDS] [NAME...]     all bugs, or those named; at most 10,000 seeds each
#
# Prints a table. The last line counts.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
bugs=$root/tests/simulation/bugs
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
mkdir -p "$scratch/tests"
for part in CMakeLists.txt CMakePresets.json cmake include processor schemas deploy; do
    cp -r "$root/$part" "$scratch/"
done
cp -r "$root/tests/simulation" "$scratch/tests/"
cd "$scratch" || exit 1
sed -i 's/ -Werror / /' CMakeLists.txt # a bug may leave something unused
git init -q . # so that `git apply` takes paths from here

build() { cmake --build build/simulation --target simulation >build.log 2>&1; }
if ! cmake --preset simulation >build.log 2>&1 || ! build; then
    cat build.log
    exit 1
fi

caught=0 missed=0
printf '| bug | what it does | seeds | seen as |\n| --- | --- | --- | --- |\n'
for name in "${names[@]}"; do
    patch=$bugs/$name.patch
    what=$(head -n 1 "$patch" | sed 's/\.$//')
    if ! git apply -C1 --recount "$patch" 2>apply.log; then
        printf '| `%s` | %s | does not apply | |\n' "$name" "$what"
        cat apply.log >&2
        missed=$((missed + 1))
        continue
    fi
    if build; then
        result=$(build/simulation/tests/simulation/simulation --from 1 --count "$most")
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
    else
        printf '| `%s` | %s | does not compile | |\n' "$name" "$what"
        tail -n 20 build.log >&2
        missed=$((missed + 1))
    fi
    git apply -R -C1 --recount "$patch"
done
echo
echo "$caught passed, $missed failed"
[ "$missed" -eq 0 ]
