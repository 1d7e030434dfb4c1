/* SPDX-License-Identifier: MIT
 * jacobian.c - the Jacobian of a block of lanes is the same however it is had: given, by one direction a colour or a column, by
 * differences; with a quadrature, whose rows come behind; and so is the slope by time. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/jacobian.h"

enum { DIM = 9, LANES = 5, MOST = 16 };

/* dy_i = (1 + t) y_(i-1) - q y_i^2 + sin(y_(i+1)), a tridiagonal Jacobian; with traits of the test's choice. */
static nde_real before(const nde_site *at, const nde_real *y, size_t i, size_t b) { return i ? y[(i - 1)*at->ld + b] : 0; }
static nde_real after(const nde_site *at, const nde_real *y, size_t i, size_t b) {
    return i + 1 < DIM ? y[(i + 1)*at->ld + b] : 0;
}

static int eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self;
    for (size_t i = 0; i < DIM; i++)
        for (size_t b = 0; b < at->n; b++) {
            const nde_real x = y[i*at->ld + b];
            dy[i*at->ld + b] = (nde_real)(1 + at->t[b])*before(at, y, i, b) - at->q[b]*x*x +
                (nde_real)sin((double)after(at, y, i, b));
        }
    return 0;
}
static long directions;
static int jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    static const nde_real none[DIM*MOST];
    const nde_real *w = v->y ? v->y : none;
    (void)self;
    directions++;
    for (size_t i = 0; i < DIM; i++)
        for (size_t b = 0; b < at->n; b++)
            dv[i*at->ld + b] = (nde_real)(1 + at->t[b])*before(at, w, i, b) - 2*at->q[b]*y[i*at->ld + b]*w[i*at->ld + b] +
                               (nde_real)cos((double)after(at, y, i, b))*after(at, w, i, b) +
                               (v->t ? (nde_real)v->t[b]*before(at, y, i, b) : 0);
    return 0;
}
static int jacobian(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *j) {
    (void)self;
    memset(j, 0, DIM*DIM*at->ld*sizeof *j);
    for (size_t i = 0; i < DIM; i++)
        for (size_t b = 0; b < at->n; b++) {
            nde_real *row = j + i*DIM*at->ld + b;
            if (i) row[(i - 1)*at->ld] = (nde_real)(1 + at->t[b]);
            row[i*at->ld] = -2*at->q[b]*y[i*at->ld + b];
            if (i + 1 < DIM) row[(i + 1)*at->ld] = (nde_real)cos((double)after(at, y, i, b));
        }
    return 0;
}
static size_t start[DIM + 1], columns[3*DIM];

static nde_field field_of(bool sparse) {
    nde_field f = NDE_INIT(nde_field, .dim = DIM, .out = DIM, .nq = 1, .eval = eval, .jvp = jvp, .jacobian = jacobian);
    size_t e = 0;
    for (size_t i = 0; i < DIM; start[++i] = e)
        for (size_t c = i ? i - 1 : 0; c <= i + 1 && c < DIM; c++) columns[e++] = c;
    if (sparse) f.sparsity_start = start, f.sparsity_index = columns;
    return f;
}

/* l = t sum y_i^2, the quadrature. */
static int sum(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *l) {
    (void)self;
    memset(l, 0, at->n*sizeof *l);
    for (size_t i = 0; i < DIM; i++)
        for (size_t b = 0; b < at->n; b++) l[b] += (nde_real)at->t[b]*y[i*at->ld + b]*y[i*at->ld + b];
    return 0;
}
static int sum_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    (void)self;
    memset(dv, 0, at->n*sizeof *dv);
    for (size_t i = 0; i < DIM; i++)
        for (size_t b = 0; b < at->n; b++) {
            const nde_real x = y[i*at->ld + b];
            dv[b] += 2*(nde_real)at->t[b]*x*(v->y ? v->y[i*at->ld + b] : 0) + (v->t ? (nde_real)v->t[b]*x*x : 0);
        }
    return 0;
}

typedef struct bench {
    nde_rhs rhs;
    nde_part parts[NDE_MOST_TERMS];
    nde_term terms[NDE_MOST_TERMS];
    nde_scratch scratch;
    nde_jacobian jacobian;
    nde_linear linear;
    nde_lanes lanes;
    size_t ld, who[LANES];
    double t[MOST], dt[MOST];
    nde_real y[DIM*MOST], f[(DIM + 1)*MOST], q[MOST];
    unsigned char mark[LANES];
    void *block;
} bench_t;

static void lay(bench_t *x, nde_arena *arena) {
    nde_scratch_lay(&x->scratch, arena, &x->rhs, x->ld, true);
    nde_jacobian_lay(&x->jacobian, arena, &x->rhs);
    nde_linear_lay(&x->linear, arena, &x->rhs, &x->jacobian, x->ld);
}

