/* SPDX-License-Identifier: MIT
 * events.c - zeros of functions of the state: found between accepted steps, placed by the method's continuous extension,
 * and what follows from them. All events of a block of lanes are evaluated at once; only lanes where one may have passed
 * are looked into. */
#include "solve/solver.h"

#include <float.h>
#include <math.h>
#include <string.h>

/* Where a zero at the start of a step is taken to be left: far above the rounding of what the last root left, far below what
 * happens in a step. */
static const double leaving = sizeof(nde_real) == sizeof(double) ? 0x1p-17 : 0x1p-8;
/* A root leaves y up to 4 ulp of t behind it, and rounding as much of the step; a reset that keeps a sixteenth of the
 * speed has made up for that in 64 of them. Two flights shorter than `stuck`, relative to t, come before one that would go
 * unseen. */
static const double rounding = sizeof(nde_real) == sizeof(double) ? DBL_EPSILON : (double)FLT_EPSILON;
static const double stuck = sizeof(nde_real) == sizeof(double) ? 64*16*16*DBL_EPSILON : (double)FLT_EPSILON;

void nde_events_begin(nde_solver *s) {
    const nde_hits *h = &s->hits;
    const size_t N = s->N, rows = h->rows*N;
    memset(h->count, 0, s->rhs.problem.n_events*N*sizeof *h->count);
    memset(h->kept, 0, N*sizeof *h->kept);
    memset(h->together, 0, rows*sizeof *h->together);
    for (size_t i = 0; i < N; i++) h->end[i] = -1;
    for (size_t i = 0; i < rows; i++) h->which[i] = -1, h->t[i] = (double)NAN;
    for (size_t i = 0; i < rows*s->rhs.dim; i++) h->y[i] = (nde_real)NAN;
}

/* ---- a field on lanes ------------------------------------------------------------------------ */

/* Event e fails in this trajectory: the value that its field returned, or its mark. */
static nde_status fail(nde_solver *s, size_t who, size_t e, int rc, unsigned char mark) {
    const bool stopped = rc == NDE_FIELD_STOP || mark == NDE_LANE_STOP;
    s->hits.end[who] = (int32_t)e;
    s->stats[who].callback = rc;
    if (rc == NDE_FIELD_STOP) atomic_store(&s->stop, 1);
    return stopped ? NDE_STOPPED : rc || mark != NDE_LANE_OK ? NDE_E_FIELD : NDE_E_NONFINITE;
}

static bool is_finite(const nde_real *x, size_t rows, size_t ld) {
    for (size_t i = 0; i < rows; i++)
        if (!isfinite(x[i*ld])) return false;
    return true;
}

/* Gathers the lanes with states [dim][ld of the panel] and times. */
static void gather(const nde_solver *s, const nde_panel *p, nde_worker *w, const size_t *lane, size_t m, const nde_real *y,
                   const double *t) {
    nde_group *g = &w->group;
    nde_group_gather(s, p, w, lane, m);
    for (size_t i = 0; i < s->rhs.dim; i++)
        for (size_t j = 0; j < m; j++) g->y[i*g->lanes.site.ld + j] = y[i*p->ld + lane[j]];
    for (size_t j = 0; j < m; j++) g->t[j] = t[lane[j]];
}

/* What event e is at (t, y) of the lanes, into row e of `to` [n_events][ld]. A failing return code speaks for the whole
 * call, so the lanes are then asked one by one. */
static void watch(nde_solver *s, nde_panel *p, nde_worker *w, size_t e, const size_t *lane, size_t m, const nde_real *y,
                  const double *t, nde_real *to) {
    nde_group *g = &w->group;
    gather(s, p, w, lane, m, y, t);
    const int rc = nde_part_eval(&s->rhs, &g->lanes, &s->rhs.event[e].g, g->t, g->y, g->z);
    if (rc && rc != NDE_FIELD_STOP && m > 1) {
        for (size_t j = 0; j < m; j++) watch(s, p, w, e, lane + j, 1, y, t, to);
        return;
    }
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j];
        to[e*p->ld + b] = g->z[j];
        if (rc || g->mark[j] != NDE_LANE_OK || isnan(g->z[j])) w->verdict[b] = fail(s, p->trajectory[b], e, rc, g->mark[j]);
    }
}

