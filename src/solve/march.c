/* SPDX-License-Identifier: MIT
 * march.c - fixed steps while nothing happens but accepted ones: no clocks, watches and decisions in between. It does what
 * nde_lanes_attempt and nde_lanes_settle do, bit for bit, and hands the step at which something is not in order to them. */
#include "solve/solver.h"

#include <math.h>
#include <string.h>

enum { LEAST = 4, MOST = 128, MOST_WATCHED = 16 }; /* steps at a time; watched: progress and the wall clock are not kept
                                                    * waiting */

static double node_time(const nde_solver *s, const nde_panel *p, size_t b, int64_t node) {
    const double start = nde_start_of(s, p->trajectory[b]);
    return node ? start + (double)node*p->h[b] : start;
}

/* Whole steps from node to node that all lanes have before anything may be due. */
static int64_t free_steps(const nde_solver *s, const nde_panel *p) {
    const bool watched = s->options.progress || s->options.max_seconds > 0;
    double least = watched ? MOST_WATCHED - (double)(p->live->attempts % MOST_WATCHED) : MOST;
    if (s->step_limit >= 0) least = fmin(least, (double)(p->step_goal - p->live->accepted - 1));
    for (size_t b = 0; b < p->live->n; b++) {
        if (p->t[b] != node_time(s, p, b, p->node[b])) return 0; /* a jump or a knot lies between nodes */
        least = fmin(least, (p->watch[b] - p->t[b])/p->h[b] - 1.5);
    }
    return least >= 1 ? (int64_t)least : 0;
}

/* Are the state and the slopes all finite, and no lane marked? */
static bool in_order(const nde_solver *s, nde_panel *p, const nde_real *state, const nde_real *const *slopes, int count) {
    const size_t n = p->live->n;
    double sum[8] = { 0 }; /* not one chain of additions */
    for (int j = -1; j < count; j++) {
        const nde_real *x = j < 0 ? state : slopes[j];
        s->rhs.kernels->step->finite(s->rhs.dim, n, p->ld, x, p->error);
        size_t b = 0;
        for (; b + 8 <= n; b += 8)
            for (size_t l = 0; l < 8; l++) sum[l] += p->error[b + l];
        for (; b < n; b++) sum[0] += p->error[b];
    }
    for (size_t l = 1; l < 8; l++) sum[0] += sum[l];
    unsigned char marked = 0;
    for (size_t b = 0; b < n; b++) marked |= p->mark[b];
    return sum[0] == 0 && !marked;
}

/* Where the lanes go from `done` steps ahead of their clocks. */
static void aim(const nde_solver *s, nde_panel *p, int64_t done) {
    for (size_t b = 0; b < p->live->n; b++) {
        p->t[b] = node_time(s, p, b, p->node[b] + done);
        p->t_new[b] = node_time(s, p, b, p->node[b] + done + 1);
        p->dt[b] = p->h[b];
    }
}

/* The same where they were aimed at the step before: it ends where this one begins. */
static void aim_on(const nde_solver *s, nde_panel *p, int64_t done) {
    const size_t n = p->live->n;
    memcpy(p->t, p->t_new, n*sizeof *p->t);
    for (size_t b = 0; b < n; b++) p->t_new[b] = node_time(s, p, b, p->node[b] + done + 1);
}

/* What noise has drawn depends on the number of the step. */
static void count_on(const nde_solver *s, nde_panel *p, int64_t done) {
    const size_t n = s->rhs.plain ? 0 : p->live->n;
    int64_t *const node = p->node;
    for (size_t b = 0; b < n; b++) node[b] += done;
}

/* Rates of the step that is `done` ahead of the clocks. */
static void begin(const nde_solver *s, nde_panel *p, int64_t done) {
    if (s->rhs.plain) return;
    count_on(s, p, done);
    nde_rhs_begin(&s->rhs, &p->lanes, p->t, p->dt, p->node);
    count_on(s, p, -done);
}

static bool stopped(const nde_solver *s) { return atomic_load_explicit(&s->stop, memory_order_relaxed); }

/* Steps, each looked at before the next one; the count of those done. The last one `waits` when it was not in order. */
static int64_t walk(nde_solver *s, nde_panel *p, int64_t most, bool *waits) {
    const nde_row *unseen = &s->table.unseen[0];
    const nde_real *slopes[NDE_MOST_STAGES];
    nde_real *tape = NULL;
    int64_t done = 0;
    for (; done < most && !stopped(s); done++) {
        if (s->recorded && !nde_panel_reserve(s, p, &tape)) break;
        if (done && (s->recorded || !s->rhs.autonomous)) aim_on(s, p, done);
        for (int j = 0; j < unseen->count; j++) slopes[j] = p->k + (size_t)unseen->index[j]*p->slab;
        count_on(s, p, done);
        p->rc = nde_panel_attempt(s, p, tape);
        count_on(s, p, -done);
        *waits = p->rc || !in_order(s, p, p->z, slopes, unseen->count);
        for (size_t j = 0; j < (size_t)s->table.partners && !*waits; j++)
            *waits = !in_order(s, p, p->z + (j + 1)*p->slab, slopes, 0);
        if (*waits) break;
        if (s->recorded) nde_panel_keep(s, p, true);
        nde_panel_advance(s, p, true);
    }
    return done;
}

