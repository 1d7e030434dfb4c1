/* SPDX-License-Identifier: MIT
 * setup.c - how a solver comes to be: trajectories divided, memory laid out once; and its end. options.c has read what is
 * wanted. */
#include "solve/solver.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "adjoint/back.h"
#include "adjoint/curvature.h"
#include "core/isa.h"
#include "field/parts.h"
#include "path/path.h"
#include "solve/sprint.h"

/* ---- how trajectories are divided: by the problem alone --------------------------------------- */

enum { MOST_SHARDS = 64 };

static size_t ceil_to(size_t x, size_t to) { return (x + to - 1)/to*to; }

nde_division nde_solver_divide(const nde_solver *s) {
    const size_t n = s->N, dim = s->rhs.dim, widest = s->rhs.tape > dim ? s->rhs.tape : dim;
    nde_division d;
    if (s->joint) { /* panels whose widest layer stays in half of a second-level cache of 1 MiB */
        size_t most = ((size_t)1 << 17)/widest/64*64;
        most = most < 64 ? 64 : most > 512 ? 512 : most;
        d.panels = (n + most - 1)/most;
        d.each = n < 8 ? n : ceil_to((n + d.panels - 1)/d.panels, 8);
        d.panels = (n + d.each - 1)/d.each;
        d.capacity = d.each;
        d.shards = d.panels < MOST_SHARDS ? d.panels : MOST_SHARDS;
    } else { /* blocks that stay in the first-level cache, with a queue of several each; wider ones where columns
              * would have to be gathered for gradients of parameters */
        const size_t lanes = dim <= 4 ? 128 : 64;
        d.each = s->options.group ? s->options.group
                 : n <= lanes     ? n
                                  : ceil_to((n + MOST_SHARDS - 1)/MOST_SHARDS, lanes);
        if (!s->options.group && n > lanes && d.each < 8*lanes) d.each = 8*lanes;
        if (d.each > n) d.each = n;
        const size_t wide = s->rhs.cotape ? NDE_WINDOW_DIRECT*sizeof(double)/sizeof(nde_real) : lanes;
        d.capacity = d.each < wide ? d.each : wide;
        d.panels = d.shards = (n + d.each - 1)/d.each;
    }
    return d;
}

/* ---- memory ---------------------------------------------------------------------------------- */

#define TAKE(pointer, rows, columns) ((pointer) = nde_arena_take_rows(arena, (rows), (columns), sizeof *(pointer)))

/* What of a panel outlives a step. */
static void lay_state(nde_panel *p, nde_arena *arena, const nde_solver *s, size_t capacity) {
    const size_t ld = nde_leading_dimension(capacity, sizeof(nde_real)), rows = s->rhs.rows;
    p->capacity = capacity, p->ld = ld, p->slab = rows*ld;
    TAKE(p->live, 1, 1);
    TAKE(p->trajectory, 1, capacity), TAKE(p->interval, 1, capacity), TAKE(p->forced, 1, capacity),
        TAKE(p->saved, 1, capacity);
    TAKE(p->node, 1, capacity), TAKE(p->accepted, 1, capacity), TAKE(p->rejected, 1, capacity),
        TAKE(p->evals, 1, capacity);
    TAKE(p->t, 1, capacity), TAKE(p->t1, 1, capacity), TAKE(p->h, 1, capacity),
        TAKE(p->past, 1, capacity), TAKE(p->h_last, 1, capacity);
    TAKE(p->h_first, 1, capacity), TAKE(p->stop, 1, capacity), TAKE(p->watch, 1, capacity);
    TAKE(p->refused, 1, capacity);
    const bool history = s->filter.on || s->decide.decide;
    TAKE(p->past2, history, capacity), TAKE(p->h_last2, history, capacity);
    const bool decides = s->decide.decide != NULL;
    TAKE(p->error_last, decides, capacity), TAKE(p->error_last2, decides, capacity);
    TAKE(p->rtol, s->options.rtol_n != NULL, capacity), TAKE(p->atol, s->options.atol_n != NULL, capacity);
    TAKE(p->revisit, s->revisits*NDE_MOST_REVISITS, capacity), TAKE(p->revisits, s->revisits, capacity);
    TAKE(p->iterations, s->table.newton.most > 0, capacity), TAKE(p->products, s->table.jacobian.krylov > 0, capacity);
    TAKE(p->implicit, s->table.method->kind == NDE_KIND_SWITCHING, capacity);
    TAKE(p->forced_steps, s->adaptive && s->options.h_min_policy == NDE_H_MIN_ACCEPT, capacity);
    TAKE(p->stiff, s->adaptive && !s->restless && s->table.method->kind == NDE_KIND_RUNGE_KUTTA, capacity);
    TAKE(p->state[0], s->state_rows, ld), TAKE(p->state[1], s->state_rows, ld), TAKE(p->q, s->rhs.nq, ld);
    TAKE(p->own_k, (size_t)s->table.stages*rows, ld);
    TAKE(p->g, s->rhs.problem.n_events, ld);
    TAKE(p->since, s->rhs.problem.n_events && s->logs, capacity);
}

