/* SPDX-License-Identifier: MIT
 * activation.c - values and slopes of an activation on an array in the first-level cache, by the library's kernels, and
 * values by libm. Compiled in double and in float. Both sides copy the array first: the library works in place. */
#include "activation.h"
#include "bench.h"
#include "core/activation.h"

#include <math.h>
#include <string.h>
#include <tgmath.h>
#include <time.h>

enum { COUNT = 1024, TIMES = 64, ROUNDS = 301 };

typedef struct job {
    const nde_activation_kernels *own;
    int id;
    nde_real x[COUNT], z[COUNT], a[COUNT];
} job;

#define EACH(value) for (int i = 0; i < COUNT; i++) { const nde_real x = j->x[i]; j->z[i] = value; }
/* As a C programmer writes them; false: nothing of libm's in it. */
static bool libm(job *j) {
    const nde_real one = 1;
    switch (j->id) {
    case NDE_TANH: EACH(tanh(x)) return true;
    case NDE_SOFTPLUS: EACH(fmax(x, 0*one) + log1p(exp(-fabs(x)))) return true;
    case NDE_SILU: EACH(x/(1 + exp(-x))) return true;
    case NDE_GELU: EACH(x*(one/2)*(1 + erf(x*(nde_real)0.70710678118654752440))) return true;
    case NDE_ELU: EACH(x > 0 ? x : expm1(x)) return true;
    case NDE_SIGMOID: EACH(1/(1 + exp(-x))) return true;
    case NDE_SIN: EACH(sin(x)) return true;
    case NDE_LIPSWISH: EACH(x/(1 + exp(-x))*(one/(nde_real)1.1)) return true;
    default: return false;
    }
}
static bool own(job *j) {
    memcpy(j->z, j->x, sizeof j->z);
    j->own->value(j->id, 1, COUNT, j->z, COUNT, j->z, COUNT);
    return true;
}
static bool slope(job *j) {
    j->own->slope(j->id, 1, COUNT, j->x, COUNT, j->x, COUNT, j->a, COUNT);
    return true;
}

static double now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9*(double)t.tv_nsec;
}

static void least(double *best, bool (*volatile run)(job *), job *j) {
    const double from = now();
    for (int i = 0; i < TIMES; i++)
        if (!run(j)) return;
    const double seconds = (now() - from)/(TIMES*COUNT);
    if (*best == 0 || seconds < *best) *best = seconds;
}

/* See activation.h. All zero: there are no such kernels. */
activation_seconds BENCH_NAME(activation_time)(int isa, int id) {
    static job j;
    activation_seconds s = { 0 };
    const nde_kernels *kernels = nde_kernels_get(isa, false);
    if (!kernels) return s;
    j.own = kernels->activation, j.id = id;
    /* as before a layer: [-4, 4) */
    for (int i = 0; i < COUNT; i++) j.x[i] = (nde_real)((double)((unsigned)i*2654435761u % 4096)/512 - 4);
    for (int k = 0; k < ROUNDS; k++) least(&s.own, own, &j), least(&s.slope, slope, &j), least(&s.libm, libm, &j);
    return s;
}
