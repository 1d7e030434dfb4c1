/* SPDX-License-Identifier: MIT
 * implicit.c - methods that solve systems with the Jacobian in each step: observed orders (non-stiff, Prothero and Robinson,
 * van der Pol), the limit of infinite stiffness, six stiff problems at several tolerances, linear ones drawn at random, and
 * gradients. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "method/loss.h"
#include "method/stiff_problems.h"
#include "method/method.h"

#define IS_DOUBLE (sizeof(nde_real) == sizeof(double))
#define EACH_METHOD(m)                                                     \
    for (size_t m##_ = 0; m##_ < nde_method_count(); m##_++)                \
        for (const nde_method *m = nde_method_at(m##_); m && (test_iterates(m) || m->kind == NDE_KIND_ROSENBROCK); m = NULL)

/* ---- solving --------------------------------------------------------------------------------- */

typedef struct run {
    nde_program *program;
    nde_field field;
    nde_real y0[20], p[400];
    nde_problem problem;
} run_t;

static run_t *begin(const char *text, size_t dim, const double *y0, size_t np, const double *p, double t0, double t1) {
    run_t *r = calloc(1, sizeof *r);
    if (nde_program_parse(text, NULL, &r->program)) fail_msg("%s", nde_error());
    r->field = nde_field_program(r->program);
    for (size_t i = 0; i < dim; i++) r->y0[i] = (nde_real)y0[i];
    for (size_t i = 0; i < np; i++) r->p[i] = (nde_real)p[i];
    r->problem = NDE_INIT(nde_problem, .drift = &r->field, .y0 = r->y0, .p = r->p, .t0 = t0, .t1 = t1);
    return r;
}

static void end(run_t *r) { nde_program_destroy(r->program), free(r); }

/* The state at the end; steps 0: adaptive. Returns the status. */
static nde_status solve(run_t *r, const nde_method *m, nde_options options, double *y, nde_stats *stats) {
    nde_solution s = { 0 };
    options.size = sizeof options, options.method = nde_method_id(m);
    const nde_status status = nde_solve(&r->problem, &options, &s);
    if (!s.y_end) fail_msg("%s: %s", m->name, nde_error());
    for (size_t i = 0; i < r->field.dim; i++) y[i] = (double)s.y_end[i];
    if (stats) *stats = s.stats[0];
    nde_solution_free(&s);
    return status;
}

/* The order between two numbers of equal steps. */
static double observed(run_t *r, const nde_method *m, int64_t steps, const double *exact, double *fine) {
    double error[2] = { 0 };
    for (int k = 0; k < 2; k++) {
        double y[20];
        assert_int_equal(solve(r, m, (nde_options){ .steps = steps << k }, y, NULL), NDE_OK);
        for (size_t i = 0; i < r->field.dim; i++) error[k] = fmax(error[k], fabs(y[i] - exact[i]));
    }
    if (fine) *fine = error[1];
    return log2(error[0]/error[1]);
}

/* x = exp(sin(t^2)), v = cos t, as a system that is neither autonomous nor linear. */
static void orders_where_nothing_is_stiff(void **state) {
    (void)state;
    if (!IS_DOUBLE) return;
    const double y0[] = { 1, 1 }, exact[] = { exp(sin(2.25)), cos(1.5) };
    run_t *r = begin("state x, v; dx = 2*t*x*cos(t*t) + x*(v*v - cos(t)^2); dv = -sin(t) + (log(x) - sin(t*t))*v", 2, y0, 0,
                     NULL, 0, 1.5);
    EACH_METHOD(m) {
        const int64_t steps = m->order == 1 ? 1024 : m->order == 2 || (test_iterates(m) && m->order < 5) ? 256 : 48;
        const double order = observed(r, m, steps, exact, NULL);
        print_message("%s: order %.2f\n", m->name, order);
        /* rodas4 has next to no error of its order here */
        assert_true(order > m->order - 0.2 && (order < m->order + 0.3 || m->kind == NDE_KIND_ROSENBROCK));
    }
    end(r);
}

