/* SPDX-License-Identifier: MIT
 * options.c - what the caller wants of a solver: problem and options read and checked, each with its sentence. */
#include "solve/solver.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "adjoint/back.h"
#include "noise/noise.h"

/* No array in memory is longer. */
#define MOST_ENTRIES ((size_t)PTRDIFF_MAX/sizeof(double))

nde_status nde_wrong_option(const char *what, double value) {
    return nde_fail(NDE_E_ARG, "options.%s is %g", what, value);
}

/* 0: the default; NDE_ZERO: zero; anything else must be positive and finite. */
static bool tolerance_of(double given, double usual, double *value) {
    *value = given == 0 ? usual : given == NDE_ZERO ? 0 : given;
    return *value >= 0 && isfinite(*value);
}

static nde_status read_tolerances(nde_solver *s) {
    nde_options *o = &s->options;
    const bool single = sizeof(nde_real) == sizeof(float);
    double atol;
    if (!tolerance_of(o->rtol, single ? 1e-4 : 1e-6, &s->tolerance.rtol)) return nde_wrong_option("rtol", o->rtol);
    if (!tolerance_of(o->atol, single ? 1e-6 : 1e-9, &atol)) return nde_wrong_option("atol", o->atol);
    s->tolerance.atol = atol;
    bool literal_zero = !o->atol_each && atol == 0;
    for (size_t i = 0; o->atol_each && i < s->rhs.dim; i++) {
        if (!(o->atol_each[i] >= 0) || !isfinite(o->atol_each[i]))
            return nde_fail(NDE_E_ARG, "options.atol_each[%zu] is %g", i, o->atol_each[i]);
        literal_zero = literal_zero || o->atol_each[i] == 0;
    }
    if (literal_zero && s->tolerance.rtol == 0 && !o->rtol_n && !o->atol_n)
        return nde_fail(NDE_E_ARG, "options: rtol and atol are both zero");
    s->tolerance.atol = fmax(atol, DBL_MIN); /* no error is within no tolerance: 0/0 is 0 */
    return NDE_OK;
}

static nde_status read_tolerances_n(const nde_solver *s) {
    const nde_options *o = &s->options;
    if (o->atol_n && o->atol_each)
        return nde_fail(NDE_E_ARG, "options: atol_n and atol_each are given: one of them must be NULL");
    for (size_t j = 0; (o->rtol_n || o->atol_n) && j < s->rhs.N; j++) {
        if (o->rtol_n && !nde_is_size(o->rtol_n[j])) return nde_fail(NDE_E_ARG, "options.rtol_n[%zu] is %g", j, o->rtol_n[j]);
        if (o->atol_n && !nde_is_size(o->atol_n[j])) return nde_fail(NDE_E_ARG, "options.atol_n[%zu] is %g", j, o->atol_n[j]);
        bool zero = o->atol_n ? o->atol_n[j] == 0 : o->atol == NDE_ZERO && !o->atol_each;
        for (size_t i = 0; o->atol_each && i < s->rhs.dim; i++) zero = zero || o->atol_each[i] == 0;
        if (zero && (o->rtol_n ? o->rtol_n[j] : s->tolerance.rtol) == 0)
            return nde_fail(NDE_E_ARG, "options: rtol and atol are both zero for trajectory %zu (rtol_n, atol_n)", j);
    }
    return NDE_OK;
}

/* Norms and their weights. */
static nde_status read_measure(nde_solver *s) {
    const nde_options *o = &s->options;
    const nde_error_norm *own = s->rhs.problem.norm;
    if (o->norm != NDE_NORM_RMS && o->norm != NDE_NORM_MAX) return nde_wrong_option("norm", o->norm);
    s->counted = (double)s->rhs.dim;
    for (size_t i = 0; o->weights && i < s->rhs.dim; i++) {
        if (!nde_is_size(o->weights[i])) return nde_fail(NDE_E_ARG, "options.weights[%zu] is %g", i, o->weights[i]);
        s->counted -= o->weights[i] == 0;
    }
    if (s->counted == 0) return nde_fail(NDE_E_ARG, "options.weights are all zero: nothing is left to measure");
    if (own) {
        if (!nde_read_sized(&s->norm, sizeof s->norm, own, sizeof s->norm))
            return nde_fail(NDE_E_ARG, "problem.norm.size is %zu", own->size);
        if (!s->norm.of) return nde_fail(NDE_E_ARG, "problem.norm.of is NULL");
        if (o->norm || o->weights)
            return nde_fail(NDE_E_ARG, "options.%s is given beside problem.norm", o->norm ? "norm" : "weights");
    }
    s->largest = o->norm == NDE_NORM_MAX || s->norm.of;
    if (s->largest) s->counted = 1;
    s->measured = s->largest || o->weights || o->rtol_n || o->atol_n;
    return NDE_OK;
}

