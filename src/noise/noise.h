/* SPDX-License-Identifier: MIT
 * noise.h - what a Brownian path does over a step: a pure function of (seed, trajectory, component, times). No real type:
 * always double.
 *
 * Letters: W increment over a step of length h; H = (1/h) int_0^h (W_s - s/h W) ds, K = (1/h^2) int_0^h (W_s - s/h W)(h/2 - s) ds:
 * independent, normal, of variance h, h/12 and h/720. */
#ifndef NDE_NOISE_H
#define NDE_NOISE_H

#include "core/core.h"

/* The steps of n lanes. */
typedef struct nde_noise_at {
    size_t n, ld;
    const size_t *trajectory; /* [n] */
    const double *t0, *t1;    /* [n] the whole span of each */
    const double *s, *t;      /* [n] the step, s <= t */
    const int64_t *first;     /* [n] its first cell */
    int64_t count, grid;      /* its cells, the cells of the whole span: > 0 */
} nde_noise_at;

/* w, h, k [m][ld]: W, H and K of each step; h and k NULL: not wanted, k only beside h. noise has been read by
 * nde_noise_read. */
void nde_noise_over(const nde_noise *noise, const nde_noise_at *at, size_t m, double *w, double *h, double *k);

/* The same on a grid: over `count` cells of length cell [n] > 0 from cell first [n] on; grid sets the rounding unit. */
void nde_noise_cells(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                     const double *cell, const int64_t *first, int64_t count, double *w, double *h, double *k);
/* W alone. */
void nde_noise_increment(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                         const double *cell, const int64_t *first, int64_t count, double *dw);

/* noise in today's layout. Errors: NDE_E_ARG, NDE_E_SIZE (text set). */
nde_status nde_noise_read(nde_noise *known, const nde_noise *noise);

#endif
