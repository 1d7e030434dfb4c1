/* SPDX-License-Identifier: MIT
 * stochastic.c - the stochastic adjoint: the way back along the same path comes to the gradient of the steps at the rate of its
 * method, for every kind of noise, in both calculi, from every source; steps with noise are undone bit for bit. */
#include "adjoint/noisy.h"

#include <limits.h>

static const bool is_double = sizeof(nde_real) == sizeof(double);
static const int modes[] = { NDE_ADJOINT_BACKSOLVE, NDE_ADJOINT_INTERPOLATED };
static const char *const mode_names[] = { "backsolve", "interpolated" };
static const int given[] = { IN_Y0, IN_Q, IN_P };

/* Gradients of the trajectories by y0 and q, and their sum's by p behind them; how many. */
static size_t differentiate(proof *f, int adjoint, double *to) {
    f->options.adjoint = adjoint;
    proof_create(f);
    if (proof_run(f) != NDE_OK) fail_msg("run: %s", nde_solver_error(f->solver));
    const nde_seed seed = proof_seeds(f);
    const nde_gradient g = NDE_INIT(nde_gradient, .y0 = f->in[IN_Y0].g, .p = f->in[IN_P].g, .q = f->in[IN_Q].g);
    if (nde_backward(f->solver, &seed, &g)) fail_msg("backward: %s", nde_solver_error(f->solver));
    size_t count = 0;
    for (size_t k = 0; k < LENGTH(given); k++)
        for (size_t i = 0; i < f->in[given[k]].count; i++) to[count++] = input_get(&f->in[given[k]], f->in[given[k]].g, i);
    return count - f->in[IN_P].count;
}

static void enlarge(proof *f, size_t n) {
    proof_resize(f, n);
    f->rows = 0; /* seeds anew */
}

/* The distance from the gradient of the same steps, relative to its size: of the trajectories; that by p is checked where
 * steps are fine. */
static double distance(proof *f, int adjoint) {
    enum { MOST = 2048 };
    double a[MOST], b[MOST], sum = 0, size = 0, of_p = 0, p = 0;
    const size_t count = differentiate(f, NDE_ADJOINT_DISCRETE, b), all = count + f->in[IN_P].count;
    assert_true(all <= MOST && differentiate(f, adjoint, a) == count);
    for (size_t i = 0; i < count; i++) sum += (a[i] - b[i])*(a[i] - b[i]), size += b[i]*b[i];
    for (size_t i = count; i < all; i++) of_p += (a[i] - b[i])*(a[i] - b[i]), p += b[i]*b[i];
    if (!(of_p <= 0.01*p) && f->options.steps == 160) fail_msg("by p: %g away from %g", sqrt(of_p), sqrt(p));
    return sqrt(sum/size);
}

/* The slope of the logarithms of x, by halves. */
static double rate_of(size_t count, const double *x) {
    double mean = 0, slope = 0, square = 0;
    for (size_t i = 0; i < count; i++) mean += log2(x[i])/(double)count;
    for (size_t i = 0; i < count; i++) {
        const double at = 0.5*(double)(count - 1) - (double)i;
        slope += at*(log2(x[i]) - mean), square += at*at;
    }
    return slope/square;
}

/* Of 100 trajectories on one grid, or in one tree. */
static void begin_scene(proof *f, fields *g, int method, int kind, int calculus, int source) {
    make(f, g, nde_method_get(method), kind, calculus);
    f->options.convert = 1;
    enlarge(f, 100);
    f->problem.t1 = 1.25;
    f->noise = NDE_INIT(nde_noise, .seed = 11, .source = source, .grid = source == NDE_SOURCE_GRID ? 160 : 0);
    proof_save(f, 3, (double[]){ 0.5, 0.75, 1.25 });
}

