/* SPDX-License-Identifier: MIT
 * goal.c - tolerances for a loss: a solve repeated with smaller ones until the estimate of the loss's own error is small
 * enough. */
#include "solve/solver.h"

#include <float.h>
#include <math.h>

enum { MOST_RUNS = 16 };

static void scale_all(double *x, size_t count, double by) {
    for (size_t i = 0; x && i < count; i++)
        if (x[i] > DBL_MIN) x[i] *= by;
}

/* All tolerances by a power of two, so that what is taken back is what it was. */
static void scale(nde_solver *s, double by) {
    scale_all(&s->tolerance.rtol, 1, by), scale_all(&s->tolerance.atol, 1, by);
    scale_all(s->atol_each, s->rhs.dim, by), scale_all(s->rtol_n, s->N, by), scale_all(s->atol_n, s->N, by);
}

/* The smallest factor that leaves tolerances above rounding: a power of two, 1 or more when there is no room. */
static double least_factor(const nde_solver *s) {
    const double eps = sizeof(nde_real) == sizeof(float) ? (double)FLT_EPSILON : DBL_EPSILON;
    double least = s->tolerance.rtol;
    for (size_t i = 0; s->rtol_n && i < s->N; i++) least = i ? fmin(least, s->rtol_n[i]) : s->rtol_n[0];
    return least > 0 ? exp2(ceil(log2(20*eps/least))) : 0;
}

/* The next one: n steps of error tol each make n tol, and n goes like tol^(-1/(q + 1)). Half of the goal is aimed at. */
static double next_factor(const nde_solver *s, double goal, double estimate) {
    const double q = nde_method_estimate_order(s->table.method), wanted = pow(0.5*goal/estimate, (q + 1)/q);
    return fmax(exp2(floor(log2(fmin(fmax(wanted, 0x1p-14), 0.5)))), least_factor(s));
}

static nde_status check(const nde_solver *s, double goal, const nde_goal_report *report) {
    if (!(goal > 0)) return nde_fail(NDE_E_ARG, "nde_solver_run_to_goal: goal is %g", goal);
    if (report && report->size && report->size != sizeof *report)
        return nde_fail(NDE_E_ARG, "nde_solver_run_to_goal: report.size is %zu", report->size);
    if (s->rhs.noisy) return nde_fail(NDE_E_ARG, "nde_solver_run_to_goal: not with noise");
    if (!s->adaptive) return nde_fail(NDE_E_ARG, "nde_solver_run_to_goal: options.steps is %lld", (long long)s->options.steps);
    if (s->adjoint != NDE_ADJOINT_DISCRETE)
        return nde_fail(NDE_E_ARG, "nde_solver_run_to_goal: options.adjoint is %d", s->adjoint);
    return NDE_OK;
}

nde_status nde_solver_run_to_goal(nde_solver *s, double goal, const nde_seed *seed, const nde_gradient *gradient,
                                  nde_solution *solution, nde_goal_report *report) {
    nde_goal_report out = { .size = report ? report->size : 0, .factor = 1 };
    nde_gradient wanted;
    if (!s) return nde_fail(NDE_E_ARG, "nde_solver_run_to_goal: solver is NULL");
    nde_status status = check(s, goal, report);
    if (status) return nde_solver_refuse(s, status);
    if (!nde_read_sized(&wanted, sizeof wanted, gradient, sizeof wanted))
        return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_solver_run_to_goal: gradient.size is %zu", gradient->size));
    double *const asked[] = { wanted.loss_error, wanted.loss_spread };
    wanted.size = sizeof wanted, wanted.loss_error = &out.loss_error, wanted.loss_spread = &out.loss_spread;
    for (double by = 1; ; out.factor *= by) {
        status = nde_solver_run(s, solution);
        const nde_status bad = status == NDE_OK || status == NDE_E_LANES ? nde_backward(s, seed, &wanted) : status;
        if (bad) status = bad;
        out.runs++;
        for (size_t who = 0; who < s->N; who++) out.evals += s->stats[who].evals;
        const double estimate = fmax(fabs(out.loss_error), out.loss_spread);
        out.reached = !bad && estimate <= goal;
        if (bad || out.reached || out.runs == MOST_RUNS || least_factor(s) >= 1) break;
        scale(s, by = next_factor(s, goal, estimate));
    }
    scale(s, 1/out.factor);
    if (asked[0]) *asked[0] = out.loss_error;
    if (asked[1]) *asked[1] = out.loss_spread;
    if (report) *report = out;
    return status;
}
