/* SPDX-License-Identifier: MIT
 * replay.c - repeating what the record says. */
#include "adjoint/replay.h"

#include <math.h>
#include <string.h>

size_t nde_jumps_before(const nde_solver *s, size_t f) {
    size_t jumps = 0;
    for (size_t i = 0; i < f; i++) jumps += s->forced.jump[i] != SIZE_MAX;
    return jumps;
}

nde_segment nde_segment_of(const nde_solver *s, size_t who, size_t f) {
    const double t0 = nde_start_of(s, who), t1 = nde_end_of(s, who);
    nde_segment g = { .from = t0, .to = t1, .lower = NDE_BOUNDARY_START, .upper = NDE_BOUNDARY_END };
    if (f > 0 && s->direction*s->forced.t[f - 1] > s->direction*t0)
        g.from = s->forced.t[f - 1], g.lower = (ptrdiff_t)f - 1;
    if (f < s->forced.count && s->direction*s->forced.t[f] < s->direction*t1)
        g.to = s->forced.t[f], g.upper = (ptrdiff_t)f;
    return g;
}

size_t nde_step_shares(const nde_solver *s, size_t who, size_t f, double since, double t, double dt, nde_share share[3]) {
    nde_segment g = nde_segment_of(s, who, f);
    const bool cut = isgreater(s->direction*since, s->direction*g.from); /* since may be NaN, and nothing is raised */
    if (cut && s->options.steps > 0 && t == since) {
        const double end = (t + dt - g.from)/(g.to - g.from);
        share[0] = (nde_share){ NDE_BOUNDARY_EVENT, 1, -1 };
        share[1] = (nde_share){ g.lower, 0, 1 - end }, share[2] = (nde_share){ g.upper, 0, end };
        return 3;
    }
    if (cut && s->options.steps <= 0) g.from = since, g.lower = NDE_BOUNDARY_EVENT;
    const double length = g.to - g.from, sigma = (t - g.from)/length, delta = dt/length;
    share[0] = (nde_share){ g.lower, 1 - sigma, -delta }, share[1] = (nde_share){ g.upper, sigma, delta };
    return 2;
}

void nde_boundary_add(nde_solver *s, nde_shard *shard, size_t who, ptrdiff_t boundary, double a) {
    if (boundary == NDE_BOUNDARY_START)
        s->g_t0[who] += a;
    else if (boundary == NDE_BOUNDARY_END)
        s->g_t1[who] += a;
    else if (s->forced.jump[boundary] != SIZE_MAX)
        shard->jump_t[s->forced.jump[boundary]] += a;
}

double nde_boundary_tangent(const nde_solver *s, const nde_direction *along, size_t who, ptrdiff_t boundary) {
    if (boundary == NDE_BOUNDARY_START) return along->t0 ? along->t0[who] : 0;
    if (boundary == NDE_BOUNDARY_END) return along->t1 ? along->t1[who] : 0;
    const size_t jump = s->forced.jump[boundary];
    return jump != SIZE_MAX && along->jump_t ? along->jump_t[jump] : 0;
}

nde_direction nde_direction_at(const nde_solver *s, const nde_direction *all, size_t d) {
    const nde_problem *q = &s->rhs.problem;
    nde_direction v = *all;
    if (v.y0) v.y0 += d*s->rhs.dim*s->N;
    if (v.p) v.p += d*s->rhs.np;
    if (v.q) v.q += d*s->rhs.nq*s->N;
    if (v.t0) v.t0 += d*s->N;
    if (v.t1) v.t1 += d*s->N;
    if (v.save_t) v.save_t += d*(s->save_lane ? s->rows_saved*s->N : s->options.n_save);
    if (v.jump_t) v.jump_t += d*q->n_jumps;
    if (v.jump_u) v.jump_u += d*q->n_jumps*q->jump_inputs*s->N;
    if (v.input_x && q->input) v.input_x += d*q->input->knots*q->input->channels*s->N;
    return v;
}

void nde_replay_map(const nde_solver *s, nde_worker *w, const size_t *who, size_t n) {
    nde_panel *r = &w->replica;
    nde_panel_bind(s, r, w);
    if (n) memcpy(r->trajectory, who, n*sizeof *who);
    nde_panel_resize(r, n);
}

void nde_replay_unmap(const nde_record *record, nde_panel *r, size_t from, size_t to) {
    nde_entry e;
    for (size_t at = to; nde_record_before(record, at, &e) && e.at >= from; at = nde_record_begin(e.at)) {
        size_t n = r->live->n;
        if (e.kind == NDE_ENTRY_ENTER) n -= e.n;
        for (size_t k = e.n; e.kind == NDE_ENTRY_LEAVE && k-- > 0; n++) {
            r->trajectory[n] = r->trajectory[e.lane[k]];
            r->trajectory[e.lane[k]] = e.who[k];
        }
        nde_panel_resize(r, n);
        if (e.at == 0) break;
    }
}

