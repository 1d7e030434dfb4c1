/* SPDX-License-Identifier: MIT
 * composition.c - the body of symplectic compositions: positions and velocities move in turn, each along the slope that the
 * other gives, in place; with transpose, tangent and reverse; compiled once for each instruction set.
 * Source: E. Hairer, C. Lubich, G. Wanner, Geometric Numerical Integration (2006), II.4, II.5, VI.6. */
#include "core/isa.h"
#include "method/shared.h"

/* The rows that a stage moves. */
typedef struct half {
    size_t from, rows;
    unsigned flag;
} half;

static half half_of(const nde_attempt *s, int i) {
    const size_t split = s->table->split;
    return nde_method_moves(s->table->method, i) ? (half){ split, s->rhs->dim - split, NDE_VELOCITIES }
                                                 : (half){ 0, split, NDE_POSITIONS };
}

static nde_real weight(const nde_attempt *s, int i) { return (nde_real)s->table->method->b[i]; }

static void copy(const nde_attempt *s, const nde_real *from, nde_real *to) {
    memcpy(to, from, s->rhs->dim*s->lanes->site.ld*sizeof *to);
}

/* The same in multiples of the quantum: the sum is exact, and -w undoes it. */
static void move_quanta(const nde_attempt *s, half m, nde_real w, const nde_real *k, nde_real *y) {
    const nde_real quantum = (nde_real)s->table->quantum;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    for (size_t r = 0; r < m.rows; r++)
        for (size_t b = 0; b < n; b++)
            y[r*ld + b] = nde_quantised(y[r*ld + b] + nde_quantised(s->h[b]*w*k[r*ld + b], quantum), quantum);
}

/* y += h w k on the rows that stage i moves. */
static void move(const nde_attempt *s, int i, nde_real w, const nde_real *k, nde_real *y) {
    const half m = half_of(s, i);
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, at = m.from*ld;
    if (s->table->quantum > 0) {
        move_quanta(s, m, w, k + (size_t)i*s->slab + at, y + at);
        return;
    }
    s->rhs->kernels->step->accumulate(m.rows, n, ld, s->h, w, k + (size_t)i*s->slab + at, y + at);
}

/* ---- the step -------------------------------------------------------------------------------- */

static int evaluate(const nde_attempt *s, int i, const nde_real *y) {
    nde_site *at = &s->lanes->site;
    const half m = half_of(s, i);
    at->flags |= m.flag;
    const int rc = nde_rhs_eval(s->rhs, s->lanes, nde_stage_time(s, s->table->node[i]), y, s->k + (size_t)i*s->slab,
                                nde_stage_tape(s, i), at->ld);
    at->flags &= ~m.flag;
    return rc;
}

static int attempt(const nde_attempt *s) {
    copy(s, s->y, s->z);
    for (int i = 0; i < s->table->stages; i++) {
        const int rc = i || !s->table->fsal ? evaluate(s, i, s->z) : 0;
        if (rc) return s->lanes->scratch->stage = i, rc;
        move(s, i, weight(s, i), s->k, s->z);
    }
    return 0;
}

static int reverse(const nde_attempt *s) {
    const int last = s->table->stages - 1;
    copy(s, s->y, s->z);
    for (int i = last; i >= 0; i--) {
        const int rc = i < last || !s->table->fsal ? evaluate(s, i, s->z) : 0;
        if (rc) return s->lanes->scratch->stage = i, rc;
        move(s, i, -weight(s, i), s->k, s->z);
    }
    return 0;
}

/* The new state. */
static nde_real *finish(const nde_attempt *s) {
    nde_real *Y = s->lanes->scratch->Y;
    copy(s, s->y, Y);
    for (int i = 0; i < s->table->stages; i++) move(s, i, weight(s, i), s->k, Y);
    return Y;
}

/* Slopes of both ends. */
static int extend(const nde_attempt *s) {
    const int begin = s->table->stages, end = begin + 1;
    const size_t ld = s->lanes->site.ld;
    int rc = nde_rhs_eval(s->rhs, s->lanes, s->t, s->y, s->k + (size_t)begin*s->slab, nde_stage_tape(s, begin), ld);
    if (!rc) rc = nde_rhs_eval(s->rhs, s->lanes, s->t_new, finish(s), s->k + (size_t)end*s->slab, nde_stage_tape(s, end), ld);
    return rc;
}

