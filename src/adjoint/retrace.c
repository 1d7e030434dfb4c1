/* SPDX-License-Identifier: MIT
 * retrace.c - steps of one trajectory made again, and the way back over one, with everything at hand; compiled once for each
 * instruction set. The
 * cotangent of slope j is gathered by a column of the table when its stage has its turn. Letters: dim of a state; slab j
 * of a [s + 1][dim] is the cotangent of slope j until then, afterwards that of the state of stage j; slab s is that of the
 * new state. */
#include "adjoint/retrace.h"
#include "core/isa.h"
#include "method/one.h"

#include <string.h>

static void zero(nde_real *x, size_t rows) {
    for (size_t i = 0; i < rows; i++) x[i] = 0;
}

static void add(nde_real *x, const nde_real *from, size_t rows) {
    for (size_t i = 0; i < rows; i++) x[i] += from[i];
}

/* Puts the step into the replica, as far as anything after it looks there, with slopes and tape: those of the record, else
 * attempted again. */
static inline __attribute__((always_inline)) int load(size_t dim, const nde_method *known, nde_solver *s, nde_worker *w,
                                                      const nde_entry *e, const nde_real *y, nde_real **tape) {
    nde_panel *r = &w->replica;
    r->trajectory[0] = w->who[0];
    nde_panel_resize(r, 1);
    for (size_t i = 0; i < dim; i++) r->y[i] = y[i];
    r->t[0] = e->t[0], r->t_new[0] = e->t_new[0], r->dt[0] = nde_step_length(s, w->who[0], e->t[0], e->t_new[0]);
    r->mark[0] = NDE_LANE_OK, r->accept[0] = 1;
    *tape = e->tape;
    if ((r->k = e->k) && (e->tape || !s->rhs.tape)) return 0;
    r->k = r->own_k, *tape = w->tape;
    const int rc = s->table.fsal ? nde_rhs_eval(&s->rhs, &r->lanes, r->t, r->y, r->k, NULL, 0) : 0;
    if (rc) return rc;
    return nde_attempt_sized(known, &s->rhs, &s->table, &r->lanes, dim, r->t[0], r->t_new[0], r->dt[0], r->y, r->z, r->k,
                             w->tape, s->rhs.tape);
}

/* x = v, two by two: a field that reads two of them at once need not wait for two stores to meet. */
static inline __attribute__((always_inline)) void put(size_t dim, const nde_real *v, nde_real *x) {
    typedef nde_real two __attribute__((vector_size(2*sizeof(nde_real)), aligned(sizeof(nde_real)), may_alias));
    for (; dim > 1; dim -= 2, x += 2, v += 2) *(two *)(void *)x = (two){ v[0], v[1] };
    if (dim) x[0] = v[0];
}

/* z = y + h sum over who has a share of slope j, in the order of nde_table.column. */
static inline __attribute__((always_inline)) void gather(size_t dim, const nde_method *known, const nde_table *table, int j,
                                                         nde_real h, const nde_real *a, const nde_real *y, nde_real *z) {
    if (!known) {
        nde_combine_one(dim, h, &table->column[j], a, dim, y, z);
        return;
    }
    nde_real all[3];
    NDE_UNROLL for (size_t r = 0; r < dim; r++) {
        nde_real sum = y[r];
        if (known->b[j] != 0) sum += h*(nde_real)known->b[j]*a[(size_t)known->stages*dim + r];
        NDE_UNROLL for (int i = known->stages - 2; i > j; i--)
            if (known->a[i*(i - 1)/2 + j] != 0) sum += h*(nde_real)known->a[i*(i - 1)/2 + j]*a[(size_t)i*dim + r];
        all[r] = sum;
    }
    put(dim, all, z);
}

/* The state of stage i > 0. */
static inline __attribute__((always_inline)) void stage_state(size_t dim, const nde_method *known, const nde_table *table,
                                                              int i, nde_real h, const nde_real *k, const nde_real *y,
                                                              nde_real *Y) {
    if (!known) {
        nde_combine_one(dim, h, &table->row[0][i], k, dim, y, Y);
        return;
    }
    NDE_UNROLL for (size_t r = 0; r < dim; r++) Y[r] = nde_known_sum(i, h, known->a + i*(i - 1)/2, k, dim, r, y[r]);
}

