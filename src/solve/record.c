/* SPDX-License-Identifier: MIT
 * record.c - the log of block steps in an arena of fixed size. */
#include "solve/record.h"

#include <string.h>

#include "adjoint/checkpoint.h"

typedef struct header {
    uint32_t kind; /* NDE_ENTRY_* and flags */
    uint32_t n;
    uint32_t units, back; /* size of this entry and of the one before, in units of 8 bytes */
} header;

/* An entry's place is its offset in units, and in a run the number of the step there, of at most PLACES. */
enum { UNIT = 8, LINE = 64, KIND = 15, PLACE_BITS = sizeof(size_t) > 4 ? 24 : 4 };
static const size_t PLACES = (size_t)1 << PLACE_BITS;

static size_t round_up(size_t x, size_t to) { return (x + to - 1) & ~(to - 1); } /* to: a power of two */
static void *at(const nde_record *r, size_t offset) { return (void *)(r->base + offset); }
static size_t place_of(size_t offset, size_t k) { return offset/UNIT << PLACE_BITS | k; }
static size_t offset_of(size_t place) { return (place >> PLACE_BITS)*UNIT; }
static bool in_runs(const nde_record *r) { return r->form >= NDE_RECORD_STATES; }

/* ---- entries --------------------------------------------------------------------------------- */

/* Where the parts of an entry at offset `at` stand; scalars: where they end. */
typedef struct layout {
    size_t first, second, scalars, y, k, tape, end;
} layout;

static size_t times_of(uint32_t kind, size_t n) { return kind & NDE_ENTRY_UNIFORM ? 1 : n; }

/* What a list keeps of states in the form times. */
static uint32_t list_keeps(const nde_record *r, int kind) {
    const bool loses = kind == NDE_ENTRY_LEAVE || kind == NDE_ENTRY_FRESH || kind == NDE_ENTRY_JUMP || kind == NDE_ENTRY_CUT;
    return r->form == NDE_RECORD_TIMES && loses ? NDE_KEEPS_Y : 0;
}

static size_t list_rows(const nde_record *r, uint32_t kind) {
    const uint32_t what = kind & KIND;
    return kind & NDE_KEEPS_Y ? r->rows : what == NDE_ENTRY_JUMP || what == NDE_ENTRY_RESET ? r->dim : 0;
}

/* Of a run: with its first step. */
static layout lay(const nde_record *r, size_t at, uint32_t kind, size_t n) {
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
static size_t run_length(const nde_record *r, size_t offset) {
    const header *h = at(r, offset);
    return ((size_t)h->units*UNIT - sizeof *h - sizeof(size_t))/(times_of(h->kind, h->n)*sizeof(double)) - 1;
}

static nde_cuts cuts_at(const nde_record *r, size_t offset, size_t n) {
    const layout l = lay(r, offset, NDE_ENTRY_CUT, n);
    const size_t t = l.second + n*sizeof(size_t);
    return (nde_cuts){ .n = n, .lane = at(r, l.first), .event = at(r, l.second), .t = at(r, t),
                       .since = at(r, t + n*sizeof(double)) };
}

static void take_apart(const nde_record *r, size_t offset, uint32_t kind, size_t n, nde_entry *e) {
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
static bool shift(const nde_record *r, size_t offset, nde_entry *e) {
    const size_t from = offset_of(e->at), by = offset - from;
    if (!e->bytes || by % r->line || e->t != at(r, from + sizeof(header))) return false;
    e->at = place_of(offset, 0);
    e->t = at(r, offset + sizeof(header));
    e->t_new = e->t + times_of((uint32_t)e->flags, e->n);
    if (e->y) e->y = at(r, (size_t)((unsigned char *)e->y - r->base) + by);
    if (e->k) e->k = at(r, (size_t)((unsigned char *)e->k - r->base) + by);
    if (e->tape) e->tape = at(r, (size_t)((unsigned char *)e->tape - r->base) + by);
    return true;
}

/* So many steps along the run of e, back if negative. */
static void go_along(ptrdiff_t steps, nde_entry *e) {
    const ptrdiff_t times = e->stride ? (ptrdiff_t)e->n : 1;
    e->step += (size_t)steps, e->at += (size_t)steps;
    e->t += steps*times, e->t_new += steps*times;
    bool mixed = false;
    for (ptrdiff_t b = 0; e->n > 1 && b < times; b++) mixed |= e->t[b] == e->t_new[b];
    e->flags = mixed ? e->flags | NDE_ENTRY_MIXED : e->flags & ~NDE_ENTRY_MIXED;
}

void nde_record_find(const nde_record *r, nde_entry *e) {
    if (e->flags & NDE_ENTRY_RUN) e->y = nde_slots_find(&r->slots, e->at, &e->rank);
}

static void close_entry(nde_record *r, uint32_t kind, size_t n, size_t end) {
    const size_t back = r->last == SIZE_MAX ? 0 : r->used - r->last;
    *(header *)at(r, r->used) =
        (header){ kind, (uint32_t)n, (uint32_t)((end - r->used)/UNIT), (uint32_t)(back/UNIT) };
    r->last = r->used;
    r->used = end;
}

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

/* Where number i of its states stands: a slot. */
static uint64_t offset_in_store(const nde_record *r, size_t i) { return ((uint64_t)i*r->of + r->index)*r->slots.bytes; }

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

/* ---- reading --------------------------------------------------------------------------------- */

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
    const size_t offset = offset_of(e->at);
    const header *h = at(r, offset), *before = at(r, offset - (size_t)h->back*UNIT);
    const bool alike = h->back && before->kind == h->kind && before->n == h->n && !(h->kind & NDE_ENTRY_CUTS);
    return (alike && shift(r, offset - (size_t)h->back*UNIT, e)) || nde_record_before(r, e->at, e);
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
