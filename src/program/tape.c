/* SPDX-License-Identifier: MIT
 * tape.c - which values the transpose reads instead of making them again.
 *
 * Of the value's nodes that nodes of the transpose use, in ascending order, those are kept that would cost more than KEEP
 * operations an entry to make from inputs and from what is kept already; what is made again for one is there for all. To
 * write a row into a record and to read it again takes as long as KEEP simple operations on it or more, as it has left the
 * first-level cache in between.
 *
 * Where gradients of weights are sums of outer products, these can wait: the transpose leaves their left sides on the
 * cotape, and the window adds them for many calls at once. Their right sides stand on the tape then, whatever they cost,
 * inputs too.
 *
 * A value has the same bits kept or made again (lower.c), and both codes work on the same strips of lanes: so have
 * gradients. */
#include "program/graph.h"

enum { KEEP = 8 };

/* Operations of an entry, where there is one for each. */
static double price(const nde_node *n) {
    switch (n->op) {
    case NDE_OP_INPUT: case NDE_OP_CONSTANT: case NDE_OP_INDEPENDENT: case NDE_OP_PART: return 0;
    case NDE_OP_DIV: return 4;
    case NDE_OP_SQRT: return 6;
    case NDE_OP_EXP: case NDE_OP_EXPM1: case NDE_OP_LOG: case NDE_OP_LOG1P: case NDE_OP_SIN: case NDE_OP_COS: return 16;
    case NDE_OP_ERF: return 24;
    case NDE_OP_TRANSFORM: return 16;
    case NDE_OP_ACTIVATE: case NDE_OP_SLOPE: return n->detail == NDE_RELU ? 1 : 16;
    default: return 1;
    }
}

/* Operations of a node. */
static double expense_of(const nde_program *g, const nde_node *n) {
    const double rows = n->rows, in = n->x[0] ? nde_node_at(g, n->x[0]).rows : 0;
    switch (n->op) {
    case NDE_OP_SUM: case NDE_OP_LARGEST: return in;
    case NDE_OP_DOT: case NDE_OP_SPARSE: case NDE_OP_MATVEC: case NDE_OP_MATVEC_TRANSPOSED: return 2*in;
    case NDE_OP_CIRCULAR: return 2*in*rows;
    case NDE_OP_MATMUL: return 2*rows*n->first;
    default: return rows*price(n);
    }
}

typedef struct chooser {
    nde_program *g;
    bool *needed, *used; /* [top + 1]; used: by the transpose */
    double *expense;     /* [top + 1] of what would be made again */
} chooser;

/* The node whose rows a view shows. */
static uint32_t seen(const nde_program *g, uint32_t id) {
    while (nde_node_at(g, id).op == NDE_OP_PART || nde_node_at(g, id).op == NDE_OP_INDEPENDENT) id = nde_node_at(g, id).x[0];
    return id;
}

static void keep(nde_program *g, uint32_t id) {
    const nde_node n = nde_node_at(g, id);
    uint32_t *tape = g->tape.data;
    if (id > g->value || tape[id] || n.flags & NDE_NODE_UNIFORM) return;
    tape[id] = 1 + g->taped;
    g->taped += n.rows;
}

static void use(const chooser *c, uint32_t x) {
    c->needed[x] = x > c->g->value;
    c->used[seen(c->g, x)] |= x <= c->g->value;
}

/* From the roots down to the value's nodes. */
static void find_used(const chooser *c, uint32_t top, const nde_root *root, size_t count, bool windowed) {
    nde_program *g = c->g;
    for (size_t i = 0; i < count; i++) use(c, root[i].node);
    for (uint32_t id = top; id > g->value; id--) {
        const nde_node n = nde_node_at(g, id);
        if (!c->needed[id]) continue;
        for (size_t i = 0; i < 3; i++)
            if (n.x[i]) use(c, n.x[i]);
        for (uint32_t i = 0; n.op == NDE_OP_CONCAT && i < n.n; i++) use(c, *nde_list(g, n.list + i));
        if (windowed && n.op == NDE_OP_OUTER) keep(g, seen(g, n.x[0])), keep(g, seen(g, n.x[1]));
    }
}

static double left_of(const chooser *c, uint32_t x) { return ((uint32_t *)c->g->tape.data)[x] ? 0 : c->expense[x]; }

static void choose(const chooser *c) {
    nde_program *g = c->g;
    for (uint32_t id = 1; id <= g->value; id++) {
        const nde_node n = nde_node_at(g, id);
        if (n.flags & NDE_NODE_UNIFORM) continue;
        c->expense[id] = expense_of(g, &n);
        for (size_t i = 0; i < 3; i++)
            if (n.x[i]) c->expense[id] += left_of(c, n.x[i]);
        for (uint32_t i = 0; n.op == NDE_OP_CONCAT && i < n.n; i++) c->expense[id] += left_of(c, *nde_list(g, n.list + i));
        if (!c->used[id]) continue;
        if (c->expense[id] > KEEP*(double)n.rows) keep(g, id);
        c->expense[id] = 0;
    }
}

static bool has_outer(const nde_code *code) {
    for (size_t i = 0; i < code->count; i++)
        if (code->at[i].op == NDE_OP_ADD_OUTER) return true;
    return false;
}

/* The value's code that leaves a tape. */
static void lower_value(nde_program *g) {
    const uint32_t *tape = g->tape.data;
    nde_root *root = nde_scratch(g, (size_t)g->value + 1, sizeof *root);
    size_t n = 0;
    if (!root) return;
    root[n++] = (nde_root){ g->value, 0, NDE_SPACE_OUT };
    for (uint32_t id = 1; id <= g->value; id++)
        if (tape[id]) root[n++] = (nde_root){ id, tape[id] - 1, NDE_SPACE_TAPE };
    nde_lower(g, root, n, &g->code[NDE_CODE_EVAL_TAPE]);
    nde_scratch_free(g, root, (size_t)g->value + 1, sizeof *root);
}

void nde_program_tape(nde_program *g, const nde_root *root, size_t count) {
    const uint32_t top = g->count - 1;
    const bool windowed = has_outer(&g->code[NDE_CODE_VJP]);
    chooser c = { g, nde_scratch(g, (size_t)top + 1, sizeof *c.needed), nde_scratch(g, (size_t)top + 1, sizeof *c.used),
                  nde_scratch(g, (size_t)top + 1, sizeof *c.expense) };
    if (nde_grow(g, &g->tape, (size_t)g->value + 1, sizeof(uint32_t)) && g->status == NDE_OK) {
        find_used(&c, top, root, count, windowed);
        choose(&c);
    }
    if (c.needed) nde_scratch_free(g, c.needed, (size_t)top + 1, sizeof *c.needed);
    if (c.used) nde_scratch_free(g, c.used, (size_t)top + 1, sizeof *c.used);
    if (c.expense) nde_scratch_free(g, c.expense, (size_t)top + 1, sizeof *c.expense);
    if (g->status != NDE_OK || g->taped == 0) return;
    lower_value(g);
    nde_lower_taped(g, root, count, &g->code[NDE_CODE_VJP_TAPE], NULL);
    if (windowed) nde_lower_taped(g, root, count, &g->code[NDE_CODE_VJP_COTAPE], &g->code[NDE_CODE_WINDOW]);
}
