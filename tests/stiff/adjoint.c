/* SPDX-License-Identifier: MIT
 * adjoint.c - gradients by CVODES against closed forms and against libnde's own: the discrete adjoint of an explicit method
 * with small steps. */
#include "problems.h"

static double largest(const double *x, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(x[i]));
    return most;
}

static double distance(const double *x, const double *y, size_t n) {
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs(x[i] - y[i]));
    return most/largest(y, n);
}

static int squares(double t, const double *y, const double *p, double *dz, void *ctx) {
    const size_t n = *(const size_t *)ctx;
    (void)t, (void)p;
    for (size_t i = 0; i < n; i++) dz[i] = y[i]*y[i];
    return 0;
}
static int squares_vjp(double t, const double *y, const double *p, const double *a, double *ay, double *ap, double *at,
                       void *ctx) {
    const size_t n = *(const size_t *)ctx;
    (void)t, (void)p, (void)ap, (void)at;
    for (size_t i = 0; i < n; i++) ay[i] += 2*y[i]*a[i];
    return 0;
}

/* Two trajectories, a loss on rows, ends and quadratures, with and against time, by all linear solvers. */
static double compare(example *e, double t1, const nde_stiff_options *stiff, nde_stats *back, nde_stiff_counts *counts) {
    enum { N = 2, ROWS = 4 };
    nde_pointwise one = example_pointwise(e);
    size_t n = e->dim;
    const nde_pointwise square = NDE_INIT(nde_pointwise, .f = squares, .vjp = squares_vjp, .ctx = &n);
    const nde_field field = nde_field_pointwise(&one, n, e->np), quadrature = nde_field_pointwise(&square, n, 0);
    double y0[MOST_DIM*N], seed_y[ROWS*MOST_DIM*N], seed_end[MOST_DIM*N], seed_z[MOST_DIM*N];
    for (size_t i = 0; i < n; i++) y0[2*i] = e->y0[i], y0[2*i + 1] = 0.9*e->y0[i] + 0.001;
    for (size_t i = 0; i < ROWS*n*N; i++) seed_y[i] = sin(1.0 + (double)i);
    for (size_t i = 0; i < n*N; i++) seed_end[i] = cos((double)i), seed_z[i] = 0.1*sin((double)i);
    const double save[ROWS] = { 0, 0.3*t1, 0.31*t1, t1 };
    const nde_problem problem = NDE_INIT(nde_problem, .n = N, .drift = &field, .quadrature = &quadrature, .t1 = t1, .y0 = y0,
                                         .p = e->p);
    const nde_seed seed = NDE_INIT(nde_seed, .y = seed_y, .y_end = seed_end, .quadrature = seed_z);
    double ours_y[MOST_DIM*N], ours_p[MOST_NP], theirs_y[MOST_DIM*N], theirs_p[MOST_NP];
    nde_options options = NDE_INIT(nde_options, .method = NDE_VERN7, .rtol = 1e-11, .atol = 1e-14,
                                   .adjoint = NDE_ADJOINT_DISCRETE,
                                   .save_t = save, .n_save = ROWS);
    nde_solver *ours;
    nde_solution s = { 0 };
    assert_int_equal(nde_solver_create(&problem, &options, &ours), NDE_OK);
    assert_int_equal(nde_solver_run(ours, &s), NDE_OK);
    assert_int_equal(nde_backward(ours, &seed, &NDE_INIT(nde_gradient, .y0 = ours_y, .p = ours_p)), NDE_OK);
    nde_solver_destroy(ours);

    nde_stiff_solver *solver;
    nde_stats stats[N];
    options.method = 0, options.rtol = 1e-9, options.atol = 1e-13, options.adjoint = NDE_ADJOINT_INTERPOLATED;
    assert_int_equal(nde_stiff_solve(&problem, &options, stiff, &solver, &s), NDE_OK);
    double again_y[MOST_DIM*N];
    nde_status status = nde_stiff_backward(solver, &seed, &NDE_INIT(nde_gradient, .y0 = theirs_y, .p = theirs_p,
                                                                    .back = stats));
    if (status) print_message("%s\n", nde_stiff_error(solver));
    assert_int_equal(status, NDE_OK);
    *back = stats[0], *counts = nde_stiff_count_back(solver)[0];
    assert_int_equal(nde_stiff_backward(solver, &seed, &NDE_INIT(nde_gradient, .y0 = again_y)), NDE_OK);
    assert_true(distance(again_y, theirs_y, n*N) < 1e-12);
    nde_stiff_destroy(solver);
    return fmax(distance(theirs_y, ours_y, n*N), e->np ? distance(theirs_p, ours_p, e->np) : 0);
}

