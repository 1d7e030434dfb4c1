/* SPDX-License-Identifier: MIT
 * kernels.h - the kernels of one instruction set, chosen when a solver is made. */
#ifndef NDE_KERNELS_H
#define NDE_KERNELS_H

#include "nde/real.h"
#include "core/core.h"

struct nde_step_kernels;  /* core/step.h: combinations of slopes, norms, per-lane selection */
struct nde_clock_kernels; /* controller/clock.h: time and step size of each lane */
struct nde_dense_kernels; /* core/dense.h: matrix products */
struct nde_activation_kernels; /* core/activation.h: activations and their derivatives */
struct nde_norm_kernels;  /* core/norm.h: layer normalisation and its derivatives */
struct nde_update_kernels; /* train/update.h: the optimisers' steps */
struct nde_program_kernels; /* program/kernel.h: instructions of programs */
struct nde_lu_kernels;    /* implicit/lu.h: small linear systems */

/* A product of a BLAS; arguments as in cblas_dgemm, cblas_sgemm. */
typedef void nde_gemm(int order, int transpose_a, int transpose_b, int m, int n, int k, nde_real alpha, const nde_real *a,
                      int lda, const nde_real *b, int ldb, nde_real beta, nde_real *c, int ldc);

typedef struct nde_kernels {
    const char *name; /* "baseline", "v3", "v4" */
    int isa;          /* NDE_ISA_* */
    nde_gemm *gemm;   /* NULL: own products only */
    int (*gemm_threads)(void); /* that gemm would use now; NULL: the host has brought it and knows */
    const struct nde_clock_kernels *clock;
    const struct nde_step_kernels *step;
    const struct nde_dense_kernels *dense;
    const struct nde_activation_kernels *activation;
    const struct nde_norm_kernels *norm;
    const struct nde_update_kernels *update;
    const struct nde_program_kernels *program;
    const struct nde_lu_kernels *lu;
} nde_kernels;

/* The kernels of an instruction set (NDE_ISA_AUTO: the best that this machine has), with or without OpenBLAS; NULL when it
 * was not compiled in or the machine lacks it. Static constants. */
const nde_kernels *nde_kernels_get(int isa, bool openblas);

#endif
