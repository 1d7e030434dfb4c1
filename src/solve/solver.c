/* SPDX-License-Identifier: MIT
 * solver.c - the solver object: options read, memory laid out once, runs, state, end. */
#include "solve/solver.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "core/isa.h"
#include "field/parts.h"
#include "path/path.h"
#include "solve/sprint.h"

/* ---- options --------------------------------------------------------------------------------- */

/* No array in memory is longer. */
#define MOST_ENTRIES ((size_t)PTRDIFF_MAX/sizeof(double))

static nde_status wrong(const char *what, double value) {
    return nde_fail(NDE_E_ARG, "options.%s is %g", what, value);
}

/* 0: the default; NDE_ZERO: zero; anything else must be positive and finite. */
static bool tolerance_of(double given, double usual, double *value) {
    *value = given == 0 ? usual : given == NDE_ZERO ? 0 : given;
    return *value >= 0 && isfinite(*value);
}

static nde_status read_tolerances(nde_solver *s) {
    nde_options *o = &s->options;
    const bool single = sizeof(nde_real) == sizeof(float);
    double atol;
    if (!tolerance_of(o->rtol, single ? 1e-4 : 1e-6, &s->tolerance.rtol)) return wrong("rtol", o->rtol);
    if (!tolerance_of(o->atol, single ? 1e-6 : 1e-9, &atol)) return wrong("atol", o->atol);
    s->tolerance.atol = atol;
    bool literal_zero = !o->atol_each && atol == 0;
    for (size_t i = 0; o->atol_each && i < s->rhs.dim; i++) {
        if (!(o->atol_each[i] >= 0) || !isfinite(o->atol_each[i]))
            return nde_fail(NDE_E_ARG, "options.atol_each[%zu] is %g", i, o->atol_each[i]);
        literal_zero = literal_zero || o->atol_each[i] == 0;
    }
    if (literal_zero && s->tolerance.rtol == 0)
        return nde_fail(NDE_E_ARG, "options: rtol and atol are both zero");
    s->tolerance.atol = fmax(atol, DBL_MIN); /* no error is within no tolerance: 0/0 is 0 */
    return NDE_OK;
}

static nde_status read_limits(nde_solver *s) {
    nde_options *o = &s->options;
    if (!(o->h0 >= 0) || !isfinite(o->h0)) return wrong("h0", o->h0);
    if ((!(o->h_min >= 0) || !isfinite(o->h_min)) && o->h_min != NDE_ZERO) return wrong("h_min", o->h_min);
    if (!(o->h_max >= 0) && o->h_max != NDE_ZERO) return wrong("h_max", o->h_max);
    if (o->h_max == NDE_ZERO) o->h_max = 0;
    if (o->h_max > 0 && o->h_min > o->h_max)
        return nde_fail(NDE_E_ARG, "options: h_min %g is above h_max %g", o->h_min, o->h_max);
    if (o->steps < 0) return wrong("steps", (double)o->steps);
    if (o->max_steps < 0 && o->max_steps != NDE_ZERO) return wrong("max_steps", (double)o->max_steps);
    if (o->max_steps == 0) o->max_steps = 1000000;
    if (o->steps > 0) o->max_steps = 0; /* their number is known */
    if (o->threads < 0 || o->threads > 4096) return wrong("threads", o->threads);
    if (o->stepping != NDE_STEP_INDEPENDENT && o->stepping != NDE_STEP_JOINT)
        return wrong("stepping", o->stepping);
    if (o->adjoint != NDE_ADJOINT_NONE && o->adjoint != NDE_ADJOINT_DISCRETE)
        return wrong("adjoint", o->adjoint);
    if (o->record < 0 || o->record > NDE_RECORD_CHECKPOINTS) return wrong("record", o->record);
    if (!o->record) o->record = NDE_RECORD_TAPE;
    if (o->executor && (!o->executor->run || o->executor->workers < 1))
        return nde_fail(NDE_E_ARG, "options.executor: run is %s, workers is %d",
                        o->executor->run ? "given" : "NULL", o->executor->workers);
    if (o->allocator && (!o->allocator->take || !o->allocator->give))
        return nde_fail(NDE_E_ARG, "options.allocator: %s is NULL",
                        o->allocator->take ? "give" : "take");
    return NDE_OK;
}

/* Rows of fixed steps: every jump, and every knot of a path that drives a term, may divide one. */
static size_t most_rows(const nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    size_t steps = (size_t)s->options.steps;
    if (!nde_size_add(steps, q->n_jumps, &steps)) return SIZE_MAX;
    for (size_t k = 0; k < q->n_terms; k++)
        if (q->terms[k].path && !nde_size_add(steps, q->terms[k].path->knots, &steps)) return SIZE_MAX;
    return (steps - 1)/(size_t)s->options.save_every + 2;
}

