/* SPDX-License-Identifier: MIT
 * Splittings over two fields: their orders with Runge-Kutta sub-steps and with exact flows, derivatives through both,
 * symmetry, the ensemble, and what is refused. */
#include "adjoint/reference.h"

/* ---- fields: y' = A + B with p = (w, a, c) ---- */

/* A: -a y^3 + c sin t, each component; B: a rotation with angular velocity w; phi: its flow. */
static void pull_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    for (size_t i = 0; i < 2; i++) {
        const double y = x->y[i], a = x->p[1], c = x->p[2];
        f[i] = -a*y*y*y + c*sin(x->t);
        j[i][i] = -3*a*y*y, j[i][3] = -y*y*y, j[i][4] = sin(x->t), j[i][5] = c*cos(x->t);
    }
}
static void turn_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    f[0] = x->p[0]*x->y[1], f[1] = -x->p[0]*x->y[0];
    j[0][1] = x->p[0], j[0][2] = x->y[1], j[1][0] = -x->p[0], j[1][2] = -x->y[0];
}
static void turned_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    const double w = x->p[0], tau = x->u[0], c = cos(w*tau), s = sin(w*tau);
    f[0] = c*x->y[0] + s*x->y[1], f[1] = -s*x->y[0] + c*x->y[1];
    const double d0 = -s*x->y[0] + c*x->y[1], d1 = -c*x->y[0] - s*x->y[1];
    j[0][0] = c, j[0][1] = s, j[0][2] = w*d0, j[0][3] = tau*d0;
    j[1][0] = -s, j[1][1] = c, j[1][2] = w*d1, j[1][3] = tau*d1;
}
static void both_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    double g[2];
    turn_formula(x, g, j), pull_formula(x, f, j);
    f[0] += g[0], f[1] += g[1];
}
/* Without c sin t the flow of A is known: y/sqrt(1 + 2 a tau y^2). */
static void pulled_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) {
    for (size_t i = 0; i < 2; i++) {
        const double y = x->y[i], a = x->p[1], tau = x->u[0], r = 1/sqrt(1 + 2*a*tau*y*y), r3 = r*r*r;
        f[i] = y*r;
        j[i][i] = r3, j[i][2] = -a*y*y*y*r3, j[i][4] = -tau*y*y*y*r3;
    }
}
static const model pull_model = { 2, 2, 0, 3, 0, pull_formula }, turn_model = { 2, 2, 0, 3, 0, turn_formula },
                   turned_model = { 2, 2, 1, 3, 0, turned_formula }, both_model = { 2, 2, 0, 3, 0, both_formula },
                   pulled_model = { 2, 2, 1, 3, 0, pulled_formula };

static const nde_real begin[2] = { 1, (nde_real)0.5 };
enum { SLOPES, SECOND_FLOWS, BOTH_FLOW, WAYS };

/* ---- orders ---- */

/* Largest error at t = 2. Without c both flows are known. */
static double error_of(int method, int way, int64_t steps) {
    const nde_real p[3] = { 2, (nde_real)0.5, way == BOTH_FLOW ? 0 : (nde_real)0.75 };
    const nde_field pull = model_field("pull", &pull_model, false), turn = model_field("turn", &turn_model, false),
                    pulled = model_field("pulled", &pulled_model, false), turned = model_field("turned", &turned_model, false),
                    both = model_field("both", &both_model, false),
                    flow[2] = { nde_field_flow(&pulled), nde_field_flow(&turned) };
    const nde_splitting parts = NDE_INIT(nde_splitting, .second = way == SLOPES ? &turn : &flow[1]);
    const nde_problem whole = NDE_INIT(nde_problem, .drift = &both, .y0 = begin, .p = p, .t1 = 2);
    nde_problem split = whole;
    split.drift = way == BOTH_FLOW ? &flow[0] : &pull, split.splitting = &parts;
    nde_solution exact = NDE_INIT(nde_solution, .n = 0), s = NDE_INIT(nde_solution, .n = 0);
    const nde_options fine = NDE_INIT(nde_options, .method = NDE_VERN9, .rtol = 1e-13, .atol = 1e-13),
                      options = NDE_INIT(nde_options, .method = method, .steps = steps);
    assert_int_equal(nde_solve(&whole, sizeof(nde_real) == 4 ? NULL : &fine, &exact), NDE_OK);
    if (nde_solve(&split, &options, &s)) fail_msg("%s", s.error ? s.error : nde_error());
    double most = 0;
    for (int i = 0; i < 2; i++) most = fmax(most, fabs((double)(s.y_end[i] - exact.y_end[i])));
    nde_solution_free(&exact), nde_solution_free(&s);
    return most;
}

