/* SPDX-License-Identifier: MIT
 * lower.c - code of a program: which nodes are needed and where their values stand. Products are fused into the sums that
 * alone use them, a bias into its product with weights; parts of a concatenation and of the result are made in their
 * place; rows are used again once their value is not. What the program's value fuses, all its derivatives fuse when they
 * make it again: the bits of a value are the same everywhere, and it may be kept instead. Two operations of which one
 * serves the other alone join. What depends on p and constants alone is prepared once a run. */
#include "program/gaps.h"

/* A value that goes where others want it: `node` at `row` of `space`. */
typedef struct sink {
    uint32_t node, row, next; /* next of the same node */
    int space;
} sink;

typedef struct info {
    uint32_t uses, last; /* by how many nodes and sinks; position of the last use */
    uint32_t want, sink;
    uint32_t parent, offset; /* the concatenation that it is made in, and the row there */
    uint32_t copy;           /* 1 + row of a copy on the cotape */
    uint32_t row;            /* in its space, of a value with rows of its own */
    uint32_t ending, next;   /* first of those whose rows nobody needs after this position; the next one there */
    uint8_t space;           /* NONE: not yet */
    uint8_t absorbed;        /* made by the node that uses it */
    uint8_t absorbs;         /* 1 + operand */
    bool lent;               /* its rows are another's now */
    bool given;              /* it stands on the tape */
    bool joined;             /* made in the same loop as what alone uses it */
} info;

/* What an instruction by entries computes; an operand may be the rows that it writes. */
#define TARGET UINT32_MAX
typedef struct formula {
    uint16_t op; /* 0: none */
    uint32_t x[3], rows;
} formula;

typedef struct block {
    uint32_t first, rows;
} block;

typedef struct lowering {
    nde_program *g;
    nde_code *code, *window;
    uint32_t top, decided; /* nodes; those whose fusing is */
    info *of;
    nde_growing sinks, temporary; /* sink, from 1 on; block, of one instruction only */
    uint32_t n_sinks, n_temporary;
    nde_gaps gaps;
} lowering;

static nde_node node_at(const lowering *l, uint32_t id) { return nde_node_at(l->g, id); }
static bool is_static(const lowering *l, uint32_t id) { return node_at(l, id).flags & NDE_NODE_STATIC; }
static bool is_uniform(const lowering *l, uint32_t id) { return node_at(l, id).flags & NDE_NODE_UNIFORM; }
static bool is_view(int op) { return op == NDE_OP_PART || op == NDE_OP_INDEPENDENT; }
static bool is_time(const nde_node *n) {
    return n->op == NDE_OP_INPUT && (n->detail == NDE_SPACE_T || n->detail == NDE_SPACE_VT);
}
/* Has it rows that an instruction writes? */
static bool is_made(const lowering *l, uint32_t id) {
    const nde_node n = node_at(l, id);
    return !(n.flags & NDE_NODE_STATIC) && !is_view(n.op) && !l->of[id].absorbed && !l->of[id].joined &&
           !l->of[id].given && (n.op != NDE_OP_INPUT || is_time(&n));
}

/* ---- static values ---- */

/* Where a static node is found; it is put on the list of what is prepared. */
static nde_operand static_place(nde_program *g, uint32_t id) {
    const nde_node n = nde_node_at(g, id);
    if (n.op == NDE_OP_INPUT) return (nde_operand){ .space = NDE_SPACE_P, .uniform = true, .row = n.first };
    if (is_view(n.op)) {
        nde_operand x = static_place(g, n.x[0]);
        x.row += n.op == NDE_OP_PART ? n.first : 0;
        return x;
    }
    nde_operand x = { .space = NDE_SPACE_PREPARED, .uniform = true };
    if (!nde_grow(g, &g->places, (size_t)id + 1, sizeof(uint32_t))) return x;
    uint32_t *place = (uint32_t *)g->places.data + id;
    if (*place == 0) {
        const uint32_t first = n.rows < 16 ? g->prepared : (g->prepared + 15)/16*16; /* weights begin at a cache line */
        *place = 1 + first;
        if (n.rows > UINT32_MAX/8 - first) nde_program_fail(g, NDE_E_SIZE, "%s: too many rows", g->shape.name);
        else g->prepared = first + n.rows;
    }
    x.row = *place - 1;
    return x;
}

/* The node's transpose, [in][out] of w [out][in]. */
static uint32_t transpose(nde_program *g, uint32_t w, uint32_t in) {
    return nde_make(g, (nde_node){ .op = NDE_OP_TRANSPOSE, .rows = nde_node_at(g, w).rows, .first = in, .x = { w } }, NULL).id;
}

/* ---- where values stand ---- */

