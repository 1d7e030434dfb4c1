/* SPDX-License-Identifier: MIT
 * inside.c - values inside a step where the continuous extension has stages of its own: these are evaluated only for lanes that
 * are asked for such a value, taken out of their panel into the worker's `inside`; with transpose and tangent. The method's own
 * stages come along: the extension combines all of them. */
#include "solve/solver.h"

#include <math.h>
#include <string.h>

/* columns of from [slabs][rows] to the first ones of `to`, and back, added. */
static void take(size_t slabs, size_t rows, const nde_real *from, size_t from_ld, const size_t *lane, size_t m, nde_real *to,
                 size_t ld) {
    for (size_t i = 0; i < slabs*rows; i++)
        for (size_t j = 0; j < m; j++) to[i*ld + j] = from[i*from_ld + lane[j]];
}

static void give(size_t slabs, size_t rows, const nde_real *from, size_t ld, const size_t *lane, size_t m, nde_real *to,
                 size_t to_ld) {
    for (size_t i = 0; i < slabs*rows; i++)
        for (size_t j = 0; j < m; j++) to[i*to_ld + lane[j]] += from[i*ld + j];
}

nde_panel nde_inside_panel(const nde_solver *s, const nde_group *g) {
    const size_t ld = g->lanes.site.ld;
    return (nde_panel){ .lanes = g->lanes, .ld = ld, .slab = s->rhs.rows*ld, .trajectory = g->trajectory, .t = g->t,
                        .t_new = g->t_new, .dt = g->dt, .h_real = g->h, .y = g->y, .z = g->z, .k = g->k, .node = g->node };
}

int nde_inside_load(const nde_solver *s, const nde_panel *p, nde_worker *w, const size_t *lane, size_t m) {
    nde_group *g = &w->group;
    nde_panel *in = &w->inside;
    nde_group_gather(s, p, w, lane, m);
    const size_t ld = g->lanes.site.ld, stages = (size_t)s->table.stages;
    take(stages, s->rhs.rows, p->k, p->ld, lane, m, g->k, ld);
    for (size_t j = 0; j < m; j++) {
        g->dt[j] = p->dt[lane[j]], g->t_new[j] = p->t_new[lane[j]];
        g->h[j] = (nde_real)g->dt[j];
    }
    *in = nde_inside_panel(s, g);
    if (!s->rhs.plain) nde_rhs_begin(&s->rhs, &in->lanes, in->t, in->dt, in->node);
    /* behind those of the stages, which stand further apart */
    in->tape = w->tape && s->rhs.tape ? w->tape + stages*s->rhs.tape*(w->replica.ld - ld) : NULL;
    const nde_attempt step = nde_panel_step(s, in, in->tape);
    return s->body->extend(&step);
}

/* ---- forward --------------------------------------------------------------------------------- */

/* Is the attempt good so far? With joint steps the norm of all is not known yet. */
static bool may_be_accepted(const nde_solver *s, const nde_panel *p, size_t b) {
    return s->joint ? isfinite(p->error[b]) : p->error[b]*p->error_scale <= 1;
}

/* The values of lane `from` of `inside` for lane b; false when one is not finite. */
static bool write_rows(nde_solver *s, const nde_panel *p, size_t b, nde_worker *w, size_t from) {
    const nde_panel *in = &w->inside;
    bool good = true;
    for (size_t row = p->saved[b]; nde_save_inside(s, p, b, row); row++) {
        nde_real *to = s->emits ? w->rows.y : s->y_out + row*s->rhs.dim*s->N + p->trajectory[b];
        const size_t stride = s->emits ? w->rows.lanes.site.ld : s->N; /* only looked at: rows.c makes them again */
        nde_save_dense(s, in, from, (nde_save_time(s, row, p->trajectory[b]) - p->t[b])/p->dt[b], to, NULL, stride);
        for (size_t i = 0; i < s->rhs.dim; i++) good = good && isfinite(to[i*stride]);
    }
    return good;
}

