/* SPDX-License-Identifier: MIT
 * lorenz, lorenz_pointwise, lorenz_inline, kepler, kepler_pointwise: one trajectory, dopri5, rtol = atol = 1e-9. The field
 * is a callback: written for lanes, or five lines of physics through nde_field_pointwise; or compiled into the step. */
#include "fields.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const nde_real lorenz_y0[] = { 1, 1, 1 }, lorenz_p[] = { 10, 28, 8.0/3 };
static const nde_real kepler_y0[] = { 0.4, 0, 0, 2 }; /* eccentricity 0.6, ten revolutions */

typedef struct one {
    nde_pointwise point;
    nde_field field;
    nde_problem problem;
    nde_solver *solver;
    nde_solution solution;
    bench_solve *solve; /* instead of the solver */
    nde_options options;
    nde_real y[3];
    nde_stats stats;
    double bound;
} one;

static void destroy(void *state) {
    one *me = state;
    nde_solver_destroy(me->solver);
    free(me);
}

static void *make(const bench_setup *setup, char *text, size_t text_size) {
    one *me = calloc(1, sizeof *me);
    if (!me) return NULL;
    const bench_fields *fields = bench_fields_get(setup->isa);
    const bool lorenz = strncmp(setup->name, "lorenz", 6) == 0;
    const bool point = strstr(setup->name, "pointwise") != NULL;
    const size_t dim = lorenz ? 3 : 4, np = lorenz ? 3 : 0;
    me->point = NDE_INIT(nde_pointwise, .f = lorenz ? fields->lorenz_point : fields->kepler_point);
    me->field = point ? nde_field_pointwise(&me->point, dim, np)
        : NDE_INIT(nde_field, .name = setup->name, .dim = dim, .out = dim, .np = np,
                   .traits = NDE_AUTONOMOUS | NDE_LANEWISE,
                   .eval = lorenz ? fields->lorenz : fields->kepler);
    me->problem = NDE_INIT(nde_problem, .t1 = lorenz ? 20 : 20*3.14159265358979323846,
                           .drift = &me->field, .y0 = lorenz ? lorenz_y0 : kepler_y0,
                           .p = lorenz ? lorenz_p : NULL);
    /* Errors grow by exp(0.9 t) on the Lorenz attractor and by t^2 along the orbit: ten times what the
     * reference reaches. */
    me->bound = lorenz ? 2e-2 : 3e-5;
    const nde_options options = NDE_INIT(nde_options, .method = NDE_DOPRI5, .rtol = 1e-9, .atol = 1e-9,
                                         .isa = setup->isa, .threads = setup->threads);
    me->options = options;
    me->solve = strstr(setup->name, "inline") ? fields->solve_lorenz : NULL;
    if (me->solve) return me;
    if (nde_solver_create(&me->problem, &options, &me->solver) == NDE_OK) return me;
    snprintf(text, text_size, "%s", nde_error());
    destroy(me);
    return NULL;
}

static bool run(void *state) {
    one *me = state;
    if (!me->solve) return nde_solver_run(me->solver, &me->solution) == NDE_OK;
    memcpy(me->y, lorenz_y0, sizeof me->y);
    return me->solve(0, 20, me->y, lorenz_p, NULL, &me->options, NULL, &me->stats) == NDE_OK;
}

static void check(void *state, const double *answer, size_t count, bench_facts *facts) {
    const one *me = state;
    const nde_real *end = me->solve ? me->y : me->solution.y_end;
    facts->evaluations = me->solve ? me->stats.evals : me->solution.stats->evals;
    facts->error = answer ? 0 : (double)NAN;
    facts->bound = me->bound;
    for (size_t i = 0; i < count; i++) {
        const double difference = fabs(end[i] - answer[i]);
        if (!(difference <= facts->error)) facts->error = difference; /* NaN too */
    }
}

const bench_subject BENCH_NAME(bench_one) = { make, run, check, destroy };
