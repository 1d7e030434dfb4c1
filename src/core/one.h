/* SPDX-License-Identifier: MIT
 * one.h - combination of slopes and error norm for one trajectory: a plain vector. Vectors of rows where there are enough of
 * them; what the compiler vectorises of a loop with a run-time trip count of 3 costs twice the step. The newest slope is added
 * last: it alone is on the critical path. Same bits as the kernels of lanes. */
#ifndef NDE_ONE_H
#define NDE_ONE_H

#include "core/isa.h"
#include "core/step.h"

#if defined(__clang__)
#define NDE_SCALAR_LOOP _Pragma("clang loop vectorize(disable) unroll(disable)")
#define NDE_UNROLL _Pragma("clang loop unroll(full)")
#define NDE_UNROLL_KNOWN
#else
#define NDE_SCALAR_LOOP _Pragma("GCC unroll 1")
#define NDE_UNROLL _Pragma("GCC unroll 8")
#define NDE_UNROLL_KNOWN NDE_UNROLL /* where the count may be known; clang finds that out, and warns where it is told to and
                                     * cannot */
#endif

enum { NDE_ONE_LANES = NDE_VECTOR_BYTES/(int)sizeof(nde_real), NDE_ONE_MOST = 8 /* slopes a pass */ };
#define NDE_EACH_COUNT(X) X(1) X(2) X(3) X(4) X(5) X(6) X(7) X(8)
typedef nde_real nde_one_vector __attribute__((vector_size(NDE_VECTOR_BYTES), aligned(sizeof(nde_real)), may_alias));

/* z = y + the sum of `count` slopes, a constant once compiled, as is wide: by vectors of rows first. */
static inline __attribute__((always_inline)) void nde_combine_some(int count, bool wide, size_t rows, nde_real h,
                                                                   const nde_real *w, const int *at, const nde_real *k,
                                                                   size_t slab, const nde_real *y, nde_real *z) {
    nde_real c[NDE_ONE_MOST];
    const nde_real *x[NDE_ONE_MOST];
    size_t i = 0;
    NDE_UNROLL for (int j = 0; j < count; j++) c[j] = h*w[j], x[j] = k + (size_t)at[j]*slab;
    for (; wide && i + NDE_ONE_LANES <= rows; i += NDE_ONE_LANES) {
        nde_one_vector s = *(const nde_one_vector *)(const void *)(y + i);
        NDE_UNROLL for (int j = 0; j < count; j++) s += c[j]**(const nde_one_vector *)(const void *)(x[j] + i);
        *(nde_one_vector *)(void *)(z + i) = s;
    }
    NDE_SCALAR_LOOP for (; i < rows; i++) {
        nde_real s = y[i];
        NDE_UNROLL for (int j = 0; j < count; j++) s += c[j]*x[j][i];
        z[i] = s;
    }
}

static inline __attribute__((always_inline)) void nde_combine_passes(bool wide, size_t rows, nde_real h, const nde_row *row,
                                                                     const nde_real *k, size_t slab, const nde_real *y,
                                                                     nde_real *z) {
    const int *at = row->index;
    const nde_real *w = row->weight;
    for (int left = row->count;; left -= NDE_ONE_MOST, at += NDE_ONE_MOST, w += NDE_ONE_MOST, y = z) {
        switch (left) {
#define CASE(count) case count: nde_combine_some(count, wide, rows, h, w, at, k, slab, y, z); return;
            CASE(0)
            NDE_EACH_COUNT(CASE)
#undef CASE
        default: nde_combine_some(NDE_ONE_MOST, wide, rows, h, w, at, k, slab, y, z);
        }
    }
}

NDE_SCALAR static __attribute__((noinline)) void nde_combine_wide(size_t rows, nde_real h, const nde_row *row,
                                                                  const nde_real *k, size_t slab, const nde_real *y,
                                                                  nde_real *z) {
    nde_combine_passes(true, rows, h, row, k, slab, y, z);
}

/* z = y + sum_j (h w_j) k_j */
static inline __attribute__((always_inline)) void nde_combine_one(size_t rows, nde_real h, const nde_row *row,
                                                                  const nde_real *k, size_t slab, const nde_real *y,
                                                                  nde_real *z) {
    if (rows < NDE_ONE_LANES) nde_combine_passes(false, rows, h, row, k, slab, y, z);
    else nde_combine_wide(rows, h, row, k, slab, y, z);
}

static inline nde_real nde_larger_size(nde_real a, nde_real b) {
    a = a < 0 ? -a : a;
    b = b < 0 ? -b : b;
    return a > b ? a : b;
}

/* The sum of squares of nde_step_kernels.error. */
static inline __attribute__((always_inline)) double nde_error_one(size_t rows, nde_real h, const nde_row *row,
                                                                  const nde_real *k, size_t slab, const nde_real *y,
                                                                  const nde_real *z, const nde_tolerance *tolerance) {
    const double rtol = tolerance->rtol, atol = tolerance->atol, *each = tolerance->atol_each;
    const int count = row->count, *at = row->index;
    const nde_real *w = row->weight;
    double total = 0, bad = 0;
    /* the division waits for z alone, so that it is done while the field is still at work on the last slope */
#define LOOP(sum)                                                                                            \
    NDE_SCALAR_LOOP for (size_t i = 0; i < rows; i++) {                                                      \
        const nde_real e = sum;                                                                              \
        const double r = (double)e*(1/((each ? each[i] : atol) + rtol*(double)nde_larger_size(y[i], z[i]))); \
        total += r*r;                                                                                        \
        bad += (double)(z[i] - z[i]);                                                                        \
    }
#define K(j) k + (size_t)at[j]*slab
    if (count == 6) {
        const nde_real *k0 = K(0), *k1 = K(1), *k2 = K(2), *k3 = K(3), *k4 = K(4), *k5 = K(5);
        const nde_real c0 = h*w[0], c1 = h*w[1], c2 = h*w[2], c3 = h*w[3], c4 = h*w[4], c5 = h*w[5];
        LOOP(c0*k0[i] + c1*k1[i] + c2*k2[i] + c3*k3[i] + c4*k4[i] + c5*k5[i])
    } else if (count == 7) {
        const nde_real *k0 = K(0), *k1 = K(1), *k2 = K(2), *k3 = K(3), *k4 = K(4), *k5 = K(5), *k6 = K(6);
        const nde_real c0 = h*w[0], c1 = h*w[1], c2 = h*w[2], c3 = h*w[3], c4 = h*w[4], c5 = h*w[5], c6 = h*w[6];
        LOOP(c0*k0[i] + c1*k1[i] + c2*k2[i] + c3*k3[i] + c4*k4[i] + c5*k5[i] + c6*k6[i])
    } else {
        for (size_t i = 0; i < rows; i++) {
            nde_real e = 0;
            const nde_real *x = k + i;
            for (int j = 0; j < count; j++) e += h*w[j]*x[(size_t)at[j]*slab];
            const double r = (double)e*(1/((each ? each[i] : atol) + rtol*(double)nde_larger_size(y[i], z[i])));
            total += r*r;
            bad += (double)(z[i] - z[i]);
        }
    }
#undef K
#undef LOOP
    return count ? total + bad : bad;
}

#endif