static void lay_attempt(nde_panel *p, nde_arena *arena, const nde_solver *s) {
    const size_t ld = p->ld, capacity = p->capacity;
    TAKE(p->t_stage, s->options.n_clip != 0, ld);
    TAKE(p->t_new, 1, ld), TAKE(p->dt, 1, ld), TAKE(p->error, 1, ceil_to(ld, 16)),
        TAKE(p->error2, s->table.method->e2_order || s->table.method->e_velocity ? 1 : 0, ceil_to(ld, 16)),
        TAKE(p->t_done, 1, ld), TAKE(p->dt_done, 1, ld);
    TAKE(p->accept, 1, capacity), TAKE(p->mark, 1, capacity);
    TAKE(p->estimate, s->norm.of ? s->rhs.dim : 0, ld), TAKE(p->norm, s->norm.of ? 1 : 0, ld);
    TAKE(p->point, s->domain.inside ? s->rhs.dim : 0, 1);
    TAKE(p->kept, s->runs ? s->state_rows + s->rhs.rows : 0, ld);
    TAKE(p->h_real, 1, ceil_to(ld, 16)), TAKE(p->chosen, 1, ld);
    TAKE(p->along, s->undoes && s->table.quantum == 0 ? s->rhs.dim : 0, ld);
    TAKE(p->lanes.piece, s->rhs.paths, ld), TAKE(p->lanes.rate, s->rhs.rate_rows, ld);
    p->lanes.site = (nde_site){
        .ld = ld, .index = p->trajectory, .interval = p->interval, .q = p->q, .lane = p->mark
    };
    if (s->joint) p->lanes.site.flags |= NDE_SAME_TIME;
}

static void lay_group(nde_group *g, nde_arena *arena, const nde_solver *s, size_t capacity, size_t ld) {
    const size_t rows = s->rhs.rows, inputs = s->rhs.problem.jump_inputs, slopes = (size_t)s->table.slopes;
    const size_t pieces = s->rhs.pieces;
    const bool extended = s->table.slopes > s->table.stages;
    TAKE(g->trajectory, 1, capacity), TAKE(g->interval, 1, capacity), TAKE(g->node, 1, capacity),
        TAKE(g->piece, s->rhs.paths, ld);
    for (int i = 0; i < 3; i++) TAKE(g->square[i], 1, capacity);
    TAKE(g->t, 1, ld), TAKE(g->dt, 1, ld), TAKE(g->mark, 1, capacity);
    TAKE(g->y, rows, ld), TAKE(g->z, rows, ld), TAKE(g->k, (extended ? slopes : pieces > 2 ? pieces : 2)*rows, ld),
        TAKE(g->q, s->rhs.nq, ld);
    TAKE(g->t_new, extended, ld), TAKE(g->h, extended, ceil_to(ld, 16));
    TAKE(g->rate, s->rhs.rate_rows, ld), TAKE(g->u, inputs, ld);
    if (!s->options.adjoint) return;
    TAKE(g->a_y, rows, ld), TAKE(g->a_k, (extended ? slopes : pieces ? pieces : 1)*rows, ld), TAKE(g->a_q, s->rhs.nq, ld),
        TAKE(g->a_u, inputs, ld), TAKE(g->a_t, 1, ld), TAKE(g->a_h, extended, ld);
}

