#!/bin/sh
# SPDX-License-Identifier: MIT
# The site, in build/site, on a bare Debian 12: packages, the examples with their pictures, all pages.
set -eu
cd "$(dirname "$0")/.."
if ! dpkg-query -W python3-markdown python3-numpy >/dev/null 2>&1 && [ "$(id -u)" = 0 ]; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq
    apt-get install -qq -y --no-install-recommends python3-markdown python3-numpy >/dev/null
fi
sh examples/run.sh --quick >/dev/null
export PATH="/usr/bin:/bin:$PATH"
ninja -C build src/python/all
python3 docs/site.py build build/site
echo "build/site/index.html"
