/* SPDX-License-Identifier: MIT
 * rosenbrock.c - the body of Rosenbrock methods, with transpose and tangent; compiled once for each instruction set. With
 * J = dF/dy and F_t at the start of the step and W = I - gamma h J, slope i of the step solves
 *     W k_i = gamma (F(t + c_i h, Y_i) + sum_j coupling_ij k_j + lift_i h F_t),    Y_i = y + h sum_j a_ij k_j
 * so that there is no product with J. Rows of the quadrature follow from those of the state: their part of J is below it.
 *
 * First same as last: slope 0 is F(t, y) and the last one F(t + h, y+), and the stages stand between; a last stage at the
 * end of the step takes that slope for its own evaluation. The derivative of J along a slope is by vjp_jvp: that along
 * (k_i, lift_i) counts h times.
 * Source: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), IV.7. */
#include "core/isa.h"
#include "method/shared.h"

static nde_linear *linear(const nde_attempt *s) { return s->lanes->scratch->linear; }
static nde_real *slope(const nde_attempt *s, nde_real *k, int i) { return k + (size_t)i*s->slab; }
static int first_stage(const nde_table *t) { return t->fsal; }
static int end_stage(const nde_table *t) { return t->stages - t->fsal; }
static double node(const nde_attempt *s, int i) { return s->table->method->c[i]; }
static double lift(const nde_attempt *s, int i) { return s->table->method->lift[i]; }
static nde_real gamma_of(const nde_attempt *s) { return (nde_real)s->table->method->gamma; }

/* Is the last slope what stage i evaluates? */
static bool is_newest(const nde_attempt *s, int i) {
    return s->table->fsal && i == end_stage(s->table) - 1 && i > 1 && node(s, i) == 1;
}

/* The slab in which the evaluation of stage i stands before it is solved. */
static int evaluation(const nde_attempt *s, int i) {
    return is_newest(s, i) ? s->table->stages - 1 : i == first_stage(s->table) ? 0 : i;
}

/* ---- the step -------------------------------------------------------------------------------- */

/* J, F_t and W at the start of the step, where F is f. */
static int linearise(const nde_attempt *s, const nde_real *f) {
    nde_linear *l = linear(s);
    const nde_jacobian *of = &s->table->jacobian;
    int rc = nde_jacobian_eval(of, s->rhs, s->lanes, l, s->t, s->y, f);
    if (!rc && !s->rhs->autonomous) rc = nde_jacobian_eval_time(of, s->rhs, s->lanes, l, s->t, s->dt, s->y, f);
    return rc ? rc : nde_lu_factor(s->rhs->kernels, &l->lu, s->lanes->site.n, s->lanes->site.ld, s->h, gamma_of(s), l->j);
}

/* to = gamma (f + sum_j coupling k_j + lift h F_t); `to` may be f, f_t NULL: 0. */
static void couple(const nde_attempt *s, int i, const nde_real *f, const nde_real *k, const nde_real *f_t, nde_real *to) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_row *row = &s->table->coupling[i];
    const nde_real by = gamma_of(s), up = f_t ? (nde_real)lift(s, i) : 0;
    for (size_t e = 0; e < s->rhs->rows*ld; e += ld) {
        for (size_t b = 0; b < n; b++) to[e + b] = f[e + b];
        for (int j = 0; j < row->count; j++) {
            const nde_real w = row->weight[j], *x = k + (size_t)row->index[j]*s->slab + e;
            for (size_t b = 0; b < n; b++) to[e + b] += w*x[b];
        }
        for (size_t b = 0; up != 0 && b < n; b++) to[e + b] += up*s->h[b]*f_t[e + b];
        for (size_t b = 0; b < n; b++) to[e + b] *= by;
    }
}

static void combine(const nde_attempt *s, const nde_row *row, size_t rows, nde_real *z) {
    s->rhs->kernels->step->combine(rows, s->lanes->site.n, s->lanes->site.ld, s->h, row, s->k, s->slab, s->y, z);
}

/* The state of stage i. */
static const nde_real *stage_state(const nde_attempt *s, int i) {
    if (i == first_stage(s->table)) return s->y;
    if (is_newest(s, i)) return s->z;
    combine(s, &s->table->row[0][i], s->rhs->dim, s->lanes->scratch->Y);
    return s->lanes->scratch->Y;
}

