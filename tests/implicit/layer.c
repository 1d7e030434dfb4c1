/* SPDX-License-Identifier: MIT
 * layer.c - implicit layers: solutions in closed form by every iteration, derivatives against differences, forward mode and the
 * unrolled iteration, lanes by themselves, within solvers, and all that can fail. */
#include "field/rig.h"

static const bool is_double = sizeof(nde_real) == 8;
#define LENGTH(x) (sizeof(x)/sizeof *(x))

/* ---- a ring: F_i = tanh(p_i y_(i+1) + u_i + q sin t), a contraction for |p| < 1 ------------------------------------ */

enum { RING = 3 };
static nde_real ring_slope(const nde_site *at, const nde_real *y, size_t i, size_t b, nde_real *value) {
    const nde_real x = at->p[i]*y[(i + 1)%RING*at->ld + b] + at->u[i*at->ld + b] + at->q[b]*(nde_real)sin(at->t[b]);
    *value = (nde_real)tanh((double)x);
    return 1 - *value**value;
}
static int ring_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self;
    for (size_t i = 0; i < RING; i++)
        for (size_t b = 0; b < at->n; b++) (void)ring_slope(at, y, i, b, &dy[i*at->ld + b]);
    return 0;
}
static int ring_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    (void)self;
    const size_t ld = at->ld;
    nde_real value;
    for (size_t i = 0; i < RING; i++)
        for (size_t b = 0, j = (i + 1)%RING*ld; b < at->n; b++) {
            const nde_real x = ring_slope(at, y, i, b, &value)*a[i*ld + b];
            if (to->y) to->y[j + b] += at->p[i]*x;
            if (to->u) to->u[i*ld + b] += x;
            if (to->q) to->q[b] += (nde_real)sin(at->t[b])*x;
            if (to->p) to->p[i] += (double)(y[j + b]*x);
            if (to->t) to->t[b] += (double)(at->q[b]*x)*cos(at->t[b]);
        }
    return 0;
}
static int ring_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    (void)self;
    const size_t ld = at->ld;
    nde_real value;
    for (size_t i = 0; i < RING; i++)
        for (size_t b = 0, j = (i + 1)%RING*ld; b < at->n; b++) {
            const nde_real slope = ring_slope(at, y, i, b, &value);
            dv[i*ld + b] = slope*((v->y ? at->p[i]*v->y[j + b] : 0) + (v->p ? v->p[i]*y[j + b] : 0) +
                                  (v->u ? v->u[i*ld + b] : 0) + (v->q ? (nde_real)sin(at->t[b])*v->q[b] : 0) +
                                  (v->t ? at->q[b]*(nde_real)(cos(at->t[b])*v->t[b]) : 0));
        }
    return 0;
}
static int ring_jacobian(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *j) {
    (void)self;
    nde_real value;
    for (size_t i = 0; i < RING; i++)
        for (size_t k = 0; k < RING; k++)
            for (size_t b = 0; b < at->n; b++)
                j[(i*RING + k)*at->ld + b] = k == (i + 1)%RING ? at->p[i]*ring_slope(at, y, i, b, &value) : 0;
    return 0;
}
static const nde_field ring = { .size = sizeof ring, .name = "ring", .dim = RING, .nu = RING, .nq = 1, .np = RING, .out = RING,
                                .traits = NDE_LANEWISE, .eval = ring_eval, .vjp = ring_vjp, .jvp = ring_jvp,
                                .jacobian = ring_jacobian };

/* y = F, or 0 = y - F: the same solution. */
static int moved_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const int rc = ring_eval(self, at, y, dy);
    for (size_t i = 0; i < RING*at->ld; i += at->ld)
        for (size_t b = 0; b < at->n; b++) dy[i + b] = y[i + b] - dy[i + b];
    return rc;
}
static int moved_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    nde_real *minus = at->work;
    for (size_t i = 0; i < RING*at->ld; i += at->ld)
        for (size_t b = 0; b < at->n; b++) {
            minus[i + b] = -a[i + b];
            if (to->y) to->y[i + b] += a[i + b];
        }
    return ring_vjp(self, at, y, minus, to);
}
static int moved_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const int rc = ring_jvp(self, at, y, v, dv);
    for (size_t i = 0; i < RING*at->ld; i += at->ld)
        for (size_t b = 0; b < at->n; b++) dv[i + b] = (v->y ? v->y[i + b] : 0) - dv[i + b];
    return rc;
}
static const nde_field moved = { .size = sizeof moved, .name = "moved ring", .dim = RING, .nu = RING, .nq = 1, .np = RING,
                                 .out = RING, .work = RING, .traits = NDE_LANEWISE, .eval = moved_eval, .vjp = moved_vjp,
                                 .jvp = moved_jvp };

