/* SPDX-License-Identifier: MIT
 * proofs.c - six proofs of composition: each goes through the one loop and the one sweep, and all of its gradients are compared
 * with extrapolated differences of the frozen-fraction map and, all inputs at once, with forward mode. */
#include "adjoint/cases.h"
#include "adjoint/reference.h"

/* A case, its steps as they are or equal ones: the map, its gradients, and forward mode. */
static void check(int which, int64_t steps, bool tape) {
    proof f;
    case_make(which, &f, steps, tape);
    proof_solve(&f);
    proof_check_identity(&f);
    proof_check_differences(&f);
    proof_end(&f);
}

/* ---- one: a joint batch ------------------------------------------------------------------------------------------- */

static void joint_lorenz_batch(void **state) {
    (void)state;
    proof f;
    case_lorenz(&f, 0, false);
    proof_solve(&f);
    for (size_t b = 1; b < f.n; b++) { /* one step size for all */
        assert_int_equal(f.solution.stats[b].accepted, f.solution.stats[0].accepted);
        assert_int_equal(f.solution.stats[b].rejected, f.solution.stats[0].rejected);
        assert_true(f.solution.stats[b].h_last == f.solution.stats[0].h_last);
    }
    proof_check_identity(&f);
    proof_check_differences(&f);
    proof_end(&f);
}

/* ---- two: an ensemble with refill --------------------------------------------------------------------------------- */

static void refilled_independent_ensemble(void **state) {
    (void)state;
    proof f;
    case_ensemble(&f, 0, true);
    proof_solve(&f);
    int64_t least = INT64_MAX, most = 0;
    for (size_t b = 0; b < f.n; b++) {
        const int64_t steps = f.solution.stats[b].accepted;
        least = steps < least ? steps : least, most = steps > most ? steps : most;
    }
    if (getenv("PROOF_VERBOSE"))
        fprintf(stderr, "    steps %d to %d, busy %.3f\n", (int)least, (int)most, f.solution.lanes_busy);
    assert_true(most >= 8*least);
    proof_check_identity(&f);
    proof_check_differences(&f);
    proof_end(&f);
}

/* With the queue of an ensemble of ordinary size: step counts differ tenfold, and lanes do not wait for each other. */
static void lanes_stay_busy(void **state) {
    (void)state;
    enum { N = 4096 };
    proof f;
    case_ensemble(&f, 0, false);
    nde_real *y0 = proof_take(&f, 2*N, sizeof *y0), *q = proof_take(&f, 2*N, sizeof *q);
    for (size_t b = 0; b < N; b++) {
        y0[b] = y0[N + b] = (nde_real)(1 + 0.2*proof_number(1, b));
        q[b] = (nde_real)pow(20, 0.5 + 0.5*proof_number(2, b)), q[N + b] = (nde_real)0.5;
    }
    f.problem.n = N, f.problem.y0 = y0, f.problem.q = q;
    f.options.group = 0, f.options.adjoint = 0;
    nde_solution s = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solve(&f.problem, &f.options, &s), NDE_OK);
    int64_t least = INT64_MAX, most = 0;
    for (size_t b = 0; b < N; b++) {
        least = s.stats[b].accepted < least ? s.stats[b].accepted : least;
        most = s.stats[b].accepted > most ? s.stats[b].accepted : most;
    }
    if (getenv("PROOF_VERBOSE")) fprintf(stderr, "    steps %d to %d, busy %.3f\n", (int)least, (int)most, s.lanes_busy);
    assert_true(most >= 10*least);
    assert_true(s.lanes_busy >= 0.95);
    nde_solution_free(&s);
    proof_end(&f);
}

/* ---- three: Euler-Maruyama ---------------------------------------------------------------------------------------- */

static void euler_maruyama_on_geometric_brownian_motion(void **state) {
    (void)state;
    check(CASE_GROWTH, 0, false);
    check(CASE_GROWTH, 12, true);
    check(CASE_GENERAL_NOISE, 0, true);
}

