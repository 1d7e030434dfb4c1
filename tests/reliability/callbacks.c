/* SPDX-License-Identifier: MIT
 * callbacks.c - every call of every callback fails, the ways to fail taking turns (each in every way with NDE_TEST_LONG).
 * Whatever it returns or writes, the status is the documented one, states are accepted ones and finite, and the solver, run
 * again, gives the bits of a new one. */
#include "rig.h"

#include <errno.h>
#include <fenv.h>
#include <limits.h>

static long injected; /* solves and sweeps with one failure */

/* Of so many ways to fail, is way i one for call k? One is, in turn; all with NDE_TEST_LONG. */
static bool is_its_turn(long k, size_t i, size_t ways) { return (size_t)k % ways == i || getenv("NDE_TEST_LONG"); }

/* ---- the healthy run --------------------------------------------------------------------------------------------- */

enum { MOST_STATES = 400 };

/* A plan, its healthy result, and every state that it accepts on the way. */
typedef struct healthy {
    rig r;
    const nde_method *method;
    bool fixed, joint;
    uint64_t forward, backward;
    long calls[ROLES][CALLS], calls_forward[ROLES][CALLS], calls_backward[ROLES][CALLS];
    nde_real end[4];
    size_t states, forced; /* forced: times at which slope 0 is made anew */
    double t[MOST_STATES];
    nde_real y[MOST_STATES][4];
} healthy;

static void note_calls(healthy *h, long calls[ROLES][CALLS]) {
    for (int r = 0; r < ROLES; r++)
        for (int c = 0; c < CALLS; c++) calls[r][c] = atomic_load(&h->r.bad.calls[r][c]);
    saboteur_reset(&h->r.bad);
}

static void note_state(healthy *h, double t, const nde_real *y) {
    assert_true(h->states < MOST_STATES);
    h->t[h->states] = t;
    memcpy(h->y[h->states++], y, h->r.field[DRIFT].dim*sizeof *y);
}

/* States before jumps stand in the rows of save_every, states after them where a run pauses. */
static void note_states(healthy *h) {
    static rig r;
    const size_t dim = h->r.field[DRIFT].dim;
    note_state(h, h->r.problem.t0, h->r.y0);
    for (int pass = 0; pass < 2; pass++) {
        rig_make(&r, h->r.kind, 1);
        rig_method(&r, h->method, h->fixed);
        r.options.stepping = h->joint ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
        if (pass == 0) r.options.save_t = NULL, r.options.n_save = 0, r.options.save_every = 1, r.problem.observe = NULL;
        assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
        nde_status status = NDE_UNFINISHED;
        while (status == NDE_UNFINISHED) {
            status = pass ? nde_solver_steps(r.solver, 1, &r.solution) : nde_solver_run(r.solver, &r.solution);
            if (pass) note_state(h, r.solution.t_end[0], r.solution.y_end);
        }
        assert_int_equal(status, NDE_OK);
        for (size_t row = 0; !pass && row < r.solution.saved[0]; row++)
            note_state(h, r.solution.t[row], r.solution.y + row*dim);
        nde_solver_destroy(r.solver);
    }
}

static bool was_accepted(const healthy *h, const nde_solution *s) {
    for (size_t i = 0; i < h->states; i++)
        if (h->t[i] == s->t_end[0] && !memcmp(h->y[i], s->y_end, s->dim*sizeof *s->y_end)) return true;
    return false;
}

