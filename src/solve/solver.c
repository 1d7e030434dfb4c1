/* SPDX-License-Identifier: MIT
 * solver.c - what a solver does: runs, results, its state saved and brought back. setup.c makes it. */
#include "solve/solver.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "path/path.h"

/* ---- a run ----------------------------------------------------------------------------------- */

nde_status nde_solver_refuse(nde_solver *s, nde_status status) {
    snprintf(s->error, sizeof s->error, "%s", nde_error());
    nde_fail_undo();
    return status;
}

nde_status nde_solver_refuse_code(nde_solver *s, const char *who, int code) {
    bool unread = false;
    for (size_t i = 0; i < s->n_workers; i++) unread = unread || s->worker[i].unread, s->worker[i].unread = false;
    if (code == NDE_STORE_FAILED && unread)
        return nde_solver_refuse(s, nde_fail(NDE_E_IO, "%s: options.store.read failed", who));
    bool starved = false;
    for (size_t i = 0; i < s->n_workers; i++) starved = nde_worker_starved(&s->worker[i]) || starved;
    if (starved) return nde_solver_refuse(s, nde_fail(NDE_E_NOMEM, "%s: out of memory: KLU's factors", who));
    const nde_status status = code == NDE_FIELD_STOP ? NDE_STOPPED : NDE_E_FIELD;
    return nde_solver_refuse(s, nde_fail(status, "%s: a field returned %d", who, code));
}

static bool vanishes(double t, double h) { return t + h == t; }

/* Save times are monotone: their ends lie in the span of the trajectory. */
static nde_status check_saves(const nde_solver *s, size_t who, double t0, double t1) {
    size_t rows = s->saving == NDE_SAVE_TIMES ? s->rows_saved : 0;
    while (rows && isnan(nde_save_time(s, rows - 1, who))) rows--;
    for (size_t i = 0; i < rows; i += rows > 1 ? rows - 1 : 1) {
        const double ts = nde_save_time(s, i, who);
        if (ts < fmin(t0, t1) || ts > fmax(t0, t1))
            return nde_fail(NDE_E_ARG, "options.save_t%s[%zu] is %g: outside [%g, %g] (trajectory %zu)",
                            s->save_lane ? "_each" : "", nde_save_index(s, i, who), ts, t0, t1, who);
    }
    if (rows && (nde_save_time(s, rows - 1, who) - nde_save_time(s, 0, who))*(t1 - t0) < 0)
        return nde_fail(NDE_E_ARG, "options.save_t%s runs from %g to %g: against the direction of time (trajectory %zu)",
                        s->save_lane ? "_each" : "", nde_save_time(s, 0, who), nde_save_time(s, rows - 1, who), who);
    return NDE_OK;
}

/* Stratonovich's integral is the same both ways, Ito's is not; multipliers of stages are made for steps forwards. */
static nde_status check_way_back(const nde_solver *s) {
    const nde_method *m = s->base;
    const bool ito = s->rhs.noise != NDE_NOISE_ADDITIVE && !(m->calculus & NDE_STRATONOVICH);
    if (!ito && !s->rhs.driven) return NDE_OK;
    return nde_fail(NDE_E_ARG, "problem: t1 is before t0: method %s follows noise forwards only, heun, midpoint, ralston and "
                    "reversible_heun both ways", m->name ? m->name : "(tableau)");
}

