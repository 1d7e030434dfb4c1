/* SPDX-License-Identifier: MIT
 * ensemble.c - what a trajectory's bits do not depend on: threads, executors, the batch around it, its place there, and the
 * failures of its neighbours. */
#include <pthread.h>
#include <stdatomic.h>

#include "adjoint/cases.h"

/* ---- threads ------------------------------------------------------------------------------------------------------ */

/* Runs the tasks from behind, each as another worker. */
static int backwards(void *ctx, size_t count, void (*task)(void *arg, size_t i, int worker), void *arg) {
    const int *workers = ctx;
    for (size_t i = count; i-- > 0;) task(arg, i, (int)(i%(size_t)*workers));
    return 0;
}

/* A thread for each worker, made anew for each call. */
typedef struct share {
    atomic_size_t next;
    size_t count;
    void (*task)(void *arg, size_t i, int worker);
    void *arg;
} share;
typedef struct hand {
    share *all;
    int worker;
} hand;
static void *work(void *arg) {
    hand *h = arg;
    for (size_t i; (i = atomic_fetch_add(&h->all->next, 1)) < h->all->count;) h->all->task(h->all->arg, i, h->worker);
    return NULL;
}
static int threaded(void *ctx, size_t count, void (*task)(void *arg, size_t i, int worker), void *arg) {
    const int workers = *(const int *)ctx;
    pthread_t thread[8];
    hand hands[8];
    share all = { .count = count, .task = task, .arg = arg };
    for (int w = 0; w < workers; w++) {
        hands[w] = (hand){ &all, w };
        assert_int_equal(pthread_create(&thread[w], NULL, work, &hands[w]), 0);
    }
    for (int w = 0; w < workers; w++) assert_int_equal(pthread_join(thread[w], NULL), 0);
    return 0;
}

/* What a solve and its gradients gave. */
typedef struct outcome {
    proof_copy gradient;
    nde_real *y, *y_end;
    nde_stats *stats;
} outcome;

static outcome keep(proof *f) {
    const size_t count = f->rows*f->dim*f->n;
    outcome o = { proof_keep(f), proof_take(f, count, sizeof *o.y), proof_take(f, f->dim*f->n, sizeof *o.y),
                  proof_take(f, f->n, sizeof *o.stats) };
    memcpy(o.y, f->solution.y, count*sizeof *o.y);
    memcpy(o.y_end, f->solution.y_end, f->dim*f->n*sizeof *o.y);
    memcpy(o.stats, f->solution.stats, f->n*sizeof *o.stats);
    return o;
}

static void check_same(const proof *f, const outcome *o, const char *how) {
    if (memcmp(o->y, f->solution.y, f->rows*f->dim*f->n*sizeof *o->y)) fail_msg("%s: other bits in y", how);
    assert_memory_equal(o->y_end, f->solution.y_end, f->dim*f->n*sizeof *o->y);
    assert_memory_equal(o->stats, f->solution.stats, f->n*sizeof *o->stats);
    const char *differs = proof_differs(f, &o->gradient);
    if (differs) fail_msg("%s: other bits in the gradient of %s", how, differs);
}

static void over_threads(proof *f) {
    static const int threads[] = { 1, 2, 3, 4, 7, 8, 16, 64 };
    f->options.budget = (size_t)1 << 28;
    proof_solve(f);
    const outcome one = keep(f);
    for (size_t i = 1; i < LENGTH(threads); i++) {
        f->options.threads = threads[i];
        proof_solve(f);
        check_same(f, &one, "threads");
    }
    f->options.threads = 0;
    for (int workers = 1; workers <= 7; workers += 3) {
        const nde_executor behind = { backwards, &workers, workers }, real = { threaded, &workers, workers };
        f->options.executor = &behind;
        proof_solve(f);
        check_same(f, &one, "executor from behind");
        f->options.executor = &real;
        proof_solve(f);
        check_same(f, &one, "executor with threads");
    }
}

static void ten_thousand_trajectories(void **state) {
    (void)state;
    proof f;
    case_ensemble(&f, 0, false);
    f.problem.t1 = 0.25;
    proof_no_saves(&f);
    proof_resize(&f, 10000);
    f.options.group = 130, f.options.rtol = 1e-4; /* 77 groups, each with trajectories that wait */
    over_threads(&f);
    proof_end(&f);
}

