/* SPDX-License-Identifier: MIT
 * The caller's own tables: good ones are taken over as they are, each kind of mistake is named.
 *
 * Source: E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I (1993),
 * II.1, II.4. */
#include "method/method.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { SPACE = 64*63/2 + 6*64 };
static double space[SPACE];

static nde_tableau heun(void) { /* improved Euler with Euler as the embedded method */
    static const double a[] = { 1 }, b[] = { 0.5, 0.5 }, e[] = { -0.5, 0.5 };
    return NDE_INIT(nde_tableau, .stages = 2, .a = a, .b = b, .e = e, .order = 2,
                    .error_order = 1);
}

static nde_tableau ralston(void) {
    static const double a[] = { 0.5, 0, 0.75 }, c[] = { 0, 0.5, 0.75 };
    static const double b[] = { 2.0/9, 1.0/3, 4.0/9 };
    return NDE_INIT(nde_tableau, .stages = 3, .a = a, .b = b, .c = c, .order = 3);
}

static nde_tableau merson(void) { /* 4 in 5 stages, the embedded one of order 3 */
    static const double a[] = { 1.0/3, 1.0/6, 1.0/6, 0.125, 0, 0.375, 0.5, 0, -1.5, 2 };
    static const double b[] = { 1.0/6, 0, 0, 2.0/3, 1.0/6 };
    static const double e[] = { 1.0/15, 0, -0.3, 4.0/15, -1.0/30 };
    return NDE_INIT(nde_tableau, .stages = 5, .a = a, .b = b, .e = e, .order = 4,
                    .error_order = 3);
}

static nde_tableau bogacki_shampine(void) {
    static const double a[] = { 0.5, 0, 0.75, 2.0/9, 1.0/3, 4.0/9 };
    static const double b[] = { 2.0/9, 1.0/3, 4.0/9, 0 };
    static const double e[] = { -5.0/72, 1.0/12, 1.0/9, -0.125 };
    return NDE_INIT(nde_tableau, .stages = 4, .a = a, .b = b, .e = e, .order = 3,
                    .error_order = 2, .first_same_as_last = 1);
}

static nde_tableau euler(void) {
    static const double b[] = { 1 };
    return NDE_INIT(nde_tableau, .stages = 1, .b = b, .order = 1);
}

/* A method of the registry as a caller would hand it in. */
static nde_tableau handed_in(const nde_method *m) {
    return NDE_INIT(nde_tableau, .stages = (size_t)m->stages, .a = m->a, .b = m->b,
                    .c = m->c, .e = m->e, .order = m->order,
                    .error_order = m->error_order,
                    .first_same_as_last = m->first_same_as_last);
}

static nde_method take(nde_tableau t) {
    nde_method m = { .stages = -1 };
    const nde_status status = nde_tableau_read(&t, &m, space);
    if (status) fail_msg("%s", nde_error());
    assert_true(nde_tableau_space(t.stages) <= SPACE);
    return m;
}

/* The table is refused, and the text has all words of `words`, parted by '|'. */
static void refuse(nde_tableau t, const char *words) {
    nde_method m = { .stages = -1 };
    assert_int_equal(nde_tableau_read(&t, &m, space), NDE_E_ARG);
    assert_int_equal(m.stages, -1);
    char copy[200];
    (void)snprintf(copy, sizeof copy, "%s", words);
    for (char *word = strtok(copy, "|"); word; word = strtok(NULL, "|"))
        if (!strstr(nde_error(), word)) fail_msg("'%s' is not in '%s'", word, nde_error());
}

static void good_tables_are_taken_over(void **state) {
    (void)state;
    const nde_tableau good[] = { euler(), heun(), ralston(), merson(), bogacki_shampine() };
    for (size_t k = 0; k < sizeof good/sizeof *good; k++) {
        const nde_tableau *t = &good[k];
        const size_t s = t->stages;
        const nde_method m = take(*t);
        assert_true(m.name && m.source);
        assert_true(m.kind == NDE_KIND_RUNGE_KUTTA && m.stages == (int)s && m.order == t->order);
        assert_true(m.error_order == t->error_order && (m.e != NULL) == (t->e != NULL));
        assert_true(m.first_same_as_last == (t->first_same_as_last != 0));
        if (s > 1) assert_memory_equal(m.a, t->a, s*(s - 1)/2*sizeof(double));
        assert_memory_equal(m.b, t->b, s*sizeof(double));
        if (t->e) assert_memory_equal(m.e, t->e, s*sizeof(double));
        const double *row = m.a;
        for (size_t i = 0; i < s; row += i, i++) {
            double sum = 0;
            for (size_t j = 0; j < i; j++) sum += row[j];
            assert_true(fabs(m.c[i] - sum) < 1e-15);
        }
        /* copied: nothing points to the caller's arrays */
        const double *const kept[] = { m.b, m.c, m.dense, m.e ? m.e : space };
        for (size_t i = 0; i < 4; i++) assert_true(kept[i] >= space && kept[i] < space + SPACE);
    }
}

