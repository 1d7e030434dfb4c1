/* SPDX-License-Identifier: MIT
 * vector.h - the native vector of a kernel file, its bits as integers, and lane functions on it. Static only: included by
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
#else
    const bits mask = (bits)(a > b);
    return (vec)((mask & (bits)x) | (~mask & (bits)y));
#endif
}

#define SIGN ((word)1 << (8*sizeof(word) - 1))
static inline vec magnitude(vec x) { return (vec)((bits)x & ~((bits){0} + SIGN)); }

/* ---- exponentials ----
 * x = k ln 2 + r, |r| <= ln 2/2, ln 2 in two parts such that k times the upper is exact. exp(r) - 1 = r + r^2 q(r) with
 * Taylor's q: its first neglected term is below 2^-56 of r (float: 2^-31).
 * Source: K. Ng, fdlibm s_expm1.c (1993), with a polynomial in place of its quotient; S. Moshier, Cephes expf.c. */
#define LOG2_E ((nde_real)1.44269504088896340736)
#define LN2_UPPER BY_PRECISION(6.93147180369123816490e-01, 0.693359375f)
#define LN2_LOWER BY_PRECISION(1.90821492927058770002e-10, -2.12194440054690583e-4f)
/* 1.5 times the number whose unit is 1: adding it rounds to an integer, in the low bits. */
#define ROUNDER BY_PRECISION(0x1.8p52, 0x1.8p23f)
#define MANTISSA BY_PRECISION(52, 23)
#define ONE ((word)BY_PRECISION(1023, 127) << MANTISSA)

/* 2^k for the integer k = rounded - ROUNDER, in the range of normal numbers. */
static inline vec power_of_two(vec rounded) { return (vec)(((bits)rounded << MANTISSA) + ONE); }

/* r; exp(r) - 1 = r + *tail, *rounded = k + ROUNDER. */
static inline vec reduce(vec x, vec *rounded, vec *tail) {
    enum { TERMS = BY_PRECISION(12, 7) };
    static const nde_real over_factorial[12] = { /* 1/(i + 2)! */
        (nde_real)(1/2.0), (nde_real)(1/6.0), (nde_real)(1/24.0), (nde_real)(1/120.0), (nde_real)(1/720.0),
        (nde_real)(1/5040.0), (nde_real)(1/40320.0), (nde_real)(1/362880.0), (nde_real)(1/3628800.0),
        (nde_real)(1/39916800.0), (nde_real)(1/479001600.0), (nde_real)(1/6227020800.0)
    };
    *rounded = fused(x, splat(LOG2_E), splat(ROUNDER));
    const vec k = *rounded - ROUNDER, upper = x - k*LN2_UPPER, lower = k*LN2_LOWER;
    const vec r = upper - lower, rest = (upper - r) - lower;
    vec q = splat(over_factorial[TERMS - 1]);
    for (int i = TERMS - 2; i >= 0; i--) q = fused(q, r, splat(over_factorial[i]));
    *tail = fused(r*r, q, rest);
    return r;
}

/* exp(x) - 1 = (2^k r + (2^k - 1)) + 2^k tail: the large parts first, where they cancel exactly; |k| < 100. */
static inline vec vector_expm1(vec x) {
    vec rounded, tail;
    const vec r = reduce(x, &rounded, &tail), scale = power_of_two(rounded);
    return fused(scale, tail, fused(scale, r, scale - 1));
}

/* exp(x) for x <= 0; subnormal results are rounded once: the scale is split in two, the first part harmless. */
static inline vec vector_exp_negative(vec x) {
    const vec least = splat((nde_real)BY_PRECISION(-760, -110));
    x = if_above(least, x, least, x);
    vec rounded, tail;
    const vec r = reduce(x, &rounded, &tail), middle = splat(ROUNDER + (nde_real)BY_PRECISION(-1000, -100));
    const vec first = if_above(middle, rounded, middle, rounded);
    return (1 + (r + tail))*power_of_two(first)*power_of_two(rounded - first + ROUNDER);
}

/* log(1 + z) for 0 <= z <= 1: 1 + z = 2^k (1 + f) with exact f, log(1 + f) = 2 artanh(s), s = f/(2 + f), Taylor in s^2 <=
 * 0.04. Source of the arrangement: K. Ng, fdlibm e_log.c (1993). */
static inline vec vector_log1p_unit(vec z) {
    enum { TERMS = BY_PRECISION(11, 5) };
    static const nde_real odd[11] = {
        (nde_real)(2/3.0), (nde_real)(2/5.0), (nde_real)(2/7.0), (nde_real)(2/9.0), (nde_real)(2/11.0), (nde_real)(2/13.0),
        (nde_real)(2/15.0), (nde_real)(2/17.0), (nde_real)(2/19.0), (nde_real)(2/21.0), (nde_real)(2/23.0)
    };
    const nde_real half = (nde_real)0.5;
    const vec f = if_above(z, splat(half), (z - 1)*half, z), k = if_above(z, splat(half), splat(1), splat(0));
    const vec s = f/(2 + f), s2 = s*s, square = half*f*f;
    vec q = splat(odd[TERMS - 1]);
    for (int i = TERMS - 2; i >= 0; i--) q = fused(q, s2, splat(odd[i]));
    const vec tail = fused(s, fused(s2, q, square), k*LN2_LOWER);
    return fused(k, splat(LN2_UPPER), f - (square - tail));
}

/* ---- activations ---- */

/* t/(t + 2) for t = exp(2|x|) - 1, from 1/2 on 1 - 2/(t + 2); 1 from where tanh rounds to it. Below 1/2 the quotient v is
 * corrected by what was lost in t (t_lost) and in t + 2 (sum_lost): v += (t_lost - v sum_lost)/(t + 2), where 1/(t + 2) is
 * 0.4 to 0.5 as long as it matters. */
static inline vec vector_tanh(vec x) {
    const vec end = splat((nde_real)BY_PRECISION(20, 10)), two = splat(2);
    vec y = magnitude(x), rounded, tail;
    y = if_above(y, end, end, y);
    const vec r = reduce(y + y, &rounded, &tail), scale = power_of_two(rounded);
    const vec upper = fused(scale, r, scale - 1), t = fused(scale, tail, upper), sum = t + two;
    const vec t_lost = fused(scale, tail, upper - t), sum_lost = t - (sum - two);
    const vec v = if_above(t, two, -two, t)/sum;
    const vec value = if_above(t, two, 1 + v, fused(fused(-v, sum_lost, t_lost), splat((nde_real)0.45), v));
    return (vec)((bits)value | ((bits)x & ((bits){0} + SIGN)));
}

/* max(x, 0) + log(1 + exp(-|x|)) */
static inline vec vector_softplus(vec x) {
    const vec zero = {0};
    return if_above(x, zero, x, zero) + vector_log1p_unit(vector_exp_negative(-magnitude(x)));
}

/* The derivative of softplus from its value: 1 - exp(-s). */
static inline vec vector_softplus_slope(vec s) {
    const vec end = splat((nde_real)BY_PRECISION(50, 25));
    return -vector_expm1(-if_above(s, end, end, s));
}

#endif
