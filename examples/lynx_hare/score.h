/* SPDX-License-Identifier: MIT
 * score.h - errors, and forecasts that know no law. */
#ifndef SCORE_H
#define SCORE_H

#include "model.h"

/* Root mean square errors in the logarithms of the populations. */
typedef struct score {
    double training, held_out;
} score;

/* Of z [rows][SPECIES] over the rows [from, to). */
double score_rmse(const series *data, const double *z, size_t from, size_t to);
/* The held-out rows are as the last training row. The training error is that of forecasts as long,
 * begun at every training row. */
score score_persistence(const series *data);
/* Every row is as one period before, between rows by linear interpolation; held-out rows as whole
 * periods before, so that only training rows are copied. The training error leaves the first period
 * out. */
score score_repeat(const series *data, double period);
/* The period, to a tenth of the distance of rows, whose repeat fits the training rows best; between
 * a quarter and two thirds of their span. */
double score_period(const series *data);
/* z [rows][SPECIES] of the repeat; NaN in the first period. */
void score_repeat_rows(const series *data, double period, double *z);

/* The q-quantile of n numbers, which are sorted in place; between two of them by linear
 * interpolation. */
double score_quantile(double *value, size_t n, double q);

#endif
