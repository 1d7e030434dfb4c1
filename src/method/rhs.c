/* SPDX-License-Identifier: MIT
 * rhs.c - the right-hand side of a problem: drift, terms and quadrature as one function of (t,
 * y). */
#include "method/rhs.h"

#include <math.h>
#include <string.h>

#include "field/parts.h"
#include "noise/noise.h"
#include "path/path.h"

/* ---- scratch --------------------------------------------------------------------------------- */

/* Room for the sources of noise. */
static void lay_noise(nde_scratch *s, nde_arena *arena, const nde_rhs *r, size_t ld) {
    s->from = nde_arena_take(arena, ld, sizeof *s->from);
    s->to = nde_arena_take(arena, ld, sizeof *s->to);
    s->noise = nde_arena_take(arena, r->problem.n_terms, sizeof *s->noise);
    s->noise_room = ld;
    for (size_t k = 0; k < r->problem.n_terms; k++) {
        const nde_noise *noise = &r->term[k].noise;
        void *work = r->problem.terms[k].noise ? nde_arena_take(arena, nde_noise_bytes(noise, r->term[k].rates, ld), 1) : NULL;
        if (s->noise) s->noise[k] = work;
        if (work) nde_noise_clear(noise, work, ld);
    }
}

void nde_scratch_lay(nde_scratch *s, nde_arena *arena, const nde_rhs *r, size_t ld, bool derivatives) {
    const size_t real = sizeof(nde_real);
    s->work = nde_arena_take_rows(arena, r->work, ld, real);
    s->u = nde_arena_take_rows(arena, r->u_rows, ld, real);
    s->a_u = nde_arena_take_rows(arena, derivatives ? r->u_rows : 0, ld, real);
    s->value = nde_arena_take_rows(arena, r->problem.n_terms || r->second.field ? r->rows : 0, ld, real);
    s->Y = nde_arena_take_rows(arena, r->dim, ld, real);
    s->a_Y = nde_arena_take_rows(arena, derivatives ? r->dim : 0, ld, real);
    s->t = nde_arena_take(arena, ld, sizeof *s->t);
    s->a_t = nde_arena_take(arena, ld, sizeof *s->a_t);
    s->dw = nde_arena_take_rows(arena, r->rates, ld, sizeof *s->dw);
    s->cell = nde_arena_take(arena, ld, sizeof *s->cell);
    s->cell_first = nde_arena_take(arena, ld, sizeof *s->cell_first);
    s->dh = nde_arena_take_rows(arena, r->areas || r->brackets ? r->rates : 0, ld, sizeof *s->dh);
    s->area = nde_arena_take_rows(arena, r->pairs, ld, sizeof *s->area);
    s->area_work = nde_arena_take_rows(arena, r->brackets ? r->pairs + 3*r->rates : 0, NDE_NOISE_PIECE, sizeof *s->area_work);
    const bool second = r->correction != 0 || r->follows;
    s->along = nde_arena_take_rows(arena, second ? r->dim : 0, ld, real);
    s->a_along = nde_arena_take_rows(arena, second && derivatives ? r->dim : 0, ld, real);
    s->bent = nde_arena_take_rows(arena, second ? r->dim : 0, ld, real);
    s->v_along = nde_arena_take_rows(arena, second && derivatives ? r->dim : 0, ld, real);
    s->unit = nde_arena_take_rows(arena, second && derivatives ? r->dim : 0, ld, real);
    s->row = nde_arena_take_rows(arena, second && derivatives ? r->dim : 0, ld, real);
    if (r->noisy) lay_noise(s, arena, r, ld);
}

nde_site nde_rhs_site(const nde_rhs *r, const nde_lanes *lanes, const nde_part *part, nde_real *tape, size_t tape_ld) {
    const nde_field *f = part->field;
    nde_site at = lanes->site;
    at.p = f->np ? r->problem.p + f->p_first : NULL;
    at.q = f->nq ? at.q + f->q_first*at.ld : NULL;
    at.prepared = f->prepared ? r->prepared_values + part->prepared : NULL;
    at.tape = tape && f->tape ? tape + part->tape*tape_ld : NULL;
    at.tape_ld = tape_ld;
    at.u = NULL;
    return at;
}

void nde_lanes_bind(nde_lanes *lanes, const nde_rhs *r, nde_scratch *scratch) {
    nde_site *at = &lanes->site;
    lanes->scratch = scratch;
    at->kernels = r->kernels;
    at->work = scratch->work;
    at->worker = scratch->worker;
    at->u = NULL;
    if (!r->plain) return;
    const nde_field *f = r->drift.field;
    at->p = f->np ? r->problem.p + f->p_first : NULL;
    at->prepared = f->prepared ? r->prepared_values + r->drift.prepared : NULL;
}

/* ---- evaluation ------------------------------------------------------------------------------ */

static const nde_term *term_at(const nde_rhs *r, size_t k) { return &r->problem.terms[k]; }

