/* SPDX-License-Identifier: MIT
 * control.c - step size control as a solve shows it: every controller, the caller's own, the least step, limits. */
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "method/method.h"
#include "solve/anew.h"

enum { MOST = 300, SAVES = 3 };

/* A pendulum whose length is its parameter q: trajectories take different numbers of steps. */
static int pendulum(double t, const nde_real *y, const nde_real *q, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    dy[0] = y[1];
    dy[1] = -q[0]*(nde_real)sin((double)y[0]);
    return 0;
}

typedef int (*function)(double t, const nde_real *y, const nde_real *q, nde_real *dy, void *ctx);
typedef struct rig {
    function f;
    nde_field drift;
    nde_problem problem;
    nde_options options;
    nde_controller own;
    nde_solution solution;
    nde_solver *solver;
    nde_real y0[2*MOST], q[MOST];
} rig;

static const double save_t[SAVES] = { 1, 2.5, 4 };

static int eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const rig *r = self->ctx;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real state[2] = { y[b], y[at->ld + b] };
        nde_real slope[2];
        const int rc = r->f(at->t[b], state, at->q + b, slope, NULL);
        if (rc) return rc;
        dy[b] = slope[0], dy[at->ld + b] = slope[1];
    }
    return 0;
}

/* `from` is the first of the family that takes part. */
static void make(rig *r, size_t n, size_t from) {
    nde_solver_destroy(r->solver); /* of the rig before */
    memset(r, 0, sizeof *r);
    for (size_t j = 0; j < n; j++) {
        r->y0[j] = 1, r->y0[n + j] = 0;
        r->q[j] = (nde_real)(1 + 0.2*(double)(from + j));
    }
    r->f = pendulum;
    r->drift = NDE_INIT(nde_field, .name = "pendulum", .dim = 2, .out = 2, .nq = 1, .eval = eval, .ctx = r);
    r->problem = NDE_INIT(nde_problem, .n = n, .t1 = 4, .y0 = r->y0, .q = r->q, .drift = &r->drift);
    r->options = NDE_INIT(nde_options, .rtol = 1e-4, .atol = 1e-5, .save_t = save_t, .n_save = SAVES, .budget = 1 << 22);
    r->solution = NDE_INIT(nde_solution, .n = 0);
}

static nde_status run(rig *r) { return run_anew(&r->solver, &r->problem, &r->options, &r->solution); }
static void drop(rig *r) { nde_solver_destroy(r->solver), r->solver = NULL; }

/* Trajectory j of a run equals the first one of another, by its bits. */
static void assert_same(const nde_solution *a, size_t j, const nde_solution *b) {
    for (size_t i = 0; i < SAVES*2; i++) assert_memory_equal(a->y + i*a->n + j, b->y + i*b->n, sizeof *a->y);
    assert_int_equal(a->status[j], b->status[0]);
    assert_memory_equal(&a->stats[j], &b->stats[0], sizeof *a->stats);
}

/* ---- controllers -------------------------------------------------------------------------------------------------- */

static int halve(void *ctx, nde_decision *d) { /* the solver's decision, a little more careful: needs its history */
    (void)ctx;
    if (d->h_last2 != 0) d->factor *= pow(d->h_last2/d->h_last, 0.25)*pow(d->error_last2/d->error_last, 0.02);
    return 0;
}

static void choose(rig *r, int id) {
    static const double pid[5] = { 0.7, -0.4, 0.05, 0.1, 0 };
    r->options.controller = id <= NDE_CONTROLLER_PID ? id : NDE_CONTROLLER_H211B;
    memcpy(r->options.pid, pid, sizeof pid);
    r->own = NDE_INIT(nde_controller, .decide = halve);
    if (id > NDE_CONTROLLER_PID) r->options.decide = &r->own;
}
enum { CONTROLLERS = NDE_CONTROLLER_PID + 2 }; /* one more: the caller's */

