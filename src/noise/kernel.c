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
typedef uint32_t half_words __attribute__((vector_size(NDE_VECTOR_BYTES/2)));
enum { WORDS = NDE_VECTOR_BYTES/8, CHUNK = NDE_NOISE_PIECE, ROUNDS = 10, AT_ONCE = NDE_VECTOR_BYTES == 64 ? 4 : 2 };

/* Lanes that are worked on together, and what is filled up to a whole number of vectors: `room`. */
typedef struct chunk {
    size_t n, room, in_block; /* in_block: components of a block */
    bool alike;              /* cells are of one length */
    words key[ROUNDS][2]; /* of the seed, round by round */
    uint64_t trajectory[CHUNK], first[CHUNK];
    uint64_t begun[4][CHUNK]; /* what all components have in common of the first two rounds: see begin */
    /* deviations of W, H, K of a cell; 1.5 2^52 units: adding and subtracting it rounds to a unit */
    double scale[3][CHUNK], round[CHUNK];
} chunk;

/* Random bits of a block for each lane. */
typedef union drawn {
    _Alignas(NDE_VECTOR_BYTES) uint64_t half[2][CHUNK];
    uint32_t word[4][CHUNK];
} drawn;

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
static inline void store_words(uint32_t *x, words v) {
    const half_words low = __builtin_convertvector(v, half_words);
    memcpy(x, &low, sizeof low);
}

static void take_seed(chunk *lanes, uint64_t seed) {
    const words none = { 0 };
    uint32_t k0 = (uint32_t)seed, k1 = (uint32_t)(seed >> 32);
    for (int round = 0; round < ROUNDS; round++, k0 += 0x9E3779B9u, k1 += 0xBB67AE85u)
        lanes->key[round][0] = none + k0, lanes->key[round][1] = none + k1;
}

/* The lanes' counters at cell first + cell. Of their words only the first has the component, and two rounds pass before it
 * has been everywhere: what does not depend on it is made once for all components. */
static void begin(chunk *lanes, uint64_t cell) {
    const words none = { 0 }, m0 = none + 0xD2511F53u, m1 = none + 0xCD9E8D57u;
    for (size_t b = 0; b < lanes->room; b += WORDS) {
        const words trajectory = load(lanes->trajectory + b), position = load(lanes->first + b) + cell;
        const words q = product((position >> 32 & 0xffff) | (trajectory >> 32 & 0xffff) << 16, m1);
        const words p = product((q >> 32) ^ position ^ lanes->key[0][0], m0);
        store(lanes->begun[0] + b, trajectory ^ lanes->key[0][1]);
        store(lanes->begun[1] + b, q ^ lanes->key[1][0]);
        store(lanes->begun[2] + b, (p >> 32) ^ lanes->key[1][1]);
        store(lanes->begun[3] + b, p);
    }
}

/* Blocks of (purpose, block number, where the lanes have begun): nde_philox of nde_counter, in vectors, several of them at a
 * time: each alone would wait for its products. As two halves, or as four words of 32 bits. */
static void draw(const chunk *lanes, unsigned purpose, uint64_t block, bool in_words, drawn *to) {
    const words none = { 0 }, m0 = none + 0xD2511F53u, m1 = none + 0xCD9E8D57u;
    const uint64_t of_block = (uint64_t)0xD2511F53u*nde_counter(purpose, 0, 0, 2*block).x[0];
    const words high = none + (of_block >> 32), low = none + of_block;
    for (size_t b = 0; b < lanes->room; b += AT_ONCE*WORDS) {
        words x[AT_ONCE][4];
        for (size_t i = 0; i < AT_ONCE; i++) {
            const size_t at = b + i*WORDS;
            const words q = product(load(lanes->begun[0] + at) ^ high, m1);
            x[i][0] = (q >> 32) ^ load(lanes->begun[1] + at), x[i][1] = q;
            x[i][2] = load(lanes->begun[2] + at) ^ low, x[i][3] = load(lanes->begun[3] + at);
        }
        for (int round = 2; round < ROUNDS; round++)
            for (size_t i = 0; i < AT_ONCE; i++) {
                const words p = product(x[i][0], m0), q = product(x[i][2], m1);
                x[i][0] = (q >> 32) ^ x[i][1] ^ lanes->key[round][0], x[i][1] = q;
                x[i][2] = (p >> 32) ^ x[i][3] ^ lanes->key[round][1], x[i][3] = p;
            }
        for (size_t i = 0, at = b; i < AT_ONCE && !in_words; i++, at += WORDS)
            for (size_t j = 0; j < 2; j++) store(to->half[j] + at, (x[i][2*j] & 0xffffffff) | x[i][2*j + 1] << 32);
        for (size_t i = 0, at = b; i < AT_ONCE && in_words; i++, at += WORDS)
            for (size_t j = 0; j < 4; j++) store_words(to->word[j] + at, x[i][j]);
    }
}

