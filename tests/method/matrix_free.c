/* SPDX-License-Identifier: MIT
 * matrix_free.c - implicit methods by GMRES: against matrices, gradients, a few thousand unknowns without a matrix of them,
 * preconditioners that help and that fail, lanes, and what is refused. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "method/loss.h"
#include "method/method.h"

#define IS_DOUBLE (sizeof(nde_real) == sizeof(double))
#define EACH_METHOD(m)                                                     \
    for (size_t m##_ = 0; m##_ < nde_method_count(); m##_++)                \
        for (const nde_method *m = nde_method_at(m##_);                    \
             m && (m->kind == NDE_KIND_DIRK || m->kind == NDE_KIND_IMEX); m = NULL)

/* ---- a reaction that diffuses: y_i' = p (y_i-1 - 2 y_i + y_i+1)/dx^2 - y_i^3, y = 0 at both ends ---------------------- */

enum { MOST_ROWS = 3000 };

static nde_real rate(const nde_field *self) { return (nde_real)((self->dim + 1)*(self->dim + 1)); }
static nde_real second(const nde_field *self, size_t ld, const nde_real *y, size_t i) {
    return (i > 0 ? y[(i - 1)*ld] : 0) - 2*y[i*ld] + (i + 1 < self->dim ? y[(i + 1)*ld] : 0);
}

static int diffuse(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    for (size_t i = 0; i < self->dim; i++)
        for (size_t b = 0; b < at->n; b++) {
            const nde_real x = y[i*at->ld + b];
            dy[i*at->ld + b] = at->p[0]*rate(self)*second(self, at->ld, y + b, i) - x*x*x;
        }
    return 0;
}
static int diffuse_along(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *to) {
    for (size_t i = 0; i < self->dim; i++)
        for (size_t b = 0; b < at->n; b++) {
            const size_t e = i*at->ld + b;
            to[e] = v->p ? v->p[0]*rate(self)*second(self, at->ld, y + b, i) : 0;
            if (v->y) to[e] += at->p[0]*rate(self)*second(self, at->ld, v->y + b, i) - 3*y[e]*y[e]*v->y[e];
        }
    return 0;
}
static int diffuse_back(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a,
                        nde_cotangent *to) {
    for (size_t i = 0; i < self->dim; i++)
        for (size_t b = 0; b < at->n; b++) {
            const size_t e = i*at->ld + b;
            if (to->p) to->p[0] += (double)(a[e]*rate(self)*second(self, at->ld, y + b, i));
            if (to->y) to->y[e] += at->p[0]*rate(self)*second(self, at->ld, a + b, i) - 3*y[e]*y[e]*a[e];
        }
    return 0;
}

static nde_field diffusion(size_t dim) {
    return NDE_INIT(nde_field, .dim = dim, .out = dim, .np = 1, .eval = diffuse, .jvp = diffuse_along, .vjp = diffuse_back,
                    .traits = NDE_AUTONOMOUS);
}

/* The tridiagonal part of I - h J without the reaction, solved exactly; it is its own transpose. Calls fail on demand. */
static struct { int calls, at, code, again, transposed; } asked;

static int thomas(void *ctx, const nde_preconditioner_site *at, const nde_real *r, nde_real *z) {
    const size_t dim = *(const size_t *)ctx;
    double upper[MOST_ROWS];
    for (size_t b = 0; b < at->n; b++) {
        const double off = -0.1*at->h[b]*(double)((dim + 1)*(dim + 1)), diagonal = 1 - 2*off;
        double pivot = diagonal, last = (double)r[b]/pivot;
        z[b] = (nde_real)last;
        for (size_t i = 1; i < dim; i++) {
            upper[i] = off/pivot, pivot = diagonal - off*upper[i];
            last = ((double)r[i*at->ld + b] - off*last)/pivot;
            z[i*at->ld + b] = (nde_real)last;
        }
        for (size_t i = dim - 1; i-- > 0;) z[i*at->ld + b] -= (nde_real)(upper[i + 1]*(double)z[(i + 1)*at->ld + b]);
    }
    asked.again += at->again, asked.transposed += at->transposed;
    if (++asked.calls != asked.at) return 0;
    if (!asked.code) z[0] = (nde_real)NAN;
    return asked.code;
}

