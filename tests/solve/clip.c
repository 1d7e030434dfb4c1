/* SPDX-License-Identifier: MIT
 * clip.c - steps end at options.clip_t, and the right-hand side may be discontinuous there. Facts of tests: diffrax,
 * test_adaptive_ stepsize_controller (steps at 3 and 4; a forced oscillator that switches at 7.5). */
#include <math.h>
#include <string.h>

#include "method/method.h"
#include "solve/anew.h"

enum { N = 20, ROWS = 2000 };
static const double pi = 3.14159265358979323846;

/* x'' = -4 pi^2 x - 0.2 pi x' + 10 before 7.5, - 10 from then on. */
static size_t early, late;
static double last_early, first_late;
static int switched(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)p, (void)ctx;
    if (t < 7.5) early++, last_early = fmax(last_early, t);
    else late++, first_late = fmin(first_late, t);
    dy[0] = y[1];
    dy[1] = (nde_real)(-4*pi*pi*(double)y[0] - 0.2*pi*(double)y[1] + (t < 7.5 ? 10 : -10));
    return 0;
}
static int switched_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
                        void *ctx) {
    (void)t, (void)y, (void)p, (void)ap, (void)at, (void)ctx;
    if (ay) ay[0] += (nde_real)(-4*pi*pi)*a[1], ay[1] += a[0] + (nde_real)(-0.2*pi)*a[1];
    return 0;
}

typedef struct rig {
    nde_pointwise one;
    nde_field drift;
    nde_problem problem;
    nde_options options;
    nde_solution solution;
    nde_solver *solver;
    nde_real y0[2*N];
} rig;
static const double at_switch[3] = { 20, 7.5, 7.5 }, three_four[2] = { 4, 3 };

static void make(rig *r, size_t n, double t0, double t1) {
    nde_solver_destroy(r->solver); /* of the rig before */
    memset(r, 0, sizeof *r);
    for (size_t j = 0; j < n; j++) r->y0[j] = (nde_real)(1.5 + 0.01*(double)j);
    r->one = NDE_INIT(nde_pointwise, .f = switched, .vjp = switched_vjp);
    r->drift = nde_field_pointwise(&r->one, 2, 0);
    r->problem = NDE_INIT(nde_problem, .n = n, .t0 = t0, .t1 = t1, .y0 = r->y0, .drift = &r->drift);
    r->options = NDE_INIT(nde_options, .method = NDE_DOPRI5, .rtol = 1e-4, .atol = 1e-6, .save_every = 1, .save_rows = ROWS,
                          .budget = 1 << 24);
    r->solution = NDE_INIT(nde_solution, .n = 0);
}
static void run(rig *r) {
    early = late = 0, last_early = -HUGE_VAL, first_late = HUGE_VAL;
    assert_int_equal(run_anew(&r->solver, &r->problem, &r->options, &r->solution), NDE_OK);
}
static void drop(rig *r) { nde_solver_destroy(r->solver), r->solver = NULL; }

static void steps_end_there(void **state) {
    (void)state;
    static rig r;
    for (int mode = 0; mode < 12; mode++) {
        const double t0 = mode & 1 ? 5 : 0;
        make(&r, mode & 2 ? N : 1, t0, 5 - t0);
        r.options.clip_t = three_four, r.options.n_clip = 2;
        r.options.stepping = mode/4 == 1, r.options.steps = mode/4 == 2 ? 7 : 0;
        run(&r);
        for (size_t j = 0; j < r.solution.n; j++) {
            int hits = 0;
            for (size_t row = 0; row < r.solution.saved[j]; row++)
                hits += r.solution.t[row*r.solution.n + j] == 3 || r.solution.t[row*r.solution.n + j] == 4;
            assert_int_equal(hits, 2);
        }
    }
    drop(&r);
}

