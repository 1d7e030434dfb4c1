/* SPDX-License-Identifier: MIT
 * reverse.c - back over the record by undoing its steps. A lane's growth since its last anchor stands in w->now; without bound where
 * its state is not known: the next step takes it from the record. */
#include "adjoint/reverse.h"

#include <math.h>
#include <string.h>

double nde_reverse_growth(const nde_solver *s) {
    const nde_table *t = &s->table;
    return t->method->kind == NDE_KIND_COUPLED ? 1/s->options.coupling : 1/(2*t->damping - 1);
}

int nde_panel_reverse(const nde_solver *s, nde_panel *p) {
    nde_real *last = p->k + (size_t)(s->table.stages - 1)*p->slab, *y = p->y;
    for (size_t b = 0; b < p->live->n; b++) p->h_real[b] = (nde_real)p->dt[b];
    if (!s->rhs.plain) nde_rhs_begin(&s->rhs, &p->lanes, p->t, p->dt, p->node);
    if (s->table.fsal) memcpy(last, p->carry, p->slab*sizeof *last);
    const nde_attempt step = nde_panel_step(s, p, NULL);
    const int rc = s->body->reverse(&step);
    p->live->flip = !p->live->flip;
    p->y = p->z, p->z = y;
    if (s->table.fsal && p->k != p->carry) memcpy(p->carry, p->k, p->slab*sizeof *y);
    return rc;
}

typedef struct walk {
    nde_solver *s;
    nde_worker *w;
    double growth, limit;
    nde_real *y;
    int64_t anchors;
    size_t n, ld;
} walk;

static void move_column(nde_real *x, size_t rows, size_t ld, size_t from, size_t to) {
    for (size_t i = 0; i < rows; i++) x[i*ld + to] = x[i*ld + from];
}

static void undo_leave(walk *v, size_t b, size_t who) {
    nde_panel *r = &v->w->replica;
    const size_t last = v->n++;
    move_column(r->y, v->s->tangent_rows, v->ld, b, last), move_column(r->carry, v->s->rhs.rows, v->ld, b, last);
    v->w->who[last] = v->w->who[b], v->w->now[last] = v->w->now[b];
    v->w->who[b] = who, v->w->now[b] = (double)INFINITY;
}

static void undo_enter(walk *v, size_t m) {
    const nde_solver *s = v->s;
    for (v->n -= m; m-- > 0;)
        for (size_t i = 0; i < s->rhs.dim; i++)
            v->y[i*s->N + v->w->who[v->n + m]] = v->w->replica.y[i*v->ld + v->n + m];
}

static bool is_known(const walk *v, size_t b) { return isfinite(v->w->now[b]) && v->w->now[b] <= v->limit; }

/* The states after the step, of lanes that do not know theirs, from its recorded start. */
static int anchor(walk *v, const nde_entry *e) {
    nde_worker *w = v->w;
    nde_panel *r = &w->replica;
    const nde_solver *s = v->s;
    const size_t ld = v->ld;
    nde_replay_load(s, w, e, e->y);
    int rc = nde_replay_slope(s, w);
    if (!rc) rc = nde_panel_attempt(s, r, NULL);
    const nde_real *last = r->k + (size_t)(s->table.stages - 1)*r->slab;
    for (size_t b = 0; b < v->n && !rc; b++) {
        if (!r->accept[b] || is_known(v, b)) continue;
        for (size_t i = 0; i < s->tangent_rows; i++) w->a_z[i*ld + b] = r->z[i*ld + b];
        for (size_t i = 0; i < s->rhs.rows; i++) w->a_carry[i*ld + b] = last[i*ld + b];
        w->now[b] = 1;
        v->anchors++;
    }
    return rc;
}

static int undo_step(walk *v, const nde_entry *e) {
    nde_worker *w = v->w;
    nde_panel *r = &w->replica;
    const nde_solver *s = v->s;
    const size_t ld = v->ld;
    bool known = true;
    memcpy(w->a_z, r->y, s->tangent_rows*ld*sizeof *r->y), memcpy(w->a_carry, r->carry, r->slab*sizeof *r->carry);
    nde_replay_map(s, w, w->who, v->n);
    nde_replay_times(s, r, e);
    for (size_t b = 0; b < v->n; b++) known = known && (!r->accept[b] || is_known(v, b));
    int rc = known ? 0 : anchor(v, e);
    if (rc) return rc;
    nde_replay_load(s, w, e, w->a_z);
    memcpy(r->carry, w->a_carry, r->slab*sizeof *r->carry);
    if ((rc = nde_panel_reverse(s, r))) return rc;
    for (size_t b = 0; b < v->n; b++) {
        if (r->accept[b]) w->now[b] *= v->growth;
        for (size_t i = 0; !r->accept[b] && i < s->tangent_rows; i++) r->y[i*ld + b] = w->a_z[i*ld + b];
        for (size_t i = 0; !r->accept[b] && i < s->rhs.rows; i++) r->carry[i*ld + b] = w->a_carry[i*ld + b];
    }
    return 0;
}

static int walk_panel(walk *v, const nde_record *record) {
    nde_entry e;
    int rc = 0;
    v->n = 0;
    nde_replay_map(v->s, v->w, NULL, 0);
    for (size_t at = SIZE_MAX; !rc && nde_record_before(record, at, &e); at = e.at)
        switch (e.kind) {
        case NDE_ENTRY_ENTER: undo_enter(v, e.n); break;
        case NDE_ENTRY_LEAVE:
            for (size_t k = e.n; k-- > 0;) undo_leave(v, e.lane[k], e.who[k]);
            break;
        case NDE_ENTRY_STEP: rc = undo_step(v, &e); break;
        default: /* FRESH, JUMP: what was carried before has gone */
            for (size_t k = 0; k < e.n; k++) v->w->now[e.lane[k]] = (double)INFINITY;
        }
    return rc;
}

nde_status nde_solver_reverse(nde_solver *s, double limit, nde_real *y, int64_t *anchors) {
    if (!s->body->reverse)
        return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "method %s cannot undo a step", s->table.method->name));
    walk v = { .s = s, .w = &s->worker[0], .growth = nde_reverse_growth(s), .limit = limit, .y = y };
    if (!s->recorded || !s->finished) return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "there is no complete record to run back"));
    if (nde_events_have_cut(s)) return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "an event has cut a step: it cannot be undone"));
    v.ld = v.w->replica.ld;
    for (size_t k = 0; k < s->n_panels; k++) {
        const nde_record *record = &s->panel[k].record;
        if (record->form == NDE_RECORD_CHECKPOINTS)
            return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "the record keeps some states only: options.budget is too small"));
        const int rc = walk_panel(&v, record);
        if (rc) return nde_solver_refuse_code(s, "nde_solver_reverse", rc);
    }
    *anchors = v.anchors;
    return NDE_OK;
}
