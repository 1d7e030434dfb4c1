/* SPDX-License-Identifier: MIT
 * continuous.c - the continuous adjoints converge to the discrete one, as fast as their methods do, on everything that
 * they know; what they do not know is refused by name. */
#include "adjoint/proof.h"

enum { LINEAR, LOTKA, SPIRAL, NETWORK, COUNTED, DRIVEN, PROBLEMS };
static const char *const problem_names[PROBLEMS] = { "linear", "Lotka-Volterra", "cubic spiral", "network", "quadrature",
                                                     "paths" };
static const int modes[] = { NDE_ADJOINT_BACKSOLVE, NDE_ADJOINT_INTERPOLATED, NDE_ADJOINT_QUADRATURE, NDE_ADJOINT_GAUSS };
static const char *const mode_names[] = { "backsolve", "interpolated", "quadrature", "gauss" };
enum { MODES = LENGTH(modes) };

static void make(int which, proof *f, size_t n, bool backwards) {
    static const size_t width[] = { 2 + 2 + 1, 8, 8, 2 };
    static const nde_mlp mlp = {
        .size = sizeof mlp, .layers = 3, .width = width, .hidden = NDE_TANH, .time_input = 1, .inputs_q = 2
    };
    const double t0 = backwards ? 1.5 : 0, t1 = backwards ? 0 : 1.5;
    const double times[] = { backwards ? 1.2 : 0.3, backwards ? 1.2 : 0.3, 0.75, t1 };
    switch (which) {
    case LINEAR:
        proof_begin(f, n, &linear_model, false, t0, t1, 1);
        proof_parameters(f, 4, (double[]){ -0.25, 1, -1.5, -0.125 });
        break;
    case LOTKA:
        proof_begin(f, n, &lotka_model, true, t0, t1, 1.5);
        proof_parameters(f, 4, (double[]){ 1.5, 1, 1, 3 });
        break;
    case SPIRAL:
        proof_begin(f, n, &spiral_model, false, t0, t1, 1);
        proof_parameters(f, 4, (double[]){ -0.125, 2, -2, -0.125 });
        break;
    case NETWORK:
        proof_begin(f, n, &duffing_model, false, t0, t1, 0.5);
        f->drift = nde_field_mlp(&mlp);
        proof_parameters(f, f->drift.np, NULL);
        assert_int_equal(nde_mlp_init(&mlp, NDE_GLOROT_UNIFORM, 11, f->in[IN_P].x), NDE_OK);
        f->problem.q = proof_input_make(f, IN_Q, 2, false, false, 0.5, 0.5);
        break;
    case COUNTED:
        proof_begin(f, n, &reaction_model, false, t0, t1, 1);
        proof_parameters(f, 3, (double[]){ 0.75, 0.5, 0.25 });
        proof_quadrature(f, &count_model, true);
        break;
    default:
        proof_begin(f, n, &relaxing_model, false, t0, t1, 0.5);
        proof_parameters(f, 18, NULL);
        proof_path(f, &f->input, IN_INPUT_X, 1, 0.25, 1.25);
        proof_path(f, &f->path, IN_TERM_X, 2, 0.25, 1.25);
        f->problem.input = &f->input;
        proof_term(f, 0, &controlled_model, &f->path, NULL, 0, true);
    }
    proof_save(f, LENGTH(times), times);
    f->options.method = NDE_DOPRI5, f->options.reproducible = 1;
}

/* What all adjoints give, one after the other. */
static const int given[] = { IN_Y0, IN_P, IN_Q, IN_T0, IN_T1, IN_SAVE_T };

typedef struct outcome {
    double *g[LENGTH(given)];
    nde_stats *back;         /* [n]; NULL: not asked for */
    double *reconstruction;
} outcome;

