/* SPDX-License-Identifier: MIT
 * lotka_volterra.h - x' = p0 x - p1 x y, y' = p2 x y - p3 y with its derivatives, for fits. */
#ifndef NDE_TESTS_LOTKA_VOLTERRA_H
#define NDE_TESTS_LOTKA_VOLTERRA_H

static inline int lv_value(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    (void)t, (void)ctx;
    const nde_real xy = y[0]*y[1];
    dy[0] = p[0]*y[0] - p[1]*xy, dy[1] = p[2]*xy - p[3]*y[1];
    return 0;
}

static inline int lv_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap,
                         double *at, void *ctx) {
    (void)t, (void)at, (void)ctx;
    ay[0] += a[0]*(p[0] - p[1]*y[1]) + a[1]*p[2]*y[1];
    ay[1] += a[1]*(p[2]*y[0] - p[3]) - a[0]*p[1]*y[0];
    if (!ap) return 0;
    ap[0] += (double)(a[0]*y[0]), ap[1] -= (double)(a[0]*y[0]*y[1]);
    ap[2] += (double)(a[1]*y[0]*y[1]), ap[3] -= (double)(a[1]*y[1]);
    return 0;
}

static inline int lv_jvp(double t, const nde_real *y, const nde_real *p, double vt, const nde_real *vy, const nde_real *vp,
                         nde_real *dv, void *ctx) {
    (void)t, (void)vt, (void)ctx;
    dv[0] = dv[1] = 0;
    if (vy) {
        dv[0] += (p[0] - p[1]*y[1])*vy[0] - p[1]*y[0]*vy[1];
        dv[1] += p[2]*y[1]*vy[0] + (p[2]*y[0] - p[3])*vy[1];
    }
    if (vp) dv[0] += y[0]*vp[0] - y[0]*y[1]*vp[1], dv[1] += y[0]*y[1]*vp[2] - y[1]*vp[3];
    return 0;
}

static const nde_pointwise lotka_volterra = { .size = sizeof lotka_volterra, .f = lv_value, .vjp = lv_vjp, .jvp = lv_jvp };
static const double lotka_volterra_truth[4] = { 1.1, 0.4, 0.1, 0.4 };

#endif
