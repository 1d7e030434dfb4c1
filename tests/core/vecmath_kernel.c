/* SPDX-License-Identifier: MIT
 * vecmath_kernel.c - the functions of core/vecmath.h on arrays; compiled once for each instruction set. */
#include "core/vecmath.h"
#include "vecmath_kernel.h"

static inline vec vector_sin(vec x) {
    vec sine, cosine;
    vector_sincos(x, &sine, &cosine);
    return sine;
}
static inline vec vector_cos(vec x) {
    vec sine, cosine;
    vector_sincos(x, &sine, &cosine);
    return cosine;
}

#define NDE_X(name)                                                                                     \
    static void apply_##name(size_t n, const nde_real *x, nde_real *y) {                                \
        for (size_t i = 0; i < n; i += LANES) store(y + i, vector_##name(load(x + i)));                 \
    }
VECMATH_LIST(NDE_X)
#undef NDE_X

vecmath_function *const NDE_ISA_NAME(vecmath)[VECMATH_COUNT] = {
#define NDE_X(name) apply_##name,
    VECMATH_LIST(NDE_X)
#undef NDE_X
};
