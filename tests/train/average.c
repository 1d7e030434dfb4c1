/* SPDX-License-Identifier: MIT
 * average.c - means of parameters against the sums that define them. */
#include <math.h>
#include <string.h>

enum { NP = 5, STEPS = 400 };

static nde_real p_at(int k, int i) { return (nde_real)nde_normal(3, 128, 0, (uint64_t)k, (uint64_t)i); }

static void update(nde_average *a, int k) {
    nde_real p[NP];
    for (int i = 0; i < NP; i++) p[i] = p_at(k, i);
    assert_int_equal(nde_average_update(a, NP, p), NDE_OK);
}

/* After K updates: sum p/K. */
static void equal_weights(void **state) {
    (void)state;
    double mean[NP] = { 9, 9, 9, 9, 9 }, sum[NP] = { 0 };
    nde_real p[NP];
    nde_average a = NDE_INIT(nde_average, .mean = mean);
    for (int k = 0; k < STEPS; k++) {
        update(&a, k);
        assert_int_equal(a.count, k + 1);
        assert_int_equal(nde_average_get(&a, NP, p), NDE_OK);
        for (int i = 0; i < NP; i++) {
            sum[i] += (double)p_at(k, i);
            assert_true(fabs(mean[i] - sum[i]/(k + 1)) <= 1e-14);
            assert_true(p[i] == (nde_real)mean[i]);
        }
    }
}

/* After K updates: decay^(K-1) p_0 + sum over k > 0 of (1 - decay) decay^(K-1-k) p_k. */
static void exponential(void **state) {
    (void)state;
    static const double decays[] = { 1e-3, 0.25, 0.9, 0.999 };
    for (int d = 0; d < 4; d++) {
        double mean[NP];
        nde_average a = NDE_INIT(nde_average, .decay = decays[d], .mean = mean);
        for (int k = 0; k < STEPS; k++) update(&a, k);
        for (int i = 0; i < NP; i++) {
            double sum = pow(decays[d], STEPS - 1)*(double)p_at(0, i);
            for (int k = 1; k < STEPS; k++) sum += (1 - decays[d])*pow(decays[d], STEPS - 1 - k)*(double)p_at(k, i);
            assert_true(fabs(mean[i] - sum) <= 1e-13);
        }
    }
}

/* A mean of equal numbers is that number, and very large numbers have one. */
static void bits_and_extremes(void **state) {
    (void)state;
    const nde_real most = sizeof(nde_real) == 8 ? (nde_real)(DBL_MAX/4) : (nde_real)FLT_MAX;
    static const double decays[] = { 0, 0.3, 0.999 };
    for (int d = 0; d < 3; d++) {
        const nde_real same[2] = { (nde_real)0.1, most }, other[2] = { -most, -most };
        double mean[2];
        nde_real p[2];
        nde_average a = NDE_INIT(nde_average, .decay = decays[d], .mean = mean);
        for (int k = 0; k < 1000; k++) assert_int_equal(nde_average_update(&a, 2, same), NDE_OK);
        assert_int_equal(nde_average_get(&a, 2, p), NDE_OK);
        assert_memory_equal(p, same, sizeof p);
        a.count = 1;
        assert_int_equal(nde_average_update(&a, 2, other), NDE_OK);
        assert_true(isfinite(mean[0]) && isfinite(mean[1]));
    }
}

static void resumes(void **state) {
    (void)state;
    for (int d = 0; d < 2; d++) {
        double mean[NP], saved[NP];
        nde_average a = NDE_INIT(nde_average, .decay = 0.9*d, .mean = mean), b;
        for (int k = 0; k < 10; k++) update(&a, k);
        b = a, b.mean = saved;
        memcpy(saved, mean, sizeof saved);
        for (int k = 10; k < 20; k++) update(&a, k), update(&b, k);
        assert_memory_equal(mean, saved, sizeof mean);
    }
    double mean[NP] = { 0 };
    nde_average a = NDE_INIT(nde_average, .count = INT64_MAX, .mean = mean);
    update(&a, 0);
    assert_true(a.count == INT64_MAX);
}

static void refused(nde_average a, size_t np, const nde_real *p, const char *text) {
    double mean[2] = { 1, 2 };
    if (a.mean) a.mean = mean;
    const nde_average before = a;
    if (nde_average_update(&a, np, p) != NDE_E_ARG || !strstr(nde_error(), text)) fail_msg("%s: %s", text, nde_error());
    assert_non_null(strstr(nde_error(), "nde_average_update: "));
    assert_memory_equal(&a, &before, sizeof a);
    assert_true(mean[0] == 1 && mean[1] == 2);
}

static void refusals(void **state) {
    (void)state;
    double some;
    const nde_real p[2] = { 3, 4 };
    nde_real out[2] = { 5, 6 };
    nde_average a = NDE_INIT(nde_average, .mean = &some);
    refused(a, 0, p, "np is 0");
    refused(a, 2, NULL, "p is NULL");
    refused(a, 2, (const nde_real[]){ 1, (nde_real)NAN }, "p[1] is nan");
    refused(a, 2, (const nde_real[]){ (nde_real)INFINITY, 1 }, "p[0] is inf");
    static const double wrong[] = { -0.5, 1, 2, (double)INFINITY, -(double)INFINITY, (double)NAN };
    for (int i = 0; i < 6; i++) a.decay = wrong[i], refused(a, 2, p, "decay is ");
    a.decay = NDE_ZERO; /* as 0 */
    assert_int_equal(nde_average_get(&a, 2, out), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "count is 0"));
    a.count = -1, refused(a, 2, p, "count is -1"), a.count = 1;
    a.size = 3, refused(a, 2, p, "size is 3"), a.size = 0;
    a.mean = NULL, refused(a, 2, p, "mean is NULL");
    assert_int_equal(nde_average_get(&a, 2, out), NDE_E_ARG);
    a.mean = &some;
    assert_int_equal(nde_average_get(&a, 2, NULL), NDE_E_ARG);
    assert_int_equal(nde_average_get(&a, 0, out), NDE_E_ARG);
    assert_int_equal(nde_average_get(NULL, 2, out), NDE_E_ARG);
    assert_int_equal(nde_average_update(NULL, 2, p), NDE_E_ARG);
    assert_true(out[0] == 5 && out[1] == 6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_weights), cmocka_unit_test(exponential), cmocka_unit_test(bits_and_extremes),
        cmocka_unit_test(resumes), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