/* y' = lambda (y - sin t) + cos t with lambda = -1e6: a stiff order of at least what is said of each method. */
static void orders_of_prothero_and_robinson(void **state) {
    (void)state;
    if (!IS_DOUBLE) return;
    const double y0[] = { 0 }, p[] = { -1e6 }, exact[] = { sin(2) };
    run_t *r = begin("state y; param l; dy = l*(y - sin(t)) + cos(t)", 1, y0, 1, p, 0, 2);
    EACH_METHOD(m) {
        double error;
        const double order = observed(r, m, 16, exact, &error);
        print_message("%s: order %.2f, error %.1e\n", m->name, order, error);
        assert_true(error < (m->order == 2 ? 1e-3 : 1e-5));
    }
    end(r);
}

/* Van der Pol's equation with e = 1e-5, on its smooth part: order reduction is reported. */
static void orders_of_van_der_pol(void **state) {
    (void)state;
    if (!IS_DOUBLE) return;
    const double y0[] = { 2, -2.0/3 }, p[] = { 1e-5 };
    run_t *r = begin(stiff_problems[3].text, 2, y0, 1, p, 0, 0.5);
    double exact[2];
    assert_int_equal(solve(r, nde_method_find("rodas5p"), (nde_options){ .rtol = 1e-12, .atol = 1e-14 }, exact, NULL), NDE_OK);
    EACH_METHOD(m) {
        double error;
        const double order = observed(r, m, 40, exact, &error);
        print_message("%s: order %.2f, error %.1e\n", m->name, order, error);
        assert_true(error < (m->order == 1 ? 1e-2 : m->order == 2 ? 1e-3 : 1e-6));
    }
    end(r);
}

/* One step of y' = lambda y over 1 takes everything away; the midpoint rule turns it round. Slope 0 of those that iterate is
 * lambda: it leaves its rounding. */
static void infinitely_stiff_parts_are_gone(void **state) {
    (void)state;
    EACH_METHOD(m) {
        const bool dirk = test_iterates(m);
        const double y0[] = { 1 }, p[] = { dirk ? IS_DOUBLE ? -1e8 : -1e3 : -1e12 };
        run_t *r = begin("state y; param l; dy = l*y", 1, y0, 1, p, 0, 1);
        double y;
        if (solve(r, m, (nde_options){ .steps = 1 }, &y, NULL)) fail_msg("%s", m->name);
        assert_true(fabs(y + (nde_method_id(m) == NDE_IMPLICIT_MIDPOINT)) < (dirk ? -10/p[0] : IS_DOUBLE ? 1e-9 : 1e-5));
        end(r);
    }
}

/* ---- six problems ---------------------------------------------------------------------------- */

/* At 321.8122, and at 2. Source: F. Mazzia, C. Magherini (2008). */
static const double hires_end[] = { 0.7371312573325668e-3, 0.1442485726316185e-3, 0.5888729740967575e-4, 0.1175651343283149e-2,
                                    0.2386356198831331e-2, 0.6238968252742796e-2, 0.2849998395185769e-2,
                                    0.2850001604814231e-2 };
static const double vdpol_end[] = { 0.1706167732170483e1, -0.8928097010247975 };

static double largest_error(const stiff_problem *q, const double *y, const double *exact) {
    double worst = 0, size = 0;
    for (size_t i = 0; i < q->dim; i++) worst = fmax(worst, fabs(y[i] - exact[i])), size = fmax(size, fabs(exact[i]));
    return worst/size;
}

