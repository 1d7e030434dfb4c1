/* SPDX-License-Identifier: MIT
 * spans.c - spans without length, of one ulp, of the whole line, backwards in time; jumps, knots and saves at their ends;
 * tolerances of every size; what a failure says. */
#include "rig.h"

#include <float.h>

static void solve(rig *r, nde_status expected) {
    assert_int_equal(nde_solver_create(&r->problem, &r->options, &r->solver), NDE_OK);
    const nde_status status = nde_solver_run(r->solver, &r->solution);
    if (status != expected)
        fail_msg("%s from %g to %g: %s, %s", kind_names[r->kind], r->problem.t0, r->problem.t1, nde_status_name(status),
                 nde_solver_error(r->solver));
}

/* Every kind and method, fixed and adaptive. */
static void each(void (*test)(rig *r, const nde_method *method, bool fixed)) {
    static rig r;
    for (size_t m = 0; m < nde_method_count(); m++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int bits = 0; bits < 4; bits++) {
                rig_make(&r, kind, 3);
                if (!rig_method(&r, nde_method_at(m), bits & 1)) continue;
                r.options.stepping = bits & 2 ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
                r.options.adjoint = NDE_ADJOINT_DISCRETE;
                test(&r, nde_method_at(m), bits & 1);
            }
}

/* ---- N5 ----------------------------------------------------------------------------------------------------------- */

static void no_length(rig *r, const nde_method *method, bool fixed) {
    (void)method, (void)fixed;
    static const double times[] = { 0, -0.0, 0.25, 1, -1e30 }; /* 0.25: a jump, 1: the last knot */
    for (size_t i = 0; i < LENGTH(times); i++) {
        r->problem.t0 = r->problem.t1 = times[i];
        for (size_t k = 0; k < N_SAVE; k++) r->save_t[k] = times[i];
        solve(r, NDE_OK);
        const size_t values = r->field[DRIFT].dim*r->n;
        assert_memory_equal(r->solution.y_end, r->y0, values*sizeof(nde_real));
        for (size_t row = 0; row < N_SAVE && !r->problem.observe; row++)
            assert_memory_equal(r->solution.y + row*values, r->y0, values*sizeof(nde_real));
        for (size_t b = 0; b < r->n; b++) {
            assert_true(r->solution.t_end[b] == times[i] && r->solution.saved[b] == N_SAVE);
            assert_int_equal(r->solution.stats[b].accepted, 0);
        }
        if (r->nz) assert_true(r->solution.quadrature[0] == 0);
        assert_int_equal(nde_backward(r->solver, &r->seed, &r->gradient), NDE_OK);
        for (size_t k = 0; k < values && !r->problem.observe; k++) { /* the identity */
            nde_real sum = r->seed_end[k];
            for (size_t row = N_SAVE; row-- > 0;) sum += r->seed_y[row*values + k];
            assert_true(fabs((double)r->gradient.y0[k] - (double)sum) <= 8*NDE_TEST_EPS);
        }
        for (size_t k = 0; k < r->field[DRIFT].np && !r->problem.observe; k++) assert_true(r->gradient.p[k] == 0);
        assert_int_equal(nde_forward(r->solver, &r->direction, &r->tangent), NDE_OK);
        nde_real y[4], dy[4];
        assert_int_equal(nde_solver_dense(r->solver, 1, times[i], y, dy), NDE_OK);
        for (size_t k = 0; k < r->field[DRIFT].dim; k++) assert_true(y[k] == r->y0[k*r->n + 1]);
        nde_solver_destroy(r->solver);
    }
}

static void spans_without_length(void **state) {
    (void)state;
    each(no_length);
}

