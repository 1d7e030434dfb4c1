/* SPDX-License-Identifier: MIT
 * finish.c - all that the field of a program needs: its value, its derivatives in both directions and of second order, as
 * code. */
#include "program/graph.h"

/* Of an input or what is no input, where the code's derivative is along all inputs or along y alone. */
static nde_var direction(nde_program *g, uint32_t id, const void *ctx) {
    const bool *y_alone = ctx;
    const nde_node n = nde_node_at(g, id);
    if (n.op != NDE_OP_INPUT || (*y_alone && n.detail != NDE_SPACE_Y)) return (nde_var){ 0 };
    return nde_input_node(g, n.detail - NDE_SPACE_T + NDE_SPACE_VT, n.first, n.rows);
}

/* Code that adds the cotangents of all inputs to where they are wanted, from those of nodes. */
static void lower_reverse(nde_program *g, const nde_var *node, const nde_var *seed, size_t count, nde_code *code) {
    const uint32_t top = g->count - 1;
    uint32_t *bar = nde_scratch(g, (size_t)top + 1, sizeof *bar), n = 0;
    nde_root *root = nde_scratch(g, (size_t)top + 1, sizeof *root);
    for (size_t i = 0; bar && i < count; i++)
        if (node[i].id) bar[node[i].id] = bar[node[i].id] ? nde_add(g, (nde_var){ bar[node[i].id] }, seed[i]).id : seed[i].id;
    if (g->status == NDE_OK) nde_reverse_nodes(g, top, bar);
    for (uint32_t id = 1; id <= top && g->status == NDE_OK; id++) {
        const nde_node x = nde_node_at(g, id);
        if (x.op == NDE_OP_INPUT && x.detail < NDE_SPACE_A && bar[id])
            root[n++] = (nde_root){ bar[id], x.first, NDE_SPACE_TO + x.detail };
    }
    nde_lower(g, root, n, code);
    if (code == &g->code[NDE_CODE_VJP] && g->status == NDE_OK) nde_program_tape(g, root, n);
    if (bar) nde_scratch_free(g, bar, (size_t)top + 1, sizeof *bar);
    if (root) nde_scratch_free(g, root, (size_t)top + 1, sizeof *root);
}

static void lower_forward(nde_program *g, nde_var value, bool y_alone, nde_code *first, nde_code *second) {
    const uint32_t rows = nde_node_at(g, value.id).rows;
    uint32_t *dot = nde_scratch(g, (size_t)value.id + 1, sizeof *dot);
    if (!dot) return;
    nde_forward_nodes(g, value.id, direction, &y_alone, dot);
    const nde_var moved = { dot[value.id] };
    nde_scratch_free(g, dot, (size_t)value.id + 1, sizeof *dot);
    const nde_var zero = nde_repeat(g, nde_constant(g, 0), rows);
    nde_lower(g, &(nde_root){ moved.id ? moved.id : zero.id, 0, NDE_SPACE_OUT }, 1, first);
    const nde_var a = nde_input_node(g, NDE_SPACE_A, 0, rows), b = nde_input_node(g, NDE_SPACE_B, 0, rows);
    lower_reverse(g, (nde_var[]){ value, moved }, (nde_var[]){ a, b }, 2, second);
}

/* Flops in products of weights, a lane. */
static double products_of(const nde_code *code) {
    double flops = 0;
    for (size_t i = 0; i < code->count; i++) {
        const nde_instruction *x = &code->at[i];
        if (x->op == NDE_OP_PRODUCT || x->op == NDE_OP_PRODUCT_ROWS || x->op == NDE_OP_ADD_OUTER)
            flops += 2*(double)x->rows*(double)x->inner;
    }
    return flops;
}

nde_status nde_program_finish(nde_program *g, nde_var value) {
    static const char who[] = "nde_program_finish";
    if (!g) return nde_fail(NDE_E_ARG, "%s: program is NULL", who);
    if (g->status != NDE_OK) return nde_fail(g->status, "%s", g->text);
    if (g->finished) return nde_fail(NDE_E_ARG, "%s: the program is finished", who);
    if (nde_var_rows(g, value) == 0) {
        nde_program_fail(g, NDE_E_ARG, "%s: value is no value of this program", who);
        return g->status;
    }
    g->value = value.id;
    nde_find_jacobian(g, value.id);
    g->linear_in_u = g->shape.nu && nde_is_linear_in_u(g, value.id);
    nde_code *code = g->code;
    nde_lower(g, &(nde_root){ value.id, 0, NDE_SPACE_OUT }, 1, &code[NDE_CODE_EVAL]);
    const nde_var a = nde_input_node(g, NDE_SPACE_A, 0, nde_node_at(g, value.id).rows);
    lower_reverse(g, &value, &a, 1, &code[NDE_CODE_VJP]);
    lower_forward(g, value, false, &code[NDE_CODE_JVP], &code[NDE_CODE_SECOND]);
    lower_forward(g, value, true, &code[NDE_CODE_JVP_Y], &code[NDE_CODE_SECOND_Y]);
    nde_lower_prepare(g);
    g->gemm_eval = products_of(&code[NDE_CODE_EVAL]);
    g->gemm_vjp = products_of(&code[g->taped ? NDE_CODE_VJP_TAPE : NDE_CODE_VJP]);
    for (size_t i = 0; i < NDE_CODES; i++) {
        const bool from_tape = i == NDE_CODE_VJP_TAPE || i == NDE_CODE_VJP_COTAPE;
        code[i].strip = code[from_tape ? NDE_CODE_VJP : i].rows; /* sums over lanes have the same terms then */
        if (from_tape) code[i].products = code[NDE_CODE_VJP].products;
        if (code[i].rows > g->rows) g->rows = code[i].rows;
        if (code[i].small > g->small) g->small = code[i].small;
    }
    g->rows = (g->rows + 15)/16*16; /* what follows begins at a cache line */
    g->finished = g->status == NDE_OK;
    return g->status;
}
