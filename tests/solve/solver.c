/* SPDX-License-Identifier: MIT
 * solver.c - the life of a solver: its block, runs and runs again, pieces, a state that goes elsewhere, a progress
 * callback that cancels, and spans with nothing in them. */
#include "adjoint/cases.h"

/* ---- what a run gave, kept ---------------------------------------------------------------------------------------- */

typedef struct result {
    nde_real *y, *y_end, *z;
    double *t_end;
    nde_stats *stats;
} result;

static result keep(proof *f) {
    const nde_solution *s = &f->solution;
    result r = { proof_take(f, s->n_save*s->dim*s->n, sizeof *r.y), proof_take(f, s->dim*s->n, sizeof *r.y),
                 proof_take(f, s->nz*s->n, sizeof *r.z), proof_take(f, s->n, sizeof *r.t_end),
                 proof_take(f, s->n, sizeof *r.stats) };
    memcpy(r.y, s->y, s->n_save*s->dim*s->n*sizeof *r.y);
    memcpy(r.y_end, s->y_end, s->dim*s->n*sizeof *r.y);
    if (s->nz) memcpy(r.z, s->quadrature, s->nz*s->n*sizeof *r.z);
    memcpy(r.t_end, s->t_end, s->n*sizeof *r.t_end);
    memcpy(r.stats, s->stats, s->n*sizeof *r.stats);
    return r;
}

static void check_same(const nde_solution *s, const result *r, const char *name) {
    if (memcmp(r->y, s->y, s->n_save*s->dim*s->n*sizeof *r->y)) fail_msg("%s: other bits in y", name);
    if (memcmp(r->y_end, s->y_end, s->dim*s->n*sizeof *r->y)) fail_msg("%s: other bits in y_end", name);
    if (s->nz) assert_memory_equal(r->z, s->quadrature, s->nz*s->n*sizeof *r->z);
    assert_memory_equal(r->t_end, s->t_end, s->n*sizeof *r->t_end);
    if (memcmp(r->stats, s->stats, s->n*sizeof *r->stats)) fail_msg("%s: other statistics", name);
}

/* All cases, adaptive and with equal steps, in sizes where lanes wait for each other. */
static void each_case(void (*test)(proof *f, const char *name)) {
    for (int which = 0; which <= CASES; which++)
        for (int fixed = 0; fixed < 2; fixed++) {
            proof f;
            if (which == CASES) case_network(&f, fixed ? 16 : 0, 150);
            else case_make(which, &f, fixed ? 32 : 0, which % 2);
            if (which < CASES && f.n < 100) proof_resize(&f, 150);
            f.options.group = 140;
            test(&f, which == CASES ? "network" : case_names[which]);
            proof_end(&f);
        }
}

/* ---- the block ---------------------------------------------------------------------------------------------------- */

static void block_is_exact(proof *f, const char *name) {
    enum { GUARD = 4096 };
    f->options.budget = (size_t)6 << 20;
    const size_t bytes = nde_solver_bytes(&f->problem, &f->options);
    assert_true(bytes > f->options.budget);
    unsigned char *room = NULL;
    void *taken = NULL;
    assert_int_equal(posix_memalign(&taken, 64, bytes + GUARD), 0);
    room = taken;
    memset(room, 0x5a, bytes + GUARD);
    f->solver = NULL;
    assert_int_equal(nde_solver_create_in(room, bytes - 1, &f->problem, &f->options, &f->solver), NDE_E_ARG);
    assert_null(f->solver);
    assert_int_equal(nde_solver_create_in(room + 8, bytes + 64, &f->problem, &f->options, &f->solver), NDE_E_ARG);
    assert_int_equal(nde_solver_create_in(NULL, bytes, &f->problem, &f->options, &f->solver), NDE_E_ARG);
    for (size_t i = 0; i < bytes + GUARD; i++) assert_int_equal(room[i], 0x5a);
    if (nde_solver_create_in(room, bytes, &f->problem, &f->options, &f->solver)) fail_msg("%s: %s", name, nde_error());
    assert_int_equal(proof_run(f), NDE_OK);
    proof_backward(f);
    for (size_t i = 0; i < GUARD; i++) assert_int_equal(room[bytes + i], 0x5a);
    nde_solver_destroy(f->solver);
    f->solver = NULL;
    /* with exactly these bytes, so that a sanitizer sees what leads out of them */
    void *exact = aligned_alloc(64, bytes);
    assert_non_null(exact);
    assert_int_equal(bytes % 64, 0);
    assert_int_equal(nde_solver_create_in(exact, bytes, &f->problem, &f->options, &f->solver), NDE_OK);
    assert_int_equal(proof_run(f), NDE_OK);
    proof_backward(f);
    proof_forward(f);
    nde_solver_destroy(f->solver);
    f->solver = NULL;
    free(exact), free(taken);
}
static void blocks_are_exact(void **state) { (void)state, each_case(block_is_exact); }

