/* SPDX-License-Identifier: MIT
 * dirk.c - implicit Runge-Kutta methods, diagonally and fully: order conditions of their tables, what Newton's method comes
 * to, Jacobians by differences, fields that fail on the way, and what is refused. How they solve stiff problems: implicit.c. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/trees.h"
#include "method/method.h"

#define IS_DOUBLE (sizeof(nde_real) == sizeof(double))
#define EACH_METHOD(m)                                                     \
    for (size_t m##_ = 0; m##_ < nde_method_count(); m##_++)                \
        for (const nde_method *m = nde_method_at(m##_); m && test_iterates(m); m = NULL)

/* ---- order conditions ------------------------------------------------------------------------ */

enum { MOST = 8, MOST_ORDER = 6 };

static double weight(const nde_method *m, int i, int j) {
    const int first = m->stages - NDE_COLLOCATED;
    if (m->collocation) return i >= first && j >= first ? m->collocation->a[(i - first)*NDE_COLLOCATED + j - first] : 0;
    return j < i ? m->a[i*(i - 1)/2 + j] : j == i && i > m->filtered ? m->gamma : 0;
}

static void weigh(const nde_method *m, const tree *t, double *phi) {
    for (int i = 0; i < m->stages; i++) phi[i] = 1;
    for (int k = 0; k < t->children; k++) {
        double sub[MOST];
        weigh(m, &trees[t->child[k]], sub);
        for (int i = 0; i < m->stages; i++) {
            double sum = 0;
            for (int j = 0; j < m->stages; j++) sum += weight(m, i, j)*sub[j];
            phi[i] *= sum;
        }
    }
}

/* Up to which order weights b meet theta^nodes/gamma. Published digits are sixteen. */
static int order_of(const nde_method *m, const double *b, double theta) {
    for (int n = 0; n < tree_count; n++) {
        double phi[MOST], sum = -pow(theta, trees[n].nodes)/trees[n].gamma, terms = 1;
        weigh(m, &trees[n], phi);
        for (int i = 0; i < m->stages; i++) sum += b[i]*phi[i], terms += fabs(b[i]*phi[i]);
        if (fabs(sum) > 1e-13*terms) return trees[n].nodes - 1;
    }
    return MOST_ORDER;
}

/* y+ for y' = lambda y from 1, z = h lambda: the slopes h k of all stages by elimination. */
static double stability(const nde_method *m, double z) {
    const int s = m->stages;
    double a[MOST][MOST + 1], y = 1;
    for (int i = 0; i < s; i++) {
        for (int j = 0; j < s; j++) a[i][j] = (i == j) - z*weight(m, i, j);
        a[i][s] = i == 1 && m->filtered ? 0 : z;
    }
    for (int k = 0; k < s; k++)
        for (int i = 0; i < s; i++)
            for (int j = s; i != k && j >= k; j--) a[i][j] -= a[i][k]/a[k][k]*a[k][j];
    for (int i = 0; i < s; i++) y += m->b[i]*a[i][s]/a[i][i];
    return y;
}

/* As large as claimed, no larger; the last stage is the new state where its slope is handed on. */
static void tables_meet_their_conditions(void **state) {
    (void)state;
    trees_grow(MOST_ORDER);
    assert_int_equal(tree_count, 37);
    EACH_METHOD(m) {
        const int s = m->stages;
        double other[MOST];
        assert_true(s <= MOST && m->gamma > 0);
        if (order_of(m, m->b, 1) != m->order) fail_msg("%s: order %d", m->name, order_of(m, m->b, 1));
        for (int i = 0; m->e && i < s; i++) other[i] = m->b[i] - m->e[i];
        if (m->e && order_of(m, other, 1) != m->error_order) fail_msg("%s: embedded order %d", m->name, order_of(m, other, 1));
        assert_true(!m->e == !m->error_order && (m->e || !m->filtered));
        for (int i = 0; i < s; i++) {
            double node = 0;
            for (int j = 0; j < s; j++) node += weight(m, i, j);
            if (!(fabs(node - m->c[i]) < 1e-15)) fail_msg("%s: node %d is %.17g, not %.17g", m->name, i, m->c[i], node);
            if (m->first_same_as_last && weight(m, s - 1, i) != m->b[i]) fail_msg("%s: weight %d", m->name, i);
            if (m->filtered && (weight(m, i, 1) != 0 || m->b[1] != 0)) fail_msg("%s: its error is used", m->name);
        }
        int least = MOST_ORDER;
        for (double theta = 0.125; theta <= 1; theta += 0.125) {
            for (int i = 0; i < s; i++) {
                other[i] = 0;
                for (int j = 0; j < m->dense_terms; j++) other[i] += m->dense[i*m->dense_terms + j]*pow(theta, j + 1);
                if (theta == 1) assert_true(fabs(other[i] - m->b[i]) < 1e-15*(1 + fabs(m->b[i])));
            }
            const int order = order_of(m, other, theta);
            if (order < least) least = order;
        }
        if (least != m->dense_order) fail_msg("%s: order %d of the extension", m->name, least);
    }
}

