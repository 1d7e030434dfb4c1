/* SPDX-License-Identifier: MIT
 * nde/program.h - fields written as expressions: a program is a list of operations on vectors, recorded by calls like
 * nde_mul(g, a, b) or read from a text. nde_field_program makes a field of it, evaluated for a block of lanes at once,
 * with every derivative. One program serves both precisions.
 *
 *   nde_program *g;
 *   nde_status bad = nde_program_create(&NDE_INIT(nde_program_shape, .dim = 2, .np = 1), &g);
 *   nde_var x = nde_y(g, 0, 1), v = nde_y(g, 1, 1), force = nde_neg(g, nde_mul(g, nde_p(g, 0, 1), nde_sin(g, x)));
 *   if (!bad) bad = nde_program_finish(g, nde_concat(g, (nde_var[]){ v, force }, 2));
 *
 * A value (nde_var) is a vector of rows, one for each lane. In operations by entries ("pointwise") a value of one row goes with
 * any number of rows. Calls fail all alike: they give the value 0 (no id), the program keeps the first failure, with the number
 * and the name of the operation, and all later calls do nothing; nde_program_finish and nde_program_status return it. So
 * nothing need be checked on the way. A program belongs to one thread until it is finished, then it is constant. */
#ifndef NDE_PROGRAM_H
#define NDE_PROGRAM_H

#include "base.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct nde_program nde_program;

/* A value of a program. 0: none. */
typedef struct nde_var {
    uint32_t id;
} nde_var;

/* What a program sees: rows of y, u, p, q, as in nde_field.
 *   allocator  NULL: malloc and free. Copied
 *   name       of the field, for messages; NULL: "program". Must outlive the program */
typedef struct nde_program_shape {
    size_t size;
    size_t dim, nu, np, nq;
    const nde_allocator *allocator;
    const char *name;
} nde_program_shape;

/* Errors: NDE_E_ARG, NDE_E_SIZE, NDE_E_NOMEM. */
NDE_API NDE_CHECK nde_status nde_program_create(const nde_program_shape *shape, nde_program **program);
/* The program's value is `value`: F of the field. Derives and lays out all that the field needs. Errors: the first failure
 * of the program; NDE_E_ARG when it was finished before; NDE_E_SIZE, NDE_E_NOMEM. */
NDE_API NDE_CHECK nde_status nde_program_finish(nde_program *program, nde_var value);
/* First failure; NDE_OK: none. *text: the sentence, valid as long as the program; text may be NULL. */
NDE_API nde_status nde_program_status(const nde_program *program, const char **text);
/* NULL is allowed. Fields made of the program end with it. */
NDE_API void nde_program_destroy(nde_program *program);

/* ---- what a field sees: rows [first, first + rows) ---- */

NDE_API nde_var nde_t(nde_program *g);
NDE_API nde_var nde_y(nde_program *g, size_t first, size_t rows);
NDE_API nde_var nde_u(nde_program *g, size_t first, size_t rows);
NDE_API nde_var nde_p(nde_program *g, size_t first, size_t rows);
NDE_API nde_var nde_q(nde_program *g, size_t first, size_t rows);
/* Rounded to the precision of the field. value [rows]; copied. */
NDE_API nde_var nde_constant(nde_program *g, double value);
NDE_API nde_var nde_constants(nde_program *g, const double *value, size_t rows);
/* Rows of a value; 0 when there is none. */
NDE_API size_t nde_var_rows(const nde_program *g, nde_var x);

/* ---- pointwise ----
 * Products that are added are fused where the instruction set does. Functions: errors as in core/activation.h, about 2
 * units in the last place, and the same bits with every compiler. */

NDE_API nde_var nde_add(nde_program *g, nde_var a, nde_var b);
NDE_API nde_var nde_sub(nde_program *g, nde_var a, nde_var b);
NDE_API nde_var nde_mul(nde_program *g, nde_var a, nde_var b);
NDE_API nde_var nde_div(nde_program *g, nde_var a, nde_var b);
NDE_API nde_var nde_neg(nde_program *g, nde_var x);
NDE_API nde_var nde_sqrt(nde_program *g, nde_var x);
NDE_API nde_var nde_square(nde_program *g, nde_var x);
NDE_API nde_var nde_exp(nde_program *g, nde_var x);
NDE_API nde_var nde_expm1(nde_program *g, nde_var x);
NDE_API nde_var nde_log(nde_program *g, nde_var x);
NDE_API nde_var nde_log1p(nde_program *g, nde_var x);
NDE_API nde_var nde_sin(nde_program *g, nde_var x);
NDE_API nde_var nde_cos(nde_program *g, nde_var x);
NDE_API nde_var nde_tan(nde_program *g, nde_var x);
NDE_API nde_var nde_sinh(nde_program *g, nde_var x);
NDE_API nde_var nde_cosh(nde_program *g, nde_var x);
NDE_API nde_var nde_tanh(nde_program *g, nde_var x);
NDE_API nde_var nde_erf(nde_program *g, nde_var x);
/* nde_activation; 0 and NDE_IDENTITY: x itself. */
NDE_API nde_var nde_activate(nde_program *g, int activation, nde_var x);
/* a^b: products for a constant whole number up to 64, a root for 1/2, else exp(b log a), NaN for a < 0. */
NDE_API nde_var nde_pow(nde_program *g, nde_var a, nde_var b);
/* Kinked: the derivative is that of the side that is taken. |x| and the sign of x, whose derivative is 0; both are 0 at 0.
 * Maximum:
 * a where a > b, else b; minimum: a where a < b, else b. */
