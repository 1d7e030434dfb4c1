/* SPDX-License-Identifier: MIT
 * controller.c - powers, decisions and first steps. */
#include "controller/clock.h"
#include "controller/controller.h"
#include "core/kernels.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static double uniform(uint64_t i, double low, double high) {
    return low + (high - low)*nde_uniform(7, 200, 0, i, 0);
}

static uint64_t hash(uint64_t h, const void *data, size_t bytes) { /* FNV-1a */
    const unsigned char *c = data;
    for (size_t i = 0; i < bytes; i++) h = (h ^ c[i])*UINT64_C(0x100000001b3);
    return h;
}

static void power_is_close(void **state) {
    (void)state;
    double worst = 0;
    for (uint64_t i = 0; i < 300000; i++) {
        const double x = exp(uniform(3*i, -700, 700)), a = uniform(3*i + 1, -1, 1);
        const double wrong = fabs(nde_control_power(x, a)/pow(x, a) - 1);
        worst = wrong > worst ? wrong : worst;
    }
    assert_true(worst < 1e-7);
}

static void power_of_extremes(void **state) {
    (void)state;
    const double tiny = 4.9406564584124654e-324;
    assert_true(fabs(nde_control_power(tiny, -0.2)/pow(tiny, -0.2) - 1) < 1e-7);
    assert_true(fabs(nde_control_power(tiny, 0.5)/pow(tiny, 0.5) - 1) < 1e-7);
    assert_true(fabs(nde_control_power(DBL_MAX, -0.5)/pow(DBL_MAX, -0.5) - 1) < 1e-7);
    assert_true(fabs(nde_control_power(DBL_MIN, 1)/DBL_MIN - 1) < 1e-7);
    assert_true(nde_control_power(0, 0.2) == 0 && nde_control_power(0, -0.2) == (double)INFINITY);
    assert_true(nde_control_power((double)INFINITY, 0.2) == (double)INFINITY && nde_control_power((double)INFINITY, -0.2) == 0);
    assert_true(isnan(nde_control_power((double)NAN, 0.2)) && isnan(nde_control_power(2, (double)NAN)));
    assert_true(isnan(nde_control_power(-1, 0.2)));
    assert_true(nde_control_power(2, 5000) == (double)INFINITY && nde_control_power(2, -5000) == 0);
}

static void power_is_monotone(void **state) {
    (void)state;
    for (int i = 1; i < 4000; i++) { /* coarser than its error, over several octaves */
        const double x = 0.1*exp(0.002*i), y = 0.1*exp(0.002*(i + 1));
        assert_true(nde_control_power(x, -0.2) > nde_control_power(y, -0.2));
    }
}

/* The bits of powers for ever: equal on every machine and compiler. */
static void power_has_golden_bits(void **state) {
    (void)state;
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (uint64_t i = 0; i < 1000; i++) {
        const double value = nde_control_power(uniform(2*i, 0, 4)*uniform(2*i, 0, 4), uniform(2*i + 1, -1, 1));
        h = hash(h, &value, sizeof value);
    }
    assert_int_equal(h, UINT64_C(0x686e569e524d40bc));
}

static void refuse(int id, int order, const nde_options *options, const char *name, const char *value) {
    nde_control c = { .alpha = 42 };
    assert_int_equal(nde_control_make(id, order, options, &c), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), name));
    assert_non_null(strstr(nde_error(), value));
    assert_true(c.alpha == 42);
}

