/* SPDX-License-Identifier: MIT
 * imex.c - additive methods of two fields: order conditions of their tables by trees of two colours, observed orders, a stiff
 * second field, gradients, and what is refused. Source of the conditions: C. A. Kennedy, M. H. Carpenter, Appl. Numer. Math.
 * 44 (2003) 139-181, 2. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/loss.h"
#include "method/trees.h"
#include "method/method.h"

#define IS_DOUBLE (sizeof(nde_real) == sizeof(double))
#define EACH_METHOD(m)                                                     \
    for (size_t m##_ = 0; m##_ < nde_method_count(); m##_++)                \
        for (const nde_method *m = nde_method_at(m##_); m && m->kind == NDE_KIND_IMEX; m = NULL)

/* ---- order conditions ------------------------------------------------------------------------ */

enum { MOST = 16, MOST_ORDER = 5 };

/* Row i of the table that the body runs. */
static double weight(const nde_method *m, int i, int j) {
    return j < i ? m->a[i*(i - 1)/2 + j] : j == i && i > 1 && i % 2 == 0 ? m->gamma : 0;
}

/* Colours are bits, of the root first, taken from *colours as nodes come. phi [slopes]: of a root that stands at each slope. */
static int weigh(const nde_method *m, const tree *t, unsigned *colours, double *phi) {
    const int colour = *colours & 1;
    *colours >>= 1;
    for (int i = 0; i < m->stages; i++) phi[i] = 1;
    for (int k = 0; k < t->children; k++) {
        double sub[MOST];
        const int of = weigh(m, &trees[t->child[k]], colours, sub);
        for (int i = 0; i < m->stages; i++) {
            double sum = 0;
            for (int j = 0; j < m->stages; j++) sum += (j % 2 == 0) == of ? weight(m, i, j)*sub[j] : 0;
            phi[i] *= sum;
        }
    }
    return colour;
}

/* Up to which order weights b meet theta^nodes/gamma, whatever the colours. */
static int order_of(const nde_method *m, const double *b, double theta) {
    for (int n = 0; n < tree_count; n++)
        for (unsigned mask = 0; mask < 1u << trees[n].nodes; mask++) {
            double phi[MOST], sum = -pow(theta, trees[n].nodes)/trees[n].gamma, terms = 1;
            unsigned colours = mask;
            const int of = weigh(m, &trees[n], &colours, phi);
            for (int i = 0; i < m->stages; i++) {
                const double term = (i % 2 == 0) == of ? b[i]*phi[i] : 0;
                sum += term, terms += fabs(term);
            }
            if (fabs(sum) > 1e-13*terms) return trees[n].nodes - 1;
        }
    return MOST_ORDER;
}

static void tables_meet_their_conditions(void **state) {
    (void)state;
    trees_grow(MOST_ORDER);
    EACH_METHOD(given) {
        nde_method m;
        double *space = malloc(nde_imex_space(given)*sizeof *space), other[MOST];
        assert_non_null(space);
        nde_imex_write(given, &m, space);
        assert_true(m.stages <= MOST);
        if (order_of(&m, m.b, 1) != m.order) fail_msg("%s: order %d", m.name, order_of(&m, m.b, 1));
        for (int i = 0; m.e && i < m.stages; i++) other[i] = m.b[i] - m.e[i];
        if (m.e && order_of(&m, other, 1) != m.error_order) fail_msg("%s: embedded order %d", m.name, order_of(&m, other, 1));
        assert_true(!m.e == !m.error_order);
        for (int i = 0; i < m.stages; i++)
            for (int part = 0; part <= 1; part++) {
                double node = 0;
                for (int j = 0; j <= i; j++) node += (j % 2 == 0) == part ? weight(&m, i, j) : 0;
                const bool unused = given->a2[0] == 0 && i < 2; /* the first implicit slope of ARS */
                if (!(fabs(node - m.c[i]) < 1e-14) && !unused) fail_msg("%s: node %d of part %d", m.name, i, part);
            }
        int least = MOST_ORDER;
        for (double theta = 0.125; theta <= 1; theta += 0.125) {
            for (int i = 0; i < m.stages; i++) {
                other[i] = 0;
                for (int j = 0; j < m.dense_terms; j++) other[i] += m.dense[i*m.dense_terms + j]*pow(theta, j + 1);
                if (theta == 1) assert_true(fabs(other[i] - m.b[i]) < 1e-13*(1 + fabs(m.b[i])));
            }
            const int order = order_of(&m, other, theta);
            if (order < least) least = order;
        }
        if (least != m.dense_order) fail_msg("%s: order %d of the extension", m.name, least);
        free(space);
    }
}

