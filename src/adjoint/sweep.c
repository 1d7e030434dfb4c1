/* SPDX-License-Identifier: MIT
 * sweep.c - back over the record: the mirror of the loop. Each entry calls the transpose of what
 * it did; where a trajectory left, its lane's cotangent starts at its seeds; where it entered,
 * the lane is stored to it. Steps that keep too little are made again (recall.c), or undone (reverse.c). */
#include "adjoint/recall.h"
#include "adjoint/replay.h"
#include "adjoint/reverse.h"
#include "adjoint/saltation.h"
#include "adjoint/sweep.h"

#include <math.h>
#include <string.h>

typedef struct sweep {
    nde_solver *s;
    nde_record *record;
    nde_worker *w;
    nde_shard *shard;
    const nde_seed *seed;
    bool times, loss, apart; /* wanted? */
    bool alone;            /* steps are those of retrace.c */
    bool sloped;           /* with steps undone: the replica's slope 0 goes with its state, in all lanes */
    nde_recall recall;
    size_t n, ld, inside;  /* inside: lanes of w->list that are in w->inside */
    nde_sink sink;
} sweep;

/* ---- boundaries ------------------------------------------------------------------------------ */

static void add_boundary(const sweep *v, size_t b, ptrdiff_t boundary, double a) {
    if (boundary == NDE_BOUNDARY_EVENT) v->w->a_since[b] += a;
    else nde_boundary_add(v->s, v->shard, v->w->who[b], boundary, a);
}

/* The boundary at which a lane stands. */
static ptrdiff_t boundary_at(const sweep *v, size_t b) {
    const size_t f = v->w->forced[b];
    const double now = v->w->now[b];
    if (now == nde_since(v->w, b)) return NDE_BOUNDARY_EVENT;
    if (now == nde_start_of(v->s, v->w->who[b])) return NDE_BOUNDARY_START; /* a knot there is nothing */
    return f < v->s->forced.count && now == v->s->forced.t[f] ? (ptrdiff_t)f : NDE_BOUNDARY_START;
}

/* Each step is a fixed fraction of its segment: its start and length move with the segment's
 * ends. */