static nde_status check_times(nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    s->direction = 0, s->cell = 0;
    for (size_t who = 0; who < (q->t0_each || q->t1_each || s->save_lane ? s->N : 1); who++) {
        const double t0 = nde_start_of(s, who), t1 = nde_end_of(s, who);
        if (!isfinite(t0) || !isfinite(t1) || !isfinite(t1 - t0))
            return nde_fail(NDE_E_ARG, "problem: t0 is %g, t1 is %g (trajectory %zu)", t0, t1, who);
        const double sign = (t1 > t0) - (t1 < t0), steps = (double)s->options.steps;
        if (sign != 0 && s->options.steps && (vanishes(t0, (t1 - t0)/steps) || vanishes(t1, (t1 - t0)/steps)))
            return nde_fail(NDE_E_STEPSIZE, "options.steps is %lld: one of %g is nothing beside t = %g",
                            (long long)s->options.steps, (t1 - t0)/steps, t1);
        if (sign != 0 && s->options.h_max > 0 && (vanishes(t0, s->options.h_max) || vanishes(t1, s->options.h_max)))
            return nde_fail(NDE_E_STEPSIZE, "options.h_max is %g: nothing beside t = %g", s->options.h_max, t1);
        if (sign*s->direction < 0)
            return nde_fail(NDE_E_ARG,
                            "problem: t1 of trajectory %zu lies on the other side of t0 than before",
                            who);
        if (sign != 0) s->direction = sign;
        if (s->restless) s->cell = fmax(s->cell, s->cell_share*fabs(t1 - t0));
        const nde_status bad = check_saves(s, who, t0, t1);
        if (bad) return bad;
    }
    if (s->direction == 0) s->direction = 1;
    return s->rhs.noisy && s->direction < 0 ? check_way_back(s) : NDE_OK;
}

static void insert_forced(nde_solver *s, double t, size_t jump, bool clip) {
    nde_forced *f = &s->forced;
    size_t at = f->count;
    while (at > 0 && s->direction*f->t[at - 1] > s->direction*t) at--;
    if (at > 0 && f->t[at - 1] == t) { /* a knot at a jump, or of two paths */
        if (jump != SIZE_MAX) f->jump[at - 1] = jump;
        f->clip[at - 1] |= clip;
        return;
    }
    memmove(f->t + at + 1, f->t + at, (f->count - at)*sizeof *f->t);
    memmove(f->jump + at + 1, f->jump + at, (f->count - at)*sizeof *f->jump);
    memmove(f->clip + at + 1, f->clip + at, (f->count - at)*sizeof *f->clip);
    f->t[at] = t, f->jump[at] = jump, f->clip[at] = clip;
    f->count++;
}

/* Increments of grids, and stored ones, are those of whole steps. */
static bool wants_nodes(const nde_solver *s) {
    for (size_t k = 0; k < s->rhs.problem.n_terms; k++)
        if (s->rhs.problem.terms[k].noise && s->rhs.term[k].noise.source != NDE_SOURCE_TREE) return true;
    return false;
}

bool nde_at_node(const nde_solver *s, double t) {
    const bool own = s->rhs.problem.t0_each || s->rhs.problem.t1_each;
    double t0 = 0, t1 = 0;
    for (size_t who = 0; who < (own ? s->N : 1) && wants_nodes(s); who++) {
        if (who && nde_start_of(s, who) == t0 && nde_end_of(s, who) == t1) continue;
        t0 = nde_start_of(s, who), t1 = nde_end_of(s, who);
        const double share = (t - t0)/(t1 - t0), node = share*(double)s->options.steps;
        if (share > 0 && share < 1 && fabs(node - round(node)) > 1e-9) return false;
    }
    return true;
}

