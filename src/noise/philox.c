/* SPDX-License-Identifier: MIT
 * philox.c - single random numbers as pure functions of (seed, purpose, trajectory, position,
 * component). */
#include "nde/base.h"
#include "noise/normal.h"

/* The two 64-bit halves of a block. */
static void halves(uint64_t seed, unsigned purpose, uint64_t trajectory, uint64_t position,
                   uint64_t component, uint64_t *even, uint64_t *odd) {
    const nde_block x = nde_philox(nde_counter(purpose, trajectory, position, component),
                                   (uint32_t)seed, (uint32_t)(seed >> 32));
    *even = x.x[0] | (uint64_t)x.x[1] << 32;
    *odd = x.x[2] | (uint64_t)x.x[3] << 32;
}

double nde_normal(uint64_t seed, unsigned purpose, uint64_t trajectory, uint64_t position,
                  uint64_t component) {
    uint64_t even, odd;
    double z[2];
    halves(seed, purpose, trajectory, position, component, &even, &odd);
    nde_box_muller(nde_minus_log(nde_to_uniform(even)), odd, z, z + 1);
    return z[component & 1];
}

double nde_uniform(uint64_t seed, unsigned purpose, uint64_t trajectory, uint64_t position,
                   uint64_t component) {
    uint64_t bits[2];
    halves(seed, purpose, trajectory, position, component, bits, bits + 1);
    return nde_to_uniform(bits[component & 1]);
}
