/* SPDX-License-Identifier: MIT
 * reverse.h - a solved trajectory run back, step by step, by methods that can undo a step: its states without a record of them.
 *
 * Going back multiplies what rounding leaves: by nde_reverse_growth in each step, and by what the problem itself does to neighbours. */
#ifndef NDE_REVERSE_H
#define NDE_REVERSE_H

#include "adjoint/replay.h"

/* What a step back does to an error in the difference of a state and its partner, at most, where slopes are small: 1/l of a coupled
 * method, 1/(2 d - 1) of asynchronous leapfrog with damping d, else 1. */
double nde_reverse_growth(const nde_solver *s);
/* Undoes a step of all lanes, from t to t_new with dt, that has led to the panel's state and slope 0. Returns what a field returned. */
int nde_panel_reverse(const nde_solver *s, nde_panel *p);
/* Runs all trajectories of a finished solve back to their starts by the times in its record.
 *   limit    a lane takes its state from the record where its growth passes this; INFINITY: only where it must, since a partner was
 *            made anew there: at its end, at jumps, knots and clips
 *   y        out [dim][n]: where they come to
 *   anchors  out: states taken from the record
 * Errors: NDE_E_ARG (no record of states; a method that cannot); NDE_E_FIELD. */
nde_status nde_solver_reverse(nde_solver *s, double limit, nde_real *y, int64_t *anchors);

#endif
