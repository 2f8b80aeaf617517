#!/usr/bin/env bash
# Holds what the encoders write to the schemas: validate.sh RECORD_SAMPLES SCHEMA LEAST. Fields that no schema names are
# refused. The packages of tests/schemas must be there (tests/schemas/run.sh installs them).
set -euo pipefail
samples=$1 schema=$2 least=$3
"$samples" "$schema" | node "$(dirname "$0")/../schemas/validate.mjs" --closed --min "$least" "$schema" -
