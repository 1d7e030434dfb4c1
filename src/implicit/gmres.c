/* SPDX-License-Identifier: MIT
 * gmres.c - restarted GMRES on a block of lanes. All lanes take the same products; one that is done, or whose space is
 * exhausted, goes on with vectors of zeros, and the column that it gets is a unit vector, so that its sum has no share of
 * them. */
#include "implicit/gmres.h"

#include <math.h>
#include <string.h>

/* ---- the small problem: rows of `small` ---- */

/* h [memory + 1][memory] by columns, then the rotations' cosines and sines, the right-hand side, |b|, and a factor. */
static nde_real *entry(const nde_gmres *g, size_t i, size_t j) { return g->small + (j*(g->memory + 1) + i)*g->ld; }
static nde_real *row_after(const nde_gmres *g, size_t i) { return entry(g, 0, g->memory) + i*g->ld; }
static nde_real *cosine(const nde_gmres *g, size_t j) { return row_after(g, j); }
static nde_real *sine(const nde_gmres *g, size_t j) { return row_after(g, g->memory + j); }
static nde_real *side(const nde_gmres *g, size_t j) { return row_after(g, 2*g->memory + j); }
static nde_real *weight(const nde_gmres *g, size_t j) { return row_after(g, 3*g->memory + 1 + j); }
static nde_real *size_of_b(const nde_gmres *g) { return row_after(g, 4*g->memory + 1); }
static nde_real *factor(const nde_gmres *g) { return row_after(g, 4*g->memory + 2); }
static nde_real *vector(const nde_gmres *g, size_t j) { return g->basis + j*g->dim*g->ld; }

/* Column j of A V = V H. */
static int extend(const nde_gmres *g, size_t j) {
    nde_real *next = vector(g, j + 1);
    const int rc = g->apply(g->ctx, vector(g, j), next);
    if (rc) return rc;
    nde_lane_take_off(g->dim, g->n, g->ld, j + 1, vector(g, 0), next, entry(g, 0, j));
    nde_lane_normalise(g->dim, g->n, g->ld, next, entry(g, j + 1, j));
    return 0;
}

/* The rotations on column j of lane b, and a new one that takes its last entry; leaves the residual in the right-hand side. A
 * lane of zeros has a unit vector, of which its sum has nothing. Returns the residual. */
static nde_real rotate(const nde_gmres *g, size_t j, size_t b) {
    for (size_t i = 0; i < j; i++) {
        nde_real *x = entry(g, i, j) + b, *y = entry(g, i + 1, j) + b;
        const nde_real c = cosine(g, i)[b], s = sine(g, i)[b], above = c**x + s**y;
        *y = c**y - s**x, *x = above;
    }
    nde_real *x = entry(g, j, j) + b;
    const nde_real y = entry(g, j + 1, j)[b], length = (nde_real)hypot((double)*x, (double)y);
    const bool none = !(length > 0);
    const nde_real c = none ? 1 : *x/length, s = none ? 0 : y/length, last = side(g, j)[b];
    *x = none ? 1 : length;
    cosine(g, j)[b] = c, sine(g, j)[b] = s;
    side(g, j)[b] = none ? 0 : c*last, side(g, j + 1)[b] = none ? last : -s*last;
    return (nde_real)fabs((double)side(g, j + 1)[b]);
}

/* x += V w, H w = right-hand side, from the first `count` columns. */
static void collect(const nde_gmres *g, size_t count, nde_real *x) {
    for (size_t j = count; j-- > 0;)
        for (size_t b = 0; b < g->n; b++) {
            nde_real sum = side(g, j)[b];
            for (size_t i = j + 1; i < count; i++) sum -= entry(g, j, i)[b]*weight(g, i)[b];
            weight(g, j)[b] = sum/entry(g, j, j)[b];
        }
    for (size_t j = 0; j < count; j++) nde_lane_add(g->dim, g->n, g->ld, weight(g, j), 1, vector(g, j), x);
}

/* Sets vector j of a lane to zero: it has no part in what follows. */
static void retire(const nde_gmres *g, size_t j, size_t b) {
    for (size_t i = 0; i < g->dim; i++) vector(g, j)[i*g->ld + b] = 0;
}

/* One cycle: adds to x, and subtracts A times that from b. *products counts. Returns what apply returned. */
static int cycle(const nde_gmres *g, nde_real *b, const nde_real *goal, nde_real *x, size_t *products, bool *more) {
    nde_real *v = vector(g, 0);
    memcpy(v, b, g->dim*g->ld*sizeof *v);
    nde_lane_normalise(g->dim, g->n, g->ld, v, side(g, 0));
    for (size_t l = 0; l < g->n; l++)
        if (!(side(g, 0)[l] > goal[l]*size_of_b(g)[l])) retire(g, 0, l), side(g, 0)[l] = 0;
    size_t j = 0;
    *more = true;
    for (; j < g->memory && *products < g->most && *more; j++) {
        for (size_t l = 0; l < g->n && g->products; l++) g->products[l] += side(g, j)[l] > goal[l]*size_of_b(g)[l];
        const int rc = extend(g, j);
        if (rc) return rc;
        ++*products, *more = false;
        for (size_t l = 0; l < g->n; l++)
            if (rotate(g, j, l) > goal[l]*size_of_b(g)[l]) *more = true;
            else retire(g, j + 1, l);
    }
    nde_real *sum = vector(g, g->memory);
    memset(sum, 0, g->dim*g->ld*sizeof *sum);
    collect(g, j, sum);
    for (size_t i = 0; i < g->dim*g->ld; i += g->ld) NDE_LANES(l, g->n) x[i + l] += sum[i + l];
    const int rc = g->apply(g->ctx, sum, v);
    for (size_t i = 0; i < g->dim*g->ld; i += g->ld) NDE_LANES(l, g->n) b[i + l] -= v[i + l];
    ++*products;
    return rc;
}

/* norm [n] = |x|. */
static void measure(const nde_gmres *g, const nde_real *x, nde_real *norm) {
    nde_lane_dots(g->dim, g->n, g->ld, x, x, norm);
    for (size_t l = 0; l < g->n; l++) norm[l] = (nde_real)sqrt((double)norm[l]);
}

int nde_gmres_solve(const nde_gmres *g, nde_real *b, nde_real *goal, nde_real *x) {
    nde_real *norm = size_of_b(g), *left = factor(g);
    memset(x, 0, g->dim*g->ld*sizeof *x);
    measure(g, b, norm);
    size_t products = 0;
    for (bool more = true; more;) {
        const int rc = cycle(g, b, goal, x, &products, &more);
        if (rc) return rc;
        measure(g, b, left);
        more = false;
        for (size_t l = 0; l < g->n; l++) more = more || left[l] > goal[l]*norm[l];
        more = more && products < g->most;
    }
    for (size_t l = 0; l < g->n; l++) goal[l] = norm[l] == 0 ? 0 : left[l]/norm[l];
    return 0;
}
