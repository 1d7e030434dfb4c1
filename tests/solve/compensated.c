/* SPDX-License-Identifier: MIT
 * compensated.c - compensated sums of the state: the rounding of 10^6 steps stays that of a few, in both precisions; alone, in
 * ensembles with refill, across a pause, and in every form of the record.
 *
 * Source: N. J. Higham, Accuracy and Stability of Numerical Algorithms (2002), 4.3. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SINGLE (sizeof(nde_real) == sizeof(float))

static int turn(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    dy[0] = p[0]*y[1], dy[1] = -p[0]*y[0];
    return 0;
}
static int turn_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
                    void *ctx) {
    (void)t, (void)at, (void)ctx;
    ay[0] -= p[0]*a[1], ay[1] += p[0]*a[0];
    if (ap) ap[0] += (double)y[1]*(double)a[0] - (double)y[0]*(double)a[1];
    return 0;
}
static const nde_pointwise one = { .f = turn, .vjp = turn_vjp };
static const nde_real p[] = { 1 };

/* Distance to the exact solution after 2^20 steps of 2^-14, which is no rounded number; the method's own error is below
 * 1e-16. */
static double error_of(int method, int32_t compensated) {
    const nde_field field = nde_field_pointwise(&one, 2, 1);
    const nde_real y0[] = { 1, 0 };
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .p = p, .t1 = 64);
    nde_solution s = { 0 };
    assert_int_equal(nde_solve(&problem, &NDE_INIT(nde_options, .method = method, .steps = 1 << 20,
                                                   .compensated = compensated), &s),
                     NDE_OK);
    const double error = hypot((double)s.y[0] - cos(64.0), (double)s.y[1] + sin(64.0));
    nde_solution_free(&s);
    return error;
}

static void a_million_steps_round_like_one(void **state) {
    (void)state;
    const int methods[] = { NDE_RK4, NDE_DOPRI5 }; /* the second: first same as last */
    for (int i = 0; i < 2; i++) {
        const double plain = error_of(methods[i], 0), compensated = error_of(methods[i], 1);
        print_message("%s: %.1e, compensated %.1e\n", nde_method_name(nde_method_get(methods[i])), plain, compensated);
        /* what is left: slopes are those of the rounded state, half an eps away, and they turn for a time of 64 */
        assert_true(compensated <= 64*NDE_TEST_EPS/2);
        assert_true(plain >= 10*compensated);
    }
}

/* y' = 1 before t = 1, and a 2^-8 of eps after it; a jump to 1 at t = 65. */
static const double unit = NDE_TEST_EPS;
static int drips(double t, const nde_real *y, const nde_real *none, nde_real *dy, void *ctx) {
    (void)y, (void)none, (void)ctx;
    dy[0] = (nde_real)(t < 1 ? 1 : unit/256);
    return 0;
}
static int to_one(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *z) {
    (void)self, (void)y;
    for (size_t b = 0; b < at->n; b++) z[b] = 1;
    return 0;
}

/* What a sum much larger than the state takes from the state is kept too; what is kept is gone with the state that a jump
 * replaces. */
static void drops_make_a_bucket(void **state) {
    (void)state;
    const nde_pointwise drip = NDE_INIT(nde_pointwise, .f = drips);
    const nde_field field = nde_field_pointwise(&drip, 1, 0),
        jump = { .size = sizeof jump, .dim = 1, .out = 1, .eval = to_one };
    const nde_real y0[] = { (nde_real)(unit/256) };
    nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .t1 = 1 + 128);
    nde_options options = NDE_INIT(nde_options, .method = NDE_EULER, .steps = 1 + 128, .compensated = 1);
    nde_solution s = { 0 };
    assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
    assert_true((double)s.y_end[0] == 1 + unit); /* 1 + eps/2 + eps/256, rounded */
    nde_solution_free(&s);
    const double when = 65;
    problem.jump = &jump, problem.jump_t = &when, problem.n_jumps = 1;
    assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
    assert_true(s.y_end[0] == 1); /* 1 + eps/4 */
    nde_solution_free(&s);
}

enum { LANES = 300 };
static nde_real start[2*LANES];
static void fill_start(void) {
    for (size_t i = 0; i < 2*LANES; i++) start[i] = (nde_real)(0.3 + 0.004*(double)i);
}

/* Lanes that come into the place of others begin without their rests; trajectories have the bits of one alone. */
static void lanes_are_trajectories_alone(void **state) {
    (void)state;
    fill_start();
    static double t0[LANES], t1[LANES];
    for (size_t b = 0; b < LANES; b++) t1[b] = 1 + 0.05*(double)((b*7) % LANES);
    const nde_field field = nde_field_pointwise(&one, 2, 1);
    const nde_problem problem = NDE_INIT(nde_problem, .n = LANES, .drift = &field, .y0 = start, .p = p, .t0_each = t0,
                                         .t1_each = t1);
    const nde_options options = NDE_INIT(nde_options, .compensated = 1, .group = LANES);
    nde_solution all = { 0 };
    assert_int_equal(nde_solve(&problem, &options, &all), NDE_OK);
    for (size_t b = 0; b < LANES; b += 11) {
        const nde_real y0[] = { start[b], start[LANES + b] };
        const nde_problem alone = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .p = p, .t1 = t1[b]);
        nde_solution s = { 0 };
        assert_int_equal(nde_solve(&alone, &options, &s), NDE_OK);
        assert_true(s.y[0] == all.y[b] && s.y[1] == all.y[LANES + b]);
        nde_solution_free(&s);
    }
    nde_solution_free(&all);
}

