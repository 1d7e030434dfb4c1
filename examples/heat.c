/* SPDX-License-Identifier: MIT
 * heat.c - see heat.h. */
#include "heat.h"

#include <math.h>
#include <stdio.h>

#include "fit.h"

static const double pi = 3.14159265358979323846;
static const char text[] = "state u[399]; param s; du = s*([0, u[0:398]] - 2*u + [u[1:399], 0])";

double temperature(double x, double t) {
    return exp(-0.1*pi*pi*t)*sin(pi*x) + exp(-0.9*pi*pi*t)*sin(3*pi*x)/2;
}

void solve_lines(double *y, double *u) {
    const double h = 1.0/(LINES + 1), strength = 0.1/h/h;
    double y0[LINES], times[ROWS];
    nde_program *program;
    nde_solution s = { 0 };
    need(nde_program_parse(text, NULL, &program), NULL);
    const nde_field drift = nde_field_program(program);
    for (size_t i = 0; i < LINES; i++) y0[i] = temperature((double)(i + 1)*h, 0);
    for (size_t k = 0; k < ROWS; k++) times[k] = (double)k/(ROWS - 1);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &drift, .y0 = y0, .p = &strength, .t1 = 1);
    need(nde_solve(&problem, &NDE_INIT(nde_options, .method = NDE_RKC2, .rtol = 1e-6, .atol = 1e-8,
                                       .spectral_radius = 4*strength, .save_t = times, .n_save = ROWS), &s), s.solver);
    for (size_t i = 0; i < ALL; i++) y[i] = (double)(i%LINES + 1)*h, y[ALL + i] = times[i/LINES], u[i] = s.y[i];
    printf("method of lines: %d lines, %lld steps of rkc2\n", LINES, (long long)s.stats->accepted);
    nde_solution_free(&s);
    nde_program_destroy(program);
}

void compare_temperatures(const char *name, const double *a, const double *b) {
    double largest = 0, square = 0;
    for (size_t i = 0; i < ALL; i++) largest = fmax(largest, fabs(a[i] - b[i])), square += (a[i] - b[i])*(a[i] - b[i])/ALL;
    printf("%-36s %9.2e %9.2e\n", name, largest, sqrt(square));
}
