/* SPDX-License-Identifier: MIT
 * isa.c - which instruction sets were compiled in, and which this machine has. */
#include "core/isa.h"
#include "core/core.h"

#define TEXT_(x) #x
#define TEXT(x) TEXT_(x)
#define VERSION TEXT(NDE_VERSION_MAJOR) "." TEXT(NDE_VERSION_MINOR) "." TEXT(NDE_VERSION_PATCH)
#ifdef NDE_HAVE_OPENBLAS
#define BLAS "OpenBLAS if it is here"
#else
#define BLAS "no BLAS"
#endif
#ifdef NDE_HAVE_V4
#define COMPILED "baseline, v3, v4"
#else
#define COMPILED "baseline"
#endif
#ifdef __clang__
#define COMPILER "clang"
#else
#define COMPILER "gcc"
#endif
#define INFO(best) "libnde " VERSION "; kernels: " COMPILED ", in use: " best "; " BLAS "; " COMPILER " " __VERSION__

bool nde_isa_has(int isa) {
    switch (isa) {
    case NDE_ISA_BASELINE: return true;
#ifdef NDE_HAVE_V3
    case NDE_ISA_V3:
        return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("bmi") &&
            __builtin_cpu_supports("bmi2");
#endif
#ifdef NDE_HAVE_V4
    case NDE_ISA_V4:
        return nde_isa_has(NDE_ISA_V3) && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
            __builtin_cpu_supports("avx512cd") && __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl");
#endif
    default: return false;
    }
}

int nde_isa_best(void) {
    return nde_isa_has(NDE_ISA_V4) ? NDE_ISA_V4 : nde_isa_has(NDE_ISA_V3) ? NDE_ISA_V3 : NDE_ISA_BASELINE;
}

const char *nde_build_info(void) {
    switch (nde_isa_best()) {
    case NDE_ISA_V4: return INFO("v4");
    case NDE_ISA_V3: return INFO("v3");
    default: return INFO("baseline");
    }
}
