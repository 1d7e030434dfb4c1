/* SPDX-License-Identifier: MIT
 * kernel.c - the Brownian path of a grid, on lanes: increments and Levy areas. Compiled once for each
 * instruction set: see core/isa.h.
 *
 * The increment of a cell is sqrt(cell)*z, rounded to a multiple of 2^(e - 44), where 2^e is the
 * least power of two >= sqrt(span) and span is the length of the grid. W stays far below 2^(e + 9),
 * so that every sum of increments is exact in double: over adjoining cells they add up to the bit,
 * in any order. The rounding is 2^-44 sqrt(span) at most, 10^-13 of what W does over the span.
 * So are H and K of a cell, sqrt(cell/12)*z and sqrt(cell/720)*z; over several cells see noise/fold.h. */
#include "noise/kernel.h"
#include "core/isa.h"
#include "noise/fold.h"
#include "noise/normal.h"
#include "noise/unit.h"

#if defined(__SSE2__)
#include <immintrin.h>
#endif

/* Words of Philox in 64-bit lanes; their upper halves hold rubbish, which no product reads. */
typedef uint64_t words __attribute__((vector_size(NDE_VECTOR_BYTES)));
enum { WORDS = NDE_VECTOR_BYTES/8, CHUNK = NDE_NOISE_PIECE, ROUNDS = 10, AT_ONCE = NDE_VECTOR_BYTES == 64 ? 4 : 2 };

