/* SPDX-License-Identifier: MIT
 * lorenz - two trajectories of the Lorenz system that begin 1e-8 apart, as one ensemble: the
 * butterfly, and how they part.
 *   lorenz [PICTURE.svg]
 * Your own equation: change field(), DIM, and the three lines of y0, p and the span of time. */
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "nde.h"
#include "plot.h"

enum { DIM = 3, N = 2, ROWS = 6001 }; /* components, trajectories, times that are kept */

/* E. N. Lorenz, Deterministic nonperiodic flow, J. Atmos. Sci. 20 (1963) 130-141. */
static int field(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)t, (void)ctx;
    dy[0] = p[0]*(y[1] - y[0]);
    dy[1] = y[0]*(p[1] - y[2]) - y[1];
    dy[2] = y[0]*y[1] - p[2]*y[2];
    return 0;
}

static int draw(const char *file, const nde_solution *s) {
    enum { STRIDE = DIM*N }; /* component i of trajectory b in row k: y[k*STRIDE + i*N + b] */
    const double *x = s->y, *z = s->y + 2*N;
    plot_picture picture;
    plot_open(&picture, file, 1000, 480);
    plot_panel(&picture, 0, 0, 480, 480, "Lorenz attractor", plot_range("x", ROWS, x, STRIDE),
               plot_range("z", ROWS, z, STRIDE));
    const plot_look thin = { .color = PLOT_BLUE, .width = 0.7 };
    plot_line(&picture, thin, ROWS, x, STRIDE, z, STRIDE);
    plot_points(&picture, (plot_look){ .color = PLOT_RED }, 1, x, STRIDE, z, STRIDE);
    plot_panel(&picture, 490, 0, 510, 480, "Two beginnings, 1e-8 apart",
               plot_range("time", ROWS, s->t, 1),
               plot_range("x", ROWS, x, STRIDE));
    const plot_look first = { .name = "x(0) = 1", .color = PLOT_BLUE };
    const plot_look second = { .name = "x(0) = 1 + 1e-8", .color = PLOT_RED };
    plot_line(&picture, first, ROWS, s->t, 1, x, STRIDE);
    plot_line(&picture, second, ROWS, s->t, 1, x + 1, STRIDE);
    return plot_finish(&picture, "lorenz", file);
}

int main(int argc, char **argv) {
    const char *file = command_line(argc, argv, "lorenz", 0, NULL);

    const double y0[DIM][N] = { { 1, 1 + 1e-8 }, { 1, 1 }, { 1, 1 } };
    const double p[] = { 10, 28, 8.0/3 };
    const double t0 = 0, t1 = 40;

    double times[ROWS];
    for (int k = 0; k < ROWS; k++) times[k] = t0 + (t1 - t0)*k/(ROWS - 1);
    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = field);
    const nde_field drift = nde_field_pointwise(&one, DIM, sizeof p/sizeof *p);
    const nde_problem problem =
        NDE_INIT(nde_problem, .n = N, .drift = &drift, .t0 = t0, .t1 = t1, .y0 = y0[0], .p = p);
    const nde_options options =
        NDE_INIT(nde_options, .method = NDE_TSIT5, .rtol = 1e-9, .save_t = times, .n_save = ROWS);

    nde_solution solution = { 0 };
    const nde_status status = nde_solve(&problem, &options, &solution);
    if (status != NDE_OK) {
        fprintf(stderr, "lorenz: %s\n", solution.error ? solution.error : nde_error());
        nde_solution_free(&solution);
        return EXIT_FAILURE;
    }
    for (size_t b = 0; b < N; b++)
        printf("trajectory %zu: x(%g) = %9.5f, %lld steps, %lld evaluations\n", b, t1,
               solution.y_end[b],
               (long long)solution.stats[b].accepted, (long long)solution.stats[b].evals);
    const int drawn = draw(file, &solution);
    nde_solution_free(&solution);
    return drawn;
}
