/* SPDX-License-Identifier: MIT
 * derive.c - derivatives of a program as more nodes of it, forwards along a direction and backwards from cotangents. What
 * a node's derivative is stands here once: pointwise ones as a factor, which is its own transpose; linear and bilinear
 * ones as the operation itself and its transpose. */
#include "program/graph.h"

#include <string.h>

static const nde_var none = { 0 };

static nde_var add_to(nde_program *g, nde_var sum, nde_var x) { return !sum.id ? x : !x.id ? sum : nde_add(g, sum, x); }
static nde_var scale(nde_program *g, double factor, nde_var x) { return nde_mul(g, nde_constant(g, factor), x); }
static nde_var zeros(nde_program *g, uint32_t rows) { return nde_repeat(g, nde_constant(g, 0), rows); }
static uint32_t rows_of(const nde_program *g, nde_var x) { return nde_node_at(g, x.id).rows; }

/* ---- pointwise ---- */

/* exp(-z^2/2)/sqrt(2 pi) */
nde_var nde_normal_density(nde_program *g, nde_var z) {
    return scale(g, 0.39894228040143267794, nde_exp(g, scale(g, -0.5, nde_square(g, z))));
}

/* s'' for silu, scaled: s (1 - s) (2 + z (1 - 2 s)), s the sigmoid of z. */
static nde_var silu_curvature(nde_program *g, nde_var z, double factor) {
    const nde_var one = nde_constant(g, 1), s = nde_activate(g, NDE_SIGMOID, z), rest = nde_sub(g, one, s);
    const nde_var bend = nde_add(g, nde_constant(g, 2), nde_mul(g, z, nde_sub(g, rest, s)));
    return scale(g, factor, nde_mul(g, nde_mul(g, s, rest), bend));
}

/* Derivative of an activation's slope by what it is taken from, value or input (activation.h). 0: zero. */
static nde_var slope_by_kept(nde_program *g, int activation, nde_var kept) {
    const nde_var one = nde_constant(g, 1), zero = nde_constant(g, 0);
    switch (activation) {
    case NDE_TANH: return scale(g, -2, kept);
    case NDE_SOFTPLUS: return nde_exp(g, nde_neg(g, kept));
    case NDE_SILU: return silu_curvature(g, kept, 1);
    case NDE_LIPSWISH: return silu_curvature(g, kept, 1/1.1);
    case NDE_GELU: return nde_mul(g, nde_sub(g, nde_constant(g, 2), nde_square(g, kept)), nde_normal_density(g, kept));
    case NDE_ELU: return nde_select(g, kept, zero, one);
    case NDE_SIGMOID: return nde_sub(g, one, scale(g, 2, kept));
    case NDE_SIN: return nde_neg(g, nde_sin(g, kept));
    default: return none;
    }
}
bool nde_keeps_input(int activation) {
    return activation == NDE_SILU || activation == NDE_GELU || activation == NDE_SIN || activation == NDE_LIPSWISH;
}

/* v times the derivative of node s by its operand k. 0: zero. */
static nde_var through(nde_program *g, nde_var s, size_t k, nde_var v) {
    const nde_node n = nde_node_at(g, s.id);
    const nde_var a = { n.x[0] }, b = { n.x[1] }, one = nde_constant(g, 1), zero = nde_constant(g, 0);
    if (g->status != NDE_OK) return none;
    switch (n.op) {
    case NDE_OP_NEG: return nde_neg(g, v);
    case NDE_OP_ABS: return nde_mul(g, nde_sign(g, a), v);
    case NDE_OP_SQRT: return nde_div(g, scale(g, 0.5, v), s);
    case NDE_OP_EXP: return nde_mul(g, s, v);
    case NDE_OP_EXPM1: return nde_mul(g, nde_add(g, s, one), v);
    case NDE_OP_LOG: return nde_div(g, v, a);
    case NDE_OP_LOG1P: return nde_div(g, v, nde_add(g, one, a));
    case NDE_OP_SIN: return nde_mul(g, nde_cos(g, a), v);
    case NDE_OP_COS: return nde_neg(g, nde_mul(g, nde_sin(g, a), v));
    case NDE_OP_ERF: return nde_mul(g, scale(g, 1.1283791670955125739, nde_exp(g, nde_neg(g, nde_square(g, a)))), v);
    case NDE_OP_ADD: return v;
    case NDE_OP_SUB: return k == 0 ? v : nde_neg(g, v);
    case NDE_OP_MUL: return nde_mul(g, k == 0 ? b : a, v);
    case NDE_OP_DIV: return k == 0 ? nde_div(g, v, b) : nde_neg(g, nde_mul(g, nde_div(g, v, b), s));
    case NDE_OP_MAXIMUM: {
        const nde_var first = nde_less(g, b, a);
        return k == 0 ? nde_select(g, first, v, zero) : nde_select(g, first, zero, v);
    }
    case NDE_OP_SELECT: return k == 0 ? none : k == 1 ? nde_select(g, a, v, zero) : nde_select(g, a, zero, v);
    case NDE_OP_ACTIVATE: return nde_slope(g, n.detail, nde_keeps_input(n.detail) ? a : s, v);
    case NDE_OP_SLOPE: {
        if (k == 1) return nde_slope(g, n.detail, a, v);
        const nde_var bend = slope_by_kept(g, n.detail, a);
        return bend.id ? nde_mul(g, nde_mul(g, bend, b), v) : none;
    }
    default: return none; /* sign, comparisons */
    }
}

