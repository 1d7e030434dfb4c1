/* SPDX-License-Identifier: MIT
 * setup.c - a solver is made and destroyed: one block for all that is libnde's, then what each worker needs of SUNDIALS. */
#include "field/parts.h"
#include "stiff/sun.h"

#include <math.h>
#include <string.h>

#include "field/parts.h"

/* ---- the block: laid out twice, first to count ------------------------------------------------------------------- */

enum { MOST_LANES = 64 };

static void lay_lanes(const nde_stiff_solver *s, nde_sun_lanes *at, nde_arena *arena, size_t n, size_t least_k) {
    const nde_rhs *r = &s->rhs;
    const size_t ld = n ? nde_leading_dimension(n, sizeof(double)) : 0;
    size_t k;
    if (!nde_size_multiply(r->rows, ld, &k)) arena->overflow = true;
    at->n = n, at->ld = ld;
    at->index = nde_arena_take(arena, ld, sizeof *at->index);
    at->interval = nde_arena_take(arena, ld, sizeof *at->interval);
    at->mark = nde_arena_take(arena, ld, 1);
    at->t = nde_arena_take(arena, ld, sizeof *at->t);
    at->q = nde_arena_take_rows(arena, r->nq, ld, sizeof *at->q);
    at->y = nde_arena_take_rows(arena, r->dim, ld, sizeof *at->y);
    at->v = nde_arena_take_rows(arena, r->dim, ld, sizeof *at->v);
    at->k = nde_arena_take(arena, k > least_k ? k : least_k, sizeof *at->k);
    at->lanes.piece = nde_arena_take_rows(arena, r->paths, ld, sizeof *at->lanes.piece);
    nde_scratch_lay(&at->scratch, arena, r, ld, true);
    at->lanes.site = (nde_site){ .n = n, .ld = ld, .index = at->index, .interval = at->interval, .q = at->q, .lane = at->mark,
                                 .flags = NDE_SAME_TIME };
}

static void lay_worker(const nde_stiff_solver *s, nde_sun_worker *w, nde_arena *arena) {
    const nde_rhs *r = &s->rhs;
    const size_t events = r->problem.n_events;
    const bool matrix = s->linear == NDE_STIFF_DENSE || s->linear == NDE_STIFF_BAND;
    size_t square = 0;
    if (s->whole && !nde_size_multiply(r->dim, r->dim, &square)) arena->overflow = true;
    w->pivot = nde_arena_take(arena, matrix ? r->dim : 0, sizeof *w->pivot);
    w->pivot_mass = nde_arena_take(arena, s->stiff.mass ? r->dim : 0, sizeof *w->pivot_mass);
    w->pivot_back = nde_arena_take(arena, matrix && s->adjoint ? r->dim : 0, sizeof *w->pivot_back);
    w->state = nde_arena_take(arena, r->dim, sizeof *w->state);
    w->z_state = nde_arena_take(arena, r->nz, sizeof *w->z_state);
    w->a_z_space = nde_arena_take(arena, s->adjoint ? r->nz : 0, sizeof *w->a_z_space);
    w->g = nde_arena_take(arena, events, sizeof *w->g);
    w->g_new = nde_arena_take(arena, events, sizeof *w->g_new);
    w->root = nde_arena_take(arena, events, sizeof *w->root);
    w->order = nde_arena_take(arena, events, sizeof *w->order);
    w->passed = nde_arena_take(arena, events, sizeof *w->passed);
    lay_lanes(s, &w->one, arena, 1, 0);
    lay_lanes(s, &w->wide, arena, s->wide, square);
}

/* Non-zeros by columns: of the sparsity, or of a band without one. */
static size_t entries(const nde_stiff_solver *s) {
    const nde_field *f = s->rhs.drift.field;
    const bool matrix = s->linear == NDE_STIFF_DENSE || s->linear == NDE_STIFF_BAND;
    if (!matrix || s->whole) return 0;
    if (f->sparsity_start) return f->sparsity_start[s->rhs.dim];
    size_t count = 0;
    for (size_t j = 0; s->linear == NDE_STIFF_BAND && j < s->rhs.dim; j++)
        count += (j < s->upper ? j : s->upper) + (s->rhs.dim - 1 - j < s->lower ? s->rhs.dim - 1 - j : s->lower) + 1;
    return count;
}

