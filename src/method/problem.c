/* SPDX-License-Identifier: MIT
 * problem.c - reading a problem: which fields it has, whether they fit together, and what they need. */
#include "method/rhs.h"

#include <string.h>

#include "field/parts.h"
#include "noise/noise.h"
#include "path/path.h"

/* ---- reading a problem ----------------------------------------------------------------------- */

static size_t largest(size_t a, size_t b) { return a > b ? a : b; }

/* Takes a field in: its share of the totals and its place in the shared arrays. */
static nde_status admit(nde_rhs *r, nde_part *part, const nde_field *field, const char *who, size_t out,
                        size_t nu) {
    *part = (nde_part){ .field = field };
    if (!field) return NDE_OK;
    const nde_status bad = nde_field_validate(field, who);
    if (bad) return bad;
    if (field->dim != r->dim)
        return nde_fail(NDE_E_ARG, "problem.%s: field '%s' has dim %zu, the problem %zu", who,
                        nde_field_name(field), field->dim, r->dim);
    if (out && field->out != out)
        return nde_fail(NDE_E_ARG, "problem.%s: field '%s' has out %zu, needed is %zu", who,
                        nde_field_name(field), field->out, out);
    if (field->nu != nu && !(nu == r->channels && field->nu == 0))
        return nde_fail(NDE_E_ARG, "problem.%s: field '%s' has nu %zu, needed is %zu", who,
                        nde_field_name(field), field->nu, nu);
    size_t np, nq;
    if (!nde_size_add(field->p_first, field->np, &np) || !nde_size_add(field->q_first, field->nq, &nq))
        return nde_fail(NDE_E_SIZE, "problem.%s: p_first + np is too large", who);
    if (field->np) r->np = largest(r->np, np);
    if (field->nq) r->nq = largest(r->nq, nq);
    part->tape = r->tape, part->cotape = r->cotape, part->prepared = r->prepared;
    if (!nde_size_add(r->tape, field->tape, &r->tape) ||
        (field->vjp_window && !nde_size_add(r->cotape, field->cotape, &r->cotape)) ||
        !nde_size_add(r->prepared, field->prepared, &r->prepared))
        return nde_fail(NDE_E_SIZE, "problem.%s: tape, cotape or prepared is too large", who);
    r->work = largest(r->work, field->work);
    r->u_rows = largest(r->u_rows, field->nu);
    return NDE_OK;
}

/* One that is evaluated now and then, without a tape: its vjp recomputes, and adds to p at once. */
static nde_status admit_beside(nde_rhs *r, nde_part *part, const nde_field *field, const char *who, size_t out, size_t nu) {
    const size_t tape = r->tape, cotape = r->cotape;
    const nde_status bad = admit(r, part, field, who, out, nu);
    r->tape = tape, r->cotape = cotape;
    return bad;
}

static nde_status admit_noise(nde_rhs *r, nde_part *part, const nde_term *term) {
    const nde_status bad = nde_noise_read(&part->noise, term->noise);
    if (bad) return bad;
    const bool diagonal = term->kind == NDE_NOISE_DIAGONAL;
    if (term->kind < NDE_NOISE_DIAGONAL || term->kind > NDE_NOISE_GENERAL)
        return nde_fail(NDE_E_ARG, "problem.terms: kind %d is no kind of noise", (int)term->kind);
    size_t m = part->noise.dim;
    if (diagonal) {
        if (m && m != r->dim)
            return nde_fail(NDE_E_ARG, "problem.terms: diagonal noise has dim %zu, the problem %zu", m,
                            r->dim);
        m = r->dim;
    } else if (!m) {
        if (term->field->nu <= r->channels)
            return nde_fail(NDE_E_ARG, "problem.terms: field '%s' has nu %zu: no room for dW",
                            nde_field_name(term->field), term->field->nu);
        m = term->field->nu - r->channels;
    }
    if (term->kind == NDE_NOISE_SCALAR && m != 1)
        return nde_fail(NDE_E_ARG, "problem.terms: scalar noise has dim %zu", m);
    const nde_status wrong = nde_noise_check(&part->noise, m);
    if (wrong) return wrong;
    part->rate = r->rates, part->rates = m;
    r->noisy = true;
    return nde_size_add(r->rates, m, &r->rates)
               ? NDE_OK
               : nde_fail(NDE_E_SIZE, "problem.terms: noise.dim is too large");
}

