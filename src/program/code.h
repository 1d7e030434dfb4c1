/* SPDX-License-Identifier: MIT
 * code.h - what a program is turned into: instructions on rows of a few spaces, one after the other. No real type. */
#ifndef NDE_CODE_H
#define NDE_CODE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The operations, in nodes and in instructions: name, text, kind (below), operands. */
#define NDE_OPERATION_LIST(X)                                                             \
    X(INPUT, "input", LEAF, 0)                                                            \
    X(CONSTANT, "constant", LEAF, 0)                                                      \
    X(NEG, "neg", POINTWISE, 1)                                                           \
    X(ABS, "abs", POINTWISE, 1)                                                           \
    X(SIGN, "sign", POINTWISE, 1)                                                         \
    X(SQRT, "sqrt", POINTWISE, 1)                                                         \
    X(EXP, "exp", POINTWISE, 1)                                                           \
    X(EXPM1, "expm1", POINTWISE, 1)                                                       \
    X(LOG, "log", POINTWISE, 1)                                                           \
    X(LOG1P, "log1p", POINTWISE, 1)                                                       \
    X(SIN, "sin", POINTWISE, 1)                                                           \
    X(COS, "cos", POINTWISE, 1)                                                           \
    X(ERF, "erf", POINTWISE, 1)                                                           \
    X(ADD, "add", POINTWISE, 2)                                                           \
    X(SUB, "sub", POINTWISE, 2)                                                           \
    X(MUL, "mul", POINTWISE, 2)                                                           \
    X(DIV, "div", POINTWISE, 2)                                                           \
    X(MAXIMUM, "maximum", POINTWISE, 2)                                                   \
    X(LESS, "less", POINTWISE, 2)                                                         \
    X(LESS_EQUAL, "less_equal", POINTWISE, 2)                                             \
    X(SELECT, "select", POINTWISE, 3)                                                     \
    X(FMA, "fma", FUSED, 3)                /* x y + z */                                  \
    X(FMS, "fms", FUSED, 3)                /* x y - z */                                  \
    X(FNMA, "fnma", FUSED, 3)              /* z - x y */                                  \
    X(ACTIVATE, "activate", ROWS, 1)       /* s(x) */                                     \
    X(SLOPE, "slope", ROWS, 2)             /* y s', from x: see activation.h */           \
    X(INDEPENDENT, "independent", LINEAR, 1)                                              \
    X(PART, "part", LINEAR, 1)                                                            \
    X(CONCAT, "concat", LINEAR, 0)                                                        \
    X(GATHER, "gather", LINEAR, 1)                                                        \
    X(SCATTER, "scatter", LINEAR, 1)                                                      \
    X(REPEAT, "repeat", LINEAR, 1)                                                        \
    X(SUM, "sum", LINEAR, 1)                                                              \
    X(DOT, "dot", BILINEAR, 2)                                                            \
    X(CROSS, "cross", BILINEAR, 2)                                                        \
    X(MATVEC, "matvec", BILINEAR, 2)                                                      \
    X(MATVEC_TRANSPOSED, "matvec_transposed", BILINEAR, 2)                                \
    X(OUTER, "outer", BILINEAR, 2)                                                        \
    X(MATMUL, "matmul", BILINEAR, 2)                                                      \
    X(SPARSE, "sparse", BILINEAR, 2)                                                      \
    X(CIRCULAR, "circular", BILINEAR, 2)                                                  \
    X(TRANSFORM, "transform", LINEAR, 1)    /* FFTW's, halfcomplex; detail 1: back */     \
    X(LARGEST, "largest", STILL, 1)         /* of each `first` rows */                    \
    X(TRANSPOSE, "transpose", LOWERED, 1)   /* x [rows/inner][inner], of p alone */        \
    X(COPY, "copy", LOWERED, 1)             /* rows, or uniform rows to all lanes */       \
    X(TIME, "time", LOWERED, 0)             /* from double */                              \
    X(PRODUCT, "product", LOWERED, 3)       /* dense.h's: x [inner][rows], y, start z */   \
    X(PRODUCT_ROWS, "product_rows", LOWERED, 3) /* the same from x [rows][inner] */        \
    X(ADD_TIME, "add_time", LOWERED, 1)     /* to double */                                \
    X(ADD_LANES, "add_lanes", LOWERED, 1)   /* sums over the lanes, to double */           \
    X(ADD_OUTER, "add_outer", LOWERED, 2)   /* x y', summed over the lanes, to double */

typedef enum nde_operation {
    NDE_OP_NONE,
#define NDE_X(name, text, kind, operands) NDE_OP_##name,
    NDE_OPERATION_LIST(NDE_X)
#undef NDE_X
    NDE_OPERATIONS
} nde_operation;

/* What an operation is to derivatives and to code (its form). POINTWISE: kernels of vectors; ROWS: of whole rows. FUSED
 * and LOWERED ones are made of others when code is written. STILL: derivatives are not to see it. */
