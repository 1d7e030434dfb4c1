/* SPDX-License-Identifier: MIT
 * grid.c - the Brownian path of a grid of equal cells: increments that are made again whenever they are needed.
 *
 * The increment of a cell is sqrt(cell)*z, rounded to a multiple of 2^(e - 44), where 2^e is the least power of two >= sqrt(span)
 * and span is the length of the grid. W stays far below 2^(e + 9), so that every sum of increments is exact in double: over
 * adjoining cells they add up to the bit, in any order. The rounding is 2^-45 sqrt(span) at most, 10^-13 of what W does over the
 * span. */
#include "noise/noise.h"

#include <math.h>

#include "core/isa.h"
#include "noise/kernel.h"
#include "noise/normal.h"

nde_status nde_noise_validate(const nde_noise *noise) {
    if (!noise) return nde_fail(NDE_E_ARG, "noise is NULL");
    if (noise->size && noise->size != sizeof *noise)
        return nde_fail(NDE_E_ARG, "noise.size is %zu, which is not a layout that this library knows", noise->size);
    if (noise->dim > (size_t)1 << 25)
        return nde_fail(NDE_E_SIZE, "noise.dim is %zu: at most 2^25 components have a place in the counter", noise->dim);
    if (noise->grid < 0) return nde_fail(NDE_E_ARG, "noise.grid is %lld: it must not be negative", (long long)noise->grid);
    if (noise->grid > (int64_t)1 << 48)
        return nde_fail(NDE_E_SIZE, "noise.grid is %lld: at most 2^48 cells have a place in the counter", (long long)noise->grid);
    return NDE_OK;
}

/* The kernels have equal bits: which one runs is nobody's concern. */
static nde_noise_kernel *best_kernel(void) {
    switch (nde_isa_best()) {
#ifdef NDE_HAVE_V4
    case NDE_ISA_V4: return nde_noise_kernel_v4;
#endif
#ifdef NDE_HAVE_V3
    case NDE_ISA_V3: return nde_noise_kernel_v3;
#endif
    default: return nde_noise_kernel_baseline;
    }
}

/* The least power of two >= x, for x normal. A span within 2^-39 above a power of four counts as that one: cells whose length
 * comes from rounded times then agree on the unit. */
static double power_of_two(double x) {
    return nde_from_bits((nde_bits_of(x*(1 - 0x1p-40)) + UINT64_C(0x000fffffffffffff)) & UINT64_C(0x7ff0000000000000));
}

static void fill(nde_noise_chunk *chunk, int64_t grid, size_t n, const size_t *trajectory, const double *cell, const int64_t *first) {
    chunk->n = n;
    for (size_t b = 0; b < n; b++) {
        chunk->trajectory[b] = trajectory[b];
        chunk->first[b] = (uint64_t)first[b];
        chunk->scale[b] = sqrt(cell[b]);
        chunk->round[b] = 0x1.8p8*power_of_two(sqrt(cell[b]*(double)grid)); /* 1.5 2^52 units */
    }
    for (size_t b = n; b % NDE_NOISE_STRIDE; b++) chunk->trajectory[b] = chunk->first[b] = 0;
}

void nde_noise_increment(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                         const double *cell, const int64_t *first, int64_t count, double *dw) {
    nde_noise_kernel *const sums = best_kernel();
    nde_noise_chunk chunk;
    double even[NDE_NOISE_CHUNK], odd[NDE_NOISE_CHUNK];
    chunk.seed = noise->seed;
    chunk.count = count > 0 ? (uint64_t)count : 0;
    for (size_t begin = 0; begin < n; begin += NDE_NOISE_CHUNK) {
        const size_t width = n - begin < NDE_NOISE_CHUNK ? n - begin : NDE_NOISE_CHUNK;
        fill(&chunk, grid, width, trajectory + begin, cell + begin, first + begin);
        for (size_t i = 0; i < m; i += 2) {
            sums(&chunk, i, even, odd);
            memcpy(dw + i*ld + begin, even, width*sizeof *even);
            if (i + 1 < m) memcpy(dw + (i + 1)*ld + begin, odd, width*sizeof *odd);
        }
    }
}
