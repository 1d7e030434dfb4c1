/* SPDX-License-Identifier: MIT
 * turnover.c - trajectories come into lanes, begin afresh there, and leave them. */
#include "solve/loop.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* ---- ends ------------------------------------------------------------------------------------ */

/* Of the right-hand side by lane b so far. */
static int64_t evaluations(const nde_solver *s, const nde_panel *p, size_t b) {
    return p->evals[b] + s->table.evals*(p->accepted[b] + p->rejected[b]);
}

nde_status nde_exhausted(const nde_solver *s, const nde_panel *p, size_t b) {
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

bool nde_log_list(const nde_solver *s, nde_panel *p, int kind, size_t m, nde_entry *entry) {
    if (!s->logged || p->over_budget) return false;
    p->over_budget = nde_record_list(&p->record, kind, m, entry) != NDE_OK;
    return !p->over_budget;
}

void nde_keep_column(const nde_panel *p, const nde_entry *entry, size_t j, const nde_real *y, size_t b) {
    for (size_t i = 0; i < entry->rows; i++) entry->y[i*entry->n + j] = y[i*p->ld + b];
}

void nde_lanes_leave(nde_solver *s, nde_panel *p, const size_t *lane, const nde_status *status, size_t m) {
    if (!m) return;
    nde_entry entry;
    const bool logged = nde_log_list(s, p, NDE_ENTRY_LEAVE, m, &entry);
    /* from behind, so that lanes still to go keep their place */
    for (size_t j = m, k = 0; j-- > 0; k++) {
        const size_t b = lane[j];
        end_lane(s, p, b, status[j]);
        if (logged) entry.lane[k] = b, entry.who[k] = p->trajectory[b], nde_keep_column(p, &entry, k, p->y, b);
        nde_panel_leave(s, p, b);
    }
}

void nde_lanes_leave_all(nde_solver *s, nde_panel *p, nde_worker *w, nde_status status) {
    const size_t n = p->live->n;
    for (size_t b = 0; b < n; b++) w->list[b] = b, w->status[b] = status;
    nde_lanes_leave(s, p, w->list, w->status, n);
}

nde_status nde_status_of_code(int rc, bool first) {
    return rc == NDE_FIELD_STOP ? NDE_STOPPED : first ? NDE_E_FIELD_FIRST : NDE_E_FIELD;
}

/* ---- starts ---------------------------------------------------------------------------------- */

int nde_trial_slope(const nde_solver *s, nde_group *g, const double *h) {
    const size_t m = g->lanes.site.n, ld = g->lanes.site.ld;
    for (size_t i = 0; i < s->rhs.dim; i++)
        for (size_t j = 0; j < m; j++)
            g->z[i*ld + j] = g->y[i*ld + j] + (nde_real)h[j]*g->k[i*ld + j];
    for (size_t j = 0; j < m; j++) g->t[j] += h[j];
    return nde_rhs_eval_whole(&s->rhs, &g->lanes, g->t, g->z, g->k + s->rhs.rows*ld);
}

double nde_bounded_step(const nde_solver *s, double h, double t, double span) {
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
        status[j] = nde_status_of_code(rc, first);
        s->stats[p->trajectory[lane[j]]].callback = rc;
    }
}

void nde_first_steps(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lanes, size_t of, nde_status *status) {
    nde_group *g = &w->group;
    const int order = nde_method_estimate_order(s->table.method);
    const size_t m = healthy(w, lanes, of, status), *lane = w->list2;
    if (s->options.h0 > 0) {
        for (size_t j = 0; j < m; j++)
            p->h[lane[j]] = nde_bounded_step(s, s->options.h0, p->t[lane[j]], p->t1[lane[j]] - p->t[lane[j]]);
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
        p->h[lane[j]] = g->dt[j] = nde_bounded_step(s, nde_control_trial_step(d0, d1), g->t[j], g->dt[j]);
    }
    /* a trial that cannot be evaluated leaves the trial step: the first attempt will shrink it */
    const int rc = nde_trial_slope(s, g, g->dt);
    for (size_t j = 0, k = 0; j < of; j++) {
        if (status[j] != NDE_OK) continue;
        if (g->mark[k++] == NDE_LANE_STOP) status[j] = NDE_STOPPED;
    }
    if (nde_is_final(rc)) end_by_code(s, p, lanes, of, status, rc, false);
    if (!rc) nde_measure_group(s, g, g->k + s->rhs.rows*ld, g->k, g->square[2]);
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j];
        p->evals[b]++;
        if (rc || g->mark[j] != NDE_LANE_OK) continue;
        const double d1 = sqrt(g->square[1][j]/s->counted), d2 = sqrt(g->square[2][j]/s->counted)/fabs(g->dt[j]);
        const double h = nde_control_first_step(fabs(g->dt[j]), d1, d2, order);
        if (isfinite(h) && h > 0) p->h[b] = nde_bounded_step(s, h, p->t[b], p->t1[b] - p->t[b]);
    }
}

