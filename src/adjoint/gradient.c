/* SPDX-License-Identifier: MIT
 * gradient.c - gradients from the outside: what is asked for, and what of it there is; sums of shards, in their order, and what
 * goes to the caller when all of it is complete. */
#include <math.h>
#include <string.h>

#include "adjoint/back.h"
#include "adjoint/saltation.h"
#include "adjoint/sweep.h"

/* ---- what is handed over -------------------------------------------------------------------------- */

static void copy_out(void *to, const void *from, size_t count, size_t bytes) {
    if (to && from && count) memcpy(to, from, count*bytes);
}

static size_t count_of(const nde_solver *s, const nde_shard *shard) {
    size_t count = 0;
    for (size_t k = 0; k < shard->count; k++) count += s->panel[shard->first + k].count;
    return count;
}

/* The standard error of a sum over trajectories, from the sums of independent groups of them. */
static double spread_of_sums(const nde_solver *s, size_t i) {
    const double all = (double)s->N;
    double sum = 0, square = 0;
    for (size_t k = 0; k < s->n_shards; k++) sum += s->shard[k].p[i];
    for (size_t k = 0; k < s->n_shards; k++) {
        const double some = (double)count_of(s, &s->shard[k]), off = s->shard[k].p[i]/some - sum/all;
        square += some*off*off;
    }
    return s->n_shards > 1 ? sqrt(all*square/(double)(s->n_shards - 1)) : (double)NAN;
}

/* Of p: sums of shards, a chunk of them at a time. */
static void deliver_parameters(const nde_solver *s, const nde_gradient *g) {
    enum { CHUNK = 64 };
    for (size_t first = 0; g->p && first < s->rhs.np; first += CHUNK) {
        const size_t count = s->rhs.np - first < CHUNK ? s->rhs.np - first : CHUNK;
        double sum[CHUNK] = { 0 };
        for (size_t k = 0; k < s->n_shards; k++)
            for (size_t i = 0; i < count; i++) sum[i] += s->shard[k].p[first + i];
        for (size_t i = 0; i < count; i++) g->p[first + i] = (nde_real)sum[i];
    }
    for (size_t i = 0; g->p_error && i < s->rhs.np; i++) g->p_error[i] = spread_of_sums(s, i);
}

/* What else is summed up over shards. */
static void deliver_sums(const nde_solver *s, const nde_gradient *g) {
    double loss = 0, squares = 0;
    int64_t recomputed = 0;
    if (s->save_lane) copy_out(g->save_t, s->g_save_t, s->rows_saved*s->N, sizeof *g->save_t);
    for (size_t i = 0; g->save_t && !s->save_lane && i < s->options.n_save; i++) {
        g->save_t[i] = 0;
        for (size_t k = 0; k < s->n_shards; k++) g->save_t[i] += s->shard[k].save_t[i];
    }
    for (size_t i = 0; g->jump_t && i < s->rhs.problem.n_jumps; i++) {
        g->jump_t[i] = 0;
        for (size_t k = 0; k < s->n_shards; k++) g->jump_t[i] += s->shard[k].jump_t[i];
    }
    for (size_t k = 0; k < s->n_shards; k++) {
        const nde_shard *of = &s->shard[k];
        loss += of->loss_error, squares += of->loss_squares, recomputed += of->recomputed;
    }
    if (g->loss_error) *g->loss_error = loss;
    if (g->loss_spread) *g->loss_spread = sqrt(squares);
    if (g->recomputed) *g->recomputed = recomputed;
}

void nde_gradient_deliver(nde_solver *s, const nde_gradient *g) {
    const nde_problem *q = &s->rhs.problem;
    deliver_parameters(s, g);
    deliver_sums(s, g);
    copy_out(g->reconstruction, s->g_apart, s->N, sizeof *g->reconstruction);
    copy_out(g->y0, s->g_y0, s->rhs.dim*s->N, sizeof *g->y0);
    copy_out(g->q, s->g_q, s->rhs.nq*s->N, sizeof *g->q);
    copy_out(g->t0, s->g_t0, s->N, sizeof *g->t0);
    copy_out(g->t1, s->g_t1, s->N, sizeof *g->t1);
    copy_out(g->jump_u, s->g_jump_u, q->n_jumps*q->jump_inputs*s->N, sizeof *g->jump_u);
    if (q->input) copy_out(g->input_x, s->g_input, q->input->knots*q->input->channels*s->N, sizeof *g->input_x);
    for (size_t k = 0; g->term_x && k < q->n_terms; k++) {
        const nde_path *path = q->terms[k].path;
        if (path) copy_out(g->term_x[k], s->g_term[k], path->knots*path->channels*s->N, sizeof(nde_real));
    }
}

