/* SPDX-License-Identifier: MIT
 * builder.c - what programs refuse and how they say it; memory that cannot be had; what is left out, shared and reused;
 * derivatives within programs; the network and the library's own; solving with programs. */
#include "../field/rig.h"
#include "create.h"
#include "heap.h"
#include "program/graph.h"
#include "taped.h"

#include <pthread.h>
#include <stdio.h>

/* ---- refusals ---- */

static void says(const char *text) {
    if (!strstr(nde_error(), text)) fail_msg("'%s' does not speak of '%s'", nde_error(), text);
}

/* Each call on a program of its own, of y [3], u [1], p [4], q [2]; x has 3 rows, w 4, s one. */
#define REFUSED(call, text)                                                                                      \
    do {                                                                                                         \
        nde_program *g = create(3, 1, 4, 2);                                                                     \
        const nde_var x = nde_y(g, 0, 3), w = nde_p(g, 0, 4), s = nde_t(g), none = { 0 }, foreign = { 1000 };    \
        (void)x, (void)w, (void)s, (void)none, (void)foreign;                                                    \
        assert_int_equal((call).id, 0);                                                                          \
        says(text);                                                                                              \
        const char *kept;                                                                                        \
        assert_int_equal(nde_program_status(g, &kept), NDE_E_ARG);                                               \
        assert_string_equal(kept, nde_error());                                                                  \
        assert_int_equal(nde_neg(g, x).id, 0);                  /* nothing is done any more */                   \
        assert_int_equal(nde_program_finish(g, x), NDE_E_ARG);  /* and the first failure stays */                \
        says(text);                                                                                              \
        assert_null(nde_field_program(g).eval);                                                                  \
        says(text);                                                                                              \
        nde_program_destroy(g);                                                                                  \
    } while (0)

