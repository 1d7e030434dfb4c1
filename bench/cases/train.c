/* SPDX-License-Identifier: MIT
 * spiral, mid, mid_step, small: one training step of a neural ODE, dopri5 with one step size for the batch: forward,
 * loss, and the gradient of the parameters. Nets, weights and data are the reference's, by splitmix64:
 *   spiral  f(y) = MLP(y^3), 2-50-2, batch 20, mean absolute error at 10 times
 *   program_mid, program_small: the network as a program, beside the library's own
 *   mid     MLP 64-256-256-64, batch 256; small: 4-32-32-4, batch 1; mean square of y(1)
 * Source of spiral: torchdiffeq, examples/ode_demo.py. */
#include "bench.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct net_kind {
    const char *name;
    size_t layers, width[4];
    bool cube, absolute;
    size_t n, n_save;
    double t1, rtol, atol;
    double weights;   /* uniform in [-weights, weights]; 0: 1/sqrt(inputs), and the biases too */
    double y0;        /* uniform in [-y0, y0] */
    double error;     /* bound on that of the gradient, relative: ten times the reference's */
} net_kind;

static const net_kind nets[] = {
    { "spiral", 2, { 2, 50, 2 }, true, true, 20, 10, 0.25, 1e-7, 1e-9, 0.17320508075688773, 2, 5e-6 },
    { "mid", 3, { 64, 256, 256, 64 }, false, false, 256, 1, 1, 1e-5, 1e-5, 0, 1, 5e-4 },
    { "mid_step", 3, { 64, 256, 256, 64 }, false, false, 256, 1, 1, 1e-5, 1e-5, 0, 1, 5e-4 },
    { "small", 3, { 4, 32, 32, 4 }, false, false, 1, 1, 1, 1e-5, 1e-5, 0, 1, 5e-4 },
};

typedef struct train {
    const net_kind *net;
    nde_mlp mlp;
    nde_program *program;
    nde_field network, cube, composed;
    const nde_field *inner[2];
    nde_parts parts;
    nde_problem problem;
    nde_options options;
    nde_solver *solver;
    nde_solution solution;
    size_t values, np; /* of the saved states; of the parameters */
    double save_t[10], loss;
    nde_real *p, *gradient, *y0, *target, *seed;
} train;

static double uniform(uint64_t *state, double bound) {
    uint64_t z = *state += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30))*0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27))*0x94D049BB133111EBu;
    return (2*((double)((z ^ (z >> 31)) >> 11)*0x1p-53) - 1)*bound;
}

static void fill_parameters(train *me) {
    uint64_t state = 1234;
    nde_real *p = me->p;
    for (size_t l = 0; l < me->net->layers; l++) {
        const size_t in = me->net->width[l], out = me->net->width[l + 1];
        const double bound = me->net->weights > 0 ? me->net->weights : 1/sqrt((double)in);
        for (size_t i = 0; i < in*out; i++) *p++ = (nde_real)uniform(&state, bound);
        for (size_t i = 0; i < out; i++)
            *p++ = me->net->weights > 0 ? 0 : (nde_real)uniform(&state, bound);
    }
}

/* to [rows][dim][n]; the reference draws [rows][n][dim]. */
static void fill(const net_kind *net, size_t rows, uint64_t state, double bound, nde_real *to) {
    const size_t dim = net->width[0];
    for (size_t r = 0; r < rows; r++)
        for (size_t b = 0; b < net->n; b++)
            for (size_t i = 0; i < dim; i++)
                to[(r*dim + i)*net->n + b] = (nde_real)uniform(&state, bound);
}

static void destroy(void *state) {
    train *me = state;
    nde_solver_destroy(me->solver);
    nde_program_destroy(me->program);
    free(me->p), free(me->gradient), free(me->y0), free(me->target), free(me->seed);
    free(me);
}

