/* SPDX-License-Identifier: MIT
 * spiral - the cubic spiral of torchdiffeq's demonstration, and the gradient of a loss on it by every adjoint that there
 * is: how wrong, how long, how many bytes.
 *   spiral [PICTURE.svg]
 * Your own equation: change field(), its vjp(), DIM and NP; another way to differentiate is a line of `ways`. Source: R.
 * T. Q. Chen, torchdiffeq, examples/ode_demo.py; R. T. Q. Chen, Y. Rubanova, J. Bettencourt, D. Duvenaud, NeurIPS (2018). */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "nde.h"
#include "plot.h"

enum { DIM = 2, NP = 4, TIMES = 50, ROWS = 1001, TOLERANCES = 7, REPEATS = 5 };

/* y' = y^3 A: y as a row, cubed component by component. */
static int field(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)t, (void)ctx;
    const double c[] = { y[0]*y[0]*y[0], y[1]*y[1]*y[1] };
    for (int k = 0; k < DIM; k++) dy[k] = c[0]*p[k] + c[1]*p[DIM + k];
    return 0;
}

static int vjp(double t, const double *y, const double *p, const double *a, double *a_y, double *a_p, double *a_t, void *ctx) {
    (void)t, (void)a_t, (void)ctx;
    for (int i = 0; i < DIM; i++) {
        a_y[i] += 3*y[i]*y[i]*(p[DIM*i]*a[0] + p[DIM*i + 1]*a[1]);
        for (int k = 0; a_p && k < DIM; k++) a_p[DIM*i + k] += y[i]*y[i]*y[i]*a[k];
    }
    return 0;
}

static const double start[DIM] = { 2, 0 }, true_p[NP] = { -0.1, 2, -2, -0.1 }, guess[NP] = { -0.12, 1.9, -2.1, -0.08 };
static const double t1 = 25;

static const struct way {
    const char *name;
    int32_t adjoint, record;
    size_t budget;
    const char *color;
    double coupling; /* not 0: the reversible coupling of the method, with this, which can go back */
} ways[] = {
    { "discrete", NDE_ADJOINT_DISCRETE, 0, 1 << 21, PLOT_BLUE, 0 },
    { "discrete, checkpoints", NDE_ADJOINT_DISCRETE, NDE_RECORD_CHECKPOINTS, 1 << 16, PLOT_GREEN, 0 },
    { "reversible", NDE_ADJOINT_REVERSIBLE, 0, 1 << 16, PLOT_SKY, 0.9 },
    { "backsolve", NDE_ADJOINT_BACKSOLVE, 0, 0, PLOT_RED, 0 },
    { "interpolated", NDE_ADJOINT_INTERPOLATED, 0, 1 << 21, PLOT_PURPLE, 0 },
    { "quadrature", NDE_ADJOINT_QUADRATURE, 0, 1 << 21, PLOT_ORANGE, 0 },
    { "gauss", NDE_ADJOINT_GAUSS, 0, 1 << 21, PLOT_GREY, 0 },
};
enum { WAYS = sizeof ways/sizeof *ways };

typedef struct outcome {
    double g[DIM + NP], seconds;
    size_t bytes;
} outcome;

static double data[TIMES*DIM], times[TIMES];

/* Half the mean square of the distance from the data: its derivative by the solution. */
static void seed_of(const double *y, double *seed) {
    for (int i = 0; i < TIMES*DIM; i++) seed[i] = (y[i] - data[i])/TIMES;
}

static nde_status differentiate(nde_solver *solver, double *g) {
    double seed_y[TIMES*DIM];
    nde_solution solution = { .size = sizeof solution };
    const nde_status status = nde_solver_run(solver, &solution);
    if (status) return status;
    seed_of(solution.y, seed_y);
    const nde_seed seed = NDE_INIT(nde_seed, .y = seed_y);
    const nde_gradient gradient = NDE_INIT(nde_gradient, .y0 = g, .p = g + DIM);
    return nde_backward(solver, &seed, &gradient);
}