/* The node whose rows hold those of id. */
static uint32_t owner_of(const lowering *l, uint32_t id) {
    for (;;) {
        if (is_view(node_at(l, id).op)) id = node_at(l, id).x[0];
        else if (l->of[id].parent) id = l->of[id].parent;
        else return id;
    }
}

static nde_operand place_of(const lowering *l, uint32_t id) {
    const nde_node n = node_at(l, id);
    if (l->of[id].given) return (nde_operand){ .space = NDE_SPACE_TAPE, .row = l->of[id].row };
    if (n.flags & NDE_NODE_STATIC) return static_place(l->g, id);
    if (is_view(n.op)) {
        nde_operand x = place_of(l, n.x[0]);
        x.row += n.op == NDE_OP_PART ? n.first : 0;
        return x;
    }
    if (n.op == NDE_OP_INPUT && !is_time(&n))
        return (nde_operand){ .space = (uint8_t)n.detail, .uniform = n.flags & NDE_NODE_UNIFORM, .row = n.first };
    if (l->of[id].parent) {
        nde_operand x = place_of(l, l->of[id].parent);
        x.row += l->of[id].offset;
        return x;
    }
    return (nde_operand){ .space = l->of[id].space, .uniform = n.flags & NDE_NODE_UNIFORM, .row = l->of[id].row };
}

/* ---- uses ---- */

/* Operands of the instructions that make `by`: those of id, and of what it absorbs or what joins it instead of that. */
static void visit(lowering *l, uint32_t id, uint32_t by, void (*see)(lowering *l, uint32_t x, uint32_t by)) {
    const nde_node n = node_at(l, id);
    if (l->of[id].given) return;
    for (size_t i = 0; i < 3; i++) {
        if (!n.x[i]) continue;
        if (l->of[id].absorbs == i + 1 || l->of[n.x[i]].joined) visit(l, n.x[i], by, see);
        else see(l, n.x[i], by);
    }
    for (uint32_t i = 0; n.op == NDE_OP_CONCAT && i < n.n; i++) see(l, *nde_list(l->g, n.list + i), by);
}

static void count_use(lowering *l, uint32_t x, uint32_t by) { (void)by, l->of[x].uses++; }

/* From the sinks down. */
static void count_uses(lowering *l) {
    const sink *sinks = l->sinks.data;
    for (uint32_t id = 1; id <= l->top; id++) l->of[id].uses = 0, l->of[id].want = 0, l->of[id].sink = 0;
    for (uint32_t i = 1; i < l->n_sinks; i++) l->of[sinks[i].node].uses++;
    for (uint32_t id = l->top; id > 0; id--)
        if (l->of[id].uses > 0 && !is_static(l, id)) visit(l, id, id, count_use);
}

static void add_sink(lowering *l, uint32_t node, int space, uint32_t row) {
    if (nde_grow(l->g, &l->sinks, (size_t)l->n_sinks + 1, sizeof(sink)))
        ((sink *)l->sinks.data)[l->n_sinks++] = (sink){ .node = node, .row = row, .space = space };
}

static bool is_overwritten(int space) { return space == NDE_SPACE_OUT || space == NDE_SPACE_TAPE; }
static bool is_shared(int space) { return space == NDE_SPACE_TO + NDE_SPACE_P || space == NDE_SPACE_TO + NDE_SPACE_VP; }

/* Parts go their own ways, zeros nowhere, and terms of a sum over lanes one after the other. */
static void spread(lowering *l, uint32_t id, int space, uint32_t row) {
    for (;; id = node_at(l, id).x[0]) { /* chains of sums are as long as a parameter has uses */
        const nde_node n = node_at(l, id);
        if (!is_shared(space) || n.op != NDE_OP_ADD || l->of[id].uses != 1) break;
        if (node_at(l, n.x[0]).rows != node_at(l, n.x[1]).rows) break;
        spread(l, n.x[1], space, row);
    }
    const nde_node n = node_at(l, id);
    double v;
    if (n.op == NDE_OP_CONCAT && space != NDE_SPACE_TAPE) {
        for (uint32_t i = 0; i < n.n; i++) {
            const uint32_t part = *nde_list(l->g, n.list + i);
            spread(l, part, space, row);
            row += node_at(l, part).rows;
        }
    } else if (is_overwritten(space) || !nde_is_constant(l->g, (nde_var){ id }, &v) || v != 0) {
        add_sink(l, id, space, row);
    }
}

