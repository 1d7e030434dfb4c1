/* SPDX-License-Identifier: MIT
 * bounds.c - bounded parameters: formulas, round trips, derivatives, extremes, refusals. */
#include <math.h>
#include <string.h>

#define LENGTH(array) (sizeof(array)/sizeof *(array))
#define FREE ((double)INFINITY)
#define REAL_MAX (sizeof(nde_real) == 8 ? DBL_MAX : (double)FLT_MAX)

static const double intervals[][2] = {
    { -FREE, FREE }, { 0, FREE }, { -2, FREE }, { 1e6, FREE }, { -FREE, 0 }, { -FREE, 3 }, { 0, 1 }, { -1, 1 }, { 0.1, 0.3 },
    { -5, 1e4 }, { 1e-30, 1e-20 },
};
enum { COUNT = LENGTH(intervals) };

/* All parameters at once, so that what is free stands beside what is not. */
typedef struct box {
    double lower[COUNT], upper[COUNT];
    nde_bounds bounds;
} box;

static void make(box *b) {
    for (size_t i = 0; i < COUNT; i++) b->lower[i] = intervals[i][0], b->upper[i] = intervals[i][1];
    b->bounds = NDE_INIT(nde_bounds, .lower = b->lower, .upper = b->upper);
}

/* The header's formulas, and dp/dz. */
static double formula(size_t i, double z, double *slope) {
    const double l = intervals[i][0], u = intervals[i][1], s = 1/(1 + exp(-z));
    if (isinf(l) && isinf(u)) return *slope = 1, z;
    if (isinf(u)) return *slope = exp(z), l + *slope;
    if (isinf(l)) return *slope = -exp(z), u + *slope;
    *slope = (u - l)*s/(1 + exp(z));
    return l + (u - l)*s;
}

static void values_and_slopes(void **state) {
    (void)state;
    box b;
    make(&b);
    for (double z = -30; z <= 30; z += 0.375) {
        nde_real free[COUNT], p[COUNT], ones[COUNT], slope[COUNT];
        for (size_t i = 0; i < COUNT; i++) free[i] = (nde_real)z, ones[i] = 1;
        assert_int_equal(nde_bounds_apply(&b.bounds, COUNT, free, p), NDE_OK);
        assert_int_equal(nde_bounds_pullback(&b.bounds, COUNT, free, ones, slope), NDE_OK);
        for (size_t i = 0; i < COUNT; i++) {
            double exact;
            const double expected = formula(i, z, &exact), lower = intervals[i][0], upper = intervals[i][1];
            const double size = fabs(expected) + (isinf(lower) ? 0 : fabs(lower)) + (isinf(upper) ? 0 : fabs(upper));
            assert_true(fabs((double)p[i] - expected) <= 2*NDE_TEST_EPS*size);
            assert_true(fabs((double)slope[i] - exact) <= 4*NDE_TEST_EPS*fabs(exact)); /* two exp */
            if (lower == 0 && z < 0) assert_true(fabs((double)p[i] - expected) <= 4*NDE_TEST_EPS*expected); /* beside 0 */
        }
    }
}

/* Back and forth loses no more than one rounding of p and one of z, as the derivative carries them over. */
static void round_trips(void **state) {
    (void)state;
    box b;
    make(&b);
    for (double z = -20; z <= 20; z += 0.3125) {
        nde_real free[COUNT], p[COUNT], back[COUNT], again[COUNT];
        for (size_t i = 0; i < COUNT; i++) free[i] = (nde_real)z;
        assert_int_equal(nde_bounds_apply(&b.bounds, COUNT, free, p), NDE_OK);
        assert_int_equal(nde_bounds_free(&b.bounds, COUNT, p, back), NDE_OK);
        assert_int_equal(nde_bounds_apply(&b.bounds, COUNT, back, again), NDE_OK);
        for (size_t i = 0; i < COUNT; i++) {
            double steep;
            formula(i, (double)back[i], &steep);
            const double size = fabs((double)p[i]), ulp = 2*NDE_TEST_EPS;
            steep = fabs(steep);
            assert_true(fabs((double)again[i] - (double)p[i]) <= ulp*(size + steep*fabs((double)back[i])));
            if (ulp*size < 1e-3*steep) /* p tells z */
                assert_true(fabs((double)back[i] - z) <= ulp*(2*size/steep + fabs(z) + 1));
        }
    }
}

/* Where the logarithms of both distances are large, or one distance is more than the largest number. */
static void inverses_in_wide_intervals(void **state) {
    (void)state;
    const double lower[] = { 0 }, upper[] = { sizeof(nde_real) == 8 ? 1e300 : 3e38 }, far[] = { -1.5e308 };
    const nde_real third = (nde_real)(upper[0]/3), large = (nde_real)(sizeof(nde_real) == 8 ? 1e308 : 3e38);
    nde_real z;
    assert_int_equal(nde_bounds_free(&NDE_INIT(nde_bounds, .lower = lower, .upper = upper), 1, &third, &z), NDE_OK);
    assert_true(fabs((double)z + log(2)) <= 4*NDE_TEST_EPS);
    assert_int_equal(nde_bounds_free(&NDE_INIT(nde_bounds, .lower = far), 1, &large, &z), NDE_OK);
    assert_true(fabs((double)z - (log((double)large/1e308 + 1.5) + 308*log(10))) <= 1000*2*NDE_TEST_EPS);
}

