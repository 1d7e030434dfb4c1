/* SPDX-License-Identifier: MIT
 * loss.c - the weighted mean square of the distance to data, some of which may be missing; the gaps of multiple shooting. */
#include "nde/train.h"

#include <float.h>
#include <math.h>

#include "core/core.h"

/* The number of entries of y, or an error. */
static nde_status read_solution(const nde_solution *solution, nde_solution *s, size_t *count) {
    if (!solution) return nde_fail(NDE_E_ARG, "nde_loss_mse: solution is NULL");
    if (!nde_read_sized(s, sizeof *s, solution, sizeof *s))
        return nde_fail(NDE_E_ARG,
                        "nde_loss_mse: solution.size is %zu, which is not a layout that this "
                        "library knows", solution->size);
    if (!s->y) return nde_fail(NDE_E_ARG, "nde_loss_mse: solution.y is NULL");
    const size_t out = s->out ? s->out : s->dim;
    if (!nde_size_multiply(s->n_save, out, count) || !nde_size_multiply(*count, s->n, count))
        return nde_fail(NDE_E_ARG, "nde_loss_mse: solution has %zu x %zu x %zu values", s->n_save,
                        out, s->n);
    return NDE_OK;
}

/* Weight 0 and data NaN both mean missing: neither y nor data counts there. */
static double weight_at(const nde_real *data, const nde_real *weight, size_t i) {
    return isnan(data[i]) ? 0 : weight ? (double)weight[i] : 1;
}

nde_status nde_loss_mse(const nde_solution *solution, const nde_real *data, const nde_real *weight,
                        double *loss, nde_real *seed_y) {
    nde_solution s;
    size_t count;
    const nde_status bad = read_solution(solution, &s, &count);
    if (bad) return bad;
    if (!data || !loss)
        return nde_fail(NDE_E_ARG, "nde_loss_mse: %s is NULL", data ? "loss" : "data");
    for (size_t i = 0; weight && i < count; i++)
        if (!(weight[i] >= 0 && (double)weight[i] <= DBL_MAX))
            return nde_fail(NDE_E_ARG,
                            "nde_loss_mse: weight[%zu] is %g: it must be finite and not negative",
                            i, (double)weight[i]);
    double total = 0, sum = 0;
    for (size_t i = 0; i < count; i++) {
        const double w = weight_at(data, weight, i);
        if (w == 0) continue;
        const double d = (double)s.y[i] - (double)data[i];
        total += w;
        sum += w*(d*d);
    }
    if (!(total > 0 && total <= DBL_MAX))
        return nde_fail(NDE_E_ARG, "nde_loss_mse: %s",
                        total > 0 ? "the sum of the weights is not finite"
                                  : "there is no data: all of it is missing or has weight 0");
    *loss = 0.5*(sum/total);
    for (size_t i = 0; seed_y && i < count; i++) {
        const double w = weight_at(data, weight, i);
        seed_y[i] = w == 0 ? 0 : (nde_real)(w/total*((double)s.y[i] - (double)data[i]));
    }
    return NDE_OK;
}

/* Lanes that go on, and whether every argument is right. */
static nde_status check_continuity(const nde_solution *s, const nde_real *y0, const size_t *next, double penalty,
                                   const double *loss, size_t *pairs) {
    size_t count;
    if (!s->n || !s->dim) return nde_fail(NDE_E_ARG, "nde_loss_continuity: solution.%s is 0", s->n ? "dim" : "n");
    if (!s->y_end || !y0 || !next || !loss)
        return nde_fail(NDE_E_ARG, "nde_loss_continuity: %s is NULL",
                        !s->y_end ? "solution.y_end" : !y0 ? "y0" : !next ? "next" : "loss");
    if (!nde_size_multiply(s->dim, s->n, &count))
        return nde_fail(NDE_E_ARG, "nde_loss_continuity: solution has %zu x %zu values", s->dim, s->n);
    if (!(penalty >= 0 && penalty <= DBL_MAX))
        return nde_fail(NDE_E_ARG, "nde_loss_continuity: penalty is %g: it must be finite and not negative", penalty);
    *pairs = 0;
    for (size_t b = 0; b < s->n; b++) {
        if (next[b] == SIZE_MAX) continue;
        if (next[b] >= s->n)
            return nde_fail(NDE_E_ARG, "nde_loss_continuity: next[%zu] is %zu of %zu lanes", b, next[b], s->n);
        ++*pairs;
    }
    return NDE_OK;
}

nde_status nde_loss_continuity(const nde_solution *solution, const nde_real *y0, const size_t *next, double penalty,
                               double *loss, nde_real *seed_y_end, nde_real *gradient_y0) {
    nde_solution s;
    size_t pairs = 0;
    if (!solution) return nde_fail(NDE_E_ARG, "nde_loss_continuity: solution is NULL");
    if (!nde_read_sized(&s, sizeof s, solution, sizeof s))
        return nde_fail(NDE_E_ARG, "nde_loss_continuity: solution.size is %zu, which is not a layout that this library knows",
                        solution->size);
    const nde_status bad = check_continuity(&s, y0, next, penalty, loss, &pairs);
    if (bad) return bad;
    const double scale = pairs ? penalty/((double)pairs*(double)s.dim) : 0;
    double sum = 0;
    for (size_t i = 0; i < s.dim*s.n; i++) {
        if (seed_y_end) seed_y_end[i] = 0;
        if (gradient_y0) gradient_y0[i] = 0;
    }
    for (size_t i = 0; i < s.dim; i++)
        for (size_t b = 0; b < s.n; b++) {
            if (next[b] == SIZE_MAX) continue;
            const size_t end = i*s.n + b, start = i*s.n + next[b];
            const double gap = (double)s.y_end[end] - (double)y0[start];
            sum += gap*gap;
            if (seed_y_end) seed_y_end[end] = (nde_real)(scale*gap);
            if (gradient_y0) gradient_y0[start] -= (nde_real)(scale*gap);
        }
    *loss += 0.5*(scale*sum);
    return NDE_OK;
}
