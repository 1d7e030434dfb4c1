/* SPDX-License-Identifier: MIT
 * loop.c - step, judge, commit: the one loop of every problem and method.
 *
 * nde_lanes_attempt tries a step on a panel, nde_lanes_settle carries out the decision. Independent steps: each shard runs
 * its panel with a queue to the end. Joint steps (joint.c): one attempt on all panels, one norm, one decision. */
#include "solve/loop.h"

#include <math.h>
#include <string.h>

enum {
    /* 0.2^40 of the first step: no progress is to be expected */
    MOST_REFUSALS = 40
};

int nde_solver_tasks(nde_solver *s, size_t count, void (*task)(void *arg, size_t i, int worker),
                     void *arg) {
    if (s->executor && count > 1) return s->executor->run(s->executor->ctx, count, task, arg);
    for (size_t i = 0; i < count; i++) task(arg, i, 0);
    return 0;
}

/* ---- attempt --------------------------------------------------------------------------------- */

/* Where each lane goes with fixed steps: nodes t0 + k h, the end and forced times themselves.
 * Adaptive lanes know already. */
static void plan_fixed(const nde_solver *s, nde_panel *p) {
    for (size_t b = 0; b < p->live->n; b++) {
        const double t0 = nde_start_of(s, p->trajectory[b]), whole = p->h[b], stop = p->stop[b];
        const double node =
            p->node[b] + 1 >= s->options.steps ? p->t1[b] : t0 + (double)(p->node[b] + 1)*whole;
        p->t_new[b] = s->direction*(stop - node) <= 1e-9*fabs(whole) ? stop : node;
        p->dt[b] = nde_step_length(s, p->trajectory[b], p->t[b], p->t_new[b]);
    }
}

/* Lanes where x [rows][ld] is not finite are not accepted. */
static void fail_nonfinite(nde_panel *p, const nde_real *x, size_t rows) {
    for (size_t i = 0; i < rows; i++)
        for (size_t b = 0; b < p->live->n; b++)
            if (!isfinite(x[i*p->ld + b])) p->error[b] = (double)NAN;
}

/* Squares of the norm of an error estimate; what the caller's norm refuses is rejected. */
static int measure(const nde_solver *s, nde_panel *p, const nde_row *row, double *sum) {
    const size_t n = p->live->n;
    if (s->measured_inside && p->ld > 1) return 0;
    if (!s->measured) {
        s->rhs.kernels->step->error(s->rhs.dim, n, p->ld, p->h_real, row, p->k, p->slab, p->y, p->z, &s->tolerance, sum);
        return 0;
    }
    p->rc = nde_measure(s, p, row, sum);
    for (size_t b = 0; p->rc && b < n; b++) p->error[b] = (double)NAN;
    return p->rc;
}

static int measure_all(const nde_solver *s, nde_panel *p) {
    if (measure(s, p, &s->table.error, p->error)) return p->rc;
    if (s->table.error2.count) {
        if (measure(s, p, &s->table.error2, p->error2)) return p->rc;
        for (size_t b = 0; b < p->live->n; b++) p->error[b] = nde_error_of_two(p->error[b], p->error2[b]);
    }
    /* outside the norm, but finite: the quadrature and partners */
    fail_nonfinite(p, p->z + s->rhs.dim*p->ld, s->tangent_rows - s->rhs.dim);
    return 0;
}

/* Errors of the lanes of an attempt; NaN where something is not in order. */
static void inspect(nde_solver *s, nde_panel *p) {
    const size_t n = p->live->n;
    if (p->rc) {
        for (size_t b = 0; b < n; b++) p->error[b] = (double)NAN;
        return;
    }
    if (!s->adaptive) s->rhs.kernels->step->finite(s->tangent_rows, n, p->ld, p->z, p->error);
    else if (measure_all(s, p)) return;
    /* slopes that only the extension or the next step will use */
    const nde_row *unseen = &s->table.unseen[s->adaptive];
    for (int j = 0; j < unseen->count; j++) fail_nonfinite(p, p->k + (size_t)unseen->index[j]*p->slab, s->rhs.dim);
    unsigned char marked = 0;
    for (size_t b = 0; b < n; b++) marked |= p->mark[b];
    for (size_t b = 0; marked && b < n; b++)
        if (p->mark[b] != NDE_LANE_OK) p->error[b] = (double)NAN;
    if (s->guarded) nde_guard(s, p);
}

