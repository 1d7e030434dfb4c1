/* SPDX-License-Identifier: MIT
 * events.c - events of libnde-stiff against closed forms: times, directions, ends, resets, and functions that fail. */
#include <math.h>
#include <string.h>

#include "nde/stiff.h"

static int decay(const nde_field *self, const nde_site *at, const double *y, double *dy) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) dy[b] = -y[b];
    return 0;
}
static const nde_field decays = { .size = sizeof decays, .dim = 1, .out = 1, .eval = decay };
static const nde_stiff_options engines[] = {
    { .size = sizeof *engines },
    { .size = sizeof *engines, .method = NDE_STIFF_ADAMS },
    { .size = sizeof *engines, .method = NDE_STIFF_DAE },
};
enum { ENGINES = 3 };

/* What the context says: the value, times a factor. */
typedef struct crossing {
    double level, factor;
    double nan_from; /* NaN from this time on */
    int retry;
} crossing;
static int crosses(const nde_field *self, const nde_site *at, const double *y, double *g) {
    const crossing *c = self->ctx;
    for (size_t b = 0; b < at->n; b++) g[b] = at->t[b] >= c->nan_from ? (double)NAN : c->factor*(y[b] - c->level);
    return at->t[0] >= c->nan_from && c->retry ? NDE_FIELD_RETRY : 0;
}
static nde_field crossing_field(const crossing *c) { return NDE_INIT(nde_field, .dim = 1, .out = 1, .ctx = c, .eval = crosses);
    }

static nde_status run(const nde_event *events, size_t count, double t1, const nde_stiff_options *stiff,
                      nde_stiff_solver **solver,
                      nde_solution *s) {
    static const double y0 = 1;
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &decays, .t1 = t1, .y0 = &y0, .events = events,
                                         .n_events = count);
    const nde_options options = NDE_INIT(nde_options, .rtol = 1e-9, .atol = 1e-12, .jacobian = NDE_JACOBIAN_DIFFERENCES);
    memset(s, 0, sizeof *s);
    return nde_stiff_solve(&problem, &options, stiff, solver, s);
}

/* y = exp(-t) passes a level at -log of it, whatever the size of g: SUNDIALS' own products of two values would underflow. */
static void times(void **state) {
    (void)state;
    const crossing half = { 0.5, 1, HUGE_VAL, 0 }, tiny = { 0.2, 1e-200, HUGE_VAL, 0 }, turned = { 0.3, -1, HUGE_VAL, 0 };
    const nde_field g[] = { crossing_field(&half), crossing_field(&tiny), crossing_field(&turned) };
    const nde_event events[] = { NDE_INIT(nde_event, .g = &g[0], .direction = -1), NDE_INIT(nde_event, .g = &g[1]),
                                 NDE_INIT(nde_event, .g = &g[2], .direction = -1) };
    for (int k = 0; k < ENGINES; k++) {
        nde_stiff_solver *solver;
        nde_solution s;
        assert_int_equal(run(events, 3, 3, &engines[k], &solver, &s), NDE_OK);
        assert_int_equal(s.event_saved[0], 2);
        assert_true(s.event_count[0] == 1 && s.event_count[1] == 1 && s.event_count[2] == 0);
        assert_true(fabs(s.event_t[0] - log(2)) < 1e-7 && fabs(s.event_t[1] - log(5)) < 1e-7);
        assert_true(fabs(s.event_y[0] - 0.5) < 1e-13 && fabs(s.event_y[1] - 0.2) < 1e-13);
        assert_true(s.event_which[0] == 0 && s.event_which[1] == 1 && s.event_end[0] == -1);
        assert_true(fabs(s.y_end[0] - exp(-3)) < 1e-7);
        nde_stiff_destroy(solver);
    }
}

static void ends(void **state) {
    (void)state;
    const crossing half = { 0.5, 1, HUGE_VAL, 0 }, start = { 1, 1, HUGE_VAL, 0 };
    const nde_field g[] = { crossing_field(&half), crossing_field(&start) };
    const nde_event terminal = NDE_INIT(nde_event, .g = &g[0], .terminal = 1), second = NDE_INIT(nde_event, .g = &g[0],
        .terminal = 2),
                    at_start = NDE_INIT(nde_event, .g = &g[1], .terminal = 1), begins = NDE_INIT(nde_event, .g = &g[1],
                        .direction = 1,
                                                                                             .at_start = 1, .terminal = 1);
    for (int k = 0; k < ENGINES; k++) {
        nde_stiff_solver *solver;
        nde_solution s;
        assert_int_equal(run(&terminal, 1, 3, &engines[k], &solver, &s), NDE_EVENT);
        assert_true(fabs(s.t_end[0] - log(2)) < 1e-7 && fabs(s.y_end[0] - 0.5) < 1e-13 && s.event_end[0] == 0 &&
                    s.saved[0] == 0);
        nde_stiff_destroy(solver);
        assert_int_equal(run(&second, 1, 3, &engines[k], &solver, &s), NDE_OK);
        nde_stiff_destroy(solver);
        assert_int_equal(run(&at_start, 1, 3, &engines[k], &solver, &s), NDE_OK); /* a zero at the start is none */
        assert_int_equal(s.event_count[0], 0);
        nde_stiff_destroy(solver);
        assert_int_equal(run(&begins, 1, 3, &engines[k], &solver, &s), NDE_EVENT);
        assert_true(s.t_end[0] == 0 && s.event_t[0] == 0);
        nde_stiff_destroy(solver);
    }
}

