/* SPDX-License-Identifier: MIT
 * reduce.c - what all trajectories do together: against two passes over the rows that are kept, with the same bits for any
 * number of threads and through a pause; trajectories that fail, and the caller's own sums. */
#include "adjoint/cases.h"

#include <stdatomic.h>

enum { LEVELS = 5 };
static const double levels[LEVELS] = { 0, 0.1, 0.5, 0.975, 1 };
enum { EDGES = 5 };
static const double edges[EDGES] = { -8, -0.25, 0, 0.75, 1.5 };

/* ---- the caller's own: numbers and times of trajectories, added and hashed in the order of merges ------------------ */

typedef struct tally {
    uint64_t count, row, numbers, order;
    double t, first;
} tally;

static void tally_init(void *ctx, size_t row, void *state) {
    (void)ctx;
    assert_true((uintptr_t)state % 16 == 0);
    *(tally *)state = (tally){ .row = row };
}
static int tally_add(void *ctx, void *state, size_t row, size_t trajectory, double t, const nde_real *y, size_t ld) {
    tally *to = state;
    (void)ld;
    to->count++, to->numbers += trajectory, to->t += t, to->first += (double)y[0];
    to->order = to->order*31 + trajectory;
    if (to->row != row) return 99;
    return ctx && atomic_fetch_add((atomic_int *)ctx, -1) == 0 ? 41 : 0;
}
static void tally_merge(void *ctx, size_t row, void *state, const void *other) {
    tally *to = state;
    const tally *from = other;
    (void)ctx;
    if (to->row != row || from->row != row) to->count += 1000000;
    to->count += from->count, to->numbers += from->numbers, to->t += from->t, to->first += from->first;
    to->order = to->order*1000003 + from->order;
}

static nde_reduction reduction_of(void *ctx) {
    return NDE_INIT(nde_reduction, .levels = levels, .n_levels = LEVELS, .bytes = sizeof(tally), .init = tally_init,
                    .add = tally_add, .merge = tally_merge, .ctx = ctx, .edges = edges, .n_edges = EDGES);
}

static const tally *tally_at(const nde_solution *s, size_t row) {
    return (const tally *)(const void *)((const char *)s->reduced + row*((sizeof(tally) + 15)/16*16));
}

/* ---- against two passes --------------------------------------------------------------------------------------------- */

static int compare(const void *a, const void *b) {
    double x, y;
    memcpy(&x, a, sizeof x), memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}

static void check_component(const nde_solution *s, size_t row, size_t i, double *x) {
    const size_t at = row*s->out + i;
    size_t n = 0;
    long double sum = 0, square = 0;
    for (size_t who = 0; who < s->n; who++)
        if (row < s->saved[who]) x[n++] = (double)s->y[at*s->n + who];
    assert_int_equal(s->row_count[row], n);
    for (size_t bin = 0; bin <= EDGES; bin++) {
        uint64_t count = 0;
        for (size_t k = 0; k < n; k++) count += (bin == 0 || x[k] >= edges[bin - 1]) && (bin == EDGES || x[k] < edges[bin]);
        assert_int_equal(s->histogram[(row*s->n_bins + bin)*s->out + i], count);
    }
    if (!n) {
        assert_true(isnan(s->mean[at]) && isnan(s->least[at]) && isnan(s->greatest[at]) &&
                    isnan(s->quantile[row*LEVELS*s->out + i]));
        return;
    }
    for (size_t k = 0; k < n; k++) sum += (long double)x[k];
    const long double mean = sum/(long double)n;
    for (size_t k = 0; k < n; k++) square += ((long double)x[k] - mean)*((long double)x[k] - mean);
    qsort(x, n, sizeof *x, compare);
    const double most = fmax(fabs(x[0]), fabs(x[n - 1])), close = (double)n*DBL_EPSILON*most;
    assert_true(fabs(s->mean[at] - (double)mean) <= close);
    assert_true(s->least[at] == x[0] && s->greatest[at] == x[n - 1]);
    if (n == 1) {
        assert_true(isnan(s->variance[at]) && isnan(s->mean_error[at]));
    } else {
        const double variance = (double)(square/(long double)(n - 1));
        assert_true(fabs(s->variance[at] - variance) <= 8*close*(sqrt(variance) + close));
        assert_true(fabs(s->mean_error[at] - sqrt(s->variance[at]/(double)n)) <= 1e-15*s->mean_error[at]);
    }
    for (size_t l = 0; l < LEVELS; l++) {
        const size_t rank = (size_t)ceil(levels[l]*(double)n), index = rank ? rank - 1 : 0;
        const double got = s->quantile[(row*LEVELS + l)*s->out + i];
        assert_true(fabs(got - x[index]) <= fmax(fabs(x[index])/64, ldexp(most, -31)));
        if (index == 0 || index == n - 1) assert_true(got == x[index]);
    }
}