/* What nde_field_mlp has, layer by layer. */
static nde_field network_of(train *me) {
    const size_t *width = me->net->width;
    const nde_program_shape shape = NDE_INIT(nde_program_shape, .dim = width[0], .np = me->np);
    if (nde_program_create(&shape, &me->program) != NDE_OK) return (nde_field){ 0 };
    nde_var x = nde_y(me->program, 0, width[0]);
    for (size_t l = 0, p = 0; l < me->net->layers; p += (width[l] + 1)*width[l + 1], l++)
        x = nde_dense(me->program, l + 1 < me->net->layers ? NDE_TANH : NDE_IDENTITY, p, width[l + 1], x);
    return nde_program_finish(me->program, x) == NDE_OK ? nde_field_program(me->program) : (nde_field){ 0 };
}

static void *make(const bench_setup *setup, char *text, size_t text_size) {
    train *me = calloc(1, sizeof *me);
    if (!me) return NULL;
    const net_kind *net = nets;
    const bool program = strncmp(setup->name, "program_", 8) == 0;
    while (strcmp(net->name, setup->name + (program ? 8 : 0)) != 0) net++;
    const size_t dim = net->width[0];
    me->net = net;
    for (size_t l = 0; l < net->layers; l++) me->np += (net->width[l] + 1)*net->width[l + 1];
    me->values = net->n_save*dim*net->n;
    me->p = calloc(me->np, sizeof *me->p);
    me->gradient = calloc(me->np, sizeof *me->gradient);
    me->y0 = calloc(dim*net->n, sizeof *me->y0);
    me->target = calloc(me->values, sizeof *me->target);
    me->seed = calloc(me->values, sizeof *me->seed);
    if (!me->p || !me->gradient || !me->y0 || !me->target || !me->seed) {
        destroy(me);
        return NULL;
    }
    fill_parameters(me);
    fill(net, 1, 99, net->y0, me->y0);
    if (net->absolute) fill(net, net->n_save, 77, 1, me->target);
    for (size_t i = 0; i < net->n_save; i++)
        me->save_t[i] = net->n_save > 1 ? net->t1*(double)i/(double)(net->n_save - 1) : net->t1;

    me->mlp = NDE_INIT(nde_mlp, .layers = net->layers, .width = net->width);
    me->network = program && !setup->beside ? network_of(me) : nde_field_mlp(&me->mlp);
    me->cube = nde_field_cube(dim);
    me->inner[0] = &me->network;
    me->inner[1] = &me->cube;
    me->parts = NDE_INIT(nde_parts, .part = me->inner, .n = 2);
    me->composed = net->cube ? nde_field_composition(&me->parts) : me->network;
    me->problem = NDE_INIT(nde_problem, .n = net->n, .t1 = net->t1, .y0 = me->y0, .p = me->p,
                           .drift = &me->composed);
    me->options = NDE_INIT(nde_options, .method = NDE_DOPRI5, .stepping = NDE_STEP_JOINT,
                           .controller = NDE_CONTROLLER_I, .adjoint = NDE_ADJOINT_DISCRETE,
                           .rtol = net->rtol, .atol = net->atol, .save_t = me->save_t,
                           .n_save = net->n_save, .threads = setup->threads, .isa = setup->isa);
    if (nde_solver_create(&me->problem, &me->options, &me->solver) == NDE_OK) return me;
    snprintf(text, text_size, "%s", nde_error());
    destroy(me);
    return NULL;
}

/* seed [values]: the loss's derivative. */
static double loss_of(const train *me, const nde_real *y, nde_real *seed) {
    const double count = (double)me->values;
    double sum = 0;
    if (me->net->absolute) {
        const nde_real up = (nde_real)(1/count);
        for (size_t i = 0; i < me->values; i++) {
            sum += fabs((double)(y[i] - me->target[i]));
            seed[i] = y[i] > me->target[i] ? up : -up;
        }
    } else {
        for (size_t i = 0; i < me->values; i++) {
            sum += (double)y[i]*(double)y[i];
            seed[i] = (nde_real)(2/count*(double)y[i]);
        }
    }
    return sum/count;
}

