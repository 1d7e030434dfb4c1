/* SPDX-License-Identifier: MIT
 * minimise.c - L-BFGS: minima that are known, objectives that refuse, fail or are not finite. Without liblbfgs: a refusal. */
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_P = 1000 };

#ifdef NDE_TEST_LBFGS
/* An objective, and what is to happen to it. */
typedef struct scene {
    double (*formula)(size_t np, const double *p, double *g);
    double most;             /* p[0] above is refused */
    int64_t calls, refusals, fail_at, fail_with;
    int64_t poison_at;       /* evaluation with a NaN: > 0 in the value, < 0 in the gradient */
    int64_t iterations, stop_at;
    double lowest, previous;
} scene;

static int scene_value(void *ctx, size_t np, const nde_real *p, double *value, nde_real *gradient) {
    scene *s = ctx;
    double q[MOST_P], g[MOST_P];
    s->calls++;
    for (size_t i = 0; i < np; i++) {
        assert_true(isfinite(p[i]));
        q[i] = (double)p[i];
    }
    if (q[0] > s->most) return s->refusals++, 5; /* value and gradient are not set */
    if (s->calls == s->fail_at) return (int)s->fail_with;
    *value = s->formula(np, q, g);
    for (size_t i = 0; i < np; i++) gradient[i] = (nde_real)g[i];
    if (s->calls == s->poison_at) *value = (double)NAN;
    if (s->calls == -s->poison_at) gradient[np - 1] = (nde_real)INFINITY;
    if (isfinite(*value)) s->lowest = fmin(s->lowest, *value);
    return 0;
}

static int scene_progress(void *ctx, int64_t iteration, double value, const nde_real *p) {
    scene *s = ctx;
    assert_int_equal(iteration, s->iterations + 1);
    assert_true(value <= s->previous && p);
    s->iterations = iteration, s->previous = value;
    return iteration == s->stop_at;
}

static scene scene_make(double (*formula)(size_t np, const double *p, double *g)) {
    return (scene){ .formula = formula, .most = (double)INFINITY, .lowest = (double)INFINITY, .previous = (double)INFINITY };
}

static nde_status scene_run(scene *s, double tolerance, size_t np, nde_real *p, nde_fit *fit) {
    const nde_minimiser m = NDE_INIT(nde_minimiser, .value = scene_value, .progress = scene_progress, .ctx = s,
                                     .tolerance = tolerance);
    return nde_minimise(&m, np, p, fit);
}

static double rosenbrock(size_t np, const double *p, double *g) {
    const double a = p[1] - p[0]*p[0], b = 1 - p[0];
    assert_true(np == 2);
    g[0] = -400*a*p[0] - 2*b, g[1] = 200*a;
    return 100*a*a + b*b;
}

/* Minimum at p_i = 1 + i/np, value 3; every parameter has its own curvature, and neighbours pull at each other. */
static double quartic(size_t np, const double *p, double *g) {
    double value = 3, z[MOST_P];
    for (size_t i = 0; i < np; i++) z[i] = p[i] - 1 - (double)i/(double)np, g[i] = 0;
    for (size_t i = 0; i < np; i++) {
        const double scale = 1 + 9*(double)i/(double)np, pull = i ? z[i] - z[i - 1] : 0;
        value += scale*z[i]*z[i]*(1 + z[i]*z[i]) + 5*pull*pull;
        g[i] += scale*z[i]*(2 + 4*z[i]*z[i]) + 10*pull;
        if (i) g[i - 1] -= 10*pull;
    }
    return value;
}

/* No minimum, and nothing to bend on. */
static double slope(size_t np, const double *p, double *g) {
    double value = 0;
    for (size_t i = 0; i < np; i++) g[i] = 1, value += p[i];
    return value;
}

/* Gradients whose squares overflow a double's; in float still within range. */
static double steep(size_t np, const double *p, double *g) {
    const double scale = sizeof(nde_real) == 8 ? 1e200 : 1e30;
    double value = 0;
    for (size_t i = 0; i < np; i++) g[i] = scale*p[i], value += scale*p[i]*p[i]/2;
    return value;
}

