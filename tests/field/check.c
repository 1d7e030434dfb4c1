/* SPDX-License-Identifier: MIT
 * check.c - nde_field_check finds each wrong derivative and names it; nde_field_validate refuses what cannot be used. */
#include "rig.h"

/* F0 = p0 y0 y1 + u0 q0 sin t, F1 = y1^3 p1 + y0 u1: all derivatives by hand, one of them spoilt on demand. */
enum spoil {
    NOTHING, VJP_Y, VJP_U, VJP_Q, VJP_P, VJP_T, VJP_OVERWRITES, JVP_Y, JVP_U, JVP_Q, JVP_P, JVP_T, SECOND_Y, SECOND_V, SECOND_P,
    JACOBIAN, TAPE, TAPED_VALUE, WINDOW, COTAPE_P, SPOILS
};
static const char *const words[SPOILS] = {
    "", "vjp y", "vjp u", "vjp q", "vjp p", "vjp t", "vjp y", "jvp along", "jvp along", "jvp along", "jvp along",
    "jvp along", "vjp_jvp to y y", "vjp_jvp to v y", "vjp_jvp to y p", "jacobian", "vjp with tape", "eval with tape",
    "vjp_window p", "vjp_window p"
};
#define OFF(what) (*(const int *)self->ctx == (what) ? (nde_real)0.01 : 0)

static int eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    for (size_t b = 0, ld = at->ld; b < at->n; b++) {
        const nde_real *x = y + b, *u = at->u + b, s = (nde_real)sin(at->t[b]);
        dy[b] = at->p[0]*x[0]*x[ld] + u[0]*at->q[b]*s;
        dy[ld + b] = x[ld]*x[ld]*x[ld]*at->p[1] + x[0]*u[ld];
        if (!at->tape) continue;
        for (size_t i = 0; i < 2; i++) at->tape[i*at->tape_ld + b] = x[i*ld] + OFF(TAPE);
        dy[b] += OFF(TAPED_VALUE);
    }
    return 0;
}
static int vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const size_t ld = at->ld, tld = at->tape_ld;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real s = (nde_real)sin(at->t[b]), *p = at->p, *u = at->u + b, q = at->q[b], a0 = a[b], a1 = a[ld + b];
        const nde_real y0 = at->tape ? at->tape[b] : y[b], y1 = at->tape ? at->tape[tld + b] : y[ld + b];
        if (OFF(VJP_OVERWRITES) > 0) to->y[b] = 0;
        to->y[b] += p[0]*y1*a0 + u[ld]*a1 + OFF(VJP_Y);
        to->y[ld + b] += p[0]*y0*a0 + 3*y1*y1*p[1]*a1;
        to->u[b] += q*s*a0;
        to->u[ld + b] += y0*a1 + OFF(VJP_U);
        to->q[b] += u[0]*s*a0 + OFF(VJP_Q);
        to->t[b] += (double)(u[0]*q*a0)*cos(at->t[b]) + (double)OFF(VJP_T);
        if (to->cotape) to->cotape[b] = a0, to->cotape[tld + b] = a1;
        if (to->cotape && OFF(COTAPE_P) == 0) continue;
        to->p[0] += (double)(y0*y1*a0);
        to->p[1] += (double)(y1*y1*y1*a1 + OFF(VJP_P));
    }
    return 0;
}
static int vjp_window(const nde_field *self, const nde_site *at, const nde_real *cotape, double *ap) {
    for (size_t b = 0; b < at->n; b++) {
        const nde_real y0 = at->tape[b], y1 = at->tape[at->tape_ld + b];
        ap[0] += (double)(y0*y1*cotape[b] + OFF(WINDOW));
        ap[1] += (double)(y1*y1*y1*cotape[at->tape_ld + b]);
    }
    return 0;
}
static int jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    for (size_t b = 0, ld = at->ld; b < at->n; b++) {
        const nde_real s = (nde_real)sin(at->t[b]), c = (nde_real)cos(at->t[b]), *p = at->p, *u = at->u + b, q = at->q[b];
        const nde_real y0 = y[b], y1 = y[ld + b];
        nde_real d0 = 0, d1 = 0;
        if (v->y) d0 += p[0]*(v->y[b]*y1 + y0*v->y[ld + b]) + OFF(JVP_Y);
        if (v->y) d1 += 3*y1*y1*p[1]*v->y[ld + b] + u[ld]*v->y[b];
        if (v->u) d0 += v->u[b]*q*s, d1 += y0*v->u[ld + b] + OFF(JVP_U);
        if (v->q) d0 += u[0]*v->q[b]*s + OFF(JVP_Q);
        if (v->t) d0 += u[0]*q*c*(nde_real)v->t[b] + OFF(JVP_T);
        if (v->p) d0 += v->p[0]*y0*y1 + OFF(JVP_P), d1 += v->p[1]*y1*y1*y1;
        dv[b] = d0, dv[ld + b] = d1;
    }
    return 0;
}
static int vjp_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, const nde_real *a,
                   const nde_real *b, nde_cotangent *to, nde_cotangent *to_v) {
    static const int good = NOTHING;
    nde_field plain = *self;
    plain.ctx = &good;
    nde_site dry = *at;
    dry.tape = NULL;
    if (a) vjp(&plain, &dry, y, a, to);
    if (b && to_v) vjp(&plain, &dry, y, b, to_v);
    if (!b) return 0;
    for (size_t l = 0, ld = at->ld; l < at->n; l++) {
        const nde_real s = (nde_real)sin(at->t[l]), c = (nde_real)cos(at->t[l]), *p = at->p, *u = at->u + l, q = at->q[l];
        const nde_real y0 = y[l], y1 = y[ld + l], b0 = b[l], b1 = b[ld + l], t = (nde_real)v->t[l];
        const nde_real v0 = v->y[l], v1 = v->y[ld + l], w0 = v->u[l], w1 = v->u[ld + l], r = v->q[l];
        to->y[l] += b0*(p[0]*v1 + v->p[0]*y1) + b1*w1 + OFF(SECOND_Y);
        to->y[ld + l] += b0*(p[0]*v0 + v->p[0]*y0) + b1*(6*y1*p[1]*v1 + 3*v->p[1]*y1*y1);
        to->u[l] += b0*(r*s + q*c*t);
        to->u[ld + l] += b1*v0;
        to->q[l] += b0*(w0*s + u[0]*c*t);
        to->t[l] += (double)(b0*(w0*q*c + u[0]*r*c - u[0]*q*s*t));
        to->p[0] += (double)(b0*(v0*y1 + y0*v1) + OFF(SECOND_P));
        to->p[1] += (double)(b1*3*y1*y1*v1);
        to_v->y[l] += OFF(SECOND_V);
    }
    return 0;
}
static int jacobian(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *j) {
    for (size_t b = 0, ld = at->ld; b < at->n; b++) {
        j[b] = at->p[0]*y[ld + b];
        j[ld + b] = at->p[0]*y[b];
        j[2*ld + b] = at->u[ld + b] + OFF(JACOBIAN);
        j[3*ld + b] = 3*y[ld + b]*y[ld + b]*at->p[1];
    }
    return 0;
}

