/* SPDX-License-Identifier: MIT
 * cnf - continuous normalising flows learn two densities from their points: by exact traces, or by probes, with RNODE's terms.
 *   cnf [ITERATIONS [SEEDS [PICTURE.svg]]]    of each training, 1 to 100000; 800. SEEDS networks each, 1 to 20; 1
 * After: W. Grathwohl et al., FFJORD, ICLR (2019); C. Finlay et al., How to train your neural ODE, ICML (2020). */
#include <math.h>
#include <stdio.h>

#include "command.h"
#include "densities.h"
#include "fit.h"

enum { BATCH = 512, HELD = 4096, SIDE = 80, WIDTH = 64, NP = 4*WIDTH + (WIDTH + 1)*(WIDTH + 2) };
enum { LOG = 2, ROWS = 5 }; /* of the state, behind the place: log det of the map so far; all, with RNODE's two integrals */
static const double pi = 3.141592653589793, view = 2.5, rnode = 0.01;

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
    nde_solver *solver;
    nde_solution solution = { 0 };
    need(nde_solver_create(&problem, &NDE_INIT(nde_options, .method = NDE_DOPRI5, .rtol = 1e-3, .atol = 1e-3,
                                               .adjoint = NDE_ADJOINT_DISCRETE), &solver), NULL);
    for (size_t i = 0; i < ROWS*BATCH; i++) a[i] = i/BATCH == LOG ? -1.0/BATCH : rnode/BATCH;
    for (uint64_t k = 0; k < (uint64_t)iterations; k++) {
        draw_points(of, seed, k*BATCH, BATCH, y0);
        for (size_t i = 0; i < 2*BATCH; i++) probe[i] = nde_uniform(seed, 130, i % BATCH, k, i/BATCH) < 0.5 ? -1 : 1;
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

/* One network, from its making to its row of the table; the logarithms of the density that it has learned [SIDE*SIDE]. */
static void study(const density *of, const double *held, size_t rows, int iterations, uint64_t seed, double *logs) {
    static double p[NP], grid[(LOG + 1)*SIDE*SIDE], each[HELD];
    const nde_mlp shape = NDE_INIT(nde_mlp, .layers = 3, .width = (const size_t[]){ 3, WIDTH, WIDTH, 2 });
    nde_program *learned = build(rows), *exact = build(LOG + 1);
    const nde_field drift = nde_field_program(learned), flow = nde_field_program(exact);
    need(nde_mlp_init(&shape, NDE_GLOROT_UNIFORM, seed, p), NULL);
    learn(of, &drift, iterations, seed, p), cells(SIDE, view, grid);
    double mean = 0, evaluations = measure(&flow, p, HELD, held, 1e-3, each);
    (void)measure(&flow, p, HELD, held, 1e-6, each), (void)measure(&flow, p, SIDE*SIDE, grid, 1e-4, logs);
    for (size_t b = 0; b < HELD; b++) mean += each[b]/HELD;
    printf("%-12s %-13s %4d %14.4f %14.4f %12.1f\n", of->name, rows == ROWS ? "probe, RNODE" : "exact", (int)seed, mean,
           mean - mean_log(of, HELD, held), evaluations);
    nde_program_destroy(learned), nde_program_destroy(exact);
}

int main(int argc, char **argv) {
    static const char *const titles[] = { "points", "exact trace", "probe, RNODE" };
    static double logs[2][SIDE*SIDE], held[(LOG + 1)*HELD];
    long iterations = 800, seeds = 1;
    const argument given[] = { { "ITERATIONS", &iterations, 1, 100000 }, { "SEEDS", &seeds, 1, 20 } };
    const char *file = command_line(argc, argv, "cnf", 2, given);
    plot_picture to;
    const bool open = plot_open(&to, file, 1020, 680);
    printf("%-12s %-13s %4s %14s %14s %12s\n", "density", "trace", "seed", "log likelihood", "minus truth's", "evaluations");
    for (int d = 0; d < 2 && open; d++) {
        const density *of = d ? &checkerboard : &two_moons;
        draw_points(of, 999, 0, HELD, held);
        for (long seed = seeds; seed >= 1; seed--) /* the first is drawn */
            for (size_t k = 0; k < 2; k++) study(of, held, k ? ROWS : LOG + 1, (int)iterations, (uint64_t)seed, logs[k]);
        draw_densities(&to, of, 340*d, HELD, held, titles, SIDE, view, (double *[]){ logs[0], logs[1] });
    }
    return plot_finish(&to, "cnf", file);
}
