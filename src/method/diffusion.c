/* SPDX-License-Identifier: MIT
 * diffusion.c - what noise terms are to a method beside the product with dW/h: multipliers of a stage, derivatives along a
 * slope, and the drift with which a method of the other calculus finds the same solution.
 *
 * Letters: g_j the columns of a term, dim rows; a diagonal term's j-th one is g_j e_j, of which only row j depends on y_j: its
 * derivative along its own value is that of all columns at once. */
#include "method/body.h"
#include "method/rhs.h"

#include <string.h>

#include "path/path.h"

static const nde_term *term_at(const nde_rhs *r, size_t k) { return &r->problem.terms[k]; }
static bool is_diagonal(const nde_term *term) { return term->kind == NDE_NOISE_DIAGONAL; }

static void clear(nde_real *x, size_t rows, size_t n, size_t ld) {
    for (size_t i = 0; i < rows; i++) memset(x + i*ld, 0, n*sizeof *x);
}

/* ---- multipliers ----------------------------------------------------------------------------- */

static nde_multipliers multipliers(const nde_drive *d) {
    return (nde_multipliers){ .w = d->w, .area = d->area, .root = d->root, .twice = d->twice, .thrice = d->thrice };
}

void nde_rhs_turn(nde_lanes *lanes, const nde_drive *d) {
    lanes->by = multipliers(d);
    lanes->turn = nde_any_multiplier(&lanes->by) ? NDE_TURN_NOISE : NDE_TURN_DRIFT;
}

/* Of `rows` multipliers from `first` on. */
static nde_driven driven(const nde_rhs *r, const nde_lanes *lanes, size_t first, size_t rows) {
    const size_t ld = lanes->site.ld;
    const nde_real *of = lanes->rate + first*ld, *root = lanes->rate + 3*r->rates*ld;
    return (nde_driven){ .by = lanes->by, .rows = rows, .r = of, .a = of + r->rates*ld, .root = root, .inverse = root + ld };
}

const nde_real *nde_rhs_rate(const nde_rhs *r, const nde_lanes *lanes, size_t k) {
    const nde_part *part = &r->term[k];
    const size_t ld = lanes->site.ld;
    if (!lanes->rate || lanes->turn != NDE_TURN_NOISE) return lanes->rate ? lanes->rate + part->rate*ld : NULL;
    const nde_driven d = driven(r, lanes, part->rate, part->rates);
    nde_real *to = lanes->rate + (2*r->rates + part->rate)*ld;
    r->kernels->step->drive(part->rates, lanes->site.n, ld, &d, false, NULL, false, to);
    return to;
}

void nde_rhs_times_rate(const nde_rhs *r, const nde_lanes *lanes, size_t k, const nde_real *x, bool adds, nde_real *z) {
    const nde_part *part = &r->term[k];
    const nde_step_kernels *use = r->kernels->step;
    const size_t n = lanes->site.n, ld = lanes->site.ld, rows = part->rates;
    if (lanes->turn == NDE_TURN_NOISE) {
        const nde_driven d = driven(r, lanes, part->rate, rows);
        use->drive(rows, n, ld, &d, false, x, adds, z);
    } else if (adds) {
        use->multiply_add(rows, n, ld, x, lanes->rate + part->rate*ld, z, z);
    } else {
        use->multiply(rows, n, ld, x, lanes->rate + part->rate*ld, z);
    }
}

/* Rows of a slope by their component's multipliers of this stage over sqrt(h), added to what is there or not. */
static void times_ratio(const nde_rhs *r, const nde_lanes *lanes, const nde_real *from, bool adds, nde_real *to) {
    const nde_driven d = driven(r, lanes, 0, r->rates);
    r->kernels->step->drive(r->dim, lanes->site.n, lanes->site.ld, &d, true, from, adds, to);
}