static void lay(nde_stiff_solver *s, nde_arena *a) {
    const nde_rhs *r = &s->rhs;
    const size_t N = r->N, real = sizeof(double), nonzeros = entries(s), hits = s->event_rows;
    size_t forced, states;
    if (!nde_size_add(r->problem.n_jumps, s->options.n_clip, &forced) || !nde_size_multiply(r->dim, N, &states)) {
        a->overflow = true;
        return;
    }
    s->rhs.prepared_values = nde_arena_take(a, r->prepared, real);
    s->atol = nde_arena_take(a, r->dim, real);
    s->clip_t = nde_arena_take(a, s->options.n_clip, real);
    s->mass = s->stiff.mass && !s->is_diagonal ? nde_arena_take_rows(a, r->dim, r->dim, real) : NULL;
    s->diagonal = s->stiff.mass_diagonal || s->is_diagonal ? nde_arena_take(a, r->dim, real) : NULL;
    s->algebraic = s->stiff.mass || s->stiff.mass_diagonal ? nde_arena_take(a, r->dim, sizeof *s->algebraic) : NULL;
    s->colour = nde_arena_take(a, r->dim, sizeof *s->colour);
    s->taken = nde_arena_take(a, r->dim, 1);
    s->column_start = nonzeros ? nde_arena_take(a, r->dim + 1, sizeof *s->column_start) : NULL;
    s->column_row = nonzeros ? nde_arena_take(a, nonzeros, sizeof *s->column_row) : NULL;
    s->forced = nde_arena_take(a, forced, sizeof *s->forced);
    s->save_t = nde_arena_take(a, s->rows, real);
    s->y_out = nde_arena_take_rows(a, s->rows, states, real);
    s->y_end = nde_arena_take(a, states, real);
    s->z_end = nde_arena_take_rows(a, r->nz, N, real);
    s->t_end = nde_arena_take(a, N, real);
    s->saved = nde_arena_take(a, N, sizeof *s->saved);
    s->status = nde_arena_take(a, N, sizeof *s->status);
    s->stats = nde_arena_take(a, N, sizeof *s->stats);
    s->counts = nde_arena_take(a, N, sizeof *s->counts);
    s->back_stats = nde_arena_take(a, s->adjoint ? N : 0, sizeof *s->back_stats);
    s->back_status = nde_arena_take(a, N, sizeof *s->back_status);
    s->back_counts = nde_arena_take(a, N, sizeof *s->back_counts);
    s->sum_p = nde_arena_take_rows(a, s->adjoint ? r->np : 0, N, real);
    s->steps = nde_arena_take(a, N, sizeof *s->steps);
    s->said = nde_arena_take(a, N, sizeof *s->said);
    s->event_count = nde_arena_take_rows(a, r->problem.n_events, N, sizeof *s->event_count);
    s->event_saved = nde_arena_take(a, hits ? N : 0, sizeof *s->event_saved);
    s->event_end = nde_arena_take(a, hits ? N : 0, sizeof *s->event_end);
    s->event_which = nde_arena_take_rows(a, hits, N, sizeof *s->event_which);
    s->event_together = nde_arena_take_rows(a, hits, N, 1);
    s->event_t = nde_arena_take_rows(a, hits, N, real);
    s->event_y = nde_arena_take_rows(a, hits, states, real);
    s->worker = nde_arena_take(a, s->workers, sizeof *s->worker);
    nde_sun_worker counted = { 0 };
    for (size_t i = 0; i < s->workers && !a->overflow; i++) {
        nde_sun_worker *w = s->worker ? &s->worker[i] : &counted;
        if (s->worker) *w = counted;
        lay_worker(s, w, a);
    }
}

/* ---- what the arrays hold from the beginning --------------------------------------------------------------------- */

static void fill_columns(nde_stiff_solver *s) {
    const nde_field *f = s->rhs.drift.field;
    const size_t n = s->rhs.dim, *row = f->sparsity_start;
    size_t *start = s->column_start, at = 0;
    for (size_t j = 0; !row && j <= n; j++) {
        start[j] = at;
        for (size_t i = j > s->upper ? j - s->upper : 0; j < n && i < n && i <= j + s->lower; i++) s->column_row[at++] = i;
    }
    if (row) nde_sparsity_columns(n, row, f->sparsity_index, start, s->column_row);
}

