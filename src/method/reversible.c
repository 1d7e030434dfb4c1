/* SPDX-License-Identifier: MIT
 * reversible.c - the body of asynchronous leapfrog and reversible Heun: both go half a step with slope 0, reflect a
 * partner at where that leads, and go the other half with the slope that this gives. Undone by the same in the other order.
 *   y' = y + h/2 k0
 *   leapfrog: k1 = k0 + 2 d (F(t + h/2, y') - k0), d = 1 without damping; the partner is slope 0
 *   Heun:     x+ = 2 y' - x, k1 = F(t + h, x+); slope 0 is F(t, x)
 *   y+ = y' + h/2 k1
 * With noise, which is another one in each step, slopes are not handed on. Where all of it is diagonal their pieces are,
 * behind x:
 * both slopes of a step are sums of them, and one evaluation a step makes those at x+. Else slope 0 of Heun is evaluated too.
 * With transpose, tangent and reverse; compiled once for each instruction set. Sources: alf.c, reversible_heun.c. */
#include "core/isa.h"
#include "method/shared.h"

static bool carries_slope(const nde_attempt *s) { return s->table->method->partner == NDE_PARTNER_SLOPE; }
static nde_real *slope(const nde_attempt *s, int i) { return s->k + (size_t)i*s->slab; }
static const double *evaluation_time(const nde_attempt *s) { return nde_stage_time(s, s->table->method->c[1]); }

/* Pieces of a slope, which stand behind the partner in a state or its cotangent. */
static bool in_pieces(const nde_attempt *s) { return s->rhs->pieces > 0; }
#define PIECES_OF(s, state) ((state) + 2*(s)->slab)

/* ---- the step -------------------------------------------------------------------------------- */

/* x = y + sign h/2 k, all rows. */
static void go_half(const nde_attempt *s, const nde_real *y, nde_real sign, const nde_real *k, nde_real *x) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real quantum = (nde_real)s->table->quantum, half = sign*(nde_real)0.5;
    for (size_t r = 0; r < s->rhs->rows; r++, y += ld, k += ld, x += ld)
        if (quantum > 0)
            for (size_t b = 0; b < n; b++) x[b] = nde_quantised(y[b] + nde_quantised(half*s->h[b]*k[b], quantum), quantum);
        else
            NDE_LANES(b, n) x[b] = y[b] + half*s->h[b]*k[b];
}

/* to = 2 y - x: over to the other side of y. */
static void reflect(const nde_attempt *s, size_t rows, const nde_real *y, const nde_real *x, nde_real *to) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    for (size_t r = 0; r < rows; r++, y += ld, x += ld, to += ld)
        for (size_t b = 0; b < n; b++) to[b] = 2*y[b] - x[b];
}

/* The slope on the other side of F(t + h/2, y'), which is where k is and becomes it. */
static void turn(const nde_attempt *s, const nde_real *from, double damping, nde_real *k) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real quantum = (nde_real)s->table->quantum, twice = (nde_real)(2*damping);
    for (size_t r = 0; r < s->rhs->rows; r++, from += ld, k += ld)
        for (size_t b = 0; b < n; b++)
            k[b] = quantum > 0 ? nde_quantised(2*nde_quantised(k[b], quantum) - from[b], quantum) : from[b] +
            twice*(k[b] - from[b]);
}

static int evaluate(const nde_attempt *s, int i, const double *t, const nde_real *Y) {
    s->lanes->scratch->stage = 1;
    return nde_rhs_eval(s->rhs, s->lanes, t, Y, slope(s, i), nde_stage_tape(s, i), s->lanes->site.ld);
}

/* Slope i from the pieces of a state, and from those that are made in the new one. */
static void sum_pieces(const nde_attempt *s, int i, const nde_real *state) {
    nde_pieces_sum(s->rhs, s->lanes, PIECES_OF(s, state), s->slab, slope(s, i));
}
static int evaluate_pieces(const nde_attempt *s, int i, const double *t) {
    s->lanes->scratch->stage = 1;
    const int rc = nde_pieces_eval(s->rhs, s->lanes, t, s->z + s->slab, PIECES_OF(s, s->z), s->slab, s->tape,
                                   s->lanes->site.ld);
    if (!rc) sum_pieces(s, i, s->z);
    return rc;
}

