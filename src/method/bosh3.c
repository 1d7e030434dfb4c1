/* SPDX-License-Identifier: MIT
 * bosh3.c - Bogacki-Shampine 3(2), first same as last; continuous extension: the cubic Hermite
 * polynomial.
 * Source: P. Bogacki, L. F. Shampine, A 3(2) pair of Runge-Kutta formulas, Appl. Math. Lett. 2
 * (1989) 321-325. */
#include "method/method.h"

static const nde_coefficient a[] = {
    R(1, 2),
    R(0, 1), R(3, 4),
    R(2, 9), R(1, 3), R(4, 9),
};
static const nde_coefficient b[] = { R(2, 9), R(1, 3), R(4, 9), R(0, 1) };
static const nde_coefficient c[] = { R(0, 1), R(1, 2), R(3, 4), R(1, 1) };
static const nde_coefficient e[] = { R(-5, 72), R(1, 12), R(1, 9), R(-1, 8) };
static const nde_coefficient dense[] = {
    R(1, 1), R(-4, 3), R(5, 9),
    R(0, 1), R(1, 1), R(-2, 3),
    R(0, 1), R(4, 3), R(-8, 9),
    R(0, 1), R(-1, 1), R(1, 1),
};

const nde_method nde_method_bosh3 = {
    .name = "bosh3", .source = "P. Bogacki, L. F. Shampine, Appl. Math. Lett. 2 (1989) 321-325",
    .kind = NDE_KIND_RUNGE_KUTTA, .order = 3, .error_order = 2, .dense_order = 3,
    .stages = 4, .dense_terms = 3, .first_same_as_last = true,
    .a = a, .b = b, .c = c, .e = e, .dense = dense,
};