static void converges(int method, int kind, int calculus, int m, int source, double least) {
    enum { SIZES = 4 };
    double error[SIZES];
    proof f;
    fields g;
    begin_scene(&f, &g, method, kind, calculus, source);
    for (size_t i = 0; i < SIZES; i++) {
        f.options.steps = 20 << i;
        error[i] = distance(&f, modes[m]);
    }
    const double rate = rate_of(SIZES, error);
    if (!(rate >= least - 0.2 || (!is_double && error[SIZES - 1] < 1e-3)))
        fail_msg("%s, kind %d, calculus %d, %s: rate %g, not %g (%g to %g)", nde_method_name(nde_method_get(method)), kind,
                 calculus, mode_names[m], rate, least, error[0], error[SIZES - 1]);
    end(&f, &g);
}

/* Steps there and back miss the same areas: their distance is of order 1 for every kind of noise where the steps are
 * Stratonovich's. */
static void it_converges_by_its_order(void **state) {
    (void)state;
    for (int kind = NDE_NOISE_DIAGONAL; kind <= NDE_NOISE_GENERAL; kind++)
        for (int m = 0; m < 2; m++)
            converges(NDE_HEUN, kind, kind & 1 ? NDE_STRATONOVICH : NDE_ITO, m,
                      m == (kind & 1) ? NDE_SOURCE_GRID : NDE_SOURCE_TREE, 1);
    converges(NDE_HEUN, NDE_NOISE_DIAGONAL, NDE_ITO, 0, NDE_SOURCE_GRID, 1);
    converges(NDE_HEUN, NDE_NOISE_GENERAL, NDE_ITO, 1, NDE_SOURCE_GRID, 1);
    converges(NDE_REVERSIBLE_HEUN, NDE_NOISE_DIAGONAL, NDE_STRATONOVICH, 0, NDE_SOURCE_GRID, 1);
    converges(NDE_MIDPOINT, NDE_NOISE_SCALAR, NDE_STRATONOVICH, 1, NDE_SOURCE_TREE, 1);
    converges(NDE_MILSTEIN, NDE_NOISE_DIAGONAL, NDE_ITO, 0, NDE_SOURCE_GRID, 1);
    converges(NDE_EULER_MARUYAMA, NDE_NOISE_SCALAR, NDE_ITO, 0, NDE_SOURCE_GRID, 0.5);
}

/* y0 of one trajectory is missing, the others wait for lanes, and many work: the same bits, and a constant. */
static void lanes_and_threads_leave_the_bits(void **state) {
    (void)state;
    static double a[2000], b[2000];
    for (int m = 0; m < 2; m++) {
        proof f;
        fields g;
        begin_scene(&f, &g, NDE_HEUN, NDE_NOISE_DIAGONAL, NDE_ITO, NDE_SOURCE_GRID);
        f.options.steps = 20, f.options.group = 40;
        const size_t count = differentiate(&f, modes[m], a) + f.in[IN_P].count;
        f.options.threads = 3;
        assert_int_equal(differentiate(&f, modes[m], b) + f.in[IN_P].count, count);
        assert_memory_equal(a, b, count*sizeof *a);
        ((nde_real *)f.in[IN_Y0].x)[7] = (nde_real)NAN;
        f.options.adjoint = modes[m];
        proof_create(&f);
        assert_int_equal(proof_run(&f), NDE_E_LANES);
        const nde_seed seed = proof_seeds(&f);
        const nde_gradient to = NDE_INIT(nde_gradient, .y0 = f.in[IN_Y0].g, .q = f.in[IN_Q].g);
        assert_int_equal(nde_backward(f.solver, &seed, &to), NDE_OK);
        for (size_t i = 0; i < f.dim*f.n; i++) {
            const double y0 = input_get(&f.in[IN_Y0], f.in[IN_Y0].g, i);
            assert_true(i % f.n == 7 ? y0 == 0 : y0 == a[i]);
        }
        end(&f, &g);
    }
}

static void refuses(proof *f, nde_status wanted, const char *text) {
    nde_solver *s;
    const nde_status status = nde_solver_create(&f->problem, &f->options, &s);
    if (status != wanted || !strstr(nde_error(), text)) fail_msg("%s: %s: %s", text, nde_status_name(status), nde_error());
}

