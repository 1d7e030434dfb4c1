/* SPDX-License-Identifier: MIT
 * blas.c - the one place that calls a BLAS.
 *
 * The own kernels are as fast as OpenBLAS on one thread at all sizes that were measured (docs/performance.md), but for wide
 * layers on few columns in AVX2, where copying the weights takes a tenth or two. OpenBLAS's threads, which no call can switch
 * off for one product, would run a product of that size on all cores, beyond the threads that the caller has asked for; so it
 * is used only when the host has set it to one thread. */
#include "core/blas.h"
#include "core/dense.h"

#ifdef NDE_HAVE_OPENBLAS
#include <dlfcn.h>
#endif
#include <limits.h>
#include <string.h>

/* From here on OpenBLAS is not slower, measured on one core of an AMD EPYC (Zen 5); with AVX-512 it nowhere is faster. */
enum { PAYS_WEIGHTS = 512*512, PAYS_COLUMNS = 32, PAYS_FACTORS = 96 };

/* CBLAS's enumerations, fixed by its standard. */
enum { ROW_MAJOR = 101, NOT_TRANSPOSED = 111, TRANSPOSED = 112 };

#ifdef nde_real
#define OPENBLAS_GEMM "cblas_sgemm"
#define OPENBLAS_FACTOR "sgetrf_"
#else
#define OPENBLAS_GEMM "cblas_dgemm"
#define OPENBLAS_FACTOR "dgetrf_"
#endif

/* A function of OpenBLAS, that with int for its integers, put into *function. It is opened for sizes that it may pay for,
 * where the microsecond of asking again is nothing, and stays: were it linked, every process would wait for it and its
 * threads to start. */
bool nde_openblas_find(const char *name, void *function) {
    void *found = NULL;
#ifdef NDE_HAVE_OPENBLAS
    void *library = dlopen("libopenblas.so.0", RTLD_NOW | RTLD_NODELETE);
    if (library) {
        found = dlsym(library, name);
        dlclose(library);
    }
#else
    (void)name;
#endif
    memcpy(function, &found, sizeof found); /* ISO C has no cast from one to the other */
    return found != NULL;
}

void nde_openblas_gemm(int order, int transpose_a, int transpose_b, int m, int n, int k, nde_real alpha, const nde_real *a,
                       int lda, const nde_real *b, int ldb, nde_real beta, nde_real *c, int ldc) {
    nde_gemm *gemm;
    if (nde_openblas_find(OPENBLAS_GEMM, &gemm))
        gemm(order, transpose_a, transpose_b, m, n, k, alpha, a, lda, b, ldb, beta, c, ldc);
}

int nde_openblas_threads(void) {
    nde_gemm *gemm;
    int (*threads)(void);
    return nde_openblas_find(OPENBLAS_GEMM, &gemm) && nde_openblas_find("openblas_get_num_threads", &threads) ? threads() : 0;
}

/* Does a matrix of `rows` rows, ld apart, have indices that fit an int? */
static bool fits(size_t rows, size_t columns, size_t ld) {
    return rows <= INT_MAX && columns <= INT_MAX && ld <= INT_MAX && (rows == 0 || ld <= INT_MAX/rows);
}

bool nde_blas_product(nde_gemm *gemm, size_t m, size_t n, size_t k, const nde_real *a, size_t a_row, size_t a_col,
                      const nde_real *b, size_t ldb, const nde_real *start, nde_real *c, size_t ldc) {
    const bool transposed = a_row == 1;
    if (!transposed && a_col != 1) return false;
    const size_t lda = transposed ? a_col : a_row;
    if (!fits(transposed ? k : m, transposed ? m : k, lda) || !fits(k, n, ldb) || !fits(m, n, ldc)) return false;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < n; j++) c[i*ldc + j] = start ? start[i] : 0;
    gemm(ROW_MAJOR, transposed ? TRANSPOSED : NOT_TRANSPOSED, NOT_TRANSPOSED, (int)m, (int)n, (int)k, 1, a, (int)lda, b,
         (int)ldb, 1, c, (int)ldc);
    return true;
}

bool nde_blas_pays(const nde_kernels *kernels, size_t m, size_t n, size_t k) {
    if (!kernels->gemm || n < PAYS_COLUMNS || m == 0 || k < PAYS_WEIGHTS/m) return false;
    return !kernels->gemm_threads || (kernels->isa != NDE_ISA_V4 && kernels->gemm_threads() == 1);
}

void nde_dense_product(const nde_kernels *kernels, size_t m, size_t n, size_t k, const nde_real *a, size_t a_row,
                       size_t a_col, const nde_real *b, size_t ldb, const nde_real *start, nde_real *c, size_t ldc) {
    if (nde_blas_pays(kernels, m, n, k) && nde_blas_product(kernels->gemm, m, n, k, a, a_row, a_col, b, ldb, start, c, ldc))
        return;
    kernels->dense->product(m, n, k, a, a_row, a_col, b, ldb, start, c, ldc);
}

typedef void factorisation(const int *m, const int *n, nde_real *a, const int *lda, int *p, int *info);

bool nde_lapack_pays(const nde_kernels *kernels, size_t d) {
    factorisation *factor;
    return d >= PAYS_FACTORS && d <= INT_MAX/d && kernels->gemm == nde_openblas_gemm && kernels->gemm_threads() == 1 &&
           nde_openblas_find(OPENBLAS_FACTOR, &factor);
}

void nde_lapack_factor(size_t d, nde_real *a, int *p) {
    factorisation *factor;
    const int rows = (int)d;
    int info;
    if (nde_openblas_find(OPENBLAS_FACTOR, &factor)) factor(&rows, &rows, a, &rows, p, &info);
    for (size_t k = 0; k < d; k++) p[k]--, a[k*d + k] = 1/a[k*d + k];
}
