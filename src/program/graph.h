/* SPDX-License-Identifier: MIT
 * graph.h - a program: nodes in the order in which they were made, which is an order in which they can be evaluated. A node is
 * never changed, and no two are equal. No real type: a program serves both precisions. */
#ifndef NDE_GRAPH_H
#define NDE_GRAPH_H

#include "nde/program.h"
#include "core/core.h"
#include "program/code.h"
#include "program/transform.h"

enum { NDE_NODE_UNIFORM = 1 /* the same in all lanes */, NDE_NODE_STATIC = 2 /* known once p is */ };

typedef struct nde_node {
    uint8_t op;       /* nde_operation */
    uint8_t flags;
    uint16_t detail;  /* of an INPUT its nde_space; an activation */
    uint32_t rows;
    uint32_t x[3];    /* operands; 0: none */
    uint32_t first;   /* PART, INPUT: first row; what else an operation is of, see code.h */
    uint32_t list, n; /* CONCAT: parts; GATHER, SCATTER ...: indices; CONSTANT: values */
} nde_node;

/* An array of one kind that grows. */
typedef struct nde_growing {
    void *data;
    size_t capacity; /* bytes */
} nde_growing;

/* A name in a text, for a value; kind: 'y', 'u', 'p', 'q' of what is declared, 'd' of a derivative, else 0. */
typedef struct nde_name {
    uint32_t at, length, id, first, rows;
    int kind;
} nde_name;

/* A constant among what is prepared. */
typedef struct nde_fixed {
    uint32_t at;
    double value;
} nde_fixed;

/* Entries of a Jacobian that can differ from zero: index[start[row]], ... are the columns of a row, ascending. */
typedef struct nde_pattern {
    size_t rows, columns;
    nde_growing start, index; /* size_t [rows + 1], [start[rows]] */
} nde_pattern;

struct nde_program {
    nde_program_shape shape;
    nde_allocator allocator;
    nde_status status;
    bool finished;
    char text[256];
    nde_growing nodes, lists, values, table;
    uint32_t count, listed, valued, slots; /* nodes, node 0 included; entries of lists and values; of the table, a power of
                                            * two */
    nde_growing names, letters;            /* of a text: nde_name, and their characters */
    uint32_t named, lettered;
    uint32_t most;                         /* nodes that it may have */
    uint32_t value;                        /* the node that was finished with */
    nde_growing absorbs;                   /* of each node up to the value: 0, or 1 + the operand that its instruction
                                            * makes, too */
    nde_growing tape;                      /* of each node up to the value: 0, or 1 + where it stands on the tape */
    uint32_t taped, cotaped;               /* rows of both */
    nde_code code[NDE_CODES], prepare;
    size_t rows, small;                    /* most rows of any code, most uniform reals: see field.c */
    uint32_t prepared;                     /* reals that code finds prepared: values of static nodes */
    nde_growing places;                    /* of each static node: 0, or 1 + where it is prepared */
    uint32_t constants;
    nde_growing fixed;                     /* nde_fixed [constants] */
    nde_growing transforms;                /* nde_transform [transformed] */
    uint32_t transformed;
    double gemm_eval, gemm_vjp;            /* flops in products of weights, a lane */
    nde_pattern jacobian;                  /* by y; no start: dense */
    nde_growing color;                     /* uint32_t [dim], from 1 to colors: columns of a color come from one direction
                                            * (0: empty); none: each */
    uint32_t colors;
    bool linear_in_u;
};

static inline nde_node *nde_nodes(const nde_program *g) { return g->nodes.data; }
static inline nde_node nde_node_at(const nde_program *g, uint32_t id) { return nde_nodes(g)[id]; }
static inline uint32_t *nde_list(const nde_program *g, uint32_t at) { return (uint32_t *)g->lists.data + at; }
static inline double *nde_values(const nde_program *g, uint32_t at) { return (double *)g->values.data + at; }

/* Room for `count` things of `bytes` each; false: the program has failed. */
bool nde_grow(nde_program *g, nde_growing *array, size_t count, size_t bytes);
void nde_growing_free(nde_program *g, nde_growing *array);
/* A block for a while, all zero; NULL: the program has failed. */
void *nde_scratch(nde_program *g, size_t count, size_t bytes);
void nde_scratch_free(nde_program *g, void *block, size_t count, size_t bytes);