static nde_status read_saves(nde_solver *s) {
    nde_options *o = &s->options;
    if (o->save_every < 0) return wrong("save_every", (double)o->save_every);
    if (o->save_every && o->n_save)
        return nde_fail(NDE_E_ARG, "options: save_every is %lld and n_save %zu: one of them must be 0",
                        (long long)o->save_every, o->n_save);
    if (o->n_save && !o->save_t)
        return nde_fail(NDE_E_ARG, "options.save_t is NULL, n_save is %zu", o->n_save);
    if (o->n_save > MOST_ENTRIES) return nde_fail(NDE_E_SIZE, "options.n_save is %zu", o->n_save);
    s->saving = o->save_every ? NDE_SAVE_EVERY : o->n_save ? NDE_SAVE_TIMES : NDE_SAVE_END;
    s->rows_saved = s->saving == NDE_SAVE_TIMES ? o->n_save : 1;
    if (s->saving == NDE_SAVE_EVERY)
        s->rows_saved = o->save_rows ? o->save_rows : o->steps ? most_rows(s) : 1024;
    bool up = false, down = false;
    for (size_t i = 0; i < o->n_save; i++) {
        if (!isfinite(o->save_t[i]))
            return nde_fail(NDE_E_ARG, "options.save_t[%zu] is %g", i, o->save_t[i]);
        up = up || (i && o->save_t[i] > o->save_t[i - 1]);
        down = down || (i && o->save_t[i] < o->save_t[i - 1]);
        if (up && down)
            return nde_fail(NDE_E_ARG, "options.save_t[%zu] is %g: not monotone", i, o->save_t[i]);
    }
    return NDE_OK;
}

static nde_status choose_method(nde_solver *s) {
    const nde_options *o = &s->options;
    const nde_problem *q = &s->rhs.problem;
    const nde_method *m = NULL;
    if (o->tableau) {
        if (o->method)
            return nde_fail(NDE_E_ARG,
                            "options: method is %d and tableau is given: one of them must be 0",
                            (int)o->method);
        nde_tableau table;
        if (!nde_read_sized(&table, sizeof table, o->tableau, sizeof table))
            return nde_fail(NDE_E_ARG, "options.tableau.size is %zu", o->tableau->size);
        if (table.stages < 1 || table.stages > NDE_MOST_STAGES || (!table.a && table.stages > 1) ||
            !table.b)
            return nde_fail(NDE_E_ARG, "options.tableau: %zu stages, a or b is NULL", table.stages);
        if (table.e && table.error_order < 1)
            return nde_fail(NDE_E_ARG, "options.tableau: error_order is %d, e is given", table.error_order);
        s->own_method = (nde_method){ .kind = NDE_KIND_RUNGE_KUTTA,
                                      .stages = (int)table.stages,
                                      .a = table.a,
                                      .b = table.b,
                                      .e = table.e,
                                      .error_order = table.error_order,
                                      .first_same_as_last = table.first_same_as_last != 0 };
        m = &s->own_method;
    } else {
        const int id = o->method      ? o->method
                       : s->rhs.noisy ? NDE_EULER_MARUYAMA
                       : q->split     ? NDE_VELOCITY_VERLET
                                      : NDE_TSIT5;
        m = nde_method_get(id);
        if (!m) return nde_fail(NDE_E_ARG, "options.method %d is unknown", (int)o->method);
    }
    if (s->rhs.noisy != (m->kind == NDE_KIND_EULER_MARUYAMA))
        return nde_fail(NDE_E_CALCULUS, "method %s %s noise", m->name ? m->name : "(tableau)",
                        s->rhs.noisy ? "cannot integrate" : "needs a term with");
    if (s->rhs.noisy && q->calculus != NDE_ITO)
        return nde_fail(NDE_E_CALCULUS,
                        "method %s converges to the Ito solution, problem.calculus is Stratonovich",
                        m->name);
    if ((q->split > 0) != (m->kind == NDE_KIND_PARTITIONED))
        return nde_fail(NDE_E_ARG, "problem.split is %zu: method %s is %sfor partitioned problems",
                        q->split, m->name ? m->name : "(tableau)", q->split ? "not " : "");
    s->adaptive = o->steps == 0;
    s->joint = s->adaptive && o->stepping == NDE_STEP_JOINT;
    if (s->adaptive && !m->e)
        return nde_fail(NDE_E_ARG,
                        "options.steps is 0: method %s has no error estimate and needs fixed steps",
                        m->name ? m->name : "(tableau)");
    s->table.method = m;
    return NDE_OK;
}

static nde_status check_noise(const nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    for (size_t k = 0; k < q->n_terms; k++) {
        const nde_noise *noise = q->terms[k].noise;
        if (noise && noise->grid && noise->grid % s->options.steps)
            return nde_fail(NDE_E_ARG, "noise.grid is %lld: not a multiple of options.steps %lld",
                            (long long)noise->grid, (long long)s->options.steps);
    }
    return NDE_OK;
}

static void (*choose_sprint(int isa))(nde_solver *s, nde_panel *p) {
    switch (isa) {
#ifdef NDE_HAVE_V4
    case NDE_ISA_V4: return nde_sprint_v4;
#endif
#ifdef NDE_HAVE_V3
    case NDE_ISA_V3: return nde_sprint_v3;
#endif
    default: return nde_sprint_baseline;
    }
}

