/* SPDX-License-Identifier: MIT
 * drift_implicit.c - Euler-Maruyama with the drift solved for: its step against the formula, drifts so stiff that the explicit
 * one explodes, where the Jacobian is from, and what fails or is refused. Orders: tests/solve/strong.c, tests/method/
 * stochastic.c; gradients: tests/adjoint/diffusion.c, here for stiff drifts. */
#include <math.h>
#include <string.h>

#include "adjoint/noisy.h"

#define IS_DOUBLE (sizeof(nde_real) == sizeof(double))

typedef struct scene {
    nde_program *g[2];
    nde_field drift, noise;
    nde_noise path;
    nde_term term;
    nde_problem problem;
    nde_options options;
} scene;

static void open_scene(scene *s, const char *drift, const char *noise, int kind, size_t n, const nde_real *y0) {
    *s = (scene){ .g = { parsed(drift), parsed(noise) } };
    s->drift = nde_field_program(s->g[0]), s->noise = nde_field_program(s->g[1]);
    s->path = NDE_INIT(nde_noise, .seed = 4);
    s->term = NDE_INIT(nde_term, .field = &s->noise, .noise = &s->path, .kind = kind);
    s->problem = NDE_INIT(nde_problem, .n = n, .y0 = y0, .t1 = 1, .drift = &s->drift, .terms = &s->term, .n_terms = 1,
                          .calculus = NDE_ITO);
    s->options = NDE_INIT(nde_options, .method = NDE_DRIFT_IMPLICIT_EULER, .steps = 16);
}
static void close_scene(scene *s) { nde_program_destroy(s->g[0]), nde_program_destroy(s->g[1]); }

static nde_status solve(const scene *s, nde_real *y, size_t count) {
    nde_solution solution = { 0 };
    const nde_status status = nde_solve(&s->problem, &s->options, &solution);
    if (!solution.y_end) fail_msg("%s", nde_error());
    memcpy(y, solution.y_end, count*sizeof *y);
    nde_solution_free(&solution);
    return status;
}

/* W at the nodes of N paths: the solution of y' = W'. */
enum { N = 5, STEPS = 16 };
static void trace(nde_real (*w)[N]) {
    static const nde_real zero[N];
    double times[STEPS + 1];
    nde_solution x = { 0 };
    scene s;
    for (int k = 0; k <= STEPS; k++) times[k] = (double)k/STEPS;
    open_scene(&s, "state y; dy = 0*y", "state y; dy = 1 + 0*y", NDE_NOISE_DIAGONAL, N, zero);
    s.options.method = NDE_EULER_MARUYAMA, s.options.save_t = times, s.options.n_save = STEPS + 1;
    assert_int_equal(nde_solve(&s.problem, &s.options, &x), NDE_OK);
    memcpy(w, x.y, (STEPS + 1)*sizeof *w);
    nde_solution_free(&x);
    close_scene(&s);
}

/* y+ = (y + W sin y + h c)/(1 + 50 h) for the drift c - 50 y, c = cos t at the end of the step. */
static void a_step_is_its_formula(void **state) {
    (void)state;
    nde_real y0[N], y[N], w[STEPS + 1][N];
    const double h = 1.0/STEPS;
    scene s;
    trace(w);
    for (size_t b = 0; b < N; b++) y0[b] = (nde_real)(1 + 0.25*(double)b);
    open_scene(&s, "state y; dy = cos(t) - 50*y", "state y; dy = sin(y)", NDE_NOISE_DIAGONAL, N, y0);
    assert_int_equal(solve(&s, y, N), NDE_OK);
    for (size_t b = 0; b < N; b++) {
        double x = (double)y0[b];
        for (int k = 0; k < STEPS; k++) x = (x + sin(x)*((double)w[k + 1][b] - (double)w[k][b]) + h*cos((k + 1)*h))/(1 + 50*h);
        if (!(fabs((double)y[b] - x) <= 50*NDE_TEST_EPS)) fail_msg("%zu: %g, not %g", b, (double)y[b], x);
    }
    close_scene(&s);
}

static void noise_alone_is_euler_maruyama(void **state) {
    (void)state;
    nde_real y0[N] = { 1, 2, 3, 4, 5 }, y[N], z[N];
    scene s;
    open_scene(&s, "state y; dy = 0*y", "state y; dy = sin(y)", NDE_NOISE_DIAGONAL, N, y0);
    s.problem.drift = NULL;
    assert_int_equal(solve(&s, y, N), NDE_OK);
    s.options.method = NDE_EULER_MARUYAMA;
    assert_int_equal(solve(&s, z, N), NDE_OK);
    assert_memory_equal(y, z, sizeof y);
    close_scene(&s);
}

/* ---- stiff ------------------------------------------------------------------------------------- */

