/* SPDX-License-Identifier: MIT
 * graph.c - how a program grows: memory, equal nodes found again, constants folded, and what needs no operation at all. */
#include "program/graph.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* No block could hold more for one lane; sums of a few of them fit. */
enum { MOST = 1 << 26, MOST_NODES = 1 << 26, MOST_CONSTANTS = 4096 /* that are written out */ };

static const nde_var none = { 0 };

const nde_operation_fact nde_operations[NDE_OPERATIONS] = {
#define NDE_X(name, text, kind, operands) [NDE_OP_##name] = { text, NDE_FORM_##kind, operands },
    NDE_OPERATION_LIST(NDE_X)
#undef NDE_X
};

/* ---- memory and failures ---- */

nde_var nde_program_fail(nde_program *g, nde_status status, const char *format, ...) {
    if (!g || g->status != NDE_OK) return none;
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(g->text, sizeof g->text, format, arguments);
    va_end(arguments);
    g->status = nde_fail(status, "%s", g->text);
    return none;
}

static nde_var no_memory(nde_program *g) { return nde_program_fail(g, NDE_E_NOMEM, "%s: out of memory", g->shape.name); }

bool nde_grow(nde_program *g, nde_growing *array, size_t count, size_t bytes) {
    size_t needed;
    if (!nde_size_multiply(count, bytes, &needed) || needed > PTRDIFF_MAX/2) return no_memory(g), false;
    if (needed <= array->capacity) return true;
    const size_t capacity = 2*needed < 1024 ? 1024 : 2*needed;
    void *data = g->allocator.take(g->allocator.ctx, capacity, 64);
    if (!data) return no_memory(g), false;
    memset(data, 0, capacity);
    if (array->data) memcpy(data, array->data, array->capacity);
    nde_growing_free(g, array);
    *array = (nde_growing){ data, capacity };
    return true;
}

void nde_growing_free(nde_program *g, nde_growing *array) {
    if (array->data) g->allocator.give(g->allocator.ctx, array->data, array->capacity);
    *array = (nde_growing){ 0 };
}

void *nde_scratch(nde_program *g, size_t count, size_t bytes) {
    nde_growing block = { 0 };
    return nde_grow(g, &block, count, bytes) ? block.data : NULL;
}

void nde_scratch_free(nde_program *g, void *block, size_t count, size_t bytes) {
    const size_t needed = count*bytes;
    nde_growing_free(g, &(nde_growing){ block, 2*needed < 1024 ? 1024 : 2*needed });
}

nde_status nde_program_create(const nde_program_shape *shape, nde_program **program) {
    nde_program_shape s;
    if (!program) return nde_fail(NDE_E_ARG, "nde_program_create: program is NULL");
    *program = NULL;
    if (!shape) return nde_fail(NDE_E_ARG, "nde_program_create: shape is NULL");
    if (!nde_read_sized(&s, sizeof s, shape, sizeof s))
        return nde_fail(NDE_E_ARG, "nde_program_create: shape.size is %zu, this library knows %zu", shape->size, sizeof s);
    if (s.dim == 0) return nde_fail(NDE_E_ARG, "nde_program_create: shape.dim is 0");
    const struct { const char *name; size_t value; } sizes[] = { { "dim", s.dim }, { "nu", s.nu }, { "np", s.np },
                                                                 { "nq", s.nq } };
    for (size_t i = 0; i < sizeof sizes/sizeof *sizes; i++)
        if (sizes[i].value > MOST)
            return nde_fail(NDE_E_SIZE, "nde_program_create: shape.%s is %zu", sizes[i].name, sizes[i].value);
    const nde_allocator allocator = s.allocator ? *s.allocator : nde_allocator_default;
    if (!allocator.take || !allocator.give) return nde_fail(NDE_E_ARG, "nde_program_create: allocator lacks take or give");
    if (!s.name) s.name = "program";
    nde_program *g = allocator.take(allocator.ctx, sizeof *g, 64);
    if (!g) return nde_fail(NDE_E_NOMEM, "nde_program_create: out of memory");
    *g = (nde_program){ .shape = s, .allocator = allocator, .count = 1, .most = MOST_NODES };
    *program = g;
    return NDE_OK;
}

void nde_program_destroy(nde_program *g) {
    if (!g) return;
    for (uint32_t i = 0; i < g->transformed; i++) nde_transform_free((nde_transform *)g->transforms.data + i);
    for (size_t i = 0; i < NDE_CODES; i++) nde_code_free(g, &g->code[i]);
    nde_code_free(g, &g->prepare);
    nde_pattern_free(g, &g->jacobian), nde_growing_free(g, &g->color);
    nde_growing *const arrays[] = { &g->nodes, &g->lists, &g->values, &g->table, &g->places, &g->fixed, &g->absorbs,
                                    &g->names, &g->letters, &g->transforms, &g->tape };
    for (size_t i = 0; i < sizeof arrays/sizeof *arrays; i++) nde_growing_free(g, arrays[i]);
    g->allocator.give(g->allocator.ctx, g, sizeof *g);
}

