/* SPDX-License-Identifier: MIT
 * matrix.c - programs of matrices and tokens, sparse matrices and graphs, convolutions and Fourier transforms: three bilinear
 * operations, one linear one, and what is made of them. */
#include "program/graph.h"

#include <math.h>
#include <string.h>

static const nde_var none = { 0 };

static uint32_t rows_of(const nde_program *g, nde_var x) { return nde_node_at(g, x.id).rows; }

nde_var nde_make_like(nde_program *g, nde_node node) {
    uint32_t *list = node.n ? nde_scratch(g, node.n, sizeof *list) : NULL;
    if (node.n && !list) return none;
    if (list) memcpy(list, nde_list(g, node.list), node.n*sizeof *list);
    const nde_var y = nde_make(g, node, list);
    if (list) nde_scratch_free(g, list, node.n, sizeof *list);
    return y;
}

static bool are_values(nde_program *g, const char *who, nde_var a, nde_var b) {
    return nde_is_value(g, who, "the first operand", a) && nde_is_value(g, who, "the second operand", b);
}

/* Is x a matrix with sides of this length? */
static bool has_sides(nde_program *g, const char *who, const char *name, nde_var x, size_t side) {
    if (side > 0 && rows_of(g, x) % side == 0) return true;
    return FAIL(g, who, "%s has %u rows, no multiple of %zu", name, (unsigned)rows_of(g, x), side), false;
}

/* ---- matrices ---- */

nde_var nde_matrix_product(nde_program *g, int form, nde_var a, nde_var b, uint32_t inner) {
    const uint32_t n = rows_of(g, a)/inner, m = rows_of(g, b)/inner;
    if (m == 1 && form != NDE_MATMUL_ATB) return nde_matvec(g, a, b);
    if (m == 1) return nde_matvec_transposed(g, a, b);
    return nde_make(g, (nde_node){ .op = NDE_OP_MATMUL, .detail = (uint16_t)form, .rows = n*m, .first = inner,
                                   .x = { a.id, b.id } },
                    NULL);
}

static nde_var matmul(nde_program *g, const char *who, int form, nde_var a, nde_var b, size_t inner) {
    if (!are_values(g, who, a, b) || !has_sides(g, who, "the first operand", a, inner) ||
        !has_sides(g, who, "the second operand", b, inner)) return none;
    if (!nde_rows_fit(g, who, (uint64_t)(rows_of(g, a)/inner)*(rows_of(g, b)/inner))) return none;
    return nde_matrix_product(g, form, a, b, (uint32_t)inner);
}
nde_var nde_matmul(nde_program *g, nde_var a, nde_var b, size_t inner) {
    return matmul(g, "nde_matmul", NDE_MATMUL_AB, a, b, inner);
}
nde_var nde_matmul_transposed(nde_program *g, nde_var a, nde_var b, size_t inner) {
    return matmul(g, "nde_matmul_transposed", NDE_MATMUL_ABT, a, b, inner);
}

/* ---- tokens ---- */

/* GATHER of x, or SCATTER to `to` rows, of blocks of `width` rows; block e of the longer side belongs to block of[e], or to
 * e/each when `of` is NULL. */
static nde_var blocks(nde_program *g, int op, nde_var x, const uint32_t *of, size_t each, size_t count, uint32_t width,
                      uint32_t to) {
    const uint32_t n = (uint32_t)count*width;
    uint32_t *list = nde_scratch(g, n, sizeof *list);
    if (!list) return none;
    for (uint32_t e = 0; e < count; e++)
        for (uint32_t i = 0; i < width; i++) list[e*width + i] = (of ? of[e] : e/(uint32_t)each)*width + i;
    const nde_var y = nde_make(g, (nde_node){ .op = (uint8_t)op, .rows = op == NDE_OP_GATHER ? n : to, .x = { x.id },
                                              .n = n }, list);
    nde_scratch_free(g, list, n, sizeof *list);
    return y;
}

