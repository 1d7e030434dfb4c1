/* SPDX-License-Identifier: MIT
 * lu.c - kernels of lu.h, compiled once for each instruction set. Nothing is fused, so that all of them have the same bits. */
#include "core/isa.h"
#include "implicit/lu_one.h"

#define STRIP NDE_LU_STRIP
#define EACH(b) NDE_IVDEP for (size_t b = 0; b < STRIP; b++)
#define INLINE NDE_LU_INLINE

/* ---- lanes side by side: one strip ----------------------------------------------------------- */

/* The row, from k on, with the largest element of column k in each lane. False: it is k in all of them. */
INLINE bool find_pivots(size_t d, size_t ld, size_t k, const nde_real *a, int *at) {
    nde_real most[STRIP];
    int moved = 0;
    EACH(b) most[b] = nde_lu_size(a[(k*d + k)*ld + b]), at[b] = (int)k;
    for (size_t i = k + 1; i < d; i++)
        EACH(b) {
            const nde_real x = nde_lu_size(a[(i*d + k)*ld + b]);
            at[b] = x > most[b] ? (int)i : at[b];
            most[b] = x > most[b] ? x : most[b];
        }
    EACH(b) moved |= at[b] ^ (int)k;
    return moved != 0;
}

/* Rows k and at[b] change places in lane b. */
INLINE void swap_rows(size_t d, size_t ld, size_t k, const int *at, nde_real *a, int *p) {
    for (size_t i = k + 1; i < d; i++) {
        int here = 0;
        EACH(b) here |= at[b] == (int)i;
        if (!here) continue;
        for (size_t j = 0; j < d; j++) {
            nde_real *x = a + (k*d + j)*ld, *y = a + (i*d + j)*ld;
            EACH(b) {
                const nde_real u = x[b], v = y[b];
                x[b] = at[b] == (int)i ? v : u, y[b] = at[b] == (int)i ? u : v;
            }
        }
        EACH(b) {
            const int u = p[k*ld + b], v = p[i*ld + b];
            p[k*ld + b] = at[b] == (int)i ? v : u, p[i*ld + b] = at[b] == (int)i ? u : v;
        }
    }
}

INLINE void factor_strip(size_t d, size_t ld, nde_real *a, int *p) {
    int at[STRIP];
    for (size_t i = 0; i < d; i++) EACH(b) p[i*ld + b] = (int)i;
    for (size_t k = 0; k < d; k++) {
        if (find_pivots(d, ld, k, a, at)) swap_rows(d, ld, k, at, a, p);
        nde_real *u = a + k*d*ld;
        EACH(b) u[k*ld + b] = 1/u[k*ld + b];
        for (size_t i = k + 1; i < d; i++) {
            nde_real *x = a + i*d*ld, l[STRIP];
            EACH(b) l[b] = x[k*ld + b] *= u[k*ld + b];
            for (size_t j = k + 1; j < d; j++) EACH(b) x[j*ld + b] -= l[b]*u[j*ld + b];
        }
    }
}

INLINE void solve_strip(size_t d, size_t ld, const nde_real *a, const int *p, nde_real *x) {
    nde_real y[NDE_LU_ROWS][STRIP];
    for (size_t i = 0; i < d; i++) EACH(b) y[i][b] = x[(size_t)p[i*ld + b]*ld + b];
    for (size_t k = 0; k < d; k++)
        for (size_t i = k + 1; i < d; i++) EACH(b) y[i][b] -= a[(i*d + k)*ld + b]*y[k][b];
    for (size_t k = d; k-- > 0; ) {
        EACH(b) y[k][b] *= a[(k*d + k)*ld + b];
        for (size_t i = 0; i < k; i++) EACH(b) y[i][b] -= a[(i*d + k)*ld + b]*y[k][b];
    }
    for (size_t i = 0; i < d; i++) EACH(b) x[i*ld + b] = y[i][b];
}

INLINE void transpose_strip(size_t d, size_t ld, const nde_real *a, const int *p, nde_real *x) {
    nde_real y[NDE_LU_ROWS][STRIP];
    for (size_t i = 0; i < d; i++) EACH(b) y[i][b] = x[i*ld + b];
    for (size_t k = 0; k < d; k++) {
        EACH(b) y[k][b] *= a[(k*d + k)*ld + b];
        for (size_t j = k + 1; j < d; j++) EACH(b) y[j][b] -= a[(k*d + j)*ld + b]*y[k][b];
    }
    for (size_t k = d; k-- > 0; )
        for (size_t j = 0; j < k; j++) EACH(b) y[j][b] -= a[(k*d + j)*ld + b]*y[k][b];
    for (size_t i = 0; i < d; i++) EACH(b) x[(size_t)p[i*ld + b]*ld + b] = y[i][b];
}

/* With few rows their number is known when this is compiled. */
#define BY_ROWS(d, CALL)                                                                                       \
    switch (d) { case 2: CALL(2); break; case 3: CALL(3); break; case 4: CALL(4); break; default: CALL(d); }

static void factor_lanes(size_t d, size_t n, size_t ld, nde_real *a, int *p) {
#define CALL(rows) for (size_t b = 0; b < n; b += STRIP) factor_strip(rows, ld, a + b, p + b)
    BY_ROWS(d, CALL)
#undef CALL
}

