/* SPDX-License-Identifier: MIT
 * kernel.c - sums of normals over cells on a chunk of lanes. Compiled once for each instruction set: see core/isa.h. Two loops
 * with an array between them: Philox in native vectors, Box-Muller left to the compiler, which vectorises it. */
#include "noise/kernel.h"
#include "core/isa.h"
#include "noise/normal.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

nde_noise_kernel NDE_ISA_NAME(nde_noise_kernel);

/* Words of Philox in 64-bit lanes; their upper halves hold rubbish, which no product reads. */
typedef uint64_t words __attribute__((vector_size(NDE_VECTOR_BYTES)));
enum { WORDS = NDE_VECTOR_BYTES/8 };

/* The product of the lower halves. gcc 12 and clang 14 find this instruction by themselves only behind many shuffles. */
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

/* even, odd [n]: the two halves of the blocks of (component, position + cell): nde_philox of nde_counter. */
static void blocks(const nde_noise_chunk *chunk, uint64_t component, uint64_t cell, uint64_t *even, uint64_t *odd) {
    const nde_block zero = nde_counter(NDE_PURPOSE_W, 0, 0, component);
    const words none = { 0 }, m0 = none + 0xD2511F53u, m1 = none + 0xCD9E8D57u;
    for (size_t b = 0; b < chunk->n; b += WORDS) {
        const words trajectory = load(chunk->trajectory + b), position = load(chunk->first + b) + cell;
        words x0 = none + zero.x[0], x1 = position, x3 = trajectory;
        words x2 = (position >> 32 & 0xffff) | (trajectory >> 32 & 0xffff) << 16;
        uint32_t k0 = (uint32_t)chunk->seed, k1 = (uint32_t)(chunk->seed >> 32);
        for (int round = 0; round < 10; round++) {
            const words p = product(x0, m0), q = product(x2, m1);
            x0 = q >> 32 ^ x1 ^ (none + k0), x1 = q;
            x2 = p >> 32 ^ x3 ^ (none + k1), x3 = p;
            k0 += 0x9E3779B9u, k1 += 0xBB67AE85u;
        }
        store(even + b, (x0 & 0xffffffff) | x1 << 32);
        store(odd + b, (x2 & 0xffffffff) | x3 << 32);
    }
}

void NDE_ISA_NAME(nde_noise_kernel)(const nde_noise_chunk *chunk, uint64_t component, double *restrict even,
                                    double *restrict odd) {
    const size_t n = chunk->n;
    uint64_t even_bits[NDE_NOISE_CHUNK], odd_bits[NDE_NOISE_CHUNK];
    for (size_t b = 0; b < n; b++) even[b] = odd[b] = 0;
    for (uint64_t cell = 0; cell < chunk->count; cell++) {
        blocks(chunk, component, cell, even_bits, odd_bits);
        for (size_t b = 0; b < n; b++) {
            double z0, z1;
            nde_box_muller(even_bits[b], odd_bits[b], &z0, &z1);
            even[b] += (chunk->scale[b]*z0 + chunk->round[b]) - chunk->round[b];
            odd[b] += (chunk->scale[b]*z1 + chunk->round[b]) - chunk->round[b];
        }
    }
}
