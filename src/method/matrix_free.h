/* SPDX-License-Identifier: MIT
 * matrix_free.h - systems with W = I - gamma h J of implicit methods by GMRES: no matrix is kept. */
#ifndef NDE_METHOD_MATRIX_FREE_H
#define NDE_METHOD_MATRIX_FREE_H

#include "method/body.h"

/* Before any system: W at (t, y), which stay where they are, with the tape that the field left there; turned: of the second
 * field. */
void nde_matrix_free_aim(const nde_attempt *s, const double *t, const nde_real *y, nde_real *tape, bool turned);
/* x [rows][ld] = W^-1 x to three digits or what can be had of it, for an iteration. Returns what a callback returned. */
int nde_matrix_free_improve(const nde_attempt *s, nde_real *x);
/* x = W^-1 x, or W^-T x; NaN in a lane where rounding is not reached. */
int nde_matrix_free_solve(const nde_attempt *s, bool transposed, nde_real *x);

#endif
