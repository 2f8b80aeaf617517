#!/usr/bin/env bash
# Compiles the Java test clients against the jars of kafka/fetch.sh into tests/.cache/java. Quick when nothing changed.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$here/../.." && pwd)/.cache
out=$cache/java
mkdir -p "$cache"
exec 9>"$cache/java.lock"
flock 9 # several test processes may come here at once
bash "$here/../kafka/fetch.sh"

wanted=$(cat "$here"/*.java "$cache/kafka/complete-for" | sha256sum | cut -d' ' -f1)
if [ "$(cat "$out/complete-for" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi
rm -rf "$out"
mkdir -p "$out"
javac --release 17 -Xlint:all,-processing,-classfile -Werror -proc:none -cp "$cache/kafka/libs/*" -d "$out" "$here"/*.java
echo "$wanted" >"$out/complete-for"
