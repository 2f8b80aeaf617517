#!/usr/bin/env bash
# Runs the unit, property and contract tests of the coverage preset and fails when a floor's lines are run to less than
# COVERAGE_LEAST (95) per cent. What is not run: build/test-logs/coverage/, a page a file.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
least=${COVERAGE_LEAST:-95}
pages=build/test-logs/coverage
mkdir -p "$pages"
find build/coverage -name '*.gcda' -delete
timeout 900 ctest --preset coverage --parallel "$(nproc)" -R '^(unit|property|contract|cli|records)/'

failed=0
for floor in core codec rules; do
    report=$(gcovr --root . --filter "processor/$floor/" --object-directory build/coverage \
        --html-details "$pages/$floor.html" --txt - --print-summary --gcov-ignore-parse-errors build/coverage)
    covered=$(sed -n 's/^lines: \([0-9.]*\)%.*/\1/p' <<<"$report")
    sed -n "/^processor\//p; s/^lines:/$floor:/p" <<<"$report"
    if [ -z "$covered" ] || [ "$(awk -v c="${covered:-0}" -v l="$least" 'BEGIN { print c < l }')" = 1 ]; then
        echo "FAIL $floor: ${covered:-nothing}% of the lines were run, $least% are wanted"
        failed=1
    fi
done
exit "$failed"
