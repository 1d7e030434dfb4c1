/* SPDX-License-Identifier: MIT
 * dense.c - matrix products of a fully connected layer; compiled once for each instruction set. */
#include "core/dense.h"
#include "core/column.h"
#include "core/vector.h"

/* Sums in registers (32 of them in AVX-512 and NEON, else 16): a tile of products has ROWS rows of up to VECTORS vectors, a
 * tile of weight gradients SUMS results. */
#if defined(__AVX512F__) || defined(__aarch64__)
enum { ROWS = 8, VECTORS = 3, SUMS = LANES >= 8 ? 16 : 8 };
#else
enum { ROWS = 4, VECTORS = 3, SUMS = 8 };
#endif
/* From PACKED weights and PACKED_COLUMNS columns on, a product copies its weights in blocks of BLOCK_M rows by BLOCK_K. */
enum { PACKED = (1 << 20)/(int)sizeof(nde_real), PACKED_COLUMNS = 16, BLOCK_M = 32, BLOCK_K = 128 };

/* ---- c = start + a b ---- */

/* What a tile needs: c [m][n] = start + sum_k a b, see dense.h. Rows begin with row_start [m] or, where lanes run over the
 * outputs, columns with column_start [n], or all with c itself (more); else with 0. */
typedef struct product {
    size_t k, a_row, a_col, ldb, ldc;
    const nde_real *a, *b, *row_start, *column_start;
    nde_real *c;
    bool more;
} product;

/* A pointer whose past the compiler does not know: it would hold the addresses of all rows of an unrolled loop. */
INLINE nde_real *forget(nde_real *x) {
    __asm__("" : "+r"(x));
    return x;
}

/* Vector j of `vectors` at x; the last has `last` lanes (part) or all. */
INLINE vec load_vector(const bool part, const size_t vectors, size_t last, const nde_real *x, const size_t j) {
    return part && j + 1 == vectors ? load_first(x + j*LANES, last) : load(x + j*LANES);
}
INLINE void store_vector(const bool part, const size_t vectors, size_t last, nde_real *x, const size_t j, vec v) {
    if (part && j + 1 == vectors) store_first(x + j*LANES, v, last);
    else store(x + j*LANES, v);
}

/* rows x vectors of c. clang unrolls single loops, not always pairs. */
INLINE void tile(const size_t rows, const size_t vectors, const bool part, size_t last, const size_t a_row, const nde_real *a,
                 const nde_real *row_start, nde_real *to, const product *g) {
    vec c[ROWS*VECTORS], x[VECTORS], w = { 0 };
    const size_t count = rows*vectors, ldc = g->ldc;
    if (g->more) {
        UNROLL for (size_t e = 0; e < count; e++) c[e] = load_vector(part, vectors, last, to + e/vectors*ldc, e % vectors);
    } else if (g->column_start) {
        UNROLL for (size_t e = 0; e < count; e++) c[e] = load_vector(part, vectors, last, g->column_start, e % vectors);
    } else {
        UNROLL for (size_t e = 0; e < count; e++) c[e] = row_start ? splat(row_start[e/vectors]) : (vec){0};
    }
    const nde_real *b = g->b;
    const size_t a_col = g->a_col, ldb = g->ldb;
    for (size_t k = g->k; k > 0; k--, a += a_col, b += ldb) {
        UNROLL for (size_t j = 0; j < vectors; j++) x[j] = load_vector(part, vectors, last, b, j);
        UNROLL for (size_t e = 0; e < count; e++) {
            if (e % vectors == 0) w = splat(a[e/vectors*a_row]);
            c[e] = fused(w, x[e % vectors], c[e]);
        }
    }
    UNROLL for (size_t e = 0; e < count; e++) {
        store_vector(part, vectors, last, to, e % vectors, c[e]);
        if (e % vectors + 1 == vectors) to = forget(to + ldc);
    }
}

