/* SPDX-License-Identifier: MIT
 * girsanov.c - |u|^2/2 with g u = f - h, of a posterior's drift f and a prior's h: what Girsanov's theorem integrates.
 *
 * d = f - h, g [dim][m] by columns. With m >= dim the shortest u is g' l, g g' l = d; else g' g u = g' d, g' g s = u, l =
 * g s. Both have the derivative l'(dd - dg u) + s' dg' (d - g u), in whose last term the first ones have no s. Source: G.
 * Golub, V. Pereyra, SIAM J. Numer. Anal. 10 (1973) 413-432. */
#include "field/parts.h"

#include <math.h>
#include <string.h>

/* Rows of work: d, h; g; the products of rows or columns; u, s; l, d - g u; a column's cotangent; inputs of the diffusion,
 * their cotangents, their tangents; and where there are second derivatives tangents of d, g, u, s, l, d - g u, and one more
 * cotangent each of a column and of inputs. */
enum { D, H, G, S, U, V, L, R, A, IN, A_IN, V_IN, DV, GV, UV, VV, LV, RV, B, B_IN, BLOCKS };
typedef struct layout {
    size_t at[BLOCKS + 1];
} layout;

static bool is_diagonal(const nde_girsanov *of) { return of->kind == NDE_NOISE_DIAGONAL; }
static size_t columns(const nde_girsanov *of) { return is_diagonal(of) ? 1 : of->diffusion->nu - of->inputs; }
static size_t unknowns(const nde_girsanov *of) { return is_diagonal(of) ? of->posterior->dim : columns(of); }

enum { POSTERIOR, PRIOR, DIFFUSION, PARTS };
static const nde_field *part(const nde_girsanov *of, int i) {
    return i == POSTERIOR ? of->posterior : i == PRIOR ? of->prior : of->diffusion;
}
/* Calls of part i: the diffusion's column by column. */
static size_t calls(const nde_girsanov *of, int i) { return i == DIFFUSION ? columns(of) : 1; }
static bool bends(const nde_girsanov *of) {
    for (int i = 0; i < PARTS; i++)
        if (!part(of, i)->jvp || !part(of, i)->vjp_jvp) return false;
    return true;
}

static layout layout_of(const nde_girsanov *of) {
    const size_t dim = of->posterior->dim, m = unknowns(of), k = m < dim ? m : dim,
        nu = is_diagonal(of) ? 0 : of->diffusion->nu;
    const size_t rows[BLOCKS] = { [D] = dim, [H] = dim, [G] = dim*columns(of), [S] = is_diagonal(of) ? 0 : k*k, [U] = m,
                                  [V] = m, [L] = dim, [R] = dim, [A] = dim, [IN] = nu, [A_IN] = nu, [V_IN] = nu,
                                  [DV] = dim, [GV] = dim*columns(of), [UV] = m, [VV] = m, [LV] = dim, [RV] = dim, [B] = dim,
                                  [B_IN] = nu };
    layout l = { .at = { 0 } };
    for (size_t i = 0; i < BLOCKS; i++) l.at[i + 1] = l.at[i] + (i < DV || bends(of) ? nde_aligned_rows(rows[i]) : 0);
    return l;
}

static nde_real *block(const nde_girsanov *of, const nde_site *at, int which) {
    return at->work + layout_of(of).at[which]*at->ld;
}

static nde_site site_of(const nde_girsanov *of, const nde_site *at, int i) {
    nde_slice slice = { .work = layout_of(of).at[BLOCKS] };
    for (int j = 0; j < i; j++) slice.prepared += part(of, j)->prepared;
    nde_site site = nde_part_site(part(of, i), at, slice);
    site.tape = NULL;
    if (i == DIFFUSION && !is_diagonal(of)) site.u = block(of, at, IN);
    return site;
}

