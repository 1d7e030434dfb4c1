/* SPDX-License-Identifier: MIT
 * diffusion.c - gradients through every method with every kind of noise that it takes, in both calculi, converted where
 * they must be:
 * <w, J v> = <J' w, v> with forward mode, for times too; differences of the run along the same path; equal bits in every
 * form of the record. */
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
    proof_solve(&f);
    proof_check_identity(&f);
    nde_gradient_report r = NDE_INIT(nde_gradient_report, .h = 0);
    const nde_seed seed = proof_seeds(&f);
    if (nde_gradient_check(&f.problem, &f.options, &seed, 3, &r)) fail_msg("%s", nde_error());
    if (!(r.forward_error <= (is_double ? 1e-9 : 1e-3)))
        fail_msg("%s, kind %d: %g from forward mode", m->name, kind, r.forward_error);
    if (!(r.difference_error <= (is_double ? 1e-8 : 3e-2)))
        fail_msg("%s, kind %d: %g from differences", m->name, kind, r.difference_error);
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
                if (!(fabs(a - b) <= (is_double ? 1e-11 : 1e-3)*(1 + fabs(b))))
                    fail_msg("kind %d, %s: %g, not %g", kind, input_names[which], a, b);
            }
        end(&f, &g);
    }
}

/* ---- paths -------------------------------------------------------------------------------------------------------- */

static const char path_drift[] =
    "state y[2]; input x; param p[3]; own q; dy = [p[0]*y[0]*cos(t) + q*y[1]*x, p[2] + x^2 - sin(y[0])*y[1]/2]";
static const char path_term[] = "state y[2]; input x, z[2]; dy = [y[0]*z[0]*x, sin(y[1])*z[1]]";
static const char path_quadrature[] = "state y[2]; input x; param p[3]; out = p[0]*y[0]*y[1] + x";
static const struct { int kind; const char *text; } path_noise[] = {
    { NDE_NOISE_DIAGONAL, "state y[2]; input x; param p[3]; own q; dy = p[1]*(1 + x^2/4)*[sin(y[0]) + q, tanh(y[1])]" },
    { NDE_NOISE_GENERAL, "state y[2]; input x, u[3]; param p[3]; own q;"
                         "dy = [p[1]*y[1]*u[0]*x + q*sin(y[0])*u[1], p[2]*y[0]*u[2] + x*cos(y[1])*u[0]]" },
    { NDE_NOISE_ADDITIVE, "state y[2]; input x, u[3]; param p[3]; own q; dy = [p[1]*u[0]*x + q*u[1], p[2]*u[2] + x*u[0]]" },
};

/* An input path that drift, noise, a controlled term and the quadrature read, and the path that drives that term: knots at
 * nodes. */
static void check_paths(const nde_method *m, size_t which) {
    const int kind = path_noise[which].kind;
    const bool ito = m->calculus & NDE_ITO;
    proof f;
    nde_program *g[] = { parsed(path_drift), parsed(path_term), parsed(path_noise[which].text), parsed(path_quadrature) };
    proof_begin(&f, 5, &growth_model, false, 0.25, 1.25, 1);
    f.drift = nde_field_program(g[0]);
    proof_parameters(&f, 3, (double[]){ 0.5, 0.375, 0.25 });
    f.problem.q = proof_input_make(&f, IN_Q, 1, false, false, 0.5, 0.25);
    proof_quadrature(&f, &count_model, false);
    f.quadrature = nde_field_program(g[3]), f.nz = 1;
    proof_path(&f, &f.input, IN_INPUT_X, 1, 0, 1.5), proof_path(&f, &f.path, IN_TERM_X, 2, 0.25, 1.25);
    f.problem.input = &f.input;
    f.noise = NDE_INIT(nde_noise, .seed = 20, .grid = 80);
    proof_term(&f, 0, &volatility_model, &f.path, NULL, 0, false);
    proof_term(&f, 1, &volatility_model, NULL, &f.noise, kind, false);
    f.term_field[0] = nde_field_program(g[1]), f.term_field[1] = nde_field_program(g[2]);
    f.problem.calculus = ito ? NDE_ITO : NDE_STRATONOVICH;
    proof_save(&f, 3, (double[]){ 0.5, 0.8, 1.25 });
    f.options.method = nde_method_id(m), f.options.steps = 40, f.options.budget = (size_t)16 << 20;
    proof_solve(&f);
    proof_check_identity(&f);
    for (int which_path = IN_INPUT_X; which_path <= IN_TERM_X; which_path++) {
        const proof_input *in = &f.in[which_path];
        double slope[2], told = 0, size = 0;
        for (size_t i = 0; i < in->count; i++)
            told += input_get(in, in->g, i)*input_get(in, in->v, i), size += fabs(input_get(in, in->g, i));
        for (int j = 0; j < 2; j++) {
            const double h = (is_double ? 1e-3 : 4e-2)/(1 << j);
            double moved[2];
            for (int sign = 0; sign < 2; sign++) {
                for (size_t i = 0; i < in->count; i++)
                    input_set(in, in->x, i, input_get(in, in->x, i) + (sign ? -h : h)*input_get(in, in->v, i));
                moved[sign] = loss(&f);
                for (size_t i = 0; i < in->count; i++)
                    input_set(in, in->x, i, input_get(in, in->x, i) - (sign ? -h : h)*input_get(in, in->v, i));
            }
            slope[j] = (moved[0] - moved[1])/(2*h);
        }
        const double difference = (4*slope[1] - slope[0])/3;
        if (!(fabs(difference - told) <= (is_double ? 1e-8 : 3e-3)*(1 + size)))
            fail_msg("%s, kind %d, %s: %g, not %g", m->name, kind, input_names[which_path], told, difference);
    }
    if (m == nde_method_get(NDE_REVERSIBLE_HEUN)) {
        const proof_copy discrete = proof_keep(&f);
        f.options.adjoint = NDE_ADJOINT_REVERSIBLE, f.options.quantum = is_double ? 0x1p-40 : 0x1p-16;
        proof_solve(&f);
        for (int in = IN_INPUT_X; in <= IN_TERM_X; in++)
            for (size_t i = 0; i < f.in[in].count; i++) {
                const double a = input_get(&f.in[in], f.in[in].g, i), b = input_get(&f.in[in], discrete.g[in], i);
                assert_true(fabs(a - b) <= (is_double ? 1e-9 : 1e-2)*(1 + fabs(b)));
            }
    }
    proof_end(&f);
    for (size_t i = 0; i < LENGTH(g); i++) nde_program_destroy(g[i]);
}

