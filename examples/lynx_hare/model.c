/* SPDX-License-Identifier: MIT */
#include "model.h"

#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

enum { STAGES = 5, OF_START = 128 }; /* horizons; purpose of the random numbers that begin a fit */

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
        for (size_t k = 0; k < to->train; k++) squares += pow(log(from->population[k][i]) - to->mean[i], 2);
        to->sd[i] = fmax(sqrt(squares/(double)to->train), 1e-6);
        for (size_t k = 0; k < to->rows; k++) {
            to->z[k][i] = (log(from->population[k][i]) - to->mean[i])/to->sd[i];
            to->weight[k][i] = to->sd[i]*to->sd[i]; /* so that the loss is that of the logarithms */
        }
    }
}

nde_status model_neural(model *to, const series *data, uint64_t seed) {
    memset(to, 0, sizeof *to);
    to->name = "neural ODE";
    to->decay = 1e-2;
    memcpy(to->width, (size_t[]){ SPECIES, 32, SPECIES }, 3*sizeof *to->width);
    to->network = NDE_INIT(nde_mlp, .layers = 2, .width = to->width, .hidden = NDE_TANH);
    to->field = nde_field_mlp(&to->network);
    to->np = to->field.np;
    memcpy(to->theta + to->np, data->z[0], sizeof data->z[0]);
    return nde_mlp_init(&to->network, seed, to->theta);
}

static int lotka_volterra(double t, const double *z, const double *p, double *dz, void *ctx) {
    const double *sd = ctx;
    (void)t;
    dz[HARE] = (exp(p[0]) - exp(p[1] + sd[LYNX]*z[LYNX]))/sd[HARE];
    dz[LYNX] = (exp(p[2] + sd[HARE]*z[HARE]) - exp(p[3]))/sd[LYNX];
    return 0;
}

