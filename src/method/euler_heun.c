/* SPDX-License-Identifier: MIT
 * euler_heun.c - the explicit trapezoidal rule for the noise, Euler's method for the drift; for Stratonovich equations.
 * With commutative noise it has the order of Milstein's method, without derivatives.
 * Source: P. Kloeden, E. Platen, Numerical Solution of Stochastic Differential Equations (1992), 11.1; T. Roberts, Modify
 * the improved Euler scheme to integrate stochastic differential equations, arXiv 1210.0933 (2012). */
#include "method/method.h"

static const nde_coefficient a[] = {
    R(0, 1),
    R(0, 1), R(1, 1),
};
static const nde_coefficient b[] = { R(1, 1), R(1, 2), R(1, 2) };
static const nde_coefficient c[] = { R(0, 1), R(0, 1), R(1, 1) };
static const nde_drive drive[] = { { .w = 0 }, { .w = R(1, 1) }, { .w = R(1, 1) } };

const nde_method nde_method_euler_heun = {
    .name = "euler_heun",
        .source = "P. Kloeden, E. Platen, Numerical Solution of Stochastic Differential Equations (1992), 11.1",
    .kind = NDE_KIND_STOCHASTIC, .order = 1, .dense_order = 1, .stages = 3, .dense_terms = 1,
    .calculus = NDE_STRATONOVICH, NDE_STRONG(2, 2, 2, 2, 1),
    .a = a, .b = b, .c = c, .dense = b, .drive = drive,
};
