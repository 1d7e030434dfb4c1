/* SPDX-License-Identifier: MIT
 * hnn - networks learn a pendulum's Hamiltonian, or its slopes, from noisy data: which of them keeps the energy for 20 periods?
 *   hnn [SEED [PICTURE.svg]]    SEED: of the data and of the networks, > 0; 1
 * After: S. Greydanus, M. Dzamba, J. Yosinski, Hamiltonian neural networks, NeurIPS (2019), which learns from slopes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "nde.h"
#include "plot.h"

enum { N = 64, TIMES = 30, STEPS = 700 }; /* trajectories that are learned from, their times; steps of Adam */
enum { WIDTH = 24, LAST = (WIDTH + 4)*WIDTH, NP = LAST + 2*(WIDTH + 1) }; /* parameters before the last layer; all, at most */
enum { STARTS = 6, PERIODS = 20, SHOWN = 50*PERIODS + 1 };
static const double start[2][STARTS] = { { 0.3, 0.6, 0.9, 1.2, 1.5, 1.8 } }; /* angles where a pendulum is let go, momenta 0 */
static const double period = 7.858; /* of the last one, the longest: 2 pi/agm(1, cos(1.8/2)) */
static const double duration = 2.9, noise = 0.1; /* of the data */

/* What a field makes of the starts: the way of the last one; errors of the energy, of all. */
typedef struct forecast {
    double time[SHOWN], q[SHOWN], p[SHOWN], energy[SHOWN], rms, largest;
} forecast;

static void need(nde_status status, const nde_solver *solver) {
    if (status) fprintf(stderr, "hnn: %s\n", solver ? nde_solver_error(solver) : nde_error()), exit(EXIT_FAILURE);
}

static void observe(const nde_field *pendulum, uint64_t seed, double *data) {
    double y0[2*N];
    nde_solution s = { 0 };
    for (size_t i = 0; i < 2*N; i++) y0[i] = (i < N ? 4 : 1)*(nde_uniform(seed, 128, i, 0, 0) - 0.5);
    const nde_problem problem = NDE_INIT(nde_problem, .n = N, .drift = pendulum, .y0 = y0, .t1 = duration);
    need(nde_solve(&problem, &NDE_INIT(nde_options, .method = NDE_VERN7, .steps = TIMES - 1, .save_every = 1), &s), s.solver);
    for (size_t i = 0; i < TIMES*2*N; i++) data[i] = s.y[i] + noise*nde_normal(seed, 129, 0, i, 0);
    nde_solution_free(&s);
}

/* With one output (q, p) -> H, and dq/dt = dH/dp, dp/dt = -dH/dq; with two (q, p) -> (dq/dt, dp/dt). */
static nde_program *build(size_t outputs) {
    nde_program *g;
    need(nde_program_create(&NDE_INIT(nde_program_shape, .dim = 2, .np = LAST + outputs*(WIDTH + 1)), &g), NULL);
    const nde_var y = nde_y(g, 0, 2), x = nde_dense(g, NDE_TANH, 0, WIDTH, y), z = nde_dense(g, NDE_TANH, 3*WIDTH, WIDTH, x);
    nde_var f = nde_dense(g, NDE_IDENTITY, LAST, outputs, z);
    if (outputs == 1) {
        const nde_var slope = nde_vjp_of(g, f, y, nde_constant(g, 1));
        f = nde_concat(g, (nde_var[]){ nde_cut(g, slope, 1, 1), nde_neg(g, nde_cut(g, slope, 0, 1)) }, 2);
    }
    need(nde_program_finish(g, f), NULL);
    return g;
}

/* z [np + 2 N]: parameters, and the initial states, which are seen no better than the others. Returns the loss. */
static double learn(const nde_field *drift, const double *data, double *z) {
    static double moments[2*(NP + 2*N)], g[NP + 2*N], seed_y[TIMES*2*N], loss;
    const size_t np = drift->np;
    nde_solver *solver;
    nde_solution s = { 0 };
    nde_optimiser adam = NDE_INIT(nde_optimiser, .rate = 0.03, .state = moments, .schedule = NDE_SCHEDULE_COSINE,
                                  .decay_steps = STEPS);
    const nde_problem problem = NDE_INIT(nde_problem, .n = N, .drift = drift, .y0 = z + np, .p = z, .t1 = duration);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_RK4, .steps = TIMES - 1, .save_every = 1,
                                         .adjoint = NDE_ADJOINT_DISCRETE);
    for (size_t i = 0; i < 2*N; i++) z[np + i] = data[i];
    need(nde_solver_create(&problem, &options, &solver), NULL);
    for (int i = 0; i < STEPS; i++) {
        need(nde_solver_run(solver, &s), solver);
        need(nde_loss_mse(&s, data, NULL, &loss, seed_y), NULL);
        need(nde_backward(solver, &NDE_INIT(nde_seed, .y = seed_y), &NDE_INIT(nde_gradient, .p = g, .y0 = g + np)), solver);
        need(nde_optimiser_step(&adam, np + 2*N, g, z), NULL);
    }
    nde_solver_destroy(solver);
    return loss;
}

