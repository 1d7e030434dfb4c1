/* SPDX-License-Identifier: MIT
 * plan.c - what a solve will need, before it runs. */
#include "solve/solver.h"

#include <string.h>

/* A log that is only measured: how far it is filled, entry after entry, and the most that it asked for. */
typedef struct gauge {
    const nde_record *record;
    size_t used, most;
} gauge;

static void reach(gauge *g, size_t end) { g->most = end > g->most ? end : g->most; }

static void list(gauge *g, int kind, size_t m) {
    g->used = nde_record_grown(g->record, g->used, kind, m, false, false);
    reach(g, g->used);
}

static size_t after_step(const gauge *g, size_t m, bool first) {
    return nde_record_grown(g->record, g->used, NDE_ENTRY_STEP, m, false, first);
}

/* The steps of m lanes. What one adds depends on where it begins within a cache line: after 8 of them every further 8 add the
 * same. In a run all but the first do. */
static void steps(gauge *g, size_t m, size_t count) {
    for (size_t i = 0; i < 8 && count; i++, count--) g->used = after_step(g, m, !i);
    const size_t before = g->used, periods = count/8;
    if (periods) {
        for (size_t i = 0; i < 8; i++) g->used = after_step(g, m, false);
        const size_t each = g->used - before;
        /* no arena is that large */
        g->used = (periods - 1) > (SIZE_MAX/2 - g->used)/each ? SIZE_MAX/2 : g->used + each*(periods - 1);
    }
    for (count %= 8; count && g->used < SIZE_MAX/2; count--) g->used = after_step(g, m, false);
    reach(g, g->used + after_step(g, m, true) - after_step(g, m, false)); /* the last one had to have room as the first of a
                                                                           * run */
}

/* The log of a panel of `count` trajectories with fixed steps and one span, `capacity` lanes at a time. */
static gauge filled(const nde_solver *s, const nde_record *record, size_t count, size_t capacity) {
    gauge g = { .record = record };
    while (count) {
        const size_t m = count < capacity ? count : capacity;
        list(&g, NDE_ENTRY_ENTER, m);
        if (s->table.fresh) list(&g, NDE_ENTRY_FRESH, m);
        steps(&g, m, (size_t)s->options.steps);
        list(&g, NDE_ENTRY_LEAVE, m);
        count -= m;
    }
    return g;
}

/* By which a step of n lanes makes a panel's record grow in a form, on average over the places within a cache line. */
static size_t step_bytes(const nde_solver *s, int form, size_t ld, size_t n) {
    nde_record record;
    nde_solver_open_record(s, &record, ld, NULL, SIZE_MAX);
    if (!record.tape_reals || form != NDE_RECORD_STAGES) record.form = form;
    else record.form = NDE_RECORD_STATES;
    size_t used = nde_record_grown(&record, 0, NDE_ENTRY_STEP, n, s->joint, true);
    const size_t first = used, state = record.form == NDE_RECORD_STATES ? record.slots.bytes : 0;
    for (size_t i = 1; i <= 8; i++) used = nde_record_grown(&record, used, NDE_ENTRY_STEP, n, s->joint, false);
    return (used - first)/8 + state;
}

static double sum_flops(const nde_solver *s, bool vjp) {
    const nde_rhs *rhs = &s->rhs;
    double sum = 0;
    const nde_field *const alone[] = { rhs->drift.field, rhs->second.field, rhs->quadrature.field };
    for (size_t i = 0; i < 3; i++)
        if (alone[i]) sum += vjp ? alone[i]->gemm_vjp : alone[i]->gemm_eval;
    for (size_t k = 0; k < rhs->problem.n_terms; k++)
        sum += vjp ? rhs->term[k].field->gemm_vjp : rhs->term[k].field->gemm_eval;
    return sum*(double)s->N;
}

size_t nde_record_foresee(const nde_solver *s, nde_record *record, size_t count, size_t capacity) {
    const size_t rounds = (count + capacity - 1)/capacity;
    size_t steps;
    if (!nde_size_multiply((size_t)s->options.steps, rounds, &steps)) return 0;
    for (;; record->form++) {
        if (record->form == NDE_RECORD_STAGES && record->tape_reals) continue;
        const gauge g = filled(s, record, count, capacity);
        if (record->form >= NDE_RECORD_STATES)
            return nde_record_expect(record, record->form, steps, g.most)
                       ? g.used + nde_slots_expected(&record->slots)*record->slots.bytes : 0;
        if (g.used <= record->size) return g.used;
    }
}