static nde_field make(const int *spoil) {
    return NDE_INIT(nde_field, .name = "example", .ctx = spoil, .dim = 2, .nu = 2, .np = 2, .nq = 1, .out = 2, .tape = 2,
                    .cotape = 2, .work = 1, .eval = eval, .vjp = vjp, .vjp_window = vjp_window, .jvp = jvp,
                    .vjp_jvp = vjp_jvp, .jacobian = jacobian);
}

/* Every kind of error of a hundredth is found and named; without one all is well. */
static void finds_errors(void **state) {
    (void)state;
    for (int spoil = NOTHING; spoil < SPOILS; spoil++) {
        for (size_t n = 1; n <= 5; n += 4) {
            const nde_field f = make(&spoil);
            rig r = rig_make(&f, n, n + 1, n, NULL, 0);
            r.at.lane = NULL, r.at.work = NULL;
            double worst = -1;
            char text[200] = "";
            assert_int_equal(nde_field_check(&f, &r.at, r.y, &worst, text, sizeof text), NDE_OK);
            if (spoil == NOTHING) assert_true(worst >= 0 && worst < (sizeof(nde_real) == 8 ? 1e-10 : 1e-4));
            else if (!(worst > 0.002)) fail_msg("%s was not found: %g, %s", words[spoil], worst, text);
            if (!strstr(text, words[spoil])) fail_msg("'%s' does not name '%s'", text, words[spoil]);
            assert_non_null(strstr(text, "example"));
            assert_int_equal(nde_field_check(&f, &r.at, r.y, NULL, NULL, 0), NDE_OK);
            char tiny[8];
            assert_int_equal(nde_field_check(&f, &r.at, r.y, NULL, tiny, sizeof tiny), NDE_OK);
            assert_true(strlen(tiny) < sizeof tiny);
            rig_free(&r);
        }
    }
}

