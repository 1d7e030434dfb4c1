/* SPDX-License-Identifier: MIT
 * combine.c - fields made of fields: sum, concatenation, composition; and the cube as an elementwise field.
 *
 * Each part has its slices of tape, cotape and prepared, one after the other in the order of the parts; they share what is
 * left of work behind the rows that the whole needs. Parameters without vjp_window of one part deny it to the whole; a part
 * without parameters needs none. */
#include "field/parts.h"

#include <string.h>

/* The slices of part i; the loop that calls it for all i is as long as the parts are few. */
static nde_slice slice_of(const nde_parts *parts, size_t i, size_t work) {
    nde_slice s = { .work = work };
    for (size_t j = 0; j < i; j++) {
        s.tape += parts->part[j]->tape;
        s.cotape += parts->part[j]->cotape;
        s.prepared += parts->part[j]->prepared;
    }
    return s;
}

static void add(size_t rows, const nde_site *at, const nde_real *from, nde_real *to) {
    for (size_t i = 0; i < rows; i++)
        for (size_t b = 0; b < at->n; b++) to[i*at->ld + b] += from[i*at->ld + b];
}
static void clear(size_t rows, const nde_site *at, nde_real *to) {
    for (size_t i = 0; i < rows; i++) memset(to + i*at->ld, 0, at->n*sizeof *to);
}

/* Cotangents as the parts of `self` see them: without vjp_window of the whole there is no cotape. */
static nde_cotangent cotangent_of(const nde_field *self, const nde_field *part, const nde_site *at, const nde_cotangent *to,
                                  nde_slice slice) {
    nde_cotangent whole = *to;
    if (!self->vjp_window) whole.cotape = NULL;
    return nde_part_cotangent(part, at, &whole, slice);
}

static int prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    const nde_parts *parts = self->ctx;
    int code = NDE_FIELD_OK;
    for (size_t i = 0; i < parts->n && !code; i++) code = nde_part_prepare(parts->part[i], p, &prepared);
    return code;
}

static int vjp_window(const nde_field *self, const nde_site *window, const nde_real *cotape, double *ap) {
    const nde_parts *parts = self->ctx;
    int code = NDE_FIELD_OK;
    for (size_t i = 0; i < parts->n && !code; i++) {
        const nde_field *part = parts->part[i];
        if (!part->vjp_window || part->np == 0) continue;
        const nde_slice slice = slice_of(parts, i, 0);
        const nde_site site = nde_part_site(part, window, slice);
        code = part->vjp_window(part, &site, cotape + slice.cotape*window->tape_ld, ap + part->p_first);
    }
    return code;
}

/* ---- side by side: sum and concatenation ----
 * In a concatenation part i has its own rows of the value, in a sum all parts have the same: a sum's parts after the first
 * go through `out` rows of work. */

static int sum_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const nde_parts *parts = self->ctx;
    int code = NDE_FIELD_OK;
    for (size_t i = 0; i < parts->n && !code; i++) {
        const nde_field *part = parts->part[i];
        const nde_site site = nde_part_site(part, at, slice_of(parts, i, nde_aligned_rows(self->out)));
        code = part->eval(part, &site, y, i == 0 ? dy : at->work);
        if (i > 0 && !code) add(self->out, at, at->work, dy);
    }
    return code;
}

static int sum_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const nde_parts *parts = self->ctx;
    int code = NDE_FIELD_OK;
    for (size_t i = 0; i < parts->n && !code; i++) {
        const nde_field *part = parts->part[i];
        const nde_site site = nde_part_site(part, at, slice_of(parts, i, nde_aligned_rows(self->out)));
        const nde_tangent along = nde_part_tangent(part, at, v);
        code = part->jvp(part, &site, y, &along, i == 0 ? dv : at->work);
        if (i > 0 && !code) add(self->out, at, at->work, dv);
    }
    return code;
}