/* Every way to solve it. */
typedef struct way {
    const nde_field *field;
    int32_t root, iteration, linear;
} way;
static const way ways[] = {
    { &ring, 0, NDE_ANDERSON, NDE_LINEAR_DENSE }, { &ring, 0, NDE_ANDERSON, NDE_LINEAR_GMRES },
    { &ring, 0, NDE_BROYDEN, NDE_LINEAR_DENSE },
    { &ring, 0, NDE_NEWTON, NDE_LINEAR_GMRES }, { &ring, 0, NDE_NEWTON_KRYLOV, NDE_LINEAR_GMRES },
    { &moved, 1, NDE_BROYDEN, NDE_LINEAR_DENSE }, { &moved, 1, NDE_NEWTON, NDE_LINEAR_DENSE },
    { &moved, 1, NDE_NEWTON_KRYLOV, NDE_LINEAR_GMRES }, { &ring, 0, 0, 0 }, { &moved, 1, 0, 0 },
};
static nde_implicit layer_of(const way *w, size_t inputs) {
    return NDE_INIT(nde_implicit, .field = w->field, .root = w->root, .iteration = w->iteration, .linear = w->linear,
                    .inputs = inputs, .rtol = is_double ? 1e-14 : 1e-6, .atol = is_double ? 1e-14 : 1e-6);
}

/* Values are solutions, and every derivative is right; with inputs too, for blocks of any shape. */
static void solutions_and_derivatives(void **state) {
    (void)state;
    static const size_t n[][3] = { { 1, 1, 1 }, { 1, 3, 2 }, { 4, 4, 6 }, { 19, 24, 19 } };
    for (size_t k = 0; k < LENGTH(ways); k++)
        for (size_t inputs = 0; inputs < 3; inputs++) {
            const nde_implicit layer = layer_of(&ways[k], inputs);
            const nde_field f = nde_field_implicit(&layer);
            if (!f.eval) fail_msg("%s", nde_error());
            assert_true(f.dim == (inputs ? inputs : RING) && f.nu == RING - inputs && f.out == RING);
            for (size_t i = 0; i < LENGTH(n); i++) {
                rig r = rig_make(&f, n[i][0], n[i][1], n[i][2], NULL, 5);
                assert_int_equal(f.eval(&f, &r.at, r.y, r.dy), 0);
                for (size_t b = 0; b < n[i][0]; b++) {
                    assert_int_equal(r.at.lane[b], NDE_LANE_OK);
                    nde_real u[RING], y[RING], value[RING], q = r.at.q[b];
                    for (size_t j = 0; j < RING; j++) {
                        u[j] = j < inputs ? r.y[j*r.at.ld + b] : r.at.u[(j - inputs)*r.at.ld + b];
                        y[j] = r.dy[j*r.at.ld + b];
                    }
                    const nde_site one = { .n = 1, .ld = 1, .t = r.at.t + b, .u = u, .q = &q, .p = r.at.p };
                    assert_int_equal(ring_eval(&ring, &one, y, value), 0);
                    for (size_t j = 0; j < RING; j++)
                        assert_true(fabs((double)(value[j] - y[j])) <= (is_double ? 3e-14 : 3e-6));
                }
                rig_check_derivatives(&r);
                rig_check_identity(&r);
                rig_check_guards(&r, r.dy, f.out, r.at.ld), rig_check_guards(&r, r.to.y, f.dim, r.at.ld);
                rig_free(&r);
            }
        }
}

/* A lane's bits are those that it has alone, however long its neighbours take. */
static void lanes_are_by_themselves(void **state) {
    (void)state;
    enum { N = 21 };
    for (size_t k = 0; k < LENGTH(ways); k++) {
        const nde_implicit layer = layer_of(&ways[k], 0);
        const nde_field f = nde_field_implicit(&layer);
        rig all = rig_make(&f, N, 24, N, NULL, 3);
        for (size_t b = 0; b < N; b++) /* some begin far away */
            for (size_t i = 0; i < RING; i++) all.y[i*24 + b] *= (nde_real)(1 + 30*(b%3));
        assert_int_equal(f.eval(&f, &all.at, all.y, all.dy), 0);
        rig_zero(&all, &all.to);
        assert_int_equal(f.vjp(&f, &all.at, all.y, all.a, &all.to), 0);
        for (size_t b = 0; b < N; b++) {
            rig one = rig_make(&f, 1, 1, 1, NULL, 3 + b);
            for (size_t i = 0; i < RING; i++) one.y[i] = all.y[i*24 + b];
            assert_int_equal(f.eval(&f, &one.at, one.y, one.dy), 0);
            rig_zero(&one, &one.to);
            assert_int_equal(f.vjp(&f, &one.at, one.y, one.a, &one.to), 0);
            rig_same_lane(one.dy, 1, 0, all.dy, 24, b, RING);
            rig_same_lane(one.to.u, 1, 0, all.to.u, 24, b, RING);
            rig_same_lane(one.to.q, 1, 0, all.to.q, 24, b, 1);
            rig_free(&one);
        }
        rig_free(&all);
    }
}