static void foretell(const nde_field *drift, const double *z, forecast *to) {
    nde_solution s = { 0 };
    const nde_problem problem = NDE_INIT(nde_problem, .n = STARTS, .drift = drift, .y0 = *start, .p = z, .t1 = PERIODS*period);
    need(nde_solve(&problem, &NDE_INIT(nde_options, .method = NDE_VERN7, .steps = SHOWN - 1, .save_every = 1), &s), s.solver);
    for (size_t i = 0; i < SHOWN*STARTS; i++) {
        const size_t k = i/STARTS, b = i%STARTS;
        const double q = s.y[2*k*STARTS + b], p = s.y[(2*k + 1)*STARTS + b], energy = p*p/2 - cos(q);
        const double off = fabs(energy + cos(start[0][b]));
        to->time[k] = s.t[i], to->q[k] = q, to->p[k] = p, to->energy[k] = energy;
        to->rms = hypot(to->rms, off/sqrt(SHOWN*STARTS)), to->largest = fmax(to->largest, off);
    }
    nde_solution_free(&s);
}

/* A network of so many outputs, from its making to its row of the table. */
static void study(size_t outputs, uint64_t seed, const double *data, forecast *to) {
    static double z[NP + 2*N];
    const size_t width[] = { 2, WIDTH, WIDTH, outputs };
    const nde_mlp shape = NDE_INIT(nde_mlp, .layers = 3, .width = width);
    nde_program *program = build(outputs);
    const nde_field drift = nde_field_program(program);
    need(nde_mlp_init(&shape, NDE_GLOROT_UNIFORM, seed, z), NULL);
    const double loss = learn(&drift, data, z);
    foretell(&drift, z, to);
    printf("%-12s %10zu %10.5f %16.5f %10.5f\n", outputs == 1 ? "Hamiltonian" : "plain", drift.np, loss, to->rms, to->largest);
    nde_program_destroy(program);
}

int main(int argc, char **argv) {
    static const plot_look look[] = { { "plain", PLOT_ORANGE, NULL, 0, false }, { "Hamiltonian", PLOT_BLUE, NULL, 0, false },
                                      { "true", "#333333", "6 4", 0, false } };
    static forecast all[3];
    static double data[TIMES*2*N];
    const char *file = argc > 2 ? argv[2] : "hnn.svg";
    const uint64_t seed = argc > 1 ? strtoull(argv[1], NULL, 10) : 1;
    if (argc > 3 || !seed) return fprintf(stderr, "usage: hnn [SEED [PICTURE.svg]]\n"), EXIT_FAILURE;
    nde_program *program;
    need(nde_program_parse("state q, p; dq = p; dp = -sin(q)", NULL, &program), NULL);
    const nde_field pendulum = nde_field_program(program);
    observe(&pendulum, seed, data);
    foretell(&pendulum, NULL, &all[2]);
    printf("%-12s %10s %10s %16s %10s\n", "network", "parameters", "loss", "energy off: RMS", "largest");
    for (size_t k = 0; k < 2; k++) study(2 - k, seed, data, &all[k]);
    printf("Hamiltonian/plain %34.4f %10.4f\n", all[1].rms/all[0].rms, all[1].largest/all[0].largest);
    nde_program_destroy(program);
    plot_picture to;
    plot_open(&to, file, 1030, 400);
    plot_panel(&to, 0, 0, 420, 400, "Let go at 1.8", (plot_axis){ "q", -2.2, 2.2, 0 }, (plot_axis){ "p", -2, 2, 0 });
    for (int k = 0; k < 3; k++) plot_line(&to, look[k], SHOWN, all[k].q, 1, all[k].p, 1);
    plot_panel(&to, 430, 0, 600, 400, "Energy", (plot_axis){ "time", 0, PERIODS*period, 0 }, (plot_axis){ "H", -1, 0.5, 0 });
    for (int k = 0; k < 3; k++) plot_line(&to, look[k], SHOWN, all[k].time, 1, all[k].energy, 1);
    if (!plot_close(&to)) return fprintf(stderr, "hnn: cannot write %s\n", file), EXIT_FAILURE;
    printf("picture: %s\n", file);
    return EXIT_SUCCESS;
}
