/* SPDX-License-Identifier: MIT
 * retrace.h - the way back over steps of one trajectory, and several steps of it made again for that way. */
#ifndef NDE_RETRACE_H
#define NDE_RETRACE_H

#include "adjoint/recall.h"

/* Undoes a step with its state, and those before it that are at hand, of a lane of a panel that nde_is_one, of a Runge-Kutta
 * method without clips, compensated sums and, in the step, stages of the extension alone; without cotangents of times and of
 * the loss's error. What undo_step of sweep.c does, bit for bit. Leaves in *step the last one that it has undone. Returns what
 * the field returned. */
int nde_retrace_baseline(const nde_recall *recall, nde_entry *step, const nde_seed *seed, const nde_sink *sink);
int nde_retrace_v3(const nde_recall *recall, nde_entry *step, const nde_seed *seed, const nde_sink *sink);
int nde_retrace_v4(const nde_recall *recall, nde_entry *step, const nde_seed *seed, const nde_sink *sink);

/* Makes the steps of such a lane again, with their slopes and tapes. The state of the first is there, and its slope 0 where the
 * method begins with that of the step before. Returns what the field returned. */
int nde_remake_baseline(nde_solver *s, nde_worker *w, const nde_made *steps);
int nde_remake_v3(nde_solver *s, nde_worker *w, const nde_made *steps);
int nde_remake_v4(nde_solver *s, nde_worker *w, const nde_made *steps);

#endif
