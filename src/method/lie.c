/* SPDX-License-Identifier: MIT
 * lie.c - Lie and Trotter's splitting: along one field, then along the other. Source: H. F. Trotter, Proc. Amer. Math. Soc. 10
 * (1959) 545-551. */
#include "method/method.h"

static const nde_coefficient b[] = { R(1, 1), R(1, 1) };

const nde_method nde_method_lie = {
    .name = "lie", .source = "H. F. Trotter, Proc. Amer. Math. Soc. 10 (1959) 545-551",
    .kind = NDE_KIND_SPLITTING, .order = 1, .dense_order = 1, .stages = 2, .b = b,
};
