/* SPDX-License-Identifier: MIT
 * record.c - the log of block steps in an arena of fixed size. */
#include "solve/record.h"

#include <string.h>

typedef struct header {
    uint32_t kind; /* NDE_ENTRY_* and flags */
    uint32_t n;
    uint32_t units, back; /* size of this entry and of the one before, in units of 8 bytes */
} header;

enum { UNIT = 8, LINE = 64, KIND = 15 };

static size_t round_up(size_t x, size_t to) { return (x + to - 1)/to*to; }

/* Where the parts of an entry at offset `at` stand; returns its end. */
/* scalars: where they end */
typedef struct layout {
    size_t first, second, mask, scalars, y, k, tape, end;
} layout;

static layout lay(const nde_record *r, size_t at, uint32_t kind, size_t n) {
    layout l = { .first = at + sizeof(header) };
    const size_t times = kind & NDE_ENTRY_UNIFORM ? 1 : n;
    size_t end = l.first + times*sizeof(double); /* lane, who, t or t_new: 8 bytes each */
    l.second = end;
    switch (kind & KIND) {
    case NDE_ENTRY_LEAVE: end += n*sizeof(size_t); break;
    case NDE_ENTRY_CUT: end += n*(sizeof(size_t) + 2*sizeof(double)); break;
    case NDE_ENTRY_RESET:
    case NDE_ENTRY_JUMP: l.y = end += n*sizeof(size_t), end += n*r->dim*sizeof(nde_real); break;
    case NDE_ENTRY_STEP: l.mask = end += times*sizeof(double), end += times > 1 ? n : 0; break;
    default: break;
    }
    l.scalars = end;
    end = round_up(end, UNIT);
    if (kind & NDE_KEEPS_Y) l.y = round_up(end, LINE), end = l.y + r->y_reals*sizeof(nde_real);
    if (kind & NDE_KEEPS_STAGES)
        l.k = round_up(end, LINE), end = l.k + r->stage_reals*sizeof(nde_real);
    if (kind & NDE_KEEPS_TAPE)
        l.tape = round_up(end, LINE), end = l.tape + r->tape_reals*sizeof(nde_real);
    l.end = round_up(end, UNIT);
    return l;
}

static void *at(const nde_record *r, size_t offset) { return (void *)(r->base + offset); }

static nde_cuts cuts_at(const nde_record *r, size_t offset, size_t n) {
    const layout l = lay(r, offset, NDE_ENTRY_CUT, n);
    const size_t t = l.second + n*sizeof(size_t);
    return (nde_cuts){ .n = n, .lane = at(r, l.first), .event = at(r, l.second), .t = at(r, t), .since = at(r, t + n*sizeof(double)) };
}

static void take_apart(const nde_record *r, size_t offset, uint32_t kind, size_t n, nde_entry *e) {
    const layout l = lay(r, offset, kind, n);
    const int what = (int)(kind & KIND);
    *e = (nde_entry){ .at = offset, .kind = what, .flags = (int)(kind & ~(uint32_t)KIND), .n = n };
    if (what == NDE_ENTRY_STEP) {
        e->t = at(r, l.first);
        e->t_new = at(r, l.second);
        e->stride = kind & NDE_ENTRY_UNIFORM ? 0 : 1;
        e->mask = n > 1 && e->stride ? at(r, l.mask) : NULL;
        if (kind & NDE_ENTRY_CUTS) e->cuts = cuts_at(r, l.end, ((const header *)at(r, l.end))->n);
    } else if (what == NDE_ENTRY_CUT) {
        e->cuts = cuts_at(r, offset, n), e->lane = e->cuts.lane;
    } else {
        if (what != NDE_ENTRY_ENTER) e->lane = at(r, l.first);
        e->who = what == NDE_ENTRY_ENTER   ? at(r, l.first)
                 : what == NDE_ENTRY_FRESH ? NULL
                                           : at(r, l.second);
    }
    e->y = kind & NDE_KEEPS_Y || what == NDE_ENTRY_JUMP || what == NDE_ENTRY_RESET ? at(r, l.y) : NULL;
    e->k = kind & NDE_KEEPS_STAGES ? at(r, l.k) : NULL;
    e->tape = kind & NDE_KEEPS_TAPE ? at(r, l.tape) : NULL;
}

