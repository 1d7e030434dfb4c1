/* SPDX-License-Identifier: MIT
 * switching.c - an explicit method and a Rosenbrock method as one table, of which each step takes one. Slopes: F(t, y), those
 * of the explicit method, those of the other, F(t + h, y+), and the stages of the explicit extension. Those of the method that
 * is not taken are zero, so that new state, error and extension are sums with the weights of both. */
#include "method/method.h"

#include <string.h>

/* Of slopes: where those of a way begin; of the whole. */
int nde_switching_first(const nde_method *m, int way) { return way ? 1 + m->way[0]->stages : 1; }
static int end_of(const nde_method *m) { return 2 + m->way[0]->stages + m->way[1]->stages; }

size_t nde_switching_space(const nde_method *m) {
    const size_t s = (size_t)(end_of(m) + m->way[0]->dense_stages);
    return (3 + (size_t)m->way[0]->dense_terms)*s;
}

void nde_switching_claim(const nde_method *m, nde_method *claimed) {
    const nde_method *explicit = m->way[0];
    *claimed = *m;
    claimed->stages = end_of(m), claimed->dense_stages = explicit->dense_stages, claimed->dense_terms = explicit->dense_terms;
    claimed->bernstein = explicit->bernstein;
}

static double choose(int n, int k) { return k ? choose(n - 1, k - 1)*n/k : 1; }

/* A polynomial by its powers, in `terms` of the basis of another. */
static void convert(int powers, const nde_coefficient *from, int terms, bool bernstein, nde_coefficient *to) {
    for (int k = 1; k <= powers; k++)
        for (int j = k; j <= (bernstein ? terms : k); j++)
            to[j - 1] += bernstein ? from[k - 1]*choose(j, k)/choose(terms, k) : from[k - 1];
}

void nde_switching_write(const nde_method *m, nde_method *written, nde_coefficient *space) {
    nde_switching_claim(m, written);
    const int all = written->stages + written->dense_stages, terms = written->dense_terms;
    nde_coefficient *b = space, *c = b + all, *e = c + all, *dense = e + all;
    memset(space, 0, nde_switching_space(m)*sizeof *space);
    for (int way = 0; way < 2; way++) {
        const nde_method *of = m->way[way];
        const int first = nde_switching_first(m, way);
        for (int i = 0; i < of->stages; i++) {
            b[first + i] = of->b[i], c[first + i] = of->c[i], e[first + i] = of->e[i];
            if (!way) continue;
            convert(of->dense_terms, of->dense + i*of->dense_terms, terms, written->bernstein,
                    dense + (first + i)*terms);
        }
    }
    const nde_method *explicit = m->way[0];
    const int own = explicit->stages*terms;
    memcpy(dense + terms, explicit->dense, (size_t)own*sizeof *dense);
    memcpy(dense + written->stages*terms, explicit->dense + own, (size_t)(explicit->dense_stages*terms)*sizeof *dense);
    c[written->stages - 1] = 1;
    written->b = b, written->c = c, written->e = e, written->dense = dense;
}
