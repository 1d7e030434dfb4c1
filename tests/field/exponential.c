/* SPDX-License-Identifier: MIT
 * exponential.c - steps of exponential integrators: exact where the rest is zero, every derivative, orders and gradients of a
 * stiff reaction and diffusion, and what is refused. */
#include "field/rig.h"

static const bool is_double = sizeof(nde_real) == 8;
#define LENGTH(x) (sizeof(x)/sizeof *(x))

static int zero(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)y, (void)p;
    memset(dy, 0, *(const size_t *)ctx*sizeof *dy);
    return 0;
}
static int zero_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
                    void *ctx) {
    (void)t, (void)y, (void)p, (void)a, (void)ay, (void)ap, (void)at, (void)ctx;
    return 0;
}
static int zero_jvp(double t, const nde_real *y, const nde_real *p, double vt, const nde_real *vy, const nde_real *vp,
                    nde_real *dv, void *ctx) {
    (void)vt, (void)vy, (void)vp;
    return zero(t, y, p, dv, ctx);
}

enum { FEW = 4 };
static size_t few = FEW;
static const nde_pointwise nothing = { .size = sizeof nothing, .f = zero, .vjp = zero_vjp, .jvp = zero_jvp, .ctx = &few };

/* ---- y' = L y ---- */

/* H diag(rates) H with H = 1 - 2 v v', |v| = 1: its own inverse. */
static const double v[FEW] = { 0.1, 0.3, 0.5, 0.80622577482985502 };
static void rotate(const double *rates, double *matrix) {
    for (size_t i = 0; i < FEW; i++)
        for (size_t j = 0; j < FEW; j++) {
            double sum = 0;
            for (size_t k = 0; k < FEW; k++)
                sum += ((i == k) - 2*v[i]*v[k])*rates[k]*((k == j) - 2*v[k]*v[j]);
            matrix[i*FEW + j] = sum;
        }
}

/* x -> L x for a matrix in ctx [dim*dim], of *rows rows. */
typedef struct products {
    size_t rows;
    const double *matrix;
} products;
static int multiply(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    const products *of = ctx;
    (void)t, (void)p;
    for (size_t i = 0; i < of->rows; i++) {
        double sum = 0;
        for (size_t j = 0; j < of->rows; j++) sum += of->matrix[i*of->rows + j]*(double)y[j];
        dy[i] = (nde_real)sum;
    }
    return 0;
}
static int multiply_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
                        void *ctx) {
    const products *of = ctx;
    (void)t, (void)y, (void)p, (void)ap, (void)at;
    for (size_t j = 0; j < of->rows; j++) {
        double sum = 0;
        for (size_t i = 0; i < of->rows; i++) sum += of->matrix[i*of->rows + j]*(double)a[i];
        ay[j] += (nde_real)sum;
    }
    return 0;
}
static nde_pointwise by_products(products *of) {
    return NDE_INIT(nde_pointwise, .f = multiply, .vjp = multiply_vjp, .ctx = of);
}