/* Lanes that stand still have no direction. */
static bool runs_back(size_t n, const double *dt) {
    for (size_t b = 0; b < n; b++)
        if (dt[b] != 0) return dt[b] < 0;
    return false;
}

/* to [n]: each trajectory's own, or one for all. */
static void spread(size_t n, const size_t *who, const double *each, double all, double *restrict to) {
    if (each)
        for (size_t b = 0; b < n; b++) to[b] = each[who[b]];
    else
        for (size_t b = 0; b < n; b++) to[b] = all;
}

/* first [n]: cells from step `zero` on, `cells` a step. */
static void number_cells(size_t n, const int64_t *step, int64_t zero, int64_t cells, int64_t *restrict first) {
    for (size_t b = 0; b < n; b++) first[b] = step[b] - zero;
    for (size_t b = 0; b < n && cells != 1; b++) first[b] *= cells;
}

/* The slopes of a noise term. */
static void begin_noise(const nde_rhs *r, const nde_lanes *lanes, size_t k, const double *t, const double *dt,
                        const int64_t *step) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    const nde_problem *q = &r->problem;
    const size_t *who = lanes->site.index;
    const nde_part *part = &r->term[k];
    nde_scratch *s = lanes->scratch;
    nde_noise noise = part->noise;
    noise.seed = term_at(r, k)->noise->seed; /* may change between runs */
    const int64_t cells = noise.grid && noise.source != NDE_SOURCE_TREE ? noise.grid/r->steps : 1;
    const bool back = runs_back(n, dt); /* the path is that of its span, whichever way it is gone */
    double *const from = back ? s->to : s->from, *const to = back ? s->from : s->to;
    spread(n, who, q->t0_each, q->t0, from);
    spread(n, who, q->t1_each, q->t1, to);
    for (size_t b = 0; b < n; b++) s->cell[b] = t[b] + dt[b];
    number_cells(n, step, back ? r->steps - 1 : 0, back ? -cells : cells, s->cell_first);
    const nde_noise_at at = { .n = n, .ld = ld, .trajectory = who, .t0 = s->from, .t1 = s->to, .s = back ? s->cell : t,
                              .t = back ? t : s->cell, .first = s->cell_first, .count = cells,
                              .grid = r->steps > 0 ? r->steps*cells : 1, .N = r->N, .isa = r->kernels->isa, .work = s->noise[k],
                              .room = s->noise_room };
    const double *stored = r->areas || r->brackets ? NULL : nde_noise_stored(&noise, &at, part->rates);
    if (r->brackets) nde_noise_area(&noise, &at, part->rates, s->dw, s->dh, s->area, s->area_work);
    else if (!stored) nde_noise_over(&noise, &at, part->rates, s->dw, r->areas ? s->dh : NULL, NULL);
    nde_real *rate = lanes->rate + part->rate*ld;
    double *inverse = s->cell;
    const size_t count = nde_are_equal(n, dt) ? 1 : n;
    for (size_t b = 0; b < count; b++) inverse[b] = dt[b] != 0 ? 1/fabs(dt[b]) : 0;
    for (size_t b = count; b < n; b++) inverse[b] = inverse[0];
    r->kernels->step->scale(part->rates, n, ld, inverse, stored ? stored : s->dw, stored ? r->N : ld, rate);
    if (r->brackets) r->kernels->step->scale(r->pairs, n, ld, inverse, s->area, ld, lanes->rate + r->rates*ld);
    if (!r->areas) return;
    r->kernels->step->scale_sum(part->rates, n, ld, inverse, s->dh, s->dw, rate + r->rates*ld);
}

/* Rows of sqrt(h) and its inverse. */
static void put_roots(size_t n, const double *dt, nde_real *root, size_t ld) {
    const size_t count = nde_are_equal(n, dt) ? 1 : n;
    for (size_t b = 0; b < count; b++) {
        const double h = dt[b] > 0 ? sqrt(dt[b]) : 0;
        root[b] = (nde_real)h, root[ld + b] = (nde_real)(h > 0 ? 1/h : 0);
    }
    for (size_t b = count; b < n; b++) root[b] = root[0], root[ld + b] = root[ld];
}

void nde_rhs_begin(const nde_rhs *r, const nde_lanes *lanes, const double *t, const double *dt,
                   const int64_t *step) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    const nde_problem *q = &r->problem;
    if (r->driven) put_roots(n, dt, lanes->rate + 3*r->rates*ld, ld);
    if (q->splitting && r->paced) /* what stands still multiplies its slope with 0, which must be finite */
        for (size_t b = 0; b < n; b++) lanes->rate[b] = dt[b] != 0 ? (nde_real)dt[b] : 1;
    for (size_t k = 0; k < q->n_terms; k++) {
        const nde_path *path = term_at(r, k)->path;
        size_t *piece = lanes->piece + r->term[k].piece*ld;
        if (path) for (size_t b = 0; b < n; b++) piece[b] = nde_path_piece(path, t[b] + 0.5*dt[b]);
        else begin_noise(r, lanes, k, t, dt, step);
    }
}