/* All m rows of these columns. */
INLINE void strip(const size_t vectors, const bool part, size_t last, const size_t a_row, size_t m, const product *g) {
    const nde_real *a = g->a, *start = g->row_start;
    nde_real *c = g->c;
#define TILE(rows) \
    do { \
        tile(rows, vectors, part, last, a_row, a, start, c, g); \
        m -= rows, a += rows*a_row, c += rows*g->ldc; \
        if (start) start += rows; \
    } while (0)
    while (m >= ROWS) TILE(ROWS);
    if (ROWS > 4 && m >= 4) TILE(4);
    if (m >= 2) TILE(2);
    if (m == 1) TILE(1);
#undef TILE
}

/* Rows of a side by side (weights), or apart. */
#define STRIP(vectors)                                                                                 \
    static void strip_##vectors(size_t last, size_t m, const product *g) {                             \
        if (g->a_row == 1) strip(vectors, false, last, 1, m, g);                                       \
        else strip(vectors, false, last, g->a_row, m, g);                                              \
    }                                                                                                  \
    static void strip_part_##vectors(size_t last, size_t m, const product *g) {                        \
        strip(vectors, true, last, g->a_row, m, g);                                                    \
    }
STRIP(1) STRIP(2) STRIP(3)
static void (*const strips[2][VECTORS])(size_t last, size_t m, const product *g) = {
    { strip_1, strip_2, strip_3 }, { strip_part_1, strip_part_2, strip_part_3 }
};

/* Of n columns, for the next tile: two twos are faster than a three and a one. */
INLINE size_t vectors_of(size_t n) {
    const size_t left = (n + LANES - 1)/LANES;
    return left == 4 ? 2 : left < VECTORS ? left : VECTORS;
}

/* m rows, n columns. Moves b, c and column_start. */
static void multiply(size_t m, size_t n, product *g) {
    for (;;) {
        const size_t vectors = vectors_of(n), columns = vectors*LANES;
        strips[columns > n][vectors - 1](n + LANES - columns, m, g);
        if (columns >= n) return;
        n -= columns, g->b += columns, g->c += columns;
        if (g->column_start) g->column_start += columns;
    }
}

/* t: rows of a, ROWS side by side, each such group [count][ROWS]. rows is a multiple of ROWS. */
static void pack(size_t rows, size_t count, const nde_real *a, size_t a_row, size_t a_col, nde_real *t) {
    if (a_row == 1) {
        for (size_t k = 0; k < count; k++)
            for (size_t r = 0; r < rows; r += ROWS) memcpy(t + r*count + k*ROWS, a + k*a_col + r, ROWS*sizeof *t);
    } else {
        for (size_t r = 0; r < rows; r++)
            for (size_t k = 0; k < count; k++) t[r/ROWS*ROWS*count + k*ROWS + r % ROWS] = a[r*a_row + k*a_col];
    }
}

/* m <= BLOCK_M rows, count <= BLOCK_K terms: all columns pass the copied block while it is in the cache. */
static void multiply_block(size_t m, size_t n, const product *g) {
    _Alignas(64) nde_real t[BLOCK_M*BLOCK_K];
    const size_t full = m/ROWS*ROWS;
    pack(full, g->k, g->a, g->a_row, g->a_col, t);
    product part = *g;
    for (size_t j = 0; j < n; j += VECTORS*LANES) {
        const size_t columns = n - j < VECTORS*LANES ? n - j : VECTORS*LANES, vectors = (columns + LANES - 1)/LANES;
        part.a = t, part.a_row = 1, part.a_col = ROWS, part.b = g->b + j, part.c = g->c + j, part.row_start = g->row_start;
        for (size_t r = 0; r < full; r += ROWS) {
            strips[columns % LANES > 0][vectors - 1](columns % LANES, ROWS, &part);
            part.a += ROWS*g->k, part.c += ROWS*g->ldc;
            if (part.row_start) part.row_start += ROWS;
        }
        part.a = g->a + full*g->a_row, part.a_row = g->a_row, part.a_col = g->a_col;
        if (full < m) strips[columns % LANES > 0][vectors - 1](columns % LANES, m - full, &part);
    }
}

/* Many weights, which lie in as many pages as they have rows. The sums of a block go on from those of the block before: the
 * order is the same. Source: K. Goto, R. van de Geijn, ACM Trans. Math. Softw. 34 (2008) 12. */
