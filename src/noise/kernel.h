/* SPDX-License-Identifier: MIT
 * kernel.h - what is drawn from the generator, compiled for each instruction set; equal bits in all of them. */
#ifndef NDE_NOISE_KERNEL_H
#define NDE_NOISE_KERNEL_H

#include "noise/noise.h"

/* Intervals of a tree, of n lanes and m components, that are cut at r times their length: rows [m] of W at the start, W, H and
 * K in `from`, and W, H, K of the parts; normals z [levy][m][NDE_NOISE_PIECE]. The law is in tree.c. */
typedef struct nde_tree_halves {
    size_t m, n, levy;
    double r, length, round; /* adding and subtracting round rounds to the unit of W */
    const double *z, *from;
    double *left, *right;
    double *begin; /* [m][ld] of W where the left part begins (stays: r is 1/2), or the right one */
    bool stays;    /* else the left part is written with H alone: sums of W need none */
    size_t ld, left_ld, right_ld;
} nde_tree_halves;

/* Sums of W, H and K over r of an interval, and over the rest of it w, h, k; K, h and k NULL: not wanted, zero. */
typedef struct nde_tree_sum {
    size_t m, n;
    double r, *sum[3];
    size_t sum_ld;
    const double *w, *h, *k;
    size_t ld;
} nde_tree_sum;

typedef struct nde_noise_kernels {
    /* nde_noise_cells. */
    void (*cells)(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                  const double *cell, const int64_t *first, int64_t count, double *w, double *h, double *k);
    /* z [sets][m][NDE_NOISE_PIECE]: normals of a purpose at position [n], to which set 0, 1, 2 adds its number times 2^46;
     * n <= NDE_NOISE_PIECE. */
    void (*normals)(uint64_t seed, unsigned purpose, size_t m, size_t n, const size_t *trajectory, const uint64_t *position,
                    size_t sets, double *z);
    void (*halve)(const nde_tree_halves *parts);
    /* From a left half on to the right one: level [m][ld] of W at its beginning, W, H, K of it, W, H, K of the other. */
    void (*pass)(size_t m, size_t n, size_t levy, size_t ld, double *level);
    void (*append)(const nde_tree_sum *to); /* the sums become those of both */
} nde_noise_kernels;

void nde_tree_halve_baseline(const nde_tree_halves *parts);
void nde_tree_halve_v3(const nde_tree_halves *parts);
void nde_tree_halve_v4(const nde_tree_halves *parts);
void nde_tree_pass_baseline(size_t m, size_t n, size_t levy, size_t ld, double *level);
void nde_tree_append_baseline(const nde_tree_sum *to);
void nde_tree_pass_v3(size_t m, size_t n, size_t levy, size_t ld, double *level);
void nde_tree_append_v3(const nde_tree_sum *to);
void nde_tree_pass_v4(size_t m, size_t n, size_t levy, size_t ld, double *level);
void nde_tree_append_v4(const nde_tree_sum *to);

extern const nde_noise_kernels nde_noise_kernels_baseline, nde_noise_kernels_v3, nde_noise_kernels_v4;

/* Those of an instruction set (NDE_ISA_AUTO: the best of this machine); NULL when it was not compiled in or the machine
 * lacks it. */
const nde_noise_kernels *nde_noise_kernels_get(int isa);

#endif
