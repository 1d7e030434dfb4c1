/* SPDX-License-Identifier: MIT
 * batch.c - windows, mini-batches and their order: every field against a loop of its own, permutations against chance. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { N = 3, DIM = 2, TIMES = 12, COUNT = TIMES*DIM*N, M = 7, ROWS = 6 };

typedef struct rig {
    nde_series series;
    double t[TIMES];
    nde_real y[COUNT], weight[COUNT];
    unsigned char mask[ROWS];
    nde_window window[M];
} rig;

static bool missing(size_t k, size_t i, size_t b) { return (k*5 + i*3 + b)%7 == 2; }

/* An even grid of times (multiples of 1/8 are exact); some entries missing, but none at a window's start. */
static void make(rig *r) {
    *r = (rig){ .mask = { 0, 1, 1, 0, 1, 1 } };
    for (size_t k = 0; k < TIMES; k++) {
        r->t[k] = 2 + 0.125*(double)k;
        for (size_t i = 0; i < DIM; i++)
            for (size_t b = 0; b < N; b++) {
                const size_t at = (k*DIM + i)*N + b;
                r->y[at] = missing(k, i, b) ? (nde_real)NAN : (nde_real)(100*(double)k + 10*(double)i + (double)b);
                r->weight[at] = (nde_real)(1 + (double)at);
            }
    }
    r->series = NDE_INIT(nde_series, .n = N, .dim = DIM, .times = TIMES, .t = r->t, .y = r->y, .weight = r->weight);
    size_t found = 0;
    for (size_t at = 0; found < M; at++) {
        const size_t b = at%N, k = at*5%(TIMES - ROWS);
        bool whole = true;
        for (size_t i = 0; i < DIM; i++) whole = whole && !missing(k, i, b);
        if (!whole) continue;
        r->window[found] = (nde_window){ .trajectory = b, .start = k, .length = 2 + found%4 };
        if (found%3 == 1) r->window[found].mask = r->mask;
        found++;
    }
}

/* What nde_batch writes; one more of each, to see that it is not touched. */
typedef struct batch {
    double t[ROWS + 1], t0[M + 1];
    nde_real y0[DIM*M + 1], data[ROWS*DIM*M + 1], weight[ROWS*DIM*M + 1];
} batch;

static nde_status fill(const rig *r, batch *to) {
    memset(to, 0x5a, sizeof *to);
    return nde_batch(&r->series, r->window, M, ROWS, to->t, to->y0, to->data, to->weight, to->t0);
}

static void fields(void **state) {
    (void)state;
    rig r;
    batch got, fresh;
    make(&r);
    memset(&fresh, 0x5a, sizeof fresh);
    assert_int_equal(fill(&r, &got), NDE_OK);
    int open = 0, shut = 0;
    for (size_t k = 0; k < ROWS; k++) assert_true(got.t[k] == 0.125*(double)(k < 5 ? k : 4)); /* the longest window has 5 */
    for (size_t b = 0; b < M; b++) {
        const nde_window *w = &r.window[b];
        assert_true(got.t0[b] == r.t[w->start]);
        for (size_t i = 0; i < DIM; i++) {
            assert_true(got.y0[i*M + b] == r.y[(w->start*DIM + i)*N + w->trajectory]);
            for (size_t k = 0; k < ROWS; k++) {
                const size_t to = (k*DIM + i)*M + b, from = ((w->start + k)*DIM + i)*N + w->trajectory;
                const bool there = k < w->length && !(w->mask && !r.mask[k]) && !missing(w->start + k, i, w->trajectory);
                if (there) assert_true(got.data[to] == r.y[from] && got.weight[to] == r.weight[from]);
                else assert_true(isnan(got.data[to]) && got.weight[to] == 0);
                there ? open++ : shut++;
            }
        }
    }
    assert_true(open > 20 && shut > 20);
    assert_true(got.t[ROWS] == fresh.t[ROWS] && got.t0[M] == fresh.t0[M]);
    assert_memory_equal(&got.y0[DIM*M], &fresh.y0[DIM*M], sizeof(nde_real));
    assert_memory_equal(&got.data[ROWS*DIM*M], &fresh.data[ROWS*DIM*M], sizeof(nde_real));
    assert_memory_equal(&got.weight[ROWS*DIM*M], &fresh.weight[ROWS*DIM*M], sizeof(nde_real));

    r.series.weight = NULL; /* 1 where data is there */
    assert_int_equal(fill(&r, &got), NDE_OK);
    for (size_t i = 0; i < ROWS*DIM*M; i++) assert_true(got.weight[i] == (isnan(got.data[i]) ? 0 : 1));
    batch less = got;
    assert_int_equal(nde_batch(&r.series, r.window, M, ROWS, less.t, less.y0, less.data, NULL, NULL), NDE_OK);
    assert_memory_equal(&less.y0, &got.y0, sizeof got.y0);
}