static double cliff(size_t np, const double *p, double *g) {
    double value = 0;
    for (size_t i = 0; i < np; i++) g[i] = 1e25*p[i], value += 0.5*1e25*p[i]*p[i];
    return value;
}

static void curved_valley(void **state) {
    (void)state;
    scene s = scene_make(rosenbrock);
    nde_real p[2] = { (nde_real)-1.2, 1 };
    nde_fit fit;
    const double near = sizeof(nde_real) == 8 ? 1e-8 : 1e-3;
    assert_int_equal(scene_run(&s, sizeof(nde_real) == 8 ? 1e-10 : 1e-4, 2, p, &fit), NDE_OK);
    assert_true(fabs((double)p[0] - 1) < near && fabs((double)p[1] - 1) < 2*near);
    assert_true(fabs(fit.first - 24.2) < 1e-4 && fit.last < near*near && fit.gradient_norm < near);
    assert_true(fit.evaluations == s.calls && fit.iterations == s.iterations && s.iterations < 60);
    print_message("Rosenbrock: %lld iterations, %lld evaluations, distance %.1e\n", (long long)fit.iterations,
                  (long long)fit.evaluations, fabs((double)p[0] - 1));
}

/* More and fewer parameters than a block of liblbfgs's. */
static void many_parameters(void **state) {
    (void)state;
    const size_t sizes[] = { 1, 7, 50, MOST_P };
    for (size_t k = 0; k < 4; k++) {
        const size_t np = sizes[k];
        scene s = scene_make(quartic);
        nde_real p[MOST_P];
        nde_fit fit;
        double far = 0;
        for (size_t i = 0; i < np; i++) p[i] = i%2 ? -3 : 4;
        assert_int_equal(scene_run(&s, sizeof(nde_real) == 8 ? 1e-9 : 1e-5, np, p, &fit), NDE_OK);
        for (size_t i = 0; i < np; i++) far = fmax(far, fabs((double)p[i] - 1 - (double)i/(double)np));
        print_message("quartic of %zu: %lld iterations, %lld evaluations, distance %.1e\n", np, (long long)fit.iterations,
                      (long long)fit.evaluations, far);
        assert_true(far < (sizeof(nde_real) == 8 ? 1e-7 : 1e-3));
        assert_true(fabs(fit.last - 3) < (sizeof(nde_real) == 8 ? 1e-14 : 1e-6) && fit.gradient_norm < 1e-2);
    }
}

/* A parabola, refused at the second point. */
typedef struct walled {
    int calls;
    double at[3];
} walled;
static int wall(void *ctx, size_t np, const nde_real *p, double *value, nde_real *gradient) {
    walled *w = ctx;
    (void)np;
    if (w->calls < 3) w->at[w->calls] = (double)p[0];
    if (w->calls++ == 1) return 1;
    *value = 0.5*(double)(p[0]*p[0]), gradient[0] = p[0];
    return 0;
}

/* To a quarter. */
static void a_refusal_quarters_the_step(void **state) {
    (void)state;
    walled w = { 0 };
    nde_real p[] = { 10 };
    const nde_minimiser m = NDE_INIT(nde_minimiser, .value = wall, .ctx = &w);
    assert_true(nde_minimise(&m, 1, p, NULL) >= 0);
    assert_true(fabs((w.at[2] - w.at[0])/(w.at[1] - w.at[0]) - 0.25) < 1e-3);
}