static void making(void **state) {
    (void)state;
    nde_control c;
    assert_int_equal(nde_control_make(NDE_CONTROLLER_AUTO, 4, NULL, &c), NDE_OK); /* DOPRI5 */
    assert_true(fabs(c.beta - 0.04) < 1e-16 && fabs(c.alpha - 0.17) < 1e-16 && fabs(c.reject - 0.2) < 1e-16);
    assert_true(c.safety == 0.9 && c.factor_min == 0.2 && c.factor_max == 10);
    const nde_options own = { .safety = 0.8, .factor_min = 0.1, .factor_max = 5 };
    assert_int_equal(nde_control_make(NDE_CONTROLLER_I, 2, &own, &c), NDE_OK);
    assert_true(c.beta == 0 && c.alpha == 1.0/3 && c.safety == 0.8 && c.factor_min == 0.1 && c.factor_max == 5);
    refuse(17, 4, NULL, "controller", "17");
    refuse(-1, 4, NULL, "controller", "-1");
    refuse(NDE_CONTROLLER_PI, -1, NULL, "error order", "-1");
    refuse(NDE_CONTROLLER_PI, 4, &(nde_options){ .safety = 1.5 }, "safety", "1.5");
    refuse(NDE_CONTROLLER_PI, 4, &(nde_options){ .safety = NDE_ZERO }, "safety", "-1");
    refuse(NDE_CONTROLLER_PI, 4, &(nde_options){ .safety = (double)NAN }, "safety", "nan");
    refuse(NDE_CONTROLLER_PI, 4, &(nde_options){ .factor_min = 1 }, "factor_min", "1");
    refuse(NDE_CONTROLLER_PI, 4, &(nde_options){ .factor_min = -0.5 }, "factor_min", "-0.5");
    refuse(NDE_CONTROLLER_PI, 4, &(nde_options){ .factor_min = (double)NAN }, "factor_min", "nan");
    refuse(NDE_CONTROLLER_PI, 4, &(nde_options){ .factor_max = 0.5 }, "factor_max", "0.5");
    refuse(NDE_CONTROLLER_PI, 4, &(nde_options){ .factor_max = (double)INFINITY }, "factor_max", "inf");
    refuse(NDE_CONTROLLER_PI, 4, &(nde_options){ .factor_max = (double)NAN }, "factor_max", "nan");
}

typedef struct lane {
    double error, past, factor, refused;
    unsigned char accept;
} lane;

static const nde_clock forwards = { .direction = 1 };

/* A step from 0 to 1 with nothing in the way: the factor is the next step size. */
static lane judge(const nde_control *c, double error, double before, double refused) {
    lane l = { error*error, nde_weigh_past(before*before), 0, refused, 7 }; /* the kernel has squares */
    const double t = 0, one = 1, far = 1e300;
    double t_next, dt_next;
    nde_clock_kernels_baseline.judge(c, &forwards, 1, &(nde_judgement){
        .scale = 1, .error = &l.error, .t = &t, .t_new = &one, .dt = &one, .stop = &far, .past = &l.past,
            .refused = &l.refused,
        .accept = &l.accept, .h = &l.factor, .t_next = &t_next, .dt_next = &dt_next });
    const double from = l.accept ? 1 : 0;
    assert_true(t_next == from + l.factor && dt_next == t_next - from);
    return l;
}

static void assert_near(double value, double expected) { assert_true(fabs(value - expected) < 2e-7*fabs(expected)); }

static void judging(void **state) {
    (void)state;
    nde_control c;
    assert_int_equal(nde_control_make(NDE_CONTROLLER_PI, 4, NULL, &c), NDE_OK);
    lane l = judge(&c, 0.5, 0.3, 0);
    assert_true(l.accept == 1 && l.refused == 0 && l.past == nde_weigh_past(0.25));
    assert_near(l.factor, 0.9*pow(0.5, -0.17)*pow(0.3, 0.04));
    l = judge(&c, 1, 0.3, 0);
    assert_true(l.accept == 1 && l.refused == 0 && l.past == 0);
    l = judge(&c, 1e-3, 0.3, 1); /* after a rejection it does not grow */
    assert_true(l.accept == 1 && l.refused == 0 && l.factor == 1 && l.past == nde_weigh_past(1e-6));
    l = judge(&c, 0.9, 1e-4, 1); /* but may shrink */
    assert_near(l.factor, 0.9*pow(0.9, -0.17)*pow(1e-4, 0.04));
    l = judge(&c, 1e-7, 0.3, 0);
    assert_true(l.past == nde_weigh_past(0));
    l = judge(&c, 0, 1e-4, 0);
    assert_true(l.accept == 1 && l.factor == 10 && l.past == nde_weigh_past(0));
    l = judge(&c, 3, 0.3, 0); /* a rejected step: the plain controller, the memory stays */
    assert_true(l.accept == 0 && l.refused == 1 && l.past == nde_weigh_past(0.09));
    assert_near(l.factor, 0.9*pow(3, -0.2));
    l = judge(&c, nextafter(1, 2), 0.3, 0);
    assert_true(l.accept == 0 && l.factor < 1);
    const double bad[] = { (double)NAN, (double)INFINITY, DBL_MAX, 1e200 };
    for (size_t i = 0; i < 4; i++) {
        l = judge(&c, bad[i], 0.3, 0);
        assert_true(l.accept == 0 && l.refused == 1 && l.factor == 0.2 && l.past == nde_weigh_past(0.09));
    }
}

