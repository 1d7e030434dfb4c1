/* SPDX-License-Identifier: MIT
 * pleiades - seven stars in a plane that attract each other and nearly collide: what each method pays for how many digits.
 *   pleiades [PICTURE.svg]
 * Your own stars: change STARS and start; your own choice of methods: the list in main. Source: E. Hairer, S. P. Norsett,
 * G. Wanner, Solving Ordinary Differential Equations I (1993), II.10. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "nde.h"
#include "plot.h"

enum { STARS = 7, DIM = 4*STARS, ROWS = 1501, TOLERANCES = 5 };

/* y = (places x, places y, velocities x, velocities y); star i has the mass i + 1. */
static int field(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    const double *qx = y, *qy = y + STARS;
    for (int i = 0; i < 2*STARS; i++) dy[i] = y[2*STARS + i];
    for (int i = 0; i < STARS; i++) {
        double ax = 0, ay = 0;
        for (int j = 0; j < STARS; j++) {
            if (j == i) continue;
            const double dx = qx[j] - qx[i], d = qy[j] - qy[i], r2 = dx*dx + d*d, pull = (j + 1)/(r2*sqrt(r2));
            ax += pull*dx;
            ay += pull*d;
        }
        dy[2*STARS + i] = ax;
        dy[3*STARS + i] = ay;
    }
    return 0;
}

static const double start[DIM] = { 3, 3, -1, -3, 2, -2, 2, 3, -3, 2, 0, 0, -4, 4,
                                   0, 0, 0, 0, 0, 1.75, -1.5, 0, 0, 0, -1.25, 1, 0, 0 };
/* Places at t = 3: problem Pleiades of the test set for IVP solvers, W. M. Lioen, J. J. B. de Swart, CWI MAS-R9832 (1998). */
static const double places[2*STARS] = {
    0.3706139143970502, 3.237284092057233, -3.222559032418324, 0.6597091455775310, 0.3425581707156584, 1.562172101400631,
    -0.7003092922212495, -3.943437585517392, -3.271380973972550, 5.225081843456543, -2.590612434977470, 1.198213693392275,
    -0.2429682344935824, 1.091449240428980,
};

static double worst_place(const double *y) {
    double worst = 0;
    for (int i = 0; i < 2*STARS; i++) worst = fmax(worst, fabs(y[i] - places[i]));
    return worst;
}

static void draw_orbits(plot_picture *picture, const nde_solution *s) {
    static const char *const color[STARS] = { PLOT_BLUE, PLOT_RED, PLOT_GREEN, PLOT_PURPLE, PLOT_ORANGE, PLOT_GREY, "#333333" };
    plot_panel(picture, 0, 0, 480, 480, "Seven stars, 0 < t < 3; each dot is where one ends",
               (plot_axis){ "x", -4, 4.5, false }, (plot_axis){ "y", -4.5, 5.5, false });
    for (int i = 0; i < STARS; i++) {
        const double *x = s->y + i, *y = s->y + STARS + i;
        plot_line(picture, (plot_look){ .color = color[i] }, s->n_save, x, DIM, y, DIM);
        plot_points(picture, (plot_look){ .color = color[i], .width = 4 + i }, 1, s->y_end + i, 1, s->y_end + STARS + i, 1);
    }
}

static nde_status solve(const nde_problem *problem, const nde_options *options, nde_solution *solution) {
    const nde_status status = nde_solve(problem, options, solution);
    if (status) fprintf(stderr, "pleiades: %s\n", solution->error ? solution->error : nde_error());
    return status;
}

/* The reference: nearly all digits, and many rows for the picture. */
static nde_status orbits(const nde_problem *problem, plot_picture *picture) {
    static double times[ROWS];
    for (int k = 0; k < ROWS; k++) times[k] = problem->t1*k/(ROWS - 1);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_VERN9, .rtol = 1e-13, .atol = 1e-13, .save_t = times,
                                         .n_save = ROWS);
    nde_solution solution = { 0 };
    const nde_status status = solve(problem, &options, &solution);
    if (!status) {
        draw_orbits(picture, &solution);
        printf("vern9 at 1e-13: %.1e from the published places\n", worst_place(solution.y_end));
    }
    nde_solution_free(&solution);
    return status;
}

static nde_status compare(const nde_problem *problem, int method, const char *color, plot_picture *picture) {
    const char *name = nde_method_name(nde_method_get(method));
    double evaluations[TOLERANCES], error[TOLERANCES];
    for (int k = 0; k < TOLERANCES; k++) {
        const double tolerance = pow(10, -4 - 2*k);
        const nde_options options = NDE_INIT(nde_options, .method = method, .rtol = tolerance, .atol = tolerance);
        nde_solution solution = { 0 };
        const nde_status status = solve(problem, &options, &solution);
        if (!status) {
            evaluations[k] = (double)solution.stats->evals;
            error[k] = worst_place(solution.y_end);
            printf("%-8s %9.0e %11.0f %9.1e\n", name, tolerance, evaluations[k], error[k]);
        }
        nde_solution_free(&solution);
        if (status) return status;
    }
    plot_line(picture, (plot_look){ .name = name, .color = color }, TOLERANCES, error, 1, evaluations, 1);
    plot_points(picture, (plot_look){ .color = color }, TOLERANCES, error, 1, evaluations, 1);
    return NDE_OK;
}

int main(int argc, char **argv) {
    const char *file = command_line(argc, argv, "pleiades", 0, NULL);

    const struct { int method; const char *color; } list[] = {
        { NDE_BOSH3, PLOT_GREY }, { NDE_DOPRI5, PLOT_BLUE }, { NDE_TSIT5, PLOT_GREEN }, { NDE_VERN7, PLOT_PURPLE },
        { NDE_DOP853, PLOT_RED }, { NDE_VERN9, PLOT_ORANGE },
    };
    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = field);
    const nde_field drift = nde_field_pointwise(&one, DIM, 0);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &drift, .t1 = 3, .y0 = start);

    plot_picture picture;
    plot_open(&picture, file, 1000, 480);
    nde_status status = orbits(&problem, &picture);
    printf("\n%-8s %9s %11s %9s\n", "method", "tolerance", "evaluations", "error");
    plot_panel(&picture, 490, 0, 510, 480, NULL, (plot_axis){ "error of the places at t = 3", 1e-11, 1, true },
               (plot_axis){ "evaluations", 400, 5e5, true });
    for (size_t m = 0; m < sizeof list/sizeof *list && !status; m++)
        status = compare(&problem, list[m].method, list[m].color, &picture);
    const int drawn = plot_finish(&picture, "pleiades", file);
    return status ? EXIT_FAILURE : drawn;
}