/* Rows that wait, [capacity]. */
static void lay_rows(nde_worker *w, nde_arena *arena, const nde_solver *s, size_t capacity, size_t ld) {
    nde_rows *r = &w->rows;
    const bool observed = s->rhs.observe.field, back = observed && s->options.adjoint;
    r->capacity = s->emits ? capacity : 0;
    TAKE(w->fate, s->emits, capacity);
    TAKE(r->lane, 1, r->capacity), TAKE(r->trajectory, 1, r->capacity), TAKE(r->interval, 1, r->capacity),
        TAKE(r->row, 1, r->capacity);
    TAKE(r->mark, 1, r->capacity);
    if (!s->emits) return;
    TAKE(r->t, 1, ld), TAKE(r->y, s->rhs.dim, ld), TAKE(r->q, s->rhs.nq, ld), TAKE(r->lanes.piece, s->rhs.paths, ld);
    r->out = r->y;
    if (observed) TAKE(r->out, s->out, ld);
    TAKE(r->one, observed, s->rhs.dim + s->rhs.nq + s->out);
    TAKE(r->a_y, back ? s->rhs.dim : 0, ld), TAKE(r->a_q, back ? s->rhs.nq : 0, ld), TAKE(r->a_out, back ? s->out : 0, ld),
        TAKE(r->a_t, back, ld);
    r->lanes.site = (nde_site){ .ld = ld, .index = r->trajectory, .interval = r->interval, .q = r->q, .lane = r->mark };
}

static void lay_estimates(nde_estimates *e, nde_arena *arena, const nde_solver *s, size_t ld) {
    const bool back = s->options.adjoint;
    if (!s->options.estimates) return;
    for (int i = 0; i < NDE_ESTIMATE_SUMS; i++) TAKE(e->square[i], 1, ld), TAKE(e->product[i], back, ld);
    TAKE(e->size, 1, ld), TAKE(e->x, 1, ld), TAKE(e->v_x, back, ld);
}

static void lay_events(nde_worker *w, nde_arena *arena, size_t count, size_t capacity, size_t ld) {
    TAKE(w->verdict, count > 0, capacity), TAKE(w->length, count > 0, capacity), TAKE(w->passed, count, capacity),
        TAKE(w->g_new, count, ld);
    TAKE(w->root, 1, count), TAKE(w->order, 1, count), TAKE(w->cut_by, count > 0, capacity);
}

/* Derivatives through events. */
static void lay_saltation(nde_worker *w, nde_arena *arena, const nde_solver *s, size_t capacity, size_t ld) {
    const size_t any = s->rhs.problem.n_events > 0, rows = s->rhs.rows;
    TAKE(w->hit, any, capacity), TAKE(w->since, any, capacity), TAKE(w->a_since, any, capacity);
    TAKE(w->a_start, any*rows, ld), TAKE(w->at_hit, 4*any, rows);
}

/* What the steps of an implicit method need. */
static void lay_linear(nde_scratch *scratch, nde_arena *arena, const nde_solver *s, size_t ld) {
    nde_linear counted;
    TAKE(scratch->linear, 1, 1);
    nde_linear *of = scratch->linear ? scratch->linear : &counted;
    const bool iterates = nde_method_iterates(s->table.method);
    nde_linear_lay(of, arena, &s->rhs, &s->table.jacobian, ld);
    if (iterates) {
        nde_linear_lay_newton(of, arena, ld);
        scratch->count = nde_arena_take(arena, ld, sizeof *scratch->count);
    }
    if (s->table.method->collocation)
        nde_linear_lay_stages(of, arena, &s->rhs, NDE_COLLOCATED, ld, s->options.adjoint != NDE_ADJOINT_NONE);
    if (s->options.adjoint && !iterates) nde_linear_lay_tangents(of, arena, &s->rhs, &s->table.jacobian, ld);
}

/* What evaluates: scratch, and lanes taken out of a panel. */
static void lay_evaluation(nde_worker *w, nde_arena *arena, const nde_solver *s, size_t capacity, size_t ld) {
    const bool implicit = nde_method_is_implicit(s->table.method);
    const bool crosses = s->adjoint != NDE_ADJOINT_NONE && s->rhs.problem.n_events > 0; /* without a record too */
    nde_scratch_lay(&w->scratch, arena, &s->rhs, ld, s->options.adjoint != NDE_ADJOINT_NONE || crosses || implicit);
    if (s->table.chebyshev.most)
        nde_chebyshev_lay_scratch(&w->scratch, arena, &s->rhs, &s->table.chebyshev, ld, s->options.adjoint);
    if (s->table.multistep.order)
        nde_multistep_lay_scratch(&w->scratch, arena, &s->rhs, &s->table.multistep, ld, s->options.adjoint);
    if (s->table.method->way[0]) nde_switching_lay_scratch(&w->scratch, arena, &s->rhs, s->base, ld);
    if (implicit) lay_linear(&w->scratch, arena, s, ld);
    lay_group(&w->group, arena, s, capacity, ld);
    TAKE(w->list2, 1, capacity);
}

