/* SPDX-License-Identifier: MIT
 * tableau.c - the caller's own explicit Runge-Kutta table: checked, copied, given a continuous
 * extension. */
#include "method/method.h"

#include <math.h>
#include <string.h>

#include "core/core.h"

enum {
    MOST_STAGES = 64,
    MOST_ORDER = 10, /* order conditions are checked up to here: 1,205 trees */
    TERMS = 3
};
size_t nde_tableau_space(size_t s) {
    return s >= 1 && s <= MOST_STAGES ? s*(s - 1)/2 + 3*s + TERMS*s : 0;
}

/* Equal for sums with these absolute terms: a table printed to 15 digits passes, a wrong digit does
 * not, and huge terms excuse nothing. */
static bool agree(double x, double y, double terms) {
    return fabs(x - y) <= fmin(1e-12*terms, 1e-6);
}

static nde_status check_numbers(const double *x, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(x[i])) return nde_fail(NDE_E_ARG, "tableau.%s[%zu] is %g", name, i, x[i]);
    return NDE_OK;
}

/* y = A x for the strictly lower triangle; `absolute`: |A| x. */
static void multiply(size_t s, const double *a, bool absolute, const double *x, double *y) {
    for (size_t i = 0; i < s; a += i, i++) {
        y[i] = 0;
        for (size_t j = 0; j < i; j++) y[i] += (absolute ? fabs(a[j]) : a[j])*x[j];
    }
}

/* ---- order conditions: sum w phi(tree) = 1/gamma(tree) for every rooted tree --------------------
 * A tree is given by the levels of its nodes in preorder.
 * Source: E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I (1993),
 * II.2. */

/* The next tree of n nodes, from 0 1 2 ... to 0 1 1 ... 1; false after the last.
 * Source: T. Beyer, S. M. Hedetniemi, SIAM J. Comput. 9 (1980) 706-712. */
static bool next_tree(int n, int *level) {
    int last = n - 1;
    while (last > 0 && level[last] == 1) last--;
    if (last <= 0) return false;
    int parent = last - 1;
    while (level[parent] != level[last] - 1) parent--;
    for (int i = last; i < n; i++) level[i] = level[i - (last - parent)];
    return true;
}

/* phi [s] of a tree, or with `absolute` the sums of its absolute terms. Returns gamma. */
static double weigh_tree(size_t s, const double *a, bool absolute, int n, const int *level,
                         double *phi) {
    double product[MOST_ORDER + 1][MOST_STAGES], gamma = 1; /* of subtrees without a parent */
    int nodes[MOST_ORDER + 1] = { 0 };                      /* in them */
    for (int l = 0; l <= n; l++)
        for (size_t i = 0; i < s; i++) product[l][i] = 1;
    for (int k = n - 1; k >= 0; k--) { /* children before their parent */
        const int l = level[k], size = 1 + nodes[l + 1];
        multiply(s, a, absolute, product[l + 1], phi);
        if (k == 0) memcpy(phi, product[1], s*sizeof *phi);
        for (size_t i = 0; i < s; i++) product[l][i] *= phi[i], product[l + 1][i] = 1;
        nodes[l] += size, nodes[l + 1] = 0;
        gamma *= size;
    }
    return gamma;
}

/* "[t[t]]": t is a leaf, [...] a node with its children. */
static void write_tree(int n, const int *level, char *text) {
    for (int k = 0; k < n; k++) {
        const int next = k + 1 < n ? level[k + 1] : 0;
        *text++ = next > level[k] ? '[' : 't';
        for (int l = level[k]; l > next; l--) *text++ = ']';
    }
    *text = 0;
}

static nde_status check_order(size_t s, const double *a, const double *w, int order,
                              const char *name) {
    double phi[MOST_STAGES], size[MOST_STAGES];
    for (int n = 1; n <= order && n <= MOST_ORDER; n++) {
        int level[MOST_ORDER];
        for (int i = 0; i < n; i++) level[i] = i;
        do {
            const double gamma = weigh_tree(s, a, false, n, level, phi);
            weigh_tree(s, a, true, n, level, size);
            double sum = 0, terms = 1/gamma;
            for (size_t i = 0; i < s; i++) sum += w[i]*phi[i], terms += fabs(w[i])*size[i];
            if (agree(sum, 1/gamma, terms)) continue;
            char tree[2*MOST_ORDER + 1];
            write_tree(n, level, tree);
            return nde_fail(NDE_E_ARG, "tableau.%s is not of order %d: for the tree %s the sum is "
                            "%.17g, not 1/%g", name, order, tree, sum, gamma);
        } while (next_tree(n, level));
    }
    return NDE_OK;
}

/* ---- reading --------------------------------------------------------------------------------- */

/* The nodes c: the caller's, checked, or the row sums. One at the end of the step is 1 exactly, so
 * that its time is the forced time itself. */
