/* SPDX-License-Identifier: MIT
 * transform.h - real discrete Fourier transforms by FFTW, in both precisions: plans, made when a program is built. */
#ifndef NDE_TRANSFORM_H
#define NDE_TRANSFORM_H

#include <stdint.h>

#include "nde/base.h"

/* Of n numbers in place, there and back. */
typedef struct nde_transform {
    uint32_t n;
    void *plan[2], *single[2];
} nde_transform;

/* From any thread at any time. Errors: NDE_E_ARG without FFTW; NDE_E_NOMEM. */
nde_status nde_transform_make(uint32_t n, nde_transform *to);
void nde_transform_free(nde_transform *x);
/* Many threads may run the same one. */
void nde_transform_run(const nde_transform *x, int back, double *data);
void nde_transform_run_single(const nde_transform *x, int back, float *data);

#endif