static int evaluate(const nde_attempt *s, int i, const nde_real *Y) {
    const int to = evaluation(s, i);
    const int rc = nde_rhs_eval(s->rhs, s->lanes, nde_stage_time(s, node(s, i)), Y, slope(s, s->k, to), nde_stage_tape(s, to),
                                s->lanes->site.ld);
    if (rc) s->lanes->scratch->stage = i;
    return rc;
}

static int attempt(const nde_attempt *s) {
    const nde_table *table = s->table;
    const int first = first_stage(table), last = table->stages - 1;
    bool known = false; /* the last slope */
    int rc = table->fsal || table->known ? 0 : evaluate(s, 0, s->y);
    if (!rc) rc = linearise(s, s->k);
    for (int i = first; !rc && i < end_stage(table); i++) {
        if (is_newest(s, i)) combine(s, &table->out[0], s->rhs->rows, s->z), known = true;
        if (i > first) rc = evaluate(s, i, stage_state(s, i));
        if (rc) break;
        couple(s, i, slope(s, s->k, evaluation(s, i)), s->k, s->rhs->autonomous ? NULL : linear(s)->f_t,
               slope(s, s->k, i));
        nde_solve_rows(s, slope(s, s->k, i));
    }
    if (rc || known) return rc;
    combine(s, &table->out[0], s->rhs->rows, s->z);
    if (!table->fsal) return 0;
    return nde_rhs_eval(s->rhs, s->lanes, s->t_new, s->z, slope(s, s->k, last), nde_stage_tape(s, last), s->lanes->site.ld);
}

/* ---- transpose ------------------------------------------------------------------------------- */

/* a = gamma W^-T a, all rows. */
static void solve_transpose(const nde_attempt *s, nde_real *a) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    nde_solve_rows_transpose(s, a);
    for (size_t e = 0; e < s->rhs->rows*ld; e += ld)
        for (size_t b = 0; b < n; b++) a[e + b] *= gamma_of(s);
}

/* One field's part of the derivative of J and F_t along (v, up), from the cotangents b of their rows. */
static int bend_part(const nde_attempt *s, const nde_part *part, const nde_tangent *v, const nde_real *b, nde_cotangent *to) {
    const nde_field *f = part->field;
    const size_t ld = s->lanes->site.ld;
    nde_site at = nde_rhs_site(s->rhs, s->lanes, part, NULL, 0);
    nde_tangent along = *v;
    nde_cotangent mine = *to;
    at.t = s->t;
    along.p = v->p && f->np ? v->p + f->p_first : NULL, along.q = v->q && f->nq ? v->q + f->q_first*ld : NULL;
    mine.p = to->p && f->np ? to->p + f->p_first : NULL, mine.q = to->q && f->nq ? to->q + f->q_first*ld : NULL;
    return f->vjp_jvp(f, &at, s->y, &along, NULL, b, &mine, NULL);
}

/* Of all rows: b [rows][ld]. */
static int bend(const nde_attempt *s, const nde_tangent *v, const nde_real *b, nde_cotangent *to) {
    const nde_rhs *r = s->rhs;
    const int rc = bend_part(s, &r->drift, v, b, to);
    return rc || !r->nz ? rc : bend_part(s, &r->quadrature, v, b + r->dim*s->lanes->site.ld, to);
}

/* What stage i has of J and F_t: from a, its cotangent as solve_transpose leaves it. */
static int linearise_transpose(const nde_attempt *s, const nde_step_cotangent *c, int i, const nde_real *a) {
    nde_linear *l = linear(s);
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real *k = slope(s, s->k, i);
    if (c->h) {
        nde_jacobian_apply(&s->table->jacobian, s->rhs, s->lanes, l->j, k, l->dv);
        s->rhs->kernels->step->dot(s->rhs->rows, n, ld, 1, a, l->dv, c->h);
        if (!s->rhs->autonomous) s->rhs->kernels->step->dot(s->rhs->rows, n, ld, lift(s, i), a, l->f_t, c->h);
    }
    for (size_t e = 0; e < s->rhs->rows*ld; e += ld)
        for (size_t b = 0; b < n; b++) l->dv[e + b] = s->h[b]*a[e + b];
    for (size_t b = 0; b < n; b++) l->t[b] = lift(s, i);
    const nde_tangent v = { .y = k, .t = s->rhs->autonomous ? NULL : l->t };
    nde_cotangent to = { .y = c->y, .t = c->t, .p = c->sink->p, .q = c->sink->q };
    return bend(s, &v, l->dv, &to);
}