static void refusals(void **state) {
    (void)state;
    typedef nde_var unary(nde_program *g, nde_var x);
    typedef nde_var binary(nde_program *g, nde_var a, nde_var b);
    static unary *const unaries[] = { nde_neg, nde_sqrt, nde_square, nde_exp, nde_expm1, nde_log, nde_log1p, nde_sin,
                                      nde_cos, nde_tan, nde_sinh, nde_cosh, nde_tanh, nde_erf, nde_abs, nde_sign, nde_sum,
                                      nde_independent };
    static binary *const binaries[] = { nde_add, nde_sub, nde_mul, nde_div, nde_pow, nde_maximum, nde_minimum, nde_less,
                                        nde_less_equal, nde_dot, nde_cross, nde_matvec, nde_matvec_transposed, nde_outer };
    const nde_csr chain = NDE_INIT(nde_csr, .rows = 2, .columns = 3, .start = (size_t[]){ 0, 2, 3 },
                                   .column = (size_t[]){ 0, 1, 2 });
    for (size_t i = 0; i < sizeof unaries/sizeof *unaries; i++) {
        REFUSED(unaries[i](g, none), "no value of this program");
        REFUSED(unaries[i](g, foreign), "no value of this program");
        assert_int_equal(unaries[i](NULL, (nde_var){ 1 }).id, 0);
        says("the program is NULL");
    }
    for (size_t i = 0; i < sizeof binaries/sizeof *binaries; i++) {
        REFUSED(binaries[i](g, x, none), "no value of this program");
        REFUSED(binaries[i](g, foreign, x), "no value of this program");
        if (binaries[i] != nde_outer) REFUSED(binaries[i](g, x, w), "rows");
        assert_int_equal(binaries[i](NULL, (nde_var){ 1 }, (nde_var){ 1 }).id, 0);
        says("the program is NULL");
    }
    REFUSED(nde_add(g, x, w), "nde_add, operation 4: the second operand has 4 rows, another one 3");
    REFUSED(nde_y(g, 0, 0), "0 rows");
    REFUSED(nde_y(g, 1, 3), "rows 1 to 4 of 3");
    REFUSED(nde_y(g, 4, 1), "of 3");
    REFUSED(nde_y(g, SIZE_MAX, 2), "of 3");
    REFUSED(nde_u(g, 1, 1), "of 1");
    REFUSED(nde_p(g, 0, 5), "of 4");
    REFUSED(nde_q(g, 0, SIZE_MAX), "of 2");
    REFUSED(nde_constants(g, NULL, 2), "value is NULL");
    REFUSED(nde_constants(g, (double[]){ 1 }, 0), "0 rows");
    REFUSED(nde_activate(g, 99, x), "activation is 99");
    REFUSED(nde_activate(g, -1, x), "activation is -1");
    REFUSED(nde_activate(g, NDE_TANH, none), "no value");
    REFUSED(nde_select(g, x, w, s), "4 rows");
    REFUSED(nde_select(g, x, none, s), "no value");
    REFUSED(nde_blend(g, x, s, s, 0), "width is 0");
    REFUSED(nde_blend(g, x, s, s, (double)NAN), "width is");
    REFUSED(nde_blend(g, none, s, s, 1), "no value");
    REFUSED(nde_cut(g, x, 2, 2), "rows 2 to 4 of 3");
    REFUSED(nde_cut(g, x, 0, 0), "0 rows");
    REFUSED(nde_cut(g, x, SIZE_MAX, 2), "of 3");
    REFUSED(nde_cut(g, none, 0, 1), "no value");
    REFUSED(nde_concat(g, NULL, 1), "x is NULL");
    REFUSED(nde_concat(g, &x, 0), "count is 0");
    REFUSED(nde_concat(g, (nde_var[]){ x, none }, 2), "no value");
    REFUSED(nde_gather(g, x, NULL, 1), "index is NULL");
    REFUSED(nde_gather(g, x, (size_t[]){ 0, 3 }, 2), "index[1] is 3 of 3");
    REFUSED(nde_gather(g, x, (size_t[]){ 0 }, 0), "0 rows");
    REFUSED(nde_gather(g, none, (size_t[]){ 0 }, 1), "no value");
    REFUSED(nde_scatter(g, x, (size_t[]){ 0, 1, 5 }, 5), "index[2] is 5 of 5");
    REFUSED(nde_scatter(g, x, NULL, 5), "index is NULL");
    REFUSED(nde_scatter(g, none, NULL, 5), "no value");
    REFUSED(nde_repeat(g, x, 2), "x has 3 rows");
    REFUSED(nde_repeat(g, s, 0), "0 rows");
    REFUSED(nde_repeat(g, none, 1), "no value");
    REFUSED(nde_cross(g, s, x), "1 and 3 rows, not 3");
    REFUSED(nde_dense(g, NDE_TANH, 0, 2, x), "8 parameters from 0 on, np is 4");
    REFUSED(nde_dense(g, NDE_TANH, SIZE_MAX, 1, x), "np is 4");
    REFUSED(nde_dense(g, NDE_TANH, 0, 0, x), "0 rows");
    REFUSED(nde_dense(g, 77, 0, 1, x), "activation is 77");
    REFUSED(nde_dense(g, NDE_TANH, 0, 1, none), "no value");
    REFUSED(nde_jvp_of(g, none, x, x), "no value");
    REFUSED(nde_jvp_of(g, x, foreign, x), "no value");
    REFUSED(nde_jvp_of(g, x, nde_neg(g, x), x), "x is neg");
    REFUSED(nde_jvp_of(g, x, x, w), "the last operand has 4 rows, not 3");
    REFUSED(nde_vjp_of(g, w, x, x), "the last operand has 3 rows, not 4");
    REFUSED(nde_vjp_of(g, x, x, none), "no value");
    REFUSED(nde_divergence_of(g, w, x), "f has 4 rows, x 3");
    REFUSED(nde_divergence_of(g, x, nde_neg(g, x)), "x is neg");
    REFUSED(nde_divergence_by(g, w, x, x), "f has 4 rows, x 3");
    REFUSED(nde_divergence_by(g, nde_exp(g, x), x, w), "v has 4 rows, not one or more times 3");
    REFUSED(nde_divergence_by(g, nde_exp(g, x), x, none), "v has 0 rows");
    REFUSED(nde_matmul(g, none, x, 1), "the first operand is no value");
    REFUSED(nde_matmul(g, x, foreign, 1), "the second operand is no value");
    REFUSED(nde_matmul(g, x, w, 0), "nde_matmul, operation 4: the first operand has 3 rows, no multiple of 0");
    REFUSED(nde_matmul(g, w, x, 2), "the second operand has 3 rows, no multiple of 2");
    REFUSED(nde_matmul_transposed(g, x, none, 1), "no value");
    REFUSED(nde_matmul_transposed(g, x, w, SIZE_MAX), "no multiple of");
    REFUSED(nde_softmax(g, none, 1), "no value");
    REFUSED(nde_softmax(g, w, 3), "nde_softmax, operation 4: x has 4 rows, no multiple of 3");
    REFUSED(nde_softmax(g, w, 0), "no multiple of 0");
    REFUSED(nde_attention(g, none, x, x, 1), "q is no value");
    REFUSED(nde_attention(g, x, none, x, 1), "k is no value");
    REFUSED(nde_attention(g, x, x, none, 1), "v is no value");
    REFUSED(nde_attention(g, w, x, x, 2), "nde_attention, operation 4: k has 3 rows, no multiple of 2");
    REFUSED(nde_attention(g, w, x, w, 1), "v has 4 rows, no multiple of 3");
    REFUSED(nde_attention(g, x, w, w, 0), "q has 3 rows, no multiple of 0");
    REFUSED(nde_csr_matvec(g, NULL, x, x), "nde_csr_matvec, operation 4: the matrix is NULL");
    REFUSED(nde_csr_matvec(g, &(nde_csr){ .size = 4 }, x, x), "size unknown");
    REFUSED(nde_csr_matvec(g, &NDE_INIT(nde_csr, .rows = 1, .columns = 1), x, x), "start or column is NULL");
    REFUSED(nde_csr_matvec(g, &chain, none, x), "w is no value");
    REFUSED(nde_csr_matvec(g, &chain, x, none), "x is no value");
    REFUSED(nde_csr_matvec(g, &chain, w, x), "w has 4 rows, the matrix 3 entries");
    REFUSED(nde_csr_matvec(g, &chain, x, w), "x has 4 rows, the matrix 3 columns");
    REFUSED(nde_csr_columns(g, &chain, w), "x has 4 rows, no multiple of 3");
    REFUSED(nde_csr_columns(g, NULL, x), "the matrix is NULL");
    REFUSED(nde_csr_rows(g, &chain, x), "x has 3 rows, no multiple of 2");
    REFUSED(nde_csr_rows(g, &chain, none), "no value");
    REFUSED(nde_csr_sum(g, &chain, w), "x has 4 rows, no multiple of 3");
    REFUSED(nde_csr_sum(g, &NDE_INIT(nde_csr, .rows = 1, .columns = 1, .start = (size_t[]){ 1, 1 },
                                     .column = (size_t[]){ 0 }), x), "start[0] is 1");
    REFUSED(nde_csr_sum(g, &NDE_INIT(nde_csr, .rows = 2, .columns = 1, .start = (size_t[]){ 0, 1, 0 },
                                     .column = (size_t[]){ 0 }), x),
            "start[2] is 0, after 1");
    REFUSED(nde_csr_sum(g, &NDE_INIT(nde_csr, .rows = 1, .columns = 1, .start = (size_t[]){ 0, 1 },
                                     .column = (size_t[]){ 1 }), x),
            "column[0] is 1 of 1");
    REFUSED(nde_csr_sum(g, &NDE_INIT(nde_csr, .rows = 1, .columns = 1, .start = (size_t[]){ 0, 0 },
                                     .column = (size_t[]){ 1 }), x), "0 rows");
    REFUSED(nde_csr_sum(g, &NDE_INIT(nde_csr, .columns = 1, .start = (size_t[]){ 0, 0 }, .column = (size_t[]){ 1 }), x),
            "0 rows");
    REFUSED(nde_convolve(g, none, x, 0), "k is no value");
    REFUSED(nde_convolve(g, x, none, 0), "x is no value");
    REFUSED(nde_convolve(g, w, x, 0), "nde_convolve, operation 4: k has 4 rows, x 3");
    REFUSED(nde_convolve(g, x, w, 3), "the centre is 3 of 3");
    REFUSED(nde_fft(g, none), "no value");
    REFUSED(nde_fft_inverse(g, foreign), "no value");
#ifndef NDE_TEST_FFTW
    REFUSED(nde_fft(g, x), "nde_fft, operation 4: the library was built without FFTW");
    REFUSED(nde_fft_inverse(g, x), "nde_fft_inverse, operation 4: the library was built without FFTW");
#endif
    assert_int_equal(nde_vjp_of(NULL, (nde_var){ 1 }, (nde_var){ 1 }, (nde_var){ 1 }).id, 0);
    assert_int_equal(nde_var_rows(NULL, (nde_var){ 1 }), 0);
    assert_int_equal(nde_t(NULL).id + nde_y(NULL, 0, 1).id + nde_u(NULL, 0, 1).id + nde_p(NULL, 0, 1).id + nde_q(NULL, 0,
            1).id, 0);
}

