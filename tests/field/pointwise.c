/* SPDX-License-Identifier: MIT
 * pointwise.c - callbacks of one trajectory as a field: derivatives, bits, failures of a lane. */
#include <limits.h>

#include "rig.h"

/* y0' = p0 y1 sin t, y1' = y0^2 - p1 y1, y2' = p1 y0 y1 y2; what it does at a call can be set through ctx. */
typedef struct script {
    int calls, fail_at, code;
    bool writes_nothing;
} script;

static int act(script *s) { return s && ++s->calls == s->fail_at ? s->code : 0; }

static int f(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    script *s = ctx;
    const int code = act(s);
    if (code || (s && s->writes_nothing && s->calls == 2)) return code;
    dy[0] = p[0]*y[1]*(nde_real)sin(t);
    dy[1] = y[0]*y[0] - p[1]*y[1];
    dy[2] = p[1]*y[0]*y[1]*y[2];
    return 0;
}
static int vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
               void *ctx) {
    const int code = act(ctx);
    if (code) return code;
    ay[0] += 2*y[0]*a[1];
    ay[0] += p[1]*y[1]*y[2]*a[2];
    ay[1] += p[0]*(nde_real)sin(t)*a[0] - p[1]*a[1] + p[1]*y[0]*y[2]*a[2];
    ay[2] += p[1]*y[0]*y[1]*a[2];
    if (ap) ap[0] += (double)(y[1]*a[0])*sin(t);
    if (ap) ap[1] += (double)(-y[1]*a[1] + y[0]*y[1]*y[2]*a[2]);
    if (at) *at += (double)(p[0]*y[1]*a[0])*cos(t);
    return 0;
}
static int jvp(double t, const nde_real *y, const nde_real *p, double vt, const nde_real *vy, const nde_real *vp, nde_real *dv,
               void *ctx) {
    static const nde_real zero[3] = { 0 };
    const int code = act(ctx);
    if (code) return code;
    if (!vy) vy = zero;
    if (!vp) vp = zero;
    const nde_real s = (nde_real)sin(t), c = (nde_real)(cos(t)*vt);
    dv[0] = vp[0]*y[1]*s + p[0]*vy[1]*s + p[0]*y[1]*c;
    dv[1] = 2*y[0]*vy[0] - vp[1]*y[1] - p[1]*vy[1];
    dv[2] = vp[1]*y[0]*y[1]*y[2] + p[1]*(vy[0]*y[1]*y[2] + y[0]*vy[1]*y[2] + y[0]*y[1]*vy[2]);
    return 0;
}

static void derivatives(void **state) {
    (void)state;
    const nde_pointwise one = NDE_INIT(nde_pointwise, f, vjp, jvp, NULL);
    const nde_field field = nde_field_pointwise(&one, 3, 2);
    assert_null(field.vjp_jvp);
    for (size_t n = 1; n <= 130; n += n < 10 ? 1 : 60) {
        rig r = rig_make(&field, n, n + n % 3, n, NULL, 0);
        rig_check_derivatives(&r);
        rig_check_identity(&r);
        rig_check_guards(&r, r.dv, 3, r.at.ld);
        rig_check_guards(&r, r.to.y, 3, r.at.ld);
        rig_free(&r);
    }
}

/* A trajectory alone (straight through) and in a batch, on top of cotangents that are not zero. */
static void bits(void **state) {
    (void)state;
    const nde_pointwise one = NDE_INIT(nde_pointwise, f, vjp, jvp, NULL);
    const nde_field field = nde_field_pointwise(&one, 3, 2);
    rig all = rig_make(&field, 9, 11, 11, NULL, 0);
    for (size_t i = 0; i < 3; i++)
        for (size_t b = 0; b < 9; b++) all.to.y[i*11 + b] = (nde_real)(0.1 + 0.01*(double)(i + b));
    assert_int_equal(field.eval(&field, &all.at, all.y, all.dy), 0);
    assert_int_equal(field.jvp(&field, &all.at, all.y, &all.v, all.dv), 0);
    assert_int_equal(field.vjp(&field, &all.at, all.y, all.a, &all.to), 0);
    for (size_t b = 0; b < 9; b++) {
        rig r = rig_make(&field, 1, 1, 1, NULL, b);
        for (size_t i = 0; i < 3; i++) r.to.y[i] = (nde_real)(0.1 + 0.01*(double)(i + b));
        assert_int_equal(field.eval(&field, &r.at, r.y, r.dy), 0);
        assert_int_equal(field.jvp(&field, &r.at, r.y, &r.v, r.dv), 0);
        assert_int_equal(field.vjp(&field, &r.at, r.y, r.a, &r.to), 0);
        rig_same_lane(all.dy, 11, b, r.dy, 1, 0, 3);
        rig_same_lane(all.dv, 11, b, r.dv, 1, 0, 3);
        rig_same_lane(all.to.y, 11, b, r.to.y, 1, 0, 3);
        assert_memory_equal(all.to.t + b, r.to.t, sizeof(double));
        nde_cotangent none = { .p = r.to_v.p }; /* y not wanted */
        assert_int_equal(field.vjp(&field, &r.at, r.y, r.a, &none), 0);
        assert_memory_equal(r.to_v.p, r.to.p, 2*sizeof(double));
        rig_free(&r);
    }
    rig_free(&all);
}

