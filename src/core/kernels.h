/* SPDX-License-Identifier: MIT
 * kernels.h - the kernels of one instruction set, chosen when a solver is made. */
#ifndef NDE_KERNELS_H
#define NDE_KERNELS_H

#include "nde/real.h"
#include "core/core.h"

struct nde_step_kernels;  /* core/step.h: combinations of slopes, norms, per-lane selection */
struct nde_clock_kernels; /* controller/clock.h: time and step size of each lane */
struct nde_dense_kernels; /* core/dense.h: matrix products, activations */

typedef struct nde_kernels {
    const char *name; /* "baseline", "v3", "v4" */
    int isa;          /* NDE_ISA_* */
    bool reproducible; /* never BLAS */
    const struct nde_clock_kernels *clock;
    const struct nde_step_kernels *step;
    const struct nde_dense_kernels *dense;
} nde_kernels;

/* The kernels of an instruction set (NDE_ISA_AUTO: the best that this machine has), with or without BLAS; NULL when it was
 * not compiled in or the machine lacks it. Static constants. */
const nde_kernels *nde_kernels_get(int isa, bool reproducible);

#endif
