/* SPDX-License-Identifier: MIT
 * dirk.c - the body of diagonally implicit Runge-Kutta methods, with transpose and tangent; compiled once for each instruction
 * set.
 *     k_0 = F(t, y),  k_i = F(t + c_i h, Y_i),  Y_i = y + h sum_j a_ij k_j + h gamma k_i,  y+ = y + h sum b_i k_i
 * Each lane solves its stages by Newton's method with one W = I - gamma h J of the step, J at its start. The first guess and
 * all that decides when an iteration ends come of the step alone, so that a step repeated is the same to the bit. A lane that
 * does not converge is marked, and takes a shorter step.
 *
 * First same as last: the last slope is that of y+ as the stage gives it, not F(t + h, y+), in which what Newton's method has
 * left would grow with the stiffness; hence a function of no state, carried as a partner. Source of the control of the
 * iteration: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), IV.8.
 *
 * With two fields (imex.c) slopes of the second one are solved for, those of the drift evaluated where that has led to, in
 * turn. With noise slope 0 is that of the noise at (t, y), F the drift, and J that where noise alone leads to.
 *
 * Derivatives are those of stages that are solved exactly, by the implicit function theorem: with W of the stage's own J. */
#include "core/isa.h"
#include "method/matrix_free.h"
#include "method/newton.h"

static bool is_additive(const nde_attempt *s) { return s->table->method->additive; }
static int first_stage(const nde_attempt *s) { return is_additive(s) ? 2 : 1 + s->table->method->filtered; }
static bool is_solved(const nde_attempt *s, int i) { return !is_additive(s) || i % 2 == 0; }
static const nde_drive *driven(const nde_attempt *s) { return s->table->method->drive; }
/* Which field slope i is of. */
static void take_turns(const nde_attempt *s, int i) {
    s->lanes->turned = is_additive(s) && i % 2 == 0;
    if (driven(s)) nde_rhs_turn(s->lanes, driven(s) + i);
}

/* ---- linear systems -------------------------------------------------------------------------- */

static bool is_free(const nde_attempt *s) { return s->table->jacobian.krylov > 0; }

/* J and W at (t, Y), where the field has left a tape if anything goes back. */
static int linearise(const nde_attempt *s, const double *t, const nde_real *Y, nde_real *tape) {
    nde_linear *l = linear(s);
    if (is_free(s)) {
        nde_matrix_free_aim(s, t, Y, tape, is_additive(s));
        return 0;
    }
    take_turns(s, first_stage(s));
    const int rc = jacobian_at(s, t, Y, l->j);
    if (rc) return rc;
    return nde_lu_factor(s->rhs->kernels, &l->lu, s->lanes->site.n, s->lanes->site.ld, s->h, (nde_real)s->table->method->gamma,
                         l->j);
}

/* x = W^-1 x of an iteration; and of derivatives. */
static int improve(const nde_attempt *s, nde_real *x) {
    if (is_free(s)) return nde_matrix_free_improve(s, x);
    nde_solve_rows(s, x);
    return 0;
}
static int solve(const nde_attempt *s, bool transposed, nde_real *x) {
    if (is_free(s)) return nde_matrix_free_solve(s, transposed, x);
    if (transposed) nde_solve_rows_transpose(s, x);
    else nde_solve_rows(s, x);
    return 0;
}

/* ---- Newton's method ------------------------------------------------------------------------- */

/* The first guess: on the line through slope 0 and that solved for before. Slope 0 of noise, like 1/sqrt(h), is none. */
static void guess(const nde_attempt *s, int i) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const int last = i - 1 - is_additive(s);
    const nde_real *first = s->k, *before = slope(s, s->k, last);
    nde_real *k = slope(s, s->k, i);
    if (driven(s)) {
        memset(k, 0, s->slab*sizeof *k);
        return;
    }
    const nde_real by = i > first_stage(s) ? (nde_real)(node(s, i)/node(s, last)) : 0;
    for (size_t e = 0; e < s->rhs->rows*ld; e += ld)
        for (size_t b = 0; b < n; b++) {
            const nde_real x = first[e + b];
            k[e + b] = by == 1 ? before[e + b] : by != 0 ? x + by*(before[e + b] - x) : x;
        }
}