static int infinite(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const int code = eval(self, at, y, dy);
    dy[at->ld] = (nde_real)INFINITY;
    return code;
}
static int silent(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self, (void)at, (void)y, (void)dy;
    return 0;
}
static int refuses(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self, (void)at, (void)y, (void)dy;
    return 7;
}
static int marks(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    at->lane[0] = NDE_LANE_RETRY;
    return eval(self, at, y, dy);
}

static void expect(const nde_field *f, const nde_site *at, const nde_real *y, nde_status status, const char *text) {
    double worst = 5;
    char said[9] = "as it is";
    assert_int_equal(nde_field_check(f, at, y, &worst, said, sizeof said), status);
    if (!strstr(nde_error(), text)) fail_msg("'%s' does not speak of '%s'", nde_error(), text);
    assert_true(worst == 5);
    assert_string_equal(said, "as it is");
}

static void refusals(void **state) {
    (void)state;
    const int spoil = NOTHING;
    const nde_field good = make(&spoil);
    rig r = rig_make(&good, 2, 3, 2, NULL, 0);
    nde_site at = r.at;
    expect(NULL, &at, r.y, NDE_E_ARG, "field is NULL");
    expect(&good, NULL, r.y, NDE_E_ARG, "at is NULL");
    expect(&good, &at, NULL, NDE_E_ARG, "y is NULL");
    at.n = 0;
    expect(&good, &at, r.y, NDE_E_ARG, "at.n is 0");
    at.n = 4;
    expect(&good, &at, r.y, NDE_E_ARG, "at.ld 3");
    at = r.at, at.t = NULL;
    expect(&good, &at, r.y, NDE_E_ARG, "at.t");
    at = r.at, at.u = NULL;
    expect(&good, &at, r.y, NDE_E_ARG, "at.u is NULL");
    at = r.at, at.p = NULL;
    expect(&good, &at, r.y, NDE_E_ARG, "at.p is NULL");
    at = r.at, at.q = NULL;
    expect(&good, &at, r.y, NDE_E_ARG, "at.q is NULL");
    at = r.at, at.ld = SIZE_MAX/2;
    expect(&good, &at, r.y, NDE_E_NOMEM, "do not fit");
    at.ld = SIZE_MAX/1024;
    expect(&good, &at, r.y, NDE_E_NOMEM, "memory");

    nde_field bad = good;
    bad.eval = infinite;
    expect(&bad, &r.at, r.y, NDE_E_NONFINITE, "eval of example");
    bad.eval = silent;
    expect(&bad, &r.at, r.y, NDE_E_NONFINITE, "nan");
    bad.eval = refuses;
    expect(&bad, &r.at, r.y, NDE_E_FIELD, "returned 7");
    bad.eval = marks;
    expect(&bad, &r.at, r.y, NDE_E_FIELD, "lane 0");
    rig_free(&r);

    const nde_field bare = NDE_INIT(nde_field, .dim = 2, .nu = 2, .np = 2, .nq = 1, .out = 2, .eval = eval, .ctx = &spoil);
    rig s = rig_make(&bare, 2, 3, 2, NULL, 0);
    double worst = 5;
    char text[80];
    assert_int_equal(nde_field_check(&bare, &s.at, s.y, &worst, text, sizeof text), NDE_OK);
    assert_string_equal(text, "field gives no derivatives");
    assert_true(worst == 0);
    rig_free(&s);
}

static int prepares(const nde_field *self, const nde_real *p, nde_real *prepared) {
    (void)self, (void)p, (void)prepared;
    return 3;
}

static void invalid(const nde_field *f, nde_status status, const char *text) {
    assert_int_equal(nde_field_validate(f, "the argument"), status);
    if (!strstr(nde_error(), text) || !strstr(nde_error(), "the argument"))
        fail_msg("'%s' does not speak of '%s'", nde_error(), text);
}