static void every_controller_solves(void **state) {
    (void)state;
    static rig exact, r;
    make(&exact, 40, 0);
    exact.options.rtol = 30*NDE_TEST_EPS, exact.options.atol = 30*NDE_TEST_EPS;
    assert_int_equal(run(&exact), NDE_OK);
    int64_t usual = 0;
    for (int id = 0; id < CONTROLLERS; id++)
        for (int joint = 0; joint < 2; joint++) {
            make(&r, 40, 0);
            choose(&r, id);
            r.options.stepping = joint;
            assert_int_equal(run(&r), NDE_OK);
            int64_t accepted = 0, rejected = 0;
            for (size_t j = 0; j < 40; j++) accepted += r.solution.stats[j].accepted, rejected += r.solution.stats[j].rejected;
            for (size_t i = 0; i < 2*40; i++)
                assert_true(fabs((double)(r.solution.y[2*80 + i] - exact.solution.y[2*80 + i])) < 3e-3);
            if (!id && !joint) usual = accepted;
            if (!joint && (accepted > 2*usual || accepted + rejected < usual/2 || rejected > accepted/2))
                fail_msg("controller %d: %lld and %lld steps, usual are %lld", id, (long long)accepted, (long long)rejected,
                         (long long)usual);
        }
    drop(&exact), drop(&r);
}

/* Alone, in lanes that are refilled, and after a pause in another solver: the same bits. */
static void every_controller_has_one_result(void **state) {
    (void)state;
    static rig all, r;
    for (int id = 0; id < CONTROLLERS; id++) {
        make(&all, MOST, 0);
        choose(&all, id);
        all.options.h_min_policy = id % 2, all.options.h_min = 0.25*(id % 2);
        /* whose error is of two estimates */
        all.options.method = id == NDE_CONTROLLER_PI || id == NDE_CONTROLLER_H211B ? NDE_DOP853 : 0;
        all.options.threads = 1 + id % 2;
        assert_int_equal(run(&all), NDE_OK);
        for (size_t j = 0; j < MOST; j += 31) {
            make(&r, 1, j);
            choose(&r, id);
            r.options.h_min_policy = id % 2, r.options.h_min = 0.25*(id % 2);
            r.options.method = all.options.method;
            assert_int_equal(run(&r), NDE_OK);
            assert_same(&all.solution, j, &r.solution);
        }
        for (int joint = 0; joint < 2; joint++) {
            make(&r, MOST, 0);
            choose(&r, id);
            r.options.h_min_policy = id % 2;
            r.options.stepping = joint;
            assert_int_equal(run(&r), NDE_OK);
            nde_solution paused = NDE_INIT(nde_solution, .n = 0);
            nde_solver *first, *second;
            assert_int_equal(nde_solver_create(&r.problem, &r.options, &first), NDE_OK);
            assert_int_equal(nde_solver_create(&r.problem, &r.options, &second), NDE_OK);
            assert_int_equal(nde_solver_steps(first, 7, &paused), NDE_UNFINISHED);
            size_t bytes = 0;
            assert_int_equal(nde_solver_state(first, NULL, &bytes), NDE_OK);
            void *block = malloc(bytes);
            assert_int_equal(nde_solver_state(first, block, &bytes), NDE_OK);
            assert_int_equal(nde_solver_restore(second, block, bytes), NDE_OK);
            while (nde_solver_steps(second, 3, &paused) == NDE_UNFINISHED) {}
            assert_memory_equal(paused.y, r.solution.y, SAVES*2*MOST*sizeof *paused.y);
            assert_memory_equal(paused.stats, r.solution.stats, MOST*sizeof *paused.stats);
            free(block);
            nde_solver_destroy(first), nde_solver_destroy(second);
        }
    }
    drop(&all), drop(&r);
}

/* ---- the caller's controller -------------------------------------------------------------------------------------- */

typedef struct diary {
    int calls, stop_at;
    double h[64], error[64], t;
} diary;

