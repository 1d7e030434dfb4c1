/* SPDX-License-Identifier: MIT
 * ralston.c - Ralston's method of order 2, with the smallest bound of the error, and Euler's method for its estimate.
 * Source: A. Ralston, Runge-Kutta methods with minimum error bounds, Math. Comp. 16 (1962) 431-437. Continuous
 * extension: theta - w theta^2, w theta^2 with w = 1/(2 c_2) are the only quadratics of order 2. */
#include "method/method.h"

static const nde_coefficient a[] = {
    R(2, 3),
};
static const nde_coefficient b[] = { R(1, 4), R(3, 4) };
static const nde_coefficient c[] = { R(0, 1), R(2, 3) };
static const nde_coefficient e[] = { R(-3, 4), R(3, 4) };
static const nde_coefficient dense[] = {
    R(1, 1), R(-3, 4),
    R(0, 1), R(3, 4),
};

const nde_method nde_method_ralston = {
    .name = "ralston", .source = "A. Ralston, Math. Comp. 16 (1962) 431-437",
    .kind = NDE_KIND_RUNGE_KUTTA, .order = 2, .error_order = 1, .dense_order = 2,
    .stages = 2, .dense_terms = 2,
    .calculus = NDE_STRATONOVICH, NDE_STRONG(2, 2, 2, 2, 1), NDE_ESTIMATE(2, 2, 3, 2, 2),
    .a = a, .b = b, .c = c, .e = e, .dense = dense,
};
