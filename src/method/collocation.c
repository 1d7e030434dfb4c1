/* SPDX-License-Identifier: MIT
 * collocation.c - the body of collocation methods of three stages, with transpose and tangent; compiled once for each
 * instruction set.
 *     k_0 = F(t, y),  k_i = F(t + c_i h, Y_i),  Y_i = y + h sum_j a_ij k_j,  y+ = y + h sum b_i k_i
 * All stages of a lane are solved together by Newton's method with J at the start of the step. With a = V D V^-1, D of a real
 * number gamma and a block [r, m; -m, r], the system of an iteration is one with W = I - gamma h J and one of twice the rows
 * with I - h [r J, m J; -m J, r J]. Unknowns are the slopes, as in dirk.c, so that nothing is multiplied with J to have them;
 * the first guess is W^-1 k_0 in all stages: of the step alone, so that a step repeated is the same to the bit, and without
 * what of k_0 is large off the slow solution.
 *
 * Derivatives are those of stages that are solved exactly, by the implicit function theorem: with I - h [a_ij J_i], J_i of
 * stage i, which no change of variables takes apart.
 * Source: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), IV.8. */
#include "core/isa.h"
#include "method/newton.h"

enum { S = NDE_COLLOCATED };

static int first_stage(const nde_attempt *s) { return s->table->stages - S; }
static const nde_row *row_of(const nde_attempt *s, int i) { return &s->table->row[0][first_stage(s) + i]; }
static nde_real *stage(const nde_attempt *s, nde_real *k, int i) { return slope(s, k, first_stage(s) + i); }
static const double *stage_time(const nde_attempt *s, int i) { return nde_stage_time(s, node(s, first_stage(s) + i)); }
static nde_real weight(const nde_coefficient *m, int i, int j) { return (nde_real)m[i*S + j]; }
static const nde_collocation *table_of(const nde_attempt *s) { return s->table->method->collocation; }
/* Of stage i: what is left of its equation, all rows; a part of the unknowns, rows of the state. */
static nde_real *rest(const nde_attempt *s, int i) { return linear(s)->rest + (size_t)i*s->rhs->rows*s->lanes->site.ld; }
static nde_real *given(const nde_attempt *s, int i) { return linear(s)->given + (size_t)i*s->rhs->rows*s->lanes->site.ld; }
static nde_real *part(const nde_attempt *s, int i) { return linear(s)->part + (size_t)i*s->rhs->dim*s->lanes->site.ld; }
static size_t entries(const nde_attempt *s) { return s->rhs->rows*s->rhs->dim*s->lanes->site.ld; } /* of J with all rows */

/* ---- linear systems -------------------------------------------------------------------------- */

/* J at the start of the step, and both matrices. */
static int linearise(const nde_attempt *s) {
    const nde_collocation *of = table_of(s);
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real r = (nde_real)of->real, m = (nde_real)of->imaginary, pair[] = { r, m, -m, r };
    nde_linear *l = linear(s);
    const int rc = nde_jacobian_eval(&s->table->jacobian, s->rhs, s->lanes, l, s->t, s->y, s->k);
    if (rc) return rc;
    nde_lu_factor(s->rhs->kernels, &l->lu, n, ld, s->h, (nde_real)s->table->method->gamma, l->j);
    nde_lu_factor_blocks(s->rhs->kernels, &l->pair, n, ld, s->h, 2, pair, l->j, 0);
    return 0;
}

/* to_i = sum_j m_ij x_j on the rows of the state; x and to `apart` and `to_apart` from stage to stage. */
static void mix(const nde_attempt *s, const nde_coefficient *m, const nde_real *x, size_t apart, nde_real *to,
                size_t to_apart) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    for (int i = 0; i < S; i++) {
        const nde_real u = weight(m, i, 0), v = weight(m, i, 1), w = weight(m, i, 2);
        nde_real *sum = to + (size_t)i*to_apart;
        for (size_t e = 0; e < s->rhs->dim*ld; e += ld) NDE_IVDEP
            for (size_t b = 0; b < n; b++) sum[e + b] = u*x[e + b] + v*x[apart + e + b] + w*x[2*apart + e + b];
    }
}

/* x += h j v on the rows of the quadrature, of all stages: v [dim] is what their states change by, over h. */
static void add_quadrature(const nde_attempt *s, const nde_real *j, const nde_real *v, nde_real *x) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, dim = s->rhs->dim;
    j += dim*dim*ld;
    for (size_t r = dim; r < s->rhs->rows; r++)
        for (size_t c = 0; c < dim; c++, j += ld)
            for (size_t b = 0; b < n; b++) x[r*ld + b] += s->h[b]*j[b]*v[c*ld + b];
}

