/* SPDX-License-Identifier: MIT
 * controller.c - the I and PI step size controllers and Hairer's first step.
 *
 * Only + - * /, comparisons and integer work: no function of libm, whose bits depend on the machine. A step size has the
 * same bits everywhere. */
#include "controller/controller.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "controller/tables.h"

#define LN2 0.693147180559945309417232121458

/* ---- the controller with everything resolved ---------------------------------------------------------------------- */

/* value, or what stands for 0; false when it is outside [low, high], or NaN. */
static bool read_option(double value, double standard, double low, double high, double *resolved) {
    *resolved = value == 0 ? standard : value;
    return *resolved >= low && *resolved <= high;
}

/* PI: beta = 0.2/(q + 1) and alpha = 1/(q + 1) - 0.75 beta. At q = 4 these are DOPRI5's beta = 0.04 and expo1 = 0.17, which
 * Hairer and Wanner recommend for it; the exponents of other orders keep their ratio to 1/(q + 1).
 * Source: E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I (1993), II.4 and DOPRI5;
 * E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), IV.2; K. Gustafsson (1991). */
nde_status nde_control_make(int id, int error_order, const nde_options *options, nde_control *control) {
    static const nde_options standard;
    const nde_options *o = options ? options : &standard;
    if (!control) return nde_fail(NDE_E_ARG, "nde_control_make: control is NULL");
    if (id != NDE_CONTROLLER_AUTO && id != NDE_CONTROLLER_I && id != NDE_CONTROLLER_PI)
        return nde_fail(NDE_E_ARG, "options.controller is %d: no such controller", id);
    if (error_order < 1)
        return nde_fail(NDE_E_ARG, "options.controller needs an error estimate, and the method's error order is %d", error_order);
    nde_control c = { .reject = 1.0/(error_order + 1) };
    if (!read_option(o->safety, 0.9, DBL_MIN, 1, &c.safety))
        return nde_fail(NDE_E_ARG, "options.safety is %g: it must be in (0, 1], or 0 for 0.9", o->safety);
    if (!read_option(o->factor_min, 0.2, DBL_MIN, 1 - DBL_EPSILON/2, &c.factor_min))
        return nde_fail(NDE_E_ARG, "options.factor_min is %g: it must be in (0, 1), or 0 for 0.2", o->factor_min);
    if (!read_option(o->factor_max, 10, 1, DBL_MAX, &c.factor_max))
        return nde_fail(NDE_E_ARG, "options.factor_max is %g: it must be at least 1 and finite, or 0 for 10", o->factor_max);
    c.beta = id == NDE_CONTROLLER_I ? 0 : 0.2*c.reject;
    c.alpha = c.reject - 0.75*c.beta;
    *control = c;
    return NDE_OK;
}

/* ---- powers ------------------------------------------------------------------------------------------------------- */

static inline uint64_t bits_of(double x) { uint64_t u; memcpy(&u, &x, sizeof u); return u; }
static inline double from_bits(uint64_t u) { double x; memcpy(&x, &u, sizeof x); return x; }

/* log2 of a normal x > 0, error below 6e-8: x = 2^k m with m in [1, 2), and a quadratic in m on each 64th of that. */
static inline double log2_normal(double x) {
    const uint64_t u = bits_of(x);
    const double k = from_bits(u >> 52 | UINT64_C(0x4330000000000000)) - (0x1p52 + 1023);
    const double m = from_bits((u & UINT64_C(0x000fffffffffffff)) | UINT64_C(0x3ff0000000000000));
    const double *c = log2_table[u >> 46 & 63];
    return (c[0] + k) + c[1]*m + c[2]*(m*m);
}

/* 2^x for |x| <= 1020, relative error below 3e-8: 2^(k + j/64) e^r with |r| <= ln(2)/128, e^r cut after r^2/2. Adding
 * 1.5 2^46 rounds to a 64th; 64 k + j then stands in the low bits. */
static inline double exp2_normal(double x) {
    const double t = x + 0x1.8p46, f = x - (t - 0x1.8p46);
    const uint64_t u = bits_of(t);
    const double power = from_bits(bits_of(exp2_table[u & 63]) + (u >> 6 << 52));
    return power + (power*f)*(LN2 + LN2*LN2/2*f);
}

double nde_control_power(double x, double a) {
    if (!(x > 0 && x <= DBL_MAX)) { /* 0, Inf; NaN and negative numbers */
        if (!(x >= 0) || a != a) return (double)NAN;
        return a == 0 ? 1 : (x == 0) == (a > 0) ? 0 : (double)INFINITY;
    }
    const double log2_x = x < DBL_MIN ? log2_normal(x*0x1p54) - 54 : log2_normal(x); /* subnormal */
    const double y = a*log2_x;
    return y > 1100 ? (double)INFINITY : y < -1100 ? 0 : exp2_normal(0.5*y)*exp2_normal(0.5*y);
}

/* ---- judging ------------------------------------------------------------------------------------------------------ */

/* One lane. */
static inline void judge(const nde_control *c, double error, double *before, unsigned char *rejected, double *factor,
                         unsigned char *accept) {
    const bool good = error <= 1;
    *accept = good;
    if (!(error <= DBL_MAX)) { /* Inf or NaN */
        *factor = c->factor_min;
        *rejected = 1;
        return;
    }
    const double e = error > DBL_MIN ? error : DBL_MIN; /* only meets factor_max */
    const double f = c->safety*(good ? exp2_normal(c->beta*log2_normal(*before) - c->alpha*log2_normal(e))
                                     : exp2_normal(-c->reject*log2_normal(e)));
    const double most = good && !*rejected ? c->factor_max : 1;
    const double cut = f < most ? f : most;
    *factor = cut > c->factor_min ? cut : c->factor_min;
    if (good) *before = e > 1e-4 ? e : 1e-4;
    *rejected = !good;
}

void nde_control_judge(const nde_control *control, size_t n, const double *error, double *before, unsigned char *rejected,
                       double *factor, unsigned char *accept) {
    if (n == 1) { /* once a step of one trajectory */
        judge(control, *error, before, rejected, factor, accept);
        return;
    }
    const nde_control c = *control;
    for (size_t b = 0; b < n; b++) judge(&c, error[b], before + b, rejected + b, factor + b, accept + b);
}

/* ---- the first step ----------------------------------------------------------------------------------------------- */

double nde_control_trial_step(double d0, double d1) {
    const double h = 0.01*(d0/d1);
    return d0 >= 1e-5 && d1 >= 1e-5 && h > 0 && h <= DBL_MAX ? h : 1e-6;
}

double nde_control_first_step(double trial, double d1, double d2, int order) {
    const double d = d1 > d2 ? d1 : d2; /* d2, when it is NaN */
    if (!(d <= DBL_MAX)) return 1e-3*trial; /* the slope is not finite a trial step away */
    const double h = d > 1e-15 ? nde_control_power(0.01/d, 1.0/(order + 1)) : trial > 1e-3 ? 1e-3*trial : 1e-6;
    return h < 100*trial ? h : 100*trial;
}
