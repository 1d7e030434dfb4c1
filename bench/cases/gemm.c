/* SPDX-License-Identifier: MIT
 * gemm.c - a layer's products, by the library's kernels and by OpenBLAS. Compiled in double and in float.
 *
 * OpenBLAS is timed twice: on the library's storage, components in rows, weights stored by rows or by columns, whichever is
 * faster; and in the storage that it likes best, the result or its transpose, each factor by rows or by columns. In both by
 * matrix-vector functions where one side is 1. It adds no bias, and sums weight gradients in the product's own precision: the
 * library adds the bias, and sums those in double. Rows of both stand nde_leading_dimension apart. */
#include "bench.h"
#include "gemm.h"
#include "core/blas.h"
#include "core/dense.h"

#include <cblas.h>
#include <stdlib.h>
#include <time.h>

#ifdef BENCH_SINGLE
#define BLAS(name) cblas_s##name
#else
#define BLAS(name) cblas_d##name
#endif
#define SAMPLE 3e-4 /* seconds, at least one call */
enum { ROUNDS = 31, TRIALS = 3, LAYOUTS = 12 };

/* c [m][n] = a [m][k] b [k][n], or += where it is the gradient of weights; x, y, z: buffers that hold any of the three. */
typedef struct job {
    const nde_kernels *kernels;
    gemm_kind kind;
    size_t m, n, k;
    nde_real *x, *y, *z, *start;
    double *sums;
    int layout; /* of OpenBLAS */
} job;

static size_t ld_of(size_t columns) { return nde_leading_dimension(columns, sizeof(nde_real)); }

static void own(const job *j) {
    const nde_dense_kernels *dense = j->kernels->dense;
    if (j->kind == GEMM_WEIGHTS) dense->outer(j->m, j->k, j->n, j->x, ld_of(j->k), j->y, ld_of(j->k), j->sums, NULL);
    else dense->product(j->m, j->n, j->k, j->x, 1, j->m, j->y, ld_of(j->n), j->start, j->z, ld_of(j->n));
}

/* Layouts 0-7: bit 0 and 1, which factors are stored transposed, bit 2: so is the result, whose factors then change places.
 * 8 and 9: matrix by vector, where the result is a column. 10 and 11: column by row, 11 with a transposed result. */
static bool is_library_storage(const job *j) {
    const int l = j->layout;
    return j->kind == GEMM_WEIGHTS ? l == 2 || (l == 8 && j->n == 1) || l == 10 : l < 2 || l == 8 || l == 9;
}
static bool fits(const job *j) {
    return j->layout < 8 || (j->layout < 10 ? j->n == 1 : j->k == 1 && j->kind == GEMM_WEIGHTS);
}
static void blas(const job *j) {
    const bool swap = j->layout & 4;
    const CBLAS_TRANSPOSE ta = j->layout & 1 ? CblasTrans : CblasNoTrans, tb = j->layout & 2 ? CblasTrans : CblasNoTrans;
    const size_t m = swap ? j->n : j->m, n = swap ? j->m : j->n, k = j->k;
    const nde_real beta = j->kind == GEMM_WEIGHTS;
    if (j->layout < 8)
        BLAS(gemm)(CblasRowMajor, ta, tb, (int)m, (int)n, (int)k, 1, j->x, (int)ld_of(j->layout & 1 ? m : k), j->y,
                   (int)ld_of(j->layout & 2 ? k : n), beta, j->z, (int)ld_of(n));
    else if (j->layout < 10)
        BLAS(gemv)(CblasRowMajor, ta, (int)(ta == CblasTrans ? k : m), (int)(ta == CblasTrans ? m : k), 1, j->x,
                   (int)ld_of(ta == CblasTrans ? m : k), j->y, 1, beta, j->z, 1);
    else if (j->layout == 10) BLAS(ger)(CblasRowMajor, (int)j->m, (int)j->n, 1, j->x, 1, j->y, 1, j->z, (int)ld_of(j->n));
    else BLAS(ger)(CblasRowMajor, (int)j->n, (int)j->m, 1, j->y, 1, j->x, 1, j->z, (int)ld_of(j->m));
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

static double sample(void (*volatile run)(const job *), const job *j, long times) {
    const double from = now();
    for (long i = 0; i < times; i++) run(j);
    return (now() - from)/(double)times;
}

/* Calls of a sample. */
static long calls(void (*run)(const job *), const job *j) {
    run(j);
    long times = 1;
    for (double seconds; (seconds = sample(run, j, times)*(double)times) < SAMPLE;)
        times = seconds < 0.1*SAMPLE ? 8*times : (long)((double)times*1.1*SAMPLE/seconds) + 1;
    return times;
}

static void least(double *best, double seconds) {
    if (*best == 0 || seconds < *best) *best = seconds;
}

/* The layouts in a first round; the best of the library's storage and the best of all then take turns with the library. */
static gemm_seconds measure(job *j) {
    gemm_seconds s = { 0 };
    double first[LAYOUTS] = { 0 };
    int same = -1, best = -1;
    for (j->layout = 0; j->layout < LAYOUTS; j->layout++) {
        const int l = j->layout;
        if (!fits(j)) continue;
        const long times = calls(blas, j);
        for (int i = 0; i < TRIALS; i++) least(first + l, sample(blas, j, times));
        if (best < 0 || first[l] < first[best]) best = l;
        if (is_library_storage(j) && (same < 0 || first[l] < first[same])) same = l;
    }
    long times[3] = { calls(own, j) };
    j->layout = same, times[1] = calls(blas, j);
    j->layout = best, times[2] = calls(blas, j);
    for (int i = 0; i < ROUNDS; i++) {
        least(&s.own, sample(own, j, times[0]));
        j->layout = same, least(&s.blas, sample(blas, j, times[1]));
        j->layout = best, least(&s.best, sample(blas, j, times[2]));
    }
    if (s.blas < s.best) s.best = s.blas;
    return s;
}

static nde_real *numbers(size_t count) {
    nde_real *x = aligned_alloc(64, (count*sizeof *x + 63)/64*64);
    for (size_t i = 0; x && i < count; i++) x[i] = (nde_real)((double)(i*2654435761u % 4096)/4096 - 0.5);
    return x;
}

/* See gemm.h. All zero: no such kernels, or no memory. */
gemm_seconds BENCH_NAME(gemm_time)(int isa, gemm_kind kind, size_t out, size_t in, size_t n) {
    gemm_seconds s = { 0 };
    job j = { .kernels = nde_kernels_get(isa, true), .kind = kind };
    j.m = kind == GEMM_INPUT ? in : out, j.k = kind == GEMM_FORWARD ? in : kind == GEMM_INPUT ? out : n;
    j.n = kind == GEMM_WEIGHTS ? in : n;
    size_t side = out > in ? out : in;
    side = side > n ? side : n;
    const size_t room = side*ld_of(side);
    j.x = numbers(room), j.y = numbers(room), j.z = numbers(room), j.start = numbers(side);
    j.sums = calloc(out*in, sizeof *j.sums);
    if (j.kernels && j.x && j.y && j.z && j.start && j.sums) {
        s = measure(&j);
        s.takes_blas = kind != GEMM_WEIGHTS && nde_blas_pays(j.kernels, j.m, j.n, j.k);
    }
    free(j.x), free(j.y), free(j.z), free(j.start), free(j.sums);
    return s;
}
