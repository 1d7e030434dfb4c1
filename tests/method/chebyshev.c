/* SPDX-License-Identifier: MIT
 * chebyshev.c - the stabilised method: what its steps cost on a stiff problem, how many stages they have, how far they are
 * stable; a lane's stages are its own; what is saved of a run is enough. Its recursion is checked in tables.c, its order in
 * solve/orders.c, its derivatives in adjoint/. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define SINGLE (sizeof(nde_real) == sizeof(float))

/* ---- the heat equation u_t = u_xx + s(t, x) on (0, 1), by second differences ---------------------------------------- */

enum { POINTS = 127 };
static const double pi = 3.141592653589793;
static double gap(void) { return 1.0/(POINTS + 1); }
/* -4/dx^2 < eigenvalues < 0 */
static double stiffness(void) { return 4/(gap()*gap()); }

static long calls;

/* y_i = sin(pi x_i) cos t is the exact solution of the system. */
static int heat(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)p, (void)ctx;
    const double dx = gap(), scale = 1/(dx*dx), lowest = 4*scale*pow(sin(pi*dx/2), 2);
    for (int i = 0; i < POINTS; i++) {
        const double below = i ? (double)y[i - 1] : 0, above = i + 1 < POINTS ? (double)y[i + 1] : 0;
        const double source = sin(pi*(i + 1)*dx)*(lowest*cos(t) - sin(t));
        dy[i] = (nde_real)(scale*(below - 2*(double)y[i] + above) + source);
    }
    calls++;
    return 0;
}

static int64_t evaluations(const nde_options *options, double *error) {
    const nde_pointwise one = { .f = heat };
    const nde_field field = nde_field_pointwise(&one, POINTS, 0);
    nde_real y0[POINTS];
    nde_solution s = { 0 };
    for (int i = 0; i < POINTS; i++) y0[i] = (nde_real)sin(pi*(i + 1)*gap());
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .t1 = 1);
    calls = 0;
    if (nde_solve(&problem, options, &s)) fail_msg("%s", s.error ? s.error : nde_error());
    *error = 0;
    for (int i = 0; i < POINTS; i++) *error = fmax(*error, fabs((double)s.y_end[i] - sin(pi*(i + 1)*gap())*cos(1)));
    const int64_t evals = s.stats->evals;
    assert_int_equal(evals, calls);
    nde_solution_free(&s);
    return evals;
}

/* The others take steps of 3/stiffness, whatever the tolerance. */
static void a_stiff_problem_costs_a_tenth(void **state) {
    (void)state;
    double error;
    const int methods[] = { NDE_DOPRI5, NDE_TSIT5, NDE_BOSH3 };
    nde_options options = NDE_INIT(nde_options, .rtol = 1e-3, .atol = 1e-3, .spectral_radius = stiffness(), .method = NDE_RKC2);
    const int64_t evals = evaluations(&options, &error);
    print_message("rkc2: %d evaluations, error %.1e\n", (int)evals, error);
    assert_true(error < 1e-3);
    options.spectral_radius = 0;
    for (int i = 0; i < 3; i++) {
        options.method = methods[i];
        const int64_t others = evaluations(&options, &error);
        print_message("%s: %d evaluations, error %.1e\n", nde_method_name(nde_method_get(methods[i])), (int)others, error);
        assert_true(others > 10*evals);
    }
}

/* ---- y' = -q (y - cos t) - sin t: of any stiffness ------------------------------------------------------------------ */

static int decay(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)f;
    for (size_t b = 0; b < at->n; b++) {
        const double t = at->t[b];
        dy[b] = (nde_real)(-(double)at->q[b]*((double)y[b] - cos(t)) - sin(t));
    }
    return 0;
}
static const nde_field decay_field = { .name = "decay", .dim = 1, .out = 1, .nq = 1, .eval = decay };

enum { LANES = 150 };
static nde_real begin[LANES], q[LANES];
static double rate_of(void *ctx, size_t trajectory, double t, const nde_real *y) {
    const nde_real *rates = ctx;
    (void)t, (void)y;
    return (double)rates[trajectory];
}
static void fill(void) {
    for (size_t b = 0; b < LANES; b++) begin[b] = (nde_real)(1 + 0.01*(double)b), q[b] = (nde_real)(1 + 0.3*(double)(b*b));
}
static nde_problem decays(size_t n, size_t first, nde_spectrum *spectrum) {
    *spectrum = NDE_INIT(nde_spectrum, .radius = rate_of, .ctx = q + first);
    return NDE_INIT(nde_problem, .n = n, .drift = &decay_field, .y0 = begin + first, .q = q + first, .t1 = 2,
                    .spectrum = spectrum);
}

