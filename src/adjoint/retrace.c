/* SPDX-License-Identifier: MIT
 * retrace.c - steps of one trajectory made again, and the way back over those that are at hand, in a loop; compiled once for
 * each instruction set. The cotangent of slope j is gathered by a column of the table when its stage has its turn. Letters: dim
 * of a state; slab j of a [s][dim] is the cotangent of slope j until then, afterwards that of the state of stage j; slab j of A
 * is the latter, slab s that of the new state. */
#include "adjoint/retrace.h"
#include "core/isa.h"
#include "method/one.h"
#include "solve/entry.h"

#include <string.h>

enum { KNOWN_DIM = 3, KNOWN = 8*KNOWN_DIM }; /* where the table is known: rows of a state, and of the slabs of A */
static const nde_real nothing[KNOWN_DIM] = { 0 };

static inline __attribute__((always_inline)) void zero(size_t dim, nde_real *x) {
    const nde_pair none = { 0, 0 };
    if (dim == 2) nde_pair_put(none, x);
    else if (dim == 3) nde_pair_put(none, x), x[2] = 0;
    else
        for (size_t i = 0; i < dim; i++) x[i] = 0;
}

static inline __attribute__((always_inline)) void copy(size_t dim, const nde_real *from, nde_real *x) {
    if (dim == 2) nde_pair_put(nde_pair_at(from), x);
    else
        for (size_t i = 0; i < dim; i++) x[i] = from[i];
}

static inline __attribute__((always_inline)) void add(size_t dim, const nde_real *from, nde_real *x) {
    if (dim == 2) nde_pair_put(nde_pair_at(x) + nde_pair_at(from), x);
    else
        for (size_t i = 0; i < dim; i++) x[i] += from[i];
}

/* ---- a step ---------------------------------------------------------------------------------- */

/* What a step is undone with. */
typedef struct way {
    nde_solver *s;
    nde_worker *w;
    const nde_seed *seed;
    const nde_sink *sink;
    nde_cotangent to;
    bool windowed, saved, adaptive;
    nde_real *a, *a_y;
    nde_real h, *tape;           /* of the step */
    const nde_real *k;
} way;

static way begin(nde_solver *s, nde_worker *w, const nde_seed *seed, const nde_sink *sink) {
    const nde_field *f = s->rhs.drift.field;
    nde_panel *r = &w->replica;
    r->trajectory[0] = w->who[0], r->mark[0] = NDE_LANE_OK, r->accept[0] = 1;
    nde_panel_resize(r, 1);
    r->lanes.site.t = w->scratch.t, r->lanes.site.tape_ld = 1;
    return (way){
        .s = s, .w = w, .seed = seed, .sink = sink, .a = w->a_k, .a_y = w->a_y,
        .to = { .q = f->nq ? sink->q : NULL, .p = sink->p && f->np ? sink->p + f->p_first : NULL },
        .windowed = s->rhs.cotape && sink->p, .adaptive = s->options.steps <= 0,
        .saved = seed->y && s->saving != NDE_SAVE_END && s->status[w->who[0]] >= 0
    };
}

/* Puts the step into the replica, as far as anything after it looks there. */
static void stand(size_t dim, const way *v, const nde_entry *e) {
    nde_panel *r = &v->w->replica;
    for (size_t i = 0; i < dim; i++) r->y[i] = e->y[i];
    r->t[0] = e->t[0], r->t_new[0] = e->t_new[0];
    r->dt[0] = nde_step_length(v->s, v->w->who[0], e->t[0], e->t_new[0]);
}

/* Slopes and tape of the step: those of the record, else attempted again. */
static inline __attribute__((always_inline)) int load(size_t dim, const nde_method *known, way *v, const nde_entry *e) {
    nde_solver *s = v->s;
    nde_panel *r = &v->w->replica;
    v->tape = e->tape;
    if ((v->k = r->k = e->k) && (e->tape || !s->rhs.tape)) return 0;
    stand(dim, v, e);
    v->k = r->k = r->own_k, v->tape = v->w->tape;
    const int rc = s->table.fsal ? nde_rhs_eval(&s->rhs, &r->lanes, r->t, r->y, r->k, NULL, 0) : 0;
    return rc ? rc : nde_attempt_sized(known, &s->rhs, &s->table, &r->lanes, dim, r->t[0], r->t_new[0], r->dt[0], r->y, r->z,
                                       r->k, v->tape, s->rhs.tape);
}

