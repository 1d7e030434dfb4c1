/* SPDX-License-Identifier: MIT
 * escapes.c - callbacks that do not come back, but leave by longjmp, at every call: nothing leaks, and the solver gives
 * fresh bits. Callbacks that themselves solve, and that destroy another solver. */
#include "rig.h"

/* ---- C8: longjmp ---------------------------------------------------------------------------------------------------- */

static jmp_buf door;
static void leave(void *ctx) { (void)ctx, longjmp(door, 1); }

enum { RUN, BACKWARD, FORWARD, DENSE, WAYS };

static nde_status take(rig *r, int way) {
    nde_real y[4];
    switch (way) {
    case RUN: return nde_solver_run(r->solver, &r->solution);
    case BACKWARD: return nde_backward(r->solver, &r->seed, &r->gradient);
    case FORWARD: return nde_forward(r->solver, &r->direction, &r->tangent);
    default: return nde_solver_dense(r->solver, 0, 0.7, y, NULL);
    }
}

/* Is the way left at this call? */
static bool leaves(rig *r, int way, int role, int what, long k) {
    saboteur_rest(&r->bad);
    r->bad.role = role, r->bad.what = what, r->bad.at = k, r->bad.leave = leave;
    if (setjmp(door)) return saboteur_rest(&r->bad), true;
    return (void)take(r, way), saboteur_rest(&r->bad), false;
}

static void callbacks_leave_by_longjmp(void **state) {
    (void)state;
    static rig r;
    static allocator memory;
    long count = 0;
    allocator_make(&memory, -1, false, FILL_NAN);
    for (size_t m = 0; m < nde_method_count(); m++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int bits = 0; bits < 4; bits++) {
                rig_make(&r, kind, 1 + (size_t)bits);
                if (!rig_is_new(m) || !rig_method(&r, nde_method_at(m), bits & 1)) continue;
                r.options.stepping = bits & 2 ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
                r.options.adjoint = NDE_ADJOINT_DISCRETE, r.options.allocator = &memory.hook;
                r.options.record = NDE_RECORD_TAPE + (int)(m + (size_t)kind) % 4;
                assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
                assert_int_equal(take(&r, RUN), NDE_OK);
                const uint64_t good = hash_solution(&r.solution);
                for (int way = RUN; way < WAYS; way++) {
                    assert_int_equal(take(&r, RUN), NDE_OK);
                    saboteur_reset(&r.bad);
                    fill_written(&r, 0);
                    assert_int_equal(take(&r, way), NDE_OK);
                    const uint64_t written = hash_written(&r);
                    long calls[ROLES][CALLS];
                    for (int role = 0; role < ROLES; role++)
                        for (int what = 0; what < CALLS; what++) calls[role][what] = atomic_load(&r.bad.calls[role][what]);
                    for (int role = 0; role < ROLES; role++)
                        for (int what = 0; what < CALLS; what++)
                            for (long k = 0; k < calls[role][what]; k += way == RUN ? 1 : 3) {
                                /* the way back of checkpoints moves them: once more it may make other calls */
                                if (r.options.record == NDE_RECORD_CHECKPOINTS) assert_int_equal(take(&r, RUN), NDE_OK);
                                assert_true(leaves(&r, way, role, what, k));
                                count++;
                                if (way != RUN) { /* the record is what it was */
                                    fill_written(&r, 0);
                                    assert_int_equal(take(&r, way), NDE_OK);
                                    assert_true(hash_written(&r) == written);
                                } else if (k % 4 == 0) {
                                    assert_int_equal(take(&r, RUN), NDE_OK);
                                    assert_true(hash_solution(&r.solution) == good);
                                }
                            }
                }
                assert_true(leaves(&r, RUN, DRIFT, EVAL, 3));
                nde_solver_destroy(r.solver);
                assert_int_equal(atomic_load(&memory.live), 0);
            }
    print_message("C8: %ld callbacks left by longjmp\n", count);
}

/* ---- C9: callbacks that solve ---------------------------------------------------------------------------------------- */

/* F_0(y) = -y, and F_d(y) = -z(1) where z' = F_{d-1}(z), z(0) = y: linear, with the rate -r_d, r_d = exp(-r_{d-1}). */
static int nested_eval(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy);
static int nested_vjp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to);

static nde_field nested(const int *depth) {
    return NDE_INIT(nde_field, .dim = 1, .out = 1, .traits = NDE_AUTONOMOUS, .eval = nested_eval, .vjp = nested_vjp,
                    .ctx = depth);
}

static const int depths[] = { 0, 1, 2, 3 };