static int lotka_volterra_vjp(double t, const double *z, const double *p, const double *a, double *az, double *ap, double *at,
                              void *ctx) {
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

nde_status model_lotka_volterra(model *to, const series *data, double period, uint64_t seed, uint64_t start) {
    memset(to, 0, sizeof *to);
    to->name = "Lotka-Volterra";
    memcpy(to->sd, data->sd, sizeof to->sd);
    to->equations = NDE_INIT(nde_pointwise, .f = lotka_volterra, .vjp = lotka_volterra_vjp, .ctx = to->sd);
    to->field = nde_field_pointwise(&to->equations, SPECIES, 4);
    to->np = 4;
    /* Small swings have the angular frequency sqrt(alpha gamma). */
    for (uint64_t i = 0; i < 4; i++) to->theta[i] = log(6.283185307179586/period) + 0.3*nde_normal(seed, OF_START, start, 0, i);
    memcpy(to->theta + to->np, data->z[0], sizeof data->z[0]);
    return to->field.eval ? NDE_OK : NDE_E_ARG;
}

void model_rates(const model *from, const series *data, double rates[4]) {
    const double shift[] = { 0, data->mean[LYNX], data->mean[HARE], 0 };
    for (int i = 0; i < 4; i++) rates[i] = exp(from->theta[i] - shift[i]);
}

/* One iteration: theta and adam move on; loss is that of theta before. A theta that cannot be solved is not moved from. */
static nde_status iterate(model *to, const series *data, nde_solver *solver, nde_adam *adam, double *loss, int64_t *evaluations) {
    double seed_z[MOST_ROWS*SPECIES], gradient[MOST_PARAMETERS + SPECIES];
    nde_solution solution = { 0 };
    nde_status status = nde_solver_run(solver, &solution);
    *evaluations += solution.stats ? solution.stats->evals : 0;
    if (status) return status;
    status = nde_loss_mse(&solution, data->z[0], data->weight[0], loss, seed_z);
    if (status) return status;
    const nde_seed seed = NDE_INIT(nde_seed, .y = seed_z);
    const nde_gradient wanted = NDE_INIT(nde_gradient, .p = gradient, .y0 = gradient + to->np);
    status = nde_backward(solver, &seed, &wanted);
    if (status) return status;
    const double keep = 1 - to->decay*nde_adam_rate(adam);
    status = nde_adam_step(adam, to->np + SPECIES, gradient, to->theta);
    for (size_t i = 0; i < to->np && !status; i++) to->theta[i] *= keep;
    return status;
}

nde_status model_fit(model *to, const series *data, const fit_options *options, fit_result *result, char *message, size_t bytes) {
    enum { MOST_FAILURES = 20 };
    double m[MOST_PARAMETERS + SPECIES], v[MOST_PARAMETERS + SPECIES];
    double best[MOST_PARAMETERS + SPECIES], before[MOST_PARAMETERS + SPECIES];
    const size_t all = (to->np + SPECIES)*sizeof(double);
    nde_adam adam = NDE_INIT(nde_adam, .rate = options->rate, .clip = 1, .decay = 0.01, .decay_steps = options->iterations,
                             .m = m, .v = v);
    const int64_t growing = options->iterations*2/5; /* iterations until the horizon is whole */
    nde_status status = NDE_OK;
    int64_t i = 0;

    *result = (fit_result){ .loss = (double)INFINITY };
    memcpy(best, to->theta, all);
    memcpy(before, to->theta, all);
    for (int stage = 1; stage <= STAGES && status == NDE_OK; stage++) {
        const size_t horizon = stage < STAGES ? 2 + (data->train - 2)*(size_t)stage/STAGES : data->train;
        const int64_t until = stage < STAGES ? growing*stage/(STAGES - 1) : options->iterations;
        const nde_problem problem = NDE_INIT(nde_problem, .drift = &to->field, .t0 = data->year[0],
            .t1 = data->year[horizon - 1], .y0 = to->theta + to->np, .p = to->theta);
        const nde_options solve = NDE_INIT(nde_options, .method = NDE_TSIT5, .rtol = 1e-5, .atol = 1e-6, .max_steps = 2000,
            .save_t = data->year, .n_save = horizon, .adjoint = NDE_ADJOINT_DISCRETE, .budget = (size_t)8 << 20);
        nde_solver *solver = NULL;
        status = nde_solver_create(&problem, &solve, &solver);
        if (status) snprintf(message, bytes, "%s", nde_error());
        for (; i < until && status == NDE_OK; i++) {
            double loss = (double)NAN;
            double here[MOST_PARAMETERS + SPECIES];
            memcpy(here, to->theta, all);
            status = iterate(to, data, solver, &adam, &loss, &result->evaluations);
            if (status != NDE_OK || !isfinite(loss)) { /* back, and go on in smaller steps */
                snprintf(message, bytes, "%s", nde_solver_error(solver));
                if (++result->failures <= MOST_FAILURES) status = NDE_OK;
                memcpy(to->theta, before, all);
                adam.rate *= 0.5;
                continue;
            }
            memcpy(before, here, all);
            if (horizon == data->train && loss < result->loss) {
                result->loss = loss;
                memcpy(best, here, all);
            }
            if (options->label && (i + 1 == options->iterations || i*4 % options->iterations < 4))
                printf("%s: iteration %5lld of %lld, horizon %4.1f years, loss %.5f, %9lld evaluations, %6.1f s\n",
                       options->label, (long long)(i + 1), (long long)options->iterations,
                       data->year[horizon - 1] - data->year[0], loss, (long long)result->evaluations, now() - options->begun);
        }
        nde_solver_destroy(solver);
    }
    memcpy(to->theta, best, all);
    return status;
}

nde_status model_solve(const model *from, const series *data, size_t n, const double *year, double *z) {
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &from->field, .t0 = data->year[0], .t1 = year[n - 1],
        .y0 = from->theta + from->np, .p = from->theta);
    const nde_options options = NDE_INIT(nde_options, .rtol = 1e-8, .atol = 1e-8, .save_t = year, .n_save = n);
    nde_solution solution = { 0 };
    const nde_status status = nde_solve(&problem, &options, &solution);
    if (status == NDE_OK) memcpy(z, solution.y, n*SPECIES*sizeof *z);
    nde_solution_free(&solution);
    return status;
}