#ifndef NDE_TEST_SINGLE
static void splittings_have_their_order(void **state) {
    (void)state;
    static const int methods[] = { NDE_LIE, NDE_STRANG, NDE_LEAPFROG, NDE_RUTH3, NDE_YOSHIDA4, NDE_MCLACHLAN4, NDE_YOSHIDA6 };
    for (size_t k = 0; k < LENGTH(methods); k++)
        for (int way = 0; way < WAYS; way++) {
            const nde_method *m = nde_method_get(methods[k]);
            const int order = nde_method_order(m) > 4 && way != BOTH_FLOW ? 4 : nde_method_order(m); /* of rk4 */
            if (m->stages*(way == BOTH_FLOW ? 1 : 4) > 64) continue;
            const int64_t steps = order > 4 ? 32 : order > 2 ? 64 : 256;
            const double slope = log2(error_of(methods[k], way, steps)/error_of(methods[k], way, 2*steps));
            print_message("%-20s %-14s order %d: %.2f\n", m->name,
                          way == SLOPES ? "by rk4" : way == SECOND_FLOWS ? "flow of second" : "flows", order, slope);
            const bool shows = order == nde_method_order(m); /* else errors of rk4 and of the splitting mix */
            if (!(slope >= order - 0.2 && (!shows || slope <= order + 0.3))) fail_msg("%s: order %g", m->name, slope);
        }
}
#else
static void splittings_have_their_order(void **state) {
    (void)state;
    for (int way = 0; way < WAYS; way++) assert_true(error_of(NDE_STRANG, way, 64) < 1e-3);
}
#endif

/* With exact flows Strang's splitting undoes itself. */
static void strang_with_flows_is_symmetric(void **state) {
    (void)state;
    const nde_real p[3] = { 2, (nde_real)0.5, 0 };
    const nde_field pulled = model_field("pulled", &pulled_model, false), turned = model_field("turned", &turned_model, false),
                    flow[2] = { nde_field_flow(&pulled), nde_field_flow(&turned) };
    const nde_splitting parts = NDE_INIT(nde_splitting, .second = &flow[1]);
    nde_problem problem = NDE_INIT(nde_problem, .drift = &flow[0], .y0 = begin, .p = p, .t1 = 2, .splitting = &parts);
    const nde_options options = NDE_INIT(nde_options, .steps = 20);
    nde_solution there = NDE_INIT(nde_solution, .n = 0), back = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solve(&problem, &options, &there), NDE_OK);
    assert_int_equal(there.stats->evals, 60);
    problem.t0 = 2, problem.t1 = 0, problem.y0 = there.y_end;
    assert_int_equal(nde_solve(&problem, &options, &back), NDE_OK);
    for (int i = 0; i < 2; i++) assert_true(fabs((double)(back.y_end[i] - begin[i])) < 1000*NDE_TEST_EPS);
    nde_solution_free(&there), nde_solution_free(&back);
}

/* ---- derivatives ---- */

static void derivatives_are_those_of_the_map(void **state) {
    (void)state;
    static const int methods[] = { NDE_LIE, NDE_STRANG, NDE_YOSHIDA4 };
    for (size_t k = 0; k < LENGTH(methods); k++)
        for (int way = 0; way < WAYS; way++)
            for (int tape = 0; tape < 2; tape++) {
                proof f;
                proof_begin(&f, 5, &pull_model, tape, 0.25, 2, 0.75);
                proof_parameters(&f, 3, (double[]){ 2, 0.5, 0.75 });
                const nde_field turn = model_field("turn", &turn_model, tape),
                    turned = model_field("turned", &turned_model, tape),
                                pulled = model_field("pulled", &pulled_model, tape),
                                flow[2] = { nde_field_flow(&pulled), nde_field_flow(&turned) };
                const nde_splitting parts = NDE_INIT(nde_splitting, .second = way == SLOPES ? &turn : &flow[1],
                                                     .drift_by = way == BOTH_FLOW ? 0 : NDE_HEUN);
                if (way == BOTH_FLOW) f.problem.drift = &flow[0];
                f.problem.splitting = &parts;
                proof_save(&f, 3, (double[]){ 0.5, 1.33, 2 });
                f.options.method = methods[k], f.options.steps = 7;
                proof_solve(&f);
                proof_check_identity(&f);
                proof_check_differences(&f);
                proof_end(&f);
            }
}

/* ---- the ensemble ---- */

