/* SPDX-License-Identifier: MIT
 * store.c - states that go to a store: the gradient of full memory, steps made again once or, where times have taken room
 * meanwhile, twice; and stores that are full, short or cannot be read. */
#include <fcntl.h>
#include <limits.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "ring.h"

enum { DIM = 6, N_MOST = 7, ROOM = 1 << 22 };

static nde_field field;

typedef struct rig {
    nde_problem problem;
    nde_options options;
    nde_store store;
    nde_real y0[DIM*N_MOST], seed[DIM*N_MOST], p[1], gy[DIM*N_MOST], gp[1];
    double t1[N_MOST];
    int64_t recomputed;
    nde_solver *solver;
    nde_solution solution;
    unsigned char bytes[ROOM];
    uint64_t end;
    long writes, reads, bad_write, bad_read; /* bad: number of the call that fails; < 0: none */
} rig;

static int put(void *ctx, uint64_t offset, const void *from, size_t bytes) {
    rig *r = ctx;
    if (r->writes++ == r->bad_write) return 1;
    assert_true(offset + bytes <= ROOM);
    memcpy(r->bytes + offset, from, bytes);
    if (offset + bytes > r->end) r->end = offset + bytes;
    return 0;
}
static int get(void *ctx, uint64_t offset, void *to, size_t bytes) {
    rig *r = ctx;
    if (r->reads++ == r->bad_read) return 1;
    assert_true(offset + bytes <= r->end);
    memcpy(to, r->bytes + offset, bytes);
    return 0;
}

/* kind: one trajectory; several with their own ends, in blocks of their own; joint steps; fixed ones. */
enum { ONE, SEVERAL, JOINT, FIXED, KINDS };
static rig r, full;

static void make(rig *x, int kind) {
    memset(x, 0, sizeof *x);
    const size_t n = kind == ONE ? 1 : N_MOST;
    x->p[0] = 1, x->bad_write = x->bad_read = -1;
    field = ring_make(DIM, n, x->y0, x->seed);
    for (size_t b = 0; b < n; b++) x->t1[b] = 3 + cos((double)b);
    x->problem = NDE_INIT(nde_problem, .n = n, .t1 = 4, .y0 = x->y0, .p = x->p, .drift = &field);
    if (kind == SEVERAL) x->problem.t1_each = x->t1;
    x->options = NDE_INIT(nde_options, .adjoint = NDE_ADJOINT_DISCRETE, .h_max = 0.01, .record = NDE_RECORD_STATES,
                          .budget = (size_t)1 << 22, .stepping = kind == JOINT, .steps = kind == FIXED ? 500 : 0,
                          .group = kind == SEVERAL ? 4 : 0, .threads = kind == SEVERAL ? 1 : 0);
    x->store = NDE_INIT(nde_store, .write = put, .read = get, .ctx = x);
}

static nde_status run(rig *x) {
    assert_int_equal(nde_solver_create(&x->problem, &x->options, &x->solver), NDE_OK);
    return nde_solver_run(x->solver, &x->solution);
}

static nde_status back(rig *x) {
    memset(x->gy, 0x55, sizeof x->gy), memset(x->gp, 0x55, sizeof x->gp);
    return nde_backward(x->solver, &(nde_seed){ .y_end = x->seed },
                        &(nde_gradient){ .y0 = x->gy, .p = x->gp, .recomputed = &x->recomputed });
}

static void assert_same(void) {
    assert_memory_equal(r.gy, full.gy, sizeof full.gy);
    assert_memory_equal(r.gp, full.gp, sizeof full.gp);
}

static void solve_fully(int kind) {
    make(&full, kind);
    assert_int_equal(run(&full), NDE_OK);
    assert_int_equal(back(&full), NDE_OK);
    assert_int_equal(full.recomputed, 0);
}

/* A budget in which the times and some 30 states have room. */
static void make_small(int kind) {
    make(&r, kind);
    static const size_t budget[KINDS] = { 5000, 46000, 13600, 39000 };
    r.options.budget = budget[kind];
    r.options.record = 0, r.options.store = &r.store;
}

static void the_gradient_of_full_memory(void **state) {
    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        solve_fully(kind);
        int64_t most = 0;
        for (size_t b = 0; b < full.problem.n; b++) most += full.solution.stats[b].accepted;
        make_small(kind);
        if (run(&r) != NDE_OK) fail_msg("kind %d: %s", kind, nde_solver_error(r.solver));
        assert_int_equal(r.solution.record, NDE_RECORD_CHECKPOINTS);
        assert_true(r.writes > 3 && r.solution.record_bytes <= r.options.budget);
        assert_int_equal(back(&r), NDE_OK);
        assert_same();
        print_message("kind %d: %ld states written, %lld steps made again\n", kind, r.writes, (long long)r.recomputed);
        assert_true(r.recomputed > 0 && r.recomputed <= 2*most);
        nde_real y[DIM], same[DIM]; /* the dense solution, and a second way back */
        for (size_t b = 0; b < full.problem.n; b += 3)
            for (double t = 1.9; t > 0; t -= 0.31) {
                assert_int_equal(nde_solver_dense(r.solver, b, t, y, NULL), NDE_OK);
                assert_int_equal(nde_solver_dense(full.solver, b, t, same, NULL), NDE_OK);
                assert_memory_equal(y, same, sizeof y);
            }
        assert_int_equal(back(&r), NDE_OK);
        assert_same();
        r.writes = 0; /* and a second run */
        assert_int_equal(nde_solver_run(r.solver, NULL), NDE_OK);
        assert_int_equal(back(&r), NDE_OK);
        assert_same();
        nde_solver_destroy(r.solver), nde_solver_destroy(full.solver);
    }
}

