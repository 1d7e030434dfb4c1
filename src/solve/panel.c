/* SPDX-License-Identifier: MIT
 * panel.c - what a panel of lanes can do: take trajectories in, let them go, step, jump. The
 * loop decides, the sweep repeats. */
#include "solve/solver.h"

#include <math.h>
#include <string.h>

double nde_step_length(const nde_solver *s, size_t who, double t, double t_new) {
    const double length = t_new - t;
    if (s->options.steps <= 0) return length;
    /* the rounding of t + h - t must not move the step: symplectic methods would lose their
     * energy by it */
    const double whole = (nde_end_of(s, who) - nde_start_of(s, who))/(double)s->options.steps;
    return fabs(length - whole) <= 1e-6*fabs(whole) ? whole : length;
}

size_t nde_forced_after(const nde_solver *s, double t) {
    size_t low = 0, high = s->forced.count;
    while (low < high) {
        const size_t middle = low + (high - low)/2;
        if (s->direction*s->forced.t[middle] > s->direction*t)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}

void nde_panel_bind(const nde_solver *s, nde_panel *p, nde_worker *w) {
    nde_lanes_bind(&p->lanes, &s->rhs, &w->scratch);
    p->y = p->state[p->live->flip];
    p->z = p->state[!p->live->flip];
    p->carry = p->own_k;
    if (!p->tried) p->k = p->own_k; /* else the attempt's slopes may stand in the record */
    nde_panel_resize(p, p->live->n);
}

void nde_panel_resize(nde_panel *p, size_t n) {
    p->live->n = n;
    p->lanes.site.n = n;
}

/* Noise has no extension inside a step: it ends where something is saved, and where attempts were rejected. d: direction
 * of time. */
static void restrain(nde_panel *p, size_t b, double d, double save) {
    const double *top = p->revisits ? p->revisit + b : NULL;
    if (d*save > d*p->t[b] && d*save < d*p->stop[b]) p->stop[b] = save;
    while (top && p->revisits[b] && d*top[(p->revisits[b] - 1)*p->capacity] <= d*p->t[b]) p->revisits[b]--;
    if (!top || !p->revisits[b]) return;
    const double back = top[(p->revisits[b] - 1)*p->capacity];
    if (d*back < d*p->stop[b]) p->stop[b] = back;
}

bool nde_panel_remember(const nde_solver *s, nde_panel *p, size_t b) {
    const double d = s->direction, t = p->t_done[b];
    if (!p->revisits || t == p->stop[b]) return true;
    if (p->revisits[b] == NDE_MOST_REVISITS) return false;
    p->revisit[p->revisits[b]++*p->capacity + b] = t;
    p->stop[b] = t;
    if (d*t < d*p->watch[b]) p->watch[b] = t;
    return true;
}

void nde_panel_watch(const nde_solver *s, nde_panel *p, size_t b) {
    const size_t f = p->forced[b];
    const double d = s->direction, save = nde_save_next(s, p, b);
    p->stop[b] = f < s->forced.count && d*s->forced.t[f] < d*p->t1[b] ? s->forced.t[f] : p->t1[b];
    if (s->restless) restrain(p, b, d, save);
    p->watch[b] = d*save < d*p->stop[b] ? save : p->stop[b];
    p->t_new[b] = nde_clock_target(d, p->t[b], p->h[b], p->stop[b]);
    p->dt[b] = p->t_new[b] - p->t[b];
}

void nde_panel_enter(const nde_solver *s, nde_panel *p, const size_t *who, size_t m) {
    const nde_problem *q = &s->rhs.problem;
    const size_t n = p->live->n, ld = p->ld, N = s->N;
    for (size_t i = 0; i < s->rhs.dim; i++)
        for (size_t j = 0; j < m; j++) p->y[i*ld + n + j] = q->y0[i*N + who[j]];
    for (size_t i = s->rhs.dim; i < s->state_rows; i++)
        for (size_t j = 0; j < m; j++) p->y[i*ld + n + j] = 0;
    for (size_t i = 0; i < s->rhs.nq; i++)
        for (size_t j = 0; j < m; j++) p->q[i*ld + n + j] = q->q[i*N + who[j]];
    for (size_t j = 0, b = n; j < m; j++, b++) {
        p->trajectory[b] = who[j];
        p->t[b] = nde_start_of(s, who[j]);
        p->t1[b] = nde_end_of(s, who[j]);
        p->forced[b] = nde_forced_after(s, p->t[b]);
        p->interval[b] = 0;
        for (size_t f = 0; f < p->forced[b]; f++) p->interval[b] += s->forced.jump[f] != SIZE_MAX;
        p->saved[b] = 0;
        if (p->revisits) p->revisits[b] = 0;
        p->node[b] = p->accepted[b] = p->rejected[b] = p->evals[b] = 0;
        p->h[b] = s->adaptive ? 0 : (p->t1[b] - p->t[b])/(double)s->options.steps;
        p->h_first[b] = p->h_last[b] = 0;
        nde_forget_steps(s, p, b);
        if (p->iterations) p->iterations[b] = 0;
        if (p->products) p->products[b] = 0;
        if (p->forced_steps) p->forced_steps[b] = 0;
        if (p->implicit) p->implicit[b] = 0;
        if (p->stiff) p->stiff[b] = (nde_stiffness){ 0 };
        if (p->rtol) p->rtol[b] = s->rtol_n[who[j]];
        if (p->atol) p->atol[b] = s->atol_n[who[j]];
        p->refused[b] = 0;
        p->dt_done[b] = p->error[b] = 0;
        p->mark[b] = NDE_LANE_OK;
        if (p->since) p->since[b] = (double)NAN;
        nde_panel_watch(s, p, b);
    }
    nde_panel_resize(p, n + m);
}

void nde_panel_leave(const nde_solver *s, nde_panel *p, size_t b) {
    const size_t last = p->live->n - 1, ld = p->ld;
    if (b != last) {
        for (size_t i = 0; i < s->state_rows; i++) p->y[i*ld + b] = p->y[i*ld + last];
        for (size_t i = 0; i < s->rhs.rows; i++) p->carry[i*ld + b] = p->carry[i*ld + last];
        for (size_t i = 0; i < s->rhs.nq; i++) p->q[i*ld + b] = p->q[i*ld + last];
        for (size_t e = 0; e < s->rhs.problem.n_events; e++) p->g[e*ld + b] = p->g[e*ld + last];
        p->trajectory[b] = p->trajectory[last], p->interval[b] = p->interval[last],
        p->forced[b] = p->forced[last];
        p->saved[b] = p->saved[last], p->node[b] = p->node[last], p->accepted[b] = p->accepted[last];
        p->rejected[b] = p->rejected[last], p->evals[b] = p->evals[last];
        p->t[b] = p->t[last], p->t1[b] = p->t1[last], p->h[b] = p->h[last],
        p->past[b] = p->past[last];
        p->stop[b] = p->stop[last], p->watch[b] = p->watch[last], p->t_new[b] = p->t_new[last],
        p->dt[b] = p->dt[last];
        p->h_first[b] = p->h_first[last], p->h_last[b] = p->h_last[last],
        p->refused[b] = p->refused[last], p->mark[b] = p->mark[last];
        if (p->past2) p->past2[b] = p->past2[last], p->h_last2[b] = p->h_last2[last];
        if (p->error_last) p->error_last[b] = p->error_last[last], p->error_last2[b] = p->error_last2[last];
        if (p->iterations) p->iterations[b] = p->iterations[last];
        if (p->products) p->products[b] = p->products[last];
        if (p->forced_steps) p->forced_steps[b] = p->forced_steps[last];
        if (p->implicit) p->implicit[b] = p->implicit[last];
        if (p->revisits) p->revisits[b] = p->revisits[last];
        for (size_t i = 0; p->revisits && i < p->revisits[b]; i++)
            p->revisit[i*p->capacity + b] = p->revisit[i*p->capacity + last];
        if (p->stiff) p->stiff[b] = p->stiff[last];
        if (p->since) p->since[b] = p->since[last];
        if (p->rtol) p->rtol[b] = p->rtol[last];
        if (p->atol) p->atol[b] = p->atol[last];
    }
    nde_panel_resize(p, last);
}

void nde_panel_put(const nde_solver *s, nde_panel *p, size_t b, const nde_real *y, size_t ld) {
    for (size_t i = 0; i < s->rhs.dim; i++) p->y[i*p->ld + b] = y[i*ld];
    if (s->state_rows == s->rhs.rows) return;
    for (size_t i = 0; i < s->rhs.dim; i++) p->y[(s->rhs.rows + i)*p->ld + b] = 0;
}

/* ---- a few lanes at a time ------------------------------------------------------------------- */

static void copy_columns(size_t rows, const nde_real *from, size_t from_ld, const size_t *lane,
                         size_t m, nde_real *to, size_t ld) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < m; j++) to[i*ld + j] = from[i*from_ld + lane[j]];
}

