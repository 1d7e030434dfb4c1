/* SPDX-License-Identifier: MIT
 * kernel.h - what is drawn from the generator, compiled for each instruction set; equal bits in all of them. */
#ifndef NDE_NOISE_KERNEL_H
#define NDE_NOISE_KERNEL_H

#include "noise/noise.h"

/* Lanes of a tree that do the same: rows of theirs begin at `levels` plus numbers of each, and are ld apart; H and K stand
 * m rows apart. Together: lanes stand beside each other and are at one place, and only entries 0 are there. */
typedef struct nde_tree_lanes {
    size_t m, n, levy, ld; /* n <= NDE_NOISE_PIECE */
    bool together;
    double *levels;
} nde_tree_lanes;

/* Intervals that are cut at r times their length; the law is in tree.c. */
typedef struct nde_tree_halves {
    nde_tree_lanes lanes;
    const double *z; /* [levy][m][NDE_NOISE_PIECE] normals */
    double r[NDE_NOISE_PIECE], length[NDE_NOISE_PIECE];
    double round[NDE_NOISE_PIECE]; /* adding and subtracting it rounds to the unit of W */
    size_t begin[NDE_NOISE_PIECE], end[NDE_NOISE_PIECE]; /* W at both ends */
    size_t areas[NDE_NOISE_PIECE]; /* H, K */
    size_t cut[NDE_NOISE_PIECE];   /* where W in between goes, then H, K of the left part, H, K of the right one */
} nde_tree_halves;

/* Sums of W, H and K over r of an interval, to which the rest of it is added. Of lanes together, sums over nothing need not be
 * there: r is 0. Without H, W is that of all: r, the sum and areas are not read. */
typedef struct nde_tree_sums {
    nde_tree_lanes lanes;
    const double *start; /* [m][NDE_NOISE_PIECE]: W where the sums begin */
    double *sum[3];      /* [m][sum_ld]; NULL: no K, nor H */
    size_t sum_ld;
    double r[NDE_NOISE_PIECE];
    size_t lane[NDE_NOISE_PIECE]; /* of start and sums */
    size_t end[NDE_NOISE_PIECE], areas[NDE_NOISE_PIECE]; /* W at the end of the rest, its H, K */
} nde_tree_sums;

typedef struct nde_noise_kernels {
    /* nde_noise_cells. */
    void (*cells)(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                  const double *cell, const int64_t *first, int64_t count, double *w, double *h, double *k);
    /* z [sets][m][NDE_NOISE_PIECE]: normals of a purpose at position [n], to which set 0, 1, 2 adds its number times 2^46;
     * n <= NDE_NOISE_PIECE. */
    void (*normals)(uint64_t seed, unsigned purpose, size_t m, size_t n, const size_t *trajectory, const uint64_t *position,
                    size_t sets, double *z);
    void (*halve)(const nde_tree_halves *parts);
    void (*append)(const nde_tree_sums *to);
} nde_noise_kernels;

void nde_tree_halve_baseline(const nde_tree_halves *parts);
void nde_tree_halve_v3(const nde_tree_halves *parts);
void nde_tree_halve_v4(const nde_tree_halves *parts);
void nde_tree_append_baseline(const nde_tree_sums *to);
void nde_tree_append_v3(const nde_tree_sums *to);
void nde_tree_append_v4(const nde_tree_sums *to);

extern const nde_noise_kernels nde_noise_kernels_baseline, nde_noise_kernels_v3, nde_noise_kernels_v4;

/* Those of an instruction set (NDE_ISA_AUTO: the best of this machine); NULL when it was not compiled in or the machine
 * lacks it. */
const nde_noise_kernels *nde_noise_kernels_get(int isa);

#endif
