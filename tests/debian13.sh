#!/usr/bin/env bash
# Builds and tests this working tree on Debian 13: newer librdkafka, simdjson, gcc, and a hiredis with TLS.
#
#   tests/debian13.sh [FOLDER]
#
# Needs root, debootstrap, and apt sources of Debian's own, whose mirror is used. FOLDER takes the Debian 13 system and
# is kept, so that the next run need not install it; without it a temporary one is made and removed.
set -euo pipefail

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
if [ "$(id -u)" -ne 0 ] || ! command -v debootstrap >/dev/null; then
    echo "debian13.sh needs root and debootstrap" >&2
    exit 77
fi

# A mount namespace of its own: what is mounted below ends with this script, and no clean-up can reach through it.
if [ "${1:-}" != --inside ]; then
    exec unshare --mount --propagation private --pid --fork --kill-child bash "${BASH_SOURCE[0]}" --inside "$@"
fi
shift

if [ $# -gt 0 ]; then
    system=$(realpath -m "$1")
else
    system=$(mktemp -d)
    trap 'umount -R "$system"/{proc,dev/shm} 2>/dev/null; rm -rf --one-file-system "$system"' EXIT
    trap 'exit 130' INT TERM
fi

if [ ! -e "$system/.bootstrapped" ]; then
    mirror=$(apt-get indextargets --format '$(ORIGIN)|$(LABEL)|$(REPO_URI)' 'Created-By: Packages' |
        sed -n 's/^Debian|Debian|//p' | head -n 1)
    if [ -z "$mirror" ]; then
        echo "debian13.sh finds no Debian archive in apt's sources (apt-get update may be needed)" >&2
        exit 69
    fi
    debootstrap --variant=minbase trixie "$system" "$mirror"
    touch "$system/.bootstrapped"
fi
mount -t proc proc "$system/proc"
mkdir -p "$system/dev/shm"
mount -t tmpfs tmpfs "$system/dev/shm"

# The tree as it stands, without what git ignores, and nothing built before.
rm -rf "$system/src"
mkdir "$system/src"
git -c safe.directory="$root" -C "$root" ls-files -z --cached --others --exclude-standard |
    tar -C "$root" --null --ignore-failed-read --files-from - -c | tar -C "$system/src" -x --no-same-owner

chroot "$system" /usr/bin/env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 TZ=UTC \
    JOBS="${JOBS:-$(nproc)}" bash -euo pipefail <<'INSIDE'
cd /src
bash tests/support/setup.sh build
DEBIAN_FRONTEND=noninteractive apt-get -q -y install --no-install-recommends libcriterion-dev python3
for preset in release dev; do
    cmake --preset "$preset" >/dev/null
    cmake --build --preset "$preset" --parallel "$JOBS"
done
build/release/tidemark version
build/release/tidemark version | grep -q 'hiredis .* with TLS'
python3 -B tests/support/pytests.py tests/cli/test_redis_tls.py tests/cli/test_process.py
ctest --preset dev --parallel "$JOBS" -R '^(unit|contract|property|cli)/'
INSIDE
echo "debian13.sh: all good"
