/* SPDX-License-Identifier: MIT
 * allocation.c - solving allocates nothing: counted through the hook, and through malloc and its relatives, which this program
 * defines for itself and for the shared libraries that it loads. */
#include "rig.h"

#include <errno.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define INTERPOSED 0 /* the sanitizers have their own */
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define INTERPOSED 0
#endif
#endif
#if !defined(INTERPOSED) && defined(__GLIBC__)
#define INTERPOSED 1
#elif !defined(INTERPOSED)
#define INTERPOSED 0
#endif

static atomic_bool watching;
static atomic_long seen, fail_at = -1;

/* Counts a call; true: it is to fail. */
static inline bool count_call(void) {
    if (!atomic_load(&watching)) return false;
    return atomic_fetch_add(&seen, 1) == atomic_load(&fail_at);
}

#if INTERPOSED
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *block);

void *malloc(size_t bytes) { return count_call() ? NULL : __libc_malloc(bytes); }
void *calloc(size_t count, size_t bytes) { return count_call() ? NULL : __libc_calloc(count, bytes); }
void *realloc(void *block, size_t bytes) { return count_call() ? NULL : __libc_realloc(block, bytes); }
void *memalign(size_t align, size_t bytes);
void *memalign(size_t align, size_t bytes) { return count_call() ? NULL : __libc_memalign(align, bytes); }
void *aligned_alloc(size_t align, size_t bytes) { return count_call() ? NULL : __libc_memalign(align, bytes); }
int posix_memalign(void **block, size_t align, size_t bytes) {
    *block = count_call() ? NULL : __libc_memalign(align, bytes);
    return *block ? 0 : ENOMEM;
}
void free(void *block) {
    (void)count_call();
    __libc_free(block);
}
void *mmap(void *at, size_t bytes, int protection, int flags, int file, off_t offset) {
    if (count_call()) return errno = ENOMEM, MAP_FAILED;
    return (void *)syscall(SYS_mmap, at, bytes, protection, flags, file, offset);
}
#endif

static long calls_of(nde_status status, nde_status expected) {
    atomic_store(&watching, false);
    assert_int_equal(status, expected);
    return atomic_exchange(&seen, 0);
}
#define WATCH(call, expected) (atomic_store(&watching, true), calls_of((call), (expected)))

static void counting_counts(void **state) {
    (void)state;
    if (!INTERPOSED) skip();
    atomic_store(&watching, true);
    void *volatile block = malloc(10);
    free(block);
    atomic_store(&watching, false);
    assert_int_equal(atomic_exchange(&seen, 0), 2);
    static rig r;
    rig_make(&r, PLAIN, 1);
    assert_int_equal(WATCH(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK), INTERPOSED);
    atomic_store(&watching, true);
    nde_solver_destroy(r.solver);
    assert_int_equal(calls_of(NDE_OK, NDE_OK), INTERPOSED);
}

