/* SPDX-License-Identifier: MIT
 * proof.h - a problem with all of its inputs in a list: what it takes to compare every gradient that it has with
 * differences, with forward mode, and with itself in another form. */
#ifndef NDE_TESTS_PROOF_H
#define NDE_TESTS_PROOF_H

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adjoint/models.h"

#define LENGTH(a) (sizeof(a)/sizeof *(a))

/* In (-1, 1): splitmix64 of its arguments. Source: G. Steele, D. Lea, C. Flood, OOPSLA (2014). */
static inline double proof_number(uint64_t array, uint64_t i) {
    uint64_t z = array*1000003u + i*0x9e3779b97f4a7c15u + 12345u;
    z = (z ^ (z >> 30))*0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27))*0x94d049bb133111ebu;
    z ^= z >> 31;
    return (double)(z >> 11)*0x1p-52 - 1;
}

enum { IN_Y0, IN_P, IN_Q, IN_T0, IN_T1, IN_SAVE_T, IN_JUMP_T, IN_JUMP_U, IN_INPUT_X, IN_TERM_X, INPUTS };
static const char *const input_names[INPUTS] = { "y0", "p", "q", "t0", "t1", "save_t", "jump_t", "jump_u", "input_x",
                                                 "term_x" };

/* One array of inputs: [rows][n], or [rows] when it is shared; of nde_real, or of double when it is a time. */
typedef struct proof_input {
    size_t rows, count;
    bool shared, time;
    double centre, spread;
    void *x, *g, *v; /* value, gradient, direction */
} proof_input;

enum { PROOF_BLOCKS = 96, PROOF_KNOTS = 5, PROOF_EVENTS = 3 };

typedef struct proof {
    nde_problem problem;
    nde_options options;
    size_t n, dim, nz, rows, out; /* rows of the output, components of one */
    nde_field drift, quadrature, jump, term_field[2];
    nde_term term[2];
    nde_path path, input;
    nde_noise noise;
    nde_field g[PROOF_EVENTS], reset[PROOF_EVENTS];
    nde_event event[PROOF_EVENTS];
    proof_input in[INPUTS];
    nde_real *g_term[2];
    const nde_real *v_term[2];
    double loss_error;
    nde_real *seed_y, *seed_end, *seed_z;
    nde_real *out_y, *out_end, *out_z;   /* tangents */
    double *seed_estimate[2], *out_estimate[2]; /* of errors and stiffness; the latter NULL where there is none */
    nde_real *seed_hit, *out_hit;        /* of event_y; event_t and t_end */
    double *seed_when, *out_when, *seed_t, *out_t;
    nde_solver *solver;
    nde_solution solution;
    void *blocks[PROOF_BLOCKS];
    size_t n_blocks;
} proof;

static inline void *proof_take(proof *f, size_t count, size_t bytes) {
    assert_true(f->n_blocks < PROOF_BLOCKS);
    void *block = calloc(count ? count : 1, bytes);
    assert_non_null(block);
    return f->blocks[f->n_blocks++] = block;
}

static inline double input_get(const proof_input *in, const void *array, size_t i) {
    if (in->time) return ((const double *)array)[i];
    return (double)((const nde_real *)array)[i];
}
static inline void input_set(const proof_input *in, void *array, size_t i, double value) {
    if (in->time) ((double *)array)[i] = value;
    else ((nde_real *)array)[i] = (nde_real)value;
}

/* Makes room for an input; values near `centre`, `spread` apart, rounded to float so that both precisions see the same. */
static inline void *proof_input_make(proof *f, int which, size_t rows, bool shared, bool time, double centre, double spread) {
    proof_input *in = &f->in[which];
    const size_t each = time ? sizeof(double) : sizeof(nde_real);
    *in = (proof_input){ .rows = rows, .count = shared ? rows : rows*f->n, .shared = shared, .time = time, .centre = centre,
                         .spread = spread };
    in->x = proof_take(f, in->count, each), in->g = proof_take(f, in->count, each), in->v = proof_take(f, in->count, each);
    for (size_t i = 0; i < in->count; i++) {
        input_set(in, in->x, i, (double)(float)(centre + spread*proof_number((uint64_t)which, i)));
        input_set(in, in->v, i, (double)(float)proof_number((uint64_t)which + 100, i));
    }
    return in->x;
}