static void put_columns(size_t rows, const nde_real *from, size_t ld, const size_t *lane, size_t m,
                        nde_real *to, size_t to_ld) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < m; j++) to[i*to_ld + lane[j]] = from[i*ld + j];
}

void nde_group_open(const nde_solver *s, nde_worker *w, size_t m) {
    nde_group *g = &w->group;
    nde_site *at = &g->lanes.site;
    w->loaded = false;
    nde_lanes_bind(&g->lanes, &s->rhs, &w->scratch);
    at->n = m;
    at->ld = nde_leading_dimension(m, sizeof(nde_real));
    at->index = g->trajectory, at->interval = g->interval, at->lane = g->mark, at->q = g->q;
    at->flags = 0;
    g->lanes.turn = NDE_TURN_ALL;
    g->lanes.piece = g->piece, g->lanes.rate = g->rate;
}

void nde_group_gather(const nde_solver *s, const nde_panel *p, nde_worker *w, const size_t *lane,
                      size_t m) {
    nde_group *g = &w->group;
    nde_site *at = &g->lanes.site;
    nde_group_open(s, w, m);
    at->flags = p->lanes.site.flags;
    copy_columns(s->rhs.rows, p->y, p->ld, lane, m, g->y, at->ld);
    copy_columns(s->rhs.rows, p->carry, p->ld, lane, m, g->k, at->ld);
    copy_columns(s->rhs.nq, p->q, p->ld, lane, m, g->q, at->ld);
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j];
        g->trajectory[j] = p->trajectory[b], g->interval[j] = p->interval[b], g->node[j] = p->node[b];
        g->t[j] = p->t[b], g->mark[j] = NDE_LANE_OK;
        g->dt[j] = p->stop[b] - p->t[b]; /* within one piece of every path that drives a term */
    }
}

