/* SPDX-License-Identifier: MIT
 * regularised - a neural ODE learns to tell two spirals apart, without and with each regulariser,
 * to the same loss: how many evaluations a prediction takes then.
 *   regularised [SEEDS [PICTURE.svg]]    SEEDS networks each, 1 to 20; 3
 * Data: K. Lang, M. Witbrock, Learning to tell two spirals apart, Connectionist Models Summer
 * School (1988), a third as much wound up. What is published: evaluations x 0.556 to 0.733,
 * predictions 1.3 to 2 times as fast (A. Pal, A. Edelman, C. Rackauckas, ICML 2023). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "nde.h"
#include "plot.h"

enum {
    N = 194, DIM = 3,            /* points; the third coordinate begins at 0 */
    HIDDEN = 24, NP = HIDDEN*(DIM + 2) + HIDDEN*(HIDDEN + 1) + DIM*(HIDDEN + 1),
    MOST = 1500, EVERY = 5,      /* iterations; how often the loss is looked at */
    MOST_SEEDS = 20, ROWS = 41   /* times of the trajectories in the picture */
};
static const double goal = 0.01; /* loss at which a training ends */

/* A loss of data, and beside it, each as a mean over points: */
typedef struct regulariser {
    const char *name, *color;
    double error, stiffness;    /* weights of |h| E and of S, summed or of one step */
    int32_t of;                 /* NDE_ESTIMATES_* */
    double kinetic, frobenius;  /* of the integrals of |f|^2 and of |J' e|^2 */
    double width;               /* ends are drawn from within this of 1 */
} regulariser;
static const regulariser regularisers[] = {
    { "none", PLOT_GREY, .of = 0 },
    { "errors", PLOT_BLUE, .error = 3e4, .of = NDE_ESTIMATES_ALL },
    { "stiffness", PLOT_RED, .stiffness = 0.03, .of = NDE_ESTIMATES_ALL },
    { "error at a time", PLOT_GREEN, .error = 1e5, .of = NDE_ESTIMATES_TIME },
    { "error of a step", PLOT_PURPLE, .error = 1e5, .of = NDE_ESTIMATES_STEP },
    { "RNODE", PLOT_ORANGE, .kinetic = 0.02, .frobenius = 0.02 },
    { "STEER", "#56b4e9", .width = 0.2 },
};
enum { KINDS = sizeof regularisers/sizeof *regularisers };

typedef struct points {
    double at[DIM][N], label[N];
} points;

static points spirals(void) {
    points to = { .label = { 0 } };
    for (size_t k = 0; k < N; k++) {
        const double i = (double)(k/2), angle = 3.141592653589793*i/48, radius = (104 - i)/104;
        to.label[k] = k%2 ? -1 : 1;
        to.at[0][k] = to.label[k]*radius*sin(angle), to.at[1][k] = to.label[k]*radius*cos(angle);
    }
    return to;
}

/* How a training went. */
typedef struct outcome {
    int iterations;
    double loss, evaluations, seconds;  /* of data, of a point, of one prediction of all */
    double history[MOST/EVERY + 1];     /* evaluations of a prediction on the way */
    double p[NP];
} outcome;

/* Mean square of what is wrong at the ends, and its cotangent. */
static double loss_of(const points *data, const double *end, double *a) {
    double sum = 0;
    for (size_t k = 0; k < N; k++) {
        const double off = end[k] - data->label[k];
        sum += off*off/N;
        if (a) a[k] = 2*off/N;
    }
    return sum;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

/* Loss and cost of a prediction. */
static nde_status predict(nde_solver *solver, const points *data, outcome *to) {
    nde_solution solution = { 0 };
    const double begun = now();
    const nde_status status = nde_solver_run(solver, &solution);
    if (status) return status;
    to->seconds = now() - begun, to->evaluations = 0;
    to->loss = loss_of(data, solution.y_end, NULL);
    for (size_t k = 0; k < N; k++) to->evaluations += (double)solution.stats[k].evals/N;
    return NDE_OK;
}

/* One iteration: the gradient of everything that counts, and a step of Adam. */
static nde_status iterate(nde_solver *solver, const points *data, const regulariser *of,
                          nde_optimiser *adam, double *p) {
    double end[DIM][N] = { { 0 } }, error[N], stiffness[N], integrals[2][N], gradient[NP];
    nde_solution solution = { 0 };
    nde_status status = nde_solver_run(solver, &solution);
    if (status) return status;
    (void)loss_of(data, solution.y_end, end[0]);
    for (size_t k = 0; k < N; k++) {
        error[k] = of->error/N, stiffness[k] = of->stiffness/N;
        integrals[0][k] = of->kinetic/N, integrals[1][k] = of->frobenius/N;
    }
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = end[0],
                                   .error_estimate = of->error > 0 ? error : NULL,
                                   .stiffness_estimate = of->stiffness > 0 ? stiffness : NULL,
                                   .quadrature = of->kinetic > 0 ? integrals[0] : NULL);
    status = nde_backward(solver, &seed, &NDE_INIT(nde_gradient, .p = gradient));
    return status ? status : nde_optimiser_step(adam, NP, gradient, p);
}