static void networks_and_joint_steps(void **state) {
    (void)state;
    proof f;
    case_network(&f, 0, 600);
    f.options.group = 70;
    over_threads(&f);
    proof_end(&f);
    case_lorenz(&f, 0, true); /* one step size over panels in several threads */
    proof_resize(&f, 1200);
    over_threads(&f);
    proof_end(&f);
}

/* Every instruction set of this machine gives the same bits; a network's activations need one with fused products. */
static void instruction_sets_agree(void **state) {
    (void)state;
    static const int isas[] = { NDE_ISA_BASELINE, NDE_ISA_V3, NDE_ISA_V4 };
    for (int which = 0; which <= CASES; which++) {
        proof f;
        outcome first = { 0 };
        if (which == CASES) case_network(&f, 0, 150);
        else case_make(which, &f, 0, true);
        for (size_t i = which == CASES; i < LENGTH(isas); i++) {
            nde_solver *s;
            f.options.isa = isas[i];
            if (nde_solver_create(&f.problem, &f.options, &s)) continue; /* not on this machine */
            nde_solver_destroy(s);
            proof_solve(&f);
            if (!first.y) first = keep(&f);
            else check_same(&f, &first, which == CASES ? "network" : case_names[which]);
        }
        assert_true(first.y || which == CASES);
        proof_end(&f);
    }
}

/* Lanes of trajectories that have ended are taken over at once, also where some take ten times the steps of others. */
static int rotation(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    (void)self;
    for (size_t b = 0; b < at->n; b++) dy[b] = at->q[b]*y[at->ld + b], dy[at->ld + b] = -at->q[b]*y[b];
    return 0;
}

static void lanes_are_busy(void **state) {
    (void)state;
    enum { N = 6000 };
    static nde_real y0[2*N], q[N];
    const nde_field field = { .size = sizeof field, .dim = 2, .out = 2, .nq = 1, .traits = NDE_AUTONOMOUS | NDE_LANEWISE,
                              .eval = rotation };
    for (size_t i = 0; i < N; i++) {
        y0[i] = 1, y0[N + i] = 0;
        q[i] = (nde_real)(10 + 90*nde_uniform(5, 200, i, 0, 0));
    }
    const nde_problem problem = { .size = sizeof problem, .n = N, .t1 = 4, .drift = &field, .y0 = y0, .q = q };
    for (int threads = 1; threads <= 2; threads++) {
        const nde_options options = NDE_INIT(nde_options, .rtol = 1e-4, .atol = 1e-4, .threads = threads);
        nde_solution s = { .size = sizeof s };
        int64_t least = INT64_MAX, most = 0;
        assert_int_equal(nde_solve(&problem, &options, &s), NDE_OK);
        for (size_t i = 0; i < N; i++) {
            const int64_t steps = s.stats[i].accepted + s.stats[i].rejected;
            if (steps < least) least = steps;
            if (steps > most) most = steps;
        }
        assert_true(most > 8*least);
        if (s.lanes_busy < 0.95) fail_msg("lanes busy %.3f, steps from %d to %d", s.lanes_busy, (int)least, (int)most);
        nde_solution_free(&s);
    }
}

/* ---- the batch around it ------------------------------------------------------------------------------------------ */

/* Columns of a batch are the same trajectories as in another, bit for bit, gradients of their own inputs included. */
static void check_columns(const proof *f, const proof *part, const size_t *column, const char *name) {
    for (size_t b = 0; b < part->n; b++) {
        const size_t who = column[b];
        for (size_t i = 0; i < f->rows*f->dim; i++)
            if (memcmp(&f->solution.y[i*f->n + who], &part->solution.y[i*part->n + b], sizeof(nde_real)))
                fail_msg("%s: trajectory %zu of %zu has other bits as number %zu of %zu", name, who, f->n, b, part->n);
        assert_int_equal(f->solution.stats[who].accepted, part->solution.stats[b].accepted);
        assert_int_equal(f->solution.stats[who].rejected, part->solution.stats[b].rejected);
        assert_int_equal(f->solution.stats[who].evals, part->solution.stats[b].evals);
        for (int k = 0; k < INPUTS; k++)
            for (size_t row = 0; !f->in[k].shared && row < f->in[k].rows; row++) {
                const double whole = input_get(&f->in[k], f->in[k].g, row*f->n + who);
                const double own = input_get(&part->in[k], part->in[k].g, row*part->n + b);
                if (memcmp(&whole, &own, sizeof own))
                    fail_msg("%s: trajectory %zu of %zu has another gradient of %s alone", name, who, f->n, input_names[k]);
            }
    }
}

