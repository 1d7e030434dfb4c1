/* SPDX-License-Identifier: MIT
 * numbers.c - numbers at the ends of their range: denormal, negative zero, huge and mixed states, other floating-point
 * environments, traps, and counters that have counted very far. */
#include "rig.h"

#include <fenv.h>
#include <limits.h>
#include <signal.h>
#if defined(__SSE2__)
#include <xmmintrin.h>
#endif

#include "solve/solver.h"

/* ---- N7 ----------------------------------------------------------------------------------------------------------- */

enum { DENORMAL, NEGATIVE_ZERO, HUGE_ONES, MIXTURES, FILLS_OF_STATES };

static nde_real odd_number(int fill, size_t i) {
    const nde_real tiny = sizeof(nde_real) == 4 ? (nde_real)1e-45 : (nde_real)5e-324,
                   huge = sizeof(nde_real) == 4 ? (nde_real)3e38 : (nde_real)1e308, sign = i % 2 ? -1 : 1;
    const nde_real mixture[] = { tiny, (nde_real)-0.0, huge, 1, -tiny, -huge, (nde_real)1e-30, (nde_real)1e30 };
    switch (fill) {
    case DENORMAL: return sign*tiny*(nde_real)(1 + i % 5);
    case NEGATIVE_ZERO: return (nde_real)-0.0;
    case HUGE_ONES: return sign*huge;
    default: return mixture[(i*5 + 3) % LENGTH(mixture)];
    }
}

static bool is_status(int status) { return strcmp(nde_status_name(status), "?") != 0; }

static long solves;

/* Whatever the numbers: an end within max_steps, with a status of the list, finite accepted states, the environment as it
 * was. */
static void end_well(rig *r, int fill) {
    enum { ENOUGH = 300 };
    for (size_t i = 0; i < LENGTH(r->y0); i++) r->y0[i] = odd_number(fill, i);
    if (r->options.steps == 0) r->options.max_steps = ENOUGH;
    assert_int_equal(nde_solver_create(&r->problem, &r->options, &r->solver), NDE_OK);
    const nde_status status = nde_solver_run(r->solver, &r->solution);
    solves++;
    assert_true(is_status(status));
    for (size_t b = 0; b < r->n; b++) {
        const nde_stats *s = &r->solution.stats[b];
        assert_true(is_status(r->solution.status[b]));
        assert_true(s->accepted + s->rejected <= ENOUGH);
        assert_true(r->solution.status[b] != NDE_OK || r->solution.t_end[b] == r->problem.t1);
    }
    assert_true(states_are_finite(&r->solution));
    if (status == NDE_OK) {
        const nde_status back = nde_backward(r->solver, &r->seed, &r->gradient);
        assert_true(back == NDE_OK || back == NDE_E_NONFINITE || back == NDE_E_FIELD);
    }
    nde_solver_destroy(r->solver);
}

static void each_odd_state(bool every_method) {
    static rig r;
    for (size_t m = 0; m < nde_method_count(); m++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int bits = 0; bits < 4; bits++)
                for (int fill = 0; fill < FILLS_OF_STATES; fill++) {
                    if ((bits & 1 && bits & 2) || (!every_method && !rig_is_new(m))) continue;
                    rig_make(&r, kind, bits & 2 ? 5 : 1 + (size_t)fill);
                    if (!rig_method(&r, nde_method_at(m), bits & 1)) continue;
                    r.options.stepping = bits & 2 ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
                    r.options.adjoint = NDE_ADJOINT_DISCRETE;
                    end_well(&r, fill);
                }
}

static void odd_states(void **state) {
    (void)state;
    each_odd_state(true);
    print_message("N7: %ld solves from odd states\n", solves);
}

