/* SPDX-License-Identifier: MIT
 * hires - how a plant senses light: eight reactions, and what every method for stiff problems pays for how many digits,
 * CVODES beside them where libnde-stiff was built.
 *   hires [PICTURE.svg]
 * Source: E. Schaefer, J. Math. Biology 2 (1975) 41-56; end: test set for IVP solvers, W. M. Lioen, J. J. B. de Swart, CWI
 * MAS-R9832 (1998). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "command.h"
#include "fit.h"
#include "plot.h"
#ifdef HAVE_NDE_STIFF
#include "nde/stiff.h"
#endif

enum { DIM = 8, TOLERANCES = 7, REPEATS = 20 };
static const char text[] =
    "state y[8]; d = 280*y[5]*y[7]\n"
    "dy = [-1.71*y[0] + 0.43*y[1] + 8.32*y[2] + 0.0007, 1.71*y[0] - 8.75*y[1], -10.03*y[2] + 0.43*y[3] + 0.035*y[4],\n"
    "      8.32*y[1] + 1.71*y[2] - 1.12*y[3], -1.745*y[4] + 0.43*y[5] + 0.43*y[6],\n"
    "      -d + 0.69*y[3] + 1.71*y[4] - 0.43*y[5] + 0.69*y[6], d - 1.81*y[6], 1.81*y[6] - d]";
static const double y0[DIM] = { 1, 0, 0, 0, 0, 0, 0, 0.0057 };
static const double end[DIM] = { 0.7371312573325668e-3, 0.1442485726316185e-3, 0.5888729740967575e-4, 0.1175651343283149e-2,
                                 0.2386356198831331e-2, 0.6238968252742796e-2, 0.2849998395185769e-2, 0.2850001604814231e-2 };
static const char *const colors[] = { PLOT_BLUE, PLOT_RED, PLOT_GREEN, PLOT_PURPLE, PLOT_ORANGE, PLOT_SKY };

typedef struct result {
    double error, seconds;
    nde_stats stats;
} result;
/* A way to solve the problem once, into *s. */
typedef struct way {
    const char *name;
    nde_solver *solver;
#ifdef HAVE_NDE_STIFF
    nde_stiff_solver *cvodes;
#endif
} way;

static void solve(const way *by, nde_solution *s) {
#ifdef HAVE_NDE_STIFF
    if (by->cvodes) {
        if (nde_stiff_run(by->cvodes, s)) fprintf(stderr, "hires: %s\n", nde_stiff_error(by->cvodes)), exit(EXIT_FAILURE);
        return;
    }
#endif
    need(nde_solver_run(by->solver, s), by->solver);
}

/* The largest relative error at the end, and the least time of several solves. */
static result measure(const way *by) {
    result to = { .seconds = HUGE_VAL };
    nde_solution s = { 0 };
    for (int k = 0; k < REPEATS; k++) {
        struct timespec before, after;
        clock_gettime(CLOCK_MONOTONIC, &before);
        solve(by, &s);
        clock_gettime(CLOCK_MONOTONIC, &after);
        to.seconds = fmin(to.seconds, (double)(after.tv_sec - before.tv_sec) + 1e-9*(double)(after.tv_nsec - before.tv_nsec));
    }
    for (size_t i = 0; i < DIM; i++) to.error = fmax(to.error, fabs(s.y_end[i]/end[i] - 1));
    to.stats = s.stats[0];
    return to;
}

/* method 0: CVODES. */
static void draw_method(const nde_problem *problem, int method, size_t place, plot_picture *to) {
    double error[TOLERANCES], time[TOLERANCES];
    way by = { .name = method ? nde_method_name(nde_method_get(method)) : "CVODES" };
    for (int k = 0; k < TOLERANCES; k++) {
        const double rtol = pow(10, -3 - k);
        const nde_options options = NDE_INIT(nde_options, .method = method, .rtol = rtol, .atol = 1e-4*rtol);
        if (method) need(nde_solver_create(problem, &options, &by.solver), NULL);
#ifdef HAVE_NDE_STIFF
        else need(nde_stiff_create(problem, &options, NULL, &by.cvodes), NULL);
#endif
        const result r = measure(&by);
        printf("%-18s %8.0e %8lld %10lld %10.1f %10.1e\n", by.name, rtol, (long long)r.stats.accepted,
               (long long)r.stats.jacobians, 1e6*r.seconds, r.error);
        error[k] = r.error, time[k] = 1e6*r.seconds;
        nde_solver_destroy(by.solver);
#ifdef HAVE_NDE_STIFF
        nde_stiff_destroy(by.cvodes);
#endif
    }
    const plot_look look = { by.name, method ? colors[place%6] : PLOT_GREY, place < 6 ? NULL : "6 4", 0, false };
    plot_line(to, look, TOLERANCES, error, 1, time, 1);
}

int main(int argc, char **argv) {
    const char *file = command_line(argc, argv, "hires", 0, NULL);
    nde_program *g;
    need(nde_program_parse(text, NULL, &g), NULL);
    const nde_field drift = nde_field_program(g);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &drift, .y0 = y0, .t1 = 321.8122);
    plot_picture to;
    plot_open(&to, file, 760, 440);
    plot_panel(&to, 0, 0, 760, 440, "Eight reactions: digits and their price",
               (plot_axis){ "largest relative error", 1e-10, 1, true }, (plot_axis){ "microseconds", 100, 1e5, true });
    printf("%-18s %8s %8s %10s %10s %10s\n", "method", "rtol", "steps", "Jacobians", "us", "error");
    size_t place = 0;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        const bool one_field = nde_method_kind(m) >= NDE_KIND_ROSENBROCK && nde_method_kind(m) != NDE_KIND_IMEX;
        if (one_field && nde_method_order(m) > 1 && nde_method_error_order(m) > 0)
            draw_method(&problem, nde_method_id(m), place++, &to);
    }
#ifdef HAVE_NDE_STIFF
    draw_method(&problem, 0, place, &to);
#endif
    nde_program_destroy(g);
    return plot_finish(&to, "hires", file);
}
