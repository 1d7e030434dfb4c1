/* SPDX-License-Identifier: MIT
 * patience.c - early stopping on sequences of losses. */
#include <math.h>
#include <string.h>

#define NONE ((double)NAN)
#define MOST ((double)INFINITY)

typedef struct sequence {
    int64_t patience;
    double improvement;
    int count;
    double loss[8];
    const char *said;  /* for each loss: . go on, S stop */
    int64_t best_at, waited;
    double best;
} sequence;

static const sequence sequences[] = {
    { 2, 0, 5, { 5, 4, 3, 2, 1 }, ".....", 5, 0, 1 },
    { 2, 0, 5, { 1, 2, 3, 4, 5 }, "..SSS", 1, 4, 1 },
    { 1, 0, 3, { 3, 3, 2 }, ".S.", 3, 0, 2 },                       /* a tie is no improvement; a better loss starts anew */
    { 3, 0, 7, { 3, 4, 4, 2, 4, 4, 4 }, "......S", 4, 3, 2 },
    { 2, 0, 6, { 3, NONE, 2, NONE, NONE, 1 }, "....S.", 6, 0, 1 },
    { 2, 0, 3, { NONE, NONE, NONE }, ".SS", 0, 3, MOST },
    { 2, 0, 3, { NONE, 7, NONE }, "...", 2, 1, 7 },
    { 2, 0, 4, { MOST, 1, MOST, MOST }, "...S", 2, 2, 1 },
    { 2, 0.5, 5, { 3, 2.75, 2.5, 2.25, 1 }, "..S..", 5, 0, 1 },      /* 2.5 is not below 3 - 0.5, 2.25 is */
    { 2, 0.5, 4, { 3, 2.75, 2.375, 2 }, "....", 3, 1, 2.375 },       /* the best moves only when it improves */
    { 2, NDE_ZERO, 4, { 3, 2.75, 2.75, 2.75 }, "...S", 2, 2, 2.75 },
    { 2, 0, 4, { -3, -4, -MOST, -MOST }, "....", 3, 1, -MOST },
    { INT64_MAX, 0, 3, { 1, 2, 3 }, "...", 1, 2, 1 },
};

static void known_sequences(void **state) {
    (void)state;
    for (size_t k = 0; k < sizeof sequences/sizeof *sequences; k++) {
        const sequence *q = sequences + k;
        nde_real best_p[2] = { 77, 77 };
        nde_patience s = NDE_INIT(nde_patience, .patience = q->patience, .improvement = q->improvement, .best = NONE,
                                  .best_p = best_p); /* what best is at the start does not matter */
        for (int i = 0; i < q->count; i++) {
            const nde_real p[2] = { (nde_real)(i + 1), (nde_real)(-i - 1) };
            const nde_status status = nde_patience_update(&s, q->loss[i], 2, p);
            if (status != (q->said[i] == 'S' ? NDE_STOPPED : NDE_OK)) fail_msg("sequence %zu, loss %d: %d", k, i, status);
            assert_int_equal(s.count, i + 1);
            assert_int_equal(s.waited, s.count - s.best_at);
        }
        if (s.best_at != q->best_at || s.waited != q->waited || s.best != q->best) fail_msg("sequence %zu: the end", k);
        assert_true(best_p[0] == (q->best_at ? (nde_real)q->best_at : 77));
        assert_true(best_p[1] == (q->best_at ? (nde_real)-q->best_at : 77));
    }
}

static void without_parameters(void **state) {
    (void)state;
    nde_patience s = NDE_INIT(nde_patience, .patience = 1);
    assert_int_equal(nde_patience_update(&s, 1, 0, NULL), NDE_OK);
    assert_int_equal(nde_patience_update(&s, 2, 0, NULL), NDE_STOPPED);
    nde_patience other = s; /* it is all that a resumed run needs */
    assert_int_equal(nde_patience_update(&other, 0.5, 0, NULL), NDE_OK);
    s.count = s.waited = INT64_MAX; /* counters stay at their end */
    assert_int_equal(nde_patience_update(&s, 2, 0, NULL), NDE_STOPPED);
    assert_true(s.count == INT64_MAX && s.waited == INT64_MAX);
    assert_int_equal(nde_patience_update(&s, 0.5, 0, NULL), NDE_OK);
}

static void refused(nde_patience s, size_t np, const nde_real *p, const char *text) {
    const nde_patience before = s;
    if (nde_patience_update(&s, 0.5, np, p) != NDE_E_ARG || !strstr(nde_error(), text)) fail_msg("%s: %s", text, nde_error());
    assert_non_null(strstr(nde_error(), "nde_patience_update: "));
    assert_memory_equal(&s, &before, sizeof s);
    if (s.best_p) assert_true(s.best_p[0] == 9);
}

static void refusals(void **state) {
    (void)state;
    nde_real best_p[1] = { 9 };
    const nde_real p[1] = { 1 };
    nde_patience s = NDE_INIT(nde_patience, .best_p = best_p);
    refused(s, 1, p, "patience is 0");
    s.patience = -1, refused(s, 1, p, "patience is -1"), s.patience = 3;
    static const double wrong[] = { -0.5, (double)INFINITY, -(double)INFINITY, (double)NAN };
    for (int i = 0; i < 4; i++) s.improvement = wrong[i], refused(s, 1, p, "improvement is ");
    s.improvement = 0;
    s.count = -2, refused(s, 1, p, "count is -2"), s.count = 1;
    s.waited = -3, refused(s, 1, p, "waited -3"), s.waited = 0;
    s.best_at = -4, refused(s, 1, p, "best_at -4"), s.best_at = 0;
    s.best = (double)NAN, refused(s, 1, p, "best is nan"), s.best = 0;
    refused(s, 0, p, "np is 0");
    refused(s, SIZE_MAX, p, "np is ");
    refused(s, 1, NULL, "p is NULL");
    s.size = 3, refused(s, 1, p, "size is 3");
    assert_int_equal(nde_patience_update(NULL, 1, 1, p), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "patience is NULL"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_sequences), cmocka_unit_test(without_parameters), cmocka_unit_test(refusals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
