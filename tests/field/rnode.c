/* SPDX-License-Identifier: MIT
 * rnode.c - kinetic energy and the Jacobian's norm by probes: values, every derivative, and gradients of their integrals. */
#include "adjoint/proof.h"
#include "field/rig.h"

static const bool is_double = sizeof(nde_real) == 8;

/* A network that sees everything. */
static const size_t width[] = { 3 + 2 + 2 + 1, 7, 3 };
static const nde_mlp network = { .size = sizeof(nde_mlp), .layers = 2, .width = width, .last = NDE_SOFTPLUS, .time_input = 1,
                                 .inputs_u = 2, .inputs_q = 2 };

static void check(const nde_field *f) {
    if (!f->eval) fail_msg("%s", nde_error());
    static const size_t n[][3] = { { 1, 1, 1 }, { 1, 3, 2 }, { 4, 4, 6 }, { 19, 24, 19 } };
    for (size_t i = 0; i < sizeof n/sizeof *n; i++) {
        rig r = rig_make(f, n[i][0], n[i][1], n[i][2], NULL, 5);
        rig_check_derivatives(&r);
        rig_check_identity(&r);
        rig_check_guards(&r, r.dv, f->out, r.at.ld), rig_check_guards(&r, r.to.y, f->dim, r.at.ld);
        rig_free(&r);
    }
}

static void derivatives_are_right(void **state) {
    (void)state;
    const nde_field f = nde_field_mlp(&network), kinetic = nde_field_kinetic(&f);
    check(&kinetic);
    for (int32_t gaussian = 0; gaussian < 2; gaussian++) {
        const nde_frobenius of = NDE_INIT(nde_frobenius, .field = &f, .seed = 3, .probes = 2, .gaussian = gaussian,
                                          .forward = 1);
        const nde_field frobenius = nde_field_frobenius(&of);
        const nde_field *both[] = { &kinetic, &frobenius };
        const nde_parts parts = NDE_INIT(nde_parts, .part = both, .n = 2);
        const nde_field rnode = nde_field_concatenation(&parts);
        check(&frobenius), check(&rnode);
    }
}

/* |F|^2 from F, |J' e|^2 on average from the Jacobian: many probes, each a function of its trajectory. */
static void values_are_right(void **state) {
    (void)state;
    enum { PROBES = 4000 };
    const nde_field f = nde_field_mlp(&network), kinetic = nde_field_kinetic(&f);
    for (int32_t gaussian = 0; gaussian < 2; gaussian++) {
        const nde_frobenius of = NDE_INIT(nde_frobenius, .field = &f, .seed = 3, .probes = PROBES, .gaussian = gaussian);
        const nde_field frobenius = nde_field_frobenius(&of);
        rig r = rig_make(&f, 4, 4, 4, NULL, 9), k = rig_make(&kinetic, 4, 4, 4, NULL, 9),
            l = rig_make(&frobenius, 4, 4, 4, NULL, 9), one = rig_make(&frobenius, 1, 1, 1, NULL, 11);
        assert_int_equal(f.eval(&f, &r.at, r.y, r.dy), 0);
        assert_int_equal(kinetic.eval(&kinetic, &k.at, k.y, k.dy), 0);
        assert_int_equal(frobenius.eval(&frobenius, &l.at, l.y, l.dy), 0);
        assert_int_equal(frobenius.eval(&frobenius, &one.at, one.y, one.dy), 0);
        double norm[4] = { 0 };
        for (size_t i = 0; i < 3; i++) {
            nde_cotangent to = { .y = r.to.y };
            rig_zero(&r, &r.to);
            for (size_t j = 0; j < 12; j++) r.a[j] = j/4 == i;
            assert_int_equal(f.vjp(&f, &r.at, r.y, r.a, &to), 0);
            for (size_t j = 0; j < 12; j++) norm[j%4] += (double)to.y[j]*(double)to.y[j];
        }
        for (size_t b = 0; b < 4; b++) {
            double speed = 0;
            for (size_t i = 0; i < 3; i++) speed += (double)r.dy[4*i + b]*(double)r.dy[4*i + b];
            assert_true(fabs((double)k.dy[b] - speed) <= 10*NDE_TEST_EPS*speed);
            assert_true(fabs((double)l.dy[b]/norm[b] - 1) <= 6*sqrt(2.0/PROBES)); /* the variance is 2 |J'J|^2 at most */
        }
        assert_memory_equal(&one.dy[0], &l.dy[2], sizeof(nde_real)); /* the same trajectory in another lane */
        rig_free(&r), rig_free(&k), rig_free(&l), rig_free(&one);
    }
}