/* It is what a problem, its options and the loss take: the mean over what is there. */
static void feeds_the_loss(void **state) {
    (void)state;
    rig r;
    batch got;
    nde_real y[ROWS*DIM*M], seed[ROWS*DIM*M];
    double loss, sum = 0, total = 0;
    make(&r);
    assert_int_equal(fill(&r, &got), NDE_OK);
    for (size_t i = 0; i < ROWS*DIM*M; i++) {
        y[i] = (nde_real)i;
        if (isnan(got.data[i])) continue;
        total += (double)got.weight[i];
        sum += (double)got.weight[i]*((double)i - (double)got.data[i])*((double)i - (double)got.data[i]);
    }
    const nde_solution solution = NDE_INIT(nde_solution, .n = M, .dim = DIM, .n_save = ROWS, .y = y);
    assert_int_equal(nde_loss_mse(&solution, got.data, got.weight, &loss, seed), NDE_OK);
    assert_true(fabs(loss - sum/total/2) <= 1e-13*loss);
}

/* Times that fall, and times that agree up to rounding only. */
static void relative_times(void **state) {
    (void)state;
    rig r;
    batch got;
    make(&r);
    for (size_t k = 0; k < TIMES; k++) r.t[k] = 1e6 - 0.1*(double)k;
    assert_int_equal(fill(&r, &got), NDE_OK);
    for (size_t k = 1; k < 5; k++) assert_true(got.t[k] < got.t[k - 1] && fabs(got.t[k] + 0.1*(double)k) < 1e-9);
    const double ulp = nextafter(1e6, 2e6) - 1e6;
    r.t[3] += 4*ulp;
    assert_int_equal(fill(&r, &got), NDE_OK);
    r.t[3] += 8*ulp;
    assert_int_equal(fill(&r, &got), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "after its start"));
}

static void all_windows(void **state) {
    (void)state;
    rig r;
    make(&r);
    for (size_t length = 1; length <= TIMES; length++)
        for (size_t stride = 1; stride <= TIMES + 2; stride++) {
            nde_window window[N*TIMES], expected[N*TIMES];
            size_t count = 0, n = 0, same;
            for (size_t b = 0; b < N; b++)
                for (size_t start = 0; start + length <= TIMES; start += stride)
                    expected[n++] = (nde_window){ .trajectory = b, .start = start, .length = length };
            assert_int_equal(nde_windows(&r.series, length, stride, NULL, 0, &count), NDE_OK);
            assert_int_equal(count, n);
            assert_int_equal(nde_windows(&r.series, length, stride, window, n, &same), NDE_OK);
            for (size_t i = 0; i < n; i++)
                assert_true(window[i].trajectory == expected[i].trajectory && window[i].start == expected[i].start &&
                            window[i].length == length && !window[i].mask);
            window[0].start = 99;
            assert_int_equal(nde_windows(&r.series, length, stride, window, n - 1, &same), NDE_E_SIZE);
            assert_true(same == n && window[0].start == 99);
        }
}

/* ---- order ---- */

static void orders_are_permutations(void **state) {
    (void)state;
    static size_t order[5000], again[5000];
    static bool seen[5000];
    const size_t counts[] = { 1, 2, 3, 64, 5000 };
    for (size_t c = 0; c < 5; c++)
        for (uint64_t epoch = 0; epoch < 20; epoch++) {
            const size_t count = counts[c];
            assert_int_equal(nde_shuffle(9, epoch, count, order), NDE_OK);
            memset(seen, 0, sizeof seen);
            for (size_t i = 0; i < count; i++) {
                assert_true(order[i] < count && !seen[order[i]]);
                seen[order[i]] = true;
            }
            (void)nde_normal(3, 200, 1, 2, 3);
            assert_int_equal(nde_shuffle(9, epoch, count, again), NDE_OK);
            assert_memory_equal(order, again, count*sizeof *order);
            if (count < 64) continue;
            assert_int_equal(nde_shuffle(9, epoch + 1, count, again), NDE_OK);
            assert_memory_not_equal(order, again, count*sizeof *order);
            assert_int_equal(nde_shuffle(10, epoch, count, again), NDE_OK);
            assert_memory_not_equal(order, again, count*sizeof *order);
        }
}

