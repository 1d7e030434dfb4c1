/* SPDX-License-Identifier: MIT
 * anchors.c - how far can steps be undone before rounding shows? Each step that is undone adds one, and what is there grows:
 * by what the method does (nde_undo_growth), and since neighbours that came closer part again, fastest along the direction in
 * which they came closest. That is followed from look to look by v = v - Jv/(2 |Jv|), a power iteration for the leftmost
 * eigenvalue of J, with differences for Jv. Where it turns from look to look, the prediction is too large.
 * Source: G. Golub, C. Van Loan, Matrix Computations (2013), 7.3 (power iterations). */
#include "solve/solver.h"

#include <float.h>
#include <math.h>

enum { MOST_UNSEEN = 64 }; /* steps between two looks */

double nde_undo_growth(const nde_solver *s) {
    const nde_table *t = &s->table;
    return t->method->kind == NDE_KIND_COUPLED ? 1/s->options.coupling : 1/(2*t->damping - 1);
}

static bool is_exact(const nde_solver *s) { return s->table.quantum > 0; }

/* The largest m with 1 + g^2 + ... + g^(2 m - 2) <= limit^2. */
size_t nde_anchors_apart(const nde_solver *s) {
    const double g = nde_undo_growth(s), square = s->options.anchor_limit*s->options.anchor_limit;
    const double m = floor(g > 1 ? log1p(square*(g*g - 1))/(2*log(g)) : square);
    return is_exact(s) || !(m < 1e15) ? SIZE_MAX : m > 1 ? (size_t)m : 1;
}

void nde_anchors_begin(const nde_solver *s, nde_panel *p) {
    p->growth = (nde_growth){ .size = (double)INFINITY };
    for (size_t i = 0; p->along && i < s->rhs.dim; i++) /* any direction: looks will find the way */
        for (size_t b = 0; b < p->capacity; b++) p->along[i*p->ld + b] = (nde_real)cos(1 + (double)i);
}

static double norm(size_t dim, const nde_real *x, size_t ld) {
    double sum = 0;
    for (size_t i = 0; i < dim; i++) sum += (double)x[i*ld]*(double)x[i*ld];
    return sqrt(sum);
}

/* The next direction of a lane, from J times it; true when its rate and size are new. */
static bool follow(const nde_solver *s, nde_real *along, size_t ld, const nde_real *product, size_t stride, double *rate,
                   double *size) {
    const size_t dim = s->rhs.dim;
    double sum = 0, dot = 0;
    *size = norm(dim, product, stride);
    if (!isfinite(*size)) return false;
    for (size_t i = 0; i < dim; i++) dot += (double)along[i*ld]*(double)product[i*stride];
    *rate = -s->direction*dot;
    for (size_t i = 0; i < dim && *size > 0; i++) {
        const double x = (double)along[i*ld] - 0.5*s->direction*(double)product[i*stride]/ *size;
        along[i*ld] = (nde_real)x, sum += x*x;
    }
    for (size_t i = 0; i < dim && sum > 0; i++) along[i*ld] = (nde_real)((double)along[i*ld]/sqrt(sum));
    return true;
}

/* Slopes at the states of accepted lanes and beside them; their difference becomes J v, in the group's k. */
static int differ(const nde_solver *s, const nde_panel *p, nde_worker *w, const size_t *lane, size_t m) {
    nde_group *g = &w->group;
    nde_group_gather(s, p, w, lane, m);
    const size_t ld = g->lanes.site.ld, dim = s->rhs.dim;
    const double step = sqrt(sizeof(nde_real) == sizeof(double) ? DBL_EPSILON : (double)FLT_EPSILON);
    nde_real *beside = g->k + s->rhs.rows*ld;
    for (size_t j = 0; j < m; j++) {
        const double length = norm(dim, g->y + j, ld);
        g->square[0][j] = length > 0 ? step*length : step;
        for (size_t i = 0; i < dim; i++)
            g->z[i*ld + j] = g->y[i*ld + j] + (nde_real)(g->square[0][j]*(double)p->along[i*p->ld + lane[j]]);
    }
    if (s->rhs.paths) nde_rhs_begin(&s->rhs, &g->lanes, g->t, g->dt, g->node);
    int rc = nde_rhs_eval(&s->rhs, &g->lanes, g->t, g->y, g->k, NULL, 0);
    if (!rc) rc = nde_rhs_eval(&s->rhs, &g->lanes, g->t, g->z, beside, NULL, 0);
    for (size_t i = 0; i < dim; i++)
        for (size_t j = 0; j < m; j++) g->k[i*ld + j] = (nde_real)((double)(beside[i*ld + j] - g->k[i*ld + j])/g->square[0][j]);
    return rc;
}

static void look(const nde_solver *s, nde_panel *p, nde_worker *w) {
    nde_growth *of = &p->growth;
    const nde_group *g = &w->group;
    size_t m = 0, *lane = w->list3;
    double rate, size, most = -(double)INFINITY, largest = 0;
    for (size_t b = 0; b < p->live->n; b++)
        if (p->accept[b]) lane[m++] = b, p->evals[b] += 2;
    of->since = 0, of->steps = 0;
    if (differ(s, p, w, lane, m)) return; /* what is known stays */
    for (size_t j = 0; j < m; j++) {
        if (g->mark[j] != NDE_LANE_OK) continue;
        if (!follow(s, p->along + lane[j], p->ld, g->k + j, g->lanes.site.ld, &rate, &size)) continue;
        most = fmax(most, rate), largest = fmax(largest, size);
    }
    if (isfinite(most)) of->rate = most, of->size = largest;
}

void nde_anchors_step(const nde_solver *s, nde_panel *p, nde_worker *w) {
    nde_growth *of = &p->growth;
    double longest = 0;
    if (is_exact(s) || !isfinite(s->options.anchor_limit)) return;
    for (size_t b = 0; b < p->live->n; b++)
        if (p->accept[b]) longest = fmax(longest, fabs(p->dt[b]));
    if (of->steps >= MOST_UNSEEN || !(of->since*of->size < 0.25)) look(s, p, w);
    of->since += longest, of->steps++;
    const double growth = nde_undo_growth(s)*exp(of->rate*longest), square = growth*growth, limit = s->options.anchor_limit;
    of->square = 1 + (p->slot.y ? 0 : square*of->square);
    p->record.anchor = 1 + square*of->square > limit*limit; /* the next step will be much like this one */
}