/* They are continuous, so that a step may pass over knots: the piece is that of the stage. */
void nde_rhs_inputs(const nde_rhs *r, nde_lanes *lanes, const double *t) {
    if (!r->channels) return;
    for (size_t b = 0; b < lanes->site.n; b++) lanes->piece[b] = nde_path_piece(r->problem.input, t[b]);
    nde_path_value(r->problem.input, r->N, lanes->site.n, lanes->site.ld, lanes->site.index,
                   lanes->piece, t, lanes->scratch->u);
}

/* A row of an array that is NULL where it has none. */
static nde_real *row_at(nde_real *x, size_t row, size_t ld) { return x ? x + row*ld : NULL; }

/* The rows of u after them: what drives term k. */
static void drive(const nde_rhs *r, nde_lanes *lanes, size_t k) {
    const nde_term *term = term_at(r, k);
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    nde_real *u = row_at(lanes->scratch->u, r->channels, ld);
    if (term->path)
        nde_path_slope(term->path, r->N, n, ld, lanes->site.index, lanes->piece + r->term[k].piece*ld,
                       u);
    else if (term->kind != NDE_NOISE_DIAGONAL)
        memcpy(u, nde_rhs_rate(r, lanes, k), r->term[k].rates*ld*sizeof *u);
}

/* The part of the drift whose turn it is; its tau stands behind its inputs. */
static const nde_part *part_in_turn(const nde_rhs *r, nde_lanes *lanes) {
    const nde_part *part = lanes->turned ? &r->second : &r->drift;
    if (!r->problem.splitting || !nde_is_flow(r, part->field)) return part;
    nde_real *tau = lanes->scratch->u + r->channels*lanes->site.ld;
    for (size_t b = 0; b < lanes->site.n; b++) tau[b] = lanes->share*lanes->rate[b];
    return part;
}

static bool is_diagonal(const nde_term *term) {
    return term->noise && term->kind == NDE_NOISE_DIAGONAL;
}

/* Where the piece of term k stands behind the first one; 0: it is added to that. */
static size_t piece_of(const nde_rhs *r, const nde_lanes *lanes, size_t k) {
    return is_diagonal(term_at(r, k)) ? (1 + r->term[k].rate/r->dim)*lanes->apart : 0;
}

/* Has term k no part in this stage? */
static bool is_out(const nde_rhs *r, const nde_lanes *lanes, size_t k) {
    return lanes->turn != NDE_TURN_ALL && (lanes->turn == NDE_TURN_NOISE) != (term_at(r, k)->noise != NULL);
}

void nde_rhs_add(const nde_rhs *r, const nde_lanes *lanes, size_t k, const nde_real *value, nde_real *to) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    if (is_diagonal(term_at(r, k))) {
        nde_rhs_times_rate(r, lanes, k, value, true, to);
        return;
    }
    for (size_t i = 0; i < r->dim; i++)
        for (size_t b = 0; b < n; b++) to[i*ld + b] += value[i*ld + b];
}

static void zero(nde_real *x, size_t rows, size_t n, size_t ld) {
    for (size_t i = 0; i < rows; i++) memset(x + i*ld, 0, n*sizeof *x);
}

/* All bits set are a NaN. */
static void poison(nde_real *x, size_t n) { memset(x, 0xff, n*sizeof *x); }

/* Term j, added to k; `alone`: it is all of k. */
static int eval_term(const nde_rhs *r, nde_lanes *lanes, size_t j, const double *t, const nde_real *y, nde_real *k, bool alone,
                     nde_real *tape, size_t tape_ld) {
    const nde_field *f = r->term[j].field;
    const size_t piece = piece_of(r, lanes, j);
    nde_real *value = piece ? k + piece : alone ? k : lanes->scratch->value;
    nde_site at = nde_rhs_site(r, lanes, &r->term[j], tape, tape_ld);
    drive(r, lanes, j);
    at.t = t, at.u = f->nu ? lanes->scratch->u : NULL;
    poison(value, lanes->site.n);
    const int rc = f->eval(f, &at, y, value);
    if (rc || piece) return rc;
    if (!alone) nde_rhs_add(r, lanes, j, value, k);
    else if (is_diagonal(term_at(r, j))) nde_rhs_times_rate(r, lanes, j, k, false, k);
    return 0;
}