/* ---- again, and in pieces ----------------------------------------------------------------------------------------- */

static void again(proof *f, const char *name) {
    proof_solve(f);
    const result first = keep(f);
    const proof_copy gradient = proof_keep(f);
    assert_int_equal(proof_run(f), NDE_OK);
    check_same(&f->solution, &first, name);
    proof_backward(f);
    assert_null(proof_differs(f, &gradient));
    proof_backward(f); /* any number of times */
    assert_null(proof_differs(f, &gradient));
    proof_forward(f);
    proof_backward(f);
    assert_null(proof_differs(f, &gradient));

    nde_solution one = NDE_INIT(nde_solution, .n = 0); /* one shot */
    assert_int_equal(nde_solve(&f->problem, &f->options, &one), NDE_OK);
    check_same(&one, &first, name);
    assert_non_null(one.solver);
    nde_solution_free(&one);
    assert_null(one.y);
    nde_solution_free(&one);

    static const int64_t pieces[] = { 1, 3, 1000000 };
    for (size_t i = 0; i < LENGTH(pieces); i++) {
        nde_status status = NDE_UNFINISHED;
        int64_t calls = 0;
        while (status == NDE_UNFINISHED) {
            f->solution = NDE_INIT(nde_solution, .n = 0);
            status = nde_solver_steps(f->solver, pieces[i], &f->solution);
            calls++;
        }
        assert_int_equal(status, NDE_OK);
        if (i == 0) assert_true(calls >= f->solution.stats[0].accepted);
        check_same(&f->solution, &first, name);
        proof_backward(f);
        assert_null(proof_differs(f, &gradient));
    }
    /* a run in the middle of pieces begins anew */
    assert_int_equal(nde_solver_steps(f->solver, 2, NULL), NDE_UNFINISHED);
    assert_int_equal(proof_run(f), NDE_OK);
    check_same(&f->solution, &first, name);
    /* arrays are read anew */
    nde_real *y0 = f->in[IN_Y0].x;
    for (size_t i = 0; i < f->dim*f->n; i++) y0[i] *= (nde_real)1.125;
    assert_int_equal(proof_run(f), NDE_OK);
    const result moved = keep(f);
    assert_true(memcmp(moved.y_end, first.y_end, f->dim*f->n*sizeof *y0) != 0);
    proof_create(f);
    assert_int_equal(proof_run(f), NDE_OK);
    check_same(&f->solution, &moved, name);
}
static void runs_are_repeatable(void **state) { (void)state, each_case(again); }

typedef struct watcher {
    int calls, last_call;
    double fraction;
} watcher;

static int watch(void *ctx, double fraction, int64_t steps) {
    watcher *w = ctx;
    assert_true(fraction >= 0 && fraction <= 1 && steps > 0);
    w->fraction = fraction;
    return ++w->calls == w->last_call;
}

/* ---- a state that goes elsewhere ---------------------------------------------------------------------------------- */

static void moves(proof *f, const char *name) {
    proof_create(f);
    assert_int_equal(proof_run(f), NDE_OK);
    const result first = keep(f);
    for (int64_t at = 0; at <= 8; at += at ? 5 : 3) {
        nde_status status = nde_solver_steps(f->solver, at, NULL);
        assert_int_equal(status, NDE_UNFINISHED);
        size_t bytes = 0, less;
        assert_int_equal(nde_solver_state(f->solver, NULL, &bytes), NDE_OK);
        unsigned char *block = proof_take(f, bytes, 1);
        less = bytes - 1;
        assert_int_equal(nde_solver_state(f->solver, block, &less), NDE_E_ARG);
        assert_int_equal(less, bytes);
        assert_int_equal(nde_solver_state(f->solver, block, &bytes), NDE_OK);
        nde_solver *other;
        assert_int_equal(nde_solver_create(&f->problem, &f->options, &other), NDE_OK);
        assert_int_equal(nde_solver_restore(other, block, bytes - 1), NDE_E_ARG);
        assert_int_equal(nde_solver_restore(other, block, bytes), NDE_OK);
        f->solution = NDE_INIT(nde_solution, .n = 0);
        while ((status = nde_solver_steps(other, 4, &f->solution)) == NDE_UNFINISHED) {}
        assert_int_equal(status, NDE_OK);
        check_same(&f->solution, &first, name);
        const nde_seed seed = proof_seeds(f);
        const nde_gradient gradient = proof_gradient(f);
        assert_int_equal(nde_backward(other, &seed, &gradient), NDE_E_ARG); /* no record until the next run */
        assert_int_equal(nde_solver_run(other, &f->solution), NDE_OK);
        check_same(&f->solution, &first, name);
        assert_int_equal(nde_backward(other, &seed, &gradient), NDE_OK);
        nde_solver_destroy(other);

        /* the first solver goes on as well, back to the state, and on again */
        assert_int_equal(nde_solver_steps(f->solver, 1000000, NULL), NDE_OK);
        assert_int_equal(nde_solver_restore(f->solver, block, bytes), NDE_OK);
        assert_int_equal(nde_solver_steps(f->solver, 1000000, &f->solution), NDE_OK);
        check_same(&f->solution, &first, name);
    }
}
static void states_go_elsewhere(void **state) { (void)state, each_case(moves); }

