/* SPDX-License-Identifier: MIT
 * pool.c - a small pool of threads. A job is `count` tasks behind one atomic counter: whoever is free takes the next. The
 * calling thread is worker 0 and works too; a thread that wakes up late finds the job closed and nobody waits for it. */
#include "core/core.h"

#include <fenv.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

/* Long enough to catch the next stage of a step, short enough not to starve a machine with fewer cores than threads. */
enum { SPIN_NANOSECONDS = 20000 };

typedef struct member {
    nde_pool *pool;
    pthread_t thread;
    int number;
    unsigned seen; /* last job it knows of */
} member;

struct nde_pool {
    size_t bytes;
    pid_t process; /* threads do not survive fork: the child starts its own */
    pthread_mutex_t mutex;
    pthread_cond_t wake, done;
    bool quit, open;       /* open: the job may be joined. Under the mutex */
    atomic_uint job;       /* number of the job; written under the mutex */
    atomic_int active;     /* members at work; written under the mutex */
    atomic_size_t next;    /* task that nobody has taken yet */
    size_t count;
    void (*task)(void *arg, size_t i, int worker);
    void *arg;
    fenv_t environment;    /* the caller's rounding: same bits on every thread */
    int running;           /* threads that live, from member[0] on */
    int members;
    member member[];
};

static inline void relax(void) {
#if defined(__x86_64__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ volatile("yield");
#endif
}

int64_t nde_nanoseconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec*1000000000 + t.tv_nsec;
}

static void spin_until_job(const nde_pool *pool, unsigned seen) {
    const int64_t end = nde_nanoseconds() + SPIN_NANOSECONDS;
    while (atomic_load_explicit(&pool->job, memory_order_acquire) == seen && nde_nanoseconds() < end) relax();
}

static void spin_until_idle(const nde_pool *pool) {
    const int64_t end = nde_nanoseconds() + SPIN_NANOSECONDS;
    while (atomic_load_explicit(&pool->active, memory_order_acquire) != 0 && nde_nanoseconds() < end) relax();
}

static void do_tasks(nde_pool *pool, int worker) {
    size_t i;
    while ((i = atomic_fetch_add_explicit(&pool->next, 1, memory_order_relaxed)) < pool->count)
        pool->task(pool->arg, i, worker);
}

static void *live(void *arg) {
    const member *me = arg;
    nde_pool *pool = me->pool;
    unsigned seen = me->seen;
    for (;;) {
        spin_until_job(pool, seen);
        pthread_mutex_lock(&pool->mutex);
        while (!pool->quit && atomic_load(&pool->job) == seen) pthread_cond_wait(&pool->wake, &pool->mutex);
        seen = atomic_load(&pool->job);
        const bool quit = pool->quit, join = pool->open && !quit;
        if (join) atomic_fetch_add(&pool->active, 1);
        pthread_mutex_unlock(&pool->mutex);
        if (quit) return NULL;
        if (!join) continue;
        fesetenv(&pool->environment);
        do_tasks(pool, me->number);
        pthread_mutex_lock(&pool->mutex);
        if (atomic_fetch_sub(&pool->active, 1) == 1) pthread_cond_signal(&pool->done);
        pthread_mutex_unlock(&pool->mutex);
    }
}

/* Starts the threads, with all signals blocked: handlers belong to the host's threads. */
static void start(nde_pool *pool) {
    sigset_t all, before;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->wake, NULL);
    pthread_cond_init(&pool->done, NULL);
    pool->quit = pool->open = false;
    atomic_store(&pool->active, 0);
    pool->process = getpid();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (pool->running = 0; pool->running < pool->members; pool->running++) {
        member *m = &pool->member[pool->running];
        *m = (member){ .pool = pool, .number = pool->running + 1, .seen = atomic_load(&pool->job) };
        if (pthread_create(&m->thread, NULL, live, m) != 0) break;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

static void stop(nde_pool *pool) {
    pthread_mutex_lock(&pool->mutex);
    pool->quit = true;
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);
    for (int i = 0; i < pool->running; i++) pthread_join(pool->member[i].thread, NULL);
    pthread_cond_destroy(&pool->wake);
    pthread_cond_destroy(&pool->done);
    pthread_mutex_destroy(&pool->mutex);
}

nde_pool *nde_pool_create(int threads, const nde_allocator *allocator) {
    size_t bytes;
    if (threads < 2 || !nde_size_multiply((size_t)threads - 1, sizeof(member), &bytes) ||
        !nde_size_add(bytes, sizeof(nde_pool), &bytes))
        return NULL;
    nde_pool *pool = allocator->take(allocator->ctx, bytes, 64);
    if (!pool) return NULL;
    memset(pool, 0, bytes);
    pool->bytes = bytes;
    pool->members = threads - 1;
    start(pool);
    if (pool->running == pool->members) return pool;
    nde_pool_destroy(pool, allocator);
    return NULL;
}

void nde_pool_destroy(nde_pool *pool, const nde_allocator *allocator) {
    if (!pool) return;
    if (pool->process == getpid()) stop(pool); /* in a forked child there is nobody to join */
    allocator->give(allocator->ctx, pool, pool->bytes);
}

int nde_pool_run(void *ctx, size_t count, void (*task)(void *arg, size_t i, int worker), void *arg) {
    nde_pool *pool = ctx;
    if (pool->process != getpid()) start(pool); /* with fewer threads, or none, if the child may not have them */
    pthread_mutex_lock(&pool->mutex);
    pool->count = count, pool->task = task, pool->arg = arg;
    fegetenv(&pool->environment);
    atomic_store_explicit(&pool->next, 0, memory_order_relaxed);
    pool->open = true;
    atomic_fetch_add(&pool->job, 1);
    pthread_cond_broadcast(&pool->wake);
    pthread_mutex_unlock(&pool->mutex);

    do_tasks(pool, 0);

    pthread_mutex_lock(&pool->mutex);
    pool->open = false;
    pthread_mutex_unlock(&pool->mutex);
    spin_until_idle(pool);
    pthread_mutex_lock(&pool->mutex);
    while (atomic_load(&pool->active) != 0) pthread_cond_wait(&pool->done, &pool->mutex);
    pthread_mutex_unlock(&pool->mutex);
    return 0;
}
