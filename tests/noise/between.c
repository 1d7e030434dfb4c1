/* SPDX-License-Identifier: MIT
 * between.c - what a caller asks of a path is what a solve along it used: W, H and K of every source, areas; and what has
 * no answer. */
#include "noise/noise.h"

#include <math.h>
#include <string.h>

enum { M = 3, N = 5, STEPS = 6, PAIRS = M*(M - 1)/2 };
static const double factor[M*M] = { 0.8, 0, 0, -0.6, 0.5, 0, 0.1, 0.2, 0.3 };
static double stored[3][STEPS*M*N];

static const nde_noise kinds[] = {
    { .grid = 2*STEPS }, { .source = NDE_SOURCE_TREE }, { .source = NDE_SOURCE_TREE, .levy = NDE_LEVY_K, .tolerance = 0.01 },
    { .grid = STEPS, .antithetic = 1 }, { .source = NDE_SOURCE_TREE, .antithetic = 1 },
    { .grid = 2*STEPS, .normals = NDE_NORMALS_SINGLE, .antithetic = 1 }, { .grid = 2*STEPS, .correlation = factor },
    { .source = NDE_SOURCE_TREE, .correlation = factor },
    { .source = NDE_SOURCE_STORED, .grid = STEPS, .w = stored[0], .h = stored[1], .k = stored[2] },
};
enum { KINDS = sizeof kinds/sizeof *kinds };

static int pass(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self, (void)y;
    for (size_t i = 0; i < M; i++)
        for (size_t b = 0; b < at->n; b++) dy[i*at->ld + b] = at->u[i*at->ld + b]*(nde_real)(1 + at->t[b]);
    return 0;
}

/* dy = (1 + t) dW by sra1 over a step from s: (1 + s + h) W - h int W/h = (1 + s + h) W - h (W/2 + H). */
static void a_solve_used_them(void **state) {
    (void)state;
    for (size_t what = 0; what < 3; what++)
        for (size_t i = 0; i < STEPS*M*N; i++) stored[what][i] = 0.3*nde_normal(1, 200, what*STEPS*M*N + i, 0, 0);
    const nde_field g = NDE_INIT(nde_field, .dim = M, .out = M, .nu = M, .eval = pass);
    const nde_real y0[M*N] = { 0 };
    for (size_t kind = 0; kind < KINDS; kind++) {
        nde_noise noise = kinds[kind];
        noise.size = sizeof noise, noise.seed = 9;
        const nde_term term = NDE_INIT(nde_term, .field = &g, .noise = &noise, .kind = NDE_NOISE_ADDITIVE);
        const nde_problem problem = NDE_INIT(nde_problem, .n = N, .terms = &term, .n_terms = 1, .y0 = y0, .t0 = 0.5,
                                             .t1 = 2, .calculus = NDE_ITO);
        const nde_options options = NDE_INIT(nde_options, .method = NDE_SRA1, .steps = STEPS, .save_every = 1);
        nde_solution s = { 0 };
        if (nde_solve(&problem, &options, &s)) fail_msg("%zu: %s", kind, s.error ? s.error : nde_error());
        for (size_t j = 0; j < STEPS; j++) {
            double w[M*N], h[M*N], part[M*N];
            const double step = 1.5/STEPS, from = 0.5 + (double)j*step;
            nde_between at = NDE_INIT(nde_between, .t0 = 0.5, .t1 = 2, .s = from, .t = j + 1 < STEPS ? from + step : 2,
                                      .dim = M, .n = N, .N = N);
            if (nde_noise_between(&noise, &at, w, h, NULL, NULL)) fail_msg("%zu: %s", kind, nde_error());
            for (size_t i = 0; i < M*N; i++) {
                const double moved = (double)s.y[(j + 1)*M*N + i] - (double)s.y[j*M*N + i];
                const double expected = (1 + from + step)*w[i] - step*(0.5*w[i] + h[i]);
                if (!(fabs(moved - expected) < 100*NDE_TEST_EPS))
                    fail_msg("%zu, step %zu: %g, not %g", kind, j, moved, expected);
            }
            at.first = 2, at.n = 2; /* some of them */
            assert_int_equal(nde_noise_between(&noise, &at, part, h, NULL, NULL), NDE_OK);
            for (size_t i = 0; i < M; i++)
                for (size_t b = 0; b < 2; b++) assert_true(part[i*2 + b] == w[i*N + 2 + b]);
        }
        nde_solution_free(&s);
    }
}

