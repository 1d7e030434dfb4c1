/* SPDX-License-Identifier: MIT
 * tangent.c - forward mode: the record repeated from the start, with tangents beside the values. Those along several
 * directions stand beside each other: lane b of n of direction d in column d*n + b. */
#include "adjoint/saltation.h"

#include <math.h>
#include <string.h>

/* along, out: of all directions of this course, one after the other. */
typedef struct course {
    nde_solver *s;
    nde_worker *w, *wide;  /* wide: holds the tangents; w itself with one direction */
    const nde_direction *along;
    const nde_output_tangent *out;
    size_t first, k, ld;   /* the first direction's number, how many there are */
} course;

/* Names of the worker's cotangent arrays when they hold tangents. */
static nde_real *v_y(const course *c) { return c->wide->a_y; }
static nde_real *v_carry(const course *c) { return c->wide->a_carry; }
static nde_real *v_k(const course *c) { return c->wide->a_k; }
static nde_real *v_q(const course *c) { return c->wide->a_q; }
static nde_real *v_z(const course *c) { return c->wide->a_z; }

/* Direction d alone; not its term_x, which rhs.c finds by the direction's number. */
static nde_direction along(const course *c, size_t d) { return nde_direction_at(c->s, c->along, d); }

/* Rows of the states' tangents along direction d. */
static nde_real *rows_of(const course *c, size_t d) {
    return c->out->y ? c->out->y + d*c->s->rows_saved*c->s->rhs.dim*c->s->N : NULL;
}

/* Of the time when an event last cut a step of lane b. */
static double since_tangent(const course *c, size_t d, size_t b) { return *nde_since_tangent(c->w, c->wide, d, b); }

/* v: direction d. */
static double boundary_tangent(const course *c, size_t d, const nde_direction *v, size_t b, ptrdiff_t boundary) {
    if (boundary == NDE_BOUNDARY_EVENT) return since_tangent(c, d, b);
    return nde_boundary_tangent(c->s, v, c->w->replica.trajectory[b], boundary);
}

/* The tangent of the time at which lane b stands, when that is a boundary. */
static double standing_tangent(const course *c, size_t d, const nde_direction *v, size_t b) {
    const nde_panel *r = &c->w->replica;
    const size_t f = nde_forced_after(c->s, r->t[b]);
    if (r->t[b] == nde_since(c->w, b)) return since_tangent(c, d, b);
    const bool forced = f > 0 && c->s->forced.t[f - 1] == r->t[b] &&
                        r->t[b] != nde_start_of(c->s, r->trajectory[b]);
    return boundary_tangent(c, d, v, b, forced ? (ptrdiff_t)f - 1 : NDE_BOUNDARY_START);
}

/* v_t and v_h of a step, by what its segment's ends do. */
static void step_times(const course *c, size_t d, const nde_direction *v, size_t b, size_t f, double t, double dt, double *v_t,
                       double *v_h) {
    nde_share share[3];
    const size_t count = nde_step_shares(c->s, c->w->replica.trajectory[b], f, nde_since(c->w, b), t, dt, share);
    *v_t = *v_h = 0;
    for (size_t k = 0; k < count; k++) {
        const double moved = boundary_tangent(c, d, v, b, share[k].boundary);
        *v_t += share[k].t*moved, *v_h += share[k].h*moved;
    }
}

/* The columns of k directions, n lanes apart, are to be `to` lanes apart. */
static void part_columns(const course *c, nde_real *x, size_t rows, size_t n, size_t to) {
    const size_t kept = n < to ? n : to;
    for (size_t i = 0; i < rows; i++, x += c->ld)
        for (size_t j = 1; j < c->k; j++) {
            const size_t d = to > n ? c->k - j : j;
            memmove(x + d*to, x + d*n, kept*sizeof *x);
        }
}

