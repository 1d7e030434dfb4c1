/* SPDX-License-Identifier: MIT
 * ensemble, ensemble_million, ensemble_fixed: Lorenz trajectories, rho from 20 to 40, t from 0 to 10, dopri5: 10,000 or a
 * million (the 10,000 a hundred times) with own steps, rtol = atol = 1e-6, from the reference's first step; or 10,000 with
 * 1000 equal steps. The field is compiled into the step, as the reference's is, with _pointer a callback, or in program_lorenz
 * a program beside that callback, with _gradient to t = 1 and back: the gradient of the sum of all ends by starts and rho. */
#include "fields.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SET = 10000 };

typedef struct ensemble {
    size_t count;
    int isa;
    bool fixed, gradient;
    nde_program *program;
    nde_field field;
    nde_problem problem;
    nde_solver *solver;
    nde_solution solution;
    nde_real *y0, *rho, *g; /* [3][count], [count]; gradient [4][count] */
    double error[SET];
} ensemble;

static void destroy(void *state) {
    ensemble *me = state;
    nde_solver_destroy(me->solver);
    nde_program_destroy(me->program);
    free(me->y0), free(me->rho), free(me->g), free(me);
}

static const char text_of_lorenz[] = "state x, y, z; own rho; dx = 10*(y - x); dy = x*(rho - z) - y; dz = x*y - 8/3*z";

static void *make(const bench_setup *setup, char *text, size_t text_size) {
    ensemble *me = calloc(1, sizeof *me);
    if (!me) return NULL;
    me->count = strstr(setup->name, "million") ? 100*SET : SET;
    me->isa = setup->isa;
    me->fixed = strstr(setup->name, "fixed") != NULL;
    me->gradient = strstr(setup->name, "gradient") != NULL;
    me->y0 = malloc(3*me->count*sizeof *me->y0), me->rho = malloc(me->count*sizeof *me->rho);
    me->g = malloc(4*me->count*sizeof *me->g);
    if (!me->y0 || !me->rho || !me->g) return destroy(me), NULL;
    for (size_t i = 0; i < 3*me->count; i++) me->y0[i] = 1;
    for (size_t i = 0; i < me->count; i++) me->rho[i] = (nde_real)(20 + 20.0*(double)(i%SET)/(SET - 1));
    me->field = NDE_INIT(nde_field, .name = "lorenz", .dim = 3, .out = 3, .nq = 1,
                         .traits = NDE_AUTONOMOUS | NDE_LANEWISE,
                         .eval = bench_fields_get(setup->isa)->lorenz_rho, .vjp = bench_fields_get(setup->isa)->lorenz_rho_vjp);
    if (strncmp(setup->name, "ensemble", 8) == 0 && !strstr(setup->name, "pointer"))
        me->field.step = bench_fields_get(setup->isa)->lorenz_rho_step;
    const bool program = strncmp(setup->name, "program", 7) == 0 && !setup->beside;
    if (program && nde_program_parse(text_of_lorenz, NULL, &me->program) == NDE_OK) me->field = nde_field_program(me->program);
    me->problem = NDE_INIT(nde_problem, .n = me->count, .t1 = me->gradient ? 1 : 10, .drift = &me->field, .y0 = me->y0,
                           .q = me->rho);
    nde_options options = NDE_INIT(nde_options, .method = NDE_DOPRI5, .isa = setup->isa, .threads = setup->threads);
    if (me->gradient) options.adjoint = NDE_ADJOINT_DISCRETE;
    if (me->fixed) options.steps = 1000;
    else options.rtol = options.atol = 1e-6, options.h0 = 1e-3;
    if (nde_solver_create(&me->problem, &options, &me->solver) == NDE_OK) return me;
    snprintf(text, text_size, "%s", nde_error());
    destroy(me);
    return NULL;
}

static bool run(void *state) {
    ensemble *me = state;
    if (nde_solver_run(me->solver, &me->solution) != NDE_OK) return false;
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = me->y0); /* ones */
    const nde_gradient to = NDE_INIT(nde_gradient, .y0 = me->g, .q = me->g + 3*me->count);
    return !me->gradient || nde_backward(me->solver, &seed, &to) == NDE_OK;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

/* A program's ends, or gradient, against those of the field by hand, which rounds otherwise. */
static void check_program(const ensemble *me, bench_facts *facts) {
    const bench_setup setup = { .name = me->gradient ? "program_lorenz_gradient" : "program_lorenz", .threads = 1,
                                .isa = me->isa, .beside = true };
    ensemble *own = make(&setup, facts->text, sizeof facts->text);
    if (!own) return;
    if (run(own)) {
        const nde_real *x = me->gradient ? me->g : me->solution.y_end, *y = me->gradient ? own->g : own->solution.y_end;
        facts->error = 0, facts->bound = me->gradient ? 1e-9 : 1e-2;
        for (size_t i = 0; i < (me->gradient ? 4 : 3)*me->count; i++)
            facts->error = fmax(facts->error, fabs(x[i] - y[i])/(1 + fabs(y[i])));
    }
    destroy(own);
}

/* answer [SET][3]; of fixed steps [3][SET], the same steps in other arithmetic. The median over trajectories; each alone is as
 * chaotic as its rho makes it. */
static void check(void *state, const double *answer, size_t count, bench_facts *facts) {
    ensemble *me = state;
    for (size_t i = 0; i < me->count; i++) facts->evaluations += me->solution.stats[i].evals;
    if (me->solution.lanes_busy < 0.95)
        snprintf(facts->text, sizeof facts->text, "lanes busy %.3f, less than 0.95", me->solution.lanes_busy);
    facts->error = (double)NAN;
    if (me->program) check_program(me, facts);
    if (!answer || count != 3*SET) return;
    for (size_t i = 0; i < me->count; i++) {
        double worst = 0;
        for (size_t k = 0; k < 3; k++) {
            const double exact = answer[me->fixed ? k*SET + i%SET : 3*(i%SET) + k];
            const double difference = fabs(me->solution.y_end[k*me->count + i] - exact);
            if (!(difference <= worst)) worst = difference;
        }
        if (i < SET) me->error[i] = worst;
        else if (worst != me->error[i%SET])
            snprintf(facts->text, sizeof facts->text, "trajectories %zu and %zu differ", i%SET, i);
    }
    qsort(me->error, SET, sizeof *me->error, compare);
    facts->error = me->error[SET/2];
    facts->bound = 1e-2; /* the reference's error of fixed steps is that of its steps */
}

const bench_subject BENCH_NAME(bench_ensemble) = { make, run, check, destroy };
