/* SPDX-License-Identifier: MIT
 * multilevel.c - multilevel Monte Carlo against the Black-Scholes formula: value, standard error, orders and costs; the
 * same bits for any number of threads; what fails and what is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#define LENGTH(a) (sizeof(a)/sizeof *(a))
enum { BATCH = 500 };
static const double rate = 0.05, volatility = 0.2, strike = 1;

/* dS = r S dt + v S dW, S from 1. */
static int grow(double by, const nde_real *y, nde_real *dy) { return dy[0] = (nde_real)by*y[0], 0; }
static int drift(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    return grow(rate, y, dy);
}
static int diffusion(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)p;
    return ctx && (*(int *)ctx)-- == 0 ? -3 : grow(volatility, y, dy);
}
static int diffusion_jvp(double t, const nde_real *y, const nde_real *p, double vt, const nde_real *vy, const nde_real *vp,
                         nde_real *dv, void *ctx) {
    (void)t, (void)y, (void)p, (void)vt, (void)vp, (void)ctx;
    return grow(volatility, vy, dv);
}

static int calls_left = -1;
static int call_option(void *ctx, const nde_solution *s, double *value) {
    (void)ctx;
    for (size_t b = 0; b < s->n; b++) value[b] = exp(-rate)*fmax((double)s->y_end[b] - strike, 0);
    return calls_left >= 0 && calls_left-- == 0 ? 7 : 0;
}

static double normal_cdf(double x) { return 0.5*erfc(-x/sqrt(2)); }
static double black_scholes(void) {
    const double d = (log(1/strike) + rate + 0.5*volatility*volatility)/volatility;
    return normal_cdf(d) - strike*exp(-rate)*normal_cdf(d - volatility);
}

typedef struct rig {
    nde_pointwise of_drift, of_diffusion;
    nde_field drift, diffusion;
    nde_noise noise;
    nde_term term;
    nde_problem problem;
    nde_options options;
    nde_multilevel what;
    nde_real y0[BATCH];
    int left;
} rig;

static void make(rig *r, int method, double error) {
    *r = (rig){ .left = -1 };
    for (size_t i = 0; i < BATCH; i++) r->y0[i] = 1;
    r->of_drift = NDE_INIT(nde_pointwise, .f = drift);
    r->of_diffusion = NDE_INIT(nde_pointwise, .f = diffusion, .jvp = diffusion_jvp, .ctx = &r->left);
    r->drift = nde_field_pointwise(&r->of_drift, 1, 0), r->diffusion = nde_field_pointwise(&r->of_diffusion, 1, 0);
    r->noise = NDE_INIT(nde_noise, .seed = 21);
    r->term = NDE_INIT(nde_term, .field = &r->diffusion, .noise = &r->noise, .kind = NDE_NOISE_DIAGONAL);
    r->problem = NDE_INIT(nde_problem, .n = BATCH, .drift = &r->drift, .terms = &r->term, .n_terms = 1, .y0 = r->y0, .t1 = 1,
                          .calculus = NDE_ITO);
    r->options = NDE_INIT(nde_options, .method = method, .steps = 1);
    r->what = NDE_INIT(nde_multilevel, .problem = &r->problem, .options = &r->options, .value = call_option, .error = error);
}

static nde_multilevel_report report_of(rig *r) {
    nde_multilevel_report report = NDE_INIT(nde_multilevel_report, .levels = 0);
    if (nde_multilevel_run(&r->what, &report)) fail_msg("%s", nde_error());
    return report;
}

static const struct { int method, source, antithetic; } these[] = {
    { NDE_EULER_MARUYAMA, NDE_SOURCE_GRID, 0 }, { NDE_MILSTEIN, NDE_SOURCE_GRID, 0 },
        { NDE_EULER_MARUYAMA, NDE_SOURCE_GRID, 1 },
    { NDE_EULER_MARUYAMA, NDE_SOURCE_TREE, 0 }, { NDE_SRIW1, NDE_SOURCE_GRID, 0 },
};

