/* SPDX-License-Identifier: MIT
 * rows.c - rows that are observed, given to the caller as they come, or summed up: those of a panel's step gather in a block of
 * the worker's, and go on together. What fails there ends the trajectory at the end of its step: w->fate. */
#include "solve/solver.h"

#include <math.h>
#include <string.h>

static void copy(size_t rows, const nde_real *from, size_t from_stride, nde_real *to, size_t to_stride) {
    for (size_t i = 0; i < rows; i++) to[i*to_stride] = from[i*from_stride];
}

/* ---- a block goes on ------------------------------------------------------------------------- */

/* What becomes of the lane of column j, whose observation returned rc. */
static nde_status verdict(const nde_solver *s, const nde_rows *r, size_t j, int rc) {
    if (rc == NDE_FIELD_STOP || r->mark[j] == NDE_LANE_STOP) return NDE_STOPPED;
    if (rc || r->mark[j] != NDE_LANE_OK) return NDE_E_FIELD;
    for (size_t i = 0; i < s->out; i++)
        if (!isfinite(r->out[i*r->lanes.site.ld + j])) return NDE_E_NONFINITE;
    return NDE_OK;
}

static void move(const nde_solver *s, nde_rows *r, size_t from, size_t to) {
    const size_t ld = r->lanes.site.ld;
    if (from == to) return;
    r->lane[to] = r->lane[from], r->trajectory[to] = r->trajectory[from], r->interval[to] = r->interval[from];
    r->row[to] = r->row[from], r->t[to] = r->t[from];
    copy(s->rhs.dim, r->y + from, ld, r->y + to, ld);
    copy(s->rhs.nq, r->q + from, ld, r->q + to, ld);
    if (r->out != r->y) copy(s->out, r->out + from, ld, r->out + to, ld);
}

/* Leaves out the rows that their lanes will not have. */
static void leave_out(const nde_solver *s, const nde_panel *p, nde_worker *w) {
    nde_rows *r = &w->rows;
    const size_t m = r->lanes.site.n;
    r->lanes.site.n = 0;
    for (size_t j = 0; j < m; j++) {
        const size_t b = r->lane[j];
        if (w->fate[b] == NDE_OK || r->row[j] < p->saved[b]) move(s, r, j, r->lanes.site.n++);
    }
}

/* Observes the rows. Lanes of those that cannot be have met their fate. */
static void observe(nde_solver *s, nde_panel *p, nde_worker *w) {
    nde_rows *r = &w->rows;
    const size_t m = r->lanes.site.n;
    const int rc = m && s->rhs.observe.field ? nde_observe(s, r, &w->scratch) : 0;
    const bool alone = rc && rc != NDE_FIELD_STOP && m > 1; /* the code speaks for the whole call: asked one by one */
    if (rc == NDE_FIELD_STOP) atomic_store(&s->stop, 1);
    for (size_t j = 0; j < m; j++) {
        const size_t b = r->lane[j];
        if (w->fate[b] != NDE_OK) continue;
        const int code = alone ? nde_observe_one(s, r, j, &w->scratch) : rc;
        w->fate[b] = verdict(s, r, j, code);
        if (w->fate[b] == NDE_OK) continue;
        p->saved[b] = r->row[j];
        s->stats[r->trajectory[j]].callback = code;
    }
}

static void keep(nde_solver *s, const nde_rows *r, size_t m) {
    for (size_t j = 0; j < m; j++) {
        const size_t who = r->trajectory[j], row = r->row[j], ld = r->lanes.site.ld;
        if (s->y_out) copy(s->out, r->out + j, ld, s->y_out + row*s->out*s->N + who, s->N);
        if (s->y_rows) copy(s->rhs.dim, r->y + j, ld, s->y_rows + row*s->rhs.dim*s->N + who, s->N);
        if (s->save_t_out) s->save_t_out[row*s->N + who] = r->t[j];
    }
}

/* The caller stops the run with row j. */
static void stop(nde_solver *s, nde_panel *p, nde_worker *w, size_t j, int code) {
    const nde_rows *r = &w->rows;
    atomic_store(&s->stop, 1);
    atomic_store(&s->closed, 1);
    w->fate[r->lane[j]] = NDE_STOPPED;
    p->saved[r->lane[j]] = r->row[j] + 1;
    s->stats[r->trajectory[j]].callback = code;
}

/* The caller takes no more rows. */
static void turn_away(nde_panel *p, nde_worker *w) {
    const nde_rows *r = &w->rows;
    for (size_t j = 0; j < r->lanes.site.n; j++) {
        const size_t b = r->lane[j];
        if (w->fate[b] == NDE_OK) w->fate[b] = NDE_STOPPED, p->saved[b] = r->row[j];
    }
}

static void flush(nde_solver *s, nde_panel *p, nde_worker *w) {
    nde_rows *r = &w->rows;
    if (atomic_load_explicit(&s->closed, memory_order_relaxed)) turn_away(p, w);
    leave_out(s, p, w);
    observe(s, p, w);
    leave_out(s, p, w);
    const size_t m = r->lanes.site.n;
    r->lanes.site.n = 0;
    if (!m) return;
    keep(s, r, m);
    const int rc = s->stream.at ? s->stream.at(s->stream.ctx, m, r->lanes.site.ld, r->trajectory, r->row, r->t, r->out) : 0;
    for (size_t j = 0; j < m; j++) {
        const int code = s->reduces ? nde_reduce_add(s, p->shard, w->scratch.worker, r, j) : 0;
        if (rc || code) stop(s, p, w, j, rc ? rc : code);
    }
}

