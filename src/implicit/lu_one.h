/* SPDX-License-Identifier: MIT
 * lu_one.h - W of one lane by columns, element (i, j) at a[j*d + i]: to be inlined where d may be known. Nothing is fused. See
 * lu.h. */
#ifndef NDE_IMPLICIT_LU_ONE_H
#define NDE_IMPLICIT_LU_ONE_H

#include "implicit/lu.h"

enum { NDE_LU_SMALL = 3 };
#define NDE_LU_INLINE static inline __attribute__((always_inline))

NDE_LU_INLINE nde_real nde_lu_size(nde_real x) { return x < 0 ? -x : x; }

NDE_LU_INLINE void nde_lu_swap(nde_real *x, nde_real *y) {
    const nde_real z = *x;
    *x = *y, *y = z;
}

NDE_LU_INLINE void nde_lu_factor_one(size_t d, nde_real *a, int *p) {
    for (size_t k = 0; k < d; k++) {
        nde_real *l = a + k*d;
        size_t at = k;
        for (size_t i = k + 1; i < d; i++)
            if (nde_lu_size(l[i]) > nde_lu_size(l[at])) at = i;
        p[k] = (int)at;
        for (size_t j = 0; at != k && j < d; j++) nde_lu_swap(a + j*d + k, a + j*d + at);
        const nde_real inverse = l[k] = 1/l[k];
        for (size_t i = k + 1; i < d; i++) l[i] *= inverse;
        for (size_t j = k + 1; j < d; j++) {
            nde_real *x = a + j*d;
            const nde_real u = x[k];
            NDE_IVDEP for (size_t i = k + 1; i < d; i++) x[i] -= l[i]*u;
        }
    }
}

/* Element k of x changes places with element p_k >= k; where d is known, x may stay in registers. */
NDE_LU_INLINE void nde_lu_exchange(size_t d, size_t k, size_t with, nde_real *x) {
    for (size_t i = k + 1; d <= NDE_LU_SMALL && i < d; i++)
        if (with == i) nde_lu_swap(x + k, x + i);
    if (d > NDE_LU_SMALL && with != k) nde_lu_swap(x + k, x + with);
}

NDE_LU_INLINE void nde_lu_solve_one(size_t d, const nde_real *restrict a, const int *restrict p, nde_real *restrict x) {
    for (size_t k = 0; k < d; k++) nde_lu_exchange(d, k, (size_t)p[k], x);
    for (size_t k = 0; k < d; k++) {
        const nde_real *l = a + k*d, y = x[k];
        for (size_t i = k + 1; i < d; i++) x[i] -= l[i]*y;
    }
    for (size_t k = d; k-- > 0; ) {
        const nde_real *u = a + k*d, y = x[k] *= u[k];
        for (size_t i = 0; i < k; i++) x[i] -= u[i]*y;
    }
}

#endif