static void check_all(proof *f) {
    const nde_solution *s = &f->solution;
    double *x = proof_take(f, s->n, sizeof *x);
    assert_int_equal(s->n_levels, LEVELS);
    assert_int_equal(s->n_bins, EDGES + 1);
    for (size_t row = 0; row < s->n_save; row++) {
        size_t count = 0, numbers = 0;
        double t = 0, first = 0;
        for (size_t i = 0; i < s->out; i++) check_component(s, row, i, x);
        for (size_t who = 0; who < s->n; who++) {
            if (row >= s->saved[who]) continue;
            count++, numbers += who, t += f->options.save_t_each ? s->t[row*s->n + who] : s->t[row];
            first += (double)s->y[row*s->out*s->n + who];
        }
        const tally *own = tally_at(s, row);
        assert_true(own->count == count && own->numbers == numbers);
        assert_true(fabs(own->t - t) <= 1e-12*(double)count && fabs(own->first - first) <= 1e-10*(1 + (double)count));
    }
}

enum { SAVE_AT, SAVE_OWN, SAVE_END, WAYS };

static void make(proof *f, int which, int way, size_t n) {
    case_make(which, f, 0, false);
    if (f->n > n) proof_resize(f, n);
    f->options.adjoint = 0;
    if (way == SAVE_AT) return;
    proof_no_saves(f);
    if (way != SAVE_OWN) return;
    double *t = proof_take(f, 4*f->n, sizeof *t);
    for (size_t i = 0; i < 4*f->n; i++)
        t[i] = i/f->n > i % f->n % 5
                   ? (double)NAN
                   : f->problem.t0 + (f->problem.t1 - f->problem.t0)*((double)(i/f->n) + 0.2 + 0.1*proof_number(3, i))/4;
    f->options.save_t_each = t, f->options.n_save = 4;
}

static void sums_are_those_of_two_passes(void **state) {
    (void)state;
    for (int which = 0; which < CASES; which++)
        for (int way = 0; way < WAYS; way++)
            for (int n = 1; n <= 700; n += 699) {
                proof f;
                const nde_reduction r = reduction_of(NULL);
                make(&f, which, way, (size_t)n);
                f.problem.reduction = &r;
                proof_create(&f);
                assert_int_equal(proof_run(&f), NDE_OK);
                check_all(&f);
                assert_int_equal(proof_run(&f), NDE_OK); /* and again */
                check_all(&f);
                proof_end(&f);
            }
}

/* ---- bits ----------------------------------------------------------------------------------------------------------- */

static uint64_t more(uint64_t h, const void *data, size_t bytes) {
    for (const unsigned char *at = data; bytes; bytes--, at++) h = (h ^ *at)*0x100000001b3u;
    return h;
}

static uint64_t hash_of(const nde_solution *s) {
    const size_t entries = s->n_save*s->out;
    uint64_t h = 88172645463325252u;
    h = more(h, s->row_count, s->n_save*sizeof *s->row_count);
    h = more(h, s->mean, entries*sizeof *s->mean), h = more(h, s->variance, entries*sizeof *s->variance);
    h = more(h, s->least, entries*sizeof *s->least), h = more(h, s->greatest, entries*sizeof *s->greatest);
    h = more(h, s->histogram, entries*s->n_bins*sizeof *s->histogram),
        h = more(h, s->mean_error, entries*sizeof *s->mean_error);
    h = more(h, s->quantile, entries*s->n_levels*sizeof *s->quantile);
    return more(h, s->reduced, s->n_save*((sizeof(tally) + 15)/16*16));
}

static void no_bit_depends_on_the_way(void **state) {
    (void)state;
    static const int cases[] = { CASE_LORENZ, CASE_ENSEMBLE, CASE_INSIDE };
    for (size_t c = 0; c < LENGTH(cases); c++) {
        uint64_t first = 0;
        for (int how = 0; how < 7; how++) { /* threads 1, 2, 3, 5; rows not kept; paused, and brought to a solver with
                                             * threads */
            proof f;
            const nde_reduction r = reduction_of(NULL);
            make(&f, cases[c], SAVE_AT, 1200);
            if (cases[c] == CASE_ENSEMBLE) f.options.group = 90;
            f.problem.reduction = &r;
            f.options.threads = how < 3 ? how + 1 : how == 3 || how == 6 ? 5 : 0, f.options.discard = how == 4;
            proof_create(&f);
            if (how < 5) {
                assert_int_equal(proof_run(&f), NDE_OK);
            } else {
                size_t bytes = 0;
                nde_status status = nde_solver_steps(f.solver, 3, &f.solution);
                assert_int_equal(status, NDE_UNFINISHED);
                assert_int_equal(nde_solver_state(f.solver, NULL, &bytes), NDE_OK);
                void *block = proof_take(&f, bytes, 1);
                assert_int_equal(nde_solver_state(f.solver, block, &bytes), NDE_OK);
                f.options.threads = how == 5 ? 4 : 0;
                proof_create(&f);
                assert_int_equal(nde_solver_restore(f.solver, block, bytes), NDE_OK);
                while (nde_solver_steps(f.solver, 2, &f.solution) == NDE_UNFINISHED) continue;
            }
            const uint64_t h = hash_of(&f.solution);
            if (!how) first = h;
            if (h != first) fail_msg("%s, way %d: other bits", case_names[cases[c]], how);
            proof_end(&f);
        }
    }
}

