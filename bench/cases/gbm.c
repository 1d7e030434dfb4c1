/* SPDX-License-Identifier: MIT
 * gbm: dy = 0.05 y dt + 0.2 y dW, 4096 trajectories of 16 components, 1000 steps of Euler-Maruyama to
 * t = 1; gbm_srk: of sriw1. */
#include "fields.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { COUNT = 4096, DIM = BENCH_GBM, STEPS = 1000 };
static const double mu = 0.05, sigma = 0.2;

typedef struct gbm {
    nde_field drift, diffusion, brownian;
    nde_noise noise;
    nde_term term, w_term;
    nde_problem problem, w_problem;
    nde_options options;
    nde_solver *solver;
    nde_solution solution;
    nde_real p[2], y0[DIM*COUNT], zero[DIM*COUNT];
} gbm;

static void destroy(void *state) {
    gbm *me = state;
    nde_solver_destroy(me->solver);
    free(me);
}

static void *make(const bench_setup *setup, char *text, size_t text_size) {
    gbm *me = calloc(1, sizeof *me);
    if (!me) return NULL;
    const bench_fields *fields = bench_fields_get(setup->isa);
    const bool exact = sizeof(nde_real) == sizeof(double);
    for (size_t i = 0; i < DIM*COUNT; i++) me->y0[i] = 1;
    me->p[0] = (nde_real)mu;
    me->p[1] = (nde_real)sigma;
    me->drift = NDE_INIT(nde_field, .name = "gbm", .dim = DIM, .out = DIM, .np = 2,
                         .traits = NDE_AUTONOMOUS | NDE_LANEWISE, .eval = fields->growth);
    me->diffusion = me->brownian = me->drift;
    me->diffusion.eval = fields->volatility;
    me->brownian.eval = fields->one;
    me->noise = NDE_INIT(nde_noise, .seed = 7, .normals = exact ? NDE_NORMALS_DOUBLE : NDE_NORMALS_SINGLE);
    me->term = NDE_INIT(nde_term, .field = &me->diffusion, .noise = &me->noise,
                        .kind = NDE_NOISE_DIAGONAL);
    me->problem = NDE_INIT(nde_problem, .n = COUNT, .t1 = 1, .drift = &me->drift, .y0 = me->y0, .p = me->p,
                           .terms = &me->term, .n_terms = 1, .calculus = NDE_ITO);
    const bool srk = strncmp(setup->name, "gbm_srk", 7) == 0, by_pointer = strstr(setup->name, "_pointer") != NULL;
    if (!by_pointer) me->drift.step = me->diffusion.step = srk ? fields->gbm_srk_step : fields->gbm_step;
    const int32_t method = srk ? NDE_SRIW1 : NDE_EULER_MARUYAMA;
    me->options = NDE_INIT(nde_options, .method = method, .steps = STEPS, .isa = setup->isa, .threads = setup->threads);
    if (nde_solver_create(&me->problem, &me->options, &me->solver) == NDE_OK) return me;
    snprintf(text, text_size, "%s", nde_error());
    destroy(me);
    return NULL;
}

static bool run(void *state) {
    gbm *me = state;
    return nde_solver_run(me->solver, &me->solution) == NDE_OK;
}

/* The same noise drives dy = dW, whose end is W(1): mean strong error against exp(mu - sigma^2/2 + sigma W).
 * It must be that of the method, not only below it: 7.5e-4 with 1000 steps, spread below 1 % over 65,536
 * paths; of sriw1 4.7e-8, in float what rounding makes of it. */
static void check(void *state, const double *answer, size_t count, bench_facts *facts) {
    gbm *me = state;
    (void)answer, (void)count;
    me->w_term = me->term;
    me->w_term.field = &me->brownian;
    me->w_problem = me->problem;
    me->w_problem.terms = &me->w_term;
    me->w_problem.drift = NULL;
    me->w_problem.dim = DIM;
    me->w_problem.y0 = me->zero;
    nde_solution w = NDE_INIT(nde_solution, .n = 0);
    const nde_status status = nde_solve(&me->w_problem, &me->options, &w);
    if (status != NDE_OK) {
        snprintf(facts->text, sizeof facts->text, "dy = dW: %s", nde_status_text(status));
    } else {
        double sum = 0, square = 0;
        for (size_t i = 0; i < DIM*COUNT; i++) {
            const double end = (double)w.y_end[i];
            sum += fabs((double)me->solution.y_end[i] - exp(mu - 0.5*sigma*sigma + sigma*end));
            square += end*end;
        }
        facts->error = sum/(DIM*COUNT);
        const bool srk = me->options.method == NDE_SRIW1, exact = sizeof(nde_real) == sizeof(double);
        facts->bound = !srk ? 9e-4 : exact ? 6e-8 : 3e-6;
        if (facts->error < (!srk ? 6e-4 : exact ? 4e-8 : 0))
            snprintf(facts->text, sizeof facts->text, "the error %.3g is less than the method's",
                     facts->error);
        /* 65,536 squares of normals: standard error 0.0055 */
        if (fabs(square/(DIM*COUNT) - 1) > 0.025)
            snprintf(facts->text, sizeof facts->text, "variance of W(1) is %.4f, not 1",
                     square/(DIM*COUNT));
    }
    for (size_t i = 0; i < COUNT; i++) facts->evaluations += me->solution.stats[i].evals;
    nde_solution_free(&w);
}

const bench_subject BENCH_NAME(bench_gbm) = { make, run, check, destroy };
