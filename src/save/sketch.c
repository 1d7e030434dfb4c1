/* SPDX-License-Identifier: MIT
 * sketch.c - quantiles of numbers that are not kept. Source: C. Masson, J. Rim, H. Lee, DDSketch, Proc. VLDB Endow. 12 (2019)
 * 2195-2205; here the logarithm is piecewise linear, as the doubles themselves are. */
#include "save/sketch.h"

#include <math.h>
#include <string.h>

#include "core/bits.h"

enum { TOP, SMALL, FIRST }; /* counters: key of the highest bucket; numbers below the window; then key % window of each sign */

nde_buckets nde_buckets_make(double error, int octaves) {
    int bits = 0;
    while (ldexp(0.5, -bits) > error) bits++;
    return (nde_buckets){ .bits = bits, .window = (uint32_t)octaves << bits };
}

size_t nde_sketch_size(const nde_buckets *of) { return FIRST + 2*(size_t)of->window; }

/* Grows with the magnitude, by one from bucket to bucket. */
static uint32_t key_of(const nde_buckets *of, double x) { return (uint32_t)(nde_bits_of(fabs(x)) >> (52 - of->bits)); }

/* The smallest magnitude in a bucket. */
static double edge(const nde_buckets *of, uint32_t key) { return nde_from_bits((uint64_t)key << (52 - of->bits)); }

static uint32_t *counter(const nde_buckets *of, uint32_t *sketch, int negative, uint32_t key) {
    return &sketch[FIRST + (negative ? of->window : 0) + key % of->window];
}

/* Lets the window end at a higher key: what falls out at its other end is small. */
static void raise_to(const nde_buckets *of, uint32_t *sketch, uint32_t top) {
    for (uint32_t k = 0; k < of->window && sketch[TOP] + k < top; k++)
        for (int negative = 0; negative < 2; negative++) {
            uint32_t *gone = counter(of, sketch, negative, sketch[TOP] + 1 + k);
            sketch[SMALL] += *gone;
            *gone = 0;
        }
    sketch[TOP] = top;
}

static void count(const nde_buckets *of, uint32_t *sketch, int negative, uint32_t key, uint32_t many) {
    *(sketch[TOP] - key < of->window ? counter(of, sketch, negative, key) : &sketch[SMALL]) += many;
}

void nde_sketch_add(const nde_buckets *of, uint32_t *sketch, double x) {
    const uint32_t key = key_of(of, x);
    if (key > sketch[TOP]) raise_to(of, sketch, key);
    count(of, sketch, x < 0, key, 1);
}

/* The k-th key from the top; false where magnitudes end. */
static int key_below(const uint32_t *sketch, uint32_t k, uint32_t *key) {
    *key = sketch[TOP] - k;
    return k <= sketch[TOP];
}

void nde_sketch_merge(const nde_buckets *of, uint32_t *sketch, const uint32_t *other) {
    if (other[TOP] > sketch[TOP]) raise_to(of, sketch, other[TOP]);
    sketch[SMALL] += other[SMALL];
    for (int negative = 0; negative < 2; negative++)
        for (uint32_t k = 0, key; k < of->window && key_below(other, k, &key); k++)
            count(of, sketch, negative, key, other[FIRST + (negative ? of->window : 0) + key % of->window]);
}

/* The middle of a bucket that has numbers between least and greatest. */
static double middle(const nde_buckets *of, int negative, uint32_t key, double least, double greatest) {
    const double x = 0.5*edge(of, key) + 0.5*edge(of, key + 1);
    return fmax(least, fmin(greatest, negative ? -x : x));
}

double nde_sketch_value(const nde_buckets *of, const uint32_t *sketch, uint64_t rank, uint64_t all, double least,
                        double greatest) {
    uint32_t key;
    uint64_t below = 0;
    if (rank >= all) return greatest;
    if (rank <= 1) return least;
    for (uint32_t k = 0; k < of->window && key_below(sketch, k, &key); k++)
        if ((below += sketch[FIRST + of->window + key % of->window]) >= rank) return middle(of, 1, key, least, greatest);
    if ((below += sketch[SMALL]) >= rank) return fmax(least, fmin(greatest, 0));
    for (uint32_t k = of->window; k-- > 0;)
        if (key_below(sketch, k, &key) && (below += sketch[FIRST + key % of->window]) >= rank)
            return middle(of, 0, key, least, greatest);
    return greatest;
}