/* Its derivatives need not see by what x is shifted. */
nde_var nde_softmax(nde_program *g, nde_var x, size_t width) {
    static const char who[] = "nde_softmax";
    if (!nde_is_value(g, who, "x", x) || !has_sides(g, who, "x", x, width)) return none;
    const uint32_t rows = rows_of(g, x), groups = rows/(uint32_t)width;
    if (width == 1) return nde_repeat(g, nde_constant(g, 1), rows);
    const nde_var most = nde_make(g, (nde_node){ .op = NDE_OP_LARGEST, .rows = groups, .first = (uint32_t)width,
                                                 .x = { x.id } }, NULL);
    const nde_var e = nde_exp(g, nde_sub(g, x, blocks(g, NDE_OP_GATHER, most, NULL, width, rows, 1, rows)));
    const nde_var sum = blocks(g, NDE_OP_SCATTER, e, NULL, width, rows, 1, groups);
    return nde_div(g, e, blocks(g, NDE_OP_GATHER, sum, NULL, width, rows, 1, rows));
}

nde_var nde_attention(nde_program *g, nde_var q, nde_var k, nde_var v, size_t d) {
    static const char who[] = "nde_attention";
    if (!nde_is_value(g, who, "q", q) || !nde_is_value(g, who, "k", k) || !nde_is_value(g, who, "v", v)) return none;
    if (!has_sides(g, who, "q", q, d) || !has_sides(g, who, "k", k, d)) return none;
    const size_t others = rows_of(g, k)/d;
    if (!has_sides(g, who, "v", v, others)) return none;
    const nde_var scores = nde_matmul_transposed(g, nde_mul(g, nde_constant(g, 1/sqrt((double)d)), q), k, d);
    return g->status == NDE_OK ? nde_matmul(g, nde_softmax(g, scores, others), v, others) : none;
}

/* ---- sparse matrices and graphs ---- */

/* at [2*entries]: row and column of each entry, or NULL: it is no matrix, or there is no memory. */
static uint32_t *entries_of(nde_program *g, const char *who, const nde_csr *a, nde_csr *all, uint32_t *entries) {
    if (!a || !nde_read_sized(all, sizeof *all, a, sizeof *all))
        return FAIL(g, who, "the matrix is NULL or its size unknown"), NULL;
    if (!all->start || !all->column) return FAIL(g, who, "start or column is NULL"), NULL;
    if (!nde_rows_fit(g, who, all->rows) || !nde_rows_fit(g, who, all->columns)) return NULL;
    if (all->start[0] != 0) return FAIL(g, who, "start[0] is %zu", all->start[0]), NULL;
    for (size_t i = 0; i < all->rows; i++)
        if (all->start[i + 1] < all->start[i])
            return FAIL(g, who, "start[%zu] is %zu, after %zu", i + 1, all->start[i + 1], all->start[i]), NULL;
    const size_t n = all->start[all->rows];
    if (!nde_rows_fit(g, who, n)) return NULL;
    for (size_t e = 0; e < n; e++)
        if (all->column[e] >= all->columns)
            return FAIL(g, who, "column[%zu] is %zu of %zu", e, all->column[e], all->columns), NULL;
    uint32_t *at = nde_scratch(g, 2*n, sizeof *at);
    for (size_t i = 0; at && i < all->rows; i++)
        for (size_t e = all->start[i]; e < all->start[i + 1]; e++) at[e] = (uint32_t)i, at[n + e] = (uint32_t)all->column[e];
    *entries = (uint32_t)n;
    return at;
}

nde_var nde_csr_matvec(nde_program *g, const nde_csr *a, nde_var w, nde_var x) {
    static const char who[] = "nde_csr_matvec";
    nde_csr all;
    uint32_t entries;
    if (!nde_is_value(g, who, "w", w) || !nde_is_value(g, who, "x", x)) return none;
    uint32_t *at = entries_of(g, who, a, &all, &entries);
    nde_var y = none;
    if (!at) return none;
    if (rows_of(g, w) != entries && rows_of(g, w) != 1)
        FAIL(g, who, "w has %u rows, the matrix %u entries", (unsigned)rows_of(g, w), entries);
    else if (rows_of(g, x) != all.columns)
        FAIL(g, who, "x has %u rows, the matrix %zu columns", (unsigned)rows_of(g, x), all.columns);
    else if (nde_widen(g, w, entries).id)
        y = nde_make(g, (nde_node){ .op = NDE_OP_SPARSE, .rows = (uint32_t)all.rows, .x = { nde_widen(g, w, entries).id, x.id },
                                    .n = 2*entries }, at);
    nde_scratch_free(g, at, (size_t)2*entries, sizeof *at);
    return y;
}

