/* SPDX-License-Identifier: MIT
 * alone.c - one trajectory of a plain problem has a loop and a way back of its own: the same bits as the general ones,
 * with every method, in every form of the record. The general ones are had by a clip beyond the end. */
#include "adjoint/proof.h"

enum { CALLBACK, TAPED, NETWORK, ROWS, FIELDS };
static const char *const field_names[FIELDS] = { "callback", "with a tape", "network", "three rows" };

static void make(int which, proof *f, bool backwards, size_t saves) {
    static const size_t width[] = { 2 + 1, 5, 2 };
    static const nde_mlp mlp = { .size = sizeof mlp, .layers = 2, .width = width, .time_input = 1 };
    const double t0 = backwards ? 3 : 0, t1 = 3 - t0, times[] = { t0, 0.4*t1 + 0.6*t0, 0.45*t1 + 0.55*t0, t1 };
    proof_begin(f, 1, which == ROWS ? &lorenz_model : &duffing_model, which == TAPED, t0, t1, 0.5);
    if (which == ROWS) proof_parameters(f, 3, (double[]){ 0.5, 0.75, 0.25 });
    else {
        proof_parameters(f, 2, (double[]){ 0.5, 0.25 });
        f->problem.q = proof_input_make(f, IN_Q, 2, false, false, 1.5, 0.25);
    }
    if (which == NETWORK) {
        f->drift = nde_field_mlp(&mlp);
        proof_parameters(f, f->drift.np, NULL);
        assert_int_equal(nde_mlp_init(&mlp, NDE_GLOROT_UNIFORM, 3, f->in[IN_P].x), NDE_OK);
    }
    if (saves) proof_save(f, saves, times);
    f->options.rtol = f->options.atol = 1e-4, f->options.h0 = 1.5; /* too long: it is rejected */
}

static proof_copy differentiate(proof *f) {
    const nde_seed seed = proof_seeds(f);
    const nde_gradient g = NDE_INIT(nde_gradient, .y0 = f->in[IN_Y0].g, .p = f->in[IN_P].g, .q = f->in[IN_Q].g);
    if (nde_backward(f->solver, &seed, &g) != NDE_OK) fail_msg("%s", nde_solver_error(f->solver));
    return proof_keep(f);
}

static void check(proof *f, const char *what) {
    static const int shared[] = { IN_Y0, IN_P, IN_Q };
    const double beyond = 100*(f->problem.t1 - f->problem.t0);
    proof_create(f);
    if (proof_run(f) != NDE_OK) fail_msg("%s: %s", what, nde_solver_error(f->solver));
    const nde_stats stats = f->solution.stats[0];
    nde_real end[3] = { 0 };
    memcpy(end, f->solution.y_end, f->dim*sizeof *end);
    const size_t bytes = f->solution.record_bytes;
    const proof_copy fast = differentiate(f);
    f->options.clip_t = &beyond, f->options.n_clip = 1;
    proof_create(f);
    assert_int_equal(proof_run(f), NDE_OK);
    if (memcmp(&stats, f->solution.stats, sizeof stats) || memcmp(end, f->solution.y_end, f->dim*sizeof *end) ||
        /* of known steps others are kept */
        (bytes != f->solution.record_bytes && f->solution.record != NDE_RECORD_CHECKPOINTS))
        fail_msg("%s: another solve: %d and %d steps, %d and %d rejected", what, (int)stats.accepted,
                 (int)f->solution.stats->accepted, (int)stats.rejected, (int)f->solution.stats->rejected);
    const proof_copy general = differentiate(f);
    for (size_t k = 0; k < LENGTH(shared); k++) {
        const int in = shared[k];
        if (fast.bytes[in] && memcmp(fast.g[in], general.g[in], fast.bytes[in]))
            fail_msg("%s: other bits in the gradient by %s: %.17g and %.17g", what, input_names[in],
                     input_get(&f->in[in], fast.g[in], 0), input_get(&f->in[in], general.g[in], 0));
    }
    f->options.n_clip = 0;
}

static void every_method_and_record(void **state) {
    (void)state;
    size_t rejected = 0;
    for (size_t i = 0; i < nde_method_count(); i++) {
        const nde_method *m = nde_method_at(i);
        if (nde_method_kind(m) != NDE_KIND_RUNGE_KUTTA) continue;
        for (int which = 0; which < FIELDS; which++)
            for (int form = NDE_RECORD_TAPE; form <= NDE_RECORD_CHECKPOINTS; form++) {
                char what[120];
                proof f;
                const int64_t steps = nde_method_error_order(m) && form % 2 ? 0 : 19;
                make(which, &f, i % 2, i % 3 == 0 ? 4 : 0);
                f.options.method = nde_method_id(m), f.options.steps = steps, f.options.record = form;
                f.options.budget = form == NDE_RECORD_CHECKPOINTS && i % 2 ? (size_t)1 << 14 : (size_t)1 << 20;
                snprintf(what, sizeof what, "%s, %s, form %d, %d steps", nde_method_name(m), field_names[which], form,
                         (int)steps);
                check(&f, what);
                rejected += f.solution.stats[0].rejected > 0;
                proof_end(&f);
            }
    }
    assert_true(rejected > 20);
}

/* Saves inside steps, and at all of them. */
static void saved_rows(void **state) {
    (void)state;
    static const int methods[] = { NDE_DOPRI5, NDE_TSIT5, NDE_VERN7, NDE_RK4 };
    for (size_t k = 0; k < LENGTH(methods); k++)
        for (int which = CALLBACK; which < FIELDS; which++)
            for (int every = 0; every <= 1; every++) {
                proof f;
                make(which, &f, every, every ? 0 : 4);
                f.options.method = methods[k], f.options.save_every = every ? 2 : 0;
                f.options.steps = methods[k] == NDE_RK4 ? 23 : 0, f.options.max_steps = every ? 400 : 0;
                check(&f, nde_method_name(nde_method_get(methods[k])));
                proof_end(&f);
            }
}

/* A drift may find its own parameters behind those of others. */
static void parameters_further_on(void **state) {
    (void)state;
    double g[2][2];
    for (int shifted = 0; shifted <= 1; shifted++) {
        proof f;
        make(CALLBACK, &f, false, 4);
        if (shifted) {
            const nde_real *old = f.in[IN_Q].x;
            nde_real *q = proof_input_make(&f, IN_Q, 4, false, false, 7, 1);
            q[2] = old[0], q[3] = old[1];
            f.drift.q_first = 2, f.problem.q = q;
        }
        f.options.method = NDE_DOPRI5;
        proof_solve(&f);
        for (size_t i = 0; i < 2; i++) g[shifted][i] = input_get(&f.in[IN_Q], f.in[IN_Q].g, i + 2*(size_t)shifted);
        proof_check_identity(&f);
        proof_end(&f);
    }
    assert_true(g[0][0] == g[1][0] && g[0][1] == g[1][1] && g[0][0] != 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_method_and_record),
        cmocka_unit_test(saved_rows),
        cmocka_unit_test(parameters_further_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
