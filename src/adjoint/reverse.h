/* SPDX-License-Identifier: MIT
 * reverse.h - steps undone: the states of a solve without a record of them. */
#ifndef NDE_REVERSE_H
#define NDE_REVERSE_H

#include "adjoint/replay.h"

/* Undoes a step of all lanes, from t to t_new with dt, that has led to the panel's state and slope 0. Returns what a field returned. */
int nde_panel_reverse(const nde_solver *s, nde_panel *p);
/* From the state after a recorded step of lanes w->who, in the replica, to that before it; lanes that were rejected keep theirs. Slopes
 * are then those of the step, and slope 0 is the last one of the step before.
 *   sloped   the last slope of this step is in the replica likewise, of all lanes */
int nde_replica_reverse(const nde_solver *s, nde_worker *w, const nde_entry *step, bool sloped);

#endif
