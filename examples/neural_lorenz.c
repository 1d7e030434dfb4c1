/* SPDX-License-Identifier: MIT
 * neural_lorenz - a network learns the Lorenz system from trajectories of it, with equal steps and with adaptive ones, and
 * with horizons that grow: how far ahead does it see?
 *   neural_lorenz [--quick] [PICTURE.svg]
 * --quick: a twentieth of the steps of training. Your own system: change lorenz() and SCALE. After: A. Allauzen, T. Petrovskiy,
 * S. Tran-Ngoc-Cu, S. Chevalier, Experimental study of Neural ODE training with adaptive solver for dynamical systems modeling,
 * arXiv:2211.06972 (2022), which finds the adaptive solver of little use with a naive loss, and of use with a horizon. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "nde.h"
#include "plot.h"

enum { DIM = 3, HIDDEN = 50, NP = DIM*HIDDEN + HIDDEN + HIDDEN*DIM + DIM, BATCH = 32, MOST = 16, LONG = 2400, TRIALS = 20,
       SHOWN = 80 };
static const double between = 0.05, lyapunov = 0.906, limit = 0.4; /* of the data's size, at which a forecast has ended */
static const double noise = 0.02; /* of what is learned from: uniform, to both sides */
static const double scale = 20; /* of the state that the network sees */

static int lorenz(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    const double x0 = scale*y[0], x1 = scale*y[1], x2 = scale*y[2];
    dy[0] = 10*(x1 - x0)/scale;
    dy[1] = (x0*(28 - x2) - x1)/scale;
    dy[2] = (x0*x1 - 8.0/3*x2)/scale;
    return 0;
}

static const struct training {
    const char *name;
    bool adaptive, grows;
    const char *color;
} trainings[] = {
    { "fixed, one step", false, false, PLOT_GREY },
    { "adaptive, one step", true, false, PLOT_ORANGE },
    { "fixed, growing horizon", false, true, PLOT_BLUE },
    { "adaptive, growing horizon", true, true, PLOT_RED },
};
enum { TRAININGS = sizeof trainings/sizeof *trainings };

static double data[LONG][DIM], seen[LONG/2][DIM]; /* the first half is learned from, as it is seen; the second is to be
                                                   * foretold */

static nde_status fail(nde_status status, const char *what, const nde_solver *solver) {
    if (status) fprintf(stderr, "neural_lorenz: %s: %s\n", what, solver ? nde_solver_error(solver) : nde_error());
    return status;
}

/* Numbers below `most`: a linear congruence is random enough here. Source: D. Knuth, The Art of Computer Programming 2 (1997),
 * 3.3.4. */
static size_t draw(uint64_t *state, size_t most) {
    *state = *state*6364136223846793005u + 1442695040888963407u;
    return (size_t)(*state >> 33) % most;
}

static nde_status observe(void) {
    static double times[LONG];
    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = lorenz);
    const nde_field drift = nde_field_pointwise(&one, DIM, 0);
    const double start[] = { 0.05, 0.05, 1.2 };
    for (int k = 0; k < LONG; k++) times[k] = 5 + between*k; /* on the attractor by then */
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &drift, .y0 = start, .t1 = times[LONG - 1]);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_VERN7, .rtol = 1e-10, .atol = 1e-10, .save_t = times,
                                         .n_save = LONG);
    nde_solution solution = { 0 };
    const nde_status status = nde_solve(&problem, &options, &solution);
    if (status) fprintf(stderr, "neural_lorenz: %s\n", solution.error ? solution.error : nde_error());
    else memcpy(data, solution.y, sizeof data);
    uint64_t random = 2;
    for (int k = 0; k < LONG/2; k++)
        for (int i = 0; i < DIM; i++) seen[k][i] = data[k][i] + noise*((double)draw(&random, 2001)/1000 - 1);
    nde_solution_free(&solution);
    return status;
}

static nde_options options_of(const struct training *how, const double *times, size_t rows) {
    return NDE_INIT(nde_options, .method = how->adaptive ? NDE_FEHLBERG45 : NDE_RK4, .steps = how->adaptive ? 0 : (int64_t)rows,
                    .rtol = 1e-5, .atol = 1e-5, .save_t = times, .n_save = rows, .adjoint = NDE_ADJOINT_DISCRETE);
}

/* One step of training on windows of `rows` rows behind their starts; adds to the evaluations of the network. */
static nde_status step(nde_solver *solver, size_t rows, double (*y0)[BATCH], uint64_t *random, double *p, nde_optimiser *adam,
                       int64_t *evaluations) {
    static double target[MOST*DIM*BATCH], seed_y[MOST*DIM*BATCH], g[NP];
    nde_solution solution = { .size = sizeof solution };
    double loss;
    for (size_t b = 0; b < BATCH; b++) {
        const size_t from = draw(random, LONG/2 - MOST);
        for (size_t i = 0; i < DIM; i++) {
            y0[i][b] = seen[from][i];
            for (size_t k = 0; k < rows; k++) target[(k*DIM + i)*BATCH + b] = seen[from + k + 1][i];
        }
    }
    nde_status status = nde_solver_run(solver, &solution);
    if (!status) status = nde_loss_mse(&solution, target, NULL, &loss, seed_y);
    if (status) return fail(status, "run", solver);
    for (size_t b = 0; b < BATCH; b++) *evaluations += solution.stats[b].evals;
    const nde_seed seed = NDE_INIT(nde_seed, .y = seed_y);
    const nde_gradient gradient = NDE_INIT(nde_gradient, .p = g);
    status = nde_backward(solver, &seed, &gradient);
    if (status) return fail(status, "backward", solver);
    return nde_optimiser_step(adam, NP, g, p);
}