static void multiply_packed(size_t m, size_t n, const product *whole) {
    for (size_t k = 0; k < whole->k; k += BLOCK_K) {
        for (size_t i = 0; i < m; i += BLOCK_M) {
            product g = *whole;
            g.k = whole->k - k < BLOCK_K ? whole->k - k : BLOCK_K, g.more = k > 0;
            g.a += i*g.a_row + k*g.a_col, g.b += k*g.ldb, g.c += i*g.ldc;
            if (g.row_start) g.row_start += i;
            multiply_block(m - i < BLOCK_M ? m - i : BLOCK_M, n, &g);
        }
    }
}

/* Few columns: lanes over the outputs, block by block through a transposed copy. */
static void multiply_turned(size_t m, size_t n, const product *g) {
    enum { BLOCK = 8*LANES };
    nde_real t[LANES*BLOCK];
    for (size_t i = 0; i < m; i += BLOCK) {
        const size_t rows = m - i < BLOCK ? m - i : BLOCK;
        product swapped = {
            .k = g->k, .a_row = 1, .a_col = g->ldb, .ldb = g->a_col, .ldc = BLOCK, .a = g->b, .b = g->a + i,
            .column_start = g->row_start ? g->row_start + i : NULL, .c = t
        };
        multiply(n, rows, &swapped);
        for (size_t r = 0; r < rows; r++)
            for (size_t l = 0; l < n; l++) g->c[(i + r)*g->ldc + l] = t[l*BLOCK + r];
    }
}

static void product_kernel(size_t m, size_t n, size_t k, const nde_real *a, size_t a_row, size_t a_col, const nde_real *b,
                           size_t ldb, const nde_real *start, nde_real *c, size_t ldc) {
    product g = { k, a_row, a_col, ldb, ldc, a, b, start, NULL, c, false };
    if (m == 0 || n == 0) return;
    if (n == 1 && a_row == 1 && ldc == 1 && m >= LANES) column(m, k, a, a_col, b, ldb, start, c);
    else if (n == 1 && a_row == 1 && ldc == 1) multiply(1, m, &(product){ k, ldb, ldb, a_col, m, b, a, NULL, start, c, false });
    else if (n < LANES/2 && m >= LANES && a_row == 1) multiply_turned(m, n, &g);
    else if (n >= PACKED_COLUMNS && k >= PACKED/m) multiply_packed(m, n, &g);
    else multiply(m, n, &g);
}

/* ---- dw += a x' ---- */

/* Two ways, chosen by the sizes alone, so that all instruction sets agree:
 *   dots     lanes run over the columns: column b goes to part b % PARTS of its sum; then parts l and l + s are added for
 *            s = PARTS/2 ... 1. DOTS_PANEL columns at a time
 *   turned   lanes run over the inputs, through a transposed copy; columns in order, TURNED_PANEL at a time. Faster where
 *            both sides are long, or the columns few */
enum { PARTS = BY_PRECISION(8, 16), PASSES = PARTS/LANES, DOTS_PANEL = 512, TURNED_PANEL = 128 };
enum { TURNED_LEAST = 64, FEW_COLUMNS = 64, FEW_LEAST = 16 };
/* A transposed copy has WIDE inputs; CHUNK outputs are added at once; BLOCK_OUT outputs stay in the second-level cache. */
enum { WIDE = VECTORS*LANES, CHUNK = 16, BLOCK_OUT = 256, ABREAST = 4 };