static int concatenation_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const nde_parts *parts = self->ctx;
    int code = NDE_FIELD_OK;
    for (size_t i = 0; i < parts->n && !code; i++) {
        const nde_field *part = parts->part[i];
        const nde_site site = nde_part_site(part, at, slice_of(parts, i, 0));
        code = part->eval(part, &site, y, dy);
        dy += part->out*at->ld;
    }
    return code;
}

static int concatenation_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v,
                             nde_real *dv) {
    const nde_parts *parts = self->ctx;
    int code = NDE_FIELD_OK;
    for (size_t i = 0; i < parts->n && !code; i++) {
        const nde_field *part = parts->part[i];
        const nde_site site = nde_part_site(part, at, slice_of(parts, i, 0));
        const nde_tangent along = nde_part_tangent(part, at, v);
        code = part->jvp(part, &site, y, &along, dv);
        dv += part->out*at->ld;
    }
    return code;
}

static bool is_sum(const nde_field *self) { return self->eval == sum_eval; }

static int beside_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const nde_parts *parts = self->ctx;
    int code = NDE_FIELD_OK;
    for (size_t i = 0; i < parts->n && !code; i++) {
        const nde_field *part = parts->part[i];
        const nde_slice slice = slice_of(parts, i, 0);
        const nde_site site = nde_part_site(part, at, slice);
        nde_cotangent c = cotangent_of(self, part, at, to, slice);
        code = part->vjp(part, &site, y, a, &c);
        if (!is_sum(self)) a += part->out*at->ld;
    }
    return code;
}

static int beside_vjp_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v,
                          const nde_real *a, const nde_real *b, nde_cotangent *to_y, nde_cotangent *to_v) {
    const nde_parts *parts = self->ctx;
    const nde_cotangent none = { 0 };
    int code = NDE_FIELD_OK;
    for (size_t i = 0; i < parts->n && !code; i++) {
        const nde_field *part = parts->part[i];
        const nde_slice slice = slice_of(parts, i, 0);
        const nde_site site = nde_part_site(part, at, slice);
        const nde_tangent along = nde_part_tangent(part, at, v);
        nde_cotangent c = nde_part_cotangent(part, at, to_y, slice);
        nde_cotangent d = nde_part_cotangent(part, at, to_v ? to_v : &none, slice);
        code = part->vjp_jvp(part, &site, y, &along, a, b, &c, to_v ? &d : NULL);
        if (!is_sum(self)) {
            if (a) a += part->out*at->ld;
            if (b) b += part->out*at->ld;
        }
    }
    return code;
}

/* ---- one after the other: F(m), m = G(y); part 0 is F, part 1 is G ----
 * tape: those of both, then m. work: m, and its tangent and cotangents. */

/* Rows of work from `i` blocks of m on. */
static nde_real *middle(const nde_field *self, const nde_site *at, size_t i) {
    const nde_parts *parts = self->ctx;
    return at->work + i*nde_aligned_rows(parts->part[1]->out)*at->ld;
}
static nde_site site_of(const nde_field *self, const nde_site *at, size_t i) {
    const nde_parts *parts = self->ctx;
    return nde_part_site(parts->part[i], at, slice_of(parts, i, 4*nde_aligned_rows(parts->part[1]->out)));
}
static void move(size_t rows, size_t n, const nde_real *from, size_t ld_from, nde_real *to, size_t ld_to) {
    for (size_t i = 0; i < rows; i++) memcpy(to + i*ld_to, from + i*ld_from, n*sizeof *to);
}

static int composition_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const nde_parts *parts = self->ctx;
    const nde_field *f = parts->part[0], *g = parts->part[1];
    const nde_site f_at = site_of(self, at, 0), g_at = site_of(self, at, 1);
    nde_real *m = middle(self, at, 0);
    const int code = g->eval(g, &g_at, y, m);
    if (code) return code;
    if (at->tape) move(g->out, at->n, m, at->ld, at->tape + (self->tape - g->out)*at->tape_ld, at->tape_ld);
    return f->eval(f, &f_at, m, dy);
}