static void collect_sinks(lowering *l, const nde_root *root, size_t count) {
    l->n_sinks = 1;
    for (size_t i = 0; i < count; i++) add_sink(l, root[i].node, root[i].space, root[i].row);
    if (l->g->status != NDE_OK) return;
    count_uses(l);
    l->n_sinks = 1;
    for (size_t i = 0; i < count; i++) spread(l, root[i].node, root[i].space, root[i].row);
    if (l->g->status == NDE_OK) count_uses(l);
}

/* ---- what is fused ---- */

static bool is_weights_product(const lowering *l, uint32_t id) {
    const nde_node n = node_at(l, id);
    return (n.op == NDE_OP_MATVEC || n.op == NDE_OP_MATVEC_TRANSPOSED) && is_uniform(l, n.x[0]);
}

/* Can the sum or difference `id` make its operand i, too? Not when that is the value's, which may be kept. */
static bool can_absorb(const lowering *l, uint32_t id, size_t i) {
    const nde_node n = node_at(l, id), x = node_at(l, n.x[i]);
    if (n.x[i] <= l->decided || l->of[n.x[i]].uses != 1 || x.flags & NDE_NODE_UNIFORM || x.rows != n.rows) return false;
    if (x.op == NDE_OP_MUL) return true;
    return n.op == NDE_OP_ADD && is_weights_product(l, n.x[i]) && is_uniform(l, n.x[1 - i]) &&
        node_at(l, n.x[1 - i]).rows == n.rows;
}

static void fuse(lowering *l) {
    for (uint32_t id = l->decided + 1; id <= l->top; id++) {
        const nde_node n = node_at(l, id);
        if (l->of[id].uses == 0 || n.flags & NDE_NODE_UNIFORM || (n.op != NDE_OP_ADD && n.op != NDE_OP_SUB)) continue;
        for (size_t i = 2; i-- > 0 && !l->of[id].absorbs;) {
            if (!can_absorb(l, id, i)) continue;
            l->of[id].absorbs = (uint8_t)(i + 1);
            l->of[n.x[i]].absorbed = true;
        }
    }
}

/* What the value's code has fused: a product that others use too is made for them besides. */
static void follow_value(lowering *l) {
    const uint8_t *absorbs = l->g->absorbs.data;
    l->decided = absorbs ? l->g->value : 0;
    for (uint32_t id = 1; id <= l->decided; id++) l->of[id].absorbs = absorbs[id];
}

static void follow_tape(lowering *l) {
    const uint32_t *tape = l->g->tape.data;
    for (uint32_t id = 1; id <= l->g->value; id++)
        if (tape[id]) l->of[id].given = true, l->of[id].space = NDE_SPACE_TAPE, l->of[id].row = tape[id] - 1;
}

static void lead(lowering *l) {
    if (l->g->absorbs.data || !nde_grow(l->g, &l->g->absorbs, (size_t)l->g->value + 1, sizeof(uint8_t))) return;
    for (uint32_t id = 1; id <= l->g->value; id++) ((uint8_t *)l->g->absorbs.data)[id] = l->of[id].absorbs;
}

static bool is_lanes(int space) { return space > NDE_SPACE_TO && !is_shared(space) && space != NDE_SPACE_TO + NDE_SPACE_T &&
    space != NDE_SPACE_TO + NDE_SPACE_VT; }

/* Sinks of each node, and those that take a node's operands instead: products that are added, and outer ones. */
static void attach_sinks(lowering *l) {
    sink *sinks = l->sinks.data;
    for (uint32_t i = l->n_sinks; i-- > 1;) {
        info *of = &l->of[sinks[i].node];
        const nde_node n = node_at(l, sinks[i].node);
        sinks[i].next = of->sink, of->sink = i;
        if (of->uses != 1 || of->absorbs || n.flags & NDE_NODE_UNIFORM) continue;
        of->absorbed |= (n.op == NDE_OP_OUTER && is_shared(sinks[i].space)) ||
                        ((n.op == NDE_OP_MUL || n.op == NDE_OP_NEG) && is_lanes(sinks[i].space));
    }
}

/* ---- what is done in one loop ---- */

/* Of a node by entries, and of the product that it absorbs. */
static formula formula_of(const lowering *l, uint32_t id) {
    const nde_node n = node_at(l, id);
    const uint32_t i = l->of[id].absorbs;
    formula f = { .rows = n.rows, .x = { n.x[0], n.x[1], n.x[2] } };
    if (nde_operations[n.op].form == NDE_FORM_POINTWISE) f.op = n.op;
    if (i == 0) return f;
    const nde_node product = node_at(l, n.x[i - 1]);
    f.op = product.op != NDE_OP_MUL ? NDE_OP_NONE : n.op == NDE_OP_ADD ? NDE_OP_FMA : i == 1 ? NDE_OP_FMS : NDE_OP_FNMA;
    f.x[0] = product.x[0], f.x[1] = product.x[1], f.x[2] = n.x[2 - i];
    return f;
}