static void refusals_shorten_the_step(void **state) {
    (void)state;
    const double edges[] = { -1.125, -0.75, 0, 0.5, 1.001, 1.5 };
    for (size_t k = 0; k < 6; k++) {
        scene s = scene_make(rosenbrock);
        nde_real p[2] = { (nde_real)-1.2, 1 };
        nde_fit fit;
        s.most = edges[k];
        const nde_status status = scene_run(&s, sizeof(nde_real) == 8 ? 1e-10 : 1e-4, 2, p, &fit);
        assert_true((double)p[0] <= edges[k] && fit.last == s.lowest);
        if (edges[k] > 1) assert_true(status == NDE_OK && fabs((double)p[0] - 1) < 1e-3);
        else assert_true(status == NDE_UNFINISHED && s.refusals > 0 && fit.last < fit.first);
    }
    int64_t refusals = 0; /* the way to the minimum leads over an edge behind it */
    for (uint64_t k = 0; k < 40; k++) {
        scene s = scene_make(rosenbrock);
        nde_real p[2] = { (nde_real)(nde_uniform(1, 200, 0, k, 0) - 1), (nde_real)(4*nde_uniform(1, 200, 0, k, 1) - 2) };
        s.most = 1.03125;
        assert_int_equal(scene_run(&s, sizeof(nde_real) == 8 ? 1e-10 : 1e-3, 2, p, NULL), NDE_OK);
        assert_true(fabs((double)p[0] - 1) < 1e-2);
        refusals += s.refusals;
    }
    print_message("%lld refusals in 40 runs that converge\n", (long long)refusals);
    assert_true(refusals >= 5);
    scene s = scene_make(rosenbrock);
    nde_real p[2] = { 1, 1 };
    s.most = -2; /* the start itself */
    assert_int_equal(scene_run(&s, 0, 2, p, NULL), NDE_E_FIELD);
    assert_non_null(strstr(nde_error(), "start"));
    assert_int_equal(s.calls, 1);
}

/* Every evaluation in turn fails or is not finite: at once the end, with the best point. */
static void failures(void **state) {
    (void)state;
    scene free = scene_make(rosenbrock);
    nde_real p[2] = { (nde_real)-1.2, 1 };
    assert_int_equal(scene_run(&free, 1e-3, 2, p, NULL), NDE_OK);
    for (int kind = 0; kind < 3; kind++)
        for (int64_t at = 1; at <= free.calls; at++) {
            scene s = scene_make(rosenbrock);
            nde_real q[2] = { (nde_real)-1.2, 1 };
            nde_fit fit;
            double g[2];
            if (kind == 0) s.fail_at = at, s.fail_with = -3;
            else s.poison_at = kind == 1 ? at : -at;
            assert_int_equal(scene_run(&s, 1e-3, 2, q, &fit), kind ? NDE_E_NONFINITE : NDE_E_FIELD);
            assert_non_null(strstr(nde_error(), kind == 0 ? "-3" : kind == 1 ? "nan" : "gradient[1]"));
            assert_true(s.calls == at && fit.evaluations == at);
            if (at == 1) {
                assert_true(isnan(fit.first) && isnan(fit.last) && isnan(fit.gradient_norm));
                assert_true(q[0] == (nde_real)-1.2 && q[1] == 1);
                continue;
            }
            const double q_double[2] = { (double)q[0], (double)q[1] };
            assert_true(fit.last == rosenbrock(2, q_double, g) && fit.last <= fit.first);
            assert_true(fit.gradient_norm == fmax(fabs((double)(nde_real)g[0]), fabs((double)(nde_real)g[1])));
            if (kind == 0 || kind == 1) assert_true(fit.last == s.lowest);
        }
}

static void ends(void **state) {
    (void)state;
    nde_real p[3] = { (nde_real)-1.2, 1, 0 };
    nde_fit fit;
    scene s = scene_make(rosenbrock);
    s.stop_at = 4;
    assert_int_equal(scene_run(&s, 0, 2, p, &fit), NDE_STOPPED);
    assert_true(fit.iterations == 4 && fit.last < fit.first && fit.last > 1e-3 && fit.last == s.lowest);

    s = scene_make(rosenbrock);
    p[0] = (nde_real)-1.2, p[1] = 1;
    const nde_minimiser few = NDE_INIT(nde_minimiser, .value = scene_value, .ctx = &s, .iterations = 5, .memory = 3);
    assert_int_equal(nde_minimise(&few, 2, p, &fit), NDE_UNFINISHED);
    assert_true(fit.last < fit.first && fit.last == s.lowest && fit.iterations == 5);

    s = scene_make(rosenbrock); /* there already */
    p[0] = p[1] = 1;
    assert_int_equal(scene_run(&s, 0, 2, p, &fit), NDE_OK);
    assert_true(s.calls == 1 && fit.last == 0 && fit.iterations == 0 && p[0] == 1);

    s = scene_make(rosenbrock); /* more than arithmetic gives */
    p[0] = (nde_real)-1.2, p[1] = (nde_real)1.7;
    const nde_status status = scene_run(&s, NDE_ZERO, 2, p, &fit);
    assert_true(status == NDE_UNFINISHED || (status == NDE_OK && fit.gradient_norm == 0));
    assert_true(fit.last == s.lowest && fit.last < 1e-6);

    s = scene_make(slope);
    p[0] = p[1] = p[2] = 1;
    assert_int_equal(scene_run(&s, 0, 3, p, &fit), NDE_UNFINISHED);
    assert_true(fit.last < -1e6 && s.calls < 2000);

    s = scene_make(steep);
    p[0] = 1, p[1] = 2;
    assert_true(scene_run(&s, 0, 2, p, &fit) >= 0 && s.calls < 2000 && fit.last <= fit.first);

    s = scene_make(cliff); /* a first step of 1/|gradient| is below 1e-20 */
    p[0] = 3, p[1] = 2;
    assert_true(scene_run(&s, 0, 2, p, &fit) >= 0 && fit.last < 1e-6*fit.first);
}