/* Box-Muller pairs [n] of halves of blocks: radius times cosine and radius times sine. Loops left to the compiler, which
 * vectorises them; several, since a core looks ahead no further than one long chain of operations and would wait for its
 * quotient, root or polynomial. Halves of these, of logarithms and of the rest, take 11 % longer by AVX2 and 5 % by AVX-512;
 * more loops gain nothing. */
static void to_pairs(size_t n, const drawn *from, double *restrict even, double *restrict odd) {
    double k[CHUNK], f[CHUNK], s[CHUNK], radius[CHUNK];
    uint64_t q[CHUNK];
    for (size_t b = 0; b < n; b++) s[b] = nde_log_parts(nde_to_uniform(from->half[0][b]), &k[b], &f[b]);
    for (size_t b = 0; b < n; b++) s[b] = 2*nde_minus_log_sum(k[b], f[b], s[b]);
    for (size_t b = 0; b < n; b++) {
        radius[b] = sqrt(s[b]);
        q[b] = nde_quarter(nde_to_uniform(from->half[1][b]), &f[b]);
    }
    for (size_t b = 0; b < n; b++) {
        double sine, cosine;
        nde_turn_quarters(q[b], nde_sine(f[b]), nde_cosine(f[b]), &sine, &cosine);
        even[b] = radius[b]*cosine, odd[b] = radius[b]*sine;
    }
}

/* The same of two words, in float, as normals. */
static void to_singles(size_t n, const uint32_t *radii, const uint32_t *angles, float *restrict even, float *restrict odd) {
    float k[CHUNK], f[CHUNK], radius[CHUNK];
    for (size_t b = 0; b < n; b++) radius[b] = nde_log_parts_single(nde_to_uniform_single(radii[b]), &k[b], &f[b]);
    for (size_t b = 0; b < n; b++) {
        radius[b] = sqrtf(2*nde_minus_log_sum_single(k[b], f[b], radius[b]));
        nde_sincos_single(angles[b], &odd[b], &even[b]);
    }
    for (size_t b = 0; b < n; b++) even[b] *= radius[b], odd[b] *= radius[b];
}

/* to [n] (+)= W, H or K of a cell out of normals, double or single, in units. alike: of cells of one length. */
static inline __attribute__((always_inline)) void in_units(bool alike, const chunk *lanes, unsigned what, bool single,
                                                           const void *z, bool more, double *restrict to) {
    const double one = lanes->scale[what][0], round = lanes->round[0];
    for (size_t b = 0; b < lanes->n; b++) {
        const double normal = single ? (double)((const float *)z)[b] : ((const double *)z)[b];
        const double x = nde_to_unit((alike ? one : lanes->scale[what][b])*normal, alike ? round : lanes->round[b]);
        to[b] = more ? to[b] + x : x;
    }
}

static void put_row(const chunk *lanes, unsigned what, const double *z, bool more, double *to) {
    if (lanes->alike && !more) in_units(true, lanes, what, false, z, false, to);
    else in_units(false, lanes, what, false, z, more, to);
}

static void put_single(const chunk *lanes, unsigned what, const float *z, bool more, double *to) {
    if (lanes->alike && !more) in_units(true, lanes, what, true, z, false, to);
    else in_units(false, lanes, what, true, z, more, to);
}

static void put_pair(const chunk *lanes, unsigned what, uint64_t block, size_t rows, bool more, double *to, size_t ld) {
    drawn from;
    _Alignas(NDE_VECTOR_BYTES) double z[2][CHUNK];
    draw(lanes, what, block, false, &from);
    to_pairs(lanes->n, &from, z[0], z[1]);
    for (size_t j = 0; j < rows; j++) put_row(lanes, what, z[j], more, to + j*ld);
}

static void put_singles(const chunk *lanes, unsigned what, uint64_t block, size_t rows, bool more, double *to, size_t ld) {
    drawn from;
    _Alignas(NDE_VECTOR_BYTES) float z[2][CHUNK];
    draw(lanes, NDE_PURPOSE_W_SINGLE + what, block, true, &from);
    for (size_t j = 0; j < rows; j++) {
        if (j % 2 == 0) to_singles(lanes->n, from.word[j], from.word[j + 1], z[0], z[1]);
        put_single(lanes, what, z[j % 2], more, to + j*ld);
    }
}

/* to [rows][ld] (+)= W, H or K of a cell (what: NDE_PURPOSE_W, _H or _K), of the components of a block. */
static void put(const chunk *lanes, unsigned what, uint64_t block, size_t rows, bool more, double *to, size_t ld) {
    (lanes->in_block == 4 ? put_singles : put_pair)(lanes, what, block, rows, more, to, ld);
}

static size_t least(size_t a, size_t b) { return a < b ? a : b; }

/* W, H and K where they are not NULL, [m][ld] of one cell, or W alone over more. */
static void sum_cells(chunk *lanes, size_t m, size_t ld, uint64_t count, double *const *out) {
    const size_t step = lanes->in_block;
    for (uint64_t cell = 0; cell < count; cell++) {
        begin(lanes, cell);
        for (size_t i = 0; i < m; i += step)
            for (unsigned what = 0; what < 3 && out[what]; what++)
                put(lanes, what, i/step, least(step, m - i), cell > 0, out[what] + i*ld, ld);
    }
}

