/* SPDX-License-Identifier: MIT
 * steer.c - random end times. */
#include "core/core.h"

#include <math.h>

nde_status nde_steer(uint64_t seed, size_t n, double t1, double width, double *t1_each) {
    if (n && !t1_each) return nde_fail(NDE_E_ARG, "nde_steer: t1_each is NULL");
    if (!isfinite(t1) || !(width > 0) || !isfinite(t1 + width) || !isfinite(t1 - width))
        return nde_fail(NDE_E_ARG, "nde_steer: t1 is %g, width is %g", t1, width);
    for (size_t who = 0; who < n; who++) t1_each[who] = t1 + width*(2*nde_uniform(seed, NDE_PURPOSE_END, who, 0, 0) - 1);
    return NDE_OK;
}
