/* SPDX-License-Identifier: MIT
 * threads.c - many solvers in many threads: no race (the sanitizer watches), the bits of one thread, no leak; failures in
 * a thread of an ensemble; fork between steps; a stop request from another thread. */
#include "rig.h"

#include <pthread.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
enum { WATCHED = 1 };
#else
enum { WATCHED = 0 };
#endif

static bool is_long(void) { return getenv("NDE_TEST_LONG"); }

static void in_threads(size_t count, void *(*run)(void *arg), void *args, size_t size) {
    pthread_t thread[64];
    assert_true(count <= LENGTH(thread));
    for (size_t i = 0; i < count; i++) assert_int_equal(pthread_create(&thread[i], NULL, run, (char *)args + i*size), 0);
    for (size_t i = 0; i < count; i++) assert_int_equal(pthread_join(thread[i], NULL), 0);
}

/* ---- T1 ----------------------------------------------------------------------------------------------------------- */

typedef struct work {
    size_t which;
    uint64_t hash; /* of the solution, of gradients and tangents */
    bool good;
} work;

/* A problem of some kind with a method that fits, alone or an ensemble, some with threads of their own. */
static void *solve_one(void *arg) {
    work *w = arg;
    rig *r = malloc(sizeof *r);
    const size_t which = w->which;
    const bool joint = which/KINDS % 2;
    rig_make(r, (int)(which % KINDS), 1 + which % 9);
    const bool fixed = r->kind == NOISE || r->kind == SCALAR_NOISE || r->kind == SPLIT;
    if (fixed) r->options.steps = 16;
    r->options.stepping = joint && !fixed ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT;
    r->options.adjoint = NDE_ADJOINT_DISCRETE;
    if (which % 5 == 0) r->options.threads = 3, r->options.group = 2;
    w->good = nde_solver_create(&r->problem, &r->options, &r->solver) == NDE_OK;
    for (int again = 0; w->good && again < 3; again++)
        w->good = nde_solver_run(r->solver, &r->solution) == NDE_OK && nde_backward(r->solver, &r->seed,
                                                                                    &r->gradient) == NDE_OK &&
                  nde_forward(r->solver, &r->direction, &r->tangent) == NDE_OK;
    w->hash = w->good ? hash_solution(&r->solution) ^ hash_written(r) : 0;
    nde_solver_destroy(r->solver);
    free(r);
    return NULL;
}

static void sixty_four_at_once(void **state) {
    (void)state;
    enum { N = 64 };
    work alone[N], together[N];
    for (size_t i = 0; i < N; i++) {
        alone[i] = together[i] = (work){ .which = i };
        solve_one(&alone[i]);
        assert_true(alone[i].good);
    }
    in_threads(N, solve_one, together, sizeof *together);
    for (size_t i = 0; i < N; i++) assert_true(together[i].good && together[i].hash == alone[i].hash);
}

/* ---- T3 ----------------------------------------------------------------------------------------------------------- */

typedef struct storm {
    size_t which;
    int times;
    bool good;
} storm;

static void *create_and_destroy(void *arg) {
    storm *w = arg;
    rig *r = malloc(sizeof *r);
    w->good = true;
    for (int i = 0; i < w->times && w->good; i++) {
        if (i % 100 == 0) rig_make(r, (int)(w->which + (size_t)i/100) % KINDS, 1 + w->which % 3);
        const bool fixed = r->kind == NOISE || r->kind == SCALAR_NOISE || r->kind == SPLIT;
        r->options.steps = fixed ? 16 : 0;
        r->options.threads = i % 250 == 249 ? 2 : 0;
        w->good = nde_solver_create(&r->problem, &r->options, &r->solver) == NDE_OK;
        if (w->good && i % 50 == 0) w->good = nde_solver_run(r->solver, &r->solution) == NDE_OK;
        nde_solver_destroy(r->solver);
        nde_solver *none; /* failures too: their text is the thread's */
        r->options.rtol = -3;
        if (i % 20 == 0)
            w->good = w->good && nde_solver_create(&r->problem, &r->options, &none) == NDE_E_ARG && strstr(nde_error(), "rtol");
        r->options.rtol = 0;
    }
    free(r);
    return NULL;
}