/* Not into a solver of another shape, and not when damaged. */
static void foreign_states_are_refused(void **state) {
    (void)state;
    proof f, g;
    case_ensemble(&f, 0, false);
    case_doses(&g, 0, false);
    proof_create(&f), proof_create(&g);
    assert_int_equal(nde_solver_steps(f.solver, 3, NULL), NDE_UNFINISHED);
    size_t bytes = 0;
    assert_int_equal(nde_solver_state(f.solver, NULL, &bytes), NDE_OK);
    unsigned char *block = proof_take(&f, bytes, 1);
    assert_int_equal(nde_solver_state(f.solver, block, &bytes), NDE_OK);
    assert_int_equal(nde_solver_restore(g.solver, block, bytes), NDE_E_ARG);
    assert_true(nde_solver_error(g.solver)[0] || nde_error()[0]);
    block[0] ^= 1;
    assert_int_equal(nde_solver_restore(f.solver, block, bytes), NDE_E_ARG);
    assert_int_equal(proof_run(&f), NDE_OK);
    assert_int_equal(nde_solver_state(NULL, NULL, &bytes), NDE_E_ARG);
    assert_int_equal(nde_solver_restore(f.solver, NULL, bytes), NDE_E_ARG);
    proof_end(&f), proof_end(&g);
}

/* One trajectory without a record takes a short way through the loop: the same bits as the long one, whole, in pieces, and
 * from a state. */
static void one_trajectory_alone(void **state) {
    (void)state;
    static const int cases[] = { CASE_LORENZ, CASE_ENSEMBLE, CASE_DOSES };
    static const double late[] = { 0.75, 0.875, 1 };
    int64_t rejected[CASE_LORENZ + CASE_ENSEMBLE + CASE_DOSES + 1] = { 0 };
    for (size_t c = 0; c < LENGTH(cases); c++)
        for (int saving = 0; saving < 3; saving++)
            for (int stepping = 0; stepping < 2; stepping++) {
                proof f;
                case_make(cases[c], &f, 0, false);
                f.problem.quadrature = NULL, f.nz = 0;
                if (saving != 1) proof_no_saves(&f);
                if (saving == 2) f.options.save_every = 1;
                proof_resize(&f, 1);
                f.options.stepping = stepping, f.options.h0 = 0.5; /* the first attempts are rejected */
                f.options.max_steps = 200, f.options.rtol = sizeof(nde_real) == 8 ? 1e-7 : 2e-6;
                if (c == 2 && saving == 1) f.options.save_t = late, f.options.n_save = 3;
                proof_create(&f);
                assert_int_equal(proof_run(&f), NDE_OK);
                assert_true(f.solution.stats[0].accepted > 5);
                rejected[cases[c]] += f.solution.stats[0].rejected;
                const result first = keep(&f);
                f.options.adjoint = 0;
                proof_create(&f);
                assert_int_equal(proof_run(&f), NDE_OK);
                check_same(&f.solution, &first, case_names[cases[c]]);
                watcher w = { 0, 0, 0 };
                f.options.progress = watch, f.options.progress_ctx = &w;
                proof_create(&f);
                for (int64_t piece = 1; piece <= 5; piece += 2) {
                    nde_status status;
                    while ((status = nde_solver_steps(f.solver, piece, &f.solution)) == NDE_UNFINISHED) {
                        size_t bytes = 0;
                        assert_int_equal(nde_solver_state(f.solver, NULL, &bytes), NDE_OK);
                        void *block = malloc(bytes);
                        assert_int_equal(nde_solver_state(f.solver, block, &bytes), NDE_OK);
                        proof_create(&f);
                        assert_int_equal(nde_solver_restore(f.solver, block, bytes), NDE_OK);
                        free(block);
                    }
                    assert_int_equal(status, NDE_OK);
                    check_same(&f.solution, &first, case_names[cases[c]]);
                }
                f.options.max_steps = f.solution.stats[0].accepted + f.solution.stats[0].rejected;
                proof_create(&f);
                assert_int_equal(proof_run(&f), NDE_OK);
                f.options.max_steps--;
                proof_create(&f);
                assert_int_equal(proof_run(&f), NDE_E_STEPS);
                assert_int_equal(f.solution.stats[0].accepted + f.solution.stats[0].rejected, f.options.max_steps);
                const result less = keep(&f);
                f.options.adjoint = NDE_ADJOINT_DISCRETE;
                proof_create(&f);
                assert_int_equal(proof_run(&f), NDE_E_STEPS);
                assert_memory_equal(f.solution.y_end, less.y_end, f.dim*sizeof(nde_real));
                assert_memory_equal(f.solution.stats, less.stats, sizeof(nde_stats));
                proof_end(&f);
            }
    /* in float the slow trajectory of the ensemble takes even the first step */
    assert_true(rejected[CASE_LORENZ] > 0 && rejected[CASE_DOSES] > 0);
}