static nde_status gather_forced(nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    s->forced.count = 0;
    for (size_t j = 0; j < q->n_jumps; j++) {
        if (!isfinite(q->jump_t[j]))
            return nde_fail(NDE_E_ARG, "problem.jump_t[%zu] is %g", j, q->jump_t[j]);
        if (j && !(s->direction*(q->jump_t[j] - q->jump_t[j - 1]) > 0))
            return nde_fail(NDE_E_ARG, "problem.jump_t[%zu] is %g: not after the one before, %g", j,
                            q->jump_t[j], q->jump_t[j - 1]);
        insert_forced(s, q->jump_t[j], j, false);
        if (!nde_at_node(s, q->jump_t[j]))
            return nde_fail(NDE_E_ARG, "problem.jump_t[%zu] is %g: with noise, jumps must be at nodes of the fixed steps",
                            j, q->jump_t[j]);
    }
    for (size_t k = 0; k < q->n_terms; k++) {
        const nde_path *path = q->terms[k].path;
        for (size_t j = 0; path && j < path->knots; j++) {
            if (!nde_at_node(s, path->t[j]))
                return nde_fail(NDE_E_ARG, "problem.terms[%zu].path->t[%zu] is %g: with noise, knots must be at nodes of the "
                                           "fixed steps", k, j, path->t[j]);
            insert_forced(s, path->t[s->direction > 0 ? j : path->knots - 1 - j], SIZE_MAX, false);
        }
    }
    for (size_t j = 0; j < s->options.n_clip; j++) insert_forced(s, s->clip_t[j], SIZE_MAX, true);
    return NDE_OK;
}

static nde_status check_arrays(const nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    if (!q->y0) return nde_fail(NDE_E_ARG, "problem.y0 is NULL");
    if (s->rhs.np && !q->p) return nde_fail(NDE_E_ARG, "problem.p is NULL, np is %zu", s->rhs.np);
    if (s->rhs.nq && !q->q) return nde_fail(NDE_E_ARG, "problem.q is NULL, nq is %zu", s->rhs.nq);
    if (q->input) {
        const nde_status bad = nde_path_validate(q->input, "problem.input");
        if (bad) return bad;
    }
    for (size_t k = 0; k < q->n_terms; k++)
        if (q->terms[k].path) {
            const nde_status bad = nde_path_validate(q->terms[k].path, "problem.terms: path");
            if (bad) return bad;
        }
    return NDE_OK;
}

/* Steps from which on a lane is asked whether it may make another: at the start there are two evaluations at most. */
static int64_t attended_steps(const nde_solver *s) {
    const nde_options *o = &s->options;
    if (o->max_evals <= 0) return o->max_steps;
    const int64_t steps = (o->max_evals - 2)/nde_most_evaluations(s) - 1, some = steps > 1 ? steps : 1;
    return o->max_steps > 0 && o->max_steps < some ? o->max_steps : some;
}

static void lose_record(nde_solver *s) { s->logged = s->recorded = false; }

static nde_status begin(nde_solver *s) {
    s->started = s->finished = false;
    lose_record(s);
    s->error[0] = 0;
    s->loss_value = (double)NAN;
    nde_status bad = check_arrays(s);
    if (bad || (bad = check_times(s)) || (bad = gather_forced(s)) || (bad = nde_rhs_prepare(&s->rhs)))
        return nde_solver_refuse(s, bad);
    s->clock = (nde_clock){ .direction = s->direction,
                            .h_max = s->options.h_max,
                            .max_steps = attended_steps(s),
                            .look = s->panel->stiff ? NDE_STIFF_LOOK : 0 };
    atomic_store(&s->stop, 0);
    atomic_store(&s->late, 0);
    atomic_store(&s->closed, 0);
    atomic_store(&s->done, 0);
    for (size_t k = 0; k < s->n_panels; k++) {
        nde_panel *p = &s->panel[k];
        *p->live = (nde_live){ .next = p->first };
        p->tried = p->over_budget = false;
        p->rc = 0;
        nde_record_clear(&p->record);
        if (s->undoes) nde_anchors_begin(s, p);
        else if (s->options.adjoint && nde_steps_are_known(s)) (void)nde_record_foresee(s, &p->record, p->count, p->capacity);
    }
    memset(s->stats, 0, s->N*sizeof *s->stats);
    memset(s->saved, 0, s->N*sizeof *s->saved);
    for (size_t i = 0; i < s->N; i++) { /* as if paused before the first step */
        s->status[i] = NDE_UNFINISHED;
        s->t_end[i] = nde_start_of(s, i);
    }
    memcpy(s->y_end, s->rhs.problem.y0, s->rhs.dim*s->N*sizeof *s->y_end);
    if (s->rhs.nz) memset(s->z_end, 0, s->rhs.nz*s->N*sizeof *s->z_end);
    if (s->saving == NDE_SAVE_END) s->save_t[0] = s->rhs.problem.t1;
    nde_estimates_begin(s);
    if (s->rhs.problem.n_events) nde_events_begin(s);
    if (s->reduces) nde_reduce_begin(s);
    for (size_t k = 0; k < s->n_workers; k++) s->worker[k].loaded = false, s->worker[k].rows.lanes.site.n = 0;
    s->logged = s->logs, s->recorded = s->options.adjoint == NDE_ADJOINT_DISCRETE;
    return NDE_OK;
}

