/* SPDX-License-Identifier: MIT
 * lanes.h - vectors of the lanes of a block, [rows][ld] each: sums over rows, lane by lane, and what is made of them. A lane's
 * bits do not depend on its neighbours, nor on whether it has any. */
#ifndef NDE_LANES_H
#define NDE_LANES_H

#include "nde/base.h"
#include "nde/real.h"

/* to [n] = sum over rows of x y, summed in double. */
void nde_lane_dots(size_t rows, size_t n, size_t ld, const nde_real *x, const nde_real *y, nde_real *to);
/* y += sign w x, w [n]. */
void nde_lane_add(size_t rows, size_t n, size_t ld, const nde_real *w, nde_real sign, const nde_real *x, nde_real *y);
/* y = w x. */
void nde_lane_scale(size_t rows, size_t n, size_t ld, const nde_real *w, const nde_real *x, nde_real *y);

/* length [n] = |x|, and x of length 1; where |x| is 0 or not finite, x is 0. */
void nde_lane_normalise(size_t rows, size_t n, size_t ld, nde_real *x, nde_real *length);
/* Takes vectors 0 ... count - 1, rows*ld apart from v on, off x, one after the other: shares [count][ld] of them. The modified
 * Gram-Schmidt process. */
void nde_lane_take_off(size_t rows, size_t n, size_t ld, size_t count, const nde_real *v, nde_real *x, nde_real *shares);

#endif
