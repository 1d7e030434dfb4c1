/* SPDX-License-Identifier: MIT
 * both.h - one test text for both precisions: the build includes it first, with NDE_TEST_SINGLE defined in the float build,
 * where nde_x is ndef_x and nde_real is float. */
#ifndef NDE_TESTS_BOTH_H
#define NDE_TESTS_BOTH_H

#include <float.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#ifdef NDE_TEST_SINGLE
#include "ndef.h"
#include "single_names.h"
#define NDE_TEST_EPS ((double)FLT_EPSILON)
#else
#include "nde.h"
#define NDE_TEST_EPS DBL_EPSILON
#endif

#endif