static void part_lanes(const course *c, size_t n, size_t to) {
    const nde_solver *s = c->s;
    if (c->k == 1) return;
    part_columns(c, v_y(c), s->tangent_rows, n, to), part_columns(c, v_carry(c), s->rhs.rows, n, to);
    part_columns(c, v_q(c), s->rhs.nq, n, to);
}

static void enter_along(course *c, size_t d, size_t b, size_t who, size_t rows) {
    const nde_solver *s = c->s;
    const nde_panel *r = &c->w->replica;
    const nde_direction v = along(c, d);
    const size_t ld = c->ld, N = s->N, column = d*r->live->n + b;
    nde_real *y = rows_of(c, d);
    for (size_t i = 0; i < s->tangent_rows; i++)
        v_y(c)[i*ld + column] = i < s->rhs.dim && v.y0 ? v.y0[i*N + who] : 0;
    for (size_t i = 0; i < s->rhs.rows; i++) v_carry(c)[i*ld + column] = 0;
    for (size_t i = 0; i < s->rhs.nq; i++) v_q(c)[i*ld + column] = v.q ? v.q[i*N + who] : 0;
    if (c->w->hit) nde_saltation_start_tangent(s, c->w, c->wide, d, b, &v, c->out);
    for (size_t row = 0; row < rows; row++)
        for (size_t i = 0; i < s->rhs.dim; i++) y[(row*s->rhs.dim + i)*N + who] = v_y(c)[i*ld + column];
}

/* Rows that a trajectory has at its start. */
static size_t rows_at_start(const course *c, size_t who, double t) {
    const nde_solver *s = c->s;
    if (!c->out->y || s->status[who] < 0) return 0;
    if (s->saving != NDE_SAVE_TIMES) return s->saving == NDE_SAVE_EVERY;
    size_t rows = 0;
    while (rows < s->saved[who] && s->direction*nde_save_time(s, rows, who) <= s->direction*t) rows++;
    return rows;
}

static void enter(course *c, const nde_entry *e) {
    nde_panel *r = &c->w->replica;
    const size_t n = r->live->n;
    nde_panel_enter(c->s, r, e->who, e->n);
    part_lanes(c, n, n + e->n);
    for (size_t b = n; b < n + e->n; b++) {
        r->saved[b] = rows_at_start(c, r->trajectory[b], r->t[b]);
        for (size_t d = 0; d < c->k; d++) enter_along(c, d, b, r->trajectory[b], r->saved[b]);
    }
}

/* Where a trajectory ended: at an event, at t1, or, stopped, at a step's end. */
static double end_time(const course *c, size_t d, const nde_direction *v, size_t b) {
    const nde_solver *s = c->s;
    const size_t who = c->w->replica.trajectory[b];
    const double now = s->t_end[who];
    double v_t, v_h;
    size_t f = nde_forced_after(s, now);
    if (f > 0 && s->forced.t[f - 1] == now) f--;
    if (now == nde_since(c->w, b)) return since_tangent(c, d, b);
    if (now == nde_start_of(s, who)) return boundary_tangent(c, d, v, b, NDE_BOUNDARY_START);
    step_times(c, d, v, b, f, now, 0, &v_t, &v_h);
    return v_t;
}

static void leave_along(course *c, size_t d, size_t b) {
    const nde_solver *s = c->s;
    const nde_panel *r = &c->w->replica;
    const nde_direction v = along(c, d);
    const size_t ld = c->ld, N = s->N, dim = s->rhs.dim, nz = s->rhs.nz, who = r->trajectory[b], column = d*r->live->n + b;
    const bool last_row = s->saving == NDE_SAVE_END && s->saved[who];
    for (size_t i = 0; i < dim; i++) {
        if (c->out->y_end) c->out->y_end[(d*dim + i)*N + who] = v_y(c)[i*ld + column];
        if (c->out->y && last_row) rows_of(c, d)[i*N + who] = v_y(c)[i*ld + column];
    }
    for (size_t i = 0; c->out->quadrature && i < nz; i++)
        c->out->quadrature[(d*nz + i)*N + who] = v_y(c)[(dim + i)*ld + column];
    if (c->out->t_end) c->out->t_end[d*N + who] = end_time(c, d, &v, b);
}