/* Short spans are solved, or fixed steps that are nothing beside t are refused. */
static void short_span(rig *r, const nde_method *method, bool fixed) {
    static const double starts[] = { 0, 1, -3, 1e10, 1e-300, -1e10 };
    for (size_t i = 0; i < LENGTH(starts); i++)
        for (int ulps = 1; ulps <= 3; ulps++) {
            double t1 = starts[i];
            for (int k = 0; k < ulps; k++) t1 = nextafter(t1, (double)INFINITY);
            if (r->kind == JUMPS || r->kind == EVERYTHING) { /* both ends: they do nothing; and one inside */
                r->jump_t[0] = ulps == 3 ? nextafter(starts[i], (double)INFINITY) : starts[i];
                r->jump_t[1] = t1;
            }
            r->problem.t0 = starts[i], r->problem.t1 = t1;
            for (size_t k = 0; k < N_SAVE; k++) r->save_t[k] = k < 2 ? starts[i] : t1;
            assert_int_equal(nde_solver_create(&r->problem, &r->options, &r->solver), NDE_OK);
            const nde_status status = nde_solver_run(r->solver, &r->solution);
            if (status == NDE_OK) {
                assert_true(states_are_finite(&r->solution) && r->solution.t_end[0] == t1);
                assert_int_equal(nde_backward(r->solver, &r->seed, &r->gradient), NDE_OK);
            } else {
                bool too_small = status == NDE_E_STEPSIZE || status == NDE_E_LANES;
                for (size_t b = 0; status == NDE_E_LANES && b < r->n; b++)
                    too_small = too_small && (r->solution.status[b] == NDE_OK || r->solution.status[b] == NDE_E_STEPSIZE);
                if (!too_small)
                    fail_msg("%s, %s, %d ulps at %g: %s %s", nde_method_name(method), kind_names[r->kind], ulps, starts[i],
                             nde_status_name(status), nde_solver_error(r->solver));
                assert_true(!fixed || strstr(nde_solver_error(r->solver), "options.steps is 8"));
            }
            nde_solver_destroy(r->solver);
        }
}

static void spans_of_ulps(void **state) {
    (void)state;
    each(short_span);
}

static void impossible_spans(void **state) {
    (void)state;
    static rig r;
    static const double huge[][2] = {
        { -1e308, 1e308 }, { 1e308, -1e308 }, { 0, (double)INFINITY }, { -(double)INFINITY, 0 }, { (double)NAN, 0 },
            { 0, (double)NAN },
    };
    rig_make(&r, PLAIN, 1);
    r.options.save_t = NULL, r.options.n_save = 0;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
    for (size_t i = 0; i < LENGTH(huge); i++) { /* each_t are read anew by each run */
        nde_solver *s;
        r.problem.t0 = huge[i][0], r.problem.t1 = huge[i][1];
        assert_int_equal(nde_solver_create(&r.problem, &r.options, &s), NDE_OK);
        assert_int_equal(nde_solver_run(s, &r.solution), NDE_E_ARG);
        assert_non_null(strstr(nde_solver_error(s), "t0"));
        nde_solver_destroy(s);
    }
    nde_solver_destroy(r.solver);

    rig_make(&r, PLAIN, 3);
    double each_t1[3] = { 1, 2, -1 };
    r.problem.t1_each = each_t1;
    r.options.save_t = NULL, r.options.n_save = 0;
    solve(&r, NDE_E_ARG);
    assert_non_null(strstr(nde_solver_error(r.solver), "trajectory 2"));
    each_t1[2] = 0; /* one without length among others */
    assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
    assert_true(r.solution.t_end[0] == 1 && r.solution.t_end[1] == 2 && r.solution.t_end[2] == 0);
    assert_true(r.solution.y_end[2] == r.y0[2]);
    nde_solver_destroy(r.solver);
    r.options.stepping = NDE_STEP_JOINT;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_E_ARG);

    static const double not_monotone[][4] = { { 0.5, 0.5, 0.9, 0.1 }, { 0.1, 0.2, 0.15, 0.3 }, { 0.9, 0.1, 0.1, 0.5 } };
    for (size_t i = 0; i < LENGTH(not_monotone); i++) {
        rig_make(&r, PLAIN, 1);
        memcpy(r.save_t, not_monotone[i], sizeof r.save_t);
        assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_E_ARG);
        assert_non_null(strstr(nde_error(), "monotone"));
    }
}

