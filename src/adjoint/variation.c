/* SPDX-License-Identifier: MIT
 * variation.c - fields of a state and its tangent: (y, v) -> (F, F' v), v moving p and q with it. Its vjp is the field's
 * vjp_jvp. */
#include "adjoint/curvature.h"

#include <string.h>

#include "field/parts.h"

static const nde_rhs *rhs_of(const nde_variation *g) { return &g->curvature->s->rhs; }

/* Rows of work, cut off one after the other; used where rows of y and v do not follow each other. */
typedef struct room {
    nde_real *y, *v, *f, *jv, *a_y, *a_v, *rest;
} room;

static room rooms(const nde_variation *g, const nde_site *at) {
    const size_t slab = nde_aligned_rows(rhs_of(g)->dim)*at->ld;
    nde_real *w = at->work;
    if (!rhs_of(g)->problem.split) return (room){ .rest = w };
    return (room){ w, w + slab, w + 2*slab, w + 3*slab, w + 4*slab, w + 5*slab, w + 6*slab };
}

enum { BLOCKS = 6 };

/* Halves of [y; v]: parts of x, or put together. */
static void part_state(const nde_rhs *r, const nde_site *at, const nde_real *x, nde_real *y, nde_real *v) {
    for (size_t i = 0; i < r->dim; i++) {
        memcpy(y + i*at->ld, x + nde_row_of_state(r, i)*at->ld, at->n*sizeof *y);
        memcpy(v + i*at->ld, x + nde_row_of_tangent(r, i)*at->ld, at->n*sizeof *v);
    }
}

static void add_row(const nde_site *at, const nde_real *from, nde_real *to) {
    for (size_t b = 0; b < at->n; b++) to[b] += from[b];
}

/* Is this row asked for? */
static bool is_asked(const nde_rhs *r, const nde_site *at, size_t i) {
    return !(at->flags & (i < r->problem.split ? NDE_VELOCITIES : NDE_POSITIONS));
}

static nde_site site_of(const nde_variation *g, const nde_site *at, nde_real *work) {
    nde_site site = *at;
    site.q = at->q ? at->q + g->of->q_first*at->ld : NULL;
    site.tape = NULL, site.tape_ld = 0, site.work = work;
    return site;
}

static nde_tangent tangent_of(const nde_variation *g, const nde_site *at, const nde_real *v) {
    const nde_field *f = g->of;
    const nde_direction *d = &g->curvature->along;
    return (nde_tangent){ .y = v, .p = f->np && d->p ? d->p + f->p_first : NULL,
                          .q = f->nq && d->q ? at->q + (rhs_of(g)->nq + f->q_first)*at->ld : NULL };
}

static int eval(const nde_field *self, const nde_site *at, const nde_real *x, nde_real *to) {
    const nde_variation *g = self->ctx;
    const nde_rhs *r = rhs_of(g);
    const room w = rooms(g, at);
    const nde_site site = site_of(g, at, w.rest);
    const bool apart = r->problem.split, mapped = apart && g->to_state;
    const nde_real *y = apart ? w.y : x, *v = apart ? w.v : x + r->dim*at->ld;
    nde_real *f = mapped ? w.f : to, *jv = mapped ? w.jv : to + g->of->out*at->ld;
    if (apart) part_state(r, at, x, w.y, w.v);
    const nde_tangent along = tangent_of(g, at, v);
    int rc = g->of->eval(g->of, &site, y, f);
    if (!rc) rc = g->of->jvp(g->of, &site, y, &along, jv);
    for (size_t i = 0; mapped && i < r->dim; i++) {
        if (!is_asked(r, at, i)) continue;
        memcpy(to + nde_row_of_state(r, i)*at->ld, f + i*at->ld, at->n*sizeof *to);
        memcpy(to + nde_row_of_tangent(r, i)*at->ld, jv + i*at->ld, at->n*sizeof *to);
    }
    return rc;
}

static int vjp(const nde_field *self, const nde_site *at, const nde_real *x, const nde_real *a, nde_cotangent *to) {
    const nde_variation *g = self->ctx;
    const nde_field *f = g->of;
    const nde_rhs *r = rhs_of(g);
    const room w = rooms(g, at);
    const nde_site site = site_of(g, at, w.rest);
    const bool apart = r->problem.split, mapped = apart && g->to_state;
    const size_t ld = at->ld;
    if (apart) part_state(r, at, x, w.y, w.v);
    if (mapped) part_state(r, at, a, w.f, w.jv);
    const nde_tangent along = tangent_of(g, at, apart ? w.v : x + r->dim*ld);
    nde_cotangent to_y = { .t = to->t, .y = to->y, .u = f->nu ? to->u : NULL, .p = to->p,
                           .q = f->nq && to->q ? to->q + f->q_first*ld : NULL };
    nde_cotangent to_v = { .y = to->y ? to->y + r->dim*ld : NULL, .q = to_y.q ? to->q + (r->nq + f->q_first)*ld : NULL };
    if (apart && to->y) {
        to_y.y = w.a_y, to_v.y = w.a_v;
        memset(w.a_y, 0, r->dim*ld*sizeof *w.a_y), memset(w.a_v, 0, r->dim*ld*sizeof *w.a_v);
    }
    const int rc = f->vjp_jvp(f, &site, apart ? w.y : x, &along, mapped ? w.f : a, mapped ? w.jv : a + f->out*ld, &to_y, &to_v);
    for (size_t i = 0; apart && to->y && i < r->dim; i++) {
        add_row(at, w.a_y + i*ld, to->y + nde_row_of_state(r, i)*ld);
        add_row(at, w.a_v + i*ld, to->y + nde_row_of_tangent(r, i)*ld);
    }
    return rc;
}

static int prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    const nde_variation *g = self->ctx;
    return g->of->prepare(g->of, p, prepared);
}

nde_field nde_variation_field(const nde_variation *g) {
    const nde_field *f = g->of;
    const nde_rhs *r = rhs_of(g);
    return NDE_INIT(nde_field, .name = f->name, .ctx = g, .dim = 2*r->dim, .out = 2*f->out, .nu = f->nu, .np = f->np,
                    .p_first = f->p_first, .nq = f->nq ? 2*r->nq : 0, .prepared = f->prepared,
                    .prepare = f->prepared ? prepare : NULL,
                    .work = f->work + (r->problem.split ? BLOCKS*nde_aligned_rows(r->dim) : 0),
                    .traits = f->traits & ~NDE_DIRECTIONS, .eval = eval, .vjp = vjp);
}
