/* SPDX-License-Identifier: MIT
 * norms.c - how errors are measured: tolerances of each trajectory, weights of components, the largest instead of the mean, the
 * caller's own norm. A component that is left out, or a trajectory with tolerances of its own, goes as if it were alone:
 * the same bits. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "method/method.h"
#include "solve/anew.h"

enum { DIM = 3, N = 140, SAVES = 4 };
static const double save_t[SAVES] = { 0.5, 1, 1.5, 2 };

/* Three equations that know nothing of each other, each of its own pace; lane after lane, so that one row alone has the
 * same bits. */
static nde_real slope_of(size_t row, double t, nde_real y) {
    static const double pace[DIM] = { 1, 7, 30 };
    return (nde_real)(pace[row]*cos(pace[row]*t))*y;
}
static int eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const size_t first = self->dim == 1 ? *(const size_t *)self->ctx : 0;
    for (size_t i = 0; i < self->dim; i++)
        for (size_t b = 0; b < at->n; b++) dy[i*at->ld + b] = slope_of(first + i, at->t[b], y[i*at->ld + b]);
    return 0;
}

typedef struct rig {
    size_t row;
    nde_field drift;
    nde_problem problem;
    nde_options options;
    nde_error_norm own;
    nde_solution solution;
    nde_solver *solver;
    nde_real y0[DIM*N];
} rig;

static void make(rig *r, size_t n, size_t dim, size_t row, const nde_method *method) {
    nde_solver_destroy(r->solver); /* of the rig before */
    memset(r, 0, sizeof *r);
    for (size_t i = 0; i < dim*n; i++) r->y0[i] = 1;
    r->row = row;
    r->drift = NDE_INIT(nde_field, .name = "paces", .dim = dim, .out = dim, .eval = eval, .ctx = &r->row);
    r->problem = NDE_INIT(nde_problem, .n = n, .t1 = 2, .y0 = r->y0, .drift = &r->drift);
    r->options = NDE_INIT(nde_options, .method = nde_method_id(method), .rtol = 1e-3, .atol = 1e-4, .save_t = save_t,
                          .n_save = SAVES, .budget = 1 << 22);
    r->solution = NDE_INIT(nde_solution, .n = 0);
}

static nde_status run(rig *r) { return run_anew(&r->solver, &r->problem, &r->options, &r->solution); }
static void drop(rig *r) { nde_solver_destroy(r->solver), r->solver = NULL; }

/* Each adaptive method of the registry. */
#define EACH_METHOD(m)                                      \
    for (size_t k_ = 0; k_ < nde_method_count(); k_++)      \
        for (const nde_method *m = nde_method_at(k_); m; m = NULL) \
            if (nde_method_error_order(m) && nde_method_kind(m) == NDE_KIND_RUNGE_KUTTA)

static const double ones[DIM] = { 1, 1, 1 };

static void equal_measures_change_nothing(void **state) {
    (void)state;
    static rig usual, r;
    double rtol[N], atol[N];
    for (size_t j = 0; j < N; j++) rtol[j] = 1e-3, atol[j] = 1e-4;
    EACH_METHOD(method)
        for (int joint = 0; joint < 2; joint++)
            for (size_t n = 1; n <= N; n += N - 1) {
                make(&usual, n, DIM, 0, method);
                usual.options.stepping = joint;
                assert_int_equal(run(&usual), NDE_OK);
                for (int what = 0; what < 3; what++) {
                    make(&r, n, DIM, 0, method);
                    r.options.stepping = joint;
                    if (what == 0) r.options.rtol_n = rtol, r.options.rtol = 1;
                    if (what == 1) r.options.atol_n = atol, r.options.atol = 1;
                    if (what == 2) r.options.weights = ones;
                    assert_int_equal(run(&r), NDE_OK);
                    assert_memory_equal(usual.solution.y, r.solution.y, SAVES*DIM*n*sizeof *r.solution.y);
                    assert_memory_equal(usual.solution.stats, r.solution.stats, n*sizeof *r.solution.stats);
                }
            }
    drop(&usual), drop(&r);
}