/* ---- closed forms ------------------------------------------------------------------------------------------------ */

/* y = q cos y from the same guess in all lanes. */
static int cosine_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) dy[b] = at->q[b]*(nde_real)cos((double)y[b]);
    return 0;
}
static int cosine_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) {
        if (to->y) to->y[b] -= a[b]*at->q[b]*(nde_real)sin((double)y[b]);
        if (to->q) to->q[b] += a[b]*(nde_real)cos((double)y[b]);
    }
    return 0;
}
static const nde_field cosine = { .size = sizeof cosine, .name = "cosine", .dim = 1, .out = 1, .nq = 1, .traits = NDE_LANEWISE,
                                  .eval = cosine_eval, .vjp = cosine_vjp };

/* Source of the number: OEIS A003957. Anderson's with one difference is the secant method. */
static void cosine_is_its_own(void **state) {
    (void)state;
    const nde_real q[] = { 1, (nde_real)0.5, 0 }, y[] = { 1, 1, 1 }, a[] = { 1, 1, 1 };
    const double t[3] = { 0 };
    const nde_site at = { .n = 3, .ld = 3, .t = t, .q = q };
    int32_t plain[3], quick[3];
    nde_real value[3], a_q[3] = { 0 };
    double residual[3];
    nde_status each[3];
    nde_implicit layer = NDE_INIT(nde_implicit, .field = &cosine, .memory = NDE_ZERO);
    nde_implicit_report report = NDE_INIT(nde_implicit_report, .iterations = plain, .residual = residual, .status = each);
    assert_int_equal(nde_implicit_solve(&layer, &at, y, value, &report), NDE_OK);
    assert_true(fabs((double)value[0] - 0.73908513321516064) <= (is_double ? 3e-10 : 3e-5) && value[2] == 0);
    assert_true(report.evaluations == plain[0] + 1 && plain[0] > plain[1] && plain[1] > plain[2]);
    for (size_t b = 0; b < 3; b++) assert_true(residual[b] <= 1 && each[b] == NDE_OK);
    layer.memory = 1, report.iterations = quick;
    assert_int_equal(nde_implicit_solve(&layer, &at, y, value, &report), NDE_OK);
    assert_true(2*quick[0] < plain[0] && quick[1] < plain[1]);
    const nde_field f = nde_field_implicit(&layer);
    assert_non_null(f.vjp), assert_null(f.jvp);
    nde_cotangent to = { .q = a_q };
    assert_int_equal(nde_field_vjp(&f, &at, y, a, value, &to), NDE_OK);
    for (size_t b = 0; b < 3; b++) {
        const double c = cos((double)value[b]), s = sin((double)value[b]);
        assert_true(fabs((double)a_q[b] - c/(1 + (double)q[b]*s)) <= 20*NDE_TEST_EPS);
    }
}

/* min |x - b|^2/2 with C x = d: x = b - C' l, C C' l = C b - d. p = (b, d), y = (x, l). */
static const double C[2][4] = { { 1, 2, 0, -1 }, { 0, 1, 1, 3 } };
static int kkt(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    for (size_t i = 0; i < 4; i++) dy[i] = y[i] - p[i] + (nde_real)C[0][i]*y[4] + (nde_real)C[1][i]*y[5];
    for (size_t k = 0; k < 2; k++) {
        dy[4 + k] = -p[4 + k];
        for (size_t i = 0; i < 4; i++) dy[4 + k] += (nde_real)C[k][i]*y[i];
    }
    return 0;
}
static int kkt_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
                   void *ctx) {
    (void)t, (void)y, (void)p, (void)at, (void)ctx;
    for (size_t i = 0; i < 4; i++) ay[i] += a[i] + (nde_real)C[0][i]*a[4] + (nde_real)C[1][i]*a[5];
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < 4; i++) ay[4 + k] += (nde_real)C[k][i]*a[i];
    for (size_t i = 0; i < 6 && ap; i++) ap[i] -= (double)a[i];
    return 0;
}
static int kkt_jvp(double t, const nde_real *y, const nde_real *p, double vt, const nde_real *vy, const nde_real *vp,
                   nde_real *dv, void *ctx) {
    (void)y, (void)p, (void)vt;
    static const nde_real none[6] = { 0 };
    return kkt(t, vy ? vy : none, vp ? vp : none, dv, ctx);
}
static const nde_pointwise kkt_one = { .size = sizeof kkt_one, .f = kkt, .vjp = kkt_vjp, .jvp = kkt_jvp };

