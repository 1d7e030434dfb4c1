/* SPDX-License-Identifier: MIT
 * ring.h - a ring of neighbours with a force in time: y_i' = p cos(t) - y_i y_{i+1}/4, and the start and seeds of such
 * rings. */
#ifndef NDE_TESTS_RING_H
#define NDE_TESTS_RING_H

#include <math.h>

static int ring_code; /* what its vjp returns */

static int ring_f(double t, const nde_real *y, const nde_real *p, nde_real *dy, void *ctx) {
    const size_t dim = *(const size_t *)ctx;
    const nde_real force = p[0]*(nde_real)cos(t);
    for (size_t i = 0; i < dim; i++) dy[i] = force - y[i]*y[(i + 1)%dim]/4;
    return 0;
}

static int ring_vjp(double t, const nde_real *y, const nde_real *p, const nde_real *a, nde_real *ay, double *ap, double *at,
                    void *ctx) {
    const size_t dim = *(const size_t *)ctx;
    (void)p, (void)at;
    for (size_t i = 0; i < dim; i++) {
        const size_t next = (i + 1)%dim;
        ay[i] -= a[i]*y[next]/4, ay[next] -= a[i]*y[i]/4;
        if (ap) ap[0] += (double)(a[i]*(nde_real)cos(t));
    }
    return ring_code;
}

/* The field, p [1]; y0 and seed of n trajectories. One size at a time. */
static nde_field ring_make(size_t dim, size_t n, nde_real *y0, nde_real *seed) {
    static size_t size;
    static const nde_pointwise one = { .size = sizeof one, .f = ring_f, .vjp = ring_vjp, .ctx = &size };
    size = dim;
    for (size_t i = 0; i < dim*n; i++) y0[i] = (nde_real)(0.5 + 0.4*sin((double)i)), seed[i] = (nde_real)cos((double)i);
    return nde_field_pointwise(&one, dim, 1);
}

#endif
