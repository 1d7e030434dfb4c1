/* SPDX-License-Identifier: MIT
 * multistep.c - Adams methods in every order: the order that they have, through a jump too; what their steps cost; lanes at
 * different places of their start-up; what is saved of a run is enough. Weights are checked in tables.c, derivatives in
 * adjoint/. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SINGLE (sizeof(nde_real) == sizeof(float))
#define LENGTH(x) (sizeof(x)/sizeof *(x))

static const int methods[] = { NDE_ADAMS_BASHFORTH, NDE_ADAMS_BASHFORTH_MOULTON };
enum { MOST_ORDER = 8, LANES = 150 };

static const nde_real first_state[2] = { (nde_real)0.7, (nde_real)0.4 };
static long calls;

static int swing(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)f;
    calls++;
    for (size_t b = 0; b < at->n; b++) {
        const double t = at->t[b], x = (double)y[b], v = (double)y[at->ld + b];
        dy[b] = (nde_real)(v + 0.3*sin(t)*x);
        dy[at->ld + b] = (nde_real)(-sin(x) + 0.2*cos(t)*v*x);
    }
    return 0;
}
static const nde_field field = { .name = "swing", .dim = 2, .out = 2, .eval = swing };

static int kick(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *z) {
    (void)f;
    for (size_t b = 0; b < at->n; b++) z[b] = y[b], z[at->ld + b] = y[at->ld + b] + (nde_real)0.5;
    return 0;
}
static const nde_field kick_field = { .name = "kick", .dim = 2, .out = 2, .eval = kick };

/* ---- orders --------------------------------------------------------------------------------------------------------- */

enum { STATES = 32 };
static const double start = 0.2, end = 3.2;

/* From many states, so that the sign of no error matters; with a jump a third of the time on: at a third of a step where there
 * are 3 k + 1. */
static void solve(const nde_options *options, bool jumps, double to[2*STATES]) {
    const double middle = start + (end - start)/3;
    nde_real y0[2*STATES];
    for (int b = 0; b < STATES; b++) y0[b] = (nde_real)cos(b), y0[STATES + b] = (nde_real)(0.9*sin(2*b));
    const nde_problem problem = NDE_INIT(nde_problem, .n = STATES, .drift = &field, .y0 = y0, .t0 = start, .t1 = end,
                                         .n_jumps = jumps, .jump_t = jumps ? &middle : NULL,
                                         .jump = jumps ? &kick_field : NULL);
    nde_solution s = { 0 };
    if (nde_solve(&problem, options, &s)) fail_msg("%s", s.error ? s.error : nde_error());
    for (int i = 0; i < 2*STATES; i++) to[i] = (double)s.y_end[i];
    nde_solution_free(&s);
}

static double distance(const double *x, const double *y) {
    double sum = 0;
    for (int i = 0; i < 2*STATES; i++) sum += (x[i] - y[i])*(x[i] - y[i]);
    return sqrt(sum/(2*STATES));
}

static void every_order_is_as_claimed(void **state) {
    (void)state;
    if (SINGLE) return; /* no point lies between a small step and rounding: solve/orders measures order 4 */
    for (int jumps = 0; jumps <= 1; jumps++) {
        double exact[2*STATES];
        solve(&NDE_INIT(nde_options, .method = NDE_VERN9, .steps = 3*500 + 1), jumps, exact);
        for (size_t k = 0; k < LENGTH(methods)*MOST_ORDER; k++) {
            const int order = (int)(k/2) + 1;
            double x = 0, y = 0, xx = 0, xy = 0, points = 0;
            for (double n = 12; n < 1500; n *= 1.08) {
                const int64_t steps = (int64_t)n*3 + 1;
                double to[2*STATES];
                solve(&NDE_INIT(nde_options, .method = methods[k % 2], .order = order, .steps = steps), jumps, to);
                const double error = distance(to, exact);
                if (error < 2e-13) break;
                if (error > (order < 2 ? 1e-2 : order < 3 ? 1e-3 : order < 5 ? 1e-6 : order < 7 ? 1e-8 : 2e-10)) continue;
                const double a = -log((double)steps), b = log(error);
                x += a, y += b, xx += a*a, xy += a*b, points++;
            }
            const double measured = (points*xy - x*y)/(points*xx - x*x);
            print_message("%s, order %d%s: %.3f over %.0f points\n", nde_method_name(nde_method_get(methods[k % 2])), order,
                          jumps ? ", with a jump" : "", measured, points);
            assert_true(points >= 3 && measured >= order - 0.2 && measured <= order + 0.3);
        }
    }
}