/* The first failure in trajectory order, as text. */
static void describe(nde_solver *s, size_t who) {
    const nde_stats *f = &s->stats[who];
    char h[40] = "", error[40] = "", worst[40] = "", callback[60] = "", event[40] = "",
         stiff[160] = "";
    if (f->h_fail != 0) snprintf(h, sizeof h, ", h = %g", f->h_fail);
    if (f->error_fail > 0) snprintf(error, sizeof error, ", error %g of the tolerance", f->error_fail);
    const bool by_component = s->status[who] == NDE_E_STEPSIZE || s->status[who] == NDE_E_NONFINITE ||
                              (s->status[who] == NDE_E_DOMAIN && f->worst < s->rhs.dim);
    if (f->h_fail != 0 && by_component)
        snprintf(worst, sizeof worst, ", component %zu", f->worst);
    if (s->status[who] == NDE_E_ARG) snprintf(worst, sizeof worst, ": %s is for q' = v", s->base->name);
    if (f->callback) snprintf(callback, sizeof callback, " (the field returned %lld)", (long long)f->callback);
    if (s->hits.end && s->hits.end[who] >= 0) snprintf(event, sizeof event, ", event %d", (int)s->hits.end[who]);
    if (f->stiff > 0)
        snprintf(stiff, sizeof stiff,
                 "; it looks stiff since t = %g (Jacobian about %.2g), where rkc2 or an implicit method takes "
                 "longer steps", f->stiff_t, f->stiff);
    snprintf(s->error, sizeof s->error, "trajectory %zu: %s at t = %.17g%s%s%s%s%s%s", who,
             nde_status_text(s->status[who]), f->t_fail, h, error, worst, event, callback, stiff);
}

static nde_status summary(nde_solver *s, nde_status loop, nde_status lost) {
    size_t failed = 0, stopped = 0, ended = 0, first = 0;
    for (size_t i = s->N; i-- > 0;) {
        if (s->status[i] < 0) failed++, first = i;
        stopped += s->status[i] == NDE_STOPPED, ended += s->status[i] == NDE_EVENT;
    }
    s->error[0] = 0;
    if (failed) describe(s, first);
    if (loop < 0) {
        snprintf(s->error, sizeof s->error, "%s: options.executor refused to run", nde_status_text(loop));
        return loop;
    }
    if (lost && !failed)
        snprintf(s->error, sizeof s->error, "%s: options.budget is %zu", nde_status_text(lost), s->options.budget);
    if (lost == NDE_E_IO) snprintf(s->error, sizeof s->error, "%s: options.store.write", nde_status_text(lost));
    if (lost) return lost;
    if (failed) return s->N == 1 || s->joint ? s->status[first] : NDE_E_LANES;
    return loop != NDE_OK ? loop : stopped ? NDE_STOPPED : ended ? NDE_EVENT : NDE_OK;
}

