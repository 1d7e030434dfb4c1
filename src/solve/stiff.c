/* SPDX-License-Identifier: MIT
 * stiff.c - does stability bound the steps, instead of accuracy? h times the norm of the Jacobian is then about as large as the
 * method is stable on the negative real axis, at step after step. Slopes tell, without an evaluation.
 *
 * Source: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), IV.2 (2.10). */
#include "solve/solver.h"

#include <math.h>

enum { HIT = 2, ENOUGH = 10*HIT }; /* of the score */

/* Squares of the norms of a difference of slopes, and of the states where they were taken. */
typedef struct ratio {
    double rise, run;
} ratio;

/* Component i of row times the slopes in lane b. */
static double component(const nde_panel *p, size_t b, size_t i, const nde_row *row) {
    const nde_real *k = p->k + i*p->ld + b;
    double sum = 0;
    for (int j = 0; j < row->count; j++) sum += (double)row->weight[j]*(double)k[(size_t)row->index[j]*p->slab];
    return sum;
}

/* Norms are relative to the tolerances: what is stiff may be small. */
static ratio probe(const nde_solver *s, const nde_panel *p, size_t b) {
    const nde_row *rows = s->table.probe;
    ratio of = { 0 };
    for (size_t i = 0; i < s->rhs.dim; i++) {
        const double scale = 1/nde_tolerance_of(s, p->trajectory[b], i, fabs((double)p->y[i*p->ld + b]));
        const double x = component(p, b, i, &rows[0])*scale, y = component(p, b, i, &rows[1])*scale;
        of.rise += x*x, of.run += y*y;
    }
    return of;
}

/* A step that is stable by a fifth or more is no hit: the largest eigenvalue is smaller than the norm, but steps of a
 * smooth solution are far below this at any tolerance, and wait for no root. */
static bool hits(const nde_solver *s, const nde_panel *p, size_t b, double *jacobian) {
    const double limit = 0.8*s->table.stable;
    const ratio of = probe(s, p, b);
    if (of.rise < 0.9*limit*limit*of.run) return false;
    *jacobian = sqrt(of.rise/of.run)/fabs(p->dt[b]);
    return isfinite(*jacobian) && *jacobian*fabs(p->dt[b]) >= limit;
}

static bool looks_stiff(const nde_stiffness *of) { return of->score >= ENOUGH; }

void nde_stiff_look(const nde_solver *s, nde_panel *p, const size_t *lane, size_t m) {
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j];
        nde_stiffness *of = &p->stiff[b];
        if (!p->accept[b] || !nde_clock_looks(s->clock.look, p->accepted[b] + 1)) continue;
        double jacobian;
        if (hits(s, p, b, &jacobian)) {
            if (of->score <= 0) *of = (nde_stiffness){ .since = p->t[b] };
            if (!looks_stiff(of)) of->score += HIT;
            of->jacobian = jacobian;
        } else if (!looks_stiff(of) && of->score > 0) {
            of->score--;
        }
    }
}

void nde_stiff_report(const nde_panel *p, size_t b, nde_stats *stats) {
    if (!looks_stiff(&p->stiff[b])) return;
    stats->stiff_t = p->stiff[b].since, stats->stiff = p->stiff[b].jacobian;
}
