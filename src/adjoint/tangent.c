/* SPDX-License-Identifier: MIT
 * tangent.c - forward mode: the record repeated from the start, with tangents beside the values. */
#include "adjoint/saltation.h"

#include <math.h>
#include <string.h>

typedef struct course {
    nde_solver *s;
    nde_worker *w;
    const nde_direction *along;
    const nde_output_tangent *out;
    size_t ld;
} course;

/* Names of the worker's cotangent arrays when they hold tangents. */
static nde_real *v_y(const course *c) { return c->w->a_y; }
static nde_real *v_carry(const course *c) { return c->w->a_carry; }
static nde_real *v_k(const course *c) { return c->w->a_k; }
static nde_real *v_q(const course *c) { return c->w->a_q; }
static nde_real *v_z(const course *c) { return c->w->a_z; }

static double boundary_tangent(const course *c, size_t b, ptrdiff_t boundary) {
    if (boundary == NDE_BOUNDARY_EVENT) return c->w->a_since[b];
    return nde_boundary_tangent(c->s, c->along, c->w->replica.trajectory[b], boundary);
}

/* When an event last cut a step of the lane. */
static double since(const course *c, size_t b) { return c->w->since ? c->w->since[b] : (double)NAN; }

/* The tangent of the time at which lane b stands, when that is a boundary. */
static double standing_tangent(const course *c, const nde_panel *r, size_t b) {
    const size_t f = nde_forced_after(c->s, r->t[b]);
    if (r->t[b] == since(c, b)) return c->w->a_since[b];
    const bool forced = f > 0 && c->s->forced.t[f - 1] == r->t[b] &&
                        r->t[b] != nde_start_of(c->s, r->trajectory[b]);
    return boundary_tangent(c, b, forced ? (ptrdiff_t)f - 1 : NDE_BOUNDARY_START);
}

static void move_column(nde_real *x, size_t rows, size_t ld, size_t from, size_t to) {
    for (size_t i = 0; i < rows; i++) x[i*ld + to] = x[i*ld + from];
}

static void enter(course *c, const nde_entry *e) {
    const nde_solver *s = c->s;
    nde_panel *r = &c->w->replica;
    const size_t n = r->live->n, ld = c->ld, N = s->N;
    nde_panel_enter(s, r, e->who, e->n);
    for (size_t k = 0; k < e->n; k++) {
        const size_t b = n + k, who = e->who[k];
        for (size_t i = 0; i < s->tangent_rows; i++)
            v_y(c)[i*ld + b] = i < s->rhs.dim && c->along->y0 ? c->along->y0[i*N + who] : 0;
        for (size_t i = 0; i < s->rhs.rows; i++) v_carry(c)[i*ld + b] = 0;
        for (size_t i = 0; i < s->rhs.nq; i++)
            v_q(c)[i*ld + b] = c->along->q ? c->along->q[i*N + who] : 0;
        if (c->w->hit) nde_saltation_start_tangent(s, c->w, b, c->along, c->out);
        if (!c->out->y || s->status[who] < 0) continue;
        const size_t rows = s->saving == NDE_SAVE_EVERY ? 1 : s->saving == NDE_SAVE_TIMES ? s->saved[who] : 0;
        for (; r->saved[b] < rows && (s->saving == NDE_SAVE_EVERY ||
                                      s->direction*nde_save_time(s, r->saved[b], who) <= s->direction*r->t[b]);
             r->saved[b]++)
            for (size_t i = 0; i < s->rhs.dim; i++)
                c->out->y[(r->saved[b]*s->rhs.dim + i)*N + who] = v_y(c)[i*ld + b];
    }
}

/* v_t and v_h of a step, by what its segment's ends do. */
static void step_times(const course *c, size_t b, size_t f, double t, double dt, double *v_t, double *v_h) {
    nde_share share[3];
    const size_t count = nde_step_shares(c->s, c->w->replica.trajectory[b], f, since(c, b), t, dt, share);
    *v_t = *v_h = 0;
    for (size_t k = 0; k < count; k++) {
        const double v = boundary_tangent(c, b, share[k].boundary);
        *v_t += share[k].t*v, *v_h += share[k].h*v;
    }
}