static void add_step_times(const sweep *v, size_t b, double t, double dt, double a_t, double a_h) {
    nde_share share[3];
    const size_t count = nde_step_shares(v->s, v->w->who[b], v->w->forced[b], nde_since(v->w, b), t, dt, share);
    for (size_t k = 0; k < count; k++) add_boundary(v, b, share[k].boundary, a_t*share[k].t + a_h*share[k].h);
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static void zero_column(nde_real *x, size_t rows, size_t ld, size_t b) {
    for (size_t i = 0; i < rows; i++) x[i*ld + b] = 0;
}

/* Where a trajectory ended: at an event, at t1, or, stopped, at a step's end. */
static void end_time(const sweep *v, size_t b, double a) {
    const double now = v->w->now[b], t0 = nde_start_of(v->s, v->w->who[b]);
    if (now == nde_since(v->w, b)) add_boundary(v, b, NDE_BOUNDARY_EVENT, a);
    else if (now == t0) add_boundary(v, b, NDE_BOUNDARY_START, a);
    else add_step_times(v, b, now, 0, a, 0);
}

static void undo_leave(sweep *v, size_t b, size_t who) {
    const nde_solver *s = v->s;
    nde_worker *w = v->w;
    nde_panel *r = &w->replica;
    const size_t last = v->n++, ld = v->ld, rows = s->rhs.rows, nq = s->rhs.nq;
    if (b != last) {
        nde_move_column(w->a_y, s->tangent_rows, ld, b, last), nde_move_column(w->a_carry, rows, ld, b, last);
        nde_move_column(w->a_q, nq, ld, b, last), nde_move_column(r->q, nq, ld, b, last),
            nde_move_column(r->y, s->state_rows, ld, b, last);
        w->who[last] = w->who[b], w->saved[last] = w->saved[b], w->forced[last] = w->forced[b];
        w->accepted[last] = w->accepted[b], w->now[last] = w->now[b];
        if (w->since) w->since[last] = w->since[b], w->a_since[last] = w->a_since[b], w->hit[last] = w->hit[b];
    }
    zero_column(w->a_y, s->tangent_rows, ld, b), zero_column(w->a_carry, rows, ld, b),
        zero_column(w->a_q, nq, ld, b);
    for (size_t i = 0; s->rhs.observe.field && i < nq; i++) w->a_q[i*ld + b] = s->g_q[i*s->N + who];
    zero_column(r->y, s->state_rows, ld, b);
    nde_save_end_transpose(s, who, v->seed, w->a_y + b, ld);
    for (size_t i = 0; i < nq; i++) r->q[i*ld + b] = s->rhs.problem.q[i*s->N + who];
    w->who[b] = who;
    w->saved[b] = s->status[who] < 0 ? 0 : s->saved[who];
    w->accepted[b] = s->stats[who].accepted;
    w->now[b] = s->t_end[who];
    size_t f = nde_forced_after(s, w->now[b]);
    if (f > 0 && s->forced.t[f - 1] == w->now[b]) f--;
    w->forced[b] = f;
    if (w->since) w->since[b] = s->since[who], w->a_since[b] = 0, w->hit[b] = s->hits.kept[who];
    if (v->seed->t_end && s->status[who] >= 0) end_time(v, b, v->seed->t_end[who]);
}

/* How far the state that a lane has gone back to is from that of the solve. */
static void compare(const sweep *v, size_t b, const nde_real *y, size_t ld) {
    const nde_solver *s = v->s;
    double sum = 0, *apart = &s->g_apart[v->w->who[b]];
    for (size_t i = 0; i < s->rhs.dim; i++) {
        const double x = (double)(v->w->replica.y[i*v->ld + b] - y[i*ld]);
        sum += x*x;
    }
    sum = sqrt(sum/(double)s->rhs.dim);
    if (!(sum <= *apart)) *apart = sum;
}

/* Before what a list says, lanes were as it keeps them. */
static void take_states(sweep *v, const nde_entry *e) {
    nde_panel *r = &v->w->replica;
    for (size_t k = 0; k < e->n; k++) {
        if (v->apart && e->kind == NDE_ENTRY_FRESH) compare(v, e->lane[k], e->y + k, e->n);
        for (size_t i = 0; i < e->rows; i++) r->y[i*v->ld + e->lane[k]] = e->y[i*e->n + k];
    }
    v->sloped = false;
}

static void undo_enter(sweep *v, const nde_entry *e) {
    nde_solver *s = v->s;
    nde_worker *w = v->w;
    const size_t N = s->N;
    for (size_t k = 0; k < e->n; k++) {
        const size_t b = v->n - e->n + k, who = w->who[b];
        if (v->apart) compare(v, b, s->rhs.problem.y0 + who, N);
        nde_save_start_transpose(s, who, &w->saved[b], v->seed, w->a_y + b, v->ld);
        if (w->hit) nde_saltation_start_transpose(s, w, b, v->seed);
        for (size_t i = 0; i < s->rhs.dim; i++) s->g_y0[i*N + who] = w->a_y[i*v->ld + b];
        for (size_t i = 0; i < s->rhs.nq; i++) s->g_q[i*N + who] = w->a_q[i*v->ld + b];
    }
    v->n -= e->n;
}

/* ---- fresh slopes and jumps ------------------------------------------------------------------ */

/* Gathers lanes for a transpose: state, parameters, time; cotangent columns of `a` into the
 * group's a_k [rows]. */
static void gather(sweep *v, const size_t *lane, size_t m, nde_real *a, size_t rows) {
    nde_worker *w = v->w;
    nde_panel *r = &w->replica;
    nde_group *g = &w->group;
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j];
        r->trajectory[b] = w->who[b], r->t[b] = w->now[b], r->t1[b] = nde_end_of(v->s, w->who[b]);
        r->forced[b] = nde_forced_after(v->s, w->now[b]);
        r->interval[b] = nde_jumps_before(v->s, r->forced[b]);
        nde_panel_watch(v->s, r, b);
    }
    nde_group_gather(v->s, r, w, lane, m);
    const size_t ld = g->lanes.site.ld;
    for (size_t i = 0; i < rows; i++)
        for (size_t j = 0; j < m; j++) g->a_k[i*ld + j] = a[i*v->ld + lane[j]];
    memset(g->a_y, 0, v->s->rhs.rows*ld*sizeof *g->a_y);
    if (g->a_q) memset(g->a_q, 0, v->s->rhs.nq*ld*sizeof *g->a_q);
    memset(g->a_t, 0, m*sizeof *g->a_t);
}

