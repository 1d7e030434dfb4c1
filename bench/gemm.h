/* SPDX-License-Identifier: MIT
 * gemm.h - one product of a layer, by the library's own kernels and by OpenBLAS, timed in turns. */
#ifndef NDE_BENCH_GEMM_H
#define NDE_BENCH_GEMM_H

#include <stdbool.h>
#include <stddef.h>

/* Y = W X + b; dX = W' A; dW += A X': W [out][in], X [in][n], A [out][n]. */
typedef enum gemm_kind { GEMM_FORWARD, GEMM_INPUT, GEMM_WEIGHTS, GEMM_KINDS } gemm_kind;

typedef struct gemm_seconds {
    double own, blas, best; /* of one call, the least; best: OpenBLAS in its favourite storage; 0: not measured */
    bool takes_blas;  /* the library would call OpenBLAS, had the host set it to one thread */
} gemm_seconds;

gemm_seconds gemm_time_double(int isa, gemm_kind kind, size_t out, size_t in, size_t n);
gemm_seconds gemm_time_single(int isa, gemm_kind kind, size_t out, size_t in, size_t n);

#endif
