/* SPDX-License-Identifier: MIT
 * rnode.c - what makes a field hard to integrate, as integrands: its speed |F|^2, and |J' e|^2 for random e, which is the
 * square of the Frobenius norm of its Jacobian on average.
 *
 * With w = J' e the second one is e' J w: its derivative is twice that of e' J w for a w that stands still, which vjp_jvp
 * gives. */
#include "field/parts.h"

#include <string.h>

static void clear(size_t rows, const nde_site *at, nde_real *x) {
    for (size_t i = 0; i < rows; i++) memset(x + i*at->ld, 0, at->n*sizeof *x);
}

/* sum [n] += weight x.y */
static void add_products(size_t rows, const nde_site *at, nde_real weight, const nde_real *x, const nde_real *y,
                         nde_real *sum) {
    for (size_t i = 0; i < rows; i++)
        for (size_t b = 0; b < at->n; b++) sum[b] += weight*x[i*at->ld + b]*y[i*at->ld + b];
}

/* to = weight a x, a [n]. */
static void scale(size_t rows, const nde_site *at, nde_real weight, const nde_real *a, const nde_real *x, nde_real *to) {
    for (size_t i = 0; i < rows; i++)
        for (size_t b = 0; b < at->n; b++) to[i*at->ld + b] = weight*a[b]*x[i*at->ld + b];
}

/* A field of one row that sees what f does, with so much work before that of f; .eval NULL: a size is too large. */
static nde_field one_row(const char *name, const void *ctx, const nde_field *f, size_t work) {
    nde_field g = { .size = sizeof g, .name = name, .ctx = ctx, .dim = f->dim, .nu = f->nu, .out = 1, .prepared = f->prepared,
                    .traits = f->traits & ~(NDE_LINEAR_IN_U | NDE_DIRECTIONS) };
    if (!nde_size_add(f->work, work, &g.work) || !nde_size_add(f->tape, f->out, &g.tape) ||
        (f->np && !nde_size_add(f->p_first, f->np, &g.np)) || (f->nq && !nde_size_add(f->q_first, f->nq, &g.nq))) {
        (void)nde_fail(NDE_E_SIZE, "nde_field_%s: work, tape, np or nq of field '%s' is too large", name, nde_field_name(f));
        return (nde_field){ .size = 0 };
    }
    return g;
}

/* ---- |F|^2 ----------------------------------------------------------------------------------- *
 * tape: that of the field, then F. work: F and its cotangent, J v and its cotangent. */

static size_t kinetic_rows(const nde_field *f) { return nde_aligned_rows(4*f->out); }
static nde_real *kinetic_block(const nde_field *f, const nde_site *at, size_t i) { return at->work + i*f->out*at->ld; }
static nde_site kinetic_site(const nde_field *f, const nde_site *at) {
    return nde_part_site(f, at, (nde_slice){ .work = kinetic_rows(f) });
}

static void copy(size_t rows, size_t n, const nde_real *from, size_t ld_from, nde_real *to, size_t ld_to) {
    for (size_t i = 0; i < rows; i++) memcpy(to + i*ld_to, from + i*ld_from, n*sizeof *to);
}

static int kinetic_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const nde_field *f = self->ctx;
    const nde_site site = kinetic_site(f, at);
    nde_real *value = kinetic_block(f, at, 0);
    const int rc = f->eval(f, &site, y, value);
    if (rc) return rc;
    if (at->tape) copy(f->out, at->n, value, at->ld, at->tape + f->tape*at->tape_ld, at->tape_ld);
    clear(1, at, dy);
    add_products(f->out, at, 1, value, value, dy);
    return 0;
}

