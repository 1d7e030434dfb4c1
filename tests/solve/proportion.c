/* SPDX-License-Identifier: MIT
 * proportion.c - tolerance proportionality: for every adaptive method of the registry the error follows the tolerance. The
 * slope of log error against log tolerance over 1e-3 ... 1e-10 is within 0.7 and 1.3 on five problems with known
 * solutions: within 0.3 of p/(q + 1), p the order of the solution that is continued and q that of the estimate. That is 1
 * with local extrapolation; the Chebyshev method, which cannot have it without losing its stability, has 2/3: its published
 * estimate is as h^3, like the error of a step, and that of the solution as h^2.
 *
 * Source: L. F. Shampine, ACM Trans. Math. Softw. 4 (1978) 41-53, on what to ask of an error control. */
#include <math.h>
#include <string.h>

#include "method/method.h"

enum { MOST = 4 };

#define FIELD(name) static int name(double t, const double *y, const double *p, double *dy, void *ctx)
#define UNUSED return (void)t, (void)p, (void)ctx, (void)y, 0

/* A pendulum that is driven along sin t + t/2. */
static void exact_pendulum(double t, double *y) { y[0] = sin(t) + t/2, y[1] = cos(t) + 0.5; }
FIELD(pendulum) {
    dy[0] = y[1], dy[1] = sin(sin(t) + t/2) - sin(y[0]) - sin(t);
    UNUSED;
}

static void exact_growth(double t, double *y) { y[0] = 20/(1 + 19*exp(-t)); }
FIELD(growth) { dy[0] = y[0]*(1 - y[0]/20); UNUSED; }

static void exact_wave(double t, double *y) { y[0] = exp(sin(t)); }
FIELD(wave) { dy[0] = y[0]*cos(t); UNUSED; }

/* Kepler's orbit of eccentricity 0.3. */
static void exact_orbit(double t, double *y) {
    const double e = 0.3;
    double E = t;
    for (int i = 0; i < 30; i++) E -= (E - e*sin(E) - t)/(1 - e*cos(E));
    const double rate = 1/(1 - e*cos(E)), b = sqrt(1 - e*e);
    y[0] = cos(E) - e, y[1] = b*sin(E), y[2] = -sin(E)*rate, y[3] = b*cos(E)*rate;
}
FIELD(orbit) {
    const double r = hypot(y[0], y[1]), pull = -1/(r*r*r);
    dy[0] = y[2], dy[1] = y[3], dy[2] = pull*y[0], dy[3] = pull*y[1];
    UNUSED;
}

/* A spiral whose radius grows to 1: r' = r - r^3, angle 3t. */
static void exact_cycle(double t, double *y) {
    const double r = 1/sqrt(1 + 3*exp(-2*t));
    y[0] = r*cos(3*t), y[1] = r*sin(3*t);
}
FIELD(cycle) {
    const double pull = 1 - y[0]*y[0] - y[1]*y[1];
    dy[0] = pull*y[0] - 3*y[1], dy[1] = pull*y[1] + 3*y[0];
    UNUSED;
}

static const struct {
    const char *name;
    size_t dim;
    int (*f)(double t, const double *y, const double *p, double *dy, void *ctx);
    void (*exact)(double t, double *y);
    double t1;
    size_t split; /* > 0: q'' = f(t, q) */
} problems[] = {
    { "pendulum", 2, pendulum, exact_pendulum, 8, 1 }, { "growth", 1, growth, exact_growth, 8, 0 },
    { "wave", 1, wave, exact_wave, 12, 0 },            { "orbit", 4, orbit, exact_orbit, 8, 2 },
    { "cycle", 2, cycle, exact_cycle, 8, 0 },
};
enum { PROBLEMS = sizeof problems/sizeof *problems };

/* So few that each can be looked at. */
static bool steps_are_few(int method, int32_t error, double tolerance) {
    return tolerance >= 1e-6 || nde_method_order(nde_method_get(method)) + (error == NDE_ERROR_DOUBLING) > 2;
}

