#!/usr/bin/env bash
# What the tests run of core and pipeline, as branches: unit, property and contract tests, the simulation, and torture,
# in one build that counts (preset coverage). Fails under COVERAGE_LEAST (95) per cent of the branches of either, and for
# each branch that no test takes and tests/support/uncovered.txt does not explain. codec and rules are told, not held.
# Every branch not taken, the explained ones too: build/test-logs/coverage.txt.
#
#   tests/support/coverage.sh            clears the counters, runs everything, and tells
#   tests/support/coverage.sh --again    runs everything on top of what was counted
#   tests/support/coverage.sh --tell     only tells what was counted so far
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
cd "$root"
build=build/coverage
mkdir -p build/test-logs

if [ "${1:-}" != --tell ]; then
    [ "${1:-}" = --again ] || find $build -name '*.gcda' -delete
    timeout 900 ctest --preset coverage --parallel "$(nproc)" -R '^(unit|property|contract|cli|records)/'
    bash tests/simulation/test.sh seeds $build/tests/simulation/simulation "${COVERAGE_SEEDS:-3000}" "$(nproc)"
    torture=$build/tests/torture/torture
    # What needs no server, a dozen refusals each; but each allocation and each call of a worker's whole life.
    $torture --runs 12 pack testfile mapping event event-jansson account journal state outbox replay eval test
    $torture --every 1 worker
    $torture --every 9 rebuild tail
    $torture --every 3 worker-ports rebuild-ports tail-ports
fi
python3 tests/support/branches.py $build --all >build/test-logs/coverage.txt || true
python3 tests/support/branches.py $build --least "${COVERAGE_LEAST:-95}"
