/* SPDX-License-Identifier: MIT
 * milstein_free.c - Milstein's method with a difference of the noise, over a step of sqrt(h), in place of its derivative;
 * for diagonal and scalar noise. With Stratonovich's integral in place of Ito's, whose mean is 0, what the difference
 * leaves would add up to order 1/2: euler_heun is for that.
 * Source: P. Kloeden, E. Platen, Numerical Solution of Stochastic Differential Equations (1992), 11.1, (1.3). */
#include "method/method.h"

static const nde_coefficient a[] = {
    R(0, 1),
    R(0, 1), R(0, 1),
    R(1, 1), R(0, 1), R(1, 1),
};
static const nde_coefficient b[] = { R(1, 1), R(1, 1), R(0, 1), R(1, 1) };
static const nde_coefficient c[] = { R(0, 1), R(0, 1), R(0, 1), R(0, 1) };
static const nde_drive drive[] = { { .w = 0 }, { .w = R(1, 1), .twice = R(-1, 1) }, { .root = R(1, 1) }, { .twice = R(1, 1) } };

const nde_method nde_method_milstein_free = {
    .name = "milstein_free",
        .source = "P. Kloeden, E. Platen, Numerical Solution of Stochastic Differential Equations (1992), 11.1",
    .kind = NDE_KIND_STOCHASTIC, .order = 1, .dense_order = 1, .stages = 4, .dense_terms = 1,
    .calculus = NDE_ITO, NDE_STRONG(2, 2, 0, 0, 0),
    .a = a, .b = b, .c = c, .dense = b, .drive = drive,
};