/* ---- linear in each operand ---- */

/* x [rows] within zeros, from row `first` of `all` on. */
static nde_var embed(nde_program *g, nde_var x, uint32_t first, uint32_t all) {
    const uint32_t rows = rows_of(g, x), behind = all - first - rows;
    nde_var parts[3];
    size_t n = 0;
    if (first) parts[n++] = zeros(g, first);
    parts[n++] = x;
    if (behind) parts[n++] = zeros(g, behind);
    return nde_concat(g, parts, n);
}

/* GATHER or SCATTER with the list of another node, to `rows` rows. */
static nde_var with_list(nde_program *g, int op, nde_var x, const nde_node *n, uint32_t rows) {
    return nde_make_like(g, (nde_node){ .op = (uint8_t)op, .rows = rows, .x = { x.id }, .list = n->list, .n = n->n });
}

nde_var nde_again(nde_program *g, const nde_node *n, nde_var a, nde_var b) {
    switch (n->op) {
    case NDE_OP_INDEPENDENT: return a;
    case NDE_OP_PART: return nde_cut(g, a, n->first, n->rows);
    case NDE_OP_REPEAT: return nde_repeat(g, a, n->rows);
    case NDE_OP_SUM: return nde_sum(g, a);
    case NDE_OP_DOT: return nde_dot(g, a, b);
    case NDE_OP_CROSS: return nde_cross(g, a, b);
    case NDE_OP_MATVEC: return nde_matvec(g, a, b);
    case NDE_OP_MATVEC_TRANSPOSED: return nde_matvec_transposed(g, a, b);
    case NDE_OP_OUTER: return nde_outer(g, a, b);
    case NDE_OP_MATMUL: return nde_matrix_product(g, n->detail, a, b, n->first);
    default: {
        nde_node other = *n;
        other.x[0] = a.id, other.x[1] = b.id;
        return nde_make_like(g, other);
    }
    }
}

/* Of matrices: sums are over the sides that v has and the operand has not. */
static nde_var matmul_transposed(nde_program *g, const nde_node *n, size_t k, nde_var other, nde_var v) {
    const uint32_t rows = nde_node_at(g, n->x[0]).rows/n->first, columns = n->rows/rows;
    switch (n->detail) {
    case NDE_MATMUL_AB: return k == 0 ? nde_matrix_product(g, NDE_MATMUL_ABT, v, other, columns) :
                                        nde_matrix_product(g, NDE_MATMUL_ATB, other, v, rows);
    case NDE_MATMUL_ABT: return k == 0 ? nde_matrix_product(g, NDE_MATMUL_AB, v, other, columns) :
                                         nde_matrix_product(g, NDE_MATMUL_ATB, v, other, rows);
    default: return k == 0 ? nde_matrix_product(g, NDE_MATMUL_ABT, other, v, columns) :
                             nde_matrix_product(g, NDE_MATMUL_AB, other, v, rows);
    }
}

/* Rows from `first` on of the node's list. */
static nde_var gathered(nde_program *g, const nde_node *n, uint32_t first, nde_var x) {
    const uint32_t entries = n->n/2;
    return nde_make_like(g, (nde_node){ .op = NDE_OP_GATHER, .rows = entries, .x = { x.id }, .list = n->list + first,
                                        .n = entries });
}