/* One lane that cannot go on leaves its neighbours alone; what the block cannot survive is passed on. */
static void failures(void **state) {
    (void)state;
    static const int codes[] = { NDE_FIELD_RETRY, 17, NDE_FIELD_STOP, -1, INT_MIN };
    for (size_t i = 0; i < sizeof codes/sizeof *codes; i++) {
        script s = { .fail_at = 2, .code = codes[i] };
        const nde_pointwise one = NDE_INIT(nde_pointwise, f, vjp, jvp, &s), plain = NDE_INIT(nde_pointwise, f, vjp, jvp, NULL);
        const nde_field field = nde_field_pointwise(&one, 3, 2), healthy = nde_field_pointwise(&plain, 3, 2);
        rig r = rig_make(&field, 4, 4, 4, NULL, 0), good = rig_make(&healthy, 4, 4, 4, NULL, 0);
        assert_int_equal(healthy.eval(&healthy, &good.at, good.y, good.dy), 0);
        const int code = field.eval(&field, &r.at, r.y, r.dy);
        if (codes[i] < 0) {
            assert_int_equal(code, codes[i]);
        } else {
            assert_int_equal(code, 0);
            for (size_t b = 0; b < 4; b++) {
                const int mark = b != 1 ? NDE_LANE_OK : codes[i] == NDE_FIELD_STOP ? NDE_LANE_STOP : NDE_LANE_RETRY;
                assert_int_equal(r.at.lane[b], mark);
                if (b != 1) rig_same_lane(r.dy, 4, b, good.dy, 4, b, 3);
            }
        }
        s.calls = 0;
        assert_int_equal(field.vjp(&field, &r.at, r.y, r.a, &r.to), codes[i]); /* no step to retry on the way back */
        s.calls = 0;
        assert_int_equal(field.jvp(&field, &r.at, r.y, &r.v, r.dv), codes[i]);
        for (size_t ld = 1; ld <= 2; ld++) { /* one lane, straight and gathered */
            rig single = rig_make(&field, 1, ld, ld, NULL, 0);
            s.calls = 1;
            assert_int_equal(field.eval(&field, &single.at, single.y, single.dy), codes[i]);
            rig_free(&single);
        }
        rig_free(&r);
        rig_free(&good);
    }
}

static void writes_nothing(void **state) {
    (void)state;
    script s = { .writes_nothing = true };
    const nde_pointwise one = NDE_INIT(nde_pointwise, f, NULL, NULL, &s);
    const nde_field field = nde_field_pointwise(&one, 3, 2);
    assert_null(field.vjp);
    assert_null(field.jvp);
    rig r = rig_make(&field, 3, 3, 3, NULL, 0);
    assert_int_equal(field.eval(&field, &r.at, r.y, r.dy), 0);
    for (size_t i = 0; i < 3; i++) assert_true(isnan(r.dy[i*3 + 1]) && isfinite(r.dy[i*3]) && isfinite(r.dy[i*3 + 2]));
    rig_free(&r);
}

/* Idle lanes are not called, and their values are finite. */
static void idle(void **state) {
    (void)state;
    script s = { 0 };
    const nde_pointwise one = NDE_INIT(nde_pointwise, f, vjp, jvp, &s);
    const nde_field field = nde_field_pointwise(&one, 3, 2);
    for (size_t n = 1; n <= 5; n += 2) {
        rig r = rig_make(&field, n, n, n, NULL, 0);
        r.at.lane[n/2] = NDE_LANE_IDLE;
        s.calls = 0;
        assert_int_equal(field.eval(&field, &r.at, r.y, r.dy), 0);
        assert_int_equal(field.jvp(&field, &r.at, r.y, &r.v, r.dv), 0);
        assert_int_equal(field.vjp(&field, &r.at, r.y, r.a, &r.to), 0);
        assert_int_equal(s.calls, 3*(n - 1));
        for (size_t i = 0; i < 3; i++)
            assert_true(r.dy[i*n + n/2] == 0 && r.dv[i*n + n/2] == 0 && r.to.y[i*n + n/2] == 0);
        rig_free(&r);
    }
}

static void refusals(void **state) {
    (void)state;
    const nde_pointwise one = NDE_INIT(nde_pointwise, f, vjp, jvp, NULL), empty = { 0 };
    assert_null(nde_field_pointwise(NULL, 3, 2).eval);
    assert_non_null(strstr(nde_error(), "NULL"));
    assert_null(nde_field_pointwise(&empty, 3, 2).eval);
    assert_non_null(strstr(nde_error(), "f is NULL"));
    nde_pointwise small = one;
    small.size = 8;
    assert_null(nde_field_pointwise(&small, 3, 2).eval);
    assert_non_null(strstr(nde_error(), "size is 8"));
    assert_null(nde_field_pointwise(&one, 0, 2).eval);
    assert_non_null(strstr(nde_error(), "dim is 0"));
    assert_null(nde_field_pointwise(&one, SIZE_MAX, 2).eval);
    assert_null(nde_field_pointwise(&one, SIZE_MAX/3, 2).eval);
    assert_null(nde_field_pointwise(&one, 1, SIZE_MAX).eval);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derivatives), cmocka_unit_test(bits), cmocka_unit_test(failures), cmocka_unit_test(writes_nothing),
        cmocka_unit_test(idle), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
