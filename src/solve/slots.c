/* SPDX-License-Identifier: MIT
 * slots.c - states that are kept of some steps.
 *
 * The online schedule: with s slots for n steps the best places are the denser the later, since more slots are free on the way
 * back the earlier a segment is. Every other state taken out from the first on, one for each that comes, gives such a density,
 * and never more than a factor of two from it. Sources: Q. Wang, P. Moin, G. Iaccarino, SIAM J. Sci. Comput. 31 (2009)
 * 2549-2567; P. Stumm, A. Walther, SIAM J. Sci. Comput. 32 (2010) 836-854: the same problem, with optimal numbers of
 * repetitions, but a state copied at every step. */
#include "solve/slots.h"

#include <math.h>
#include <stdint.h>
#include <string.h>

#include "adjoint/checkpoint.h"

typedef struct head {
    size_t key, order;
} head;

enum { SHARE = 64 }; /* of what is there is moved at once, so that moving costs a constant for each state */

static head *slot(const nde_slots *s, size_t i) { return (head *)(void *)(s->end - (i + 1)*s->bytes); }
static size_t *order(const nde_slots *s, size_t rank) { return &slot(s, rank)->order; }
static head *state(const nde_slots *s, size_t rank) { return slot(s, *order(s, rank)); }

void nde_slots_open(nde_slots *s, unsigned char *end, size_t state_bytes) {
    *s = (nde_slots){ .end = end, .bytes = sizeof(head) + (state_bytes + 7)/8*8 };
    nde_slots_clear(s, 1);
}

void nde_slots_clear(nde_slots *s, size_t spacing) {
    *s = (nde_slots){ .end = s->end, .bytes = s->bytes, .spacing = spacing };
}

/* ---- which ----------------------------------------------------------------------------------- */

void nde_slots_expect(nde_slots *s, size_t steps, size_t most, size_t apart) {
    s->steps = steps, s->most = most, s->apart = apart;
}

/* The step behind `step` that keeps its state when `left` more can be kept. The run itself passes all steps once: it is
 * the way to undo one step more, of no length, behind the last. */
static size_t scheduled(const nde_slots *s, size_t step, size_t left) {
    const size_t steps = s->steps - step;
    if (s->apart) return step + s->apart;
    if (steps <= left + 1) return step + 1;
    return left ? step + steps + 1 - nde_checkpoint_last(steps + 1, left) : SIZE_MAX;
}

size_t nde_slots_expected(const nde_slots *s) {
    if (s->apart) return (s->steps + s->apart - 1)/s->apart;
    if (s->steps <= s->most) return s->steps;
    size_t count = 1;
    for (size_t step = 0; (step = scheduled(s, step, s->most - count)) < s->steps;) count++;
    return count;
}

/* Slots that stay free: in r of them r(r + 1)/2 steps are undone with two repetitions. */
static size_t reserve(const nde_slots *s, size_t limit) {
    const size_t r = s->spacing > 1 ? (size_t)sqrt(2*(double)s->spacing) : 0;
    return r < (limit + 1)/2 ? r : (limit + 1)/2;
}

static void go_online(nde_slots *s) { s->steps = s->most = s->next = s->apart = 0; }

bool nde_slots_admit(nde_slots *s, size_t step, size_t limit) {
    if (!s->count) return limit > 0;
    if (s->steps && (step >= s->steps || s->count > limit)) go_online(s);
    if (step < s->next) return false;
    while (!s->steps && s->count + 1 + reserve(s, limit) > limit) {
        const size_t before = s->spacing;
        if (!nde_slots_thin(s)) s->spacing *= 2;
        if (s->spacing == before) continue;
        s->next = (step + s->spacing - 1)/s->spacing*s->spacing;
        if (step < s->next) return false;
    }
    return s->count < limit;
}

/* ---- slots ----------------------------------------------------------------------------------- */

void *nde_slots_place(const nde_slots *s) { return (s->count < s->taken ? state(s, s->count) : slot(s, s->count)) + 1; }

void nde_slots_push(nde_slots *s, size_t key, size_t step) {
    if (s->count == s->taken) *order(s, s->taken) = s->taken, s->taken++;
    state(s, s->count++)->key = key;
    s->next = s->steps ? scheduled(s, step, s->most - s->count) : step + s->spacing;
}

void nde_slots_swap(nde_slots *s, size_t i, size_t j) {
    const size_t of_i = *order(s, i);
    *order(s, i) = *order(s, j), *order(s, j) = of_i;
}

bool nde_slots_thin(nde_slots *s) {
    const size_t share = s->count/SHARE, some = s->cursor/4, most = (some < share ? some : share) + 1, first = s->cursor + 1;
    if (s->count <= 1) return false;
    if (s->steps) go_online(s);
    size_t gone = 0, kept = first;
    for (size_t i = first; i < s->count; i++)
        if (gone < most && i == first + 2*gone) gone++;
        else nde_slots_swap(s, kept++, i);
    if (first < s->count) s->count = kept, s->cursor += gone;
    if (gone < most) s->cursor = 0, s->spacing *= 2;
    return true;
}

/* States move out of the slots that go into free ones. */
void nde_slots_shrink(nde_slots *s, size_t to) {
    size_t spare = s->count;
    for (size_t i = 0; i < s->count; i++) {
        if (*order(s, i) < to) continue;
        while (*order(s, spare) >= to) spare++;
        head *new = state(s, spare);
        const head *old = state(s, i);
        new->key = old->key;
        memcpy(new + 1, old + 1, s->bytes - sizeof *new);
        nde_slots_swap(s, i, spare);
    }
    size_t kept = s->count;
    for (size_t i = s->count; i < s->taken; i++)
        if (*order(s, i) < to) *order(s, kept++) = *order(s, i);
    s->taken = to;
}

bool nde_slots_fit(nde_slots *s, size_t limit) {
    const size_t least = s->steps ? 0 : reserve(s, limit)*2/3; /* of the reserve is to be there at any time */
    while (s->count > limit - least)
        if (!nde_slots_thin(s)) break;
    if (s->count > limit) return false;
    const size_t spare = limit - s->count, some = limit/SHARE;
    if (s->taken > limit) nde_slots_shrink(s, limit - (some < spare ? some : spare));
    return true;
}

/* ---- the way back ---------------------------------------------------------------------------- */

size_t nde_slots_key(const nde_slots *s, size_t rank) { return state(s, rank)->key; }
void nde_slots_rename(nde_slots *s, size_t rank, size_t key) { state(s, rank)->key = key; }

size_t nde_slots_rank(const nde_slots *s, size_t key) {
    size_t low = 0, high = s->count;
    if (high && state(s, high - 1)->key <= key) return high - 1;
    while (high - low > 1) {
        const size_t middle = low + (high - low)/2;
        if (state(s, middle)->key <= key) low = middle;
        else high = middle;
    }
    return low;
}

void *nde_slots_find(const nde_slots *s, size_t key, size_t *rank) {
    if (!s->count) return NULL;
    size_t at = *rank < s->count ? *rank : 0;
    if (at && state(s, at)->key > key) at--;
    else if (at + 1 < s->count && state(s, at + 1)->key <= key) at++;
    const bool found = state(s, at)->key <= key && (at + 1 == s->count || state(s, at + 1)->key > key);
    *rank = found ? at : nde_slots_rank(s, key);
    head *last = state(s, *rank);
    return last->key == key ? last + 1 : NULL;
}

const void *nde_slots_first(const nde_slots *s) { return state(s, 0); }

void nde_slots_forget(nde_slots *s, size_t rank) { s->count = rank; }
