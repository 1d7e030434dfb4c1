/* SPDX-License-Identifier: MIT
 * kernel.c - increments of the Brownian path of a grid, on lanes. Compiled once for each
 * instruction set: see core/isa.h.
 *
 * The increment of a cell is sqrt(cell)*z, rounded to a multiple of 2^(e - 44), where 2^e is the
 * least power of two >= sqrt(span) and span is the length of the grid. W stays far below 2^(e + 9),
 * so that every sum of increments is exact in double: over adjoining cells they add up to the bit,
 * in any order. The rounding is 2^-44 sqrt(span) at most, 10^-13 of what W does over the span. */
#include "noise/kernel.h"
#include "core/isa.h"
#include "noise/normal.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

nde_noise_kernel NDE_ISA_NAME(nde_noise_kernel);

/* Words of Philox in 64-bit lanes; their upper halves hold rubbish, which no product reads. */
typedef uint64_t words __attribute__((vector_size(NDE_VECTOR_BYTES)));
enum { WORDS = NDE_VECTOR_BYTES/8, CHUNK = 64 };

/* Lanes that are worked on together; trajectory and first are filled up to a whole vector. */
typedef struct chunk {
    size_t n;
    uint64_t seed;
    uint64_t trajectory[CHUNK], first[CHUNK];
    /* deviation of a cell; 1.5 2^52 units: adding and subtracting it rounds to a unit */
    double scale[CHUNK], round[CHUNK];
} chunk;

/* The product of the lower halves. gcc 12 and clang 14 find this instruction by themselves only
 * behind many shuffles. */
static inline words product(words a, words b) {
#if defined(__AVX512F__)
    return (words)_mm512_mul_epu32((__m512i)a, (__m512i)b);
#elif defined(__AVX2__)
    return (words)_mm256_mul_epu32((__m256i)a, (__m256i)b);
#elif defined(__SSE2__)
    return (words)_mm_mul_epu32((__m128i)a, (__m128i)b);
#else
    return (a & 0xffffffff)*(b & 0xffffffff);
#endif
}

static inline words load(const uint64_t *x) { words v; memcpy(&v, x, sizeof v); return v; }
static inline void store(uint64_t *x, words v) { memcpy(x, &v, sizeof v); }

/* even, odd [n]: the two halves of the blocks of (component, first + cell): nde_philox of
 * nde_counter, in vectors. */
static void draw(const chunk *lanes, uint64_t component, uint64_t cell, uint64_t *even,
                 uint64_t *odd) {
    const words none = { 0 }, m0 = none + 0xD2511F53u, m1 = none + 0xCD9E8D57u;
    const uint32_t word0 = nde_counter(NDE_PURPOSE_W, 0, 0, component).x[0];
    for (size_t b = 0; b < lanes->n; b += WORDS) {
        const words trajectory = load(lanes->trajectory + b);
        const words position = load(lanes->first + b) + cell;
        words x0 = none + word0, x1 = position, x3 = trajectory;
        words x2 = (position >> 32 & 0xffff) | (trajectory >> 32 & 0xffff) << 16;
        uint32_t k0 = (uint32_t)lanes->seed, k1 = (uint32_t)(lanes->seed >> 32);
        for (int round = 0; round < 10; round++) {
            const words p = product(x0, m0), q = product(x2, m1);
            x0 = (q >> 32) ^ x1 ^ (none + k0), x1 = q;
            x2 = (p >> 32) ^ x3 ^ (none + k1), x3 = p;
            k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
        }
        store(even + b, (x0 & 0xffffffff) | x1 << 32);
        store(odd + b, (x2 & 0xffffffff) | x3 << 32);
    }
}

/* even, odd [n]: sums over `count` cells of the rounded increments of a component and the next,
 * which `both` asks for. Two loops with an array between them: Philox in vectors, Box-Muller left
 * to the compiler, which vectorises it. */
static inline __attribute__((always_inline)) void sums(const chunk *lanes, uint64_t component,
                                                       uint64_t count, int both,
                                                       double *restrict even,
                                                       double *restrict odd) {
    const double *scale = lanes->scale, *round = lanes->round;
    uint64_t bits[2][CHUNK];
    for (size_t b = 0; b < lanes->n; b++) even[b] = odd[b] = 0;
    for (uint64_t cell = 0; cell < count; cell++) {
        draw(lanes, component, cell, bits[0], bits[1]);
        for (size_t b = 0; b < lanes->n; b++) {
            double z0, z1;
            nde_box_muller(bits[0][b], bits[1][b], &z0, &z1);
            even[b] += (scale[b]*z0 + round[b]) - round[b];
            if (both) odd[b] += (scale[b]*z1 + round[b]) - round[b];
        }
    }
}

/* The least power of two >= x, for x normal; an x within 2^-40 above a power of two counts as it:
 * cells whose length comes from rounded times agree on the unit. */
static inline double power_of_two(double x) {
    const uint64_t up = nde_bits_of(x*(1 - 0x1p-40)) + UINT64_C(0x000fffffffffffff);
    return nde_from_bits(up & UINT64_C(0x7ff0000000000000));
}

static void fill(chunk *lanes, int64_t grid, size_t n, const size_t *trajectory, const double *cell,
                 const int64_t *first) {
    const double root = sqrt((double)grid);
    lanes->n = n;
    for (size_t b = 0; b < n; b++) {
        lanes->trajectory[b] = trajectory[b];
        lanes->first[b] = (uint64_t)first[b];
    }
    for (size_t b = n; b % WORDS; b++) lanes->trajectory[b] = lanes->first[b] = 0;
    for (size_t b = 0; b < n; b++) {
        lanes->scale[b] = sqrt(cell[b]);
        lanes->round[b] = 0x1.8p8*power_of_two(lanes->scale[b]*root);
    }
}

void NDE_ISA_NAME(nde_noise_kernel)(const nde_noise *noise, int64_t grid, size_t m, size_t n,
                                    size_t ld, const size_t *trajectory, const double *cell,
                                    const int64_t *first, int64_t count, double *dw) {
    const uint64_t cells = count > 0 ? (uint64_t)count : 0;
    chunk lanes;
    double even[CHUNK], odd[CHUNK];
    lanes.seed = noise->seed;
    for (size_t begin = 0; begin < n; begin += CHUNK) {
        const size_t width = n - begin < CHUNK ? n - begin : CHUNK;
        fill(&lanes, grid, width, trajectory + begin, cell + begin, first + begin);
        size_t i = 0;
        for (; i + 1 < m; i += 2) {
            sums(&lanes, i, cells, 1, even, odd);
            memcpy(dw + i*ld + begin, even, width*sizeof *even);
            memcpy(dw + (i + 1)*ld + begin, odd, width*sizeof *odd);
        }
        if (i == m) continue;
        sums(&lanes, i, cells, 0, even, odd);
        memcpy(dw + i*ld + begin, even, width*sizeof *even);
    }
}
