/* SPDX-License-Identifier: MIT
 * unit.h - rounding W to multiples of one power of two, so that increments add up exactly. */
#ifndef NDE_UNIT_H
#define NDE_UNIT_H

#include "core/bits.h"

/* The least power of two >= x, for x normal; an x within 2^-40 above a power of two counts as it: spans that come from rounded
 * times agree on the unit. */
static inline double nde_power_of_two(double x) {
    const uint64_t up = nde_bits_of(x*(1 - 0x1p-40)) + UINT64_C(0x000fffffffffffff);
    return nde_from_bits(up & UINT64_C(0x7ff0000000000000));
}

/* 1.5 2^52 units of 2^(e - 44), 2^e the least >= sqrt(span): adding and subtracting it rounds to a unit. */
static inline double nde_unit_round(double root_of_span) { return 0x1.8p8*nde_power_of_two(root_of_span); }
static inline double nde_to_unit(double x, double round) { return (x + round) - round; }

#endif
