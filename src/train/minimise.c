/* SPDX-License-Identifier: MIT
 * minimise.c - L-BFGS with a strong Wolfe line search, by liblbfgs (N. Okazaki), which works in double.
 *
 * liblbfgs 1.10 can be ended from its progress callback only, and its line search divides by what the objective returns. What
 * the objective may do beyond returning a number is therefore told to it as a number:
 *   - an end (a failure, NaN) as a stationary point far below: the line search is content at once, and progress ends it;
 *   - a point that is refused as a wall: see refused(). */
#include "nde/train.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "core/core.h"

#ifndef NDE_HAVE_LBFGS

nde_status nde_minimise(const nde_minimiser *minimiser, size_t np, nde_real *p, nde_fit *fit) {
    (void)minimiser, (void)np, (void)p, (void)fit;
    return nde_fail(NDE_E_ARG, "nde_minimise: the library was built without liblbfgs (meson setup -Dlbfgs=enabled)");
}

#else

#include <lbfgs.h>

enum { PAD = 8 }; /* an SSE build of liblbfgs reads whole blocks of 8 */

typedef struct point {
    double value, norm; /* norm: largest entry of the gradient */
} point;

typedef struct search {
    nde_minimiser call;
    nde_real *p, *gradient;             /* [np] what the callbacks see */
    double *x, *base_x, *base_gradient; /* [np] where the line search began */
    nde_real *best;                     /* [np] the caller's */
    point first, base, lowest, last;    /* last: evaluated */
    int64_t iterations, evaluations;
    nde_status ended;                   /* why; NDE_OK: goes on */
} search;

static void narrow(size_t np, const double *from, nde_real *to) {
    for (size_t i = 0; i < np; i++) to[i] = (nde_real)from[i];
}

/* Nothing is asked any more. */
static double end(search *s, nde_status why, size_t np, double *g) {
    s->ended = why;
    memset(g, 0, np*sizeof *g);
    return s->evaluations > 1 ? -DBL_MAX : 0;
}

/* As if the objective, along the direction d in which liblbfgs searches, were the parabola with the value and slope of the
 * start and its minimum at a quarter of this step: the line search shortens to there. With a = d'g(0) < 0 at step t the value
 * is f(0) - a t, and the slope -3 a. */
static double refused(const search *s, size_t np, const double *x, double *g, double step) {
    double slope = 0, square = 0;
    for (size_t i = 0; i < np; i++) {
        g[i] = (x[i] - s->base_x[i])/step;
        slope += g[i]*s->base_gradient[i], square += g[i]*g[i];
    }
    for (size_t i = 0; i < np; i++) g[i] *= square > 0 ? -3*slope/square : 0;
    return s->base.value - slope*step;
}

/* The largest entry; NaN or Inf when one is not finite; its place. */
static double largest(size_t np, const nde_real *gradient, size_t *place) {
    double most = 0;
    for (size_t i = 0; i < np && most <= DBL_MAX; i++) {
        const double size = fabs((double)gradient[i]);
        if (size > most || isnan(size)) most = size, *place = i;
    }
    return most;
}

static double evaluate(void *instance, const double *x, double *g, int n, double step) {
    search *s = instance;
    const size_t np = (size_t)n;
    const bool first = s->evaluations == 0;
    if (s->ended) return end(s, s->ended, np, g);
    narrow(np, x, s->p);
    for (size_t i = 0; i < np; i++)
        if (!isfinite(s->p[i])) return end(s, NDE_UNFINISHED, np, g); /* the direction has overflowed */
    s->evaluations++;
    point now = { .value = (double)NAN };
    const int failed = s->call.value(s->call.ctx, np, s->p, &now.value, s->gradient);
    if (failed > 0 && !first) return refused(s, np, x, g, step);
    if (failed)
        return end(s, nde_fail(NDE_E_FIELD, "nde_minimise: value returned %d at %s", failed,
                               first ? "the start" : "a later point"), np, g);
    size_t place = 0;
    now.norm = largest(np, s->gradient, &place);
    if (!isfinite(now.value) || !isfinite(now.norm)) {
        const nde_status bad = !isfinite(now.value)
            ? nde_fail(NDE_E_NONFINITE, "nde_minimise: the value of evaluation %lld is %g", (long long)s->evaluations,
                       now.value)
            : nde_fail(NDE_E_NONFINITE, "nde_minimise: gradient[%zu] of evaluation %lld is %g", place,
                       (long long)s->evaluations, (double)s->gradient[place]);
        return end(s, bad, np, g);
    }
    for (size_t i = 0; i < np; i++) g[i] = (double)s->gradient[i];
    if (first) {
        s->first = s->base = now;
        memcpy(s->base_x, x, np*sizeof *x), memcpy(s->base_gradient, g, np*sizeof *g);
    }
    if (first || now.value <= s->lowest.value) {
        s->lowest = now;
        memcpy(s->best, s->p, np*sizeof *s->p);
    }
    s->last = now;
    return now.value;
}