/* M5: equal allocation counts whatever the number of steps; running, backward, forward and dense make none. */
static void steps_allocate_nothing(void **state) {
    (void)state;
    static rig r;
    static nde_real y[4], dy[4];
    long plans = 0;
    const int64_t steps[] = { 10, 1000, getenv("NDE_TEST_LONG") ? 100000 : 10000 };
    for (size_t m = 0; m < nde_method_count(); m++)
        for (int kind = 0; kind < KINDS; kind++)
            for (int bits = 0; bits < 16; bits++) {
                const bool adaptive = bits & 1, joint = bits & 2, adjoint = bits & 4;
                for (size_t i = 0; i < LENGTH(steps); i++) {
                    if (i == 2 && (!INTERPOSED || kind != PLAIN || joint || bits & 8)) continue; /* the long ones once a method */
                    allocator a;
                    allocator_make(&a, -1, false, FILL_NOTHING);
                    rig_make(&r, kind, bits & 8 ? 5 : 1);
                    if (!rig_method(&r, nde_method_at(m), !adaptive)) break;
                    r.options.allocator = &a.hook;
                    if (adaptive) r.options.h_max = 1/(double)steps[i], r.options.max_steps = NDE_ZERO;
                    else r.options.steps = steps[i];
                    r.options.stepping = joint ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
                    r.options.adjoint = adjoint;
                    r.options.budget = (size_t)1 << (i == 2 ? 25 : 20); /* the long ones fall back to checkpoints */
                    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
                    assert_int_equal(a.total, 1);
                    assert_int_equal(WATCH(nde_solver_run(r.solver, &r.solution), NDE_OK), 0);
                    const int64_t taken = r.solution.stats[0].accepted;
                    assert_true(taken >= steps[i] && (i == 0 || taken <= 2*steps[i]));
                    if (adjoint) {
                        assert_int_equal(WATCH(nde_backward(r.solver, &r.seed, &r.gradient), NDE_OK), 0);
                        assert_int_equal(WATCH(nde_forward(r.solver, &r.direction, &r.tangent), NDE_OK), 0);
                        assert_int_equal(WATCH(nde_solver_dense(r.solver, 0, 0.5, y, dy), NDE_OK), 0);
                    }
                    assert_int_equal(a.total, 1);
                    nde_solver_destroy(r.solver);
                    assert_int_equal(a.live, 0);
                    plans++;
                }
            }
    print_message("M5: %ld plans of 10, 10^3, %ld steps: one allocation each, none in run, backward, forward, dense\n", plans,
                  (long)steps[2]);
}

static void curvature_and_directions_allocate_nothing(void **state) {
    (void)state;
    static rig r;
    static nde_real v[4096], out[4096];
    allocator a;
    allocator_make(&a, -1, false, FILL_NOTHING);
    rig_make(&r, NETWORK, 24);
    const nde_field network = nde_field_mlp(&r.mlp); /* the rig's own has no second derivatives */
    r.problem.drift = &network;
    r.options.allocator = &a.hook, r.options.adjoint = NDE_ADJOINT_DISCRETE, r.options.curvature = 1, r.options.directions = 3;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
    assert_int_equal(a.total, 1);
    assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
    assert_true(3*r.solution.dim*r.solution.n <= LENGTH(v));
    for (size_t i = 0; i < LENGTH(v); i++) v[i] = 1;
    const nde_direction along = NDE_INIT(nde_direction, .y0 = v);
    const nde_output_tangent tangent = NDE_INIT(nde_output_tangent, .y_end = out);
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = v);
    const nde_gradient product = NDE_INIT(nde_gradient, .y0 = out);
    assert_int_equal(WATCH(nde_forward_many(r.solver, 3, &along, &tangent), NDE_OK), 0);
    assert_int_equal(WATCH(nde_gauss_newton_product(r.solver, &along, NULL, &tangent, &product), NDE_OK), 0);
    assert_int_equal(WATCH(nde_hessian_product(r.solver, &along, &seed, NULL, &product), NDE_OK), 0);
    nde_solver_destroy(r.solver);
    assert_int_equal(a.live, 0);
}

/* The pool's threads too. */
static void threads_allocate_nothing(void **state) {
    (void)state;
    static rig r;
    allocator a;
    allocator_make(&a, -1, false, FILL_NOTHING);
    rig_make(&r, NETWORK, 24);
    r.options.allocator = &a.hook, r.options.threads = 2, r.options.group = 5, r.options.adjoint = NDE_ADJOINT_DISCRETE;
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(WATCH(nde_solver_run(r.solver, &r.solution), NDE_OK), 0);
        assert_int_equal(WATCH(nde_backward(r.solver, &r.seed, &r.gradient), NDE_OK), 0);
    }
    assert_int_equal(a.total, 2);
    nde_solver_destroy(r.solver);
    assert_int_equal(a.live, 0);
}