nde_status nde_program_status(const nde_program *g, const char **text) {
    if (text) *text = g ? g->text : "no program";
    return g ? g->status : NDE_E_ARG;
}

/* ---- nodes, each of them once ---- */

static uint64_t mix(uint64_t hash, uint64_t x) {
    hash = (hash ^ x)*0x9e3779b97f4a7c15u;
    return hash ^ (hash >> 29);
}

static uint64_t hash_of(const nde_program *g, const nde_node *x) {
    uint64_t hash = mix((uint64_t)x->op << 16 | x->detail, (uint64_t)x->rows << 32 | x->first), bits;
    for (size_t i = 0; i < 3; i++) hash = mix(hash, x->x[i]);
    for (uint32_t i = 0; i < x->n; i++) {
        if (x->op == NDE_OP_CONSTANT) memcpy(&bits, nde_values(g, x->list + i), sizeof bits);
        else bits = *nde_list(g, x->list + i);
        hash = mix(hash, bits);
    }
    return hash;
}

static bool same(const nde_program *g, const nde_node *x, const nde_node *y) {
    if (x->op != y->op || x->detail != y->detail || x->rows != y->rows || x->first != y->first || x->n != y->n) return false;
    if (memcmp(x->x, y->x, sizeof x->x) != 0) return false;
    if (x->n == 0) return true;
    return x->op == NDE_OP_CONSTANT ? memcmp(nde_values(g, x->list), nde_values(g, y->list), x->n*sizeof(double)) == 0 :
           memcmp(nde_list(g, x->list), nde_list(g, y->list), x->n*sizeof(uint32_t)) == 0;
}

/* The slot of an equal node, or the empty one where it belongs. */
static uint32_t *slot_of(const nde_program *g, const nde_node *x) {
    uint32_t *table = g->table.data;
    for (uint64_t i = hash_of(g, x);; i++) {
        uint32_t *slot = table + (i & (g->slots - 1));
        if (*slot == 0 || same(g, x, nde_nodes(g) + *slot)) return slot;
    }
}

static bool widen_table(nde_program *g) {
    if (g->slots > 2*(g->count + 1)) return true;
    const uint32_t slots = g->slots ? 2*g->slots : 128;
    nde_growing table = { 0 };
    if (!nde_grow(g, &table, slots, sizeof(uint32_t))) return false;
    nde_growing_free(g, &g->table);
    g->table = table, g->slots = slots;
    for (uint32_t id = 1; id < g->count; id++) *slot_of(g, nde_nodes(g) + id) = id;
    return true;
}

static unsigned flags_of(const nde_program *g, const nde_node *x) {
    unsigned flags = NDE_NODE_UNIFORM | NDE_NODE_STATIC;
    if (x->op == NDE_OP_INPUT && x->detail != NDE_SPACE_P) flags = x->detail == NDE_SPACE_VP ? NDE_NODE_UNIFORM : 0;
    for (size_t i = 0; i < 3; i++)
        if (x->x[i]) flags &= nde_node_at(g, x->x[i]).flags;
    for (uint32_t i = 0; x->op == NDE_OP_CONCAT && i < x->n; i++) flags &= nde_node_at(g, *nde_list(g, x->list + i)).flags;
    return flags;
}

/* Its list is at the end of lists or values, and is taken away again where an equal node has one. */
static nde_var add_node(nde_program *g, nde_node node) {
    if (g->count >= g->most) return nde_program_fail(g, NDE_E_SIZE, "%s: too many operations", g->shape.name);
    if (!widen_table(g) || !nde_grow(g, &g->nodes, (size_t)g->count + 1, sizeof node)) return none;
    uint32_t *slot = slot_of(g, &node);
    if (*slot == 0) {
        node.flags = (uint8_t)flags_of(g, &node);
        nde_nodes(g)[g->count] = node;
        return (nde_var){ *slot = g->count++ };
    }
    if (node.n && node.op == NDE_OP_CONSTANT) g->valued -= node.n;
    else if (node.n) g->listed -= node.n;
    return (nde_var){ *slot };
}

nde_var nde_make(nde_program *g, nde_node node, const uint32_t *list) {
    if (g->status != NDE_OK) return none;
    if (node.n && list) {
        if (node.n > UINT32_MAX/8 - g->listed) return nde_program_fail(g, NDE_E_SIZE, "%s: too many rows", g->shape.name);
        if (!nde_grow(g, &g->lists, (size_t)g->listed + node.n, sizeof *list)) return none;
        node.list = g->listed;
        memcpy(nde_list(g, node.list), list, node.n*sizeof *list);
        g->listed += node.n;
    }
    return add_node(g, node);
}

