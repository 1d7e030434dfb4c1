/* SPDX-License-Identifier: MIT
 * structure.c - where Jacobians can differ from zero, for every operation and for programs at random; Jacobians and traces
 * by columns that go together; traces by probes; several directions at once; what is linear in u. */
#include "../field/rig.h"
#include "create.h"
#include "program/graph.h"
#include "recorder.h"

#include <float.h>

/* ---- patterns ---- */

/* Row by row; -1: the end of a row. */
static void pattern_is(const nde_field *f, const int *want) {
    assert_non_null(f->sparsity_start);
    for (size_t row = 0, e = 0; row < f->out; row++, want++) {
        assert_int_equal(f->sparsity_start[row], e);
        for (; *want >= 0; want++, e++) assert_int_equal(f->sparsity_index[e], *want);
        assert_int_equal(f->sparsity_start[row + 1], e);
    }
}
#define PATTERN(dim, build, ...)                                             \
    do {                                                                     \
        nde_program *g = create(dim, 1, 4, 0);                               \
        const nde_var y = nde_y(g, 0, dim);                                  \
        (void)y;                                                             \
        const nde_field f = finish(g, build);                                \
        pattern_is(&f, (const int[]){ __VA_ARGS__ });                        \
        nde_program_destroy(g);                                              \
    } while (0)

static nde_var constants(nde_program *g, size_t n, const double *x) { return nde_constants(g, x, n); }
#define CONSTANTS(...) constants(g, sizeof (double[]){ __VA_ARGS__ }/sizeof(double), (double[]){ __VA_ARGS__ })
#define ROWS(...) (const size_t[]){ __VA_ARGS__ }, sizeof (size_t[]){ __VA_ARGS__ }/sizeof(size_t)
#define OF(...) (nde_var[]){ __VA_ARGS__ }, sizeof (nde_var[]){ __VA_ARGS__ }/sizeof(nde_var)

static void patterns(void **state) {
    (void)state;
    PATTERN(3, nde_sin(g, y), 0, -1, 1, -1, 2, -1);
    PATTERN(3, nde_mul(g, nde_y(g, 1, 1), y), 0, 1, -1, 1, -1, 1, 2, -1);
    PATTERN(3, nde_mul(g, CONSTANTS(1, 0, 2), y), 0, -1, -1, 2, -1);
    PATTERN(3, nde_div(g, CONSTANTS(1, 0, 2), nde_exp(g, y)), 0, -1, -1, 2, -1);
    PATTERN(4, nde_gather(g, y, ROWS(3, 0)), 3, -1, 0, -1);
    PATTERN(2, nde_scatter(g, y, (const size_t[]){ 2, 2 }, 3), -1, -1, 0, 1, -1);
    PATTERN(2, nde_concat(g, OF(nde_cut(g, nde_exp(g, y), 1, 1), nde_t(g), nde_sum(g, y))), 1, -1, -1, 0, 1, -1);
    PATTERN(3, nde_matvec(g, CONSTANTS(1, 0, 0, 0, 2, 3), y), 0, -1, 1, 2, -1);
    PATTERN(2, nde_matvec_transposed(g, CONSTANTS(1, 0, 0, 0, 2, 3), y), 0, -1, 1, -1, 1, -1);
    PATTERN(3, nde_cross(g, CONSTANTS(0, 0, 1), y), 1, -1, 0, -1, -1);
    PATTERN(2, nde_outer(g, CONSTANTS(0, 1), y), -1, -1, 0, -1, 1, -1);
    PATTERN(3, nde_dot(g, CONSTANTS(1, 0, 2), y), 0, 2, -1);
    PATTERN(2, nde_concat(g, OF(nde_sign(g, y), nde_less(g, y, nde_t(g)))), -1, -1, -1, -1);
    PATTERN(3, nde_select(g, nde_y(g, 0, 1), nde_y(g, 1, 1), nde_t(g)), 1, -1);
    PATTERN(3, nde_maximum(g, nde_y(g, 0, 1), nde_independent(g, nde_y(g, 2, 1))), 0, 2, -1);
    PATTERN(3, nde_vjp_of(g, nde_dot(g, y, nde_square(g, y)), y, nde_constant(g, 1)), 0, -1, 1, -1, 2, -1);
    const nde_csr path = NDE_INIT(nde_csr, .rows = 3, .columns = 3, .start = (size_t[]){ 0, 1, 1, 3 },
                                  .column = (size_t[]){ 1, 0, 2 });
    PATTERN(3, nde_csr_matvec(g, &path, nde_p(g, 0, 1), y), 1, -1, -1, 0, 2, -1);
    PATTERN(3, nde_csr_matvec(g, &path, CONSTANTS(1, 0, 2), y), 1, -1, -1, 2, -1);
    PATTERN(3, nde_csr_matvec(g, &path, y, CONSTANTS(1, 0, 2)), -1, -1, 1, 2, -1);
    PATTERN(4, nde_convolve(g, CONSTANTS(1, 1), y, 0), 0, 3, -1, 0, 1, -1, 1, 2, -1, 2, 3, -1);
    PATTERN(4, nde_matmul(g, CONSTANTS(0, 1, 1, 1), y, 2), 2, -1, 3, -1, 0, 2, -1, 1, 3, -1);
    PATTERN(4, nde_matmul_transposed(g, y, CONSTANTS(0, 1, 1, 1), 2), 1, -1, 0, 1, -1, 3, -1, 2, 3, -1);
    nde_program *g = create(3, 0, 12, 0); /* all on all: none is given */
    const nde_field f = finish(g, nde_dense(g, NDE_TANH, 0, 3, nde_y(g, 0, 3)));
    assert_null(f.sparsity_start);
    assert_null(f.sparsity_index);
    assert_int_equal(g->colors, 3);
    nde_program_destroy(g);
}

