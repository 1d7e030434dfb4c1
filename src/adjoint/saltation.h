/* SPDX-License-Identifier: MIT
 * saltation.h - derivatives of when events happen and of what follows from it, in a worker's replica with an attempted step. */
#ifndef NDE_SALTATION_H
#define NDE_SALTATION_H

#include "adjoint/replay.h"

/* What a walk through the record returns where no derivative goes through an event. */
enum { NDE_OBSTACLE = -0x6e6465 };
/* Before a walk; and why it has returned `code`, as nde_solver_refuse_code. */
void nde_saltation_begin(nde_solver *s);
nde_status nde_saltation_refuse(nde_solver *s, const char *who, int code);
/* Notes what is in the way; NDE_OBSTACLE. */
int nde_saltation_meet(nde_worker *w, size_t who, size_t event, double t, bool tied);
/* The first g or reset without vjp or jvp; NULL: none. */
const nde_field *nde_events_without(const nde_solver *s, bool jvp);
/* Are times and states of events among the outputs that are asked for, and are there none? */
nde_status nde_saltation_check(nde_solver *s, const char *who, bool asked);

/* Before the transpose of step e: cotangents of hits in it, and of the state after it where it is cut, go to the slopes
 * (w->a_k), the step's times, p and q; what goes to the old state waits in w->a_start for the lanes w->attend [*lanes]. */
int nde_saltation_transpose(nde_solver *s, nde_worker *w, const nde_entry *e, const nde_seed *seed, const nde_sink *sink,
                            size_t *lanes);
/* After it. */
void nde_saltation_state_transpose(const nde_solver *s, nde_worker *w, size_t lanes);
/* The tangent along direction d of the time when an event last cut a step of lane b. */
static inline double *nde_since_tangent(const nde_worker *w, const nde_worker *x, size_t d, size_t b) {
    return &x->a_since[d*w->replica.capacity + b];
}
/* After the tangent of step e along several directions, which x has (w itself, or w->wide): tangents of hits in it, and of the
 * state after it (x->a_z) and its time where it is cut. */
int nde_saltation_tangent(nde_solver *s, nde_worker *w, nde_worker *x, size_t directions, const nde_entry *e,
                          const nde_output_tangent *out, const nde_source *source);
/* Hits at the start of a trajectory. */
void nde_saltation_start_transpose(nde_solver *s, nde_worker *w, size_t b, const nde_seed *seed);
void nde_saltation_start_tangent(const nde_solver *s, nde_worker *w, nde_worker *x, size_t d, size_t b,
                                 const nde_direction *along, const nde_output_tangent *out);

#endif