void nde_replay_times(const nde_solver *s, nde_panel *r, const nde_entry *e) {
    for (size_t b = 0; b < e->n; b++) {
        const size_t who = r->trajectory[b];
        r->accept[b] = nde_entry_took(e, b);
        const double t = e->t[b*e->stride], t_new = e->t_new[b*e->stride];
        r->t[b] = t;
        r->t_new[b] = t_new;
        r->dt[b] = r->accept[b] ? nde_step_length(s, who, t, t_new) : 0;
        if (s->options.steps > 0) {
            const double t0 = nde_start_of(s, who),
                         whole = (nde_end_of(s, who) - t0)/(double)s->options.steps;
            r->node[b] = (int64_t)floor((t - t0)/whole + 1e-6);
        }
    }
}

void nde_replay_load(const nde_solver *s, nde_worker *w, const nde_entry *e, const nde_real *y) {
    nde_panel *r = &w->replica;
    if (y) memcpy(r->y, y, s->state_rows*r->ld*sizeof *y);
    for (size_t b = 0; b < e->n; b++) {
        const size_t who = r->trajectory[b];
        r->t[b] = e->t[b*e->stride];
        r->forced[b] = nde_forced_after(s, r->t[b]);
        r->interval[b] = nde_jumps_before(s, r->forced[b]);
        r->t1[b] = nde_end_of(s, who);
        r->mark[b] = NDE_LANE_OK;
        r->saved[b] = s->rows_saved;
        nde_panel_watch(s, r, b);
        for (size_t i = 0; i < s->rhs.nq; i++) r->q[i*r->ld + b] = s->rhs.problem.q[i*s->N + who];
    }
    nde_replay_times(s, r, e);
}

int nde_replay_slope(const nde_solver *s, nde_worker *w) {
    nde_panel *r = &w->replica;
    const nde_real *partner = r->y + r->slab;
    const int kind = s->table.method->partner;
    if (!s->table.fsal) return 0;
    if (kind == NDE_PARTNER_SLOPE) {
        memcpy(r->carry, partner, r->slab*sizeof *partner);
        return 0;
    }
    if (!s->rhs.plain) { /* a lane that was rejected may stand at a knot: its piece is the one ahead */
        for (size_t b = 0; b < r->live->n; b++) r->dt_done[b] = r->stop[b] - r->t[b];
        nde_rhs_begin(&s->rhs, &r->lanes, r->t, r->dt_done, r->node);
    }
    return nde_rhs_eval(&s->rhs, &r->lanes, r->t, kind == NDE_PARTNER_STATE ? partner : r->y, r->carry, NULL, 0);
}

void nde_replay_accept(const nde_solver *s, nde_panel *r, const nde_entry *e) {
    nde_panel_advance(s, r, !(e->flags & NDE_ENTRY_MIXED));
    for (size_t b = 0; b < e->n; b++) {
        if (!r->accept[b]) continue;
        r->t[b] = r->t_new[b];
        r->accepted[b]++;
        const size_t f = r->forced[b];
        if (f < s->forced.count && r->t[b] == s->forced.t[f]) r->forced[b]++;
        nde_panel_watch(s, r, b);
    }
}

int nde_replay_attempt(const nde_solver *s, nde_worker *w, const nde_entry *e, nde_real *tape) {
    nde_panel *r = &w->replica;
    nde_replay_times(s, r, e);
    memset(r->mark, NDE_LANE_OK, e->n);
    int rc = nde_panel_attempt(s, r, tape);
    for (size_t k = 0; !rc && k < e->cuts.n; k++) rc = nde_events_cut(s, r, w, e->cuts.lane[k], e->cuts.t[k]);
    return rc;
}

static int replay_step(const nde_solver *s, nde_worker *w, const nde_entry *e) {
    const int rc = nde_replay_attempt(s, w, e, NULL);
    if (!rc) nde_replay_accept(s, &w->replica, e);
    return rc;
}

int nde_replay_entry(const nde_solver *s, nde_worker *w, const nde_entry *e) {
    nde_panel *r = &w->replica;
    switch (e->kind) {
    case NDE_ENTRY_ENTER: nde_panel_enter(s, r, e->who, e->n); return 0;
    case NDE_ENTRY_LEAVE:
        for (size_t k = 0; k < e->n; k++) nde_panel_leave(s, r, e->lane[k]);
        return 0;
    case NDE_ENTRY_FRESH: return nde_panel_fresh(s, r, w, e->lane, e->n);
    case NDE_ENTRY_CUT: return 0;
    case NDE_ENTRY_RESET: return nde_events_reset_again(s, r, w, e);
    case NDE_ENTRY_JUMP: {
        const int rc = nde_panel_jump(s, r, w, e->lane, e->n);
        nde_panel_land(s, r, w, e->lane, e->n);
        return rc;
    }
    default: return replay_step(s, w, e);
    }
}

int nde_replay_step(const nde_solver *s, nde_worker *w, const nde_record *record, const nde_entry *step) {
    nde_panel *r = &w->replica;
    nde_entry e = *step;
    int rc = 0;
    if (!e.y && (rc = nde_record_state_before(record, e.at, w->a_z, &e))) return w->unread = true, rc;
    nde_replay_map(s, w, w->who, step->n);
    nde_replay_unmap(record, r, e.at, step->at);
    nde_replay_load(s, w, &e, e.y);
    rc = nde_replay_slope(s, w);
    while (!rc && e.at != step->at) {
        rc = nde_replay_entry(s, w, &e);
        nde_record_forth(record, &e);
    }
    if (rc) return rc;
    nde_replay_times(s, r, &e);
    return nde_panel_attempt(s, r, NULL);
}
