/* SPDX-License-Identifier: MIT
 * power.h - log2 and exp2 good for step sizes, in + - * / and integer work alone: the same bits everywhere, in every lane of a
 * vector as for one number. */
#ifndef NDE_POWER_H
#define NDE_POWER_H

#include "core/bits.h"

/* log2 of a normal x > 0, error below 1e-9 of 1 + |log2 x|: x = 2^k m with m in [sqrt(1/2), sqrt(2)), and the series of
 * artanh((m - 1)/(m + 1)) to the ninth power (the next term is below 2e-10). */
static inline double nde_log2_normal(double x) {
    const uint64_t half = UINT64_C(0x3fe6a09e667f3bcd); /* the bits of sqrt(1/2) */
    const uint64_t u = nde_bits_of(x) - half + UINT64_C(0x3ff0000000000000);
    const double k = nde_from_bits(u >> 52 | UINT64_C(0x4330000000000000)) - (0x1p52 + 1023);
    const double m = nde_from_bits((u & UINT64_C(0x000fffffffffffff)) + half);
    const double s = (m - 1)/(m + 1), q = s*s, q2 = q*q; /* pairs, not Horner: this is on the way to every next step */
    return (k + s*2.885390081777926815) + (s*q)*((0.961796693925975605 + q*0.577078016355585363) +
                                                 q2*(0.412198583111132402 + q*0.320598897975325202));
}

/* 2^x for |x| <= 1020, relative error below 6e-9: 2^k times the exponential series of r = (x - k) ln 2, |r| <= ln(2)/2, to the
 * seventh power. Adding 1.5 2^52 rounds to an integer, which then stands in the low bits. */
static inline double nde_exp2_normal(double x) {
    const double t = x + 0x1.8p52, r = (x - (t - 0x1.8p52))*0.693147180559945309;
    const double r2 = r*r, low = (1 + r) + r2*(1.0/2 + r*(1.0/6));
    const double e = low + (r2*r2)*((1.0/24 + r*(1.0/120)) + r2*(1.0/720 + r*(1.0/5040)));
    return nde_from_bits(nde_bits_of(e) + (nde_bits_of(t) << 52));
}

#endif