static int eval_all(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y, nde_real *k,
                    nde_real *tape, size_t tape_ld) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    const nde_real *u = lanes->scratch->u;
    nde_rhs_inputs(r, lanes, t);
    const nde_part *drift = part_in_turn(r, lanes);
    const bool still = lanes->turn == NDE_TURN_NOISE, alone = still && r->problem.n_terms == 1 && !r->brackets;
    if (drift->field && !still) {
        nde_site at = nde_rhs_site(r, lanes, drift, tape, tape_ld);
        at.t = t, at.u = drift->field->nu ? u : NULL;
        const int rc = drift->field->eval(drift->field, &at, y, k);
        if (rc) return rc;
    } else if (!alone) {
        zero(k, r->dim, n, ld);
    }
    if (r->correction != 0 && !still) {
        const int rc = nde_correction_eval(r, lanes, t, y, k);
        if (rc) return rc;
    }
    if (r->brackets) {
        const int rc = nde_bracket_eval(r, lanes, t, y, k);
        if (rc) return rc;
    }
    for (size_t j = 0; j < r->problem.n_terms; j++) {
        if (is_out(r, lanes, j)) continue;
        const int rc = eval_term(r, lanes, j, t, y, k, alone, tape, tape_ld);
        if (rc) return rc;
    }
    if (!r->nz) return 0;
    if (still) return zero(k + r->dim*ld, r->nz, n, ld), 0;
    const nde_field *f = r->quadrature.field;
    nde_site at = nde_rhs_site(r, lanes, &r->quadrature, tape, tape_ld);
    at.t = t, at.u = f->nu ? u : NULL;
    poison(k + r->dim*ld, n);
    return f->eval(f, &at, y, k + r->dim*ld);
}

int nde_rhs_eval(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y, nde_real *k,
                 nde_real *tape, size_t tape_ld) {
    poison(k + (lanes->site.flags & NDE_VELOCITIES ? r->problem.split*lanes->site.ld : 0), lanes->site.n);
    if (!r->plain) return eval_all(r, lanes, t, y, k, tape, tape_ld);
    nde_site *at = &lanes->site;
    const nde_field *f = r->drift.field;
    at->t = t, at->tape = f->tape ? tape : NULL, at->tape_ld = tape_ld;
    return f->eval(f, at, y, k);
}

int nde_rhs_eval_whole(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y, nde_real *k) {
    const int rc = nde_rhs_eval(r, lanes, t, y, k, NULL, 0);
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    nde_real *value = lanes->scratch->value;
    if (rc || !r->second.field) return rc;
    lanes->turned = true;
    const int second = nde_rhs_eval(r, lanes, t, y, value, NULL, 0);
    lanes->turned = false;
    for (size_t e = 0; e < r->dim*ld; e += ld)
        for (size_t b = 0; b < n; b++) k[e + b] += value[e + b];
    return second;
}

int nde_part_eval(const nde_rhs *r, nde_lanes *lanes, const nde_part *part, const double *t, const nde_real *y, nde_real *out) {
    nde_site at = nde_rhs_site(r, lanes, part, NULL, 0);
    at.t = t;
    if (part->field->nu) nde_rhs_inputs(r, lanes, t), at.u = lanes->scratch->u;
    poison(out, at.n);
    return part->field->eval(part->field, &at, y, out);
}

/* ---- windows of parameter gradients ---------------------------------------------------------- */

void nde_window_lay(nde_ring *w, nde_arena *arena, const nde_rhs *r, size_t panel_ld) {
    w->ld = nde_leading_dimension(NDE_WINDOW, sizeof *w->tape);
    w->delta = nde_arena_take_rows(arena, r->cotape, panel_ld, sizeof *w->delta);
    if (!r->cotape) return;
    w->tape = nde_arena_take_rows(arena, r->tape, w->ld, sizeof *w->tape);
    w->cotape = nde_arena_take_rows(arena, r->cotape, w->ld, sizeof *w->cotape);
}

static int window_part(const nde_rhs *r, const nde_lanes *lanes, const nde_part *part, size_t n,
                       nde_real *tape, size_t tape_ld, const nde_real *cotape, double *p) {
    const nde_field *f = part->field;
    if (!f || !f->vjp_window) return 0;
    nde_site at = nde_rhs_site(r, lanes, part, tape, tape_ld);
    at.n = n, at.t = NULL, at.index = at.interval = NULL, at.q = NULL, at.lane = NULL;
    return f->vjp_window(f, &at, cotape + part->cotape*tape_ld, p + f->p_first);
}

static int window_add(const nde_rhs *r, const nde_lanes *lanes, size_t n, nde_real *tape,
                      size_t tape_ld, const nde_real *cotape, double *p) {
    int rc = window_part(r, lanes, &r->drift, n, tape, tape_ld, cotape, p);
    for (size_t k = 0; k < r->problem.n_terms && !rc; k++)
        rc = window_part(r, lanes, &r->term[k], n, tape, tape_ld, cotape, p);
    return rc ? rc : window_part(r, lanes, &r->quadrature, n, tape, tape_ld, cotape, p);
}

int nde_window_flush(nde_ring *w, const nde_rhs *r, const nde_lanes *lanes, double *p) {
    const size_t used = w->used;
    w->used = 0;
    return used && p ? window_add(r, lanes, used, w->tape, w->ld, w->cotape, p) : 0;
}

/* ---- transpose ------------------------------------------------------------------------------- */

