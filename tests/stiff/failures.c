/* SPDX-License-Identifier: MIT
 * failures.c - what goes wrong ends with a status, in time, in silence, with the last accepted state: fields that fail or are
 * not finite, limits, and memory that runs out at every allocation, ours and SUNDIALS' own. */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "nde/stiff.h"

/* ---- malloc of this program and of the libraries that it loads -------------------------------------------------------- */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__) || !defined(__GLIBC__)
#define INTERPOSED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define INTERPOSED 0
#endif
#endif
#ifndef INTERPOSED
#define INTERPOSED 1
#endif

static atomic_bool watching;
static atomic_long taken, held, fail_at = -1;

#if INTERPOSED
static bool fails(void) { return atomic_load(&watching) && atomic_fetch_add(&taken, 1) == atomic_load(&fail_at); }
void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t count, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void *malloc(size_t bytes) { return fails() ? NULL : __libc_malloc(bytes); }
void *calloc(size_t count, size_t bytes) { return fails() ? NULL : __libc_calloc(count, bytes); }
void *aligned_alloc(size_t align, size_t bytes) { return fails() ? NULL : __libc_memalign(align, bytes); }
#endif

/* ---- the caller's allocator --------------------------------------------------------------------------------------------- */

static void *take(void *ctx, size_t bytes, size_t align) {
    void *block = NULL;
    long *left = ctx;
    if (*left == 0) return NULL;
    if (*left > 0) --*left;
    if (posix_memalign(&block, align, bytes)) return NULL;
    held++;
    return block;
}
static void give(void *ctx, void *block, size_t bytes) {
    (void)ctx, (void)bytes;
    held--;
    free(block);
}

/* ---- a field that fails when it is told to ------------------------------------------------------------------------------ */

enum { NONE, NOT_FINITE, RETRY, LANE_RETRY, FAIL, STOP, LANE_STOP, KINDS };
typedef struct fault {
    int kind;
    double from; /* at and after this time */
    long calls, after; /* after so many calls, > 0 */
    int in_jvp;
} fault;

static int act(fault *f, const nde_site *at, double *out, bool jvp) {
    f->calls++;
    if (f->kind == NONE || f->in_jvp != jvp || (f->after && f->calls < f->after) || (!f->after &&
                                                                                     !(at->t[0] >= f->from))) return 0;
    if (f->kind == NOT_FINITE) out[0] = (double)NAN;
    if (f->kind == LANE_RETRY) at->lane[0] = NDE_LANE_RETRY;
    if (f->kind == LANE_STOP) at->lane[0] = NDE_LANE_STOP;
    return f->kind == RETRY ? NDE_FIELD_RETRY : f->kind == FAIL ? -7 : f->kind == STOP ? NDE_FIELD_STOP : 0;
}

/* y1' = -y1, y2' = -50 (y2 - y1). The context of a field is const: the fault stands behind a pointer. */
static int eval(const nde_field *self, const nde_site *at, const double *y, double *dy) {
    for (size_t b = 0; b < at->n; b++) dy[b] = -y[b], dy[at->ld + b] = -50*(y[at->ld + b] - y[b]);
    return act(*(fault *const *)self->ctx, at, dy, false);
}
static int jvp(const nde_field *self, const nde_site *at, const double *y, const nde_tangent *v, double *dv) {
    (void)y;
    for (size_t b = 0; b < at->n; b++) dv[b] = -v->y[b], dv[at->ld + b] = -50*(v->y[at->ld + b] - v->y[b]);
    return act(*(fault *const *)self->ctx, at, dv, true);
}
static int vjp(const nde_field *self, const nde_site *at, const double *y, const double *a, nde_cotangent *to) {
    (void)y;
    for (size_t b = 0; b < at->n && to->y; b++) to->y[b] += -a[b] + 50*a[at->ld + b], to->y[at->ld + b] -= 50*a[at->ld + b];
    return act(*(fault *const *)self->ctx, at, to->y, false);
}

static fault now, *const pointer = &now;
static const nde_field field = { .size = sizeof field, .ctx = &pointer, .dim = 2, .out = 2, .eval = eval, .jvp = jvp,
    .vjp = vjp };
static const double begin[] = { 1, 1 };
static const nde_stiff_options engines[] = {
    { .size = sizeof *engines },
    { .size = sizeof *engines, .method = NDE_STIFF_ADAMS },
    { .size = sizeof *engines, .method = NDE_STIFF_DAE },
    { .size = sizeof *engines, .linear = NDE_STIFF_KRYLOV },
    { .size = sizeof *engines, .method = NDE_STIFF_DAE, .linear = NDE_STIFF_KRYLOV },
};
enum { ENGINES = 5 };

