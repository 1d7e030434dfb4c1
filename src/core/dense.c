/* SPDX-License-Identifier: MIT
 * dense.c - matrix products and activations of a fully connected layer; compiled once for each instruction set. */
#include "core/dense.h"
#include "core/vector.h"

#define INLINE static inline __attribute__((always_inline))
#if defined(__clang__)
#define UNROLL _Pragma("clang loop unroll(full)")
#else
#define UNROLL _Pragma("GCC unroll 16")
#endif

/* A tile of ROWS rows times 3 vectors keeps its sums in registers (32 of them in AVX-512 and NEON, else 16). */
#if defined(__AVX512F__) || defined(__aarch64__)
enum { ROWS = 8, VECTORS = 3 };
#else
enum { ROWS = 4, VECTORS = 3 };
#endif
/* Columns summed before they are added to the double gradient; inputs side by side in a tile. */
enum { PANEL = 128, WIDE = VECTORS*LANES };

/* What a tile needs: c [m][n] = start + sum_k a b, see dense.h. Rows begin with row_start [m] or, where lanes run over the
 * outputs, columns with column_start [n]; both NULL: with 0. */
typedef struct product {
    size_t k, a_row, a_col, ldb, ldc;
    const nde_real *a, *b, *row_start, *column_start;
    nde_real *c;
} product;

/* Vector j of a tile starts at column j*LANES, the last at `last`: it may overlap its neighbour, with equal values. */
INLINE void tile(const size_t rows, const size_t vectors, size_t last, size_t a_row, const product *g) {
    vec c[ROWS][VECTORS], x[VECTORS];
    UNROLL for (size_t i = 0; i < rows; i++) {
        UNROLL for (size_t j = 0; j < vectors; j++) {
            const size_t column = j + 1 < vectors ? j*LANES : last;
            c[i][j] = g->row_start ? splat(g->row_start[i]) : g->column_start ? load(g->column_start + column) : (vec){0};
        }
    }
    const nde_real *a = g->a, *b = g->b;
    const size_t a_col = g->a_col, ldb = g->ldb;
    for (size_t k = g->k; k > 0; k--, a += a_col, b += ldb) {
        UNROLL for (size_t j = 0; j < vectors; j++) x[j] = load(b + (j + 1 < vectors ? j*LANES : last));
        UNROLL for (size_t i = 0; i < rows; i++) {
            const vec w = splat(a[i*a_row]);
            UNROLL for (size_t j = 0; j < vectors; j++) c[i][j] = fused(w, x[j], c[i][j]);
        }
    }
    UNROLL for (size_t i = 0; i < rows; i++)
        UNROLL for (size_t j = 0; j < vectors; j++)
            store(g->c + i*g->ldc + (j + 1 < vectors ? j*LANES : last), c[i][j]);
}

/* Two texts for each shape: rows of a side by side (weights), or apart. */
#define TILE(rows, vectors)                                                                            \
    static void tile_##rows##_##vectors(size_t last, const product *g) {                               \
        if (g->a_row == 1) tile(rows, vectors, last, 1, g);                                            \
        else tile(rows, vectors, last, g->a_row, g);                                                   \
    }
TILE(1, 1) TILE(1, 2) TILE(1, 3) TILE(2, 1) TILE(2, 2) TILE(2, 3) TILE(4, 1) TILE(4, 2) TILE(4, 3)
#if defined(__AVX512F__) || defined(__aarch64__)
TILE(8, 1) TILE(8, 2) TILE(8, 3)
#define TILES_OF_8 { tile_8_1, tile_8_2, tile_8_3 }
#else
#define TILES_OF_8 { NULL, NULL, NULL }
#endif
/* By the binary logarithm of the rows. */
static void (*const tiles[4][3])(size_t last, const product *g) = {
    { tile_1_1, tile_1_2, tile_1_3 }, { tile_2_1, tile_2_2, tile_2_3 }, { tile_4_1, tile_4_2, tile_4_3 }, TILES_OF_8
};
static inline size_t tile_size(size_t rows) {
    return rows >= 8 && ROWS == 8 ? 3 : rows >= 4 ? 2 : rows >= 2 ? 1 : 0;
}

