/* SPDX-License-Identifier: MIT
 * regular.c - options.estimates: what steps say of themselves, against their formula; derivatives against forward mode and
 * differences; draws. */
#include "adjoint/cases.h"
#include "method/method.h"

static const bool is_double = sizeof(nde_real) == 8;

/* Fixed steps of an oscillator that is driven, with everything that has a gradient but jumps. */
static void oscillator(proof *f, int32_t method, int64_t steps) {
    proof_begin(f, 3, &duffing_model, true, 0, 1.5, 0.75);
    proof_parameters(f, 2, (double[]){ 0.5, 0.25 });
    f->problem.q = proof_input_make(f, IN_Q, 2, false, false, 1.5, 0.5);
    f->options.method = method, f->options.steps = steps, f->options.estimates = NDE_ESTIMATES_ALL;
}

/* ---- values ------------------------------------------------------------------------------------------------------- */

/* Slopes and states of one step of an explicit method from (t, y), in double. */
typedef struct staged {
    double k[64][2], y[64][2];
} staged;

static void take_step(const proof *f, const nde_method *m, size_t b, double t, double h, const double *y, staged *to) {
    double p[2], q[2], j[MODEL_ROWS][MODEL_INPUTS] = { { 0 } };
    for (size_t i = 0; i < 2; i++) p[i] = (double)f->problem.p[i], q[i] = (double)f->problem.q[i*f->n + b];
    for (int i = 0; i < m->stages; i++) {
        for (size_t c = 0; c < 2; c++) {
            to->y[i][c] = y[c];
            for (int l = 0; l < i; l++) to->y[i][c] += h*m->a[i*(i - 1)/2 + l]*to->k[l][c];
        }
        const model_at at = { .t = t + m->c[i]*h, .y = to->y[i], .p = p, .q = q };
        duffing_formula(&at, to->k[i], j);
    }
}

static double size_of(double x, double y) { return sqrt((x*x + y*y)/2); }

/* |h| E and S by their definitions. The stages of S are the last two at one time. */
static void terms(const nde_method *m, double h, const staged *at, double *error, double *stiffness) {
    double e[2] = { 0 }, e2[2] = { 0 };
    for (int i = 0; i < m->stages; i++)
        for (size_t c = 0; c < 2; c++) e[c] += h*m->e[i]*at->k[i][c], e2[c] += m->e2 ? h*m->e2[i]*at->k[i][c] : 0;
    const double size = size_of(e[0], e[1]), size2 = size_of(e2[0], e2[1]);
    *error = fabs(h)*(m->e2 ? size*size/sqrt(size*size + 0.01*size2*size2) : size);
    *stiffness = 0;
    for (int j = m->stages - 1; j > 0 && *stiffness == 0; j--)
        for (int i = j - 1; i >= 0 && *stiffness == 0; i--)
            if (fabs(m->c[i] - m->c[j]) < 1e-12)
                *stiffness = size_of(at->k[j][0] - at->k[i][0], at->k[j][1] - at->k[i][1])/
                             size_of(at->y[j][0] - at->y[i][0], at->y[j][1] - at->y[i][1]);
}

static bool is_explicit(const nde_method *m) { return nde_method_kind(m) == NDE_KIND_RUNGE_KUTTA && nde_method_error_order(m); }

/* Roundings of h^2 sum e_i k_i, when slopes have a size of 1: large weights of either sign cancel. */
static double rounding(const nde_method *m, double h) {
    double sum = 0, most = 1;
    for (int i = 0; i < m->stages; i++) {
        double row = 0;
        for (int j = 0; j < i; j++) row += fabs(h*m->a[i*(i - 1)/2 + j]);
        sum += h*h*fabs(m->e[i]), most = fmax(most, row);
    }
    return 4*NDE_TEST_EPS*sum*most;
}