/* What slopes must change by, in `rest`, from what is left of the equations there; what that does to the states, over h, in
 * `part`. */
static void solve(const nde_attempt *s) {
    const nde_collocation *of = table_of(s);
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, rows = s->rhs->rows*ld, dim = s->rhs->dim*ld;
    nde_linear *l = linear(s);
    mix(s, of->inverse, l->rest, rows, l->part, dim);
    nde_lu_solve(s->rhs->kernels, &l->lu, n, ld, l->part);
    nde_lu_solve(s->rhs->kernels, &l->pair, n, ld, part(s, 1));
    mix(s, of->vectors, l->part, dim, l->rest, rows);
    mix(s, of->a, l->rest, rows, l->part, dim);
    for (int i = 0; i < S; i++) add_quadrature(s, l->j, part(s, i), rest(s, i));
}

/* ---- Newton's method ------------------------------------------------------------------------- */

static void guess(const nde_attempt *s) {
    nde_real *k = stage(s, s->k, 0);
    memcpy(k, s->k, s->slab*sizeof *k);
    nde_solve_rows(s, k);
    for (int i = 1; i < S; i++) memcpy(stage(s, s->k, i), k, s->slab*sizeof *k);
}

static size_t settle_all(const nde_attempt *s) {
    size_t busy = 0;
    for (int i = 0; i < S; i++) busy = settle(s, stage(s, s->k, i));
    return busy;
}

/* What is left of the equation of stage i: F(t + c_i h, Y_i) - k_i. */
static int evaluate_rest(const nde_attempt *s, int i) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real *k = stage(s, s->k, i);
    nde_real *to = rest(s, i);
    combine(s, row_of(s, i), s->rhs->dim, s->lanes->scratch->Y);
    const int rc = evaluate(s, first_stage(s) + i, s->lanes->scratch->Y, to, NULL);
    for (size_t e = 0; !rc && e < s->rhs->rows*ld; e += ld)
        for (size_t b = 0; b < n; b++) to[e + b] -= k[e + b];
    return rc;
}

/* Slopes change by `rest`, states by h `part`. */
static void measure(const nde_attempt *s) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    begin_measure(s);
    for (int i = 0; i < S; i++) {
        const nde_row *row = row_of(s, i);
        const nde_real *moves = part(s, i);
        nde_real *Y = s->lanes->scratch->Y;
        combine(s, row, s->rhs->dim, Y);
        for (int j = 0; j < row->count; j++) {
            const nde_real *k = slope(s, s->k, row->index[j]);
            for (size_t r = 0, e = 0; r < s->rhs->dim; r++, e += ld)
                for (size_t b = 0; b < n; b++)
                    measure_one(s, r, b, Y[e + b], row->weight[j]*s->h[b]*k[e + b], s->h[b]*moves[e + b]);
        }
        measure_quadrature(s, rest(s, i) + s->rhs->dim*ld);
    }
}

static int iterate(const nde_attempt *s, int m, size_t *busy) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    for (int i = 0; i < S; i++) {
        const int rc = evaluate_rest(s, i);
        if (rc) return rc;
    }
    solve(s);
    measure(s);
    for (int i = 0; i < S; i++) {
        const nde_real *dk = rest(s, i);
        nde_real *k = stage(s, s->k, i);
        for (size_t e = 0; e < s->rhs->rows*ld; e += ld)
            for (size_t b = 0; b < n; b++)
                if (linear(s)->fate[b] == BUSY) k[e + b] += dk[e + b];
    }
    *busy = judge_all(s, m, S);
    return 0;
}

static int solve_stages(const nde_attempt *s) {
    int rc = 0;
    guess(s);
    size_t busy = settle_all(s);
    for (int m = 1; !rc && busy; m++) rc = iterate(s, m, &busy);
    busy = settle_all(s);
    for (int i = 0; !rc && busy && i < S && s->tape && s->rhs->tape; i++) rc = keep_tape(s, first_stage(s) + i);
    return rc;
}

/* ---- the step -------------------------------------------------------------------------------- */

static int attempt(const nde_attempt *s) {
    begin(s);
    int rc = evaluate(s, 0, s->y, s->k, NULL);
    if (!rc) rc = linearise(s);
    if (!rc) count(s, 1 + (by_differences(s) ? (int)s->table->jacobian.colours : 0));
    take_marks(s);
    if (!rc) rc = solve_stages(s);
    leave_marks(s);
    if (rc) return rc;
    nde_solve_rows(s, sum_error(s));
    combine(s, &s->table->out[0], s->rhs->rows, s->z);
    spoil(s);
    return 0;
}

/* ---- derivatives ----------------------------------------------------------------------------- */