/* ---- failures ------------------------------------------------------------------------------------------------------- */

static int duffing_or_not(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const nde_field *inner = self->ctx;
    nde_field plain = *self;
    plain.ctx = inner->ctx, plain.eval = inner->eval;
    for (size_t b = 0; b < at->n; b++)
        if (at->index[b] % 9 == 4 && at->t[b] > 1) at->lane[b] = NDE_LANE_RETRY;
    return inner->eval(&plain, at, y, dy);
}

/* Those that fail count as far as they came. */
static void failures_are_left_out(void **state) {
    (void)state;
    proof f;
    const nde_reduction r = reduction_of(NULL);
    make(&f, CASE_ENSEMBLE, SAVE_AT, 520);
    const nde_field inner = f.drift;
    f.drift.ctx = &inner, f.drift.eval = duffing_or_not;
    f.problem.reduction = &r;
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_E_LANES);
    size_t failed = 0;
    for (size_t who = 0; who < f.n; who++) failed += f.solution.status[who] < 0;
    assert_int_equal(failed, (f.n + 4)/9);
    assert_int_equal(f.solution.row_count[0], f.n);
    assert_int_equal(f.solution.row_count[1], f.n - failed);
    check_all(&f);
    proof_end(&f);
}

static void the_caller_may_stop(void **state) {
    (void)state;
    for (int after = 0; after < 700; after += 233) {
        proof f;
        atomic_int left = after;
        const nde_reduction r = reduction_of(&left);
        make(&f, CASE_ENSEMBLE, SAVE_AT, 520);
        f.problem.reduction = &r;
        proof_create(&f);
        assert_int_equal(proof_run(&f), NDE_STOPPED);
        size_t told = 0;
        for (size_t who = 0; who < f.n; who++) told += f.solution.stats[who].callback == 41;
        assert_int_equal(told, 1);
        atomic_store(&left, 1000000);
        assert_int_equal(proof_run(&f), NDE_OK);
        check_all(&f);
        proof_end(&f);
    }
}

/* What is at an edge is in the bin that begins there. */
static void bins_begin_at_their_edges(void **state) {
    (void)state;
    const nde_real y0[] = { -9, -8, (nde_real)-0.25, 0, (nde_real)0.75, (nde_real)1.5, 2 };
    const uint64_t counts[EDGES + 1] = { 1, 1, 1, 1, 1, 2 };
    nde_program *still;
    assert_int_equal(nde_program_parse("state y; dy = 0*y", NULL, &still), NDE_OK);
    const nde_field f = nde_field_program(still);
    const nde_reduction r = NDE_INIT(nde_reduction, .edges = edges, .n_edges = EDGES);
    const nde_problem problem = NDE_INIT(nde_problem, .n = LENGTH(y0), .y0 = y0, .t1 = 1, .drift = &f, .reduction = &r);
    nde_solution y = { 0 };
    assert_int_equal(nde_solve(&problem, NULL, &y), NDE_OK);
    assert_memory_equal(y.histogram, counts, sizeof counts);
    nde_solution_free(&y);
    nde_program_destroy(still);
}

/* ---- pairs --------------------------------------------------------------------------------------------------------- */

/* dy = -y + dW, in pairs of opposite paths: their mean is exact, of one that is not linear it is better than one of as
 * many. The error that is told is that of many runs. */