void nde_inside_attempt(nde_solver *s, nde_panel *p, nde_worker *w) {
    w->loaded = false;
    if (s->table.slopes == s->table.stages || s->saving != NDE_SAVE_TIMES || p->rc || p->over_budget) return;
    const nde_panel *in = &w->inside;
    size_t m = 0, *lane = w->list;
    for (size_t b = 0; b < p->live->n; b++)
        if (may_be_accepted(s, p, b) && nde_save_inside(s, p, b, p->saved[b])) lane[m++] = b;
    if (!m) return;
    p->rc = nde_inside_load(s, p, w, lane, m);
    w->loaded = !s->joint;
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j];
        const unsigned char mark = in->lanes.site.lane[j];
        p->evals[b] += s->table.slopes - s->table.stages;
        if (mark != NDE_LANE_OK) p->mark[b] = mark;
        if (p->rc || mark != NDE_LANE_OK || !write_rows(s, p, b, w, j)) p->error[b] = (double)NAN;
    }
}

/* ---- transpose ------------------------------------------------------------------------------- */

int nde_inside_load_transpose(const nde_solver *s, const nde_panel *p, nde_worker *w, const size_t *lane, size_t m) {
    nde_group *g = &w->group;
    const int rc = nde_inside_load(s, p, w, lane, m);
    const size_t ld = w->inside.ld, slab = w->inside.slab;
    memset(g->a_k, 0, (size_t)s->table.slopes*slab*sizeof *g->a_k);
    memset(g->a_y, 0, slab*sizeof *g->a_y);
    memset(g->a_t, 0, m*sizeof *g->a_t), memset(g->a_h, 0, m*sizeof *g->a_h);
    if (s->rhs.nq) memset(g->a_q, 0, s->rhs.nq*ld*sizeof *g->a_q);
    return rc;
}

int nde_inside_transpose(const nde_solver *s, nde_worker *w, const size_t *lane, size_t m, bool times, const nde_sink *sink) {
    nde_group *g = &w->group;
    nde_panel *in = &w->inside;
    nde_sink to = *sink;
    to.q = sink->q ? g->a_q : NULL;
    const nde_attempt step = nde_panel_step(s, in, in->tape);
    const nde_step_cotangent c = { .y = g->a_y, .k = g->a_k, .t = times ? g->a_t : NULL, .h = times ? g->a_h : NULL,
                                   .sink = &to };
    const int rc = s->body->extend_transpose(&step, &c);
    if (rc) return rc;
    const size_t ld = w->replica.ld;
    give((size_t)s->table.stages, s->rhs.rows, g->a_k, in->ld, lane, m, w->a_k, ld);
    if (sink->q) give(1, s->rhs.nq, g->a_q, in->ld, lane, m, w->a_q, ld);
    for (size_t j = 0; times && j < m; j++) w->a_t[lane[j]] += g->a_t[j], w->a_h[lane[j]] += g->a_h[j];
    return 0;
}

void nde_inside_state_transpose(const nde_solver *s, nde_worker *w, const size_t *lane, size_t m) {
    give(1, s->rhs.dim, w->group.a_y, w->inside.ld, lane, m, w->a_y, w->replica.ld);
}

/* ---- tangent --------------------------------------------------------------------------------- */

int nde_inside_tangent(const nde_solver *s, const nde_panel *p, nde_worker *w, nde_worker *x, size_t k, const size_t *lane,
                       size_t m, const nde_source *source) {
    nde_group *g = &x->group;
    const int failed = nde_inside_load(s, p, w, lane, m);
    if (failed) return failed;
    nde_panel *in = x == w ? &w->inside : nde_wide_inside(s, w, k);
    const size_t ld = x->replica.ld, rows = s->rhs.rows, n = p->live->n;
    for (size_t d = 0; d < k; d++) {
        const size_t from = d*n, to = d*m;
        take(1, rows, x->a_y + from, ld, lane, m, g->a_y + to, in->ld),
            take(1, rows, x->a_z + from, ld, lane, m, g->z + to, in->ld);
        take((size_t)s->table.stages, rows, x->a_k + from, ld, lane, m, g->a_k + to, in->ld);
        if (source->q) take(1, s->rhs.nq, x->a_q + from, ld, lane, m, g->a_q + to, in->ld);
        for (size_t j = 0; j < m; j++) g->a_t[to + j] = x->a_t[from + lane[j]], g->a_h[to + j] = x->a_h[from + lane[j]];
    }
    nde_source along = *source;
    along.q = source->q ? g->a_q : NULL, along.lanes = m;
    const nde_attempt step = nde_panel_step(s, in, NULL);
    const nde_step_tangent v = { .y = g->a_y, .z = g->z, .k = g->a_k, .t = g->a_t, .h = g->a_h, .source = &along };
    return s->body->extend_tangent(&step, &v);
}
