#!/usr/bin/env bash
# Installs what the tests need (Debian 12), builds, and runs them, stage by stage; stops at the first that fails.
#
#   tests/run.sh [all]          everything
#   tests/run.sh STAGE...       unit | lint | simulation | model | schemas | integration | crash | torture | fuzz
#   tests/run.sh tsan           the program with the thread sanitizer, through the integration tests with several threads
#   tests/run.sh coverage       which branches of core and pipeline the tests take; under 95 %, or one unexplained, is a failure
#   tests/run.sh integration -- -k NAME     only the tests whose name contains NAME
#
# Works without a terminal and without standard input. Logs of the stages: build/test-logs/. The last line counts; before
# it stands by name what failed, since of a long output often only the end is kept.
set -uo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$root" || exit 1
exec </dev/null
export LC_ALL=C.UTF-8 TZ=UTC PYTHONDONTWRITEBYTECODE=1
logs=build/test-logs
mkdir -p "$logs"

known=(unit lint simulation model schemas integration crash torture fuzz)
wanted=()
filters=()
while [ $# -gt 0 ]; do
    case $1 in
    all) wanted+=("${known[@]}") ;;
    unit | lint | simulation | model | schemas | integration | crash | torture | fuzz) wanted+=("$1") ;;
    coverage | tsan) wanted+=("$1") ;; # not part of all: the same tests on another build
    --)
        shift
        filters=("$@")
        break
        ;;
    -h | --help)
        sed -n '2,/^set /{/^#/s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}"
        exit 0
        ;;
    *)
        echo "tests/run.sh: no stage '$1'; there are: ${known[*]} coverage tsan all" >&2
        exit 64
        ;;
    esac
    shift