static void sizes(void **state) {
    (void)state;
    nde_program *g = NULL;
    nde_program_shape shape = NDE_INIT(nde_program_shape, .dim = 2);
    assert_int_equal(nde_program_create(NULL, &g), NDE_E_ARG);
    assert_int_equal(nde_program_create(&shape, NULL), NDE_E_ARG);
    shape.size = 8;
    assert_int_equal(nde_program_create(&shape, &g), NDE_E_ARG);
    shape.size = sizeof shape, shape.dim = 0;
    assert_int_equal(nde_program_create(&shape, &g), NDE_E_ARG);
    shape.dim = SIZE_MAX;
    assert_int_equal(nde_program_create(&shape, &g), NDE_E_SIZE);
    shape.dim = 2, shape.np = SIZE_MAX/2;
    assert_int_equal(nde_program_create(&shape, &g), NDE_E_SIZE);
    shape.np = 0, shape.allocator = &(nde_allocator){ .ctx = &shape };
    assert_int_equal(nde_program_create(&shape, &g), NDE_E_ARG);
    assert_null(g);
    nde_program_destroy(NULL);
    assert_int_equal(nde_program_status(NULL, NULL), NDE_E_ARG);
    assert_int_equal(nde_program_finish(NULL, (nde_var){ 1 }), NDE_E_ARG);
    assert_null(nde_field_program(NULL).eval);

    g = create(2, 0, 0, 0); /* more rows than any block could have */
    assert_int_equal(nde_repeat(g, nde_t(g), SIZE_MAX).id, 0);
    assert_int_equal(nde_program_status(g, NULL), NDE_E_SIZE);
    nde_program_destroy(g);
    g = create(2, 0, 0, 0);
    assert_int_equal(nde_program_finish(g, (nde_var){ 7 }), NDE_E_ARG);
    nde_program_destroy(g);

    g = create(2, 0, 0, 0);
    const nde_var y = nde_y(g, 0, 2);
    assert_null(nde_field_program(g).eval);
    says("not finished");
    finish(g, y);
    assert_int_equal(nde_neg(g, y).id, 0); /* a finished program stays as it is */
    assert_int_equal(nde_program_finish(g, y), NDE_E_ARG);
    nde_program_destroy(g);
}

/* ---- memory ---- */

/* Something of everything. */
static nde_var busy(nde_program *g) {
    const nde_var x = nde_y(g, 0, 4), h = nde_dense(g, NDE_SILU, 0, 6, x), s = nde_independent(g, nde_cut(g, h, 1, 3));
    const nde_var e = nde_dot(g, nde_exp(g, s), nde_constants(g, (double[]){ 1, -2, 3 }, 3));
    const nde_var slope = nde_vjp_of(g, e, s, nde_constant(g, 1)), bend = nde_jvp_of(g, slope, s, nde_tanh(g, s));
    const nde_var far = nde_scatter(g, nde_gather(g, x, (size_t[]){ 3, 1 }, 2), (size_t[]){ 2, 0 }, 4);
    const nde_csr chain = NDE_INIT(nde_csr, .rows = 2, .columns = 2, .start = (size_t[]){ 0, 2, 3 },
                                   .column = (size_t[]){ 0, 1, 0 });
    nde_var q = nde_csr_matvec(g, &chain, bend, nde_q(g, 0, 2));
#ifdef NDE_TEST_FFTW
    q = nde_fft_inverse(g, nde_mul(g, nde_fft(g, q), nde_fft(g, nde_p(g, 0, 2))));
#endif
    q = nde_add(g, q, nde_convolve(g, nde_p(g, 2, 2), nde_attention(g, q, nde_q(g, 0, 2), q, 1), 1));
    const nde_var out = nde_sum(g, nde_outer(g, bend, nde_mul(g, q, nde_t(g))));
    nde_var jet[4];
    nde_jet_of(g, e, s, nde_constant(g, 1), 3, jet);
    const nde_var mixed = nde_mixed_of(g, jet[3], (nde_var[]){ s, x }, (nde_var[]){ slope, x }, 2);
    const nde_var trace = nde_add(g, nde_divergence_of(g, slope, s),
                                  nde_divergence_by(g, far, x, nde_constants(g, (double[4]){ 1 }, 4)));
    return nde_concat(g, (nde_var[]){ nde_add(g, far, nde_matvec(g, nde_p(g, 8, 16), x)), out, slope, mixed, trace }, 5);
}