void nde_lanes_attempt(nde_solver *s, nde_panel *p) {
    const size_t n = p->live->n;
    p->tried = true;
    if (!s->adaptive) plan_fixed(s, p);
    nde_real *tape = NULL;
    if (s->recorded && !nde_panel_reserve(s, p, &tape)) return;
    memset(p->mark, NDE_LANE_OK, n);
    p->live->attempts++;
    p->live->lane_attempts += (int64_t)n;
    p->live->lane_room += (int64_t)(p->ld == 1 ? 1 : (n + NDE_LANE_UNIT - 1)/NDE_LANE_UNIT*NDE_LANE_UNIT);
    p->error_scale = s->joint ? 1 : s->per_dim;
    p->rc = nde_panel_attempt(s, p, tape);
    inspect(s, p);
}

/* ---- settle ---------------------------------------------------------------------------------- */

/* Was this the first call of all for a lane? Methods that need slope 0 make it before. */
static bool fails_first(const nde_panel *p, const nde_worker *w, size_t b) {
    return !p->evals[b] && !p->accepted[b] && !w->scratch.stage;
}

/* The first component that is not finite, or with the largest error: for the message. Those of the
 * quadrature count from dim on. */
static size_t worst_component(const nde_solver *s, const nde_panel *p, size_t b) {
    size_t worst = 0;
    double most = -1;
    if (p->mark[b] == NDE_LANE_OUTSIDE) return nde_negative_component(s, p->z + b, p->ld);
    for (size_t i = s->rhs.dim; i < s->rhs.rows; i++)
        if (!isfinite(p->z[i*p->ld + b])) worst = i;
    for (size_t i = 0; i < s->rhs.dim; i++) {
        const double z = (double)p->z[i*p->ld + b];
        double e = 0;
        const nde_row *row = s->table.velocity_error.count && i >= s->table.split ? &s->table.velocity_error : &s->table.error;
        for (int j = 0; j < row->count; j++)
            e += (double)row->weight[j]*(double)p->k[(size_t)row->index[j]*p->slab + i*p->ld + b];
        e = fabs(e*p->dt_done[b])/nde_tolerance_of(s, p->trajectory[b], i, fabs(z));
        if (s->weight && isfinite(z)) e = s->weight[i] != 0 ? e*s->weight[i] : 0;
        if (!isfinite(z) || !(e < HUGE_VAL)) return i;
        if (e > most && worst < s->rhs.dim) most = e, worst = i;
    }
    return worst;
}

/* Has this lane reason to end after a rejection? Its clock has moved. */
static nde_status after_rejection(const nde_solver *s, const nde_panel *p, const nde_worker *w,
                                  size_t b) {
    const bool callback = p->rc > 0 || p->mark[b] == NDE_LANE_RETRY;
    if (p->mark[b] == NDE_LANE_STOP) return NDE_STOPPED;
    const nde_status why = p->mark[b] == NDE_LANE_OUTSIDE    ? NDE_E_DOMAIN
                           : p->mark[b] == NDE_LANE_UNSOLVED ? NDE_E_CONVERGENCE
                           : callback ? nde_status_of_code(NDE_FIELD_RETRY, p->rc && fails_first(p, w, b))
                           : isnan(p->error[b]) ? NDE_E_NONFINITE
                                                : NDE_E_STEPSIZE;
    if (!s->adaptive) return why;
    if (p->refused[b] > MOST_REFUSALS || fabs(p->h[b]) < nde_least_step(s, p->t[b]) || p->t[b] + p->h[b] == p->t[b])
        return why;
    return NDE_OK;
}