/* One field's vjp; where wanted, the cotangent of u goes back to the input path. */
static int vjp_part(const nde_rhs *r, nde_lanes *lanes, const nde_part *part, const double *t,
                    const nde_real *y, const nde_real *a, nde_real *tape, size_t tape_ld,
                    nde_real *cotape, nde_real *a_y, bool want_u, const nde_sink *sink) {
    const nde_field *f = part->field;
    nde_scratch *s = lanes->scratch;
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    nde_site at = nde_rhs_site(r, lanes, part, tape, tape_ld);
    at.t = t, at.u = f->nu ? s->u : NULL;
    want_u = want_u && f->nu;
    if (want_u) zero(s->a_u, f->nu, n, ld);
    nde_cotangent to = {
        .t = sink->t,
        .y = a_y,
        .u = want_u ? s->a_u : NULL,
        .q = sink->q && f->nq ? sink->q + f->q_first*ld : NULL,
        .p = sink->p && f->np ? sink->p + f->p_first : NULL,
        .cotape = cotape && f->vjp_window ? cotape + part->cotape*tape_ld : NULL,
    };
    const int rc = f->vjp(f, &at, y, a, &to);
    if (!rc && want_u && r->channels)
        nde_path_value_transpose(r->problem.input, r->N, n, ld, at.index, lanes->piece, t, s->a_u,
                                 sink->x_input, sink->t);
    return rc;
}

/* Term k: also the cotangents of what drives it. */
static int vjp_term(const nde_rhs *r, nde_lanes *lanes, size_t k, const double *t, const nde_real *y,
                    const nde_real *a, nde_real *tape, size_t tape_ld, nde_real *cotape, nde_real *a_y,
                    const nde_sink *sink) {
    const nde_term *term = term_at(r, k);
    const nde_part *part = &r->term[k];
    nde_scratch *s = lanes->scratch;
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    const size_t piece = piece_of(r, lanes, k);
    drive(r, lanes, k);
    if (piece) {
        a += piece;
    } else if (is_diagonal(term)) { /* k = g rate: the field sees a rate; the rate sees a g */
        if (sink->noise) {
            nde_site at = nde_rhs_site(r, lanes, part, NULL, tape_ld);
            at.t = t, at.u = part->field->nu ? s->u : NULL;
            const int rc = part->field->eval(part->field, &at, y, s->value);
            if (rc) return rc;
            const nde_real *rate = nde_rhs_rate(r, lanes, k);
            for (size_t i = 0; i < r->dim; i++)
                for (size_t b = 0; b < n; b++)
                    sink->noise[b] -= 0.5*(double)a[i*ld + b]*(double)s->value[i*ld + b] *
                                      (double)rate[i*ld + b];
        }
        nde_rhs_times_rate(r, lanes, k, a, false, s->value);
        a = s->value;
    }
    nde_real *a_x = sink->x_term ? sink->x_term[k] : NULL;
    const bool want_u =
        a_x || (sink->noise && term->noise) || (r->channels && (sink->x_input || sink->t));
    const int rc = vjp_part(r, lanes, part, t, y, a, tape, tape_ld, cotape, a_y, want_u, sink);
    if (rc || !want_u || !part->field->nu) return rc;
    const nde_real *a_drive = s->a_u + r->channels*ld;
    if (term->path) {
        if (a_x)
            nde_path_slope_transpose(term->path, r->N, n, ld, lanes->site.index,
                                     lanes->piece + part->piece*ld, a_drive, a_x);
    } else if (sink->noise && !is_diagonal(term)) {
        const nde_real *rate = nde_rhs_rate(r, lanes, k);
        for (size_t i = 0; i < part->rates; i++)
            for (size_t b = 0; b < n; b++)
                sink->noise[b] -= 0.5*(double)a_drive[i*ld + b]*(double)rate[i*ld + b];
    }
    return 0;
}

/* The cotangent of h, times h, from that of tau. */
static void add_pace(const nde_rhs *r, const nde_lanes *lanes, const nde_sink *sink) {
    const size_t row = r->channels*lanes->site.ld;
    for (size_t b = 0; b < lanes->site.n; b++)
        sink->noise[b] += (double)lanes->scratch->u[row + b]*(double)lanes->scratch->a_u[row + b];
}

static int vjp_all(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y,
                   const nde_real *a, nde_real *tape, size_t tape_ld, nde_real *cotape, nde_real *a_y,
                   const nde_sink *sink) {
    const bool want_u = r->channels && (sink->x_input || sink->t);
    nde_rhs_inputs(r, lanes, t);
    const nde_part *drift = part_in_turn(r, lanes);
    const bool still = lanes->turn == NDE_TURN_NOISE;
    if (drift->field && !still) {
        const bool flows = r->problem.splitting && sink->noise && nde_is_flow(r, drift->field);
        const int rc = vjp_part(r, lanes, drift, t, y, a, tape, tape_ld, cotape, a_y, want_u || flows, sink);
        if (rc) return rc;
        if (flows) add_pace(r, lanes, sink);
    }
    if (r->correction != 0 && !still) {
        const int rc = nde_correction_vjp(r, lanes, t, y, a, a_y, sink);
        if (rc) return rc;
    }
    if (r->brackets) {
        const int rc = nde_bracket_vjp(r, lanes, t, y, a, a_y, sink);
        if (rc) return rc;
    }
    for (size_t k = 0; k < r->problem.n_terms; k++) {
        if (is_out(r, lanes, k)) continue;
        const int rc = vjp_term(r, lanes, k, t, y, a, tape, tape_ld, cotape, a_y, sink);
        if (rc) return rc;
    }
    if (!r->nz || still) return 0;
    return vjp_part(r, lanes, &r->quadrature, t, y, a + r->dim*lanes->site.ld, tape, tape_ld, cotape,
                    a_y, want_u, sink);
}

