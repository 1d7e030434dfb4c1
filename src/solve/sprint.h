/* SPDX-License-Identifier: MIT
 * sprint.h - the loop for one trajectory while nothing happens but accepted steps. */
#ifndef NDE_SPRINT_H
#define NDE_SPRINT_H

#include "solve/solver.h"

/* Steps the one lane of an adaptive panel of nde_is_one as long as nothing is to be done but the next step, and
 * returns with the first attempt that needs to be settled, made but not judged; every 16th is one where there is a stop
 * request, progress to report or a time limit. */
void nde_sprint_baseline(nde_solver *s, nde_panel *p);
void nde_sprint_v3(nde_solver *s, nde_panel *p);
void nde_sprint_v4(nde_solver *s, nde_panel *p);

#endif