/* n trajectories of a drift from t0 to t1 with y0 near `centre`; the rest is added by the proof. */
static inline void proof_begin(proof *f, size_t n, const model *drift, bool tape, double t0, double t1, double centre) {
    memset(f, 0, sizeof *f);
    f->n = n, f->dim = drift->dim;
    f->drift = model_field("drift", drift, tape);
    f->options = NDE_INIT(nde_options, .adjoint = NDE_ADJOINT_DISCRETE, .budget = (size_t)64 << 20);
    f->problem = NDE_INIT(nde_problem, .n = n, .t0 = t0, .t1 = t1, .drift = &f->drift);
    f->problem.y0 = proof_input_make(f, IN_Y0, f->dim, false, false, centre, 0.3);
    (void)proof_input_make(f, IN_T0, 1, false, true, t0, 0);
    (void)proof_input_make(f, IN_T1, 1, false, true, t1, 0);
    double *const start = f->in[IN_T0].x, *const end = f->in[IN_T1].x;
    for (size_t b = 0; b < n; b++) start[b] = t0, end[b] = t1;
}

static inline void proof_parameters(proof *f, size_t count, const double *p) {
    nde_real *to = proof_input_make(f, IN_P, count, true, false, 0, 1);
    for (size_t i = 0; p && i < count; i++) to[i] = (nde_real)(float)p[i];
    f->problem.p = to;
}

static inline void proof_save(proof *f, size_t count, const double *at) {
    double *t = proof_input_make(f, IN_SAVE_T, count, true, true, 0, 0);
    memcpy(t, at, count*sizeof *t);
    f->options.save_t = t, f->options.n_save = count;
}

static inline void proof_jumps(proof *f, const model *map, size_t count, const double *at) {
    double *t = proof_input_make(f, IN_JUMP_T, count, true, true, 0, 0);
    memcpy(t, at, count*sizeof *t);
    f->jump = model_field("jump", map, false);
    f->problem.jump = &f->jump, f->problem.jump_t = t, f->problem.n_jumps = count, f->problem.jump_inputs = map->nu;
    f->problem.jump_u = proof_input_make(f, IN_JUMP_U, count*map->nu, false, false, 0.3, 0.2);
}

static inline void proof_quadrature(proof *f, const model *l, bool tape) {
    f->quadrature = model_field("quadrature", l, tape);
    f->problem.quadrature = &f->quadrature;
    f->nz = l->out;
}

/* One more event; map NULL: no reset. */
static inline nde_event *proof_event(proof *f, const model *g, const model *map) {
    const size_t k = f->problem.n_events++;
    assert_true(k < PROOF_EVENTS);
    f->g[k] = model_field("g", g, false);
    if (map) f->reset[k] = model_field("reset", map, false);
    f->event[k] = NDE_INIT(nde_event, .g = &f->g[k], .reset = map ? &f->reset[k] : NULL);
    f->problem.events = f->event;
    return &f->event[k];
}

/* A path with knots in [from, to] and beyond. */
static inline void proof_path(proof *f, nde_path *path, int which, size_t channels, double from, double to) {
    double *t = proof_take(f, PROOF_KNOTS, sizeof *t);
    for (size_t i = 0; i < PROOF_KNOTS; i++)
        t[i] = from + (to - from)*((double)i + 0.1*(double)(i % 2))/(PROOF_KNOTS - 1);
    *path = NDE_INIT(nde_path, .kind = NDE_PATH_LINEAR, .channels = channels, .knots = PROOF_KNOTS, .t = t);
    path->x = proof_input_make(f, which, PROOF_KNOTS*channels, false, false, 0.2, 1);
}

static inline void proof_term(proof *f, size_t k, const model *map, const nde_path *path, const nde_noise *noise, int32_t kind,
                              bool tape) {
    f->term_field[k] = model_field("term", map, tape);
    f->term[k] = NDE_INIT(nde_term, .field = &f->term_field[k], .path = path, .noise = noise, .kind = kind);
    f->problem.terms = f->term, f->problem.n_terms = k + 1;
    if (noise) f->problem.calculus = NDE_ITO;
}

