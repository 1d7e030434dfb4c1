/* SPDX-License-Identifier: MIT
 * kernels.c - the kernels of each instruction set that was compiled in. */
#include "core/kernels.h"
#include "controller/clock.h"
#include "core/isa.h"
#include "core/step.h"
#include "core/dense.h"

#define KERNELS(isa_name, number, never_blas) \
    { .name = #isa_name, .isa = number, .reproducible = never_blas, .clock = &nde_clock_kernels_##isa_name, \
      .step = &nde_step_kernels_##isa_name, .dense = &nde_dense_kernels_##isa_name }

static const nde_kernels list[] = { /* best first */
#ifdef NDE_HAVE_V4
    KERNELS(v4, NDE_ISA_V4, false), KERNELS(v4, NDE_ISA_V4, true),
#endif
#ifdef NDE_HAVE_V3
    KERNELS(v3, NDE_ISA_V3, false), KERNELS(v3, NDE_ISA_V3, true),
#endif
    KERNELS(baseline, NDE_ISA_BASELINE, false), KERNELS(baseline, NDE_ISA_BASELINE, true),
};

const nde_kernels *nde_kernels_get(int isa, bool reproducible) {
    if (isa == NDE_ISA_AUTO) isa = nde_isa_best();
    for (size_t i = 0; i < sizeof list/sizeof *list; i++)
        if (list[i].isa == isa && list[i].reproducible == reproducible) return nde_isa_has(isa) ? &list[i] : NULL;
    return NULL;
}
