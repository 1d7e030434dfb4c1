/* SPDX-License-Identifier: MIT
 * vecmath_kernel.h - the functions of core/vecmath.h on arrays, one table for each instruction set. */
#ifndef NDE_TESTS_VECMATH_KERNEL_H
#define NDE_TESTS_VECMATH_KERNEL_H

#include <stddef.h>

#include "nde/real.h"

#define VECMATH_LIST(X) X(exp) X(expm1) X(log) X(log1p) X(tanh) X(sin) X(cos) X(erf) X(softplus)
enum {
#define NDE_X(name) VECMATH_##name,
    VECMATH_LIST(NDE_X)
#undef NDE_X
    VECMATH_COUNT
};

/* y = f(x); n a multiple of 16 */
typedef void vecmath_function(size_t n, const nde_real *x, nde_real *y);

extern vecmath_function *const vecmath_baseline[VECMATH_COUNT], *const vecmath_v3[VECMATH_COUNT],
    *const vecmath_v4[VECMATH_COUNT];

#endif
