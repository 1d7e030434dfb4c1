/* SPDX-License-Identifier: MIT
 * kepler - a planet on an ellipse (e = 0.6) for 400 periods, by two methods. Velocity Verlet is
 * symplectic: its energy error stays where it is, though the ellipse turns; that of dopri5 begins
 * smaller and grows, and the ellipse shrinks.
 *   kepler [PICTURE.svg]
 * Your own mechanics: change field() and energy(), the line of y0 and the span of time. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "nde.h"
#include "plot.h"

/* A_PERIOD, ROWS: times that are kept, in a period and in all. */
enum { DIM = 4, PERIODS = 400, A_PERIOD = 100, ROWS = PERIODS*A_PERIOD + 1 };
static const double period = 6.283185307179586;

/* y = (q1, q2, v1, v2): q' = v, v' = -q/|q|^3. Source: E. Hairer, C. Lubich, G. Wanner, Geometric
 * Numerical Integration (2006), I.2. */
static int field(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    const double r2 = y[0]*y[0] + y[1]*y[1], r3 = r2*sqrt(r2);
    dy[0] = y[2];
    dy[1] = y[3];
    dy[2] = -y[0]/r3;
    dy[3] = -y[1]/r3;
    return 0;
}

static double energy(const double *y) {
    return 0.5*(y[2]*y[2] + y[3]*y[3]) - 1/sqrt(y[0]*y[0] + y[1]*y[1]);
}

int main(int argc, char **argv) {
    static double times[ROWS], number[PERIODS], error[2][PERIODS]; /* error: largest of a period */
    double exact[A_PERIOD + 1][2];
    const char *file = command_line(argc, argv, "kepler", 0, NULL);

    const double e = 0.6, y0[DIM] = { 1 - e, 0, 0, sqrt((1 + e)/(1 - e)) };
    for (int k = 0; k < ROWS; k++) times[k] = period*k/A_PERIOD;
    for (int k = 0; k <= A_PERIOD; k++)
        exact[k][0] = cos(times[k]) - e, exact[k][1] = sqrt(1 - e*e)*sin(times[k]);
    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = field);
    const nde_field drift = nde_field_pointwise(&one, DIM, 0);
    const nde_problem problem[] = {
        NDE_INIT(nde_problem, .drift = &drift, .t1 = times[ROWS - 1], .y0 = y0, .split = 2),
        NDE_INIT(nde_problem, .drift = &drift, .t1 = times[ROWS - 1], .y0 = y0),
    };
    const nde_options options[] = {
        NDE_INIT(nde_options, .method = NDE_VELOCITY_VERLET, .steps = 200*PERIODS, .save_t = times,
                 .n_save = ROWS),
        NDE_INIT(nde_options, .method = NDE_DOPRI5, .rtol = 1e-5, .atol = 1e-7, .save_t = times,
                 .n_save = ROWS),
    };
    const plot_look look[] = { { .name = "velocity Verlet", .color = PLOT_BLUE },
                               { .name = "dopri5", .color = PLOT_RED } };

    nde_solution solution[2] = { { 0 }, { 0 } };
    for (int m = 0; m < 2; m++) {
        if (nde_solve(&problem[m], &options[m], &solution[m]) != NDE_OK)
            return fprintf(stderr, "kepler: %s\n",
                           solution[m].error ? solution[m].error : nde_error()), EXIT_FAILURE;
        for (int k = 0; k < ROWS - 1; k++) {
            double *largest = &error[m][k/A_PERIOD];
            *largest = fmax(*largest, fabs(energy(solution[m].y + DIM*k)/energy(y0) - 1));
            number[k/A_PERIOD] = k/A_PERIOD + 1;
        }
        printf("%-15s %6lld evaluations, energy error in the first period %.1e, in the last %.1e\n",
               look[m].name, (long long)solution[m].stats->evals, error[m][0],
               error[m][PERIODS - 1]);
    }

    plot_picture picture;
    plot_open(&picture, file, 1000, 480);
    plot_panel(&picture, 0, 0, 480, 480, "The last period", (plot_axis){ "q1", -1.8, 1.8, false },
               (plot_axis){ "q2", -1.8, 1.8, false });
    const plot_look ideal = { .name = "exact", .color = PLOT_GREY, .dash = "5 4", .width = 1.2 };
    plot_line(&picture, ideal, A_PERIOD + 1, exact[0], 2, &exact[0][1], 2);
    for (int m = 0; m < 2; m++) {
        const double *y = solution[m].y + (ROWS - 1 - A_PERIOD)*DIM;
        plot_line(&picture, look[m], A_PERIOD + 1, y, DIM, y + 1, DIM);
    }
    const double sun = 0;
    plot_points(&picture, (plot_look){ .color = PLOT_ORANGE, .width = 12 }, 1, &sun, 1, &sun, 1);
    plot_panel(&picture, 490, 0, 510, 480, "Largest relative error of the energy in each period",
               plot_range("period", PERIODS, number, 1),
               (plot_axis){ "|E/E0 - 1|", 1e-5, 1, true });
    for (int m = 0; m < 2; m++) plot_line(&picture, look[m], PERIODS, number, 1, error[m], 1);
    for (int m = 0; m < 2; m++) nde_solution_free(&solution[m]);
    return plot_finish(&picture, "kepler", file);
}