/* With a horizon of one row, or of 1, 2, 4, 8 and 16 in turn. */
static nde_status learn(const struct training *how, nde_field *drift, int64_t steps, double *p, int64_t *evaluations) {
    static double state[2*NP], y0[DIM][BATCH], times[MOST];
    uint64_t random = 1;
    nde_optimiser adam = NDE_INIT(nde_optimiser, .kind = NDE_ADAM, .rate = 5e-3, .state = state);
    nde_status status = NDE_OK;
    memset(state, 0, sizeof state);
    for (int k = 0; k < MOST; k++) times[k] = between*(k + 1);
    for (size_t rows = 1; rows <= MOST && !status; rows *= 2) {
        const size_t horizon = how->grows ? rows : 1;
        const nde_problem problem = NDE_INIT(nde_problem, .n = BATCH, .drift = drift, .y0 = y0[0], .p = p,
                                             .t1 = times[horizon - 1]);
        const nde_options options = options_of(how, times, horizon);
        nde_solver *solver = NULL;
        status = fail(nde_solver_create(&problem, &options, &solver), "create", NULL);
        for (int64_t i = 0; i < steps && !status; i++) status = step(solver, horizon, y0, &random, p, &adam, evaluations);
        nde_solver_destroy(solver);
        adam.rate *= 0.6;
    }
    return status;
}

/* The time, in Lyapunov times and as the mean over TRIALS starts behind the data, until a forecast is wrong by `limit`;
 * that of the first one is drawn. */
static nde_status foretell(const struct training *how, const nde_field *drift, const double *p, double *valid,
                           plot_picture *picture) {
    enum { AHEAD = LONG/2/2 };
    static double times[AHEAD], y0[DIM][TRIALS];
    nde_solution solution = { 0 };
    double size = 0;
    for (int k = 0; k < LONG/2; k++)
        for (int i = 0; i < DIM; i++) size += data[k][i]*data[k][i]/(LONG/2);
    for (int k = 0; k < AHEAD; k++) times[k] = between*(k + 1);
    for (size_t b = 0; b < TRIALS; b++)
        for (size_t i = 0; i < DIM; i++) y0[i][b] = data[LONG/2 + b*AHEAD/TRIALS][i];
    const nde_problem problem = NDE_INIT(nde_problem, .n = TRIALS, .drift = drift, .y0 = y0[0], .p = p, .t1 = times[AHEAD - 1]);
    nde_options options = options_of(how, times, AHEAD);
    options.adjoint = 0;
    nde_status status = nde_solve(&problem, &options, &solution);
    if (status == NDE_E_LANES) status = NDE_OK; /* a forecast that is lost is over */
    *valid = 0;
    for (size_t b = 0; b < TRIALS && !status; b++) {
        const double *truth = data[LONG/2 + b*AHEAD/TRIALS];
        double off = 0;
        size_t k = 0;
        for (; k < AHEAD && off <= limit*limit*size; k++) {
            off = 0;
            for (size_t i = 0; i < DIM; i++) {
                const double d = solution.y[(k*DIM + i)*TRIALS + b] - truth[(k + 1)*DIM + i];
                off += isfinite(d) ? d*d : (double)INFINITY;
            }
        }
        *valid += lyapunov*times[k - 1]/TRIALS;
    }
    if (!status)
        plot_line(picture, (plot_look){ .name = how->name, .color = how->color }, SHOWN*2, times, 1, solution.y, DIM*TRIALS);
    if (status) fprintf(stderr, "neural_lorenz: %s\n", solution.error ? solution.error : nde_error());
    nde_solution_free(&solution);
    return status;
}

int main(int argc, char **argv) {
    const bool quick = argc > 1 && strcmp(argv[1], "--quick") == 0;
    const char *file = argc > 1 + quick ? argv[1 + quick] : "neural_lorenz.svg";
    if (argc > 2 + quick || file[0] == '-')
        return fprintf(stderr, "usage: neural_lorenz [--quick] [PICTURE.svg]\n"), EXIT_FAILURE;
    static double p[NP], shown[2*SHOWN];
    const size_t width[] = { DIM, HIDDEN, DIM };
    const nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 2, .width = width, .hidden = NDE_TANH);
    nde_field drift = nde_field_mlp(&mlp);
    plot_picture picture;
    nde_status status = observe();
    for (int k = 0; k < 2*SHOWN; k++) shown[k] = between*(k + 1);
    plot_open(&picture, file, 900, 420);
    plot_panel(&picture, 0, 0, 900, 420, "What the networks foretell, and what happens",
               (plot_axis){ "time", 0, 2*SHOWN*between, false }, (plot_axis){ "x/20", -1.2, 1.9, false });
    if (!status)
        plot_line(&picture, (plot_look){ .name = "Lorenz", .color = "#333333", .dash = "6 4" }, 2*SHOWN, shown, 1,
                  data[LONG/2 + 1], DIM);
    printf("%-26s %20s %31s\n", "training", "evaluations per step", "forecast holds [Lyapunov times]");
    for (int k = 0; k < TRAININGS && !status; k++) {
        const int64_t steps = quick ? 60 : 4000;
        int64_t evaluations = 0;
        double valid = 0;
        status = nde_mlp_init(&mlp, NDE_GLOROT_UNIFORM, 1, p);
        if (!status) status = learn(&trainings[k], &drift, steps, p, &evaluations);
        if (!status) status = foretell(&trainings[k], &drift, p, &valid, &picture);
        if (!status) printf("%-26s %20.1f %31.2f\n", trainings[k].name, (double)evaluations/((double)steps*5*BATCH), valid);
    }
    const int drawn = plot_finish(&picture, "neural_lorenz", file);
    return status ? EXIT_FAILURE : drawn;
}