/* Within four standard errors and the bias that is told; both as wanted. */
static void it_comes_to_the_formula(void **state) {
    (void)state;
    static rig r;
    const double exact = black_scholes();
    for (size_t k = 0; k < LENGTH(these); k++) {
        make(&r, these[k].method, 5e-4);
        r.noise.source = these[k].source, r.noise.antithetic = these[k].antithetic;
        const nde_multilevel_report o = report_of(&r);
        assert_true(o.reached && o.levels >= 3);
        assert_true(o.standard_error <= 5e-4/sqrt(2)*1.02 && o.bias <= 5e-4/sqrt(2));
        if (!(fabs(o.value - exact) <= 4*o.standard_error + 2*o.bias))
            fail_msg("%zu: %g +- %g, not %g", k, o.value, o.standard_error, exact);
        double value = 0, variance = 0, cost = 0;
        for (int l = 0; l < o.levels; l++) {
            const nde_level *level = &o.level[l];
            assert_true(level->steps == (int64_t)1 << l && level->samples >= 1000);
            value += level->mean, variance += level->variance/(double)level->samples,
                cost += level->cost*(double)level->samples;
            assert_true(l == 0 || level->samples <= o.level[l - 1].samples);
            assert_true(fabs(level->fine_mean - exact) < 0.03);
        }
        assert_true(fabs(value - o.value) <= 1e-12 && fabs(sqrt(variance) - o.standard_error) <= 1e-12);
        assert_true(fabs(cost - o.cost) <= 1e-6*cost);
    }
}

/* The variance of differences shrinks by the strong order, 2 and 4 a level for a Lipschitz value; plain Monte Carlo costs
 * more. */
static void variances_shrink_by_the_strong_order(void **state) {
    (void)state;
    static rig r;
    for (int milstein = 0; milstein < 2; milstein++) {
        make(&r, milstein ? NDE_MILSTEIN : NDE_EULER_MARUYAMA, 1e-3);
        r.what.first = 20000, r.what.levels = 6, r.what.weak = 1, r.what.error = 2e-4, r.what.samples = 200000;
        const nde_multilevel_report o = report_of(&r);
        assert_true(!o.reached);
        double slope = 0;
        for (int l = 2; l < o.levels; l++) slope += log2(o.level[l - 1].variance/o.level[l].variance)/(o.levels - 2);
        const double wanted = milstein ? 2 : 1;
        if (!(fabs(slope - wanted) < 0.3)) fail_msg("%g, not %g", slope, wanted);
        make(&r, milstein ? NDE_MILSTEIN : NDE_EULER_MARUYAMA, 2e-4);
        r.options.steps = 4;
        const nde_multilevel_report fine = report_of(&r);
        if (!(fine.plain_cost > (milstein ? 2 : 1.2)*fine.cost)) fail_msg("%g, %g", fine.cost, fine.plain_cost);
    }
}

static void threads_leave_the_bits(void **state) {
    (void)state;
    static rig r;
    make(&r, NDE_MILSTEIN, 1e-3);
    r.options.group = 64;
    const nde_multilevel_report one = report_of(&r);
    r.options.threads = 3;
    const nde_multilevel_report three = report_of(&r);
    assert_memory_equal(&one, &three, sizeof one);
    r.noise.seed++;
    const nde_multilevel_report other = report_of(&r);
    assert_true(other.value != one.value && fabs(other.value - one.value) <= 6*(one.standard_error + other.standard_error));
}

/* ---- failures ----------------------------------------------------------------------------------------------------- */

static long allocations, fail_at;
static void *counted_take(void *ctx, size_t bytes, size_t align) {
    (void)ctx;
    if (allocations++ == fail_at) return NULL;
    return aligned_alloc(align, (bytes + align - 1)/align*align);
}
static void counted_give(void *ctx, void *block, size_t bytes) {
    (void)ctx, (void)bytes;
    free(block);
}

