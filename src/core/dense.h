/* SPDX-License-Identifier: MIT
 * dense.h - the products of a fully connected layer on component-major blocks, compiled for each instruction set.
 *
 * Letters: X [in][n], Y [out][n], W [out][in]; rows of a block stand ldx, ldy ... apart. Blocks may be tight: nothing beyond
 * lane n of a row is read or written. All instruction sets that fuse agree in all bits. A function touches nothing but its
 * arguments: any number of threads may run it. */
#ifndef NDE_DENSE_H
#define NDE_DENSE_H

#include "nde/real.h"
#include "core/core.h"
#include "core/kernels.h"

typedef struct nde_dense_kernels {
    /* c [m][n] = start + sum_{i < k} a(row, i) b [i][n], a(row, i) = a[row*a_row + i*a_col]; start [m] or NULL: 0.
     * Fast for few columns when a_row is 1. c overlaps nothing. Every result has one accumulator that runs over its terms in
     * ascending order: a column's bits depend neither on the number of columns nor on its place among them.
     *   forward          a = W' kept as [in][out]: a_row 1, a_col out; start = bias
     *   input gradient   a = W: a_row 1, a_col in */
    void (*product)(size_t m, size_t n, size_t k, const nde_real *a, size_t a_row, size_t a_col, const nde_real *b,
                    size_t ldb, const nde_real *start, nde_real *c, size_t ldc);
    /* dw [out][in] += A X', db [out] += A 1, A [out][n] the layer's deltas; db NULL: not wanted. Panels of columns are summed
     * in nde_real and added in double. By the sizes alone, a panel has up to
     *   128 columns, summed in ascending order: in, out >= 64, or >= 16 for up to 16 columns; else
     *   512 columns, summed in 8 interleaved parts (float: 16), so 64 (32) in a row, then the parts pairwise.
     * db is summed in double. */
    void (*outer)(size_t out, size_t n, size_t in, const nde_real *a, size_t lda, const nde_real *x, size_t ldx, double *dw,
                  double *db);
} nde_dense_kernels;

extern const nde_dense_kernels nde_dense_kernels_baseline;
extern const nde_dense_kernels nde_dense_kernels_v3;
extern const nde_dense_kernels nde_dense_kernels_v4;

#endif
