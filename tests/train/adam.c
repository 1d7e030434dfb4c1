/* SPDX-License-Identifier: MIT
 * adam.c - Adam against values of an independent program (adam_reference.py), its schedule,
 * clipping and refusals. */
#include <math.h>
#include <string.h>

enum { NP = 3, STEPS = 5 };

static const int eighths[STEPS][NP] = { { 3, -4, 0 }, { -1, 2, 8 }, { 16, 0, -5 }, { 1, 1, 1 },
                                        { -7, 3, 2 } };

static void run(nde_adam adam, const double *expected) {
    double m[NP] = { 9, 9, 9 }, v[NP] = { 9, 9, 9 }; /* zeroed at step 0 */
    nde_real p[NP] = { 1, -2, (nde_real)0.5 }, g[NP];
    adam.m = m, adam.v = v;
    for (int k = 0; k < STEPS; k++) {
        for (int i = 0; i < NP; i++) g[i] = (nde_real)eighths[k][i]/8;
        assert_int_equal(nde_adam_step(&adam, NP, g, p), NDE_OK);
        assert_int_equal(adam.step, k + 1);
    }
    for (int i = 0; i < NP; i++) assert_true(fabs((double)p[i] - expected[i]) <= 8*NDE_TEST_EPS);
}

static void reference_values(void **state) {
    (void)state;
    nde_adam own = NDE_INIT(nde_adam, .rate = 0.25, .beta1 = 0.75, .beta2 = 0.5, .epsilon = 0.125);
    run((nde_adam){ .size = 0 }, (const double[]){ 0.99706740123078742019, -1.9987627920029045478,
                                                   0.49866037564223120511 });
    run(own, (const double[]){ 0.44698413718746647447, -1.8311316005834639158,
                               0.23390012643874607291 });
    own.clip = 0.5;
    run(own, (const double[]){ 0.48808839543531142949, -1.7570014649393267765,
                               0.14059592050036099633 });
    own.clip = NDE_ZERO, own.decay = 0.5, own.decay_steps = 2;
    run(own, (const double[]){ 0.64443908731775866348, -1.7853011382609016085,
                               0.35675070879977977266 });
}

static void schedule(void **state) {
    (void)state;
    nde_adam adam = NDE_INIT(nde_adam, .rate = 0.5, .decay = 0.1, .decay_steps = 100);
    assert_true(nde_adam_rate(&adam) == 0.5);
    adam.step = 50;
    assert_true(fabs(nde_adam_rate(&adam) - 0.5*sqrt(0.1)) < 1e-15);
    adam.step = 200;
    assert_true(fabs(nde_adam_rate(&adam) - 0.005) < 1e-17);
    adam.decay_steps = 0;
    assert_true(nde_adam_rate(&adam) == 0.5);
    adam.decay_steps = 100, adam.decay = 0;
    assert_true(nde_adam_rate(&adam) == 0.5);
    adam.decay = NDE_ZERO;
    assert_true(nde_adam_rate(&adam) == 0.5);
    adam.rate = NDE_ZERO;
    assert_true(nde_adam_rate(&adam) == 0);
    assert_true(isnan(nde_adam_rate(NULL)));
}

static void bowl(void **state) {
    (void)state;
    enum { N = 20 };
    double m[N], v[N], distance = 0;
    nde_real p[N] = { 0 }, g[N];
    nde_adam adam = NDE_INIT(nde_adam, .rate = 0.1, .decay = 0.1, .decay_steps = 500, .clip = 10,
                             .m = m, .v = v);
    for (int k = 0; k < 2000; k++) {
        for (int i = 0; i < N; i++) g[i] = (nde_real)(i + 1)*(p[i] - (nde_real)(i - 10)/10);
        assert_int_equal(nde_adam_step(&adam, N, g, p), NDE_OK);
    }
    for (int i = 0; i < N; i++) distance = fmax(distance, fabs((double)p[i] - (i - 10)/10.0));
    assert_true(distance < 1e-4);
}