/* ---- solving --------------------------------------------------------------------------------- */

typedef struct run {
    nde_program *program[2];
    nde_field field[2];
    nde_splitting splitting;
    nde_real y0[2], p[2];
    nde_problem problem;
} run_t;

static void begin(run_t *r, const char *drift, const char *second, const double *y0, const double *p, double t1) {
    const char *const text[] = { drift, second };
    for (int k = 0; k < 2; k++) {
        if (nde_program_parse(text[k], NULL, &r->program[k])) fail_msg("%s", nde_error());
        r->field[k] = nde_field_program(r->program[k]);
    }
    for (size_t i = 0; i < 2; i++) r->y0[i] = (nde_real)y0[i], r->p[i] = (nde_real)p[i];
    r->splitting = NDE_INIT(nde_splitting, .second = &r->field[1]);
    r->problem = NDE_INIT(nde_problem, .drift = &r->field[0], .splitting = &r->splitting, .y0 = r->y0, .p = r->p, .t1 = t1);
}
static void end(run_t *r) { nde_program_destroy(r->program[0]), nde_program_destroy(r->program[1]); }

/* The distance from `exact` at the end. */
static double error_of(run_t *r, const nde_method *m, nde_options options, const double *exact) {
    nde_solution s = { 0 };
    double error = 0;
    options.size = sizeof options, options.method = nde_method_id(m);
    if (nde_solve(&r->problem, &options, &s)) fail_msg("%s: %s", m->name, nde_error());
    for (size_t i = 0; i < r->field[0].dim; i++) error = fmax(error, fabs((double)s.y_end[i] - exact[i]));
    nde_solution_free(&s);
    return error;
}

/* x = exp(sin(t^2)), v = cos t, in two parts of which neither solves it. */
static void orders_are_as_claimed(void **state) {
    (void)state;
    if (!IS_DOUBLE) return;
    run_t r;
    const double exact[] = { exp(sin(2.25)), cos(1.5) };
    begin(&r, "state x, v; dx = t*x*cos(t*t) + x*v*v; dv = -sin(t) + v*log(x)",
          "state x, v; dx = x*(t*cos(t*t) - cos(t)^2); dv = -sin(t*t)*v", (double[]){ 1, 1 }, (double[]){ 0, 0 }, 1.5);
    EACH_METHOD(m) {
        const int64_t steps = m->order < 4 ? 400 : 100;
        const double coarse = error_of(&r, m, (nde_options){ .steps = steps }, exact);
        const double order = log2(coarse/error_of(&r, m, (nde_options){ .steps = 2*steps }, exact));
        print_message("%s: order %.2f, error %.1e\n", m->name, order, coarse);
        assert_true(order > m->order - 0.2 && order < m->order + 0.3);
    }
    end(&r);
}

/* y' = cos t + lambda (y - sin t) with lambda = -1e6 (float: -1e3, for its rounding) in the second field; and a drift that
 * goes along with it. The order that is left is reported. */
static void what_is_stiff_belongs_to_the_second_field(void **state) {
    (void)state;
    run_t r;
    const double exact[] = { sin(2), cos(2) };
    begin(&r, "state y, v; dy = v; dv = -sin(t)", "state y, v; param l; dy = l*(y - sin(t)); dv = l*(v - cos(t))",
          (double[]){ 0, 1 }, (double[]){ IS_DOUBLE ? -1e6 : -1e3, 0 }, 2);
    EACH_METHOD(m) {
        const double fixed = error_of(&r, m, (nde_options){ .steps = 40 }, exact);
        const double order = log2(fixed/error_of(&r, m, (nde_options){ .steps = 80 }, exact));
        print_message("%s: order %.2f, error %.1e\n", m->name, order, fixed);
        assert_true(fixed < 2e-3);
        const double rtol = IS_DOUBLE ? 1e-6 : 1e-4;
        if (!m->error_order) continue;
        const double error = error_of(&r, m, (nde_options){ .rtol = rtol, .atol = rtol }, exact);
        if (!(error < 50*rtol)) fail_msg("%s: error %g", m->name, error);
    }
    end(&r);
}

