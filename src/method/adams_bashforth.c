/* SPDX-License-Identifier: MIT
 * adams_bashforth.c - the explicit Adams methods of order 1 to 8: y+ = y + h sum w_j f_j with the slopes f_0 of this step and
 * f_1, f_2, ... of those before: the integral of the polynomial through them. Body: multistep.c.
 * Source: E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I (1993), III.1 (1.5), table 1.1. */
#include "method/method.h"

/* of the slope F(t, y), of the mean slope (y+ - y)/h, of F(t + h, y+) */
static const nde_coefficient b[] = { R(0, 1), R(1, 1), R(0, 1) };
static const nde_coefficient c[] = { R(0, 1), R(0, 1), R(1, 1) };
static const nde_coefficient dense[] = {
    R(1, 1), R(-2, 1), R(1, 1),
    R(0, 1), R(3, 1), R(-2, 1),
    R(0, 1), R(-1, 1), R(1, 1),
};

const nde_coefficient nde_adams_explicit[NDE_ADAMS_WEIGHTS] = {
    R(1, 1),
    R(3, 2), R(-1, 2),
    R(23, 12), R(-16, 12), R(5, 12),
    R(55, 24), R(-59, 24), R(37, 24), R(-9, 24),
    R(1901, 720), R(-2774, 720), R(2616, 720), R(-1274, 720), R(251, 720),
    R(4277, 1440), R(-7923, 1440), R(9982, 1440), R(-7298, 1440), R(2877, 1440), R(-475, 1440),
    R(198721, 60480), R(-447288, 60480), R(705549, 60480), R(-688256, 60480), R(407139, 60480),
    R(-134472, 60480), R(19087, 60480),
    R(434241, 120960), R(-1152169, 120960), R(2183877, 120960), R(-2664477, 120960), R(2102243, 120960), R(-1041723, 120960),
    R(295767, 120960), R(-36799, 120960),
};

const nde_method nde_method_adams_bashforth = {
    .name = "adams_bashforth",
    .source = "E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I (1993), III.1",
    .kind = NDE_KIND_MULTISTEP, .order = 4, .dense_order = 3, .stages = 3, .dense_terms = 3, .first_same_as_last = true,
    .partners = 5, .partner = NDE_PARTNER_ZERO, .b = b, .c = c, .dense = dense, .predictor = nde_adams_explicit,
};