/* The Jacobian against its columns, one jvp each, all zero where the pattern has nothing. Returns entries that are zero in
 * all lanes. */
static size_t check_jacobian(const nde_field *f, size_t n) {
    rig r = rig_make(f, n, n + 3, n, NULL, 0);
    const size_t ld = r.at.ld;
    nde_real *j = rig_block(&r, f->out*f->dim, -1), *v = rig_block(&r, f->dim, -1);
    size_t idle = 0;
    assert_int_equal(f->jacobian(f, &r.at, r.y, j), 0);
    for (size_t c = 0; c < f->dim; c++) {
        for (size_t i = 0; i < f->dim; i++)
            for (size_t b = 0; b < n; b++) v[i*ld + b] = i == c;
        assert_int_equal(f->jvp(f, &r.at, r.y, &(nde_tangent){ .y = v }, r.dv), 0);
        for (size_t row = 0; row < f->out; row++) {
            bool there = !f->sparsity_start, any = false;
            for (size_t e = there ? 0 : f->sparsity_start[row]; !there && e < f->sparsity_start[row + 1]; e++)
                there = f->sparsity_index[e] == c;
            for (size_t b = 0; b < n; b++) {
                const nde_real got = j[(row*f->dim + c)*ld + b], want = r.dv[row*ld + b];
                if (got != want && !(got != got && want != want))
                    fail_msg("row %zu, column %zu: %.17g, not %.17g", row, c, (double)got, (double)want);
                any |= got != 0;
            }
            assert_true(there || !any);
            idle += there && !any;
        }
    }
    rig_check_guards(&r, j, f->out*f->dim, ld);
    rig_free(&r);
    return idle;
}

static void operations(void **state) {
    (void)state;
    static const rec_step inputs[] = {
        { .op = REC_T, .rows = 1 }, { .op = REC_Y, .rows = REC_DIM }, { .op = REC_P, .rows = 6 },
            { .op = REC_Y, .rows = 3, .first = 1 },
        { .op = REC_Y, .rows = 1, .first = 4 }, { .op = REC_SIN, .x = { 1 }, .rows = REC_DIM },
        { .op = REC_CONSTANTS, .rows = 3, .value = 0.4 },
        { .op = REC_GATHER, .x = { 5 }, .rows = 6, .index = { 0, 4, 2, 2, 1, 3 } }, { .op = REC_Q, .rows = REC_NQ },
    };
    for (int op = REC_ADD; op < REC_COUNT; op++) {
        for (int round = 0; round < 8; round++) {
            recording rec;
            memcpy(rec.step, inputs, sizeof inputs);
            rec.count = sizeof inputs/sizeof *inputs;
            while (!rec_choose(&rec, op, &rec.step[rec.count])) continue;
            bool cancels = rec.step[rec.count].x[0] == rec.step[rec.count].x[1]; /* x - x, x cross x */
#ifdef NDE_TEST_FFTW
            cancels |= op == REC_FFT || op == REC_FFT_INVERSE; /* some sines and cosines are 0 */
#endif
            rec.count++;
            nde_program *g = rec_program(&rec, 1);
            const nde_field f = nde_field_program(g);
            const size_t idle = check_jacobian(&f, 40);
            if (rec_smooth[op] && !cancels && idle) fail_msg("%s: %zu entries are never other than 0", rec_names[op], idle);
            nde_program_destroy(g);
        }
    }
}