static void a_pause_keeps_what_rounding_took(void **state) {
    (void)state;
    fill_start();
    const nde_field field = nde_field_pointwise(&one, 2, 1);
    const nde_problem problem = NDE_INIT(nde_problem, .n = LANES, .drift = &field, .y0 = start, .p = p, .t1 = 20);
    const nde_options options = NDE_INIT(nde_options, .compensated = 1, .steps = 400, .method = NDE_BOSH3);
    nde_solver *solver[2];
    nde_solution through = { 0 }, resumed = { 0 };
    for (int i = 0; i < 2; i++) assert_int_equal(nde_solver_create(&problem, &options, &solver[i]), NDE_OK);
    assert_int_equal(nde_solver_run(solver[0], &through), NDE_OK);
    assert_int_equal(nde_solver_steps(solver[1], 137, NULL), NDE_UNFINISHED);
    size_t bytes = 0;
    assert_int_equal(nde_solver_state(solver[1], NULL, &bytes), NDE_OK);
    void *block = malloc(bytes);
    assert_int_equal(nde_solver_state(solver[1], block, &bytes), NDE_OK);
    nde_solver_destroy(solver[1]);
    assert_int_equal(nde_solver_create(&problem, &options, &solver[1]), NDE_OK);
    assert_int_equal(nde_solver_restore(solver[1], block, bytes), NDE_OK);
    nde_status status;
    while ((status = nde_solver_steps(solver[1], 100, &resumed)) == NDE_UNFINISHED) {}
    assert_int_equal(status, NDE_OK);
    assert_memory_equal(through.y_end, resumed.y_end, 2*LANES*sizeof(nde_real));
    free(block), nde_solver_destroy(solver[0]), nde_solver_destroy(solver[1]);
}

/* The way back from recomputed states has the bits of that from kept ones; it is near the derivative of a rotation. */
static void every_record_gives_the_same_gradient(void **state) {
    (void)state;
    fill_start();
    enum { N = 70 };
    static nde_real y0[2*N], seed_end[2*N], first[2*N + 1], g[2*N + 1]; /* the last: of the parameter */
    for (size_t i = 0; i < 2*N; i++) y0[i] = start[i], seed_end[i] = (nde_real)(i < N);
    const nde_field field = nde_field_pointwise(&one, 2, 1);
    const nde_problem problem = NDE_INIT(nde_problem, .n = N, .drift = &field, .y0 = y0, .p = p, .t1 = 2);
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = seed_end);
    const int methods[] = { NDE_RK4, NDE_TSIT5 };
    for (int m = 0; m < 2; m++)
        for (int form = NDE_RECORD_TAPE; form <= NDE_RECORD_CHECKPOINTS; form++) {
            const nde_options options = NDE_INIT(nde_options, .method = methods[m], .steps = 60, .compensated = 1,
                                                 .record = form, .adjoint = NDE_ADJOINT_DISCRETE, .budget = 1 << 23);
            nde_solver *solver = NULL;
            assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_OK);
            assert_int_equal(nde_solver_run(solver, NULL), NDE_OK);
            const nde_gradient gradient = NDE_INIT(nde_gradient, .y0 = g, .p = g + 2*N);
            assert_int_equal(nde_backward(solver, &seed, &gradient), NDE_OK);
            nde_solver_destroy(solver);
            if (form == NDE_RECORD_TAPE) memcpy(first, g, sizeof g);
            assert_memory_equal(g, first, sizeof g);
            for (size_t b = 0; b < N; b++) {
                assert_true(fabs((double)g[b] - cos(2.0)) <= (SINGLE ? 1e-5 : 1e-7));
                assert_true(fabs((double)g[N + b] - sin(2.0)) <= (SINGLE ? 1e-5 : 1e-7));
            }
        }
}

/* Methods that add to the state themselves. */
static void what_has_sums_of_its_own_is_refused(void **state) {
    (void)state;
    int compositions = 0, others = 0;
    const nde_field field = nde_field_pointwise(&one, 2, 1);
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        const bool composition = nde_method_kind(m) == NDE_KIND_COMPOSITION;
        if (!composition && nde_method_kind(m) != NDE_KIND_CHEBYSHEV) continue;
        const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = start, .p = p, .t1 = 1, .split = composition);
        nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .steps = 5, .compensated = 1);
        nde_solver *solver = NULL;
        assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_E_ARG);
        assert_non_null(strstr(nde_error(), "compensated"));
        assert_non_null(strstr(nde_error(), nde_method_name(m)));
        options.compensated = 0;
        assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_OK);
        nde_solver_destroy(solver);
        compositions += composition, others += !composition;
    }
    assert_true(compositions && others);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_million_steps_round_like_one),
        cmocka_unit_test(drops_make_a_bucket),
        cmocka_unit_test(lanes_are_trajectories_alone),
        cmocka_unit_test(a_pause_keeps_what_rounding_took),
        cmocka_unit_test(every_record_gives_the_same_gradient),
        cmocka_unit_test(what_has_sums_of_its_own_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