#ifndef NDE_TEST_SINGLE
/* Strong convergence to y0 exp((a - b^2/2) t + b W(t)) on the same path, seen through ever finer steps. */
static void converges_strongly(void **state) {
    (void)state;
    enum { N = 1200, FINE = 1024, LEVELS = 5 };
    double error[LEVELS];
    proof f;
    case_growth(&f, 1, false);
    nde_real *y0 = proof_take(&f, 2*N, sizeof *y0);
    for (size_t i = 0; i < 2*N; i++) y0[i] = 1;
    f.problem.n = N, f.problem.y0 = y0, f.noise.grid = FINE, f.options.adjoint = 0, f.options.n_save = 0,
        f.options.save_t = NULL;
    const double a = 0.25, b = 0.5, t = f.problem.t1 - f.problem.t0, cell = t/FINE;
    for (int level = 0; level < LEVELS; level++) {
        f.options.steps = 16 << level;
        nde_solution s = NDE_INIT(nde_solution, .n = 0);
        assert_int_equal(nde_solve(&f.problem, &f.options, &s), NDE_OK);
        error[level] = 0;
        for (size_t who = 0; who < N; who++) {
            const int64_t first = 0;
            double w[2];
            nde_noise_increment(&f.noise, FINE, 2, 1, 1, &who, &cell, &first, FINE, w);
            for (size_t i = 0; i < 2; i++)
                error[level] += fabs((double)s.y_end[i*N + who] - exp((a - b*b/2)*t + b*w[i]))/(2*N);
        }
        nde_solution_free(&s);
    }
    const double slope = log2(error[0]/error[LEVELS - 1])/(LEVELS - 1);
    if (getenv("PROOF_VERBOSE")) fprintf(stderr, "    strong order %.3f\n", slope);
    assert_true(slope >= 0.4 && slope <= 0.7);
    proof_end(&f);
}

/* sin(t) and 1 + t: noise that does not depend on the state. */
static void additive_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = sin(x->t)*x->u[0] + 0.5*x->u[1], f[1] = (1 + x->t)*x->u[1];
    j[0][2] = sin(x->t), j[0][3] = 0.5, j[0][7] = cos(x->t)*x->u[0], j[1][3] = 1 + x->t, j[1][7] = x->u[1];
}
static const model additive_model = { 2, 2, 3, 2, 0, additive_formula };

/* With additive noise the strong order is 1. The finest solution stands for the exact one. */
static void converges_faster_with_additive_noise(void **state) {
    (void)state;
    enum { N = 300, FINE = 8192, LEVELS = 5 };
    double error[LEVELS] = { 0 };
    proof f;
    case_growth(&f, 1, false);
    nde_real *y0 = proof_take(&f, 2*N, sizeof *y0), *exact = proof_take(&f, 2*N, sizeof *exact);
    for (size_t i = 0; i < 2*N; i++) y0[i] = 1;
    proof_term(&f, 0, &additive_model, NULL, &f.noise, NDE_NOISE_ADDITIVE, false);
    f.problem.n = N, f.problem.y0 = y0, f.noise.grid = FINE, f.options.adjoint = 0;
    proof_no_saves(&f);
    for (int level = -1; level < LEVELS; level++) {
        f.options.steps = level < 0 ? FINE : 16 << level;
        nde_solution s = NDE_INIT(nde_solution, .n = 0);
        assert_int_equal(nde_solve(&f.problem, &f.options, &s), NDE_OK);
        if (level < 0) memcpy(exact, s.y_end, 2*N*sizeof *exact);
        for (size_t i = 0; level >= 0 && i < 2*N; i++) error[level] += fabs((double)(s.y_end[i] - exact[i]))/(2*N);
        nde_solution_free(&s);
    }
    const double slope = log2(error[0]/error[LEVELS - 1])/(LEVELS - 1);
    if (getenv("PROOF_VERBOSE")) fprintf(stderr, "    strong order with additive noise %.3f\n", slope);
    assert_true(slope >= 0.8 && slope <= 1.3);
    proof_end(&f);
}
#else
static void converges_faster_with_additive_noise(void **state) { (void)state; }
static void converges_strongly(void **state) { (void)state; }
#endif

/* ---- four, five, six ---------------------------------------------------------------------------------------------- */

static void controlled_on_linear_paths(void **state) {
    (void)state;
    check(CASE_CONTROLLED, 0, false);
    check(CASE_CONTROLLED, 20, true);
}

/* Every composition of the registry, with all that Verlet's case has; one of many stages and one of few with the map itself. */
static void compositions(void **state) {
    (void)state;
    int few = 0, many = 0;
    for (size_t i = 0; i < nde_method_count(); i++) {
        const nde_method *m = nde_method_at(i);
        if (nde_method_kind(m) != NDE_KIND_COMPOSITION) continue;
        proof f;
        case_verlet(&f, 0, i % 2);
        f.options.method = nde_method_id(m), f.options.steps = 17;
        proof_solve(&f);
        proof_check_identity(&f);
        if (m->stages < 4 ? !few++ : m->stages > 10 && !many++) proof_check_differences(&f);
        proof_end(&f);
    }
    assert_true(few && many);
}

/* What a method carries from step to step has cotangents of its own: through rejections, refills, knots, jumps and joint
 * steps, and through every form of the record. Those that switch: tests/method/switching.c. */
