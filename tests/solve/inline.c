/* SPDX-License-Identifier: MIT
 * inline.c - functions of nde/inline.h are the library's solver: values, counts and statuses, to the bit. */
#include <math.h>
#include <string.h>

#ifdef NDE_TEST_SINGLE
#include "nde/inlinef.h"
#define NDE_INLINE_SOLVER NDEF_INLINE_SOLVER
#else
#include "nde/inline.h"
#endif

#define LENGTH(a) (sizeof(a)/sizeof(a)[0])

/* ---- problems ----------------------------------------------------------------------------------------------------- */

static inline int lorenz(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    dy[0] = p[0]*(y[1] - y[0]);
    dy[1] = y[0]*(p[1] - y[2]) - y[1];
    dy[2] = y[0]*y[1] - p[2]*y[2];
    return 0;
}

/* Many rejections. */
static inline int van_der_pol(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    dy[0] = y[1];
    dy[1] = p[0]*(1 - y[0]*y[0])*y[1] - y[0];
    return 0;
}

static inline int forced(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)ctx;
    dy[0] = p[0]*(nde_real)t - y[0];
    return 0;
}

/* More components than loops are unrolled for. */
static inline int chain(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    for (int i = 0; i < 12; i++) dy[i] = p[i % 3]*(y[(i + 1) % 12] - y[i]);
    return 0;
}

/* Returns *ctx where y is above p[1]. */
static inline int fragile(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t;
    dy[0] = p[0]*y[0];
    return y[0] > p[1] ? *(const int *)ctx : 0;
}

/* Not finite above p[1]. */
static inline int brittle(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    dy[0] = p[0]*y[0];
    dy[1] = y[0] > p[1] ? (nde_real)NAN : y[1];
    return 0;
}

typedef nde_status solve(double t0, double t1, nde_real *y, const nde_real *p, void *ctx, const nde_options *options,
                         nde_real *saved, nde_stats *stats);
#define EACH_METHOD(X, field, dim) \
    X(field, dim, bosh3) X(field, dim, dopri5) X(field, dim, tsit5) X(field, dim, vern6) X(field, dim, vern7) X(field, dim, vern8) \
    X(field, dim, vern9)
#define DEFINE(field, dim, method) NDE_INLINE_SOLVER(field##_##method, field, dim, method)
#define EACH_FIELD(X) \
    EACH_METHOD(X, lorenz, 3) EACH_METHOD(X, van_der_pol, 2) EACH_METHOD(X, forced, 1) EACH_METHOD(X, chain, 12) \
    EACH_METHOD(X, fragile, 1) EACH_METHOD(X, brittle, 2)
EACH_FIELD(DEFINE)
static const struct variant {
    const char *field, *method;
    int (*f)(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx);
    size_t dim;
    solve *solve;
} variants[] = {
#define ROW(field, dim, method) { #field, #method, field, dim, field##_##method },
    EACH_FIELD(ROW)
};

/* ---- both ways ---------------------------------------------------------------------------------------------------- */

enum { MOST = 12, ROWS = 9 };
static const nde_real first_y[MOST] = { 1, 1, 1, 0.5, 0.25, 2, -1, 3, 0.125, 1.5, -2, 1 },
    usual_p[] = { 10, 28, (nde_real)(8.0/3) };

static void check_bits(const char *what, const struct variant *v, const void *a, const void *b, size_t bytes) {
    if (memcmp(a, b, bytes)) fail_msg("%s with %s: other bits in %s", v->field, v->method, what);
}

