/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* OF_START: the purpose of random numbers that begin a fit */
enum { STAGES = 5, MOST_FAILURES = 20, OF_START = 128 };

double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9*(double)time.tv_nsec;
}

void series_make(series *to, const table *from, size_t held_out) {
    to->rows = from->rows;
    to->train = from->rows - held_out;
    memcpy(to->year, from->year, sizeof to->year);
    for (int i = 0; i < SPECIES; i++) {
        double sum = 0, squares = 0;
        for (size_t k = 0; k < to->train; k++) sum += log(from->population[k][i]);
        to->mean[i] = sum/(double)to->train;
        for (size_t k = 0; k < to->train; k++)
            squares += pow(log(from->population[k][i]) - to->mean[i], 2);
        to->sd[i] = fmax(sqrt(squares/(double)to->train), 1e-6);
        for (size_t k = 0; k < to->rows; k++) {
            to->z[k][i] = (log(from->population[k][i]) - to->mean[i])/to->sd[i];
            to->weight[k][i] = to->sd[i]*to->sd[i]; /* so that the loss is that of the logarithms */
        }
    }
}

static nde_status begin_neural(const model *self, const series *data, uint64_t seed, int start,
                               double *theta) {
    (void)start;
    memcpy(theta + self->np, data->z[0], sizeof data->z[0]);
    return nde_mlp_init(&self->network, NDE_GLOROT_UNIFORM, seed, theta);
}

void model_neural(model *to) {
    *to = (model){ .name = "neural ODE", .starts = 1, .decay = 1e-2, .begin = begin_neural,
                   .width = { SPECIES, 32, SPECIES } };
    to->network = NDE_INIT(nde_mlp, .layers = 2, .width = to->width, .hidden = NDE_TANH);
    to->field = nde_field_mlp(&to->network);
    to->np = to->field.np;
}

static int lotka_volterra(double t, const double *z, const double *p, double *dz, void *ctx) {
    const double *sd = ctx;
    (void)t;
    dz[HARE] = (exp(p[0]) - exp(p[1] + sd[LYNX]*z[LYNX]))/sd[HARE];
    dz[LYNX] = (exp(p[2] + sd[HARE]*z[HARE]) - exp(p[3]))/sd[LYNX];
    return 0;
}

static int lotka_volterra_vjp(double t, const double *z, const double *p, const double *a,
                              double *az, double *ap, double *at, void *ctx) {
    const double *sd = ctx, h = a[HARE]/sd[HARE], l = a[LYNX]/sd[LYNX];
    const double eaten = exp(p[1] + sd[LYNX]*z[LYNX]), born = exp(p[2] + sd[HARE]*z[HARE]);
    (void)t, (void)at;
    az[LYNX] -= h*eaten*sd[LYNX];
    az[HARE] += l*born*sd[HARE];
    if (!ap) return 0;
    ap[0] += h*exp(p[0]);
    ap[1] -= h*eaten;
    ap[2] += l*born;
    ap[3] -= l*exp(p[3]);
    return 0;
}

static nde_status begin_lotka_volterra(const model *self, const series *data, uint64_t seed,
                                       int start, double *theta) {
    /* small swings: angular frequency sqrt(alpha gamma) */
    const double middle = log(6.283185307179586/self->period);
    for (uint64_t i = 0; i < 4; i++)
        theta[i] = middle + 0.3*nde_normal(seed, OF_START, (uint64_t)start, 0, i);
    memcpy(theta + self->np, data->z[0], sizeof data->z[0]);
    return NDE_OK;
}

void model_lotka_volterra(model *to, const series *data, double period) {
    *to = (model){ .name = "Lotka-Volterra", .starts = 3, .begin = begin_lotka_volterra,
                   .period = period };
    memcpy(to->sd, data->sd, sizeof to->sd);
    to->equations = NDE_INIT(nde_pointwise, .f = lotka_volterra, .vjp = lotka_volterra_vjp,
                             .ctx = to->sd);
    to->field = nde_field_pointwise(&to->equations, SPECIES, 4);
    to->np = to->field.np;
}

void model_rates(const series *data, const double *theta, double rates[4]) {
    const double shift[] = { 0, data->mean[LYNX], data->mean[HARE], 0 };
    for (int i = 0; i < 4; i++) rates[i] = exp(theta[i] - shift[i]);
}

/* Rows of stage 1 ... STAGES, and the iteration at which it ends: the horizon is whole after two
 * fifths of them. */
static size_t horizon_of(const series *data, int stage) {
    return stage < STAGES ? 2 + (data->train - 2)*(size_t)stage/STAGES : data->train;
}
static int64_t end_of(int64_t iterations, int stage) {
    return stage < STAGES ? iterations*2*stage/(5*(STAGES - 1)) : iterations;
}

static nde_solver *make_solver(const model *of, const series *data, const double *theta,
                               size_t horizon) {
    const nde_problem problem =
        NDE_INIT(nde_problem, .drift = &of->field, .t0 = data->year[0],
                 .t1 = data->year[horizon - 1], .y0 = theta + of->np, .p = theta);
    const nde_options options =
        NDE_INIT(nde_options, .method = NDE_TSIT5, .rtol = 1e-5, .atol = 1e-6, .max_steps = 2000,
                 .save_t = data->year, .n_save = horizon, .adjoint = NDE_ADJOINT_DISCRETE,
                 .budget = (size_t)8 << 20);
    nde_solver *solver = NULL;
    return nde_solver_create(&problem, &options, &solver) == NDE_OK ? solver : NULL;
}