static void other_environments(void **state) {
    (void)state;
    static const int modes[] = { FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };
    for (size_t i = 0; i < LENGTH(modes); i++) {
        fesetround(modes[i]);
        each_odd_state(false);
        assert_int_equal(fegetround(), modes[i]);
    }
    fesetround(FE_TONEAREST);
#if defined(__SSE2__)
    const unsigned usual = _mm_getcsr();
    _mm_setcsr(usual | 0x8040); /* flush to zero, denormals are zero */
    each_odd_state(false);
    assert_int_equal(_mm_getcsr() & 0x8040, 0x8040);
    _mm_setcsr(usual);
#endif
}

/* ---- N8 ----------------------------------------------------------------------------------------------------------- */

static sigjmp_buf trap;
static void trapped(int number) { (void)number, siglongjmp(trap, 1); }

/* Healthy problems raise nothing. Blocks are full: in kernels, which do not know of traps, lanes that pad a block may. */
static void healthy_problems_do_not_trap(void **state) {
    (void)state;
    static rig r;
    volatile long traps = 0, count = 0;
    struct sigaction on = { .sa_handler = trapped }, before;
    sigaction(SIGFPE, &on, &before);
    for (volatile size_t m = 0; m < nde_method_count(); m++)
        for (volatile int kind = 0; kind < KINDS; kind++)
            for (volatile int bits = 0; bits < 16; bits++) {
                if ((bits & 1) && (bits & 2)) continue;
                if ((bits & 4) && !(bits & 3)) continue; /* lanes end at different steps */
                rig_make(&r, kind, bits & 4 ? 16 : 1);
                if (!rig_method(&r, nde_method_at(m), bits & 1)) continue;
                r.options.stepping = bits & 2 ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
                r.options.isa = bits & 8 ? NDE_ISA_BASELINE : NDE_ISA_AUTO;
                r.options.adjoint = NDE_ADJOINT_DISCRETE;
                r.solver = NULL;
                count++;
                if (sigsetjmp(trap, 1)) {
                    print_message("%s, %s, %d: a trap\n", nde_method_name(nde_method_at(m)), kind_names[kind], bits);
                    traps++;
                } else {
                    feclearexcept(FE_ALL_EXCEPT);
                    feenableexcept(FE_INVALID | FE_DIVBYZERO | FE_OVERFLOW);
                    nde_status status = nde_solver_create(&r.problem, &r.options, &r.solver);
                    if (!status) status = nde_solver_run(r.solver, &r.solution);
                    if (!status) status = nde_backward(r.solver, &r.seed, &r.gradient);
                    if (!status) status = nde_forward(r.solver, &r.direction, &r.tangent);
                    fedisableexcept(FE_ALL_EXCEPT);
                    assert_int_equal(status, NDE_OK);
                }
                fedisableexcept(FE_ALL_EXCEPT);
                nde_solver_destroy(r.solver);
            }
    sigaction(SIGFPE, &before, NULL);
    print_message("N8: %ld healthy problems, %ld traps\n", count, traps);
    assert_int_equal(traps, 0);
}

/* ---- N9 ----------------------------------------------------------------------------------------------------------- */

/* A solve that has counted `more` of everything when it is at its third step. */
static void count_from(rig *r, int64_t more) {
    enum { SOME = 1 << 20 };
    static unsigned char block[SOME];
    const int64_t accepted[2] = { r->solution.stats[0].accepted, r->solution.stats[0].rejected };
    const int64_t evals = r->solution.stats[0].evals;
    nde_real end[4];
    memcpy(end, r->solution.y_end, r->solution.dim*sizeof *end);
    assert_int_equal(nde_solver_steps(r->solver, 3, NULL), NDE_UNFINISHED);
    nde_panel *p = &r->solver->panel[0];
    p->accepted[0] += more, p->rejected[0] += more, p->evals[0] += more;
    p->live->attempts += more, p->live->accepted += more, p->live->lane_attempts += more, p->live->lane_room += more;
    const bool far = more > (int64_t)1 << 47;
    size_t bytes = sizeof block;
    assert_int_equal(nde_solver_state(r->solver, block, &bytes), NDE_OK);
    assert_int_equal(nde_solver_restore(r->solver, block, bytes), far ? NDE_E_ARG : NDE_OK);
    if (far) return;
    assert_int_equal(nde_solver_steps(r->solver, INT64_MAX, &r->solution), NDE_OK);
    const nde_stats *s = &r->solution.stats[0];
    const int64_t each = (s->evals - evals - more)/(2*more);
    assert_true(s->accepted == accepted[0] + more && s->rejected == accepted[1] + more);
    assert_true(s->evals == evals + more + 2*each*more && each >= 1 && each < 20);
    assert_memory_equal(end, r->solution.y_end, r->solution.dim*sizeof *end);
}