/* To the entries from their rows or columns, or from the entries to rows. */
static nde_var of_entries(nde_program *g, const char *who, const nde_csr *a, nde_var x, int op, bool column) {
    nde_csr all;
    uint32_t entries;
    if (!nde_is_value(g, who, "x", x)) return none;
    uint32_t *at = entries_of(g, who, a, &all, &entries);
    nde_var y = none;
    if (!at) return none;
    const size_t side = op == NDE_OP_SCATTER ? entries : column ? all.columns : all.rows;
    if (has_sides(g, who, "x", x, side)) {
        const uint32_t width = rows_of(g, x)/(uint32_t)side;
        if (nde_rows_fit(g, who, (uint64_t)entries*width) && nde_rows_fit(g, who, (uint64_t)all.rows*width))
            y = blocks(g, op, x, column ? at + entries : at, 0, entries, width, (uint32_t)all.rows*width);
    }
    nde_scratch_free(g, at, (size_t)2*entries, sizeof *at);
    return y;
}
nde_var nde_csr_columns(nde_program *g, const nde_csr *a, nde_var x) {
    return of_entries(g, "nde_csr_columns", a, x, NDE_OP_GATHER, true);
}
nde_var nde_csr_rows(nde_program *g, const nde_csr *a, nde_var x) {
    return of_entries(g, "nde_csr_rows", a, x, NDE_OP_GATHER, false);
}
nde_var nde_csr_sum(nde_program *g, const nde_csr *a, nde_var x) {
    return of_entries(g, "nde_csr_sum", a, x, NDE_OP_SCATTER, false);
}

/* ---- on a circle ---- */

nde_var nde_convolve(nde_program *g, nde_var k, nde_var x, size_t centre) {
    static const char who[] = "nde_convolve";
    if (!nde_is_value(g, who, "k", k) || !nde_is_value(g, who, "x", x)) return none;
    const uint32_t rows = rows_of(g, x);
    if (rows_of(g, k) > rows) return FAIL(g, who, "k has %u rows, x %u", (unsigned)rows_of(g, k), (unsigned)rows);
    if (centre >= rows_of(g, k)) return FAIL(g, who, "the centre is %zu of %u", centre, (unsigned)rows_of(g, k));
    return nde_make(g, (nde_node){ .op = NDE_OP_CIRCULAR, .detail = NDE_CIRCULAR_MINUS_J, .rows = rows,
                                   .first = (uint32_t)centre, .x = { k.id, x.id } }, NULL);
}

/* Which one of the program's has n rows; it is made where none has. */
static uint32_t find_transform(nde_program *g, const char *who, uint32_t n) {
    nde_transform one;
    uint32_t i = 0;
    for (const nde_transform *all = g->transforms.data; i < g->transformed; i++)
        if (all[i].n == n) return i;
    const nde_status status = nde_transform_make(n, &one);
    if (status != NDE_OK) nde_refuse(g, status, who, "%s", nde_error());
    else if (nde_grow(g, &g->transforms, (size_t)g->transformed + 1, sizeof one))
        ((nde_transform *)g->transforms.data)[g->transformed++] = one;
    else nde_transform_free(&one);
    return i;
}

nde_var nde_transform_of(nde_program *g, const char *who, bool back, nde_var x) {
    if (!nde_is_value(g, who, "x", x)) return none;
    const uint32_t rows = rows_of(g, x), which = find_transform(g, who, rows);
    return nde_make(g, (nde_node){ .op = NDE_OP_TRANSFORM, .detail = back, .rows = rows, .first = which, .x = { x.id } }, NULL);
}
nde_var nde_fft(nde_program *g, nde_var x) { return nde_transform_of(g, "nde_fft", false, x); }
nde_var nde_fft_inverse(nde_program *g, nde_var x) {
    const nde_var y = nde_transform_of(g, "nde_fft_inverse", true, x);
    return y.id ? nde_mul(g, nde_constant(g, 1/(double)rows_of(g, y)), y) : none;
}
