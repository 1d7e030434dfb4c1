/* SPDX-License-Identifier: MIT
 * saltation.c - an event is where g(t, Y(t), p, q) = 0 along the extension Y of a step: its time moves by
 *   dt = -(g_y dY + g_p dp + g_q dq)/(g_t + g_y Y')     dY: at fixed t
 * and the state there by dY + Y' dt. Where a step is cut, that is the state that it ends with, and t a boundary that the steps
 * after it begin at. Sources: M. Aizerman, F. Gantmakher, Quart. J. Mech. Appl. Math. 11 (1958) 382-391; R. T. Q. Chen, B.
 * Amos, M. Nickel, Learning Neural Event Functions for Ordinary Differential Equations, ICLR (2021). */
#include "adjoint/saltation.h"

#include <float.h>
#include <string.h>

/* ---- what is in the way ---------------------------------------------------------------------- */

void nde_saltation_begin(nde_solver *s) {
    for (size_t i = 0; i < s->n_workers; i++) s->worker[i].obstacle.any = false;
}

nde_status nde_saltation_refuse(nde_solver *s, const char *who, int code) {
    const nde_obstacle *first = NULL;
    for (size_t i = 0; i < s->n_workers; i++) {
        const nde_obstacle *o = &s->worker[i].obstacle;
        if (o->any && (!first || o->who < first->who)) first = o;
    }
    if (code != NDE_OBSTACLE || !first) return nde_solver_refuse_code(s, who, code);
    const char *why =
        first->tied ? "happens together with another one, a jump or the end: which comes first decides, and there is "
                                    "no derivative"
                                  : "is touched, not crossed: its time has no derivative";
    return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "%s: event %zu of trajectory %zu at t = %.17g %s", who, first->event,
                                         first->who, first->t, why));
}

int nde_saltation_meet(nde_worker *w, size_t who, size_t event, double t, bool tied) {
    w->obstacle = (nde_obstacle){ .any = true, .tied = tied, .who = who, .event = event, .t = t };
    return NDE_OBSTACLE;
}

nde_status nde_saltation_check(nde_solver *s, const char *who, bool asked) {
    if (!asked || s->rhs.problem.n_events) return NDE_OK;
    return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "%s: event_t or event_y without problem.events", who));
}

const nde_field *nde_events_without(const nde_solver *s, bool jvp) {
    for (size_t e = 0; e < s->rhs.problem.n_events; e++) {
        const nde_field *f[] = { s->rhs.event[e].g.field, s->rhs.event[e].reset.field };
        for (int k = 0; k < 2; k++)
            if (f[k] && (jvp ? !f[k]->jvp : !f[k]->vjp)) return f[k];
    }
    return NULL;
}

/* ---- one hit --------------------------------------------------------------------------------- */

/* Event e at t in the attempted step of lane b, which stands alone in the worker's group; x: the worker with its cotangents, or
 * its tangents along a direction, in that column. */
typedef struct hit {
    nde_solver *s;
    nde_worker *w, *x;
    size_t b, column, e;
    double t, theta;
    const nde_panel *from;  /* where its slopes are */
    size_t lane;
    nde_real *y, *rate, *normal, *a; /* [rows] Y(t), Y'(t), g_y or a state, a cotangent or tangent of Y(t) */
} hit;

static bool is_extended(const nde_solver *s) { return s->table.slopes > s->table.stages; }

/* Along direction d of those that x has. */
static hit look_at(nde_solver *s, nde_worker *w, nde_worker *x, size_t d, size_t b, size_t e, double t) {
    const nde_panel *r = &w->replica;
    const size_t rows = s->rhs.rows, column = d*r->live->n + b;
    nde_real *to = w->at_hit;
    const hit h = { s, w, x, b, column, e, t, (t - r->t[b])/r->dt[b], is_extended(s) ? &x->inside : &x->replica,
                    is_extended(s) ? d : column, to, to + rows, to + 2*rows, to + 3*rows };
    nde_save_state_inside(s, h.from, h.lane, h.theta, h.y, h.rate, 1);
    return h;
}