/* Of a stage whose state is Y and whose slope k changes by dk. */
static void measure(const nde_attempt *s, const nde_real *Y, const nde_real *k, const nde_real *dk) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real gamma = (nde_real)s->table->method->gamma;
    begin_measure(s);
    for (size_t r = 0; r < s->rhs->dim; r++, k += ld, dk += ld)
        for (size_t b = 0; b < n; b++)
            measure_one(s, r, b, Y[r*ld + b], gamma*s->h[b]*k[b], gamma*s->h[b]*dk[b]);
    measure_quadrature(s, dk);
}

/* One iteration of stage i: the lanes that are still busy. */
static int iterate(const nde_attempt *s, int i, int m, size_t *busy) {
    nde_linear *l = linear(s);
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    nde_real *Y = s->lanes->scratch->Y, *k = slope(s, s->k, i);
    combine(s, &s->table->row[0][i], s->rhs->dim, Y);
    int rc = evaluate(s, i, Y, l->dv, NULL);
    if (rc) return rc;
    for (size_t e = 0; e < s->rhs->rows*ld; e += ld)
        for (size_t b = 0; b < n; b++) l->dv[e + b] = l->fate[b] == BUSY ? l->dv[e + b] - k[e + b] : 0;
    if ((rc = improve(s, l->dv))) return rc;
    measure(s, Y, k, l->dv);
    for (size_t e = 0; e < s->rhs->rows*ld; e += ld)
        for (size_t b = 0; b < n; b++)
            if (l->fate[b] == BUSY) k[e + b] += l->dv[e + b];
    *busy = judge_all(s, m, 1);
    return 0;
}

static int solve_stage(const nde_attempt *s, int i) {
    int rc = 0;
    take_turns(s, i);
    guess(s, i);
    size_t busy = settle(s, slope(s, s->k, i));
    for (int m = 1; !rc && busy; m++) rc = iterate(s, i, m, &busy);
    busy = settle(s, slope(s, s->k, i));
    if (rc || !busy || !s->tape || !s->rhs->tape) return rc;
    return keep_tape(s, i);
}

/* A slope of the drift, where the second field's has led to. */
static int evaluate_stage(const nde_attempt *s, int i) {
    take_turns(s, i);
    combine(s, &s->table->row[0][i], s->rhs->dim, s->lanes->scratch->Y);
    const int rc = evaluate(s, i, s->lanes->scratch->Y, slope(s, s->k, i), nde_stage_tape(s, i));
    settle(s, slope(s, s->k, i));
    return rc;
}

/* ---- the step -------------------------------------------------------------------------------- */

/* Slopes at the start, where they are not handed on. */
static int evaluate_first(const nde_attempt *s) {
    int rc = 0;
    for (int i = 0; !rc && !s->table->fsal && i <= is_additive(s); i++) {
        take_turns(s, i);
        rc = evaluate(s, i, s->y, slope(s, s->k, i), nde_stage_tape(s, i));
        if (!rc) count(s, 1);
    }
    return rc;
}

/* J and W of the step: at its start, or where noise alone leads to. */
static int linearise_step(const nde_attempt *s) {
    nde_real *Y = s->lanes->scratch->Y;
    if (!driven(s)) return linearise(s, s->t, s->y, NULL);
    guess(s, first_stage(s));
    combine(s, &s->table->row[0][first_stage(s)], s->rhs->dim, Y);
    return linearise(s, nde_stage_time(s, node(s, first_stage(s))), Y, NULL);
}