/* The network 4-24-24-3 with the time as an input, and what is made of it. */
typedef struct network {
    size_t width[4];
    nde_mlp mlp;
    nde_frobenius probe;
    nde_field field, kinetic, frobenius, integrals;
    const nde_field *both[2];
    nde_parts parts;
} network;

static void build(network *to) {
    *to = (network){ .width = { DIM + 1, HIDDEN, HIDDEN, DIM } };
    to->mlp = NDE_INIT(nde_mlp, .layers = 3, .width = to->width, .time_input = 1);
    to->field = nde_field_mlp(&to->mlp);
    to->probe = NDE_INIT(nde_frobenius, .field = &to->field);
    to->kinetic = nde_field_kinetic(&to->field), to->frobenius = nde_field_frobenius(&to->probe);
    to->both[0] = &to->kinetic, to->both[1] = &to->frobenius;
    to->parts = NDE_INIT(nde_parts, .part = to->both, .n = 2);
    to->integrals = nde_field_concatenation(&to->parts);
}

/* Trains until the loss of data, without what is beside it, is small enough. */
static nde_status train(network *net, const points *data, const regulariser *of, uint64_t seed,
                        outcome *to) {
    double t0[N] = { 0 }, t1[N], moments[2*NP];
    uint64_t draw = 1;
    nde_solver *training = NULL, *prediction = NULL;
    nde_optimiser adam = NDE_INIT(nde_optimiser, .rate = 0.01, .state = moments);
    nde_problem problem = NDE_INIT(nde_problem, .n = N, .drift = &net->field, .y0 = data->at[0],
                                   .p = to->p, .t1 = 1);
    nde_options options = NDE_INIT(nde_options, .rtol = 1e-5, .atol = 1e-6);
    nde_status status = nde_mlp_init(&net->mlp, NDE_GLOROT_UNIFORM, seed, to->p);
    if (!status) status = nde_solver_create(&problem, &options, &prediction);
    for (size_t k = 0; k < N; k++) t1[k] = 1;
    problem.t0_each = t0, problem.t1_each = t1;
    if (of->kinetic > 0) problem.quadrature = &net->integrals;
    options.rtol = 1e-4, options.atol = 1e-5, options.adjoint = NDE_ADJOINT_DISCRETE;
    options.estimates = of->of, options.estimate_seed = &draw;
    if (!status) status = nde_solver_create(&problem, &options, &training);
    for (int i = 0; i <= MOST && !status; i++, draw++) {
        to->iterations = i;
        if (i%EVERY == 0 && (status = predict(prediction, data, to))) break;
        to->history[i/EVERY] = to->evaluations;
        if (to->loss <= goal || i == MOST) break;
        net->probe.seed = draw;
        if (of->width > 0) status = nde_steer(draw, N, 1, of->width, t1);
        if (!status) status = iterate(training, data, of, &adam, to->p);
    }
    if (status)
        fprintf(stderr, "regularised: %s: %s\n", of->name,
                training ? nde_solver_error(training) : nde_error());
    for (int k = 0; k < 10 && !status; k++) { /* the shortest of some times tells most */
        const double before = to->seconds;
        status = predict(prediction, data, to);
        to->seconds = fmin(before, to->seconds);
    }
    nde_solver_destroy(training), nde_solver_destroy(prediction);
    return status;
}

/* ---- the picture ----------------------------------------------------------------------------- */