static void constrained_least_squares(void **state) {
    (void)state;
    const nde_field equations = nde_field_pointwise(&kkt_one, 6, 6);
    const nde_real p[] = { 1, -2, 3, (nde_real)0.5, 2, -1 }, guess[6] = { 0 };
    const double t = 0, cc[2][2] = { { 6, -1 }, { -1, 11 } }, det = 65;
    const nde_site at = { .n = 1, .ld = 1, .t = &t, .p = p };
    double r[2] = { 0 }, l[2];
    for (size_t k = 0; k < 2; k++)
        for (size_t i = 0; i < 4; i++) r[k] += C[k][i]*(double)p[i];
    for (size_t k = 0; k < 2; k++) r[k] -= (double)p[4 + k];
    l[0] = (cc[1][1]*r[0] - cc[0][1]*r[1])/det, l[1] = (cc[0][0]*r[1] - cc[1][0]*r[0])/det;
    for (int32_t linear = NDE_LINEAR_DENSE; linear <= NDE_LINEAR_GMRES; linear++) {
        const nde_implicit layer = NDE_INIT(nde_implicit, .field = &equations, .root = 1, .linear = linear);
        const nde_field f = nde_field_implicit(&layer);
        nde_real y[6], a[6] = { 1, 0, 0, 0, 0, 0 };
        double a_p[6] = { 0 };
        assert_int_equal(nde_field_vjp(&f, &at, guess, a, y, &(nde_cotangent){ .p = a_p }), NDE_OK);
        for (size_t i = 0; i < 6; i++) {
            const double x = i < 4 ? (double)p[i] - C[0][i]*l[0] - C[1][i]*l[1] : l[i - 4];
            /* row 0 of I - C' (C C')^-1 C, and of C' (C C')^-1 */
            const double inverse[2] = { cc[1][1]/det, -cc[0][1]/det };
            const double slope = i < 4 ? (i == 0) - C[0][i]*inverse[0] - C[1][i]*inverse[1] : inverse[i - 4];
            assert_true(fabs((double)y[i] - x) <= 100*NDE_TEST_EPS && fabs(a_p[i] - slope) <= 100*NDE_TEST_EPS);
        }
    }
}

/* ---- a deep equilibrium model: the gradient of the iteration, unrolled --------------------------------------------- */

enum { HIDDEN = 12, SEEN = 5, BATCH = 7, UNROLLED = 400 };
static const size_t deq_width[] = { HIDDEN + SEEN, HIDDEN };
static const nde_mlp deq_mlp = { .size = sizeof deq_mlp, .layers = 1, .width = deq_width, .inputs_u = SEEN, .last = NDE_TANH };

static void unrolled(const nde_field *f, rig *r, double *a_p, nde_real *a_u) {
    static nde_real y[UNROLLED + 1][HIDDEN*BATCH], a[2][HIDDEN*BATCH];
    memset(y[0], 0, sizeof y[0]);
    for (size_t k = 0; k < UNROLLED; k++) assert_int_equal(f->eval(f, &r->at, y[k], y[k + 1]), 0);
    memcpy(a[0], r->a, sizeof a[0]);
    for (size_t k = UNROLLED; k-- > 0;) {
        memset(a[1], 0, sizeof a[1]);
        nde_cotangent to = { .y = a[1], .p = a_p, .u = a_u };
        assert_int_equal(f->vjp(f, &r->at, y[k], a[0], &to), 0);
        memcpy(a[0], a[1], sizeof a[0]);
    }
    memcpy(r->dy, y[UNROLLED], sizeof y[0]);
}

static void gradient_is_that_of_the_iteration(void **state) {
    (void)state;
    const nde_field f = nde_field_mlp(&deq_mlp);
    rig r = rig_make(&f, BATCH, BATCH, BATCH, NULL, 2);
    static nde_real p[(HIDDEN + SEEN + 1)*HIDDEN], a_u[SEEN*BATCH], value[HIDDEN*BATCH], guess[HIDDEN*BATCH];
    static double slow[LENGTH(p)], quick[LENGTH(p)];
    assert_int_equal(nde_mlp_init(&deq_mlp, NDE_GLOROT_UNIFORM, 7, p), NDE_OK);
    for (size_t i = 0; i < LENGTH(p); i++) p[i] *= (nde_real)0.8;
    nde_real *prepared = rig_take(&r, f.prepared*sizeof *prepared);
    if (f.prepared) assert_int_equal(f.prepare(&f, p, prepared), 0);
    r.at.p = p, r.at.prepared = prepared, r.at.tape = NULL;
    memset(a_u, 0, sizeof a_u), memset(slow, 0, sizeof slow);
    unrolled(&f, &r, slow, a_u);
    for (int32_t linear = NDE_LINEAR_DENSE; linear <= NDE_LINEAR_GMRES; linear++) {
        const nde_implicit layer = NDE_INIT(nde_implicit, .field = &f, .linear = linear, .rtol = is_double ? 1e-13 : 3e-6,
                                            .atol = is_double ? 1e-13 : 3e-6);
        nde_implicit longer = layer;
        longer.max_iterations = INT32_MAX;
        const nde_field deq = nde_field_implicit(&layer), patient = nde_field_implicit(&longer);
        assert_true(deq.work == patient.work && deq.tape == patient.tape && deq.tape == HIDDEN);
        static nde_real b_u[SEEN*BATCH];
        memset(b_u, 0, sizeof b_u), memset(quick, 0, sizeof quick);
        const nde_site at = { .n = BATCH, .ld = BATCH, .t = r.at.t, .u = r.at.u, .p = p };
        assert_int_equal(nde_field_vjp(&deq, &at, guess, r.a, value, &(nde_cotangent){ .u = b_u, .p = quick }), NDE_OK);
        double worst = 0, size = 0;
        for (size_t i = 0; i < LENGTH(p); i++) size = fmax(size, fabs(slow[i])), worst = fmax(worst, fabs(quick[i] - slow[i]));
        assert_true(worst <= (is_double ? 1e-11 : 2e-4)*size);
        for (size_t i = 0; i < LENGTH(a_u); i++)
            assert_true(fabs((double)(a_u[i] - b_u[i])) <= (is_double ? 1e-11 : 2e-4)*size);
        for (size_t i = 0; i < LENGTH(value); i++)
            assert_true(fabs((double)(value[i] - r.dy[i])) <= (is_double ? 1e-12 : 1e-4));
    }
    rig_free(&r);
}