static void pullback_by_differences(void **state) {
    (void)state;
    box b;
    make(&b);
    const double h = cbrt(NDE_TEST_EPS);
    for (double z = -3; z <= 3; z += 0.5) {
        nde_real free[COUNT], up[COUNT], down[COUNT], cotangent[COUNT], slope[COUNT];
        for (size_t i = 0; i < COUNT; i++) cotangent[i] = (nde_real)(0.5 + 0.25*(double)i);
        for (size_t i = 0; i < COUNT; i++) free[i] = (nde_real)(z + h);
        assert_int_equal(nde_bounds_apply(&b.bounds, COUNT, free, up), NDE_OK);
        for (size_t i = 0; i < COUNT; i++) free[i] = (nde_real)(z - h);
        assert_int_equal(nde_bounds_apply(&b.bounds, COUNT, free, down), NDE_OK);
        for (size_t i = 0; i < COUNT; i++) free[i] = (nde_real)z;
        assert_int_equal(nde_bounds_pullback(&b.bounds, COUNT, free, cotangent, slope), NDE_OK);
        assert_int_equal(nde_bounds_pullback(&b.bounds, COUNT, free, cotangent, cotangent), NDE_OK); /* in place */
        assert_memory_equal(slope, cotangent, sizeof slope);
        for (size_t i = 0; i < COUNT; i++) {
            const double c = 0.5 + 0.25*(double)i, difference = c*((double)up[i] - (double)down[i])/(2*h);
            /* h^2 of the third derivative, at most that of the first times 1, and the rounding of p over h */
            const double size = fmax(fabs((double)up[i]), fabs((double)down[i]));
            const double error = h*h*fabs((double)slope[i]) + c*2*NDE_TEST_EPS*size/h;
            assert_true(fabs((double)slope[i] - difference) <= error + 4*NDE_TEST_EPS*(1 + fabs(z))/h*fabs((double)slope[i]));
        }
    }
}

/* Whatever finite z: p is finite and strictly inside, it grows with z (falls below an upper bound alone), and the
 * derivative is a number. */
static void extremes(void **state) {
    (void)state;
    const double eps = NDE_TEST_EPS, tiny = sizeof(nde_real) == 8 ? 5e-324 : 1.4e-45;
    const double hard[][2] = {
        { 0, FREE }, { -FREE, 0 }, { 0, 1 }, { 1, 1 + 2*eps }, { 1 - eps, 1 + eps }, { 0, 2*tiny }, { -REAL_MAX, REAL_MAX },
        { -FREE, REAL_MAX }, { -REAL_MAX, FREE }, { 0.1, 0.3 }, { REAL_MAX/2, FREE }, { -1e300, 1e300 }, { -tiny, tiny },
    };
    const double at[] = { -REAL_MAX, -1e30, -800, -746, -709, -105, -89, -40, -20, -1, -tiny, 0, tiny, 1, 20, 40, 88, 89, 105,
                          709, 710, 746, 800, 1e30, REAL_MAX };
    for (size_t k = 0; k < LENGTH(hard); k++) {
        const nde_bounds b = NDE_INIT(nde_bounds, .lower = &hard[k][0], .upper = &hard[k][1]);
        const double direction = hard[k][0] == -FREE ? -1 : 1;
        double before = -direction*(double)INFINITY;
        for (size_t j = 0; j < LENGTH(at); j++) {
            const nde_real z = (nde_real)at[j], one = 1, none = 0;
            nde_real p, back, slope;
            assert_int_equal(nde_bounds_apply(&b, 1, &z, &p), NDE_OK);
            assert_true((double)p > hard[k][0] && (double)p < hard[k][1] && isfinite(p));
            assert_true(direction*(double)p >= direction*before);
            before = (double)p;
            assert_int_equal(nde_bounds_free(&b, 1, &p, &back), NDE_OK);
            assert_true(isfinite(back));
            assert_int_equal(nde_bounds_pullback(&b, 1, &z, &one, &slope), NDE_OK);
            assert_true(direction*(double)slope >= 0);
            assert_int_equal(nde_bounds_pullback(&b, 1, &z, &none, &slope), NDE_OK);
            assert_true(slope == 0);
        }
    }
}