static inline void proof_no_saves(proof *f) {
    f->in[IN_SAVE_T] = (proof_input){ 0 };
    f->options.n_save = 0, f->options.save_t = NULL;
}

/* Points the problem at the proof's inputs of each trajectory. */
static inline void proof_point(proof *f, bool spans) {
    f->problem.n = f->n;
    f->problem.y0 = f->in[IN_Y0].x, f->problem.q = f->in[IN_Q].x, f->problem.jump_u = f->in[IN_JUMP_U].x;
    f->input.x = f->in[IN_INPUT_X].x, f->path.x = f->in[IN_TERM_X].x;
    if (spans) f->problem.t0_each = f->in[IN_T0].x, f->problem.t1_each = f->in[IN_T1].x;
}

/* The same for another number of trajectories, with inputs anew. */
static inline void proof_resize(proof *f, size_t n) {
    f->n = n;
    for (int k = 0; k < INPUTS; k++) {
        const proof_input in = f->in[k];
        if (in.count && !in.shared) (void)proof_input_make(f, k, in.rows, false, in.time, in.centre, in.spread);
    }
    proof_point(f, false);
}

/* Every trajectory from its own start to its own end, without saves between. */
static inline void proof_spans(proof *f, double start, double start_spread, double end, double end_spread) {
    proof_no_saves(f);
    (void)proof_input_make(f, IN_T0, 1, false, true, start, start_spread);
    (void)proof_input_make(f, IN_T1, 1, false, true, end, end_spread);
    proof_point(f, true);
}

/* Some trajectories of another proof, in the order of the list. */
static inline void proof_pick(proof *f, const proof *from, const size_t *column, size_t n) {
    *f = *from;
    f->n = n, f->n_blocks = 0, f->solver = NULL, f->rows = f->out = 0;
    for (int k = 0; k < INPUTS; k++) {
        const proof_input *old = &from->in[k];
        if (!old->count) continue;
        (void)proof_input_make(f, k, old->rows, old->shared, old->time, 0, 0);
        const size_t lanes = old->shared ? 1 : n;
        for (size_t row = 0; row < old->rows; row++)
            for (size_t b = 0; b < lanes; b++) {
                const size_t at = old->shared ? row : row*from->n + column[b];
                input_set(&f->in[k], f->in[k].x, row*lanes + b, input_get(old, old->x, at));
            }
    }
    proof_point(f, from->problem.t0_each != NULL);
    if (f->problem.input) f->problem.input = &f->input;
    for (size_t k = 0; k < f->problem.n_terms; k++)
        if (f->term[k].path) f->term[k].path = &f->path;
    if (f->problem.n_terms) f->problem.terms = f->term;
}

static inline nde_real *proof_seed(proof *f, size_t count, uint64_t array) {
    nde_real *a = proof_take(f, count, sizeof *a);
    for (size_t i = 0; i < count; i++) a[i] = (nde_real)(float)proof_number(array, i);
    return a;
}

/* Makes the solver of the proof as it stands, with room for its outputs. */
static inline void proof_create(proof *f) {
    if (f->solver) nde_solver_destroy(f->solver);
    if (nde_solver_create(&f->problem, &f->options, &f->solver) != NDE_OK) fail_msg("create: %s", nde_error());
}

static inline double *proof_times(proof *f, size_t count, uint64_t array) {
    double *a = proof_take(f, count, sizeof *a);
    for (size_t i = 0; i < count; i++) a[i] = proof_number(array, i);
    return a;
}

