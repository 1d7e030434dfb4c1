/* SPDX-License-Identifier: MIT
 * doubling.c - step doubling: the compound step is the two half steps and the whole one; methods without an estimate become
 * adaptive, alone, in ensembles and with joint steps; gradients are those of the compound step; what has no meaning is refused.
 * Its tables are checked in method/tables.c, its orders in orders.c and its tolerances in proportion.c. */
#include <math.h>
#include <string.h>

#define SINGLE (sizeof(nde_real) == sizeof(float))
enum { LANES = 150 };

/* y0' = p0 y1, y1' = p1 sin(y0) t. */
static int swing(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)ctx;
    dy[0] = p[0]*y[1], dy[1] = (nde_real)((double)p[1]*sin((double)y[0])*t);
    return 0;
}
static int swing_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap,
                     double *at, void *ctx) {
    (void)ctx;
    const double s = sin((double)y[0]);
    ay[0] += (nde_real)((double)p[1]*cos((double)y[0])*t*(double)a[1]), ay[1] += p[0]*a[0];
    if (ap) ap[0] += (double)y[1]*(double)a[0], ap[1] += s*t*(double)a[1];
    if (at) *at += (double)p[1]*s*(double)a[1];
    return 0;
}
static const nde_pointwise one = { .f = swing, .vjp = swing_vjp };
static const nde_real p[] = { 1, (nde_real)-1.5 }, start[] = { (nde_real)0.7, (nde_real)-0.2 };

static nde_real y_end[2][2*LANES];

/* The state where a problem of n lanes ends. */
static const nde_real *solve(int which, const nde_problem *problem, const nde_options *options) {
    nde_solution s = { 0 };
    if (nde_solve(problem, options, &s)) fail_msg("%s", s.error ? s.error : nde_error());
    memcpy(y_end[which], s.y_end, 2*s.n*sizeof *s.y_end);
    nde_solution_free(&s);
    return y_end[which];
}

/* One compound step is half steps, extrapolated with the whole step. */
static void a_step_is_two_halves_and_a_whole(void **state) {
    (void)state;
    const nde_field field = nde_field_pointwise(&one, 2, 2);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = start, .p = p, .t0 = 0.3, .t1 = 0.5);
    for (size_t m = 0; m < nde_method_count(); m++) {
        const nde_method *method = nde_method_at(m);
        if (nde_method_kind(method) != NDE_KIND_RUNGE_KUTTA) continue;
        nde_options options = NDE_INIT(nde_options, .method = nde_method_id(method), .steps = 1);
        nde_real whole[2], half[2];
        memcpy(whole, solve(0, &problem, &options), sizeof whole);
        options.steps = 2;
        memcpy(half, solve(0, &problem, &options), sizeof half);
        options.steps = 1, options.error = NDE_ERROR_DOUBLING;
        const nde_real *compound = solve(0, &problem, &options);
        const double share = pow(2, nde_method_order(method)) - 1;
        for (int i = 0; i < 2; i++) {
            const double expected = (double)half[i] + ((double)half[i] - (double)whole[i])/share;
            assert_true(fabs((double)compound[i] - expected) <= 64*NDE_TEST_EPS);
        }
    }
}

/* Lanes have the bits of trajectories alone; joint steps stay within the tolerance; the caller's table is its method. */
static void it_serves_ensembles_and_tables(void **state) {
    (void)state;
    static nde_real y0[2*LANES];
    const nde_field field = nde_field_pointwise(&one, 2, 2);
    for (size_t b = 0; b < LANES; b++) y0[b] = (nde_real)(0.01*(double)b), y0[LANES + b] = (nde_real)(0.5 - 0.005*(double)b);
    const nde_problem problem = NDE_INIT(nde_problem, .n = LANES, .drift = &field, .y0 = y0, .p = p, .t1 = 3);
    nde_options options = NDE_INIT(nde_options, .method = NDE_RK4, .error = NDE_ERROR_DOUBLING, .group = LANES);
    const nde_real *all = solve(0, &problem, &options);
    for (size_t b = 0; b < LANES; b += 13) {
        const nde_real y[] = { y0[b], y0[LANES + b] };
        const nde_problem alone = NDE_INIT(nde_problem, .drift = &field, .y0 = y, .p = p, .t1 = 3);
        const nde_real *end = solve(1, &alone, &options);
        assert_true(end[0] == all[b] && end[1] == all[LANES + b]);
    }
    options.stepping = NDE_STEP_JOINT;
    const nde_real *joint = solve(1, &problem, &options);
    for (size_t i = 0; i < 2*LANES; i++) assert_true(fabs((double)(joint[i] - all[i])) <= (SINGLE ? 2e-3 : 2e-5));
    const double a[] = { 0.5, 0, 0.5, 0, 0, 1 }, b[] = { 1.0/6, 1.0/3, 1.0/3, 1.0/6 };
    const nde_tableau own = NDE_INIT(nde_tableau, .stages = 4, .a = a, .b = b, .order = 4);
    options.method = 0, options.tableau = &own, options.stepping = NDE_STEP_INDEPENDENT;
    assert_memory_equal(solve(1, &problem, &options), all, sizeof y_end[0]);
}

