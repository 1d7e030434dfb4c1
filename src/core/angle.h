/* SPDX-License-Identifier: MIT
 * angle.h - large angles. */
#ifndef NDE_ANGLE_H
#define NDE_ANGLE_H

/* x = q pi/2 + rest[0] + rest[1], |rest[0]| <= pi/4 (1 + 2^-52), to 2^-100 of rest[0]; returns q mod 4. x >= 1; NaN for
 * infinity. In integers: the same bits everywhere. */
int nde_quarter_turns(double x, double rest[2]);

#endif
