/* SPDX-License-Identifier: MIT
 * fit.h - what the examples share in which networks learn from trajectories. Not a part of libnde. */
#ifndef FIT_H
#define FIT_H

#include "nde.h"

/* n trajectories at as many times, equally far apart from 0 to duration: y [times][dim][n]. */
typedef struct trajectories {
    size_t n, dim, times;
    double duration;
    double *y;
} trajectories;

/* Ends the program where something has failed, and says what: of a solver, or of another call when that is NULL. */
void need(nde_status status, const nde_solver *solver);

/* What a field leads to from y0 [dim][n], p as it needs it, to the tolerance; NaN behind where it did not go on. Free .y. */
trajectories follow(const nde_field *field, const double *p, size_t n, const double *y0, size_t times, double duration,
                    double tolerance);

/* All pieces of so many times, which begin every `stride` times, as trajectories of their own. Free .y. */
trajectories cut(const trajectories *whole, size_t times, size_t stride);

/* Least squares by Adam, by the gradient of so many of rk4's steps from each time to the next: z [np + dim*n] are the
 * parameters and where the trajectories begin, which data show no better than the rest; in: the parameters to begin with.
 * Returns 1/2 of the mean square of what is left. */
double fit(const nde_field *field, const trajectories *data, int steps, int iterations, double rate, double *z);

#endif