bool nde_column_is_finite(const nde_real *x, size_t rows, size_t ld, size_t b) {
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

void nde_lanes_fresh(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m, nde_status *status,
                     bool first) {
    const size_t good = healthy(w, lane, m, status);
    if (!good) return;
    if (s->undoes) memcpy(w->a_z, p->y, s->state_rows*p->ld*sizeof *p->y);
    const int rc = nde_panel_fresh(s, p, w, w->list2, good);
    if (rc && rc != NDE_FIELD_STOP && good > 1) { /* which speaks for the whole call */
        for (size_t j = 0; j < m; j++) nde_lanes_fresh(s, p, w, lane + j, 1, status + j, first);
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
                    : mark == NDE_LANE_RETRY ? nde_status_of_code(NDE_FIELD_RETRY, first)
                    : !nde_column_is_finite(p->carry, s->rhs.rows, p->ld, b) ? NDE_E_NONFINITE
                    : !is_of_its_kind(s, p, b)                           ? NDE_E_ARG
                                                                         : NDE_OK;
        p->mark[b] = NDE_LANE_OK;
    }
    for (size_t j = 0; s->undoes && j < m; j++) /* what ends keeps what it has come with */
        for (size_t i = 0; status[j] != NDE_OK && i < s->state_rows; i++) p->y[i*p->ld + lane[j]] = w->a_z[i*p->ld + lane[j]];
    nde_entry entry;
    const size_t kept = healthy(w, lane, m, status);
    if (!kept || !s->table.fresh || !nde_log_list(s, p, NDE_ENTRY_FRESH, kept, &entry)) return;
    for (size_t j = 0; j < kept; j++) entry.lane[j] = w->list2[j], nde_keep_column(p, &entry, j, w->a_z, w->list2[j]);
}

void nde_lanes_look(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m, nde_status *status, bool first) {
    for (size_t j = 0; j < m; j++) w->verdict[lane[j]] = status[j];
    nde_events_look(s, p, w, lane, m);
    if (first) nde_events_start(s, p, w, lane, m);
    for (size_t j = 0; j < m; j++) status[j] = w->verdict[lane[j]];
}

void nde_lanes_start(nde_solver *s, nde_panel *p, nde_worker *w, size_t first, size_t m) {
    const size_t n = p->live->n;
    size_t *lane = w->list, *who = w->list2;
    nde_status *status = w->status;
    for (size_t j = 0; j < m; j++) who[j] = first + j, lane[j] = n + j, status[j] = NDE_OK;
    nde_panel_enter(s, p, who, m);
    nde_entry entry;
    if (nde_log_list(s, p, NDE_ENTRY_ENTER, m, &entry)) memcpy(entry.who, who, m*sizeof *who);
    if (s->table.fresh || s->adaptive) nde_lanes_fresh(s, p, w, lane, m, status, true);
    if (s->rhs.problem.n_events) nde_lanes_look(s, p, w, lane, m, status, true);
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j];
        if (!nde_column_is_finite(p->y, s->rhs.dim, p->ld, b)) status[j] = NDE_E_NONFINITE;
        if (status[j] == NDE_OK && s->guarded && nde_is_outside(s, p, p->trajectory[b], p->t[b], p->y + b, p->ld))
            status[j] = NDE_E_DOMAIN;
        if ((status[j] == NDE_OK || status[j] == NDE_EVENT) && !s->emits) nde_save_start(s, p, b);
    }
    if (s->emits) nde_rows_start(s, p, w, lane, m, status);
    if (s->adaptive && !s->joint) nde_first_steps(s, p, w, lane, m, status);
    for (size_t j = 0; j < m; j++) nde_panel_watch(s, p, lane[j]);
    size_t gone = 0;
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j];
        const bool empty = status[j] == NDE_OK && p->t[b] == p->t1[b];
        if (status[j] == NDE_OK && !empty) status[j] = nde_exhausted(s, p, b);
        if (empty || status[j] != NDE_OK) who[gone] = b, status[gone++] = status[j];
    }
    if (s->emits) nde_rows_end(s, p, w, who, gone, status);
    nde_lanes_leave(s, p, who, status, gone);
}

void nde_lanes_refill(nde_solver *s, nde_panel *p, nde_worker *w) {
    nde_live *live = p->live;
    for (;;) {
        const size_t waiting = p->first + p->count - live->next, room = p->capacity - live->n;
        if (!waiting || !room || (room < p->capacity/32 && live->n)) return;
        const size_t m = waiting < room ? waiting : room;
        live->next += m;
        nde_lanes_start(s, p, w, live->next - m, m);
    }
}
