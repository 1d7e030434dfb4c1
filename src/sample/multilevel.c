/* SPDX-License-Identifier: MIT
 * multilevel.c - multilevel Monte Carlo: on each level differences of fine and coarse steps along the same paths, as many
 * as variances and costs call for. Source: M. B. Giles, Oper. Res. 56 (2008) 607-617, section 5; Acta Numerica 24 (2015),
 * 3.1. */
#include "nde/sample.h"

#include <math.h>
#include <string.h>

#include "method/rhs.h"

/* Sums over the samples of a level: about their means, as Welford has it. */
typedef struct tally {
    int64_t batches, samples;
    double mean, square, fine_mean, fine_square, cost, fine_cost;
} tally;

typedef struct run {
    nde_multilevel what;
    nde_problem problem;
    nde_options options;
    nde_term term[NDE_MOST_TERMS];
    nde_noise noise[NDE_MOST_TERMS];
    uint64_t seed[NDE_MOST_TERMS];
    nde_allocator allocator;
    size_t n;
    bool paired;
    double *fine, *coarse; /* [n] values of a batch */
    int levels;
    tally level[NDE_MOST_LEVELS];
} run;

/* ---- reading --------------------------------------------------------------------------------- */

static nde_status read_noise(run *r, size_t k) {
    nde_noise *to = &r->noise[k];
    if (!r->term[k].noise) return NDE_OK;
    if (!nde_read_sized(to, sizeof *to, r->term[k].noise, sizeof *to))
        return nde_fail(NDE_E_ARG, "nde_multilevel_run: noise.size");
    if (to->source == NDE_SOURCE_STORED || to->grid)
        return nde_fail(NDE_E_ARG, "nde_multilevel_run: noise.%s is %lld: each level has noise of its own",
                        to->grid ? "grid" : "source", to->grid ? (long long)to->grid : (long long)to->source);
    r->seed[k] = to->seed, r->term[k].noise = to;
    r->paired = r->paired || to->antithetic;
    return NDE_OK;
}

static nde_status read_problem(run *r) {
    nde_problem *q = &r->problem;
    nde_options *o = &r->options;
    if (!r->what.problem || !nde_read_sized(q, sizeof *q, r->what.problem, sizeof *q))
        return nde_fail(NDE_E_ARG, "nde_multilevel_run: problem is %s", r->what.problem ? "of an unknown size" : "NULL");
    if (!nde_read_sized(o, sizeof *o, r->what.options, sizeof *o))
        return nde_fail(NDE_E_ARG, "nde_multilevel_run: options.size is %zu", r->what.options->size);
    if (o->steps < 1 || o->steps > INT32_MAX)
        return nde_fail(NDE_E_ARG, "nde_multilevel_run: options.steps is %lld: those of level 0 are fixed",
                        (long long)o->steps);
    if (q->n_terms > NDE_MOST_TERMS || (q->n_terms && !q->terms))
        return nde_fail(NDE_E_ARG, "nde_multilevel_run: problem.n_terms is %zu, terms %s", q->n_terms,
                        q->terms ? "given" : "NULL");
    const size_t stride = q->n_terms && q->terms->size ? q->terms->size : sizeof(nde_term);
    nde_status bad = NDE_OK;
    for (size_t k = 0; k < q->n_terms && !bad; k++) {
        if (!nde_read_sized(&r->term[k], sizeof r->term[k], (const char *)q->terms + k*stride, sizeof(nde_term)) ||
            r->term[k].size > stride)
            return nde_fail(NDE_E_ARG, "nde_multilevel_run: problem.terms[%zu].size", k);
        r->term[k].size = sizeof(nde_term);
        bad = read_noise(r, k);
    }
    q->terms = r->term, r->n = q->n ? q->n : 1;
    if (!bad && r->paired && r->n % 2)
        return nde_fail(NDE_E_ARG, "nde_multilevel_run: problem.n is %zu: antithetic noise has pairs", r->n);
    if (!bad && o->allocator && (!o->allocator->take || !o->allocator->give))
        return nde_fail(NDE_E_ARG, "nde_multilevel_run: options.allocator: %s is NULL", o->allocator->take ? "give" : "take");
    r->allocator = o->allocator ? *o->allocator : nde_allocator_default;
    return bad;
}