static void counters_count_far(void **state) {
    (void)state;
    static rig r;
    static const int64_t far[] = { ((int64_t)1 << 31) - 3, ((int64_t)1 << 31) + 1, ((int64_t)1 << 32) - 3, ((int64_t)1 << 46),
                                   ((int64_t)1 << 53) - 3, INT64_MAX - 1000 };
    for (int kind = 0; kind < KINDS; kind++)
        for (size_t i = 0; i < LENGTH(far); i++) {
            if (kind == NOISE || kind == SCALAR_NOISE || kind == SPLIT) continue;
            rig_make(&r, kind, 1);
            r.options.max_steps = NDE_ZERO, r.options.h_max = 0.05;
            assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
            assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
            count_from(&r, far[i]);
            nde_solver_destroy(r.solver);
        }
}

static void limits_are_large(void **state) {
    (void)state;
    static rig r;
    static const int64_t far[] = { ((int64_t)1 << 31) - 1, (int64_t)1 << 32, ((int64_t)1 << 53) + 1, INT64_MAX };
    for (size_t i = 0; i < LENGTH(far); i++) {
        rig_make(&r, EVERYTHING, 3);
        r.options.max_steps = r.options.max_evals = far[i];
        assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
        assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
        const uint64_t good = hash_solution(&r.solution);
        assert_int_equal(nde_solver_steps(r.solver, 2, &r.solution), NDE_UNFINISHED); /* and from there on */
        assert_int_equal(nde_solver_steps(r.solver, far[i], &r.solution), NDE_OK);
        assert_true(hash_solution(&r.solution) == good);
        nde_solver_destroy(r.solver);

        rig_make(&r, PLAIN, 1); /* that many fixed steps, of which the first ones are made */
        r.problem.t1 = 1e18;
        r.options.steps = far[i], r.options.save_t = NULL, r.options.n_save = 0;
        assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
        const nde_status status = nde_solver_steps(r.solver, 1, &r.solution);
        assert_true(status == NDE_UNFINISHED || status == NDE_E_NONFINITE || status == NDE_E_STEPSIZE);
        nde_solver_destroy(r.solver);

        rig_make(&r, PLAIN, 1); /* rows without number are refused, not wrapped */
        r.options.save_t = NULL, r.options.n_save = 0, r.options.save_every = 1, r.options.steps = far[i];
        const nde_status refused = nde_solver_create(&r.problem, &r.options, &r.solver);
        if (refused == NDE_OK) nde_solver_destroy(r.solver); /* where memory is only granted */
        assert_true(refused == NDE_E_SIZE || refused == NDE_E_NOMEM || (refused == NDE_OK && far[i] <= INT_MAX));
        rig_make(&r, PLAIN, 1);
        r.options.save_t = NULL, r.options.n_save = 0, r.options.save_every = far[i];
        assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
        assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
        assert_int_equal(r.solution.saved[0], 2);
        nde_solver_destroy(r.solver);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(odd_states),         cmocka_unit_test(other_environments),
            cmocka_unit_test(healthy_problems_do_not_trap),
        cmocka_unit_test(counters_count_far), cmocka_unit_test(limits_are_large),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
