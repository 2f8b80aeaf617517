#!/usr/bin/env bash
# Brings the jars of a Kafka broker and its Java clients into tests/.cache/kafka/libs. Quick when they are there.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
cache=$(cd "$here/../.." && pwd)/.cache/kafka
libs=$cache/libs
mark=$cache/complete-for
wanted=$(sha256sum "$here/pom.xml" | cut -d' ' -f1)

if [ -d "$libs" ] && [ "$(cat "$mark" 2>/dev/null)" = "$wanted" ]; then
    exit 0
fi

mkdir -p "$cache"
# A directory of its own and a rename at the end: an interrupted download never looks like a whole one.
fresh=$(mktemp -d "$cache/libs.XXXXXX")
log=$cache/fetch.log
trap 'rm -rf "$fresh"' EXIT
echo "fetching Kafka's jars with mvn (log: $log)"
fetched=no
for try in 1 2 3; do
    if mvn --batch-mode --file "$here/pom.xml" dependency:copy-dependencies \
        -DincludeScope=runtime -DoutputDirectory="$fresh" </dev/null >"$log" 2>&1; then
        fetched=yes
        break
    fi
    echo "mvn failed (try $try of 3)" >&2
done
if [ "$fetched" != yes ]; then
    grep -m 5 ERROR "$log" >&2 || tail -n 20 "$log" >&2
    exit 1
fi
rm -rf "$libs"
mv "$fresh" "$libs"
chmod 755 "$libs"
echo "$wanted" >"$mark"
