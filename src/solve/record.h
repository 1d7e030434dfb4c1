/* SPDX-License-Identifier: MIT
 * record.h - the log of what a panel did, in the order done, in an arena of fixed size. It falls back in place when full:
 * tape, stages, states, checkpoints.
 *
 * An entry is a header, its scalars, and for a step as much of { y, slopes, tape } as the form keeps. Entries follow each
 * other; each knows the size of the one before. Offsets are in bytes from the base. Letters: n lanes, ld their distance,
 * m lanes of a list. */
#ifndef NDE_RECORD_H
#define NDE_RECORD_H

#include "nde/real.h"
#include "core/core.h"

enum {
    NDE_ENTRY_ENTER = 1, /* trajectories[m] came into the lanes n .. n+m-1 */
    NDE_ENTRY_LEAVE = 2, /* lanes[m], trajectories[m]: one after the other, each replaced by the last lane */
    NDE_ENTRY_FRESH = 3, /* lanes[m]: slope 0 was evaluated anew */
    NDE_ENTRY_JUMP = 4,  /* lanes[m], jumps[m], y- [dim][m] in every form: y+ = jump(y-) */
    NDE_ENTRY_STEP = 5,  /* t[n], t_new[n], mask[n]; UNIFORM: t[1], t_new[1] */
    NDE_ENTRY_CUT = 6,   /* lanes[m], events[m], t[m], since[m]: events have cut the step before this entry */
    NDE_ENTRY_RESET = 7, /* lanes[m], the event [m], y- [dim][m] in every form: y+ = reset(y-) */
    /* what a step keeps */
    NDE_KEEPS_Y = 16, NDE_KEEPS_STAGES = 32, NDE_KEEPS_TAPE = 64,
    NDE_ENTRY_MIXED = 128,  /* some lanes of the step were rejected */
    NDE_ENTRY_UNIFORM = 256, /* all lanes step from the same time to the same time */
    NDE_ENTRY_CUTS = 512     /* a CUT follows the step */
};

typedef struct nde_record {
    unsigned char *base;
    size_t size, used, last; /* last: offset of the last entry; SIZE_MAX when there is none */
    size_t dim, y_reals, stage_reals, tape_reals; /* of one step: [rows][ld], [s][rows][ld], [s][tape][ld] */
    int form, first_form;
    size_t spacing, steps;   /* checkpoints: every spacing-th step keeps y */
} nde_record;

/* Lanes [n] whose step is cut: by which event (NDE_CUT_TIED more where something else happens there too), at t, and when they were
 * cut before (NaN: never). */
typedef struct nde_cuts {
    size_t n, *lane, *event;
    double *t, *since;
} nde_cuts;

/* An entry, taken apart: pointers into the record; NULL where it keeps none. */
typedef struct nde_entry {
    size_t at;          /* its offset */
    int kind, flags;
    size_t n;
    size_t *lane, *who; /* [n] of ENTER (who), LEAVE (both), FRESH (lane), JUMP and RESET (lane; who: the jump, the event) */
    double *t, *t_new;  /* of STEP: lane b at t[b*stride], t_new[b*stride] */
    size_t stride;      /* 1; 0 when UNIFORM */
    unsigned char *mask; /* [n] of STEP, when MIXED */
    nde_real *y, *k, *tape;
    nde_cuts cuts;      /* of CUT, and of the STEP before it */
} nde_entry;

/* size bytes at base (multiple of 64); richest: NDE_RECORD_* to begin with; reals of one step by lanes. */
void nde_record_open(nde_record *record, unsigned char *base, size_t size, int richest, size_t dim, size_t y_reals,
                     size_t stage_reals, size_t tape_reals);
void nde_record_clear(nde_record *record);
/* Bytes used once an entry of `kind` for m lanes has been appended to `used` bytes in the present form; step: its number. */
size_t nde_record_grown(const nde_record *record, size_t used, int kind, size_t m, size_t step, bool uniform);
/* Bytes that may be used in the present form after `steps` steps. */
size_t nde_record_limit(const nde_record *record);
/* The next form down; false at the end. */
bool nde_record_fall(nde_record *record);

/* Appends a list entry; its arrays are to be filled in. NDE_E_BUDGET when there is no room in any form. */
nde_status nde_record_list(nde_record *record, int kind, size_t m, nde_entry *entry);
/* Room for a step of n lanes; entry->k and tape may be written to before it is committed. NDE_E_BUDGET. */
nde_status nde_record_reserve(nde_record *record, size_t n, bool uniform, nde_entry *entry);
/* Keeps the reserved step. */
void nde_record_commit(nde_record *record, nde_entry *entry, bool mixed);

/* Walks: from `at` = SIZE_MAX nde_record_before gives the last entry, nde_record_after the first; false at the end. */
bool nde_record_before(const nde_record *record, size_t at, nde_entry *entry);
bool nde_record_after(const nde_record *record, size_t at, nde_entry *entry);
void nde_record_read(const nde_record *record, size_t at, nde_entry *entry);
/* Bytes behind the log, at a multiple of 64, for states recomputed on the way back. */
unsigned char *nde_record_tail(const nde_record *record, size_t *bytes);

#endif
