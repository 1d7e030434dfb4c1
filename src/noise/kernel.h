/* SPDX-License-Identifier: MIT
 * kernel.h - sums of normals over cells on a chunk of lanes, compiled for each instruction set; equal bits in all of them. */
#ifndef NDE_NOISE_KERNEL_H
#define NDE_NOISE_KERNEL_H

#include <stddef.h>
#include <stdint.h>

#include "nde/base.h"

enum { NDE_NOISE_CHUNK = 64, NDE_NOISE_STRIDE = 8 }; /* lanes; of the widest vector */

/* What a chunk of n <= NDE_NOISE_CHUNK lanes needs. Trajectory and first are read, but not used, up to a multiple of
 * NDE_NOISE_STRIDE.
 *   scale  standard deviation of a cell's increment
 *   round  1.5 2^52 units: adding and subtracting it rounds to a multiple of the unit */
typedef struct nde_noise_chunk {
    size_t n;
    uint64_t seed, count;                             /* count: cells */
    uint64_t trajectory[NDE_NOISE_CHUNK], first[NDE_NOISE_CHUNK];
    double scale[NDE_NOISE_CHUNK], round[NDE_NOISE_CHUNK];
} nde_noise_chunk;

/* even, odd [n]: sums over the cells of the rounded increments of components `component` (even) and component + 1. */
typedef void nde_noise_kernel(const nde_noise_chunk *chunk, uint64_t component, double *restrict even, double *restrict odd);

extern nde_noise_kernel nde_noise_kernel_baseline, nde_noise_kernel_v3, nde_noise_kernel_v4;

#endif