/* As nde_pair_again. */
static inline __attribute__((always_inline)) nde_real again(const nde_real *x) { return *(const volatile nde_real *)x; }

/* A slab of two or three rows as a value: for the newest one all wait, and of what is live across a call compilers only have a
 * copy in memory. */
typedef struct slab {
    nde_pair pair;
    nde_real each[KNOWN_DIM];
} slab;

/* z = y + h sum over who has a share of slope j, in the order of nde_table.column. newest: the slab after j, where the table is
 * known. */
static inline __attribute__((always_inline)) void gather(size_t dim, const nde_method *known, const nde_table *table, int j,
                                                         nde_real h, const nde_real *A, const slab *newest, const nde_real *y,
                                                         nde_real *z) {
    if (!known) {
        nde_combine_one(dim, h, &table->column[j], A, dim, y, z);
        return;
    }
    const size_t new = (size_t)known->stages;
    if (dim == 2) {
        const nde_pair by = { h, h };
        nde_pair sum = nde_pair_at(y);
        if (known->b[j] != 0)
            sum += by*(nde_real)known->b[j]*(j == known->stages - 2 ? newest->pair : nde_pair_again(A + new*dim));
        NDE_UNROLL for (int i = known->stages - 2; i > j; i--)
            if (known->a[i*(i - 1)/2 + j] != 0)
                sum += by*(nde_real)known->a[i*(i - 1)/2 + j]*(i == j + 1 ? newest->pair : nde_pair_again(A + (size_t)i*dim));
        nde_pair_put(sum, z);
        return;
    }
    NDE_UNROLL for (size_t r = 0; r < dim; r++) {
        nde_real sum = y[r];
        if (known->b[j] != 0)
            sum += h*(nde_real)known->b[j]*(j == known->stages - 2 ? newest->each[r] : again(A + new*dim + r));
        NDE_UNROLL for (int i = known->stages - 2; i > j; i--)
            if (known->a[i*(i - 1)/2 + j] != 0)
                sum += h*(nde_real)known->a[i*(i - 1)/2 + j]*(i == j + 1 ? newest->each[r] : again(A + (size_t)i*dim + r));
        z[r] = sum;
    }
}

/* The state of stage i, and what its field is to know besides. All that is written here is written before what b waits for, so
 * that the stores which the field waits for come right before it, in all stages alike: processors guess which store a load is
 * of, and guess wrong otherwise. */
static inline __attribute__((always_inline)) const nde_real *aim(size_t dim, const nde_method *known, way *v, int i,
                                                                 const nde_entry *e, double dt, nde_real *a) {
    nde_lanes *lanes = &v->w->replica.lanes;
    const double c = (known ? known : v->s->table.method)->c[i];
    nde_real *const Y = v->w->scratch.Y;
    v->w->scratch.t[0] = c == 0 ? e->t[0] : c == 1 ? e->t_new[0] : e->t[0] + c*dt;
    lanes->site.tape = v->tape ? v->tape + (size_t)i*v->s->rhs.tape : NULL;
    v->to.y = a;
    if (!i) return e->y;
    if (known) nde_known_state(known, i, dim, v->h, v->k, NULL, e->y, Y);
    else nde_combine_one(dim, v->h, &v->s->table.row[0][i], v->k, dim, e->y, Y);
    return Y;
}

/* Adds to a what the field makes of cotangent b of a slope there. */
static inline __attribute__((always_inline)) int spread(way *v, const nde_real *state, const nde_real *b, nde_real *a) {
    nde_lanes *lanes = &v->w->replica.lanes;
    const nde_field *f = v->s->rhs.drift.field;
    return v->windowed ? nde_rhs_vjp(&v->s->rhs, lanes, v->w->scratch.t, state, b, lanes->site.tape, 1, a, v->sink)
                       : f->vjp(f, &lanes->site, state, b, &v->to);
}