/* |R| <= 1 on the negative axis, and nothing of what is infinitely stiff is left; the midpoint rule only turns it round. */
static void all_are_stable(void **state) {
    (void)state;
    EACH_METHOD(m) {
        for (double z = 1e-3; z < 1e9; z *= 1.1)
            if (!(fabs(stability(m, -z)) <= 1)) fail_msg("%s: %g at -%g", m->name, stability(m, -z), z);
        const double limit = stability(m, -1e7) + (nde_method_id(m) == NDE_IMPLICIT_MIDPOINT);
        assert_true(fabs(limit) < 1e-6);
    }
}

/* ---- Newton's method ------------------------------------------------------------------------- */

/* Van der Pol's oscillator with e = 1e-3, and its Jacobian; calls of either fail on demand. */
static struct { int evals, jacobians, at, code; bool in_jacobian; } calls;

static int van_der_pol(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self;
    const nde_real *x = y, *v = y + at->ld;
    for (size_t b = 0; b < at->n; b++)
        dy[b] = v[b], dy[at->ld + b] = 1000*((1 - x[b]*x[b])*v[b] - x[b]);
    if (++calls.evals != calls.at || calls.in_jacobian) return 0;
    if (!calls.code) dy[0] = (nde_real)NAN;
    return calls.code;
}
static int its_jacobian(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *j) {
    (void)self;
    const nde_real *x = y, *v = y + at->ld;
    for (size_t b = 0; b < at->n; b++) {
        j[b] = 0, j[at->ld + b] = 1;
        j[2*at->ld + b] = 1000*(-2*x[b]*v[b] - 1), j[3*at->ld + b] = 1000*(1 - x[b]*x[b]);
    }
    if (++calls.jacobians != calls.at || !calls.in_jacobian) return 0;
    if (!calls.code) j[0] = (nde_real)NAN;
    return calls.code;
}
static const nde_field oscillator = {
    .size = sizeof oscillator, .dim = 2, .out = 2, .eval = van_der_pol, .jacobian = its_jacobian, .traits = NDE_AUTONOMOUS
};
static const nde_real at_rest[] = { 2, (nde_real)(-2.0/3) };
static const nde_problem relaxing = { .size = sizeof relaxing, .drift = &oscillator, .y0 = at_rest, .t1 = 0.5 };

static nde_options of(const nde_method *m) {
    return NDE_INIT(nde_options, .method = nde_method_id(m), .rtol = IS_DOUBLE ? 1e-6 : 1e-4, .atol = IS_DOUBLE ? 1e-6 : 1e-4,
                    .steps = m->error_order ? 0 : 2000);
}

/* What is left in the stages is no more than a part of the tolerance, and cheaper; differences find the same solution. Steps,
 * and errors with them, are not the same. */