NDE_API nde_var nde_abs(nde_program *g, nde_var x);
NDE_API nde_var nde_sign(nde_program *g, nde_var x);
NDE_API nde_var nde_maximum(nde_program *g, nde_var a, nde_var b);
NDE_API nde_var nde_minimum(nde_program *g, nde_var a, nde_var b);
/* 1 where it is so, else 0; with NaN 0. Derivative 0. */
NDE_API nde_var nde_less(nde_program *g, nde_var a, nde_var b);
NDE_API nde_var nde_less_equal(nde_program *g, nde_var a, nde_var b);
/* a where c > 0, else b. The side not taken may be infinite or NaN, in derivatives too. c has no part in them. */
NDE_API nde_var nde_select(nde_program *g, nde_var c, nde_var a, nde_var b);
/* The smooth one: b + sigmoid(c/width) (a - b). */
NDE_API nde_var nde_blend(nde_program *g, nde_var c, nde_var a, nde_var b, double width);

/* ---- rows ---- */

/* Rows [first, first + rows) of x. */
NDE_API nde_var nde_cut(nde_program *g, nde_var x, size_t first, size_t rows);
/* One under the other; count >= 1. */
NDE_API nde_var nde_concat(nde_program *g, const nde_var *x, size_t count);
/* Row i is row index[i] of x. */
NDE_API nde_var nde_gather(nde_program *g, nde_var x, const size_t *index, size_t rows);
/* [rows]: row i of x is added to row index[i]; rows that get none are 0. */
NDE_API nde_var nde_scatter(nde_program *g, nde_var x, const size_t *index, size_t rows);
/* The single row of x, `rows` times. */
NDE_API nde_var nde_repeat(nde_program *g, nde_var x, size_t rows);
NDE_API nde_var nde_sum(nde_program *g, nde_var x);
NDE_API nde_var nde_dot(nde_program *g, nde_var a, nde_var b);
/* Of three rows each. */
NDE_API nde_var nde_cross(nde_program *g, nde_var a, nde_var b);

/* ---- small matrices: row-major in the rows of w ---- */

/* w [out*in] times x [in], out of the rows of w. Where w is made of p and constants alone it is the product of a dense
 * layer. */
NDE_API nde_var nde_matvec(nde_program *g, nde_var w, nde_var x);
/* w [out*in] transposed times x [out]. */
NDE_API nde_var nde_matvec_transposed(nde_program *g, nde_var w, nde_var x);
/* [rows of a * rows of b]: a b'. */
NDE_API nde_var nde_outer(nde_program *g, nde_var a, nde_var b);
/* s(W x + b): W [out*in] at p_first, b [out] behind it, as in nde_mlp. */
NDE_API nde_var nde_dense(nde_program *g, int activation, size_t p_first, size_t out, nde_var x);

/* ---- matrices and tokens: row-major ---- */

/* [n*m]: a [n][inner] times b [inner][m]. */
NDE_API nde_var nde_matmul(nde_program *g, nde_var a, nde_var b, size_t inner);
/* [n*m]: a [n][inner] times b [m][inner] transposed. By weights b of p, tokens of `inner` rows become tokens of m. */
NDE_API nde_var nde_matmul_transposed(nde_program *g, nde_var a, nde_var b, size_t inner);
/* exp(x) over its sum in each group of `width` rows that follow each other. Finite for every finite x. */
NDE_API nde_var nde_softmax(nde_program *g, nde_var x, size_t width);
/* [n*width]: softmax(q k'/sqrt(d)) v, where n tokens q [n][d] ask m others k [m][d], v [m][width].
 * Source: A. Vaswani et al., Attention is all you need, NeurIPS (2017). */