static nde_status read_all(nde_solver *s, const nde_problem *problem, const nde_options *options) {
    *s = (nde_solver){ 0 };
    nde_status bad = nde_rhs_make(&s->rhs, problem, s->term, s->own_term);
    if (bad) return bad;
    if (!nde_read_sized(&s->options, sizeof s->options, options, sizeof s->options))
        return nde_fail(NDE_E_ARG, "options.size: %zu bytes are not a layout that this library knows",
                        options->size);
    if ((bad = read_tolerances(s)) || (bad = read_limits(s)) || (bad = read_saves(s)) ||
        (bad = choose_method(s)) || (bad = check_noise(s)))
        return bad;
    s->N = s->rhs.N;
    s->per_dim = 1/(double)s->rhs.dim;
    s->rhs.steps = s->options.steps;
    s->rhs.kernels = nde_kernels_get(s->options.isa, s->options.reproducible != 0);
    if (!s->rhs.kernels)
        return nde_fail(NDE_E_ARG, "options.isa %d: not in this library, or not on this machine",
                        (int)s->options.isa);
    s->body = nde_body_get(s->rhs.kernels->isa);
    if (s->joint && (s->rhs.problem.t0_each || s->rhs.problem.t1_each))
        return nde_fail(NDE_E_ARG, "problem.t0_each: joint steps need one span for all");
    if (s->N == 1 && s->adaptive && !s->options.adjoint && s->rhs.plain &&
        s->table.method->kind == NDE_KIND_RUNGE_KUTTA)
        s->sprint = choose_sprint(s->rhs.kernels->isa);
    s->executor = s->options.executor;
    s->n_workers = s->executor              ? (size_t)s->executor->workers
                   : s->options.threads > 1 ? (size_t)s->options.threads
                                            : 1;
    s->allocator = s->options.allocator ? *s->options.allocator : nde_allocator_default;
    return s->adaptive ? nde_control_make(s->options.controller, s->table.method->error_order,
                                          &s->options, &s->control)
                       : NDE_OK;
}

/* ---- how trajectories are divided: by n and dim only ----------------------------------------- */

enum { MOST_SHARDS = 64 };

/* each: trajectories of a panel */
typedef struct division {
    size_t panels, shards, capacity, each;
} division;

static size_t ceil_to(size_t x, size_t to) { return (x + to - 1)/to*to; }

static division divide(const nde_solver *s) {
    const size_t n = s->N, dim = s->rhs.dim, widest = s->rhs.tape > dim ? s->rhs.tape : dim;
    division d;
    if (s->joint) { /* panels whose widest layer stays in half of a second-level cache of 1 MiB */
        size_t most = ((size_t)1 << 17)/widest/64*64;
        most = most < 64 ? 64 : most > 512 ? 512 : most;
        d.panels = (n + most - 1)/most;
        d.each = n < 8 ? n : ceil_to((n + d.panels - 1)/d.panels, 8);
        d.panels = (n + d.each - 1)/d.each;
        d.capacity = d.each;
        d.shards = d.panels < MOST_SHARDS ? d.panels : MOST_SHARDS;
    } else { /* blocks that stay in the first-level cache, with a queue of several each */
        const size_t lanes = dim <= 4 ? 128 : 64;
        d.each = s->options.group ? s->options.group
                 : n <= lanes     ? n
                                  : ceil_to((n + MOST_SHARDS - 1)/MOST_SHARDS, lanes);
        if (!s->options.group && n > lanes && d.each < 8*lanes) d.each = 8*lanes;
        if (d.each > n) d.each = n;
        d.capacity = d.each < lanes ? d.each : lanes;
        d.panels = d.shards = (n + d.each - 1)/d.each;
    }
    return d;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static void *array(nde_arena *arena, size_t rows, size_t columns, size_t bytes) {
    size_t count;
    if (!nde_size_multiply(rows, columns, &count)) return arena->overflow = true, NULL;
    return nde_arena_take(arena, count, bytes);
}

#define TAKE(pointer, rows, columns) ((pointer) = array(arena, (rows), (columns), sizeof *(pointer)))

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
        TAKE(p->before, 1, capacity), TAKE(p->h_last, 1, capacity);
    TAKE(p->h_first, 1, capacity), TAKE(p->stop, 1, capacity), TAKE(p->watch, 1, capacity);
    TAKE(p->refused, 1, capacity), TAKE(p->refusals, 1, capacity);
    TAKE(p->state[0], rows, ld), TAKE(p->state[1], rows, ld), TAKE(p->q, s->rhs.nq, ld);
    TAKE(p->own_k, (size_t)s->table.stages*rows, ld);
}

static void lay_attempt(nde_panel *p, nde_arena *arena, const nde_solver *s) {
    const size_t ld = p->ld, capacity = p->capacity;
    TAKE(p->t_new, 1, ld), TAKE(p->dt, 1, ld), TAKE(p->error, 1, ceil_to(ld, 16)),
        TAKE(p->t_done, 1, ld), TAKE(p->dt_done, 1, ld);
    TAKE(p->accept, 1, capacity), TAKE(p->mark, 1, capacity);
    TAKE(p->h_real, 1, ceil_to(ld, 16)), TAKE(p->chosen, 1, ld);
    TAKE(p->lanes.piece, s->rhs.paths, ld), TAKE(p->lanes.rate, s->rhs.rates, ld);
    p->lanes.site = (nde_site){
        .ld = ld, .index = p->trajectory, .interval = p->interval, .q = p->q, .lane = p->mark
    };
    if (s->rhs.plain && p->q) p->lanes.site.q = p->q + s->rhs.drift.field->q_first*ld;
    if (s->joint) p->lanes.site.flags |= NDE_SAME_TIME;
}

