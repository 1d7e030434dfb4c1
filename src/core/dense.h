/* SPDX-License-Identifier: MIT
 * dense.h - the operations of a fully connected layer on component-major blocks, compiled for each instruction set.
 *
 * Letters: X [in][n], Y [out][n], W [out][in]; rows of a block stand ldx, ldy ... apart. Blocks may be tight: nothing beyond
 * lane n of a row is read or written. Every result has one accumulator that runs over its terms in ascending order, fused
 * where the instruction set fuses: a column's bits depend neither on the number of columns nor on its place among them,
 * and all instruction sets that fuse agree. */
#ifndef NDE_DENSE_H
#define NDE_DENSE_H

#include "nde/real.h"
#include "core/core.h"
#include "core/kernels.h"

typedef struct nde_dense_kernels {
    /* c [m][n] = start + sum_{i < k} a(row, i) b [i][n], a(row, i) = a[row*a_row + i*a_col]; start [m] or NULL: 0.
     * Fast for few columns when a_row is 1. c overlaps nothing.
     *   forward          a = W' kept as [in][out]: a_row 1, a_col out; start = bias
     *   input gradient   a = W: a_row 1, a_col in */
    void (*product)(size_t m, size_t n, size_t k, const nde_real *a, size_t a_row, size_t a_col, const nde_real *b,
                    size_t ldb, const nde_real *start, nde_real *c, size_t ldc);
    /* dw [out][in] += A X', db [out] += A 1, A [out][n] the layer's deltas. Panels of 128 columns are summed in nde_real and
     * added in double; db is summed in double; NULL: not wanted. */
    void (*outer)(size_t out, size_t n, size_t in, const nde_real *a, size_t lda, const nde_real *x, size_t ldx, double *dw,
                  double *db);
    /* z = s(z) in place; id: nde_activation. */
    void (*activate)(int id, size_t rows, size_t n, nde_real *z, size_t ldz);
    /* d = a s'(z), from the saved output s = s(z); d may be a. */
    void (*slope)(int id, size_t rows, size_t n, const nde_real *s, size_t lds, const nde_real *a, size_t lda, nde_real *d,
                  size_t ldd);
    /* Reverse of (z, dz) -> (s(z), s'(z) dz) in place: a = a s' + b dz s'', then b = b s'. One ld for all. */
    void (*curve)(int id, size_t rows, size_t n, size_t ld, const nde_real *s, const nde_real *dz, nde_real *a, nde_real *b);
} nde_dense_kernels;

extern const nde_dense_kernels nde_dense_kernels_baseline;
extern const nde_dense_kernels nde_dense_kernels_v3;
extern const nde_dense_kernels nde_dense_kernels_v4;

#endif
