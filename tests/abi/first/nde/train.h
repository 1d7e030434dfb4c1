/* SPDX-License-Identifier: MIT
 * nde/train.h - optimisers, schedules, losses and parameter files. */
#ifndef NDE_TRAIN_H
#define NDE_TRAIN_H

#include "base.h"
#include "real.h"
#include "solve.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Adam. Source: D. Kingma, J. Ba, Adam: a method for stochastic optimization, ICLR (2015). The rate of step k (from 0) is
 * rate * decay^(k / decay_steps): an exponential schedule; decay_steps 0: constant. NDE_ZERO in decay is 1. */
typedef struct nde_adam {
    size_t size;
    double rate;                 /* 0: 1e-3 */
    double beta1, beta2, epsilon; /* 0: 0.9, 0.999, 1e-8 */
    double clip;                 /* > 0: the gradient's 2-norm is cut to it; 0: off */
    double decay;                /* 0: 1 */
    int64_t decay_steps;
    int64_t step;                /* steps taken so far; start with 0 */
    double *m, *v;               /* [np] the caller's; zeroed here at step 0 */
} nde_adam;

/* One step: p [np] is updated in place from gradient [np].
 * Errors: NDE_E_ARG; NDE_E_NONFINITE: the gradient (after clipping, its square) is not finite. On error nothing was changed. */
NDE_API NDE_CHECK nde_status nde_adam_step(nde_adam *adam, size_t np, const nde_real *gradient, nde_real *p);
/* The rate that the next step will have; NaN when adam is wrong. */
NDE_API double nde_adam_rate(const nde_adam *adam);

/* 1/2 of the weighted mean of (y - data)^2 over the entries of data that are not NaN and have weight > 0. A y that is NaN
 * there makes the loss NaN.
 *   solution  y [n_save][dim][n]
 *   data      [n_save][dim][n]; NaN: missing
 *   weight    [n_save][dim][n] >= 0, or NULL: 1; the mean is over the sum of weights
 *   loss      out
 *   seed_y    out [n_save][dim][n]: dloss/dy, 0 where data is missing; may be NULL
 * Errors: NDE_E_ARG (NULL, a negative weight, no data at all). */
NDE_API NDE_CHECK nde_status nde_loss_mse(const nde_solution *solution, const nde_real *data, const nde_real *weight,
                                          double *loss, nde_real *seed_y);

/* Writes a vector as a NumPy .npy file (version 1.0), to a temporary name first and renamed when complete.
 * Errors: NDE_E_ARG, NDE_E_IO. */
NDE_API NDE_CHECK nde_status nde_npy_save(const char *file, const nde_real *values, size_t count);
/* Reads `count` values from such a file, of this precision's type. Errors: NDE_E_ARG, NDE_E_IO (missing, not a regular file,
 * another type, shape or length: then values are untouched). */
NDE_API NDE_CHECK nde_status nde_npy_load(const char *file, nde_real *values, size_t count);

#ifdef __cplusplus
}
#endif
#endif
