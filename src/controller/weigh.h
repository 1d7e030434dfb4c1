/* SPDX-License-Identifier: MIT
 * weigh.h - the decision on one lane: accept? how long is the next step, and where does it end? Installed too, as a part of
 * nde/inline.h: no types but numbers, no names but its own. */
#ifndef NDE_WEIGH_H
#define NDE_WEIGH_H

#include <float.h>
#include <stdbool.h>

#include "controller/power.h"

/* A controller with everything resolved: factor = safety * err^-alpha * err_before^beta, within [factor_min, factor_max];
 * after a rejection it does not grow; a rejected step uses err^-1/(q + 1) alone. */
typedef struct nde_control {
    double alpha, beta, reject, safety, factor_min, factor_max;
} nde_control;

/* Where a step of h from t ends: at t + h, or at the stop when that is within 1.01 h. */
static inline double nde_clock_target(double direction, double t, double h, double stop) {
    return direction*(t + 1.01*h) >= direction*stop ? stop : t + h;
}

/* One lane; without branches and in one width, so that lanes vectorise. All in registers from the error to the next step: this
 * is on the way to every stage that follows. First the factor to the next step size, and the error to remember. */
static inline double nde_weigh_factor(const nde_control *c, double error, double refused, double was, double *before) {
    const double e = error > 1e-60 ? error < 1e60 ? error : 1e60 : 1e-60; /* beyond, the factor is cut anyhow */
    const double past = 0.5*c->beta*nde_log2_normal(was), is = nde_log2_normal(e);
    const double rate = error <= 1 ? past - 0.5*c->alpha*is : -0.5*c->reject*is;
    const double f = c->safety*nde_exp2_normal(rate);
    const double most = error <= 1 ? (refused == 0 ? c->factor_max : 1) : 1, cut = f < most ? f : most;
    const double kept = cut > c->factor_min ? cut : c->factor_min, last = error <= 1 ? e : was;
    *before = last > 1e-8 ? last : 1e-8; /* was is: a store that depended on the decision would be one by a branch */
    return error <= DBL_MAX ? kept : c->factor_min;
}

/* Then the step and where it ends. */
static inline void nde_weigh_step(double factor, double direction, double most_h, bool good, double t, double t_new, double dt,
                                  double stop, double *h, double *t_next, double *dt_next) {
    const double next = dt*factor, bounded = next > most_h ? most_h : next < -most_h ? -most_h : next;
    const double from = good ? t_new : t, to = nde_clock_target(direction, from, bounded, stop);
    *h = bounded;
    *t_next = to;
    *dt_next = to - from;
}

static inline void nde_weigh(const nde_control *c, double direction, double most_h, double error, double refused, double was,
                             double t, double t_new, double dt, double stop, double *before, double *good, double *h,
                             double *t_next, double *dt_next) {
    const double factor = nde_weigh_factor(c, error, refused, was, before);
    *good = error <= 1 ? 1 : 0;
    nde_weigh_step(factor, direction, most_h, error <= 1, t, t_new, dt, stop, h, t_next, dt_next);
}

/* The same for one lane where nothing bounds the next step: with branches, which do not wait for what they guard. False:
 * something does, nothing is written, and nde_weigh has to decide. */
static inline bool nde_weigh_unbounded(const nde_control *c, double direction, double most_h, double error, double refused,
                                       double t_new, double dt, double stop, double *before, double *h, double *t_next,
                                       double *dt_next) {
    if (!(error > 1e-60 && error <= 1)) return false;
    const double past = 0.5*c->beta*nde_log2_normal(*before), most = refused == 0 ? c->factor_max : 1;
    const double f = c->safety*nde_exp2_normal(past - 0.5*c->alpha*nde_log2_normal(error)), next = dt*f, to = t_new + next;
    if (!(f > c->factor_min && f < most && next <= most_h && next >= -most_h)) return false;
    if (direction*(t_new + 1.01*next) >= direction*stop) return false;
    *before = error > 1e-8 ? error : 1e-8;
    *h = next, *t_next = to, *dt_next = to - t_new;
    return true;
}

#endif
