#!/usr/bin/env bash
# Installs what is missing on Debian 12 or 13.
#
#   setup.sh build   what building tidemark and running its demo need
#   setup.sh test    that, and what the tests need: compilers for lint and fuzzing, Java, Node.js, Kafka's jars
#
# Quick when nothing is missing: it asks dpkg first and the network only then. Needs root or sudo to install.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
mode=${1:-}
case $mode in
build | test) ;;
*)
    echo "usage: setup.sh build|test" >&2
    exit 64
    ;;
esac

have() { command -v "$1" >/dev/null 2>&1; }

if ! have dpkg-query || ! have apt-get; then
    echo "setup.sh installs Debian packages and finds no apt-get here; README.md lists what is needed" >&2
    exit 69
fi

# Where releases have different names for a package, with | between them, the preferred one first.
packages=(build-essential cmake ninja-build pkg-config
    librdkafka-dev libjansson-dev libhiredis-dev libsodium-dev libsimdjson-dev libfyaml-dev libxxhash-dev libzstd-dev zlib1g-dev libssl-dev libmicrohttpd-dev
    redis-server tzdata ca-certificates)

if [ "$mode" = test ]; then
    packages+=(libcriterion-dev 'clang-14|clang-19' 'clang-tidy-14|clang-tidy-19' 'clang-format-14|clang-format-19'
        'libclang-rt-14-dev|libclang-rt-19-dev' help2man man-db
        zstd kcat sqlite3 python3 python3-yaml python3-prometheus-client systemd chromium)
    # Tools that may be there without Debian's package, from another supplier: those are as good.
    jdk=$(javac -version 2>&1 | sed -n 's/^javac \([0-9]*\).*/\1/p' || true)
    if [ "${jdk:-0}" -lt 17 ] || ! have java; then
        packages+=('openjdk-17-jdk-headless|openjdk-21-jdk-headless')
    fi
    have mvn || packages+=(maven)
    have node || packages+=(nodejs)
    have npm || packages+=(npm)
fi

installed() {
    local states
    # shellcheck disable=SC2086 # names have no blanks
    states=$(dpkg-query --show --showformat='${db:Status-Status}\n' ${1//|/ } 2>/dev/null || true)
    [[ $'\n'$states$'\n' == *$'\ninstalled\n'* ]]
}

# The first of the names that this release has; the first of all if it has none, for apt-get to complain of.
available() {
    local name
    for name in ${1//|/ }; do
        if apt-cache show "$name" >/dev/null 2>&1; then
            echo "$name"
            return
        fi
    done
    echo "${1%%|*}"
}

missing=()
for package in "${packages[@]}"; do
    installed "$package" || missing+=("$package")
done

if [ ${#missing[@]} -gt 0 ]; then
    echo "installing ${missing[*]}"
    as_root=()
    if [ "$(id -u)" -ne 0 ]; then
        have sudo || {
            echo "not root and no sudo: install these first: ${missing[*]}" >&2
            exit 77
        }
        as_root=(sudo)
    fi

    # The tests and the demo start Redis servers of their own. The package would start one more as a service: tell
    # the package system not to (policy-rc.d is its own means), and take that back at the end.
    policy=/usr/sbin/policy-rc.d
    made_policy=no
    if [ ! -e "$policy" ]; then
        printf '#!/bin/sh\nexit 101\n' | "${as_root[@]}" tee "$policy" >/dev/null
        "${as_root[@]}" chmod 755 "$policy"
        made_policy=yes
    fi
    finish() { if [ "$made_policy" = yes ]; then "${as_root[@]}" rm -f "$policy"; fi; }
    trap finish EXIT

    apt() {
        local try
        for try in 1 2 3; do
            if "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 "$@" </dev/null; then
                return 0
            fi
            echo "apt-get $1 failed (try $try of 3)" >&2
        done
        return 1
    }
    apt update
    chosen=()
    for package in "${missing[@]}"; do
        chosen+=("$(available "$package")")
    done
    apt install --no-install-recommends "${chosen[@]}"

    case " ${missing[*]} " in
    *" redis-server "*)
        if have systemctl; then
            "${as_root[@]}" systemctl disable redis-server.service >/dev/null 2>&1 || true
        fi
        ;;
    esac
fi

if [ "$mode" = test ]; then
    bash "$here/java/build.sh"
    bash "$here/../schemas/packages.sh"
fi