/* ---- checks ---- */

static bool ready(nde_program *g, const char *who) {
    if (!g) return nde_fail(NDE_E_ARG, "%s: the program is NULL", who), false;
    if (g->finished) return nde_program_fail(g, NDE_E_ARG, "%s: the program is finished", who), false;
    return g->status == NDE_OK;
}

nde_var nde_refuse(nde_program *g, nde_status status, const char *who, const char *format, ...) {
    char text[160];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    return nde_program_fail(g, status, "%s, operation %u: %s", who, (unsigned)g->count, text);
}

bool nde_is_value(nde_program *g, const char *who, const char *name, nde_var x) {
    if (!ready(g, who)) return false;
    if (x.id > 0 && x.id < g->count) return true;
    return FAIL(g, who, "%s is no value of this program", name), false;
}

bool nde_rows_fit(nde_program *g, const char *who, uint64_t rows) {
    if (rows == 0) return FAIL(g, who, "0 rows"), false;
    return rows <= MOST || (nde_refuse(g, NDE_E_SIZE, who, "%llu rows", (unsigned long long)rows), false);
}

static uint32_t rows_of(const nde_program *g, nde_var x) { return nde_node_at(g, x.id).rows; }
size_t nde_var_rows(const nde_program *g, nde_var x) { return g && x.id > 0 && x.id < g->count ? rows_of(g, x) : 0; }

/* ---- leaves ---- */

nde_var nde_input_node(nde_program *g, int space, size_t first, size_t rows) {
    return nde_make(g, (nde_node){ .op = NDE_OP_INPUT, .detail = (uint16_t)space, .first = (uint32_t)first,
                                   .rows = (uint32_t)rows },
                    NULL);
}

static nde_var input(nde_program *g, const char *who, int space, size_t first, size_t rows, size_t all) {
    if (!ready(g, who)) return none;
    if (rows == 0) return FAIL(g, who, "0 rows");
    if (first > all || rows > all - first) return FAIL(g, who, "rows %zu to %zu of %zu", first, first + rows, all);
    return nde_input_node(g, space, first, rows);
}
nde_var nde_t(nde_program *g) { return input(g, "nde_t", NDE_SPACE_T, 0, 1, 1); }
nde_var nde_y(nde_program *g, size_t first, size_t rows) {
    return input(g, "nde_y", NDE_SPACE_Y, first, rows, g ? g->shape.dim : 0);
}
nde_var nde_u(nde_program *g, size_t first, size_t rows) {
    return input(g, "nde_u", NDE_SPACE_U, first, rows, g ? g->shape.nu : 0);
}
nde_var nde_p(nde_program *g, size_t first, size_t rows) {
    return input(g, "nde_p", NDE_SPACE_P, first, rows, g ? g->shape.np : 0);
}
nde_var nde_q(nde_program *g, size_t first, size_t rows) {
    return input(g, "nde_q", NDE_SPACE_Q, first, rows, g ? g->shape.nq : 0);
}

/* value [n] at the end of g->values. */
static nde_var constants_at_end(nde_program *g, uint32_t n) {
    g->valued += n;
    return add_node(g, (nde_node){ .op = NDE_OP_CONSTANT, .rows = n, .n = n, .list = g->valued - n });
}
static double *room_for_values(nde_program *g, size_t n) {
    if (g->status != NDE_OK || !nde_grow(g, &g->values, g->valued + n, sizeof(double))) return NULL;
    return nde_values(g, g->valued);
}

nde_var nde_constants(nde_program *g, const double *value, size_t rows) {
    static const char who[] = "nde_constants";
    if (!ready(g, who) || !nde_rows_fit(g, who, rows)) return none;
    if (!value) return FAIL(g, who, "value is NULL");
    double *to = room_for_values(g, rows);
    if (!to) return none;
    memcpy(to, value, rows*sizeof *to);
    return constants_at_end(g, (uint32_t)rows);
}
nde_var nde_constant(nde_program *g, double value) { return nde_constants(g, &value, 1); }

bool nde_is_constant(const nde_program *g, nde_var x, double *value) {
    const nde_node n = nde_node_at(g, x.id);
    if (n.op == NDE_OP_REPEAT) return nde_is_constant(g, (nde_var){ n.x[0] }, value);
    if (n.op != NDE_OP_CONSTANT) return false;
    *value = *nde_values(g, n.list);
    for (uint32_t i = 1; i < n.n; i++)
        if (memcmp(nde_values(g, n.list + i), value, sizeof *value) != 0) return false;
    return true;
}

void nde_find_needed(const nde_program *g, uint32_t top, bool *needed) {
    needed[top] = true;
    for (uint32_t id = top; id > 0; id--) {
        const nde_node n = nde_node_at(g, id);
        if (!needed[id]) continue;
        for (size_t i = 0; i < nde_operations[n.op].operands; i++) needed[n.x[i]] = true;
        for (uint32_t i = 0; n.op == NDE_OP_CONCAT && i < n.n; i++) needed[*nde_list(g, n.list + i)] = true;
    }
}

