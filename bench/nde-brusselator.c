/* SPDX-License-Identifier: MIT
 * nde-brusselator.c - a gradient by 1156 parameters of a stiff problem of 578 states: the Brusselator on a periodic grid of
 * 17 x 17 points from 0 to 1, where reaction rates, feed and both diffusions are of each point their own, and the loss is
 * half the sum of the squares of what both are away from 1 at 0, 0.1, ... 1. By libnde's methods with dense, band and sparse
 * matrices, and by CVODES; errors against rodas5p at a tolerance of 1e-11.
 *
 * nde-brusselator [processor seconds of each line, 1]
 * Source of problem, loss and tolerances (1e-7 and 1e-5): SciMLBenchmarks, AutomaticDifferentiation/BrussScaling. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "nde.h"
#include "nde/stiff.h"

enum { SIDE = 17, POINTS = SIDE*SIDE, DIM = 2*POINTS, NP = 4*POINTS, TIMES = 11 };

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

static void need(nde_status status, const char *why) {
    if (!status) return;
    fprintf(stderr, "nde-brusselator: %s\n", why);
    exit(1);
}

/* ---- the problem -------------------------------------------------------------------------------------------------------- */

/* Neighbours by `by` places within groups of `group`, which are closed to rings. */
static char *neighbours(char *at, char name, int group, int by) {
    at += sprintf(at, "[");
    for (int first = 0; first < POINTS; first += group)
        at += sprintf(at, "%s%c[%d:%d], %c[%d:%d]", first ? ", " : "", name, first + by, first + group, name, first,
                      first + by);
    return at + sprintf(at, "]");
}

static char *laplacian(char *at, char name) {
    at = neighbours(at + sprintf(at, "256*("), name, SIDE, 1);
    at = neighbours(at + sprintf(at, " + "), name, SIDE, SIDE - 1);
    at = neighbours(at + sprintf(at, " + "), name, POINTS, SIDE);
    at = neighbours(at + sprintf(at, " + "), name, POINTS, POINTS - SIDE);
    return at + sprintf(at, " - 4*%c)", name);
}

static nde_program *write_program(void) {
    static char text[20000];
    char *at = text + sprintf(text, "state u[%d], v[%d]; param a[%d], b[%d], e[%d], f[%d]; r = u*u*v\ndu = e*", POINTS, POINTS,
                              POINTS, POINTS, POINTS, POINTS);
    at = laplacian(at, 'u');
    at = laplacian(at + sprintf(at, " + b + r - (a + 1)*u\ndv = f*"), 'v');
    sprintf(at, " + a*u - r");
    nde_program *program;
    need(nde_program_parse(text, NULL, &program), nde_error());
    return program;
}

static void begin(double *y0, double *p) {
    for (int j = 0; j < SIDE; j++)
        for (int i = 0; i < SIDE; i++) {
            const double x = i/(SIDE - 1.0), y = j/(SIDE - 1.0);
            y0[j*SIDE + i] = 22*pow(y*(1 - y), 1.5), y0[POINTS + j*SIDE + i] = 27*pow(x*(1 - x), 1.5);
        }
    for (int k = 0; k < NP; k++) p[k] = k < POINTS ? 3.4 : k < 2*POINTS ? 1 : 10;
}

/* ---- there and back ------------------------------------------------------------------------------------------------------ */

typedef struct way {
    const char *name;
    int method, linear; /* of libnde; method 0: CVODES, linear NDE_STIFF_* */
} way;

typedef struct both {
    nde_solver *ours;
    nde_stiff_solver *theirs;
} both;

static const char *error_of(const both *b) { return b->theirs ? nde_stiff_error(b->theirs) : nde_solver_error(b->ours); }