static void put_columns(size_t rows, size_t n, const nde_real *from, size_t from_ld, nde_real *to, size_t ld) {
    if (n == 1) { /* half the time of the loops below */
        for (size_t i = 0; i < rows; i++) to[i*ld] = from[i*from_ld];
        return;
    }
    for (size_t i = 0; i < rows; i++, from += from_ld, to += ld)
        for (size_t b = 0; b < n; b++) to[b] = from[b];
}

/* Of a plain problem: what lanes hold is the drift's already. */
static int vjp_plain(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *a, nde_real *tape,
                     size_t tape_ld, nde_real *cotape, nde_real *a_y, const nde_sink *sink) {
    nde_site *at = &lanes->site;
    const nde_field *f = r->drift.field;
    at->t = t, at->tape = f->tape ? tape : NULL, at->tape_ld = tape_ld;
    nde_cotangent to = { .t = sink->t, .y = a_y, .q = f->nq ? sink->q : NULL,
                         .p = sink->p && f->np ? sink->p + f->p_first : NULL, .cotape = f->vjp_window ? cotape : NULL };
    return f->vjp(f, at, y, a, &to);
}

int nde_rhs_vjp(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y,
                const nde_real *a, nde_real *tape, size_t tape_ld, nde_real *a_y,
                const nde_sink *sink) {
    const size_t n = lanes->site.n;
    nde_ring *w = sink->window;
    int (*const vjp)(const nde_rhs *, nde_lanes *, const double *, const nde_real *, const nde_real *, nde_real *, size_t,
                     nde_real *, nde_real *, const nde_sink *) = r->plain ? vjp_plain : vjp_all;
    if (!w || !r->cotape || !sink->p) return vjp(r, lanes, t, y, a, tape, tape_ld, NULL, a_y, sink);
    int rc = vjp(r, lanes, t, y, a, tape, tape_ld, w->delta, a_y, sink);
    if (rc || n >= NDE_WINDOW_DIRECT)
        return rc ? rc : window_add(r, lanes, n, tape, tape_ld, w->delta, sink->p);
    if (w->used + n > NDE_WINDOW && (rc = nde_window_flush(w, r, lanes, sink->p))) return rc;
    put_columns(r->tape, n, tape, tape_ld, w->tape + w->used, w->ld);
    put_columns(r->cotape, n, w->delta, tape_ld, w->cotape + w->used, w->ld);
    w->used += n;
    return 0;
}

int nde_part_vjp(const nde_rhs *r, nde_lanes *lanes, const nde_part *part, const double *t, const nde_real *y,
                 const nde_real *a, nde_real *a_y, const nde_sink *sink) {
    if (part->field->nu) nde_rhs_inputs(r, lanes, t);
    return vjp_part(r, lanes, part, t, y, a, NULL, 0, NULL, a_y, r->channels && (sink->x_input || sink->t), sink);
}

/* ---- tangent --------------------------------------------------------------------------------- */

/* A field that knows several directions gets them all. */
static void put_directions(const nde_rhs *r, const nde_field *f, const nde_source *from, nde_tangent *v) {
    if (!(f->traits & NDE_DIRECTIONS) || from->directions <= 1) return;
    v->lanes = from->lanes, v->p_stride = r->np;
}

static int jvp_part(const nde_rhs *r, nde_lanes *lanes, const nde_part *part, const double *t,
                    const nde_real *y, const nde_real *v_y, const nde_real *v_u, const nde_source *from,
                    nde_real *v) {
    const nde_field *f = part->field;
    nde_site at = nde_rhs_site(r, lanes, part, NULL, 0);
    at.t = t, at.u = f->nu ? lanes->scratch->u : NULL;
    nde_tangent tangent = {
        .t = from->t,
        .y = v_y,
        .u = f->nu ? v_u : NULL,
        .q = from->q && f->nq ? from->q + f->q_first*at.ld : NULL,
        .p = from->p && f->np ? from->p + f->p_first : NULL,
    };
    put_directions(r, f, from, &tangent);
    return f->jvp(f, &at, y, &tangent, v);
}

static size_t path_reals(const nde_rhs *r, const nde_path *path) { return path ? path->knots*path->channels*r->N : 0; }

static const nde_real *term_direction(const nde_rhs *r, size_t k, const nde_source *from) {
    const nde_real *x = from->x_term ? from->x_term[k] : NULL;
    return x ? x + from->first*path_reals(r, term_at(r, k)->path) : NULL;
}