/* ---- pointwise ---- */

static double folded(int op, double x, double y, double z) {
    switch (op) {
    case NDE_OP_NEG: return -x;
    case NDE_OP_ABS: return fabs(x);
    case NDE_OP_SIGN: return x > 0 ? 1 : x < 0 ? -1 : x;
    case NDE_OP_SQRT: return sqrt(x);
    case NDE_OP_ADD: return x + y;
    case NDE_OP_SUB: return x - y;
    case NDE_OP_MUL: return x*y;
    case NDE_OP_DIV: return x/y;
    case NDE_OP_MAXIMUM: return x > y ? x : y;
    case NDE_OP_LESS: return x < y;
    case NDE_OP_LESS_EQUAL: return x <= y;
    default: return x > 0 ? y : z; /* select */
    }
}

/* Does it come out as the machine's own arithmetic has it? Functions are left to the kernels, which have the same bits
 * everywhere. */
static bool folds(int op) {
    switch (op) {
    case NDE_OP_NEG: case NDE_OP_ABS: case NDE_OP_SIGN: case NDE_OP_SQRT: case NDE_OP_ADD: case NDE_OP_SUB: case NDE_OP_MUL:
    case NDE_OP_DIV: case NDE_OP_MAXIMUM: case NDE_OP_LESS: case NDE_OP_LESS_EQUAL: case NDE_OP_SELECT: return true;
    default: return false;
    }
}

/* Of constants alone; 0: not so. */
static nde_var fold(nde_program *g, int op, const nde_var *x, size_t operands, uint32_t rows) {
    if (!folds(op)) return none;
    for (size_t i = 0; i < operands; i++)
        if (nde_node_at(g, x[i].id).op != NDE_OP_CONSTANT) return none;
    double *to = room_for_values(g, rows);
    if (!to) return none;
    for (uint32_t r = 0; r < rows; r++) {
        double v[3] = { 0 };
        for (size_t i = 0; i < operands; i++)
            v[i] = *nde_values(g, nde_node_at(g, x[i].id).list + (rows_of(g, x[i]) > 1 ? r : 0));
        to[r] = folded(op, v[0], v[1], v[2]);
    }
    return constants_at_end(g, rows);
}

nde_var nde_widen(nde_program *g, nde_var x, uint32_t rows) {
    return x.id && rows_of(g, x) < rows ? nde_repeat(g, x, rows) : x;
}

static bool is_op(const nde_program *g, nde_var x, int op) { return nde_node_at(g, x.id).op == op; }
static nde_var operand(const nde_program *g, nde_var x, size_t i) { return (nde_var){ nde_node_at(g, x.id).x[i] }; }

/* What needs no operation, or another one with the same bits. 0: nothing of that kind. */
static nde_var simpler(nde_program *g, int op, const nde_var *x, uint32_t rows) {
    double v;
    if (op == NDE_OP_NEG) return is_op(g, x[0], NDE_OP_NEG) ? operand(g, x[0], 0) : none;
    const bool second = (op == NDE_OP_MUL || op == NDE_OP_DIV) && nde_is_constant(g, x[1], &v) && v == 1;
    if (second || (op == NDE_OP_SUB && nde_is_constant(g, x[1], &v) && v == 0 && !signbit(v))) return nde_widen(g, x[0], rows);
    if (op == NDE_OP_MUL && nde_is_constant(g, x[0], &v) && v == 1) return nde_widen(g, x[1], rows);
    if (op == NDE_OP_ADD && is_op(g, x[1], NDE_OP_NEG)) return nde_sub(g, x[0], operand(g, x[1], 0));
    if (op == NDE_OP_ADD && is_op(g, x[0], NDE_OP_NEG)) return nde_sub(g, x[1], operand(g, x[0], 0));
    if (op == NDE_OP_SUB && is_op(g, x[1], NDE_OP_NEG)) return nde_add(g, x[0], operand(g, x[1], 0));
    if (op == NDE_OP_MUL && is_op(g, x[0], NDE_OP_NEG)) return nde_neg(g, nde_mul(g, operand(g, x[0], 0), x[1]));
    if (op == NDE_OP_MUL && is_op(g, x[1], NDE_OP_NEG)) return nde_neg(g, nde_mul(g, x[0], operand(g, x[1], 0)));
    if (op == NDE_OP_DIV && is_op(g, x[0], NDE_OP_NEG)) return nde_neg(g, nde_div(g, operand(g, x[0], 0), x[1]));
    return none;
}

