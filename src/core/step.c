/* SPDX-License-Identifier: MIT
 * step.c - combinations of slopes, error norms and selections on a block of lanes; compiled once for each instruction set. */
#include "core/step.h"
#include "core/isa.h"
#include "core/one.h"

#include <string.h>

enum { LANES = NDE_VECTOR_BYTES/(int)sizeof(nde_real), MOST = 8 /* slopes a pass: they stay in registers */ };
typedef nde_real vec __attribute__((vector_size(NDE_VECTOR_BYTES), aligned(sizeof(nde_real)), may_alias));

static inline vec load(const nde_real *x) { return *(const vec *)(const void *)x; }
static inline void store(nde_real *x, vec v) { *(vec *)(void *)x = v; }

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
        nde_combine_one(rows, h[0], row, k, slab, y, z);
        return;
    }
    int first = 0;
    do {
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
    const int count = row->count, *at = row->index;
    const nde_real *w = row->weight;
#define K(j) k[(size_t)at[j]*slab + i]
    for (size_t i = 0; i < rows; i++) {
        nde_real e = 0;
        if (count == 6) /* dopri5 without a loop */
            e = h*w[0]*K(0) + h*w[1]*K(1) + h*w[2]*K(2) + h*w[3]*K(3) + h*w[4]*K(4) + h*w[5]*K(5);
        else
            for (int j = 0; j < count; j++) e += h*w[j]*K(j);
        bad += (double)(z[i] - z[i]);
        const double r = (double)e/((each ? each[i] : tolerance->atol) + rtol*(double)larger(y[i], z[i]));
        total += r*r;
    }
#undef K
    *sum = count ? total + bad : bad;
}

enum { CHUNK = 64/(int)sizeof(nde_real), VECTORS = CHUNK/LANES }; /* a chunk of lanes: one line of the cache */

/* Lanes [b, b + CHUNK) of e = sum over `count` slopes of row i; unrolled by the compiler for constant count. */
static inline __attribute__((always_inline)) void error_some(int count, size_t at, const vec (*c)[VECTORS], const nde_real *const *from,
                                                             nde_real *e) {
    for (int v = 0; v < VECTORS; v++) {
        vec sum = { 0 };
        for (int j = 0; j < count; j++) sum += c[j][v]*load(from[j] + at + v*LANES);
        store(e + v*LANES, sum);
    }
}

static void error(size_t rows, size_t n, size_t ld, const nde_real *h, const nde_row *row, const nde_real *k, size_t slab,
                  const nde_real *y, const nde_real *z, const nde_tolerance *tolerance, double *restrict sum) {
    if (n == 1 && ld == 1) {
        error_one(rows, h[0], row, k, slab, y, z, tolerance, sum);
        return;
    }
    const double rtol = tolerance->rtol;
    const int count = row->count;
    for (size_t b = 0; b < n; b += CHUNK) {
        double total[CHUNK] = { 0 }, bad[CHUNK] = { 0 };
        vec c[MOST][VECTORS];
        const nde_real *from[MOST];
        for (int j = 0; j < count && j < MOST; j++) {
            for (int v = 0; v < VECTORS; v++) c[j][v] = load(h + b + v*LANES)*row->weight[j];
            from[j] = k + (size_t)row->index[j]*slab + b;
        }
        for (size_t i = 0; i < rows; i++) {
            const nde_real *zi = z + i*ld + b, *yi = y + i*ld + b;
            const double atol = tolerance->atol_each ? tolerance->atol_each[i] : tolerance->atol;
            nde_real e[CHUNK] = { 0 };
            switch (count) {
#define CASE(count) case count: error_some(count, i*ld, (const vec (*)[VECTORS])c, from, e); break
            CASE(0); CASE(1); CASE(2); CASE(3); CASE(4); CASE(5); CASE(6); CASE(7); CASE(8);
#undef CASE
            default:
                for (int j = 0; j < count; j++) {
                    const nde_real *kj = k + (size_t)row->index[j]*slab + i*ld + b, w = row->weight[j];
                    for (size_t l = 0; l < CHUNK; l++) e[l] += h[b + l]*w*kj[l];
                }
            }
            for (size_t l = 0; l < CHUNK; l++) {
                const double r = (double)e[l]/(atol + rtol*(double)larger(yi[l], zi[l]));
                total[l] += r*r;
                bad[l] += (double)(zi[l] - zi[l]);
            }
        }
        for (size_t l = 0; l < CHUNK; l++) sum[b + l] = count ? total[l] + bad[l] : bad[l];
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
