/* SPDX-License-Identifier: MIT
 * controller.c - the I and PI step size controllers and Hairer's first step.
 *
 * Only + - * /, comparisons and integer work: no function of libm, whose bits depend on the machine. A step size has the
 * same bits everywhere. */
#include "controller/controller.h"

#include <float.h>

#include "controller/start.h"

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
nde_status nde_control_make(int id, double error_order, const nde_options *options, nde_control *control) {
    static const nde_options standard;
    const nde_options *o = options ? options : &standard;
    if (!control) return nde_fail(NDE_E_ARG, "nde_control_make: control is NULL");
    if (id < NDE_CONTROLLER_AUTO || id > NDE_CONTROLLER_PI31)
        return nde_fail(NDE_E_ARG, "options.controller is %d: no such controller", id);
    if (!(error_order >= 0))
        return nde_fail(NDE_E_ARG, "options.controller needs an error estimate, and the method's error order is %.12g",
                        error_order);
    nde_control c = { .reject = 1/(error_order + 1) };
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

/* Powers times q + 1 of the last three errors, and of the last two ratios of steps.
 * Sources: G. Soederlind, Digital filters in adaptive time-stepping, ACM TOMS 29 (2003) 1-26, table 1 (H); G. Soederlind,
 * L. Wang, Adaptive time-stepping and computational stability, J. Comput. Appl. Math. 185 (2006) 225-243 (PI); PI34 is K.
 * Gustafsson's PI.3.4, Control theoretic techniques for stepsize selection in explicit Runge-Kutta methods, ACM TOMS 17
 * (1991) 533-554; PI31 is S. Ilie, K. Jackson, W. Enright, Adaptive time-stepping for the strong numerical solution of
 * stochastic differential equations, Numer. Algorithms 68 (2015) 791-812. */
static const struct { double b[3], a[2]; } presets[] = {
    [NDE_CONTROLLER_PI34] = { { 7.0/10, -4.0/10 }, { 0 } },
    [NDE_CONTROLLER_PI33] = { { 2.0/3, -1.0/3 }, { 0 } },
    [NDE_CONTROLLER_PI42] = { { 3.0/5, -1.0/5 }, { 0 } },
    [NDE_CONTROLLER_H211] = { { 1.0/2, 1.0/2 }, { 1.0/2 } },
    [NDE_CONTROLLER_H211B] = { { 1.0/4, 1.0/4 }, { 1.0/4 } },
    [NDE_CONTROLLER_H211PI] = { { 1.0/6, 1.0/6 }, { 0 } },
    [NDE_CONTROLLER_H312] = { { 1.0/4, 2.0/4, 1.0/4 }, { 3.0/4, 1.0/4 } },
    [NDE_CONTROLLER_H312B] = { { 1.0/8, 2.0/8, 1.0/8 }, { 3.0/8, 1.0/8 } },
    [NDE_CONTROLLER_H312PID] = { { 1.0/18, 2.0/18, 1.0/18 }, { 0 } },
    [NDE_CONTROLLER_PI31] = { { 4.0/10, -1.0/10 }, { 0 } },
    [NDE_CONTROLLER_H321] = { { 1.0/3, 1.0/18, -5.0/18 }, { -5.0/6, -1.0/6 } },
};

nde_status nde_filter_make(int id, double error_order, const nde_options *options, const nde_control *control,
                           nde_filter *filter) {
    static const nde_options standard;
    const double *own = options ? options->pid : standard.pid;
    *filter = (nde_filter){ .on = id > NDE_CONTROLLER_PI };
    if (!filter->on) return NDE_OK;
    double kb[3] = { own[0], own[1], own[2] };
    filter->a[0] = own[3], filter->a[1] = own[4];
    for (int i = 0; id == NDE_CONTROLLER_PID && i < 5; i++)
        if (!(fabs(own[i]) <= 10)) return nde_fail(NDE_E_ARG, "options.pid[%d] is %g: it must be in [-10, 10]", i, own[i]);
    if (id != NDE_CONTROLLER_PID) {
        for (int i = 0; i < 3; i++) kb[i] = presets[id].b[i];
        for (int i = 0; i < 2; i++) filter->a[i] = presets[id].a[i];
    }
    const double sum = kb[0] + kb[1] + kb[2];
    if (!(sum > 0))
        return nde_fail(NDE_E_ARG, "options.pid: its first three sum to %g: a step that is too large would never shrink", sum);
    for (int i = 0; i < 3; i++) filter->b[i] = kb[i]/(error_order + 1);
    filter->aim = nde_control_power(control->safety, sum);
    return NDE_OK;
}

/* ---- for callers that need not be quick ---------------------------------------------------------------------------- */

double nde_control_power(double x, double a) { return nde_power(x, a); }

double nde_control_trial_step(double d0, double d1) { return nde_start_trial(d0, d1); }

double nde_control_first_step(double trial, double d1, double d2, int order) { return nde_start_step(trial, d1, d2, order); }