/* J of each stage at its solution, and I - h [a_ij J_i]. */
static int linearise_stages(const nde_attempt *s) {
    nde_linear *l = linear(s);
    nde_real a[S*S];
    for (int i = 0; i < S; i++) {
        combine(s, row_of(s, i), s->rhs->dim, s->lanes->scratch->Y);
        const int rc = jacobian_at(s, stage_time(s, i), s->lanes->scratch->Y, l->j_each + (size_t)i*entries(s));
        if (rc) return rc;
    }
    for (int i = 0; i < S*S; i++) a[i] = (nde_real)table_of(s)->a[i];
    nde_lu_factor_blocks(s->rhs->kernels, &l->whole, s->lanes->site.n, s->lanes->site.ld, s->h, S, a, l->j_each, entries(s));
    return 0;
}

/* rest = what is given, less x in the stages' slabs; and x += rest. */
static void start_rest(const nde_attempt *s, nde_real *x) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    for (int i = 0; i < S; i++) {
        const nde_real *all = given(s, i), *known = stage(s, x, i);
        nde_real *to = rest(s, i);
        for (size_t e = 0; e < s->rhs->rows*ld; e += ld)
            for (size_t b = 0; b < n; b++) to[e + b] = all[e + b] - known[e + b];
    }
}
static void add_rest(const nde_attempt *s, nde_real *x) {
    for (int i = 0; i < S; i++) nde_add_rows(s, s->rhs->rows, rest(s, i), stage(s, x, i));
}

/* ---- transpose ------------------------------------------------------------------------------- */

/* x [stages][rows] becomes the matrix above, with the quadrature's rows, transposed and inverted, times x. */
static void solve_transpose(const nde_attempt *s, nde_real *x) {
    const nde_coefficient *a = table_of(s)->a;
    nde_linear *l = linear(s);
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, dim = s->rhs->dim, rows = s->rhs->rows;
    for (int i = 0; i < S; i++) {
        const nde_real *below = l->j_each + (size_t)i*entries(s) + dim*dim*ld, *a_q = x + ((size_t)i*rows + dim)*ld;
        for (size_t r = dim; r < rows; r++, a_q += ld)
            for (size_t c = 0; c < dim; c++, below += ld)
                for (int j = 0; j < S; j++) {
                    const nde_real by = weight(a, i, j);
                    nde_real *to = x + ((size_t)j*rows + c)*ld;
                    for (size_t b = 0; b < n; b++) to[b] += by*s->h[b]*below[b]*a_q[b];
                }
    }
    for (size_t i = 0; i < S; i++) memcpy(part(s, (int)i), x + i*rows*ld, dim*ld*sizeof *x);
    nde_lu_solve_transposed(s->rhs->kernels, &l->whole, n, ld, l->part);
    for (size_t i = 0; i < S; i++) memcpy(x + i*rows*ld, part(s, (int)i), dim*ld*sizeof *x);
}

/* What is left of the transposed equations, in `rest`, by the field's own products. */
static int evaluate_rest_transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    static const nde_sink nowhere;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, dim = s->rhs->dim;
    nde_real *a_Y = s->lanes->scratch->a_Y;
    start_rest(s, c->k);
    for (int i = 0; i < S; i++) {
        combine(s, row_of(s, i), dim, s->lanes->scratch->Y);
        memset(a_Y, 0, dim*ld*sizeof *a_Y);
        const int rc = nde_rhs_vjp(s->rhs, s->lanes, stage_time(s, i), s->lanes->scratch->Y, stage(s, c->k, i),
                                   nde_stage_tape(s, first_stage(s) + i), ld, a_Y, &nowhere);
        if (rc) return rc;
        for (int j = 0; j < S; j++) {
            const nde_real by = weight(table_of(s)->a, i, j);
            nde_real *to = rest(s, j);
            for (size_t e = 0; e < dim*ld; e += ld)
                for (size_t b = 0; b < n; b++) to[e + b] += by*s->h[b]*a_Y[e + b];
        }
    }
    return 0;
}

/* The cotangents of the slopes of all stages become those of their evaluations. */
static int release(const nde_attempt *s, const nde_step_cotangent *c) {
    int rc = linearise_stages(s);
    for (int i = 0; i < S; i++) {
        memcpy(given(s, i), stage(s, c->k, i), s->rhs->rows*s->lanes->site.ld*sizeof *c->k);
        memset(stage(s, c->k, i), 0, s->slab*sizeof *c->k);
    }
    for (int m = 0; !rc && m <= (by_differences(s) ? REFINEMENTS : 0); m++) {
        if (m) rc = evaluate_rest_transpose(s, c);
        else start_rest(s, c->k);
        solve_transpose(s, linear(s)->rest);
        add_rest(s, c->k);
    }
    return rc;
}