/* Backward in time equals forward of the mirrored problem, bit for bit. */
typedef struct mirror {
    const nde_field *inner;
    bool negate;
} mirror;

static int mirror_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const mirror *m = self->ctx;
    double t[MOST];
    nde_site there = *at;
    for (size_t b = 0; b < at->n; b++) t[b] = -at->t[b];
    there.t = t;
    const int rc = m->inner->eval(m->inner, &there, y, dy);
    for (size_t i = 0; m->negate && i < self->out; i++)
        for (size_t b = 0; b < at->n; b++) dy[i*at->ld + b] = -dy[i*at->ld + b];
    return rc;
}

static void mirrored_bits(rig *back, const nde_method *method, bool fixed) {
    static rig forth;
    static const int roles[] = { DRIFT, QUADRATURE, JUMP, OBSERVE };
    if (back->kind == NOISE || back->kind == SCALAR_NOISE) return; /* Ito noise runs forwards only */
    /* the weights of an input between its knots are not mirrored to the bit, which adaptive steps make more of */
    if (back->problem.input && !fixed) return;
    if (method->kind == NDE_KIND_NYSTROM) return; /* the mirror of q' = v is q' = -v */
    if (back->kind == NETWORK) return; /* what prepare makes belongs to the field itself: it cannot be mirrored from outside */
    rig_make(&forth, back->kind, back->n);
    rig_method(&forth, method, fixed);
    forth.options.stepping = back->options.stepping;
    back->options.adjoint = NDE_ADJOINT_NONE;
    if (test_iterates(method)) /* the mirror has no jvp */
        back->options.jacobian = forth.options.jacobian = NDE_JACOBIAN_DIFFERENCES;
    back->problem.t0 = 1, back->problem.t1 = -0.125;
    forth.problem.t0 = -1, forth.problem.t1 = 0.125;
    back->jump_t[0] = 0.625, back->jump_t[1] = 0.25, forth.jump_t[0] = -0.625, forth.jump_t[1] = -0.25;
    for (size_t i = 0; i < N_SAVE; i++) back->save_t[i] = 1 - 0.3*(double)i, forth.save_t[i] = -back->save_t[i];
    mirror m[ROLES];
    for (size_t i = 0; i < LENGTH(roles); i++) {
        const int role = roles[i];
        if (!forth.field[role].eval) continue;
        m[role] = (mirror){ &back->inner[role], role == DRIFT || role == QUADRATURE };
        forth.field[role].ctx = &m[role], forth.field[role].eval = mirror_eval, forth.field[role].vjp = NULL;
        forth.field[role].vjp_window = NULL, forth.field[role].jvp = NULL;
    }
    for (size_t k = 0; k < KNOTS; k++) {
        forth.path_t[k] = -back->path_t[KNOTS - 1 - k], forth.input_t[k] = -back->input_t[KNOTS - 1 - k];
        for (size_t b = 0; b < back->n; b++) {
            forth.path_x[k*back->n + b] = back->path_x[(KNOTS - 1 - k)*back->n + b];
            forth.input_x[k*back->n + b] = back->input_x[(KNOTS - 1 - k)*back->n + b];
        }
    }
    solve(back, NDE_OK);
    solve(&forth, NDE_OK);
    const nde_solution *x = &back->solution, *y = &forth.solution;
    for (size_t b = 0; b < back->n; b++) {
        assert_true(x->t_end[b] == -y->t_end[b] && x->saved[b] == y->saved[b]);
        assert_int_equal(x->stats[b].accepted, y->stats[b].accepted);
        assert_int_equal(x->stats[b].rejected, y->stats[b].rejected);
        if (!back->problem.input)
            assert_true(x->stats[b].h_first == -y->stats[b].h_first && x->stats[b].h_last == -y->stats[b].h_last);
    }
    double weights = 1; /* large ones of either sign cancel */
    for (int i = 0; i < method->stages; i++) weights += fabs(method->b[i]);
    const double close = back->problem.input ? 2048*NDE_TEST_EPS*weights : 0;
    for (size_t i = 0; i < N_SAVE*x->out*x->n; i++)
        if (!(fabs((double)x->y[i] - (double)y->y[i]) <= close))
            fail_msg("%s, %s%s: y[%zu] is %.17g, mirrored %.17g", nde_method_name(method), kind_names[back->kind],
                     fixed ? ", fixed" : "", i, (double)x->y[i], (double)y->y[i]);
    for (size_t i = 0; i < x->dim*x->n; i++) assert_true(fabs((double)x->y_end[i] - (double)y->y_end[i]) <= close);
    for (size_t i = 0; i < x->nz*x->n; i++)
        assert_true(fabs((double)x->quadrature[i] - (double)y->quadrature[i]) <= close);
    nde_solver_destroy(back->solver);
    nde_solver_destroy(forth.solver);
}

