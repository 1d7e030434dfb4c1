/* SPDX-License-Identifier: MIT
 * form.c - matrices that are kept by their non-zeros: the order that makes a band narrow, which form is chosen, and factors of
 * bands and sparse matrices, pivots and transposes included. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "implicit/klu.h"
#include "implicit/order.h"

#define EACH_FORM(form)                                                        \
    for (int form = NDE_LINEAR_BAND; form <= NDE_LINEAR_SPARSE; form++)         \
        if (form == NDE_LINEAR_BAND || nde_klu_is_there())
enum { MOST = 600, MOST_ENTRIES = 12000 };
typedef struct pattern {
    size_t n, start[MOST + 1], index[MOST_ENTRIES];
} pattern_t;

static pattern_t *begin(size_t n) {
    pattern_t *p = calloc(1, sizeof *p);
    p->n = n;
    return p;
}
static void row_ends(pattern_t *p, size_t i) { p->start[i + 1] = p->start[p->n]; }
/* Rows in turn; start[n] counts meanwhile. */
static void put(pattern_t *p, size_t j) {
    assert_true(p->start[p->n] < MOST_ENTRIES && j < p->n);
    p->index[p->start[p->n]++] = j;
}

/* A drawn order of 0 ... n - 1. */
static void shuffle(size_t n, uint64_t seed, size_t *order) {
    for (size_t i = 0; i < n; i++) order[i] = i;
    for (size_t i = n; i > 1; i--) {
        const size_t j = (size_t)(nde_uniform(seed, 200, i, 0, 0)*(double)i), x = order[i - 1];
        order[i - 1] = order[j], order[j] = x;
    }
}

/* Two lines of n points, u before v, which meet at each point; or, `apart`, do not. */
static pattern_t *two_lines(size_t n, bool apart) {
    pattern_t *p = begin(2*n);
    for (size_t i = 0; i < 2*n; row_ends(p, i++)) {
        if (i % n) put(p, i - 1);
        put(p, i);
        if (i % n + 1 < n) put(p, i + 1);
        if (!apart) put(p, (i + n) % (2*n));
    }
    return p;
}

/* A grid, whose points stand anywhere. */
static pattern_t *grid(size_t rows, size_t columns, uint64_t seed) {
    pattern_t *p = begin(rows*columns);
    static size_t at[MOST], point[MOST];
    shuffle(p->n, seed, at);
    for (size_t k = 0; k < p->n; k++) point[at[k]] = k;
    for (size_t i = 0; i < p->n; row_ends(p, i++)) {
        const size_t r = point[i]/columns, c = point[i] % columns;
        put(p, i);
        if (r) put(p, at[point[i] - columns]);
        if (r + 1 < rows) put(p, at[point[i] + columns]);
        if (c) put(p, at[point[i] - 1]);
        if (c + 1 < columns) put(p, at[point[i] + 1]);
    }
    return p;
}

/* Entries anywhere within a band, about every second one; the diagonal too may lack. */
static pattern_t *drawn(size_t n, size_t lower, size_t upper, uint64_t seed) {
    pattern_t *p = begin(n);
    for (size_t i = 0; i < n; row_ends(p, i++))
        for (size_t j = i > lower ? i - lower : 0; j < n && j <= i + upper; j++)
            if (nde_uniform(seed, 200, i, j, 1) < 0.6) put(p, j);
    return p;
}

/* ---- a form and its factors ------------------------------------------------------------------ */

typedef struct system {
    pattern_t *p;
    nde_form form;
    nde_lu lu;
    size_t n, ld, *column_start, *row;
    nde_real *j, *h, *x, *b;
    void *block;
} system_t;

static void lay(system_t *s, nde_arena *arena) {
    nde_form_lay(&s->form, arena, s->column_start, s->row);
    nde_lu_lay_as(&s->lu, arena, &s->form, s->ld);
}