static void allocation(void **state) {
    (void)state;
    long calls = 0;
    for (long k = -1; k < calls || k < 0; k++) {
        heap h = { .fail_at = k };
        const nde_allocator allocator = { heap_take, heap_give, &h };
        const nde_program_shape shape = NDE_INIT(nde_program_shape, .dim = 4, .np = 40, .nq = 2, .allocator = &allocator);
        nde_program *g = (void *)&h;
        nde_status status = nde_program_create(&shape, &g);
        if (status == NDE_OK) status = nde_program_finish(g, busy(g));
        else assert_null(g);
        assert_int_equal(status, k < 0 ? NDE_OK : NDE_E_NOMEM);
        if (k < 0) calls = h.calls;
        else if (g) assert_null(nde_field_program(g).eval);
        nde_program_destroy(g);
        assert_int_equal(h.blocks, 0);
        assert_int_equal(h.bytes, 0);
    }
    assert_in_range(calls, 30, 100000);
}

/* ---- what becomes of a program ---- */

static size_t count_of(const nde_program *g, int which, int op) {
    size_t n = 0;
    for (size_t i = 0; i < g->code[which].count; i++) n += op == 0 || g->code[which].at[i].op == op;
    return n;
}

/* Equal things are one, constants are folded, products fused, what nobody wants is left out, results are made in their
 * place. */
static void code(void **state) {
    (void)state;
    nde_program *g = create(3, 0, 3, 0);
    const nde_var x = nde_y(g, 0, 1), y = nde_y(g, 1, 1), z = nde_y(g, 2, 1);
    const nde_var sigma = nde_p(g, 0, 1), rho = nde_p(g, 1, 1), beta = nde_p(g, 2, 1);
    assert_int_equal(nde_mul(g, x, y).id, nde_mul(g, y, x).id);
    assert_int_equal(nde_cut(g, nde_y(g, 0, 3), 1, 1).id, y.id);
    assert_int_equal(nde_concat(g, (nde_var[]){ x, y, z }, 3).id, nde_y(g, 0, 3).id);
    assert_int_equal(nde_add(g, nde_constant(g, 1), nde_constant(g, 2)).id, nde_constant(g, 3).id);
    assert_int_equal(nde_sub(g, x, nde_neg(g, y)).id, nde_add(g, x, y).id);
    assert_int_equal(nde_mul(g, x, nde_constant(g, 1)).id, x.id);
    assert_int_equal(nde_pow(g, x, nde_constant(g, 2)).id, nde_square(g, x).id);
    nde_exp(g, nde_cos(g, z));
    const nde_var dx = nde_mul(g, sigma, nde_sub(g, y, x)), dy = nde_sub(g, nde_mul(g, x, nde_sub(g, rho, z)), y);
    const nde_var dz = nde_sub(g, nde_mul(g, x, y), nde_mul(g, beta, z));
    const nde_field f = finish(g, nde_concat(g, (nde_var[]){ dx, dy, dz }, 3));
    assert_int_equal(count_of(g, NDE_CODE_EVAL, 0), 6);
    assert_int_equal(count_of(g, NDE_CODE_EVAL, NDE_OP_FMS) + count_of(g, NDE_CODE_EVAL, NDE_OP_FNMA), 2);
    assert_in_range(g->code[NDE_CODE_EVAL].rows, 0, 2);
    size_t pairs = 0;
    for (size_t i = 0; i < 6; i++) pairs += g->code[NDE_CODE_EVAL].at[i].pair != 0;
    assert_int_equal(pairs, 3);
    assert_true(f.traits & NDE_AUTONOMOUS);
    assert_int_equal(f.prepared, 0);
    nde_program_destroy(g);

    g = create(2, 0, 2, 0); /* what depends on p alone is computed once a run */
    const nde_field once = finish(g, nde_mul(g, nde_exp(g, nde_p(g, 0, 2)), nde_add(g, nde_y(g, 0, 2), nde_t(g))));
    assert_int_equal(count_of(g, NDE_CODE_EVAL, NDE_OP_EXP), 0);
    assert_int_equal(once.prepared, 2);
    assert_false(once.traits & NDE_AUTONOMOUS);
    nde_program_destroy(g);

    g = create(1, 0, 0, 0); /* a long chain lives in a few rows */
    nde_var v = nde_y(g, 0, 1);
    for (int i = 0; i < 300; i++) v = nde_sin(g, nde_add(g, nde_mul(g, v, v), nde_y(g, 0, 1)));
    finish(g, v);
    assert_in_range(g->code[NDE_CODE_EVAL].rows, 1, 2);
    nde_program_destroy(g);
}

/* 10^5 operations: a chain, whose values all live until the way back has come to them; a fan, of which each value is used
 * at both ends; and values of many sizes. */
