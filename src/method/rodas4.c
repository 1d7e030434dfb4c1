/* SPDX-License-Identifier: MIT
 * rodas4.c - Hairer and Wanner's stiffly accurate Rosenbrock method of order 4(3), L-stable. Body: rosenbrock.c.
 * Source: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), IV.7 and the program RODAS, to whose 16
 * digits
 * the conditions hold. */
#include "method/method.h"

static const nde_coefficient a[] = {
    D(1.544),
    D(0.9466785280815826), D(0.2557011698983284),
    D(3.314825187068521), D(2.896124015972201), D(0.9986419139977817),
    D(1.221224509226641), D(6.019134481288629), D(12.53708332932087), D(-0.687886036105895),
    D(1.221224509226641), D(6.019134481288629), D(12.53708332932087), D(-0.687886036105895), R(1, 1),
};
static const nde_coefficient coupling[] = {
    D(-5.6688),
    D(-2.430093356833875), D(-0.2063599157091915),
    D(-0.1073529058151375), D(-9.594562251023355), D(-20.47028614809616),
    D(7.496443313967647), D(-10.24680431464352), D(-33.99990352819905), D(11.7089089320616),
    D(8.083246795921522), D(-7.981132988064893), D(-31.52159432874371), D(16.31930543123136), D(-6.058818238834054),
};
static const nde_coefficient b[] = {
    D(1.221224509226641), D(6.019134481288629), D(12.53708332932087), D(-0.687886036105895), R(1, 1), R(1, 1),
};
static const nde_coefficient c[] = {
    R(0, 1), D(0.386), D(0.21), D(0.63), R(1, 1), R(1, 1),
};
static const nde_coefficient lift[] = {
    D(0.25), D(-0.1043), D(0.1035), D(-0.0362), R(0, 1), R(0, 1),
};
static const nde_coefficient e[] = { R(0, 1), R(0, 1), R(0, 1), R(0, 1), R(0, 1), R(1, 1) };
/* y + theta (y+ - y) + theta (1 - theta) times a polynomial of degree 1. */
static const nde_coefficient dense[] = {
    D(1.221224509226641) + D(10.12623508344586), D(-0.6762803392801253) - D(10.12623508344586), D(0.6762803392801253),
    D(6.019134481288629) - D(7.487995877610167), D(6.087714651680015) + D(7.487995877610167), -D(6.087714651680015),
    D(12.53708332932087) - D(34.80091861555747), D(16.43084320892478) + D(34.80091861555747), -D(16.43084320892478),
    D(-0.687886036105895) - D(7.992771707568823), D(24.76722511418386) + D(7.992771707568823), -D(24.76722511418386),
    R(1, 1) + D(1.025137723295662), D(-6.594389125716872) - D(1.025137723295662), D(6.594389125716872),
    R(1, 1) + R(0, 1), R(0, 1) - R(0, 1), -R(0, 1),
};

const nde_method nde_method_rodas4 = {
    .name = "rodas4", .source = "E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996)",
    .kind = NDE_KIND_ROSENBROCK, .order = 4, .error_order = 3, .dense_order = 3, .stages = 6, .dense_terms = 3,
    .a = a, .b = b, .c = c, .e = e, .dense = dense, .gamma = R(1, 4), .coupling = coupling, .lift = lift,
};
