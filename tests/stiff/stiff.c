/* SPDX-License-Identifier: MIT
 * stiff.c - libnde-stiff against reference solutions: methods, linear solvers, sources of the Jacobian, saves, jumps, clips,
 * inputs, quadrature, ensembles, dense output, options that are refused. */
#include "problems.h"

static example rober = ROBER, hires = HIRES, vdpol = VDPOL;
static example *const examples[] = { &rober, &hires, &vdpol };

static nde_problem problem_of(const example *e, const nde_field *field) {
    return NDE_INIT(nde_problem, .drift = field, .t1 = e->t1, .y0 = e->y0, .p = e->p);
}

/* Largest error of the end, relative to tolerance-like weights. */
static double distance(const example *e, const double *y, double floor) {
    double worst = 0;
    for (size_t i = 0; i < e->dim; i++) worst = fmax(worst, fabs(y[i] - e->end[i])/(fabs(e->end[i]) + floor));
    return worst;
}

static double solve_with(example *e, const nde_field *field, double rtol, bool differences, const nde_stiff_options *stiff,
                         nde_stiff_counts *counts,
                         nde_stats *stats) {
    const nde_problem problem = problem_of(e, field);
    const nde_options options = NDE_INIT(nde_options, .rtol = rtol, .atol = e->atol*rtol/1e-7,
                                         .jacobian = differences ? NDE_JACOBIAN_DIFFERENCES : 0);
    nde_stiff_solver *solver;
    nde_solution s = { 0 };
    const nde_status status = nde_stiff_solve(&problem, &options, stiff, &solver, &s);
    if (status) print_message("%s: %s\n", e->name, s.error ? s.error : nde_stiff_error(solver));
    assert_int_equal(status, NDE_OK);
    assert_true(s.t_end[0] == e->t1);
    const double error = distance(e, s.y_end, 1e-14);
    if (counts) *counts = nde_stiff_count(solver)[0];
    if (stats) *stats = s.stats[0];
    nde_stiff_destroy(solver);
    return error;
}

/* Every source of the Jacobian, and every linear solver, gives the reference solution. */
static void references(void **state) {
    (void)state;
    enum { MATRIX, TANGENT, TRANSPOSE, DIFFERENCES, SOURCES };
    for (size_t k = 0; k < 3; k++)
        for (int source = 0; source < SOURCES; source++)
            for (int dae = 0; dae < 2; dae++) {
                nde_pointwise one = example_pointwise(examples[k]);
                nde_field field = nde_field_pointwise(&one, examples[k]->dim, examples[k]->np);
                if (source == MATRIX) field.jacobian = example_jacobian;
                if (source >= TRANSPOSE) field.jvp = NULL;
                if (source >= DIFFERENCES) field.vjp = NULL;
                const nde_stiff_options stiff = NDE_INIT(nde_stiff_options, .method = dae ? NDE_STIFF_DAE : NDE_STIFF_BDF);
                nde_stiff_counts counts;
                nde_stats stats;
                const double error = solve_with(examples[k], &field, 1e-7, source == DIFFERENCES, &stiff, &counts, &stats);
                print_message("%s %s source %d: error %.2g, %lld steps, %lld rejected, %lld evals, %lld Jacobians, %lld LU, order %d\n",
                              examples[k]->name, dae ? "IDAS" : "BDF", source, error, (long long)stats.accepted,
                                  (long long)stats.rejected,
                              (long long)stats.evals, (long long)stats.jacobians, (long long)stats.factorisations,
                                  counts.most_order);
                assert_true(error < 2e-4);
                assert_true(stats.jacobians > 0 && stats.factorisations >= stats.jacobians && counts.most_order >= 3);
                assert_true(stats.newton_iterations >= stats.accepted && stats.evals >= stats.accepted);
                assert_int_equal(stats.rejected, counts.error_failures + counts.newton_failures);
            }
}