/* All 120 permutations of 5, and each item at each of 40 positions, as often as chance has it: chi-square within 5 of its
 * standard deviations. Seeds are fixed: the result is always the same. */
static void orders_are_uniform(void **state) {
    (void)state;
    enum { DRAWS = 24000, ITEMS = 40 };
    static int permutation[3125], place[ITEMS][ITEMS];
    size_t order[ITEMS];
    double chi = 0;
    for (uint64_t epoch = 0; epoch < DRAWS; epoch++) {
        assert_int_equal(nde_shuffle(7, epoch, 5, order), NDE_OK);
        permutation[(((order[0]*5 + order[1])*5 + order[2])*5 + order[3])*5 + order[4]]++;
        assert_int_equal(nde_shuffle(UINT64_C(0x123456789abcdef0) + epoch, epoch%3, ITEMS, order), NDE_OK);
        for (size_t i = 0; i < ITEMS; i++) place[i][order[i]]++;
    }
    int kinds = 0;
    for (size_t i = 0; i < 3125; i++) {
        const double expected = DRAWS/120.0, off = permutation[i] - expected;
        if (permutation[i]) kinds++, chi += off*off/expected;
    }
    print_message("120 permutations: chi-square %.1f\n", chi);
    assert_int_equal(kinds, 120);
    assert_true(fabs(chi - 119) < 5*sqrt(2*119.0));
    double all = 0;
    for (size_t i = 0; i < ITEMS; i++) {
        double row = 0;
        for (size_t j = 0; j < ITEMS; j++) {
            const double expected = (double)DRAWS/ITEMS, off = place[i][j] - expected;
            row += off*off/expected;
        }
        assert_true(fabs(row - 39) < 5*sqrt(2*39.0));
        all += row;
    }
    print_message("40 items at 40 positions: chi-square %.1f of 1521\n", all);
    assert_true(fabs(all - 39*39) < 5*sqrt(2*39.0*39.0));
}

/* These orders are a file format: a resumed run has them. */
static void orders_never_change(void **state) {
    (void)state;
    size_t order[8];
    const size_t first[8] = { 5, 7, 3, 0, 6, 2, 4, 1 }, second[8] = { 6, 7, 3, 2, 1, 5, 0, 4 };
    assert_int_equal(nde_shuffle(1, 0, 8, order), NDE_OK);
    assert_memory_equal(order, first, sizeof first);
    assert_int_equal(nde_shuffle(UINT64_C(0xfedcba9876543210), 3, 8, order), NDE_OK);
    assert_memory_equal(order, second, sizeof second);
}

/* ---- arguments ---- */

static void says(nde_status found, const char *function, const char *name, const char *value) {
    assert_int_equal(found, NDE_E_ARG);
    assert_non_null(strstr(nde_error(), function));
    assert_non_null(strstr(nde_error(), name));
    if (!strstr(nde_error(), value)) fail_msg("'%s' does not say %s", nde_error(), value);
}

static void refuse(const rig *r, const char *name, const char *value) {
    batch got, fresh;
    memset(&fresh, 0x5a, sizeof fresh);
    says(fill(r, &got), "nde_batch", name, value);
    assert_memory_equal(&got, &fresh, sizeof got);
}