/* By the entries: v at their rows, the other one at their columns. By the vector: rows and columns change places. */
static nde_var sparse_transposed(nde_program *g, const nde_node *n, size_t k, nde_var other, nde_var v) {
    const uint32_t entries = n->n/2;
    if (k == 0) return nde_mul(g, gathered(g, n, 0, v), gathered(g, n, entries, other));
    uint32_t *list = nde_scratch(g, n->n, sizeof *list);
    if (!list) return none;
    memcpy(list, nde_list(g, n->list + entries), entries*sizeof *list);
    memcpy(list + entries, nde_list(g, n->list), entries*sizeof *list);
    const nde_node turned = { .op = NDE_OP_SPARSE, .rows = nde_node_at(g, n->x[1]).rows, .x = { other.id, v.id }, .n = n->n };
    const nde_var y = nde_make(g, turned, list);
    nde_scratch_free(g, list, n->n, sizeof *list);
    return y;
}

/* In y_i = sum_j a_j b_m, m = first + s j + r i with signs s and r, by a: i and j change places. By b: i = r (m - first -
 * s j), for which v has to have all rows of the circle. */
static nde_var circular_transposed(nde_program *g, const nde_node *n, size_t k, nde_var other, nde_var v) {
    const uint32_t all = nde_node_at(g, n->x[1]).rows;
    const bool s = n->detail & NDE_CIRCULAR_MINUS_J, r = n->detail & NDE_CIRCULAR_MINUS_I;
    nde_node to = { .op = NDE_OP_CIRCULAR, .rows = nde_node_at(g, n->x[k]).rows };
    if (k == 0) {
        to.detail = (r ? NDE_CIRCULAR_MINUS_J : 0) | (s ? NDE_CIRCULAR_MINUS_I : 0);
        to.first = n->first, to.x[0] = v.id, to.x[1] = other.id;
    } else {
        to.detail = (r == s ? NDE_CIRCULAR_MINUS_J : 0) | (r ? NDE_CIRCULAR_MINUS_I : 0);
        to.first = r ? n->first : (all - n->first)%all;
        to.x[0] = other.id, to.x[1] = n->rows == all ? v.id : embed(g, v, 0, all).id;
    }
    return nde_make(g, to, NULL);
}

/* FFTW's sums there and back are each other's transposes but for the weight of numbers that stand for two: twice on the
 * way back. */
static nde_var transform_transposed(nde_program *g, const nde_node *n, nde_var v) {
    static const char who[] = "the derivative of a transform";
    double *weight = nde_scratch(g, n->rows, sizeof *weight);
    if (!weight) return none;
    for (uint32_t i = 0; i < n->rows; i++) weight[i] = i == 0 || 2*i == n->rows ? 1 : n->detail ? 2 : 0.5;
    const nde_var w = nde_constants(g, weight, n->rows);
    nde_scratch_free(g, weight, n->rows, sizeof *weight);
    return n->detail ? nde_mul(g, w, nde_transform_of(g, who, false, v)) : nde_transform_of(g, who, true, nde_mul(g, w, v));
}

/* Transpose of a bilinear node by its operand k: the other operand and v, the node's cotangent. */
static nde_var transposed(nde_program *g, const nde_node *n, size_t k, nde_var v) {
    const nde_var other = { n->x[1 - k] };
    switch (n->op) {
    case NDE_OP_DOT: return nde_mul(g, other, v);
    case NDE_OP_CROSS: return k == 0 ? nde_cross(g, other, v) : nde_cross(g, v, other);
    case NDE_OP_MATVEC: return k == 0 ? nde_outer(g, v, other) : nde_matvec_transposed(g, other, v);
    case NDE_OP_MATVEC_TRANSPOSED: return k == 0 ? nde_outer(g, other, v) : nde_matvec(g, other, v);
    case NDE_OP_MATMUL: return matmul_transposed(g, n, k, other, v);
    case NDE_OP_SPARSE: return sparse_transposed(g, n, k, other, v);
    case NDE_OP_CIRCULAR: return circular_transposed(g, n, k, other, v);
    default: return k == 0 ? nde_matvec(g, v, other) : nde_matvec_transposed(g, v, other); /* outer */
    }
}

static bool is_pointwise(int op) {
    return nde_operations[op].form == NDE_FORM_POINTWISE || nde_operations[op].form == NDE_FORM_ROWS;
}

