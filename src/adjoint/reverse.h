/* SPDX-License-Identifier: MIT
 * reverse.h - steps undone: the states of a solve without a record of them. */
#ifndef NDE_REVERSE_H
#define NDE_REVERSE_H

#include "adjoint/replay.h"

/* Undoes a step of all lanes, from t to t_new with dt, that has led to the panel's state and slope 0. Returns what a field
 * returned.
 *   tape   of the evaluations that are made; NULL: none */
int nde_panel_reverse(const nde_solver *s, nde_panel *p, nde_real *tape);
/* From the state after a recorded step of lanes w->who, in the replica, to that before it; lanes that were rejected keep
 * theirs. Slopes are then those of the step, and slope 0 is the last one of the step before. nde_reverse_tape is the tape
 * of an attempt where nde_reverse_tapes says so.
 *   sloped   the last slope of this step is in the replica likewise, of all lanes, with its tape where slopes are in pieces */
int nde_replica_reverse(const nde_solver *s, nde_worker *w, const nde_entry *step, bool sloped);
/* A step in pieces has one tape, which was left by the step after it: two of them take turns. */
static inline nde_real *nde_reverse_tape(const nde_solver *s, const nde_worker *w) {
    return w->tape + (s->rhs.pieces && !w->turn ? s->rhs.tape*w->replica.ld : 0);
}
/* Do steps undone leave the tape of all their slopes? Those that hand slopes on have not evaluated the last one. */
static inline bool nde_reverse_tapes(const nde_solver *s) {
    return s->table.method->kind == NDE_KIND_REVERSIBLE && !s->table.fsal;
}

#endif
