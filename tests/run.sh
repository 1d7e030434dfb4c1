#!/bin/sh
# SPDX-License-Identifier: MIT
# On a bare Debian 12: packages, build, all tests but the long ones. The last line says "N passed, N failed". Options go to Meson:
#   sh tests/run.sh [-Dwerror=true] ...
set -eu
cd "$(dirname "$0")/.."

packages="build-essential meson ninja-build pkg-config libopenblas-dev libcmocka-dev libfftw3-dev libsundials-dev python3 python3-numpy python3-markdown"
missing=""
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q "ok installed" || missing="$missing $package"
done
if [ -n "$missing" ] && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends $missing >/dev/null
elif [ -n "$missing" ]; then
    echo "not installed:$missing (as root this script installs them)" >&2
fi
export PATH="/usr/bin:/bin:$PATH" # Debian's Meson and Python before others

if [ -e build/build.ninja ]; then meson configure build -Dtests=true -Dbench=true -Dfftw=enabled "$@" # examples/run.sh leaves them out
else meson setup build -Dfftw=enabled "$@"; fi
ninja -C build
rm -f build/meson-logs/testlog.json # that of another run
meson test -C build --no-rebuild --no-suite long --quiet || true
python3 tests/support/report.py build/meson-logs/testlog.json
