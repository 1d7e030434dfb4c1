/* SPDX-License-Identifier: MIT
 * three_body - two periodic orbits, to nearly all digits: three equal masses that chase each other along a figure eight, and a
 * spacecraft that loops between earth and moon and comes back. Events find when two of the masses are closest.
 *   three_body [PICTURE.svg]
 * Your own bodies: change eight() and eight_start, or arenstorf() and arenstorf_start. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "nde.h"
#include "plot.h"

enum { EIGHT = 12, MOON = 4, ROWS = 2001, PERIODS = 50, HITS = 64 };

/* y = (places x, places y, velocities x, velocities y) of three masses 1. Source: A. Chenciner, R. Montgomery, A remarkable
 * periodic solution of the three-body problem in the case of equal masses, Annals of Mathematics 152 (2000) 881-901. */
static int eight(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    for (int i = 0; i < 6; i++) dy[i] = y[6 + i], dy[6 + i] = 0;
    for (int i = 0; i < 3; i++) {
        const int j = (i + 1)%3;
        const double dx = y[j] - y[i], d = y[3 + j] - y[3 + i], r2 = dx*dx + d*d, r3 = r2*sqrt(r2);
        dy[6 + i] += dx/r3, dy[6 + j] -= dx/r3;
        dy[9 + i] += d/r3, dy[9 + j] -= d/r3;
    }
    return 0;
}
static const double eight_start[EIGHT] = { 0.97000436, -0.97000436, 0, -0.24308753, 0.24308753, 0,
    0.93240737/2, 0.93240737/2, -0.93240737, 0.86473146/2, 0.86473146/2, -0.86473146 }; /* C. Simo's, in the paper */
static const double eight_period = 6.32591398;

/* Distance of mass i and the next one. */
static double apart(const double *y, int i) {
    const int j = (i + 1)%3;
    return hypot(y[j] - y[i], y[3 + j] - y[3 + i]);
}

static double energy(const double *y) {
    double sum = 0;
    for (int i = 0; i < 3; i++) sum += 0.5*(y[6 + i]*y[6 + i] + y[9 + i]*y[9 + i]) - 1/apart(y, i);
    return sum;
}

/* Half the rate of the square of their distance, which rises through zero where they are closest. */
static int approach(const nde_field *self, const nde_site *at, const double *y, double *g) {
    const size_t i = *(const size_t *)self->ctx, j = (i + 1)%3, ld = at->ld;
    for (size_t b = 0; b < at->n; b++) {
        g[b] = 0;
        for (size_t axis = 0; axis < 6; axis += 3) { /* x, y */
            const double *q = y + axis*ld + b, *v = q + 6*ld;
            g[b] += (q[j*ld] - q[i*ld])*(v[j*ld] - v[i*ld]);
        }
    }
    return NDE_FIELD_OK;
}

/* y = (place, velocity) in the frame that turns with earth (mass 1 - mu, at -mu) and moon (mass mu, at 1 - mu). Source: R. F.
 * Arenstorf; E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I (1993), II.0. */
static const double mu = 0.012277471;
static int arenstorf(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    const double earth = hypot(y[0] + mu, y[1]), moon = hypot(y[0] - (1 - mu), y[1]);
    const double e = (1 - mu)/(earth*earth*earth), m = mu/(moon*moon*moon);
    dy[0] = y[2];
    dy[1] = y[3];
    dy[2] = y[0] + 2*y[3] - e*(y[0] + mu) - m*(y[0] - (1 - mu));
    dy[3] = y[1] - 2*y[2] - e*y[1] - m*y[1];
    return 0;
}
static const double arenstorf_start[MOON] = { 0.994, 0, 0, -2.00158510637908252 };
static const double arenstorf_period = 17.0652165601579625589;

/* Solves with ROWS rows and nearly all digits. The solution is the caller's to free, whatever happens. */
static nde_status orbit(const nde_problem *problem, nde_solution *solution) {
    double times[ROWS];
    for (int k = 0; k < ROWS; k++) times[k] = problem->t1*k/(ROWS - 1);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_VERN9, .rtol = 1e-13, .atol = 1e-13, .save_t = times,
                                         .n_save = ROWS, .event_rows = HITS);
    const nde_status status = nde_solve(problem, &options, solution);
    if (status) fprintf(stderr, "three_body: %s\n", solution->error ? solution->error : nde_error());
    return status;
}

static double distance(size_t dim, const double *a, const double *b) {
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (a[i] - b[i])*(a[i] - b[i]);
    return sqrt(sum);
}

