/* SPDX-License-Identifier: MIT
 * kvaerno5.c - Kvaerno's stiffly accurate method of order 5(4) with an explicit first stage, L-stable; the embedded solution
 * is stiffly accurate too. The third stage lies beyond the step, at 1.23 of it. Body: dirk.c. Source: A. Kvaerno, Singly
 * diagonally implicit Runge-Kutta methods with an explicit first stage, BIT Numer. Math. 44 (2004) 489-502, method 5/4, to
 * whose 16 digits the conditions hold. */
#include "method/method.h"

#define GAMMA D(0.26)
/* of the last stage, which is y+, and of the one before it, which is the embedded solution */
#define B1 D(0.13659751177640291)
#define B2 R(0, 1)
#define B3 -D(0.05496908796538376)
#define B4 -D(0.04118626728321046)
#define B5 D(0.62993304899016403)
#define B6 D(0.06962479448202728)
#define E1 D(0.13855640231268224)
#define E2 R(0, 1)
#define E3 -D(0.04245337201752043)
#define E4 D(0.02446657898003141)
#define E5 D(0.61943039072480676)

static const nde_coefficient a[] = {
    GAMMA,
    D(0.13), D(0.84033320996790809),
    D(0.22371961478320505), D(0.47675532319799699), -D(0.06470895363112615),
    D(0.16648564323248321), D(0.10450018841591720), D(0.03631482272098715), -D(0.13090704451073998),
    E1, E2, E3, E4, E5,
    B1, B2, B3, B4, B5, B6,
};
static const nde_coefficient b[] = { B1, B2, B3, B4, B5, B6, GAMMA };
static const nde_coefficient c[] = {
    R(0, 1), D(0.52), D(1.23033320996790809), D(0.89576598435007589), D(0.43639360985864758), R(1, 1), R(1, 1),
};
static const nde_coefficient e[] = { B1 - E1, B2 - E2, B3 - E3, B4 - E4, B5 - E5, B6 - GAMMA, GAMMA };
/* Hermite's cubic: y + theta^2 (3 - 2 theta) (y+ - y) + h theta (1 - theta)^2 F(t, y) - h theta^2 (1 - theta) F(t + h, y+). */
static const nde_coefficient dense[] = {
    R(1, 1), R(3, 1)*B1 - R(2, 1), R(1, 1) - R(2, 1)*B1,
    R(0, 1), R(3, 1)*B2, R(-2, 1)*B2,
    R(0, 1), R(3, 1)*B3, R(-2, 1)*B3,
    R(0, 1), R(3, 1)*B4, R(-2, 1)*B4,
    R(0, 1), R(3, 1)*B5, R(-2, 1)*B5,
    R(0, 1), R(3, 1)*B6, R(-2, 1)*B6,
    R(0, 1), R(3, 1)*GAMMA - R(1, 1), R(1, 1) - R(2, 1)*GAMMA,
};

const nde_method nde_method_kvaerno5 = {
    .name = "kvaerno5", .source = "A. Kvaerno, BIT Numer. Math. 44 (2004) 489-502",
    .kind = NDE_KIND_DIRK, .order = 5, .error_order = 4, .dense_order = 3, .stages = 7, .dense_terms = 3,
    .first_same_as_last = true, .partners = 1, .partner = NDE_PARTNER_SLOPE,
    .a = a, .b = b, .c = c, .e = e, .dense = dense, .gamma = GAMMA,
};
