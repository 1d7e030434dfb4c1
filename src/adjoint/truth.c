/* SPDX-License-Identifier: MIT
 * truth.c - is this gradient right? Its products with random directions beside those of forward mode, and beside
 * differences of the frozen map: the steps of the record repeated from other inputs. */
#include <float.h>
#include <math.h>
#include <string.h>

#include "adjoint/replay.h"

enum { DIRECTIONS = 3, INPUTS = 3 };

/* Inputs, one array after the other: y0, p, q. */
typedef struct inputs {
    size_t end[INPUTS];
    nde_real *base, *moved, *along, *gradient;
} inputs;

/* ---- the frozen map -------------------------------------------------------------------------- */

static void leave(nde_solver *s, nde_worker *w, const nde_entry *e) {
    nde_panel *r = &w->replica;
    for (size_t k = 0; k < e->n; k++) {
        const size_t b = e->lane[k], who = e->who[k];
        for (size_t i = 0; i < s->rhs.dim; i++) {
            s->y_end[i*s->N + who] = r->y[i*r->ld + b];
            if (s->saving == NDE_SAVE_END) s->y_out[i*s->N + who] = r->y[i*r->ld + b];
        }
        for (size_t i = s->rhs.dim; i < s->rhs.rows; i++) s->z_end[(i - s->rhs.dim)*s->N + who] = r->y[i*r->ld + b];
        const size_t last = r->live->n - 1;
        if (w->since) w->since[b] = w->since[last], w->a_since[b] = w->a_since[last];
        nde_panel_leave(s, r, b);
    }
}

/* Which rows are in a step is frozen too: w->now is where it ended in the record. */
static bool is_inside(const nde_solver *s, const nde_worker *w, size_t b, size_t row) {
    return row < s->rows_saved && s->direction*nde_save_time(s, row, w->replica.trajectory[b]) < s->direction*w->now[b];
}

/* Rows inside the step, where the extension has stages of its own. */
static int save_inside(nde_solver *s, nde_worker *w) {
    const nde_panel *r = &w->replica;
    size_t m = 0, *lane = w->list;
    if (s->table.slopes == s->table.stages || s->saving != NDE_SAVE_TIMES) return 0;
    for (size_t b = 0; b < r->live->n; b++)
        if (r->accept[b] && is_inside(s, w, b, r->saved[b])) lane[m++] = b;
    const int rc = m ? nde_inside_load(s, r, w, lane, m) : 0;
    for (size_t j = 0; j < m && !rc; j++) {
        const size_t b = lane[j], who = r->trajectory[b];
        for (size_t row = r->saved[b]; is_inside(s, w, b, row); row++)
            nde_save_dense(s, &w->inside, j, (nde_save_time(s, row, who) - r->t[b])/r->dt[b],
                           s->y_out + row*s->rhs.dim*s->N + who, NULL, s->N);
    }
    return rc;
}

/* Steps after an event begin where that is now: w->a_since later than w->since. */
static void follow(const nde_solver *s, nde_worker *w) {
    nde_panel *r = &w->replica;
    for (size_t b = 0; w->since && b < r->live->n; b++) {
        nde_share share[3];
        if (!r->accept[b] || !(w->a_since[b] != 0)) continue;
        const size_t count = nde_step_shares(s, r->trajectory[b], nde_forced_after(s, r->t[b]), w->since[b], r->t[b],
                                             r->dt[b], share);
        for (size_t k = 0; k < count; k++) {
            if (share[k].boundary != NDE_BOUNDARY_EVENT) continue;
            r->t[b] += share[k].t*w->a_since[b], r->dt[b] += share[k].h*w->a_since[b];
            r->t_new[b] = r->t[b] + r->dt[b];
        }
    }
}

/* Where the events are now that cut the step. */
static int cut(nde_solver *s, nde_worker *w, const nde_entry *e) {
    nde_panel *r = &w->replica;
    int rc = 0;
    for (size_t k = 0; k < e->cuts.n && !rc; k++) {
        const size_t b = e->cuts.lane[k];
        double t = e->cuts.t[k] + (w->a_since[b] != 0 ? w->a_since[b] : 0);
        if (s->status[r->trajectory[b]] < 0) t = e->cuts.t[k];
        else if (nde_events_find(s, r, w, b, e->cuts.event[k]%NDE_CUT_TIED, &t)) return NDE_FIELD_RETRY;
        rc = nde_events_cut(s, r, w, b, t);
        w->since[b] = e->cuts.t[k], w->a_since[b] = t - e->cuts.t[k];
        if (s->t_end[r->trajectory[b]] == e->cuts.t[k]) r->t1[b] = e->cuts.t[k];
    }
    return rc;
}