/* What the terms of noise are together. */
static int noise_together(const nde_rhs *r) {
    int kind = 0;
    for (size_t k = 0; k < r->problem.n_terms; k++) {
        const nde_term *term = &r->problem.terms[k];
        if (!term->noise) continue;
        kind = !kind || (kind == NDE_NOISE_ADDITIVE && term->kind == NDE_NOISE_ADDITIVE) ? term->kind : NDE_NOISE_GENERAL;
    }
    return kind;
}

static nde_status admit_term(nde_rhs *r, nde_part *part, const nde_term *term) {
    if (!term->field) return nde_fail(NDE_E_ARG, "problem.terms: field is NULL");
    if (!term->noise == !term->path)
        return nde_fail(NDE_E_ARG, "problem.terms: exactly one of noise and path must be given");
    nde_part place = { 0 };
    size_t width = 0;
    if (term->noise) {
        const nde_status bad = admit_noise(r, &place, term);
        if (bad) return bad;
        width = term->kind == NDE_NOISE_DIAGONAL ? 0 : place.rates;
    } else {
        const nde_status bad = nde_path_validate(term->path, "problem.terms: path");
        if (bad) return bad;
        place.piece = r->paths++;
        width = term->path->channels;
    }
    if (!nde_size_add(width, r->channels, &width))
        return nde_fail(NDE_E_SIZE, "problem.terms: too many inputs");
    const nde_status bad = admit(r, part, term->field, "terms", r->dim, width);
    if (bad) return bad;
    if (term->field->nu != width && (term->field->nu || width != r->channels))
        return nde_fail(NDE_E_ARG, "problem.terms: field '%s' has nu %zu, needed is %zu",
                        nde_field_name(term->field), term->field->nu, width);
    part->piece = place.piece, part->rate = place.rate, part->rates = place.rates, part->noise = place.noise;
    return NDE_OK;
}

/* The drift is in already. Windows of parameter gradients would mix columns of the two. */
static nde_status admit_splitting(nde_rhs *r) {
    const nde_problem *q = &r->problem;
    nde_splitting *to = &r->splitting;
    if (!q->splitting) return NDE_OK;
    if (!nde_read_sized(to, sizeof *to, q->splitting, sizeof *to))
        return nde_fail(NDE_E_ARG, "problem.splitting: size is not a layout that this library knows");
    if (!to->second || !q->drift) return nde_fail(NDE_E_ARG, "problem.%s is NULL", q->drift ? "splitting.second" : "drift");
    if (q->n_terms || q->quadrature || q->split)
        return nde_fail(NDE_E_ARG, "problem.splitting is given beside problem.%s",
                        q->n_terms ? "terms" : q->quadrature ? "quadrature" : "split");
    if (nde_is_flow(r, to->second) || nde_is_flow(r, q->drift)) r->rates = 1, r->paced = true;
    const nde_status bad = admit(r, &r->second, to->second, "splitting.second", r->dim,
                                 r->channels + nde_is_flow(r, to->second));
    r->cotape = 0;
    return bad;
}

/* The terms in today's layout: an array of the caller's has the first one's size as stride. */
static nde_status copy_terms(nde_problem *q, nde_term *terms) {
    if (q->n_terms > NDE_MOST_TERMS)
        return nde_fail(NDE_E_SIZE, "problem.n_terms is %zu: at most %d", q->n_terms, NDE_MOST_TERMS);
    if (q->n_terms && !q->terms)
        return nde_fail(NDE_E_ARG, "problem.terms is NULL, n_terms is %zu", q->n_terms);
    const size_t stride = q->n_terms && q->terms->size ? q->terms->size : sizeof(nde_term);
    for (size_t k = 0; k < q->n_terms; k++) {
        const char *from = (const char *)q->terms + k*stride;
        if (!nde_read_sized(&terms[k], sizeof *terms, from, sizeof *terms) || terms[k].size > stride)
            return nde_fail(NDE_E_ARG, "problem.terms[%zu]: size is not a layout that this library knows", k);
    }
    q->terms = terms;
    return NDE_OK;
}