/* Lane l of the shuffles that swap bit s of a row's number with bit s of a lane's, for rows a (bit clear) and b (bit set). */
#define LOWER(l, s) ((l) & (s) ? LANES + (l) - (s) : (l))
#define UPPER(l, s) ((l) & (s) ? LANES + (l) : (l) + (s))
#define LANES_2(f, l, s) f(l, s), f(l + 1, s)
#define LANES_4(f, l, s) LANES_2(f, l, s), LANES_2(f, l + 2, s)
#define LANES_8(f, l, s) LANES_4(f, l, s), LANES_4(f, l + 4, s)
#define LANES_16(f, l, s) LANES_8(f, l, s), LANES_8(f, l + 8, s)
#if LANES == 2
#define EVERY_LANE LANES_2
#define EVERY_BIT(f) f(1)
#elif LANES == 4
#define EVERY_LANE LANES_4
#define EVERY_BIT(f) f(2) f(1)
#elif LANES == 8
#define EVERY_LANE LANES_8
#define EVERY_BIT(f) f(4) f(2) f(1)
#else
#define EVERY_LANE LANES_16
#define EVERY_BIT(f) f(8) f(4) f(2) f(1)
#endif
#define SHUFFLE(lane, a, b, s) __builtin_shufflevector(a, b, EVERY_LANE(lane, 0, s))

/* Lane i of v[0] = sum of the lanes of v[i]: lanes that differ in bit s are added, and rows take their places. */
#define ADD_BIT(s) \
    UNROLL for (size_t i = 0; i < (s); i++) v[i] = SHUFFLE(LOWER, v[i], v[i + (s)], s) + SHUFFLE(UPPER, v[i], v[i + (s)], s);
INLINE vec sum_lanes(vec v[LANES]) {
    EVERY_BIT(ADD_BIT)
    return v[0];
}

/* A value that the compiler keeps in a register: it would load it again for each use, and loads are the limit. */
#if defined(__x86_64__) || defined(__i386__)
#define KEEP(v) __asm__("" : "+x"(v))
#else
#define KEEP(v) (void)(v)
#endif

/* c [tall][wide] += a x' over a vector of columns; `count` lanes of it (part) or all. */
INLINE void dots_step(const size_t tall, const size_t wide, const bool part, size_t count, size_t b, const nde_real *const *a,
                      const nde_real *const *x, vec c[SUMS]) {
    vec w[4];
    UNROLL for (size_t i = 0; i < tall; i++) w[i] = part ? load_first(a[i] + b, count) : load(a[i] + b);
    UNROLL for (size_t j = 0; j < wide; j++) {
        vec z = part ? load_first(x[j] + b, count) : load(x[j] + b);
        KEEP(z);
        UNROLL for (size_t i = 0; i < tall; i++) c[i*wide + j] = fused(w[i], z, c[i*wide + j]);
    }
}

/* sums [tall][wide] = a x' over count columns; a and x point to rows. */
INLINE void dots_tile(const size_t tall, const size_t wide, size_t count, const nde_real *const *a, const nde_real *const *x,
                      nde_real *sums) {
    vec s[PASSES][SUMS];
    const size_t full = count/PARTS*PARTS;
    UNROLL for (size_t p = 0; p < PASSES; p++) {
        vec c[SUMS];
        UNROLL for (size_t i = 0; i < SUMS; i++) c[i] = (vec){0};
        for (size_t b = p*LANES; b < full; b += PARTS) dots_step(tall, wide, false, LANES, b, a, x, c);
        if (full < count) { /* with no columns left too: 0*0 is added to all parts or to none */
            const size_t b = full + p*LANES < count ? full + p*LANES : count;
            dots_step(tall, wide, true, count - b < LANES ? count - b : LANES, b, a, x, c);
        }
        UNROLL for (size_t i = 0; i < SUMS; i++) s[p][i] = c[i];
    }
    UNROLL for (size_t half = PASSES/2; half > 0; half /= 2)
        UNROLL for (size_t p = 0; p < half; p++)
            UNROLL for (size_t i = 0; i < SUMS; i++) s[p][i] += s[p + half][i];
    UNROLL for (size_t i = 0; i < SUMS; i += LANES) store(sums + i, sum_lanes(s[0] + i));
}