/* dim: that of the problem; a constant once compiled, where it is small. known: its method's table, first same as last,
 * where it is known. */
static inline __attribute__((always_inline)) int retrace(size_t dim, const nde_method *known, nde_solver *s, nde_worker *w,
                                                         const nde_entry *e, const nde_real *y, const nde_seed *seed,
                                                         const nde_sink *sink) {
    const nde_table *table = &s->table;
    const double *c = known ? known->c : table->method->c;
    const bool fsal = known || table->fsal;
    const int last = (known ? known->stages : table->stages) - 1, first = fsal ? 1 : 0;
    nde_panel *r = &w->replica;
    nde_real *tape, *const a = w->a_k, *const a_new = a + (size_t)(last + 1)*dim, *const a_y = w->a_y, *const Y = w->scratch.Y,
             *const b = w->scratch.a_Y;
    int rc = load(dim, known, s, w, e, y, &tape);
    if (rc) return rc;
    const nde_real h = (nde_real)r->dt[0], *const k = r->k;
    const bool saved = seed->y && s->saving != NDE_SAVE_END && s->status[w->who[0]] >= 0;
    const nde_save_sink save = { .y = w->a_y, .k = a, .ld = 1, .t = w->a_t };
    const nde_field *f = s->rhs.drift.field;
    const bool windowed = s->rhs.cotape && sink->p;
    double *const t = w->scratch.t;
    nde_site *at = &r->lanes.site;
    nde_cotangent to = { .q = f->nq ? sink->q : NULL, .p = sink->p && f->np ? sink->p + f->p_first : NULL };
    at->t = t, at->tape_ld = 1;
    zero(a, (size_t)(last + 1)*dim);
    if (fsal)
        for (size_t i = 0; i < dim; i++) a[(size_t)last*dim + i] = w->a_carry[i];
    if (saved) nde_save_before(s, r, 0, w->saved[0], w->accepted[0], seed, &save);
    for (size_t i = 0; i < dim; i++) a_new[i] = a_y[i];
    NDE_UNROLL_KNOWN for (int i = last; i >= first; i--) {
        nde_real *ai = a + (size_t)i*dim;
        gather(dim, known, table, i, h, a, ai, b);
        bool idle = i == last && fsal;
        for (size_t j = 0; j < dim; j++) idle = idle && b[j] == 0, ai[j] = 0;
        if (!idle) {
            const nde_real *state = y;
            at->tape = tape ? tape + (size_t)i*s->rhs.tape : NULL;
            if (i) stage_state(dim, known, table, i, h, k, y, Y), state = Y;
            t[0] = c[i] == 0 ? r->t[0] : c[i] == 1 ? r->t_new[0] : r->t[0] + c[i]*r->dt[0];
            to.y = ai;
            rc = windowed ? nde_rhs_vjp(&s->rhs, &r->lanes, t, state, b, at->tape, 1, ai, sink) : f->vjp(f, at, state, b, &to);
            if (rc) return rc;
            add(a_y, ai, dim);
        }
        if (i == last && (known || table->last_is_new))
            for (size_t j = 0; j < dim; j++) a_new[j] = a_y[j];
    }
    if (fsal) gather(dim, known, table, 0, h, a, a, w->a_carry);
    if (saved) nde_save_after(s, r, 0, &w->saved[0], w->accepted[0], seed, &save);
    w->now[0] = r->t[0];
    w->accepted[0]--;
    if (w->forced[0] > 0 && s->forced.t[w->forced[0] - 1] == r->t[0]) w->forced[0]--;
    return 0;
}

NDE_SCALAR int NDE_ISA_NAME(nde_retrace)(nde_solver *s, nde_worker *w, const nde_entry *e, const nde_real *y,
                                         const nde_seed *seed, const nde_sink *sink) {
#define RETRACE(dim, known) return retrace(dim, known, s, w, e, y, seed, sink)
    NDE_BY_SIZE_AND_TABLE(RETRACE, s->rhs.dim, s->table.method);
#undef RETRACE
}

/* As above. */
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