/* Marks of the group go back to the panel. */
static void return_marks(nde_panel *p, const nde_group *g, const size_t *lane, size_t m) {
    for (size_t j = 0; j < m; j++)
        if (g->mark[j] != NDE_LANE_OK) p->mark[lane[j]] = g->mark[j];
}

/* What is carried on in the bit-reversible mode is a multiple of its quantum from the start on. */
static void quantise(const nde_solver *s, const nde_panel *p, const size_t *lane, size_t m, size_t rows, nde_real *x) {
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < m; j++) x[i*p->ld + lane[j]] = nde_quantised(x[i*p->ld + lane[j]], (nde_real)s->table.quantum);
}

/* What the method carries beside slope 0 begins as the state, as that slope, or as nothing; pieces are there. */
static void begin_partners(const nde_solver *s, nde_panel *p, const size_t *lane, size_t m) {
    const size_t rows = s->rhs.rows, end = s->rhs.pieces ? 2*rows : s->tangent_rows;
    const int kind = s->table.method->partner;
    const nde_real *from = kind == NDE_PARTNER_STATE || s->rhs.pieces ? p->y : kind == NDE_PARTNER_SLOPE ? p->carry : NULL;
    for (size_t i = rows; i < end; i++)
        for (size_t j = 0; j < m; j++) p->y[i*p->ld + lane[j]] = from ? from[i%rows*p->ld + lane[j]] : 0;
}