/* Largest error at the times, of the values of the steps: the continuous extension has an order of its own. */
static double error_of(size_t which, int method, int32_t error, double tolerance) {
    const size_t dim = problems[which].dim;
    const nde_pointwise one = { .f = problems[which].f };
    const nde_field field = nde_field_pointwise(&one, dim, 0);
    double y0[MOST], y[MOST], most = 0;
    problems[which].exact(0, y0);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .t1 = problems[which].t1,
                                         .split = nde_method_is_split(nde_method_get(method)) ? problems[which].split : 0);
    const nde_options options = NDE_INIT(nde_options, .method = method, .error = error, .rtol = tolerance, .atol = tolerance,
                                         .jacobian = test_iterates(nde_method_get(method))
                                         ? NDE_JACOBIAN_DIFFERENCES : 0, .max_steps = NDE_ZERO, .save_rows = 50000,
                                         .save_every = steps_are_few(method, error, tolerance) ? 1 : 64);
    nde_solution s = { 0 };
    if (nde_solve(&problem, &options, &s))
        fail_msg("%s at %g: %s", problems[which].name, tolerance, s.error ? s.error : nde_error());
    for (size_t i = 0; i < s.saved[0]; i++) {
        problems[which].exact(s.t[i], y);
        for (size_t j = 0; j < dim; j++) most = fmax(most, fabs(s.y[i*dim + j] - y[j])/(1 + fabs(y[j])));
    }
    nde_solution_free(&s);
    return most;
}

/* The slope by least squares. */
static double slope_of(size_t which, int method, int32_t error) {
    enum { POINTS = 15 };
    double x = 0, y = 0, xx = 0, xy = 0;
    for (int i = 0; i < POINTS; i++) {
        const double tolerance = pow(10, -3 - 0.5*i), a = log(tolerance), b = log(error_of(which, method, error, tolerance));
        x += a, y += b, xx += a*a, xy += a*b;
    }
    return (POINTS*xy - x*y)/(POINTS*xx - x*x);
}

static void follow(int32_t error) {
    int wrong = 0;
    for (size_t m = 0; m < nde_method_count(); m++) {
        const nde_method *method = nde_method_at(m);
        const bool doubled = error == NDE_ERROR_DOUBLING && nde_method_kind(method) == NDE_KIND_RUNGE_KUTTA;
        if (!(doubled || (error == NDE_ERROR_EMBEDDED && nde_method_error_order(method)))) continue;
        if (nde_method_kind(method) == NDE_KIND_ROSENBROCK) continue; /* tests/method/implicit.c */
        if (nde_method_kind(method) == NDE_KIND_IMEX) continue;       /* tests/method/imex.c */
        if (nde_method_kind(method) == NDE_KIND_SWITCHING) continue;  /* tests/method/switching.c */
        print_message("%-12s", nde_method_name(method));
        for (size_t which = 0; which < PROBLEMS; which++) {
            if (nde_method_is_split(method) && !problems[which].split) continue;
            /* it falls into the centre */
            if (nde_method_id(method) == NDE_IMPLICIT_EULER && !strcmp(problems[which].name, "orbit")) continue;
            const double slope = slope_of(which, nde_method_id(method), error);
            print_message("  %s %.2f", problems[which].name, slope);
            const double expected = doubled ? 1 : (double)nde_method_order(method)/(nde_method_estimate_order(method) + 1);
            /* the doubled steps of the others are for the report */
            const double apart = nde_method_order(method) > 2 ? 0.3 : 0.1; /* steps of these are short at any tolerance */
            if ((!doubled || !nde_method_error_order(method)) && !(fabs(slope - fmin(1, expected)) <= apart)) wrong++;
        }
        print_message("\n");
    }
    if (wrong) fail_msg("%d slopes are not what they should be", wrong);
}

static void the_error_follows_the_tolerance(void **state) { (void)state, follow(NDE_ERROR_EMBEDDED); }
static void it_does_by_step_doubling(void **state) { (void)state, follow(NDE_ERROR_DOUBLING); }

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(the_error_follows_the_tolerance),
                                        cmocka_unit_test(it_does_by_step_doubling) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
