/* SPDX-License-Identifier: MIT */
#include "table.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One finite number that fills [text, end): digits, sign, point and exponent only. */
static bool read_number(const char *text, const char *end, double *number) {
    if (text == end || strspn(text, "+-.0123456789eE") < (size_t)(end - text)) return false;
    char *stop;
    *number = strtod(text, &stop);
    return stop == end && isfinite(*number);
}

/* What is wrong with a line of data; NULL: nothing, and a row was added. */
static const char *read_row(const char *line, table *to) {
    double number[3];
    const char *text = line;
    for (int i = 0; i < 3; i++) {
        const char *end = text + strcspn(text, ",");
        if (i < 2 && *end != ',') return "expected three numbers: year,lynx,hare";
        if (i == 2 && *end) return "more than three columns";
        if (!read_number(text, end, &number[i])) return i == 0 ? "the year is not a number" :
            i == 1 ? "lynx is not a number" : "hare is not a number";
        text = end + 1;
    }
    if (to->rows == MOST_ROWS) return "too many rows";
    if (to->rows && number[0] <= to->year[to->rows - 1]) return "years must increase";
    if (number[1] <= 0 || number[2] <= 0) return "a population must be positive";
    to->year[to->rows] = number[0];
    to->population[to->rows][LYNX] = number[1];
    to->population[to->rows][HARE] = number[2];
    to->rows++;
    return NULL;
}

bool table_read(const char *file, size_t least_rows, table *to, char *message, size_t bytes) {
    char line[256];
    bool header = false;
    const char *wrong = NULL;
    int number = 0;

    to->rows = 0;
    FILE *in = fopen(file, "r");
    if (!in) return snprintf(message, bytes, "%s: %s", file, strerror(errno)), false;
    while (!wrong && fgets(line, sizeof line, in)) {
        number++;
        const size_t length = strcspn(line, "\r\n");
        const char *rest = line + length;
        if (strcmp(rest, "\n") && strcmp(rest, "\r\n") && (*rest || !feof(in))) {
            wrong = "the line is too long, or holds a byte that is no text";
            break;
        }
        line[length] = 0;
        if (length == 0 || line[0] == '#') continue;
        if (header) wrong = read_row(line, to);
        else if (strcmp(line, "year,lynx,hare") == 0) header = true;
        else wrong = "expected the header year,lynx,hare";
    }
    const int failed = ferror(in) ? errno : 0;
    fclose(in);
    if (failed) snprintf(message, bytes, "%s: %s", file, strerror(failed));
    else if (wrong) snprintf(message, bytes, "%s:%d: %s", file, number, wrong);
    else if (to->rows < least_rows)
        snprintf(message, bytes, "%s:%d: the file ends after %zu rows; %zu are needed", file,
                 number, to->rows, least_rows);
    else return true;
    return false;
}