static void what_has_no_meaning_is_refused(void **state) {
    (void)state;
    proof f;
    fields g;
    begin_scene(&f, &g, NDE_EULER_MARUYAMA, NDE_NOISE_DIAGONAL, NDE_ITO, NDE_SOURCE_GRID);
    f.options.steps = 20, f.options.convert = 0;
    f.options.adjoint = NDE_ADJOINT_BACKSOLVE;
    refuses(&f, NDE_E_CALCULUS, "options.convert");
    f.options.convert = 1;
    f.options.adjoint = NDE_ADJOINT_GAUSS;
    refuses(&f, NDE_E_ARG, "BACKSOLVE or INTERPOLATED");
    f.options.adjoint = NDE_ADJOINT_BACKSOLVE;
    f.term_field[0].vjp_jvp = NULL;
    refuses(&f, NDE_E_NO_VJP, "has no vjp_jvp");
    f.term_field[0].jvp = NULL;
    refuses(&f, NDE_E_NO_JVP, "has no jvp");
    f.term_field[0] = nde_field_program(g.noise);
    const nde_options back = NDE_INIT(nde_options, .method = NDE_EULER_MARUYAMA, .steps = 20);
    f.options.back = &back;
    refuses(&f, NDE_E_CALCULUS, "euler_maruyama");
    f.options.back = NULL;
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_OK);
    const nde_seed seed = proof_seeds(&f);
    nde_gradient to = NDE_INIT(nde_gradient, .t1 = f.in[IN_T1].g);
    assert_int_equal(nde_backward(f.solver, &seed, &to), NDE_E_ARG);
    assert_non_null(strstr(nde_solver_error(f.solver), "gradients by times"));
    ((double *)f.in[IN_SAVE_T].x)[1] = 0.77;
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_OK);
    to = NDE_INIT(nde_gradient, .y0 = f.in[IN_Y0].g);
    assert_int_equal(nde_backward(f.solver, &seed, &to), NDE_E_ARG);
    assert_non_null(strstr(nde_solver_error(f.solver), "save_t[1] is 0.77"));
    end(&f, &g);
}

/* ---- standard errors ---------------------------------------------------------------------------------------------- */

/* What a gradient by p tells of its own spread is that of gradients with other seeds: of the record, and of the way back. */
static void gradients_know_their_standard_errors(void **state) {
    (void)state;
    enum { RUNS = 30, PATHS = 120 };
    static const int adjoints[] = { NDE_ADJOINT_DISCRETE, NDE_ADJOINT_BACKSOLVE };
    for (int antithetic = 0; antithetic < 2; antithetic++)
        for (size_t m = 0; m < LENGTH(adjoints); m++) {
            proof f;
            fields g;
            double mean[3] = { 0 }, square[3] = { 0 }, told[3] = { 0 }, error[3];
            nde_real p[3], *seed = NULL;
            begin_scene(&f, &g, NDE_HEUN, NDE_NOISE_DIAGONAL, NDE_STRATONOVICH, NDE_SOURCE_GRID);
            enlarge(&f, PATHS);
            proof_no_saves(&f);
            f.noise.antithetic = antithetic;
            f.options.steps = 5, f.options.group = 6, f.options.adjoint = adjoints[m];
            for (size_t i = 0; i < f.dim*f.n; i++) ((nde_real *)f.in[IN_Y0].x)[i] = 1;
            for (size_t i = 0; i < f.n; i++) ((nde_real *)f.in[IN_Q].x)[i] = (nde_real)0.25;
            seed = proof_take(&f, f.dim*f.n, sizeof *seed);
            for (size_t i = 0; i < f.dim*f.n; i++) seed[i] = (nde_real)(1.0/PATHS);
            proof_create(&f);
            const nde_seed of = NDE_INIT(nde_seed, .y_end = seed);
            for (int run = 0; run < RUNS; run++) {
                f.noise.seed = (uint64_t)run;
                assert_int_equal(proof_run(&f), NDE_OK);
                const nde_gradient only = NDE_INIT(nde_gradient, .p_error = error),
                    both = NDE_INIT(nde_gradient, .p = p, .p_error = error);
                assert_int_equal(nde_backward(f.solver, &of, run ? &both : &only), NDE_OK);
                if (!run) assert_int_equal(nde_backward(f.solver, &of, &both), NDE_OK);
                for (int i = 0; i < 3; i++)
                    mean[i] += (double)p[i]/RUNS, square[i] += (double)p[i]*(double)p[i]/RUNS,
                    told[i] += error[i]*error[i]/RUNS;
            }
            for (int i = 0; i < 3; i++) {
                const double seen = sqrt((square[i] - mean[i]*mean[i])*RUNS/(RUNS - 1));
                if (!(fabs(sqrt(told[i])/seen - 1) < 4/sqrt(2.0*RUNS)))
                    fail_msg("by p[%d]: %g told, %g seen", i, sqrt(told[i]), seen);
            }
            f.options.group = PATHS;
            proof_create(&f);
            assert_int_equal(proof_run(&f), NDE_OK);
            assert_int_equal(nde_backward(f.solver, &of, &NDE_INIT(nde_gradient, .p_error = error)), NDE_OK);
            assert_true(isnan(error[0]));
            end(&f, &g);
        }
}