static void pairs_have_their_own_standard_errors(void **state) {
    (void)state;
    enum { N = 2048, RUNS = 40 };
    static nde_real y0[N];
    nde_program *drift, *noise, *observed;
    assert_int_equal(nde_program_parse("state y; dy = -y", NULL, &drift), NDE_OK);
    assert_int_equal(nde_program_parse("state y; dy = 1 + 0*y", NULL, &noise), NDE_OK);
    assert_int_equal(nde_program_parse("state y; out = exp(y)", NULL, &observed), NDE_OK);
    const nde_field of_drift = nde_field_program(drift), of_noise = nde_field_program(noise),
        of_observed = nde_field_program(observed);
    double told[2], seen[2];
    for (int antithetic = 0; antithetic < 2; antithetic++) {
        nde_noise path = NDE_INIT(nde_noise, .antithetic = antithetic);
        const nde_term term = NDE_INIT(nde_term, .field = &of_noise, .noise = &path, .kind = NDE_NOISE_DIAGONAL);
        const nde_reduction r = NDE_INIT(nde_reduction, .n_levels = 0);
        const nde_problem problem = NDE_INIT(nde_problem, .n = N, .y0 = y0, .t1 = 1, .drift = &of_drift, .terms = &term,
                                             .n_terms = 1, .calculus = NDE_ITO, .observe = &of_observed, .reduction = &r);
        const nde_options options = NDE_INIT(nde_options, .steps = 16, .group = 64);
        nde_solver *solver;
        nde_solution y = { 0 };
        double mean = 0, square = 0, error = 0;
        assert_int_equal(nde_solver_create(&problem, &options, &solver), NDE_OK);
        for (int k = 0; k < RUNS; k++) {
            path.seed = (uint64_t)k;
            assert_int_equal(nde_solver_run(solver, &y), NDE_OK);
            mean += y.mean[0]/RUNS, square += y.mean[0]*y.mean[0]/RUNS, error += y.mean_error[0]*y.mean_error[0]/RUNS;
        }
        told[antithetic] = sqrt(error), seen[antithetic] = sqrt((square - mean*mean)*RUNS/(RUNS - 1));
        if (!(fabs(told[antithetic]/seen[antithetic] - 1) < 4/sqrt(2.0*RUNS)))
            fail_msg("%g told, %g seen", told[antithetic], seen[antithetic]);
        nde_solver_destroy(solver);
    }
    assert_true(told[1] < 0.7*told[0]);
    nde_program_destroy(drift), nde_program_destroy(noise), nde_program_destroy(observed);
}

/* ---- refusals ------------------------------------------------------------------------------------------------------- */

static void wrong_ones_are_refused(void **state) {
    (void)state;
    static const double bad_level[] = { 0.5, -0.1 }, no_level[] = { 0.5, (double)NAN }, bad_edge[] = { 0.5, 0.5 };
    static const char *const names[] = { "edges is NULL", "edges[1]", "edges[1]", "n_levels", "levels[1]", "levels[1]",
                                         "error", "error", "octaves", "octaves", "bytes", "bytes", "save_every", "size" };
    for (size_t which = 0; which < LENGTH(names); which++) {
        proof f;
        nde_reduction r = reduction_of(NULL);
        nde_solver *none;
        make(&f, CASE_DOSES, SAVE_AT, 5);
        f.problem.reduction = &r;
        if (which == 0) r.edges = NULL;
        if (which == 1 || which == 2) r.edges = which == 1 ? bad_edge : no_level, r.n_edges = 2;
        if (which == 3) r.levels = NULL;
        if (which == 4 || which == 5) r.levels = which == 4 ? bad_level : no_level, r.n_levels = 2;
        if (which == 6 || which == 7) r.error = which == 6 ? 0.6 : 1e-4;
        if (which == 8 || which == 9) r.octaves = which == 8 ? -1 : 2047;
        if (which == 10) r.bytes = 0;
        if (which == 11) r.merge = NULL;
        if (which == 12) proof_no_saves(&f), f.options.save_every = 1;
        if (which == 13) r.size = 3;
        assert_int_equal(nde_solver_create(&f.problem, &f.options, &none), NDE_E_ARG);
        if (!strstr(nde_error(), names[which])) fail_msg("%zu: %s", which, nde_error());
        assert_int_equal(nde_solver_bytes(&f.problem, &f.options), 0);
        proof_end(&f);
    }
    proof f; /* moments alone */
    const nde_reduction r = NDE_INIT(nde_reduction, .error = 0.5);
    make(&f, CASE_DOSES, SAVE_AT, 5);
    f.problem.reduction = &r;
    proof_create(&f);
    assert_int_equal(proof_run(&f), NDE_OK);
    assert_true(f.solution.mean && f.solution.mean_error && !f.solution.quantile && !f.solution.reduced &&
                !f.solution.histogram && !f.solution.n_bins && f.solution.row_count[0] == 5);
    proof_end(&f);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sums_are_those_of_two_passes), cmocka_unit_test(no_bit_depends_on_the_way),
        cmocka_unit_test(failures_are_left_out),        cmocka_unit_test(the_caller_may_stop),
        cmocka_unit_test(bins_begin_at_their_edges), cmocka_unit_test(pairs_have_their_own_standard_errors),
        cmocka_unit_test(wrong_ones_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
