/* SPDX-License-Identifier: MIT
 * Nystrom methods of the registry: what they refuse, what they ask of the field, how they follow velocities inside a step, what
 * they predict of the error of a loss, and that they are cheaper on Kepler's orbit than methods for systems of first order. */
#include "method/method.h"
#include "nde.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

#define EACH(m) \
    for (size_t m##_ = 0; m##_ < nde_method_count(); m##_++) \
        for (const nde_method *m = nde_method_at(m##_); m && nde_method_kind(m) == NDE_KIND_NYSTROM; m = NULL)

static int kepler(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    const nde_real r2 = y[0]*y[0] + y[1]*y[1], r3 = r2*(nde_real)sqrt((double)r2);
    dy[0] = y[2], dy[1] = y[3];
    dy[2] = -y[0]/r3, dy[3] = -y[1]/r3;
    return 0;
}
/* At the pericentre of an orbit of eccentricity 0.5, with period 2 pi. */
static const nde_real start[4] = { (nde_real)0.5, 0, 0, (nde_real)1.7320508075688772 };
static const double period = 6.283185307179586;
static const nde_pointwise orbit = { .f = kepler };

/* ---- what is refused ---- */

static void refuse(const nde_problem *problem, const nde_options *options, const char *text) {
    nde_solver *solver;
    assert_int_equal(nde_solver_create(problem, options, &solver), NDE_E_ARG);
    if (!strstr(nde_error(), text)) fail_msg("'%s' is not in: %s", text, nde_error());
}

static int slowed(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    kepler(t, y, p, dy, ctx);
    dy[1] *= (nde_real)0.5;
    return 0;
}

static void other_problems_are_refused(void **state) {
    (void)state;
    const nde_field field = nde_field_pointwise(&orbit, 4, 0);
    const nde_pointwise slower = { .f = slowed };
    const nde_field slow = nde_field_pointwise(&slower, 4, 0);
    EACH(m) {
        nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = start, .t1 = 1, .split = 2);
        nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m));
        problem.split = 0;
        refuse(&problem, &options, "problem.split is 0");
        problem.split = 1;
        refuse(&problem, &options, "problem.split is 1");
        problem.split = 2, problem.quadrature = &field;
        refuse(&problem, &options, "problem.quadrature");
        problem.quadrature = NULL, options.compensated = 1;
        refuse(&problem, &options, "options.compensated");
        options.compensated = 0, options.error = NDE_ERROR_DOUBLING;
        refuse(&problem, &options, "options.error");
        options.error = 0, options.quantum = 0.125;
        refuse(&problem, &options, "options.quantum");
        static const double knots[2] = { 0, 1 };
        static const nde_real values[2] = { 1, 1 };
        const nde_path path = NDE_INIT(nde_path, .channels = 1, .knots = 2, .t = knots, .x = values);
        nde_field driven = field;
        driven.nu = 1;
        const nde_term term = NDE_INIT(nde_term, .field = &driven, .path = &path);
        options.quantum = 0, problem.terms = &term, problem.n_terms = 1;
        refuse(&problem, &options, "problem.n_terms is 1");

        problem.terms = NULL, problem.n_terms = 0, problem.drift = &slow;
        nde_solution s = NDE_INIT(nde_solution, .n = 0);
        assert_int_equal(nde_solve(&problem, &options, &s), NDE_E_ARG);
        assert_non_null(strstr(s.error, "q' = v"));
        assert_non_null(strstr(s.error, nde_method_name(m)));
        nde_solution_free(&s);
    }
}

/* ---- what is asked for ---- */

static int64_t calls, positions;

/* Rows that are not asked for are left as they are, or made unusable. */
static int halves(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    nde_real all[4];
    const bool half = at->flags & NDE_VELOCITIES;
    calls++, positions += !half;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real here[4] = { y[b], y[at->ld + b], y[2*at->ld + b], y[3*at->ld + b] };
        kepler(0, here, NULL, all, NULL);
        for (size_t i = 0; i < 4; i++) dy[i*at->ld + b] = half && i < 2 && f->ctx ? (nde_real)NAN : all[i];
    }
    return 0;
}

