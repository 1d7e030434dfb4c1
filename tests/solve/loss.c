/* SPDX-License-Identifier: MIT
 * loss.c - problem.loss: value and gradient in one call equal the run, the loss and the way back done by hand. */
#include <math.h>
#include <string.h>

enum { N = 7, DIM = 2, SAVES = 5 };

static int field(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)ctx, (void)t;
    dy[0] = p[0]*y[1], dy[1] = -p[1]*y[0]*y[0];
    return 0;
}
static int field_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
                     void *ctx) {
    (void)ctx, (void)t, (void)at;
    if (ay) ay[0] += -2*p[1]*y[0]*a[1], ay[1] += p[0]*a[0];
    if (ap) ap[0] += (double)(y[1]*a[0]), ap[1] += (double)(-y[0]*y[0]*a[1]);
    return 0;
}

/* 1/2 sum y^2, weighted by the row's number; the last row of lanes that did not get there is NaN and left out. */
typedef struct watch {
    size_t calls, fail_at;
    double t[16];
    bool gave_cotangent;
} watch;
static int at(void *ctx, size_t save, double t, size_t n, const nde_real *y, double *value, nde_real *a_y) {
    watch *w = ctx;
    w->t[save] = t;
    w->calls++;
    w->gave_cotangent = a_y != NULL;
    if (save == w->fail_at) return 42;
    for (size_t i = 0; i < DIM*n; i++) {
        if (isnan(y[i])) continue;
        *value += 0.5*(double)(save + 1)*(double)(y[i]*y[i]);
        if (a_y) {
            assert_true(a_y[i] == 0);
            a_y[i] = (nde_real)(save + 1)*y[i];
        }
    }
    return 0;
}

static const nde_pointwise one = { .size = sizeof one, .f = field, .vjp = field_vjp };
static const double save_t[SAVES] = { 0, 0.25, 0.5, 0.9, 1 };
static const nde_real p[2] = { (nde_real)1.25, (nde_real)0.75 };
static nde_real begin[DIM*N];

typedef struct rig {
    watch w;
    nde_loss loss;
    nde_field drift;
    nde_problem problem;
    nde_options options;
} rig;
static void make(rig *r, int joint, bool all_times) {
    for (size_t i = 0; i < DIM*N; i++) begin[i] = (nde_real)cos(1 + (double)i);
    *r = (rig){ .w = { .fail_at = SIZE_MAX } };
    r->loss = NDE_INIT(nde_loss, .at = at, .ctx = &r->w);
    r->drift = nde_field_pointwise(&one, DIM, 2);
    r->problem = NDE_INIT(nde_problem, .n = N, .t1 = 1, .y0 = begin, .p = p, .drift = &r->drift, .loss = &r->loss);
    r->options = NDE_INIT(nde_options, .stepping = joint, .adjoint = NDE_ADJOINT_DISCRETE, .budget = 1 << 22);
    if (all_times) r->options.save_t = save_t, r->options.n_save = SAVES;
}

static void in_one_call(void **state) {
    (void)state;
    for (int joint = 0; joint < 2; joint++)
        for (int all = 0; all < 2; all++) {
            rig r;
            make(&r, joint, all);
            const size_t rows = all ? SAVES : 1;
            nde_solver *solver;
            assert_int_equal(nde_solver_create(&r.problem, &r.options, &solver), NDE_OK);
            nde_solution solution = NDE_INIT(nde_solution, .n = 0);
            assert_int_equal(nde_solver_run(solver, &solution), NDE_OK);
            assert_int_equal(r.w.calls, rows);
            for (size_t k = 0; k < rows; k++) assert_true(r.w.t[k] == (all ? save_t[k] : 1));
            static nde_real seed_y[SAVES*DIM*N];
            double value = 0;
            for (size_t k = 0; k < rows; k++)
                for (size_t i = 0; i < DIM*N; i++) {
                    const nde_real y = solution.y[k*DIM*N + i];
                    value += 0.5*(double)(k + 1)*(double)(y*y);
                    seed_y[k*DIM*N + i] = (nde_real)(k + 1)*y;
                }
            assert_true(solution.loss == value);
            nde_real by_hand[2], g[2], hand_y0[DIM*N], g_y0[DIM*N];
            const nde_seed seed = NDE_INIT(nde_seed, .y = seed_y);
            const nde_gradient hand = NDE_INIT(nde_gradient, .p = by_hand, .y0 = hand_y0);
            const nde_gradient gradient = NDE_INIT(nde_gradient, .p = g, .y0 = g_y0);
            assert_int_equal(nde_backward(solver, &seed, &hand), NDE_OK);
            double got = 0;
            assert_int_equal(nde_value_and_gradient(solver, &got, &gradient), NDE_OK);
            assert_true(got == value);
            assert_memory_equal(g, by_hand, sizeof g);
            assert_memory_equal(g_y0, hand_y0, sizeof g_y0);
            memset(g, 0, sizeof g);
            assert_int_equal(nde_backward(solver, NULL, &gradient), NDE_OK);
            assert_memory_equal(g, by_hand, sizeof g);
            assert_true(by_hand[0] != 0 && by_hand[1] != 0);
            nde_solver_destroy(solver);
        }
}