static int jvp_term(const nde_rhs *r, nde_lanes *lanes, size_t k, const double *t, const nde_real *y,
                    const nde_real *v_y, const nde_source *from, nde_real *v_k) {
    const nde_term *term = term_at(r, k);
    const nde_part *part = &r->term[k];
    nde_scratch *s = lanes->scratch;
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    const nde_real *rate = nde_rhs_rate(r, lanes, k);
    nde_real *v_drive = row_at(s->a_u, r->channels, ld);
    drive(r, lanes, k);
    if (term->path)
        nde_path_slope_tangent(term->path, r->N, n, ld, lanes->site.index,
                               lanes->piece + part->piece*ld, term_direction(r, k, from), v_drive);
    else if (!is_diagonal(term))
        for (size_t i = 0; i < part->rates; i++)
            for (size_t b = 0; b < n; b++)
                v_drive[i*ld + b] =
                    from->v_h && from->h[b] != 0
                        ? (nde_real)(-0.5*(double)rate[i*ld + b]*from->v_h[b]/from->h[b])
                        : 0;
    const size_t piece = piece_of(r, lanes, k);
    int rc = jvp_part(r, lanes, part, t, y, v_y, s->a_u, from, piece ? v_k + piece : s->value);
    if (rc || piece) return rc;
    nde_rhs_add(r, lanes, k, s->value, v_k);
    if (!is_diagonal(term) || !from->v_h) return 0; /* lanes that stand still have rate 0 */
    nde_site at = nde_rhs_site(r, lanes, part, NULL, 0);
    at.t = t, at.u = part->field->nu ? s->u : NULL;
    if ((rc = part->field->eval(part->field, &at, y, s->value))) return rc;
    for (size_t i = 0; i < r->dim; i++)
        for (size_t b = 0; b < n; b++)
            if (from->h[b] != 0)
                v_k[i*ld + b] -= (nde_real)(0.5*(double)s->value[i*ld + b] *
                                              (double)rate[i*ld + b]*from->v_h[b]/from->h[b]);
    return 0;
}

/* Values of the input path, and their tangents. */
void nde_rhs_input_tangents(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_source *from) {
    nde_rhs_inputs(r, lanes, t);
    if (r->channels)
        nde_path_value_tangent(r->problem.input, r->N, lanes->site.n, lanes->site.ld, lanes->site.index, lanes->piece, t,
                               from->x_input, from->t, lanes->scratch->a_u);
}

/* Lanes and source of direction d alone. */
static void narrow(const nde_rhs *r, size_t d, nde_lanes *lanes, nde_scratch *s, nde_source *from) {
    const size_t b = d*from->lanes;
    nde_site *at = &lanes->site;
    *s = *lanes->scratch, lanes->scratch = s;
    at->n = from->lanes, at->index += b, at->interval += b, at->lane += b;
    if (at->q) at->q += b;
    if (lanes->piece) lanes->piece += b;
    if (lanes->rate) lanes->rate += b;
    if (s->u) s->u += b, s->a_u += b;
    if (s->value) s->value += b;
    if (from->p) from->p += d*r->np;
    if (from->q) from->q += b;
    if (from->x_input) from->x_input += d*path_reals(r, r->problem.input);
    if (from->t) from->t += b;
    if (from->v_h) from->h += b, from->v_h += b;
    from->first += d, from->directions = 1;
}

/* Can the fields of the right-hand side, or one beside it, see the lanes of all directions at once? */
static bool knows_directions(const nde_field *f) { return !f || !f->np || f->traits & NDE_DIRECTIONS; }
static bool are_together(const nde_source *from, bool known) {
    return from->directions <= 1 || !(from->x_input || from->x_term || (from->p && !known));
}
static bool all_together(const nde_rhs *r, const nde_source *from) {
    bool known = knows_directions(r->drift.field) && knows_directions(r->second.field) && knows_directions(r->quadrature.field);
    for (size_t k = 0; k < r->problem.n_terms; k++) known = known && knows_directions(r->term[k].field);
    return are_together(from, known);
}

static int jvp_all(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *v_y,
                   const nde_source *from, nde_real *v_k) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    nde_scratch *s = lanes->scratch;
    nde_rhs_input_tangents(r, lanes, t, from);
    int rc = 0;
    const nde_part *drift = part_in_turn(r, lanes);
    if (r->problem.splitting && nde_is_flow(r, drift->field))
        for (size_t b = 0; b < n; b++) s->a_u[r->channels*ld + b] = from->v_h ? lanes->share*(nde_real)from->v_h[b] : 0;
    const bool still = lanes->turn == NDE_TURN_NOISE;
    if (drift->field && !still)
        rc = jvp_part(r, lanes, drift, t, y, v_y, s->a_u, from, v_k);
    else
        zero(v_k, r->dim, n, ld);
    if (!rc && r->correction != 0 && !still) rc = nde_correction_jvp(r, lanes, t, y, v_y, from, v_k);
    if (!rc && r->brackets) rc = nde_bracket_jvp(r, lanes, t, y, v_y, from, v_k);
    for (size_t k = 0; k < r->problem.n_terms && !rc; k++)
        if (!is_out(r, lanes, k)) rc = jvp_term(r, lanes, k, t, y, v_y, from, v_k);
    if (rc || !r->nz) return rc;
    if (still) return zero(v_k + r->dim*ld, r->nz, n, ld), 0;
    return jvp_part(r, lanes, &r->quadrature, t, y, v_y, s->a_u, from, v_k + r->dim*ld);
}