bool nde_like_sum(const nde_rhs *r, const nde_lanes *lanes, const nde_drive *drive, bool equal, const nde_real *h,
                  const nde_row *row, const nde_real *k, size_t slab, const nde_real *y, nde_real *z) {
    int index[NDE_MOST_STAGES];
    nde_multipliers by[NDE_MOST_STAGES];
    const nde_driven d = driven(r, lanes, 0, r->rates);
    const nde_row multiples = { .count = row->count, .index = index, .weight = row->weight };
    bool any = false;
    for (int j = 0; j < row->count; j++) {
        const nde_drive *of = &drive[row->index[j]];
        by[j] = of->like ? multipliers(of) : (nde_multipliers){ 0 };
        index[j] = of->like ? of->like - 1 : row->index[j];
        any = any || of->like;
    }
    if (any)
        r->kernels->step->combine_driven(equal, r->dim, lanes->site.n, lanes->site.ld, h, &multiples, by, &d, k, slab, y, z);
    return any;
}

void nde_like_eval(const nde_rhs *r, const nde_lanes *lanes, const nde_real *from, nde_real *k) {
    times_ratio(r, lanes, from, false, k);
    clear(k + r->dim*lanes->site.ld, r->nz, lanes->site.n, lanes->site.ld);
}

/* It is diagonal. */
void nde_like_vjp(const nde_rhs *r, const nde_lanes *lanes, const nde_real *a, nde_real *a_from) {
    times_ratio(r, lanes, a, true, a_from);
}

/* ---- along a direction ----------------------------------------------------------------------- */

/* What drives the field of term k in this stage. */
static nde_site drive(const nde_rhs *r, nde_lanes *lanes, size_t k, const double *t) {
    nde_site at = nde_rhs_site(r, lanes, &r->term[k], NULL, 0);
    nde_scratch *s = lanes->scratch;
    at.t = t, at.u = r->term[k].field->nu ? s->u : NULL;
    if (!is_diagonal(term_at(r, k)))
        memcpy(s->u + r->channels*at.ld, nde_rhs_rate(r, lanes, k), r->term[k].rates*at.ld*sizeof *s->u);
    return at;
}

/* The transpose of the derivative along scratch.along: adds to a_y, to scratch.a_along and to the sink. */
static int bend_transpose(const nde_rhs *r, nde_lanes *lanes, size_t k, const nde_site *at, const nde_real *y,
                          const nde_real *a, nde_real *a_y, const nde_sink *sink) {
    const nde_field *f = r->term[k].field;
    nde_scratch *s = lanes->scratch;
    const nde_tangent v = { .y = s->along };
    const bool want_u = r->channels && f->nu && (sink->x_input || sink->t);
    if (want_u) clear(s->a_u, f->nu, at->n, at->ld);
    nde_cotangent to_y = { .t = sink->t, .y = a_y, .u = want_u ? s->a_u : NULL,
                           .q = sink->q && f->nq ? sink->q + f->q_first*at->ld : NULL,
                           .p = sink->p && f->np ? sink->p + f->p_first : NULL };
    nde_cotangent to_v = { .y = s->a_along };
    const int rc = f->vjp_jvp(f, at, y, &v, NULL, a, &to_y, &to_v);
    if (!rc && want_u)
        nde_path_value_transpose(r->problem.input, r->N, at->n, at->ld, at->index, lanes->piece, at->t, s->a_u,
                                 sink->x_input, sink->t);
    return rc;
}

/* Where a direction stands: of the inputs of term k only those of the path move. */
static nde_tangent tangent_of(const nde_rhs *r, nde_lanes *lanes, size_t k, const nde_real *v_y, const nde_source *from) {
    const nde_field *f = r->term[k].field;
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    nde_real *v_u = lanes->scratch->a_u;
    if (f->nu) clear(v_u + r->channels*ld, f->nu - r->channels, n, ld);
    return (nde_tangent){ .t = from->t, .y = v_y, .u = f->nu ? v_u : NULL,
                          .q = from->q && f->nq ? from->q + f->q_first*ld : NULL,
                          .p = from->p && f->np ? from->p + f->p_first : NULL };
}

/* The tangent of the derivative along scratch.along, of which scratch.v_along is the tangent, into scratch.bent. What the
 * derivative along v has of a row's, along `along`, is that along `along` of the row's along v: cotangents of vjp_jvp. */