/* Entries whose squares over- or underflow: the clipped step is that of the scaled gradient. */
static void clipping_has_no_range(void **state) {
    (void)state;
    const nde_real huge = sizeof(nde_real) == 8 ? (nde_real)1e300 : (nde_real)5e37,
        tiny = sizeof(nde_real) == 8 ? (nde_real)1e-300 : (nde_real)1e-38;
    double m[2], v[2];
    nde_adam adam = NDE_INIT(nde_adam, .rate = 1, .epsilon = NDE_ZERO, .clip = 1, .m = m, .v = v);
    nde_real p[2] = { 0, 0 };
    assert_int_equal(nde_adam_step(&adam, 2, (const nde_real[]){ 3*huge, 4*huge }, p), NDE_OK);
    assert_true(fabs(m[0] - 0.1*0.6) < 1e-7 && fabs(m[1] - 0.1*0.8) < 1e-7);
    adam.step = 0, adam.clip = 1e-310;
    assert_int_equal(nde_adam_step(&adam, 2, (const nde_real[]){ tiny, 0 }, p), NDE_OK);
    assert_true(fabs(m[0]/1e-311 - 1) < 1e-6);
    assert_true(isfinite(p[0]) && isfinite(p[1]));
}

static void unchanged(nde_adam adam, size_t np, const nde_real *gradient, nde_status status,
                      const char *name, const char *value) {
    double m[2] = { 1, 2 }, v[2] = { 3, 4 };
    nde_real p[2] = { 5, 6 };
    if (adam.m) adam.m = m, adam.v = v;
    const nde_adam before = adam;
    assert_int_equal(nde_adam_step(&adam, np, gradient, p), status);
    assert_non_null(strstr(nde_error(), name));
    assert_non_null(strstr(nde_error(), value));
    assert_memory_equal(&before, &adam, sizeof adam);
    assert_true(p[0] == 5 && p[1] == 6 && m[0] == 1 && m[1] == 2 && v[0] == 3 && v[1] == 4);
}

static void refusals(void **state) {
    (void)state;
    double some[1];
    nde_adam a = NDE_INIT(nde_adam, .m = some, .v = some);
    const nde_real g[2] = { 1, 2 };
    unchanged(a, 2, (const nde_real[]){ 1, (nde_real)NAN }, NDE_E_NONFINITE, "gradient[1]", "nan");
    unchanged(a, 2, (const nde_real[]){ (nde_real)-INFINITY, 1 }, NDE_E_NONFINITE, "gradient[0]",
              "inf");
    a.step = 7;
    unchanged(a, 2, (const nde_real[]){ 1, (nde_real)NAN }, NDE_E_NONFINITE, "gradient[1]", "nan");
    a.step = 0;
    if (sizeof(nde_real) == 8)
        unchanged(a, 2, (const nde_real[]){ 1, (nde_real)1e160 }, NDE_E_NONFINITE, "gradient[1]",
                  "1e+160");
    unchanged(a, 0, g, NDE_E_ARG, "np", "0");
    unchanged(a, 2, NULL, NDE_E_ARG, "gradient", "NULL");
    a.m = NULL, unchanged(a, 2, g, NDE_E_ARG, "adam.m", "NULL"), a.m = some;
    a.rate = -0.5, unchanged(a, 2, g, NDE_E_ARG, "rate", "-0.5"), a.rate = 0;
    a.rate = (double)NAN, unchanged(a, 2, g, NDE_E_ARG, "rate", "nan"), a.rate = 0;
    a.beta1 = 1, unchanged(a, 2, g, NDE_E_ARG, "beta1", "1"), a.beta1 = 0;
    a.beta2 = 1.5, unchanged(a, 2, g, NDE_E_ARG, "beta2", "1.5"), a.beta2 = 0;
    a.epsilon = -2, unchanged(a, 2, g, NDE_E_ARG, "epsilon", "-2"), a.epsilon = 0;
    a.clip = -3, unchanged(a, 2, g, NDE_E_ARG, "clip", "-3"), a.clip = 0;
    a.decay = -0.1, unchanged(a, 2, g, NDE_E_ARG, "decay", "-0.1"), a.decay = 0;
    a.decay_steps = -4, unchanged(a, 2, g, NDE_E_ARG, "decay_steps", "-4"), a.decay_steps = 0;
    a.step = -8, unchanged(a, 2, g, NDE_E_ARG, "step", "-8"), a.step = 100;
    a.decay = 1e300, a.decay_steps = 1, unchanged(a, 2, g, NDE_E_ARG, "rate of step 100", "inf"),
        a.decay_steps = 0;
    a.size = 3, unchanged(a, 2, g, NDE_E_ARG, "size", "3");
    nde_real p[1];
    assert_int_equal(nde_adam_step(NULL, 1, g, p), NDE_E_ARG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reference_values), cmocka_unit_test(schedule), cmocka_unit_test(bowl),
        cmocka_unit_test(clipping_has_no_range), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
