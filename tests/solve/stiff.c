/* SPDX-License-Identifier: MIT
 * stiff.c - what looks stiff and what does not, to every adaptive explicit method of the registry and by step doubling;
 * what is said of it, and that it does not depend on neighbours, pauses or the record. */
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "method/body.h"

enum { MOST = 28 };
#define LENGTH(a) (sizeof(a)/sizeof *(a))

#define FIELD(name) static int name(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx)
#define UNUSED return (void)t, (void)p, (void)ctx, (void)y, 0

/* ---- stiff ones ---------------------------------------------------------------------------------------------------- */

/* B. van der Pol; mu = 1000. */
FIELD(van_der_pol) { dy[0] = y[1], dy[1] = 1000*(1 - y[0]*y[0])*y[1] - y[0]; UNUSED; }
/* H. H. Robertson, The solution of a set of reaction rate equations (1966). */
FIELD(robertson) {
    const nde_real a = (nde_real)0.04*y[0], b = (nde_real)1e4*y[1]*y[2], c = (nde_real)3e7*y[1]*y[1];
    dy[0] = b - a, dy[1] = a - b - c, dy[2] = c;
    UNUSED;
}
/* A. Prothero, A. Robinson, Math. Comp. 28 (1974) 145-162. */
FIELD(prothero) { dy[0] = -(nde_real)1e4*(y[0] - (nde_real)cos(t)) - (nde_real)sin(t); UNUSED; }
/* Rates from -1 to -10^4, coupled in a chain. */
FIELD(chain) {
    nde_real rate = 1;
    for (int i = 0; i < 5; i++, rate *= 10) dy[i] = -rate*y[i] + (i ? y[i - 1] : 0);
    UNUSED;
}
/* Heat in a rod of 28 cells. */
FIELD(rod) {
    for (int i = 0; i < MOST; i++)
        dy[i] = 5000*((i > 0 ? y[i - 1] : 0) - 2*y[i] + (i < MOST - 1 ? y[i + 1] : 0)) + 1;
    UNUSED;
}

/* ---- and others ---------------------------------------------------------------------------------------------------- */

FIELD(lorenz) {
    dy[0] = 10*(y[1] - y[0]), dy[1] = y[0]*(28 - y[2]) - y[1], dy[2] = y[0]*y[1] - y[2]*8/3;
    UNUSED;
}
FIELD(kepler) {
    const double x = (double)y[0], z = (double)y[1], r = hypot(x, z), pull = -1/(r*r*r);
    dy[0] = y[2], dy[1] = y[3], dy[2] = (nde_real)(pull*x), dy[3] = (nde_real)(pull*z);
    UNUSED;
}
FIELD(lotka_volterra) { dy[0] = y[0]*((nde_real)1.5 - y[1]), dy[1] = y[1]*(y[0] - 3); UNUSED; }
/* Seven stars of masses 1 to 7 in a plane. Source: E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential
 * Equations I (1993), II.10 (10.2). */
FIELD(pleiades) {
    for (int i = 0; i < 14; i++) dy[i] = y[14 + i], dy[14 + i] = 0;
    for (int i = 0; i < 7; i++)
        for (int j = 0; j < 7; j++) {
            const double x = (double)(y[j] - y[i]), z = (double)(y[7 + j] - y[7 + i]), r = hypot(x, z);
            if (i == j) continue;
            dy[14 + i] += (nde_real)((j + 1)*x/(r*r*r)), dy[21 + i] += (nde_real)((j + 1)*z/(r*r*r));
        }
    UNUSED;
}
FIELD(driven) { dy[0] = (nde_real)cos(t)*y[0]; UNUSED; }

typedef struct sample {
    const char *name;
    bool stiff;
    int (*f)(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx);
    size_t dim;
    double t1, atol, y0[MOST]; /* atol 0: a hundredth of rtol */
} sample;

static const sample samples[] = {
    { "van der Pol", true, van_der_pol, 2, 800, 0, { 2, 0 } },
    { "robertson", true, robertson, 3, 1e5, 1e-8, { 1, 0, 0 } },
    { "prothero", true, prothero, 1, 100, 0, { 1 } },
    { "chain", true, chain, 5, 100, 0, { 1, 1, 1, 1, 1 } },
    { "rod", true, rod, MOST, 100, 0, { 1 } },
    { "lorenz", false, lorenz, 3, 1e5, 0, { 1, 1, 1 } },
    { "kepler", false, kepler, 4, 1e5, 0, { 0.1, 0, 0, 4.358898943540674 } },
    { "lotka_volterra", false, lotka_volterra, 2, 300, 0, { 1, 1 } },
    { "pleiades", false, pleiades, MOST, 3, 0,
      { 3, 3, -1, -3, 2, -2, 2, 3, -3, 2, 0, 0, -4, 4, 0, 0, 0, 0, 0, 1.75, -1.5, 0, 0, 0, -1.25, 1, 0, 0 } },
    { "driven", false, driven, 1, 1e5, 0, { 1 } },
};

