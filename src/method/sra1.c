/* SPDX-License-Identifier: MIT
 * sra1.c - Roessler's SRA1: strong order 3/2 for additive noise, of which it takes the integral of W too. Weak order 2.
 * Its error is the difference to Euler-Maruyama's method with the noise at the end of the step.
 * Source: A. Roessler, Runge-Kutta methods for the strong approximation of solutions of stochastic differential equations,
 * SIAM J. Numer. Anal. 48 (2010) 922-952. */
#include "method/method.h"

static const nde_coefficient a[] = {
    0,
    R(3, 4), R(3, 2),
    0, 0, 0,
    0, 0, 0, 0,
};
static const nde_coefficient b[] = { R(1, 3), R(-1, 1), R(2, 3), R(1, 1), R(1, 1) };
static const nde_coefficient c[] = { 0, R(1, 1), R(3, 4), R(1, 1), 0 };
static const nde_coefficient e[] = { R(-2, 3), R(-1, 1), R(2, 3), 0, R(1, 1) };
static const nde_drive drive[] = {
    { .w = 0 },
    { .area = R(1, 1) },
    { .w = 0 },
    { .w = R(1, 1) },
    { .area = R(1, 1) },
};

const nde_method nde_method_sra1 = {
    .name = "sra1", .source = "A. Roessler, SIAM J. Numer. Anal. 48 (2010) 922-952",
    .kind = NDE_KIND_STOCHASTIC, .order = 2, .error_order = 1, .dense_order = 1, .stages = 5, .dense_terms = 1,
    .calculus = NDE_ITO | NDE_STRATONOVICH, NDE_STRONG(0, 0, 3, 0, 0), NDE_ESTIMATE(0, 0, 3, 0, 0),
    .a = a, .b = b, .c = c, .e = e, .dense = b, .drive = drive,
};
