/* SPDX-License-Identifier: MIT
 * residuals.c - what a least-squares fit of a differential equation needs: residuals and their Jacobian by forward mode, a
 * direction for each parameter, as many at once as the solver has room for. */
#include "nde/train.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "nde/adjoint.h"
#include "solve/solver.h"

/* Copies the solution's head and counts its values. */
static nde_status check(const nde_solver *solver, const nde_solution *solution, const nde_real *data, const nde_real *weight,
                        size_t np, const size_t *m, nde_solution *s, size_t *count) {
    if (!solver || !solution || !data || !m)
        return nde_fail(NDE_E_ARG, "nde_residuals: %s is NULL",
                        !solver ? "solver" : !solution ? "solution" : !data ? "data" : "m");
    if (!nde_read_sized(s, sizeof *s, solution, sizeof *s))
        return nde_fail(NDE_E_ARG, "nde_residuals: solution.size is %zu, which is not a layout that this library knows",
                        solution->size);
    if (!s->y) return nde_fail(NDE_E_ARG, "nde_residuals: solution.y is NULL");
    const size_t out = s->out ? s->out : s->dim;
    if (s->n_save != solver->rows_saved || out != solver->out || s->n != solver->N)
        return nde_fail(NDE_E_ARG, "nde_residuals: solution has %zu x %zu x %zu values, the solver's has %zu x %zu x %zu",
                        s->n_save, out, s->n, solver->rows_saved, solver->out, solver->N);
    if (np != solver->rhs.np)
        return nde_fail(NDE_E_ARG, "nde_residuals: np is %zu, the solver has %zu parameters", np, solver->rhs.np);
    *count = s->n_save*out*s->n; /* the solver has such an array */
    for (size_t i = 0; weight && i < *count; i++)
        if (!(weight[i] >= 0 && (double)weight[i] <= DBL_MAX))
            return nde_fail(NDE_E_ARG, "nde_residuals: weight[%zu] is %g: it must be finite and not negative", i,
                            (double)weight[i]);
    return NDE_OK;
}

/* The square root of the weight; 0 where data is missing. */
static double factor(const nde_real *data, const nde_real *weight, size_t i) {
    return isnan(data[i]) ? 0 : weight ? sqrt((double)weight[i]) : 1;
}

/* Columns first, first + 1, ... of the Jacobian, some of them at once; work [some*(count + np)]. */
static nde_status columns(nde_solver *solver, const nde_real *data, const nde_real *weight, size_t np, size_t count,
                          size_t first, size_t some, double *jacobian, nde_real *work) {
    nde_real *const direction = work + some*count;
    const nde_direction along = NDE_INIT(nde_direction, .p = direction);
    const nde_output_tangent tangent = NDE_INIT(nde_output_tangent, .y = work);
    memset(direction, 0, some*np*sizeof *direction);
    for (size_t j = 0; j < some; j++) direction[j*np + first + j] = 1;
    const nde_status bad = nde_forward_many(solver, some, &along, &tangent);
    for (size_t i = 0, row = 0; i < count && !bad; i++) {
        const double w = factor(data, weight, i);
        for (size_t j = 0; j < some && w > 0; j++) jacobian[row*np + first + j] = w*(double)work[j*count + i];
        row += w > 0;
    }
    return bad;
}

nde_status nde_residuals(nde_solver *solver, const nde_solution *solution, const nde_real *data, const nde_real *weight,
                         size_t np, size_t *m, double *r, double *jacobian, nde_real *work) {
    nde_solution s;
    size_t count = 0, rows = 0;
    nde_status bad = check(solver, solution, data, weight, np, m, &s, &count);
    if (bad) return bad;
    if (jacobian && !work) return nde_fail(NDE_E_ARG, "nde_residuals: work is NULL");
    const size_t most = solver->options.directions > 1 ? solver->options.directions : 1;
    for (size_t j = 0; jacobian && j < np; j += most) {
        const size_t some = np - j < most ? np - j : most;
        if ((bad = columns(solver, data, weight, np, count, j, some, jacobian, work))) return bad;
    }
    for (size_t i = 0; i < count; i++) {
        const double w = factor(data, weight, i);
        if (w == 0) continue;
        if (r) r[rows] = w*((double)s.y[i] - (double)data[i]);
        rows++;
    }
    *m = rows;
    return NDE_OK;
}