/* ---- what steps cost ------------------------------------------------------------------------------------------------ */

/* Slope 0, one or two a step, and three or eight more in each of the first: of rk4, vern7. */
static void every_evaluation_is_counted(void **state) {
    (void)state;
    enum { STEPS = 25 };
    for (int order = 1; order <= MOST_ORDER; order++)
        for (int corrects = 0; corrects <= 1; corrects++) {
            const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = first_state, .t1 = 1);
            const nde_options options = NDE_INIT(nde_options, .method = methods[corrects], .order = order, .steps = STEPS);
            nde_solution s = { 0 };
            calls = 0;
            assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
            assert_int_equal(s.stats->evals, calls);
            assert_int_equal(calls, 1 + STEPS*(1 + corrects) + (order - 1)*(order <= 4 ? 3 : 8));
            nde_solution_free(&s);
        }
}

/* ---- lanes ---------------------------------------------------------------------------------------------------------- */

static nde_real begin[2][LANES];
static double from[LANES], to[LANES];
static const double jump_t[] = { 1.1, 1.25, 1.7 }, back_t[] = { -1.1, -1.25, -1.7 };

/* Trajectories that start at different times and jump at the same ones: at other places of their steps. */
static nde_problem swings(size_t n, size_t first, int direction, nde_real *own) {
    for (size_t b = 0; b < n; b++) {
        own[b] = (nde_real)(0.3 + 0.01*(double)(first + b)), own[n + b] = (nde_real)0.4;
        from[b] = direction*0.011*(double)(first + b), to[b] = from[b] + direction*(1.5 + 0.004*(double)(first + b));
    }
    return NDE_INIT(nde_problem, .n = n, .drift = &field, .y0 = own, .t0_each = from, .t1_each = to, .n_jumps = LENGTH(jump_t),
                    .jump_t = direction > 0 ? jump_t : back_t, .jump = &kick_field);
}

static void lanes_are_trajectories_alone(void **state) {
    (void)state;
    for (int order = 1; order <= MOST_ORDER; order += order < 7 ? 3 : 1)
        for (int k = 0; k < 4; k++) {
            nde_real own[2];
            nde_problem problem = swings(LANES, 0, k < 2 ? 1 : -1, begin[0]);
            const nde_options options = NDE_INIT(nde_options, .method = methods[k % 2], .order = order, .steps = 40,
                                                 .group = LANES);
            nde_solution all = { 0 }, one = { 0 };
            if (nde_solve(&problem, &options, &all)) fail_msg("%s", all.error ? all.error : nde_error());
            for (size_t b = 0; b < LANES; b++) {
                problem = swings(1, b, k < 2 ? 1 : -1, own);
                assert_int_equal(nde_solve(&problem, &options, &one), NDE_OK);
                for (size_t i = 0; i < 2; i++) assert_memory_equal(one.y_end + i, all.y_end + i*LANES + b, sizeof *one.y_end);
                assert_int_equal(one.stats->evals, all.stats[b].evals);
                nde_solution_free(&one);
            }
            nde_solution_free(&all);
        }
}

/* A step after a jump between nodes is not one of those that weights are made for. */
static void only_steps_of_the_same_length_count(void **state) {
    (void)state;
    const double at = 0.35; /* of steps of 0.1 */
    nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = first_state, .t1 = 1, .n_jumps = 1,
                                   .jump_t = &at, .jump = &kick_field);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_ADAMS_BASHFORTH, .order = 3, .steps = 10);
    nde_solution s = { 0 };
    calls = 0;
    assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
    assert_int_equal(s.stats->accepted, 11);
    /* of rk4: two, the short one to the jump, the short one after it, two */
    assert_int_equal(calls, 2 + 11 + 3*(2 + 1 + 1 + 2));
    assert_int_equal(s.stats->evals, calls);
    nde_solution_free(&s);
}