/* What depends on the state of stage i: the old state, and h; its slopes have had theirs. */
static int stage_transpose(const nde_attempt *s, const nde_step_cotangent *c, int i) {
    const nde_row *row = row_of(s, i);
    const nde_real *a_Y = s->lanes->scratch->a_Y;
    combine(s, row, s->rhs->dim, s->lanes->scratch->Y);
    const int rc =
        nde_evaluate_transpose(s, c, first_stage(s) + i, node(s, first_stage(s) + i), s->lanes->scratch->Y);
    if (rc) return rc;
    nde_add_rows(s, s->rhs->dim, a_Y, c->y);
    for (int j = 0; c->h && j < row->count; j++)
        s->rhs->kernels->step->dot(s->rhs->dim, s->lanes->site.n, s->lanes->site.ld, (double)row->weight[j], a_Y,
                                   slope(s, s->k, row->index[j]), c->h);
    return 0;
}

static int transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    nde_combine_transpose(s, c, &s->table->out[0], 0, s->rhs->rows, c->y);
    int rc = release(s, c);
    for (int i = S - 1; !rc && i >= 0; i--) rc = stage_transpose(s, c, i);
    return rc;
}

/* ---- tangent --------------------------------------------------------------------------------- */

/* x [stages][rows] becomes the matrix, with the quadrature's rows, inverted times x. */
static void solve_tangent(const nde_attempt *s, nde_real *x) {
    nde_linear *l = linear(s);
    const size_t ld = s->lanes->site.ld, dim = s->rhs->dim, rows = s->rhs->rows;
    for (size_t i = 0; i < S; i++) memcpy(part(s, (int)i), x + i*rows*ld, dim*ld*sizeof *x);
    nde_lu_solve(s->rhs->kernels, &l->whole, s->lanes->site.n, ld, l->part);
    for (size_t i = 0; i < S; i++) memcpy(x + i*rows*ld, part(s, (int)i), dim*ld*sizeof *x);
    mix(s, table_of(s)->a, x, rows*ld, l->part, dim*ld);
    for (size_t i = 0; i < S; i++) add_quadrature(s, l->j_each + i*entries(s), part(s, (int)i), x + i*rows*ld);
}

static int evaluate_rest_tangent(const nde_attempt *s, const nde_step_tangent *v) {
    static const nde_source still;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, dim = s->rhs->dim;
    nde_linear *l = linear(s);
    start_rest(s, v->k);
    mix(s, table_of(s)->a, stage(s, v->k, 0), s->slab, l->part, dim*ld);
    for (int i = 0; i < S; i++) {
        nde_real *v_Y = part(s, i);
        for (size_t e = 0; e < dim*ld; e += ld)
            for (size_t b = 0; b < n; b++) v_Y[e + b] *= s->h[b];
        combine(s, row_of(s, i), dim, s->lanes->scratch->Y);
        const int rc = nde_rhs_jvp(s->rhs, s->lanes, stage_time(s, i), s->lanes->scratch->Y, v_Y, &still, l->dv);
        if (rc) return rc;
        nde_add_rows(s, s->rhs->rows, l->dv, rest(s, i));
    }
    return 0;
}

/* Of what stage i evaluates while its slopes stand still: all v_k are zero. */
static int stage_tangent(const nde_attempt *s, const nde_step_tangent *v, int i) {
    nde_real *Y = s->lanes->scratch->Y, *v_Y = s->lanes->scratch->a_Y;
    combine(s, row_of(s, i), s->rhs->dim, Y);
    nde_combine_tangent(s, v, row_of(s, i), 0, s->rhs->dim, v->y, v_Y);
    return nde_evaluate_tangent_to(s, v, node(s, first_stage(s) + i), Y, v_Y, given(s, i));
}

static int tangent(const nde_attempt *s, const nde_step_tangent *v) {
    int rc = linearise_stages(s);
    memset(v->k, 0, (size_t)s->table->stages*s->slab*sizeof *v->k);
    for (int i = 0; !rc && i < S; i++) rc = stage_tangent(s, v, i);
    for (int m = 0; !rc && m <= (by_differences(s) ? REFINEMENTS : 0); m++) {
        if (m) rc = evaluate_rest_tangent(s, v);
        else start_rest(s, v->k);
        solve_tangent(s, linear(s)->rest);
        add_rest(s, v->k);
    }
    if (rc) return rc;
    nde_combine_tangent(s, v, &s->table->out[0], 0, s->rhs->rows, v->y, v->z);
    return 0;
}

const nde_body NDE_ISA_NAME(nde_body_collocation) = { .attempt = attempt, .transpose = transpose, .tangent = tangent };