static inline nde_status proof_run(proof *f) {
    f->solution = NDE_INIT(nde_solution, .n = 0);
    const nde_status status = nde_solver_run(f->solver, &f->solution);
    if (f->solution.n && (f->rows != f->solution.n_save || f->out != f->solution.out)) {
        f->rows = f->solution.n_save, f->out = f->solution.out;
        f->seed_y = proof_seed(f, f->rows*f->out*f->n, 200), f->out_y = proof_seed(f, f->rows*f->out*f->n, 0);
        f->seed_end = proof_seed(f, f->dim*f->n, 201), f->out_end = proof_seed(f, f->dim*f->n, 0);
        f->seed_z = proof_seed(f, f->nz*f->n, 202), f->out_z = proof_seed(f, f->nz*f->n, 0);
        for (int k = 0; k < 2; k++) {
            const bool there = k ? f->solution.stiffness_estimate != NULL : f->solution.error_estimate != NULL;
            f->seed_estimate[k] = there ? proof_take(f, f->n, sizeof(double)) : NULL;
            f->out_estimate[k] = there ? proof_take(f, f->n, sizeof(double)) : NULL;
            for (size_t b = 0; there && b < f->n; b++) f->seed_estimate[k][b] = proof_number(203 + (uint64_t)k, b);
        }
        const size_t hits = f->solution.event_rows*f->n;
        if (hits) f->seed_hit = proof_seed(f, hits*f->dim, 206), f->out_hit = proof_seed(f, hits*f->dim, 0);
        if (hits) f->seed_when = proof_times(f, hits, 207), f->out_when = proof_times(f, hits, 0);
        f->seed_t = proof_times(f, f->n, 205), f->out_t = proof_times(f, f->n, 0);
    }
    return status;
}

static inline nde_gradient proof_gradient(proof *f) {
    for (size_t k = 0; k < f->problem.n_terms; k++) f->g_term[k] = f->problem.terms[k].path ? f->in[IN_TERM_X].g : NULL;
    return NDE_INIT(nde_gradient, .y0 = f->in[IN_Y0].g, .p = f->in[IN_P].g, .q = f->in[IN_Q].g, .t0 = f->in[IN_T0].g,
                    .t1 = f->in[IN_T1].g, .save_t = f->in[IN_SAVE_T].g, .jump_t = f->in[IN_JUMP_T].g,
                    .jump_u = f->in[IN_JUMP_U].g, .input_x = f->in[IN_INPUT_X].g,
                    .term_x = f->problem.n_terms ? f->g_term : NULL, .loss_error = &f->loss_error);
}

static inline nde_seed proof_seeds(const proof *f) {
    return NDE_INIT(nde_seed, .y = f->seed_y, .y_end = f->seed_end, .quadrature = f->nz ? f->seed_z : NULL,
                    .error_estimate = f->seed_estimate[0], .stiffness_estimate = f->seed_estimate[1],
                    .event_t = f->seed_when, .event_y = f->seed_hit, .t_end = f->problem.n_events ? f->seed_t : NULL);
}

static inline void proof_backward(proof *f) {
    const nde_seed seed = proof_seeds(f);
    const nde_gradient gradient = proof_gradient(f);
    const nde_status status = nde_backward(f->solver, &seed, &gradient);
    if (status != NDE_OK) fail_msg("backward: %s: %s", nde_status_name(status), nde_solver_error(f->solver));
}

static inline void proof_forward(proof *f) {
    for (size_t k = 0; k < f->problem.n_terms; k++) f->v_term[k] = f->problem.terms[k].path ? f->in[IN_TERM_X].v : NULL;
    const nde_direction along =
        NDE_INIT(nde_direction, .y0 = f->in[IN_Y0].v, .p = f->in[IN_P].v, .q = f->in[IN_Q].v, .t0 = f->in[IN_T0].v,
                 .t1 = f->in[IN_T1].v, .save_t = f->in[IN_SAVE_T].v, .jump_t = f->in[IN_JUMP_T].v, .jump_u = f->in[IN_JUMP_U].v,
                 .input_x = f->in[IN_INPUT_X].v, .term_x = f->problem.n_terms ? f->v_term : NULL);
    const nde_output_tangent out =
        NDE_INIT(nde_output_tangent, .y = f->out_y, .y_end = f->out_end, .quadrature = f->nz ? f->out_z : NULL,
                 .error_estimate = f->out_estimate[0], .stiffness_estimate = f->out_estimate[1],
                 .event_t = f->out_when, .event_y = f->out_hit, .t_end = f->problem.n_events ? f->out_t : NULL);
    const nde_status status = nde_forward(f->solver, &along, &out);
    if (status != NDE_OK) fail_msg("forward: %s: %s", nde_status_name(status), nde_solver_error(f->solver));
}