/* All events, at states and times of the lanes whose verdict is `fine`. */
static void watch_all(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m, nde_status fine,
                      const nde_real *y, const double *t, nde_real *to) {
    for (size_t e = 0; e < s->rhs.problem.n_events; e++) {
        size_t good = 0;
        for (size_t j = 0; j < m; j++)
            if (w->verdict[lane[j]] == fine) w->list2[good++] = lane[j];
        if (good) watch(s, p, w, e, w->list2, good, y, t, to);
    }
}

void nde_events_look(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m) {
    watch_all(s, p, w, lane, m, NDE_OK, p->y, p->t, p->g);
}

/* ---- hits ------------------------------------------------------------------------------------- */

/* Counts a hit and keeps it, while there are rows: the column for its state, NULL without. */
static nde_real *note(nde_solver *s, size_t who, size_t e, double t, bool together) {
    nde_hits *h = &s->hits;
    const size_t N = s->N, row = h->kept[who];
    h->count[e*N + who]++;
    if (row == h->rows) return NULL;
    h->which[row*N + who] = (int32_t)e;
    h->together[row*N + who] = together;
    h->t[row*N + who] = t;
    h->kept[who]++;
    return h->y + row*s->rhs.dim*N + who;
}

/* Does event e end the trajectory with the hits that it has? */
static bool is_last(const nde_solver *s, size_t who, size_t e) {
    const int64_t last = s->rhs.event[e].terminal;
    return last > 0 && s->hits.count[e*s->N + who] >= last;
}

void nde_events_start(nde_solver *s, const nde_panel *p, nde_worker *w, const size_t *lane, size_t m) {
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j], who = p->trajectory[b];
        bool together = false;
        if (w->verdict[b] != NDE_OK) continue;
        for (size_t e = 0; e < s->rhs.problem.n_events; e++) {
            if (!s->rhs.event[e].at_start || s->rhs.event[e].direction*(double)p->g[e*p->ld + b] < 0) continue;
            nde_real *y = note(s, who, e, p->t[b], together);
            for (size_t i = 0; y && i < s->rhs.dim; i++) y[i*s->N] = p->y[i*p->ld + b];
            together = true;
            if (is_last(s, who, e) && w->verdict[b] == NDE_OK) w->verdict[b] = NDE_EVENT, s->hits.end[who] = (int32_t)e;
        }
    }
}

/* ---- inside a step of one lane ---------------------------------------------------------------- */

typedef struct view {
    nde_solver *s;
    nde_panel *p;
    nde_worker *w;
    size_t b, who;          /* the lane and its trajectory */
    const nde_panel *from;  /* where its slopes are, all that the extension needs */
    size_t lane;
    nde_status status;      /* NDE_OK until something fails */
} view;

static view look_into(nde_solver *s, nde_panel *p, nde_worker *w, size_t b) {
    view v = { s, p, w, b, p->trajectory[b], p, b, NDE_OK };
    if (s->table.slopes == s->table.stages) {
        nde_group_gather(s, p, w, &b, 1);
        return v;
    }
    const int rc = nde_inside_load(s, p, w, &b, 1);
    const unsigned char mark = w->inside.lanes.site.lane[0];
    v.from = &w->inside, v.lane = 0;
    p->evals[b] += s->table.slopes - s->table.stages;
    if (rc || mark != NDE_LANE_OK) v.status = fail(s, v.who, 0, rc, mark), s->hits.end[v.who] = -1;
    return v;
}

static double place(const view *v, double t) { return (t - v->p->t[v->b])/v->p->dt[v->b]; }

/* Event e at t; anything when the view's status says that it failed. */
static double value_at(view *v, size_t e, double t) {
    nde_group *g = &v->w->group;
    nde_real value = 0;
    if (v->status != NDE_OK) return 0;
    nde_save_dense(v->s, v->from, v->lane, place(v, t), g->z, NULL, 1);
    const int rc = nde_part_eval(&v->s->rhs, &g->lanes, &v->s->rhs.event[e].g, &t, g->z, &value);
    if (rc || g->mark[0] != NDE_LANE_OK || isnan(value)) v->status = fail(v->s, v->who, e, rc, g->mark[0]);
    return (double)value;
}

static int sign(double x) { return (x > 0) - (x < 0); }

/* The zero of event e between a and b, where its values have not the same sign: the side of b of what is left, 4 ulp of t at
 * most. Interpolation, truncation and projection, with the paper's constants k1 = 0.2/(b - a), k2 = 2, n0 = 1: never more than
 * one evaluation above those of bisection. */