done
everything=no
if [ ${#wanted[@]} -eq 0 ]; then
    wanted=("${known[@]}")
fi
[ ${#wanted[@]} -ge ${#known[@]} ] && everything=yes

passed=0 failed=0 skipped=0 times=()
begun=$SECONDS

# By name, a line each and no longer than 300 characters: what failed, and what passed only when tried again.
failures=()
name_failures() {
    local stage=$1 log=$2 line found=no
    while IFS= read -r line; do
        failures+=("$stage: ${line:0:300}")
        found=yes
    done < <(grep -aE '^FAILED ' "$log" | head -n 40
        sed -nE 's/^[[:space:]]*[0-9]+ - ([^ ]+) \((.*)\).*$/FAILED \1: \2/p' "$log" | head -n 40
        grep -aE '\[(FAIL|CRASH|ERR )\]|\[----\] .*Assertion' "$log" | head -n 10)
    [ "$found" = yes ] && return
    while IFS= read -r line; do # a stage that has no words of its own for it
        failures+=("$stage: ${line:0:300}")
    done < <(grep -av '^[[:space:]]*$' "$log" | tail -n 8)
}

seconds=()
finish() {
    echo
    [ ${#seconds[@]} -eq 0 ] || printf '%s\n' "${seconds[@]}"
    [ ${#failures[@]} -eq 0 ] || printf '%s\n' "${failures[@]}"
    echo "$passed passed, $failed failed, $skipped skipped"
    exit "$1"
}

# What a stage printed, as counts: ctest's summary, or the last plain 'N passed, N failed[, N skipped]'.
count() {
    local log=$1 line
    line=$(grep -aE '^[0-9]+% tests passed, [0-9]+ tests? failed out of [0-9]+' "$log" | tail -n 1)
    if [[ $line =~ passed,\ ([0-9]+)\ tests?\ failed\ out\ of\ ([0-9]+) ]]; then
        failed=$((failed + BASH_REMATCH[1]))
        passed=$((passed + BASH_REMATCH[2] - BASH_REMATCH[1]))
        return
    fi
    line=$(grep -aE '^([A-Za-z]+: )?[0-9]+ passed, [0-9]+ failed(, [0-9]+ skipped)?$' "$log" | tail -n 1)
    if [[ $line =~ ([0-9]+)\ passed,\ ([0-9]+)\ failed(,\ ([0-9]+)\ skipped)? ]]; then
        passed=$((passed + BASH_REMATCH[1]))
        failed=$((failed + BASH_REMATCH[2]))
        skipped=$((skipped + ${BASH_REMATCH[4]:-0}))
    fi
}

# stage NAME COMMAND...: announces it, runs it with its output shown and kept, and stops everything if it fails.
stage() {
    local name=$1 start=$SECONDS status line before=$failed
    shift
    echo "=== $name"
    "$@" 2>&1 | tee "$logs/$name.log"
    status=${PIPESTATUS[0]}
    count "$logs/$name.log"
    while IFS= read -r line; do
        seconds+=("$name: ${line:0:400}")
    done < <(grep -aE '^ok again ' "$logs/$name.log")
    if [ "$status" -ne 0 ]; then
        [ "$failed" -gt "$before" ] || failed=$((failed + 1))
        name_failures "$name" "$logs/$name.log"
        echo "=== $name FAILED with status $status after $((SECONDS - start)) s (log: $logs/$name.log)"
        finish 1
    fi
    times+=("$name $((SECONDS - start))")
    echo "=== $name: good, $((SECONDS - start)) s"
}

is_wanted() { [[ " ${wanted[*]} " == *" $1 "* ]]; }

# Is there anything for a stage to run? One that was asked for by name and has nothing is an error.
enabled() {
    local name=$1
    shift
    is_wanted "$name" || return 1
    local file
    for file in "$@"; do
        [ -e "$file" ] && return 0
    done
    [ "$everything" = yes ] && return 1
    echo "tests/run.sh: there is nothing to run for stage '$name'" >&2
    exit 66
}

# A preset's configure step says much and is needed rarely: it is shown when it fails.
build() {
    local preset=$1
    cmake --preset "$preset" >"$logs/configure-$preset.log" 2>&1 || {
        cat "$logs/configure-$preset.log"
        return 1
    }
    cmake --build --preset "$preset"
}

built=" "
need() {
    [[ $built == *" $1 "* ]] && return
    stage "build-$1" build "$1"
    built+="$1 "
}

python=
find_python() {
    local candidate
    for candidate in python3 /usr/bin/python3; do
        if "$candidate" -c 'import sys, yaml; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then
            python=$candidate
            return
        fi
    done
    echo "no Python 3.11 with PyYAML; python3 and python3-yaml of Debian 12 are one" >&2
    finish 1
}

shopt -s nullglob globstar
stage setup bash tests/support/setup.sh test
find_python

model_tests=()
for file in tests/**/test_*.py; do
    case $file in
    tests/integration/* | tests/schemas/* | */node_modules/* | tests/.cache/*) ;;
    *) model_tests+=("$file") ;;
    esac
done

if enabled unit tests/{unit,contract,property}/*_test.c; then
    need dev
    stage unit timeout -k 30 2400 ctest --preset dev --parallel "$(nproc)" -E '^(lint|schemas)/'
fi
if enabled lint tests/lint/CMakeLists.txt; then
    need dev
    stage lint timeout -k 30 1800 ctest --preset dev --parallel "$(nproc)" -R '^lint/'
fi
# A build of its own, optimised and without sanitizers, since thousands of seeds count here; some go through the unit stage
# with sanitizers. Then three planted bugs, to show that the judge can fail.
seeds() {
    bash tests/simulation/test.sh hashes build/simulation/tests/simulation/simulation &&
        bash tests/simulation/bugs/run.sh c_compared_ge fingerprints_not_restored settle_trusts_retry &&
        bash tests/simulation/test.sh seeds build/simulation/tests/simulation/simulation 4000 "$(nproc)"
}
if enabled simulation tests/simulation/CMakeLists.txt; then
    need simulation
    stage simulation seeds
fi
if enabled model "${model_tests[@]}"; then
    need release
    stage model timeout -k 30 1800 "$python" tests/support/pytests.py "${filters[@]}" "${model_tests[@]}"
fi
if enabled schemas tests/schemas/run.sh; then
    need release
    stage schemas timeout -k 30 1200 bash tests/schemas/run.sh
fi
if enabled integration tests/integration/test_*.py; then
    need crash
    need release
    # Three lanes, since most of it waits for others; what takes longest begins first.
    stage integration timeout -k 30 2700 "$python" tests/support/pytests.py --lanes 3 "${filters[@]}" \
        tests/integration/test_main_job.py tests/integration
fi
if enabled crash tests/crash/campaign.py; then
    need crash
    stage crash timeout -k 30 1800 "$python" tests/crash/campaign.py --ci
fi
if enabled torture tests/torture/CMakeLists.txt; then
    need dev
    stage torture timeout -k 30 900 build/dev/tests/torture/torture --runs 12
fi
if enabled fuzz tests/fuzz/CMakeLists.txt; then
    need fuzz
    stage fuzz timeout -k 30 2400 bash tests/fuzz/run.sh
fi

# A report of the sanitizer ends the program with 66, and every test looks at how it ended.
threads() {
    TIDEMARK=$root/build/tsan/tidemark TSAN_OPTIONS="exitcode=66 suppressions=$root/tests/support/tsan.supp" \
        "$python" tests/support/pytests.py --lanes 2 "${filters[@]}" \
        tests/integration/test_{splits,crash,silence,reload,checks,erase,demo,live_values,http}.py
}
if enabled tsan tests/support/tsan.supp; then
    need tsan
    stage tsan threads
fi
if enabled coverage tests/support/coverage.sh; then
    need coverage
    stage coverage timeout -k 30 2400 bash tests/support/coverage.sh
fi

echo "=== everything took $((SECONDS - begun)) s: ${times[*]}"
if [ $((passed + skipped)) -eq 0 ]; then
    echo "no test was run" >&2
    finish 1
fi
finish 0
