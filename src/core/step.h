/* SPDX-License-Identifier: MIT
 * step.h - the kernels of a step on a block of lanes, compiled for each instruction set.
 *
 * Letters: n lanes, ld their distance, rows of a state or slope, k slopes: slab j at k + j*slab. All arrays are the
 * library's own: rows are ld apart, and when n > 1, ld is a multiple of 64 bytes and kernels may read and write the padding.
 * h is one step size a lane, already in nde_real. A lane's bits are the same in every kernel, block and instruction set:
 * products and sums are never fused, and sums run over slopes in index order. */
#ifndef NDE_STEP_H
#define NDE_STEP_H

#include <float.h>

#include "nde/real.h"
#include "core/core.h"

/* The non-zero weights of one row of a tableau. */
typedef struct nde_row {
    int count;
    const int *index;       /* [count] slopes, ascending */
    const nde_real *weight; /* [count] */
} nde_row;

typedef struct nde_tolerance {
    double rtol, atol;
    const double *atol_each; /* [dim] or NULL */
} nde_tolerance;
static inline double nde_tolerance_at(const nde_tolerance *t, size_t i, double size) {
    return (t->atol_each ? t->atol_each[i] : t->atol) + t->rtol*size;
}

/* How errors are measured where it is not the sum of squares over rows to one tolerance. Any may be NULL: as in
 * nde_tolerance, 1. */
typedef struct nde_measurement {
    const double *rtol, *atol; /* [n] of each lane */
    const double *weight;      /* [rows] factors; with 0 a row is left out */
    bool largest;              /* the largest square instead of the sum */
} nde_measurement;

typedef struct nde_multipliers {
    double w, area, root, twice, thrice;
} nde_multipliers;

static inline bool nde_any_multiplier(const nde_multipliers *m) {
    return m->w != 0 || m->area != 0 || m->root != 0 || m->twice != 0 || m->thrice != 0;
}

/* Of a step: r = W/h and a, the integral of W over h^2, [rows][ld]; sqrt(h) and its inverse, [n], both 0 where h is not > 0. */
typedef struct nde_driven {
    nde_multipliers by;
    size_t rows;
    const nde_real *r, *a, *root, *inverse;
} nde_driven;

typedef struct nde_step_kernels {
    /* z = y + sum_j (h w_j) k_j */
    void (*combine)(size_t rows, size_t n, size_t ld, const nde_real *h, const nde_row *row, const nde_real *k,
                    size_t slab, const nde_real *y, nde_real *z);
    /* The same with one h for all lanes, padding included: whole slabs in one loop. */
    void (*combine_equal)(size_t rows, size_t ld, nde_real h, const nde_row *row, const nde_real *k, size_t slab,
                          const nde_real *y, nde_real *z);
    /* z = y + sum_j (h w_j) m_j k_j where any of by[j] is not 0, m_j as `drive` has it for `like`; others are k_j itself.
     * d.by is not looked at; equal: all lanes have h[0], padding included. z may be y */
    void (*combine_driven)(bool equal, size_t rows, size_t n, size_t ld, const nde_real *h, const nde_row *row,
                           const nde_multipliers *by, const nde_driven *d, const nde_real *k, size_t slab, const nde_real *y,
                           nde_real *z);
    /* sum [n]: over rows of (error / tolerance)^2 where error = sum_j (h w_j) k_j and the tolerance is atol + rtol
     * max(|y|, |z|); NaN when z is not finite */
    void (*error)(size_t rows, size_t n, size_t ld, const nde_real *h, const nde_row *row, const nde_real *k,
                  size_t slab, const nde_real *y, const nde_real *z, const nde_tolerance *tolerance, double *sum);
    /* sum [n]: 0; NaN when z is not finite */
    void (*finite)(size_t rows, size_t n, size_t ld, const nde_real *z, double *sum);
    /* Errors, measured so; with row->count = 0 too. */
    void (*measure)(size_t rows, size_t n, size_t ld, const nde_real *h, const nde_row *row, const nde_real *k, size_t slab,
                    const nde_real *y, const nde_real *z, const nde_tolerance *tolerance, const nde_measurement *how,
                    double *sum);
    /* y = accept ? z : y */
    void (*blend)(size_t rows, size_t n, size_t ld, const nde_real *accept, const nde_real *z, nde_real *y);
    /* y += (h w) x */
    void (*accumulate)(size_t rows, size_t n, size_t ld, const nde_real *h, nde_real w, const nde_real *x, nde_real *y);
    /* d [n] += w sum_rows x y */
    void (*dot)(size_t rows, size_t n, size_t ld, double w, const nde_real *x, const nde_real *y, double *d);
    /* z = x y and z = y0 + x y, entry by entry; z may be x, or y0 */
    void (*multiply)(size_t rows, size_t n, size_t ld, const nde_real *x, const nde_real *y, nde_real *z);
    void (*multiply_add)(size_t rows, size_t n, size_t ld, const nde_real *x, const nde_real *y, const nde_real *y0,
                         nde_real *z);
    /* z = f x, and z = f (x + y/2), f [n]; rows of the first x stand ldx apart */
    void (*scale)(size_t rows, size_t n, size_t ld, const double *f, const double *x, size_t ldx, nde_real *z);
    void (*scale_sum)(size_t rows, size_t n, size_t ld, const double *f, const double *x, const double *y, nde_real *z);
    /* z = m x, or that added to z, x NULL: 1; m is what a stage of a stochastic method multiplies its noise with, over h:
     * m = w r + area a + (root + twice (x^2 - 1)/2 + thrice (x^3 - 3 x)/6)/sqrt(h) with x = r sqrt(h), of row i modulo d.rows;
     * `like`: m sqrt(h), without the quotient. 0 where h is not > 0, but not of `like`. z may be x */
    void (*drive)(size_t rows, size_t n, size_t ld, const nde_driven *d, bool like, const nde_real *x, bool adds, nde_real *z);
} nde_step_kernels;

/* Two sums of nde_step_kernels.error, of an estimate and of one of lower order, as one: the square of |e|^2/sqrt(|e|^2 +
 * |e2|^2/100). Source: E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I (1993), II.10 (10.17). */
static inline double nde_error_of_two(double e, double e2) {
    return e > 0 && e <= DBL_MAX && e2 <= DBL_MAX ? e*(e/(e + 0.01*e2)) : e; /* NaN stays */
}

extern const nde_step_kernels nde_step_kernels_baseline;
extern const nde_step_kernels nde_step_kernels_v3;
extern const nde_step_kernels nde_step_kernels_v4;

#endif
