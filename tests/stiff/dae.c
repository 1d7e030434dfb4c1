/* SPDX-License-Identifier: MIT
 * dae.c - mass matrices and algebraic equations: Robertson's with its sum, regular and singular matrices against closed forms,
 * initial values that are made consistent, or given. */
#include "problems.h"

static nde_status solve(const nde_problem *problem, double rtol, const double *atol, const nde_stiff_options *stiff,
                        nde_stiff_solver **solver,
                        nde_solution *s) {
    const double save[] = { 0, 0.5*problem->t1, problem->t1 };
    const nde_options options = NDE_INIT(nde_options, .rtol = rtol, .atol = 1e-12, .atol_each = atol, .save_t = save,
                                         .n_save = 3,
                                         .jacobian = problem->drift->jvp ? 0 : NDE_JACOBIAN_DIFFERENCES);
    memset(s, 0, sizeof *s);
    const nde_status status = nde_stiff_solve(problem, &options, stiff, solver, s);
    if (status && *solver) print_message("%s\n", s->error ? s->error : nde_stiff_error(*solver));
    return status;
}

/* y3 at the start is a guess, and wrong. */
static void robertson(void **state) {
    (void)state;
    example rober = ROBER;
    rober.f = rober_dae_f, rober.by_y = rober_dae_y, rober.y0[2] = 0.4;
    nde_pointwise one = example_pointwise(&rober);
    const nde_field field = nde_field_pointwise(&one, 3, 3);
    const double diagonal[] = { 1, 1, 0 }, atol[] = { 1e-13, 1e-19, 1e-13 }, /* y3 is the difference of 1 and what is near it */
                 matrix[] = { 1, 0, 0, 0, 1, 0, 0, 0, 0 };
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .t1 = rober.t1, .y0 = rober.y0, .p = rober.p);
    for (int k = 0; k < 3; k++) {
        const nde_stiff_options stiff = NDE_INIT(nde_stiff_options, .mass_diagonal = k ? diagonal : NULL, .mass = k ? NULL
                                                 : matrix,
                                                 .suppress_algebraic = k == 2);
        nde_stiff_solver *solver;
        nde_solution s;
        assert_int_equal(solve(&problem, 1e-8, atol, &stiff, &solver, &s), NDE_OK);
        assert_true(s.y[0] == 1 && fabs(s.y[2]) < 1e-12); /* consistent */
        for (size_t row = 0; row < 3; row++) assert_true(fabs(s.y[3*row] + s.y[3*row + 1] + s.y[3*row + 2] - 1) < 1e-7);
        for (size_t i = 0; i < 3; i++) assert_true(fabs(s.y_end[i] - rober.end[i]) < 1e-3*fabs(rober.end[i]));
        print_message("%lld steps, y1 to %.2g\n", (long long)s.stats[0].accepted, fabs(s.y_end[0]/rober.end[0] - 1));
        nde_stiff_destroy(solver);
    }
}

/* M y' = -M D y: y' = -D y. */
static int linear(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    dy[0] = -(2*y[0] + 100*y[1]), dy[1] = -(y[0] + 300*y[1]);
    return 0;
}
static int linear_jvp(double t, const double *y, const double *p, double vt, const double *vy, const double *vp, double *dv,
                      void *ctx) {
    (void)y, (void)vt, (void)vp;
    return linear(t, vy, p, dv, ctx);
}

static void regular_mass(void **state) {
    (void)state;
    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = linear, .jvp = linear_jvp);
    const nde_field field = nde_field_pointwise(&one, 2, 0);
    const double mass[] = { 2, 1, 1, 3 }, y0[] = { 1, 1 }, dy0[] = { -1, -100 };
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .t1 = 2, .y0 = y0);
    for (int k = 0; k < 4; k++) {
        const nde_stiff_options stiff = NDE_INIT(nde_stiff_options, .mass = mass, .dy0 = k == 1 ? dy0 : NULL, .linear = k < 2
                                                 ? NDE_STIFF_DENSE
                                                 : k == 2 ? NDE_STIFF_KRYLOV : NDE_STIFF_BAND, .lower = k == 3,
                                                     .upper = k == 3);
        nde_stiff_solver *solver;
        nde_solution s;
        assert_int_equal(solve(&problem, 1e-9, NULL, &stiff, &solver, &s), NDE_OK);
        for (size_t row = 0; row < 3; row++)
            assert_true(fabs(s.y[2*row] - exp(-s.t[row])) < 1e-6 && fabs(s.y[2*row + 1] - exp(-100*s.t[row])) < 1e-6);
        nde_stiff_destroy(solver);
    }
}

/* y1' + y2' = -(y1 + y2) twice, and y1 = 2 y2 between the two rows: singular, though no column is zero. */
static int hidden(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    dy[0] = -(y[0] + y[1]), dy[1] = dy[0] + y[0] - 2*y[1];
    return 0;
}
static int hidden_jvp(double t, const double *y, const double *p, double vt, const double *vy, const double *vp, double *dv,
                      void *ctx) {
    (void)y, (void)vt, (void)vp;
    return hidden(t, vy, p, dv, ctx);
}

static void singular_mass(void **state) {
    (void)state;
    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = hidden, .jvp = hidden_jvp);
    const nde_field field = nde_field_pointwise(&one, 2, 0);
    const double mass[] = { 1, 1, 1, 1 }, y0[] = { 2, 1 }, dy0[] = { -2, -1 };
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .t1 = 2, .y0 = y0);
    nde_stiff_options stiff = NDE_INIT(nde_stiff_options, .mass = mass);
    nde_stiff_solver *solver;
    nde_solution s;
    assert_int_equal(solve(&problem, 1e-9, NULL, &stiff, &solver, &s), NDE_E_ARG);
    assert_non_null(strstr(nde_stiff_error(NULL), "singular"));
    stiff.dy0 = dy0;
    assert_int_equal(solve(&problem, 1e-9, NULL, &stiff, &solver, &s), NDE_OK);
    assert_true(fabs(s.y_end[0] - 2*exp(-2)) < 1e-7 && fabs(s.y_end[1] - exp(-2)) < 1e-7);
    nde_stiff_destroy(solver);
}

/* An algebraic equation without a solution: no consistent start. */
static int hopeless(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    dy[0] = -y[0], dy[1] = y[1]*y[1] + 1;
    return 0;
}

static void inconsistent(void **state) {
    (void)state;
    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = hopeless);
    const nde_field field = nde_field_pointwise(&one, 2, 0);
    const double diagonal[] = { 1, 0 }, y0[] = { 1, 1 };
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .t1 = 1, .y0 = y0);
    const nde_stiff_options stiff = NDE_INIT(nde_stiff_options, .mass_diagonal = diagonal);
    nde_stiff_solver *solver;
    nde_solution s;
    const nde_status status = solve(&problem, 1e-6, NULL, &stiff, &solver, &s);
    assert_true(status == NDE_E_ARG || status == NDE_E_STEPSIZE);
    assert_true(s.t_end[0] == 0);
    nde_stiff_destroy(solver);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(robertson),
        cmocka_unit_test(regular_mass),
        cmocka_unit_test(singular_mass),
        cmocka_unit_test(inconsistent),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
