/* SPDX-License-Identifier: MIT
 * activation.h - elementwise activations on component-major blocks, compiled for each instruction set. Rows stand ldz, lds ...
 * apart; blocks may be tight: nothing beyond lane n of a row is read or written. A lane's bits depend neither on n nor on its
 * place; all instruction sets that fuse agree, whatever the compiler.
 *
 * Largest errors of the value for its input, of slope and curvature for what they are taken from, in units of the last place:
 *
 *              value   slope          curvature
 *   tanh         2     2              3
 *   softplus     2     2              3 of >= 1/4     where a least size stands, parts cancel, and the unit
 *   silu         4     4 of >= 1/2    5 of >= 1/8     is that of the result or of this size, whichever is more
 *   gelu         7     4 of >= 1/2    4 of >= 1/8
 *   elu          2     1              1
 *   sigmoid      3     2              3 of >= 1/16
 *   sin          1     1              1
 *   lipswish     4     4 of >= 1/2    6 of >= 1/8
 *
 * and half as much again in the baseline set, which does not fuse. Identity and relu are exact. Products with a subnormal
 * number have its digits only: below 1024 times the least normal number the unit is that of this number.
 *
 * Infinities and the largest numbers have their limits: s(-inf) is 0 for softplus, relu, silu, gelu, sigmoid and lipswish,
 * -1 for elu and tanh, with slope and curvature 0; s(inf) is inf (slope 1, lipswish 1/1.1) or 1 (slope 0). sin has none:
 * NaN. Slope and curvature at 0 are 0 for relu, 1 for elu. NaN gives NaN, but for the slope of the identity. */
#ifndef NDE_ACTIVATION_H
#define NDE_ACTIVATION_H

#include "nde/real.h"
#include "core/core.h"
#include "core/kernels.h"

/* What the derivatives are taken from: the activation's value, or, where that does not determine them, its input z. */
static inline bool nde_activation_keeps_input(int id) {
    return id == NDE_SILU || id == NDE_GELU || id == NDE_SIN || id == NDE_LIPSWISH;
}

typedef struct nde_activation_kernels {
    /* x = s(z), which may be in place; id: nde_activation, not DEFAULT. */
    void (*value)(int id, size_t rows, size_t n, const nde_real *z, size_t ldz, nde_real *x, size_t ldx);
    /* x = s(z), and s'(z) in the place of z, for those that keep their input; x NULL: not wanted. */
    void (*with_slope)(int id, size_t rows, size_t n, nde_real *z, size_t ldz, nde_real *x, size_t ldx);
    /* d = a s'; from `kept`, the value or the input (above); d may be a. */
    void (*slope)(int id, size_t rows, size_t n, const nde_real *kept, size_t ld_kept, const nde_real *a, size_t lda,
                  nde_real *d, size_t ldd);
    /* Reverse of (z, dz) -> (s(z), s'(z) dz) in place: a = a s' + b dz s'', then b = b s'. One ld for all. */
    void (*curve)(int id, size_t rows, size_t n, size_t ld, const nde_real *kept, const nde_real *dz, nde_real *a, nde_real *b);
} nde_activation_kernels;

extern const nde_activation_kernels nde_activation_kernels_baseline;
extern const nde_activation_kernels nde_activation_kernels_v3;
extern const nde_activation_kernels nde_activation_kernels_v4;

#endif
