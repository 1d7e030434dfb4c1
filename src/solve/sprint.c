/* SPDX-License-Identifier: MIT
 * sprint.c - the loop for one trajectory while nothing happens but steps, accepted or not; compiled once
 * for each instruction set. It does what nde_lanes_attempt and nde_lanes_settle do, bit for bit, with
 * everything at hand, and hands an attempt that needs more to them. With a record it works in the room of the next entry. */
#include "solve/sprint.h"
#include "controller/weigh.h"
#include "core/isa.h"
#include "method/rosenbrock_one.h"
#include "solve/entry.h"

enum { FEW = 8 }; /* refusals in a row after which the loop looks whether there is progress */

/* Does anybody look after this attempt, who may stop the run? */
static inline bool is_watched(const nde_solver *s, const nde_panel *p) {
    return p->live->attempts % 16 == 0 &&
        (s->options.progress || s->options.max_seconds > 0 || atomic_load_explicit(&s->stop, memory_order_relaxed));
}

/* Goes back for a smaller step, as decide, move_clocks and settle_lanes of loop.c do. False: they have to, nothing has
 * happened. */
static __attribute__((noinline)) bool refuse(const nde_solver *s, nde_panel *p, double error, double most_h, int64_t most) {
    double past, good, h, t_next, dt_next;
    const double t = p->t[0];
    if (!(error <= DBL_MAX) || p->refused[0] >= FEW || p->accepted[0] + p->rejected[0] + 1 >= most ||
        is_watched(s, p) || s->filter.on)
        return false;
    nde_weigh(&s->control, s->direction, most_h, error, p->refused[0], p->past[0], t, p->t_new[0], p->dt[0], p->stop[0],
              &past, &good, &h, &t_next, &dt_next);
    if (fabs(h) < nde_least_step(s, t) || t + h == t) return false;
    if (p->accepted[0] == 0) p->h_first[0] = p->dt[0];
    p->past[0] = past, p->h[0] = h, p->t_new[0] = t_next, p->dt[0] = dt_next;
    p->refused[0]++, p->rejected[0]++;
    return true;
}

/* Room for the attempt in the record: there are its slopes, or only its times. False: there is none. */
static bool reserve(const nde_solver *s, nde_panel *p) {
    if (!p->over_budget) p->over_budget = nde_record_reserve(&p->record, 1, false, &p->slot) != NDE_OK;
    if (p->over_budget) return false;
    p->k = p->own_k;
    if (!p->slot.k) return true;
    p->k = p->slot.k;
    for (size_t i = 0; s->table.fsal && i < s->rhs.rows; i++) p->k[i] = p->carry[i];
    return true;
}

static inline __attribute__((always_inline)) void hand_on(size_t dim, const nde_real *slope, nde_real *x) {
    if (dim == 2) nde_pair_put(nde_pair_as_written(slope), x);
    else
        for (size_t i = 0; i < dim; i++) x[i] = slope[i];
}

/* Keeps it, as nde_panel_keep does, and goes on to the place of the next one if that is the like of it: true. */
static inline __attribute__((always_inline)) bool keep(size_t dim, nde_panel *p) {
    nde_entry *entry = &p->slot;
    entry->t[0] = p->t[0], entry->t_new[0] = p->t_new[0];
    for (size_t i = 0; entry->y && i < dim; i++) entry->y[i] = p->y[i];
    if (entry->bytes && entry->k) return keep_alike(&p->record, entry);
    nde_record_commit(&p->record, entry, false);
    return false;
}

/* dim: that of the problem, and the distance of slopes; a constant once compiled, where it is small. known: its method's
 * table, where it is known; stiff: of a Rosenbrock method. */
