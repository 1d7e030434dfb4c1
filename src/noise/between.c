/* SPDX-License-Identifier: MIT
 * between.c - the caller's own questions to a path. */
#include "noise/noise.h"

#include <math.h>
#include <string.h>

/* What is asked for, read: dim and n filled in, cells of a grid. */
typedef struct question {
    nde_noise noise;
    nde_between at;
    int64_t first, count;
} question;

static nde_status read_cells(question *q) {
    const nde_between *at = &q->at;
    if (q->noise.grid <= 0)
        return nde_fail(NDE_E_ARG, "noise.grid is %lld: the steps of the solve are not known here", (long long)q->noise.grid);
    const double cells = (double)q->noise.grid, from = (at->s - at->t0)/(at->t1 - at->t0)*cells,
        to = (at->t - at->t0)/(at->t1 - at->t0)*cells;
    const double *bad = fabs(from - round(from)) > 1e-6 ? &at->s : fabs(to - round(to)) > 1e-6 ? &at->t : NULL;
    if (bad) return nde_fail(NDE_E_ARG, "between.%c is %g: within a cell of the grid", bad == &at->s ? 's' : 't', *bad);
    q->first = llround(from), q->count = llround(to) - q->first;
    return NDE_OK;
}

static nde_status read_question(question *q, const nde_noise *noise, const nde_between *between, const double *w,
                                const double *h, const double *k, const double *area) {
    nde_between *at = &q->at;
    nde_status bad = nde_noise_read(&q->noise, noise);
    if (bad) return bad;
    if (!between || !nde_read_sized(at, sizeof *at, between, sizeof *at))
        return nde_fail(NDE_E_ARG, "between is %s", between ? "of a size that this library does not know" : "NULL");
    at->dim = at->dim ? at->dim : q->noise.dim, at->n = at->n ? at->n : 1;
    if (!w || (k && !h)) return nde_fail(NDE_E_ARG, "nde_noise_between: %s is NULL", w ? "h" : "w");
    if (!at->dim) return nde_fail(NDE_E_ARG, "between.dim is 0, and so is noise.dim");
    if (!isfinite(at->t0) || !isfinite(at->t1) || !(at->t0 < at->t1) || !(at->s >= at->t0 && at->s <= at->t && at->t <= at->t1))
        return nde_fail(NDE_E_ARG, "between: t0 is %g, s is %g, t is %g, t1 is %g", at->t0, at->s, at->t, at->t1);
    const int32_t source = q->noise.source;
    if (source == NDE_SOURCE_STORED && (at->first > at->N || at->n > at->N - at->first))
        return nde_fail(NDE_E_ARG, "between: first is %zu, n is %zu, N is %zu", at->first, at->n, at->N);
    if (area && (source != NDE_SOURCE_GRID || q->noise.correlation))
        return nde_fail(NDE_E_ARG, "nde_noise_between: areas are of a grid without correlation");
    if ((bad = nde_noise_check(&q->noise, at->dim)) ||
        (bad = nde_noise_need(&q->noise, k ? NDE_LEVY_K : h || area ? NDE_LEVY_H : NDE_LEVY_W)))
        return bad;
    return source == NDE_SOURCE_TREE ? NDE_OK : read_cells(q);
}

/* All lanes in one call: [n] each. */
typedef struct lanes {
    size_t *trajectory;
    double *t0, *t1, *s, *t;
    int64_t *first;
} lanes;

/* Nothing happens in no time. */
static void be_still(const question *q, double *w, double *h, double *k, double *area) {
    const size_t m = q->at.dim, n = q->at.n;
    double *const all[] = { w, h, k, area };
    for (size_t i = 0; i < 4; i++)
        if (all[i]) memset(all[i], 0, (i < 3 ? m : m*(m - 1)/2)*n*sizeof *w);
}

static void fill(const question *q, const lanes *l) {
    for (size_t b = 0; b < q->at.n; b++) {
        l->trajectory[b] = q->at.first + b;
        l->t0[b] = q->at.t0, l->t1[b] = q->at.t1, l->s[b] = q->at.s, l->t[b] = q->at.t, l->first[b] = q->first;
    }
}

/* Bytes of the lanes, of what the source works with, of what areas do. */
static bool count_bytes(const question *q, bool area, size_t *of_lanes, size_t *of_noise, size_t *of_area) {
    const size_t m = q->at.dim, pairs = m*(m - 1)/2;
    *of_noise = nde_noise_bytes(&q->noise, m, q->at.n);
    *of_noise = *of_noise < SIZE_MAX - 64 ? (*of_noise + 63)/64*64 : SIZE_MAX;
    return *of_noise < SIZE_MAX && nde_size_multiply(q->at.n, 6*sizeof(double), of_lanes) &&
           nde_size_multiply(area ? pairs + 5*m : 0, NDE_NOISE_PIECE*sizeof(double), of_area);
}

nde_status nde_noise_between(const nde_noise *noise, const nde_between *between, double *w, double *h, double *k,
                             double *area) {
    question q = { 0 };
    const nde_status bad = read_question(&q, noise, between, w, h, k, area);
    if (bad) return bad;
    if (q.at.s == q.at.t) return be_still(&q, w, h, k, area), NDE_OK;
    const size_t m = q.at.dim, n = q.at.n;
    size_t of_lanes, of_noise, of_area, bytes, spare;
    if (!count_bytes(&q, area, &of_lanes, &of_noise, &of_area) || !nde_size_add(of_lanes, of_noise, &bytes) ||
        !nde_size_add(bytes, of_area, &bytes) || !nde_size_multiply(m*n, sizeof(double), &spare) ||
        !nde_size_add(bytes, spare, &bytes))
        return nde_fail(NDE_E_SIZE, "between: dim %zu times n %zu is too large", m, n);
    const nde_allocator *memory = &nde_allocator_default;
    char *block = memory->take(memory->ctx, bytes, 64);
    if (!block) return nde_fail(NDE_E_NOMEM, "out of memory: nde_noise_between");
    void *const begin = block + of_noise; /* six rows of 8 bytes a lane */
    double *row = begin;
    size_t *const trajectory = begin;
    int64_t *const first = begin;
    const lanes l = { .t0 = row, .t1 = row + n, .s = row + 2*n, .t = row + 3*n, .trajectory = trajectory + 4*n,
                      .first = first + 5*n };
    double *work = row + 6*n, *own_h = work + of_area/sizeof(double);
    fill(&q, &l);
    nde_noise_clear(&q.noise, block, n);
    const nde_noise_at at = { .n = n, .ld = n, .trajectory = l.trajectory, .t0 = l.t0, .t1 = l.t1, .s = l.s, .t = l.t,
                              .first = l.first, .count = q.count,
                              .grid = q.noise.source == NDE_SOURCE_TREE ? 1 : q.noise.grid, .N = q.at.N, .work = block,
                              .room = n };
    nde_noise_over(&q.noise, &at, m, w, h, k);
    if (area) nde_noise_area(&q.noise, &at, m, w, h ? h : own_h, area, work);
    memory->give(memory->ctx, block, bytes);
    return NDE_OK;
}
