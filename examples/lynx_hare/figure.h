/* SPDX-License-Identifier: MIT
 * figure.h - the picture: data, fits, and the forecasts' spread over the seeds. */
#ifndef FIGURE_H
#define FIGURE_H

#include "model.h"

enum { FIGURE_TIMES = 301, FIGURE_SEEDS = 10, FIGURE_MODELS = 2 };

typedef struct figure {
    int seeds;
    double year[FIGURE_TIMES];
    /* curves of fitted models at these times */
    double z[FIGURE_MODELS][FIGURE_SEEDS][FIGURE_TIMES][SPECIES];
    const char *name[FIGURE_MODELS];
} figure;

/* Spreads the times over the years of the data. */
void figure_begin(figure *to, const series *data, int seeds);
/* Draws medians, quartiles and ranges over the seeds, and the repeat with this period. False: it
 * could not be written. */
bool figure_draw(const figure *from, const series *data, double period, const char *file);

#endif
