/* SPDX-License-Identifier: MIT
 * imex.c - an additive Runge-Kutta method as one table of slopes of two fields: what a stage solves for of the second field,
 * and then that of the drift at the state which that has led to. Slopes 2 i and 2 i + 1 are those of stage i; those of the
 * first stage are both evaluated. The body of diagonally implicit methods runs it: dirk.c. */
#include "method/method.h"

#include <string.h>

static size_t slopes_of(const nde_method *m) { return 2*(size_t)m->stages; }

size_t nde_imex_space(const nde_method *m) {
    const size_t s = slopes_of(m);
    return s*(s - 1)/2 + s*(3 + (size_t)m->dense_terms); /* a; b, c, e, dense */
}

void nde_imex_claim(const nde_method *m, nde_method *whole) {
    *whole = *m;
    whole->kind = NDE_KIND_DIRK, whole->additive = true, whole->stages = 2*m->stages;
    whole->a = whole->a2 = whole->b2 = whole->dense2 = whole->b = whole->c = whole->e = whole->dense = NULL;
}

/* to[2 j], to[2 j + 1]: what stage i takes of stages j < i; and of its own implicit slope, where there is room for it. */
static void write_row(const nde_method *m, int i, bool own, nde_coefficient *to) {
    const int first = i*(i - 1)/2;
    for (int j = 0; j < i; j++) to[2*j] = m->a2[first + j], to[2*j + 1] = m->a[first + j];
    if (own) to[2*i] = i ? m->gamma : 0;
}

void nde_imex_write(const nde_method *m, nde_method *whole, nde_coefficient *space) {
    nde_imex_claim(m, whole);
    const int s = whole->stages, terms = m->dense_terms;
    nde_coefficient *row = space, *b = row + s*(s - 1)/2, *c = b + s, *e = c + s, *dense = e + s;
    memset(space, 0, nde_imex_space(m)*sizeof *space);
    for (int i = 0; i < s; row += i++) {
        write_row(m, i/2, i % 2, row);
        const bool second = i % 2 == 0;
        b[i] = (second && m->b2 ? m->b2 : m->b)[i/2], c[i] = m->c[i/2];
        if (m->e) e[i] = m->e[i/2];
        memcpy(dense + i*terms, (second && m->dense2 ? m->dense2 : m->dense) + i/2*terms, (size_t)terms*sizeof *dense);
    }
    whole->a = space, whole->b = b, whole->c = c, whole->e = m->e ? e : NULL, whole->dense = dense;
}