static int equal_steps(void *ctx, nde_decision *d) {
    diary *w = ctx;
    assert_true(w->calls < 64 && d->order == 4 && d->trajectory == 0 && d->refused == 0 && d->h > 0 && d->error >= 0);
    const int k = w->calls++;
    w->h[k] = d->h, w->error[k] = d->error;
    assert_true(d->h_last == (k ? w->h[k - 1] : 0) && d->h_last2 == (k > 1 ? w->h[k - 2] : 0));
    assert_true(k ? fabs(d->error_last/fmax(w->error[k - 1], 1e-4) - 1) < 1e-12 : d->error_last == 0);
    assert_true(k > 1 ? fabs(d->error_last2/fmax(w->error[k - 2], 1e-4) - 1) < 1e-12 : d->error_last2 == 0);
    assert_true(fabs(d->t - w->t) < 1e-12);
    w->t = d->t + d->h;
    d->accept = 1, d->factor = 1;
    return k == w->stop_at ? 1234 : 0;
}

static void own_controller(void **state) {
    (void)state;
    static rig r;
    for (int adjoint = 0; adjoint < 2; adjoint++)
        for (int joint = 0; joint < 2; joint++) {
            diary w = { .stop_at = -1 };
            make(&r, 1, 3);
            r.own = NDE_INIT(nde_controller, .decide = equal_steps, .ctx = &w);
            r.options.decide = &r.own, r.options.h0 = 0.125, r.options.adjoint = adjoint, r.options.stepping = joint;
            r.options.method = NDE_DOPRI5;
            assert_int_equal(run(&r), NDE_OK);
            assert_true(w.calls == 32 && r.solution.stats->accepted == 32 && r.solution.stats->rejected == 0);
            static rig fixed;
            make(&fixed, 1, 3);
            fixed.options.steps = 32, fixed.options.method = NDE_DOPRI5;
            assert_int_equal(run(&fixed), NDE_OK);
            assert_memory_equal(fixed.solution.y, r.solution.y, SAVES*2*sizeof *r.solution.y);
            drop(&fixed);
            w = (diary){ .stop_at = 9 };
            assert_int_equal(run(&r), NDE_STOPPED);
            assert_true(w.calls == 10 && r.solution.stats->accepted == 9 && r.solution.stats->callback == 1234);
            assert_true(r.solution.t_end[0] == 9*0.125);
        }
    drop(&r);
}

static int says(void *ctx, nde_decision *d) {
    const nde_decision *what = ctx;
    d->accept = what->accept, d->factor = what->factor;
    return 0;
}

static int blows_up(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)p, (void)ctx;
    dy[0] = t > 1 ? (nde_real)NAN : -y[0];
    dy[1] = 0;
    return 0;
}

/* Nothing that it says makes a solve endless, or a state that is not finite. */
static void own_controller_is_held(void **state) {
    (void)state;
    static const double factors[] = { (double)NAN, (double)INFINITY, -(double)INFINITY, -1, 0, 1, 1e300 };
    static rig r;
    for (int bad = 0; bad < 2; bad++)
        for (int accept = 0; accept < 2; accept++)
            for (size_t i = 0; i < sizeof factors/sizeof *factors; i++) {
                nde_decision what = { .accept = accept, .factor = factors[i] };
                make(&r, 1, 0);
                if (bad) r.f = blows_up;
                r.options.n_save = 0, r.options.max_steps = 1000;
                r.own = NDE_INIT(nde_controller, .decide = says, .ctx = &what);
                r.options.decide = &r.own;
                const nde_status status = run(&r);
                assert_true(isfinite(r.solution.y_end[0]));
                assert_true(status == NDE_OK || status == NDE_E_STEPSIZE || status == NDE_E_STEPS || status == NDE_E_NONFINITE);
                if (!accept) assert_true(status < 0 && r.solution.stats->accepted == 0);
                if (bad) assert_true(status < 0 && r.solution.t_end[0] <= 1);
            }
    drop(&r);
}

