/* SPDX-License-Identifier: MIT
 * curvature.c - products of second derivatives with a direction. Hessian-vector products by reverse over forward, which is
 * the same number as forward over reverse: the tangent of <seed, outputs> along the direction is a function of the inputs,
 * whose gradient is wanted. A Runge-Kutta step of [y; v] is the step of y and its tangent, and only y counts in the error
 * of a step, so that the steps are those of the solve. Gauss-Newton products: forward, then backward, on one record.
 * Source: B. Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6 (1994) 147-160. */
#include "adjoint/curvature.h"

#include <math.h>
#include <string.h>

/* ---- the problem ----------------------------------------------------------------------------- */

static nde_status check(const nde_solver *s) {
    const nde_problem *q = &s->rhs.problem;
    const char *what = s->adjoint != NDE_ADJOINT_DISCRETE ? "adjoint other than NDE_ADJOINT_DISCRETE"
                       : q->n_events                      ? "events"
                       : q->norm                          ? "problem.norm"
                       : q->domain                        ? "problem.domain"
                       : q->spectrum                      ? "problem.spectrum"
                       : s->decide.decide                 ? "options.decide"
                       : s->options.quantum > 0           ? "options.quantum"
                       : s->options.discard               ? "options.discard"
                                                          : NULL;
    for (size_t k = 0; k < q->n_terms; k++)
        if (q->terms[k].noise && q->terms[k].kind == NDE_NOISE_DIAGONAL) what = "diagonal noise";
    return what ? nde_fail(NDE_E_ARG, "options.curvature is %d: second derivatives know no %s", (int)s->options.curvature,
                           what) : NDE_OK;
}

static const nde_field *vary(const nde_curvature *c, nde_variation *of, nde_field *field, const nde_field *f, bool to_state) {
    if (!f) return NULL;
    *of = (nde_variation){ c, f, to_state };
    *field = nde_variation_field(of);
    return field;
}

static void choose(nde_curvature *c) {
    const nde_solver *s = c->s;
    nde_options *to = &c->options;
    *to = s->options;
    to->adjoint = NDE_ADJOINT_DISCRETE, to->curvature = 0, to->directions = 0, to->estimates = 0;
    to->progress = NULL, to->back = NULL, to->store = NULL, to->executor = s->executor;
    if (s->adaptive) to->weights = c->weight;
    if (to->atol_each) to->atol_each = c->atol;
}

static void pose(nde_curvature *c) {
    const nde_rhs *r = &c->s->rhs;
    nde_problem *to = &c->problem;
    choose(c);
    *to = r->problem;
    to->size = sizeof *to, to->dim = 2*r->dim, to->nq = 2*r->nq, to->split = 2*r->problem.split;
    to->y0 = c->y0, to->q = c->q;
    to->drift = vary(c, &c->drift_of, &c->drift, r->drift.field, true);
    to->quadrature = vary(c, &c->quadrature_of, &c->quadrature, r->quadrature.field, false);
    to->jump = vary(c, &c->jump_of, &c->jump, r->jump.field, true);
    to->observe = vary(c, &c->observe_of, &c->observe, r->observe.field, false);
    for (size_t k = 0; k < to->n_terms; k++) {
        c->term[k] = r->problem.terms[k];
        c->term[k].size = sizeof c->term[k];
        c->term[k].field = vary(c, &c->term_of[k], &c->term_field[k], r->term[k].field, true);
    }
    to->terms = c->term;
    if (to->splitting) {
        c->splitting = r->splitting, c->splitting.size = sizeof c->splitting;
        c->splitting.second = vary(c, &c->second_of, &c->second, r->second.field, true);
        to->splitting = &c->splitting;
    }
    to->loss = NULL, to->stream = NULL, to->reduction = NULL;
}

#define TAKE(pointer, rows, columns) ((pointer) = nde_arena_take_rows(arena, (rows), (columns), sizeof *(pointer)))

/* Only the states' errors count. */
static void lay_measure(nde_curvature *c, nde_arena *arena) {
    const nde_solver *s = c->s;
    const nde_options *o = &s->options;
    TAKE(c->weight, s->adaptive, 2*s->rhs.dim), TAKE(c->atol, o->atol_each != NULL, 2*s->rhs.dim);
    for (size_t i = 0; i < s->rhs.dim; i++) {
        const size_t y = nde_row_of_state(&s->rhs, i), v = nde_row_of_tangent(&s->rhs, i);
        if (c->weight) c->weight[y] = o->weights ? o->weights[i] : 1, c->weight[v] = 0;
        if (c->atol) c->atol[y] = c->atol[v] = o->atol_each[i];
    }
}

/* Bytes of the solver, before there are arrays: those that it copies are at most so large. */
static nde_status count(nde_curvature *c, size_t *bytes) {
    nde_solver plan;
    size_t slice;
    pose(c);
    c->options.weights = c->options.atol_each = NULL;
    const nde_status bad = nde_solver_measure(&plan, &c->problem, &c->options, bytes, &slice);
    return bad || nde_size_add(*bytes, 2*(2*c->s->rhs.dim*sizeof(double) + 64)/64*64, bytes)
               ? bad : nde_fail(NDE_E_SIZE, "the sizes of problem and options are too large together");
}