/* Is g, with its slope dg/dt there, crossed? Where it is flat against its way from the start of the step, less than half of the
 * digits of its zero are known, and no more of what divides by the slope. */
static int check_crossing(const hit *h, double slope) {
    const nde_panel *r = &h->w->replica;
    const double t = r->t[h->b], eps = sizeof(nde_real) == sizeof(double) ? DBL_EPSILON : (double)FLT_EPSILON;
    nde_real start = 0;
    for (size_t i = 0; i < h->s->rhs.dim; i++) h->normal[i] = r->y[i*r->ld + h->b];
    const int rc = nde_part_eval(&h->s->rhs, &h->w->group.lanes, &h->s->rhs.event[h->e].g, &t, h->normal, &start);
    if (rc) return rc;
    const bool crossed = isfinite(slope) && slope != 0 && fabs(slope*(h->t - t)) > sqrt(eps)*fabs((double)start);
    return crossed ? 0 : nde_saltation_meet(h->w, r->trajectory[h->b], h->e, h->t, false);
}

/* ---- transpose ------------------------------------------------------------------------------- */

/* Cotangents a of the state at the hit and a_t of its time become one of the state alone, at fixed t. */
static int through_zero(const hit *h, double a_t, const nde_sink *sink) {
    const nde_rhs *rhs = &h->s->rhs;
    nde_lanes *lanes = &h->w->group.lanes;
    const nde_part *g = &rhs->event[h->e].g;
    const nde_real one = 1;
    double slope = 0;
    memset(h->normal, 0, rhs->dim*sizeof *h->normal);
    int rc = nde_part_vjp(rhs, lanes, g, &h->t, h->y, &one, h->normal, &(nde_sink){ .t = &slope });
    if (rc) return rc;
    for (size_t i = 0; i < rhs->dim; i++) slope += (double)h->normal[i]*(double)h->rate[i];
    if ((rc = check_crossing(h, slope))) return rc;
    for (size_t i = 0; i < rhs->rows; i++) a_t += (double)h->a[i]*(double)h->rate[i];
    const nde_real pull = (nde_real)(-a_t/slope);
    return nde_part_vjp(rhs, lanes, g, &h->t, h->y, &pull, h->a, sink);
}

/* The transpose of the extension at the hit. */
static int into_step(const hit *h, const nde_sink *sink) {
    nde_solver *s = h->s;
    nde_worker *w = h->w;
    nde_group *g = &w->group;
    const size_t b = h->b, ld = w->replica.ld, rows = s->rhs.rows;
    double along = 0, stretch = 0;
    nde_real *a_k = is_extended(s) ? g->a_k : w->a_k + b;
    nde_save_inside_transpose(s, h->from, h->lane, h->theta, rows, h->a, 1, a_k, &along, &stretch);
    w->a_t[b] -= along, w->a_h[b] += stretch - h->theta*along;
    for (size_t i = 0; i < rows; i++) w->a_start[i*ld + b] += h->a[i];
    if (!is_extended(s)) {
        for (size_t i = 0; sink->q && i < s->rhs.nq; i++) w->a_q[i*ld + b] += g->a_q[i];
        return 0;
    }
    const int rc = nde_inside_transpose(s, w, &b, 1, true, sink);
    for (size_t i = 0; i < s->rhs.dim; i++) w->a_start[i*ld + b] += g->a_y[i];
    return rc;
}

/* Takes lane b out, with zero cotangents of its own. */
static int load(nde_solver *s, nde_worker *w, size_t b) {
    nde_group *g = &w->group;
    if (is_extended(s)) return nde_inside_load_transpose(s, &w->replica, w, &b, 1);
    nde_group_gather(s, &w->replica, w, &b, 1);
    if (s->rhs.nq) memset(g->a_q, 0, s->rhs.nq*sizeof *g->a_q);
    return 0;
}