/* Of both directions of time; methods with partners and splits are not of the formula. */
static void values_are_those_of_the_formula(void **state) {
    (void)state;
    enum { STEPS = 5 };
    for (size_t l = 0; l < 2*nde_method_count(); l++) {
        const nde_method *m = nde_method_at(l/2);
        if (!is_explicit(m)) continue;
        proof f;
        oscillator(&f, nde_method_id(m), STEPS);
        if (l%2) f.problem.t0 = 1.5, f.problem.t1 = 0;
        f.options.save_every = 1;
        proof_solve(&f);
        const double h = (f.problem.t1 - f.problem.t0)/STEPS;
        for (size_t b = 0; b < f.n; b++) {
            double error = 0, stiffness = 0;
            for (size_t k = 0; k < STEPS; k++) {
                const nde_real *y = f.solution.y + k*2*f.n + b;
                staged at;
                double one[2];
                take_step(&f, m, b, f.problem.t0 + (double)k*h, h, (double[]){ (double)y[0], (double)y[f.n] }, &at);
                terms(m, h, &at, &one[0], &one[1]);
                error += one[0], stiffness += one[1];
            }
            const double most = is_double ? 1e-9 : 1e-3, lost = STEPS*rounding(m, h);
            if (!(fabs(f.solution.error_estimate[b] - error) <= most*error + lost))
                fail_msg("%s: error %.12g, not %.12g", nde_method_name(m), f.solution.error_estimate[b], error);
            if (is_double && stiffness > 0 && !(fabs(f.solution.stiffness_estimate[b] - stiffness) <= 1e-4*stiffness))
                fail_msg("%s: stiffness %.12g, not %.12g", nde_method_name(m), f.solution.stiffness_estimate[b], stiffness);
        }
        proof_end(&f);
    }
}

static void decay_formula(const model_at *x, double *f, double (*j)[MODEL_INPUTS]) { f[0] = -100*x->y[0], j[0][0] = -100; }

/* y' = -100 y: the stiffness is 100 in every step, whichever stages are compared. */
static void stiffness_is_the_rate_of_decay(void **state) {
    (void)state;
    static const model decay = { 1, 1, 0, 0, 0, decay_formula };
    for (size_t l = 0; l < nde_method_count(); l++) {
        const nde_method *m = nde_method_at(l);
        if (!is_explicit(m)) continue;
        proof f;
        proof_begin(&f, 2, &decay, false, 0, 0.25, 1);
        f.options.method = nde_method_id(m), f.options.estimates = NDE_ESTIMATES_ALL, f.options.steps = 20;
        proof_solve(&f);
        for (size_t b = 0; b < f.n; b++) {
            const double mean = f.solution.stiffness_estimate[b]/20;
            if (!is_double && mean == 0 && nde_method_order(m) > 5) continue; /* float cannot tell the stages apart */
            if (!(fabs(mean/100 - 1) < (is_double ? 1e-8 : 0.05))) fail_msg("%s: %g", nde_method_name(m), mean);
        }
        proof_end(&f);
    }
}

/* ---- derivatives -------------------------------------------------------------------------------------------------- */

/* Steps that are not too small for their errors. */
static void regularise(proof *f, int32_t of) {
    static const uint64_t eight = 8;
    f->options.estimates = of, f->options.estimate_seed = &eight;
    f->options.rtol = 1e-3, f->options.atol = 1e-4;
}

static bool has_estimates(const proof *f) {
    const nde_method *m = nde_method_get(f->options.method);
    return nde_method_error_order(m) > 0;
}

static void all_methods_have_the_identity(void **state) {
    (void)state;
    for (size_t l = 0; l < nde_method_count(); l++) {
        const nde_method *m = nde_method_at(l);
        if (!nde_method_error_order(m) || m->filtered) continue;
        /* fields have no vjp_jvp */
        if (nde_method_kind(m) == NDE_KIND_ROSENBROCK || nde_method_kind(m) == NDE_KIND_SWITCHING) continue;
        if (nde_method_kind(m) == NDE_KIND_IMEX) continue;       /* two fields */
        proof f;
        if (nde_method_is_split(m)) {
            case_nystrom(&f, 7, true);
            f.options.method = nde_method_id(m), f.options.estimates = NDE_ESTIMATES_ALL;
        } else {
            oscillator(&f, nde_method_id(m), 2);
        }
        proof_solve(&f);
        const double error = proof_identity(&f), most = is_double ? 1e-11 : 2e-3; /* differences of slopes are small */
        if (!(error <= most)) fail_msg("%s: %g", nde_method_name(m), error);
        proof_end(&f);
    }
}

