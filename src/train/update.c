/* SPDX-License-Identifier: MIT
 * update.c - the rules of the optimisers, a loop each; compiled once for each instruction set.
 *
 * A rule sees a block of n <= BLOCK parameters: g the gradient, ready, in double; a and b the block's part of the first and
 * second array of the state. Sources are those named in nde/train.h. Where PyTorch would divide by 0, which takes epsilon = 0,
 * a parameter stays where it is. */
#include "train/update.h"

#include <math.h>
#include <string.h>

#include "core/isa.h"
#include "nde/train.h"

enum { BLOCK = 512 }; /* 4 kB of doubles: they stay in the first-level cache */

typedef void rule(const nde_update *u, size_t n, const double *restrict g, double *restrict a, double *restrict b,
                  nde_real *restrict p);

/* Kingma and Ba, algorithm 1; with keep < 1 Loshchilov and Hutter, algorithm 2. a: mean of g, b: of its square. */
static void adam(const nde_update *u, size_t n, const double *restrict g, double *restrict a, double *restrict b,
                 nde_real *restrict p) {
    const double beta1 = u->beta1, beta2 = u->beta2, debias1 = u->debias1, debias2 = u->debias2;
    const double rate = u->rate, keep = u->keep, epsilon = u->epsilon;
    for (size_t i = 0; i < n; i++) {
        const double m = beta1*a[i] + (1 - beta1)*g[i], v = beta2*b[i] + (1 - beta2)*(g[i]*g[i]);
        const double scale = sqrt(v/debias2) + epsilon, step = rate*(m/debias1)/scale;
        a[i] = m, b[i] = v;
        p[i] = (nde_real)((double)p[i]*keep - (scale > 0 ? step : 0));
    }
}

static void descend(const nde_update *u, size_t n, const double *restrict g, double *restrict a, double *restrict b,
                    nde_real *restrict p) {
    const double rate = u->rate;
    (void)a, (void)b;
    for (size_t i = 0; i < n; i++) p[i] = (nde_real)((double)p[i] - rate*g[i]);
}

/* a: velocity. Sutskever et al. (2013) in PyTorch's form, whose velocity is not yet multiplied by the rate. */
static void descend_with_momentum(const nde_update *u, size_t n, const double *restrict g, double *restrict a,
                                  double *restrict b, nde_real *restrict p) {
    const double rate = u->rate, momentum = u->momentum, ahead = u->nesterov ? momentum : 1, now = u->nesterov ? 1 : 0;
    (void)b;
    for (size_t i = 0; i < n; i++) {
        const double v = momentum*a[i] + g[i];
        a[i] = v;
        p[i] = (nde_real)((double)p[i] - rate*(now*g[i] + ahead*v));
    }
}

/* a: mean square of g. */
static void rmsprop(const nde_update *u, size_t n, const double *restrict g, double *restrict a, double *restrict b,
                    nde_real *restrict p) {
    const double rate = u->rate, rho = u->rho, epsilon = u->epsilon;
    (void)b;
    for (size_t i = 0; i < n; i++) {
        const double v = rho*a[i] + (1 - rho)*(g[i]*g[i]), scale = sqrt(v) + epsilon, step = g[i]/scale;
        a[i] = v;
        p[i] = (nde_real)((double)p[i] - rate*(scale > 0 ? step : 0));
    }
}

/* b: velocity. */
static void rmsprop_with_momentum(const nde_update *u, size_t n, const double *restrict g, double *restrict a,
                                  double *restrict b, nde_real *restrict p) {
    const double rate = u->rate, rho = u->rho, epsilon = u->epsilon, momentum = u->momentum;
    for (size_t i = 0; i < n; i++) {
        const double v = rho*a[i] + (1 - rho)*(g[i]*g[i]), scale = sqrt(v) + epsilon, step = g[i]/scale;
        const double velocity = momentum*b[i] + (scale > 0 ? step : 0);
        a[i] = v, b[i] = velocity;
        p[i] = (nde_real)((double)p[i] - rate*velocity);
    }
}

