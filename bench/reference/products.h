/* SPDX-License-Identifier: MIT
 * products.h - a reference's OpenBLAS is held to the instruction set that the reference is compiled for. */
#ifndef NDE_BENCH_PRODUCTS_H
#define NDE_BENCH_PRODUCTS_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Starts the program again where OpenBLAS, which reads this when it is loaded and may not know the CPU, has others; false: that
 * failed. */
static bool has_own_products(char **argv) {
#ifdef __AVX512F__
    const char *kernels = "SkylakeX";
#else
    const char *kernels = "Haswell";
#endif
    const char *set = getenv("OPENBLAS_CORETYPE");
    if (set && strcmp(set, kernels) == 0) return true;
    setenv("OPENBLAS_CORETYPE", kernels, 1);
    execv("/proc/self/exe", argv);
    return false;
}

#endif