/* False: the method does not fit the kind. */
static bool heal(healthy *h, int kind, const nde_method *method, bool fixed, bool joint) {
    memset(h, 0, sizeof *h);
    rig_make(&h->r, kind, 1);
    if (!rig_method(&h->r, method, fixed)) return false;
    h->method = method, h->fixed = fixed, h->joint = joint;
    h->r.options.stepping = joint ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
    h->r.options.adjoint = NDE_ADJOINT_DISCRETE;
    if (kind == JUMPS || kind == EVERYTHING) h->forced += N_JUMPS;
    if (kind == PATH || kind == EVERYTHING)
        for (size_t i = 0; i < KNOTS; i++) h->forced += h->r.path_t[i] > 0 && h->r.path_t[i] < 1;
    note_states(h);
    assert_int_equal(nde_solver_create(&h->r.problem, &h->r.options, &h->r.solver), NDE_OK);
    fill_written(&h->r, 0);
    saboteur_reset(&h->r.bad);
    assert_int_equal(nde_solver_run(h->r.solver, &h->r.solution), NDE_OK);
    note_calls(h, h->calls);
    assert_int_equal(nde_backward(h->r.solver, &h->r.seed, &h->r.gradient), NDE_OK);
    note_calls(h, h->calls_backward);
    assert_int_equal(nde_forward(h->r.solver, &h->r.direction, &h->r.tangent), NDE_OK);
    note_calls(h, h->calls_forward);
    h->forward = hash_solution(&h->r.solution);
    h->backward = hash_written(&h->r);
    memcpy(h->end, h->r.solution.y_end, h->r.field[DRIFT].dim*sizeof *h->end);
    return true;
}

/* C11: the solver, run again, gives the same bits as before. */
static void check_recovery(healthy *h) {
    saboteur_rest(&h->r.bad);
    assert_int_equal(nde_solver_run(h->r.solver, &h->r.solution), NDE_OK);
    assert_true(hash_solution(&h->r.solution) == h->forward);
}

/* Is it called once a step has been accepted? */
static bool is_late(int role) { return role == JUMP || role == OBSERVE; }

/* Rows inside a joint step that is accepted: the extension's own stages are evaluated a second time. */
static bool is_again(const healthy *h) { return h->joint && h->r.problem.observe && h->method->dense_stages; }

static nde_status run_injected(healthy *h) {
    injected++;
    return nde_solver_run(h->r.solver, &h->r.solution);
}

static double distance(const healthy *h) { /* in units of the tolerance */
    double most = 0;
    const nde_options *o = &h->r.options;
    const double rtol = o->rtol > 0 ? o->rtol : sizeof(nde_real) == 4 ? 1e-4 : 1e-6;
    const double atol = o->atol > 0 ? o->atol : sizeof(nde_real) == 4 ? 1e-6 : 1e-9;
    for (size_t i = 0; i < h->r.field[DRIFT].dim; i++) {
        const double d = fabs((double)h->r.solution.y_end[i] - (double)h->end[i])/(atol + rtol*fabs((double)h->end[i]));
        if (!(d <= most)) most = d;
    }
    return most;
}

#define EXPECT(condition) \
    do { \
        if (!(condition)) \
            fail_msg("%s, %s%s%s, role %d call %ld, code %d, value %g in component %zu: not %s; status %s, text %s", \
                     nde_method_name(h->method), kind_names[h->r.kind], h->fixed ? ", fixed" : "", h->joint ? ", joint" : "", \
                     h->r.bad.role, h->r.bad.at, h->r.bad.code, (double)h->r.bad.value, h->r.bad.component, #condition, \
                     nde_status_name(status), h->r.solution.error ? h->r.solution.error : "none"); \
    } while (0)

/* What is true after any run. */
static void check_always(const healthy *h, nde_status status) {
    const nde_solution *s = &h->r.solution;
    EXPECT(states_are_finite(s));
    EXPECT(status == s->status[0]);
    EXPECT((status < 0) == (s->error != NULL));
    EXPECT(status < 0 || nde_solver_error(h->r.solver)[0] == 0);
    EXPECT(status != NDE_OK || s->t_end[0] == h->r.problem.t1);
    if (status < 0) {
        EXPECT(strstr(s->error, "trajectory 0: ") == s->error);
        EXPECT(strstr(s->error, nde_status_text(status)));
        EXPECT(strcmp(s->error, nde_solver_error(h->r.solver)) == 0);
        EXPECT(s->stats[0].t_fail == s->t_end[0]);
    }
}

/* Calls EACH with every call of every field's eval, method and kind. */
static void each_call(void (*each)(healthy *h)) {
    static healthy h;
    for (size_t m = 0; m < nde_method_count(); m++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int bits = 0; bits < 4; bits++) {
                if ((bits & 1) && (bits & 2)) continue; /* fixed steps are never joint */
                if (!rig_is_new(m) || !heal(&h, kind, nde_method_at(m), bits & 1, bits & 2)) continue;
                for (int role = 0; role < ROLES; role++)
                    for (long k = 0; k < h.calls[role][EVAL]; k++) {
                        saboteur_rest(&h.r.bad);
                        h.r.bad.role = role, h.r.bad.what = EVAL, h.r.bad.at = k;
                        each(&h);
                    }
                nde_solver_destroy(h.r.solver);
            }
}

