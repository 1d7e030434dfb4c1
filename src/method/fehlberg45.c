/* SPDX-License-Identifier: MIT
 * fehlberg45.c - Fehlberg 4(5), run as 5(4), first same as last by the slope at the end (stage 7: it costs nothing);
 * continuous extension of order 4.
 * Source: E. Fehlberg, Klassische Runge-Kutta-Formeln vierter und niedrigerer Ordnung mit Schrittweiten-Kontrolle und
 * ihre Anwendung auf Waermeleitungsprobleme, Computing 6 (1970) 61-71, formula 2.
 * Extension: the quartics that meet all conditions of order 4 and have the slopes of both ends leave one number free;
 * this is the choice with the smallest squared residual of order 5, summed over its trees and integrated over the step.
 * Solved in fractions. */
#include "method/method.h"

static const nde_coefficient a[] = {
    R(1, 4),
    R(3, 32), R(9, 32),
    R(1932, 2197), R(-7200, 2197), R(7296, 2197),
    R(439, 216), R(-8, 1), R(3680, 513), R(-845, 4104),
    R(-8, 27), R(2, 1), R(-3544, 2565), R(1859, 4104), R(-11, 40),
    R(16, 135), R(0, 1), R(6656, 12825), R(28561, 56430), R(-9, 50), R(2, 55),
};
static const nde_coefficient b[] = { R(16, 135), R(0, 1), R(6656, 12825), R(28561, 56430), R(-9, 50), R(2, 55), R(0, 1) };
static const nde_coefficient c[] = { R(0, 1), R(1, 4), R(3, 8), R(12, 13), R(1, 1), R(1, 2), R(1, 1) };
static const nde_coefficient e[] = { R(1, 360), R(0, 1), R(-128, 4275), R(-2197, 75240), R(1, 50), R(2, 55), R(0, 1) };
static const nde_coefficient dense[] = {
    R(1, 1), R(-253031, 101160), R(375809, 151740), R(-9631, 11240),
    R(0, 1), R(0, 1), R(0, 1), R(0, 1),
    R(0, 1), R(5951488, 1201275), R(-28227584, 3603825), R(1360384, 400425),
    R(0, 1), R(-73795033, 21142440), R(285590227, 31713660), R(-35299199, 7047480),
    R(0, 1), R(16729, 14050), R(-21787, 7025), R(12158, 7025),
    R(0, 1), R(-25552, 15455), R(53352, 15455), R(-27238, 15455),
    R(0, 1), R(3, 2), R(-4, 1), R(5, 2),
};

const nde_method nde_method_fehlberg45 = {
    .name = "fehlberg45", .source = "E. Fehlberg, Computing 6 (1970) 61-71",
    .kind = NDE_KIND_RUNGE_KUTTA, .order = 5, .error_order = 4, .dense_order = 4,
    .stages = 7, .dense_terms = 4, .first_same_as_last = true,
    .a = a, .b = b, .c = c, .e = e, .dense = dense,
};