static nde_status read_domain(nde_solver *s) {
    const nde_domain *given = s->rhs.problem.domain;
    if (!given) return NDE_OK;
    if (!nde_read_sized(&s->domain, sizeof s->domain, given, sizeof s->domain))
        return nde_fail(NDE_E_ARG, "problem.domain.size is %zu", given->size);
    if (s->domain.n_positive && !s->domain.positive)
        return nde_fail(NDE_E_ARG, "problem.domain.positive is NULL, n_positive is %zu", s->domain.n_positive);
    if (s->domain.n_positive > s->rhs.dim)
        return nde_fail(NDE_E_ARG, "problem.domain.n_positive is %zu, there are %zu components", s->domain.n_positive,
                        s->rhs.dim);
    for (size_t j = 0; j < s->domain.n_positive; j++)
        if (s->domain.positive[j] >= s->rhs.dim)
            return nde_fail(NDE_E_ARG, "problem.domain.positive[%zu] is %zu, there are %zu components", j,
                            s->domain.positive[j], s->rhs.dim);
    s->guarded = s->domain.n_positive || s->domain.inside;
    return NDE_OK;
}

static nde_status read_limits(nde_solver *s) {
    nde_options *o = &s->options;
    if (!(o->h0 >= 0) || !isfinite(o->h0)) return nde_wrong_option("h0", o->h0);
    if ((!(o->h_min >= 0) || !isfinite(o->h_min)) && o->h_min != NDE_ZERO) return nde_wrong_option("h_min", o->h_min);
    if (!(o->h_max >= 0) && o->h_max != NDE_ZERO) return nde_wrong_option("h_max", o->h_max);
    if (o->h_max == NDE_ZERO) o->h_max = 0;
    if (o->h_max > 0 && o->h_min > o->h_max)
        return nde_fail(NDE_E_ARG, "options: h_min %g is above h_max %g", o->h_min, o->h_max);
    if (o->steps < 0) return nde_wrong_option("steps", (double)o->steps);
    if (o->max_steps < 0 && o->max_steps != NDE_ZERO) return nde_wrong_option("max_steps", (double)o->max_steps);
    if (o->max_steps == 0) o->max_steps = 1000000;
    if (o->steps > 0) o->max_steps = 0; /* their number is known */
    if (o->h_min_policy != NDE_H_MIN_FAIL && o->h_min_policy != NDE_H_MIN_ACCEPT)
        return nde_wrong_option("h_min_policy", o->h_min_policy);
    if (o->max_evals < 0) return nde_wrong_option("max_evals", (double)o->max_evals);
    if (!(o->max_seconds >= 0)) return nde_wrong_option("max_seconds", o->max_seconds);
    if (o->threads < 0 || o->threads > 4096) return nde_wrong_option("threads", o->threads);
    if (o->stepping != NDE_STEP_INDEPENDENT && o->stepping != NDE_STEP_JOINT)
        return nde_wrong_option("stepping", o->stepping);
    if (o->adjoint < NDE_ADJOINT_NONE || o->adjoint > NDE_ADJOINT_REVERSIBLE) return nde_wrong_option("adjoint", o->adjoint);
    s->adjoint = o->adjoint, s->undoes = o->adjoint == NDE_ADJOINT_REVERSIBLE;
    o->adjoint = o->adjoint == NDE_ADJOINT_NONE || o->adjoint == NDE_ADJOINT_BACKSOLVE ? NDE_ADJOINT_NONE
        : NDE_ADJOINT_DISCRETE;
    if (o->curvature != 0 && o->curvature != 1) return nde_wrong_option("curvature", o->curvature);
    if (o->parameters_in_norm != 0 && o->parameters_in_norm != 1)
        return nde_wrong_option("parameters_in_norm", o->parameters_in_norm);
    if (o->record < 0 || o->record > NDE_RECORD_CHECKPOINTS) return nde_wrong_option("record", o->record);
    if (o->record && s->undoes)
        return nde_fail(NDE_E_ARG, "options.record is %d: NDE_ADJOINT_REVERSIBLE has a form of its own", (int)o->record);
    if (!o->record) o->record = s->undoes ? NDE_RECORD_TIMES : NDE_RECORD_TAPE;
    if (o->anchor_limit != 0 && !(o->anchor_limit >= 1)) return nde_wrong_option("anchor_limit", o->anchor_limit);
    if (o->anchor_limit == 0) o->anchor_limit = sizeof(nde_real) == sizeof(double) ? 1e4 : 1e2;
    if (o->compensated != 0 && o->compensated != 1) return nde_wrong_option("compensated", o->compensated);
    if (o->error != NDE_ERROR_EMBEDDED && o->error != NDE_ERROR_DOUBLING) return nde_wrong_option("error", o->error);
    if (o->store && !nde_read_sized(&s->store, sizeof s->store, o->store, sizeof s->store))
        return nde_fail(NDE_E_ARG, "options.store.size is %zu", o->store->size);
    if (o->store && (!s->store.write || !s->store.read))
        return nde_fail(NDE_E_ARG, "options.store: %s is NULL", s->store.write ? "read" : "write");
    if (o->executor && (!o->executor->run || o->executor->workers < 1))
        return nde_fail(NDE_E_ARG, "options.executor: run is %s, workers is %d",
                        o->executor->run ? "given" : "NULL", o->executor->workers);
    if (o->allocator && (!o->allocator->take || !o->allocator->give))
        return nde_fail(NDE_E_ARG, "options.allocator: %s is NULL",
                        o->allocator->take ? "give" : "take");
    return NDE_OK;
}

