/* SPDX-License-Identifier: MIT
 * sriw1.c - Roessler's SRIW1: strong order 3/2 for diagonal and scalar noise in Ito's calculus. Weak order 2. Its error is
 * the difference to a method of strong order 1, which does without the integral of W, the triple one and the second drift.
 * Source: A. Roessler, Runge-Kutta methods for the strong approximation of solutions of stochastic differential equations,
 * SIAM J. Numer. Anal. 48 (2010) 922-952. */
#include "method/method.h"

static const nde_coefficient a[] = {
    0,
    0, 0,
    0, 0, 0,
    R(3, 4), 0, R(3, 2), 0,
    R(1, 4), R(1, 2), 0, 0, 0,
    R(1, 4), R(1, 2), 0, 0, 0, 0,
    R(1, 1), R(-1, 1), 0, 0, 0, 0, 0,
    R(1, 1), R(-1, 1), 0, 0, 0, 0, 0, 0,
    R(1, 4), R(-5, 1), 0, 0, 0, R(3, 1), 0, R(1, 2), 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
    0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
};
static const nde_coefficient b[] = { R(1, 3), 0, 0, R(1, 1), R(2, 3), 0, R(1, 1), 0, R(1, 1), R(1, 1), 0, 0, 0 };
static const nde_coefficient c[] = { 0, 0, 0, 0, R(3, 4), R(1, 4), R(1, 4), R(1, 1), R(1, 1), R(1, 4), 0, R(1, 4), R(1, 1) };
static const nde_coefficient e[] = { R(-2, 3), 0, 0, 0, R(2, 3), 0, 0, 0, 0, R(1, 1), R(1, 1), R(1, 1), R(1, 1) };
static const nde_drive drive[] = {
    { .w = 0 },
    { .root = R(1, 1) },
    { .area = R(1, 1), .like = 2 },
    { .w = R(-1, 1), .area = R(2, 1), .twice = R(-1, 1), .thrice = R(-2, 1), .like = 2 },
    { .w = 0 },
    { .root = R(1, 1) },
    { .w = R(4, 3), .area = R(-4, 3), .twice = R(4, 3), .thrice = R(5, 3), .like = 6 },
    { .root = R(1, 1) },
    { .w = R(2, 3), .area = R(-2, 3), .twice = R(-1, 3), .thrice = R(-2, 3), .like = 8 },
    { .thrice = R(1, 1) },
    { .area = R(2, 1), .thrice = R(-2, 1), .like = 2 },
    { .area = R(-4, 3), .thrice = R(5, 3), .like = 6 },
    { .area = R(-2, 3), .thrice = R(-2, 3), .like = 8 },
};

const nde_method nde_method_sriw1 = {
    .name = "sriw1", .source = "A. Roessler, SIAM J. Numer. Anal. 48 (2010) 922-952",
    .kind = NDE_KIND_STOCHASTIC, .order = 2, .error_order = 1, .dense_order = 1, .stages = 13, .dense_terms = 1,
    .calculus = NDE_ITO, NDE_STRONG(3, 3, 0, 0, 0), NDE_ESTIMATE(3, 3, 0, 0, 0),
    .a = a, .b = b, .c = c, .e = e, .dense = b, .drive = drive,
};
