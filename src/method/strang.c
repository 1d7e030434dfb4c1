/* SPDX-License-Identifier: MIT
 * strang.c - Strang's splitting: half a step along one field, a whole one along the other, half a step along the first. Source:
 * G. Strang, SIAM J. Numer. Anal. 5 (1968) 506-517. */
#include "method/method.h"

static const nde_coefficient b[] = { R(1, 2), R(1, 1), R(1, 2) };

const nde_method nde_method_strang = {
    .name = "strang", .source = "G. Strang, SIAM J. Numer. Anal. 5 (1968) 506-517",
    .kind = NDE_KIND_SPLITTING, .order = 2, .dense_order = 1, .stages = 3, .b = b,
};
