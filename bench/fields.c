/* SPDX-License-Identifier: MIT
 * fields.c - right-hand sides on n lanes, [3][ld] or [4][ld]; one lane goes without a loop. */
#include "fields.h"

#include <math.h>
#ifdef BENCH_SINGLE
#include "nde/inlinef.h"
#define NDE_INLINE_NOISY_STEP NDEF_INLINE_NOISY_STEP
#else
#include "nde/inline.h"
#endif

static inline void lorenz_at(nde_real s, nde_real r, nde_real b, const nde_real *y, nde_real *dy,
                             size_t ld) {
    const nde_real y0 = y[0], y1 = y[ld], y2 = y[2*ld];
    dy[0] = s*(y1 - y0);
    dy[ld] = y0*(r - y2) - y1;
    dy[2*ld] = y0*y1 - b*y2;
}

static int lorenz(const nde_field *self, const nde_site *at, const nde_real *restrict y,
                  nde_real *restrict dy) {
    (void)self;
    const nde_real s = at->p[0], r = at->p[1], b = at->p[2];
    if (at->n == 1) {
        lorenz_at(s, r, b, y, dy, at->ld);
        return 0;
    }
    for (size_t i = 0; i < at->n; i++) lorenz_at(s, r, b, y + i, dy + i, at->ld);
    return 0;
}

/* Of one lane; a_p NULL: not wanted. */
static inline void lorenz_vjp_at(const nde_real *p, const nde_real *y, const nde_real *a, nde_real *a_y, double *a_p,
                                 size_t ld) {
    const nde_real s = p[0], r = p[1], b = p[2], y0 = y[0], y1 = y[ld], y2 = y[2*ld], a0 = a[0], a1 = a[ld], a2 = a[2*ld];
    a_y[0] += (r - y2)*a1 - s*a0 + y1*a2;
    a_y[ld] += s*a0 - a1 + y0*a2;
    a_y[2*ld] -= y0*a1 + b*a2;
    if (!a_p) return;
    a_p[0] += (double)((y1 - y0)*a0);
    a_p[1] += (double)(y0*a1);
    a_p[2] -= (double)(y2*a2);
}

static int lorenz_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    (void)self;
    for (size_t i = 0; i < at->n; i++) lorenz_vjp_at(at->p, y + i, a + i, to->y + i, to->p, at->ld);
    return 0;
}

static int lorenz_jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    (void)self;
    const nde_real s = at->p[0], r = at->p[1], b = at->p[2], zero[3] = { 0 }, *v_p = v->p ? v->p : zero;
    const size_t ld = at->ld;
    for (size_t i = 0; i < at->n; i++) {
        const nde_real y0 = y[i], y1 = y[ld + i], y2 = y[2*ld + i], v0 = v->y[i], v1 = v->y[ld + i], v2 = v->y[2*ld + i];
        dv[i] = s*(v1 - v0) + v_p[0]*(y1 - y0);
        dv[ld + i] = v0*(r - y2) + y0*(v_p[1] - v2) - v1;
        dv[2*ld + i] = v0*y1 + y0*v1 - b*v2 - v_p[2]*y2;
    }
    return 0;
}

static inline void volterra_at(const nde_real *p, const nde_real *y, nde_real *dy, size_t ld) {
    const nde_real y0 = y[0], y1 = y[ld];
    dy[0] = y0*(p[0] - p[1]*y1);
    dy[ld] = y1*(p[3]*y0 - p[2]);
}

static int volterra(const nde_field *self, const nde_site *at, const nde_real *restrict y, nde_real *restrict dy) {
    (void)self;
    if (at->n == 1) {
        volterra_at(at->p, y, dy, at->ld);
        return 0;
    }
    for (size_t i = 0; i < at->n; i++) volterra_at(at->p, y + i, dy + i, at->ld);
    return 0;
}

/* p NULL: not wanted. */
static inline void volterra_vjp_at(const nde_real *p, const nde_real *y, const nde_real *a, nde_real *a_y, double *a_p,
                                   size_t ld) {
    const nde_real y0 = y[0], y1 = y[ld], a0 = a[0], a1 = a[ld], both = y0*y1;
    a_y[0] += (p[0] - p[1]*y1)*a0 + p[3]*y1*a1;
    a_y[ld] += (p[3]*y0 - p[2])*a1 - p[1]*y0*a0;
    if (!a_p) return;
    a_p[0] += (double)(y0*a0), a_p[1] -= (double)(both*a0);
    a_p[2] -= (double)(y1*a1), a_p[3] += (double)(both*a1);
}

static int volterra_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    (void)self;
    if (at->n == 1) {
        volterra_vjp_at(at->p, y, a, to->y, to->p, at->ld);
        return 0;
    }
    for (size_t i = 0; i < at->n; i++) volterra_vjp_at(at->p, y + i, a + i, to->y + i, to->p, at->ld);
    return 0;
}

static int lorenz_rho(const nde_field *self, const nde_site *at, const nde_real *restrict y,
                      nde_real *restrict dy) {
    (void)self;
    const nde_real *rho = at->q, beta = (nde_real)(8.0/3);
    for (size_t i = 0; i < at->n; i++) lorenz_at(10, rho[i], beta, y + i, dy + i, at->ld);
    return 0;
}

/* Of starts and rho, in any ensemble: loops of vectors. */
static int lorenz_rho_vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    (void)self;
    const size_t ld = at->ld;
    const nde_real *rho = at->q, sigma = 10, beta = (nde_real)(8.0/3);
    nde_real *restrict a_y = to->y, *restrict a_rho = to->q;
    for (size_t i = 0; i < at->n; i++) {
        const nde_real y0 = y[i], y1 = y[ld + i], y2 = y[2*ld + i], a0 = a[i], a1 = a[ld + i], a2 = a[2*ld + i];
        a_y[i] += (rho[i] - y2)*a1 - sigma*a0 + y1*a2;
        a_y[ld + i] += sigma*a0 - a1 + y0*a2;
        a_y[2*ld + i] -= y0*a1 + beta*a2;
    }
    for (size_t i = 0; a_rho && i < at->n; i++) a_rho[i] += y[i]*a[ld + i];
    return 0;
}

