/* SPDX-License-Identifier: MIT
 * normal.h - one block of random numbers: counter to bits (Philox), bits to two normals
 * (Box-Muller), in one lane. Inline, so that loops over lanes vectorise.
 *
 * Only + - * / and sqrt of IEEE-754, never fused, and integer work: the same bits on every machine
 * and compiler. This is a file format: nothing here may change a bit of a result. */
#ifndef NDE_NORMAL_H
#define NDE_NORMAL_H

#include "core/bits.h"
#include <math.h>
#include <stdint.h>
#include <string.h>

typedef struct nde_block {
    uint32_t x[4];
} nde_block;

/* Philox4x32-10. Source: J. Salmon, M. Moraes, R. Dror, D. Shaw, Parallel random numbers: as easy
 * as 1, 2, 3, SC11 (2011). */
static inline nde_block nde_philox(nde_block c, uint32_t k0, uint32_t k1) {
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
        const uint64_t p = (uint64_t)0xD2511F53u*c.x[0], q = (uint64_t)0xCD9E8D57u*c.x[2];
        c = (nde_block){{ (uint32_t)(q >> 32) ^ c.x[1] ^ k0, (uint32_t)q,
                          (uint32_t)(p >> 32) ^ c.x[3] ^ k1, (uint32_t)p }};
        k0 += 0x9E3779B9u; /* golden ratio */
        k1 += 0xBB67AE85u; /* sqrt(3) - 1 */
    }
    return c;
}

/* The counter for ever, low bits first:
 *   word 0  component/2 : 24, purpose : 8
 *   word 1  position, low 32
 *   word 2  position, high 16; trajectory, high 16
 *   word 3  trajectory, low 32
 * key = seed, low word first. Words 0 and 1 of the result, low word first, are the bits of the even
 * component, words 2 and 3 those of the odd one. Higher bits of each are ignored. */
static inline nde_block nde_counter(unsigned purpose, uint64_t trajectory, uint64_t position,
                                    uint64_t component) {
    const uint32_t high = (uint32_t)(position >> 32 & 0xffff);
    return (nde_block){{ (uint32_t)(component >> 1 & 0xffffff) | (uint32_t)purpose << 24,
                         (uint32_t)position,
                         high | (uint32_t)(trajectory >> 32 & 0xffff) << 16,
                         (uint32_t)trajectory }};
}

/* (k + 1/2) 2^-52 from the upper 52 bits k: exact, in (0, 1), symmetric about 1/2. */
static inline double nde_to_uniform(uint64_t bits) {
    return nde_from_bits(bits >> 12 | UINT64_C(0x3ff0000000000000)) - (1 - 0x1p-53);
}

/* Polynomials from noise/coefficients.py. */

/* -ln x of a normal x in (0, 1), below 1 ulp: x = 2^k m with m in [sqrt(1/2), sqrt(2)), f = m - 1,
 * s = f/(2 + f), ln m = f - f^2/2 + s (f^2/2 + s^2 L(s^2)). The order of operations is that of
 * fdlibm's log (Sun Microsystems, 1993). In two parts: k, f and s; and the sum. */
static inline double nde_log_parts(double x, double *k, double *f) {
    const uint64_t least = UINT64_C(0x3fe6a09e667f3bcd); /* the bits of sqrt(1/2) */
    const uint64_t u = nde_bits_of(x) - least + (UINT64_C(1023) << 52);
    *k = nde_from_bits(u >> 52 | UINT64_C(0x4330000000000000)) - (0x1p52 + 1023);
    *f = nde_from_bits((u & UINT64_C(0x000fffffffffffff)) + least) - 1;
    return *f/(2 + *f);
}
static inline double nde_minus_log_sum(double k, double f, double s) {
    const double z = s*s, w = z*z, half = 0.5*f*f;
    const double odd = 0x1.99999999952e2p-2 + w*(0x1.c71c62e5800a1p-3 + w*0x1.39fe606542ddep-3);
    const double high = 0x1.7462b4ab2ef6bp-3 + w*0x1.2b584aae78a57p-3;
    const double even = 0x1.5555555555558p-1 + w*(0x1.2492492df148dp-2 + w*high);
    const double r = z*(even + z*odd), low = k*0x1.a39ef35793c76p-33; /* k ln 2 in two parts */
    return ((half - (s*(half + r) + low)) - f) - k*0x1.62e42feep-1;
}
static inline double nde_minus_log(double x) {
    double k, f;
    const double s = nde_log_parts(x, &k, &f);
    return nde_minus_log_sum(k, f, s);
}

/* sin and cos of 2 pi x for x in (0, 1), below 2 ulp: x = q/4 + f with |f| <= 1/8, exactly. In parts: f, and q in the low bits
 * of what is returned; sine and cosine of f; those of x. */
