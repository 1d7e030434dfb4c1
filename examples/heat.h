/* SPDX-License-Identifier: MIT
 * heat.h - what pinn_heat is held against: u_t = u_xx/10 on a rod with cold ends, by the method of lines, and in closed form.
 * Not a part of libnde. */
#ifndef HEAT_H
#define HEAT_H

enum { LINES = 399, ROWS = 11, ALL = LINES*ROWS }; /* within the rod; times that are kept */

double temperature(double x, double t);
/* Temperatures u [ROWS][LINES] by the method of lines at y [2][ROWS][LINES], x and t. */
void solve_lines(double *y, double *u);
/* A row of a table: largest and root mean square of the differences of [ALL]. */
void compare_temperatures(const char *name, const double *a, const double *b);

#endif