static void a_storm_of_solvers(void **state) {
    (void)state;
    enum { N = 16 };
    storm all[N];
    for (size_t i = 0; i < N; i++) all[i] = (storm){ .which = i, .times = is_long() ? 10000 : 500 };
    in_threads(N, create_and_destroy, all, sizeof *all);
    for (size_t i = 0; i < N; i++) assert_true(all[i].good);
}

/* ---- T4 ----------------------------------------------------------------------------------------------------------- */

typedef struct victim {
    size_t who;     /* SIZE_MAX: none */
    int how;        /* a lane's mark, or what the call returns for its block */
    atomic_int failed;
} victim;

static int decay_or_fail(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    victim *v = *(victim *const *)f->ctx;
    for (size_t b = 0; b < at->n; b++) {
        dy[b] = -y[b]*(1 + (nde_real)(at->index[b] % 7));
        if (at->index[b] != v->who || at->t[b] < 0.25) continue;
        atomic_fetch_add(&v->failed, 1);
        if (v->how < 0) return v->how;
        at->lane[b] = (unsigned char)v->how;
    }
    return 0;
}

static void one_of_two_hundred_fails(void **state) {
    (void)state;
    enum { N = 200 };
    static nde_real y0[N], good[N];
    victim v = { .who = SIZE_MAX }, *const at = &v;
    const nde_field f = NDE_INIT(nde_field, .dim = 1, .out = 1, .traits = NDE_LANEWISE, .eval = decay_or_fail, .ctx = &at);
    const nde_problem problem = NDE_INIT(nde_problem, .n = N, .drift = &f, .y0 = y0, .t1 = 1);
    allocator memory;
    allocator_make(&memory, -1, false, FILL_A5);
    const nde_options options = NDE_INIT(nde_options, .threads = 4, .group = 16, .allocator = &memory.hook);
    for (size_t i = 0; i < N; i++) y0[i] = 1 + (nde_real)i/N;
    nde_solver *solver;
    nde_solution s = { 0 };
    assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_OK);
    assert_int_equal(nde_solver_run(solver, &s), NDE_OK);
    memcpy(good, s.y_end, sizeof good);
    static const int ways[] = { NDE_LANE_RETRY, -5, NDE_LANE_STOP };
    for (size_t k = 0; k < N; k++)
        for (size_t way = 0; way < LENGTH(ways); way++) {
            v = (victim){ .who = k, .how = ways[way] };
            const nde_status status = nde_solver_run(solver, &s);
            assert_true(atomic_load(&v.failed) > 0);
            assert_int_equal(status, ways[way] == NDE_LANE_STOP ? NDE_STOPPED : NDE_E_LANES);
            for (size_t b = 0; b < N; b++) {
                const bool same_block = ways[way] == -5 && b/16 == k/16;
                if (b == k || (same_block && s.status[b] != NDE_OK)) {
                    assert_int_equal(s.status[b], ways[way] == NDE_LANE_STOP ? NDE_STOPPED : NDE_E_FIELD);
                    assert_true(isfinite(s.y_end[b]) && s.t_end[b] < 1);
                } else {
                    assert_int_equal(s.status[b], NDE_OK);
                    assert_true(s.y_end[b] == good[b]);
                }
            }
            assert_true(ways[way] == NDE_LANE_STOP || s.error);
        }
    nde_solver_destroy(solver);
    assert_int_equal(atomic_load(&memory.live), 0);
    const long total = atomic_load(&memory.total);
    for (long k = 0; k < total; k++) { /* an allocation fails while threads are had */
        allocator_make(&memory, k, false, FILL_A5);
        assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_E_NOMEM);
        assert_int_equal(atomic_load(&memory.live), 0);
    }
}

/* ---- T5 ----------------------------------------------------------------------------------------------------------- */

static atomic_bool over;

static void *keep_solving(void *arg) {
    work *w = arg;
    for (w->good = true; !atomic_load(&over) && w->good;) {
        w->which++;
        solve_one(w);
    }
    return NULL;
}