/* Lanes that are worked on together; trajectory and first are filled up to a whole vector. */
typedef struct chunk {
    size_t n;
    words key[ROUNDS][2]; /* of the seed, round by round */
    uint64_t trajectory[CHUNK], first[CHUNK];
    /* deviations of W, H, K of a cell; 1.5 2^52 units: adding and subtracting it rounds to a unit */
    double scale[3][CHUNK], round[CHUNK];
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

static void take_seed(chunk *lanes, uint64_t seed) {
    const words none = { 0 };
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < ROUNDS; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
        lanes->key[round][0] = none + k0, lanes->key[round][1] = none + k1;
}

/* even, odd [n]: the two halves of the blocks of (purpose, component, first + cell): nde_philox of
 * nde_counter, in vectors, several of them at a time: each alone would wait for its products. */
static void draw(const chunk *lanes, unsigned purpose, uint64_t component, uint64_t cell,
                 uint64_t *even, uint64_t *odd) {
    const words none = { 0 }, m0 = none + 0xD2511F53u, m1 = none + 0xCD9E8D57u;
    const uint32_t word0 = nde_counter(purpose, 0, 0, component).x[0];
    for (size_t b = 0; b < lanes->n; b += AT_ONCE*WORDS) {
        words x[AT_ONCE][4];
        for (size_t i = 0; i < AT_ONCE; i++) {
            const words trajectory = load(lanes->trajectory + b + i*WORDS), position = load(lanes->first + b + i*WORDS) + cell;
            x[i][0] = none + word0, x[i][1] = position, x[i][3] = trajectory;
            x[i][2] = (position >> 32 & 0xffff) | (trajectory >> 32 & 0xffff) << 16;
        }
        for (int round = 0; round < ROUNDS; round++)
            for (size_t i = 0; i < AT_ONCE; i++) {
                const words p = product(x[i][0], m0), q = product(x[i][2], m1);
                x[i][0] = (q >> 32) ^ x[i][1] ^ lanes->key[round][0], x[i][1] = q;
                x[i][2] = (p >> 32) ^ x[i][3] ^ lanes->key[round][1], x[i][3] = p;
            }
        for (size_t i = 0; i < AT_ONCE; i++) {
            store(even + b + i*WORDS, (x[i][0] & 0xffffffff) | x[i][1] << 32);
            store(odd + b + i*WORDS, (x[i][2] & 0xffffffff) | x[i][3] << 32);
        }
    }
}

#define INLINE static inline __attribute__((always_inline))

/* Minus the logarithms [n] of uniform numbers. In loops of their own: in one with what follows most of what
 * a core looks ahead at would wait for a quotient or a root (15 % of a normal by AVX2). */
INLINE void minus_logs(size_t n, const uint64_t *bits, double *restrict to) {
    double k[CHUNK], f[CHUNK];
    for (size_t b = 0; b < n; b++) to[b] = nde_log_parts(nde_to_uniform(bits[b]), &k[b], &f[b]);
    for (size_t b = 0; b < n; b++) to[b] = nde_minus_log_sum(k[b], f[b], to[b]);
}

/* even, odd [n] (+)= W, H or K of a cell (purpose NDE_PURPOSE_W, _H or _K), for a component and the next,
 * which `both` asks for. Loops with arrays between them: Philox in vectors, Box-Muller left to the
 * compiler, which vectorises it. */
INLINE void put(const chunk *lanes, unsigned purpose, uint64_t component, uint64_t cell, int both, int more,
                double *restrict even, double *restrict odd) {
    const double *scale = lanes->scale[purpose], *round = lanes->round;
    uint64_t bits[2][CHUNK];
    double log[CHUNK];
    draw(lanes, purpose, component, cell, bits[0], bits[1]);
    minus_logs(lanes->n, bits[0], log);
    for (size_t b = 0; b < lanes->n; b++) {
        double z0, z1;
        nde_box_muller(log[b], bits[1][b], &z0, &z1);
        even[b] = nde_to_unit(scale[b]*z0, round[b]) + (more ? even[b] : 0);
        if (both) odd[b] = nde_to_unit(scale[b]*z1, round[b]) + (more ? odd[b] : 0);
    }
}

INLINE void add(const chunk *lanes, unsigned purpose, uint64_t component, uint64_t cell, int both, double *even, double *odd) {
    put(lanes, purpose, component, cell, both, 1, even, odd);
}

/* One cell: there is nothing to sum. */
static void set(const chunk *lanes, unsigned purpose, uint64_t component, double *even, double *odd) {
    if (odd) put(lanes, purpose, component, 0, 1, 0, even, odd);
    else put(lanes, purpose, component, 0, 0, 0, even, NULL);
}

/* W over `count` cells. */
INLINE void increments(const chunk *lanes, uint64_t component, uint64_t count, int both, double *even,
                       double *odd) {
    for (size_t b = 0; b < lanes->n; b++) even[b] = odd[b] = 0;
    for (uint64_t cell = 0; cell < count; cell++) add(lanes, NDE_PURPOSE_W, component, cell, both, even, odd);
}

/* W and H, and K where k is not NULL, over `count` cells > 0, for a component and the next: [2][CHUNK]. */
static void areas(const chunk *lanes, uint64_t component, uint64_t count, double (*w)[CHUNK],
                  double (*h)[CHUNK], double (*k)[CHUNK]) {
    const size_t n = lanes->n;
    double one[3][2][CHUNK];
    nde_fold a[2];
    memset(a, 0, sizeof a);
    for (uint64_t cell = 0; cell < count; cell++) {
        memset(one, 0, sizeof one);
        add(lanes, NDE_PURPOSE_W, component, cell, 1, one[0][0], one[0][1]);
        add(lanes, NDE_PURPOSE_H, component, cell, 1, one[1][0], one[1][1]);
        if (k) add(lanes, NDE_PURPOSE_K, component, cell, 1, one[2][0], one[2][1]);
        for (size_t i = 0; i < 2; i++) nde_fold_cell(&a[i], n, one[0][i], one[1][i], one[2][i]);
    }
    for (size_t i = 0; i < 2; i++) nde_fold_end(&a[i], n, count, w[i], h[i], k ? k[i] : NULL);
}

static void fill(chunk *lanes, int64_t grid, size_t n, const size_t *trajectory, const double *cell,
                 const int64_t *first) {
    const double root = sqrt((double)grid);
    lanes->n = n;
    for (size_t b = 0; b < n; b++) {
        lanes->trajectory[b] = trajectory[b];
        lanes->first[b] = (uint64_t)first[b];
    }
    for (size_t b = n; b % (AT_ONCE*WORDS); b++) lanes->trajectory[b] = lanes->first[b] = 0;
    const size_t count = nde_are_equal(n, cell) ? 1 : n;
    for (size_t b = 0; b < count; b++) {
        lanes->scale[0][b] = sqrt(cell[b]);
        lanes->scale[1][b] = sqrt(cell[b]/12);
        lanes->scale[2][b] = sqrt(cell[b]/720);
        lanes->round[b] = nde_unit_round(lanes->scale[0][b]*root);
    }
    for (size_t b = count; b < n; b++) {
        for (size_t what = 0; what < 3; what++) lanes->scale[what][b] = lanes->scale[what][0];
        lanes->round[b] = lanes->round[0];
    }
}

static void cells(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                  const double *cell, const int64_t *first, int64_t count, double *w, double *h, double *k) {
    const uint64_t number = count > 0 ? (uint64_t)count : 0;
    double *const out[3] = { w, h, k };
    double x[3][2][CHUNK] = { { { 0 } } };
    chunk lanes;
    take_seed(&lanes, noise->seed);
    for (size_t begin = 0; begin < n; begin += CHUNK) {
        const size_t width = n - begin < CHUNK ? n - begin : CHUNK;
        fill(&lanes, grid, width, trajectory + begin, cell + begin, first + begin);
        for (size_t i = 0; i < m; i += 2) {
            const size_t pair = i + 1 < m ? 2 : 1;
            for (unsigned what = 0; what < 3 && out[what] && number == 1; what++) {
                double *even = out[what] + i*ld + begin;
                set(&lanes, what, i, even, pair == 2 ? even + ld : NULL);
            }
            if (number == 1) continue;
            if (h && number) areas(&lanes, i, number, x[0], x[1], k ? x[2] : NULL);
            else if (pair == 2) increments(&lanes, i, number, 1, x[0][0], x[0][1]);
            else increments(&lanes, i, number, 0, x[0][0], x[0][1]);
            for (size_t what = 0; what < 3; what++)
                for (size_t j = 0; j < pair && out[what]; j++)
                    memcpy(out[what] + (i + j)*ld + begin, x[what][j], width*sizeof(double));
        }
    }
}

static void normals(uint64_t seed, unsigned purpose, size_t m, size_t n, const size_t *trajectory, const uint64_t *position,
                    size_t sets, double *z) {
    uint64_t bits[2][CHUNK];
    double spare[CHUNK], log[CHUNK];
    chunk lanes = { .n = n };
    take_seed(&lanes, seed);
    for (size_t b = 0; b < n; b++) lanes.trajectory[b] = trajectory[b];
    for (size_t set = 0; set < sets; set++, z += m*CHUNK) {
        for (size_t b = 0; b < n; b++) lanes.first[b] = position[b] | (uint64_t)set << 46;
        for (size_t i = 0; i < m; i += 2) {
            double *even = z + i*CHUNK, *odd = i + 1 < m ? even + CHUNK : spare;
            draw(&lanes, purpose, i, 0, bits[0], bits[1]);
            minus_logs(n, bits[0], log);
            for (size_t b = 0; b < n; b++) nde_box_muller(log[b], bits[1][b], even + b, odd + b);
        }
    }
}

const nde_noise_kernels NDE_ISA_NAME(nde_noise_kernels) = { cells, normals, NDE_ISA_NAME(nde_tree_halve),
                                                            NDE_ISA_NAME(nde_tree_append) };
