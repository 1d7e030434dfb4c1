/* SPDX-License-Identifier: MIT
 * step.c - combinations of slopes, error norms and selections on a block of lanes; compiled once
 * for each instruction set. */
#include "core/step.h"
#include "core/isa.h"
#include "core/one.h"

#include <math.h>
#include <string.h>

enum {
    LANES = NDE_VECTOR_BYTES/(int)sizeof(nde_real),
    MOST = 8 /* slopes a pass: they stay in registers */
};
typedef nde_real vec
    __attribute__((vector_size(NDE_VECTOR_BYTES), aligned(sizeof(nde_real)), may_alias));

static inline vec load(const nde_real *x) { return *(const vec *)(const void *)x; }
static inline void store(nde_real *x, vec v) { *(vec *)(void *)x = v; }

/* A row's weights and slopes, read once: stores to the state might otherwise change them, for
 * all that the compiler knows. */
typedef struct terms {
    nde_real w[MOST];
    const nde_real *k[MOST];
} terms;

static inline void read_terms(terms *t, int count, const nde_row *row, int first, const nde_real *k,
                              size_t slab) {
    for (int j = 0; j < count; j++)
        t->w[j] = row->weight[first + j], t->k[j] = k + (size_t)row->index[first + j]*slab;
}

/* z = y + sum over `count` slopes from `first` on; unrolled by the compiler for constant count. equal: h [1] is that of all. */
static inline __attribute__((always_inline)) void combine_some(int count, bool equal, size_t rows, size_t n, size_t ld,
                                                               const nde_real *h, const nde_row *row, int first,
                                                               const nde_real *k, size_t slab, const nde_real *y,
                                                               nde_real *z) {
    terms t;
    vec c[MOST];
    read_terms(&t, count, row, first, k, slab);
    for (int j = 0; equal && j < count; j++) c[j] = h[0]*t.w[j] - (vec){ 0 };
    for (size_t b = 0; b < n; b += LANES) {
        for (int j = 0; !equal && j < count; j++) c[j] = load(h + b)*t.w[j];
        for (size_t i = 0, at = b; i < rows; i++, at += ld) {
            vec s = load(y + at);
            for (int j = 0; j < count; j++) s += c[j]*load(t.k[j] + at);
            store(z + at, s);
        }
    }
}

/* In passes of so many slopes as stay in registers. */
static inline __attribute__((always_inline)) void combine_passes(bool equal, size_t rows, size_t n, size_t ld,
                                                                 const nde_real *h, const nde_row *row, const nde_real *k,
                                                                 size_t slab, const nde_real *y, nde_real *z) {
    int first = 0;
    do {
        const int count = row->count - first < MOST ? row->count - first : MOST;
        switch (count) {
#define CASE(count) case count: combine_some(count, equal, rows, n, ld, h, row, first, k, slab, y, z); break;
            CASE(0)
            NDE_EACH_COUNT(CASE)
#undef CASE
        }
        y = z;
        first += MOST;
    } while (first < row->count);
}

NDE_SCALAR static void combine_one(size_t rows, nde_real h, const nde_row *row, const nde_real *k,
                                   size_t slab, const nde_real *y, nde_real *z) {
    nde_combine_one(rows, h, row, k, slab, y, z);
}

NDE_SCALAR static double error_one(size_t rows, nde_real h, const nde_row *row, const nde_real *k,
                                   size_t slab, const nde_real *y, const nde_real *z,
                                   const nde_tolerance *tolerance) {
    return nde_error_one(rows, h, row, k, slab, y, z, tolerance);
}

static void combine(size_t rows, size_t n, size_t ld, const nde_real *h, const nde_row *row,
                    const nde_real *k, size_t slab, const nde_real *y, nde_real *z) {
    if (n == 1 && ld == 1) {
        combine_one(rows, h[0], row, k, slab, y, z);
        return;
    }
    combine_passes(false, rows, n, ld, h, row, k, slab, y, z);
}

/* Rows are no matter. */
static void combine_equal(size_t rows, size_t ld, nde_real h, const nde_row *row, const nde_real *k, size_t slab,
                          const nde_real *y, nde_real *z) {
    combine_passes(true, 1, rows*ld, 0, &h, row, k, slab, y, z);
}

/* The multipliers as polynomials in x: c [4]. */
typedef struct polynomial {
    nde_real c[4], area;
} polynomial;
static polynomial read_multipliers(const nde_multipliers *m) {
    return (polynomial){ { (nde_real)(m->root - m->twice/2), (nde_real)(m->w - m->thrice/2), (nde_real)(m->twice/2),
                           (nde_real)(m->thrice/6) }, (nde_real)m->area };
}

