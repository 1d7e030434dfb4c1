/* SPDX-License-Identifier: MIT
 * ensemble: 10,000 Lorenz trajectories, rho from 20 to 40, t from 0 to 10, dopri5, rtol = atol = 1e-6,
 * each with its own steps. The first step is the reference's. */
#include "fields.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { COUNT = 10000 };

typedef struct ensemble {
    nde_field field;
    nde_problem problem;
    nde_solver *solver;
    nde_solution solution;
    nde_real y0[3][COUNT], rho[COUNT];
    double error[COUNT];
} ensemble;

static void destroy(void *state) {
    ensemble *me = state;
    nde_solver_destroy(me->solver);
    free(me);
}

static void *make(const bench_setup *setup, char *text, size_t text_size) {
    ensemble *me = calloc(1, sizeof *me);
    if (!me) return NULL;
    for (size_t i = 0; i < COUNT; i++) {
        me->y0[0][i] = me->y0[1][i] = me->y0[2][i] = 1;
        me->rho[i] = (nde_real)(20 + 20.0*(double)i/(COUNT - 1));
    }
    me->field = NDE_INIT(nde_field, .name = "lorenz", .dim = 3, .out = 3, .nq = 1,
                         .traits = NDE_AUTONOMOUS | NDE_LANEWISE,
                         .eval = bench_fields_get(setup->isa)->lorenz_rho);
    me->problem = NDE_INIT(nde_problem, .n = COUNT, .t1 = 10, .drift = &me->field, .y0 = me->y0[0],
                           .q = me->rho);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_DOPRI5, .rtol = 1e-6, .atol = 1e-6,
                                         .h0 = 1e-3, .isa = setup->isa, .threads = setup->threads);
    if (nde_solver_create(&me->problem, &options, &me->solver) == NDE_OK) return me;
    snprintf(text, text_size, "%s", nde_error());
    destroy(me);
    return NULL;
}

static bool run(void *state) {
    ensemble *me = state;
    return nde_solver_run(me->solver, &me->solution) == NDE_OK;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* answer [COUNT][3]. The median over trajectories; each alone is as chaotic as its rho makes it. */
static void check(void *state, const double *answer, size_t count, bench_facts *facts) {
    ensemble *me = state;
    for (size_t i = 0; i < COUNT; i++) facts->evaluations += me->solution.stats[i].evals;
    facts->error = (double)NAN;
    if (!answer || count != 3*COUNT) return;
    for (size_t i = 0; i < COUNT; i++) {
        me->error[i] = 0;
        for (size_t k = 0; k < 3; k++) {
            const double difference = fabs(me->solution.y_end[k*COUNT + i] - answer[3*i + k]);
            if (!(difference <= me->error[i])) me->error[i] = difference;
        }
    }
    qsort(me->error, COUNT, sizeof *me->error, compare);
    facts->error = me->error[COUNT/2];
    facts->bound = 1e-2;
    if (me->solution.lanes_busy < 0.95)
        snprintf(facts->text, sizeof facts->text, "lanes busy %.3f, less than 0.95",
                 me->solution.lanes_busy);
}

const bench_subject BENCH_NAME(bench_ensemble) = { make, run, check, destroy };
