/* SPDX-License-Identifier: MIT
 * cells.h - lanes of a grid of 1024 cells, different in trajectory, length and place, some of them very; and the
 * instruction sets of this machine. */
#ifndef NDE_TESTS_CELLS_H
#define NDE_TESTS_CELLS_H

#include "core/isa.h"
#include "noise/kernel.h"
#include "noise/normal.h"

static int32_t normals; /* NDE_NORMALS_*: tests run with all of them */

static inline nde_noise seeded(uint64_t seed) { return (nde_noise){ .seed = seed, .normals = normals }; }

/* The normal of W, H or K (NDE_PURPOSE_W, _H, _K), one by one, as the header's layout of the counter says. */
static inline double normal_of(uint64_t seed, unsigned what, uint64_t trajectory, uint64_t position, uint64_t component) {
    if (normals == NDE_NORMALS_DOUBLE) return nde_normal(seed, what, trajectory, position, component);
    const uint32_t counter[4] = { (uint32_t)(component/4) | (11 + what) << 24, (uint32_t)position,
                                  (uint32_t)(position >> 32) | (uint32_t)(trajectory >> 32) << 16, (uint32_t)trajectory };
    nde_block x;
    memcpy(x.x, counter, sizeof counter);
    x = nde_philox(x, (uint32_t)seed, (uint32_t)(seed >> 32));
    const uint32_t *word = x.x + component % 4/2*2;
    float k, f, sine, cosine;
    const float s = nde_log_parts_single(nde_to_uniform_single(word[0]), &k, &f);
    const float radius = sqrtf(2*nde_minus_log_sum_single(k, f, s));
    nde_sincos_single(word[1], &sine, &cosine);
    return (double)(radius*(component % 2 ? sine : cosine));
}

enum { M = 5, N = 131, LD = 136 };

typedef struct lanes {
    size_t trajectory[N];
    double cell[N];
    int64_t first[N];
} lanes;

static inline lanes some_lanes(void) {
    lanes l;
    for (size_t b = 0; b < N; b++) {
        l.trajectory[b] = (b*7919) % 1000 + (b == 5 ? (size_t)1 << 40 : 0);
        l.cell[b] = b == 17 ? 1e-30 : 0.01*(double)(b + 1);
        l.first[b] = (int64_t)(b % 13)*8 + (b == 9 ? (int64_t)1 << 35 : 0);
    }
    return l;
}

/* The same lanes so many cells later. */
static inline lanes later(const lanes *l, int64_t cells) {
    lanes moved = *l;
    for (size_t b = 0; b < N; b++) moved.first[b] += cells;
    return moved;
}

/* Calls check with the kernels of each instruction set. */
static inline void for_each_isa(void (*check)(const nde_noise_kernels *kernels)) {
    for (int isa = NDE_ISA_BASELINE; isa <= NDE_ISA_V4; isa++)
        if (nde_isa_has(isa)) check(nde_noise_kernels_get(isa));
}

#endif