static void backwards_is_the_mirror(void **state) {
    (void)state;
    each(mirrored_bits);
}

/* Jumps, knots and saves at the ends and outside: those outside do nothing. */
static void ends(rig *r, const nde_method *method, bool fixed) {
    (void)method;
    if (r->kind != JUMPS) return;
    static const double places[][2] = { { -1, -0.5 }, { 0, 1 }, { 1, 1.5 }, { -0.5, 7 }, { -1e308, 1e308 } };
    const nde_field *jump = r->problem.jump;
    r->problem.n_jumps = 0, r->problem.jump = NULL, r->problem.jump_inputs = 0;
    solve(r, NDE_OK);
    const size_t values = N_SAVE*3*r->n;
    static nde_real plain[N_SAVE*3*MOST];
    memcpy(plain, r->solution.y, values*sizeof *plain);
    nde_solver_destroy(r->solver);
    r->problem.n_jumps = N_JUMPS, r->problem.jump = jump, r->problem.jump_inputs = 1;
    for (size_t i = 0; i < LENGTH(places); i++) {
        memcpy(r->jump_t, places[i], sizeof r->jump_t);
        solve(r, NDE_OK);
        assert_memory_equal(r->solution.y, plain, values*sizeof *plain);
        assert_int_equal(nde_backward(r->solver, &r->seed, &r->gradient), NDE_OK);
        for (size_t k = 0; k < N_JUMPS; k++)
            if (r->g_jump_t[k] != 0 || r->g_jump_u[k] != 0)
                fail_msg("%s, jump %zu at %g does nothing, but has the gradients %g, %g", nde_method_name(method), k,
                         r->jump_t[k], r->g_jump_t[k], (double)r->g_jump_u[k]);
        nde_solver_destroy(r->solver);
    }
    static const double wrong[][2] = { { 0.5, 0.5 }, { 0.5, 0.25 }, { 0.5, (double)NAN }, { -(double)INFINITY, 0.5 } };
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        memcpy(r->jump_t, wrong[i], sizeof r->jump_t);
        solve(r, NDE_E_ARG);
        assert_non_null(strstr(nde_solver_error(r->solver), "jump_t"));
        memcpy(r->jump_t, places[0], sizeof r->jump_t); /* read anew */
        assert_int_equal(nde_solver_run(r->solver, &r->solution), NDE_OK);
        assert_memory_equal(r->solution.y, plain, values*sizeof *plain);
        nde_solver_destroy(r->solver);
    }
    (void)fixed;
}

static void jumps_at_the_ends(void **state) {
    (void)state;
    each(ends);
}

/* ---- N6 ----------------------------------------------------------------------------------------------------------- */