/* A method that switches goes the ways that it went, as far as states tell. */
static void follow_ways(const nde_solver *s, nde_panel *r, const nde_entry *e) {
    if (s->table.way && e->y) memcpy(r->y + r->slab, e->y + r->slab, r->slab*sizeof *r->y);
}

static int step(nde_solver *s, nde_worker *w, const nde_entry *e) {
    nde_panel *r = &w->replica;
    nde_replay_times(s, r, e);
    follow_ways(s, r, e);
    memcpy(w->now, r->t_new, e->n*sizeof *w->now);
    for (size_t k = 0; k < e->cuts.n; k++) w->now[e->cuts.lane[k]] = e->cuts.t[k];
    follow(s, w);
    memset(r->mark, NDE_LANE_OK, e->n);
    int rc = nde_panel_attempt(s, r, NULL);
    for (size_t b = 0; !rc && b < e->n; b++)
        if (r->accept[b] && r->mark[b] != NDE_LANE_OK) rc = NDE_FIELD_RETRY;
    if (!rc) rc = save_inside(s, w);
    if (rc) return rc;
    if (s->error_estimate) nde_estimate_step(s, w, r, true);
    if ((rc = cut(s, w, e))) return rc;
    memcpy(r->t_new, w->now, e->n*sizeof *w->now);
    for (size_t b = 0; b < e->n; b++)
        if (r->accept[b] && nde_save_due(s, r, b)) nde_save_step(s, r, b);
    nde_replay_accept(s, r, e);
    for (size_t k = 0; k < e->cuts.n; k++) r->t[e->cuts.lane[k]] += w->a_since[e->cuts.lane[k]];
    return 0;
}

/* The recorded steps from the problem's inputs as they are now, into the solver's outputs. */
static int repeat(nde_solver *s) {
    nde_worker *w = &s->worker[0];
    nde_panel *r = &w->replica;
    int rc = nde_rhs_prepare(&s->rhs);
    nde_estimates_clear(s);
    for (size_t k = 0; k < s->n_panels && !rc; k++) {
        const nde_record *record = &s->panel[k].record;
        nde_entry e;
        nde_replay_map(s, w, NULL, 0);
        for (size_t at = SIZE_MAX; !rc && nde_record_after(record, at, &e); at = e.at) {
            const size_t n = r->live->n;
            if (e.kind == NDE_ENTRY_STEP) rc = step(s, w, &e);
            else if (e.kind == NDE_ENTRY_LEAVE) leave(s, w, &e);
            else rc = nde_replay_entry(s, w, &e);
            for (size_t b = n; e.kind == NDE_ENTRY_ENTER && b < n + e.n; b++) {
                if (w->since) w->since[b] = (double)NAN, w->a_since[b] = 0;
                nde_save_start(s, r, b);
            }
        }
    }
    return rc;
}

/* ---- products -------------------------------------------------------------------------------- */

/* <seed, outputs>, of trajectories that did not fail and rows that they reached. */
static double loss_of(const nde_solver *s, const nde_seed *seed, const nde_real *y, const nde_real *end, const nde_real *z,
                      const double *error, const double *stiffness) {
    const size_t N = s->N, dim = s->rhs.dim;
    double sum = 0;
    for (size_t who = 0; who < N; who++) {
        if (s->status[who] < 0) continue;
        if (seed->error_estimate) sum += seed->error_estimate[who]*error[who];
        if (seed->stiffness_estimate) sum += seed->stiffness_estimate[who]*stiffness[who];
        for (size_t i = 0; seed->y && i < s->saved[who]*dim; i++) sum += (double)seed->y[i*N + who]*(double)y[i*N + who];
        for (size_t i = 0; seed->y_end && i < dim; i++) sum += (double)seed->y_end[i*N + who]*(double)end[i*N + who];
        for (size_t i = 0; seed->quadrature && i < s->rhs.nz; i++)
            sum += (double)seed->quadrature[i*N + who]*(double)z[i*N + who];
    }
    return sum;
}

