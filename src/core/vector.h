/* SPDX-License-Identifier: MIT
 * vector.h - the native vector of a kernel file, its bits as integers. Static only: included by
 * files that are compiled once for each instruction set. */
#ifndef NDE_VECTOR_H
#define NDE_VECTOR_H

#include <string.h>

#include "nde/real.h"
#include "core/core.h"
#include "core/isa.h"

#if defined(__FMA__)
#include <immintrin.h>
#elif defined(__aarch64__)
#include <arm_neon.h>
#endif

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 32")
#endif

/* The single-precision build renames nde_real by a macro. */
#ifdef nde_real
typedef uint32_t word;
#define BY_PRECISION(d, f) f
#define LANES (NDE_VECTOR_BYTES/4)
#else
typedef uint64_t word;
#define BY_PRECISION(d, f) d
#define LANES (NDE_VECTOR_BYTES/8)
#endif
typedef nde_real vec __attribute__((vector_size(NDE_VECTOR_BYTES)));
typedef word bits __attribute__((vector_size(NDE_VECTOR_BYTES)));
typedef nde_real loose __attribute__((vector_size(NDE_VECTOR_BYTES), aligned(sizeof(nde_real)), may_alias));

static inline vec load(const nde_real *x) { return *(const loose *)(const void *)x; }
static inline void store(nde_real *x, vec v) { *(loose *)(void *)x = v; }
/* x - 0 keeps the sign of a zero, which x + 0 does not. */
static inline vec splat(nde_real x) { return x - (vec){0}; }

static inline vec fused(vec a, vec b, vec c) {
#if defined(__AVX512F__)
    return BY_PRECISION(_mm512_fmadd_pd, _mm512_fmadd_ps)(a, b, c);
#elif defined(__FMA__)
    return BY_PRECISION(_mm256_fmadd_pd, _mm256_fmadd_ps)(a, b, c);
#elif defined(__aarch64__)
    return BY_PRECISION(vfmaq_f64, vfmaq_f32)(c, a, b);
#else
    return a*b + c;
#endif
}

/* a > b ? x : y, lane by lane; y when a or b is NaN. */
static inline vec if_above(vec a, vec b, vec x, vec y) {
#if defined(__AVX512F__)
    return BY_PRECISION(_mm512_mask_blend_pd(_mm512_cmp_pd_mask(a, b, _CMP_GT_OQ), y, x),
                        _mm512_mask_blend_ps(_mm512_cmp_ps_mask(a, b, _CMP_GT_OQ), y, x));
#elif defined(__AVX__)
    return BY_PRECISION(_mm256_blendv_pd(y, x, _mm256_cmp_pd(a, b, _CMP_GT_OQ)),
                        _mm256_blendv_ps(y, x, _mm256_cmp_ps(a, b, _CMP_GT_OQ)));
#else
    const bits mask = (bits)(a > b);
    return (vec)((mask & (bits)x) | (~mask & (bits)y));
#endif
}

/* Is a > b in any lane? */
static inline bool any_above(vec a, vec b) {
#if defined(__AVX512F__)
    return BY_PRECISION(_mm512_cmp_pd_mask(a, b, _CMP_GT_OQ), _mm512_cmp_ps_mask(a, b, _CMP_GT_OQ)) != 0;
#elif defined(__AVX__)
    return BY_PRECISION(_mm256_movemask_pd(_mm256_cmp_pd(a, b, _CMP_GT_OQ)),
                        _mm256_movemask_ps(_mm256_cmp_ps(a, b, _CMP_GT_OQ))) != 0;
#else
    const bits mask = (bits)(a > b);
    word any = 0;
    for (size_t i = 0; i < LANES; i++) any |= mask[i];
    return any != 0;
#endif
}

/* The bound where x lies beyond it; x when x is NaN. */
static inline vec smaller(vec bound, vec x) {
#if defined(__AVX512F__)
    return BY_PRECISION(_mm512_min_pd, _mm512_min_ps)(bound, x);
#elif defined(__AVX__)
    return BY_PRECISION(_mm256_min_pd, _mm256_min_ps)(bound, x);
#else
    return if_above(x, bound, bound, x);
#endif
}
static inline vec larger(vec bound, vec x) {
#if defined(__AVX512F__)
    return BY_PRECISION(_mm512_max_pd, _mm512_max_ps)(bound, x);
#elif defined(__AVX__)
    return BY_PRECISION(_mm256_max_pd, _mm256_max_ps)(bound, x);
#else
    return if_above(bound, x, bound, x);
#endif
}

#define SIGN_BIT ((word)1 << (8*sizeof(word) - 1))
static inline vec magnitude(vec x) { return (vec)((bits)x & ~((bits){0} + SIGN_BIT)); }

/* ---- the first lanes of a vector ---- */

/* count <= LANES; the other lanes are 0, and nothing beyond is read or written. */
INLINE vec load_first(const nde_real *x, size_t count) {
#if defined(__AVX512F__)
    return BY_PRECISION(_mm512_maskz_loadu_pd, _mm512_maskz_loadu_ps)(
        (BY_PRECISION(__mmask8, __mmask16))((1u << count) - 1), x);
#elif defined(__AVX2__)
    static const BY_PRECISION(int64_t, int32_t) ones[2*LANES] = { -1, -1, -1, -1, BY_PRECISION(0, -1), BY_PRECISION(0, -1),
        BY_PRECISION(0, -1), BY_PRECISION(0, -1) };
    const __m256i mask = _mm256_loadu_si256((const __m256i_u *)(const void *)(ones + LANES - count));
    return BY_PRECISION(_mm256_maskload_pd, _mm256_maskload_ps)(x, mask);
#else
    if (count == LANES) return load(x);
    nde_real t[LANES] = { 0 };
    UNROLL for (size_t i = 0; i + 1 < LANES; i++)
        if (i < count) t[i] = x[i];
    return load(t);
#endif
}
INLINE void store_first(nde_real *x, vec v, size_t count) {
#if defined(__AVX512F__)
    BY_PRECISION(_mm512_mask_storeu_pd, _mm512_mask_storeu_ps)(
        x, (BY_PRECISION(__mmask8, __mmask16))((1u << count) - 1), v);
#else
    nde_real t[LANES];
    store(t, v);
    UNROLL for (size_t size = LANES; size > 0; size /= 2) {
        if (!(count & size)) continue;
        memcpy(x, t + (count & ~(2*size - 1)), size*sizeof *x);
        x += size;
    }
#endif
}

#endif