static void linear_steps_are_exact(void **state) {
    (void)state;
    static const double sets[][FEW] = { { 0, -1e-9, -0.3, 2 }, { -1, -5, -40, -1000 }, { 1e-3, -1e-3, 3, -1e6 }, { 0 } };
    const nde_field rest = nde_field_pointwise(&nothing, FEW, 0);
    const nde_real y[FEW] = { 1, -2, (nde_real)0.5, 3 }, tau = (nde_real)0.75;
    const double t = 0;
    const nde_site at = { .n = 1, .ld = 1, .t = &t, .u = &tau };
    for (int32_t scheme = NDE_ETDRK2; scheme <= NDE_LAWSON4; scheme++)
        for (size_t k = 0; k < LENGTH(sets); k++)
            for (int expected = 0; expected < 2; expected++) {
                double matrix[FEW*FEW], flow[FEW], turned[FEW*FEW];
                for (size_t i = 0; i < FEW; i++) flow[i] = exp(sets[k][i]*(double)tau);
                rotate(sets[k], matrix), rotate(flow, turned);
                nde_exponential one = NDE_INIT(nde_exponential, .rest = &rest, .diagonal = sets[k], .scheme = scheme);
                nde_exponential all = NDE_INIT(nde_exponential, .rest = &rest, .matrix = matrix, .scheme = scheme);
                one.h = all.h = expected ? 0.75 : 0;
                products of = { FEW, matrix };
                const nde_pointwise point = by_products(&of);
                const nde_field linear = nde_field_pointwise(&point, FEW, 0);
                const nde_exponential known = NDE_INIT(nde_exponential, .rest = &rest, .linear = &linear, .scheme = scheme);
                const nde_field f = nde_field_exponential(&one),
                    forms[] = { nde_field_exponential(&all), nde_field_exponential(&known) };
                nde_real mean[FEW];
                assert_int_equal(nde_field_value(&f, &at, y, mean), NDE_OK);
                for (size_t i = 0; i < FEW; i++) {
                    const double end = (double)(y[i] + tau*mean[i]), size = fabs((double)y[i])*(1 + flow[i]);
                    assert_true(fabs(end - flow[i]*(double)y[i]) <= 4*NDE_TEST_EPS*size);
                    if (sets[k][i] == -1e-9 && is_double)
                        assert_true(fabs((double)mean[i]/(sets[k][i]*(double)y[i]) - 1) < 1e-9);
                }
                for (size_t form = 0; form < LENGTH(forms); form++) {
                    assert_int_equal(nde_field_value(&forms[form], &at, y, mean), NDE_OK);
                    for (size_t i = 0; i < FEW; i++) {
                        double end = 0, size = 0;
                        for (size_t j = 0; j < FEW; j++) end += turned[i*FEW + j]*(double)y[j], size += 4*(1 + fabs(flow[j]));
                        /* the matrix itself is rounded, by what it is large */
                        const double most = NDE_TEST_EPS*(200 + 10*fabs(sets[k][3]))*size;
                        assert_true(fabs((double)(y[i] + tau*mean[i]) - end) <= most);
                    }
                }
            }
}

/* ---- derivatives ---- */

static void derivatives_are_right(void **state) {
    (void)state;
    static const size_t width[] = { FEW + 1 + 1, 6, FEW }, n[][3] = { { 1, 1, 1 }, { 3, 4, 3 }, { 11, 16, 11 } };
    static const double rates[FEW] = { -3, 0, 0.5, -0.2 };
    const nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 2, .width = width, .inputs_q = 1, .time_input = 1);
    const nde_field rest = nde_field_mlp(&mlp);
    double matrix[FEW*FEW];
    rotate(rates, matrix);
    matrix[1] += 0.7; /* not symmetric */
    products of = { FEW, matrix };
    const nde_pointwise point = by_products(&of);
    const nde_field linear = nde_field_pointwise(&point, FEW, 0);
    for (int32_t scheme = 0; scheme <= NDE_LAWSON4; scheme++)
        for (int form = 0; form < 3; form++)
            for (size_t i = 0; i < LENGTH(n); i++) {
                nde_exponential e = NDE_INIT(nde_exponential, .rest = &rest, .scheme = scheme,
                                             .diagonal = form == 0 ? rates : NULL, .matrix = form == 1 ? matrix : NULL,
                                             .linear = form == 2 ? &linear : NULL);
                e.h = (double)(nde_real)rig_number(RIG_U, 0, 5); /* that of lane 0 */
                const nde_field f = nde_field_exponential(&e);
                if (!f.eval) fail_msg("%s", nde_error());
                rig r = rig_make(&f, n[i][0], n[i][1], n[i][2], NULL, 5);
                double worst;
                assert_int_equal(nde_field_check(&f, &r.at, r.y, &worst, NULL, 0), NDE_OK);
                assert_true(worst < (is_double ? 1e-8 : 1e-2));
                rig_check_identity(&r);
                rig_check_guards(&r, r.dy, f.out, r.at.ld), rig_check_guards(&r, r.to.y, f.dim, r.at.ld);
                rig_free(&r);
            }
}

/* ---- u_t = D u_xx + p u - u^3 on a circle of 16 points: h |L| is 5.2 at 20 steps ---- */