/* Keeps the first failure. */
nde_var nde_program_fail(nde_program *g, nde_status status, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Of the public functions: those who call are named, and the operation's number. */
nde_var nde_refuse(nde_program *g, nde_status status, const char *who, const char *format,
                   ...) __attribute__((format(printf, 4, 5)));
#define FAIL(g, who, ...) nde_refuse(g, NDE_E_ARG, who, __VA_ARGS__)
bool nde_is_value(nde_program *g, const char *who, const char *name, nde_var x);
bool nde_rows_fit(nde_program *g, const char *who, uint64_t rows);

/* The node, made if there is none equal. `list` [n] for those that have one. */
nde_var nde_make(nde_program *g, nde_node node, const uint32_t *list);
nde_var nde_input_node(nde_program *g, int space, size_t first, size_t rows);
/* x, repeated where it has one row and there should be more. */
nde_var nde_widen(nde_program *g, nde_var x, uint32_t rows);
/* *value of a constant all of whose rows are equal. */
bool nde_is_constant(const nde_program *g, nde_var x, double *value);
/* Which nodes has `top` need of? needed [top + 1], all false. */
void nde_find_needed(const nde_program *g, uint32_t top, bool *needed);
nde_var nde_slope(nde_program *g, int activation, nde_var kept, nde_var a);
/* The node again, with its list (of another node), and its own operands. */
nde_var nde_make_like(nde_program *g, nde_node node);
/* The sums of FFTW's transform, or of the one back, without a factor. */
nde_var nde_transform_of(nde_program *g, const char *who, bool back, nde_var x);

/* ---- derive.c ---- */

/* Derivatives of all nodes up to `top` along a direction that inputs move in: direction(ctx, node) is that of an input or an
 * INDEPENDENT node, 0: zero. dot [top + 1]: out, ids, 0: zero. */
void nde_forward_nodes(nde_program *g, uint32_t top, nde_var (*direction)(nde_program *g, uint32_t id, const void *ctx),
                       const void *ctx, uint32_t *dot);
/* Cotangents of all nodes up to `top`: bar [top + 1], in: those of the seeds, out: of all that they depend on; 0: zero. */
void nde_reverse_nodes(nde_program *g, uint32_t top, uint32_t *bar);
/* An input (or INDEPENDENT) x that moves by v, and what that is for node id, an input or INDEPENDENT; 0: it stays. ctx:
 * nde_moving. */
typedef struct nde_moving {
    uint32_t id;
    nde_var v;
} nde_moving;
nde_var nde_along(nde_program *g, uint32_t id, const void *ctx);
/* A linear or bilinear node with other operands. */
nde_var nde_again(nde_program *g, const nde_node *n, nde_var a, nde_var b);
/* A linear one whose operands become dot [id]; 0: zero. */
nde_var nde_linear_node(nde_program *g, uint32_t id, const uint32_t *dot);
/* Are f and v values, and may one differentiate by x? v has one row or those of f (like_f) or x. false: the program has
 * failed. */
bool nde_may_derive(nde_program *g, const char *who, nde_var f, nde_var x, nde_var v, bool like_f);
/* nde_activation_keeps_input, without a real type. */
bool nde_keeps_input(int activation);
/* exp(-z^2/2)/sqrt(2 pi) */
nde_var nde_normal_density(nde_program *g, nde_var z);

/* ---- structure.c ---- */

/* Where df/dx can differ from zero; false: dense, or the program has failed. */
bool nde_find_pattern(nde_program *g, uint32_t f, uint32_t x, nde_pattern *to);
void nde_pattern_free(nde_program *g, nde_pattern *pattern);
/* color [columns], all 0: columns of one color have no row in common; those without entries have none, 0. diagonal (rows =
 * columns):
 * only diagonal entries need be alone of their color in their row; 0 where there is none. Returns the number of colors.
 * Source: A. Curtis, M. Powell, J. Reid, On the estimation of sparse Jacobian matrices, J. Inst. Maths. Applics. 13 (1974)
 * 117-119. */
uint32_t nde_color_columns(nde_program *g, const nde_pattern *of, bool diagonal, uint32_t *color);
/* g->jacobian, color and colors. */
void nde_find_jacobian(nde_program *g, uint32_t value);
bool nde_is_linear_in_u(nde_program *g, uint32_t value);

/* ---- matrix.c ---- */

/* a b, a b' or a' b, with `inner` terms in each sum: code.h. */
nde_var nde_matrix_product(nde_program *g, int form, nde_var a, nde_var b, uint32_t inner);

/* ---- lower.c ---- */

/* Where a node's value goes: rows from `row` of `space` are overwritten (OUT) or added to. */
typedef struct nde_root {
    uint32_t node, row;
    int space;
} nde_root;
/* Code that sends nodes to their roots; first that of the value. */
void nde_lower(nde_program *g, const nde_root *root, size_t count, nde_code *code);
/* The same, reading from the tape what stands there. window: NULL, or code that adds cotangents of p, from both tapes,
 * instead of this one, which leaves them on the cotape. */
void nde_lower_taped(nde_program *g, const nde_root *root, size_t count, nde_code *code, nde_code *window);
/* Code of all static nodes that other code needs: last. */
void nde_lower_prepare(nde_program *g);
void nde_code_free(nde_program *g, nde_code *code);

/* ---- tape.c ---- */

/* Chooses the tape for a transpose that sends nodes to these roots; codes with it. */
void nde_program_tape(nde_program *g, const nde_root *root, size_t count);

#endif
