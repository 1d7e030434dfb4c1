/* SPDX-License-Identifier: MIT
 * adams_bashforth_moulton.c - the implicit Adams methods of order 1 to 8, corrected once from the explicit one of the same
 * order and evaluated again (PECE): y+ = y + h (w_0 F(t + h, predicted) + sum w_j f_(j-1)). Body: multistep.c.
 * Source: E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I (1993), III.1 (1.8), table 1.2. */
#include "method/method.h"

/* of the slope F(t, y), of the mean slope (y+ - y)/h, of F(t + h, predicted), of F(t + h, y+) */
static const nde_coefficient b[] = { R(0, 1), R(1, 1), R(0, 1), R(0, 1) };
static const nde_coefficient c[] = { R(0, 1), R(0, 1), R(1, 1), R(1, 1) };
static const nde_coefficient dense[] = {
    R(1, 1), R(-2, 1), R(1, 1),
    R(0, 1), R(3, 1), R(-2, 1),
    R(0, 1), R(0, 1), R(0, 1),
    R(0, 1), R(-1, 1), R(1, 1),
};

const nde_coefficient nde_adams_implicit[NDE_ADAMS_WEIGHTS] = {
    R(1, 1),
    R(1, 2), R(1, 2),
    R(5, 12), R(8, 12), R(-1, 12),
    R(9, 24), R(19, 24), R(-5, 24), R(1, 24),
    R(251, 720), R(646, 720), R(-264, 720), R(106, 720), R(-19, 720),
    R(475, 1440), R(1427, 1440), R(-798, 1440), R(482, 1440), R(-173, 1440), R(27, 1440),
    R(19087, 60480), R(65112, 60480), R(-46461, 60480), R(37504, 60480), R(-20211, 60480), R(6312, 60480), R(-863, 60480),
    R(36799, 120960), R(139849, 120960), R(-121797, 120960), R(123133, 120960), R(-88547, 120960), R(41499, 120960),
    R(-11351, 120960), R(1375, 120960),
};

const nde_method nde_method_adams_bashforth_moulton = {
    .name = "adams_bashforth_moulton",
    .source = "E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I (1993), III.1",
    .kind = NDE_KIND_MULTISTEP, .order = 4, .dense_order = 3, .stages = 4, .dense_terms = 3, .first_same_as_last = true,
    .partners = 5, .partner = NDE_PARTNER_ZERO, .b = b, .c = c, .dense = dense,
    .predictor = nde_adams_explicit, .corrector = nde_adams_implicit,
};