/* ---- within differential equations --------------------------------------------------------------------------------- */

/* The steady state of y1' = p0 - p1 y1, y2' = y1 - p2 y2^2, found by an event; its gradient by the layer. */
static int tanks(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    dy[0] = p[0] - p[1]*y[0], dy[1] = y[0] - p[2]*y[1]*y[1];
    return 0;
}
static int tanks_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
                     void *ctx) {
    (void)t, (void)at, (void)ctx;
    ay[0] += a[1] - p[1]*a[0], ay[1] -= 2*p[2]*y[1]*a[1];
    if (ap) ap[0] += (double)a[0], ap[1] -= (double)(y[0]*a[0]), ap[2] -= (double)(y[1]*y[1]*a[1]);
    return 0;
}
static int tanks_jvp(double t, const nde_real *y, const nde_real *p, double vt, const nde_real *vy, const nde_real *vp,
                     nde_real *dv, void *ctx) {
    (void)t, (void)vt, (void)ctx;
    dv[0] = (vp ? vp[0] - vp[1]*y[0] : 0) - (vy ? p[1]*vy[0] : 0);
    dv[1] = (vy ? vy[0] - 2*p[2]*y[1]*vy[1] : 0) - (vp ? vp[2]*y[1]*y[1] : 0);
    return 0;
}
static const nde_pointwise tanks_one = { .size = sizeof tanks_one, .f = tanks, .vjp = tanks_vjp, .jvp = tanks_jvp };

static void steady_state_of_an_equation(void **state) {
    (void)state;
    const nde_field drift = nde_field_pointwise(&tanks_one, 2, 3);
    const nde_real p[] = { 2, (nde_real)0.5, 3 }, y0[] = { 1, 1 };
    const double slow = is_double ? 1e-4 : 1e-2;
    const nde_steady rest = NDE_INIT(nde_steady, .field = &drift, .rtol = slow, .atol = slow);
    const nde_field g = nde_field_steady(&rest);
    const nde_event event = NDE_INIT(nde_event, .g = &g, .direction = -1, .terminal = 1, .at_start = 1);
    const nde_problem problem = NDE_INIT(nde_problem, .y0 = y0, .p = p, .drift = &drift, .t1 = 1000, .events = &event,
                                         .n_events = 1);
    nde_solution solution = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solve(&problem, NULL, &solution), NDE_EVENT);
    const nde_implicit layer = NDE_INIT(nde_implicit, .field = &drift, .root = 1, .rtol = is_double ? 1e-13 : 1e-6,
                                        .atol = is_double ? 1e-13 : 1e-6);
    const nde_field steady = nde_field_implicit(&layer);
    const nde_site at = { .n = 1, .ld = 1, .t = solution.t_end, .p = p };
    nde_real y[2], a[2] = { 0, 1 };
    double a_p[3] = { 0 };
    int32_t iterations;
    nde_implicit_report report = NDE_INIT(nde_implicit_report, .iterations = &iterations);
    assert_int_equal(nde_implicit_solve(&layer, &at, solution.y_end, y, &report), NDE_OK);
    assert_in_range(iterations, 1, 3);
    assert_int_equal(nde_field_vjp(&steady, &at, solution.y_end, a, y, &(nde_cotangent){ .p = a_p }), NDE_OK);
    nde_solution_free(&solution);
    /* y1 = p0/p1, y2 = sqrt(p0/(p1 p2)) */
    const double y2 = sqrt(4/3.0), slope[] = { y2/4, -y2, -y2/6 };
    assert_true(fabs((double)y[0] - 4) <= 20*NDE_TEST_EPS && fabs((double)y[1] - y2) <= 20*NDE_TEST_EPS);
    for (size_t i = 0; i < 3; i++) assert_true(fabs(a_p[i] - slope[i]) <= 20*NDE_TEST_EPS);
}

