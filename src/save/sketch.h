/* SPDX-License-Identifier: MIT
 * sketch.h - quantiles of numbers that are not kept: only how many of them fell into each bucket. Buckets are the doubles
 * that share sign, exponent and the first bits of the mantissa, so that the one of a number is a matter of its bits; a
 * window of them hangs below the largest magnitude so far, and what is smaller counts as zero. Counts are whole numbers
 * and the window depends on the largest magnitude alone: neither the order of the numbers nor the order of merges changes
 * a bit. */
#ifndef NDE_SKETCH_H
#define NDE_SKETCH_H

#include <stddef.h>
#include <stdint.h>

typedef struct nde_buckets {
    int bits;        /* of the mantissa: a bucket is 2^-bits of its octave */
    uint32_t window; /* buckets of each sign */
} nde_buckets;

/* Buckets so narrow that the middle of one is at most `error` |x| from each x in it. */
nde_buckets nde_buckets_make(double error, int octaves);
/* Counters of one sketch; all zero is an empty one. */
size_t nde_sketch_size(const nde_buckets *buckets);
/* x is finite. */
void nde_sketch_add(const nde_buckets *buckets, uint32_t *sketch, double x);
void nde_sketch_merge(const nde_buckets *buckets, uint32_t *sketch, const uint32_t *other);
/* The value of a rank in [1, count], of which rank 1 is `least` and rank count `greatest`. */
double nde_sketch_value(const nde_buckets *buckets, const uint32_t *sketch, uint64_t rank, uint64_t count, double least,
                        double greatest);

#endif