static void clear(size_t rows, const nde_site *at, nde_real *x) {
    for (size_t i = 0; i < rows; i++) memset(x + i*at->ld, 0, at->n*sizeof *x);
}
/* to += sign x y, all rows of lanes. */
static void add(const nde_site *at, nde_real sign, const nde_real *x, const nde_real *y, nde_real *to) {
    for (size_t b = 0; b < at->n; b++) to[b] += sign*x[b]*y[b];
}

/* Inputs of the diffusion with which its value is column j. */
static void point(const nde_girsanov *of, const nde_site *at, size_t j) {
    if (is_diagonal(of)) return;
    nde_real *in = block(of, at, IN);
    for (size_t i = 0; i < of->diffusion->nu; i++)
        for (size_t b = 0; b < at->n; b++) in[i*at->ld + b] = i < of->inputs ? at->u[i*at->ld + b] : i - of->inputs == j;
}

/* ---- the equation ---------------------------------------------------------------------------- */

/* s [k][k] = L L', in its lower triangle. */
static void factorise(const nde_site *at, size_t k, nde_real *s) {
    const size_t ld = at->ld;
    for (size_t j = 0; j < k; j++)
        for (size_t i = j; i < k; i++) {
            nde_real *to = s + (i*k + j)*ld;
            const nde_real *pivot = s + (j*k + j)*ld;
            for (size_t l = 0; l < j; l++) add(at, -1, s + (i*k + l)*ld, s + (j*k + l)*ld, to);
            for (size_t b = 0; b < at->n; b++) to[b] = i == j ? (nde_real)sqrt((double)to[b]) : to[b]/pivot[b];
        }
}

/* x [k] = (L L')^-1 x */
static void substitute(const nde_site *at, size_t k, const nde_real *s, nde_real *x) {
    const size_t ld = at->ld;
    for (size_t i = 0; i < k; i++) {
        for (size_t l = 0; l < i; l++) add(at, -1, s + (i*k + l)*ld, x + l*ld, x + i*ld);
        for (size_t b = 0; b < at->n; b++) x[i*ld + b] /= s[(i*k + i)*ld + b];
    }
    for (size_t i = k; i-- > 0;) {
        for (size_t l = i + 1; l < k; l++) add(at, -1, s + (l*k + i)*ld, x + l*ld, x + i*ld);
        for (size_t b = 0; b < at->n; b++) x[i*ld + b] /= s[(i*k + i)*ld + b];
    }
}

/* to [dim] += sign g x, or to [m] += sign g' x where transposed; g column by column. */
static void add_product(const nde_site *at, size_t dim, size_t m, bool transposed, nde_real sign, const nde_real *g,
                        const nde_real *x, nde_real *to) {
    const size_t ld = at->ld;
    for (size_t j = 0; j < m; j++)
        for (size_t i = 0; i < dim; i++)
            add(at, sign, g + (j*dim + i)*ld, x + (transposed ? i : j)*ld, to + (transposed ? j : i)*ld);
}
static void multiply(const nde_site *at, size_t dim, size_t m, bool transposed, const nde_real *g, const nde_real *x,
                     nde_real *to) {
    clear(transposed ? m : dim, at, to);
    add_product(at, dim, m, transposed, 1, g, x, to);
}

