/* SPDX-License-Identifier: MIT
 * fold.h - W, H and K of a step out of those of its cells, all of one length.
 *
 * Over N cells, with S_k = W_0 + ... + W_(k-1) and X_k = S_k + W_k/2 + H_k, the mean of the path over cell k,
 *   H = (1/N) sum X_k - S_N/2
 *   K = (1/N^2) sum ((N - 1)/2 - k) X_k + (1/N^2) sum K_k + S_N (1 - 1/N^2)/12
 * whose sums are taken in two doubles: what cancels leaves H and K right to an ulp or two. */
#ifndef NDE_FOLD_H
#define NDE_FOLD_H

#include "noise/noise.h"
#include "noise/pair.h"

/* For one component of up to a piece of lanes: S; sums of X and of their prefix sums, in two doubles; the sum of K. Begins
 * as zeros. */
typedef struct nde_fold {
    double s[NDE_NOISE_PIECE], x[2][NDE_NOISE_PIECE], xx[2][NDE_NOISE_PIECE], k[NDE_NOISE_PIECE];
} nde_fold;

/* The next cell into the sums; its W, H and K stand in w, h and k. */
static inline void nde_fold_cell(nde_fold *a, size_t n, const double *w, const double *h, const double *k) {
    for (size_t b = 0; b < n; b++) {
        nde_pair x = { a->x[0][b], a->x[1][b] };
        const nde_pair xx = nde_pair_add((nde_pair){ a->xx[0][b], a->xx[1][b] }, x);
        x = nde_pair_add(x, nde_pair_sum(a->s[b] + 0.5*w[b], h[b]));
        a->x[0][b] = x.high, a->x[1][b] = x.low;
        a->xx[0][b] = xx.high, a->xx[1][b] = xx.low;
        a->s[b] += w[b];
        a->k[b] += k[b];
    }
}

static inline void nde_fold_end(const nde_fold *a, size_t n, uint64_t count, double *w, double *h, double *k) {
    const double N = (double)count, square = N*N;
    for (size_t b = 0; b < n; b++) {
        const nde_pair x = { a->x[0][b], a->x[1][b] }, xx = { a->xx[0][b], a->xx[1][b] };
        const nde_pair level = nde_pair_product(a->s[b], -0.5*N), rest = nde_pair_product(a->s[b], square - 1);
        w[b] = a->s[b];
        h[b] = nde_pair_add(x, level).high/N;
        if (!k) continue;
        nde_pair sum = nde_pair_add(nde_pair_times(xx, 12), nde_pair_times(x, -6*(N - 1)));
        sum = nde_pair_add(sum, rest);
        k[b] = nde_pair_add(sum, nde_pair_product(a->k[b], 12)).high/(12*square);
    }
}

#endif