static int kinetic_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const nde_field *f = self->ctx;
    const nde_site site = kinetic_site(f, at);
    nde_cotangent there = nde_part_cotangent(f, at, to, (nde_slice){ .tape = 0 });
    nde_real *value = kinetic_block(f, at, 0), *a_value = kinetic_block(f, at, 1);
    int rc = 0;
    if (at->tape) copy(f->out, at->n, at->tape + f->tape*at->tape_ld, at->tape_ld, value, at->ld);
    else rc = f->eval(f, &site, y, value);
    there.cotape = NULL;
    scale(f->out, at, 2, a, value, a_value);
    return rc ? rc : f->vjp(f, &site, y, a_value, &there);
}

/* F and J v into the blocks. */
static int kinetic_both(const nde_field *f, const nde_site *at, const nde_real *y, const nde_tangent *v) {
    nde_site site = kinetic_site(f, at);
    site.tape = NULL;
    const nde_tangent along = nde_part_tangent(f, at, v);
    const int rc = f->eval(f, &site, y, kinetic_block(f, at, 0));
    return rc ? rc : f->jvp(f, &site, y, &along, kinetic_block(f, at, 2));
}

static int kinetic_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const nde_field *f = self->ctx;
    const int rc = kinetic_both(f, at, y, v);
    clear(1, at, dv);
    add_products(f->out, at, 2, kinetic_block(f, at, 0), kinetic_block(f, at, 2), dv);
    return rc;
}

/* From a of |F|^2 and b of 2 F.Jv: 2a F + 2b Jv of F, and 2b F of Jv. */
static int kinetic_vjp_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v,
                           const nde_real *a, const nde_real *b, nde_cotangent *to_y, nde_cotangent *to_v) {
    const nde_field *f = self->ctx;
    const nde_site site = kinetic_site(f, at);
    const nde_tangent along = nde_part_tangent(f, at, v);
    const nde_cotangent none = { 0 };
    nde_cotangent there = nde_part_cotangent(f, at, to_y, (nde_slice){ .tape = 0 });
    nde_cotangent beside = nde_part_cotangent(f, at, to_v ? to_v : &none, (nde_slice){ .tape = 0 });
    nde_real *value = kinetic_block(f, at, 0), *a_value = kinetic_block(f, at, 1), *slope = kinetic_block(f, at, 2),
             *a_slope = kinetic_block(f, at, 3);
    const int rc = kinetic_both(f, at, y, v);
    if (rc) return rc;
    for (size_t i = 0; i < f->out; i++)
        for (size_t l = 0; l < at->n; l++) {
            const size_t k = i*at->ld + l;
            a_value[k] = 2*((a ? a[l]*value[k] : 0) + (b ? b[l]*slope[k] : 0));
            a_slope[k] = b ? 2*b[l]*value[k] : 0;
        }
    return f->vjp_jvp(f, &site, y, &along, a_value, a_slope, &there, to_v ? &beside : NULL);
}

static int kinetic_prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    return nde_part_prepare(self->ctx, p, &prepared);
}

nde_field nde_field_kinetic(const nde_field *f) {
    const nde_field none = { .size = sizeof none };
    if (!f) return (void)nde_fail(NDE_E_ARG, "nde_field_kinetic: field is NULL"), none;
    if (nde_field_validate(f, "nde_field_kinetic: field")) return none;
    nde_field g = one_row("kinetic", f, f, kinetic_rows(f));
    if (!g.size) return none;
    g.prepare = f->prepared ? kinetic_prepare : NULL;
    g.eval = kinetic_eval, g.vjp = f->vjp ? kinetic_vjp : NULL, g.jvp = f->jvp ? kinetic_jvp : NULL;
    g.vjp_jvp = f->jvp && f->vjp_jvp ? kinetic_vjp_jvp : NULL;
    g.gemm_eval = f->gemm_eval, g.gemm_vjp = f->gemm_vjp;
    return g;
}

/* ---- |J' e|^2 -------------------------------------------------------------------------------- *
 * work: e, a cotangent, w; in forward mode the cotangents of y, u, q, t and p of one lane. */

