/* SPDX-License-Identifier: MIT
 * formula.c - a field of nde/formula.h: its lanes are its scalar form, its derivative is right, and it solves. */
#include <math.h>
#include <string.h>

#ifdef NDE_TEST_SINGLE
#include "nde/formulaf.h"
#include "nde/inlinef.h"
#define NDE_FORMULA NDEF_FORMULA
#define NDE_INLINE_SOLVER NDEF_INLINE_SOLVER
#else
#include "nde/formula.h"
#include "nde/inline.h"
#endif

NDE_FORMULA(lorenz, 3, 2, 1, {
    const real rho = q[0];
    dy[0] = p[0]*(y[1] - y[0]);
    dy[1] = y[0]*(rho - y[2]) - y[1];
    dy[2] = y[0]*y[1] - p[1]*y[2];
})

/* Every function, the time, a loop and a case. */
NDE_FORMULA(zoo, 4, 1, 2, {
    real sum = 0;
    for (int i = 0; i < 4; i++) sum += y[i]*y[i];
    dy[0] = sin(y[0])*cos(y[1]) + tan(y[2]/4) - atan(y[3]);
    dy[1] = exp(-sum)*sqrt(1 + sum) + log(2 + y[1]*y[1])*t;
    dy[2] = p[0]*tanh(q[0]*y[2]) + sinh(y[3]/2) - cosh(y[0]/2) + pow(1 + sum, q[1]);
    dy[3] = (y[1] - y[3])/(1 + sum) + y[2]*(NDE_PART(y[2]) < 0 ? -1 : 1);
})

NDE_FORMULA(plain, 1, 0, 0, { dy[0] = -y[0]; })

NDE_FORMULA(walled, 1, 0, 0, {
    if (NDE_PART(y[0]) > 2) return NDE_FIELD_RETRY;
    dy[0] = y[0];
})

NDE_INLINE_SOLVER(solve_plain, plain, 1, tsit5)

/* Sets nothing for y > 2, and fails with its parameter for y < 0. */
NDE_FORMULA(careless, 1, 1, 0, {
    if (NDE_PART(y[0]) < 0) return (int)NDE_PART(p[0]);
    if (NDE_PART(y[0]) <= 2) dy[0] = y[0];
})

enum { LANES = 11, LD = 16 };

static void site_of(nde_site *at, nde_real *y, nde_real *q, double *t, unsigned char *lane, const nde_real *p) {
    for (size_t i = 0; i < 4*LD; i++) y[i] = (nde_real)(2*nde_uniform(3, 200, i, 0, 0) - 1);
    for (size_t i = 0; i < 2*LD; i++) q[i] = (nde_real)(0.5 + nde_uniform(3, 201, i, 0, 0));
    for (size_t b = 0; b < LANES; b++) t[b] = 0.125*(double)b, lane[b] = NDE_LANE_OK;
    *at = (nde_site){ .n = LANES, .ld = LD, .t = t, .p = p, .q = q, .lane = lane };
}

static void derivatives_are_right(void **state) {
    (void)state;
    nde_real y[4*LD], q[2*LD];
    const nde_real p[] = { 10, (nde_real)(8.0/3) };
    double t[LANES], worst;
    unsigned char lane[LANES];
    nde_site at;
    site_of(&at, y, q, t, lane, p);
    const nde_field fields[] = { lorenz_field(), zoo_field(), plain_field() };
    for (size_t i = 0; i < 3; i++) {
        char text[200] = "";
        assert_non_null(fields[i].jvp);
        assert_int_equal(nde_field_check(&fields[i], &at, y, &worst, text, sizeof text), NDE_OK);
        if (!(worst < (sizeof(nde_real) == 8 ? 1e-6 : 1e-2))) fail_msg("%s: %s (%g)", fields[i].name, text, worst);
    }
}

/* To rounding, where differences know half of the digits. */
static void derivatives_are_exact(void **state) {
    (void)state;
    nde_real y[4*LD], q[2*LD], v[4*LD], dv[4*LD];
    const nde_real p[] = { 10, (nde_real)(8.0/3) }, vp[] = { (nde_real)0.25, -3 };
    double t[LANES];
    unsigned char lane[LANES];
    nde_site at;
    site_of(&at, y, q, t, lane, p);
    for (size_t i = 0; i < 4*LD; i++) v[i] = (nde_real)(1e6*(nde_uniform(3, 202, i, 0, 0) - 0.5));
    const nde_field field = lorenz_field();
    const nde_tangent along = { .y = v, .p = vp };
    assert_int_equal(field.jvp(&field, &at, y, &along, dv), 0);
    for (size_t b = 0; b < LANES; b++) {
        const double y0 = (double)y[b], y1 = (double)y[LD + b], y2 = (double)y[2*LD + b], v0 = (double)v[b],
            v1 = (double)v[LD + b],
                     v2 = (double)v[2*LD + b];
        const double exact[] = { (double)p[0]*(v1 - v0) + 0.25*(y1 - y0), v0*((double)q[b] - y2) - y0*v2 - v1,
                                 v0*y1 + y0*v1 - (double)p[1]*v2 + 3*y2 };
        for (size_t i = 0; i < 3; i++) assert_true(fabs((double)dv[i*LD + b] - exact[i]) <= 4*NDE_TEST_EPS*4e7);
    }
}