static int progress(void *instance, const double *x, const double *g, double value, double x_norm, double g_norm, double step,
                    int n, int iteration, int evaluations) {
    search *s = instance;
    const size_t np = (size_t)n;
    (void)value, (void)x_norm, (void)g_norm, (void)step, (void)evaluations;
    if (s->ended) return 1;
    s->base = s->last; /* what a line search accepts is what it evaluated last */
    memcpy(s->base_x, x, np*sizeof *x), memcpy(s->base_gradient, g, np*sizeof *g);
    s->iterations = iteration;
    if (!s->call.progress) return 0;
    narrow(np, x, s->p);
    if (s->call.progress(s->call.ctx, iteration, s->base.value, s->p)) s->ended = NDE_STOPPED;
    return s->ended != NDE_OK;
}

static nde_status read_minimiser(const nde_minimiser *minimiser, size_t np, const nde_real *p, nde_minimiser *o) {
    size_t count;
    if (!minimiser) return nde_fail(NDE_E_ARG, "nde_minimise: minimiser is NULL");
    if (!nde_read_sized(o, sizeof *o, minimiser, sizeof *o))
        return nde_fail(NDE_E_ARG, "nde_minimise: size is %zu, which is not a layout that this library knows", minimiser->size);
    if (!o->memory) o->memory = 8;
    if (!o->iterations) o->iterations = 1000;
    o->tolerance = o->tolerance == 0 ? 1e-6 : o->tolerance == NDE_ZERO ? 0 : o->tolerance;
    if (!o->value) return nde_fail(NDE_E_ARG, "nde_minimise: value is NULL");
    if (!p) return nde_fail(NDE_E_ARG, "nde_minimise: p is NULL");
    /* liblbfgs counts in int and keeps 2*memory + 5 vectors */
    if (!np || np > INT_MAX - PAD)
        return nde_fail(NDE_E_ARG, "nde_minimise: np is %zu: it must be from 1 to %d", np, INT_MAX - PAD);
    if (o->memory > INT_MAX/4 || !nde_size_multiply(2*o->memory + 5, (np + PAD)*sizeof(double), &count))
        return nde_fail(NDE_E_ARG, "nde_minimise: memory is %zu", o->memory);
    if (!(o->iterations > 0))
        return nde_fail(NDE_E_ARG, "nde_minimise: iterations is %lld: it must be positive", (long long)o->iterations);
    if (o->iterations > INT_MAX/2) o->iterations = INT_MAX/2;
    if (!(o->tolerance >= 0 && o->tolerance <= DBL_MAX))
        return nde_fail(NDE_E_ARG, "nde_minimise: tolerance is %g: it must be finite and not negative", minimiser->tolerance);
    for (size_t i = 0; i < np; i++)
        if (!isfinite(p[i])) return nde_fail(NDE_E_ARG, "nde_minimise: p[%zu] is %g", i, (double)p[i]);
    return NDE_OK;
}

/* The search's arrays in a block, and its bytes. */
static size_t lay_out(search *s, size_t np, void *block) {
    nde_arena a = { .base = block };
    s->x = nde_arena_take(&a, np + PAD, sizeof *s->x);
    s->base_x = nde_arena_take(&a, np, sizeof *s->base_x);
    s->base_gradient = nde_arena_take(&a, np, sizeof *s->base_gradient);
    s->p = nde_arena_take(&a, np, sizeof *s->p);
    s->gradient = nde_arena_take(&a, np, sizeof *s->gradient);
    return a.overflow ? SIZE_MAX : a.used;
}

/* The status of what lbfgs returned, when nothing else has ended it. */
static nde_status translate(const search *s, int code) {
    if (s->ended) return s->ended;
    if (code == LBFGS_SUCCESS || code == LBFGS_ALREADY_MINIMIZED) return NDE_OK;
    if (code == LBFGSERR_OUTOFMEMORY) return nde_fail(NDE_E_NOMEM, "nde_minimise: liblbfgs is out of memory");
    return NDE_UNFINISHED; /* its parameters are right: the iterations are used up, or the line search found nothing */
}

nde_status nde_minimise(const nde_minimiser *minimiser, size_t np, nde_real *p, nde_fit *fit) {
    search s = { .best = p };
    const nde_status bad = read_minimiser(minimiser, np, p, &s.call);
    if (bad) return bad;
    const size_t bytes = lay_out(&s, np, NULL);
    void *block = bytes == SIZE_MAX ? NULL : nde_allocator_default.take(NULL, bytes, 64);
    if (!block) return nde_fail(NDE_E_NOMEM, "nde_minimise: no memory for %zu parameters", np);
    lay_out(&s, np, block);
    for (size_t i = 0; i < np + PAD; i++) s.x[i] = i < np ? (double)p[i] : 0;

    lbfgs_parameter_t parameter;
    lbfgs_parameter_init(&parameter);
    parameter.m = (int)s.call.memory, parameter.max_iterations = (int)s.call.iterations, parameter.epsilon = s.call.tolerance;
    parameter.min_step = 0; /* the first step is 1/|gradient|, however small */
    s.first.value = s.lowest.value = s.lowest.norm = (double)NAN;
    const nde_status status = translate(&s, lbfgs((int)np, s.x, NULL, evaluate, progress, &s, &parameter));
    if (status == NDE_OK) { /* the point that converged need not be the lowest one to the last bit */
        narrow(np, s.x, p);
        s.lowest = s.base;
    }
    if (fit)
        *fit = (nde_fit){ .iterations = s.iterations, .evaluations = s.evaluations, .first = s.first.value,
                          .last = s.lowest.value, .gradient_norm = s.lowest.norm };
    nde_allocator_default.give(NULL, block, bytes);
    return status;
}

#endif
