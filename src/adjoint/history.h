/* SPDX-License-Identifier: MIT
 * history.h - the dense solution of every trajectory of a recorded run at any time, from several threads, in any order, and
 * where events have cut its steps. */
#ifndef NDE_HISTORY_H
#define NDE_HISTORY_H

#include "solve/solver.h"

/* An accepted step of a trajectory: where it begins, its entry in the record, its lane there. */
typedef struct nde_stride {
    double t;
    size_t at, lane;
} nde_stride;

/* Where an event has ended or reset a trajectory. */
typedef struct nde_cut {
    double t;
    size_t event;      /* as in nde_cuts */
    const nde_real *y; /* [dim], `apart` apart: the state that it has reset; NULL: it was the end */
    size_t apart;
} nde_cut;

/* The step of a trajectory that was asked for last. */
typedef struct nde_passage {
    size_t step; /* SIZE_MAX: none */
    double t, t_new, dt;
} nde_passage;

typedef struct nde_history {
    nde_solver *s;
    bool quick;            /* all slopes are in the records: no worker's arrays are needed */
    size_t *count;         /* [N] steps */
    size_t *first, *last;  /* [N] of those that are looked into: [first, last) */
    nde_stride **step;     /* [N] in the order of the solve: behind the records */
    size_t *cuts;          /* [N] */
    nde_cut **cut;         /* [N] in the order of the solve: behind the steps */
    size_t *lane;          /* [N] whose a panel's lanes are, while its log is walked through */
    nde_passage *passage;  /* [N] */
    nde_real *values;      /* [N][1 + slopes][dim] its state and slopes */
} nde_history;

void nde_history_lay(nde_history *history, nde_arena *arena, size_t n, size_t dim, size_t slopes);
/* After a run: finds the steps, if they are recorded, and the cuts. Records fall back until there is room for the index.
 * NDE_E_BUDGET with text. */
nde_status nde_history_open(nde_history *history, nde_solver *s);
/* Only the steps of a trajectory between two times count from now on, from < to in the direction of time: where an event has
 * cut a step, the state that led to `to` and that which `from` began with. */
void nde_history_between(nde_history *history, size_t who, double from, double to);
/* y [dim] of a trajectory at time t, components `stride` apart. One trajectory belongs to one worker at a time. Returns what a
 * field returned where the step had to be repeated. */
int nde_history_at(const nde_history *history, int worker, size_t who, double t, nde_real *y, size_t stride);

#endif