/* ---- gradients ------------------------------------------------------------------------------- */

static void check(const char *what, const nde_method *m, const nde_problem *problem, nde_options options) {
    nde_gradient_report report = { .size = sizeof report };
    options.size = sizeof options, options.method = nde_method_id(m), options.adjoint = NDE_ADJOINT_DISCRETE;
    options.budget = (size_t)16 << 20, options.newton_tolerance = NDE_ZERO;
    const nde_status status = nde_gradient_check(problem, &options, NULL, 5, &report);
    if (status) fail_msg("%s, %s: %s", what, m->name, nde_error());
    const double forward = IS_DOUBLE ? 1e-12 : 2e-4, difference = IS_DOUBLE ? 1e-8 : 2e-2;
    if (!(report.forward_error < forward) || !(report.difference_error < difference))
        fail_msg("%s, %s: %g of forward mode, %g of differences", what, m->name, report.forward_error, report.difference_error);
}

static void gradients_are_those_of_the_steps(void **state) {
    (void)state;
    enum { N = 70 };
    run_t r;
    static nde_real y0[2*N], q[N];
    for (size_t b = 0; b < N; b++) {
        y0[b] = (nde_real)(1.5 + 0.2*nde_normal(1, 200, b, 0, 0));
        y0[N + b] = (nde_real)(2.5 + 0.2*nde_normal(1, 200, b, 1, 0));
        q[b] = (nde_real)(0.5 + 0.5*nde_uniform(1, 200, b, 2, 0));
    }
    begin(&r, "state x, v; param a, b; own q; dx = a + q*sin(3*t); dv = b*x",
          "state x, v; param a, b; dx = x*x*v - (b + 1)*x; dv = -x*x*v*(1 + 0.1*sin(t))",
          (double[]){ 1.5, 2.5 }, (double[]){ 1, 3 }, 1);
    const double save[] = { 0.3, 0.7, 1 };
    size_t rows = 2;
    const nde_loss loss = NDE_INIT(nde_loss, .at = half_squares, .ctx = &rows);
    const double rtol = IS_DOUBLE ? 1e-6 : 1e-4;
    r.problem.q = q, r.problem.loss = &loss;
    EACH_METHOD(m) {
        nde_problem problem = r.problem;
        nde_options options = { .rtol = rtol, .atol = rtol, .save_t = save, .n_save = 3, .steps = m->error_order ? 0 : 20 };
        check("one trajectory", m, &problem, options);
        options.record = NDE_RECORD_STATES;
        check("states alone", m, &problem, options);
        options.jacobian = NDE_JACOBIAN_DIFFERENCES;
        check("a Jacobian by differences", m, &problem, options);
        options.jacobian = 0, options.record = 0;
        problem.y0 = y0, problem.n = N;
        check("an ensemble", m, &problem, options);
    }
    end(&r);
}

/* ---- events ---------------------------------------------------------------------------------- */

/* When x, from 1 at rest, of x'' = -a x' - b x has come down to 1/2, with a > 2 sqrt b. */
static double half_time(double a, double b) {
    const double root = sqrt(a*a - 4*b), slow = (root - a)/2, fast = (-root - a)/2;
    double low = 0, high = 10;
    for (int k = 0; k < 200; k++) {
        const double t = (low + high)/2;
        *((fast*exp(slow*t) - slow*exp(fast*t))/(fast - slow) > 0.5 ? &low : &high) = t;
    }
    return low;
}

/* The derivative of that time by the parameters, into slope [2]; returns the time. */
static double stop(run_t *r, const nde_method *m, int64_t steps, double rtol, nde_real *slope) {
    nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .steps = steps, .rtol = rtol, .atol = rtol,
                                   .adjoint = NDE_ADJOINT_DISCRETE, .budget = (size_t)16 << 20, .newton_tolerance = NDE_ZERO);
    nde_solver *solver;
    nde_solution s = { .size = sizeof s };
    if (nde_solver_create(&r->problem, &options, &solver)) fail_msg("%s: %s", m->name, nde_error());
    assert_int_equal(nde_solver_run(solver, &s), NDE_EVENT);
    const double t = s.t_end[0], one = 1;
    const nde_seed seed = NDE_INIT(nde_seed, .t_end = &one);
    const nde_gradient g = NDE_INIT(nde_gradient, .p = slope);
    if (slope) assert_int_equal(nde_backward(solver, &seed, &g), NDE_OK);
    nde_solver_destroy(solver);
    return t;
}