/* The cotangent of a stage's state, ai as its field wrote it, becomes slab Ai and a part of a_y, and that A_new where it is not
 * NULL. Which of them is newest, where the table is known. */
static inline __attribute__((always_inline)) slab take(size_t dim, const nde_method *known, const nde_real *ai, nde_real *Ai,
                                                       nde_real *a_y, nde_real *A_new) {
    slab newest = { .pair = { 0, 0 } };
    if (dim == 2) {
        const nde_pair own = nde_pair_as_written(ai), sum = nde_pair_at(a_y) + own;
        nde_pair_put(own, Ai), nde_pair_put(sum, a_y);
        if (A_new) nde_pair_put(sum, A_new);
        newest.pair = A_new ? sum : own;
    } else if (known) {
        for (size_t r = 0; r < dim; r++) {
            const nde_real own = ai[r], sum = a_y[r] + own;
            Ai[r] = own, a_y[r] = sum;
            if (A_new) A_new[r] = sum;
            newest.each[r] = A_new ? sum : own;
        }
    } else {
        add(dim, Ai, a_y);
        if (A_new) copy(dim, a_y, A_new);
    }
    return newest;
}

/* Does the step have rows? */
static inline __attribute__((always_inline)) bool is_due(const way *v, const nde_entry *e) {
    const nde_solver *s = v->s;
    const size_t row = v->w->saved[0];
    if (!v->saved || s->saving != NDE_SAVE_TIMES) return v->saved;
    return row && s->direction*nde_save_time(s, row - 1, v->w->who[0]) > s->direction*e->t[0];
}

static nde_save_sink rows_go_to(const way *v) { return (nde_save_sink){ .y = v->a_y, .k = v->a, .ld = 1, .t = v->w->a_t }; }

static __attribute__((noinline)) void begin_rows(size_t dim, const way *v, const nde_entry *e) {
    nde_worker *w = v->w;
    const nde_save_sink to = rows_go_to(v);
    stand(dim, v, e);
    nde_save_before(v->s, &w->replica, 0, w->saved[0], w->accepted[0], v->seed, &to);
}

static __attribute__((noinline)) void end_rows(const way *v) {
    nde_worker *w = v->w;
    const nde_save_sink to = rows_go_to(v);
    nde_save_after(v->s, &w->replica, 0, &w->saved[0], w->accepted[0], v->seed, &to);
}

/* carry: the cotangent of the slope that was handed on. */
static inline __attribute__((always_inline)) int undo(size_t dim, const nde_method *known, way *v, const nde_entry *e,
                                                      nde_real *carry) {
    const nde_table *table = &v->s->table;
    const bool fsal = known || table->fsal, due = is_due(v, e), bare = known && !due; /* bare: all else of a is nothing */
    const int last = (known ? known->stages : table->stages) - 1, first = fsal ? 1 : 0;
    const double dt = v->adaptive ? e->t_new[0] - e->t[0] : nde_step_length(v->s, v->w->who[0], e->t[0], e->t_new[0]);
    nde_real mine[KNOWN], *const a = v->a, *const A = known ? mine : a, *const A_new = A + (size_t)(last + 1)*dim,
             *const b = v->w->scratch.a_Y;
    v->h = (nde_real)dt;
    if (!bare) zero((size_t)(last + 1)*dim, a);
    if (!bare && fsal) copy(dim, carry, a + (size_t)last*dim);
    if (due) begin_rows(dim, v, e);
    copy(dim, v->a_y, A_new);
    slab newest = { .pair = { 0, 0 } };
    if (dim == 2) newest.pair = nde_pair_at(v->a_y);
    else if (known) copy(dim, v->a_y, newest.each);
    NDE_UNROLL_KNOWN for (int i = last; i >= first; i--) {
        nde_real *const ai = a + (size_t)i*dim, *const Ai = A + (size_t)i*dim;
        const nde_real *const state = aim(dim, known, v, i, e, dt, ai);
        gather(dim, known, table, i, v->h, A, &newest, !bare ? ai : i == last ? carry : nothing, b);
        bool idle = i == last && fsal;
        for (size_t j = 0; j < dim; j++) idle = idle && b[j] == 0;
        zero(dim, ai);
        if (!idle) {
            const int rc = spread(v, state, b, ai);
            if (rc) return rc;
            const nde_real *const volatile written = ai; /* not where the zeros went, as far as processors know that */
            newest = take(dim, known, written, Ai, v->a_y, i == last && (known || table->last_is_new) ? A_new : NULL);
        }
    }
    if (fsal) gather(dim, known, table, 0, v->h, A, &newest, bare ? nothing : a, carry);
    if (due) end_rows(v);
    return 0;
}

