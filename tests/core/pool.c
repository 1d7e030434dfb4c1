/* SPDX-License-Identifier: MIT
 * The pool: every task exactly once, workers told apart, nested pools, forked children, failing allocation and threads. */
#include "core/core.h"

#include <dlfcn.h>
#include <errno.h>
#include <fenv.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Stands before the C library's: fails when told to, counts the threads that were not joined. */
static atomic_int threads_left = -1, threads_alive;
typedef int create_function(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
typedef int join_function(pthread_t, void **);

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*run)(void *), void *arg) {
    create_function *real;
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    if (threads_left == 0) return EAGAIN;
    if (threads_left > 0) threads_left--;
    threads_alive++;
    return real(thread, attributes, run, arg);
}

int pthread_join(pthread_t thread, void **result) {
    join_function *real;
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_join");
    threads_alive--;
    return real(thread, result);
}

/* An allocator that can fail and knows what is out. */
static size_t out;
static bool empty;
static void *take(void *ctx, size_t bytes, size_t align) {
    (void)ctx;
    if (empty) return NULL;
    out += bytes;
    return aligned_alloc(align, (bytes + align - 1)/align*align);
}
static void give(void *ctx, void *block, size_t bytes) {
    (void)ctx;
    out -= bytes;
    free(block);
}
static const nde_allocator allocator = { .take = take, .give = give };

enum { MOST = 1000, WORKERS = 8 };
typedef struct job {
    atomic_int done[MOST], busy[WORKERS], wrong;
    int workers;
} job;

static void once(void *arg, size_t i, int worker) {
    job *j = arg;
    if (worker < 0 || worker >= j->workers || atomic_fetch_add(&j->busy[worker], 1) != 0) atomic_fetch_add(&j->wrong, 1);
    atomic_fetch_add(&j->done[i], 1);
    if (worker >= 0 && worker < j->workers) atomic_fetch_sub(&j->busy[worker], 1);
}

/* Runs `count` tasks and says whether each ran once, on a worker of its own. */
static bool runs(nde_pool *pool, int threads, size_t count) {
    static job j;
    memset(&j, 0, sizeof j);
    j.workers = threads;
    bool good = nde_pool_run(pool, count, once, &j) == 0 && j.wrong == 0;
    for (size_t i = 0; i < MOST; i++) good = good && j.done[i] == (i < count);
    return good;
}

static void every_task_runs_once(void **state) {
    (void)state;
    assert_null(nde_pool_create(1, &allocator)); /* the calling thread needs no pool */
    assert_null(nde_pool_create(0, &allocator));
    assert_null(nde_pool_create(-1, &allocator));
    for (int threads = 2; threads <= WORKERS; threads++) {
        nde_pool *pool = nde_pool_create(threads, &allocator);
        assert_non_null(pool);
        for (int round = 0; round < 30; round++)
            for (size_t count = 0; count <= MOST; count = count*3 + 1) assert_true(runs(pool, threads, count));
        usleep(1000); /* asleep by now */
        assert_true(runs(pool, threads, MOST));
        nde_pool_destroy(pool, &allocator);
    }
    nde_pool_destroy(NULL, &allocator);
    assert_int_equal(out, 0);
    assert_int_equal(threads_alive, 0);
}

typedef struct meeting {
    atomic_int arrived, left;
    int worker[2];
} meeting;

/* Waits for its neighbour, so that both must be running at one time; task 1 takes its time to leave. */
static void meet(void *arg, size_t i, int worker) {
    meeting *m = arg;
    m->worker[i] = worker;
    atomic_fetch_add(&m->arrived, 1);
    while (atomic_load(&m->arrived) < 2) usleep(10);
    if (worker == 1) usleep(3000);
    atomic_fetch_add(&m->left, 1);
}

static void tasks_run_at_one_time_and_are_waited_for(void **state) {
    (void)state;
    nde_pool *pool = nde_pool_create(2, &allocator);
    assert_non_null(pool);
    for (int round = 0; round < 5; round++) {
        meeting m = { 0 };
        usleep(1000); /* the worker sleeps and is woken up */
        assert_int_equal(nde_pool_run(pool, 2, meet, &m), 0);
        assert_int_equal(atomic_load(&m.left), 2);
        assert_int_equal(m.worker[0] + m.worker[1], 1);
    }
    nde_pool_destroy(pool, &allocator);
}

