/* SPDX-License-Identifier: MIT
 * rosenbrock.c - Rosenbrock methods: order conditions of their tables, and what they refuse. How they solve: implicit.c.
 * Source of the conditions: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), IV.7. */
#include <math.h>
#include <string.h>

#include "method/trees.h"
#include "method/method.h"

#define EACH_METHOD(m)                                                     \
    for (size_t m##_ = 0; m##_ < nde_method_count(); m##_++)                \
        for (const nde_method *m = nde_method_at(m##_); m && m->kind == NDE_KIND_ROSENBROCK; m = NULL)

/* ---- order conditions ------------------------------------------------------------------------ */

enum { MOST = 12 };

/* The classical matrices of a method: alpha, beta = alpha + Gamma, b, and the weights of others in its slopes. */
typedef struct classical {
    int s;
    double alpha[MOST][MOST], beta[MOST][MOST], gamma[MOST][MOST];
} classical;

/* Gamma^-1 = 1/gamma - coupling is a lower triangle. */
static classical classical_of(const nde_method *m) {
    const int first = m->first_same_as_last, s = m->stages - 2*first;
    classical x = { .s = s };
    for (int j = 0; j < s; j++) {
        x.gamma[j][j] = m->gamma;
        for (int i = j + 1; i < s; i++) {
            const nde_coefficient *row = m->coupling + (i + first)*(i + first - 1)/2 + first;
            for (int k = j; k < i; k++) x.gamma[i][j] += m->gamma*row[k]*x.gamma[k][j];
        }
    }
    for (int i = 0; i < s; i++)
        for (int j = 0; j < s; j++) {
            for (int k = 0; k < i; k++) x.alpha[i][j] += m->a[(i + first)*(i + first - 1)/2 + first + k]*x.gamma[k][j];
            x.beta[i][j] = x.alpha[i][j] + x.gamma[i][j];
        }
    return x;
}

/* Weights of the slopes become those of the classical ones. */
static void convert(const nde_method *m, const classical *x, const nde_coefficient *w, double *b) {
    for (int j = 0; j < x->s; j++) {
        b[j] = 0;
        for (int i = 0; i < x->s; i++) b[j] += w[i + m->first_same_as_last]*x->gamma[i][j];
    }
}

/* A child that is alone is under beta, brothers are under alpha. */
static void weigh(const classical *x, const tree *t, double *phi) {
    for (int i = 0; i < x->s; i++) phi[i] = 1;
    for (int k = 0; k < t->children; k++) {
        double sub[MOST];
        weigh(x, &trees[t->child[k]], sub);
        for (int i = 0; i < x->s; i++) {
            double sum = 0;
            for (int j = 0; j < x->s; j++) sum += (t->children == 1 ? x->beta : x->alpha)[i][j]*sub[j];
            phi[i] *= sum;
        }
    }
}

/* Up to which order weights b meet theta^nodes/gamma. Published digits are sixteen. */
static int order_of(const classical *x, const double *b, double theta) {
    for (int n = 0; n < tree_count; n++) {
        double phi[MOST], sum = -pow(theta, trees[n].nodes)/trees[n].gamma, terms = 1;
        weigh(x, &trees[n], phi);
        for (int i = 0; i < x->s; i++) sum += b[i]*phi[i], terms += fabs(b[i]*phi[i]);
        if (fabs(sum) > 2e-13*terms) return trees[n].nodes - 1;
    }
    return 5;
}

static void tables_meet_their_conditions(void **state) {
    (void)state;
    trees_grow(5);
    assert_int_equal(tree_count, 17);
    EACH_METHOD(m) {
        const classical x = classical_of(m);
        const int first = m->first_same_as_last;
        double b[MOST], e[MOST], weights[MOST], dense[MOST];
        convert(m, &x, m->b, b), convert(m, &x, m->e, e);
        if (order_of(&x, b, 1) != m->order) fail_msg("%s: order %d", m->name, order_of(&x, b, 1));
        for (int i = 0; i < x.s; i++) e[i] = b[i] - e[i];
        if (order_of(&x, e, 1) != m->error_order) fail_msg("%s: embedded order %d", m->name, order_of(&x, e, 1));
        for (int i = 0; i < x.s; i++) {
            double node = 0, lift = 0;
            for (int j = 0; j < x.s; j++) node += x.alpha[i][j], lift += x.gamma[i][j];
            assert_true(fabs(node - m->c[i + first]) < 1e-13 && fabs(lift - m->lift[i + first]) < 1e-13);
        }
        int least = 5;
        for (double theta = 0.125; theta <= 1; theta += 0.125) {
            for (int i = 0; i < m->stages; i++) {
                weights[i] = 0;
                for (int j = 0; j < m->dense_terms; j++) weights[i] += m->dense[i*m->dense_terms + j]*pow(theta, j + 1);
                if (theta == 1) assert_true(fabs(weights[i] - m->b[i]) < 1e-13*(1 + fabs(m->b[i])));
            }
            convert(m, &x, weights, dense);
            const int order = order_of(&x, dense, theta);
            if (order < least) least = order;
        }
        if (least != m->dense_order) fail_msg("%s: order %d of the extension", m->name, least);
        /* L-stability: y+ = 0 in the limit, so that b' Gamma^-1 of A-stable ones sums up to 1 */
        double limit = 1;
        for (int i = 0; i < x.s; i++) {
            double sum = 0; /* (beta^-1 1)_i, forwards */
            static double z[MOST];
            for (int j = 0; j < i; j++) sum += x.beta[i][j]*z[j];
            z[i] = (1 - sum)/x.beta[i][i];
            limit -= b[i]*z[i];
        }
        assert_true(fabs(limit) < 1e-12);
    }
}

/* ---- what is refused ------------------------------------------------------------------------- */

/* y' = -y */
static int decay(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) dy[b] = -y[b];
    return 0;
}
static int its_jacobian(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *j) {
    (void)self, (void)y;
    for (size_t b = 0; b < at->n; b++) j[b] = -1;
    return 0;
}

static void what_has_no_meaning_is_refused(void **state) {
    (void)state;
    nde_field f = NDE_INIT(nde_field, .dim = 1, .out = 1, .eval = decay, .jacobian = its_jacobian);
    const nde_real y0 = 1;
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &f, .y0 = &y0, .t1 = 1);
    static const struct { nde_options options; nde_status status; const char *word; } way[] = {
        { { .compensated = 1 }, NDE_E_ARG, "compensated" }, { { .coupling = 0.9 }, NDE_E_ARG, "coupling" },
        { { .error = NDE_ERROR_DOUBLING }, NDE_E_ARG, "error" }, { { .jacobian = 7 }, NDE_E_ARG, "jacobian" },
        { { .jacobian = NDE_JACOBIAN_JVP }, NDE_E_NO_JVP, "jvp" },
        { { .adjoint = NDE_ADJOINT_DISCRETE }, NDE_E_NO_VJP, "vjp_jvp" },
        { { .adjoint = NDE_ADJOINT_DISCRETE, .jacobian = NDE_JACOBIAN_DIFFERENCES }, NDE_E_ARG, "differences" },
        { { .adjoint = NDE_ADJOINT_DISCRETE, .curvature = 1 }, NDE_E_ARG, "curvature" },
        { { .method = NDE_AUTO_TSIT5_RODAS5P, .compensated = 1 }, NDE_E_ARG, "compensated" },
        { { .method = NDE_AUTO_TSIT5_RODAS5P, .adjoint = NDE_ADJOINT_DISCRETE, .curvature = 1 }, NDE_E_ARG, "curvature" },
        { { .method = NDE_TSIT5, .jacobian = NDE_JACOBIAN_GIVEN }, NDE_E_ARG, "tsit5" },
    };
    for (size_t k = 0; k < sizeof way/sizeof *way; k++) {
        nde_options o = way[k].options;
        nde_solver *solver = NULL;
        o.size = sizeof o;
        if (!o.method) o.method = NDE_RODAS4;
        assert_int_equal(nde_solver_create(&problem, &o, &solver), way[k].status);
        if (!strstr(nde_error(), way[k].word)) fail_msg("'%s' does not name %s", nde_error(), way[k].word);
        nde_solver_destroy(solver);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tables_meet_their_conditions),
        cmocka_unit_test(what_has_no_meaning_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