/* u, l, s and what is left of d. */
static void solve(const nde_girsanov *of, const nde_site *at) {
    const size_t dim = of->posterior->dim, m = unknowns(of), ld = at->ld, k = m < dim ? m : dim;
    const bool wide = m >= dim;
    nde_real *d = block(of, at, D), *g = block(of, at, G), *s = block(of, at, S), *u = block(of, at, U), *v = block(of, at, V),
             *l = block(of, at, L), *rest = block(of, at, R);
    for (size_t i = 0; is_diagonal(of) && i < dim*ld; i += ld)
        for (size_t b = 0; b < at->n; b++) u[i + b] = d[i + b]/g[i + b], l[i + b] = u[i + b]/g[i + b];
    if (is_diagonal(of)) return;
    clear(k*k, at, s);
    for (size_t j = 0; j < k; j++)
        for (size_t i = j; i < k; i++)
            for (size_t c = 0; c < (wide ? m : dim); c++)
                add(at, 1, g + (wide ? c*dim + i : i*dim + c)*ld, g + (wide ? c*dim + j : j*dim + c)*ld, s + (i*k + j)*ld);
    factorise(at, k, s);
    if (wide) {
        memcpy(l, d, dim*ld*sizeof *l);
        substitute(at, k, s, l);
        multiply(at, dim, m, true, g, l, u);
        clear(m, at, v), clear(dim, at, rest);
        return;
    }
    multiply(at, dim, m, true, g, d, u);
    substitute(at, k, s, u);
    memcpy(v, u, m*ld*sizeof *v);
    substitute(at, k, s, v);
    multiply(at, dim, m, false, g, v, l), multiply(at, dim, m, false, g, u, rest);
    for (size_t i = 0; i < dim*ld; i += ld)
        for (size_t b = 0; b < at->n; b++) rest[i + b] = d[i + b] - rest[i + b];
}

/* Both drifts, the diffusion, and what follows. */
static int prepare_all(const nde_girsanov *of, const nde_site *at, const nde_real *y) {
    const size_t dim = of->posterior->dim;
    nde_real *to[PARTS] = { block(of, at, D), block(of, at, H), block(of, at, G) };
    int rc = 0;
    for (int i = 0; i < PARTS && !rc; i++) {
        const nde_site site = site_of(of, at, i);
        for (size_t j = 0; j < calls(of, i) && !rc; j++) {
            if (i == DIFFUSION) point(of, at, j);
            rc = part(of, i)->eval(part(of, i), &site, y, to[i] + j*dim*at->ld);
        }
    }
    for (size_t i = 0; i < dim*at->ld; i += at->ld)
        for (size_t b = 0; b < at->n; b++) to[POSTERIOR][i + b] -= to[PRIOR][i + b];
    if (!rc) solve(of, at);
    return rc;
}

/* to [dim] += the derivative by part i, of column j of the diffusion: l, -l, s_j (d - g u) - u_j l; from the blocks of u,
 * s, l and d - g u that are named. */
static void add_derivative(const nde_girsanov *of, const nde_site *at, int i, size_t j, int U_, int V_, int L_, int R_,
                           nde_real *to) {
    const nde_real *u = block(of, at, U_), *v = block(of, at, V_), *l = block(of, at, L_), *rest = block(of, at, R_);
    const size_t ld = at->ld;
    for (size_t r = 0; r < of->posterior->dim*ld; r += ld)
        for (size_t b = 0; b < at->n; b++)
            to[r + b] += i == POSTERIOR ? l[r + b] : i == PRIOR ? -l[r + b] : is_diagonal(of) ? -l[r + b]*u[r + b]
                : rest[r + b]*v[j*ld + b] - l[r + b]*u[j*ld + b];
}

static nde_real *derivative(const nde_girsanov *of, const nde_site *at, int i, size_t j, int which) {
    nde_real *to = block(of, at, which);
    clear(of->posterior->dim, at, to);
    add_derivative(of, at, i, j, U, V, L, R, to);
    return to;
}

/* ---- the field ------------------------------------------------------------------------------- */

static int eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *value) {
    const nde_girsanov *of = self->ctx;
    const nde_real *u = block(of, at, U);
    const int rc = prepare_all(of, at, y);
    clear(1, at, value);
    for (size_t i = 0; i < unknowns(of); i++) add(at, (nde_real)0.5, u + i*at->ld, u + i*at->ld, value);
    return rc;
}

static void scale(const nde_girsanov *of, const nde_site *at, const nde_real *a, nde_real *rows) {
    for (size_t i = 0; i < of->posterior->dim*at->ld; i += at->ld)
        for (size_t b = 0; b < at->n; b++) rows[i + b] *= a[b];
}