/* Only what is asked for is written, so that a workspace may be laid out by it. */
static void space_is_what_was_asked_for(void **state) {
    (void)state;
    assert_int_equal(nde_tableau_space(0), 0);
    assert_int_equal(nde_tableau_space(65), 0);
    assert_int_equal(nde_tableau_space(SIZE_MAX), 0);
    const nde_tableau good[] = { euler(), heun(), ralston(), merson(), bogacki_shampine() };
    for (size_t k = 0; k < sizeof good/sizeof *good; k++) {
        const size_t used = nde_tableau_space(good[k].stages);
        for (size_t i = 0; i < SPACE; i++) space[i] = -77;
        take(good[k]);
        assert_true(space[used - 1] != -77 && space[used] == -77);
    }
}

/* Every explicit method that the registry has passes with its own claims and no better ones. */
static void the_registry_is_accepted(void **state) {
    (void)state;
    for (size_t k = 0; k < nde_method_count(); k++) {
        const nde_method *m = nde_method_at(k);
        if (m->kind != NDE_KIND_RUNGE_KUTTA) continue;
        nde_tableau t = handed_in(m);
        assert_memory_equal(take(t).c, m->c, t.stages*sizeof(double));
        t.c = NULL;
        const nde_method own = take(t);
        for (size_t i = 0; i < t.stages; i++) {
            double terms = 1;
            for (size_t j = 0; j < i; j++) terms += fabs(m->a[i*(i - 1)/2 + j]);
            assert_true(fabs(own.c[i] - m->c[i]) <= 4*DBL_EPSILON*terms);
        }
        if (m->first_same_as_last) assert_true(own.c[t.stages - 1] == 1); /* not to rounding only */
        t.order++;
        refuse(t, m->stages > m->order ? "tableau.b is not of order|tree" : "tableau.order is");
        if (!m->e) continue;
        t = handed_in(m), t.error_order++;
        refuse(t, "tableau.b - e is not of order|tree");
    }
}

static void dense_output_is_hermite_or_linear(void **state) {
    (void)state;
    const nde_tableau good[] = { euler(), heun(), ralston(), merson(), bogacki_shampine() };
    for (size_t k = 0; k < sizeof good/sizeof *good; k++) {
        const nde_method m = take(good[k]);
        assert_int_equal(m.dense_order, m.first_same_as_last ? 3 : 1);
        for (int i = 0; i < m.stages; i++) {
            double end = 0, slope = 0, half = 0;
            for (int j = m.dense_terms - 1; j >= 0; j--) {
                const double d = m.dense[i*m.dense_terms + j];
                end += d, slope += (j + 1)*d, half = (half + d)/2;
            }
            const double first = i == 0, last = i == m.stages - 1;
            assert_true(fabs(end - m.b[i]) < 1e-15);
            if (m.first_same_as_last) { /* y(1/2) = (y + y+)/2 + h/8 (k_first - k_last) */
                assert_true(fabs(half - (m.b[i]/2 + (first - last)/8)) < 1e-15);
                assert_true(m.dense[i*m.dense_terms] == first && fabs(slope - last) < 1e-15);
            } else {
                assert_true(half == m.b[i]/2);
            }
        }
    }
    /* bosh3 of the registry has the same polynomial, from its source */
    const nde_method own = take(bogacki_shampine()), *theirs = nde_method_get(NDE_BOSH3);
    assert_int_equal(own.dense_terms, theirs->dense_terms);
    for (int i = 0; i < own.stages*own.dense_terms; i++)
        assert_true(fabs(own.dense[i] - theirs->dense[i]) < 1e-15);
}