static void lanes_are_the_scalar_form(void **state) {
    (void)state;
    nde_real y[4*LD], q[2*LD], dy[4*LD];
    const nde_real p[] = { 10, (nde_real)(8.0/3) };
    double t[LANES];
    unsigned char lane[LANES];
    nde_site at;
    site_of(&at, y, q, t, lane, p);
    const nde_field field = zoo_field();
    assert_int_equal(field.eval(&field, &at, y, dy), 0);
    for (size_t b = 0; b < LANES; b++) {
        nde_real one[4], own[2] = { q[b], q[LD + b] }, out[4];
        for (size_t i = 0; i < 4; i++) one[i] = y[i*LD + b];
        assert_int_equal(zoo(t[b], one, p, out, own), 0);
        for (size_t i = 0; i < 4; i++) assert_memory_equal(&out[i], &dy[i*LD + b], sizeof *out);
    }
}

/* Lane by lane: what a formula leaves out is NaN, what it returns marks its lane; idle lanes stay idle. */
static void lanes_fail_alone(void **state) {
    (void)state;
    enum { N = 4 };
    const nde_real y[N] = { 1, 3, -1, -1 };
    const double t[N] = { 0 };
    const nde_field field = careless_field();
    static const struct { int code; unsigned char mark; } cases[] = { { NDE_FIELD_RETRY, NDE_LANE_RETRY },
                                                                      { NDE_FIELD_STOP, NDE_LANE_STOP } };
    for (int k = 0; k < 2; k++) {
        const nde_real p[] = { (nde_real)cases[k].code };
        nde_real dy[N];
        unsigned char lane[N] = { NDE_LANE_OK, NDE_LANE_OK, NDE_LANE_OK, NDE_LANE_IDLE };
        const nde_site at = { .n = N, .ld = N, .t = t, .p = p, .lane = lane };
        if (sizeof(nde_real) == sizeof(float) && cases[k].code == NDE_FIELD_STOP) continue; /* no float */
        assert_int_equal(field.eval(&field, &at, y, dy), 0);
        assert_true(dy[0] == 1 && isnan(dy[1]));
        assert_true(lane[0] == NDE_LANE_OK && lane[1] == NDE_LANE_OK && lane[2] == cases[k].mark && lane[3] == NDE_LANE_IDLE);
    }
    const nde_real p[] = { -5 };
    nde_real dy[N];
    unsigned char lane[N] = { NDE_LANE_OK };
    assert_int_equal(field.eval(&field, &(nde_site){ .n = N, .ld = N, .t = t, .p = p, .lane = lane }, y, dy), -5);
}

static void solves(void **state) {
    (void)state;
    nde_real start[] = { 1, (nde_real)1.5, 1 }, y[] = { 1 };
    const nde_field decay = plain_field(), wall = walled_field();
    nde_problem problem = { .size = sizeof problem, .n = 3, .t1 = 0.625, .drift = &decay, .y0 = start };
    nde_solution s = { .size = sizeof s };
    assert_int_equal(nde_solve(&problem, NULL, &s), NDE_OK);
    assert_int_equal(solve_plain(0, 0.625, y, NULL, NULL, NULL, NULL, NULL), NDE_OK);
    assert_memory_equal(&y[0], &s.y_end[0], sizeof *y);
    assert_true(fabs((double)y[0] - exp(-0.625)) < 1e-3);
    nde_solution_free(&s);
    problem.drift = &wall; /* e^0.625 < 2 < 1.5 e^0.625 */
    assert_int_equal(nde_solve(&problem, NULL, &s), NDE_E_LANES);
    assert_true(s.status[0] == NDE_OK && s.status[1] < 0 && s.status[2] == NDE_OK);
    assert_true(s.y_end[1] <= 2);
    nde_solution_free(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derivatives_are_right), cmocka_unit_test(derivatives_are_exact),
        cmocka_unit_test(lanes_are_the_scalar_form), cmocka_unit_test(lanes_fail_alone), cmocka_unit_test(solves),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