typedef struct bar {
    size_t dim;
    nde_real p, y0[MOST_ROWS];
    nde_field field;
    nde_preconditioner by;
    nde_loss loss;
    nde_problem problem;
} bar;

static bar *begin(size_t dim) {
    bar *x = calloc(1, sizeof *x);
    x->dim = dim, x->p = (nde_real)0.1, x->field = diffusion(dim);
    for (size_t i = 0; i < dim; i++) {
        const double at = (double)(i + 1)/(double)(dim + 1);
        x->y0[i] = (nde_real)(sin(3.141592653589793*at) + (at > 0.5 ? 0.5 : 0));
    }
    x->by = NDE_INIT(nde_preconditioner, .solve = thomas, .ctx = &x->dim);
    x->loss = NDE_INIT(nde_loss, .at = half_squares, .ctx = &x->dim);
    x->problem = NDE_INIT(nde_problem, .drift = &x->field, .y0 = x->y0, .p = &x->p, .t1 = 0.5, .loss = &x->loss);
    memset(&asked, 0, sizeof asked);
    return x;
}

static const nde_options usual = { .size = sizeof usual, .method = NDE_KVAERNO3, .rtol = 1e-4, .atol = 1e-4,
                                   .linear = NDE_LINEAR_GMRES, .budget = (size_t)16 << 20 };

/* ---- against matrices ------------------------------------------------------------------------ */

static double away(size_t n, const nde_real *x, const nde_real *y) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)x[i] - (double)y[i]));
    return most;
}

static nde_problem split_of(const nde_method *m, const nde_problem *problem, nde_splitting *splitting,
                            const nde_field *nothing) {
    nde_problem q = *problem;
    if (m->kind != NDE_KIND_IMEX) return q;
    *splitting = NDE_INIT(nde_splitting, .second = problem->drift);
    q.drift = nothing, q.splitting = splitting;
    return q;
}

static int decay(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    for (size_t i = 0; i < self->dim*at->ld; i += at->ld)
        for (size_t b = 0; b < at->n; b++) dy[i + b] = -y[i + b];
    return 0;
}
static int decay_back(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    (void)y;
    for (size_t i = 0; to->y && i < self->dim*at->ld; i += at->ld)
        for (size_t b = 0; b < at->n; b++) to->y[i + b] -= a[i + b];
    return 0;
}
static int decay_along(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *to) {
    (void)y;
    if (v->y) return decay(self, at, v->y, to);
    memset(to, 0, self->dim*at->ld*sizeof *to);
    return 0;
}

/* Fixed steps, whose stages are solved to rounding. */
static void values_and_gradients_are_those_of_matrices(void **state) {
    (void)state;
    bar *x = begin(25);
    const nde_field slow = NDE_INIT(nde_field, .dim = 25, .out = 25, .eval = decay, .vjp = decay_back, .jvp = decay_along,
                                    .traits = NDE_AUTONOMOUS);
    const double save[] = { 0.2, 0.5 }, near = IS_DOUBLE ? 1e-11 : 1e-3;
    EACH_METHOD(m)
        for (int way = 0; way < 3; way++) {
            nde_splitting splitting;
            nde_problem problem = split_of(m, &x->problem, &splitting, &slow);
            nde_real a_y0[2][25], a_p[2];
            double value[2];
            for (int free = 0; free < 2; free++) {
                nde_options options = usual;
                options.method = nde_method_id(m), options.steps = 20, options.adjoint = NDE_ADJOINT_DISCRETE;
                options.linear = free ? NDE_LINEAR_GMRES : 0, options.krylov = way == 1 ? 7 : 0;
                options.save_t = save, options.n_save = 2;
                if (!free) options.krylov = 0;
                problem.preconditioner = free && way == 2 ? &x->by : NULL;
                nde_solver *solver;
                if (nde_solver_create(&problem, &options, &solver)) fail_msg("%s: %s", m->name, nde_error());
                const nde_gradient g = NDE_INIT(nde_gradient, .y0 = a_y0[free], .p = &a_p[free]);
                assert_int_equal(nde_value_and_gradient(solver, &value[free], &g), NDE_OK);
                nde_solver_destroy(solver);
            }
            if (!(fabs(value[1] - value[0]) < near*value[0]) || !(away(25, a_y0[0], a_y0[1]) < near) ||
                !(away(1, &a_p[0], &a_p[1]) < near*fabs((double)a_p[0])))
                fail_msg("%s, %d: %g, %g, %g", m->name, way, value[1] - value[0], away(25, a_y0[0], a_y0[1]),
                         away(1, &a_p[0], &a_p[1]));
        }
    assert_true(asked.transposed > 0 && asked.again > 0);
    free(x);
}

