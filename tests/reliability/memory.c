/* SPDX-License-Identifier: MIT
 * memory.c - whatever allocation fails, whatever fresh memory holds, wherever the caller's arrays lie. */
#include "rig.h"

#include <sys/mman.h>
#include <unistd.h>

/* ---- every plan of the matrix ------------------------------------------------------------------------------------- */

typedef struct plan {
    const nde_method *method;
    int kind, stepping, threads;
    bool fixed, adjoint;
    size_t n;
} plan;

/* Calls `test` for each plan that a problem can have. Returns how many there were. */
static long each_plan(const size_t *n, size_t n_count, int most_threads, void (*test)(const plan *, rig *, void *), void *arg) {
    static rig r;
    long count = 0;
    for (size_t m = 0; m < nde_method_count(); m++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int bits = 0; bits < 8; bits++)
                for (size_t i = 0; i < n_count; i++)
                    for (int threads = 1; threads <= most_threads; threads++) {
                        const plan p = { nde_method_at(m), kind, bits & 1 ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT, threads,
                                         bits & 2, bits & 4, n[i] };
                        rig_make(&r, kind, p.n);
                        if (!rig_method(&r, p.method, p.fixed)) continue;
                        r.options.stepping = p.stepping;
                        r.options.adjoint = p.adjoint ? NDE_ADJOINT_DISCRETE : NDE_ADJOINT_NONE;
                        r.options.threads = threads;
                        test(&p, &r, arg);
                        count++;
                    }
    return count;
}

static void run_plan(const plan *p, rig *r) {
    assert_int_equal(nde_solver_run(r->solver, &r->solution), NDE_OK);
    if (!p->adjoint) return;
    assert_int_equal(nde_backward(r->solver, &r->seed, &r->gradient), NDE_OK);
    assert_int_equal(nde_forward(r->solver, &r->direction, &r->tangent), NDE_OK);
}

/* ---- M1, M2: each allocation fails once, or from there on for ever ------------------------------------------------- */

enum { CREATE, CREATE_IN, SOLVE, ENTRIES };

static nde_status enter(int entry, rig *r, void *block, size_t bytes) {
    switch (entry) {
    case CREATE: return nde_solver_create(&r->problem, &r->options, &r->solver);
    case CREATE_IN: return nde_solver_create_in(block, bytes, &r->problem, &r->options, &r->solver);
    default: return nde_solve(&r->problem, &r->options, &r->solution);
    }
}

static void fail_allocations(const plan *p, rig *r, void *arg) {
    long *failures = arg;
    static rig before;
    for (int entry = 0; entry < ENTRIES; entry++) {
        void *block = NULL;
        size_t bytes = 0;
        if (entry == CREATE_IN) {
            bytes = nde_solver_bytes(&r->problem, &r->options);
            assert_int_equal(posix_memalign(&block, 64, bytes), 0);
        }
        for (int twice = 0; twice < 2; twice++)
            for (long k = 0;; k++) {
                allocator a;
                allocator_make(&a, k, twice, FILL_NOTHING);
                r->options.allocator = &a.hook;
                r->solver = (nde_solver *)(void *)r; /* anything: it must become NULL */
                fill_written(r, 0x5c);
                memset(&r->solution, 0x5c, sizeof r->solution);
                r->solution.size = sizeof r->solution;
                memcpy(&before, r, sizeof before);
                const nde_status status = enter(entry, r, block, bytes);
                if (status == NDE_OK) {
                    assert_true(k >= (entry != CREATE_IN) + (p->threads > 1));
                    if (entry == SOLVE) nde_solution_free(&r->solution);
                    else nde_solver_destroy(r->solver);
                    assert_int_equal(a.live, 0);
                    r->options.allocator = NULL;
                    break;
                }
                assert_int_equal(status, NDE_E_NOMEM);
                assert_int_equal(a.live, 0);
                assert_non_null(strstr(nde_error(), "memory"));
                nde_solution none = { .size = sizeof none };
                if (entry == SOLVE) assert_memory_equal(&r->solution, &none, sizeof none);
                else assert_null(r->solver);
                r->solver = before.solver, r->solution = before.solution;
                assert_memory_equal(&before, r, sizeof before); /* nothing else was touched */
                ++*failures;
            }
        free(block);
    }
}