static void agree(void **state) {
    (void)state;
    example rober = ROBER, hires = HIRES;
    const nde_stiff_options ways[] = {
        NDE_INIT(nde_stiff_options, .linear = NDE_STIFF_DENSE),
        NDE_INIT(nde_stiff_options, .linear = NDE_STIFF_DENSE, .polynomial = 1, .checkpoint = 20),
        NDE_INIT(nde_stiff_options, .linear = NDE_STIFF_BAND, .lower = 7, .upper = 7, .integral_rtol = 1e-9,
                 .integral_atol = 1e-12),
        NDE_INIT(nde_stiff_options, .linear = NDE_STIFF_KRYLOV),
        NDE_INIT(nde_stiff_options, .linear = NDE_STIFF_DENSE, .method = NDE_STIFF_ADAMS),
        NDE_INIT(nde_stiff_options, .linear = NDE_STIFF_DENSE, .back_rtol = 1e-10, .back_atol = 1e-13),
    };
    nde_stats back;
    nde_stiff_counts counts;
    for (size_t k = 0; k < sizeof ways/sizeof *ways; k++) {
        const double by_hires = compare(&hires, 5, &ways[k], &back, &counts);
        print_message("way %zu: HIRES %.2g (%lld steps back, order %d)\n", k, by_hires, (long long)back.accepted,
                      counts.most_order);
        assert_true(by_hires < 1e-5);
        assert_true(back.accepted > 10 && back.evals > 10);
        if (ways[k].linear != NDE_STIFF_KRYLOV) assert_true(back.jacobians > 0 && back.factorisations >= back.jacobians);
        else assert_true(counts.products > 0 && back.linear_iterations > 0);
    }
    const nde_stiff_options functional = NDE_INIT(nde_stiff_options, .method = NDE_STIFF_ADAMS);
    assert_true(compare(&hires, 1, &functional, &back, &counts) < 1e-5);
    const double by_rober = compare(&rober, 1, &ways[0], &back, &counts);
    print_message("ROBER %.2g\n", by_rober);
    assert_true(by_rober < 1e-5);
}

/* y' = -p q y, against time too: dL/dp, dL/dq of each trajectory, and y0 in closed form. */
static int rate(const nde_field *self, const nde_site *at, const double *y, double *dy) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) dy[b] = -at->p[0]*at->q[b]*y[b];
    return 0;
}
static int rate_vjp(const nde_field *self, const nde_site *at, const double *y, const double *a, nde_cotangent *to) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) {
        if (to->y) to->y[b] -= at->p[0]*at->q[b]*a[b];
        if (to->q) to->q[b] -= at->p[0]*y[b]*a[b];
        if (to->p) to->p[0] -= at->q[b]*y[b]*a[b];
    }
    return 0;
}

