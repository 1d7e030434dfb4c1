/* SPDX-License-Identifier: MIT
 * problems.h - stiff problems with reference solutions, each as a function and its derivatives by y and p, as a field by hand.
 * Sources: F. Mazzia, C. Magherini, Test set for initial value problem solvers (2008): ROBER, HIRES, VDPOL with their
 * solutions. */
#ifndef NDE_TESTS_STIFF_PROBLEMS_H
#define NDE_TESTS_STIFF_PROBLEMS_H

#include <math.h>
#include <string.h>

#include "nde/stiff.h"

enum { MOST_DIM = 8, MOST_NP = 4 };

typedef struct example {
    const char *name;
    size_t dim, np;
    double t1, y0[MOST_DIM], p[MOST_NP], end[MOST_DIM], atol, weight[MOST_DIM];
    void (*f)(const double *y, const double *p, double *dy);
    void (*by_y)(const double *y, const double *p, double *j);  /* [dim][dim] */
    void (*by_p)(const double *y, const double *p, double *jp); /* [dim][np] */
} example;

static inline int example_f(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)t;
    ((const example *)ctx)->f(y, p, dy);
    return 0;
}

static inline int example_vjp(double t, const double *y, const double *p, const double *a, double *ay, double *ap,
                              double *at, void *ctx) {
    const example *e = ctx;
    double j[MOST_DIM*MOST_DIM] = { 0 }, jp[MOST_DIM*MOST_NP] = { 0 };
    (void)t, (void)at;
    e->by_y(y, p, j);
    if (e->np) e->by_p(y, p, jp);
    for (size_t i = 0; i < e->dim; i++) {
        for (size_t k = 0; k < e->dim; k++) ay[k] += a[i]*j[i*e->dim + k];
        for (size_t k = 0; ap && k < e->np; k++) ap[k] += a[i]*jp[i*e->np + k];
    }
    return 0;
}

static inline int example_jvp(double t, const double *y, const double *p, double vt, const double *vy, const double *vp,
                              double *dv, void *ctx) {
    const example *e = ctx;
    double j[MOST_DIM*MOST_DIM] = { 0 }, jp[MOST_DIM*MOST_NP] = { 0 };
    (void)t, (void)vt;
    e->by_y(y, p, j);
    if (e->np) e->by_p(y, p, jp);
    for (size_t i = 0; i < e->dim; i++) {
        dv[i] = 0;
        for (size_t k = 0; vy && k < e->dim; k++) dv[i] += j[i*e->dim + k]*vy[k];
        for (size_t k = 0; vp && k < e->np; k++) dv[i] += jp[i*e->np + k]*vp[k];
    }
    return 0;
}

/* The example's own matrix, for one lane at a time. */
static inline int example_jacobian(const nde_field *self, const nde_site *at, const double *y, double *j) {
    const nde_pointwise *one = self->ctx;
    const example *e = one->ctx;
    double state[MOST_DIM], matrix[MOST_DIM*MOST_DIM];
    for (size_t b = 0; b < at->n; b++) {
        for (size_t i = 0; i < e->dim; i++) state[i] = y[i*at->ld + b];
        memset(matrix, 0, sizeof matrix);
        e->by_y(state, at->p, matrix);
        for (size_t i = 0; i < e->dim*e->dim; i++) j[i*at->ld + b] = matrix[i];
    }
    return 0;
}

static inline nde_pointwise example_pointwise(example *e) {
    return NDE_INIT(nde_pointwise, .f = example_f, .vjp = example_vjp, .jvp = example_jvp, .ctx = e);
}

/* ---- ROBER ---------------------------------------------------------------------------------------------------------- */

static inline void rober_f(const double *y, const double *p, double *dy) {
    const double a = p[0]*y[0], b = p[1]*y[1]*y[2], c = p[2]*y[1]*y[1];
    dy[0] = -a + b, dy[1] = a - b - c, dy[2] = c;
}
static inline void rober_y(const double *y, const double *p, double *j) {
    const double b1 = p[1]*y[2], b2 = p[1]*y[1], c = 2*p[2]*y[1];
    const double rows[9] = { -p[0], b1, b2, p[0], -b1 - c, -b2, 0, c, 0 };
    memcpy(j, rows, sizeof rows);
}
static inline void rober_p(const double *y, const double *p, double *jp) {
    const double b = y[1]*y[2], c = y[1]*y[1], rows[9] = { -y[0], b, 0, y[0], -b, -c, 0, 0, c };
    (void)p;
    memcpy(jp, rows, sizeof rows);
}
#define ROBER { .name = "ROBER", .dim = 3, .np = 3, .t1 = 1e11, .y0 = { 1 }, .p = { 0.04, 1e4, 3e7 }, .atol = 1e-16, \
    .end = { 0.2083340149701255e-07, 0.8333360770334713e-13, 0.9999999791665050 }, .f = rober_f, .by_y = rober_y, \
    .by_p = rober_p }