static void scatter(sweep *v, const size_t *lane, size_t m) {
    nde_worker *w = v->w;
    const nde_group *g = &w->group;
    const size_t ld = g->lanes.site.ld;
    for (size_t i = 0; i < v->s->rhs.dim; i++)
        for (size_t j = 0; j < m; j++) w->a_y[i*v->ld + lane[j]] += g->a_y[i*ld + j];
    for (size_t i = 0; i < v->s->rhs.nq; i++)
        for (size_t j = 0; j < m; j++) w->a_q[i*v->ld + lane[j]] += g->a_q[i*ld + j];
}

/* Where the cotangents of slope 0 stand, or of its pieces: rows of that. */
static nde_real *first_slope(const sweep *v) { return v->s->rhs.pieces ? v->w->a_y + 2*v->s->rhs.rows*v->ld : v->w->a_carry; }
static size_t first_rows(const sweep *v) { return v->s->rhs.rows*(v->s->rhs.pieces ? v->s->rhs.pieces : 1); }

/* Partners began as the state or as slope 0: their cotangents go there; or as nothing. */
static void undo_partners(sweep *v, const size_t *lane, size_t m) {
    const nde_solver *s = v->s;
    const int kind = s->table.method->partner;
    const size_t end = s->rhs.pieces ? 2*s->rhs.rows : s->tangent_rows;
    nde_real *a = v->w->a_y, *to = kind == NDE_PARTNER_STATE || s->rhs.pieces ? a : v->w->a_carry;
    for (size_t i = s->rhs.rows; i < end; i++)
        for (size_t j = 0; j < m; j++) {
            if (kind != NDE_PARTNER_ZERO) to[i%s->rhs.rows*v->ld + lane[j]] += a[i*v->ld + lane[j]];
            a[i*v->ld + lane[j]] = 0;
        }
}

static int undo_fresh(sweep *v, const nde_entry *e) {
    const nde_solver *s = v->s;
    nde_worker *w = v->w;
    nde_group *g = &w->group;
    nde_real *const a_slope = first_slope(v);
    const size_t rows = first_rows(v);
    size_t m = 0;
    if (s->table.partners) undo_partners(v, e->lane, e->n);
    /* a slope that no step used has no cotangent, and perhaps no state here */
    for (size_t k = 0; k < e->n; k++) {
        bool live = false;
        for (size_t i = 0; i < rows && !live; i++) live = a_slope[i*v->ld + e->lane[k]] != 0;
        if (live) w->list[m++] = e->lane[k];
    }
    if (!m) return 0;
    gather(v, w->list, m, a_slope, rows);
    const size_t ld = g->lanes.site.ld, slab = s->rhs.pieces ? s->rhs.rows*ld : 0;
    if (s->rhs.paths) nde_rhs_begin(&s->rhs, &g->lanes, g->t, g->dt, g->node);
    nde_sink sink = v->sink;
    sink.q = sink.q ? g->a_q : NULL, sink.t = v->times ? g->a_t : NULL, sink.noise = NULL;
    g->lanes.apart = slab;
    int rc = s->rhs.tape ? nde_rhs_eval(&s->rhs, &g->lanes, g->t, g->y, g->k, w->tape, ld) : 0;
    if (!rc) rc = nde_rhs_vjp(&s->rhs, &g->lanes, g->t, g->y, g->a_k, w->tape, ld, g->a_y, &sink);
    g->lanes.apart = 0;
    if (rc) return rc;
    scatter(v, w->list, m);
    for (size_t j = 0; j < m; j++) {
        zero_column(a_slope, rows, v->ld, w->list[j]);
        if (v->times) add_boundary(v, w->list[j], boundary_at(v, w->list[j]), g->a_t[j]);
    }
    return 0;
}