/* Cotangents of part i; those of the diffusion's inputs go to a block of their own, and from there to those of the whole. */
static nde_cotangent open_cotangent(const nde_girsanov *of, const nde_site *at, int i, const nde_cotangent *to, int which) {
    nde_cotangent whole = *to;
    whole.cotape = NULL;
    nde_cotangent there = nde_part_cotangent(part(of, i), at, &whole, (nde_slice){ .tape = 0 });
    if (i == DIFFUSION && !is_diagonal(of) && there.u)
        there.u = block(of, at, which), clear(of->diffusion->nu, at, there.u);
    return there;
}
static void close_cotangent(const nde_girsanov *of, const nde_site *at, int i, const nde_cotangent *there, nde_cotangent *to) {
    if (i != DIFFUSION || is_diagonal(of) || !there->u) return;
    for (size_t k = 0; k < of->inputs*at->ld; k += at->ld)
        for (size_t b = 0; b < at->n; b++) to->u[k + b] += there->u[k + b];
}

static int vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const nde_girsanov *of = self->ctx;
    int rc = prepare_all(of, at, y);
    for (int i = 0; i < PARTS && !rc; i++) {
        const nde_site site = site_of(of, at, i);
        const nde_field *f = part(of, i);
        nde_cotangent there = open_cotangent(of, at, i, to, A_IN);
        for (size_t j = 0; j < calls(of, i) && !rc; j++) {
            nde_real *rows = derivative(of, at, i, j, A);
            scale(of, at, a, rows);
            point(of, at, j);
            rc = f->vjp(f, &site, y, rows, &there);
        }
        close_cotangent(of, at, i, &there, to);
    }
    return rc;
}

/* value += <rows, tangent> */
static void pair(const nde_girsanov *of, const nde_site *at, const nde_real *rows, const nde_real *tangent, nde_real *value) {
    for (size_t i = 0; i < of->posterior->dim*at->ld; i += at->ld) add(at, 1, rows + i, tangent + i, value);
}

/* The direction as part i sees it. */
static nde_tangent tangent_of(const nde_girsanov *of, const nde_site *at, int i, const nde_tangent *v) {
    nde_tangent there = nde_part_tangent(part(of, i), at, v);
    if (i != DIFFUSION || is_diagonal(of)) return there;
    nde_real *along = block(of, at, V_IN);
    clear(of->diffusion->nu, at, along);
    for (size_t k = 0; v->u && k < of->inputs; k++) memcpy(along + k*at->ld, v->u + k*at->ld, at->n*sizeof *along);
    there.u = along;
    return there;
}

static int jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const nde_girsanov *of = self->ctx;
    nde_real *tangent = block(of, at, H);
    int rc = prepare_all(of, at, y);
    clear(1, at, dv);
    for (int i = 0; i < PARTS && !rc; i++) {
        const nde_site site = site_of(of, at, i);
        const nde_field *f = part(of, i);
        const nde_tangent there = tangent_of(of, at, i, v);
        for (size_t j = 0; j < calls(of, i) && !rc; j++) {
            point(of, at, j);
            rc = f->jvp(f, &site, y, &there, tangent);
            pair(of, at, derivative(of, at, i, j, A), tangent, dv);
        }
    }
    return rc;
}

/* ---- second derivatives ---------------------------------------------------------------------- */