static nde_status run(const nde_options *options, const nde_stiff_options *stiff, nde_stiff_solver **solver, nde_solution *s) {
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .t1 = 2, .y0 = begin);
    memset(s, 0, sizeof *s);
    now.calls = 0;
    return nde_stiff_solve(&problem, options, stiff, solver, s);
}

static const nde_status expected[KINDS] = { NDE_OK, NDE_E_NONFINITE, NDE_E_FIELD, NDE_E_FIELD, NDE_E_FIELD, NDE_STOPPED,
    NDE_STOPPED };

/* From some time on the field fails: the state before stays, and nobody tries for long. */
static void later(void **state) {
    (void)state;
    for (int k = 0; k < ENGINES; k++)
        for (int kind = NOT_FINITE; kind < KINDS; kind++) {
            now = (fault){ .kind = kind, .from = 0.7 };
            nde_stiff_solver *solver;
            nde_solution s;
            const nde_status status = run(NULL, &engines[k], &solver, &s);
            if (status != expected[kind]) print_message("engine %d, kind %d: %s\n", k, kind, s.error);
            assert_int_equal(status, expected[kind]);
            assert_true(s.t_end[0] < 0.7 && s.t_end[0] > 0 && fabs(s.y_end[0] - exp(-s.t_end[0])) < 1e-4);
            assert_true(now.calls < 5000);
            if (kind == FAIL) assert_true(s.stats[0].callback == -7 && strstr(s.error, "-7"));
            if (kind == NOT_FINITE) assert_non_null(strstr(s.error, "component 0"));
            now.kind = NONE; /* the solver is as good as new */
            assert_int_equal(nde_stiff_run(solver, &s), NDE_OK);
            assert_true(fabs(s.y_end[0] - exp(-2)) < 1e-4 && !s.error);
            nde_stiff_destroy(solver);
        }
}

static void at_once(void **state) {
    (void)state;
    for (int k = 0; k < ENGINES; k++)
        for (int kind = NOT_FINITE; kind < KINDS; kind++) {
            now = (fault){ .kind = kind };
            nde_stiff_solver *solver;
            nde_solution s;
            const nde_status status = run(NULL, &engines[k], &solver, &s), first = expected[kind] == NDE_E_FIELD
                ? NDE_E_FIELD_FIRST : expected[kind];
            if (status != first) print_message("engine %d, kind %d: %s\n", k, kind, s.error);
            assert_int_equal(status, first);
            assert_true(s.t_end[0] == 0 && s.y_end[0] == 1 && now.calls < 100);
            nde_stiff_destroy(solver);
        }
}

static void in_derivatives(void **state) {
    (void)state;
    for (int k = 0; k < ENGINES; k++)
        for (int kind = NOT_FINITE; kind < KINDS; kind++) {
            if (engines[k].method == NDE_STIFF_ADAMS) continue;
            now = (fault){ .kind = kind, .from = 0.05, .in_jvp = 1 };
            nde_stiff_solver *solver;
            nde_solution s;
            const nde_status status = run(NULL, &engines[k], &solver, &s);
            if (status != expected[kind]) print_message("engine %d, kind %d: %s\n", k, kind, s.error);
            assert_int_equal(status, expected[kind]);
            assert_true(s.t_end[0] < 2 && fabs(s.y_end[0] - exp(-s.t_end[0])) < 1e-3 && now.calls < 5000);
            nde_stiff_destroy(solver);
        }
}

static void backwards(void **state) {
    (void)state;
    const nde_options options = NDE_INIT(nde_options, .adjoint = NDE_ADJOINT_INTERPOLATED);
    const nde_seed seed = NDE_INIT(nde_seed, .y_end = begin);
    double a[2];
    for (int kind = NOT_FINITE; kind < KINDS; kind++) {
        now = (fault){ .kind = NONE };
        nde_stiff_solver *solver;
        nde_solution s;
        assert_int_equal(run(&options, NULL, &solver, &s), NDE_OK);
        now = (fault){ .kind = kind, .after = 50 };
        const nde_status status = nde_stiff_backward(solver, &seed, &NDE_INIT(nde_gradient, .y0 = a));
        if (status != expected[kind]) print_message("kind %d: %s\n", kind, nde_stiff_error(solver));
        assert_int_equal(status, expected[kind]);
        assert_true(now.calls < 20000);
        now.kind = NONE;
        assert_int_equal(nde_stiff_run(solver, &s), NDE_OK);
        assert_int_equal(nde_stiff_backward(solver, &seed, &NDE_INIT(nde_gradient, .y0 = a)), NDE_OK);
        assert_true(fabs(a[1] - exp(-100)) < 1e-4);
        nde_stiff_destroy(solver);
    }
}