static void closed_form(void **state) {
    (void)state;
    const nde_field field = NDE_INIT(nde_field, .dim = 1, .out = 1, .np = 1, .nq = 1, .eval = rate, .vjp = rate_vjp);
    const double p = 1.5, q[] = { 1, 0.5, 2 }, y0[] = { 1, 2, 3 }, seed[] = { 1, -1, 0.5 };
    for (int back = 0; back < 2; back++)
        for (int threads = 1; threads < 3; threads++) {
            const nde_problem problem = NDE_INIT(nde_problem, .n = 3, .drift = &field, .t0 = back, .t1 = !back, .y0 = y0,
                                                 .p = &p, .q = q);
            const nde_options options = NDE_INIT(nde_options, .rtol = 1e-10, .atol = 1e-13,
                                                 .adjoint = NDE_ADJOINT_INTERPOLATED, .threads = threads);
            nde_stiff_solver *solver;
            nde_solution s = { 0 };
            double a_y[3], a_q[3], a_p, sum = 0;
            assert_int_equal(nde_stiff_solve(&problem, &options, NULL, &solver, &s), NDE_OK);
            assert_int_equal(nde_stiff_backward(solver, &NDE_INIT(nde_seed, .y_end = seed), &NDE_INIT(nde_gradient, .y0 = a_y,
                .q = a_q, .p = &a_p)),
                             NDE_OK);
            for (size_t i = 0; i < 3; i++) {
                const double T = back ? -1 : 1, end = exp(-p*q[i]*T);
                assert_true(fabs(a_y[i] - seed[i]*end) < 1e-7*(1 + end));
                assert_true(fabs(a_q[i] + seed[i]*p*T*y0[i]*end) < 1e-6*(1 + end));
                sum -= seed[i]*q[i]*T*y0[i]*end;
            }
            assert_true(fabs(a_p - sum) < 1e-5*(1 + fabs(sum)));
            nde_stiff_destroy(solver);
        }
}

static void refusals(void **state) {
    (void)state;
    example hires = HIRES;
    nde_pointwise one = example_pointwise(&hires);
    nde_field field = nde_field_pointwise(&one, 8, 2);
    const double jump_t = 1;
    nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .t1 = 2, .y0 = hires.y0, .p = hires.p);
    nde_options options = NDE_INIT(nde_options, .clip_t = &jump_t, .n_clip = 1);
    nde_stiff_solver *solver;
    double a_p[2], t0;
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = hires.y0);
    assert_int_equal(nde_stiff_create(&problem, &options, NULL, &solver), NDE_OK);
    assert_int_equal(nde_stiff_backward(solver, &seed, &NDE_INIT(nde_gradient, .p = a_p)), NDE_E_ARG);
    assert_non_null(strstr(nde_stiff_error(solver), "options.adjoint"));
    nde_stiff_destroy(solver);
    options.adjoint = NDE_ADJOINT_INTERPOLATED;
    assert_int_equal(nde_stiff_create(&problem, &options, NULL, &solver), NDE_OK);
    assert_int_equal(nde_stiff_backward(solver, &seed, &NDE_INIT(nde_gradient, .p = a_p)), NDE_E_ARG); /* it did not run */
    assert_int_equal(nde_stiff_run(solver, NULL), NDE_OK);
    assert_int_equal(nde_stiff_backward(solver, &seed, &NDE_INIT(nde_gradient, .t0 = &t0)), NDE_E_ARG);
    assert_int_equal(nde_stiff_backward(solver, &seed, &NDE_INIT(nde_gradient, .p = a_p)), NDE_E_ARG);
    assert_non_null(strstr(nde_stiff_error(solver), "clip"));
    nde_stiff_destroy(solver);
    field.vjp = NULL;
    assert_int_equal(nde_stiff_create(&problem, &options, NULL, &solver), NDE_E_NO_VJP);
}

/* ---- what CVODES' adjoint does not go through ------------------------------------------------------------------------ */

static int add_one(const nde_field *self, const nde_site *at, const double *y, double *z) {
    for (size_t i = 0; i < self->dim*at->ld; i++) z[i] = y[i];
    for (size_t b = 0; b < at->n; b++) z[b] += 1;
    return 0;
}
static int add_one_vjp(const nde_field *self, const nde_site *at, const double *y, const double *a, nde_cotangent *to) {
    (void)y;
    for (size_t i = 0; i < self->dim*at->ld; i++) to->y[i] += a[i];
    return 0;
}
static int below(const nde_field *self, const nde_site *at, const double *y, double *g) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) g[b] = y[b] - 0.5;
    return 0;
}

