/* SPDX-License-Identifier: MIT
 * march.c - fixed steps without clocks in between are the steps of the general loop, to the bit: a solver with a limit on
 * evaluations, which never marches, says what is right; one with a record, which marches step by step or from state to state
 * that it keeps, comes to the same. */
#include <math.h>
#include <string.h>

#define LENGTH(a) (sizeof(a)/sizeof(a)[0])
enum { N = 150, DIM = 2 };

/* y' = (q v, -q y) with a force of the time; beyond the time in trouble.when, trajectory `who` is in trouble. */
enum { NONE, NAN_STATE, RETRY, STOP, CODE, SILENT };
static struct trouble {
    int what;
    double when;
    size_t who;
} trouble;

static int oscillate(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) {
        const bool bad = trouble.what && at->t[b] > trouble.when && at->index[b] == trouble.who;
        if (bad && trouble.what == CODE) return 3;
        if (bad && trouble.what == SILENT) continue;
        if (bad && trouble.what == RETRY) at->lane[b] = NDE_LANE_RETRY;
        if (bad && trouble.what == STOP) at->lane[b] = NDE_LANE_STOP;
        dy[b] = at->q[b]*y[at->ld + b] + (nde_real)(0.25*at->t[b]);
        dy[at->ld + b] = bad && trouble.what == NAN_STATE ? (nde_real)NAN : -at->q[b]*y[b];
    }
    return 0;
}

static int vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    (void)self, (void)at, (void)y, (void)a, (void)to;
    return 0;
}

static int kick(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *z) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) z[b] = y[b], z[at->ld + b] = y[at->ld + b]/2;
    return 0;
}

static const nde_field field = { .size = sizeof field, .dim = DIM, .out = DIM, .nq = 1, .eval = oscillate, .vjp = vjp },
                       jump = { .size = sizeof jump, .dim = DIM, .out = DIM, .eval = kick, .vjp = vjp };

static nde_real start[DIM*N], q[N];
static double t0[N], t1[N];

static void fill(void) {
    for (size_t i = 0; i < N; i++) {
        start[i] = 1, start[N + i] = (nde_real)(0.01*(double)i), q[i] = (nde_real)(1 + 0.02*(double)i);
        t0[i] = 0.125*(double)(i % 3), t1[i] = 4 + 0.25*(double)(i % 5);
    }
}

static void compare(const nde_solution *a, const nde_solution *b, const char *what) {
    assert_int_equal(a->n_save, b->n_save);
    for (size_t i = 0; i < a->n; i++) {
        if (a->status[i] != b->status[i] || a->saved[i] != b->saved[i] || a->t_end[i] != b->t_end[i])
            fail_msg("%s: trajectory %zu ended with %d at %g, not with %d at %g", what, i, a->status[i], a->t_end[i],
                     b->status[i], b->t_end[i]);
        nde_stats x = a->stats[i], y = b->stats[i];
        if (isnan(x.error_fail) && isnan(y.error_fail)) x.error_fail = y.error_fail = 0;
        x.worst = y.worst = 0; /* a record has no slopes of lanes that were rejected */
        if (memcmp(&x, &y, sizeof x)) fail_msg("%s: other statistics of trajectory %zu", what, i);
    }
    if (memcmp(a->y_end, b->y_end, a->n*DIM*sizeof *a->y_end)) fail_msg("%s: other bits at the end", what);
    for (size_t i = 0; i < a->n*DIM*a->n_save; i++)
        if (memcmp(&a->y[i], &b->y[i], sizeof *a->y) && !(isnan(a->y[i]) && isnan(b->y[i])))
            fail_msg("%s: other bits in a row", what);
    assert_true(a->lanes_busy == b->lanes_busy);
}

/* Solves as it is asked for, and otherwise; pause > 0: that many block steps at a time. */
static nde_status also(const nde_problem *problem, const nde_options *options, const nde_options *otherwise, int64_t pause,
                       const char *what) {
    nde_solver *march, *general;
    nde_solution a = { .size = sizeof a }, b = { .size = sizeof b };
    assert_int_equal(nde_solver_create(problem, options, &march), NDE_OK);
    assert_int_equal(nde_solver_create(problem, otherwise, &general), NDE_OK);
    nde_status status, other;
    do {
        status = pause ? nde_solver_steps(march, pause, &a) : nde_solver_run(march, &a);
        other = pause ? nde_solver_steps(general, pause, &b) : nde_solver_run(general, &b);
        assert_int_equal(status, other);
        compare(&a, &b, what);
    } while (status == NDE_UNFINISHED);
    nde_solver_destroy(march), nde_solver_destroy(general);
    return status;
}

/* In the general loop, and with a record. */
static nde_status both_ways(const nde_problem *problem, const nde_options *options, int64_t pause, const char *what) {
    nde_options limited = *options, recorded = *options;
    limited.max_evals = INT64_MAX/2;
    recorded.adjoint = NDE_ADJOINT_DISCRETE;
    recorded.budget = (size_t)1 << 26;
    const nde_status status = also(problem, options, &limited, pause, what);
    assert_int_equal(also(problem, options, &recorded, pause, what), status);
    recorded.record = NDE_RECORD_CHECKPOINTS;
    assert_int_equal(also(problem, options, &recorded, pause, what), status);
    return status;
}

static const int32_t methods[] = { NDE_DOPRI5, NDE_RK4, NDE_TSIT5, NDE_EULER, NDE_VERN7 };
static const double jumps[] = { 0.7, 1.5, 3 };

