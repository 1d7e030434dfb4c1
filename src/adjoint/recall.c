/* SPDX-License-Identifier: MIT
 * recall.c - steps of which the record keeps no slopes, made again. */
#include "adjoint/recall.h"

#include <string.h>

#include "adjoint/checkpoint.h"
#include "adjoint/replay.h"
#include "adjoint/retrace.h"

/* ---- one step at a time ---------------------------------------------------------------------- */

/* The step whose state is to be kept next on the way from one to the step that is `more` later. */
static size_t next_kept(size_t from, size_t more, size_t slots) {
    if (more <= slots) return from + 1;
    return slots ? from + more + 1 - nde_checkpoint_last(more + 1, slots) : SIZE_MAX;
}

/* The last state that is kept at or before a step, as the first of those behind which others will come. */
static int find(nde_recall *c, const nde_entry *e, nde_entry *from) {
    const int rc = nde_record_state_before(c->record, e->at, c->w->a_z, from);
    if (rc) return c->w->unread = true, rc;
    nde_record_forget(c->record, e->at);
    if (from->y == c->w->a_z) nde_record_keep(c->record, from, from->y);
    return 0;
}

/* The replica at the start of a step. */
static int stand(const nde_recall *c, size_t n, const nde_entry *from, const nde_entry *e) {
    nde_replay_map(c->s, c->w, c->w->who, n);
    nde_replay_unmap(c->record, &c->w->replica, from->at, e->at);
    nde_replay_load(c->s, c->w, from, from->y);
    return nde_replay_slope(c->s, c->w);
}

/* The state at the start of a step that keeps none: from the last one before that does, with states of steps between on
 * the way. Those behind the step are not needed any more. */
static int recall_state(nde_recall *c, size_t n, nde_entry *e) {
    const nde_panel *r = &c->w->replica;
    nde_entry at;
    int rc = find(c, e, &at);
    if (rc) return rc;
    size_t keep = next_kept(at.step, e->step - at.step, nde_record_room(c->record));
    rc = stand(c, n, &at, e);
    while (!rc && at.at != e->at) {
        rc = nde_replay_entry(c->s, c->w, &at);
        if (at.kind == NDE_ENTRY_STEP) c->recomputed++;
        nde_record_forth(c->record, &at);
        if (rc || at.kind != NDE_ENTRY_STEP || at.step != keep) continue;
        nde_record_keep(c->record, &at, r->y);
        keep = next_kept(at.step, e->step - at.step, nde_record_room(c->record));
    }
    memcpy(c->w->a_z, r->y, c->s->state_rows*r->ld*sizeof *r->y);
    e->y = c->w->a_z;
    return rc;
}

/* ---- a piece at a time ----------------------------------------------------------------------- */

static size_t step_of(const nde_record *r, size_t rank) { return nde_record_number(r, nde_slots_key(&r->slots, rank)); }

/* States that have to be kept at a time so that no step before number `end` is further than a piece from one before it; drop:
 * gives up those that are there and are none of them. */
static size_t spread(nde_record *r, size_t end, size_t length, bool drop) {
    nde_slots *slots = &r->slots;
    size_t from = step_of(r, 0), next = slots->count > 1 ? step_of(r, 1) : end, needed = 1, kept = 1;
    for (size_t rank = 1; rank < slots->count; rank++) {
        const size_t here = next;
        next = rank + 1 < slots->count ? step_of(r, rank + 1) : end;
        if (next - from <= length) continue;
        needed += (here - from + length - 1)/length;
        from = here;
        if (drop) nde_slots_swap(slots, kept++, rank);
    }
    if (drop) nde_slots_forget(slots, kept);
    return needed + (end - from - 1)/length;
}

/* Makes room for a piece, and for states before each, of the steps before number `end`. */
static void arrange(nde_recall *c, size_t end) {
    nde_record *r = c->record;
    const size_t steps = end - step_of(r, 0), state = r->slots.bytes;
    size_t beside;
    c->arranged = true, c->count = 0;
    c->place = nde_record_place(r);
    c->base = nde_record_tail(r, &beside);
    const size_t room = c->base < r->slots.end ? (size_t)(r->slots.end - c->base) : 0; /* that of the states, too */
    size_t length = nde_checkpoint_piece(steps, room, state, c->place.bytes);
    while (length && length*c->place.bytes + spread(r, end, length, false)*state > room)
        length = 2*length <= room/c->place.bytes ? 2*length : 0;
    c->length = length;
    if (!length) return;
    const size_t slots = (room - length*c->place.bytes)/state;
    if (r->slots.taken <= slots && r->slots.count + spread(r, end, length, false) <= slots) return;
    spread(r, end, length, true);
    if (r->slots.taken > slots) nde_slots_shrink(&r->slots, slots);
}

