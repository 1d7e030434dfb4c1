/* SPDX-License-Identifier: MIT
 * one.h - combination of slopes and error norm for one trajectory: a plain vector. No vector instructions: a vectorised loop with a
 * run-time trip count of 3 costs twice the step. The newest slope is added last: it alone is on the critical path. Same bits
 * as the kernels of lanes. */
#ifndef NDE_ONE_H
#define NDE_ONE_H

#include "core/step.h"

#if defined(__clang__)
#define NDE_SCALAR_LOOP _Pragma("clang loop vectorize(disable) unroll(disable)")
#else
#define NDE_SCALAR_LOOP _Pragma("GCC unroll 1")
#endif

/* z = y + sum_j (h w_j) k_j */
static inline __attribute__((always_inline)) void nde_combine_one(size_t rows, nde_real h, const nde_row *row, const nde_real *k,
                                                                  size_t slab, const nde_real *y, nde_real *z) {
    const int *at = row->index;
    const nde_real *w = row->weight;
#define K(j) k + (size_t)at[j]*slab
#define LOOP(sum) NDE_SCALAR_LOOP for (size_t i = 0; i < rows; i++) z[i] = sum; return
    switch (row->count) {
    case 0: LOOP(y[i]);
    case 1: { const nde_real *k0 = K(0), c0 = h*w[0]; LOOP(y[i] + c0*k0[i]); }
    case 2: { const nde_real *k0 = K(0), *k1 = K(1), c0 = h*w[0], c1 = h*w[1]; LOOP(y[i] + c0*k0[i] + c1*k1[i]); }
    case 3: {
        const nde_real *k0 = K(0), *k1 = K(1), *k2 = K(2), c0 = h*w[0], c1 = h*w[1], c2 = h*w[2];
        LOOP(y[i] + c0*k0[i] + c1*k1[i] + c2*k2[i]);
    }
    case 4: {
        const nde_real *k0 = K(0), *k1 = K(1), *k2 = K(2), *k3 = K(3), c0 = h*w[0], c1 = h*w[1], c2 = h*w[2], c3 = h*w[3];
        LOOP(y[i] + c0*k0[i] + c1*k1[i] + c2*k2[i] + c3*k3[i]);
    }
    case 5: {
        const nde_real *k0 = K(0), *k1 = K(1), *k2 = K(2), *k3 = K(3), *k4 = K(4);
        const nde_real c0 = h*w[0], c1 = h*w[1], c2 = h*w[2], c3 = h*w[3], c4 = h*w[4];
        LOOP(y[i] + c0*k0[i] + c1*k1[i] + c2*k2[i] + c3*k3[i] + c4*k4[i]);
    }
    case 6: {
        const nde_real *k0 = K(0), *k1 = K(1), *k2 = K(2), *k3 = K(3), *k4 = K(4), *k5 = K(5);
        const nde_real c0 = h*w[0], c1 = h*w[1], c2 = h*w[2], c3 = h*w[3], c4 = h*w[4], c5 = h*w[5];
        LOOP(y[i] + c0*k0[i] + c1*k1[i] + c2*k2[i] + c3*k3[i] + c4*k4[i] + c5*k5[i]);
    }
    default:
        for (size_t i = 0; i < rows; i++) {
            nde_real s = y[i];
            for (int j = 0; j < row->count; j++) s += h*w[j]*k[(size_t)at[j]*slab + i];
            z[i] = s;
        }
    }
#undef K
#undef LOOP
}

static inline nde_real nde_larger_size(nde_real a, nde_real b) {
    a = a < 0 ? -a : a;
    b = b < 0 ? -b : b;
    return a > b ? a : b;
}

/* The sum of squares of nde_step_kernels.error. */
static inline __attribute__((always_inline)) double nde_error_one(size_t rows, nde_real h, const nde_row *row, const nde_real *k,
                                                                  size_t slab, const nde_real *y, const nde_real *z,
                                                                  const nde_tolerance *tolerance) {
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
            for (int j = 0; j < count; j++) e += h*w[j]*k[(size_t)at[j]*slab + i];
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
