/* SPDX-License-Identifier: MIT
 * vecmath.h - elementary functions of vectors of lanes, for kernel files only: exp, expm1, log, log1p, tanh, sincos, erf,
 * softplus and what other activations are made of. Largest errors in units of the last place, measured by
 * tests/core/vecmath.c (float: over all inputs; double: random and hard points against long double):
 *
 *              exp    expm1  log    log1p  tanh   sin    cos    erf    softplus
 *   double     0.92   1.39   0.80   1.44   1.58   0.78   0.78   1.15   1.50     (baseline, which does not fuse: 1.61 tanh, 1.71
 *   float      0.90   1.24   0.87   1.63   1.54   0.79   0.79   1.17   1.45     log1p, 1.88 others)
 *
 * Limits, signs of zeros and oddness are exact; NaN gives NaN. No tables, no branches but in sincos beyond FAR. The same
 * bits from every compiler, and on every machine that fuses.
 *
 * Polynomials: coefficients.py. Arrangements: K. Ng, fdlibm (1993); S. Moshier, Cephes (1989). */
#ifndef NDE_VECMATH_H
#define NDE_VECMATH_H

#include "core/angle.h"
#include "core/vector.h"

/* exp(r) = 1 + r + r^2 exp_terms(r), |r| <= ln 2/2            tanh(r) = r + r^3 tanh_terms(r^2), |r| <= 0.18
 * 2 artanh(s) = 2s + s^3 artanh_terms(s^2), |s| <= 1/3
 * sin(r) = r + r^3 sin_terms(r^2), |r| <= pi/4                cos(r) = 1 - r^2/2 + r^4 cos_terms(r^2), |r| <= pi/4
 * erf(x) = x + x erf_terms(x^2), |x| <= ERF_SPLIT
 * erfc(y) = exp(-y^2) erfc_terms(t)/(y + 15/4), t = (y - 15/4)/(y + 15/4), 0 <= y <= 28 (float: 11) */
