/* SPDX-License-Identifier: MIT
 * replay.h - repeating what the record says, in a worker's replica of the panel: the same lanes, the same steps, the same
 * bits. */
#ifndef NDE_REPLAY_H
#define NDE_REPLAY_H

#include <math.h>

#include "solve/solver.h"

/* The replica with the lanes of a map, empty of state. */
void nde_replay_map(const nde_solver *s, nde_worker *w, const size_t *who, size_t n);
/* Takes back what entries in [from, to) did to the replica's map; to = SIZE_MAX: from the end. */
void nde_replay_unmap(const nde_record *record, nde_panel *replica, size_t from, size_t to);
/* Puts the replica at the start of a recorded step: its times, y [rows][ld] (NULL: it is there), lanes' parameters.
 * Rejected lanes get dt = 0. */
void nde_replay_load(const nde_solver *s, nde_worker *w, const nde_entry *step, const nde_real *y);
/* Slope 0 of the loaded step into k. Returns what the field returned. */
int nde_replay_slope(const nde_solver *s, nde_worker *w);
/* Times and mask of a recorded step; rejected lanes get dt = 0. */
void nde_replay_times(const nde_solver *s, nde_panel *replica, const nde_entry *step);
/* Attempts a recorded step from where the replica stands, into its slopes and the tape (NULL: none), and cuts it where events
 * did. */
int nde_replay_attempt(const nde_solver *s, nde_worker *w, const nde_entry *step, nde_real *tape);
/* Takes the attempted step over. */
void nde_replay_accept(const nde_solver *s, nde_panel *replica, const nde_entry *step);
/* Carries out one entry. A step is attempted and its result taken over. */
int nde_replay_entry(const nde_solver *s, nde_worker *w, const nde_entry *entry);
/* Leaves a step of lanes w->who in the replica, attempted: from its own state, or from the checkpoint before it. */
int nde_replay_step(const nde_solver *s, nde_worker *w, const nde_record *record, const nde_entry *step);

/* Column `from` of [rows][ld] goes to `to`. */
static inline void nde_move_column(nde_real *x, size_t rows, size_t ld, size_t from, size_t to) {
    for (size_t i = 0; i < rows; i++) x[i*ld + to] = x[i*ld + from];
}
/* When an event last cut a step of the lane; NaN: none has. */
static inline double nde_since(const nde_worker *w, size_t b) { return w->since ? w->since[b] : (double)NAN; }

/* Ends of the segment in which the lane's step from t lies: f the next forced time. Boundary numbers: NDE_BOUNDARY_START,
 * NDE_BOUNDARY_END, or the forced time; NDE_BOUNDARY_EVENT: when an event last cut a step of the lane. */
enum { NDE_BOUNDARY_START = -1, NDE_BOUNDARY_END = -2, NDE_BOUNDARY_EVENT = -3 };
typedef struct nde_segment {
    double from, to;
    ptrdiff_t lower, upper;
} nde_segment;
nde_segment nde_segment_of(const nde_solver *s, size_t who, size_t f);
/* Adds to the cotangent of a boundary: of the trajectory's t0 or t1, or the shard's part of that of a jump. And the
 * tangent of one. */
void nde_boundary_add(nde_solver *s, nde_shard *shard, size_t who, ptrdiff_t boundary, double a);
double nde_boundary_tangent(const nde_solver *s, const nde_direction *along, size_t who, ptrdiff_t boundary);
/* How t and dt of a step follow the ends of its segment, which begins where an event has cut the one before (since; NaN:
 * none has). With fixed steps only the first step after it does: it leads to the node that comes next anyway. Returns how
 * many. */
typedef struct nde_share {
    ptrdiff_t boundary;
    double t, h; /* of what the boundary moves by */
} nde_share;
size_t nde_step_shares(const nde_solver *s, size_t who, size_t f, double since, double t, double dt, nde_share share[3]);
/* Direction d of several, one after the other in each array; term_x, whose arrays are not moved, stays as it is. */
nde_direction nde_direction_at(const nde_solver *s, const nde_direction *all, size_t d);
/* Number of jumps before forced time f. */
size_t nde_jumps_before(const nde_solver *s, size_t f);

#endif