static void claims_that_cannot_be_are_refused(void **state) {
    (void)state;
    nde_tableau t = heun();
    t.size--, refuse(t, "tableau.size");
    t = heun(), t.stages = 0, refuse(t, "tableau.stages is 0");
    t = heun(), t.stages = 65, refuse(t, "tableau.stages is 65|64");
    t = heun(), t.stages = SIZE_MAX, refuse(t, "tableau.stages");
    t = heun(), t.a = NULL, refuse(t, "tableau.a is NULL");
    t = heun(), t.b = NULL, refuse(t, "tableau.b is NULL");
    t = heun(), t.order = 0, refuse(t, "tableau.order is 0");
    t = heun(), t.order = -2, refuse(t, "tableau.order is -2");
    t = heun(), t.order = 3, refuse(t, "tableau.order is 3|2 are possible");
    t = heun(), t.error_order = 0, refuse(t, "tableau.error_order is 0");
    t = heun(), t.error_order = 7, refuse(t, "tableau.error_order is 7");
    const double none[] = { 0, 0 };
    t = heun(), t.e = none, refuse(t, "tableau.e is zero|NULL");
}

static void numbers_that_are_not_finite_are_refused(void **state) {
    (void)state;
    const double bad[] = { (double)NAN, (double)INFINITY, -(double)INFINITY };
    for (size_t k = 0; k < 3; k++) {
        double a[] = { 0.5, 0, bad[k] }, b[] = { 0.25, bad[k], 0.75 }, c[] = { 0, bad[k], 1 };
        nde_tableau t = ralston();
        t.a = a, refuse(t, "tableau.a[2] is");
        t = ralston(), t.b = b, refuse(t, "tableau.b[1] is");
        t = ralston(), t.c = c, refuse(t, "tableau.c[1] is");
        t = ralston(), t.e = b, t.error_order = 1, refuse(t, "tableau.e[1] is");
    }
}

static void huge_numbers_excuse_nothing(void **state) {
    (void)state;
    const double overflows[] = { 1e308, 1e308, 1e308 }, cancels[] = { 1e20, -1e20, 0 };
    const double row[] = { 0.5, 1e308, 1e308 };
    nde_tableau t = ralston();
    t.b = overflows, refuse(t, "tableau.b is not of order|tree t ");
    t = ralston(), t.b = cancels, refuse(t, "tableau.b is not of order|tree t ");
    t = ralston(), t.a = row, refuse(t, "tableau.c[2] is|row 2 of a");
    t.c = NULL, refuse(t, "tableau.c[2] is|row 2 of a");
}

static void wrong_nodes_name_their_row(void **state) {
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        double c[] = { 0, 0.5, 0.75 };
        char words[40];
        c[i] += 1e-6;
        nde_tableau t = ralston();
        t.c = c;
        (void)snprintf(words, sizeof words, "tableau.c[%zu] is|row %zu of a", i, i);
        refuse(t, words);
    }
}

static void wrong_last_rows_name_their_column(void **state) {
    (void)state;
    nde_tableau t = ralston();
    t.first_same_as_last = 1;
    refuse(t, "first_same_as_last: b[0] is|row 2 of a has 0");
    t = euler(), t.first_same_as_last = 1;
    refuse(t, "first_same_as_last: b[0] is 1|row 0");
    t = bogacki_shampine();
    double b[4];
    memcpy(b, t.b, sizeof b);
    b[1] = nextafter(b[1], 1);
    t.b = b;
    refuse(t, "first_same_as_last: b[1] is|row 3 of a has");
}

static void wrong_orders_name_their_tree(void **state) {
    (void)state;
    double b[] = { 2.0/9, 1.0/3, 4.0/9 + 1e-6 };
    nde_tableau t = ralston();
    t.b = b;
    refuse(t, "tableau.b is not of order 3|tree t |not 1/1");
    const double middle[] = { 0.5, 0, 0.5 };
    t = ralston(), t.b = middle;
    refuse(t, "tableau.b is not of order 3|tree [t]|not 1/2");
    /* Heun's third-order nodes and weights with another row: all quadrature conditions hold */
    const double a[] = { 1.0/3, 2.0/3, 0 }, quadrature[] = { 0.25, 0, 0.75 };
    t = ralston(), t.a = a, t.b = quadrature, t.c = NULL;
    refuse(t, "tableau.b is not of order 3|tree [[t]]|not 1/6");
    t.order = 2;
    assert_int_equal(take(t).order, 2);
    const double e[] = { 0.1, 0, 0 };
    t.e = e, t.error_order = 1;
    refuse(t, "tableau.b - e is not of order 1|tree t ");
}

/* ---- a table that misses the condition of a single tree --------------------------------------- */

enum { TREES = 17 };
static const char *const tree[TREES] = { /* up to order 5: HNW, table II.2.1 */
    "t", "[t]", "[[t]]", "[tt]", "[[[t]]]", "[[tt]]", "[[t]t]", "[ttt]", "[[[[t]]]]", "[[[tt]]]",
    "[[[t]t]]", "[[ttt]]", "[[[t]]t]", "[[tt]t]", "[[t][t]]", "[[t]tt]", "[tttt]",
};

