/* SPDX-License-Identifier: MIT
 * continuity.c - the gaps of multiple shooting: value and derivatives against their definition; a Lotka-Volterra fit in
 * segments that finds the truth and closes the gaps. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/lotka_volterra.h"

enum { DIM = 2, LANES = 5, COUNT = DIM*LANES };

typedef struct rig {
    nde_real y_end[COUNT], y0[COUNT], seed[COUNT], gradient[COUNT];
    size_t next[LANES];
    nde_solution solution;
    double penalty;
} rig;

/* Two lanes go on in the same one, one goes on in itself, one ends. */
static void make(rig *r) {
    *r = (rig){ .next = { 1, 3, SIZE_MAX, 3, 4 }, .penalty = 1.75 };
    for (size_t i = 0; i < COUNT; i++) {
        r->y_end[i] = (nde_real)nde_normal(1, 200, 0, i, 0);
        r->y0[i] = (nde_real)nde_normal(1, 200, 1, i, 0);
    }
    r->solution = NDE_INIT(nde_solution, .n = LANES, .dim = DIM, .y_end = r->y_end);
}

static double loss_of(rig *r) {
    double loss = 0;
    assert_int_equal(nde_loss_continuity(&r->solution, r->y0, r->next, r->penalty, &loss, NULL, NULL), NDE_OK);
    return loss;
}

static void value_is_added(void **state) {
    (void)state;
    rig r;
    make(&r);
    long double sum = 0;
    for (size_t b = 0; b < LANES; b++)
        for (size_t i = 0; i < DIM && r.next[b] != SIZE_MAX; i++) {
            const long double gap = (long double)r.y_end[i*LANES + b] - (long double)r.y0[i*LANES + r.next[b]];
            sum += gap*gap;
        }
    const double expected = (double)(1.75L/2*sum/(4*DIM));
    double loss = 10;
    assert_true(fabs(loss_of(&r) - expected) <= 1e-15*expected);
    assert_int_equal(nde_loss_continuity(&r.solution, r.y0, r.next, r.penalty, &loss, r.seed, r.gradient), NDE_OK);
    assert_true(fabs(loss - 10 - expected) <= 1e-14);
    for (size_t b = 0; b < LANES; b++) r.next[b] = SIZE_MAX; /* nothing goes on */
    loss = 10;
    assert_int_equal(nde_loss_continuity(&r.solution, r.y0, r.next, r.penalty, &loss, r.seed, r.gradient), NDE_OK);
    assert_true(loss == 10);
    for (size_t i = 0; i < COUNT; i++) assert_true(r.seed[i] == 0 && r.gradient[i] == 0);
}

/* Quadratic: central differences with a step of a power of two are exact up to rounding. */
static void derivatives_are_differences(void **state) {
    (void)state;
    rig r;
    make(&r);
    double loss = 0;
    memset(r.seed, 0x5a, sizeof r.seed), memset(r.gradient, 0x5a, sizeof r.gradient);
    assert_int_equal(nde_loss_continuity(&r.solution, r.y0, r.next, r.penalty, &loss, r.seed, r.gradient), NDE_OK);
    nde_real *const input[2] = { r.y_end, r.y0 }, *const found[2] = { r.seed, r.gradient };
    for (int k = 0; k < 2; k++)
        for (size_t i = 0; i < COUNT; i++) {
            const nde_real x = input[k][i];
            input[k][i] = x + (nde_real)0.125;
            const double up = loss_of(&r), wide = (double)(input[k][i] - x);
            input[k][i] = x - (nde_real)0.125;
            const double down = loss_of(&r), whole = wide + (double)(x - input[k][i]);
            input[k][i] = x;
            assert_true(fabs((up - down)/whole - (double)found[k][i]) < 8*NDE_TEST_EPS);
        }
}

/* ---- a fit in segments ---- */

enum { SEGMENTS = 8, EACH = 5, TIMES = SEGMENTS*EACH + 1, NP = 4 };

typedef struct shooting {
    nde_field field;
    nde_solver *solver;
    nde_solution solution;
    nde_real x[NP + DIM*SEGMENTS]; /* p, then y0 [dim][segments]: all that is fitted */
    nde_real data[(EACH + 1)*DIM*SEGMENTS], weight[(EACH + 1)*DIM*SEGMENTS];
    size_t next[SEGMENTS];
    double t[EACH + 1], gap;       /* largest */
} shooting;