/* Six digits at 1e-8 where the condition allows, and errors that follow the tolerance. */
static void proportion(void **state) {
    (void)state;
    for (size_t k = 0; k < 3; k++) {
        nde_pointwise one = example_pointwise(examples[k]);
        const nde_field field = nde_field_pointwise(&one, examples[k]->dim, examples[k]->np);
        const double loose = solve_with(examples[k], &field, 1e-5, false, NULL, NULL, NULL), tight = solve_with(examples[k],
            &field, 1e-9, false, NULL, NULL, NULL);
        print_message("%s: %.2g at 1e-5, %.2g at 1e-9\n", examples[k]->name, loose, tight);
        assert_true(tight < 1e-6 && tight < 0.02*loose);
    }
}

static void krylov_and_functional(void **state) {
    (void)state;
    nde_pointwise one = example_pointwise(&hires);
    const nde_field field = nde_field_pointwise(&one, 8, 2);
    nde_stiff_counts counts;
    nde_stats stats;
    for (int differences = 0; differences < 2; differences++) {
        const nde_stiff_options krylov = NDE_INIT(nde_stiff_options, .linear = NDE_STIFF_KRYLOV);
        assert_true(solve_with(&hires, &field, 1e-7, differences, &krylov, &counts, &stats) < 1e-4);
        assert_true(stats.linear_iterations > 0 && stats.jacobians == 0);
        assert_int_equal(counts.products > 0, !differences);
    }
    const nde_stiff_options krylov_dae = NDE_INIT(nde_stiff_options, .linear = NDE_STIFF_KRYLOV, .method = NDE_STIFF_DAE);
    assert_true(solve_with(&hires, &field, 1e-7, false, &krylov_dae, &counts, &stats) < 1e-4);
    example short_one = hires; /* not stiff for Adams in its beginning */
    short_one.t1 = 1;
    const nde_stiff_options adams = NDE_INIT(nde_stiff_options, .method = NDE_STIFF_ADAMS), bdf = { 0 };
    const nde_problem problem = problem_of(&short_one, &field);
    const nde_options options = NDE_INIT(nde_options, .rtol = 1e-9, .atol = 1e-13);
    nde_stiff_solver *a, *b;
    nde_solution by_a = { 0 }, by_b = { 0 };
    assert_int_equal(nde_stiff_solve(&problem, &options, &adams, &a, &by_a), NDE_OK);
    assert_int_equal(nde_stiff_solve(&problem, &options, &bdf, &b, &by_b), NDE_OK);
    for (size_t i = 0; i < 8; i++) assert_true(fabs(by_a.y_end[i] - by_b.y_end[i]) < 1e-7);
    assert_true(by_a.stats[0].factorisations == 0 && nde_stiff_count(a)->most_order > 5);
    nde_stiff_destroy(a), nde_stiff_destroy(b);
}

/* ---- a line of heat: band, sparsity, size --------------------------------------------------------------------------- */

enum { LINE = 300 };

static int line_f(double t, const double *y, const double *p, double *dy, void *ctx) {
    const size_t n = *(const size_t *)ctx;
    const double h = (double)(n + 1);
    (void)t, (void)p;
    for (size_t i = 0; i < n; i++) dy[i] = h*h*((i ? y[i - 1] : 0) - 2*y[i] + (i + 1 < n ? y[i + 1] : 0));
    return 0;
}
static int line_jvp(double t, const double *y, const double *p, double vt, const double *vy, const double *vp, double *dv,
                    void *ctx) {
    (void)y, (void)vt, (void)vp;
    return line_f(t, vy, p, dv, ctx);
}