static void fill(nde_stiff_solver *s) {
    const nde_options *o = &s->options;
    const size_t n = s->rhs.dim;
    const double atol = o->atol == 0 ? 1e-9 : o->atol == NDE_ZERO ? 0 : o->atol;
    const double least = 0x1p-1000; /* no error is within no tolerance */
    for (size_t i = 0; i < n; i++) s->atol[i] = o->atol_each ? o->atol_each[i] : atol;
    for (size_t i = 0; i < n; i++) s->atol[i] = s->atol[i] > least ? s->atol[i] : least;
    s->atol_least = s->atol[0];
    for (size_t i = 1; i < n; i++) s->atol_least = fmin(s->atol_least, s->atol[i]);
    for (size_t i = 0; i < o->n_clip; i++) s->clip_t[i] = o->clip_t[i];
    for (size_t i = 0; i < o->n_save; i++) s->save_t[i] = o->save_t[i];
    if (s->mass) memcpy(s->mass, s->stiff.mass, n*n*sizeof *s->mass);
    for (size_t i = 0; s->diagonal && i < n; i++) s->diagonal[i] = s->is_diagonal ? s->stiff.mass[i*n + i]
        : s->stiff.mass_diagonal[i];
    bool any = false;
    for (size_t j = 0; s->algebraic && j < n; j++) {
        bool zero = !s->diagonal || s->diagonal[j] == 0;
        for (size_t i = 0; s->mass && i < n; i++) zero = zero && s->mass[i*n + j] == 0;
        s->algebraic[j] = zero;
        any = any || zero;
    }
    if (!any) s->algebraic = NULL;
    if (s->column_start) fill_columns(s);
}

/* ---- workers ----------------------------------------------------------------------------------------------------- */

#if SUNDIALS_VERSION_MAJOR >= 7
#define NO_COMMUNICATOR SUN_COMM_NULL
#else
#define NO_COMMUNICATOR NULL
#endif

nde_status nde_sun_worker_make(nde_sun_worker *w) {
    nde_stiff_solver *s = w->solver;
    const nde_rhs *r = &s->rhs;
    w->pool = (nde_sun_pool){ .memory = &s->memory, .lock = &s->lock, .length = { r->dim, r->nz, r->np + r->nq } };
    if (SUNContext_Create(NO_COMMUNICATOR, &w->context)) return w->context = NULL, NDE_E_NOMEM;
    if (!nde_sun_pool_make(&w->pool, w->context)) return NDE_E_NOMEM;
    w->y = nde_sun_vector_new(&w->pool, r->dim);
    w->dy = nde_sun_vector_new(&w->pool, r->dim);
    w->id = nde_sun_vector_new(&w->pool, r->dim);
    w->atol = nde_sun_vector_new(&w->pool, r->dim);
    w->probe = nde_sun_vector_new(&w->pool, r->dim);
    w->z = r->nz ? nde_sun_vector_new(&w->pool, r->nz) : NULL;
    if (!w->y || !w->dy || !w->id || !w->atol || !w->probe || (r->nz && !w->z)) return NDE_E_NOMEM;
    memcpy(nde_sun_data(w->atol), s->atol, r->dim*sizeof(double));
    nde_lanes_bind(&w->one.lanes, r, &w->one.scratch);
    nde_lanes_bind(&w->wide.lanes, r, &w->wide.scratch);
    w->direction = 1, w->limit = (double)INFINITY, w->which = -1;
    const nde_status bad = s->engine->make(w);
    return w->pool.failed ? NDE_E_NOMEM : bad;
}

void nde_sun_worker_free(nde_sun_worker *w) {
    w->solver->engine->free(w);
    if (w->krylov) (void)SUNLinSolFree(w->krylov);
    if (w->back_krylov) (void)SUNLinSolFree(w->back_krylov);
    if (w->functional) (void)SUNNonlinSolFree(w->functional);
    if (w->back_functional) (void)SUNNonlinSolFree(w->back_functional);
    nde_sun_drop(w);
    nde_sun_pool_free(&w->pool);
    if (w->context) (void)SUNContext_Free(&w->context);
}

/* ---- the solver -------------------------------------------------------------------------------------------------- */

