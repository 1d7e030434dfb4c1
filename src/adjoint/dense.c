/* SPDX-License-Identifier: MIT
 * dense.c - the solution at any time of a recorded run, by the method's continuous extension. */
#include "adjoint/replay.h"

#include <math.h>
#include <string.h>

/* The recorded step of a trajectory that holds time t (the last one for t at its end), its lane,
 * and the map before it. */
static bool find_step(const nde_solver *s, nde_worker *w, const nde_record *record, size_t who,
                      double t, nde_entry *found, size_t *lane) {
    nde_panel *r = &w->replica;
    nde_entry e;
    bool any = false;
    nde_replay_map(s, w, NULL, 0);
    for (size_t at = SIZE_MAX; nde_record_after(record, at, &e); at = e.at) {
        size_t n = r->live->n, b = 0;
        if (e.kind == NDE_ENTRY_ENTER) {
            memcpy(r->trajectory + n, e.who, e.n*sizeof *e.who);
            nde_panel_resize(r, n + e.n);
        } else if (e.kind == NDE_ENTRY_LEAVE) {
            for (size_t k = 0; k < e.n; k++) r->trajectory[e.lane[k]] = r->trajectory[--n];
            nde_panel_resize(r, n);
        } else if (e.kind == NDE_ENTRY_STEP) {
            while (b < n && r->trajectory[b] != who) b++;
            if (b == n || ((e.flags & NDE_ENTRY_MIXED) && !e.mask[b])) continue;
            if (s->direction*t < s->direction*e.t[b*e.stride]) break;
            *found = e, *lane = b, any = true;
            memcpy(w->who, r->trajectory, n*sizeof *w->who);
            if (s->direction*t <= s->direction*e.t_new[b*e.stride]) break;
        }
    }
    return any;
}

/* Leaves the step in the replica, attempted: from its own state, or from the checkpoint before
 * it. */
static int rebuild(const nde_solver *s, nde_worker *w, const nde_record *record,
                   const nde_entry *step) {
    nde_panel *r = &w->replica;
    nde_entry e = *step;
    while (!(e.kind == NDE_ENTRY_STEP && e.y)) nde_record_before(record, e.at, &e);
    nde_replay_map(s, w, w->who, step->n);
    nde_replay_unmap(record, r, e.at, step->at);
    nde_replay_load(s, w, &e, e.y);
    int rc = nde_replay_slope(s, w);
    while (!rc && e.at != step->at) {
        rc = nde_replay_entry(s, w, &e);
        nde_record_after(record, e.at, &e);
    }
    if (rc) return rc;
    nde_replay_times(s, r, &e);
    return nde_panel_attempt(s, r, NULL);
}

nde_status nde_solver_dense(nde_solver *s, size_t trajectory, double t, nde_real *y, nde_real *dy) {
    if (!s) return nde_fail(NDE_E_ARG, "nde_solver_dense: solver is NULL");
    if (trajectory >= s->N)
        return nde_solver_refuse(
            s, nde_fail(NDE_E_ARG, "nde_solver_dense: trajectory is %zu of %zu", trajectory, s->N));
    if (!s->recorded || !s->finished)
        return nde_solver_refuse(
            s, nde_fail(NDE_E_ARG, "nde_solver_dense: there is no record: options.adjoint is needed"));
    if (nde_events_have_reset(s))
        return nde_solver_refuse(
            s, nde_fail(NDE_E_ARG, "nde_solver_dense: an event has reset a state: the record does not know what it became"));
    const double t0 = nde_start_of(s, trajectory), t1 = s->t_end[trajectory];
    if (!(s->direction*t >= s->direction*t0 && s->direction*t <= s->direction*t1))
        return nde_solver_refuse(
            s, nde_fail(NDE_E_ARG, "nde_solver_dense: t is %g, solved is [%g, %g]", t, t0, t1));
    const nde_panel *p = s->panel;
    while (trajectory >= p->first + p->count) p++;
    nde_worker *w = &s->worker[0];
    nde_panel *r = &w->replica;
    nde_entry step;
    size_t lane;
    if (!find_step(s, w, &p->record, trajectory, t, &step, &lane)) { /* a span of no length */
        for (size_t i = 0; y && i < s->rhs.dim; i++) y[i] = s->y_end[i*s->N + trajectory];
        for (size_t i = 0; dy && i < s->rhs.dim; i++) dy[i] = 0;
        return NDE_OK;
    }
    const int rc = rebuild(s, w, &p->record, &step);
    if (rc) return nde_solver_refuse_code(s, "nde_solver_dense", rc);
    const nde_panel *from = r;
    size_t of = lane;
    if (s->table.slopes > s->table.stages) {
        const int failed = nde_inside_load(s, r, w, &lane, 1);
        if (failed) return nde_solver_refuse_code(s, "nde_solver_dense", failed);
        from = &w->inside, of = 0;
    }
    nde_save_dense(s, from, of, t == r->t_new[lane] ? 1 : (t - r->t[lane])/r->dt[lane], y, dy, 1);
    for (size_t i = 0; y && t == r->t_new[lane] && i < s->rhs.dim; i++) y[i] = r->z[i*r->ld + lane];
    return NDE_OK;
}