NDE_API nde_var nde_attention(nde_program *g, nde_var q, nde_var k, nde_var v, size_t d);

/* ---- sparse matrices and graphs ----
 * By compressed rows: entries [start[i], start[i + 1]) are those of row i, entry e stands in column[e]; twice the same
 * place: they are added. For a graph row i is a node and columns are its neighbours. Copied. */

typedef struct nde_csr {
    size_t size;
    size_t rows, columns;
    const size_t *start, *column; /* [rows + 1], [start[rows]] */
} nde_csr;

/* [rows]: the matrix with the entries w, [entries] or one row for all, times x [columns]. */
NDE_API nde_var nde_csr_matvec(nde_program *g, const nde_csr *a, nde_var w, nde_var x);
/* Of each entry what its column (its neighbour) or its row (its node) has: [entries*width] of x [columns*width] or
 * [rows*width]. */
NDE_API nde_var nde_csr_columns(nde_program *g, const nde_csr *a, nde_var x);
NDE_API nde_var nde_csr_rows(nde_program *g, const nde_csr *a, nde_var x);
/* [rows*width]: what the entries x [entries*width] of each row have, added. */
NDE_API nde_var nde_csr_sum(nde_program *g, const nde_csr *a, nde_var x);

/* ---- on a circle ---- */

/* Row i is the sum over j of k[j] x[(i + centre - j) mod rows]; k has at most the rows of x. */
NDE_API nde_var nde_convolve(nde_program *g, nde_var k, nde_var x, size_t centre);
/* Discrete Fourier transform of the rows of x: X_m, the sum of x_j exp(-2 pi i j m/n), in n rows: the real parts of X_0
 * ... X_[n/2], then the imaginary parts of X_[(n - 1)/2] ... X_1, so that row n - m belongs to row m. The inverse is its
 * inverse. By FFTW, both precisions; the same bits in any company. Written as C it is n^2 operations. Errors: NDE_E_ARG in
 * a library without FFTW, which has memory of its own for its plans (by malloc) and ends the process where it gets none.
 * Source: M. Frigo, S. Johnson, The design and implementation of FFTW3, Proc. IEEE 93 (2005). */
NDE_API nde_var nde_fft(nde_program *g, nde_var x);
NDE_API nde_var nde_fft_inverse(nde_program *g, nde_var x);

/* ---- derivatives, of derivatives too ----
 * x is one of nde_t, nde_y, nde_u, nde_p, nde_q or nde_independent. */

/* Itself, as something that others may be differentiated by. */
NDE_API nde_var nde_independent(nde_program *g, nde_var x);
/* The derivative of f along v, where x moves by v; v has the rows of x or one. */
NDE_API nde_var nde_jvp_of(nde_program *g, nde_var f, nde_var x, nde_var v);
/* (df/dx)' a, a with the rows of f or one. The gradient of an f of one row: a = nde_constant(g, 1). */
NDE_API nde_var nde_vjp_of(nde_program *g, nde_var f, nde_var x, nde_var a);
/* The sum of df_i/dx_i, f and x with as many rows; exact, by as many derivatives as there are groups of columns whose
 * diagonal entries stand alone in their rows: one where f_i depends on x_i alone, two for three neighbours, one for each
 * row when all depend on all. */
NDE_API nde_var nde_divergence_of(nde_program *g, nde_var f, nde_var x);
/* The same by probes: the mean of v' (df/dx) v, one derivative each, whose expectation it is when the entries of v are
 * independent, of mean 0 and variance 1. Signs (1 or -1) have the least variance, 0 for a diagonal df/dx; for normal
 * numbers it is twice the sum of squares of the symmetric part. A program draws nothing: v is a constant or an input, as
 * nde_q, one draw a trajectory for a whole solve.
 *   v      probes one under the other: the rows of x, once or more
 * Source: M. Hutchinson, Comm. Statist. Simul. 19 (1990) 433-450. */
NDE_API nde_var nde_divergence_by(nde_program *g, nde_var f, nde_var x, nde_var v);
/* Taylor coefficients of f: along x + s v it is jet[0] + jet[1] s + ... + jet[order] s^order + ..., so that jet[0] is f,
 * jet[1] that of nde_jvp_of, and k! jet[k] the derivative of order k. v stays as it is while x moves. Exact; the work
 * grows with the square of the order, where that of nested nde_jvp_of doubles with each. Coefficients are values as others
 * are: they have derivatives, and jets.
 *   order  1 to 8
 *   jet    [order + 1] out, each with the rows of f; no values (0) after a failure
 * Source: A. Griewank, A. Walther, Evaluating Derivatives (2008), chapter 13. */
