/* SPDX-License-Identifier: MIT
 * switching.c - methods that are explicit or implicit as the problem asks for: what they cost where it is stiff, where it is
 * not and where it changes, how exact they are; dense output and events across a switch; gradients; lanes beside lanes. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "method/method.h"
#include "method/loss.h"

#define IS_DOUBLE (sizeof(nde_real) == sizeof(double))
#define EACH_METHOD(m)                                        \
    for (size_t m##_ = 0; m##_ < nde_method_count(); m##_++)  \
        for (const nde_method *m = nde_method_at(m##_); m && m->kind == NDE_KIND_SWITCHING; m = NULL)

typedef struct problem_t {
    const char *name, *text;
    size_t dim;
    double t1, y0[3], p[3], atol; /* relative to rtol */
} problem_t;

static const char van_der_pol[] = "state x, v; param m; dx = v; dv = m*(1 - x*x)*v - x";
/* Stiff for three time units, smooth for three, and so on. */
static const char on_and_off[] = "state x, z; param most;\n"
    "l = most*(1 + tanh(4*sin(t))) + 1; dx = l*(cos(t) - x); dz = sin(3*z) + x";
static const problem_t rober = { "ROBER", "state a, b, c; param k1, k2, k3\n"
                                 "v = k1*a; w = k2*b*c; u = k3*b*b; da = w - v; db = v - w - u; dc = u",
                                 3, 1e4, { 1, 0, 0 }, { 0.04, 1e4, 3e7 }, 1e-6 };
static const problem_t van = { "van der Pol, 1000", van_der_pol, 2, 1000, { 2, 0 }, { 1000 }, 1 };
static const problem_t often = { "on and off", on_and_off, 2, 20, { 0, 0 }, { 1e4 }, 1 };
static const problem_t calm[] = {
    { "Lotka and Volterra", "state x, y; dx = 1.3*x - 0.9*x*y; dy = 0.8*x*y - 1.8*y", 2, 20, { 1, 1 }, { 0 }, 1 },
    { "Lorenz", "state x, y, z; dx = 10*(y - x); dy = x*(28 - z) - y; dz = x*y - 8/3*z", 3, 5, { 1, 1, 1 }, { 0 }, 1 },
    { "van der Pol, 2", van_der_pol, 2, 20, { 2, 0 }, { 2 }, 1 },
};

typedef struct run_t {
    nde_program *program;
    nde_field field;
    nde_real y0[3], p[3];
    nde_problem problem;
    nde_solution s;
} run_t;

static run_t begin(const problem_t *q) {
    run_t r = { 0 };
    if (nde_program_parse(q->text, NULL, &r.program)) fail_msg("%s", nde_error());
    r.field = nde_field_program(r.program);
    for (size_t i = 0; i < 3; i++) r.y0[i] = (nde_real)q->y0[i], r.p[i] = (nde_real)q->p[i];
    r.problem = NDE_INIT(nde_problem, .t1 = q->t1);
    return r;
}
static void end(run_t *r) { nde_solution_free(&r->s), nde_program_destroy(r->program); }

static nde_stats solve(run_t *r, const char *method, double rtol, double atol, double *y) {
    r->problem.drift = &r->field, r->problem.y0 = r->y0, r->problem.p = r->p;
    nde_solution_free(&r->s);
    const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(nde_method_find(method)), .rtol = rtol,
                                         .atol = atol);
    if (nde_solve(&r->problem, &options, &r->s)) fail_msg("%s: %s", method, r->s.error ? r->s.error : nde_error());
    for (size_t i = 0; i < r->field.dim; i++) y[i] = (double)r->s.y_end[i];
    return r->s.stats[0];
}

static double largest_error(size_t dim, const double *y, const double *exact) {
    double worst = 0, size = 0;
    for (size_t i = 0; i < dim; i++) worst = fmax(worst, fabs(y[i] - exact[i])), size = fmax(size, fabs(exact[i]));
    return worst/size;
}

/* ---- what it costs --------------------------------------------------------------------------- */

