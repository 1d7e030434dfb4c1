/* SPDX-License-Identifier: MIT
 * observe.c - what problem.observe makes of the states at the rows of the output, with transpose and tangent. Both pass over
 * the states that the run has kept: the transpose before the sweep, which goes on from the cotangents of those states, and the
 * tangent behind the forward walk. */
#include "adjoint/replay.h"

#include <math.h>
#include <string.h>

int nde_observe(const nde_solver *s, nde_rows *r, nde_scratch *scratch) {
    nde_lanes_bind(&r->lanes, &s->rhs, scratch);
    return nde_part_eval(&s->rhs, &r->lanes, &s->rhs.observe, r->t, r->y, r->out);
}

static void copy(size_t rows, const nde_real *from, size_t from_stride, nde_real *to, size_t to_stride) {
    for (size_t i = 0; i < rows; i++) to[i*to_stride] = from[i*from_stride];
}

int nde_observe_one(const nde_solver *s, nde_rows *r, size_t j, nde_scratch *scratch) {
    nde_lanes lanes = r->lanes;
    nde_site *at = &lanes.site;
    nde_real *const q = r->one + s->rhs.dim, *const out = q + s->rhs.nq;
    r->mark[j] = NDE_LANE_OK;
    nde_lanes_bind(&lanes, &s->rhs, scratch);
    at->n = at->ld = 1, at->index += j, at->interval += j, at->lane += j, at->q = q;
    copy(s->rhs.dim, r->y + j, r->lanes.site.ld, r->one, 1);
    copy(s->rhs.nq, r->q + j, r->lanes.site.ld, q, 1);
    const int rc = nde_part_eval(&s->rhs, &lanes, &s->rhs.observe, r->t + j, r->one, out);
    copy(s->out, out, 1, r->out + j, r->lanes.site.ld);
    return rc;
}

/* ---- rows that were kept --------------------------------------------------------------------- */

static double time_of(const nde_solver *s, size_t row, size_t who) {
    return s->saving == NDE_SAVE_EVERY ? s->save_t_out[row*s->N + who] : s->saving == NDE_SAVE_END ? s->t_end[who]
                                                                                                  : nde_save_time(s, row, who);
}

/* The next forced time of a state at t: one that is there belongs to it, unless it is the start. */
static size_t forced_at(const nde_solver *s, size_t who, double t) {
    const size_t f = nde_forced_after(s, t);
    return f > 0 && s->forced.t[f - 1] == t && t != nde_start_of(s, who) ? f - 1 : f;
}

/* The next block of trajectories from *who on, before `end`, that have the row: their states, times and parameters. */
static size_t gather(const nde_solver *s, nde_worker *w, size_t row, size_t *who, size_t end) {
    nde_rows *r = &w->rows;
    const size_t ld = r->lanes.site.ld;
    size_t m = 0;
    for (; *who < end && m < r->capacity; ++*who) {
        const size_t i = *who;
        if (s->status[i] < 0 || s->saved[i] <= row) continue;
        copy(s->rhs.dim, s->y_rows + row*s->rhs.dim*s->N + i, s->N, r->y + m, ld);
        if (s->rhs.nq) copy(s->rhs.nq, s->rhs.problem.q + i, s->N, r->q + m, ld);
        r->trajectory[m] = i, r->t[m] = time_of(s, row, i);
        r->interval[m] = nde_jumps_before(s, forced_at(s, i, r->t[m])), r->mark[m] = NDE_LANE_OK;
        m++;
    }
    r->lanes.site.n = m;
    nde_lanes_bind(&r->lanes, &s->rhs, &w->scratch);
    return m;
}

/* Where the steps end, a row moves with the ends of its segment: its place there. */
static nde_segment segment_at(const nde_solver *s, size_t who, double t, double *sigma) {
    const nde_segment g = nde_segment_of(s, who, forced_at(s, who, t));
    *sigma = g.to != g.from ? (t - g.from)/(g.to - g.from) : 0;
    return g;
}

/* ---- transpose ------------------------------------------------------------------------------- */

/* The cotangent of the time of a row. */
static void add_time(nde_solver *s, nde_shard *shard, size_t row, size_t who, double t, double a) {
    if (s->saving == NDE_SAVE_TIMES) {
        (s->save_lane ? s->g_save_t : shard->save_t)[nde_save_index(s, row, who)] += a;
    } else if (s->saving == NDE_SAVE_END) {
        s->g_t1[who] += a;
    } else {
        double sigma;
        const nde_segment g = segment_at(s, who, t, &sigma);
        nde_boundary_add(s, shard, who, g.lower, a*(1 - sigma));
        nde_boundary_add(s, shard, who, g.upper, a*sigma);
    }
}