/* y' = z with 0 = z + p z^3 + y, an index-1 problem: the layer is the drift. u = y, state z. */
static int cubic_eval(const nde_field *self, const nde_site *at, const nde_real *z, nde_real *f) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) f[b] = z[b] + at->p[0]*z[b]*z[b]*z[b] + at->u[b];
    return 0;
}
static int cubic_vjp(const nde_field *self, const nde_site *at, const nde_real *z, const nde_real *a, nde_cotangent *to) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) {
        if (to->y) to->y[b] += (1 + 3*at->p[0]*z[b]*z[b])*a[b];
        if (to->u) to->u[b] += a[b];
        if (to->p) to->p[0] += (double)(z[b]*z[b]*z[b]*a[b]);
    }
    return 0;
}
static int cubic_jvp(const nde_field *self, const nde_site *at, const nde_real *z, const nde_tangent *v, nde_real *dv) {
    (void)self;
    for (size_t b = 0; b < at->n; b++)
        dv[b] = (v->y ? (1 + 3*at->p[0]*z[b]*z[b])*v->y[b] : 0) + (v->u ? v->u[b] : 0) + (v->p ? z[b]*z[b]*z[b]*v->p[0] : 0);
    return 0;
}
static const nde_field cubic = { .size = sizeof cubic, .name = "cubic", .dim = 1, .nu = 1, .np = 1, .out = 1,
                                 .traits = NDE_LANEWISE | NDE_AUTONOMOUS, .eval = cubic_eval, .vjp = cubic_vjp,
                                 .jvp = cubic_jvp };

/* dz/dt = -z/(1 + 3 p z^2): ln(z/z0) + 3/2 p (z^2 - z0^2) = -t. */
static void layer_as_a_drift(void **state) {
    (void)state;
    const nde_implicit layer = NDE_INIT(nde_implicit, .field = &cubic, .root = 1, .inputs = 1, .rtol = is_double ? 1e-14 : 1e-6,
                                        .atol = is_double ? 1e-14 : 1e-6);
    const nde_field drift = nde_field_implicit(&layer);
    const nde_real p = (nde_real)0.7, y0[3] = { 2, -1, (nde_real)0.5 };
    nde_problem problem = NDE_INIT(nde_problem, .n = 3, .y0 = y0, .p = &p, .drift = &drift, .t1 = 1.5);
    nde_options options = NDE_INIT(nde_options, .adjoint = NDE_ADJOINT_DISCRETE, .rtol = is_double ? 1e-10 : 1e-4,
                                   .atol = is_double ? 1e-10 : 1e-4);
    nde_real seed_y[3] = { 1, -2, 3 };
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = seed_y);
    for (int joint = 0; joint < 2; joint++) {
        nde_solution solution = NDE_INIT(nde_solution, .n = 0);
        options.stepping = joint ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
        assert_int_equal(nde_solve(&problem, &options, &solution), NDE_OK);
        for (size_t b = 0; b < 3; b++) {
            double z[2];
            for (int end = 0; end < 2; end++) {
                const double y = (double)(end ? solution.y_end[b] : y0[b]);
                z[end] = -y;
                for (int k = 0; k < 50; k++)
                    z[end] -= (z[end] + (double)p*z[end]*z[end]*z[end] + y)/(1 + 3*(double)p*z[end]*z[end]);
            }
            const double left = log(z[1]/z[0]) + 1.5*(double)p*(z[1]*z[1] - z[0]*z[0]);
            assert_true(fabs(left + 1.5) <= (is_double ? 1e-8 : 1e-2));
        }
        nde_solution_free(&solution);
        nde_gradient_report report = NDE_INIT(nde_gradient_report, .h = 0);
        assert_int_equal(nde_gradient_check(&problem, &options, &seed, 5, &report), NDE_OK);
        assert_true(report.forward_error <= (is_double ? 1e-11 : 1e-4) && report.difference_error <= (is_double ? 1e-8 : 1e-2));
    }
}

/* ---- what can fail -------------------------------------------------------------------------------------------------- */

static int trouble_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    if (at->p[0] < 0) return -5;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real q = at->q[b];
        if (at->lane[b] == NDE_LANE_IDLE) continue;
        if (q == 1 && y[b] > 0) at->lane[b] = NDE_LANE_RETRY;
        if (q == 2 && y[b] > 0) at->lane[b] = NDE_LANE_STOP;
        dy[b] = q == 3 ? (nde_real)NAN : q == 4 ? 1 + y[b] : q == 5 ? 1 - 4*y[b]*y[b]*y[b] : (nde_real)0.5 + y[b]/4;
    }
    (void)self;
    return 0;
}
static int trouble_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real q = at->q[b], slope = q == 4 ? 1 : q == 5 ? -12*y[b]*y[b] : (nde_real)0.25;
        dv[b] = v->y ? slope*v->y[b] : 0;
    }
    return 0;
}
static int trouble_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    return to->y ? trouble_jvp(self, at, y, &(nde_tangent){ .y = a }, to->y) : 0;
}
static const nde_field trouble = { .size = sizeof trouble, .name = "trouble", .dim = 1, .out = 1, .nq = 1, .np = 1,
                                   .traits = NDE_LANEWISE, .eval = trouble_eval, .jvp = trouble_jvp, .vjp = trouble_vjp };