/* Of what adds a node to a sink. */
static formula sum_of(const lowering *l, uint32_t id) {
    const nde_node n = node_at(l, id);
    if (!l->of[id].absorbed) return (formula){ NDE_OP_ADD, { TARGET, id }, n.rows };
    if (n.op == NDE_OP_NEG) return (formula){ NDE_OP_SUB, { TARGET, n.x[0] }, n.rows };
    return (formula){ NDE_OP_FMA, { n.x[0], n.x[1], TARGET }, n.rows };
}

/* 0: there is no such pair. */
static uint8_t pair_of(int first, int second, size_t operand) {
    static const struct { int first, second; size_t operand; } pairs[NDE_PAIRS] = {
#define NDE_X(first, second, operand) [NDE_PAIR_##first##_##second##operand] = { NDE_OP_##first, NDE_OP_##second, operand },
        NDE_PAIR_LIST(NDE_X)
#undef NDE_X
    };
    uint8_t k = NDE_PAIRS;
    while (--k > 0 && (pairs[k].first != first || pairs[k].second != second || pairs[k].operand != operand)) continue;
    return k;
}

/* The operand that joins it; 3: none. */
static size_t joined_of(const lowering *l, const formula *f) {
    size_t k = 0;
    while (k < 3 && (f->x[k] == TARGET || !l->of[f->x[k]].joined)) k++;
    return k;
}

/* Products and sums are symmetric: what joins them is the first operand. */
static void join_one(lowering *l, const formula *f) {
    for (size_t k = 0; k < 3; k++) {
        const uint32_t id = f->x[k];
        if (id == 0 || id == TARGET || l->of[id].uses != 1 || !is_made(l, id) || is_uniform(l, id)) continue;
        const formula x = formula_of(l, id);
        if (x.rows != f->rows || joined_of(l, &x) < 3) continue;
        if (!pair_of(x.op, f->op, k == 1 && f->op != NDE_OP_SUB ? 0 : k)) continue;
        l->of[id].joined = true;
        return;
    }
}

static void join(lowering *l) {
    for (uint32_t id = 1; id <= l->top; id++) {
        const sink *s = (const sink *)l->sinks.data + l->of[id].sink;
        if (l->of[id].uses == 0 || is_uniform(l, id)) continue;
        const bool lanes = l->of[id].uses == 1 && l->of[id].sink && is_lanes(s->space);
        const formula f = formula_of(l, id), sum = sum_of(l, id);
        if (is_made(l, id) && f.op) join_one(l, &f);
        if (lanes && (l->of[id].absorbed || is_made(l, id))) join_one(l, &sum);
    }
}

/* ---- lives ---- */

static void note_use(lowering *l, uint32_t x, uint32_t by) {
    info *of = &l->of[owner_of(l, x)];
    if (by > of->last) of->last = by;
    l->of[x].want |= l->of[by].want;
}

static void note_lives(lowering *l) {
    const sink *sinks = l->sinks.data;
    for (uint32_t id = l->top; id > 0; id--) {
        if (l->of[id].uses == 0 || is_static(l, id)) continue;
        for (uint32_t i = l->of[id].sink; i; i = sinks[i].next)
            l->of[id].want |= is_overwritten(sinks[i].space) ? NDE_WANT_ALL : NDE_WANT(sinks[i].space);
        note_use(l, id, id);
        visit(l, id, id, note_use);
    }
}

static bool may_settle(const lowering *l, uint32_t id) { return is_made(l, id) && !is_uniform(l, id) && !l->of[id].space; }

static uint32_t take_cotape(lowering *l, uint32_t rows) {
    l->g->cotaped += rows;
    return l->g->cotaped - rows;
}

/* What a window will sum over lanes: the node, or the two of an outer product. */
static size_t terms_of(const lowering *l, uint32_t id, uint32_t x[2]) {
    const nde_node n = node_at(l, id);
    const bool outer = l->of[id].absorbed;
    x[0] = outer ? n.x[0] : id, x[1] = outer ? n.x[1] : 0;
    return outer ? 2 : 1;
}

