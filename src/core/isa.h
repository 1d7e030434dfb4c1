/* SPDX-License-Identifier: MIT
 * isa.h - which instruction set a kernel file is compiled for. Kernel files are compiled once for each: Meson passes
 * -DNDE_ISA_SUFFIX=_baseline, _v3 or _v4 with the matching -march. Each exports one table: NDE_ISA_NAME(nde_step_kernels). */
#ifndef NDE_ISA_H
#define NDE_ISA_H

#ifdef __FAST_MATH__
#error "libnde promises bits: -ffast-math is refused"
#endif

#define NDE_JOIN_(a, b) a##b
#define NDE_JOIN(a, b) NDE_JOIN_(a, b)
#ifdef NDE_ISA_SUFFIX
#define NDE_ISA_NAME(name) NDE_JOIN(name, NDE_ISA_SUFFIX)
#endif

#include <stdbool.h>

/* Was this instruction set (NDE_ISA_*) compiled in, and does this machine have it? The best of them. */
bool nde_isa_has(int isa);
int nde_isa_best(void);

/* The next loop's iterations do not depend on each other. */
#ifdef __clang__
#define NDE_IVDEP _Pragma("clang loop vectorize(assume_safety)")
#else
#define NDE_IVDEP _Pragma("GCC ivdep")
#endif

/* A function whose loops stay scalar. clang knows it for single loops only. */
#ifdef __clang__
#define NDE_SCALAR
#else
#define NDE_SCALAR __attribute__((optimize("no-tree-vectorize")))
#endif

/* Bytes of a native vector. */
#if defined(__AVX512F__)
#define NDE_VECTOR_BYTES 64
#elif defined(__AVX2__)
#define NDE_VECTOR_BYTES 32
#else
#define NDE_VECTOR_BYTES 16
#endif

/* A fused product where the instruction set has one; a*b + c in the baseline build. Works on scalars; loops vectorise. */
#if defined(__FMA__) || defined(__aarch64__)
#define nde_fma(a, b, c) _Generic((a), float: __builtin_fmaf, default: __builtin_fma)((a), (b), (c))
#else
#define nde_fma(a, b, c) ((a)*(b) + (c))
#endif

#endif