/* Operands of one row go with any number of them. */
static nde_var pointwise(nde_program *g, const char *who, int op, int detail, nde_var a, nde_var b, nde_var c,
                         size_t operands) {
    static const char *const name[] = { "the first operand", "the second operand", "the third operand" };
    nde_var x[3] = { a, b, c };
    uint32_t rows = 1;
    bool repeated = true;
    for (size_t i = 0; i < operands; i++) {
        if (!nde_is_value(g, who, name[i], x[i])) return none;
        const uint32_t own = rows_of(g, x[i]);
        if (own != 1 && rows != 1 && own != rows) return FAIL(g, who, "%s has %u rows, another one %u", name[i], own, rows);
        if (own > rows) rows = own;
    }
    for (size_t i = 0; i < operands; i++) repeated &= rows_of(g, x[i]) == 1 || is_op(g, x[i], NDE_OP_REPEAT);
    for (size_t i = 0; i < operands; i++) { /* as long as one operand has all rows */
        bool others = repeated;
        for (size_t k = 0; k < operands; k++) others |= k != i && rows_of(g, x[k]) == rows;
        if (others && is_op(g, x[i], NDE_OP_REPEAT)) x[i] = operand(g, x[i], 0);
    }
    if (repeated && rows > 1) return nde_repeat(g, pointwise(g, who, op, detail, x[0], x[1], x[2], operands), rows);
    nde_var y = fold(g, op, x, operands, rows);
    if (!y.id && g->status == NDE_OK) y = simpler(g, op, x, rows);
    if (y.id || g->status != NDE_OK) return y;
    if ((op == NDE_OP_ADD || op == NDE_OP_MUL) && x[0].id > x[1].id) {
        const nde_var swap = x[0];
        x[0] = x[1], x[1] = swap;
    }
    return nde_make(g, (nde_node){ .op = (uint8_t)op, .detail = (uint16_t)detail, .rows = rows,
                                   .x = { x[0].id, x[1].id, x[2].id } },
                    NULL);
}

#define UNARY(name, OP) \
    nde_var nde_##name(nde_program *g, nde_var x) { return pointwise(g, "nde_" #name, NDE_OP_##OP, 0, x, none, none, 1); }
#define BINARY(name, OP) \
    nde_var nde_##name(nde_program *g, nde_var a, nde_var b) { \
        return pointwise(g, "nde_" #name, NDE_OP_##OP, 0, a, b, none, 2); \
    }
UNARY(neg, NEG)
UNARY(abs, ABS)
UNARY(sign, SIGN)
UNARY(sqrt, SQRT)
UNARY(exp, EXP)
UNARY(expm1, EXPM1)
UNARY(log, LOG)
UNARY(log1p, LOG1P)
UNARY(sin, SIN)
UNARY(cos, COS)
UNARY(erf, ERF)
BINARY(add, ADD)
BINARY(sub, SUB)
BINARY(mul, MUL)
BINARY(div, DIV)
BINARY(maximum, MAXIMUM)
BINARY(less, LESS)
BINARY(less_equal, LESS_EQUAL)
nde_var nde_select(nde_program *g, nde_var c, nde_var a, nde_var b) {
    return pointwise(g, "nde_select", NDE_OP_SELECT, 0, c, a, b, 3);
}
nde_var nde_slope(nde_program *g, int activation, nde_var kept, nde_var a) {
    return pointwise(g, "slope", NDE_OP_SLOPE, activation, kept, a, none, 2);
}
nde_var nde_activate(nde_program *g, int activation, nde_var x) {
    static const char who[] = "nde_activate";
    if (!nde_is_value(g, who, "x", x)) return none;
    if (activation < NDE_ACTIVATION_DEFAULT || activation > NDE_LIPSWISH) return FAIL(g, who, "activation is %d", activation);
    if (activation <= NDE_IDENTITY) return x;
    return pointwise(g, who, NDE_OP_ACTIVATE, activation, x, none, none, 1);
}
nde_var nde_tanh(nde_program *g, nde_var x) { return nde_activate(g, NDE_TANH, x); }

/* ---- pointwise, made of others ---- */

nde_var nde_square(nde_program *g, nde_var x) { return nde_mul(g, x, x); }
nde_var nde_tan(nde_program *g, nde_var x) { return nde_div(g, nde_sin(g, x), nde_cos(g, x)); }
/* e = exp(x) - 1: sinh = (e + e/(e + 1))/2 loses nothing near 0. */
nde_var nde_sinh(nde_program *g, nde_var x) {
    const nde_var e = nde_expm1(g, x);
    return nde_mul(g, nde_constant(g, 0.5), nde_add(g, e, nde_div(g, e, nde_add(g, e, nde_constant(g, 1)))));
}
nde_var nde_cosh(nde_program *g, nde_var x) {
    const nde_var e = nde_exp(g, x), half = nde_constant(g, 0.5);
    return nde_add(g, nde_mul(g, half, e), nde_div(g, half, e));
}
nde_var nde_minimum(nde_program *g, nde_var a, nde_var b) { return nde_neg(g, nde_maximum(g, nde_neg(g, a), nde_neg(g, b))); }
nde_var nde_blend(nde_program *g, nde_var c, nde_var a, nde_var b, double width) {
    if (!nde_is_value(g, "nde_blend", "c", c)) return none;
    if (!(width > 0) || !isfinite(width)) return FAIL(g, "nde_blend", "width is %g", width);
    const nde_var share = nde_activate(g, NDE_SIGMOID, nde_div(g, c, nde_constant(g, width)));
    return nde_add(g, b, nde_mul(g, share, nde_sub(g, a, b)));
}