/* As quadrature, beside states: forward mode, differences, every form of the record. */
static void integrals_have_gradients(void **state) {
    (void)state;
    static const size_t narrow[] = { 2, 8, 2 };
    static const nde_mlp mlp = { .size = sizeof mlp, .layers = 2, .width = narrow };
    for (int joint = 0; joint < 2; joint++) {
        proof f;
        proof_begin(&f, 90, &duffing_model, false, 0, 2, 0.5);
        f.drift = nde_field_mlp(&mlp);
        const nde_frobenius of = NDE_INIT(nde_frobenius, .field = &f.drift, .seed = 3, .forward = 1);
        const nde_field kinetic = nde_field_kinetic(&f.drift), frobenius = nde_field_frobenius(&of),
            *both[] = { &kinetic, &frobenius };
        const nde_parts parts = NDE_INIT(nde_parts, .part = both, .n = 2);
        f.quadrature = nde_field_concatenation(&parts), f.problem.quadrature = &f.quadrature, f.nz = 2;
        proof_parameters(&f, f.drift.np, NULL);
        assert_int_equal(nde_mlp_init(&mlp, NDE_GLOROT_UNIFORM, 4, f.in[IN_P].x), NDE_OK);
        f.options.stepping = joint ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT, f.options.reproducible = 1;
        proof_solve(&f);
        proof_check_identity(&f);
        const proof_copy first = proof_keep(&f);
        for (int32_t form = NDE_RECORD_STAGES; form <= NDE_RECORD_CHECKPOINTS; form++) {
            f.options.record = form;
            proof_solve(&f);
            const char *differs = proof_differs(&f, &first);
            if (differs) fail_msg("record %d: %s", (int)form, differs);
        }
        nde_gradient_report r = NDE_INIT(nde_gradient_report, .h = 0);
        const nde_seed seed = NDE_INIT(nde_seed, .quadrature = f.seed_z);
        assert_int_equal(nde_gradient_check(&f.problem, &f.options, &seed, 5, &r), NDE_OK);
        assert_true(r.forward_error <= (is_double ? 1e-11 : 1e-4) && r.difference_error <= (is_double ? 1e-8 : 1e-2));
        proof_end(&f);
    }
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    nde_field f = nde_field_mlp(&network);
    nde_frobenius of = NDE_INIT(nde_frobenius, .field = NULL);
    assert_null(nde_field_kinetic(NULL).eval);
    assert_null(nde_field_frobenius(NULL).eval);
    assert_null(nde_field_frobenius(&of).eval);
    assert_non_null(strstr(nde_error(), "field is NULL"));
    of.field = &f;
    assert_null(nde_field_frobenius(&of).jvp);
    f.vjp_jvp = NULL;
    assert_null(nde_field_frobenius(&of).vjp);
    f.vjp = NULL, f.vjp_window = NULL, f.cotape = 0;
    assert_null(nde_field_frobenius(&of).eval);
    assert_non_null(strstr(nde_error(), "no vjp"));
    assert_true(nde_field_kinetic(&f).eval && !nde_field_kinetic(&f).vjp);
}

/* ---- STEER -------------------------------------------------------------------------------------------------------- */

/* Ends are uniform and a function of (seed, trajectory), and the gradient by an end is the slope there. */
static void ends_are_drawn(void **state) {
    (void)state;
    enum { N = 2000 };
    static double t1[N], t0[N], again[N], g[N];
    static nde_real ones[N];
    double mean = 0, square = 0, sum = 0;
    assert_int_equal(nde_steer(7, N, 1, 0.5, t1), NDE_OK);
    assert_int_equal(nde_steer(7, N/2, 1, 0.5, again), NDE_OK);
    assert_memory_equal(t1, again, N/2*sizeof *t1);
    assert_int_equal(nde_steer(8, N, 1, 0.5, again), NDE_OK);
    assert_true(again[3] != t1[3]);
    for (size_t i = 0; i < N; i++) {
        assert_true(t1[i] > 0.5 && t1[i] < 1.5);
        mean += (t1[i] - 1)/N, square += (t1[i] - 1)*(t1[i] - 1)/N;
        ones[i] = 1;
    }
    assert_true(fabs(mean) < 5*0.5/sqrt(3.0*N) && fabs(square - 0.25/3) < 5*0.25/sqrt(11.25*N));
    nde_field field = nde_field_cube(1);
    nde_problem problem = NDE_INIT(nde_problem, .n = N, .y0 = ones, .drift = &field, .t0_each = t0, .t1_each = t1);
    for (size_t i = 0; i < N; i++) ones[i] = (nde_real)0.5; /* y' = y^3: 1/y^2 = 4 - 2t */
    nde_solver *solver;
    nde_solution solution = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solver_create(&problem,
                                       &NDE_INIT(nde_options, .adjoint = NDE_ADJOINT_DISCRETE,
                                                 .rtol = is_double ? 1e-9 : 1e-5), &solver), NDE_OK);
    assert_int_equal(nde_solver_run(solver, &solution), NDE_OK);
    static nde_real seed[N];
    for (size_t i = 0; i < N; i++) seed[i] = 1;
    assert_int_equal(nde_backward(solver, &NDE_INIT(nde_seed, .y_end = seed), &NDE_INIT(nde_gradient, .t1 = g)), NDE_OK);
    for (size_t i = 0; i < N; i++) {
        const double y = 1/sqrt(4 - 2*t1[i]);
        sum += g[i];
        assert_true(fabs((double)solution.y_end[i] - y) < (is_double ? 1e-7 : 1e-3) &&
                    fabs(g[i] - y*y*y) < (is_double ? 1e-6 : 1e-2));
    }
    assert_true(sum > 0);
    nde_solver_destroy(solver);
    assert_int_equal(nde_steer(7, 1, 1, 0, t1), NDE_E_ARG);
    assert_int_equal(nde_steer(7, 1, (double)NAN, 1, t1), NDE_E_ARG);
    assert_int_equal(nde_steer(7, 1, 1, 1, NULL), NDE_E_ARG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derivatives_are_right),
        cmocka_unit_test(values_are_right),
        cmocka_unit_test(integrals_have_gradients),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(ends_are_drawn),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
