/* SPDX-License-Identifier: MIT
 * sweep.h - the mirror of the loop, over all shards. */
#ifndef NDE_SWEEP_H
#define NDE_SWEEP_H

#include "solve/solver.h"

/* Cotangents go back over the record, into the shards' sums and the solver's g_*, of what the gradient wants. cut: events have
 * cut steps, whose times move. Returns what a field returned, or NDE_OBSTACLE. */
int nde_sweep(nde_solver *s, const nde_seed *seed, const nde_gradient *gradient, bool cut);

#endif