static void destroy(nde_stiff_solver *s) {
    const nde_allocator memory = s->memory;
    for (size_t i = 0; i < s->workers; i++) nde_sun_worker_free(&s->worker[i]);
    if (s->pool) nde_pool_destroy(s->pool, &memory);
    if (s->locked) pthread_mutex_destroy(&s->lock);
    memory.give(memory.ctx, s, s->bytes);
}

void nde_stiff_destroy(nde_stiff_solver *s) {
    if (s) destroy(s);
}

static void choose_workers(nde_stiff_solver *s) {
    const nde_options *o = &s->options;
    const size_t wanted = o->executor ? (size_t)o->executor->workers : o->threads > 1 ? (size_t)o->threads : 1;
    s->workers = wanted < s->rhs.N || o->executor ? wanted : s->rhs.N;
    s->executor = o->executor;
}

static void choose_lanes(nde_stiff_solver *s) {
    const bool matrix = s->linear == NDE_STIFF_DENSE || s->linear == NDE_STIFF_BAND;
    const size_t most = s->rhs.dim < MOST_LANES ? s->rhs.dim : MOST_LANES;
    s->wide = !matrix ? 0 : s->whole ? 1 : most;
    s->budget = s->options.budget ? s->options.budget : nde_budget_default();
}

/* A worker has CVODES or IDAS, and a pool of threads starts. */
static nde_status equip(nde_stiff_solver *s) {
    if (pthread_mutex_init(&s->lock, NULL)) return nde_fail(NDE_E_NOMEM, "nde_stiff_create: no mutex");
    s->locked = true;
    for (size_t i = 0; i < s->workers; i++) s->worker[i].solver = s,
        s->worker[i].one.scratch.worker = s->worker[i].wide.scratch.worker = (int)i;
    for (size_t i = 0; i < s->workers; i++) {
        const nde_status bad = nde_sun_worker_make(&s->worker[i]);
        if (bad == NDE_E_NOMEM) return nde_fail(bad, "nde_stiff_create: no memory for SUNDIALS%s%s", *s->worker[i].said ? ": "
                                                : "", s->worker[i].said);
        if (bad) return bad;
    }
    if (s->workers > 1 && !s->executor) {
        s->pool = nde_pool_create((int)s->workers, &s->memory);
        if (!s->pool) return nde_fail(NDE_E_NOMEM, "nde_stiff_create: no threads");
        s->own = (nde_executor){ .run = nde_pool_run, .ctx = s->pool, .workers = (int)s->workers };
        s->executor = &s->own;
    }
    return NDE_OK;
}

nde_status nde_stiff_create(const nde_problem *problem, const nde_options *options, const nde_stiff_options *stiff,
                            nde_stiff_solver **solver) {
    if (!solver) return nde_fail(NDE_E_ARG, "nde_stiff_create: solver is NULL");
    *solver = NULL;
    nde_stiff_solver plan = { 0 }, *s;
    nde_status bad = nde_sun_read(&plan, problem, options, stiff);
    if (bad) return bad;
    choose_workers(&plan);
    choose_lanes(&plan);
    nde_arena arena = { 0 };
    (void)nde_arena_take(&arena, 1, sizeof plan);
    lay(&plan, &arena);
    if (arena.overflow) return nde_fail(NDE_E_SIZE, "nde_stiff_create: the sizes do not fit");
    const nde_allocator memory = plan.options.allocator ? *plan.options.allocator : nde_allocator_default;
    s = memory.take(memory.ctx, arena.used, 64);
    if (!s) return nde_fail(NDE_E_NOMEM, "nde_stiff_create: no memory for %zu bytes", arena.used);
    memset(s, 0, arena.used);
    const size_t bytes = arena.used;
    *s = plan;
    arena = (nde_arena){ .base = (unsigned char *)s };
    (void)nde_arena_take(&arena, 1, sizeof plan);
    lay(s, &arena);
    s->bytes = bytes, s->memory = memory, s->options.allocator = &s->memory;
    s->rhs.term = s->parts, s->rhs.problem.terms = s->terms;
    fill(s);
    s->colours = s->rhs.dim;
    for (size_t j = 0; j < s->rhs.dim; j++) s->colour[j] = j;
    if (s->column_start) s->colours = nde_colour_columns(s->rhs.dim, s->column_start, s->column_row, s->colour, s->taken);
    if ((bad = equip(s))) {
        destroy(s);
        return bad;
    }
    *solver = s;
    return NDE_OK;
}
