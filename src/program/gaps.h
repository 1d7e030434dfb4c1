/* SPDX-License-Identifier: MIT
 * gaps.h - rows of work that no value stands in, while code is written. */
#ifndef NDE_GAPS_H
#define NDE_GAPS_H

#include "program/graph.h"

/* Gaps between rows that are taken, in a treap: ascending, each with the largest of those below it. All zero: none is taken. */
typedef struct nde_gaps {
    nde_growing list;
    uint32_t count, root; /* gap 0 is none */
} nde_gaps;

/* The lowest rows that are free side by side; too many: the program has failed. */
uint32_t nde_gaps_take(nde_program *g, nde_gaps *gaps, uint32_t count);
void nde_gaps_give(nde_program *g, nde_gaps *gaps, uint32_t first, uint32_t count);
void nde_gaps_free(nde_program *g, nde_gaps *gaps);

#endif
