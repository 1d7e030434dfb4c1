/* SPDX-License-Identifier: MIT
 * gmres.h - A x = b for a block of lanes, each with a matrix of its own that is known by its products alone. A lane's bits do
 * not depend on its neighbours. */
#ifndef NDE_IMPLICIT_GMRES_H
#define NDE_IMPLICIT_GMRES_H

#include "nde/field.h"
#include "core/core.h"
#include "core/lanes.h"

/* GMRES, restarted.
 *   apply     z = A x, both [dim][ld]; returns what a field returns
 *   memory    vectors between restarts, most: products at all
 *   basis     [memory + 1][dim][ld]
 *   small     [nde_gmres_rows(memory)][ld]
 *   products  [n] += those that were taken for each lane; NULL: not wanted */
typedef struct nde_gmres {
    size_t dim, n, ld, memory, most;
    int (*apply)(const void *ctx, const nde_real *x, nde_real *z);
    const void *ctx;
    nde_real *basis, *small;
    int *products;
} nde_gmres;

static inline size_t nde_gmres_rows(size_t memory) { return (memory + 1)*memory + 4*memory + 4; }

/* x = A^-1 b from x = 0 on, in each lane until |b - A x| <= goal |b|. b is overwritten by b - A x.
 *   goal [n]   in: relative residual to be reached; out: the one that was, 0 where b is 0; NaN: something was not finite
 * Source: Y. Saad, M. Schultz, SIAM J. Sci. Stat. Comput. 7 (1986) 856-869. */
int nde_gmres_solve(const nde_gmres *g, nde_real *b, nde_real *goal, nde_real *x);

#endif
