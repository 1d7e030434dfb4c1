/* SPDX-License-Identifier: MIT
 * noise.h - what a Brownian path does over a step: a pure function of (seed, trajectory, component, times). No real type:
 * always double.
 *
 * Letters: W increment over a step of length h; H = (1/h) int_0^h (W_s - s/h W) ds,
 * K = (1/h^2) int_0^h (W_s - s/h W)(h/2 - s) ds: independent, normal, of variance h, h/12 and h/720. */
#ifndef NDE_NOISE_H
#define NDE_NOISE_H

#include "core/core.h"

/* Lanes that are worked on together. */
enum { NDE_NOISE_PIECE = 64 };

/* The steps of n lanes. */
typedef struct nde_noise_at {
    size_t n, ld;
    const size_t *trajectory; /* [n] */
    const double *t0, *t1;    /* [n] the whole span of each, t0 < t1 */
    const double *s, *t;      /* [n] the step, s <= t; of a tree */
    const int64_t *first;     /* [n] its first cell; not of a tree */
    int64_t count, grid;      /* its cells, the cells of the whole span: > 0; not of a tree */
    size_t N;                 /* trajectories of the problem; of stored increments */
    int isa;                  /* NDE_ISA_*: whose kernels; their bits are the same */
    void *work;               /* nde_noise_bytes of it, for `room` lanes; lane b is best the same lane in the next call */
    size_t room;
} nde_noise_at;

/* w, h, k [m][ld]: W, H and K of each step; h and k NULL: not wanted, k only beside h. noise has been read by
 * nde_noise_read, and its levy says at least what is wanted. */
void nde_noise_over(const nde_noise *noise, const nde_noise_at *at, size_t m, double *w, double *h, double *k);
/* W of steps of one stored cell, the same one of trajectories that follow each other: where it is stored, rows [m] that stand
 * at->N apart. NULL: the steps are not such. */
const double *nde_noise_stored(const nde_noise *noise, const nde_noise_at *at, size_t m);
/* The cells of a tree, as a share of the span. */
double nde_noise_cell(const nde_noise *noise);
/* The memory of `work`; SIZE_MAX: too much. It is cleared once. */
size_t nde_noise_bytes(const nde_noise *noise, size_t m, size_t lanes);
void nde_noise_clear(const nde_noise *noise, void *work, size_t lanes);

/* a [m (m - 1)/2][ld], row i (i - 1)/2 + j with j < i: A_ij = 1/2 int (W_i dW_j - W_j dW_i) over each step, approximately: as
 * noise.area says. w, h [m][ld] out too. Grid without correlation only; work: (m (m - 1)/2 + 3 m) NDE_NOISE_PIECE doubles. */
void nde_noise_area(const nde_noise *noise, const nde_noise_at *at, size_t m, double *w, double *h, double *a, double *work);

/* The same on a grid: over `count` cells of length cell [n] > 0 from cell first [n] on; grid sets the rounding unit. */
void nde_noise_cells(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                     const double *cell, const int64_t *first, int64_t count, double *w, double *h, double *k);
/* W alone. */
void nde_noise_increment(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                         const double *cell, const int64_t *first, int64_t count, double *dw);

/* noise in today's layout, with its defaults but for dim, grid and levy. Errors: NDE_E_ARG, NDE_E_SIZE (text set). */
nde_status nde_noise_read(nde_noise *known, const nde_noise *noise);
/* Is there room for m components, and is the correlation finite? Errors: NDE_E_ARG, NDE_E_SIZE (text set). */
nde_status nde_noise_check(const nde_noise *noise, size_t m);
/* Sets noise.levy to what a method needs, NDE_LEVY_*, if it is 0. Errors: NDE_E_ARG (text set): the noise does not know so
 * much. */
nde_status nde_noise_need(nde_noise *noise, int levy);

#endif
