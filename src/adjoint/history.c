/* SPDX-License-Identifier: MIT
 * history.c - the dense solution of a recorded run: an index of each trajectory's steps and cuts behind the log, and the last
 * step asked for in columns of its own. Steps whose slopes the record no longer has are repeated. */
#include "adjoint/history.h"

#include <string.h>

#include "adjoint/replay.h"

static size_t row_reals(const nde_solver *s) { return (1 + (size_t)s->table.slopes)*s->rhs.dim; }

void nde_history_lay(nde_history *h, nde_arena *arena, size_t n, size_t dim, size_t slopes) {
    size_t reals;
    if (!nde_size_multiply(n, dim, &reals) || !nde_size_multiply(reals, 1 + slopes, &reals)) arena->overflow = true;
    h->count = nde_arena_take(arena, n, sizeof *h->count), h->first = nde_arena_take(arena, n, sizeof *h->first),
        h->last = nde_arena_take(arena, n, sizeof *h->last), h->step = nde_arena_take(arena, n, sizeof *h->step);
    h->cuts = nde_arena_take(arena, n, sizeof *h->cuts), h->cut = nde_arena_take(arena, n, sizeof *h->cut);
    h->lane = nde_arena_take(arena, n, sizeof *h->lane);
    h->passage = nde_arena_take(arena, n, sizeof *h->passage), h->values = nde_arena_take(arena, reals, sizeof *h->values);
}

/* ---- the index ------------------------------------------------------------------------------- */

static void note_steps(nde_history *h, const nde_entry *e, bool write) {
    for (size_t b = 0; b < e->n; b++) {
        const size_t who = h->lane[b];
        if (!nde_entry_took(e, b)) continue;
        if (write) h->step[who][h->count[who]] = (nde_stride){ .t = e->t[b*e->stride], .at = e->at, .lane = b };
        h->count[who]++;
    }
}

static void note_cuts(nde_history *h, const nde_cuts *cuts, bool write) {
    for (size_t k = 0; k < cuts->n; k++) {
        const size_t who = h->lane[cuts->lane[k]];
        if (write) h->cut[who][h->cuts[who]] = (nde_cut){ .t = cuts->t[k], .event = cuts->event[k] };
        h->cuts[who]++;
    }
}

/* What the last cut of each lane has reset. */
static void note_resets(const nde_history *h, const nde_entry *e) {
    for (size_t k = 0; k < e->n; k++) {
        const size_t who = h->lane[e->lane[k]];
        nde_cut *cut = &h->cut[who][h->cuts[who] - 1];
        cut->y = e->y + k, cut->apart = e->n;
    }
}

/* Walks a panel's log and counts the steps and cuts of its trajectories, or writes them down too. */
static void walk(nde_history *h, const nde_panel *p, bool write) {
    size_t n = 0;
    nde_entry e;
    memset(h->count + p->first, 0, p->count*sizeof *h->count), memset(h->cuts + p->first, 0, p->count*sizeof *h->cuts);
    for (size_t at = SIZE_MAX; nde_record_after(&p->record, at, &e); at = e.at) {
        for (size_t k = 0; e.kind == NDE_ENTRY_ENTER && k < e.n; k++) h->lane[n++] = e.who[k];
        for (size_t k = 0; e.kind == NDE_ENTRY_LEAVE && k < e.n; k++) h->lane[e.lane[k]] = h->lane[--n];
        if (e.kind == NDE_ENTRY_STEP) note_steps(h, &e, write);
        if (e.kind == NDE_ENTRY_CUT) note_cuts(h, &e.cuts, write);
        if (e.kind == NDE_ENTRY_RESET && write) note_resets(h, &e);
    }
}

/* Makes room for a panel's index, and divides it. */
static nde_status lay_index(nde_history *h, nde_panel *p) {
    const size_t end = p->first + p->count;
    size_t steps = 0, cuts = 0, room;
    for (size_t who = p->first; who < end; who++) steps += h->count[who], cuts += h->cuts[who];
    nde_stride *step = (nde_stride *)(void *)nde_record_tail(&p->record, &room);
    while (room/sizeof *step < steps || (room - steps*sizeof *step)/sizeof(nde_cut) < cuts) {
        if (!nde_record_fall(&p->record))
            return nde_fail(NDE_E_BUDGET, "nde_backward: options.budget leaves no room to list %zu steps and %zu cuts by "
                            "events", steps, cuts);
        step = (nde_stride *)(void *)nde_record_tail(&p->record, &room);
    }
    nde_cut *cut = (nde_cut *)(void *)(step + steps);
    for (size_t who = p->first; who < end; who++) {
        h->step[who] = step, h->cut[who] = cut;
        step += h->count[who], cut += h->cuts[who];
    }
    return NDE_OK;
}

nde_status nde_history_open(nde_history *h, nde_solver *s) {
    h->s = s;
    h->quick = s->table.slopes == s->table.stages;
    for (size_t k = 0; k < s->n_panels; k++) {
        nde_panel *p = &s->panel[k];
        walk(h, p, false);
        const nde_status bad = lay_index(h, p);
        if (bad) return bad;
        walk(h, p, true);
        h->quick = h->quick && p->record.form <= NDE_RECORD_STAGES;
    }
    for (size_t who = 0; who < s->N; who++) h->passage[who].step = SIZE_MAX, h->first[who] = 0, h->last[who] = h->count[who];
    return NDE_OK;
}