/* Stages of one step of length h. */
static void steps_have_as_few_stages_as_they_need(void **state) {
    (void)state;
    const nde_real one = 1, rate = 0;
    nde_problem problem = NDE_INIT(nde_problem, .drift = &decay_field, .y0 = &one, .q = &rate);
    nde_options options = NDE_INIT(nde_options, .method = NDE_RKC2, .steps = 1);
    static const struct { double radius, h; int stages; int64_t expected; } cases[] = {
        { 0, 1, 0, 10 }, { 0, 1, 7, 7 }, { 1, 1, 0, 2 }, { 1e-3, 1e-3, 0, 2 }, { 100, 1, 0, 13 }, { 1000, 10, 0, 125 },
        { 100, 1, 13, 13 }, { 63.9, 1, 0, 10 }, { 64.9, 1, 0, 11 }, { 25000, 1, 0, 197 }, { 160000, 1, 500, 497 },
    };
    for (size_t i = 0; i < sizeof cases/sizeof *cases; i++) {
        nde_solution s = { 0 };
        options.spectral_radius = cases[i].radius, options.stages = cases[i].stages, problem.t1 = cases[i].h;
        assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
        assert_int_equal(s.stats->evals, cases[i].expected + 1); /* slope 0 */
        nde_solution_free(&s);
    }
}

/* As far as is claimed, and not much further. */
static void steps_are_stable_as_far_as_claimed(void **state) {
    (void)state;
    const nde_real start = (nde_real)1.5;
    for (int stages = 2; stages <= 50; stages += 8)
        for (int beyond = 0; beyond <= 1; beyond++) {
            const nde_real rate = (nde_real)(0.65*(stages*stages - 1)*(beyond ? 1.15 + 1.0/stages : 1));
            const nde_problem problem = NDE_INIT(nde_problem, .drift = &decay_field, .y0 = &start, .q = &rate, .t1 = 400);
            const nde_options options = NDE_INIT(nde_options, .method = NDE_RKC2, .steps = 400, .stages = stages);
            nde_solution s = { 0 };
            const nde_status status = nde_solve(&problem, &options, &s);
            const bool stable = status == NDE_OK && fabs((double)s.y_end[0]) < 2;
            if (stable == beyond) fail_msg("%d stages, h lambda = %g: %g", stages, (double)rate, (double)s.y_end[0]);
            nde_solution_free(&s);
        }
}

/* Whatever stages its neighbours take. */
static void lanes_are_trajectories_alone(void **state) {
    (void)state;
    fill();
    for (int steps = 0; steps <= 40; steps += 40) {
        nde_spectrum spectrum;
        nde_problem problem = decays(LANES, 0, &spectrum);
        const nde_options options = NDE_INIT(nde_options, .method = NDE_RKC2, .steps = steps, .group = LANES);
        nde_solution all = { 0 }, one = { 0 };
        if (nde_solve(&problem, &options, &all)) fail_msg("%s", all.error ? all.error : nde_error());
        for (size_t b = 0; b < LANES; b++) {
            problem = decays(1, b, &spectrum);
            assert_int_equal(nde_solve(&problem, &options, &one), NDE_OK);
            assert_memory_equal(one.y_end, all.y_end + b, sizeof *one.y_end);
            assert_int_equal(one.stats->evals, all.stats[b].evals);
            const double exact = cos(2) + ((double)begin[b] - 1)*exp(-2*(double)q[b]);
            assert_true(steps || fabs((double)one.y_end[0] - exact) < (SINGLE ? 1e-3 : 1e-4));
            nde_solution_free(&one);
        }
        nde_solution_free(&all);
    }
}

/* One bound for all, told in either way. */
static void a_constant_bound_may_be_told_either_way(void **state) {
    (void)state;
    nde_real rates[LANES];
    nde_solution a = { 0 }, b = { 0 };
    fill();
    for (size_t i = 0; i < LANES; i++) rates[i] = 3000, q[i] = (nde_real)(20*(double)i);
    nde_spectrum spectrum;
    nde_problem problem = decays(LANES, 0, &spectrum);
    spectrum.ctx = rates;
    nde_options options = NDE_INIT(nde_options, .method = NDE_RKC2, .h_max = 0.5);
    assert_int_equal(nde_solve(&problem, &options, &a), NDE_OK);
    problem.spectrum = NULL, options.spectral_radius = 3000;
    assert_int_equal(nde_solve(&problem, &options, &b), NDE_OK);
    assert_memory_equal(a.y_end, b.y_end, LANES*sizeof *a.y_end);
    nde_solution_free(&a), nde_solution_free(&b);
}

