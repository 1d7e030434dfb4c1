/* SPDX-License-Identifier: MIT
 * implicit_euler.c - backward Euler with an error estimate: the difference from the trapezoidal rule, through W^-1, since it
 * grows with stiffness itself. Body: dirk.c. Source: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996),
 * IV.3, IV.8 (8.19). */
#include "method/method.h"

/* F(t, y), the error, F(t + h, y+) */
static const nde_coefficient a[] = {
    R(0, 1),
    R(0, 1), R(0, 1),
};
static const nde_coefficient b[] = { R(0, 1), R(0, 1), R(1, 1) };
static const nde_coefficient c[] = { R(0, 1), R(0, 1), R(1, 1) };
static const nde_coefficient e[] = { R(-1, 2), R(0, 1), R(1, 2) };
static const nde_coefficient dense[] = { R(0, 1), R(0, 1), R(1, 1) };

const nde_method nde_method_implicit_euler = {
    .name = "implicit_euler", .source = "E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996)",
    .kind = NDE_KIND_DIRK, .order = 1, .error_order = 2, .dense_order = 1, .stages = 3, .dense_terms = 1,
    .first_same_as_last = true, .partners = 1, .partner = NDE_PARTNER_SLOPE, .filtered = true,
    .a = a, .b = b, .c = c, .e = e, .dense = dense, .gamma = R(1, 1),
};