static void iterations_end_when_they_are_exact_enough(void **state) {
    (void)state;
    EACH_METHOD(m) {
        const nde_options usual = of(m);
        nde_options exact = usual, differences = usual;
        nde_solution s[3] = { { 0 } };
        exact.newton_tolerance = NDE_ZERO, differences.jacobian = NDE_JACOBIAN_DIFFERENCES;
        memset(&calls, 0, sizeof calls);
        assert_int_equal(nde_solve(&relaxing, &usual, &s[0]), NDE_OK);
        assert_int_equal(nde_solve(&relaxing, &exact, &s[1]), NDE_OK);
        assert_int_equal(nde_solve(&relaxing, &differences, &s[2]), NDE_OK);
        const nde_stats *cost = s[0].stats;
        assert_int_equal(cost->jacobians, cost->accepted + cost->rejected);
        assert_int_equal(cost->factorisations, cost->jacobians);
        if (m->error_order) assert_true(cost->newton_iterations < s[1].stats->newton_iterations);
        for (size_t i = 0; i < 2; i++) {
            const double size = 10*usual.rtol*(1 + fabs((double)s[1].y_end[i]));
            const double left = (double)(s[0].y_end[i] - s[1].y_end[i]);
            if (!(fabs(left) < size)) fail_msg("%s: %g", m->name, left);
            assert_true(fabs((double)(s[2].y_end[i] - s[1].y_end[i])) < size);
        }
        for (int k = 0; k < 3; k++) nde_solution_free(&s[k]);
    }
}

/* Evaluations are counted as they are made: at the start, by the first step size, by iterations. */
static void evaluations_are_counted(void **state) {
    (void)state;
    EACH_METHOD(m) {
        for (int differences = 0; differences <= 1; differences++) {
            nde_solution s = { 0 };
            nde_options options = of(m);
            options.jacobian = differences ? NDE_JACOBIAN_DIFFERENCES : NDE_JACOBIAN_GIVEN;
            memset(&calls, 0, sizeof calls);
            assert_int_equal(nde_solve(&relaxing, &options, &s), NDE_OK);
            if (s.stats->evals != calls.evals)
                fail_msg("%s: %d, not %d", m->name, (int)s.stats->evals, calls.evals);
            if (!differences) assert_int_equal(s.stats->jacobians, calls.jacobians);
            nde_solution_free(&s);
        }
    }
}

static void what_fails_is_tried_again(void **state) {
    (void)state;
    static const struct { int code, status; } way[] = {
        { 0, NDE_OK }, { NDE_FIELD_RETRY, NDE_OK }, { NDE_FIELD_STOP, NDE_STOPPED }, { -7, NDE_E_FIELD },
    };
    EACH_METHOD(m)
        for (size_t k = 0; m->error_order && k < sizeof way/sizeof *way; k++)
            for (int where = 4; where < 30; where++) {
                nde_solution s = { 0 };
                const nde_options options = of(m);
                memset(&calls, 0, sizeof calls);
                calls.in_jacobian = where % 2, calls.at = where/(calls.in_jacobian ? 2 : 1), calls.code = way[k].code;
                const nde_status status = nde_solve(&relaxing, &options, &s);
                const bool hit = (calls.in_jacobian ? calls.jacobians : calls.evals) >= calls.at;
                assert_int_equal(status, hit ? way[k].status : NDE_OK);
                assert_true(isfinite(s.y_end[0]) && (!hit || way[k].status || s.stats->rejected > 0));
                nde_solution_free(&s);
            }
}

/* y' = -sign(y) has no next state where y is within a step of 0, and no step is short enough. */
static int towards_zero(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) dy[b] = y[b] > 0 ? -1 : 1;
    return 0;
}
static int of_no_slope(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *j) {
    (void)self, (void)y;
    for (size_t b = 0; b < at->n; b++) j[b] = 0;
    return 0;
}

static void what_does_not_converge_ends(void **state) {
    (void)state;
    const nde_field f =
        NDE_INIT(nde_field, .dim = 1, .out = 1, .eval = towards_zero, .jacobian = of_no_slope, .traits = NDE_AUTONOMOUS);
    const nde_real y0[] = { 1, 5 };
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &f, .y0 = y0, .n = 2, .t1 = 3);
    EACH_METHOD(m)
        for (int fixed = !m->error_order; fixed <= 1; fixed++) {
            nde_solution s = { 0 };
            const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .steps = fixed ? 7 : 0,
                                                 .atol = 1e-100, .newton_tolerance = NDE_ZERO);
            assert_int_equal(nde_solve(&problem, &options, &s), NDE_E_LANES);
            if (s.status[0] != NDE_E_CONVERGENCE) fail_msg("%s: %d at %g", m->name, (int)s.status[0], s.t_end[0]);
            assert_int_equal(s.status[1], NDE_OK);
            assert_true(s.t_end[0] <= 1 + 8*NDE_TEST_EPS && s.t_end[0] > (fixed ? 0.4 : 0.9));
            assert_true(fabs((double)s.y_end[1] - 2) < 1e-4);
            assert_true(fabs((double)s.y_end[0] + s.t_end[0] - 1) < 1e-4);
            assert_non_null(strstr(s.error, "an iteration does not converge"));
            nde_solution_free(&s);
        }
}

