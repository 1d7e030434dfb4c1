/* SPDX-License-Identifier: MIT
 * loop.c - step, judge, commit: the one loop of every problem and method.
 *
 * attempt() tries a step on a panel, settle() carries out the decision. Independent steps: each
 * shard runs its panel with a queue to the end. Joint steps: one attempt on all panels, one
 * norm, one decision. */
#include "solve/solver.h"

#include <float.h>
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

/* ---- ends ------------------------------------------------------------------------------------ */

/* Of the right-hand side by lane b so far. */
static int64_t evaluations(const nde_solver *s, const nde_panel *p, size_t b) {
    return p->evals[b] + s->table.evals*(p->accepted[b] + p->rejected[b]);
}

/* Is there no further attempt for lane b, and why? */
static nde_status exhausted(const nde_solver *s, const nde_panel *p, size_t b) {
    const nde_options *o = &s->options;
    if (o->max_steps > 0 && p->accepted[b] + p->rejected[b] >= o->max_steps) return NDE_E_STEPS;
    if (o->max_evals > 0 && evaluations(s, p, b) > o->max_evals - nde_most_evaluations(s)) return NDE_E_CALLS;
    return NDE_OK;
}

/* Writes the outputs of a lane that ends here, at its last accepted state. */
static void end_lane(nde_solver *s, nde_panel *p, size_t b, nde_status status) {
    const size_t who = p->trajectory[b], N = s->N;
    nde_stats *stats = &s->stats[who];
    for (size_t i = 0; i < s->rhs.dim; i++) s->y_end[i*N + who] = p->y[i*p->ld + b];
    for (size_t i = s->rhs.dim; i < s->rhs.rows; i++)
        s->z_end[(i - s->rhs.dim)*N + who] = p->y[i*p->ld + b];
    s->t_end[who] = p->t[b];
    s->status[who] = status;
    stats->accepted = p->accepted[b], stats->rejected = p->rejected[b];
    stats->evals = evaluations(s, p, b);
    if (p->implicit) stats->jacobians = stats->factorisations = p->implicit[b];
    else if (nde_method_is_implicit(s->table.method) && !p->products)
        stats->jacobians = stats->factorisations = p->accepted[b] + p->rejected[b];
    stats->newton_iterations = p->iterations ? p->iterations[b] : 0;
    stats->linear_iterations = p->products ? p->products[b] : 0;
    stats->h_first = p->h_first[b], stats->h_last = p->h_last[b];
    stats->forced = p->forced_steps ? p->forced_steps[b] : 0;
    if (p->stiff) nde_stiff_report(p, b, stats);
    if (p->since) s->since[who] = p->since[b];
    if (status < 0) {
        stats->t_fail = p->t[b];
        stats->h_fail = p->dt_done[b];
        stats->error_fail = stats->h_fail != 0 ? sqrt(p->error[b]*p->error_scale) : 0;
    }
    nde_save_end(s, p, b, status);
    atomic_fetch_add_explicit(&s->done, 1, memory_order_relaxed);
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

bool nde_log_list(const nde_solver *s, nde_panel *p, int kind, size_t m, nde_entry *entry) {
    if (!s->recorded || p->over_budget) return false;
    p->over_budget = nde_record_list(&p->record, kind, m, entry) != NDE_OK;
    return !p->over_budget;
}

/* Keeps the state of lane b, of y, as the j-th of a list, as far as the form does. */
static void keep_column(const nde_panel *p, const nde_entry *entry, size_t j, const nde_real *y, size_t b) {
    for (size_t i = 0; i < entry->rows; i++) entry->y[i*entry->n + j] = y[i*p->ld + b];
}

/* Ends the listed lanes (ascending) with the statuses, and logs it. */
static void leave(nde_solver *s, nde_panel *p, const size_t *lane, const nde_status *status, size_t m) {
    if (!m) return;
    nde_entry entry;
    const bool logged = nde_log_list(s, p, NDE_ENTRY_LEAVE, m, &entry);
    /* from behind, so that lanes still to go keep their place */
    for (size_t j = m, k = 0; j-- > 0; k++) {
        const size_t b = lane[j];
        end_lane(s, p, b, status[j]);
        if (logged) entry.lane[k] = b, entry.who[k] = p->trajectory[b], keep_column(p, &entry, k, p->y, b);
        nde_panel_leave(s, p, b);
    }
}

/* Ends all lanes. */
static void leave_all(nde_solver *s, nde_panel *p, nde_worker *w, nde_status status) {
    const size_t n = p->live->n;
    for (size_t b = 0; b < n; b++) w->list[b] = b, w->status[b] = status;
    leave(s, p, w->list, w->status, n);
}

static nde_status status_of_code(int rc, bool first) {
    return rc == NDE_FIELD_STOP ? NDE_STOPPED : first ? NDE_E_FIELD_FIRST : NDE_E_FIELD;
}

/* ---- starts ---------------------------------------------------------------------------------- */

/* Slope over the trial step h[j] of the gathered lanes, into the group's second slope. */
static int trial_slope(const nde_solver *s, nde_group *g, const double *h) {
    const size_t m = g->lanes.site.n, ld = g->lanes.site.ld;
    for (size_t i = 0; i < s->rhs.dim; i++)
        for (size_t j = 0; j < m; j++)
            g->z[i*ld + j] = g->y[i*ld + j] + (nde_real)h[j]*g->k[i*ld + j];
    for (size_t j = 0; j < m; j++) g->t[j] += h[j];
    return nde_rhs_eval_whole(&s->rhs, &g->lanes, g->t, g->z, g->k + s->rhs.rows*ld);
}

/* A first step from t within all bounds. */
static double bounded(const nde_solver *s, double h, double t, double span) {
    const double most = s->options.h_max > 0 ? fmin(s->options.h_max, fabs(span)) : fabs(span);
    return s->direction*fmin(fmax(h, fmax(nde_least_step(s, t), DBL_EPSILON*fabs(t))), most);
}

/* The lanes whose status is fine, in w->list2. */
static size_t healthy(nde_worker *w, const size_t *lane, size_t m, const nde_status *status) {
    size_t count = 0;
    for (size_t j = 0; j < m; j++)
        if (status[j] == NDE_OK) w->list2[count++] = lane[j];
    return count;
}

/* A return code that speaks for all healthy ones of the lanes. */
static void end_by_code(nde_solver *s, const nde_panel *p, const size_t *lane, size_t m,
                        nde_status *status, int rc, bool first) {
    if (rc == NDE_FIELD_STOP) atomic_store(&s->stop, 1);
    for (size_t j = 0; j < m; j++) {
        if (status[j] != NDE_OK) continue;
        status[j] = status_of_code(rc, first);
        s->stats[p->trajectory[lane[j]]].callback = rc;
    }
}

static bool is_final(int rc) { return rc < 0 || rc == NDE_FIELD_STOP; }

/* First steps of the lanes that are healthy, from their slope 0. */
static void first_steps(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lanes, size_t of,
                        nde_status *status) {
    nde_group *g = &w->group;
    const int order = nde_method_estimate_order(s->table.method);
    const size_t m = healthy(w, lanes, of, status), *lane = w->list2;
    if (s->options.h0 > 0) {
        for (size_t j = 0; j < m; j++)
            p->h[lane[j]] = bounded(s, s->options.h0, p->t[lane[j]], p->t1[lane[j]] - p->t[lane[j]]);
        return;
    }
    if (!m) return;
    nde_group_gather(s, p, w, lane, m);
    if (s->rhs.paths) nde_rhs_begin(&s->rhs, &g->lanes, g->t, g->dt, g->node);
    const size_t ld = g->lanes.site.ld;
    nde_measure_group(s, g, g->y, NULL, g->square[0]);
    nde_measure_group(s, g, g->k, NULL, g->square[1]);
    for (size_t j = 0; j < m; j++) {
        const double d0 = sqrt(g->square[0][j]/s->counted), d1 = sqrt(g->square[1][j]/s->counted);
        p->h[lane[j]] = g->dt[j] = bounded(s, nde_control_trial_step(d0, d1), g->t[j], g->dt[j]);
    }
    /* a trial that cannot be evaluated leaves the trial step: the first attempt will shrink it */
    const int rc = trial_slope(s, g, g->dt);
    for (size_t j = 0, k = 0; j < of; j++) {
        if (status[j] != NDE_OK) continue;
        if (g->mark[k++] == NDE_LANE_STOP) status[j] = NDE_STOPPED;
    }
    if (is_final(rc)) end_by_code(s, p, lanes, of, status, rc, false);
    if (!rc) nde_measure_group(s, g, g->k + s->rhs.rows*ld, g->k, g->square[2]);
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j];
        p->evals[b]++;
        if (rc || g->mark[j] != NDE_LANE_OK) continue;
        const double d1 = sqrt(g->square[1][j]/s->counted), d2 = sqrt(g->square[2][j]/s->counted)/fabs(g->dt[j]);
        const double h = nde_control_first_step(fabs(g->dt[j]), d1, d2, order);
        if (isfinite(h) && h > 0) p->h[b] = bounded(s, h, p->t[b], p->t1[b] - p->t[b]);
    }
}

