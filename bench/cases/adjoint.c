/* SPDX-License-Identifier: MIT
 * adjoint_*: a solve and its gradient by y0 and parameters, beside the solve alone; dopri5. MLPs by nde_field_mlp with one
 * step size for the batch, and Lorenz as a callback written for lanes; adaptive with all that the record can hold, or
 * (..._sqrt) in n equal steps within the bytes of sqrt(n) states and sqrt(n) steps with their tapes: those of the
 * textbook's scheme, which keeps every sqrt(n)-th state, and on the way back the tapes of the steps from one to the next.
 * The record may do better with them. */
#include "fields.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct kind {
    const char *name;
    size_t width[4], layers; /* layers 0: Lorenz */
    size_t n;
    int64_t steps;           /* 0: adaptive */
    size_t states;
    double t1;
} kind;

static const kind kinds[] = {
    { "adjoint_small", { 4, 32, 32, 4 }, 3, 1, 0, 0, 1 },
    { "adjoint_spiral", { 2, 50, 2 }, 2, 20, 0, 0, 1 },
    { "adjoint_mid", { 64, 256, 256, 64 }, 3, 256, 0, 0, 1 },
    { "adjoint_lorenz", { 3 }, 0, 1, 0, 0, 10 },
    { "adjoint_small_sqrt", { 4, 32, 32, 4 }, 3, 1, 256, 16, 10 },
    { "adjoint_mid_sqrt", { 64, 256, 256, 64 }, 3, 32, 64, 8, 10 },
    { "adjoint_lorenz_sqrt", { 3 }, 0, 1, 1024, 32, 10 },
};

typedef struct adjoint {
    bool forward;
    size_t values, np;
    nde_mlp mlp;
    nde_field field;
    nde_problem problem;
    nde_options options;
    nde_solver *solver;
    nde_solution solution;
    nde_real *y0, *p, *seed, *g_y0, *g_p;
} adjoint;

static void destroy(void *state) {
    adjoint *me = state;
    nde_solver_destroy(me->solver);
    free(me->y0), free(me->p), free(me->seed), free(me->g_y0), free(me->g_p);
    free(me);
}

/* Room for so many states and steps with their tapes, and for the times of all steps; 0: the default. */
static size_t budget_of(const adjoint *me, size_t states) {
    nde_needs needs = { .size = sizeof needs };
    if (!states || nde_plan(&me->problem, &me->options, &needs)) return 0;
    return states*(needs.state_bytes + needs.tape_bytes) + (size_t)me->options.steps*16 + 4096;
}

static void *make(const bench_setup *setup, char *text, size_t text_size) {
    adjoint *me = calloc(1, sizeof *me);
    if (!me) return NULL;
    const bench_fields *fields = bench_fields_get(setup->isa);
    const kind *k = kinds;
    while (strcmp(k->name, setup->name) != 0) k++;
    me->forward = setup->beside;
    me->mlp = NDE_INIT(nde_mlp, .layers = k->layers, .width = k->width);
    me->field = k->layers ? nde_field_mlp(&me->mlp)
        : NDE_INIT(nde_field, .name = "Lorenz", .dim = 3, .out = 3, .np = 3, .traits = NDE_AUTONOMOUS | NDE_LANEWISE,
                   .eval = fields->lorenz, .vjp = fields->lorenz_vjp, .jvp = fields->lorenz_jvp);
    me->values = k->n*k->width[0], me->np = me->field.np;
    me->y0 = calloc(me->values, sizeof *me->y0), me->seed = calloc(me->values, sizeof *me->seed);
    me->p = calloc(me->np, sizeof *me->p);
    me->g_y0 = calloc(me->values, sizeof *me->g_y0), me->g_p = calloc(me->np, sizeof *me->g_p);
    if (!me->y0 || !me->seed || !me->p || !me->g_y0 || !me->g_p) return destroy(me), NULL;
    for (size_t i = 0; i < me->values; i++) me->y0[i] = (nde_real)sin(1 + (double)i), me->seed[i] = 1;
    const nde_real lorenz[] = { 10, 28, (nde_real)(8.0/3) };
    nde_status status = NDE_OK;
    if (k->layers) status = nde_mlp_init(&me->mlp, NDE_GLOROT_UNIFORM, 1, me->p);
    else memcpy(me->p, lorenz, sizeof lorenz);
    me->problem = NDE_INIT(nde_problem, .n = k->n, .t1 = k->t1, .drift = &me->field, .y0 = me->y0, .p = me->p);
    me->options = NDE_INIT(nde_options, .method = NDE_DOPRI5, .rtol = 1e-6, .atol = 1e-6, .steps = k->steps,
                           .stepping = k->layers ? NDE_STEP_JOINT : 0, .threads = setup->threads, .isa = setup->isa,
                           .adjoint = me->forward ? NDE_ADJOINT_NONE : NDE_ADJOINT_DISCRETE);
    if (!me->forward) me->options.budget = budget_of(me, k->states);
    if (!status) status = nde_solver_create(&me->problem, &me->options, &me->solver);
    if (status == NDE_OK) return me;
    snprintf(text, text_size, "%s", nde_error());
    destroy(me);
    return NULL;
}

static bool run(void *state) {
    adjoint *me = state;
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = me->seed);
    const nde_gradient to = NDE_INIT(nde_gradient, .y0 = me->g_y0, .p = me->g_p);
    if (nde_solver_run(me->solver, &me->solution) != NDE_OK) return false;
    return me->forward || nde_backward(me->solver, &seed, &to) == NDE_OK;
}

/* error: against forward mode. The way back uses what the record leaves of a budget that is not the default. */
static void check(void *state, const double *answer, size_t count, bench_facts *facts) {
    (void)answer, (void)count;
    adjoint *me = state;
    nde_gradient_report report = { .size = sizeof report };
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = me->seed);
    for (size_t i = 0; i < (me->options.stepping == NDE_STEP_JOINT ? 1 : me->solution.n); i++)
        facts->evaluations += me->solution.stats[i].evals;
    facts->bytes = nde_solver_bytes(&me->problem, &me->options);
    facts->error = (double)NAN;
    if (me->forward) return;
    if (!me->options.budget) {
        nde_needs needs = { .size = sizeof needs };
        if (nde_plan(&me->problem, &me->options, &needs) == NDE_OK)
            facts->bytes = needs.workspace_bytes + me->solution.record_bytes;
    }
    if (nde_gradient_check(&me->problem, &me->options, &seed, 1, &report) != NDE_OK) {
        snprintf(facts->text, sizeof facts->text, "%s", nde_error());
        return;
    }
    facts->error = report.forward_error;
    facts->bound = sizeof(nde_real) == sizeof(double) ? 1e-9 : 1e-2;
}

const bench_subject BENCH_NAME(bench_adjoint) = { make, run, check, destroy };