static void lanes_fail_alone(void **state) {
    (void)state;
    enum { N = 7 };
    const nde_real q[N] = { 0, 1, 2, 3, 4, 5, 0 }, guess[N] = { 0 };
    const double t[N] = { 0 };
    for (int32_t iteration = NDE_ANDERSON; iteration <= NDE_NEWTON_KRYLOV; iteration++) {
        nde_real p = 1, y[N];
        double residual[N];
        nde_status each[N];
        const nde_site at = { .n = N, .ld = N, .t = t, .q = q, .p = &p };
        nde_implicit layer = NDE_INIT(nde_implicit, .field = &trouble, .iteration = iteration, .max_iterations = 60,
                                      .memory = NDE_ZERO);
        nde_implicit_report report = NDE_INIT(nde_implicit_report, .residual = residual, .status = each);
        assert_int_equal(nde_implicit_solve(&layer, &at, guess, y, &report), NDE_E_LANES);
        assert_non_null(strstr(nde_error(), "lane 1"));
        const bool newton = iteration == NDE_NEWTON || iteration == NDE_NEWTON_KRYLOV;
        const nde_status expected[N] = { NDE_OK, newton ? NDE_E_CONVERGENCE : NDE_E_FIELD, NDE_STOPPED, NDE_E_NONFINITE,
                                         iteration == NDE_NEWTON ? NDE_E_SINGULAR : NDE_E_CONVERGENCE,
                                         newton ? NDE_OK : NDE_E_CONVERGENCE, NDE_OK };
        for (size_t b = 0; b < N; b++) {
            if (b == 5 && !newton && each[b] == NDE_E_NONFINITE) continue; /* it may grow beyond all numbers first */
            if (each[b] != expected[b]) fail_msg("iteration %d, lane %zu: %s", (int)iteration, b, nde_status_text(each[b]));
            assert_true(isfinite(y[b]) && (b != 3 || isnan(residual[b])));
        }
        assert_true(fabs((double)y[0] - 2.0/3) <= (is_double ? 1e-9 : 1e-4) && y[0] == y[6]);

        /* as a field: lanes are marked, and their values are NaN */
        const nde_field f = nde_field_implicit(&layer);
        rig r = rig_make(&f, N, N, N, NULL, 0);
        memset(r.y, 0, N*sizeof *r.y);
        r.at.q = q, r.at.p = &p;
        assert_int_equal(f.eval(&f, &r.at, r.y, r.dy), 0);
        for (size_t b = 0; b < N; b++) {
            const int lane = each[b] == NDE_OK ? NDE_LANE_OK : each[b] == NDE_STOPPED ? NDE_LANE_STOP : NDE_LANE_RETRY;
            assert_int_equal(r.at.lane[b], lane);
            assert_int_equal(isnan(r.dy[b]) != 0, each[b] != NDE_OK);
        }
        /* cotangents of failed lanes alone are refused */
        nde_real a_q[N] = { 0 };
        nde_cotangent to = { .q = a_q };
        for (size_t b = 0; b < N; b++) r.a[b] = each[b] == NDE_OK;
        assert_int_equal(f.vjp(&f, &r.at, r.y, r.a, &to), 0);
        r.a[3] = 1;
        assert_int_equal(f.vjp(&f, &r.at, r.y, r.a, &to), NDE_FIELD_RETRY);
        r.at.tape = NULL;
        memset(r.at.lane, NDE_LANE_OK, N);
        assert_int_equal(f.vjp(&f, &r.at, r.y, r.a, &to), NDE_FIELD_RETRY);
        rig_free(&r);

        p = -1;
        assert_int_equal(nde_implicit_solve(&layer, &at, guess, y, &report), NDE_E_FIELD);
        assert_non_null(strstr(nde_error(), "trouble returned -5"));
    }
}