/* Exactly: seeds of one group alone have its sum as their gradient; from these sums follows what all of them together
 * tell. The last group is smaller than the others. */
static void standard_errors_are_those_of_the_groups_sums(void **state) {
    (void)state;
    enum { PATHS = 50, GROUP = 8, GROUPS = 7 };
    static const int adjoints[] = { NDE_ADJOINT_DISCRETE, NDE_ADJOINT_BACKSOLVE };
    for (size_t m = 0; m < LENGTH(adjoints); m++) {
        proof f;
        fields g;
        double told[3], mean[GROUPS][3], all[3] = { 0 };
        nde_real p[3];
        begin_scene(&f, &g, NDE_HEUN, NDE_NOISE_DIAGONAL, NDE_STRATONOVICH, NDE_SOURCE_GRID);
        enlarge(&f, PATHS);
        proof_no_saves(&f);
        f.options.steps = 5, f.options.group = GROUP, f.options.adjoint = adjoints[m];
        nde_real *const some = proof_take(&f, f.dim*PATHS, sizeof *some),
            *const every = proof_take(&f, f.dim*PATHS, sizeof *every);
        for (size_t i = 0; i < f.dim*PATHS; i++) every[i] = 1 + (nde_real)(i % 7)/4;
        proof_create(&f);
        assert_int_equal(proof_run(&f), NDE_OK);
        assert_int_equal(nde_backward(f.solver, &NDE_INIT(nde_seed, .y_end = every),
                                      &NDE_INIT(nde_gradient, .p_error = told)), NDE_OK);
        for (size_t k = 0; k < GROUPS; k++) {
            const size_t count = k + 1 < GROUPS ? GROUP : PATHS % GROUP;
            for (size_t i = 0; i < f.dim*PATHS; i++) some[i] = i % PATHS/GROUP == k ? every[i] : 0;
            assert_int_equal(nde_backward(f.solver, &NDE_INIT(nde_seed, .y_end = some), &NDE_INIT(nde_gradient, .p = p)),
                             NDE_OK);
            for (size_t i = 0; i < 3; i++) mean[k][i] = (double)p[i]/(double)count, all[i] += (double)p[i]/PATHS;
        }
        for (size_t i = 0; i < 3; i++) {
            double variance = 0;
            for (size_t k = 0; k < GROUPS; k++)
                variance += (k + 1 < GROUPS ? GROUP : PATHS % GROUP)*(mean[k][i] - all[i])*(mean[k][i] - all[i])/(GROUPS - 1);
            const double wanted = sqrt(PATHS*variance);
            if (!(fabs(told[i]/wanted - 1) <= (is_double ? 1e-12 : 2e-6)))
                fail_msg("by p[%zu]: %.17g, not %.17g", i, told[i], wanted);
        }
        end(&f, &g);
    }
}

