/* SPDX-License-Identifier: MIT
 * nystrom.c - the body of Nystrom methods for q'' = F2(t, q), q' = v: the field is asked for the rows of velocities only; with
 * transpose and tangent; compiled once for each instruction set.
 *
 * With f_i the accelerations at the s stages, slab i < s of the slopes is [h f_i; f_i] and slab s is [v; f_{s-1}]. So positions
 * are sums of slabs times h with constant weights, as everywhere else, and the last slab has the slope of the next step.
 * Source: E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I (1993), II.14. */
#include "core/isa.h"
#include "method/shared.h"

static nde_real *positions(const nde_attempt *s, nde_real *k, int i) { return k + (size_t)i*s->slab; }
static nde_real *velocities(const nde_attempt *s, nde_real *k, int i) {
    return k + (size_t)i*s->slab + s->table->split*s->lanes->site.ld;
}

static int last_of(const nde_attempt *s) { return s->table->method->stages - 1; }

/* Half a state. */
static void copy(const nde_attempt *s, const nde_real *from, nde_real *to) {
    memcpy(to, from, s->table->split*s->lanes->site.ld*sizeof *to);
}

/* [h f_i; f_i] of [.; f_i]. */
static void stretch(const nde_attempt *s, int i) {
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld;
    const nde_real *f = velocities(s, s->k, i);
    nde_real *u = positions(s, s->k, i);
    for (size_t r = 0; r < s->table->split; r++)
        for (size_t b = 0; b < n; b++) u[r*ld + b] = s->h[b]*f[r*ld + b];
}

static void combine(const nde_attempt *s, const nde_row *row, size_t from, nde_real *z) {
    const size_t ld = s->lanes->site.ld, at = from*ld;
    s->rhs->kernels->step->combine(s->table->split, s->lanes->site.n, ld, s->h, row, s->k + at, s->slab, s->y + at, z + at);
}

/* The state of stage i: its positions, and the velocities of the start, which the field does not look at. */
static nde_real *stage_state(const nde_attempt *s, int i) {
    nde_real *Y = s->lanes->scratch->Y;
    const size_t at = s->table->split*s->lanes->site.ld;
    copy(s, s->y + at, Y + at);
    combine(s, &s->table->row[0][i], 0, Y);
    return Y;
}

/* ---- the step -------------------------------------------------------------------------------- */

static int evaluate(const nde_attempt *s, int i) {
    nde_site *at = &s->lanes->site;
    const nde_real *Y = stage_state(s, i);
    at->flags |= NDE_VELOCITIES;
    const int rc = nde_rhs_eval(s->rhs, s->lanes, nde_stage_time(s, s->table->method->c[i]), Y, s->k + (size_t)i*s->slab,
                                nde_stage_tape(s, i), at->ld);
    at->flags &= ~(unsigned)NDE_VELOCITIES;
    return rc;
}

static int attempt(const nde_attempt *s) {
    const int last = last_of(s);
    const size_t split = s->table->split;
    copy(s, s->y + split*s->lanes->site.ld, positions(s, s->k, last + 1));
    stretch(s, 0);
    for (int i = 1; i <= last; i++) {
        const int rc = evaluate(s, i);
        if (rc) return s->lanes->scratch->stage = i, rc;
        stretch(s, i);
    }
    copy(s, velocities(s, s->k, last), velocities(s, s->k, last + 1));
    copy(s, s->lanes->scratch->Y, s->z);
    combine(s, &s->table->out[1], split, s->z);
    return 0;
}

/* ---- transpose ------------------------------------------------------------------------------- */

static void stretch_transpose(const nde_attempt *s, const nde_step_cotangent *c, int i) {
    const nde_step_kernels *use = s->rhs->kernels->step;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, split = s->table->split;
    nde_real *a = positions(s, c->k, i);
    use->accumulate(split, n, ld, s->h, 1, a, velocities(s, c->k, i));
    if (c->h) use->dot(split, n, ld, 1, a, velocities(s, s->k, i), c->h);
    memset(a, 0, split*ld*sizeof *a);
}

