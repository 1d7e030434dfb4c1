/* SPDX-License-Identifier: MIT
 * shared.h - derivatives of what the bodies of methods are made of: sums of slopes, and evaluations; and what they sum. */
#ifndef NDE_METHOD_SHARED_H
#define NDE_METHOD_SHARED_H

#include <string.h>

#include "method/body.h"

/* x = y + h d. */
static inline void nde_place(const nde_attempt *s, size_t rows, const nde_real *y, const nde_real *d, nde_real *x) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    for (size_t r = 0; r < rows; r++, y += ld, d += ld, x += ld) NDE_IVDEP
        for (size_t b = 0; b < n; b++) x[b] = y[b] + s->h[b]*d[b];
}

/* x = y + h d: from a of x to those of d and, where wanted, of h. */
static inline void nde_place_transpose(const nde_attempt *s, const nde_step_cotangent *c, size_t rows, const nde_real *d,
                                       const nde_real *a, nde_real *a_d) {
    const nde_step_kernels *use = s->rhs->kernels->step;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    use->accumulate(rows, n, ld, s->h, 1, a, a_d);
    if (c->h) use->dot(rows, n, ld, 1, a, d, c->h);
}

/* v_x = v_y + h v_d + v_h d. */
static inline void nde_place_tangent(const nde_attempt *s, const nde_step_tangent *v, size_t rows, const nde_real *d,
                                     const nde_real *v_d, nde_real *v_x) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    for (size_t r = 0; r < rows; r++)
        for (size_t b = 0; b < n; b++) {
            const size_t i = r*ld + b;
            v_x[i] = v->y[i] + s->h[b]*v_d[i] + (nde_real)v->h[b]*d[i];
        }
}

/* z = y + h sum_j w_j k_j on rows from `from` on: adds to the cotangents of the slopes and, where wanted, of h. */
static inline void nde_combine_transpose(const nde_attempt *s, const nde_step_cotangent *c, const nde_row *row, size_t from,
                                         size_t rows, const nde_real *a_z) {
    const nde_step_kernels *use = s->rhs->kernels->step;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    for (int j = 0; j < row->count; j++) {
        const size_t at = (size_t)row->index[j]*s->slab + from*ld;
        use->accumulate(rows, n, ld, s->h, row->weight[j], a_z, c->k + at);
        if (c->h) use->dot(rows, n, ld, (double)row->weight[j], a_z, s->k + at, c->h);
    }
}

/* v_z = v_y + h sum w v_k + v_h sum w k, all of them from row `from` of the slopes on. */
static inline void nde_combine_tangent(const nde_attempt *s, const nde_step_tangent *v, const nde_row *row, size_t from,
                                       size_t rows, const nde_real *v_y, nde_real *v_z) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    s->rhs->kernels->step->combine(rows, n, ld, s->h, row, v->k + from*ld, s->slab, v_y, v_z);
    for (int j = 0; j < row->count; j++) {
        const nde_real *k = s->k + (size_t)row->index[j]*s->slab + from*ld;
        for (size_t i = 0; i < rows*ld; i += ld)
            for (size_t b = 0; b < n; b++) v_z[i + b] += (nde_real)v->h[b]*row->weight[j]*k[i + b];
    }
}

/* The cotangent of the state Y at which a slope was evaluated, into scratch->a_Y, from that of the slope; in pieces where
 * lanes say so. */
static inline int nde_evaluate_transpose_of(const nde_attempt *s, const nde_step_cotangent *c, const nde_real *a,
                                            nde_real *tape, double node, const nde_real *Y) {
    nde_scratch *scratch = s->lanes->scratch;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    nde_sink sink = *c->sink;
    sink.t = c->t ? scratch->a_t : NULL;
    sink.noise = c->h && s->rhs->paced && !s->lanes->apart ? scratch->cell : NULL; /* which is free once the step has begun */
    if (sink.noise) memset(sink.noise, 0, n*sizeof *sink.noise);
    memset(scratch->a_Y, 0, s->rhs->dim*ld*sizeof *scratch->a_Y);
    if (sink.t) memset(sink.t, 0, n*sizeof *sink.t);
    const int rc = nde_rhs_vjp(s->rhs, s->lanes, nde_stage_time(s, node), Y, a, tape, ld, scratch->a_Y, &sink);
    for (size_t b = 0; sink.t && b < n; b++) c->t[b] += sink.t[b], c->h[b] += node*sink.t[b];
    for (size_t b = 0; sink.noise && b < n; b++) c->h[b] += s->dt[b] != 0 ? sink.noise[b]/s->dt[b] : 0;
    return rc;
}