#ifdef nde_real
static const nde_real exp_terms[5] = { 0x1p-1f, 0x1.5554aap-3f, 0x1.555538p-5f, 0x1.122c58p-7f, 0x1.6cd6e2p-10f };
static const nde_real tanh_terms[3] = { -0x1.55554cp-2f, 0x1.110392p-3f, -0x1.aefc1cp-5f };
static const nde_real artanh_terms[5] = { 0x1.555558p-1f, 0x1.9996d8p-2f, 0x1.25051p-2f, 0x1.b72bb6p-3f, 0x1.f08b0cp-3f };
static const nde_real sin_terms[4] = { -0x1.555556p-3f, 0x1.111176p-7f, -0x1.a05ba8p-13f, 0x1.7ccf1p-19f };
static const nde_real cos_terms[4] = { 0x1.555556p-5f, -0x1.6c1762p-10f, 0x1.a075d8p-16f, -0x1.371c76p-22f };
static const nde_real erf_terms[8] = {
    0x1.06eba8p-3f, -0x1.81274p-2f, 0x1.ce2d74p-4f, -0x1.b8045p-6f, 0x1.548346p-8f, -0x1.a99f44p-11f, 0x1.69eb2ap-14f,
    -0x1.266924p-19f
};
static const nde_real erfc_terms[11] = {
    0x1.178842p+0f, -0x1.eae03p-1f, 0x1.78ff3ap-1f, -0x1.f63d14p-2f, 0x1.1db454p-2f, -0x1.0e585p-3f, 0x1.94aee6p-5f,
    -0x1.8faeaap-7f, 0x1.2bb4e6p-11f, 0x1.0a47ecp-14f, -0x1.2bf6cp-11f
};
#else
static const nde_real exp_terms[10] = {
    0x1.0000000000005p-1, 0x1.555555555555cp-3, 0x1.55555555520ebp-5, 0x1.111111110e90bp-7, 0x1.6c16c17f3ce33p-10,
    0x1.a01a01b477fc2p-13, 0x1.a019a669ea85fp-16, 0x1.71ddef47d8222p-19, 0x1.28a2d12baf087p-22, 0x1.af6a704c2cb51p-26
};
static const nde_real tanh_terms[6] = {
    -0x1.5555555555465p-2, 0x1.11111110ca8abp-3, -0x1.ba1ba0dd974c7p-5, 0x1.664ea9e6f289fp-6, -0x1.22346f3b5e2ccp-7,
    0x1.c2077b5f72563p-9
};
static const nde_real artanh_terms[10] = {
    0x1.5555555555535p-1, 0x1.99999999a0788p-2, 0x1.2492492089f4cp-2, 0x1.c71c741db9441p-3, 0x1.745cb3d31575dp-3,
    0x1.3b1ddf08db5d7p-3, 0x1.10679936ccbcbp-3, 0x1.efdac4c8c3626p-4, 0x1.55a75f0440648p-4, 0x1.5c80cf52845f9p-3
};
static const nde_real sin_terms[6] = {
    -0x1.5555555555549p-3, 0x1.111111110f892p-7, -0x1.a01a019c121a9p-13, 0x1.71de3576bc2f3p-19, -0x1.ae5e64a6e5b07p-26,
    0x1.5d925d08cf054p-33
};
static const nde_real cos_terms[6] = {
    0x1.555555555554cp-5, -0x1.6c16c16c1521p-10, 0x1.a01a019cbcd8dp-16, -0x1.27e4f81045071p-22, 0x1.1ee9ef521eb34p-29,
    -0x1.8fb0011d7bfdbp-37
};
static const nde_real erf_terms[13] = {
    0x1.06eba8214db69p-3, -0x1.812746b037a25p-2, 0x1.ce2f21a0458d9p-4, -0x1.b82ce31354d96p-6, 0x1.565bcd2c657b4p-8,
    -0x1.c02db933b4475p-11, 0x1.f9a3b968e199ep-14, -0x1.f4dcf34cb243fp-17, 0x1.ba6931fb331b7p-20, -0x1.6391e4ea9bd93p-23,
    0x1.13278138a949cp-26, -0x1.c4e956f8852abp-30, 0x1.3be76983b345ep-33
};
static const nde_real erfc_terms[23] = {
    0x1.178842825349dp+0, -0x1.eae02d0a1456bp-1, 0x1.78fecb4e819ep-1, -0x1.f63dd81196063p-2, 0x1.1dc27118a5702p-2,
    -0x1.0e3ea224c24bdp-3, 0x1.92618b7489275p-5, -0x1.9ac6956360307p-7, 0x1.02900c5c2704ep-10, 0x1.a0b75982c89c9p-11,
    -0x1.6d95a4fe976a5p-12, 0x1.637756de5f452p-17, 0x1.3a63309b109p-15, -0x1.2ab2cdedd05a6p-17, -0x1.bb5b098933c66p-19,
    0x1.bab9469984c34p-20, 0x1.40a18ab7e25dep-22, -0x1.0e19a9b4f46c4p-22, -0x1.605962a9764ddp-25, 0x1.eb9ecaec91065p-26,
    0x1.048df9acfb8f6p-27, -0x1.5166eda31c78bp-32, -0x1.53e5f8ce30025p-33
};
#endif

/* c[0] + c[1] x + ...: even and odd powers side by side, which halves the wait. */
INLINE vec polynomial(const nde_real *c, const int count, vec x) {
    const vec x2 = x*x;
    vec even = splat(c[(count - 1) & ~1]), odd = splat(c[(count & ~1) - 1]);
    UNROLL for (int i = ((count - 1) & ~1) - 2; i >= 0; i -= 2) even = fused(even, x2, splat(c[i]));
    UNROLL for (int i = (count & ~1) - 3; i >= 0; i -= 2) odd = fused(odd, x2, splat(c[i]));
    return fused(odd, x, even);
}
#define POLYNOMIAL(c, x) polynomial(c, (int)(sizeof(c)/sizeof *(c)), x)

#define LOG2_E ((nde_real)1.44269504088896340736)
/* ln 2 in two parts such that k times the upper is exact. */
#define LN2_UPPER BY_PRECISION(0x1.62e42fefp-1, 0x1.62e4p-1f)
#define LN2_LOWER BY_PRECISION(0x1.473de6af278edp-34, 0x1.7f7d1cp-20f)
/* 1.5 times the number whose unit is 1: adding it rounds to an integer, in the low bits. */
#define ROUNDER BY_PRECISION(0x1.8p52, 0x1.8p23f)
#define MANTISSA BY_PRECISION(52, 23)
#define ONE ((word)BY_PRECISION(1023, 127) << MANTISSA)
#define LEAST_NORMAL BY_PRECISION(0x1p-1022, 0x1p-126f)
#define MOST BY_PRECISION(0x1.fffffffffffffp1023, 0x1.fffffep127f)
#define INFINITE ((nde_real)__builtin_inf())
#define NOT_A_NUMBER ((nde_real)__builtin_nan(""))

