/* SPDX-License-Identifier: MIT
 * yoshida4.c - three leapfrog steps of the lengths w, 1 - 2w, w, w = 1/(2 - 2^(1/3)); found by Forest and Ruth, Candy and
 * Rozmus, Suzuki and Yoshida. Source: E. Forest, R. D. Ruth, Physica D 43 (1990) 105-117; H. Yoshida, Phys. Lett. A 150
 * (1990) 262-268. */
#include "method/method.h"

/* positions, velocities, ... */
static const nde_coefficient b[] = {
    D(0.6756035959798288170238439044857304134610), D(1.351207191959657634047687808971460826922),
    D(-0.1756035959798288170238439044857304134610), D(-1.702414383919315268095375617942921653844),
    D(-0.1756035959798288170238439044857304134610), D(1.351207191959657634047687808971460826922),
    D(0.6756035959798288170238439044857304134610),
};

const nde_method nde_method_yoshida4 = {
    .name = "yoshida4", .source = "H. Yoshida, Phys. Lett. A 150 (1990) 262-268",
    .kind = NDE_KIND_COMPOSITION, .order = 4, .dense_order = 3, .stages = 7, .dense_stages = 2,
    .first_same_as_last = true, .b = b,
};
