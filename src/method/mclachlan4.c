/* SPDX-License-Identifier: MIT
 * mclachlan4.c - McLachlan's symmetric method of order 4 with five kicks; its coefficients lie in Q(sqrt 19). Source: R. I.
 * McLachlan, On the numerical integration of ordinary differential equations by symmetric composition methods, SIAM J. Sci.
 * Comput. 16 (1995) 151-168; E. Hairer, C. Lubich, G. Wanner, Geometric Numerical Integration (2006), V.3.1. */
#include "method/method.h"

/* positions, velocities, ... */
static const nde_coefficient b[] = {
    D(0.08926945422647524488669461126055911426725), R(2, 5),
    D(-0.09733604263689550801535994339830842235147), R(-1, 10),
    D(0.5080665884104202631286653321377493080842), R(2, 5),
    D(0.5080665884104202631286653321377493080842), R(-1, 10),
    D(-0.09733604263689550801535994339830842235147), R(2, 5),
    D(0.08926945422647524488669461126055911426725),
};

const nde_method nde_method_mclachlan4 = {
    .name = "mclachlan4", .source = "R. I. McLachlan, SIAM J. Sci. Comput. 16 (1995) 151-168",
    .kind = NDE_KIND_COMPOSITION, .order = 4, .dense_order = 3, .stages = 11, .dense_stages = 2,
    .first_same_as_last = true, .b = b,
};