typedef struct layout {
    size_t probe, cotangent, w, y, u, q, t, p, end; /* first rows */
} layout;

static layout layout_of(const nde_frobenius *of) {
    const nde_field *f = of->field;
    layout l = { .cotangent = nde_aligned_rows(f->out) };
    l.w = l.cotangent + nde_aligned_rows(f->out);
    l.y = l.w + nde_aligned_rows(f->dim);
    if (!of->forward) return l.end = l.y, l;
    l.u = l.y + nde_aligned_rows(f->dim), l.q = l.u + nde_aligned_rows(f->nu), l.t = l.q + nde_aligned_rows(f->nq);
    l.p = l.t + nde_aligned_rows(2), l.end = l.p + nde_aligned_rows(2*f->np); /* doubles */
    return l;
}

static size_t probes_of(const nde_frobenius *of) { return of->probes ? of->probes : 1; }
static nde_real share_of(const nde_frobenius *of) { return (nde_real)(1/(double)probes_of(of)); }

static void draw(const nde_frobenius *of, const nde_site *at, size_t probe, nde_real *e) {
    for (size_t i = 0; i < of->field->out; i++)
        for (size_t b = 0; b < at->n; b++)
            e[i*at->ld + b] = of->gaussian ? (nde_real)nde_normal(of->seed, NDE_PURPOSE_PROBE, at->index[b], probe, i)
                              : nde_uniform(of->seed, NDE_PURPOSE_PROBE, at->index[b], probe, i) < 0.5 ? (nde_real)-1
                              : (nde_real)1;
}

static nde_site frobenius_site(const nde_frobenius *of, const nde_site *at) {
    nde_site site = nde_part_site(of->field, at, (nde_slice){ .work = layout_of(of).end });
    site.tape = NULL;
    return site;
}

/* e and w = J' e of one probe. */
static int multiply(const nde_frobenius *of, const nde_site *at, size_t probe, const nde_real *y) {
    const nde_field *f = of->field;
    const layout l = layout_of(of);
    const nde_site site = frobenius_site(of, at);
    nde_real *e = at->work + l.probe*at->ld, *w = at->work + l.w*at->ld;
    nde_cotangent to = { .y = w };
    draw(of, at, probe, e);
    clear(f->dim, at, w);
    return f->vjp(f, &site, y, e, &to);
}

static int frobenius_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const nde_frobenius *of = self->ctx;
    const nde_real *w = at->work + layout_of(of).w*at->ld;
    int rc = 0;
    clear(1, at, dy);
    for (size_t probe = 0; probe < probes_of(of) && !rc; probe++) {
        rc = multiply(of, at, probe, y);
        add_products(of->field->dim, at, share_of(of), w, w, dy);
    }
    return rc;
}

static int frobenius_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const nde_frobenius *of = self->ctx;
    const nde_field *f = of->field;
    const layout l = layout_of(of);
    const nde_site site = frobenius_site(of, at);
    nde_real *e = at->work + l.probe*at->ld, *b = at->work + l.cotangent*at->ld;
    const nde_tangent along = { .y = at->work + l.w*at->ld };
    nde_cotangent there = nde_part_cotangent(f, at, to, (nde_slice){ .tape = 0 });
    int rc = 0;
    there.cotape = NULL;
    for (size_t probe = 0; probe < probes_of(of) && !rc; probe++) {
        rc = multiply(of, at, probe, y);
        if (rc) return rc;
        scale(f->out, at, 2*share_of(of), a, e, b);
        rc = f->vjp_jvp(f, &site, y, &along, NULL, b, &there, NULL);
    }
    return rc;
}

/* A lane of a site as a site, of which the arrays of blocks begin at the lane. */
static nde_site lane_of(const nde_site *at, size_t b) {
    nde_site one = *at;
    one.n = 1, one.t += b, one.index += b, one.interval = at->interval ? at->interval + b : NULL;
    one.u = at->u ? at->u + b : NULL, one.q = at->q ? at->q + b : NULL, one.lane = at->lane ? at->lane + b : NULL;
    return one;
}

