/* SPDX-License-Identifier: MIT
 * cnf - continuous normalising flows learn two densities from their points: by exact traces, or by probes, with RNODE's terms.
 *   cnf [ITERATIONS [SEEDS [PICTURE.svg]]]    of each training, 1 to 100000; 800. SEEDS networks each, 1 to 20; 1
 * After: W. Grathwohl, R. Chen, J. Bettencourt, I. Sutskever, D. Duvenaud, FFJORD, ICLR (2019); C. Finlay, J. Jacobsen,
 * L. Nurbekyan, A. Oberman, How to train your neural ODE, ICML (2020). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "fit.h"
#include "plot.h"

enum { BATCH = 512, HELD = 4096, SIDE = 80, WIDTH = 64, NP = 4*WIDTH + (WIDTH + 1)*(WIDTH + 2) };
enum { LOG = 2, ROWS = 5 }; /* of the state, behind the place: log det of the map so far; all, with RNODE's two integrals */
static const double pi = 3.141592653589793, view = 2.5, rnode = 0.01;
static const size_t width[] = { 3, WIDTH, WIDTH, 2 };

typedef struct density {
    const char *name;
    void (*draw)(uint64_t seed, size_t i, double x[2]); /* point i of it */
    double (*at)(double x, double y);
} density;

/* Two halves of circles, blurred. */
static const double blur = 0.12, radius = 1.2, middle[2][2] = { { -0.6, -0.3 }, { 0.6, 0.3 } };
static void draw_moons(uint64_t seed, size_t i, double x[2]) {
    const size_t half = nde_uniform(seed, 128, i, 0, 0) < 0.5;
    const double angle = pi*(nde_uniform(seed, 128, i, 0, 1) + (double)half);
    x[0] = radius*cos(angle) + middle[half][0] + blur*nde_normal(seed, 129, i, 0, 0);
    x[1] = radius*sin(angle) + middle[half][1] + blur*nde_normal(seed, 129, i, 0, 1);
}
static double moons(double x, double y) {
    enum { ANGLES = 400 };
    double sum = 0;
    for (size_t j = 0; j < ANGLES; j++) {
        const double angle = 2*pi*((double)j + 0.5)/ANGLES, *from = middle[j >= ANGLES/2];
        const double off = hypot(x - from[0] - radius*cos(angle), y - from[1] - radius*sin(angle))/blur;
        sum += exp(-off*off/2)/(2*pi*blur*blur*ANGLES);
    }
    return sum;
}

/* Eight squares of sixteen. */
static void draw_squares(uint64_t seed, size_t i, double x[2]) {
    const double column = floor(4*nde_uniform(seed, 128, i, 0, 0)), row = 2*floor(2*nde_uniform(seed, 128, i, 0, 1));
    x[0] = column - 2 + nde_uniform(seed, 128, i, 1, 0);
    x[1] = row + fmod(column, 2) - 2 + nde_uniform(seed, 128, i, 1, 1);
}
static double squares(double x, double y) {
    return fmax(fabs(x), fabs(y)) < 2 && fmod(floor(x) + floor(y) + 4, 2) < 1 ? 1.0/8 : 0;
}

static const density densities[] = { { "two moons", draw_moons, moons }, { "checkerboard", draw_squares, squares } };

/* A place x moves as a network of (x, t) says. Rows: LOG + 1, with the exact trace, or ROWS, with that of a probe q. */
static nde_program *build(size_t rows) {
    nde_program *g;
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = rows, .np = NP, .nq = rows == ROWS ? 2 : 0), &g), NULL);
    const nde_var x = nde_y(g, 0, 2), a = nde_dense(g, NDE_TANH, 0, WIDTH, nde_concat(g, (nde_var[]){ x, nde_t(g) }, 2));
    const nde_var f = nde_dense(g, NDE_IDENTITY, NP - 2*(WIDTH + 1), 2, nde_dense(g, NDE_TANH, 4*WIDTH, WIDTH, a));
    if (rows == ROWS) {
        const nde_var probe = nde_q(g, 0, 2), slope = nde_vjp_of(g, f, x, probe);
        const nde_var terms[] = { f, nde_dot(g, slope, probe), nde_dot(g, f, f), nde_dot(g, slope, slope) };
        need(nde_program_finish(g, nde_concat(g, terms, 4)), NULL);
    } else need(nde_program_finish(g, nde_concat(g, (nde_var[]){ f, nde_divergence_of(g, f, x) }, 2)), NULL);
    return g;
}