static void gradients_are_those_of_the_steps(void **state) {
    (void)state;
    enum { N = 40 };
    static const char integrand[] = "state x[6]; param a; out = [a*dot(x, x)*(1 + t), x[2]]";
    bar *x = begin(6);
    static nde_real y0[6*N];
    for (size_t b = 0; b < N; b++)
        for (size_t i = 0; i < 6; i++) y0[i*N + b] = x->y0[i]*(nde_real)(1 + 0.01*(double)b);
    nde_program *g;
    assert_int_equal(nde_program_parse(integrand, NULL, &g), NDE_OK);
    const nde_field sum = nde_field_program(g);
    const double save[] = { 0.2, 0.5 }, forward = IS_DOUBLE ? 1e-11 : 5e-4, difference = IS_DOUBLE ? 1e-8 : 2e-2;
    const nde_field slow = NDE_INIT(nde_field, .dim = 6, .out = 6, .eval = decay, .vjp = decay_back, .jvp = decay_along,
                                    .traits = NDE_AUTONOMOUS);
    EACH_METHOD(m)
        for (int way = 0; way < (m->kind == NDE_KIND_IMEX ? 3 : 4); way++) { /* no quadrature with a splitting */
            nde_splitting splitting;
            nde_problem problem = split_of(m, &x->problem, &splitting, &slow);
            nde_options options = usual;
            nde_gradient_report report = { .size = sizeof report };
            options.method = nde_method_id(m), options.adjoint = NDE_ADJOINT_DISCRETE;
            options.save_t = save, options.n_save = 2;
            options.steps = m->error_order ? 0 : 20, options.newton_tolerance = NDE_ZERO;
            if (way == 1) problem.y0 = y0, problem.n = N;
            if (way == 2) options.record = NDE_RECORD_STATES;
            if (way == 3) problem.quadrature = &sum, problem.loss = NULL; /* which knows nothing of it */
            const nde_real ones[] = { 1, 1 };
            const nde_seed seed = NDE_INIT(nde_seed, .quadrature = ones);
            if (nde_gradient_check(&problem, &options, way == 3 ? &seed : NULL, 5, &report))
                fail_msg("%s, %d: %s", m->name, way, nde_error());
            if (!(report.forward_error < forward) || !(report.difference_error < difference))
                fail_msg("%s, %d: %g of forward mode, %g of differences", m->name, way, report.forward_error,
                         report.difference_error);
        }
    nde_program_destroy(g);
    free(x);
}

/* ---- size ------------------------------------------------------------------------------------ */

/* Some dozens of vectors, where one matrix would be 72 MB; what the preconditioner knows is not asked of GMRES. */
static void large_systems_need_no_matrix(void **state) {
    (void)state;
    bar *x = begin(MOST_ROWS);
    x->problem.loss = NULL;
    const size_t vector = MOST_ROWS*sizeof(nde_real);
    for (int with = 0; with <= 1; with++) {
        nde_needs needs = { .size = sizeof needs };
        nde_solution s = { 0 };
        nde_options options = usual;
        x->problem.preconditioner = with ? &x->by : NULL;
        x->problem.t1 = with ? 0.5 : 1e-6; /* its steps are too long for what is not known */
        assert_int_equal(nde_plan(&x->problem, &options, &needs), NDE_OK);
        assert_true(needs.workspace_bytes > 31*vector && needs.workspace_bytes < 100*vector);
        if (nde_solve(&x->problem, &options, &s)) fail_msg("%s", s.error);
        assert_true(s.stats->jacobians == 0 && s.stats->factorisations == 0 && s.stats->linear_iterations > 0);
        print_message("%d steps, %d iterations, %d products\n", (int)s.stats->accepted, (int)s.stats->newton_iterations,
                      (int)s.stats->linear_iterations);
        if (with) assert_true(s.stats->linear_iterations < 4*s.stats->newton_iterations);
        nde_solution_free(&s);
    }
    free(x);
}