/* Both processes go on from a pause, with threads, while another thread of the parent is in the middle of a solve. */
static void forks_go_on(void **state) {
    (void)state;
    if (WATCHED) skip(); /* locks of the sanitizer's own malloc that a thread of the parent holds are never free in the child */
    static rig r;
    work other = { .which = 0 };
    pthread_t thread;
    atomic_store(&over, false);
    assert_int_equal(pthread_create(&thread, NULL, keep_solving, &other), 0);
    for (int k = 0; k < 12; k++) {
        rig_make(&r, k % KINDS, 12);
        const bool fixed = r.kind == NOISE || r.kind == SCALAR_NOISE || r.kind == SPLIT;
        if (fixed) r.options.steps = 16;
        r.options.threads = 3, r.options.group = 2;
        assert_int_equal(nde_solver_create(&r.problem, &r.options, &r.solver), NDE_OK);
        assert_int_equal(nde_solver_run(r.solver, &r.solution), NDE_OK);
        const uint64_t good = hash_solution(&r.solution);
        nde_status status = nde_solver_steps(r.solver, 2, &r.solution);
        assert_int_equal(status, NDE_UNFINISHED);
        const pid_t child = fork();
        assert_true(child >= 0);
        while (status == NDE_UNFINISHED) status = nde_solver_steps(r.solver, 3, &r.solution);
        const bool same = status == NDE_OK && hash_solution(&r.solution) == good;
        if (child == 0) {
            nde_solver_destroy(r.solver);
            _exit(same ? 0 : 1);
        }
        int ended;
        assert_int_equal(waitpid(child, &ended, 0), child);
        assert_true(same && WIFEXITED(ended) && WEXITSTATUS(ended) == 0);
        nde_solver_destroy(r.solver);
    }
    atomic_store(&over, true);
    pthread_join(thread, NULL);
    assert_true(other.good);
}

/* ---- C10 ---------------------------------------------------------------------------------------------------------- */

static atomic_bool wanted;       /* that it stops */
static atomic_long before, after; /* calls that found it unwanted, and wanted */

static int ask(const nde_field *f, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)f;
    if (atomic_load(&wanted)) return atomic_fetch_add(&after, 1), NDE_FIELD_STOP;
    atomic_fetch_add(&before, 1);
    for (size_t b = 0; b < at->n; b++) dy[b] = y[at->ld + b], dy[at->ld + b] = -y[b];
    return 0;
}

static void *want(void *arg) {
    (void)arg;
    while (atomic_load(&before) < 1000) {}
    nanosleep(&(struct timespec){ .tv_nsec = 300000 }, NULL);
    atomic_store(&wanted, true);
    return NULL;
}

static void stop_requests_are_obeyed_at_once(void **state) {
    (void)state;
    enum { N = 64 };
    static nde_real y0[2*N];
    const nde_field f = NDE_INIT(nde_field, .dim = 2, .out = 2, .traits = NDE_LANEWISE, .eval = ask);
    for (size_t i = 0; i < 2*N; i++) y0[i] = 1;
    for (int bits = 0; bits < 12; bits++) {
        const int threads = 1 + bits % 3;
        const nde_problem problem = NDE_INIT(nde_problem, .n = bits & 4 ? N : 1, .drift = &f, .y0 = y0, .t1 = 1e9);
        const nde_options options = NDE_INIT(nde_options, .max_steps = NDE_ZERO, .threads = threads, .group = 8,
                                             .stepping = bits & 8 ? NDE_STEP_JOINT : NDE_STEP_INDEPENDENT);
        pthread_t thread;
        nde_solution s = { 0 };
        atomic_store(&wanted, false), atomic_store(&before, 0), atomic_store(&after, 0);
        assert_int_equal(pthread_create(&thread, NULL, want, NULL), 0);
        assert_int_equal(nde_solve(&problem, &options, &s), NDE_STOPPED);
        pthread_join(thread, NULL);
        assert_true(atomic_load(&after) >= 1 && atomic_load(&after) <= threads); /* each thread is told once */
        for (size_t b = 0; b < s.n; b++) assert_int_equal(s.status[b], NDE_STOPPED);
        assert_true(states_are_finite(&s));
        nde_solution_free(&s);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sixty_four_at_once),  cmocka_unit_test(a_storm_of_solvers),
        cmocka_unit_test(one_of_two_hundred_fails), cmocka_unit_test(forks_go_on),
        cmocka_unit_test(stop_requests_are_obeyed_at_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
