/* SPDX-License-Identifier: MIT
 * retrace.h - the way back over a step of one trajectory. */
#ifndef NDE_RETRACE_H
#define NDE_RETRACE_H

#include "solve/solver.h"

/* Undoes a step, from state y, of a lane of a panel that nde_is_one, of a Runge-Kutta method without clips, compensated sums and, in
 * the step, stages of the extension alone; without cotangents of times and of the loss's error. What undo_step of sweep.c does, bit for
 * bit. Returns what the field returned. */
int nde_retrace_baseline(nde_solver *s, nde_worker *w, const nde_entry *e, const nde_real *y, const nde_seed *seed,
                         const nde_sink *sink);
int nde_retrace_v3(nde_solver *s, nde_worker *w, const nde_entry *e, const nde_real *y, const nde_seed *seed, const nde_sink *sink);
int nde_retrace_v4(nde_solver *s, nde_worker *w, const nde_entry *e, const nde_real *y, const nde_seed *seed, const nde_sink *sink);

#endif