static void leave(course *c, const nde_entry *e) {
    const nde_solver *s = c->s;
    nde_worker *w = c->w;
    nde_panel *r = &w->replica;
    const size_t ld = c->ld;
    for (size_t j = 0; j < e->n; j++) {
        const size_t b = e->lane[j], n = r->live->n;
        for (size_t d = 0; d < c->k; d++) {
            const size_t to = d*n + b, last = d*n + n - 1;
            if (s->status[e->who[j]] >= 0) leave_along(c, d, b);
            nde_move_column(v_y(c), s->tangent_rows, ld, last, to);
            nde_move_column(v_carry(c), s->rhs.rows, ld, last, to);
            nde_move_column(v_q(c), s->rhs.nq, ld, last, to);
        }
        if (w->since) w->since[b] = w->since[n - 1], w->hit[b] = w->hit[n - 1];
        for (size_t d = 0; w->since && d < c->k; d++) *nde_since_tangent(w, c->wide, d, b) = since_tangent(c, d, n - 1);
        part_lanes(c, n, n - 1);
        nde_panel_leave(s, r, b);
    }
}

/* lanes: of each direction. */
static nde_source source_of(const course *c, const nde_real *q, const double *t, size_t lanes) {
    const nde_direction *v = c->along;
    return (nde_source){ .p = v->p, .q = v->q ? q : NULL, .x_input = v->input_x, .x_term = v->term_x, .t = t,
                         .directions = c->k, .lanes = lanes, .first = c->first };
}

/* The worker's group for all directions, with tangent columns of its lanes, and the times' tangents. */
static nde_group *gather(course *c, const size_t *lane, size_t m) {
    const nde_solver *s = c->s;
    nde_group *g = c->wide == c->w ? &c->w->group : nde_wide_group(s, c->w, c->k);
    const size_t ld = g->lanes.site.ld, n = c->w->replica.live->n;
    for (size_t d = 0; d < c->k; d++) {
        const nde_direction v = along(c, d);
        for (size_t j = 0; j < m; j++) {
            const size_t from = d*n + lane[j], to = d*m + j;
            for (size_t i = 0; i < s->rhs.dim; i++) g->a_y[i*ld + to] = v_y(c)[i*c->ld + from];
            for (size_t i = 0; i < s->rhs.nq; i++) g->a_q[i*ld + to] = v_q(c)[i*c->ld + from];
            g->a_t[to] = standing_tangent(c, d, &v, lane[j]);
        }
    }
    return g;
}

/* The group's tangents [rows] go back. */
static void scatter(course *c, const nde_group *g, const size_t *lane, size_t m, size_t rows, nde_real *to) {
    const size_t n = c->w->replica.live->n;
    for (size_t d = 0; d < c->k; d++)
        for (size_t i = 0; i < rows; i++)
            for (size_t j = 0; j < m; j++) to[i*c->ld + d*n + lane[j]] = g->a_k[i*g->lanes.site.ld + d*m + j];
}

static void begin_partners(course *c, const size_t *lane, size_t m) {
    const nde_solver *s = c->s;
    const size_t n = c->w->replica.live->n, ld = c->ld;
    const int kind = s->table.method->partner;
    const size_t end = s->rhs.pieces ? 2*s->rhs.rows : s->tangent_rows;
    const nde_real *from = kind == NDE_PARTNER_STATE || s->rhs.pieces ? v_y(c) : kind == NDE_PARTNER_SLOPE ? v_carry(c) : NULL;
    for (size_t i = s->rhs.rows; i < end; i++)
        for (size_t j = 0; j < m*c->k; j++) {
            const size_t column = j/m*n + lane[j%m];
            v_y(c)[i*ld + column] = from ? from[i%s->rhs.rows*ld + column] : 0;
        }
}

