/* SPDX-License-Identifier: MIT
 * sparsity.c - the pattern of a Jacobian by columns, and which of them one direction can carry together. Source of colours:
 * A. Curtis, M. Powell, J. Reid, IMA J. Appl. Math. 13 (1974) 117-119. */
#include "field/parts.h"

#include <string.h>

void nde_sparsity_columns(size_t n, const size_t *row_start, const size_t *row_index, size_t *start, size_t *row) {
    memset(start, 0, (n + 1)*sizeof *start);
    for (size_t e = 0; e < row_start[n]; e++) start[row_index[e] + 1]++;
    for (size_t j = 0; j < n; j++) start[j + 1] += start[j];
    for (size_t i = 0; i < n; i++)
        for (size_t e = row_start[i]; e < row_start[i + 1]; e++) row[start[row_index[e]]++] = i;
    memmove(start + 1, start, n*sizeof *start); /* each has moved to the next one's */
    start[0] = 0;
}

/* May column j have a colour whose columns have those rows? */
static bool fits(const size_t *start, const size_t *row, size_t j, const unsigned char *taken) {
    for (size_t e = start[j]; e < start[j + 1]; e++)
        if (taken[row[e]]) return false;
    return true;
}

size_t nde_colour_columns(size_t n, const size_t *start, const size_t *row, size_t *colour, unsigned char *taken) {
    size_t colours = 0;
    for (size_t j = 0; j < n; j++) colour[j] = SIZE_MAX;
    for (size_t left = n; left; colours++) {
        memset(taken, 0, n);
        for (size_t j = 0; j < n; j++) {
            if (colour[j] != SIZE_MAX || !fits(start, row, j, taken)) continue;
            for (size_t e = start[j]; e < start[j + 1]; e++) taken[row[e]] = 1;
            colour[j] = colours, left--;
        }
    }
    return colours;
}
