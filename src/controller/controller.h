/* SPDX-License-Identifier: MIT
 * controller.h - accept? which next step size? No real type. */
#ifndef NDE_CONTROLLER_H
#define NDE_CONTROLLER_H

#include "controller/filter.h"
#include "core/core.h"

/* id NDE_CONTROLLER_*; error_order: of the lower of the two solutions. Errors: NDE_E_ARG (text set). */
nde_status nde_control_make(int id, int error_order, const nde_options *options, nde_control *control);

/* The filter of a controller; off for I and PI. Coefficients are given times q + 1 where they are powers of an error. */
nde_status nde_filter_make(int id, int error_order, const nde_options *options, const nde_control *control, nde_filter *filter);

/* x^a for x > 0 to about 1e-7, same bits everywhere: enough for a step size. */
double nde_control_power(double x, double a);

/* Hairer's first step from the scaled norms d0 of y and d1 of f (each RMS): the trial step, then the step from d2, the scaled
 * norm of the difference of slopes over the trial step. Source: E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary
 * Differential Equations I (1993), II.4. */
double nde_control_trial_step(double d0, double d1);
double nde_control_first_step(double trial, double d1, double d2, int order);

#endif
