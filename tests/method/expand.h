/* SPDX-License-Identifier: MIT
 * expand.h - a symplectic composition written out as the partitioned Runge-Kutta table that it is, with its cubic Hermite
 * extension: what the tests know about tables then holds for compositions. Source: E. Hairer, C. Lubich, G. Wanner, Geometric
 * Numerical Integration (2006), II.5, VI.4. */
#ifndef NDE_TESTS_EXPAND_H
#define NDE_TESTS_EXPAND_H

#include <string.h>

#include "method/method.h"

enum { EXPANDED_STAGES = 48 };
typedef struct expanded {
    nde_method method;
    nde_coefficient a[2][EXPANDED_STAGES*(EXPANDED_STAGES - 1)/2], b[2][EXPANDED_STAGES], c[EXPANDED_STAGES],
        dense[2][3*EXPANDED_STAGES];
} expanded;

static inline const nde_method *expand(const nde_method *m, expanded *to) {
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

#endif
