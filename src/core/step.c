/* SPDX-License-Identifier: MIT
 * step.c - combinations of slopes, error norms and selections on a block of lanes; compiled once for each instruction set. */
#include "core/step.h"
#include "core/isa.h"

#include <string.h>

enum { LANES = NDE_VECTOR_BYTES/(int)sizeof(nde_real), MOST = 8 };
typedef nde_real vec __attribute__((vector_size(NDE_VECTOR_BYTES), aligned(sizeof(nde_real)), may_alias));

static inline vec load(const nde_real *x) { return *(const vec *)(const void *)x; }
static inline void store(nde_real *x, vec v) { *(vec *)(void *)x = v; }

/* One trajectory: a plain vector, no vector instructions (a vectorised loop with a run-time trip count of 3 costs twice the
 * step). The newest slope is added last: it alone is on the critical path. */
#define SCALAR(count, expression)                                                            \
    case count:                                                                              \
        for (size_t i = 0; i < rows; i++) z[i] = expression;                                 \
        return
#define K(j) c[j]*k##j[i]
NDE_SCALAR static void combine_one(size_t rows, nde_real h, const nde_row *row,
        const nde_real *k, size_t slab, const nde_real *y, nde_real *restrict z) {
    nde_real c[MOST];
    const int count = row->count;
    const int *at = row->index;
    if (count <= 7) {
        const nde_real *k0 = k, *k1 = k, *k2 = k, *k3 = k, *k4 = k, *k5 = k, *k6 = k;
        switch (count) { /* fall through */
        case 7: k6 = k + (size_t)at[6]*slab, c[6] = h*row->weight[6]; /* fall through */
        case 6: k5 = k + (size_t)at[5]*slab, c[5] = h*row->weight[5]; /* fall through */
        case 5: k4 = k + (size_t)at[4]*slab, c[4] = h*row->weight[4]; /* fall through */
        case 4: k3 = k + (size_t)at[3]*slab, c[3] = h*row->weight[3]; /* fall through */
        case 3: k2 = k + (size_t)at[2]*slab, c[2] = h*row->weight[2]; /* fall through */
        case 2: k1 = k + (size_t)at[1]*slab, c[1] = h*row->weight[1]; /* fall through */
        case 1: k0 = k + (size_t)at[0]*slab, c[0] = h*row->weight[0]; break;
        default: memmove(z, y, rows*sizeof *z); return;
        }
        switch (count) {
        SCALAR(1, y[i] + K(0));
        SCALAR(2, y[i] + K(0) + K(1));
        SCALAR(3, y[i] + K(0) + K(1) + K(2));
        SCALAR(4, y[i] + K(0) + K(1) + K(2) + K(3));
        SCALAR(5, y[i] + K(0) + K(1) + K(2) + K(3) + K(4));
        SCALAR(6, y[i] + K(0) + K(1) + K(2) + K(3) + K(4) + K(5));
        SCALAR(7, y[i] + K(0) + K(1) + K(2) + K(3) + K(4) + K(5) + K(6));
        }
    }
    for (size_t i = 0; i < rows; i++) {
        nde_real s = y[i];
        for (int j = 0; j < count; j++) s += h*row->weight[j]*k[(size_t)at[j]*slab + i];
        z[i] = s;
    }
}

/* Lanes [b, b + LANES) of z = y + sum over `count` slopes from `first` on; unrolled by the compiler for constant count. */
static inline __attribute__((always_inline)) void combine_some(int count, size_t rows, size_t n, size_t ld, const nde_real *h,
        const nde_row *row, int first, const nde_real *k, size_t slab, const nde_real *y, nde_real *z) {
    for (size_t b = 0; b < n; b += LANES) {
        vec c[MOST];
        const nde_real *from[MOST];
        for (int j = 0; j < count; j++) {
            c[j] = load(h + b)*row->weight[first + j];
            from[j] = k + (size_t)row->index[first + j]*slab + b;
        }
        for (size_t i = 0; i < rows; i++) {
            vec s = load(y + i*ld + b);
            for (int j = 0; j < count; j++) s += c[j]*load(from[j] + i*ld);
            store(z + i*ld + b, s);
        }
    }
}

static void combine(size_t rows, size_t n, size_t ld, const nde_real *h, const nde_row *row, const nde_real *k, size_t slab,
                    const nde_real *y, nde_real *z) {
    if (n == 1 && ld == 1) {
        combine_one(rows, h[0], row, k, slab, y, z);
        return;
    }
    int first = 0;
    do { /* at most MOST slopes a pass: they stay in registers */
        const int count = row->count - first < MOST ? row->count - first : MOST;
        switch (count) {
#define CASE(count) case count: combine_some(count, rows, n, ld, h, row, first, k, slab, y, z); break
        CASE(0); CASE(1); CASE(2); CASE(3); CASE(4); CASE(5); CASE(6); CASE(7); CASE(8);
#undef CASE
        }
        y = z;
        first += MOST;
    } while (first < row->count);
}