/* Little more than rodas5p alone, but for the steps that have to look stiff first; many steps are implicit, some are not. */
static void stiff_problems_are_solved_implicitly(void **state) {
    (void)state;
    const problem_t *const problems[] = { &rober, &van, &often };
    for (size_t k = 0; k < 3; k++) {
        const problem_t *q = problems[k];
        const double rtol = IS_DOUBLE ? 1e-6 : 1e-3, atol = rtol*q->atol;
        run_t r = begin(q);
        double exact[3], y[3];
        solve(&r, "rodas5p", IS_DOUBLE ? 1e-10 : 1e-5, (IS_DOUBLE ? 1e-10 : 1e-5)*q->atol, exact);
        const nde_stats alone = solve(&r, "rodas5p", rtol, atol, y);
        const double error = largest_error(q->dim, y, exact);
        EACH_METHOD(m) {
            const nde_stats of = solve(&r, m->name, rtol, atol, y);
            const int64_t attempts = of.accepted + of.rejected;
            print_message("%s, %s: %d steps, %d of them implicit, %d evaluations; rodas5p %d steps, %d\n", q->name, m->name,
                          (int)attempts,
                          (int)of.jacobians, (int)of.evals, (int)(alone.accepted + alone.rejected), (int)alone.evals);
            if ((double)of.evals > 1.2*(double)alone.evals + 20*(double)nde_method_evaluations(m))
                fail_msg("%s, %s: %d evaluations", q->name, m->name, (int)of.evals);
            assert_true(of.jacobians > attempts/4 && of.jacobians < attempts && of.factorisations == of.jacobians);
            const double mine = largest_error(q->dim, y, exact);
            if (!(mine < 10*error + 10*rtol)) fail_msg("%s, %s: error %g, rodas5p %g", q->name, m->name, mine, error);
        }
        end(&r);
    }
}

/* The steps of the explicit method, each of them. */
static void calm_problems_cost_no_more(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof calm/sizeof *calm; k++)
        EACH_METHOD(m) {
            run_t r = begin(&calm[k]);
            const double rtol = IS_DOUBLE ? 1e-7 : 1e-4;
            double exact[3], y[3];
            const nde_stats alone = solve(&r, m->way[0]->name, rtol, rtol, exact), of = solve(&r, m->name, rtol, rtol, y);
            assert_true(of.jacobians == 0 && of.accepted == alone.accepted && of.rejected == alone.rejected &&
                        of.evals == alone.evals);
            assert_true(largest_error(calm[k].dim, y, exact) <= 100*(IS_DOUBLE ? 1e-12 : 1e-4));
            end(&r);
        }
}

/* ---- evaluations ----------------------------------------------------------------------------- */

static long calls;
static int relax(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self;
    calls++;
    for (size_t b = 0; b < at->n; b++) dy[b] = (nde_real)(-3000*((double)y[b] - cos(at->t[b])));
    return 0;
}
static int its_jacobian(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *j) {
    (void)self, (void)y;
    for (size_t b = 0; b < at->n; b++) j[b] = -3000;
    return 0;
}
static int its_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    (void)self, (void)y;
    for (size_t b = 0; b < at->n; b++)
        dv[b] = (nde_real)(-3000*((v->y ? (double)v->y[b] : 0) + (v->t ? v->t[b]*sin(at->t[b]) : 0)));
    return 0;
}

static void every_evaluation_is_counted(void **state) {
    (void)state;
    const nde_field f = NDE_INIT(nde_field, .dim = 1, .out = 1, .eval = relax, .jacobian = its_jacobian, .jvp = its_jvp);
    const nde_real y0 = 0;
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &f, .y0 = &y0, .t1 = 1);
    EACH_METHOD(m)
        for (int how = NDE_JACOBIAN_GIVEN; how <= NDE_JACOBIAN_DIFFERENCES; how++) {
            nde_solution s = { 0 };
            calls = 0;
            const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .rtol = 1e-3, .atol = 1e-3,
                                                 .jacobian = how);
            assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
            assert_int_equal(s.stats->evals, calls);
            assert_true(s.stats->jacobians > 0 && s.stats->jacobians < s.stats->accepted);
            assert_true(fabs((double)s.y_end[0] - cos(1)) < 5e-3);
            nde_solution_free(&s);
        }
}

/* ---- dense output, events -------------------------------------------------------------------- */

/* x = cos t almost, z the integral of cos, where the problem is stiff and where it is not. */
static const char known[] = "state x, z; l = 1e4*(1 + tanh(4*sin(t))) + 1; dx = l*(cos(t) - x) - sin(t); dz = x";

