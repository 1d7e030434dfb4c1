/* SPDX-License-Identifier: MIT
 * robertson - three reactions whose speeds are nine powers of ten apart, solved to 10^5 by every method for stiff problems
 * that the library has: steps, Jacobians, errors; and how fast the end moves with the three rates.
 *   robertson [PICTURE.svg]
 * Source: H. H. Robertson, in J. Walsh (ed.), Numerical Analysis, an Introduction (1966) 178-182. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "command.h"
#include "nde.h"
#include "plot.h"

enum { TIMES = 161 };
static const char text[] = "state a, b, c; param k1, k2, k3\n"
                           "slow = k1*a; back = k2*b*c; fast = k3*b*b\n"
                           "da = back - slow; db = slow - back - fast; dc = fast";
static const double y0[] = { 1, 0, 0 }, p[] = { 0.04, 1e4, 3e7 };

static int complain(const char *what) { return fprintf(stderr, "robertson: %s\n", what), EXIT_FAILURE; }

/* The largest error at the end relative to the components, against a solution by small tolerances. */
static double error_of(const nde_solution *s, const double *exact) {
    double worst = 0;
    for (size_t i = 0; i < 3; i++) worst = fmax(worst, fabs(s->y_end[i] - exact[i])/exact[i]);
    return worst;
}

/* Those of one field that choose their steps. */
static bool is_for_stiff_problems(const nde_method *m) {
    return nde_method_kind(m) >= NDE_KIND_ROSENBROCK && nde_method_kind(m) != NDE_KIND_IMEX && nde_method_error_order(m) > 0;
}

static int draw(const char *file, const double *t, const double *y) {
    plot_picture to;
    double many[TIMES];
    for (size_t i = 0; i < TIMES; i++) many[i] = 1e4*y[3*i + 1];
    plot_open(&to, file, 560, 400);
    plot_panel(&to, 0, 0, 560, 400, "Robertson's reactions", (plot_axis){ "time", 1e-5, 1e5, true },
               (plot_axis){ "amount", 0, 1, false });
    plot_line(&to, (plot_look){ "a", PLOT_BLUE, NULL, 0, false }, TIMES, t, 1, y, 3);
    plot_line(&to, (plot_look){ "10000 b", PLOT_RED, NULL, 0, false }, TIMES, t, 1, many, 1);
    plot_line(&to, (plot_look){ "c", PLOT_GREEN, NULL, 0, false }, TIMES, t, 1, y + 2, 3);
    return plot_finish(&to, "robertson", file);
}

/* dc/dk at the end by the adjoint of the steps. */
static nde_status sensitivities(const nde_problem *problem, double *a_p) {
    nde_solver *solver = NULL;
    nde_solution s = { 0 };
    const nde_options options = NDE_INIT(nde_options, .method = NDE_RODAS5P, .rtol = 1e-8, .atol = 1e-12,
                                         .adjoint = NDE_ADJOINT_DISCRETE);
    const double of_c[] = { 0, 0, 1 };
    nde_status bad = nde_solver_create(problem, &options, &solver);
    if (!bad) bad = nde_solver_run(solver, &s);
    if (!bad) bad = nde_backward(solver, &NDE_INIT(nde_seed, .y_end = of_c), &NDE_INIT(nde_gradient, .p = a_p));
    nde_solver_destroy(solver);
    return bad;
}

int main(int argc, char **argv) {
    const char *file = command_line(argc, argv, "robertson", 0, NULL);
    nde_program *g;
    if (nde_program_parse(text, NULL, &g)) return complain(nde_error());
    const nde_field field = nde_field_program(g);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .p = p, .t1 = 1e5);
    double times[TIMES], a_p[3] = { 0 };
    for (int i = 0; i < TIMES; i++) times[i] = i < TIMES - 1 ? pow(10, -5 + 10.0*i/(TIMES - 1)) : 1e5;
    nde_solution exact = { 0 };
    nde_options fine = NDE_INIT(nde_options, .method = NDE_RODAS5P, .rtol = 1e-12, .atol = 1e-18, .save_t = times,
                                .n_save = TIMES);
    if (nde_solve(&problem, &fine, &exact)) return complain(exact.error ? exact.error : nde_error());
    printf("%-18s %8s %8s %8s %10s %10s\n", "method", "rtol", "steps", "rejected", "Jacobians", "error");
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        for (double rtol = 1e-3; is_for_stiff_problems(m) && rtol > 1e-7; rtol *= 1e-3) {
            nde_solution s = { 0 };
            const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .rtol = rtol, .atol = 1e-3*rtol);
            if (nde_solve(&problem, &options, &s)) return complain(s.error ? s.error : nde_error());
            printf("%-18s %8.0e %8lld %8lld %10lld %10.1e\n", nde_method_name(m), rtol, (long long)s.stats->accepted,
                   (long long)s.stats->rejected, (long long)s.stats->jacobians, error_of(&s, exact.y_end));
            nde_solution_free(&s);
        }
    }
    if (sensitivities(&problem, a_p)) return complain(nde_error());
    printf("c at the end: %.9f; its derivatives by the logarithms of the rates: %.6f, %.6f, %.6f\n", exact.y_end[2],
           p[0]*a_p[0], p[1]*a_p[1], p[2]*a_p[2]);
    const int status = draw(file, times, exact.y);
    nde_solution_free(&exact), nde_program_destroy(g);
    return status;
}