/* ---- who sees it --------------------------------------------------------------------------------------------------- */

static bool fits(const nde_method *m, int32_t error) {
    return nde_method_kind(m) == NDE_KIND_RUNGE_KUTTA && (error == NDE_ERROR_DOUBLING || nde_method_error_order(m));
}

typedef struct rig {
    nde_pointwise one;
    nde_field field;
    nde_real y0[MOST];
    nde_problem problem;
    nde_options options;
} rig;

static void prepare(rig *r, const sample *of, double tolerance, int64_t steps) {
    r->one = (nde_pointwise){ .f = of->f };
    r->field = nde_field_pointwise(&r->one, of->dim, 0);
    for (size_t i = 0; i < of->dim; i++) r->y0[i] = (nde_real)of->y0[i];
    r->problem = NDE_INIT(nde_problem, .drift = &r->field, .y0 = r->y0, .t1 = of->t1);
    r->options = NDE_INIT(nde_options, .rtol = tolerance, .atol = of->atol > 0 ? of->atol : tolerance/100, .max_steps = steps);
}

/* The largest tolerance at which errors of this size do not blow up, and low orders are bounded by stability. */
static double tolerance_for(const nde_method *m, int32_t error) {
    const int order = error == NDE_ERROR_DOUBLING ? nde_method_order(m) : nde_method_error_order(m);
    return order == 1 ? 1e-2 : order == 2 ? 1e-4 : sizeof(nde_real) == 4 ? 1e-4 : 1e-6;
}

static nde_stats stats_of(const sample *of, const nde_method *m, int32_t error, double tolerance, int64_t steps, char *text) {
    rig r;
    prepare(&r, of, tolerance, steps);
    r.options.method = nde_method_id(m), r.options.error = error;
    nde_solution s = { 0 };
    const nde_status status = nde_solve(&r.problem, &r.options, &s);
    assert_non_null(s.stats);
    const nde_stats stats = s.stats[0];
    snprintf(text, 512, "%d %ld+%ld %s", status, (long)stats.accepted, (long)stats.rejected, s.error ? s.error : "");
    nde_solution_free(&s);
    return stats;
}

static void look(bool stiff) {
    static const double tolerances[] = { 1e-3, 1e-5, 1e-8 };
    int wrong = 0;
    char text[512];
    for (size_t i = 0; i < LENGTH(samples); i++)
        for (size_t m = 0; samples[i].stiff == stiff && m < nde_method_count(); m++)
            for (int32_t error = NDE_ERROR_EMBEDDED; error <= NDE_ERROR_DOUBLING; error++) {
                const nde_method *method = nde_method_at(m);
                for (size_t k = 0; fits(method, error) && k < (stiff ? 1 : LENGTH(tolerances)); k++) {
                    if (!stiff && tolerances[k] < 10*NDE_TEST_EPS) continue;
                    /* steps of high order doubled lose the orbit, and where they go it is stiff indeed */
                    if (!stiff && error == NDE_ERROR_DOUBLING && tolerances[k] > 1e-4) continue;
                    const double tolerance = stiff ? tolerance_for(method, error) : tolerances[k];
                    const nde_stats s = stats_of(&samples[i], method, error, tolerance, stiff ? 8000 : 15000, text);
                    const bool said = strstr(text, "looks stiff since");
                    if ((s.stiff > 0) == stiff && said == stiff) continue;
                    print_message("%s, %s%s at %g: %s\n", samples[i].name, nde_method_name(method), error ? " doubled" : "",
                                  tolerance, text);
                    wrong++;
                }
            }
    assert_int_equal(wrong, 0);
}

static void stiff_problems_look_stiff(void **state) { (void)state, look(true); }
static void others_never_do(void **state) { (void)state, look(false); }

/* ---- what is said, and what it depends on -------------------------------------------------------------------------- */

