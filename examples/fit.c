/* SPDX-License-Identifier: MIT
 * fit.c - see fit.h. */
#include "fit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 256 }; /* pieces */

void need(nde_status status, const nde_solver *solver) {
    if (status) fprintf(stderr, "%s\n", solver ? nde_solver_error(solver) : nde_error()), exit(EXIT_FAILURE);
}

static double *take(size_t count) {
    double *block = calloc(count, sizeof *block);
    if (!block) fprintf(stderr, "out of memory\n"), exit(EXIT_FAILURE);
    return block;
}

trajectories follow(const nde_field *field, const double *p, size_t n, const double *y0, size_t times, double duration,
                    double tolerance) {
    trajectories to = { .n = n, .dim = field->dim, .times = times, .duration = duration, .y = take(times*field->dim*n) };
    double *t = take(times);
    nde_solution solution = { 0 };
    for (size_t k = 0; k < times; k++) t[k] = duration*(double)k/(double)(times - 1);
    const nde_problem problem = NDE_INIT(nde_problem, .n = n, .drift = field, .y0 = y0, .p = p, .t1 = duration);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_VERN7, .rtol = tolerance, .atol = tolerance, .save_t = t,
                                         .n_save = times);
    const nde_status status = nde_solve(&problem, &options, &solution);
    need(status == NDE_E_LANES ? NDE_OK : status, solution.solver);
    memcpy(to.y, solution.y, times*field->dim*n*sizeof *to.y);
    nde_solution_free(&solution);
    free(t);
    return to;
}

trajectories cut(const trajectories *whole, size_t times, size_t stride) {
    trajectories to = { .dim = whole->dim, .times = times };
    double *t = take(whole->times);
    const double step = whole->duration/(double)(whole->times - 1);
    for (size_t k = 0; k < whole->times; k++) t[k] = step*(double)k;
    const nde_series series = NDE_INIT(nde_series, .n = whole->n, .dim = whole->dim, .times = whole->times, .t = t,
                                       .y = whole->y);
    nde_window window[MOST];
    need(nde_windows(&series, times, stride, window, MOST, &to.n), NULL);
    double *relative = take(times), *y0 = take(to.dim*to.n);
    to.duration = step*(double)(times - 1), to.y = take(times*to.dim*to.n);
    need(nde_batch(&series, window, to.n, times, relative, y0, to.y, NULL, NULL), NULL);
    free(t), free(relative), free(y0);
    return to;
}

double fit(const nde_field *field, const trajectories *data, int steps, int iterations, double rate, double *z) {
    const size_t np = field->np, count = np + data->dim*data->n;
    double *state = take(2*count), *g = take(count), *seed = take(data->times*data->dim*data->n), loss = 0;
    nde_optimiser adam = NDE_INIT(nde_optimiser, .rate = rate, .state = state, .schedule = NDE_SCHEDULE_COSINE,
                                  .decay_steps = iterations);
    const nde_problem problem = NDE_INIT(nde_problem, .n = data->n, .drift = field, .y0 = z + np, .p = z, .t1 = data->duration);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_RK4, .steps = ((int64_t)data->times - 1)*steps,
                                         .save_every = steps, .adjoint = NDE_ADJOINT_DISCRETE);
    nde_solver *solver;
    nde_solution solution = { 0 };
    memcpy(z + np, data->y, data->dim*data->n*sizeof *z);
    need(nde_solver_create(&problem, &options, &solver), NULL);
    for (int i = 0; i < iterations; i++) {
        need(nde_solver_run(solver, &solution), solver);
        need(nde_loss_mse(&solution, data->y, NULL, &loss, seed), NULL);
        need(nde_backward(solver, &NDE_INIT(nde_seed, .y = seed), &NDE_INIT(nde_gradient, .p = g, .y0 = g + np)), solver);
        need(nde_optimiser_step(&adam, count, g, z), NULL);
    }
    nde_solver_destroy(solver);
    free(state), free(g), free(seed);
    return loss;
}