static void many(void **state) {
    (void)state;
    enum { MANY = 10000 };
    nde_program *g = create(2, 0, 1, 0);
    nde_var v = nde_y(g, 0, 1);
    for (int i = 0; i < 5*MANY; i++) v = nde_sin(g, nde_mul(g, v, nde_p(g, 0, 1)));
    finish(g, v);
    assert_int_equal(count_of(g, NDE_CODE_EVAL, 0), 10*MANY);
    assert_in_range(g->code[NDE_CODE_EVAL].rows, 1, 2);
    nde_program_destroy(g);

    g = create(2, 0, 1, 0);
    nde_var *fan = calloc(MANY, sizeof *fan);
    assert_non_null(fan);
    for (size_t i = 0; i < MANY; i++) fan[i] = nde_exp(g, nde_mul(g, nde_y(g, 0, 1), nde_constant(g, (double)i)));
    v = fan[0];
    for (size_t i = 1; i < MANY; i++) v = nde_mul(g, nde_add(g, v, fan[i]), fan[MANY - i]);
    finish(g, v);
    assert_in_range(g->code[NDE_CODE_EVAL].rows, MANY, MANY + 4);
    nde_program_destroy(g);

    g = create(64, 0, 1, 0);
    for (size_t i = 0; i < MANY; i++) fan[i] = nde_sin(g, nde_add(g, nde_y(g, 0, 1 + i*7919%64), nde_constant(g, (double)i)));
    v = nde_sum(g, fan[0]);
    for (size_t i = 1; i < MANY; i++) v = nde_add(g, v, nde_sum(g, fan[i*12343%MANY]));
    finish(g, v);
    nde_program_destroy(g);
    free(fan);
}

/* Only what is wanted is computed. */
static void wanted(void **state) {
    (void)state;
    nde_program *g = create(4, 0, 40, 2);
    const nde_field f = finish(g, busy(g));
    rig r = rig_make(&f, 5, 6, 5, NULL, 0);
    assert_int_equal(f.vjp(&f, &r.at, r.y, r.a, &r.to), 0);
    for (int k = 0; k < 5; k++) {
        rig_zero(&r, &r.to_v);
        nde_cotangent some = { 0 };
        if (k == 0) some.y = r.to_v.y;
        if (k == 1) some.q = r.to_v.q;
        if (k == 2) some.p = r.to_v.p;
        if (k == 3) some.t = r.to_v.t;
        assert_int_equal(f.vjp(&f, &r.at, r.y, r.a, &some), 0);
        for (size_t b = 0; b < 5; b++) {
            if (some.y) rig_same_lane(r.to.y, 6, b, some.y, 6, b, f.dim);
            if (some.q) rig_same_lane(r.to.q, 6, b, some.q, 6, b, f.nq);
            if (some.t) assert_true(some.t[b] == r.to.t[b]);
        }
        if (some.p) assert_memory_equal(some.p, r.to.p, f.np*sizeof(double));
    }
    rig_check_derivatives(&r);
    rig_free(&r);
    nde_program_destroy(g);
}

/* ---- derivatives within programs ---- */

/* J grad H of a pendulum with a spring: against the formula; and the third derivative of a quintic. */
static void nested(void **state) {
    (void)state;
    nde_program *g = create(4, 0, 2, 0);
    const nde_var y = nde_y(g, 0, 4), q = nde_y(g, 0, 2), p = nde_y(g, 2, 2), one = nde_constant(g, 1);
    const nde_var kinetic = nde_mul(g, nde_constant(g, 0.5), nde_dot(g, p, p));
    const nde_var energy = nde_sub(g, kinetic, nde_dot(g, nde_p(g, 0, 2), nde_cos(g, q)));
    const nde_var slope = nde_vjp_of(g, energy, y, one);
    const nde_field f = finish(g, nde_concat(g, (nde_var[]){ nde_cut(g, slope, 2, 2), nde_neg(g, nde_cut(g, slope, 0, 2)) },
                                             2));
    rig r = rig_make(&f, 7, 8, 7, NULL, 0);
    assert_int_equal(f.eval(&f, &r.at, r.y, r.dy), 0);
    for (size_t b = 0; b < 7; b++)
        for (size_t i = 0; i < 2; i++) {
            assert_true(r.dy[i*8 + b] == r.y[(2 + i)*8 + b]);
            const double force = -(double)r.at.p[i]*sin((double)r.y[i*8 + b]);
            assert_true(fabs((double)r.dy[(2 + i)*8 + b] - force) < 8*NDE_TEST_EPS);
        }
    rig_check_derivatives(&r);
    rig_check_identity(&r);
    rig_free(&r);
    nde_program_destroy(g);

    g = create(1, 0, 0, 0);
    const nde_var x = nde_y(g, 0, 1), quintic = nde_pow(g, x, nde_constant(g, 5)), unit = nde_constant(g, 1);
    nde_var d = quintic;
    for (int i = 0; i < 3; i++) d = i%2 ? nde_vjp_of(g, d, x, unit) : nde_jvp_of(g, d, x, unit);
    const nde_field third = finish(g, d);
    rig s = rig_make(&third, 3, 3, 3, NULL, 0);
    assert_int_equal(third.eval(&third, &s.at, s.y, s.dy), 0);
    for (size_t b = 0; b < 3; b++)
        assert_true(fabs((double)s.dy[b] - 60*(double)s.y[b]*(double)s.y[b]) < 1000*NDE_TEST_EPS);
    rig_free(&s);
    nde_program_destroy(g);

    g = create(2, 0, 0, 0); /* by an independent value, and by parts of an input that overlap */
    const nde_var both = nde_y(g, 0, 2), u = nde_independent(g, nde_square(g, nde_y(g, 0, 1)));
    const nde_var of_u = nde_vjp_of(g, nde_sin(g, u), u, nde_constant(g, 1));
    const nde_var of_y = nde_vjp_of(g, nde_mul(g, nde_y(g, 0, 1), nde_y(g, 1, 1)), both, nde_constant(g, 1));
    const nde_var nothing = nde_vjp_of(g, nde_t(g), both, nde_constant(g, 1));
    const nde_field parts = finish(g, nde_concat(g, (nde_var[]){ of_u, of_y, nothing }, 3));
    s = rig_make(&parts, 2, 2, 2, NULL, 0);
    assert_int_equal(parts.eval(&parts, &s.at, s.y, s.dy), 0);
    for (size_t b = 0; b < 2; b++) {
        assert_true(fabs((double)s.dy[b] - cos((double)s.y[b]*(double)s.y[b])) < 4*NDE_TEST_EPS);
        assert_true(s.dy[2 + b] == s.y[2 + b] && s.dy[4 + b] == s.y[b] && s.dy[6 + b] == 0 && s.dy[8 + b] == 0);
    }
    rig_free(&s);
    nde_program_destroy(g);
}

