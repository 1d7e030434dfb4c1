/* SPDX-License-Identifier: MIT
 * recompute.c - the way back with few states: how many steps it makes again, in how much memory, and that nothing else
 * depends on it. With NDE_TEST_LONG 10^6 steps, without 10^4. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ring.h"
#include "solve/solver.h"

enum { DIM = 16, N_MOST = 5 };

typedef struct rig {
    nde_problem problem;
    nde_options options;
    nde_real y0[DIM*N_MOST], seed[DIM*N_MOST], p[1];
    /* out */
    nde_real gy[DIM*N_MOST], gp[1];
    int64_t recomputed;
    nde_solver *solver;
    nde_solution solution;
    /* its memory */
    unsigned char *block;
    size_t peak, now;
} rig;

static nde_field field;

static void make(rig *r, size_t n) {
    *r = (rig){ .p = { 1 } };
    field = ring_make(DIM, n, r->y0, r->seed);
    r->problem = NDE_INIT(nde_problem, .n = n, .t1 = 4, .y0 = r->y0, .p = r->p, .drift = &field);
    r->options = NDE_INIT(nde_options, .adjoint = NDE_ADJOINT_DISCRETE, .max_steps = NDE_ZERO);
}

static void run(rig *r) {
    assert_int_equal(nde_solver_create(&r->problem, &r->options, &r->solver), NDE_OK);
    const nde_status status = nde_solver_run(r->solver, &r->solution);
    if (status) fail_msg("%s", nde_solver_error(r->solver));
}

static void back(rig *r) {
    memset(r->gy, 0xff, sizeof r->gy), memset(r->gp, 0xff, sizeof r->gp);
    const nde_status status = nde_backward(r->solver, &(nde_seed){ .y_end = r->seed },
                                           &(nde_gradient){ .y0 = r->gy, .p = r->gp, .recomputed = &r->recomputed });
    if (status) fail_msg("%s", nde_solver_error(r->solver));
}

static void same_gradient(const rig *r, const rig *full) {
    assert_memory_equal(r->gy, full->gy, DIM*r->problem.n*sizeof *r->gy);
    assert_memory_equal(r->gp, full->gp, sizeof r->gp);
}

/* All states; nothing is made again. */
static void solve_fully(rig *r, size_t budget) {
    r->options.budget = budget, r->options.record = NDE_RECORD_STATES;
    run(r);
    assert_int_equal(r->solution.record, NDE_RECORD_STATES);
    back(r);
    assert_int_equal(r->recomputed, 0);
    nde_solver_destroy(r->solver);
}

/* As in solve/slots.c. */
static double optimum(double n, double slots) {
    double r = 0, reach = 1, sum = 1;
    while (reach < n + 1) r++, reach = reach*(slots + r)/r;
    for (double k = 1; k <= r - 1; k++) sum = sum*(slots + 1 + k)/k;
    return r*(n + 1) - sum - n;
}

/* Places for states in a record of one panel, at its end. */
static double slots_of(const rig *r) {
    const nde_record *record = &r->solver->panel[0].record;
    return (double)((record->size - record->used)/record->slots.bytes);
}

/* ---- fixed steps ---------------------------------------------------------------------------------------------------- */

static void known_steps_are_optimal(void **state) {
    (void)state;
    static rig r, full;
    long cases = 0, pieces = 0;
    for (size_t n = 1; n <= N_MOST; n += 4)
        for (int64_t steps = 1; steps <= 700; steps += 1 + steps*2/3) {
            make(&full, n);
            full.options.steps = steps, full.options.method = steps % 2 ? NDE_RK4 : NDE_DOPRI5;
            solve_fully(&full, (size_t)1 << 24);
            for (size_t slots = 1; slots < 70; slots += 1 + slots/2) {
                make(&r, n);
                r.options = full.options, r.options.record = 0;
                const size_t state_bytes = 16 + DIM*nde_leading_dimension(n, sizeof(nde_real))*sizeof(nde_real);
                r.options.budget = slots*state_bytes + 8*n*((size_t)steps + 2) + 200 + 64;
                run(&r);
                back(&r);
                same_gradient(&r, &full);
                if (r.solution.record == NDE_RECORD_CHECKPOINTS) {
                    const nde_slots *s = &r.solver->panel[0].record.slots;
                    assert_true(s->most >= slots && (double)s->most >= slots_of(&r) - 1);
                    /* the way back may have a slot more than the run knew of: what was the last step's room in the log */
                    assert_true((double)r.recomputed <= optimum((double)steps, (double)s->most));
                    if (s->apart) {
                        assert_int_equal(r.recomputed, 0);
                        pieces++;
                    } else if ((double)s->most == slots_of(&r)) {
                        assert_true((double)r.recomputed == optimum((double)steps, (double)s->most));
                        cases++;
                    }
                }
                const int64_t first = r.recomputed;
                back(&r); /* once more, from what is left */
                same_gradient(&r, &full);
                assert_true((first == 0) == (r.recomputed == 0) && r.recomputed >= first);
                nde_solver_destroy(r.solver);
            }
        }
    print_message("%ld pairs of steps and slots: as many steps again as the optimum; %ld: none, in pieces\n", cases, pieces);
    assert_true(cases > 50 && pieces > 3);
}