nde_status nde_curvature_lay(nde_solver *s, nde_arena *arena) {
    const size_t N = s->N, dim = s->rhs.dim;
    nde_curvature counted = { 0 }, *c;
    nde_status bad = check(s);
    size_t row;
    if (bad) return bad;
    if (!nde_size_multiply(2*s->out, N, &row)) arena->overflow = true;
    TAKE(s->curvature, 1, 1);
    c = s->curvature ? s->curvature : &counted;
    c->s = s;
    TAKE(c->y0, 2*dim, N), TAKE(c->q, 2*s->rhs.nq, N);
    TAKE(c->a_y, s->rows_saved, row), TAKE(c->a_end, 2*dim, N), TAKE(c->a_z, 2*s->rhs.nz, N);
    lay_measure(c, arena);
    return s->curvature ? NDE_OK : count(c, &s->curvature_bytes);
}

nde_status nde_curvature_make(nde_solver *s, void *block) {
    nde_curvature *c = s->curvature;
    pose(c);
    return nde_solver_create_in(block, s->curvature_bytes, &c->problem, &c->options, &c->solver);
}

/* ---- Hessian-vector products ----------------------------------------------------------------- */

static bool lacks_vjp_jvp(const nde_field *f) { return !f->vjp_jvp; }

static nde_status refuse(nde_solver *s, const char *who, const char *why) {
    return nde_solver_refuse(s, nde_fail(NDE_E_ARG, "%s: %s", who, why));
}

/* Rows of states and of their tangents, one block after the other, from blocks of each; NULL is zero. */
static void join(const nde_rhs *r, bool states, size_t blocks, size_t rows, size_t N, const nde_real *y, const nde_real *v,
                 nde_real *to) {
    for (size_t k = 0; k < blocks; k++)
        for (size_t i = 0; i < rows; i++) {
            const size_t at = (k*rows + i)*N, first = 2*k*rows;
            nde_real *a = to + (first + (states ? nde_row_of_state(r, i) : i))*N,
                *b = to + (first + (states ? nde_row_of_tangent(r, i) : rows + i))*N;
            for (size_t j = 0; j < N; j++) a[j] = y ? y[at + j] : 0, b[j] = v ? v[at + j] : 0;
        }
}

/* The state and its tangent, from the start on. */
static nde_status solve(nde_solver *s, const nde_direction *along) {
    nde_curvature *c = s->curvature;
    const nde_rhs *r = &s->rhs;
    c->along = *along;
    join(r, true, 1, r->dim, s->N, r->problem.y0, along->y0, c->y0);
    if (r->nq) join(r, false, 1, r->nq, s->N, r->problem.q, along->q, c->q);
    const nde_status status = nde_solver_run(c->solver, NULL);
    return status == NDE_OK || status == NDE_E_LANES ? NDE_OK
               : nde_solver_refuse(s, nde_fail(status, "nde_hessian_product: of state and tangent: %s",
                                               nde_solver_error(c->solver)));
}

/* The gradient of <seed, tangent> + <seed_tangent, state>. */
static nde_status differentiate(nde_solver *s, const nde_seed *seed, const nde_seed *seed_tangent,
                                const nde_gradient *product) {
    nde_curvature *c = s->curvature;
    const nde_rhs *r = &s->rhs;
    const size_t N = s->N;
    const bool y = seed->y || seed_tangent->y, end = seed->y_end || seed_tangent->y_end,
        z = seed->quadrature || seed_tangent->quadrature;
    const nde_seed from = { .size = sizeof from, .y = y ? c->a_y : NULL, .y_end = end ? c->a_end : NULL,
                            .quadrature = z ? c->a_z : NULL };
    nde_gradient to = *product;
    if (y) join(r, !r->observe.field, s->rows_saved, s->out, N, seed_tangent->y, seed->y, c->a_y);
    if (end) join(r, true, 1, r->dim, N, seed_tangent->y_end, seed->y_end, c->a_end);
    if (z) join(r, false, 1, r->nz, N, seed_tangent->quadrature, seed->quadrature, c->a_z);
    if (to.y0) to.y0 = c->y0;
    if (to.q) to.q = c->q;
    const nde_status bad = nde_backward(c->solver, &from, &to);
    if (bad) return nde_solver_refuse(s, nde_fail(bad, "nde_hessian_product: %s", nde_solver_error(c->solver)));
    for (size_t i = 0; product->y0 && i < r->dim; i++)
        memcpy(product->y0 + i*N, c->y0 + nde_row_of_state(r, i)*N, N*sizeof *c->y0);
    if (product->q) memcpy(product->q, c->q, r->nq*N*sizeof *c->q);
    return NDE_OK;
}

