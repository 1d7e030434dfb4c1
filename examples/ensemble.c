/* SPDX-License-Identifier: MIT
 * ensemble - 100000 Lorenz systems, each with its own rho from 0 to 250, in one call: where they end, and from there on the
 * maxima of z, found as events, which show how the attractor is born, becomes chaotic, and has windows of periodic motion.
 *   ensemble [TRAJECTORIES [THREADS [PICTURE.svg]]]
 * Your own equation: change field(), DIM, and what is filled into y0 and rho. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "command.h"
#include "nde.h"
#include "plot.h"

enum { DIM = 3, COLUMNS = 2000, MAXIMA = 30 }; /* the second part: trajectories, and maxima of each */
static const double highest = 250;

/* All lanes of a block at once, component i of lane b at y[i*ld + b]: the compiler makes vector instructions of the loop.
 * q: own parameters, here rho. E. N. Lorenz, Deterministic nonperiodic flow, J. Atmos. Sci. 20 (1963) 130-141. */
static int lorenz(const nde_field *self, const nde_site *at, const double *y, double *dy) {
    (void)self;
    const size_t ld = at->ld;
    const double *x = y, *z = y + 2*ld, *rho = at->q, sigma = 10, beta = 8.0/3;
    y += ld;
    NDE_LANES(b, at->n) {
        dy[b] = sigma*(y[b] - x[b]);
        dy[ld + b] = x[b]*(rho[b] - z[b]) - y[b];
        dy[2*ld + b] = x[b]*y[b] - beta*z[b];
    }
    return NDE_FIELD_OK;
}

/* The rate of z, which falls through zero where z is largest. */
static int rate_of_z(const nde_field *self, const nde_site *at, const double *y, double *g) {
    (void)self;
    const size_t ld = at->ld;
    NDE_LANES(b, at->n) g[b] = y[b]*y[ld + b] - 8.0/3*y[2*ld + b];
    return NDE_FIELD_OK;
}

static double seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + 1e-9*(double)now.tv_nsec;
}

static double rho_of(size_t b, size_t n) { return highest*((double)b + 0.5)/(double)n; }

/* All trajectories from near the origin to t = 20; their ends. The solution is the caller's to free, whatever happens. */
static nde_status settle(const nde_field *field, size_t n, int threads, double *y0, double *rho, nde_solution *solution) {
    for (size_t b = 0; b < n; b++) {
        y0[b] = y0[n + b] = y0[2*n + b] = 1;
        rho[b] = rho_of(b, n);
    }
    const nde_problem problem = NDE_INIT(nde_problem, .n = n, .drift = field, .t1 = 20, .y0 = y0, .q = rho);
    const nde_options options = NDE_INIT(nde_options, .threads = threads);
    const double start = seconds();
    const nde_status status = nde_solve(&problem, &options, solution);
    const double took = seconds() - start;
    if (status) return status;
    double steps = 0;
    for (size_t b = 0; b < n; b++) steps += (double)(solution->stats[b].accepted + solution->stats[b].rejected);
    printf("%zu trajectories, %.0f steps in %.2f s: %.0f trajectories a second, %.1f ns a step, lanes busy %.1f %%\n", n, steps,
           took, (double)n/took, 1e9*took/steps, 100*solution->lanes_busy);
    return NDE_OK;
}

/* `of` trajectories go on from the ends of the first part for 10 more units of time; events are the maxima of z. */
static nde_status go_on(const nde_field *field, const nde_solution *first, size_t of, int threads, double *y0, double *rho,
                        nde_solution *solution) {
    for (size_t j = 0; j < of; j++) {
        const size_t b = j*first->n/of;
        for (size_t i = 0; i < DIM; i++) y0[i*of + j] = first->y_end[i*first->n + b];
        rho[j] = rho_of(b, first->n);
    }
    const nde_field g = { .size = sizeof g, .name = "rate of z", .dim = DIM, .out = 1, .eval = rate_of_z };
    const nde_event maximum = NDE_INIT(nde_event, .g = &g, .direction = -1);
    const nde_problem problem = NDE_INIT(nde_problem, .n = of, .drift = field, .t1 = 10, .y0 = y0, .q = rho, .events = &maximum,
                                         .n_events = 1);
    const nde_options options = NDE_INIT(nde_options, .threads = threads, .event_rows = MAXIMA);
    return nde_solve(&problem, &options, solution);
}

static int draw(const char *file, const nde_solution *first, const double *rho, const nde_solution *second,
                 const double *some_rho) {
    const plot_axis across = { "rho", 0, highest, false };
    const size_t n = second->n, row = DIM*n; /* maximum k of trajectory b: component i at event_y[k*row + i*n + b] */
    plot_picture picture;
    plot_open(&picture, file, 1000, 640);
    plot_panel(&picture, 0, 0, 1000, 280, "x at t = 20, from one start", across, plot_range("x", first->n, first->y_end, 1));
    plot_dots(&picture, (plot_look){ .color = PLOT_BLUE }, first->n, rho, 1, first->y_end, 1);
    plot_panel(&picture, 0, 290, 1000, 350, "Maxima of z from there on", across, (plot_axis){ "z", 0, 330, false });
    for (size_t k = 0; k < MAXIMA; k++)
        plot_dots(&picture, (plot_look){ .color = PLOT_RED }, n, some_rho, 1, second->event_y + k*row + 2*n, 1);
    return plot_finish(&picture, "ensemble", file);
}

int main(int argc, char **argv) {
    long trajectories = 100000, threads = 1;
    const argument given[] = { { "TRAJECTORIES", &trajectories, 1, 10000000 }, { "THREADS", &threads, 1, 1024 } };
    const char *file = command_line(argc, argv, "ensemble", 2, given);

    const size_t n = (size_t)trajectories, of = n < COLUMNS ? n : COLUMNS;
    double *room = malloc((DIM + 1)*(n + of)*sizeof *room);
    if (!room) return fprintf(stderr, "ensemble: out of memory\n"), EXIT_FAILURE;
    double *rho = room, *y0 = rho + n, *some_rho = y0 + DIM*n, *some_y0 = some_rho + of;

    const nde_field field = { .size = sizeof field, .name = "lorenz", .dim = DIM, .nq = 1, .out = DIM, .eval = lorenz,
                              .traits = NDE_AUTONOMOUS | NDE_LANEWISE };
    nde_solution first = { 0 }, second = { 0 };
    nde_status status = settle(&field, n, (int)threads, y0, rho, &first);
    if (!status) status = go_on(&field, &first, of, (int)threads, some_y0, some_rho, &second);
    int drawn = EXIT_FAILURE;
    if (status) {
        const char *error = second.error ? second.error : first.error;
        fprintf(stderr, "ensemble: %s\n", error ? error : nde_error());
    } else {
        drawn = draw(file, &first, rho, &second, some_rho);
    }
    nde_solution_free(&first);
    nde_solution_free(&second);
    free(room);
    return drawn;
}