/* The slowest mode decays as exp(-4 (n+1)^2 sin^2(pi/(2 (n+1))) t). */
static double line_error(size_t n, const nde_field *field, bool differences, const nde_stiff_options *stiff, nde_stats *stats) {
    static double y0[LINE];
    const double pi = acos(-1), s = 2*(double)(n + 1)*sin(pi/(2*(double)(n + 1))), rate = s*s;
    for (size_t i = 0; i < n; i++) y0[i] = sin(pi*(double)(i + 1)/(double)(n + 1));
    const nde_problem problem = NDE_INIT(nde_problem, .drift = field, .t1 = 0.1, .y0 = y0);
    const nde_options options = NDE_INIT(nde_options, .rtol = 1e-7, .atol = 1e-10, .jacobian = differences
                                         ? NDE_JACOBIAN_DIFFERENCES : 0);
    nde_stiff_solver *solver;
    nde_solution out = { 0 };
    assert_int_equal(nde_stiff_solve(&problem, &options, stiff, &solver, &out), NDE_OK);
    double worst = 0;
    for (size_t i = 0; i < n; i++) worst = fmax(worst, fabs(out.y_end[i] - exp(-0.1*rate)*y0[i]));
    *stats = out.stats[0];
    nde_stiff_destroy(solver);
    return worst;
}

static void bands(void **state) {
    (void)state;
    static size_t start[LINE + 1], index[3*LINE];
    size_t n = LINE, at = 0;
    for (size_t i = 0; i < n; i++) {
        start[i] = at;
        for (size_t j = i ? i - 1 : 0; j < n && j <= i + 1; j++) index[at++] = j;
    }
    start[n] = at;
    nde_pointwise one = NDE_INIT(nde_pointwise, .f = line_f, .jvp = line_jvp, .ctx = &n);
    nde_field field = nde_field_pointwise(&one, n, 0);
    nde_stats dense, band, sparse, differences;
    const nde_stiff_options as_band = NDE_INIT(nde_stiff_options, .linear = NDE_STIFF_BAND, .lower = 1, .upper = 1);
    assert_true(line_error(n, &field, false, NULL, &dense) < 1e-6);
    assert_true(line_error(n, &field, false, &as_band, &band) < 1e-6);
    assert_true(line_error(n, &field, true, &as_band, &differences) < 1e-6);
    field.sparsity_start = start, field.sparsity_index = index;
    assert_true(line_error(n, &field, false, NULL, &sparse) < 1e-6);
    assert_true(dense.newton_iterations == band.newton_iterations && band.newton_iterations == sparse.newton_iterations);
    const nde_stiff_options full = NDE_INIT(nde_stiff_options, .linear = NDE_STIFF_DENSE);
    assert_true(line_error(n, &field, false, &full, &sparse) < 1e-6);
    assert_true(dense.newton_iterations == sparse.newton_iterations);
}

/* ---- saves, jumps, clips, inputs, quadrature ------------------------------------------------------------------------- */

/* y' = -lambda (y - cos t) - sin t: y = cos t from 1 on, plus what a jump leaves, decaying. */
static int prothero(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)ctx;
    dy[0] = -p[0]*(y[0] - cos(t)) - sin(t);
    return 0;
}
static int prothero_jvp(double t, const double *y, const double *p, double vt, const double *vy, const double *vp, double *dv,
                        void *ctx) {
    (void)ctx, (void)vt;
    dv[0] = (vy ? -p[0]*vy[0] : 0) + (vp ? -vp[0]*(y[0] - cos(t)) : 0);
    return 0;
}
static int plus_u(const nde_field *self, const nde_site *at, const double *y, double *z) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) z[b] = y[b] + at->u[b];
    return 0;
}