static void at_random(void **state) {
    (void)state;
    const rec_lane lane = rec_first_lane();
    size_t sparse = 0;
    for (int i = 0; i < 300; i++) {
        static double v[REC_STEPS][REC_ROWS];
        static recording rec;
        rec_random(&rec, 6 + (int)rec_below(30), i%3, &lane, v);
        nde_program *g = rec_program(&rec, 1 + (int)rec_below(3));
        const nde_field f = nde_field_program(g);
        check_jacobian(&f, 1 + rec_below(6));
        sparse += g->colors < REC_DIM;
        nde_program_destroy(g);
    }
    assert_in_range(sparse, 50, 300);
}

/* ---- columns that go together ---- */

enum { LONG = 400 };

/* Diffusion and a reaction on a ring: row i depends on i - 1, i and i + 1. */
static nde_var ring(nde_program *g, nde_var y) {
    size_t left[LONG], right[LONG];
    for (size_t i = 0; i < LONG; i++) left[i] = (i + LONG - 1)%LONG, right[i] = (i + 1)%LONG;
    const nde_var sides = nde_add(g, nde_gather(g, y, left, LONG), nde_gather(g, y, right, LONG));
    return nde_add(g, nde_sub(g, sides, nde_mul(g, nde_constant(g, 2), y)), nde_sin(g, y));
}

static void colors(void **state) {
    (void)state;
    nde_program *g = create(LONG, 0, 0, 0);
    const nde_var y = nde_y(g, 0, LONG);
    const nde_var f = ring(g, y);
    const uint32_t before = g->count;
    const nde_var trace = nde_divergence_of(g, f, y);
    assert_in_range(g->count - before, 1, 60); /* not one derivative for each row */
    const nde_field both = finish(g, nde_concat(g, (nde_var[]){ f, trace }, 2));
    rig r = rig_make(&both, 2, 2, 2, NULL, 0);
    assert_int_equal(both.eval(&both, &r.at, r.y, r.dy), 0);
    for (size_t b = 0; b < 2; b++) {
        double want = 0;
        for (size_t i = 0; i < LONG; i++) want += cos((double)r.y[i*2 + b]) - 2;
        assert_true(fabs((double)r.dy[LONG*2 + b] - want) <= LONG*LONG*NDE_TEST_EPS);
    }
    rig_free(&r);
    nde_program_destroy(g);

    g = create(LONG, 0, 0, 0);
    const nde_field one = finish(g, ring(g, nde_y(g, 0, LONG)));
    assert_in_range(g->colors, 3, 4); /* 400 is not a multiple of 3 */
    assert_int_equal(one.sparsity_start[LONG], 3*LONG);
    check_jacobian(&one, 3);
    nde_program_destroy(g);

    g = create(5, 0, 0, 0); /* a row that depends on all: columns one by one, in a pattern */
    const nde_var z = nde_y(g, 0, 5);
    const nde_field arrow =
        finish(g, nde_concat(g, (nde_var[]){ nde_sum(g, nde_exp(g, z)), nde_sin(g, nde_cut(g, z, 1, 4)) }, 2));
    assert_int_equal(g->colors, 5);
    assert_int_equal(arrow.sparsity_start[5], 9);
    check_jacobian(&arrow, 3);
    nde_program_destroy(g);

    g = create(2, 0, 0, 0); /* nothing depends on y */
    const nde_field still = finish(g, nde_repeat(g, nde_t(g), 2));
    assert_int_equal(g->colors, 0);
    check_jacobian(&still, 2);
    nde_program_destroy(g);
}