/* z(1), and with a: a times its derivative. */
static nde_status solve_below(int depth, nde_real y, nde_real *z, const nde_real *a, nde_real *a_y) {
    const nde_field f = nested(&depths[depth]);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &f, .y0 = &y, .t1 = 1);
    const nde_options options = NDE_INIT(nde_options, .adjoint = a ? NDE_ADJOINT_DISCRETE : 0, .budget = 1 << 16);
    nde_solution s = { 0 };
    nde_status status = nde_solve(&problem, &options, &s);
    if (status == NDE_OK) *z = s.y_end[0];
    if (status == NDE_OK && a) {
        const nde_seed seed = NDE_INIT(nde_seed, .y_end = a);
        const nde_gradient gradient = NDE_INIT(nde_gradient, .y0 = a_y);
        status = nde_backward(s.solver, &seed, &gradient);
    }
    nde_solution_free(&s);
    nde_solver *none; /* a failure of its own is nobody else's */
    assert_int_equal(nde_solver_create(NULL, NULL, &none), NDE_E_ARG);
    return status;
}

static int nested_eval(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    const int depth = *(const int *)f->ctx;
    for (size_t b = 0; b < at->n; b++) {
        nde_real z = y[b];
        if (depth && solve_below(depth - 1, y[b], &z, NULL, NULL)) return -1;
        dy[b] = -z;
    }
    return 0;
}

static int nested_vjp(const nde_field *f, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const int depth = *(const int *)f->ctx;
    for (size_t b = 0; b < at->n; b++) {
        nde_real z, a_z = -a[b], a_y = a_z;
        if (depth && solve_below(depth - 1, y[b], &z, &a_z, &a_y)) return -1;
        if (to->y) to->y[b] += a_y;
    }
    return 0;
}

static void callbacks_solve(void **state) {
    (void)state;
    double rate = 1;
    for (int depth = 0; depth <= 3; depth++, rate = exp(-rate)) {
        nde_real y[3] = { 1, 2, 3 }, a[3] = { 1, 1, 1 }, a_y[3];
        const nde_field f = nested(&depths[depth]);
        const nde_problem problem = NDE_INIT(nde_problem, .n = depth < 3 ? 3 : 1, .drift = &f, .y0 = y, .t1 = 1);
        const nde_options options = NDE_INIT(nde_options, .adjoint = NDE_ADJOINT_DISCRETE, .threads = depth == 2 ? 2 : 0,
                                             .group = 1, .budget = 1 << 18);
        nde_solution s = { 0 };
        assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
        const nde_seed seed = NDE_INIT(nde_seed, .y_end = a);
        const nde_gradient gradient = NDE_INIT(nde_gradient, .y0 = a_y);
        const double good = exp(-rate), near = sizeof(nde_real) == 4 ? 1e-3 : 1e-5;
        for (size_t i = 0; i < s.n; i++) assert_true(fabs((double)(s.y_end[i]/y[i]) - good) < near);
        if (depth < 3) assert_int_equal(nde_backward(s.solver, &seed, &gradient), NDE_OK);
        for (size_t i = 0; depth < 3 && i < s.n; i++) assert_true(fabs((double)a_y[i] - good) < near);
        nde_solution_free(&s);
    }
}

/* ---- C9: one that destroys another solver ---------------------------------------------------------------------------- */

typedef struct destroyer {
    nde_solver *other;
    long calls;
} destroyer;

static int destroy_other(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    destroyer *d = *(destroyer *const *)f->ctx;
    if (d->calls-- == 0) nde_solver_destroy(d->other);
    for (size_t b = 0; b < at->n; b++) dy[b] = -y[b];
    return 0;
}

static void callbacks_destroy_another(void **state) {
    (void)state;
    nde_real y = 1, end = 0;
    for (long k = -1; k < 20; k++) {
        static rig r;
        rig_make(&r, (int)(k + 1) % KINDS, 5);
        if (r.kind == NOISE || r.kind == SCALAR_NOISE || r.kind == SPLIT) r.options.steps = 8;
        r.options.threads = k % 2 ? 2 : 0, r.options.group = 2;
        destroyer d = { .calls = k }, *const at = &d;
        if (k >= 0) assert_int_equal(nde_solver_create(&r.problem, &r.options, &d.other), NDE_OK);
        if (k >= 0) assert_int_equal(nde_solver_run(d.other, NULL), NDE_OK);
        const nde_field f = NDE_INIT(nde_field, .dim = 1, .out = 1, .eval = destroy_other, .ctx = &at);
        const nde_problem problem = NDE_INIT(nde_problem, .drift = &f, .y0 = &y, .t1 = 1);
        nde_solution s = { 0 };
        assert_int_equal(nde_solve(&problem, NULL, &s), NDE_OK);
        assert_true(k < 0 || d.calls < 0);
        if (k < 0) end = s.y_end[0];
        assert_true(s.y_end[0] == end);
        nde_solution_free(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = { cmocka_unit_test(callbacks_leave_by_longjmp), cmocka_unit_test(callbacks_solve),
                                        cmocka_unit_test(callbacks_destroy_another) };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