/* Injection number k of a role: what each_call has set, and a clean count. */
static void aim(healthy *h, int role, long k, int code, size_t component, double value) {
    saboteur_rest(&h->r.bad);
    h->r.bad.role = role, h->r.bad.what = EVAL, h->r.bad.at = k;
    h->r.bad.code = code, h->r.bad.component = component, h->r.bad.value = (nde_real)value;
}

static long refused_at_forced[2]; /* RETRY where no smaller step helps: seen, expected */

/* ---- C1 to C3 ----------------------------------------------------------------------------------------------------- */

static void codes(healthy *h) {
    const int role = h->r.bad.role;
    const long k = h->r.bad.at;
    const nde_solution *s = &h->r.solution;
    const bool first = k == 0 && !is_late(role);
    nde_status status;

    aim(h, role, k, NDE_FIELD_RETRY, SIZE_MAX, 0); /* C1 */
    status = run_injected(h);
    check_always(h, status);
    if (first) EXPECT(status == NDE_E_FIELD_FIRST);
    else if (is_late(role) || h->fixed) EXPECT(status == NDE_E_FIELD);
    else EXPECT(status == NDE_OK || ((h->forced || is_again(h)) && status == NDE_E_FIELD));
    if (!h->fixed && !is_late(role) && !is_again(h)) {
        refused_at_forced[0] += status == NDE_E_FIELD;
        if (k == 0 && h->method->first_same_as_last) refused_at_forced[1] += (long)h->forced;
    }
    if (status == NDE_OK) EXPECT(distance(h) <= 10);
    else EXPECT(was_accepted(h, s) && s->stats[0].callback == NDE_FIELD_RETRY);
    check_recovery(h);

    aim(h, role, k, NDE_FIELD_STOP, SIZE_MAX, 0); /* C2 */
    status = run_injected(h);
    check_always(h, status);
    EXPECT(status == NDE_STOPPED);
    EXPECT(was_accepted(h, s));
    EXPECT(atomic_load(&h->r.bad.calls[role][EVAL]) == k + 1); /* obeyed at once */
    check_recovery(h);

    static const int failures[] = { -1, INT_MIN }; /* C3 */
    for (size_t i = 0; i < LENGTH(failures); i++) {
        aim(h, role, k, failures[i], SIZE_MAX, 0);
        status = run_injected(h);
        check_always(h, status);
        EXPECT(status == (first ? NDE_E_FIELD_FIRST : NDE_E_FIELD));
        EXPECT(s->stats[0].callback == failures[i]);
        EXPECT(was_accepted(h, s));
        char text[32];
        snprintf(text, sizeof text, "%d", failures[i]);
        EXPECT(strstr(s->error, text));
        EXPECT(atomic_load(&h->r.bad.calls[role][EVAL]) == k + 1);
        check_recovery(h);
    }
}

static void return_codes(void **state) {
    (void)state;
    const long before = injected;
    refused_at_forced[0] = refused_at_forced[1] = 0;
    each_call(codes);
    print_message("C1 to C3: %ld injected solves; %ld retries at jumps and knots were refused\n", injected - before,
                  refused_at_forced[0]);
    assert_int_equal(refused_at_forced[0], refused_at_forced[1]);
}

/* The last slope of a quadrature is not used. */
static bool is_unused(const healthy *h, nde_status status) {
    return h->r.bad.role == QUADRATURE && status == NDE_OK && hash_solution(&h->r.solution) == h->forward;
}

/* ---- C4, C5 ------------------------------------------------------------------------------------------------------- */

