/* SPDX-License-Identifier: MIT
 * robertson, robertson_cvode, robertson_ensemble: Robertson's reactions to t = 10^5, rosenbrock23 at rtol = 1e-3, atol = 1e-6
 * with the controller I, as the reference has it: one trajectory, or 10,000 whose first rates are between 0.02 and 0.06. */
#include "fields.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MANY = 10000 };

typedef struct reactions {
    size_t count;
    nde_field field;
    nde_problem problem;
    nde_solver *solver;
    nde_solution solution;
    nde_real y0[3*MANY], rate[MANY];
} reactions;

static void destroy(void *state) {
    reactions *me = state;
    nde_solver_destroy(me->solver);
    free(me);
}

static void *make(const bench_setup *setup, char *text, size_t text_size) {
    reactions *me = calloc(1, sizeof *me);
    if (!me) return NULL;
    const bench_fields *fields = bench_fields_get(setup->isa);
    const bool many = strstr(setup->name, "ensemble") != NULL;
    me->count = many ? MANY : 1;
    for (size_t b = 0; b < me->count; b++) me->y0[b] = 1, me->rate[b] = 0.04*(many ? 0.5 + (double)b/MANY : 1);
    me->field = NDE_INIT(nde_field, .name = "robertson", .dim = 3, .out = 3, .nq = 1, .traits = NDE_AUTONOMOUS | NDE_LANEWISE,
                         .eval = fields->robertson, .jacobian = fields->robertson_jacobian);
    me->problem = NDE_INIT(nde_problem, .n = me->count, .t1 = 1e5, .drift = &me->field, .y0 = me->y0, .q = me->rate);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_ROSENBROCK23, .rtol = 1e-3, .atol = 1e-6,
                                         .controller = NDE_CONTROLLER_I, .isa = setup->isa, .threads = setup->threads);
    if (nde_solver_create(&me->problem, &options, &me->solver) == NDE_OK) return me;
    snprintf(text, text_size, "%s", nde_error());
    destroy(me);
    return NULL;
}

static bool run(void *state) {
    reactions *me = state;
    return nde_solver_run(me->solver, &me->solution) == NDE_OK;
}

/* That of the rate 0.04. */
static void check(void *state, const double *answer, size_t count, bench_facts *facts) {
    const reactions *me = state;
    facts->evaluations = 0;
    for (size_t b = 0; b < me->count; b++) facts->evaluations += me->solution.stats[b].evals;
    facts->error = answer ? 0 : (double)NAN;
    facts->bound = 1e-3;
    for (size_t i = 0; i < count; i++) {
        const double difference = fabs(me->solution.y_end[i*me->count + me->count/2] - answer[i]);
        if (!(difference <= facts->error)) facts->error = difference; /* NaN too */
    }
}

const bench_subject BENCH_NAME(bench_robertson) = { make, run, check, destroy };