/* The same seeds for the same trajectories. */
static void pick_seeds(const proof *f, proof *part, const size_t *column) {
    for (size_t b = 0; b < part->n; b++) {
        for (size_t i = 0; i < f->rows*f->dim; i++) part->seed_y[i*part->n + b] = f->seed_y[i*f->n + column[b]];
        for (size_t i = 0; i < f->dim; i++) part->seed_end[i*part->n + b] = f->seed_end[i*f->n + column[b]];
        for (size_t i = 0; i < f->nz; i++) part->seed_z[i*part->n + b] = f->seed_z[i*f->n + column[b]];
    }
}

static void solve_part(const proof *f, proof *part, const size_t *column, size_t n, const char *name) {
    proof_pick(part, f, column, n);
    proof_create(part);
    assert_int_equal(proof_run(part), NDE_OK);
    pick_seeds(f, part, column);
    proof_backward(part);
    check_columns(f, part, column, name);
}

static void check_batches(proof *f, const char *name) {
    static const size_t seven[] = { 999, 3, 512, 127, 128, 0, 700 }, other[] = { 8, 999, 129, 3, 4, 511 };
    static const size_t single[] = { 0, 3, 64, 999 };
    proof part;
    proof_solve(f);
    solve_part(f, &part, seven, LENGTH(seven), name), proof_end(&part);
    solve_part(f, &part, other, LENGTH(other), name), proof_end(&part);
    for (size_t i = 0; i < LENGTH(single); i++) solve_part(f, &part, &single[i], 1, name), proof_end(&part);
}

static void bits_do_not_depend_on_the_batch(void **state) {
    (void)state;
    for (int which = 0; which < CASES; which++) {
        if (which == CASE_GROWTH || which == CASE_GENERAL_NOISE) continue; /* noise belongs to the number */
        proof f;
        case_make(which, &f, 0, false);
        f.options.stepping = NDE_STEP_INDEPENDENT, f.options.budget = (size_t)1 << 28;
        proof_resize(&f, 1000);
        check_batches(&f, case_names[which]);
        proof_end(&f);
    }
    proof f;
    case_network(&f, 0, 1000);
    check_batches(&f, "network");
    proof_end(&f);
}

/* With noise a trajectory is its number: the first seven of a thousand are those of seven. */
static void noise_belongs_to_the_number(void **state) {
    (void)state;
    static const size_t first[] = { 0, 1, 2, 3, 4, 5, 6 };
    proof f, part;
    case_general_noise(&f, 0, false);
    proof_resize(&f, 1000);
    f.options.group = 300;
    proof_solve(&f);
    solve_part(&f, &part, first, LENGTH(first), "general noise");
    proof_end(&part), proof_end(&f);
}

/* Sums over trajectories are those of the trajectories alone. */
static void batch_gradient_is_the_sum(void **state) {
    (void)state;
    for (int which = CASE_ENSEMBLE; which < CASES; which++) {
        if (which == CASE_GROWTH || which == CASE_GENERAL_NOISE) continue;
        proof f, part;
        case_make(which, &f, 0, true);
        if (f.n > 40) proof_resize(&f, 40);
        proof_solve(&f);
        double sum[INPUTS][32] = { { 0 } }, size[INPUTS] = { 0 };
        for (size_t b = 0; b < f.n; b++) {
            solve_part(&f, &part, &b, 1, case_names[which]);
            for (int k = 0; k < INPUTS; k++)
                for (size_t i = 0; f.in[k].shared && i < f.in[k].count; i++) {
                    const double g = input_get(&part.in[k], part.in[k].g, i);
                    sum[k][i] += g, size[k] += fabs(g);
                }
            proof_end(&part);
        }
        for (int k = 0; k < INPUTS; k++)
            for (size_t i = 0; f.in[k].shared && i < f.in[k].count; i++)
                assert_true(fabs(sum[k][i] - input_get(&f.in[k], f.in[k].g, i)) <= 4*NDE_TEST_EPS*size[k]);
        proof_end(&f);
    }
}

/* ---- neighbours that fail ----------------------------------------------------------------------------------------- */

enum { FAIL_NAN, FAIL_RETRY, FAIL_STOP, FAILURES };

typedef struct saboteur {
    const nde_field *inner;
    size_t victim;
    double after;
    int how;
} saboteur;