static void refuse(const nde_minimiser *m, size_t np, nde_real *p, const char *name, const char *value) {
    nde_fit fit = { .iterations = 77 };
    assert_int_equal(nde_minimise(m, np, p, &fit), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "nde_minimise"));
    assert_non_null(strstr(nde_error(), name));
    assert_non_null(strstr(nde_error(), value));
    assert_int_equal(fit.iterations, 77);
}

static void refused_arguments(void **state) {
    (void)state;
    scene s = scene_make(rosenbrock);
    nde_real p[2] = { 1, 1 };
    const nde_minimiser good = NDE_INIT(nde_minimiser, .value = scene_value, .ctx = &s);
    nde_minimiser m = good;
    refuse(NULL, 2, p, "minimiser", "NULL");
    refuse(&good, 2, NULL, "p", "NULL");
    refuse(&good, 0, p, "np", "0");
    refuse(&good, (size_t)INT_MAX, p, "np", "2147483647");
    refuse(&good, SIZE_MAX, p, "np", "18446744073709551615");
    m.value = NULL, refuse(&m, 2, p, "value", "NULL"), m = good;
    m.size = 3, refuse(&m, 2, p, "size", "3"), m = good;
    m.memory = SIZE_MAX/2, refuse(&m, 2, p, "memory", "9223372036854775807"), m = good;
    m.iterations = -5, refuse(&m, 2, p, "iterations", "-5"), m = good;
    m.tolerance = -0.5, refuse(&m, 2, p, "tolerance", "-0.5");
    m.tolerance = (double)NAN, refuse(&m, 2, p, "tolerance", "nan"), m = good;
    p[1] = (nde_real)NAN, refuse(&good, 2, p, "p[1]", "nan"), p[1] = 1;
    assert_int_equal(s.calls, 0);
    assert_int_equal(nde_minimise(&good, 2, p, NULL), NDE_OK); /* it was good */
}

#else
static int value(void *ctx, size_t np, const nde_real *p, double *v, nde_real *gradient) {
    (void)ctx, (void)np, (void)p;
    *v = 0, gradient[0] = 0;
    return 0;
}

static void is_not_built(void **state) {
    (void)state;
    nde_real p[1] = { 1 };
    const nde_minimiser m = NDE_INIT(nde_minimiser, .value = value);
    assert_int_equal(nde_minimise(&m, 1, p, NULL), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "liblbfgs"));
    assert_true(p[0] == 1);
}
#endif

int main(void) {
    const struct CMUnitTest tests[] = {
#ifdef NDE_TEST_LBFGS
        cmocka_unit_test(curved_valley),
        cmocka_unit_test(many_parameters),
        cmocka_unit_test(a_refusal_quarters_the_step),
        cmocka_unit_test(refusals_shorten_the_step),
        cmocka_unit_test(failures),
        cmocka_unit_test(ends),
        cmocka_unit_test(refused_arguments),
#else
        cmocka_unit_test(is_not_built),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
