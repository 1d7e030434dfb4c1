/* SPDX-License-Identifier: MIT
 * run.c - a run: trajectories one after the other in each worker, segments between forced times, internal steps one by one, and
 * what is saved of them. Ends and sentences are those of nde_solver_run. */
#include "stiff/sun.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "field/parts.h"

/* ---- before: arrays and times ------------------------------------------------------------------------------------ */

static nde_status check_span(const nde_stiff_solver *s, size_t who, double *direction) {
    const double t0 = nde_sun_start_of(s, who), t1 = nde_sun_end_of(s, who);
    if (!isfinite(t0) || !isfinite(t1) || !isfinite(t1 - t0))
        return nde_fail(NDE_E_ARG, "problem: t0 is %g, t1 is %g (trajectory %zu)", t0, t1, who);
    const double sign = (t1 > t0) - (t1 < t0);
    if (sign*(*direction) < 0) return nde_fail(NDE_E_ARG,
                                               "problem: t1 of trajectory %zu lies on the other side of t0 than before", who);
    if (sign != 0) *direction = sign;
    for (size_t i = 0; i < s->options.n_save; i++)
        if (s->save_t[i] < fmin(t0, t1) || s->save_t[i] > fmax(t0, t1))
            return nde_fail(NDE_E_ARG, "options.save_t[%zu] is %g: outside [%g, %g] (trajectory %zu)", i, s->save_t[i], t0, t1,
                            who);
    return NDE_OK;
}

static void insert_forced(nde_stiff_solver *s, double direction, double t, size_t jump, bool clip) {
    size_t at = s->n_forced;
    while (at > 0 && direction*s->forced[at - 1].t > direction*t) at--;
    if (at > 0 && s->forced[at - 1].t == t) {
        if (jump != SIZE_MAX) s->forced[at - 1].jump = jump;
        s->forced[at - 1].clip |= clip;
        return;
    }
    memmove(s->forced + at + 1, s->forced + at, (s->n_forced++ - at)*sizeof *s->forced);
    s->forced[at] = (struct nde_sun_forced){ t, jump, clip };
}

static nde_status gather_forced(nde_stiff_solver *s, double direction) {
    const nde_problem *q = &s->rhs.problem;
    s->n_forced = 0;
    for (size_t j = 0; j < q->n_jumps; j++) {
        if (!isfinite(q->jump_t[j])) return nde_fail(NDE_E_ARG, "problem.jump_t[%zu] is %g", j, q->jump_t[j]);
        if (j && !(direction*(q->jump_t[j] - q->jump_t[j - 1]) > 0))
            return nde_fail(NDE_E_ARG, "problem.jump_t[%zu] is %g: not after the one before, %g", j, q->jump_t[j],
                            q->jump_t[j - 1]);
        insert_forced(s, direction, q->jump_t[j], j, false);
    }
    for (size_t j = 0; j < s->options.n_clip; j++) insert_forced(s, direction, s->clip_t[j], SIZE_MAX, true);
    return NDE_OK;
}

nde_status nde_sun_begin(nde_stiff_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    double direction = 0;
    if (!q->y0) return nde_fail(NDE_E_ARG, "problem.y0 is NULL");
    if (s->rhs.np && !q->p) return nde_fail(NDE_E_ARG, "problem.p is NULL, np is %zu", s->rhs.np);
    if (s->rhs.nq && !q->q) return nde_fail(NDE_E_ARG, "problem.q is NULL, nq is %zu", s->rhs.nq);
    for (size_t i = 0; i < s->rhs.N; i++) {
        const nde_status bad = check_span(s, i, &direction);
        if (bad) return bad;
    }
    if (direction == 0) direction = 1;
    for (size_t i = 1; i < s->options.n_save; i++)
        if (direction*(s->save_t[i] - s->save_t[i - 1]) < 0)
            return nde_fail(NDE_E_ARG, "options.save_t[%zu] is %g: not monotone from t0 towards t1", i, s->save_t[i]);
    if (!s->options.n_save) s->save_t[0] = q->t1;
    const nde_status bad = gather_forced(s, direction);
    return bad ? bad : nde_rhs_prepare(&s->rhs);
}

/* ---- rows -------------------------------------------------------------------------------------------------------- */

