/* SPDX-License-Identifier: MIT
 * budget.c - a record of any size trains the same, to the bit; one that is too small says so; saved states may come back
 * damaged. */
#include "rig.h"

/* ---- a neural ODE, trained on a spiral ---------------------------------------------------------------------------- */

enum { N = 64, ROWS = 8, HIDDEN = 32, NP = 2*HIDDEN + HIDDEN + HIDDEN*HIDDEN + HIDDEN + 2*HIDDEN + 2, ITERATIONS = 200 };

typedef struct training {
    size_t budget;
    int stepping, threads, record;
    /* out */
    nde_real p[NP];
    double loss, first_loss;
    int forms;
    size_t record_bytes;
} training;

static void train(training *t) {
    static const size_t width[] = { 2, HIDDEN, HIDDEN, 2 };
    static nde_real y0[2*N], data[ROWS*2*N], seed_y[ROWS*2*N], gradient[NP];
    static double state[2*NP], save_t[ROWS];
    const nde_mlp mlp = NDE_INIT(nde_mlp, .layers = 3, .width = width);
    const nde_field field = nde_field_mlp(&mlp);
    assert_int_equal(field.np, NP);
    assert_int_equal(nde_mlp_init(&mlp, NDE_GLOROT_UNIFORM, 7, t->p), NDE_OK);
    for (size_t b = 0; b < N; b++) y0[b] = (nde_real)rig_number(b), y0[N + b] = (nde_real)(rig_number(b + 100) - 0.5);
    for (size_t row = 0; row < ROWS; row++) {
        const double time = save_t[row] = 0.25*(double)(row + 1), c = exp(-0.3*time)*cos(2*time),
            s = exp(-0.3*time)*sin(2*time);
        for (size_t b = 0; b < N; b++) {
            data[(2*row)*N + b] = (nde_real)(c*(double)y0[b] - s*(double)y0[N + b]);
            data[(2*row + 1)*N + b] = (nde_real)(s*(double)y0[b] + c*(double)y0[N + b]);
        }
    }
    const nde_problem problem = NDE_INIT(nde_problem, .n = N, .t1 = save_t[ROWS - 1], .y0 = y0, .p = t->p, .drift = &field);
    const nde_options options = NDE_INIT(nde_options, .rtol = 1e-4, .atol = 1e-5, .save_t = save_t, .n_save = ROWS,
                                         .adjoint = NDE_ADJOINT_DISCRETE, .budget = t->budget, .stepping = t->stepping,
                                         .threads = t->threads, .record = t->record, .group = 16);
    nde_optimiser adam = NDE_INIT(nde_optimiser, .rate = 0.01, .state = state);
    nde_solver *solver;
    nde_solution solution = { .size = 0 };
    assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_OK);
    t->forms = 0, t->record_bytes = 0;
    for (int i = 0; i < ITERATIONS; i++) {
        const nde_status status = nde_solver_run(solver, &solution);
        if (status) fail_msg("iteration %d: %s", i, nde_solver_error(solver));
        t->forms |= 1 << solution.record;
        if (solution.record_bytes > t->record_bytes) t->record_bytes = solution.record_bytes;
        assert_true(solution.record_bytes <= t->budget);
        assert_int_equal(nde_loss_mse(&solution, data, NULL, &t->loss, seed_y), NDE_OK);
        if (i == 0) t->first_loss = t->loss;
        assert_int_equal(nde_backward(solver, &(nde_seed){ .y = seed_y }, &(nde_gradient){ .p = gradient }), NDE_OK);
        assert_int_equal(nde_optimiser_step(&adam, NP, gradient, t->p), NDE_OK);
    }
    nde_solver_destroy(solver);
}

