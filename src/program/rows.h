/* SPDX-License-Identifier: MIT
 * rows.h - rows of work that no value stands in, while code is written. */
#ifndef NDE_ROWS_H
#define NDE_ROWS_H

#include "program/graph.h"

/* Gaps between rows that are taken, in a treap: ascending, each with the largest of those below it. All zero: none is taken. */
typedef struct nde_rows {
    nde_growing gaps;
    uint32_t count, root; /* gap 0 is none */
} nde_rows;

/* The lowest rows that are free side by side; too many: the program has failed. */
uint32_t nde_rows_take(nde_program *g, nde_rows *rows, uint32_t count);
void nde_rows_give(nde_program *g, nde_rows *rows, uint32_t first, uint32_t count);
void nde_rows_free(nde_program *g, nde_rows *rows);

#endif
