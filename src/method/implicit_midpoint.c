/* SPDX-License-Identifier: MIT
 * implicit_midpoint.c - the implicit midpoint rule: symmetric, symplectic, A-stable, fixed steps. F(t, y) serves as a first
 * guess and for values inside the step. Body: dirk.c. Source: E. Hairer, C. Lubich, G. Wanner, Geometric Numerical Integration
 * (2006), II.1.1, VI.4.1. */
#include "method/method.h"

static const nde_coefficient a[] = { R(0, 1) };
static const nde_coefficient b[] = { R(0, 1), R(1, 1) };
static const nde_coefficient c[] = { R(0, 1), R(1, 2) };
static const nde_coefficient dense[] = {
    R(1, 1), R(-1, 1),
    R(0, 1), R(1, 1),
};

const nde_method nde_method_implicit_midpoint = {
    .name = "implicit_midpoint", .source = "E. Hairer, C. Lubich, G. Wanner, Geometric Numerical Integration (2006)",
    .kind = NDE_KIND_DIRK, .order = 2, .dense_order = 2, .stages = 2, .dense_terms = 2,
    .a = a, .b = b, .c = c, .dense = dense, .gamma = R(1, 2),
};
