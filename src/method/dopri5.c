/* SPDX-License-Identifier: MIT
 * dopri5.c - Dormand-Prince 5(4), first same as last, with Shampine's fourth-order continuous
 * extension.
 * Source: J. R. Dormand, P. J. Prince, A family of embedded Runge-Kutta formulae, J. Comput. Appl.
 * Math. 6 (1980) 19-26; E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential
 * Equations I (1993), II.5 table 5.2, II.6, DOPRI5. */
#include "method/method.h"

static const nde_coefficient a[] = {
    R(1, 5),
    R(3, 40), R(9, 40),
    R(44, 45), R(-56, 15), R(32, 9),
    R(19372, 6561), R(-25360, 2187), R(64448, 6561), R(-212, 729),
    R(9017, 3168), R(-355, 33), R(46732, 5247), R(49, 176), R(-5103, 18656),
    R(35, 384), R(0, 1), R(500, 1113), R(125, 192), R(-2187, 6784), R(11, 84),
};
static const nde_coefficient b[] = {
    R(35, 384), R(0, 1), R(500, 1113), R(125, 192), R(-2187, 6784), R(11, 84), R(0, 1),
};
static const nde_coefficient c[] = {
    R(0, 1), R(1, 5), R(3, 10), R(4, 5), R(8, 9), R(1, 1), R(1, 1),
};
static const nde_coefficient e[] = {
    R(71, 57600), R(0, 1), R(-71, 16695), R(71, 1920), R(-17253, 339200), R(22, 525), R(-1, 40),
};

/* Hairer's form y + theta (r1 + (1 - theta)(r2 + theta (r3 + (1 - theta) h sum d_i k_i))) in
 * powers of theta: one row a stage from its b, its d, and whether it is the first or the last. */
#define ROW(b, d, first, last) \
    R(first, 1), 3*(b) - R(2*(first) + (last), 1) + (d), -2*(b) + R((first) + (last), 1) - 2*(d), d
static const nde_coefficient dense[] = {
    ROW(R(35, 384), R(-12715105075, 11282082432), 1, 0),
    ROW(R(0, 1), R(0, 1), 0, 0),
    ROW(R(500, 1113), R(87487479700, 32700410799), 0, 0),
    ROW(R(125, 192), R(-10690763975, 1880347072), 0, 0),
    ROW(R(-2187, 6784), R(701980252875, 199316789632), 0, 0),
    ROW(R(11, 84), R(-1453857185, 822651844), 0, 0),
    ROW(R(0, 1), R(69997945, 29380423), 0, 1),
};

const nde_method nde_method_dopri5 = {
    .name = "dopri5",
    .source = "J. R. Dormand, P. J. Prince, J. Comput. Appl. Math. 6 (1980) 19-26",
    .kind = NDE_KIND_RUNGE_KUTTA, .order = 5, .error_order = 4, .dense_order = 4,
    .stages = 7, .dense_terms = 4, .first_same_as_last = true,
    .a = a, .b = b, .c = c, .e = e, .dense = dense,
};