static void accelerations_are_all_that_is_asked_for(void **state) {
    (void)state;
    enum { N = 150 };
    static nde_real y0[4*N];
    const double save[] = { 0.11, 0.5, 1 };
    for (size_t i = 0; i < 4; i++)
        for (size_t b = 0; b < N; b++) y0[i*N + b] = start[i]*(1 + (nde_real)0.001*(nde_real)b);
    EACH(m)
        for (int fixed = 0; fixed < 2; fixed++) {
            nde_solution s[2] = { NDE_INIT(nde_solution, .n = 0), NDE_INIT(nde_solution, .n = 0) };
            for (int i = 0; i < 2; i++) {
                const nde_field field = NDE_INIT(nde_field, .dim = 4, .out = 4, .eval = halves, .ctx = i ? "asked for" : NULL);
                const nde_problem problem = NDE_INIT(nde_problem, .n = N, .drift = &field, .y0 = y0, .t1 = 1, .split = 2);
                const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .steps = fixed ? 8 : 0,
                                                     .save_t = save, .n_save = 3);
                assert_int_equal(nde_solve(&problem, &options, &s[i]), NDE_OK);
            }
            assert_memory_equal(s[0].y, s[1].y, 3*4*N*sizeof(nde_real));
            nde_solution_free(&s[0]), nde_solution_free(&s[1]);
        }
}

/* Whole slopes at the start and for the first step size alone; all calls are counted. */
static void evaluations_are_counted(void **state) {
    (void)state;
    EACH(m) {
        const nde_field field = NDE_INIT(nde_field, .dim = 4, .out = 4, .eval = halves);
        const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = start, .t1 = period, .split = 2);
        nde_solution s = NDE_INIT(nde_solution, .n = 0);
        calls = positions = 0;
        assert_int_equal(nde_solve(&problem, &(nde_options){ .method = nde_method_id(m) }, &s), NDE_OK);
        assert_int_equal(s.stats->evals, calls);
        assert_int_equal(positions, 2);
        const int64_t each = (int64_t)nde_method_evaluations(m);
        assert_int_equal(calls - 2, each*(s.stats->accepted + s.stats->rejected));
        nde_solution_free(&s);
    }
}

/* ---- inside a step ---- */

static void velocities_are_derivatives_of_positions(void **state) {
    (void)state;
    const nde_field field = nde_field_pointwise(&orbit, 4, 0);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = start, .t1 = 2, .split = 2);
    EACH(m) {
        nde_solver *solver;
        const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .adjoint = NDE_ADJOINT_DISCRETE);
        assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_OK);
        assert_int_equal(nde_solver_run(solver, NULL), NDE_OK);
        nde_real y[4], dy[4], before[4], after[4];
        for (double t = 0.03; t < 1.95; t += 0.07) {
            const double h = sizeof(nde_real) == sizeof(double) ? 1e-5 : 1e-2;
            assert_int_equal(nde_solver_dense(solver, 0, t, y, dy), NDE_OK);
            for (int i = 0; i < 2; i++)
                assert_true(fabs((double)(dy[i] - y[2 + i])) <= 20*NDE_TEST_EPS*(1 + fabs((double)dy[i])));
            assert_int_equal(nde_solver_dense(solver, 0, t - h, before, NULL), NDE_OK);
            assert_int_equal(nde_solver_dense(solver, 0, t + h, after, NULL), NDE_OK);
            for (int i = 0; i < 4; i++) {
                const double slope = ((double)after[i] - (double)before[i])/(2*h);
                assert_true(fabs(slope - (double)dy[i]) < (sizeof(nde_real) == sizeof(double) ? 1e-5 : 5e-3)*(1 + fabs(slope)));
            }
        }
        nde_solver_destroy(solver);
    }
}

/* ---- the error of a loss ---- */

/* <w, the error estimate of one step>, by the table. */
static double estimate(const nde_method *m, double h, const nde_real *w) {
    double f[16][2], error = 0;
    for (int i = 0; i < m->stages; i++) {
        nde_real at[4] = { 0, 0, 0, 0 }, slope[4];
        for (int c = 0; c < 2; c++) {
            double q = (double)start[c] + m->c[i]*h*(double)start[2 + c];
            for (int j = 0; j < i; j++) q += h*h*m->a[i*(i - 1)/2 + j]*f[j][c];
            at[c] = (nde_real)q;
        }
        kepler(0, at, NULL, slope, NULL);
        for (int c = 0; c < 2; c++) {
            f[i][c] = (double)slope[2 + c];
            error += h*h*m->e[i]*f[i][c]*(double)w[c] + h*m->e_velocity[i]*f[i][c]*(double)w[2 + c];
        }
    }
    return error;
}

