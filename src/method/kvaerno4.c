/* SPDX-License-Identifier: MIT
 * kvaerno4.c - Kvaerno's stiffly accurate method of order 4(3) with an explicit first stage, L-stable; the embedded solution
 * is stiffly accurate too. The second stage lies beyond the step, at 1.15 of it. Body: dirk.c. Source: A. Kvaerno, Singly
 * diagonally implicit Runge-Kutta methods with an explicit first stage, BIT Numer. Math. 44 (2004) 489-502, method 4/3, whose
 * coefficients are functions of gamma. */
#include "method/method.h"

#define GAMMA D(0.57281606248213485540800138497676834093151) /* a root of 24 g^4 - 96 g^3 + 72 g^2 - 16 g + 1 */
/* of the last stage, which is y+, and of the one before it, which is the embedded solution */
#define B1 D(0.19721654831283499583755028699908795700702)
#define B2 D(0.17684378390637218603182416259914355124176)
#define B3 D(0.81544218135083844739818254520968013158999)
#define B4 -D(0.76231857605218048467555837978467998077029)
#define E1 D(0.26260329025269581808130035583375805006341)
#define E2 -D(0.31190432742056315302346734488652298929526)
#define E3 D(0.47648497468573247953416560407599659830035)

static const nde_coefficient a[] = {
    GAMMA,
    D(0.16723546202721075075115911336484296027045), -D(0.14294653685703411323586023624363949011473),
    E1, E2, E3,
    B1, B2, B3, B4,
};
static const nde_coefficient b[] = { B1, B2, B3, B4, GAMMA };
static const nde_coefficient c[] = { R(0, 1), R(2, 1)*GAMMA, D(0.59710498765231149292330026209797181108724), R(1, 1), R(1, 1) };
static const nde_coefficient e[] = { B1 - E1, B2 - E2, B3 - E3, B4 - GAMMA, GAMMA };
/* Hermite's cubic: y + theta^2 (3 - 2 theta) (y+ - y) + h theta (1 - theta)^2 F(t, y) - h theta^2 (1 - theta) F(t + h, y+). */
static const nde_coefficient dense[] = {
    R(1, 1), R(3, 1)*B1 - R(2, 1), R(1, 1) - R(2, 1)*B1,
    R(0, 1), R(3, 1)*B2, R(-2, 1)*B2,
    R(0, 1), R(3, 1)*B3, R(-2, 1)*B3,
    R(0, 1), R(3, 1)*B4, R(-2, 1)*B4,
    R(0, 1), R(3, 1)*GAMMA - R(1, 1), R(1, 1) - R(2, 1)*GAMMA,
};

const nde_method nde_method_kvaerno4 = {
    .name = "kvaerno4", .source = "A. Kvaerno, BIT Numer. Math. 44 (2004) 489-502",
    .kind = NDE_KIND_DIRK, .order = 4, .error_order = 3, .dense_order = 3, .stages = 5, .dense_terms = 3,
    .first_same_as_last = true, .partners = 1, .partner = NDE_PARTNER_SLOPE,
    .a = a, .b = b, .c = c, .e = e, .dense = dense, .gamma = GAMMA,
};
