/* SPDX-License-Identifier: MIT
 * girsanov.c - the distance between two drifts: values against definitions, derivatives against differences, and as
 * quadrature the divergence of two Ornstein-Uhlenbeck processes, with its gradient, against closed forms. */
#include "adjoint/proof.h"
#include "field/rig.h"


typedef struct scene {
    nde_program *g[3];
    nde_field field[3];
    nde_girsanov of;
} scene;

static void open_scene(scene *s, const char *posterior, const char *prior, const char *diffusion, int32_t kind, size_t inputs) {
    const char *const text[] = { posterior, prior, diffusion };
    for (int i = 0; i < 3; i++) {
        if (nde_program_parse(text[i], NULL, &s->g[i]) != NDE_OK) fail_msg("%s: %s", text[i], nde_error());
        s->field[i] = nde_field_program(s->g[i]);
    }
    s->of = NDE_INIT(nde_girsanov, .posterior = &s->field[0], .prior = &s->field[1], .diffusion = &s->field[2],
                     .kind = kind, .inputs = inputs);
}
static void close_scene(scene *s) {
    for (int i = 0; i < 3; i++) nde_program_destroy(s->g[i]);
}

static const char posterior[] = "state y[3]; param p[2]; own q; dy = [p[0]*y[1] + q, sin(y[0]*t), y[2] - p[1]*y[0]]";
static const char driven_posterior[] =
    "state y[3]; input u; param p[2]; own q; dy = [p[0]*y[1] + q*u, sin(y[0]*t), y[2] - p[1]*y[0]]";
static const char prior[] = "state y[3]; param p[2]; own q; dy = [-y[0], p[1] - y[1]*t, q*y[2]]";
/* Diagonal; as many columns as rows; more; fewer. */
static const struct { const char *text; int32_t kind; size_t inputs; } noises[] = {
    { "state y[3]; param p[2]; own q; dy = [1 + y[0]^2, 2 + p[0]*t/2, exp(q/2)]", NDE_NOISE_DIAGONAL, 0 },
    { "state y[3]; input u; param p[2]; own q; dy = [1.5 + u*y[0]/4, 2 + p[0]*t/2, exp(q/2)]", NDE_NOISE_DIAGONAL, 1 },
    { "state y[3]; input u[3]; param p[2]; own q;"
      " dy = [2*u[0] + y[0]*u[1]/2, p[0]*u[0]/2 + 2*u[1] + q*u[2]/4, 2*u[2] + t*u[0]/2]", NDE_NOISE_GENERAL, 0 },
    { "state y[3]; input w, u[4]; param p[2]; own q;"
      " dy = [2*u[0] + y[0]*u[1]/2, w*u[0]/2 + 2*u[1] + q*u[3]/4, p[1]*u[3] + 2*u[2] + t*u[0]/2]",
      NDE_NOISE_COMMUTATIVE, 1 },
    { "state y[3]; input u[2]; param p[2]; own q; dy = [2*u[0], p[0]*u[0] + 2*u[1] + t*u[0]/2, y[0]*u[1]/2 + q*u[0]/3]",
      NDE_NOISE_ADDITIVE, 0 },
    { "state y[3]; input u; param p[2]; own q; dy = [2*u, p[0]*u + t*u/2, y[0]*u/2]", NDE_NOISE_SCALAR, 0 },
};

static void derivatives_are_right(void **state) {
    (void)state;
    static const size_t n[][3] = { { 1, 1, 1 }, { 4, 6, 4 }, { 19, 24, 19 } };
    for (size_t k = 0; k < LENGTH(noises); k++) {
        scene s;
        open_scene(&s, noises[k].inputs ? driven_posterior : posterior, prior, noises[k].text, noises[k].kind,
                   noises[k].inputs);
        const nde_field f = nde_field_girsanov(&s.of);
        if (!f.eval) fail_msg("%s", nde_error());
        assert_true(f.nu == noises[k].inputs && f.np == 2 && f.nq == 1 && f.vjp_jvp);
        for (size_t i = 0; i < LENGTH(n); i++) {
            rig r = rig_make(&f, n[i][0], n[i][1], n[i][2], NULL, 5);
            rig_check_derivatives(&r);
            rig_check_identity(&r);
            rig_check_guards(&r, r.dv, 1, r.at.ld), rig_check_guards(&r, r.to.y, f.dim, r.at.ld);
            rig_free(&r);
        }
        close_scene(&s);
    }
}

