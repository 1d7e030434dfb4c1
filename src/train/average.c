/* SPDX-License-Identifier: MIT
 * average.c - the mean of the parameters over training: exponential or with equal weights.
 * Source: P. Izmailov et al., Averaging weights leads to wider optima and better generalization, UAI (2018); B. Polyak,
 * A. Juditsky, Acceleration of stochastic approximation by averaging, SIAM J. Control Optim. 30 (1992) 838-855. */
#include "nde/train.h"

#include <math.h>

#include "core/core.h"

static nde_status read_average(const char *function, const nde_average *average, size_t np, const nde_real *p, nde_average *a) {
    if (!average) return nde_fail(NDE_E_ARG, "%s: average is NULL", function);
    if (!nde_read_sized(a, sizeof *a, average, sizeof *a))
        return nde_fail(NDE_E_ARG, "%s: size is %zu, which is not a layout that this library knows", function, average->size);
    if (a->decay == NDE_ZERO) a->decay = 0;
    if (!(a->decay >= 0 && a->decay < 1))
        return nde_fail(NDE_E_ARG, "%s: decay is %g: it must be in [0, 1)", function, average->decay);
    if (a->count < 0)
        return nde_fail(NDE_E_ARG, "%s: count is %lld: it must not be negative", function, (long long)a->count);
    if (!np) return nde_fail(NDE_E_ARG, "%s: np is 0", function);
    if (!a->mean || !p) return nde_fail(NDE_E_ARG, "%s: %s is NULL", function, p ? "average.mean" : "p");
    return NDE_OK;
}

nde_status nde_average_update(nde_average *average, size_t np, const nde_real *p) {
    nde_average a;
    const nde_status bad = read_average("nde_average_update", average, np, p, &a);
    if (bad) return bad;
    for (size_t i = 0; i < np; i++)
        if (!isfinite(p[i])) /* it would stay in the mean */
            return nde_fail(NDE_E_ARG, "nde_average_update: p[%zu] is %g; nothing was changed", i, (double)p[i]);
    /* In this form a mean of equal numbers is that number, to the bit. */
    const double weight = a.decay > 0 ? 1 - a.decay : 1/((double)a.count + 1);
    if (a.count == 0)
        for (size_t i = 0; i < np; i++) a.mean[i] = (double)p[i];
    else
        for (size_t i = 0; i < np; i++) a.mean[i] += weight*((double)p[i] - a.mean[i]);
    average->count = a.count < INT64_MAX ? a.count + 1 : a.count;
    return NDE_OK;
}

nde_status nde_average_get(const nde_average *average, size_t np, nde_real *p) {
    nde_average a;
    const nde_status bad = read_average("nde_average_get", average, np, p, &a);
    if (bad) return bad;
    if (a.count == 0) return nde_fail(NDE_E_ARG, "nde_average_get: count is 0: there is no mean of nothing");
    for (size_t i = 0; i < np; i++) p[i] = (nde_real)a.mean[i];
    return NDE_OK;
}