enum {
    NDE_FORM_LEAF = 1, NDE_FORM_POINTWISE, NDE_FORM_FUSED, NDE_FORM_ROWS, NDE_FORM_LINEAR, NDE_FORM_BILINEAR, NDE_FORM_LOWERED,
    NDE_FORM_STILL
};

/* Bilinear operations that are closed under transposition by either operand.
 * MATMUL: matrices A B, A B' or A' B (detail), with `first` terms in a sum.
 * SPARSE: x [entries], y; row list[e] of the result gets x[e] y[list[entries + e]].
 * CIRCULAR: row i is the sum over j of x[j] y[(first +- j +- i) mod rows of y]; the bits of detail say where it is minus. */
enum { NDE_MATMUL_AB, NDE_MATMUL_ABT, NDE_MATMUL_ATB };
enum { NDE_CIRCULAR_MINUS_J = 1, NDE_CIRCULAR_MINUS_I = 2 };
typedef struct nde_operation_fact {
    const char *name;
    int form;
    size_t operands;
} nde_operation_fact;
extern const nde_operation_fact nde_operations[NDE_OPERATIONS];

/* Two operations by entries that are done in one loop: which of the second's operands is the first's result. */
#define NDE_PAIR_LIST(X) NDE_PAIRS_OF(X, ADD) NDE_PAIRS_OF(X, SUB) NDE_PAIRS_OF(X, MUL)
#define NDE_PAIRS_OF(X, first)                                                                                              \
    X(first, ADD, 0) X(first, SUB, 0) X(first, SUB, 1) X(first, MUL, 0) X(first, FMA, 0) X(first, FMA, 2) X(first, FMS, 0) \
    X(first, FMS, 2) X(first, FNMA, 0) X(first, FNMA, 2)
enum {
    NDE_PAIR_NONE,
#define NDE_X(first, second, operand) NDE_PAIR_##first##_##second##operand,
    NDE_PAIR_LIST(NDE_X)
#undef NDE_X
    NDE_PAIRS
};

/* Where rows stand. Inputs of lanes; inputs that all lanes share; what code writes. */
typedef enum nde_space {
    NDE_SPACE_NONE,
    NDE_SPACE_T, NDE_SPACE_Y, NDE_SPACE_U, NDE_SPACE_P, NDE_SPACE_Q,      /* the site's */
    NDE_SPACE_VT, NDE_SPACE_VY, NDE_SPACE_VU, NDE_SPACE_VP, NDE_SPACE_VQ, /* the tangent's, in the same order */
    NDE_SPACE_A, NDE_SPACE_B,                                             /* cotangents of F and of J v */
    NDE_SPACE_PREPARED, NDE_SPACE_SMALL, NDE_SPACE_WORK, NDE_SPACE_OUT, NDE_SPACE_TAPE, NDE_SPACE_COTAPE,
    NDE_SPACE_TO,                                                         /* + one of the ten above: its cotangent */
    NDE_SPACES = NDE_SPACE_TO + NDE_SPACE_A
} nde_space;

/* Which of the cotangents somebody wants, and an instruction serves. */
#define NDE_WANT(space) (1u << ((space) - NDE_SPACE_TO))
#define NDE_WANT_ALL (~0u)

typedef struct nde_operand {
    uint8_t space;
    bool uniform; /* one number a row, else one a lane */
    bool still;   /* one row for all */
    uint32_t row;
} nde_operand;

typedef struct nde_instruction {
    uint16_t op, detail; /* nde_operation; activation, or what else the node has */
    bool small;          /* on one number a row: it knows no lanes */
    uint8_t pair;        /* its result is for the next instruction alone, and both are one of these */
    uint32_t want;       /* it serves these cotangents */
    uint32_t rows;       /* of the result; of ADD_OUTER those of x */
    uint32_t inner;      /* rows summed over: SUM, DOT, MATVEC ..., products; of x; ADD_OUTER: those of y */
    uint32_t outer;      /* rows of the first operand; `inner` then has those of the last one */
    uint32_t first, list; /* the node's: TRANSFORM: which one; GATHER, SCATTER, SPARSE: indices */
    nde_operand to, x[3];
} nde_instruction;

/* Codes of a field. JVP_Y and SECOND_Y are for directions that have y alone; see tape.c for the last four, empty where
 * there is no tape or no cotape. */
enum {
    NDE_CODE_EVAL, NDE_CODE_VJP, NDE_CODE_JVP, NDE_CODE_JVP_Y, NDE_CODE_SECOND, NDE_CODE_SECOND_Y,
    NDE_CODE_EVAL_TAPE, NDE_CODE_VJP_TAPE, NDE_CODE_VJP_COTAPE, NDE_CODE_WINDOW, NDE_CODES
};

typedef struct nde_code {
    nde_instruction *at;
    size_t count, capacity;
    uint32_t rows;  /* of SPACE_WORK */
    uint32_t strip; /* rows of which lanes should fit into the cache */
    uint32_t small; /* reals of SPACE_SMALL */
    bool products;  /* has dense ones */
} nde_code;

#endif
