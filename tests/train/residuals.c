/* SPDX-License-Identifier: MIT
 * residuals.c - residuals and Jacobian of a solve: against their definition and differences; a fit with them against descent by
 * nde_backward. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "train/lotka_volterra.h"

enum { N = 3, DIM = 2, NP = 4, SAVES = 15, COUNT = SAVES*DIM*N };

typedef struct rig {
    nde_field field;
    nde_problem problem;
    nde_options options;
    nde_solver *solver;
    nde_solution solution;
    nde_real y0[DIM*N], p[NP], data[COUNT], weight[COUNT], work[NP*(COUNT + NP)];
    double save_t[SAVES], r[COUNT], jacobian[COUNT*NP];
    bool weighted;
    int64_t solves;
} rig;

static void run(rig *r) {
    r->solves++;
    assert_int_equal(nde_solver_run(r->solver, &r->solution), NDE_OK);
}

/* Three trajectories from different starts; their data: the truth's solution with noise, some of it missing. */
static void make(rig *r, double noise) {
    *r = (rig){ .field = nde_field_pointwise(&lotka_volterra, DIM, NP) };
    for (size_t i = 0; i < DIM*N; i++) r->y0[i] = (nde_real)(6 + 4*nde_uniform(1, 200, 0, i, 0));
    for (size_t j = 0; j < NP; j++) r->p[j] = (nde_real)lotka_volterra_truth[j];
    for (size_t k = 0; k < SAVES; k++) r->save_t[k] = 0.5*(double)(k + 1);
    r->problem = NDE_INIT(nde_problem, .n = N, .t1 = 7.5, .y0 = r->y0, .p = r->p, .drift = &r->field);
    r->options = NDE_INIT(nde_options, .method = NDE_RK4, .steps = 150, .adjoint = NDE_ADJOINT_DISCRETE, .save_t = r->save_t,
                          .n_save = SAVES);
    r->solution = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solver_create(&r->problem, &r->options, &r->solver), NDE_OK);
    run(r);
    for (size_t i = 0; i < COUNT; i++) {
        r->data[i] = i%7 == 3 ? (nde_real)NAN : (nde_real)((double)r->solution.y[i] + noise*nde_normal(1, 201, 0, i, 0));
        r->weight[i] = i%11 == 5 ? 0 : (nde_real)(0.5 + nde_uniform(1, 202, 0, i, 0));
    }
    r->weighted = true;
}

static nde_status residuals(rig *r, size_t *m, double *values, double *jacobian) {
    return nde_residuals(r->solver, &r->solution, r->data, r->weighted ? r->weight : NULL, NP, m, values, jacobian, r->work);
}

static void values_are_those_of_the_loss(void **state) {
    (void)state;
    static rig r;
    make(&r, 0.25);
    for (int weighted = 0; weighted < 2; weighted++) {
        size_t m = 0, again = 0, row = 0;
        double sum = 0, total = 0, loss;
        r.weighted = weighted;
        assert_int_equal(residuals(&r, &m, NULL, NULL), NDE_OK);
        assert_int_equal(residuals(&r, &again, r.r, NULL), NDE_OK);
        assert_true(m == again && m > COUNT/2 && m < COUNT);
        for (size_t i = 0; i < COUNT; i++) {
            if (isnan(r.data[i]) || (weighted && r.weight[i] == 0)) continue;
            const double w = weighted ? (double)r.weight[i] : 1;
            assert_true(r.r[row++] == sqrt(w)*((double)r.solution.y[i] - (double)r.data[i]));
            total += w;
        }
        assert_true(row == m);
        for (size_t i = 0; i < m; i++) sum += r.r[i]*r.r[i];
        assert_int_equal(nde_loss_mse(&r.solution, r.data, weighted ? r.weight : NULL, &loss, NULL), NDE_OK);
        assert_true(fabs(sum/total/2 - loss) <= 1e-14*loss);
    }
    nde_solver_destroy(r.solver);
}

/* Columns some at a time, the last one alone: the same bits. */
static void columns_at_once(void **state) {
    (void)state;
    static rig r;
    static double one[COUNT*NP];
    size_t m = 0, again = 0;
    make(&r, 0.25);
    assert_int_equal(residuals(&r, &m, NULL, one), NDE_OK);
    nde_solver_destroy(r.solver);
    r.options.directions = NP - 1;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
    run(&r);
    assert_int_equal(residuals(&r, &again, NULL, r.jacobian), NDE_OK);
    assert_true(m == again && m > 0);
    assert_memory_equal(one, r.jacobian, m*NP*sizeof *one);
    nde_solver_destroy(r.solver);
}