static void put(const nde_sun_worker *w, double *to, const double *from, size_t rows) {
    const size_t N = w->solver->rhs.N;
    for (size_t i = 0; i < rows; i++) to[i*N + w->who] = from[i];
}

/* Row `saved` and on, up to time t; `at`: the state there. */
static nde_status save_to(nde_sun_worker *w, double t, const double *at, bool inside) {
    const nde_stiff_solver *s = w->solver;
    for (; w->saved < s->options.n_save && w->direction*(s->save_t[w->saved] - t) <= 0; w->saved++) {
        const double *row = at;
        if (s->save_t[w->saved] != t && inside) {
            if (s->engine->value(w, s->save_t[w->saved], 0, w->one.y)) return NDE_E_STEPSIZE;
            row = w->one.y;
        }
        if (!w->replaying) put(w, s->y_out + w->saved*s->rhs.dim*s->rhs.N, row, s->rhs.dim);
    }
    return NDE_OK;
}

/* ---- a trajectory ------------------------------------------------------------------------------------------------ */

static bool is_finite(const double *x, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

/* What ends it: what the fields have said, else what SUNDIALS says. */
static nde_status failed(nde_sun_worker *w, int flag) {
    const bool first = w->calls <= 1 && w->steps == 0;
    const nde_status status = first && w->trouble.kind ? NDE_E_FIELD_FIRST : w->solver->engine->status(flag);
    switch (w->trouble.kind) {
    case NDE_SUN_STOPPED: return NDE_STOPPED;
    case NDE_SUN_NO_MEMORY: return NDE_E_NOMEM;
    case NDE_SUN_NONFINITE: return status == NDE_E_NOMEM ? status : NDE_E_NONFINITE;
    case NDE_SUN_RETRY: case NDE_SUN_FAILED: return status == NDE_E_NOMEM || first ? status : NDE_E_FIELD;
    default: return status;
    }
}

static void enter(nde_sun_worker *w, size_t who) {
    const nde_rhs *r = &w->solver->rhs;
    w->who = who, w->saved = 0;
    w->t0 = w->t = nde_sun_start_of(w->solver, who), w->t1 = nde_sun_end_of(w->solver, who);
    w->direction = w->t1 < w->t0 ? -1 : 1;
    w->limit = w->direction*(double)INFINITY;
    w->trouble = (nde_sun_trouble){ 0 };
    w->counts = (nde_stiff_counts){ 0 };
    w->evals = w->calls = w->products = w->jacobians = w->steps = 0;
    w->said[0] = 0, w->last = NULL;
    for (size_t i = 0; i < r->dim; i++) w->state[i] = r->problem.y0[i*r->N + who];
    for (size_t i = 0; i < r->nz; i++) w->z_state[i] = 0;
}

/* Fields see the trajectory's own parameters, and how many jumps lie behind. */
static void tell_fields(nde_sun_worker *w, size_t jumps) {
    nde_sun_lanes_enter(w, &w->one, w->who, jumps);
    nde_sun_lanes_enter(w, &w->wide, w->who, jumps);
}

/* Events are looked at once. */
static bool watched(const nde_sun_worker *w) { return w->solver->rhs.problem.n_events && !w->replaying; }

/* Slopes begin anew at the state. */
static nde_status begin_segment(nde_sun_worker *w, bool first) {
    const nde_stiff_solver *s = w->solver;
    if (w->pool.failed) return NDE_E_NOMEM;
    if (!is_finite(w->state, s->rhs.dim)) return NDE_E_NONFINITE;
    if (!first) w->counts.restarts++;
    const int flag = s->engine->start(w);
    if (w->pool.failed) return NDE_E_NOMEM;
    if (flag < 0 || w->trouble.final) return failed(w, flag);
    w->trouble = (nde_sun_trouble){ 0 };
    nde_status status = watched(w) ? nde_sun_events_start(w, first) : NDE_OK;
    if (first && status >= NDE_OK && save_to(w, w->t, w->state, false)) status = NDE_E_STEPSIZE;
    return status;
}

static nde_status interrupted(nde_sun_worker *w) {
    nde_stiff_solver *s = w->solver;
    const nde_options *o = &s->options;
    const int64_t steps = w->steps + s->engine->refused(w);
    if (o->max_seconds > 0 && nde_nanoseconds() > s->deadline) return NDE_E_CALLS;
    if (o->progress && w->one.scratch.worker == 0 && steps % 16 == 15) {
        const double done = (double)w->who/(double)s->rhs.N, part = (w->t - w->t0)/(w->t1 - w->t0)/(double)s->rhs.N;
        if (o->progress(o->progress_ctx, done + part, steps)) atomic_store(&s->stop, 1);
    }
    if (atomic_load_explicit(&s->stop, memory_order_relaxed)) return NDE_STOPPED;
    if (o->max_steps > 0 && steps >= o->max_steps) return NDE_E_STEPS;
    return o->max_evals > 0 && w->evals >= o->max_evals ? NDE_E_CALLS : NDE_OK;
}

/* A step that gets nowhere: fields that never answer make SUNDIALS creep. */
static bool creeps(const nde_sun_worker *w, double t) {
    const double h_min = w->solver->options.h_min, least = h_min > 0 ? 0 : 16*DBL_EPSILON*fmin(fabs(t), fabs(w->t));
    return t == w->t || (t != w->stop && fabs(t - w->t) < least);
}

/* The step from w->t to t is accepted, as far as `end`. */
static nde_status accept(nde_sun_worker *w, double t, double end) {
    const nde_stiff_solver *s = w->solver;
    const size_t n = s->rhs.dim;
    nde_status status = s->stiff.dense && !w->replaying ? nde_sun_keep(w, t, end) : NDE_OK;
    const double *at = nde_sun_data(w->y);
    if (!status && end != t && s->engine->value(w, end, 0, w->state)) status = NDE_E_STEPSIZE;
    if (end == t) memcpy(w->state, at, n*sizeof *at);
    if (!status) status = save_to(w, end, w->state, true);
    if (!status && s->rhs.nz && s->engine->quadrature(w, end, w->z_state)) status = NDE_E_STEPSIZE;
    nde_stats *stats = &s->stats[w->who];
    if (!w->replaying) {
        stats->h_last = end - w->t;
        if (stats->h_first == 0) stats->h_first = stats->h_last;
    }
    w->t = end;
    w->steps++;
    w->trouble = (nde_sun_trouble){ 0 };
    return status;
}

/* From the start of a segment to its stop: NDE_OK; NDE_UNFINISHED at a reset; or how the trajectory ends. */
static nde_status steps(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    while (w->t != w->stop) {
        const nde_status why = interrupted(w);
        if (why) return why;
        double t = w->t;
        const int flag = s->engine->step(w, &t);
        if (w->pool.failed) return NDE_E_NOMEM;
        if (flag < 0 || w->trouble.final) return failed(w, flag);
        if (fabs(t - w->stop) <= 100*DBL_EPSILON*fabs(w->stop) && w->direction*(t - w->stop) >= 0) t = w->stop;
        if (creeps(w, t)) return w->trouble.kind ? failed(w, flag) : NDE_E_STEPSIZE;
        if (!is_finite(nde_sun_data(w->y), s->rhs.dim)) return NDE_E_NONFINITE;
        const int order = s->engine->order(w);
        w->counts.last_order = order;
        if (order > w->counts.most_order) w->counts.most_order = order;
        double end = t;
        const nde_status verdict = watched(w) ? nde_sun_events_step(w, t, &end) : NDE_OK;
        if (verdict < 0) return verdict;
        const nde_status bad = accept(w, t, end);
        if (bad || verdict) return bad ? bad : verdict;
    }
    return NDE_OK;
}

/* The jump at a forced time. */
static nde_status cross(nde_sun_worker *w, size_t jump) {
    const nde_rhs *r = &w->solver->rhs;
    const nde_problem *q = &r->problem;
    nde_sun_lanes *at = &w->one;
    at->t[0] = w->t, at->mark[0] = NDE_LANE_OK;
    for (size_t i = 0; i < q->jump_inputs; i++) at->scratch.u[i] = q->jump_u[(jump*q->jump_inputs + i)*r->N + w->who];
    tell_fields(w, jump);
    const int rc = nde_jump_eval(r, &at->lanes, at->t, w->state, at->scratch.u, at->y);
    if (nde_sun_verdict(w, rc, at->mark, 1, at->y, r->dim, 1)) return failed(w, CV_RHSFUNC_FAIL);
    memcpy(w->state, at->y, r->dim*sizeof *at->y);
    tell_fields(w, jump + 1);
    return NDE_OK;
}

/* Segment after segment. */
static nde_status go(nde_sun_worker *w) {
    const nde_stiff_solver *s = w->solver;
    size_t next = 0, jumps = 0;
    bool first = true;
    while (next < s->n_forced && w->direction*(s->forced[next].t - w->t0) <= 0) jumps += s->forced[next++].jump != SIZE_MAX;
    tell_fields(w, jumps);
    for (;; first = false) {
        const bool forced = next < s->n_forced && w->direction*(s->forced[next].t - w->t1) < 0;
        w->stop = forced ? s->forced[next].t : w->t1;
        w->limit = forced && s->forced[next].clip ? nextafter(w->stop, w->t0) : w->direction*(double)INFINITY;
        if (w->t == w->stop && !forced) return first ? save_to(w, w->t, w->state, false) : NDE_OK;
        nde_status status = begin_segment(w, first);
        if (!status) status = steps(w);
        w->steps += s->engine->refused(w);
        if (!w->replaying) s->engine->count(w, &s->stats[w->who]);
        if (status == NDE_UNFINISHED) {
            if (!(status = nde_sun_events_reset(w))) continue;
        } else if (!status && forced) {
            const size_t jump = s->forced[next++].jump;
            if (jump == SIZE_MAX || !(status = cross(w, jump))) continue;
        }
        return status;
    }
}

static void leave(nde_sun_worker *w, nde_status status) {
    nde_stiff_solver *s = w->solver;
    const size_t who = w->who, n = s->rhs.dim, N = s->rhs.N;
    nde_stats *stats = &s->stats[who];
    put(w, s->y_end, w->state, n);
    put(w, s->z_end, w->z_state, s->rhs.nz);
    if (!s->options.n_save && status == NDE_OK) put(w, s->y_out, w->state, n), w->saved = 1;
    for (size_t row = w->saved; row < s->rows; row++)
        for (size_t i = 0; i < n; i++) s->y_out[(row*n + i)*N + who] = (double)NAN;
    s->t_end[who] = w->t, s->saved[who] = w->saved, s->status[who] = status;
    stats->evals = w->evals, stats->jacobians = w->jacobians;
    w->counts.products = w->products;
    s->counts[who] = w->counts;
    if (status < 0) {
        stats->t_fail = w->t, stats->h_fail = stats->h_last;
        stats->worst = w->trouble.worst, stats->callback = w->trouble.code;
        memcpy(s->said[who], w->said, sizeof w->said);
    }
}

nde_status nde_sun_trajectory(nde_sun_worker *w, size_t who) {
    nde_stiff_solver *s = w->solver;
    enter(w, who);
    if (!w->replaying) s->stats[who] = (nde_stats){ 0 }, s->steps[who] = NULL;
    w->recorded = false;
    const nde_status status = go(w);
    w->recorded = s->adjoint && status == NDE_OK;
    if (status == NDE_STOPPED) atomic_store(&s->stop, 1);
    if (!w->replaying) leave(w, status);
    return status;
}

/* ---- a run ------------------------------------------------------------------------------------------------------- */

static void task(void *arg, size_t i, int worker) {
    nde_stiff_solver *s = arg;
    (void)nde_sun_trajectory(&s->worker[worker], i);
}

int nde_sun_each(nde_stiff_solver *s, void (*one)(void *arg, size_t i, int worker)) {
    if (s->executor && s->rhs.N > 1) return s->executor->run(s->executor->ctx, s->rhs.N, one, s);
    for (size_t i = 0; i < s->rhs.N; i++) one(s, i, 0);
    return 0;
}

nde_status nde_sun_refuse(nde_stiff_solver *s, nde_status status) {
    snprintf(s->error, sizeof s->error, "%s", nde_error());
    nde_fail_undo();
    return status;
}

/* The first failure in trajectory order, as text. */
static void describe(nde_stiff_solver *s, size_t who) {
    const nde_stats *f = &s->stats[who];
    char h[40] = "", worst[40] = "", callback[60] = "", event[40] = "", said[192] = "";
    if (f->h_fail != 0) snprintf(h, sizeof h, ", h = %g", f->h_fail);
    if (s->status[who] == NDE_E_NONFINITE) snprintf(worst, sizeof worst, ", component %zu", f->worst);
    if (f->callback) snprintf(callback, sizeof callback, " (the field returned %lld)", (long long)f->callback);
    if (s->event_end && s->event_end[who] >= 0) snprintf(event, sizeof event, ", event %d", (int)s->event_end[who]);
    if (s->said[who][0]) snprintf(said, sizeof said, "; SUNDIALS says: %.150s", s->said[who]);
    snprintf(s->error, sizeof s->error, "trajectory %zu: %s at t = %.17g%s%s%s%s%s", who, nde_status_text(s->status[who]),
             f->t_fail, h,
             worst, event, callback, said);
}

static nde_status summary(nde_stiff_solver *s, int refused) {
    size_t failures = 0, stopped = 0, ended = 0, first = 0;
    s->error[0] = 0;
    if (refused) return nde_sun_refuse(s, nde_fail(NDE_E_FIELD, "%s: options.executor refused to run",
                                                   nde_status_text(NDE_E_FIELD)));
    for (size_t i = s->rhs.N; i-- > 0;) {
        if (s->status[i] < 0) failures++, first = i;
        stopped += s->status[i] == NDE_STOPPED, ended += s->status[i] == NDE_EVENT;
    }
    if (failures) describe(s, first);
    if (failures) return s->rhs.N == 1 ? s->status[first] : NDE_E_LANES;
    return stopped ? NDE_STOPPED : ended ? NDE_EVENT : NDE_OK;
}

static void present(const nde_stiff_solver *s, nde_solution *solution) {
    if (!solution) return;
    const size_t size = solution->size ? solution->size : sizeof *solution;
    const bool events = s->rhs.problem.n_events > 0;
    const nde_solution out = { .size = solution->size, .n = s->rhs.N, .dim = s->rhs.dim, .nz = s->rhs.nz, .n_save = s->rows,
        .t = s->save_t,
        .y = s->y_out, .saved = s->saved, .y_end = s->y_end, .quadrature = s->rhs.nz ? s->z_end : NULL, .t_end = s->t_end,
        .status = s->status, .stats = s->stats, .error = s->error[0] ? s->error : NULL, .loss = (double)NAN,
        .n_events = s->rhs.problem.n_events, .event_rows = s->event_rows, .event_count = events ? s->event_count : NULL,
        .event_saved = s->event_saved, .event_which = s->event_which, .event_together = s->event_together,
            .event_t = s->event_t,
        .event_y = s->event_y, .event_end = s->event_end, .out = s->rhs.dim };
    memcpy(solution, &out, size < sizeof out ? size : sizeof out);
}

nde_status nde_stiff_run(nde_stiff_solver *s, nde_solution *solution) {
    if (!s) return nde_fail(NDE_E_ARG, "nde_stiff_run: solver is NULL");
    s->ran = false;
    const nde_status bad = nde_sun_begin(s);
    if (bad) return nde_sun_refuse(s, bad);
    atomic_store(&s->stop, 0);
    if (s->options.max_seconds > 0) s->deadline = nde_nanoseconds() + (int64_t)(1e9*fmin(s->options.max_seconds, 1e9));
    if (s->event_rows) nde_sun_events_clear(s);
    atomic_store(&s->dense_used, 0);
    for (size_t i = 0; i < s->workers; i++) nde_sun_drop(&s->worker[i]), s->worker[i].recorded = false;
    memset(s->steps, 0, s->rhs.N*sizeof *s->steps);
    const nde_status status = summary(s, nde_sun_each(s, task));
    s->ran = status == NDE_OK || status == NDE_EVENT || status == NDE_E_LANES;
    present(s, solution);
    return status;
}

nde_status nde_stiff_solve(const nde_problem *problem, const nde_options *options, const nde_stiff_options *stiff,
                           nde_stiff_solver **solver, nde_solution *solution) {
    nde_status status = nde_stiff_create(problem, options, stiff, solver);
    return status ? status : nde_stiff_run(*solver, solution);
}

const nde_stiff_counts *nde_stiff_count(const nde_stiff_solver *s) { return s->counts; }
const nde_stiff_counts *nde_stiff_count_back(const nde_stiff_solver *s) { return s->back_counts; }
const char *nde_stiff_error(const nde_stiff_solver *s) { return s ? s->error : nde_error(); }
const char *nde_stiff_sundials(void) { return SUNDIALS_VERSION; }
