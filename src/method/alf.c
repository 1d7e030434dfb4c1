/* SPDX-License-Identifier: MIT
 * alf.c - asynchronous leapfrog (MALI): a slope v of its own goes with the state, v = F(t, y) at the start; with damping
 * it is of order 1.
 * Source: J. Zhuang, N. Dvornek, S. Tatikonda, J. Duncan, MALI: a memory efficient and reverse accurate integrator for
 * neural ODEs, ICLR (2021), arXiv 2102.04668, algorithms 2 and 3, appendix A.5 (damping); U. Mutze, An asynchronous
 * leap-frog method (2008). */
#include "method/method.h"

/* of slope 1: reversible.c */
static const nde_coefficient c[] = { R(0, 1), R(1, 2) };
static const nde_coefficient a[] = { R(1, 2) };
static const nde_coefficient b[] = { R(1, 2), R(1, 2) };
static const nde_coefficient e[] = { R(-1, 2), R(1, 2) };
static const nde_coefficient dense[] = {
    R(1, 1), R(-1, 2),
    R(0, 1), R(1, 2),
};

const nde_method nde_method_alf = {
    .name = "alf", .source = "J. Zhuang et al., MALI, ICLR (2021), arXiv 2102.04668",
    .kind = NDE_KIND_REVERSIBLE, .order = 2, .error_order = 1, .dense_order = 2, .stages = 2, .dense_terms = 2,
    .first_same_as_last = true, .partners = 1, .partner = NDE_PARTNER_SLOPE,
    .a = a, .b = b, .c = c, .e = e, .dense = dense,
};
