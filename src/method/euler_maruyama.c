/* SPDX-License-Identifier: MIT
 * euler_maruyama.c - Euler-Maruyama for Ito equations: the explicit Euler method with the noise's
 * slope dW/h in the right-hand side. Strong order 1/2, 1 for additive noise; weak order 1;
 * .order is that of the drift, and twice the strong order.
 * Source: G. Maruyama, Continuous Markov processes and stochastic equations, Rend. Circ. Mat.
 * Palermo 4 (1955) 48-90. */
#include "method/method.h"

static const nde_coefficient b[] = { R(1, 1) };
static const nde_coefficient c[] = { R(0, 1) };
static const nde_coefficient dense[] = { R(1, 1) };

const nde_method nde_method_euler_maruyama = {
    .name = "euler_maruyama", .source = "G. Maruyama, Rend. Circ. Mat. Palermo 4 (1955) 48-90",
    .kind = NDE_KIND_STOCHASTIC, .order = 1, .dense_order = 1, .stages = 1, .dense_terms = 1,
    .calculus = NDE_ITO, NDE_STRONG(1, 1, 2, 1, 1),
    .a = b, .b = b, .c = c, .dense = dense,
};