static bool column_is_finite(const nde_real *x, size_t rows, size_t ld, size_t b) {
    for (size_t i = 0; i < rows; i++)
        if (!isfinite(x[i*ld + b])) return false;
    return true;
}

/* A Nystrom method takes q' = v for granted. */
static bool is_of_its_kind(const nde_solver *s, const nde_panel *p, size_t b) {
    const size_t split = s->table.method->kind == NDE_KIND_NYSTROM ? s->table.split : 0;
    for (size_t i = 0; i < split; i++)
        if (p->carry[i*p->ld + b] != p->y[(split + i)*p->ld + b]) return false;
    return true;
}

/* Slope 0 of the healthy ones of the lanes after a start, jump or knot; what fails is named in
 * status[j]. A failing return code speaks for the whole call, so the lanes are then asked one by
 * one. */
static void fresh(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m,
                  nde_status *status, bool first) {
    const size_t good = healthy(w, lane, m, status);
    if (!good) return;
    if (s->undoes) memcpy(w->a_z, p->y, s->state_rows*p->ld*sizeof *p->y);
    const int rc = nde_panel_fresh(s, p, w, w->list2, good);
    if (rc && rc != NDE_FIELD_STOP && good > 1) {
        for (size_t j = 0; j < m; j++) fresh(s, p, w, lane + j, 1, status + j, first);
        return;
    }
    for (size_t j = 0; j < good; j++) p->evals[w->list2[j]]++;
    if (rc) {
        end_by_code(s, p, lane, m, status, rc, first);
        return;
    }
    for (size_t j = 0; j < m; j++) {
        if (status[j] != NDE_OK) continue;
        const size_t b = lane[j];
        const unsigned char mark = p->mark[b];
        status[j] = mark == NDE_LANE_STOP    ? NDE_STOPPED
                    : mark == NDE_LANE_RETRY ? status_of_code(NDE_FIELD_RETRY, first)
                    : !column_is_finite(p->carry, s->rhs.rows, p->ld, b) ? NDE_E_NONFINITE
                    : !is_of_its_kind(s, p, b)                           ? NDE_E_ARG
                                                                         : NDE_OK;
        p->mark[b] = NDE_LANE_OK;
    }
    for (size_t j = 0; s->undoes && j < m; j++) /* what ends keeps what it has come with */
        for (size_t i = 0; status[j] != NDE_OK && i < s->state_rows; i++) p->y[i*p->ld + lane[j]] = w->a_z[i*p->ld + lane[j]];
    nde_entry entry;
    const size_t kept = healthy(w, lane, m, status);
    if (!kept || !s->table.fresh || !nde_log_list(s, p, NDE_ENTRY_FRESH, kept, &entry)) return;
    for (size_t j = 0; j < kept; j++) entry.lane[j] = w->list2[j], keep_column(p, &entry, j, w->a_z, w->list2[j]);
}

