/* SPDX-License-Identifier: MIT
 * walk.c - the log read back: entry by entry in either direction, states from their slots or the store, and the states that
 * the way back forgets and keeps. */
#include "solve/entry.h"

#include <string.h>

/* ---- reading --------------------------------------------------------------------------------- */

void nde_record_find(const nde_record *r, nde_entry *e) {
    if (e->flags & NDE_ENTRY_RUN) e->y = nde_slots_find(&r->slots, e->at, &e->rank);
}

static void read(const nde_record *r, size_t offset, size_t k, nde_entry *entry) {
    const header *h = at(r, offset), *next = at(r, offset + (size_t)h->units*UNIT);
    take_apart(r, offset, h->kind, h->n, entry);
    const bool last = !(h->kind & NDE_ENTRY_RUN) || k + 1 == run_length(r, offset);
    if (h->kind & NDE_ENTRY_RUN) {
        entry->step = *(const size_t *)at(r, offset + sizeof *h);
        go_along((ptrdiff_t)k, entry);
    }
    if (h->kind & NDE_ENTRY_CUTS && last) entry->cuts = cuts_at(r, offset + (size_t)h->units*UNIT, next->n);
}

void nde_record_read(const nde_record *r, size_t place, nde_entry *entry) {
    read(r, offset_of(place), place & (PLACES - 1), entry);
    nde_record_find(r, entry);
}

size_t nde_record_begin(size_t place) { return place & ~(PLACES - 1); }

size_t nde_record_number(const nde_record *r, size_t place) {
    return *(const size_t *)at(r, offset_of(place) + sizeof(header)) + (place & (PLACES - 1));
}

static size_t last_step(const nde_record *r, size_t offset) {
    return ((const header *)at(r, offset))->kind & NDE_ENTRY_RUN ? run_length(r, offset) - 1 : 0;
}

bool nde_record_before(const nde_record *r, size_t place, nde_entry *entry) {
    if (place == 0 || r->last == SIZE_MAX) return false;
    if (place != SIZE_MAX && place & (PLACES - 1)) {
        read(r, offset_of(place), (place & (PLACES - 1)) - 1, entry);
        return true;
    }
    const size_t offset = offset_of(place);
    const size_t before = place == SIZE_MAX ? r->last : offset - (size_t)((const header *)at(r, offset))->back*UNIT;
    read(r, before, last_step(r, before), entry);
    return true;
}

bool nde_record_back(const nde_record *r, nde_entry *e) {
    if (e->at & (PLACES - 1)) {
        go_along(-1, e);
        e->cuts = (nde_cuts){ 0 };
        return true;
    }
    return alike_before(r, e) || nde_record_before(r, e->at, e);
}

bool nde_record_after(const nde_record *r, size_t place, nde_entry *entry) {
    const size_t offset = place == SIZE_MAX ? 0 : offset_of(place);
    if (place != SIZE_MAX && (place & (PLACES - 1)) < last_step(r, offset)) {
        read(r, offset, (place & (PLACES - 1)) + 1, entry);
        return true;
    }
    const size_t after = place == SIZE_MAX ? 0 : offset + (size_t)((const header *)at(r, offset))->units*UNIT;
    if (after >= r->used) return false;
    read(r, after, 0, entry);
    return true;
}

bool nde_record_forth(const nde_record *r, nde_entry *e) {
    /* it may have been cut */
    if ((e->at & (PLACES - 1)) + 1 >= last_step(r, offset_of(e->at))) return nde_record_after(r, e->at, e);
    go_along(1, e);
    return true;
}

size_t nde_record_ahead(const nde_record *r, const nde_entry *e) {
    return e->bytes ? 1 : run_length(r, offset_of(e->at)) - (e->at & (PLACES - 1));
}

/* The last state there whose place is not behind `place`: the first one is of step 0. */
static int read_state(const nde_record *r, size_t place, nde_real *y, size_t *found) {
    const nde_store *s = &r->store;
    size_t low = 0, high = r->stored, key;
    while (high - low > 1) {
        const size_t middle = low + (high - low)/2;
        if (s->read(s->ctx, offset_in_store(r, middle), &key, sizeof key)) return NDE_STORE_FAILED;
        if (key <= place) low = middle;
        else high = middle;
    }
    const uint64_t at = offset_in_store(r, low);
    if (s->read(s->ctx, at, found, sizeof *found) || *found > place) return NDE_STORE_FAILED;
    return s->read(s->ctx, at + NDE_SLOT_HEAD, y, r->y_reals*sizeof *y) ? NDE_STORE_FAILED : 0;
}

bool nde_record_is_here(const nde_record *r, size_t place) { return r->slots.count && nde_slots_key(&r->slots, 0) <= place; }

int nde_record_state_before(const nde_record *r, size_t place, nde_real *buffer, nde_entry *entry) {
    size_t found = place;
    if (in_runs(r)) {
        const bool here = nde_record_is_here(r, place);
        const int rc = here ? 0 : read_state(r, place, buffer, &found);
        if (rc) return rc;
        if (here) found = nde_slots_key(&r->slots, nde_slots_rank(&r->slots, place));
    }
    nde_record_read(r, found, entry);
    if (!entry->y) entry->y = buffer;
    return 0;
}

unsigned char *nde_record_tail(const nde_record *r, size_t *bytes) {
    const size_t from = round_up(r->used, LINE), end = r->size - r->slots.taken*r->slots.bytes;
    *bytes = from < end ? end - from : 0;
    return r->base + from;
}

/* ---- the way back ---------------------------------------------------------------------------- */

void nde_record_forget(nde_record *r, size_t place) {
    nde_slots_forget(&r->slots, nde_record_is_here(r, place) ? nde_slots_rank(&r->slots, place) + 1 : 0);
}

void nde_record_rewind(nde_record *r) {
    if (r->stored) nde_slots_forget(&r->slots, 0);
}

size_t nde_record_room(const nde_record *r) { return (r->size - r->used)/r->slots.bytes - r->slots.count; }

void nde_record_keep(nde_record *r, const nde_entry *step, const nde_real *y) {
    memcpy(nde_slots_place(&r->slots), y, r->y_reals*sizeof *y);
    nde_slots_push(&r->slots, step->at, step->step);
}