static nde_status differentiate(proof *f, outcome *o) {
    nde_gradient g = NDE_INIT(nde_gradient, .y0 = f->in[IN_Y0].g, .p = f->in[IN_P].g, .q = f->in[IN_Q].g, .t0 = f->in[IN_T0].g,
                              .t1 = f->in[IN_T1].g, .save_t = f->in[IN_SAVE_T].g, .back = o->back,
                              .reconstruction = o->reconstruction);
    const nde_seed seed = proof_seeds(f);
    const nde_status status = nde_backward(f->solver, &seed, &g);
    size_t total = 0;
    for (size_t k = 0; k < LENGTH(given); k++) total += f->in[given[k]].count;
    double *to = proof_take(f, total, sizeof *to);
    for (size_t k = 0; k < LENGTH(given); k++) {
        const proof_input *in = &f->in[given[k]];
        o->g[k] = to, to += in->count;
        for (size_t i = 0; i < in->count; i++) o->g[k][i] = input_get(in, in->g, i);
    }
    return status;
}

static outcome solve(proof *f, int adjoint) {
    outcome o = { .back = NULL };
    f->options.adjoint = adjoint;
    if (adjoint != NDE_ADJOINT_DISCRETE) o.back = proof_take(f, f->n, sizeof *o.back);
    if (adjoint == NDE_ADJOINT_BACKSOLVE) o.reconstruction = proof_take(f, f->n, sizeof *o.reconstruction);
    proof_create(f);
    nde_status status = proof_run(f);
    if (status == NDE_OK || status == NDE_E_LANES) status = differentiate(f, &o);
    if (status) fail_msg("%s", nde_solver_error(f->solver));
    return o;
}

/* The largest distance of one kind of gradient, relative to its size. */
static double distance(const proof *f, const outcome *a, const outcome *b) {
    double worst = 0;
    for (size_t k = 0; k < LENGTH(given); k++) {
        double sum = 0, size = 0;
        for (size_t i = 0; i < f->in[given[k]].count; i++) {
            const double d = a->g[k][i] - b->g[k][i];
            sum += d*d, size += b->g[k][i]*b->g[k][i];
        }
        if (f->in[given[k]].count) worst = fmax(worst, sqrt(sum/size));
    }
    assert_true(isfinite(worst));
    return worst;
}

static void tolerate(proof *f, double tolerance) { f->options.rtol = f->options.atol = tolerance; }

static const bool single = sizeof(nde_real) == sizeof(float);

/* ---- convergence --------------------------------------------------------------------------------------------------- */

/* One trajectory or several, forwards or backwards, each with its own steps or all with the same: errors are near the
 * tolerance, or near what it leaves in the solve (the spiral grows backwards). */
static void errors_follow_tolerances(void **state) {
    (void)state;
    const double finest = single ? 2e-7 : 1e-12, wanted[] = { single ? 1e-4 : 1e-6, single ? 1e-5 : 1e-9 };
    for (int which = 0; which < PROBLEMS; which++)
        for (int kind = 0; kind < 6; kind++) {
            proof f;
            make(which, &f, kind < 2 ? 1 : 5, kind & 1);
            if (kind >= 4) f.options.stepping = NDE_STEP_JOINT;
            tolerate(&f, finest);
            const outcome exact = solve(&f, NDE_ADJOINT_DISCRETE);
            for (size_t k = 0; k < LENGTH(wanted); k++) {
                tolerate(&f, wanted[k]);
                const outcome discrete = solve(&f, NDE_ADJOINT_DISCRETE);
                const double least = distance(&f, &discrete, &exact);
                for (size_t m = 0; m < MODES; m++) {
                    const outcome o = solve(&f, modes[m]);
                    const double error = distance(&f, &o, &exact);
                    if (!(error <= 100*wanted[k] || error <= 10*least))
                        fail_msg("%s, %s, kind %d, tolerance %g: error %g", problem_names[which], mode_names[m], kind,
                                 wanted[k], error);
                }
            }
            proof_end(&f);
        }
}