static inline uint64_t nde_quarter(double x, double *f) {
    const double t = 4*x + 0x1.8p52;
    *f = x - 0.25*(t - 0x1.8p52);
    return nde_bits_of(t);
}
static inline double nde_sine(double f) {
    const double z = f*f, w = z*z;
    const double s0 = -0x1.4abbce625be52p+5 + z*0x1.466bc6775a476p+6;
    const double s1 = -0x1.32d2cce500387p+6 + z*0x1.50783208843ebp+5;
    const double s2 = -0x1.e3027dea82bd7p+3 + z*0x1.e4a9d9166f052p+1;
    return f*0x1.921fb54442d18p+2 + f*(0x1.1a62633145c07p-52 + z*(s0 + w*(s1 + w*s2)));
}
static inline double nde_cosine(double f) {
    const double z = f*f, w = z*z;
    const double c0 = -0x1.3bd3cc9be45dep+4 + z*0x1.03c1f081b5ac0p+6;
    const double c1 = -0x1.55d3c7e3cb241p+6 + z*0x1.e1f5068688d5bp+5;
    const double c2 = -0x1.a6d1eef479be1p+4 + z*0x1.f9ce245cada0bp+2;
    return 1 + z*(c0 + w*(c1 + w*(c2 + w*-0x1.b2f3eb054afcdp+0)));
}
static inline void nde_turn_quarters(uint64_t q, double s, double c, double *sine, double *cosine) {
    const uint64_t swap = 0 - (q & 1), a = nde_bits_of(s), b = nde_bits_of(c);
    *sine = nde_from_bits(((a & ~swap) | (b & swap)) ^ (q >> 1 & 1) << 63);
    *cosine = nde_from_bits(((b & ~swap) | (a & swap)) ^ ((q + 1) >> 1 & 1) << 63);
}
static inline void nde_sincos(double x, double *sine, double *cosine) {
    double f;
    const uint64_t q = nde_quarter(x, &f);
    nde_turn_quarters(q, nde_sine(f), nde_cosine(f), sine, cosine);
}

/* Two independent standard normals, below 3.5 ulp of that function of the bits; none beyond 8.58, from
 * minus the logarithm of a uniform number and other bits.
 * Source: G. Box, M. Muller, Ann. Math. Stat. 29 (1958) 610-611. */
static inline void nde_box_muller(double minus_log, uint64_t odd_bits, double *even, double *odd) {
    const double radius = sqrt(2*minus_log);
    double sine, cosine;
    nde_sincos(nde_to_uniform(odd_bits), &sine, &cosine);
    *even = radius*cosine;
    *odd = radius*sine;
}

/* ---- normals of 32 bits: the same in float, two from two words --------------------------------- */

static inline uint32_t nde_bits_of_single(float x) { uint32_t u; memcpy(&u, &x, sizeof u); return u; }
static inline float nde_from_bits_single(uint32_t u) { float x; memcpy(&x, &u, sizeof x); return x; }

/* (k + 1/2) 2^-30 from the upper 30 bits k, rounded: in (0, 1]. */
static inline float nde_to_uniform_single(uint32_t bits) { return (float)(int32_t)(bits >> 1 | 1)*0x1p-31f; }

/* -ln x of a normal x in (0, 1], below 1.5 ulp: as above. */
static inline float nde_log_parts_single(float x, float *k, float *f) {
    const uint32_t least = 0x3f3504f3, u = nde_bits_of_single(x) - least + (UINT32_C(127) << 23);
    *k = (float)((int32_t)(u >> 23) - 127);
    *f = nde_from_bits_single((u & 0x007fffff) + least) - 1;
    return *f/(2 + *f);
}
static inline float nde_minus_log_sum_single(float k, float f, float s) {
    const float z = s*s, half = 0.5f*f*f;
    const float r = z*(0x1.55555cp-1f + z*(0x1.997c30p-2f + z*0x1.2ee610p-2f)), low = k*0x1.2fefa4p-17f;
    return ((half - (s*(half + r) + low)) - f) - k*0x1.62e3p-1f;
}

/* sin and cos of 2 pi x, x = bits/2^32 = q/4 + f with |f| <= 1/8, below 2 ulp. */
static inline void nde_sincos_single(uint32_t bits, float *sine, float *cosine) {
    const uint32_t q = bits + (UINT32_C(1) << 29); /* in its upper two bits */
    const float f = (float)(int32_t)(bits << 2)*0x1p-32f, z = f*f; /* of a quarter */
    const float s = f*0x1.921fb6p+0f + f*(z*(-0x1.4abbccp-1f + z*(0x1.4665e8p-4f + z*-0x1.2ee7bcp-8f)));
    const float c = 1 + z*(-0x1.3bd3ccp+0f + z*(0x1.03c1eap-2f + z*(-0x1.55cb98p-6f + z*0x1.db6492p-11f)));
    const uint32_t swap = 0 - (q >> 30 & 1), a = nde_bits_of_single(s), b = nde_bits_of_single(c), sign = UINT32_C(1) << 31;
    *sine = nde_from_bits_single(((a & ~swap) | (b & swap)) ^ (q & sign));
    *cosine = nde_from_bits_single(((b & ~swap) | (a & swap)) ^ ((q + (UINT32_C(1) << 30)) & sign));
}

#endif
