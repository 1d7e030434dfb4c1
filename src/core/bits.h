/* SPDX-License-Identifier: MIT
 * bits.h - a double as its bits. */
#ifndef NDE_BITS_H
#define NDE_BITS_H

#include <stdint.h>
#include <string.h>

static inline uint64_t nde_bits_of(double x) { uint64_t u; memcpy(&u, &x, sizeof u); return u; }
static inline double nde_from_bits(uint64_t u) { double x; memcpy(&x, &u, sizeof x); return x; }

#endif