/* The divergence of a network, beside its value, against the trace of the Jacobian; with its own derivatives. */
static void divergence(void **state) {
    (void)state;
    nde_program *g = create(3, 0, 59, 0);
    const nde_var x = nde_y(g, 0, 3), f = nde_dense(g, NDE_IDENTITY, 32, 3, nde_dense(g, NDE_TANH, 0, 8, x));
    const nde_field both = finish(g, nde_concat(g, (nde_var[]){ f, nde_divergence_of(g, f, x) }, 2));
    rig r = rig_make(&both, 6, 6, 6, NULL, 0);
    nde_real *j = rig_block(&r, 4*3, -1);
    assert_int_equal(both.eval(&both, &r.at, r.y, r.dy), 0);
    assert_int_equal(both.jacobian(&both, &r.at, r.y, j), 0);
    for (size_t b = 0; b < 6; b++) {
        const double trace = (double)j[b] + (double)j[4*6 + b] + (double)j[8*6 + b];
        assert_true(fabs((double)r.dy[3*6 + b] - trace) < 100*NDE_TEST_EPS);
    }
    rig_check_derivatives(&r);
    rig_check_identity(&r);
    rig_free(&r);
    nde_program_destroy(g);
}

/* ---- the same network ---- */

/* Equal bits of the value and of all that vjp adds, with own products. */
static void network(void **state) {
    (void)state;
    static const size_t width[] = { 5, 20, 17, 3 };
    for (int activation = NDE_TANH; activation <= NDE_LIPSWISH; activation++) {
        const nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 3, .width = width, .hidden = activation, .last = NDE_SIGMOID);
        const nde_field own = nde_field_mlp(&mlp);
        nde_program *g = create(5, 0, own.np, 0);
        nde_var x = nde_y(g, 0, 5);
        size_t p = 0;
        for (size_t l = 0; l < 3; l++) {
            x = nde_dense(g, l < 2 ? activation : NDE_SIGMOID, p, width[l + 1], x);
            p += (width[l] + 1)*width[l + 1];
        }
        const nde_field f = finish(g, x);
        assert_true(f.gemm_eval == own.gemm_eval);
        static const size_t ns[] = { 1, 3, 8, 33, 130 };
        for (size_t k = 0; k < sizeof ns/sizeof *ns; k++) {
            rig a = rig_make(&f, ns[k], ns[k], ns[k], nde_kernels_get(NDE_ISA_AUTO, false), 0);
            rig b = rig_make(&own, ns[k], ns[k], ns[k], nde_kernels_get(NDE_ISA_AUTO, false), 0);
            assert_int_equal(f.eval(&f, &a.at, a.y, a.dy), 0);
            assert_int_equal(own.eval(&own, &b.at, b.y, b.dy), 0);
            assert_int_equal(f.vjp(&f, &a.at, a.y, a.a, &a.to), 0);
            assert_int_equal(own.vjp(&own, &b.at, b.y, b.a, &b.to), 0);
            assert_memory_equal(a.dy, b.dy, 3*ns[k]*sizeof *a.dy);
            assert_memory_equal(a.to.y, b.to.y, 5*ns[k]*sizeof *a.dy);
            if (ns[k] <= 64) /* longer blocks are cut into strips, whose sums are added in double */
                for (size_t i = 0; i < f.np; i++)
                    if (a.to.p[i] != b.to.p[i])
                        fail_msg("%s, n %zu: p[%zu] has %.17g, %.17g", nde_activation_name(activation), ns[k], i, a.to.p[i],
                                 b.to.p[i]);
            rig_free(&a), rig_free(&b);
        }
        nde_program_destroy(g);
    }
}

/* ---- tapes ---- */

static void taped_at(const nde_field *f) {
    static const size_t ns[] = { 1, 3, 8, 33, 130, 500 };
    for (size_t k = 0; k < sizeof ns/sizeof *ns; k++) {
        rig r = rig_make(f, ns[k], ns[k] + 3, ns[k] + 5, NULL, 0);
        taped_check(&r);
        rig_free(&r);
    }
}

