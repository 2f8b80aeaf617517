#!/usr/bin/env bash
# Installs the pinned packages of package-lock.json beside this file where they are missing. Needs node ≥ 18 and npm.
set -euo pipefail
cd "$(dirname "$0")"

for tool in node npm; do
    command -v "$tool" >/dev/null || { echo "tests/schemas/packages.sh: $tool is not installed (Debian: apt-get install nodejs npm)" >&2; exit 69; }
done
# npm writes this file at the end of an installation: one that was interrupted, or of another lock file, is done again.
if [ ! -f node_modules/.package-lock.json ] || [ package-lock.json -nt node_modules/.package-lock.json ]; then
    npm ci --silent --no-audit --no-fund >&2
fi