/* ---- a ball ----------------------------------------------------------------------------------------------------------- */

static int fall(const nde_field *self, const nde_site *at, const double *y, double *dy) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) dy[b] = y[at->ld + b], dy[at->ld + b] = -2;
    return 0;
}
static int height(const nde_field *self, const nde_site *at, const double *y, double *g) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) g[b] = y[b];
    return 0;
}
static int bounce(const nde_field *self, const nde_site *at, const double *y, double *z) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) z[b] = 0, z[at->ld + b] = -0.5*y[at->ld + b];
    return 0;
}

/* From 1 with gravity 2: on the ground at 1, then flights of 1, 1/2, 1/4 ...: the last bounce is at 3. */
static void ball(void **state) {
    (void)state;
    const nde_field drift = NDE_INIT(nde_field, .dim = 2, .out = 2, .eval = fall), g = NDE_INIT(nde_field, .dim = 2, .out = 1,
        .eval = height),
                    reset = NDE_INIT(nde_field, .dim = 2, .out = 2, .eval = bounce);
    const nde_event event = NDE_INIT(nde_event, .g = &g, .direction = -1, .reset = &reset);
    const double y0[] = { 1, 0 }, save[] = { 0.5, 1.5, 2.25 }, exact[] = { 0.75, 0.25, 0.0625 };
    nde_problem problem = NDE_INIT(nde_problem, .drift = &drift, .t1 = 2.4, .y0 = y0, .events = &event, .n_events = 1);
    nde_options options = NDE_INIT(nde_options, .rtol = 1e-9, .atol = 1e-12, .jacobian = NDE_JACOBIAN_DIFFERENCES,
                                   .save_t = save, .n_save = 3);
    for (int k = 0; k < ENGINES; k++) {
        nde_stiff_solver *solver;
        nde_solution s = { 0 };
        problem.t1 = 2.4, options.n_save = 3;
        assert_int_equal(nde_stiff_solve(&problem, &options, &engines[k], &solver, &s), NDE_OK);
        assert_int_equal(s.event_count[0], 2);
        assert_true(fabs(s.event_t[0] - 1) < 1e-7 && fabs(s.event_t[1] - 2) < 1e-7);
        for (size_t i = 0; i < 3; i++) assert_true(fabs(s.y[2*i] - exact[i]) < 1e-6);
        assert_int_equal(nde_stiff_count(solver)->restarts, 2);
        nde_stiff_destroy(solver);
        problem.t1 = 2.9, options.n_save = 0;
        assert_int_equal(nde_stiff_solve(&problem, &options, &engines[k], &solver, &s), NDE_OK);
        assert_int_equal(s.event_count[0], 5);
        for (size_t i = 0; i < 5; i++) assert_true(fabs(s.event_t[i] - (3 - 2/pow(2, (double)i))) < 1e-6);
        nde_stiff_destroy(solver);
    }
}

/* llnl/sundials issue 258: a root function that returns NaN never came back. */
static void not_finite(void **state) {
    (void)state;
    for (int k = 0; k < ENGINES; k++)
        for (int retry = 0; retry < 2; retry++)
            for (int early = 0; early < 2; early++) {
                const crossing bad = { 0.5, 1, early ? 0 : 0.6, retry };
                const nde_field g = crossing_field(&bad);
                const nde_event event = NDE_INIT(nde_event, .g = &g);
                nde_stiff_solver *solver;
                nde_solution s;
                assert_int_equal(run(&event, 1, 3, &engines[k], &solver, &s), retry ? NDE_E_FIELD : NDE_E_NONFINITE);
                assert_true(s.t_end[0] <= 0.6 && s.event_end[0] == 0 && fabs(s.y_end[0] - exp(-s.t_end[0])) < 1e-7);
                assert_non_null(strstr(s.error, "event 0"));
                nde_stiff_destroy(solver);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(times),
        cmocka_unit_test(ends),
        cmocka_unit_test(ball),
        cmocka_unit_test(not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