/* ---- invariants ------------------------------------------------------------------------------ */

static int turn(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) {
        const nde_real x = y[b], v = y[at->ld + b], w = 1 + x*x;
        dy[b] = -w*v, dy[at->ld + b] = w*x;
    }
    return 0;
}

/* x' = -w v, v' = w x keep x^2 + v^2 whatever w(x) is, and so does the midpoint rule. */
static void the_midpoint_rule_keeps_circles(void **state) {
    (void)state;
    const nde_field f = NDE_INIT(nde_field, .dim = 2, .out = 2, .eval = turn, .traits = NDE_AUTONOMOUS);
    const nde_real y0[] = { 1, 0 };
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &f, .y0 = y0, .t1 = 100);
    const nde_options options =
        NDE_INIT(nde_options, .method = NDE_IMPLICIT_MIDPOINT, .steps = 400, .jacobian = NDE_JACOBIAN_DIFFERENCES);
    nde_solution s = { 0 };
    assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
    const double x = (double)s.y_end[0], v = (double)s.y_end[1];
    assert_true(fabs(x*x + v*v - 1) < 400*4*NDE_TEST_EPS);
    nde_solution_free(&s);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void what_has_no_meaning_is_refused(void **state) {
    (void)state;
    static const struct { nde_options options; nde_status status; const char *word; } way[] = {
        { { .compensated = 1 }, NDE_E_ARG, "compensated" }, { { .coupling = 0.9 }, NDE_E_ARG, "coupling" },
        { { .error = NDE_ERROR_DOUBLING }, NDE_E_ARG, "error" }, { { .jacobian = 7 }, NDE_E_ARG, "jacobian" },
        { { .jacobian = NDE_JACOBIAN_JVP }, NDE_E_NO_JVP, "jvp" },
        { { .newton_tolerance = -0.5 }, NDE_E_ARG, "newton_tolerance" },
        { { .newton_tolerance = (double)NAN }, NDE_E_ARG, "newton_tolerance" },
        { { .newton_tolerance = 2 }, NDE_E_ARG, "newton_tolerance" },
        { { .method = NDE_RODAS4, .newton_tolerance = 0.1 }, NDE_E_ARG, "rodas4" },
        { { .adjoint = NDE_ADJOINT_REVERSIBLE }, NDE_E_ARG, "trbdf2" },
        { { .adjoint = NDE_ADJOINT_DISCRETE, .estimates = NDE_ESTIMATES_ALL }, NDE_E_ARG, "estimates" },
        { { .adjoint = NDE_ADJOINT_DISCRETE, .curvature = 1 }, NDE_E_ARG, "curvature" },
        { { .method = NDE_RADAU5, .compensated = 1 }, NDE_E_ARG, "compensated" },
        { { .method = NDE_RADAU5, .adjoint = NDE_ADJOINT_DISCRETE, .curvature = 1 }, NDE_E_ARG, "curvature" },
        { { .method = NDE_RADAU5, .coupling = 0.9 }, NDE_E_ARG, "coupling" },
    };
    for (size_t k = 0; k < sizeof way/sizeof *way; k++) {
        nde_options o = way[k].options;
        nde_solver *solver = NULL;
        o.size = sizeof o;
        if (!o.method) o.method = NDE_TRBDF2;
        if (nde_solver_create(&relaxing, &o, &solver) != way[k].status) fail_msg("%d: '%s'", (int)k, nde_error());
        if (!strstr(nde_error(), way[k].word)) fail_msg("'%s' does not name %s", nde_error(), way[k].word);
        nde_solver_destroy(solver);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_meet_their_conditions),
        cmocka_unit_test(all_are_stable),
        cmocka_unit_test(iterations_end_when_they_are_exact_enough),
        cmocka_unit_test(evaluations_are_counted),
        cmocka_unit_test(what_fails_is_tried_again),
        cmocka_unit_test(what_does_not_converge_ends),
        cmocka_unit_test(the_midpoint_rule_keeps_circles),
        cmocka_unit_test(what_has_no_meaning_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
