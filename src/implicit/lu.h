/* SPDX-License-Identifier: MIT
 * lu.h - W = I - h J of each lane of a block, factored with partial pivoting, and what solves with W and with its
 * transpose. A lane whose W is singular gets solutions that are not finite, and disturbs no other.
 *
 * Letters: n lanes, ld their distance, d dim. Few rows: lanes go side by side, element (i, j) of lane b at a[(i*d + j)*ld
 * + b], in strips of so many lanes as fill 64 bytes. Many rows, or one lane: a matrix of each lane by columns, element (i,
 * j) of lane b at a[(b*d + j)*d + i]. A lane's bits are the same either way: products are subtracted one by one, in the
 * order of the columns; but not those of a LAPACK, which takes large matrices where nde_lapack_pays.
 * Source: G. Golub, C. Van Loan, Matrix Computations (2013), 3.4. */
#ifndef NDE_IMPLICIT_LU_H
#define NDE_IMPLICIT_LU_H

#include "nde/real.h"
#include "core/core.h"
#include "core/kernels.h"

enum { NDE_LU_ROWS = 16 /* up to here lanes go side by side */, NDE_LU_STRIP = 64/(int)sizeof(nde_real) };

/* Rows p of a lane's factors: of lanes side by side, row i is row p_i of W; else row k has changed places with row p_k, k
 * = 0, 1, ... */
typedef struct nde_lu {
    size_t dim, ld;  /* ld: the most lanes */
    nde_real *a;     /* [dim*dim][ld] L below the diagonal, U above, inverses of U's diagonal on it */
    int *p;          /* [dim][ld] */
    nde_real *x;     /* [dim] */
} nde_lu;

/* The matrices of nde_lu, layouts as above. */
typedef struct nde_lu_kernels {
    void (*factor_lanes)(size_t d, size_t n, size_t ld, nde_real *a, int *p);
    void (*solve_lanes)(size_t d, size_t n, size_t ld, const nde_real *a, const int *p, nde_real *x);
    void (*transpose_lanes)(size_t d, size_t n, size_t ld, const nde_real *a, const int *p, nde_real *x);
    void (*factor)(size_t d, nde_real *a, int *p);
    void (*solve)(size_t d, const nde_real *a, const int *p, nde_real *x);
    void (*transpose)(size_t d, const nde_real *a, const int *p, nde_real *x);
} nde_lu_kernels;

extern const nde_lu_kernels nde_lu_kernels_baseline;
extern const nde_lu_kernels nde_lu_kernels_v3;
extern const nde_lu_kernels nde_lu_kernels_v4;

/* a = I - by J of one lane, by columns; j [d][d][ld]. */
static inline void nde_lu_write_one(size_t d, size_t ld, nde_real by, const nde_real *j, nde_real *a) {
    for (size_t column = 0; column < d; column++)
        for (size_t row = 0; row < d; row++) *a++ = (nde_real)(row == column) - by*j[(row*d + column)*ld];
}

/* Out of the workspace, for blocks of at most ld lanes. */
void nde_lu_lay(nde_lu *lu, nde_arena *arena, size_t dim, size_t ld);
/* Factors I - gamma h J of n lanes, ld apart: h [n], j [dim][dim][ld]. */
void nde_lu_factor(const nde_kernels *kernels, nde_lu *lu, size_t n, size_t ld, const nde_real *h, nde_real gamma,
                   const nde_real *j);
/* Factors I - h M_IK J_I, blocks M_IK of M [blocks][blocks], lu->dim = blocks*d: J_I [d][d][ld] is `apart` behind the one
 * before. */
void nde_lu_factor_blocks(const nde_kernels *kernels, nde_lu *lu, size_t n, size_t ld, const nde_real *h, size_t blocks,
                          const nde_real *m, const nde_real *j, size_t apart);
/* x [dim][ld] becomes W^-1 x; or its transpose times x. Lanes as they were factored. */
void nde_lu_solve(const nde_kernels *kernels, const nde_lu *lu, size_t n, size_t ld, nde_real *x);
void nde_lu_solve_transposed(const nde_kernels *kernels, const nde_lu *lu, size_t n, size_t ld, nde_real *x);

#endif