/* Events stand in an array with the first one's size as stride. */
static nde_status admit_event(nde_rhs *r, size_t k) {
    const nde_problem *q = &r->problem;
    nde_watched *to = &r->event[k];
    nde_event e;
    if (q->n_events > NDE_MOST_EVENTS)
        return nde_fail(NDE_E_SIZE, "problem.n_events is %zu: at most %d", q->n_events, NDE_MOST_EVENTS);
    if (!q->events) return nde_fail(NDE_E_ARG, "problem.events is NULL, n_events is %zu", q->n_events);
    const size_t stride = q->events->size ? q->events->size : sizeof e;
    if (!nde_read_sized(&e, sizeof e, (const char *)q->events + k*stride, sizeof e) || e.size > stride)
        return nde_fail(NDE_E_ARG, "problem.events[%zu]: size is not a layout that this library knows", k);
    if (!e.g) return nde_fail(NDE_E_ARG, "problem.events[%zu].g is NULL", k);
    if (e.terminal < 0) return nde_fail(NDE_E_ARG, "problem.events[%zu].terminal is %lld", k, (long long)e.terminal);
    if (e.reset && r->noisy)
        return nde_fail(NDE_E_ARG, "problem.events[%zu].reset: a step with noise cannot be cut in two", k);
    if (e.at_start && !e.direction)
        return nde_fail(NDE_E_ARG, "problem.events[%zu].at_start is %d: direction is 0", k, (int)e.at_start);
    to->direction = (e.direction > 0) - (e.direction < 0), to->terminal = e.terminal, to->at_start = e.at_start != 0;
    const nde_status bad = admit_beside(r, &to->g, e.g, "events: g", 1, r->channels);
    return bad ? bad : admit_beside(r, &to->reset, e.reset, "events: reset", r->dim, r->channels);
}

/* No array of so many reals could be had; products with the number of stages still fit. */
static nde_status check_sizes(const nde_rhs *r) {
    const size_t most = PTRDIFF_MAX >> 13;
    const struct { const char *name; size_t value; } sizes[] = {
        { "dim", r->rows }, { "np", r->np }, { "nq", r->nq }, { "tape", r->tape }, { "cotape", r->cotape },
        { "work", r->work }, { "prepared", r->prepared }, { "nu", r->u_rows }, { "n_jumps", r->problem.n_jumps },
    };
    for (size_t i = 0; i < sizeof sizes/sizeof *sizes; i++)
        if (sizes[i].value > most)
            return nde_fail(NDE_E_SIZE, "problem: %s is too large: %zu", sizes[i].name, sizes[i].value);
    return r->N > most/r->rows
               ? nde_fail(NDE_E_SIZE, "problem: dim %zu times n %zu is too large", r->dim, r->N)
               : NDE_OK;
}

nde_status nde_rhs_make(nde_rhs *r, const nde_problem *problem, nde_part *parts, nde_term *terms) {
    *r = (nde_rhs){ 0 };
    nde_problem *q = &r->problem;
    if (!problem) return nde_fail(NDE_E_ARG, "problem is NULL");
    if (!nde_read_sized(q, sizeof *q, problem, sizeof *q))
        return nde_fail(NDE_E_ARG, "problem.size: %zu bytes are not a layout that this library knows",
                        problem->size);
    if (!q->drift && !q->n_terms)
        return nde_fail(NDE_E_ARG, "problem.drift is NULL and there are no terms");
    nde_status bad = copy_terms(q, terms);
    if (bad) return bad;
    r->N = q->n = q->n ? q->n : 1;
    if (!q->dim) q->dim = q->drift ? q->drift->dim : q->terms[0].field ? q->terms[0].field->dim : 0;
    r->dim = q->dim;
    if (!r->dim) return nde_fail(NDE_E_ARG, "problem.dim is 0");
    if (q->input) {
        if ((bad = nde_path_validate(q->input, "problem.input"))) return bad;
        r->channels = q->input->channels;
        r->paths = 1;
    }
    if ((bad = admit(r, &r->drift, q->drift, "drift", r->dim, r->channels + (q->splitting && nde_is_flow(r, q->drift)))) ||
        (bad = admit_splitting(r)))
        return bad;
    r->term = parts;
    for (size_t k = 0; k < q->n_terms; k++)
        if ((bad = admit_term(r, &r->term[k], &q->terms[k]))) return bad;
    if (q->quadrature) r->nz = q->quadrature->out;
    if ((bad = admit(r, &r->quadrature, q->quadrature, "quadrature", 0, r->channels))) return bad;
    if (q->n_jumps && (!q->jump || !q->jump_t))
        return nde_fail(NDE_E_ARG, "problem.%s is NULL, n_jumps is %zu", q->jump ? "jump_t" : "jump",
                        q->n_jumps);
    if (q->n_jumps && q->jump_inputs && !q->jump_u)
        return nde_fail(NDE_E_ARG, "problem.jump_u is NULL, jump_inputs is %zu", q->jump_inputs);
    if (q->jump) {
        if ((bad = nde_field_validate(q->jump, "jump"))) return bad;
        if (q->jump->nu != q->jump_inputs)
            return nde_fail(NDE_E_ARG, "problem.jump: field '%s' has nu %zu, jump_inputs is %zu",
                            nde_field_name(q->jump), q->jump->nu, q->jump_inputs);
        if ((bad = admit_beside(r, &r->jump, q->jump, "jump", r->dim, q->jump_inputs))) return bad;
    }
    for (size_t k = 0; k < q->n_events; k++)
        if ((bad = admit_event(r, k))) return bad;
    if ((bad = admit_beside(r, &r->observe, q->observe, "observe", 0, r->channels))) return bad;
    if (q->np && q->np < r->np)
        return nde_fail(NDE_E_ARG, "problem.np is %zu, its fields need %zu", q->np, r->np);
    if (q->nq && q->nq < r->nq)
        return nde_fail(NDE_E_ARG, "problem.nq is %zu, its fields need %zu", q->nq, r->nq);
    r->np = q->np = largest(q->np, r->np);
    r->nq = q->nq = largest(q->nq, r->nq);
    if (q->split >= r->dim && q->split)
        return nde_fail(NDE_E_ARG, "problem.split is %zu, dim is %zu", q->split, r->dim);
    if (r->noisy && q->calculus != NDE_ITO && q->calculus != NDE_STRATONOVICH)
        return nde_fail(NDE_E_CALCULUS,
                        "problem.calculus is %d: with noise it must be NDE_ITO or NDE_STRATONOVICH",
                        (int)q->calculus);
    r->paced = r->paced || r->noisy;
    r->noise = noise_together(r), r->rate_rows = r->rates;
    r->plain = !q->n_terms && !q->quadrature && !r->channels && !q->splitting && !(q->drift->nq && q->drift->q_first);
    r->autonomous = r->plain && (q->drift->traits & NDE_AUTONOMOUS);
    r->rows = r->dim + r->nz; /* each is small enough, by nde_field_validate */
    return check_sizes(r);
}