/* What is cheap is made again, what is dear is kept, and what it costs counts from what is kept already. */
static void tapes(void **state) {
    (void)state;
    nde_program *g = create(3, 0, 3, 0);
    const nde_var x = nde_y(g, 0, 1), y = nde_y(g, 1, 1), z = nde_y(g, 2, 1);
    const nde_var dx = nde_mul(g, nde_p(g, 0, 1), nde_sub(g, y, x)),
        dy = nde_sub(g, nde_mul(g, x, nde_sub(g, nde_p(g, 1, 1), z)), y);
    nde_field f =
        finish(g, nde_concat(g, (nde_var[]){ dx, dy, nde_sub(g, nde_mul(g, x, y), nde_mul(g, nde_p(g, 2, 1), z)) }, 3));
    assert_int_equal(f.tape + f.cotape, 0);
    taped_at(&f);
    nde_program_destroy(g);

    g = create(4, 0, 4, 0); /* exp is kept; its double and the square of that are made of it */
    const nde_var e = nde_exp(g, nde_y(g, 0, 4)), twice = nde_add(g, e, nde_mul(g, nde_p(g, 0, 4), e));
    f = finish(g, nde_mul(g, nde_square(g, twice), nde_tanh(g, nde_neg(g, twice))));
    assert_int_equal(f.tape, 8);
    assert_int_equal(count_of(g, NDE_CODE_VJP_TAPE, NDE_OP_EXP) + count_of(g, NDE_CODE_VJP_TAPE, NDE_OP_ACTIVATE), 0);
    assert_true(count_of(g, NDE_CODE_VJP, NDE_OP_EXP) == 1 && count_of(g, NDE_CODE_VJP_TAPE, 0) < count_of(g, NDE_CODE_VJP, 0));
    assert_null(f.vjp_window);
    taped_at(&f);
    nde_program_destroy(g);

    static const size_t width[] = { 5, 20, 17, 3 };
    for (int activation = NDE_TANH; activation <= NDE_LIPSWISH; activation++) { /* as the library's own network */
        const nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 3, .width = width, .hidden = activation);
        const nde_field own = nde_field_mlp(&mlp);
        g = create(5, 0, own.np, 0);
        const nde_var h = nde_dense(g, activation, 120, 17, nde_dense(g, activation, 0, 20, nde_y(g, 0, 5)));
        f = finish(g, nde_dense(g, NDE_IDENTITY, 477, 3, h));
        assert_int_equal(f.np, own.np);
        assert_int_equal(f.tape, own.tape);
        assert_int_equal(f.cotape, own.cotape);
        assert_true(f.gemm_vjp == own.gemm_vjp);
        taped_at(&f);
        nde_program_destroy(g);
    }

    g = create(4, 0, 40, 2);
    f = finish(g, busy(g));
    taped_at(&f);
    nde_program_destroy(g);
}

/* ---- Fourier transforms ---- */

#ifdef NDE_TEST_FFTW
typedef struct planner {
    pthread_t thread;
    nde_real dy[64];
} planner;

/* A program of transforms of many lengths, made, used and destroyed again and again. */
static void *plan(void *ctx) {
    planner *own = ctx;
    for (size_t round = 0; round < 20; round++) {
        nde_program *g = NULL;
        nde_real work[4096], prepared[4096];
        const nde_real y[64] = { 1, 2, -1, (nde_real)0.5 };
        const double t = 0;
        bool good = nde_program_create(&NDE_INIT(nde_program_shape, .dim = 64), &g) == NDE_OK;
        nde_var x = good ? nde_y(g, 0, 64) : (nde_var){ 0 };
        for (size_t n = 64; good && n > 50; n--)
            x = nde_concat(g, (nde_var[]){ nde_fft(g, nde_cut(g, x, 0, n)), nde_cut(g, x, 1, 64 - n + (n == 64)) },
                           n < 64 ? 2 : 1);
        good = good && nde_program_finish(g, x) == NDE_OK;
        const nde_field f = nde_field_program(g);
        good = good && f.work <= 4096 && f.prepared <= 4096 && (!f.prepare || f.prepare(&f, NULL, prepared) == 0);
        if (!good || f.eval(&f, &(nde_site){ .n = 1, .ld = 1, .t = &t, .prepared = prepared, .work = work }, y, own->dy))
            return ctx;
        nde_program_destroy(g);
    }
    return NULL;
}

/* FFTW's planner is one for all threads; what it plans is the same in any company. */
static void planners(void **state) {
    (void)state;
    planner all[4], alone;
    assert_null(plan(&alone));
    for (size_t i = 0; i < 4; i++) assert_int_equal(pthread_create(&all[i].thread, NULL, plan, &all[i]), 0);
    for (size_t i = 0; i < 4; i++) {
        void *failed;
        assert_int_equal(pthread_join(all[i].thread, &failed), 0);
        assert_null(failed);
        assert_memory_equal(all[i].dy, alone.dy, sizeof alone.dy);
    }
}
#endif

/* ---- solving ---- */

static int lorenz(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    dy[0] = p[0]*(y[1] - y[0]), dy[1] = y[0]*(p[1] - y[2]) - y[1], dy[2] = y[0]*y[1] - p[2]*y[2];
    return 0;
}

/* Lorenz's system as a program, an ensemble of it and its gradient, against a field by hand. */
static void solving(void **state) {
    (void)state;
    enum { N = 70 };
    nde_program *g = create(3, 0, 3, 0);
    const nde_var x = nde_y(g, 0, 1), y = nde_y(g, 1, 1), z = nde_y(g, 2, 1);
    const nde_var dx = nde_mul(g, nde_p(g, 0, 1), nde_sub(g, y, x)),
        dy = nde_sub(g, nde_mul(g, x, nde_sub(g, nde_p(g, 1, 1), z)), y);
    const nde_field f =
        finish(g, nde_concat(g, (nde_var[]){ dx, dy, nde_sub(g, nde_mul(g, x, y), nde_mul(g, nde_p(g, 2, 1), z)) }, 3));
    const nde_pointwise hand = NDE_INIT(nde_pointwise, .f = lorenz);
    const nde_field by_hand = nde_field_pointwise(&hand, 3, 3);
    nde_real y0[3*N], p[3] = { 10, 28, (nde_real)(8/3.0) };
    for (size_t i = 0; i < 3*N; i++) y0[i] = 1 + (nde_real)0.01*(nde_real)i;
    const nde_options options = NDE_INIT(nde_options, .method = NDE_RK4, .steps = 50);
    nde_problem problem = NDE_INIT(nde_problem, .n = N, .dim = 3, .np = 3, .t1 = 0.5, .y0 = y0, .p = p, .drift = &by_hand);
    nde_solution one = { 0 }, two = { 0 };
    if (nde_solve(&problem, &options, &one) != NDE_OK) fail_msg("%s", nde_error());
    problem.drift = &f;
    if (nde_solve(&problem, &options, &two) != NDE_OK) fail_msg("%s", nde_error());
    for (size_t i = 0; i < 3*N; i++)
        assert_true(fabs((double)(one.y[i] - two.y[i])) < 1e4*NDE_TEST_EPS*(1 + fabs((double)one.y[i])));
    nde_solution_free(&one), nde_solution_free(&two);
    nde_program_destroy(g);
}