static void values(healthy *h) {
    static const double poison[] = { (double)NAN, (double)INFINITY, -(double)INFINITY, 1e308, 5e-324 };
    const int role = h->r.bad.role;
    const long k = h->r.bad.at;
    nde_status status;
    for (size_t component = 0; component < h->r.field[role].out; component++)
        for (size_t i = 0; i < LENGTH(poison); i++) {
            if (!is_its_turn(k + (long)component, i, LENGTH(poison))) continue;
            aim(h, role, k, 0, component, poison[i]);
            status = run_injected(h);
            check_always(h, status);
            EXPECT(status == NDE_OK || status == NDE_E_NONFINITE || status == NDE_E_STEPSIZE || status == NDE_E_STEPS ||
                   (status == NDE_E_ARG && h->method->kind == NDE_KIND_NYSTROM) || /* q' is not v */
                   (status == NDE_E_CONVERGENCE && nde_method_iterates(h->method)));
            if (status < 0 && !isfinite(poison[i])) EXPECT(status == NDE_E_NONFINITE && was_accepted(h, &h->r.solution));
            if (status == NDE_OK && !h->fixed && !is_late(role) && !isfinite(poison[i])) EXPECT(distance(h) <= 10);
            check_recovery(h);
        }
    aim(h, role, k, 0, SIZE_MAX, 0); /* writes nothing */
    h->r.bad.silent = true;
    status = run_injected(h);
    check_always(h, status);
    EXPECT(status == NDE_OK || status == NDE_E_NONFINITE);
    if (h->fixed || is_late(role) || k == 0) EXPECT(status == NDE_E_NONFINITE || is_unused(h, status));
    else EXPECT(status == NDE_E_NONFINITE || distance(h) <= 10);
    check_recovery(h);

    static const int marks[] = { NDE_LANE_RETRY, NDE_LANE_STOP };
    for (size_t i = 0; i < LENGTH(marks); i++) {
        aim(h, role, k, 0, SIZE_MAX, 0);
        h->r.bad.mark = marks[i];
        status = run_injected(h);
        check_always(h, status);
        if (marks[i] == NDE_LANE_STOP) EXPECT(status == NDE_STOPPED);
        else if (h->fixed || is_late(role) || k == 0) EXPECT(status == NDE_E_FIELD || (k == 0 && status == NDE_E_FIELD_FIRST));
        else EXPECT(status == NDE_OK || ((h->forced || is_again(h)) && status == NDE_E_FIELD));
        if (status == NDE_OK) EXPECT(distance(h) <= 10);
        else EXPECT(was_accepted(h, &h->r.solution));
        check_recovery(h);
    }
}

static void values_and_marks(void **state) {
    (void)state;
    const long before = injected;
    each_call(values);
    print_message("C4, C5: %ld injected solves\n", injected - before);
}

/* ---- C6: for ever ------------------------------------------------------------------------------------------------- */

static void for_ever(healthy *h) {
    const int role = h->r.bad.role;
    const long k = h->r.bad.at;
    nde_status status;
    aim(h, role, k, NDE_FIELD_RETRY, SIZE_MAX, 0);
    h->r.bad.for_ever = true;
    status = run_injected(h);
    check_always(h, status);
    EXPECT(status == (k == 0 && !is_late(role) ? NDE_E_FIELD_FIRST : NDE_E_FIELD));
    EXPECT(atomic_load(&h->r.bad.calls[role][EVAL]) <= k + 60);
    EXPECT(was_accepted(h, &h->r.solution));
    check_recovery(h);

    aim(h, role, k, 0, h->method->kind == NDE_KIND_NYSTROM ? h->r.problem.split : 0, (double)NAN);
    h->r.bad.for_ever = true;
    status = run_injected(h);
    check_always(h, status);
    EXPECT(status == NDE_E_NONFINITE || is_unused(h, status));
    EXPECT(atomic_load(&h->r.bad.calls[role][EVAL]) <= k + 60*(long)nde_method_stages(h->method));
    EXPECT(was_accepted(h, &h->r.solution));
    check_recovery(h);
}

static void failures_for_ever(void **state) {
    (void)state;
    const long before = injected;
    each_call(for_ever);
    print_message("C6: %ld injected solves end by themselves\n", injected - before);
}

/* ---- the way back, forward mode and dense: C1 to C4 --------------------------------------------------------------- */

enum { BACKWARD, FORWARD, DENSE };