/* How the points move. */
static bool draw_flow(plot_picture *picture, double left, const char *title, const network *net,
                      const points *data, const outcome *of) {
    double times[ROWS];
    for (int k = 0; k < ROWS; k++) times[k] = (double)k/(ROWS - 1);
    const nde_problem problem = NDE_INIT(nde_problem, .n = N, .drift = &net->field, .p = of->p,
                                         .y0 = data->at[0], .t1 = 1);
    const nde_options options = NDE_INIT(nde_options, .save_t = times, .n_save = ROWS);
    nde_solution s = { 0 };
    if (nde_solve(&problem, &options, &s)) return nde_solution_free(&s), false;
    plot_panel(picture, left, 0, 370, 400, title, (plot_axis){ "x", -4, 4, false },
               (plot_axis){ "y", -4, 4, false });
    for (size_t k = 0; k < N; k++) {
        const plot_look look = { .color = data->label[k] > 0 ? PLOT_BLUE : PLOT_RED, .width = 0.4 };
        plot_line(picture, look, ROWS, s.y + k, DIM*N, s.y + N + k, DIM*N);
    }
    nde_solution_free(&s);
    return true;
}

static bool draw(const char *file, const network *net, const points *data, const outcome *all) {
    plot_picture picture;
    double iteration[MOST/EVERY + 1], most = 0;
    for (int k = 0; k <= MOST/EVERY; k++) iteration[k] = EVERY*k;
    for (int k = 0; k < KINDS; k++)
        for (int i = 0; i <= all[k].iterations/EVERY; i++) most = fmax(most, all[k].history[i]);
    plot_open(&picture, file, 1390, 400);
    plot_panel(&picture, 0, 0, 640, 400, "Until the loss is 0.01",
               (plot_axis){ "iteration", EVERY, MOST, true },
               (plot_axis){ "evaluations of a prediction", 0, 1.1*most, false });
    for (int k = 0; k < KINDS; k++) {
        const plot_look look = { .name = regularisers[k].name, .color = regularisers[k].color };
        const size_t count = (size_t)(all[k].iterations/EVERY) + 1;
        plot_line(&picture, look, count, iteration, 1, all[k].history, 1);
    }
    const bool drawn = draw_flow(&picture, 650, "Without a regulariser", net, data, &all[0]) &&
                       draw_flow(&picture, 1020, "With embedded errors", net, data, &all[1]);
    return plot_close(&picture) && drawn;
}

/* ---- the experiment -------------------------------------------------------------------------- */

/* The table; first [KINDS] gets the trainings of the first seed. */
static nde_status compare(network *net, const points *data, long seeds, outcome *first) {
    static outcome one;
    double plain = 0, plain_seconds = 0;
    printf("%ld network%s each, to a loss of %g:\n", seeds, seeds > 1 ? "s" : "", goal);
    printf("%-16s %10s %9s %12s %6s %9s\n", "regulariser", "iterations", "loss", "evaluations", "x",
           "faster x");
    for (int k = 0; k < KINDS; k++) {
        const char *name = regularisers[k].name;
        double iterations = 0, loss = 0, evaluations = 0, seconds = 0;
        for (long seed = 1; seed <= seeds; seed++) {
            const nde_status status = train(net, data, &regularisers[k], (uint64_t)seed, &one);
            if (status) return status;
            if (seed == 1) first[k] = one;
            iterations += one.iterations, loss = fmax(loss, one.loss);
            evaluations += one.evaluations, seconds += one.seconds;
        }
        if (!k) plain = evaluations, plain_seconds = seconds;
        printf("%-16s %10.0f %9.5f %12.1f %6.3f %9.2f\n", name, iterations/(double)seeds, loss,
               evaluations/(double)seeds, evaluations/plain, plain_seconds/seconds);
    }
    return NDE_OK;
}

static bool can_write(const char *name) {
    FILE *file = fopen(name, "w");
    return file && !fclose(file);
}

int main(int argc, char **argv) {
    static outcome first[KINDS];
    static network net;
    long seeds = 3;
    const char *file = command_line(argc, argv, "regularised", 1, &(argument){ "SEEDS", &seeds, 1, MOST_SEEDS });
    if (!can_write(file))
        return fprintf(stderr, "regularised: cannot write %s\n", file), EXIT_FAILURE;
    const points data = spirals();
    build(&net);
    if (!net.integrals.eval) return fprintf(stderr, "regularised: %s\n", nde_error()), EXIT_FAILURE;
    if (compare(&net, &data, seeds, first)) return EXIT_FAILURE;
    if (!draw(file, &net, &data, first))
        return fprintf(stderr, "regularised: cannot write %s\n", file), EXIT_FAILURE;
    printf("picture: %s\n", file);
    return EXIT_SUCCESS;
}