/* ---- rows of a panel ------------------------------------------------------------------------- */

/* Column of the next row of lane b, [dim]. */
static nde_real *push(nde_solver *s, nde_panel *p, nde_worker *w, size_t b, size_t row, double t) {
    nde_rows *r = &w->rows;
    const size_t ld = r->lanes.site.ld;
    p->saved[b] = row + 1; /* until the block shows otherwise */
    if (r->lanes.site.n == r->capacity) flush(s, p, w);
    const size_t j = r->lanes.site.n++;
    r->lane[j] = b, r->trajectory[j] = p->trajectory[b], r->row[j] = row, r->t[j] = t;
    r->interval[j] = p->interval[b], r->mark[j] = NDE_LANE_OK;
    copy(s->rhs.nq, p->q + b, p->ld, r->q + j, ld);
    return r->y + j;
}

/* The state y [dim][ld of the panel] of lane b as its next row. */
static void push_state(nde_solver *s, nde_panel *p, nde_worker *w, size_t b, size_t row, double t, const nde_real *y) {
    copy(s->rhs.dim, y + b, p->ld, push(s, p, w, b, row, t), w->rows.lanes.site.ld);
}

void nde_rows_start(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m, nde_status *status) {
    for (size_t j = 0; j < m; j++) {
        const size_t b = lane[j];
        w->fate[b] = status[j] == NDE_OK || status[j] == NDE_EVENT ? NDE_OK : status[j];
        if (w->fate[b] == NDE_OK && s->saving == NDE_SAVE_EVERY) push_state(s, p, w, b, 0, p->t[b], p->y);
        if (s->saving != NDE_SAVE_TIMES) continue;
        for (size_t row = 0; w->fate[b] == NDE_OK && nde_save_row_is_due(s, row, p->trajectory[b], p->t[b]); row++)
            push_state(s, p, w, b, row, nde_save_time(s, row, p->trajectory[b]), p->y);
    }
    flush(s, p, w);
    for (size_t j = 0; j < m; j++)
        if (w->fate[lane[j]] != NDE_OK) status[j] = w->fate[lane[j]];
}

/* Rows of lane b in its step; those inside come from lane `at` of a panel with all slopes. */
static void push_step(nde_solver *s, nde_panel *p, nde_worker *w, size_t b, const nde_panel *from, size_t at) {
    const size_t who = p->trajectory[b];
    if (s->saving == NDE_SAVE_EVERY) {
        push_state(s, p, w, b, nde_save_row_of_step(s, p->accepted[b] + 1, p->t_new[b] == p->t1[b]), p->t_new[b], p->z);
        return;
    }
    for (size_t row = p->saved[b]; w->fate[b] == NDE_OK && nde_save_row_is_due(s, row, who, p->t_new[b]); row++) {
        const double t = nde_save_time(s, row, who);
        if (t == p->t_new[b]) push_state(s, p, w, b, row, t, p->z);
        else nde_save_dense(s, from, at, (t - p->t[b])/p->dt[b], push(s, p, w, b, row, t), NULL, w->rows.lanes.site.ld);
    }
}

/* Where the continuous extension has stages of its own, the lanes whose step has rows inside, into w->list and w->inside: they
 * may still be there from the attempt. */
static size_t load_inside(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *attend, size_t attending) {
    size_t m = 0;
    if (w->loaded) return w->inside.lanes.site.n;
    for (size_t j = 0; j < attending; j++)
        if (p->accept[attend[j]] && nde_save_inside(s, p, attend[j], p->saved[attend[j]])) w->list[m++] = attend[j];
    if (!m) return 0;
    const int rc = nde_inside_load(s, p, w, w->list, m);
    for (size_t k = 0; k < m; k++) {
        const size_t b = w->list[k];
        p->evals[b] += s->table.slopes - s->table.stages;
        if (!rc && w->group.mark[k] == NDE_LANE_OK) continue;
        w->fate[b] = rc == NDE_FIELD_STOP || w->group.mark[k] == NDE_LANE_STOP ? NDE_STOPPED : NDE_E_FIELD;
        s->stats[p->trajectory[b]].callback = rc;
    }
    if (rc == NDE_FIELD_STOP) atomic_store(&s->stop, 1);
    return m;
}

void nde_rows_step(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *attend, size_t attending) {
    const bool inside = s->table.slopes > s->table.stages && s->saving == NDE_SAVE_TIMES;
    for (size_t j = 0; j < attending; j++) w->fate[attend[j]] = NDE_OK;
    const size_t m = inside ? load_inside(s, p, w, attend, attending) : 0;
    for (size_t j = 0, k = 0; j < attending; j++) {
        const size_t b = attend[j];
        while (k < m && w->list[k] < b) k++;
        const bool in = k < m && w->list[k] == b;
        if (p->accept[b] && nde_save_due(s, p, b)) push_step(s, p, w, b, in ? &w->inside : p, in ? k : b);
    }
    flush(s, p, w);
    w->loaded = false;
}

void nde_rows_end(nde_solver *s, nde_panel *p, nde_worker *w, const size_t *lane, size_t m, nde_status *status) {
    if (s->saving != NDE_SAVE_END) return;
    for (size_t j = 0; j < m; j++) {
        w->fate[lane[j]] = status[j];
        if (status[j] == NDE_OK) push_state(s, p, w, lane[j], 0, p->t[lane[j]], p->y);
    }
    flush(s, p, w);
    for (size_t j = 0; j < m; j++) status[j] = w->fate[lane[j]];
}
