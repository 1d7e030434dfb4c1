/* SPDX-License-Identifier: MIT
 * goal.c - nde_solver_run_to_goal: losses are as exact as they were to be, on problems whose solution is known. */
#include "adjoint/cases.h"

static const bool is_double = sizeof(nde_real) == 8;

/* y' = -y on one row, y' = y^3 on another, a turning pair: known solutions from y0 = 1/2. */
static void known_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double *y = x->y;
    f[0] = -y[0], f[1] = y[1]*y[1]*y[1], f[2] = 3*y[3], f[3] = -3*y[2];
    j[0][0] = -1, j[1][1] = 3*y[1]*y[1], j[2][3] = 3, j[3][2] = -3;
}
static const model known_model = { 4, 4, 0, 0, 0, known_formula };
static const double end = 1.5;
static const nde_real weight[] = { 1, 1, 1, (nde_real)-0.5 };

static double known_loss(void) {
    const double y[] = { 0.5*exp(-end), 1/sqrt(4 - 2*end), 0.5*(cos(3*end) + sin(3*end)), 0.5*(cos(3*end) - sin(3*end)) };
    double sum = 0;
    for (size_t i = 0; i < 4; i++) sum += (double)weight[i]*y[i];
    return sum;
}

static void known(proof *f) {
    proof_begin(f, 1, &known_model, true, 0, end, 0.5);
    nde_real *y0 = f->in[IN_Y0].x;
    for (size_t i = 0; i < 4; i++) y0[i] = (nde_real)0.5;
    f->options.rtol = 1e-2, f->options.atol = 1e-3;
}

typedef struct outcome {
    nde_goal_report report;
    double error; /* of the loss, that it has */
} outcome;

static outcome reach(proof *f, double goal) {
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = weight);
    outcome o = { .report = NDE_INIT(nde_goal_report, .runs = 0) };
    nde_solution solution = NDE_INIT(nde_solution, .n = 0);
    const nde_status status = nde_solver_run_to_goal(f->solver, goal, &seed, NULL, &solution, &o.report);
    if (status) fail_msg("%s", nde_solver_error(f->solver));
    o.error = -known_loss();
    for (size_t i = 0; i < 4; i++) o.error += (double)weight[i]*(double)solution.y_end[i];
    return o;
}

/* Euler's method, whose estimate is of the solution that is continued: the effectivity index, estimate by error, tends to 1. */
static void estimates_are_effective(void **state) {
    (void)state;
    static const double a[] = { 1 }, b[] = { 1, 0 }, e[] = { 0.5, -0.5 };
    const nde_tableau euler = NDE_INIT(nde_tableau, .stages = 2, .a = a, .b = b, .e = e, .order = 1, .error_order = 1);
    for (double goal = 1e-2; goal >= (is_double ? 0.9e-4 : 0.9e-2); goal /= 10) {
        proof f;
        known(&f);
        f.options.tableau = &euler;
        proof_create(&f);
        const outcome o = reach(&f, goal);
        const double index = o.report.loss_error/o.error;
        if (getenv("PROOF_VERBOSE"))
            fprintf(stderr, "    goal %g: error %.3e, index %.4f, runs %d\n", goal, o.error, index, (int)o.report.runs);
        assert_true(o.report.reached && fabs(o.report.loss_error) <= goal);
        assert_true(fabs(index - 1) < (is_double ? goal : 0.05));
        assert_true(fabs(o.error) <= 1.2*goal && fabs(o.error) > goal/30); /* and no smaller than it needs to be */
        proof_end(&f);
    }
}

