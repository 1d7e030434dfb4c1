/* SPDX-License-Identifier: MIT
 * libnde: each problem as a callback on blocks, of one lane here. */
#include "driver.h"

#include <nde.h>

const char program[] = "libnde";
const char *const methods[] = { "bosh3", "dopri5", "tsit5", "vern6", "vern7", "vern8", "vern9", "dop853", NULL };

#define EVAL(name, dim)                                                                                     \
    static int eval_##name(const nde_field *self, const nde_site *at, const double *y, double *dy) {        \
        (void)self;                                                                                         \
        name(at->t[0], y, dy);                                                                              \
        return 0;                                                                                           \
    }
EACH_PROBLEM(EVAL)
#define FIELD(name, n) { .size = sizeof(nde_field), .dim = n, .out = n, .traits = NDE_AUTONOMOUS, .eval = eval_##name },
static const nde_field fields[] = { EACH_PROBLEM(FIELD) };

static long solve(int which, int method, double tolerance, double *y) {
    static nde_solver *solver;
    static int of_which = -1, of_method;
    static double of_tolerance;
    nde_solution solution = { .size = sizeof solution };
    if (of_which != which || of_method != method || of_tolerance != tolerance) {
        const problem *p = &problems[which];
        const nde_problem q = NDE_INIT(nde_problem, .t1 = p->t1, .y0 = p->y0, .drift = &fields[which]);
        const nde_options o = NDE_INIT(nde_options, .method = nde_method_id(nde_method_find(methods[method])),
                                       .rtol = tolerance, .atol = tolerance);
        nde_solver_destroy(solver);
        if (nde_solver_create(&q, &o, &solver) != NDE_OK) fprintf(stderr, "%s\n", nde_error()), exit(1);
        of_which = which, of_method = method, of_tolerance = tolerance;
    }
    if (nde_solver_run(solver, &solution) != NDE_OK) return 0;
    memcpy(y, solution.y_end, (size_t)problems[which].dim*sizeof *y);
    return (long)solution.stats[0].evals;
}
