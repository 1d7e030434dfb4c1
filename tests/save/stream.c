/* SPDX-License-Identifier: MIT
 * stream.c - rows as they come: the same ones that are kept, each once, those of a trajectory in order; no memory for rows
 * that are not kept; a caller that has seen enough. */
#include "adjoint/cases.h"

#include <stdatomic.h>

/* What came, as [row][component][n]. Rows of one trajectory come one after the other, those of others at the same time. */
typedef struct received {
    size_t n, out, rows, *next;
    nde_real *y;
    double *t;
    atomic_size_t calls, total;
    size_t stop_at; /* the call that returns 23 */
} received;

static int receive(void *ctx, size_t m, size_t ld, const size_t *trajectory, const size_t *row, const double *t,
                   const nde_real *y) {
    received *to = ctx;
    for (size_t j = 0; j < m; j++) {
        const size_t who = trajectory[j];
        if (row[j] != to->next[who]) return 1; /* not in order, or twice */
        to->next[who]++;
        if (row[j] >= to->rows) continue;
        to->t[row[j]*to->n + who] = t[j];
        for (size_t i = 0; i < to->out; i++) to->y[(row[j]*to->out + i)*to->n + who] = y[i*ld + j];
    }
    atomic_fetch_add(&to->total, m);
    return atomic_fetch_add(&to->calls, 1) == to->stop_at ? 23 : 0;
}

static void expect(proof *f, received *to, size_t rows, size_t out) {
    memset(to, 0, sizeof *to);
    to->n = f->n, to->out = out, to->rows = rows, to->stop_at = SIZE_MAX;
    to->next = proof_take(f, f->n, sizeof *to->next);
    to->y = proof_take(f, rows*out*f->n, sizeof *to->y), to->t = proof_take(f, rows*f->n, sizeof *to->t);
}

/* (y0 y1, t): two numbers. */
static int product(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *out) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) out[b] = y[b]*y[at->ld + b], out[at->ld + b] = (nde_real)at->t[b];
    return 0;
}

enum { SAVE_AT, SAVE_OWN, SAVE_END, SAVE_STEPS, WAYS };

static void make(proof *f, int which, int way) {
    case_make(which, f, 0, false);
    if (f->n > 300) proof_resize(f, 300);
    f->options.adjoint = 0;
    if (way == SAVE_AT) return;
    proof_no_saves(f);
    if (way == SAVE_STEPS) f->options.save_every = 3, f->options.save_rows = 90;
    if (way != SAVE_OWN) return;
    double *t = proof_take(f, 4*f->n, sizeof *t);
    for (size_t i = 0; i < 4*f->n; i++)
        t[i] = f->problem.t0 + (f->problem.t1 - f->problem.t0)*((double)(i/f->n) + 0.2 + 0.1*proof_number(3, i))/4;
    f->options.save_t_each = t, f->options.n_save = 4;
}

static void check_received(const proof *f, const received *got, const received *kept) {
    size_t total = 0;
    for (size_t who = 0; who < f->n; who++) {
        assert_int_equal(got->next[who], kept->next[who]);
        total += got->next[who];
        for (size_t i = 0; i < kept->next[who]*kept->out; i++)
            assert_memory_equal(&got->y[i*f->n + who], &kept->y[i*f->n + who], sizeof *kept->y);
        for (size_t i = 0; i < kept->next[who]; i++) assert_true(got->t[i*f->n + who] == kept->t[i*f->n + who]);
    }
    assert_int_equal(atomic_load(&got->total), total);
}

/* The rows that a solution keeps, as if they had come. */
static void keep(proof *f, received *to, int way) {
    const nde_solution *s = &f->solution;
    expect(f, to, s->n_save, s->out);
    memcpy(to->next, s->saved, f->n*sizeof *to->next);
    memcpy(to->y, s->y, s->n_save*s->out*f->n*sizeof *to->y);
    for (size_t i = 0; i < s->n_save*f->n; i++) to->t[i] = s->t[way == SAVE_OWN || way == SAVE_STEPS ? i : i/f->n];
}