static void every_budget_trains_the_same(void **state) {
    (void)state;
    static const char *const forms[] = { "none", "tape", "stages", "states", "checkpoints" };
    for (int stepping = 0; stepping < 2; stepping++) {
        training large = { .budget = (size_t)1 << 30, .stepping = stepping };
        train(&large);
        assert_int_equal(large.forms, 1 << NDE_RECORD_TAPE);
        assert_true(large.record_bytes > (size_t)5 << 18); /* a megabyte is not enough for the tape */
        assert_true(large.loss < 0.2*large.first_loss);
        const struct { size_t budget; int threads, record; } others[] = {
            { (size_t)1 << 20, 1, 0 }, { (size_t)1 << 20, 2, 0 }, { (size_t)1 << 17, 1, 0 },
                { 12000 + 1500*sizeof(nde_real), 1, 0 },
            { (size_t)1 << 30, 1, NDE_RECORD_STATES }, { (size_t)1 << 20, 2, NDE_RECORD_CHECKPOINTS },
        };
        int seen = large.forms;
        for (size_t i = 0; i < LENGTH(others); i++) {
            training small = { .budget = others[i].budget, .stepping = stepping, .threads = others[i].threads,
                               .record = others[i].record };
            train(&small);
            if (i == 0) assert_true(small.forms & ~(1 << NDE_RECORD_TAPE));
            assert_memory_equal(small.p, large.p, sizeof small.p);
            assert_true(small.loss == large.loss);
            seen |= small.forms;
            for (int form = 1; form <= NDE_RECORD_CHECKPOINTS; form++)
                if (small.forms & 1 << form)
                    print_message("%zu bytes, %d threads: %s\n", small.budget, others[i].threads, forms[form]);
        }
        assert_true(seen & 1 << NDE_RECORD_STATES && seen & 1 << NDE_RECORD_CHECKPOINTS);
        print_message("%d iterations, %s: loss %g to %g with every budget, the same bits\n", ITERATIONS,
                      stepping ? "joint" : "independent", large.first_loss, large.loss);
    }
}

/* From one byte up: too small is NDE_E_BUDGET with the solution complete or up to where the record was lost; else the gradient
 * has the same bits. */
static void budgets_that_are_too_small(void **state) {
    (void)state;
    static rig r;
    long small = 0, enough = 0;
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t n = 1; n <= 3; n += 2) {
            uint64_t good = 0, gradient = 0;
            for (size_t budget = (size_t)1 << 20; budget; budget = budget > 4096 ? budget/2 : budget > 64 ? budget -
                 64 : budget/4) {
                rig_make(&r, kind, n);
                if (kind == NOISE || kind == SCALAR_NOISE || kind == SPLIT) r.options.steps = 40;
                else r.options.h_max = 0.025;
                r.options.adjoint = NDE_ADJOINT_DISCRETE, r.options.budget = budget;
                assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
                const nde_status status = nde_solver_run(r.solver, &r.solution);
                assert_true(states_are_finite(&r.solution));
                fill_written(&r, 0x11);
                const uint64_t before = hash_written(&r);
                if (status == NDE_OK) {
                    assert_int_equal(nde_backward(r.solver, &r.seed, &r.gradient), NDE_OK);
                    assert_int_equal(nde_forward(r.solver, &r.direction, &r.tangent), NDE_OK);
                    if (!good) good = hash_solution(&r.solution), gradient = hash_written(&r);
                    assert_true(hash_solution(&r.solution) == good);
                    assert_true(hash_written(&r) == gradient);
                    enough++;
                } else {
                    assert_int_equal(status, NDE_E_BUDGET);
                    assert_non_null(strstr(nde_solver_error(r.solver), "budget"));
                    assert_int_equal(nde_backward(r.solver, &r.seed, &r.gradient), NDE_E_ARG);
                    assert_true(hash_written(&r) == before);
                    small++;
                }
                nde_solver_destroy(r.solver);
            }
        }
    assert_true(small >= KINDS && enough >= 10*KINDS);
    print_message("%ld budgets are too small and say so, %ld give the same gradient\n", small, enough);
}