static double norm_of(const nde_real *x, size_t from, size_t to) {
    double sum = 0;
    for (size_t i = from; i < to; i++) sum += (double)x[i]*(double)x[i];
    return sqrt(sum);
}

/* Normal numbers of the size of the inputs that they move. */
static void draw(const inputs *in, uint64_t seed, uint64_t direction) {
    for (size_t k = 0, from = 0; k < INPUTS; from = in->end[k++]) {
        const double mean = norm_of(in->base, from, in->end[k])/sqrt((double)(in->end[k] - from) + (in->end[k] == from));
        for (size_t i = from; i < in->end[k]; i++) {
            const double size = 0.5*(fabs((double)in->base[i]) + (mean > 0 ? mean : 1));
            in->along[i] = (nde_real)(size*nde_normal(seed, NDE_PURPOSE_PROBE, direction, i, 0));
        }
    }
}

static int loss_at(nde_solver *s, const nde_seed *seed, const inputs *in, double h, double *loss) {
    for (size_t i = 0; i < in->end[INPUTS - 1]; i++) in->moved[i] = (nde_real)((double)in->base[i] + h*(double)in->along[i]);
    const int rc = repeat(s);
    *loss = rc ? (double)NAN : loss_of(s, seed, s->y_out, s->y_end, s->z_end, s->error_estimate, s->stiffness_estimate);
    return rc;
}

/* Richardson's, of central differences: its error is of order h^4. */
static int differences(nde_solver *s, const nde_seed *seed, const inputs *in, double h, double *slope) {
    double loss[4];
    const double at[4] = { h, -h, 0.5*h, -0.5*h };
    int rc = 0;
    for (int k = 0; k < 4 && !rc; k++) rc = loss_at(s, seed, in, at[k], &loss[k]);
    *slope = rc ? (double)NAN : (4*(loss[2] - loss[3])/h - (loss[0] - loss[1])/(2*h))/3;
    return rc;
}

/* Root mean square of the differences, relative to that of b. */
static double relative(const double *a, const double *b) {
    double sum = 0, size = 0;
    for (int k = 0; k < DIRECTIONS; k++) sum += (a[k] - b[k])*(a[k] - b[k]), size += b[k]*b[k];
    return sum == 0 ? 0 : sqrt(sum/size);
}

/* ---- the check ------------------------------------------------------------------------------- */

typedef struct check {
    nde_solver *truth, *tried; /* tried: with the adjoint in question; the same when that is the discrete one */
    nde_seed seed;
    inputs in;
    nde_real *tangent;         /* [rows_saved*row + row + nz] */
    double *estimate;          /* [2][N] tangents of estimates */
    nde_gradient_report out;
} check;

static nde_status gradient(check *c) {
    const inputs *in = &c->in;
    const nde_gradient g = NDE_INIT(nde_gradient, .y0 = in->gradient,
                                    .p = in->end[1] > in->end[0] ? in->gradient + in->end[0] : NULL,
                                    .q = in->end[2] > in->end[1] ? in->gradient + in->end[1] : NULL);
    const nde_status bad = nde_backward(c->tried, &c->seed, &g);
    if (bad) return nde_fail(bad, "nde_gradient_check: %s", nde_solver_error(c->tried));
    c->out.norm_y0 = norm_of(in->gradient, 0, in->end[0]), c->out.norm_p = norm_of(in->gradient, in->end[0], in->end[1]);
    c->out.norm_q = norm_of(in->gradient, in->end[1], in->end[2]);
    return NDE_OK;
}