/* The slopes of a row that are multiples of others. */
typedef struct multiples {
    bool any[MOST], powers[MOST], area[MOST];
    polynomial of[MOST];
} multiples;

static void read_multiples(multiples *to, int count, const nde_multipliers *by) {
    for (int j = 0; j < count; j++) {
        const polynomial *p = &to->of[j];
        to->any[j] = nde_any_multiplier(&by[j]), to->of[j] = read_multipliers(&by[j]);
        to->powers[j] = p->c[2] != 0 || p->c[3] != 0, to->area[j] = p->area != 0;
    }
}

static inline __attribute__((always_inline)) vec multiple(const multiples *by, int j, vec x, vec a) {
    const polynomial *p = &by->of[j];
    vec m = by->powers[j] ? ((p->c[3]*x + p->c[2])*x + p->c[1])*x + p->c[0] : p->c[1]*x + p->c[0];
    if (by->area[j]) m += p->area*a;
    return m;
}

/* combine_some of slopes that are partly multiples; area and root a step are multiplied as drive_row does. */
static inline __attribute__((always_inline)) void combine_multiples(int count, bool equal, size_t rows, size_t n, size_t ld,
                                                                    const nde_real *h, const nde_row *row, int first,
                                                                    const nde_multipliers *by, const nde_driven *d,
                                                                    const nde_real *k, size_t slab, const nde_real *y,
                                                                    nde_real *z) {
    terms t;
    multiples many;
    vec c[MOST], root = d->root[0] - (vec){ 0 };
    read_terms(&t, count, row, first, k, slab);
    read_multiples(&many, count, by + first);
    for (int j = 0; equal && j < count; j++) c[j] = h[0]*t.w[j] - (vec){ 0 };
    for (size_t b = 0; b < n; b += LANES) {
        for (int j = 0; !equal && j < count; j++) c[j] = load(h + b)*t.w[j];
        if (!equal) root = load(d->root + b);
        for (size_t i = 0, of = 0, at = b; i < rows; i++, of = of + 1 < d->rows ? of + 1 : 0, at += ld) {
            const vec x = load(d->r + of*ld + b)*root, a = load(d->a + of*ld + b)*root;
            vec s = load(y + at);
            for (int j = 0; j < count; j++) {
                vec kj = load(t.k[j] + at);
                if (many.any[j]) kj *= multiple(&many, j, x, a);
                s += c[j]*kj;
            }
            store(z + at, s);
        }
    }
}

static void combine_driven(bool equal, size_t rows, size_t n, size_t ld, const nde_real *h, const nde_row *row,
                           const nde_multipliers *by, const nde_driven *d, const nde_real *k, size_t slab, const nde_real *y,
                           nde_real *z) {
    const bool flat = equal && d->rows == rows;
    for (int first = 0; first < row->count; first += MOST, y = z) {
        const int count = row->count - first < MOST ? row->count - first : MOST;
        if (flat) combine_multiples(count, true, 1, rows*ld, 0, h, row, first, by, d, k, slab, y, z);
        else combine_multiples(count, false, rows, n, ld, h, row, first, by, d, k, slab, y, z);
    }
}

typedef double wide __attribute__((vector_size(LANES*8))); /* as many lanes, in double */
typedef int64_t wide_mask __attribute__((vector_size(LANES*8)));

static inline __attribute__((always_inline)) wide larger_size(wide a, wide b) {
    const wide_mask sign = (wide_mask)((wide){ 0 } - (wide){ 0 }) + INT64_MAX;
    /* sizes compare as integers; NaN is the largest */
    const wide_mask x = (wide_mask)a & sign, y = (wide_mask)b & sign;
    const wide_mask more = x > y;
    return (wide)((x & more) | (y & ~more));
}

/* Lanes outside, rows inside: sums stay in registers. */
static inline __attribute__((always_inline)) void error_some(
    int count, size_t rows, size_t n, size_t ld, const nde_real *h, const nde_row *row,
    const nde_real *k, size_t slab, const nde_real *y, const nde_real *z,
    const nde_tolerance *tolerance, double *sum) {
    terms t;
    read_terms(&t, count, row, 0, k, slab);
    const double rtol = tolerance->rtol, *each = tolerance->atol_each;
    for (size_t b = 0; b < n; b += LANES) {
        vec c[MOST];
        wide total = { 0 }, bad = { 0 };
        for (int j = 0; j < count; j++) c[j] = load(h + b)*t.w[j];
        for (size_t i = 0, at = b; i < rows; i++, at += ld) {
            const vec zi = load(z + at), yi = load(y + at);
            vec e = { 0 };
            for (int j = 0; j < count; j++) e += c[j]*load(t.k[j] + at);
            const wide size =
                larger_size(__builtin_convertvector(yi, wide), __builtin_convertvector(zi, wide));
            const wide r = __builtin_convertvector(e, wide) *
                           (1/((each ? each[i] : tolerance->atol) + rtol*size));
            total += r*r;
            bad += __builtin_convertvector(zi - zi, wide);
        }
        total += bad;
        memcpy(sum + b, &total, sizeof total);
    }
}