/* u by hand: lower triangular; the shortest of many; the best of few. */
static void values_are_right(void **state) {
    (void)state;
    static const struct { const char *text; int32_t kind; double value; } these[] = {
        { "state y[2]; dy = [2, 4]", NDE_NOISE_DIAGONAL, 0.5*(1.5*1.5 + 0.25*0.25) },             /* d = (3, 1) */
        { "state y[2]; input u[2]; dy = [2*u[0], u[0] + u[1]]", NDE_NOISE_GENERAL, 0.5*(1.5*1.5 + 0.5*0.5) },
        { "state y[2]; input u[3]; dy = [u[0] + u[1], u[2]]", NDE_NOISE_ADDITIVE, 0.5*(2*1.5*1.5 + 1) },
        { "state y[2]; input u; dy = [u, u]", NDE_NOISE_SCALAR, 0.5*4 },
    };
    for (size_t k = 0; k < LENGTH(these); k++) {
        scene s;
        nde_real value = 0;
        open_scene(&s, "state y[2]; dy = [3 + y[0], 1]", "state y[2]; dy = [y[0], 0*y[1]]", these[k].text, these[k].kind, 0);
        const nde_field f = nde_field_girsanov(&s.of);
        const nde_site at = { .n = 1, .ld = 1, .t = &(double){ 0 } };
        assert_int_equal(nde_field_value(&f, &at, (nde_real[]){ 1, 2 }, &value), NDE_OK);
        if (!(fabs((double)value - these[k].value) <= 8*NDE_TEST_EPS*these[k].value)) fail_msg("%zu: %g", k, (double)value);
        close_scene(&s);
    }
}

/* ---- two Ornstein-Uhlenbeck processes ------------------------------------------------------------------------------ */

/* dy = (a - b y) dt + s dW from y0, of which the posterior's a, b and the noise are p[0..2], the prior's p[3..4]. E u^2/2
 * along the posterior: u = (A - B y)/s, A = a - a', B = b - b', y of mean m = a/b + (y0 - a/b)e^-bt and variance s^2 (1 -
 * e^-2bt)/(2b). Means of m, m^2 and the variance over the span in closed form. */
static double divergence(const double *p, double y0, double T) {
    const double A = p[0] - p[3], B = p[1] - p[4], b = p[1], level = p[0]/b, off = y0 - level;
    const double one = (1 - exp(-b*T))/b, two = (1 - exp(-2*b*T))/(2*b);
    const double m = level*T + off*one, square = level*level*T + 2*level*off*one + off*off*two + p[2]*p[2]*(T - two)/(2*b);
    return (A*A*T - 2*A*B*m + B*B*square)/(2*p[2]*p[2]);
}

/* As a mean over paths, of the exact value within four standard errors of means of pairs, and its gradient by p within
 * four of those that nde_gradient.p_error tells; where drifts differ by a constant, exactly. */
static void divergence_of_two_processes(void **state) {
    (void)state;
    enum { N = 8192, PARAMETERS = 5 };
    static nde_real y0[N], seed_z[N];
    const double exact[PARAMETERS] = { 0.5, 0.75, 0.5, -0.25, 0.25 };
    nde_real p[PARAMETERS], gradient[PARAMETERS];
    double spread[PARAMETERS];
    for (int constant = 0; constant < 2; constant++) {
        scene s;
        double at[PARAMETERS], mean = 0, square = 0;
        open_scene(&s, "state y; param p[5]; dy = p[0] - p[1]*y", "state y; param p[5]; dy = p[3] - p[4]*y",
                   "state y; param p[5]; dy = p[2] + 0*y", NDE_NOISE_DIAGONAL, 0);
        memcpy(at, exact, sizeof at);
        if (constant) at[4] = at[1];
        const nde_field kl = nde_field_girsanov(&s.of);
        const nde_noise noise = NDE_INIT(nde_noise, .seed = 9, .antithetic = 1);
        const nde_term term = NDE_INIT(nde_term, .field = &s.field[2], .noise = &noise, .kind = NDE_NOISE_DIAGONAL);
        const nde_problem problem = NDE_INIT(nde_problem, .n = N, .y0 = y0, .p = p, .t1 = 1, .drift = &s.field[0],
                                             .terms = &term, .n_terms = 1, .quadrature = &kl, .calculus = NDE_STRATONOVICH);
        const nde_options options = NDE_INIT(nde_options, .method = NDE_HEUN, .steps = 64, .adjoint = NDE_ADJOINT_DISCRETE,
                                             .group = 128);
        for (size_t i = 0; i < N; i++) y0[i] = 1, seed_z[i] = (nde_real)(1.0/N);
        for (size_t i = 0; i < PARAMETERS; i++) p[i] = (nde_real)at[i];
        nde_solver *solver;
        nde_solution y = { 0 };
        assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_OK);
        assert_int_equal(nde_solver_run(solver, &y), NDE_OK);
        for (size_t i = 0; i < N; i += 2) {
            const double pair = 0.5*((double)y.quadrature[i] + (double)y.quadrature[i + 1]);
            mean += pair/(N/2), square += pair*pair/(N/2);
        }
        const double error = sqrt(fmax(square - mean*mean, 0)/(N/2)), wanted = divergence(at, 1, 1);
        if (!(fabs(mean - wanted) <= 4*error + 1e-4*wanted)) fail_msg("%g +- %g, not %g", mean, error, wanted);
        assert_true(!constant || fabs(mean - wanted) <= 30*NDE_TEST_EPS*wanted + 1e-12);
        const nde_seed seed = NDE_INIT(nde_seed, .quadrature = seed_z);
        const nde_gradient to = NDE_INIT(nde_gradient, .p = gradient, .p_error = spread);
        assert_int_equal(nde_backward(solver, &seed, &to), NDE_OK);
        for (size_t i = 0; i < PARAMETERS; i++) {
            double high[PARAMETERS], low[PARAMETERS];
            memcpy(high, at, sizeof at), memcpy(low, at, sizeof at);
            high[i] += 1e-5, low[i] -= 1e-5;
            const double slope = (divergence(high, 1, 1) - divergence(low, 1, 1))/2e-5;
            if (!(fabs((double)gradient[i] - slope) <= 4*spread[i] + 2e-4*(1 + fabs(slope))))
                fail_msg("by p[%zu]: %g +- %g, not %g", i, (double)gradient[i], spread[i], slope);
            assert_true(spread[i] < 0.01);
        }
        nde_solver_destroy(solver);
        close_scene(&s);
    }
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    scene s;
    open_scene(&s, posterior, prior, noises[0].text, NDE_NOISE_DIAGONAL, 0);
    assert_non_null(nde_field_girsanov(&s.of).eval);
    const struct { nde_girsanov of; const char *text; } wrong[] = {
        { NDE_INIT(nde_girsanov, .prior = &s.field[1], .diffusion = &s.field[2], .kind = 1), "posterior is NULL" },
        { NDE_INIT(nde_girsanov, .posterior = &s.field[0], .diffusion = &s.field[2], .kind = 1), "prior is NULL" },
        { NDE_INIT(nde_girsanov, .posterior = &s.field[0], .prior = &s.field[1], .kind = 1), "diffusion is NULL" },
        { NDE_INIT(nde_girsanov, .posterior = &s.field[0], .prior = &s.field[1], .diffusion = &s.field[2]), "kind 0" },
        { NDE_INIT(nde_girsanov, .posterior = &s.field[0], .prior = &s.field[1], .diffusion = &s.field[2],
                   .kind = NDE_NOISE_GENERAL), "nu 0" },
    };
    for (size_t i = 0; i < LENGTH(wrong); i++) {
        assert_null(nde_field_girsanov(&wrong[i].of).eval);
        if (!strstr(nde_error(), wrong[i].text)) fail_msg("%s: %s", wrong[i].text, nde_error());
    }
    assert_null(nde_field_girsanov(NULL).eval);
    s.field[1].vjp = NULL, s.field[1].vjp_window = NULL, s.field[1].cotape = 0, s.field[2].jvp = NULL,
        s.field[2].vjp_jvp = NULL;
    const nde_field f = nde_field_girsanov(&s.of);
    if (!f.eval || f.vjp || f.jvp || f.vjp_jvp) fail_msg("%s", nde_error());
    s.field[1].out = 1;
    assert_null(nde_field_girsanov(&s.of).eval);
    close_scene(&s);
}