/* Tangents of u, s, l and d - g u from those of d and g: derivatives of the systems that define them. */
static void solve_tangents(const nde_girsanov *of, const nde_site *at) {
    const size_t dim = of->posterior->dim, m = unknowns(of), ld = at->ld;
    const nde_real *g = block(of, at, G), *s = block(of, at, S), *u = block(of, at, U), *v = block(of, at, V),
        *l = block(of, at, L), *rest = block(of, at, R), *dv = block(of, at, DV), *gv = block(of, at, GV);
    nde_real *uv = block(of, at, UV), *vv = block(of, at, VV), *lv = block(of, at, LV), *rv = block(of, at, RV);
    for (size_t i = 0; is_diagonal(of) && i < dim*ld; i += ld)
        for (size_t b = i; b < i + at->n; b++) uv[b] = (dv[b] - u[b]*gv[b])/g[b], lv[b] = (uv[b] - l[b]*gv[b])/g[b];
    if (is_diagonal(of)) return;
    nde_real *left = m >= dim ? lv : rv;
    memcpy(left, dv, dim*ld*sizeof *left);
    add_product(at, dim, m, false, -1, gv, u, left);
    if (m >= dim) {
        multiply(at, dim, m, true, gv, l, uv);
        add_product(at, dim, m, false, -1, g, uv, lv);
        substitute(at, dim, s, lv);
        add_product(at, dim, m, true, 1, g, lv, uv);
        clear(m, at, vv), clear(dim, at, rv);
        return;
    }
    multiply(at, dim, m, true, gv, rest, uv);
    add_product(at, dim, m, true, 1, g, rv, uv);
    substitute(at, m, s, uv);
    multiply(at, dim, m, false, gv, v, lv);
    memcpy(vv, uv, m*ld*sizeof *vv);
    add_product(at, dim, m, true, -1, gv, l, vv), add_product(at, dim, m, true, -1, g, lv, vv);
    substitute(at, m, s, vv);
    add_product(at, dim, m, false, 1, g, vv, lv);
    add_product(at, dim, m, false, -1, g, uv, rv);
}

static int prepare_tangents(const nde_girsanov *of, const nde_site *at, const nde_real *y, const nde_tangent *v) {
    const size_t dim = of->posterior->dim;
    nde_real *to[PARTS] = { block(of, at, DV), block(of, at, H), block(of, at, GV) };
    int rc = 0;
    for (int i = 0; i < PARTS && !rc; i++) {
        const nde_site site = site_of(of, at, i);
        const nde_tangent there = tangent_of(of, at, i, v);
        for (size_t j = 0; j < calls(of, i) && !rc; j++) {
            point(of, at, j);
            rc = part(of, i)->jvp(part(of, i), &site, y, &there, to[i] + j*dim*at->ld);
        }
    }
    for (size_t i = 0; i < dim*at->ld; i += at->ld)
        for (size_t b = 0; b < at->n; b++) to[POSTERIOR][i + b] -= to[PRIOR][i + b];
    if (!rc) solve_tangents(of, at);
    return rc;
}

/* What a part's value has of both cotangents into A, what its product has into B. */
static void weigh(const nde_girsanov *of, const nde_site *at, int i, size_t j, const nde_real *a, const nde_real *b) {
    nde_real *slope = derivative(of, at, i, j, B), *value = block(of, at, A);
    clear(of->posterior->dim, at, value);
    add_derivative(of, at, i, j, U, V, LV, RV, value);
    if (i == DIFFUSION) add_derivative(of, at, i, j, UV, VV, L, R, value);
    for (size_t r = 0; r < of->posterior->dim*at->ld; r += at->ld)
        for (size_t k = 0; k < at->n; k++) {
            const nde_real by = b ? b[k] : 0;
            value[r + k] = by*value[r + k] + (a ? a[k]*slope[r + k] : 0);
            slope[r + k] *= by;
        }
}

static int vjp_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, const nde_real *a,
                   const nde_real *b, nde_cotangent *to_y, nde_cotangent *to_v) {
    const nde_girsanov *of = self->ctx;
    const nde_cotangent none = { 0 };
    int rc = prepare_all(of, at, y);
    if (!rc) rc = prepare_tangents(of, at, y, v);
    for (int i = 0; i < PARTS && !rc; i++) {
        const nde_site site = site_of(of, at, i);
        const nde_field *f = part(of, i);
        const nde_tangent along = tangent_of(of, at, i, v);
        nde_cotangent y_there = open_cotangent(of, at, i, to_y, A_IN),
            v_there = open_cotangent(of, at, i, to_v ? to_v : &none, B_IN);
        for (size_t j = 0; j < calls(of, i) && !rc; j++) {
            weigh(of, at, i, j, a, b);
            point(of, at, j);
            rc = f->vjp_jvp(f, &site, y, &along, block(of, at, A), block(of, at, B), &y_there, to_v ? &v_there : NULL);
        }
        close_cotangent(of, at, i, &y_there, to_y);
        if (to_v) close_cotangent(of, at, i, &v_there, to_v);
    }
    return rc;
}