/* Parts are made in their concatenation, results in theirs, and on the cotape what a window needs. */
static void settle(lowering *l) {
    const sink *sinks = l->sinks.data;
    for (uint32_t i = 1; i < l->n_sinks; i++) {
        uint32_t x[2] = { sinks[i].node };
        const bool windowed = l->window && is_shared(sinks[i].space);
        const size_t count = windowed ? terms_of(l, sinks[i].node, x) : is_overwritten(sinks[i].space);
        for (size_t k = 0; k < count; k++) {
            if (!may_settle(l, x[k])) continue;
            l->of[x[k]].space = (uint8_t)(windowed ? NDE_SPACE_COTAPE : sinks[i].space);
            l->of[x[k]].row = windowed ? take_cotape(l, node_at(l, x[k]).rows) : sinks[i].row;
        }
    }
    for (uint32_t id = 1; id <= l->top; id++) {
        const nde_node n = node_at(l, id);
        uint32_t row = 0;
        if (n.op != NDE_OP_CONCAT || l->of[id].uses == 0 || n.flags & NDE_NODE_UNIFORM) continue;
        for (uint32_t i = 0; i < n.n; i++) {
            const uint32_t part = *nde_list(l->g, n.list + i);
            info *of = &l->of[part];
            if (is_made(l, part) && !is_uniform(l, part) && !of->space && !of->parent) of->parent = id, of->offset = row;
            row += node_at(l, part).rows;
        }
    }
}

/* ---- rows ---- */

static uint32_t take_rows(lowering *l, uint32_t rows) {
    const uint32_t first = nde_gaps_take(l->g, &l->gaps, rows);
    if (first + rows > l->code->rows) l->code->rows = first + rows;
    return first;
}

/* For one instruction. */
static uint32_t borrow_rows(lowering *l, uint32_t rows) {
    if (!nde_grow(l->g, &l->temporary, (size_t)l->n_temporary + 1, sizeof(block))) return 0;
    const block b = { take_rows(l, rows), rows };
    ((block *)l->temporary.data)[l->n_temporary++] = b;
    return b.first;
}

static void return_rows(lowering *l) {
    for (const block *b = l->temporary.data; l->n_temporary > 0; b++, l->n_temporary--)
        nde_gaps_give(l->g, &l->gaps, b->first, b->rows);
}

/* The node has rows from here to its last use. */
static void hold_rows(lowering *l, uint32_t id, uint32_t row) {
    info *of = &l->of[id], *last = &l->of[of->last];
    of->space = NDE_SPACE_WORK, of->row = row;
    of->next = last->ending, last->ending = id;
}

static void end_lives(lowering *l, uint32_t at) {
    for (uint32_t id = l->of[at].ending; id; id = l->of[id].next)
        if (!l->of[id].lent) nde_gaps_give(l->g, &l->gaps, l->of[id].row, node_at(l, id).rows);
}

/* Is a part of the owner's rows, not all of them, among the operands? */
static bool is_split(const lowering *l, uint32_t owner, const uint32_t *x, size_t operands) {
    for (size_t k = 0; k < operands; k++)
        if (x[k] && node_at(l, x[k]).rows != node_at(l, owner).rows && owner_of(l, x[k]) == owner) return true;
    return false;
}

/* The rows of an operand that is used for the last time, for the result of a pointwise operation. */
static void reuse_rows(lowering *l, uint32_t id, const uint32_t *x, size_t operands) {
    const uint32_t rows = node_at(l, id).rows;
    for (size_t k = 0; k < operands; k++) {
        const uint32_t owner = x[k] ? owner_of(l, x[k]) : 0;
        info *of = &l->of[owner];
        if (!owner || of->space != NDE_SPACE_WORK || of->last != id || node_at(l, owner).rows != rows) continue;
        if (node_at(l, x[k]).rows != rows || is_split(l, owner, x, operands)) continue;
        of->lent = true;
        hold_rows(l, id, of->row);
        return;
    }
}

/* Rows for a node that is made now. */
static nde_operand own_rows(lowering *l, uint32_t id) {
    const uint32_t owner = owner_of(l, id), rows = node_at(l, owner).rows;
    info *of = &l->of[owner];
    if (!of->space && is_uniform(l, owner)) {
        of->space = NDE_SPACE_SMALL, of->row = l->code->small;
        if (rows > UINT32_MAX/8 - l->code->small) nde_program_fail(l->g, NDE_E_SIZE, "%s: too many rows", l->g->shape.name);
        else l->code->small += rows;
    } else if (!of->space) {
        hold_rows(l, owner, take_rows(l, rows));
    }
    return place_of(l, id);
}

/* ---- instructions ---- */

static void emit(nde_program *g, nde_code *code, nde_instruction x) {
    nde_growing at = { code->at, code->capacity };
    const bool room = nde_grow(g, &at, code->count + 1, sizeof x);
    code->at = at.data, code->capacity = at.capacity;
    if (!room) return;
    code->at[code->count++] = x;
    code->products |= x.op == NDE_OP_PRODUCT || x.op == NDE_OP_PRODUCT_ROWS;
}

void nde_code_free(nde_program *g, nde_code *code) {
    nde_growing_free(g, &(nde_growing){ code->at, code->capacity });
    *code = (nde_code){ 0 };
}

