/* SPDX-License-Identifier: MIT
 * record.c - the log of block steps in an arena of fixed size: forms, and what is appended. What is read back is in walk.c. */
#include <string.h>

#include "adjoint/checkpoint.h"
#include "solve/entry.h"

/* ---- entries --------------------------------------------------------------------------------- */

/* Can the last entry go on with a step of times t? It ends with the times that it has reached. */
static bool goes_on(const nde_record *r, uint32_t kind, size_t n, const double *t) {
    if (r->last == SIZE_MAX) return false;
    const header *h = at(r, r->last);
    const size_t times = times_of(kind, n);
    return h->kind == kind && h->n == n && run_length(r, r->last) < PLACES && h->units + times <= UINT32_MAX &&
           !memcmp(at(r, r->used - times*sizeof *t), t, times*sizeof *t);
}

/* Appends step number r->steps to the last run, or as a new one: t and t_new are two rows at or behind the log's end, or where
 * the old entry stood that is moved down. Returns its place. */
static size_t append(nde_record *r, uint32_t kind, size_t n, const double *t) {
    const size_t times = times_of(kind, n), row = times*sizeof *t;
    if (goes_on(r, kind, n, t)) {
        header *h = at(r, r->last);
        memmove(at(r, r->used), t + times, row);
        h->units += (uint32_t)times;
        r->used += row;
        return place_of(r->last, run_length(r, r->last) - 1);
    }
    const layout l = lay(r, r->used, kind, n);
    memmove(at(r, l.first), t, 2*row);
    *(size_t *)at(r, l.first - sizeof(size_t)) = r->steps;
    close_entry(r, kind, n, l.end);
    return place_of(r->last, 0);
}

/* ---- forms ----------------------------------------------------------------------------------- */

void nde_record_open(nde_record *r, unsigned char *base, size_t size, int richest, size_t dim,
                     size_t y_reals, size_t stage_reals, size_t tape_reals) {
    *r = (nde_record){ .base = base,
                       .size = size,
                       .dim = dim,
                       .y_reals = y_reals,
                       .stage_reals = stage_reals,
                       .tape_reals = tape_reals,
                       .line = y_reals*sizeof(nde_real)%LINE ? UNIT : LINE,
                       .first_form = richest };
    nde_slots_open(&r->slots, base ? base + size : NULL, y_reals*sizeof(nde_real));
    nde_record_clear(r);
}

void nde_record_attach(nde_record *r, const nde_store *store, size_t index, size_t of) {
    r->store = *store, r->index = index, r->of = of;
}

nde_place nde_record_place(const nde_record *r) {
    nde_place p = { .k = round_up(r->y_reals*sizeof(nde_real), r->line) };
    p.tape = p.k + round_up(r->stage_reals*sizeof(nde_real), r->line);
    p.bytes = p.tape + round_up(r->tape_reals*sizeof(nde_real), r->line);
    return p;
}

static size_t first_spacing(const nde_record *r) { return r->first_form == NDE_RECORD_CHECKPOINTS ? 2 : 1; }

void nde_record_clear(nde_record *r) {
    r->used = r->steps = r->stored = 0;
    r->failed = false;
    r->last = SIZE_MAX;
    r->form = r->first_form;
    r->anchor = false;
    nde_slots_clear(&r->slots, first_spacing(r));
    /* slopes without the tape spare nothing where the field has one: its evaluation gives both */
    if (r->form == NDE_RECORD_STAGES && r->tape_reals) r->form = NDE_RECORD_STATES;
}

