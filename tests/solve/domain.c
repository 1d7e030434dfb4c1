/* SPDX-License-Identifier: MIT
 * domain.c - solutions stay where they may be, or end with NDE_E_DOMAIN at a state that is inside. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/method.h"
#include "solve/anew.h"

enum { N = 70, ROWS = 4000 };

/* y' = (-p y0, p y0 - y1): decays, steeply. */
static int decay(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    dy[0] = -p[0]*y[0], dy[1] = p[0]*y[0] - y[1];
    return 0;
}
static int decay_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
                     void *ctx) {
    (void)t, (void)at, (void)ctx;
    if (ay) ay[0] += p[0]*(a[1] - a[0]), ay[1] -= a[1];
    if (ap) ap[0] += (double)(y[0]*(a[1] - a[0]));
    return 0;
}
/* y0' = -1: leaves at t = y0(0), whatever is done. */
static int falls(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)y, (void)p, (void)ctx;
    dy[0] = -1, dy[1] = 1;
    return 0;
}
static int flips(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *out) {
    (void)self;
    for (size_t i = 0; i < 2; i++)
        for (size_t b = 0; b < at->n; b++) out[i*at->ld + b] = -y[i*at->ld + b];
    return 0;
}

typedef struct rig {
    nde_pointwise one;
    nde_field drift, jump;
    nde_domain domain;
    nde_problem problem;
    nde_options options;
    nde_solution solution;
    nde_solver *solver;
    nde_real y0[2*N], p[1];
} rig;

static const size_t first[1] = { 0 };
static const double half[1] = { 0.5 };

static int is_inside(void *ctx, size_t trajectory, double t, const nde_real *y) {
    assert_true(trajectory < N && t >= 0 && t <= 2);
    (void)ctx;
    return y[0] >= 0;
}

static void make(rig *r, size_t n, int (*f)(double, const nde_real *, const nde_real *, nde_real *, void *), bool predicate) {
    nde_solver_destroy(r->solver); /* of the rig before */
    memset(r, 0, sizeof *r);
    for (size_t j = 0; j < n; j++) r->y0[j] = (nde_real)(1 + 0.019*(double)j);
    r->p[0] = 40;
    r->one = NDE_INIT(nde_pointwise, .f = f, .vjp = f == decay ? decay_vjp : NULL);
    r->drift = nde_field_pointwise(&r->one, 2, 1);
    r->domain = NDE_INIT(nde_domain, .positive = predicate ? NULL : first, .n_positive = !predicate,
                         .inside = predicate ? is_inside : NULL);
    r->problem = NDE_INIT(nde_problem, .n = n, .t1 = 2, .y0 = r->y0, .p = r->p, .drift = &r->drift, .domain = &r->domain);
    r->options = NDE_INIT(nde_options, .rtol = 0.1, .atol = 0.1, .save_every = 1, .save_rows = ROWS, .budget = 1 << 24);
    r->solution = NDE_INIT(nde_solution, .n = 0);
}
static nde_status run(rig *r) { return run_anew(&r->solver, &r->problem, &r->options, &r->solution); }
static void drop(rig *r) { nde_solver_destroy(r->solver), r->solver = NULL; }

static bool goes_below(const rig *r) {
    const nde_solution *s = &r->solution;
    for (size_t j = 0; j < s->n; j++)
        for (size_t row = 0; row < s->saved[j]; row++)
            if (s->y[row*2*s->n + j] < 0) return true;
    return false;
}

static void steps_stay_inside(void **state) {
    (void)state;
    static rig r;
    size_t below = 0;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *method = nde_method_at(k);
        if (!nde_method_error_order(method) || nde_method_kind(method) != NDE_KIND_RUNGE_KUTTA) continue;
        for (int mode = 0; mode < 8; mode++) {
            make(&r, mode & 1 ? N : 1, decay, mode & 2);
            r.options.stepping = mode >> 2, r.options.adjoint = mode == 3, r.options.method = nde_method_id(method);
            r.problem.domain = NULL;
            assert_int_equal(run(&r), NDE_OK);
            below += goes_below(&r);
            r.problem.domain = &r.domain;
            assert_int_equal(run(&r), NDE_OK);
            assert_false(goes_below(&r));
            if (!r.options.adjoint) continue;
            nde_real g[2*N], a[2*N];
            for (size_t i = 0; i < 2*N; i++) a[i] = 1;
            assert_int_equal(nde_backward(r.solver, &NDE_INIT(nde_seed, .y_end = a), &(nde_gradient){ .y0 = g }), NDE_OK);
            for (size_t i = 0; i < 2*N; i++) assert_true(isfinite(g[i]));
        }
    }
    assert_true(below > 0); /* else this test says nothing */
    drop(&r);
}