/* Rows of fixed steps: every jump, and every knot of a path that drives a term, may divide one. */
static size_t most_rows(const nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    size_t steps = (size_t)s->options.steps;
    if (!nde_size_add(steps, q->n_jumps, &steps) || !nde_size_add(steps, s->options.n_clip, &steps)) return SIZE_MAX;
    for (size_t k = 0; k < q->n_terms; k++)
        if (q->terms[k].path && !nde_size_add(steps, q->terms[k].path->knots, &steps)) return SIZE_MAX;
    return (steps - 1)/(size_t)s->options.save_every + 2;
}

static nde_status read_clips(const nde_solver *s) {
    const nde_options *o = &s->options;
    if (o->n_clip && !o->clip_t) return nde_fail(NDE_E_ARG, "options.clip_t is NULL, n_clip is %zu", o->n_clip);
    if (o->n_clip > MOST_ENTRIES) return nde_fail(NDE_E_SIZE, "options.n_clip is %zu", o->n_clip);
    if (o->n_clip && s->rhs.noisy) return nde_fail(NDE_E_ARG, "options.n_clip is %zu: not with noise", o->n_clip);
    for (size_t j = 0; j < o->n_clip; j++)
        if (!isfinite(o->clip_t[j])) return nde_fail(NDE_E_ARG, "options.clip_t[%zu] is %g", j, o->clip_t[j]);
    return NDE_OK;
}

/* Times of one trajectory, or of all: monotone; with `open`, NaN from some row on. */
static nde_status read_save_times(const char *name, const double *t, size_t stride, size_t count, bool open) {
    bool up = false, down = false, ended = false;
    for (size_t i = 0; i < count; i++) {
        const double at = t[i*stride], before = i ? t[(i - 1)*stride] : at;
        ended = ended || (open && isnan(at));
        if (ended ? !isnan(at) : !isfinite(at)) return nde_fail(NDE_E_ARG, "options.%s[%zu] is %g", name, i*stride, at);
        up = up || at > before, down = down || at < before;
        if (up && down) return nde_fail(NDE_E_ARG, "options.%s[%zu] is %g: not monotone", name, i*stride, at);
    }
    return NDE_OK;
}