static void solve_lanes(size_t d, size_t n, size_t ld, const nde_real *a, const int *p, nde_real *x) {
#define CALL(rows) for (size_t b = 0; b < n; b += STRIP) solve_strip(rows, ld, a + b, p + b, x + b)
    BY_ROWS(d, CALL)
#undef CALL
}

static void transpose_lanes(size_t d, size_t n, size_t ld, const nde_real *a, const int *p, nde_real *x) {
#define CALL(rows) for (size_t b = 0; b < n; b += STRIP) transpose_strip(rows, ld, a + b, p + b, x + b)
    BY_ROWS(d, CALL)
#undef CALL
}

/* ---- one lane, by columns -------------------------------------------------------------------- */

/* Sums run in the order of the strips'. */
INLINE void transpose_one(size_t d, const nde_real *a, const int *p, nde_real *x) {
    for (size_t j = 0; j < d; j++) {
        const nde_real *u = a + j*d;
        nde_real sum = x[j];
        for (size_t k = 0; k < j; k++) sum -= u[k]*x[k];
        x[j] = sum*u[j];
    }
    for (size_t j = d; j-- > 0; ) {
        const nde_real *l = a + j*d;
        nde_real sum = x[j];
        for (size_t k = d; k-- > j + 1; ) sum -= l[k]*x[k];
        x[j] = sum;
    }
    for (size_t k = d; k-- > 0; )
        if ((size_t)p[k] != k) nde_lu_swap(x + k, x + p[k]);
}

/* ---- a band ---------------------------------------------------------------------------------- */

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
static size_t less(size_t a, size_t by) { return a > by ? a - by : 0; }

/* Column j, of which element i is at [i]. */
static size_t column(size_t lower, size_t upper, size_t j) { return j*(2*lower + upper) + lower + upper; }

/* Rows change places from column k on only: what stands left of it stays where it was eliminated. */
static void factor_band(size_t d, size_t lower, size_t upper, nde_real *a, int *p) {
    size_t right = 0; /* the last column that a pivot row has reached */
    for (size_t k = 0; k < d; k++) {
        nde_real *l = a + column(lower, upper, k);
        const size_t end = least(d, k + lower + 1);
        size_t at = k;
        for (size_t i = k + 1; i < end; i++)
            if (nde_lu_size(l[i]) > nde_lu_size(l[at])) at = i;
        p[k] = (int)at;
        right = right > at + upper ? right : least(d - 1, at + upper);
        const nde_real inverse = 1/l[at];
        l[at] = l[k], l[k] = inverse;
        for (size_t i = k + 1; i < end; i++) l[i] *= inverse;
        for (size_t j = k + 1; j <= right; j++) {
            nde_real *x = a + column(lower, upper, j);
            const nde_real u = x[at];
            x[at] = x[k], x[k] = u;
            NDE_IVDEP for (size_t i = k + 1; i < end; i++) x[i] -= l[i]*u;
        }
    }
}

static void solve_band(size_t d, size_t lower, size_t upper, const nde_real *a, const int *p, nde_real *x) {
    for (size_t k = 0; k < d; k++) {
        const nde_real *l = a + column(lower, upper, k);
        const size_t end = least(d, k + lower + 1);
        if ((size_t)p[k] != k) nde_lu_swap(x + k, x + p[k]);
        const nde_real y = x[k];
        NDE_IVDEP for (size_t i = k + 1; i < end; i++) x[i] -= l[i]*y;
    }
    for (size_t k = d; k-- > 0; ) {
        const nde_real *u = a + column(lower, upper, k), y = x[k] *= u[k];
        NDE_IVDEP for (size_t i = less(k, lower + upper); i < k; i++) x[i] -= u[i]*y;
    }
}

static void transpose_band(size_t d, size_t lower, size_t upper, const nde_real *a, const int *p, nde_real *x) {
    for (size_t j = 0; j < d; j++) {
        const nde_real *u = a + column(lower, upper, j);
        nde_real sum = x[j];
        for (size_t k = less(j, lower + upper); k < j; k++) sum -= u[k]*x[k];
        x[j] = sum*u[j];
    }
    for (size_t k = d; k-- > 0; ) {
        const nde_real *l = a + column(lower, upper, k);
        nde_real sum = x[k];
        for (size_t i = least(d, k + lower + 1); i-- > k + 1; ) sum -= l[i]*x[i];
        x[k] = sum;
        if ((size_t)p[k] != k) nde_lu_swap(x + k, x + p[k]);
    }
}

/* ---------------------------------------------------------------------------------------------- */

static void factor(size_t d, nde_real *a, int *p) {
#define CALL(rows) nde_lu_factor_one(rows, a, p)
    BY_ROWS(d, CALL)
#undef CALL
}

static void solve(size_t d, const nde_real *a, const int *p, nde_real *x) {
#define CALL(rows) nde_lu_solve_one(rows, a, p, x)
    BY_ROWS(d, CALL)
#undef CALL
}

static void transpose(size_t d, const nde_real *a, const int *p, nde_real *x) {
#define CALL(rows) transpose_one(rows, a, p, x)
    BY_ROWS(d, CALL)
#undef CALL
}

const nde_lu_kernels NDE_ISA_NAME(nde_lu_kernels) = { .factor_lanes = factor_lanes, .solve_lanes = solve_lanes,
                                                      .transpose_lanes = transpose_lanes, .factor = factor, .solve = solve,
                                                      .transpose = transpose, .factor_band = factor_band,
                                                      .solve_band = solve_band, .transpose_band = transpose_band };