static long evaluations;
static int (*evaluate)(const nde_field *, const nde_site *, const nde_real *, nde_real *);
static int count_and_evaluate(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    evaluations++;
    return evaluate(self, at, y, dy);
}

/* Within the bytes of the root of n as states and as steps with their slopes: each step is made again once, and the slope
 * that a piece begins with, whether the steps are known before the run or not. */
static void no_step_is_repeated_twice(void **state) {
    (void)state;
    static rig r, full;
    for (size_t n = 1; n <= N_MOST; n += 4)
        for (int fixed = 0; fixed < 2; fixed++)
            for (size_t root = 4; root <= 60; root += 8) {
                make(&full, n);
                const size_t steps = root*root;
                full.options.method = NDE_BOSH3;
                if (fixed) full.options.steps = (int64_t)steps;
                else full.options.h_max = full.options.h0 = full.problem.t1/(double)steps, full.options.rtol = 1e-3,
                     full.options.stepping = NDE_STEP_JOINT;
                solve_fully(&full, (size_t)1 << 24);
                make(&r, n);
                r.options = full.options, r.options.record = 0;
                nde_needs needs = NDE_INIT(nde_needs, .bytes = 0);
                assert_int_equal(nde_plan(&r.problem, &r.options, &needs), NDE_OK);
                r.options.budget = root*(needs.state_bytes + needs.tape_bytes) + 16*n*steps + 4096;
                evaluate = field.eval, field.eval = count_and_evaluate;
                run(&r);
                const double made = (double)r.solution.stats[0].accepted;
                assert_true(r.solution.record == NDE_RECORD_STATES || r.solution.record == NDE_RECORD_CHECKPOINTS);
                for (int again = 0; again < 2; again++) {
                    evaluations = 0;
                    back(&r);
                    same_gradient(&r, &full);
                    assert_int_equal(r.recomputed, 0);
                    assert_true((double)evaluations <= made*3 + 2 + made/(double)(root < 16 ? root/2 : 15));
                }
                nde_solver_destroy(r.solver);
            }
}

/* ---- adaptive steps ------------------------------------------------------------------------------------------------- */

static bool is_long(void) { return getenv("NDE_TEST_LONG"); }

static void online(size_t steps, bool print) {
    static rig r, full;
    make(&full, 1);
    full.options.h_max = full.problem.t1/(double)steps, full.options.h0 = full.options.h_max;
    full.options.rtol = 1e-3, full.options.method = NDE_BOSH3;
    solve_fully(&full, steps*(DIM*sizeof(nde_real) + 40) + 4096);
    for (size_t slots = 10; slots <= 100; slots *= 10) {
        make(&r, 1);
        r.options = full.options, r.options.record = 0;
        r.options.budget = slots*DIM*sizeof(nde_real) + 8*steps;
        run(&r);
        back(&r);
        same_gradient(&r, &full);
        assert_true(r.solution.record_bytes <= r.options.budget);
        const double count = (double)r.solution.stats[0].accepted, best = optimum(count, slots_of(&r));
        if (print)
            print_message("%8.0f steps, %3zu states and 8 bytes a step (%.0f slots): %9lld steps again, %.3f of the optimum\n", count, slots,
                          slots_of(&r), (long long)r.recomputed, (double)r.recomputed/best);
        assert_true((double)r.recomputed <= 1.5*best);
        nde_solver_destroy(r.solver);
    }
}

/* 100 states and 8 bytes a step: the gradient of full storage. */
static void eight_bytes_a_step(void **state) {
    (void)state;
    for (size_t steps = 300; steps <= (is_long() ? 3000000u : 30000u); steps *= 10) online(steps/3, true);
}

/* ---- several lanes: their own times, refused steps, trajectories that come and go ------------------------------------- */