/* A panel to repeat steps in, and its cotangents or tangents. */
static void lay_replica(nde_worker *w, nde_arena *arena, const nde_solver *s, size_t capacity, size_t ld) {
    const size_t rows = s->rhs.rows;
    lay_state(&w->replica, arena, s, capacity);
    lay_attempt(&w->replica, arena, s);
    TAKE(w->a_y, s->tangent_rows, ld), TAKE(w->a_carry, rows, ld), TAKE(w->a_k, (size_t)(s->table.stages + 1)*rows, ld),
        TAKE(w->a_q, s->rhs.nq, ld), TAKE(w->a_z, s->state_rows, ld), TAKE(w->a_t, 1, ld), TAKE(w->a_h, 1, ld);
}

/* For lanes x directions. */
static void lay_wide(nde_worker *w, nde_arena *arena, const nde_solver *s, size_t capacity) {
    nde_worker counted = { 0 }, *x;
    TAKE(w->wide, s->directions > 1, 1);
    if (s->directions == 1) return;
    const size_t ld = nde_leading_dimension(capacity, sizeof(nde_real));
    x = w->wide ? w->wide : &counted;
    lay_evaluation(x, arena, s, capacity, ld);
    lay_replica(x, arena, s, capacity, ld);
    lay_estimates(&x->estimates, arena, s, ld);
    TAKE(x->a_since, s->rhs.problem.n_events > 0, capacity);
    x->scratch.worker = w->scratch.worker;
}

static void lay_worker(nde_worker *w, nde_arena *arena, const nde_solver *s, size_t capacity) {
    const size_t ld = nde_leading_dimension(capacity, sizeof(nde_real));
    lay_evaluation(w, arena, s, capacity, ld);
    TAKE(w->list, 1, capacity), TAKE(w->list3, 1, capacity), TAKE(w->attend, 1, capacity);
    TAKE(w->status, 1, capacity), TAKE(w->crossed, 1, capacity);
    lay_events(w, arena, s->rhs.problem.n_events, capacity, ld);
    lay_rows(w, arena, s, capacity, ld);
    lay_estimates(&w->estimates, arena, s, ld);
    if (!s->options.adjoint) return;
    lay_replica(w, arena, s, capacity, ld);
    nde_window_lay(&w->window, arena, &s->rhs, ld);
    TAKE(w->who, 1, capacity), TAKE(w->saved, 1, capacity), TAKE(w->forced, 1, capacity),
        TAKE(w->accepted, 1, capacity), TAKE(w->now, 1, capacity);
    TAKE(w->tape, (size_t)s->table.slopes*s->rhs.tape, ld), TAKE(w->loss, 1, ld);
    lay_wide(w, arena, s, capacity*s->directions);
    lay_saltation(w, arena, s, capacity, ld);
}

static void lay_hits(nde_solver *s, nde_arena *arena, size_t row) {
    const size_t N = s->N, count = s->rhs.problem.n_events, rows = s->hits.rows;
    TAKE(s->hits.count, count, N), TAKE(s->hits.kept, count > 0, N), TAKE(s->hits.end, count > 0, N);
    TAKE(s->hits.which, rows, N), TAKE(s->hits.together, rows, N), TAKE(s->hits.t, rows, N), TAKE(s->hits.y, rows, row);
}

/* Sums of the shards, which a saved state holds. */
static void lay_sums(nde_solver *s, nde_arena *arena) {
    nde_sums *sums = &s->sums;
    size_t rows, entries;
    if (!s->reduces) return;
    if (!nde_size_multiply(s->n_shards, s->rows_saved, &rows) || !nde_size_multiply(rows, s->out, &entries)) {
        arena->overflow = true;
        return;
    }
    TAKE(sums->count, 1, rows), TAKE(sums->mean, 1, entries), TAKE(sums->square, 1, entries), TAKE(sums->least, 1, entries),
        TAKE(sums->greatest, 1, entries), TAKE(sums->own, rows, sums->stride);
    if (s->reduction.n_edges) {
        if (!nde_size_multiply(entries/s->n_shards, s->reduction.n_edges + 1, &sums->bins_size)) arena->overflow = true;
        TAKE(sums->bins, 1, sums->bins_size);
    }
    if (!s->reduction.n_levels) return;
    if (!nde_size_multiply(entries/s->n_shards, nde_sketch_size(&sums->buckets), &sums->sketch_size)) arena->overflow = true;
    TAKE(sums->sketch, 1, sums->sketch_size);
}