static inline vec with_sign(vec y, vec x) { return (vec)((bits)y | ((bits)x & ((bits){0} + SIGN_BIT))); } /* y >= 0 */

/* ---- exponentials: x = k ln 2 + r ---- */

/* exp(x + below) = 2^k (1 + (upper + tail)), |below| well under 1; *rounded = k + ROUNDER. */
static inline vec exp_parts(vec x, vec below, vec *rounded, vec *tail) {
    *rounded = fused(x, splat(LOG2_E), splat(ROUNDER));
    const vec k = *rounded - ROUNDER, upper = fused(k, splat(-LN2_UPPER), x), lower = fused(k, splat(-LN2_LOWER), below);
    const vec r = upper + lower;
    *tail = fused(r*r, POLYNOMIAL(exp_terms, r), lower);
    return upper;
}

/* 2^k in the range of normal numbers. */
static inline vec power_of_two(vec rounded) { return (vec)(((bits)rounded << MANTISSA) + ONE); }

/* m 2^k, rounded once, for m in [1/2, 2). The first step, m 2^k/factor, must be normal. */
static inline vec times_power_of_two(vec m, vec rounded, vec factor) {
#if defined(__AVX512F__)
    (void)factor;
    return BY_PRECISION(_mm512_scalef_pd, _mm512_scalef_ps)(m, rounded - ROUNDER);
#else
    const vec first = (vec)((bits)m + ((bits)rounded << MANTISSA) + (ONE - (bits)factor));
    return fused(first, factor, m - m); /* m - m: NaN stays NaN */
#endif
}
#define SMALL_FACTOR BY_PRECISION(0x1p-64, 0x1p-32f)

/* exp(x + below) for x <= 0 */
static inline vec exp_negative(vec x, vec below) {
    vec rounded, tail;
    const vec upper = exp_parts(larger(splat(BY_PRECISION(-750, -105)), x), below, &rounded, &tail);
    return times_power_of_two(1 + (upper + tail), rounded, splat(SMALL_FACTOR));
}

static inline vec vector_exp(vec x) {
    x = smaller(splat(BY_PRECISION(720, 90)), larger(splat(BY_PRECISION(-750, -105)), x));
    vec rounded, tail;
    const vec upper = exp_parts(x, splat(-(nde_real)0), &rounded, &tail);
    return times_power_of_two(1 + (upper + tail), rounded, if_above(x, splat(0), splat(1/SMALL_FACTOR), splat(SMALL_FACTOR)));
}

/* ---- expm1: (2^k - 1) + 2^k (exp(r) - 1), the large parts first, where they cancel exactly ---- */

static inline vec vector_expm1(vec x) {
    const vec bounded = smaller(splat(BY_PRECISION(720, 90)), larger(splat(BY_PRECISION(-40, -20)), x));
    vec rounded, tail;
    const vec upper = exp_parts(bounded, splat(-(nde_real)0), &rounded, &tail);
    /* far up, where 1 is nothing, the last powers of two come at the end */
    const vec first = smaller(splat(ROUNDER + (nde_real)BY_PRECISION(1000, 100)), rounded), scale = power_of_two(first);
    const vec value = fused(scale, tail, fused(scale, upper, scale - 1));
    return with_sign(value*power_of_two(rounded - first + ROUNDER), x);
}

/* ---- logarithms: log(1 + f) = 2 artanh(s) = f - s t, s = f/(2 + f), t = f - s^2 artanh_terms(s^2) ---- */

/* s and t, -1/3 <= f <= 1 */
static inline vec log_parts(vec f, vec *t) {
    const vec s = f/(2 + f), w = s*s;
    *t = fused(-w, POLYNOMIAL(artanh_terms, w), f);
    return s;
}

/* u = 2^k m, 2/3 <= m < 4/3, u normal. */
static inline vec split(vec u, vec *k) {
    const bits from = (bits)splat((nde_real)(2/3.0)), shifted = (bits)u - from + ONE; /* k + its bias above the mantissa */
    const bits e = shifted >> MANTISSA;
    *k = (vec)(e | (bits)splat(ROUNDER)) - (ROUNDER + (nde_real)(ONE >> MANTISSA));
    return (vec)((bits)u - (e << MANTISSA) + ONE);
}