static nde_status forward(check *c, double *slope) {
    nde_solver *s = c->truth;
    const inputs *in = &c->in;
    const size_t row = s->rhs.dim*s->N;
    nde_real *y = c->tangent, *end = y + s->rows_saved*row, *z = end + row;
    const nde_direction d = NDE_INIT(nde_direction, .y0 = in->along,
                                     .p = in->end[1] > in->end[0] ? in->along + in->end[0] : NULL,
                                     .q = in->end[2] > in->end[1] ? in->along + in->end[1] : NULL);
    const nde_output_tangent t = NDE_INIT(nde_output_tangent, .y = y, .y_end = end, .quadrature = s->rhs.nz ? z : NULL,
                                          .error_estimate = c->seed.error_estimate ? c->estimate : NULL,
                                          .stiffness_estimate = c->seed.stiffness_estimate ? c->estimate + s->N : NULL);
    const nde_status bad = nde_forward(s, &d, &t);
    *slope = bad ? (double)NAN : loss_of(s, &c->seed, y, end, z, t.error_estimate, t.stiffness_estimate);
    return bad && bad != NDE_E_NO_JVP ? nde_fail(bad, "nde_gradient_check: %s", nde_solver_error(s)) : NDE_OK;
}

static nde_status compare(check *c, uint64_t seed) {
    const inputs *in = &c->in;
    nde_gradient_report *out = &c->out;
    nde_status bad = gradient(c);
    for (int k = 0; k < DIRECTIONS && !bad; k++) {
        draw(in, seed, (uint64_t)k);
        out->gradient[k] = 0;
        for (size_t i = 0; i < in->end[INPUTS - 1]; i++) out->gradient[k] += (double)in->gradient[i]*(double)in->along[i];
        bad = forward(c, &out->forward[k]);
        const int rc = bad ? 0 : differences(c->truth, &c->seed, in, out->h, &out->difference[k]);
        memcpy(in->moved, in->base, in->end[INPUTS - 1]*sizeof *in->moved);
        if (rc) bad = nde_fail(NDE_E_FIELD, "nde_gradient_check: a field returned %d near the solution", rc);
        else if (!bad && nde_rhs_prepare(&c->truth->rhs)) bad = NDE_E_FIELD;
    }
    out->forward_error = relative(out->gradient, out->forward);
    out->difference_error = relative(out->gradient, out->difference);
    return bad;
}

static nde_status run(nde_solver *s) {
    const nde_status status = nde_solver_run(s, NULL);
    return status == NDE_OK || status == NDE_EVENT || status == NDE_E_LANES ? NDE_OK : nde_fail(status,
            "nde_gradient_check: %s", nde_solver_error(s));
}

/* Copies the inputs into a block of their own, from which both solvers are made. */
static nde_status make(check *c, const nde_options *options, const nde_problem *problem) {
    nde_problem own = *problem;
    nde_options discrete = *options;
    const inputs *in = &c->in;
    memcpy(in->base, own.y0, in->end[0]*sizeof *in->base);
    if (in->end[1] > in->end[0]) memcpy(in->base + in->end[0], own.p, (in->end[1] - in->end[0])*sizeof *in->base);
    if (in->end[2] > in->end[1]) memcpy(in->base + in->end[1], own.q, (in->end[2] - in->end[1])*sizeof *in->base);
    memcpy(in->moved, in->base, in->end[INPUTS - 1]*sizeof *in->moved);
    own.y0 = in->moved, own.p = in->moved + in->end[0], own.q = in->moved + in->end[1];
    discrete.adjoint = NDE_ADJOINT_DISCRETE, discrete.store = NULL; /* a store is for one solver */
    nde_status bad = nde_solver_create(&own, &discrete, &c->truth);
    if (bad || (bad = run(c->truth))) return bad;
    c->tried = c->truth;
    if (options->adjoint == NDE_ADJOINT_DISCRETE) return NDE_OK;
    bad = nde_solver_create(&own, options, &c->tried);
    return bad ? bad : run(c->tried);
}

