/* SPDX-License-Identifier: MIT
 * truth.c - nde_gradient_check: finds right gradients right, whatever is in the problem, and wrong ones wrong. */
#include "adjoint/cases.h"

static nde_gradient_report check(proof *f) {
    const nde_seed seed = proof_seeds(f);
    nde_gradient_report r = NDE_INIT(nde_gradient_report, .h = 0);
    const nde_status status = nde_gradient_check(&f->problem, &f->options, &seed, 5, &r);
    if (status) fail_msg("%s: %s", nde_status_name(status), nde_error());
    return r;
}

/* Both truths agree with the discrete adjoint of every case. */
static void right_gradients_are_found_right(void **state) {
    (void)state;
    const double allowed[] = { sizeof(nde_real) == 8 ? 1e-12 : 1e-4, sizeof(nde_real) == 8 ? 1e-9 : 1e-2 };
    for (int which = CASE_GROWTH; which < CASES; which++) {
        proof f;
        case_make(which, &f, 0, which % 2);
        proof_solve(&f);
        const nde_gradient_report r = check(&f);
        if (!(r.forward_error <= allowed[0] && r.difference_error <= allowed[1]))
            fail_msg("%s: %g from forward mode, %g from differences", case_names[which], r.forward_error, r.difference_error);
        assert_true(r.inputs == f.in[IN_Y0].count + f.in[IN_P].count + f.in[IN_Q].count && r.steps > 0 &&
                    r.evals >= r.steps && r.h > 0);
        assert_true(r.norm_y0 > 0 && r.norm_p > 0 && (r.norm_q > 0) == (f.in[IN_Q].count > 0));
        proof_end(&f);
    }
}

/* The continuous ones, to their tolerance. */
static void continuous_gradients_are_near(void **state) {
    (void)state;
    for (int adjoint = NDE_ADJOINT_BACKSOLVE; adjoint <= NDE_ADJOINT_GAUSS; adjoint++) {
        proof f;
        case_controlled(&f, 0, true);
        f.options.rtol = f.options.atol = sizeof(nde_real) == 8 ? 1e-9 : 1e-5;
        proof_solve(&f);
        f.options.adjoint = adjoint;
        const nde_gradient_report r = check(&f);
        assert_true(r.forward_error > 0 && r.forward_error <= (sizeof(nde_real) == 8 ? 1e-6 : 1e-2));
        assert_true(r.difference_error <= (sizeof(nde_real) == 8 ? 1e-6 : 3e-2));
        proof_end(&f);
    }
}

/* One entry of one derivative is a tenth too large. */
static int broken_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const int rc = model_vjp(self, at, y, a, to);
    for (size_t b = 0; b < at->n && to->y; b++) to->y[b] += (nde_real)0.1*a[b];
    return rc;
}

static void wrong_gradients_are_found_wrong(void **state) {
    (void)state;
    for (int jvp = 0; jvp < 2; jvp++) {
        proof f;
        case_controlled(&f, 0, false);
        proof_solve(&f);
        f.drift.vjp = broken_vjp;
        if (!jvp) f.drift.jvp = NULL;
        const nde_gradient_report r = check(&f);
        assert_true(jvp ? r.forward_error > 1e-2 : isnan(r.forward_error) && isnan(r.forward[0]));
        assert_true(r.difference_error > 1e-2);
        proof_end(&f);
    }
}

static void errors_leave_the_report(void **state) {
    (void)state;
    proof f;
    case_controlled(&f, 0, false);
    proof_solve(&f);
    nde_gradient_report r = NDE_INIT(nde_gradient_report, .h = 42);
    assert_int_equal(nde_gradient_check(&f.problem, &f.options, NULL, 5, &r), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "problem.loss"));
    const nde_seed seed = proof_seeds(&f);
    f.problem.p = NULL;
    assert_int_equal(nde_gradient_check(&f.problem, &f.options, &seed, 5, &r), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "problem.p"));
    f.problem.p = f.in[IN_P].x;
    f.drift.vjp = NULL;
    assert_int_equal(nde_gradient_check(&f.problem, &f.options, &seed, 5, &r), NDE_E_NO_VJP);
    assert_true(r.h == 42);
    proof_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_gradients_are_found_right),
        cmocka_unit_test(continuous_gradients_are_near),
        cmocka_unit_test(wrong_gradients_are_found_wrong),
        cmocka_unit_test(errors_leave_the_report),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