/* Step doubling, the reversible coupling, compensated sums, the caller's own table. */
static void tables_that_are_made_have_the_identity(void **state) {
    (void)state;
    static const double a[] = { 1 }, b[] = { 0.5, 0.5 }, e[] = { -0.5, 0.5 };
    const nde_tableau own = NDE_INIT(nde_tableau, .stages = 2, .a = a, .b = b, .e = e, .order = 2, .error_order = 1);
    for (int k = 0; k < 4; k++) {
        proof f;
        oscillator(&f, k == 0 ? NDE_RK4 : k == 3 ? 0 : NDE_BOSH3, 4);
        if (k == 0) f.options.error = NDE_ERROR_DOUBLING;
        if (k == 1) f.options.coupling = 0.999;
        if (k == 2) f.options.compensated = 1;
        if (k == 3) f.options.tableau = &own;
        proof_solve(&f);
        assert_true(f.solution.error_estimate[0] > 0 && (f.solution.stiffness_estimate != NULL) == (k != 1));
        const double error = proof_identity(&f), most = is_double ? 1e-12 : 1e-4;
        if (!(error <= most)) fail_msg("%d: %g", k, error);
        proof_end(&f);
    }
}

static void all_cases_have_the_identity(void **state) {
    (void)state;
    for (int which = 0; which < CASES; which++)
        for (int32_t of = NDE_ESTIMATES_ALL; of <= NDE_ESTIMATES_STEP; of++) {
            proof f;
            case_make(which, &f, 0, which%2);
            regularise(&f, of);
            if (has_estimates(&f)) {
                proof_solve(&f);
                /* knots leave short steps, in which slopes differ by 1e-8 of themselves */
                const double error = proof_identity(&f), most = !is_double ? 1e-3 : f.problem.n_terms ? 1e-8 : 1e-12;
                if (!(error <= most)) fail_msg("%s, estimates %d: %g", case_names[which], of, error);
            }
            proof_end(&f);
        }
}

/* At rtol 1e-3, against both truths; differences in float tell nothing of estimates that are as small as they are. */
static void the_truths_agree(void **state) {
    (void)state;
    const double allowed[] = { is_double ? 1e-10 : 1e-3, is_double ? 1e-6 : (double)INFINITY };
    for (int which = CASE_LORENZ; which < CASES; which++)
        for (int32_t of = NDE_ESTIMATES_ALL; of <= NDE_ESTIMATES_STEP; of++) {
            proof f;
            case_make(which, &f, 0, which%2);
            regularise(&f, of);
            if (has_estimates(&f) && !f.problem.n_terms) {
                proof_solve(&f);
                const nde_seed seed = NDE_INIT(nde_seed, .error_estimate = f.seed_estimate[0],
                                               .stiffness_estimate = f.seed_estimate[1]);
                nde_gradient_report r = NDE_INIT(nde_gradient_report, .h = 0);
                assert_int_equal(nde_gradient_check(&f.problem, &f.options, &seed, 5, &r), NDE_OK);
                if (!(r.forward_error <= allowed[0] && r.difference_error <= allowed[1]) || !(r.norm_y0 > 0))
                    fail_msg("%s, estimates %d: %g from forward mode, %g from differences", case_names[which], of,
                             r.forward_error, r.difference_error);
            }
            proof_end(&f);
        }
}