/* By squaring. */
static nde_var whole_power(nde_program *g, nde_var a, unsigned k) {
    nde_var y = none;
    for (; k > 0; k /= 2, a = k ? nde_square(g, a) : a)
        if (k % 2) y = y.id ? nde_mul(g, y, a) : a;
    return y;
}
nde_var nde_pow(nde_program *g, nde_var a, nde_var b) {
    double v;
    if (!nde_is_value(g, "nde_pow", "a", a) || !nde_is_value(g, "nde_pow", "b", b)) return none;
    const uint32_t rows = rows_of(g, b);
    if (nde_is_constant(g, b, &v)) {
        const nde_var one = nde_constant(g, 1);
        if (v == 0) return nde_repeat(g, one, rows_of(g, a) > rows ? rows_of(g, a) : rows);
        if (v == 0.5) return nde_widen(g, nde_sqrt(g, a), rows);
        if (v == trunc(v) && fabs(v) <= 64) {
            const nde_var y = nde_widen(g, whole_power(g, a, (unsigned)fabs(v)), rows);
            return v > 0 ? y : nde_div(g, one, y);
        }
    }
    return nde_exp(g, nde_mul(g, b, nde_log(g, a)));
}

/* ---- rows ---- */

nde_var nde_independent(nde_program *g, nde_var x) {
    if (!nde_is_value(g, "nde_independent", "x", x)) return none;
    const uint32_t own = g->count; /* no two of them are one */
    return nde_make(g, (nde_node){ .op = NDE_OP_INDEPENDENT, .rows = rows_of(g, x), .x = { x.id }, .first = own }, NULL);
}

static nde_var part(nde_program *g, nde_var x, uint32_t first, uint32_t rows);

/* Of a concatenation: what lies in the range of each of its parts. */
static nde_var part_of_parts(nde_program *g, nde_var x, uint32_t first, uint32_t rows) {
    const nde_node from = nde_node_at(g, x.id);
    nde_var *parts = nde_scratch(g, from.n, sizeof *parts);
    uint32_t row = 0;
    size_t n = 0;
    if (!parts) return none;
    for (uint32_t i = 0; i < from.n && g->status == NDE_OK; i++) {
        const nde_var one = { *nde_list(g, from.list + i) };
        const uint32_t own = rows_of(g, one), begin = first > row ? first : row;
        const uint32_t end = first + rows < row + own ? first + rows : row + own;
        if (begin < end) parts[n++] = part(g, one, begin - row, end - begin);
        row += own;
    }
    const nde_var y = g->status == NDE_OK ? nde_concat(g, parts, n) : none;
    nde_scratch_free(g, parts, from.n, sizeof *parts);
    return y;
}

static nde_var part(nde_program *g, nde_var x, uint32_t first, uint32_t rows) {
    const nde_node from = nde_node_at(g, x.id);
    if (rows == from.rows) return x;
    switch (from.op) {
    case NDE_OP_INPUT: return nde_input_node(g, from.detail, from.first + first, rows);
    case NDE_OP_PART: return part(g, (nde_var){ from.x[0] }, from.first + first, rows);
    case NDE_OP_REPEAT: return nde_widen(g, (nde_var){ from.x[0] }, rows);
    case NDE_OP_CONCAT: return part_of_parts(g, x, first, rows);
    case NDE_OP_CONSTANT: {
        double *to = room_for_values(g, rows);
        if (!to) return none;
        memcpy(to, nde_values(g, from.list + first), rows*sizeof *to);
        return constants_at_end(g, rows);
    }
    default: return nde_make(g, (nde_node){ .op = NDE_OP_PART, .rows = rows, .first = first, .x = { x.id } }, NULL);
    }
}
nde_var nde_cut(nde_program *g, nde_var x, size_t first, size_t rows) {
    static const char who[] = "nde_cut";
    if (!nde_is_value(g, who, "x", x) || !nde_rows_fit(g, who, rows)) return none;
    const size_t all = rows_of(g, x);
    if (first > all || rows > all - first) return FAIL(g, who, "rows %zu to %zu of %zu", first, first + rows, all);
    return part(g, x, (uint32_t)first, (uint32_t)rows);
}

