/* SPDX-License-Identifier: MIT
 * interactions.h - what ude and ude_hares share: Lotka-Volterra with a network in the place of its interactions.
 * Not a part of libnde. */
#ifndef INTERACTIONS_H
#define INTERACTIONS_H

#include <stdbool.h>

#include "fit.h"

enum { INTERACTIONS_WIDTH = 10, INTERACTIONS_NP = 3*INTERACTIONS_WIDTH + (INTERACTIONS_WIDTH + 1)*(INTERACTIONS_WIDTH + 2) };

/* The network's parameters p [INTERACTIONS_NP] to begin with. */
void begin_interactions(uint64_t seed, double *p);

/* x' = rate_x x - f1(x, y), y' = rate_y y + f2(x, y), f the network; of logarithms: x' = rate_x - f1(x, y) ...; without a
 * rate: f. */
nde_program *build_interactions(const double *rate, bool logarithms);

#endif
