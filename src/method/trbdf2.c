/* SPDX-License-Identifier: MIT
 * trbdf2.c - the trapezoidal rule over 2 - sqrt 2 of the step, then the backward differentiation formula of order 2, as a
 * diagonally implicit method with an embedded one of order 3, whose difference goes through W^-1. L-stable. Body: dirk.c.
 * Source: M. E. Hosea, L. F. Shampine, Analysis and implementation of TR-BDF2, Appl. Numer. Math. 20 (1996) 21-37. */
#include "method/method.h"

#define GAMMA D(0.29289321881345247559915563789515096071516) /* 1 - sqrt 2/2 */
#define WEIGHT D(0.35355339059327376220042218105242451964242) /* sqrt 2/4 */

/* F(t, y), the error, two stages */
static const nde_coefficient a[] = {
    R(0, 1),
    GAMMA, R(0, 1),
    WEIGHT, R(0, 1), WEIGHT,
};
static const nde_coefficient b[] = { WEIGHT, R(0, 1), WEIGHT, GAMMA };
static const nde_coefficient c[] = { R(0, 1), R(0, 1), R(2, 1)*GAMMA, R(1, 1) };
static const nde_coefficient e[] = { D(0.13807118745769834960056290806989935952322), R(0, 1), R(-1, 3), R(2, 3)*GAMMA };
/* Hermite's cubic: y + theta^2 (3 - 2 theta) (y+ - y) + h theta (1 - theta)^2 F(t, y) - h theta^2 (1 - theta) F(t + h, y+). */
static const nde_coefficient dense[] = {
    R(1, 1), R(3, 1)*WEIGHT - R(2, 1), R(1, 1) - R(2, 1)*WEIGHT,
    R(0, 1), R(0, 1), R(0, 1),
    R(0, 1), R(3, 1)*WEIGHT, R(-2, 1)*WEIGHT,
    R(0, 1), R(3, 1)*GAMMA - R(1, 1), R(1, 1) - R(2, 1)*GAMMA,
};

const nde_method nde_method_trbdf2 = {
    .name = "trbdf2", .source = "M. E. Hosea, L. F. Shampine, Appl. Numer. Math. 20 (1996) 21-37",
    .kind = NDE_KIND_DIRK, .order = 2, .error_order = 3, .dense_order = 2, .stages = 4, .dense_terms = 3,
    .first_same_as_last = true, .partners = 1, .partner = NDE_PARTNER_SLOPE, .filtered = true,
    .a = a, .b = b, .c = c, .e = e, .dense = dense, .gamma = GAMMA,
};