static void once(const both *b, double *gradient, nde_stats *stats) {
    static double a[TIMES*DIM];
    nde_solution s = { 0 };
    const nde_seed seed = NDE_INIT(nde_seed, .y = a);
    const nde_gradient to = NDE_INIT(nde_gradient, .p = gradient);
    need(b->theirs ? nde_stiff_run(b->theirs, &s) : nde_solver_run(b->ours, &s), error_of(b));
    for (int i = 0; i < TIMES*DIM; i++) a[i] = s.y[i] - 1;
    *stats = s.stats[0];
    need(b->theirs ? nde_stiff_backward(b->theirs, &seed, &to) : nde_backward(b->ours, &seed, &to), error_of(b));
}

/* Least seconds of a gradient; 0 in budget: once. */
static double measure(const nde_problem *problem, const way *by, double rtol, double atol, double budget, double *gradient,
                      nde_stats *stats) {
    double times[TIMES], best = HUGE_VAL;
    for (int k = 0; k < TIMES; k++) times[k] = k/(TIMES - 1.0);
    nde_options options = NDE_INIT(nde_options, .rtol = rtol, .atol = atol, .save_t = times, .n_save = TIMES,
                                   .max_steps = 100000);
    both b = { 0 };
    if (by->method) {
        options.method = by->method, options.linear = by->linear, options.adjoint = NDE_ADJOINT_DISCRETE;
        need(nde_solver_create(problem, &options, &b.ours), nde_error());
    } else {
        const nde_stiff_options stiff = NDE_INIT(nde_stiff_options, .linear = by->linear);
        options.adjoint = NDE_ADJOINT_INTERPOLATED;
        need(nde_stiff_create(problem, &options, &stiff, &b.theirs), nde_stiff_error(NULL));
    }
    const double end = seconds() + budget;
    do {
        const double start = seconds();
        once(&b, gradient, stats);
        best = fmin(best, seconds() - start);
    } while (seconds() < end);
    nde_solver_destroy(b.ours), nde_stiff_destroy(b.theirs);
    return best;
}

int main(int count, char **words) {
    static double y0[DIM], p[NP], exact[NP], gradient[NP];
    static const way ways[] = {
        { "rodas5p, dense", NDE_RODAS5P, NDE_LINEAR_DENSE },   { "rodas5p, band", NDE_RODAS5P, NDE_LINEAR_BAND },
        { "rodas5p, sparse", NDE_RODAS5P, NDE_LINEAR_SPARSE }, { "kvaerno5, band", NDE_KVAERNO5, NDE_LINEAR_BAND },
        { "CVODES, dense", 0, NDE_STIFF_DENSE },               { "CVODES, Krylov", 0, NDE_STIFF_KRYLOV },
    };
    const double budget = count > 1 ? atof(words[1]) : 1;
    nde_stats stats;
    nde_program *program = write_program();
    const nde_field field = nde_field_program(program);
    const nde_problem problem = NDE_INIT(nde_problem, .drift = &field, .t1 = 1, .y0 = y0, .p = p);
    begin(y0, p);
    measure(&problem, &ways[1], 1e-11, 1e-11, 0, exact, &stats);
    for (size_t w = 0; w < sizeof ways/sizeof *ways; w++) {
        nde_solver *solver;
        const nde_options asked = NDE_INIT(nde_options, .method = ways[w].method, .linear = ways[w].linear);
        if (ways[w].method && nde_solver_create(&problem, &asked, &solver)) {
            printf("%-16s %s\n", ways[w].name, nde_error());
            continue;
        }
        if (ways[w].method) nde_solver_destroy(solver);
        for (double rtol = 1e-5; rtol > 1e-10; rtol *= 1e-2) {
            const double best = measure(&problem, &ways[w], rtol, 100*rtol, budget, gradient, &stats);
            double off = 0, size = 0;
            for (int k = 0; k < NP; k++) off = fmax(off, fabs(gradient[k] - exact[k])), size = fmax(size, fabs(exact[k]));
            printf("%-16s %.0e %9.3f ms %6lld steps  error %.1e\n", ways[w].name, rtol, 1e3*best, (long long)stats.accepted,
                   off/size);
            fflush(stdout);
        }
    }
    nde_program_destroy(program);
    return 0;
}