/* The record of steps that can be undone. */
static size_t foresee_times(const nde_solver *s, const nde_record *record, size_t count, size_t capacity) {
    const size_t rounds = (count + capacity - 1)/capacity, bytes = record->slots.bytes;
    const gauge g = filled(s, record, count, capacity);
    size_t steps;
    if (!nde_size_multiply((size_t)s->options.steps, rounds, &steps) || g.most > record->size) return 0;
    const size_t anchors = (steps - 1)/nde_anchors_apart(s) + 1;
    return anchors <= (record->size - g.most)/bytes ? g.used + anchors*bytes : 0;
}

/* The form in which the record of a panel of `count` trajectories ends, and what it then holds; 0: more than its arena. */
static size_t fill_panel(const nde_solver *s, const nde_division *d, size_t count, size_t slice, int *form) {
    nde_record record;
    nde_solver_open_record(s, &record, nde_leading_dimension(d->capacity, sizeof(nde_real)), NULL, slice);
    const size_t used = s->undoes ? foresee_times(s, &record, count, d->capacity) : nde_record_foresee(s, &record, count,
            d->capacity);
    if (record.form > *form) *form = record.form;
    return used;
}

/* Fixed steps between t0 and t1 alone: the record is known beforehand. */
static void fill_all(const nde_solver *s, const nde_division *d, size_t slice, nde_needs *out) {
    const size_t last = s->N - (d->panels - 1)*d->each;
    const size_t full = d->panels > 1 ? fill_panel(s, d, d->each, slice, &out->record) : 0;
    const size_t rest = fill_panel(s, d, last, slice, &out->record);
    if (rest && (full || d->panels == 1)) out->record_used = full*(d->panels - 1) + rest;
}

bool nde_steps_are_known(const nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    for (size_t k = 0; k < q->n_terms; k++)
        if (q->terms[k].path) return false;
    return !s->adaptive && !q->n_jumps && !s->options.n_clip && !s->store.write;
}

/* Of the right-hand side in one attempt: the most, where it depends on the step. */
static double step_evaluations(const nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    const nde_chebyshev *c = &s->table.chebyshev;
    if (!c->most) return s->table.evals;
    return s->adaptive || !(c->radius > 0) || q->t0_each || q->t1_each
               ? c->most : nde_chebyshev_count(c, (q->t1 - q->t0)/(double)s->options.steps, c->radius);
}

/* Of a step: all of the right-hand side each time, but for a splitting. */
static double step_flops(const nde_solver *s, bool vjp) {
    if (!s->rhs.problem.splitting || s->base->kind == NDE_KIND_IMEX) return step_evaluations(s)*sum_flops(s, vjp);
    double sum = 0;
    for (int i = 0; i < s->base->stages; i++) {
        const int which = nde_method_moves(s->base, i);
        const nde_field *f = (which ? s->rhs.second : s->rhs.drift).field;
        sum += (s->by[which]->stages - s->by[which]->first_same_as_last)*(vjp ? f->gemm_vjp : f->gemm_eval);
    }
    return sum*(double)s->N;
}

nde_status nde_plan(const nde_problem *problem, const nde_options *options, nde_needs *needs) {
    nde_solver s;
    size_t total, slice;
    if (!needs) return nde_fail(NDE_E_ARG, "nde_plan: needs is NULL");
    if (needs->size && needs->size < sizeof *needs)
        return nde_fail(NDE_E_ARG, "nde_plan: needs.size is %zu, this library knows %zu", needs->size, sizeof *needs);
    const nde_status bad = nde_solver_measure(&s, problem, options, &total, &slice);
    if (bad) return bad;
    const nde_division d = nde_solver_divide(&s);
    nde_needs out = {
        .size = needs->size,
        .bytes = total,
        .workspace_bytes = total - slice*d.panels,
        .record_bytes = slice*d.panels,
        .isa = s.rhs.kernels->isa,
        .method = nde_method_id(s.base),
        .panel = d.capacity,
        .panels = d.panels,
        .gemm_eval = sum_flops(&s, false),
        .gemm_vjp = sum_flops(&s, true),
    };
    out.gemm_step = step_flops(&s, false);
    out.gemm_step_adjoint = step_flops(&s, true);
    if (s.options.adjoint) {
        const size_t ld = nde_leading_dimension(d.capacity, sizeof(nde_real));
        out.tape_bytes = step_bytes(&s, NDE_RECORD_TAPE, ld, d.capacity);
        out.stage_bytes = step_bytes(&s, NDE_RECORD_STAGES, ld, d.capacity);
        out.state_bytes = step_bytes(&s, NDE_RECORD_STATES, ld, d.capacity);
        out.record = s.options.record;
        if (nde_steps_are_known(&s)) fill_all(&s, &d, slice, &out);
    }
    memcpy(needs, &out, sizeof out);
    return NDE_OK;
}