static void lanes(void **state) {
    (void)state;
    static rig r, full;
    for (int stepping = 0; stepping < 2; stepping++) {
        double t1[N_MOST] = { 4, 3, 4.5, 2, 4.2 };
        make(&full, N_MOST);
        if (!stepping) full.problem.t1_each = t1, full.problem.t1 = 0;
        full.options.stepping = stepping, full.options.rtol = 1e-9, full.options.h0 = 0.5;
        if (sizeof(nde_real) == 4) full.options.rtol = 3e-6, full.options.method = NDE_BOSH3;
        solve_fully(&full, (size_t)1 << 24);
        int seen = 0, repeated = 0;
        for (size_t budget = 1 << 18; budget > 2048; budget = budget*3/4) {
            make(&r, N_MOST);
            r.problem.t1 = full.problem.t1, r.problem.t1_each = full.problem.t1_each;
            r.options = full.options, r.options.record = 0, r.options.budget = budget;
            assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
            const nde_status status = nde_solver_run(r.solver, &r.solution);
            if (status == NDE_OK) {
                int64_t rejected = 0;
                for (size_t b = 0; b < N_MOST; b++) rejected += r.solution.stats[b].rejected;
                assert_true(rejected > 0);
                back(&r);
                same_gradient(&r, &full);
                const nde_record *record = &r.solver->panel[0].record;
                if (r.solution.record == NDE_RECORD_CHECKPOINTS) {
                    repeated += r.recomputed > 0;
                    /* a lane's time, or one for all, for each step of the block; what comes and goes */
                    assert_true(record->used <= 8*record->steps*(stepping ? 1 : N_MOST) + 1200);
                    seen++;
                }
            }
            nde_solver_destroy(r.solver);
            if (status != NDE_OK) break;
        }
        assert_true(seen > 5 && repeated > 2);
    }
}

/* ---- memory --------------------------------------------------------------------------------------------------------- */

enum { PAINT = 0xb7 };
static void *take(void *ctx, size_t bytes, size_t align) {
    rig *r = ctx;
    void *block = NULL;
    if (posix_memalign(&block, align < 64 ? 64 : align, bytes)) return NULL;
    memset(block, PAINT, bytes);
    r->block = block, r->now += bytes;
    if (r->now > r->peak) r->peak = r->now;
    return block;
}
static void give(void *ctx, void *block, size_t bytes) {
    rig *r = ctx;
    r->now -= bytes;
    free(block);
}

/* Replay kit R13: what the adjoint takes is the budget, for 10^3 steps and for 10^5, to the byte; and it makes use of it. */
static void peak_is_the_budget(void **state) {
    (void)state;
    static rig r;
    enum { BUDGET = 900032 }; /* a multiple of 64 */
    for (int fixed = 0; fixed < 2; fixed++) {
        size_t rest[2];
        for (int i = 0; i < 2; i++) {
            const size_t steps = i ? 100000 : 1000;
            make(&r, 1);
            const nde_allocator allocator = { .take = take, .give = give, .ctx = &r };
            r.options.allocator = &allocator, r.options.method = NDE_BOSH3, r.options.budget = BUDGET;
            if (fixed) r.options.steps = (int64_t)steps;
            else r.options.h_max = r.options.h0 = 4/(double)steps, r.options.rtol = 1e-3;
            nde_needs needs = NDE_INIT(nde_needs, .bytes = 0);
            assert_int_equal(nde_plan(&r.problem, &r.options, &needs), NDE_OK);
            run(&r);
            back(&r);
            assert_true((double)r.solution.stats[0].accepted >= (double)steps);
            assert_true(r.solution.record_bytes <= BUDGET && (r.recomputed > 0) == i);
            assert_int_equal(r.peak, needs.workspace_bytes + BUDGET);
            rest[i] = r.peak - BUDGET;
            /* what no state was written to is less than one */
            const nde_record *record = &r.solver->panel[0].record;
            size_t free_bytes = 0;
            for (size_t k = 0; k < record->size; k++) free_bytes += record->base[k] == PAINT;
            if (i) assert_true(free_bytes < 2*record->slots.bytes + record->size/100);
            nde_solver_destroy(r.solver);
            assert_int_equal(r.now, 0);
        }
        assert_int_equal(rest[0], rest[1]);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_steps_are_optimal),
        cmocka_unit_test(no_step_is_repeated_twice),
        cmocka_unit_test(eight_bytes_a_step),
        cmocka_unit_test(lanes),
        cmocka_unit_test(peak_is_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