static int prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    const nde_girsanov *of = self->ctx;
    int rc = 0;
    for (int i = 0; i < PARTS && !rc; i++) rc = nde_part_prepare(part(of, i), p, &prepared);
    return rc;
}

static nde_status check(const nde_girsanov *of) {
    static const char *const names[PARTS] = { "posterior", "prior", "diffusion" };
    if (!of) return nde_fail(NDE_E_ARG, "nde_field_girsanov: girsanov is NULL");
    if (of->kind < NDE_NOISE_DIAGONAL || of->kind > NDE_NOISE_GENERAL)
        return nde_fail(NDE_E_ARG, "nde_field_girsanov: kind %d is no kind of noise", (int)of->kind);
    for (int i = 0; i < PARTS; i++) {
        const nde_field *f = part(of, i);
        if (!f) return nde_fail(NDE_E_ARG, "nde_field_girsanov: %s is NULL", names[i]);
        const nde_status bad = nde_field_validate(f, "nde_field_girsanov: field");
        if (bad) return bad;
        const bool driven = i == DIFFUSION && !is_diagonal(of);
        if (f->dim != of->posterior->dim || f->out != f->dim)
            return nde_fail(NDE_E_ARG, "nde_field_girsanov: %s has dim %zu and out %zu, needed is %zu", names[i], f->dim,
                            f->out, of->posterior->dim);
        if (driven ? f->nu <= of->inputs : f->nu && f->nu != of->inputs)
            return nde_fail(NDE_E_ARG, "nde_field_girsanov: %s has nu %zu, inputs is %zu", names[i], f->nu, of->inputs);
        if (f->dim > (size_t)1 << 20 || f->nu > (size_t)1 << 20 || f->np > SIZE_MAX/64 - f->p_first ||
            f->nq > SIZE_MAX/64 - f->q_first || f->work > SIZE_MAX/64 || f->prepared > SIZE_MAX/64 ||
            (driven && f->nu - of->inputs > ((size_t)1 << 30)/f->dim))
            return nde_fail(NDE_E_SIZE, "nde_field_girsanov: a size of %s is too large", names[i]);
    }
    return NDE_OK;
}

nde_field nde_field_girsanov(const nde_girsanov *of) {
    if (check(of)) return (nde_field){ .size = sizeof(nde_field) };
    nde_field g = { .size = sizeof g, .name = "girsanov", .ctx = of, .dim = of->posterior->dim, .out = 1, .eval = eval,
                    .vjp = vjp, .jvp = jvp, .vjp_jvp = bends(of) ? vjp_jvp : NULL,
                    .traits = NDE_AUTONOMOUS | NDE_LANEWISE };
    for (int i = 0; i < PARTS; i++) {
        const nde_field *f = part(of, i);
        const double times = (double)calls(of, i);
        g.traits &= f->traits;
        if (f->work > g.work) g.work = f->work;
        if (f->np && f->p_first + f->np > g.np) g.np = f->p_first + f->np;
        if (f->nq && f->q_first + f->nq > g.nq) g.nq = f->q_first + f->nq;
        if (i != DIFFUSION || is_diagonal(of) ? f->nu : of->inputs) g.nu = of->inputs;
        g.prepared += f->prepared;
        if (!f->vjp) g.vjp = NULL;
        if (!f->jvp) g.jvp = NULL;
        g.gemm_eval += times*f->gemm_eval, g.gemm_vjp += times*(f->gemm_eval + f->gemm_vjp);
    }
    if (g.prepared) g.prepare = prepare;
    g.work += layout_of(of).at[BLOCKS];
    return g;
}
