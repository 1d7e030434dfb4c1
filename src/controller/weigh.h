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

/* What controllers remember of an accepted step: log2 of the square of its error, the least of 1e-8. */
static inline double nde_weigh_past(double square) { return nde_log2_normal(square > 1e-8 ? square : 1e-8); }

/* The decision on one lane in four parts, without branches and in one width, so that lanes vectorise, and each a loop of its
 * own: the chain of all four is too long for several lanes at a time. First the logarithm of the square of the error. */
static inline double nde_weigh_log(double error) {
    return nde_log2_normal(error > 1e-60 ? error < 1e60 ? error : 1e60 : 1e-60); /* beyond, the factor is cut anyhow */
}

/* Then that of the factor to the next step size, without safety, and what to remember. */
static inline double nde_weigh_rate(const nde_control *c, double error, double is, double was, double *past) {
    const double least = nde_weigh_past(0), last = error <= 1 ? is : was;
    *past = last > least ? last : least; /* was is: a store that depended on the decision would be one by a branch */
    return error <= 1 ? 0.5*c->beta*was - 0.5*c->alpha*is : -0.5*c->reject*is;
}

static inline double nde_weigh_factor(const nde_control *c, double error, double rate, double refused) {
    const double f = c->safety*nde_exp2_normal(rate), most = error <= 1 && refused == 0 ? c->factor_max : 1;
    const double cut = f < most ? f : most, kept = cut > c->factor_min ? cut : c->factor_min;
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
                             double t, double t_new, double dt, double stop, double *past, double *good, double *h,
                             double *t_next, double *dt_next) {
    const double rate = nde_weigh_rate(c, error, nde_weigh_log(error), was, past);
    const double factor = nde_weigh_factor(c, error, rate, refused);
    *good = error <= 1 ? 1 : 0;
    nde_weigh_step(factor, direction, most_h, error <= 1, t, t_new, dt, stop, h, t_next, dt_next);
}

/* The same for one lane where nothing bounds the next step: with branches, which do not wait for what they guard. False:
 * something does, nothing is written, and nde_weigh has to decide. */
static inline bool nde_weigh_unbounded(const nde_control *c, double direction, double most_h, double error, double refused,
                                       double t_new, double dt, double stop, double *past, double *h, double *t_next,
                                       double *dt_next) {
    if (!(error > 1e-60 && error <= 1)) return false;
    const double is = nde_log2_one(error), least = nde_weigh_past(0), most = refused == 0 ? c->factor_max : 1;
    const double f = c->safety*nde_exp2_normal(0.5*c->beta**past - 0.5*c->alpha*is), next = dt*f, to = t_new + next;
    if (!(f > c->factor_min && f < most && next <= most_h && next >= -most_h)) return false;
    if (direction*(t_new + 1.01*next) >= direction*stop) return false;
    *past = is > least ? is : least;
    *h = next, *t_next = to, *dt_next = to - t_new;
    return true;
}

#endif
