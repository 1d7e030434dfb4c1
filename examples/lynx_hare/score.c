/* SPDX-License-Identifier: MIT */
#include "score.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

double score_rmse(const series *data, const double *z, size_t from, size_t to) {
    double sum = 0;
    for (size_t k = from; k < to; k++)
        for (size_t i = 0; i < SPECIES; i++)
            sum += pow(data->sd[i]*(z[k*SPECIES + i] - data->z[k][i]), 2);
    return sqrt(sum/(double)((to - from)*SPECIES));
}

score score_persistence(const series *data) {
    double z[MOST_ROWS*SPECIES], sum = 0;
    const size_t ahead = data->rows - data->train;
    for (size_t from = 0; from + ahead < data->train; from++) {
        for (size_t k = from; k <= from + ahead; k++)
            memcpy(z + k*SPECIES, data->z[from], sizeof data->z[from]);
        sum += pow(score_rmse(data, z, from + 1, from + 1 + ahead), 2);
    }
    for (size_t k = data->train; k < data->rows; k++)
        memcpy(z + k*SPECIES, data->z[data->train - 1], sizeof data->z[0]);
    return (score){ sqrt(sum/(double)(data->train - ahead)),
                    score_rmse(data, z, data->train, data->rows) };
}

/* z of one species at any time within the training rows. */
static double interpolate(const series *data, size_t species, double year) {
    size_t k = 1;
    while (k + 1 < data->train && data->year[k] < year) k++;
    const double part = (year - data->year[k - 1])/(data->year[k] - data->year[k - 1]);
    return data->z[k - 1][species] + part*(data->z[k][species] - data->z[k - 1][species]);
}

void score_repeat_rows(const series *data, double period, double *z) {
    for (size_t k = 0; k < data->rows; k++)
        for (size_t i = 0; i < SPECIES; i++) {
            double year = data->year[k] - period;
            while (year > data->year[data->train - 1]) year -= period;
            z[k*SPECIES + i] = year < data->year[0] ? (double)NAN : interpolate(data, i, year);
        }
}

score score_repeat(const series *data, double period) {
    double z[MOST_ROWS*SPECIES];
    size_t first = 0;
    while (data->year[first] - period < data->year[0]) first++;
    score_repeat_rows(data, period, z);
    return (score){ score_rmse(data, z, first, data->train),
                    score_rmse(data, z, data->train, data->rows) };
}

double score_period(const series *data) {
    const double span = data->year[data->train - 1] - data->year[0];
    const double step = span/(double)(data->train - 1)/10;
    double best = (double)INFINITY, found = 0;
    for (double period = span/4; period <= span*2/3; period += step) {
        const double error = score_repeat(data, period).training;
        if (error < best) best = error, found = period;
    }
    return found;
}

static int compare(const void *a, const void *b) {
    const double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

double score_quantile(double *value, size_t n, double q) {
    qsort(value, n, sizeof *value, compare);
    const double at = q*(double)(n - 1);
    const size_t i = (size_t)at < n - 1 ? (size_t)at : n - 1;
    return i + 1 < n ? value[i] + (at - (double)i)*(value[i + 1] - value[i]) : value[i];
}
