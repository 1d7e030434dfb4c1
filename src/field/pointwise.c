/* SPDX-License-Identifier: MIT
 * pointwise.c - a field from callbacks that know one trajectory as plain vectors. One tight trajectory (n = ld = 1) is
 * passed straight through; otherwise each lane is gathered, called and scattered. */
#include "field/parts.h"

#include <math.h>
#include <string.h>

static bool idle(const nde_site *at, size_t b) { return at->lane && at->lane[b] == NDE_LANE_IDLE; }

static void gather(size_t rows, const nde_site *at, const nde_real *a, size_t b, nde_real *one) {
    for (size_t i = 0; i < rows; i++) one[i] = a[i*at->ld + b];
}
static void scatter(size_t rows, const nde_site *at, const nde_real *one, nde_real *a, size_t b) {
    for (size_t i = 0; i < rows; i++) a[i*at->ld + b] = one[i];
}

static int eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const nde_pointwise *one = self->ctx;
    if (at->n == 1 && at->ld == 1 && !idle(at, 0)) return one->f(at->t[0], y, at->p, dy, one->ctx);
    nde_real *x = at->work, *f = x + self->dim;
    for (size_t b = 0; b < at->n; b++) {
        const bool skip = idle(at, b);
        /* A callback that writes nothing leaves NaN, which fails its lane. */
        for (size_t i = 0; i < self->out; i++) f[i] = skip ? 0 : (nde_real)NAN;
        if (!skip) {
            gather(self->dim, at, y, b, x);
            const int code = one->f(at->t[b], x, at->p, f, one->ctx);
            if (code < 0 || (code > 0 && (at->n == 1 || !at->lane))) return code;
            if (code > 0) at->lane[b] = code == NDE_FIELD_STOP ? NDE_LANE_STOP : NDE_LANE_RETRY;
        }
        scatter(self->out, at, f, dy, b);
    }
    return NDE_FIELD_OK;
}

/* On the way back there is no step to retry: the first code that is not 0 ends the call. */
static int vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const nde_pointwise *one = self->ctx;
    const size_t dim = self->dim;
    nde_real *x = at->work, *ax = x + dim, *ay = ax + dim;
    if (at->n == 1 && at->ld == 1 && to->y && !idle(at, 0))
        return one->vjp(at->t[0], y, at->p, a, to->y, to->p, to->t, one->ctx);
    for (size_t b = 0; b < at->n; b++) {
        if (idle(at, b)) continue;
        gather(dim, at, y, b, x);
        gather(self->out, at, a, b, ax);
        /* The callback adds to the value that is there: the same bits as without the copy. */
        if (to->y) gather(dim, at, to->y, b, ay);
        else memset(ay, 0, dim*sizeof *ay);
        const int code = one->vjp(at->t[b], x, at->p, ax, ay, to->p, to->t ? to->t + b : NULL, one->ctx);
        if (code) return code;
        if (to->y) scatter(dim, at, ay, to->y, b);
    }
    return NDE_FIELD_OK;
}

static int jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const nde_pointwise *one = self->ctx;
    const size_t dim = self->dim;
    if (at->n == 1 && at->ld == 1 && !idle(at, 0))
        return one->jvp(at->t[0], y, at->p, v->t ? v->t[0] : 0, v->y, v->p, dv, one->ctx);
    nde_real *x = at->work, *vx = x + dim, *f = vx + dim;
    for (size_t b = 0; b < at->n; b++) {
        const bool skip = idle(at, b);
        for (size_t i = 0; i < self->out; i++) f[i] = skip ? 0 : (nde_real)NAN;
        if (!skip) {
            gather(dim, at, y, b, x);
            if (v->y) gather(dim, at, v->y, b, vx);
            const nde_real *vp = v->p && v->lanes ? v->p + b/v->lanes*v->p_stride : v->p;
            const int code = one->jvp(at->t[b], x, at->p, v->t ? v->t[b] : 0, v->y ? vx : NULL, vp, f, one->ctx);
            if (code) return code;
        }
        scatter(self->out, at, f, dv, b);
    }
    return NDE_FIELD_OK;
}

nde_field nde_field_pointwise(const nde_pointwise *one, size_t dim, size_t np) {
    static const char who[] = "nde_field_pointwise";
    const nde_field none = { 0 };
    nde_pointwise p;
    if (!one) return (void)nde_fail(NDE_E_ARG, "%s: the description is NULL", who), none;
    if (!nde_read_sized(&p, sizeof p, one, sizeof p))
        return (void)nde_fail(NDE_E_ARG, "%s: size is %zu, this library knows %zu", who, one->size, sizeof p), none;
    if (!p.f) return (void)nde_fail(NDE_E_ARG, "%s: f is NULL", who), none;
    if (dim > SIZE_MAX/3) return (void)nde_fail(NDE_E_SIZE, "%s: dim is %zu", who, dim), none;
    const nde_field field = {
        .size = sizeof field, .name = "pointwise", .ctx = one, .dim = dim, .np = np, .out = dim, .work = 3*dim,
        .traits = NDE_LANEWISE | NDE_DIRECTIONS, .eval = eval, .vjp = p.vjp ? vjp : NULL, .jvp = p.jvp ? jvp : NULL,
    };
    return nde_field_validate(&field, who) == NDE_OK ? field : none;
}