/* dw(i, j) = dw[i*row + j*column] += A X' over `count` columns, in tiles of tall x wide; rows beyond the last repeat it. */
INLINE void dots(const size_t tall, const size_t wide, size_t out, size_t count, size_t in, const nde_real *a, size_t lda,
                 const nde_real *x, size_t ldx, size_t row, size_t column, double *dw) {
    _Alignas(64) nde_real sums[SUMS];
    const nde_real *v[4], *w[8];
    for (size_t j = 0; j < in; j += wide) {
        const size_t columns = in - j < wide ? in - j : wide;
        UNROLL for (size_t l = 0; l < wide; l++) w[l] = x + (j + (l < columns ? l : columns - 1))*ldx;
        for (size_t i = 0; i < out; i += tall) {
            const size_t rows = out - i < tall ? out - i : tall;
            UNROLL for (size_t r = 0; r < tall; r++) v[r] = a + (i + (r < rows ? r : rows - 1))*lda;
            dots_tile(tall, wide, count, v, w, sums);
            double *to = dw + i*row + j*column;
            for (size_t r = 0; r < rows; r++) {
                if (column == 1 && columns == wide)
                    UNROLL for (size_t l = 0; l < wide; l++) to[r*row + l] += (double)sums[r*wide + l];
                else
                    for (size_t l = 0; l < columns; l++) to[r*row + l*column] += (double)sums[r*wide + l];
            }
        }
    }
}
/* The shape of a tile does not matter to the sums: fewest loads, or little waste where one side is short. */
static void dots_square(size_t out, size_t count, size_t in, const nde_real *a, size_t lda, const nde_real *x, size_t ldx,
                        double *dw) {
    dots(4, SUMS/4, out, count, in, a, lda, x, ldx, in, 1, dw);
}
static void dots_flat(size_t out, size_t count, size_t in, const nde_real *a, size_t lda, const nde_real *x, size_t ldx,
                      size_t row, size_t column, double *dw) {
    dots(2, SUMS/2, out, count, in, a, lda, x, ldx, row, column, dw);
}
static void outer_dots(size_t out, size_t count, size_t in, const nde_real *a, size_t lda, const nde_real *x, size_t ldx,
                       double *dw) {
    if (SUMS == 16 && out > 2 && in > 2) dots_square(out, count, in, a, lda, x, ldx, dw);
    else if (in <= 2 && in < out) dots_flat(in, count, out, x, ldx, a, lda, 1, in, dw);
    else dots_flat(out, count, in, a, lda, x, ldx, in, 1, dw);
}

/* t [LANES][WIDE] = transpose of x [LANES][LANES]. */
#define SWAP_BIT(s)                                                                         \
    UNROLL for (size_t i = 0; i < LANES; i++) {                                             \
        if (i & (s)) continue;                                                              \
        const vec a = v[i], b = v[i + (s)];                                                 \
        v[i] = SHUFFLE(LOWER, a, b, s), v[i + (s)] = SHUFFLE(UPPER, a, b, s);               \
    }
static void transpose_square(const nde_real *x, size_t ldx, nde_real *t) {
    vec v[LANES];
    UNROLL for (size_t i = 0; i < LANES; i++) v[i] = load(x + i*ldx);
    EVERY_BIT(SWAP_BIT)
    UNROLL for (size_t i = 0; i < LANES; i++) store(t + i*WIDE, v[i]);
}

/* t [count][WIDE] = transpose of x [wide][count]; zero from wide to the end of its vector. Squares at the ends overlap. */
static void transpose(size_t wide, size_t count, const nde_real *x, size_t ldx, nde_real *t) {
    for (size_t b = 0; wide % LANES && b < count; b++)
        for (size_t i = wide; i % LANES; i++) t[b*WIDE + i] = 0;
    if (wide < LANES || count < LANES) {
        for (size_t i = 0; i < wide; i++)
            for (size_t b = 0; b < count; b++) t[b*WIDE + i] = x[i*ldx + b];
        return;
    }
    for (size_t i = 0; i < wide; i += LANES) {
        const size_t row = i + LANES <= wide ? i : wide - LANES;
        for (size_t b = 0; b < count; b += LANES) {
            const size_t lane = b + LANES <= count ? b : count - LANES;
            transpose_square(x + row*ldx + lane, ldx, t + lane*WIDE + row);
        }
    }
}