static int attempt(const nde_attempt *s) {
    const int last = s->table->stages - 1;
    begin(s);
    int rc = evaluate_first(s);
    if (!rc) rc = linearise_step(s);
    if (!rc && by_differences(s)) count(s, (int)s->table->jacobian.colours + 1);
    take_marks(s);
    for (int i = first_stage(s); !rc && i <= last; i++) rc = is_solved(s, i) ? solve_stage(s, i) : evaluate_stage(s, i);
    s->lanes->turned = false;
    leave_marks(s);
    if (!rc && s->table->method->filtered) rc = improve(s, sum_error(s));
    if (rc) return rc;
    combine(s, &s->table->out[0], s->rhs->rows, s->z);
    spoil(s);
    if (s->table->partners) memcpy(s->z + s->slab, slope(s, s->k, last), s->slab*sizeof *s->z);
    return 0;
}

/* ---- transpose ------------------------------------------------------------------------------- */

/* a = (I - gamma h J)^-T a with the field's own products, by W^-T of differences. */
static int refine_transpose(const nde_attempt *s, int i, const nde_real *Y, nde_real *a) {
    static const nde_sink nowhere;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, dim = s->rhs->dim;
    const nde_real gamma = (nde_real)s->table->method->gamma;
    nde_real *rest = linear(s)->dv, *given = linear(s)->f_t, *a_Y = s->lanes->scratch->a_Y;
    memcpy(given, a, s->slab*sizeof *a);
    nde_solve_rows_transpose(s, a);
    for (int m = 0; m < REFINEMENTS; m++) {
        memset(a_Y, 0, dim*ld*sizeof *a_Y);
        const int rc =
            nde_rhs_vjp(s->rhs, s->lanes, nde_stage_time(s, node(s, i)), Y, a, nde_stage_tape(s, i), ld, a_Y, &nowhere);
        if (rc) return rc;
        for (size_t e = 0; e < s->rhs->rows*ld; e += ld)
            for (size_t b = 0; b < n; b++)
                rest[e + b] = given[e + b] - a[e + b] + (e < dim*ld ? gamma*s->h[b]*a_Y[e + b] : 0);
        nde_solve_rows_transpose(s, rest);
        nde_add_rows(s, s->rhs->rows, rest, a);
    }
    return 0;
}

/* Stage i: the cotangent of its slope becomes that of its evaluation. */
static int solve_transpose(const nde_attempt *s, int i, const nde_real *Y, nde_real *a) {
    const int rc = linearise(s, nde_stage_time(s, node(s, i)), Y, nde_stage_tape(s, i));
    if (rc || by_differences(s)) return rc ? rc : refine_transpose(s, i, Y, a);
    return solve(s, true, a);
}

/* Where a stage's own slope has a part in its state, that is in W; and what depends on h there, here. */
static int stage_transpose(const nde_attempt *s, const nde_step_cotangent *c, int i) {
    const nde_row *row = &s->table->row[0][i];
    nde_real *Y = s->lanes->scratch->Y, *a_Y = s->lanes->scratch->a_Y;
    combine(s, row, s->rhs->dim, Y);
    int rc = is_solved(s, i) ? solve_transpose(s, i, Y, slope(s, c->k, i)) : 0;
    take_turns(s, i);
    if (!rc) rc = nde_evaluate_transpose(s, c, i, node(s, i), Y);
    if (rc) return rc;
    nde_add_rows(s, s->rhs->dim, a_Y, c->y);
    nde_combine_transpose(s, c, row, 0, s->rhs->dim, a_Y);
    return 0;
}

static int first_transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    int rc = 0;
    for (int i = is_additive(s); !rc && !s->table->fsal && i >= 0; i--) {
        take_turns(s, i);
        rc = nde_evaluate_transpose(s, c, i, 0, s->y);
        nde_add_rows(s, s->rhs->dim, s->lanes->scratch->a_Y, c->y);
    }
    return rc;
}