static inline void proof_solve(proof *f) {
    proof_create(f);
    const nde_status status = proof_run(f);
    if (status != NDE_OK && status != NDE_EVENT) fail_msg("run: %s: %s", nde_status_name(status), nde_solver_error(f->solver));
    proof_backward(f);
}

static inline void proof_end(proof *f) {
    nde_solver_destroy(f->solver);
    while (f->n_blocks > 0) free(f->blocks[--f->n_blocks]);
}

/* ---- <w, J v> = <J' w, v>, all inputs at once --------------------------------------------------------------------- */

static inline double proof_dot(const nde_real *a, const nde_real *b, size_t count, double *aa, double *bb) {
    double sum = 0;
    for (size_t i = 0; i < count; i++) {
        sum += (double)a[i]*(double)b[i];
        *aa += (double)a[i]*(double)a[i], *bb += (double)b[i]*(double)b[i];
    }
    return sum;
}

/* Relative to |w| |J v|. */
static inline double proof_identity(proof *f) {
    double ww = 0, uu = 0, right = 0, estimates = 0;
    proof_forward(f);
    for (int k = 0; k < 2; k++)
        for (size_t b = 0; f->seed_estimate[k] && b < f->n; b++) {
            const double w = f->seed_estimate[k][b], u = f->out_estimate[k][b];
            estimates += w*u, ww += w*w, uu += u*u;
        }
    double left = estimates + proof_dot(f->seed_y, f->out_y, f->rows*f->out*f->n, &ww, &uu) +
                        proof_dot(f->seed_end, f->out_end, f->dim*f->n, &ww, &uu) +
                        proof_dot(f->seed_z, f->out_z, f->nz*f->n, &ww, &uu);
    const size_t hits = f->problem.n_events ? f->solution.event_rows*f->n : 0;
    left += proof_dot(f->seed_hit, f->out_hit, hits*f->dim, &ww, &uu);
    for (size_t i = 0; i < hits; i++)
        left += f->seed_when[i]*f->out_when[i], ww += f->seed_when[i]*f->seed_when[i], uu += f->out_when[i]*f->out_when[i];
    for (size_t i = 0; i < f->n && f->problem.n_events; i++)
        left += f->seed_t[i]*f->out_t[i], ww += f->seed_t[i]*f->seed_t[i], uu += f->out_t[i]*f->out_t[i];
    for (int k = 0; k < INPUTS; k++)
        for (size_t i = 0; i < f->in[k].count; i++)
            right += input_get(&f->in[k], f->in[k].g, i)*input_get(&f->in[k], f->in[k].v, i);
    assert_true(uu > 0 && isfinite(uu));
    return fabs(left - right)/sqrt(ww*uu);
}

static inline void proof_check_identity(proof *f) {
    const double error = proof_identity(f), most = sizeof(nde_real) == 8 ? 1e-12 : 1e-5;
    if (!(error <= most)) fail_msg("<w, Jv> and <J'w, v> differ by %g of |w| |Jv|", error);
}

/* ---- gradients kept, and compared by their bits ------------------------------------------------------------------- */

typedef struct proof_copy {
    size_t bytes[INPUTS];
    void *g[INPUTS];
    double loss_error;
} proof_copy;

static inline proof_copy proof_keep(proof *f) {
    proof_copy c = { .loss_error = f->loss_error };
    for (int k = 0; k < INPUTS; k++) {
        const size_t each = f->in[k].time ? sizeof(double) : sizeof(nde_real);
        c.bytes[k] = f->in[k].count*each;
        c.g[k] = proof_take(f, f->in[k].count, each);
        if (c.bytes[k]) memcpy(c.g[k], f->in[k].g, c.bytes[k]);
    }
    return c;
}

/* Name of the first input whose gradient has other bits; NULL when there is none. */
static inline const char *proof_differs(const proof *f, const proof_copy *c) {
    for (int k = 0; k < INPUTS; k++)
        if (c->bytes[k] && memcmp(c->g[k], f->in[k].g, c->bytes[k])) return input_names[k];
    return memcmp(&c->loss_error, &f->loss_error, sizeof c->loss_error) ? "loss_error" : NULL;
}

#endif
