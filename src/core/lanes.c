/* SPDX-License-Identifier: MIT
 * lanes.c - see lanes.h. */
#include "core/lanes.h"

#include <math.h>

/* Sums are of PARTS interleaved ones, in the same order for a lane alone, whose rows are numbers side by side: a single one
 * would wait for each addition. */
enum { PARTS = 8, STRIP = 16 };

static double sum_of(const double *part, size_t apart) {
    double sum[PARTS/2];
    for (size_t j = 0; j < PARTS/2; j++) sum[j] = part[j*apart] + part[(j + PARTS/2)*apart];
    return (sum[0] + sum[2]) + (sum[1] + sum[3]);
}

static double dot_alone(size_t rows, const nde_real *x, const nde_real *y) {
    double part[PARTS] = { 0 };
    size_t i = 0;
    for (; i + PARTS <= rows; i += PARTS)
        for (size_t j = 0; j < PARTS; j++) part[j] += (double)x[i + j]*(double)y[i + j];
    for (size_t j = 0; i + j < rows; j++) part[j] += (double)x[i + j]*(double)y[i + j];
    return sum_of(part, 1);
}

static void dot_strip(size_t rows, size_t n, size_t ld, const nde_real *x, const nde_real *y, nde_real *to) {
    double part[PARTS][STRIP] = { { 0 } };
    for (size_t i = 0; i < rows; i++, x += ld, y += ld) {
        double *sum = part[i % PARTS];
        for (size_t b = 0; b < n; b++) sum[b] += (double)x[b]*(double)y[b];
    }
    for (size_t b = 0; b < n; b++) to[b] = (nde_real)sum_of(&part[0][b], STRIP);
}

void nde_lane_dots(size_t rows, size_t n, size_t ld, const nde_real *x, const nde_real *y, nde_real *to) {
    if (ld == 1) {
        *to = (nde_real)dot_alone(rows, x, y);
        return;
    }
    for (size_t b = 0; b < n; b += STRIP) dot_strip(rows, n - b < STRIP ? n - b : STRIP, ld, x + b, y + b, to + b);
}

void nde_lane_add(size_t rows, size_t n, size_t ld, const nde_real *w, nde_real sign, const nde_real *x, nde_real *y) {
    const nde_real by = sign*w[0];
    if (ld == 1)
        NDE_LANES(i, rows) y[i] += by*x[i];
    else
        for (size_t i = 0; i < rows; i++, x += ld, y += ld) NDE_LANES(b, n) y[b] += sign*w[b]*x[b];
}

void nde_lane_scale(size_t rows, size_t n, size_t ld, const nde_real *w, const nde_real *x, nde_real *y) {
    for (size_t i = 0; i < rows; i++, x += ld, y += ld) NDE_LANES(b, n) y[b] = w[b]*x[b];
}

void nde_lane_normalise(size_t rows, size_t n, size_t ld, nde_real *x, nde_real *length) {
    nde_lane_dots(rows, n, ld, x, x, length);
    for (size_t b = 0; b < n; b++) length[b] = (nde_real)sqrt((double)length[b]);
    for (size_t i = 0; i < rows; i++, x += ld)
        for (size_t b = 0; b < n; b++) x[b] = length[b] > 0 && isfinite(length[b]) ? x[b]/length[b] : 0;
}

void nde_lane_take_off(size_t rows, size_t n, size_t ld, size_t count, const nde_real *v, nde_real *x, nde_real *shares) {
    for (; count > 0; count--, v += rows*ld, shares += ld) {
        nde_lane_dots(rows, n, ld, v, x, shares);
        nde_lane_add(rows, n, ld, shares, -1, v, x);
    }
}
