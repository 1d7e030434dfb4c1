/* SPDX-License-Identifier: MIT
 * grid.c - the Brownian path of a grid of equal cells: increments that are made again whenever they
 * are needed. */
#include "noise/noise.h"

#include "core/isa.h"
#include "noise/kernel.h"

/* The best kernel of this machine: all have equal bits, so that options.isa need not reach here. */
void nde_noise_cells(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                     const double *cell, const int64_t *first, int64_t count, double *w, double *h, double *k) {
    nde_noise_kernel *kernel = nde_noise_kernel_baseline;
#ifdef NDE_HAVE_V3
    if (nde_isa_has(NDE_ISA_V3)) kernel = nde_noise_kernel_v3;
#endif
#ifdef NDE_HAVE_V4
    if (nde_isa_has(NDE_ISA_V4)) kernel = nde_noise_kernel_v4;
#endif
    kernel(noise, grid, m, n, ld, trajectory, cell, first, count, w, h, k);
}

void nde_noise_increment(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                         const double *cell, const int64_t *first, int64_t count, double *dw) {
    nde_noise_cells(noise, grid, m, n, ld, trajectory, cell, first, count, dw, NULL, NULL);
}

void nde_noise_normals(uint64_t seed, unsigned purpose, size_t m, size_t n, const size_t *trajectory, const uint64_t *position,
                       size_t sets, double *z) {
    nde_normals_kernel *kernel = nde_normals_kernel_baseline;
#ifdef NDE_HAVE_V3
    if (nde_isa_has(NDE_ISA_V3)) kernel = nde_normals_kernel_v3;
#endif
#ifdef NDE_HAVE_V4
    if (nde_isa_has(NDE_ISA_V4)) kernel = nde_normals_kernel_v4;
#endif
    kernel(seed, purpose, m, n, trajectory, position, sets, z);
}
