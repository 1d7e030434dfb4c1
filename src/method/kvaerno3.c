/* SPDX-License-Identifier: MIT
 * kvaerno3.c - Kvaerno's stiffly accurate method of order 3(2) with an explicit first stage, L-stable; the embedded solution
 * is stiffly accurate too. Body: dirk.c. Source: A. Kvaerno, Singly diagonally implicit Runge-Kutta methods with an explicit
 * first stage, BIT Numer. Math. 44 (2004) 489-502, method 3/2, whose coefficients are functions of gamma. */
#include "method/method.h"

#define GAMMA D(0.43586652150845899941601945119355684252929) /* a root of 6 g^3 - 18 g^2 + 9 g - 1 */
/* of the last stage, which is y+, and of the one before it, which is the embedded solution */
#define B1 D(0.30880996997674652334816246988670051092001)
#define B2 D(1.4905633884217805706284679584665446902307)
#define B3 -D(1.23523987990698609339264987954680204368)
#define E1 D(0.49056338842178057062846795846654469023074)
#define E2 D(0.073570090069760429955512590339898467239965)

static const nde_coefficient a[] = {
    GAMMA,
    E1, E2,
    B1, B2, B3,
};
static const nde_coefficient b[] = { B1, B2, B3, GAMMA };
static const nde_coefficient c[] = { R(0, 1), R(2, 1)*GAMMA, R(1, 1), R(1, 1) };
static const nde_coefficient e[] = { B1 - E1, B2 - E2, B3 - GAMMA, GAMMA };
/* Hermite's cubic: y + theta^2 (3 - 2 theta) (y+ - y) + h theta (1 - theta)^2 F(t, y) - h theta^2 (1 - theta) F(t + h, y+). */
static const nde_coefficient dense[] = {
    R(1, 1), R(3, 1)*B1 - R(2, 1), R(1, 1) - R(2, 1)*B1,
    R(0, 1), R(3, 1)*B2, R(-2, 1)*B2,
    R(0, 1), R(3, 1)*B3, R(-2, 1)*B3,
    R(0, 1), R(3, 1)*GAMMA - R(1, 1), R(1, 1) - R(2, 1)*GAMMA,
};

const nde_method nde_method_kvaerno3 = {
    .name = "kvaerno3", .source = "A. Kvaerno, BIT Numer. Math. 44 (2004) 489-502",
    .kind = NDE_KIND_DIRK, .order = 3, .error_order = 2, .dense_order = 3, .stages = 4, .dense_terms = 3,
    .first_same_as_last = true, .partners = 1, .partner = NDE_PARTNER_SLOPE,
    .a = a, .b = b, .c = c, .e = e, .dense = dense, .gamma = GAMMA,
};