/* k ln 2 + log(1 + f) */
static inline vec log_sum(vec k, vec f) {
    vec t;
    const vec s = log_parts(f, &t);
    return fused(k, splat(LN2_UPPER), f - fused(s, t, k*-LN2_LOWER));
}

/* value, but infinite at `zero` and at infinity, NaN below. */
static inline vec log_limits(vec x, nde_real zero, vec value) {
    value = if_above(x, splat(MOST), x, value);
    return if_above(x, splat(zero), value, if_above(splat(zero), x, splat(NOT_A_NUMBER), x - INFINITE));
}

static inline vec vector_log(vec x) {
    const vec least = splat(LEAST_NORMAL), up = splat(BY_PRECISION(0x1p54, 0x1p25f)), more = splat(BY_PRECISION(54, 25));
    vec k;
    const vec m = split(if_above(least, x, x*up, x), &k);
    return log_limits(x, 0, log_sum(if_above(least, x, k - more, k), m - 1));
}

static inline vec vector_log1p(vec x) {
    const vec u = 1 + x, back = u - 1, lost = (1 - (u - back)) + (x - back); /* u + lost = 1 + x */
    vec k;
    /* 2^-k 2, 0 for the largest k */
    const vec m = split(u, &k), twice = (vec)((bits)m - (bits)u + (ONE + ((word)1 << MANTISSA)));
    return with_sign(log_limits(x, -1, log_sum(k, fused(lost, (nde_real)0.5*twice, m - 1))), x);
}

/* log(1 + exp(x)) = max(x, 0) + log(1 + z), z = exp(-|x|), the small parts first. What was lost in z counts by 1/(1 + z), about
 * 3/4. */
static inline vec vector_softplus(vec x) {
    const vec y = larger(splat(BY_PRECISION(-750, -105)), -magnitude(x));
    vec rounded, tail, t;
    const vec upper = exp_parts(y, splat(-(nde_real)0), &rounded, &tail), m = 1 + (upper + tail),
        lost = (upper - (m - 1)) + tail;
    const vec z = times_power_of_two(m, rounded, splat(SMALL_FACTOR)), s = log_parts(z, &t);
    const vec share = (nde_real)0.75*power_of_two(larger(splat(ROUNDER - BY_PRECISION(1022, 126)), rounded));
    return z + fused(-s, t, fused(lost, share, larger((vec){0}, x)));
}

/* ---- tanh ---- */

/* |x| = k ln 2/2 + r, s = 2^k, tanh|x| = ((s - 1) + (s + 1) tanh r)/((s + 1) + (s - 1) tanh r). The first part of the
 * numerator loses nothing when r >= -1/6, hence the shift: then less - numerator is exact. What was lost in the
 * denominator is made up for in the numerator, times about tanh|x|. */
static inline vec vector_tanh(vec x) {
    const vec y = smaller(splat(BY_PRECISION(20, 10)), magnitude(x)), shifted = y - (nde_real)0.0067;
    const vec rounded = fused(shifted, splat(2*LOG2_E), splat(ROUNDER));
    const vec k = rounded - ROUNDER, upper = fused(k, splat(-LN2_UPPER/2), y), lower = k*(LN2_LOWER/2);
    const vec r = upper - lower, w = r*r, tail = fused(r*w, POLYNOMIAL(tanh_terms, w), -lower);
    const vec s = power_of_two(rounded), more = s + 1, less = s - 1;
    const vec numerator = fused(more, upper, less), below = fused(more, tail, fused(more, upper, less - numerator));
    const vec t = upper + tail, denominator = fused(less, t, more), lost = fused(less, t, (less - denominator) + 2);
    const vec value = (numerator + fused(-smaller(splat((nde_real)0.9), y), lost, below))/denominator;
    return with_sign(smaller(splat(1), value), x);
}

/* ---- sine and cosine ---- */

/* Up to here x mod pi/2 is taken in parts such that k times each but the last is exact; beyond, lane by lane and exactly. */
#define FAR BY_PRECISION(0x1p16, 0x1p9f)