static bool step(train *me, nde_solver *solver, nde_solution *solution) {
    if (nde_solver_run(solver, solution) != NDE_OK) return false;
    me->loss = loss_of(me, solution->y, me->seed);
    const nde_seed seed = NDE_INIT(nde_seed, .y = me->seed);
    const nde_gradient gradient = NDE_INIT(nde_gradient, .p = me->gradient);
    return nde_backward(solver, &seed, &gradient) == NDE_OK;
}

static bool run(void *state) {
    train *me = state;
    return step(me, me->solver, &me->solution);
}

static double gradient_error(const train *me, const double *g) {
    double error = 0, norm = 0;
    for (size_t i = 0; i < me->np; i++) {
        error += ((double)me->gradient[i] - g[i])*((double)me->gradient[i] - g[i]);
        norm += g[i]*g[i];
    }
    return sqrt(error/norm);
}

/* From 0 to the node where the reference's steps end, with the values there (and at 0, for the loss over
 * times): no interpolant, no step cut short. Both are the same map then: loss and gradient agree to
 * rounding. In float the steps themselves differ by the rounding of their error estimates, and a sliver may
 * be left at the end. */
static void check_same_steps(train *me, const double *answer, bench_facts *facts) {
    const bool exact = sizeof(nde_real) == sizeof(double);
    const double bound = exact ? 1e-12 : 1e-5;
    const double node[] = { 0, answer[0] };
    const size_t all = me->values;
    nde_problem problem = me->problem;
    nde_options options = me->options;
    nde_solver *solver;
    nde_solution solution = NDE_INIT(nde_solution, .n = 0);
    problem.t1 = node[1];
    options.n_save = me->net->absolute ? 2 : 1;
    options.save_t = node + 2 - options.n_save;
    if (nde_solver_create(&problem, &options, &solver) != NDE_OK) {
        snprintf(facts->text, sizeof facts->text, "on the reference's steps: %s", nde_error());
        return;
    }
    me->values = options.n_save*me->net->width[0]*me->net->n;
    if (!step(me, solver, &solution)) {
        snprintf(facts->text, sizeof facts->text, "on the reference's steps: %s",
                 nde_solver_error(solver));
    } else {
        const double loss = fabs(me->loss/answer[2] - 1), gradient = gradient_error(me, answer + 3);
        const double steps = (double)(solution.stats[0].accepted + solution.stats[0].rejected);
        if (!(loss <= bound && gradient <= bound && (!exact || steps == answer[1])))
            snprintf(facts->text, sizeof facts->text, "on the reference's %.0f steps: %.0f steps, loss differs "
                     "by %.3g, gradient by %.3g of its norm, bound %.1g", answer[1], steps, loss, gradient,
                     bound);
    }
    me->values = all;
    nde_solver_destroy(solver);
}

/* A program's gradient against the network's own. */
static void check_program(train *me, bench_facts *facts) {
    char name[32];
    snprintf(name, sizeof name, "program_%s", me->net->name);
    const bench_setup setup = { .name = name, .threads = me->options.threads, .isa = me->options.isa, .beside = true };
    train *own = make(&setup, facts->text, sizeof facts->text);
    double *g = calloc(me->np, sizeof *g);
    if (own && g && run(own)) {
        for (size_t i = 0; i < me->np; i++) g[i] = (double)own->gradient[i];
        facts->error = gradient_error(me, g);
        facts->bound = sizeof(nde_real) == sizeof(double) ? 1e-12 : 1e-4;
    }
    free(g);
    if (own) destroy(own);
}

static void check(void *state, const double *answer, size_t count, bench_facts *facts) {
    train *me = state;
    facts->evaluations = me->solution.stats[0].evals;
    facts->error = (double)NAN;
    if (me->program) check_program(me, facts);
    if (!answer || count != 3 + 2*me->np) return;
    facts->error = gradient_error(me, answer + 3 + me->np);
    facts->bound = me->net->error;
    check_same_steps(me, answer, facts);
}

const bench_subject BENCH_NAME(bench_train) = { make, run, check, destroy };