static void lanes_do_not_meet(void **state) {
    (void)state;
    enum { N = 37 };
    nde_control c;
    assert_int_equal(nde_control_make(NDE_CONTROLLER_PI, 2, NULL, &c), NDE_OK);
    double error[N], before[N], past[N], factor[N], refused[N];
    unsigned char accept[N];
    lane alone[N];
    for (size_t b = 0; b < N; b++) {
        error[b] = b % 11 == 10 ? (double)NAN : exp(uniform(b, -9, 3));
        before[b] = exp(uniform(100 + b, -9, 0));
        refused[b] = b % 3 == 0;
        alone[b] = judge(&c, error[b], before[b], refused[b]);
        error[b] *= error[b], past[b] = nde_weigh_past(before[b]*before[b]);
    }
    double t[N] = { 0 }, one[N], far[N], t_next[N], dt_next[N];
    for (size_t b = 0; b < N; b++) one[b] = 1, far[b] = 1e300;
    nde_clock_kernels_baseline.judge(&c, &forwards, N, &(nde_judgement){
        .scale = 1, .error = error, .t = t, .t_new = one, .dt = one, .stop = far, .past = past, .refused = refused,
        .accept = accept, .h = factor, .t_next = t_next, .dt_next = dt_next });
    for (size_t b = 0; b < N; b++)
        assert_true(factor[b] == alone[b].factor && past[b] == alone[b].past && refused[b] == alone[b].refused &&
                    accept[b] == alone[b].accept);
}

/* ---- filters ---- */

static const double own_pid[5] = { 0.9, -0.5, 0.1, 0.05, -0.1 };

/* What has no preset of its own to be compared with: the characteristic polynomial of the closed loop in a problem with error
 * phi h^(q + 1), x = log h: x' = c[0] x + c[1] x_1 + c[2] x_2, as published by its roots. */
static const struct { int id; double root[3]; } published[] = {
    { NDE_CONTROLLER_H211, { 0, 0, 0 } },
    { NDE_CONTROLLER_H211B, { 0.5, 0, 0 } },
    { NDE_CONTROLLER_H312, { 0, 0, 0 } },
    { NDE_CONTROLLER_H312B, { 0.5, 0, 0 } },
    { NDE_CONTROLLER_H321, { 1.0/3, 0.5, 2.0/3 } },
};

static void make_filter(int id, int order, nde_control *c, nde_filter *f) {
    nde_options o = { 0 };
    if (id == NDE_CONTROLLER_PID) memcpy(o.pid, own_pid, sizeof own_pid);
    assert_int_equal(nde_control_make(id, order, &o, c), NDE_OK);
    assert_int_equal(nde_filter_make(id, order, &o, c, f), NDE_OK);
}

static void filters_have_their_roots(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof published/sizeof *published; i++) {
        nde_control c;
        nde_filter f;
        make_filter(published[i].id, 4, &c, &f);
        const double *r = published[i].root;
        const double have[3] = { 1 - 5*f.b[0] - f.a[0], -5*f.b[1] + f.a[0] - f.a[1], -5*f.b[2] + f.a[1] };
        const double want[3] = { r[0] + r[1] + r[2], -(r[0]*r[1] + r[0]*r[2] + r[1]*r[2]), r[0]*r[1]*r[2] };
        for (int j = 0; j < 3; j++) assert_true(fabs(have[j] - want[j]) < 1e-15);
    }
}

static void making_filters(void **state) {
    (void)state;
    nde_control c;
    nde_filter f;
    for (int id = NDE_CONTROLLER_AUTO; id <= NDE_CONTROLLER_PI; id++) {
        make_filter(id, 4, &c, &f);
        assert_false(f.on);
    }
    make_filter(NDE_CONTROLLER_PI34, 4, &c, &f);
    assert_true(f.on && fabs(f.b[0] - 0.14) < 1e-16 && fabs(f.b[1] + 0.08) < 1e-16 && f.a[0] == 0);
    assert_true(fabs(f.aim - pow(0.9, 0.3)) < 1e-7);
    for (int i = 0; i < 5; i++) {
        nde_options o = { .pid = { 1 } };
        const double bad[] = { 11, -11, (double)NAN, (double)INFINITY };
        for (size_t j = 0; j < 4; j++) {
            o.pid[i] = bad[j];
            assert_int_equal(nde_filter_make(NDE_CONTROLLER_PID, 4, &o, &c, &f), NDE_E_ARG);
            char name[] = "options.pid[0]";
            name[12] = (char)('0' + i);
            assert_non_null(strstr(nde_error(), name));
        }
    }
    assert_int_equal(nde_filter_make(NDE_CONTROLLER_PID, 4, NULL, &c, &f), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "options.pid"));
}