/* Sets of columns that would take too much memory: dense. */
static void too_many(void **state) {
    (void)state;
    enum { CHAIN = 6000 };
    nde_program *g = create(CHAIN, 0, 0, 0);
    static nde_var v[CHAIN];
    for (size_t i = 0; i < CHAIN; i++) v[i] = nde_sin(g, i ? nde_add(g, v[i - 1], nde_y(g, i, 1)) : nde_y(g, i, 1));
    const nde_field f = finish(g, nde_concat(g, v, CHAIN));
    assert_null(f.sparsity_start);
    assert_int_equal(g->colors, CHAIN);
    nde_program_destroy(g);
}

/* ---- traces ---- */

/* Fields whose trace is known by the Jacobian: by exact columns and by the mean over lanes of probes in q. */
static nde_var field_of(nde_program *g, int kind, nde_var y) {
    switch (kind) {
    case 0: return nde_mul(g, nde_sin(g, y), y);
    case 1: return nde_dense(g, NDE_TANH, 0, 5, y);
    case 2: return nde_add(g, nde_gather(g, y, (const size_t[]){ 1, 2, 3, 4, 0 }, 5),
                           nde_mul(g, nde_p(g, 0, 5), nde_square(g, y)));
    default: return nde_gather(g, nde_exp(g, y), (const size_t[]){ 1, 0, 3, 4, 4 }, 5);
    }
}

static void traces(void **state) {
    (void)state;
    enum { LANES = 4000 };
    for (int kind = 0; kind < 4; kind++) {
        nde_program *g = create(5, 0, 30, 10);
        const nde_var y = nde_y(g, 0, 5), f = field_of(g, kind, y);
        const nde_field probed = finish(g, nde_concat(g, (nde_var[]){ nde_divergence_of(g, f, y),
                                                                      nde_divergence_by(g, f, y, nde_q(g, 0, 10)) }, 2));
        nde_program *plain = create(5, 0, 30, 10);
        const nde_field bare = finish(plain, field_of(plain, kind, nde_y(plain, 0, 5)));
        rig one = rig_make(&bare, 1, 1, 1, NULL, 0), r = rig_make(&probed, LANES, LANES, LANES, NULL, 0);
        nde_real j[25], *q = rig_block(&r, 10, -1);
        assert_int_equal(bare.jacobian(&bare, &one.at, one.y, j), 0);
        double trace = 0, variance[2] = { 0 };
        for (size_t i = 0; i < 5; i++) {
            trace += (double)j[i*5 + i];
            for (size_t k = 0; k < 5; k++) {
                const double half = ((double)j[i*5 + k] + (double)j[k*5 + i])/2;
                variance[0] += i == k ? 0 : 2*half*half, variance[1] += 2*half*half;
            }
        }
        for (size_t i = 0; i < 5; i++) /* all lanes at one place */
            for (size_t b = 0; b < LANES; b++) r.y[i*LANES + b] = one.y[i];
        r.at.q = q;
        for (int gaussian = 0; gaussian < 2; gaussian++) {
            double mean = 0;
            for (size_t i = 0; i < 10; i++)
                for (size_t b = 0; b < LANES; b++) {
                    const double x = nde_normal(7, 0, b, i, (uint64_t)kind);
                    q[i*LANES + b] = (nde_real)(gaussian ? x : x < 0 ? -1 : 1);
                }
            assert_int_equal(probed.eval(&probed, &r.at, r.y, r.dy), 0);
            for (size_t b = 0; b < LANES; b++) {
                assert_true(fabs((double)r.dy[b] - trace) <= 50*NDE_TEST_EPS*(1 + fabs(trace)));
                mean += (double)r.dy[LANES + b]/LANES;
            }
            const double deviation = sqrt(variance[gaussian]/2/LANES); /* two probes a lane; one in 10^6 of eight means is
                                                                        * 5.4 away */
            if (!(fabs(mean - trace) <= 5.4*deviation + (50*NDE_TEST_EPS + LANES*DBL_EPSILON)*(1 + fabs(trace))))
                fail_msg("field %d: the mean of probes is %g, the trace %g, deviation %g", kind, mean, trace, deviation);
        }
        rig_free(&one), rig_free(&r);
        nde_program_destroy(g), nde_program_destroy(plain);
    }
}

