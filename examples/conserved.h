/* SPDX-License-Identifier: MIT
 * conserved.h - what hnn and lnn share: networks that learn a system whose energy is constant, and whether they keep it.
 * Not a part of libnde. */
#ifndef CONSERVED_H
#define CONSERVED_H

#include "fit.h"
#include "plot.h"

/* Trajectories that are learned from, and their times; that are foretold, and theirs. */
enum { SEEN = 64, TIMES = 30, STARTS = 6, SHOWN = 1001 };

typedef struct conserved {
    const char *name, *text; /* of the program that is the truth */
    size_t dim;
    double noise, ahead;     /* of what is learned from; time that is foretold */
    int iterations;
    double rate;             /* of learning */
    void (*begin)(uint64_t seed, size_t n, double *y0); /* seed 0: of what is foretold */
    double (*energy)(const double *y, size_t n);        /* of the first of n states */
} conserved;

/* A network and the program that makes a field of it, for parameters as nde_mlp has them. */
typedef struct design {
    const char *name;
    size_t width[4]; /* of its three layers */
    nde_program *(*build)(const size_t *width, size_t np);
} design;

/* What a field makes of the starts; the energies of the last one; errors of the energy, of all. */
typedef struct forecast {
    trajectories to;
    double energy[SHOWN], rms, largest;
} forecast;

/* Learns by both designs from noisy data, prints a row of a table for each; 2: the truth. Free their .to.y. */
void compare_designs(const conserved *of, const design *both, uint64_t seed, forecast *all);
/* The line of each in a panel: values x and y of what is shown, so far apart. */
void draw_forecasts(plot_picture *to, const design *both, size_t n, const double *const *x, size_t x_stride,
                    const double *const *y, size_t y_stride);
/* Over time, in a panel that is open. */
void draw_energies(plot_picture *to, const conserved *of, const design *both, const forecast *all);

#endif
