/* SPDX-License-Identifier: MIT
 * reverse.c - steps undone, by the times in the record. */
#include "adjoint/reverse.h"

#include <string.h>

int nde_panel_reverse(const nde_solver *s, nde_panel *p, nde_real *tape) {
    nde_real *last = p->k + (size_t)(s->table.stages - 1)*p->slab, *y = p->y;
    for (size_t b = 0; b < p->live->n; b++) p->h_real[b] = (nde_real)p->dt[b];
    if (!s->rhs.plain) nde_rhs_begin(&s->rhs, &p->lanes, p->t, p->dt, p->node);
    if (s->table.fsal) memcpy(last, p->carry, p->slab*sizeof *last);
    const nde_attempt step = nde_panel_step(s, p, tape);
    const int rc = s->body->reverse(&step);
    p->live->flip = !p->live->flip;
    p->y = p->z, p->z = y;
    if (s->table.fsal && p->k != p->carry) memcpy(p->carry, p->k, p->slab*sizeof *y);
    return rc;
}

/* The last slope of the loaded step, from the state that it led to. */
static int last_slope(const nde_solver *s, nde_panel *r) {
    const nde_real *partner = r->y + r->slab;
    const int kind = s->table.method->partner;
    if (kind == NDE_PARTNER_SLOPE) {
        memcpy(r->carry, partner, r->slab*sizeof *partner);
        return 0;
    }
    if (!s->rhs.plain) nde_rhs_begin(&s->rhs, &r->lanes, r->t, r->dt, r->node);
    return nde_rhs_eval(&s->rhs, &r->lanes, nde_panel_step(s, r, NULL).t_new, kind == NDE_PARTNER_STATE ? partner : r->y,
                        r->carry, NULL, 0);
}

/* The tape of the loaded step, from the state that it led to. */
static int last_tape(const nde_solver *s, nde_panel *r, nde_real *tape) {
    nde_real *const partner = r->y + r->slab, *const room = r->z + 2*r->slab;
    if (s->rhs.paths) nde_rhs_begin(&s->rhs, &r->lanes, r->t, r->dt, r->node);
    return nde_pieces_eval(&s->rhs, &r->lanes, nde_panel_step(s, r, NULL).t_new, partner, room, r->slab, tape, r->ld);
}

/* In pieces: the tape of the step before is made while that of this one waits for its transpose. */
static int reverse_pieces(const nde_solver *s, nde_worker *w, size_t n, bool sloped) {
    nde_panel *r = &w->replica;
    const size_t ld = r->ld, tape = s->rhs.tape;
    nde_real *const last = w->tape + (w->turn ? tape*ld : 0), *const next = w->tape + (w->turn ? 0 : tape*ld);
    int rc = tape && !sloped ? last_tape(s, r, last) : 0;
    if (rc || (rc = nde_panel_reverse(s, r, next))) return rc;
    w->turn = !w->turn;
    for (size_t b = 0; b < n; b++)
        for (size_t i = 0; !r->accept[b] && i < tape; i++) next[i*ld + b] = last[i*ld + b];
    return 0;
}

int nde_replica_reverse(const nde_solver *s, nde_worker *w, const nde_entry *step, bool sloped) {
    nde_panel *r = &w->replica;
    int rc = 0;
    nde_replay_map(s, w, w->who, step->n);
    nde_replay_load(s, w, step, NULL);
    if (s->table.fsal && !sloped) rc = last_slope(s, r);
    if (!rc)
        rc = s->rhs.pieces ? reverse_pieces(s, w, step->n, sloped) : nde_panel_reverse(s, r,
                                                                                       nde_reverse_tapes(s) ? w->tape : NULL);
    if (rc) return rc;
    const nde_real *last = r->k + (size_t)(s->table.stages - 1)*r->slab;
    for (size_t b = 0; b < step->n; b++) {
        if (r->accept[b]) continue;
        for (size_t i = 0; i < s->state_rows; i++) r->y[i*r->ld + b] = r->z[i*r->ld + b];
        for (size_t i = 0; s->table.fsal && i < s->rhs.rows; i++) r->carry[i*r->ld + b] = last[i*r->ld + b];
    }
    return 0;
}