/* Values of the events at the states of the lanes, after a start or jump. */
static void look(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m, nde_status *status, bool first) {
    for (size_t j = 0; j < m; j++) w->verdict[lane[j]] = status[j];
    nde_events_look(s, p, w, lane, m);
    if (first) nde_events_start(s, p, w, lane, m);
    for (size_t j = 0; j < m; j++) status[j] = w->verdict[lane[j]];
}

/* m trajectories from `first` on come in. Joint steps find their first step size together,
 * later. */
static void start(nde_solver *s, nde_panel *p, nde_worker *w, size_t first, size_t m) {
    const size_t n = p->live->n;
    size_t *lane = w->list, *who = w->list2;
    nde_status *status = w->status;
    for (size_t j = 0; j < m; j++) who[j] = first + j, lane[j] = n + j, status[j] = NDE_OK;
    nde_panel_enter(s, p, who, m);
    nde_entry entry;
    if (nde_log_list(s, p, NDE_ENTRY_ENTER, m, &entry)) memcpy(entry.who, who, m*sizeof *who);
    if (s->table.fresh || s->adaptive) fresh(s, p, w, lane, m, status, true);
    if (s->rhs.problem.n_events) look(s, p, w, lane, m, status, true);
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j];
        if (!column_is_finite(p->y, s->rhs.dim, p->ld, b)) status[j] = NDE_E_NONFINITE;
        if (status[j] == NDE_OK && s->guarded && nde_is_outside(s, p, p->trajectory[b], p->t[b], p->y + b, p->ld))
            status[j] = NDE_E_DOMAIN;
        if ((status[j] == NDE_OK || status[j] == NDE_EVENT) && !s->emits) nde_save_start(s, p, b);
    }
    if (s->emits) nde_rows_start(s, p, w, lane, m, status);
    if (s->adaptive && !s->joint) first_steps(s, p, w, lane, m, status);
    for (size_t j = 0; j < m; j++) nde_panel_watch(s, p, lane[j]);
    size_t gone = 0;
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j];
        const bool empty = status[j] == NDE_OK && p->t[b] == p->t1[b];
        if (status[j] == NDE_OK && !empty) status[j] = exhausted(s, p, b);
        if (empty || status[j] != NDE_OK) who[gone] = b, status[gone++] = status[j];
    }
    if (s->emits) nde_rows_end(s, p, w, who, gone, status);
    leave(s, p, who, status, gone);
}

