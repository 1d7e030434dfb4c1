/* SPDX-License-Identifier: MIT
 * chaos - the largest Lyapunov exponents of 20 classical chaotic systems, with their standard errors, and a picture of each.
 *   chaos [TURNS [PICTURE.svg]]     default: 10000 turns of each attractor
 * Your own system: two functions and a line in systems.c.
 *
 * x' = f(x) is solved together with v' = f'(x) v; after each turn log |v| is noted and v made a unit vector again. Source:
 * G. Benettin, L. Galgani, A. Giorgilli, J.-M. Strelcyn, Lyapunov characteristic exponents, Meccanica 15 (1980) 9-30. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "nde.h"
#include "plot.h"
#include "systems.h"

enum { BATCHES = 20, DRAWN = 60, ROWS = 80*DRAWN + 1, COLUMNS = 5, WIDE = 250, HIGH = 220 }; /* DRAWN: turns in the picture */

typedef struct result {
    double exponent, error, wrong; /* wrong: largest difference between f'(x) v and differences of f */
    double end[MOST_DIM];          /* a point of the attractor */
} result;

/* Both equations as one field of 2 dim components. */
static int variational(double t, const double *y, const double *none, double *dy, void *ctx) {
    (void)t, (void)none;
    const chaos_system *s = ctx;
    s->f(y, s->p, dy);
    s->jvp(y, s->p, y + s->dim, dy + s->dim);
    return 0;
}

/* Makes v a unit vector; returns how long it was. */
static double renormalise(size_t dim, double *v) {
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += v[i]*v[i];
    for (size_t i = 0; i < dim; i++) v[i] /= sqrt(sum);
    return sqrt(sum);
}

/* Runs `turns` turns from y on, and leaves y at their end. growth: mean of log |v| in a unit of time. */
static nde_status follow(nde_solver *solver, const chaos_system *s, int turns, double *y, double *growth) {
    double sum = 0;
    for (int k = 0; k < turns; k++) {
        nde_solution solution = { 0 };
        const nde_status status = nde_solver_run(solver, &solution);
        if (status != NDE_OK) return status;
        for (size_t i = 0; i < 2*s->dim; i++) y[i] = solution.y_end[i];
        sum += log(renormalise(s->dim, y + s->dim));
    }
    *growth = sum/(turns*s->time);
    return NDE_OK;
}

/* The exponent is the mean over batches of turns, its error that of the mean of batches that are taken as independent. */
static nde_status measure(nde_solver *solver, const chaos_system *s, int turns, double *y, result *r) {
    const int batch = turns/BATCHES;
    double growth, sum = 0, squares = 0;
    nde_status status = follow(solver, s, 2*batch, y, &growth); /* to the attractor, v to its fastest direction */
    for (int k = 0; k < BATCHES && !status; k++) {
        status = follow(solver, s, batch, y, &growth);
        sum += growth;
        squares += growth*growth;
    }
    r->exponent = sum/BATCHES;
    r->error = sqrt(fmax(squares/BATCHES - r->exponent*r->exponent, 0)/(BATCHES - 1));
    for (size_t i = 0; i < s->dim; i++) r->end[i] = y[i];
    return status;
}

static nde_status exponent(chaos_system *s, int turns, result *r) {
    double y[2*MOST_DIM] = { 0 };
    for (size_t i = 0; i < s->dim; i++) y[i] = s->x0[i];
    for (size_t i = 0; i < s->dim; i++) y[s->dim + i] = 1/sqrt((double)s->dim);
    const nde_pointwise one = chaos_pointwise(s), both = NDE_INIT(nde_pointwise, .f = variational, .ctx = s);
    const nde_field field = nde_field_pointwise(&one, s->dim, 0), tangent = nde_field_pointwise(&both, 2*s->dim, 0);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &tangent, .t1 = s->time, .y0 = y); /* each run begins at y */
    const nde_options options = NDE_INIT(nde_options, .method = NDE_DOP853, .rtol = 1e-8, .atol = 1e-8);
    const nde_site site = { .n = 1, .ld = 1, .t = &problem.t0 };
    nde_solver *solver = NULL;
    nde_status status = nde_field_check(&field, &site, y, &r->wrong, NULL, 0);
    if (!status) status = nde_solver_create(&problem, &options, &solver);
    if (!status) status = measure(solver, s, turns, y, r);
    if (status) fprintf(stderr, "chaos: %s: %s\n", s->name, solver ? nde_solver_error(solver) : nde_error());
    nde_solver_destroy(solver);
    return status;
}

/* DRAWN turns from a point of the attractor, in the next panel of the picture. */
static nde_status draw(plot_picture *picture, int panel, chaos_system *s, const double *from) {
    double times[ROWS];
    for (int k = 0; k < ROWS; k++) times[k] = DRAWN*s->time*k/(ROWS - 1);
    const nde_pointwise one = chaos_pointwise(s);
    const nde_field field = nde_field_pointwise(&one, s->dim, 0);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .t1 = times[ROWS - 1], .y0 = from);
    const nde_options options = NDE_INIT(nde_options, .save_t = times, .n_save = ROWS);
    nde_solution solution = { 0 };
    const nde_status status = nde_solve(&problem, &options, &solution);
    if (status) fprintf(stderr, "chaos: %s: %s\n", s->name, solution.error ? solution.error : nde_error());
    else {
        const double *across = solution.y + s->across, *up = solution.y + s->up;
        plot_panel(picture, panel%COLUMNS*WIDE, panel/COLUMNS*HIGH, WIDE, HIGH, s->name,
                   plot_range("", ROWS, across, s->dim), plot_range("", ROWS, up, s->dim));
        plot_line(picture, (plot_look){ .color = PLOT_BLUE, .width = 0.5 }, ROWS, across, s->dim, up, s->dim);
    }
    nde_solution_free(&solution);
    return status;
}

int main(int argc, char **argv) {
    long turns = 10000;
    const char *file = command_line(argc, argv, "chaos", 1, &(argument){ "TURNS", &turns, 2*BATCHES, 100000000 });
    plot_picture picture;
    plot_open(&picture, file, COLUMNS*WIDE, SYSTEMS/COLUMNS*HIGH);
    printf("%-20s %9s   %-8s %9s\n", "system", "exponent", "+- s.e.", "published");
    int failed = 0;
    for (int i = 0; i < SYSTEMS; i++) {
        chaos_system s = chaos_systems[i];
        result r = { 0 };
        if (exponent(&s, (int)turns, &r) || draw(&picture, i, &s, r.end)) failed++;
        else {
            printf("%-20s %9.5f +- %-8.5f", s.name, r.exponent, r.error);
            if (s.published > 0) printf(" %9.4f", s.published);
            if (r.wrong > 1e-6) failed++, printf("  f'(x) v is wrong by %.1e", r.wrong);
            printf("\n  %s\n", s.source);
        }
    }
    const int drawn = plot_finish(&picture, "chaos", file);
    return failed ? EXIT_FAILURE : drawn;
}