/* Richardson's extrapolation of central differences: an error of the order of h^4. */
static void jacobian_is_a_difference(void **state) {
    (void)state;
    static rig r;
    static double up[4][COUNT], r0[COUNT];
    make(&r, 0.25);
    size_t m;
    run(&r);
    assert_int_equal(residuals(&r, &m, r0, r.jacobian), NDE_OK);
    double worst = 0;
    for (size_t j = 0; j < NP; j++) {
        const nde_real p = r.p[j];
        const double h = sizeof(nde_real) == 8 ? 0x1p-12 : 0x1p-6, at[4] = { -2*h, -h, h, 2*h };
        for (size_t k = 0; k < 4; k++) {
            r.p[j] = (nde_real)((double)p*(1 + at[k]));
            run(&r);
            assert_int_equal(residuals(&r, &m, up[k], NULL), NDE_OK);
        }
        r.p[j] = p;
        double largest = 0;
        for (size_t i = 0; i < m; i++) largest = fmax(largest, fabs(r.jacobian[i*NP + j]));
        for (size_t i = 0; i < m; i++) {
            const double slope = (8*(up[2][i] - up[1][i]) - (up[3][i] - up[0][i]))/(12*h*(double)p);
            worst = fmax(worst, fabs(slope - r.jacobian[i*NP + j])/largest);
        }
    }
    print_message("Jacobian against differences: %.1e of a column's largest entry\n", worst);
    assert_true(worst < (sizeof(nde_real) == 8 ? 1e-9 : 2e-3));
    nde_solver_destroy(r.solver);
}

/* J'r is the gradient that nde_backward gives. */
static void normal_vector_is_the_gradient(void **state) {
    (void)state;
    static rig r;
    static nde_real seed_y[COUNT];
    make(&r, 0.25);
    size_t m;
    double loss, total = 0;
    nde_real gradient[NP];
    r.p[1] *= (nde_real)1.1;
    run(&r);
    assert_int_equal(residuals(&r, &m, r.r, r.jacobian), NDE_OK);
    assert_int_equal(nde_loss_mse(&r.solution, r.data, r.weight, &loss, seed_y), NDE_OK);
    const nde_seed seed = NDE_INIT(nde_seed, .y = seed_y);
    const nde_gradient to = NDE_INIT(nde_gradient, .p = gradient);
    assert_int_equal(nde_backward(r.solver, &seed, &to), NDE_OK);
    for (size_t i = 0; i < COUNT; i++) total += isnan(r.data[i]) ? 0 : (double)r.weight[i];
    for (size_t j = 0; j < NP; j++) {
        double sum = 0, size = 0;
        for (size_t i = 0; i < m; i++) sum += r.jacobian[i*NP + j]*r.r[i], size += fabs(r.jacobian[i*NP + j]*r.r[i]);
        assert_true(fabs(sum/total - (double)gradient[j]) <= 100*NDE_TEST_EPS*size/total);
    }
    nde_solver_destroy(r.solver);
}

/* ---- a fit ---- */

static int fit_residual(void *ctx, size_t np, const nde_real *p, size_t m, double *r, double *jacobian) {
    rig *s = ctx;
    size_t count;
    for (size_t j = 0; j < np; j++)
        if (p[j] <= 0) return 1;
    memcpy(s->p, p, np*sizeof *p);
    run(s);
    assert_int_equal(residuals(s, &count, r, jacobian), NDE_OK);
    assert_true(count == m);
    return 0;
}

static double loss_and_gradient(rig *s, nde_real *gradient) {
    static nde_real seed_y[COUNT];
    double loss;
    run(s);
    assert_int_equal(nde_loss_mse(&s->solution, s->data, s->weight, &loss, seed_y), NDE_OK);
    const nde_seed seed = NDE_INIT(nde_seed, .y = seed_y);
    const nde_gradient to = NDE_INIT(nde_gradient, .p = gradient);
    assert_int_equal(nde_backward(s->solver, &seed, &to), NDE_OK);
    return loss;
}

/* Levenberg-Marquardt ends where Adam with nde_backward ends, in a fraction of the solves; the truth lies within the deviations
 * that the covariance tells. */
static void fit_is_that_of_descent(void **state) {
    (void)state;
    static rig r;
    size_t m;
    nde_real p[NP], gradient[NP];
    double covariance[NP*NP];
    nde_fit fit;
    make(&r, 0.25);
    assert_int_equal(residuals(&r, &m, NULL, NULL), NDE_OK);
    for (size_t j = 0; j < NP; j++) p[j] = (nde_real)(lotka_volterra_truth[j]*(j%2 ? 0.8 : 1.25));
    const nde_least_squares problem = NDE_INIT(nde_least_squares, .m = m, .residual = fit_residual, .ctx = &r,
                                               .tolerance = sizeof(nde_real) == 8 ? 1e-14 : 0);
    r.solves = 0;
    assert_int_equal(nde_least_squares_fit(&problem, NP, p, covariance, &fit), NDE_OK);
    const int64_t solves = r.solves;
    for (size_t j = 0; j < NP; j++)
        assert_true(fabs((double)p[j] - lotka_volterra_truth[j]) < 4*sqrt(covariance[j*NP + j]));

    memcpy(r.p, p, sizeof p);
    const double least = loss_and_gradient(&r, gradient);
    for (size_t j = 0; j < NP; j++)
        assert_true(fabs((double)gradient[j])*sqrt(covariance[j*NP + j]) < (sizeof(nde_real) == 8 ? 1e-7 : 1e-3)*least);

    enum { STEPS = 1500 };
    double memory[3*NP];
    nde_optimiser adam = NDE_INIT(nde_optimiser, .rate = 0.01, .schedule = NDE_SCHEDULE_COSINE, .decay_steps = STEPS,
                                  .decay = 1e-4, .state = memory);
    for (size_t j = 0; j < NP; j++) r.p[j] = (nde_real)(lotka_volterra_truth[j]*1.1);
    for (int k = 0; k < STEPS; k++) {
        loss_and_gradient(&r, gradient);
        assert_int_equal(nde_optimiser_step(&adam, NP, gradient, r.p), NDE_OK);
    }
    const double descended = loss_and_gradient(&r, gradient);
    double far = 0;
    for (size_t j = 0; j < NP; j++) far = fmax(far, fabs((double)(p[j] - r.p[j]))/sqrt(covariance[j*NP + j]));
    print_message("Levenberg-Marquardt: %lld iterations, %lld solves; loss %.15g, Adam's after %d %.15g, %.1e deviations "
                  "apart\n", (long long)fit.iterations, (long long)solves, least, STEPS, descended, far);
    assert_true(least <= descended*(1 + 10*NDE_TEST_EPS) && descended < least*(1 + 1e-6));
    assert_true(far < (sizeof(nde_real) == 8 ? 1e-3 : 1e-2));
    nde_solver_destroy(r.solver);
}