/* The table of nde/base.h, from the papers. */
static void filters_are_those_of_the_papers(void **state) {
    (void)state;
    static const double table[][5] = { /* k b1, k b2, k b3, a2, a3 */
        [NDE_CONTROLLER_PI34] = { 0.7, -0.4 }, [NDE_CONTROLLER_PI33] = { 2.0/3, -1.0/3 }, [NDE_CONTROLLER_PI42] = { 0.6, -0.2 },
        [NDE_CONTROLLER_H211] = { 0.5, 0.5, 0, 0.5 }, [NDE_CONTROLLER_H211B] = { 0.25, 0.25, 0, 0.25 },
        [NDE_CONTROLLER_H211PI] = { 1.0/6, 1.0/6 }, [NDE_CONTROLLER_H312] = { 0.25, 0.5, 0.25, 0.75, 0.25 },
        [NDE_CONTROLLER_H312B] = { 0.125, 0.25, 0.125, 0.375, 0.125 }, [NDE_CONTROLLER_H312PID] = { 1.0/18, 1.0/9, 1.0/18 },
        [NDE_CONTROLLER_PI31] = { 0.4, -0.1 }, [NDE_CONTROLLER_H321] = { 1.0/3, 1.0/18, -5.0/18, -5.0/6, -1.0/6 },
    };
    static const nde_options own = { .controller = NDE_CONTROLLER_PID, .pid = { 0.9, -0.5, 0.1, 0.2, 0.05 } };
    for (int id = NDE_CONTROLLER_PI34; id <= NDE_CONTROLLER_PI31; id++) {
        const double *kb = id == NDE_CONTROLLER_PID ? own.pid : table[id];
        nde_control c;
        nde_filter f;
        assert_int_equal(nde_control_make(id, 4, &own, &c), NDE_OK);
        assert_int_equal(nde_filter_make(id, 4, &own, &c, &f), NDE_OK);
        for (int i = 0; i < 3; i++) assert_true(fabs(5*f.b[i] - kb[i]) <= 4*DBL_EPSILON);
        for (int i = 0; i < 2; i++) assert_true(f.a[i] == kb[3 + i]);
    }
}

/* A step reaches a stop that is no farther than a hundredth of it. */
static void stops_are_reached(void **state) {
    (void)state;
    assert_true(nde_clock_target(1, 2, 1, 3.009) == 3.009 && nde_clock_target(1, 2, 1, 3.011) == 3);
    assert_true(nde_clock_target(-1, 2, -1, 0.991) == 0.991 && nde_clock_target(-1, 2, -1, 0.989) == 1);
}

static double ratio_of(double h, double before) { return before != 0 ? fmin(fmax(h/before, 0.2), 10) : 1; }

