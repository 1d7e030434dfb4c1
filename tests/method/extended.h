/* SPDX-License-Identifier: MIT
 * extended.h - real numbers of at least 113 bits, and the macros that let a method's file be read
 * in them. The build of tables.c with NDE_TEST_EXTENDED includes this first in every file: there a
 * method's table is what its source says. */
#ifndef NDE_TESTS_EXTENDED_H
#define NDE_TESTS_EXTENDED_H

#include <float.h>

#if LDBL_MANT_DIG >= 113
typedef long double extended;
#define EXTENDED(x) x##L
#else
__extension__ typedef __float128 extended;
#define EXTENDED(x) __extension__ x##Q
#endif

#ifdef NDE_TEST_EXTENDED
typedef extended nde_coefficient;
#define R(p, q) ((extended)(p)/(extended)(q))
#define D(x) (EXTENDED(x))
#endif

#endif
