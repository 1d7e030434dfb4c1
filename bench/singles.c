/* SPDX-License-Identifier: MIT
 * singles.c - normals of 32 bits alone, for nde-noise: the library has them as increments only, scaled and rounded in double.
 * Its own file, compiled as there, so that these are the loops that are measured; its table has another name here. */
#define nde_noise_kernels bench_noise_kernels
#include "noise/kernel.c"
#include "singles.h"

void NDE_ISA_NAME(bench_singles)(uint64_t seed, size_t m, size_t n, const size_t *trajectory, const uint64_t *position,
                                 float *z) {
    drawn from;
    chunk lanes;
    take_seed(&lanes, seed);
    for (size_t b = 0; b < n; b++) lanes.trajectory[b] = trajectory[b], lanes.first[b] = position[b];
    take_lanes(&lanes, n), begin(&lanes, 0);
    for (size_t i = 0; i + 4 <= m; i += 4, z += 4*CHUNK) {
        draw(&lanes, NDE_PURPOSE_W_SINGLE, i/4, true, &from);
        for (size_t j = 0; j < 4; j += 2) to_singles(n, from.word[j], from.word[j + 1], z + j*CHUNK, z + (j + 1)*CHUNK);
    }
}