/* Lanes at random against the formula, and against each instruction set and each lane alone by their bits. */
static void filters_are_what_they_say(void **state) {
    (void)state;
    enum { N = 70 };
    static const int isas[] = { NDE_ISA_BASELINE, NDE_ISA_V3, NDE_ISA_V4 };
    for (int id = NDE_CONTROLLER_PI34; id <= NDE_CONTROLLER_PID; id++) {
        nde_control c;
        nde_filter f;
        make_filter(id, 4, &c, &f);
        double e[N], e1[N], e2[N], h1[N], h2[N], t[N], one[N], far[N], out[2][7][N];
        double refused[N];
        unsigned char accept[N];
        for (size_t b = 0; b < N; b++) {
            e[b] = b % 11 == 10 ? (double)NAN : exp(uniform(6*b, -9, 3)), e[b] *= e[b];
            e1[b] = exp(uniform(6*b + 1, -9, 0)), e2[b] = exp(uniform(6*b + 2, -9, 0));
            h1[b] = b % 7 ? exp(uniform(6*b + 3, -3, 3)) : 0,
                h2[b] = b % 5 && h1[b] != 0 ? h1[b]*exp(uniform(6*b + 4, -3, 3)) : 0;
            t[b] = 0, one[b] = 1, far[b] = 1e300;
        }
        size_t sets = 0;
        for (size_t i = 0; i < 3; i++) {
            const nde_kernels *kernels = nde_kernels_get(isas[i], false);
            for (size_t each = kernels ? 1 : N + 1; each <= N; each += N - 1) {
                double (*o)[N] = out[sets > 0];
                memcpy(o[2], h2, sizeof h2);
                for (size_t b = 0; b < N; b++)
                    o[0][b] = nde_weigh_past(e1[b]), o[1][b] = nde_weigh_past(e2[b]), refused[b] = b % 3 == 0;
                for (size_t b = 0; b < N; b += each)
                    kernels->clock->judge(&c, &forwards, each, &(nde_judgement){
                        .scale = 1, .error = e + b, .t = t + b, .t_new = one + b, .dt = one + b, .stop = far + b,
                            .past = o[0] + b,
                        .filter = &f, .past2 = o[1] + b, .h_last = h1 + b, .h_last2 = o[2] + b, .refused = refused + b,
                        .accept = accept + b, .h = o[3] + b, .t_next = o[4] + b, .dt_next = o[5] + b });
                for (size_t b = 0; b < N; b++) o[6][b] = accept[b] + 2*refused[b];
                if (sets++) assert_memory_equal(o, out[0], sizeof out[0]);
            }
        }
        for (size_t b = 0; b < N; b++) {
            double (*o)[N] = out[0];
            const bool good = e[b] <= 1;
            assert_true(o[6][b] == (good ? 1 : b % 3 ? 2 : 4)); /* one more in a row */
            assert_true(o[0][b] == nde_weigh_past(good ? e[b] : e1[b]) && o[1][b] == nde_weigh_past(good ? e1[b] : e2[b]));
            assert_true(o[2][b] == (good ? h1[b] : h2[b]));
            const double sum = 5*(f.b[0] + f.b[1] + f.b[2]);
            double factor = good ? pow(0.9, sum)*pow(sqrt(e[b]), -f.b[0])*pow(sqrt(e1[b]), -f.b[1])*pow(sqrt(e2[b]), -f.b[2])*
                                       pow(ratio_of(1, h1[b]), -f.a[0])*pow(ratio_of(h1[b], h2[b]), -f.a[1])
                                 : 0.9*pow(sqrt(e[b]), -0.2);
            factor = isnan(e[b]) ? 0.2 : fmin(fmax(factor, 0.2), good && b % 3 ? 10 : 1);
            assert_near(o[3][b], factor);
        }
    }
}

static void first_steps(void **state) {
    (void)state;
    assert_near(nde_control_trial_step(2, 4), 0.005);
    assert_true(nde_control_trial_step(1e-6, 4) == 1e-6 && nde_control_trial_step(2, 1e-6) == 1e-6);
    assert_true(nde_control_trial_step(0, 0) == 1e-6 && nde_control_trial_step((double)NAN, 1) == 1e-6);
    assert_true(nde_control_trial_step(1, (double)INFINITY) == 1e-6 && nde_control_trial_step((double)INFINITY, 1) == 1e-6);
    assert_near(nde_control_first_step(0.005, 4, 8, 4), pow(0.01/8, 0.2));
    assert_near(nde_control_first_step(0.005, 8, 4, 4), pow(0.01/8, 0.2));
    assert_near(nde_control_first_step(1e-4, 4, 8, 4), 1e-2); /* at most 100 trial steps */
    assert_near(nde_control_first_step(pow(0.01/8, 0.2)/99.5, 4, 8, 4), pow(0.01/8, 0.2));
    assert_near(nde_control_first_step(5, 0, 1e-16, 4), 5e-3);
    assert_near(nde_control_first_step(1e-6, 0, 0, 4), 1e-6);
    assert_near(nde_control_first_step(0.005, 4, (double)NAN, 4), 5e-6);
    assert_near(nde_control_first_step(0.005, 4, (double)INFINITY, 4), 5e-6);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(power_is_close), cmocka_unit_test(power_of_extremes), cmocka_unit_test(power_is_monotone),
        cmocka_unit_test(power_has_golden_bits), cmocka_unit_test(making), cmocka_unit_test(judging),
        cmocka_unit_test(lanes_do_not_meet), cmocka_unit_test(filters_have_their_roots), cmocka_unit_test(making_filters),
        cmocka_unit_test(filters_are_those_of_the_papers), cmocka_unit_test(filters_are_what_they_say),
        cmocka_unit_test(stops_are_reached), cmocka_unit_test(first_steps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