static int fresh(course *c, const nde_entry *e) {
    const nde_solver *s = c->s;
    const int failed = nde_panel_fresh(s, &c->w->replica, c->w, e->lane, e->n);
    if (failed) return failed;
    nde_group *g = gather(c, e->lane, e->n);
    const nde_source source = source_of(c, g->a_q, g->a_t, e->n);
    const size_t rows = s->rhs.rows, slab = s->rhs.pieces ? rows*g->lanes.site.ld : 0;
    g->lanes.apart = slab;
    const int rc = nde_rhs_jvp(&s->rhs, &g->lanes, g->t, g->y, g->a_y, &source, g->a_k);
    g->lanes.apart = 0;
    if (s->rhs.pieces) scatter(c, g, e->lane, e->n, s->rhs.pieces*rows, v_y(c) + 2*rows*c->ld);
    else scatter(c, g, e->lane, e->n, rows, v_carry(c));
    begin_partners(c, e->lane, e->n);
    return rc;
}

/* u of the jumps' tangents. */
static void drive(course *c, nde_group *g, size_t m) {
    const nde_solver *s = c->s;
    const size_t inputs = s->rhs.problem.jump_inputs, ld = g->lanes.site.ld;
    for (size_t d = 0; d < c->k; d++) {
        const nde_direction v = along(c, d);
        for (size_t i = 0; i < inputs; i++)
            for (size_t j = d*m; j < (d + 1)*m; j++)
                g->a_u[i*ld + j] = v.jump_u ? v.jump_u[(g->interval[j]*inputs + i)*s->N + g->trajectory[j]] : 0;
    }
}

static int jump(course *c, const nde_entry *e) {
    const nde_solver *s = c->s;
    nde_worker *w = c->w;
    const int rc = nde_panel_jump(s, &w->replica, w, e->lane, e->n);
    if (rc) return rc;
    nde_panel_land(s, &w->replica, w, e->lane, e->n);
    nde_group *g = gather(c, e->lane, e->n);
    drive(c, g, e->n);
    const nde_source source = source_of(c, g->a_q, g->a_t, e->n);
    const int bad = nde_jump_jvp(&s->rhs, &g->lanes, g->t, g->y, g->u, g->a_y, g->a_u, &source, g->a_k);
    scatter(c, g, e->lane, e->n, s->rhs.dim, v_y(c));
    return bad;
}

static int reset(course *c, const nde_entry *e) {
    const nde_solver *s = c->s;
    const int rc = nde_events_reset_again(s, &c->w->replica, c->w, e);
    if (rc) return rc;
    nde_group *g = gather(c, e->lane, e->n);
    const nde_source source = source_of(c, g->a_q, g->a_t, e->n);
    const int bad = nde_part_jvp(&s->rhs, &g->lanes, &s->rhs.event[e->who[0]].reset, g->t, g->y, g->a_y, &source, g->a_k);
    scatter(c, g, e->lane, e->n, s->rhs.dim, v_y(c));
    return bad;
}

static bool is_cut(const nde_entry *e, size_t b) {
    for (size_t k = 0; k < e->cuts.n; k++)
        if (e->cuts.lane[k] == b) return true;
    return false;
}

/* Hits in the step, and where they cut it, its end. all: the panel of all directions. */
static int take_hits(course *c, nde_panel *all, const nde_entry *e, const nde_source *source) {
    nde_panel *r = &c->w->replica;
    int rc = nde_saltation_tangent(c->s, c->w, c->wide, c->k, e, c->out, source);
    for (size_t k = 0; !rc && k < e->cuts.n; k++) {
        const size_t b = e->cuts.lane[k];
        rc = nde_events_cut(c->s, r, c->w, b, e->cuts.t[k]);
        if (c->s->t_end[r->trajectory[b]] == e->cuts.t[k]) r->t1[b] = e->cuts.t[k];
        for (size_t d = 0; d < c->k; d++) all->t_new[d*e->n + b] = r->t_new[b], all->t1[d*e->n + b] = r->t1[b];
    }
    return rc;
}

