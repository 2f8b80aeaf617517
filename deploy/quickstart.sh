#!/usr/bin/env bash
# From a fresh Debian 12 or 13 machine to signals: installs what is missing, builds tidemark, and shows it at work on an
# embedded Kafka and Redis. Arguments go to `tidemark demo`.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bash "$root/tests/support/setup.sh" build
(
    cd "$root"
    mkdir -p build
    cmake --preset release >build/configure-release.log 2>&1 || {
        cat build/configure-release.log >&2
        exit 1
    }
    cmake --build --preset release --target tidemark
)
exec "$root/build/release/tidemark" demo "$@"
