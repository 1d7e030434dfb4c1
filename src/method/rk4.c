/* SPDX-License-Identifier: MIT
 * rk4.c - the classical Runge-Kutta method, with its third-order continuous extension.
 * Source: W. Kutta, Z. Math. Phys. 46 (1901) 435-453; E. Hairer, S. P. Norsett, G. Wanner, Solving
 * Ordinary Differential Equations I (1993), II.1 table 1.2, II.6 (6.9). */
#include "method/method.h"

static const nde_coefficient a[] = {
    R(1, 2),
    R(0, 1), R(1, 2),
    R(0, 1), R(0, 1), R(1, 1),
};
static const nde_coefficient b[] = { R(1, 6), R(1, 3), R(1, 3), R(1, 6) };
static const nde_coefficient c[] = { R(0, 1), R(1, 2), R(1, 2), R(1, 1) };
static const nde_coefficient dense[] = {
    R(1, 1), R(-3, 2), R(2, 3),
    R(0, 1), R(1, 1), R(-2, 3),
    R(0, 1), R(1, 1), R(-2, 3),
    R(0, 1), R(-1, 2), R(2, 3),
};

const nde_method nde_method_rk4 = {
    .name = "rk4", .source = "W. Kutta, Z. Math. Phys. 46 (1901) 435-453",
    .kind = NDE_KIND_RUNGE_KUTTA, .order = 4, .dense_order = 3, .stages = 4, .dense_terms = 3,
    .a = a, .b = b, .c = c, .dense = dense,
};