/* More slopes than registers: the slow way, with the same bits. */
static void error_many(size_t rows, size_t n, size_t ld, const nde_real *h, const nde_row *row,
                       const nde_real *k, size_t slab, const nde_real *y, const nde_real *z,
                       const nde_tolerance *tolerance, double *restrict sum) {
    for (size_t b = 0; b < n; b++) sum[b] = 0;
    for (size_t i = 0; i < rows; i++) {
        const double atol = tolerance->atol_each ? tolerance->atol_each[i] : tolerance->atol;
        for (size_t b = 0; b < n; b++) {
            nde_real e = 0;
            for (int j = 0; j < row->count; j++)
                e += h[b]*row->weight[j]*k[(size_t)row->index[j]*slab + i*ld + b];
            const double r =
                (double)e *
                (1/(atol + tolerance->rtol*(double)nde_larger_size(y[i*ld + b], z[i*ld + b])));
            sum[b] += r*r;
        }
    }
    for (size_t b = 0; b < n; b++) {
        double bad = 0;
        for (size_t i = 0; i < rows; i++) bad += (double)(z[i*ld + b] - z[i*ld + b]);
        sum[b] += bad;
    }
}

/* Row after row, which may be far apart. */
static void finite(size_t rows, size_t n, size_t ld, const nde_real *z, double *restrict sum) {
    for (size_t b = 0; b < n; b++) sum[b] = 0;
    for (size_t i = 0; i < rows*ld; i += ld)
        for (size_t b = 0; b < n; b++) sum[b] += (double)(z[i + b] - z[i + b]);
}

static void error(size_t rows, size_t n, size_t ld, const nde_real *h, const nde_row *row,
                  const nde_real *k, size_t slab, const nde_real *y, const nde_real *z,
                  const nde_tolerance *tolerance, double *restrict sum) {
    if (n == 1 && ld == 1) {
        *sum = error_one(rows, h[0], row, k, slab, y, z, tolerance);
        return;
    }
    switch (row->count) {
#define CASE(count) case count: error_some(count, rows, n, ld, h, row, k, slab, y, z, tolerance, sum); break;
        NDE_EACH_COUNT(CASE)
#undef CASE
    default: error_many(rows, n, ld, h, row, k, slab, y, z, tolerance, sum);
    }
}

/* Rows outside, in chunks of lanes. */
static void measure(size_t rows, size_t n, size_t ld, const nde_real *h, const nde_row *row, const nde_real *k, size_t slab,
                    const nde_real *y, const nde_real *z, const nde_tolerance *tolerance, const nde_measurement *how,
                    double *sum) {
    enum { CHUNK = 64 };
    for (size_t from = 0; from < n; from += CHUNK) {
        const size_t m = n - from < CHUNK ? n - from : CHUNK;
        double total[CHUNK] = { 0 }, bad[CHUNK] = { 0 }, rtol[CHUNK], atol[CHUNK];
        for (size_t l = 0; l < m; l++) {
            rtol[l] = how->rtol ? how->rtol[from + l] : tolerance->rtol;
            atol[l] = how->atol ? how->atol[from + l] : tolerance->atol;
        }
        for (size_t i = 0; i < rows; i++) {
            const double w = how->weight ? how->weight[i] : 1;
            const nde_real *yi = y + i*ld + from, *zi = z + i*ld + from;
            for (size_t l = 0; l < m; l++) bad[l] += (double)(zi[l] - zi[l]);
            if (w == 0) continue;
            for (size_t l = 0; tolerance->atol_each && !how->atol && l < m; l++) atol[l] = tolerance->atol_each[i];
            nde_real e[CHUNK] = { 0 };
            for (int j = 0; j < row->count; j++) {
                const nde_real wj = row->weight[j], *kj = k + (size_t)row->index[j]*slab + i*ld + from;
                for (size_t l = 0; l < m; l++) e[l] += h[from + l]*wj*kj[l];
            }
            for (size_t l = 0; l < m; l++) {
                const double r = w*((double)e[l]*(1/(atol[l] + rtol[l]*(double)nde_larger_size(yi[l], zi[l])))), r2 = r*r;
                bad[l] += (double)(e[l] - e[l]);
                total[l] = how->largest ? r2 > total[l] ? r2 : total[l] : total[l] + r2;
            }
        }
        for (size_t l = 0; l < m; l++) sum[from + l] = total[l] + bad[l];
    }
}