/* The loss of theta, which the solver reads, and its gradient [np + SPECIES]. */
static nde_status differentiate(const model *of, const series *data, nde_solver *solver,
                                double *loss, double *gradient, int64_t *evaluations) {
    double seed_z[MOST_ROWS*SPECIES];
    nde_solution solution = { 0 };
    nde_status status = nde_solver_run(solver, &solution);
    *evaluations += solution.stats ? solution.stats->evals : 0;
    if (!status) status = nde_loss_mse(&solution, data->z[0], data->weight[0], loss, seed_z);
    if (status) return status;
    const nde_seed seed = NDE_INIT(nde_seed, .y = seed_z);
    const nde_gradient wanted = NDE_INIT(nde_gradient, .p = gradient, .y0 = gradient + of->np);
    return nde_backward(solver, &seed, &wanted);
}

/* One iteration. A theta that cannot be solved is taken back, and the steps become smaller; too
 * often is an error. */
static nde_status iterate(const model *of, const series *data, nde_solver *solver, fitting *at,
                          bool whole) {
    double gradient[MOST_THETA];
    const size_t count = of->np + SPECIES, bytes = count*sizeof *gradient;
    const double keep = 1 - of->decay*nde_optimiser_rate(&at->adam);
    nde_status status = differentiate(of, data, solver, &at->loss, gradient,
                                      &at->evaluations);
    if (status == NDE_OK && whole && at->loss < at->least) {
        at->least = at->loss;
        memcpy(at->best, at->theta, bytes);
    }
    if (status == NDE_OK) {
        memcpy(at->before, at->theta, bytes);
        status = nde_optimiser_step(&at->adam, count, gradient, at->theta);
    }
    if (status) {
        memcpy(at->theta, at->before, bytes);
        at->adam.rate *= 0.5;
        return ++at->failures < MOST_FAILURES ? NDE_OK : status;
    }
    for (size_t i = 0; i < of->np; i++) at->theta[i] *= keep;
    return NDE_OK;
}

static void talk(const model *of, const training *how, const fitting *at, double years) {
    const int64_t i = at->iteration;
    const bool quarter = of->starts == 1 && i*4 % how->iterations < 4;
    if (how->talk && (quarter || i + 1 == how->iterations))
        printf("seed %llu, %s: iteration %5lld, horizon %4.1f years, loss %.5f, %8lld evaluations, "
               "%5.1f s\n",
               (unsigned long long)how->seed, of->name, (long long)i, years, at->loss,
               (long long)at->evaluations, now() - how->begun);
}

/* A start from the beginning, or Adam's settings for one that goes on. */
static nde_status begin(const model *of, const series *data, const training *how, fitting *at) {
    const nde_optimiser stood = at->adam;
    at->adam = NDE_INIT(nde_optimiser, .kind = NDE_ADAM, .rate = 2e-2, .clip_norm = 1,
                        .schedule = NDE_SCHEDULE_EXPONENTIAL, .decay = 0.01,
                        .decay_steps = how->iterations, .state = at->moments);
    if (at->iteration) {
        at->adam.step = stood.step, at->adam.rate = stood.rate;
        return NDE_OK;
    }
    const nde_status status = of->begin(of, data, how->seed, (int)at->start, at->theta);
    memcpy(at->before, at->theta, sizeof at->before);
    memcpy(at->best, at->theta, sizeof at->best);
    at->loss = (double)NAN;
    at->least = (double)INFINITY;
    at->failures = 0;
    return status;
}

static nde_status fit_once(const model *of, const series *data, const training *how, fitting *at,
                           char *message, size_t bytes) {
    nde_status status = begin(of, data, how, at);
    if (status) return snprintf(message, bytes, "%s", nde_error()), status;
    for (int stage = 1; stage <= STAGES && status == NDE_OK; stage++) {
        if (at->iteration >= end_of(how->iterations, stage)) continue;
        const size_t horizon = horizon_of(data, stage);
        nde_solver *solver = make_solver(of, data, at->theta, horizon);
        if (!solver) return snprintf(message, bytes, "%s", nde_error()), NDE_E_ARG;
        while (at->iteration < end_of(how->iterations, stage) && status == NDE_OK) {
            status = iterate(of, data, solver, at, stage == STAGES);
            talk(of, how, at, data->year[horizon - 1] - data->year[0]);
            at->iteration++;
            if (!status && how->keep && !how->keep(how->ctx)) status = NDE_STOPPED;
        }
        if (status < 0)
            snprintf(message, bytes, "%s: %s", nde_status_text(status), nde_solver_error(solver));
        nde_solver_destroy(solver);
    }
    return status;
}

nde_status model_fit(const model *of, const series *data, const training *how, fitting *at,
                     char *message, size_t bytes) {
    for (; at->start < of->starts; at->start++, at->iteration = 0) {
        const nde_status status = fit_once(of, data, how, at, message, bytes);
        if (status) return status;
        if (at->start && at->least >= at->winner_least) continue;
        at->winner_least = at->least;
        memcpy(at->winner, at->best, sizeof at->winner);
    }
    return NDE_OK;
}

nde_status model_solve(const model *of, const series *data, const double *theta, size_t n,
                       const double *year, double *z) {
    const nde_problem problem =
        NDE_INIT(nde_problem, .drift = &of->field, .t0 = data->year[0], .t1 = year[n - 1],
                 .y0 = theta + of->np, .p = theta);
    const nde_options options =
        NDE_INIT(nde_options, .rtol = 1e-8, .atol = 1e-8, .save_t = year, .n_save = n);
    nde_solution solution = { 0 };
    const nde_status status = nde_solve(&problem, &options, &solution);
    if (status == NDE_OK) memcpy(z, solution.y, n*SPECIES*sizeof *z);
    nde_solution_free(&solution);
    return status;
}