static void rows_are_those_that_are_kept(void **state) {
    (void)state;
    const nde_field observation = { .size = sizeof observation, .out = 2, .eval = product };
    for (int which = 0; which < CASES; which++)
        for (int way = 0; way < WAYS; way++)
            for (int observed = 0; observed < 2; observed++)
                for (int how = 0; how < 5; how++) { /* beside, instead; 3 threads; with an adjoint; paused */
                    proof f;
                    received kept, got;
                    nde_field with = observation;
                    make(&f, which, way);
                    with.dim = f.dim;
                    if (observed) f.problem.observe = &with;
                    proof_create(&f);
                    assert_int_equal(proof_run(&f), NDE_OK);
                    keep(&f, &kept, way);
                    const nde_stats stats = f.solution.stats[2];
                    expect(&f, &got, f.solution.n_save, f.solution.out);
                    const nde_stream stream = NDE_INIT(nde_stream, .at = receive, .ctx = &got);
                    f.problem.stream = &stream;
                    f.options.discard = how > 0, f.options.threads = how == 2 ? 3 : 0, f.options.adjoint = how == 3;
                    if (how == 2) f.options.group = 50;
                    proof_create(&f);
                    if (how == 4)
                        while (nde_solver_steps(f.solver, 3, &f.solution) == NDE_UNFINISHED) continue;
                    else
                        assert_int_equal(proof_run(&f), NDE_OK);
                    check_received(&f, &got, &kept);
                    if (how) assert_null(f.solution.y);
                    else assert_memory_equal(f.solution.y, kept.y, kept.rows*kept.out*f.n*sizeof *kept.y);
                    assert_memory_equal(f.solution.saved, kept.next, f.n*sizeof *kept.next);
                    assert_int_equal(f.solution.stats[2].accepted, stats.accepted);
                    assert_int_equal(f.solution.stats[2].rejected, stats.rejected);
                    proof_end(&f);
                }
}

/* Gradients need no rows. */
static void gradients_need_no_rows(void **state) {
    (void)state;
    for (int which = 0; which < CASES; which++) {
        proof f;
        make(&f, which, SAVE_AT);
        f.options.adjoint = NDE_ADJOINT_DISCRETE;
        proof_solve(&f);
        const proof_copy kept = proof_keep(&f);
        f.options.discard = 1;
        proof_solve(&f);
        assert_null(f.solution.y);
        assert_null(proof_differs(&f, &kept));
        proof_check_identity(&f);
        proof_end(&f);
    }
}

/* What is not kept takes no memory, and has no limit with every k-th step. */
static void no_memory_for_rows(void **state) {
    (void)state;
    enum { MANY = 10000 };
    proof f;
    make(&f, CASE_ENSEMBLE, SAVE_END);
    double *t = proof_take(&f, MANY, sizeof *t);
    for (size_t i = 0; i < MANY; i++) t[i] = 3*((double)i + 0.5)/MANY;
    f.options.save_t = t, f.options.discard = 1, f.options.n_save = 1;
    const size_t few = nde_solver_bytes(&f.problem, &f.options);
    f.options.n_save = MANY;
    const size_t many = nde_solver_bytes(&f.problem, &f.options);
    assert_true(few && many - few <= MANY*sizeof *t + 64);
    f.options.discard = 0;
    assert_true(nde_solver_bytes(&f.problem, &f.options) - many >= (MANY - 100)*f.dim*f.n*sizeof(nde_real));

    received got;
    expect(&f, &got, 1, f.dim);
    const nde_stream stream = NDE_INIT(nde_stream, .at = receive, .ctx = &got);
    f.problem.stream = &stream, f.problem.n = 3;
    f.options.discard = 1, f.options.n_save = 0, f.options.save_t = NULL, f.options.save_every = 1;
    f.options.h_max = 3.0/2000; /* more rows than are kept usually */
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_OK);
    for (size_t who = 0; who < 3; who++) {
        assert_true(f.solution.saved[who] > 2000 && got.next[who] == f.solution.saved[who]);
        assert_int_equal(f.solution.stats[who].accepted + 1, (int64_t)got.next[who]);
    }
    assert_true(!f.solution.y && !f.solution.t);
    proof_end(&f);
}