static nde_status way(healthy *h, int which, nde_real *y) {
    switch (which) {
    case BACKWARD: return nde_backward(h->r.solver, &h->r.seed, &h->r.gradient);
    case FORWARD: return nde_forward(h->r.solver, &h->r.direction, &h->r.tangent);
    default: return nde_solver_dense(h->r.solver, 0, 0.7, y, NULL);
    }
}

/* The way back of checkpoints moves them: once more it may make other calls. */
static void put_checkpoints_back(healthy *h) {
    if (h->r.options.record == NDE_RECORD_CHECKPOINTS) check_recovery(h);
}

static void sabotage_way(healthy *h, int which) {
    static const int all[] = { NDE_FIELD_RETRY, 17, NDE_FIELD_STOP, -1, INT_MIN };
    nde_real y[4], dense[4];
    check_recovery(h);
    assert_int_equal(way(h, which, dense), NDE_OK);
    put_checkpoints_back(h);
    fill_written(&h->r, 0);
    saboteur_reset(&h->r.bad);
    assert_int_equal(way(h, which, dense), NDE_OK);
    const uint64_t good = hash_written(&h->r);
    long calls[ROLES][CALLS];
    note_calls(h, calls);
    for (int role = 0; role < ROLES; role++)
        for (int what = 0; what < CALLS; what++)
            for (long k = 0; k < calls[role][what]; k++) {
                for (size_t i = 0; i < LENGTH(all); i++) {
                    if (!is_its_turn(k, i, LENGTH(all))) continue;
                    put_checkpoints_back(h);
                    aim(h, role, k, all[i], SIZE_MAX, 0);
                    h->r.bad.what = what;
                    fill_written(&h->r, 0x3c);
                    const uint64_t before = hash_written(&h->r);
                    memset(y, 0x3c, sizeof y);
                    injected++;
                    const nde_status status = way(h, which, y);
                    EXPECT(status == (all[i] == NDE_FIELD_STOP ? NDE_STOPPED : NDE_E_FIELD));
                    if (which == BACKWARD) EXPECT(hash_written(&h->r) == before);
                    if (which == DENSE) EXPECT(((unsigned char *)y)[0] == 0x3c);
                    char text[32];
                    snprintf(text, sizeof text, "%d", all[i]);
                    EXPECT(strstr(nde_solver_error(h->r.solver), text));
                }
                for (size_t component = 0; what != EVAL && component < 3; component++) {
                    if (!is_its_turn(k, component, 3)) continue;
                    put_checkpoints_back(h);
                    aim(h, role, k, 0, component, (double)NAN);
                    h->r.bad.what = what;
                    fill_written(&h->r, 0);
                    injected++;
                    const nde_status status = way(h, which, y);
                    /* it is never lost: an error, or it is there to be seen */
                    const nde_real *first = which == BACKWARD ? h->r.g_y0 : h->r.w_end;
                    if (status == NDE_OK && hash_written(&h->r) != good)
                        EXPECT(!all_finite(first, 3) || !all_finite(h->r.w_y, LENGTH(h->r.w_y)) ||
                               !all_finite(h->r.w_z, LENGTH(h->r.w_z)));
                }
                saboteur_rest(&h->r.bad);
                fill_written(&h->r, 0);
                const nde_status status = way(h, which, y);
                EXPECT(status == NDE_OK && hash_written(&h->r) == good);
                if (which == DENSE) EXPECT(memcmp(y, dense, h->r.field[DRIFT].dim*sizeof *y) == 0);
            }
}

static void the_way_back(void **state) {
    (void)state;
    static healthy h;
    const long before = injected;
    for (size_t m = 0; m < nde_method_count(); m++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int fixed = 0; fixed < 2; fixed++)
                for (int record = NDE_RECORD_TAPE; record <= NDE_RECORD_CHECKPOINTS; record++) {
                    if (!rig_is_new(m) || !heal(&h, kind, nde_method_at(m), fixed, false)) continue;
                    nde_solver_destroy(h.r.solver);
                    h.r.options.record = record;
                    assert_int_equal(nde_solver_create(&h.r.problem, &h.r.options, &h.r.solver), NDE_OK);
                    for (int which = BACKWARD; which <= DENSE; which++) sabotage_way(&h, which);
                    nde_solver_destroy(h.r.solver);
                }
    print_message("C7: %ld injected calls of backward, forward mode and dense\n", injected - before);
}