enum { POINTS = 16 };
static size_t points = POINTS;
static int react(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    for (size_t i = 0; i < POINTS; i++) dy[i] = p[0]*y[i] - y[i]*y[i]*y[i];
    return 0;
}
static int react_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
                     void *ctx) {
    (void)t, (void)at, (void)ctx;
    for (size_t i = 0; i < POINTS; i++) ay[i] += (p[0] - 3*y[i]*y[i])*a[i];
    for (size_t i = 0; i < POINTS && ap; i++) ap[0] += (double)(y[i]*a[i]);
    return 0;
}
static int react_jvp(double t, const nde_real *y, const nde_real *p, double vt, const nde_real *vy, const nde_real *vp,
                     nde_real *dv, void *ctx) {
    (void)t, (void)vt, (void)ctx;
    for (size_t i = 0; i < POINTS; i++) dv[i] = (vy ? (p[0] - 3*y[i]*y[i])*vy[i] : 0) + (vp ? vp[0]*y[i] : 0);
    return 0;
}
static const nde_pointwise reaction = { .size = sizeof reaction, .f = react, .vjp = react_vjp, .jvp = react_jvp };
static const nde_pointwise still = { .size = sizeof still, .f = zero, .vjp = zero_vjp, .jvp = zero_jvp, .ctx = &points };

typedef struct rod {
    nde_field rest, zero, linear, field;
    nde_pointwise point;
    products products;
    nde_exponential e;
    nde_splitting splitting;
    nde_problem problem;
    double matrix[POINTS*POINTS];
    nde_real y0[2*POINTS], p[1];
} rod;

/* expected: steps of that length are, of the matrix; else it is known by its products. */
static void make(rod *r, int32_t scheme, int64_t steps, bool expected) {
    memset(r, 0, sizeof *r);
    const double pi = 3.14159265358979323846, dx = 2*pi/POINTS, spread = 4;
    for (size_t i = 0; i < POINTS; i++) {
        r->matrix[i*POINTS + i] = -2*spread/(dx*dx);
        r->matrix[i*POINTS + (i + 1)%POINTS] = r->matrix[i*POINTS + (i + POINTS - 1)%POINTS] = spread/(dx*dx);
        const double x = (double)i*dx;
        for (size_t b = 0; b < 2; b++) r->y0[2*i + b] = (nde_real)(0.4 + 0.3*sin(x + (double)b) + 0.2*cos(2*x));
    }
    r->p[0] = 2;
    r->rest = nde_field_pointwise(&reaction, POINTS, 1), r->zero = nde_field_pointwise(&still, POINTS, 0);
    r->products = (products){ POINTS, r->matrix }, r->point = by_products(&r->products);
    r->linear = nde_field_pointwise(&r->point, POINTS, 0);
    r->e = NDE_INIT(nde_exponential, .rest = &r->rest, .scheme = scheme);
    if (expected) r->e.matrix = r->matrix, r->e.h = 1.0/(double)steps;
    else r->e.linear = &r->linear;
    r->field = nde_field_exponential(&r->e);
    if (!r->field.eval) fail_msg("%s", nde_error());
    r->splitting = NDE_INIT(nde_splitting, .second = &r->zero);
    r->problem = NDE_INIT(nde_problem, .n = 2, .y0 = r->y0, .p = r->p, .drift = &r->field, .splitting = &r->splitting, .t1 = 1);
}

static void end_of(int32_t scheme, int64_t steps, nde_real *y) {
    rod r;
    make(&r, scheme, steps, true);
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_LIE, .steps = steps);
    if (nde_solve(&r.problem, &options, &s)) fail_msg("%s", s.error ? s.error : nde_error());
    memcpy(y, s.y_end, 2*POINTS*sizeof *y);
    nde_solution_free(&s);
}

/* The problem as one field, for rk4, which cannot take such steps. */
static int whole(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    const double *matrix = ctx;
    (void)react(t, y, p, dy, NULL);
    for (size_t i = 0; i < POINTS; i++)
        for (size_t j = 0; j < POINTS; j++) dy[i] += (nde_real)matrix[i*POINTS + j]*y[j];
    return 0;
}
static void explicit_steps_blow_up(void **state) {
    (void)state;
    rod r;
    make(&r, 0, 20, true);
    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = whole, .ctx = r.matrix);
    const nde_field all = nde_field_pointwise(&one, POINTS, 1);
    r.problem.drift = &all, r.problem.splitting = NULL;
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_RK4, .steps = 20);
    assert_true(nde_solve(&r.problem, &options, &s) == NDE_E_LANES || fabs((double)s.y_end[0]) > 100);
    nde_solution_free(&s);
}