static int bend_tangent(const nde_rhs *r, nde_lanes *lanes, size_t k, const nde_site *at, const nde_real *y,
                        const nde_tangent *v) {
    const nde_field *f = r->term[k].field;
    nde_scratch *s = lanes->scratch;
    const size_t n = at->n, ld = at->ld;
    const nde_tangent moved = { .y = s->v_along };
    int rc = f->jvp(f, at, y, &moved, s->bent);
    clear(s->unit, r->dim, n, ld);
    for (size_t i = 0; i < r->dim && !rc; i++) {
        nde_cotangent to = { .y = s->row };
        for (size_t b = 0; b < n; b++) s->unit[i*ld + b] = 1;
        clear(s->row, r->dim, n, ld);
        rc = f->vjp_jvp(f, at, y, v, NULL, s->unit, &to, NULL);
        for (size_t j = 0; j < r->dim*ld; j += ld)
            for (size_t b = 0; b < n; b++) s->bent[i*ld + b] += s->row[j + b]*s->along[j + b];
        clear(s->unit + i*ld, 1, n, ld);
    }
    return rc;
}

static void scale(const nde_lanes *lanes, size_t dim, const nde_real *h, const nde_real *v, nde_real *to) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    for (size_t i = 0; i < dim*ld; i += ld)
        for (size_t b = 0; b < n; b++) to[i + b] = h[b]*v[i + b];
}

int nde_along_eval(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *h, const nde_real *y, const nde_real *v,
                   nde_real *k) {
    nde_scratch *s = lanes->scratch;
    const nde_tangent along = { .y = s->along };
    nde_rhs_inputs(r, lanes, t);
    clear(k, r->rows, lanes->site.n, lanes->site.ld);
    scale(lanes, r->dim, h, v, s->along);
    for (size_t j = 0; j < r->problem.n_terms; j++) {
        if (!term_at(r, j)->noise) continue;
        const nde_site at = drive(r, lanes, j, t);
        const nde_field *f = r->term[j].field;
        const int rc = f->jvp(f, &at, y, &along, s->value);
        if (rc) return rc;
        nde_rhs_add(r, lanes, j, s->value, k);
    }
    return 0;
}

int nde_along_vjp(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *h, const nde_real *y, const nde_real *v,
                  const nde_real *k, const nde_real *a, nde_real *a_y, const nde_sink *sink) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    nde_scratch *s = lanes->scratch;
    nde_rhs_inputs(r, lanes, t);
    clear(s->a_along, r->dim, n, ld);
    scale(lanes, r->dim, h, v, s->along);
    for (size_t i = 0; sink->noise && i < r->dim*ld; i += ld) /* it is linear in the multipliers */
        for (size_t b = 0; b < n; b++) sink->noise[b] -= 0.5*(double)a[i + b]*(double)k[i + b];
    for (size_t j = 0; j < r->problem.n_terms; j++) {
        if (!term_at(r, j)->noise) continue;
        const nde_site at = drive(r, lanes, j, t);
        const nde_real *from = a;
        if (is_diagonal(term_at(r, j))) clear(s->value, r->dim, n, ld), nde_rhs_add(r, lanes, j, a, s->value), from = s->value;
        const int rc = bend_transpose(r, lanes, j, &at, y, from, a_y, sink);
        if (rc) return rc;
    }
    return 0;
}

int nde_along_jvp(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *h, const nde_real *y, const nde_real *v,
                  const nde_real *k, const nde_real *v_y, const nde_real *v_v, const nde_source *from, nde_real *v_k) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    nde_scratch *s = lanes->scratch;
    nde_rhs_input_tangents(r, lanes, t, from);
    clear(v_k, r->rows, n, ld);
    scale(lanes, r->dim, h, v, s->along), scale(lanes, r->dim, h, v_v, s->v_along);
    for (size_t i = 0; i < r->dim*ld; i += ld) /* multipliers go like 1/sqrt(h) */
        for (size_t b = 0; b < n; b++) {
            s->v_along[i + b] += (nde_real)from->v_h[b]*v[i + b];
            if (from->h[b] != 0) v_k[i + b] -= (nde_real)(0.5*(double)k[i + b]*from->v_h[b]/from->h[b]);
        }
    for (size_t j = 0; j < r->problem.n_terms; j++) {
        if (!term_at(r, j)->noise) continue;
        const nde_site at = drive(r, lanes, j, t);
        const nde_tangent all = tangent_of(r, lanes, j, v_y, from);
        const int rc = bend_tangent(r, lanes, j, &at, y, &all);
        if (rc) return rc;
        nde_rhs_add(r, lanes, j, s->bent, v_k);
    }
    return 0;
}