static double objective(shooting *s, double penalty, nde_real *gradient) {
    nde_real seed_y[(EACH + 1)*DIM*SEGMENTS], seed_end[DIM*SEGMENTS], jump[DIM*SEGMENTS];
    double loss;
    assert_int_equal(nde_solver_run(s->solver, &s->solution), NDE_OK);
    assert_int_equal(nde_loss_mse(&s->solution, s->data, s->weight, &loss, seed_y), NDE_OK);
    assert_int_equal(nde_loss_continuity(&s->solution, s->x + NP, s->next, penalty, &loss, seed_end, jump), NDE_OK);
    const nde_seed seed = NDE_INIT(nde_seed, .y = seed_y, .y_end = seed_end);
    const nde_gradient to = NDE_INIT(nde_gradient, .p = gradient, .y0 = gradient + NP);
    assert_int_equal(nde_backward(s->solver, &seed, &to), NDE_OK);
    s->gap = 0;
    for (size_t i = 0; i < DIM*SEGMENTS; i++) {
        gradient[NP + i] += jump[i];
        const size_t b = i%SEGMENTS;
        if (s->next[b] == SIZE_MAX) continue;
        s->gap = fmax(s->gap, fabs((double)s->solution.y_end[i] - (double)s->x[NP + i - b + s->next[b]]));
    }
    return loss;
}

/* One series of the truth without noise, cut into segments that are the lanes; each starts at its first datum, and the
 * parameters far off. */
static void cut(shooting *s) {
    double t[TIMES];
    nde_real p[NP], y0[DIM] = { 10, 5 };
    for (size_t k = 0; k < TIMES; k++) t[k] = 0.5*(double)k;
    for (size_t j = 0; j < NP; j++) p[j] = (nde_real)lotka_volterra_truth[j];
    *s = (shooting){ .field = nde_field_pointwise(&lotka_volterra, DIM, NP) };
    const nde_problem whole = NDE_INIT(nde_problem, .t1 = t[TIMES - 1], .y0 = y0, .p = p, .drift = &s->field);
    const nde_options fixed = NDE_INIT(nde_options, .method = NDE_RK4, .steps = 20*(TIMES - 1), .save_t = t, .n_save = TIMES);
    nde_solution truth = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solve(&whole, &fixed, &truth), NDE_OK);
    const nde_series series = NDE_INIT(nde_series, .n = 1, .dim = DIM, .times = TIMES, .t = t, .y = truth.y);
    nde_window window[SEGMENTS];
    size_t count;
    assert_int_equal(nde_windows(&series, EACH + 1, EACH, window, SEGMENTS, &count), NDE_OK);
    assert_int_equal(count, SEGMENTS);
    assert_int_equal(nde_batch(&series, window, SEGMENTS, EACH + 1, s->t, s->x + NP, s->data, s->weight, NULL), NDE_OK);
    for (size_t b = 0; b < SEGMENTS; b++) s->next[b] = b + 1 < SEGMENTS ? b + 1 : SIZE_MAX;
    nde_solution_free(&truth);
}

/* The gradient of everything, the initial states included, is that of the objective. */
static void gradient_is_whole(shooting *s) {
    nde_real gradient[NP + DIM*SEGMENTS], other[NP + DIM*SEGMENTS];
    objective(s, 0.5, gradient);
    for (size_t i = 0; i < NP + DIM*SEGMENTS; i += 3) {
        const nde_real x = s->x[i], h = (nde_real)(sizeof(nde_real) == 8 ? 1e-5 : 1e-3)*x;
        s->x[i] = x + h;
        const double up = objective(s, 0.5, other), wide = (double)(s->x[i] - x);
        s->x[i] = x - h;
        const double down = objective(s, 0.5, other), slope = (up - down)/(wide + (double)(x - s->x[i]));
        s->x[i] = x;
        assert_true(fabs(slope - (double)gradient[i]) < (sizeof(nde_real) == 8 ? 1e-7 : 2e-2)*(1 + fabs(slope)));
    }
}