/* Pairs that continue the better solution: the loss is better than the goal, and the work not wasted. */
static void pairs_reach_their_goals(void **state) {
    (void)state;
    for (size_t l = 0; l < nde_method_count(); l++) {
        const nde_method *m = nde_method_at(l);
        if (nde_method_kind(m) != NDE_KIND_RUNGE_KUTTA || !nde_method_error_order(m)) continue;
        const int q = nde_method_error_order(m);
        /* what is worth its steps */
        const double least = !is_double ? q == 1 ? 1e-2 : 1e-3 : q == 1 ? 1e-3 : q == 2 ? 1e-5 : 1e-7;
        double evals = 0;
        for (double goal = fmax(least, 1e-3); goal >= 0.9*least; goal /= 100) {
            proof f;
            known(&f);
            f.options.method = nde_method_id(m);
            proof_create(&f);
            const outcome o = reach(&f, goal);
            if (getenv("PROOF_VERBOSE"))
                fprintf(stderr, "    %-10s goal %g: estimate %.2e, error %.2e, runs %d, evaluations %lld\n",
                        nde_method_name(m), goal, o.report.loss_error, o.error, (int)o.report.runs, (long long)o.report.evals);
            const double within = goal > 1e-4 ? 10*goal : goal; /* steps that are long tell less of their errors */
            if (!o.report.reached || !(fabs(o.error) <= within))
                fail_msg("%s: error %g, goal %g", nde_method_name(m), o.error, goal);
            assert_true(o.report.runs <= 8 && o.report.loss_spread > 0 && (double)o.report.evals >= evals);
            evals = (double)o.report.evals;
            proof_end(&f);
        }
    }
}

/* Ensembles, tolerances of every kind, gradients of the last run; tolerances are then as before. */
static void solvers_stay_what_they_are(void **state) {
    (void)state;
    for (int kind = 0; kind < 4; kind++) {
        proof f;
        case_ensemble(&f, 0, true);
        double *each = proof_take(&f, f.n, sizeof *each);
        for (size_t i = 0; i < f.n; i++) each[i] = 1e-3;
        f.options.rtol = 1e-2, f.options.atol = 1e-3, f.options.stepping = kind == 3 ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
        if (kind == 1) f.options.atol_each = each;
        if (kind == 2) f.options.atol_n = f.options.rtol_n = each;
        proof_solve(&f);
        const proof_copy before = proof_keep(&f);
        const nde_seed seed = proof_seeds(&f);
        const nde_gradient wanted = proof_gradient(&f);
        nde_goal_report r = NDE_INIT(nde_goal_report, .runs = 0);
        const double goal = fabs(f.loss_error)/(sizeof(nde_real) == 8 ? 20 : 5); /* float: before its rounding is all */
        assert_int_equal(nde_solver_run_to_goal(f.solver, goal, &seed, &wanted, NULL, &r), NDE_OK);
        assert_true(r.reached && r.runs > 1 && r.factor < 1 && fabs(f.loss_error) <= goal && f.loss_error == r.loss_error);
        const proof_copy after = proof_keep(&f);
        proof_backward(&f); /* of the last run */
        assert_null(proof_differs(&f, &after));
        assert_int_equal(proof_run(&f), NDE_OK);
        proof_backward(&f);
        assert_null(proof_differs(&f, &before));
        proof_end(&f);
    }
}

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    proof f;
    known(&f);
    proof_create(&f);
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = weight);
    nde_goal_report r = NDE_INIT(nde_goal_report, .runs = 42);
    assert_int_equal(nde_solver_run_to_goal(NULL, 1, &seed, NULL, NULL, &r), NDE_E_ARG);
    assert_int_equal(nde_solver_run_to_goal(f.solver, 0, &seed, NULL, NULL, &r), NDE_E_ARG);
    assert_non_null(strstr(nde_solver_error(f.solver), "goal is 0"));
    assert_int_equal(nde_solver_run_to_goal(f.solver, (double)NAN, &seed, NULL, NULL, &r), NDE_E_ARG);
    assert_int_equal(nde_solver_run_to_goal(f.solver, 1, NULL, NULL, NULL, &r), NDE_E_ARG); /* no loss */
    assert_true(r.reached == 0);
    assert_int_equal(nde_solver_run_to_goal(f.solver, 1e-30, &seed, NULL, NULL, &r), NDE_OK);
    assert_true(!r.reached && r.runs > 1 && r.runs <= 16);
    f.options.steps = 5;
    proof_create(&f);
    assert_int_equal(nde_solver_run_to_goal(f.solver, 1, &seed, NULL, NULL, NULL), NDE_E_ARG);
    f.options.steps = 0, f.options.adjoint = NDE_ADJOINT_GAUSS;
    proof_create(&f);
    assert_int_equal(nde_solver_run_to_goal(f.solver, 1, &seed, NULL, NULL, NULL), NDE_E_ARG);
    assert_non_null(strstr(nde_solver_error(f.solver), "options.adjoint"));
    proof_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(estimates_are_effective),
        cmocka_unit_test(pairs_reach_their_goals),
        cmocka_unit_test(solvers_stay_what_they_are),
        cmocka_unit_test(what_cannot_be_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