/* ---- failures ----------------------------------------------------------------------------------------------------- */

/* Calls that are left before one of the noise's callbacks fails with a code; of one thread. */
static int left, code;
static nde_field whole;
static int spent(void) { return left-- == 0 ? code : 0; }
static int bad_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const int rc = whole.eval(self, at, y, dy), bad = spent();
    return rc ? rc : bad;
}
static int bad_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const int rc = spent();
    return rc ? rc : whole.vjp(self, at, y, a, to);
}
static int bad_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const int rc = spent();
    return rc ? rc : whole.jvp(self, at, y, v, dv);
}
static int bad_vjp_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, const nde_real *a,
                       const nde_real *b, nde_cotangent *to_y, nde_cotangent *to_v) {
    const int rc = spent();
    return rc ? rc : whole.vjp_jvp(self, at, y, v, a, b, to_y, to_v);
}

/* Whatever call of the noise fails on the way back, and however: a status with a sentence, gradients untouched, and the
 * next try is right. */
static void failures_leave_the_gradients(void **state) {
    (void)state;
    static const int codes[] = { NDE_FIELD_RETRY, -1, INT_MIN, NDE_FIELD_STOP };
    for (size_t m = 0; m < 2; m++) {
        proof f;
        fields g;
        begin_scene(&f, &g, NDE_HEUN, NDE_NOISE_DIAGONAL, NDE_ITO, NDE_SOURCE_GRID);
        enlarge(&f, 3);
        whole = f.term_field[0];
        f.term_field[0].eval = bad_eval, f.term_field[0].vjp = bad_vjp, f.term_field[0].jvp = bad_jvp,
            f.term_field[0].vjp_jvp = bad_vjp_jvp;
        f.options.steps = 4, f.options.adjoint = modes[m], f.noise.grid = 4;
        left = -1;
        proof_create(&f);
        assert_int_equal(proof_run(&f), NDE_OK);
        const nde_seed seed = proof_seeds(&f);
        const nde_gradient to = NDE_INIT(nde_gradient, .y0 = f.in[IN_Y0].g, .p = f.in[IN_P].g);
        nde_real *p = f.in[IN_P].g;
        assert_int_equal(nde_backward(f.solver, &seed, &to), NDE_OK);
        const nde_real right = p[0];
        nde_status status = NDE_E_FIELD;
        size_t at = 0;
        for (; status != NDE_OK; at++) {
            left = (int)at, code = codes[at % LENGTH(codes)], p[0] = 42;
            status = nde_backward(f.solver, &seed, &to);
            assert_true(status == NDE_OK || (p[0] == 42 && strlen(nde_solver_error(f.solver)) > 0));
            assert_true(status != NDE_STOPPED || code == NDE_FIELD_STOP);
        }
        assert_true(at > 40 && p[0] == right);
        end(&f, &g);
    }
}

/* ---- both ways ---------------------------------------------------------------------------------------------------- */

