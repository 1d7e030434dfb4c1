/* SPDX-License-Identifier: MIT
 * loss.c - the weighted mean-square loss and its gradient. */
#include <math.h>
#include <string.h>

enum { SAVES = 4, DIM = 2, N = 3, COUNT = SAVES*DIM*N };

static double uniform(uint64_t i) { return 2*nde_uniform(1, 200, 0, i, 0) - 1; }

typedef struct setup {
    nde_real y[COUNT], data[COUNT], weight[COUNT];
    nde_solution solution;
} setup;

static void make(setup *s) {
    for (size_t i = 0; i < COUNT; i++) {
        s->y[i] = (nde_real)uniform(i);
        s->data[i] = i % 5 == 3 ? (nde_real)NAN : (nde_real)uniform(100 + i);
        s->weight[i] = i % 7 == 2 ? 0 : (nde_real)(1 + uniform(200 + i));
    }
    s->solution = NDE_INIT(nde_solution, .n = N, .dim = DIM, .n_save = SAVES, .y = s->y);
}

static double expected(const setup *s, bool weighted) {
    long double sum = 0, total = 0;
    for (size_t i = 0; i < COUNT; i++) {
        if (isnan(s->data[i])) continue;
        const long double d = (long double)s->y[i] - (long double)s->data[i],
            w = weighted ? (long double)s->weight[i] : 1;
        sum += w*d*d, total += w;
    }
    return (double)(sum/total/2);
}

static void values(void **state) {
    (void)state;
    setup s;
    double loss;
    make(&s);
    assert_int_equal(nde_loss_mse(&s.solution, s.data, NULL, &loss, NULL), NDE_OK);
    assert_true(fabs(loss - expected(&s, false)) < 1e-15);
    assert_int_equal(nde_loss_mse(&s.solution, s.data, s.weight, &loss, NULL), NDE_OK);
    assert_true(fabs(loss - expected(&s, true)) < 1e-15);
}

/* The loss is quadratic: central differences with steps of a power of two are exact up to rounding. */
static void gradient_is_a_difference(void **state) {
    (void)state;
    setup s;
    make(&s);
    for (int weighted = 0; weighted < 2; weighted++) {
        const nde_real *weight = weighted ? s.weight : NULL;
        nde_real seed[COUNT];
        double loss, up, down;
        assert_int_equal(nde_loss_mse(&s.solution, s.data, weight, &loss, seed), NDE_OK);
        for (size_t i = 0; i < COUNT; i++) {
            const nde_real y = s.y[i], h = (nde_real)0.125;
            s.y[i] = y + h;
            const double h_up = (double)(s.y[i] - y);
            assert_int_equal(nde_loss_mse(&s.solution, s.data, weight, &up, NULL), NDE_OK);
            s.y[i] = y - h;
            const double h_down = (double)(y - s.y[i]);
            assert_int_equal(nde_loss_mse(&s.solution, s.data, weight, &down, NULL), NDE_OK);
            s.y[i] = y;
            assert_true(fabs((up - down)/(h_up + h_down) - (double)seed[i]) < 4*NDE_TEST_EPS);
            if (isnan(s.data[i]) || (weighted && s.weight[i] == 0)) assert_true(seed[i] == 0);
        }
    }
}

/* A state that is missing where data are missing does not count; elsewhere it is not hidden. */
static void missing_states(void **state) {
    (void)state;
    setup s;
    double loss, with;
    nde_real seed[COUNT];
    make(&s);
    assert_int_equal(nde_loss_mse(&s.solution, s.data, s.weight, &loss, NULL), NDE_OK);
    s.y[3] = (nde_real)NAN; /* data missing */
    s.y[2] = (nde_real)NAN; /* weight 0 */
    assert_int_equal(nde_loss_mse(&s.solution, s.data, s.weight, &with, seed), NDE_OK);
    assert_true(loss == with && seed[3] == 0 && seed[2] == 0);
    s.y[0] = (nde_real)NAN;
    assert_int_equal(nde_loss_mse(&s.solution, s.data, s.weight, &with, seed), NDE_OK);
    assert_true(isnan(with) && isnan(seed[0]) && isfinite(seed[1]));
}

static void refuse(const setup *s, const nde_real *data, const nde_real *weight, const char *name,
                   const char *value) {
    double loss = 42;
    nde_real seed[COUNT] = { 43 };
    assert_int_equal(nde_loss_mse(&s->solution, data, weight, &loss, seed), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), name));
    assert_non_null(strstr(nde_error(), value));
    assert_true(loss == 42 && seed[0] == 43);
}

static void refusals(void **state) {
    (void)state;
    setup s, t;
    double loss;
    make(&s);
    refuse(&s, NULL, NULL, "data", "NULL");
    assert_int_equal(nde_loss_mse(&s.solution, s.data, NULL, NULL, NULL), NDE_E_ARG);
    assert_int_equal(nde_loss_mse(NULL, s.data, NULL, &loss, NULL), NDE_E_ARG);
    const nde_real wrong[] = { (nde_real)-0.5, (nde_real)NAN, (nde_real)INFINITY };
    const char *const text[] = { "-0.5", "nan", "inf" };
    for (size_t i = 0; i < 3; i++) {
        t = s, t.weight[5] = wrong[i];
        refuse(&s, s.data, t.weight, "weight[5]", text[i]);
    }
    t = s, memset(t.weight, 0, sizeof t.weight);
    refuse(&s, s.data, t.weight, "no data", "weight 0");
    for (size_t i = 0; i < COUNT; i++) t.data[i] = (nde_real)NAN;
    refuse(&s, t.data, NULL, "no data", "missing");
    t = s, t.solution.y = NULL, refuse(&t, s.data, NULL, "solution.y", "NULL");
    t = s, t.solution.size = 3, refuse(&t, s.data, NULL, "solution.size", "3");
    t = s, t.solution.n = SIZE_MAX, refuse(&t, s.data, NULL, "values", "18446744073709551615");
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values), cmocka_unit_test(gradient_is_a_difference),
        cmocka_unit_test(missing_states),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