static int undo_jump(sweep *v, const nde_entry *e) {
    nde_solver *s = v->s;
    nde_worker *w = v->w;
    nde_group *g = &w->group;
    const size_t m = e->n, inputs = s->rhs.problem.jump_inputs;
    gather(v, e->lane, m, w->a_y, s->rhs.rows);
    const size_t ld = g->lanes.site.ld;
    for (size_t j = 0; j < m; j++) {
        g->interval[j] = e->who[j];
        for (size_t i = 0; i < s->rhs.dim; i++) {
            g->y[i*ld + j] = e->y[i*m + j];
            w->a_y[i*v->ld + e->lane[j]] = 0;
        }
    }
    nde_group_jump_inputs(s, w, m, s->rhs.problem.jump_u, g->u);
    if (inputs) memset(g->a_u, 0, inputs*ld*sizeof *g->a_u);
    nde_sink sink = v->sink;
    sink.q = sink.q ? g->a_q : NULL, sink.t = v->times ? g->a_t : NULL;
    const int rc = nde_jump_vjp(&s->rhs, &g->lanes, g->t, g->y, g->u, g->a_k, g->a_y,
                                s->g_jump_u ? g->a_u : NULL, &sink);
    if (rc) return rc;
    scatter(v, e->lane, m);
    for (size_t j = 0; j < m; j++) {
        for (size_t i = 0; s->g_jump_u && i < inputs; i++)
            s->g_jump_u[(e->who[j]*inputs + i)*s->N + g->trajectory[j]] += g->a_u[i*ld + j];
        if (v->times) v->shard->jump_t[e->who[j]] += g->a_t[j];
    }
    return 0;
}