static void segments_find_the_truth(void **state) {
    (void)state;
    static shooting s;
    enum { STEPS = 4000, ALL = NP + DIM*SEGMENTS };
    nde_real gradient[ALL];
    double memory[3*ALL], before = 0, far = 0;
    cut(&s);
    const double off[NP] = { 1.5, 0.6, 1.6, 0.6 };
    for (size_t j = 0; j < NP; j++) s.x[j] = (nde_real)(lotka_volterra_truth[j]*off[j]);
    const nde_problem problem = NDE_INIT(nde_problem, .n = SEGMENTS, .t1 = s.t[EACH], .y0 = s.x + NP, .p = s.x,
                                         .drift = &s.field);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_RK4, .steps = 20*EACH, .adjoint = NDE_ADJOINT_DISCRETE,
                                         .save_t = s.t, .n_save = EACH + 1);
    s.solution = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solver_create(&problem, &options, &s.solver), NDE_OK);
    gradient_is_whole(&s);
    const double first = objective(&s, 1, gradient);
    before = s.gap;
    nde_optimiser adam = NDE_INIT(nde_optimiser, .rate = 0.1, .schedule = NDE_SCHEDULE_COSINE, .decay_steps = STEPS,
                                  .decay = 1e-3, .state = memory);
    for (int k = 0; k < STEPS; k++) {
        objective(&s, 1, gradient);
        assert_int_equal(nde_optimiser_step(&adam, ALL, gradient, s.x), NDE_OK);
    }
    const double last = objective(&s, 1, gradient);
    for (size_t j = 0; j < NP; j++) far = fmax(far, fabs((double)s.x[j]/lotka_volterra_truth[j] - 1));
    print_message("multiple shooting: loss %.1e to %.1e, largest gap %.1e to %.1e, parameters off by %.1e\n", first, last,
                  before, s.gap, far);
    assert_true(before > 10 && s.gap < 1e-4 && far < 1e-4 && last < 1e-9*first);
    nde_solver_destroy(s.solver);
}

/* ---- arguments ---- */

static void refuse(rig *r, const char *name, const char *value) {
    double loss = 42;
    r->seed[0] = r->gradient[0] = 43;
    assert_int_equal(nde_loss_continuity(&r->solution, r->y0, r->next, r->penalty, &loss, r->seed, r->gradient), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "nde_loss_continuity"));
    assert_non_null(strstr(nde_error(), name));
    assert_non_null(strstr(nde_error(), value));
    assert_true(loss == 42 && r->seed[0] == 43 && r->gradient[0] == 43);
}

static void refused_arguments(void **state) {
    (void)state;
    rig r;
    double loss = 42;
    make(&r);
    r.penalty = -0.5, refuse(&r, "penalty", "-0.5");
    r.penalty = (double)NAN, refuse(&r, "penalty", "nan");
    r.penalty = (double)INFINITY, refuse(&r, "penalty", "inf"), r.penalty = 1;
    r.next[3] = LANES, refuse(&r, "next[3]", "5"), r.next[3] = 3;
    r.solution.y_end = NULL, refuse(&r, "solution.y_end", "NULL"), r.solution.y_end = r.y_end;
    r.solution.n = 0, refuse(&r, "solution.n", "0"), r.solution.n = LANES;
    r.solution.dim = 0, refuse(&r, "solution.dim", "0");
    r.solution.dim = SIZE_MAX, refuse(&r, "solution", "18446744073709551615"), r.solution.dim = DIM;
    r.solution.size = 3, refuse(&r, "solution.size", "3"), r.solution.size = sizeof r.solution;
    assert_int_equal(nde_loss_continuity(NULL, r.y0, r.next, 1, &loss, NULL, NULL), NDE_E_ARG);
    assert_int_equal(nde_loss_continuity(&r.solution, NULL, r.next, 1, &loss, NULL, NULL), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "y0"));
    assert_int_equal(nde_loss_continuity(&r.solution, r.y0, NULL, 1, &loss, NULL, NULL), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "next"));
    assert_int_equal(nde_loss_continuity(&r.solution, r.y0, r.next, 1, NULL, NULL, NULL), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "loss"));
    assert_true(loss == 42);
    assert_int_equal(nde_loss_continuity(&r.solution, r.y0, r.next, 1, &loss, NULL, NULL), NDE_OK); /* it was good */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_is_added),
        cmocka_unit_test(derivatives_are_differences),
        cmocka_unit_test(segments_find_the_truth),
        cmocka_unit_test(refused_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
