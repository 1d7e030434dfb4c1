/* SPDX-License-Identifier: MIT
 * power.h - log2 and exp2 good for step sizes, in + - * / and integer work alone: the same bits everywhere, in every lane of a
 * vector as for one number. */
#ifndef NDE_POWER_H
#define NDE_POWER_H

#include "core/bits.h"

/* log2 of a normal x > 0, error below 2e-9: x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), and f times a minimax
 * polynomial of the ninth degree. In pairs, not by Horner, and without a division: this is on the way to every next step. */
static inline double nde_log2_sum(double k, double f) {
    const double f2 = f*f, f4 = f2*f2;
    const double low = (1.44269504086697 - f*0.7213471615281171) + f2*(0.4808981433001981 - f*0.36070873563823164);
    const double high = (0.28857920533044007 - f*0.23939431080260912) + f2*(0.20428977927284883 - f*0.19234399517970818);
    return k + f*((low + (f4*f4)*(0.18838508043010488 - f*0.10976343804073706)) + f4*high);
}

static inline double nde_log2_normal(double x) {
    const uint64_t half = UINT64_C(0x3fe6a09e667f3bcd); /* the bits of sqrt(1/2) */
    const uint64_t u = nde_bits_of(x) - half + UINT64_C(0x3ff0000000000000);
    const double k = nde_from_bits(u >> 52 | UINT64_C(0x4330000000000000)) - (0x1p52 + 1023);
    return nde_log2_sum(k, nde_from_bits((u & UINT64_C(0x000fffffffffffff)) + half) - 1);
}

/* The same for one number that a step waits for, as a vector: integers of one number go through general registers. */
static inline double nde_log2_one(double x) {
    typedef uint64_t bits __attribute__((vector_size(16)));
    typedef double pair __attribute__((vector_size(16)));
    const uint64_t half = UINT64_C(0x3fe6a09e667f3bcd);
    const bits u = (bits)(pair){ x, x } - (half - UINT64_C(0x3ff0000000000000));
    const double k = ((pair)(u >> 52 | UINT64_C(0x4330000000000000)))[0] - (0x1p52 + 1023);
    return nde_log2_sum(k, ((pair)((u & UINT64_C(0x000fffffffffffff)) + half))[0] - 1);
}

/* 2^x for |x| <= 1020, relative error below 3e-9: 2^k (1 + r p(r)), r = x - k in [-1/2, 1/2], p a minimax polynomial of
 * the fifth degree. Adding 1.5 2^52 rounds to an integer, which then stands in the low bits. 2^k is there before p is. */
static inline double nde_exp2_normal(double x) {
    const double t = x + 0x1.8p52, r = x - (t - 0x1.8p52), r2 = r*r;
    const double low = (1 + r*0.6931472028009186) + r2*(0.24022647923241042 + r*0.05550332546544082);
    const double high = (0.009618436383315401 + r*0.0013398851867891734) + r2*0.00015353599328911567;
    return (low + (r2*r2)*high)*nde_from_bits((nde_bits_of(t) << 52) + UINT64_C(0x3ff0000000000000));
}

#endif