static double now(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

/* Bytes of a block that have been written to, by lines of 64, since all were MARK. */
enum { MARK = 0xa5, LINE = 64 };
static size_t written(const unsigned char *block, size_t bytes) {
    size_t count = 0;
    for (size_t at = 0; at < bytes; at += LINE) {
        bool touched = false;
        for (size_t i = at; i < at + LINE && i < bytes; i++) touched = touched || block[i] != MARK;
        count += touched ? LINE : 0;
    }
    return count;
}

/* The gradient at a tolerance, in a block of our own; the shortest of REPEATS times. */
static nde_status measure(const struct way *way, const nde_problem *problem, int32_t method, double tolerance, outcome *to) {
    const nde_options options = NDE_INIT(nde_options, .method = method, .rtol = tolerance, .atol = tolerance, .save_t = times,
                                         .n_save = TIMES, .adjoint = way->adjoint, .record = way->record,
                                         .budget = way->budget, .coupling = way->coupling);
    const size_t bytes = nde_solver_bytes(problem, &options);
    unsigned char *block = bytes ? aligned_alloc(LINE, (bytes + LINE - 1)/LINE*LINE) : NULL;
    nde_solver *solver = NULL;
    if (!block) return NDE_E_NOMEM;
    memset(block, MARK, bytes);
    nde_status status = nde_solver_create_in(block, bytes, problem, &options, &solver);
    to->seconds = (double)INFINITY;
    for (int k = 0; k < REPEATS && !status; k++) {
        const double began = now();
        status = differentiate(solver, to->g);
        to->seconds = fmin(to->seconds, now() - began);
    }
    to->bytes = written(block, bytes);
    if (status) fprintf(stderr, "spiral: %s: %s\n", way->name, solver ? nde_solver_error(solver) : nde_error());
    nde_solver_destroy(solver);
    free(block);
    return status;
}

/* Relative to the size of the reference. */
static double error_of(const double *g, const double *reference) {
    double off = 0, size = 0;
    for (int i = 0; i < DIM + NP; i++) off += (g[i] - reference[i])*(g[i] - reference[i]), size += reference[i]*reference[i];
    return sqrt(off/size);
}

/* The spiral, for the picture and, at fewer times, as data; and the one of the guess. */
static nde_status draw_spirals(nde_problem *problem, plot_picture *picture) {
    static double fine[ROWS];
    nde_status status = NDE_OK;
    for (int k = 0; k < ROWS; k++) fine[k] = t1*k/(ROWS - 1);
    for (int k = 0; k < TIMES; k++) times[k] = t1*(k + 1)/TIMES;
    plot_panel(picture, 0, 0, 480, 480, NULL, (plot_axis){ "y1", -2.2, 2.6, false }, (plot_axis){ "y2", -2.2, 2.6, false });
    for (int guessed = 0; guessed <= 1 && !status; guessed++) {
        const nde_options options = NDE_INIT(nde_options, .rtol = 1e-10, .atol = 1e-10, .save_t = fine, .n_save = ROWS);
        nde_solution s = { 0 };
        problem->p = guessed ? guess : true_p;
        status = nde_solve(problem, &options, &s);
        if (!status) {
            plot_line(picture,
                      (plot_look){ .name = guessed ? "guess" : "truth", .color = guessed ? PLOT_ORANGE : PLOT_BLUE }, ROWS,
                      s.y, DIM, s.y + 1, DIM);
            for (int k = 0; k < TIMES && !guessed; k++)
                memcpy(data + DIM*k, s.y + DIM*(k + 1)*(ROWS - 1)/TIMES, DIM*sizeof *data);
        }
        nde_solution_free(&s);
    }
    plot_points(picture, (plot_look){ .name = "data", .color = PLOT_BLUE, .hollow = true }, TIMES, data, DIM, data + 1, DIM);
    return status;
}

int main(int argc, char **argv) {
    const char *file = command_line(argc, argv, "spiral", 0, NULL);
    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = field, .vjp = vjp);
    const nde_field drift = nde_field_pointwise(&one, DIM, NP);
    nde_problem problem = NDE_INIT(nde_problem, .drift = &drift, .y0 = start, .p = true_p, .t1 = t1);
    plot_picture picture;
    plot_open(&picture, file, 1000, 480);
    nde_status status = draw_spirals(&problem, &picture);
    outcome reference = { .bytes = 0 };
    const struct way exact = { "reference", NDE_ADJOINT_DISCRETE, 0, 1 << 22, NULL, 0 };
    if (!status) status = measure(&exact, &problem, NDE_VERN9, 1e-13, &reference);

    printf("%-22s %9s %10s %9s %9s\n", "adjoint", "tolerance", "error", "time [us]", "bytes");
    plot_panel(&picture, 490, 0, 510, 480, NULL, (plot_axis){ "error of the gradient", 1e-10, 10, true },
               (plot_axis){ "microseconds", 20, 1e5, true });
    for (int w = 0; w < WAYS && !status; w++) {
        double error[TOLERANCES], microseconds[TOLERANCES];
        for (int k = 0; k < TOLERANCES && !status; k++) {
            outcome got = { .bytes = 0 };
            const double tolerance = pow(10, -3 - k);
            status = measure(&ways[w], &problem, NDE_DOPRI5, tolerance, &got);
            error[k] = error_of(got.g, reference.g), microseconds[k] = 1e6*got.seconds;
            if (!status)
                printf("%-22s %9.0e %10.1e %9.0f %9zu\n", ways[w].name, tolerance, error[k], microseconds[k], got.bytes);
        }
        plot_line(&picture, (plot_look){ .name = ways[w].name, .color = ways[w].color }, TOLERANCES, error, 1, microseconds, 1);
        plot_points(&picture, (plot_look){ .color = ways[w].color }, TOLERANCES, error, 1, microseconds, 1);
    }
    const int drawn = plot_finish(&picture, "spiral", file);
    if (status) return fprintf(stderr, "spiral: %s\n", nde_status_name(status)), EXIT_FAILURE;
    return drawn;
}