static void a_pause_changes_nothing(void **state) {
    (void)state;
    fill();
    nde_spectrum spectrum;
    const nde_problem problem = decays(LANES, 0, &spectrum);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_RKC2);
    nde_solver *solver[2];
    nde_solution through = { 0 }, resumed = { 0 };
    for (int i = 0; i < 2; i++) assert_int_equal(nde_solver_create(&problem, &options, &solver[i]), NDE_OK);
    assert_int_equal(nde_solver_run(solver[0], &through), NDE_OK);
    assert_int_equal(nde_solver_steps(solver[1], 7, NULL), NDE_UNFINISHED);
    size_t bytes = 0;
    assert_int_equal(nde_solver_state(solver[1], NULL, &bytes), NDE_OK);
    void *block = malloc(bytes);
    assert_int_equal(nde_solver_state(solver[1], block, &bytes), NDE_OK);
    nde_solver_destroy(solver[1]);
    assert_int_equal(nde_solver_create(&problem, &options, &solver[1]), NDE_OK);
    assert_int_equal(nde_solver_restore(solver[1], block, bytes), NDE_OK);
    nde_status status;
    while ((status = nde_solver_steps(solver[1], 5, &resumed)) == NDE_UNFINISHED) {}
    assert_int_equal(status, NDE_OK);
    assert_memory_equal(through.y_end, resumed.y_end, LANES*sizeof(nde_real));
    assert_memory_equal(through.stats, resumed.stats, LANES*sizeof *through.stats);
    free(block), nde_solver_destroy(solver[0]), nde_solver_destroy(solver[1]);
}

/* ---- what is refused ------------------------------------------------------------------------------------------------ */

static double unknown(void *ctx, size_t trajectory, double t, const nde_real *y) {
    (void)ctx, (void)trajectory, (void)y;
    return t > 1 ? (double)NAN : 5;
}

/* A bound that is none is a step that cannot be made. */
static void a_bound_may_fail(void **state) {
    (void)state;
    const nde_real start = 1, rate = 5;
    const nde_spectrum spectrum = NDE_INIT(nde_spectrum, .radius = unknown);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &decay_field, .y0 = &start, .q = &rate, .t1 = 2,
                                         .spectrum = &spectrum);
    for (int steps = 0; steps <= 100; steps += 100) {
        nde_solution s = { 0 };
        assert_int_equal(nde_solve(&problem, &(nde_options){ .method = NDE_RKC2, .steps = steps }, &s), NDE_E_FIELD);
        assert_true(s.t_end[0] > 1 && s.t_end[0] < 1.5 && isfinite((double)s.y_end[0]));
        nde_solution_free(&s);
    }
}

static void what_has_no_meaning_is_refused(void **state) {
    (void)state;
    const nde_real start = 1, rate = 5;
    const nde_spectrum spectrum = NDE_INIT(nde_spectrum, .radius = unknown), none = NDE_INIT(nde_spectrum, 0);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &decay_field, .y0 = &start, .q = &rate, .t1 = 2);
    static const struct { nde_options options; int spectrum; const char *text; } cases[] = {
        { { .method = NDE_RKC2, .stages = 1 }, 0, "stages" },
        { { .method = NDE_RKC2, .stages = -1 }, 0, "stages" },
        { { .method = NDE_RKC2, .stages = 501 }, 0, "501" },
        { { .method = NDE_RKC2, .spectral_radius = -1 }, 0, "spectral_radius" },
        { { .method = NDE_RKC2, .spectral_radius = (double)INFINITY }, 0, "spectral_radius" },
        { { .method = NDE_RKC2, .spectral_radius = 5 }, 1, "spectrum" },
        { { .method = NDE_RKC2 }, 2, "spectrum.radius" },
        { { .method = NDE_RKC2, .spectral_radius = 1e6, .steps = 3 }, 0, "options.steps is 3" },
        { { .method = NDE_RKC2, .spectral_radius = 1e6, .stages = 4, .h_min = 1e-2 }, 0, "h_min" },
        { { .method = NDE_RKC2, .error = NDE_ERROR_DOUBLING }, 0, "rkc2" },
        { { .method = NDE_TSIT5, .stages = 5 }, 0, "tsit5" },
        { { .method = NDE_TSIT5, .spectral_radius = 5 }, 0, "tsit5" },
        { { .spectral_radius = 0 }, 1, "spectrum" },
    };
    for (size_t i = 0; i < sizeof cases/sizeof *cases; i++) {
        nde_problem with = problem;
        nde_solver *solver = NULL;
        if (cases[i].spectrum) with.spectrum = cases[i].spectrum == 1 ? &spectrum : &none;
        assert_int_equal(nde_solver_create(&with, &cases[i].options, &solver), NDE_E_ARG);
        if (!strstr(nde_error(), cases[i].text)) fail_msg("case %zu: %s", i, nde_error());
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stiff_problem_costs_a_tenth),
        cmocka_unit_test(steps_have_as_few_stages_as_they_need),
        cmocka_unit_test(steps_are_stable_as_far_as_claimed),
        cmocka_unit_test(lanes_are_trajectories_alone),
        cmocka_unit_test(a_constant_bound_may_be_told_either_way),
        cmocka_unit_test(a_pause_changes_nothing),
        cmocka_unit_test(a_bound_may_fail),
        cmocka_unit_test(what_has_no_meaning_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
