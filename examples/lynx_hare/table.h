/* SPDX-License-Identifier: MIT
 * table.h - years and populations from a CSV file. */
#ifndef TABLE_H
#define TABLE_H

#include <stdbool.h>
#include <stddef.h>

enum { HARE, LYNX, SPECIES, MOST_ROWS = 512 };

typedef struct table {
    size_t rows;
    double year[MOST_ROWS], population[MOST_ROWS][SPECIES];
} table;

/* Reads a file of lines "year,lynx,hare" under a header that says so: years increase, populations
 * are positive; lines that are empty or begin with # are passed over. False: message, of that many
 * bytes, says what is wrong in which file and line. */
bool table_read(const char *file, size_t least_rows, table *table, char *message, size_t bytes);

#endif