static double root(view *v, size_t e, double a, double ya, double b, double yb) {
    const double d = v->s->direction, whole = fabs(b - a), eps = DBL_EPSILON*fmax(fabs(a), fabs(b));
    double low = 0, high = whole, reach = whole;
    while (high - low > 2*eps && v->status == NDE_OK) {
        const double half = 0.5*(low + high), width = high - low, straight = (yb*low - ya*high)/(yb - ya);
        const double toward = half >= straight ? 1 : -1, step = 0.2*width*width/whole;
        const double cut = step <= fabs(half - straight) ? straight + toward*step : half, room = reach - 0.5*width;
        double x = fabs(cut - half) <= room ? cut : half - toward*room;
        if (!(x > low && x < high)) x = half;
        const double y = value_at(v, e, a + d*x);
        if (sign(y) == sign(ya)) low = x, ya = y;
        else high = x, yb = y;
        reach *= 0.5;
    }
    return high == whole ? b : a + d*high;
}

static bool passes(const nde_watched *event, double from, double to) {
    return sign(from) != sign(to) && sign(from) != 0 && event->direction*sign(from) <= 0;
}

/* By secants: g is smooth there, and close to its zero. */
nde_status nde_events_find(nde_solver *s, nde_panel *p, nde_worker *w, size_t b, size_t e, double *t) {
    view v = look_into(s, p, w, b);
    double x = *t, y = value_at(&v, e, x), a = x - 1e-3*p->dt[b], ya = value_at(&v, e, a);
    for (int k = 0; k < 30 && v.status == NDE_OK && y != 0 && y != ya; k++) {
        const double next = x - y*(x - a)/(y - ya);
        if (fabs(next - x) <= 2*DBL_EPSILON*fabs(x)) break;
        a = x, ya = y;
        x = next, y = value_at(&v, e, x);
    }
    *t = x;
    return v.status;
}

/* From a zero of event e at the start of the step to where it is left, and the value there. One that has passed again by
 * then, in a flight that is as short, is left where it still has the other sign. */
static void leave_zero(view *v, size_t e, double *a, double *ya) {
    const nde_panel *p = v->p;
    const double start = *a, way = fabs(p->dt[v->b]), least = fmin(64*(DBL_EPSILON*fabs(start) + rounding*way), 0.5*way),
                 most = fmax(leaving*way, least);
    *a = start + v->s->direction*most, *ya = value_at(v, e, *a);
    if (v->s->rhs.event[e].direction*(*ya) <= 0 || most == least) return;
    const double early = start + v->s->direction*least, before = value_at(v, e, early);
    if (sign(before) == -sign(*ya)) *a = early, *ya = before;
}

/* The zeros of all events in the step, in the order of time; how many. */
static size_t find(view *v) {
    const nde_panel *p = v->p;
    const double d = v->s->direction;
    double *at = v->w->root;
    size_t count = 0, *order = v->w->order;
    for (size_t e = 0; e < v->s->rhs.problem.n_events; e++) {
        double a = p->t[v->b], ya = (double)p->g[e*p->ld + v->b];
        const double b = p->t_new[v->b], yb = (double)v->w->g_new[e*p->ld + v->b];
        if (ya == 0) leave_zero(v, e, &a, &ya);
        if (v->status != NDE_OK) return 0;
        if (!passes(&v->s->rhs.event[e], ya, yb)) continue;
        at[e] = root(v, e, a, ya, b, yb);
        size_t k = count++;
        for (; k > 0 && d*at[order[k - 1]] > d*at[e]; k--) order[k] = order[k - 1];
        order[k] = e;
    }
    return count;
}

/* The state at t, [rows], into a column. */
static void state_at(const nde_solver *s, const nde_panel *p, size_t b, const nde_panel *from, size_t lane, double t,
                     size_t rows, nde_real *to, size_t stride) {
    const double theta = (t - p->t[b])/p->dt[b];
    if (t == p->t_new[b])
        for (size_t i = 0; i < rows; i++) to[i*stride] = p->z[i*p->ld + b];
    else if (rows > s->rhs.dim)
        nde_save_state_inside(s, from, lane, theta, to, NULL, stride);
    else
        nde_save_dense(s, from, lane, theta, to, NULL, stride);
}

bool nde_events_meet(double a, double b) { return fabs(a - b) <= 16*DBL_EPSILON*fmax(fabs(a), fabs(b)); }

static void end_at(const nde_solver *s, nde_panel *p, size_t b, const nde_panel *from, size_t lane, double t) {
    state_at(s, p, b, from, lane, t, s->rhs.rows, p->z + b, p->ld);
    p->t_new[b] = t;
}