static void by_columns(system_t *s) {
    s->column_start = calloc(s->p->n + 1, sizeof(size_t)), s->row = calloc(MOST_ENTRIES, sizeof(size_t));
    for (size_t i = 0; i < s->p->n; i++)
        for (size_t e = s->p->start[i]; e < s->p->start[i + 1]; e++) s->column_start[s->p->index[e] + 1]++;
    for (size_t j = 0; j < s->p->n; j++) s->column_start[j + 1] += s->column_start[j];
    size_t *at = calloc(s->p->n, sizeof *at);
    for (size_t i = 0; i < s->p->n; i++)
        for (size_t e = s->p->start[i]; e < s->p->start[i + 1]; e++) {
            const size_t j = s->p->index[e];
            s->row[s->column_start[j] + at[j]++] = i;
        }
    free(at);
}

static void make(system_t *s, pattern_t *p, size_t n, int asked) {
    *s = (system_t){ .p = p, .n = n, .ld = nde_leading_dimension(n, sizeof(nde_real)) };
    assert_int_equal(nde_form_choose(&s->form, &nde_allocator_default, p->n, p->start, p->index, asked), NDE_OK);
    by_columns(s);
    nde_arena arena = { 0 };
    lay(s, &arena);
    assert_int_equal(posix_memalign(&s->block, 64, arena.used), 0);
    memset(s->block, 0xff, arena.used);
    arena = (nde_arena){ .base = s->block };
    lay(s, &arena);
    assert_int_equal(nde_lu_open(&s->lu), NDE_OK);
    s->j = calloc(s->form.nonzeros*s->ld, sizeof *s->j), s->h = calloc(s->ld, sizeof *s->h);
    s->x = calloc(p->n*s->ld, sizeof *s->x), s->b = calloc(p->n*s->ld, sizeof *s->b);
}

static void drop(system_t *s) {
    nde_lu_close(&s->lu);
    free(s->j), free(s->h), free(s->x), free(s->b), free(s->block), free(s->column_start), free(s->row);
}

/* scale: of J, beside which W's 1 is nothing or all. */
static void fill(system_t *s, uint64_t seed, size_t first, double scale) {
    for (size_t b = 0; b < s->n; b++) {
        s->h[b] = (nde_real)(0.5 + nde_uniform(seed, 200, first + b, 0, 0));
        for (size_t e = 0; e < s->form.nonzeros; e++)
            s->j[e*s->ld + b] = (nde_real)(nde_normal(seed, 200, first + b, e, 1)*scale);
        for (size_t i = 0; i < s->p->n; i++)
            s->x[i*s->ld + b] = s->b[i*s->ld + b] = (nde_real)nde_normal(seed, 200, first + b, i, 2);
    }
}

/* The largest residual of W x = b, or of its transpose, relative to the largest numbers in it. */
static double residual(const system_t *s, double gamma, bool transposed) {
    static double sum[MOST];
    double worst = 0;
    for (size_t b = 0; b < s->n; b++) {
        double size = 0;
        for (size_t i = 0; i < s->p->n; i++) sum[i] = (double)s->x[i*s->ld + b] - (double)s->b[i*s->ld + b];
        for (size_t i = 0; i < s->p->n; i++) {
            size = fmax(size, fabs((double)s->x[i*s->ld + b]));
            for (size_t e = s->p->start[i]; e < s->p->start[i + 1]; e++) {
                const size_t to = transposed ? s->p->index[e] : i, from = transposed ? i : s->p->index[e];
                const double x = gamma*(double)s->h[b]*(double)s->j[e*s->ld + b]*(double)s->x[from*s->ld + b];
                sum[to] -= x, size = fmax(size, fabs(x));
            }
        }
        for (size_t i = 0; i < s->p->n; i++) worst = fmax(worst, fabs(sum[i])/size);
    }
    return worst;
}

static void solve(system_t *s, const nde_kernels *kernels, bool transposed) {
    assert_int_equal(nde_lu_factor(kernels, &s->lu, s->n, s->ld, s->h, (nde_real)0.25, s->j), 0);
    (transposed ? nde_lu_solve_transposed : nde_lu_solve)(kernels, &s->lu, s->n, s->ld, s->x);
}

/* ---- tests ----------------------------------------------------------------------------------- */

static void narrow(pattern_t *p, size_t lower, size_t upper) {
    nde_form form;
    assert_int_equal(nde_form_choose(&form, &nde_allocator_default, p->n, p->start, p->index, NDE_LINEAR_BAND), NDE_OK);
    if (form.lower > lower || form.upper > upper) fail_msg("%zu and %zu diagonals", form.lower, form.upper);
    free(p);
}

