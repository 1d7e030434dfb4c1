/* SPDX-License-Identifier: MIT
 * tableau.c - the caller's own explicit Runge-Kutta table: checked, copied, given a continuous extension. */
#include "method/method.h"

#include <math.h>
#include <string.h>

#include "core/core.h"

enum { MOST_STAGES = 64, TERMS = 3 };

size_t nde_tableau_space(size_t s) { return s >= 1 && s <= MOST_STAGES ? s*(s - 1)/2 + 3*s + TERMS*s : 0; }

static nde_status check_numbers(const double *x, size_t count, const char *name) {
    for (size_t i = 0; i < count; i++)
        if (!isfinite(x[i])) return nde_fail(NDE_E_ARG, "tableau.%s[%zu] is %g", name, i, x[i]);
    return NDE_OK;
}

/* y = A x for the strictly lower triangle. */
static void multiply(size_t s, const double *a, const double *x, double *y) {
    for (size_t i = 0; i < s; a += i, i++) {
        y[i] = 0;
        for (size_t j = 0; j < i; j++) y[i] += a[j]*x[j];
    }
}

/* The conditions of order up to 4 for weights w, each named by its tree. */
static nde_status check_order(size_t s, const double *a, const double *c, const double *w, int order, const char *what) {
    double c2[MOST_STAGES], c3[MOST_STAGES], ac[MOST_STAGES], cac[MOST_STAGES], ac2[MOST_STAGES], aac[MOST_STAGES], one[MOST_STAGES];
    for (size_t i = 0; i < s; i++) one[i] = 1, c2[i] = c[i]*c[i], c3[i] = c2[i]*c[i];
    multiply(s, a, c, ac), multiply(s, a, c2, ac2), multiply(s, a, ac, aac);
    for (size_t i = 0; i < s; i++) cac[i] = c[i]*ac[i];
    const struct { const double *phi; int order; double value; const char *name; } tree[] = {
        { one, 1, 1, "sum b = 1" }, { c, 2, 1.0/2, "sum b c = 1/2" }, { c2, 3, 1.0/3, "sum b c^2 = 1/3" },
        { ac, 3, 1.0/6, "sum b A c = 1/6" }, { c3, 4, 1.0/4, "sum b c^3 = 1/4" }, { cac, 4, 1.0/8, "sum b c A c = 1/8" },
        { ac2, 4, 1.0/12, "sum b A c^2 = 1/12" }, { aac, 4, 1.0/24, "sum b A A c = 1/24" },
    };
    for (size_t k = 0; k < sizeof tree/sizeof *tree && tree[k].order <= order; k++) {
        double sum = 0, size = 1;
        for (size_t i = 0; i < s; i++) sum += w[i]*tree[k].phi[i], size += fabs(w[i]*tree[k].phi[i]);
        if (fabs(sum - tree[k].value) > 1e-12*size)
            return nde_fail(NDE_E_ARG, "tableau: %s of order %d: %s is missed by %g", what, order, tree[k].name, sum - tree[k].value);
    }
    return NDE_OK;
}

nde_status nde_tableau_read(const nde_tableau *given, nde_method *method, double *space) {
    nde_tableau t;
    if (!nde_read_sized(&t, sizeof t, given, sizeof t)) return nde_fail(NDE_E_ARG, "tableau.size is not a layout that this library knows");
    const size_t s = t.stages;
    if (s < 1 || s > MOST_STAGES) return nde_fail(NDE_E_ARG, "tableau.stages is %zu: 1 to %d are possible", s, MOST_STAGES);
    if (!t.b || (s > 1 && !t.a)) return nde_fail(NDE_E_ARG, "tableau.%s is NULL", t.b ? "a" : "b");
    if (t.order < 1) return nde_fail(NDE_E_ARG, "tableau.order is %d", t.order);
    if (t.e && t.error_order < 1) return nde_fail(NDE_E_ARG, "tableau.error_order is %d, e is given", t.error_order);
    const size_t triangle = s*(s - 1)/2;
    nde_status bad;
    if ((s > 1 && (bad = check_numbers(t.a, triangle, "a"))) || (bad = check_numbers(t.b, s, "b")) ||
        (t.c && (bad = check_numbers(t.c, s, "c"))) || (t.e && (bad = check_numbers(t.e, s, "e"))))
        return bad;
    double *a = space, *b = a + triangle, *c = b + s, *e = c + s, *dense = e + s, embedded[MOST_STAGES];
    if (s > 1) memcpy(a, t.a, triangle*sizeof *a);
    memcpy(b, t.b, s*sizeof *b);
    const double *row = a;
    for (size_t i = 0; i < s; row += i, i++) {
        double sum = 0;
        for (size_t j = 0; j < i; j++) sum += row[j];
        c[i] = t.c ? t.c[i] : sum;
        if (fabs(c[i] - sum) > 1e-12*(1 + fabs(sum)))
            return nde_fail(NDE_E_ARG, "tableau.c[%zu] is %.17g, row %zu of a sums to %.17g", i, c[i], i, sum);
    }
    if (fabs(c[s - 1] - 1) < 1e-15) c[s - 1] = 1; /* the last stage of a first-same-as-last table ends the step exactly */
    const bool same = t.first_same_as_last != 0;
    for (size_t j = 0; same && j < s; j++) {
        const double last = j + 1 < s ? a[triangle - (s - 1) + j] : 0;
        if (s < 2 || b[j] != last)
            return nde_fail(NDE_E_ARG, "tableau.first_same_as_last: b[%zu] is %.17g, the last row of a has %.17g", j, b[j], last);
    }
    if (same && c[s - 1] != 1) return nde_fail(NDE_E_ARG, "tableau.first_same_as_last: the last node is %.17g, not 1", c[s - 1]);
    if ((bad = check_order(s, a, c, b, t.order, "b"))) return bad;
    for (size_t i = 0; i < s; i++) embedded[i] = b[i] - (e[i] = t.e ? t.e[i] : 0);
    if (t.e && (bad = check_order(s, a, c, embedded, t.error_order, "b - e"))) return bad;
    for (size_t i = 0; i < s; i++) { /* cubic Hermite where both slopes are at hand, else a straight line */
        const double first = i == 0, last = i == s - 1;
        dense[i*TERMS] = same ? first : b[i];
        dense[i*TERMS + 1] = same ? 3*b[i] - 2*first - last : 0;
        dense[i*TERMS + 2] = same ? -2*b[i] + first + last : 0;
    }
    *method = (nde_method){
        .name = "tableau", .source = "the caller", .kind = NDE_KIND_RUNGE_KUTTA, .order = t.order,
        .error_order = t.e ? t.error_order : 0, .dense_order = same && t.order >= 3 ? 3 : same ? t.order : 1, .stages = (int)s,
        .dense_terms = TERMS, .first_same_as_last = same, .a = a, .b = b, .c = c, .e = t.e ? e : NULL, .dense = dense,
    };
    return NDE_OK;
}