static const char *not_followed(const nde_direction *d) {
    return d->t0 ? "t0" : d->t1 ? "t1" : d->save_t ? "save_t" : d->jump_t ? "jump_t" : d->jump_u ? "jump_u" : d->input_x
        ? "input_x"
           : d->term_x ? "term_x" : NULL;
}
static const char *not_known(const nde_seed *a) {
    return a->error_estimate ? "error_estimate" : a->stiffness_estimate ? "stiffness_estimate" : a->event_t ? "event_t"
           : a->event_y ? "event_y" : a->t_end ? "t_end" : NULL;
}
static const char *not_given(const nde_gradient *g) {
    return g->loss_error ? "loss_error" : g->loss_spread ? "loss_spread" : g->reconstruction ? "reconstruction" : g->back
        ? "back" : NULL;
}

static nde_status refuse_member(nde_solver *s, const char *of, const char *member) {
    return nde_solver_refuse(s,
                             nde_fail(NDE_E_ARG,
                                      "nde_hessian_product: %s.%s is not NULL: second derivatives do not know it", of, member));
}

nde_status nde_hessian_product(nde_solver *s, const nde_direction *direction, const nde_seed *seed,
                               const nde_seed *seed_tangent, const nde_gradient *product) {
    static const char who[] = "nde_hessian_product";
    const nde_seed own = { .size = sizeof own, .y = s ? s->a_out : NULL }, none = { .size = sizeof none };
    nde_direction along;
    nde_seed from, moved;
    nde_gradient to;
    if (!s) return nde_fail(NDE_E_ARG, "%s: solver is NULL", who);
    if (!direction || !product) return refuse(s, who, direction ? "product is NULL" : "direction is NULL");
    if (!s->curvature) return refuse(s, who, "options.curvature is 0");
    if (!seed && !own.y) return refuse(s, who, "seed is NULL, and there is no problem.loss");
    if (!s->recorded || !s->finished) return refuse(s, who, "there has been no run to its end");
    if (!nde_read_sized(&along, sizeof along, direction, sizeof along) || !nde_read_sized(&from, sizeof from,
                                                                                          seed ? seed : &own, sizeof from) ||
        !nde_read_sized(&moved, sizeof moved, seed_tangent ? seed_tangent : &none, sizeof moved) ||
        !nde_read_sized(&to, sizeof to, product, sizeof to))
        return refuse(s, who, "size of direction, seed, seed_tangent or product is not a layout that this library knows");
    if (not_followed(&along)) return refuse_member(s, "direction", not_followed(&along));
    if (not_known(&from)) return refuse_member(s, "seed", not_known(&from));
    if (not_known(&moved)) return refuse_member(s, "seed_tangent", not_known(&moved));
    if (not_given(&to)) return refuse_member(s, "product", not_given(&to));
    const nde_field *without = nde_rhs_without(&s->rhs, lacks_vjp_jvp);
    if (without)
        return nde_solver_refuse(s, nde_fail(NDE_E_NO_VJP, "%s: field '%s' has no vjp_jvp", who,
                                             without->name ? without->name : "field"));
    const nde_status bad = solve(s, &along);
    return bad ? bad : differentiate(s, &from, &moved, &to);
}

/* ---- Gauss-Newton products ------------------------------------------------------------------- */

static void weigh(size_t count, const nde_real *weight, nde_real *x) {
    for (size_t i = 0; weight && x && i < count; i++) x[i] *= weight[i];
}

nde_status nde_gauss_newton_product(nde_solver *s, const nde_direction *direction, const nde_seed *weight,
                                    const nde_output_tangent *tangent, const nde_gradient *product) {
    static const char who[] = "nde_gauss_newton_product";
    const nde_seed none = { .size = sizeof none };
    nde_seed w;
    nde_output_tangent v;
    if (!s) return nde_fail(NDE_E_ARG, "%s: solver is NULL", who);
    if (!product || !tangent) return refuse(s, who, product ? "tangent is NULL" : "product is NULL");
    if (s->adjoint != NDE_ADJOINT_DISCRETE) return refuse(s, who, "it needs NDE_ADJOINT_DISCRETE");
    if (!nde_read_sized(&w, sizeof w, weight ? weight : &none, sizeof w) || !nde_read_sized(&v, sizeof v, tangent, sizeof v))
        return refuse(s, who, "size of weight or tangent is not a layout that this library knows");
    if (v.error_estimate || v.stiffness_estimate || v.event_t || v.event_y || v.t_end)
        return refuse(s, who, "residuals are made of y, y_end and quadrature alone");
    const nde_status bad = nde_forward(s, direction, &v);
    if (bad) return bad;
    weigh(s->rows_saved*s->out*s->N, w.y, v.y), weigh(s->rhs.dim*s->N, w.y_end, v.y_end),
        weigh(s->rhs.nz*s->N, w.quadrature, v.quadrature);
    const nde_seed seed = { .size = sizeof seed, .y = v.y, .y_end = v.y_end, .quadrature = v.quadrature };
    return nde_backward(s, &seed, product);
}