static nde_status read_all(run *r, const nde_multilevel *given) {
    nde_multilevel *w = &r->what;
    if (!given || !nde_read_sized(w, sizeof *w, given, sizeof *w))
        return nde_fail(NDE_E_ARG, "nde_multilevel_run: multilevel is %s", given ? "of an unknown size" : "NULL");
    if (!w->value) return nde_fail(NDE_E_ARG, "nde_multilevel_run: value is NULL");
    if (!(w->error > 0) || !isfinite(w->error)) return nde_fail(NDE_E_ARG, "nde_multilevel_run: error is %g", w->error);
    if (w->levels == 0) w->levels = 12;
    if (w->levels < 3 || w->levels > NDE_MOST_LEVELS)
        return nde_fail(NDE_E_ARG, "nde_multilevel_run: levels is %d", (int)w->levels);
    if (w->first < 0 || w->samples < 0)
        return nde_fail(NDE_E_ARG, "nde_multilevel_run: %s is %lld", w->first < 0 ? "first" : "samples",
                        (long long)(w->first < 0 ? w->first : w->samples));
    if (w->first == 0) w->first = 1000;
    if (w->first == 1) w->first = 2; /* a variance takes two */
    if (w->samples == 0) w->samples = 10000000000;
    if (!(w->weak >= 0) || w->weak > 16) return nde_fail(NDE_E_ARG, "nde_multilevel_run: weak is %g", w->weak);
    return read_problem(r);
}

/* ---- sampling -------------------------------------------------------------------------------- */

/* Source of the mixing: G. Steele, D. Lea, C. Flood, OOPSLA (2014). */
static uint64_t seed_of(uint64_t seed, int level, int64_t batch) {
    uint64_t z = seed + 0x9e3779b97f4a7c15u*(((uint64_t)level << 40) + (uint64_t)batch + 1);
    z = (z ^ (z >> 30))*0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27))*0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/* The values [n] of a run, and what it cost; solver NULL: zero. */
static nde_status evaluate(const run *r, nde_solver *solver, int level, double *value, double *cost) {
    nde_solution solution = NDE_INIT(nde_solution, .n = 0);
    memset(value, 0, r->n*sizeof *value);
    if (!solver) return NDE_OK;
    const nde_status status = nde_solver_run(solver, &solution);
    if (status != NDE_OK && status != NDE_EVENT)
        return nde_fail(status, "nde_multilevel_run: level %d: %s", level, nde_solver_error(solver));
    const int rc = r->what.value(r->what.ctx, &solution, value);
    if (rc) return nde_fail(NDE_E_FIELD, "nde_multilevel_run: level %d: value returned %d", level, rc);
    for (size_t b = 0; b < r->n; b++) {
        if (!isfinite(value[b]))
            return nde_fail(NDE_E_NONFINITE, "nde_multilevel_run: level %d: value[%zu] is %g", level, b, value[b]);
        *cost += (double)solution.stats[b].evals;
    }
    return NDE_OK;
}

static void add(double x, double count, double *mean, double *square) {
    const double off = x - *mean;
    *mean += off/count;
    *square += off*(x - *mean);
}

static nde_status one_batch(run *r, int level, nde_solver *fine, nde_solver *coarse) {
    tally *t = &r->level[level];
    const size_t step = r->paired ? 2 : 1;
    double cost = 0;
    for (size_t k = 0; k < r->problem.n_terms; k++) r->noise[k].seed = seed_of(r->seed[k], level, t->batches);
    nde_status bad = evaluate(r, fine, level, r->fine, &t->fine_cost);
    if (!bad) bad = evaluate(r, coarse, level, r->coarse, &cost);
    if (bad) return bad;
    t->batches++, t->cost += cost;
    for (size_t b = 0; b < r->n; b += step) {
        const double x = r->paired ? 0.5*(r->fine[b] + r->fine[b + 1]) : r->fine[b];
        const double y = r->paired ? 0.5*(r->coarse[b] + r->coarse[b + 1]) : r->coarse[b];
        const double count = (double)++t->samples;
        add(x - y, count, &t->mean, &t->square), add(x, count, &t->fine_mean, &t->fine_square);
    }
    return NDE_OK;
}

/* `more` samples of a level, or as many as batches make of that. */
static nde_status sample(run *r, int level, double more) {
    nde_solver *solver[2] = { NULL, NULL };
    const int64_t steps = r->options.steps << level;
    const double wanted = (double)r->level[level].samples + more;
    nde_status bad = NDE_OK;
    for (size_t k = 0; k < r->problem.n_terms; k++) r->noise[k].grid = r->noise[k].source == NDE_SOURCE_GRID ? steps : 0;
    for (int i = 0; i < 2 && !bad && level >= i; i++) {
        nde_options options = r->options;
        options.steps = steps >> i;
        bad = nde_solver_create(&r->problem, &options, &solver[i]);
    }
    while (!bad && (double)r->level[level].samples < wanted) bad = one_batch(r, level, solver[0], solver[1]);
    nde_solver_destroy(solver[0]), nde_solver_destroy(solver[1]);
    return bad;
}

/* ---- what is known --------------------------------------------------------------------------- */

static double variance(const tally *t) { return t->samples > 1 ? t->square/(double)(t->samples - 1) : 0; }
static double cost_of(const tally *t) { return (t->cost + t->fine_cost)/(double)t->samples; }

