/* SPDX-License-Identifier: MIT
 * log_ode.c - the log-ODE method of depth 2: over a step the ODE whose slope is drift, noise times W/h, and the brackets
 * of the columns of the noise times their Levy areas over h, by one step of Ralston's method of order 3; for Stratonovich
 * equations. Of strong order 1 for any noise, with the areas that noise.area describes; where columns commute, brackets
 * are 0 and nothing asks for areas.
 * Sources: J. Gaines, T. Lyons, SIAM J. Appl. Math. 57 (1997) 1455-1484; J. Foster, T. Lyons, H. Oberhauser, SIAM J.
 * Numer. Anal. 58 (2020) 1393-1421; A. Ralston, Math. Comp. 16 (1962) 431-437 (the steps). */
#include "method/method.h"

static const nde_coefficient a[] = {
    R(1, 2),
    R(0, 1), R(3, 4),
};
static const nde_coefficient b[] = { R(2, 9), R(1, 3), R(4, 9) };
static const nde_coefficient c[] = { R(0, 1), R(1, 2), R(3, 4) };

const nde_method nde_method_log_ode = {
    .name = "log_ode", .source = "J. Gaines, T. Lyons, SIAM J. Appl. Math. 57 (1997) 1455-1484",
    .kind = NDE_KIND_STOCHASTIC, .order = 3, .dense_order = 1, .stages = 3, .dense_terms = 1,
    .calculus = NDE_STRATONOVICH, NDE_STRONG(2, 2, 2, 2, 2), .brackets = true,
    .a = a, .b = b, .c = c, .dense = b,
};
