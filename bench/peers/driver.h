/* SPDX-License-Identifier: MIT
 * driver.h - what each program of work_precision.py does: all problems, methods and tolerances; a line of CSV for each:
 *     program,method,problem,tolerance,evaluations,error,seconds
 * error: Euclidean norm of the error at the end over that of the solution; seconds: least of a few solves. Arguments: names of
 * problems; none: all. A peer defines `program`, `methods` and solve().
 * Arguments serve PROBLEM METHOD TOLERANCE: as kit.py does, a line of JSON, then seconds for each line that is read. */
#ifndef PEERS_DRIVER_H
#define PEERS_DRIVER_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <math.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "problems.h"
#include "reference.h"

extern const char program[];
extern const char *const methods[]; /* ends with NULL */
/* y [dim]: out. Returns the evaluations, or 0: failed. Peers prepare what they need once and keep it. */
static long solve(int which, int method, double tolerance, double *y);

#define SAMPLE 2e-3
enum { SAMPLES = 5 };

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

static double error_of(int which, const double *y) {
    double error = 0, norm = 0;
    for (int i = 0; i < problems[which].dim; i++) {
        const double r = reference[which][i];
        error += (y[i] - r)*(y[i] - r), norm += r*r;
    }
    return sqrt(error/norm);
}

static double seconds_of(int which, int method, double tolerance) {
    double y[MOST_DIM], least = 0;
    long times = 1;
    for (int k = 0; k < SAMPLES;) {
        const double start = now();
        for (long i = 0; i < times; i++) solve(which, method, tolerance, y);
        const double all = now() - start, each = all/(double)times;
        if (all < SAMPLE) { times = (long)(1.2*SAMPLE/(each > 1e-9 ? each : 1e-9)) + 1; continue; }
        if (k == 0 || each < least) least = each;
        k++;
    }
    return least;
}

static int serve(const char *problem, const char *name, double tolerance) {
    int which = 0, m = 0;
    double y[MOST_DIM], seconds;
    while (which < PROBLEMS && strcmp(problems[which].name, problem) != 0) which++;
    while (methods[m] && strcmp(methods[m], name) != 0) m++;
    if (which == PROBLEMS || !methods[m]) return 2;
    const double start = now();
    const long evaluations = solve(which, m, tolerance, y);
    seconds = now() - start;
    printf("{\"version\": \"\", \"error\": %.4g, \"evaluations\": %ld, \"first\": %.4g, \"compile\": null}\n",
           evaluations ? error_of(which, y) : INFINITY, evaluations, seconds);
    do fflush(stdout);
    while (getchar() == '\n' && printf("%.6g\n", seconds_of(which, m, tolerance)) > 0);
    return 0;
}

int main(int argc, char **argv) {
    if (argc == 5 && strcmp(argv[1], "serve") == 0) return serve(argv[2], argv[3], atof(argv[4]));
    for (int which = 0; which < PROBLEMS; which++) {
        bool wanted = argc < 2;
        for (int i = 1; i < argc; i++) wanted |= strcmp(argv[i], problems[which].name) == 0;
        for (int m = 0; wanted && methods[m]; m++)
            for (int digits = 6; digits <= 26; digits++) { /* 1e-3 ... 1e-13, two to a decade */
                double y[MOST_DIM];
                const double tolerance = pow(10, -0.5*digits);
                const long evaluations = solve(which, m, tolerance, y);
                const double error = evaluations ? error_of(which, y) : NAN;
                if (!(error < 1)) continue;
                printf("%s,%s,%s,%.3g,%ld,%.4g,%.4g\n", program, methods[m], problems[which].name, tolerance, evaluations,
                       error, seconds_of(which, m, tolerance));
                fflush(stdout);
            }
    }
    return 0;
}

#endif