static nde_status read_nodes(size_t s, const double *a, const double *given, double *c) {
    for (size_t i = 0; i < s; a += i, i++) {
        double sum = 0, terms = 1;
        for (size_t j = 0; j < i; j++) sum += a[j], terms += fabs(a[j]);
        c[i] = given ? given[i] : sum;
        if (!agree(c[i], sum, terms))
            return nde_fail(NDE_E_ARG, "tableau.c[%zu] is %.17g, row %zu of a sums to %.17g", i,
                            c[i], i, sum);
        if (agree(c[i], 1, terms)) c[i] = 1;
    }
    return NDE_OK;
}

static nde_status check_last_row(size_t s, const double *a, const double *b) {
    const double *row = a + (s - 1)*(s - 2)/2;
    for (size_t j = 0; j < s; j++) {
        const double last = j + 1 < s ? row[j] : 0;
        if (b[j] != last)
            return nde_fail(NDE_E_ARG, "tableau.first_same_as_last: b[%zu] is %.17g, row %zu of a "
                            "has %.17g", j, b[j], s - 1, last);
    }
    return NDE_OK;
}

/* Cubic Hermite where the slopes at both ends are at hand, else a straight line. */
static void write_dense(size_t s, bool same, const double *b, double *dense) {
    for (size_t i = 0; i < s; i++, dense += TERMS) {
        const double first = i == 0, last = i == s - 1;
        dense[0] = same ? first : b[i];
        dense[1] = same ? 3*b[i] - 2*first - last : 0;
        dense[2] = same ? -2*b[i] + first + last : 0;
    }
}

static nde_status check_claims(const nde_tableau *t) {
    const size_t s = t->stages;
    if (s < 1 || s > MOST_STAGES)
        return nde_fail(NDE_E_ARG, "tableau.stages is %zu: 1 to %d are possible", s, MOST_STAGES);
    if (!t->b || (s > 1 && !t->a))
        return nde_fail(NDE_E_ARG, "tableau.%s is NULL", t->b ? "a" : "b");
    if (t->order < 1 || (size_t)t->order > s)
        return nde_fail(NDE_E_ARG, "tableau.order is %d: 1 to %zu are possible with as many stages",
                        t->order, s);
    if (t->e && (t->error_order < 1 || (size_t)t->error_order > s))
        return nde_fail(NDE_E_ARG, "tableau.error_order is %d, e is given: 1 to %zu are possible",
                        t->error_order, s);
    nde_status bad;
    if ((bad = check_numbers(t->a, s*(s - 1)/2, "a")) || (bad = check_numbers(t->b, s, "b")) ||
        (bad = check_numbers(t->c, t->c ? s : 0, "c")) ||
        (bad = check_numbers(t->e, t->e ? s : 0, "e")))
        return bad;
    bool zero = t->e != NULL;
    for (size_t i = 0; zero && i < s; i++) zero = t->e[i] == 0;
    return zero ? nde_fail(NDE_E_ARG, "tableau.e is zero: no error estimate is NULL") : NDE_OK;
}

nde_status nde_tableau_read(const nde_tableau *given, nde_method *method, double *space) {
    nde_tableau t;
    if (!nde_read_sized(&t, sizeof t, given, sizeof t))
        return nde_fail(NDE_E_ARG, "tableau.size is not a layout that this library knows");
    nde_status bad = check_claims(&t);
    if (bad) return bad;
    const size_t s = t.stages, triangle = s*(s - 1)/2;
    const bool same = t.first_same_as_last != 0;
    double *a = space, *b = a + triangle, *c = b + s, *e = c + s, *dense = e + s;
    double embedded[MOST_STAGES];
    if (s > 1) memcpy(a, t.a, triangle*sizeof *a);
    memcpy(b, t.b, s*sizeof *b);
    for (size_t i = 0; i < s; i++) e[i] = t.e ? t.e[i] : 0, embedded[i] = b[i] - e[i];
    if ((bad = read_nodes(s, a, t.c, c)) || (same && (bad = check_last_row(s, a, b))) ||
        (bad = check_order(s, a, b, t.order, "b")) ||
        (t.e && (bad = check_order(s, a, embedded, t.error_order, "b - e"))))
        return bad;
    write_dense(s, same, b, dense);
    *method = (nde_method){
        .name = "tableau", .source = "the caller", .kind = NDE_KIND_RUNGE_KUTTA,
        .order = t.order, .error_order = t.e ? t.error_order : 0,
        .dense_order = !same ? 1 : t.order < 3 ? t.order : 3,
        .stages = (int)s, .dense_terms = TERMS, .first_same_as_last = same,
        .a = a, .b = b, .c = c, .e = t.e ? e : NULL, .dense = dense,
    };
    return NDE_OK;
}