/* Mean and variance of many paths beside those of the recursion, and what becomes of Euler-Maruyama. */
static void check_stiff(const char *drift, const char *noise, double mean, double variance, double kurtosis) {
    enum { MANY = 4000 };
    static nde_real y0[MANY], y[MANY];
    double sum = 0, square = 0;
    scene s;
    for (size_t b = 0; b < MANY; b++) y0[b] = 1;
    open_scene(&s, drift, noise, NDE_NOISE_DIAGONAL, MANY, y0);
    assert_int_equal(solve(&s, y, MANY), NDE_OK);
    for (size_t b = 0; b < MANY; b++) sum += (double)y[b]/MANY, square += (double)y[b]*(double)y[b]/MANY;
    const double seen = square - sum*sum;
    print_message("%s: mean %g, %g; variance %g, %g\n", drift, sum, mean, seen, variance);
    if (!(fabs(sum - mean) <= 4*sqrt(variance/MANY))) fail_msg("%s: mean %g, not %g", drift, sum, mean);
    if (!(fabs(seen - variance) <= 4*variance*sqrt((kurtosis - 1)/MANY)))
        fail_msg("%s: variance %g, not %g", drift, seen, variance);
    s.options.method = NDE_EULER_MARUYAMA;
    (void)solve(&s, y, MANY);
    for (size_t b = 0; b < MANY; b++) assert_true(!(fabs((double)y[b]) < 1e6));
    close_scene(&s);
}

/* h lambda = 62.5: y+ = (y + W g)/(1 + h lambda). */
static void stiff_drifts_are_stable(void **state) {
    (void)state;
    const double h = 1.0/STEPS, by = 1 + 1000*h;
    double mean = 1, variance = 0;
    for (int k = 0; k < STEPS; k++) mean = (mean + 1000*h*2)/by, variance = (variance + 0.25*h)/(by*by);
    check_stiff("state y; dy = -1000*(y - 2)", "state y; dy = 0.5 + 0*y", mean, variance, 3);
    double off = -1, square = 1; /* means of y - 2 and of its square */
    for (int k = 0; k < STEPS; k++) square = (square + 0.25*h*(1 + square))/(by*by), off /= by;
    check_stiff("state y; dy = -1000*(y - 2)", "state y; dy = sqrt(1 + (y - 2)^2)/2", 2 + off, square - off*off, 3.2);
}

/* Two rows, one stiff and not linear; what drives them has three components. */
static const char stiff_drift[] = "state y[2]; param p[2]; dy = [-p[0]*(y[0] - cos(t)), y[0] - p[1]*y[1]^3]";
static const char stiff_noise[] =
    "state y[2]; input u[3]; param p[2]; dy = [0.5*u[0] + y[1]*u[1]/4, sin(y[0])*u[2] + u[0]/p[1]]";

static void gradients_are_those_of_exact_stages(void **state) {
    (void)state;
    nde_real y0[2*N], p[2] = { 300, 40 };
    for (size_t i = 0; i < 2*N; i++) y0[i] = (nde_real)(0.5 + 0.125*(double)i);
    for (int how = NDE_JACOBIAN_AUTO; how <= NDE_JACOBIAN_DIFFERENCES; how++) {
        scene s;
        nde_gradient_report r = NDE_INIT(nde_gradient_report, .h = 0);
        nde_real w[2*N];
        for (size_t i = 0; i < 2*N; i++) w[i] = (nde_real)(1 - 0.25*(double)i);
        open_scene(&s, stiff_drift, stiff_noise, NDE_NOISE_GENERAL, N, y0);
        if (how == NDE_JACOBIAN_GIVEN && !s.drift.jacobian) {
            close_scene(&s);
            continue;
        }
        s.problem.p = p, s.options.jacobian = how, s.options.adjoint = NDE_ADJOINT_DISCRETE, s.options.budget = 1 << 22;
        if (nde_gradient_check(&s.problem, &s.options, &NDE_INIT(nde_seed, .y_end = w), 3, &r)) fail_msg("%s", nde_error());
        print_message("jacobian %d: forward %.1e, differences %.1e\n", how, r.forward_error, r.difference_error);
        if (!(r.forward_error <= (IS_DOUBLE ? 1e-10 : 1e-3) && r.difference_error <= (IS_DOUBLE ? 1e-8 : 3e-2)))
            fail_msg("jacobian %d: %g %g", how, r.forward_error, r.difference_error);
        close_scene(&s);
    }
}

