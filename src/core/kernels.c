/* SPDX-License-Identifier: MIT
 * kernels.c - the kernels of each instruction set that was compiled in. */
#include "core/kernels.h"
#include "controller/clock.h"
#include "core/blas.h"
#include "core/isa.h"
#include "core/step.h"
#include "core/dense.h"
#include "core/activation.h"
#include "core/norm.h"
#include "train/update.h"
#include "program/kernel.h"
#include "implicit/lu.h"

#define KERNELS(isa_name, number, product, threads) \
    { .name = #isa_name, .isa = number, .gemm = product, .gemm_threads = threads, .clock = &nde_clock_kernels_##isa_name, \
      .step = &nde_step_kernels_##isa_name, .dense = &nde_dense_kernels_##isa_name, \
      .activation = &nde_activation_kernels_##isa_name, .norm = &nde_norm_kernels_##isa_name, \
      .update = &nde_update_kernels_##isa_name, .program = &nde_program_kernels_##isa_name, .lu = &nde_lu_kernels_##isa_name }

#ifdef NDE_HAVE_OPENBLAS
#define BOTH(isa_name, number) \
    KERNELS(isa_name, number, nde_openblas_gemm, nde_openblas_threads), KERNELS(isa_name, number, NULL, NULL)
#else
#define BOTH(isa_name, number) KERNELS(isa_name, number, NULL, NULL)
#endif

static const nde_kernels list[] = { /* best first */
#ifdef NDE_HAVE_V4
    BOTH(v4, NDE_ISA_V4),
#endif
#ifdef NDE_HAVE_V3
    BOTH(v3, NDE_ISA_V3),
#endif
    BOTH(baseline, NDE_ISA_BASELINE),
};

const nde_kernels *nde_kernels_get(int isa, bool openblas) {
    if (isa == NDE_ISA_AUTO) isa = nde_isa_best();
    for (size_t i = 0; i < sizeof list/sizeof *list; i++)
        if (list[i].isa == isa && (openblas || !list[i].gemm)) return nde_isa_has(isa) ? &list[i] : NULL;
    return NULL;
}