/* Where a value's rows stand in another's: `from` and first; itself and 0 where it is no part. */
static nde_node place(const nde_program *g, nde_var x) {
    const nde_node n = nde_node_at(g, x.id);
    if (n.op == NDE_OP_INPUT || n.op == NDE_OP_PART) return n;
    return (nde_node){ .op = NDE_OP_PART, .rows = n.rows, .x = { x.id } };
}

/* a and the value behind it as one, when they stand so elsewhere, too; 0: they do not. */
static nde_var join(nde_program *g, nde_var a, nde_var b) {
    const nde_node m = nde_node_at(g, a.id), n = nde_node_at(g, b.id);
    if (m.op == NDE_OP_CONSTANT && n.op == NDE_OP_CONSTANT) {
        double *to = room_for_values(g, (size_t)m.n + n.n);
        if (!to) return none;
        memcpy(to, nde_values(g, m.list), m.n*sizeof *to);
        memcpy(to + m.n, nde_values(g, n.list), n.n*sizeof *to);
        return constants_at_end(g, m.n + n.n);
    }
    const nde_node p = place(g, a), q = place(g, b);
    if (p.op != q.op || p.detail != q.detail || p.x[0] != q.x[0] || p.first + p.rows != q.first) return none;
    if (p.op == NDE_OP_INPUT) return nde_input_node(g, p.detail, p.first, p.rows + q.rows);
    return part(g, (nde_var){ p.x[0] }, p.first, p.rows + q.rows);
}

/* Appends x, or its parts, to list [*n]. */
static void append(nde_program *g, nde_var x, uint32_t *list, uint32_t *n) {
    const nde_node node = nde_node_at(g, x.id);
    for (uint32_t i = 0; node.op == NDE_OP_CONCAT && i < node.n && g->status == NDE_OK; i++)
        append(g, (nde_var){ *nde_list(g, node.list + i) }, list, n);
    if (node.op == NDE_OP_CONCAT || g->status != NDE_OK) return;
    const nde_var both = *n > 0 ? join(g, (nde_var){ list[*n - 1] }, x) : none;
    if (both.id) list[*n - 1] = both.id;
    else list[(*n)++] = x.id;
}

nde_var nde_concat(nde_program *g, const nde_var *x, size_t count) {
    static const char who[] = "nde_concat";
    if (!ready(g, who)) return none;
    if (!x || count == 0) return FAIL(g, who, "x is NULL or count is 0");
    uint64_t rows = 0;
    size_t most = 0;
    for (size_t i = 0; i < count; i++) {
        if (!nde_is_value(g, who, "one of x", x[i])) return none;
        const nde_node node = nde_node_at(g, x[i].id);
        rows += node.rows, most += node.op == NDE_OP_CONCAT ? node.n : 1;
        if (!nde_rows_fit(g, who, rows)) return none;
    }
    uint32_t *list = nde_scratch(g, most, sizeof *list), n = 0;
    if (!list) return none;
    for (size_t i = 0; i < count; i++) append(g, x[i], list, &n);
    nde_var y = { g->status == NDE_OK ? list[0] : 0 };
    if (n > 1) y = nde_make(g, (nde_node){ .op = NDE_OP_CONCAT, .rows = (uint32_t)rows, .n = n }, list);
    nde_scratch_free(g, list, most, sizeof *list);
    return y;
}

/* GATHER and SCATTER: index [count] below `limit`. */
static nde_var indexed(nde_program *g, const char *who, int op, nde_var x, const size_t *index, size_t count, size_t limit,
                       size_t rows) {
    if (!index) return FAIL(g, who, "index is NULL");
    if (!nde_rows_fit(g, who, count) || !nde_rows_fit(g, who, rows)) return none;
    uint32_t *list = nde_scratch(g, count, sizeof *list);
    nde_var y = none;
    if (!list) return none;
    for (size_t i = 0; i < count; i++) {
        if (index[i] >= limit) FAIL(g, who, "index[%zu] is %zu of %zu", i, index[i], limit);
        list[i] = (uint32_t)index[i];
    }
    if (g->status == NDE_OK)
        y = nde_make(g, (nde_node){ .op = (uint8_t)op, .rows = (uint32_t)rows, .x = { x.id }, .n = (uint32_t)count }, list);
    nde_scratch_free(g, list, count, sizeof *list);
    return y;
}
nde_var nde_gather(nde_program *g, nde_var x, const size_t *index, size_t rows) {
    static const char who[] = "nde_gather";
    return nde_is_value(g, who, "x", x) ? indexed(g, who, NDE_OP_GATHER, x, index, rows, rows_of(g, x), rows) : none;
}
nde_var nde_scatter(nde_program *g, nde_var x, const size_t *index, size_t rows) {
    static const char who[] = "nde_scatter";
    return nde_is_value(g, who, "x", x) ? indexed(g, who, NDE_OP_SCATTER, x, index, rows_of(g, x), rows, rows) : none;
}