/* From the cotangents of the slope in slab i to those of the state where it was evaluated, which go to c->y and to earlier
 * slopes. */
static int evaluate_transpose(const nde_attempt *s, const nde_step_cotangent *c, int i, double at, const nde_real *Y,
                              const nde_row *row) {
    const nde_real *a_Y = s->lanes->scratch->a_Y;
    const int rc = nde_evaluate_transpose(s, c, i, at, Y);
    if (rc) return rc;
    nde_add_rows(s, s->rhs->dim, a_Y, c->y);
    if (row) nde_combine_transpose(s, c, row, 0, s->rhs->dim, a_Y);
    return 0;
}

/* Stage i: its slope's cotangent becomes that of its evaluation. */
static int stage_transpose(const nde_attempt *s, const nde_step_cotangent *c, int i) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_row *row = &s->table->coupling[i];
    nde_real *a = slope(s, c->k, i);
    const int to = evaluation(s, i);
    solve_transpose(s, a);
    const int rc = linearise_transpose(s, c, i, a);
    if (rc) return rc;
    for (int j = 0; j < row->count; j++) {
        nde_real *a_j = slope(s, c->k, row->index[j]);
        for (size_t e = 0; e < s->rhs->rows*ld; e += ld)
            for (size_t b = 0; b < n; b++) a_j[e + b] += row->weight[j]*a[e + b];
    }
    if (to != i) nde_add_rows(s, s->rhs->rows, a, slope(s, c->k, to));
    if (is_newest(s, i) || i == first_stage(s->table))
        return s->table->fsal || s->table->known ? 0 : evaluate_transpose(s, c, 0, 0, s->y, NULL);
    return evaluate_transpose(s, c, i, node(s, i), stage_state(s, i), &s->table->row[0][i]);
}

static int transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    const nde_table *table = s->table;
    int i = end_stage(table) - 1, rc = linearise(s, s->k);
    if (!rc && is_newest(s, i)) rc = stage_transpose(s, c, i--);
    if (rc) return rc;
    if (table->fsal && !nde_is_idle(s, c, table->stages - 1)) {
        combine(s, &table->out[0], s->rhs->dim, s->lanes->scratch->Y);
        if ((rc = evaluate_transpose(s, c, table->stages - 1, 1, s->lanes->scratch->Y, NULL))) return rc;
    }
    nde_add_loss(s, c, &table->error, 0, s->rhs->dim);
    nde_combine_transpose(s, c, &table->out[0], 0, s->rhs->rows, c->y);
    for (; !rc && i >= first_stage(table); i--) rc = stage_transpose(s, c, i);
    return rc;
}

/* ---- tangent --------------------------------------------------------------------------------- */

/* Does row r belong to a colour? Rows of one have no column in common. */
static bool has_colour(const nde_jacobian *of, size_t r, size_t colour) {
    return (of->row_colour ? of->row_colour[r] : r) == colour;
}

/* What the derivative along the direction gave for the rows of a colour, x [dim][ld], in its places in v_j. */
static void spread_rows(const nde_attempt *s, size_t colour, const nde_real *x, nde_real *v_j) {
    const nde_jacobian *of = &s->table->jacobian;
    const size_t ld = s->lanes->site.ld, dim = s->rhs->dim;
    for (size_t r = 0; r < s->rhs->rows; r++) {
        if (!has_colour(of, r, colour)) continue;
        for (size_t e = nde_row_start(of, dim, r); e < nde_row_start(of, dim, r + 1); e++)
            memcpy(v_j + e*ld, x + nde_column_of(of, dim, r, e)*ld, s->lanes->site.n*sizeof *x);
    }
}

