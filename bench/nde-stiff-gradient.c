/* SPDX-License-Identifier: MIT
 * nde-stiff-gradient.c - gradients of stiff problems: digits against time, by CVODES' continuous adjoint and by the discrete
 * adjoints of what implicit methods the library has. The loss is the first state at the end, its gradient that by the
 * logarithms of the parameters; the truth is by forward sensitivities, solved with the state by BDF at a tolerance of 1e-13.
 *
 * nde-stiff-gradient [processor seconds of each line, 0.2] */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "nde.h"
#include "../tests/stiff/problems.h"

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

static void die(const char *what) {
    fprintf(stderr, "nde-stiff-gradient: %s\n", what);
    exit(1);
}

/* ---- the truth ---------------------------------------------------------------------------------------------------------- */

/* y, and dy/dp column after column. */
static int with_sensitivities(double t, const double *y, const double *p, double *dy, void *ctx) {
    const example *e = ctx;
    double j[MOST_DIM*MOST_DIM] = { 0 }, jp[MOST_DIM*MOST_NP] = { 0 };
    (void)t;
    e->f(y, p, dy);
    e->by_y(y, p, j);
    e->by_p(y, p, jp);
    for (size_t k = 0; k < e->np; k++)
        for (size_t i = 0; i < e->dim; i++) {
            double sum = jp[i*e->np + k];
            for (size_t l = 0; l < e->dim; l++) sum += j[i*e->dim + l]*y[(k + 1)*e->dim + l];
            dy[(k + 1)*e->dim + i] = sum;
        }
    return 0;
}

static void truth(example *e, double *gradient) {
    enum { MOST = MOST_DIM*(MOST_NP + 1) };
    double y0[MOST] = { 0 }, atol[MOST];
    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = with_sensitivities, .ctx = e);
    const nde_field field = nde_field_pointwise(&one, e->dim*(e->np + 1), e->np);
    for (size_t i = 0; i < e->dim; i++) y0[i] = e->y0[i];
    for (size_t i = 0; i < e->dim*(e->np + 1); i++) atol[i] = i < e->dim ? 1e-20 : 1e-20/e->p[i/e->dim - 1];
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .t1 = e->t1, .y0 = y0, .p = e->p);
    const nde_options options = NDE_INIT(nde_options, .rtol = 1e-13, .atol_each = atol, .jacobian = NDE_JACOBIAN_DIFFERENCES,
                                         .max_steps = NDE_ZERO);
    nde_stiff_solver *solver;
    nde_solution s = { 0 };
    if (nde_stiff_solve(&problem, &options, NULL, &solver, &s)) die(solver ? nde_stiff_error(solver) : nde_stiff_error(NULL));
    for (size_t k = 0; k < e->np; k++) {
        gradient[k] = 0;
        for (size_t i = 0; i < e->dim; i++) gradient[k] += e->p[k]*e->weight[i]*s.y_end[(k + 1)*e->dim + i];
    }
    nde_stiff_destroy(solver);
}

/* ---- what is compared ------------------------------------------------------------------------------------------------------
 * */

typedef struct entry {
    const char *name;
    int method; /* of libnde; 0: CVODES */
    nde_stiff_options stiff;
} entry;

static double error_of(const example *e, const double *gradient, const double *exact) {
    double worst = 0, size = 0;
    for (size_t k = 0; k < e->np; k++) {
        worst = fmax(worst, fabs(e->p[k]*gradient[k] - exact[k]));
        size = fmax(size, fabs(exact[k]));
    }
    return worst/size;
}

/* Solve and gradient once; what went wrong, or NULL. */
static const char *once(nde_solver *ours, nde_stiff_solver *theirs, const nde_seed *seed, double *gradient, nde_stats *stats) {
    nde_solution s = { 0 };
    const nde_gradient to = NDE_INIT(nde_gradient, .p = gradient);
    const nde_status solved = ours ? nde_solver_run(ours, &s) : nde_stiff_run(theirs, &s);
    if (solved) return ours ? nde_solver_error(ours) : nde_stiff_error(theirs);
    *stats = s.stats[0];
    const nde_status back = ours ? nde_backward(ours, seed, &to) : nde_stiff_backward(theirs, seed, &to);
    return !back ? NULL : ours ? nde_solver_error(ours) : nde_stiff_error(theirs);
}

static void line(example *e, const entry *by, double rtol, const double *exact, double budget) {
    nde_pointwise one = example_pointwise(e);
    nde_field field = nde_field_pointwise(&one, e->dim, e->np);
    field.jacobian = example_jacobian;
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .t1 = e->t1, .y0 = e->y0, .p = e->p);
    const nde_options options = NDE_INIT(nde_options, .method = by->method, .rtol = rtol, .atol = e->atol*rtol/1e-7,
                                         .adjoint = by->method ? NDE_ADJOINT_DISCRETE : NDE_ADJOINT_INTERPOLATED,
                                             .max_steps = 200000);
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = e->weight);
    nde_solver *ours = NULL;
    nde_stiff_solver *theirs = NULL;
    double gradient[MOST_NP], best = HUGE_VAL;
    nde_stats stats;
    const nde_status made = by->method ? nde_solver_create(&problem, &options, &ours) : nde_stiff_create(&problem, &options,
        &by->stiff, &theirs);
    const char *wrong = made ? by->method ? nde_error() : nde_stiff_error(NULL) : NULL;
    const double end = seconds() + budget;
    for (int k = 0; !wrong && (k < 2 || seconds() < end); k++) {
        const double start = seconds();
        wrong = once(ours, theirs, &seed, gradient, &stats);
        best = fmin(best, seconds() - start);
    }
    if (wrong) printf("%-6s %-24s %.0e  %s\n", e->name, by->name, rtol, wrong);
    else printf("%-6s %-24s %.0e %9.3f ms %6lld steps  error %.1e\n", e->name, by->name, rtol, 1e3*best,
                (long long)stats.accepted,
                error_of(e, gradient, exact));
    nde_solver_destroy(ours);
    nde_stiff_destroy(theirs);
}

int main(int count, char **words) {
    static example problems[] = { ROBER, HIRES };
    static const char *const implicit[] = { "rosenbrock23", "rodas4", "rodas5p", "trbdf2", "kvaerno3", "kvaerno4",
                                            "kvaerno5", "radau5" };
    const double budget = count > 1 ? atof(words[1]) : 0.2;
    problems[0].t1 = 1e5;
    for (size_t i = 0; i < sizeof problems/sizeof *problems; i++) {
        example *e = &problems[i];
        double exact[MOST_NP];
        for (size_t k = 0; k < e->dim; k++) e->weight[k] = k == 0;
        truth(e, exact);
        for (double rtol = 1e-4; rtol > 1e-11; rtol *= 1e-2) {
            const entry cvodes[] = {
                { "CVODES BDF, Hermite", 0, { .size = sizeof(nde_stiff_options) } },
                { "CVODES BDF, polynomial", 0, NDE_INIT(nde_stiff_options, .polynomial = 1) },
                { "CVODES, integrals too", 0, NDE_INIT(nde_stiff_options, .integral_rtol = rtol, .integral_atol = 1e-14) },
            };
            for (size_t k = 0; k < sizeof cvodes/sizeof *cvodes; k++) line(e, &cvodes[k], rtol, exact, budget);
            for (size_t k = 0; k < sizeof implicit/sizeof *implicit; k++) {
                const nde_method *method = nde_method_find(implicit[k]);
                if (method) line(e, &(entry){ .name = implicit[k], .method = nde_method_id(method) }, rtol, exact, budget);
            }
        }
    }
    return 0;
}
