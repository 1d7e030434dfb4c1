/* SPDX-License-Identifier: MIT
 * augmented.c - the fields of the way back. With cotangents a of y and c of the quadrature l, in the time of the solve:
 *   y' = F(t, y, u; p, q)    a' = -a F_y - c l_y    w' = -a F_p - c l_p    (w for p, and likewise for q; w(t1) = 0, w(t0)
 *                            the gradient)
 * A term of the problem is augmented like the drift: both are linear in what drives it. So is noise in Stratonovich's
 * calculus, whose chain rule is the usual one; Ito noise is that with another drift. The columns of what is augmented
 * commute where those of the noise do, diagonal ones too.
 * Sources: R. Chen et al., Neural ordinary differential equations, NeurIPS (2018), appendix B; X. Li, T.-K. L. Wong, R. Chen,
 * D. Duvenaud, Scalable gradients for stochastic differential equations, AISTATS (2020). */
#include "adjoint/back.h"

#include <string.h>

#include "field/parts.h"

enum { WORDS = sizeof(double)/sizeof(nde_real) };

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* Rows of work, cut off one after the other. */
typedef struct room {
    nde_real *y, *minus, *column, *tape, *rest; /* [dim], [dim + nz], one lane's columns, the tape of part 0, the parts' own
                                                 * work */
    double *p;                                  /* [np] */
} room;

static size_t tape_rows(const nde_augmented *g) { return g->back->solves_state && g->part[0] ? g->part[0]->tape : 0; }

static size_t column_reals(const nde_rhs *r, size_t nu) { return 2*r->dim + r->nz + r->nq + nu; }

static room rooms(const nde_field *self, const nde_site *at) {
    const nde_augmented *g = self->ctx;
    const nde_rhs *r = &g->back->s->rhs;
    const size_t ld = at->ld;
    room w = { .y = at->work };
    w.minus = w.y + nde_aligned_rows(r->dim)*ld;
    w.column = w.minus + nde_aligned_rows(r->dim + r->nz)*ld;
    w.tape = w.column + nde_aligned_rows(column_reals(r, self->nu))*ld;
    nde_real *p = w.tape + nde_aligned_rows(tape_rows(g))*ld;
    w.p = (double *)(void *)p;
    w.rest = p + nde_aligned_rows(r->np*WORDS)*ld;
    return w;
}

static nde_slice slice_of(const nde_augmented *g, int i) {
    return (nde_slice){ .prepared = i && g->part[0] ? g->part[0]->prepared : 0 };
}

/* y of the lanes: part of the state, or from the dense solution. Their cotangents, negative. */
static int load(const nde_back *k, const nde_site *at, const nde_real *state, const room *w, const nde_real **y) {
    const nde_rhs *r = &k->s->rhs;
    const size_t ld = at->ld, N = k->s->N;
    for (size_t i = 0; i < r->dim; i++)
        for (size_t b = 0; b < at->n; b++) w->minus[i*ld + b] = -state[(k->a + i)*ld + b];
    for (size_t i = 0; i < r->nz; i++)
        for (size_t b = 0; b < at->n; b++)
            w->minus[(r->dim + i)*ld + b] = k->seed.quadrature ? -k->seed.quadrature[i*N + at->index[b]] : 0;
    *y = k->solves_state ? state : w->y;
    int rc = 0;
    for (size_t b = 0; b < at->n && !rc && !k->solves_state; b++)
        rc = nde_history_at(&k->forward, at->worker, at->index[b], at->t[b], w->y + b, ld);
    return rc;
}

static const nde_real *gather(size_t rows, const nde_real *from, const nde_site *at, size_t b, nde_real **to) {
    nde_real *column = *to;
    for (size_t i = 0; i < rows; i++) column[i] = from[i*at->ld + b];
    *to += rows;
    return column;
}

/* ---- noise ----------------------------------------------------------------------------------- */

/* rows [dim][ld] times what multiplies diagonal noise. */
static void multiply(const nde_back *k, const nde_site *at, nde_real *rows) {
    const nde_real *rate = at->u + k->s->rhs.channels*at->ld;
    for (size_t i = 0; i < k->s->rhs.dim*at->ld; i += at->ld)
        for (size_t b = 0; b < at->n; b++) rows[i + b] *= rate[i + b];
}