/* ---- saved states ------------------------------------------------------------------------------------------------- */

/* A solver with an adjoint, restored and run to its end: no record, and no complaint of it. */
static void restored_without_a_record(void **state) {
    (void)state;
    static rig r;
    rig_make(&r, JUMPS, 3);
    r.options.adjoint = NDE_ADJOINT_DISCRETE;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
    assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
    const uint64_t good = hash_solution(&r.solution);
    assert_int_equal(nde_solver_steps(r.solver, 5, &r.solution), NDE_UNFINISHED);
    size_t bytes;
    assert_int_equal(nde_solver_state(r.solver, NULL, &bytes), NDE_OK);
    void *block = malloc(bytes);
    assert_int_equal(nde_solver_state(r.solver, block, &bytes), NDE_OK);
    assert_int_equal(nde_solver_restore(r.solver, block, bytes), NDE_OK);
    nde_status status;
    while ((status = nde_solver_steps(r.solver, 3, &r.solution)) == NDE_UNFINISHED) continue;
    assert_int_equal(status, NDE_OK);
    assert_true(hash_solution(&r.solution) == good);
    assert_int_equal(nde_backward(r.solver, &r.seed, &r.gradient), NDE_E_ARG);
    assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
    assert_int_equal(nde_backward(r.solver, &r.seed, &r.gradient), NDE_OK);
    free(block);
    nde_solver_destroy(r.solver);
}

/* Bits flipped, bytes replaced, blocks cut: refused, or run to some end, without a fault; then the solver is as new. */
static void damaged_states(void **state) {
    (void)state;
    static rig r;
    long refused = 0, accepted = 0;
    uint64_t random = 88172645463325252u;
    static const int kinds[] = { PLAIN, EVERYTHING, NETWORK, NOISE };
    for (size_t k = 0; k < LENGTH(kinds); k++) {
        rig_make(&r, kinds[k], 5);
        if (kinds[k] == NOISE) r.options.steps = 8;
        r.options.max_steps = 200;
        assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
        assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
        const uint64_t good = hash_solution(&r.solution);
        assert_int_equal(nde_solver_steps(r.solver, 3, &r.solution), NDE_UNFINISHED);
        size_t bytes;
        assert_int_equal(nde_solver_state(r.solver, NULL, &bytes), NDE_OK);
        unsigned char *block = malloc(bytes), *copy = malloc(bytes);
        assert_int_equal(nde_solver_state(r.solver, block, &bytes), NDE_OK);
        for (long i = 0; i < 20000; i++) {
            random ^= random << 13, random ^= random >> 7, random ^= random << 17;
            memcpy(copy, block, bytes);
            const size_t at = (size_t)(random >> 16) % bytes;
            if (random & 1) copy[at] ^= (unsigned char)(1u << (random >> 1 & 7));
            else memset(copy + at/8*8, random & 2 ? 0xff : 0x7f, bytes - at/8*8 < 8 ? bytes - at/8*8 : 8);
            const nde_status status = nde_solver_restore(r.solver, copy, i % 97 ? bytes : at);
            if (status) {
                assert_int_equal(status, NDE_E_ARG);
                refused++;
            } else {
                accepted++;
                for (int steps = 0; steps < 300; steps++) {
                    const nde_status next = nde_solver_steps(r.solver, 10, &r.solution);
                    if (next != NDE_UNFINISHED) break;
                }
            }
            if (i % 100) continue;
            assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
            assert_true(hash_solution(&r.solution) == good);
        }
        free(block), free(copy);
        nde_solver_destroy(r.solver);
    }
    print_message("%ld damaged states refused, %ld taken for others\n", refused, accepted);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_budget_trains_the_same),
        cmocka_unit_test(budgets_that_are_too_small),
        cmocka_unit_test(restored_without_a_record),
        cmocka_unit_test(damaged_states),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
