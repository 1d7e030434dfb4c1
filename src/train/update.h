/* SPDX-License-Identifier: MIT
 * update.h - one step of each optimiser over all parameters, compiled for each instruction set. Arithmetic is double in both
 * precisions and never fused: all instruction sets give the same bits. */
#ifndef NDE_UPDATE_H
#define NDE_UPDATE_H

#include "nde/real.h"
#include "core/core.h"
#include "core/kernels.h"

/* The step's numbers. What a rule sees as its gradient is g = cut*clamp(gradient, +-limit) + decay*p. */
typedef struct nde_update {
    int32_t kind; /* NDE_ADAM ... */
    size_t arrays; /* of the state */
    bool nesterov;
    double limit, cut, decay; /* INFINITY, 1, 0: as it is */
    double rate, keep;        /* Adam: p is multiplied by keep first */
    double beta1, beta2, debias1, debias2, momentum, rho, epsilon;
} nde_update;

typedef struct nde_update_kernels {
    /* The largest entry of g in magnitude; Inf or NaN when one is not finite. p is read only when decay is not 0. */
    double (*largest)(const nde_update *u, size_t np, const nde_real *gradient, const nde_real *p);
    /* sum (g/unit)^2, in ascending order. */
    double (*squares)(const nde_update *u, size_t np, const nde_real *gradient, const nde_real *p, double unit);
    /* p [np] and state [arrays][np] after the step. */
    void (*step)(const nde_update *u, size_t np, const nde_real *gradient, double *state, nde_real *p);
} nde_update_kernels;

extern const nde_update_kernels nde_update_kernels_baseline;
extern const nde_update_kernels nde_update_kernels_v3;
extern const nde_update_kernels nde_update_kernels_v4;

#endif