static void draw_eight(plot_picture *picture, const nde_solution *s) {
    static const char *const color[] = { PLOT_BLUE, PLOT_RED, PLOT_GREEN };
    plot_panel(picture, 0, 0, 480, 480, "The figure eight", (plot_axis){ "x", -1.2, 1.2, false },
               (plot_axis){ "y", -1.2, 1.2, false });
    const size_t rows = ROWS/3; /* a third of the period: each body goes to where the next one was */
    for (int i = 0; i < 3; i++) {
        plot_line(picture, (plot_look){ .color = color[i] }, rows, s->y + i, EIGHT, s->y + 3 + i, EIGHT);
        plot_points(picture, (plot_look){ .color = color[i], .width = 10 }, 1, s->y + i, 1, s->y + 3 + i, 1);
    }
    plot_look ring = { .name = "closest approaches", .color = PLOT_GREY, .hollow = true, .width = 7 };
    for (size_t k = 0; k < *s->event_saved; k++) {
        const double *y = s->event_y + k*EIGHT;
        const int i = s->event_which[k], j = (i + 1)%3;
        const double xs[] = { y[i], y[j] }, ys[] = { y[3 + i], y[3 + j] };
        plot_points(picture, ring, 2, xs, 1, ys, 1);
        ring.name = NULL; /* one entry in the legend */
    }
}

static void draw_arenstorf(plot_picture *picture, const nde_solution *s) {
    const double earth = -mu, moon = 1 - mu, zero = 0;
    plot_panel(picture, 500, 0, 480, 480, "Arenstorf's orbit around earth and moon", (plot_axis){ "x", -1.5, 1.5, false },
               (plot_axis){ "y", -1.5, 1.5, false });
    plot_line(picture, (plot_look){ .color = PLOT_PURPLE }, ROWS, s->y, MOON, s->y + 1, MOON);
    plot_points(picture, (plot_look){ .color = PLOT_BLUE, .width = 12 }, 1, &earth, 1, &zero, 1);
    plot_points(picture, (plot_look){ .color = PLOT_GREY, .width = 7 }, 1, &moon, 1, &zero, 1);
}

int main(int argc, char **argv) {
    const char *file = command_line(argc, argv, "three_body", 0, NULL);

    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = eight), other = NDE_INIT(nde_pointwise, .f = arenstorf);
    const nde_field bodies = nde_field_pointwise(&one, EIGHT, 0), craft = nde_field_pointwise(&other, MOON, 0);
    const size_t pair[] = { 0, 1, 2 };
    nde_field g[3];
    nde_event closest[3];
    for (int i = 0; i < 3; i++) {
        g[i] = (nde_field){ .size = sizeof *g, .name = "approach", .ctx = &pair[i], .dim = EIGHT, .out = 1, .eval = approach };
        closest[i] = NDE_INIT(nde_event, .g = &g[i], .direction = 1);
    }
    const nde_problem period = NDE_INIT(nde_problem, .drift = &bodies, .t1 = eight_period, .y0 = eight_start, .events = closest,
                                        .n_events = 3);
    const nde_problem periods = NDE_INIT(nde_problem, .drift = &bodies, .t1 = PERIODS*eight_period, .y0 = eight_start);
    const nde_problem moon = NDE_INIT(nde_problem, .drift = &craft, .t1 = arenstorf_period, .y0 = arenstorf_start);

    nde_solution first = { 0 }, later = { 0 }, loop = { 0 };
    nde_status status = orbit(&period, &first);
    if (!status) status = orbit(&periods, &later);
    if (!status) status = orbit(&moon, &loop);
    int drawn = EXIT_FAILURE;
    if (!status) {
        printf("figure eight: %.1e from its start after one period, %.1e after %d; energy error %.1e\n",
               distance(EIGHT, first.y_end, eight_start), distance(EIGHT, later.y_end, eight_start), PERIODS,
               fabs(energy(later.y_end)/energy(eight_start) - 1));
        for (size_t k = 0; k < *first.event_saved; k++)
            printf("  masses %d and %d are closest at t = %.10f, %.6f apart\n", first.event_which[k] + 1,
                   (first.event_which[k] + 1)%3 + 1, first.event_t[k], apart(first.event_y + k*EIGHT, first.event_which[k]));
        printf("Arenstorf's orbit: %.1e from its start, %lld steps\n", distance(MOON, loop.y_end, arenstorf_start),
               (long long)loop.stats->accepted);
        plot_picture picture;
        plot_open(&picture, file, 980, 480);
        draw_eight(&picture, &first);
        draw_arenstorf(&picture, &loop);
        drawn = plot_finish(&picture, "three_body", file);
    }
    nde_solution_free(&first);
    nde_solution_free(&later);
    nde_solution_free(&loop);
    return drawn;
}
