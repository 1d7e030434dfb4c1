/* SPDX-License-Identifier: MIT
 * systems.h - 20 classical chaotic systems as ready fields. Forced oscillators carry their phase as the last component, so
 * that all are autonomous: x' = f(x; p). */
#ifndef SYSTEMS_H
#define SYSTEMS_H

#include "nde.h"

enum { SYSTEMS = 20, MOST_DIM = 40, MOST_P = 8 };

typedef struct chaos_system {
    const char *name, *source; /* the paper of the equations */
    size_t dim;
    double x0[MOST_DIM], p[MOST_P];
    double time;               /* about that of one turn */
    double published;          /* largest Lyapunov exponent; 0: none was found */
    size_t across, up;         /* the components of its picture */
    void (*f)(const double *x, const double *p, double *dx);
    void (*jvp)(const double *x, const double *p, const double *v, double *dv); /* dv = f'(x) v */
} chaos_system;

extern const chaos_system chaos_systems[SYSTEMS];

/* f and jvp of the caller's copy of a system, parameters included: nde_field_pointwise makes a field of them, with np = 0. */
nde_pointwise chaos_pointwise(chaos_system *own);

#endif