/* <seed, estimates> of a run from inputs as they are now. */
static double weighed(proof *f, const nde_seed *seed) {
    double sum = 0;
    assert_int_equal(proof_run(f), NDE_OK);
    for (size_t b = 0; b < f->n; b++) {
        if (seed->error_estimate) sum += seed->error_estimate[b]*f->solution.error_estimate[b];
        if (seed->stiffness_estimate) sum += seed->stiffness_estimate[b]*f->solution.stiffness_estimate[b];
    }
    return sum;
}

/* With fixed steps the map is the program: every derivative, by times too, of either estimate alone. */
static void differences_of_the_program_agree(void **state) {
    (void)state;
    static const int inputs[] = { IN_Y0, IN_P, IN_Q, IN_T0, IN_T1 };
    for (size_t l = 0; is_double && l < 2*nde_method_count(); l++) { /* in float they are too small */
        const nde_method *m = nde_method_at(l/2);
        if (!nde_method_error_order(m) || m->partners || nde_method_is_split(m) || (l%2 && !is_explicit(m))) continue;
        if (m->filtered) continue; /* its error has no gradient */
        if (nde_method_kind(m) == NDE_KIND_ROSENBROCK || nde_method_kind(m) == NDE_KIND_IMEX ||
            nde_method_kind(m) == NDE_KIND_SWITCHING) continue;
        proof f;
        oscillator(&f, nde_method_id(m), 2);
        proof_point(&f, true);
        proof_create(&f);
        assert_int_equal(proof_run(&f), NDE_OK);
        const nde_seed seed = NDE_INIT(nde_seed, .error_estimate = l%2 ? NULL : f.seed_estimate[0],
                                       .stiffness_estimate = l%2 ? f.seed_estimate[1] : NULL);
        const nde_gradient g = proof_gradient(&f);
        assert_int_equal(nde_backward(f.solver, &seed, &g), NDE_OK);
        for (size_t i = 0; i < LENGTH(inputs); i++) {
            const proof_input *in = &f.in[inputs[i]];
            const double at = input_get(in, in->x, 0), h = 1e-3, step[] = { h, -h, 2*h, -2*h };
            double value[4];
            for (int k = 0; k < 4; k++) input_set(in, in->x, 0, at + step[k]), value[k] = weighed(&f, &seed);
            input_set(in, in->x, 0, at);
            const double slope = (8*(value[0] - value[1]) - (value[2] - value[3]))/(12*h), got = input_get(in, in->g, 0);
            if (!(fabs(got - slope) <= 1e-6*fabs(slope) + 1e-9))
                fail_msg("%s by %s: %.10g, by differences %.10g", nde_method_name(m), input_names[inputs[i]], got, slope);
        }
        proof_end(&f);
    }
}

/* In every form of the record, with any number of threads. */
static void bits_do_not_depend_on_the_record(void **state) {
    (void)state;
    for (int which = 0; which < CASES; which++) {
        proof f;
        case_make(which, &f, 0, true);
        regularise(&f, NDE_ESTIMATES_ALL);
        if (has_estimates(&f)) {
            proof_solve(&f);
            const proof_copy first = proof_keep(&f);
            double *error = proof_take(&f, f.n, sizeof *error);
            memcpy(error, f.solution.error_estimate, f.n*sizeof *error);
            for (int32_t form = NDE_RECORD_TAPE; form <= NDE_RECORD_CHECKPOINTS + 1; form++) {
                f.options.record = form <= NDE_RECORD_CHECKPOINTS ? form : 0,
                    f.options.threads = form > NDE_RECORD_CHECKPOINTS ? 3 : 0;
                proof_solve(&f);
                const char *differs = proof_differs(&f, &first);
                if (differs) fail_msg("%s, record %d: %s", case_names[which], (int)form, differs);
                assert_memory_equal(error, f.solution.error_estimate, f.n*sizeof *error);
            }
        }
        proof_end(&f);
    }
}