static inline int nde_evaluate_transpose(const nde_attempt *s, const nde_step_cotangent *c, int i, double node,
                                         const nde_real *Y) {
    return nde_evaluate_transpose_of(s, c, c->k + (size_t)i*s->slab, nde_stage_tape(s, i), node, Y);
}

/* The tangent of a slope that is evaluated at Y, along v_Y; in pieces where lanes say so. */
static inline int nde_evaluate_tangent_to(const nde_attempt *s, const nde_step_tangent *v, double node, const nde_real *Y,
                                          const nde_real *v_Y, nde_real *v_k) {
    double *t = s->lanes->scratch->a_t;
    nde_source source = *v->source;
    source.t = t, source.h = s->dt, source.v_h = v->h;
    for (size_t b = 0; b < s->lanes->site.n; b++) t[b] = v->t[b] + node*v->h[b];
    return nde_rhs_jvp(s->rhs, s->lanes, nde_stage_time(s, node), Y, v_Y, &source, v_k);
}

static inline int nde_evaluate_tangent(const nde_attempt *s, const nde_step_tangent *v, int i, double node, const nde_real *Y,
                                       const nde_real *v_Y) {
    return nde_evaluate_tangent_to(s, v, node, Y, v_Y, v->k + (size_t)i*s->slab);
}

/* loss += <y, h sum e k> over `rows` rows from `from` on: y is the full cotangent of the new state, slope of the next step
 * included. */
static inline void nde_add_loss(const nde_attempt *s, const nde_step_cotangent *c, const nde_row *e, size_t from, size_t rows) {
    const size_t ld = s->lanes->site.ld;
    for (int j = 0; c->loss && j < e->count; j++) {
        const nde_real *k = s->k + (size_t)e->index[j]*s->slab;
        for (size_t i = from; i < from + rows; i++)
            for (size_t b = 0; b < s->lanes->site.n; b++)
                c->loss[b] += s->dt[b]*(double)e->weight[j]*(double)c->y[i*ld + b]*(double)k[i*ld + b];
    }
}

/* to += a in `rows` rows. */
static inline void nde_add_rows(const nde_attempt *s, size_t rows, const nde_real *a, nde_real *to) {
    const size_t ld = s->lanes->site.ld;
    for (size_t r = 0; r < rows; r++)
        for (size_t b = 0; b < s->lanes->site.n; b++) to[r*ld + b] += a[r*ld + b];
}

/* ---- W = I - gamma h J of implicit methods, factored ------------------------------------------ */

/* The part of J whose rows are the quadrature's: J is dense then. */
static inline const nde_real *nde_rows_below(const nde_attempt *s) {
    return s->rhs->nz ? s->lanes->scratch->linear->j + s->rhs->dim*s->rhs->dim*s->lanes->site.ld : NULL;
}

/* x = W^-1 x, all rows: those of the quadrature follow from those of the state. */
static inline void nde_solve_rows(const nde_attempt *s, nde_real *x) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, dim = s->rhs->dim;
    const nde_real *j = nde_rows_below(s), gamma = (nde_real)s->table->method->gamma;
    nde_lu_solve(s->rhs->kernels, &s->lanes->scratch->linear->lu, n, ld, x);
    for (size_t r = dim; r < s->rhs->rows; r++)
        for (size_t c = 0; c < dim; c++, j += ld)
            for (size_t b = 0; b < n; b++) x[r*ld + b] += gamma*s->h[b]*j[b]*x[c*ld + b];
}

/* a = W^-T a, all rows. */
static inline void nde_solve_rows_transpose(const nde_attempt *s, nde_real *a) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, dim = s->rhs->dim;
    const nde_real *j = nde_rows_below(s), gamma = (nde_real)s->table->method->gamma;
    for (size_t r = dim; r < s->rhs->rows; r++)
        for (size_t c = 0; c < dim; c++, j += ld)
            for (size_t b = 0; b < n; b++) a[c*ld + b] += gamma*s->h[b]*j[b]*a[r*ld + b];
    nde_lu_solve_transposed(s->rhs->kernels, &s->lanes->scratch->linear->lu, n, ld, a);
}

#endif
