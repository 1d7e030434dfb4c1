/* SPDX-License-Identifier: MIT
 * norm.h - layer normalisation and residual sums of component-major blocks, compiled for each instruction set.
 *
 * Letters: z the rows of a lane, m and v their mean and variance, r = 1/sqrt(v + epsilon), x = (z - m) r, out = gain x + shift.
 * Derivatives are taken from x and r. All go through P a = r (a - mean(a) - x mean(x a)), the derivative of x by z, which is
 * its own transpose. Means over rows are sums in double of four interleaved parts in ascending order, in both precisions: a
 * lane's bits depend neither on n nor on its place, and all instruction sets agree. Blocks may be tight.
 * Source: J. Ba, J. Kiros, G. Hinton, Layer normalization (2016). */
#ifndef NDE_NORM_H
#define NDE_NORM_H

#include "nde/real.h"
#include "core/core.h"
#include "core/kernels.h"

typedef struct nde_norm_kernels {
    /* out [rows][ld_out] = gain x + shift; with r [n] not NULL, x takes the place of z. out may be z when r is NULL. */
    void (*value)(size_t rows, size_t n, double epsilon, const nde_real *gain, const nde_real *shift, nde_real *z, size_t ldz,
                  nde_real *r, nde_real *out, size_t ld_out);
    /* out = gain x + shift, with value's bits. */
    void (*again)(size_t rows, size_t n, const nde_real *gain, const nde_real *shift, const nde_real *x, size_t ldx,
                  nde_real *out, size_t ld_out);
    /* d = P (gain a): from the cotangent of out that of z; d may be a. */
    void (*reverse)(size_t rows, size_t n, const nde_real *gain, const nde_real *x, size_t ldx, const nde_real *r,
                    const nde_real *a, size_t lda, nde_real *d, size_t ldd);
    /* dx = P dz; dout = gain dx + v_gain x + v_shift, these two NULL: zero. dx may be dz, dout may be dx. */
    void (*tangent)(size_t rows, size_t n, const nde_real *gain, const nde_real *v_gain, const nde_real *v_shift,
                    const nde_real *x, size_t ldx, const nde_real *r, const nde_real *dz, nde_real *dx, nde_real *dout,
                    size_t ld);
    /* Reverse of (z, dz) -> (out, dout) in place: cotangents a of out, b of dout become those of z, dz. */
    void (*second)(size_t rows, size_t n, size_t ld, const nde_real *gain, const nde_real *v_gain, const nde_real *x,
                   const nde_real *r, const nde_real *dz, const nde_real *dx, nde_real *a, nde_real *b);
    /* product [rows] += sum over lanes of a x, sum [rows] += that of a (NULL: not wanted), in double. */
    void (*gradient)(size_t rows, size_t n, const nde_real *a, size_t lda, const nde_real *x, size_t ldx, double *product,
                     double *sum);
    /* out = a + b, a residual, and out = a b, entry by entry; out may be either. */
    void (*add)(size_t rows, size_t n, const nde_real *a, size_t lda, const nde_real *b, size_t ldb, nde_real *out,
                size_t ld_out);
    void (*multiply)(size_t rows, size_t n, const nde_real *a, size_t lda, const nde_real *b, size_t ldb, nde_real *out,
                     size_t ld_out);
} nde_norm_kernels;

extern const nde_norm_kernels nde_norm_kernels_baseline;
extern const nde_norm_kernels nde_norm_kernels_v3;
extern const nde_norm_kernels nde_norm_kernels_v4;

#endif