bool nde_record_expect(nde_record *r, int form, size_t steps, size_t log) {
    r->form = form;
    if (form < NDE_RECORD_STATES) return true;
    const size_t begin = round_up(log, LINE), room = begin < r->size ? r->size - begin : 0;
    size_t most = log < r->size ? (r->size - log)/r->slots.bytes : 0;
    if (form == NDE_RECORD_CHECKPOINTS && r->first_form == form && most > steps/2 + 1) most = steps/2 + 1;
    nde_slots_expect(&r->slots, steps, most,
                     most < steps ? nde_checkpoint_piece(steps, room, r->slots.bytes, nde_record_place(r).bytes) : 0);
    if (most < steps) r->form = NDE_RECORD_CHECKPOINTS;
    return most > 0;
}

/* What a step's entry keeps in the present form. */
static uint32_t keeps(const nde_record *r) {
    switch (r->form) {
    case NDE_RECORD_TAPE: return NDE_KEEPS_Y | NDE_KEEPS_STAGES | (r->tape_reals ? NDE_KEEPS_TAPE : 0);
    case NDE_RECORD_STAGES: return NDE_KEEPS_Y | NDE_KEEPS_STAGES;
    default: return NDE_ENTRY_RUN;
    }
}

/* Moves every entry down, without what a step's is not to hold. */
static void compact(nde_record *r, uint32_t holds) {
    const size_t end = r->used;
    r->used = 0, r->last = SIZE_MAX;
    for (size_t from = 0; from < end;) {
        const header h = *(const header *)at(r, from);
        const uint32_t all = NDE_KEEPS_Y | NDE_KEEPS_STAGES | NDE_KEEPS_TAPE;
        const bool step = (h.kind & KIND) == NDE_ENTRY_STEP;
        const uint32_t kind = step ? (h.kind & ~all) | (h.kind & holds) : h.kind;
        const layout old = lay(r, from, h.kind, h.n), new = lay(r, r->used, kind, h.n);
        memmove(at(r, r->used), at(r, from), step ? old.scalars - from : old.end - from);
        if (kind & NDE_KEEPS_Y) memmove(at(r, new.y), at(r, old.y), r->y_reals*sizeof(nde_real));
        if (kind & NDE_KEEPS_STAGES)
            memmove(at(r, new.k), at(r, old.k), r->stage_reals*sizeof(nde_real));
        close_entry(r, kind, h.n, new.end);
        from += (size_t)h.units*UNIT;
    }
}

/* States go from the entries to slots behind the log, by the number of their step: as many as there is room for. */
static void move_states(nde_record *r) {
    nde_slots *slots = &r->slots;
    const size_t room = (r->size - r->used)/slots->bytes;
    nde_slots_clear(slots, 1);
    while ((r->steps + slots->spacing - 1)/slots->spacing > room) slots->spacing *= 2;
    size_t step = 0;
    for (size_t from = 0; from < r->used; from += (size_t)((const header *)at(r, from))->units*UNIT) {
        const header h = *(const header *)at(r, from);
        if ((h.kind & KIND) != NDE_ENTRY_STEP) continue;
        if (step == slots->next && room) {
            memcpy(nde_slots_place(slots), at(r, lay(r, from, h.kind, h.n).y), r->y_reals*sizeof(nde_real));
            nde_slots_push(slots, step, step);
        }
        step++;
    }
}

/* Steps become runs. */
static void join_steps(nde_record *r) {
    const size_t end = r->used;
    size_t rank = 0;
    r->used = r->steps = 0, r->last = SIZE_MAX;
    for (size_t from = 0; from < end;) {
        const header h = *(const header *)at(r, from);
        const layout old = lay(r, from, h.kind, h.n);
        if ((h.kind & KIND) == NDE_ENTRY_STEP) {
            const uint32_t kind = NDE_ENTRY_STEP | NDE_ENTRY_RUN | (h.kind & NDE_ENTRY_UNIFORM);
            const size_t place = append(r, kind, h.n, at(r, old.first));
            if (rank < r->slots.count && nde_slots_key(&r->slots, rank) == r->steps) nde_slots_rename(&r->slots, rank++, place);
            ((header *)at(r, r->last))->kind |= h.kind & NDE_ENTRY_CUTS;
            r->steps++;
        } else {
            memmove(at(r, r->used), at(r, from), old.end - from);
            close_entry(r, h.kind, h.n, r->used + old.end - from);
        }
        from += (size_t)h.units*UNIT;
    }
}