static inline int lorenz_point(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    lorenz_at(p[0], p[1], p[2], y, dy, 1);
    return 0;
}

#ifndef BENCH_SINGLE
NDE_INLINE_SOLVER(solve_lorenz, lorenz_point, 3, dopri5)

static inline int lorenz_rho_point(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *q) {
    (void)t, (void)p;
    lorenz_at(10, *(const nde_real *)q, (nde_real)(8.0/3), y, dy, 1);
    return 0;
}
NDE_INLINE_STEP(lorenz_rho_step, lorenz_rho_point, 3, 1, dopri5)
#endif

static inline void kepler_at(const nde_real *y, nde_real *dy, size_t ld) {
    const nde_real x0 = y[0], x1 = y[ld], v0 = y[2*ld], v1 = y[3*ld], r2 = x0*x0 + x1*x1;
    const nde_real pull = 1/(r2*(nde_real)sqrt((double)r2));
    dy[0] = v0;
    dy[ld] = v1;
    dy[2*ld] = -x0*pull;
    dy[3*ld] = -x1*pull;
}

static int kepler(const nde_field *self, const nde_site *at, const nde_real *restrict y,
                  nde_real *restrict dy) {
    (void)self;
    if (at->n == 1) {
        kepler_at(y, dy, at->ld);
        return 0;
    }
    for (size_t i = 0; i < at->n; i++) kepler_at(y + i, dy + i, at->ld);
    return 0;
}

static int kepler_point(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    kepler_at(y, dy, 1);
    return 0;
}

/* Robertson's reactions; q: the first rate. */
static int robertson(const nde_field *self, const nde_site *at, const nde_real *restrict y, nde_real *restrict dy) {
    (void)self;
    const size_t ld = at->ld;
    const nde_real k2 = (nde_real)1e4, k3 = (nde_real)3e7;
    for (size_t i = 0; i < at->n; i++) {
        const nde_real slow = at->q[i]*y[i], back = k2*y[ld + i]*y[2*ld + i], fast = k3*y[ld + i]*y[ld + i];
        dy[i] = back - slow, dy[ld + i] = slow - back - fast, dy[2*ld + i] = fast;
    }
    return 0;
}

static int robertson_jacobian(const nde_field *self, const nde_site *at, const nde_real *restrict y, nde_real *restrict j) {
    (void)self;
    const size_t ld = at->ld;
    const nde_real k2 = (nde_real)1e4, k3 = (nde_real)3e7;
    for (size_t i = 0; i < at->n; i++) {
        const nde_real b = k2*y[2*ld + i], c = k2*y[ld + i], d = 2*k3*y[ld + i];
        j[i] = -at->q[i], j[ld + i] = b, j[2*ld + i] = c;
        j[3*ld + i] = at->q[i], j[4*ld + i] = -b - d, j[5*ld + i] = -c;
        j[6*ld + i] = 0, j[7*ld + i] = d, j[8*ld + i] = 0;
    }
    return 0;
}

/* out [dim][ld] = a y */
static int scaled(nde_real a, const nde_field *self, const nde_site *at, const nde_real *restrict y,
                  nde_real *restrict out) {
    for (size_t i = 0; i < self->dim; i++)
        for (size_t b = 0; b < at->n; b++) out[i*at->ld + b] = a*y[i*at->ld + b];
    return 0;
}

static int growth(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    return scaled(at->p[0], self, at, y, dy);
}

static int volatility(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *g) {
    return scaled(at->p[1], self, at, y, g);
}

static inline int growth_point(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    for (size_t i = 0; i < BENCH_GBM; i++) dy[i] = p[0]*y[i];
    return 0;
}
static inline int volatility_point(double t, const nde_real *y, const nde_real *p, nde_real *g, void *ctx) {
    (void)t, (void)ctx;
    for (size_t i = 0; i < BENCH_GBM; i++) g[i] = p[1]*y[i];
    return 0;
}
NDE_INLINE_NOISY_STEP(gbm_by_euler_maruyama, growth_point, volatility_point, BENCH_GBM, 0, euler_maruyama)
NDE_INLINE_NOISY_STEP(gbm_by_sriw1, growth_point, volatility_point, BENCH_GBM, 0, sriw1)

static int one(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *g) {
    (void)y;
    for (size_t i = 0; i < self->dim; i++)
        for (size_t b = 0; b < at->n; b++) g[i*at->ld + b] = 1;
    return 0;
}

const bench_fields BENCH_NAME(BENCH_FIELDS) = {
    .lorenz = lorenz, .lorenz_rho = lorenz_rho, .lorenz_rho_vjp = lorenz_rho_vjp, .kepler = kepler,
    .volterra = volterra, .volterra_vjp = volterra_vjp, .lorenz_vjp = lorenz_vjp, .lorenz_jvp = lorenz_jvp,
    .robertson = robertson, .robertson_jacobian = robertson_jacobian,
    .growth = growth, .volatility = volatility, .one = one,
    .gbm_step = &gbm_by_euler_maruyama, .gbm_srk_step = &gbm_by_sriw1,
    .lorenz_point = lorenz_point, .kepler_point = kepler_point,
#ifndef BENCH_SINGLE
    .solve_lorenz = solve_lorenz, .lorenz_rho_step = &lorenz_rho_step,
#endif
};