nde_var nde_repeat(nde_program *g, nde_var x, size_t rows) {
    static const char who[] = "nde_repeat";
    double v;
    if (!nde_is_value(g, who, "x", x) || !nde_rows_fit(g, who, rows)) return none;
    if (rows_of(g, x) != 1) return FAIL(g, who, "x has %u rows", (unsigned)rows_of(g, x));
    if (rows == 1) return x;
    if (rows > MOST_CONSTANTS || !nde_is_constant(g, x, &v))
        return nde_make(g, (nde_node){ .op = NDE_OP_REPEAT, .rows = (uint32_t)rows, .x = { x.id } }, NULL);
    double *to = room_for_values(g, rows);
    for (size_t i = 0; to && i < rows; i++) to[i] = v;
    return to ? constants_at_end(g, (uint32_t)rows) : none;
}

nde_var nde_sum(nde_program *g, nde_var x) {
    if (!nde_is_value(g, "nde_sum", "x", x)) return none;
    return rows_of(g, x) == 1 ? x : nde_make(g, (nde_node){ .op = NDE_OP_SUM, .rows = 1, .x = { x.id } }, NULL);
}

/* ---- products ---- */

static nde_var bilinear(nde_program *g, int op, nde_var a, nde_var b, uint64_t rows) {
    return nde_make(g, (nde_node){ .op = (uint8_t)op, .rows = (uint32_t)rows, .x = { a.id, b.id } }, NULL);
}

static bool are_values(nde_program *g, const char *who, nde_var a, nde_var b) {
    return nde_is_value(g, who, "the first operand", a) && nde_is_value(g, who, "the second operand", b);
}

nde_var nde_dot(nde_program *g, nde_var a, nde_var b) {
    static const char who[] = "nde_dot";
    if (!are_values(g, who, a, b)) return none;
    if (rows_of(g, a) != rows_of(g, b)) return FAIL(g, who, "%u and %u rows", (unsigned)rows_of(g, a), (unsigned)rows_of(g, b));
    if (rows_of(g, a) == 1) return nde_mul(g, a, b);
    return a.id < b.id ? bilinear(g, NDE_OP_DOT, a, b, 1) : bilinear(g, NDE_OP_DOT, b, a, 1);
}

nde_var nde_cross(nde_program *g, nde_var a, nde_var b) {
    static const char who[] = "nde_cross";
    if (!are_values(g, who, a, b)) return none;
    if (rows_of(g, a) != 3 || rows_of(g, b) != 3)
        return FAIL(g, who, "%u and %u rows, not 3", (unsigned)rows_of(g, a), (unsigned)rows_of(g, b));
    return bilinear(g, NDE_OP_CROSS, a, b, 3);
}

static nde_var matrix_product(nde_program *g, const char *who, int op, nde_var w, nde_var x) {
    if (!are_values(g, who, w, x)) return none;
    const uint32_t all = rows_of(g, w), side = rows_of(g, x);
    if (all % side) return FAIL(g, who, "the matrix has %u rows, the vector %u", (unsigned)all, (unsigned)side);
    if (side == 1 && !(nde_node_at(g, w.id).flags & NDE_NODE_STATIC)) return nde_mul(g, w, x);
    return bilinear(g, op, w, x, all/side);
}
nde_var nde_matvec(nde_program *g, nde_var w, nde_var x) { return matrix_product(g, "nde_matvec", NDE_OP_MATVEC, w, x); }
nde_var nde_matvec_transposed(nde_program *g, nde_var w, nde_var x) {
    return matrix_product(g, "nde_matvec_transposed", NDE_OP_MATVEC_TRANSPOSED, w, x);
}

nde_var nde_outer(nde_program *g, nde_var a, nde_var b) {
    static const char who[] = "nde_outer";
    if (!are_values(g, who, a, b)) return none;
    const uint64_t rows = (uint64_t)rows_of(g, a)*rows_of(g, b);
    if (!nde_rows_fit(g, who, rows)) return none;
    return bilinear(g, NDE_OP_OUTER, a, b, rows);
}

nde_var nde_dense(nde_program *g, int activation, size_t p_first, size_t out, nde_var x) {
    static const char who[] = "nde_dense";
    if (!nde_is_value(g, who, "x", x) || !nde_rows_fit(g, who, out)) return none;
    const uint64_t weights = (uint64_t)rows_of(g, x)*out;
    if (!nde_rows_fit(g, who, weights)) return none;
    if (p_first > g->shape.np || weights + out > g->shape.np - p_first)
        return FAIL(g, who, "%llu parameters from %zu on, np is %zu", (unsigned long long)weights + out, p_first, g->shape.np);
    const nde_var w = nde_p(g, p_first, weights), b = nde_p(g, p_first + weights, out);
    return nde_activate(g, activation, nde_add(g, nde_matvec(g, w, x), b));
}
