/* SPDX-License-Identifier: MIT
 * splitting.c - a splitting as a table: sub-flow after sub-flow along one of two fields, each by one step of an explicit
 * method for that field. What comes out is an explicit table, each stage of which evaluates one of the fields: the body is
 * told which, nothing else in the library knows.
 *
 * Each field has a time of its own, which goes on with its sub-flows. The continuous extension is a straight line.
 * Source: R. I. McLachlan, G. R. W. Quispel, Splitting methods, Acta Numerica 11 (2002) 341-434. */
#include "method/method.h"

#include <math.h>
#include <string.h>

/* Those that b needs: a last stage that is the new state is none of them. */
static int stages_of(const nde_method *m) { return m->stages - m->first_same_as_last; }

static int all_stages(const nde_method *m, const nde_method *const by[2]) {
    int s = 0;
    for (int i = 0; i < m->stages; i++) s += stages_of(by[nde_method_moves(m, i)]);
    return s;
}

size_t nde_splitting_space(const nde_method *m, const nde_method *const by[2]) {
    const size_t s = (size_t)all_stages(m, by);
    return s*(s - 1)/2 + 5*s; /* a; b, c, part, share, dense */
}

void nde_splitting_claim(const nde_method *m, const nde_method *const by[2], nde_method *whole) {
    const int least = by[0]->order < by[1]->order ? by[0]->order : by[1]->order;
    *whole = (nde_method){
        .name = m->name, .source = m->source, .kind = NDE_KIND_RUNGE_KUTTA, .order = m->order < least ? m->order : least,
        .dense_order = 1, .stages = all_stages(m, by), .dense_terms = 1,
    };
}

void nde_splitting_write(const nde_method *m, const nde_method *const by[2], nde_method *whole, nde_coefficient *space) {
    nde_splitting_claim(m, by, whole);
    const int s = whole->stages;
    nde_coefficient *row = space, *b = row + s*(s - 1)/2, *c = b + s, *part = c + s, *share = part + s, *dense = share + s;
    nde_coefficient gone[2] = { 0, 0 }; /* of each field's time */
    memset(space, 0, nde_splitting_space(m, by)*sizeof *space);
    for (int i = 0, first = 0; i < m->stages; i++) {
        const int which = nde_method_moves(m, i), n = stages_of(by[which]);
        for (int r = 0; r < n; row += first + r, r++) {
            const int at = first + r;
            const nde_coefficient time = gone[which] + m->b[i]*by[which]->c[r];
            for (int j = 0; j < first; j++) row[j] = b[j];
            for (int j = 0; j < r; j++) row[first + j] = m->b[i]*by[which]->a[r*(r - 1)/2 + j];
            c[at] = fabs((double)(time - 1)) < 1e-14 ? 1 : time;
            part[at] = which, share[at] = m->b[i];
        }
        for (int r = 0; r < n; r++) b[first + r] = dense[first + r] = m->b[i]*by[which]->b[r];
        first += n, gone[which] += m->b[i];
    }
    whole->a = space, whole->b = b, whole->c = c, whole->dense = dense, whole->part = part, whole->share = share;
}
