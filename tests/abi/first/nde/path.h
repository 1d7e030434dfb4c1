/* SPDX-License-Identifier: MIT
 * nde/path.h - driving data X(t): the control of a CDE, or values offered to every field. */
#ifndef NDE_PATH_H
#define NDE_PATH_H

#include "base.h"
#include "real.h"

#ifdef __cplusplus
extern "C" {
#endif

/* X(t) of each trajectory, from its values at the knots; constant beyond the first and the last knot. With a term on a
 * linear path, steps end at the knots, where dX/dt jumps. Arrays belong to the caller and are read anew by each run. */
typedef struct nde_path {
    size_t size;
    nde_path_kind kind;
    size_t channels, knots;  /* knots >= 2 */
    const double *t;         /* [knots] strictly increasing */
    const nde_real *x;       /* [knots][channels][n], n the trajectories of the problem; finite */
} nde_path;

#ifdef __cplusplus
}
#endif
#endif