static nde_status read_saves(nde_solver *s) {
    nde_options *o = &s->options;
    if (o->save_every < 0) return nde_wrong_option("save_every", (double)o->save_every);
    if (o->save_every && o->n_save)
        return nde_fail(NDE_E_ARG, "options: save_every is %lld and n_save %zu: one of them must be 0",
                        (long long)o->save_every, o->n_save);
    if (o->n_save && !o->save_t && !o->save_t_each)
        return nde_fail(NDE_E_ARG, "options.save_t is NULL, n_save is %zu", o->n_save);
    if (o->save_t_each && o->save_t)
        return nde_fail(NDE_E_ARG, "options: save_t and save_t_each are given: one of them must be NULL");
    if (o->n_save > MOST_ENTRIES) return nde_fail(NDE_E_SIZE, "options.n_save is %zu", o->n_save);
    s->saving = o->save_every ? NDE_SAVE_EVERY : o->n_save ? NDE_SAVE_TIMES : NDE_SAVE_END;
    s->rows_saved = s->saving == NDE_SAVE_TIMES ? o->n_save : 1;
    if (s->saving == NDE_SAVE_EVERY)
        s->rows_saved = o->save_rows                  ? o->save_rows
                        : o->steps                   ? most_rows(s)
                        : o->discard && !o->adjoint ? NDE_ROWS_UNLIMITED
                                                     : 1024;
    s->save_lane = o->n_save && o->save_t_each;
    s->save_row = s->save_lane ? s->rhs.N : 1;
    nde_status bad = NDE_OK;
    for (size_t who = 0; o->n_save && !bad && who < s->save_row; who++)
        bad = s->save_lane ? read_save_times("save_t_each", o->save_t_each + who, s->rhs.N, o->n_save, true)
                           : read_save_times("save_t", o->save_t, 1, o->n_save, false);
    return bad;
}

static nde_status read_events(nde_solver *s) {
    const size_t count = s->rhs.problem.n_events, rows = s->options.event_rows;
    if (count && rows > MOST_ENTRIES) return nde_fail(NDE_E_SIZE, "options.event_rows is %zu", rows);
    s->hits.rows = count ? rows ? rows : 16 : 0;
    s->logs = s->options.adjoint;
    for (size_t e = 0; e < count && s->adjoint == NDE_ADJOINT_BACKSOLVE; e++)
        s->logs = s->logs || s->rhs.event[e].reset.field || s->rhs.event[e].terminal > 0;
    for (size_t e = 0; e < count && s->joint && s->N > 1; e++)
        if (s->rhs.event[e].reset.field)
            return nde_fail(NDE_E_ARG,
                            "problem.events[%zu].reset: joint steps of %zu trajectories cannot be cut for one of them", e,
                            s->N);
    return NDE_OK;
}

static nde_status read_loss(nde_solver *s) {
    const nde_loss *given = s->rhs.problem.loss;
    if (!given) return NDE_OK;
    if (!nde_read_sized(&s->loss, sizeof s->loss, given, sizeof s->loss))
        return nde_fail(NDE_E_ARG, "problem.loss.size is %zu", given->size);
    if (!s->loss.at) return nde_fail(NDE_E_ARG, "problem.loss.at is NULL");
    if (s->saving == NDE_SAVE_EVERY)
        return nde_fail(NDE_E_ARG, "problem.loss needs rows at common times: options.save_every is %lld",
                        (long long)s->options.save_every);
    return NDE_OK;
}

/* What rows are given to: observation, stream, reduction. */
static nde_status read_rows(nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    s->out = q->observe ? q->observe->out : s->rhs.dim;
    if (!nde_read_sized(&s->stream, sizeof s->stream, q->stream, sizeof s->stream))
        return nde_fail(NDE_E_ARG, "problem.stream.size is %zu", q->stream->size);
    if (q->stream && !s->stream.at) return nde_fail(NDE_E_ARG, "problem.stream.at is NULL");
    if (s->options.discard != 0 && s->options.discard != 1) return nde_wrong_option("discard", s->options.discard);
    if (s->options.discard && s->loss.at) return nde_fail(NDE_E_ARG, "options.discard is 1: problem.loss needs the rows");
    s->emits = q->observe || q->stream || q->reduction || s->options.discard;
    return NDE_OK;
}