/* ---- the way --------------------------------------------------------------------------------- */

/* To the step before, if it is at hand. */
static inline bool before(const nde_recall *c, nde_entry *e) {
    return e->bytes ? alike_before(c->record, e) : nde_recall_before(c, e);
}

/* dim: that of the problem; a constant once compiled, where it is small. known: its method's table, first same as last,
 * where it is known. */
static inline __attribute__((always_inline)) int retrace(size_t dim, const nde_method *known, const nde_recall *c,
                                                         nde_entry *e, const nde_seed *seed, const nde_sink *sink) {
    nde_solver *s = c->s;
    nde_worker *w = c->w;
    way v = begin(s, w, seed, sink);
    nde_real a_y[KNOWN_DIM], own[KNOWN_DIM], *const carry = known ? own : w->a_carry;
    if (known) copy(dim, w->a_y, a_y), copy(dim, w->a_carry, carry), v.a_y = a_y;
    do {
        int rc = load(dim, known, &v, e);
        if (!rc) rc = undo(dim, known, &v, e, carry);
        if (rc) return rc;
        w->accepted[0]--;
        if (w->forced[0] > 0 && s->forced.t[w->forced[0] - 1] == e->t[0]) w->forced[0]--;
    } while (before(c, e));
    stand(dim, &v, e);
    w->now[0] = e->t[0];
    if (known) copy(dim, a_y, w->a_y), copy(dim, carry, w->a_carry);
    return 0;
}

NDE_SCALAR int NDE_ISA_NAME(nde_retrace)(const nde_recall *recall, nde_entry *e, const nde_seed *seed, const nde_sink *sink) {
#define RETRACE(dim, known) return retrace(dim, known, recall, e, seed, sink)
    NDE_BY_SIZE_AND_TABLE(RETRACE, recall->s->rhs.dim, recall->s->table.method);
#undef RETRACE
}

/* ---- steps made again -------------------------------------------------------------------------- */

/* dim, known: as above. */
static inline __attribute__((always_inline)) int remake(size_t dim, const nde_method *known, nde_solver *s, nde_worker *w,
                                                        const nde_made *m) {
    nde_panel *r = &w->replica;
    const bool fsal = known || s->table.fsal;
    const size_t last = (size_t)((known ? known->stages : s->table.stages) - 1)*dim;
    nde_real *y = m->y, *k = m->k, *tape = m->tape;
    for (size_t i = 0;; i++) {
        const bool more = i + 1 < m->count;
        nde_real *const z = more ? y + m->apart : r->z;
        const double dt = nde_step_length(s, w->who[0], m->t[i], m->t[i + 1]);
        const int rc = nde_attempt_sized(known, &s->rhs, &s->table, &r->lanes, dim, m->t[i], m->t[i + 1], dt, y, z, k, tape,
                                         s->rhs.tape);
        if (rc || !more) return rc;
        for (size_t j = 0; fsal && j < dim; j++) k[m->apart + j] = k[last + j];
        y = z, k += m->apart;
        if (tape) tape += m->apart;
    }
}

NDE_SCALAR int NDE_ISA_NAME(nde_remake)(nde_solver *s, nde_worker *w, const nde_made *steps) {
#define REMAKE(dim, known) return remake(dim, known, s, w, steps)
    NDE_BY_SIZE_AND_TABLE(REMAKE, s->rhs.dim, s->table.method);
#undef REMAKE
}