/* ---- transpose ------------------------------------------------------------------------------- */

/* Of y += h w k: from a, the cotangent of y, to those of slope i and, where wanted, of h. */
static void move_transpose(const nde_attempt *s, const nde_step_cotangent *c, int i, const nde_real *a) {
    const nde_step_kernels *use = s->rhs->kernels->step;
    const half m = half_of(s, i);
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, at = m.from*ld, slope = (size_t)i*s->slab + at;
    use->accumulate(m.rows, n, ld, s->h, weight(s, i), a + at, c->k + slope);
    if (c->h) use->dot(m.rows, n, ld, (double)weight(s, i), a + at, s->k + slope, c->h);
}

/* States of stages are not kept but gone back to, stage by stage: to rounding. */
static int transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    nde_real *Y = finish(s);
    nde_site *at = &s->lanes->site;
    for (int i = s->table->stages - 1; i >= 0; i--) {
        move_transpose(s, c, i, c->y);
        if (i == 0 && s->table->fsal) break;
        move(s, i, -weight(s, i), s->k, Y);
        const half m = half_of(s, i);
        at->flags |= m.flag;
        const int rc = nde_evaluate_transpose(s, c, i, s->table->node[i], Y);
        at->flags &= ~m.flag;
        if (rc) return rc;
        nde_add_rows(s, s->rhs->dim, s->lanes->scratch->a_Y, c->y);
    }
    return 0;
}

static int extend_transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    const int begin = s->table->stages, end = begin + 1;
    const nde_real *a = s->lanes->scratch->a_Y;
    int rc = nde_evaluate_transpose(s, c, end, 1, finish(s));
    if (rc) return rc;
    for (int i = 0; i < s->table->stages; i++) move_transpose(s, c, i, a);
    nde_add_rows(s, s->rhs->dim, a, c->y);
    if (!(rc = nde_evaluate_transpose(s, c, begin, 0, s->y))) nde_add_rows(s, s->rhs->dim, a, c->y);
    return rc;
}

/* ---- tangent --------------------------------------------------------------------------------- */

/* v_y += h w v_k + v_h w k on the rows that stage i moves. */
static void move_tangent(const nde_attempt *s, const nde_step_tangent *v, int i, nde_real *v_y) {
    const half m = half_of(s, i);
    const size_t ld = s->lanes->site.ld;
    const nde_real *k = s->k + (size_t)i*s->slab, *v_k = v->k + (size_t)i*s->slab;
    for (size_t r = m.from; r < m.from + m.rows; r++)
        for (size_t b = 0; b < s->lanes->site.n; b++)
            v_y[r*ld + b] += weight(s, i)*(s->h[b]*v_k[r*ld + b] + (nde_real)v->h[b]*k[r*ld + b]);
}

static int tangent(const nde_attempt *s, const nde_step_tangent *v) {
    nde_real *Y = s->lanes->scratch->Y;
    nde_site *at = &s->lanes->site;
    copy(s, s->y, Y), copy(s, v->y, v->z);
    for (int i = 0; i < s->table->stages; i++) {
        const half m = half_of(s, i);
        at->flags |= m.flag;
        const int rc = i || !s->table->fsal ? nde_evaluate_tangent(s, v, i, s->table->node[i], Y, v->z) : 0;
        at->flags &= ~m.flag;
        if (rc) return rc;
        move_tangent(s, v, i, v->z);
        move(s, i, weight(s, i), s->k, Y);
    }
    return 0;
}

static int extend_tangent(const nde_attempt *s, const nde_step_tangent *v) {
    const int begin = s->table->stages, end = begin + 1;
    nde_real *v_Y = s->lanes->scratch->a_Y;
    copy(s, v->y, v_Y);
    for (int i = 0; i < s->table->stages; i++) move_tangent(s, v, i, v_Y);
    const int rc = nde_evaluate_tangent(s, v, end, 1, finish(s), v_Y);
    return rc ? rc : nde_evaluate_tangent(s, v, begin, 0, s->y, v->y);
}

const nde_body NDE_ISA_NAME(nde_body_composition) = { .attempt = attempt,
                                                      .transpose = transpose,
                                                      .tangent = tangent,
                                                      .extend = extend,
                                                      .extend_transpose = extend_transpose,
                                                      .extend_tangent = extend_tangent,
                                                      .reverse = reverse };
