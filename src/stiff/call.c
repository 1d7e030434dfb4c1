/* SPDX-License-Identifier: MIT
 * call.c - fields as SUNDIALS sees them: values that are not finite, and lanes that want a smaller step, become its return
 * codes. SUNDIALS itself does not look at values: a NaN would make it creep. */
#include "stiff/sun.h"

#include <math.h>

enum { MOST_RETRIES = 200 }; /* between two accepted steps */

/* 0, 1 or -1. */
static int report(nde_sun_worker *w, int kind, int code) {
    nde_sun_trouble *trouble = &w->trouble;
    if (w->pool.failed) kind = NDE_SUN_NO_MEMORY;
    if (kind == NDE_SUN_FINE) return 0;
    trouble->kind = kind, trouble->code = code, trouble->times++;
    trouble->final = trouble->final || kind >= NDE_SUN_FAILED || trouble->times > MOST_RETRIES;
    return trouble->final ? -1 : 1;
}

int nde_sun_verdict(nde_sun_worker *w, int rc, const unsigned char *mark, size_t lanes, const double *x, size_t rows,
                    size_t ld) {
    if (rc) return report(w, rc == NDE_FIELD_STOP ? NDE_SUN_STOPPED : rc < 0 ? NDE_SUN_FAILED : NDE_SUN_RETRY, rc);
    for (size_t b = 0; b < lanes; b++)
        if (mark[b] != NDE_LANE_OK) return report(w, mark[b] == NDE_LANE_STOP ? NDE_SUN_STOPPED : NDE_SUN_RETRY, 0);
    for (size_t i = 0; i < rows; i++)
        for (size_t b = 0; b < lanes; b++)
            if (!isfinite(x[i*ld + b])) return w->trouble.worst = i, report(w, NDE_SUN_NONFINITE, 0);
    return report(w, NDE_SUN_FINE, 0);
}

/* The time for fields: before a clip, the right-hand side is that just before it. */
static double time_of(const nde_sun_worker *w, double t) { return w->direction*(t - w->limit) > 0 ? w->limit : t; }

/* The lane, ready for a call. */
static nde_sun_lanes *lane_at(nde_sun_worker *w, double t) {
    nde_sun_lanes *at = &w->one;
    at->t[0] = time_of(w, t);
    at->mark[0] = NDE_LANE_OK;
    w->calls++;
    return at;
}

int nde_sun_eval(nde_sun_worker *w, const nde_part *part, double t, const double *y, double *out, size_t rows) {
    nde_sun_lanes *at = lane_at(w, t);
    const int rc = nde_part_eval(&w->solver->rhs, &at->lanes, part, at->t, y, out);
    return nde_sun_verdict(w, rc, at->mark, 1, out, rows, 1);
}

int nde_sun_product(nde_sun_worker *w, double t, const double *y, const double *v, double *out) {
    nde_sun_lanes *at = lane_at(w, t);
    const nde_rhs *r = &w->solver->rhs;
    const nde_source still = { 0 };
    w->products++;
    const int rc = nde_part_jvp(r, &at->lanes, &r->drift, at->t, y, v, &still, out);
    w->trouble.final = nde_sun_verdict(w, rc, at->mark, 1, out, r->dim, 1) != 0; /* to 7.5 at least IDAS does not look */
    return w->trouble.final ? -1 : 0;
}

int nde_sun_transpose(nde_sun_worker *w, double t, const double *y, const double *a, const double *a_z, double *a_y, double *p,
                      double *q) {
    nde_sun_lanes *at = lane_at(w, t);
    const nde_rhs *r = &w->solver->rhs;
    const nde_sink sink = { .p = p, .q = q };
    int rc = nde_part_vjp(r, &at->lanes, &r->drift, at->t, y, a, a_y, &sink);
    if (!rc && r->nz && a_z) rc = nde_part_vjp(r, &at->lanes, &r->quadrature, at->t, y, a_z, a_y, &sink);
    return nde_sun_verdict(w, rc, at->mark, 1, a_y, r->dim, 1);
}

void nde_sun_lanes_enter(const nde_sun_worker *w, nde_sun_lanes *at, size_t who, size_t jumps) {
    const nde_problem *problem = &w->solver->rhs.problem;
    for (size_t b = 0; b < at->n; b++) at->index[b] = who, at->interval[b] = jumps;
    for (size_t i = 0; i < problem->nq; i++)
        for (size_t b = 0; b < at->n; b++) at->q[i*at->ld + b] = problem->q[i*problem->n + who];
}