/* Zeiler, algorithm 1. a: mean square of g, b: of the steps. */
static void adadelta(const nde_update *u, size_t n, const double *restrict g, double *restrict a, double *restrict b,
                     nde_real *restrict p) {
    const double rate = u->rate, rho = u->rho, epsilon = u->epsilon;
    for (size_t i = 0; i < n; i++) {
        const double v = rho*a[i] + (1 - rho)*(g[i]*g[i]), scale = sqrt(v + epsilon);
        const double ratio = sqrt(b[i] + epsilon)/scale, step = (scale > 0 ? ratio : 0)*g[i];
        a[i] = v, b[i] = rho*b[i] + (1 - rho)*(step*step);
        p[i] = (nde_real)((double)p[i] - rate*step);
    }
}

static const struct {
    rule *plain, *with_momentum;
} rules[] = { /* nde_optimiser_length knows how many arrays each has */
    [NDE_ADAM] = { adam, adam }, [NDE_ADAMW] = { adam, adam }, [NDE_SGD] = { descend, descend_with_momentum },
    [NDE_RMSPROP] = { rmsprop, rmsprop_with_momentum }, [NDE_ADADELTA] = { adadelta, adadelta },
};

/* g [n] of a block. */
static void prepare(const nde_update *u, size_t n, const nde_real *restrict gradient, const nde_real *restrict p,
                    double *restrict g) {
    const double limit = u->limit, cut = u->cut, decay = u->decay;
    for (size_t i = 0; i < n; i++) g[i] = (double)gradient[i];
    if (limit < (double)INFINITY)
        for (size_t i = 0; i < n; i++) {
            const double low = g[i] < -limit ? -limit : g[i];
            g[i] = low > limit ? limit : low;
        }
    if (cut < 1)
        for (size_t i = 0; i < n; i++) g[i] = cut*g[i];
    if (decay > 0)
        for (size_t i = 0; i < n; i++) g[i] += decay*(double)p[i];
}

/* Without their sign, IEEE-754 numbers are ordered as integers are, Inf and NaN above all others. */
static double largest(const nde_update *u, size_t np, const nde_real *gradient, const nde_real *p) {
    double g[BLOCK], most;
    uint64_t top = 0;
    for (size_t at = 0; at < np; at += BLOCK) {
        const size_t n = np - at < BLOCK ? np - at : BLOCK;
        prepare(u, n, gradient + at, p + at, g);
        for (size_t i = 0; i < n; i++) {
            uint64_t bits;
            memcpy(&bits, g + i, sizeof bits);
            bits &= UINT64_MAX >> 1;
            top = bits > top ? bits : top;
        }
    }
    memcpy(&most, &top, sizeof most);
    return most;
}

static double squares(const nde_update *u, size_t np, const nde_real *gradient, const nde_real *p, double unit) {
    double g[BLOCK], sum = 0;
    for (size_t at = 0; at < np; at += BLOCK) {
        const size_t n = np - at < BLOCK ? np - at : BLOCK;
        prepare(u, n, gradient + at, p + at, g);
        for (size_t i = 0; i < n; i++) {
            const double x = g[i]/unit;
            sum += x*x;
        }
    }
    return sum;
}

static void step(const nde_update *u, size_t np, const nde_real *gradient, double *state, nde_real *p) {
    double g[BLOCK];
    rule *const run = u->momentum > 0 ? rules[u->kind].with_momentum : rules[u->kind].plain;
    for (size_t at = 0; at < np; at += BLOCK) {
        const size_t n = np - at < BLOCK ? np - at : BLOCK;
        prepare(u, n, gradient + at, p + at, g);
        run(u, n, g, u->arrays > 0 ? state + at : NULL, u->arrays > 1 ? state + np + at : NULL, p + at);
    }
}

const nde_update_kernels NDE_ISA_NAME(nde_update_kernels) = { .largest = largest, .squares = squares, .step = step };
