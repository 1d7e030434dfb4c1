/* SPDX-License-Identifier: MIT
 * record.h - the log of what a panel did, in the order done, in an arena of fixed size. It falls back in place when full:
 * tape, stages, states, checkpoints.
 *
 * An entry is a header and its scalars. A step of the forms tape and stages is an entry of its own, with { y, slopes, tape } as
 * the form says. In the other forms a run of steps is one entry: times alone, each the end of a step and the start of the next;
 * the states stand in slots at the end of the arena (slots.h), and the log grows towards them. The form times is the like for
 * steps that can be undone: it does not fall back, states are those of the steps that the caller names, and lists keep
 * what their lanes lose. Letters: n lanes, ld their distance, m lanes of a list. */
#ifndef NDE_RECORD_H
#define NDE_RECORD_H

#include "nde/real.h"
#include "core/core.h"
#include "solve/slots.h"

enum {
    NDE_ENTRY_ENTER = 1, /* trajectories[m] came into the lanes n .. n+m-1 */
    NDE_ENTRY_LEAVE = 2, /* lanes[m], trajectories[m]: one after the other, each replaced by the last lane */
    NDE_ENTRY_FRESH = 3, /* lanes[m]: slope 0 was evaluated anew */
    NDE_ENTRY_JUMP = 4,  /* lanes[m], jumps[m], y- [dim][m] in every form: y+ = jump(y-) */
    NDE_ENTRY_STEP = 5,  /* t[n], t_new[n]; UNIFORM: t[1], t_new[1] */
    NDE_ENTRY_CUT = 6,   /* lanes[m], events[m], t[m], since[m]: events have cut the step before this entry */
    NDE_ENTRY_RESET = 7, /* lanes[m], the event [m], y- [dim][m] in every form: y+ = reset(y-) */
    /* in the form times LEAVE, FRESH, JUMP and CUT keep y [rows][m], the state as it was before them */
    /* what a step keeps beside its times */
    NDE_KEEPS_Y = 16, NDE_KEEPS_STAGES = 32, NDE_KEEPS_TAPE = 64,
    NDE_ENTRY_MIXED = 128,   /* some lanes of the step were rejected: their t_new is t */
    NDE_ENTRY_UNIFORM = 256, /* all lanes step from the same time to the same time */
    NDE_ENTRY_CUTS = 512,    /* a CUT follows the step */
    NDE_ENTRY_RUN = 1024     /* of the log only: steps that share a header */
};

typedef struct nde_record {
    unsigned char *base;
    size_t size, used, last; /* used by the log; last: offset of its last header; SIZE_MAX when there is none */
    size_t dim, y_reals, stage_reals, tape_reals; /* of one step: [rows][ld], [s][rows][ld], [s][tape][ld] */
    size_t line;             /* where they may begin: at its multiples */
    int form, first_form;
    size_t steps, rows;      /* rows: of a state */
    bool anchor;             /* times: the next step keeps its state, as the first one does */
    nde_slots slots;
    nde_store store;         /* write NULL: none */
    size_t index, of;        /* of the records that share it */
    size_t stored;           /* states there, the first of each stretch */
    bool failed;             /* it did not write */
} nde_record;

/* What nde_record_state_before returns when the store does not read. A field may return it too: see nde_worker.unread. */
enum { NDE_STORE_FAILED = INT32_MIN };

/* Lanes [n] whose step is cut: by which event (NDE_CUT_TIED more where something else happens there too), at t, and when
 * they were cut before (NaN: never). */
typedef struct nde_cuts {
    size_t n, *lane, *event;
    double *t, *since;
} nde_cuts;

/* An entry, taken apart: pointers into the record; NULL where it keeps none. */
typedef struct nde_entry {
    size_t at;          /* its place: larger for later entries */
    size_t bytes;       /* of a STEP that is no part of a run */
    int kind, flags;
    size_t n;
    size_t step;        /* number of a STEP in the forms states and checkpoints */
    size_t rank;        /* of the last state at or before it, then; where to look first, that is: they come and go */
    size_t *lane, *who; /* [n] of ENTER (who), LEAVE (both), FRESH (lane), JUMP and RESET (lane; who: the jump, the event) */
    double *t, *t_new;  /* of STEP: lane b at t[b*stride], t_new[b*stride] */
    size_t stride;      /* 1; 0 when UNIFORM */
    nde_real *y, *k, *tape;
    size_t rows;        /* of y [rows][n] of a list */
    nde_cuts cuts;      /* of CUT, and of the STEP before it */
} nde_entry;

