/* SPDX-License-Identifier: MIT
 * kernel.h - nde_noise_cells compiled for each instruction set; equal bits in all of them. */
#ifndef NDE_NOISE_KERNEL_H
#define NDE_NOISE_KERNEL_H

#include "noise/noise.h"

typedef void nde_noise_kernel(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                              const double *cell, const int64_t *first, int64_t count, double *w, double *h, double *k);

extern nde_noise_kernel nde_noise_kernel_baseline, nde_noise_kernel_v3, nde_noise_kernel_v4;

/* z [sets][m][NDE_NOISE_PIECE]: normals of a purpose at position [n], to which set 0, 1, 2 adds its number times 2^46;
 * n <= NDE_NOISE_PIECE. */
typedef void nde_normals_kernel(uint64_t seed, unsigned purpose, size_t m, size_t n, const size_t *trajectory,
                                const uint64_t *position, size_t sets, double *z);
extern nde_normals_kernel nde_normals_kernel_baseline, nde_normals_kernel_v3, nde_normals_kernel_v4;
/* The best of this machine. */
void nde_noise_normals(uint64_t seed, unsigned purpose, size_t m, size_t n, const size_t *trajectory, const uint64_t *position,
                       size_t sets, double *z);

#endif