static void limits_say_it(void **state) {
    (void)state;
    for (int by_calls = 0; by_calls < 2; by_calls++) {
        rig r;
        prepare(&r, &samples[2], 1e-5, by_calls ? NDE_ZERO : 3000);
        if (by_calls) r.options.max_evals = 20000;
        nde_solution s = { 0 };
        assert_int_equal(nde_solve(&r.problem, &r.options, &s), by_calls ? NDE_E_CALLS : NDE_E_STEPS);
        assert_non_null(strstr(s.error, "it looks stiff since t = 0"));
        assert_true(s.stats[0].stiff_t < 0.02 && s.stats[0].stiff > 0.7e4 && s.stats[0].stiff < 1.3e4);
        nde_solution_free(&s);
        /* and nothing when all goes well, but in the figures */
        r.problem.t1 = 2, r.options.max_steps = NDE_ZERO, r.options.max_evals = 0;
        assert_int_equal(nde_solve(&r.problem, &r.options, &s), NDE_OK);
        assert_true(s.error == NULL && s.stats[0].stiff > 0);
        nde_solution_free(&s);
        r.problem.t1 = 0.05;
        assert_int_equal(nde_solve(&r.problem, &r.options, &s), NDE_OK);
        assert_true(s.stats[0].stiff == 0 && s.stats[0].stiff_t == 0);
        nde_solution_free(&s);
        r.options.steps = 2000;
        assert_int_equal(nde_solve(&r.problem, &r.options, &s), NDE_OK);
        assert_true(s.stats[0].stiff == 0);
        nde_solution_free(&s);
    }
}

/* y' = -rate(y0) (y - cos t): some of an ensemble are stiff. */
FIELD(mixed) {
    dy[0] = -y[1]*(y[0] - (nde_real)cos(t)), dy[1] = 0;
    UNUSED;
}

static void neighbours_do_not_matter(void **state) {
    (void)state;
    enum { N = 300 };
    static const sample of = { "mixed", true, mixed, 2, 10, 0, { 1 } };
    static nde_real y0[2*N];
    for (size_t i = 0; i < N; i++) y0[i] = 1, y0[N + i] = (nde_real)(i % 3 ? 1 + (double)i/N : 1e3 + (double)i);
    for (int bits = 0; bits < 8; bits++) {
        rig r;
        prepare(&r, &of, 1e-4, NDE_ZERO);
        r.problem.n = N, r.problem.y0 = y0;
        if (bits & 1) r.options.adjoint = NDE_ADJOINT_DISCRETE, r.options.budget = (size_t)1 << 26;
        if (bits & 2) r.options.threads = 2, r.options.group = 60;
        nde_solver *solver, *other;
        nde_solution s = { 0 }, alone = { 0 };
        assert_int_equal(nde_solver_create(&r.problem, &r.options, &solver), NDE_OK);
        if (bits & 4) { /* saved and brought back on the way */
            static unsigned char block[1 << 20];
            size_t bytes = sizeof block;
            assert_int_equal(nde_solver_steps(solver, 1700, &s), NDE_UNFINISHED);
            assert_int_equal(nde_solver_state(solver, block, &bytes), NDE_OK);
            assert_int_equal(nde_solver_create(&r.problem, &r.options, &other), NDE_OK);
            assert_int_equal(nde_solver_restore(other, block, bytes), NDE_OK);
            nde_solver_destroy(solver);
            solver = other;
        }
        assert_int_equal(nde_solver_steps(solver, 1000000000, &s), NDE_OK);
        r.problem.n = 1, r.options.adjoint = NDE_ADJOINT_NONE;
        for (size_t i = 0; i < N; i += 7) {
            nde_real one[2] = { y0[i], y0[N + i] };
            r.problem.y0 = one;
            assert_int_equal(nde_solve(&r.problem, &r.options, &alone), NDE_OK);
            assert_memory_equal(&alone.stats[0], &s.stats[i], sizeof *s.stats);
            assert_int_equal(s.stats[i].stiff > 0, i % 3 == 0);
            nde_solution_free(&alone);
        }
        nde_solver_destroy(solver);
    }
}

/* E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), table IV.2.1; of order p = s: 2, 2, 2.51, 2.79. */
static void stable_intervals_are_known(void **state) {
    (void)state;
    static const struct { int method; double stable; } known[] = {
        { NDE_HEUN, 2 }, { NDE_MIDPOINT, 2 }, { NDE_BOSH3, 2.51 }, { NDE_DOPRI5, 3.31 }
    };
    for (size_t i = 0; i < LENGTH(known); i++) {
        static unsigned char block[1 << 16];
        nde_arena arena = { .base = block };
        nde_table table = { 0 };
        assert_int_equal(nde_table_lay(&table, &arena, nde_method_get(known[i].method), 1, 0), NDE_OK);
        assert_true(arena.used <= sizeof block);
        assert_true(table.stable <= known[i].stable && table.stable >= known[i].stable - 0.08);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(stiff_problems_look_stiff), cmocka_unit_test(others_never_do),
                                        cmocka_unit_test(limits_say_it), cmocka_unit_test(neighbours_do_not_matter),
                                        cmocka_unit_test(stable_intervals_are_known) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