static void errors_follow_tolerances(void **state) {
    (void)state;
    if (!IS_DOUBLE) return;
    for (size_t k = 0; k < STIFF_PROBLEMS; k++) {
        const stiff_problem *q = &stiff_problems[k];
        run_t *r = begin(q->text, q->dim, q->y0, q->np, q->p, 0, q->t1);
        double exact[20];
        const nde_options fine = { .rtol = 1e-12, .atol = fmax(1e-12*q->atol, 1e-30) };
        assert_int_equal(solve(r, nde_method_find("rodas5p"), fine, exact, NULL), NDE_OK);
        if (!strcmp(q->name, "HIRES")) assert_true(largest_error(q, exact, hires_end) < 1e-9);
        if (!strcmp(q->name, "VDPOL") && largest_error(q, exact, vdpol_end) > 1e-8) fail_msg("%.17g %.17g", exact[0], exact[1]);
        EACH_METHOD(m) {
            double last = 1;
            const double least = !m->error_order ? 1 : m->order == 1 ? 1e-5 : m->order == 2 ? 1e-7 : 1e-9;
            for (double rtol = 1e-4; rtol > least; rtol *= 1e-2) {
                double y[20];
                nde_stats stats;
                assert_int_equal(solve(r, m, (nde_options){ .rtol = rtol, .atol = rtol*q->atol }, y, &stats), NDE_OK);
                const double error = largest_error(q, y, exact);
                print_message("%-6s %-12s %.0e: error %.1e, %d + %d steps, %d iterations\n", q->name, m->name, rtol, error,
                              (int)stats.accepted, (int)stats.rejected, (int)stats.newton_iterations);
                assert_int_equal(stats.jacobians, stats.accepted + stats.rejected);
                assert_true(!test_iterates(m) || stats.newton_iterations > stats.accepted);
                const double left = fmax(test_iterates(m) ? 0.01*rtol : 1e-10, q->rounding); /* by Newton's method */
                if (!(error < fmax(0.5*last, left))) fail_msg("%s, %s: error %g after %g", q->name, m->name, error, last);
                if (rtol < 2e-8 && !(error < 1e-6)) fail_msg("%s, %s: fewer than six digits", q->name, m->name);
                last = error;
            }
        }
        end(r);
    }
}

/* From a state off the slow solution, as loose tolerances leave one, the stages of a long step are solved too. */
static void loose_tolerances_reject_little(void **state) {
    (void)state;
    const stiff_problem *q = &stiff_problems[0];
    assert_string_equal(q->name, "ROBER");
    run_t *r = begin(q->text, q->dim, q->y0, q->np, q->p, 0, q->t1);
    EACH_METHOD(m) {
        double y[3];
        nde_stats stats;
        if (!m->error_order) continue;
        assert_int_equal(solve(r, m, (nde_options){ .rtol = 1e-3, .atol = 1e-6 }, y, &stats), NDE_OK);
        if (4*stats.rejected > stats.accepted)
            fail_msg("%s: %d steps, %d rejected", m->name, (int)stats.accepted, (int)stats.rejected);
    }
    end(r);
}

/* ---- linear problems at random --------------------------------------------------------------- */

/* y' = Q D Q' y, Q from Householder's reflections, D from -1 to -1e12. */
static void rotated_spectra(void **state) {
    (void)state;
    enum { DIM = 6 };
    if (!IS_DOUBLE) return;
    for (uint64_t seed = 1; seed <= 10; seed++) {
        double Q[DIM][DIM] = { { 0 } }, d[DIM], y0[DIM], exact[DIM] = { 0 }, A[DIM*DIM];
        for (int i = 0; i < DIM; i++) {
            Q[i][i] = 1, y0[i] = nde_normal(seed, 200, 0, (uint64_t)i, 0);
            d[i] = -pow(10, i == 0 ? 0 : i == 1 ? 12 : 12*nde_uniform(seed, 200, 0, (uint64_t)i, 1));
        }
        for (uint64_t k = 0; k < 3; k++) {
            double v[DIM], square = 0;
            for (int i = 0; i < DIM; i++) v[i] = nde_normal(seed, 200, k + 1, (uint64_t)i, 0), square += v[i]*v[i];
            for (int i = 0; i < DIM; i++) {
                double dot = 0;
                for (int j = 0; j < DIM; j++) dot += Q[i][j]*v[j];
                for (int j = 0; j < DIM; j++) Q[i][j] -= 2*dot*v[j]/square;
            }
        }
        for (int i = 0; i < DIM; i++)
            for (int j = 0; j < DIM; j++) {
                A[i*DIM + j] = 0;
                for (int l = 0; l < DIM; l++) A[i*DIM + j] += Q[i][l]*d[l]*Q[j][l], exact[i] += Q[i][l]*exp(d[l])*Q[j][l]*y0[j];
            }
        run_t *r = begin("state y[6]; param A[36]; dy = matvec(A, y)", DIM, y0, DIM*DIM, A, 0, 1);
        EACH_METHOD(m) {
            const double rtol = 1e-4;
            double y[DIM];
            if (!m->error_order) continue;
            assert_int_equal(solve(r, m, (nde_options){ .rtol = rtol, .atol = rtol }, y, NULL), NDE_OK);
            for (int i = 0; i < DIM; i++)
                if (!(fabs(y[i] - exact[i]) < (m->order == 1 ? 50 : 20)*rtol*(1 + fabs(exact[i]))))
                    fail_msg("%s, %d: %g, not %g", m->name, (int)seed, y[i], exact[i]);
        }
        end(r);
    }
}