/* Solves by the function and by the library, and compares all that both say. Returns the status. */
static nde_status both_ways(const struct variant *v, double t0, double t1, const nde_real *y0, const nde_real *p, void *ctx,
                            const nde_options *options) {
    nde_real y[MOST], saved[ROWS*MOST];
    nde_stats mine;
    memcpy(y, y0, v->dim*sizeof *y);
    const nde_status status = v->solve(t0, t1, y, p, ctx, options, saved, &mine);

    const nde_pointwise one = { .size = sizeof one, .f = v->f, .ctx = ctx };
    const nde_field field = nde_field_pointwise(&one, v->dim, 3);
    const nde_problem problem = { .size = sizeof problem, .t0 = t0, .t1 = t1, .drift = &field, .y0 = y0, .p = p };
    nde_options o = *options;
    o.method = nde_method_id(nde_method_find(v->method));
    nde_solution s = { .size = sizeof s };
    assert_int_equal(nde_solve(&problem, &o, &s), status);
    nde_stats theirs = *s.stats;
    theirs.stiff_t = theirs.stiff = 0; /* the functions do not look for it */
    check_bits("the end", v, y, s.y_end, v->dim*sizeof *y);
    for (size_t row = 0; row < s.n_save; row++)
        if (row < *s.saved) check_bits("a row", v, saved + row*v->dim, s.y + row*v->dim, v->dim*sizeof *y);
        else for (size_t i = 0; i < v->dim; i++) assert_true(isnan(saved[row*v->dim + i]));
    if (isnan(theirs.error_fail)) assert_true(isnan(mine.error_fail)), mine.error_fail = theirs.error_fail = 0;
    check_bits("the statistics", v, &mine, &theirs, sizeof mine);
    nde_solution_free(&s);
    return status;
}

static void same_bits(void **state) {
    (void)state;
    static const double times[ROWS] = { 0, 0.125, 0.1875, 0.5, 0.625, 0.6875, 0.75, 0.875, 1 };
    static const double back[] = { 1, 0.9375, 0.5, 0.25, 0 };
    static const double each[MOST] = { 1e-3, 0, 1e-6, 1e-4, 1e-5, 1e-6, 1e-3, 1e-4, 1e-5, 1e-6, 1e-3, 1e-4 };
    const nde_options options[] = {
        NDE_INIT(nde_options, .rtol = 0), NDE_INIT(nde_options, .rtol = 1e-3, .atol = 1e-3, .controller = NDE_CONTROLLER_I),
        NDE_INIT(nde_options, .save_t = times, .n_save = ROWS), NDE_INIT(nde_options, .h0 = 0.25, .safety = 0.95),
        NDE_INIT(nde_options, .h_max = 1.0/64, .factor_max = 2), NDE_INIT(nde_options, .atol_each = each, .factor_min = 0.5),
        NDE_INIT(nde_options, .rtol = 1e-2, .atol = 1e-2, .h0 = 1, .save_t = times, .n_save = ROWS),
    };
    int rejected = 0;
    for (size_t i = 0; i < LENGTH(variants); i++)
        for (size_t k = 0; k < LENGTH(options); k++) {
            int code = 0;
            const nde_real calm[] = { 3, 1000, 1 }, *p = variants[i].dim == 3 ? usual_p : calm;
            assert_int_equal(both_ways(&variants[i], 0, 1, first_y, p, &code, &options[k]), NDE_OK);
            nde_real y[MOST];
            nde_stats stats;
            memcpy(y, first_y, sizeof y);
            assert_int_equal(variants[i].solve(0, 1, y, p, &code, &options[k],
                                               k == 2 || k == 6 ? (nde_real[ROWS*MOST]){ 0 } : NULL, &stats), NDE_OK);
            rejected += stats.rejected > 0;
        }
    assert_true(rejected > 10);
    nde_options backward = NDE_INIT(nde_options, .save_t = back, .n_save = LENGTH(back));
    for (size_t i = 0; i < LENGTH(variants); i++) {
        int code = 0;
        const nde_real p[] = { 1, 1000, 1 };
        both_ways(&variants[i], 1, 0, first_y, p, &code, &backward); /* some explode */
        assert_int_equal(both_ways(&variants[i], 1, 1, first_y, p, &code, &options[0]), NDE_OK);
        both_ways(&variants[i], -0.7, 1.3, first_y, p, &code, &options[0]); /* ends of steps that t + h does not meet */
    }
}