/* A task that makes and uses a pool of its own. */
static void nested(void *arg, size_t i, int worker) {
    atomic_int *good = arg;
    job *j = calloc(1, sizeof *j);
    (void)i, (void)worker;
    if (!j) return;
    j->workers = 3;
    nde_pool *pool = nde_pool_create(3, &nde_allocator_default);
    if (pool && nde_pool_run(pool, 50, once, j) == 0) {
        bool all = j->wrong == 0;
        for (size_t k = 0; k < 50; k++) all = all && j->done[k] == 1;
        atomic_fetch_add(good, all);
    }
    nde_pool_destroy(pool, &nde_allocator_default);
    free(j);
}

static void pools_nest(void **state) {
    atomic_int good = 0;
    (void)state;
    nde_pool *pool = nde_pool_create(2, &allocator);
    assert_non_null(pool);
    assert_int_equal(nde_pool_run(pool, 10, nested, &good), 0);
    nde_pool_destroy(pool, &allocator);
    assert_int_equal(good, 10);
}

/* In a forked child: the pool works again, with new threads or, when there are none to be had, without. */
static bool child_succeeds(nde_pool *pool, int threads, int left, bool run) {
    int status = 1;
    const pid_t child = fork();
    if (child == 0) {
        alarm(30);
        threads_left = left;
        threads_alive = 0;
        bool good = true;
        for (int round = 0; round < 10 && run; round++) good = good && runs(pool, threads, 100);
        nde_pool_destroy(pool, &allocator);
        _exit(!(good && threads_alive == 0));
    }
    return child > 0 && waitpid(child, &status, 0) == child && status == 0;
}

static void forked_children_have_their_own_threads(void **state) {
    (void)state;
    nde_pool *pool = nde_pool_create(4, &allocator);
    assert_non_null(pool);
    for (int round = 0; round < 5; round++) {
        assert_true(runs(pool, 4, 100));
        assert_true(child_succeeds(pool, 4, -1, true)); /* right after a job: the workers are still spinning */
        usleep(1000);
        assert_true(child_succeeds(pool, 4, -1, true)); /* asleep */
        assert_true(child_succeeds(pool, 4, 1, true));
        assert_true(child_succeeds(pool, 4, 0, true));
        assert_true(child_succeeds(pool, 4, -1, false));
        assert_true(runs(pool, 4, 100)); /* the parent goes on */
    }
    nde_pool_destroy(pool, &allocator);
    assert_int_equal(threads_alive, 0);
}

static void what_cannot_be_had_is_null_and_leaks_nothing(void **state) {
    (void)state;
    empty = true;
    assert_null(nde_pool_create(4, &allocator));
    empty = false;
    for (threads_left = 0; threads_left < 3;) {
        const int left = threads_left;
        assert_null(nde_pool_create(4, &allocator));
        assert_int_equal(threads_alive, 0);
        assert_int_equal(out, 0);
        threads_left = left + 1;
    }
    threads_left = -1;
}

static void rounds_down(void *arg, size_t i, int worker) {
    atomic_int *good = arg;
    (void)i;
    if (fegetround() == FE_DOWNWARD) atomic_fetch_add(good, 1);
    if (worker == 0) usleep(100); /* leaves work to the others */
}

static void workers_round_as_the_caller_does(void **state) {
    atomic_int good = 0;
    (void)state;
    nde_pool *pool = nde_pool_create(3, &allocator);
    assert_non_null(pool);
    fesetround(FE_DOWNWARD);
    (void)nde_pool_run(pool, 100, rounds_down, &good);
    fesetround(FE_TONEAREST);
    nde_pool_destroy(pool, &allocator);
    assert_int_equal(good, 100);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_task_runs_once),
        cmocka_unit_test(tasks_run_at_one_time_and_are_waited_for),
        cmocka_unit_test(pools_nest),
        cmocka_unit_test(forked_children_have_their_own_threads),
        cmocka_unit_test(what_cannot_be_had_is_null_and_leaks_nothing),
        cmocka_unit_test(workers_round_as_the_caller_does),
    };
    alarm(120); /* a lost wake-up ends the test */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