void nde_record_open(nde_record *r, unsigned char *base, size_t size, int richest, size_t dim,
                     size_t y_reals, size_t stage_reals, size_t tape_reals) {
    *r = (nde_record){ .base = base,
                       .size = size,
                       .dim = dim,
                       .y_reals = y_reals,
                       .stage_reals = stage_reals,
                       .tape_reals = tape_reals,
                       .first_form = richest };
    nde_record_clear(r);
}

void nde_record_clear(nde_record *r) {
    r->used = r->steps = 0;
    r->last = SIZE_MAX;
    r->form = r->first_form;
    r->spacing = r->form == NDE_RECORD_CHECKPOINTS ? 2 : 1;
    /* slopes without the tape spare nothing where the field has one: its evaluation gives both */
    if (r->form == NDE_RECORD_STAGES && r->tape_reals) r->form = NDE_RECORD_STATES;
}

/* What step number `step` keeps in the present form. */
static uint32_t keeps(const nde_record *r, size_t step) {
    switch (r->form) {
    case NDE_RECORD_TAPE: return NDE_KEEPS_Y | NDE_KEEPS_STAGES | (r->tape_reals ? NDE_KEEPS_TAPE : 0);
    case NDE_RECORD_STAGES: return NDE_KEEPS_Y | NDE_KEEPS_STAGES;
    case NDE_RECORD_STATES: return NDE_KEEPS_Y;
    default: return step % r->spacing ? 0 : NDE_KEEPS_Y;
    }
}

/* Moves every entry down, without what the present form no longer keeps. */
static void compact(nde_record *r) {
    size_t from = 0, to = 0, step = 0, back = 0, last = SIZE_MAX;
    while (from < r->used) {
        const header h = *(const header *)at(r, from);
        uint32_t kind = h.kind;
        if ((kind & KIND) == NDE_ENTRY_STEP) {
            const uint32_t all = NDE_KEEPS_Y | NDE_KEEPS_STAGES | NDE_KEEPS_TAPE;
            kind = (kind & ~all) | (kind & all & keeps(r, step++));
        }
        const layout old = lay(r, from, h.kind, h.n), new = lay(r, to, kind, h.n);
        const size_t scalars = (kind & KIND) == NDE_ENTRY_STEP ? old.scalars - from : old.end - from;
        memmove(at(r, to), at(r, from), scalars);
        if (kind & NDE_KEEPS_Y) memmove(at(r, new.y), at(r, old.y), r->y_reals*sizeof(nde_real));
        if (kind & NDE_KEEPS_STAGES)
            memmove(at(r, new.k), at(r, old.k), r->stage_reals*sizeof(nde_real));
        if (kind & NDE_KEEPS_TAPE)
            memmove(at(r, new.tape), at(r, old.tape), r->tape_reals*sizeof(nde_real));
        *(header *)at(r, to) =
            (header){ kind, h.n, (uint32_t)((new.end - to)/UNIT), (uint32_t)(back/UNIT) };
        back = new.end - to;
        last = to;
        from += (size_t)h.units*UNIT;
        to = new.end;
    }
    r->used = to;
    r->last = last;
}

bool nde_record_fall(nde_record *r) {
    if (r->form < NDE_RECORD_CHECKPOINTS) {
        r->form++;
        if (r->form == NDE_RECORD_STAGES && r->tape_reals) r->form++;
        r->spacing = r->form == NDE_RECORD_CHECKPOINTS ? 2 : 1;
    } else {
        if (r->spacing > r->steps) return false; /* one state is left already */
        r->spacing *= 2;
    }
    return true;
}

/* States recomputed on the way back need room behind the checkpoints: half of the arena, while
 * there is a choice. */
size_t nde_record_limit(const nde_record *r) {
    return r->form == NDE_RECORD_CHECKPOINTS && r->spacing <= r->steps ? r->size/2 : r->size;
}

size_t nde_record_grown(const nde_record *r, size_t used, int kind, size_t m, size_t step, bool uniform) {
    uint32_t full = (uint32_t)kind;
    if (kind == NDE_ENTRY_STEP) full |= keeps(r, step) | (uniform ? NDE_ENTRY_UNIFORM : 0u);
    return lay(r, used, full, m).end;
}