static void lay_group(nde_group *g, nde_arena *arena, const nde_solver *s, size_t capacity, size_t ld) {
    const size_t rows = s->rhs.rows, inputs = s->rhs.problem.jump_inputs;
    TAKE(g->trajectory, 1, capacity), TAKE(g->interval, 1, capacity), TAKE(g->node, 1, capacity),
        TAKE(g->piece, s->rhs.paths, ld);
    TAKE(g->t, 1, ld), TAKE(g->dt, 1, ld), TAKE(g->mark, 1, capacity);
    TAKE(g->y, rows, ld), TAKE(g->z, rows, ld), TAKE(g->k, 2*rows, ld), TAKE(g->q, s->rhs.nq, ld);
    TAKE(g->rate, s->rhs.rates, ld), TAKE(g->u, inputs, ld);
    if (!s->options.adjoint) return;
    TAKE(g->a_y, rows, ld), TAKE(g->a_k, rows, ld), TAKE(g->a_q, s->rhs.nq, ld),
        TAKE(g->a_u, inputs, ld), TAKE(g->a_t, 1, ld);
}

static void lay_worker(nde_worker *w, nde_arena *arena, const nde_solver *s, size_t capacity) {
    const size_t ld = nde_leading_dimension(capacity, sizeof(nde_real)), rows = s->rhs.rows,
                 stages = (size_t)s->table.stages;
    nde_scratch_lay(&w->scratch, arena, &s->rhs, ld);
    lay_group(&w->group, arena, s, capacity, ld);
    TAKE(w->list, 1, capacity), TAKE(w->list2, 1, capacity), TAKE(w->list3, 1, capacity),
        TAKE(w->attend, 1, capacity);
    TAKE(w->status, 1, capacity), TAKE(w->crossed, 1, capacity);
    if (!s->options.adjoint) return;
    lay_state(&w->replica, arena, s, capacity);
    lay_attempt(&w->replica, arena, s);
    nde_window_lay(&w->window, arena, &s->rhs, ld);
    TAKE(w->who, 1, capacity), TAKE(w->saved, 1, capacity), TAKE(w->forced, 1, capacity),
        TAKE(w->accepted, 1, capacity), TAKE(w->now, 1, capacity);
    TAKE(w->a_y, rows, ld), TAKE(w->a_carry, rows, ld), TAKE(w->a_k, stages*rows, ld),
        TAKE(w->a_q, s->rhs.nq, ld), TAKE(w->a_z, rows, ld);
    TAKE(w->tape, stages*s->rhs.tape, ld), TAKE(w->a_t, 1, ld), TAKE(w->a_h, 1, ld),
        TAKE(w->loss, 1, ld);
}

static void lay_outputs(nde_solver *s, nde_arena *arena) {
    const size_t N = s->N, dim = s->rhs.dim;
    size_t row;
    if (!nde_size_multiply(dim, N, &row)) arena->overflow = true;
    TAKE(s->y_out, s->rows_saved, row), TAKE(s->y_end, 1, row), TAKE(s->z_end, s->rhs.nz, N);
    if (s->saving == NDE_SAVE_EVERY) TAKE(s->save_t_out, s->rows_saved, N);
    TAKE(s->t_end, 1, N), TAKE(s->saved, 1, N), TAKE(s->status, 1, N), TAKE(s->stats, 1, N);
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

/* Everything, in one order: counted with base NULL, handed out with a block. */
static nde_status lay(nde_solver *s, nde_arena *arena) {
    const division d = divide(s);
    const nde_problem *q = &s->rhs.problem;
    (void)array(arena, 1, 1, sizeof *s); /* the solver itself comes first */
    s->n_panels = d.panels, s->n_shards = d.shards;
    TAKE(s->panel, 1, d.panels), TAKE(s->shard, 1, d.shards), TAKE(s->worker, 1, s->n_workers);
    double *space = NULL;
    if (s->options.tableau) {
        TAKE(space, 1, nde_tableau_space(s->options.tableau->stages));
        if (space) {
            const nde_status bad = nde_tableau_read(s->options.tableau, &s->own_method, space);
            if (bad) return bad;
        }
    }
    const nde_status bad = nde_table_lay(&s->table, arena, s->table.method, s->rhs.dim, q->split);
    if (bad) return bad;
    TAKE(s->save_t, 1, s->saving == NDE_SAVE_TIMES ? s->rows_saved : 1);
    double *each = NULL;
    if (s->options.atol_each) TAKE(each, 1, s->rhs.dim);
    for (size_t i = 0; each && i < s->rhs.dim; i++) each[i] = fmax(s->options.atol_each[i], DBL_MIN);
    if (each) s->tolerance.atol_each = each;
    size_t knots = q->n_jumps;
    for (size_t k = 0; k < q->n_terms; k++)
        if (q->terms[k].path && !nde_size_add(knots, q->terms[k].path->knots, &knots))
            arena->overflow = true;
    TAKE(s->forced.t, 1, knots), TAKE(s->forced.jump, 1, knots);
    TAKE(s->rhs.prepared_values, 1, s->rhs.prepared);

    size_t from = s->state_from = arena->used;
    for (size_t k = 0; k < (s->panel ? d.panels : 1); k++) {
        nde_panel counted, *p = s->panel ? &s->panel[k] : &counted;
        lay_state(p, arena, s, d.capacity);
    }
    count_again(arena, from, d.panels);
    lay_outputs(s, arena);
    s->state_to = arena->used;

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
        lay_worker(w, arena, s, d.capacity);
        w->scratch.worker = (int)k;
    }
    count_again(arena, from, s->n_workers);
    from = arena->used;
    for (size_t k = 0; k < (s->shard ? d.shards : 1); k++) {
        nde_shard counted, *shard = s->shard ? &s->shard[k] : &counted;
        shard->first = k*d.panels/d.shards;
        shard->count = (k + 1)*d.panels/d.shards - shard->first;
        shard->p = shard->save_t = shard->jump_t = NULL;
        if (!s->options.adjoint) continue;
        TAKE(shard->p, 1, s->rhs.np), TAKE(shard->save_t, 1, s->rows_saved),
            TAKE(shard->jump_t, 1, q->n_jumps);
    }
    count_again(arena, from, d.shards);
    if (s->options.adjoint) lay_gradients(s, arena);
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
    if (s->options.adjoint) {
        const size_t budget = s->options.budget ? s->options.budget : nde_budget_default();
        *slice = budget/s->n_panels/64*64;
    }
    size_t record;
    if (!nde_size_multiply(*slice, s->n_panels, &record) || !nde_size_add(arena.used, record, total) ||
        !nde_size_add(*total, 64, total))
        return nde_fail(NDE_E_SIZE, "options.budget is too large: %zu", s->options.budget);
    *total -= 64;
    *total = ceil_to(*total, 64);
    return NDE_OK;
}

