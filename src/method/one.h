/* SPDX-License-Identifier: MIT
 * one.h - the step of one trajectory of a plain problem, without a detour: half of a small step is the way to its field.
 * Of some methods the table is known when this is compiled, and then nothing of it is left at run time but its numbers. */
#ifndef NDE_METHOD_ONE_H
#define NDE_METHOD_ONE_H

#include <math.h>

#include "core/one.h"
#include "known.h"
#include "method/body.h"

static inline bool nde_is_one(const nde_rhs *rhs, const nde_table *table, const nde_lanes *lanes) {
    return lanes->site.ld == 1 && rhs->plain && table->split == rhs->dim;
}

/* nde_body.attempt for the lanes of nde_is_one; dim: that of the problem, perhaps known when it is compiled. */
static inline __attribute__((always_inline)) int nde_attempt_one(const nde_rhs *rhs, const nde_table *table,
                                                                 nde_lanes *lanes, size_t dim, double t, double t_new,
                                                                 double dt, const nde_real *y, nde_real *z, nde_real *k,
                                                                 size_t slab, nde_real *tape, size_t tape_slab) {
    const nde_row *row = table->row[0];
    const double *c = table->method->c;
    const nde_real h = (nde_real)dt;
    nde_site *at = &lanes->site;
    const nde_field *f = rhs->drift.field;
    double *time = lanes->scratch->t;
    const int last = table->stages - 1, first = table->fsal ? 1 : 0;
    nde_real *Y = lanes->scratch->Y, *ki = k + (size_t)first*slab;
    at->tape_ld = 1;
    at->tape = NULL;
    at->t = time;
    if (!f->tape) tape = NULL;
    for (int i = first; i <= last; i++, ki += slab) {
        if (i == last && table->last_is_new) Y = z;
        nde_combine_one(dim, h, row + i, k, slab, y, Y);
        time[0] = c[i] == 1 ? t_new : t + c[i]*dt;
        if (tape) at->tape = tape + (size_t)i*tape_slab;
        ki[0] = (nde_real)NAN; /* a field that writes nothing is seen */
        const int rc = f->eval(f, at, Y, ki);
        if (rc) return lanes->scratch->stage = i, rc;
    }
    if (!table->last_is_new) nde_combine_one(dim, h, &table->out[0], k, slab, y, z);
    return 0;
}

/* ---- tables that are known ---- */

/* X(dim, known) with dim 2 or 3 as a constant, or as it is, and the table of a method or NULL. */
#define NDE_BY_TABLE(X, dim, method)                                                  \
    if ((method) == &nde_method_dopri5) X(dim, &nde_known_dopri5);                    \
    else if ((method) == &nde_method_tsit5) X(dim, &nde_known_tsit5);                 \
    else X(dim, NULL)
#define NDE_BY_SIZE_AND_TABLE(X, dim, method)                                         \
    do {                                                                              \
        if ((dim) == 2) NDE_BY_TABLE(X, 2, method);                                   \
        else if ((dim) == 3) NDE_BY_TABLE(X, 3, method);                              \
        else X(dim, NULL);                                                            \
    } while (0)

/* A state of two rows as one vector. A field stores its rows one by one: one load of both would wait until they are in the
 * cache, where two loads take them from the stores. */
typedef nde_real nde_pair __attribute__((vector_size(2*sizeof(nde_real)), aligned(sizeof(nde_real)), may_alias));
static inline __attribute__((always_inline)) nde_pair nde_pair_at(const nde_real *x) {
    return *(const nde_pair *)(const void *)x;
}
static inline __attribute__((always_inline)) void nde_pair_put(nde_pair v, nde_real *x) { *(nde_pair *)(void *)x = v; }
/* What was put there before a call: otherwise compilers keep the same in memory once more, and read it where it is not yet. */
static inline __attribute__((always_inline)) nde_pair nde_pair_again(const nde_real *x) {
    return *(const volatile nde_pair *)(const void *)x;
}
static inline __attribute__((always_inline)) nde_pair nde_pair_as_written(const nde_real *x) {
    const volatile nde_real *each = x; /* so that compilers do not make one load of it */
    return (nde_pair){ each[0], each[1] };
}

/* sum + sum_j (h w_j) k_j of row r, in the order of nde_combine_one. */
static inline __attribute__((always_inline)) nde_real nde_known_sum(int count, nde_real h, const nde_coefficient *w,
                                                                    const nde_real *k, size_t slab, size_t r, nde_real sum) {
    NDE_UNROLL for (int j = 0; j < count; j++)
        if (w[j] != 0) sum += h*(nde_real)w[j]*k[(size_t)j*slab + r];
    return sum;
}

/* The state of stage i > 0. newest: slope i - 1 as its field wrote it, where all wait for that; NULL: it is in k with the rest.
 * Two rows of it are added one by one, since what it takes to make a pair of them would be waited for too. */