static void same_failures(void **state) {
    (void)state;
    static const double times[] = { 0, 0.25, 0.5, 1 };
    const nde_real p[] = { 2, 2, 1 };
    nde_real odd[MOST] = { (nde_real)INFINITY, 1, 1 };
    for (size_t i = 0; i < LENGTH(variants); i++) {
        const struct variant *v = &variants[i];
        int code = 1;
        nde_options o = NDE_INIT(nde_options, .save_t = times, .n_save = LENGTH(times)), few = o, floor = o;
        few.max_steps = 3, few.rtol = 1e-5;
        floor.h_min = 0.5, floor.rtol = NDE_ZERO, floor.atol = 1e-5;
        assert_int_equal(both_ways(v, 0, 8, first_y, p, &code, &few), NDE_E_STEPS);
        few.h0 = 1; /* the last of three is rejected */
        both_ways(v, 0, 8, first_y, p, &code, &few);
        both_ways(v, 0, 8, first_y, p, &code, &floor);
        assert_int_equal(both_ways(v, 0, 1, odd, p, &code, &o) < 0, true);
        if (strcmp(v->field, "brittle") == 0) assert_true(both_ways(v, 0, 1, first_y, p, &code, &o) < 0);
        if (strcmp(v->field, "fragile") != 0) continue;
        assert_true(both_ways(v, 0, 1, first_y, p, &code, &o) < 0);
        code = -7;
        assert_int_equal(both_ways(v, 0, 1, first_y, p, &code, &o), NDE_E_FIELD);
        code = NDE_FIELD_STOP;
        assert_int_equal(both_ways(v, 0, 1, first_y, p, &code, &o), NDE_STOPPED);
        for (int k = 0; k < 3; k++) {
            static const int codes[] = { 1, -3, NDE_FIELD_STOP };
            const nde_real high[] = { 5 };
            code = codes[k];
            both_ways(v, 0, 1, high, p, &code, &o); /* at the first call */
            const nde_real near[] = { 1.875 };
            o.h0 = 0, o.rtol = 1e-2, o.atol = 100; /* at the trial step */
            both_ways(v, 0, 1, near, p, &code, &o);
        }
    }
}

static void refuses(void **state) {
    (void)state;
    static const double outside[] = { 0, 2 }, against[] = { 1, 0 };
    const nde_tableau table = { .size = sizeof table };
    const nde_options wrong[] = {
        NDE_INIT(nde_options, .method = NDE_BOSH3), NDE_INIT(nde_options, .tableau = &table), NDE_INIT(nde_options, .steps = 4),
        NDE_INIT(nde_options, .adjoint = NDE_ADJOINT_DISCRETE), NDE_INIT(nde_options, .save_every = 1),
        NDE_INIT(nde_options, .controller = NDE_CONTROLLER_H211), NDE_INIT(nde_options, .max_evals = 5),
        NDE_INIT(nde_options, .rtol = -2), NDE_INIT(nde_options, .h0 = -1),
        NDE_INIT(nde_options, .save_t = outside, .n_save = 2), NDE_INIT(nde_options, .save_t = against, .n_save = 2),
        NDE_INIT(nde_options, .n_save = 2), { .size = 4 },
    };
    nde_real y[] = { 1, 2, 3 }, saved[6] = { 0 };
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        if (lorenz_dopri5(0, 1, y, usual_p, NULL, &wrong[i], saved, NULL) != NDE_E_ARG) fail_msg("options %zu are accepted", i);
        assert_true(nde_error()[0]);
    }
    const nde_options save = NDE_INIT(nde_options, .save_t = outside, .n_save = 1);
    assert_int_equal(lorenz_dopri5(0, 1, y, usual_p, NULL, &save, NULL, NULL), NDE_E_ARG);
    assert_int_equal(lorenz_dopri5(0, (double)INFINITY, y, usual_p, NULL, NULL, NULL, NULL), NDE_E_ARG);
    assert_true(y[0] == 1 && y[1] == 2 && y[2] == 3 && saved[0] == 0);
    nde_inline_plan plan = { .size = sizeof plan };
    assert_int_equal(nde_inline_read("none", 3, 0, 1, NULL, NULL, &plan), NDE_E_ARG);
    assert_int_equal(nde_inline_read(NULL, 3, 0, 1, NULL, NULL, &plan), NDE_E_ARG);
    assert_int_equal(nde_inline_read("tsit5", 3, 0, 1, NULL, NULL, NULL), NDE_E_ARG);
    plan.size = 1;
    assert_int_equal(nde_inline_read("tsit5", 3, 0, 1, NULL, NULL, &plan), NDE_E_ARG);
    assert_int_equal(lorenz_dopri5(0, 1, y, usual_p, NULL, NULL, NULL, NULL), NDE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits), cmocka_unit_test(same_failures), cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
