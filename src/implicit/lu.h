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

/* Where W has its non-zeros, and how it is kept.
 *   DENSE   as above, j [dim][dim][ld]
 *   BAND    row and column i of W stand in row and column order[i] of a band with `lower` and `upper` diagonals beside the main
 *           one, that of each lane by itself: element (i, j) at [j*stride + lower + upper + i], stride = 2 lower + upper, so
 *           that there is room for what pivots bring
 *   SPARSE  one row of W after the other, with the diagonal: KLU's, see sparse.c */
typedef struct nde_form {
    int kind;                         /* NDE_LINEAR_DENSE, _BAND, _SPARSE */
    bool ordered;                     /* BAND: not in the order of the field */
    size_t dim, lower, upper;
    size_t nonzeros, entries;         /* of J; numbers of a lane's W */
    const size_t *start, *index;      /* BAND, SPARSE: of J by rows, j [nonzeros][ld] */
    size_t *order;                    /* BAND: [dim] */
    size_t *place, *diagonal;         /* [nonzeros] of each of J in a lane's W; [dim] of the diagonal */
    int *row_start, *column;          /* SPARSE: of W by rows, [dim + 1], [entries] */
} nde_form;

/* Rows p of a lane's factors: of lanes side by side, row i is row p_i of W; else row k has changed places with row p_k, k
 * = 0, 1, ... */
typedef struct nde_lu {
    size_t dim, ld;       /* ld: the most lanes */
    const nde_form *form; /* NULL: dense */
    nde_real *a;          /* [dim*dim][ld] L below the diagonal, U above, inverses of U's diagonal on it; BAND: the same in
                           * [entries] of each lane; SPARSE: W of one lane */
    int *p;               /* [dim][ld] */
    nde_real *x;          /* [dim] */
    struct nde_klu *klu;  /* SPARSE */
    bool starved;         /* a factorisation had no memory, and nobody has said so yet */
} nde_lu;

/* The matrices of nde_lu, layouts as above. */
typedef struct nde_lu_kernels {
    void (*factor_lanes)(size_t d, size_t n, size_t ld, nde_real *a, int *p);
    void (*solve_lanes)(size_t d, size_t n, size_t ld, const nde_real *a, const int *p, nde_real *x);
    void (*transpose_lanes)(size_t d, size_t n, size_t ld, const nde_real *a, const int *p, nde_real *x);
    void (*factor)(size_t d, nde_real *a, int *p);
    void (*solve)(size_t d, const nde_real *a, const int *p, nde_real *x);
    void (*transpose)(size_t d, const nde_real *a, const int *p, nde_real *x);
    void (*factor_band)(size_t d, size_t lower, size_t upper, nde_real *a, int *p);
    void (*solve_band)(size_t d, size_t lower, size_t upper, const nde_real *a, const int *p, nde_real *x);
    void (*transpose_band)(size_t d, size_t lower, size_t upper, const nde_real *a, const int *p, nde_real *x);
} nde_lu_kernels;

extern const nde_lu_kernels nde_lu_kernels_baseline;
extern const nde_lu_kernels nde_lu_kernels_v3;
extern const nde_lu_kernels nde_lu_kernels_v4;

/* a = I - by J of one lane, by columns; j [d][d][ld]. */
static inline void nde_lu_write_one(size_t d, size_t ld, nde_real by, const nde_real *j, nde_real *a) {
    for (size_t column = 0; column < d; column++)
        for (size_t row = 0; row < d; row++) *a++ = (nde_real)(row == column) - by*j[(row*d + column)*ld];
}

/* How W of a field with a sparsity (start, index by rows) is to be kept: `asked` is NDE_LINEAR_*, but not GMRES. Memory is
 * taken for the while. Errors: NDE_E_ARG (SPARSE is not there; an entry is named twice), NDE_E_SIZE, NDE_E_NOMEM. */
nde_status nde_form_choose(nde_form *form, const nde_allocator *memory, size_t dim, const size_t *start, const size_t *index,
                           int asked);
/* The pattern by columns, column_start [dim + 1], row [nonzeros], is read when there is memory. */
void nde_form_lay(nde_form *form, nde_arena *arena, const size_t *column_start, const size_t *row);

/* Out of the workspace, for blocks of at most ld lanes; dense, or as `form` has it. */
void nde_lu_lay(nde_lu *lu, nde_arena *arena, size_t dim, size_t ld);
void nde_lu_lay_as(nde_lu *lu, nde_arena *arena, const nde_form *form, size_t ld);
/* What is not in the workspace: begun once it is there, ended before it goes. Errors: NDE_E_NOMEM. */
nde_status nde_lu_open(nde_lu *lu);
void nde_lu_close(nde_lu *lu);

/* Factors I - gamma h J of n lanes, ld apart: h [n], j as the form has it. 0; SPARSE may return -1, and sets `starved` then. */
int nde_lu_factor(const nde_kernels *kernels, nde_lu *lu, size_t n, size_t ld, const nde_real *h, nde_real gamma,
                  const nde_real *j);
/* Factors I - h M_IK J_I, dense, blocks M_IK of M [blocks][blocks], lu->dim = blocks*d: J_I [d][d][ld] is `apart` behind the
 * one before. */
void nde_lu_factor_blocks(const nde_kernels *kernels, nde_lu *lu, size_t n, size_t ld, const nde_real *h, size_t blocks,
                          const nde_real *m, const nde_real *j, size_t apart);
/* x [dim][ld] becomes W^-1 x; or its transpose times x. Lanes as they were factored. */
void nde_lu_solve(const nde_kernels *kernels, const nde_lu *lu, size_t n, size_t ld, nde_real *x);
void nde_lu_solve_transposed(const nde_kernels *kernels, const nde_lu *lu, size_t n, size_t ld, nde_real *x);

#endif