static void validation(void **state) {
    (void)state;
    const int spoil = NOTHING;
    const nde_field good = make(&spoil);
    static const size_t start[] = { 0, 1, 3 }, wrong_start[] = { 0, 2, 1 }, late[] = { 1, 1, 2 }, index[] = { 0, 0, 1 };
    static const size_t far[] = { 0, 0, 2 };
    nde_field f = good;
    assert_int_equal(nde_field_validate(&f, "x"), NDE_OK);
    f.size = 0;
    assert_int_equal(nde_field_validate(&f, "x"), NDE_OK);
    f.sparsity_start = start, f.sparsity_index = index;
    assert_int_equal(nde_field_validate(&f, "x"), NDE_OK);
    invalid(NULL, NDE_E_ARG, "NULL");
    f = good, f.size = 16, invalid(&f, NDE_E_ARG, "size is 16");
    f = good, f.eval = NULL, invalid(&f, NDE_E_ARG, "eval is NULL");
    f = good, f.dim = 0, invalid(&f, NDE_E_ARG, "dim is 0");
    f = good, f.out = 0, invalid(&f, NDE_E_ARG, "out is 0");
    f = good, f.traits = 64, invalid(&f, NDE_E_ARG, "0x40");
    f = good, f.vjp = NULL, invalid(&f, NDE_E_ARG, "vjp_window without vjp");
    f = good, f.jvp = NULL, invalid(&f, NDE_E_ARG, "vjp_jvp without jvp");
    f = good, f.prepared = 3, invalid(&f, NDE_E_ARG, "prepare is NULL");
    f = good, f.sparsity_start = start, invalid(&f, NDE_E_ARG, "only one");
    f.sparsity_index = index, f.sparsity_start = wrong_start, invalid(&f, NDE_E_ARG, "row 1");
    f.sparsity_start = late, invalid(&f, NDE_E_ARG, "ascend from 0");
    f.sparsity_start = start, f.sparsity_index = far, invalid(&f, NDE_E_ARG, "sparsity_index[2] is 2");
    size_t *const sizes[] = { &f.dim, &f.nu, &f.np, &f.nq, &f.out, &f.p_first, &f.q_first, &f.tape, &f.cotape, &f.work };
    const size_t huge[] = { SIZE_MAX, SIZE_MAX/8, SIZE_MAX/8 + 1, PTRDIFF_MAX };
    for (size_t i = 0; i < sizeof sizes/sizeof *sizes; i++) {
        for (size_t j = 0; j < sizeof huge/sizeof *huge; j++) {
            f = good;
            *sizes[i] = huge[j];
            invalid(&f, NDE_E_SIZE, "is ");
        }
    }
    struct { nde_field field; size_t later; } grown = { good, 0 };
    grown.field.size = sizeof grown;
    assert_int_equal(nde_field_validate(&grown.field, "x"), NDE_OK);
    grown.later = 1;
    invalid(&grown.field, NDE_E_ARG, "size");

    f = good, f.prepared = 1, f.prepare = prepares;
    rig r = rig_make(&good, 1, 1, 1, NULL, 0);
    expect(&f, &r.at, r.y, NDE_E_FIELD, "prepare of example returned 3");
    rig_free(&r);
}

/* Entries that the sparsity lacks are found. */
static void sparsity(void **state) {
    (void)state;
    static const size_t start[] = { 0, 2, 4 }, all[] = { 0, 1, 0, 1 }, fewer[] = { 0, 1, 3 };
    const int spoil = NOTHING;
    for (int lacks = 0; lacks < 2; lacks++) {
        nde_field f = make(&spoil);
        f.sparsity_start = lacks ? fewer : start, f.sparsity_index = lacks ? all + 1 : all;
        rig r = rig_make(&f, 3, 4, 3, NULL, 0);
        double worst;
        char text[200];
        assert_int_equal(nde_field_check(&f, &r.at, r.y, &worst, text, sizeof text), NDE_OK);
        if (lacks) assert_true(worst > 0.002 && strstr(text, "sparsity column"));
        else assert_true(worst < (sizeof(nde_real) == 8 ? 1e-10 : 1e-4));
        rig_free(&r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_errors), cmocka_unit_test(sparsity), cmocka_unit_test(refusals), cmocka_unit_test(validation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