static void orders_hold_where_it_is_stiff(void **state) {
    (void)state;
    static const int order[] = { [NDE_ETDRK2] = 2, [NDE_ETDRK3] = 3, [NDE_ETDRK4] = 4, [NDE_KROGSTAD4] = 4, [NDE_LAWSON4] = 4 };
    static nde_real exact[2*POINTS], y[2][2*POINTS];
    end_of(NDE_KROGSTAD4, is_double ? 1280 : 160, exact);
    for (int32_t scheme = NDE_ETDRK2; scheme <= NDE_LAWSON4; scheme++) {
        double error[2] = { 0 };
        for (int fine = 0; fine < 2; fine++) {
            end_of(scheme, fine ? 40 : 20, y[fine]);
            for (size_t i = 0; i < 2*POINTS; i++) error[fine] = fmax(error[fine], fabs((double)(y[fine][i] - exact[i])));
        }
        const double slope = log2(error[0]/error[1]);
        if (is_double && !(fabs(slope - order[scheme]) < 0.15))
            fail_msg("scheme %d: order %g, errors %g, %g", (int)scheme, slope, error[0], error[1]);
        assert_true(error[0] < (is_double ? 2e-3 : 5e-3));
    }
}

static void gradients_are_exact(void **state) {
    (void)state;
    static nde_real seed_y[2*POINTS];
    for (size_t i = 0; i < 2*POINTS; i++) seed_y[i] = (nde_real)rig_number(RIG_A, i, 0);
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = seed_y);
    for (int32_t scheme = NDE_ETDRK2; scheme <= NDE_LAWSON4; scheme++)
        for (int way = 0; way < 4; way++) {
            const bool back = way % 2;
            rod r;
            make(&r, scheme, 8, way < 2);
            if (back) for (size_t i = 0; i < POINTS*POINTS; i++) r.matrix[i] *= -1;
            if (back) r.problem.t0 = 1, r.problem.t1 = 0, r.e.h *= -1;
            const nde_options options = NDE_INIT(nde_options, .method = NDE_LIE, .steps = 8, .adjoint = NDE_ADJOINT_DISCRETE,
                                                 .budget = 1 << 20);
            nde_gradient_report report = NDE_INIT(nde_gradient_report, .h = 0);
            const nde_status status = nde_gradient_check(&r.problem, &options, &seed, 5, &report);
            if (status) fail_msg("%s", nde_error());
            if (!(report.forward_error <= (is_double ? 1e-11 : 1e-4) && report.difference_error <= (is_double ? 1e-8 : 1e-2)))
                fail_msg("scheme %d, way %d: forward %g, differences %g", (int)scheme, way, report.forward_error,
                         report.difference_error);
        }
}

/* As with the matrix, and a trajectory has the same bits with others and without. */
static void products_do_for_a_matrix(void **state) {
    (void)state;
    for (int32_t scheme = NDE_ETDRK2; scheme <= NDE_LAWSON4; scheme++) {
        rod r, by;
        nde_solution s = NDE_INIT(nde_solution, .n = 0), all = s, alone = s;
        const nde_options options = NDE_INIT(nde_options, .method = NDE_LIE, .steps = 8);
        make(&r, scheme, 8, true), make(&by, scheme, 8, false);
        assert_int_equal(nde_solve(&r.problem, &options, &s), NDE_OK);
        assert_int_equal(nde_solve(&by.problem, &options, &all), NDE_OK);
        for (size_t i = 0; i < 2*POINTS; i++)
            assert_true(fabs((double)(s.y_end[i] - all.y_end[i])) < (is_double ? 1e-12 : 2e-5));
        nde_real y0[POINTS];
        for (size_t i = 0; i < POINTS; i++) y0[i] = by.y0[2*i + 1];
        by.problem.n = 1, by.problem.y0 = y0;
        assert_int_equal(nde_solve(&by.problem, &options, &alone), NDE_OK);
        for (size_t i = 0; i < POINTS; i++) assert_true(alone.y_end[i] == all.y_end[2*i + 1]);
        nde_solution_free(&s), nde_solution_free(&all), nde_solution_free(&alone);
    }
}