/* A run in pieces, each in a solver of its own, adds up to the same, and draws the same steps. */
static void saved_states_hold_them(void **state) {
    (void)state;
    for (int32_t of = NDE_ESTIMATES_ALL; of <= NDE_ESTIMATES_STEP; of++) {
        proof f, g;
        case_ensemble(&f, 0, true), case_ensemble(&g, 0, true);
        regularise(&f, of), regularise(&g, of);
        proof_solve(&f);
        size_t bytes = 0;
        proof_create(&g);
        assert_int_equal(nde_solver_state(g.solver, NULL, &bytes), NDE_OK);
        void *block = proof_take(&g, bytes, 1);
        nde_status status = NDE_UNFINISHED;
        for (int k = 0; status == NDE_UNFINISHED; k++) {
            if (k) assert_int_equal(nde_solver_restore(g.solver, block, bytes), NDE_OK);
            g.solution = NDE_INIT(nde_solution, .n = 0);
            status = nde_solver_steps(g.solver, 9, &g.solution);
            assert_int_equal(nde_solver_state(g.solver, block, &bytes), NDE_OK);
            if (status == NDE_UNFINISHED) proof_create(&g);
        }
        assert_int_equal(status, NDE_OK);
        assert_memory_equal(f.solution.error_estimate, g.solution.error_estimate, f.n*sizeof(double));
        assert_memory_equal(f.solution.stiffness_estimate, g.solution.stiffness_estimate, f.n*sizeof(double));
        if (of > NDE_ESTIMATES_ALL)
            assert_memory_equal(f.solution.estimate_step, g.solution.estimate_step, f.n*sizeof(int64_t));
        proof_end(&f), proof_end(&g);
    }
}

/* ---- draws -------------------------------------------------------------------------------------------------------- */

/* The same oscillator many times, its states at all steps, and sums of the terms of single steps. */
static void copies(proof *f, size_t n, int32_t of) {
    proof_begin(f, n, &duffing_model, false, 0, 6, 0.75);
    proof_parameters(f, 2, (double[]){ 0.5, 0.25 });
    nde_real *q = proof_input_make(f, IN_Q, 2, false, false, 0, 0), *y = f->in[IN_Y0].x;
    for (size_t b = 0; b < n; b++) q[b] = 2, q[n + b] = (nde_real)0.5, y[b] = 1, y[n + b] = 0;
    f->problem.q = q;
    f->options.save_every = 1;
    regularise(f, of);
    proof_solve(f);
}

/* Steps are drawn as often as they are long, or all as often, and tell their own term. */
static void draws_have_their_distribution(void **state) {
    (void)state;
    enum { N = 4000, MOST = 200 };
    for (int32_t of = NDE_ESTIMATES_TIME; of <= NDE_ESTIMATES_STEP; of++) {
        proof f, all;
        copies(&f, N, of), copies(&all, 1, NDE_ESTIMATES_ALL);
        const int64_t steps = f.solution.stats->accepted;
        double count[MOST] = { 0 }, error[MOST] = { 0 }, chi = 0, mean = 0, sum = 0;
        assert_true(steps > 5 && steps < MOST);
        for (size_t b = 0; b < N; b++) {
            const int64_t k = f.solution.estimate_step[b] - 1;
            assert_true(k >= 0 && k < steps && f.solution.error_estimate[b] > 0 && f.solution.stiffness_estimate[b] > 0);
            if (count[k] > 0) assert_true(error[k] == f.solution.error_estimate[b]);
            count[k]++, error[k] = f.solution.error_estimate[b];
            const double *t = f.solution.t + (size_t)k*N + b;
            mean += f.solution.error_estimate[b]*(of == NDE_ESTIMATES_STEP ? (double)steps : 6/(t[N] - t[0]))/N;
        }
        for (int64_t k = 0; k < steps; k++) {
            const double *t = f.solution.t + (size_t)k*N;
            const double expected = N*(of == NDE_ESTIMATES_STEP ? 1/(double)steps : (t[N] - t[0])/6);
            chi += (count[k] - expected)*(count[k] - expected)/expected, sum += error[k];
        }
        /* five standard deviations of a chi square, and about as many of the mean */
        assert_true(chi < (double)steps + 5*sqrt(2*(double)steps));
        assert_true(fabs(sum/all.solution.error_estimate[0] - 1) < 1e-12);
        assert_true(fabs(mean/all.solution.error_estimate[0] - 1) < 0.1);
        proof_end(&f), proof_end(&all);
    }
}

