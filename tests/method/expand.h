/* SPDX-License-Identifier: MIT
 * expand.h - a symplectic composition written out as the partitioned Runge-Kutta table that it is, with its cubic Hermite
 * extension, and a Nystrom method as the one that it is where q' is linear in v: what the tests know about tables then
 * holds for them.
 * Source: E. Hairer, C. Lubich, G. Wanner, Geometric Numerical Integration (2006), II.2, II.5, VI.4. */
#ifndef NDE_TESTS_EXPAND_H
#define NDE_TESTS_EXPAND_H

#include <string.h>

#include "method/method.h"

enum { EXPANDED_STAGES = 48 };
typedef struct expanded {
    nde_method method;
    nde_coefficient a[2][EXPANDED_STAGES*(EXPANDED_STAGES - 1)/2], b[2][EXPANDED_STAGES], c[EXPANDED_STAGES],
        e[2][EXPANDED_STAGES], dense[2][6*EXPANDED_STAGES];
} expanded;

static inline const nde_method *expand_composition(const nde_method *m, expanded *to) {
    const int s = m->stages, begin = s, end = s + 1;
    memset(to, 0, sizeof *to);
    for (int X = 0; X < 2; X++) {
        nde_coefficient *a = to->a[X];
        for (int i = 0; i <= end; a += i, i++)
            for (int j = 0; j < i && j < s && i != begin; j++) {
                if (nde_method_moves(m, j) != X) continue;
                a[j] = m->b[j];
                if (i < s && nde_method_moves(m, i) != X) to->c[i] += m->b[j];
            }
        for (int j = 0; j < s; j++) {
            if (nde_method_moves(m, j) != X) continue;
            to->b[X][j] = m->b[j];
            to->dense[X][3*j + 1] = 3*m->b[j], to->dense[X][3*j + 2] = -2*m->b[j];
        }
        static const int at_begin[] = { 1, -2, 1 }, at_end[] = { 0, -1, 1 };
        for (int k = 0; k < 3; k++) to->dense[X][3*begin + k] = at_begin[k], to->dense[X][3*end + k] = at_end[k];
    }
    to->c[end] = 1;
    to->method = (nde_method){ .name = m->name, .source = m->source, .kind = NDE_KIND_PARTITIONED, .order = m->order,
                               .dense_order = m->dense_order, .stages = s + 2, .dense_terms = 3, .a = to->a[0], .a2 = to->a[1],
                               .b = to->b[0], .b2 = to->b[1], .c = to->c, .dense = to->dense[0], .dense2 = to->dense[1] };
    return &to->method;
}

/* A Chebyshev method of s stages, its recursion written out as the explicit table of s + 1 stages that it is: the mean
 * slope of the method's own weights is the last row. */
static inline const nde_method *expand_chebyshev(const nde_method *m, int s, const nde_chebyshev_stage *stage, expanded *to) {
    nde_coefficient row[EXPANDED_STAGES][EXPANDED_STAGES]; /* row j: D_j by slopes */
    memset(to, 0, sizeof *to), memset(row, 0, sizeof row);
    nde_coefficient *a = to->a[0], *mean = row[s];
    for (int j = 1; j <= s; j++) {
        const nde_chebyshev_stage *x = &stage[j - 1];
        for (int i = 0; i < j; i++) row[j][i] = x->before*row[j - 1][i] + (j > 1 ? x->before2*row[j - 2][i] : 0);
        row[j][0] += x->first, row[j][j - 1] += x->slope;
        to->c[j] = x->node;
        memcpy(a, row[j], (size_t)j*sizeof *a), a += j;
    }
    for (int i = 0; i <= s; i++) {
        const int first = i == 0, last = i == s;
        to->b[0][i] = mean[i];
        to->b[1][i] = m->e[0]*first + m->e[1]*mean[i] + m->e[2]*last; /* the estimate */
        for (int k = 0; k < 3; k++)
            to->dense[0][3*i + k] = m->dense[k]*first + m->dense[3 + k]*mean[i] + m->dense[6 + k]*last;
    }
    to->method = (nde_method){ .name = m->name, .source = m->source, .kind = NDE_KIND_RUNGE_KUTTA, .order = m->order,
                               .error_order = m->error_order, .dense_order = m->dense_order, .stages = s + 1, .dense_terms = 3,
                               .first_same_as_last = m->first_same_as_last, .a = to->a[0], .b = to->b[0], .c = to->c,
                               .e = to->b[1], .dense = to->dense[0] };
    return &to->method;
}

/* Stage 2i: F1 at v (i = 0), at v + h f_(i-1) (i > 0); stage 2i + 1: f_i. */
static inline const nde_method *expand_nystrom(const nde_method *m, expanded *to) {
    const int s = m->stages, terms = m->dense_terms;
    memset(to, 0, sizeof *to);
    nde_coefficient *a = to->a[0], *a2 = to->a[1];
    for (int i = 0; i <= 2*s; a += i, a2 += i, i++) {
        const nde_coefficient *row = m->a + i/2*(i/2 - 1)/2;
        to->c[i] = i % 2 ? m->c[i/2] : i > 0;
        if (i % 2) a[0] = m->c[i/2];
        else if (i) a2[i - 1] = 1;
        for (int j = 0; i % 2 && j < i/2; j++) a[2*j + 2] = row[j], a[0] -= row[j];
    }
    to->b[0][0] = to->dense[0][0] = 1;
    for (int j = 0; j < s; j++) {
        const int first = 2*j + 2, second = 2*j + 1;
        to->b[0][first] = m->b[j], to->b[0][0] -= m->b[j], to->b[1][second] = m->b2[j];
        to->e[0][first] = m->e[j], to->e[0][0] -= m->e[j], to->e[1][second] = m->e_velocity[j];
        for (int k = 0; k < terms; k++) {
            const nde_coefficient d = m->dense[j*terms + k];
            to->dense[0][first*terms + k] = d, to->dense[0][k] -= d;
            if (k) to->dense[1][second*terms + k - 1] = (k + 1)*d;
        }
    }
    to->method = (nde_method){ .name = m->name, .source = m->source, .kind = NDE_KIND_PARTITIONED, .order = m->order,
                               .error_order = m->error_order, .dense_order = m->dense_order, .stages = 2*s + 1,
                               .dense_terms = terms, .a = to->a[0], .a2 = to->a[1], .b = to->b[0], .b2 = to->b[1], .c = to->c,
                               .e = to->e[0], .e_velocity = to->e[1], .dense = to->dense[0], .dense2 = to->dense[1] };
    return &to->method;
}

/* Others as they are. */
static inline const nde_method *expand(const nde_method *m, expanded *to) {
    return m->kind == NDE_KIND_COMPOSITION ? expand_composition(m, to) : m->kind == NDE_KIND_NYSTROM ? expand_nystrom(m,
            to) : m;
}

#endif