static void present(nde_solver *s, nde_solution *solution) {
    if (!solution) return;
    const size_t size = solution->size ? solution->size : sizeof *solution;
    nde_solution out = {
        .size = solution->size,
        .n = s->N,
        .dim = s->rhs.dim,
        .nz = s->rhs.nz,
        .n_save = s->rows_saved == NDE_ROWS_UNLIMITED ? 0 : s->rows_saved,
        .t = s->saving == NDE_SAVE_EVERY ? s->save_t_out : s->save_t,
        .y = s->y_out,
        .saved = s->saved,
        .y_end = s->y_end,
        .quadrature = s->rhs.nz ? s->z_end : NULL,
        .t_end = s->t_end,
        .status = s->status,
        .stats = s->stats,
        .error = s->error[0] ? s->error : NULL,
        .loss = s->loss_value,
        .n_events = s->rhs.problem.n_events,
        .event_rows = s->hits.rows,
        .event_count = s->hits.count,
        .event_saved = s->hits.kept,
        .event_which = s->hits.which,
        .event_together = s->hits.together,
        .event_t = s->hits.t,
        .event_y = s->hits.y,
        .event_end = s->hits.end,
        .out = s->out,
        .n_levels = s->reduction.n_levels,
        .row_count = s->sums.all_count,
        .mean = s->sums.all_mean,
        .variance = s->sums.all_variance,
        .least = s->sums.all_least,
        .greatest = s->sums.all_greatest,
        .quantile = s->sums.quantile,
        .reduced = s->sums.all_own,
        .error_estimate = s->error_estimate,
        .stiffness_estimate = s->stiffness_estimate,
        .estimate_step = s->estimate_step,
        .n_bins = s->sums.bins ? s->reduction.n_edges + 1 : 0,
        .histogram = s->sums.bins,
        .mean_error = s->sums.all_error,
    };
    double lanes = 0, room = 0;
    for (size_t k = 0; k < s->n_panels; k++) {
        const nde_panel *p = &s->panel[k];
        lanes += (double)p->live->lane_attempts, room += (double)p->live->lane_room;
        if (!s->logs) continue;
        out.record_bytes += nde_record_bytes(&p->record);
        if (p->record.form > out.record) out.record = p->record.form;
    }
    out.lanes_busy = room > 0 ? lanes/room : 1;
    memcpy(solution, &out, size < sizeof out ? size : sizeof out);
}

/* Where the trajectories are that have not ended yet. */
static void show_progress(nde_solver *s) {
    for (size_t k = 0; k < s->n_panels; k++) {
        const nde_panel *p = &s->panel[k];
        const nde_real *y = p->state[p->live->flip];
        for (size_t b = 0; b < p->live->n; b++) {
            const size_t who = p->trajectory[b];
            s->t_end[who] = p->t[b];
            s->saved[who] = p->saved[b];
            s->stats[who].accepted = p->accepted[b], s->stats[who].rejected = p->rejected[b];
            if (p->stiff) nde_stiff_report(p, b, &s->stats[who]);
            for (size_t i = 0; i < s->rhs.dim; i++) s->y_end[i*s->N + who] = y[i*p->ld + b];
            for (size_t i = s->rhs.dim; i < s->rhs.rows; i++)
                s->z_end[(i - s->rhs.dim)*s->N + who] = y[i*p->ld + b];
        }
    }
}

/* The loss of a finished run, and its cotangent. */
static nde_status add_losses(nde_solver *s) {
    const size_t row = s->out*s->N;
    double value = 0;
    if (s->a_out) memset(s->a_out, 0, s->rows_saved*row*sizeof *s->a_out);
    for (size_t k = 0; k < s->rows_saved; k++) {
        const int rc = s->loss.at(s->loss.ctx, k, s->save_lane ? (double)NAN : s->save_t[k], s->N, s->y_out + k*row, &value,
                                  s->a_out ? s->a_out + k*row : NULL);
        if (!rc) continue;
        snprintf(s->error, sizeof s->error, "%s: problem.loss returned %d at save time %zu",
                 nde_status_text(NDE_E_FIELD), rc, k);
        lose_record(s);
        return NDE_E_FIELD;
    }
    s->loss_value = value + nde_estimate_loss(s);
    return NDE_OK;
}