static void seeds_draw_anew(void **state) {
    (void)state;
    proof f;
    copies(&f, 64, NDE_ESTIMATES_TIME);
    int64_t first[64], same = 0;
    memcpy(first, f.solution.estimate_step, sizeof first);
    proof_solve(&f);
    assert_memory_equal(first, f.solution.estimate_step, sizeof first);
    const uint64_t nine = 9;
    f.options.estimate_seed = &nine;
    proof_solve(&f);
    for (size_t b = 0; b < 64; b++) same += first[b] == f.solution.estimate_step[b];
    assert_true(same < 32);
    proof_end(&f);
}

/* ---- use ---------------------------------------------------------------------------------------------------------- */

static int half_square(void *ctx, size_t save, double t, size_t n, const nde_real *y, double *value, nde_real *a_y) {
    (void)ctx, (void)save, (void)t;
    for (size_t i = 0; i < 2*n; i++) *value += 0.5*(double)y[i]*(double)y[i];
    for (size_t i = 0; a_y && i < 2*n; i++) a_y[i] += y[i];
    return 0;
}

/* A loss with estimates is that without, and they, with their gradients. */
static void losses_have_them(void **state) {
    (void)state;
    proof f;
    double value;
    case_ensemble(&f, 0, true);
    nde_loss loss = NDE_INIT(nde_loss, .at = half_square);
    regularise(&f, NDE_ESTIMATES_ALL);
    f.problem.loss = &loss;
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_OK);
    double expected = f.solution.loss;
    for (size_t b = 0; b < f.n; b++) expected += 3*f.solution.error_estimate[b] + 0.01*f.solution.stiffness_estimate[b];
    loss.error_estimate = 3, loss.stiffness_estimate = 0.01;
    proof_create(&f);
    const nde_gradient g = NDE_INIT(nde_gradient, .y0 = f.in[IN_Y0].g, .p = f.in[IN_P].g);
    assert_int_equal(nde_value_and_gradient(f.solver, &value, &g), NDE_OK);
    assert_true(fabs(value - expected) <= 1e-12*fabs(expected));
    nde_gradient_report r = NDE_INIT(nde_gradient_report, .h = 0);
    assert_int_equal(nde_gradient_check(&f.problem, &f.options, NULL, 5, &r), NDE_OK);
    assert_true(r.forward_error <= (is_double ? 1e-10 : 1e-3) && r.difference_error <= (is_double ? 1e-6 : (double)INFINITY));
    proof_end(&f);
}