/* ---- an ensemble: one lane fails, the others do not notice -------------------------------------------------------- */

static bool others_are_equal(const nde_solution *s, const nde_solution *good, size_t but) {
    for (size_t b = 0; b < s->n; b++) {
        if (b == but) continue;
        if (s->status[b] != NDE_OK || s->t_end[b] != good->t_end[b]) return false;
        for (size_t i = 0; i < s->dim; i++)
            if (s->y_end[i*s->n + b] != good->y_end[i*s->n + b]) return false;
        for (size_t i = 0; i < s->n_save*s->out; i++)
            if (s->y[i*s->n + b] != good->y[i*s->n + b]) return false;
    }
    return true;
}

static void lanes_fail_alone(void **state) {
    (void)state;
    static rig r, good;
    enum { N = 5, VICTIM = 2 };
    long count = 0;
    for (size_t m = 0; m < nde_method_count(); m++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int fixed = 0; fixed < 2; fixed++) {
                rig_make(&good, kind, N);
                if (!rig_is_new(m) || !rig_method(&good, nde_method_at(m), fixed)) continue;
                good.options.adjoint = NDE_ADJOINT_DISCRETE;
                assert_int_equal(nde_solver_create(&good.problem, &good.options, &good.solver), NDE_OK);
                assert_int_equal(nde_solver_run(good.solver, &good.solution), NDE_OK);
                long calls[ROLES];
                for (int role = 0; role < ROLES; role++) calls[role] = atomic_load(&good.bad.calls[role][EVAL]);
                rig_make(&r, kind, N);
                rig_method(&r, nde_method_at(m), fixed);
                r.options.adjoint = NDE_ADJOINT_DISCRETE;
                assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
                for (int role = 0; role < ROLES; role++)
                    for (long k = 0; k < calls[role]; k++)
                        for (int how = 0; how < 3; how++) {
                            saboteur_rest(&r.bad);
                            r.bad.role = role, r.bad.what = EVAL, r.bad.at = k, r.bad.for_ever = true,
                                r.bad.trajectory = VICTIM;
                            if (how == 0) r.bad.component = 0, r.bad.value = (nde_real)NAN;
                            else r.bad.mark = how == 1 ? NDE_LANE_RETRY : NDE_LANE_STOP;
                            const nde_status status = nde_solver_run(r.solver, &r.solution);
                            injected++, count++;
                            if (!states_are_finite(&r.solution) || !others_are_equal(&r.solution, &good.solution, VICTIM))
                                fail_msg("%s, %s, role %d call %ld, way %d: %s", nde_method_name(nde_method_at(m)),
                                         kind_names[kind], role, k, how, r.solution.error);
                            assert_true(others_are_equal(&r.solution, &good.solution, VICTIM));
                            const nde_status victim = r.solution.status[VICTIM];
                            if (victim == NDE_OK) continue; /* it had finished */
                            assert_int_equal(status, how == 2 ? NDE_STOPPED : NDE_E_LANES);
                            if (how == 0) assert_int_equal(victim, NDE_E_NONFINITE);
                            if (how == 1) assert_true(victim == NDE_E_FIELD || victim == NDE_E_FIELD_FIRST);
                            if (how == 2) assert_int_equal(victim, NDE_STOPPED);
                            if (how < 2) assert_non_null(strstr(r.solution.error, "trajectory 2: "));
                            saboteur_rest(&r.bad);
                            if (how == 2 || k % 5) continue;
                            /* the gradient of the others, as if the victim were a constant */
                            assert_int_equal(nde_backward(r.solver, &r.seed, &r.gradient), NDE_OK);
                            assert_int_equal(nde_backward(good.solver, &good.seed, &good.gradient), NDE_OK);
                            for (size_t i = 0; i < r.field[DRIFT].dim; i++)
                                for (size_t b = 0; b < N; b++)
                                    assert_true(r.g_y0[i*N + b] == (b == VICTIM ? 0 : good.g_y0[i*N + b]));
                        }
                saboteur_rest(&r.bad);
                assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
                assert_true(hash_solution(&r.solution) == hash_solution(&good.solution));
                nde_solver_destroy(r.solver);
                nde_solver_destroy(good.solver);
            }
    print_message("lanes: %ld runs in which one of five fails, the others' bits are untouched\n", count);
}