static nde_status go(nde_solver *s, int64_t steps, nde_solution *solution) {
    s->step_limit = steps;
    if (s->options.max_seconds > 0) s->deadline = nde_nanoseconds() + (int64_t)(1e9*fmin(s->options.max_seconds, 1e9));
    const nde_status loop = nde_loop(s);
    s->finished = loop == NDE_OK;
    nde_status lost = NDE_OK;
    for (size_t k = 0; k < s->n_panels; k++)
        if (s->panel[k].over_budget && lost != NDE_E_IO) lost = s->panel[k].record.failed ? NDE_E_IO : NDE_E_BUDGET;
    if (lost) lose_record(s);
    if (loop != NDE_OK) show_progress(s);
    if (s->reduces) nde_reduce_end(s);
    nde_status status = summary(s, loop, lost);
    if (s->loss.at && (status == NDE_OK || status == NDE_E_LANES || status == NDE_EVENT)) {
        const nde_status bad = add_losses(s);
        if (bad) status = bad;
    }
    present(s, solution);
    return status;
}

/* A solution's size, when it is none that this library knows. */
static size_t unknown_size(const nde_solution *solution) {
    return solution && solution->size < sizeof *solution ? solution->size : 0;
}

nde_status nde_solver_run(nde_solver *s, nde_solution *solution) {
    if (!s) return nde_fail(NDE_E_ARG, "nde_solver_run: solver is NULL");
    if (unknown_size(solution))
        return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_solver_run: solution.size is %zu", solution->size));
    const nde_status bad = begin(s);
    return bad ? bad : go(s, -1, solution);
}

nde_status nde_solver_steps(nde_solver *s, int64_t steps, nde_solution *solution) {
    if (!s) return nde_fail(NDE_E_ARG, "nde_solver_steps: solver is NULL");
    if (steps < 0)
        return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_solver_steps: steps is %lld", (long long)steps));
    if (unknown_size(solution))
        return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_solver_steps: solution.size is %zu", solution->size));
    if (!s->started || s->finished) {
        const nde_status bad = begin(s);
        if (bad) return bad;
    }
    return go(s, steps, solution);
}

const char *nde_solver_error(const nde_solver *s) { return s ? s->error : ""; }

/* ---- saved state ----------------------------------------------------------------------------- */

static const uint64_t state_mark = 0x314554415453444eu; /* "NDSTATE1" */
typedef struct state_header {
    uint64_t mark, bytes, n, dim, real, method;
    double direction;
    uint64_t started;
} state_header;

static state_header header_of(const nde_solver *s) {
    return (state_header){ .mark = state_mark,
                           .bytes = s->state_to - s->state_from,
                           .n = s->N,
                           .dim = s->rhs.dim,
                           .real = sizeof(nde_real),
                           .method = (uint64_t)(uint32_t)nde_method_id(s->base),
                           .direction = s->direction,
                           .started = s->started };
}

nde_status nde_solver_state(const nde_solver *s, void *block, size_t *bytes) {
    if (!s || !bytes)
        return nde_fail(NDE_E_ARG, "nde_solver_state: %s is NULL", s ? "bytes" : "solver");
    const state_header h = header_of(s);
    const size_t needed = sizeof h + (size_t)h.bytes, given = *bytes;
    *bytes = needed;
    if (!block) return NDE_OK;
    if (given < needed)
        return nde_fail(NDE_E_ARG, "nde_solver_state: bytes is %zu, needed are %zu", given, needed);
    memcpy(block, &h, sizeof h);
    memcpy((char *)block + sizeof h, (const char *)s->block + s->state_from, (size_t)h.bytes);
    return NDE_OK;
}

/* A count that a solve can reach, and far from overflow when one goes on from it. */
static bool countable(int64_t count) { return count >= 0 && count <= (int64_t)1 << 48; }