static void each_allocation_fails(void **state) {
    (void)state;
    long failures = 0;
    const size_t n[] = { 1, 5 };
    const long plans = each_plan(n, LENGTH(n), 2, fail_allocations, &failures);
    print_message("M1, M2: %ld plans x %d entry points, %ld failed allocations\n", plans, ENTRIES, failures);
    assert_true(plans >= 300);
}

/* ---- M6: nde_solver_bytes is exact -------------------------------------------------------------------------------- */

/* Bytes that end where nothing can be written any more; at a multiple of 64 when bytes are. */
typedef struct guarded {
    char *map;
    size_t mapped;
    void *block;
} guarded;

static guarded guard(size_t bytes, bool at_end) {
    const size_t page = (size_t)sysconf(_SC_PAGESIZE), body = (bytes + page - 1)/page*page;
    guarded g = { .mapped = body + 2*page };
    g.map = mmap(NULL, g.mapped, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(g.map != MAP_FAILED);
    assert_int_equal(mprotect(g.map, page, PROT_NONE), 0);
    assert_int_equal(mprotect(g.map + page + body, page, PROT_NONE), 0);
    g.block = g.map + page + (at_end ? body - bytes : 0);
    return g;
}

static void bytes_are_exact(const plan *p, rig *r, void *arg) {
    size_t *largest = arg;
    const size_t bytes = nde_solver_bytes(&r->problem, &r->options);
    assert_true(bytes > 0 && bytes % 64 == 0);
    allocator a;
    allocator_make(&a, -1, false, FILL_NOTHING);
    r->options.allocator = &a.hook;
    assert_int_equal(nde_solver_create(&r->problem, &r->options, &r->solver), NDE_OK);
    if (p->threads == 1) assert_int_equal(a.total, 1);
    assert_int_equal(a.largest, bytes);
    nde_solver_destroy(r->solver);
    assert_int_equal(a.live, 0);
    r->options.allocator = NULL;

    const guarded g = guard(bytes, true);
    assert_int_equal(nde_solver_create_in(g.block, bytes - 1, &r->problem, &r->options, &r->solver), NDE_E_ARG);
    assert_null(r->solver);
    assert_int_equal(nde_solver_create_in(g.block, bytes, &r->problem, &r->options, &r->solver), NDE_OK);
    run_plan(p, r);
    nde_solver_destroy(r->solver);
    munmap(g.map, g.mapped);
    if (bytes > *largest) *largest = bytes;
}

static void solver_bytes_is_exact(void **state) {
    (void)state;
    size_t largest = 0;
    const size_t n[] = { 1, 3, 17 };
    const long plans = each_plan(n, LENGTH(n), 1, bytes_are_exact, &largest);
    print_message("M6: %ld plans exact, the largest %zu bytes\n", plans, largest);
}

/* ---- M8: what fresh memory holds makes no difference -------------------------------------------------------------- */

static void same_bits_on_garbage(const plan *p, rig *r, void *arg) {
    long *hashes = arg;
    uint64_t first[2] = { 0 };
    for (int fill = FILL_ZERO; fill < FILLS; fill++) {
        allocator a;
        allocator_make(&a, -1, false, fill);
        r->options.allocator = &a.hook;
        fill_written(r, 0);
        assert_int_equal(nde_solver_create(&r->problem, &r->options, &r->solver), NDE_OK);
        run_plan(p, r);
        const uint64_t forward = hash_solution(&r->solution), backward = hash_written(r);
        if (fill == FILL_ZERO) first[0] = forward, first[1] = backward;
        if (forward != first[0] || backward != first[1])
            fail_msg("%s, %s, %s%s%s: other bits on memory filled with pattern %d", nde_method_name(p->method),
                     kind_names[p->kind], p->fixed ? "fixed, " : "", p->stepping ? "joint, " : "",
                     forward != first[0] ? "solution" : "gradient", fill);
        run_plan(p, r); /* the solver's own leavings are garbage too */
        assert_true(hash_solution(&r->solution) == first[0] && hash_written(r) == first[1]);
        nde_solver_destroy(r->solver);
        assert_int_equal(a.live, 0);
        ++*hashes;
    }
    r->options.allocator = NULL;
}

static void garbage_makes_no_difference(void **state) {
    (void)state;
    long hashes = 0;
    const size_t n[] = { 1, 3, 17 };
    const long plans = each_plan(n, LENGTH(n), 1, same_bits_on_garbage, &hashes);
    print_message("M8: %ld plans x 3 fillings, forward, backward and forward mode: equal bits\n", plans);
}

/* ---- M9, M10: the caller's arrays end, or begin, at an inaccessible page; or lie at odd places -------------------- */

enum { AT_END, AT_BEGIN, ODD, PLACES };

static void move_arrays(rig *r, int place, guarded *held, size_t *count) {
    array_ref list[MOST_ARRAYS];
    const size_t arrays = rig_arrays(r, list);
    for (size_t i = 0; i < arrays; i++) {
        const void *old = pointer_of(&list[i]);
        const guarded g = guard(list[i].bytes + (place == ODD ? 64 : 0), place == AT_END);
        void *new = (char *)g.block + (place == ODD ? sizeof(double) : 0);
        if (place == ODD && list[i].bytes % 8) new = (char *)g.block + sizeof(nde_real);
        memcpy(new, old, list[i].bytes);
        memcpy(list[i].pointer, &new, sizeof new);
        held[(*count)++] = g;
    }
}

static void same_bits_anywhere(const plan *p, rig *r, void *arg) {
    long *moves = arg;
    static rig moved;
    assert_int_equal(nde_solver_create(&r->problem, &r->options, &r->solver), NDE_OK);
    fill_written(r, 0);
    run_plan(p, r);
    const uint64_t forward = hash_solution(&r->solution), backward = hash_written(r);
    nde_solver_destroy(r->solver);
    for (int place = 0; place < PLACES; place++) {
        guarded held[MOST_ARRAYS];
        size_t count = 0;
        rig_make(&moved, p->kind, p->n);
        rig_method(&moved, p->method, p->fixed);
        moved.options.stepping = p->stepping, moved.options.adjoint = r->options.adjoint;
        fill_written(&moved, 0);
        move_arrays(&moved, place, held, &count);
        assert_int_equal(nde_solver_create(&moved.problem, &moved.options, &moved.solver), NDE_OK);
        run_plan(p, &moved);
        assert_true(hash_solution(&moved.solution) == forward);
        assert_true(hash_written(&moved) == backward);
        nde_solver_destroy(moved.solver);
        while (count) count--, munmap(held[count].map, held[count].mapped);
        ++*moves;
    }
}

static void arrays_may_lie_anywhere(void **state) {
    (void)state;
    long moves = 0;
    const size_t n[] = { 1, 2, 7, 16, 23 };
    const long plans = each_plan(n, LENGTH(n), 1, same_bits_anywhere, &moves);
    print_message("M9, M10: %ld plans x %d places of every array: equal bits, no fault\n", plans, PLACES);
}

/* A block of the caller's that is not at a multiple of 64 is refused. */
static void odd_blocks_are_refused(void **state) {
    (void)state;
    static rig r;
    rig_make(&r, PLAIN, 1);
    const size_t bytes = nde_solver_bytes(&r.problem, &r.options);
    char *block = NULL;
    assert_int_equal(posix_memalign((void **)(void *)&block, 64, bytes + 64), 0);
    for (size_t i = 1; i < 64; i++) {
        assert_int_equal(nde_solver_create_in(block + i, bytes, &r.problem, &r.options, &r.solver), NDE_E_ARG);
        assert_null(r.solver);
    }
    assert_int_equal(nde_solver_create_in(block + 64, bytes, &r.problem, &r.options, &r.solver), NDE_OK);
    nde_solver_destroy(r.solver);
    free(block);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_allocation_fails),
        cmocka_unit_test(solver_bytes_is_exact),
        cmocka_unit_test(garbage_makes_no_difference),
        cmocka_unit_test(arrays_may_lie_anywhere),
        cmocka_unit_test(odd_blocks_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