typedef struct trial {
    double factor, h[3];
    int calls, refused[3];
} trial;
static int refuses_twice(void *ctx, nde_decision *d) {
    trial *w = ctx;
    if (w->calls < 3) w->h[w->calls] = d->h, w->refused[w->calls] = d->refused;
    d->accept = w->calls++ >= 2;
    d->factor = w->factor;
    return 0;
}

/* What it says is what is done, within the bounds of factors. */
static void own_controller_decides(void **state) {
    (void)state;
    static const double said[] = { (double)NAN, -(double)INFINITY, 0.1, 0.5, 1.5, 20, (double)INFINITY },
                        done[] = { 0.25, 0.25, 0.25, 0.5, 1.5, 8, 8 };
    static rig r;
    for (size_t i = 0; i < sizeof said/sizeof *said; i++)
        for (int joint = 0; joint < 2; joint++) {
            trial w = { .factor = said[i] };
            make(&r, 1, 0);
            r.own = NDE_INIT(nde_controller, .decide = refuses_twice, .ctx = &w);
            r.options.decide = &r.own, r.options.h0 = 1e-3, r.options.factor_min = 0.25, r.options.factor_max = 8;
            r.options.stepping = joint, r.options.max_steps = 4, r.options.n_save = 0;
            (void)run(&r);
            for (int k = 0; k < 3; k++) {
                assert_int_equal(w.refused[k], k);
                assert_true(k == 0 || fabs(w.h[k]/w.h[k - 1] - done[i]) < 1e-12);
            }
        }
    drop(&r);
}

static void own_controller_is_read(void **state) {
    (void)state;
    static rig r;
    make(&r, 1, 0);
    r.own = NDE_INIT(nde_controller, .decide = NULL);
    r.options.decide = &r.own;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "options.decide.decide"));
    r.own.size = 3;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "options.decide.size is 3"));
}

/* ---- the least step ----------------------------------------------------------------------------------------------- */

static void least_step_is_accepted(void **state) {
    (void)state;
    static rig r;
    for (int joint = 0; joint < 2; joint++)
        for (int mode = 0; mode < 3; mode++) {
            make(&r, mode == 1 ? 1 : 40, 0);
            r.options.stepping = joint, r.options.adjoint = mode == 2;
            r.options.rtol = 20*NDE_TEST_EPS, r.options.atol = 1e-14, r.options.h_min = 0.5;
            assert_true(run(&r) < 0);
            assert_true(r.solution.status[0] == NDE_E_STEPSIZE && r.solution.stats->forced == 0);
            r.options.h_min_policy = NDE_H_MIN_ACCEPT;
            assert_int_equal(run(&r), NDE_OK);
            for (size_t j = 0; j < r.solution.n; j++) {
                const nde_stats *s = &r.solution.stats[j];
                assert_true(s->forced > 0 && s->forced <= s->accepted && s->accepted <= 12 && s->h_last < 0.6);
            }
        }
    /* what cannot be made fails all the same, and soon */
    make(&r, 1, 0);
    r.f = blows_up;
    r.options.h_min = 1e-3, r.options.h_min_policy = NDE_H_MIN_ACCEPT;
    assert_int_equal(run(&r), NDE_E_NONFINITE);
    assert_true(r.solution.t_end[0] <= 1 && r.solution.t_end[0] > 1 - 1e-2);
    /* with the default least step, 16 ulp, far from t = 0 */
    make(&r, 1, 0);
    r.problem.t0 = 1e6, r.problem.t1 = 1e6 + 1e-6;
    r.options.n_save = 0, r.options.rtol = NDE_ZERO, r.options.atol = 1e-300, r.options.h_min_policy = NDE_H_MIN_ACCEPT;
    assert_int_equal(run(&r), NDE_OK);
    assert_true(r.solution.stats->forced > 100);
    drop(&r);
}

/* ---- limits ------------------------------------------------------------------------------------------------------- */

static long counted;
static int counts(double t, const nde_real *y, const nde_real *q, nde_real *dy, void *ctx) {
    counted++;
    return pendulum(t, y, q, dy, ctx);
}