/* m rows, n >= LANES columns. */
static void multiply(size_t m, size_t n, product g) {
    const product whole = g;
    for (size_t j = 0; j < n;) {
        size_t vectors = (n - j + LANES - 1)/LANES;
        vectors = vectors > 4 ? 3 : vectors == 4 ? 2 : vectors;
        const size_t end = j + vectors*LANES < n ? j + vectors*LANES : n;
        /* A last vector that is not full starts before its place, if need be before the tile: then it becomes the tile. */
        const size_t start = end - j < LANES ? end - LANES : j, last = end - LANES - start;
        for (size_t i = 0; i < m;) {
            const size_t size = tile_size(m - i);
            g.a = whole.a + i*whole.a_row;
            g.b = whole.b + start;
            g.c = whole.c + i*whole.ldc + start;
            if (whole.row_start) g.row_start = whole.row_start + i;
            if (whole.column_start) g.column_start = whole.column_start + start;
            tiles[size][vectors - 1](last, &g);
            i += (size_t)1 << size;
        }
        j = end;
    }
}

/* Few rows, fewer columns than a vector: `rows` sums side by side. */
INLINE void scalar_rows(const size_t rows, size_t n, const product *g) {
    for (size_t b = 0; b < n; b++) {
        nde_real s[4];
        UNROLL for (size_t i = 0; i < rows; i++) s[i] = g->row_start ? g->row_start[i] : 0;
        for (size_t k = 0; k < g->k; k++)
            UNROLL for (size_t i = 0; i < rows; i++)
                s[i] = nde_fma(g->a[i*g->a_row + k*g->a_col], g->b[k*g->ldb + b], s[i]);
        UNROLL for (size_t i = 0; i < rows; i++) g->c[i*g->ldc + b] = s[i];
    }
}
static void multiply_scalar(size_t m, size_t n, product g) {
    while (m > 0) {
        const size_t rows = m >= 4 ? 4 : m >= 2 ? 2 : 1;
        if (rows == 4) scalar_rows(4, n, &g);
        else if (rows == 2) scalar_rows(2, n, &g);
        else scalar_rows(1, n, &g);
        g.a += rows*g.a_row;
        g.c += rows*g.ldc;
        if (g.row_start) g.row_start += rows;
        m -= rows;
    }
}

static void product_kernel(size_t m, size_t n, size_t k, const nde_real *a, size_t a_row, size_t a_col, const nde_real *b,
                           size_t ldb, const nde_real *start, nde_real *c, size_t ldc) {
    const product g = { k, a_row, a_col, ldb, ldc, a, b, start, NULL, c };
    if (n >= LANES) {
        multiply(m, n, g);
    } else if (m < LANES || a_row != 1) {
        multiply_scalar(m, n, g);
    } else if (n == 1 && ldc == 1) {
        multiply(1, m, (product){ k, ldb, ldb, a_col, m, b, a, NULL, start, c });
    } else { /* lanes over the outputs, block by block through a transposed copy */
        nde_real t[LANES*8*LANES];
        for (size_t i = 0; i < m; i += 8*LANES) {
            const size_t left = m - i, rows = left < 8*LANES ? left : 8*LANES, first = rows < LANES ? m - LANES : i;
            const size_t count = i + rows - first;
            multiply(n, count, (product){ k, 1, ldb, a_col, 8*LANES, b, a + first, NULL, start ? start + first : NULL, t });
            for (size_t r = 0; r < count; r++)
                for (size_t l = 0; l < n; l++) c[(first + r)*ldc + l] = t[l*8*LANES + r];
        }
    }
}

/* Lane l of the shuffles that swap bit s of a row's number with bit s of a lane's, for rows a (bit clear) and b (bit set). */
#define LOWER(l, s) ((l) & (s) ? LANES + (l) - (s) : (l))
#define UPPER(l, s) ((l) & (s) ? LANES + (l) : (l) + (s))
#define LANES_2(f, l, s) f(l, s), f(l + 1, s)
#define LANES_4(f, l, s) LANES_2(f, l, s), LANES_2(f, l + 2, s)
#define LANES_8(f, l, s) LANES_4(f, l, s), LANES_4(f, l + 4, s)
#define LANES_16(f, l, s) LANES_8(f, l, s), LANES_8(f, l + 8, s)
#define SWAP_BIT(s)                                                                    \
    UNROLL for (size_t i = 0; i < LANES; i++) {                                        \
        if (i & (s)) continue;                                                         \
        const vec a = v[i], b = v[i + (s)];                                            \
        v[i] = __builtin_shufflevector(a, b, EVERY_LANE(LOWER, 0, s));                 \
        v[i + (s)] = __builtin_shufflevector(a, b, EVERY_LANE(UPPER, 0, s));           \
    }