bool nde_record_fall(nde_record *r) {
    if (in_runs(r)) {
        if (!nde_slots_thin(&r->slots)) return false;
        nde_slots_shrink(&r->slots, r->slots.count);
        r->form = NDE_RECORD_CHECKPOINTS;
        return true;
    }
    r->form++;
    if (r->form == NDE_RECORD_STAGES && r->tape_reals) r->form++;
    compact(r, in_runs(r) ? NDE_KEEPS_Y : keeps(r));
    if (in_runs(r)) {
        move_states(r);
        join_steps(r);
        if (r->slots.count < r->steps) r->form = NDE_RECORD_CHECKPOINTS;
    }
    return true;
}

size_t nde_record_grown(const nde_record *r, size_t used, int kind, size_t m, bool uniform, bool first) {
    uint32_t full = (uint32_t)kind | list_keeps(r, kind);
    if (kind == NDE_ENTRY_STEP) full |= keeps(r) | (uniform ? NDE_ENTRY_UNIFORM : 0u);
    return full & NDE_ENTRY_RUN && !first ? used + times_of(full, m)*sizeof(double) : lay(r, used, full, m).end;
}

size_t nde_record_bytes(const nde_record *r) { return r->used + r->slots.count*r->slots.bytes; }

/* ---- the store ------------------------------------------------------------------------------- */

/* The first state goes to the store, and all others that are in memory are given up: a stretch has ended. */
static bool end_stretch(nde_record *r) {
    nde_entry first;
    nde_record_read(r, nde_slots_key(&r->slots, 0), &first);
    const size_t ld = r->y_reals/r->rows;
    for (size_t i = 0; i < r->rows; i++) /* what stands in idle lanes is nobody's */
        for (size_t b = first.n; b < ld; b++) first.y[i*ld + b] = 0;
    r->failed = r->store.write(r->store.ctx, offset_in_store(r, r->stored), nde_slots_first(&r->slots), r->slots.bytes) != 0;
    r->stored += !r->failed;
    nde_slots_clear(&r->slots, first_spacing(r));
    r->form = NDE_RECORD_CHECKPOINTS;
    return !r->failed;
}

/* ---- writing --------------------------------------------------------------------------------- */

/* Room for an entry that ends there; `slots`: for how many states there is. */
static bool fits(nde_record *r, size_t end, size_t *slots) {
    if (end > r->size) return false;
    *slots = in_runs(r) ? (r->size - end)/r->slots.bytes : 0;
    if (!in_runs(r)) return true;
    if (r->form == NDE_RECORD_TIMES) return r->slots.count <= *slots;
    if (r->store.write && r->slots.count && r->slots.count >= *slots && !end_stretch(r)) return false;
    if (r->slots.count > *slots) r->form = NDE_RECORD_CHECKPOINTS;
    return nde_slots_fit(&r->slots, *slots);
}

static nde_status make_room(nde_record *r, int what, size_t n, bool uniform, layout *l, uint32_t *kind, size_t *slots) {
    for (;;) {
        *kind = (uint32_t)what | (uniform ? NDE_ENTRY_UNIFORM : 0u) | list_keeps(r, what);
        if (what == NDE_ENTRY_STEP) *kind |= keeps(r);
        *l = lay(r, r->used, *kind, n);
        const bool small = (l->end - r->used)/UNIT <= UINT32_MAX && n <= UINT32_MAX;
        if (small && fits(r, l->end, slots)) return NDE_OK;
        if (in_runs(r)) return r->failed ? NDE_E_IO : NDE_E_BUDGET;
        nde_record_fall(r);
    }
}