/* The estimate of a step of its own, from a state at a drawn time, with any adjoint: see nde/adjoint.h. */
static void any_adjoint_takes_a_step_of_its_own(void **state) {
    (void)state;
    nde_real *first = NULL;
    for (int32_t adjoint = NDE_ADJOINT_DISCRETE; adjoint <= NDE_ADJOINT_GAUSS; adjoint++) {
        proof f, one;
        const double at = 2*nde_uniform(8, NDE_PURPOSE_STEP, 0, 0, 0);
        oscillator(&f, NDE_TSIT5, 0), oscillator(&one, NDE_TSIT5, 1);
        f.options.estimates = 0, f.options.adjoint = adjoint, f.options.rtol = is_double ? 1e-10 : 1e-6, f.options.atol = 1e-9;
        f.problem.t1 = 2, one.problem.t0 = at, one.problem.t1 = at + 0.25;
        proof_save(&f, 1, &at);
        proof_create(&f);
        assert_int_equal(proof_run(&f), NDE_OK);
        one.problem.y0 = f.solution.y;
        proof_create(&one);
        assert_int_equal(proof_run(&one), NDE_OK);
        const nde_seed of_step = NDE_INIT(nde_seed, .error_estimate = one.seed_estimate[0]);
        const nde_gradient from_step = NDE_INIT(nde_gradient, .y0 = one.in[IN_Y0].g, .p = one.in[IN_P].g);
        assert_int_equal(nde_backward(one.solver, &of_step, &from_step), NDE_OK);
        const nde_seed whole = NDE_INIT(nde_seed, .y = one.in[IN_Y0].g);
        const nde_gradient g = NDE_INIT(nde_gradient, .y0 = f.in[IN_Y0].g, .p = f.in[IN_P].g);
        assert_int_equal(nde_backward(f.solver, &whole, &g), NDE_OK);
        const nde_real *p = f.in[IN_P].g, *more = one.in[IN_P].g;
        for (size_t i = 0; i < 2; i++) {
            static nde_real kept[2];
            const nde_real sum = p[i] + more[i];
            if (adjoint == NDE_ADJOINT_DISCRETE) kept[i] = sum, first = kept;
            assert_true(first && fabs((double)(sum - first[i])) <= (is_double ? 1e-6 : 1e-2)*fabs((double)first[i]) &&
                        sum != 0);
        }
        const nde_seed refused = NDE_INIT(nde_seed, .error_estimate = one.seed_estimate[0]);
        assert_int_equal(nde_backward(f.solver, &refused, &g), NDE_E_ARG);
        assert_non_null(strstr(nde_solver_error(f.solver), "error_estimate"));
        proof_end(&f), proof_end(&one);
    }
}

static void what_is_not_there_is_refused(void **state) {
    (void)state;
    proof f;
    oscillator(&f, NDE_RK4, 8);
    nde_loss loss = NDE_INIT(nde_loss, .at = half_square, .error_estimate = (double)NAN);
    assert_int_equal(nde_solver_create(&f.problem, &f.options, &f.solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "rk4"));
    f.options.method = NDE_RKC2, f.problem.loss = &loss;
    assert_int_equal(nde_solver_create(&f.problem, &f.options, &f.solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "error_estimate"));
    loss.error_estimate = 0, loss.stiffness_estimate = 1;
    assert_int_equal(nde_solver_create(&f.problem, &f.options, &f.solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "stiffness_estimate"));
    loss.stiffness_estimate = 0;
    proof_solve(&f);
    assert_null(f.solution.stiffness_estimate);
    double a[3] = { 1, 1, 1 };
    const nde_seed seed = NDE_INIT(nde_seed, .stiffness_estimate = a);
    const nde_gradient g = NDE_INIT(nde_gradient, .y0 = f.in[IN_Y0].g);
    assert_int_equal(nde_backward(f.solver, &seed, &g), NDE_E_ARG);
    assert_non_null(strstr(nde_solver_error(f.solver), "rkc2"));
    const nde_direction along = NDE_INIT(nde_direction, .y0 = f.in[IN_Y0].v);
    const nde_output_tangent out = NDE_INIT(nde_output_tangent, .stiffness_estimate = a);
    assert_int_equal(nde_forward(f.solver, &along, &out), NDE_E_ARG);
    proof_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_those_of_the_formula),
        cmocka_unit_test(stiffness_is_the_rate_of_decay),
        cmocka_unit_test(all_methods_have_the_identity),
        cmocka_unit_test(tables_that_are_made_have_the_identity),
        cmocka_unit_test(all_cases_have_the_identity),
        cmocka_unit_test(the_truths_agree),
        cmocka_unit_test(differences_of_the_program_agree),
        cmocka_unit_test(bits_do_not_depend_on_the_record),
        cmocka_unit_test(saved_states_hold_them),
        cmocka_unit_test(draws_have_their_distribution),
        cmocka_unit_test(seeds_draw_anew),
        cmocka_unit_test(losses_have_them),
        cmocka_unit_test(any_adjoint_takes_a_step_of_its_own),
        cmocka_unit_test(what_is_not_there_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
