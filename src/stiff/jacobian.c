/* SPDX-License-Identifier: MIT
 * jacobian.c - the matrix dF/dy of the drift, exact where it can be: by the field's own, by directions beside each other in
 * lanes (as many as the sparsity needs), or by rows of the transpose. */
#include "stiff/sun.h"

#include <float.h>
#include <math.h>
#include <string.h>

typedef struct target {
    nde_sun_worker *w;
    double factor;
    bool transposed;
    const nde_sun_matrix *to;
} target;

static void add(const target *g, size_t i, size_t j, double value) {
    *(g->transposed ? nde_sun_at(g->to, j, i) : nde_sun_at(g->to, i, j)) += g->factor*value;
}

/* Rows of column j that the matrix has room for. */
static size_t first_row(const nde_stiff_solver *s, size_t j) { return j > s->upper ? j - s->upper : 0; }
static size_t last_row(const nde_stiff_solver *s, size_t j) {
    return j + s->lower < s->rhs.dim ? j + s->lower : s->rhs.dim - 1;
}

static void add_column(const target *g, size_t j, const double *value, size_t ld) {
    const nde_stiff_solver *s = g->w->solver;
    if (s->column_start)
        for (size_t e = s->column_start[j]; e < s->column_start[j + 1]; e++) add(g, s->column_row[e], j,
                                                                                 value[s->column_row[e]*ld]);
    else
        for (size_t i = first_row(s, j); i <= last_row(s, j); i++) add(g, i, j, value[i*ld]);
}

/* m lanes of the wide ones at (t, y). */
static nde_sun_lanes *spread(nde_sun_worker *w, size_t m, double t, const double *y) {
    nde_sun_lanes *at = &w->wide;
    at->lanes.site.n = m;
    for (size_t b = 0; b < m; b++) at->t[b] = t, at->mark[b] = NDE_LANE_OK;
    for (size_t i = 0; i < w->solver->rhs.dim; i++)
        for (size_t b = 0; b < m; b++) at->y[i*at->ld + b] = y[i];
    w->calls++;
    return at;
}

/* The field's own: [dim][dim] by rows. There is one lane then. */
static int by_matrix(const target *g, double t, const double *y) {
    nde_sun_worker *w = g->w;
    const nde_rhs *r = &w->solver->rhs;
    const nde_field *f = r->drift.field;
    nde_sun_lanes *at = spread(w, 1, t, y);
    if (f->nu) nde_rhs_inputs(r, &at->lanes, at->t);
    nde_site site = nde_rhs_site(r, &at->lanes, &r->drift, NULL, 0);
    site.t = at->t, site.u = f->nu ? at->scratch.u : NULL;
    double *j = at->k;
    const int rc = f->jacobian(f, &site, y, j);
    const int verdict = nde_sun_verdict(w, rc, at->mark, 1, j, r->dim*r->dim, 1);
    for (size_t c = 0; !verdict && c < r->dim; c++) add_column(g, c, j + c, r->dim);
    return verdict;
}

/* One colour a lane. */
static int by_directions(const target *g, double t, const double *y) {
    nde_sun_worker *w = g->w;
    const nde_stiff_solver *s = w->solver;
    const nde_rhs *r = &s->rhs;
    const nde_source still = { 0 };
    for (size_t first = 0; first < s->colours; first += w->wide.n) {
        const size_t m = s->colours - first < w->wide.n ? s->colours - first : w->wide.n;
        nde_sun_lanes *at = spread(w, m, t, y);
        for (size_t j = 0; j < r->dim; j++)
            for (size_t b = 0; b < m; b++) at->v[j*at->ld + b] = s->colour[j] == first + b;
        const int rc = nde_part_jvp(r, &at->lanes, &r->drift, at->t, at->y, at->v, &still, at->k);
        const int verdict = nde_sun_verdict(w, rc, at->mark, m, at->k, r->dim, at->ld);
        if (verdict) return verdict;
        for (size_t j = 0; j < r->dim; j++)
            if (s->colour[j] - first < m) add_column(g, j, at->k + (s->colour[j] - first), at->ld);
    }
    return 0;
}