/* By the slope of the logarithms of the differences. */
static double weak_order(const run *r) {
    double count = r->levels - 1, mean = 0, slope = 0, square = 0;
    if (r->what.weak > 0) return r->what.weak;
    for (int l = 1; l < r->levels; l++) mean += log2(fmax(fabs(r->level[l].mean), 1e-300))/count;
    for (int l = 1; l < r->levels; l++) {
        const double at = l - 0.5*r->levels;
        slope -= at*(log2(fmax(fabs(r->level[l].mean), 1e-300)) - mean), square += at*at;
    }
    return fmax(0.5, slope/square);
}

/* Of the levels that are not there: a geometric series behind the largest of the last three, as it would have shrunk. */
static double bias_of(const run *r) {
    const double order = weak_order(r);
    double most = 0;
    for (int l = r->levels - 1, i = 0; l > 0 && i < 3; l--, i++) most = fmax(most, fabs(r->level[l].mean)*pow(2, -order*i));
    return most/(pow(2, order) - 1);
}

static double error_square(const run *r) {
    double sum = 0;
    for (int l = 0; l < r->levels; l++) sum += variance(&r->level[l])/(double)r->level[l].samples;
    return sum;
}

/* Samples that levels lack for half of the wanted error's square; false: none lacks any more than a hundredth. */
static bool lacking(const run *r, double *more) {
    double sum = 0;
    bool any = false;
    for (int l = 0; l < r->levels; l++) sum += sqrt(variance(&r->level[l])*cost_of(&r->level[l]));
    for (int l = 0; l < r->levels; l++) {
        const tally *t = &r->level[l];
        more[l] = ceil(2*sum*sqrt(variance(t)/cost_of(t))/(r->what.error*r->what.error)) - (double)t->samples;
        any = any || more[l] > 0.01*(double)t->samples;
    }
    return any;
}

static double samples_of(const run *r) {
    double sum = 0;
    for (int l = 0; l < r->levels; l++) sum += (double)r->level[l].samples;
    return sum;
}

/* More samples until the variance is small enough; *enough false: there would be too many. */
static nde_status refine(run *r, bool *enough) {
    double more[NDE_MOST_LEVELS];
    nde_status bad = NDE_OK;
    *enough = true;
    while (!bad && *enough && lacking(r, more)) {
        double total = samples_of(r);
        for (int l = 0; l < r->levels; l++) total += fmax(more[l], 0);
        *enough = total <= (double)r->what.samples;
        for (int l = 0; l < r->levels && !bad && *enough; l++)
            if (more[l] > 0) bad = sample(r, l, more[l]);
    }
    return bad;
}

static nde_multilevel_report report_of(const run *r, bool reached) {
    nde_multilevel_report out = { .size = sizeof out, .levels = r->levels, .reached = reached, .bias = bias_of(r),
                                  .standard_error = sqrt(error_square(r)) };
    for (int l = 0; l < r->levels; l++) {
        const tally *t = &r->level[l];
        const double fine = t->fine_square/(double)(t->samples - 1);
        out.level[l] = (nde_level){ .steps = r->options.steps << l, .samples = t->samples, .mean = t->mean,
                                    .variance = variance(t), .fine_mean = t->fine_mean, .fine_variance = fine,
                                    .cost = cost_of(t) };
        out.value += t->mean, out.cost += t->cost + t->fine_cost;
        out.plain_cost = fine/error_square(r)*t->fine_cost/(double)t->samples;
    }
    return out;
}

static nde_status go(run *r, nde_multilevel_report *out) {
    nde_status bad = NDE_OK;
    bool enough = true, close = false;
    while (!bad && enough && !close && r->levels < r->what.levels) {
        const int from = r->levels;
        r->levels = from ? from + 1 : 3;
        for (int l = from; l < r->levels && !bad; l++) bad = sample(r, l, (double)r->what.first);
        if (!bad) bad = refine(r, &enough);
        close = !bad && bias_of(r) <= r->what.error/sqrt(2);
    }
    if (!bad) *out = report_of(r, enough && close);
    return bad;
}

nde_status nde_multilevel_run(const nde_multilevel *multilevel, nde_multilevel_report *report) {
    run r = { .levels = 0 };
    nde_multilevel_report out;
    nde_status bad = read_all(&r, multilevel);
    if (bad) return bad;
    if (!report || (report->size && report->size < sizeof out))
        return nde_fail(NDE_E_ARG, "nde_multilevel_run: report is %s", report ? "of an unknown size" : "NULL");
    size_t bytes;
    if (!nde_size_multiply(2*sizeof *r.fine, r.n, &bytes))
        return nde_fail(NDE_E_SIZE, "nde_multilevel_run: problem.n is %zu", r.n);
    r.fine = r.allocator.take(r.allocator.ctx, bytes, 64);
    if (!r.fine) return nde_fail(NDE_E_NOMEM, "nde_multilevel_run: %zu bytes", bytes);
    r.coarse = r.fine + r.n;
    bad = go(&r, &out);
    r.allocator.give(r.allocator.ctx, r.fine, bytes);
    if (bad) return bad;
    out.size = report->size ? report->size : sizeof out;
    *report = out;
    return NDE_OK;
}
