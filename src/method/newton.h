/* SPDX-License-Identifier: MIT
 * newton.h - Newton's method in the stages of a step, one J a step, as the bodies of implicit methods share it, and their
 * errors. To be included by those alone.
 *
 * Each lane is iterated until it has converged or failed; lanes that are done see the field as idle ones. Source of the
 * control: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), IV.8. */
#ifndef NDE_METHOD_NEWTON_H
#define NDE_METHOD_NEWTON_H

#include "method/shared.h"

enum { BUSY = NDE_LANE_OK, DONE = NDE_LANE_IDLE, NOT_FINITE = 128 }; /* fates of lanes; else a failed one's mark */
enum { REFINEMENTS = 3 }; /* of what a Jacobian by differences leaves in derivatives */

static inline nde_linear *linear(const nde_attempt *s) { return s->lanes->scratch->linear; }
static inline nde_real *slope(const nde_attempt *s, nde_real *k, int i) { return k + (size_t)i*s->slab; }
static inline double node(const nde_attempt *s, int i) { return s->table->method->c[i]; }
static inline bool by_differences(const nde_attempt *s) { return s->table->jacobian.how == NDE_JACOBIAN_DIFFERENCES; }
static inline nde_real rounding_unit(void) {
    return sizeof(nde_real) == sizeof(double) ? (nde_real)DBL_EPSILON : (nde_real)FLT_EPSILON;
}
static inline nde_real size_of(nde_real x) { return x < 0 ? -x : x; }
static inline nde_real larger(nde_real x, nde_real y) { return x > y || x != x ? x : y; } /* what is no number stays */

static inline void combine(const nde_attempt *s, const nde_row *row, size_t rows, nde_real *z) {
    s->rhs->kernels->step->combine(rows, s->lanes->site.n, s->lanes->site.ld, s->h, row, s->k, s->slab, s->y, z);
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static inline void begin(const nde_attempt *s) {
    nde_linear *l = linear(s);
    for (size_t b = 0; b < s->lanes->site.n; b++)
        l->fate[b] = BUSY, l->eta[b] = 1, l->iterations[b] = s->lanes->scratch->count[b] = 0;
    for (size_t b = 0; l->free.products && b < s->lanes->site.n; b++) l->free.products[b] = 0;
}

static inline void count(const nde_attempt *s, int evaluations) {
    for (size_t b = 0; b < s->lanes->site.n; b++) s->lanes->scratch->count[b] += evaluations;
}

/* Slope i at Y. Lanes that have no part in an evaluation are idle in it; what a field says of them does not count. */
static inline int evaluate(const nde_attempt *s, int i, const nde_real *Y, nde_real *f, nde_real *tape) {
    nde_site *at = &s->lanes->site;
    nde_linear *l = linear(s);
    unsigned idle = 0;
    for (size_t b = 0; b < at->n; b++) idle |= l->fate[b], at->lane[b] = l->fate[b] ? NDE_LANE_IDLE : NDE_LANE_OK;
    if (idle) at->flags |= NDE_HAS_IDLE;
    const int rc = nde_rhs_eval(s->rhs, s->lanes, nde_stage_time(s, node(s, i)), Y, f, tape, at->ld);
    at->flags &= ~(unsigned)NDE_HAS_IDLE;
    if (rc) s->lanes->scratch->stage = i;
    for (size_t b = 0; b < at->n; b++)
        if (l->fate[b] == BUSY && at->lane[b] != NDE_LANE_OK) l->fate[b] = at->lane[b];
    return rc;
}

/* Lanes that have failed stand still: their slope k is zero, so that what is evaluated there is finite. How many have not? */
static inline size_t settle(const nde_attempt *s, nde_real *k) {
    nde_linear *l = linear(s);
    size_t busy = 0;
    for (size_t b = 0; b < s->lanes->site.n; b++) {
        if (l->fate[b] == DONE) l->fate[b] = BUSY;
        busy += l->fate[b] == BUSY;
        for (size_t e = b; l->fate[b] != BUSY && e < s->rhs->rows*s->lanes->site.ld; e += s->lanes->site.ld) k[e] = 0;
    }
    return busy;
}

/* What the way back needs of the field, at the solution of stage i: where it is not finite, nor would that be. */
static inline int keep_tape(const nde_attempt *s, int i) {
    nde_linear *l = linear(s);
    combine(s, &s->table->row[0][i], s->rhs->dim, s->lanes->scratch->Y);
    const int rc = evaluate(s, i, s->lanes->scratch->Y, l->dv, nde_stage_tape(s, i));
    for (size_t e = 0; !rc && e < s->rhs->rows*s->lanes->site.ld; e += s->lanes->site.ld)
        for (size_t b = 0; b < s->lanes->site.n; b++)
            if (l->fate[b] == BUSY && !isfinite(l->dv[e + b])) l->fate[b] = NOT_FINITE;
    return rc;
}

/* What an evaluation said of lanes before any iteration; and what the loop is told of them. */
static inline void take_marks(const nde_attempt *s) {
    for (size_t b = 0; b < s->lanes->site.n; b++)
        if (s->lanes->site.lane[b] != NDE_LANE_OK) linear(s)->fate[b] = s->lanes->site.lane[b];
}
static inline void leave_marks(const nde_attempt *s) {
    const unsigned char *fate = linear(s)->fate;
    for (size_t b = 0; b < s->lanes->site.n; b++) s->lanes->site.lane[b] = fate[b] == NOT_FINITE ? NDE_LANE_OK : fate[b];
}

/* A lane that has failed has no new state and no slopes, so that nothing is made of them where steps are repeated. */
static inline void spoil(const nde_attempt *s) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    for (size_t b = 0; b < n; b++) {
        if (linear(s)->fate[b] == BUSY) continue;
        for (size_t e = b; e < s->rhs->rows*ld; e += ld) {
            for (int i = 1; i < s->table->stages; i++) slope(s, s->k, i)[e] = (nde_real)NAN;
            s->z[e] = (nde_real)NAN;
        }
    }
}

