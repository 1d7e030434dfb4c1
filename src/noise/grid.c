/* SPDX-License-Identifier: MIT
 * grid.c - the Brownian path of a grid of equal cells: increments that are made again whenever they
 * are needed. */
#include "noise/noise.h"

#include "core/isa.h"
#include "noise/kernel.h"

nde_status nde_noise_validate(const nde_noise *noise) {
    if (!noise) return nde_fail(NDE_E_ARG, "noise is NULL");
    nde_noise known;
    if (!nde_read_sized(&known, sizeof known, noise, sizeof known))
        return nde_fail(NDE_E_ARG,
                        "noise.size is %zu, which is not a layout that this library knows",
                        noise->size);
    if (noise->dim > (size_t)1 << 25)
        return nde_fail(NDE_E_SIZE,
                        "noise.dim is %zu: at most 2^25 components have a place in the counter",
                        noise->dim);
    if (noise->grid < 0)
        return nde_fail(NDE_E_ARG, "noise.grid is %lld: it must not be negative",
                        (long long)noise->grid);
    if (noise->grid > (int64_t)1 << 48)
        return nde_fail(NDE_E_SIZE,
                        "noise.grid is %lld: at most 2^48 cells have a place in the counter",
                        (long long)noise->grid);
    return NDE_OK;
}

/* The best kernel of this machine: all have equal bits, so that options.isa need not reach here. */
void nde_noise_increment(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld,
                         const size_t *trajectory, const double *cell, const int64_t *first,
                         int64_t count, double *dw) {
    nde_noise_kernel *kernel = nde_noise_kernel_baseline;
#ifdef NDE_HAVE_V3
    if (nde_isa_has(NDE_ISA_V3)) kernel = nde_noise_kernel_v3;
#endif
#ifdef NDE_HAVE_V4
    if (nde_isa_has(NDE_ISA_V4)) kernel = nde_noise_kernel_v4;
#endif
    kernel(noise, grid, m, n, ld, trajectory, cell, first, count, dw);
}