static int attempt(const nde_attempt *s) {
    nde_real *partner = s->z + s->slab;
    int rc = s->table->fsal || in_pieces(s) ? 0 : evaluate(s, 0, s->t, s->y + s->slab);
    if (rc) return rc;
    if (in_pieces(s)) sum_pieces(s, 0, s->y);
    go_half(s, s->y, 1, slope(s, 0), s->z);
    if (!carries_slope(s)) reflect(s, s->rhs->rows, s->z, s->y + s->slab, partner);
    if (in_pieces(s)) rc = evaluate_pieces(s, 1, evaluation_time(s));
    else rc = evaluate(s, 1, evaluation_time(s), carries_slope(s) ? s->z : partner);
    if (rc) return rc;
    if (carries_slope(s)) {
        turn(s, slope(s, 0), s->table->damping, slope(s, 1));
        memcpy(partner, slope(s, 1), s->slab*sizeof *partner);
    }
    go_half(s, s->z, 1, slope(s, 1), s->z);
    return 0;
}

/* With damping d, k0 = k1 + 2 e (F - k1) for e = d/(2 d - 1). */
static int reverse(const nde_attempt *s) {
    nde_real *partner = s->z + s->slab;
    const double d = s->table->damping;
    int rc = s->table->fsal || in_pieces(s) ? 0 : evaluate(s, 1, evaluation_time(s), s->y + s->slab);
    if (rc) return rc;
    if (in_pieces(s)) sum_pieces(s, 1, s->y);
    go_half(s, s->y, -1, slope(s, 1), s->z);
    if (!carries_slope(s)) reflect(s, s->rhs->rows, s->z, s->y + s->slab, partner);
    if (in_pieces(s)) rc = evaluate_pieces(s, 0, s->t);
    else rc = evaluate(s, 0, carries_slope(s) ? evaluation_time(s) : s->t, carries_slope(s) ? s->z : partner);
    if (rc) return rc;
    if (carries_slope(s)) {
        turn(s, slope(s, 1), d/(2*d - 1), slope(s, 0));
        memcpy(partner, slope(s, 0), s->slab*sizeof *partner);
    }
    go_half(s, s->z, -1, slope(s, 0), s->z);
    return 0;
}

/* ---- transpose ------------------------------------------------------------------------------- */

/* y' , and the state at which slope 1 was evaluated. */
static const nde_real *stage(const nde_attempt *s) {
    const nde_step_kernels *use = s->rhs->kernels->step;
    nde_real *Y = s->lanes->scratch->Y;
    const size_t ld = s->lanes->site.ld;
    memcpy(Y, s->y, s->rhs->dim*ld*sizeof *Y);
    use->accumulate(s->rhs->dim, s->lanes->site.n, ld, s->h, (nde_real)0.5, slope(s, 0), Y);
    if (!carries_slope(s)) reflect(s, s->rhs->dim, Y, s->y + s->slab, Y);
    return Y;
}

/* Of x = y + h/2 k_i, from the cotangent of x. */
static void go_half_transpose(const nde_attempt *s, const nde_step_cotangent *c, int i) {
    const nde_step_kernels *use = s->rhs->kernels->step;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, rows = s->rhs->rows;
    use->accumulate(rows, n, ld, s->h, (nde_real)0.5, c->y, c->k + (size_t)i*s->slab);
    if (c->h) use->dot(rows, n, ld, 0.5, c->y, slope(s, i), c->h);
}

/* to += w a; a = scale a */
static void give(const nde_attempt *s, size_t rows, nde_real w, nde_real *a, nde_real scale, nde_real *to) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    for (size_t r = 0; r < rows; r++, a += ld, to += ld)
        for (size_t b = 0; b < n; b++) to[b] += w*a[b], a[b] *= scale;
}

/* Of slope i, from pieces of a state. */
static void sum_pieces_transpose(const nde_attempt *s, const nde_step_cotangent *c, int i, const nde_real *state) {
    nde_pieces_sum_transpose(s->rhs, s->lanes, s->dt, PIECES_OF(s, state), s->slab, c->k + (size_t)i*s->slab,
                             PIECES_OF(s, c->y), c->h);
}

/* The cotangents of pieces at the end have come from the step after it too. */
static int evaluate_pieces_transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    nde_real *a = PIECES_OF(s, c->y);
    s->lanes->apart = s->slab;
    const int rc = nde_evaluate_transpose_of(s, c, a, s->tape, s->table->method->c[1], stage(s));
    s->lanes->apart = 0;
    memset(a, 0, s->rhs->pieces*s->slab*sizeof *a);
    return rc;
}

