/* SPDX-License-Identifier: MIT
 * singles.h - normals of 32 bits alone, by the loops of each instruction set. */
#ifndef NDE_BENCH_SINGLES_H
#define NDE_BENCH_SINGLES_H

#include <stddef.h>
#include <stdint.h>

/* z [m][NDE_NOISE_PIECE], m a multiple of 4, n <= NDE_NOISE_PIECE. */
typedef void bench_singles(uint64_t seed, size_t m, size_t n, const size_t *trajectory, const uint64_t *position, float *z);
bench_singles bench_singles_baseline, bench_singles_v3, bench_singles_v4;

#endif