static int say_stop(void *ctx, double fraction, int64_t steps) {
    (void)ctx;
    return fraction >= 0 && fraction <= 1 && steps > 0;
}

static void limits(void **state) {
    (void)state;
    const struct { nde_options options; nde_status status; } cases[] = {
        { { .max_steps = 20 }, NDE_E_STEPS }, { { .max_evals = 20 }, NDE_E_CALLS }, { { .max_seconds = 1e-9 }, NDE_E_CALLS },
        { { .progress = say_stop }, NDE_STOPPED }, { { .h_min = 0.5 }, NDE_E_STEPSIZE },
    };
    now = (fault){ .kind = NONE };
    for (int k = 0; k < ENGINES; k++)
        for (size_t i = 0; i < sizeof cases/sizeof *cases; i++) {
            nde_options options = cases[i].options;
            options.size = sizeof options, options.rtol = 1e-8;
            nde_stiff_solver *solver;
            nde_solution s;
            assert_int_equal(run(&options, &engines[k], &solver, &s), cases[i].status);
            assert_true(s.t_end[0] < 2 && isfinite(s.y_end[0]));
            assert_true(i != 0 || s.stats[0].accepted + s.stats[0].rejected <= 21);
            nde_stiff_destroy(solver);
        }
}

static void bad_input(void **state) {
    (void)state;
    const double bad_y[] = { 1, (double)NAN }, save[] = { 0.5, 3 };
    nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .t1 = 2, .y0 = bad_y);
    nde_options options = { 0 };
    nde_stiff_solver *solver;
    nde_solution s = { 0 };
    now = (fault){ .kind = NONE };
    assert_int_equal(nde_stiff_solve(&problem, NULL, NULL, &solver, &s), NDE_E_NONFINITE);
    nde_stiff_destroy(solver);
    problem.y0 = NULL;
    assert_int_equal(nde_stiff_solve(&problem, NULL, NULL, &solver, &s), NDE_E_ARG);
    assert_non_null(strstr(nde_stiff_error(solver), "y0"));
    nde_stiff_destroy(solver);
    problem.y0 = begin, problem.t1 = (double)INFINITY;
    assert_int_equal(nde_stiff_solve(&problem, NULL, NULL, &solver, &s), NDE_E_ARG);
    nde_stiff_destroy(solver);
    problem.t1 = 2, options.save_t = save, options.n_save = 2;
    assert_int_equal(nde_stiff_solve(&problem, &options, NULL, &solver, &s), NDE_E_ARG);
    assert_non_null(strstr(nde_stiff_error(solver), "save_t[1]"));
    nde_stiff_destroy(solver);
    problem.t1 = 0; /* nothing to do */
    assert_int_equal(nde_stiff_solve(&problem, NULL, NULL, &solver, &s), NDE_OK);
    assert_true(s.y_end[0] == 1 && s.y[0] == 1 && s.t_end[0] == 0);
    nde_stiff_destroy(solver);
}

/* ---- memory ---------------------------------------------------------------------------------------------------------------
 * */

static nde_status everything(const nde_allocator *allocator, const nde_stiff_options *stiff) {
    const bool adjoint = stiff->method != NDE_STIFF_DAE;
    const nde_options options = NDE_INIT(nde_options, .allocator = allocator, .adjoint = adjoint ? NDE_ADJOINT_INTERPOLATED
                                         : NDE_ADJOINT_NONE);
    nde_stiff_options with = *stiff;
    with.checkpoint = 15, with.dense = 1;
    nde_stiff_solver *solver;
    nde_solution s;
    double a[2];
    nde_status status = run(&options, &with, &solver, &s);
    if (!status && adjoint) status = nde_stiff_backward(solver, &NDE_INIT(nde_seed, .y_end = begin), &NDE_INIT(nde_gradient,
        .y0 = a));
    nde_stiff_destroy(solver);
    return status;
}