static void tolerances(rig *r, const nde_method *method, bool fixed) {
    if (fixed) return;
    static const double values[] = { 0, NDE_ZERO, 5e-324, 1e-300, 1e-20, 1e-16, 1e-10, 1e-3, 1, 1e10, 1e300 };
    const int64_t most_steps = getenv("NDE_TEST_LONG") ? 2000 : 500;
    long ok = 0;
    for (size_t i = 0; i < LENGTH(values); i++)
        for (size_t j = 0; j < LENGTH(values); j++) {
            r->options.rtol = values[i], r->options.atol = values[j];
            r->options.max_steps = most_steps;
            const nde_status made = nde_solver_create(&r->problem, &r->options, &r->solver);
            if (values[i] == NDE_ZERO && values[j] == NDE_ZERO) {
                assert_int_equal(made, NDE_E_ARG);
                assert_non_null(strstr(nde_error(), "rtol"));
                continue;
            }
            assert_int_equal(made, NDE_OK);
            const nde_status status = nde_solver_run(r->solver, &r->solution);
            assert_true(states_are_finite(&r->solution));
            for (size_t b = 0; b < r->n; b++) {
                const nde_status one = r->solution.status[b];
                if (one != NDE_OK && one != NDE_E_STEPS && one != NDE_E_STEPSIZE &&
                    !(test_iterates(method) && one == NDE_E_CONVERGENCE))
                    fail_msg("%s, %s, rtol %g, atol %g: %s", nde_method_name(method), kind_names[r->kind], values[i], values[j],
                             r->solution.error);
                assert_true(r->solution.stats[b].accepted + r->solution.stats[b].rejected <= most_steps);
            }
            const double most = fmax(values[i] == 0 ? 1e-4 : values[i], values[j] == 0 ? 0 : values[j]);
            if (most >= 1e-3) assert_int_equal(status, NDE_OK);
            ok += status == NDE_OK;
            nde_solver_destroy(r->solver);
        }
    assert_true(ok >= 50);
}

static void tolerances_of_every_size(void **state) {
    (void)state;
    each(tolerances);
}

/* A tolerance of literally zero for a component, which is zero, or not. */
static int two_of_three(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    dy[0] = -y[0], dy[1] = y[0] - y[1], dy[2] = 0;
    return 0;
}

static void a_component_without_tolerance(void **state) {
    (void)state;
    const double rtol = sizeof(nde_real) == sizeof(float) ? 1e-4 : 1e-6; /* the default */
    static const nde_pointwise one = { .f = two_of_three };
    const nde_field f = nde_field_pointwise(&one, 3, 0);
    for (size_t m = 0; m < nde_method_count(); m++)
        for (int joint = 0; joint < 2; joint++)
            for (size_t n = 1; n <= 3; n += 2)
                for (int zero = 0; zero < 2; zero++) {
                    const nde_method *method = nde_method_at(m);
                    if (!nde_method_error_order(method) || nde_method_is_split(method)) continue;
                    if (nde_method_kind(method) == NDE_KIND_IMEX) continue; /* two fields */
                    /* an error of h^p where the estimate is h^(q + 1) */
                    const double slope = (double)nde_method_order(method)/(nde_method_error_order(method) + 1),
                                 bound = 10*pow(rtol, fmin(1, slope));
                    const double atol[3] = { 1e-6, 1e-6, 0 };
                    const nde_real y0[9] = { 1, 1, 1, 1, 1, 1, zero ? 0 : 2, zero ? 0 : 2, zero ? 0 : 2 };
                    const nde_real start[9] = { 1, 1, zero ? 0 : 2 };
                    const nde_problem problem = NDE_INIT(nde_problem, .n = n, .t1 = 1, .y0 = n == 1 ? start : y0, .drift = &f);
                    nde_options options = NDE_INIT(nde_options, .method = nde_method_id(method), .stepping = joint,
                                                   .jacobian = nde_method_kind(method) >= NDE_KIND_ROSENBROCK
                                                   ? NDE_JACOBIAN_DIFFERENCES : 0, .atol_each = atol);
                    nde_solution s = { .size = 0 };
                    assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
                    assert_true(fabs((double)s.y_end[0] - exp(-1)) < bound);
                    assert_true(s.y_end[2*n] == (zero ? 0 : 2));
                    nde_solution_free(&s);
                    options.atol_each = NULL, options.atol = NDE_ZERO; /* all of them */
                    assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
                    assert_true(fabs((double)s.y_end[0] - exp(-1)) < bound);
                    nde_solution_free(&s);
                }
}

