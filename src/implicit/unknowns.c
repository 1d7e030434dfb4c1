/* SPDX-License-Identifier: MIT
 * unknowns.c - a point of every lane, its residual, and what becomes of the lanes. */
#include "implicit/layer.h"

#include <math.h>
#include <string.h>

/* The norm of lane b: root mean square relative to the tolerances. */
static double measure(const nde_unknowns *x, const nde_real *y, const nde_real *residual, size_t b) {
    double sum = 0;
    for (size_t i = b; i < x->dim*x->ld; i += x->ld) {
        const double e = (double)residual[i]/(x->how.atol + x->how.rtol*fabs((double)y[i]));
        sum += residual[i] == 0 ? 0 : e*e; /* of a tolerance 0, 0 is within */
    }
    return sqrt(sum/(double)x->dim);
}

void nde_unknowns_show(nde_unknowns *x, const nde_real *mask) {
    x->site.flags &= ~(unsigned)NDE_HAS_IDLE;
    for (size_t b = 0; b < x->n; b++) {
        x->lane[b] = mask[b] > 0 ? NDE_LANE_OK : NDE_LANE_IDLE;
        if (!(mask[b] > 0)) x->site.flags |= NDE_HAS_IDLE;
    }
}

int nde_unknowns_evaluate(nde_unknowns *x, const nde_real *y, const nde_real *mask, nde_real *residual, nde_real *norm) {
    const nde_field *f = x->field;
    nde_unknowns_show(x, mask);
    x->evaluations++;
    const int rc = f->eval(f, &x->site, y, residual);
    if (rc) return rc;
    for (size_t i = 0; i < x->dim*x->ld && !x->how.root; i += x->ld) NDE_LANES(b, x->n) residual[i + b] -= y[i + b];
    for (size_t b = 0; b < x->n; b++) {
        if (!(mask[b] > 0)) continue;
        const double size = x->lane[b] == NDE_LANE_OK ? measure(x, y, residual, b) : (double)NAN;
        norm[b] = isfinite((nde_real)size) ? (nde_real)size : (nde_real)NAN;
    }
    return 0;
}

void nde_unknowns_end(nde_unknowns *x, size_t b, unsigned char fate) { x->live[b] = 0, x->fate[b] = fate; }

bool nde_unknowns_any(const nde_unknowns *x) {
    for (size_t b = 0; b < x->n; b++)
        if (x->live[b] > 0) return true;
    return false;
}

/* Why there is no residual. */
static unsigned char cause(const nde_unknowns *x, size_t b) {
    return x->lane[b] == NDE_LANE_OK ? NDE_NOT_FINITE : x->lane[b] == NDE_LANE_STOP ? NDE_STOPS : NDE_FIELD_FAILED;
}

static void judge(nde_unknowns *x, size_t b) {
    if (x->norm[b] <= 1) nde_unknowns_end(x, b, NDE_CONVERGED);
    else if (x->steps[b] >= (nde_real)x->how.max_iterations) nde_unknowns_end(x, b, NDE_TOO_SLOW);
}

int nde_unknowns_begin(nde_unknowns *x, const unsigned char *lane) {
    for (size_t b = 0; b < x->n; b++) {
        const bool idle = lane && lane[b] == NDE_LANE_IDLE;
        x->steps[b] = 0, x->norm[b] = (nde_real)NAN, x->live[b] = idle ? 0 : 1, x->fate[b] = idle ? NDE_CONVERGED : NDE_LIVES;
    }
    const int rc = nde_unknowns_evaluate(x, x->y, x->live, x->residual, x->norm);
    for (size_t b = 0; b < x->n && !rc; b++) {
        if (!(x->live[b] > 0)) continue;
        if (!(x->norm[b] >= 0)) nde_unknowns_end(x, b, cause(x, b));
        else judge(x, b);
    }
    return rc;
}

void nde_unknowns_place(nde_unknowns *x, const nde_real *weight) {
    for (size_t i = 0; i < x->dim*x->ld; i += x->ld)
        NDE_LANES(b, x->n) {
            const nde_real moved = x->y[i + b] + weight[b]*x->direction[i + b];
            x->trial[i + b] = weight[b] > 0 ? moved : x->y[i + b];
        }
}

void nde_unknowns_take(nde_unknowns *x, const nde_real *mask) {
    for (size_t i = 0; i < x->dim*x->ld; i += x->ld)
        NDE_LANES(b, x->n) {
            x->y[i + b] = mask[b] > 0 ? x->trial[i + b] : x->y[i + b];
            x->residual[i + b] = mask[b] > 0 ? x->trial_residual[i + b] : x->residual[i + b];
        }
    for (size_t b = 0; b < x->n; b++) {
        if (!(mask[b] > 0)) continue;
        x->norm[b] = x->trial_norm[b], x->steps[b]++;
        judge(x, b);
    }
}

void nde_unknowns_commit(nde_unknowns *x) {
    for (size_t b = 0; b < x->n; b++) {
        if (!(x->live[b] > 0)) continue;
        if (!(x->trial_norm[b] >= 0)) nde_unknowns_end(x, b, cause(x, b));
    }
    memcpy(x->weight, x->live, x->n*sizeof *x->weight); /* which changes where a lane has converged */
    nde_unknowns_take(x, x->weight);
}

void nde_unknowns_refuse(nde_unknowns *x, const nde_real *direction, unsigned char fate) {
    nde_lane_dots(x->dim, x->n, x->ld, direction, direction, x->weight);
    for (size_t b = 0; b < x->n; b++)
        if (x->live[b] > 0 && !isfinite(x->weight[b])) nde_unknowns_end(x, b, fate);
}
