/* SPDX-License-Identifier: MIT
 * joint.c - joint steps: one first step, and one decision on each attempt of all panels. */
#include "solve/loop.h"

#include <math.h>

static void joint_shard(void *arg, size_t i, int worker) {
    nde_solver *s = arg;
    const nde_shard *shard = &s->shard[i];
    nde_worker *w = &s->worker[worker];
    for (size_t k = 0; k < shard->count; k++) {
        nde_panel *p = &s->panel[shard->first + k];
        nde_panel_bind(s, p, w);
        if (p->tried) {
            for (size_t b = 0; b < p->live->n && !p->over_budget; b++)
                if (p->mark[b] != NDE_LANE_STOP) {
                    p->error[b] = s->joint_error;
                    if (s->joint_outside) p->mark[b] = NDE_LANE_OUTSIDE;
                }
            if (!p->rc && isnan(s->joint_error) && !p->over_budget)
                p->rc = s->joint_rc > 0 && s->joint_rc != NDE_FIELD_STOP ? s->joint_rc : 0;
            nde_lanes_settle(s, p, w);
        }
        if (atomic_load_explicit(&s->stop, memory_order_relaxed))
            nde_lanes_stop(s, p, w);
        else if (p->live->n && !nde_is_paused(s, p))
            nde_lanes_attempt(s, p), nde_inside_attempt(s, p, w);
        nde_report_progress(s, p, k || i ? 1 : worker);
    }
}

/* What the first step of all follows from: squares of the norms of states, slopes and changes of slopes, of `total`
 * components. */
typedef struct beginning {
    double state, slope, change, total, span;
} beginning;

static void gather_all(const nde_solver *s, const nde_panel *p, nde_worker *w) {
    for (size_t b = 0; b < p->live->n; b++) w->list[b] = b;
    nde_group_gather(s, p, w, w->list, p->live->n);
}

/* Those of one panel join. */
static void add_sizes(const nde_solver *s, const nde_panel *p, nde_worker *w, beginning *of) {
    nde_group *g = &w->group;
    gather_all(s, p, w);
    nde_measure_group(s, g, g->y, NULL, g->square[0]);
    nde_measure_group(s, g, g->k, NULL, g->square[1]);
    of->span = p->t1[0] - p->t[0];
    for (size_t b = 0; b < p->live->n; b++) {
        of->state = nde_add_square(s, of->state, g->square[0][b]);
        of->slope = nde_add_square(s, of->slope, g->square[1][b]);
        of->total = s->largest ? 1 : of->total + s->counted;
    }
}

/* So do changes over a trial step. False: a callback has ended everybody. */
static bool add_changes(nde_solver *s, nde_panel *p, nde_worker *w, double trial, beginning *of) {
    nde_group *g = &w->group;
    size_t stopped = 0;
    gather_all(s, p, w);
    if (s->rhs.paths) nde_rhs_begin(&s->rhs, &g->lanes, g->t, g->dt, g->node);
    for (size_t b = 0; b < p->live->n; b++) g->dt[b] = trial, p->evals[b]++;
    const int rc = nde_trial_slope(s, g, g->dt);
    if (rc) of->change = (double)NAN;
    if (nde_is_final(rc)) {
        nde_lanes_fail(s, p, w, rc);
        return false;
    }
    nde_measure_group(s, g, g->k + s->rhs.rows*g->lanes.site.ld, g->k, g->square[2]);
    for (size_t b = 0; b < p->live->n; b++) {
        of->change = g->mark[b] == NDE_LANE_RETRY ? (double)NAN : nde_add_square(s, of->change, g->square[2][b]);
        if (g->mark[b] == NDE_LANE_STOP) w->list[stopped] = b, w->status[stopped++] = NDE_STOPPED;
    }
    nde_lanes_leave(s, p, w->list, w->status, stopped);
    return true;
}

/* Everybody in; one first step for all. */
static void joint_start(nde_solver *s) {
    nde_worker *w = &s->worker[0];
    beginning of = { 0 };
    for (size_t k = 0; k < s->n_panels; k++) {
        nde_panel *p = &s->panel[k];
        nde_panel_bind(s, p, w);
        p->live->next += p->count;
        nde_lanes_start(s, p, w, p->first, p->count);
        if (p->live->n) add_sizes(s, p, w, &of);
    }
    if (of.total == 0) return;
    const double t0 = s->rhs.problem.t0;
    double h = s->options.h0;
    if (h <= 0) {
        const double slope = sqrt(of.slope/of.total);
        const double trial = nde_bounded_step(s, nde_control_trial_step(sqrt(of.state/of.total), slope), t0, of.span);
        for (size_t k = 0; k < s->n_panels; k++) {
            nde_panel_bind(s, &s->panel[k], w);
            if (s->panel[k].live->n && !add_changes(s, &s->panel[k], w, trial, &of)) return;
        }
        h = nde_control_first_step(fabs(trial), slope, sqrt(of.change/of.total)/fabs(trial),
                                   nde_method_estimate_order(s->table.method));
        if (!isfinite(h) || h <= 0) h = fabs(trial);
    }
    h = nde_bounded_step(s, h, t0, of.span);
    for (size_t k = 0; k < s->n_panels; k++)
        for (size_t b = 0; b < s->panel[k].live->n; b++) s->panel[k].h[b] = h, nde_panel_watch(s, &s->panel[k], b);
}

/* One decision of the caller's controller for all. */
static void joint_ask(nde_solver *s) {
    nde_panel *p = s->panel;
    while (!p->tried || !p->live->n) p++;
    p->error[0] = s->joint_error;
    s->decision_rc = nde_ask_controller(s, p, 0, &s->decision);
}

/* One norm over all panels, in their order. */
static bool joint_reduce(nde_solver *s) {
    double sum = 0;
    size_t lanes = 0;
    bool tried = false;
    s->joint_rc = 0;
    s->joint_outside = false;
    for (size_t k = 0; k < s->n_panels; k++) {
        nde_panel *p = &s->panel[k];
        if (!p->tried) continue;
        tried = true;
        lanes += p->live->n;
        if (p->rc && !s->joint_rc) s->joint_rc = p->rc;
        if (p->over_budget) atomic_store(&s->stop, 1);
        for (size_t b = 0; b < p->live->n; b++) {
            sum = nde_add_square(s, sum, p->error[b]);
            s->joint_outside = s->joint_outside || p->mark[b] == NDE_LANE_OUTSIDE;
        }
    }
    if (!lanes) return tried;
    s->joint_error = s->joint_rc ? (double)NAN : s->largest ? sum : sum*s->per_dim/(double)lanes;
    if (tried && s->decide.decide && !nde_is_final(s->joint_rc)) joint_ask(s);
    (void)nde_must_stop(s);
    return tried;
}

int nde_run_joint(nde_solver *s) {
    if (!s->started) joint_start(s);
    int rc = 0;
    do {
        rc = nde_solver_tasks(s, s->n_shards, joint_shard, s);
    } while (!rc && joint_reduce(s));
    return rc;
}