void nde_gradient_clear(nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    memset(s->g_t0, 0, s->N*sizeof *s->g_t0), memset(s->g_t1, 0, s->N*sizeof *s->g_t1);
    if (s->rhs.observe.field && s->rhs.nq) memset(s->g_q, 0, s->rhs.nq*s->N*sizeof *s->g_q);
    if (s->g_apart) memset(s->g_apart, 0, s->N*sizeof *s->g_apart);
    if (s->g_save_t) memset(s->g_save_t, 0, s->rows_saved*s->N*sizeof *s->g_save_t);
    if (s->g_jump_u) memset(s->g_jump_u, 0, q->n_jumps*q->jump_inputs*s->N*sizeof *s->g_jump_u);
    if (s->g_input)
        memset(s->g_input, 0, q->input->knots*q->input->channels*s->N*sizeof *s->g_input);
    for (size_t k = 0; k < q->n_terms; k++)
        if (q->terms[k].path)
            memset(s->g_term[k], 0,
                   q->terms[k].path->knots*q->terms[k].path->channels*s->N*sizeof(nde_real));
}

/* ---- what is asked for --------------------------------------------------------------------------- */

static nde_status refuse(nde_solver *s, const char *why) {
    return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "nde_backward: %s", why));
}

/* Reads the seed (NULL: that of problem.loss) and the gradient in today's layout. */
static nde_status read(nde_solver *s, const nde_seed *seed, const nde_gradient *gradient, nde_seed *from, nde_gradient *to) {
    const nde_seed own = nde_seed_of_loss(s);
    if (!gradient) return refuse(s, "gradient is NULL");
    if (!seed && !s->a_out) return refuse(s, "seed is NULL, and there is no problem.loss");
    if (!seed) seed = &own;
    if (!nde_read_sized(from, sizeof *from, seed, sizeof *from) || !nde_read_sized(to, sizeof *to, gradient, sizeof *to))
        return refuse(s, "size of seed or gradient is not a layout that this library knows");
    return NDE_OK;
}

static bool asks_events(const nde_seed *from) { return from->event_t || from->event_y; }

/* Is there a record, and in it all that is asked for? */
static nde_status check(nde_solver *s, const nde_seed *from, const nde_gradient *to) {
    if (!(s->logged || (s->adjoint == NDE_ADJOINT_BACKSOLVE && !s->logs)) || !s->finished)
        return refuse(s, "there is no complete record: options.adjoint, and a run to its end, are needed");
    const nde_status bad = nde_saltation_check(s, "nde_backward", asks_events(from));
    if (bad) return bad;
    if (to->save_t && s->saving != NDE_SAVE_TIMES) return refuse(s, "gradient.save_t without options.save_t");
    const nde_status absent = nde_estimate_check(s, "nde_backward", "seed", from->error_estimate, from->stiffness_estimate);
    if (absent) return nde_solver_refuse(s, absent);
    if (s->back && from->error_estimate)
        return refuse(s, "seed.error_estimate: continuous adjoints know no steps of the solve");
    if (s->back && from->stiffness_estimate)
        return refuse(s, "seed.stiffness_estimate: continuous adjoints know no steps of the solve");
    if (!s->back && to->back) return refuse(s, "gradient.back without a continuous adjoint");
    if (!s->back && to->reconstruction && !s->undoes) return refuse(s, "gradient.reconstruction without a continuous adjoint");
    return NDE_OK;
}

static nde_status check_fields(nde_solver *s, bool events) {
    const nde_field *without = nde_rhs_without_vjp(&s->rhs);
    if (!without && events) without = nde_events_without(s, false);
    if (!without) return NDE_OK;
    return nde_solver_refuse(s, nde_fail(NDE_E_NO_VJP, "nde_backward: field '%s' has no %s",
                                         without->name ? without->name : "field", without->vjp ? "vjp_jvp" : "vjp"));
}

nde_status nde_backward(nde_solver *s, const nde_seed *seed, const nde_gradient *gradient) {
    nde_seed from;
    nde_gradient to;
    if (!s) return nde_fail(NDE_E_ARG, "nde_backward: solver is NULL");
    nde_status bad = read(s, seed, gradient, &from, &to);
    if (bad || (bad = check(s, &from, &to))) return bad;
    const bool cut = nde_events_have_cut(s);
    if ((bad = check_fields(s, cut || asks_events(&from)))) return bad;
    if (s->back) return nde_back_run(s, &from, &to);
    nde_gradient_clear(s);
    nde_saltation_begin(s);
    const int rc = nde_sweep(s, &from, &to, cut);
    if (rc) return nde_saltation_refuse(s, "nde_backward", rc);
    nde_gradient_deliver(s, &to);
    return NDE_OK;
}

nde_status nde_value_and_gradient(nde_solver *s, double *value, const nde_gradient *gradient) {
    if (!s) return nde_fail(NDE_E_ARG, "nde_value_and_gradient: solver is NULL");
    if (!value || !gradient)
        return nde_solver_refuse(
            s, nde_fail(NDE_E_ARG, "nde_value_and_gradient: %s is NULL", value ? "gradient" : "value"));
    if (!s->a_out)
        return nde_solver_refuse(
            s, nde_fail(NDE_E_ARG, "nde_value_and_gradient: problem.loss and options.adjoint are needed"));
    const nde_status status = nde_solver_run(s, NULL);
    *value = s->loss_value;
    if (status != NDE_OK && status != NDE_EVENT && status != NDE_E_LANES) return status;
    const nde_status bad = nde_backward(s, NULL, gradient);
    return bad ? bad : status;
}