/* ---- the other calculus ---------------------------------------------------------------------- */

/* Column j of term k into scratch.along, j < columns: all of a diagonal term's at once. */
static int column(const nde_rhs *r, nde_lanes *lanes, size_t k, const nde_site *at, size_t j, const nde_real *y) {
    const nde_field *f = r->term[k].field;
    nde_real *u = at->u ? lanes->scratch->u + r->channels*at->ld : NULL;
    if (!is_diagonal(term_at(r, k)))
        for (size_t i = 0; i < r->term[k].rates; i++)
            for (size_t b = 0; b < at->n; b++) u[i*at->ld + b] = i == j;
    return f->eval(f, at, y, lanes->scratch->along);
}

static size_t columns(const nde_rhs *r, size_t k) {
    const nde_term *term = term_at(r, k);
    return !term->noise || term->kind == NDE_NOISE_ADDITIVE ? 0 : is_diagonal(term) ? 1 : r->term[k].rates;
}

static nde_site site(const nde_rhs *r, nde_lanes *lanes, size_t k, const double *t) {
    nde_site at = nde_rhs_site(r, lanes, &r->term[k], NULL, 0);
    at.t = t, at.u = r->term[k].field->nu ? lanes->scratch->u : NULL;
    return at;
}

int nde_correction_eval(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y, nde_real *to) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    nde_scratch *s = lanes->scratch;
    const nde_tangent along = { .y = s->along };
    const nde_real part = (nde_real)r->correction;
    for (size_t k = 0; k < r->problem.n_terms; k++) {
        const nde_field *f = r->term[k].field;
        const nde_site at = site(r, lanes, k, t);
        for (size_t j = 0; j < columns(r, k); j++) {
            int rc = column(r, lanes, k, &at, j, y);
            if (!rc) rc = f->jvp(f, &at, y, &along, s->bent);
            if (rc) return rc;
            for (size_t i = 0; i < r->dim*ld; i += ld)
                for (size_t b = 0; b < n; b++) to[i + b] += part*s->bent[i + b];
        }
    }
    return 0;
}

int nde_correction_vjp(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *a, nde_real *a_y,
                       const nde_sink *sink) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    nde_scratch *s = lanes->scratch;
    const nde_real part = (nde_real)r->correction;
    for (size_t i = 0; i < r->dim*ld; i += ld)
        for (size_t b = 0; b < n; b++) s->bent[i + b] = part*a[i + b];
    for (size_t k = 0; k < r->problem.n_terms; k++) {
        const nde_site at = site(r, lanes, k, t);
        for (size_t j = 0; j < columns(r, k); j++) {
            int rc = column(r, lanes, k, &at, j, y);
            clear(s->a_along, r->dim, n, ld);
            if (!rc) rc = bend_transpose(r, lanes, k, &at, y, s->bent, a_y, sink);
            if (!rc) rc = nde_part_vjp(r, lanes, &r->term[k], t, y, s->a_along, a_y, sink);
            if (rc) return rc;
        }
    }
    return 0;
}

int nde_correction_jvp(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *v_y,
                       const nde_source *from, nde_real *v_k) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    nde_scratch *s = lanes->scratch;
    const nde_real part = (nde_real)r->correction;
    for (size_t k = 0; k < r->problem.n_terms; k++) {
        const nde_field *f = r->term[k].field;
        const nde_site at = site(r, lanes, k, t);
        for (size_t j = 0; j < columns(r, k); j++) {
            const nde_tangent all = tangent_of(r, lanes, k, v_y, from);
            int rc = column(r, lanes, k, &at, j, y);
            if (!rc) rc = f->jvp(f, &at, y, &all, s->v_along);
            if (!rc) rc = bend_tangent(r, lanes, k, &at, y, &all);
            if (rc) return rc;
            for (size_t i = 0; i < r->dim*ld; i += ld)
                for (size_t b = 0; b < n; b++) v_k[i + b] += part*s->bent[i + b];
        }
    }
    return 0;
}