/* From where a solve ended, along the same path, back to where it began: at the rate of the method; from every source. */
static void a_path_is_gone_both_ways(void **state) {
    (void)state;
    enum { SIZES = 4 };
    static double stored[160*2*100];
    for (size_t i = 0; i < LENGTH(stored); i++) stored[i] = sqrt(1.0/160)*nde_normal(3, 200, i, 0, 0);
    const nde_noise source[] = { { .grid = 160 }, { .source = NDE_SOURCE_TREE },
                                 { .source = NDE_SOURCE_STORED, .grid = 160, .w = stored }, { .antithetic = 1, .grid = 160 } };
    static const int methods[] = { NDE_HEUN, NDE_MIDPOINT, NDE_RALSTON, NDE_REVERSIBLE_HEUN };
    for (size_t k = 0; k < LENGTH(source); k++) {
        proof f;
        fields g;
        double error[SIZES] = { 0 };
        begin_scene(&f, &g, methods[k], NDE_NOISE_DIAGONAL, NDE_STRATONOVICH, NDE_SOURCE_GRID);
        f.noise = source[k], f.noise.size = sizeof f.noise, f.noise.seed = 4;
        proof_no_saves(&f);
        nde_real *const y0 = f.in[IN_Y0].x, *end_at = proof_take(&f, f.dim*f.n, sizeof *end_at);
        for (size_t i = 0; i < SIZES; i++) {
            f.options.steps = 20 << i;
            f.problem.y0 = y0, f.problem.t0 = 0.25, f.problem.t1 = 1.25;
            proof_create(&f);
            assert_int_equal(proof_run(&f), NDE_OK);
            memcpy(end_at, f.solution.y_end, f.dim*f.n*sizeof *end_at);
            f.problem.y0 = end_at, f.problem.t0 = 1.25, f.problem.t1 = 0.25;
            proof_create(&f);
            assert_int_equal(proof_run(&f), NDE_OK);
            for (size_t j = 0; j < f.dim*f.n; j++) error[i] += pow((double)f.solution.y_end[j] - (double)y0[j], 2);
        }
        const double rate = 0.5*rate_of(SIZES, error);
        if (!(rate >= 0.8 || (!is_double && error[SIZES - 1] < 1e-6)))
            fail_msg("source %zu: rate %g, to %g", k, rate, sqrt(error[SIZES - 1]));
        end(&f, &g);
    }
}

/* Gradients of a solve backwards in time are those of its steps, by all inputs. */
static void solves_backwards_have_gradients(void **state) {
    (void)state;
    for (int source = NDE_SOURCE_GRID; source <= NDE_SOURCE_TREE; source++) {
        proof f;
        fields g;
        make(&f, &g, nde_method_get(NDE_HEUN), NDE_NOISE_GENERAL, NDE_STRATONOVICH);
        f.noise.source = source;
        f.problem.t0 = 1.75, f.problem.t1 = 0.25;
        proof_save(&f, 3, (double[]){ 1.5, 0.7, 0.25 });
        proof_solve(&f);
        proof_check_identity(&f);
        nde_gradient_report r = NDE_INIT(nde_gradient_report, .h = 0);
        const nde_seed seed = proof_seeds(&f);
        assert_int_equal(nde_gradient_check(&f.problem, &f.options, &seed, 3, &r), NDE_OK);
        assert_true(r.difference_error <= (is_double ? 1e-8 : 3e-2));
        end(&f, &g);
    }
}

static void ito_noise_runs_forwards(void **state) {
    (void)state;
    static const int methods[] = { NDE_EULER_MARUYAMA, NDE_MILSTEIN, NDE_EULER_HEUN };
    for (size_t k = 0; k < LENGTH(methods); k++) {
        proof f;
        fields g;
        make(&f, &g, nde_method_get(methods[k]), NDE_NOISE_DIAGONAL, k == 2 ? NDE_STRATONOVICH : NDE_ITO);
        proof_no_saves(&f);
        f.problem.t0 = 1, f.problem.t1 = 0;
        proof_create(&f);
        assert_int_equal(proof_run(&f), NDE_E_ARG);
        assert_non_null(strstr(nde_solver_error(f.solver), "forwards only"));
        end(&f, &g);
    }
}

/* ---- reversible Heun ---------------------------------------------------------------------------------------------- */

/* Undone along the same path: with a quantum every bit of the gradient of the record, and what is kept of a step are its
 * times. */