static void paths_have_gradients_under_noise(void **state) {
    (void)state;
    for (size_t k = 0; k < nde_method_count(); k++)
        for (size_t which = 0; which < LENGTH(path_noise); which++)
            if (nde_method_strong(nde_method_at(k), path_noise[which].kind)) check_paths(nde_method_at(k), which);
}

/* A step with noise of a grid cannot be divided by a knot; one of a tree can. */
static void knots_with_noise_are_at_nodes(void **state) {
    (void)state;
    for (int source = NDE_SOURCE_GRID; source <= NDE_SOURCE_TREE; source++) {
        proof f;
        fields g;
        make(&f, &g, nde_method_get(NDE_HEUN), NDE_NOISE_DIAGONAL, NDE_STRATONOVICH);
        nde_program *term = parsed("state y[2]; input z[2]; dy = [z[0], z[1]]");
        f.term[1] = f.term[0], f.term_field[1] = f.term_field[0], f.term[1].field = &f.term_field[1];
        proof_path(&f, &f.path, IN_TERM_X, 2, 0.3, 1.6);
        f.term_field[0] = nde_field_program(term);
        f.term[0] = NDE_INIT(nde_term, .field = &f.term_field[0], .path = &f.path), f.problem.n_terms = 2;
        f.noise.source = source;
        proof_create(&f);
        assert_int_equal(proof_run(&f), source == NDE_SOURCE_GRID ? NDE_E_ARG : NDE_OK);
        if (source == NDE_SOURCE_GRID) assert_non_null(strstr(nde_solver_error(f.solver), "knots must be at nodes"));
        else proof_backward(&f), proof_check_identity(&f);
        nde_program_destroy(term);
        end(&f, &g);
    }
}

/* What needs second derivatives says so where a field lacks them. */
static void second_derivatives_are_asked_for_by_name(void **state) {
    (void)state;
    proof f;
    fields g;
    make(&f, &g, nde_method_get(NDE_MILSTEIN), NDE_NOISE_DIAGONAL, NDE_STRATONOVICH);
    f.term_field[0].vjp_jvp = NULL;
    f.options.record = 0;
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_OK);
    const nde_seed seed = proof_seeds(&f);
    const nde_gradient gradient = proof_gradient(&f);
    assert_int_equal(nde_backward(f.solver, &seed, &gradient), NDE_E_NO_VJP);
    assert_non_null(strstr(nde_solver_error(f.solver), "vjp_jvp"));
    const nde_direction along = NDE_INIT(nde_direction, .y0 = f.in[IN_Y0].v);
    const nde_output_tangent out = NDE_INIT(nde_output_tangent, .y_end = f.out_y);
    assert_int_equal(nde_forward(f.solver, &along, &out), NDE_E_NO_JVP);
    assert_non_null(strstr(nde_solver_error(f.solver), "has no vjp_jvp"));
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
        cmocka_unit_test(paths_have_gradients_under_noise),
        cmocka_unit_test(knots_with_noise_are_at_nodes),
        cmocka_unit_test(second_derivatives_are_asked_for_by_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
