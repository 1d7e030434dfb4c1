/* SPDX-License-Identifier: MIT
 * blas.c - the one place that calls a BLAS.
 *
 * The own kernels are as fast as OpenBLAS on one thread (within a tenth on AVX2, ahead on AVX-512) as long as the weights
 * stay in the second-level cache, because they read them in place: nothing is packed. Beyond that OpenBLAS wins, by 1.4 at
 * 512 x 512 and 2 at 1024 x 1024 on AVX2. Its threads, which no call can switch off, would run a product of that size on
 * all cores; so it is used only when the host has set it to one thread. */
#include "core/blas.h"
#include "core/dense.h"

#include <limits.h>

/* Weights from which on OpenBLAS is faster, measured with 128 and 256 columns on one core of an AMD EPYC (Zen 4). */
enum { PAYS_AVX2 = 512*512, PAYS_AVX512 = 1024*1024, PAYS_COLUMNS = 32 };

#ifdef NDE_HAVE_OPENBLAS
#include <cblas.h>

#ifdef nde_real
#define GEMM cblas_sgemm
#else
#define GEMM cblas_dgemm
#endif

static void gemm(bool transposed, int m, int n, int k, const nde_real *a, int lda, const nde_real *b, int ldb, nde_real *c,
                 int ldc) {
    GEMM(CblasRowMajor, transposed ? CblasTrans : CblasNoTrans, CblasNoTrans, m, n, k, 1, a, lda, b, ldb, 1, c, ldc);
}
static const nde_blas openblas = { gemm, openblas_get_num_threads };
const nde_blas *nde_blas_get(void) { return &openblas; }
#else
const nde_blas *nde_blas_get(void) { return NULL; }
#endif

/* Does a matrix of `rows` rows, ld apart, have indices that fit an int? */
static bool fits(size_t rows, size_t columns, size_t ld) {
    return rows <= INT_MAX && columns <= INT_MAX && ld <= INT_MAX && (rows == 0 || ld <= INT_MAX/rows);
}

bool nde_blas_product(const nde_blas *blas, size_t m, size_t n, size_t k, const nde_real *a, size_t a_row, size_t a_col,
                      const nde_real *b, size_t ldb, const nde_real *start, nde_real *c, size_t ldc) {
    const bool transposed = a_row == 1;
    if (!transposed && a_col != 1) return false;
    const size_t lda = transposed ? a_col : a_row;
    if (!fits(transposed ? k : m, transposed ? m : k, lda) || !fits(k, n, ldb) || !fits(m, n, ldc)) return false;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) c[i*ldc + j] = start ? start[i] : 0;
    blas->gemm(transposed, (int)m, (int)n, (int)k, a, (int)lda, b, (int)ldb, c, (int)ldc);
    return true;
}

bool nde_blas_pays(const nde_blas *blas, const nde_kernels *kernels, size_t m, size_t n, size_t k) {
    if (!blas || kernels->reproducible || n < PAYS_COLUMNS) return false;
    const size_t weights = kernels->isa == NDE_ISA_V4 ? PAYS_AVX512 : PAYS_AVX2;
    return m > 0 && k >= weights/m && blas->threads() == 1;
}

void nde_dense_product(const nde_kernels *kernels, size_t m, size_t n, size_t k, const nde_real *a, size_t a_row,
                       size_t a_col, const nde_real *b, size_t ldb, const nde_real *start, nde_real *c, size_t ldc) {
    const nde_blas *blas = nde_blas_get();
    if (nde_blas_pays(blas, kernels, m, n, k) && nde_blas_product(blas, m, n, k, a, a_row, a_col, b, ldb, start, c, ldc))
        return;
    kernels->dense->product(m, n, k, a, a_row, a_col, b, ldb, start, c, ldc);
}