/* The pieces of the group's slope 0, among the partners of its lanes. */
static int begin_pieces(const nde_solver *s, nde_panel *p, nde_group *g, const size_t *lane, size_t m) {
    const size_t rows = s->rhs.rows, ld = g->lanes.site.ld;
    const int rc = nde_pieces_eval(&s->rhs, &g->lanes, g->t, g->y, g->k, rows*ld, NULL, 0);
    put_columns(s->rhs.pieces*rows, g->k, ld, lane, m, p->y + 2*rows*p->ld, p->ld);
    return rc;
}

static int begin_slope(const nde_solver *s, nde_panel *p, nde_group *g, const size_t *lane, size_t m) {
    const int rc = nde_rhs_eval_whole(&s->rhs, &g->lanes, g->t, g->y, g->k);
    put_columns(s->rhs.rows, g->k, g->lanes.site.ld, lane, m, p->carry, p->ld);
    return rc;
}

int nde_panel_fresh(const nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m) {
    nde_group *g = &w->group;
    const bool quantised = s->table.quantum > 0, slope = s->table.method->partner == NDE_PARTNER_SLOPE;
    if (quantised) quantise(s, p, lane, m, s->rhs.dim, p->y);
    nde_group_gather(s, p, w, lane, m);
    if (s->rhs.paths) nde_rhs_begin(&s->rhs, &g->lanes, g->t, g->dt, g->node);
    const int rc = s->rhs.pieces ? begin_pieces(s, p, g, lane, m) : begin_slope(s, p, g, lane, m);
    if (quantised && slope) quantise(s, p, lane, m, s->rhs.rows, p->carry);
    if (s->table.partners && !rc) begin_partners(s, p, lane, m);
    return_marks(p, g, lane, m);
    return rc;
}

void nde_group_jump_inputs(const nde_solver *s, nde_worker *w, size_t m, const nde_real *from,
                           nde_real *u) {
    const nde_group *g = &w->group;
    const size_t inputs = s->rhs.problem.jump_inputs, ld = g->lanes.site.ld;
    for (size_t i = 0; i < inputs; i++)
        for (size_t j = 0; j < m; j++)
            u[i*ld + j] = from ? from[(g->interval[j]*inputs + i)*s->N + g->trajectory[j]] : 0;
}

int nde_panel_jump(const nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m) {
    nde_group *g = &w->group;
    nde_group_gather(s, p, w, lane, m);
    nde_group_jump_inputs(s, w, m, s->rhs.problem.jump_u, g->u);
    return nde_jump_eval(&s->rhs, &g->lanes, g->t, g->y, g->u, g->z);
}

