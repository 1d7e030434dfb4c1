/* SPDX-License-Identifier: MIT
 * stiff_neural - a network learns Robertson's reactions, whose rates are nine powers of ten apart, from 50 rows at 10^-5 to
 * 10^5. Amounts go into the network as shares of their largest; what comes out goes through sinh, in units of amount and time:
 * then a rate of 10^-6 and one of 10^8 are both of moderate numbers. Each amount counts in the loss relative to its largest.
 * Solved by rodas5p, fitted by least squares with the exact derivatives of its steps.
 *   stiff_neural [ITERATIONS [SEED [PICTURE.svg]]]    ITERATIONS: 150; SEED: of the network, > 0; 1
 * After: S. Kim, W. Ji, S. Deng, Y. Ma, C. Rackauckas, Stiff neural ordinary differential equations, Chaos 31 (2021) 093122. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "command.h"
#include "fit.h"
#include "plot.h"

enum { TIMES = 50, COUNT = 3*TIMES, NP = 4*8 + 9*8 + 9*3 };
static const char truth_text[] = "state a, b, c; param k1, k2, k3; slow = k1*a; back = k2*b*c; fast = k3*b*b\n"
                                 "da = back - slow; db = slow - back - fast; dc = fast";
static const char network_text[] = "state y[3]; own unit[3]; param p[131]\n"
                                   "first = dense(tanh, p[0:24], p[24:32], y/unit)\n"
                                   "next = dense(tanh, p[32:96], p[96:104], first)\n"
                                   "last = dense(identity, p[104:128], p[128:131], next); dy = unit/1e5*sinh(last)";
static const double y0[] = { 1, 0, 0 }, rates[] = { 0.04, 1e4, 3e7 };

typedef struct model {
    nde_solver *solver;
    nde_solution s;
    double unit[3], p[NP], data[COUNT], weight[COUNT], work[COUNT + NP];
} model;

static double root_mean_square(double value) { return sqrt(2*value/COUNT); }

/* A network that cannot be solved is no better than the one before: LM takes a shorter step. */
static int residual(void *ctx, size_t np, const double *p, size_t count, double *r, double *jacobian) {
    model *m = ctx;
    memcpy(m->p, p, sizeof m->p);
    if (nde_solver_run(m->solver, &m->s)) return 1;
    need(nde_residuals(m->solver, &m->s, m->data, m->weight, np, &count, r, jacobian, m->work), m->solver);
    return 0;
}
static int tell(void *ctx, int64_t iteration, double value, const double *p) {
    const model *m = ctx;
    (void)p;
    if (iteration%10 == 0)
        printf("%9lld %12.5f %8lld\n", (long long)iteration, root_mean_square(value), (long long)m->s.stats->accepted);
    return 0;
}

/* Rows of the reactions themselves: data and largest amounts. */
static void make_data(model *m, const nde_options *at) {
    nde_program *g;
    nde_solution s = { 0 };
    need(nde_program_parse(truth_text, NULL, &g), NULL);
    const nde_field drift = nde_field_program(g);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &drift, .y0 = y0, .p = rates, .t1 = 1e5);
    need(nde_solve(&problem, &NDE_INIT(nde_options, .method = NDE_RODAS5P, .rtol = 1e-10, .atol = 1e-15, .save_t = at->save_t,
                                       .n_save = TIMES), &s), s.solver);
    memcpy(m->data, s.y, sizeof m->data);
    for (size_t i = 0; i < COUNT; i++) m->unit[i%3] = fmax(m->unit[i%3], m->data[i]);
    for (size_t i = 0; i < COUNT; i++) m->weight[i] = 1/(m->unit[i%3]*m->unit[i%3]);
    nde_solution_free(&s), nde_program_destroy(g);
}