static void jacobians_are_of_the_drift(void **state) {
    (void)state;
    nde_real y0[2*N], p[2] = { 300, 40 }, y[4][2*N];
    for (size_t i = 0; i < 2*N; i++) y0[i] = (nde_real)(0.5 + 0.125*(double)i);
    for (int how = NDE_JACOBIAN_AUTO; how <= NDE_JACOBIAN_DIFFERENCES; how++) {
        scene s;
        open_scene(&s, stiff_drift, stiff_noise, NDE_NOISE_GENERAL, N, y0);
        s.noise.jvp = NULL, s.noise.vjp_jvp = NULL, s.noise.jacobian = NULL; /* it has no part in it */
        if (how == NDE_JACOBIAN_GIVEN && !s.drift.jacobian) how++;
        s.problem.p = p, s.options.jacobian = how;
        assert_int_equal(solve(&s, y[how], 2*N), NDE_OK);
        for (size_t i = 0; i < 2*N; i++)
            if (!(fabs((double)y[how][i] - (double)y[0][i]) <= 200*NDE_TEST_EPS))
                fail_msg("jacobian %d: %g, not %g", how, (double)y[how][i], (double)y[0][i]);
        close_scene(&s);
    }
}

/* ---- failures, refusals -------------------------------------------------------------------------- */

/* y = y0 + g W + h (100 + y^2) has no solution. */
static void a_stage_without_a_solution_ends_the_trajectory(void **state) {
    (void)state;
    scene s;
    nde_solution x = { 0 };
    const nde_real y0[2] = { 0, 0 };
    open_scene(&s, "state y; dy = 100*t^4*(1 + y^2)", "state y; dy = 0.01*y", NDE_NOISE_DIAGONAL, 2, y0);
    assert_int_equal(nde_solve(&s.problem, &s.options, &x), NDE_E_LANES);
    for (size_t b = 0; b < 2; b++) {
        assert_int_equal(x.status[b], NDE_E_CONVERGENCE);
        assert_true(x.t_end[b] > 0 && x.t_end[b] < 1 && isfinite(x.y_end[b]) && x.stats[b].newton_iterations > 0);
    }
    nde_solution_free(&x);
    close_scene(&s);
}

static void refused(const scene *s, nde_status as, const char *because) {
    nde_solver *solver = NULL;
    assert_int_equal(nde_solver_create(&s->problem, &s->options, &solver), as);
    assert_null(solver);
    if (!strstr(nde_error(), because)) fail_msg("%s", nde_error());
}

/* As it was made. */
static void again(const scene *made, scene *to) {
    *to = *made;
    to->problem.drift = &to->drift, to->problem.terms = &to->term, to->term.field = &to->noise;
}

static void what_does_not_fit_is_refused(void **state) {
    (void)state;
    scene made, s;
    const nde_real y0[2] = { 1, 1 }, p[2] = { 1, 1 };
    open_scene(&made, stiff_drift, stiff_noise, NDE_NOISE_GENERAL, 1, y0);
    made.problem.p = p;
    again(&made, &s), s.problem.n_terms = 0, s.problem.terms = NULL;
    refused(&s, NDE_E_CALCULUS, "needs a term with noise");
    again(&made, &s), s.options.steps = 0;
    refused(&s, NDE_E_ARG, "has no error estimate with general noise");
    again(&made, &s), s.problem.calculus = NDE_STRATONOVICH;
    refused(&s, NDE_E_CALCULUS, "converges to the Ito solution");
    again(&made, &s), s.problem.calculus = NDE_STRATONOVICH, s.options.convert = 1, s.noise.vjp_jvp = NULL;
    refused(&s, NDE_E_NO_VJP, "options.convert");
    again(&made, &s), s.problem.calculus = NDE_STRATONOVICH, s.options.convert = 1, s.options.jacobian = NDE_JACOBIAN_GIVEN;
    refused(&s, NDE_E_ARG, s.drift.jacobian ? "options.convert" : "has no jacobian");
    again(&made, &s), s.drift.jacobian = NULL, s.drift.jvp = NULL, s.drift.vjp_jvp = NULL;
    refused(&s, NDE_E_NO_JVP, "neither jacobian nor jvp");
    again(&made, &s), s.options.compensated = 1;
    refused(&s, NDE_E_ARG, "options.compensated is 1");
    again(&made, &s), s.options.newton_tolerance = 2;
    refused(&s, NDE_E_ARG, "newton_tolerance");
    again(&made, &s), s.options.newton_tolerance = 0.5, s.options.method = NDE_EULER_MARUYAMA;
    refused(&s, NDE_E_ARG, "has no use for it");
    again(&made, &s), s.problem.t1 = -1; /* seen when it runs */
    nde_solution x = { 0 };
    assert_int_equal(nde_solve(&s.problem, &s.options, &x), NDE_E_ARG);
    nde_solution_free(&x);
    close_scene(&made);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_is_its_formula),
        cmocka_unit_test(noise_alone_is_euler_maruyama),
        cmocka_unit_test(stiff_drifts_are_stable),
        cmocka_unit_test(gradients_are_those_of_exact_stages),
        cmocka_unit_test(jacobians_are_of_the_drift),
        cmocka_unit_test(a_stage_without_a_solution_ends_the_trajectory),
        cmocka_unit_test(what_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