/* Where a trajectory ended: at an event, at t1, or, stopped, at a step's end. */
static double end_time(const course *c, size_t b) {
    const nde_solver *s = c->s;
    const size_t who = c->w->replica.trajectory[b];
    const double now = s->t_end[who];
    double v_t, v_h;
    size_t f = nde_forced_after(s, now);
    if (f > 0 && s->forced.t[f - 1] == now) f--;
    if (now == since(c, b)) return c->w->a_since[b];
    if (now == nde_start_of(s, who)) return boundary_tangent(c, b, NDE_BOUNDARY_START);
    step_times(c, b, f, now, 0, &v_t, &v_h);
    return v_t;
}

static void leave(course *c, const nde_entry *e) {
    const nde_solver *s = c->s;
    nde_panel *r = &c->w->replica;
    const size_t ld = c->ld, N = s->N;
    for (size_t k = 0; k < e->n; k++) {
        const size_t b = e->lane[k], who = e->who[k], last = r->live->n - 1;
        const bool counts = s->status[who] >= 0, last_row = s->saving == NDE_SAVE_END && s->saved[who];
        for (size_t i = 0; counts && i < s->rhs.dim; i++) {
            if (c->out->y_end) c->out->y_end[i*N + who] = v_y(c)[i*ld + b];
            if (c->out->y && last_row) c->out->y[i*N + who] = v_y(c)[i*ld + b];
        }
        for (size_t i = s->rhs.dim; counts && c->out->quadrature && i < s->rhs.rows; i++)
            c->out->quadrature[(i - s->rhs.dim)*N + who] = v_y(c)[i*ld + b];
        if (counts && c->out->t_end) c->out->t_end[who] = end_time(c, b);
        if (b != last && c->w->since)
            c->w->since[b] = c->w->since[last], c->w->a_since[b] = c->w->a_since[last], c->w->hit[b] = c->w->hit[last];
        if (b != last) {
            move_column(v_y(c), s->tangent_rows, ld, last, b);
            move_column(v_carry(c), s->rhs.rows, ld, last, b);
            move_column(v_q(c), s->rhs.nq, ld, last, b);
        }
        nde_panel_leave(s, r, b);
    }
}

static nde_source source_of(const course *c, const nde_real *q, const double *t) {
    const nde_direction *d = c->along;
    return (nde_source){
        .p = d->p, .q = d->q ? q : NULL, .x_input = d->input_x, .x_term = d->term_x, .t = t
    };
}

/* Tangent columns of lanes into the group, and the times' tangents. */
static void gather(course *c, const size_t *lane, size_t m) {
    const nde_solver *s = c->s;
    nde_group *g = &c->w->group;
    const size_t ld = g->lanes.site.ld;
    for (size_t j = 0; j < m; j++) {
        for (size_t i = 0; i < s->rhs.dim; i++) g->a_y[i*ld + j] = v_y(c)[i*c->ld + lane[j]];
        for (size_t i = 0; i < s->rhs.nq; i++) g->a_q[i*ld + j] = v_q(c)[i*c->ld + lane[j]];
        g->a_t[j] = standing_tangent(c, &c->w->replica, lane[j]);
    }
}

static int fresh(course *c, const nde_entry *e) {
    const nde_solver *s = c->s;
    nde_worker *w = c->w;
    nde_group *g = &w->group;
    const int failed = nde_panel_fresh(s, &w->replica, w, e->lane, e->n);
    if (failed) return failed;
    gather(c, e->lane, e->n);
    const nde_source source = source_of(c, g->a_q, g->a_t);
    const int rc = nde_rhs_jvp(&s->rhs, &g->lanes, g->t, g->y, g->a_y, &source, g->a_k);
    for (size_t i = 0; i < s->rhs.rows; i++)
        for (size_t j = 0; j < e->n; j++)
            v_carry(c)[i*c->ld + e->lane[j]] = g->a_k[i*g->lanes.site.ld + j];
    const int kind = s->table.method->partner;
    const nde_real *from = kind == NDE_PARTNER_STATE ? v_y(c) : kind == NDE_PARTNER_SLOPE ? v_carry(c) : NULL;
    for (size_t i = s->rhs.rows; i < s->tangent_rows; i++)
        for (size_t j = 0; j < e->n; j++) v_y(c)[i*c->ld + e->lane[j]] = from ? from[i%s->rhs.rows*c->ld + e->lane[j]] : 0;
    return rc;
}