/* Tangents of the rows that lie in the step, where the extension has stages of its own. r: all directions. */
static int save_inside(course *c, nde_panel *r, const nde_entry *e, const nde_source *source) {
    const nde_solver *s = c->s;
    nde_worker *w = c->w, *x = c->wide;
    nde_panel *in = &x->inside;
    const size_t n = w->replica.live->n;
    if (s->table.slopes == s->table.stages || s->saving != NDE_SAVE_TIMES || !c->out->y) return 0;
    size_t m = 0, *lane = w->list;
    for (size_t b = 0; b < n; b++) {
        const size_t row = r->saved[b];
        const bool due = row < s->rows_saved && s->direction*nde_save_time(s, row,
                                                                           r->trajectory[b]) <= s->direction*r->t_new[b];
        if (r->accept[b] && s->status[r->trajectory[b]] >= 0 && due) lane[m++] = b;
    }
    const int rc = m ? nde_inside_tangent(s, &w->replica, w, x, c->k, lane, m, source) : 0;
    in->saved = x->list2;
    for (size_t j = 0; j < m*c->k && !rc; j++) {
        const nde_group *g = &x->group;
        const size_t d = j/m, column = d*n + lane[j%m];
        const nde_direction v = along(c, d);
        const nde_save_tangent save = { .y = g->a_y + j, .z = g->z + j, .k = g->a_k + j, .t = g->a_t[j], .h = g->a_h[j],
                                        .save_t = v.save_t, .cut = is_cut(e, lane[j%m]) };
        in->saved[j] = r->saved[column];
        nde_save_step_tangent(s, in, j, &save, rows_of(c, d));
        r->saved[column] = in->saved[j];
    }
    return rc;
}

/* The tangents of the start and the length of the step of n lanes in each direction. */
static void move_times(course *c, const nde_panel *r, size_t n) {
    for (size_t d = 0; d < c->k; d++) {
        const nde_direction v = along(c, d);
        for (size_t b = 0; b < n; b++) {
            double *v_t = &c->wide->a_t[d*n + b], *v_h = &c->wide->a_h[d*n + b];
            if (r->accept[b]) step_times(c, d, &v, b, nde_forced_after(c->s, r->t[b]), r->t[b], r->dt[b], v_t, v_h);
            else *v_t = *v_h = 0;
        }
    }
}

/* Takes the attempted step over. */
static void accept(course *c, const nde_panel *r) {
    const nde_solver *s = c->s;
    const size_t columns = r->live->n, ld = c->ld;
    const nde_real *last = v_k(c) + (size_t)(s->table.stages - 1)*r->slab;
    for (size_t i = 0; i < s->tangent_rows; i++)
        for (size_t b = 0; b < columns; b++)
            if (r->accept[b]) {
                v_y(c)[i*ld + b] = v_z(c)[i*ld + b];
                if (s->table.fsal && i < s->rhs.rows) v_carry(c)[i*ld + b] = last[i*ld + b];
            }
}

static void save(course *c, nde_panel *r, const nde_entry *e) {
    const nde_solver *s = c->s;
    const size_t n = e->n;
    for (size_t d = 0; d < c->k && c->out->y; d++) {
        const nde_direction along_d = along(c, d);
        for (size_t b = d*n; b < (d + 1)*n; b++) {
            const nde_save_tangent v = { .y = v_y(c) + b, .z = v_z(c) + b, .k = v_k(c) + b, .t = c->wide->a_t[b],
                                         .h = c->wide->a_h[b], .save_t = along_d.save_t, .cut = is_cut(e, b%n) };
            if (r->accept[b] && s->status[r->trajectory[b]] >= 0) nde_save_step_tangent(s, r, b, &v, rows_of(c, d));
        }
    }
}

