/* SPDX-License-Identifier: MIT
 * write.c - a program written out: its operations as text or picture, its code as C for one trajectory, where every space
 * is a plain vector. */
#include "program/graph.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

typedef struct writer {
    int (*write)(void *ctx, const char *text, size_t length);
    void *ctx;
    const nde_program *g;
    const char *name;
    bool stopped;
} writer;

static void put(writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(writer *w, const char *format, ...) {
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    const int length = vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    if (!w->stopped && length > 0) w->stopped = w->write(w->ctx, text, (size_t)length) != 0;
}

/* As C reads it, whatever the locale. */
static void put_number(writer *w, double x) {
    char text[40];
    if (isnan(x)) put(w, "NAN");
    else if (isinf(x)) put(w, x > 0 ? "INFINITY" : "-INFINITY");
    else {
        snprintf(text, sizeof text, "%.17g", x);
        for (char *c = text; *c; c++)
            if (*c == ',') *c = '.';
        put(w, "%s", text);
    }
}

/* ---- operations ---- */

static const char *input_name(int space) {
    static const char *const names[] = { "", "t", "y", "u", "p", "q", "vt", "vy", "vu", "vp", "vq", "a", "b" };
    return names[space];
}

/* Which nodes the value is made of; needed [value + 1]. */
static void mark(const nde_program *g, bool *needed) {
    needed[g->value] = true;
    for (uint32_t id = g->value; id > 0; id--) {
        const nde_node n = nde_node_at(g, id);
        if (!needed[id]) continue;
        for (size_t i = 0; i < 3; i++) needed[n.x[i]] = true;
        for (uint32_t i = 0; n.op == NDE_OP_CONCAT && i < n.n; i++) needed[*nde_list(g, n.list + i)] = true;
    }
}

static void put_label(writer *w, uint32_t id) {
    const nde_node n = nde_node_at(w->g, id);
    if (n.op == NDE_OP_INPUT) {
        put(w, "%s", input_name(n.detail));
        if (n.detail != NDE_SPACE_T) put(w, "[%u:%u]", (unsigned)n.first, (unsigned)(n.first + n.rows));
    } else if (n.op == NDE_OP_CONSTANT) {
        put_number(w, *nde_values(w->g, n.list));
        if (n.n > 1) put(w, " ...");
    } else if (n.op == NDE_OP_ACTIVATE || n.op == NDE_OP_SLOPE) {
        put(w, n.op == NDE_OP_SLOPE ? "slope of %s" : "%s", nde_activation_name(n.detail));
    } else {
        put(w, "%s", nde_operations[n.op].name);
        if (n.op == NDE_OP_PART) put(w, " %u:%u", (unsigned)n.first, (unsigned)(n.first + n.rows));
        if (n.op == NDE_OP_MATMUL) put(w, n.detail == NDE_MATMUL_ABT ? " A B'" : n.detail == NDE_MATMUL_ATB ? " A' B" : " A B");
        if (n.op == NDE_OP_MATMUL || n.op == NDE_OP_LARGEST) put(w, " of %u", (unsigned)n.first);
        if (n.op == NDE_OP_CIRCULAR) put(w, " from %u", (unsigned)n.first);
        if (n.op == NDE_OP_TRANSFORM && n.detail) put(w, " back");
    }
}

/* Flops of a lane: a product and a sum are two, a function is one. */
static double flops_of(const nde_instruction *x) {
    const double rows = x->rows, inner = x->inner;
    switch (x->op) {
    case NDE_OP_COPY: case NDE_OP_GATHER: case NDE_OP_TIME: return 0;
    case NDE_OP_SUM: return inner;
    case NDE_OP_LARGEST: return rows*x->first;
    case NDE_OP_OUTER: case NDE_OP_CROSS: return 2*rows;
    case NDE_OP_MATMUL: return 2*rows*x->first;
    case NDE_OP_SPARSE: return 2*(double)x->outer;
    case NDE_OP_CIRCULAR: return 2*rows*(double)x->outer;
    case NDE_OP_TRANSFORM: return 2.5*rows*log2(rows); /* as FFTW counts */
    case NDE_OP_DOT: case NDE_OP_MATVEC: case NDE_OP_MATVEC_TRANSPOSED: case NDE_OP_PRODUCT: case NDE_OP_PRODUCT_ROWS:
    case NDE_OP_ADD_OUTER: return 2*rows*inner;
    default: return nde_operations[x->op].form == NDE_FORM_FUSED ? 2*rows : rows;
    }
}

/* Numbers that go between an instruction and rows. */
static double reals_of(const nde_instruction *x) {
    const nde_operation_fact *fact = &nde_operations[x->op];
    const double rows = x->rows;
    if (x->op == NDE_OP_MATMUL || x->op == NDE_OP_SPARSE || x->op == NDE_OP_CIRCULAR) return rows + (double)x->outer + x->inner;
    const bool sums = fact->form == NDE_FORM_BILINEAR || x->op == NDE_OP_PRODUCT || x->op == NDE_OP_PRODUCT_ROWS ||
        x->op == NDE_OP_ADD_OUTER;
    return rows + (sums ? (double)x->inner : rows*(double)fact->operands);
}

static void put_counts(writer *w, const char *what, const nde_code *code) {
    double flops = 0, reals = 0;
    for (size_t i = 0; i < code->count; i++) {
        const nde_instruction *x = &code->at[i];
        flops += flops_of(x);
        reals += reals_of(x);
    }
    put(w, "%s: %zu instructions, %.0f flops and %.0f bytes a lane in double, %u rows of work\n", what, code->count, flops,
        8*reals, (unsigned)code->rows);
}

static void write_text(writer *w, const bool *needed) {
    static const char *const codes[NDE_CODES] = { "eval", "vjp", "jvp", "jvp along y", "vjp_jvp", "vjp_jvp along y",
                                                  "eval with tape", "vjp from tape", "vjp to cotape", "window" };
    const nde_program *g = w->g;
    put(w, "# %s: y [%zu], u [%zu], p [%zu], q [%zu]\n", w->name, g->shape.dim, g->shape.nu, g->shape.np, g->shape.nq);
    for (uint32_t id = 1; id <= g->value; id++) {
        const nde_node n = nde_node_at(g, id);
        if (!needed[id]) continue;
        put(w, "%%%u [%u] = ", (unsigned)id, (unsigned)n.rows);
        put_label(w, id);
        for (size_t i = 0; i < 3 && n.x[i]; i++) put(w, "%s %%%u", i ? "," : "", (unsigned)n.x[i]);
        for (uint32_t i = 0; n.op == NDE_OP_CONCAT && i < n.n; i++)
            put(w, "%s %%%u", i ? "," : "", (unsigned)*nde_list(g, n.list + i));
        put(w, "\n");
    }
    put(w, "value %%%u\n", (unsigned)g->value);
    for (size_t i = 0; i < NDE_CODES; i++)
        if (i < NDE_CODE_EVAL_TAPE || g->code[i].count) put_counts(w, codes[i], &g->code[i]);
}

static void write_graph(writer *w, const bool *needed) {
    const nde_program *g = w->g;
    put(w, "digraph %s {\n    node [shape=box];\n", w->name);
    for (uint32_t id = 1; id <= g->value; id++) {
        const nde_node n = nde_node_at(g, id);
        if (!needed[id]) continue;
        put(w, "    n%u [label=\"", (unsigned)id);
        put_label(w, id);
        if (n.rows > 1) put(w, " (%u)", (unsigned)n.rows);
        put(w, "\"%s];\n", id == g->value ? ", peripheries=2" : "");
        for (size_t i = 0; i < 3 && n.x[i]; i++) put(w, "    n%u -> n%u;\n", (unsigned)n.x[i], (unsigned)id);
        for (uint32_t i = 0; n.op == NDE_OP_CONCAT && i < n.n; i++)
            put(w, "    n%u -> n%u;\n", (unsigned)*nde_list(g, n.list + i), (unsigned)id);
    }
    put(w, "}\n");
}

/* ---- C ---- */

/* Pointwise operations: @ # $ are the operands. */
static const char *const formulas[NDE_OPERATIONS] = {
    [NDE_OP_NEG] = "-@", [NDE_OP_ABS] = "fabs(@)", [NDE_OP_SIGN] = "(@ > 0) - (@ < 0)", [NDE_OP_SQRT] = "sqrt(@)",
        [NDE_OP_EXP] = "exp(@)",
    [NDE_OP_EXPM1] = "expm1(@)", [NDE_OP_LOG] = "log(@)", [NDE_OP_LOG1P] = "log1p(@)", [NDE_OP_SIN] = "sin(@)",
    [NDE_OP_COS] = "cos(@)", [NDE_OP_ERF] = "erf(@)", [NDE_OP_ADD] = "@ + #", [NDE_OP_SUB] = "@ - #", [NDE_OP_MUL] = "@*#",
    [NDE_OP_DIV] = "@/#", [NDE_OP_MAXIMUM] = "@ > # ? @ : #", [NDE_OP_LESS] = "@ < #", [NDE_OP_LESS_EQUAL] = "@ <= #",
    [NDE_OP_SELECT] = "@ > 0 ? # : $", [NDE_OP_FMA] = "@*# + $", [NDE_OP_FMS] = "@*# - $", [NDE_OP_FNMA] = "$ - @*#",
    [NDE_OP_COPY] = "@", [NDE_OP_ADD_LANES] = "& + @",
};

/* Activations, and their slopes times #, from what is kept (core/activation.h). */
static const char *const activations[][2] = {
    [NDE_TANH] = { "tanh(@)", "#*(1 - @)*(1 + @)" },
    [NDE_SOFTPLUS] = { "@ > 0 ? @ + log1p(exp(-@)) : log1p(exp(@))", "-#*expm1(-@)" },
    [NDE_RELU] = { "@ > 0 ? @ : 0", "@ > 0 ? # : 0" },
    [NDE_SILU] = { "@/(1 + exp(-@))", "#*(1 + @/(1 + exp(@)))/(1 + exp(-@))" },
    [NDE_GELU] = { "0.5*@*erfc(-@*0.70710678118654752)",
                   "#*(0.5*erfc(-@*0.70710678118654752) + @*exp(-0.5*@*@)*0.39894228040143268)" },
    [NDE_ELU] = { "@ > 0 ? @ : expm1(@)", "@ > 0 ? # : #*(1 + @)" },
    [NDE_SIGMOID] = { "1/(1 + exp(-@))", "#*@*(1 - @)" },
    [NDE_SIN] = { "sin(@)", "#*cos(@)" },
    [NDE_LIPSWISH] = { "@/(1 + exp(-@))/1.1", "#*(1 + @/(1 + exp(@)))/(1 + exp(-@))/1.1" },
};

static const char *space_name(int space) {
    static const char *const to[] = { "", "at", "ay", "au", "ap", "aq", "bt", "by", "bu", "bp", "bq" };
    if (space > NDE_SPACE_TO) return to[space - NDE_SPACE_TO];
    switch (space) {
    case NDE_SPACE_PREPARED: return "k";
    case NDE_SPACE_SMALL: return "s";
    case NDE_SPACE_WORK: return "w";
    case NDE_SPACE_OUT: return "out";
    default: return input_name(space);
    }
}

/* Row of an operand, `index` in C: an expression of the loop's variables. */
static void put_row(writer *w, const nde_operand *o, const char *index) {
    put(w, "%s[%u%s%s]", space_name(o->space), (unsigned)o->row, o->still || !*index ? "" : " + ", o->still ? "" : index);
}

static void put_formula(writer *w, const nde_instruction *x, const char *formula, const char *index) {
    put_row(w, &x->to, index);
    put(w, " = ");
    for (const char *c = formula; *c; c++) {
        if (*c == '@') put_row(w, &x->x[0], index);
        else if (*c == '#') put_row(w, &x->x[1], index);
        else if (*c == '$') put_row(w, &x->x[2], index);
        else if (*c == '&') put_row(w, &x->to, index);
        else put(w, "%c", *c);
    }
    put(w, ";\n");
}

static void put_each_row(writer *w, const nde_instruction *x, const char *formula) {
    put(w, "    ");
    if (x->rows > 1) put(w, "for (i = 0; i < %u; i++) ", (unsigned)x->rows);
    put_formula(w, x, formula, x->rows > 1 ? "i" : "");
}

/* to[i] = start + the sum over j of x[xi] y[yi]. */
static void put_sums(writer *w, const nde_instruction *x, const char *xi, const char *yi) {
    put(w, "    for (i = 0; i < %u; i++) {\n        r = ", (unsigned)x->rows);
    if (x->x[2].space) put_row(w, &x->x[2], "i");
    else put(w, "0");
    put(w, ";\n        for (j = 0; j < %u; j++) r += ", (unsigned)x->inner);
    put_row(w, &x->x[0], xi);
    if (yi) put(w, "*"), put_row(w, &x->x[1], yi);
    put(w, ";\n        ");
    put_row(w, &x->to, "i");
    put(w, " = r;\n    }\n");
}

static void put_table(writer *w, const char *name, const uint32_t *list, uint32_t n) {
    put(w, "static const unsigned %s[] = {", name);
    for (uint32_t i = 0; i < n; i++) put(w, "%s%u", i ? ", " : "", (unsigned)list[i]);
    put(w, "};\n");
}

/* GATHER, SCATTER, SPARSE: rows at places that tables give. */
static void put_moves(writer *w, const nde_instruction *x) {
    const uint32_t *list = nde_list(w->g, x->list), n = x->op == NDE_OP_GATHER ? x->rows : x->outer;
    put(w, "    {\n        "), put_table(w, "row", list, n);
    if (x->op == NDE_OP_SPARSE) put(w, "        "), put_table(w, "column", list + n, n);
    if (x->op != NDE_OP_GATHER)
        put(w, "        for (i = 0; i < %u; i++) ", (unsigned)x->rows), put_row(w, &x->to, "i"), put(w, " = 0;\n");
    put(w, "        for (i = 0; i < %u; i++) ", (unsigned)n);
    put_row(w, &x->to, x->op == NDE_OP_GATHER ? "i" : "row[i]");
    put(w, x->op == NDE_OP_GATHER ? " = " : " += ");
    put_row(w, &x->x[0], x->op == NDE_OP_GATHER ? "row[i]" : "i");
    if (x->op == NDE_OP_SPARSE) put(w, "*"), put_row(w, &x->x[1], "column[i]");
    put(w, ";\n    }\n");
}

static void put_matmul(writer *w, const nde_instruction *x) {
    char xi[60], yi[60];
    const unsigned k = x->first, n = x->outer/x->first, m = x->inner/x->first;
    nde_instruction one = *x;
    one.inner = k;
    if (x->detail == NDE_MATMUL_ATB) snprintf(xi, sizeof xi, "j*%u + i/%u", n, m);
    else snprintf(xi, sizeof xi, "i/%u*%u + j", m, k);
    if (x->detail == NDE_MATMUL_ABT) snprintf(yi, sizeof yi, "i%%%u*%u + j", m, k);
    else snprintf(yi, sizeof yi, "j*%u + i%%%u", m, m);
    put_sums(w, &one, xi, yi);
}

static void put_circular(writer *w, const nde_instruction *x) {
    char yi[80];
    const unsigned all = x->inner, j = x->detail & NDE_CIRCULAR_MINUS_J ? all : 0,
        i = x->detail & NDE_CIRCULAR_MINUS_I ? all : 0;
    nde_instruction one = *x;
    one.inner = x->outer;
    snprintf(yi, sizeof yi, "(%u %c j %c i)%%%u", (unsigned)x->first + j + i, j ? '-' : '+', i ? '-' : '+', all);
    put_sums(w, &one, "j", yi);
}

/* Sums of cosines and sines: this C needs no library. */
static void put_transform(writer *w, const nde_instruction *x) {
    const unsigned n = x->rows;
    const char *row = x->detail ? "j" : "i";
    put(w, "    for (i = 0; i < %u; i++) {\n        r = 0;\n        for (j = 0; j < %u; j++) r += ", n, n);
    if (x->detail) put(w, "(j == 0 || 2*j == %u ? 1 : 2)*", n);
    put(w, "(2*%s <= %u ? cos(6.2831853071795865*fmod((double)i*j, %u)/%u)", row, n, n, n);
    put(w, " : sin(6.2831853071795865*fmod((double)i*j, %u)/%u))*", n, n);
    put_row(w, &x->x[0], "j"), put(w, ";\n        "), put_row(w, &x->to, "i"), put(w, " = r;\n    }\n");
}

static void put_largest(writer *w, const nde_instruction *x) {
    char at[40];
    snprintf(at, sizeof at, "i*%u + j", (unsigned)x->first);
    put(w, "    for (i = 0; i < %u; i++) {\n        r = -INFINITY;\n        for (j = 0; j < %u; j++)\n            if (",
        (unsigned)x->rows, (unsigned)x->first);
    put_row(w, &x->x[0], at), put(w, " > r) r = "), put_row(w, &x->x[0], at), put(w, ";\n        ");
    put_row(w, &x->to, "i"), put(w, " = r;\n    }\n");
}

static void put_instruction(writer *w, const nde_instruction *x) {
    char xi[40], yi[40];
    switch (x->op) {
    case NDE_OP_ACTIVATE: put_each_row(w, x, activations[x->detail][0]); break;
    case NDE_OP_SLOPE: put_each_row(w, x, activations[x->detail][1]); break;
    case NDE_OP_GATHER: case NDE_OP_SCATTER: case NDE_OP_SPARSE: put_moves(w, x); break;
    case NDE_OP_MATMUL: put_matmul(w, x); break;
    case NDE_OP_CIRCULAR: put_circular(w, x); break;
    case NDE_OP_TRANSFORM: put_transform(w, x); break;
    case NDE_OP_LARGEST: put_largest(w, x); break;
    case NDE_OP_SUM: put_sums(w, x, "j", NULL); break;
    case NDE_OP_DOT: put_sums(w, x, "j", "j"); break;
    case NDE_OP_MATVEC: case NDE_OP_PRODUCT_ROWS:
        snprintf(xi, sizeof xi, "i*%u + j", (unsigned)x->inner);
        put_sums(w, x, xi, "j");
        break;
    case NDE_OP_MATVEC_TRANSPOSED: case NDE_OP_PRODUCT:
        snprintf(xi, sizeof xi, "j*%u + i", (unsigned)x->rows);
        put_sums(w, x, xi, "j");
        break;
    case NDE_OP_OUTER: {
        nde_instruction one = *x;
        one.inner = 1;
        snprintf(xi, sizeof xi, "i/%u", (unsigned)x->inner), snprintf(yi, sizeof yi, "i%%%u", (unsigned)x->inner);
        put_sums(w, &one, xi, yi);
        break;
    }
    case NDE_OP_CROSS:
        for (unsigned i = 0; i < 3; i++) {
            const char *a = space_name(x->x[0].space), *b = space_name(x->x[1].space);
            const unsigned m = x->x[0].row, n = x->x[1].row, j = (i + 1)%3, k = (i + 2)%3;
            put(w, "    %s[%u] = %s[%u]*%s[%u] - %s[%u]*%s[%u];\n", space_name(x->to.space), (unsigned)x->to.row + i, a,
                m + j, b, n + k, a, m + k, b, n + j);
        }
        break;
    case NDE_OP_TRANSPOSE: {
        nde_instruction one = *x;
        one.inner = 1;
        snprintf(xi, sizeof xi, "i%%%u*%u + i/%u", (unsigned)(x->rows/x->inner), (unsigned)x->inner,
                 (unsigned)(x->rows/x->inner));
        put_sums(w, &one, xi, NULL);
        break;
    }
    case NDE_OP_TIME: put(w, "    %s[%u] = %s;\n", space_name(x->to.space), (unsigned)x->to.row, input_name(x->detail)); break;
    case NDE_OP_ADD_TIME: put(w, "    *%s += ", space_name(x->to.space)), put_row(w, &x->x[0], ""), put(w, ";\n"); break;
    case NDE_OP_ADD_OUTER:
        put(w, "    for (i = 0; i < %u; i++)\n        for (j = 0; j < %u; j++) %s[%u + i*%u + j] += ", (unsigned)x->rows,
            (unsigned)x->inner, space_name(x->to.space), (unsigned)x->to.row, (unsigned)x->inner);
        put_row(w, &x->x[0], "i"), put(w, "*"), put_row(w, &x->x[1], "j"), put(w, ";\n");
        break;
    default: put_each_row(w, x, formulas[x->op]);
    }
}

#define DIRECTION "double vt, const double *vy, const double *vu, const double *vp, const double *vq"
#define COTANGENTS(to) ", double *" to "t, double *" to "y, double *" to "u, double *" to "p, double *" to "q"

static void write_function(writer *w, const char *suffix, const char *more, int which) {
    const nde_program *g = w->g;
    const nde_code *code = &g->code[which];
    const nde_fixed *fixed = g->fixed.data;
    put(w, "\nvoid %s%s(double t, const double *y, const double *u, const double *p, const double *q, %s) {\n", w->name,
        suffix, more);
    put(w, "    double w[%u], s[%u], k[%u], r = 0;\n    int i = 0, j = 0;\n", (unsigned)code->rows + 1,
        (unsigned)code->small + 1, (unsigned)g->prepared + 1);
    put(w, "    (void)t, (void)y, (void)u, (void)p, (void)q, (void)w, (void)s, (void)k, (void)r, (void)i, (void)j;\n");
    if (which == NDE_CODE_VJP || which == NDE_CODE_SECOND)
        put(w, "    (void)a, (void)at, (void)ay, (void)au, (void)ap, (void)aq;\n");
    if (which == NDE_CODE_JVP || which == NDE_CODE_SECOND) put(w, "    (void)vt, (void)vy, (void)vu, (void)vp, (void)vq;\n");
    if (which == NDE_CODE_SECOND) put(w, "    (void)b, (void)bt, (void)by, (void)bu, (void)bp, (void)bq;\n");
    for (uint32_t i = 0; i < g->constants; i++) {
        put(w, "    k[%u] = ", (unsigned)fixed[i].at);
        put_number(w, fixed[i].value);
        put(w, ";\n");
    }
    for (size_t i = 0; i < g->prepare.count; i++) put_instruction(w, &g->prepare.at[i]);
    for (size_t i = 0; i < code->count; i++) put_instruction(w, &code->at[i]);
    put(w, "}\n");
}

static void write_c(writer *w) {
    const nde_program *g = w->g;
    put(w, "/* %s: y [%zu], u [%zu], p [%zu], q [%zu], value [%u]. Written by libnde. */\n#include <math.h>\n", w->name,
        g->shape.dim, g->shape.nu, g->shape.np, g->shape.nq, (unsigned)nde_node_at(g, g->value).rows);
    write_function(w, "", "double *out", NDE_CODE_EVAL);
    write_function(w, "_vjp", "const double *a" COTANGENTS("a"), NDE_CODE_VJP);
    write_function(w, "_jvp", DIRECTION ", double *out", NDE_CODE_JVP);
    write_function(w, "_vjp_jvp", DIRECTION ", const double *a, const double *b" COTANGENTS("a") COTANGENTS("b"),
                   NDE_CODE_SECOND);
}

static bool is_name(const char *name) {
    if (*name >= '0' && *name <= '9') return false;
    for (size_t i = 0; name[i] || i == 0; i++) {
        const char c = name[i];
        if (i > 60 || !((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_')) return false;
    }
    return true;
}

nde_status nde_program_write(const nde_program *g, int form, const char *name,
                             int (*write)(void *ctx, const char *text, size_t length), void *ctx) {
    static const char who[] = "nde_program_write";
    if (!g || !write) return nde_fail(NDE_E_ARG, "%s: %s is NULL", who, g ? "write" : "program");
    if (g->status != NDE_OK || !g->finished) return nde_fail(NDE_E_ARG, "%s: the program is not finished", who);
    if (form < NDE_PROGRAM_TEXT || form > NDE_PROGRAM_C) return nde_fail(NDE_E_ARG, "%s: form is %d", who, form);
    if (!name) name = "program";
    if (!is_name(name)) return nde_fail(NDE_E_ARG, "%s: name '%.60s' is no name in C", who, name);
    writer w = { .write = write, .ctx = ctx, .g = g, .name = name };
    bool *needed = g->allocator.take(g->allocator.ctx, (size_t)g->value + 1, 64);
    if (!needed) return nde_fail(NDE_E_NOMEM, "%s: out of memory", who);
    memset(needed, 0, (size_t)g->value + 1);
    mark(g, needed);
    if (form == NDE_PROGRAM_TEXT) write_text(&w, needed);
    else if (form == NDE_PROGRAM_GRAPH) write_graph(&w, needed);
    else write_c(&w);
    g->allocator.give(g->allocator.ctx, needed, (size_t)g->value + 1);
    return w.stopped ? nde_fail(NDE_E_IO, "%s: the caller's write has stopped", who) : NDE_OK;
}
