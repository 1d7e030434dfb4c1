/* SPDX-License-Identifier: MIT
 * cells.h - lanes of a grid of 1024 cells, different in trajectory, length and place, some of them very; and the
 * instruction sets of this machine. */
#ifndef NDE_TESTS_CELLS_H
#define NDE_TESTS_CELLS_H

#include "core/isa.h"
#include "noise/kernel.h"

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