static int composition_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a,
                           nde_cotangent *to) {
    const nde_parts *parts = self->ctx;
    const nde_field *f = parts->part[0], *g = parts->part[1];
    const nde_site f_at = site_of(self, at, 0), g_at = site_of(self, at, 1);
    nde_real *m = middle(self, at, 0), *am = middle(self, at, 1);
    nde_cotangent f_to = cotangent_of(self, f, at, to, slice_of(parts, 0, 0));
    nde_cotangent g_to = cotangent_of(self, g, at, to, slice_of(parts, 1, 0));
    int code = NDE_FIELD_OK;
    if (at->tape) move(g->out, at->n, at->tape + (self->tape - g->out)*at->tape_ld, at->tape_ld, m, at->ld);
    else code = g->eval(g, &g_at, y, m);
    if (code) return code;
    clear(g->out, at, am);
    f_to.y = am;
    code = f->vjp(f, &f_at, m, a, &f_to);
    return code ? code : g->vjp(g, &g_at, y, am, &g_to);
}

static int composition_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const nde_parts *parts = self->ctx;
    const nde_field *f = parts->part[0], *g = parts->part[1];
    nde_site f_at = site_of(self, at, 0), g_at = site_of(self, at, 1);
    nde_tangent f_along = nde_part_tangent(f, at, v), g_along = nde_part_tangent(g, at, v);
    nde_real *m = middle(self, at, 0), *dm = middle(self, at, 1);
    g_at.tape = NULL;
    int code = g->eval(g, &g_at, y, m);
    if (!code) code = g->jvp(g, &g_at, y, &g_along, dm);
    f_along.y = dm;
    return code ? code : f->jvp(f, &f_at, m, &f_along, dv);
}

static int composition_vjp_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v,
                               const nde_real *a, const nde_real *b, nde_cotangent *to_y, nde_cotangent *to_v) {
    const nde_parts *parts = self->ctx;
    const nde_field *f = parts->part[0], *g = parts->part[1];
    nde_site f_at = site_of(self, at, 0), g_at = site_of(self, at, 1);
    nde_tangent f_along = nde_part_tangent(f, at, v), g_along = nde_part_tangent(g, at, v);
    nde_real *m = middle(self, at, 0), *dm = middle(self, at, 1), *am = middle(self, at, 2), *bm = middle(self, at, 3);
    const nde_cotangent none = { 0 }, *direction = to_v ? to_v : &none;
    nde_cotangent f_y = nde_part_cotangent(f, at, to_y, (nde_slice){ 0 });
    nde_cotangent g_y = nde_part_cotangent(g, at, to_y, (nde_slice){ 0 });
    nde_cotangent f_v = nde_part_cotangent(f, at, direction, (nde_slice){ 0 });
    nde_cotangent g_v = nde_part_cotangent(g, at, direction, (nde_slice){ 0 });
    g_at.tape = NULL;
    int code = g->eval(g, &g_at, y, m);
    if (!code) code = g->jvp(g, &g_at, y, &g_along, dm);
    if (code) return code;
    clear(g->out, at, am);
    clear(g->out, at, bm);
    f_along.y = dm;
    f_y.y = am, f_v.y = bm;
    code = f->vjp_jvp(f, &f_at, m, &f_along, a, b, &f_y, &f_v);
    return code ? code : g->vjp_jvp(g, &g_at, y, &g_along, am, bm, &g_y, to_v ? &g_v : NULL);
}

/* ---- construction ---- */

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* What every combination has in common: sizes, parameter ranges, traits; derivatives are those of `all`, as far as every
 * part has them. False (text set) when a part is wrong. */