/* A return code for a block of lanes: every status is one that is documented, and the solver recovers. */
static void blocks_fail(void **state) {
    (void)state;
    static rig r;
    enum { N = 5 };
    long count = 0;
    for (size_t m = 0; m < nde_method_count(); m++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int bits = 0; bits < 8; bits++) {
                rig_make(&r, kind, N);
                if (!rig_is_new(m) || !rig_method(&r, nde_method_at(m), bits & 1)) continue;
                r.options.stepping = bits & 2 ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
                if (bits & 4) r.options.threads = 2, r.options.group = 2;
                r.options.adjoint = NDE_ADJOINT_DISCRETE;
                assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
                assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
                const uint64_t good = hash_solution(&r.solution);
                long calls[ROLES];
                for (int role = 0; role < ROLES; role++) calls[role] = atomic_load(&r.bad.calls[role][EVAL]);
                static const int all[] = { NDE_FIELD_RETRY, NDE_FIELD_STOP, -7 };
                for (int role = 0; role < ROLES; role++)
                    for (long k = 0; k < calls[role]; k += bits & 4 ? 7 : 1)
                        for (size_t i = 0; i < LENGTH(all); i++) {
                            saboteur_rest(&r.bad);
                            r.bad.role = role, r.bad.what = EVAL, r.bad.at = k, r.bad.code = all[i];
                            const nde_status status = nde_solver_run(r.solver, &r.solution);
                            injected++, count++;
                            assert_true(states_are_finite(&r.solution));
                            bool stopped = false, failed = false;
                            for (size_t b = 0; b < N; b++) {
                                const nde_status one = r.solution.status[b];
                                assert_true(one == NDE_OK || one == NDE_STOPPED || one == NDE_E_FIELD ||
                                            one == NDE_E_FIELD_FIRST);
                                stopped |= one == NDE_STOPPED, failed |= one < 0;
                                if (one < 0) assert_int_equal(r.solution.stats[b].callback, all[i]);
                            }
                            if (all[i] == NDE_FIELD_STOP) assert_true(status == NDE_STOPPED && stopped && !failed);
                            else if (r.options.stepping == NDE_STEP_JOINT && failed && !(bits & 1))
                                assert_true(status == NDE_E_FIELD || status == NDE_E_FIELD_FIRST);
                            else assert_int_equal(status, failed ? NDE_E_LANES : NDE_OK);
                            if (k % 3) continue;
                            saboteur_rest(&r.bad);
                            assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
                            assert_true(hash_solution(&r.solution) == good);
                        }
                nde_solver_destroy(r.solver);
            }
    print_message("blocks: %ld runs in which a call for a block fails\n", count);
}

/* ---- the caller's executor and progress --------------------------------------------------------------------------- */

typedef struct reluctant {
    int calls, refuse_at; /* this call returns 7, after `tasks` of its tasks */
    size_t tasks;
} reluctant;

static int run_reluctantly(void *ctx, size_t count, void (*task)(void *arg, size_t i, int worker), void *arg) {
    reluctant *r = ctx;
    const bool refuse = r->calls++ == r->refuse_at;
    for (size_t i = 0; i < count && !(refuse && i >= r->tasks); i++) task(arg, i, (int)(i % 3));
    return refuse ? 7 : 0;
}