static inline __attribute__((always_inline)) void sprint(size_t dim, const nde_method *known, bool stiff, nde_solver *s,
                                                         nde_panel *p) {
    const nde_rhs *rhs = &s->rhs;
    const nde_table *table = &s->table;
    nde_live *live = p->live;
    const size_t slab = dim;
    const double direction = s->direction, most_h = s->clock.h_max > 0 ? s->clock.h_max : DBL_MAX,
                 scale = s->per_dim;
    const int64_t most = s->clock.max_steps > 0 ? s->clock.max_steps : INT64_MAX;
    const size_t last = (size_t)(table->stages - 1)*slab, tape_slab = rhs->tape;
    const bool recorded = s->recorded;
    bool ready = !recorded; /* is there room for the attempt? */
    nde_real *k = p->own_k, *tape = NULL;
    p->tried = true;
    p->error_scale = scale;
    p->mark[0] = NDE_LANE_OK;
    double t = p->t[0], t_new = p->t_new[0], dt = p->dt[0];
    for (;;) {
        if (!ready) {
            if (!reserve(s, p)) return;
            k = p->k, tape = p->slot.tape, ready = true;
        }
        live->attempts++, live->lane_attempts++, live->lane_room++;
        p->h_real[0] = (nde_real)dt;
        p->rc = stiff ? nde_rosenbrock_one(rhs, table, &p->lanes, dim, t, t_new, dt, p->y, p->z, k, tape, tape_slab)
                      : nde_attempt_sized(known, rhs, table, &p->lanes, dim, t, t_new, dt, p->y, p->z, k, tape, tape_slab);
        if (p->rc || p->mark[0] != NDE_LANE_OK) {
            p->error[0] = (double)NAN;
            return;
        }
        double error = known ? nde_known_error(known, dim, (nde_real)dt, k, p->y, p->z, &s->tolerance)
                             : nde_error_one(dim, (nde_real)dt, &table->error, k, slab, p->y, p->z, &s->tolerance);
        if (!known && table->error2.count)
            error = nde_error_of_two(error, nde_error_one(dim, (nde_real)dt, &table->error2, k, slab, p->y, p->z,
                                                          &s->tolerance));
        for (int j = 0; !known && j < table->unseen[1].count; j++) {
            const nde_real *x = k + (size_t)table->unseen[1].index[j]*slab;
            for (size_t i = 0; i < dim; i++) error += (double)(x[i] - x[i]);
        }
        p->error[0] = error;
        if (!(error*scale <= 1)) {
            if (!refuse(s, p, error*scale, most_h, most)) return;
            t_new = p->t_new[0], dt = p->dt[0];
            continue;
        }
        if (direction*t_new >= direction*p->watch[0] ||
            p->accepted[0] + p->rejected[0] + 1 >= most ||
            (s->step_limit >= 0 && live->accepted + 1 >= p->step_goal) || is_watched(s, p) || s->filter.on ||
                nde_clock_looks(s->clock.look, p->accepted[0] + 1))
            return;
        double past = p->past[0], good, h, t_next, dt_next;
        if (!nde_weigh_unbounded(&s->control, direction, most_h, error*scale, p->refused[0], t_new, dt,
                                 p->stop[0], &past, &h, &t_next, &dt_next))
            nde_weigh(&s->control, direction, most_h, error*scale, p->refused[0], past, t, t_new, dt,
                      p->stop[0], &past, &good, &h, &t_next, &dt_next);
        const nde_real *const slope = k + last;
        if (recorded && (ready = keep(dim, p))) {
            p->k = k = p->slot.k, tape = p->slot.tape;
            if (table->fsal) hand_on(dim, slope, k);
        }
        if (table->fsal) hand_on(dim, slope, p->carry);
        nde_real *const y = p->y;
        p->y = p->z, p->z = y;
        live->flip = !live->flip;
        if (p->accepted[0] == 0) p->h_first[0] = dt;
        p->past[0] = past, p->h[0] = h, p->t_new[0] = t_next, p->dt[0] = dt_next;
        p->t[0] = t_new, p->h_last[0] = dt;
        p->accepted[0]++;
        p->refused[0] = 0;
        live->accepted++;
        t = t_new, t_new = t_next, dt = dt_next;
    }
}

NDE_SCALAR void NDE_ISA_NAME(nde_sprint)(nde_solver *s, nde_panel *p) {
    const size_t dim = s->rhs.dim;
    if (s->table.method->kind == NDE_KIND_ROSENBROCK) {
        if (dim == 2) sprint(2, NULL, true, s, p);
        else if (dim == 3) sprint(3, NULL, true, s, p);
        else sprint(dim, NULL, true, s, p);
        return;
    }
#define SPRINT(dim, known) sprint(dim, known, false, s, p)
    NDE_BY_SIZE_AND_TABLE(SPRINT, dim, s->table.method);
#undef SPRINT
}
