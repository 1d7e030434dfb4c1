/* SPDX-License-Identifier: MIT
 * diffusion.c - gradients through every method with every kind of noise that it takes, in both calculi, converted where they must be:
 * <w, J v> = <J' w, v> with forward mode, for times too; differences of the run along the same path; equal bits in every form of the
 * record; and with derivatives of the noise in the step, where there is no forward mode, differences in every input. */
#include "adjoint/noisy.h"

/* <seed, outputs> of a run. */
static double loss(proof *f) {
    nde_solver *s;
    nde_solution y = { 0 };
    double sum = 0;
    assert_int_equal(nde_solver_create(&f->problem, &f->options, &s), NDE_OK);
    assert_int_equal(nde_solver_run(s, &y), NDE_OK);
    for (size_t i = 0; i < f->rows*f->out*f->n; i++) sum += (double)f->seed_y[i]*(double)y.y[i];
    for (size_t i = 0; i < f->dim*f->n; i++) sum += (double)f->seed_end[i]*(double)y.y_end[i];
    for (size_t i = 0; i < f->nz*f->n; i++) sum += (double)f->seed_z[i]*(double)y.quadrature[i];
    nde_solver_destroy(s);
    return sum;
}

/* The loss at a time of all trajectories moved by h. */
static double moved(proof *f, double *time, double h) {
    const double was = *time;
    *time = was + h;
    const double l = loss(f);
    return *time = was, l;
}

/* The sum over trajectories of the gradient by t0 or t1 beside a difference, extrapolated twice; saves are off both ends. */
static double error_of_time(proof *f, int which) {
    double *const time = which == IN_T0 ? &f->problem.t0 : &f->problem.t1, slope[3], sum = 0, size = 1;
    for (int i = 0; i < 3; i++) {
        const double h = 0.02/(1 << i);
        slope[i] = (moved(f, time, h) - moved(f, time, -h))/(2*h);
    }
    for (int i = 0; i < 2; i++) slope[i] = (4*slope[i + 1] - slope[i])/3;
    for (size_t b = 0; b < f->n; b++) {
        const double g = ((double *)f->in[which].g)[b];
        sum += g, size += fabs(g);
    }
    return fabs((16*slope[1] - slope[0])/15 - sum)/size;
}

static const bool is_double = sizeof(nde_real) == sizeof(double);

static void check(const nde_method *m, int kind, int calculus) {
    proof f;
    fields g;
    make(&f, &g, m, kind, calculus);
    const bool second = nde_method_follows(m) || f.options.convert || (nde_method_calculus(m) == 3 && m->calculus != calculus);
    proof_solve(&f);
    if (!second) proof_check_identity(&f);
    nde_gradient_report r = NDE_INIT(nde_gradient_report, .h = 0);
    const nde_seed seed = proof_seeds(&f);
    if (nde_gradient_check(&f.problem, &f.options, &seed, 3, &r)) fail_msg("%s", nde_error());
    if (!(r.difference_error <= (is_double ? 1e-8 : 3e-2))) fail_msg("%s, kind %d: %g from differences", m->name, kind, r.difference_error);
    f.options.n_save = 0, f.options.save_t = NULL, f.in[IN_SAVE_T] = (proof_input){ 0 };
    proof_solve(&f);
    for (int which = IN_T0; is_double && which <= IN_T1; which++) {
        const double error = error_of_time(&f, which);
        if (!(error <= 1e-8)) fail_msg("%s, kind %d, %s: %g", m->name, kind, input_names[which], error);
    }
    const proof_copy tape = proof_keep(&f);
    for (int form = NDE_RECORD_STAGES; form <= NDE_RECORD_CHECKPOINTS; form++) {
        f.options.record = form;
        proof_solve(&f);
        const char *other = proof_differs(&f, &tape);
        if (other) fail_msg("%s, kind %d, record %d: other bits in %s", m->name, kind, form, other);
    }
    end(&f, &g);
}

static void gradients_are_those_of_the_steps(void **state) {
    (void)state;
    for (size_t k = 0; k < nde_method_count(); k++)
        for (int kind = NDE_NOISE_DIAGONAL; kind <= NDE_NOISE_GENERAL; kind++)
            for (int calculus = NDE_ITO; calculus <= NDE_STRATONOVICH; calculus++)
                if (nde_method_strong(nde_method_at(k), kind)) check(nde_method_at(k), kind, calculus);
}

/* Steps with noise are undone: the gradient of the record, to what rounding becomes on the way back; every kind of noise. */
static void the_reversible_adjoint_sees_the_same_path(void **state) {
    (void)state;
    for (int kind = NDE_NOISE_DIAGONAL; kind <= NDE_NOISE_GENERAL; kind++) {
        proof f;
        fields g;
        make(&f, &g, nde_method_get(NDE_REVERSIBLE_HEUN), kind, NDE_STRATONOVICH);
        proof_solve(&f);
        const proof_copy discrete = proof_keep(&f);
        f.options.adjoint = NDE_ADJOINT_REVERSIBLE;
        proof_solve(&f);
        for (int which = 0; which < INPUTS; which++)
            for (size_t i = 0; i < f.in[which].count; i++) {
                const double a = input_get(&f.in[which], f.in[which].g, i), b = input_get(&f.in[which], discrete.g[which], i);
                if (!(fabs(a - b) <= (is_double ? 1e-11 : 1e-3)*(1 + fabs(b)))) fail_msg("kind %d, %s: %g, not %g", kind, input_names[which], a, b);
            }
        end(&f, &g);
    }
}

/* What needs second derivatives says so: forwards there are none, and a field may lack them. */
static void second_derivatives_are_asked_for_by_name(void **state) {
    (void)state;
    proof f;
    fields g;
    make(&f, &g, nde_method_get(NDE_MILSTEIN), NDE_NOISE_DIAGONAL, NDE_STRATONOVICH);
    proof_solve(&f);
    const nde_direction along = NDE_INIT(nde_direction, .y0 = f.in[IN_Y0].v);
    const nde_output_tangent out = NDE_INIT(nde_output_tangent, .y = f.out_y);
    assert_int_equal(nde_forward(f.solver, &along, &out), NDE_E_NO_JVP);
    assert_non_null(strstr(nde_solver_error(f.solver), "no jvp of its own"));
    f.term_field[0].vjp_jvp = NULL;
    f.options.record = 0;
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_OK);
    const nde_seed seed = proof_seeds(&f);
    const nde_gradient gradient = proof_gradient(&f);
    assert_int_equal(nde_backward(f.solver, &seed, &gradient), NDE_E_NO_VJP);
    assert_non_null(strstr(nde_solver_error(f.solver), "vjp_jvp"));
    f.options.curvature = 1;
    nde_solver *s;
    assert_int_equal(nde_solver_create(&f.problem, &f.options, &s), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "options.curvature"));
    end(&f, &g);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_are_those_of_the_steps),
        cmocka_unit_test(the_reversible_adjoint_sees_the_same_path),
        cmocka_unit_test(second_derivatives_are_asked_for_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