static nde_status make_room(nde_record *r, uint32_t (*kind_of)(const nde_record *), size_t n, layout *l,
                            uint32_t *kind) {
    for (;;) {
        *kind = kind_of(r);
        *l = lay(r, r->used, *kind, n);
        if (l->end <= nde_record_limit(r) && (l->end - r->used)/UNIT <= UINT32_MAX && n <= UINT32_MAX)
            return NDE_OK;
        if (!nde_record_fall(r)) return NDE_E_BUDGET;
        compact(r);
    }
}

static void close_entry(nde_record *r, uint32_t kind, size_t n, size_t end) {
    const size_t back = r->last == SIZE_MAX ? 0 : r->used - r->last;
    *(header *)at(r, r->used) =
        (header){ kind, (uint32_t)n, (uint32_t)((end - r->used)/UNIT), (uint32_t)(back/UNIT) };
    r->last = r->used;
    r->used = end;
}

static uint32_t step_kind(const nde_record *r) { return NDE_ENTRY_STEP | keeps(r, r->steps); }
static uint32_t uniform_kind(const nde_record *r) { return NDE_ENTRY_UNIFORM | step_kind(r); }
static uint32_t enter_kind(const nde_record *r) { return (void)r, NDE_ENTRY_ENTER; }
static uint32_t leave_kind(const nde_record *r) { return (void)r, NDE_ENTRY_LEAVE; }
static uint32_t fresh_kind(const nde_record *r) { return (void)r, NDE_ENTRY_FRESH; }
static uint32_t jump_kind(const nde_record *r) { return (void)r, NDE_ENTRY_JUMP; }
static uint32_t cut_kind(const nde_record *r) { return (void)r, NDE_ENTRY_CUT; }
static uint32_t reset_kind(const nde_record *r) { return (void)r, NDE_ENTRY_RESET; }

nde_status nde_record_list(nde_record *r, int kind, size_t m, nde_entry *entry) {
    uint32_t (*const kinds[])(const nde_record *) = { NULL, enter_kind, leave_kind, fresh_kind,
                                                      jump_kind, NULL, cut_kind, reset_kind };
    layout l;
    uint32_t full;
    const nde_status bad = make_room(r, kinds[kind], m, &l, &full);
    if (bad) return bad;
    if (kind == NDE_ENTRY_CUT) ((header *)at(r, r->last))->kind |= NDE_ENTRY_CUTS;
    take_apart(r, r->used, full, m, entry);
    close_entry(r, full, m, l.end);
    return NDE_OK;
}

nde_status nde_record_reserve(nde_record *r, size_t n, bool uniform, nde_entry *entry) {
    layout l;
    uint32_t kind;
    const nde_status bad = make_room(r, uniform ? uniform_kind : step_kind, n, &l, &kind);
    if (!bad) take_apart(r, r->used, kind, n, entry);
    return bad;
}

void nde_record_commit(nde_record *r, nde_entry *entry, bool mixed) {
    if (mixed) entry->flags |= NDE_ENTRY_MIXED;
    const uint32_t kind = (uint32_t)entry->kind | (uint32_t)entry->flags;
    close_entry(r, kind, entry->n, lay(r, r->used, kind, entry->n).end);
    r->steps++;
}

void nde_record_read(const nde_record *r, size_t offset, nde_entry *entry) {
    const header *h = at(r, offset);
    take_apart(r, offset, h->kind, h->n, entry);
}

bool nde_record_before(const nde_record *r, size_t offset, nde_entry *entry) {
    if (offset == 0 || r->last == SIZE_MAX) return false;
    const size_t before =
        offset == SIZE_MAX ? r->last : offset - (size_t)((const header *)at(r, offset))->back*UNIT;
    nde_record_read(r, before, entry);
    return true;
}

bool nde_record_after(const nde_record *r, size_t offset, nde_entry *entry) {
    const size_t after =
        offset == SIZE_MAX ? 0 : offset + (size_t)((const header *)at(r, offset))->units*UNIT;
    if (after >= r->used) return false;
    nde_record_read(r, after, entry);
    return true;
}

unsigned char *nde_record_tail(const nde_record *r, size_t *bytes) {
    const size_t from = round_up(r->used, LINE);
    *bytes = from < r->size ? r->size - from : 0;
    return r->base + from;
}