static nde_status prepare(const nde_rhs *r, const nde_part *part) {
    const nde_field *f = part->field;
    if (!f || !f->prepare || !f->prepared) return NDE_OK;
    const int rc = f->prepare(f, r->problem.p ? r->problem.p + f->p_first : NULL,
                              r->prepared_values + part->prepared);
    return rc ? nde_fail(NDE_E_FIELD_FIRST, "field '%s': prepare returned %d", nde_field_name(f), rc)
              : NDE_OK;
}

nde_status nde_rhs_prepare(const nde_rhs *r) {
    nde_status bad = prepare(r, &r->drift);
    if (!bad) bad = prepare(r, &r->second);
    for (size_t k = 0; k < r->problem.n_terms && !bad; k++) bad = prepare(r, &r->term[k]);
    if (!bad) bad = prepare(r, &r->quadrature);
    if (!bad) bad = prepare(r, &r->observe);
    for (size_t k = 0; k < r->problem.n_events && !bad; k++)
        if (!(bad = prepare(r, &r->event[k].g))) bad = prepare(r, &r->event[k].reset);
    return bad ? bad : prepare(r, &r->jump);
}

/* ---- what is missing ------------------------------------------------------------------------- */

const nde_field *nde_rhs_without(const nde_rhs *r, bool (*lacks)(const nde_field *)) {
    const nde_part *all[] = { &r->drift, &r->second, &r->quadrature, &r->jump, &r->observe };
    for (size_t i = 0; i < sizeof all/sizeof *all; i++)
        if (all[i]->field && lacks(all[i]->field)) return all[i]->field;
    for (size_t k = 0; k < r->problem.n_terms; k++)
        if (lacks(r->term[k].field)) return r->term[k].field;
    return NULL;
}

const nde_field *nde_rhs_without_second(const nde_rhs *r) {
    for (size_t k = 0; (r->correction != 0 || r->follows) && k < r->problem.n_terms; k++)
        if (r->problem.terms[k].noise && !r->term[k].field->vjp_jvp) return r->term[k].field;
    return NULL;
}

static bool lacks_vjp(const nde_field *f) { return !f->vjp; }
static bool lacks_jvp(const nde_field *f) { return !f->jvp; }
const nde_field *nde_rhs_without_vjp(const nde_rhs *r) {
    const nde_field *without = nde_rhs_without(r, lacks_vjp);
    return without ? without : nde_rhs_without_second(r);
}
const nde_field *nde_rhs_without_jvp(const nde_rhs *r) { return nde_rhs_without(r, lacks_jvp); }