/* The matrix exponential of m [4][4], by its series. */
static void exponential(const double *m, double *sum) {
    double power[16], next[16];
    for (int i = 0; i < 16; i++) sum[i] = power[i] = i%5 == 0;
    for (int n = 1; n < 60; n++) {
        for (int i = 0; i < 4; i++)
            for (int k = 0; k < 4; k++) {
                next[4*i + k] = 0;
                for (int j = 0; j < 4; j++) next[4*i + k] += power[4*i + j]*m[4*j + k]/n;
            }
        memcpy(power, next, sizeof power);
        for (int i = 0; i < 16; i++) sum[i] += power[i];
    }
}

/* y(T) = exp(A T) y0, and its derivative along A_ij by the exponential of a block matrix.
 * Source: R. Mathias, SIAM J. Matrix Anal. Appl. 17 (1996) 610-620. */
static void linear_problems_have_a_closed_form(void **state) {
    (void)state;
    for (size_t m = 0; m < MODES; m++) {
        proof f;
        make(LINEAR, &f, 1, false);
        proof_no_saves(&f);
        tolerate(&f, single ? 1e-5 : 1e-10);
        const outcome o = solve(&f, modes[m]);
        const nde_real *p = f.in[IN_P].x, *y0 = f.in[IN_Y0].x;
        const double allowed = single ? 1e-4 : 1e-8, T = 1.5;
        for (size_t e = 0; e < 4; e++) {
            double block[16] = { 0 }, result[16], dp = 0;
            for (size_t i = 0; i < 2; i++)
                for (size_t k = 0; k < 2; k++) block[4*i + k] = block[4*i + 10 + k] = T*(double)p[2*i + k];
            block[4*(e/2) + 2 + e%2] = T;
            exponential(block, result);
            for (size_t i = 0; i < 2; i++) /* the only row saved is the end: both seeds meet there */
                for (size_t k = 0; k < 2; k++)
                    dp += (double)(f.seed_end[i] + f.seed_y[i])*result[4*i + 2 + k]*(double)y0[k];
            assert_true(fabs(o.g[1][e] - dp) <= allowed);
            if (e >= 2) continue;
            const double dy = (double)(f.seed_end[0] + f.seed_y[0])*result[e] +
                (double)(f.seed_end[1] + f.seed_y[1])*result[4 + e];
            assert_true(fabs(o.g[0][e] - dy) <= allowed);
        }
        proof_end(&f);
    }
}

#ifndef NDE_TEST_SINGLE
static double error_at(proof *f, int mode, int64_t steps, const outcome *exact) {
    f->options.steps = steps;
    const outcome o = solve(f, mode);
    return distance(f, &o, exact);
}

/* Fixed steps: the error of every method falls by its order, or by that of its continuous extension where that is less. */
static void steps_converge_by_their_order(void **state) {
    (void)state;
    proof f, fine;
    make(LOTKA, &fine, 2, false);
    proof_no_saves(&fine);
    tolerate(&fine, 1e-13);
    const outcome exact = solve(&fine, NDE_ADJOINT_DISCRETE);
    for (size_t i = 0; i < nde_method_count(); i++) {
        const nde_method *method = nde_method_at(i);
        if (nde_method_kind(method) != NDE_KIND_RUNGE_KUTTA) continue;
        const int order = nde_method_order(method), dense = nde_method_dense_order(method) + 1;
        const int64_t steps = order >= 7 ? 6 : order >= 5 ? 16 : order >= 3 ? 48 : 256;
        for (size_t m = 0; m < MODES; m++) {
            make(LOTKA, &f, 2, false);
            proof_no_saves(&f);
            f.options.method = nde_method_id(method);
            tolerate(&f, 1e-13); /* of the integrals by quadrature */
            const double error = error_at(&f, modes[m], steps, &exact), half = error_at(&f, modes[m], 2*steps, &exact);
            const double seen = log2(error/half), least = modes[m] == NDE_ADJOINT_BACKSOLVE || order < dense ? order : dense;
            if (!(seen >= least - 0.5))
                fail_msg("%s, %s: order %g seen, %g expected (%g, %g)", nde_method_name(method), mode_names[m], seen, least,
                         error, half);
            proof_end(&f);
        }
    }
    proof_end(&fine);
}
#endif