/* The Jacobian at the solution is singular: there is a value, and no derivative. */
static int flat_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *f) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) f[b] = y[b]*y[b];
    return 0;
}
static int flat_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) dv[b] = v->y ? 2*y[b]*v->y[b] : 0;
    return 0;
}
static int flat_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    return to->y ? flat_jvp(self, at, y, &(nde_tangent){ .y = a }, to->y) : 0;
}
static void no_derivative_where_it_is_singular(void **state) {
    (void)state;
    const nde_field flat = { .size = sizeof flat, .dim = 1, .out = 1, .eval = flat_eval, .jvp = flat_jvp, .vjp = flat_vjp };
    const double t = 0;
    const nde_real guess = 0, a = 1;
    nde_real y, v = 1, dv;
    const nde_site at = { .n = 1, .ld = 1, .t = &t };
    for (int32_t linear = NDE_LINEAR_DENSE; linear <= NDE_LINEAR_GMRES; linear++) {
        const nde_implicit layer = NDE_INIT(nde_implicit, .field = &flat, .root = 1, .linear = linear);
        const nde_field f = nde_field_implicit(&layer);
        assert_int_equal(nde_field_value(&f, &at, &guess, &y), NDE_OK);
        nde_real a_y = 0;
        assert_int_equal(nde_field_vjp(&f, &at, &guess, &a, &y, &(nde_cotangent){ .y = &a_y }), NDE_E_FIELD);
        assert_int_equal(nde_field_jvp(&f, &at, &guess, &(nde_tangent){ .y = &v }, &dv), NDE_OK); /* along nothing */
        assert_true(dv == 0);
    }
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    const nde_field wide = { .size = sizeof wide, .dim = 1, .out = 2, .eval = cosine_eval };
    const struct { nde_implicit layer; const char *word; } cases[] = {
        { { .size = sizeof(nde_implicit) }, "field is NULL" },
        { { .size = 3, .field = &ring }, "size" },
        { { .size = sizeof(nde_implicit), .field = &wide }, "out 2" },
        { { .size = sizeof(nde_implicit), .field = &ring, .inputs = 4 }, "inputs is 4" },
        { { .size = sizeof(nde_implicit), .field = &ring, .root = 2 }, "root is 2" },
        { { .size = sizeof(nde_implicit), .field = &ring, .iteration = 5 }, "iteration is 5" },
        { { .size = sizeof(nde_implicit), .field = &ring, .linear = -1 }, "linear is -1" },
        { { .size = sizeof(nde_implicit), .field = &ring, .root = 1, .iteration = NDE_ANDERSON }, "Anderson" },
        { { .size = sizeof(nde_implicit), .field = &ring, .rtol = NDE_ZERO, .atol = NDE_ZERO }, "rtol is -1" },
        { { .size = sizeof(nde_implicit), .field = &ring, .atol = (double)NAN }, "atol nan" },
        { { .size = sizeof(nde_implicit), .field = &ring, .max_iterations = -1 }, "max_iterations is -1" },
        { { .size = sizeof(nde_implicit), .field = &ring, .memory = -2 }, "memory is -2" },
        { { .size = sizeof(nde_implicit), .field = &ring, .mixing = 2 }, "mixing is 2" },
        { { .size = sizeof(nde_implicit), .field = &ring, .linear_rtol = 1 }, "linear_rtol is 1" },
        { { .size = sizeof(nde_implicit), .field = &cosine, .root = 1 }, "no jvp" },
        { { .size = sizeof(nde_implicit), .field = &cosine, .iteration = NDE_NEWTON }, "no jvp" },
    };
    nde_real y[3] = { 0 };
    const double t = 0;
    const nde_site at = { .n = 1, .ld = 1, .t = &t };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_null(nde_field_implicit(&cases[i].layer).eval);
        if (!strstr(nde_error(), cases[i].word)) fail_msg("case %zu: %s", i, nde_error());
        assert_true(nde_implicit_solve(&cases[i].layer, &at, y, y, NULL) < 0);
    }
    assert_null(nde_field_implicit(NULL).eval);
    const nde_implicit layer = NDE_INIT(nde_implicit, .field = &ring);
    assert_int_equal(nde_implicit_solve(&layer, &at, y, y, NULL), NDE_E_ARG); /* no u */
    const nde_implicit fine = NDE_INIT(nde_implicit, .field = &cosine);
    const nde_real q = 1;
    const nde_site one = { .n = 1, .ld = 1, .t = &t, .q = &q }, huge = { .n = 1, .ld = SIZE_MAX/64, .t = &t, .q = &q };
    assert_int_equal(nde_implicit_solve(&fine, &one, y, NULL, NULL), NDE_E_ARG);
    assert_int_equal(nde_implicit_solve(&fine, &huge, y, y, NULL), NDE_E_NOMEM);
    const nde_field f = nde_field_implicit(&fine);
    assert_int_equal(nde_field_jvp(&f, &one, y, &(nde_tangent){ .y = y }, y), NDE_E_NO_JVP);
    nde_field large = cosine;
    large.dim = large.out = SIZE_MAX/128;
    const nde_implicit too_large = NDE_INIT(nde_implicit, .field = &large);
    assert_null(nde_field_implicit(&too_large).eval);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(solutions_and_derivatives),
        cmocka_unit_test(lanes_are_by_themselves),
        cmocka_unit_test(cosine_is_its_own),
        cmocka_unit_test(constrained_least_squares),
        cmocka_unit_test(gradient_is_that_of_the_iteration),
        cmocka_unit_test(steady_state_of_an_equation),
        cmocka_unit_test(layer_as_a_drift),
        cmocka_unit_test(lanes_fail_alone),
        cmocka_unit_test(no_derivative_where_it_is_singular),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
