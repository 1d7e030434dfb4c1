/* SPDX-License-Identifier: MIT
 * linear.c - the piecewise linear path: values, slopes, their transposes and tangents.
 *
 * In the piece between the knots t0 < t1: u = (1 - w) x0 + w x1 with w = (t - t0)/(t1 - t0), which
 * is exact at both knots, and du = r (x1 - x0) with r = 1/(t1 - t0). Outside of the knots the path
 * is constant. */
#include "path/path.h"

#include <math.h>

nde_status nde_path_validate(const nde_path *path, const char *who) {
    if (!path) return nde_fail(NDE_E_ARG, "%s is NULL", who);
    nde_path known;
    if (!nde_read_sized(&known, sizeof known, path, sizeof known))
        return nde_fail(NDE_E_ARG, "%s: size is %zu, which is not a layout that this library knows",
                        who, path->size);
    if (path->kind != NDE_PATH_LINEAR)
        return nde_fail(NDE_E_ARG, "%s: kind is %d: no such path", who, (int)path->kind);
    if (!path->channels) return nde_fail(NDE_E_ARG, "%s: channels is 0", who);
    if (path->knots < 2)
        return nde_fail(NDE_E_ARG, "%s: knots is %zu: at least 2 are needed", who, path->knots);
    if (path->knots > (size_t)PTRDIFF_MAX/sizeof(double))
        return nde_fail(NDE_E_SIZE, "%s: knots is %zu", who, path->knots);
    if (!path->t) return nde_fail(NDE_E_ARG, "%s: t is NULL", who);
    if (!path->x) return nde_fail(NDE_E_ARG, "%s: x is NULL", who);
    for (size_t k = 0; k < path->knots; k++)
        if (!isfinite(path->t[k]))
            return nde_fail(NDE_E_ARG, "%s: t[%zu] is %g", who, k, path->t[k]);
    for (size_t k = 1; k < path->knots; k++)
        if (!(path->t[k] > path->t[k - 1]))
            return nde_fail(NDE_E_ARG,
                            "%s: t[%zu] is %.17g, not greater than t[%zu], which is %.17g", who, k,
                            path->t[k], k - 1, path->t[k - 1]);
    return NDE_OK;
}

/* The number of knots <= t. */
size_t nde_path_piece(const nde_path *path, double t) {
    size_t low = 0, high = path->knots;
    while (low < high) {
        const size_t middle = low + (high - low)/2;
        if (path->t[middle] <= t) low = middle + 1;
        else high = middle;
    }
    return low;
}

/* One lane's piece: weights of the values at its two ends and of their difference in the slope. On
 * the constant ends both are the same knot, and the rate is 0. */
typedef struct span {
    size_t left, right; /* where their values begin in x */
    nde_real w0, w1, rate;
} span;

static span span_at(const nde_path *path, size_t N, size_t piece, size_t trajectory, double t) {
    const size_t row = path->channels*N, last = path->knots - 1;
    const size_t k1 = piece > last ? last : piece, k0 = piece > last ? last : piece ? piece - 1 : 0;
    span s = { k0*row + trajectory, k1*row + trajectory, 1, 0, 0 };
    if (k0 == k1) return s;
    const double length = path->t[k1] - path->t[k0], w = (t - path->t[k0])/length;
    s.w0 = (nde_real)(1 - w), s.w1 = (nde_real)w, s.rate = (nde_real)(1/length);
    return s;
}

/* ---- value ----------------------------------------------------------------------------------- */

void nde_path_value(const nde_path *path, size_t N, size_t n, size_t ld, const size_t *trajectory,
                    const size_t *piece, const double *t, nde_real *u) {
    for (size_t b = 0; b < n; b++) {
        const span s = span_at(path, N, piece[b], trajectory[b], t[b]);
        const nde_real *x0 = path->x + s.left, *x1 = path->x + s.right;
        for (size_t i = 0; i < path->channels; i++) u[i*ld + b] = s.w0*x0[i*N] + s.w1*x1[i*N];
    }
}

void nde_path_value_transpose(const nde_path *path, size_t N, size_t n, size_t ld,
                              const size_t *trajectory, const size_t *piece, const double *t,
                              const nde_real *a_u, nde_real *a_x, double *a_t) {
    for (size_t b = 0; b < n; b++) {
        const span s = span_at(path, N, piece[b], trajectory[b], t[b]);
        const nde_real *x0 = path->x + s.left, *x1 = path->x + s.right;
        double sum = 0;
        for (size_t i = 0; i < path->channels; i++) {
            const nde_real a = a_u[i*ld + b];
            if (a_x) {
                a_x[s.left + i*N] += s.w0*a;
                a_x[s.right + i*N] += s.w1*a;
            }
            sum += (double)(s.rate*(x1[i*N] - x0[i*N]))*(double)a;
        }
        if (a_t) a_t[b] += sum;
    }
}

void nde_path_value_tangent(const nde_path *path, size_t N, size_t n, size_t ld,
                            const size_t *trajectory, const size_t *piece, const double *t,
                            const nde_real *v_x, const double *v_t, nde_real *v_u) {
    for (size_t b = 0; b < n; b++) {
        const span s = span_at(path, N, piece[b], trajectory[b], t[b]);
        const nde_real *x0 = path->x + s.left, *x1 = path->x + s.right;
        for (size_t i = 0; i < path->channels; i++) {
            const nde_real by_x = v_x ? s.w0*v_x[s.left + i*N] + s.w1*v_x[s.right + i*N] : 0;
            const double by_t = v_t ? (double)(s.rate*(x1[i*N] - x0[i*N]))*v_t[b] : 0;
            v_u[i*ld + b] = by_x + (nde_real)by_t;
        }
    }
}

/* ---- slope ----------------------------------------------------------------------------------- */

void nde_path_slope(const nde_path *path, size_t N, size_t n, size_t ld, const size_t *trajectory,
                    const size_t *piece, nde_real *du) {
    for (size_t b = 0; b < n; b++) {
        const span s = span_at(path, N, piece[b], trajectory[b], 0);
        const nde_real *x0 = path->x + s.left, *x1 = path->x + s.right;
        for (size_t i = 0; i < path->channels; i++) du[i*ld + b] = s.rate*(x1[i*N] - x0[i*N]);
    }
}

void nde_path_slope_transpose(const nde_path *path, size_t N, size_t n, size_t ld,
                              const size_t *trajectory, const size_t *piece, const nde_real *a_du,
                              nde_real *a_x) {
    for (size_t b = 0; b < n; b++) {
        const span s = span_at(path, N, piece[b], trajectory[b], 0);
        for (size_t i = 0; i < path->channels; i++) {
            const nde_real a = s.rate*a_du[i*ld + b];
            a_x[s.left + i*N] -= a;
            a_x[s.right + i*N] += a;
        }
    }
}

void nde_path_slope_tangent(const nde_path *path, size_t N, size_t n, size_t ld,
                            const size_t *trajectory, const size_t *piece, const nde_real *v_x,
                            nde_real *v_du) {
    for (size_t b = 0; b < n; b++) {
        const span s = span_at(path, N, piece[b], trajectory[b], 0);
        for (size_t i = 0; i < path->channels; i++)
            v_du[i*ld + b] = v_x ? s.rate*(v_x[s.right + i*N] - v_x[s.left + i*N]) : 0;
    }
}
