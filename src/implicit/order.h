/* SPDX-License-Identifier: MIT
 * order.h - rows and columns of a sparse matrix in an order that brings its non-zeros near the diagonal.
 * Sources: E. Cuthill, J. McKee, Proc. 24th ACM National Conference (1969) 157-172; reversed: A. George, Computer
 * implementation of the finite element method (1971); where to begin: A. George, J. Liu, ACM TOMS 5 (1979) 284-295. */
#ifndef NDE_IMPLICIT_ORDER_H
#define NDE_IMPLICIT_ORDER_H

#include <stddef.h>

/* The non-zeros of a matrix of n rows by rows and by columns, and what the search writes: order[i] is where row i goes. */
typedef struct nde_graph {
    size_t n;
    const size_t *row_start, *row_index, *column_start, *column_index;
    size_t *order, *queue, *degree; /* [n] each */
} nde_graph;

void nde_order_band(const nde_graph *graph);

/* The diagonals below and above the main one that have entries; order NULL: as it is. */
void nde_measure_band(size_t n, const size_t *start, const size_t *index, const size_t *order, size_t *lower, size_t *upper);

#endif