static int transpose(nde_solver *s, nde_worker *w, nde_shard *shard, size_t row, const nde_seed *seed, const nde_sink *wanted) {
    nde_rows *r = &w->rows;
    const size_t m = r->lanes.site.n, ld = r->lanes.site.ld, N = s->N;
    nde_sink sink = *wanted;
    sink.q = wanted->q ? r->a_q : NULL, sink.t = wanted->t ? r->a_t : NULL, sink.window = NULL;
    memset(r->a_y, 0, s->rhs.dim*ld*sizeof *r->a_y);
    if (s->rhs.nq) memset(r->a_q, 0, s->rhs.nq*ld*sizeof *r->a_q);
    memset(r->a_t, 0, ld*sizeof *r->a_t);
    for (size_t j = 0; j < m; j++) copy(s->out, seed->y + row*s->out*N + r->trajectory[j], N, r->a_out + j, ld);
    const int rc = nde_part_vjp(&s->rhs, &r->lanes, &s->rhs.observe, r->t, r->y, r->a_out, r->a_y, &sink);
    for (size_t j = 0; j < m; j++) {
        const size_t who = r->trajectory[j];
        copy(s->rhs.dim, r->a_y + j, ld, s->a_rows + row*s->rhs.dim*N + who, N);
        for (size_t i = 0; sink.q && i < s->rhs.nq; i++) s->g_q[i*N + who] += r->a_q[i*ld + j];
        if (sink.t) add_time(s, shard, row, who, r->t[j], r->a_t[j]);
    }
    return rc;
}

/* Trajectories of a shard: those of its panels follow each other. */
static size_t first_of(const nde_solver *s, const nde_shard *shard) { return s->panel[shard->first].first; }
static size_t end_of(const nde_solver *s, const nde_shard *shard) {
    const nde_panel *last = &s->panel[shard->first + shard->count - 1];
    return last->first + last->count;
}

int nde_observe_transpose(nde_solver *s, nde_worker *w, nde_shard *shard, const nde_seed *seed, const nde_sink *wanted) {
    const size_t end = end_of(s, shard);
    int rc = 0;
    for (size_t row = 0; row < s->rows_saved; row++)
        for (size_t who = first_of(s, shard); !rc && who < end;)
            if (gather(s, w, row, &who, end)) rc = transpose(s, w, shard, row, seed, wanted);
    w->rows.lanes.site.n = 0;
    return rc;
}

/* ---- tangent --------------------------------------------------------------------------------- */

static double time_tangent(const nde_solver *s, const nde_direction *along, size_t row, size_t who, double t) {
    if (s->saving == NDE_SAVE_TIMES) return along->save_t ? along->save_t[nde_save_index(s, row, who)] : 0;
    if (s->saving == NDE_SAVE_END) return nde_boundary_tangent(s, along, who, NDE_BOUNDARY_END);
    double sigma;
    const nde_segment g = segment_at(s, who, t, &sigma);
    return nde_boundary_tangent(s, along, who, g.lower)*(1 - sigma) + nde_boundary_tangent(s, along, who, g.upper)*sigma;
}

static int tangent(const nde_solver *s, nde_worker *w, size_t row, const nde_direction *along, const nde_real *states,
                   nde_real *out) {
    nde_rows *r = &w->rows;
    const size_t m = r->lanes.site.n, ld = r->lanes.site.ld, N = s->N;
    for (size_t j = 0; j < m; j++) {
        const size_t who = r->trajectory[j];
        copy(s->rhs.dim, states + row*s->rhs.dim*N + who, N, r->a_y + j, ld);
        for (size_t i = 0; i < s->rhs.nq; i++) r->a_q[i*ld + j] = along->q ? along->q[i*N + who] : 0;
        r->a_t[j] = time_tangent(s, along, row, who, r->t[j]);
    }
    const nde_source source = { .p = along->p, .q = along->q ? r->a_q : NULL, .x_input = along->input_x, .t = r->a_t };
    const int rc = nde_part_jvp(&s->rhs, &r->lanes, &s->rhs.observe, r->t, r->y, r->a_y, &source, r->a_out);
    for (size_t j = 0; j < m; j++) copy(s->out, r->a_out + j, ld, out + row*s->out*N + r->trajectory[j], N);
    return rc;
}

int nde_observe_tangent(const nde_solver *s, nde_worker *w, const nde_shard *shard, const nde_direction *along,
                        const nde_real *states, nde_real *out) {
    const size_t end = end_of(s, shard);
    int rc = 0;
    for (size_t row = 0; row < s->rows_saved; row++)
        for (size_t who = first_of(s, shard); !rc && who < end;)
            if (gather(s, w, row, &who, end)) rc = tangent(s, w, row, along, states, out);
    w->rows.lanes.site.n = 0;
    return rc;
}
