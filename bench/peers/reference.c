/* SPDX-License-Identifier: MIT
 * reference.c - writes reference.h: where the problems end, in quadruple precision by extrapolation of the modified
 * midpoint rule (W. B. Gragg (1965); E. Hairer, S. P. Norsett, G. Wanner (1993), II.9), order 24, steps halved until 20
 * digits agree.
 *   gcc -O2 reference.c -lquadmath && ./a.out >reference.h */
#include <quadmath.h>
#include <stdio.h>
#include <string.h>

#define REAL __float128
#define REAL_SQRT sqrtq
#include "problems.h"

enum { ROWS = 12 };
typedef void field(REAL t, const REAL *y, REAL *dy);
#define FIELD(name, dim) name,
static field *const fields[] = { EACH_PROBLEM(FIELD) };

static void midpoint(field *f, int dim, const REAL *y, REAL h, int n, REAL *out) {
    REAL a[MOST_DIM], b[MOST_DIM], d[MOST_DIM];
    const REAL s = h/n;
    f(0, y, d);
    for (int i = 0; i < dim; i++) a[i] = y[i], b[i] = y[i] + s*d[i];
    for (int k = 1; k < n; k++) {
        f(0, b, d);
        for (int i = 0; i < dim; i++) {
            const REAL next = a[i] + 2*s*d[i];
            a[i] = b[i], b[i] = next;
        }
    }
    f(0, b, d);
    for (int i = 0; i < dim; i++) out[i] = (a[i] + b[i] + s*d[i])/2;
}

static void step(field *f, int dim, REAL h, REAL *y) {
    REAL t[ROWS][MOST_DIM];
    for (int j = 0; j < ROWS; j++) {
        midpoint(f, dim, y, h, 2*(j + 1), t[j]);
        for (int k = j - 1; k >= 0; k--) {
            const REAL ratio = (REAL)(j + 1)/(k + 1);
            for (int i = 0; i < dim; i++) t[k][i] = t[k + 1][i] + (t[k + 1][i] - t[k][i])/(ratio*ratio - 1);
        }
    }
    memcpy(y, t[0], sizeof t[0]);
}

static void solve(int which, long steps, REAL *y) {
    const problem *p = &problems[which];
    for (int i = 0; i < p->dim; i++) y[i] = (REAL)p->y0[i];
    for (long k = 0; k < steps; k++) step(fields[which], p->dim, (REAL)p->t1/steps, y);
}

int main(void) {
    printf("/* SPDX-License-Identifier: MIT\n * reference.h - where the problems end; written by reference.c. */\n"
           "static const double reference[PROBLEMS][MOST_DIM] = {\n");
    for (int which = 0; which < PROBLEMS; which++) {
        REAL y[MOST_DIM], before[MOST_DIM], worst = 1;
        long steps = 250;
        solve(which, steps, before);
        for (; worst > 1e-20Q; steps *= 2) {
            solve(which, 2*steps, y);
            worst = 0;
            for (int i = 0; i < problems[which].dim; i++) worst = fmaxq(worst, fabsq(y[i] - before[i]));
            memcpy(before, y, sizeof y);
        }
        fprintf(stderr, "%s: %ld steps, %.1e\n", problems[which].name, steps, (double)worst);
        printf("    {");
        for (int i = 0; i < problems[which].dim; i++) {
            char text[64];
            quadmath_snprintf(text, sizeof text, "%.20Qg", y[i]);
            printf("%s%s%s", i ? "," : "", i && i % 4 == 0 ? "\n     " : " ", text);
        }
        printf(" },\n");
    }
    printf("};\n");
    return 0;
}
