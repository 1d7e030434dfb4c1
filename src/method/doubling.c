/* SPDX-License-Identifier: MIT
 * doubling.c - step doubling as a table: of any method the compound step of two half steps, with the whole step for comparison.
 * Their difference over 2^p - 1 is the error of the half steps; b has it added, e is it. Nothing else in the library knows.
 *
 * Stages, n of them to a step of the method: 0 ... n-1 of the first half, n ... 2n-1 of the second, 2n ... 3n-2 of the
 * whole step, whose first is stage 0; the last, 3n-1, is the new state: first same as last. The continuous extension is
 * Hermite's of degree five through the values and slopes of both ends and of the middle, where half of the error is added.
 * Source: E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I (1993), II.4, theorem 4.1. */
#include "method/method.h"

#include <string.h>

enum { TERMS = 5 };

/* Those that b needs: a last stage that is the new state is none of them. */
static int stages_of(const nde_method *m) { return m->stages - m->first_same_as_last; }

size_t nde_doubling_space(const nde_method *m) {
    const size_t s = 3*(size_t)stages_of(m);
    return s*(s - 1)/2 + (3 + TERMS)*s;
}

void nde_doubling_claim(const nde_method *m, nde_method *doubled) {
    *doubled = (nde_method){
        .name = m->name, .source = m->source, .kind = m->kind, .order = m->order + 1, .error_order = m->order,
        .dense_order = m->order + 1 < TERMS ? m->order + 1 : TERMS, .stages = 3*stages_of(m), .dense_terms = TERMS,
        .first_same_as_last = true,
    };
}

/* Row i of the lower triangle. */
static void write_row(const nde_method *m, int n, int i, nde_coefficient *row) {
    const int stage = i < 2*n ? i % n : i - 2*n + 1; /* of the method */
    const nde_coefficient *a = m->a + stage*(stage - 1)/2;
    for (int j = 0; i >= n && i < 2*n && j < n; j++) row[j] = m->b[j]/2;
    for (int j = 0; j < stage; j++) {
        if (i < 2*n) row[i - stage + j] = a[j]/2;
        else row[j ? 2*n + j - 1 : 0] = a[j];
    }
}

/* y(theta) by powers, from the weights of the middle and the end and the slopes of stages 0, n and the last. */
static void write_dense(nde_coefficient middle, nde_coefficient end, int first, int half, int last, nde_coefficient *d) {
    d[0] = first;
    d[1] = 16*middle + 7*end - 6*first - 8*half - last;
    d[2] = -32*middle - 34*end + 13*first + 32*half + 5*last;
    d[3] = 16*middle + 52*end - 12*first - 40*half - 8*last;
    d[4] = -24*end + 4*first + 16*half + 4*last;
}

void nde_doubling_write(const nde_method *m, nde_method *doubled, nde_coefficient *space) {
    const int n = stages_of(m), s = 3*n, last = s - 1;
    nde_coefficient *a = space, *b = a + s*last/2, *c = b + s, *e = c + s, *dense = e + s, *row = a;
    const nde_coefficient share = (nde_coefficient)1/(nde_coefficient)((1 << m->order) - 1);
    memset(space, 0, nde_doubling_space(m)*sizeof *space);
    for (int i = 0; i < last; row += i, i++) write_row(m, n, i, row);
    for (int j = 0; j < s; j++) {
        const nde_coefficient half = j < 2*n ? m->b[j % n]/2 : 0,
                              whole = j == 0 ? m->b[0] : j >= 2*n && j < last ? m->b[j - 2*n + 1] : 0;
        e[j] = (half - whole)*share;
        b[j] = half + e[j];
        if (j < last) row[j] = b[j];
        write_dense((j < n ? half : 0) + e[j]/2, b[j], j == 0, j == n, j == last, dense + TERMS*j);
        c[j] = j == last ? 1 : j < n ? m->c[j]/2 : j < 2*n ? (1 + m->c[j - n])/2 : m->c[j - 2*n + 1];
    }
    nde_doubling_claim(m, doubled);
    doubled->a = a, doubled->b = b, doubled->c = c, doubled->e = e, doubled->dense = dense;
}