/* What they come to, and the sketches of the workers behind the first. */
static void lay_results(nde_solver *s, nde_arena *arena) {
    nde_sums *sums = &s->sums;
    const size_t rows = s->rows_saved, levels = s->reduction.n_levels;
    size_t quantiles;
    if (!s->reduces) return;
    if (!nde_size_multiply(levels, s->out, &quantiles)) arena->overflow = true;
    TAKE(sums->all_count, 1, rows), TAKE(sums->all_mean, rows, s->out), TAKE(sums->all_variance, rows, s->out),
        TAKE(sums->all_least, rows, s->out), TAKE(sums->all_greatest, rows, s->out), TAKE(sums->all_error, rows, s->out),
        TAKE(sums->all_own, rows, sums->stride);
    TAKE(sums->quantile, rows, quantiles), TAKE(sums->levels, 1, levels),
        TAKE(sums->sketches, s->n_workers - 1, sums->sketch_size);
    TAKE(sums->edges, 1, s->reduction.n_edges), TAKE(sums->more_bins, s->n_workers - 1, sums->bins_size);
    if (sums->edges) memcpy(sums->edges, s->reduction.edges, s->reduction.n_edges*sizeof *sums->edges);
    if (sums->levels) memcpy(sums->levels, s->reduction.levels, levels*sizeof *sums->levels);
}

static void lay_outputs(nde_solver *s, nde_arena *arena) {
    const size_t N = s->N, dim = s->rhs.dim;
    size_t row, wide;
    if (!nde_size_multiply(dim, N, &row) || !nde_size_multiply(s->out, N, &wide)) {
        arena->overflow = true;
        return;
    }
    TAKE(s->y_out, s->options.discard ? 0 : s->rows_saved, wide), TAKE(s->y_end, 1, row), TAKE(s->z_end, s->rhs.nz, N);
    if (s->saving == NDE_SAVE_EVERY && (!s->options.discard || s->options.adjoint)) TAKE(s->save_t_out, s->rows_saved, N);
    TAKE(s->t_end, 1, N), TAKE(s->saved, 1, N), TAKE(s->status, 1, N), TAKE(s->stats, 1, N);
    TAKE(s->error_estimate, s->options.estimates != 0, N), TAKE(s->estimate_step, s->options.estimates > NDE_ESTIMATES_ALL, N),
        TAKE(s->stiffness_estimate, s->options.estimates && s->table.method->kind == NDE_KIND_RUNGE_KUTTA, N);
    lay_hits(s, arena, row);
    lay_sums(s, arena);
}

static size_t path_reals(const nde_solver *s, const nde_path *path, nde_arena *arena) {
    size_t count;
    if (!nde_size_multiply(path->knots, path->channels, &count) ||
        !nde_size_multiply(count, s->N, &count))
        return arena->overflow = true, (size_t)0;
    return count;
}

static void lay_gradients(nde_solver *s, nde_arena *arena) {
    const nde_problem *q = &s->rhs.problem;
    const size_t N = s->N;
    TAKE(s->g_save_t, s->save_lane ? s->rows_saved : 0, N);
    TAKE(s->since, q->n_events > 0, N);
    TAKE(s->g_apart, s->undoes, N);
    TAKE(s->g_y0, s->rhs.dim, N), TAKE(s->g_q, s->rhs.nq, N), TAKE(s->g_t0, 1, N), TAKE(s->g_t1, 1, N);
    size_t inputs;
    if (!nde_size_multiply(q->n_jumps, q->jump_inputs, &inputs)) arena->overflow = true;
    TAKE(s->g_jump_u, inputs, N);
    if (q->input) TAKE(s->g_input, 1, path_reals(s, q->input, arena));
    TAKE(s->g_term, 1, q->n_terms);
    for (size_t k = 0; k < q->n_terms; k++) {
        nde_real *x = NULL;
        if (q->terms[k].path) TAKE(x, 1, path_reals(s, q->terms[k].path, arena));
        if (s->g_term) s->g_term[k] = x;
    }
}

/* While counting, one of `times` equal parts has been laid from `from` on: counts the others. */
static void count_again(nde_arena *arena, size_t from, size_t times) {
    size_t rest;
    if (arena->base || arena->overflow) return;
    if (!nde_size_multiply(arena->used - from, times - 1, &rest) ||
        !nde_size_add(arena->used, rest, &arena->used))
        arena->overflow = true;
}

/* The caller's tolerances and weights, copied. */
static void lay_measure(nde_solver *s, nde_arena *arena) {
    const nde_options *o = &s->options;
    TAKE(s->rtol_n, o->rtol_n != NULL, s->N), TAKE(s->atol_n, o->atol_n != NULL, s->N);
    TAKE(s->weight, o->weights != NULL, s->rhs.dim);
    if (s->rtol_n) memcpy(s->rtol_n, o->rtol_n, s->N*sizeof *s->rtol_n);
    if (s->weight) memcpy(s->weight, o->weights, s->rhs.dim*sizeof *s->weight);
    for (size_t j = 0; s->atol_n && j < s->N; j++) s->atol_n[j] = fmax(o->atol_n[j], DBL_MIN);
}