static int step(course *c, const nde_entry *e) {
    const nde_solver *s = c->s;
    nde_worker *w = c->w;
    nde_panel *one = &w->replica;
    nde_replay_times(s, one, e);
    memset(one->mark, NDE_LANE_OK, e->n);
    int rc = nde_panel_attempt(s, one, NULL);
    if (rc) return rc;
    nde_panel *r = c->wide == w ? one : nde_wide_panel(s, w, c->k);
    move_times(c, r, e->n);
    if (s->table.fsal) memcpy(v_k(c), v_carry(c), r->slab*sizeof(nde_real));
    const nde_source source = source_of(c, v_q(c), NULL, e->n);
    const nde_attempt at = nde_panel_step(s, r, NULL);
    const nde_step_tangent v = { .y = v_y(c), .z = v_z(c), .k = v_k(c), .t = c->wide->a_t, .h = c->wide->a_h,
                                 .source = &source };
    if ((rc = s->body->tangent(&at, &v))) return rc;
    if (c->out->error_estimate || c->out->stiffness_estimate) nde_estimate_tangent(s, c->wide, r, v_k(c), e->n, c->out);
    if (w->hit && (rc = take_hits(c, r, e, &source))) return rc;
    if ((rc = save_inside(c, r, e, &source))) return rc;
    save(c, r, e);
    accept(c, r);
    if (r != one) memcpy(one->saved, r->saved, e->n*sizeof *one->saved);
    nde_replay_accept(s, one, e);
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
    const nde_direction *along;    /* of `count` directions from `first` on */
    const nde_output_tangent *out;
    size_t first, count;
    atomic_int failed;
} order;

static int observe(const order *o, const nde_shard *shard, nde_worker *w) {
    const nde_solver *s = o->s;
    const size_t wide = s->rows_saved*s->out*s->N, states = s->rows_saved*s->rhs.dim*s->N;
    int rc = 0;
    for (size_t d = 0; d < o->count && !rc; d++) {
        const nde_direction v = nde_direction_at(s, o->along, d);
        rc = nde_observe_tangent(s, w, shard, &v, s->a_rows + d*states, o->out->y + d*wide);
    }
    return rc;
}

static void forward_shard(void *arg, size_t i, int worker) {
    order *o = arg;
    nde_solver *s = o->s;
    const nde_shard *shard = &s->shard[i];
    nde_worker *w = &s->worker[worker];
    const bool observed = o->out->y && s->rhs.observe.field;
    nde_output_tangent out = *o->out; /* of states first */
    if (observed) out.y = s->a_rows;
    for (size_t k = 0; k < shard->count && !atomic_load(&o->failed); k++) {
        course c = { .s = s, .w = w, .wide = o->count > 1 ? w->wide : w, .along = o->along, .out = &out, .first = o->first,
                     .k = o->count };
        c.ld = c.wide->replica.ld;
        const int rc = run_course(&c, &s->panel[shard->first + k].record);
        if (rc) atomic_store(&o->failed, rc);
    }
    const int rc = observed && !atomic_load(&o->failed) ? observe(o, shard, w) : 0;
    if (rc) atomic_store(&o->failed, rc);
}

/* Trajectories that failed are constants. */
static void clear(const nde_solver *s, size_t count, const nde_output_tangent *out) {
    const size_t N = s->N;
    if (out->y) memset(out->y, 0, count*s->rows_saved*s->out*N*sizeof *out->y);
    if (out->y_end) memset(out->y_end, 0, count*s->rhs.dim*N*sizeof *out->y_end);
    if (out->quadrature) memset(out->quadrature, 0, count*s->rhs.nz*N*sizeof *out->quadrature);
    if (out->error_estimate) memset(out->error_estimate, 0, count*N*sizeof *out->error_estimate);
    if (out->stiffness_estimate) memset(out->stiffness_estimate, 0, count*N*sizeof *out->stiffness_estimate);
    if (out->event_t) memset(out->event_t, 0, count*s->hits.rows*N*sizeof *out->event_t);
    if (out->event_y) memset(out->event_y, 0, count*s->hits.rows*s->rhs.dim*N*sizeof *out->event_y);
    if (out->t_end) memset(out->t_end, 0, count*N*sizeof *out->t_end);
}

