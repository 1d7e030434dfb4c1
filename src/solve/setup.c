/* SPDX-License-Identifier: MIT
 * setup.c - how a solver comes to be: options read, trajectories divided, memory laid out once; and its end. */
#include "solve/solver.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "adjoint/back.h"
#include "core/isa.h"
#include "field/parts.h"
#include "path/path.h"
#include "solve/sprint.h"

/* ---- options --------------------------------------------------------------------------------- */

/* No array in memory is longer. */
#define MOST_ENTRIES ((size_t)PTRDIFF_MAX/sizeof(double))

static nde_status wrong(const char *what, double value) {
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
    if (!tolerance_of(o->rtol, single ? 1e-4 : 1e-6, &s->tolerance.rtol)) return wrong("rtol", o->rtol);
    if (!tolerance_of(o->atol, single ? 1e-6 : 1e-9, &atol)) return wrong("atol", o->atol);
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

static bool is_size(double x) { return x >= 0 && isfinite(x); }

static nde_status read_tolerances_n(const nde_solver *s) {
    const nde_options *o = &s->options;
    if (o->atol_n && o->atol_each) return nde_fail(NDE_E_ARG, "options: atol_n and atol_each are given: one of them must be NULL");
    for (size_t j = 0; (o->rtol_n || o->atol_n) && j < s->rhs.N; j++) {
        if (o->rtol_n && !is_size(o->rtol_n[j])) return nde_fail(NDE_E_ARG, "options.rtol_n[%zu] is %g", j, o->rtol_n[j]);
        if (o->atol_n && !is_size(o->atol_n[j])) return nde_fail(NDE_E_ARG, "options.atol_n[%zu] is %g", j, o->atol_n[j]);
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
    if (o->norm != NDE_NORM_RMS && o->norm != NDE_NORM_MAX) return wrong("norm", o->norm);
    s->counted = (double)s->rhs.dim;
    for (size_t i = 0; o->weights && i < s->rhs.dim; i++) {
        if (!is_size(o->weights[i])) return nde_fail(NDE_E_ARG, "options.weights[%zu] is %g", i, o->weights[i]);
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
        return nde_fail(NDE_E_ARG, "problem.domain.n_positive is %zu, there are %zu components", s->domain.n_positive, s->rhs.dim);
    for (size_t j = 0; j < s->domain.n_positive; j++)
        if (s->domain.positive[j] >= s->rhs.dim)
            return nde_fail(NDE_E_ARG, "problem.domain.positive[%zu] is %zu, there are %zu components", j, s->domain.positive[j],
                            s->rhs.dim);
    s->guarded = s->domain.n_positive || s->domain.inside;
    return NDE_OK;
}

static nde_status read_limits(nde_solver *s) {
    nde_options *o = &s->options;
    if (!(o->h0 >= 0) || !isfinite(o->h0)) return wrong("h0", o->h0);
    if ((!(o->h_min >= 0) || !isfinite(o->h_min)) && o->h_min != NDE_ZERO) return wrong("h_min", o->h_min);
    if (!(o->h_max >= 0) && o->h_max != NDE_ZERO) return wrong("h_max", o->h_max);
    if (o->h_max == NDE_ZERO) o->h_max = 0;
    if (o->h_max > 0 && o->h_min > o->h_max)
        return nde_fail(NDE_E_ARG, "options: h_min %g is above h_max %g", o->h_min, o->h_max);
    if (o->steps < 0) return wrong("steps", (double)o->steps);
    if (o->max_steps < 0 && o->max_steps != NDE_ZERO) return wrong("max_steps", (double)o->max_steps);
    if (o->max_steps == 0) o->max_steps = 1000000;
    if (o->steps > 0) o->max_steps = 0; /* their number is known */
    if (o->h_min_policy != NDE_H_MIN_FAIL && o->h_min_policy != NDE_H_MIN_ACCEPT) return wrong("h_min_policy", o->h_min_policy);
    if (o->max_evals < 0) return wrong("max_evals", (double)o->max_evals);
    if (!(o->max_seconds >= 0)) return wrong("max_seconds", o->max_seconds);
    if (o->threads < 0 || o->threads > 4096) return wrong("threads", o->threads);
    if (o->stepping != NDE_STEP_INDEPENDENT && o->stepping != NDE_STEP_JOINT)
        return wrong("stepping", o->stepping);
    if (o->adjoint < NDE_ADJOINT_NONE || o->adjoint > NDE_ADJOINT_GAUSS) return wrong("adjoint", o->adjoint);
    s->adjoint = o->adjoint;
    o->adjoint = o->adjoint == NDE_ADJOINT_NONE || o->adjoint == NDE_ADJOINT_BACKSOLVE ? NDE_ADJOINT_NONE : NDE_ADJOINT_DISCRETE;
    if (o->parameters_in_norm != 0 && o->parameters_in_norm != 1) return wrong("parameters_in_norm", o->parameters_in_norm);
    if (o->record < 0 || o->record > NDE_RECORD_CHECKPOINTS) return wrong("record", o->record);
    if (!o->record) o->record = NDE_RECORD_TAPE;
    if (o->compensated != 0 && o->compensated != 1) return wrong("compensated", o->compensated);
    if (o->error != NDE_ERROR_EMBEDDED && o->error != NDE_ERROR_DOUBLING) return wrong("error", o->error);
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
    if (o->save_every < 0) return wrong("save_every", (double)o->save_every);
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
    for (size_t e = 0; e < count && s->joint && s->N > 1; e++)
        if (s->rhs.event[e].reset.field)
            return nde_fail(NDE_E_ARG, "problem.events[%zu].reset: joint steps of %zu trajectories cannot be cut for one of them",
                            e, s->N);
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
    if (s->options.discard != 0 && s->options.discard != 1) return wrong("discard", s->options.discard);
    if (s->options.discard && s->loss.at) return nde_fail(NDE_E_ARG, "options.discard is 1: problem.loss needs the rows");
    s->emits = q->observe || q->stream || q->reduction || s->options.discard;
    return NDE_OK;
}

static nde_status read_reduction(nde_solver *s) {
    const nde_reduction *given = s->rhs.problem.reduction;
    nde_reduction *r = &s->reduction;
    if (!given) return NDE_OK;
    if (!nde_read_sized(r, sizeof *r, given, sizeof *r)) return nde_fail(NDE_E_ARG, "problem.reduction.size is %zu", given->size);
    if (s->saving == NDE_SAVE_EVERY)
        return nde_fail(NDE_E_ARG, "problem.reduction needs rows in common: options.save_every is %lld", (long long)s->options.save_every);
    if (r->n_levels && !r->levels) return nde_fail(NDE_E_ARG, "problem.reduction.levels is NULL, n_levels is %zu", r->n_levels);
    if (r->n_levels > MOST_ENTRIES || r->bytes > PTRDIFF_MAX)
        return nde_fail(NDE_E_SIZE, "problem.reduction: n_levels is %zu, bytes is %zu", r->n_levels, r->bytes);
    for (size_t i = 0; i < r->n_levels; i++)
        if (!(r->levels[i] >= 0 && r->levels[i] <= 1)) return nde_fail(NDE_E_ARG, "problem.reduction.levels[%zu] is %g", i, r->levels[i]);
    if (r->n_levels && s->rhs.N > UINT32_MAX) return nde_fail(NDE_E_SIZE, "problem.reduction.n_levels: n is %zu", s->rhs.N);
    if (r->error != 0 && !(r->error >= 0x1p-13 && r->error <= 0.5)) return nde_fail(NDE_E_ARG, "problem.reduction.error is %g", r->error);
    if (r->octaves < 0 || r->octaves > 2046) return nde_fail(NDE_E_ARG, "problem.reduction.octaves is %d", (int)r->octaves);
    if (!r->init != !r->bytes || !r->add != !r->bytes || !r->merge != !r->bytes)
        return nde_fail(NDE_E_ARG, "problem.reduction.bytes is %zu: init is %s, add %s, merge %s", r->bytes, r->init ? "given" : "NULL",
                        r->add ? "given" : "NULL", r->merge ? "given" : "NULL");
    s->reduces = true;
    s->sums.stride = (r->bytes + 15)/16*16;
    if (r->n_levels) s->sums.buckets = nde_buckets_make(r->error > 0 ? r->error : 1.0/64, r->octaves ? r->octaves : 32);
    return NDE_OK;
}

static nde_status choose_doubling(nde_solver *s) {
    const nde_method *m = s->base;
    const char *name = m->name ? m->name : "(tableau)";
    if (m->kind != NDE_KIND_RUNGE_KUTTA)
        return nde_fail(NDE_E_ARG, "options.error: method %s is not an explicit Runge-Kutta method, its steps cannot be doubled", name);
    if (m->order < 1 || m->order > m->stages)
        return nde_fail(NDE_E_ARG, "options.tableau.order is %d, with %d stages", m->order, m->stages);
    nde_doubling_claim(m, &s->doubled);
    if (s->doubled.stages > NDE_MOST_STAGES)
        return nde_fail(NDE_E_ARG, "options.error: method %s has %d stages, too many to double its steps", name, m->stages);
    s->table.method = &s->doubled;
    return NDE_OK;
}

static nde_status choose_coupling(nde_solver *s) {
    const double coupling = s->options.coupling;
    const nde_method *m = s->table.method;
    const char *name = m->name ? m->name : "(tableau)";
    if (coupling == 0) return NDE_OK;
    if (!(coupling > 0 && coupling <= 1)) return wrong("coupling", coupling);
    if (m->kind != NDE_KIND_RUNGE_KUTTA)
        return nde_fail(NDE_E_ARG, "options.coupling is %g: method %s is not an explicit Runge-Kutta method", coupling, name);
    if (s->options.compensated)
        return nde_fail(NDE_E_ARG, "options.compensated is 1, options.coupling %g: two states that are not summed", coupling);
    nde_coupling_claim(m, &s->coupled);
    if (s->coupled.stages > NDE_MOST_STAGES)
        return nde_fail(NDE_E_ARG, "options.coupling: method %s has %d stages, too many to be coupled", name, m->stages);
    s->table.method = &s->coupled;
    return NDE_OK;
}

/* Velocity Verlet moves in turns in the bit-reversible mode. */
static const nde_method *plain_of(const nde_solver *s) {
    return s->base == &nde_method_velocity_verlet && s->options.quantum > 0 ? &nde_method_velocity_verlet_kicks : s->base;
}

static nde_status choose_order(nde_solver *s) {
    const int order = s->options.order;
    const nde_method *m = s->table.method;
    if (m->kind != NDE_KIND_MULTISTEP)
        return !order ? NDE_OK : nde_fail(NDE_E_ARG, "options.order is %d: method %s has no choice of orders", order,
                                          m->name ? m->name : "(tableau)");
    if (order < 0 || order > NDE_MOST_ADAMS) return wrong("order", order);
    nde_multistep_claim(m, order ? order : m->order, &s->multistep);
    s->table.method = &s->multistep;
    return NDE_OK;
}

/* The table that is run: that, or what has been made of it. */
static const nde_method *table_of(const nde_solver *s) {
    if (s->base->kind == NDE_KIND_MULTISTEP) return &s->multistep;
    return s->options.coupling > 0                  ? &s->coupled
           : s->options.error == NDE_ERROR_DOUBLING ? &s->doubled
           : s->rhs.problem.splitting               ? &s->composed
                                                    : plain_of(s);
}

static nde_status read_quantum(nde_solver *s) {
    const double quantum = s->options.quantum;
    const nde_method *m = s->table.method;
    int exponent;
    if (quantum == 0) return NDE_OK;
    if (!(quantum > 0) || !isfinite(quantum) || frexp(quantum, &exponent) != 0.5 || exponent < -100 || exponent > 100)
        return nde_fail(NDE_E_ARG, "options.quantum is %g: not a power of two between 2^-100 and 2^100", quantum);
    if (s->options.coupling != 1 && m->kind == NDE_KIND_COUPLED)
        return nde_fail(NDE_E_ARG, "options.quantum is %g, options.coupling %g: only 1 is reversible in every bit", quantum,
                        s->options.coupling);
    if (!(m->kind == NDE_KIND_COMPOSITION && m->first_same_as_last) && m->kind != NDE_KIND_REVERSIBLE && m->kind != NDE_KIND_COUPLED)
        return nde_fail(NDE_E_ARG, "options.quantum is %g: method %s is neither a symmetric composition nor reversible", quantum,
                        m->name ? m->name : "(tableau)");
    if (s->table.damping != 1)
        return nde_fail(NDE_E_ARG, "options.quantum is %g, options.damping %g: damped steps are not reversible in every bit", quantum,
                        s->options.damping);
    s->table.quantum = quantum;
    return NDE_OK;
}

static nde_status read_damping(nde_solver *s) {
    const double damping = s->options.damping;
    const nde_method *m = s->table.method;
    s->table.damping = damping == 0 ? 1 : damping;
    if (!(s->table.damping > 0.5 && s->table.damping <= 1)) return wrong("damping", damping);
    if (damping != 0 && !(m->kind == NDE_KIND_REVERSIBLE && m->partner == NDE_PARTNER_SLOPE))
        return nde_fail(NDE_E_ARG, "options.damping is %g: method %s has no slope of its own to damp", damping,
                        m->name ? m->name : "(tableau)");
    return NDE_OK;
}

enum { MOST_CHEBYSHEV = 500, USUAL_MOST = 200, USUAL = 10 };

/* How many stages the steps may have: see options.stages. */
static nde_status choose_stages(nde_solver *s) {
    nde_options *o = &s->options;
    const nde_problem *q = &s->rhs.problem;
    nde_chebyshev *c = &s->table.chebyshev;
    if (o->stages != 0 && (o->stages < 2 || o->stages > MOST_CHEBYSHEV)) return wrong("stages", o->stages);
    if (!is_size(o->spectral_radius)) return wrong("spectral_radius", o->spectral_radius);
    if (s->table.method->kind != NDE_KIND_CHEBYSHEV) {
        const char *given = o->stages ? "options.stages" : o->spectral_radius > 0 ? "options.spectral_radius"
                                                         : q->spectrum ? "problem.spectrum" : NULL;
        return given ? nde_fail(NDE_E_ARG, "%s is given: method %s has no use for it", given,
                                s->table.method->name ? s->table.method->name : "(tableau)") : NDE_OK;
    }
    if (q->spectrum && !nde_read_sized(&c->spectrum, sizeof c->spectrum, q->spectrum, sizeof c->spectrum))
        return nde_fail(NDE_E_ARG, "problem.spectrum.size is %zu", q->spectrum->size);
    if (q->spectrum && !c->spectrum.radius) return nde_fail(NDE_E_ARG, "problem.spectrum.radius is NULL");
    if (q->spectrum && o->spectral_radius > 0)
        return nde_fail(NDE_E_ARG, "options.spectral_radius is %g beside problem.spectrum", o->spectral_radius);
    const bool known = q->spectrum || o->spectral_radius > 0;
    c->radius = o->spectral_radius;
    c->most = o->stages ? o->stages : known ? USUAL_MOST : USUAL;
    c->least = known ? 2 : c->most;
    if (!(c->radius > 0)) return NDE_OK;
    const double longest = nde_chebyshev_longest(c->most, c->radius), whole = fabs(q->t1 - q->t0)/(double)o->steps;
    if (!s->adaptive && !q->t0_each && !q->t1_each && whole > longest)
        return nde_fail(NDE_E_ARG, "options.steps is %lld: with spectral_radius %g and %d stages, no step may be longer than %g",
                        (long long)o->steps, c->radius, c->most, longest);
    if (!(o->h_max > 0 && o->h_max < longest)) o->h_max = longest;
    if (s->adaptive && o->h_min > o->h_max)
        return nde_fail(NDE_E_ARG, "options.h_min is %g: with spectral_radius %g and %d stages, no step may be longer than %g",
                        o->h_min, c->radius, c->most, longest);
    return NDE_OK;
}

/* The method along the drift (0) or along second (1). */
static nde_status choose_follower(nde_solver *s, int which) {
    const nde_rhs *r = &s->rhs;
    const bool flow = (which ? r->second : r->drift).field->nu == r->channels + 1;
    const int id = which ? r->splitting.second_by : r->splitting.drift_by;
    const char *name = which ? "second_by" : "drift_by";
    if (flow && id) return nde_fail(NDE_E_ARG, "problem.splitting.%s is %d: its field stands for its own flow", name, id);
    s->by[which] = nde_method_get(flow ? NDE_EULER : id ? id : NDE_RK4);
    return s->by[which] && s->by[which]->kind == NDE_KIND_RUNGE_KUTTA
               ? NDE_OK
               : nde_fail(NDE_E_ARG, "problem.splitting.%s is %d: no explicit Runge-Kutta method", name, id);
}

static nde_status choose_splitting(nde_solver *s) {
    const nde_method *m = s->base;
    nde_status bad = choose_follower(s, 0);
    if (bad || (bad = choose_follower(s, 1))) return bad;
    if (s->options.quantum != 0) return nde_fail(NDE_E_ARG, "options.quantum is %g: not with problem.splitting", s->options.quantum);
    nde_splitting_claim(m, s->by, &s->composed);
    if (s->composed.stages > NDE_MOST_STAGES)
        return nde_fail(NDE_E_ARG, "problem.splitting: %d evaluations of method %s with %s and %s are too many, %d are possible",
                        s->composed.stages, m->name, s->by[0]->name, s->by[1]->name, NDE_MOST_STAGES);
    s->table.method = &s->composed;
    return NDE_OK;
}

/* Is the method for a drift of two parts, or of one, as the problem has it? */
static nde_status check_parts(const nde_problem *q, const nde_method *m) {
    const bool splits = m->kind == NDE_KIND_SPLITTING || (q->splitting && m->kind == NDE_KIND_COMPOSITION);
    const char *name = m->name ? m->name : "(tableau)";
    if (splits != (q->splitting != NULL))
        return nde_fail(NDE_E_ARG, "problem.splitting is %s: method %s is %sa splitting", q->splitting ? "given" : "NULL", name,
                        q->splitting ? "not " : "");
    if (!splits && (q->split > 0) != nde_method_is_split(m))
        return nde_fail(NDE_E_ARG, "problem.split is %zu: method %s is %sfor partitioned problems", q->split, name,
                        q->split ? "not " : "");
    return NDE_OK;
}

static nde_status choose_method(nde_solver *s) {
    const nde_options *o = &s->options;
    const nde_problem *q = &s->rhs.problem;
    const nde_method *m = NULL;
    if (o->tableau) {
        if (o->method)
            return nde_fail(NDE_E_ARG,
                            "options: method is %d and tableau is given: one of them must be 0",
                            (int)o->method);
        nde_tableau table;
        if (!nde_read_sized(&table, sizeof table, o->tableau, sizeof table))
            return nde_fail(NDE_E_ARG, "options.tableau.size is %zu", o->tableau->size);
        if (table.stages < 1 || table.stages > NDE_MOST_STAGES || (!table.a && table.stages > 1) ||
            !table.b)
            return nde_fail(NDE_E_ARG, "options.tableau: %zu stages, a or b is NULL", table.stages);
        if (table.e && table.error_order < 1)
            return nde_fail(NDE_E_ARG, "options.tableau: error_order is %d, e is given", table.error_order);
        s->own_method = (nde_method){ .kind = NDE_KIND_RUNGE_KUTTA,
                                      .stages = (int)table.stages,
                                      .a = table.a,
                                      .b = table.b,
                                      .e = table.e,
                                      .order = table.order,
                                      .error_order = table.e ? table.error_order : 0,
                                      .first_same_as_last = table.first_same_as_last != 0 };
        m = &s->own_method;
    } else {
        const int id = o->method      ? o->method
                       : s->rhs.noisy ? NDE_EULER_MARUYAMA
                       : q->split     ? NDE_VELOCITY_VERLET
                       : q->splitting ? NDE_STRANG
                                      : NDE_TSIT5;
        m = nde_method_get(id);
        if (!m) return nde_fail(NDE_E_ARG, "options.method %d is unknown", (int)o->method);
    }
    s->base = m;
    m = plain_of(s);
    if (s->rhs.noisy != (m->kind == NDE_KIND_EULER_MARUYAMA))
        return nde_fail(NDE_E_CALCULUS, "method %s %s noise", m->name ? m->name : "(tableau)",
                        s->rhs.noisy ? "cannot integrate" : "needs a term with");
    if (s->rhs.noisy && q->calculus != NDE_ITO)
        return nde_fail(NDE_E_CALCULUS,
                        "method %s converges to the Ito solution, problem.calculus is Stratonovich",
                        m->name);
    nde_status bad = check_parts(q, m);
    if (bad) return bad;
    if (m->kind == NDE_KIND_NYSTROM && (2*q->split != s->rhs.dim || q->n_terms))
        return nde_fail(NDE_E_ARG, q->n_terms ? "problem.n_terms is %zu: method %s is for q' = v, v' = F2(t, q) alone"
                                              : "problem.split is %zu: method %s is for as many positions as velocities",
                        q->n_terms ? q->n_terms : q->split, m->name);
    s->measured = s->measured || m->e_velocity;
    if (q->quadrature && m->kind == NDE_KIND_NYSTROM)
        return nde_fail(NDE_E_ARG, "problem.quadrature: method %s has velocities at the ends of a step only", m->name);
    if (q->quadrature && m->kind == NDE_KIND_COMPOSITION)
        return nde_fail(NDE_E_ARG, "problem.quadrature: method %s has positions and velocities of different times", m->name);
    if (o->compensated && !q->splitting && (m->kind == NDE_KIND_COMPOSITION || m->kind == NDE_KIND_NYSTROM))
        return nde_fail(NDE_E_ARG, "options.compensated is 1: method %s adds to the state otherwise than once in a step", m->name);
    if (o->compensated && m->partners)
        return nde_fail(NDE_E_ARG, "options.compensated is 1: method %s carries a partner, which is not summed", m->name);
    if (o->compensated && m->kind == NDE_KIND_CHEBYSHEV)
        return nde_fail(NDE_E_ARG, "options.compensated is 1: method %s has plain sums only", m->name);
    s->adaptive = o->steps == 0;
    s->joint = s->adaptive && o->stepping == NDE_STEP_JOINT;
    s->table.method = m;
    if ((bad = read_damping(s)) || (bad = choose_order(s)) || (o->error == NDE_ERROR_DOUBLING && (bad = choose_doubling(s))) ||
        (bad = choose_coupling(s)) || (bad = read_quantum(s)) || (bad = choose_stages(s)))
        return bad;
    if (s->adaptive && !s->table.method->error_order)
        return nde_fail(NDE_E_ARG,
                        "options.steps is 0: method %s has no error estimate and needs fixed steps, or options.error",
                        m->name ? m->name : "(tableau)");
    return q->splitting ? choose_splitting(s) : NDE_OK;
}

static nde_status check_noise(const nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    for (size_t k = 0; k < q->n_terms; k++) {
        const nde_noise *noise = q->terms[k].noise;
        if (noise && noise->grid && noise->grid % s->options.steps)
            return nde_fail(NDE_E_ARG, "noise.grid is %lld: not a multiple of options.steps %lld",
                            (long long)noise->grid, (long long)s->options.steps);
    }
    return NDE_OK;
}

static void (*choose_sprint(int isa))(nde_solver *s, nde_panel *p) {
    switch (isa) {
#ifdef NDE_HAVE_V4
    case NDE_ISA_V4: return nde_sprint_v4;
#endif
#ifdef NDE_HAVE_V3
    case NDE_ISA_V3: return nde_sprint_v3;
#endif
    default: return nde_sprint_baseline;
    }
}

/* The product of a BLAS's own table in this precision. */
#ifdef nde_real
#define GEMM sgemm
#else
#define GEMM dgemm
#endif

static nde_status choose_kernels(nde_solver *s) {
    const nde_options *o = &s->options;
    nde_blas blas = { 0 };
    const nde_kernels *kernels = nde_kernels_get(o->isa, !o->reproducible && !o->blas);
    if (!kernels) return nde_fail(NDE_E_ARG, "options.isa %d: not in this library, or not on this machine", (int)o->isa);
    if (o->blas && !nde_read_sized(&blas, sizeof blas, o->blas, sizeof blas))
        return nde_fail(NDE_E_ARG, "options.blas: its size, %zu bytes, is not a layout that this library knows", o->blas->size);
    s->kernels = *kernels;
    if (!o->reproducible && blas.GEMM) s->kernels.gemm = blas.GEMM;
    s->rhs.kernels = &s->kernels;
    return NDE_OK;
}

static nde_status choose_controller(nde_solver *s) {
    const nde_options *o = &s->options;
    const int order = nde_method_estimate_order(s->table.method);
    const nde_status bad = nde_control_make(o->controller, order, o, &s->control);
    if (bad || (o->decide && !nde_read_sized(&s->decide, sizeof s->decide, o->decide, sizeof s->decide)))
        return bad ? bad : nde_fail(NDE_E_ARG, "options.decide.size is %zu", o->decide->size);
    if (o->decide && !s->decide.decide) return nde_fail(NDE_E_ARG, "options.decide.decide is NULL");
    if (s->decide.decide || o->n_clip || s->measured || s->guarded || o->h_min_policy == NDE_H_MIN_ACCEPT || o->compensated)
        s->sprint = NULL;
    return nde_filter_make(o->controller, order, o, &s->control, &s->filter);
}

static nde_status read_all(nde_solver *s, const nde_problem *problem, const nde_options *options) {
    *s = (nde_solver){ 0 };
    nde_status bad = nde_rhs_make(&s->rhs, problem, s->term, s->own_term);
    if (bad) return bad;
    if (!nde_read_sized(&s->options, sizeof s->options, options, sizeof s->options))
        return nde_fail(NDE_E_ARG, "options.size: %zu bytes are not a layout that this library knows",
                        options->size);
    if ((bad = read_tolerances(s)) || (bad = read_tolerances_n(s)) || (bad = read_measure(s)) || (bad = read_domain(s)) || (bad = read_limits(s)) || (bad = read_clips(s)) || (bad = read_saves(s)) ||
        (bad = read_loss(s)) || (bad = read_rows(s)) || (bad = read_reduction(s)) || (bad = choose_method(s)) || (bad = check_noise(s)))
        return bad;
    s->N = s->rhs.N;
    s->per_dim = 1/s->counted;
    s->tangent_rows = s->rhs.rows*(1 + (size_t)s->table.method->partners);
    s->state_rows = s->tangent_rows + (s->options.compensated ? s->rhs.rows : 0);
    s->rhs.steps = s->options.steps;
    if ((bad = choose_kernels(s))) return bad;
    s->body = nde_body_get(s->kernels.isa, s->table.method->kind);
    if (s->joint && (s->rhs.problem.t0_each || s->rhs.problem.t1_each))
        return nde_fail(NDE_E_ARG, "problem.t0_each: joint steps need one span for all");
    if ((bad = read_events(s))) return bad;
    if (s->N == 1 && s->adaptive && !s->options.adjoint && s->rhs.plain && !s->rhs.problem.n_events &&
        s->table.method->kind == NDE_KIND_RUNGE_KUTTA)
        s->sprint = choose_sprint(s->kernels.isa);
    s->marches = !s->adaptive && !s->options.adjoint && s->rhs.plain && !s->rhs.problem.n_events && !s->options.max_evals &&
                 !s->guarded && s->saving != NDE_SAVE_EVERY && !s->table.chebyshev.most;
    s->runs = s->marches && s->table.method->kind == NDE_KIND_RUNGE_KUTTA;
    s->executor = s->options.executor;
    s->n_workers = s->executor              ? (size_t)s->executor->workers
                   : s->options.threads > 1 ? (size_t)s->options.threads
                                            : 1;
    s->allocator = s->options.allocator ? *s->options.allocator : nde_allocator_default;
    return s->adaptive ? choose_controller(s) : NDE_OK;
}

/* ---- how trajectories are divided: by n and dim only ----------------------------------------- */

enum { MOST_SHARDS = 64 };

static size_t ceil_to(size_t x, size_t to) { return (x + to - 1)/to*to; }

nde_division nde_solver_divide(const nde_solver *s) {
    const size_t n = s->N, dim = s->rhs.dim, widest = s->rhs.tape > dim ? s->rhs.tape : dim;
    nde_division d;
    if (s->joint) { /* panels whose widest layer stays in half of a second-level cache of 1 MiB */
        size_t most = ((size_t)1 << 17)/widest/64*64;
        most = most < 64 ? 64 : most > 512 ? 512 : most;
        d.panels = (n + most - 1)/most;
        d.each = n < 8 ? n : ceil_to((n + d.panels - 1)/d.panels, 8);
        d.panels = (n + d.each - 1)/d.each;
        d.capacity = d.each;
        d.shards = d.panels < MOST_SHARDS ? d.panels : MOST_SHARDS;
    } else { /* blocks that stay in the first-level cache, with a queue of several each */
        const size_t lanes = dim <= 4 ? 128 : 64;
        d.each = s->options.group ? s->options.group
                 : n <= lanes     ? n
                                  : ceil_to((n + MOST_SHARDS - 1)/MOST_SHARDS, lanes);
        if (!s->options.group && n > lanes && d.each < 8*lanes) d.each = 8*lanes;
        if (d.each > n) d.each = n;
        d.capacity = d.each < lanes ? d.each : lanes;
        d.panels = d.shards = (n + d.each - 1)/d.each;
    }
    return d;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void *array(nde_arena *arena, size_t rows, size_t columns, size_t bytes) {
    size_t count;
    if (!nde_size_multiply(rows, columns, &count)) return arena->overflow = true, NULL;
    return nde_arena_take(arena, count, bytes);
}

#define TAKE(pointer, rows, columns) ((pointer) = array(arena, (rows), (columns), sizeof *(pointer)))

/* What of a panel outlives a step. */
static void lay_state(nde_panel *p, nde_arena *arena, const nde_solver *s, size_t capacity) {
    const size_t ld = nde_leading_dimension(capacity, sizeof(nde_real)), rows = s->rhs.rows;
    p->capacity = capacity, p->ld = ld, p->slab = rows*ld;
    TAKE(p->live, 1, 1);
    TAKE(p->trajectory, 1, capacity), TAKE(p->interval, 1, capacity), TAKE(p->forced, 1, capacity),
        TAKE(p->saved, 1, capacity);
    TAKE(p->node, 1, capacity), TAKE(p->accepted, 1, capacity), TAKE(p->rejected, 1, capacity),
        TAKE(p->evals, 1, capacity);
    TAKE(p->t, 1, capacity), TAKE(p->t1, 1, capacity), TAKE(p->h, 1, capacity),
        TAKE(p->before, 1, capacity), TAKE(p->h_last, 1, capacity);
    TAKE(p->h_first, 1, capacity), TAKE(p->stop, 1, capacity), TAKE(p->watch, 1, capacity);
    TAKE(p->refused, 1, capacity), TAKE(p->refusals, 1, capacity);
    const bool history = s->filter.on || s->decide.decide;
    TAKE(p->before2, history, capacity), TAKE(p->h_last2, history, capacity);
    TAKE(p->rtol, s->options.rtol_n != NULL, capacity), TAKE(p->atol, s->options.atol_n != NULL, capacity);
    TAKE(p->forced_steps, s->adaptive && s->options.h_min_policy == NDE_H_MIN_ACCEPT, capacity);
    TAKE(p->stiff, s->adaptive && s->table.method->kind == NDE_KIND_RUNGE_KUTTA, capacity);
    TAKE(p->state[0], s->state_rows, ld), TAKE(p->state[1], s->state_rows, ld), TAKE(p->q, s->rhs.nq, ld);
    TAKE(p->own_k, (size_t)s->table.stages*rows, ld);
    TAKE(p->g, s->rhs.problem.n_events, ld);
}

static void lay_attempt(nde_panel *p, nde_arena *arena, const nde_solver *s) {
    const size_t ld = p->ld, capacity = p->capacity;
    TAKE(p->t_stage, s->options.n_clip != 0, ld);
    TAKE(p->t_new, 1, ld), TAKE(p->dt, 1, ld), TAKE(p->error, 1, ceil_to(ld, 16)),
        TAKE(p->error2, s->table.method->e2_order || s->table.method->e_velocity ? 1 : 0, ceil_to(ld, 16)),
        TAKE(p->t_done, 1, ld), TAKE(p->dt_done, 1, ld);
    TAKE(p->accept, 1, capacity), TAKE(p->mark, 1, capacity);
    TAKE(p->estimate, s->norm.of ? s->rhs.dim : 0, ld), TAKE(p->norm, s->norm.of ? 1 : 0, ld);
    TAKE(p->point, s->domain.inside ? s->rhs.dim : 0, 1);
    TAKE(p->kept, s->runs ? s->state_rows + s->rhs.rows : 0, ld);
    TAKE(p->h_real, 1, ceil_to(ld, 16)), TAKE(p->chosen, 1, ld);
    TAKE(p->lanes.piece, s->rhs.paths, ld), TAKE(p->lanes.rate, s->rhs.rates, ld);
    p->lanes.site = (nde_site){
        .ld = ld, .index = p->trajectory, .interval = p->interval, .q = p->q, .lane = p->mark
    };
    if (s->rhs.plain && p->q) p->lanes.site.q = p->q + s->rhs.drift.field->q_first*ld;
    if (s->joint) p->lanes.site.flags |= NDE_SAME_TIME;
}

static void lay_group(nde_group *g, nde_arena *arena, const nde_solver *s, size_t capacity, size_t ld) {
    const size_t rows = s->rhs.rows, inputs = s->rhs.problem.jump_inputs, slopes = (size_t)s->table.slopes;
    const bool extended = s->table.slopes > s->table.stages;
    TAKE(g->trajectory, 1, capacity), TAKE(g->interval, 1, capacity), TAKE(g->node, 1, capacity),
        TAKE(g->piece, s->rhs.paths, ld);
    for (int i = 0; i < 3; i++) TAKE(g->square[i], 1, capacity);
    TAKE(g->t, 1, ld), TAKE(g->dt, 1, ld), TAKE(g->mark, 1, capacity);
    TAKE(g->y, rows, ld), TAKE(g->z, rows, ld), TAKE(g->k, (extended ? slopes : 2)*rows, ld),
        TAKE(g->q, s->rhs.nq, ld);
    TAKE(g->t_new, extended, ld), TAKE(g->h, extended, ceil_to(ld, 16));
    TAKE(g->rate, s->rhs.rates, ld), TAKE(g->u, inputs, ld);
    if (!s->options.adjoint) return;
    TAKE(g->a_y, rows, ld), TAKE(g->a_k, (extended ? slopes : 1)*rows, ld), TAKE(g->a_q, s->rhs.nq, ld),
        TAKE(g->a_u, inputs, ld), TAKE(g->a_t, 1, ld), TAKE(g->a_h, extended, ld);
}

/* Rows that wait, [capacity]. */
static void lay_rows(nde_worker *w, nde_arena *arena, const nde_solver *s, size_t capacity, size_t ld) {
    nde_rows *r = &w->rows;
    const bool observed = s->rhs.observe.field, back = observed && s->options.adjoint;
    r->capacity = s->emits ? capacity : 0;
    TAKE(w->fate, s->emits, capacity);
    TAKE(r->lane, 1, r->capacity), TAKE(r->trajectory, 1, r->capacity), TAKE(r->interval, 1, r->capacity), TAKE(r->row, 1, r->capacity);
    TAKE(r->mark, 1, r->capacity);
    if (!s->emits) return;
    TAKE(r->t, 1, ld), TAKE(r->y, s->rhs.dim, ld), TAKE(r->q, s->rhs.nq, ld), TAKE(r->lanes.piece, s->rhs.paths, ld);
    r->out = r->y;
    if (observed) TAKE(r->out, s->out, ld);
    TAKE(r->one, observed, s->rhs.dim + s->rhs.nq + s->out);
    TAKE(r->a_y, back ? s->rhs.dim : 0, ld), TAKE(r->a_q, back ? s->rhs.nq : 0, ld), TAKE(r->a_out, back ? s->out : 0, ld),
        TAKE(r->a_t, back, ld);
    r->lanes.site = (nde_site){ .ld = ld, .index = r->trajectory, .interval = r->interval, .q = r->q, .lane = r->mark };
}

static void lay_events(nde_worker *w, nde_arena *arena, size_t count, size_t capacity, size_t ld) {
    TAKE(w->verdict, count > 0, capacity), TAKE(w->length, count > 0, capacity), TAKE(w->passed, count, capacity), TAKE(w->g_new, count, ld);
    TAKE(w->root, 1, count), TAKE(w->order, 1, count);
}

static void lay_worker(nde_worker *w, nde_arena *arena, const nde_solver *s, size_t capacity) {
    const size_t ld = nde_leading_dimension(capacity, sizeof(nde_real)), rows = s->rhs.rows,
                 stages = (size_t)s->table.stages;
    nde_scratch_lay(&w->scratch, arena, &s->rhs, ld, s->options.adjoint != NDE_ADJOINT_NONE);
    if (s->table.chebyshev.most)
        nde_chebyshev_lay_scratch(&w->scratch, arena, &s->rhs, &s->table.chebyshev, ld, s->options.adjoint);
    if (s->table.multistep.order)
        nde_multistep_lay_scratch(&w->scratch, arena, &s->rhs, &s->table.multistep, ld, s->options.adjoint);
    lay_group(&w->group, arena, s, capacity, ld);
    TAKE(w->list, 1, capacity), TAKE(w->list2, 1, capacity), TAKE(w->list3, 1, capacity),
        TAKE(w->attend, 1, capacity);
    TAKE(w->status, 1, capacity), TAKE(w->crossed, 1, capacity);
    lay_events(w, arena, s->rhs.problem.n_events, capacity, ld);
    lay_rows(w, arena, s, capacity, ld);
    if (!s->options.adjoint) return;
    lay_state(&w->replica, arena, s, capacity);
    lay_attempt(&w->replica, arena, s);
    nde_window_lay(&w->window, arena, &s->rhs, ld);
    TAKE(w->who, 1, capacity), TAKE(w->saved, 1, capacity), TAKE(w->forced, 1, capacity),
        TAKE(w->accepted, 1, capacity), TAKE(w->now, 1, capacity);
    TAKE(w->a_y, s->tangent_rows, ld), TAKE(w->a_carry, rows, ld), TAKE(w->a_k, stages*rows, ld),
        TAKE(w->a_q, s->rhs.nq, ld), TAKE(w->a_z, s->state_rows, ld);
    TAKE(w->tape, (size_t)s->table.slopes*s->rhs.tape, ld), TAKE(w->a_t, 1, ld), TAKE(w->a_h, 1, ld),
        TAKE(w->loss, 1, ld);
}

static void lay_hits(nde_solver *s, nde_arena *arena, size_t row) {
    const size_t N = s->N, count = s->rhs.problem.n_events, rows = s->hits.rows;
    TAKE(s->hits.count, count, N), TAKE(s->hits.kept, count > 0, N), TAKE(s->hits.end, count > 0, N);
    TAKE(s->hits.which, rows, N), TAKE(s->hits.together, rows, N), TAKE(s->hits.t, rows, N), TAKE(s->hits.y, rows, row);
}

/* Sums of the shards, which a saved state holds. */
static void lay_sums(nde_solver *s, nde_arena *arena) {
    nde_sums *sums = &s->sums;
    size_t rows, entries;
    if (!s->reduces) return;
    if (!nde_size_multiply(s->n_shards, s->rows_saved, &rows) || !nde_size_multiply(rows, s->out, &entries)) {
        arena->overflow = true;
        return;
    }
    TAKE(sums->count, 1, rows), TAKE(sums->mean, 1, entries), TAKE(sums->square, 1, entries), TAKE(sums->least, 1, entries),
        TAKE(sums->greatest, 1, entries), TAKE(sums->own, rows, sums->stride);
    if (!s->reduction.n_levels) return;
    if (!nde_size_multiply(entries/s->n_shards, nde_sketch_size(&sums->buckets), &sums->sketch_size)) arena->overflow = true;
    TAKE(sums->sketch, 1, sums->sketch_size);
}

/* What they come to, and the sketches of the workers behind the first. */
static void lay_results(nde_solver *s, nde_arena *arena) {
    nde_sums *sums = &s->sums;
    const size_t rows = s->rows_saved, levels = s->reduction.n_levels;
    size_t quantiles;
    if (!s->reduces) return;
    if (!nde_size_multiply(levels, s->out, &quantiles)) arena->overflow = true;
    TAKE(sums->all_count, 1, rows), TAKE(sums->all_mean, rows, s->out), TAKE(sums->all_variance, rows, s->out),
        TAKE(sums->all_least, rows, s->out), TAKE(sums->all_greatest, rows, s->out), TAKE(sums->all_own, rows, sums->stride);
    TAKE(sums->quantile, rows, quantiles), TAKE(sums->levels, 1, levels), TAKE(sums->sketches, s->n_workers - 1, sums->sketch_size);
    if (sums->levels) memcpy(sums->levels, s->reduction.levels, levels*sizeof *sums->levels);
}

static void lay_outputs(nde_solver *s, nde_arena *arena) {
    const size_t N = s->N, dim = s->rhs.dim;
    size_t row, wide;
    if (!nde_size_multiply(dim, N, &row) || !nde_size_multiply(s->out, N, &wide)) {
        arena->overflow = true;
        return;
    }
    TAKE(s->y_out, s->options.discard ? 0 : s->rows_saved, wide), TAKE(s->y_end, 1, row), TAKE(s->z_end, s->rhs.nz, N);
    if (s->saving == NDE_SAVE_EVERY && (!s->options.discard || s->options.adjoint)) TAKE(s->save_t_out, s->rows_saved, N);
    TAKE(s->t_end, 1, N), TAKE(s->saved, 1, N), TAKE(s->status, 1, N), TAKE(s->stats, 1, N);
    lay_hits(s, arena, row);
    lay_sums(s, arena);
}

static size_t path_reals(const nde_solver *s, const nde_path *path, nde_arena *arena) {
    size_t count;
    if (!nde_size_multiply(path->knots, path->channels, &count) ||
        !nde_size_multiply(count, s->N, &count))
        return arena->overflow = true, (size_t)0;
    return count;
}

static void lay_gradients(nde_solver *s, nde_arena *arena) {
    const nde_problem *q = &s->rhs.problem;
    const size_t N = s->N;
    TAKE(s->g_save_t, s->save_lane ? s->rows_saved : 0, N);
    TAKE(s->g_y0, s->rhs.dim, N), TAKE(s->g_q, s->rhs.nq, N), TAKE(s->g_t0, 1, N), TAKE(s->g_t1, 1, N);
    size_t inputs;
    if (!nde_size_multiply(q->n_jumps, q->jump_inputs, &inputs)) arena->overflow = true;
    TAKE(s->g_jump_u, inputs, N);
    if (q->input) TAKE(s->g_input, 1, path_reals(s, q->input, arena));
    TAKE(s->g_term, 1, q->n_terms);
    for (size_t k = 0; k < q->n_terms; k++) {
        nde_real *x = NULL;
        if (q->terms[k].path) TAKE(x, 1, path_reals(s, q->terms[k].path, arena));
        if (s->g_term) s->g_term[k] = x;
    }
}

/* While counting, one of `times` equal parts has been laid from `from` on: counts the others. */
static void count_again(nde_arena *arena, size_t from, size_t times) {
    size_t rest;
    if (arena->base || arena->overflow) return;
    if (!nde_size_multiply(arena->used - from, times - 1, &rest) ||
        !nde_size_add(arena->used, rest, &arena->used))
        arena->overflow = true;
}

/* The caller's tolerances and weights, copied. */
static void lay_measure(nde_solver *s, nde_arena *arena) {
    const nde_options *o = &s->options;
    TAKE(s->rtol_n, o->rtol_n != NULL, s->N), TAKE(s->atol_n, o->atol_n != NULL, s->N);
    TAKE(s->weight, o->weights != NULL, s->rhs.dim);
    if (s->rtol_n) memcpy(s->rtol_n, o->rtol_n, s->N*sizeof *s->rtol_n);
    if (s->weight) memcpy(s->weight, o->weights, s->rhs.dim*sizeof *s->weight);
    for (size_t j = 0; s->atol_n && j < s->N; j++) s->atol_n[j] = fmax(o->atol_n[j], DBL_MIN);
}

/* Everything, in one order: counted with base NULL, handed out with a block. */
static nde_status lay(nde_solver *s, nde_arena *arena) {
    const nde_division d = nde_solver_divide(s);
    const nde_problem *q = &s->rhs.problem;
    (void)array(arena, 1, 1, sizeof *s); /* the solver itself comes first */
    s->n_panels = d.panels, s->n_shards = d.shards;
    TAKE(s->panel, 1, d.panels), TAKE(s->shard, 1, d.shards), TAKE(s->worker, 1, s->n_workers);
    double *space = NULL;
    if (s->options.tableau) {
        TAKE(space, 1, nde_tableau_space(s->options.tableau->stages));
        if (space) {
            const nde_status bad = nde_tableau_read(s->options.tableau, &s->own_method, space);
            if (bad) return bad;
        }
    }
    if (s->options.error == NDE_ERROR_DOUBLING) {
        TAKE(space, 1, nde_doubling_space(s->base));
        if (space) nde_doubling_write(s->base, &s->doubled, space);
    }
    if (q->splitting) {
        TAKE(space, 1, nde_splitting_space(s->base, s->by));
        if (space) nde_splitting_write(s->base, s->by, &s->composed, space);
    }
    if (s->options.coupling > 0) {
        const nde_method *m = s->options.error == NDE_ERROR_DOUBLING ? &s->doubled : s->base;
        TAKE(space, 1, nde_coupling_space(m));
        if (space) nde_coupling_write(m, s->options.coupling, &s->coupled, space);
    }
    const nde_status bad = nde_table_lay(&s->table, arena, s->table.method, s->rhs.dim, q->split);
    if (bad) return bad;
    s->table.compensated = s->options.compensated;
    TAKE(s->save_t, s->saving == NDE_SAVE_TIMES ? s->rows_saved : 1, s->save_row);
    double *each = NULL;
    if (s->options.atol_each) TAKE(each, 1, s->rhs.dim);
    for (size_t i = 0; each && i < s->rhs.dim; i++) each[i] = fmax(s->options.atol_each[i], DBL_MIN);
    if (each) s->tolerance.atol_each = each;
    lay_measure(s, arena);
    size_t knots = q->n_jumps;
    for (size_t k = 0; k < q->n_terms; k++)
        if (q->terms[k].path && !nde_size_add(knots, q->terms[k].path->knots, &knots))
            arena->overflow = true;
    if (!nde_size_add(knots, s->options.n_clip, &knots)) arena->overflow = true;
    TAKE(s->forced.t, 1, knots), TAKE(s->forced.jump, 1, knots), TAKE(s->forced.clip, 1, knots);
    TAKE(s->clip_t, 1, s->options.n_clip);
    if (s->clip_t) memcpy(s->clip_t, s->options.clip_t, s->options.n_clip*sizeof *s->clip_t);
    TAKE(s->rhs.prepared_values, 1, s->rhs.prepared);

    size_t from = s->state_from = arena->used;
    for (size_t k = 0; k < (s->panel ? d.panels : 1); k++) {
        nde_panel counted, *p = s->panel ? &s->panel[k] : &counted;
        lay_state(p, arena, s, d.capacity);
    }
    count_again(arena, from, d.panels);
    lay_outputs(s, arena);
    s->state_to = arena->used;
    lay_results(s, arena);

    from = arena->used;
    for (size_t k = 0; k < (s->panel ? d.panels : 1); k++) {
        nde_panel counted = { 0 }, *p = s->panel ? &s->panel[k] : &counted;
        if (!s->panel)
            p->capacity = d.capacity, p->ld = nde_leading_dimension(d.capacity, sizeof(nde_real));
        lay_attempt(p, arena, s);
        p->first = k*d.each;
        p->count = p->first + d.each <= s->N ? d.each : s->N - p->first;
    }
    count_again(arena, from, d.panels);
    from = arena->used;
    for (size_t k = 0; k < (s->worker ? s->n_workers : 1); k++) {
        nde_worker counted, *w = s->worker ? &s->worker[k] : &counted;
        lay_worker(w, arena, s, d.capacity);
        w->scratch.worker = (int)k;
    }
    count_again(arena, from, s->n_workers);
    from = arena->used;
    for (size_t k = 0; k < (s->shard ? d.shards : 1); k++) {
        nde_shard counted, *shard = s->shard ? &s->shard[k] : &counted;
        shard->first = k*d.panels/d.shards;
        shard->count = (k + 1)*d.panels/d.shards - shard->first;
        shard->p = shard->save_t = shard->jump_t = NULL;
        for (size_t j = 0; s->shard && j < shard->count; j++) s->panel[shard->first + j].shard = k;
        if (!s->adjoint) continue;
        TAKE(shard->p, 1, s->rhs.np), TAKE(shard->save_t, 1, s->saving == NDE_SAVE_TIMES && !s->save_lane ? s->rows_saved : 0),
            TAKE(shard->jump_t, 1, q->n_jumps);
    }
    count_again(arena, from, d.shards);
    if (s->adjoint) lay_gradients(s, arena);
    if (s->loss.at && s->adjoint) {
        size_t row;
        if (!nde_size_multiply(s->out, s->N, &row)) arena->overflow = true;
        TAKE(s->a_out, s->rows_saved, row);
    }
    if (s->adjoint > NDE_ADJOINT_DISCRETE) {
        const nde_status refused = nde_back_lay(s, arena);
        if (refused) return refused;
    }
    if (s->rhs.observe.field && s->options.adjoint) {
        TAKE(s->y_rows, s->rows_saved, s->rhs.dim*s->N); /* no larger than y_end */
        TAKE(s->a_rows, s->rows_saved, s->rhs.dim*s->N);
    }
    return arena->overflow
               ? nde_fail(NDE_E_SIZE, "the sizes of problem and options are too large together")
               : NDE_OK;
}

/* Bytes of the whole and of each panel's record. */
static nde_status sizes(nde_solver *s, size_t *total, size_t *slice) {
    nde_arena arena = { 0 };
    const nde_status bad = lay(s, &arena);
    if (bad) return bad;
    *slice = 0;
    if (s->options.adjoint) {
        const size_t budget = s->options.budget ? s->options.budget : nde_budget_default();
        *slice = budget/s->n_panels/64*64;
    }
    size_t record;
    if (!nde_size_multiply(*slice, s->n_panels, &record) || !nde_size_add(arena.used, record, total) ||
        !nde_size_add(*total, s->back_bytes, total) || !nde_size_add(*total, 64, total))
        return nde_fail(NDE_E_SIZE, "options.budget is too large: %zu", s->options.budget);
    *total -= 64;
    *total = ceil_to(*total, 64);
    return NDE_OK;
}

nde_status nde_solver_measure(nde_solver *s, const nde_problem *problem, const nde_options *options,
                              size_t *total, size_t *slice) {
    const nde_status bad = read_all(s, problem, options);
    return bad ? bad : sizes(s, total, slice);
}

size_t nde_solver_bytes(const nde_problem *problem, const nde_options *options) {
    nde_solver s;
    size_t total, slice;
    return nde_solver_measure(&s, problem, options, &total, &slice) ? 0 : total;
}

void nde_solver_open_record(const nde_solver *s, nde_record *record, size_t ld, void *base, size_t size) {
    const size_t stages = (size_t)s->table.stages, slab = s->rhs.rows*ld;
    nde_record_open(record, base, size, s->options.record, s->rhs.dim, s->state_rows*ld, stages*slab, stages*s->rhs.tape*ld);
}

/* Builds the solver in a block of exactly `total` bytes. */
static nde_status build(nde_solver *plan, void *block, size_t total, size_t slice, nde_solver **out) {
    nde_solver *s = block;
    const size_t fixed = total - slice*plan->n_panels - plan->back_bytes;
    memset(block, 0, fixed);
    *s = *plan;
    s->rhs.term = s->term;
    s->rhs.problem.terms = s->own_term;
    s->rhs.kernels = &s->kernels;
    if (s->options.tableau) s->base = &s->own_method;
    s->table.method = table_of(s);
    s->block = block, s->bytes = total;
    nde_arena arena = { .base = block };
    const nde_status bad = lay(s, &arena);
    if (bad) return bad;
    if (s->saving == NDE_SAVE_TIMES)
        memcpy(s->save_t, s->save_lane ? s->options.save_t_each : s->options.save_t, s->rows_saved*s->save_row*sizeof *s->save_t);
    for (size_t k = 0; k < s->n_panels; k++) {
        nde_panel *p = &s->panel[k];
        unsigned char *base = (unsigned char *)block + fixed + k*slice;
        nde_solver_open_record(s, &p->record, p->ld, base, slice);
    }
    if (!s->executor && s->options.threads > 1) {
        s->pool = nde_pool_create(s->options.threads, &s->allocator);
        if (!s->pool)
            return nde_fail(NDE_E_NOMEM, "out of memory: a pool of %d threads",
                            (int)s->options.threads);
        s->own_executor =
            (nde_executor){ .run = nde_pool_run, .ctx = s->pool, .workers = s->options.threads };
        s->executor = &s->own_executor;
    }
    if (s->back) {
        const nde_status refused = nde_back_make(s, (unsigned char *)block + total - s->back_bytes);
        if (refused) {
            if (s->pool) nde_pool_destroy(s->pool, &s->allocator);
            return refused;
        }
    }
    *out = s;
    return NDE_OK;
}

nde_status nde_solver_create(const nde_problem *problem, const nde_options *options,
                             nde_solver **solver) {
    nde_solver plan;
    size_t total, slice;
    if (!solver) return nde_fail(NDE_E_ARG, "nde_solver_create: solver is NULL");
    *solver = NULL;
    nde_status bad = nde_solver_measure(&plan, problem, options, &total, &slice);
    if (bad) return bad;
    void *block = plan.allocator.take(plan.allocator.ctx, total, 64);
    if (!block) return nde_fail(NDE_E_NOMEM, "out of memory: %zu bytes", total);
    plan.own_block = true;
    bad = build(&plan, block, total, slice, solver);
    if (bad) plan.allocator.give(plan.allocator.ctx, block, total);
    return bad;
}

nde_status nde_solver_create_in(void *block, size_t bytes, const nde_problem *problem,
                                const nde_options *options, nde_solver **solver) {
    nde_solver plan;
    size_t total, slice;
    if (!solver) return nde_fail(NDE_E_ARG, "nde_solver_create_in: solver is NULL");
    *solver = NULL;
    nde_status bad = nde_solver_measure(&plan, problem, options, &total, &slice);
    if (bad) return bad;
    if (!block || (uintptr_t)block % 64)
        return nde_fail(NDE_E_ARG, "nde_solver_create_in: block is %s",
                        block ? "not at a multiple of 64" : "NULL");
    if (bytes < total)
        return nde_fail(NDE_E_ARG, "nde_solver_create_in: bytes is %zu, needed are %zu", bytes, total);
    return build(&plan, block, total, slice, solver);
}

void nde_solver_destroy(nde_solver *s) {
    if (!s) return;
    const nde_allocator allocator = s->allocator;
    if (s->pool) nde_pool_destroy(s->pool, &allocator);
    if (s->own_block) allocator.give(allocator.ctx, s->block, s->bytes);
}