/* Do the operation's kernels take uniform operands, too? */
static bool takes_uniform(int op) {
    return nde_operations[op].form == NDE_FORM_POINTWISE || op == NDE_OP_REPEAT || op == NDE_OP_MATMUL || op == NDE_OP_SPARSE ||
           op == NDE_OP_CIRCULAR;
}

/* An operand by lanes, for kernels that know no other. */
static nde_operand by_lanes(lowering *l, nde_operand x, uint32_t rows, const nde_instruction *of) {
    if (!x.uniform || of->small) return x;
    const nde_operand to = { .space = NDE_SPACE_WORK, .row = borrow_rows(l, rows) };
    emit(l->g, l->code, (nde_instruction){ .op = NDE_OP_COPY, .want = of->want, .rows = rows, .to = to, .x = { x } });
    return to;
}

/* MATVEC and its transpose with weights that all lanes share; start: a bias or none. */
static void emit_product(lowering *l, uint32_t id, uint32_t product, uint32_t start, nde_operand to) {
    const nde_node n = node_at(l, product);
    nde_instruction x = { .op = NDE_OP_PRODUCT, .want = l->of[id].want, .rows = n.rows, .to = to };
    uint32_t w = n.x[0];
    x.inner = node_at(l, n.x[1]).rows;
    if (n.op == NDE_OP_MATVEC && !is_static(l, w)) x.op = NDE_OP_PRODUCT_ROWS;
    else if (n.op == NDE_OP_MATVEC && x.inner > 1 && n.rows > 1) w = transpose(l->g, w, x.inner);
    if (!w) return;
    x.x[0] = w <= l->top ? place_of(l, w) : static_place(l->g, w);
    x.x[1] = place_of(l, n.x[1]);
    if (start) x.x[2] = place_of(l, start);
    emit(l->g, l->code, x);
}

/* Do the operands but one stay when the rows of the result are written? */
static bool may_write_first(const nde_instruction *x, size_t but) {
    for (size_t k = 0; k < 3; k++) {
        const nde_operand *o = &x->x[k];
        if (k != but && o->space == x->to.space && o->row < x->to.row + x->rows && x->to.row < o->row + x->rows) return false;
    }
    return true;
}

static nde_instruction instruction_of(const lowering *l, const formula *f, uint32_t want, nde_operand to) {
    nde_instruction x = { .op = f->op, .want = want, .rows = f->rows, .to = to };
    for (size_t k = 0; k < 3 && f->x[k]; k++) {
        x.x[k] = f->x[k] == TARGET ? to : place_of(l, f->x[k]);
        x.x[k].still = f->x[k] != TARGET && f->rows > 1 && node_at(l, f->x[k]).rows == 1;
    }
    return x;
}

/* With what joins it: one after the other for those who read code, in one loop where it runs. */
static void emit_formula(lowering *l, formula f, uint32_t want, nde_operand to) {
    size_t k = joined_of(l, &f);
    if (k == 1 && f.op != NDE_OP_SUB) {
        const uint32_t x = f.x[0];
        f.x[0] = f.x[1], f.x[1] = x, k = 0;
    }
    nde_instruction second = instruction_of(l, &f, want, to);
    if (k < 3) {
        const formula x = formula_of(l, f.x[k]);
        const bool here = may_write_first(&second, k);
        second.x[k] = here ? to : (nde_operand){ .space = NDE_SPACE_WORK, .row = borrow_rows(l, f.rows) };
        nde_instruction first = instruction_of(l, &x, want, second.x[k]);
        first.pair = pair_of(x.op, f.op, k);
        emit(l->g, l->code, first);
    }
    emit(l->g, l->code, second);
}

/* The parts that are not made in their place. */
static void emit_concat(lowering *l, uint32_t id, const nde_instruction *like) {
    const nde_node n = node_at(l, id);
    nde_instruction copy = *like;
    copy.op = NDE_OP_COPY;
    for (uint32_t i = 0, row = 0; i < n.n; i++, row += copy.rows) {
        const uint32_t part = *nde_list(l->g, n.list + i);
        copy.rows = node_at(l, part).rows;
        if (l->of[part].parent != id || l->of[part].offset != row) {
            copy.x[0] = place_of(l, part);
            emit(l->g, l->code, copy);
        }
        copy.to.row += copy.rows;
    }
}

