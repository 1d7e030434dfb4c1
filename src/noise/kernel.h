/* SPDX-License-Identifier: MIT
 * kernel.h - what is drawn from the generator, compiled for each instruction set; equal bits in all of them. */
#ifndef NDE_NOISE_KERNEL_H
#define NDE_NOISE_KERNEL_H

#include "noise/noise.h"

typedef struct nde_noise_kernels {
    /* nde_noise_cells. */
    void (*cells)(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                  const double *cell, const int64_t *first, int64_t count, double *w, double *h, double *k);
    /* z [sets][m][NDE_NOISE_PIECE]: normals of a purpose at position [n], to which set 0, 1, 2 adds its number times 2^46;
     * n <= NDE_NOISE_PIECE. */
    void (*normals)(uint64_t seed, unsigned purpose, size_t m, size_t n, const size_t *trajectory, const uint64_t *position,
                    size_t sets, double *z);
} nde_noise_kernels;

extern const nde_noise_kernels nde_noise_kernels_baseline, nde_noise_kernels_v3, nde_noise_kernels_v4;

/* Those of an instruction set (NDE_ISA_AUTO: the best of this machine); NULL when it was not compiled in or the machine
 * lacks it. */
const nde_noise_kernels *nde_noise_kernels_get(int isa);

#endif
