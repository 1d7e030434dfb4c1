/* SPDX-License-Identifier: MIT
 * leapfrog.c - leapfrog in the form that begins and ends with positions. Source: E. Hairer, C. Lubich, G. Wanner, Geometric
 * numerical integration illustrated by the Stormer-Verlet method, Acta Numerica 12 (2003) 399-450. */
#include "method/method.h"

/* positions, velocities, ... */
static const nde_coefficient b[] = { R(1, 2), R(1, 1), R(1, 2) };

const nde_method nde_method_leapfrog = {
    .name = "leapfrog", .source = "E. Hairer, C. Lubich, G. Wanner, Acta Numerica 12 (2003) 399-450",
    .kind = NDE_KIND_COMPOSITION, .order = 2, .dense_order = 2, .stages = 3, .dense_stages = 2,
    .first_same_as_last = true, .b = b,
};