static void values_within_steps_are_exact(void **state) {
    (void)state;
    enum { ROWS = 301 };
    const problem_t q = { "known", known, 2, 12, { 1, 0 }, { 0 }, 1 };
    const double rtol = IS_DOUBLE ? 1e-7 : 1e-4;
    double t[ROWS];
    for (int i = 0; i < ROWS; i++) t[i] = 12.0*i/(ROWS - 1);
    run_t r = begin(&q);
    r.problem.drift = &r.field, r.problem.y0 = r.y0;
    EACH_METHOD(m) {
        nde_solution s = { 0 };
        const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .rtol = rtol, .atol = rtol, .save_t = t,
                                             .n_save = ROWS);
        if (nde_solve(&r.problem, &options, &s)) fail_msg("%s: %s", m->name, s.error);
        double worst = 0;
        for (int i = 0; i < ROWS; i++) {
            worst = fmax(worst, fabs((double)s.y[2*i] - cos(t[i])));
            worst = fmax(worst, fabs((double)s.y[2*i + 1] - sin(t[i])));
        }
        print_message("%s: %.1e off at %d times, %d steps, %d implicit\n", m->name, worst, ROWS, (int)s.stats->accepted,
                      (int)s.stats->jacobians);
        assert_true(worst < 100*rtol);
        const int64_t attempts = s.stats->accepted + s.stats->rejected;
        assert_true(s.stats->jacobians > 10 && attempts - s.stats->jacobians > 10);
        nde_solution_free(&s);
    }
    end(&r);
}

static void events_are_where_they_are(void **state) {
    (void)state;
    const problem_t q = { "known", known, 2, 12, { 1, 0 }, { 0 }, 1 };
    const double rtol = IS_DOUBLE ? 1e-8 : 1e-4, pi = acos(-1);
    nde_program *zero;
    assert_int_equal(nde_program_parse("state x, z; out = z - 0.5", NULL, &zero), NDE_OK);
    const nde_field g = nde_field_program(zero);
    const nde_event event = NDE_INIT(nde_event, .g = &g);
    run_t r = begin(&q);
    r.problem.drift = &r.field, r.problem.y0 = r.y0, r.problem.events = &event, r.problem.n_events = 1;
    EACH_METHOD(m) {
        nde_solution s = { 0 };
        const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .rtol = rtol, .atol = rtol);
        if (nde_solve(&r.problem, &options, &s)) fail_msg("%s: %s", m->name, s.error ? s.error : nde_error());
        assert_int_equal(s.event_count[0], 4);
        for (int k = 0; k < 4; k++)
            assert_true(fabs(s.event_t[k] - (2*pi*(k/2) + (k % 2 ? 5 : 1)*pi/6)) < 1e3*rtol);
        nde_solution_free(&s);
    }
    end(&r), nde_program_destroy(zero);
}

/* ---- gradients ------------------------------------------------------------------------------- */

static void check(const char *what, const nde_method *m, const nde_problem *problem, nde_options options) {
    nde_gradient_report report = { .size = sizeof report };
    options.size = sizeof options, options.method = nde_method_id(m), options.adjoint = NDE_ADJOINT_DISCRETE;
    options.budget = (size_t)32 << 20;
    if (nde_gradient_check(problem, &options, NULL, 5, &report)) fail_msg("%s, %s: %s", what, m->name, nde_error());
    print_message("%s, %s: %.1e of forward mode, %.1e of differences\n", what, m->name, report.forward_error,
                  report.difference_error);
    /* differences of single precision move the inputs by 2 %: too far for explicit steps at the border of stability; and where
     * the record leaves states out, the ways of these steps are found anew, and may be others */
    const bool differs = IS_DOUBLE && !options.record;
    if (!(report.forward_error < (IS_DOUBLE ? 1e-11 : 2e-3)) || (differs && !(report.difference_error < 1e-7)))
        fail_msg("%s, %s: %g of forward mode, %g of differences", what, m->name, report.forward_error, report.difference_error);
}