static nde_status shape(check *c, const nde_problem *problem, const nde_options *options, void **block, size_t *bytes,
                        nde_allocator *allocator) {
    nde_solver plan;
    size_t total, slice, outputs;
    nde_options discrete = *options;
    discrete.adjoint = NDE_ADJOINT_DISCRETE;
    const nde_status bad = nde_solver_measure(&plan, problem, &discrete, &total, &slice);
    if (bad) return bad;
    const size_t row = plan.rhs.dim*plan.N, estimates = 2*plan.N*sizeof *c->estimate;
    if (!problem->y0 || (plan.rhs.np && !problem->p) || (plan.rhs.nq && !problem->q))
        return nde_fail(NDE_E_ARG, "nde_gradient_check: problem.%s is NULL", !problem->y0 ? "y0" : plan.rhs.np &&
                        !problem->p ? "p" : "q");
    c->in.end[0] = row, c->in.end[1] = row + plan.rhs.np, c->in.end[2] = row + plan.rhs.np + plan.rhs.nq*plan.N;
    *allocator = plan.allocator;
    if (!nde_size_multiply(plan.rows_saved + 1, row, &outputs) || !nde_size_add(outputs, plan.rhs.nz*plan.N, &outputs) ||
        !nde_size_add(outputs, 4*c->in.end[2], &outputs) || !nde_size_multiply(outputs, sizeof(nde_real), bytes) ||
        !nde_size_add(*bytes, estimates, bytes))
        return nde_fail(NDE_E_SIZE, "nde_gradient_check: the sizes of problem and options are too large together");
    *block = allocator->take(allocator->ctx, *bytes, 64);
    if (!*block) return nde_fail(NDE_E_NOMEM, "out of memory: %zu bytes", *bytes);
    c->estimate = *block;
    nde_real *to = (nde_real *)(void *)(c->estimate + 2*plan.N);
    const size_t count = c->in.end[2];
    c->in.base = to, c->in.moved = to + count, c->in.along = to + 2*count, c->in.gradient = to + 3*count,
        c->tangent = to + 4*count;
    return NDE_OK;
}

nde_status nde_gradient_check(const nde_problem *problem, const nde_options *options, const nde_seed *seed, uint64_t random,
                              nde_gradient_report *report) {
    check c = { .truth = NULL };
    nde_problem asked;
    nde_options chosen;
    nde_allocator allocator;
    void *block = NULL;
    size_t bytes = 0;
    if (!problem || !report) return nde_fail(NDE_E_ARG, "nde_gradient_check: %s is NULL", problem ? "report" : "problem");
    if (report->size && report->size != sizeof *report)
        return nde_fail(NDE_E_ARG, "nde_gradient_check: report.size is %zu", report->size);
    if (!nde_read_sized(&asked, sizeof asked, problem, sizeof asked) || !nde_read_sized(&chosen, sizeof chosen, options,
                                                                                        sizeof chosen) ||
        !nde_read_sized(&c.seed, sizeof c.seed, seed, sizeof c.seed))
        return nde_fail(NDE_E_ARG,
                        "nde_gradient_check: size of problem, options or seed is not a layout that this library knows");
    if (!seed && !problem->loss) return nde_fail(NDE_E_ARG, "nde_gradient_check: seed is NULL, and there is no problem.loss");
    if (asked.observe || asked.stream || asked.reduction || chosen.discard || (chosen.n_save && chosen.save_t_each))
        return nde_fail(NDE_E_ARG,
                        "nde_gradient_check: problem.observe, stream and reduction, options.discard and save_t_each are not known "
                        "here");
    if (c.seed.event_t || c.seed.event_y || c.seed.t_end)
        return nde_fail(NDE_E_ARG, "nde_gradient_check: seed.%s is not known here",
                        c.seed.t_end ? "t_end" : c.seed.event_t ? "event_t" : "event_y");
    asked.size = sizeof asked, chosen.size = sizeof chosen;
    if (!chosen.adjoint) chosen.adjoint = NDE_ADJOINT_DISCRETE;
    /* near where the error h^4 meets rounding eps/h, on the side of the latter: the former has a factor that nobody knows */
    c.out = (nde_gradient_report){ .size = report->size, .h = pow(sizeof(nde_real) == 8 ? DBL_EPSILON : (double)FLT_EPSILON,
                                                                  0.25) };
    nde_status bad = shape(&c, &asked, &chosen, &block, &bytes, &allocator);
    if (!bad) bad = make(&c, &chosen, &asked);
    if (!bad && !seed) c.seed = nde_seed_of_loss(c.tried);
    if (!bad) {
        c.out.inputs = c.in.end[INPUTS - 1];
        for (size_t i = 0; i < c.truth->N; i++)
            c.out.steps += c.truth->stats[i].accepted, c.out.evals += c.truth->stats[i].evals;
        bad = compare(&c, random);
    }
    if (c.tried != c.truth) nde_solver_destroy(c.tried);
    nde_solver_destroy(c.truth);
    if (block) allocator.give(allocator.ctx, block, bytes);
    if (!bad) *report = c.out;
    return bad;
}