static void rows_and_jumps(void **state) {
    (void)state;
    const double lambda = 1e3, y0 = 1, save[] = { 0, 0.25, 1, 1.002, 3, 5 }, jump_t[] = { 1 }, jump_u[] = { 0.5 };
    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = prothero, .jvp = prothero_jvp);
    const nde_field drift = nde_field_pointwise(&one, 1, 1);
    const nde_field jump = NDE_INIT(nde_field, .dim = 1, .nu = 1, .out = 1, .eval = plus_u);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &drift, .t1 = 5, .y0 = &y0, .p = &lambda, .jump_t = jump_t,
                                         .n_jumps = 1,
                                         .jump = &jump, .jump_inputs = 1, .jump_u = jump_u);
    const nde_options options = NDE_INIT(nde_options, .rtol = 1e-9, .atol = 1e-11, .save_t = save, .n_save = 6);
    nde_stiff_solver *solver;
    nde_solution s = { 0 };
    assert_int_equal(nde_stiff_solve(&problem, &options, NULL, &solver, &s), NDE_OK);
    assert_int_equal(s.saved[0], 6);
    for (size_t i = 0; i < 6; i++) {
        const double exact = cos(save[i]) + (save[i] > 1 ? 0.5*exp(-lambda*(save[i] - 1)) : 0);
        assert_true(fabs(s.y[i] - exact) < 1e-7);
        assert_true(s.t[i] == save[i]);
    }
    assert_int_equal(nde_stiff_count(solver)->restarts, 1);
    assert_int_equal(nde_stiff_run(solver, &s), NDE_OK); /* again, the same */
    assert_true(fabs(s.y_end[0] - cos(5)) < 1e-8);
    nde_stiff_destroy(solver);
}

static int switched(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)y, (void)ctx;
    dy[0] = t < p[0] ? 1 : -2;
    return 0;
}
static int square(const nde_field *self, const nde_site *at, const double *y, double *z) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) z[b] = y[b]*y[b];
    return 0;
}
static int from_input(const nde_field *self, const nde_site *at, const double *y, double *dy) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) dy[b] = at->q[b]*at->u[b] - 0*y[b];
    return 0;
}

static void clips_inputs_quadrature(void **state) {
    (void)state;
    const double y0 = 0;
    double clip = 0.7;
    const nde_pointwise one = NDE_INIT(nde_pointwise, .f = switched);
    const nde_field drift = nde_field_pointwise(&one, 1, 1), squared = NDE_INIT(nde_field, .dim = 1, .out = 1, .eval = square);
    nde_problem problem = NDE_INIT(nde_problem, .drift = &drift, .t1 = 1, .y0 = &y0, .p = &clip, .quadrature = &squared);
    nde_options options = NDE_INIT(nde_options, .rtol = 1e-9, .clip_t = &clip, .n_clip = 1,
                                   .jacobian = NDE_JACOBIAN_DIFFERENCES);
    nde_stiff_solver *solver;
    nde_solution s = { 0 };
    for (int k = 0; k < 60; k++) { /* both pieces are straight: a step that sees the other one is rejected */
        const nde_stiff_options stiff = NDE_INIT(nde_stiff_options, .method = k % 2 ? NDE_STIFF_DAE : NDE_STIFF_BDF);
        clip = k < 2 ? 0.7 : k/64.0;
        assert_int_equal(nde_stiff_solve(&problem, &options, &stiff, &solver, &s), NDE_OK);
        assert_true(fabs(s.y_end[0] - (3*clip - 2)) < 1e-12 && s.stats[0].rejected == 0);
        const double end = 3*clip - 2;
        assert_true(k > 0 || fabs(s.quadrature[0] - (pow(clip, 3)/3 + (pow(clip, 3) - pow(end, 3))/6)) < 1e-8);
        nde_stiff_destroy(solver);
    }

    /* y' = q u(t), u a hat; two trajectories, the second at twice the rate, forwards and backwards in time. */
    const double knots[] = { 0, 0.5, 1 }, hat[] = { 0, 0, 1, 1, 0, 0 }, q[] = { 1, 2 }, y2[] = { 0, 0 };
    const nde_path path = NDE_INIT(nde_path, .t = knots, .x = hat, .knots = 3, .channels = 1);
    const nde_field driven = NDE_INIT(nde_field, .dim = 1, .out = 1, .nu = 1, .nq = 1, .eval = from_input);
    for (int back = 0; back < 2; back++) {
        problem = NDE_INIT(nde_problem, .drift = &driven, .n = 2, .t0 = back, .t1 = !back, .y0 = y2, .q = q, .input = &path);
        options = NDE_INIT(nde_options, .rtol = 1e-8, .threads = 2, .jacobian = NDE_JACOBIAN_DIFFERENCES);
        assert_int_equal(nde_stiff_solve(&problem, &options, NULL, &solver, &s), NDE_OK);
        assert_true(fabs(s.y_end[0] - (back ? -0.5 : 0.5)) < 1e-6 && fabs(s.y_end[1] - 2*s.y_end[0]) < 1e-6);
        nde_stiff_destroy(solver);
    }
}

