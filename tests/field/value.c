/* SPDX-License-Identifier: MIT
 * value.c - nde_field_value, vjp and jvp give what the field's functions do, with whatever a field needs, and say what
 * fails. */
#include "field/rig.h"

enum { LANES = 37 };

static int scale_prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    (void)self;
    *prepared = 2*p[0];
    return p[0] < 0 ? -7 : 0;
}
/* index + 2 p y, through work, lane by lane. */
static int scale_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) at->work[b] = *at->prepared*y[b];
    for (size_t b = 0; b < at->n; b++) dy[b] = at->work[b] + (nde_real)(at->index[b] + at->interval[b]);
    for (size_t b = 0; b < at->n; b++)
        if (y[b] > 100) at->lane[b] = NDE_LANE_RETRY;
    return 0;
}
static const nde_field scale = { .size = sizeof scale, .name = "scale", .dim = 1, .out = 1, .np = 1, .work = 1, .prepared = 1,
                                 .eval = scale_eval, .prepare = scale_prepare };

static void value_is_that_of_eval(void **state) {
    (void)state;
    double t[LANES] = { 0 };
    nde_real y[LANES], value[LANES], p = 3;
    size_t index[LANES];
    for (size_t b = 0; b < LANES; b++) y[b] = (nde_real)b, index[b] = 5*b;
    nde_site at = { .n = LANES, .ld = LANES, .t = t, .p = &p };
    assert_int_equal(nde_field_value(&scale, &at, y, value), NDE_OK);
    for (size_t b = 0; b < LANES; b++) assert_true(value[b] == (nde_real)(7*b));
    at.index = index;
    assert_int_equal(nde_field_value(&scale, &at, y, value), NDE_OK);
    for (size_t b = 0; b < LANES; b++) assert_true(value[b] == (nde_real)(11*b));
}

static void value_of_a_network(void **state) {
    (void)state;
    const size_t width[] = { 2 + 1 + 1, 9, 2 };
    const nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 2, .width = width, .inputs_u = 1, .inputs_q = 1);
    const nde_field field = nde_field_mlp(&mlp);
    rig r = rig_make(&field, LANES, 40, 40, NULL, 0);
    nde_real value[2*40];
    assert_int_equal(field.eval(&field, &r.at, r.y, r.dy), 0);
    nde_site at = { .n = LANES, .ld = 40, .t = r.at.t, .p = r.at.p, .q = r.at.q, .u = r.at.u };
    assert_int_equal(nde_field_value(&field, &at, r.y, value), NDE_OK);
    for (size_t i = 0; i < 2; i++)
        for (size_t b = 0; b < LANES; b++)
            assert_true(fabs((double)(value[i*40 + b] - r.dy[i*40 + b])) < (sizeof(nde_real) == 8 ? 1e-13 : 1e-5));
    rig_free(&r);
}

/* The same as the field's own functions give in a solver's site; what is missing is refused. */
static void derivatives_of_a_network(void **state) {
    (void)state;
    const size_t width[] = { 2 + 1 + 1, 9, 2 };
    const nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 2, .width = width, .inputs_u = 1, .inputs_q = 1);
    const nde_field field = nde_field_mlp(&mlp);
    rig r = rig_make(&field, LANES, 40, 40, NULL, 0);
    nde_real value[2*40], dv[2*40], a_y[2*40] = { 0 };
    double *a_p = rig_take(&r, field.np*sizeof *a_p);
    memset(a_p, 0, field.np*sizeof *a_p);
    assert_int_equal(field.eval(&field, &r.at, r.y, r.dy), 0);
    assert_int_equal(field.vjp(&field, &r.at, r.y, r.a, &r.to), 0);
    assert_int_equal(field.jvp(&field, &r.at, r.y, &r.v, r.dv), 0);
    const nde_site at = { .n = LANES, .ld = 40, .t = r.at.t, .p = r.at.p, .q = r.at.q, .u = r.at.u };
    nde_cotangent to = { .y = a_y, .p = a_p };
    assert_int_equal(nde_field_vjp(&field, &at, r.y, r.a, value, &to), NDE_OK);
    assert_int_equal(nde_field_jvp(&field, &at, r.y, &r.v, dv), NDE_OK);
    const double most = sizeof(nde_real) == 8 ? 1e-13 : 1e-5;
    for (size_t i = 0; i < 2; i++)
        for (size_t k = i*40; k < i*40 + LANES; k++)
            assert_true(fabs((double)(value[k] - r.dy[k])) < most && fabs((double)(dv[k] - r.dv[k])) < most &&
                        fabs((double)(a_y[k] - r.to.y[k])) < most);
    for (size_t i = 0; i < field.np; i++) assert_true(fabs(a_p[i] - r.to.p[i]) < 30*most);
    assert_int_equal(nde_field_vjp(&field, &at, r.y, r.a, NULL, &to), NDE_OK);
    for (size_t i = 0; i < field.np; i++) assert_true(fabs(a_p[i] - 2*r.to.p[i]) < 60*most); /* added to */
    assert_int_equal(nde_field_vjp(&field, &at, r.y, NULL, NULL, &to), NDE_E_ARG);
    assert_int_equal(nde_field_jvp(&field, &at, r.y, NULL, dv), NDE_E_ARG);
    const nde_real p = 1;
    const nde_site one = { .n = 1, .ld = 1, .t = r.at.t, .p = &p };
    assert_int_equal(nde_field_vjp(&scale, &one, r.y, r.a, NULL, &to), NDE_E_NO_VJP);
    assert_int_equal(nde_field_jvp(&scale, &one, r.y, &r.v, dv), NDE_E_NO_JVP);
    rig_free(&r);
}

static void failures_are_named(void **state) {
    (void)state;
    const double t[2] = { 0 };
    nde_real y[2] = { 1, 101 }, value[2], p = 1;
    const nde_site at = { .n = 2, .ld = 2, .t = t, .p = &p };
    assert_int_equal(nde_field_value(&scale, &at, y, value), NDE_E_FIELD);
    assert_non_null(strstr(nde_error(), "scale failed in lane 1"));
    p = -1;
    assert_int_equal(nde_field_value(&scale, &at, y, value), NDE_E_FIELD);
    assert_non_null(strstr(nde_error(), "returned -7"));
    const nde_site huge = { .n = 2, .ld = SIZE_MAX/4, .t = t, .p = &p };
    assert_int_equal(nde_field_value(&scale, &huge, y, value), NDE_E_NOMEM);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(value_is_that_of_eval),
        cmocka_unit_test(value_of_a_network),
        cmocka_unit_test(derivatives_of_a_network),
        cmocka_unit_test(failures_are_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