static nde_status read_reduction(nde_solver *s) {
    const nde_reduction *given = s->rhs.problem.reduction;
    nde_reduction *r = &s->reduction;
    if (!given) return NDE_OK;
    if (!nde_read_sized(r, sizeof *r, given, sizeof *r))
        return nde_fail(NDE_E_ARG, "problem.reduction.size is %zu", given->size);
    if (s->saving == NDE_SAVE_EVERY)
        return nde_fail(NDE_E_ARG, "problem.reduction needs rows in common: options.save_every is %lld",
                        (long long)s->options.save_every);
    if (r->n_levels && !r->levels) return nde_fail(NDE_E_ARG, "problem.reduction.levels is NULL, n_levels is %zu", r->n_levels);
    if (r->n_levels > MOST_ENTRIES || r->bytes > PTRDIFF_MAX)
        return nde_fail(NDE_E_SIZE, "problem.reduction: n_levels is %zu, bytes is %zu", r->n_levels, r->bytes);
    for (size_t i = 0; i < r->n_levels; i++)
        if (!(r->levels[i] >= 0 && r->levels[i] <= 1))
            return nde_fail(NDE_E_ARG, "problem.reduction.levels[%zu] is %g", i, r->levels[i]);
    if (r->n_edges && !r->edges) return nde_fail(NDE_E_ARG, "problem.reduction.edges is NULL, n_edges is %zu", r->n_edges);
    if (r->n_edges > MOST_ENTRIES) return nde_fail(NDE_E_SIZE, "problem.reduction.n_edges is %zu", r->n_edges);
    for (size_t i = 0; i < r->n_edges; i++)
        if (!isfinite(r->edges[i]) || (i && !(r->edges[i] > r->edges[i - 1])))
            return nde_fail(NDE_E_ARG, "problem.reduction.edges[%zu] is %g: not finite, or not above the one before", i,
                            r->edges[i]);
    if (r->n_levels && s->rhs.N > UINT32_MAX) return nde_fail(NDE_E_SIZE, "problem.reduction.n_levels: n is %zu", s->rhs.N);
    if (r->error != 0 && !(r->error >= 0x1p-13 && r->error <= 0.5))
        return nde_fail(NDE_E_ARG, "problem.reduction.error is %g", r->error);
    if (r->octaves < 0 || r->octaves > 2046) return nde_fail(NDE_E_ARG, "problem.reduction.octaves is %d", (int)r->octaves);
    if (!r->init != !r->bytes || !r->add != !r->bytes || !r->merge != !r->bytes)
        return nde_fail(NDE_E_ARG, "problem.reduction.bytes is %zu: init is %s, add %s, merge %s", r->bytes,
                        r->init ? "given" : "NULL", r->add ? "given" : "NULL", r->merge ? "given" : "NULL");
    s->reduces = true;
    s->sums.stride = (r->bytes + 15)/16*16;
    if (r->n_levels) s->sums.buckets = nde_buckets_make(r->error > 0 ? r->error : 1.0/64, r->octaves ? r->octaves : 32);
    return NDE_OK;
}

static nde_status read_estimates(const nde_solver *s) {
    const nde_options *o = &s->options;
    const nde_method *m = s->table.method;
    const char *name = s->base->name ? s->base->name : "(tableau)";
    if (o->estimates < NDE_ESTIMATES_NONE || o->estimates > NDE_ESTIMATES_STEP)
        return nde_wrong_option("estimates", o->estimates);
    if (o->estimates && !m->error_order)
        return nde_fail(NDE_E_ARG, "options.estimates is %d: method %s has no error estimate", (int)o->estimates, name);
    const double error = s->loss.error_estimate, stiffness = s->loss.stiffness_estimate;
    if (!isfinite(error) || (error != 0 && !o->estimates))
        return nde_fail(NDE_E_ARG, "problem.loss.error_estimate is %g, options.estimates %d", error, (int)o->estimates);
    if (!isfinite(stiffness) || (stiffness != 0 && !(o->estimates && m->kind == NDE_KIND_RUNGE_KUTTA)))
        return nde_fail(NDE_E_ARG, "problem.loss.stiffness_estimate is %g, options.estimates %d, method %s", stiffness,
                        (int)o->estimates, name);
    return NDE_OK;
}

static nde_status check_noise(nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    for (size_t k = 0; k < q->n_terms; k++) {
        if (!q->terms[k].noise) continue;
        nde_noise *noise = &s->rhs.term[k].noise;
        if (s->restless && noise->source != NDE_SOURCE_TREE)
            return nde_fail(NDE_E_ARG,
                            "problem.terms[%zu].noise.source is %d: steps that are not known before (options.steps is 0) need "
                                       "NDE_SOURCE_TREE", k, (int)noise->source);
        if (noise->grid && noise->source != NDE_SOURCE_TREE && noise->grid % s->options.steps)
            return nde_fail(NDE_E_ARG, "noise.grid is %lld: not a multiple of options.steps %lld",
                            (long long)noise->grid, (long long)s->options.steps);
        if (s->rhs.brackets && noise->source == NDE_SOURCE_TREE)
            return nde_fail(NDE_E_ARG,
                            "problem.terms[%zu].noise.source is %d: method %s needs Levy areas, and a tree has none: there is "
                            "no law by which to draw those of parts given that of the whole", k, (int)noise->source,
                            s->base->name);
        if (s->rhs.brackets && (noise->source != NDE_SOURCE_GRID || noise->correlation || s->rhs.term[k].rates != s->rhs.rates))
            return nde_fail(NDE_E_ARG,
                            "problem.terms[%zu].noise: method %s needs the areas of one general noise, on a grid and without "
                                       "correlation", k, s->base->name);
        if (s->restless) s->cell_share = fmax(s->cell_share, nde_noise_cell(noise));
        const nde_status bad = nde_noise_need(noise, s->rhs.areas || s->rhs.brackets ? NDE_LEVY_H : NDE_LEVY_W);
        if (bad) return bad;
    }
    return NDE_OK;
}