/* A trajectory among others, refilled, in threads or not, is the one alone. */
static void trajectories_do_not_see_each_other(void **state) {
    (void)state;
    enum { N = 300 };
    static nde_real y0[2*N];
    for (size_t i = 0; i < 2*N; i++) y0[i] = (nde_real)(0.5 + 0.001*(double)i);
    const nde_real p[3] = { 2, (nde_real)0.5, (nde_real)0.75 };
    const nde_field pull = model_field("pull", &pull_model, false), turned = model_field("turned", &turned_model, false),
                    flow = nde_field_flow(&turned);
    const nde_splitting parts = NDE_INIT(nde_splitting, .second = &flow);
    nde_problem problem = NDE_INIT(nde_problem, .n = N, .drift = &pull, .y0 = y0, .p = p, .t1 = 2, .splitting = &parts);
    nde_solution all = NDE_INIT(nde_solution, .n = 0), threads = NDE_INIT(nde_solution, .n = 0),
        one = NDE_INIT(nde_solution, .n = 0);
    assert_int_equal(nde_solve(&problem, &(nde_options){ .steps = 9 }, &all), NDE_OK);
    assert_int_equal(nde_solve(&problem, &(nde_options){ .steps = 9, .threads = 2 }, &threads), NDE_OK);
    assert_memory_equal(all.y_end, threads.y_end, sizeof y0);
    const nde_real alone[2] = { y0[77], y0[N + 77] };
    problem.n = 1, problem.y0 = alone;
    assert_int_equal(nde_solve(&problem, &(nde_options){ .steps = 9 }, &one), NDE_OK);
    assert_true(one.y_end[0] == all.y_end[77] && one.y_end[1] == all.y_end[N + 77]);
    nde_solution_free(&all), nde_solution_free(&threads), nde_solution_free(&one);
}

/* ---- what is refused ---- */

static void refuse(const nde_problem *problem, const nde_options *options, const char *text) {
    nde_solver *solver;
    assert_int_equal(nde_solver_create(problem, options, &solver), NDE_E_ARG);
    if (!strstr(nde_error(), text)) fail_msg("'%s' is not in: %s", text, nde_error());
}

static void other_problems_are_refused(void **state) {
    (void)state;
    const nde_real p[3] = { 2, (nde_real)0.5, 0 };
    const nde_field pull = model_field("pull", &pull_model, false), turned = model_field("turned", &turned_model, false),
                    flow = nde_field_flow(&turned);
    nde_splitting parts = NDE_INIT(nde_splitting, .second = &flow);
    const nde_problem plain = NDE_INIT(nde_problem, .drift = &pull, .y0 = begin, .p = p, .t1 = 2);
    nde_problem problem = plain;
    problem.splitting = &parts;
    const nde_options good = NDE_INIT(nde_options, .steps = 9);
    nde_options options = good;
    options.steps = 0;
    refuse(&problem, &options, "options.steps is 0");
    options.error = NDE_ERROR_DOUBLING;
    refuse(&problem, &options, "options.error");
    options = good, options.method = NDE_TSIT5;
    refuse(&problem, &options, "problem.splitting is given");
    options.method = NDE_STRANG;
    refuse(&plain, &options, "problem.splitting is NULL");
    options.method = NDE_LEAPFROG, options.quantum = 0.125;
    refuse(&problem, &options, "options.quantum");
    options = good, options.method = NDE_KAHAN_LI8;
    refuse(&problem, &options, "too many");
    parts.second_by = NDE_HEUN;
    refuse(&problem, &good, "splitting.second_by");
    parts.second_by = 0, parts.drift_by = NDE_VELOCITY_VERLET;
    refuse(&problem, &good, "splitting.drift_by");
    parts.drift_by = 999;
    refuse(&problem, &good, "splitting.drift_by is 999");
    parts.drift_by = 0, parts.second = NULL;
    refuse(&problem, &good, "splitting.second is NULL");
    parts.second = &flow, parts.size = 1;
    refuse(&problem, &good, "problem.splitting: size");
    parts.size = sizeof parts, problem.split = 1;
    refuse(&problem, &good, "problem.split");
    problem.split = 0, problem.quadrature = &pull;
    refuse(&problem, &good, "problem.quadrature");
    nde_field wide = pull;
    wide.nu = 2, problem.quadrature = NULL, parts.second = &wide;
    refuse(&problem, &good, "splitting.second");

    assert_null(nde_field_flow(NULL).eval);
    assert_null(nde_field_flow(&pull).eval); /* no tau */
    assert_non_null(strstr(nde_error(), "nu 0"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(splittings_have_their_order),
        cmocka_unit_test(strang_with_flows_is_symmetric),
        cmocka_unit_test(derivatives_are_those_of_the_map),
        cmocka_unit_test(trajectories_do_not_see_each_other),
        cmocka_unit_test(other_problems_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
