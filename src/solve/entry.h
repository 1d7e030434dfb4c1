/* SPDX-License-Identifier: MIT
 * entry.h - where the parts of an entry of the log stand: what record.c writes and walk.c reads. */
#ifndef NDE_ENTRY_H
#define NDE_ENTRY_H

#include "solve/record.h"

typedef struct header {
    uint32_t kind; /* NDE_ENTRY_* and flags */
    uint32_t n;
    uint32_t units, back; /* size of this entry and of the one before, in units of 8 bytes */
} header;

/* An entry's place is its offset in units, and in a run the number of the step there, of at most PLACES. */
enum { UNIT = 8, LINE = 64, KIND = 15, PLACE_BITS = sizeof(size_t) > 4 ? 24 : 4 };
static const size_t PLACES = (size_t)1 << PLACE_BITS;

static inline size_t round_up(size_t x, size_t to) { return (x + to - 1) & ~(to - 1); } /* to: a power of two */
static inline void *at(const nde_record *r, size_t offset) { return (void *)(r->base + offset); }
static inline size_t place_of(size_t offset, size_t k) { return offset/UNIT << PLACE_BITS | k; }
static inline size_t offset_of(size_t place) { return (place >> PLACE_BITS)*UNIT; }
static inline bool in_runs(const nde_record *r) { return r->form >= NDE_RECORD_STATES; }

/* Where the parts of an entry at offset `at` stand; scalars: where they end. */
typedef struct layout {
    size_t first, second, scalars, y, k, tape, end;
} layout;

static inline size_t times_of(uint32_t kind, size_t n) { return kind & NDE_ENTRY_UNIFORM ? 1 : n; }

/* Ends the log with an entry that stands at its old end, and ends there. */
static inline void close_entry(nde_record *r, uint32_t kind, size_t n, size_t end) {
    const size_t back = r->last == SIZE_MAX ? 0 : r->used - r->last;
    *(header *)at(r, r->used) =
        (header){ kind, (uint32_t)n, (uint32_t)((end - r->used)/UNIT), (uint32_t)(back/UNIT) };
    r->last = r->used;
    r->used = end;
}

/* What a list keeps of states in the form times. */
static inline uint32_t list_keeps(const nde_record *r, int kind) {
    const bool loses = kind == NDE_ENTRY_LEAVE || kind == NDE_ENTRY_FRESH || kind == NDE_ENTRY_JUMP || kind == NDE_ENTRY_CUT;
    return r->form == NDE_RECORD_TIMES && loses ? NDE_KEEPS_Y : 0;
}

static inline size_t list_rows(const nde_record *r, uint32_t kind) {
    const uint32_t what = kind & KIND;
    return kind & NDE_KEEPS_Y ? r->rows : what == NDE_ENTRY_JUMP || what == NDE_ENTRY_RESET ? r->dim : 0;
}

/* Of a run: with its first step. */
static inline layout lay(const nde_record *r, size_t at, uint32_t kind, size_t n) {
    layout l = { .first = at + sizeof(header) };
    if (kind & NDE_ENTRY_RUN) l.first += sizeof(size_t);
    size_t end = l.second = l.first + times_of(kind, n)*sizeof(double); /* lane, who, t or t_new: 8 bytes each */
    switch (kind & KIND) {
    case NDE_ENTRY_LEAVE: end += n*sizeof(size_t); break;
    case NDE_ENTRY_CUT: end += n*(sizeof(size_t) + 2*sizeof(double)); break;
    case NDE_ENTRY_RESET:
    case NDE_ENTRY_JUMP: end += n*sizeof(size_t); break;
    case NDE_ENTRY_STEP: end += times_of(kind, n)*sizeof(double); break;
    default: break;
    }
    l.scalars = end;
    if ((kind & KIND) != NDE_ENTRY_STEP) {
        l.y = end;
        l.end = round_up(end + n*list_rows(r, kind)*sizeof(nde_real), UNIT);
        return l;
    }
    end = round_up(end, UNIT);
    if (kind & NDE_KEEPS_Y) l.y = round_up(end, r->line), end = l.y + r->y_reals*sizeof(nde_real);
    if (kind & NDE_KEEPS_STAGES)
        l.k = round_up(end, r->line), end = l.k + r->stage_reals*sizeof(nde_real);
    if (kind & NDE_KEEPS_TAPE)
        l.tape = round_up(end, r->line), end = l.tape + r->tape_reals*sizeof(nde_real);
    l.end = round_up(end, UNIT);
    return l;
}