/* ---- traits ---- */

/* Several directions in one call are those of one call each. */
static void directions(void **state) {
    (void)state;
    enum { N = 6, K = 3 };
    nde_program *g = create(2, 0, 6, 1);
    const nde_field f = finish(g, nde_mul(g, nde_q(g, 0, 1), nde_dense(g, NDE_TANH, 0, 2, nde_y(g, 0, 2))));
    assert_true(f.traits & NDE_DIRECTIONS);
    rig r = rig_make(&f, N*K, N*K, N*K, NULL, 0), one = rig_make(&f, N, N*K, N, NULL, 0);
    for (size_t i = 0; i < 2; i++) /* lane b is as lane b%N */
        for (size_t b = 0; b < N*K; b++) r.y[i*N*K + b] = one.y[i*N*K + b%N];
    nde_real *q = rig_block(&r, 1, -1), p[K*6];
    for (size_t b = 0; b < N*K; b++) q[b] = one.at.q[b%N];
    for (size_t i = 0; i < K*6; i++) p[i] = (nde_real)rig_number(RIG_VP, i, 1);
    r.at.q = q;
    nde_tangent all = r.v;
    all.p = p, all.lanes = N, all.p_stride = 6;
    assert_int_equal(f.jvp(&f, &r.at, r.y, &all, r.dv), 0);
    for (size_t k = 0; k < K; k++) {
        const nde_tangent v = { .t = r.v.t + k*N, .y = r.v.y + k*N, .q = r.v.q + k*N, .p = p + k*6 };
        assert_int_equal(f.jvp(&f, &one.at, one.y, &v, one.dv), 0);
        for (size_t b = 0; b < N; b++) rig_same_lane(r.dv, N*K, k*N + b, one.dv, N*K, b, f.out);
    }
    rig_free(&r), rig_free(&one);
    nde_program_destroy(g);
}

static void linear_in_u(void **state) {
    (void)state;
    static const struct { const char *value; bool linear; } cases[] = {
        { "u", true }, { "x*u", true }, { "exp(x)*u/(1 + x^2)", true }, { "sum(u)*x - [u[0], 0]", true }, { "dot(w, u)", true },
        { "matvec(w, u)", true }, { "outer(u, x)", true }, { "select(x[0], u, 2*u)", true }, { "[u, 0]", true },
        { "0*x", true }, { "jvp(tanh(x), x, u)", true }, { "-u[1]", true }, { "repeat(u[0], 2)", true },
        { "u + 1", false }, { "x", false }, { "[u, 1]", false }, { "u*u", false }, { "dot(u, u)", false }, { "x/u", false },
        { "abs(u)", false }, { "sin(u)", false }, { "maximum(u, 0)", false }, { "select(u, u, 2*u)", false },
        { "tanh(x*u[0])", false }, { "x*u + x", false }, { "vjp(u*x*x, u, u)*u", false },
    };
    for (size_t i = 0; i < sizeof cases/sizeof *cases; i++) {
        char text[100] = "state x[2]; param w[2]; input u[2]; out = ";
        nde_program *g;
        strcat(text, cases[i].value);
        if (nde_program_parse(text, NULL, &g) != NDE_OK) fail_msg("%s: %s", text, nde_error());
        if (!(nde_field_program(g).traits & NDE_LINEAR_IN_U) == cases[i].linear) fail_msg("%s", text);
        nde_program_destroy(g);
    }
    nde_program *g;
    assert_int_equal(nde_program_parse("state x; dx = 0", NULL, &g), NDE_OK);
    assert_false(nde_field_program(g).traits & NDE_LINEAR_IN_U);
    nde_program_destroy(g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns), cmocka_unit_test(operations), cmocka_unit_test(at_random), cmocka_unit_test(colors),
        cmocka_unit_test(too_many), cmocka_unit_test(traces), cmocka_unit_test(directions), cmocka_unit_test(linear_in_u),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