static void orders_are_narrow(void **state) {
    (void)state;
    narrow(two_lines(50, false), 3, 3), narrow(two_lines(50, true), 1, 1);
    narrow(grid(1, 100, 1), 1, 1), narrow(grid(5, 40, 2), 7, 7), narrow(grid(12, 12, 3), 16, 16);
    narrow(drawn(80, 0, 3, 4), 0, 3), narrow(drawn(80, 2, 0, 5), 2, 0);
    pattern_t *none = begin(30);
    narrow(none, 0, 0);
}

static int chosen(pattern_t *p, int asked) {
    nde_form form;
    assert_int_equal(nde_form_choose(&form, &nde_allocator_default, p->n, p->start, p->index, asked), NDE_OK);
    return form.kind;
}

static void forms_are_chosen(void **state) {
    (void)state;
    pattern_t *small = two_lines(8, false), *line = two_lines(9, false), *square = grid(20, 20, 1);
    pattern_t *full = drawn(60, 59, 59, 2);
    assert_int_equal(chosen(small, NDE_LINEAR_AUTO), NDE_LINEAR_DENSE);
    assert_int_equal(chosen(small, NDE_LINEAR_BAND), NDE_LINEAR_BAND);
    assert_int_equal(chosen(line, NDE_LINEAR_AUTO), NDE_LINEAR_BAND);
    assert_int_equal(chosen(line, NDE_LINEAR_DENSE), NDE_LINEAR_DENSE);
    assert_int_equal(chosen(square, NDE_LINEAR_AUTO), nde_klu_is_there() ? NDE_LINEAR_SPARSE : NDE_LINEAR_BAND);
    assert_int_equal(chosen(full, NDE_LINEAR_AUTO), NDE_LINEAR_DENSE);
    pattern_t *arrow = begin(300); /* no order makes a band of it */
    for (size_t i = 0; i < 300; row_ends(arrow, i++))
        for (size_t j = 0; j < 300; j++)
            if (i == j || i == 0 || j == 0) put(arrow, j);
    assert_int_equal(chosen(arrow, NDE_LINEAR_AUTO), nde_klu_is_there() ? NDE_LINEAR_SPARSE : NDE_LINEAR_DENSE);
    free(small), free(line), free(square), free(full), free(arrow);
}

static void *refuse(void *ctx, size_t bytes, size_t align) { return (void)ctx, (void)bytes, (void)align, NULL; }
static void give(void *ctx, void *block, size_t bytes) { (void)ctx, (void)block, (void)bytes; }

static void what_cannot_be_is_refused(void **state) {
    (void)state;
    const nde_allocator none = { .take = refuse, .give = give };
    nde_form form;
    pattern_t *p = two_lines(20, false);
    assert_int_equal(nde_form_choose(&form, &none, p->n, p->start, p->index, NDE_LINEAR_AUTO), NDE_E_NOMEM);
    assert_int_equal(nde_form_choose(&form, &none, p->n, p->start, p->index, NDE_LINEAR_DENSE), NDE_OK);
    assert_int_equal(nde_form_choose(&form, &nde_allocator_default, p->n, p->start, p->index, NDE_LINEAR_SPARSE),
                     nde_klu_is_there() ? NDE_OK : NDE_E_ARG);
    p->index[1] = p->index[0];
    assert_int_equal(chosen(p, NDE_LINEAR_AUTO), NDE_LINEAR_DENSE);
    assert_int_equal(nde_form_choose(&form, &nde_allocator_default, p->n, p->start, p->index, NDE_LINEAR_BAND), NDE_E_ARG);
    assert_non_null(strstr(nde_error(), "twice"));
    free(p);
}

