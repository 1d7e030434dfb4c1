/* SPDX-License-Identifier: MIT
 * kernel.h - runs code on a block of lanes, compiled for each instruction set. Rows of an operand stand ld[space] apart,
 * of one that all lanes share 1, of one that is zero 0; nothing beyond lane n of a row is read or written. A lane's bits
 * depend neither on n nor on its place. Products with weights are those of dense.h, activations those of activation.h. */
#ifndef NDE_PROGRAM_KERNEL_H
#define NDE_PROGRAM_KERNEL_H

#include "nde/real.h"
#include "core/kernels.h"
#include "program/code.h"
#include "program/transform.h"

typedef struct nde_frame {
    size_t n;
    unsigned want;                        /* NDE_WANT ...: what else the code makes is left out */
    const nde_kernels *kernels;
    const uint32_t *lists;
    const nde_transform *transforms;
    unsigned used;                        /* bit s: what stands here of space s is set */
    const nde_real *read[NDE_SPACES];
    nde_real *write[NDE_SPACES];
    size_t ld[NDE_SPACES];
    const double *t, *vt;                 /* [n]; vt NULL: zero */
    double *to_t, *to_vt;                 /* [n], added to, as are: */
    double *to_p, *to_vp;                 /* [np] */
} nde_frame;

typedef struct nde_program_kernels {
    void (*run)(const nde_code *code, const nde_frame *frame);
} nde_program_kernels;

extern const nde_program_kernels nde_program_kernels_baseline;
extern const nde_program_kernels nde_program_kernels_v3;
extern const nde_program_kernels nde_program_kernels_v4;

#endif