/* phi of the tree at *text, which is moved behind it, by the definition; returns its nodes. */
static int weigh(const double *a, const char **text, double *phi, double *gamma) {
    int nodes = 1;
    for (int i = 0; i < TREES; i++) phi[i] = 1;
    if (*(*text)++ == '[') {
        while (**text != ']') {
            double child[TREES];
            nodes += weigh(a, text, child, gamma);
            for (int i = 0; i < TREES; i++) {
                double sum = 0;
                for (int j = 0; j < i; j++) sum += a[i*(i - 1)/2 + j]*child[j];
                phi[i] *= sum;
            }
        }
        ++*text;
    }
    *gamma *= nodes;
    return nodes;
}

/* Solves m x = x by elimination with pivots. */
static void eliminate(double m[TREES][TREES], double *x) {
    for (int k = 0; k < TREES; k++) {
        int best = k;
        for (int i = k; i < TREES; i++) best = fabs(m[i][k]) > fabs(m[best][k]) ? i : best;
        for (int j = 0; j < TREES; j++) {
            const double swapped = m[k][j];
            m[k][j] = m[best][j], m[best][j] = swapped;
        }
        const double swapped = x[k];
        x[k] = x[best], x[best] = swapped;
        for (int i = 0; i < TREES; i++) {
            const double factor = i == k ? 0 : m[i][k]/m[k][k];
            for (int j = k; j < TREES; j++) m[i][j] -= factor*m[k][j];
            x[i] -= factor*x[k];
        }
    }
    for (int k = 0; k < TREES; k++) x[k] /= m[k][k];
}

static void a_single_missed_tree_is_named(void **state) {
    (void)state;
    double a[TREES*(TREES - 1)/2], b[TREES];
    for (size_t i = 0; i < sizeof a/sizeof *a; i++) a[i] = 2*nde_uniform(5, 200, 0, i, 0) - 1;
    const nde_tableau t = NDE_INIT(nde_tableau, .stages = TREES, .a = a, .b = b, .order = 5);
    for (int missed = -1; missed < TREES; missed++) { /* as many weights as conditions */
        double phi[TREES][TREES];
        for (int k = 0; k < TREES; k++) {
            const char *text = tree[k];
            double gamma = 1;
            weigh(a, &text, phi[k], &gamma);
            b[k] = (k == missed ? 1.01 : 1)/gamma;
        }
        eliminate(phi, b);
        char words[40];
        if (missed >= 0) (void)snprintf(words, sizeof words, "for the tree %s the", tree[missed]);
        if (missed >= 0) refuse(t, words);
        else (void)take(t);
    }
}

/* Each coefficient of a table of order 5 wrong in its sixth digit. */
static void every_changed_coefficient_is_refused(void **state) {
    (void)state;
    const nde_method *m = nde_method_get(NDE_DOPRI5);
    double a[21], b[7], c[7], e[7], *const array[] = { a, b, c, e };
    const int count[] = { 21, 7, 7, 7 };
    memcpy(a, m->a, sizeof a), memcpy(b, m->b, sizeof b);
    memcpy(c, m->c, sizeof c), memcpy(e, m->e, sizeof e);
    nde_tableau t = handed_in(m);
    t.a = a, t.b = b, t.e = e;
    for (int given = 0; given < 2; given++) { /* without nodes the order conditions are alone */
        t.c = given ? c : NULL;
        for (int k = 0; k < 4; k++)
            for (int i = 0; i < count[k]; i++) {
                const double was = array[k][i];
                if (k == 2 && !given) continue;
                array[k][i] += 1e-6*(was != 0 ? was : 1);
                refuse(t, "tableau.");
                array[k][i] = was;
            }
        (void)take(t);
    }
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_tables_are_taken_over),
        cmocka_unit_test(space_is_what_was_asked_for),
        cmocka_unit_test(the_registry_is_accepted),
        cmocka_unit_test(dense_output_is_hermite_or_linear),
        cmocka_unit_test(claims_that_cannot_be_are_refused),
        cmocka_unit_test(numbers_that_are_not_finite_are_refused),
        cmocka_unit_test(huge_numbers_excuse_nothing),
        cmocka_unit_test(wrong_nodes_name_their_row),
        cmocka_unit_test(wrong_last_rows_name_their_column),
        cmocka_unit_test(wrong_orders_name_their_tree),
        cmocka_unit_test(a_single_missed_tree_is_named),
        cmocka_unit_test(every_changed_coefficient_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