static int sabotage(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const saboteur *s = self->ctx;
    const int rc = s->inner->eval(s->inner, at, y, dy);
    for (size_t b = 0; b < at->n; b++) {
        if (at->index[b] != s->victim || at->t[b] < s->after) continue;
        if (s->how == FAIL_NAN) dy[at->ld + b] = (nde_real)NAN;
        else at->lane[b] = s->how == FAIL_RETRY ? NDE_LANE_RETRY : NDE_LANE_STOP;
    }
    return rc;
}
static int sabotage_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const saboteur *s = self->ctx;
    return s->inner->vjp(s->inner, at, y, a, to);
}

static int sabotage_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const saboteur *s = self->ctx;
    return s->inner->jvp(s->inner, at, y, v, dv);
}

static void check_neighbours(proof *f, int how, size_t victim, double after, bool first) {
    static const nde_status expected[FAILURES] = { NDE_E_NONFINITE, NDE_E_FIELD, NDE_STOPPED };
    f->problem.drift = &f->drift;
    proof_solve(f);
    const outcome well = keep(f);
    const saboteur s = { &f->drift, victim, after, how };
    nde_field bad = f->drift;
    bad.ctx = &s, bad.eval = sabotage, bad.vjp = sabotage_vjp, bad.jvp = sabotage_jvp;
    f->problem.drift = &bad;
    proof_create(f);
    assert_int_equal(proof_run(f), how == FAIL_STOP ? NDE_STOPPED : NDE_E_LANES);
    const nde_solution *now = &f->solution;
    assert_int_equal(now->status[victim], first && how == FAIL_RETRY ? NDE_E_FIELD_FIRST : expected[how]);
    assert_true(now->t_end[victim] <= fmax(after, f->problem.t0) && isfinite(now->y_end[victim]) &&
                isfinite(now->y_end[f->n + victim]));
    if (how != FAIL_STOP) assert_non_null(now->error);
    proof_backward(f);
    for (size_t b = 0; b < f->n; b++) {
        if (b == victim) continue;
        assert_int_equal(now->status[b], NDE_OK);
        for (size_t i = 0; i < f->rows*f->dim; i++)
            assert_memory_equal(&now->y[i*f->n + b], &well.y[i*f->n + b], sizeof *well.y);
        assert_memory_equal(&now->stats[b], &well.stats[b], sizeof *well.stats);
        for (int k = 0; k < INPUTS; k++)
            for (size_t row = 0; !f->in[k].shared && row < f->in[k].rows; row++)
                if (input_get(&f->in[k], f->in[k].g, row*f->n + b) != input_get(&f->in[k], well.gradient.g[k], row*f->n + b))
                    fail_msg("gradient of %s, trajectory %zu, changed", input_names[k], b);
    }
    /* what failed is a constant: the others' parameter gradient is that of a batch without it */
    for (size_t i = 0; i < f->in[IN_P].count; i++) assert_true(isfinite(((nde_real *)f->in[IN_P].g)[i]));
    proof_check_identity(f);
    if (how != FAIL_STOP)
        for (size_t i = 0; i < f->dim; i++) assert_true(((nde_real *)f->in[IN_Y0].g)[i*f->n + victim] == 0);
    f->problem.drift = &f->drift;
}

static void failing_neighbours_leave_no_trace(void **state) {
    (void)state;
    static const size_t victims[] = { 0, 5, 63, 149 };
    for (int how = 0; how < FAILURES; how++)
        for (size_t v = 0; v < LENGTH(victims); v++)
            for (int fixed = 0; fixed < 2; fixed++) {
                proof f;
                case_ensemble(&f, fixed ? 40 : 0, false);
                proof_resize(&f, 150);
                check_neighbours(&f, how, victims[v], 1.1, false);
                if (!fixed) check_neighbours(&f, how, victims[v], -1, true);
                f.options.record = NDE_RECORD_CHECKPOINTS;
                check_neighbours(&f, how, victims[v], 1.1, false);
                proof_end(&f);
            }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ten_thousand_trajectories),
        cmocka_unit_test(networks_and_joint_steps),
        cmocka_unit_test(instruction_sets_agree), cmocka_unit_test(lanes_are_busy),
        cmocka_unit_test(bits_do_not_depend_on_the_batch),
        cmocka_unit_test(noise_belongs_to_the_number),
        cmocka_unit_test(batch_gradient_is_the_sum),
        cmocka_unit_test(failing_neighbours_leave_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
