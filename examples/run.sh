#!/bin/sh
# SPDX-License-Identifier: MIT
# On a bare Debian 12: packages, build, the examples. Pictures and parameters go to build/pictures. Options go to lynx_hare:
#   sh examples/run.sh [--quick] [--seed N] ...
set -eu
cd "$(dirname "$0")/.."

packages="build-essential meson ninja-build pkg-config libopenblas-dev libfftw3-dev"
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
export PATH="/usr/bin:/bin:$PATH" # Debian's Meson before others

# Without the tests, which need more packages; tests/run.sh switches them on in the same folder.
if [ -e build/build.ninja ]; then meson configure build -Dfftw=enabled
else meson setup build -Dtests=false -Dbench=false -Dfftw=enabled; fi
pictures="lorenz kepler three_body pleiades spiral neural_lorenz kdv emulator robertson hires reaction_diffusion"
others="bouncing_ball equation lynx_hare chaos ensemble regularised hnn lnn ude ude_hares cnf pinn_heat ou gbm_option deq
    stiff_neural battery_thermal neural_sde latent_sde sde_gan"
ninja -C build $(printf "examples/%s " $pictures $others)

build/examples/bouncing_ball
build/examples/equation
mkdir -p build/pictures
for name in $pictures; do "build/examples/$name" "build/pictures/$name.svg"; done
build/examples/chaos 10000 build/pictures/chaos.svg
build/examples/ensemble 100000 1 build/pictures/ensemble.svg
build/examples/regularised 3 build/pictures/regularised.svg
for name in hnn lnn ude ude_hares; do "build/examples/$name" 1 "build/pictures/$name.svg"; done
build/examples/cnf 800 1 build/pictures/cnf.svg
build/examples/deq 1 build/pictures/deq.svg
build/examples/stiff_neural 150 1 build/pictures/stiff_neural.svg
build/examples/battery_thermal 1 build/pictures/battery_thermal.svg
build/examples/neural_sde 1500 1 build/pictures/neural_sde.svg
build/examples/latent_sde 1500 1 build/pictures/latent_sde.svg
build/examples/sde_gan 2000 1 build/pictures/sde_gan.svg
build/examples/pinn_heat 1 build/pictures/pinn_heat.svg
build/examples/ou 20000 build/pictures/ou.svg
build/examples/gbm_option
build/examples/lynx_hare --out build/pictures "$@"
