/* SPDX-License-Identifier: MIT
 * pair.h - sums and products in two doubles, where one is not enough: high + low, about 106 bits. Without fused products: the
 * same bits everywhere. Inline, so that loops over lanes vectorise.
 *
 * Source: T. Dekker, Numer. Math. 18 (1971) 224-242. */
#ifndef NDE_PAIR_H
#define NDE_PAIR_H

typedef struct nde_pair {
    double high, low;
} nde_pair;

static inline nde_pair nde_pair_sum(double a, double b) {
    const double s = a + b, of_b = s - a;
    return (nde_pair){ s, (a - (s - of_b)) + (b - of_b) };
}

/* |a| >= |b|, or a is 0. */
static inline nde_pair nde_pair_tidy(double a, double b) {
    const double s = a + b;
    return (nde_pair){ s, b - (s - a) };
}

static inline nde_pair nde_pair_add(nde_pair a, nde_pair b) {
    const nde_pair s = nde_pair_sum(a.high, b.high);
    return nde_pair_tidy(s.high, s.low + (a.low + b.low));
}

/* |a|, |b| < 2^996. */
static inline nde_pair nde_pair_product(double a, double b) {
    const double split = 0x1p27 + 1, p = a*b;
    const double ca = split*a, a1 = ca - (ca - a), a2 = a - a1;
    const double cb = split*b, b1 = cb - (cb - b), b2 = b - b1;
    return (nde_pair){ p, ((a1*b1 - p) + a1*b2 + a2*b1) + a2*b2 };
}

static inline nde_pair nde_pair_times(nde_pair a, double b) {
    const nde_pair p = nde_pair_product(a.high, b);
    return nde_pair_tidy(p.high, p.low + a.low*b);
}

#endif
