/* SPDX-License-Identifier: MIT
 * dense.c - the solution at any time of a recorded run, by the method's continuous extension. */
#include "adjoint/replay.h"

#include <math.h>
#include <string.h>

/* Where lane b of a recorded step ends: at an event that cuts it. */
static double end_of(const nde_entry *e, size_t b) {
    for (size_t k = 0; k < e->cuts.n; k++)
        if (e->cuts.lane[k] == b) return e->cuts.t[k];
    return e->t_new[b*e->stride];
}

/* The recorded step of a trajectory that holds time t (the last one for t at its end), its lane,
 * and the map before it. onward: it is not before the one found last. */
static bool find_step(const nde_solver *s, nde_worker *w, const nde_record *record, size_t who,
                      double t, bool onward, nde_entry *found, size_t *lane) {
    nde_panel *r = &w->replica;
    nde_entry e;
    bool any = onward;
    nde_replay_map(s, w, onward ? w->who : NULL, onward ? found->n : 0);
    for (size_t at = onward ? found->at : SIZE_MAX; nde_record_after(record, at, &e); at = e.at) {
        size_t n = r->live->n, b = 0;
        if (e.kind == NDE_ENTRY_ENTER) {
            memcpy(r->trajectory + n, e.who, e.n*sizeof *e.who);
            nde_panel_resize(r, n + e.n);
        } else if (e.kind == NDE_ENTRY_LEAVE) {
            for (size_t k = 0; k < e.n; k++) r->trajectory[e.lane[k]] = r->trajectory[--n];
            nde_panel_resize(r, n);
        } else if (e.kind == NDE_ENTRY_STEP) {
            while (b < n && r->trajectory[b] != who) b++;
            if (b == n || !nde_entry_took(&e, b)) continue;
            if (s->direction*t < s->direction*e.t[b*e.stride]) break;
            *found = e, *lane = b, any = true;
            memcpy(w->who, r->trajectory, n*sizeof *w->who);
            if (s->direction*t <= s->direction*end_of(&e, b)) break;
        }
    }
    return any;
}

/* The step of the record that stands in the replica, attempted. */
typedef struct place {
    nde_entry step;
    size_t lane, of;        /* in the replica; in `from` */
    const nde_panel *from;  /* NULL: none yet */
    bool cut;               /* the step ends inside what was attempted */
} place;

/* Brings the step of the trajectory that holds t there; false: a span of no length. */
static bool seek(nde_solver *s, const nde_panel *p, size_t who, double t, place *at, int *rc) {
    nde_worker *w = &s->worker[0];
    nde_panel *r = &w->replica;
    if (at->from && s->direction*t > s->direction*r->t[at->lane] && s->direction*t <= s->direction*r->t_new[at->lane])
        return true;
    const bool onward = at->from && s->direction*t > s->direction*r->t_new[at->lane];
    at->from = NULL;
    if (!find_step(s, w, &p->record, who, t, onward, &at->step, &at->lane)) return false;
    if ((*rc = nde_replay_step(s, w, &p->record, &at->step))) return true;
    at->from = r, at->of = at->lane;
    if (s->table.slopes > s->table.stages) {
        *rc = nde_inside_load(s, r, w, &at->lane, 1);
        at->from = &w->inside, at->of = 0;
    }
    const double end = end_of(&at->step, at->lane);
    at->cut = end != r->t_new[at->lane];
    r->t_new[at->lane] = end;
    return true;
}

static nde_status dense_at(nde_solver *s, const nde_panel *p, size_t who, double t, place *at, nde_real *y, nde_real *dy) {
    const nde_panel *r = &s->worker[0].replica;
    const double t0 = nde_start_of(s, who), t1 = s->t_end[who];
    if (!(s->direction*t >= s->direction*t0 && s->direction*t <= s->direction*t1))
        return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_solver_dense: t is %g, solved is [%g, %g]", t, t0, t1));
    int rc = 0;
    if (!seek(s, p, who, t, at, &rc)) {
        for (size_t i = 0; y && i < s->rhs.dim; i++) y[i] = s->y_end[i*s->N + who];
        for (size_t i = 0; dy && i < s->rhs.dim; i++) dy[i] = 0;
        return NDE_OK;
    }
    if (rc) return nde_solver_refuse_code(s, "nde_solver_dense", rc);
    const size_t b = at->lane;
    const bool at_end = t == r->t_new[b] && !at->cut;
    nde_save_dense(s, at->from, at->of, at_end ? 1 : (t - r->t[b])/r->dt[b], y, dy, 1);
    for (size_t i = 0; y && at_end && i < s->rhs.dim; i++) y[i] = r->z[i*r->ld + b];
    return NDE_OK;
}

nde_status nde_solver_dense_many(nde_solver *s, size_t trajectory, size_t count, const double *t, nde_real *y, nde_real *dy) {
    if (!s) return nde_fail(NDE_E_ARG, "nde_solver_dense: solver is NULL");
    if (count && !t) return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_solver_dense_many: t is NULL, count is %zu", count));
    if (trajectory >= s->N)
        return nde_solver_refuse(
            s, nde_fail(NDE_E_ARG, "nde_solver_dense: trajectory is %zu of %zu", trajectory, s->N));
    if (!s->recorded || !s->finished)
        return nde_solver_refuse(
            s, nde_fail(NDE_E_ARG, "nde_solver_dense: there is no record: options.adjoint is needed"));
    const nde_panel *p = s->panel;
    while (trajectory >= p->first + p->count) p++;
    place at = { .from = NULL };
    nde_status bad = NDE_OK;
    for (size_t k = 0; k < count && !bad; k++)
        bad = dense_at(s, p, trajectory, t[k], &at, y ? y + k*s->rhs.dim : NULL, dy ? dy + k*s->rhs.dim : NULL);
    return bad;
}

nde_status nde_solver_dense(nde_solver *s, size_t trajectory, double t, nde_real *y, nde_real *dy) {
    return nde_solver_dense_many(s, trajectory, 1, &t, y, dy);
}
