/* SPDX-License-Identifier: MIT
 * recall.h - steps of which the record keeps no slopes are made again on the way back. Where there is room for it, a piece
 * of some in a row with slopes and tapes, at once, so that none is made twice; else one at a time, from states kept on the
 * way there. */
#ifndef NDE_RECALL_H
#define NDE_RECALL_H

#include "solve/solver.h"

typedef struct nde_recall {
    nde_solver *s;
    nde_record *record;
    nde_worker *w;
    bool alone;            /* steps are those of retrace.c */
    /* zero to begin with */
    int64_t recomputed;    /* steps made again to have states behind them */
    bool arranged;
    size_t length;         /* of a piece; 0: there are none */
    size_t first, count;   /* number of the first step of the piece that is there, and its steps */
    unsigned char *base;   /* where they stand, */
    nde_place place;       /* each so */
} nde_recall;

/* Finds the state of a step of the n lanes in w->who, and where it is at hand what a record of the form tape keeps. Returns
 * what a field returned, or NDE_STORE_FAILED and sets w->unread. */
int nde_recall_step(nde_recall *recall, size_t n, nde_entry *step);
/* From such a step of a lane that is alone to the one before it; false: that is not at hand. */
bool nde_recall_before(const nde_recall *recall, nde_entry *step);

#endif