/* j = dF/dy at (t, Y); differences begin at F there. */
static inline int jacobian_at(const nde_attempt *s, const double *t, const nde_real *Y, nde_real *j) {
    nde_linear to = *linear(s);
    to.j = j;
    const int rc = by_differences(s) ? nde_rhs_eval(s->rhs, s->lanes, t, Y, to.f_t, NULL, 0) : 0;
    return rc ? rc : nde_jacobian_eval(&s->table->jacobian, s->rhs, s->lanes, &to, t, Y, to.f_t);
}

/* ---- an iteration ---------------------------------------------------------------------------- */

/* size [n]: the largest change of the state relative to what is wanted; change and most [n]: the largest one, and the
 * largest number in the sums that are the state. */
static inline void begin_measure(const nde_attempt *s) {
    nde_linear *l = linear(s);
    for (size_t b = 0; b < s->lanes->site.n; b++) l->size[b] = 0, l->change[b] = 0, l->most[b] = 0;
}

/* Component r of lane b, Y in a stage, which a term of its sum moves by `moves` from `part`. */
static inline void measure_one(const nde_attempt *s, size_t r, size_t b, nde_real Y, nde_real part, nde_real moves) {
    nde_linear *l = linear(s);
    const nde_real change = size_of(moves), value = larger(size_of(Y), size_of(s->y[r*s->lanes->site.ld + b]));
    const double wanted = nde_newton_wanted(&s->table->newton, s->lanes->site.index[b], r, (double)value);
    l->size[b] = (double)change > wanted*l->size[b] || change != change ? (double)change/wanted : l->size[b];
    l->change[b] = larger(change, l->change[b]);
    l->most[b] = larger(larger(value, size_of(part)), l->most[b]);
}

/* The quadrature has no size, but must be there: its rows of a change. */
static inline void measure_quadrature(const nde_attempt *s, const nde_real *dk) {
    for (size_t r = s->rhs->dim; r < s->rhs->rows; r++, dk += s->lanes->site.ld)
        for (size_t b = 0; b < s->lanes->site.n; b++)
            if (!isfinite(dk[b])) linear(s)->size[b] = (double)NAN;
}

/* What becomes of a busy lane after iteration m, whose change was size, and before that `before`? eta estimates how much of a
 * change is still to come; of a stage's first one the last estimate of the stage before, no less than 1e-4, to the
 * power of 3/4 (theirs is 0.8). Changes that hardly get smaller, and are no more than rounding, are good enough. */
static inline unsigned char judge(const nde_newton *how, nde_linear *l, size_t b, int m) {
    enum { ROUNDING = 100 };
    const double size = l->size[b], rate = m > 1 ? size/l->before[b] : 0;
    if (!(size <= DBL_MAX)) return NOT_FINITE;
    if (size == 0) return DONE;
    if (rate > 0.5 && l->change[b] <= ROUNDING*rounding_unit()*l->most[b]) return DONE;
    if (rate >= 1) return NDE_LANE_UNSOLVED;
    const double was = fmax(l->eta[b], 1e-4);
    l->eta[b] = m > 1 ? rate/(1 - rate) : sqrt(was*sqrt(was));
    double left = l->eta[b]*size;
    if (left <= 1) return DONE;
    for (int k = m; how->fraction > 0 && m > 1 && k < how->most; k++) left *= rate; /* at the end */
    if (m == how->most || (how->fraction > 0 && m > 1 && left > 1)) return NDE_LANE_UNSOLVED;
    l->before[b] = size;
    return BUSY;
}

/* All busy lanes, in each of which an iteration took so many evaluations. How many go on? */
static inline size_t judge_all(const nde_attempt *s, int m, int evaluations) {
    nde_linear *l = linear(s);
    size_t busy = 0;
    for (size_t b = 0; b < s->lanes->site.n; b++) {
        if (l->fate[b] != BUSY) continue;
        l->iterations[b]++, s->lanes->scratch->count[b] += evaluations;
        busy += (l->fate[b] = judge(&s->table->newton, l, b, m)) == BUSY;
    }
    return busy;
}

/* ---- the error ------------------------------------------------------------------------------- */

/* Slope 1 = sum_j e_j k_j, which W^-1 makes the error of. */
static inline nde_real *sum_error(const nde_attempt *s) {
    const nde_row *row = &s->table->filter;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    nde_real *to = slope(s, s->k, 1);
    memset(to, 0, s->slab*sizeof *to);
    for (int j = 0; j < row->count; j++) {
        const nde_real *k = slope(s, s->k, row->index[j]);
        for (size_t e = 0; e < s->rhs->rows*ld; e += ld)
            for (size_t b = 0; b < n; b++) to[e + b] += row->weight[j]*k[e + b];
    }
    return to;
}

#endif