/* ---- progress ----------------------------------------------------------------------------------------------------- */

static void cancel(proof *f, const char *name) {
    watcher w = { 0, 0, 0 };
    if (f->options.steps) f->options.steps = 192; /* long enough to be asked */
    else f->options.h_max = fabs(f->problem.t1 - f->problem.t0)/32;
    f->options.progress = watch, f->options.progress_ctx = &w, f->options.budget = (size_t)1 << 29;
    proof_create(f);
    assert_int_equal(proof_run(f), NDE_OK);
    const int calls = w.calls;
    if (!calls) fail_msg("%s: progress was not called in %d steps", name, (int)f->solution.stats[0].accepted);
    const result whole = keep(f);
    w = (watcher){ 0, (calls + 1)/2, 0 };
    assert_int_equal(proof_run(f), NDE_STOPPED);
    bool any = false;
    for (size_t b = 0; b < f->n; b++) {
        const nde_status status = f->solution.status[b];
        any = any || status == NDE_STOPPED;
        assert_true(status == NDE_STOPPED || status == NDE_OK);
        assert_true(f->solution.t_end[b] >= f->problem.t0 && f->solution.t_end[b] <= f->problem.t1);
        for (size_t i = 0; i < f->dim; i++) assert_true(isfinite(f->solution.y_end[i*f->n + b]));
    }
    assert_true(any);
    proof_backward(f); /* of what was done */
    const double error = proof_identity(f);
    if (!(error <= 1e3*NDE_TEST_EPS)) fail_msg("%s: <w, Jv> and <J'w, v> differ by %g", name, error);
    w = (watcher){ 0, 0, 0 };
    assert_int_equal(proof_run(f), NDE_OK);
    assert_int_equal(w.calls, calls);
    check_same(&f->solution, &whole, name);
}
static void progress_cancels(void **state) { (void)state, each_case(cancel); }

/* ---- spans with nothing in them ----------------------------------------------------------------------------------- */

static nde_status solve_span(proof *f, double t0, double t1) {
    f->problem.t0 = t0, f->problem.t1 = t1;
    proof_create(f);
    return proof_run(f);
}

