/* SPDX-License-Identifier: MIT
 * grid.c - the Brownian path of a grid of equal cells: increments that are made again whenever they
 * are needed. */
#include "noise/noise.h"

#include "core/isa.h"
#include "noise/kernel.h"

nde_status nde_noise_read(nde_noise *known, const nde_noise *noise) {
    if (!noise) return nde_fail(NDE_E_ARG, "noise is NULL");
    if (!nde_read_sized(known, sizeof *known, noise, sizeof *known))
        return nde_fail(NDE_E_ARG,
                        "noise.size is %zu, which is not a layout that this library knows",
                        noise->size);
    if (known->dim > (size_t)1 << 25)
        return nde_fail(NDE_E_SIZE,
                        "noise.dim is %zu: at most 2^25 components have a place in the counter",
                        known->dim);
    if (known->grid < 0)
        return nde_fail(NDE_E_ARG, "noise.grid is %lld: it must not be negative",
                        (long long)known->grid);
    if (known->grid > (int64_t)1 << 48)
        return nde_fail(NDE_E_SIZE,
                        "noise.grid is %lld: at most 2^48 cells have a place in the counter",
                        (long long)known->grid);
    return NDE_OK;
}

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

/* Lanes in pieces that a stack holds: the span's own cells, so that the path is one for any number of steps. */
void nde_noise_over(const nde_noise *noise, const nde_noise_at *at, size_t m, double *w, double *h, double *k) {
    enum { PIECE = 64 };
    double cell[PIECE];
    for (size_t begin = 0; begin < at->n; begin += PIECE) {
        const size_t n = at->n - begin < PIECE ? at->n - begin : PIECE;
        for (size_t b = 0; b < n; b++) cell[b] = (at->t1[begin + b] - at->t0[begin + b])/(double)at->grid;
        nde_noise_cells(noise, at->grid, m, n, at->ld, at->trajectory + begin, cell, at->first + begin, at->count, w + begin,
                        h ? h + begin : NULL, k ? k + begin : NULL);
    }
}