/* ---- brackets -------------------------------------------------------------------------------- */

/* sum over i < j of A_ij [g_i, g_j], [g_i, g_j] = dg_j/dy g_i - dg_i/dy g_j, is sum_j dg_j/dy (sum_i A_ij g_i), since A_ji
 * = -A_ij: one derivative a column. */

/* The noise; there is one term of it. */
static size_t noise_term(const nde_rhs *r) {
    size_t k = 0;
    while (!term_at(r, k)->noise) k++;
    return k;
}

/* Inputs of the field: column j of the areas over h. */
static void put_areas(const nde_rhs *r, nde_lanes *lanes, size_t j) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    const nde_real *area = lanes->rate + r->rates*ld;
    nde_real *u = lanes->scratch->u + r->channels*ld;
    for (size_t i = 0; i < r->rates; i++) {
        const size_t more = i > j ? i : j, pair = more*(more - 1)/2 + (i > j ? j : i);
        for (size_t b = 0; b < n; b++) u[i*ld + b] = i == j ? 0 : i > j ? area[pair*ld + b] : -area[pair*ld + b];
    }
}

static void put_unit(const nde_rhs *r, nde_lanes *lanes, size_t j) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    nde_real *u = lanes->scratch->u + r->channels*ld;
    for (size_t i = 0; i < r->rates; i++)
        for (size_t b = 0; b < n; b++) u[i*ld + b] = i == j;
}

int nde_bracket_eval(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y, nde_real *to) {
    const size_t n = lanes->site.n, ld = lanes->site.ld, k = noise_term(r);
    nde_scratch *s = lanes->scratch;
    const nde_field *f = r->term[k].field;
    const nde_tangent along = { .y = s->along };
    const nde_site at = site(r, lanes, k, t);
    for (size_t j = 0; j < r->rates; j++) {
        put_areas(r, lanes, j);
        int rc = f->eval(f, &at, y, s->along);
        put_unit(r, lanes, j);
        if (!rc) rc = f->jvp(f, &at, y, &along, s->bent);
        if (rc) return rc;
        for (size_t i = 0; i < r->dim*ld; i += ld)
            for (size_t b = 0; b < n; b++) to[i + b] += s->bent[i + b];
    }
    return 0;
}

/* Areas over h do not depend on h. */
int nde_bracket_vjp(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *a, nde_real *a_y,
                    const nde_sink *sink) {
    const size_t n = lanes->site.n, ld = lanes->site.ld, k = noise_term(r);
    nde_scratch *s = lanes->scratch;
    const nde_field *f = r->term[k].field;
    const nde_site at = site(r, lanes, k, t);
    for (size_t j = 0; j < r->rates; j++) {
        put_areas(r, lanes, j);
        int rc = f->eval(f, &at, y, s->along);
        put_unit(r, lanes, j);
        clear(s->a_along, r->dim, n, ld);
        if (!rc) rc = bend_transpose(r, lanes, k, &at, y, a, a_y, sink);
        put_areas(r, lanes, j);
        if (!rc) rc = nde_part_vjp(r, lanes, &r->term[k], t, y, s->a_along, a_y, sink);
        if (rc) return rc;
    }
    return 0;
}

int nde_bracket_jvp(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *v_y,
                    const nde_source *from, nde_real *v_k) {
    const size_t n = lanes->site.n, ld = lanes->site.ld, k = noise_term(r);
    nde_scratch *s = lanes->scratch;
    const nde_field *f = r->term[k].field;
    const nde_site at = site(r, lanes, k, t);
    const nde_tangent all = tangent_of(r, lanes, k, v_y, from);
    for (size_t j = 0; j < r->rates; j++) {
        put_areas(r, lanes, j);
        int rc = f->eval(f, &at, y, s->along);
        if (!rc) rc = f->jvp(f, &at, y, &all, s->v_along);
        put_unit(r, lanes, j);
        if (!rc) rc = bend_tangent(r, lanes, k, &at, y, &all);
        if (rc) return rc;
        for (size_t i = 0; i < r->dim*ld; i += ld)
            for (size_t b = 0; b < n; b++) v_k[i + b] += s->bent[i + b];
    }
    return 0;
}