static bool gather(const nde_parts *parts, const char *who, nde_field *all) {
    nde_parts p;
    if (!parts) return nde_fail(NDE_E_ARG, "%s: the description is NULL", who), false;
    if (!nde_read_sized(&p, sizeof p, parts, sizeof p))
        return nde_fail(NDE_E_ARG, "%s: size is %zu, this library knows %zu", who, parts->size, sizeof p), false;
    if (!p.part || p.n == 0) return nde_fail(NDE_E_ARG, "%s: %s", who, p.part ? "n is 0" : "part is NULL"), false;
    if (p.n > PTRDIFF_MAX/sizeof *p.part) return nde_fail(NDE_E_SIZE, "%s: n is %zu", who, p.n), false;
    bool windows = true, has_np = false;
    all->traits = NDE_AUTONOMOUS | NDE_LINEAR_IN_U | NDE_LANEWISE | NDE_DIRECTIONS;
    for (size_t i = 0; i < parts->n; i++) {
        const nde_field *part = parts->part[i];
        if (nde_field_validate(part, who) != NDE_OK) return false;
        all->nu = larger(all->nu, part->nu);
        if (part->np) all->np = larger(all->np, part->p_first + part->np);
        if (part->nq) all->nq = larger(all->nq, part->q_first + part->nq);
        all->work = larger(all->work, part->work);
        if (!nde_size_grow(&all->tape, part->tape, 1) || !nde_size_grow(&all->cotape, part->cotape, 1) ||
            !nde_size_grow(&all->prepared, part->prepared, 1))
            return nde_fail(NDE_E_SIZE, "%s: the parts' sizes together are too large", who), false;
        all->traits &= part->traits;
        all->gemm_eval += part->gemm_eval;
        all->gemm_vjp += part->gemm_vjp;
        if (!part->vjp) all->vjp = NULL;
        if (!part->jvp) all->jvp = NULL;
        if (!part->vjp_jvp) all->vjp_jvp = NULL;
        has_np |= part->np > 0;
        windows &= part->vjp_window || part->np == 0;
    }
    all->size = sizeof *all;
    all->ctx = parts;
    if (all->prepared) all->prepare = prepare;
    if (windows && has_np && all->vjp) all->vjp_window = vjp_window;
    else all->cotape = 0;
    return true;
}

static nde_field checked(const nde_field *field, const char *who) {
    return nde_field_validate(field, who) == NDE_OK ? *field : (nde_field){ 0 };
}

/* Do all parts agree on what stands side by side? */
static bool agree(const nde_parts *parts, const char *who, bool same_out) {
    const nde_field *first = parts->part[0];
    for (size_t i = 1; i < parts->n; i++) {
        const nde_field *part = parts->part[i];
        const char *what = part->dim != first->dim ? "dim" : part->nu != first->nu ? "nu" :
                           same_out && part->out != first->out ? "out" : NULL;
        const size_t here = part->dim != first->dim ? part->dim : part->nu != first->nu ? part->nu : part->out;
        if (what) return nde_fail(NDE_E_ARG, "%s: part %zu (%s) has %s %zu, part 0 has another", who, i,
                                  nde_field_name(part), what, here), false;
    }
    return true;
}

nde_field nde_field_sum(const nde_parts *parts) {
    static const char who[] = "nde_field_sum";
    nde_field f = { .name = "sum", .eval = sum_eval, .vjp = beside_vjp, .jvp = sum_jvp, .vjp_jvp = beside_vjp_jvp };
    if (!gather(parts, who, &f) || !agree(parts, who, true)) return (nde_field){ 0 };
    f.dim = parts->part[0]->dim;
    f.out = parts->part[0]->out;
    f.work += nde_aligned_rows(f.out);
    return checked(&f, who);
}

nde_field nde_field_concatenation(const nde_parts *parts) {
    static const char who[] = "nde_field_concatenation";
    nde_field f = { .name = "concatenation", .eval = concatenation_eval, .vjp = beside_vjp, .jvp = concatenation_jvp,
                    .vjp_jvp = beside_vjp_jvp };
    if (!gather(parts, who, &f) || !agree(parts, who, false)) return (nde_field){ 0 };
    f.dim = parts->part[0]->dim;
    for (size_t i = 0; i < parts->n; i++)
        if (!nde_size_grow(&f.out, parts->part[i]->out, 1))
            return (void)nde_fail(NDE_E_SIZE, "%s: out is too large", who), (nde_field){ 0 };
    return checked(&f, who);
}