nde_status nde_solver_restore(nde_solver *s, const void *block, size_t bytes) {
    if (!s) return nde_fail(NDE_E_ARG, "nde_solver_restore: solver is NULL");
    if (!block) return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_solver_restore: block is NULL"));
    state_header given, own = header_of(s);
    if (bytes < sizeof given)
        return nde_solver_refuse(
            s, nde_fail(NDE_E_ARG, "nde_solver_restore: bytes is %zu: too few for a state", bytes));
    memcpy(&given, block, sizeof given);
    own.direction = given.direction, own.started = given.started;
    if (memcmp(&given, &own, sizeof own) || bytes < sizeof given + given.bytes || given.started > 1)
        return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_solver_restore: the state is not of a solver "
                                                        "with this problem and these options"));
    const nde_status bad = begin(s);
    if (bad) return bad;
    if (given.started && given.direction != s->direction)
        return nde_solver_refuse(
            s, nde_fail(NDE_E_ARG, "nde_solver_restore: the state ran in the other direction of time"));
    memcpy((char *)s->block + s->state_from, (const char *)block + sizeof given, (size_t)given.bytes);
    /* bytes from outside: nothing in them may lead out of the arrays */
    for (size_t k = 0; k < s->n_panels; k++) {
        nde_panel *p = &s->panel[k];
        nde_live *live = p->live;
        bool good = live->n <= p->capacity && live->next >= p->first &&
                    live->next <= p->first + p->count && (live->flip == 0 || live->flip == 1) &&
                    countable(live->attempts) && countable(live->lane_attempts) && countable(live->lane_room) &&
                    countable(live->accepted);
        for (size_t b = 0; good && b < live->n; b++)
            good = p->trajectory[b] >= p->first && p->trajectory[b] < live->next &&
                   p->forced[b] <= s->forced.count && p->interval[b] <= s->rhs.problem.n_jumps &&
                   p->saved[b] <= s->rows_saved && countable(p->node[b]) && countable(p->accepted[b]) &&
                   (!p->revisits || p->revisits[b] <= NDE_MOST_REVISITS) && countable(p->rejected[b]) &&
                   countable(p->evals[b]) && (!p->iterations || countable(p->iterations[b])) &&
                   (!p->products || countable(p->products[b])) &&
                   (!p->implicit || countable(p->implicit[b])) && p->refused[b] >= 0;
        for (size_t i = 0; good && s->hits.kept && i < s->N; i++)
            good = s->hits.kept[i] <= s->hits.rows && s->hits.end[i] < (int64_t)s->rhs.problem.n_events;
        if (!good) {
            (void)begin(s);
            lose_record(s);
            return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_solver_restore: the state is damaged"));
        }
    }
    /* what comes next is not part of the state: it follows from it */
    for (size_t k = 0; k < s->n_panels; k++)
        for (size_t b = 0; b < s->panel[k].live->n; b++) nde_panel_watch(s, &s->panel[k], b);
    s->started = given.started;
    lose_record(s);
    return NDE_OK;
}

/* ---- one shot -------------------------------------------------------------------------------- */

nde_status nde_solve(const nde_problem *problem, const nde_options *options, nde_solution *solution) {
    if (!solution) return nde_fail(NDE_E_ARG, "nde_solve: solution is NULL");
    if (unknown_size(solution)) return nde_fail(NDE_E_ARG, "nde_solve: solution.size is %zu", solution->size);
    const size_t given = solution->size;
    *solution = (nde_solution){ .size = given };
    nde_solver *s;
    const nde_status bad = nde_solver_create(problem, options, &s);
    if (bad) return bad;
    const nde_status status = nde_solver_run(s, solution);
    if (!s->started) { /* refused: there is no solution to keep */
        nde_solver_destroy(s);
        return status;
    }
    solution->solver = s;
    return status;
}

void nde_solution_free(nde_solution *solution) {
    if (!solution) return;
    nde_solver_destroy(solution->solver);
    const size_t given = solution->size;
    *solution = (nde_solution){ .size = given };
}
