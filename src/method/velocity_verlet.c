/* SPDX-License-Identifier: MIT
 * velocity_verlet.c - velocity Verlet (kick, drift, kick) for q' = F1(t, v), v' = F2(t, q), as a
 * partitioned Runge-Kutta table: stage 0 gives F2 at the start, stage 1 F1 at the half-kicked
 * velocity, stage 2 F2 at the end.
 * Source: L. Verlet, Phys. Rev. 159 (1967) 98-103; W. C. Swope et al., J. Chem. Phys. 76 (1982)
 * 637-649; E. Hairer, C. Lubich, G. Wanner, Geometric Numerical Integration (2006), I.1.4, II.2. */
#include "method/method.h"

static const nde_coefficient c[] = { R(0, 1), R(1, 2), R(1, 1) };

/* positions */
static const nde_coefficient a[] = {
    R(0, 1),
    R(0, 1), R(1, 1),
};
static const nde_coefficient b[] = { R(0, 1), R(1, 1), R(0, 1) };
static const nde_coefficient dense[] = {
    R(0, 1), R(0, 1),
    R(1, 1), R(0, 1),
    R(0, 1), R(0, 1),
};

/* velocities */
static const nde_coefficient a2[] = {
    R(1, 2),
    R(1, 2), R(0, 1),
};
static const nde_coefficient b2[] = { R(1, 2), R(0, 1), R(1, 2) };
static const nde_coefficient dense2[] = {
    R(1, 1), R(-1, 2),
    R(0, 1), R(0, 1),
    R(0, 1), R(1, 2),
};

const nde_method nde_method_velocity_verlet = {
    .name = "velocity_verlet", .source = "W. C. Swope et al., J. Chem. Phys. 76 (1982) 637-649",
    .kind = NDE_KIND_PARTITIONED, .order = 2, .dense_order = 1, .stages = 3, .dense_terms = 2,
    .first_same_as_last = true,
    .a = a, .b = b, .c = c, .dense = dense, .a2 = a2, .b2 = b2, .dense2 = dense2,
};

/* velocities, positions, velocities */
static const nde_coefficient kicks[] = { R(1, 2), R(1, 1), R(1, 2) };

const nde_method nde_method_velocity_verlet_kicks = {
    .name = "velocity_verlet", .source = "W. C. Swope et al., J. Chem. Phys. 76 (1982) 637-649",
    .kind = NDE_KIND_COMPOSITION, .order = 2, .dense_order = 2, .stages = 3, .dense_stages = 2,
    .first_same_as_last = true, .kick_first = true, .b = kicks,
};