/* ---- gradients ------------------------------------------------------------------------------- */

static void check(const char *what, const nde_method *m, const nde_problem *problem, nde_options options) {
    nde_gradient_report report = { .size = sizeof report };
    options.size = sizeof options, options.method = nde_method_id(m), options.adjoint = NDE_ADJOINT_DISCRETE,
        options.budget = (size_t)16 << 20;
    const nde_status status = nde_gradient_check(problem, &options, NULL, 5, &report);
    if (status) fail_msg("%s, %s: %s", what, m->name, nde_error());
    const double forward = IS_DOUBLE ? 1e-12 : 2e-4, difference = IS_DOUBLE ? 1e-8 : 2e-2;
    print_message("%s, %s: %.1e of forward mode, %.1e of differences\n", what, m->name, report.forward_error,
                  report.difference_error);
    if (!(report.forward_error < forward) || !(report.difference_error < difference))
        fail_msg("%s, %s: %g of forward mode, %g of differences", what, m->name, report.forward_error, report.difference_error);
}

static const char brusselator[] = "state x, v; param a, b; own q; s = sin(3*t)\n"
                                  "dx = a + x*x*v - (b + 1)*x + q*s; dv = b*x - x*x*v + 0.1*s*x";
static const char integrand[] = "state x, v; param a, b; own q; out = [a*x*x*(1 + t), v*q]";

static void gradients_are_those_of_the_steps(void **state) {
    (void)state;
    enum { N = 150 };
    const double y[] = { 1.5, 2.5 }, p[] = { 1, 3 };
    static nde_real y0[2*N], q[N];
    for (size_t b = 0; b < N; b++)
        for (size_t i = 0; i < 2; i++) {
            y0[i*N + b] = (nde_real)(y[i] + 0.2*nde_normal(1, 200, b, i, 0));
            q[b] = (nde_real)(0.5 + 0.5*nde_uniform(1, 200, b, 2, 0));
        }
    run_t *r = begin(brusselator, 2, y, 2, p, 0, 1);
    nde_program *g;
    assert_int_equal(nde_program_parse(integrand, NULL, &g), NDE_OK);
    const nde_field sum = nde_field_program(g);
    const double save[] = { 0.3, 0.7, 1 }, back[] = { 0.7, 0.3, 0 };
    size_t dim = 2;
    const nde_loss loss = NDE_INIT(nde_loss, .at = half_squares, .ctx = &dim);
    const double rtol = IS_DOUBLE ? 1e-6 : 1e-4; /* with longer steps Newton's method fails in some lanes that are moved */
    EACH_METHOD(m) {
        nde_problem problem = r->problem;
        problem.q = q, problem.loss = &loss;
        const nde_options options = { .rtol = rtol, .atol = rtol, .save_t = save, .n_save = 3, .steps = m->error_order ? 0 : 20,
                                      .newton_tolerance = test_iterates(m) ? NDE_ZERO : 0 };
        check("one trajectory", m, &problem, options);
        if (test_iterates(m)) {
            nde_options differences = options;
            differences.jacobian = NDE_JACOBIAN_DIFFERENCES;
            check("differences", m, &problem, differences);
        }
        nde_options backwards = options;
        backwards.save_t = back;
        problem.t0 = 1, problem.t1 = 0;
        check("backwards in time", m, &problem, backwards);
        problem.t0 = 0, problem.t1 = 1;
        problem.quadrature = &sum;
        check("a quadrature", m, &problem, options);
        nde_options many = options;
        problem.y0 = y0, problem.n = N;
        check("an ensemble", m, &problem, many);
        problem.n = 20;
        nde_real few[40];
        for (size_t i = 0; i < 2; i++) memcpy(few + 20*i, y0 + N*i, 20*sizeof *few);
        problem.y0 = few;
        many.stepping = m->error_order ? NDE_STEP_JOINT : 0;
        check("joint steps", m, &problem, many);
        many.stepping = 0, many.record = NDE_RECORD_STATES;
        check("states alone", m, &problem, many);
    }
    nde_program_destroy(g);
    end(r);
}