/* How many steps of [low, high) begin before t, or at it. */
static size_t steps_before(const nde_history *h, size_t who, size_t low, size_t high, double t, bool at) {
    const nde_stride *step = h->step[who];
    const double d = h->s->direction;
    while (low < high) {
        const size_t middle = low + (high - low)/2;
        if (d*step[middle].t < d*t || (at && step[middle].t == t)) low = middle + 1;
        else high = middle;
    }
    return low;
}

void nde_history_between(nde_history *h, size_t who, double from, double to) {
    const size_t begun = steps_before(h, who, 0, h->count[who], from, true);
    h->first[who] = begun > 0 ? begun - 1 : 0;
    h->last[who] = steps_before(h, who, h->first[who], h->count[who], to, false);
}

/* ---- values ---------------------------------------------------------------------------------- */

static nde_panel *panel_of(const nde_solver *s, size_t who) { return &s->panel[who/s->panel[0].count]; }

/* The last step that begins at or before t. */
static size_t step_at(const nde_history *h, size_t who, double t) {
    const size_t first = h->first[who], begun = steps_before(h, who, first, h->last[who], t, true);
    return begun > first ? begun - 1 : first;
}

/* Keeps a lane of a step: y and slopes, ld and slab apart. */
static void keep(const nde_history *h, size_t who, size_t step, double t, double t_new, const nde_real *y, const nde_real *k,
                 size_t ld, size_t slab) {
    const nde_solver *s = h->s;
    const size_t dim = s->rhs.dim;
    nde_real *to = h->values + who*row_reals(s);
    for (size_t i = 0; i < dim; i++) *to++ = y[i*ld];
    for (int j = 0; j < s->table.slopes; j++)
        for (size_t i = 0; i < dim; i++) *to++ = k[(size_t)j*slab + i*ld];
    h->passage[who] = (nde_passage){ .step = step, .t = t, .t_new = t_new, .dt = nde_step_length(s, who, t, t_new) };
}

/* The step attempted once more. With joint steps all others of the block will ask for it too. */
static int repeat(const nde_history *h, nde_worker *w, nde_panel *p, size_t who, size_t step, const nde_entry *e) {
    nde_solver *s = h->s;
    nde_panel *r = &w->replica;
    size_t lane = h->step[who][step].lane;
    nde_replay_map(s, w, NULL, 0);
    nde_replay_unmap(&p->record, r, e->at, SIZE_MAX);
    memcpy(w->who, r->trajectory, e->n*sizeof *w->who);
    int rc = nde_replay_step(s, w, &p->record, e);
    if (!rc && s->table.slopes > s->table.stages) rc = nde_inside_load(s, r, w, &lane, 1);
    if (rc) return rc;
    const bool extended = s->table.slopes > s->table.stages, all = s->joint && !extended;
    const nde_panel *from = extended ? &w->inside : r;
    for (size_t b = all ? 0 : lane; b < (all ? e->n : lane + 1); b++) {
        const size_t at = extended ? 0 : b;
        keep(h, r->trajectory[b], step, e->t[b*e->stride], e->t_new[b*e->stride], from->y + at, from->k + at, from->ld,
             from->slab);
    }
    return 0;
}

static int load(const nde_history *h, int worker, size_t who, size_t step) {
    const nde_solver *s = h->s;
    const nde_stride at = h->step[who][step];
    nde_panel *p = panel_of(s, who);
    nde_entry e;
    nde_record_read(&p->record, at.at, &e);
    const size_t b = at.lane;
    if (!e.k || s->table.slopes > s->table.stages) return repeat(h, &h->s->worker[worker], p, who, step, &e);
    keep(h, who, step, e.t[b*e.stride], e.t_new[b*e.stride], e.y + b, e.k + b, p->ld, p->slab);
    return 0;
}

int nde_history_at(const nde_history *h, int worker, size_t who, double t, nde_real *y, size_t stride) {
    const nde_solver *s = h->s;
    const size_t dim = s->rhs.dim;
    nde_passage *at = &h->passage[who];
    if (!h->count[who]) {
        for (size_t i = 0; i < dim; i++) y[i*stride] = s->status[who] < 0 ? 0 : s->y_end[i*s->N + who];
        return 0;
    }
    const bool between = at->step >= h->first[who] && at->step < h->last[who]; /* SIZE_MAX: it is none */
    if (!between || s->direction*t < s->direction*at->t || s->direction*t > s->direction*at->t_new) {
        const size_t step = step_at(h, who, t);
        const int rc = step == at->step ? 0 : load(h, worker, who, step);
        if (rc) return rc;
    }
    nde_real *values = h->values + who*row_reals(s);
    const nde_panel view = { .ld = 1, .slab = dim, .y = values, .k = values + dim, .dt = &at->dt };
    nde_save_dense(s, &view, 0, (t - at->t)/at->dt, y, NULL, stride);
    return 0;
}
