/* SPDX-License-Identifier: MIT
 * area.c - the full Levy area, approximately: A_ij = 1/2 int (W_i dW_j - W_j dW_i). Of a cell it is
 * H_i W_j - W_i H_j + L_ij, where L is a normal that has, given W and H, the variance of what is left over of the area:
 *   Davie   h^2/12, the mean of that variance
 *   Foster  h^2/20 + (h/5)(H_i^2 + H_j^2), that variance itself
 * Areas of adjoining cells add up by Chen's relation, so that coarse and fine steps see one path.
 * Sources: A. Davie, KMS approximation of stochastic differential equations (2014), 5; J. Foster, Numerical approximations for
 * stochastic differential equations, thesis, Oxford (2020), 7.1. */
#include <math.h>
#include <string.h>

#include "noise/kernel.h"

enum { PIECE = NDE_NOISE_PIECE };

/* Of one cell; w, h [m][PIECE] of it, z [pairs][PIECE] normals, before [m][PIECE] W from the beginning of the step to it. */
static void add_cell(const nde_noise *noise, size_t m, size_t n, size_t ld, const double *cell, const double *w,
                     const double *h, const double *z, const double *before, double *a) {
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < i; j++, a += ld, z += PIECE)
            for (size_t b = 0; b < n; b++) {
                const double wi = w[i*PIECE + b], wj = w[j*PIECE + b], hi = h[i*PIECE + b], hj = h[j*PIECE + b], c = cell[b];
                const double variance = noise->area == NDE_AREA_DAVIE ? c*c/12 : c*c/20 + 0.2*c*(hi*hi + hj*hj);
                const double chen = 0.5*(before[i*PIECE + b]*wj - before[j*PIECE + b]*wi);
                a[b] += chen + (hi*wj - wi*hj + sqrt(variance)*z[b]);
            }
}

void nde_noise_area(const nde_noise *noise, const nde_noise_at *at, size_t m, double *w, double *h, double *a, double *work) {
    const size_t pairs = m*(m - 1)/2, ld = at->ld;
    double *before = work, *one = before + m*PIECE, *z = one + 2*m*PIECE;
    const nde_noise_kernels *kernels = nde_noise_kernels_get(at->isa);
    nde_noise_over(noise, at, m, w, h, NULL);
    for (size_t begin = 0; begin < at->n; begin += PIECE) {
        const size_t n = at->n - begin < PIECE ? at->n - begin : PIECE;
        size_t trajectory[PIECE];
        uint64_t position[PIECE];
        int64_t first[PIECE];
        double cell[PIECE];
        for (size_t b = 0; b < n; b++) {
            trajectory[b] = at->trajectory[begin + b] >> (noise->antithetic ? 1 : 0);
            cell[b] = (at->t1[begin + b] - at->t0[begin + b])/(double)at->grid;
        }
        memset(before, 0, m*PIECE*sizeof *before);
        for (size_t i = 0; i < pairs; i++) memset(a + i*ld + begin, 0, n*sizeof *a);
        for (int64_t j = 0; j < at->count; j++) {
            for (size_t b = 0; b < n; b++) position[b] = (uint64_t)(first[b] = at->first[begin + b] + j);
            kernels->cells(noise, at->grid, m, n, PIECE, trajectory, cell, first, 1, one, one + m*PIECE, NULL);
            kernels->normals(noise->seed, NDE_PURPOSE_AREA, pairs, n, trajectory, position, 1, z);
            add_cell(noise, m, n, ld, cell, one, one + m*PIECE, z, before, a + begin); /* even in the path: pairs share it */
            for (size_t i = 0; i < m*PIECE; i++) before[i] += one[i];
        }
    }
}