/* Directions of forward mode at once: more lanes than a few vectors gain nothing, and leave the cache. */
static size_t directions_at_once(const nde_solver *s, size_t capacity) {
    enum { MOST_LANES = 512 };
    const bool together = nde_method_iterates(s->base) && s->base->kind != NDE_KIND_STOCHASTIC;
    const bool by_rows = (nde_method_is_implicit(s->table.method) && !together) || s->rhs.correction != 0 || s->rhs.follows;
    const bool possible = s->options.adjoint && !by_rows;
    const size_t most = MOST_LANES/capacity, wanted = possible ? s->options.directions : 0;
    const size_t some = wanted < most ? wanted : most;
    return some > 1 ? some : 1;
}

/* Everything, in one order: counted with base NULL, handed out with a block. */
static nde_status lay(nde_solver *s, nde_arena *arena) {
    const nde_division d = nde_solver_divide(s);
    const nde_problem *q = &s->rhs.problem;
    (void)nde_arena_take_rows(arena, 1, 1, sizeof *s); /* the solver itself comes first */
    s->n_panels = d.panels, s->n_shards = d.shards, s->directions = directions_at_once(s, d.capacity);
    TAKE(s->panel, 1, d.panels), TAKE(s->shard, 1, d.shards), TAKE(s->worker, 1, s->n_workers);
    nde_status bad = nde_write_method(s, arena);
    if (bad || (bad = nde_table_lay(&s->table, arena, s->table.method, s->rhs.dim, q->split))) return bad;
    s->table.compensated = s->options.compensated;
    TAKE(s->save_t, s->saving == NDE_SAVE_TIMES ? s->rows_saved : 1, s->save_row);
    TAKE(s->atol_each, s->options.atol_each != NULL, s->rhs.dim);
    double *const each = s->atol_each;
    for (size_t i = 0; each && i < s->rhs.dim; i++) each[i] = fmax(s->options.atol_each[i], DBL_MIN);
    if (each) s->tolerance.atol_each = each;
    lay_measure(s, arena);
    if (nde_method_is_implicit(s->table.method)) nde_jacobian_lay(&s->table.jacobian, arena, &s->rhs);
    if (s->table.method->kind == NDE_KIND_ROSENBROCK) s->table.evals += nde_jacobian_evaluations(&s->table.jacobian, &s->rhs);
    s->table.newton.tolerance = s->tolerance, s->table.newton.rtol_n = s->rtol_n, s->table.newton.atol_n = s->atol_n;
    if (s->table.way) s->table.way[1].jacobian = s->table.jacobian, s->table.tolerance = s->tolerance;
    size_t knots = q->n_jumps;
    for (size_t k = 0; k < q->n_terms; k++)
        if (q->terms[k].path && !nde_size_add(knots, q->terms[k].path->knots, &knots))
            arena->overflow = true;
    if (!nde_size_add(knots, s->options.n_clip, &knots)) arena->overflow = true;
    TAKE(s->forced.t, 1, knots), TAKE(s->forced.jump, 1, knots), TAKE(s->forced.clip, 1, knots);
    TAKE(s->clip_t, 1, s->options.n_clip);
    if (s->clip_t) memcpy(s->clip_t, s->options.clip_t, s->options.n_clip*sizeof *s->clip_t);
    TAKE(s->rhs.prepared_values, 1, s->rhs.prepared);

    size_t from = s->state_from = arena->used;
    for (size_t k = 0; k < (s->panel ? d.panels : 1); k++) {
        nde_panel counted, *p = s->panel ? &s->panel[k] : &counted;
        lay_state(p, arena, s, d.capacity);
    }
    count_again(arena, from, d.panels);
    lay_outputs(s, arena);
    s->state_to = arena->used;
    lay_results(s, arena);

    from = arena->used;
    for (size_t k = 0; k < (s->panel ? d.panels : 1); k++) {
        nde_panel counted = { 0 }, *p = s->panel ? &s->panel[k] : &counted;
        if (!s->panel)
            p->capacity = d.capacity, p->ld = nde_leading_dimension(d.capacity, sizeof(nde_real));
        lay_attempt(p, arena, s);
        p->first = k*d.each;
        p->count = p->first + d.each <= s->N ? d.each : s->N - p->first;
    }
    count_again(arena, from, d.panels);
    from = arena->used;
    for (size_t k = 0; k < (s->worker ? s->n_workers : 1); k++) {
        nde_worker counted, *w = s->worker ? &s->worker[k] : &counted;
        w->scratch.worker = (int)k;
        lay_worker(w, arena, s, d.capacity);
    }
    count_again(arena, from, s->n_workers);
    from = arena->used;
    for (size_t k = 0; k < (s->shard ? d.shards : 1); k++) {
        nde_shard counted, *shard = s->shard ? &s->shard[k] : &counted;
        shard->first = k*d.panels/d.shards;
        shard->count = (k + 1)*d.panels/d.shards - shard->first;
        shard->p = shard->save_t = shard->jump_t = NULL;
        for (size_t j = 0; s->shard && j < shard->count; j++) s->panel[shard->first + j].shard = k;
        if (!s->adjoint) continue;
        TAKE(shard->p, 1, s->rhs.np), TAKE(shard->save_t, 1, s->saving == NDE_SAVE_TIMES && !s->save_lane ? s->rows_saved : 0),
            TAKE(shard->jump_t, 1, q->n_jumps);
    }
    count_again(arena, from, d.shards);
    if (s->adjoint) lay_gradients(s, arena);
    if (s->loss.at && s->adjoint) {
        size_t row;
        if (!nde_size_multiply(s->out, s->N, &row)) arena->overflow = true;
        TAKE(s->a_out, s->rows_saved, row);
        TAKE(s->a_estimate, s->loss.error_estimate != 0 || s->loss.stiffness_estimate != 0 ? 2 : 0, s->N);
    }
    if (s->adjoint > NDE_ADJOINT_DISCRETE && !s->undoes) {
        const nde_status refused = nde_back_lay(s, arena);
        if (refused) return refused;
    }
    if (s->options.curvature) {
        const nde_status refused = nde_curvature_lay(s, arena);
        if (refused) return refused;
    }
    if (s->rhs.observe.field && s->options.adjoint) {
        TAKE(s->y_rows, s->rows_saved, s->rhs.dim*s->N); /* no larger than y_end */
        size_t rows;
        if (!nde_size_multiply(s->rows_saved, s->directions, &rows)) arena->overflow = true;
        TAKE(s->a_rows, rows, s->rhs.dim*s->N);
    }
    return arena->overflow
               ? nde_fail(NDE_E_SIZE, "the sizes of problem and options are too large together")
               : NDE_OK;
}