/* ---- forwards ---- */

static nde_var concat_of(nde_program *g, const nde_node *n, const uint32_t *dot) {
    nde_var *parts = nde_scratch(g, n->n, sizeof *parts), y = none;
    bool any = false;
    for (uint32_t i = 0; parts && i < n->n; i++) {
        const uint32_t id = *nde_list(g, n->list + i);
        any |= dot[id] != 0;
        parts[i].id = dot[id] ? dot[id] : zeros(g, nde_node_at(g, id).rows).id;
    }
    if (any) y = nde_concat(g, parts, n->n);
    nde_scratch_free(g, parts, parts ? n->n : 0, sizeof *parts);
    return y;
}

nde_var nde_linear_node(nde_program *g, uint32_t id, const uint32_t *dot) {
    const nde_node n = nde_node_at(g, id);
    if (n.op == NDE_OP_CONCAT) return concat_of(g, &n, dot);
    return dot[n.x[0]] ? nde_again(g, &n, (nde_var){ dot[n.x[0]] }, none) : none;
}

static nde_var forward_node(nde_program *g, uint32_t id, const uint32_t *dot) {
    const nde_node n = nde_node_at(g, id);
    nde_var d[3] = { none, none, none }, sum = none;
    if (nde_operations[n.op].form == NDE_FORM_LINEAR) return nde_linear_node(g, id, dot);
    for (size_t i = 0; i < nde_operations[n.op].operands; i++) d[i].id = dot[n.x[i]];
    if (is_pointwise(n.op)) {
        for (size_t i = 0; i < nde_operations[n.op].operands; i++)
            if (d[i].id) sum = add_to(g, sum, through(g, (nde_var){ id }, i, d[i]));
        return nde_widen(g, sum, n.rows);
    }
    if (nde_operations[n.op].form != NDE_FORM_BILINEAR) return none; /* a constant */
    if (d[0].id) sum = nde_again(g, &n, d[0], (nde_var){ n.x[1] });
    return d[1].id ? add_to(g, sum, nde_again(g, &n, (nde_var){ n.x[0] }, d[1])) : sum;
}

void nde_forward_nodes(nde_program *g, uint32_t top, nde_var (*direction)(nde_program *g, uint32_t id, const void *ctx),
                       const void *ctx, uint32_t *dot) {
    for (uint32_t id = 1; id <= top && g->status == NDE_OK; id++) {
        const int op = nde_node_at(g, id).op;
        nde_var v = none;
        if (op == NDE_OP_INPUT || op == NDE_OP_INDEPENDENT) v = direction(g, id, ctx);
        dot[id] = v.id || op == NDE_OP_INPUT ? v.id : forward_node(g, id, dot).id;
    }
}

/* ---- backwards ---- */

/* Cotangents of a part of a node's rows, until the node's turn comes. */
typedef struct piece {
    uint32_t first, x, next;
} piece;
typedef struct pile {
    uint32_t *bar, *head; /* [top + 1]: sum of whole cotangents; first piece */
    nde_growing pieces;
    uint32_t count;       /* of pieces, piece 0 included */
} pile;

static void add_piece(nde_program *g, pile *to, uint32_t id, uint32_t first, nde_var x) {
    if (!x.id || !nde_grow(g, &to->pieces, (size_t)to->count + 1, sizeof(piece))) return;
    ((piece *)to->pieces.data)[to->count] = (piece){ first, x.id, to->head[id] };
    to->head[id] = to->count++;
}

/* x goes to node id, which may have one row where x has more. */
static void add_whole(nde_program *g, pile *to, uint32_t id, nde_var x) {
    if (!x.id) return;
    const uint32_t rows = nde_node_at(g, id).rows;
    if (rows_of(g, x) > rows) x = nde_sum(g, x);
    to->bar[id] = add_to(g, (nde_var){ to->bar[id] }, nde_widen(g, x, rows)).id;
}

/* Where the sum of the pieces changes next after row `first`. */
static uint32_t next_border(const nde_program *g, const piece *pieces, uint32_t head, uint32_t first, uint32_t end) {
    for (uint32_t i = head; i; i = pieces[i].next) {
        const uint32_t begin = pieces[i].first, stop = begin + rows_of(g, (nde_var){ pieces[i].x });
        if (begin > first && begin < end) end = begin;
        if (stop > first && stop < end) end = stop;
    }
    return end;
}

