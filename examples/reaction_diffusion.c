/* SPDX-License-Identifier: MIT
 * reaction_diffusion - the Brusselator on a rod by the method of lines, and what its end owes to the feed at 100 points: by
 * band matrices (from the program's sparsity), dense ones, none, and Krylov spaces.
 *   reaction_diffusion [PICTURE.svg]
 * After: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), IV.10. */
#include <math.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "command.h"
#include "fit.h"
#include "plot.h"

enum { POINTS = 100, DIM = 2*POINTS, TIMES = 101 };
static const double pi = 3.14159265358979323846, duration = 10;
/* u_t = a + u^2 v - 4 u + u_xx/50, v_t = 3 u - u^2 v + v_xx/50, u = 1 and v = 3 at the ends: 204.02 is 101^2/50. In one
 * field, and taken apart into L y, which is all that is stiff, the rest, and nothing. */
enum { WHOLE, LINEAR, REST, NOTHING, TEXTS };
static const char *const text[TEXTS] = {
    ("state u[100], v[100]; param a[100]; r = u*u*v\n"
    "du = a + r - 4*u + 204.02*([1, u[0:99]] - 2*u + [u[1:100], 1])\n"
    "dv = 3*u - r + 204.02*([3, v[0:99]] - 2*v + [v[1:100], 3])"),
    "state u[100], v[100]; du = 204.02*([0, u[0:99]] - 2*u + [u[1:100], 0]); dv = 204.02*([0, v[0:99]] - 2*v + [v[1:100], 0])",
    ("state u[100], v[100]; param a[100]; r = u*u*v; zero = 0*u[0:98]\n"
    "du = a + r - 4*u + 204.02*[1, zero, 1]; dv = 3*u - r + 204.02*[3, zero, 3]"),
    "state u[100], v[100]; du = 0*u; dv = 0*v" };

typedef struct outcome { long long steps; double seconds, end[DIM], slope[POINTS] /* of the mean of u there, by a */; } outcome;

/* There and back, with the states at the times unless values is NULL. */
static void study(const nde_problem *problem, nde_options options, outcome *to, double *values) {
    static double weight[DIM], times[TIMES];
    nde_solver *solver;
    nde_solution s = { 0 };
    for (int i = 0; i < POINTS; i++) weight[i] = 1.0/POINTS;
    for (int k = 0; k < TIMES; k++) times[k] = duration*k/(TIMES - 1);
    options.adjoint = NDE_ADJOINT_DISCRETE, options.max_steps = 100000;
    if (values) options.save_t = times, options.n_save = TIMES;
    need(nde_solver_create(problem, &options, &solver), NULL);
    const clock_t start = clock();
    need(nde_solver_run(solver, &s), solver);
    need(nde_backward(solver, &NDE_INIT(nde_seed, .y_end = weight), &NDE_INIT(nde_gradient, .p = to->slope)), solver);
    to->seconds = (double)(clock() - start)/CLOCKS_PER_SEC, to->steps = (long long)s.stats->accepted;
    memcpy(to->end, s.y_end, sizeof to->end);
    if (values) memcpy(values, s.y, TIMES*sizeof to->end);
    nde_solver_destroy(solver);
}

static double apart(size_t n, const double *a, const double *b) {
    double off = 0, size = 0;
    for (size_t i = 0; i < n; i++) off = fmax(off, fabs(a[i] - b[i])), size = fmax(size, fabs(b[i]));
    return off/size;
}

int main(int argc, char **argv) {
    static outcome exact, found;
    static double values[TIMES*DIM], shade[TIMES*POINTS], x[POINTS], y0[DIM], a[POINTS];
    const char *file = command_line(argc, argv, "reaction_diffusion", 0, NULL);
    nde_program *program[TEXTS];
    nde_field field[TEXTS];
    for (int k = 0; k < TEXTS; k++)
        need(nde_program_parse(text[k], NULL, &program[k]), NULL), field[k] = nde_field_program(program[k]);
    for (int i = 0; i < POINTS; i++)
        x[i] = (i + 1.0)/(POINTS + 1), y0[i] = 1 + sin(2*pi*x[i]), y0[POINTS + i] = 3, a[i] = 1;
    const nde_exponential exponential = NDE_INIT(nde_exponential, .rest = &field[REST], .linear = &field[LINEAR], .krylov = 50,
                                                 .tolerance = 1e-8);
    const nde_field flow = nde_field_exponential(&exponential);
    const nde_splitting splitting = NDE_INIT(nde_splitting, .second = &field[NOTHING]);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field[WHOLE], .y0 = y0, .p = a, .t1 = duration);
    const nde_problem split = NDE_INIT(nde_problem, .drift = &flow, .splitting = &splitting, .y0 = y0, .p = a, .t1 = duration);
    const struct { const char *name; const nde_problem *problem; int method, linear; double rtol, radius; int steps; } way[] = {
        { "rodas5p", &problem, NDE_RODAS5P, 0, 1e-6, 0, 0 }, { "dense", &problem, NDE_RODAS5P, NDE_LINEAR_DENSE, 1e-6, 0, 0 },
        { "kvaerno5", &problem, NDE_KVAERNO5, 0, 1e-6, 0, 0 }, { "rkc2", &problem, NDE_RKC2, 0, 1e-5, 840, 0 },
        { "tsit5", &problem, NDE_TSIT5, 0, 1e-6, 0, 0 }, { "exponential", &split, NDE_LIE, 0, 0, 0, 200 },
    };

    study(&problem, NDE_INIT(nde_options, .method = NDE_RODAS5P, .rtol = 1e-10, .atol = 1e-12), &exact, values);
    printf("%-12s %8s %10s %12s %16s\n", "method", "steps", "seconds", "error", "of the gradient");
    for (size_t w = 0; w < sizeof way/sizeof *way; w++) {
        study(way[w].problem, NDE_INIT(nde_options, .method = way[w].method, .linear = way[w].linear, .steps = way[w].steps,
              .rtol = way[w].rtol, .atol = way[w].rtol/100, .spectral_radius = way[w].radius), &found, NULL);
        printf("%-12s %8lld %10.3f %12.1e %16.1e\n", way[w].name, found.steps, found.seconds, apart(DIM, found.end, exact.end),
               apart(POINTS, found.slope, exact.slope));
    }
    for (int i = 0; i < TIMES*POINTS; i++) shade[i] = fmin(1, values[i/POINTS*DIM + i%POINTS]/4);
    plot_picture to;
    plot_open(&to, file, 900, 400);
    plot_panel(&to, 0, 0, 440, 400, "u", (plot_axis){ "x", 0, 1, 0 }, (plot_axis){ "t", 0, duration, 0 });
    plot_shade(&to, PLOT_BLUE, POINTS, TIMES, shade);
    plot_panel(&to, 450, 0, 450, 400, "Slope of the mean of u at the end, by the feed", (plot_axis){ "x", 0, 1, 0 },
               plot_range("slope", POINTS, exact.slope, 1));
    plot_line(&to, (plot_look){ "rodas5p", PLOT_BLUE, NULL, 0, false }, POINTS, x, 1, exact.slope, 1);
    plot_points(&to, (plot_look){ "exponential", PLOT_RED, NULL, 0, true }, POINTS/4, x, 4, found.slope, 4);
    for (int k = 0; k < TEXTS; k++) nde_program_destroy(program[k]);
    return plot_finish(&to, "reaction_diffusion", file);
}
