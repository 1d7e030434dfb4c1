/* SPDX-License-Identifier: MIT
 * dense.c - the polynomials of steps, kept: the derivatives at the end of each, of which the method's own interpolant is the
 * Taylor sum. */
#include "stiff/sun.h"

#include <math.h>
#include <string.h>

enum { CHUNK = 1 << 16, ALIGN = 64 };

void nde_sun_drop(nde_sun_worker *w) {
    const nde_allocator *memory = &w->solver->memory;
    while (w->chunks) {
        nde_sun_chunk *chunk = w->chunks;
        w->chunks = chunk->next;
        memory->give(memory->ctx, chunk, chunk->bytes);
    }
    w->last = NULL;
}

static size_t round_up(size_t bytes) { return (bytes + ALIGN - 1)/ALIGN*ALIGN; }

/* Bytes of a chunk; NULL: no memory, *status says why. */
static void *take(nde_sun_worker *w, size_t bytes, nde_status *status) {
    nde_stiff_solver *s = w->solver;
    nde_sun_chunk *chunk = w->chunks;
    if (!chunk || chunk->bytes - chunk->used < bytes) {
        const size_t header = round_up(sizeof *chunk), whole = bytes + header > CHUNK ? bytes + header : CHUNK;
        *status = NDE_E_BUDGET;
        if (atomic_fetch_add(&s->dense_used, whole) + whole > s->budget) return NULL;
        *status = NDE_E_NOMEM;
        pthread_mutex_lock(&s->lock);
        chunk = s->memory.take(s->memory.ctx, whole, ALIGN);
        pthread_mutex_unlock(&s->lock);
        if (!chunk) return NULL;
        *chunk = (nde_sun_chunk){ .next = w->chunks, .bytes = whole, .used = header };
        w->chunks = chunk;
    }
    unsigned char *at = (unsigned char *)chunk + chunk->used;
    chunk->used += bytes;
    *status = NDE_OK;
    return at;
}

static double *terms_of(nde_sun_step *step) { return (double *)(void *)((char *)step + round_up(sizeof *step)); }

nde_status nde_sun_keep(nde_sun_worker *w, double t, double end) {
    nde_stiff_solver *s = w->solver;
    const size_t n = s->rhs.dim;
    const int order = s->engine->order(w);
    nde_status status;
    nde_sun_step *step = take(w, round_up(sizeof *step) + round_up(((size_t)order + 1)*n*sizeof(double)), &status);
    if (!step) return status;
    *step = (nde_sun_step){ .from = w->t, .end = end, .at = t, .order = order };
    double *term = terms_of(step), factor = 1;
    for (int k = 0; k <= order; factor *= ++k, term += n) {
        if (s->engine->value(w, t, k, term)) return NDE_E_STEPSIZE;
        for (size_t i = 0; i < n; i++) term[i] /= factor;
    }
    if (w->last) w->last->next = step;
    else s->steps[w->who] = step;
    w->last = step;
    return NDE_OK;
}

nde_status nde_stiff_dense(const nde_stiff_solver *s, size_t trajectory, double t, double *y, double *dy) {
    if (!s) return nde_fail(NDE_E_ARG, "nde_stiff_dense: solver is NULL");
    if (!s->stiff.dense) return nde_fail(NDE_E_ARG, "nde_stiff_dense: stiff.dense was 0");
    if (trajectory >= s->rhs.N) return nde_fail(NDE_E_ARG, "nde_stiff_dense: trajectory is %zu, n is %zu", trajectory,
                                                s->rhs.N);
    nde_sun_step *step = s->steps[trajectory];
    while (step && step->next && (t - step->end)*(step->end - step->from) > 0) step = step->next;
    if (!step || !((t - step->from)*(step->end - step->from) >= 0 && (t - step->end)*(step->end - step->from) <= 0))
        return nde_fail(NDE_E_ARG, "nde_stiff_dense: t is %g: outside what was solved", t);
    const double x = t - step->at, *term = terms_of(step);
    const size_t n = s->rhs.dim;
    for (size_t i = 0; i < n; i++) {
        double value = 0, slope = 0;
        for (int k = step->order; k >= 0; k--) slope = slope*x + value, value = value*x + term[(size_t)k*n + i];
        if (y) y[i] = value;
        if (dy) dy[i] = slope;
    }
    return NDE_OK;
}