/* With row: the hit stands there. cut: a and a_t have cotangents of the new state and its time. */
static int undo_hit(nde_solver *s, nde_worker *w, size_t b, size_t e, double t, size_t row, const nde_seed *seed, bool cut,
                    const nde_sink *sink) {
    const size_t who = w->replica.trajectory[b], N = s->N, ld = w->replica.ld;
    const int failed = load(s, w, b);
    if (failed) return failed;
    const hit h = look_at(s, w, w, 0, b, e, t);
    double a_t = cut ? w->a_since[b] : 0;
    for (size_t i = 0; i < s->rhs.rows; i++) {
        h.a[i] = cut ? w->a_y[i*ld + b] : 0;
        if (cut) w->a_y[i*ld + b] = 0;
        if (row != SIZE_MAX && i < s->rhs.dim && seed->event_y) h.a[i] += seed->event_y[(row*s->rhs.dim + i)*N + who];
    }
    if (row != SIZE_MAX && seed->event_t) a_t += seed->event_t[row*N + who];
    nde_sink to = *sink;
    to.q = sink->q ? w->group.a_q : NULL, to.window = NULL, to.t = to.noise = NULL;
    const int rc = through_zero(&h, a_t, &to);
    return rc ? rc : into_step(&h, sink);
}

/* All hits of lane b in the step; k: which of its cuts is the lane's. */
static int undo_lane(nde_solver *s, nde_worker *w, const nde_entry *e, size_t b, size_t k, const nde_seed *seed,
                     const nde_sink *sink) {
    const nde_hits *hits = &s->hits;
    const nde_panel *r = &w->replica;
    const size_t who = r->trajectory[b], N = s->N;
    const bool cut = k < e->cuts.n, asked = seed->event_t || seed->event_y;
    const size_t by = cut ? e->cuts.event[k]%NDE_CUT_TIED : SIZE_MAX;
    bool open = cut;
    int rc = 0;
    if (cut && e->cuts.event[k] >= NDE_CUT_TIED) return nde_saltation_meet(w, who, by, e->cuts.t[k], true);
    for (; !rc && w->hit[b] > 0 && s->direction*hits->t[(w->hit[b] - 1)*N + who] > s->direction*r->t[b]; w->hit[b]--) {
        const size_t row = w->hit[b] - 1, which = (size_t)hits->which[row*N + who];
        const bool same = open && which == by && hits->t[row*N + who] == e->cuts.t[k];
        if (same || asked) rc = undo_hit(s, w, b, which, hits->t[row*N + who], row, seed, same, sink);
        open = open && !same;
    }
    if (!rc && open) rc = undo_hit(s, w, b, by, e->cuts.t[k], SIZE_MAX, seed, true, sink);
    if (cut) w->since[b] = e->cuts.since[k], w->a_since[b] = 0;
    return rc;
}

int nde_saltation_transpose(nde_solver *s, nde_worker *w, const nde_entry *e, const nde_seed *seed, const nde_sink *sink,
                            size_t *lanes) {
    const nde_panel *r = &w->replica;
    *lanes = 0;
    for (size_t b = 0, k; b < e->n; b++) {
        const size_t who = r->trajectory[b];
        if (!r->accept[b]) continue;
        for (k = 0; k < e->cuts.n && e->cuts.lane[k] != b;) k++;
        const bool any = w->hit[b] > 0 && s->direction*s->hits.t[(w->hit[b] - 1)*s->N + who] > s->direction*r->t[b];
        if (k == e->cuts.n && !any) continue;
        if (s->status[who] < 0) { /* a constant */
            if (k < e->cuts.n) w->since[b] = e->cuts.since[k];
            continue;
        }
        for (size_t i = 0; i < s->rhs.rows; i++) w->a_start[i*r->ld + b] = 0;
        const int rc = undo_lane(s, w, e, b, k, seed, sink);
        if (rc) return rc;
        w->attend[(*lanes)++] = b;
    }
    return 0;
}

