/* SPDX-License-Identifier: MIT
 * densities.h - two densities on the plane, for cnf to learn from their points. Not a part of libnde. */
#ifndef DENSITIES_H
#define DENSITIES_H

#include <stddef.h>
#include <stdint.h>

#include "plot.h"

typedef struct density {
    const char *name;
    double (*at)(double x, double y);
    void (*draw)(uint64_t seed, uint64_t i, double x[2]); /* point i of it */
    double dark;                                          /* what a picture shows as full */
} density;

/* Half circles, blurred; every other one of sixteen squares. */
extern const density two_moons, checkerboard;

/* The n points from `first` on: x [2][n]. */
void draw_points(const density *of, uint64_t seed, uint64_t first, size_t n, double *x);
/* The mean of the logarithm of the density there. */
double mean_log(const density *of, size_t n, const double *x);
/* The middles of side*side cells of the square [-view, view]^2: x [2][side*side]. */
void cells(size_t side, double view, double *x);
/* A row of three panels: n points, and densities that were learned, by their logarithms in the cells. */
void draw_densities(plot_picture *to, const density *of, double top, size_t n, const double *x, const char *const *titles,
                    size_t side, double view, double *const *logs);

#endif
