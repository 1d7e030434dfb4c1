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

/* Does it solve its stages by Newton's method, along one field? */
static inline bool test_iterates(const nde_method *m) {
    return nde_method_kind(m) == NDE_KIND_DIRK || nde_method_kind(m) == NDE_KIND_COLLOCATION;
}

#endif