/* Where the parts of a step stand in it. */
static void point(const nde_recall *c, size_t step, nde_entry *e) {
    unsigned char *base = c->base + (step - c->first)*c->place.bytes;
    e->y = (nde_real *)(void *)base;
    e->k = (nde_real *)(void *)(base + c->place.k);
    e->tape = c->s->rhs.tape ? (nde_real *)(void *)(base + c->place.tape) : NULL;
}

/* Makes a step with all that is to be known of it, and goes on to the next unless it is the last one. */
static int make(nde_recall *c, const nde_entry *e, bool last) {
    nde_panel *r = &c->w->replica;
    nde_entry to = *e;
    point(c, e->step, &to);
    memcpy(to.y, r->y, c->s->state_rows*r->ld*sizeof *r->y);
    r->k = to.k;
    const int rc = nde_replay_attempt(c->s, c->w, e, to.tape);
    if (!rc && !last) nde_replay_accept(c->s, r, e);
    c->count++;
    return rc;
}

/* The same for several of one run at once, of the one lane. */
static int make_alone(nde_recall *c, const nde_entry *e, size_t count) {
    nde_panel *r = &c->w->replica;
    nde_entry to;
    point(c, e->step, &to);
    for (size_t i = 0; i < c->s->rhs.dim; i++) to.y[i] = r->y[i];
    for (size_t i = 0; c->s->table.fsal && i < c->s->rhs.dim; i++) to.k[i] = r->carry[i];
    const nde_made made = { .count = count, .t = e->t, .y = to.y, .k = to.k, .tape = to.tape,
                            .apart = c->place.bytes/sizeof *to.y };
    c->count += count;
    return c->s->remake(c->s, c->w, &made);
}

/* Goes along from the state before the piece, whose steps are made, to step e, its last one. */
static int fill(nde_recall *c, nde_entry at, const nde_entry *e) {
    const nde_record *r = c->record;
    nde_panel *replica = &c->w->replica;
    const size_t from = at.step;
    int rc = 0;
    while (!rc) {
        const bool step = at.kind == NDE_ENTRY_STEP, taken = step && at.step >= c->first;
        const size_t left = e->step - at.step + 1;
        if (step && !taken && at.step != from && (at.step - from) % c->length == 0) nde_record_keep(c->record, &at, replica->y);
        if (taken && c->alone && nde_record_ahead(r, &at) >= left) return make_alone(c, &at, left);
        rc = taken ? make(c, &at, left == 1) : nde_replay_entry(c->s, c->w, &at);
        if (taken && left == 1) break;
        c->recomputed += step && !taken;
        nde_record_forth(r, &at);
    }
    return rc;
}

/* The first state that is kept so that a piece goes from there to step e; else the last one before. */
static size_t farthest(const nde_recall *c, const nde_entry *e) {
    const nde_slots *slots = &c->record->slots;
    size_t rank = nde_slots_rank(slots, e->at);
    while (rank && step_of(c->record, rank - 1) + c->length > e->step) rank--;
    return nde_slots_key(slots, rank);
}

/* Makes the piece whose last step is e. */
static int recall_piece(nde_recall *c, size_t n, const nde_entry *e) {
    nde_entry from;
    nde_record_read(c->record, farthest(c, e), &from);
    c->count = 0, c->first = from.step + (e->step - from.step)/c->length*c->length;
    if (c->first != from.step) nde_record_forget(c->record, e->at);
    int rc = stand(c, n, &from, e);
    if (!rc) rc = fill(c, from, e);
    c->w->replica.k = c->w->replica.own_k;
    return rc;
}

int nde_recall_step(nde_recall *c, size_t n, nde_entry *e) {
    if (e->step - c->first < c->count) {
        point(c, e->step, e);
        return 0;
    }
    if (!c->arranged || !nde_record_is_here(c->record, e->at)) {
        nde_entry from;
        const int rc = find(c, e, &from);
        if (rc) return rc;
        arrange(c, e->step + 1);
    }
    if (!c->length) {
        nde_record_find(c->record, e);
        return e->y ? 0 : recall_state(c, n, e);
    }
    const int rc = recall_piece(c, n, e);
    if (!rc) point(c, e->step, e);
    return rc;
}

bool nde_recall_before(const nde_recall *c, nde_entry *e) {
    const bool there = e->flags & NDE_ENTRY_RUN && e->step - c->first - 1 < c->count;
    if (!c->alone || !there || e->at == nde_record_begin(e->at)) return false;
    e->at--, e->step--, e->t--, e->t_new--;
    point(c, e->step, e);
    return true;
}