/* With the sum in place of the third equation: an algebraic one. */
static inline void rober_dae_f(const double *y, const double *p, double *dy) {
    rober_f(y, p, dy);
    dy[2] = y[0] + y[1] + y[2] - 1;
}
static inline void rober_dae_y(const double *y, const double *p, double *j) {
    rober_y(y, p, j);
    j[6] = j[7] = j[8] = 1;
}

/* ---- HIRES ---------------------------------------------------------------------------------------------------------- */

static inline void hires_f(const double *y, const double *p, double *dy) {
    const double k = p[0]*y[5]*y[7];
    dy[0] = -1.71*y[0] + 0.43*y[1] + 8.32*y[2] + 0.0007;
    dy[1] = 1.71*y[0] - 8.75*y[1];
    dy[2] = -10.03*y[2] + 0.43*y[3] + 0.035*y[4];
    dy[3] = 8.32*y[1] + 1.71*y[2] - 1.12*y[3];
    dy[4] = -1.745*y[4] + 0.43*y[5] + 0.43*y[6];
    dy[5] = -k + 0.69*y[3] + 1.71*y[4] - 0.43*y[5] + 0.69*y[6];
    dy[6] = k - p[1]*y[6];
    dy[7] = -dy[6];
}
static inline void hires_y(const double *y, const double *p, double *j) {
    const double k6 = p[0]*y[7], k8 = p[0]*y[5];
    const double rows[64] = {
        -1.71, 0.43, 8.32, 0, 0, 0, 0, 0,       1.71, -8.75, 0, 0, 0, 0, 0, 0,
        0, 0, -10.03, 0.43, 0.035, 0, 0, 0,     0, 8.32, 1.71, -1.12, 0, 0, 0, 0,
        0, 0, 0, 0, -1.745, 0.43, 0.43, 0,      0, 0, 0, 0.69, 1.71, -0.43 - k6, 0.69, -k8,
        0, 0, 0, 0, 0, k6, -p[1], k8,           0, 0, 0, 0, 0, -k6, p[1], -k8 };
    memcpy(j, rows, sizeof rows);
}
static inline void hires_p(const double *y, const double *p, double *jp) {
    const double k = y[5]*y[7];
    (void)p;
    memset(jp, 0, 16*sizeof *jp);
    jp[5*2] = -k, jp[6*2] = k, jp[6*2 + 1] = -y[6], jp[7*2] = -k, jp[7*2 + 1] = y[6];
}
#define HIRES { .name = "HIRES", .dim = 8, .np = 2, .t1 = 321.8122, .y0 = { 1, 0, 0, 0, 0, 0, 0, 0.0057 }, .p = { 280, 1.81 }, .atol = 1e-11, \
    .end = { 0.7371312573325668e-3, 0.1442485726316185e-3, 0.5888729740967575e-4, 0.1175651343283149e-2, 0.2386356198831331e-2, \
             0.6238968252742796e-2, 0.2849998395185769e-2, 0.2850001604814231e-2 }, .f = hires_f, .by_y = hires_y, \
    .by_p = hires_p }

/* ---- VDPOL ---------------------------------------------------------------------------------------------------------- */

static inline void vdpol_f(const double *y, const double *p, double *dy) {
    dy[0] = y[1];
    dy[1] = ((1 - y[0]*y[0])*y[1] - y[0])/p[0];
}
static inline void vdpol_y(const double *y, const double *p, double *j) {
    j[0] = 0, j[1] = 1, j[2] = (-2*y[0]*y[1] - 1)/p[0], j[3] = (1 - y[0]*y[0])/p[0];
}
static inline void vdpol_p(const double *y, const double *p, double *jp) {
    jp[0] = 0, jp[1] = -((1 - y[0]*y[0])*y[1] - y[0])/(p[0]*p[0]);
}
#define VDPOL { .name = "VDPOL", .dim = 2, .np = 1, .t1 = 2, .y0 = { 2, 0 }, .p = { 1e-6 }, .atol = 1e-10, \
    .end = { 0.1706167732170483e1, -0.8928097010247975e0 }, .f = vdpol_f, .by_y = vdpol_y, .by_p = vdpol_p }

#endif