/* The run is fine, and there is no gradient of it, which is left as it was. */
static void has_none(const nde_problem *problem, nde_options options, const char *why) {
    nde_stiff_solver *solver;
    double a_p[2] = { 7, 7 };
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = problem->y0);
    options.size = sizeof options, options.adjoint = NDE_ADJOINT_INTERPOLATED;
    assert_int_equal(nde_stiff_create(problem, &options, NULL, &solver), NDE_OK);
    assert_true(nde_stiff_run(solver, NULL) >= 0);
    assert_int_equal(nde_stiff_backward(solver, &seed, &NDE_INIT(nde_gradient, .p = a_p)), NDE_E_ARG);
    if (!strstr(nde_stiff_error(solver), why)) fail_msg("'%s' is not in '%s'", why, nde_stiff_error(solver));
    assert_true(a_p[0] == 7 && a_p[1] == 7);
    nde_stiff_destroy(solver);
}

static void what_is_not_smooth_has_no_gradient(void **state) {
    (void)state;
    example hires = HIRES;
    nde_pointwise one = example_pointwise(&hires);
    const nde_field field = nde_field_pointwise(&one, 8, 2);
    const nde_field jump = NDE_INIT(nde_field, .dim = 8, .out = 8, .eval = add_one, .vjp = add_one_vjp);
    const nde_field g = NDE_INIT(nde_field, .dim = 8, .out = 1, .eval = below);
    const nde_event resets = NDE_INIT(nde_event, .g = &g, .direction = -1, .reset = &jump);
    const nde_event ends = NDE_INIT(nde_event, .g = &g, .terminal = 1), looks = NDE_INIT(nde_event, .g = &g);
    const double at = 1;
    nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .t1 = 2, .y0 = hires.y0, .p = hires.p);
    has_none(&problem, (nde_options){ .clip_t = &at, .n_clip = 1 }, "trajectory 0 has a jump, clip or reset");
    problem.jump = &jump, problem.jump_t = &at, problem.n_jumps = 1;
    has_none(&problem, (nde_options){ 0 }, "has a jump, clip or reset");
    problem.jump = NULL, problem.jump_t = NULL, problem.n_jumps = 0, problem.n_events = 1;
    problem.events = &resets, has_none(&problem, (nde_options){ 0 }, "has a jump, clip or reset");
    problem.events = &ends, has_none(&problem, (nde_options){ 0 }, "trajectory 0 was ended by an event");
    nde_stiff_solver *solver; /* one that only looks on is no trouble */
    double a_p[2];
    problem.events = &looks;
    const nde_options options = NDE_INIT(nde_options, .adjoint = NDE_ADJOINT_INTERPOLATED);
    assert_int_equal(nde_stiff_create(&problem, &options, NULL, &solver), NDE_OK);
    assert_int_equal(nde_stiff_run(solver, NULL), NDE_OK);
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = hires.y0);
    assert_int_equal(nde_stiff_backward(solver, &seed, &NDE_INIT(nde_gradient, .p = a_p)), NDE_OK);
    nde_stiff_destroy(solver);
}

static void other_adjoints_are_not_known(void **state) {
    (void)state;
    example hires = HIRES;
    nde_pointwise one = example_pointwise(&hires);
    const nde_field field = nde_field_pointwise(&one, 8, 2);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .t1 = 2, .y0 = hires.y0, .p = hires.p);
    const nde_stiff_options dae = NDE_INIT(nde_stiff_options, .method = NDE_STIFF_DAE);
    nde_options options = NDE_INIT(nde_options, .adjoint = NDE_ADJOINT_INTERPOLATED);
    nde_stiff_solver *solver;
    assert_int_equal(nde_stiff_create(&problem, &options, &dae, &solver), NDE_E_ARG);
    assert_non_null(strstr(nde_stiff_error(NULL), "NDE_STIFF_DAE"));
    for (int32_t adjoint = -1; adjoint <= 6; adjoint++) {
        options.adjoint = adjoint;
        if (adjoint == NDE_ADJOINT_NONE || adjoint == NDE_ADJOINT_INTERPOLATED) continue;
        assert_int_equal(nde_stiff_create(&problem, &options, NULL, &solver), NDE_E_ARG);
        assert_non_null(strstr(nde_stiff_error(NULL), "NDE_ADJOINT_INTERPOLATED"));
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(agree),
        cmocka_unit_test(closed_form),
        cmocka_unit_test(refusals),
        cmocka_unit_test(what_is_not_smooth_has_no_gradient),
        cmocka_unit_test(other_adjoints_are_not_known),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
