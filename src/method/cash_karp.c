/* SPDX-License-Identifier: MIT
 * cash_karp.c - Cash-Karp 5(4), first same as last by the slope at the end (stage 7: it costs nothing); continuous
 * extension of order 4.
 * Source: J. R. Cash, A. H. Karp, A variable order Runge-Kutta method for initial value problems with rapidly varying
 * right-hand sides, ACM Trans. Math. Softw. 16 (1990) 201-222.
 * Extension: the quartics that meet all conditions of order 4 and have the slopes of both ends leave one number free;
 * this is the choice with the smallest squared residual of order 5, summed over its trees and integrated over the step.
 * Solved in fractions. */
#include "method/method.h"

static const nde_coefficient a[] = {
    R(1, 5),
    R(3, 40), R(9, 40),
    R(3, 10), R(-9, 10), R(6, 5),
    R(-11, 54), R(5, 2), R(-70, 27), R(35, 27),
    R(1631, 55296), R(175, 512), R(575, 13824), R(44275, 110592), R(253, 4096),
    R(37, 378), R(0, 1), R(250, 621), R(125, 594), R(0, 1), R(512, 1771),
};
static const nde_coefficient b[] = { R(37, 378), R(0, 1), R(250, 621), R(125, 594), R(0, 1), R(512, 1771), R(0, 1) };
static const nde_coefficient c[] = { R(0, 1), R(1, 5), R(3, 10), R(3, 5), R(1, 1), R(7, 8), R(1, 1) };
static const nde_coefficient e[] = {
    R(-277, 64512), R(0, 1), R(6925, 370944), R(-6925, 202752), R(-277, 14336), R(277, 7084), R(0, 1),
};
static const nde_coefficient dense[] = {
    R(1, 1), R(-10405, 3843), R(32357, 11529), R(-855, 854),
    R(0, 1), R(0, 1), R(0, 1), R(0, 1),
    R(0, 1), R(308500, 88389), R(-1424000, 265167), R(67250, 29463),
    R(0, 1), R(5875, 24156), R(12875, 36234), R(-3125, 8052),
    R(0, 1), R(235, 1708), R(-235, 854), R(235, 1708),
    R(0, 1), R(-287744, 108031), R(700416, 108031), R(-381440, 108031),
    R(0, 1), R(3, 2), R(-4, 1), R(5, 2),
};

const nde_method nde_method_cash_karp = {
    .name = "cash_karp", .source = "J. R. Cash, A. H. Karp, ACM Trans. Math. Softw. 16 (1990) 201-222",
    .kind = NDE_KIND_RUNGE_KUTTA, .order = 5, .error_order = 4, .dense_order = 4,
    .stages = 7, .dense_terms = 4, .first_same_as_last = true,
    .a = a, .b = b, .c = c, .e = e, .dense = dense,
};