size_t nde_solver_bytes(const nde_problem *problem, const nde_options *options) {
    nde_solver s;
    size_t total, slice;
    return read_all(&s, problem, options) || sizes(&s, &total, &slice) ? 0 : total;
}

/* Builds the solver in a block of exactly `total` bytes. */
static nde_status build(nde_solver *plan, void *block, size_t total, size_t slice, nde_solver **out) {
    nde_solver *s = block;
    const size_t fixed = total - slice*plan->n_panels;
    memset(block, 0, fixed);
    *s = *plan;
    s->rhs.term = s->term;
    s->rhs.problem.terms = s->own_term;
    if (s->options.tableau) s->table.method = &s->own_method;
    s->block = block, s->bytes = total;
    nde_arena arena = { .base = block };
    const nde_status bad = lay(s, &arena);
    if (bad) return bad;
    if (s->saving == NDE_SAVE_TIMES)
        memcpy(s->save_t, s->options.save_t, s->rows_saved*sizeof *s->save_t);
    for (size_t k = 0; k < s->n_panels; k++) {
        nde_panel *p = &s->panel[k];
        unsigned char *base = (unsigned char *)block + fixed + k*slice;
        nde_record_open(&p->record, base, slice, s->options.record, s->rhs.dim, p->slab,
                        (size_t)s->table.stages*p->slab,
                        (size_t)s->table.stages*s->rhs.tape*p->ld);
    }
    if (!s->executor && s->options.threads > 1) {
        s->pool = nde_pool_create(s->options.threads, &s->allocator);
        if (!s->pool)
            return nde_fail(NDE_E_NOMEM, "out of memory: a pool of %d threads",
                            (int)s->options.threads);
        s->own_executor =
            (nde_executor){ .run = nde_pool_run, .ctx = s->pool, .workers = s->options.threads };
        s->executor = &s->own_executor;
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
    nde_status bad = read_all(&plan, problem, options);
    if (bad || (bad = sizes(&plan, &total, &slice))) return bad;
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
    nde_status bad = read_all(&plan, problem, options);
    if (bad || (bad = sizes(&plan, &total, &slice))) return bad;
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
    if (s->pool) nde_pool_destroy(s->pool, &allocator);
    if (s->own_block) allocator.give(allocator.ctx, s->block, s->bytes);
}

/* ---- a run ----------------------------------------------------------------------------------- */

nde_status nde_solver_refuse(nde_solver *s, nde_status status) {
    snprintf(s->error, sizeof s->error, "%s", nde_error());
    nde_fail_undo();
    return status;
}

nde_status nde_solver_refuse_code(nde_solver *s, const char *who, int code) {
    const nde_status status = code == NDE_FIELD_STOP ? NDE_STOPPED : NDE_E_FIELD;
    return nde_solver_refuse(s, nde_fail(status, "%s: a field returned %d", who, code));
}

static bool vanishes(double t, double h) { return t + h == t; }

static nde_status check_times(nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    s->direction = 0;
    for (size_t who = 0; who < (q->t0_each || q->t1_each ? s->N : 1); who++) {
        const double t0 = nde_start_of(s, who), t1 = nde_end_of(s, who);
        if (!isfinite(t0) || !isfinite(t1) || !isfinite(t1 - t0))
            return nde_fail(NDE_E_ARG, "problem: t0 is %g, t1 is %g (trajectory %zu)", t0, t1, who);
        const double sign = (t1 > t0) - (t1 < t0), steps = (double)s->options.steps;
        if (sign != 0 && s->options.steps && (vanishes(t0, (t1 - t0)/steps) || vanishes(t1, (t1 - t0)/steps)))
            return nde_fail(NDE_E_STEPSIZE, "options.steps is %lld: one of %g is nothing beside t = %g",
                            (long long)s->options.steps, (t1 - t0)/steps, t1);
        if (sign != 0 && s->options.h_max > 0 && (vanishes(t0, s->options.h_max) || vanishes(t1, s->options.h_max)))
            return nde_fail(NDE_E_STEPSIZE, "options.h_max is %g: nothing beside t = %g", s->options.h_max, t1);
        if (sign*s->direction < 0)
            return nde_fail(NDE_E_ARG,
                            "problem: t1 of trajectory %zu lies on the other side of t0 than before",
                            who);
        if (sign != 0) s->direction = sign;
        for (size_t i = 0; s->saving == NDE_SAVE_TIMES && i<s->rows_saved; i += s->rows_saved> 1
                               ? s->rows_saved - 1
                               : 1) {
            const double ts = s->save_t[i];
            if (ts < fmin(t0, t1) || ts > fmax(t0, t1))
                return nde_fail(NDE_E_ARG, "options.save_t[%zu] is %g: outside [%g, %g]", i, ts, t0,
                                t1);
        }
    }
    if (s->direction == 0) s->direction = 1;
    if (s->rhs.noisy && s->direction < 0)
        return nde_fail(NDE_E_ARG, "problem: t1 is before t0: noise runs forwards only");
    if (s->saving == NDE_SAVE_TIMES && s->rows_saved > 1 &&
        (s->save_t[s->rows_saved - 1] - s->save_t[0])*s->direction < 0)
        return nde_fail(NDE_E_ARG, "options.save_t runs from %g to %g: against the direction of time",
                        s->save_t[0], s->save_t[s->rows_saved - 1]);
    return NDE_OK;
}

static void insert_forced(nde_solver *s, double t, size_t jump) {
    nde_forced *f = &s->forced;
    size_t at = f->count;
    while (at > 0 && s->direction*f->t[at - 1] > s->direction*t) at--;
    if (at > 0 && f->t[at - 1] == t) { /* a knot at a jump, or of two paths */
        if (jump != SIZE_MAX) f->jump[at - 1] = jump;
        return;
    }
    memmove(f->t + at + 1, f->t + at, (f->count - at)*sizeof *f->t);
    memmove(f->jump + at + 1, f->jump + at, (f->count - at)*sizeof *f->jump);
    f->t[at] = t, f->jump[at] = jump;
    f->count++;
}

static nde_status gather_forced(nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    s->forced.count = 0;
    for (size_t j = 0; j < q->n_jumps; j++) {
        if (!isfinite(q->jump_t[j]))
            return nde_fail(NDE_E_ARG, "problem.jump_t[%zu] is %g", j, q->jump_t[j]);
        if (j && !(s->direction*(q->jump_t[j] - q->jump_t[j - 1]) > 0))
            return nde_fail(NDE_E_ARG, "problem.jump_t[%zu] is %g: not after the one before, %g", j,
                            q->jump_t[j], q->jump_t[j - 1]);
        insert_forced(s, q->jump_t[j], j);
        const double t0 = q->t0, steps = (double)s->options.steps;
        if (s->rhs.noisy && s->direction*q->jump_t[j] > s->direction*t0 &&
            s->direction*q->jump_t[j] < s->direction*q->t1) {
            const double node = (q->jump_t[j] - t0)/(q->t1 - t0)*steps;
            if (q->t0_each || q->t1_each || fabs(node - round(node)) > 1e-9)
                return nde_fail(
                    NDE_E_ARG,
                    "problem.jump_t[%zu] is %g: with noise, jumps must be at nodes of the fixed steps",
                    j, q->jump_t[j]);
        }
    }
    for (size_t k = 0; k < q->n_terms; k++) {
        const nde_path *path = q->terms[k].path;
        for (size_t j = 0; path && j < path->knots; j++)
            insert_forced(s, path->t[s->direction > 0 ? j : path->knots - 1 - j], SIZE_MAX);
    }
    return NDE_OK;
}

static nde_status check_arrays(const nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    if (!q->y0) return nde_fail(NDE_E_ARG, "problem.y0 is NULL");
    if (s->rhs.np && !q->p) return nde_fail(NDE_E_ARG, "problem.p is NULL, np is %zu", s->rhs.np);
    if (s->rhs.nq && !q->q) return nde_fail(NDE_E_ARG, "problem.q is NULL, nq is %zu", s->rhs.nq);
    if (q->input) {
        const nde_status bad = nde_path_validate(q->input, "problem.input");
        if (bad) return bad;
    }
    for (size_t k = 0; k < q->n_terms; k++)
        if (q->terms[k].path) {
            const nde_status bad = nde_path_validate(q->terms[k].path, "problem.terms: path");
            if (bad) return bad;
        }
    return NDE_OK;
}

static nde_status begin(nde_solver *s) {
    s->started = s->finished = s->recorded = false;
    s->error[0] = 0;
    nde_status bad = check_arrays(s);
    if (bad || (bad = check_times(s)) || (bad = gather_forced(s)) || (bad = nde_rhs_prepare(&s->rhs)))
        return nde_solver_refuse(s, bad);
    s->clock = (nde_clock){ .direction = s->direction,
                            .h_max = s->options.h_max,
                            .max_steps = s->options.max_steps };
    atomic_store(&s->stop, 0);
    atomic_store(&s->done, 0);
    for (size_t k = 0; k < s->n_panels; k++) {
        nde_panel *p = &s->panel[k];
        *p->live = (nde_live){ .next = p->first };
        p->tried = p->over_budget = false;
        p->rc = 0;
        nde_record_clear(&p->record);
    }
    memset(s->stats, 0, s->N*sizeof *s->stats);
    memset(s->saved, 0, s->N*sizeof *s->saved);
    for (size_t i = 0; i < s->N; i++) { /* as if paused before the first step */
        s->status[i] = NDE_UNFINISHED;
        s->t_end[i] = nde_start_of(s, i);
    }
    memcpy(s->y_end, s->rhs.problem.y0, s->rhs.dim*s->N*sizeof *s->y_end);
    if (s->rhs.nz) memset(s->z_end, 0, s->rhs.nz*s->N*sizeof *s->z_end);
    if (s->saving == NDE_SAVE_END) s->save_t[0] = s->rhs.problem.t1;
    s->recorded = s->options.adjoint == NDE_ADJOINT_DISCRETE;
    return NDE_OK;
}

/* The first failure in trajectory order, as text. */
static void describe(nde_solver *s, size_t who) {
    const nde_stats *f = &s->stats[who];
    char h[40] = "", error[40] = "", worst[40] = "", callback[60] = "";
    if (f->h_fail != 0) snprintf(h, sizeof h, ", h = %g", f->h_fail);
    if (f->error_fail > 0) snprintf(error, sizeof error, ", error %g of the tolerance", f->error_fail);
    if (f->h_fail != 0 && (s->status[who] == NDE_E_STEPSIZE || s->status[who] == NDE_E_NONFINITE))
        snprintf(worst, sizeof worst, ", component %zu", f->worst);
    if (f->callback) snprintf(callback, sizeof callback, " (the field returned %lld)", (long long)f->callback);
    snprintf(s->error, sizeof s->error, "trajectory %zu: %s at t = %.17g%s%s%s%s", who,
             nde_status_text(s->status[who]), f->t_fail, h, error, worst, callback);
}

static nde_status summary(nde_solver *s, nde_status loop, bool lost) {
    size_t failed = 0, stopped = 0, first = 0;
    for (size_t i = s->N; i-- > 0;) {
        if (s->status[i] < 0) failed++, first = i;
        stopped += s->status[i] == NDE_STOPPED;
    }
    s->error[0] = 0;
    if (failed) describe(s, first);
    if (loop < 0) {
        snprintf(s->error, sizeof s->error, "%s: options.executor refused to run", nde_status_text(loop));
        return loop;
    }
    if (lost && !failed)
        snprintf(s->error, sizeof s->error, "%s: options.budget is %zu", nde_status_text(NDE_E_BUDGET),
                 s->options.budget);
    if (lost) return NDE_E_BUDGET;
    if (failed) return s->N == 1 || s->joint ? s->status[first] : NDE_E_LANES;
    return loop != NDE_OK ? loop : stopped ? NDE_STOPPED : NDE_OK;
}

static void present(nde_solver *s, nde_solution *solution) {
    if (!solution) return;
    const size_t size = solution->size ? solution->size : sizeof *solution;
    nde_solution out = {
        .size = solution->size,
        .n = s->N,
        .dim = s->rhs.dim,
        .nz = s->rhs.nz,
        .n_save = s->rows_saved,
        .t = s->saving == NDE_SAVE_EVERY ? s->save_t_out : s->save_t,
        .y = s->y_out,
        .saved = s->saved,
        .y_end = s->y_end,
        .quadrature = s->rhs.nz ? s->z_end : NULL,
        .t_end = s->t_end,
        .status = s->status,
        .stats = s->stats,
        .error = s->error[0] ? s->error : NULL,
    };
    double lanes = 0, room = 0;
    for (size_t k = 0; k < s->n_panels; k++) {
        const nde_panel *p = &s->panel[k];
        lanes += (double)p->live->lane_attempts, room += (double)p->live->lane_room;
        if (!s->options.adjoint) continue;
        out.record_bytes += p->record.used;
        if (p->record.form > out.record) out.record = p->record.form;
    }
    out.lanes_busy = room > 0 ? lanes/room : 1;
    memcpy(solution, &out, size < sizeof out ? size : sizeof out);
}

/* Where the trajectories are that have not ended yet. */
static void show_progress(nde_solver *s) {
    for (size_t k = 0; k < s->n_panels; k++) {
        const nde_panel *p = &s->panel[k];
        const nde_real *y = p->state[p->live->flip];
        for (size_t b = 0; b < p->live->n; b++) {
            const size_t who = p->trajectory[b];
            s->t_end[who] = p->t[b];
            s->saved[who] = p->saved[b];
            s->stats[who].accepted = p->accepted[b], s->stats[who].rejected = p->rejected[b];
            for (size_t i = 0; i < s->rhs.dim; i++) s->y_end[i*s->N + who] = y[i*p->ld + b];
            for (size_t i = s->rhs.dim; i < s->rhs.rows; i++)
                s->z_end[(i - s->rhs.dim)*s->N + who] = y[i*p->ld + b];
        }
    }
}

static nde_status go(nde_solver *s, int64_t steps, nde_solution *solution) {
    s->step_limit = steps;
    const nde_status loop = nde_loop(s);
    s->finished = loop == NDE_OK;
    bool lost = false;
    for (size_t k = 0; k < s->n_panels; k++) lost = lost || s->panel[k].over_budget;
    if (lost) s->recorded = false;
    if (loop != NDE_OK) show_progress(s);
    const nde_status status = summary(s, loop, lost);
    present(s, solution);
    return status;
}

/* A solution's size, when it is none that this library knows. */
static size_t unknown_size(const nde_solution *solution) {
    return solution && solution->size < sizeof *solution ? solution->size : 0;
}

nde_status nde_solver_run(nde_solver *s, nde_solution *solution) {
    if (!s) return nde_fail(NDE_E_ARG, "nde_solver_run: solver is NULL");
    if (unknown_size(solution))
        return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_solver_run: solution.size is %zu", solution->size));
    const nde_status bad = begin(s);
    return bad ? bad : go(s, -1, solution);
}

nde_status nde_solver_steps(nde_solver *s, int64_t steps, nde_solution *solution) {
    if (!s) return nde_fail(NDE_E_ARG, "nde_solver_steps: solver is NULL");
    if (steps < 0)
        return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_solver_steps: steps is %lld", (long long)steps));
    if (unknown_size(solution))
        return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_solver_steps: solution.size is %zu", solution->size));
    if (!s->started || s->finished) {
        const nde_status bad = begin(s);
        if (bad) return bad;
    }
    return go(s, steps, solution);
}

const char *nde_solver_error(const nde_solver *s) { return s ? s->error : ""; }

/* ---- saved state ----------------------------------------------------------------------------- */

static const uint64_t state_mark = 0x314554415453444eu; /* "NDSTATE1" */
typedef struct state_header {
    uint64_t mark, bytes, n, dim, real, method;
    double direction;
    uint64_t started;
} state_header;

static state_header header_of(const nde_solver *s) {
    return (state_header){ .mark = state_mark,
                           .bytes = s->state_to - s->state_from,
                           .n = s->N,
                           .dim = s->rhs.dim,
                           .real = sizeof(nde_real),
                           .method = (uint64_t)(uint32_t)nde_method_id(s->table.method),
                           .direction = s->direction,
                           .started = s->started };
}

nde_status nde_solver_state(const nde_solver *s, void *block, size_t *bytes) {
    if (!s || !bytes)
        return nde_fail(NDE_E_ARG, "nde_solver_state: %s is NULL", s ? "bytes" : "solver");
    const state_header h = header_of(s);
    const size_t needed = sizeof h + (size_t)h.bytes, given = *bytes;
    *bytes = needed;
    if (!block) return NDE_OK;
    if (given < needed)
        return nde_fail(NDE_E_ARG, "nde_solver_state: bytes is %zu, needed are %zu", given, needed);
    memcpy(block, &h, sizeof h);
    memcpy((char *)block + sizeof h, (const char *)s->block + s->state_from, (size_t)h.bytes);
    return NDE_OK;
}

/* A count that a solve can reach, and far from overflow when one goes on from it. */
static bool countable(int64_t count) { return count >= 0 && count <= (int64_t)1 << 48; }

nde_status nde_solver_restore(nde_solver *s, const void *block, size_t bytes) {
    if (!s) return nde_fail(NDE_E_ARG, "nde_solver_restore: solver is NULL");
    if (!block) return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_solver_restore: block is NULL"));
    state_header given, own = header_of(s);
    if (bytes < sizeof given)
        return nde_solver_refuse(
            s, nde_fail(NDE_E_ARG, "nde_solver_restore: bytes is %zu: too few for a state", bytes));
    memcpy(&given, block, sizeof given);
    own.direction = given.direction, own.started = given.started;
    if (memcmp(&given, &own, sizeof own) || bytes < sizeof given + given.bytes || given.started > 1)
        return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_solver_restore: the state is not of a solver "
                                                        "with this problem and these options"));
    const nde_status bad = begin(s);
    if (bad) return bad;
    if (given.started && given.direction != s->direction)
        return nde_solver_refuse(
            s, nde_fail(NDE_E_ARG, "nde_solver_restore: the state ran in the other direction of time"));
    memcpy((char *)s->block + s->state_from, (const char *)block + sizeof given, (size_t)given.bytes);
    /* bytes from outside: nothing in them may lead out of the arrays */
    for (size_t k = 0; k < s->n_panels; k++) {
        nde_panel *p = &s->panel[k];
        nde_live *live = p->live;
        bool good = live->n <= p->capacity && live->next >= p->first &&
                    live->next <= p->first + p->count && (live->flip == 0 || live->flip == 1) &&
                    countable(live->attempts) && countable(live->lane_attempts) && countable(live->lane_room) &&
                    countable(live->accepted);
        for (size_t b = 0; good && b < live->n; b++)
            good = p->trajectory[b] >= p->first && p->trajectory[b] < live->next &&
                   p->forced[b] <= s->forced.count && p->interval[b] <= s->rhs.problem.n_jumps &&
                   p->saved[b] <= s->rows_saved && countable(p->node[b]) && countable(p->accepted[b]) &&
                   countable(p->rejected[b]) && countable(p->evals[b]) && countable(p->refusals[b]);
        if (!good) {
            (void)begin(s);
            s->recorded = false;
            return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_solver_restore: the state is damaged"));
        }
    }
    /* what comes next is not part of the state: it follows from it */
    for (size_t k = 0; k < s->n_panels; k++)
        for (size_t b = 0; b < s->panel[k].live->n; b++) nde_panel_watch(s, &s->panel[k], b);
    s->started = given.started;
    s->recorded = false;
    return NDE_OK;
}

/* ---- one shot -------------------------------------------------------------------------------- */

nde_status nde_solve(const nde_problem *problem, const nde_options *options, nde_solution *solution) {
    if (!solution) return nde_fail(NDE_E_ARG, "nde_solve: solution is NULL");
    if (unknown_size(solution)) return nde_fail(NDE_E_ARG, "nde_solve: solution.size is %zu", solution->size);
    const size_t given = solution->size;
    *solution = (nde_solution){ .size = given };
    nde_solver *s;
    const nde_status bad = nde_solver_create(problem, options, &s);
    if (bad) return bad;
    const nde_status status = nde_solver_run(s, solution);
    if (!s->started) { /* refused: there is no solution to keep */
        nde_solver_destroy(s);
        return status;
    }
    solution->solver = s;
    return status;
}

void nde_solution_free(nde_solution *solution) {
    if (!solution) return;
    nde_solver_destroy(solution->solver);
    const size_t given = solution->size;
    *solution = (nde_solution){ .size = given };
}