/* The lanes as those of the solve. */
static nde_lanes lanes_of(const nde_back *k, const nde_site *at) {
    nde_lanes lanes = { .site = *at };
    nde_lanes_bind(&lanes, &k->bent, &k->scratch[at->worker]);
    lanes.piece = k->piece + (size_t)at->worker*k->bent.paths*k->scratch_ld;
    return lanes;
}

/* slope += the correction of the drift at y. */
static int correct(const nde_back *k, const nde_site *at, const nde_real *y, nde_real *slope) {
    nde_lanes lanes = lanes_of(k, at);
    nde_rhs_inputs(&k->bent, &lanes, at->t);
    return nde_correction_eval(&k->bent, &lanes, at->t, y, slope);
}

static int correct_transpose(const nde_back *k, const nde_site *at, const nde_real *y, const nde_real *a,
                             const nde_cotangent *to) {
    nde_lanes lanes = lanes_of(k, at);
    const nde_sink sink = { .p = to->p, .q = to->q };
    nde_rhs_inputs(&k->bent, &lanes, at->t);
    return nde_correction_vjp(&k->bent, &lanes, at->t, y, a, to->y, &sink);
}

/* ---- evaluation ------------------------------------------------------------------------------ */

/* The integrand for p of one lane: vjp adds up lanes, and each lane has steps of its own. */
static int one_lane(const nde_augmented *g, const nde_site *at, size_t b, const nde_real *y, const room *w) {
    const nde_rhs *r = &g->back->s->rhs;
    nde_real *column = w->column;
    nde_site one = *at;
    const nde_real *yb = gather(r->dim, y, at, b, &column), *minus = gather(r->dim + r->nz, w->minus, at, b, &column);
    if (at->q) one.q = gather(r->nq, at->q, at, b, &column);
    const size_t nu = larger(g->part[0] ? g->part[0]->nu : 0, g->part[1] ? g->part[1]->nu : 0);
    if (at->u) one.u = gather(nu, at->u, at, b, &column);
    one.n = one.ld = one.tape_ld = 1;
    one.t = at->t + b, one.index = at->index + b, one.interval = at->interval + b, one.lane = at->lane + b;
    int rc = 0;
    for (int i = 0; i < 2 && !rc; i++) {
        const nde_field *part = g->part[i];
        if (!part || !part->np) continue;
        nde_site site = nde_part_site(part, &one, slice_of(g, i));
        const nde_cotangent whole = { .p = w->p };
        nde_cotangent to = nde_part_cotangent(part, &one, &whole, (nde_slice){ 0 });
        site.work = w->rest;
        rc = part->vjp(part, &site, yb, minus + (size_t)i*r->dim, &to);
    }
    return rc || !g->corrected ? rc : correct_transpose(g->back, &one, yb, minus, &(nde_cotangent){ .p = w->p });
}

static void put_parameters(const nde_back *k, const room *w, size_t ld, size_t b, nde_real *slope) {
    for (size_t i = 0; i < k->s->rhs.np; i++) slope[(k->p + i)*ld + b] = (nde_real)w->p[i];
    memset(w->p, 0, k->s->rhs.np*sizeof *w->p);
}

static int eval(const nde_field *self, const nde_site *at, const nde_real *state, nde_real *slope) {
    const nde_augmented *g = self->ctx;
    const nde_back *k = g->back;
    const nde_rhs *r = &k->s->rhs;
    const room w = rooms(self, at);
    const size_t ld = at->ld, dim = r->dim;
    const bool parameters = k->solves_integrals && r->np, together = at->n == 1 || k->shared;
    const nde_real *y;
    int rc = load(k, at, state, &w, &y);
    for (size_t i = 0; i < k->rows; i++) memset(slope + i*ld, 0, at->n*sizeof *slope);
    if (parameters) memset(w.p, 0, r->np*sizeof *w.p);
    const nde_cotangent whole = { .y = slope + k->a*ld, .q = k->solves_integrals && r->nq ? slope + k->q*ld : NULL,
                                  .p = parameters && together ? w.p : NULL };
    for (int i = 0; i < 2 && !rc; i++) {
        const nde_field *part = g->part[i];
        if (!part) continue;
        nde_site site = nde_part_site(part, at, slice_of(g, i));
        site.work = w.rest, site.tape = NULL, site.tape_ld = ld;
        if (i == 0 && k->solves_state) {
            if (part->tape) site.tape = w.tape;
            rc = part->eval(part, &site, y, slope);
        }
        if (g->diagonal) multiply(k, at, w.minus);
        if (g->diagonal && k->solves_state) multiply(k, at, slope);
        nde_cotangent to = nde_part_cotangent(part, at, &whole, (nde_slice){ 0 });
        if (!rc) rc = part->vjp(part, &site, y, w.minus + (size_t)i*dim*ld, &to);
    }
    if (g->corrected && k->solves_state && !rc) rc = correct(k, at, y, slope);
    if (g->corrected && !rc) rc = correct_transpose(k, at, y, w.minus, &whole);
    if (parameters && together) put_parameters(k, &w, ld, 0, slope);
    for (size_t b = 0; b < at->n && parameters && !together && !rc; b++) {
        rc = one_lane(g, at, b, y, &w);
        put_parameters(k, &w, ld, b, slope);
    }
    return rc;
}