/* W and H, and K where it is not NULL, over `count` cells. */
static void fold_cells(chunk *lanes, size_t m, size_t ld, uint64_t count, double *const *out) {
    const size_t n = lanes->n, step = lanes->in_block;
    _Alignas(NDE_VECTOR_BYTES) double one[3][4][CHUNK];
    nde_fold a[4];
    memset(one, 0, sizeof one);
    for (size_t i = 0; i < m; i += step) {
        const size_t rows = least(step, m - i);
        memset(a, 0, sizeof a);
        for (uint64_t cell = 0; cell < count; cell++) {
            begin(lanes, cell);
            for (unsigned what = 0; what < 3 && out[what]; what++) put(lanes, what, i/step, rows, false, one[what][0], CHUNK);
            for (size_t j = 0; j < rows; j++) nde_fold_cell(&a[j], n, one[0][j], one[1][j], one[2][j]);
        }
        for (size_t j = 0; j < rows; j++)
            nde_fold_end(&a[j], n, count, out[0] + (i + j)*ld, out[1] + (i + j)*ld, out[2] ? out[2] + (i + j)*ld : NULL);
    }
}

/* The lanes of a chunk; beyond n they are those of trajectory 0. */
static void take_lanes(chunk *lanes, size_t n) {
    lanes->n = n, lanes->room = n;
    for (; lanes->room % (AT_ONCE*WORDS); lanes->room++) lanes->trajectory[lanes->room] = lanes->first[lanes->room] = 0;
}

/* x from `from` on to n like the first. */
static void repeat(double *x, size_t from, size_t n) {
    const double first = x[0];
    for (size_t b = from; b < n; b++) x[b] = first;
}

/* kinds: 1 to 3, W, H and K. */
static void fill(chunk *lanes, int64_t grid, size_t n, const size_t *trajectory, const double *cell, const int64_t *first,
                 size_t kinds) {
    static const double part[3] = { 1, 12, 720 };
    const double root = sqrt((double)grid);
    for (size_t b = 0; b < n; b++) {
        lanes->trajectory[b] = trajectory[b];
        lanes->first[b] = (uint64_t)first[b];
    }
    take_lanes(lanes, n);
    lanes->alike = nde_are_equal(n, cell);
    const size_t count = lanes->alike ? 1 : n;
    for (size_t what = 0; what < kinds; what++) {
        for (size_t b = 0; b < count; b++) lanes->scale[what][b] = sqrt(cell[b]/part[what]);
        repeat(lanes->scale[what], count, n);
    }
    for (size_t b = 0; b < count; b++) lanes->round[b] = nde_unit_round(lanes->scale[0][b]*root);
    repeat(lanes->round, count, n);
}

static void cells(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                  const double *cell, const int64_t *first, int64_t count, double *w, double *h, double *k) {
    chunk lanes;
    take_seed(&lanes, noise->seed);
    lanes.in_block = noise->normals == NDE_NORMALS_SINGLE ? 4 : 2;
    for (size_t from = 0; from < n; from += CHUNK) {
        const size_t width = least(n - from, CHUNK);
        double *const out[3] = { w + from, h ? h + from : NULL, k ? k + from : NULL };
        fill(&lanes, grid, width, trajectory + from, cell + from, first + from, k ? 3 : h ? 2 : 1);
        if (count > 1 && h) fold_cells(&lanes, m, ld, (uint64_t)count, out);
        else if (count > 0) sum_cells(&lanes, m, ld, (uint64_t)count, out);
        for (size_t i = 0; i < 3*m && count <= 0; i++)
            if (out[i/m]) memset(out[i/m] + i%m*ld, 0, width*sizeof **out);
    }
}

static void normals(uint64_t seed, unsigned purpose, size_t m, size_t n, const size_t *trajectory, const uint64_t *position,
                    size_t sets, double *z) {
    drawn from;
    double spare[CHUNK];
    chunk lanes;
    take_seed(&lanes, seed);
    for (size_t b = 0; b < n; b++) lanes.trajectory[b] = trajectory[b];
    for (size_t set = 0; set < sets; set++) {
        for (size_t b = 0; b < n; b++) lanes.first[b] = position[b] | (uint64_t)set << 46;
        take_lanes(&lanes, n), begin(&lanes, 0);
        for (size_t i = 0; i < m; i += 2) {
            double *row = z + (set*m + i)*CHUNK;
            draw(&lanes, purpose, i/2, false, &from);
            to_pairs(n, &from, row, i + 1 < m ? row + CHUNK : spare);
        }
    }
}

const nde_noise_kernels NDE_ISA_NAME(nde_noise_kernels) = { cells, normals, NDE_ISA_NAME(nde_tree_halve),
                                                            NDE_ISA_NAME(nde_tree_append) };