static inline __attribute__((always_inline)) void nde_known_state(const nde_method *m, int i, size_t dim, nde_real h,
                                                                  const nde_real *k, const nde_real *newest, const nde_real *y,
                                                                  nde_real *Y) {
    const nde_coefficient *w = m->a + i*(i - 1)/2;
    if (dim == 2) {
        const nde_pair by = { h, h };
        const int count = newest ? i - 1 : i;
        nde_pair sum = nde_pair_at(y);
        NDE_UNROLL for (int j = 0; j < count; j++)
            if (w[j] != 0) sum += by*(nde_real)w[j]*nde_pair_at(k + (size_t)j*dim);
        if (!newest) {
            nde_pair_put(sum, Y);
            return;
        }
        const volatile nde_real *last = newest; /* as in nde_pair_as_written */
        const nde_real c = h*(nde_real)w[i - 1];
        Y[0] = sum[0] + c*last[0], Y[1] = sum[1] + c*last[1];
        return;
    }
    NDE_UNROLL for (size_t r = 0; r < dim; r++) Y[r] = nde_known_sum(i, h, w, k, dim, r, y[r]);
}

/* nde_attempt_one by a method that is known, first same as last; slabs are dim apart. */
static inline __attribute__((always_inline)) int nde_known_attempt(const nde_method *m, const nde_rhs *rhs, nde_lanes *lanes,
                                                                   size_t dim, double t, double t_new, double dt,
                                                                   const nde_real *y, nde_real *z, nde_real *k,
                                                                   nde_real *tape, size_t tape_slab) {
    nde_site *at = &lanes->site;
    const nde_field *f = rhs->drift.field;
    double *const time = lanes->scratch->t;
    nde_real *const X = lanes->scratch->Y, pairs[2*NDE_ONE_MOST], start[2], *const K = dim == 2 ? pairs : k;
    at->tape_ld = 1;
    at->tape = NULL;
    at->t = time;
    if (!f->tape) tape = NULL;
    if (dim == 2) nde_pair_put(nde_pair_at(k), K), nde_pair_put(nde_pair_as_written(y), start), y = start;
    NDE_UNROLL for (int i = 1; i < m->stages; i++) {
        nde_real *const Y = i == m->stages - 1 ? z : X, *const ki = k + (size_t)i*dim;
        time[0] = m->c[i] == 1 ? t_new : t + m->c[i]*dt;
        if (tape) at->tape = tape + (size_t)i*tape_slab;
        ki[0] = (nde_real)NAN; /* what the field waits for is stored last, right before it */
        nde_known_state(m, i, dim, (nde_real)dt, K, ki - dim, y, Y);
        const int rc = f->eval(f, at, Y, ki);
        if (rc) return lanes->scratch->stage = i, rc;
        if (dim == 2) nde_pair_put(nde_pair_as_written(ki), K + (size_t)i*dim);
    }
    return 0;
}

/* By the method that is known, or nde_attempt_one where it is NULL. */
static inline __attribute__((always_inline)) int nde_attempt_sized(const nde_method *known, const nde_rhs *rhs,
                                                                   const nde_table *table, nde_lanes *lanes, size_t dim,
                                                                   double t, double t_new, double dt, const nde_real *y,
                                                                   nde_real *z, nde_real *k, nde_real *tape, size_t tape_slab) {
    return known ? nde_known_attempt(known, rhs, lanes, dim, t, t_new, dt, y, z, k, tape, tape_slab)
                 : nde_attempt_one(rhs, table, lanes, dim, t, t_new, dt, y, z, k, dim, tape, tape_slab);
}

/* nde_error_one of it. */
static inline __attribute__((always_inline)) double nde_known_error(const nde_method *m, size_t dim, nde_real h,
                                                                    const nde_real *k, const nde_real *y, const nde_real *z,
                                                                    const nde_tolerance *tolerance) {
    const double rtol = tolerance->rtol, atol = tolerance->atol, *each = tolerance->atol_each;
    double total = 0, bad = 0;
    nde_pair sum = { 0, 0 }, by = { h, h };
    NDE_UNROLL for (int j = 0; j < m->stages; j++)
        if (dim == 2 && m->e[j] != 0) sum += by*(nde_real)m->e[j]*nde_pair_as_written(k + (size_t)j*dim);
    NDE_UNROLL for (size_t r = 0; r < dim; r++) {
        const double scale = 1/((each ? each[r] : atol) + rtol*(double)nde_larger_size(y[r], z[r]));
        const double e = (double)(dim == 2 ? sum[r] : nde_known_sum(m->stages, h, m->e, k, dim, r, 0))*scale;
        total = r ? total + e*e : e*e;
        bad += (double)(z[r] - z[r]);
    }
    return bad == 0 ? total : bad; /* total + bad, but that nothing waits for bad */
}

#endif