NDE_API void nde_jet_of(nde_program *g, nde_var f, nde_var x, nde_var v, size_t order, nde_var *jet);
/* The mixed derivative of f, once along each direction: x[i] moves by v[i]. d2f/dx dt with x = { x, t }, v = 1. Directions
 * stay.
 *   x, v   [count]; x may be the same twice
 *   count  1 to 3 */
NDE_API nde_var nde_mixed_of(nde_program *g, nde_var f, const nde_var *x, const nde_var *v, size_t count);

/* ---- programs as text ---- */

/* Reads a program, finished: nde_field_program makes a field of it.
 *
 *   state x, y, z              rows of y in this order; name[3] has three
 *   param sigma, rho, beta     of p; `own` declares rows of q, `input` of u
 *   w = y - x                  a name for a value; # and what follows is a comment
 *   dx = sigma*w; dy = x*(rho - z) - y
 *   dz = x*y - beta*z
 *
 * Statements end with a line or a semicolon; within parentheses and brackets lines go on. The value is d<name> for each
 * state, which has its rows or one, or `out` alone. t is the time, pi a number. In order of strength: x[2] and x[0:2]
 * (rows 0 and 1), ^, -, * and /, + and -, comparisons < <= > >= (1 or 0); [a, b] puts rows one under the other. Functions:
 * those above under their names without nde_ (exp, maximum, select, sum, dot, cross, matvec, outer, fft ...), activations
 * under theirs; with numbers as in C repeat(x, 3), blend(c, a, b, 0.1), matmul(a, b, 4), softmax(x, 8), attention(q, k, v,
 * 4), convolve(k, x, 1), and with lists of them gather(x, [2, 0]), scatter(x, [2, 0], 3), csr_matvec(columns, [starts],
 * [column of each entry], w, x) and so csr_columns, csr_rows, csr_sum; dense(tanh, w, b, x) is tanh(w x + b); jvp(f, x,
 * v), vjp(f, x, a), grad(f, x) = vjp(f, x, 1) with x a state, an input ... or a name of independent(...); jet(f, x, v, 3),
 * one coefficient; mixed(f, x, v, z, w), along v in x and w in z; divergence(f, x), divergence_by(f, x, v).
 *   allocator  NULL: malloc and free
 *   program    out; NULL after a failure
 * Errors: NDE_E_ARG and NDE_E_SIZE, the text with line and column; NDE_E_NOMEM. */
NDE_API NDE_CHECK nde_status nde_program_parse(const char *text, const nde_allocator *allocator, nde_program **program);
/* Where the rows of a name stand that the text declares: kind 'y', 'u', 'p' or 'q', rows [first, first + rows) of it.
 * kind, first and rows may be NULL. Errors: NDE_E_ARG when there is none. */
NDE_API NDE_CHECK nde_status nde_program_find(const nde_program *program, const char *name, int *kind, size_t *first,
                                              size_t *rows);

/* ---- programs written out ---- */

enum {
    NDE_PROGRAM_TEXT = 1,  /* operations of the value, one a line, with counts of flops and bytes; code of the derivatives,
                            * counted */
    NDE_PROGRAM_GRAPH = 2, /* a picture of the value's operations, for Graphviz */
    NDE_PROGRAM_C = 3      /* C99 that needs math.h alone: for one trajectory, in double,
                            *   void NAME(double t, const double *y, const double *u, const double *p, const double *q,
                            *   double *dy); void NAME_vjp(double t, y, u, p, q, const double *a, double *at, double *ay,
                            *   double *au, double *ap, double *aq); void NAME_jvp(double t, y, u, p, q, double vt, const
                            *   double *vy, *vu, *vp, *vq, double *dv); void NAME_vjp_jvp(double t, y, u, p, q, double vt,
                            *   vy, vu, vp, vq, const double *a, const double *b,
                            *       double *at, *ay, *au, *ap, *aq, double *bt, *by, *bu, *bp, *bq);
                            * NAME_vjp adds to what it is given; NAME_vjp_jvp adds the gradient of a'F + b'(J v) by the
                            * inputs to at ..., by the direction to bt ... Arrays of no rows may be NULL, all others must
                            * be there */
};
/* Writes a finished program.
 *   name   of the functions or the graph: a C name; NULL: "program"
 *   write  gets the text in pieces; nonzero: stop
 * Errors: NDE_E_ARG; NDE_E_IO when write has stopped. */
NDE_API NDE_CHECK nde_status nde_program_write(const nde_program *program, int form, const char *name,
                                               int (*write)(void *ctx, const char *text, size_t length), void *ctx);

#ifdef __cplusplus
}
#endif
#endif
