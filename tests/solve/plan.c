/* SPDX-License-Identifier: MIT
 * plan.c - what nde_plan says before a run is what the run then needs: to the byte and to the flop. */
#include <math.h>
#include <string.h>

#include "core/dense.h"

enum { N_MOST = 700, DIM = 3 };

static int spiral(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)ctx, (void)p;
    dy[0] = y[1] - (nde_real)0.1*y[0], dy[1] = -y[0] - (nde_real)0.1*y[1], dy[2] = (nde_real)sin(t);
    return 0;
}
static const nde_pointwise one = { .size = sizeof one, .f = spiral };

static nde_real begin[DIM*N_MOST];
static nde_field drift;
static void fill(void) {
    drift = nde_field_pointwise(&one, DIM, 0);
    for (size_t i = 0; i < DIM*N_MOST; i++) begin[i] = (nde_real)cos((double)i);
}

/* Fixed steps: the form in which the record ends and the bytes that it holds, for every form that a budget leads to. */
static void record_of_fixed_steps(void **state) {
    (void)state;
    fill();
    static const int32_t methods[] = { NDE_EULER, NDE_RK4, NDE_DOPRI5, NDE_TSIT5 };
    static const size_t ns[] = { 1, 5, 128, 130, N_MOST };
    int seen[NDE_RECORD_CHECKPOINTS + 1] = { 0 };
    for (size_t m = 0; m < sizeof methods/sizeof *methods; m++)
        for (size_t i = 0; i < sizeof ns/sizeof *ns; i++)
            for (size_t budget = 2048; budget < 1 << 24; budget += budget/2)
                for (int64_t steps = 1; steps <= 300; steps = steps*7 + 1) {
                    const nde_problem problem = NDE_INIT(nde_problem, .n = ns[i], .t1 = 1, .y0 = begin, .drift = &drift);
                    const nde_options options = NDE_INIT(nde_options, .method = methods[m], .steps = steps,
                                                         .adjoint = NDE_ADJOINT_DISCRETE, .budget = budget);
                    nde_needs needs = NDE_INIT(nde_needs, .bytes = 0);
                    assert_int_equal(nde_plan(&problem, &options, &needs), NDE_OK);
                    assert_int_equal(needs.bytes, nde_solver_bytes(&problem, &options));
                    assert_int_equal(needs.bytes, needs.workspace_bytes + needs.record_bytes);
                    nde_solver *solver;
                    nde_solution solution = NDE_INIT(nde_solution, .n = 0);
                    assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_OK);
                    const nde_status status = nde_solver_run(solver, &solution);
                    if (needs.record_used == 0) {
                        assert_int_equal(status, NDE_E_BUDGET);
                    } else {
                        assert_int_equal(status, NDE_OK);
                        assert_int_equal(needs.record, solution.record);
                        assert_int_equal(needs.record_used, solution.record_bytes);
                        seen[solution.record] = 1;
                    }
                    nde_solver_destroy(solver);
                }
    /* a field without tape keeps as much in form STAGES as in form TAPE: it never ends there */
    assert_true(seen[NDE_RECORD_TAPE] && seen[NDE_RECORD_STATES] && seen[NDE_RECORD_CHECKPOINTS]);
}

/* Bytes a step: the difference between two runs. */
static void bytes_of_a_step(void **state) {
    (void)state;
    fill();
    for (int form = NDE_RECORD_TAPE; form <= NDE_RECORD_STATES; form++)
        for (size_t n = 1; n < 130; n += 13) {
            const nde_problem problem = NDE_INIT(nde_problem, .n = n, .t1 = 1, .y0 = begin, .drift = &drift);
            nde_options options = NDE_INIT(nde_options, .method = NDE_DOPRI5, .steps = 8, .adjoint = NDE_ADJOINT_DISCRETE,
                                           .record = form, .budget = 1 << 24);
            nde_needs needs[2] = { NDE_INIT(nde_needs, .bytes = 0), NDE_INIT(nde_needs, .bytes = 0) };
            assert_int_equal(nde_plan(&problem, &options, &needs[0]), NDE_OK);
            options.steps = 16;
            assert_int_equal(nde_plan(&problem, &options, &needs[1]), NDE_OK);
            const size_t each[] = { 0, needs[0].tape_bytes, needs[0].stage_bytes, needs[0].state_bytes };
            assert_int_equal(needs[1].record_used - needs[0].record_used, 8*each[form]);
        }
}

/* ---- flops: a field around an MLP whose kernels count -------------------------------------------------------------- */

static double forward, input_gradient, weight_gradient;
static bool backwards;
static const nde_dense_kernels *plain;

static void count_product(size_t m, size_t n, size_t k, const nde_real *a, size_t a_row, size_t a_col, const nde_real *b,
                          size_t ldb, const nde_real *start, nde_real *c, size_t ldc) {
    *(backwards ? &input_gradient : &forward) += 2*(double)m*(double)n*(double)k;
    plain->product(m, n, k, a, a_row, a_col, b, ldb, start, c, ldc);
}
static void count_outer(size_t out, size_t n, size_t in, const nde_real *a, size_t lda, const nde_real *x, size_t ldx,
                        double *dw, double *db) {
    weight_gradient += 2*(double)out*(double)n*(double)in;
    plain->outer(out, n, in, a, lda, x, ldx, dw, db);
}