/* Its gradient by p is that of differences of runs with the same steps, short or long. */
static void large_systems_have_gradients(void **state) {
    (void)state;
    if (!IS_DOUBLE) return;
    for (int far = 0; far < 2; far++) {
        bar *x = begin(MOST_ROWS);
        for (size_t i = 0; i < MOST_ROWS/2; i++) x->y0[i] *= far ? (nde_real)1e-3 : 1;
        for (size_t i = MOST_ROWS/2; i < MOST_ROWS; i++) x->y0[i] = x->y0[MOST_ROWS - 1 - i]; /* without its jump */
        const double end = far ? 50 : 0.5, step = 1e-4;
        double value[3];
        nde_real a_p;
        nde_options options = usual;
        options.steps = far ? 4 : 10, options.save_t = &end, options.n_save = 1, options.adjoint = NDE_ADJOINT_DISCRETE;
        x->problem.preconditioner = &x->by, x->problem.t1 = end;
        nde_solver *solver;
        assert_int_equal(nde_solver_create(&x->problem, &options, &solver), NDE_OK);
        for (int k = 0; k < 3; k++) {
            const nde_gradient g = NDE_INIT(nde_gradient, .p = &a_p);
            x->p = (nde_real)(0.1 + (k == 0 ? step : k == 1 ? -step : 0));
            if (nde_value_and_gradient(solver, &value[k], &g)) fail_msg("%s", nde_solver_error(solver));
        }
        const double slope = (value[0] - value[1])/(2*step);
        if (!(fabs((double)a_p - slope) < 1e-5*fabs(slope))) fail_msg("%g, by differences %g", (double)a_p, slope);
        nde_solver_destroy(solver);
        free(x);
    }
}

/* ---- lanes ----------------------------------------------------------------------------------- */

static void lanes_do_not_know_of_each_other(void **state) {
    (void)state;
    enum { N = 30, DIM = 20 };
    bar *x = begin(DIM);
    static nde_real y0[DIM*N];
    for (size_t b = 0; b < N; b++)
        for (size_t i = 0; i < DIM; i++) y0[i*N + b] = x->y0[i]*(nde_real)(1 + 0.1*(double)b);
    x->problem.loss = NULL;
    EACH_METHOD(m) {
        if (m->kind == NDE_KIND_IMEX) continue;
        nde_options options = usual;
        options.method = nde_method_id(m), options.steps = m->error_order ? 0 : 50, options.krylov = 8;
        nde_problem problem = x->problem;
        nde_solution all = { 0 };
        problem.y0 = y0, problem.n = N;
        if (nde_solve(&problem, &options, &all)) fail_msg("%s: %s", m->name, all.error);
        for (size_t b = 0; b < N; b += 7) {
            nde_real own[DIM];
            nde_solution one = { 0 };
            for (size_t i = 0; i < DIM; i++) own[i] = y0[i*N + b];
            problem.y0 = own, problem.n = 1;
            assert_int_equal(nde_solve(&problem, &options, &one), NDE_OK);
            assert_int_equal(one.stats->linear_iterations, all.stats[b].linear_iterations);
            for (size_t i = 0; i < DIM; i++) assert_memory_equal(&one.y_end[i], &all.y_end[i*N + b], sizeof *y0);
            nde_solution_free(&one);
        }
        nde_solution_free(&all);
    }
    free(x);
}

/* ---- what may go wrong ----------------------------------------------------------------------- */

