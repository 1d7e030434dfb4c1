/* SPDX-License-Identifier: MIT
 * coupled.c - the body of coupled methods, with transpose, tangent and reverse; compiled once for each instruction set.
 * What they are and their source: coupling.c. Letters as there: x is the partner of y, d the last slope. */
#include "core/isa.h"
#include "method/shared.h"

static int last_of(const nde_attempt *s) { return s->table->stages - 1; }  /* d */
static int turn_of(const nde_attempt *s) { return s->table->stages/2; }    /* the first slope of the way back */
static nde_real *slope(const nde_attempt *s, int i) { return s->k + (size_t)i*s->slab; }
static const nde_real *partner(const nde_attempt *s) { return s->y + s->slab; }

/* ---- the step -------------------------------------------------------------------------------- */

/* d = (y - x)/h; nothing in lanes that stand still. */
static void part(const nde_attempt *s, const nde_real *y, const nde_real *x, nde_real *d) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    for (size_t i = 0; i < s->rhs->rows*ld; i += ld)
        for (size_t b = 0; b < n; b++) d[i + b] = s->h[b] != 0 ? (y[i + b] - x[i + b])/s->h[b] : 0;
}

static void combine(const nde_attempt *s, const nde_row *row, size_t rows, const nde_real *y, nde_real *z) {
    s->rhs->kernels->step->combine(rows, s->lanes->site.n, s->lanes->site.ld, s->h, row, s->k, s->slab, y, z);
}

/* z = y + sign h sum w k, in multiples of the quantum where there is one. */
static void move(const nde_attempt *s, const nde_row *row, nde_real sign, const nde_real *y, nde_real *z) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real quantum = (nde_real)s->table->quantum;
    for (size_t i = 0; i < s->rhs->rows*ld; i += ld)
        for (size_t b = 0; b < n; b++) {
            nde_real sum = 0;
            for (int j = 0; j < row->count; j++) sum += row->weight[j]*slope(s, row->index[j])[i + b];
            sum *= sign*s->h[b];
            z[i + b] = quantum > 0 ? nde_quantised(y[i + b] + nde_quantised(sum, quantum), quantum) : y[i + b] + sum;
        }
}

/* The state of stage i, on the way there from x, on the way back from y+. */
static const nde_real *stage_state(const nde_attempt *s, int i, const nde_real *from) {
    nde_real *Y = s->lanes->scratch->Y;
    if (i == 0 || i == turn_of(s)) return from;
    combine(s, &s->table->row[0][i], s->rhs->dim, from, Y);
    return Y;
}

static int evaluate(const nde_attempt *s, int first, int end, const nde_real *from) {
    for (int i = first; i < end; i++) {
        const int rc = nde_rhs_eval(s->rhs, s->lanes, nde_stage_time(s, s->table->method->c[i]), stage_state(s, i, from),
                                    slope(s, i), nde_stage_tape(s, i), s->lanes->site.ld);
        if (rc) return s->lanes->scratch->stage = i, rc;
    }
    return 0;
}

static int attempt(const nde_attempt *s) {
    const nde_row *there = &s->table->out[0], *back = &s->table->out[1];
    const bool quantised = s->table->quantum > 0;
    const size_t rows = s->rhs->rows;
    part(s, s->y, partner(s), slope(s, last_of(s)));
    int rc = evaluate(s, 0, turn_of(s), partner(s));
    if (rc) return rc;
    if (quantised) move(s, there, 1, s->y, s->z);
    else combine(s, there, rows, s->y, s->z);
    if ((rc = evaluate(s, turn_of(s), last_of(s), s->z))) return rc;
    if (quantised) move(s, back, 1, partner(s), s->z + s->slab);
    else combine(s, back, rows, partner(s), s->z + s->slab);
    return 0;
}

static int reverse(const nde_attempt *s) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real coupling = (nde_real)(1 + s->table->method->b[last_of(s)]);
    nde_real *y = s->z, *x = s->z + s->slab;
    nde_row there = s->table->out[0];
    if (there.index[there.count - 1] == last_of(s)) there.count--; /* without d */
    int rc = evaluate(s, turn_of(s), last_of(s), s->y);
    if (rc) return rc;
    move(s, &s->table->out[1], -1, partner(s), x);
    if ((rc = evaluate(s, 0, turn_of(s), x))) return rc;
    move(s, &there, -1, s->y, y);
    for (size_t i = 0; i < s->rhs->rows*ld; i += ld)
        for (size_t b = 0; b < n; b++) y[i + b] = coupling == 1 ? y[i + b] : x[i + b] + (y[i + b] - x[i + b])/coupling;
    part(s, y, x, slope(s, last_of(s)));
    return 0;
}

