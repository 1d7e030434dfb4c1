/* SPDX-License-Identifier: MIT
 * ars443.c - Ascher, Ruuth and Spiteri's additive method (4,4,3) of order 3: explicit for the drift, diagonally implicit for
 * the second field, both stiffly accurate, L-stable, fixed steps. Inside a step lies the parabola through its ends that the
 * slopes of the first and last implicit stage bend. Table: imex.c, body: dirk.c. Source: U. M. Ascher, S. J. Ruuth, R. J.
 * Spiteri, Implicit-explicit Runge-Kutta methods for time-dependent partial differential equations, Appl. Numer. Math. 25
 * (1997) 151-167, 2.8. */
#include "method/method.h"

/* of the drift, and of the second field below its diagonal */
static const nde_coefficient a[] = {
    R(1, 2),
    R(11, 18), R(1, 18),
    R(5, 6), R(-5, 6), R(1, 2),
    R(1, 4), R(7, 4), R(3, 4), R(-7, 4),
};
static const nde_coefficient a2[] = {
    R(0, 1),
    R(0, 1), R(1, 6),
    R(0, 1), R(-1, 2), R(1, 2),
    R(0, 1), R(3, 2), R(-3, 2), R(1, 2),
};
static const nde_coefficient b[] = { R(1, 4), R(7, 4), R(3, 4), R(-7, 4), R(0, 1) };
static const nde_coefficient b2[] = { R(0, 1), R(3, 2), R(-3, 2), R(1, 2), R(1, 2) };
static const nde_coefficient c[] = { R(0, 1), R(1, 2), R(2, 3), R(1, 2), R(1, 1) };
static const nde_coefficient dense[] = {
    R(1, 4), R(0, 1),
    R(11, 4), R(-1, 1),
    R(3, 4), R(0, 1),
    R(-7, 4), R(0, 1),
    R(-1, 1), R(1, 1),
};
static const nde_coefficient dense2[] = {
    R(0, 1), R(0, 1),
    R(5, 2), R(-1, 1),
    R(-3, 2), R(0, 1),
    R(1, 2), R(0, 1),
    R(-1, 2), R(1, 1),
};

const nde_method nde_method_ars443 = {
    .name = "ars443", .source = "U. M. Ascher, S. J. Ruuth, R. J. Spiteri, Appl. Numer. Math. 25 (1997) 151-167",
    .kind = NDE_KIND_IMEX, .order = 3, .dense_order = 2, .stages = 5, .dense_terms = 2,
    .a = a, .a2 = a2, .b = b, .b2 = b2, .c = c, .dense = dense, .dense2 = dense2, .gamma = R(1, 2),
};