static int kepler_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
                      void *ctx) {
    (void)t, (void)p, (void)ap, (void)at, (void)ctx;
    const nde_real r2 = y[0]*y[0] + y[1]*y[1], r3 = r2*(nde_real)sqrt((double)r2), along = 3*(y[0]*a[2] + y[1]*a[3])/r2;
    ay[2] += a[0], ay[3] += a[1];
    ay[0] += (along*y[0] - a[2])/r3, ay[1] += (along*y[1] - a[3])/r3;
    return 0;
}

static void the_error_of_a_loss_is_that_of_both_halves(void **state) {
    (void)state;
    const nde_pointwise one = { .f = kepler, .vjp = kepler_vjp };
    const nde_field field = nde_field_pointwise(&one, 4, 0);
    const double h = 0.4;
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = start, .t1 = h, .split = 2);
    EACH(m)
        for (int c = 0; c < 4; c++) {
            nde_real w[4] = { 0 }, g[4] = { 0 };
            double error = 0;
            w[c] = 1;
            nde_solver *solver;
            const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .steps = 1,
                                                 .adjoint = NDE_ADJOINT_DISCRETE);
            assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_OK);
            assert_int_equal(nde_solver_run(solver, NULL), NDE_OK);
            const nde_seed seed = NDE_INIT(nde_seed, .y_end = w);
            const nde_gradient gradient = NDE_INIT(nde_gradient, .y0 = g, .loss_error = &error);
            assert_int_equal(nde_backward(solver, &seed, &gradient), NDE_OK);
            const double expected = estimate(m, h, w);
            if (!(fabs(error - expected) <= 100*NDE_TEST_EPS))
                fail_msg("%s, %d: %g, not %g", nde_method_name(m), c, error, expected);
            assert_true(fabs(expected) > 1000*NDE_TEST_EPS || sizeof(nde_real) == sizeof(float));
            nde_solver_destroy(solver);
        }
}

/* ---- work ---- */

#ifndef NDE_TEST_SINGLE
/* Evaluations for ten orbits, and the error at their end. */
static int64_t work(int method, double tolerance, double *error) {
    const nde_field field = nde_field_pointwise(&orbit, 4, 0);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = start, .t1 = 10*period,
                                         .split = nde_method_is_split(nde_method_get(method)) ? 2 : 0);
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    const nde_options options = NDE_INIT(nde_options, .method = method, .rtol = tolerance, .atol = tolerance);
    assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
    *error = 0;
    for (int i = 0; i < 4; i++) *error = fmax(*error, fabs(s.y_end[i] - start[i]));
    const int64_t evals = s.stats->evals;
    nde_solution_free(&s);
    return evals;
}

/* Interpolated between tolerances of half a decade. */
static double evaluations_for(int method, double wanted) {
    double before = 0, error_before = 0;
    for (double tolerance = 1e-3; tolerance > 1e-15; tolerance *= 0.31622776601683794) {
        double error;
        const double evals = (double)work(method, tolerance, &error);
        if (error <= wanted) {
            const double part = before > 0 ? log(error_before/wanted)/log(error_before/error) : 1;
            return before > 0 ? before*pow(evals/before, part) : evals;
        }
        before = evals, error_before = error;
    }
    return HUGE_VAL;
}

static void orbits_take_fewer_evaluations(void **state) {
    (void)state;
    static const int all[] = { NDE_DPRKN6, NDE_DPRKN8, NDE_DOPRI5, NDE_VERN7, NDE_DOP853 };
    enum { ALL = sizeof all/sizeof *all };
    for (int decade = 4; decade <= 10; decade += 2) {
        double evals[ALL];
        print_message("error 1e-%d:", decade);
        for (int i = 0; i < ALL; i++) {
            evals[i] = evaluations_for(all[i], pow(10, -decade));
            print_message("  %s %.0f", nde_method_name(nde_method_get(all[i])), evals[i]);
        }
        print_message("\n");
        assert_true(evals[0] < 0.7*evals[2] && evals[1] < 0.7*evals[3] && evals[1] < 0.7*evals[4]);
    }
}
#else
static void orbits_take_fewer_evaluations(void **state) { (void)state; }
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(other_problems_are_refused),
        cmocka_unit_test(accelerations_are_all_that_is_asked_for),
        cmocka_unit_test(evaluations_are_counted),
        cmocka_unit_test(velocities_are_derivatives_of_positions),
        cmocka_unit_test(the_error_of_a_loss_is_that_of_both_halves),
        cmocka_unit_test(orbits_take_fewer_evaluations),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
