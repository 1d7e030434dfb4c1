/* SPDX-License-Identifier: MIT
 * blas.h - the one door to a BLAS, and the product that chooses between it and the library's own kernels. */
#ifndef NDE_BLAS_H
#define NDE_BLAS_H

#include "nde/real.h"
#include "core/core.h"
#include "core/kernels.h"

/* OpenBLAS: its product, the threads it would use (0: it is not here), and any function of it by name, put into *function. */
nde_gemm nde_openblas_gemm;
int nde_openblas_threads(void);
bool nde_openblas_find(const char *name, void *function);

/* product of dense.h by a BLAS. False, and nothing done, when a size, or an index that a BLAS forms from sizes, is above
 * INT_MAX, or when a is neither stored by rows nor by columns. */
bool nde_blas_product(nde_gemm *gemm, size_t m, size_t n, size_t k, const nde_real *a, size_t a_row, size_t a_col,
                      const nde_real *b, size_t ldb, const nde_real *start, nde_real *c, size_t ldc);

/* Is there a BLAS that is faster here? One that a host has brought is taken to be. */
bool nde_blas_pays(const nde_kernels *kernels, size_t m, size_t n, size_t k);

/* product of dense.h by whichever is faster. */
void nde_dense_product(const nde_kernels *kernels, size_t m, size_t n, size_t k, const nde_real *a, size_t a_row,
                       size_t a_col, const nde_real *b, size_t ldb, const nde_real *start, nde_real *c, size_t ldc);

/* Is there a LAPACK that factors a matrix of d rows faster? Then: a [d][d] by columns, p [d], as nde_lu_kernels.factor
 * leaves them. */
bool nde_lapack_pays(const nde_kernels *kernels, size_t d);
void nde_lapack_factor(size_t d, nde_real *a, int *p);

#endif