int nde_rhs_jvp(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *v_y,
                const nde_source *from, nde_real *v_k) {
    int rc = 0;
    if (all_together(r, from)) return jvp_all(r, lanes, t, y, v_y, from, v_k);
    for (size_t d = 0, b = 0; d < from->directions && !rc; d++, b += from->lanes) {
        nde_lanes part = *lanes;
        nde_scratch scratch;
        nde_source along = *from;
        narrow(r, d, &part, &scratch, &along);
        rc = jvp_all(r, &part, t + b, y + b, v_y + b, &along, v_k + b);
    }
    return rc;
}

static int jvp_beside(const nde_rhs *r, nde_lanes *lanes, const nde_part *part, const double *t, const nde_real *y,
                      const nde_real *v_y, const nde_source *from, nde_real *v) {
    if (part->field->nu) nde_rhs_input_tangents(r, lanes, t, from);
    return jvp_part(r, lanes, part, t, y, v_y, lanes->scratch->a_u, from, v);
}

int nde_part_jvp(const nde_rhs *r, nde_lanes *lanes, const nde_part *part, const double *t, const nde_real *y,
                 const nde_real *v_y, const nde_source *from, nde_real *v) {
    int rc = 0;
    if (are_together(from, knows_directions(part->field))) return jvp_beside(r, lanes, part, t, y, v_y, from, v);
    for (size_t d = 0, b = 0; d < from->directions && !rc; d++, b += from->lanes) {
        nde_lanes some = *lanes;
        nde_scratch scratch;
        nde_source along = *from;
        narrow(r, d, &some, &scratch, &along);
        rc = jvp_beside(r, &some, part, t + b, y + b, v_y + b, &along, v + b);
    }
    return rc;
}

nde_source nde_source_along(const nde_rhs *r, const nde_source *all, size_t d) {
    nde_source from = *all;
    if (from.p) from.p += d*r->np;
    if (from.x_input) from.x_input += d*path_reals(r, r->problem.input);
    from.first += d, from.directions = 1;
    return from;
}

/* ---- jumps ----------------------------------------------------------------------------------- */

static nde_site jump_site(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *u) {
    nde_site at = nde_rhs_site(r, lanes, &r->jump, NULL, 0);
    at.t = t, at.u = r->problem.jump_inputs ? u : NULL;
    return at;
}

int nde_jump_eval(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y,
                  const nde_real *u, nde_real *z) {
    const nde_site at = jump_site(r, lanes, t, u);
    poison(z, lanes->site.n);
    return r->jump.field->eval(r->jump.field, &at, y, z);
}

int nde_jump_vjp(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y,
                 const nde_real *u, const nde_real *a, nde_real *a_y, nde_real *a_u,
                 const nde_sink *sink) {
    const nde_field *f = r->jump.field;
    const nde_site at = jump_site(r, lanes, t, u);
    nde_cotangent to = {
        .t = sink->t,
        .y = a_y,
        .u = f->nu ? a_u : NULL,
        .q = sink->q && f->nq ? sink->q + f->q_first*at.ld : NULL,
        .p = sink->p && f->np ? sink->p + f->p_first : NULL,
    };
    return f->vjp(f, &at, y, a, &to);
}

static int jump_jvp(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y,
                    const nde_real *u, const nde_real *v_y, const nde_real *v_u, const nde_source *from,
                    nde_real *v_z) {
    const nde_field *f = r->jump.field;
    const nde_site at = jump_site(r, lanes, t, u);
    nde_tangent tangent = {
        .t = from->t,
        .y = v_y,
        .u = f->nu ? v_u : NULL,
        .q = from->q && f->nq ? from->q + f->q_first*at.ld : NULL,
        .p = from->p && f->np ? from->p + f->p_first : NULL,
    };
    put_directions(r, f, from, &tangent);
    return f->jvp(f, &at, y, &tangent, v_z);
}

int nde_jump_jvp(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y, const nde_real *u, const nde_real *v_y,
                 const nde_real *v_u, const nde_source *from, nde_real *v_z) {
    int rc = 0;
    if (are_together(from, knows_directions(r->jump.field))) return jump_jvp(r, lanes, t, y, u, v_y, v_u, from, v_z);
    for (size_t d = 0, b = 0; d < from->directions && !rc; d++, b += from->lanes) {
        nde_lanes part = *lanes;
        nde_scratch scratch;
        nde_source along = *from;
        narrow(r, d, &part, &scratch, &along);
        rc = jump_jvp(r, &part, t + b, y + b, u ? u + b : NULL, v_y + b, v_u ? v_u + b : NULL, &along, v_z + b);
    }
    return rc;
}
