/* SPDX-License-Identifier: MIT
 * reversible_heun.c - Heun's method around a second state, at which alone slopes are evaluated: one a step.
 * Source: P. Kidger, J. Foster, X. Li, T. Lyons, Efficient and accurate gradients for neural SDEs, NeurIPS (2021), arXiv
 * 2105.13493, algorithm 1. */
#include "method/method.h"

static const nde_coefficient c[] = { R(0, 1), R(1, 1) };
static const nde_coefficient a[] = { R(1, 1) };
static const nde_coefficient b[] = { R(1, 2), R(1, 2) };
static const nde_coefficient e[] = { R(-1, 2), R(1, 2) };
static const nde_coefficient dense[] = {
    R(1, 1), R(-1, 2),
    R(0, 1), R(1, 2),
};

const nde_method nde_method_reversible_heun = {
    .name = "reversible_heun", .source = "P. Kidger et al., NeurIPS (2021), arXiv 2105.13493",
    .kind = NDE_KIND_REVERSIBLE, .order = 2, .error_order = 1, .dense_order = 2, .stages = 2, .dense_terms = 2,
    .first_same_as_last = true, .partners = 1, .partner = NDE_PARTNER_STATE,
    .calculus = NDE_STRATONOVICH, NDE_STRONG(2, 2, 2, 2, 1), NDE_ESTIMATE(2, 2, 3, 2, 2),
    .a = a, .b = b, .c = c, .e = e, .dense = dense,
};