static void it_may_be_discontinuous(void **state) {
    (void)state;
    static rig r;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *method = nde_method_at(k);
        if (nde_method_error_order(method) < 3 || nde_method_kind(method) != NDE_KIND_RUNGE_KUTTA) continue;
        for (int joint = 0; joint < 2; joint++) {
            make(&r, 1, 0, 15);
            r.options.method = nde_method_id(method), r.options.stepping = joint;
            run(&r);
            const int64_t before = r.solution.stats->accepted + r.solution.stats->rejected;
            r.options.clip_t = at_switch, r.options.n_clip = 3;
            run(&r);
            const int64_t now = r.solution.stats->accepted + r.solution.stats->rejected;
            if (now >= before)
                fail_msg("%s: %lld attempts, without the clip %lld", nde_method_name(method), (long long)now,
                         (long long)before);
            assert_true(last_early < 7.5 && first_late == 7.5);
            bool ends = false;
            for (int i = 0; i < method->stages; i++) ends = ends || method->c[i] == 1;
            if (ends) assert_true(last_early == nextafter(7.5, 0));
        }
    }
    drop(&r);
}

static int stays(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *z) {
    (void)self;
    for (size_t i = 0; i < 2; i++) memcpy(z + i*at->ld, y + i*at->ld, at->n*sizeof *z);
    return 0;
}

/* A jump at the time of a clip leaves the clip what it is. */
static void a_jump_may_be_there_too(void **state) {
    (void)state;
    static rig r;
    static const double when[1] = { 7.5 };
    const nde_field stay = { .size = sizeof stay, .dim = 2, .out = 2, .eval = stays };
    make(&r, 1, 0, 15);
    r.problem.jump = &stay, r.problem.jump_t = when, r.problem.n_jumps = 1;
    r.options.clip_t = at_switch, r.options.n_clip = 3;
    run(&r);
    assert_true(last_early == nextafter(7.5, 0) && first_late == 7.5);
    drop(&r);
}

/* Fixed steps make a linear map of y0: its transpose is exact. */
static void it_has_gradients(void **state) {
    (void)state;
    static rig r, moved;
    for (int record = NDE_RECORD_TAPE; record <= NDE_RECORD_CHECKPOINTS; record++) {
        make(&r, N, 0, 15);
        r.options.steps = 400, r.options.adjoint = NDE_ADJOINT_DISCRETE, r.options.record = record;
        r.options.clip_t = at_switch, r.options.n_clip = 3, r.options.save_every = 0;
        r.problem.t1 = 8.01;
        run(&r);
        nde_real a[2*N], g[2*N];
        for (size_t i = 0; i < 2*N; i++) a[i] = (nde_real)cos((double)i);
        assert_int_equal(nde_backward(r.solver, &NDE_INIT(nde_seed, .y_end = a), &(nde_gradient){ .y0 = g }), NDE_OK);
        drop(&moved);
        moved = r;
        moved.solver = NULL, moved.problem.y0 = moved.y0, moved.options.adjoint = NDE_ADJOINT_NONE;
        moved.drift = nde_field_pointwise(&moved.one, 2, 0), moved.problem.drift = &moved.drift;
        for (size_t i = 0; i < 2*N; i++) moved.y0[i] += (nde_real)sin((double)i);
        run(&moved);
        for (size_t j = 0; j < N; j++) {
            double left = 0, right = 0;
            for (size_t i = j; i < 2*N; i += N) {
                left += (double)(a[i]*(moved.solution.y_end[i] - r.solution.y_end[i]));
                right += (double)(g[i]*(moved.y0[i] - r.y0[i]));
            }
            assert_true(fabs(left - right) < 2000*NDE_TEST_EPS);
        }
    }
    drop(&r), drop(&moved);
}

static void arguments(void **state) {
    (void)state;
    static rig r;
    const double bad[2] = { 1, (double)NAN };
    make(&r, 1, 0, 1);
    r.options.clip_t = bad, r.options.n_clip = 2;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "options.clip_t[1] is nan"));
    r.options.clip_t = NULL;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "options.clip_t is NULL"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(steps_end_there), cmocka_unit_test(it_may_be_discontinuous),
        cmocka_unit_test(a_jump_may_be_there_too), cmocka_unit_test(it_has_gradients),
        cmocka_unit_test(arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