/* In pieces, and without an adjoint. */
static void other_ways(void **state) {
    (void)state;
    rig r;
    make(&r, 0, true);
    nde_solver *solver;
    nde_solution solution = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &solver), NDE_OK);
    assert_int_equal(nde_solver_run(solver, &solution), NDE_OK);
    const double whole = solution.loss;
    nde_status status = NDE_UNFINISHED;
    assert_int_equal(nde_solver_steps(solver, 1, &solution), NDE_UNFINISHED);
    assert_true(isnan(solution.loss));
    while (status == NDE_UNFINISHED) status = nde_solver_steps(solver, 2, &solution);
    assert_int_equal(status, NDE_OK);
    assert_true(solution.loss == whole);
    nde_solver_destroy(solver);
    r.options.adjoint = NDE_ADJOINT_NONE;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &solver), NDE_OK);
    assert_int_equal(nde_solver_run(solver, &solution), NDE_OK);
    assert_true(solution.loss == whole);
    assert_false(r.w.gave_cotangent);
    double value;
    nde_real g[2];
    const nde_gradient gradient = NDE_INIT(nde_gradient, .p = g);
    assert_int_equal(nde_value_and_gradient(solver, &value, &gradient), NDE_E_ARG);
    assert_non_null(strstr(nde_solver_error(solver), "problem.loss"));
    nde_solver_destroy(solver);
}

static void failures(void **state) {
    (void)state;
    rig r;
    make(&r, 0, true);
    nde_solver *solver;
    nde_solution solution = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &solver), NDE_OK);
    double value;
    nde_real g[2] = { 5, 5 };
    const nde_gradient gradient = NDE_INIT(nde_gradient, .p = g);
    r.w.fail_at = 3;
    assert_int_equal(nde_solver_run(solver, &solution), NDE_E_FIELD);
    assert_non_null(strstr(nde_solver_error(solver), "problem.loss returned 42 at save time 3"));
    assert_int_equal(nde_value_and_gradient(solver, &value, &gradient), NDE_E_FIELD);
    assert_true(isnan(value) && g[0] == 5);
    assert_int_equal(nde_backward(solver, NULL, &gradient), NDE_E_ARG);
    r.w.fail_at = SIZE_MAX;
    assert_int_equal(nde_value_and_gradient(solver, &value, &gradient), NDE_OK);
    assert_int_equal(nde_value_and_gradient(solver, NULL, &gradient), NDE_E_ARG);
    assert_int_equal(nde_value_and_gradient(solver, &value, NULL), NDE_E_ARG);
    assert_int_equal(nde_value_and_gradient(NULL, &value, &gradient), NDE_E_ARG);
    nde_solver_destroy(solver);

    begin[3] = (nde_real)NAN; /* a lane that cannot start: NaN in its rows, a constant in the gradient */
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &solver), NDE_OK);
    assert_int_equal(nde_value_and_gradient(solver, &value, &gradient), NDE_E_LANES);
    assert_true(isfinite(value) && isfinite(g[0]));
    nde_solver_destroy(solver);

    r.loss.at = NULL;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "problem.loss.at"));
    r.loss.at = at;
    r.options.save_every = 1, r.options.save_t = NULL, r.options.n_save = 0;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "save_every"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_one_call), cmocka_unit_test(other_ways), cmocka_unit_test(failures),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