/* t [LANES][WIDE] = transpose of x [LANES][LANES]. */
static void transpose_square(const nde_real *x, size_t ldx, nde_real *t) {
    vec v[LANES];
    UNROLL for (size_t i = 0; i < LANES; i++) v[i] = load(x + i*ldx);
#if LANES == 2
#define EVERY_LANE LANES_2
#elif LANES == 4
#define EVERY_LANE LANES_4
#elif LANES == 8
#define EVERY_LANE LANES_8
#else
#define EVERY_LANE LANES_16
    SWAP_BIT(8)
#endif
#if LANES >= 8
    SWAP_BIT(4)
#endif
#if LANES >= 4
    SWAP_BIT(2)
#endif
    SWAP_BIT(1)
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

/* The sum of a row in eight interleaved parts, in double. */
static double row_sum(size_t n, const nde_real *a) {
    if (n == 1) return (double)a[0];
    double s[8] = { 0 };
    size_t b = 0;
    for (; b + 8 <= n; b += 8)
        for (size_t j = 0; j < 8; j++) s[j] += (double)a[b + j];
    for (size_t j = 0; b + j < n; j++) s[j] += (double)a[b + j];
    return ((s[0] + s[4]) + (s[2] + s[6])) + ((s[1] + s[5]) + (s[3] + s[7]));
}

/* One column: no sums but those in double. */
static void outer_one(size_t out, size_t in, const nde_real *a, size_t lda, const nde_real *x, double *restrict dw) {
    for (size_t i = 0; i < out; i++, dw += in)
        for (size_t j = 0; j < in; j++) dw[j] += (double)(a[i*lda]*x[j]);
}

/* dw(i, j) = dw[i*row + j*column] += A X' over one panel of `count` columns; lanes run over the rows of X, through a
 * transposed copy of WIDE of them. */
static void outer_panel(size_t out, size_t count, size_t in, const nde_real *a, size_t lda, const nde_real *x, size_t ldx,
                        size_t row, size_t column, double *dw) {
    _Alignas(64) nde_real t[PANEL*WIDE];
    _Alignas(64) nde_real c[ROWS*WIDE];
    for (size_t j = 0; j < in; j += WIDE) {
        const size_t wide = in - j < WIDE ? in - j : WIDE, vectors = (wide + LANES - 1)/LANES;
        transpose(wide, count, x + j*ldx, ldx, t);
        for (size_t i = 0; i < out;) {
            const size_t size = tile_size(out - i), end = i + ((size_t)1 << size);
            const product g = { count, lda, 1, WIDE, WIDE, a + i*lda, t, NULL, NULL, c };
            tiles[size][vectors - 1]((vectors - 1)*LANES, &g);
            for (const nde_real *sum = c; i < end; i++, sum += WIDE) {
                double *to = dw + i*row + j*column;
                if (column == 1 && wide == WIDE)
                    for (size_t l = 0; l < WIDE; l++) to[l] += (double)sum[l];
                else
                    for (size_t l = 0; l < wide; l++) to[l*column] += (double)sum[l];
            }
        }
    }
}

static void outer(size_t out, size_t n, size_t in, const nde_real *a, size_t lda, const nde_real *x, size_t ldx, double *dw,
                  double *db) {
    if (n == 1 && ldx == 1) {
        outer_one(out, in, a, lda, x, dw);
    } else {
        for (size_t b = 0; b < n; b += PANEL) { /* the longer side fills the lanes; the sums are the same */
            const size_t count = n - b < PANEL ? n - b : PANEL;
            if (in < LANES && out > in) outer_panel(in, count, out, x + b, ldx, a + b, lda, 1, in, dw);
            else outer_panel(out, count, in, a + b, lda, x + b, ldx, in, 1, dw);
        }
    }
    if (db)
        for (size_t i = 0; i < out; i++) db[i] += row_sum(n, a + i*lda);
}

/* ---- activations ---- */

/* Rows shorter than a vector go through a padded copy; longer ones end with a vector that overlaps the one before it, read
 * before that one is written. */
INLINE void copy_part(nde_real *to, const nde_real *from, size_t count) {
    UNROLL for (size_t size = LANES/2; size > 0; size /= 2) { /* sizes known to the compiler: no call, no rep movs */
        if (!(count & size)) continue;
        memcpy(to, from, size*sizeof *to);
        to += size, from += size;
    }
}
static inline vec load_part(const nde_real *x, size_t count) {
    nde_real t[LANES] = { 0 };
    copy_part(t, x, count);
    return load(t);
}
static inline void store_part(nde_real *x, vec v, size_t count) {
    nde_real t[LANES];
    store(t, v);
    copy_part(x, t, count);
}

/* Rows that touch are one row. */
static inline void join(size_t *rows, size_t *n, bool touching) {
    if (touching) *n *= *rows, *rows = 1;
}

INLINE vec value_of(const int id, vec z) { return id == NDE_TANH ? vector_tanh(z) : vector_softplus(z); }
/* Slope and curvature of an activation from its value. */
INLINE vec slope_of(const int id, vec s) { return id == NDE_TANH ? (1 - s)*(1 + s) : vector_softplus_slope(s); }
INLINE vec curvature_of(const int id, vec s, vec slope) { return id == NDE_TANH ? -2*s*slope : slope*(1 - slope); }

INLINE void activate_rows(const int id, size_t rows, size_t n, nde_real *z, size_t ldz) {
    join(&rows, &n, ldz == n);
    for (; rows > 0; rows--, z += ldz) {
        if (n < LANES) {
            store_part(z, value_of(id, load_part(z, n)), n);
            continue;
        }
        const vec end = load(z + n - LANES);
        for (size_t b = 0; b + LANES <= n; b += LANES) store(z + b, value_of(id, load(z + b)));
        if (n % LANES) store(z + n - LANES, value_of(id, end));
    }
}
static void activate(int id, size_t rows, size_t n, nde_real *z, size_t ldz) {
    if (id == NDE_TANH) activate_rows(NDE_TANH, rows, n, z, ldz);
    else if (id == NDE_SOFTPLUS) activate_rows(NDE_SOFTPLUS, rows, n, z, ldz);
}

INLINE void slope_rows(const int id, size_t rows, size_t n, const nde_real *s, size_t lds, const nde_real *a, size_t lda,
                       nde_real *d, size_t ldd) {
    join(&rows, &n, lds == n && lda == n && ldd == n);
    for (; rows > 0; rows--, s += lds, a += lda, d += ldd) {
        if (n < LANES) {
            store_part(d, load_part(a, n)*slope_of(id, load_part(s, n)), n);
            continue;
        }
        const vec end = load(a + n - LANES);
        for (size_t b = 0; b + LANES <= n; b += LANES) store(d + b, load(a + b)*slope_of(id, load(s + b)));
        if (n % LANES) store(d + n - LANES, end*slope_of(id, load(s + n - LANES)));
    }
}
static void slope(int id, size_t rows, size_t n, const nde_real *s, size_t lds, const nde_real *a, size_t lda, nde_real *d,
                  size_t ldd) {
    if (id == NDE_TANH) slope_rows(NDE_TANH, rows, n, s, lds, a, lda, d, ldd);
    else if (id == NDE_SOFTPLUS) slope_rows(NDE_SOFTPLUS, rows, n, s, lds, a, lda, d, ldd);
    else if (d != a)
        for (size_t i = 0; i < rows; i++) memcpy(d + i*ldd, a + i*lda, n*sizeof *d);
}

/* a and b of one vector. */
INLINE void curve_vector(const int id, vec s, vec dz, vec *a, vec *b) {
    const vec first = slope_of(id, s), second = curvature_of(id, s, first);
    *a = fused(*a, first, *b*dz*second);
    *b *= first;
}
INLINE void curve_rows(const int id, size_t rows, size_t n, size_t ld, const nde_real *s, const nde_real *dz, nde_real *a,
                       nde_real *b) {
    join(&rows, &n, ld == n);
    for (; rows > 0; rows--, s += ld, dz += ld, a += ld, b += ld) {
        if (n < LANES) {
            vec x = load_part(a, n), y = load_part(b, n);
            curve_vector(id, load_part(s, n), load_part(dz, n), &x, &y);
            store_part(a, x, n), store_part(b, y, n);
            continue;
        }
        vec end_a = load(a + n - LANES), end_b = load(b + n - LANES);
        for (size_t i = 0; i + LANES <= n; i += LANES) {
            vec x = load(a + i), y = load(b + i);
            curve_vector(id, load(s + i), load(dz + i), &x, &y);
            store(a + i, x), store(b + i, y);
        }
        if (n % LANES == 0) continue;
        curve_vector(id, load(s + n - LANES), load(dz + n - LANES), &end_a, &end_b);
        store(a + n - LANES, end_a), store(b + n - LANES, end_b);
    }
}
static void curve(int id, size_t rows, size_t n, size_t ld, const nde_real *s, const nde_real *dz, nde_real *a, nde_real *b) {
    if (id == NDE_TANH) curve_rows(NDE_TANH, rows, n, ld, s, dz, a, b);
    else if (id == NDE_SOFTPLUS) curve_rows(NDE_SOFTPLUS, rows, n, ld, s, dz, a, b);
}

const nde_dense_kernels NDE_ISA_NAME(nde_dense_kernels) = {
    .product = product_kernel, .outer = outer, .activate = activate, .slope = slope, .curve = curve,
};