static void evaluations_are_limited(void **state) {
    (void)state;
    static rig r;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *method = nde_method_at(k);
        if (nde_method_kind(method) != NDE_KIND_RUNGE_KUTTA) continue;
        for (int fixed = nde_method_error_order(method) ? 0 : 1; fixed < 2; fixed++)
            for (int64_t most = 1; most < 400; most += most < 40 ? 1 : 37) {
                make(&r, 1, 20);
                r.f = counts, r.problem.t1 = 400;
                r.options.method = nde_method_id(method), r.options.max_evals = most;
                r.options.steps = fixed ? 100000 : 0;
                if (!fixed) r.options.rtol = 100*NDE_TEST_EPS, r.options.atol = 100*NDE_TEST_EPS;
                counted = 0;
                assert_int_equal(run(&r), NDE_E_CALLS);
                const nde_stats *s = r.solution.stats;
                const int64_t one = (int64_t)(method->stages + method->dense_stages);
                if (counted != s->evals || s->evals > (most > 2 ? most : 2) || s->evals + one + 2 <= most)
                    fail_msg("%s: %lld evaluations of %lld, %ld were made", nde_method_name(method), (long long)s->evals,
                             (long long)most, counted);
                assert_true(r.solution.t_end[0] < 400 && isfinite(r.solution.y_end[0]));
            }
    }
    make(&r, MOST, 0);
    r.options.max_evals = 200; /* enough for some */
    assert_int_equal(run(&r), NDE_E_LANES);
    size_t good = 0;
    for (size_t j = 0; j < MOST; j++) {
        assert_true(r.solution.stats[j].evals <= 200);
        assert_true(r.solution.status[j] == NDE_OK || r.solution.status[j] == NDE_E_CALLS);
        good += r.solution.status[j] == NDE_OK;
    }
    assert_true(good > 0 && good < MOST);
    drop(&r);
}

static int slow(double t, const nde_real *y, const nde_real *q, nde_real *dy, void *ctx) {
    const struct timespec pause = { .tv_nsec = 100000 };
    nanosleep(&pause, NULL);
    return pendulum(t, y, q, dy, ctx);
}

static void time_is_limited(void **state) {
    (void)state;
    static rig r;
    for (int mode = 0; mode < 4; mode++) {
        make(&r, mode == 3 ? 1 : 200, 0);
        r.f = slow;
        r.options.threads = mode, r.options.stepping = mode == 2;
        r.options.max_seconds = 0.02, r.options.steps = mode == 1 ? 1000000 : 0, r.options.rtol = 1e-5;
        r.problem.t1 = 4e6, r.options.n_save = 0;
        const nde_status status = run(&r);
        assert_int_equal(status, mode < 2 ? NDE_E_LANES : NDE_E_CALLS);
        for (size_t j = 0; j < r.solution.n; j++) {
            assert_int_equal(r.solution.status[j], NDE_E_CALLS);
            assert_true(r.solution.t_end[j] >= 0 && r.solution.t_end[j] < 4e6 && isfinite(r.solution.y_end[j]));
            if (mode == 2) assert_true(r.solution.t_end[j] == r.solution.t_end[0]);
        }
    }
    make(&r, 3, 0); /* and one that is not reached changes nothing */
    assert_int_equal(run(&r), NDE_OK);
    static rig limited;
    make(&limited, 3, 0);
    limited.options.max_seconds = (double)INFINITY, limited.options.max_evals = INT64_MAX;
    assert_int_equal(run(&limited), NDE_OK);
    assert_memory_equal(r.solution.y, limited.solution.y, SAVES*2*3*sizeof *r.solution.y);
    drop(&r), drop(&limited);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_controller_solves), cmocka_unit_test(every_controller_has_one_result),
        cmocka_unit_test(own_controller), cmocka_unit_test(own_controller_is_held),
        cmocka_unit_test(own_controller_decides), cmocka_unit_test(own_controller_is_read),
        cmocka_unit_test(least_step_is_accepted), cmocka_unit_test(evaluations_are_limited), cmocka_unit_test(time_is_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
