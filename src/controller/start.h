/* SPDX-License-Identifier: MIT
 * start.h - powers and the first step size, in the arithmetic of power.h. Installed too, as a part of nde/inline.h. */
#ifndef NDE_START_H
#define NDE_START_H

#include <float.h>
#include <math.h>

#include "controller/power.h"

/* x^a for x > 0 to about 1e-7, same bits everywhere: enough for a step size. */
static inline double nde_power(double x, double a) {
    if (!(x > 0 && x <= DBL_MAX)) { /* 0, Inf; NaN and negative numbers */
        if (!(x >= 0) || a != a) return (double)NAN;
        return a == 0 ? 1 : (x == 0) == (a > 0) ? 0 : (double)INFINITY;
    }
    const double log2_x = x < DBL_MIN ? nde_log2_normal(x*0x1p54) - 54 : nde_log2_normal(x); /* subnormal */
    const double y = a*log2_x;
    return y > 1100 ? (double)INFINITY : y < -1100 ? 0 : nde_exp2_normal(0.5*y)*nde_exp2_normal(0.5*y);
}

/* Hairer's first step from the scaled norms d0 of y and d1 of f (each RMS): the trial step, then the step from d2, the scaled
 * norm of the difference of slopes over the trial step. Source: E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary
 * Differential Equations I (1993), II.4. */
static inline double nde_start_trial(double d0, double d1) {
    const double h = 0.01*(d0/d1);
    return d0 >= 1e-5 && d1 >= 1e-5 && h > 0 && h <= DBL_MAX ? h : 1e-6;
}

static inline double nde_start_step(double trial, double d1, double d2, int order) {
    const double d = d1 > d2 ? d1 : d2; /* d2, when it is NaN */
    if (!(d <= DBL_MAX)) return 1e-3*trial; /* the slope is not finite a trial step away */
    const double h = d > 1e-15 ? nde_power(0.01/d, 1.0/(order + 1)) : trial > 1e-3 ? 1e-3*trial : 1e-6;
    return h < 100*trial ? h : 100*trial;
}

#endif