/* Solve and gradients, y0's before p's, to `to`. */
static void differentiate(const nde_field *f, size_t n, int record, const nde_real *y0, const nde_real *p, nde_real *to) {
    nde_solver *solver = NULL;
    nde_solution solution = { 0 };
    nde_real seed[5*130];
    const nde_problem problem = NDE_INIT(nde_problem, .n = n, .t1 = 1, .y0 = y0, .p = p, .drift = f);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_DOPRI5, .rtol = 1e-3, .atol = 1e-3, .reproducible = 1,
                                         .record = record, .stepping = n == 20 ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT,
                                         .adjoint = NDE_ADJOINT_DISCRETE);
    if (nde_solver_create(&problem, &options, &solver) != NDE_OK) fail_msg("%s", nde_error());
    if (nde_solver_run(solver, &solution) != NDE_OK) fail_msg("%s", nde_error());
    for (size_t i = 0; i < 5*n; i++) seed[i] = 2*solution.y_end[i];
    const nde_seed from = NDE_INIT(nde_seed, .y_end = seed);
    const nde_gradient gradient = NDE_INIT(nde_gradient, .y0 = to, .p = to + 5*n);
    if (nde_backward(solver, &from, &gradient) != NDE_OK) fail_msg("%s", nde_error());
    nde_solver_destroy(solver);
}

/* Of a network, through tape, windows, states and checkpoints: the bits of the library's own, whatever the record keeps. */
static void training(void **state) {
    (void)state;
    enum { NP = 120 + 357 + 90 };
    static const size_t width[] = { 5, 20, 17, 5 }, ns[] = { 1, 20, 130 };
    static const int records[] = { 0, NDE_RECORD_STATES, NDE_RECORD_CHECKPOINTS };
    static nde_real own_g[5*130 + NP], g_[5*130 + NP], y0[5*130], p[NP];
    const nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 3, .width = width, .hidden = NDE_SILU);
    const nde_field own = nde_field_mlp(&mlp);
    nde_program *g = create(5, 0, NP, 0);
    const nde_var h = nde_dense(g, NDE_SILU, 120, 17, nde_dense(g, NDE_SILU, 0, 20, nde_y(g, 0, 5)));
    const nde_field f = finish(g, nde_dense(g, NDE_IDENTITY, 477, 5, h));
    assert_int_equal(nde_mlp_init(&mlp, NDE_GLOROT_UNIFORM, 7, p), NDE_OK);
    for (size_t i = 0; i < 5*130; i++) y0[i] = (nde_real)rig_number(RIG_Y, i, 0);
    for (size_t k = 0; k < 3; k++)
        for (size_t r = 0; r < 3; r++) {
            differentiate(&own, ns[k], records[r], y0, p, own_g);
            differentiate(&f, ns[k], records[r], y0, p, g_);
            assert_memory_equal(g_, own_g, (5*ns[k] + NP)*sizeof *g_);
        }
    nde_program_destroy(g);
}

static bool same_operand(const nde_operand *x, const nde_operand *y) {
    return x->space == y->space && x->row == y->row && x->uniform == y->uniform && x->still == y->still;
}

/* What is read from a text is what calls build. */
static void parsed(void **state) {
    (void)state;
    nde_program *built = create(3, 0, 3, 0), *read = NULL;
    const nde_var x = nde_y(built, 0, 1), y = nde_y(built, 1, 1), z = nde_y(built, 2, 1);
    const nde_var s = nde_p(built, 0, 1), r = nde_p(built, 1, 1), b = nde_p(built, 2, 1);
    const nde_var dx = nde_mul(built, s, nde_sub(built, y, x)), dy = nde_sub(built, nde_mul(built, x, nde_sub(built, r, z)), y);
    const nde_var xy = nde_mul(built, x, y), dz = nde_sub(built, xy, nde_mul(built, b, z));
    finish(built, nde_concat(built, (nde_var[]){ dx, dy, dz }, 3));
    assert_int_equal(nde_program_parse("state x, y, z; param s, r, b; dx = s*(y - x); dy = x*(r - z) - y; dz = x*y - b*z",
                                       NULL, &read), NDE_OK);
    for (int k = 0; k < NDE_CODES; k++) {
        const nde_code *one = &built->code[k], *other = &read->code[k];
        assert_true(one->count == other->count && one->rows == other->rows && one->small == other->small);
        for (size_t i = 0; i < one->count; i++) {
            const nde_instruction *u = &one->at[i], *v = &other->at[i];
            assert_true(u->op == v->op && u->detail == v->detail && u->pair == v->pair && u->want == v->want &&
                        u->rows == v->rows);
            assert_true(same_operand(&u->to, &v->to));
            for (size_t j = 0; j < 3; j++) assert_true(same_operand(&u->x[j], &v->x[j]));
        }
    }
    nde_program_destroy(built), nde_program_destroy(read);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals), cmocka_unit_test(sizes), cmocka_unit_test(allocation), cmocka_unit_test(code),
            cmocka_unit_test(many), cmocka_unit_test(wanted),
        cmocka_unit_test(nested), cmocka_unit_test(divergence), cmocka_unit_test(network), cmocka_unit_test(tapes),
        cmocka_unit_test(solving), cmocka_unit_test(training), cmocka_unit_test(parsed),
#ifdef NDE_TEST_FFTW
        cmocka_unit_test(planners),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
