/* SPDX-License-Identifier: MIT
 * lv_gradient, lv_gradient_times, lv_gradient_cvodes: the gradient by y0 and parameters of a Lotka-Volterra trajectory's
 * loss, t from 0 to 10, dopri5, rtol = atol = 1e-6: the sum of the state at the end, or squares of y - 1 at 21 times. */
#include "fields.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TIMES = 21, ALL = 6 };

static const nde_real start[] = { 1, 1 }, parameters[] = { 1.5, 1, 3, 1 };

typedef struct gradient {
    bool at_times, beside_cvodes;
    nde_field field;
    nde_problem problem;
    nde_solver *solver;
    nde_solution solution;
    double times[TIMES];
    nde_real seed[TIMES*2], g[ALL]; /* by y0, by p */
} gradient;

static void destroy(void *state) {
    gradient *me = state;
    nde_solver_destroy(me->solver);
    free(me);
}

static void *make(const bench_setup *setup, char *text, size_t text_size) {
    gradient *me = calloc(1, sizeof *me);
    if (!me) return NULL;
    const bench_fields *fields = bench_fields_get(setup->isa);
    me->at_times = strstr(setup->name, "times") != NULL;
    me->beside_cvodes = strstr(setup->name, "cvodes") != NULL;
    me->field = NDE_INIT(nde_field, .name = "Lotka-Volterra", .dim = 2, .out = 2, .np = 4,
                         .traits = NDE_AUTONOMOUS | NDE_LANEWISE, .eval = fields->volterra, .vjp = fields->volterra_vjp);
    me->problem = NDE_INIT(nde_problem, .t1 = 10, .drift = &me->field, .y0 = start, .p = parameters);
    for (int i = 0; i < TIMES; i++) me->times[i] = 0.5*i;
    const nde_options options = NDE_INIT(nde_options, .method = NDE_DOPRI5, .rtol = 1e-6, .atol = 1e-6, .isa = setup->isa,
                                         .adjoint = NDE_ADJOINT_DISCRETE, .save_t = me->at_times ? me->times : NULL,
                                         .n_save = me->at_times ? TIMES : 0, .threads = setup->threads);
    if (nde_solver_create(&me->problem, &options, &me->solver) == NDE_OK) return me;
    snprintf(text, text_size, "%s", nde_error());
    destroy(me);
    return NULL;
}

static bool run(void *state) {
    gradient *me = state;
    if (nde_solver_run(me->solver, &me->solution) != NDE_OK) return false;
    for (int i = 0; i < TIMES*2; i++) me->seed[i] = me->at_times ? 2*(me->solution.y[i] - 1) : 1;
    const nde_seed seed = NDE_INIT(nde_seed, .y = me->seed); /* of the end alone: one row */
    const nde_gradient to = NDE_INIT(nde_gradient, .y0 = me->g, .p = me->g + 2);
    return nde_backward(me->solver, &seed, &to) == NDE_OK;
}

/* answer: the exact gradient; then the reference's error. */
static void check(void *state, const double *answer, size_t count, bench_facts *facts) {
    gradient *me = state;
    double error = 0, norm = 0;
    facts->evaluations = me->solution.stats[0].evals;
    facts->error = (double)NAN;
    facts->bytes = me->solution.record_bytes;
    if (!answer || count != ALL + 1) return;
    for (int i = 0; i < ALL; i++) {
        error += ((double)me->g[i] - answer[i])*((double)me->g[i] - answer[i]);
        norm += answer[i]*answer[i];
    }
    facts->error = sqrt(error/norm);
    facts->bound = me->beside_cvodes ? answer[ALL] : 1e-4;
}

const bench_subject BENCH_NAME(bench_gradient) = { make, run, check, destroy };