static void too_few_products_end_a_trajectory(void **state) {
    (void)state;
    rod r;
    make(&r, 0, 2, false);
    r.e.krylov = 8;
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    nde_options options = NDE_INIT(nde_options, .method = NDE_LIE, .steps = 2);
    assert_int_equal(nde_solve(&r.problem, &options, &s), NDE_E_LANES);
    assert_int_equal(s.status[0], NDE_E_FIELD);
    nde_solution_free(&s);
    options.steps = 400; /* for which eight are enough */
    assert_int_equal(nde_solve(&r.problem, &options, &s), NDE_OK);
    nde_solution_free(&s);
}

static int failing(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)y, (void)p, (void)dy, (void)ctx;
    return -1;
}
static void failing_products_end_the_run(void **state) {
    (void)state;
    rod r;
    make(&r, 0, 2, false);
    r.point.f = failing;
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    const nde_options options = NDE_INIT(nde_options, .method = NDE_LIE, .steps = 2);
    assert_int_equal(nde_solve(&r.problem, &options, &s), NDE_E_LANES);
    assert_int_equal(s.stats[0].callback, -1);
    nde_solution_free(&s);
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    static const double rates[FEW] = { 0 }, wrong[FEW] = { 0, (double)INFINITY, 0, 0 };
    const nde_field rest = nde_field_pointwise(&nothing, FEW, 0);
    nde_field driven = rest;
    driven.nu = 1;
    const nde_field other = nde_field_pointwise(&nothing, FEW + 1, 0), with_p = nde_field_pointwise(&nothing, FEW, 2);
    const struct { nde_exponential e; const char *word; } cases[] = {
        { { .size = sizeof(nde_exponential), .diagonal = rates }, "rest is NULL" },
        { { .size = 8, .rest = &rest, .diagonal = rates }, "size" },
        { { .size = sizeof(nde_exponential), .rest = &driven, .diagonal = rates }, "nu 1" },
        { { .size = sizeof(nde_exponential), .rest = &rest }, "none of" },
        { { .size = sizeof(nde_exponential), .rest = &rest, .diagonal = rates, .matrix = rates }, "several of" },
        { { .size = sizeof(nde_exponential), .rest = &rest, .diagonal = rates, .linear = &rest }, "several of" },
        { { .size = sizeof(nde_exponential), .rest = &rest, .linear = &other }, "dim 5" },
        { { .size = sizeof(nde_exponential), .rest = &rest, .linear = &with_p }, "np 2" },
        { { .size = sizeof(nde_exponential), .rest = &rest, .linear = &rest, .krylov = 1001 }, "krylov is 1001" },
        { { .size = sizeof(nde_exponential), .rest = &rest, .linear = &rest, .tolerance = -1 }, "tolerance is -1" },
        { { .size = sizeof(nde_exponential), .rest = &rest, .diagonal = rates, .scheme = 6 }, "scheme is 6" },
        { { .size = sizeof(nde_exponential), .rest = &rest, .diagonal = rates, .h = (double)NAN }, "h is nan" },
        { { .size = sizeof(nde_exponential), .rest = &rest, .diagonal = wrong }, "entry 1 of L is inf" },
    };
    for (size_t i = 0; i < LENGTH(cases); i++) {
        assert_null(nde_field_exponential(&cases[i].e).eval);
        if (!strstr(nde_error(), cases[i].word)) fail_msg("case %zu: %s", i, nde_error());
    }
    assert_null(nde_field_exponential(NULL).eval);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_steps_are_exact),
        cmocka_unit_test(derivatives_are_right),
        cmocka_unit_test(orders_hold_where_it_is_stiff),
        cmocka_unit_test(explicit_steps_blow_up),
        cmocka_unit_test(gradients_are_exact),
        cmocka_unit_test(products_do_for_a_matrix),
        cmocka_unit_test(too_few_products_end_a_trajectory),
        cmocka_unit_test(failing_products_end_the_run),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