static void methods_with_partners(void **state) {
    static const int coupled[] = { NDE_EULER, NDE_BOSH3, NDE_DOPRI5, NDE_DOP853 };
    static const struct { int which, steps; } some[] = { { CASE_ENSEMBLE, 0 }, { CASE_LORENZ, 0 }, { CASE_CONTROLLED, 20 },
                                                         { CASE_DOSES, 0 } };
    int methods = 0;
    (void)state;
    for (size_t i = 0; i < nde_method_count() + LENGTH(coupled); i++) {
        const bool couple = i >= nde_method_count();
        const nde_method *m = couple ? nde_method_get(coupled[i - nde_method_count()]) : nde_method_at(i);
        for (size_t k = 0; ((m->partners && m->kind != NDE_KIND_SWITCHING) || couple) && k < LENGTH(some); k++) {
            proof f;
            if (!m->error_order && !some[k].steps) continue;
            if (getenv("PROOF_VERBOSE")) fprintf(stderr, "  %s, %s\n", m->name, case_names[some[k].which]);
            case_make(some[k].which, &f, some[k].steps, k % 2);
            f.options.method = nde_method_id(m), f.options.coupling = couple ? 0.9 : 0;
            if (!some[k].steps) f.options.rtol = f.options.atol = 1e-3;
            proof_solve(&f);
            proof_check_identity(&f);
            /* of the others the transposes are the same; of implicit ones tests/method/implicit.c has the map */
            if (f.n < 10 && !nde_method_is_implicit(m)) proof_check_differences(&f);
            proof_end(&f);
            methods++;
        }
    }
    assert_true(methods >= 8);
}

/* Every order, among jumps and knots between nodes and at them. */
static void multistep(void **state) {
    static const struct { int which, steps; } some[] = { { CASE_DOSES, 37 }, { CASE_DOSES, 48 }, { CASE_CONTROLLED, 60 } };
    (void)state;
    for (int order = 1; order <= 8; order++)
        for (size_t k = 0; k < LENGTH(some); k++) {
            proof f;
            case_make(some[k].which, &f, some[k].steps, (size_t)order % 2 == k % 2);
            f.options.method = order % 3 ? NDE_ADAMS_BASHFORTH_MOULTON : NDE_ADAMS_BASHFORTH, f.options.order = order;
            proof_solve(&f);
            proof_check_identity(&f);
            if (order % 3 != 1 || k == 1) proof_check_differences(&f);
            proof_end(&f);
        }
}

/* With and without a tape, with stages by the length of each step, and with as many in all: that is an explicit table. */
static void chebyshev(void **state) {
    (void)state;
    for (int tape = 0; tape <= 1; tape++)
        for (int64_t steps = 0; steps <= 24; steps += 24) {
            proof f;
            case_doses(&f, steps, tape);
            f.options.method = NDE_RKC2, f.options.spectral_radius = 60, f.options.stages = 12;
            proof_solve(&f);
            proof_check_identity(&f);
            proof_end(&f);
            case_doses(&f, steps, tape);
            f.options.method = NDE_RKC2, f.options.stages = 5;
            proof_solve(&f);
            proof_check_identity(&f);
            proof_check_differences(&f);
            proof_end(&f);
        }
}

/* Pairs for q'' = F2(t, q), adaptive and with fixed steps. */
static void nystrom_pairs(void **state) {
    (void)state;
    check(CASE_NYSTROM, 0, true);
    for (size_t i = 0; i < nde_method_count(); i++) {
        const nde_method *m = nde_method_at(i);
        if (nde_method_kind(m) != NDE_KIND_NYSTROM) continue;
        for (int64_t steps = 0; steps <= 9; steps += 9) {
            proof f;
            case_nystrom(&f, steps, i % 2);
            f.options.method = nde_method_id(m);
            proof_solve(&f);
            proof_check_identity(&f);
            proof_check_differences(&f);
            proof_end(&f);
        }
    }
}

static void velocity_verlet(void **state) {
    (void)state;
    check(CASE_VERLET, 0, false);
    check(CASE_VERLET, 25, true);
}

static void quadrature_with_jumps(void **state) {
    (void)state;
    check(CASE_DOSES, 0, true);
    check(CASE_DOSES, 0, false);
    check(CASE_DOSES, 13, false); /* jumps between the nodes */
    check(CASE_DOSES, 16, false); /* jumps at nodes */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joint_lorenz_batch),
        cmocka_unit_test(refilled_independent_ensemble),
        cmocka_unit_test(lanes_stay_busy),
        cmocka_unit_test(euler_maruyama_on_geometric_brownian_motion),
        cmocka_unit_test(converges_strongly),
        cmocka_unit_test(converges_faster_with_additive_noise),
        cmocka_unit_test(controlled_on_linear_paths),
        cmocka_unit_test(velocity_verlet),
        cmocka_unit_test(compositions),
        cmocka_unit_test(methods_with_partners),
        cmocka_unit_test(chebyshev),
        cmocka_unit_test(nystrom_pairs),
        cmocka_unit_test(multistep),
        cmocka_unit_test(quadrature_with_jumps),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