/* Moves the clocks of all lanes; those rejected are among the attended. */
static void move_clocks(const nde_solver *s, nde_panel *p, const size_t *attend, size_t attending) {
    const size_t n = p->live->n;
    if (s->adaptive) {
        for (size_t j = 0; j < attending; j++) p->rejected[attend[j]] += !p->accept[attend[j]];
        s->rhs.kernels->clock->move(nde_whole_vectors(n), p->refused, p->t_new, p->dt, p->t, p->h_first, p->h_last,
                                    p->accepted);
        /* what comes next takes the place of what is done */
        double *const t_new = p->t_new, *const dt = p->dt;
        p->t_new = p->t_done, p->dt = p->dt_done;
        p->t_done = t_new, p->dt_done = dt;
        return;
    }
    memcpy(p->dt_done, p->dt, n*sizeof *p->dt);
    for (size_t b = 0; b < n; b++) {
        if (!p->accept[b]) continue;
        const double node = nde_start_of(s, p->trajectory[b]) + (double)(p->node[b] + 1)*p->h[b];
        p->t[b] = p->t_new[b];
        if (s->direction*(p->t[b] - node) >= -1e-9*fabs(p->h[b])) p->node[b]++;
        if (!p->accepted[b]++) p->h_first[b] = p->dt[b];
        p->h_last[b] = p->dt[b];
    }
}

/* Jumps of the lanes in w->list2. What fails is marked in the group, named in status, and stays
 * where it was. */
static void jump(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m,
                 size_t jumping, nde_status *status) {
    nde_group *g = &w->group;
    const size_t *jumper = w->list2;
    const int rc = nde_panel_jump(s, p, w, jumper, jumping);
    if (rc == NDE_FIELD_STOP) atomic_store(&s->stop, 1);
    size_t good = 0;
    for (size_t j = 0, k = 0; j < m && k < jumping; j++) {
        if (lane[j] != jumper[k]) continue;
        const unsigned char mark = g->mark[k];
        status[j] = rc                       ? nde_status_of_code(rc, false)
                    : mark == NDE_LANE_STOP  ? NDE_STOPPED
                    : mark == NDE_LANE_RETRY ? NDE_E_FIELD
                    : !nde_column_is_finite(g->z, s->rhs.dim, g->lanes.site.ld, k)
                    ? NDE_E_NONFINITE
                    : s->guarded && nde_is_outside(s, p, g->trajectory[k], g->t[k], g->z + k, g->lanes.site.ld) ? NDE_E_DOMAIN
                                                                                                                : NDE_OK;
        if (rc) s->stats[p->trajectory[lane[j]]].callback = rc;
        if (status[j] == NDE_OK) good++;
        else g->mark[k] = NDE_LANE_STOP;
        k++;
    }
    nde_entry entry;
    if (good && nde_log_list(s, p, NDE_ENTRY_JUMP, good, &entry))
        for (size_t k = 0, j = 0; k < jumping; k++) {
            const size_t b = jumper[k];
            if (g->mark[k] != NDE_LANE_OK) continue;
            entry.lane[j] = b, entry.who[j] = p->interval[b];
            nde_keep_column(p, &entry, j++, p->y, b);
        }
    nde_panel_land(s, p, w, jumper, jumping);
}

/* Jumps and knots that lanes have just reached. */
static void cross(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m,
                  nde_status *status) {
    size_t jumping = 0;
    for (size_t j = 0; j < m; j++) {
        status[j] = NDE_OK;
        if (s->forced.jump[p->forced[lane[j]]] != SIZE_MAX) w->list2[jumping++] = lane[j];
    }
    if (jumping) jump(s, p, w, lane, m, jumping, status);
    if (jumping && s->rhs.problem.n_events) nde_lanes_look(s, p, w, lane, m, status, false);
    for (size_t j = 0; j < m; j++)
        if (status[j] == NDE_OK) p->forced[lane[j]]++, nde_panel_watch(s, p, lane[j]);
    if (s->table.fresh) nde_lanes_fresh(s, p, w, lane, m, status, false);
}

/* Lanes that an event resets go on from there as from a start; where the step reaches a forced time too, with the step size
 * that they have. */