static nde_field mlp;
static nde_site counting(const nde_site *at, nde_kernels *kernels, nde_dense_kernels *dense) {
    *kernels = *at->kernels;
    plain = kernels->dense;
    *dense = (nde_dense_kernels){ .product = count_product, .outer = count_outer };
    kernels->dense = dense;
    nde_site site = *at;
    site.kernels = kernels;
    return site;
}
static int eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    nde_kernels kernels;
    nde_dense_kernels dense;
    const nde_site site = counting(at, &kernels, &dense);
    (void)self;
    backwards = false;
    return mlp.eval(&mlp, &site, y, dy);
}
static int vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    nde_kernels kernels;
    nde_dense_kernels dense;
    const nde_site site = counting(at, &kernels, &dense);
    (void)self;
    backwards = true;
    return mlp.vjp(&mlp, &site, y, a, to);
}
static int vjp_window(const nde_field *self, const nde_site *at, const nde_real *cotape, double *ap) {
    nde_kernels kernels;
    nde_dense_kernels dense;
    const nde_site site = counting(at, &kernels, &dense);
    (void)self;
    return mlp.vjp_window(&mlp, &site, cotape, ap);
}
static int prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    (void)self;
    return mlp.prepare(&mlp, p, prepared);
}

/* One training step: as many flops as evaluations ask for, and no vjp that nothing depends on. */
static void flops(void **state) {
    (void)state;
    static const size_t width[] = { 6, 20, 33, 6 };
    const nde_mlp shape = NDE_INIT(nde_mlp, .layers = 3, .width = width);
    mlp = nde_field_mlp(&shape);
    assert_non_null(mlp.eval);
    nde_field counted = mlp;
    counted.eval = eval, counted.vjp = vjp, counted.vjp_window = vjp_window, counted.prepare = prepare;
    static nde_real p[20*7 + 33*21 + 6*34], gp[sizeof p/sizeof *p], start[6*200], seed[6*200], g0[6*200];
    assert_int_equal(mlp.np, sizeof p/sizeof *p);
    assert_int_equal(nde_mlp_init(&shape, NDE_GLOROT_UNIFORM, 3, p), NDE_OK);
    for (size_t i = 0; i < 6*200; i++) start[i] = (nde_real)sin((double)i), seed[i] = 1;
    static const size_t ns[] = { 1, 3, 20, 127, 128, 200 };
    for (size_t i = 0; i < sizeof ns/sizeof *ns; i++) {
        const nde_problem problem = NDE_INIT(nde_problem, .n = ns[i], .t1 = 2, .y0 = start, .p = p, .drift = &counted);
        const nde_options options = NDE_INIT(nde_options, .method = NDE_DOPRI5, .stepping = NDE_STEP_JOINT,
                                             .adjoint = NDE_ADJOINT_DISCRETE, .budget = 1 << 26, .reproducible = 1);
        nde_needs needs = NDE_INIT(nde_needs, .bytes = 0);
        assert_int_equal(nde_plan(&problem, &options, &needs), NDE_OK);
        const double weights = 6*20 + 20*33 + 33*6;
        assert_true(needs.gemm_eval == 2*weights*(double)ns[i]);
        assert_true(needs.gemm_vjp == 2*needs.gemm_eval);
        assert_true(needs.gemm_step == 6*needs.gemm_eval && needs.gemm_step_adjoint == 6*needs.gemm_vjp);
        nde_solver *solver;
        nde_solution solution = NDE_INIT(nde_solution, .n = 0);
        assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_OK);
        forward = input_gradient = weight_gradient = 0;
        assert_int_equal(nde_solver_run(solver, &solution), NDE_OK);
        const double accepted = (double)solution.stats[0].accepted, tried = accepted + (double)solution.stats[0].rejected;
        assert_true(accepted > 2);
        /* the first slope, the trial for the first step, six an attempt */
        assert_true(forward == 2*needs.gemm_eval + tried*needs.gemm_step);
        assert_true((double)solution.stats[0].evals == 2 + 6*tried);
        const nde_seed cotangent = NDE_INIT(nde_seed, .y_end = seed);
        const nde_gradient gradient = NDE_INIT(nde_gradient, .y0 = g0, .p = gp);
        forward = 0;
        assert_int_equal(nde_backward(solver, &cotangent, &gradient), NDE_OK);
        /* the first slope is evaluated again: the record does not keep its tape */
        assert_true(forward <= needs.gemm_eval);
        /* the last slope of the last step has no successor */
        const double vjps = 6*accepted;
        assert_true(input_gradient == vjps*needs.gemm_eval);
        assert_true(weight_gradient == vjps*needs.gemm_eval);
        nde_solver_destroy(solver);
    }
}

static void refusals(void **state) {
    (void)state;
    fill();
    const nde_problem problem = NDE_INIT(nde_problem, .n = 2, .t1 = 1, .y0 = begin, .drift = &drift);
    nde_needs needs = NDE_INIT(nde_needs, .bytes = 77);
    assert_int_equal(nde_plan(&problem, NULL, NULL), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "needs"));
    assert_int_equal(nde_plan(NULL, NULL, &needs), NDE_E_ARG);
    const nde_options wrong = NDE_INIT(nde_options, .method = 9999);
    assert_int_equal(nde_plan(&problem, &wrong, &needs), NDE_E_ARG);
    assert_int_equal(needs.bytes, 77);
    needs.size = 8;
    assert_int_equal(nde_plan(&problem, NULL, &needs), NDE_E_ARG);
    needs.size = 0;
    assert_int_equal(nde_plan(&problem, NULL, &needs), NDE_OK);
    assert_int_equal(needs.size, 0);
    assert_int_equal(needs.record, NDE_RECORD_NONE);
    assert_int_equal(needs.record_bytes, 0);
    assert_int_equal(needs.method, NDE_TSIT5);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(record_of_fixed_steps), cmocka_unit_test(bytes_of_a_step), cmocka_unit_test(flops),
        cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