nde_status nde_record_list(nde_record *r, int kind, size_t m, nde_entry *entry) {
    layout l;
    uint32_t full;
    size_t slots;
    const nde_status bad = make_room(r, kind, m, false, &l, &full, &slots);
    if (bad) return bad;
    if (kind == NDE_ENTRY_CUT) ((header *)at(r, r->last))->kind |= NDE_ENTRY_CUTS;
    take_apart(r, r->used, full, m, entry);
    close_entry(r, full, m, l.end);
    return NDE_OK;
}

nde_status nde_record_reserve(nde_record *r, size_t n, bool uniform, nde_entry *entry) {
    layout l;
    uint32_t kind = NDE_ENTRY_STEP | keeps(r) | (uniform ? NDE_ENTRY_UNIFORM : 0u);
    size_t slots;
    const bool alike = ((uint32_t)entry->flags | NDE_ENTRY_STEP) == kind && entry->n == n && r->size - r->used >= entry->bytes;
    if (alike && shift(r, r->used, entry)) return NDE_OK;
    const nde_status bad = make_room(r, NDE_ENTRY_STEP, n, uniform, &l, &kind, &slots);
    if (bad) return bad;
    take_apart(r, r->used, kind, n, entry);
    if (!in_runs(r)) return NDE_OK;
    if (r->form == NDE_RECORD_TIMES) {
        const bool wanted = !r->steps || r->anchor, there = r->slots.count < slots;
        if (wanted && there) entry->y = nde_slots_place(&r->slots);
        return wanted && !there ? NDE_E_BUDGET : NDE_OK;
    }
    if (nde_slots_admit(&r->slots, r->steps, slots)) entry->y = nde_slots_place(&r->slots);
    else r->form = NDE_RECORD_CHECKPOINTS;
    return r->slots.count || entry->y ? NDE_OK : NDE_E_BUDGET;
}

void nde_record_commit(nde_record *r, nde_entry *entry, bool mixed) {
    uint32_t kind = (uint32_t)entry->kind | (uint32_t)entry->flags;
    if (kind & NDE_ENTRY_RUN) {
        entry->at = append(r, kind, entry->n, entry->t);
        if (entry->y) nde_slots_push(&r->slots, entry->at, r->steps);
    } else {
        if (mixed) kind |= NDE_ENTRY_MIXED;
        close_entry(r, kind, entry->n, r->used + entry->bytes);
    }
    r->steps++;
}

size_t nde_record_stretch(const nde_record *r, const nde_entry *e) {
    const nde_slots *s = &r->slots;
    const header *last = r->last == SIZE_MAX ? NULL : at(r, r->last);
    const size_t times = times_of((uint32_t)e->flags, e->n), row = times*sizeof(double);
    const size_t end = lay(r, r->used, (uint32_t)e->kind | (uint32_t)e->flags, e->n).end;
    const size_t most = r->size - (s->taken + (e->y != NULL))*s->bytes;
    const size_t next = !e->y ? s->next : s->apart && s->count < s->most ? r->steps + s->apart : 0;
    if (!in_runs(r) || r->form == NDE_RECORD_TIMES || end > most || next <= r->steps) return 0;
    size_t stretch = 1 + (most - end)/row;
    if (stretch > next - r->steps) stretch = next - r->steps;
    if (!last || !(last->kind & NDE_ENTRY_RUN)) return stretch < PLACES ? stretch : PLACES;
    const size_t units = (UINT32_MAX - last->units)/times, places = PLACES - run_length(r, r->last);
    const size_t joined = units < places ? units : places;
    return stretch < joined ? stretch : joined;
}

double *nde_record_extend(nde_record *r, size_t steps) {
    header *h = at(r, r->last);
    const size_t times = times_of(h->kind, h->n);
    double *ends = at(r, r->used);
    h->units += (uint32_t)(steps*times);
    r->used += steps*times*sizeof *ends, r->steps += steps;
    return ends;
}