static void refused_arguments(void **state) {
    (void)state;
    rig r;
    make(&r);
    const rig good = r;
    batch b;
    size_t count = 77, order[2];
    nde_window window[N*TIMES];
#define RESET r = good, r.series.t = r.t, r.series.y = r.y, r.series.weight = r.weight
    RESET;
    r.series.n = 0, refuse(&r, "n", "0"), RESET;
    r.series.dim = 0, refuse(&r, "dim", "0"), RESET;
    r.series.times = 0, refuse(&r, "times", "0"), RESET;
    r.series.t = NULL, refuse(&r, "series.t", "NULL"), RESET;
    r.series.y = NULL, refuse(&r, "series.y", "NULL"), RESET;
    r.series.size = 3, refuse(&r, "size", "3"), RESET;
    r.series.n = SIZE_MAX/2, refuse(&r, "series", "9223372036854775807"), RESET;
    r.window[2].trajectory = N, refuse(&r, "window[2].trajectory", "3"), RESET;
    r.window[2].length = 0, refuse(&r, "window[2]", "length 0"), RESET;
    r.window[2].length = ROWS + 1, r.window[2].start = 0, refuse(&r, "window[2].length", "7"), RESET;
    r.window[2].start = TIMES - 1, refuse(&r, "window[2]", "time 11"), RESET;
    r.window[2].start = SIZE_MAX, refuse(&r, "window[2]", "18446744073709551615"), RESET;
    r.window[2].length = SIZE_MAX, refuse(&r, "window[2]", "18446744073709551615"), RESET;
    r.t[r.window[3].start + 1] = (double)NAN, refuse(&r, "series.t", "nan"), RESET;
    r.t[r.window[3].start + 1] = r.t[r.window[3].start], refuse(&r, "series.t", "monotone"), RESET;
    r.t[r.window[3].start + 1] += 0.0625, refuse(&r, "window", "after its start"), RESET;
    r.y[(r.window[4].start*DIM + 1)*N + r.window[4].trajectory] = (nde_real)NAN;
    refuse(&r, "window[", "nan"), RESET;
    r.weight[(r.window[4].start*DIM + 1)*N + r.window[4].trajectory] = (nde_real)-0.5;
    refuse(&r, "weight", "-0.5"), RESET;
    r.weight[(r.window[4].start*DIM + 1)*N + r.window[4].trajectory] = (nde_real)INFINITY;
    refuse(&r, "weight", "inf"), RESET;
    says(nde_batch(NULL, r.window, M, ROWS, b.t, b.y0, b.data, NULL, NULL), "nde_batch", "series", "NULL");
    says(nde_batch(&r.series, NULL, M, ROWS, b.t, b.y0, b.data, NULL, NULL), "nde_batch", "window", "NULL");
    says(nde_batch(&r.series, r.window, M, ROWS, NULL, b.y0, b.data, NULL, NULL), "nde_batch", "t", "NULL");
    says(nde_batch(&r.series, r.window, M, ROWS, b.t, NULL, b.data, NULL, NULL), "nde_batch", "y0", "NULL");
    says(nde_batch(&r.series, r.window, M, ROWS, b.t, b.y0, NULL, NULL, NULL), "nde_batch", "data", "NULL");
    says(nde_batch(&r.series, r.window, 0, ROWS, b.t, b.y0, b.data, NULL, NULL), "nde_batch", "m", "0");
    says(nde_batch(&r.series, r.window, M, 0, b.t, b.y0, b.data, NULL, NULL), "nde_batch", "times", "0");
    says(nde_batch(&r.series, r.window, M, SIZE_MAX/8, b.t, b.y0, b.data, NULL, NULL), "nde_batch", "times",
         "2305843009213693951");

    says(nde_windows(NULL, 2, 1, window, 99, &count), "nde_windows", "series", "NULL");
    says(nde_windows(&r.series, 0, 1, window, 99, &count), "nde_windows", "length", "0");
    says(nde_windows(&r.series, TIMES + 1, 1, window, 99, &count), "nde_windows", "length", "13");
    says(nde_windows(&r.series, 2, 0, window, 99, &count), "nde_windows", "stride", "0");
    says(nde_windows(&r.series, 2, 1, window, 99, NULL), "nde_windows", "count", "NULL");
    r.t[TIMES - 1] = (double)NAN, says(nde_windows(&r.series, 2, 1, window, 99, &count), "nde_windows", "t[11]", "nan"), RESET;
    r.t[5] = r.t[6], says(nde_windows(&r.series, 2, 1, window, 99, &count), "nde_windows", "t[6]", "monotone"), RESET;
    assert_true(count == 77);
    says(nde_shuffle(1, 2, 0, order), "nde_shuffle", "count", "0");
    says(nde_shuffle(1, 2, 2, NULL), "nde_shuffle", "order", "NULL");
    RESET;
    assert_int_equal(fill(&r, &b), NDE_OK); /* it was good */
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields),
        cmocka_unit_test(feeds_the_loss),
        cmocka_unit_test(relative_times),
        cmocka_unit_test(all_windows),
        cmocka_unit_test(orders_are_permutations),
        cmocka_unit_test(orders_are_uniform),
        cmocka_unit_test(orders_never_change),
        cmocka_unit_test(refused_arguments),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
