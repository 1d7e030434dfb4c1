/* SPDX-License-Identifier: MIT
 * slots.h - states that are kept of some steps, in slots from the end of an arena downwards, and which steps those are. No real
 * type.
 *
 * A state goes by the key of its step; later steps have larger keys. New ones come behind all others, so that the pool is
 * a stack for the way back; to make room the solve takes some out of the middle. Slots are used in any order: word i of
 * `order`, in the head of slot i, says where the state of rank i is.
 *
 * When the number of steps is known, the binomial schedule says which are kept, or they are that far apart. When it is
 * not, every spacing-th is, and when there is no room, every other one goes, from the first on; when all have been visited
 * the spacing doubles. Some slots stay free: the last steps are repeated in them. */
#ifndef NDE_SLOTS_H
#define NDE_SLOTS_H

#include <stdbool.h>
#include <stddef.h>

typedef struct nde_slots {
    unsigned char *end;    /* of the arena */
    size_t bytes;          /* of a slot: its head and a state */
    size_t count, taken;   /* states; slots that have been used: those that hold none come behind in `order` */
    size_t next, spacing;  /* number of the step that keeps its state next, and steps from one to the next */
    size_t cursor;         /* rank at which thinning goes on */
    size_t steps, most;    /* known beforehand: number of steps, and states that there will be room for; 0: not known */
    size_t apart;          /* then: every so many-th is kept; 0: as the binomial schedule says */
} nde_slots;

/* `end` at a multiple of 8. */
void nde_slots_open(nde_slots *slots, unsigned char *end, size_t state_bytes);
/* Empty. Every spacing-th state is to be kept. */
void nde_slots_clear(nde_slots *slots, size_t spacing);
/* Of so many steps as many states as there will be room for are to be kept: the best ones; apart > 0: every so many-th,
 * for which there is room. */
void nde_slots_expect(nde_slots *slots, size_t steps, size_t most, size_t apart);
/* States that will then be kept. */
size_t nde_slots_expected(const nde_slots *slots);

/* Drops states until no more than `limit` slots are used; false: the first one does not fit. */
bool nde_slots_fit(nde_slots *slots, size_t limit);
/* Is the state of step number `step` to be kept, in `limit` slots? Drops others for it. */
bool nde_slots_admit(nde_slots *slots, size_t step, size_t limit);
/* Where the next state will stand, and then: it is there, of step number `step` with this key. */
void *nde_slots_place(const nde_slots *slots);
void nde_slots_push(nde_slots *slots, size_t key, size_t step);
/* Drops about every 64th state, at least one; false: only the first one is there. */
bool nde_slots_thin(nde_slots *slots);
/* Frees the slots behind the last `to`, which hold no state. */
void nde_slots_shrink(nde_slots *slots, size_t to);

/* Rank of the last state whose key is not larger: there is one. */
size_t nde_slots_rank(const nde_slots *slots, size_t key);
size_t nde_slots_key(const nde_slots *slots, size_t rank);
enum { NDE_SLOT_HEAD = 2*sizeof(size_t) };
void nde_slots_rename(nde_slots *slots, size_t rank, size_t key);
/* The state of that key; NULL: none. *rank: nde_slots_rank of it; in: where to look first. */
void *nde_slots_find(const nde_slots *slots, size_t key, size_t *rank);
/* The bytes of the first state with its head, its key first, as they may stand elsewhere. */
const void *nde_slots_first(const nde_slots *slots);
/* Forgets all states from this rank on. */
void nde_slots_forget(nde_slots *slots, size_t rank);
/* Two states change ranks: keys are to ascend again before anything else is asked. */
void nde_slots_swap(nde_slots *slots, size_t rank, size_t other);

#endif
