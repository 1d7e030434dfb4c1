/* SPDX-License-Identifier: MIT
 * loop.h - what the loop of independent steps, that of joint ones, and the turnover of their lanes have in common. */
#ifndef NDE_SOLVE_LOOP_H
#define NDE_SOLVE_LOOP_H

#include "solve/solver.h"

/* Does this code of a callback speak for all lanes for good? */
static inline bool nde_is_final(int rc) { return rc < 0 || rc == NDE_FIELD_STOP; }

/* ---- turnover.c: lanes are listed ascending; the j-th of a list has status[j] ---- */

/* m trajectories from `first` on come in. Joint steps find their first step size together, later. */
void nde_lanes_start(nde_solver *s, nde_panel *p, nde_worker *w, size_t first, size_t m);
/* As many as there is room for. */
void nde_lanes_refill(nde_solver *s, nde_panel *p, nde_worker *w);
/* Slope 0 of the healthy ones of the lanes after a start, jump or knot; what fails is named in its status. */
void nde_lanes_fresh(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m, nde_status *status,
                     bool first);
/* Values of the events at the states of the lanes, after a start or jump. */
void nde_lanes_look(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m, nde_status *status, bool first);
/* First steps of the lanes that are healthy, from their slope 0. */
void nde_first_steps(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lanes, size_t of, nde_status *status);
/* Slope over the trial step h[j] of the gathered lanes, into the group's second slope. Returns what a field returned. */
int nde_trial_slope(const nde_solver *s, nde_group *g, const double *h);
/* A first step from t within all bounds. */
double nde_bounded_step(const nde_solver *s, double h, double t, double span);
/* Ends the lanes at their last accepted states, with these statuses, and logs it. */
void nde_lanes_leave(nde_solver *s, nde_panel *p, const size_t *lane, const nde_status *status, size_t m);
void nde_lanes_leave_all(nde_solver *s, nde_panel *p, nde_worker *w, nde_status status);
/* Is there no further attempt for lane b, and why? */
nde_status nde_exhausted(const nde_solver *s, const nde_panel *p, size_t b);
nde_status nde_status_of_code(int rc, bool first);
/* Keeps the state of lane b, of y, as the j-th of a list, as far as the form does. */
void nde_keep_column(const nde_panel *p, const nde_entry *entry, size_t j, const nde_real *y, size_t b);
bool nde_column_is_finite(const nde_real *x, size_t rows, size_t ld, size_t b);

/* ---- loop.c: a panel that is bound to the worker ---- */

/* Tries a step. */
void nde_lanes_attempt(nde_solver *s, nde_panel *p);
/* Carries out the decision on it. */
void nde_lanes_settle(nde_solver *s, nde_panel *p, nde_worker *w);
/* A callback's code ends all lanes, and with joint steps everybody. */
void nde_lanes_fail(nde_solver *s, nde_panel *p, nde_worker *w, int rc);
/* Ends all lanes, and those that never began, for a stop from outside. */
void nde_lanes_stop(nde_solver *s, nde_panel *p, nde_worker *w);
/* Was there a stop, or is the time up? */
bool nde_must_stop(nde_solver *s);
bool nde_is_paused(const nde_solver *s, const nde_panel *p);
void nde_report_progress(nde_solver *s, const nde_panel *p, int worker);

/* ---- joint.c ---- */

/* Returns what the executor returned. */
int nde_run_joint(nde_solver *s);

#endif