/* y+ = reset(t, y-) where an event has cut a step. */
static int undo_reset(sweep *v, const nde_entry *e) {
    nde_solver *s = v->s;
    nde_worker *w = v->w;
    nde_group *g = &w->group;
    const size_t m = e->n;
    gather(v, e->lane, m, w->a_y, s->rhs.rows);
    const size_t ld = g->lanes.site.ld;
    for (size_t j = 0; j < m; j++)
        for (size_t i = 0; i < s->rhs.dim; i++) {
            g->y[i*ld + j] = e->y[i*m + j];
            w->a_y[i*v->ld + e->lane[j]] = 0;
        }
    nde_sink sink = v->sink;
    sink.q = sink.q ? g->a_q : NULL, sink.t = g->a_t, sink.window = NULL;
    const int rc = nde_part_vjp(&s->rhs, &g->lanes, &s->rhs.event[e->who[0]].reset, g->t, g->y, g->a_k, g->a_y, &sink);
    if (rc) return rc;
    scatter(v, e->lane, m);
    for (size_t j = 0; j < m; j++) w->a_since[e->lane[j]] += g->a_t[j];
    return 0;
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* Puts the step into the replica: from the record where it keeps enough, else attempted again, or undone.
 * Returns its tape. */
static int materialise(sweep *v, const nde_entry *e, const nde_real *y, nde_real **tape) {
    const nde_solver *s = v->s;
    nde_worker *w = v->w;
    nde_panel *r = &w->replica;
    int rc = !y || v->apart ? nde_replica_reverse(s, w, e, v->sloped) : 0;
    *tape = y ? w->tape : nde_reverse_tape(s, w);
    v->sloped = !y || !s->rhs.pieces;
    if (rc || !y) return rc || !s->rhs.tape || nde_reverse_tapes(s) ? rc : nde_panel_attempt(s, r, w->tape);
    for (size_t b = 0; v->apart && b < v->n; b++)
        if (r->accept[b]) compare(v, b, y + b, v->ld);
    nde_replay_map(s, w, w->who, v->n);
    nde_replay_load(s, w, e, y);
    for (size_t b = 0; b < v->n; b++) r->h_real[b] = (nde_real)r->dt[b];
    if (e->k && (e->tape || !s->rhs.tape) && !(s->rhs.pieces && v->times)) { /* pieces at its end are in the state that it
                                                                              * led to */
        r->k = e->k;
        *tape = e->tape;
        if (!s->rhs.plain) nde_rhs_begin(&s->rhs, &r->lanes, r->t, r->dt, r->node);
        return 0;
    }
    r->k = r->own_k;
    rc = nde_replay_slope(s, w);
    return rc ? rc : nde_panel_attempt(s, r, w->tape);
}

static void each_save(sweep *v, void (*after)(const nde_solver *, const nde_panel *, size_t, size_t *,
                                              int64_t, const nde_seed *, const nde_save_sink *)) {
    nde_worker *w = v->w;
    if (after ? v->s->saving != NDE_SAVE_TIMES : !v->seed->y) return; /* no lane has anything to do */
    if (!v->times && nde_save_together(v->s, &w->replica, w->saved)) {
        if (after) nde_save_after_together(v->s, &w->replica, w->saved, v->seed, w->a_y);
        else nde_save_before_together(v->s, &w->replica, w->saved[0], v->seed, w->a_y, w->a_k);
        return;
    }
    for (size_t b = 0, j = 0; b < v->n; b++) {
        if (!w->replica.accept[b] || v->s->status[w->who[b]] < 0) continue;
        const bool in = !after && j < v->inside && w->list[j] == b;
        const nde_save_sink sink = {
            .y = w->a_y + b,
            .k = in ? w->group.a_k + j : w->a_k + b,
            .ld = v->ld,
            .t = w->a_t + b,
            .h = v->times ? w->a_h + b : NULL,
            .save_t = v->s->save_lane ? v->s->g_save_t : v->shard->save_t,
        };
        if (after)
            after(v->s, &w->replica, b, &w->saved[b], w->accepted[b], v->seed, &sink);
        else if (in)
            nde_save_before(v->s, &w->inside, j++, w->saved[b], w->accepted[b], v->seed, &sink);
        else
            nde_save_before(v->s, &w->replica, b, w->saved[b], w->accepted[b], v->seed, &sink);
    }
}

/* Takes out the lanes that saved rows in the step, where the extension has stages of its own. */
static int load_inside(sweep *v) {
    const nde_solver *s = v->s;
    nde_worker *w = v->w;
    const nde_panel *r = &w->replica;
    v->inside = 0;
    if (s->table.slopes == s->table.stages || s->saving != NDE_SAVE_TIMES || !v->seed->y) return 0;
    for (size_t b = 0; b < v->n; b++) {
        if (!r->accept[b] || s->status[w->who[b]] < 0) continue;
        size_t row = w->saved[b];
        bool due = false;
        while (row > 0 && s->direction*nde_save_time(s, row - 1, w->who[b]) > s->direction*r->t[b] && !due)
            due = nde_save_time(s, --row, w->who[b]) != r->t_new[b] || v->times; /* the time of a row at the end moves it by
                                                                                  * the extension */
        if (due) w->list[v->inside++] = b;
    }
    return v->inside ? nde_inside_load_transpose(s, r, w, w->list, v->inside) : 0;
}

/* Of the slopes of a step that of the last one alone, which the next step was handed; of all else none. */
static void begin_cotangents(sweep *v, bool mixed) {
    const nde_solver *s = v->s;
    nde_worker *w = v->w;
    const size_t slab = w->replica.slab, stages = (size_t)s->table.stages;
    memset(w->a_k, 0, stages*slab*sizeof *w->a_k);
    memset(w->a_t, 0, v->n*sizeof *w->a_t), memset(w->a_h, 0, v->n*sizeof *w->a_h);
    memset(w->loss, 0, v->n*sizeof *w->loss);
    if (!s->table.fsal) return;
    nde_real *last = w->a_k + (stages - 1)*slab;
    memcpy(last, w->a_carry, slab*sizeof *last);
    for (size_t b = 0; mixed && b < v->n; b++)
        if (!w->replica.accept[b]) zero_column(last, s->rhs.rows, v->ld, b);
}

/* From all outputs of the step: its rows, hits of events in it (of so many lanes), its estimates. */
static int take_outputs(sweep *v, const nde_entry *e, size_t *hits) {
    const nde_solver *s = v->s;
    nde_worker *w = v->w;
    const bool every = s->saving == NDE_SAVE_EVERY; /* rows at the end of a step that is cut are the event's */
    int rc = 0;
    if (every) each_save(v, NULL);
    if (w->hit && (rc = nde_saltation_transpose(v->s, w, e, v->seed, &v->sink, hits))) return rc;
    if ((rc = load_inside(v))) return rc;
    if (!every) each_save(v, NULL);
    if (v->inside && (rc = nde_inside_transpose(s, w, w->list, v->inside, v->times, &v->sink))) return rc;
    if (v->seed->error_estimate || v->seed->stiffness_estimate) nde_estimate_transpose(s, w, v->seed, v->times);
    return 0;
}

static int transpose_step(sweep *v, nde_real *tape, bool mixed) {
    const nde_solver *s = v->s;
    nde_worker *w = v->w;
    const size_t rows = s->tangent_rows, ld = v->ld;
    const nde_attempt step = nde_panel_step(s, &w->replica, tape);
    const nde_step_cotangent c = { .y = w->a_y, .k = w->a_k, .t = v->times ? w->a_t : NULL, .h = v->times ? w->a_h : NULL,
                                   .loss = v->loss ? w->loss : NULL, .sink = &v->sink };
    const bool held = mixed && s->table.partners; /* a step of no length may move partners: the state of lanes that did not
                                                   * step stays */
    if (held) memcpy(w->a_z, w->a_y, rows*ld*sizeof *w->a_z);
    for (size_t b = 0; held && b < v->n; b++)
        if (!w->replica.accept[b]) zero_column(w->a_y, rows, ld, b);
    const int rc = s->body->transpose(&step, &c);
    for (size_t i = 0; held && !rc && i < rows; i++)
        for (size_t b = 0; b < v->n; b++)
            if (!w->replica.accept[b]) w->a_y[i*ld + b] = w->a_z[i*ld + b];
    return rc;
}

/* Lanes stand at the start of the step. */
static void go_to_start(sweep *v) {
    const nde_solver *s = v->s;
    nde_worker *w = v->w;
    const nde_panel *r = &w->replica;
    for (size_t b = 0; b < v->n; b++) {
        if (!r->accept[b]) continue;
        for (size_t i = 0; s->table.fsal && i < s->rhs.rows; i++) w->a_carry[i*v->ld + b] = w->a_k[i*v->ld + b];
        if (v->loss) v->shard->loss_error += w->loss[b], v->shard->loss_squares += w->loss[b]*w->loss[b];
        if (v->times) add_step_times(v, b, r->t[b], r->dt[b], w->a_t[b], w->a_h[b]);
        w->now[b] = r->t[b];
        w->accepted[b]--;
        if (w->forced[b] > 0 && s->forced.t[w->forced[b] - 1] == r->t[b]) w->forced[b]--;
    }
}

/* With steps that are alone it goes on to those before that are at hand; *e: the last one that is undone. */
static int undo_step(sweep *v, nde_entry *e) {
    const nde_solver *s = v->s;
    const bool mixed = e->flags & NDE_ENTRY_MIXED;
    nde_real *tape;
    size_t hits = 0;
    if (v->alone) return s->retrace(&v->recall, e, v->seed, &v->sink);
    int rc = materialise(v, e, e->y, &tape);
    if (rc) return rc;
    begin_cotangents(v, mixed);
    if ((rc = take_outputs(v, e, &hits)) || (rc = transpose_step(v, tape, mixed))) return rc;
    if (v->inside) nde_inside_state_transpose(s, v->w, v->w->list, v->inside);
    if (hits) nde_saltation_state_transpose(s, v->w, hits);
    each_save(v, nde_save_after);
    go_to_start(v);
    return 0;
}

static int undo_list(sweep *v, const nde_entry *e) {
    int rc = 0;
    switch (e->kind) {
    case NDE_ENTRY_ENTER: undo_enter(v, e); return 0;
    case NDE_ENTRY_LEAVE:
        for (size_t k = e->n; k-- > 0;) undo_leave(v, e->lane[k], e->who[k]);
        break;
    case NDE_ENTRY_FRESH: rc = undo_fresh(v, e); break;
    case NDE_ENTRY_CUT: break; /* the step knows what it means */
    case NDE_ENTRY_RESET: rc = undo_reset(v, e); break;
    default: rc = undo_jump(v, e);
    }
    if (v->s->undoes) take_states(v, e);
    return rc;
}

/* ---- the way ---------------------------------------------------------------------------------- */

/* Undoes a step, and perhaps some before it. */
static int undo_steps(sweep *v, nde_entry *e) {
    if (e->k) return undo_step(v, e);
    nde_entry full = *e;
    int rc = 0;
    if (v->s->undoes) nde_record_find(v->record, &full);
    else rc = nde_recall_step(&v->recall, v->n, &full);
    if (!rc) rc = undo_step(v, &full);
    e->at = full.at, e->step = full.step, e->t = full.t, e->t_new = full.t_new;
    return rc;
}

static int sweep_panel(sweep *v) {
    nde_entry e;
    int rc = 0;
    v->n = 0;
    v->recall = (nde_recall){ .s = v->s, .record = v->record, .w = v->w, .alone = v->alone };
    nde_replay_map(v->s, v->w, NULL, 0);
    for (bool more = nde_record_before(v->record, SIZE_MAX, &e); !rc && more; more = nde_record_back(v->record, &e))
        rc = e.kind == NDE_ENTRY_STEP ? undo_steps(v, &e) : undo_list(v, &e);
    nde_record_rewind(v->record);
    v->shard->recomputed += v->recall.recomputed;
    nde_panel *r = &v->w->replica;
    return rc ? rc : nde_window_flush(&v->w->window, &v->s->rhs, &r->lanes, v->sink.p);
}

/* ---- all shards ------------------------------------------------------------------------------ */

typedef struct order {
    nde_solver *s;
    const nde_seed *seed;
    const nde_gradient *gradient;
    bool cut; /* events have cut steps, whose times move */
    atomic_int failed;
} order;

/* From the cotangents of observations to those of states. */
static int observe_first(const sweep *v, nde_seed *seed) {
    nde_sink wanted = v->sink;
    wanted.t = v->times ? v->w->rows.a_t : NULL;
    const int rc = nde_observe_transpose(v->s, v->w, v->shard, seed, &wanted);
    seed->y = v->s->a_rows;
    return rc;
}

static void sweep_shard(void *arg, size_t i, int worker) {
    order *o = arg;
    nde_solver *s = o->s;
    const nde_gradient *g = o->gradient;
    nde_shard *shard = &s->shard[i];
    nde_worker *w = &s->worker[worker];
    if (shard->p) memset(shard->p, 0, s->rhs.np*sizeof *shard->p);
    if (shard->save_t) memset(shard->save_t, 0, s->rows_saved*sizeof *shard->save_t);
    if (shard->jump_t) memset(shard->jump_t, 0, s->rhs.problem.n_jumps*sizeof *shard->jump_t);
    shard->loss_error = shard->loss_squares = 0, shard->recomputed = 0;
    nde_seed seed = *o->seed;
    for (size_t k = 0; k < shard->count && !atomic_load(&o->failed); k++) {
        nde_panel *p = &s->panel[shard->first + k];
        sweep v = {
            .s = s, .record = &p->record, .w = w, .shard = shard, .seed = &seed, .ld = w->replica.ld
        };
        v.times = g->t0 || g->t1 || g->save_t || g->jump_t || o->cut;
        v.loss = g->loss_error || g->loss_spread;
        v.alone = s->retrace && v.ld == 1 && !v.times && !v.loss &&
            (s->table.slopes == s->table.stages || s->saving != NDE_SAVE_TIMES || !seed.y);
        v.apart = g->reconstruction != NULL;
        v.sink = (nde_sink){ .p = g->p || g->p_error ? shard->p : NULL,
                             .q = g->q ? w->a_q : NULL,
                             .x_input = g->input_x ? s->g_input : NULL,
                             .x_term = g->term_x ? (nde_real *const *)s->g_term : NULL,
                             .window = &w->window };
        w->window.used = 0;
        int rc = 0;
        if (!k && seed.y && s->rhs.observe.field) rc = observe_first(&v, &seed);
        if (!rc) rc = sweep_panel(&v);
        if (rc) atomic_store(&o->failed, rc);
    }
}

int nde_sweep(nde_solver *s, const nde_seed *seed, const nde_gradient *gradient, bool cut) {
    order o = { .s = s, .seed = seed, .gradient = gradient, .cut = cut };
    const int rc = nde_solver_tasks(s, s->n_shards, sweep_shard, &o);
    return rc ? rc : atomic_load(&o.failed);
}