static void a_pause_changes_nothing(void **state) {
    (void)state;
    for (int k = 0; k < 2; k++)
        for (int64_t pause = 1; pause < 20; pause += 6) {
            const nde_problem problem = swings(LANES, 0, 1, begin[0]);
            const nde_options options = NDE_INIT(nde_options, .method = methods[k], .order = 6, .steps = 40);
            nde_solver *solver[2];
            nde_solution through = { 0 }, resumed = { 0 };
            for (int i = 0; i < 2; i++) assert_int_equal(nde_solver_create(&problem, &options, &solver[i]), NDE_OK);
            assert_int_equal(nde_solver_run(solver[0], &through), NDE_OK);
            assert_int_equal(nde_solver_steps(solver[1], pause, NULL), NDE_UNFINISHED);
            size_t bytes = 0;
            assert_int_equal(nde_solver_state(solver[1], NULL, &bytes), NDE_OK);
            void *block = malloc(bytes);
            assert_int_equal(nde_solver_state(solver[1], block, &bytes), NDE_OK);
            nde_solver_destroy(solver[1]);
            assert_int_equal(nde_solver_create(&problem, &options, &solver[1]), NDE_OK);
            assert_int_equal(nde_solver_restore(solver[1], block, bytes), NDE_OK);
            assert_int_equal(nde_solver_run(solver[1], &resumed), NDE_OK);
            assert_memory_equal(through.y_end, resumed.y_end, 2*LANES*sizeof(nde_real));
            assert_memory_equal(through.stats, resumed.stats, LANES*sizeof *through.stats);
            free(block), nde_solver_destroy(solver[0]), nde_solver_destroy(solver[1]);
        }
}

/* ---- what is refused ------------------------------------------------------------------------------------------------ */

static void what_has_no_meaning_is_refused(void **state) {
    (void)state;
    static const struct { nde_options options; const char *text; } cases[] = {
        { { .method = NDE_ADAMS_BASHFORTH, .steps = 9, .order = 9 }, "order is 9" },
        { { .method = NDE_ADAMS_BASHFORTH_MOULTON, .steps = 9, .order = -1 }, "order is -1" },
        { { .method = NDE_TSIT5, .order = 5 }, "tsit5 has no choice of orders" },
        { { .method = NDE_ADAMS_BASHFORTH }, "no error estimate" },
        { { .method = NDE_ADAMS_BASHFORTH, .error = NDE_ERROR_DOUBLING }, "cannot be doubled" },
        { { .method = NDE_ADAMS_BASHFORTH, .steps = 9, .coupling = 0.99 }, "not an explicit Runge-Kutta" },
        { { .method = NDE_ADAMS_BASHFORTH_MOULTON, .steps = 9, .compensated = 1 }, "not summed" },
        { { .method = NDE_ADAMS_BASHFORTH_MOULTON, .steps = 9, .quantum = 0x1p-30 }, "nor reversible" },
        { { .method = NDE_ADAMS_BASHFORTH_MOULTON, .steps = 9, .damping = 0.9 }, "damp" },
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = first_state, .t1 = 1);
        nde_solver *solver = NULL;
        assert_int_equal(nde_solver_create(&problem, &cases[i].options, &solver), NDE_E_ARG);
        if (!strstr(nde_error(), cases[i].text)) fail_msg("case %zu: %s", i, nde_error());
    }
    const nde_problem split = NDE_INIT(nde_problem, .drift = &field, .y0 = first_state, .t1 = 1, .split = 1);
    nde_solver *solver = NULL;
    const nde_options plain = NDE_INIT(nde_options, .method = NDE_ADAMS_BASHFORTH, .steps = 9);
    assert_int_equal(nde_solver_create(&split, &plain, &solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "partitioned"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_order_is_as_claimed),
        cmocka_unit_test(every_evaluation_is_counted),
        cmocka_unit_test(lanes_are_trajectories_alone),
        cmocka_unit_test(only_steps_of_the_same_length_count),
        cmocka_unit_test(a_pause_changes_nothing),
        cmocka_unit_test(what_has_no_meaning_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