/* A node by itself; small: on uniform values. */
static void emit_node(lowering *l, uint32_t id, nde_operand to, bool small) {
    const nde_node n = node_at(l, id);
    const nde_operation_fact *fact = &nde_operations[n.op];
    nde_instruction x = { .op = n.op, .detail = n.detail, .small = small, .want = l->of[id].want, .rows = n.rows, .to = to,
                          .first = n.first, .list = n.list };
    if (n.op == NDE_OP_CONCAT) {
        emit_concat(l, id, &x);
        return;
    }
    for (size_t i = 0; i < fact->operands; i++) {
        const uint32_t rows = node_at(l, n.x[i]).rows;
        const bool each_row = fact->form == NDE_FORM_POINTWISE || fact->form == NDE_FORM_ROWS;
        x.x[i] = place_of(l, n.x[i]);
        if (!takes_uniform(n.op)) x.x[i] = by_lanes(l, x.x[i], rows, &x);
        x.x[i].still = n.op == NDE_OP_REPEAT || (each_row && n.rows > 1 && rows == 1);
        x.outer = i ? x.outer : rows, x.inner = rows;
    }
    if (n.op == NDE_OP_TRANSFORM && !small) x.x[1] = (nde_operand){ .space = NDE_SPACE_WORK, .row = borrow_rows(l, n.rows) };
    if (n.op == NDE_OP_INPUT) x.op = NDE_OP_TIME;
    if (n.op == NDE_OP_REPEAT) x.op = NDE_OP_COPY;
    if (n.op == NDE_OP_TRANSPOSE) x.inner = n.first;
    emit(l->g, l->code, x);
}

/* DOT with uniform numbers is a product of one row. */
static bool emit_uniform_dot(lowering *l, uint32_t id, nde_operand to) {
    const nde_node n = node_at(l, id);
    const size_t i = n.op == NDE_OP_DOT && is_uniform(l, n.x[1]);
    if (n.op != NDE_OP_DOT || !is_uniform(l, n.x[i])) return false;
    emit(l->g, l->code, (nde_instruction){ .op = NDE_OP_PRODUCT, .want = l->of[id].want, .rows = 1,
                                           .inner = node_at(l, n.x[0]).rows, .to = to,
                                           .x = { place_of(l, n.x[i]), place_of(l, n.x[1 - i]) } });
    return true;
}

static void make(lowering *l, uint32_t id) {
    const nde_node n = node_at(l, id);
    const info *of = &l->of[id];
    const bool small = n.flags & NDE_NODE_UNIFORM;
    const formula f = formula_of(l, id);
    if (!small && !of->space && !of->parent && (f.op || n.op == NDE_OP_ACTIVATE)) {
        const size_t k = joined_of(l, &f);
        const formula first = k < 3 ? formula_of(l, f.x[k]) : (formula){ 0 };
        reuse_rows(l, id, (uint32_t[]){ k == 0 ? 0 : f.x[0], k == 1 ? 0 : f.x[1], k == 2 ? 0 : f.x[2], first.x[0],
                                        first.x[1], first.x[2] }, 6);
    }
    const nde_operand to = own_rows(l, id);
    if (f.op && !small) emit_formula(l, f, of->want, to);
    else if (of->absorbs) emit_product(l, id, n.x[of->absorbs - 1], n.x[2 - of->absorbs], to);
    else if (!small && is_weights_product(l, id) && !is_uniform(l, n.x[1])) emit_product(l, id, id, 0, to);
    else if (small || !emit_uniform_dot(l, id, to)) emit_node(l, id, to, small);
}

/* Where a window finds a node. */
static nde_operand windowed(lowering *l, uint32_t id, uint32_t want) {
    const nde_operand x = place_of(l, id);
    if (x.space == NDE_SPACE_TAPE || x.space == NDE_SPACE_COTAPE) return x;
    const uint32_t rows = node_at(l, id).rows, copied = l->of[id].copy;
    if (!copied) l->of[id].copy = 1 + take_cotape(l, rows);
    const nde_operand to = { .space = NDE_SPACE_COTAPE, .row = l->of[id].copy - 1 };
    if (!copied) emit(l->g, l->code, (nde_instruction){ .op = NDE_OP_COPY, .want = want, .rows = rows, .to = to, .x = { x } });
    return to;
}

/* Sums over the lanes, now or by a window. */
static void pour_shared(lowering *l, uint32_t id, nde_instruction x) {
    uint32_t term[2];
    const size_t terms = terms_of(l, id, term);
    x.op = terms > 1 ? NDE_OP_ADD_OUTER : NDE_OP_ADD_LANES;
    x.rows = node_at(l, term[0]).rows, x.inner = terms > 1 ? node_at(l, term[1]).rows : 0;
    for (size_t i = 0; i < terms; i++)
        x.x[i] = l->window ? windowed(l, term[i], x.want) : by_lanes(l, place_of(l, term[i]), node_at(l, term[i]).rows, &x);
    emit(l->g, l->window ? l->window : l->code, x);
}