static void blend(size_t rows, size_t n, size_t ld, const nde_real *accept, const nde_real *z,
                  nde_real *restrict y) {
    for (size_t i = 0; i < rows; i++)
        for (size_t b = 0; b < n; b++) y[i*ld + b] = accept[b] != 0 ? z[i*ld + b] : y[i*ld + b];
}

static void accumulate(size_t rows, size_t n, size_t ld, const nde_real *h, nde_real w,
                       const nde_real *x, nde_real *restrict y) {
    for (size_t i = 0; i < rows; i++)
        for (size_t b = 0; b < n; b++) y[i*ld + b] += h[b]*w*x[i*ld + b];
}

static void dot(size_t rows, size_t n, size_t ld, double w, const nde_real *x, const nde_real *y,
                double *restrict d) {
    for (size_t i = 0; i < rows; i++)
        for (size_t b = 0; b < n; b++) d[b] += w*((double)x[i*ld + b]*(double)y[i*ld + b]);
}

static void multiply(size_t rows, size_t n, size_t ld, const nde_real *x, const nde_real *y, nde_real *z) {
    for (size_t i = 0; i < rows*ld; i += ld) NDE_IVDEP
        for (size_t b = i; b < i + n; b++) z[b] = x[b]*y[b];
}

static void multiply_add(size_t rows, size_t n, size_t ld, const nde_real *x, const nde_real *y, const nde_real *y0,
                         nde_real *z) {
    for (size_t i = 0; i < rows*ld; i += ld) NDE_IVDEP
        for (size_t b = i; b < i + n; b++) z[b] = y0[b] + x[b]*y[b];
}

static void scale(size_t rows, size_t n, size_t ld, const double *f, const double *x, size_t ldx, nde_real *restrict z) {
    for (; rows > 0; rows--, x += ldx, z += ld)
        for (size_t b = 0; b < n; b++) z[b] = (nde_real)(f[b]*x[b]);
}

static void scale_sum(size_t rows, size_t n, size_t ld, const double *f, const double *x, const double *y,
                      nde_real *restrict z) {
    for (size_t i = 0; i < rows*ld; i += ld)
        for (size_t b = 0; b < n; b++) z[i + b] = (nde_real)(f[b]*(x[i + b] + 0.5*y[i + b]));
}

/* One row, by what its multipliers have a part of. */
static inline __attribute__((always_inline)) void drive_row(bool moves, bool powers, bool like, size_t n, const polynomial *p,
                                                            const nde_driven *d, size_t row, const nde_real *x, bool adds,
                                                            nde_real *z) {
    const nde_real c0 = p->c[0], c1 = p->c[1], c2 = p->c[2], c3 = p->c[3], area = p->area;
    const nde_real *r = d->r + row, *a = d->a + row, *root = d->root, *inverse = d->inverse;
    NDE_IVDEP
    for (size_t b = 0; b < n; b++) {
        nde_real m = c0;
        if (powers) {
            const nde_real y = r[b]*root[b];
            m = ((c3*y + c2)*y + c1)*y + c0;
        } else if (moves) {
            m = c1*(r[b]*root[b]) + c0;
        }
        if (!like) m *= inverse[b];
        if (moves && area != 0) m += area*(like ? a[b]*root[b] : a[b]); /* else a is not there */
        if (x) m *= x[b];
        z[b] = adds ? z[b] + m : m;
    }
}

static void drive(size_t rows, size_t n, size_t ld, const nde_driven *d, bool like, const nde_real *x, bool adds, nde_real *z) {
    const polynomial p = read_multipliers(&d->by);
    const bool powers = p.c[2] != 0 || p.c[3] != 0, moves = powers || p.c[1] != 0 || p.area != 0;
    for (size_t i = 0, j = 0; i < rows; i++, z += ld) {
        if (powers) drive_row(true, true, like, n, &p, d, j*ld, x, adds, z);
        else if (moves) drive_row(true, false, like, n, &p, d, j*ld, x, adds, z);
        else drive_row(false, false, like, n, &p, d, j*ld, x, adds, z);
        if (x) x += ld;
        if (++j == d->rows) j = 0;
    }
}

const nde_step_kernels NDE_ISA_NAME(nde_step_kernels) = {
    .combine = combine,
    .combine_equal = combine_equal,
    .combine_driven = combine_driven,
    .error = error,
    .finite = finite,
    .measure = measure,
    .blend = blend,
    .accumulate = accumulate,
    .dot = dot,
    .multiply = multiply,
    .multiply_add = multiply_add,
    .scale = scale,
    .scale_sum = scale_sum,
    .drive = drive,
};
