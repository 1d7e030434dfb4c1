/* SPDX-License-Identifier: MIT
 * euler.c - the explicit Euler method. Source: L. Euler, Institutionum calculi integralis, vol. 1
 * (1768), sect. 2, chap. 7. */
#include "method/method.h"

static const nde_coefficient b[] = { R(1, 1) };
static const nde_coefficient c[] = { R(0, 1) };
static const nde_coefficient dense[] = { R(1, 1) };

const nde_method nde_method_euler = {
    .name = "euler", .source = "L. Euler, Institutionum calculi integralis 1 (1768)",
    .kind = NDE_KIND_RUNGE_KUTTA, .order = 1, .dense_order = 1, .stages = 1, .dense_terms = 1,
    .a = b, .b = b, .c = c, .dense = dense,
};
