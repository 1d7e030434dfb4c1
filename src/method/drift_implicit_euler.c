/* SPDX-License-Identifier: MIT
 * drift_implicit_euler.c - Euler-Maruyama with the drift at the end of the step, y+ = y + h f(t + h, y+) + g(t, y) dW, for Ito
 * equations whose drift is stiff. Strong order 1/2, 1 for additive noise; weak order 1. Body: dirk.c.
 * Source: P. Kloeden, E. Platen, Numerical Solution of Stochastic Differential Equations (1992), 12.2 (2.5), alpha = 1. */
#include "method/method.h"

static const nde_coefficient a[] = { R(1, 1) };
static const nde_coefficient b[] = { R(1, 1), R(1, 1) };
static const nde_coefficient c[] = { R(0, 1), R(1, 1) };
static const nde_drive drive[] = { { .w = R(1, 1) }, { .w = 0 } };

const nde_method nde_method_drift_implicit_euler = {
    .name = "drift_implicit_euler",
    .source = "P. Kloeden, E. Platen, Numerical Solution of Stochastic Differential Equations (1992)",
    .kind = NDE_KIND_STOCHASTIC, .order = 1, .dense_order = 1, .stages = 2, .dense_terms = 1,
    .calculus = NDE_ITO, NDE_STRONG(1, 1, 2, 1, 1),
    .a = a, .b = b, .c = c, .dense = b, .drive = drive, .gamma = R(1, 1),
};