/* ---- arguments ---- */

static void refuse(nde_status found, nde_status status, const char *name, const char *value) {
    assert_int_equal(found, status);
    assert_non_null(strstr(nde_error(), "nde_residuals"));
    assert_non_null(strstr(nde_error(), name));
    assert_non_null(strstr(nde_error(), value));
}

static void refused_arguments(void **state) {
    (void)state;
    static rig r;
    make(&r, 0.25);
    size_t m = 77;
    nde_solution s = r.solution;
    refuse(nde_residuals(NULL, &s, r.data, NULL, NP, &m, r.r, NULL, r.work), NDE_E_ARG, "solver", "NULL");
    refuse(nde_residuals(r.solver, NULL, r.data, NULL, NP, &m, r.r, NULL, r.work), NDE_E_ARG, "solution", "NULL");
    refuse(nde_residuals(r.solver, &s, NULL, NULL, NP, &m, r.r, NULL, r.work), NDE_E_ARG, "data", "NULL");
    refuse(nde_residuals(r.solver, &s, r.data, NULL, NP, NULL, r.r, NULL, r.work), NDE_E_ARG, "m", "NULL");
    refuse(nde_residuals(r.solver, &s, r.data, NULL, NP, &m, r.r, r.jacobian, NULL), NDE_E_ARG, "work", "NULL");
    refuse(nde_residuals(r.solver, &s, r.data, NULL, NP + 1, &m, r.r, NULL, r.work), NDE_E_ARG, "np", "5");
    s.n_save++;
    refuse(nde_residuals(r.solver, &s, r.data, NULL, NP, &m, r.r, NULL, r.work), NDE_E_ARG, "solution", "16 x 2 x 3");
    s = r.solution, s.y = NULL;
    refuse(nde_residuals(r.solver, &s, r.data, NULL, NP, &m, r.r, NULL, r.work), NDE_E_ARG, "solution.y", "NULL");
    s = r.solution, s.size = 3;
    refuse(nde_residuals(r.solver, &s, r.data, NULL, NP, &m, r.r, NULL, r.work), NDE_E_ARG, "solution.size", "3");
    s = r.solution;
    r.weight[9] = (nde_real)-0.5;
    refuse(nde_residuals(r.solver, &s, r.data, r.weight, NP, &m, r.r, NULL, r.work), NDE_E_ARG, "weight[9]", "-0.5");
    r.weight[9] = (nde_real)NAN;
    refuse(nde_residuals(r.solver, &s, r.data, r.weight, NP, &m, r.r, NULL, r.work), NDE_E_ARG, "weight[9]", "nan");
    assert_true(m == 77);
    nde_solver_destroy(r.solver);

    r.options.adjoint = NDE_ADJOINT_NONE; /* no record */
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
    run(&r);
    r.weighted = false;
    assert_int_equal(residuals(&r, &m, r.r, NULL), NDE_OK);
    assert_int_equal(residuals(&r, &m, r.r, r.jacobian), NDE_E_ARG);
    nde_solver_destroy(r.solver);

    nde_pointwise plain = lotka_volterra;
    plain.jvp = NULL;
    r.field = nde_field_pointwise(&plain, DIM, NP);
    r.options.adjoint = NDE_ADJOINT_DISCRETE;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
    run(&r);
    assert_int_equal(residuals(&r, &m, r.r, r.jacobian), NDE_E_NO_JVP);
    nde_solver_destroy(r.solver);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_the_loss),
        cmocka_unit_test(columns_at_once),
        cmocka_unit_test(jacobian_is_a_difference),
        cmocka_unit_test(normal_vector_is_the_gradient),
        cmocka_unit_test(fit_is_that_of_descent),
        cmocka_unit_test(refused_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