static void gradients_are_those_of_the_steps(void **state) {
    (void)state;
    enum { N = 40 };
    static nde_real y0[2*N], q[N];
    for (size_t b = 0; b < N; b++) {
        y0[b] = (nde_real)(0.1*(double)b), y0[N + b] = (nde_real)(1 - 0.02*(double)b);
        q[b] = (nde_real)(0.2 + 0.03*(double)b);
    }
    const problem_t own = { "own", "state x, z; param most; own w\n"
                            "l = most*(1 + tanh(5*sin(t/w))) + 1; dx = l*(cos(t) - x); dz = sin(3*z) + w*x",
                            2, 3, { 0.3, 0.2 }, { 300 }, 1 };
    nde_program *g;
    assert_int_equal(nde_program_parse("state x, z; param most; own w; out = [x*z + w*t]", NULL, &g), NDE_OK);
    const nde_field sum = nde_field_program(g);
    size_t rows = 2;
    const nde_loss loss = NDE_INIT(nde_loss, .at = half_squares, .ctx = &rows);
    const double save[] = { 0.3, 1.7, 3 }, rtol = IS_DOUBLE ? 1e-5 : 1e-3;
    run_t r = begin(&own);
    r.problem.drift = &r.field, r.problem.p = r.p, r.problem.y0 = r.y0, r.problem.q = q, r.problem.loss = &loss;
    EACH_METHOD(m) {
        nde_problem problem = r.problem;
        nde_options options = { .rtol = rtol, .atol = rtol, .save_t = save, .n_save = 3 };
        check("one trajectory", m, &problem, options);
        problem.quadrature = &sum;
        check("a quadrature", m, &problem, options);
        problem.y0 = y0, problem.n = N;
        check("an ensemble", m, &problem, options);
        options.record = NDE_RECORD_STATES;
        check("states alone", m, &problem, options);
        problem.quadrature = NULL, options.stepping = NDE_STEP_JOINT;
        check("joint steps", m, &problem, options);
    }
    end(&r), nde_program_destroy(g);
}

/* ---- lanes ----------------------------------------------------------------------------------- */

/* Some stiff, some not, some changing. */
static void lanes_do_not_know_of_each_other(void **state) {
    (void)state;
    enum { N = 100 };
    const problem_t own = { "own", "state x, z; own w\n"
                            "l = w*(1 + tanh(20*sin(t))) + 1; dx = l*(cos(t) - x); dz = sin(3*z) + x", 2, 8,
                            { 0 }, { 0 }, 1 };
    static nde_real y0[2*N], w[N];
    const double save[] = { 1, 3.5, 7.9 };
    for (size_t b = 0; b < N; b++) y0[b] = (nde_real)(0.01*(double)b), w[b] = (nde_real)pow(10, 5*(double)(b*7 % N)/N - 1);
    run_t r = begin(&own);
    EACH_METHOD(m) {
        const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .rtol = 1e-4, .atol = 1e-4,
                                             .reproducible = 1,
                                             .save_t = save, .n_save = 3);
        nde_problem problem = r.problem;
        nde_solution all = { 0 };
        problem.drift = &r.field, problem.y0 = y0, problem.q = w, problem.n = N;
        if (nde_solve(&problem, &options, &all)) fail_msg("%s: %s", m->name, all.error);
        int64_t least = INT64_MAX, most = 0;
        for (size_t b = 0; b < N; b++) {
            const nde_real start[] = { y0[b], 0 };
            nde_solution one = { 0 };
            problem.y0 = start, problem.q = w + b, problem.n = 1;
            assert_int_equal(nde_solve(&problem, &options, &one), NDE_OK);
            assert_int_equal(one.stats->accepted, all.stats[b].accepted);
            assert_int_equal(one.stats->jacobians, all.stats[b].jacobians);
            assert_int_equal(one.stats->evals, all.stats[b].evals);
            for (size_t i = 0; i < 2; i++) assert_memory_equal(&one.y_end[i], &all.y_end[i*N + b], sizeof *y0);
            for (size_t i = 0; i < 6; i++) assert_memory_equal(&one.y[i], &all.y[i*N + b], sizeof *y0);
            if (one.stats->jacobians < least) least = one.stats->jacobians;
            if (one.stats->jacobians > most) most = one.stats->jacobians;
            nde_solution_free(&one);
        }
        assert_true(least == 0 && most >= 50);
        nde_solution_free(&all);
    }
    end(&r);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stiff_problems_are_solved_implicitly), cmocka_unit_test(calm_problems_cost_no_more),
        cmocka_unit_test(every_evaluation_is_counted),          cmocka_unit_test(values_within_steps_are_exact),
        cmocka_unit_test(events_are_where_they_are),            cmocka_unit_test(gradients_are_those_of_the_steps),
        cmocka_unit_test(lanes_do_not_know_of_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