/* Ends the step at t; whoever undoes it needs the state that it would have led to. */
static void cut_step(const view *v, double t, bool end) {
    const nde_panel *p = v->p;
    for (size_t i = 0; v->s->undoes && i < v->s->state_rows; i++) v->w->a_z[i*p->ld + v->b] = p->z[i*p->ld + v->b];
    end_at(v->s, v->p, v->b, v->from, v->lane, t);
    v->w->length[v->b] = t - v->p->t[v->b];
    if (end) v->p->t1[v->b] = t;
}

int nde_events_cut(const nde_solver *s, nde_panel *p, nde_worker *w, size_t b, double t) {
    const bool extended = s->table.slopes > s->table.stages;
    const int rc = extended ? nde_inside_load(s, p, w, &b, 1) : 0;
    if (!rc) end_at(s, p, b, extended ? &w->inside : p, extended ? 0 : b, t);
    return rc;
}

void nde_events_log(const nde_solver *s, nde_panel *p, nde_worker *w) {
    nde_entry entry;
    size_t m = 0, *lane = w->list;
    for (size_t b = 0; b < p->live->n; b++)
        if (p->accept[b] && w->cut_by[b] != SIZE_MAX) lane[m++] = b;
    if (!m || !nde_log_list(s, p, NDE_ENTRY_CUT, m, &entry)) return;
    for (size_t j = 0; j < m; j++) {
        const size_t b = entry.cuts.lane[j] = lane[j];
        entry.cuts.event[j] = w->cut_by[b];
        entry.cuts.since[j] = p->since[b];
        entry.cuts.t[j] = p->since[b] = p->t_new[b];
        for (size_t i = 0; i < entry.rows; i++) entry.y[i*m + j] = w->a_z[i*p->ld + b];
    }
}

/* Takes the hits in order, as far as the first that cuts the step, with those that happen together with it. */
static nde_status take(view *v, size_t hits) {
    const nde_panel *p = v->p;
    nde_status verdict = NDE_OK;
    double before = (double)NAN, cut = 0;
    size_t by = SIZE_MAX;
    for (size_t k = 0; k < hits; k++) {
        const size_t e = v->w->order[k];
        const nde_watched *event = &v->s->rhs.event[e];
        const double t = v->w->root[e];
        if (verdict != NDE_OK && !nde_events_meet(t, cut)) break;
        nde_real *y = note(v->s, v->who, e, t, nde_events_meet(t, before));
        if (y) state_at(v->s, p, v->b, v->from, v->lane, t, v->s->rhs.dim, y, v->s->N);
        const bool ends = is_last(v->s, v->who, e), acts = ends || event->reset.field;
        before = t;
        if (acts) by = verdict == NDE_OK ? e + (nde_events_meet(t, p->stop[v->b]) ? NDE_CUT_TIED : 0) : by | NDE_CUT_TIED;
        if (verdict == NDE_OK) cut = t;
        if (ends && verdict != NDE_EVENT) verdict = NDE_EVENT, v->s->hits.end[v->who] = (int32_t)e;
        else if (event->reset.field && verdict == NDE_OK) verdict = NDE_UNFINISHED;
    }
    if (verdict == NDE_OK) return NDE_OK;
    for (size_t k = 0; k < hits; k++)
        v->w->passed[v->w->order[k]*p->capacity + v->b] = nde_events_meet(v->w->root[v->w->order[k]], cut);
    cut_step(v, cut, verdict == NDE_EVENT);
    v->w->cut_by[v->b] = by;
    const double least = stuck*fabs(cut);
    const bool forward = p->accepted[v->b] == 0 || fmax(fabs(p->h_last[v->b]), fabs(v->w->length[v->b])) >= least;
    return verdict == NDE_UNFINISHED && !forward ? NDE_E_STEPSIZE : verdict;
}

/* May an event have passed in the step of lane b? */
static bool concerned(const nde_solver *s, const nde_panel *p, const nde_worker *w, size_t b) {
    for (size_t e = 0; e < s->rhs.problem.n_events; e++) {
        const double from = (double)p->g[e*p->ld + b], to = (double)w->g_new[e*p->ld + b];
        if (from == 0 || passes(&s->rhs.event[e], from, to)) return true;
    }
    return false;
}