/* ---- what may go wrong ----------------------------------------------------------------------- */

/* y' = -y; its Jacobian fails on demand. */
static int calls, failing, code;
static int decay(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) dy[b] = -y[b];
    return 0;
}
static int its_jacobian(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *j) {
    (void)self, (void)y;
    for (size_t b = 0; b < at->n; b++) j[b] = ++calls == failing && !code ? (nde_real)NAN : -1;
    return calls == failing ? code : 0;
}

static void jacobians_may_fail(void **state) {
    (void)state;
    static const struct { int code, status; } way[] = {
        { 0, NDE_OK }, { NDE_FIELD_RETRY, NDE_OK }, { NDE_FIELD_STOP, NDE_STOPPED }, { -7, NDE_E_FIELD },
    };
    const nde_field f = NDE_INIT(nde_field, .dim = 1, .out = 1, .eval = decay, .jacobian = its_jacobian,
                                 .traits = NDE_AUTONOMOUS);
    const nde_real y0 = 1;
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &f, .y0 = &y0, .t1 = 1);
    EACH_METHOD(m)
        for (size_t k = 0; m->error_order && k < sizeof way/sizeof *way; k++) {
            nde_solution s = { 0 };
            calls = 0, failing = 3, code = way[k].code;
            assert_int_equal(nde_solve(&problem, &NDE_INIT(nde_options, .method = nde_method_id(m), .rtol = 1e-3), &s),
                             way[k].status);
            assert_true(isfinite(s.y_end[0]));
            if (way[k].status == NDE_OK) assert_true(s.stats->rejected >= 1 && fabs((double)s.y_end[0] - exp(-1)) < 1e-2);
            nde_solution_free(&s);
        }
}

/* A trajectory among others takes the steps that it takes alone. */
static void lanes_do_not_know_of_each_other(void **state) {
    (void)state;
    enum { N = 200 };
    static const double start[] = { 1, 0, 0 }, rates[] = { 0.04, 1e4, 3e7 }, slow[] = { 0.04, 1e2, 3e2 };
    static nde_real y0[3*N];
    for (size_t b = 0; b < N; b++) y0[b] = (nde_real)(1 + 0.01*(double)b), y0[N + b] = 0, y0[2*N + b] = 0;
    EACH_METHOD(m) {
        run_t *r = begin(stiff_problems[0].text, 3, start, 3, m->error_order ? rates : slow, 0, 100);
        const nde_options options = NDE_INIT(nde_options, .method = nde_method_id(m), .rtol = 1e-3, .atol = 1e-6,
                                             .reproducible = 1, .steps = m->error_order ? 0 : 2000);
        nde_problem problem = r->problem;
        nde_solution all = { 0 };
        problem.y0 = y0, problem.n = N;
        if (nde_solve(&problem, &options, &all)) fail_msg("%s: %s", m->name, all.error);
        for (size_t b = 0; b < N; b += 33) {
            const nde_real own[] = { y0[b], 0, 0 };
            nde_solution one = { 0 };
            problem.y0 = own, problem.n = 1;
            assert_int_equal(nde_solve(&problem, &options, &one), NDE_OK);
            assert_int_equal(one.stats->accepted, all.stats[b].accepted);
            for (size_t i = 0; i < 3; i++) assert_memory_equal(&one.y_end[i], &all.y_end[i*N + b], sizeof *y0);
            nde_solution_free(&one);
        }
        nde_solution_free(&all);
        end(r);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_where_nothing_is_stiff),
        cmocka_unit_test(orders_of_prothero_and_robinson),
        cmocka_unit_test(orders_of_van_der_pol),
        cmocka_unit_test(infinitely_stiff_parts_are_gone),
        cmocka_unit_test(errors_follow_tolerances),
        cmocka_unit_test(loose_tolerances_reject_little),
        cmocka_unit_test(rotated_spectra),
        cmocka_unit_test(gradients_are_those_of_the_steps),
        cmocka_unit_test(jacobians_may_fail),
        cmocka_unit_test(lanes_do_not_know_of_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