static int transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    const size_t rows = s->rhs->rows, dim = s->rhs->dim;
    const nde_real twice = (nde_real)(2*s->table->damping);
    nde_real *a_Y = s->lanes->scratch->a_Y, *partner = c->y + s->slab, *a_k1 = c->k + s->slab;
    nde_add_loss(s, c, &s->table->error, 0, s->rhs->dim);
    go_half_transpose(s, c, 1);
    if (carries_slope(s)) {
        give(s, rows, 1, partner, 0, a_k1);
        give(s, rows, 1 - twice, a_k1, twice, c->k);
    }
    if (in_pieces(s)) sum_pieces_transpose(s, c, 1, s->z);
    int rc = in_pieces(s) ? evaluate_pieces_transpose(s, c) : nde_evaluate_transpose(s, c, 1, s->table->method->c[1], stage(s));
    if (rc) return rc;
    give(s, dim, 1, a_Y, 1, carries_slope(s) ? c->y : partner);
    if (!carries_slope(s)) give(s, rows, 2, partner, -1, c->y);
    go_half_transpose(s, c, 0);
    if (in_pieces(s)) sum_pieces_transpose(s, c, 0, s->y);
    if (s->table->fsal || in_pieces(s)) return 0;
    rc = nde_evaluate_transpose(s, c, 0, 0, s->y + s->slab);
    give(s, dim, 1, a_Y, 1, partner);
    return rc;
}

/* ---- tangent --------------------------------------------------------------------------------- */

/* v_x = v_y + h/2 v_k + v_h/2 k_i. */
static void go_half_tangent(const nde_attempt *s, const nde_step_tangent *v, int i, const nde_real *v_y, nde_real *v_x) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real *k = slope(s, i), *v_k = v->k + (size_t)i*s->slab, half = (nde_real)0.5;
    for (size_t r = 0; r < s->rhs->rows*ld; r += ld)
        for (size_t b = 0; b < n; b++) v_x[r + b] = v_y[r + b] + half*(s->h[b]*v_k[r + b] + (nde_real)v->h[b]*k[r + b]);
}

/* Of slope i, from pieces and their tangents. */
static void sum_pieces_tangent(const nde_attempt *s, const nde_step_tangent *v, int i, const nde_real *state,
                               const nde_real *v_state) {
    nde_pieces_sum_tangent(s->rhs, s->lanes, s->dt, v->h, PIECES_OF(s, state), PIECES_OF(s, v_state), s->slab,
                           v->k + (size_t)i*s->slab);
}
static int evaluate_pieces_tangent(const nde_attempt *s, const nde_step_tangent *v) {
    s->lanes->apart = s->slab;
    const int rc = nde_evaluate_tangent_to(s, v, s->table->method->c[1], stage(s), v->z + s->slab, PIECES_OF(s, v->z));
    s->lanes->apart = 0;
    if (!rc) sum_pieces_tangent(s, v, 1, s->z, v->z);
    return rc;
}

static int tangent(const nde_attempt *s, const nde_step_tangent *v) {
    nde_real *v_partner = v->z + s->slab, *v_k1 = v->k + s->slab;
    const nde_real twice = (nde_real)(2*s->table->damping);
    int rc = s->table->fsal || in_pieces(s) ? 0 : nde_evaluate_tangent(s, v, 0, 0, s->y + s->slab, v->y + s->slab);
    if (rc) return rc;
    if (in_pieces(s)) sum_pieces_tangent(s, v, 0, s->y, v->y);
    go_half_tangent(s, v, 0, v->y, v->z);
    if (!carries_slope(s)) reflect(s, s->rhs->rows, v->z, v->y + s->slab, v_partner);
    if (in_pieces(s)) rc = evaluate_pieces_tangent(s, v);
    else rc = nde_evaluate_tangent(s, v, 1, s->table->method->c[1], stage(s), carries_slope(s) ? v->z : v_partner);
    if (rc) return rc;
    if (carries_slope(s)) {
        for (size_t i = 0; i < s->slab; i++) v_partner[i] = v_k1[i] = v->k[i] + twice*(v_k1[i] - v->k[i]);
    }
    go_half_tangent(s, v, 1, v->z, v->z);
    return 0;
}

const nde_body NDE_ISA_NAME(nde_body_reversible) = {
    .attempt = attempt, .transpose = transpose, .tangent = tangent, .reverse = reverse
};