/* ---- what else there is in a problem -------------------------------------------------------------------------------- */

/* Every trajectory has its own span; most wait for a lane. */
static void ensembles_have_spans_of_their_own(void **state) {
    (void)state;
    for (size_t m = 0; m < MODES; m++) {
        proof f;
        make(m % 2 ? NETWORK : COUNTED, &f, 200, false);
        proof_spans(&f, 0, 0.25, 1.5, 0.5);
        f.options.group = 100;
        tolerate(&f, single ? 1e-6 : 1e-10);
        const outcome exact = solve(&f, NDE_ADJOINT_DISCRETE), o = solve(&f, modes[m]);
        const double error = distance(&f, &o, &exact);
        if (!(error <= (single ? 1e-4 : 1e-8))) fail_msg("%s: %g", mode_names[m], error);
        proof_end(&f);
    }
}

/* A trajectory that cannot begin is a constant. */
static void failed_trajectories_are_constants(void **state) {
    (void)state;
    for (size_t m = 0; m < MODES; m++) {
        proof f;
        make(LOTKA, &f, 3, false);
        ((nde_real *)f.in[IN_Y0].x)[1] = (nde_real)NAN;
        tolerate(&f, single ? 1e-6 : 1e-10);
        const outcome exact = solve(&f, NDE_ADJOINT_DISCRETE), o = solve(&f, modes[m]);
        assert_true(distance(&f, &o, &exact) <= (single ? 1e-4 : 1e-8));
        assert_true(o.g[0][1] == 0 && o.g[0][0] != 0);
        proof_end(&f);
    }
}

/* Steps of one kind there, of another back. */
static void the_way_back_has_options_of_its_own(void **state) {
    (void)state;
    for (size_t m = 0; m < MODES; m++) {
        proof f;
        make(LOTKA, &f, 3, false);
        tolerate(&f, single ? 1e-6 : 1e-11);
        const outcome exact = solve(&f, NDE_ADJOINT_DISCRETE);
        nde_options back = NDE_INIT(nde_options, .method = NDE_BOSH3, .rtol = 1e-3, .atol = 1e-3);
        f.options.back = &back;
        const outcome rough = solve(&f, modes[m]);
        back.steps = 400, back.method = NDE_RK4;
        const outcome fixed = solve(&f, modes[m]);
        assert_true(fixed.back[0].accepted >= 400 && rough.back[0].accepted < 100);
        const double error[] = { distance(&f, &rough, &exact), distance(&f, &fixed, &exact) };
        assert_true(error[0] > 1e-5 && error[0] < 1e-1 && error[1] < (single ? 1e-4 : 1e-8));
        proof_end(&f);
    }
}

/* A partitioned method there has no counterpart on the way back, whose error is then that of the way there. */
static void partitioned_problems_have_a_way_back(void **state) {
    (void)state;
    for (size_t m = 0; m < MODES; m++) {
        double error[2];
        for (int fine = 0; fine < 2; fine++) {
            proof f;
            proof_begin(&f, 3, &pendulums_model, true, 0, 1.5, 0.75);
            f.problem.split = 2;
            proof_parameters(&f, 2, (double[]){ 1.5, 0.25 });
            f.problem.q = proof_input_make(&f, IN_Q, 1, false, false, 0.5, 0.25);
            f.options.method = NDE_VELOCITY_VERLET, f.options.steps = fine ? 80 : 40;
            const outcome exact = solve(&f, NDE_ADJOINT_DISCRETE), o = solve(&f, modes[m]);
            error[fine] = distance(&f, &o, &exact);
            proof_end(&f);
        }
        assert_true(error[0] < 1e-2 && error[1] < 0.3*error[0]);
    }
}

