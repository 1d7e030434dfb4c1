/* SPDX-License-Identifier: MIT
 * batch.c - windows of a data set, their order in an epoch, and a mini-batch of them as lanes. */
#include "nde/train.h"

#include <float.h>
#include <math.h>

#include "core/core.h"
#include "noise/normal.h"

static nde_status read_series(const char *function, const nde_series *series, nde_series *s) {
    size_t count;
    if (!series) return nde_fail(NDE_E_ARG, "%s: series is NULL", function);
    if (!nde_read_sized(s, sizeof *s, series, sizeof *s))
        return nde_fail(NDE_E_ARG, "%s: series.size is %zu, which is not a layout that this library knows", function,
                        series->size);
    if (!s->n || !s->dim || !s->times)
        return nde_fail(NDE_E_ARG, "%s: series.%s is 0", function, !s->n ? "n" : !s->dim ? "dim" : "times");
    if (!s->t || !s->y) return nde_fail(NDE_E_ARG, "%s: series.%s is NULL", function, s->t ? "y" : "t");
    if (!nde_size_multiply(s->n, s->dim, &count) || !nde_size_multiply(count, s->times, &count) ||
        !nde_size_multiply(count, sizeof *s->y, &count))
        return nde_fail(NDE_E_ARG, "%s: series has %zu x %zu x %zu values", function, s->times, s->dim, s->n);
    return NDE_OK;
}

/* Are times first ... first + count - 1 finite and strictly monotone, in the direction of the whole series? */
static nde_status check_times(const char *function, const nde_series *s, size_t first, size_t count) {
    const double direction = s->t[s->times - 1] < s->t[0] ? -1 : 1;
    for (size_t k = first; k < first + count; k++) {
        if (!isfinite(s->t[k])) return nde_fail(NDE_E_ARG, "%s: series.t[%zu] is %g", function, k, s->t[k]);
        if (k > first && !(direction*(s->t[k] - s->t[k - 1]) > 0))
            return nde_fail(NDE_E_ARG, "%s: series.t[%zu] is %g after %g: not strictly monotone", function, k, s->t[k],
                            s->t[k - 1]);
    }
    return NDE_OK;
}

nde_status nde_windows(const nde_series *series, size_t length, size_t stride, nde_window *window, size_t capacity,
                       size_t *count) {
    nde_series s;
    size_t all;
    nde_status bad = read_series("nde_windows", series, &s);
    if (bad || (bad = check_times("nde_windows", &s, 0, s.times))) return bad;
    if (!count) return nde_fail(NDE_E_ARG, "nde_windows: count is NULL");
    if (!stride) return nde_fail(NDE_E_ARG, "nde_windows: stride is 0");
    if (!length || length > s.times)
        return nde_fail(NDE_E_ARG, "nde_windows: length is %zu, the series has %zu times", length, s.times);
    const size_t each = (s.times - length)/stride + 1;
    if (!nde_size_multiply(s.n, each, &all))
        return nde_fail(NDE_E_ARG, "nde_windows: %zu trajectories with %zu windows each", s.n, each);
    *count = all;
    if (!window) return NDE_OK;
    if (capacity < all) return nde_fail(NDE_E_SIZE, "nde_windows: there are %zu windows, capacity is %zu", all, capacity);
    for (size_t i = 0; i < all; i++)
        window[i] = (nde_window){ .trajectory = i/each, .start = i%each*stride, .length = length };
    return NDE_OK;
}

/* 64 random bits: those under nde_uniform(seed, NDE_PURPOSE_SHUFFLE, epoch, position, 2*attempt). */
static uint64_t draw(uint64_t seed, uint64_t epoch, uint64_t position, uint64_t attempt) {
    const nde_block x = nde_philox(nde_counter(NDE_PURPOSE_SHUFFLE, epoch, position, 2*attempt), (uint32_t)seed,
                                   (uint32_t)(seed >> 32));
    return x.x[0] | (uint64_t)x.x[1] << 32;
}

/* Each of 0 ... n - 1 with the same probability: the lowest 2^64 mod n values are drawn again. */
static uint64_t below(uint64_t n, uint64_t seed, uint64_t epoch, uint64_t position) {
    const uint64_t least = (0 - n)%n;
    uint64_t attempt = 0, x;
    while ((x = draw(seed, epoch, position, attempt)) < least) attempt++;
    return x%n;
}

nde_status nde_shuffle(uint64_t seed, uint64_t epoch, size_t count, size_t *order) {
    if (!count) return nde_fail(NDE_E_ARG, "nde_shuffle: count is 0");
    if (!order) return nde_fail(NDE_E_ARG, "nde_shuffle: order is NULL");
    for (size_t i = 0; i < count; i++) order[i] = i;
    for (size_t i = count - 1; i > 0; i--) {
        const size_t j = (size_t)below((uint64_t)i + 1, seed, epoch, i), last = order[i];
        order[i] = order[j], order[j] = last;
    }
    return NDE_OK;
}

/* Does the window count at its time k? */
static bool open_at(const nde_window *w, size_t k) { return k < w->length && (!w->mask || w->mask[k]); }