/* The pieces of a node as one value. */
static nde_var assemble(nde_program *g, const pile *from, uint32_t id) {
    const uint32_t rows = nde_node_at(g, id).rows;
    const piece *pieces = from->pieces.data;
    nde_growing parts = { 0 };
    size_t count = 0;
    for (uint32_t row = 0, end; row < rows && g->status == NDE_OK; row = end) {
        nde_var sum = none;
        end = next_border(g, pieces, from->head[id], row, rows);
        for (uint32_t i = from->head[id]; i; i = pieces[i].next) {
            const nde_var x = { pieces[i].x };
            const uint32_t begin = pieces[i].first;
            if (begin <= row && row < begin + rows_of(g, x)) sum = add_to(g, sum, nde_cut(g, x, row - begin, end - row));
        }
        if (nde_grow(g, &parts, count + 1, sizeof(nde_var)))
            ((nde_var *)parts.data)[count++] = sum.id ? sum : zeros(g, end - row);
    }
    const nde_var y = g->status == NDE_OK ? nde_concat(g, parts.data, count) : none;
    nde_growing_free(g, &parts);
    return y;
}

static void reverse_node(nde_program *g, uint32_t id, const bool *active, nde_var v, pile *to) {
    const nde_node n = nde_node_at(g, id);
    uint32_t row = 0;
    if (n.op == NDE_OP_CONCAT) {
        for (uint32_t i = 0; i < n.n && g->status == NDE_OK; i++) {
            const uint32_t x = *nde_list(g, n.list + i), rows = nde_node_at(g, x).rows;
            if (active[x]) add_whole(g, to, x, nde_cut(g, v, row, rows));
            row += rows;
        }
    }
    for (size_t i = 0; i < nde_operations[n.op].operands && g->status == NDE_OK; i++) {
        const uint32_t x = n.x[i], rows = nde_node_at(g, x).rows;
        if (!active[x]) continue;
        if (is_pointwise(n.op)) add_whole(g, to, x, through(g, (nde_var){ id }, i, v));
        else if (nde_operations[n.op].form == NDE_FORM_BILINEAR) add_whole(g, to, x, transposed(g, &n, i, v));
        else if (n.op == NDE_OP_PART) add_piece(g, to, x, n.first, v);
        else if (n.op == NDE_OP_GATHER) add_whole(g, to, x, with_list(g, NDE_OP_SCATTER, v, &n, rows));
        else if (n.op == NDE_OP_SCATTER) add_whole(g, to, x, with_list(g, NDE_OP_GATHER, v, &n, rows));
        else if (n.op == NDE_OP_TRANSFORM) add_whole(g, to, x, transform_transposed(g, &n, v));
        else add_whole(g, to, x, v); /* sum, repeat, independent */
    }
}

/* Do inputs have a part in it? Constants, cotangents and what is made of them have no cotangent. */
static void find_active(const nde_program *g, uint32_t top, bool *active) {
    for (uint32_t id = 1; id <= top; id++) {
        const nde_node n = nde_node_at(g, id);
        active[id] = (n.op == NDE_OP_INPUT && n.detail < NDE_SPACE_A) || n.op == NDE_OP_INDEPENDENT;
        if (nde_operations[n.op].form == NDE_FORM_STILL) continue;
        for (size_t i = 0; i < nde_operations[n.op].operands; i++) active[id] |= active[n.x[i]];
        for (uint32_t i = 0; n.op == NDE_OP_CONCAT && i < n.n; i++) active[id] |= active[*nde_list(g, n.list + i)];
    }
}

void nde_reverse_nodes(nde_program *g, uint32_t top, uint32_t *bar) {
    bool *active = nde_scratch(g, (size_t)top + 1, sizeof *active);
    pile to = { .bar = bar, .head = nde_scratch(g, (size_t)top + 1, sizeof *to.head), .count = 1 };
    if (active) find_active(g, top, active);
    for (uint32_t id = top; id > 0 && g->status == NDE_OK; id--) {
        if (to.head[id]) add_whole(g, &to, id, assemble(g, &to, id));
        if (bar[id] && active[id]) reverse_node(g, id, active, (nde_var){ bar[id] }, &to);
    }
    nde_growing_free(g, &to.pieces);
    if (active) nde_scratch_free(g, active, (size_t)top + 1, sizeof *active);
    if (to.head) nde_scratch_free(g, to.head, (size_t)top + 1, sizeof *to.head);
}

