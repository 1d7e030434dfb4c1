/* SPDX-License-Identifier: MIT
 * ars222.c - Ascher, Ruuth and Spiteri's additive method (2,2,2) of order 2: explicit for the drift, diagonally implicit for
 * the second field, both stiffly accurate, L-stable, fixed steps. Inside a step lies the parabola through its ends that the
 * slopes of the first and last implicit stage bend. Table: imex.c, body: dirk.c. Source: U. M. Ascher, S. J. Ruuth, R. J.
 * Spiteri, Implicit-explicit Runge-Kutta methods for time-dependent partial differential equations, Appl. Numer. Math. 25
 * (1997) 151-167, 2.6. */
#include "method/method.h"

#define GAMMA D(0.29289321881345247559915563789515096071516) /* 1 - 1/sqrt 2 */
#define DELTA D(-0.7071067811865475244008443621048490392848) /* 1 - 1/(2 gamma) */
#define BEND D(0.7071067811865475244008443621048490392848) /* 1/(2 (1 - gamma)) */

/* of the drift, and of the second field below its diagonal */
static const nde_coefficient a[] = {
    GAMMA,
    DELTA, R(1, 1) - DELTA,
};
static const nde_coefficient a2[] = {
    R(0, 1),
    R(0, 1), R(1, 1) - GAMMA,
};
static const nde_coefficient b[] = { DELTA, R(1, 1) - DELTA, R(0, 1) };
static const nde_coefficient b2[] = { R(0, 1), R(1, 1) - GAMMA, GAMMA };
static const nde_coefficient c[] = { R(0, 1), GAMMA, R(1, 1) };
static const nde_coefficient dense[] = {
    DELTA, R(0, 1),
    R(1, 1) - DELTA + BEND, -BEND,
    -BEND, BEND,
};
static const nde_coefficient dense2[] = {
    R(0, 1), R(0, 1),
    R(1, 1) - GAMMA + BEND, -BEND,
    GAMMA - BEND, BEND,
};

const nde_method nde_method_ars222 = {
    .name = "ars222", .source = "U. M. Ascher, S. J. Ruuth, R. J. Spiteri, Appl. Numer. Math. 25 (1997) 151-167",
    .kind = NDE_KIND_IMEX, .order = 2, .dense_order = 2, .stages = 3, .dense_terms = 2,
    .a = a, .a2 = a2, .b = b, .b2 = b2, .c = c, .dense = dense, .dense2 = dense2, .gamma = GAMMA,
};
