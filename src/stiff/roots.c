/* SPDX-License-Identifier: MIT
 * roots.c - events: the rules of nde_event, on the polynomial of an internal step. SUNDIALS' own search would go on for ever
 * where a function returns NaN, and lose small values to underflow. */
#include "stiff/sun.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Where a zero at the start of a step is taken to be left, of the step. */
static const double leaving = 0x1p-17;
/* Two flights shorter than this, relative to t, come before one that would go unseen. */
static const double stuck = 64*16*16*DBL_EPSILON;

void nde_sun_events_clear(nde_stiff_solver *s) {
    const size_t N = s->rhs.N, rows = s->event_rows*N;
    memset(s->event_count, 0, s->rhs.problem.n_events*N*sizeof *s->event_count);
    memset(s->event_saved, 0, N*sizeof *s->event_saved);
    memset(s->event_together, 0, rows);
    for (size_t i = 0; i < N; i++) s->event_end[i] = -1;
    for (size_t i = 0; i < rows; i++) s->event_which[i] = -1, s->event_t[i] = (double)NAN;
    for (size_t i = 0; i < rows*s->rhs.dim; i++) s->event_y[i] = (double)NAN;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

static nde_status fail(nde_sun_worker *w, size_t e) {
    if (!w->replaying) w->solver->event_end[w->who] = (int32_t)e;
    return w->trouble.kind == NDE_SUN_STOPPED ? NDE_STOPPED : w->trouble.kind == NDE_SUN_NONFINITE ? NDE_E_NONFINITE
        : NDE_E_FIELD;
}

/* An infinite value has a sign: it is none of a failure. */
static nde_status value_of(nde_sun_worker *w, size_t e, double t, const double *y, double *value) {
    const int verdict = nde_sun_eval(w, &w->solver->rhs.event[e].g, t, y, value, 0);
    if (!verdict && isnan(*value)) w->trouble = (nde_sun_trouble){ .kind = NDE_SUN_NONFINITE };
    return verdict || isnan(*value) ? fail(w, e) : NDE_OK;
}

static nde_status values(nde_sun_worker *w, double t, const double *y, double *g) {
    nde_status status = NDE_OK;
    for (size_t e = 0; !status && e < w->solver->rhs.problem.n_events; e++) status = value_of(w, e, t, y, &g[e]);
    return status;
}

/* In the last step. */
static nde_status value_at(nde_sun_worker *w, size_t e, double t, double *value) {
    *value = 0;
    return w->solver->engine->value(w, t, 0, w->one.y) ? NDE_E_STEPSIZE : value_of(w, e, t, w->one.y, value);
}

/* ---- hits -------------------------------------------------------------------------------------------------------- */

static void note(nde_sun_worker *w, size_t e, double t, const double *y, bool together) {
    nde_stiff_solver *s = w->solver;
    const size_t N = s->rhs.N, row = s->event_saved[w->who];
    s->event_count[e*N + w->who]++;
    if (row == s->event_rows) return;
    s->event_which[row*N + w->who] = (int32_t)e;
    s->event_together[row*N + w->who] = together;
    s->event_t[row*N + w->who] = t;
    for (size_t i = 0; i < s->rhs.dim; i++) s->event_y[(row*s->rhs.dim + i)*N + w->who] = y[i];
    s->event_saved[w->who]++;
}

static bool is_last(const nde_sun_worker *w, size_t e) {
    const int64_t last = w->solver->rhs.event[e].terminal;
    return last > 0 && w->solver->event_count[e*w->solver->rhs.N + w->who] >= last;
}

nde_status nde_sun_events_start(nde_sun_worker *w, bool first) {
    const nde_stiff_solver *s = w->solver;
    bool together = false;
    nde_status status = values(w, w->t, w->state, w->g);
    for (size_t e = 0; e < s->rhs.problem.n_events; e++)
        if (!first && w->passed[e]) w->g[e] = 0; /* what was hit counts as being there */
    for (size_t e = 0; first && e < s->rhs.problem.n_events && status >= NDE_OK; e++) {
        w->passed[e] = false;
        if (!s->rhs.event[e].at_start || s->rhs.event[e].direction*w->g[e] < 0) continue;
        note(w, e, w->t, w->state, together);
        together = true;
        if (is_last(w, e) && !status) status = NDE_EVENT, s->event_end[w->who] = (int32_t)e;
    }
    return status;
}

/* ---- inside a step ----------------------------------------------------------------------------------------------- */

static int sign(double x) { return (x > 0) - (x < 0); }

static bool passes(const nde_watched *event, double from, double to) {
    return sign(from) != sign(to) && sign(from) != 0 && event->direction*sign(from) <= 0;
}

/* The zero of event e between a and b, the side of b of what is left, as in events/events.c: interpolation, truncation,
 * projection. Source: I. Oliveira, R. Takahashi, ACM Trans. Math. Softw. 47 (2020) 5. */
static nde_status root(nde_sun_worker *w, size_t e, double a, double ya, double b, double yb, double *t) {
    const double d = w->direction, whole = fabs(b - a), eps = DBL_EPSILON*fmax(fabs(a), fabs(b));
    double low = 0, high = whole, reach = whole;
    while (high - low > 2*eps) {
        const double half = 0.5*(low + high), width = high - low, straight = (yb*low - ya*high)/(yb - ya);
        const double toward = half >= straight ? 1 : -1, shift = 0.2*width*width/whole;
        const double cut = shift <= fabs(half - straight) ? straight + toward*shift : half, room = reach - 0.5*width;
        double x = fabs(cut - half) <= room ? cut : half - toward*room, y;
        if (!(x > low && x < high)) x = half;
        if (!(x > low && x < high)) break;
        const nde_status bad = value_at(w, e, a + d*x, &y);
        if (bad) return bad;
        if (sign(y) == sign(ya)) low = x, ya = y;
        else high = x, yb = y;
        reach *= 0.5;
    }
    *t = high == whole ? b : a + d*high;
    return NDE_OK;
}

/* From a zero of event e at the start of the step to where it is left. */
static nde_status leave_zero(nde_sun_worker *w, size_t e, double way, double *a, double *ya) {
    const double start = *a, least = fmin(64*DBL_EPSILON*(fabs(start) + way), 0.5*way), most = fmax(leaving*way, least);
    *a = start + w->direction*most;
    nde_status bad = value_at(w, e, *a, ya);
    if (bad || w->solver->rhs.event[e].direction*(*ya) <= 0 || most == least) return bad;
    const double early = start + w->direction*least;
    double before;
    bad = value_at(w, e, early, &before);
    if (!bad && sign(before) == -sign(*ya)) *a = early, *ya = before;
    return bad;
}

/* The zeros in the step to `end`, in the order of time; how many. */
static nde_status find(nde_sun_worker *w, double end, size_t *count) {
    const double d = w->direction;
    *count = 0;
    for (size_t e = 0; e < w->solver->rhs.problem.n_events; e++) {
        double a = w->t, ya = w->g[e];
        nde_status bad = ya == 0 ? leave_zero(w, e, fabs(end - w->t), &a, &ya) : NDE_OK;
        if (bad) return bad;
        if (!passes(&w->solver->rhs.event[e], ya, w->g_new[e])) continue;
        if ((bad = root(w, e, a, ya, end, w->g_new[e], &w->root[e]))) return bad;
        size_t k = (*count)++;
        for (; k > 0 && d*w->root[w->order[k - 1]] > d*w->root[e]; k--) w->order[k] = w->order[k - 1];
        w->order[k] = e;
    }
    return NDE_OK;
}

static bool close(double a, double b) { return fabs(a - b) <= 16*DBL_EPSILON*fmax(fabs(a), fabs(b)); }

/* Hits in order, as far as the first that cuts the step, with those that happen together with it. */
static nde_status take(nde_sun_worker *w, size_t hits, double *cut) {
    const nde_stiff_solver *s = w->solver;
    nde_status verdict = NDE_OK;
    double before = (double)NAN;
    for (size_t k = 0; k < hits; k++) {
        const size_t e = w->order[k];
        const double t = w->root[e];
        if (verdict != NDE_OK && !close(t, *cut)) break;
        if (s->engine->value(w, t, 0, w->one.y)) return NDE_E_STEPSIZE;
        note(w, e, t, w->one.y, close(t, before));
        before = t;
        const bool ends = is_last(w, e);
        if (verdict == NDE_OK && (ends || s->rhs.event[e].reset.field)) *cut = t;
        if (ends && verdict != NDE_EVENT) verdict = NDE_EVENT, s->event_end[w->who] = (int32_t)e;
        else if (s->rhs.event[e].reset.field && verdict == NDE_OK) verdict = NDE_UNFINISHED;
    }
    for (size_t e = 0; e < s->rhs.problem.n_events; e++) w->passed[e] = false;
    for (size_t k = 0; verdict && k < hits; k++) w->passed[w->order[k]] = close(w->root[w->order[k]], *cut);
    return verdict;
}

nde_status nde_sun_events_step(nde_sun_worker *w, double t, double *cut) {
    size_t hits;
    nde_status status = values(w, t, nde_sun_data(w->y), w->g_new);
    if (!status) status = find(w, t, &hits);
    if (!status) status = take(w, hits, cut);
    if (status == NDE_UNFINISHED && w->steps && fmax(fabs(w->solver->stats[w->who].h_last),
                                                     fabs(*cut - w->t)) < stuck*fabs(*cut))
        return NDE_E_STEPSIZE;
    memcpy(w->g, w->g_new, w->solver->rhs.problem.n_events*sizeof *w->g);
    return status;
}

nde_status nde_sun_events_reset(nde_sun_worker *w) {
    const nde_rhs *r = &w->solver->rhs;
    for (size_t e = 0; e < r->problem.n_events; e++) {
        if (!w->passed[e] || !r->event[e].reset.field) continue;
        if (nde_sun_eval(w, &r->event[e].reset, w->t, w->state, w->one.y, r->dim)) return fail(w, e);
        memcpy(w->state, w->one.y, r->dim*sizeof *w->state);
    }
    return NDE_OK;
}