bool nde_events_step(nde_solver *s, nde_panel *p, nde_worker *w) {
    const size_t n = p->live->n, count = s->rhs.problem.n_events;
    size_t m = 0, *lane = w->list;
    bool any = false;
    for (size_t b = 0; b < n; b++) {
        w->verdict[b] = NDE_OK;
        w->length[b] = p->dt[b];
        w->cut_by[b] = SIZE_MAX;
        if (p->accept[b]) lane[m++] = b;
    }
    watch_all(s, p, w, lane, m, NDE_OK, p->z, p->t_new, w->g_new);
    memset(w->passed, 0, count*p->capacity*sizeof *w->passed);
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j];
        if (w->verdict[b] == NDE_OK && concerned(s, p, w, b)) {
            view v = look_into(s, p, w, b);
            const size_t hits = find(&v);
            w->verdict[b] = v.status == NDE_OK ? take(&v, hits) : v.status;
        }
        for (size_t e = 0; e < count; e++) p->g[e*p->ld + b] = w->g_new[e*p->ld + b];
        any = any || w->verdict[b] != NDE_OK;
    }
    return any;
}

/* ---- resets ----------------------------------------------------------------------------------- */

/* y+ of event e in the lanes, one by one when the call fails for them all. */
static void reset(nde_solver *s, nde_panel *p, nde_worker *w, size_t e, const size_t *lane, size_t m) {
    nde_group *g = &w->group;
    nde_group_gather(s, p, w, lane, m);
    const int rc = nde_part_eval(&s->rhs, &g->lanes, &s->rhs.event[e].reset, g->t, g->y, g->z);
    if (rc && rc != NDE_FIELD_STOP && m > 1) {
        for (size_t j = 0; j < m; j++) reset(s, p, w, e, lane + j, 1);
        return;
    }
    const size_t ld = g->lanes.site.ld;
    size_t good = 0;
    for (size_t j = 0; j < m; j++) {
        const bool fails = rc || g->mark[j] != NDE_LANE_OK || !is_finite(g->z + j, s->rhs.dim, ld);
        if (fails) w->verdict[lane[j]] = fail(s, p->trajectory[lane[j]], e, rc, g->mark[j]);
        good += !fails;
    }
    nde_entry entry;
    const bool logged = good && nde_log_list(s, p, NDE_ENTRY_RESET, good, &entry);
    for (size_t j = 0, k = 0; j < m; j++) {
        if (w->verdict[lane[j]] != NDE_UNFINISHED) continue;
        nde_panel_put(s, p, lane[j], g->z + j, ld);
        if (!logged) continue;
        for (size_t i = 0; i < s->rhs.dim; i++) entry.y[i*good + k] = g->y[i*ld + j];
        entry.lane[k] = lane[j], entry.who[k++] = e;
    }
}

int nde_events_reset_again(const nde_solver *s, nde_panel *p, nde_worker *w, const nde_entry *e) {
    nde_group *g = &w->group;
    nde_group_gather(s, p, w, e->lane, e->n);
    const int rc = nde_part_eval(&s->rhs, &g->lanes, &s->rhs.event[e->who[0]].reset, g->t, g->y, g->z);
    for (size_t j = 0; j < e->n; j++) nde_panel_put(s, p, e->lane[j], g->z + j, g->lanes.site.ld);
    return rc;
}

void nde_events_reset(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m) {
    for (size_t e = 0; e < s->rhs.problem.n_events; e++) {
        size_t count = 0;
        for (size_t j = 0; s->rhs.event[e].reset.field && j < m; j++)
            if (w->passed[e*p->capacity + lane[j]] && w->verdict[lane[j]] == NDE_UNFINISHED) w->list2[count++] = lane[j];
        if (count) reset(s, p, w, e, w->list2, count);
    }
    watch_all(s, p, w, lane, m, NDE_UNFINISHED, p->y, p->t, p->g);
    for (size_t e = 0; e < s->rhs.problem.n_events; e++)
        for (size_t j = 0; j < m; j++)
            if (w->passed[e*p->capacity + lane[j]]) p->g[e*p->ld + lane[j]] = 0;
}

/* ---- what has happened ------------------------------------------------------------------------ */

bool nde_events_have_cut(const nde_solver *s) {
    for (size_t i = 0; s->rhs.problem.n_events && i < s->N; i++)
        if (s->status[i] == NDE_EVENT) return true;
    for (size_t e = 0; e < s->rhs.problem.n_events; e++)
        for (size_t i = 0; s->rhs.event[e].reset.field && i < s->N; i++)
            if (s->hits.count[e*s->N + i]) return true;
    return false;
}