/* With J large its rows must change places. */
static void solves_and_transposes(void **state) {
    (void)state;
    static const int isas[] = { NDE_ISA_BASELINE, NDE_ISA_V3, NDE_ISA_V4 };
    static const struct { size_t n, lower, upper; } bands[] = { { 1, 0, 0 }, { 5, 1, 1 }, { 40, 0, 3 }, { 40, 2, 0 },
                                                                { 41, 2, 3 }, { 120, 9, 4 }, { 33, 32, 32 } };
    for (size_t c = 0; c < sizeof bands/sizeof *bands; c++)
        EACH_FORM(form) {
            pattern_t *p = drawn(bands[c].n, bands[c].lower, bands[c].upper, c);
            for (size_t lanes = 1; lanes < 8; lanes += 3) {
                system_t s;
                make(&s, p, lanes, form);
                for (int k = 0; k < 12; k++) {
                    const nde_kernels *kernels = nde_kernels_get(isas[k % 3], false);
                    fill(&s, 7 + c, 0, k/6 ? 1 : 1e4);
                    if (kernels) solve(&s, kernels, k/3 % 2);
                    if (kernels && !(residual(&s, 0.25, k/3 % 2) < 64*NDE_TEST_EPS*(double)(p->n + 1)))
                        fail_msg("form %d, %zu rows: residual %g", form, p->n, residual(&s, 0.25, k/3 % 2));
                }
                drop(&s);
            }
            free(p);
        }
}

static void grids_are_solved(void **state) {
    (void)state;
    const nde_kernels *kernels = nde_kernels_get(NDE_ISA_AUTO, false);
    EACH_FORM(form) {
        pattern_t *p = grid(20, 25, 9);
        system_t s;
        make(&s, p, 2, form);
        for (int back = 0; back < 2; back++) {
            fill(&s, 3, 0, 10), solve(&s, kernels, back);
            assert_true(residual(&s, 0.25, back) < 1e4*NDE_TEST_EPS);
        }
        drop(&s), free(p);
    }
}

static void a_lane_alone_has_the_same_bits(void **state) {
    (void)state;
    const nde_kernels *kernels = nde_kernels_get(NDE_ISA_AUTO, false), *plain = nde_kernels_get(NDE_ISA_BASELINE, false);
    EACH_FORM(form)
        for (int back = 0; back < 2; back++) {
            pattern_t *p = drawn(50, 4, 6, 2);
            system_t many, one;
            make(&many, p, 5, form), make(&one, p, 1, form);
            fill(&many, 3, 0, 5), solve(&many, kernels, back);
            for (size_t b = 0; b < many.n; b++) {
                fill(&one, 3, b, 5), solve(&one, plain, back);
                for (size_t i = 0; i < p->n; i++) assert_memory_equal(&one.x[i], &many.x[i*many.ld + b], sizeof(nde_real));
            }
            drop(&many), drop(&one), free(p);
        }
}

/* W = 0 in lane 2, NaN in lane 4. */
static void singular_lanes_are_alone(void **state) {
    (void)state;
    const nde_kernels *kernels = nde_kernels_get(NDE_ISA_AUTO, true);
    EACH_FORM(form) {
        pattern_t *p = two_lines(20, false);
        system_t s, t;
        make(&s, p, 6, form), make(&t, p, 6, form);
        fill(&s, 5, 0, 3), fill(&t, 5, 0, 3);
        s.h[2] = 4;
        for (size_t i = 0; i < p->n; i++)
            for (size_t e = p->start[i]; e < p->start[i + 1]; e++)
                s.j[e*s.ld + 2] = p->index[e] == i, s.j[e*s.ld + 4] = (nde_real)NAN;
        solve(&s, kernels, false), solve(&t, kernels, false);
        for (size_t b = 0; b < s.n; b++) {
            bool finite = true;
            for (size_t i = 0; i < p->n; i++) finite = finite && isfinite(s.x[i*s.ld + b]);
            assert_int_equal(finite, b != 2 && b != 4);
            for (size_t i = 0; finite && i < p->n; i++)
                assert_memory_equal(&s.x[i*s.ld + b], &t.x[i*t.ld + b], sizeof(nde_real));
        }
        drop(&s), drop(&t), free(p);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(orders_are_narrow),     cmocka_unit_test(forms_are_chosen),
        cmocka_unit_test(what_cannot_be_is_refused), cmocka_unit_test(solves_and_transposes),
        cmocka_unit_test(grids_are_solved),      cmocka_unit_test(a_lane_alone_has_the_same_bits),
        cmocka_unit_test(singular_lanes_are_alone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