static void restart(nde_solver *s, nde_panel *p, nde_worker *w) {
    size_t m = 0, moving = 0, *lane = w->list3;
    nde_status *status = w->crossed;
    for (int reached = 0; reached <= 1; reached++) {
        for (size_t b = 0; b < p->live->n; b++)
            if (w->verdict[b] == NDE_UNFINISHED && (p->t[b] == p->stop[b]) == reached) lane[m++] = b;
        if (!reached) moving = m;
    }
    for (size_t b = 0; b < p->live->n; b++) {
        if (!p->accept[b]) continue;
        p->h_last[b] = w->length[b];
        if (p->accepted[b] == 1) p->h_first[b] = w->length[b];
    }
    if (!m) return;
    nde_events_reset(s, p, w, lane, m);
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j];
        status[j] = w->verdict[b] == NDE_UNFINISHED ? NDE_OK : w->verdict[b];
        if (status[j] == NDE_OK && s->guarded && nde_is_outside(s, p, p->trajectory[b], p->t[b], p->y + b, p->ld))
            status[j] = NDE_E_DOMAIN;
    }
    if (s->table.fresh || s->adaptive) nde_lanes_fresh(s, p, w, lane, m, status, false);
    if (s->adaptive) nde_first_steps(s, p, w, lane, moving, status);
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j];
        nde_forget_steps(s, p, b);
        p->refused[b] = 0;
        nde_panel_watch(s, p, b);
        if (status[j] != NDE_OK) w->verdict[b] = status[j];
    }
}

/* The lanes to which an event has done something join those to be attended to. */
static size_t join(nde_worker *w, size_t n, size_t attending) {
    size_t m = 0, *old = w->list2;
    memcpy(old, w->attend, attending*sizeof *old);
    for (size_t b = 0, k = 0; b < n; b++) {
        const bool listed = k < attending && old[k] == b;
        if (listed || w->verdict[b] != NDE_OK) w->attend[m++] = b;
        k += listed;
    }
    return m;
}

/* Has a lane that stands at its stop reached a forced time there, and no save or rejected attempt? */
static bool is_forced(const nde_solver *s, const nde_panel *p, size_t b) {
    return !s->restless || (p->forced[b] < s->forced.count && s->forced.t[p->forced[b]] == p->t[b]);
}

/* What lanes need that were rejected, or reached something: end, jump, go on. */
static void settle_lanes(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *attend,
                         size_t attending) {
    size_t gone = 0, crossing = 0, *list = w->list, *crossed = w->list3;
    nde_status *status = w->status;
    const bool events = s->rhs.problem.n_events > 0;
    for (size_t j = 0; j < attending; j++) {
        const size_t b = attend[j];
        nde_status why = p->accept[b] ? NDE_OK : after_rejection(s, p, w, b);
        if (events && p->accept[b] && w->verdict[b] != NDE_UNFINISHED) why = w->verdict[b];
        if (s->emits && p->accept[b] && w->fate[b] != NDE_OK) why = w->fate[b];
        const bool end = p->accept[b] && p->t[b] == p->t1[b];
        if (why == NDE_OK && !end) why = nde_exhausted(s, p, b);
        if (why == NDE_OK && !p->accept[b] && !nde_panel_remember(s, p, b)) why = NDE_E_STEPSIZE;
        /* z and k are still there, unless the attempt has ended within */
        if (why < 0 && !p->accept[b]) s->stats[p->trajectory[b]].worst = p->rc ? 0 : worst_component(s, p, b);
        if (why < 0 && !p->accept[b] && p->rc > 0) s->stats[p->trajectory[b]].callback = p->rc;
        if (why != NDE_OK || end)
            list[gone] = b, status[gone++] = why;
        else if (p->accept[b] && p->t[b] == p->stop[b] && is_forced(s, p, b))
            crossed[crossing++] = b;
        else if (p->accept[b])
            nde_panel_watch(s, p, b);
    }
    if (crossing) cross(s, p, w, crossed, crossing, w->crossed);
    for (size_t j = 0; j < crossing; j++) { /* those that failed there join the list, ascending */
        if (w->crossed[j] == NDE_OK) continue;
        size_t at = gone++;
        for (; at > 0 && list[at - 1] > crossed[j]; at--)
            list[at] = list[at - 1], status[at] = status[at - 1];
        list[at] = crossed[j], status[at] = w->crossed[j];
    }
    if (s->emits) nde_rows_end(s, p, w, list, gone, status);
    nde_lanes_leave(s, p, list, status, gone);
}