void nde_saltation_state_transpose(const nde_solver *s, nde_worker *w, size_t lanes) {
    const size_t ld = w->replica.ld;
    for (size_t i = 0; i < s->rhs.rows; i++)
        for (size_t j = 0; j < lanes; j++) w->a_y[i*ld + w->attend[j]] += w->a_start[i*ld + w->attend[j]];
}

void nde_saltation_start_transpose(nde_solver *s, nde_worker *w, size_t b, const nde_seed *seed) {
    const size_t who = w->who[b], N = s->N;
    if (s->status[who] < 0) return;
    for (; w->hit[b] > 0; w->hit[b]--) {
        const size_t row = w->hit[b] - 1;
        if (seed->event_t) s->g_t0[who] += seed->event_t[row*N + who];
        for (size_t i = 0; seed->event_y && i < s->rhs.dim; i++)
            w->a_y[i*w->replica.ld + b] += seed->event_y[(row*s->rhs.dim + i)*N + who];
    }
}

/* ---- tangent --------------------------------------------------------------------------------- */

/* Takes lane b out, with the tangents of its step along k directions. */
static int load_tangents(nde_solver *s, nde_worker *w, nde_worker *x, size_t k, size_t b, const nde_source *source) {
    if (is_extended(s)) return nde_inside_tangent(s, &w->replica, w, x, k, &b, 1, source);
    nde_group_gather(s, &w->replica, w, &b, 1);
    return 0;
}

/* The tangent of Y(t) at fixed t. */
static void out_of_step(const hit *h) {
    const nde_worker *x = h->x;
    const nde_group *g = &x->group;
    const size_t b = h->column;
    const bool own = is_extended(h->s);
    const nde_save_tangent v = { .y = own ? g->a_y + h->lane : x->a_y + b, .k = own ? g->a_k + h->lane : x->a_k + b,
                                 .t = x->a_t[b], .h = x->a_h[b] };
    nde_save_inside_tangent(h->s, h->from, h->lane, h->theta, h->s->rhs.rows, &v, -v.t - h->theta*v.h, h->a, 1);
}

/* The tangent of the time where g is zero, and with it that of the state there. */
static int along_zero(const hit *h, const nde_source *source, double *v_t) {
    const nde_rhs *rhs = &h->s->rhs;
    nde_lanes *lanes = &h->w->group.lanes;
    const nde_part *g = &rhs->event[h->e].g;
    const double one = 1;
    nde_real change = 0, slope = 0;
    int rc = nde_part_jvp(rhs, lanes, g, &h->t, h->y, h->a, source, &change);
    if (!rc) rc = nde_part_jvp(rhs, lanes, g, &h->t, h->y, h->rate, &(nde_source){ .t = &one }, &slope);
    if (!rc) rc = check_crossing(h, (double)slope);
    if (rc) return rc;
    *v_t = -(double)change/(double)slope;
    for (size_t i = 0; i < rhs->rows; i++) h->a[i] += (nde_real)*v_t*h->rate[i];
    return 0;
}

/* Directions d of k that a walk follows at once: x has their tangents, out and source are of the first of them. */
typedef struct fan {
    nde_worker *x;
    size_t k;
    const nde_output_tangent *out;
    const nde_source *source;
} fan;

/* Along direction d; the lane is loaded. */
static int move_hit(nde_solver *s, nde_worker *w, const fan *f, size_t d, size_t b, size_t e, double t, size_t row, bool cut) {
    const size_t who = w->replica.trajectory[b], N = s->N, dim = s->rhs.dim;
    const hit h = look_at(s, w, f->x, d, b, e, t);
    nde_source from = nde_source_along(&s->rhs, f->source, d);
    nde_real *const q = w->group.a_q;
    double v_t;
    for (size_t i = 0; i < s->rhs.nq; i++) q[i] = f->x->a_q[i*f->x->replica.ld + h.column];
    from.q = f->source->q ? q : NULL, from.t = from.h = from.v_h = NULL;
    out_of_step(&h);
    const int rc = along_zero(&h, &from, &v_t);
    if (rc) return rc;
    if (row != SIZE_MAX && f->out->event_t) f->out->event_t[(d*s->hits.rows + row)*N + who] = v_t;
    for (size_t i = 0; row != SIZE_MAX && f->out->event_y && i < dim; i++)
        f->out->event_y[((d*s->hits.rows + row)*dim + i)*N + who] = h.a[i];
    for (size_t i = 0; cut && i < s->rhs.rows; i++) f->x->a_z[i*f->x->replica.ld + h.column] = h.a[i];
    if (cut) *nde_since_tangent(w, f->x, d, b) = v_t;
    return 0;
}