/* One row a lane. */
static int by_transposes(const target *g, double t, const double *y) {
    nde_sun_worker *w = g->w;
    const nde_stiff_solver *s = w->solver;
    const nde_rhs *r = &s->rhs;
    const nde_sink none = { 0 };
    for (size_t first = 0; first < r->dim; first += w->wide.n) {
        const size_t m = r->dim - first < w->wide.n ? r->dim - first : w->wide.n;
        nde_sun_lanes *at = spread(w, m, t, y);
        memset(at->v, 0, r->dim*at->ld*sizeof *at->v);
        memset(at->k, 0, r->dim*at->ld*sizeof *at->k);
        for (size_t b = 0; b < m; b++) at->v[(first + b)*at->ld + b] = 1;
        const int rc = nde_part_vjp(r, &at->lanes, &r->drift, at->t, at->y, at->v, at->k, &none);
        const int verdict = nde_sun_verdict(w, rc, at->mark, m, at->k, r->dim, at->ld);
        if (verdict) return verdict;
        for (size_t b = 0; b < m; b++) {
            const size_t i = first + b;
            for (size_t j = i > s->lower ? i - s->lower : 0; j < r->dim && j <= i + s->upper; j++) add(g, i, j,
                at->k[j*at->ld + b]);
        }
    }
    return 0;
}

/* Of a component: large beside rounding, small beside what the tolerance sees. */
static double increment(const nde_stiff_solver *s, size_t j, double y) {
    const double natural = s->rtol > 0 ? s->atol[j]/s->rtol : 1, size = fmax(fabs(y), natural);
    const double h = sqrt(DBL_EPSILON)*(size > 0 ? size : 1);
    return y < 0 ? -h : h;
}

static int by_differences(const target *g, double t, const double *y) {
    nde_sun_worker *w = g->w;
    const nde_stiff_solver *s = w->solver;
    const nde_rhs *r = &s->rhs;
    double *base = w->one.v;
    int verdict = nde_sun_eval(w, &r->drift, t, y, base, r->dim);
    for (size_t first = 0; !verdict && first < s->colours; first += w->wide.n) {
        const size_t m = s->colours - first < w->wide.n ? s->colours - first : w->wide.n;
        nde_sun_lanes *at = spread(w, m, t, y);
        for (size_t j = 0; j < r->dim; j++)
            if (s->colour[j] - first < m) at->y[j*at->ld + s->colour[j] - first] += increment(s, j, y[j]);
        const int rc = nde_part_eval(r, &at->lanes, &r->drift, at->t, at->y, at->k);
        w->evals += (int64_t)m;
        verdict = nde_sun_verdict(w, rc, at->mark, m, at->k, r->dim, at->ld);
        for (size_t j = 0; !verdict && j < r->dim; j++) {
            const size_t b = s->colour[j] - first;
            if (b >= m) continue;
            const double h = at->y[j*at->ld + b] - y[j];
            for (size_t i = 0; i < r->dim; i++) at->v[i*at->ld + b] = (at->k[i*at->ld + b] - base[i])/h;
            add_column(g, j, at->v + b, at->ld);
        }
    }
    return verdict;
}

int nde_sun_jacobian(nde_sun_worker *w, double t, const double *y, double factor, bool transposed, const nde_sun_matrix *to) {
    const nde_stiff_solver *s = w->solver;
    const nde_field *f = s->rhs.drift.field;
    const target g = { w, factor, transposed, to };
    const double at = w->direction*(t - w->limit) > 0 ? w->limit : t;
    w->jacobians++;
    return s->differences ? by_differences(&g, at, y)
           : s->whole           ? by_matrix(&g, at, y)
           : f->jvp             ? by_directions(&g, at, y)
                                : by_transposes(&g, at, y);
}