/* ---- transpose ------------------------------------------------------------------------------- */

/* Stages from before `end` down to `first`, into the cotangent of the state that they go from. */
static int evaluate_transpose(const nde_attempt *s, const nde_step_cotangent *c, int first, int end, const nde_real *from,
                              nde_real *a_from) {
    const nde_real *a_Y = s->lanes->scratch->a_Y;
    const size_t dim = s->rhs->dim, ld = s->lanes->site.ld;
    for (int i = end - 1; i >= first; i--) {
        const int rc = nde_evaluate_transpose(s, c, i, s->table->method->c[i], stage_state(s, i, from));
        if (rc) return rc;
        for (size_t r = 0; r < dim*ld; r += ld)
            for (size_t b = 0; b < s->lanes->site.n; b++) a_from[r + b] += a_Y[r + b];
        nde_combine_transpose(s, c, &s->table->row[0][i], 0, dim, a_Y);
    }
    return 0;
}

static void part_transpose(const nde_attempt *s, const nde_step_cotangent *c, nde_real *a_y, nde_real *a_x) {
    const size_t ld = s->lanes->site.ld;
    const nde_real *d = slope(s, last_of(s)), *a_d = c->k + (size_t)last_of(s)*s->slab;
    for (size_t i = 0; i < s->rhs->rows*ld; i += ld)
        for (size_t b = 0; b < s->lanes->site.n; b++) {
            if (s->h[b] == 0) continue;
            const nde_real a = a_d[i + b]/s->h[b];
            a_y[i + b] += a, a_x[i + b] -= a;
            if (c->h) c->h[b] -= (double)a*(double)d[i + b];
        }
}

static int transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    const nde_table *table = s->table;
    nde_real *a_x = c->y + s->slab;
    combine(s, &table->out[0], s->rhs->dim, s->y, s->z);
    nde_combine_transpose(s, c, &table->out[1], 0, s->rhs->rows, a_x);
    int rc = evaluate_transpose(s, c, turn_of(s), last_of(s), s->z, c->y);
    if (rc) return rc;
    nde_add_loss(s, c, &s->table->error, 0, s->rhs->dim);
    nde_combine_transpose(s, c, &table->out[0], 0, s->rhs->rows, c->y);
    if ((rc = evaluate_transpose(s, c, 0, turn_of(s), partner(s), a_x))) return rc;
    part_transpose(s, c, c->y, a_x);
    return 0;
}

/* ---- tangent --------------------------------------------------------------------------------- */

static int evaluate_tangent(const nde_attempt *s, const nde_step_tangent *v, int first, int end, const nde_real *from,
                            const nde_real *v_from) {
    nde_real *v_Y = s->lanes->scratch->a_Y;
    for (int i = first; i < end; i++) {
        nde_combine_tangent(s, v, &s->table->row[0][i], 0, s->rhs->dim, v_from, v_Y);
        const int rc = nde_evaluate_tangent(s, v, i, s->table->method->c[i], stage_state(s, i, from), v_Y);
        if (rc) return rc;
    }
    return 0;
}

static int tangent(const nde_attempt *s, const nde_step_tangent *v) {
    const size_t ld = s->lanes->site.ld, rows = s->rhs->rows;
    const nde_real *v_x = v->y + s->slab, *d = slope(s, last_of(s));
    nde_real *v_d = v->k + (size_t)last_of(s)*s->slab;
    part(s, v->y, v_x, v_d);
    for (size_t i = 0; i < rows*ld; i += ld)
        for (size_t b = 0; b < s->lanes->site.n; b++)
            if (s->h[b] != 0) v_d[i + b] -= (nde_real)v->h[b]*d[i + b]/s->h[b];
    int rc = evaluate_tangent(s, v, 0, turn_of(s), partner(s), v_x);
    if (rc) return rc;
    nde_combine_tangent(s, v, &s->table->out[0], 0, rows, v->y, v->z);
    if ((rc = evaluate_tangent(s, v, turn_of(s), last_of(s), s->z, v->z))) return rc;
    nde_combine_tangent(s, v, &s->table->out[1], 0, rows, v_x, v->z + s->slab);
    return 0;
}

const nde_body NDE_ISA_NAME(nde_body_coupled) = {
    .attempt = attempt, .transpose = transpose, .tangent = tangent, .reverse = reverse
};