/* Was the step accepted in lane b? */
static inline bool nde_entry_took(const nde_entry *e, size_t b) {
    return !(e->flags & NDE_ENTRY_MIXED) || e->t_new[b*e->stride] != e->t[b*e->stride];
}

/* size bytes at base (both multiples of 64); richest: NDE_RECORD_* to begin with; reals of one step by lanes. */
void nde_record_open(nde_record *record, unsigned char *base, size_t size, int richest, size_t dim, size_t y_reals,
                     size_t stage_reals, size_t tape_reals);
void nde_record_clear(nde_record *record);
/* A store for states, shared with `of` records, of which this is number `index`. */
void nde_record_attach(nde_record *record, const nde_store *store, size_t index, size_t of);
/* Begins in this form. In states and checkpoints: so many steps are to come, and the log will need `log` bytes; false: not even
 * one state will fit. */
bool nde_record_expect(nde_record *record, int form, size_t steps, size_t log);
/* Bytes used once an entry of `kind` for m lanes has been appended to `used` bytes of the log in the present form. first: of
 * steps; room for one as the first of a run is needed in any case. */
size_t nde_record_grown(const nde_record *record, size_t used, int kind, size_t m, bool uniform, bool first);
/* Bytes of log and states. */
size_t nde_record_bytes(const nde_record *record);
/* Where slopes and tape stand behind a state in `bytes` that hold all of a step, one behind the other in such a place. */
typedef struct nde_place {
    size_t k, tape, bytes;
} nde_place;
nde_place nde_record_place(const nde_record *record);
/* The next form down, or fewer states; false at the end. */
bool nde_record_fall(nde_record *record);

/* Appends a list entry; its arrays are to be filled in. NDE_E_BUDGET when there is no room in any form; NDE_E_IO. */
nde_status nde_record_list(nde_record *record, int kind, size_t m, nde_entry *entry);
/* Room for a step of n lanes; entry->k and tape may be written to before it is committed. NDE_E_BUDGET, NDE_E_IO. *entry:
 * all zero, or of the last one reserved: the next is mostly like it. */
nde_status nde_record_reserve(nde_record *record, size_t n, bool uniform, nde_entry *entry);
/* Keeps the reserved step. */
void nde_record_commit(nde_record *record, nde_entry *entry, bool mixed);
/* Steps that can follow each other from the reserved one on, of the same lanes, when those behind it keep no more than
 * their times; 0: it is not known. */
size_t nde_record_stretch(const nde_record *record, const nde_entry *entry);
/* So many more in the run of the last step, with less than that stretch; their ends [steps][n] are to be filled in. */
double *nde_record_extend(nde_record *record, size_t steps);

/* Walks: from `at` = SIZE_MAX nde_record_before gives the last entry, nde_record_after the first; false at the end. They do not
 * look for the state of a step in a run: */
void nde_record_find(const nde_record *record, nde_entry *step);
bool nde_record_before(const nde_record *record, size_t at, nde_entry *entry);
bool nde_record_after(const nde_record *record, size_t at, nde_entry *entry);
/* With its state. */
void nde_record_read(const nde_record *record, size_t at, nde_entry *entry);
/* The place of the first step of a run; of an entry that is none: its own. */
size_t nde_record_begin(size_t at);
/* Number of a step of a run. */
size_t nde_record_number(const nde_record *record, size_t at);
/* nde_record_before(record, entry->at, entry) and nde_record_after */
bool nde_record_back(const nde_record *record, nde_entry *entry);
bool nde_record_forth(const nde_record *record, nde_entry *entry);
/* Steps of the run from this one on. */
size_t nde_record_ahead(const nde_record *record, const nde_entry *step);
/* The last step at or before `at` whose state is kept; from the store it is read into `buffer`. 0 or NDE_STORE_FAILED. */
int nde_record_state_before(const nde_record *record, size_t at, nde_real *buffer, nde_entry *entry);
/* Is there a state at or before `at` in memory? */
bool nde_record_is_here(const nde_record *record, size_t at);
/* Bytes between log and states, at a multiple of 64. */
unsigned char *nde_record_tail(const nde_record *record, size_t *bytes);

/* On the way back: forgets the states of steps behind `at`; states that can then be kept; keeps one, behind all others. */
void nde_record_forget(nde_record *record, size_t at);
/* After it: the next one begins with the store, where there are states of later steps than in memory. */
void nde_record_rewind(nde_record *record);
size_t nde_record_room(const nde_record *record);
void nde_record_keep(nde_record *record, const nde_entry *step, const nde_real *y);

#endif