/* ---- dense output, ensembles, refusals ----------------------------------------------------------------------------------- */

static void dense_output(void **state) {
    (void)state;
    nde_pointwise one = example_pointwise(&hires);
    const nde_field field = nde_field_pointwise(&one, 8, 2);
    double save[50], y[8], dy[8], f[8], y0[16];
    for (size_t i = 0; i < 50; i++) save[i] = 0.02*(double)(i*i);
    for (size_t i = 0; i < 8; i++) y0[2*i] = hires.y0[i], y0[2*i + 1] = hires.y0[i]*1.1;
    nde_problem problem = problem_of(&hires, &field);
    problem.n = 2, problem.y0 = y0;
    const nde_options options = NDE_INIT(nde_options, .rtol = 1e-8, .atol = 1e-12, .save_t = save, .n_save = 50);
    const nde_stiff_options stiff = NDE_INIT(nde_stiff_options, .dense = 1);
    nde_stiff_solver *solver;
    nde_solution s = { 0 };
    assert_int_equal(nde_stiff_solve(&problem, &options, &stiff, &solver, &s), NDE_OK);
    for (size_t k = 0; k < 50; k++)
        for (size_t who = 0; who < 2; who++) {
            assert_int_equal(nde_stiff_dense(solver, who, save[k], y, dy), NDE_OK);
            hires_f(y, hires.p, f);
            for (size_t i = 0; i < 8; i++) {
                assert_true(fabs(y[i] - s.y[(k*8 + i)*2 + who]) <= 1e-12*(1 + fabs(y[i])));
                assert_true(fabs(dy[i] - f[i]) < 1e-4*(1 + fabs(f[i])));
            }
        }
    assert_int_equal(nde_stiff_dense(solver, 0, 400, y, dy), NDE_E_ARG);
    assert_int_equal(nde_stiff_dense(solver, 2, 1, y, dy), NDE_E_ARG);
    nde_stiff_destroy(solver);
}

/* The same bits for any number of threads, and the same as alone. */
static void ensembles(void **state) {
    (void)state;
    enum { N = 7 };
    nde_pointwise one = example_pointwise(&hires);
    const nde_field field = nde_field_pointwise(&one, 8, 2);
    double y0[8*N], ends[2][8*N], alone[8];
    for (size_t i = 0; i < 8; i++)
        for (size_t b = 0; b < N; b++) y0[i*N + b] = hires.y0[i]*(1 + 0.1*(double)b);
    nde_problem problem = problem_of(&hires, &field);
    nde_stiff_solver *solver;
    nde_solution s = { 0 };
    for (int k = 0; k < 2; k++) {
        problem.n = N, problem.y0 = y0;
        const nde_options options = NDE_INIT(nde_options, .threads = k ? 3 : 1);
        assert_int_equal(nde_stiff_solve(&problem, &options, NULL, &solver, &s), NDE_OK);
        memcpy(ends[k], s.y_end, sizeof ends[k]);
        nde_stiff_destroy(solver);
    }
    assert_memory_equal(ends[0], ends[1], sizeof ends[0]);
    for (size_t i = 0; i < 8; i++) alone[i] = y0[i*N + 4];
    problem.n = 1, problem.y0 = alone;
    assert_int_equal(nde_stiff_solve(&problem, NULL, NULL, &solver, &s), NDE_OK);
    for (size_t i = 0; i < 8; i++) assert_true(s.y_end[i] == ends[0][i*N + 4]);
    nde_stiff_destroy(solver);
}

