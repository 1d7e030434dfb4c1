/* SPDX-License-Identifier: MIT
 * blas.h - the one door to a BLAS, and the product that chooses between it and the library's own kernels. */
#ifndef NDE_BLAS_H
#define NDE_BLAS_H

#include "nde/real.h"
#include "core/core.h"
#include "core/kernels.h"

/* What is wanted of a BLAS. A table, so that a test can put its own. */
typedef struct nde_blas {
    /* c [m][n] += a b, row-major; transposed: a is stored as [k][m], else as [m][k] */
    void (*gemm)(bool transposed, int m, int n, int k, const nde_real *a, int lda, const nde_real *b, int ldb, nde_real *c,
                 int ldc);
    int (*threads)(void); /* that it would use */
} nde_blas;

/* OpenBLAS; NULL when the library was built without. */
const nde_blas *nde_blas_get(void);

/* product of dense.h by a BLAS. False, and nothing done, when a size, or an index that a BLAS forms from sizes, is above
 * INT_MAX, or when a is neither stored by rows nor by columns. */
bool nde_blas_product(const nde_blas *blas, size_t m, size_t n, size_t k, const nde_real *a, size_t a_row, size_t a_col,
                      const nde_real *b, size_t ldb, const nde_real *start, nde_real *c, size_t ldc);

/* Is a BLAS faster here, and allowed? It never is with kernels->reproducible. */
bool nde_blas_pays(const nde_blas *blas, const nde_kernels *kernels, size_t m, size_t n, size_t k);

/* product of dense.h by whichever is faster. */
void nde_dense_product(const nde_kernels *kernels, size_t m, size_t n, size_t k, const nde_real *a, size_t a_row,
                       size_t a_col, const nde_real *b, size_t ldb, const nde_real *start, nde_real *c, size_t ldc);

#endif