static int prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    const nde_augmented *g = self->ctx;
    int rc = 0;
    for (int i = 0; i < 2 && !rc; i++)
        if (g->part[i] && g->part[i]->prepared)
            rc = g->part[i]->prepare(g->part[i], p ? p + g->part[i]->p_first : NULL, prepared + slice_of(g, i).prepared);
    return rc;
}

nde_field nde_augmented_field(const nde_augmented *g) {
    const nde_back *k = g->back;
    const nde_rhs *r = &k->s->rhs;
    nde_field f = NDE_INIT(nde_field, .name = "way back", .ctx = g, .dim = k->rows, .out = k->rows, .np = r->np, .nq = r->nq,
                           .eval = eval, .prepare = prepare);
    size_t own = 0;
    unsigned traits = (k->shared ? 0 : NDE_LANEWISE) | NDE_LINEAR_IN_U | (k->solves_state ? NDE_AUTONOMOUS : 0);
    for (int i = 0; i < 2; i++) {
        if (!g->part[i]) continue;
        f.nu = larger(f.nu, g->part[i]->nu), own = larger(own, g->part[i]->work), f.prepared += g->part[i]->prepared;
        traits &= g->part[i]->traits;
    }
    if (g->diagonal) f.nu = r->channels + r->dim;
    f.traits = g->corrected ? 0 : traits;
    f.work = nde_aligned_rows(r->dim) + nde_aligned_rows(r->dim + r->nz) + nde_aligned_rows(column_reals(r, f.nu)) +
             nde_aligned_rows(tape_rows(g)) + nde_aligned_rows(r->np*WORDS) + own;
    return f;
}

/* ---- observations ---------------------------------------------------------------------------- */

/* The state of the solve at a save time, and how far the one solved backwards is from it. */
static void anchor(const nde_back *k, size_t who, const nde_real *saved, size_t ld, nde_real *y) {
    const size_t dim = k->s->rhs.dim, N = k->s->N;
    double sum = 0;
    for (size_t i = 0; i < dim; i++) {
        const double distance = (double)y[i*ld] - (double)saved[i*N + who];
        sum += distance*distance;
        y[i*ld] = saved[i*N + who];
    }
    k->deviation[who] = fmax(k->deviation[who], sqrt(sum/(double)dim));
}

static int observe(const nde_field *self, const nde_site *at, const nde_real *state, nde_real *after) {
    const nde_back *k = self->ctx;
    const nde_solver *s = k->s;
    const size_t ld = at->ld, dim = s->rhs.dim, N = s->N;
    for (size_t i = 0; i < k->rows; i++) memcpy(after + i*ld, state + i*ld, at->n*sizeof *after);
    for (size_t b = 0; b < at->n; b++) {
        const size_t who = at->index[b], jump = at->interval[b];
        for (size_t row = k->jump_row[jump + 1]; row < k->jump_row[jump] && row < s->saved[who]; row++) {
            if (k->solves_state) anchor(k, who, s->y_out + row*dim*N, ld, after + b);
            for (size_t i = 0; i < dim && k->seed.y; i++) after[(k->a + i)*ld + b] += k->seed.y[(row*dim + i)*N + who];
        }
    }
    return 0;
}

nde_field nde_augmented_jump(const nde_back *k) {
    return NDE_INIT(nde_field, .name = "observation", .ctx = k, .dim = k->rows, .out = k->rows, .traits = NDE_LANEWISE,
                    .eval = observe);
}