void nde_panel_land(const nde_solver *s, nde_panel *p, const nde_worker *w, const size_t *lane,
                    size_t m) {
    const nde_group *g = &w->group;
    for (size_t j = 0; j < m; j++) {
        if (g->mark[j] != NDE_LANE_OK) continue;
        nde_panel_put(s, p, lane[j], g->z + j, g->lanes.site.ld);
        p->interval[lane[j]]++;
    }
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* The time that stages at the end of the steps see. */
static const double *stage_end(const nde_solver *s, const nde_panel *p) {
    if (!p->t_stage) return p->t_new;
    for (size_t b = 0; b < p->live->n; b++) {
        const size_t f = nde_forced_after(s, p->t_new[b]);
        const bool clipped = f > 0 && s->forced.clip[f - 1] && s->forced.t[f - 1] == p->t_new[b];
        p->t_stage[b] = clipped ? nextafter(p->t_new[b], p->t[b]) : p->t_new[b];
    }
    return p->t_stage;
}

nde_attempt nde_panel_step(const nde_solver *s, nde_panel *p, nde_real *tape) {
    return (nde_attempt){
        .rhs = &s->rhs,
        .table = &s->table,
        .lanes = &p->lanes,
        .t = p->t,
        .t_new = stage_end(s, p),
        .dt = p->dt,
        .h = p->h_real,
        .y = p->y,
        .z = p->z,
        .k = p->k,
        .slab = p->slab,
        .tape = tape,
        .tape_slab = s->rhs.tape*p->ld,
        .tolerance = &s->tolerance,
        .error = p->error,
    };
}

int nde_panel_attempt(const nde_solver *s, nde_panel *p, nde_real *tape) {
    const size_t n = p->live->n;
    const bool compiled = s->measured_inside && p->ld > 1 && !s->options.adjoint; /* reads dt, as do all that follow */
    for (size_t b = 0; !compiled && b < n; b++) p->h_real[b] = (nde_real)p->dt[b];
    if (!s->rhs.plain) nde_rhs_begin(&s->rhs, &p->lanes, p->t, p->dt, p->node);
    if (p->k != p->carry && s->table.fsal) memcpy(p->k, p->carry, p->slab*sizeof *p->k);
    const nde_attempt step = nde_panel_step(s, p, tape);
    const int rc = s->body->attempt(&step), *beside = p->lanes.scratch->count;
    for (size_t b = 0; beside && b < n; b++) p->evals[b] += beside[b];
    for (size_t b = 0; p->iterations && b < n; b++) p->iterations[b] += p->lanes.scratch->linear->iterations[b];
    for (size_t b = 0; p->products && b < n; b++) p->products[b] += p->lanes.scratch->linear->free.products[b];
    for (size_t b = 0; p->implicit && b < n; b++) p->implicit[b] += p->y[p->slab + b] < 0;
    return rc;
}

bool nde_panel_reserve(const nde_solver *s, nde_panel *p, nde_real **tape) {
    if (!p->over_budget) p->over_budget = nde_record_reserve(&p->record, p->live->n, s->joint, &p->slot) != NDE_OK;
    if (p->over_budget) return false;
    p->k = p->slot.k ? p->slot.k : p->own_k;
    *tape = p->slot.tape;
    return true;
}

/* Logs the step. What rejected lanes left in it may not be finite: they get zero slopes and a
 * neighbour's tape. */
void nde_panel_keep(const nde_solver *s, nde_panel *p, bool all) {
    nde_entry *entry = &p->slot;
    const size_t n = p->live->n, ld = p->ld;
    const size_t times = entry->stride ? n : 1;
    memcpy(entry->t, p->t, times*sizeof *p->t);
    memcpy(entry->t_new, p->t_new, times*sizeof *p->t_new);
    if (entry->y) memcpy(entry->y, p->y, s->state_rows*ld*sizeof *p->y);
    if (!all) {
        size_t good = 0;
        while (!p->accept[good]) good++;
        for (size_t b = 0; b < n; b++) {
            if (p->accept[b]) continue;
            entry->t_new[b] = p->t[b];
            for (size_t i = 0; entry->k && i < (size_t)s->table.stages*s->rhs.rows; i++)
                entry->k[i*ld + b] = 0;
            for (size_t i = 0; entry->tape && i < (size_t)s->table.stages*s->rhs.tape; i++)
                entry->tape[i*ld + b] = entry->tape[i*ld + good];
        }
    }
    nde_record_commit(&p->record, entry, !all);
}

void nde_panel_advance(const nde_solver *s, nde_panel *p, bool all) {
    const size_t n = p->live->n;
    const nde_real *last = p->k + (size_t)(s->table.stages - 1)*p->slab;
    if (all) {
        nde_real *y = p->y;
        p->live->flip = !p->live->flip;
        p->y = p->z, p->z = y;
        if (s->table.fsal) memcpy(p->carry, last, p->slab*sizeof *last);
        return;
    }
    const nde_step_kernels *use = s->rhs.kernels->step;
    const size_t whole = nde_whole_vectors(n);
    for (size_t b = 0; b < whole; b++) p->chosen[b] = p->accept[b];
    use->blend(s->state_rows, whole, p->ld, p->chosen, p->z, p->y);
    if (s->table.fsal) use->blend(s->rhs.rows, whole, p->ld, p->chosen, last, p->carry);
}
