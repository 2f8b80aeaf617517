#!/usr/bin/env bash
# Plants each bug of this folder in a copy of the sources and counts the executions until the target that its first line
# names catches it. A bug that is not caught is a failure, and so is one that no longer applies.
#
#   tests/fuzz/bugs/run.sh [--most EXECUTIONS] [NAME...]     all bugs, or those named; at most 20 million each
#
# Prints a table. The last line counts. The fast build is used; only the changed files are compiled.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)
bugs=$root/tests/fuzz/bugs
build=$root/build/fuzz-fast
most=20000000
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
if ! (cd "$root" && cmake --preset fuzz-fast && cmake --build --preset fuzz-fast) >"$scratch/log" 2>&1; then
    cat "$scratch/log"
    exit 1
fi
cd "$build" || exit 1

# plant NAME TARGET: $scratch/target with the bug in it.
plant() {
    local file objects="" command link
    rm -rf "$scratch"/{processor,include,target}
    cp -r "$root/processor" "$root/include" "$scratch/"
    git -C "$scratch" apply -C1 --recount --unsafe-paths --directory="$scratch" "$bugs/$1.patch" || return 1
    ninja -t commands "tests/fuzz/fast_$2" >"$scratch/commands" || return 1
    link=$(tail -n 1 "$scratch/commands")
    while read -r file; do
        # The file's own command, on the copy, without dependencies written and without warnings that end it.
        command=$(grep -F -- "/$file" "$scratch/commands" | grep -F -- " -c " | head -n 1 |
            sed -E "s# -MD -MT [^ ]+ -MF [^ ]+##; s# -Werror # #; s# -o [^ ]+# -o $scratch/$(basename "$file").o#; s#(\.\./\.\.|$root)/(processor|include)#$scratch/\2#g")
        bash -c "$command" || return 1
        objects+=" $scratch/$(basename "$file").o"
    done < <(sed -nE 's#^\+\+\+ b/##p' "$bugs/$1.patch")
    # Before the libraries: what they have of the same names is not taken then.
    link=$(sed -E "s# -o tests/fuzz/fast_$2 # $objects -o $scratch/target #" <<<"$link")
    bash -c "$link"
}

caught=0 missed=0
printf '| bug | target | what it does | executions | seen as |\n| --- | --- | --- | ---: | --- |\n'
for name in "${names[@]}"; do
    IFS=: read -r target what < <(head -n 1 "$bugs/$name.patch")
    if ! plant "$name" "$target" >"$scratch/log" 2>&1; then
        printf '| `%s` | %s |%s | cannot be planted | |\n' "$name" "$target" "$what"
        tail -n 20 "$scratch/log" >&2
        missed=$((missed + 1))
        continue
    fi
    words=()
    [ -f "$root/tests/fuzz/$target.dict" ] && words=(--dict "$root/tests/fuzz/$target.dict")
    said=$("$scratch/target" --runs "$most" "${words[@]}" --failures "$scratch/found-" "$root/tests/fuzz/corpus/$target" 2>&1)
    if [[ $said =~ FOUND\ ([a-z]+)\ after\ ([0-9]+) ]]; then
        printf '| `%s` | %s |%s | %s | %s |\n' "$name" "$target" "$what" "${BASH_REMATCH[2]}" "${BASH_REMATCH[1]}"
        caught=$((caught + 1))
    else
        printf '| `%s` | %s |%s | not in %s | |\n' "$name" "$target" "$what" "$most"
        missed=$((missed + 1))
    fi
done
echo
echo "$caught passed, $missed failed"
[ "$missed" -eq 0 ]