/* Steps of the run at an offset. */
static inline size_t run_length(const nde_record *r, size_t offset) {
    const header *h = at(r, offset);
    return ((size_t)h->units*UNIT - sizeof *h - sizeof(size_t))/(times_of(h->kind, h->n)*sizeof(double)) - 1;
}

static inline nde_cuts cuts_at(const nde_record *r, size_t offset, size_t n) {
    const layout l = lay(r, offset, NDE_ENTRY_CUT, n);
    const size_t t = l.second + n*sizeof(size_t);
    return (nde_cuts){ .n = n, .lane = at(r, l.first), .event = at(r, l.second), .t = at(r, t),
                       .since = at(r, t + n*sizeof(double)) };
}

static inline void take_apart(const nde_record *r, size_t offset, uint32_t kind, size_t n, nde_entry *e) {
    const layout l = lay(r, offset, kind, n);
    const int what = (int)(kind & KIND);
    *e = (nde_entry){ .at = place_of(offset, 0), .kind = what, .flags = (int)(kind & ~(uint32_t)KIND), .n = n };
    if (what == NDE_ENTRY_STEP) {
        e->t = at(r, l.first);
        e->t_new = at(r, l.second);
        e->stride = kind & NDE_ENTRY_UNIFORM ? 0 : 1;
        e->bytes = kind & NDE_ENTRY_RUN ? 0 : l.end - offset;
    } else if (what == NDE_ENTRY_CUT) {
        e->cuts = cuts_at(r, offset, n), e->lane = e->cuts.lane;
    } else {
        if (what != NDE_ENTRY_ENTER) e->lane = at(r, l.first);
        e->who = what == NDE_ENTRY_ENTER   ? at(r, l.first)
                 : what == NDE_ENTRY_FRESH ? NULL
                                           : at(r, l.second);
    }
    if (what != NDE_ENTRY_STEP) e->rows = list_rows(r, kind);
    e->y = kind & NDE_KEEPS_Y || e->rows ? at(r, l.y) : NULL;
    e->k = kind & NDE_KEEPS_STAGES ? at(r, l.k) : NULL;
    e->tape = kind & NDE_KEEPS_TAPE ? at(r, l.tape) : NULL;
}

/* The like of step e at another offset; false: its parts would not stand in it as they do in e. */
static inline bool shift(const nde_record *r, size_t offset, nde_entry *e) {
    const size_t from = offset_of(e->at), by = offset - from;
    if (!e->bytes || by & (r->line - 1) || e->t != at(r, from + sizeof(header))) return false;
    e->at = place_of(offset, 0);
    e->t = at(r, offset + sizeof(header));
    e->t_new = e->t + times_of((uint32_t)e->flags, e->n);
    if (e->y) e->y = at(r, (size_t)((unsigned char *)e->y - r->base) + by);
    if (e->k) e->k = at(r, (size_t)((unsigned char *)e->k - r->base) + by);
    if (e->tape) e->tape = at(r, (size_t)((unsigned char *)e->tape - r->base) + by);
    return true;
}

/* Keeps the reserved step e, of all lanes, and reserves the like of it; false: only the former. */
static inline bool keep_alike(nde_record *r, nde_entry *e) {
    close_entry(r, (uint32_t)e->kind | (uint32_t)e->flags, e->n, r->used + e->bytes);
    r->steps++;
    return r->size - r->used >= e->bytes && shift(r, r->used, e);
}

/* From a step to the like right before it; false: there is none. */
static inline bool alike_before(const nde_record *r, nde_entry *e) {
    const size_t offset = offset_of(e->at);
    const header *h = at(r, offset), *before = at(r, offset - (size_t)h->back*UNIT);
    return h->back && before->kind == h->kind && before->n == h->n && !(h->kind & NDE_ENTRY_CUTS) &&
        shift(r, offset - (size_t)h->back*UNIT, e);
}

/* So many steps along the run of e, back if negative. */
static inline void go_along(ptrdiff_t steps, nde_entry *e) {
    const ptrdiff_t times = e->stride ? (ptrdiff_t)e->n : 1;
    e->step += (size_t)steps, e->at += (size_t)steps;
    e->t += steps*times, e->t_new += steps*times;
    bool mixed = false;
    for (ptrdiff_t b = 0; e->n > 1 && b < times; b++) mixed |= e->t[b] == e->t_new[b];
    e->flags = mixed ? e->flags | NDE_ENTRY_MIXED : e->flags & ~NDE_ENTRY_MIXED;
}

/* Where number i of its states stands: a slot. */
static inline uint64_t offset_in_store(const nde_record *r, size_t i) { return ((uint64_t)i*r->of + r->index)*r->slots.bytes; }

#endif