static void degenerate_spans(void **state) {
    (void)state;
    for (int fixed = 0; fixed < 2; fixed++)
        for (int joint = 0; joint < 2; joint++)
            for (size_t n = 1; n <= 5; n += 4) {
                proof f;
                case_ensemble(&f, fixed ? 10 : 0, false);
                proof_no_saves(&f), proof_resize(&f, n);
                f.options.stepping = joint;
                assert_int_equal(solve_span(&f, 0.5, 0.5), NDE_OK); /* nothing to do */
                for (size_t i = 0; i < f.dim*n; i++) assert_true(f.solution.y_end[i] == f.problem.y0[i]);
                assert_true(f.solution.t_end[0] == 0.5 && f.solution.stats[0].accepted == 0 && f.solution.saved[0] == 1);
                proof_backward(&f);
                for (size_t i = 0; i < f.dim*n; i++)
                    assert_true(((nde_real *)f.in[IN_Y0].g)[i] == f.seed_y[i] + f.seed_end[i]);
                for (size_t i = 0; i < f.in[IN_P].count; i++) assert_true(((nde_real *)f.in[IN_P].g)[i] == 0);
                nde_real y[2], dy[2];
                assert_int_equal(nde_solver_dense(f.solver, 0, 0.5, y, dy), NDE_OK);
                assert_true(y[0] == f.problem.y0[0] && y[1] == f.problem.y0[n]);

                static const double spans[][2] = { { 1, 1 + DBL_EPSILON }, { 1, 1 - DBL_EPSILON/2 }, { 0, 5e-324 },
                                                   { 0, -1e-300 }, { 1e15, 1e15 + 0.125 }, { 1e15, 1e15 + 2 },
                                                   { -1e15, -1e15 - 2 } };
                for (size_t k = 0; k < LENGTH(spans); k++) {
                    const nde_status status = solve_span(&f, spans[k][0], spans[k][1]);
                    if (status == NDE_E_STEPSIZE || status == NDE_E_LANES) { /* h would have to be below the ulp of t */
                        assert_true(fixed || fabs(spans[k][0]) == 1e15);
                        assert_true(nde_solver_error(f.solver)[0]);
                        continue;
                    }
                    if (status != NDE_OK) fail_msg("span %zu: %s", k, nde_solver_error(f.solver));
                    assert_true(f.solution.t_end[0] == spans[k][1]);
                    for (size_t i = 0; i < f.dim*n; i++) assert_true(isfinite(f.solution.y_end[i]));
                    if (fabs(spans[k][1] - spans[k][0]) > 1e-10) continue;
                    for (size_t i = 0; i < f.dim*n; i++)
                        assert_true(fabs((double)(f.solution.y_end[i] - f.problem.y0[i])) <= 4*NDE_TEST_EPS);
                    proof_backward(&f);
                    for (size_t i = 0; i < f.dim*n; i++) assert_true(isfinite(((nde_real *)f.in[IN_Y0].g)[i]));
                }
                static const double bad[] = { (double)INFINITY, -(double)INFINITY, (double)NAN };
                for (size_t k = 0; k < LENGTH(bad); k++) {
                    f.problem.t0 = 0, f.problem.t1 = bad[k];
                    proof_create(&f);
                    assert_int_equal(proof_run(&f), NDE_E_ARG);
                    assert_non_null(strstr(nde_solver_error(f.solver), "t1"));
                    f.problem.t0 = bad[k], f.problem.t1 = 1;
                    proof_create(&f);
                    assert_int_equal(proof_run(&f), NDE_E_ARG);
                }
                f.problem.t0 = -1.5e308, f.problem.t1 = 1.5e308; /* their difference is not finite */
                proof_create(&f);
                assert_int_equal(proof_run(&f), NDE_E_ARG);
                if (!fixed) { /* a first step beyond the end */
                    f.options.h0 = 100;
                    assert_int_equal(solve_span(&f, 0, 0.01), NDE_OK);
                    assert_true(f.solution.stats[0].h_first <= 0.01);
                    f.options.h0 = (double)INFINITY;
                    nde_solver *s;
                    f.problem.t1 = 1;
                    const nde_status status = nde_solver_create(&f.problem, &f.options, &s);
                    assert_true(status == NDE_OK || status == NDE_E_ARG);
                    if (status == NDE_OK) {
                        assert_int_equal(nde_solver_run(s, &f.solution), NDE_OK);
                        nde_solver_destroy(s);
                    }
                }
                proof_end(&f);
            }
}

/* A one-shot solve that cannot begin leaves a zeroed solution. */
static void one_shot_refused(void **state) {
    (void)state;
    proof f;
    case_doses(&f, 0, false);
    nde_solution s;
    memset(&s, 0xff, sizeof s);
    s.size = sizeof s;
    f.options.method = 12345;
    assert_int_equal(nde_solve(&f.problem, &f.options, &s), NDE_E_ARG);
    assert_true(s.y == NULL && s.solver == NULL && s.n == 0);
    nde_solution_free(&s);
    f.options.method = 0;
    f.problem.y0 = NULL;
    assert_int_equal(nde_solve(&f.problem, &f.options, &s), NDE_E_ARG);
    assert_null(s.solver);
    nde_solution_free(&s), nde_solution_free(NULL), nde_solver_destroy(NULL);
    proof_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(blocks_are_exact),
        cmocka_unit_test(runs_are_repeatable),
        cmocka_unit_test(states_go_elsewhere),
        cmocka_unit_test(foreign_states_are_refused),
        cmocka_unit_test(one_trajectory_alone),
        cmocka_unit_test(progress_cancels),
        cmocka_unit_test(degenerate_spans),
        cmocka_unit_test(one_shot_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