/* Dense: entries where the test expects them. */
static nde_status choose(bench_t *x, int how) {
    return nde_jacobian_choose(&x->jacobian, &x->rhs, how, NDE_LINEAR_DENSE, &nde_allocator_default);
}

static void set_up(bench_t *x, const nde_problem *problem, int how) {
    *x = (bench_t){ .ld = nde_leading_dimension(LANES, sizeof(nde_real)) };
    assert_true(x->ld <= MOST);
    assert_int_equal(nde_rhs_make(&x->rhs, problem, x->parts, x->terms), NDE_OK);
    x->rhs.kernels = nde_kernels_get(NDE_ISA_AUTO, false);
    assert_int_equal(choose(x, how), NDE_OK);
    nde_arena arena = { 0 };
    lay(x, &arena);
    assert_int_equal(posix_memalign(&x->block, 64, arena.used), 0);
    memset(x->block, 0xff, arena.used);
    arena = (nde_arena){ .base = x->block };
    lay(x, &arena);
    nde_lanes_bind(&x->lanes, &x->rhs, &x->scratch);
    nde_site *at = &x->lanes.site;
    at->n = LANES, at->ld = x->ld, at->index = x->who, at->interval = x->who, at->q = x->q, at->lane = x->mark;
    for (size_t b = 0; b < LANES; b++) {
        x->t[b] = 0.5 + 0.25*(double)b, x->dt[b] = 0.125, x->q[b] = (nde_real)(1 + 0.5*(double)b);
        for (size_t i = 0; i < DIM; i++) x->y[i*x->ld + b] = (nde_real)nde_normal(1, 200, b, i, 0);
    }
    assert_int_equal(nde_rhs_eval(&x->rhs, &x->lanes, x->t, x->y, x->f, NULL, 0), 0);
    assert_int_equal(nde_jacobian_eval(&x->jacobian, &x->rhs, &x->lanes, &x->linear, x->t, x->y, x->f), 0);
}

static void is_near(const bench_t *x, const nde_real *a, const nde_real *b, size_t rows, double tolerance) {
    for (size_t i = 0; i < rows; i++)
        for (size_t l = 0; l < LANES; l++) {
            const double u = (double)a[i*x->ld + l], v = (double)b[i*x->ld + l];
            if (!(fabs(u - v) <= tolerance*(1 + fabs(v)))) fail_msg("row %zu of lane %zu: %.17g, not %.17g", i, l, u, v);
        }
}

static void every_way_gives_the_same(void **state) {
    (void)state;
    nde_real y0[DIM] = { 0 }, q[1] = { 1 };
    const nde_field dense = field_of(false), sparse = field_of(true);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &dense, .y0 = y0, .q = q, .t1 = 1);
    nde_problem thin = problem;
    thin.drift = &sparse;
    static bench_t given, x;
    set_up(&given, &problem, NDE_JACOBIAN_AUTO);
    assert_int_equal(given.jacobian.how, NDE_JACOBIAN_GIVEN);
    const double rough = 200*sqrt(NDE_TEST_EPS);
    for (int coloured = 0; coloured < 2; coloured++) {
        directions = 0;
        set_up(&x, coloured ? &thin : &problem, NDE_JACOBIAN_JVP);
        assert_int_equal(directions, coloured ? 3 : DIM);
        is_near(&x, x.linear.j, given.linear.j, DIM*DIM, 8*NDE_TEST_EPS);
        free(x.block);
        set_up(&x, coloured ? &thin : &problem, NDE_JACOBIAN_DIFFERENCES);
        is_near(&x, x.linear.j, given.linear.j, DIM*DIM, rough);
        free(x.block);
    }
    free(given.block);
}

/* Forty tridiagonal rows, in a random order of the columns, want few colours; and columns of a colour share no row. */
static void colours_share_no_row(void **state) {
    (void)state;
    enum { MANY = 40 };
    size_t from[MANY + 1] = { 0 }, index[3*MANY], order[MANY], e = 0;
    for (size_t i = 0; i < MANY; i++) order[i] = i*17 % MANY;
    for (size_t i = 0; i < MANY; from[++i] = e) {
        bool in[MANY] = { false };
        for (size_t c = i ? i - 1 : 0; c <= i + 1 && c < MANY; c++) in[order[c]] = true;
        for (size_t c = 0; c < MANY; c++) if (in[c]) index[e++] = c;
    }
    nde_field f = NDE_INIT(nde_field, .dim = MANY, .out = MANY, .eval = eval, .jvp = jvp, .sparsity_start = from,
                           .sparsity_index = index);
    nde_real y0[MANY] = { 0 };
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &f, .y0 = y0, .t1 = 1);
    static nde_rhs rhs;
    static nde_part parts[NDE_MOST_TERMS];
    static nde_term terms[NDE_MOST_TERMS];
    assert_int_equal(nde_rhs_make(&rhs, &problem, parts, terms), NDE_OK);
    nde_jacobian of = { 0 };
    assert_int_equal(nde_jacobian_choose(&of, &rhs, NDE_JACOBIAN_AUTO, NDE_LINEAR_DENSE, &nde_allocator_default), NDE_OK);
    _Alignas(64) unsigned char block[4096];
    nde_arena arena = { .base = block };
    nde_jacobian_lay(&of, &arena, &rhs);
    assert_true(arena.used <= sizeof block);
    assert_true(of.colours <= 5);
    for (size_t i = 0; i < MANY; i++)
        for (size_t a = from[i]; a < from[i + 1]; a++)
            for (size_t b = from[i]; b < a; b++) assert_int_not_equal(of.colour[index[a]], of.colour[index[b]]);
}

