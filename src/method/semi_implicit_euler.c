/* SPDX-License-Identifier: MIT
 * semi_implicit_euler.c - symplectic (semi-implicit) Euler: velocities first. Source: R. de Vogelaere, Methods of
 * integration which preserve the contact transformation property of the Hamiltonian equations, report 4, University of Notre
 * Dame (1956). */
#include "method/method.h"

/* velocities, positions */
static const nde_coefficient b[] = { R(1, 1), R(1, 1) };

const nde_method nde_method_semi_implicit_euler = {
    .name = "semi_implicit_euler", .source = "R. de Vogelaere, report 4, University of Notre Dame (1956)",
    .kind = NDE_KIND_COMPOSITION, .order = 1, .dense_order = 1, .stages = 2, .dense_stages = 2,
    .kick_first = true, .b = b,
};
