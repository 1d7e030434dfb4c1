/* SPDX-License-Identifier: MIT
 * heun.c - Heun's method of order 2 (the explicit trapezoidal rule), with Euler's for the error.
 * Source: K. Heun, Neue Methoden zur approximativen Integration der Differentialgleichungen einer unabhaengigen
 * Veraenderlichen, Z. Math. Phys. 45 (1900) 23-38. Continuous
 * extension: theta - w theta^2, w theta^2 with w = 1/(2 c_2) are the only quadratics of order 2. */
#include "method/method.h"

static const nde_coefficient a[] = {
    R(1, 1),
};
static const nde_coefficient b[] = { R(1, 2), R(1, 2) };
static const nde_coefficient c[] = { R(0, 1), R(1, 1) };
static const nde_coefficient e[] = { R(-1, 2), R(1, 2) };
static const nde_coefficient dense[] = {
    R(1, 1), R(-1, 2),
    R(0, 1), R(1, 2),
};

const nde_method nde_method_heun = {
    .name = "heun", .source = "K. Heun, Z. Math. Phys. 45 (1900) 23-38",
    .kind = NDE_KIND_RUNGE_KUTTA, .order = 2, .error_order = 1, .dense_order = 2,
    .stages = 2, .dense_terms = 2,
    .calculus = NDE_STRATONOVICH, NDE_STRONG(2, 2, 2, 2, 1), NDE_ESTIMATE(2, 2, 3, 2, 2),
    .a = a, .b = b, .c = c, .e = e, .dense = dense,
};