/* Minimises the mean of -log density, and of RNODE's integrals, over points that are drawn anew for each step. */
static void learn(const density *of, const nde_field *drift, int iterations, uint64_t seed, double *p) {
    static double state[2*NP], g[NP], y0[ROWS*BATCH], probe[2*BATCH], a[ROWS*BATCH];
    nde_optimiser adam = NDE_INIT(nde_optimiser, .rate = 0.01, .state = state, .schedule = NDE_SCHEDULE_COSINE,
                                  .decay_steps = iterations);
    const nde_problem problem = NDE_INIT(nde_problem, .n = BATCH, .drift = drift, .y0 = y0, .p = p, .q = probe, .t1 = 1);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_DOPRI5, .rtol = 1e-3, .atol = 1e-3,
                                         .adjoint = NDE_ADJOINT_DISCRETE);
    nde_solver *solver;
    nde_solution solution = { 0 };
    need(nde_solver_create(&problem, &options, &solver), NULL);
    for (size_t i = 0; i < ROWS*BATCH; i++) a[i] = i/BATCH == LOG ? -1.0/BATCH : rnode/BATCH;
    for (uint64_t k = 0; k < (uint64_t)iterations; k++) {
        for (size_t b = 0; b < BATCH; b++) {
            double x[2];
            of->draw(seed, k*BATCH + b, x);
            for (size_t i = 0; i < 2; i++) y0[i*BATCH + b] = x[i];
            for (size_t i = 0; i < 2; i++) probe[i*BATCH + b] = nde_uniform(seed, 130, b, k, i) < 0.5 ? -1 : 1;
        }
        need(nde_solver_run(solver, &solution), solver);
        for (size_t i = 0; i < LOG*BATCH; i++) a[i] = solution.y_end[i]/BATCH;
        need(nde_backward(solver, &NDE_INIT(nde_seed, .y_end = a), &NDE_INIT(nde_gradient, .p = g)), solver);
        need(nde_optimiser_step(&adam, NP, g, p), NULL);
    }
    nde_solver_destroy(solver);
}

/* Logarithms of the flow's density at n places y0 [LOG + 1][n], whose last row is 0. Returns evaluations for one of them. */
static double measure(const nde_field *drift, const double *p, size_t n, const double *y0, double tolerance, double *to) {
    nde_solution s = { 0 };
    double evaluations = 0;
    const nde_problem problem = NDE_INIT(nde_problem, .n = n, .drift = drift, .y0 = y0, .p = p, .t1 = 1);
    need(nde_solve(&problem, &NDE_INIT(nde_options, .method = NDE_DOPRI5, .rtol = tolerance, .atol = tolerance), &s), s.solver);
    for (size_t b = 0; b < n; b++) {
        const double x = s.y_end[b], y = s.y_end[n + b];
        to[b] = s.y_end[LOG*n + b] - (x*x + y*y)/2 - log(2*pi), evaluations += (double)s.stats[b].evals/(double)n;
    }
    nde_solution_free(&s);
    return evaluations;
}