static __attribute__((noinline, unused)) void far_turns(vec y, vec *quadrant, vec *r, vec *lost) {
    nde_real x[LANES], q[LANES], high[LANES], low[LANES];
    store(x, y), store(q, *quadrant), store(high, *r), store(low, *lost);
    for (size_t i = 0; i < LANES; i++) {
        if (!(x[i] > FAR)) continue;
        double rest[2];
        q[i] = ROUNDER + (nde_real)nde_quarter_turns((double)x[i], rest);
        high[i] = (nde_real)rest[0];
        low[i] = (nde_real)(rest[0] - (double)high[i] + rest[1]);
    }
    *quadrant = load(q), *r = load(high), *lost = load(low);
}

static inline void vector_sincos(vec x, vec *sine, vec *cosine) {
    enum { PARTS = BY_PRECISION(3, 4) };
#ifdef nde_real
    static const nde_real half_pi[PARTS] = { 0x1.921cp+0f, 0x1.daap-15f, 0x1.10b4p-30f, 0x1.84698ap-48f };
#else
    static const nde_real half_pi[PARTS] = { 0x1.921fb54440000p+0, 0x1.68c234c4c0000p-39, 0x1.98a2e03707345p-77 };
#endif
    const vec y = magnitude(x);
    vec turns = fused(y, splat((nde_real)0x1.45f306dc9c883p-1), splat(ROUNDER)), r = y, lost = { 0 };
    const vec k = turns - ROUNDER;
    UNROLL for (int i = 0; i < PARTS; i++) {
        const vec part = fused(k, splat(half_pi[i]), -lost), rest = r - part;
        lost = (r - rest) - part;
        r = rest;
    }
    if (any_above(y, splat(FAR))) far_turns(y, &turns, &r, &lost);
    const vec w = r*r, half = (nde_real)0.5*w, most = 1 - half;
    const vec s = r + fused(r*w, POLYNOMIAL(sin_terms, w), lost*most);
    const vec c = most + (((1 - most) - half) + fused(w*w, POLYNOMIAL(cos_terms, w), -r*lost));
    const bits quadrant = (bits)turns, swap = -(quadrant & 1), sign = (bits)x & ((bits){0} + SIGN_BIT);
    const int top = 8*(int)sizeof(word) - 2;
    *sine = (vec)(((swap & (bits)c) | (~swap & (bits)s)) ^ ((quadrant & 2) << top) ^ sign);
    *cosine = (vec)(((swap & (bits)s) | (~swap & (bits)c)) ^ (((quadrant + 1) & 2) << top));
}

/* ---- error function ---- */

#define ERF_SPLIT ((nde_real)1)

/* exp(y^2) erfc(y), y >= 0; what was lost in 1/(y + 15/4) is made up for. Source of the variable t: M. Shepherd, J.
 * Laframboise, Math. Comp. 36 (1981) 249-253. */
static inline vec erfc_scaled(vec y) {
    const nde_real middle = (nde_real)3.75;
    const vec sum = y + middle, over = 1/sum, lost = y - (sum - middle);
    const vec rest = over*fused(-over, lost, fused(-sum, over, splat(1)));
    const vec t = fused(over, splat(-2*middle), splat(1)) - 2*middle*rest;
    return POLYNOMIAL(erfc_terms, t)*(over + rest);
}

static inline vec vector_erf(vec x) {
    const vec y = smaller(splat(BY_PRECISION(6.5, 4.5f)), magnitude(x)), w = y*y;
    const vec near = fused(y, POLYNOMIAL(erf_terms, w), y), far = 1 - exp_negative(-w, splat(-(nde_real)0))*erfc_scaled(y);
    return with_sign(if_above(y, splat(ERF_SPLIT), far, near), x);
}

/* exp(-z^2/2); *ratio = Phi(-|z|)/exp(-z^2/2), Phi the normal distribution; |z| <= 40 (float: 15). The square in two
 * parts, the upper exact. */
static inline vec gaussian(vec z, vec *ratio) {
    const bits high = ~(((bits){0} + ((word)1 << BY_PRECISION(27, 12))) - 1);
    const vec upper = (vec)((bits)z & high), half = splat((nde_real)0.5);
    *ratio = half*erfc_scaled(magnitude(z)*(nde_real)0.70710678118654752440);
    return exp_negative(-half*upper*upper, -half*(z - upper)*(z + upper));
}

#endif