static void there_is_no_way_on(void **state) {
    (void)state;
    static rig r;
    for (int mode = 0; mode < 12; mode++) {
        make(&r, mode & 1 ? N : 1, falls, mode & 2);
        const bool joint = mode/4 == 1, fixed = mode/4 == 2;
        r.options.stepping = joint, r.options.steps = fixed ? 300 : 0;
        const nde_status status = run(&r);
        assert_int_equal(status, mode & 1 && !joint ? NDE_E_LANES : NDE_E_DOMAIN);
        assert_false(goes_below(&r));
        for (size_t j = 0; j < r.solution.n; j++) {
            const double leaves = joint ? 1 : (double)r.y0[j], near = fixed ? 2.01/300 : 1e-3;
            if (leaves > 2) continue;
            assert_int_equal(r.solution.status[j], NDE_E_DOMAIN);
            assert_true(r.solution.t_end[j] <= leaves + 300*NDE_TEST_EPS && r.solution.t_end[j] > leaves - near);
            assert_true(r.solution.y_end[j] >= 0);
        }
        const char *text = r.solution.error;
        assert_non_null(strstr(text, "trajectory 0: the solution leaves its domain at t = "));
        assert_true((strstr(text, "component 0") != NULL) == !(mode & 2));
    }
    drop(&r);
}

/* The second component may be zero but not less; it begins there and comes back to it. */
static int bows(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)y, (void)p, (void)ctx;
    dy[0] = -1, dy[1] = t < 0.5 ? 1 : -1;
    return 0;
}

static void zero_is_inside(void **state) {
    (void)state;
    static const size_t second[1] = { 1 };
    static rig r;
    make(&r, 3, bows, false);
    for (size_t j = 0; j < 3; j++) r.y0[j] = -1, r.y0[3 + j] = 0;
    /* numbers without rounding */
    r.domain.positive = second, r.options.method = NDE_EULER, r.options.steps = 8, r.problem.t1 = 1;
    assert_int_equal(run(&r), NDE_OK);
    for (size_t j = 0; j < 3; j++) assert_true(r.solution.y_end[3 + j] == 0);
    r.problem.t1 = 1.125, r.options.steps = 9;
    assert_int_equal(run(&r), NDE_E_LANES);
    assert_true(r.solution.status[1] == NDE_E_DOMAIN && r.solution.t_end[1] == 1);
    assert_non_null(strstr(r.solution.error, "component 1"));
    drop(&r);
}

/* Trajectory j may go as far as t = 0.5 + j/4. */
static int in_time(void *ctx, size_t trajectory, double t, const nde_real *y) {
    (void)ctx, (void)y;
    return t <= 0.5 + 0.25*(double)trajectory;
}

static void the_predicate_sees_who_and_when(void **state) {
    (void)state;
    static rig r;
    for (int refilled = 0; refilled < 2; refilled++) {
        make(&r, 5, falls, true);
        for (size_t j = 0; j < 5; j++) r.y0[j] = 9;
        r.domain.inside = in_time, r.options.steps = 16, r.options.group = refilled ? 2 : 0;
        assert_int_equal(run(&r), NDE_E_LANES);
        for (size_t j = 0; j < 5; j++)
            assert_true(r.solution.status[j] == NDE_E_DOMAIN && r.solution.t_end[j] == 0.5 + 0.25*(double)j);
    }
    drop(&r);
}

static void starts_and_jumps_outside(void **state) {
    (void)state;
    static rig r;
    static rig one;
    for (int mode = 0; mode < 4; mode++) {
        make(&r, N, decay, mode & 1);
        r.y0[3] = -1;
        r.options.stepping = 0;
        assert_int_equal(run(&r), NDE_E_LANES);
        assert_true(r.solution.status[3] == NDE_E_DOMAIN && r.solution.t_end[3] == 0 && r.solution.y_end[3] == -1);
        assert_true(r.solution.stats[3].rejected == 0 && r.solution.saved[3] == 0); /* nothing was tried */
        make(&one, 1, decay, mode & 1);
        one.y0[0] = r.y0[50];
        assert_int_equal(run(&one), NDE_OK);
        assert_true(one.solution.y_end[0] == r.solution.y_end[50] && one.solution.y_end[1] == r.solution.y_end[N + 50]);

        make(&r, mode & 2 ? N : 1, decay, mode & 1);
        r.jump = NDE_INIT(nde_field, .name = "flip", .dim = 2, .out = 2, .eval = flips);
        r.problem.jump = &r.jump, r.problem.jump_t = half, r.problem.n_jumps = 1;
        assert_int_equal(run(&r), mode & 2 ? NDE_E_LANES : NDE_E_DOMAIN);
        assert_true(r.solution.t_end[0] == 0.5 && r.solution.y_end[0] >= 0);
    }
    drop(&r), drop(&one);
}

static void refused(rig *r, const char *text) {
    assert_int_equal(nde_solver_create(&r->problem, &r->options, &r->solver), NDE_E_ARG);
    if (!strstr(nde_error(), text)) fail_msg("%s is not in: %s", text, nde_error());
}

static void arguments(void **state) {
    (void)state;
    static rig r;
    const size_t two[2] = { 0, 2 };
    make(&r, 1, decay, false);
    r.domain.positive = two, r.domain.n_positive = 2, refused(&r, "positive[1] is 2");
    r.domain.n_positive = 3, refused(&r, "n_positive is 3");
    r.domain.positive = NULL, refused(&r, "positive is NULL");
    r.domain.size = 9, refused(&r, "size is 9");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_stay_inside), cmocka_unit_test(there_is_no_way_on),
        cmocka_unit_test(zero_is_inside), cmocka_unit_test(the_predicate_sees_who_and_when),
        cmocka_unit_test(starts_and_jumps_outside), cmocka_unit_test(arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