static void refuses(void **state) {
    (void)state;
    nde_pointwise one = example_pointwise(&hires);
    nde_field field = nde_field_pointwise(&one, 8, 2);
    const nde_problem problem = problem_of(&hires, &field);
    const size_t too_many = 8;
    const struct { const char *says; nde_options options; nde_stiff_options stiff; nde_status status; } cases[] = {
        { "options.steps", { .steps = 10 }, { 0 }, NDE_E_ARG },
        { "options.method", { .method = NDE_TSIT5 }, { 0 }, NDE_E_ARG },
        { "options.stepping", { .stepping = NDE_STEP_JOINT }, { 0 }, NDE_E_ARG },
        { "options.convert", { .convert = 1 }, { 0 }, NDE_E_ARG },
        { "options.rtol is -2", { .rtol = -2 }, { 0 }, NDE_E_ARG },
        { "both zero", { .rtol = NDE_ZERO, .atol = NDE_ZERO }, { 0 }, NDE_E_ARG },
        { "options.adjoint is 1", { .adjoint = NDE_ADJOINT_DISCRETE }, { 0 }, NDE_E_ARG },
        { "save_t is NULL", { .n_save = 3 }, { 0 }, NDE_E_ARG },
        { "options.jacobian is 1", { .jacobian = NDE_JACOBIAN_GIVEN }, { 0 }, NDE_E_ARG },
        { "options.jacobian is 9", { .jacobian = 9 }, { 0 }, NDE_E_ARG },
        { "stiff.method is 4", { 0 }, { .method = 4 }, NDE_E_ARG },
        { "stiff.linear is 5", { 0 }, { .linear = 5 }, NDE_E_ARG },
        { "stiff.max_order is 6", { 0 }, { .max_order = 6 }, NDE_E_ARG },
        { "lower is 8", { 0 }, { .linear = NDE_STIFF_BAND, .lower = too_many }, NDE_E_ARG },
        { "mass", { 0 }, { .method = NDE_STIFF_BDF, .mass_diagonal = hires.y0 }, NDE_E_ARG },
        { "NDE_STIFF_DAE", { 0 }, { .method = NDE_STIFF_DAE, .linear = NDE_STIFF_NONE }, NDE_E_ARG },
        { "NDE_STIFF_DAE", { .adjoint = NDE_ADJOINT_INTERPOLATED }, { .method = NDE_STIFF_DAE }, NDE_E_ARG },
        { "back_rtol", { 0 }, { .back_rtol = -1 }, NDE_E_ARG },
    };
    nde_stiff_solver *solver = NULL;
    for (size_t i = 0; i < sizeof cases/sizeof *cases; i++) {
        nde_options options = cases[i].options;
        nde_stiff_options stiff = cases[i].stiff;
        options.size = sizeof options, stiff.size = sizeof stiff;
        assert_int_equal(nde_stiff_create(&problem, &options, &stiff, &solver), cases[i].status);
        assert_null(solver);
        if (!strstr(nde_stiff_error(NULL), cases[i].says)) fail_msg("%s: not in '%s'", cases[i].says, nde_stiff_error(NULL));
    }
    field.jvp = NULL;
    const nde_stiff_options krylov = NDE_INIT(nde_stiff_options, .linear = NDE_STIFF_KRYLOV);
    assert_int_equal(nde_stiff_create(&problem, NULL, &krylov, &solver), NDE_E_NO_JVP);
    field.vjp = NULL;
    assert_int_equal(nde_stiff_create(&problem, NULL, NULL, &solver), NDE_E_NO_JVP);
    assert_int_equal(nde_stiff_create(NULL, NULL, NULL, &solver), NDE_E_ARG);
    assert_non_null(strstr(nde_stiff_sundials(), "."));
    nde_stiff_destroy(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(references),
        cmocka_unit_test(proportion),
        cmocka_unit_test(krylov_and_functional),
        cmocka_unit_test(bands),
        cmocka_unit_test(rows_and_jumps),
        cmocka_unit_test(clips_inputs_quadrature),
        cmocka_unit_test(dense_output),
        cmocka_unit_test(ensembles),
        cmocka_unit_test(refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