static void events_are_found_and_have_gradients(void **state) {
    (void)state;
    if (!IS_DOUBLE) return;
    run_t r;
    begin(&r, "state x, v; param a, b; dx = v; dv = -b*x", "state x, v; param a, b; dx = 0*x; dv = -a*v", (double[]){ 1, 0 },
          (double[]){ 20, 30 }, 10);
    nde_program *half;
    assert_int_equal(nde_program_parse("state x, v; param a, b; out = [x - 0.5]", NULL, &half), NDE_OK);
    const nde_field g = nde_field_program(half);
    const nde_event event = NDE_INIT(nde_event, .g = &g, .terminal = 1);
    r.problem.events = &event, r.problem.n_events = 1;
    const double exact = half_time(20, 30), d = 1e-3;
    EACH_METHOD(m) {
        nde_real slope[2];
        double moved[2];
        if (m->error_order) {
            const double t = stop(&r, m, 0, 1e-6, slope);
            assert_true(fabs(t - exact) < 1e-4);
            assert_true(fabs((double)slope[0] - (half_time(20 + d, 30) - half_time(20 - d, 30))/(2*d)) < 1e-4);
        }
        stop(&r, m, 400, 0, slope);
        for (int k = 0; k < 2; k++) {
            for (int sign = 0; sign < 2; sign++) {
                const nde_real by = (nde_real)(sign ? -d : d);
                r.p[k] += by, moved[sign] = stop(&r, m, 400, 0, NULL), r.p[k] -= by;
            }
            const double by_differences = (moved[0] - moved[1])/(2*d);
            if (!(fabs((double)slope[k] - by_differences) < 1e-6*fabs(by_differences)))
                fail_msg("%s: %g, by differences %g", m->name, (double)slope[k], by_differences);
        }
    }
    nde_program_destroy(half);
    end(&r);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void what_has_no_meaning_is_refused(void **state) {
    (void)state;
    run_t r;
    begin(&r, "state x, v; dx = v; dv = 0*v", "state x, v; dx = 0*x; dv = -x", (double[]){ 1, 0 }, (double[]){ 0, 0 }, 1);
    static const struct { nde_options options; int by; bool alone; const char *word; } way[] = {
        { { .method = NDE_KENCARP4 }, 0, true, "splitting" }, { { .method = NDE_KENCARP4 }, NDE_RK4, false, "second_by" },
        { { .method = NDE_ARS222 }, 0, false, "fixed steps" }, { { .method = NDE_KVAERNO3 }, 0, false, "splitting" },
        { { .method = NDE_KENCARP3, .compensated = 1 }, 0, false, "compensated" },
        { { .method = NDE_KENCARP3, .adjoint = NDE_ADJOINT_DISCRETE, .curvature = 1 }, 0, false, "curvature" },
        { { .method = NDE_KENCARP3, .error = NDE_ERROR_DOUBLING }, 0, false, "error" },
        { { .method = NDE_KENCARP3, .coupling = 0.9 }, 0, false, "coupling" },
    };
    for (size_t k = 0; k < sizeof way/sizeof *way; k++) {
        nde_solver *solver = NULL;
        nde_problem problem = r.problem;
        nde_options o = way[k].options;
        o.size = sizeof o, r.splitting.second_by = way[k].by;
        if (way[k].alone) problem.splitting = NULL;
        if (nde_solver_create(&problem, &o, &solver) != NDE_E_ARG) fail_msg("%d is taken", (int)k);
        if (!strstr(nde_error(), way[k].word)) fail_msg("'%s' does not name %s", nde_error(), way[k].word);
        nde_solver_destroy(solver);
    }
    end(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_meet_their_conditions),
        cmocka_unit_test(orders_are_as_claimed),
        cmocka_unit_test(what_is_stiff_belongs_to_the_second_field),
        cmocka_unit_test(gradients_are_those_of_the_steps),
        cmocka_unit_test(events_are_found_and_have_gradients),
        cmocka_unit_test(what_has_no_meaning_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