static void trajectories_have_tolerances(void **state) {
    (void)state;
    static rig all, r;
    double rtol[N], atol[N];
    for (size_t j = 0; j < N; j++) rtol[j] = j % 7 ? pow(10, -2 - (double)(j % 3)) : 0, atol[j] = pow(10, -3 - (double)(j % 4));
    EACH_METHOD(method) {
        if (nde_method_error_order(method) < 2) continue;
        make(&all, N, DIM, 0, method);
        all.options.rtol_n = rtol, all.options.atol_n = atol;
        assert_int_equal(run(&all), NDE_OK);
        for (size_t j = 0; j < N; j += 13) {
            make(&r, 1, DIM, 0, method);
            r.options.rtol = rtol[j] == 0 ? NDE_ZERO : rtol[j], r.options.atol = atol[j];
            assert_int_equal(run(&r), NDE_OK);
            for (size_t i = 0; i < SAVES*DIM; i++)
                assert_memory_equal(all.solution.y + i*N + j, r.solution.y + i, sizeof *r.solution.y);
            assert_memory_equal(&all.solution.stats[j], r.solution.stats, sizeof *r.solution.stats);
        }
    }
    drop(&all), drop(&r);
}

static void components_are_left_out(void **state) {
    (void)state;
    static rig all, r;
    EACH_METHOD(method)
        for (int norm = NDE_NORM_RMS; norm <= NDE_NORM_MAX; norm++)
            for (int joint = 0; joint < 2; joint++)
                for (size_t row = 0; row < DIM; row++) {
                    double weights[DIM] = { 0 };
                    weights[row] = 2;
                    make(&all, 1, DIM, 0, method);
                    all.options.norm = norm, all.options.stepping = joint, all.options.weights = weights;
                    assert_int_equal(run(&all), NDE_OK);
                    make(&r, 1, 1, row, method);
                    r.options.rtol /= 2, r.options.atol /= 2; /* powers of two: a factor of the error or of the tolerance */
                    assert_int_equal(run(&r), NDE_OK);
                    for (size_t i = 0; i < SAVES; i++)
                        assert_memory_equal(all.solution.y + i*DIM + row, r.solution.y + i, sizeof *r.solution.y);
                    assert_int_equal(all.solution.stats->accepted, r.solution.stats->accepted);
                }
    drop(&all), drop(&r);
}

/* The largest error of three equal lanes or rows is that of one; of rows that differ, it needs the most steps. */
static void largest(void **state) {
    (void)state;
    static rig all, r;
    EACH_METHOD(method) {
        make(&all, 5, DIM, 0, method);
        all.options.norm = NDE_NORM_MAX, all.options.stepping = NDE_STEP_JOINT;
        assert_int_equal(run(&all), NDE_OK);
        make(&r, 1, DIM, 0, method);
        r.options.norm = NDE_NORM_MAX;
        assert_int_equal(run(&r), NDE_OK);
        for (size_t i = 0; i < SAVES*DIM; i++)
            for (size_t j = 0; j < 5; j++)
                assert_memory_equal(all.solution.y + i*5 + j, r.solution.y + i, sizeof *r.solution.y);
        const int64_t steps = r.solution.stats->accepted;
        r.options.norm = NDE_NORM_RMS;
        assert_int_equal(run(&r), NDE_OK);
        assert_true(r.solution.stats->accepted < steps);
    }
    drop(&all), drop(&r);
}

/* ---- the caller's norm -------------------------------------------------------------------------------------------- */

typedef struct own {
    long calls, at;
    int code;
    double add;
} own;
static int maximum(void *ctx, size_t n, size_t ld, const size_t *trajectory, const nde_real *error, const nde_real *y,
                   const nde_real *z, double *norm) {
    own *w = ctx;
    for (size_t b = 0; b < n; b++) {
        assert_true(trajectory[b] < N);
        norm[b] = 0;
        for (size_t i = 0; i < DIM; i++) {
            const double size = fmax(fabs((double)y[i*ld + b]), fabs((double)z[i*ld + b]));
            norm[b] = fmax(norm[b], fabs((double)error[i*ld + b])*(1/(1e-4 + 1e-3*size)));
        }
    }
    if (w->calls++ != w->at) return 0;
    norm[0] += w->add;
    return w->code;
}

static void own_norm(void **state) {
    (void)state;
    static rig r, largest_one;
    EACH_METHOD(method)
        for (int joint = 0; joint < 2; joint++) {
            if (method->e2) continue; /* two estimates make one norm: not the same roundings */
            own w = { .at = -1 };
            make(&largest_one, N, DIM, 0, method);
            largest_one.options.norm = NDE_NORM_MAX, largest_one.options.stepping = joint;
            assert_int_equal(run(&largest_one), NDE_OK);
            make(&r, N, DIM, 0, method);
            r.own = NDE_INIT(nde_error_norm, .of = maximum, .ctx = &w);
            r.problem.norm = &r.own, r.options.stepping = joint;
            assert_int_equal(run(&r), NDE_OK);
            for (size_t j = 0; j < N; j++)
                assert_int_equal(r.solution.stats[j].accepted, largest_one.solution.stats[j].accepted);
            for (size_t i = 0; i < SAVES*DIM*N; i++)
                assert_true(fabs((double)(r.solution.y[i] - largest_one.solution.y[i])) < 1e3*NDE_TEST_EPS);
        }
    drop(&r), drop(&largest_one);
}