/* By how much the adjoint's gradient differs from that of the residuals, relative to its largest entry. */
static double compare_gradients(model *m, const double *p) {
    static double r[COUNT], jacobian[COUNT*NP], seed[COUNT], a_p[NP];
    double worst = 0, most = 0;
    if (residual(m, NP, p, COUNT, r, jacobian)) return (double)NAN;
    for (size_t i = 0; i < COUNT; i++) seed[i] = r[i]/m->unit[i%3];
    need(nde_backward(m->solver, &NDE_INIT(nde_seed, .y = seed), &NDE_INIT(nde_gradient, .p = a_p)), m->solver);
    for (size_t j = 0; j < NP; j++) {
        double sum = 0;
        for (size_t i = 0; i < COUNT; i++) sum += jacobian[i*NP + j]*r[i];
        most = fmax(most, fabs(a_p[j])), worst = fmax(worst, fabs(sum - a_p[j]));
    }
    return worst/most;
}

static int draw(const model *m, const char *file, const double *t) {
    static const char *const name[] = { "a", "b", "c" }, *const color[] = { PLOT_BLUE, PLOT_RED, PLOT_GREEN };
    double share[2][COUNT];
    for (size_t i = 0; i < COUNT; i++) share[0][i] = m->data[i]/m->unit[i%3], share[1][i] = m->s.y[i]/m->unit[i%3];
    plot_picture to;
    plot_open(&to, file, 640, 400);
    plot_panel(&to, 0, 0, 640, 400, "Robertson's reactions: data (rings) and network", (plot_axis){ "time", 1e-5, 1e5, true },
               (plot_axis){ "share of the largest amount", 0, 1.05, false });
    for (size_t i = 0; i < 3; i++) {
        plot_points(&to, (plot_look){ NULL, color[i], NULL, 5, true }, TIMES, t, 1, share[0] + i, 3);
        plot_line(&to, (plot_look){ name[i], color[i], NULL, 0, false }, TIMES, t, 1, share[1] + i, 3);
    }
    return plot_finish(&to, "stiff_neural", file);
}

int main(int argc, char **argv) {
    static model m;
    long iterations = 150, seed = 1;
    const argument given[] = { { "ITERATIONS", &iterations, 1, 100000 }, { "SEED", &seed, 1, LONG_MAX } };
    const char *file = command_line(argc, argv, "stiff_neural", 2, given);
    double t[TIMES], atol[3], p[NP];
    for (int k = 0; k < TIMES; k++) t[k] = k < TIMES - 1 ? pow(10, -5 + 10.0*k/(TIMES - 1)) : 1e5;
    nde_options options = NDE_INIT(nde_options, .method = NDE_RODAS5P, .rtol = 1e-4, .atol_each = atol, .save_t = t,
                                   .n_save = TIMES, .max_steps = 2000, .adjoint = NDE_ADJOINT_DISCRETE);
    make_data(&m, &options);
    for (size_t i = 0; i < 3; i++) atol[i] = 1e-5*m.unit[i];

    nde_program *g;
    need(nde_program_parse(network_text, NULL, &g), NULL);
    const nde_field drift = nde_field_program(g);
    const size_t width[] = { 3, 8, 8, 3 };
    need(nde_mlp_init(&NDE_INIT(nde_mlp, .layers = 3, .width = width), NDE_GLOROT_NORMAL, (uint64_t)seed, p), NULL);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &drift, .y0 = y0, .p = m.p, .q = m.unit, .t1 = 1e5);
    need(nde_solver_create(&problem, &options, &m.solver), NULL);
    nde_fit fit;
    const nde_least_squares fitting = NDE_INIT(nde_least_squares, .m = COUNT, .residual = residual, .progress = tell, .ctx = &m,
                                               .iterations = iterations);
    printf("%9s %12s %8s\n", "iteration", "RMS", "steps");
    const nde_status status = nde_least_squares_fit(&fitting, NP, p, NULL, &fit);
    if (status != NDE_UNFINISHED) need(status, NULL);
    printf("%d parameters, %lld iterations, %lld solves: %.5f off before, %.5f after (RMS, in shares of the largest)\n", NP,
           (long long)fit.iterations, (long long)fit.evaluations, root_mean_square(fit.first), root_mean_square(fit.last));
    printf("gradient by the adjoint and by forward sensitivities: %.1e apart\n", compare_gradients(&m, p));
    const int status_of_picture = draw(&m, file, t);
    nde_solver_destroy(m.solver), nde_program_destroy(g);
    return status_of_picture;
}