/* ---- the same bits -------------------------------------------------------------------------------------------------- */

static void same(const proof *f, const outcome *a, const outcome *b, const char *what, const char *mode) {
    for (size_t k = 0; k < LENGTH(given); k++)
        if (f->in[given[k]].count && memcmp(a->g[k], b->g[k], f->in[given[k]].count*sizeof(double)))
            fail_msg("%s, %s: other bits in the gradient by %s", mode, what, input_names[given[k]]);
}

/* Whatever the record keeps, and whoever does the work. */
static void records_and_threads_leave_the_bits(void **state) {
    (void)state;
    for (size_t m = 0; m < MODES; m++)
        for (int extended = 0; extended < 2; extended++) {
            proof f;
            make(COUNTED, &f, 24, false);
            f.options.group = 8, f.options.method = extended ? NDE_VERN7 : NDE_DOPRI5;
            const outcome first = solve(&f, modes[m]);
            for (int form = NDE_RECORD_TAPE; form <= NDE_RECORD_CHECKPOINTS && m; form++) {
                f.options.record = form;
                const outcome o = solve(&f, modes[m]);
                assert_int_equal(f.solution.record, form == NDE_RECORD_STAGES ? NDE_RECORD_STATES : form);
                same(&f, &o, &first, "another record", mode_names[m]);
            }
            f.options.record = 0, f.options.threads = 3;
            const outcome o = solve(&f, modes[m]);
            same(&f, &o, &first, "three threads", mode_names[m]);
            const outcome again = { .g = { 0 } };
            outcome twice = again;
            assert_int_equal(differentiate(&f, &twice), NDE_OK);
            same(&f, &twice, &first, "a second time", mode_names[m]);
            proof_end(&f);
        }
}

/* ---- what they tell of themselves ----------------------------------------------------------------------------------- */

/* The integrals for p need not be followed by the steps. Source: P. Kidger, R. Chen, T. Lyons, ICML (2021). */
static void parameters_outside_the_norm_save_evaluations(void **state) {
    (void)state;
    static const size_t width[3][4] = { { 2, 16, 16, 2 }, { 2, 50, 50, 2 }, { 3, 32, 32, 2 } };
    for (int which = 0; which < 3; which++)
        for (size_t m = 0; m < 2; m++) {
            int64_t evals[2] = { 0, 0 };
            const nde_mlp mlp = { .size = sizeof mlp, .layers = 3, .width = width[which], .hidden = NDE_TANH,
                                  .time_input = which == 2 };
            for (int inside = 0; inside < 2; inside++) {
                proof f;
                make(LINEAR, &f, 8, false);
                f.drift = nde_field_mlp(&mlp);
                proof_parameters(&f, f.drift.np, NULL);
                assert_int_equal(nde_mlp_init(&mlp, NDE_GLOROT_UNIFORM, 5, f.in[IN_P].x), NDE_OK);
                for (size_t i = 0; i < f.drift.np; i++) ((nde_real *)f.in[IN_P].x)[i] *= 3;
                f.options.parameters_in_norm = inside;
                const outcome o = solve(&f, modes[m]);
                for (size_t b = 0; b < f.n; b++) evals[inside] += o.back[b].evals;
                proof_end(&f);
            }
            print_message("network of %zu, %s: %lld evaluations, %lld with the parameters in the norm\n", width[which][1],
                          mode_names[m], (long long)evals[0], (long long)evals[1]);
            assert_true(evals[0] < evals[1]);
        }
}