nde_status nde_solver_read(nde_solver *s, const nde_problem *problem, const nde_options *options) {
    *s = (nde_solver){ 0 };
    nde_status bad = nde_rhs_make(&s->rhs, problem, s->term, s->own_term);
    if (bad) return bad;
    if (!nde_read_sized(&s->options, sizeof s->options, options, sizeof s->options))
        return nde_fail(NDE_E_ARG, "options.size: %zu bytes are not a layout that this library knows",
                        options->size);
    if ((bad = read_tolerances(s)) || (bad = read_tolerances_n(s)) || (bad = read_measure(s)) || (bad = read_domain(s)) ||
        (bad = read_limits(s)) || (bad = read_clips(s)) || (bad = read_saves(s)) || (bad = read_loss(s)) ||
        (bad = read_rows(s)) || (bad = read_reduction(s)) || (bad = nde_choose_method(s)) || (bad = read_estimates(s)) ||
        (bad = check_noise(s)))
        return bad;
    s->N = s->rhs.N;
    s->per_dim = 1/s->counted;
    s->tangent_rows = s->rhs.rows*(1 + (size_t)s->table.method->partners);
    s->state_rows = s->tangent_rows + (s->options.compensated ? s->rhs.rows : 0);
    s->rhs.steps = s->options.steps;
    if ((bad = nde_choose_kernels(s))) return bad;
    s->body = nde_body_get(s->kernels.isa, s->table.method->kind);
    if (s->undoes && !s->body->reverse)
        return nde_fail(NDE_E_ARG, "options.adjoint is NDE_ADJOINT_REVERSIBLE: method %s cannot undo a step",
                        s->table.method->name ? s->table.method->name : "(tableau)");
    if (s->joint && (s->rhs.problem.t0_each || s->rhs.problem.t1_each))
        return nde_fail(NDE_E_ARG, "problem.t0_each: joint steps need one span for all");
    if ((bad = read_events(s))) return bad;
    if (s->N == 1 && s->adaptive && !s->options.estimates && s->rhs.plain && !s->rhs.problem.n_events &&
        (s->table.method->kind == NDE_KIND_RUNGE_KUTTA || s->table.method->kind == NDE_KIND_ROSENBROCK))
        s->sprint = nde_choose_sprint(s->kernels.isa);
    if (s->options.adjoint && !s->options.estimates && s->rhs.plain && !s->rhs.problem.n_events &&
        s->table.method->kind == NDE_KIND_RUNGE_KUTTA && !s->options.compensated && !s->options.n_clip)
        nde_choose_retrace(s->kernels.isa, &s->retrace, &s->remake);
    const bool simple = s->rhs.plain || (s->rhs.noisy && !s->rhs.paths && !s->rhs.channels && !s->rhs.nz);
    const int kind = s->table.method->kind;
    s->marches = !s->adaptive && !s->undoes && !s->options.estimates && simple && !s->rhs.problem.n_events &&
        !s->options.max_evals &&
                 !s->guarded && s->saving != NDE_SAVE_EVERY && !s->table.chebyshev.most;
    s->runs = s->marches && (s->rhs.plain || !s->options.adjoint) &&
        (kind == NDE_KIND_RUNGE_KUTTA || kind == NDE_KIND_STOCHASTIC);
    s->executor = s->options.executor;
    s->n_workers = s->executor              ? (size_t)s->executor->workers
                   : s->options.threads > 1 ? (size_t)s->options.threads
                                            : 1;
    s->allocator = s->options.allocator ? *s->options.allocator : nde_allocator_default;
    return s->adaptive ? nde_choose_controller(s) : NDE_OK;
}