static void failures_leave_the_report(void **state) {
    (void)state;
    static rig r;
    nde_multilevel_report report = NDE_INIT(nde_multilevel_report, .value = 42);
    const nde_allocator counting = { counted_take, counted_give, NULL };
    make(&r, NDE_EULER_MARUYAMA, 5e-3);
    r.options.allocator = &counting;
    nde_status status = NDE_E_NOMEM;
    for (fail_at = 0; status; fail_at++) {
        allocations = 0;
        status = nde_multilevel_run(&r.what, &report);
        if (status) assert_true(status == NDE_E_NOMEM && report.value == 42);
    }
    assert_true(fail_at > 6 && report.value != 42);
    report.value = 42;
    fail_at = -1, calls_left = 4;
    assert_int_equal(nde_multilevel_run(&r.what, &report), NDE_E_FIELD);
    assert_non_null(strstr(nde_error(), "value returned 7"));
    calls_left = -1, r.left = 5000;
    assert_int_equal(nde_multilevel_run(&r.what, &report), NDE_E_LANES);
    assert_non_null(strstr(nde_error(), "returned -3"));
    r.left = -1, r.y0[3] = (nde_real)NAN;
    assert_int_equal(nde_multilevel_run(&r.what, &report), NDE_E_LANES);
    assert_true(report.value == 42);
}

static void refuses(rig *r, const char *text) {
    nde_multilevel_report report = NDE_INIT(nde_multilevel_report, .value = 42);
    assert_int_equal(nde_multilevel_run(&r->what, &report), NDE_E_ARG);
    if (!strstr(nde_error(), text)) fail_msg("%s: %s", text, nde_error());
    assert_true(report.value == 42);
}

static void wrong_arguments_are_named(void **state) {
    (void)state;
    static rig r;
    static const double stored[1];
    const struct { double error; int32_t levels; int64_t first, samples; double weak; const char *text; } wrong[] = {
        { 0, 0, 0, 0, 0, "error is 0" }, { (double)NAN, 0, 0, 0, 0, "error is" },
            { (double)INFINITY, 0, 0, 0, 0, "error is inf" },
        { -1, 0, 0, 0, 0, "error is -1" }, { 1, 2, 0, 0, 0, "levels is 2" }, { 1, -1, 0, 0, 0, "levels is -1" },
        { 1, 25, 0, 0, 0, "levels is 25" }, { 1, 0, -1, 0, 0, "first is -1" }, { 1, 0, 0, -2, 0, "samples is -2" },
        { 1, 0, 0, 0, -1, "weak is -1" }, { 1, 0, 0, 0, (double)NAN, "weak is" },
    };
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        make(&r, NDE_EULER_MARUYAMA, wrong[i].error);
        r.what.levels = wrong[i].levels, r.what.first = wrong[i].first, r.what.samples = wrong[i].samples,
            r.what.weak = wrong[i].weak;
        refuses(&r, wrong[i].text);
    }
    make(&r, NDE_EULER_MARUYAMA, 1);
    r.what.value = NULL;
    refuses(&r, "value is NULL");
    r.what.value = call_option, r.what.problem = NULL;
    refuses(&r, "problem is NULL");
    r.what.problem = &r.problem, r.what.options = NULL;
    refuses(&r, "options.steps is 0");
    r.what.options = &r.options, r.noise.grid = 4;
    refuses(&r, "noise.grid is 4");
    r.noise.grid = 0, r.noise.source = NDE_SOURCE_STORED, r.noise.w = stored;
    refuses(&r, "noise.source is 2");
    r.noise = NDE_INIT(nde_noise, .antithetic = 1), r.problem.n = 3;
    refuses(&r, "problem.n is 3");
    r.problem.n = 4, r.what.size = 3;
    refuses(&r, "unknown size");
    r.what.size = sizeof r.what;
    assert_int_equal(nde_multilevel_run(&r.what, NULL), NDE_E_ARG);
    assert_int_equal(nde_multilevel_run(NULL, NULL), NDE_E_ARG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_comes_to_the_formula),
        cmocka_unit_test(variances_shrink_by_the_strong_order),
        cmocka_unit_test(threads_leave_the_bits),
        cmocka_unit_test(failures_leave_the_report),
        cmocka_unit_test(wrong_arguments_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