/* A training loop whose network grows steeper, so that steps become more and more. */
static void growing_network_allocates_nothing(void **state) {
    (void)state;
    static rig r;
    enum { RUNS = 10000 };
    allocator a;
    allocator_make(&a, -1, false, FILL_NOTHING);
    rig_make(&r, NETWORK, 1);
    nde_real p[MOST_P];
    memcpy(p, r.p, sizeof p);
    r.options.allocator = &a.hook;
    r.options.adjoint = NDE_ADJOINT_DISCRETE;
    r.options.budget = 2000*sizeof(nde_real); /* the later ones fall back */
    assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
    int64_t first = 0, last = 0, calls = 0;
    int forms = 0;
    for (int run = 0; run < RUNS; run++) {
        const nde_real scale = (nde_real)(1 + 24.0*run/RUNS);
        for (size_t i = 0; i < r.field[DRIFT].np; i++) r.p[i] = scale*p[i];
        calls += WATCH(nde_solver_run(r.solver, &r.solution), NDE_OK);
        calls += WATCH(nde_backward(r.solver, &r.seed, &r.gradient), NDE_OK);
        last = r.solution.stats[0].accepted;
        if (run == 0) first = last;
        forms |= 1 << r.solution.record;
    }
    assert_int_equal(calls, 0);
    assert_int_equal(a.total, 1);
    assert_true(last >= 5*first);
    assert_true(forms & 1 << NDE_RECORD_TAPE && forms & ~(1 << NDE_RECORD_TAPE));
    print_message("%d runs with gradient: %lld to %lld steps, %lld allocations\n", RUNS, (long long)first, (long long)last,
                  (long long)calls);
    nde_solver_destroy(r.solver);
    assert_int_equal(a.live, 0);
}

/* What has no hook: nde_field_check, and the default allocator of a solver. */
static void malloc_fails(void **state) {
    (void)state;
    if (!INTERPOSED) skip();
    static rig r;
    rig_make(&r, EVERYTHING, 1);
    const double t = 0.5;
    const nde_real u[2] = { 1, 2 };
    const nde_site at = { .n = 1, .ld = 1, .t = &t, .p = r.p, .q = r.q, .u = u };
    char text[200];
    double worst = 7;
    const char *const names[] = { "nde_field_check", "nde_solver_create", "nde_solve", "nde_solver_create, two threads" };
    for (int entry = 0; entry < 4; entry++)
        for (long k = 0;; k++) {
            nde_solver *solver = NULL;
            nde_solution solution = { .size = sizeof solution };
            nde_status status;
            strcpy(text, "untouched");
            worst = 7;
            r.options.threads = entry == 3 ? 2 : 0;
            atomic_store(&fail_at, k);
            atomic_store(&watching, true);
            if (entry == 0) status = nde_field_check(&r.inner[DRIFT], &at, r.y0, &worst, text, sizeof text);
            else if (entry == 2) status = nde_solve(&r.problem, &r.options, &solution);
            else status = nde_solver_create(&r.problem, &r.options, &solver);
            atomic_store(&watching, false);
            const long calls = atomic_exchange(&seen, 0);
            atomic_store(&fail_at, -1);
            if (status == NDE_OK) {
                nde_solver_destroy(solver);
                nde_solution_free(&solution);
                if (entry < 3) assert_true(k > 0);
                if (k >= calls) break; /* nothing failed */
                continue; /* the library did without */
            }
            assert_int_equal(status, NDE_E_NOMEM);
            assert_null(solver);
            assert_null(solution.solver);
            assert_true(worst == 7);
            assert_string_equal(text, "untouched");
            if (k > 100) fail_msg("%s never succeeds", names[entry]);
        }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(counting_counts),
        cmocka_unit_test(steps_allocate_nothing),
        cmocka_unit_test(curvature_and_directions_allocate_nothing),
        cmocka_unit_test(threads_allocate_nothing),
        cmocka_unit_test(growing_network_allocates_nothing),
        cmocka_unit_test(malloc_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