/* Bytes of the whole and of each panel's record. */
static nde_status sizes(nde_solver *s, size_t *total, size_t *slice) {
    nde_arena arena = { 0 };
    const nde_status bad = lay(s, &arena);
    if (bad) return bad;
    *slice = 0;
    if (s->logs) {
        const size_t budget = s->options.budget ? s->options.budget : nde_budget_default();
        *slice = budget/s->n_panels/64*64;
    }
    size_t record;
    if (!nde_size_multiply(*slice, s->n_panels, &record) || !nde_size_add(arena.used, record, total) ||
        !nde_size_add(*total, s->back_bytes, total) || !nde_size_add(*total, s->curvature_bytes, total) ||
        !nde_size_add(*total, 64, total))
        return nde_fail(NDE_E_SIZE, "options.budget is too large: %zu", s->options.budget);
    *total -= 64;
    *total = ceil_to(*total, 64);
    return NDE_OK;
}

nde_status nde_solver_measure(nde_solver *s, const nde_problem *problem, const nde_options *options,
                              size_t *total, size_t *slice) {
    const nde_status bad = nde_solver_read(s, problem, options);
    return bad ? bad : sizes(s, total, slice);
}

size_t nde_solver_bytes(const nde_problem *problem, const nde_options *options) {
    nde_solver s;
    size_t total, slice;
    return nde_solver_measure(&s, problem, options, &total, &slice) ? 0 : total;
}

void nde_solver_open_record(const nde_solver *s, nde_record *record, size_t ld, void *base, size_t size) {
    const size_t stages = (size_t)s->table.stages, slab = s->rhs.rows*ld;
    nde_record_open(record, base, size, s->options.record, s->rhs.dim, s->state_rows*ld, stages*slab, stages*s->rhs.tape*ld);
    record->rows = s->state_rows;
}

/* What matrices have outside the block. */
static void close_linear(nde_solver *s) {
    for (size_t k = 0; k < s->n_workers; k++)
        if (s->worker[k].scratch.linear) nde_lu_close(&s->worker[k].scratch.linear->lu);
}

