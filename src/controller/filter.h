/* SPDX-License-Identifier: MIT
 * filter.h - controllers as digital filters of the last three errors and step size ratios; the decision on one lane. */
#ifndef NDE_FILTER_H
#define NDE_FILTER_H

#include <stdbool.h>

#include "controller/weigh.h"

/* factor = aim e^-b[0] e_1^-b[1] e_2^-b[2] (h/h_1)^-a[0] (h_1/h_2)^-a[1], within the control's bounds, e the norm relative
 * to the tolerance. aim = safety^((q + 1)(b[0] + b[1] + b[2])): all filters settle at the error safety^(q + 1). */
typedef struct nde_filter {
    bool on;
    double b[3], a[2], aim;
} nde_filter;

/* log2 of h/h_last within the bounds of a factor; of 1 when there was no step before. */
static inline double nde_ratio_log2(const nde_control *c, double h, double h_last) {
    const double ratio = h_last != 0 ? h/h_last : 1, kept = ratio > c->factor_min ? ratio : c->factor_min;
    return nde_log2_normal(kept < c->factor_max ? kept : c->factor_max);
}

/* As nde_weigh; h_last and h_last2 of the accepted steps before. */
static inline void nde_weigh_filter(const nde_control *c, const nde_filter *f, double direction, double most_h, double error,
                                    double refused, double was, double was2, double h_last, double h_last2, double t,
                                    double t_new, double dt, double stop, double *past, double *past2, double *good,
                                    double *h, double *t_next, double *dt_next) {
    const double e = error > 1e-60 ? error < 1e60 ? error : 1e60 : 1e-60;
    const double is = nde_log2_normal(e), least = nde_weigh_past(0);
    const double history = 0.5*(f->b[1]*was + f->b[2]*was2) +
                        (f->a[0]*nde_ratio_log2(c, dt, h_last) + f->a[1]*nde_ratio_log2(c, h_last, h_last2));
    const double rate = error <= 1 ? -(0.5*f->b[0]*is + history) : -0.5*c->reject*is;
    const double held = rate < 500 ? rate > -500 ? rate : -500 : 500;
    const double wanted = (error <= 1 ? f->aim : c->safety)*nde_exp2_normal(held);
    const double most = error <= 1 ? (refused == 0 ? c->factor_max : 1) : 1, cut = wanted < most ? wanted : most;
    const double kept = cut > c->factor_min ? cut : c->factor_min, factor = error <= DBL_MAX ? kept : c->factor_min;
    const double next = dt*factor, bounded = next > most_h ? most_h : next < -most_h ? -most_h : next;
    const double from = error <= 1 ? t_new : t, to = nde_clock_target(direction, from, bounded, stop);
    *past = error <= 1 ? (is > least ? is : least) : was;
    *past2 = error <= 1 ? was : was2;
    *good = error <= 1 ? 1 : 0;
    *h = bounded;
    *t_next = to;
    *dt_next = to - from;
}

#endif
