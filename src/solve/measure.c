/* SPDX-License-Identifier: MIT
 * measure.c - how long errors are: tolerances, weights and norms other than the usual ones of an attempt, and all norms of a
 * first step. Domains: what a step may not leave. */
#include "solve/solver.h"

#include <float.h>
#include <math.h>
#include <string.h>

double nde_tolerance_of(const nde_solver *s, size_t who, size_t i, double size) {
    const nde_tolerance *t = &s->tolerance;
    const double atol = s->atol_n ? s->atol_n[who] : t->atol_each ? t->atol_each[i] : t->atol;
    return atol + (s->rtol_n ? s->rtol_n[who] : t->rtol)*size;
}

/* ---- an attempt -------------------------------------------------------------------------------------------------- */

/* Rows with an estimate of their own. */
typedef struct part {
    size_t from, rows;
    const nde_row *row;
} part;

static int parts_of(const nde_solver *s, const nde_row *row, part *parts) {
    const size_t dim = s->rhs.dim, split = s->table.split;
    parts[0] = (part){ 0, dim, row };
    if (row != &s->table.error || !s->table.velocity_error.count) return 1;
    parts[0].rows = split, parts[1] = (part){ split, dim - split, &s->table.velocity_error };
    return 2;
}

/* The caller's norm of an error estimate, squared, added to sum. */
static int own_norms(const nde_solver *s, nde_panel *p, const part *parts, int count, double *sum) {
    const size_t n = p->live->n;
    memset(p->estimate, 0, s->rhs.dim*p->ld*sizeof *p->estimate);
    for (int i = 0; i < count; i++) {
        const size_t at = parts[i].from*p->ld;
        s->rhs.kernels->step->combine(parts[i].rows, n, p->ld, p->h_real, parts[i].row, p->k + at, p->slab, p->estimate + at,
                                      p->estimate + at);
    }
    for (size_t b = 0; b < n; b++) p->norm[b] = (double)NAN; /* a norm that writes nothing is seen */
    const int rc = s->norm.of(s->norm.ctx, n, p->ld, p->trajectory, p->estimate, p->y, p->z, p->norm);
    for (size_t b = 0; !rc && b < n; b++) sum[b] += p->norm[b]*p->norm[b];
    return rc;
}

int nde_measure(const nde_solver *s, nde_panel *p, const nde_row *row, double *sum) {
    const size_t n = p->live->n;
    const nde_step_kernels *use = s->rhs.kernels->step;
    part parts[2];
    const int count = parts_of(s, row, parts);
    if (s->norm.of) {
        use->finite(s->rhs.dim, n, p->ld, p->z, sum);
        return own_norms(s, p, parts, count, sum);
    }
    for (int i = 0; i < count; i++) {
        const size_t from = parts[i].from, at = from*p->ld;
        const nde_measurement how = { .rtol = p->rtol, .atol = p->atol, .weight = s->weight ? s->weight + from : NULL,
                                      .largest = s->largest };
        nde_tolerance tolerance = s->tolerance;
        if (tolerance.atol_each) tolerance.atol_each += from;
        use->measure(parts[i].rows, n, p->ld, p->h_real, parts[i].row, p->k + at, p->slab, p->y + at, p->z + at, &tolerance,
                     &how, i ? p->error2 : sum);
        for (size_t b = 0; i && b < n; b++) sum[b] = nde_add_square(s, sum[b], p->error2[b]);
    }
    return 0;
}

/* ---- a first step ------------------------------------------------------------------------------------------------ */

/* Of lane j of the group: sum of squares, or the largest. */
static double scaled_square(const nde_solver *s, const nde_group *g, size_t j, const nde_real *x, const nde_real *minus) {
    double sum = 0;
    const size_t ld = g->lanes.site.ld;
    for (size_t i = 0; i < s->rhs.dim; i++) {
        const double scale = nde_tolerance_of(s, g->trajectory[j], i, fabs((double)g->y[i*ld + j]));
        double v = ((double)x[i*ld + j] - (minus ? (double)minus[i*ld + j] : 0))/scale;
        if (s->weight) v = s->weight[i] != 0 ? v*s->weight[i] : 0;
        if (scale > DBL_MIN) sum = nde_add_square(s, sum, v*v);
    }
    return sum;
}

void nde_measure_group(const nde_solver *s, nde_group *g, const nde_real *x, const nde_real *minus, double *square) {
    const size_t m = g->lanes.site.n, ld = g->lanes.site.ld;
    if (!s->norm.of) {
        for (size_t j = 0; j < m; j++) square[j] = scaled_square(s, g, j, x, minus);
        return;
    }
    if (minus) {
        for (size_t i = 0; i < s->rhs.dim*ld; i++) g->z[i] = x[i] - minus[i];
        x = g->z;
    }
    for (size_t j = 0; j < m; j++) square[j] = (double)NAN;
    const int rc = s->norm.of(s->norm.ctx, m, ld, g->trajectory, x, g->y, g->y, square);
    for (size_t j = 0; j < m; j++) square[j] = rc ? (double)NAN : square[j]*square[j];
}

/* ---- domains ----------------------------------------------------------------------------------------------------- */

size_t nde_negative_component(const nde_solver *s, const nde_real *y, size_t ld) {
    for (size_t j = 0; j < s->domain.n_positive; j++)
        if (!(y[s->domain.positive[j]*ld] >= 0)) return s->domain.positive[j];
    return s->rhs.dim;
}

bool nde_is_outside(const nde_solver *s, const nde_panel *p, size_t who, double t, const nde_real *y, size_t ld) {
    if (nde_negative_component(s, y, ld) < s->rhs.dim) return true;
    if (!s->domain.inside) return false;
    for (size_t i = 0; i < s->rhs.dim; i++) p->point[i] = y[i*ld];
    return !s->domain.inside(s->domain.ctx, who, t, p->point);
}

void nde_guard(const nde_solver *s, nde_panel *p) {
    for (size_t b = 0; b < p->live->n; b++)
        if (!isnan(p->error[b]) && nde_is_outside(s, p, p->trajectory[b], p->t_new[b], p->z + b, p->ld))
            p->error[b] = (double)NAN, p->mark[b] = NDE_LANE_OUTSIDE;
}