static void preconditioners_may_fail(void **state) {
    (void)state;
    static const struct { int code, status; } way[] = {
        { 0, NDE_OK }, { NDE_FIELD_RETRY, NDE_OK }, { NDE_FIELD_STOP, NDE_STOPPED }, { -7, NDE_E_FIELD },
    };
    bar *x = begin(20);
    x->problem.preconditioner = &x->by, x->problem.loss = NULL;
    for (size_t k = 0; k < sizeof way/sizeof *way; k++)
        for (int where = 1; where < 20; where += 3) {
            nde_solution s = { 0 };
            memset(&asked, 0, sizeof asked);
            asked.at = where, asked.code = way[k].code;
            const nde_status status = nde_solve(&x->problem, &usual, &s);
            if (status != way[k].status) fail_msg("%d at %d: %d, %s", way[k].code, where, (int)status, s.error);
            for (size_t i = 0; i < x->dim; i++) assert_true(isfinite(s.y_end[i]));
            nde_solution_free(&s);
        }
    free(x);
}

/* ---- what is refused ------------------------------------------------------------------------- */

static void what_has_no_meaning_is_refused(void **state) {
    (void)state;
    static const struct { nde_options options; bool by, no_jvp; nde_status status; const char *word; } way[] = {
        { { .method = NDE_RODAS4, .linear = NDE_LINEAR_GMRES }, false, false, NDE_E_ARG, "rodas4" },
        { { .method = NDE_RADAU5, .linear = NDE_LINEAR_GMRES }, false, false, NDE_E_ARG, "radau5" },
        { { .method = NDE_TSIT5, .linear = NDE_LINEAR_GMRES }, false, false, NDE_E_ARG, "tsit5" },
        { { .method = NDE_TSIT5, .krylov = 3 }, false, false, NDE_E_ARG, "krylov" },
        { { .method = NDE_TSIT5 }, true, false, NDE_E_ARG, "preconditioner" },
        { { .linear = 9 }, false, false, NDE_E_ARG, "linear is 9" },
        { { .linear = NDE_LINEAR_GMRES, .krylov = -1 }, false, false, NDE_E_ARG, "krylov is -1" },
        { { .linear = NDE_LINEAR_GMRES, .jacobian = NDE_JACOBIAN_DIFFERENCES }, false, false, NDE_E_ARG, "jacobian is 3" },
        { { .linear = NDE_LINEAR_GMRES }, false, true, NDE_E_NO_JVP, "jvp" },
        { { .krylov = 3 }, false, false, NDE_E_ARG, "krylov is 3" },
        { { .linear = NDE_LINEAR_DENSE }, true, false, NDE_E_ARG, "preconditioner" },
    };
    bar *x = begin(20);
    for (size_t k = 0; k < sizeof way/sizeof *way; k++) {
        nde_options o = way[k].options;
        nde_solver *solver = NULL;
        o.size = sizeof o;
        if (!o.method) o.method = NDE_TRBDF2;
        x->field.jvp = way[k].no_jvp ? NULL : diffuse_along;
        x->problem.preconditioner = way[k].by ? &x->by : NULL;
        if (nde_solver_create(&x->problem, &o, &solver) != way[k].status) fail_msg("%d: '%s'", (int)k, nde_error());
        if (!strstr(nde_error(), way[k].word)) fail_msg("'%s' does not name %s", nde_error(), way[k].word);
        nde_solver_destroy(solver);
    }
    const nde_options o = usual;
    nde_solver *solver = NULL;
    x->problem.preconditioner = &NDE_INIT(nde_preconditioner, .ctx = x);
    assert_int_equal(nde_solver_create(&x->problem, &o, &solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "preconditioner.solve"));
    free(x);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_and_gradients_are_those_of_matrices),
        cmocka_unit_test(gradients_are_those_of_the_steps),
        cmocka_unit_test(large_systems_need_no_matrix),
        cmocka_unit_test(large_systems_have_gradients),
        cmocka_unit_test(lanes_do_not_know_of_each_other),
        cmocka_unit_test(preconditioners_may_fail),
        cmocka_unit_test(what_has_no_meaning_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