/* One network, from its making to its row of the table; the density that it has learned [SIDE*SIDE]. */
static void study(const density *of, size_t rows, int iterations, uint64_t seed, double *shades) {
    static double p[NP], held[(LOG + 1)*HELD], grid[(LOG + 1)*SIDE*SIDE], logs[HELD + SIDE*SIDE];
    double mean = 0, truth = 0;
    nde_program *learned = build(rows), *exact = build(LOG + 1);
    const nde_field drift = nde_field_program(learned), flow = nde_field_program(exact);
    need(nde_mlp_init(&NDE_INIT(nde_mlp, .layers = 3, .width = width), NDE_GLOROT_UNIFORM, seed, p), NULL);
    learn(of, &drift, iterations, seed, p);
    for (size_t b = 0; b < HELD; b++) {
        double x[2];
        of->draw(999, b, x);
        held[b] = x[0], held[HELD + b] = x[1], truth += log(of->at(x[0], x[1]))/HELD;
    }
    const double evaluations = measure(&flow, p, HELD, held, 1e-3, logs);
    (void)measure(&flow, p, HELD, held, 1e-6, logs);
    for (size_t b = 0; b < HELD; b++) mean += logs[b]/HELD;
    printf("%-12s %-13s %4d %14.4f %14.4f %12.1f\n", of->name, rows == ROWS ? "probe, RNODE" : "exact", (int)seed, mean,
           mean - truth, evaluations);
    for (size_t i = 0; i < SIDE*SIDE; i++)
        for (size_t k = 0; k < 2; k++) grid[k*SIDE*SIDE + i] = view*(2*((double)(k ? i/SIDE : i%SIDE) + 0.5)/SIDE - 1);
    (void)measure(&flow, p, SIDE*SIDE, grid, 1e-4, logs);
    for (size_t i = 0; i < SIDE*SIDE; i++) shades[i] = fmin(1, exp(logs[i])/(of->draw == draw_moons ? 0.35 : 0.2));
    nde_program_destroy(learned), nde_program_destroy(exact);
}

static void draw(plot_picture *to, const density *of, double top, double (*shades)[SIDE*SIDE]) {
    static const char *const titles[] = { "points", "exact trace", "probe, RNODE" };
    static double x[2][HELD];
    for (size_t b = 0; b < HELD; b++) {
        double point[2];
        of->draw(999, b, point);
        x[0][b] = point[0], x[1][b] = point[1];
    }
    for (int k = 0; k < 3; k++) {
        plot_panel(to, 340*k, top, 340, 340, titles[k], (plot_axis){ "x", -view, view, 0 }, (plot_axis){ "y", -view, view, 0 });
        if (k == 0) plot_dots(to, (plot_look){ NULL, PLOT_BLUE, NULL, 1.2, false }, HELD, x[0], 1, x[1], 1);
        else plot_shade(to, PLOT_BLUE, SIDE, SIDE, shades[k - 1]);
    }
}

int main(int argc, char **argv) {
    static double shades[2][SIDE*SIDE];
    const char *file = argc > 3 ? argv[3] : "cnf.svg";
    const long iterations = argc > 1 ? strtol(argv[1], NULL, 10) : 800, seeds = argc > 2 ? strtol(argv[2], NULL, 10) : 1;
    if (argc > 4 || iterations < 1 || iterations > 100000 || seeds < 1 || seeds > 20)
        return fprintf(stderr, "usage: cnf [ITERATIONS [SEEDS [PICTURE.svg]]]\n"), EXIT_FAILURE;
    plot_picture to;
    const bool open = plot_open(&to, file, 1020, 680);
    printf("%-12s %-13s %4s %14s %14s %12s\n", "density", "trace", "seed", "log likelihood", "minus truth's", "evaluations");
    for (int d = 0; d < 2 && open; d++) {
        for (long seed = seeds; seed >= 1; seed--) /* the first is drawn */
            for (size_t k = 0; k < 2; k++) study(&densities[d], k ? ROWS : LOG + 1, (int)iterations, (uint64_t)seed, shades[k]);
        draw(&to, &densities[d], 340*d, shades);
    }
    if (!plot_close(&to)) return fprintf(stderr, "cnf: cannot write %s\n", file), EXIT_FAILURE;
    printf("picture: %s\n", file);
    return EXIT_SUCCESS;
}