nde_field nde_field_composition(const nde_parts *parts) {
    static const char who[] = "nde_field_composition";
    nde_field f = { .name = "composition", .eval = composition_eval, .vjp = composition_vjp, .jvp = composition_jvp,
                    .vjp_jvp = composition_vjp_jvp };
    if (!gather(parts, who, &f)) return (nde_field){ 0 };
    if (parts->n != 2) return (void)nde_fail(NDE_E_ARG, "%s: n is %zu, not 2", who, parts->n), (nde_field){ 0 };
    const nde_field *outer = parts->part[0], *inner = parts->part[1];
    if (outer->dim != inner->out)
        return (void)nde_fail(NDE_E_ARG, "%s: outer (%s) has dim %zu, inner (%s) out %zu", who, nde_field_name(outer),
                              outer->dim, nde_field_name(inner), inner->out), (nde_field){ 0 };
    if (outer->nu && inner->nu && outer->nu != inner->nu)
        return (void)nde_fail(NDE_E_ARG, "%s: outer (%s) has nu %zu, inner (%s) %zu", who, nde_field_name(outer), outer->nu,
                              nde_field_name(inner), inner->nu), (nde_field){ 0 };
    f.dim = inner->dim;
    f.out = outer->out;
    f.tape += inner->out;
    f.work += 4*nde_aligned_rows(inner->out);
    if (inner->nu) f.traits &= ~NDE_LINEAR_IN_U;
    else f.traits |= outer->traits & NDE_LINEAR_IN_U;
    return checked(&f, who);
}

/* ---- y^3, elementwise ---- */

static int cube_eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    for (size_t i = 0; i < self->dim; i++, y += at->ld, dy += at->ld)
        for (size_t b = 0; b < at->n; b++) dy[b] = y[b]*y[b]*y[b];
    return NDE_FIELD_OK;
}

static int cube_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    if (!to->y) return NDE_FIELD_OK;
    nde_real *ay = to->y;
    for (size_t i = 0; i < self->dim; i++, y += at->ld, a += at->ld, ay += at->ld)
        for (size_t b = 0; b < at->n; b++) ay[b] += 3*y[b]*y[b]*a[b];
    return NDE_FIELD_OK;
}

static int cube_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const nde_real *vy = v->y;
    for (size_t i = 0; i < self->dim; i++, y += at->ld, dv += at->ld) {
        for (size_t b = 0; b < at->n; b++) dv[b] = vy ? 3*y[b]*y[b]*vy[b] : 0;
        if (vy) vy += at->ld;
    }
    return NDE_FIELD_OK;
}

static int cube_vjp_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, const nde_real *a,
                        const nde_real *b, nde_cotangent *to_y, nde_cotangent *to_v) {
    for (size_t row = 0; row < self->dim*at->ld; row += at->ld) {
        for (size_t i = row; i < row + at->n; i++) {
            const nde_real slope = 3*y[i]*y[i], bend = v->y ? 6*y[i]*v->y[i] : 0;
            if (to_y->y) to_y->y[i] += (a ? slope*a[i] : 0) + (b ? bend*b[i] : 0);
            if (to_v && to_v->y && b) to_v->y[i] += slope*b[i];
        }
    }
    return NDE_FIELD_OK;
}

static int cube_jacobian(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *j) {
    for (size_t i = 0; i < self->dim; i++)
        for (size_t k = 0; k < self->dim; k++, j += at->ld)
            for (size_t b = 0; b < at->n; b++) j[b] = i == k ? 3*y[i*at->ld + b]*y[i*at->ld + b] : 0;
    return NDE_FIELD_OK;
}

nde_field nde_field_cube(size_t dim) {
    const nde_field f = {
        .size = sizeof f, .name = "cube", .dim = dim, .out = dim, .traits = NDE_AUTONOMOUS | NDE_LANEWISE | NDE_DIRECTIONS,
        .eval = cube_eval, .vjp = cube_vjp, .jvp = cube_jvp, .vjp_jvp = cube_vjp_jvp, .jacobian = cube_jacobian,
    };
    return checked(&f, "nde_field_cube");
}
