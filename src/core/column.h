/* SPDX-License-Identifier: MIT
 * column.h - the product with one column: lanes run over the outputs, several vectors of them side by side, so that their sums,
 * one chain each, hide each other's latency. For kernel files only. */
#ifndef NDE_COLUMN_H
#define NDE_COLUMN_H

#include "core/vector.h"

/* c = start + sum over i < k of a[i*a_col + ...] b[i*ldb], for `count` vectors, the last of which begins at `last`. */
INLINE void column_tile(const size_t count, size_t last, size_t k, const nde_real *a, size_t a_col, const nde_real *b,
                        size_t ldb, const nde_real *start, nde_real *c) {
    vec s[8];
    UNROLL for (size_t j = 0; j < count; j++) s[j] = start ? load(start + (j + 1 < count ? j*LANES : last)) : (vec){0};
    for (; k > 0; k--, a += a_col, b += ldb) {
        const vec x = splat(*b);
        UNROLL for (size_t j = 0; j < count; j++) s[j] = fused(load(a + (j + 1 < count ? j*LANES : last)), x, s[j]);
    }
    UNROLL for (size_t j = 0; j < count; j++) store(c + (j + 1 < count ? j*LANES : last), s[j]);
}

/* c [m] = start + A b, column i of A at a + i*a_col; m >= LANES. */
static void column(size_t m, size_t k, const nde_real *a, size_t a_col, const nde_real *b, size_t ldb, const nde_real *start,
                   nde_real *c) {
    for (;;) {
        const size_t left = (m + LANES - 1)/LANES, count = left >= 8 ? 8 : left;
        /* a last vector that is not full overlaps its neighbour, with equal values */
        const size_t last = (m < count*LANES ? m : count*LANES) - LANES;
#define TAKE(n) case n: column_tile(n, last, k, a, a_col, b, ldb, start, c); break;
        switch (count) { TAKE(1) TAKE(2) TAKE(3) TAKE(4) TAKE(5) TAKE(6) TAKE(7) TAKE(8) }
#undef TAKE
        if (left <= 8) return;
        const size_t done = m - 8*LANES >= LANES ? 8*LANES : m - LANES;
        m -= done, a += done, c += done;
        if (start) start += done;
    }
}

#endif