static void the_caller_may_stop(void **state) {
    (void)state;
    for (int which = 0; which < CASES; which++)
        for (int way = 0; way < WAYS; way++)
            for (size_t at = 0; at < 4; at++) {
                proof f;
                received got;
                make(&f, which, way);
                expect(&f, &got, 100, f.dim);
                const nde_stream stream = NDE_INIT(nde_stream, .at = receive, .ctx = &got);
                f.problem.stream = &stream;
                proof_create(&f);
                got.stop_at = at;
                const nde_status status = proof_run(&f);
                if (atomic_load(&got.calls) <= at) {
                    assert_int_equal(status, NDE_OK);
                } else {
                    assert_int_equal(status, NDE_STOPPED);
                    assert_int_equal(atomic_load(&got.calls), at + 1); /* obeyed at once */
                    bool told = false;
                    for (size_t who = 0; who < f.n; who++) {
                        told = told || f.solution.stats[who].callback == 23;
                        assert_int_equal(f.solution.saved[who], got.next[who]);
                        for (size_t i = 0; i < f.dim; i++) assert_true(isfinite(f.solution.y_end[i*f.n + who]));
                    }
                    assert_true(told);
                }
                expect(&f, &got, 100, f.dim);
                assert_int_equal(proof_run(&f), NDE_OK);
                for (size_t who = 0; who < f.n; who++) assert_int_equal(f.solution.saved[who], got.next[who]);
                proof_end(&f);
            }
}

/* y0 - 0.75: its zeros end a trajectory at the third one, or send it back each time. */
static int level(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *g) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) g[b] = y[b] - (nde_real)0.75;
    return 0;
}
static int shrink(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *out) {
    for (size_t i = 0; i < self->out; i++)
        for (size_t b = 0; b < at->n; b++) out[i*at->ld + b] = (nde_real)0.8*y[i*at->ld + b];
    return 0;
}

/* Rows of steps that an event cuts. */
static void events_cut_rows_alike(void **state) {
    (void)state;
    static const int cases[] = { CASE_ENSEMBLE, CASE_CONTROLLED, CASE_VERLET, CASE_DOSES, CASE_INSIDE };
    for (size_t c = 0; c < LENGTH(cases); c++)
        for (int way = 0; way < WAYS; way++)
            for (int terminal = 0; terminal < 4; terminal += 3) {
                proof f;
                received kept, got;
                make(&f, cases[c], way);
                const nde_field g = { .size = sizeof g, .dim = f.dim, .out = 1, .eval = level };
                const nde_field reset = { .size = sizeof reset, .dim = f.dim, .out = f.dim, .eval = shrink };
                const nde_event event = NDE_INIT(nde_event, .g = &g, .terminal = terminal, .reset = terminal ? NULL : &reset);
                f.problem.events = &event, f.problem.n_events = 1;
                proof_create(&f);
                const nde_status status = proof_run(&f);
                assert_true(status >= 0);
                keep(&f, &kept, way);
                int64_t hits = 0;
                for (size_t who = 0; who < f.n; who++) hits += f.solution.event_count[who];
                assert_true(hits > 0);
                expect(&f, &got, f.solution.n_save, f.dim);
                const nde_stream stream = NDE_INIT(nde_stream, .at = receive, .ctx = &got);
                f.problem.stream = &stream;
                proof_create(&f);
                assert_int_equal(proof_run(&f), status);
                check_received(&f, &got, &kept);
                proof_end(&f);
            }
}

static int no_loss(void *ctx, size_t save, double t, size_t n, const nde_real *y, double *value, nde_real *a_y) {
    (void)ctx, (void)save, (void)t, (void)n, (void)y, (void)value, (void)a_y;
    return 0;
}

static void what_has_no_meaning_is_refused(void **state) {
    (void)state;
    proof f;
    nde_solver *none;
    nde_stream stream = { 0 };
    make(&f, CASE_DOSES, SAVE_AT);
    f.problem.stream = &stream;
    assert_int_equal(nde_solver_create(&f.problem, &f.options, &none), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "problem.stream.at"));
    stream.size = 3;
    assert_int_equal(nde_solver_create(&f.problem, &f.options, &none), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "problem.stream.size"));
    const nde_loss loss = NDE_INIT(nde_loss, .at = no_loss);
    f.problem.stream = NULL, f.problem.loss = &loss, f.options.discard = 1;
    assert_int_equal(nde_solver_create(&f.problem, &f.options, &none), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "options.discard"));
    proof_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_are_those_that_are_kept), cmocka_unit_test(gradients_need_no_rows),
        cmocka_unit_test(no_memory_for_rows),           cmocka_unit_test(the_caller_may_stop),
        cmocka_unit_test(events_cut_rows_alike),
        cmocka_unit_test(what_has_no_meaning_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