/* Sends node id, which has been made unless the sink absorbs it, where it goes. */
static void pour(lowering *l, uint32_t id, const sink *s) {
    const nde_node n = node_at(l, id);
    const info *of = &l->of[id];
    nde_operand to = { .space = (uint8_t)s->space, .row = s->row };
    nde_instruction x = { .op = NDE_OP_COPY, .want = NDE_WANT_ALL, .rows = n.rows, .to = to };
    if (!is_overwritten(s->space)) x.want = NDE_WANT(s->space);
    if (is_lanes(s->space)) {
        emit_formula(l, sum_of(l, id), x.want, to);
    } else if (is_shared(s->space)) {
        pour_shared(l, id, x);
    } else if (!is_overwritten(s->space)) {
        x.op = NDE_OP_ADD_TIME;
        x.x[0] = by_lanes(l, place_of(l, id), n.rows, &x);
        emit(l->g, l->code, x);
    } else if (of->space != s->space || of->row != s->row) {
        x.x[0] = place_of(l, id);
        emit(l->g, l->code, x);
    }
}

static void emit_all(lowering *l) {
    const sink *sinks = l->sinks.data;
    for (uint32_t id = 1; id <= l->top && l->g->status == NDE_OK; id++) {
        if (l->of[id].uses == 0) continue;
        if (is_made(l, id)) make(l, id);
        return_rows(l);
        for (uint32_t i = l->of[id].sink; i; i = sinks[i].next) {
            pour(l, id, &sinks[i]);
            return_rows(l);
        }
        end_lives(l, id);
    }
}

static void lower(nde_program *g, const nde_root *root, size_t count, nde_code *code, bool taped, nde_code *window) {
    if (g->status != NDE_OK || count == 0) return;
    const uint32_t top = g->count - 1;
    lowering l = { .g = g, .code = code, .window = window, .top = top, .of = nde_scratch(g, (size_t)top + 1, sizeof *l.of) };
    if (l.of && taped) follow_tape(&l);
    if (l.of) follow_value(&l), collect_sinks(&l, root, count);
    if (g->status == NDE_OK) {
        fuse(&l);
        lead(&l);
        attach_sinks(&l);
        join(&l);
        settle(&l);
        note_lives(&l);
        emit_all(&l);
    }
    nde_growing_free(g, &l.sinks);
    nde_growing_free(g, &l.temporary);
    nde_gaps_free(g, &l.gaps);
    if (l.of) nde_scratch_free(g, l.of, (size_t)top + 1, sizeof *l.of);
}

void nde_lower(nde_program *g, const nde_root *root, size_t count, nde_code *code) { lower(g, root, count, code, false, NULL); }
void nde_lower_taped(nde_program *g, const nde_root *root, size_t count, nde_code *code, nde_code *window) {
    lower(g, root, count, code, true, window);
}

void nde_lower_prepare(nde_program *g) {
    if (g->status != NDE_OK || g->prepared == 0) return;
    const uint32_t top = g->count - 1;
    lowering l = { .g = g, .code = &g->prepare, .top = top, .of = nde_scratch(g, (size_t)top + 1, sizeof *l.of) };
    if (!l.of || !nde_grow(g, &g->places, (size_t)top + 1, sizeof(uint32_t))) goto end;
    for (uint32_t id = top; id > 0 && g->status == NDE_OK; id--) { /* what they are made of */
        const nde_node n = nde_node_at(g, id);
        if (!((uint32_t *)g->places.data)[id]) continue;
        for (size_t i = 0; i < 3; i++)
            if (n.x[i]) static_place(g, n.x[i]);
        for (uint32_t i = 0; n.op == NDE_OP_CONCAT && i < n.n; i++) static_place(g, *nde_list(g, n.list + i));
    }
    for (uint32_t id = 1; id <= top && g->status == NDE_OK; id++) {
        const nde_node n = nde_node_at(g, id);
        const uint32_t place = ((uint32_t *)g->places.data)[id];
        l.of[id].want = NDE_WANT_ALL;
        if (place && n.op != NDE_OP_CONSTANT) emit_node(&l, id, static_place(g, id), true);
        for (uint32_t i = 0; place && n.op == NDE_OP_CONSTANT && i < n.n; i++)
            if (nde_grow(g, &g->fixed, (size_t)g->constants + 1, sizeof(nde_fixed)))
                ((nde_fixed *)g->fixed.data)[g->constants++] = (nde_fixed){ place - 1 + i, *nde_values(g, n.list + i) };
    }
end:
    if (l.of) nde_scratch_free(g, l.of, (size_t)top + 1, sizeof *l.of);
}