static void executors_may_refuse(void **state) {
    (void)state;
    static rig r;
    for (int kind = 0; kind < KINDS; kind++)
        for (int joint = 0; joint < 2; joint++)
            for (int at = 0; at < 3; at++)
                for (size_t tasks = 0; tasks < 3; tasks++) {
                    reluctant how = { .refuse_at = -1 };
                    const nde_executor executor = { run_reluctantly, &how, 3 };
                    rig_make(&r, kind, 12);
                    if (kind == NOISE || kind == SCALAR_NOISE || kind == SPLIT) r.options.steps = 8;
                    r.options.adjoint = NDE_ADJOINT_DISCRETE, r.options.stepping = joint, r.options.executor = &executor;
                    r.options.group = 3;
                    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
                    assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
                    const uint64_t good = hash_solution(&r.solution);
                    const int calls = how.calls;
                    if (at < calls) {
                        how = (reluctant){ .refuse_at = at, .tasks = tasks };
                        assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_E_FIELD);
                        assert_non_null(strstr(nde_solver_error(r.solver), "executor"));
                        assert_true(all_finite(r.solution.y_end, r.solution.dim*r.solution.n));
                        assert_int_equal(nde_backward(r.solver, &r.seed, &r.gradient), NDE_E_ARG);
                    }
                    how = (reluctant){ .refuse_at = -1 };
                    assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
                    assert_true(hash_solution(&r.solution) == good);
                    how = (reluctant){ .refuse_at = 0, .tasks = tasks };
                    fill_written(&r, 0x42);
                    const uint64_t before = hash_written(&r);
                    if (calls) assert_int_equal(nde_backward(r.solver, &r.seed, &r.gradient), NDE_E_FIELD);
                    assert_true(hash_written(&r) == before);
                    assert_int_equal(nde_backward(r.solver, &r.seed, &r.gradient), NDE_OK);
                    nde_solver_destroy(r.solver);
                }
}

static int stop_after(void *ctx, double fraction, int64_t steps) {
    int *left = ctx;
    assert_true(fraction >= 0 && fraction <= 1 && steps > 0);
    return (*left)-- <= 0;
}

static void progress_may_stop(void **state) {
    (void)state;
    static rig r;
    for (int kind = 0; kind < KINDS; kind++)
        for (int bits = 0; bits < 4; bits++)
            for (int after = 0; after < 4; after++) {
                int left = 1000000;
                rig_make(&r, kind, bits & 1 ? 5 : 1);
                if (kind == NOISE || kind == SCALAR_NOISE || kind == SPLIT) r.options.steps = 100;
                else r.options.h_max = 0.01;
                r.options.stepping = bits & 2 ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
                r.options.progress = stop_after, r.options.progress_ctx = &left;
                assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
                assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
                const uint64_t good = hash_solution(&r.solution);
                left = after;
                assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_STOPPED);
                assert_true(states_are_finite(&r.solution) && r.solution.t_end[0] > 0 && r.solution.t_end[0] < 1);
                assert_null(r.solution.error);
                left = 1000000;
                assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
                assert_true(hash_solution(&r.solution) == good);
                nde_solver_destroy(r.solver);
            }
}

/* ---- C12 ---------------------------------------------------------------------------------------------------------- */

static void environment_is_left_alone(void **state) {
    (void)state;
    static const int modes[] = { FE_TONEAREST, FE_UPWARD, FE_DOWNWARD, FE_TOWARDZERO };
    static rig r;
    for (size_t i = 0; i < LENGTH(modes); i++)
        for (int threads = 1; threads <= 2; threads++)
            for (int kind = 0; kind < KINDS; kind++) {
                rig_make(&r, kind, 5);
                if (kind == NOISE || kind == SCALAR_NOISE || kind == SPLIT) r.options.steps = 8;
                r.options.adjoint = NDE_ADJOINT_DISCRETE, r.options.threads = threads, r.options.group = 2;
                fesetround(modes[i]);
                errno = EILSEQ;
                assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
                assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
                assert_int_equal(nde_backward(r.solver, &r.seed, &r.gradient), NDE_OK);
                nde_solver_destroy(r.solver);
                assert_int_equal(nde_solver_create(NULL, NULL, &r.solver), NDE_E_ARG);
                assert_int_equal(errno, EILSEQ);
                assert_int_equal(fegetround(), modes[i]);
                fesetround(FE_TONEAREST);
            }
}

static void enough_were_injected(void **state) {
    (void)state;
    print_message("%ld injected solves and sweeps in all\n", injected);
    assert_true(injected >= 100000); /* in each precision */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(return_codes),
        cmocka_unit_test(values_and_marks),
        cmocka_unit_test(failures_for_ever),
        cmocka_unit_test(the_way_back),
        cmocka_unit_test(lanes_fail_alone),
        cmocka_unit_test(blocks_fail),
        cmocka_unit_test(executors_may_refuse),
        cmocka_unit_test(progress_may_stop),
        cmocka_unit_test(environment_is_left_alone),
        cmocka_unit_test(enough_were_injected),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