/* What any part returns is handed on, by every derivative. */
static int failing;
static int bad_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self, (void)at, (void)y, (void)dy;
    return failing;
}
static void failures_are_handed_on(void **state) {
    (void)state;
    static const int codes[] = { NDE_FIELD_RETRY, -1, -2147483647 - 1, NDE_FIELD_STOP };
    for (int part = 0; part < 3; part++)
        for (size_t c = 0; c < LENGTH(codes); c++) {
            scene s;
            open_scene(&s, posterior, prior, noises[0].text, NDE_NOISE_DIAGONAL, 0);
            const nde_field f = nde_field_girsanov(&s.of);
            rig r = rig_make(&f, 2, 2, 2, NULL, 5);
            s.field[part].eval = bad_eval, failing = codes[c];
            assert_int_equal(f.eval(&f, &r.at, r.y, r.dy), codes[c]);
            assert_int_equal(f.vjp(&f, &r.at, r.y, r.a, &r.to), codes[c]);
            assert_int_equal(f.jvp(&f, &r.at, r.y, &r.v, r.dv), codes[c]);
            assert_int_equal(f.vjp_jvp(&f, &r.at, r.y, &r.v, r.a, r.a, &r.to, NULL), codes[c]);
            rig_free(&r);
            close_scene(&s);
        }
}

/* A diffusion that vanishes has no density: the trajectory fails. */
static void a_diffusion_without_density_is_not_finite(void **state) {
    (void)state;
    scene s;
    nde_real value = 0;
    open_scene(&s, "state y[2]; dy = [3 + y[0], 1]", "state y[2]; dy = [y[0], 0*y[1]]", "state y[2]; dy = [0*y[0], 1]",
               NDE_NOISE_DIAGONAL, 0);
    const nde_field f = nde_field_girsanov(&s.of);
    const nde_site at = { .n = 1, .ld = 1, .t = &(double){ 0 } };
    assert_int_equal(nde_field_value(&f, &at, (nde_real[]){ 1, 2 }, &value), NDE_OK);
    assert_true(!isfinite(value));
    close_scene(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(derivatives_are_right),
        cmocka_unit_test(values_are_right),
        cmocka_unit_test(divergence_of_two_processes),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(failures_are_handed_on),
        cmocka_unit_test(a_diffusion_without_density_is_not_finite),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
