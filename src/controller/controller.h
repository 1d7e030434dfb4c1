/* SPDX-License-Identifier: MIT
 * controller.h - accept? which next step size? No real type. */
#ifndef NDE_CONTROLLER_H
#define NDE_CONTROLLER_H

#include "controller/filter.h"
#include "core/core.h"

/* id NDE_CONTROLLER_*; error_order q >= 0: the estimate is as h^(q + 1). Errors: NDE_E_ARG (text set). */
nde_status nde_control_make(int id, double error_order, const nde_options *options, nde_control *control);

/* The filter of a controller; off for I and PI. Coefficients are given times q + 1 where they are powers of an error. */
nde_status nde_filter_make(int id, double error_order, const nde_options *options, const nde_control *control,
                           nde_filter *filter);

/* nde_power, nde_start_trial and nde_start_step of start.h. */
double nde_control_power(double x, double a);
double nde_control_trial_step(double d0, double d1);
double nde_control_first_step(double trial, double d1, double d2, int order);

#endif