static int transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    const int last = s->table->stages - 1;
    nde_real *partner = c->y + s->slab;
    int rc = 0;
    nde_add_loss(s, c, &s->table->error, 0, s->rhs->dim);
    if (s->table->partners) {
        nde_add_rows(s, s->rhs->rows, partner, slope(s, c->k, last));
        memset(partner, 0, s->slab*sizeof *partner);
    }
    nde_combine_transpose(s, c, &s->table->out[0], 0, s->rhs->rows, c->y);
    for (int i = last; !rc && i >= first_stage(s); i--) rc = stage_transpose(s, c, i);
    if (!rc) rc = first_transpose(s, c);
    s->lanes->turned = false;
    return rc;
}

/* ---- tangent --------------------------------------------------------------------------------- */

/* v_k = (I - gamma h J)^-1 v_k with the field's own products, by W^-1 of differences. */
static int refine_tangent(const nde_attempt *s, int i, const nde_real *Y, nde_real *v_k) {
    static const nde_source still;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real gamma = (nde_real)s->table->method->gamma;
    nde_linear *l = linear(s);
    memcpy(l->f_t, v_k, s->slab*sizeof *v_k);
    nde_solve_rows(s, v_k);
    for (int m = 0; m < REFINEMENTS; m++) {
        for (size_t e = 0; e < s->rhs->dim*ld; e += ld)
            for (size_t b = 0; b < n; b++) l->v[e + b] = gamma*s->h[b]*v_k[e + b];
        const int rc = nde_rhs_jvp(s->rhs, s->lanes, nde_stage_time(s, node(s, i)), Y, l->v, &still, l->dv);
        if (rc) return rc;
        for (size_t e = 0; e < s->rhs->rows*ld; e += ld)
            for (size_t b = 0; b < n; b++) l->dv[e + b] += l->f_t[e + b] - v_k[e + b];
        nde_solve_rows(s, l->dv);
        nde_add_rows(s, s->rhs->rows, l->dv, v_k);
    }
    return 0;
}

static int stage_tangent(const nde_attempt *s, const nde_step_tangent *v, int i) {
    const nde_row *row = &s->table->row[0][i];
    nde_real *Y = s->lanes->scratch->Y, *v_Y = s->lanes->scratch->a_Y, *v_k = slope(s, v->k, i);
    combine(s, row, s->rhs->dim, Y);
    int rc = is_solved(s, i) ? linearise(s, nde_stage_time(s, node(s, i)), Y, NULL) : 0;
    if (rc) return rc;
    memset(v_k, 0, s->slab*sizeof *v_k); /* its own part in Y is in W */
    nde_combine_tangent(s, v, row, 0, s->rhs->dim, v->y, v_Y);
    take_turns(s, i);
    rc = nde_evaluate_tangent(s, v, i, node(s, i), Y, v_Y);
    if (rc || !is_solved(s, i)) return rc;
    return by_differences(s) ? refine_tangent(s, i, Y, v_k) : solve(s, false, v_k);
}

static int first_tangent(const nde_attempt *s, const nde_step_tangent *v) {
    int rc = 0;
    for (int i = 0; !rc && !s->table->fsal && i <= is_additive(s); i++) {
        take_turns(s, i);
        rc = nde_evaluate_tangent(s, v, i, 0, s->y, v->y);
    }
    return rc;
}

static int tangent(const nde_attempt *s, const nde_step_tangent *v) {
    const int last = s->table->stages - 1;
    int rc = first_tangent(s, v);
    for (int i = first_stage(s); !rc && i <= last; i++) rc = stage_tangent(s, v, i);
    s->lanes->turned = false;
    if (rc) return rc;
    if (s->table->method->filtered) memset(slope(s, v->k, 1), 0, s->slab*sizeof *v->k);
    nde_combine_tangent(s, v, &s->table->out[0], 0, s->rhs->rows, v->y, v->z);
    if (s->table->partners) memcpy(v->z + s->slab, slope(s, v->k, last), s->slab*sizeof *v->z);
    return 0;
}

const nde_body NDE_ISA_NAME(nde_body_dirk) = { .attempt = attempt, .transpose = transpose, .tangent = tangent };