static void refill(nde_solver *s, nde_panel *p, nde_worker *w) {
    nde_live *live = p->live;
    for (;;) {
        const size_t waiting = p->first + p->count - live->next, room = p->capacity - live->n;
        if (!waiting || !room || (room < p->capacity/32 && live->n)) return;
        const size_t m = waiting < room ? waiting : room;
        live->next += m;
        start(s, p, w, live->next - m, m);
    }
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

static void attempt(nde_solver *s, nde_panel *p) {
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

/* Has this lane reason to end after a rejection? Its clock has moved. */
static nde_status after_rejection(const nde_solver *s, const nde_panel *p, const nde_worker *w,
                                  size_t b) {
    const bool callback = p->rc > 0 || p->mark[b] == NDE_LANE_RETRY;
    if (p->mark[b] == NDE_LANE_STOP) return NDE_STOPPED;
    const nde_status why = p->mark[b] == NDE_LANE_OUTSIDE    ? NDE_E_DOMAIN
                           : p->mark[b] == NDE_LANE_UNSOLVED ? NDE_E_CONVERGENCE
                           : callback ? status_of_code(NDE_FIELD_RETRY, p->rc && fails_first(p, w, b))
                           : isnan(p->error[b]) ? NDE_E_NONFINITE
                                                : NDE_E_STEPSIZE;
    if (!s->adaptive) return why;
    if (p->refusals[b] > MOST_REFUSALS || fabs(p->h[b]) < nde_least_step(s, p->t[b]) || p->t[b] + p->h[b] == p->t[b])
        return why;
    return NDE_OK;
}

/* Moves the clocks of all lanes. */
static void move_clocks(const nde_solver *s, nde_panel *p) {
    const size_t n = p->live->n;
    if (s->adaptive) {
        s->rhs.kernels->clock->move(n, p->accept, p->t_new, p->dt, p->t, p->h_first, p->h_last,
                                    p->accepted, p->rejected, p->refusals);
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
        status[j] = rc                       ? status_of_code(rc, false)
                    : mark == NDE_LANE_STOP  ? NDE_STOPPED
                    : mark == NDE_LANE_RETRY ? NDE_E_FIELD
                    : !column_is_finite(g->z, s->rhs.dim, g->lanes.site.ld, k)
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
            keep_column(p, &entry, j++, p->y, b);
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
    if (jumping && s->rhs.problem.n_events) look(s, p, w, lane, m, status, false);
    for (size_t j = 0; j < m; j++)
        if (status[j] == NDE_OK) p->forced[lane[j]]++, nde_panel_watch(s, p, lane[j]);
    if (s->table.fresh) fresh(s, p, w, lane, m, status, false);
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
    if (s->table.fresh || s->adaptive) fresh(s, p, w, lane, m, status, false);
    if (s->adaptive) first_steps(s, p, w, lane, moving, status);
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
        if (why == NDE_OK && !end) why = exhausted(s, p, b);
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
    leave(s, p, list, status, gone);
}

/* A return code that ends all lanes, and with joint steps everybody. */
static void end_all_by_code(nde_solver *s, nde_panel *p, nde_worker *w, int rc) {
    const size_t n = p->live->n;
    const bool starved = nde_worker_starved(w);
    if (rc == NDE_FIELD_STOP || s->joint) atomic_store(&s->stop, 1);
    for (size_t b = 0; b < n; b++) {
        s->stats[p->trajectory[b]].callback = starved ? 0 : rc;
        w->list[b] = b, w->status[b] = starved ? NDE_E_NOMEM : status_of_code(rc, fails_first(p, w, b));
    }
    leave(s, p, w->list, w->status, n);
}

/* Which lanes are accepted, and how they go on. */
static void decide(nde_solver *s, nde_panel *p) {
    if (s->decide.decide)
        nde_decide(s, p);
    else
        nde_judge(s, p, 0, p->live->n);
    if (p->forced_steps) nde_hold_least(s, p);
}

static void settle(nde_solver *s, nde_panel *p, nde_worker *w) {
    const size_t n = p->live->n;
    p->tried = false;
    if (p->over_budget) {
        if (s->joint) atomic_store(&s->stop, 1);
        leave_all(s, p, w, p->record.failed ? NDE_E_IO : NDE_E_BUDGET);
        return;
    }
    if (is_final(p->rc)) {
        memcpy(p->dt_done, p->dt, n*sizeof *p->dt);
        end_all_by_code(s, p, w, p->rc);
        return;
    }
    const nde_clock_kernels *clock = s->rhs.kernels->clock;
    if (s->adaptive)
        decide(s, p);
    else
        for (size_t b = 0; b < n; b++) p->accept[b] = (unsigned char)!isnan(p->error[b]);
    size_t *attend = w->attend;
    const bool all = !memchr(p->accept, 0, n), taken = all || memchr(p->accept, 1, n);
    size_t attending =
        clock->attend(&s->clock, n, p->accept, p->t_new, p->watch, p->accepted, p->rejected, attend);
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
    if (cut && s->recorded) nde_events_log(s, p, w);
    move_clocks(s, p);
    if (cut) restart(s, p, w);
    settle_lanes(s, p, w, attend, attending);
}

/* ---- progress -------------------------------------------------------------------------------- */

static void report(nde_solver *s, const nde_panel *p, int worker) {
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

static bool must_stop(nde_solver *s) {
    if (s->options.max_seconds > 0 && nde_nanoseconds() > s->deadline) {
        atomic_store(&s->late, 1);
        atomic_store(&s->stop, 1);
    }
    return atomic_load_explicit(&s->stop, memory_order_relaxed);
}

static bool paused(const nde_solver *s, const nde_panel *p) {
    return s->step_limit >= 0 && p->live->accepted >= p->step_goal;
}

/* ---- independent steps ----------------------------------------------------------------------- */

static void stop_panel(nde_solver *s, nde_panel *p, nde_worker *w) {
    const nde_status why = stopped(s);
    leave_all(s, p, w, why);
    while (p->live->next < p->first + p->count) { /* those that never began stay at their start */
        const size_t room = p->capacity, waiting = p->first + p->count - p->live->next,
                     m = waiting < room ? waiting : room;
        for (size_t j = 0; j < m; j++) w->list2[j] = p->live->next + j;
        nde_panel_enter(s, p, w->list2, m);
        p->live->next += m;
        nde_entry entry;
        if (nde_log_list(s, p, NDE_ENTRY_ENTER, m, &entry))
            memcpy(entry.who, w->list2, m*sizeof *w->list2);
        leave_all(s, p, w, why);
    }
}

static void run_panel(nde_solver *s, nde_panel *p, nde_worker *w) {
    nde_panel_bind(s, p, w);
    for (;;) {
        if (must_stop(s)) {
            stop_panel(s, p, w);
            return;
        }
        if (paused(s, p)) return;
        if (p->live->next < p->first + p->count) refill(s, p, w);
        if (!p->live->n) return;
        const nde_marched marched = s->marches ? nde_march(s, p) : NDE_MARCH_NOT;
        if (marched == NDE_MARCH_DONE) {
            report(s, p, w->scratch.worker);
            continue;
        }
        if (s->sprint)
            s->sprint(s, p);
        else if (marched == NDE_MARCH_WAITS)
            inspect(s, p);
        else
            attempt(s, p);
        nde_inside_attempt(s, p, w);
        settle(s, p, w);
        report(s, p, w->scratch.worker);
    }
}

static void run_shard(void *arg, size_t i, int worker) {
    nde_solver *s = arg;
    const nde_shard *shard = &s->shard[i];
    for (size_t k = 0; k < shard->count; k++)
        run_panel(s, &s->panel[shard->first + k], &s->worker[worker]);
}

/* ---- joint steps ----------------------------------------------------------------------------- */

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
            settle(s, p, w);
        }
        if (atomic_load_explicit(&s->stop, memory_order_relaxed))
            stop_panel(s, p, w);
        else if (p->live->n && !paused(s, p))
            attempt(s, p), nde_inside_attempt(s, p, w);
        report(s, p, k || i ? 1 : worker);
    }
}

/* Everybody in; one first step for all. */
static void joint_start(nde_solver *s) {
    nde_worker *w = &s->worker[0];
    for (size_t k = 0; k < s->n_panels; k++) {
        nde_panel *p = &s->panel[k];
        nde_panel_bind(s, p, w);
        p->live->next += p->count;
        start(s, p, w, p->first, p->count);
    }
    double d0 = 0, d1 = 0, d2 = 0, total = 0, span = 0;
    for (int pass = 0; pass < 2; pass++) {
        const double trial =
            pass ? bounded(s, nde_control_trial_step(sqrt(d0/total), sqrt(d1/total)),
                           s->rhs.problem.t0, span) : 0;
        for (size_t k = 0; k < s->n_panels; k++) {
            nde_panel *p = &s->panel[k];
            nde_panel_bind(s, p, w);
            const size_t n = p->live->n;
            size_t stopped = 0;
            for (size_t b = 0; b < n; b++) w->list[b] = b;
            if (!n) continue;
            span = p->t1[0] - p->t[0];
            nde_group_gather(s, p, w, w->list, n);
            if (pass && s->options.h0 <= 0) {
                if (s->rhs.paths)
                    nde_rhs_begin(&s->rhs, &w->group.lanes, w->group.t, w->group.dt, w->group.node);
                for (size_t b = 0; b < n; b++) w->group.dt[b] = trial, p->evals[b]++;
                const int rc = trial_slope(s, &w->group, w->group.dt);
                if (rc) d2 = (double)NAN;
                if (is_final(rc)) {
                    end_all_by_code(s, p, w, rc);
                    return;
                }
            }
            nde_group *g = &w->group;
            if (!pass) {
                nde_measure_group(s, g, g->y, NULL, g->square[0]);
                nde_measure_group(s, g, g->k, NULL, g->square[1]);
            } else if (s->options.h0 <= 0) {
                nde_measure_group(s, g, g->k + s->rhs.rows*g->lanes.site.ld, g->k, g->square[2]);
            }
            for (size_t b = 0; b < n; b++) {
                if (!pass) {
                    d0 = nde_add_square(s, d0, g->square[0][b]);
                    d1 = nde_add_square(s, d1, g->square[1][b]);
                    total = s->largest ? 1 : total + s->counted;
                } else if (s->options.h0 <= 0) {
                    d2 = nde_add_square(s, d2, g->square[2][b]);
                    if (w->group.mark[b] == NDE_LANE_RETRY) d2 = (double)NAN;
                    if (w->group.mark[b] == NDE_LANE_STOP) w->list[stopped] = b, w->status[stopped++] = NDE_STOPPED;
                }
            }
            leave(s, p, w->list, w->status, stopped);
        }
        if (total == 0) return;
        if (!pass) continue;
        double h = s->options.h0 > 0 ? s->options.h0
                                     : nde_control_first_step(fabs(trial), sqrt(d1/total),
                                                              sqrt(d2/total)/fabs(trial),
                                                              nde_method_estimate_order(s->table.method));
        if (!isfinite(h) || h <= 0) h = fabs(trial);
        h = bounded(s, h, s->rhs.problem.t0, span);
        for (size_t k = 0; k < s->n_panels; k++)
            for (size_t b = 0; b < s->panel[k].live->n; b++)
                s->panel[k].h[b] = h, nde_panel_watch(s, &s->panel[k], b);
    }
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
    if (tried && s->decide.decide && !is_final(s->joint_rc)) joint_ask(s);
    (void)must_stop(s);
    return tried;
}

static int run_joint(nde_solver *s) {
    if (!s->started) joint_start(s);
    int rc = 0;
    do {
        rc = nde_solver_tasks(s, s->n_shards, joint_shard, s);
    } while (!rc && joint_reduce(s));
    return rc;
}

nde_status nde_loop(nde_solver *s) {
    for (size_t k = 0; k < s->n_panels; k++) {
        const int64_t gone = s->panel[k].live->accepted, more = s->step_limit < 0 ? 0 : s->step_limit;
        s->panel[k].step_goal = more < INT64_MAX - gone ? gone + more : INT64_MAX;
    }
    if (s->joint ? run_joint(s) : nde_solver_tasks(s, s->n_shards, run_shard, s)) return NDE_E_FIELD;
    s->started = true;
    for (size_t k = 0; k < s->n_panels; k++)
        if (s->panel[k].live->n || s->panel[k].live->next < s->panel[k].first + s->panel[k].count)
            return NDE_UNFINISHED;
    return NDE_OK;
}