/* y' = -12 y grows by e^18 on the way back. */
static void backsolve_tells_how_well_it_found_back(void **state) {
    (void)state;
    for (int stiff = 0; stiff < 2; stiff++) {
        proof f;
        const double rate = stiff ? -12 : -0.25;
        make(LINEAR, &f, 1, false);
        proof_no_saves(&f);
        proof_parameters(&f, 4, (double[]){ rate, 0, 0, rate });
        tolerate(&f, 1e-5);
        const outcome back = solve(&f, NDE_ADJOINT_BACKSOLVE), along = solve(&f, NDE_ADJOINT_INTERPOLATED);
        assert_true(stiff ? *back.reconstruction > 1 : *back.reconstruction > 0 && *back.reconstruction < 1e-3);
        assert_true(fabs(along.g[0][0] - (double)(f.seed_end[0] + f.seed_y[0])*exp(1.5*rate)) <= 1e-3);
        proof_end(&f);
    }
}

/* ---- errors --------------------------------------------------------------------------------------------------------- */

static void expect(proof *f, const nde_gradient *g, const char *text) {
    const nde_seed seed = proof_seeds(f);
    assert_int_equal(nde_backward(f->solver, &seed, g), NDE_E_ARG);
    if (!strstr(nde_solver_error(f->solver), text)) fail_msg("%s: %s", text, nde_solver_error(f->solver));
}

static void what_they_do_not_know_is_refused(void **state) {
    (void)state;
    proof f;
    nde_solver *s;
    make(DRIVEN, &f, 2, false);
    f.options.adjoint = NDE_ADJOINT_GAUSS;
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_OK);
    double numbers[8], loss;
    nde_real reals[64], *list[1] = { reals };
    nde_gradient g = NDE_INIT(nde_gradient, .loss_error = &loss);
    expect(&f, &g, "loss_error");
    g = NDE_INIT(nde_gradient, .reconstruction = numbers);
    expect(&f, &g, "reconstruction");
    g = NDE_INIT(nde_gradient, .input_x = reals);
    expect(&f, &g, "paths");
    g = NDE_INIT(nde_gradient, .term_x = list);
    expect(&f, &g, "paths");
    g = NDE_INIT(nde_gradient, .jump_t = numbers);
    expect(&f, &g, "jumps");
    proof_end(&f);

    make(LOTKA, &f, 2, false);
    nde_stats stats[2];
    g = NDE_INIT(nde_gradient, .back = stats);
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_OK);
    expect(&f, &g, "gradient.back");
    f.options.adjoint = NDE_ADJOINT_BACKSOLVE;
    proof_no_saves(&f);
    f.options.save_every = 1;
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_OK);
    g = NDE_INIT(nde_gradient, .y0 = f.in[IN_Y0].g);
    expect(&f, &g, "save_every");
    f.options.save_every = 0, f.options.clip_t = &(double){ 0.5 }, f.options.n_clip = 1;
    assert_int_equal(nde_solver_create(&f.problem, &f.options, &s), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "clips"));
    f.options.n_clip = 0;
    proof_jumps(&f, &dose_model, 1, (double[]){ 0.5 });
    assert_int_equal(nde_solver_create(&f.problem, &f.options, &s), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "jumps"));
    f.problem.n_jumps = 0;
    f.options.parameters_in_norm = 2;
    assert_int_equal(nde_solver_create(&f.problem, &f.options, &s), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "parameters_in_norm"));
    proof_end(&f);
}

/* Evaluations that are left before the field fails; counted on the way back, by one thread. */
static int64_t left;
static int failing_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    return left-- > 0 ? model_vjp(self, at, y, a, to) : -7;
}

static void a_field_that_fails_leaves_the_gradients(void **state) {
    (void)state;
    for (size_t m = 0; m < MODES; m++) {
        proof f;
        make(LOTKA, &f, 2, false);
        f.drift.vjp = failing_vjp;
        f.options.adjoint = modes[m];
        proof_create(&f);
        assert_int_equal(proof_run(&f), NDE_OK);
        outcome o = { .back = NULL };
        nde_real *p = f.in[IN_P].g;
        p[0] = 42;
        for (left = 0; left < 1000000; left = 2*left + 1) {
            const int64_t given_to = left;
            const nde_status status = differentiate(&f, &o);
            left = given_to;
            if (status == NDE_OK) break;
            assert_true(status < 0 && p[0] == 42);
            assert_true(strlen(nde_solver_error(f.solver)) > 0);
        }
        assert_true(left > 7 && p[0] != 42);
        f.drift.vjp = NULL;
        proof_create(&f);
        assert_int_equal(proof_run(&f), NDE_OK);
        assert_int_equal(differentiate(&f, &o), NDE_E_NO_VJP);
        proof_end(&f);
    }
}