/* The tangents of J and F_t: row by row, or all of a colour, the transpose of the derivative along the direction. */
static int linearise_tangent(const nde_attempt *s, const nde_step_tangent *v) {
    nde_linear *l = linear(s);
    const nde_jacobian *of = &s->table->jacobian;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_tangent along = { .y = v->y, .t = s->rhs->autonomous ? NULL : v->t, .p = v->source->p, .q = v->source->q };
    const size_t colours = of->row_colour ? of->row_colours : s->rhs->rows;
    for (size_t colour = 0; colour < colours; colour++) {
        memset(l->dv, 0, s->slab*sizeof *l->dv), memset(l->t, 0, n*sizeof *l->t);
        memset(l->v, 0, s->rhs->dim*ld*sizeof *l->v);
        for (size_t r = 0; r < s->rhs->rows; r++)
            for (size_t b = 0; b < n; b++) l->dv[r*ld + b] = has_colour(of, r, colour);
        nde_cotangent to = { .y = l->v, .t = s->rhs->autonomous ? NULL : l->t };
        const int rc = bend(s, &along, l->dv, &to);
        if (rc) return rc;
        spread_rows(s, colour, l->v, l->v_j);
        for (size_t b = 0; !of->row_colour && b < n; b++) l->v_f_t[colour*ld + b] = (nde_real)l->t[b];
    }
    return 0;
}

/* to += what the tangents of J, F_t and h add to the right-hand side of stage i, without gamma. */
static void add_linear_tangent(const nde_attempt *s, const nde_step_tangent *v, int i, nde_real *to) {
    nde_linear *l = linear(s);
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real up = s->rhs->autonomous ? 0 : (nde_real)lift(s, i);
    for (int part = 0; part < 2; part++) {
        nde_jacobian_apply(&s->table->jacobian, s->rhs, s->lanes, part ? l->v_j : l->j, slope(s, s->k, i), l->dv);
        const nde_real *f_t = part ? l->v_f_t : l->f_t;
        for (size_t e = 0; e < s->rhs->rows*ld; e += ld)
            for (size_t b = 0; b < n; b++)
                to[e + b] += (part ? s->h[b] : (nde_real)v->h[b])*(l->dv[e + b] + (up != 0 ? up*f_t[e + b] : 0));
    }
}

static int stage_tangent(const nde_attempt *s, const nde_step_tangent *v, int i) {
    const int from = evaluation(s, i);
    nde_real *v_Y = s->lanes->scratch->a_Y, *v_k = slope(s, v->k, i);
    const nde_real *Y = stage_state(s, i);
    int rc = 0;
    if (is_newest(s, i)) {
        nde_combine_tangent(s, v, &s->table->out[0], 0, s->rhs->rows, v->y, v->z);
        rc = nde_evaluate_tangent(s, v, from, 1, Y, v->z);
    } else if (i > first_stage(s->table)) {
        nde_combine_tangent(s, v, &s->table->row[0][i], 0, s->rhs->dim, v->y, v_Y);
        rc = nde_evaluate_tangent(s, v, from, node(s, i), Y, v_Y);
    } else if (!s->table->fsal && !s->table->known) {
        rc = nde_evaluate_tangent(s, v, from, 0, Y, v->y);
    }
    if (rc) return rc;
    if (from != i) memcpy(v_k, slope(s, v->k, from), s->slab*sizeof *v_k);
    add_linear_tangent(s, v, i, v_k);
    couple(s, i, v_k, v->k, NULL, v_k);
    nde_solve_rows(s, v_k);
    return 0;
}

static int tangent(const nde_attempt *s, const nde_step_tangent *v) {
    const nde_table *table = s->table;
    const int last = table->stages - 1;
    int rc = linearise(s, s->k);
    if (!rc) rc = linearise_tangent(s, v);
    for (int i = first_stage(table); !rc && i < end_stage(table); i++) rc = stage_tangent(s, v, i);
    if (rc) return rc;
    nde_combine_tangent(s, v, &table->out[0], 0, s->rhs->rows, v->y, v->z);
    return table->fsal && !is_newest(s, end_stage(table) - 1) ? nde_evaluate_tangent(s, v, last, 1, s->z, v->z) : 0;
}

const nde_body NDE_ISA_NAME(nde_body_rosenbrock) = { .attempt = attempt, .transpose = transpose, .tangent = tangent };
