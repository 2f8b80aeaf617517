#!/usr/bin/env bash
# Tests the JSON Schemas of schemas/ with ajv: strict compilation, examples, refusals, deploy/rules.yaml.
# Installs the packages it needs first where they are missing.
set -euo pipefail
cd "$(dirname "$0")"

bash packages.sh
exec node validate.mjs
