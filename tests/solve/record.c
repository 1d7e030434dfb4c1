/* SPDX-License-Identifier: MIT
 * record.c - a gradient has the same bits whatever the record keeps: tape, stages, states, checkpoints, and checkpoints in ever
 * smaller budgets, down to the one that is refused. */
#include "adjoint/cases.h"

enum { PLENTY = 1 << 29 };
static const char *const form_names[] = { "none", "tape", "stages", "states", "checkpoints" };

/* Runs the proof in one form and budget and compares. The status of the run. */
static nde_status again(proof *f, const proof_copy *base, int form, size_t budget, const char *name) {
    f->options.record = form, f->options.budget = budget;
    proof_create(f);
    nde_status status = proof_run(f);
    for (size_t b = 0; b < f->n && status == NDE_E_LANES; b++) /* other groups may have had room */
        if (f->solution.status[b] == NDE_E_BUDGET) status = NDE_E_BUDGET;
    if (status == NDE_E_BUDGET) {
        const nde_seed seed = proof_seeds(f);
        const nde_gradient gradient = proof_gradient(f);
        assert_int_equal(nde_backward(f->solver, &seed, &gradient), NDE_E_ARG);
        return status;
    }
    if (status != NDE_OK) fail_msg("%s, %s, %zu bytes: %s", name, form_names[form], budget, nde_solver_error(f->solver));
    assert_true(f->solution.record >= form && f->solution.record_bytes <= budget);
    for (int k = 0; k < INPUTS; k++)
        if (f->in[k].count) memset(f->in[k].g, 0xff, base->bytes[k]);
    proof_backward(f);
    const char *differs = proof_differs(f, base);
    if (differs)
        fail_msg("%s, begun as %s in %zu bytes, ended as %s: other bits in %s", name, form_names[form], budget,
                 form_names[f->solution.record], differs);
    return status;
}

static void check(proof *f, const char *name) {
    f->options.budget = PLENTY;
    proof_solve(f);
    assert_int_equal(f->solution.record, NDE_RECORD_TAPE);
    const size_t full = f->solution.record_bytes;
    const proof_copy base = proof_keep(f);
    bool seen[5] = { false };
    for (int form = NDE_RECORD_TAPE; form <= NDE_RECORD_CHECKPOINTS; form++)
        assert_int_equal(again(f, &base, form, PLENTY, name), NDE_OK);
    nde_status status = NDE_OK;
    for (size_t budget = full; status == NDE_OK; budget = budget*7/8) {
        status = again(f, &base, NDE_RECORD_TAPE, budget, name);
        if (status == NDE_OK) seen[f->solution.record] = true;
    }
    assert_int_equal(status, NDE_E_BUDGET);
    assert_true(seen[NDE_RECORD_CHECKPOINTS]);
    f->options.budget = PLENTY;
    proof_solve(f);
    proof_check_identity(f);
}

static void forms_have_equal_bits(void **state) {
    (void)state;
    for (int which = 0; which < CASES; which++)
        for (int fixed = 0; fixed < 2; fixed++) {
            proof f;
            case_make(which, &f, fixed ? 32 : 0, which % 2 != fixed);
            check(&f, case_names[which]);
            proof_end(&f);
        }
}

static void networks_too(void **state) {
    (void)state;
    for (size_t n = 1; n <= 150; n += 149) {
        proof f;
        case_network(&f, 0, n);
        check(&f, "network");
        proof_end(&f);
    }
}

/* Jumps and knots while lanes come and go: every trajectory has its own span and its own number of steps. */
static void lanes_that_move(void **state) {
    (void)state;
    for (int which = CASE_CONTROLLED; which <= CASE_DOSES; which += CASE_DOSES - CASE_CONTROLLED)
        for (int backwards = 0; backwards < 2; backwards++) {
            proof f;
            case_make(which, &f, 0, which == CASE_DOSES);
            proof_resize(&f, 150);
            proof_spans(&f, 0.15, 0.15, 1.3, 0.7);
            if (backwards) {
                const double *t0 = f.problem.t0_each;
                f.problem.t0_each = f.problem.t1_each, f.problem.t1_each = t0;
                const proof_input in = f.in[IN_T0];
                f.in[IN_T0] = f.in[IN_T1], f.in[IN_T1] = in;
                double *jump = f.in[IN_JUMP_T].x;
                for (size_t i = 0; jump && i < f.problem.n_jumps; i++)
                    jump[i] = (double[]){ 1.625, 1, 0.5 }[i];
            }
            check(&f, backwards ? "lanes that move, backwards" : "lanes that move");
            proof_end(&f);
        }
}

/* Saves of every third step, and of none but the end. */
static void every_way_to_save(void **state) {
    (void)state;
    for (int every = 0; every < 2; every++)
        for (int which = 0; which < CASES; which++) {
            proof f;
            case_make(which, &f, 0, false);
            proof_no_saves(&f);
            f.options.save_every = every ? 3 : 0;
            f.options.save_rows = every && !f.options.steps ? 150 : 0;
            proof_solve(&f);
            proof_check_identity(&f);
            const proof_copy base = proof_keep(&f);
            assert_int_equal(again(&f, &base, NDE_RECORD_CHECKPOINTS, PLENTY, case_names[which]), NDE_OK);
            proof_end(&f);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forms_have_equal_bits),
        cmocka_unit_test(networks_too),
        cmocka_unit_test(lanes_that_move),
        cmocka_unit_test(every_way_to_save),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