/* Is all that is not finite in a step seen in the states to come? */
static bool stays_visible(const nde_table *table) {
    if (table->partners) return false;
    return table->last_is_new ? table->unseen[0].count == 1 : !table->fsal && !table->unseen[0].count;
}

/* The drift's own code takes steps of one length in all lanes. */
static bool are_equal(const nde_panel *p) {
    return nde_are_equal(p->live->n, p->dt);
}

/* By it; the count of steps done. */
static int64_t run_compiled(const nde_solver *s, nde_panel *p, int64_t most) {
    const nde_site *at = &p->lanes.site;
    const nde_step_site site = { .n = at->n, .ld = at->ld, .slab = p->slab, .steps = most, .t = p->t, .dt = p->dt,
                                 .node = p->node, .start = p->lanes.scratch->t, .p = at->p, .q = at->q, .z = p->y,
                                 .k = p->carry, .lane = at->lane };
    for (size_t b = 0; b < p->live->n; b++) p->lanes.scratch->t[b] = nde_start_of(s, p->trajectory[b]);
    return s->rhs.step->run(&site) ? 0 : most;
}

/* Steps that are looked at only after the last one: what is not finite stays so, and so do marks. When something was not
 * in order the panel is where it was, and nothing is done. */
static int64_t run(const nde_solver *s, nde_panel *p, int64_t most) {
    const size_t state = s->state_rows*p->ld, slope = p->slab;
    const nde_real *const carry = p->carry;
    nde_attempt step = nde_panel_step(s, p, NULL);
    int64_t done = 0;
    memcpy(p->kept, p->y, state*sizeof *p->y), memcpy(p->kept + state, p->carry, slope*sizeof *p->y);
    for (size_t b = 0; b < p->live->n; b++) p->h_real[b] = (nde_real)p->dt[b];
    step.t_new = p->t_new, step.z = p->y;
    step.equal = p->ld > 1 && p->live->n + 2*NDE_LANE_UNIT >= p->ld && are_equal(p);
    step.onward = s->table.last_is_new, step.bare = p->ld > 1;
    if (s->rhs.step && s->rhs.plain && p->ld > 1) done = run_compiled(s, p, most);
    else
        for (; done < most && !stopped(s); done++) {
            if (done && !s->rhs.autonomous) aim_on(s, p, done);
            begin(s, p, done);
            if (s->body->attempt(&step)) break;
        }
    if (done == most && in_order(s, p, p->y, &carry, s->table.fsal)) return done;
    memset(p->mark, NDE_LANE_OK, p->live->n);
    memcpy(p->y, p->kept, state*sizeof *p->y), memcpy(p->carry, p->kept + state, slope*sizeof *p->y);
    aim(s, p, 0);
    return 0;
}

/* The same with a record, as long as it keeps times only. */
static int64_t run_recorded(const nde_solver *s, nde_panel *p, int64_t most) {
    nde_real *tape;
    if (!nde_panel_reserve(s, p, &tape)) return 0;
    const size_t stretch = nde_record_stretch(&p->record, &p->slot);
    if (stretch < (size_t)most) most = (int64_t)stretch;
    nde_entry *first = &p->slot;
    if (most < LEAST) return 0;
    if (first->y) memcpy(first->y, p->y, s->state_rows*p->ld*sizeof *p->y);
    const int64_t done = run(s, p, most);
    if (!done) return 0;
    aim(s, p, 0);
    for (size_t b = 0; b < p->live->n; b++) first->t[b] = p->t[b], first->t_new[b] = p->t_new[b];
    nde_record_commit(&p->record, first, false);
    double *end = nde_record_extend(&p->record, (size_t)done - 1);
    for (int64_t i = 2; i <= done; i++)
        for (size_t b = 0; b < p->live->n; b++) *end++ = node_time(s, p, b, p->node[b] + i);
    return done;
}

nde_marched nde_march(nde_solver *s, nde_panel *p) {
    const int64_t most = free_steps(s, p);
    const size_t n = p->live->n;
    bool waits = false;
    if (!most) return NDE_MARCH_NOT;
    memset(p->mark, NDE_LANE_OK, n);
    aim(s, p, 0);
    const bool compiled = s->rhs.step && s->rhs.plain && p->ld > 1;
    int64_t done = 0;
    if (s->runs && most >= LEAST && stays_visible(&s->table) && (!compiled || are_equal(p)))
        done = s->recorded ? run_recorded(s, p, most) : run(s, p, most);
    const bool stretches = s->runs && s->recorded && p->record.form == NDE_RECORD_CHECKPOINTS; /* behind the next kept state */
    if (!done) done = walk(s, p, stretches ? 1 : most, &waits);
    if (!done && p->over_budget) return NDE_MARCH_NOT;
    const int64_t tried = done + waits, room = p->ld == 1 ? 1 : (int64_t)((n + NDE_LANE_UNIT - 1)/NDE_LANE_UNIT*NDE_LANE_UNIT);
    p->live->attempts += tried, p->live->lane_attempts += tried*(int64_t)n, p->live->lane_room += tried*room;
    p->live->accepted += done;
    aim(s, p, done);
    for (size_t b = 0; b < n && done; b++) {
        if (!p->accepted[b]) p->h_first[b] = p->h[b];
        p->node[b] += done, p->accepted[b] += done, p->h_last[b] = p->h[b];
    }
    p->tried = waits;
    p->error_scale = s->per_dim;
    return waits ? NDE_MARCH_WAITS : NDE_MARCH_DONE;
}