void nde_lanes_fail(nde_solver *s, nde_panel *p, nde_worker *w, int rc) {
    const size_t n = p->live->n;
    const bool starved = nde_worker_starved(w);
    if (rc == NDE_FIELD_STOP || s->joint) atomic_store(&s->stop, 1);
    for (size_t b = 0; b < n; b++) {
        s->stats[p->trajectory[b]].callback = starved ? 0 : rc;
        w->list[b] = b, w->status[b] = starved ? NDE_E_NOMEM : nde_status_of_code(rc, fails_first(p, w, b));
    }
    nde_lanes_leave(s, p, w->list, w->status, n);
}

/* Which lanes are accepted, and how they go on. */
static void decide(nde_solver *s, nde_panel *p) {
    const size_t n = p->live->n, whole = nde_whole_vectors(n);
    for (size_t b = n; b < whole; b++) p->error[b] = 0; /* fields write nothing there */
    if (s->decide.decide)
        nde_decide(s, p);
    else
        nde_judge(s, p, 0, whole);
    if (p->forced_steps) nde_hold_least(s, p);
}

void nde_lanes_settle(nde_solver *s, nde_panel *p, nde_worker *w) {
    const size_t n = p->live->n;
    p->tried = false;
    if (p->over_budget) {
        if (s->joint) atomic_store(&s->stop, 1);
        nde_lanes_leave_all(s, p, w, p->record.failed ? NDE_E_IO : NDE_E_BUDGET);
        return;
    }
    if (nde_is_final(p->rc)) {
        memcpy(p->dt_done, p->dt, n*sizeof *p->dt);
        nde_lanes_fail(s, p, w, p->rc);
        return;
    }
    const nde_clock_kernels *clock = s->rhs.kernels->clock;
    if (s->adaptive)
        decide(s, p);
    else
        for (size_t b = 0; b < n; b++) p->accept[b] = (unsigned char)!isnan(p->error[b]), p->refused[b] = !p->accept[b];
    size_t *attend = w->attend;
    const bool all = !memchr(p->accept, 0, n), taken = all || memchr(p->accept, 1, n);
    size_t attending =
        clock->attend(&s->clock, n, p->refused, p->t_new, p->watch, p->accepted, p->rejected, attend);
    if (taken && s->recorded) nde_panel_keep(s, p, all);
    if (taken && s->error_estimate) nde_estimate_step(s, w, p, false);
    const bool cut = s->rhs.problem.n_events && nde_events_step(s, p, w);
    if (cut) attending = join(w, n, attending);
    if (s->emits) {
        nde_rows_step(s, p, w, attend, attending);
    } else if (attending == n && !cut && nde_save_together(s, p, p->saved)) {
        nde_save_step_together(s, p);
    } else {
        for (size_t j = 0; j < attending; j++) {
            const size_t b = attend[j];
            if (p->accept[b] && nde_save_due(s, p, b)) nde_save_step(s, p, b);
        }
    }
    if (p->stiff) nde_stiff_look(s, p, attend, attending);
    if (taken && s->undoes) nde_anchors_step(s, p, w);
    if (taken) {
        nde_panel_advance(s, p, all);
        p->live->accepted++;
    }
    if (cut && s->logged) nde_events_log(s, p, w);
    move_clocks(s, p, attend, attending);
    if (cut) restart(s, p, w);
    settle_lanes(s, p, w, attend, attending);
}

/* ---- progress -------------------------------------------------------------------------------- */