static int jump(course *c, const nde_entry *e) {
    const nde_solver *s = c->s;
    nde_worker *w = c->w;
    nde_group *g = &w->group;
    const int rc = nde_panel_jump(s, &w->replica, w, e->lane, e->n);
    if (rc) return rc;
    nde_panel_land(s, &w->replica, w, e->lane, e->n);
    gather(c, e->lane, e->n);
    nde_group_jump_inputs(s, w, e->n, c->along->jump_u, g->a_u);
    const nde_source source = source_of(c, g->a_q, g->a_t);
    const int bad = nde_jump_jvp(&s->rhs, &g->lanes, g->t, g->y, g->u, g->a_y, g->a_u, &source, g->a_k);
    for (size_t i = 0; i < s->rhs.dim; i++)
        for (size_t j = 0; j < e->n; j++)
            v_y(c)[i*c->ld + e->lane[j]] = g->a_k[i*g->lanes.site.ld + j];
    return bad;
}

static int reset(course *c, const nde_entry *e) {
    const nde_solver *s = c->s;
    nde_worker *w = c->w;
    nde_group *g = &w->group;
    const int rc = nde_events_reset_again(s, &w->replica, w, e);
    if (rc) return rc;
    gather(c, e->lane, e->n);
    const nde_source source = source_of(c, g->a_q, g->a_t);
    const int bad = nde_part_jvp(&s->rhs, &g->lanes, &s->rhs.event[e->who[0]].reset, g->t, g->y, g->a_y, &source, g->a_k);
    for (size_t i = 0; i < s->rhs.dim; i++)
        for (size_t j = 0; j < e->n; j++) v_y(c)[i*c->ld + e->lane[j]] = g->a_k[i*g->lanes.site.ld + j];
    return bad;
}

static bool is_cut(const nde_entry *e, size_t b) {
    for (size_t k = 0; k < e->cuts.n; k++)
        if (e->cuts.lane[k] == b) return true;
    return false;
}

/* Hits in the step, and where they cut it, its end. */
static int take_hits(course *c, const nde_entry *e, const nde_source *source) {
    nde_panel *r = &c->w->replica;
    int rc = nde_saltation_tangent(c->s, c->w, e, c->out, source);
    for (size_t k = 0; !rc && k < e->cuts.n; k++) {
        const size_t b = e->cuts.lane[k];
        rc = nde_events_cut(c->s, r, c->w, b, e->cuts.t[k]);
        if (c->s->t_end[r->trajectory[b]] == e->cuts.t[k]) r->t1[b] = e->cuts.t[k];
    }
    return rc;
}

/* Tangents of the rows that lie in the step, where the extension has stages of its own. */
static int save_inside(course *c, const nde_entry *e, const nde_source *source) {
    const nde_solver *s = c->s;
    nde_worker *w = c->w;
    nde_panel *r = &w->replica, *in = &w->inside;
    if (s->table.slopes == s->table.stages || s->saving != NDE_SAVE_TIMES || !c->out->y) return 0;
    size_t m = 0, *lane = w->list;
    for (size_t b = 0; b < r->live->n; b++) {
        const size_t row = r->saved[b];
        const bool due = row < s->rows_saved && s->direction*nde_save_time(s, row, r->trajectory[b]) <= s->direction*r->t_new[b];
        if (r->accept[b] && s->status[r->trajectory[b]] >= 0 && due) lane[m++] = b;
    }
    const int rc = m ? nde_inside_tangent(s, r, w, lane, m, source) : 0;
    in->saved = w->list2;
    for (size_t j = 0; j < m && !rc; j++) {
        const nde_group *g = &w->group;
        const nde_save_tangent save = { .y = g->a_y + j, .z = g->z + j, .k = g->a_k + j, .t = g->a_t[j], .h = g->a_h[j],
                                        .save_t = c->along->save_t, .cut = is_cut(e, lane[j]) };
        in->saved[j] = r->saved[lane[j]];
        nde_save_step_tangent(s, in, j, &save, c->out->y);
        r->saved[lane[j]] = in->saved[j];
    }
    return rc;
}