/* Chen's relation, and nothing in no time. */
static void areas_add_up(void **state) {
    (void)state;
    const nde_noise noise = NDE_INIT(nde_noise, .seed = 4, .grid = 8, .dim = M);
    double w[3][M], h[M], k[M], a[3][PAIRS];
    const double s[3] = { 0, 0.25, 0 }, t[3] = { 0.25, 1, 1 };
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(nde_noise_between(&noise, &NDE_INIT(nde_between, .t1 = 1, .s = s[i], .t = t[i]), w[i],
                                           i ? h : NULL, i ? k : NULL, a[i]),
                         NDE_OK);
    for (size_t i = 0, pair = 0; i < M; i++)
        for (size_t j = 0; j < i; j++, pair++)
            assert_true(fabs(a[0][pair] + a[1][pair] + 0.5*(w[0][i]*w[1][j] - w[0][j]*w[1][i]) - a[2][pair]) < 1e-15);
    assert_int_equal(nde_noise_between(&noise, &NDE_INIT(nde_between, .t1 = 1, .s = 0.5, .t = 0.5), w[0], h, k, a[0]), NDE_OK);
    for (size_t i = 0; i < M; i++) assert_true(w[0][i] == 0 && h[i] == 0 && k[i] == 0);
}

static void refused(nde_noise noise, nde_between at, bool h, bool k, bool area, nde_status as, const char *because) {
    double x[4][8] = { { 0 } };
    noise.size = sizeof noise, at.size = sizeof at;
    assert_int_equal(nde_noise_between(&noise, &at, x[0], h ? x[1] : NULL, k ? x[2] : NULL, area ? x[3] : NULL), as);
    if (!strstr(nde_error(), because)) fail_msg("%s", nde_error());
    for (size_t i = 0; i < 32; i++) assert_true(x[i/8][i%8] == 0);
}

static void what_has_no_answer_is_refused(void **state) {
    (void)state;
    const nde_noise grid = { .grid = 4, .dim = 2 }, tree = { .source = NDE_SOURCE_TREE, .dim = 2, .levy = NDE_LEVY_H };
    const nde_between all = { .t1 = 1, .t = 1 };
    double w[2];
    refused((nde_noise){ .dim = 2 }, all, false, false, false, NDE_E_ARG, "noise.grid is 0");
    refused((nde_noise){ .grid = 4 }, all, false, false, false, NDE_E_ARG, "between.dim is 0");
    refused((nde_noise){ .grid = 4, .dim = 2, .source = 7 }, all, false, false, false, NDE_E_ARG, "noise.source is 7");
    refused(grid, (nde_between){ .t1 = 1, .s = 0.3, .t = 1 }, false, false, false, NDE_E_ARG, "between.s is 0.3");
    refused(grid, (nde_between){ .t1 = 1, .t = 0.7 }, false, false, false, NDE_E_ARG, "between.t is 0.7");
    refused(tree, (nde_between){ .t1 = 1, .s = 0.7, .t = 0.3 }, false, false, false, NDE_E_ARG, "s is 0.7");
    refused(tree, (nde_between){ .t1 = 1, .t = 1.5 }, false, false, false, NDE_E_ARG, "t is 1.5");
    refused(tree, (nde_between){ .t1 = 1, .t = (double)NAN }, false, false, false, NDE_E_ARG, "t is nan");
    refused(tree, all, true, true, false, NDE_E_ARG, "noise.levy");
    refused(grid, all, false, true, false, NDE_E_ARG, "h is NULL");
    refused(tree, all, true, false, true, NDE_E_ARG, "areas are of a grid");
    refused((nde_noise){ .source = NDE_SOURCE_STORED, .grid = STEPS, .dim = M, .w = stored[0] },
            (nde_between){ .t1 = 1, .t = 1, .first = N, .N = N }, false, false, false, NDE_E_ARG, "first is 5");
    refused(tree, (nde_between){ .t1 = 1, .t = 1, .n = SIZE_MAX/16 }, false, false, false, NDE_E_SIZE, "too large");
    assert_int_equal(nde_noise_between(NULL, &all, w, NULL, NULL, NULL), NDE_E_ARG);
    assert_int_equal(nde_noise_between(&grid, NULL, w, NULL, NULL, NULL), NDE_E_ARG);
    assert_int_equal(nde_noise_between(&grid, &all, NULL, NULL, NULL, NULL), NDE_E_ARG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_solve_used_them), cmocka_unit_test(areas_add_up), cmocka_unit_test(what_has_no_answer_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