/* A store that writes no more, at each of its calls. */
static void full_stores(void **state) {
    (void)state;
    solve_fully(ONE);
    make_small(ONE);
    assert_int_equal(run(&r), NDE_OK);
    const long writes = r.writes;
    nde_solver_destroy(r.solver);
    for (long at = 0; at < writes; at++) {
        make_small(ONE);
        r.bad_write = at;
        assert_int_equal(run(&r), NDE_E_IO);
        assert_non_null(strstr(nde_solver_error(r.solver), nde_status_text(NDE_E_IO)));
        assert_true(isfinite((double)r.solution.y_end[0]));
        assert_int_equal(back(&r), NDE_E_ARG);
        r.bad_write = -1; /* there is room again */
        assert_int_equal(nde_solver_run(r.solver, NULL), NDE_OK);
        assert_int_equal(back(&r), NDE_OK);
        assert_same();
        nde_solver_destroy(r.solver);
    }
    nde_solver_destroy(full.solver);
}

/* A store that does not read, at each of its calls: no gradient, and the same one when it reads again. */
static void unreadable_stores(void **state) {
    (void)state;
    solve_fully(ONE);
    make_small(ONE);
    assert_int_equal(run(&r), NDE_OK);
    for (long at = 0; r.bad_read >= 0 || at == 0; at++) {
        unsigned char untouched[sizeof r.gy];
        memset(untouched, 0x55, sizeof untouched);
        r.reads = 0, r.bad_read = at;
        const nde_status status = back(&r);
        if (status == NDE_OK) break;
        assert_int_equal(status, NDE_E_IO);
        assert_non_null(strstr(nde_solver_error(r.solver), "options.store.read"));
        assert_memory_equal(r.gy, untouched, sizeof untouched);
    }
    assert_same();
    r.reads = 0, r.bad_read = 0;
    nde_real y[DIM];
    assert_int_equal(nde_solver_dense(r.solver, 0, 2, y, NULL), NDE_E_IO);
    nde_solver_destroy(r.solver), nde_solver_destroy(full.solver);
}

/* A field may return any code, the one that stands for a store too. */
static void fields_that_refuse(void **state) {
    (void)state;
    const int codes[] = { INT_MIN, INT_MIN + 1, -1 };
    solve_fully(ONE);
    make_small(ONE);
    assert_int_equal(run(&r), NDE_OK);
    for (size_t i = 0; i < sizeof codes/sizeof codes[0]; i++) {
        char said[32];
        snprintf(said, sizeof said, "returned %d", codes[i]);
        ring_code = codes[i];
        assert_int_equal(back(&r), NDE_E_FIELD);
        assert_non_null(strstr(nde_solver_error(r.solver), said));
        ring_code = 0;
        assert_int_equal(back(&r), NDE_OK);
        assert_same();
    }
    nde_solver_destroy(r.solver), nde_solver_destroy(full.solver);
}

static void files(void **state) {
    (void)state;
    char path[] = "/tmp/nde-store-XXXXXX";
    const int made = mkstemp(path);
    assert_true(made >= 0);
    solve_fully(SEVERAL);
    make_small(SEVERAL);
    assert_int_equal(nde_store_open(&r.store, path), NDE_OK);
    if (run(&r) != NDE_OK) fail_msg("%s", nde_solver_error(r.solver));
    assert_true(lseek(made, 0, SEEK_END) > 0);
    assert_int_equal(back(&r), NDE_OK);
    assert_same();
    assert_int_equal(ftruncate(made, lseek(made, 0, SEEK_END)/3), 0); /* somebody has cut it off */
    assert_int_equal(back(&r), NDE_E_IO);
    assert_int_equal(nde_solver_run(r.solver, NULL), NDE_OK);
    assert_int_equal(back(&r), NDE_OK);
    assert_same();
    nde_solver_destroy(r.solver), nde_solver_destroy(full.solver);
    nde_store_close(&r.store), nde_store_close(&r.store), nde_store_close(NULL);
    close(made), unlink(path);
    if (access("/dev/full", W_OK)) return;
    make_small(ONE);
    assert_int_equal(nde_store_open(&r.store, "/dev/full"), NDE_OK);
    assert_int_equal(run(&r), NDE_E_IO);
    nde_solver_destroy(r.solver), nde_store_close(&r.store);
}

static void refusals(void **state) {
    (void)state;
    nde_store store = { 0 };
    assert_int_equal(nde_store_open(NULL, "x"), NDE_E_ARG);
    assert_int_equal(nde_store_open(&store, NULL), NDE_E_ARG);
    assert_int_equal(nde_store_open(&store, "/nowhere/at/all"), NDE_E_IO);
    assert_non_null(strstr(nde_error(), "/nowhere/at/all"));
    assert_null(store.ctx);
    nde_store_close(&store);
    make_small(ONE);
    r.store.read = NULL;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "options.store: read"));
    r.store.write = NULL;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_E_ARG);
    r.store.size = 3;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_E_ARG);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_gradient_of_full_memory), cmocka_unit_test(full_stores), cmocka_unit_test(unreadable_stores),
        cmocka_unit_test(fields_that_refuse), cmocka_unit_test(files), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