/* From the cotangent of f_i to that of the state of its stage, in scratch->a_Y, and added to that of the old state. */
static int evaluate_transpose(const nde_attempt *s, const nde_step_cotangent *c, int i) {
    stretch_transpose(s, c, i);
    s->lanes->site.flags |= NDE_VELOCITIES;
    const int rc = nde_evaluate_transpose(s, c, i, s->table->method->c[i], stage_state(s, i));
    s->lanes->site.flags &= ~(unsigned)NDE_VELOCITIES;
    if (!rc) nde_add_rows(s, s->rhs->dim, s->lanes->scratch->a_Y, c->y);
    return rc;
}

/* The last acceleration belongs to the new state and, where the new velocities have a share of it, to the step as well:
 * only what comes back from later is a cotangent of the new state. */
static int add_loss(const nde_attempt *s, const nde_step_cotangent *c) {
    const int last = last_of(s);
    const size_t split = s->table->split;
    const int rc = evaluate_transpose(s, c, last);
    memset(velocities(s, c->k, last), 0, split*s->lanes->site.ld*sizeof *c->k);
    nde_add_loss(s, c, &s->table->error, 0, split), nde_add_loss(s, c, &s->table->velocity_error, split, split);
    return rc;
}

static int transpose(const nde_attempt *s, const nde_step_cotangent *c) {
    const nde_table *table = s->table;
    const int last = last_of(s);
    const size_t split = table->split;
    nde_real *a_v = c->y + split*s->lanes->site.ld;
    nde_add_rows(s, split, velocities(s, c->k, last + 1), velocities(s, c->k, last));
    int rc = c->loss ? add_loss(s, c) : 0;
    nde_combine_transpose(s, c, &table->out[1], split, split, a_v);
    for (int i = last; i > 0 && !rc; i--) {
        rc = evaluate_transpose(s, c, i); /* positions of the last stage are the new ones */
        nde_combine_transpose(s, c, &table->row[0][i], 0, split, i == last ? c->y : s->lanes->scratch->a_Y);
    }
    if (rc) return rc;
    stretch_transpose(s, c, 0);
    nde_add_rows(s, split, positions(s, c->k, last + 1), a_v);
    return 0;
}

/* ---- tangent --------------------------------------------------------------------------------- */

static void stretch_tangent(const nde_attempt *s, const nde_step_tangent *v, int i) {
    const size_t ld = s->lanes->site.ld;
    const nde_real *f = velocities(s, s->k, i), *v_f = velocities(s, v->k, i);
    nde_real *v_u = positions(s, v->k, i);
    for (size_t r = 0; r < s->table->split; r++)
        for (size_t b = 0; b < s->lanes->site.n; b++)
            v_u[r*ld + b] = s->h[b]*v_f[r*ld + b] + (nde_real)v->h[b]*f[r*ld + b];
}

static int tangent(const nde_attempt *s, const nde_step_tangent *v) {
    const nde_table *table = s->table;
    const int last = last_of(s);
    const size_t split = table->split, at = split*s->lanes->site.ld;
    nde_real *v_Y = s->lanes->scratch->a_Y;
    copy(s, v->y + at, positions(s, v->k, last + 1));
    copy(s, v->y + at, v_Y + at);
    stretch_tangent(s, v, 0);
    for (int i = 1; i <= last; i++) {
        nde_combine_tangent(s, v, &table->row[0][i], 0, split, v->y, v_Y);
        s->lanes->site.flags |= NDE_VELOCITIES;
        const int rc = nde_evaluate_tangent(s, v, i, table->method->c[i], stage_state(s, i), v_Y);
        s->lanes->site.flags &= ~(unsigned)NDE_VELOCITIES;
        if (rc) return rc;
        stretch_tangent(s, v, i);
    }
    copy(s, velocities(s, v->k, last), velocities(s, v->k, last + 1));
    copy(s, v_Y, v->z);
    nde_combine_tangent(s, v, &table->out[1], split, split, v->y + at, v->z + at);
    return 0;
}

const nde_body NDE_ISA_NAME(nde_body_nystrom) = { .attempt = attempt, .transpose = transpose, .tangent = tangent };