static int step(course *c, const nde_entry *e) {
    const nde_solver *s = c->s;
    nde_worker *w = c->w;
    nde_panel *r = &w->replica;
    const size_t n = e->n, ld = c->ld, slab = r->slab;
    nde_replay_times(s, r, e);
    memset(r->mark, NDE_LANE_OK, n);
    int rc = nde_panel_attempt(s, r, NULL);
    if (rc) return rc;
    for (size_t b = 0; b < n; b++) {
        if (r->accept[b]) step_times(c, b, nde_forced_after(s, r->t[b]), r->t[b], r->dt[b], &w->a_t[b], &w->a_h[b]);
        else w->a_t[b] = w->a_h[b] = 0;
    }
    if (s->table.fsal) memcpy(v_k(c), v_carry(c), slab*sizeof(nde_real));
    const nde_source source = source_of(c, v_q(c), NULL);
    const nde_attempt at = nde_panel_step(s, r, NULL);
    const nde_step_tangent v = {
        .y = v_y(c), .z = v_z(c), .k = v_k(c), .t = w->a_t, .h = w->a_h, .source = &source
    };
    if ((rc = s->body->tangent(&at, &v))) return rc;
    if (c->out->error_estimate || c->out->stiffness_estimate) nde_estimate_tangent(s, w, r, v_k(c), c->out);
    const nde_real *last = v_k(c) + (size_t)(s->table.stages - 1)*slab;
    if (w->hit && (rc = take_hits(c, e, &source))) return rc;
    if ((rc = save_inside(c, e, &source))) return rc;
    for (size_t b = 0; b < n; b++) {
        if (!r->accept[b]) continue;
        const nde_save_tangent save = { .y = v_y(c) + b,
                                        .z = v_z(c) + b,
                                        .k = v_k(c) + b,
                                        .t = w->a_t[b],
                                        .h = w->a_h[b],
                                        .save_t = c->along->save_t,
                                        .cut = is_cut(e, b) };
        if (c->out->y && s->status[r->trajectory[b]] >= 0)
            nde_save_step_tangent(s, r, b, &save, c->out->y);
    }
    for (size_t i = 0; i < s->tangent_rows; i++)
        for (size_t b = 0; b < n; b++)
            if (r->accept[b]) {
                v_y(c)[i*ld + b] = v_z(c)[i*ld + b];
                if (s->table.fsal && i < s->rhs.rows) v_carry(c)[i*ld + b] = last[i*ld + b];
            }
    nde_replay_accept(s, r, e);
    return 0;
}

static int run_course(course *c, const nde_record *record) {
    nde_entry e;
    int rc = 0;
    nde_replay_map(c->s, c->w, NULL, 0);
    for (size_t at = SIZE_MAX; !rc && nde_record_after(record, at, &e); at = e.at) switch (e.kind) {
        case NDE_ENTRY_ENTER: enter(c, &e); break;
        case NDE_ENTRY_LEAVE: leave(c, &e); break;
        case NDE_ENTRY_FRESH: rc = fresh(c, &e); break;
        case NDE_ENTRY_JUMP: rc = jump(c, &e); break;
        case NDE_ENTRY_RESET: rc = reset(c, &e); break;
        case NDE_ENTRY_CUT: break;
        default: rc = step(c, &e);
        }
    return rc;
}