/* Checks one window; longest and largest |t| so far are updated. */
static nde_status check_window(const nde_series *s, const nde_window *window, size_t b, size_t times, size_t *longest,
                               double *largest) {
    const nde_window *w = &window[b];
    if (w->trajectory >= s->n)
        return nde_fail(NDE_E_ARG, "nde_batch: window[%zu].trajectory is %zu of %zu", b, w->trajectory, s->n);
    if (!w->length || w->length > s->times || w->start > s->times - w->length)
        return nde_fail(NDE_E_ARG, "nde_batch: window[%zu] has length %zu from time %zu on, the series has %zu times", b,
                        w->length, w->start, s->times);
    if (w->length > times)
        return nde_fail(NDE_E_ARG, "nde_batch: window[%zu].length is %zu, the batch has %zu times", b, w->length, times);
    const nde_status bad = check_times("nde_batch", s, w->start, w->length);
    if (bad) return bad;
    if (w->length > window[*longest].length) *longest = b;
    *largest = fmax(*largest, fmax(fabs(s->t[w->start]), fabs(s->t[w->start + w->length - 1])));
    for (size_t i = 0; i < s->dim; i++) {
        const nde_real start = s->y[(w->start*s->dim + i)*s->n + w->trajectory];
        if (!isfinite(start))
            return nde_fail(NDE_E_ARG, "nde_batch: window[%zu] begins at time %zu, where component %zu of trajectory %zu is %g",
                            b, w->start, i, w->trajectory, (double)start);
        for (size_t k = 0; s->weight && k < w->length; k++) {
            const double weight = (double)s->weight[((w->start + k)*s->dim + i)*s->n + w->trajectory];
            if (!(weight >= 0 && weight <= DBL_MAX))
                return nde_fail(NDE_E_ARG, "nde_batch: series.weight is %g at time %zu of component %zu of trajectory %zu: it "
                                "must be finite and not negative", weight, w->start + k, i, w->trajectory);
        }
    }
    return NDE_OK;
}

/* Do all windows have the longest one's times, relative to their start? */
static nde_status check_grid(const nde_series *s, const nde_window *window, size_t m, size_t longest, double largest) {
    const double *reference = s->t + window[longest].start, near = 8*(nextafter(largest, (double)INFINITY) - largest);
    for (size_t b = 0; b < m; b++)
        for (size_t k = 0; k < window[b].length; k++) {
            const double *own = s->t + window[b].start, here = own[k] - own[0], there = reference[k] - reference[0];
            if (!(fabs(here - there) <= near))
                return nde_fail(NDE_E_ARG, "nde_batch: time %zu of window[%zu] is %.17g after its start, of window[%zu] %.17g",
                                k, b, here, longest, there);
        }
    return NDE_OK;
}

nde_status nde_batch(const nde_series *series, const nde_window *window, size_t m, size_t times, double *t, nde_real *y0,
                     nde_real *data, nde_real *weight, double *t0) {
    nde_series s;
    size_t rows, count, longest = 0;
    double largest = 0;
    nde_status bad = read_series("nde_batch", series, &s);
    if (bad) return bad;
    if (!window || !t || !y0 || !data)
        return nde_fail(NDE_E_ARG, "nde_batch: %s is NULL", !window ? "window" : !t ? "t" : !y0 ? "y0" : "data");
    if (!m || !times) return nde_fail(NDE_E_ARG, "nde_batch: %s is 0", m ? "times" : "m");
    if (!nde_size_multiply(times, s.dim, &rows) || !nde_size_multiply(rows, m, &count) ||
        !nde_size_multiply(count, sizeof *data, &count))
        return nde_fail(NDE_E_ARG, "nde_batch: %zu times of %zu x %zu values", times, s.dim, m);
    for (size_t b = 0; b < m; b++)
        if ((bad = check_window(&s, window, b, times, &longest, &largest))) return bad;
    if ((bad = check_grid(&s, window, m, longest, largest))) return bad;

    const nde_window *whole = &window[longest]; /* behind its end time stands still: nothing more is solved */
    for (size_t k = 0; k < times; k++)
        t[k] = s.t[whole->start + (k < whole->length ? k : whole->length - 1)] - s.t[whole->start];
    for (size_t b = 0; t0 && b < m; b++) t0[b] = s.t[window[b].start];
    for (size_t i = 0; i < s.dim; i++)
        for (size_t b = 0; b < m; b++) y0[i*m + b] = s.y[(window[b].start*s.dim + i)*s.n + window[b].trajectory];
    for (size_t row = 0; row < rows; row++)
        for (size_t b = 0; b < m; b++) {
            const nde_window *w = &window[b];
            const bool open = open_at(w, row/s.dim);
            const size_t from = open ? (w->start*s.dim + row)*s.n + w->trajectory : 0;
            data[row*m + b] = open ? s.y[from] : (nde_real)NAN;
            if (weight) weight[row*m + b] = !open || isnan(s.y[from]) ? 0 : s.weight ? s.weight[from] : 1;
        }
    return NDE_OK;
}