static void same_bits(void **state) {
    (void)state;
    fill();
    trouble.what = NONE;
    const double sorted[] = { 0.375, 0.5, 2.0/3, 2, 2.000001, 3.5, 4 };
    for (size_t m = 0; m < LENGTH(methods); m++)
        for (int which = 0; which < 16; which++) {
            nde_problem p = { .size = sizeof p, .n = which & 8 ? 1 : N, .t1 = 4, .drift = &field, .y0 = start, .q = q };
            nde_options o = { .size = sizeof o, .method = methods[m], .steps = 333 };
            if (which & 1) o.save_t = sorted, o.n_save = LENGTH(sorted);
            if (which & 2) p.jump = &jump, p.jump_t = jumps, p.n_jumps = LENGTH(jumps);
            if (which & 4) p.t0_each = t0, p.t1_each = t1, o.group = 70;
            assert_int_equal(both_ways(&p, &o, 0, "whole"), NDE_OK);
            if (which % 4 == 1) assert_int_equal(both_ways(&p, &o, 7, "in parts"), NDE_OK);
            o.save_t = NULL, o.n_save = 0, p.t0_each = p.t1_each = NULL, p.jump = NULL, p.n_jumps = 0;
            p.t0 = 4, p.t1 = 0;
            assert_int_equal(both_ways(&p, &o, 0, "backwards"), NDE_OK);
            o.steps = 1;
            assert_int_equal(both_ways(&p, &o, 0, "one step"), NDE_OK);
        }
}

/* Of two terms with noise of their own, one of them with several cells in a step; in trouble too. */
static void same_bits_with_noise(void **state) {
    (void)state;
    static const int32_t noisy[] = { NDE_HEUN, NDE_REVERSIBLE_HEUN, NDE_EULER_MARUYAMA, NDE_SRIW1 };
    static const nde_noise noise[] = { { .size = sizeof *noise, .seed = 5, .grid = 1332 },
                                       { .size = sizeof *noise, .source = NDE_SOURCE_TREE } };
    static const nde_field diffusion = { .size = sizeof diffusion, .dim = DIM, .out = DIM, .eval = kick, .vjp = vjp };
    static const nde_term term[] =
        { { .size = sizeof *term, .field = &diffusion, .noise = &noise[0], .kind = NDE_NOISE_DIAGONAL },
                                     { .size = sizeof *term, .field = &diffusion, .noise = &noise[1],
                                       .kind = NDE_NOISE_DIAGONAL } };
    static const double save_t[] = { 0.375, 2, 3.5 };
    fill();
    for (size_t m = 0; m < LENGTH(noisy); m++)
        for (int what = NONE; what <= SILENT; what++)
            for (int which = 0; which < 4; which++) {
                trouble = (struct trouble){ what, 1.7, which & 2 ? 0 : 37 };
                nde_problem p = { .size = sizeof p, .n = which & 2 ? 1 : N, .t1 = 4, .drift = &field, .y0 = start, .q = q,
                                  .terms = term, .n_terms = m == 1 ? 2 : 1, .calculus = m < 2 ? NDE_STRATONOVICH : NDE_ITO };
                nde_options o = { .size = sizeof o, .method = noisy[m], .steps = 333, .group = 60 };
                if (which & 1) o.save_t = save_t, o.n_save = LENGTH(save_t);
                assert_true((both_ways(&p, &o, 0, "with noise") == NDE_OK) == (what == NONE));
            }
    trouble.what = NONE;
}

static void same_failures(void **state) {
    (void)state;
    fill();
    for (size_t m = 0; m < LENGTH(methods); m++)
        for (int what = NAN_STATE; what <= SILENT; what++)
            for (int one = 0; one < 2; one++) {
                trouble = (struct trouble){ what, 1.7, one ? 0 : 37 };
                nde_problem p = { .size = sizeof p, .n = one ? 1 : N, .t1 = 4, .drift = &field, .y0 = start, .q = q };
                nde_options o = { .size = sizeof o, .method = methods[m], .steps = 333, .group = 60 };
                assert_true(both_ways(&p, &o, 0, "in trouble") != NDE_OK);
            }
    trouble.what = NONE;
}

static int seldom(void *ctx, double fraction, int64_t steps) {
    (void)fraction, (void)steps;
    return ++*(int *)ctx == 5;
}

static void progress_is_called(void **state) {
    (void)state;
    fill();
    int calls = 0;
    nde_problem p = { .size = sizeof p, .n = N, .t1 = 4, .drift = &field, .y0 = start, .q = q };
    nde_options o = { .size = sizeof o, .method = NDE_RK4, .steps = 5000, .progress = seldom, .progress_ctx = &calls };
    nde_solution s = { .size = sizeof s };
    assert_int_equal(nde_solve(&p, &o, &s), NDE_STOPPED);
    assert_int_equal(calls, 5);
    assert_true(s.t_end[0] < 0.1);
    nde_solution_free(&s);

    calls = 0, p.n = 1; /* every 16 attempts in the sprint, too */
    o.method = NDE_DOPRI5, o.steps = 0, o.h_max = 0.01, o.rtol = 1e-5;
    assert_int_equal(nde_solve(&p, &o, &s), NDE_STOPPED);
    assert_int_equal(calls, 5);
    assert_int_equal(s.stats[0].accepted + s.stats[0].rejected, 80);
    nde_solution_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(same_bits), cmocka_unit_test(same_bits_with_noise), cmocka_unit_test(same_failures),
        cmocka_unit_test(progress_is_called),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
