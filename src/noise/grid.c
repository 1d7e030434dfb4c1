/* SPDX-License-Identifier: MIT
 * grid.c - the Brownian path of a grid of equal cells: increments that are made again whenever they
 * are needed. */
#include "noise/noise.h"

#include "core/isa.h"
#include "noise/kernel.h"

const nde_noise_kernels *nde_noise_kernels_get(int isa) {
    if (isa == NDE_ISA_AUTO) isa = nde_isa_best();
    if (!nde_isa_has(isa)) return NULL;
#ifdef NDE_HAVE_V4
    if (isa == NDE_ISA_V4) return &nde_noise_kernels_v4;
#endif
#ifdef NDE_HAVE_V3
    if (isa == NDE_ISA_V3) return &nde_noise_kernels_v3;
#endif
    return &nde_noise_kernels_baseline;
}

/* By the best kernels of this machine. */
void nde_noise_cells(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                     const double *cell, const int64_t *first, int64_t count, double *w, double *h, double *k) {
    nde_noise_kernels_get(NDE_ISA_AUTO)->cells(noise, grid, m, n, ld, trajectory, cell, first, count, w, h, k);
}

void nde_noise_increment(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                         const double *cell, const int64_t *first, int64_t count, double *dw) {
    nde_noise_cells(noise, grid, m, n, ld, trajectory, cell, first, count, dw, NULL, NULL);
}