static void quadratures_come_behind(void **state) {
    (void)state;
    nde_real y0[DIM] = { 0 }, q[1] = { 1 };
    const nde_field drift = field_of(true), integrand = NDE_INIT(nde_field, .dim = DIM, .out = 1, .eval = sum, .jvp = sum_jvp);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &drift, .quadrature = &integrand, .y0 = y0, .q = q, .t1 = 1);
    static bench_t x;
    set_up(&x, &problem, NDE_JACOBIAN_AUTO);
    assert_int_equal(x.jacobian.how, NDE_JACOBIAN_JVP);
    nde_real *want = malloc(DIM*x.ld*sizeof *want), *product = malloc((DIM + 1)*x.ld*sizeof *product);
    for (size_t i = 0; i < DIM; i++)
        for (size_t b = 0; b < LANES; b++) want[i*x.ld + b] = 2*(nde_real)x.t[b]*x.y[i*x.ld + b];
    is_near(&x, x.linear.j + DIM*DIM*x.ld, want, DIM, 8*NDE_TEST_EPS);
    nde_jacobian_apply(&x.jacobian, &x.rhs, &x.lanes, x.linear.j, x.y, product);
    for (size_t b = 0; b < LANES; b++) {
        double sums = 0;
        for (size_t i = 0; i < DIM; i++) sums += (double)(want[i*x.ld + b]*x.y[i*x.ld + b]);
        assert_true(fabs((double)product[DIM*x.ld + b] - sums) < 32*NDE_TEST_EPS*fabs(sums));
    }
    free(want), free(product), free(x.block);
}

static void slopes_by_time(void **state) {
    (void)state;
    nde_real y0[DIM] = { 0 }, q[1] = { 1 };
    const nde_field field = field_of(false);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .q = q, .t1 = 1);
    static bench_t x;
    for (int differences = 0; differences < 2; differences++) {
        set_up(&x, &problem, differences ? NDE_JACOBIAN_DIFFERENCES : NDE_JACOBIAN_GIVEN);
        assert_int_equal(x.jacobian.timed, !differences);
        assert_int_equal(nde_jacobian_eval_time(&x.jacobian, &x.rhs, &x.lanes, &x.linear, x.t, x.dt, x.y, x.f), 0);
        nde_real want[DIM*MOST] = { 0 };
        for (size_t i = 1; i < DIM; i++) memcpy(want + i*x.ld, x.y + (i - 1)*x.ld, LANES*sizeof *want);
        is_near(&x, x.linear.f_t, want, DIM, differences ? 100*pow(NDE_TEST_EPS, 2.0/3) : 4*NDE_TEST_EPS);
        free(x.block);
    }
}

static void what_is_missing_is_named(void **state) {
    (void)state;
    nde_real y0[DIM] = { 0 }, q[1] = { 1 };
    nde_field field = field_of(false);
    field.jvp = NULL;
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .q = q, .t1 = 1);
    static bench_t x;
    set_up(&x, &problem, NDE_JACOBIAN_AUTO);
    assert_false(x.jacobian.timed);
    assert_int_equal(choose(&x, NDE_JACOBIAN_JVP), NDE_E_NO_JVP);
    assert_int_equal(choose(&x, 4), NDE_E_ARG);
    free(x.block);
    field.jacobian = NULL;
    assert_int_equal(nde_rhs_make(&x.rhs, &problem, x.parts, x.terms), NDE_OK);
    assert_int_equal(choose(&x, NDE_JACOBIAN_GIVEN), NDE_E_ARG);
    assert_int_equal(choose(&x, NDE_JACOBIAN_AUTO), NDE_E_NO_JVP);
    assert_int_equal(choose(&x, NDE_JACOBIAN_DIFFERENCES), NDE_OK);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_gives_the_same),
        cmocka_unit_test(colours_share_no_row),
        cmocka_unit_test(quadratures_come_behind),
        cmocka_unit_test(slopes_by_time),
        cmocka_unit_test(what_is_missing_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
