/* SPDX-License-Identifier: MIT
 * coupling.c - the algebraically reversible coupling of any explicit Runge-Kutta method as a table. With the increment
 * P_h(t, y) of the method, coupling l and a second state x, which is y at the start,
 *   y+ = l y + (1 - l) x + P_h(t, x),  x+ = x - P_-h(t + h, y+)
 * undone by x = x+ + P_-h(t + h, y+), y = (y+ - (1 - l) x - P_h(t, x))/l. The order is that of the method.
 *
 * Slopes, n stages of the method, m of them needed for b: 0 ... n-1 those of P_h, n ... n+m-1 those of P_-h, the last one is no
 * slope of the field but d = (y - x)/h, so that y+ = y + h (sum b_i k_i - (1 - l) d). b makes y+ and b2 makes x+; rows of
 * a are those of the method, negative in the second half. The extension is Hermite's, with the slopes at x and at y+.
 * Source: S. McCallum, J. Foster, Efficient, accurate and stable gradients for neural ODEs (2024), arXiv 2410.11648. */
#include "method/method.h"

#include <string.h>

enum { TERMS = 3 };

static int back_of(const nde_method *m) { return m->stages - m->first_same_as_last; }

size_t nde_coupling_space(const nde_method *m) {
    const size_t s = (size_t)(m->stages + back_of(m) + 1);
    return s*(s - 1)/2 + (5 + TERMS)*s;
}

void nde_coupling_claim(const nde_method *m, nde_method *coupled) {
    *coupled = (nde_method){
        .name = m->name, .source = m->source, .kind = NDE_KIND_COUPLED, .order = m->order, .error_order = m->error_order,
        .e2_order = m->e2_order, .dense_order = m->order < TERMS ? m->order : TERMS, .stages = m->stages + back_of(m) + 1,
        .dense_terms = TERMS, .partners = 1, .partner = NDE_PARTNER_STATE,
    };
}

void nde_coupling_write(const nde_method *m, double coupling, nde_method *coupled, nde_coefficient *space) {
    const int n = m->stages, back = back_of(m), s = n + back + 1, d = s - 1;
    nde_coefficient *a = space, *b = a + s*(s - 1)/2, *b2 = b + s, *c = b2 + s, *e = c + s, *e2 = e + s, *dense = e2 + s;
    memset(space, 0, nde_coupling_space(m)*sizeof *space);
    for (int i = 0; i < n*(n - 1)/2; i++) a[i] = m->a[i];
    for (int i = 0; i < back; i++)
        for (int j = 0; j < i; j++) a[(n + i)*(n + i - 1)/2 + n + j] = -m->a[i*(i - 1)/2 + j];
    for (int i = 0; i < n; i++) b[i] = m->b[i], c[i] = m->c[i];
    for (int i = 0; i < back; i++) b2[n + i] = m->b[i], c[n + i] = 1 - m->c[i];
    b[d] = (nde_coefficient)coupling - 1;
    for (int i = 0; m->e && i < n; i++) e[i] = m->e[i];
    for (int i = 0; m->e2 && i < n; i++) e2[i] = m->e2[i];
    for (int i = 0; i < s; i++) {
        dense[TERMS*i] = i == 0;
        dense[TERMS*i + 1] = 3*b[i] - 2*(i == 0) - (i == n);
        dense[TERMS*i + 2] = -2*b[i] + (i == 0) + (i == n);
    }
    nde_coupling_claim(m, coupled);
    coupled->a = a, coupled->b = b, coupled->b2 = b2, coupled->c = c, coupled->dense = dense;
    coupled->e = m->e ? e : NULL, coupled->e2 = m->e2 ? e2 : NULL;
}