/* As many directions at once as the solver has room for. */
static int forward(nde_solver *s, size_t count, const nde_direction *along, const nde_output_tangent *out) {
    int rc = 0;
    clear(s, count, out);
    nde_saltation_begin(s);
    for (size_t first = 0; first < count && !rc; first += s->directions) {
        const nde_direction v = nde_direction_at(s, along, first);
        nde_output_tangent to = *out;
        if (to.y) to.y += first*s->rows_saved*s->out*s->N;
        if (to.y_end) to.y_end += first*s->rhs.dim*s->N;
        if (to.quadrature) to.quadrature += first*s->rhs.nz*s->N;
        if (to.error_estimate) to.error_estimate += first*s->N;
        if (to.stiffness_estimate) to.stiffness_estimate += first*s->N;
        if (to.event_t) to.event_t += first*s->hits.rows*s->N;
        if (to.event_y) to.event_y += first*s->hits.rows*s->rhs.dim*s->N;
        if (to.t_end) to.t_end += first*s->N;
        order o = { .s = s, .along = &v, .out = &to, .first = first, .count = count - first };
        if (o.count > s->directions) o.count = s->directions;
        rc = nde_solver_tasks(s, s->n_shards, forward_shard, &o);
        if (!rc) rc = atomic_load(&o.failed);
    }
    return rc;
}

static nde_status refuse(nde_solver *s, const char *who, const char *why) {
    return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "%s: %s", who, why));
}

static nde_status read_and_go(nde_solver *s, const char *who, size_t count, const nde_direction *direction,
                              const nde_output_tangent *tangent) {
    nde_direction v;
    nde_output_tangent out;
    if (!s) return nde_fail(NDE_E_ARG, "%s: solver is NULL", who);
    if (!count) return refuse(s, who, "count is 0");
    if (!direction || !tangent) return refuse(s, who, direction ? "tangent is NULL" : "direction is NULL");
    if (!nde_read_sized(&v, sizeof v, direction, sizeof v) || !nde_read_sized(&out, sizeof out, tangent, sizeof out))
        return refuse(s, who, "size of direction or tangent is not a layout that this library knows");
    if (!s->recorded || !s->finished)
        return refuse(s, who, "there is no complete record: options.adjoint, and a run to its end, are needed");
    const nde_status absent = nde_estimate_check(s, who, "tangent", out.error_estimate, out.stiffness_estimate);
    if (absent) return nde_solver_refuse(s, absent);
    const bool events = out.event_t || out.event_y;
    const nde_status bad = nde_saltation_check(s, who, events);
    if (bad) return bad;
    const nde_field *without = nde_rhs_without_jvp(&s->rhs);
    if (!without && (nde_events_have_cut(s) || events)) without = nde_events_without(s, true);
    if (without)
        return nde_solver_refuse(s, nde_fail(NDE_E_NO_JVP, "%s: field '%s' has no jvp", who,
                                             without->name ? without->name : "field"));
    const nde_field *second = nde_rhs_without_second(&s->rhs);
    if (second)
        return nde_solver_refuse(s,
                                 nde_fail(NDE_E_NO_JVP,
                                          "%s: field '%s' has no vjp_jvp, and derivatives of the noise are part of each step",
                                             who, second->name ? second->name : "field"));
    const int rc = forward(s, count, &v, &out);
    return rc ? nde_saltation_refuse(s, who, rc) : NDE_OK;
}

nde_status nde_forward(nde_solver *s, const nde_direction *direction, const nde_output_tangent *tangent) {
    return read_and_go(s, "nde_forward", 1, direction, tangent);
}

nde_status nde_forward_many(nde_solver *s, size_t count, const nde_direction *directions, const nde_output_tangent *tangents) {
    return read_and_go(s, "nde_forward_many", count, directions, tangents);
}
