/* SPDX-License-Identifier: MIT
 * shark.c - ShARK: strong order 3/2 for additive noise, whose first stage is shifted by the space-time Levy area. Its error is
 * the difference to Euler-Maruyama's method with the drift at that shifted state.
 * Source: J. Foster, G. dos Reis, C. Strange, High order splitting methods for SDEs satisfying a commutativity condition,
 * SIAM J. Numer. Anal. 62 (2024) 500-532, arXiv 2210.17543, (6.1). */
#include "method/method.h"

static const nde_coefficient a[] = {
    R(1, 1),
    0, 0,
    R(1, 1), R(5, 6), R(5, 6),
    0, 0, 0, 0,
};
static const nde_coefficient b[] = { R(1, 1), R(2, 5), R(1, 2), R(3, 5), R(1, 1) };
static const nde_coefficient c[] = { 0, 0, 0, R(5, 6), R(1, 1) };
static const nde_coefficient e[] = { R(1, 1), R(-3, 5), R(-1, 2), R(3, 5), R(1, 1) };
static const nde_drive drive[] = {
    { .w = R(-1, 2), .area = R(1, 1) },
    { .w = 0 },
    { .w = R(1, 1) },
    { .w = 0 },
    { .w = R(1, 1), .area = R(-1, 1) },
};

const nde_method nde_method_shark = {
    .name = "shark", .source = "J. Foster, G. dos Reis, C. Strange, SIAM J. Numer. Anal. 62 (2024), arXiv 2210.17543",
    .kind = NDE_KIND_STOCHASTIC, .order = 2, .error_order = 1, .dense_order = 1, .stages = 5, .dense_terms = 1,
    .calculus = NDE_ITO | NDE_STRATONOVICH, NDE_STRONG(0, 0, 3, 0, 0), NDE_ESTIMATE(0, 0, 3, 0, 0),
    .a = a, .b = b, .c = c, .e = e, .dense = b, .drive = drive,
};