void nde_report_progress(nde_solver *s, const nde_panel *p, int worker) {
    if (!s->options.progress || worker != 0 || p->live->attempts % 16) return;
    double fraction = (double)atomic_load(&s->done)/(double)s->N;
    if (p->live->n && (s->joint || s->N == 1)) {
        const double t0 = nde_start_of(s, p->trajectory[0]);
        fraction = (p->t[0] - t0)/(p->t1[0] - t0);
    }
    if (s->options.progress(s->options.progress_ctx, fraction, p->live->attempts))
        atomic_store(&s->stop, 1);
}

/* What lanes end with that are stopped from outside. */
static nde_status stopped(const nde_solver *s) { return atomic_load(&s->late) ? NDE_E_CALLS : NDE_STOPPED; }

bool nde_must_stop(nde_solver *s) {
    if (s->options.max_seconds > 0 && nde_nanoseconds() > s->deadline) {
        atomic_store(&s->late, 1);
        atomic_store(&s->stop, 1);
    }
    return atomic_load_explicit(&s->stop, memory_order_relaxed);
}

bool nde_is_paused(const nde_solver *s, const nde_panel *p) {
    return s->step_limit >= 0 && p->live->accepted >= p->step_goal;
}

/* ---- independent steps ----------------------------------------------------------------------- */

void nde_lanes_stop(nde_solver *s, nde_panel *p, nde_worker *w) {
    const nde_status why = stopped(s);
    nde_lanes_leave_all(s, p, w, why);
    while (p->live->next < p->first + p->count) { /* those that never began stay at their start */
        const size_t room = p->capacity, waiting = p->first + p->count - p->live->next,
                     m = waiting < room ? waiting : room;
        for (size_t j = 0; j < m; j++) w->list2[j] = p->live->next + j;
        nde_panel_enter(s, p, w->list2, m);
        p->live->next += m;
        nde_entry entry;
        if (nde_log_list(s, p, NDE_ENTRY_ENTER, m, &entry))
            memcpy(entry.who, w->list2, m*sizeof *w->list2);
        nde_lanes_leave_all(s, p, w, why);
    }
}

static void run_panel(nde_solver *s, nde_panel *p, nde_worker *w) {
    nde_panel_bind(s, p, w);
    for (;;) {
        if (nde_must_stop(s)) {
            nde_lanes_stop(s, p, w);
            return;
        }
        if (nde_is_paused(s, p)) return;
        if (p->live->next < p->first + p->count) nde_lanes_refill(s, p, w);
        if (!p->live->n) return;
        const nde_marched marched = s->marches ? nde_march(s, p) : NDE_MARCH_NOT;
        if (marched == NDE_MARCH_DONE) {
            nde_report_progress(s, p, w->scratch.worker);
            continue;
        }
        if (s->sprint)
            s->sprint(s, p);
        else if (marched == NDE_MARCH_WAITS)
            inspect(s, p);
        else
            nde_lanes_attempt(s, p);
        nde_inside_attempt(s, p, w);
        nde_lanes_settle(s, p, w);
        nde_report_progress(s, p, w->scratch.worker);
    }
}

static void run_shard(void *arg, size_t i, int worker) {
    nde_solver *s = arg;
    const nde_shard *shard = &s->shard[i];
    for (size_t k = 0; k < shard->count; k++)
        run_panel(s, &s->panel[shard->first + k], &s->worker[worker]);
}

nde_status nde_loop(nde_solver *s) {
    for (size_t k = 0; k < s->n_panels; k++) {
        const int64_t gone = s->panel[k].live->accepted, more = s->step_limit < 0 ? 0 : s->step_limit;
        s->panel[k].step_goal = more < INT64_MAX - gone ? gone + more : INT64_MAX;
    }
    if (s->joint ? nde_run_joint(s) : nde_solver_tasks(s, s->n_shards, run_shard, s)) return NDE_E_FIELD;
    s->started = true;
    for (size_t k = 0; k < s->n_panels; k++)
        if (s->panel[k].live->n || s->panel[k].live->next < s->panel[k].first + s->panel[k].count)
            return NDE_UNFINISHED;
    return NDE_OK;
}