/* sum of y(t1) by y0 and p, against differences of the same fixed steps; the same bits in every form of the record. */
static void gradients_are_those_of_the_compound_step(void **state) {
    (void)state;
    const nde_field field = nde_field_pointwise(&one, 2, 2);
    nde_real x[4] = { start[0], start[1], p[0], p[1] };
    const nde_real seed_end[] = { 1, 1 };
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = x, .p = x + 2, .t1 = 2);
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = seed_end);
    nde_real g[4], first[4];
    for (int form = NDE_RECORD_TAPE; form <= NDE_RECORD_CHECKPOINTS; form++) {
        const nde_options options = NDE_INIT(nde_options, .method = NDE_RK4, .error = NDE_ERROR_DOUBLING, .steps = 7,
                                             .adjoint = NDE_ADJOINT_DISCRETE, .record = form, .budget = 1 << 20);
        nde_solver *solver = NULL;
        assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_OK);
        assert_int_equal(nde_solver_run(solver, NULL), NDE_OK);
        const nde_gradient gradient = NDE_INIT(nde_gradient, .y0 = g, .p = g + 2);
        assert_int_equal(nde_backward(solver, &seed, &gradient), NDE_OK);
        nde_solver_destroy(solver);
        if (form == NDE_RECORD_TAPE) memcpy(first, g, sizeof g);
        assert_memory_equal(g, first, sizeof g);
    }
    const nde_options options = NDE_INIT(nde_options, .method = NDE_RK4, .error = NDE_ERROR_DOUBLING, .steps = 7);
    const nde_real by = (nde_real)(SINGLE ? 1e-2 : 1e-5);
    for (int i = 0; i < 4; i++) {
        const nde_real was = x[i];
        double up, down;
        x[i] = was + by, up = (double)solve(0, &problem, &options)[0] + (double)y_end[0][1];
        x[i] = was - by, down = (double)solve(0, &problem, &options)[0] + (double)y_end[0][1];
        x[i] = was;
        assert_true(fabs((up - down)/(2*(double)by) - (double)first[i]) <= (SINGLE ? 1e-3 : 1e-8));
    }
}

static void what_cannot_be_doubled_is_refused(void **state) {
    (void)state;
    const nde_field field = nde_field_pointwise(&one, 2, 2);
    nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = start, .p = p, .t1 = 1, .split = 1);
    nde_options options = NDE_INIT(nde_options, .error = NDE_ERROR_DOUBLING);
    nde_solver *solver;
    assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "velocity_verlet"));
    problem.split = 0;
    static double a[22*21/2], b[22], c[22];
    for (int i = 0; i < 22; i++) b[i] = 1.0/22;
    const nde_tableau large = NDE_INIT(nde_tableau, .stages = 22, .a = a, .b = b, .c = c, .order = 1);
    nde_tableau wrong = large;
    options.tableau = &large;
    assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "22 stages"));
    const int orders[] = { 0, -1, INT32_MAX, INT32_MIN };
    for (int i = 0; i < 4; i++) {
        wrong.stages = 4, wrong.order = orders[i], options.tableau = &wrong;
        assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_E_ARG);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_two_halves_and_a_whole),
        cmocka_unit_test(it_serves_ensembles_and_tables),
        cmocka_unit_test(gradients_are_those_of_the_compound_step),
        cmocka_unit_test(what_cannot_be_doubled_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