static int move_hits(nde_solver *s, nde_worker *w, const fan *f, size_t b, size_t e, double t, size_t row, bool cut) {
    int rc = load_tangents(s, w, f->x, f->k, b, f->source);
    for (size_t d = 0; d < f->k && !rc; d++) rc = move_hit(s, w, f, d, b, e, t, row, cut);
    return rc;
}

static int move_lane(nde_solver *s, nde_worker *w, const nde_entry *e, size_t b, size_t k, const fan *f) {
    const nde_hits *hits = &s->hits;
    const nde_panel *r = &w->replica;
    const size_t who = r->trajectory[b], N = s->N;
    const bool cut = k < e->cuts.n, asked = f->out->event_t || f->out->event_y;
    const size_t by = cut ? e->cuts.event[k]%NDE_CUT_TIED : SIZE_MAX;
    const double end = s->direction*(cut ? e->cuts.t[k] : r->t_new[b]);
    bool open = cut;
    int rc = 0;
    if (cut && e->cuts.event[k] >= NDE_CUT_TIED) return nde_saltation_meet(w, who, by, e->cuts.t[k], true);
    for (; !rc && w->hit[b] < hits->kept[who] && s->direction*hits->t[w->hit[b]*N + who] <= end; w->hit[b]++) {
        const size_t row = w->hit[b], which = (size_t)hits->which[row*N + who];
        const bool same = open && which == by && hits->t[row*N + who] == e->cuts.t[k];
        if (same || asked) rc = move_hits(s, w, f, b, which, hits->t[row*N + who], row, same);
        open = open && !same;
    }
    if (!rc && open) rc = move_hits(s, w, f, b, by, e->cuts.t[k], SIZE_MAX, true);
    return rc;
}

int nde_saltation_tangent(nde_solver *s, nde_worker *w, nde_worker *x, size_t directions, const nde_entry *e,
                          const nde_output_tangent *out, const nde_source *source) {
    const nde_panel *r = &w->replica;
    const fan f = { x, directions, out, source };
    for (size_t b = 0, k; b < e->n; b++) {
        if (!r->accept[b]) continue;
        for (k = 0; k < e->cuts.n && e->cuts.lane[k] != b;) k++;
        const int rc = s->status[r->trajectory[b]] < 0 ? 0 : move_lane(s, w, e, b, k, &f);
        if (rc) return rc;
        if (k < e->cuts.n) w->since[b] = e->cuts.t[k];
    }
    return 0;
}

void nde_saltation_start_tangent(const nde_solver *s, nde_worker *w, nde_worker *x, size_t d, size_t b,
                                 const nde_direction *along, const nde_output_tangent *out) {
    const size_t who = w->replica.trajectory[b], N = s->N, dim = s->rhs.dim, column = d*w->replica.live->n + b;
    w->hit[b] = 0, w->since[b] = (double)NAN, *nde_since_tangent(w, x, d, b) = 0;
    if (s->status[who] < 0) return;
    for (; w->hit[b] < s->hits.kept[who] && s->hits.t[w->hit[b]*N + who] == nde_start_of(s, who); w->hit[b]++) {
        const size_t row = d*s->hits.rows + w->hit[b];
        if (out->event_t) out->event_t[row*N + who] = along->t0 ? along->t0[who] : 0;
        for (size_t i = 0; out->event_y && i < dim; i++)
            out->event_y[(row*dim + i)*N + who] = x->a_y[i*x->replica.ld + column];
    }
}