typedef struct order {
    nde_solver *s;
    const nde_direction *along;
    const nde_output_tangent *out;
    atomic_int failed;
} order;

static void forward_shard(void *arg, size_t i, int worker) {
    order *o = arg;
    nde_solver *s = o->s;
    const nde_shard *shard = &s->shard[i];
    nde_worker *w = &s->worker[worker];
    const bool observed = o->out->y && s->rhs.observe.field;
    nde_output_tangent out = *o->out; /* of states first */
    if (observed) out.y = s->a_rows;
    for (size_t k = 0; k < shard->count && !atomic_load(&o->failed); k++) {
        course c = { .s = s, .w = w, .along = o->along, .out = &out, .ld = w->replica.ld };
        const int rc = run_course(&c, &s->panel[shard->first + k].record);
        if (rc) atomic_store(&o->failed, rc);
    }
    const int rc = observed && !atomic_load(&o->failed) ? nde_observe_tangent(s, w, shard, o->along, o->out->y) : 0;
    if (rc) atomic_store(&o->failed, rc);
}

nde_status nde_forward(nde_solver *s, const nde_direction *direction,
                       const nde_output_tangent *tangent) {
    nde_direction along;
    nde_output_tangent out;
    if (!s) return nde_fail(NDE_E_ARG, "nde_forward: solver is NULL");
    if (!direction || !tangent)
        return nde_solver_refuse(
            s, nde_fail(NDE_E_ARG, "nde_forward: %s is NULL", direction ? "tangent" : "direction"));
    if (!nde_read_sized(&along, sizeof along, direction, sizeof along) ||
        !nde_read_sized(&out, sizeof out, tangent, sizeof out))
        return nde_solver_refuse(
            s,
            nde_fail(
                NDE_E_ARG,
                "nde_forward: size of direction or tangent is not a layout that this library knows"));
    if (!s->recorded || !s->finished)
        return nde_solver_refuse(
            s, nde_fail(NDE_E_ARG, "nde_forward: there is no complete record: options.adjoint, and a "
                                   "run to its end, are needed"));
    const nde_status absent = nde_estimate_check(s, "nde_forward: tangent", out.error_estimate, out.stiffness_estimate);
    if (absent) return nde_solver_refuse(s, absent);
    const nde_status bad = nde_saltation_check(s, "nde_forward", out.event_t || out.event_y);
    if (bad) return bad;
    const nde_field *without = nde_rhs_without_jvp(&s->rhs);
    if (!without && (nde_events_have_cut(s) || out.event_t || out.event_y)) without = nde_events_without(s, true);
    if (without)
        return nde_solver_refuse(s, nde_fail(NDE_E_NO_JVP, "nde_forward: field '%s' has no jvp",
                                             without->name ? without->name : "field"));
    const size_t N = s->N, dim = s->rhs.dim; /* trajectories that failed are constants */
    if (out.y) memset(out.y, 0, s->rows_saved*s->out*N*sizeof *out.y);
    if (out.y_end) memset(out.y_end, 0, dim*N*sizeof *out.y_end);
    if (out.quadrature) memset(out.quadrature, 0, s->rhs.nz*N*sizeof *out.quadrature);
    if (out.error_estimate) memset(out.error_estimate, 0, N*sizeof *out.error_estimate);
    if (out.stiffness_estimate) memset(out.stiffness_estimate, 0, N*sizeof *out.stiffness_estimate);
    if (out.event_t) memset(out.event_t, 0, s->hits.rows*N*sizeof *out.event_t);
    if (out.event_y) memset(out.event_y, 0, s->hits.rows*dim*N*sizeof *out.event_y);
    if (out.t_end) memset(out.t_end, 0, N*sizeof *out.t_end);
    nde_saltation_begin(s);
    order o = { .s = s, .along = &along, .out = &out };
    const int rc = nde_solver_tasks(s, s->n_shards, forward_shard, &o);
    if (rc || atomic_load(&o.failed))
        return nde_saltation_refuse(s, "nde_forward", rc ? rc : atomic_load(&o.failed));
    return NDE_OK;
}