static void steps_with_noise_are_undone_bit_for_bit(void **state) {
    (void)state;
    for (int kind = NDE_NOISE_DIAGONAL; kind <= NDE_NOISE_GENERAL; kind++) {
        size_t bytes[2];
        for (int more = 0; more < 2; more++) {
            proof f;
            fields g;
            make(&f, &g, nde_method_get(NDE_REVERSIBLE_HEUN), kind, NDE_STRATONOVICH);
            f.options.steps = more ? 480 : 240, f.noise.grid = 480;
            f.options.quantum = is_double ? 0x1p-40 : 0x1p-18;
            proof_solve(&f);
            const proof_copy discrete = proof_keep(&f);
            f.options.adjoint = NDE_ADJOINT_REVERSIBLE;
            proof_solve(&f);
            const char *other = proof_differs(&f, &discrete);
            if (other) fail_msg("kind %d: other bits in %s", kind, other);
            bytes[more] = f.solution.record_bytes;
            end(&f, &g);
        }
        assert_true(bytes[1] - bytes[0] <= 240*sizeof(double)*8); /* of five lanes */
    }
}

/* Lanes with steps of their own, some of which are rejected, that come and go, and states that are kept between: what the
 * evaluation at the end of a step has left for its transpose is that of the lane. */
static void lanes_that_wait_keep_what_they_have(void **state) {
    (void)state;
    for (int anchored = 0; anchored < 2; anchored++) {
        proof f;
        fields g;
        make(&f, &g, nde_method_get(NDE_REVERSIBLE_HEUN), NDE_NOISE_DIAGONAL, NDE_STRATONOVICH);
        enlarge(&f, 150);
        f.noise = NDE_INIT(nde_noise, .source = NDE_SOURCE_TREE, .seed = 3);
        f.options.steps = 0, f.options.rtol = f.options.atol = 3e-3, f.options.group = 150, f.options.h0 = 0.5;
        if (anchored) f.options.anchor_limit = 1.5; /* every other step */
        else f.options.quantum = is_double ? 0x1p-40 : 0x1p-18;
        proof_solve(&f);
        int64_t rejected = 0;
        for (size_t b = 0; b < f.n; b++) rejected += f.solution.stats[b].rejected;
        assert_true(rejected > 100);
        const proof_copy discrete = proof_keep(&f);
        nde_gradient_report r = NDE_INIT(nde_gradient_report, .h = 0);
        const nde_seed seed = proof_seeds(&f);
        assert_int_equal(nde_gradient_check(&f.problem, &f.options, &seed, 3, &r), NDE_OK);
        if (!anchored) assert_true(r.forward_error <= (is_double ? 1e-10 : 1e-4));
        else assert_true(r.difference_error <= (is_double ? 1e-8 : 3e-2));
        f.options.adjoint = NDE_ADJOINT_REVERSIBLE;
        proof_solve(&f);
        const char *other = proof_differs(&f, &discrete);
        if (other && !anchored) fail_msg("other bits in %s", other);
        for (size_t k = 0; k < LENGTH(given); k++)
            for (size_t i = 0; i < f.in[given[k]].count; i++) {
                const double a = input_get(&f.in[given[k]], f.in[given[k]].g, i),
                    b = input_get(&f.in[given[k]], discrete.g[given[k]], i);
                if (!(fabs(a - b) <= (is_double ? 1e-11 : 1e-3)*(1 + fabs(b))))
                    fail_msg("%s: %g, not %g", input_names[given[k]], a, b);
            }
        end(&f, &g);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_converges_by_its_order),
        cmocka_unit_test(lanes_and_threads_leave_the_bits),
        cmocka_unit_test(what_has_no_meaning_is_refused),
        cmocka_unit_test(gradients_know_their_standard_errors),
        cmocka_unit_test(standard_errors_are_those_of_the_groups_sums),
        cmocka_unit_test(failures_leave_the_gradients),
        cmocka_unit_test(a_path_is_gone_both_ways),
        cmocka_unit_test(solves_backwards_have_gradients),
        cmocka_unit_test(ito_noise_runs_forwards),
        cmocka_unit_test(steps_with_noise_are_undone_bit_for_bit),
        cmocka_unit_test(lanes_that_wait_keep_what_they_have),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