/* ---- for the user ---- */

/* Rows that two inputs share: first row of the overlap in each of them. 0: none. */
static uint32_t overlap(const nde_node *a, const nde_node *b, uint32_t *in_a, uint32_t *in_b) {
    if (a->op != NDE_OP_INPUT || b->op != NDE_OP_INPUT || a->detail != b->detail) return 0;
    const uint32_t begin = a->first > b->first ? a->first : b->first;
    const uint32_t end = a->first + a->rows < b->first + b->rows ? a->first + a->rows : b->first + b->rows;
    *in_a = begin - a->first, *in_b = begin - b->first;
    return begin < end ? end - begin : 0;
}

nde_var nde_along(nde_program *g, uint32_t id, const void *ctx) {
    const nde_moving *x = ctx;
    const nde_node from = nde_node_at(g, x->id), n = nde_node_at(g, id);
    uint32_t in_x, in_n;
    if (id == x->id) return x->v;
    const uint32_t rows = overlap(&from, &n, &in_x, &in_n);
    return rows ? embed(g, nde_cut(g, x->v, in_x, rows), in_n, n.rows) : none;
}

bool nde_may_derive(nde_program *g, const char *who, nde_var f, nde_var x, nde_var v, bool like_f) {
    if (!g) return nde_fail(NDE_E_ARG, "%s: the program is NULL", who), false;
    if (g->finished) return nde_program_fail(g, NDE_E_ARG, "%s: the program is finished", who), false;
    const size_t rows = nde_var_rows(g, v), needed = nde_var_rows(g, like_f ? f : x);
    if (g->status != NDE_OK) return false;
    if (!nde_var_rows(g, f) || !nde_var_rows(g, x) || rows == 0)
        return nde_program_fail(g, NDE_E_ARG, "%s: an operand is no value of this program", who), false;
    const int op = nde_node_at(g, x.id).op;
    if (op != NDE_OP_INPUT && op != NDE_OP_INDEPENDENT)
        return nde_program_fail(g, NDE_E_ARG, "%s: x is %s, not an input nor made by nde_independent", who,
                                nde_operations[op].name), false;
    if (rows != 1 && rows != needed)
        return nde_program_fail(g, NDE_E_ARG, "%s: the last operand has %zu rows, not %zu", who, rows, needed), false;
    return true;
}

nde_var nde_jvp_of(nde_program *g, nde_var f, nde_var x, nde_var v) {
    if (!nde_may_derive(g, "nde_jvp_of", f, x, v, false)) return none;
    const uint32_t top = f.id, rows = rows_of(g, f);
    const nde_moving direction = { x.id, nde_widen(g, v, rows_of(g, x)) };
    uint32_t *dot = nde_scratch(g, (size_t)top + 1, sizeof *dot);
    if (!dot) return none;
    nde_forward_nodes(g, top, nde_along, &direction, dot);
    const nde_var y = { dot[top] };
    nde_scratch_free(g, dot, (size_t)top + 1, sizeof *dot);
    return y.id || g->status != NDE_OK ? y : zeros(g, rows);
}

nde_var nde_vjp_of(nde_program *g, nde_var f, nde_var x, nde_var a) {
    if (!nde_may_derive(g, "nde_vjp_of", f, x, a, true)) return none;
    const uint32_t top = f.id > x.id ? f.id : x.id;
    const nde_node of = nde_node_at(g, x.id);
    uint32_t *bar = nde_scratch(g, (size_t)top + 1, sizeof *bar);
    if (!bar) return none;
    bar[f.id] = nde_widen(g, a, rows_of(g, f)).id;
    nde_reverse_nodes(g, top, bar);
    nde_var sum = { bar[x.id] };
    for (uint32_t id = 1; id <= top && g->status == NDE_OK; id++) {
        const nde_node n = nde_node_at(g, id);
        uint32_t in_x, in_n;
        const uint32_t rows = id != x.id && bar[id] ? overlap(&of, &n, &in_x, &in_n) : 0;
        if (rows) sum = add_to(g, sum, embed(g, nde_cut(g, (nde_var){ bar[id] }, in_n, rows), in_x, of.rows));
    }
    nde_scratch_free(g, bar, (size_t)top + 1, sizeof *bar);
    return sum.id || g->status != NDE_OK ? sum : zeros(g, of.rows);
}