/* The caller's allocator fails at its k-th call, for every k: NDE_E_NOMEM, and nothing is lost. */
static void our_memory(void **state) {
    (void)state;
    now = (fault){ .kind = NONE };
    for (int k = 0; k < ENGINES; k++)
        for (long n = 0;; n++) {
            long left = n;
            const nde_allocator allocator = { .take = take, .give = give, .ctx = &left };
            const nde_status status = everything(&allocator, &engines[k]);
            assert_int_equal(atomic_load(&held), 0);
            if (!status) {
                print_message("engine %d: %ld blocks\n", k, n);
                assert_true(n > 10);
                break;
            }
            assert_int_equal(status, NDE_E_NOMEM);
        }
}

/* One more call of malloc fails than in the last process. Exits with 0 when that ended as it should, 2 when there was no such
 * call. */
static void child(const nde_stiff_options *stiff, long n) {
    long forever = -1;
    const nde_allocator allocator = { .take = take, .give = give, .ctx = &forever };
    signal(SIGSEGV, SIG_DFL), signal(SIGABRT, SIG_DFL); /* cmocka's would print and go on */
    if (!freopen("/dev/null", "w", stderr)) _exit(3);   /* IDACreate has no handler yet, and the C library reports the worst */
    now = (fault){ .kind = NONE };
    atomic_store(&fail_at, n), atomic_store(&watching, true);
    const nde_status status = everything(&allocator, stiff);
    atomic_store(&watching, false);
    _exit(atomic_load(&taken) <= n ? 2 : atomic_load(&held) ? 4 : status == NDE_OK || status == NDE_E_NOMEM ? 0 : 10 - status);
}

/* The same for what SUNDIALS takes by malloc, each in a process of its own: SUNDIALS itself does not survive some of them.
 * 6.4.1: in SUNLogger_Create, and where GMRES or a backward problem is left half made; 7.5: more. */
static void their_memory(void **state) {
    (void)state;
    if (!INTERPOSED) skip();
    for (int k = 0; k < ENGINES; k++) {
        int crashes = 0;
        for (long n = 0, done = 0; !done; n++) {
            int how;
            fflush(stdout), fflush(stderr);
            const pid_t process = fork();
            if (!process) child(&engines[k], n);
            assert_true(waitpid(process, &how, 0) == process);
            crashes += WIFSIGNALED(how);
            done = WIFEXITED(how) && WEXITSTATUS(how) == 2;
            if (WIFEXITED(how) && !done) assert_int_equal(WEXITSTATUS(how), 0);
            if (!done) continue;
            print_message("engine %d: %ld calls of malloc, %d that SUNDIALS does not survive\n", k, n, crashes);
            if (nde_stiff_sundials()[0] == '6') assert_true(crashes <= n/8 + 1); /* 2 of 15, 7 of 88: which, the build
                                                                                  * decides */
        }
    }
}

/* ---- silence --------------------------------------------------------------------------------------------------------------
 * */

static int mute_checks(void) {
    static int (*const unused)(void) = NULL;
    (void)unused;
    for (int k = 0; k < ENGINES; k++)
        for (int kind = NOT_FINITE; kind < KINDS; kind++)
            for (int when = 0; when < 2; when++) {
                now = (fault){ .kind = kind, .from = when ? 0.7 : 0 };
                nde_stiff_solver *solver;
                nde_solution s;
                if (run(NULL, &engines[k], &solver, &s) == NDE_OK) return 1;
                nde_stiff_destroy(solver);
            }
    return 0;
}

static void silence(void **state) {
    (void)state;
    FILE *file = tmpfile();
    assert_non_null(file);
    fflush(stdout), fflush(stderr);
    const int out = dup(1), err = dup(2);
    assert_true(dup2(fileno(file), 1) >= 0 && dup2(fileno(file), 2) >= 0);
    const int bad = mute_checks();
    fflush(stdout), fflush(stderr);
    dup2(out, 1), dup2(err, 2);
    close(out), close(err);
    assert_int_equal(bad, 0);
    assert_int_equal(fseek(file, 0, SEEK_END), 0);
    assert_int_equal(ftell(file), 0);
    fclose(file);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(later),      cmocka_unit_test(at_once),   cmocka_unit_test(in_derivatives),
            cmocka_unit_test(backwards),
        cmocka_unit_test(limits),     cmocka_unit_test(bad_input), cmocka_unit_test(our_memory),
                cmocka_unit_test(their_memory),
        cmocka_unit_test(silence),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