static nde_status open_linear(nde_solver *s) {
    nde_status bad = NDE_OK;
    for (size_t k = 0; !bad && k < s->n_workers; k++)
        if (s->worker[k].scratch.linear) bad = nde_lu_open(&s->worker[k].scratch.linear->lu);
    if (bad) close_linear(s);
    return bad;
}

/* Builds the solver in a block of exactly `total` bytes. */
static nde_status build(nde_solver *plan, void *block, size_t total, size_t slice, nde_solver **out) {
    nde_solver *s = block;
    const size_t fixed = total - slice*plan->n_panels - plan->back_bytes - plan->curvature_bytes;
    memset(block, 0, fixed);
    *s = *plan;
    s->rhs.term = s->term;
    s->rhs.problem.terms = s->own_term;
    s->rhs.kernels = &s->kernels;
    if (s->options.tableau) s->base = &s->own_method;
    s->table.method = nde_chosen_method(s);
    s->block = block, s->bytes = total;
    nde_arena arena = { .base = block };
    const nde_status bad = lay(s, &arena);
    if (bad) return bad;
    if (s->saving == NDE_SAVE_TIMES)
        memcpy(s->save_t, s->save_lane ? s->options.save_t_each : s->options.save_t,
               s->rows_saved*s->save_row*sizeof *s->save_t);
    for (size_t k = 0; k < s->n_panels; k++) {
        nde_panel *p = &s->panel[k];
        unsigned char *base = (unsigned char *)block + fixed + k*slice;
        nde_solver_open_record(s, &p->record, p->ld, base, slice);
        nde_record_attach(&p->record, &s->store, k, s->n_panels);
    }
    nde_status refused = open_linear(s);
    if (refused) return refused;
    if (!s->executor && s->options.threads > 1) {
        s->pool = nde_pool_create(s->options.threads, &s->allocator);
        if (!s->pool) {
            close_linear(s);
            return nde_fail(NDE_E_NOMEM, "out of memory: a pool of %d threads",
                            (int)s->options.threads);
        }
        s->own_executor =
            (nde_executor){ .run = nde_pool_run, .ctx = s->pool, .workers = s->options.threads };
        s->executor = &s->own_executor;
    }
    unsigned char *const end = (unsigned char *)block + total - s->curvature_bytes;
    if (s->back) refused = nde_back_make(s, end - s->back_bytes);
    if (!refused && s->curvature) refused = nde_curvature_make(s, end);
    if (refused) {
        close_linear(s);
        if (s->pool) nde_pool_destroy(s->pool, &s->allocator);
        return refused;
    }
    *out = s;
    return NDE_OK;
}

nde_status nde_solver_create(const nde_problem *problem, const nde_options *options,
                             nde_solver **solver) {
    nde_solver plan;
    size_t total, slice;
    if (!solver) return nde_fail(NDE_E_ARG, "nde_solver_create: solver is NULL");
    *solver = NULL;
    nde_status bad = nde_solver_measure(&plan, problem, options, &total, &slice);
    if (bad) return bad;
    void *block = plan.allocator.take(plan.allocator.ctx, total, 64);
    if (!block) return nde_fail(NDE_E_NOMEM, "out of memory: %zu bytes", total);
    plan.own_block = true;
    bad = build(&plan, block, total, slice, solver);
    if (bad) plan.allocator.give(plan.allocator.ctx, block, total);
    return bad;
}

nde_status nde_solver_create_in(void *block, size_t bytes, const nde_problem *problem,
                                const nde_options *options, nde_solver **solver) {
    nde_solver plan;
    size_t total, slice;
    if (!solver) return nde_fail(NDE_E_ARG, "nde_solver_create_in: solver is NULL");
    *solver = NULL;
    nde_status bad = nde_solver_measure(&plan, problem, options, &total, &slice);
    if (bad) return bad;
    if (!block || (uintptr_t)block % 64)
        return nde_fail(NDE_E_ARG, "nde_solver_create_in: block is %s",
                        block ? "not at a multiple of 64" : "NULL");
    if (bytes < total)
        return nde_fail(NDE_E_ARG, "nde_solver_create_in: bytes is %zu, needed are %zu", bytes, total);
    return build(&plan, block, total, slice, solver);
}

void nde_solver_destroy(nde_solver *s) {
    if (!s) return;
    const nde_allocator allocator = s->allocator;
    close_linear(s);
    if (s->pool) nde_pool_destroy(s->pool, &allocator);
    if (s->own_block) allocator.give(allocator.ctx, s->block, s->bytes);
}