/* dw [out][in] += A X' over `count` columns. */
static void outer_turned(size_t out, size_t count, size_t in, const nde_real *a, size_t lda, const nde_real *x, size_t ldx,
                         double *dw) {
    _Alignas(64) nde_real t[TURNED_PANEL*WIDE];
    _Alignas(64) nde_real c[CHUNK*WIDE];
    for (size_t j = 0, wide; j < in; j += wide) {
        const size_t vectors = vectors_of(in - j);
        wide = in - j < vectors*LANES ? in - j : vectors*LANES;
        transpose(wide, count, x + j*ldx, ldx, t);
        for (size_t i = 0; i < out; i += CHUNK) {
            const size_t rows = out - i < CHUNK ? out - i : CHUNK;
            for (size_t r = 0; r < rows; r++) /* in as many pages as rows, where the matrix is wide */
                for (size_t l = 0; l < wide; l += 8) __builtin_prefetch(dw + (i + r)*in + j + l, 1);
            strips[0][vectors - 1](0, rows, &(product){ .k = count, .a_row = lda, .a_col = 1, .ldb = WIDE, .ldc = WIDE,
                                                        .a = a + i*lda, .b = t, .c = c });
            for (size_t r = 0; r < rows; r++) {
                double *to = dw + (i + r)*in + j;
                for (size_t l = 0; l < wide; l++) to[l] += (double)c[r*WIDE + l];
            }
        }
    }
}

/* One column: no sums but those in double. */
static void outer_one(size_t out, size_t in, const nde_real *a, size_t lda, const nde_real *x, double *restrict dw) {
    for (size_t i = 0; i < out; i++, dw += in)
        for (size_t j = 0; j < in; j++) dw[j] += (double)(a[i*lda]*x[j]);
}

/* db [rows] += sums of rows of a, each in eight interleaved parts, in double. Rows side by side do not wait for each other. */
INLINE void add_row_sums(const size_t rows, size_t n, const nde_real *a, size_t lda, double *db) {
    double s[ABREAST][8] = { { 0 } };
    size_t b = 0;
    for (; b + 8 <= n; b += 8)
        UNROLL for (size_t r = 0; r < rows; r++)
            UNROLL for (size_t j = 0; j < 8; j++) s[r][j] += (double)a[r*lda + b + j];
    for (size_t r = 0; r < rows; r++) {
        for (size_t j = 0; b + j < n; j++) s[r][j] += (double)a[r*lda + b + j];
        db[r] += ((s[r][0] + s[r][4]) + (s[r][2] + s[r][6])) + ((s[r][1] + s[r][5]) + (s[r][3] + s[r][7]));
    }
}

static void outer_bias(size_t out, size_t n, const nde_real *a, size_t lda, double *db) {
    size_t i = 0;
    for (; n == 1 && i < out; i++) db[i] += (double)a[i*lda];
    for (; i + ABREAST <= out; i += ABREAST) add_row_sums(ABREAST, n, a + i*lda, lda, db + i);
    for (; i < out; i++) add_row_sums(1, n, a + i*lda, lda, db + i);
}

static void outer(size_t out, size_t n, size_t in, const nde_real *a, size_t lda, const nde_real *x, size_t ldx, double *dw,
                  double *db) {
    const size_t least = out < in ? out : in;
    if (n == 1 && ldx == 1) {
        outer_one(out, in, a, lda, x, dw);
    } else if (least >= (n <= FEW_COLUMNS ? FEW_LEAST : TURNED_LEAST)) {
        for (size_t b = 0; b < n; b += TURNED_PANEL) {
            const size_t count = n - b < TURNED_PANEL ? n - b : TURNED_PANEL;
            for (size_t i = 0; i < out; i += BLOCK_OUT)
                outer_turned(out - i < BLOCK_OUT ? out - i : BLOCK_OUT, count, in, a + i*lda + b, lda, x + b, ldx, dw + i*in);
        }
    } else {
        for (size_t b = 0; b < n; b += DOTS_PANEL)
            outer_dots(out, n - b < DOTS_PANEL ? n - b : DOTS_PANEL, in, a + b, lda, x + b, ldx, dw);
    }
    if (db) outer_bias(out, n, a, lda, db);
}

const nde_dense_kernels NDE_ISA_NAME(nde_dense_kernels) = { .product = product_kernel, .outer = outer };