/* ---- what a failure says ------------------------------------------------------------------------------------------ */

static int misbehave(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)p;
    const int how = *(const int *)ctx;
    for (size_t i = 0; i < 3; i++) dy[i] = -y[i];
    if (how == 0 && t > 0.5) dy[1] = (nde_real)NAN;
    if (how == 1) dy[2] = y[2]*y[2]; /* explodes at t = 1/y2 */
    if (how == 2 && t > 0.5) return -77;
    if (how == 3) dy[0] = (nde_real)(1e6*sin(1e6*t));
    return 0;
}

static void failures_are_described(void **state) {
    (void)state;
    static const struct { nde_status status; const char *words[4]; } expected[] = {
        { NDE_E_NONFINITE, { "trajectory 1: a value is not finite at t = 0.", ", h = ", ", component 1", NULL } },
        { NDE_E_STEPSIZE, { "trajectory 1: the step size went to zero at t = 0.", ", h = ", "of the tolerance",
                            ", component 2" } },
        { NDE_E_FIELD, { "trajectory 1: a field failed at t = 0.", ", h = ", "(the field returned -77)", NULL } },
        { NDE_E_STEPS, { "trajectory 1: too many steps at t = ", ", h = ", NULL } },
    };
    for (int how = 0; how < 4; how++)
        for (int joint = 0; joint < 2; joint++) {
            const nde_pointwise one = { .f = misbehave, .ctx = &how };
            const nde_field f = nde_field_pointwise(&one, 3, 0);
            /* [dim][n]; the second one explodes */
            const nde_real y0[6] = { 1, 1, 1, 1, how == 1 ? 0 : 1, how == 1 ? (nde_real)1.25 : 1 };
            const double t1_each[2] = { 0.25, 2 };
            const nde_problem problem = NDE_INIT(nde_problem, .n = 2, .t1 = 2, .t1_each = joint || how == 3 ? NULL : t1_each,
                                                 .y0 = y0, .drift = &f);
            const nde_options options = NDE_INIT(nde_options, .max_steps = 3000, .stepping = joint);
            nde_solution s = { .size = 0 };
            assert_int_equal(nde_status_find("nonsense", &(nde_status){ NDE_OK }), NDE_E_ARG);
            const nde_status status = nde_solve(&problem, &options, &s);
            assert_int_equal(status, joint ? expected[how].status : NDE_E_LANES);
            assert_non_null(strstr(nde_error(), "nonsense")); /* this thread's text is not the solver's */
            const size_t who = joint || how == 3 ? 0 : 1;
            assert_int_equal(s.status[who], expected[how].status);
            char first[20];
            snprintf(first, sizeof first, "trajectory %zu:", who);
            assert_true(strstr(s.error, first) == s.error);
            for (size_t i = 0; i < (joint ? 3 : 4) && expected[how].words[i]; i++)
                if (!strstr(s.error, expected[how].words[i] + (i == 0 ? 13 : 0)))
                    fail_msg("'%s' does not say '%s'", s.error, expected[how].words[i]);
            assert_string_equal(nde_solver_error(s.solver), s.error);
            if (!joint && how < 3) assert_int_equal(s.status[0], NDE_OK);
            if (how == 2) assert_int_equal(s.stats[who].callback, -77);
            nde_solution_free(&s);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_without_length),
        cmocka_unit_test(spans_of_ulps),
        cmocka_unit_test(impossible_spans),
        cmocka_unit_test(backwards_is_the_mirror),
        cmocka_unit_test(jumps_at_the_ends),
        cmocka_unit_test(tolerances_of_every_size),
        cmocka_unit_test(a_component_without_tolerance),
        cmocka_unit_test(failures_are_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