/* <cotangents, direction> of lane b. */
static nde_real pair(const nde_field *f, const nde_cotangent *to, const nde_tangent *v, size_t b, size_t ld) {
    double sum = v->t ? *to->t*v->t[b] : 0;
    for (size_t i = 0; v->y && i < f->dim; i++) sum += (double)to->y[i*ld]*(double)v->y[i*ld + b];
    for (size_t i = 0; v->u && i < f->nu; i++) sum += (double)to->u[i*ld]*(double)v->u[i*ld + b];
    for (size_t i = 0; v->q && i < f->nq; i++) sum += (double)to->q[i*ld]*(double)v->q[i*ld + b];
    for (size_t i = 0; v->p && i < f->np; i++) sum += to->p[i]*(double)v->p[i];
    return (nde_real)sum;
}

/* The derivative of e' J w by everything, along v; by parameters it is a sum over lanes, hence one lane at a time. */
static int frobenius_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const nde_frobenius *of = self->ctx;
    const nde_field *f = of->field;
    const layout l = layout_of(of);
    const nde_site site = frobenius_site(of, at);
    const nde_tangent direction = nde_part_tangent(f, at, v);
    const size_t ld = at->ld;
    nde_real *work = at->work;
    nde_cotangent to = { .t = (double *)(void *)(work + l.t*ld), .y = work + l.y*ld, .u = f->nu ? work + l.u*ld : NULL,
                         .q = f->nq ? work + l.q*ld : NULL, .p = f->np ? (double *)(void *)(work + l.p*ld) : NULL };
    int rc = 0;
    clear(1, at, dv);
    for (size_t probe = 0; probe < probes_of(of) && !rc; probe++) {
        rc = multiply(of, at, probe, y);
        for (size_t b = 0; b < at->n && !rc; b++) {
            const nde_site one = lane_of(&site, b);
            const nde_tangent along = { .y = work + l.w*ld + b };
            memset(work + l.y*ld, 0, (l.end - l.y)*ld*sizeof *work);
            rc = f->vjp_jvp(f, &one, y + b, &along, NULL, work + l.probe*ld + b, &to, NULL);
            dv[b] += 2*share_of(of)*pair(f, &to, &direction, b, ld);
        }
    }
    return rc;
}

static int frobenius_prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    const nde_frobenius *of = self->ctx;
    return nde_part_prepare(of->field, p, &prepared);
}

nde_field nde_field_frobenius(const nde_frobenius *of) {
    const nde_field none = { .size = sizeof none };
    if (!of || !of->field)
        return (void)nde_fail(NDE_E_ARG, "nde_field_frobenius: %s is NULL", of ? "field" : "frobenius"), none;
    const nde_field *f = of->field;
    if (nde_field_validate(f, "nde_field_frobenius: field")) return none;
    if (!f->vjp) return (void)nde_fail(NDE_E_ARG, "nde_field_frobenius: field '%s' has no vjp", nde_field_name(f)), none;
    if (f->dim > SIZE_MAX/64 || f->out > SIZE_MAX/64 || f->np > SIZE_MAX/64 || f->nq > SIZE_MAX/64 || f->nu > SIZE_MAX/64)
        return (void)nde_fail(NDE_E_SIZE, "nde_field_frobenius: dim, out, np, nq or nu of field '%s' is too large",
                              nde_field_name(f)), none;
    nde_field g = one_row("frobenius", of, f, layout_of(of).end);
    if (!g.size) return none;
    g.tape = 0, g.prepare = f->prepared ? frobenius_prepare : NULL;
    g.eval = frobenius_eval, g.vjp = f->vjp_jvp ? frobenius_vjp : NULL;
    g.jvp = of->forward && f->vjp_jvp ? frobenius_jvp : NULL;
    return g;
}
