/* SPDX-License-Identifier: MIT
 * noise.h - Brownian increments as a pure function of (seed, trajectory, component, cell). No real type: always double. */
#ifndef NDE_NOISE_H
#define NDE_NOISE_H

#include "core/core.h"

/* dw [m][ld]: W over `count` cells from cell first[b] on, for n trajectories.
 *   cell   [n] length of a cell, > 0;  grid  cells of the whole span (sets the rounding unit) */
void nde_noise_increment(const nde_noise *noise, int64_t grid, size_t m, size_t n, size_t ld, const size_t *trajectory,
                         const double *cell, const int64_t *first, int64_t count, double *dw);

/* Errors: NDE_E_ARG, NDE_E_SIZE (text set). */
nde_status nde_noise_validate(const nde_noise *noise);

#endif