/* One allocation, of the size announced; none while differentiating. */
static void *counted_take(void *ctx, size_t bytes, size_t align) {
    size_t *seen = ctx;
    seen[0]++, seen[1] = bytes;
    return aligned_alloc(align, (bytes + align - 1)/align*align);
}
static void counted_give(void *ctx, void *block, size_t bytes) {
    (void)ctx, (void)bytes;
    free(block);
}
static void everything_lies_in_one_block(void **state) {
    (void)state;
    for (size_t m = 0; m < MODES; m++) {
        proof f;
        size_t seen[2] = { 0, 0 };
        const nde_allocator counting = { counted_take, counted_give, seen };
        make(NETWORK, &f, 20, false);
        f.options.allocator = &counting, f.options.budget = (size_t)1 << 20;
        (void)solve(&f, modes[m]);
        assert_int_equal(seen[0], 1);
        assert_int_equal(seen[1], nde_solver_bytes(&f.problem, &f.options));
        proof_end(&f);
    }
}

/* Half the squared distance from 1 at each save time. */
static int loss_at(void *ctx, size_t save, double t, size_t n, const nde_real *y, double *value, nde_real *a_y) {
    (void)ctx, (void)save, (void)t;
    for (size_t i = 0; i < 2*n; i++) *value += 0.5*((double)y[i] - 1)*((double)y[i] - 1), a_y[i] = y[i] - 1;
    return 0;
}
static void losses_have_gradients(void **state) {
    (void)state;
    const nde_loss loss = NDE_INIT(nde_loss, .at = loss_at);
    for (size_t m = 0; m < MODES; m++) {
        proof f;
        make(LOTKA, &f, 4, false);
        f.problem.loss = &loss;
        tolerate(&f, single ? 1e-5 : 1e-9);
        double value[2], first[2] = { 0, 0 };
        for (int k = 0; k < 2; k++) {
            const nde_gradient g = NDE_INIT(nde_gradient, .p = f.in[IN_P].g);
            f.options.adjoint = k ? modes[m] : NDE_ADJOINT_DISCRETE;
            proof_create(&f);
            assert_int_equal(nde_value_and_gradient(f.solver, &value[k], &g), NDE_OK);
            first[k] = input_get(&f.in[IN_P], f.in[IN_P].g, 0);
        }
        assert_true(value[0] == value[1] && value[0] > 0);
        assert_true(fabs(first[0] - first[1]) <= (single ? 1e-3 : 1e-6)*fabs(first[0]) && first[0] != 0);
        proof_end(&f);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_follow_tolerances),
        cmocka_unit_test(linear_problems_have_a_closed_form),
#ifndef NDE_TEST_SINGLE
        cmocka_unit_test(steps_converge_by_their_order),
#endif
        cmocka_unit_test(ensembles_have_spans_of_their_own),
        cmocka_unit_test(failed_trajectories_are_constants),
        cmocka_unit_test(the_way_back_has_options_of_its_own),
        cmocka_unit_test(partitioned_problems_have_a_way_back),
        cmocka_unit_test(records_and_threads_leave_the_bits),
        cmocka_unit_test(parameters_outside_the_norm_save_evaluations),
        cmocka_unit_test(backsolve_tells_how_well_it_found_back),
        cmocka_unit_test(what_they_do_not_know_is_refused),
        cmocka_unit_test(a_field_that_fails_leaves_the_gradients),
        cmocka_unit_test(everything_lies_in_one_block),
        cmocka_unit_test(losses_have_gradients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