/* No bounds at all, or on one side only. */
static void sides_may_be_null(void **state) {
    (void)state;
    const double zero[2] = { 0, -FREE };
    const nde_real z[2] = { (nde_real)0.7, (nde_real)-0.3 };
    nde_real p[2], back[2];
    nde_bounds b = NDE_INIT(nde_bounds, .lower = NULL);
    assert_int_equal(nde_bounds_apply(&b, 2, z, p), NDE_OK);
    assert_memory_equal(p, z, sizeof p);
    assert_int_equal(nde_bounds_free(&b, 2, z, back), NDE_OK);
    assert_memory_equal(back, z, sizeof p);
    assert_int_equal(nde_bounds_pullback(&b, 2, p, z, back), NDE_OK);
    assert_memory_equal(back, z, sizeof p);
    b.lower = zero;
    assert_int_equal(nde_bounds_apply(&b, 2, z, p), NDE_OK);
    assert_true(fabs((double)p[0] - exp((double)z[0])) <= 2*NDE_TEST_EPS*(double)p[0] && p[1] == z[1]);
    memcpy(back, p, sizeof p);
    assert_int_equal(nde_bounds_free(&b, 2, back, back), NDE_OK); /* in place */
    assert_int_equal(nde_bounds_apply(&b, 2, back, back), NDE_OK);
    assert_true(fabs((double)back[0] - (double)p[0]) <= 4*NDE_TEST_EPS*(double)p[0] && back[1] == p[1]);
}

static void refused(const nde_bounds *b, size_t np, const nde_real *x, int of, const char *text) {
    nde_real out[2] = { 7, 8 };
    const nde_real g[2] = { 1, 1 };
    static const char *const name[] = { "nde_bounds_apply: ", "nde_bounds_free: ", "nde_bounds_pullback: " };
    for (int i = 0; i < 3; i++) {
        if (!(of & 1 << i)) continue;
        const nde_status status = i == 0 ? nde_bounds_apply(b, np, x, out) : i == 1 ? nde_bounds_free(b, np, x, out)
            : nde_bounds_pullback(b, np, x, g, out);
        if (status != NDE_E_ARG || !strstr(nde_error(), text) || !strstr(nde_error(), name[i]))
            fail_msg("%s%s: %s", name[i], text, nde_error());
        assert_true(out[0] == 7 && out[1] == 8);
    }
}

static void refusals(void **state) {
    (void)state;
    enum { APPLY = 1, INVERT = 2, PULL = 4, ALL = 7 };
    const double eps = NDE_TEST_EPS;
    double lower[2] = { 0, 0 }, upper[2] = { 1, 2 };
    const nde_real half[2] = { (nde_real)0.5, (nde_real)0.5 };
    nde_real out[2] = { 7, 8 };
    nde_bounds b = NDE_INIT(nde_bounds, .lower = lower, .upper = upper);
    refused(NULL, 2, half, ALL, "bounds is NULL");
    refused(&b, 0, half, ALL, "np is 0");
    refused(&b, 2, NULL, APPLY | PULL, "z is NULL");
    refused(&b, 2, NULL, INVERT, "p is NULL");
    assert_int_equal(nde_bounds_apply(&b, 2, half, NULL), NDE_E_ARG);
    assert_int_equal(nde_bounds_free(&b, 2, half, NULL), NDE_E_ARG);
    assert_int_equal(nde_bounds_pullback(&b, 2, half, NULL, out), NDE_E_ARG);
    assert_int_equal(nde_bounds_pullback(&b, 2, half, half, NULL), NDE_E_ARG);
    refused(&b, 2, (const nde_real[]){ 0, (nde_real)NAN }, APPLY | PULL, "z[1] is nan");
    refused(&b, 2, (const nde_real[]){ (nde_real)INFINITY, 0 }, APPLY | PULL, "z[0] is inf");
    refused(&b, 2, (const nde_real[]){ half[0], (nde_real)NAN }, INVERT, "p[1] is nan");
    refused(&b, 2, (const nde_real[]){ 0, 1 }, INVERT, "p[0] is 0"); /* on the bound */
    refused(&b, 2, (const nde_real[]){ half[0], 2 }, INVERT, "p[1] is 2");
    refused(&b, 2, (const nde_real[]){ -1, 1 }, INVERT, "p[0] is -1");
    const double wrong[][2] = { { 2, 2 }, { 3, 2 }, { (double)NAN, 2 }, { 0, (double)NAN }, { FREE, FREE }, { -FREE, -FREE },
                                { 1, 1 + eps/4 }, { 1, 1 + eps }, { DBL_MAX, FREE }, { -FREE, -DBL_MAX } };
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        lower[1] = wrong[i][0], upper[1] = wrong[i][1];
        refused(&b, 2, half, ALL, "lower[1] is ");
    }
    lower[1] = 0, upper[1] = 2;
    b.size = 3, refused(&b, 2, half, ALL, "size is 3");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_slopes), cmocka_unit_test(round_trips),
        cmocka_unit_test(inverses_in_wide_intervals), cmocka_unit_test(pullback_by_differences),
        cmocka_unit_test(extremes), cmocka_unit_test(sides_may_be_null), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