static void own_norm_misbehaves(void **state) {
    (void)state;
    static rig r;
    static const struct { int code; double add; nde_status status; } cases[] = {
        { NDE_FIELD_RETRY, 0, NDE_OK }, { -3, 0, NDE_E_FIELD }, { NDE_FIELD_STOP, 0, NDE_STOPPED }, { 0, (double)NAN, NDE_OK },
        { 0, (double)INFINITY, NDE_OK }, { 0, -1e300, NDE_OK },
    };
    for (size_t c = 0; c < sizeof cases/sizeof *cases; c++)
        for (int joint = 0; joint < 2; joint++)
            for (long at = 0; at < 12; at++) {
                own w = { .at = at, .code = cases[c].code, .add = cases[c].add };
                make(&r, 1, DIM, 0, nde_method_get(NDE_TSIT5));
                r.own = NDE_INIT(nde_error_norm, .of = maximum, .ctx = &w);
                r.problem.norm = &r.own, r.options.stepping = joint, r.options.max_steps = 10000;
                const nde_status status = run(&r);
                assert_true(w.calls > at);
                for (size_t i = 0; i < DIM; i++) assert_true(isfinite(r.solution.y_end[i]));
                if (at > 2) assert_int_equal(status, cases[c].status); /* before, it is the first step's */
                if (at > 2 && cases[c].code) assert_true(r.solution.stats->callback == (status == NDE_OK ? 0 : cases[c].code));
            }
    drop(&r);
}

static void refused(rig *r, const char *text) {
    assert_int_equal(nde_solver_create(&r->problem, &r->options, &r->solver), NDE_E_ARG);
    if (!strstr(nde_error(), text)) fail_msg("%s is not in: %s", text, nde_error());
}

static void arguments(void **state) {
    (void)state;
    static rig r;
    const nde_method *method = nde_method_get(NDE_TSIT5);
    const double bad[] = { -1, (double)NAN, (double)INFINITY };
    double tolerance[2] = { 1e-3, 0 };
    for (size_t i = 0; i < 3; i++) {
        char text[40];
        double weights[DIM] = { 1, 1, bad[i] };
        tolerance[1] = bad[i];
        make(&r, 2, DIM, 0, method), r.options.rtol_n = tolerance;
        snprintf(text, sizeof text, "rtol_n[1] is %g", bad[i]), refused(&r, text);
        make(&r, 2, DIM, 0, method), r.options.atol_n = tolerance;
        snprintf(text, sizeof text, "atol_n[1] is %g", bad[i]), refused(&r, text);
        make(&r, 2, DIM, 0, method), r.options.weights = weights;
        snprintf(text, sizeof text, "weights[2] is %g", bad[i]), refused(&r, text);
    }
    const double zeros[DIM] = { 0 };
    make(&r, 2, DIM, 0, method), r.options.weights = zeros, refused(&r, "options.weights");
    make(&r, 2, DIM, 0, method), r.options.rtol_n = r.options.atol_n = zeros, refused(&r, "trajectory 0");
    make(&r, 2, DIM, 0, method), r.options.rtol_n = zeros, r.options.atol = NDE_ZERO, refused(&r, "rtol_n");
    make(&r, 2, DIM, 0, method), r.options.atol_n = ones, r.options.atol_each = ones, refused(&r, "atol_each");
    make(&r, 2, DIM, 0, method), r.problem.norm = &r.own, refused(&r, "problem.norm.of");
    r.own.size = 5, refused(&r, "problem.norm.size is 5");
    own w = { .at = -1 };
    r.own = NDE_INIT(nde_error_norm, .of = maximum, .ctx = &w);
    r.options.weights = ones, refused(&r, "options.weights");
    r.options.norm = NDE_NORM_MAX, refused(&r, "options.norm");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_measures_change_nothing), cmocka_unit_test(trajectories_have_tolerances),
        cmocka_unit_test(components_are_left_out), cmocka_unit_test(largest), cmocka_unit_test(own_norm),
        cmocka_unit_test(own_norm_misbehaves), cmocka_unit_test(arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