static inline nde_real larger(nde_real a, nde_real b) {
    a = a < 0 ? -a : a;
    b = b < 0 ? -b : b;
    return a > b ? a : b;
}

NDE_SCALAR static void error_one(size_t rows, nde_real h, const nde_row *row,
        const nde_real *k, size_t slab, const nde_real *y, const nde_real *z, const nde_tolerance *tolerance, double *sum) {
    const double rtol = tolerance->rtol, *each = tolerance->atol_each;
    double total = 0, bad = 0;
    nde_real c[MOST];
    const nde_real *from[MOST];
    const int count = row->count;
    if (count <= MOST)
        for (int j = 0; j < count; j++) c[j] = h*row->weight[j], from[j] = k + (size_t)row->index[j]*slab;
    for (size_t i = 0; i < rows; i++) {
        nde_real e = 0;
        if (count == 6) /* dopri5: the most common table without a loop */
            e = c[0]*from[0][i] + c[1]*from[1][i] + c[2]*from[2][i] + c[3]*from[3][i] + c[4]*from[4][i] + c[5]*from[5][i];
        else if (count <= MOST)
            for (int j = 0; j < count; j++) e += c[j]*from[j][i];
        else
            for (int j = 0; j < count; j++) e += h*row->weight[j]*k[(size_t)row->index[j]*slab + i];
        bad += (double)(z[i] - z[i]);
        const double r = (double)e/((each ? each[i] : tolerance->atol) + rtol*(double)larger(y[i], z[i]));
        total += r*r;
    }
    *sum = count ? total + bad : bad;
}

/* Rows outside, lanes inside: the sums stay in the first-level cache. */
static void error(size_t rows, size_t n, size_t ld, const nde_real *h, const nde_row *row, const nde_real *k, size_t slab,
                  const nde_real *y, const nde_real *z, const nde_tolerance *tolerance, double *restrict sum) {
    if (n == 1 && ld == 1) {
        error_one(rows, h[0], row, k, slab, y, z, tolerance, sum);
        return;
    }
    enum { CHUNK = 64/sizeof(nde_real) };
    const double rtol = tolerance->rtol;
    for (size_t b = 0; b < n; b += CHUNK) {
        double total[CHUNK] = { 0 }, bad[CHUNK] = { 0 };
        for (size_t i = 0; i < rows; i++) {
            const nde_real *zi = z + i*ld + b, *yi = y + i*ld + b;
            const double atol = tolerance->atol_each ? tolerance->atol_each[i] : tolerance->atol;
            nde_real e[CHUNK] = { 0 };
            for (int j = 0; j < row->count; j++) {
                const nde_real *kj = k + (size_t)row->index[j]*slab + i*ld + b, w = row->weight[j];
                for (size_t l = 0; l < CHUNK; l++) e[l] += h[b + l]*w*kj[l];
            }
            for (size_t l = 0; l < CHUNK; l++) {
                const double r = (double)e[l]/(atol + rtol*(double)larger(yi[l], zi[l]));
                total[l] += r*r;
                bad[l] += (double)(zi[l] - zi[l]);
            }
        }
        for (size_t l = 0; l < CHUNK; l++) sum[b + l] = row->count ? total[l] + bad[l] : bad[l];
    }
}

static void blend(size_t rows, size_t n, size_t ld, const nde_real *accept, const nde_real *z, nde_real *restrict y) {
    for (size_t i = 0; i < rows; i++)
        for (size_t b = 0; b < n; b++) y[i*ld + b] = accept[b] != 0 ? z[i*ld + b] : y[i*ld + b];
}

static void accumulate(size_t rows, size_t n, size_t ld, const nde_real *h, nde_real w, const nde_real *x,
                       nde_real *restrict y) {
    for (size_t i = 0; i < rows; i++)
        for (size_t b = 0; b < n; b++) y[i*ld + b] += h[b]*w*x[i*ld + b];
}

static void dot(size_t rows, size_t n, size_t ld, double w, const nde_real *x, const nde_real *y, double *restrict d) {
    for (size_t i = 0; i < rows; i++)
        for (size_t b = 0; b < n; b++) d[b] += w*((double)x[i*ld + b]*(double)y[i*ld + b]);
}

const nde_step_kernels NDE_ISA_NAME(nde_step_kernels) = {
    .combine = combine, .error = error, .blend = blend, .accumulate = accumulate, .dot = dot,
};
