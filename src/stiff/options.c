/* SPDX-License-Identifier: MIT
 * options.c - what the caller wants, read and checked, each with its sentence. What is not known here is refused by name. */
#include "stiff/sun.h"

#include <float.h>
#include <limits.h>
#include <math.h>
#include <string.h>

#include "field/parts.h"

typedef struct member {
    const char *name;
    size_t from, bytes;
} member;
#define OF(type, name) { #name, offsetof(type, name), sizeof(((type *)NULL)->name) }

/* The first member of a list that is not zero; NULL: none. */
static const char *first_set(const void *object, const member *list, size_t count) {
    const unsigned char *bytes = object;
    for (size_t k = 0; k < count; k++)
        for (size_t i = 0; i < list[k].bytes; i++)
            if (bytes[list[k].from + i]) return list[k].name;
    return NULL;
}

static nde_status refuse_unknown(const nde_stiff_solver *s) {
    static const member problem[] = {
#define P(name) OF(nde_problem, name)
        P(terms), P(n_terms), P(split), P(loss), P(norm), P(domain), P(spectrum), P(splitting), P(observe), P(stream),
            P(reduction), P(preconditioner),
#undef P
    };
    static const member options[] = {
#define O(name) OF(nde_options, name)
        O(method), O(stepping), O(controller), O(tableau), O(steps), O(safety), O(factor_min), O(factor_max), O(save_every),
            O(record),
        O(blas), O(pid), O(decide), O(h_min_policy), O(error), O(norm), O(weights), O(rtol_n), O(atol_n), O(compensated),
            O(quantum),
        O(damping), O(stages), O(spectral_radius), O(back), O(parameters_in_norm), O(coupling), O(save_t_each), O(discard),
            O(order),
        O(estimates), O(estimate_seed), O(directions), O(anchor_limit), O(store), O(curvature), O(convert),
            O(newton_tolerance), O(linear), O(krylov),
#undef O
    };
    const char *name = first_set(&s->rhs.problem, problem, sizeof problem/sizeof *problem);
    if (name) return nde_fail(NDE_E_ARG, "problem.%s is not known to libnde-stiff", name);
    name = first_set(&s->options, options, sizeof options/sizeof *options);
    return name ? nde_fail(NDE_E_ARG, "options.%s is not known to libnde-stiff", name) : NDE_OK;
}

static nde_status wrong(const char *what, double value) { return nde_fail(NDE_E_ARG, "%s is %g", what, value); }

static bool is_size(double x) { return x >= 0 && isfinite(x); }

static nde_status read_limits(nde_stiff_solver *s) {
    nde_options *o = &s->options;
    if (o->h_min == NDE_ZERO) o->h_min = 0;
    if (o->h_max == NDE_ZERO) o->h_max = 0;
    if (!is_size(o->h0)) return wrong("options.h0", o->h0);
    if (!is_size(o->h_min)) return wrong("options.h_min", o->h_min);
    if (!(o->h_max >= 0)) return wrong("options.h_max", o->h_max);
    if (!isfinite(o->h_max)) o->h_max = 0;
    if (o->h_max > 0 && o->h_min > o->h_max) return nde_fail(NDE_E_ARG, "options: h_min %g is above h_max %g", o->h_min,
                                                             o->h_max);
    if (o->max_steps < 0 && o->max_steps != NDE_ZERO) return wrong("options.max_steps", (double)o->max_steps);
    if (o->max_steps == 0) o->max_steps = 1000000;
    if (o->max_evals < 0) return wrong("options.max_evals", (double)o->max_evals);
    if (!(o->max_seconds >= 0)) return wrong("options.max_seconds", o->max_seconds);
    if (o->threads < 0 || o->threads > 4096) return wrong("options.threads", o->threads);
    if (o->executor && (!o->executor->run || o->executor->workers < 1))
        return nde_fail(NDE_E_ARG, "options.executor: run is %s, workers is %d", o->executor->run ? "given" : "NULL",
                        o->executor->workers);
    if (o->adjoint != NDE_ADJOINT_NONE && o->adjoint != NDE_ADJOINT_INTERPOLATED)
        return nde_fail(NDE_E_ARG, "options.adjoint is %d: libnde-stiff has the continuous one, NDE_ADJOINT_INTERPOLATED",
                        (int)o->adjoint);
    if (o->n_clip && !o->clip_t) return nde_fail(NDE_E_ARG, "options.clip_t is NULL, n_clip is %zu", o->n_clip);
    for (size_t i = 0; i < o->n_clip; i++)
        if (!isfinite(o->clip_t[i])) return nde_fail(NDE_E_ARG, "options.clip_t[%zu] is %g", i, o->clip_t[i]);
    if (o->n_save && !o->save_t) return nde_fail(NDE_E_ARG, "options.save_t is NULL, n_save is %zu", o->n_save);
    for (size_t i = 0; i < o->n_save; i++)
        if (!isfinite(o->save_t[i])) return nde_fail(NDE_E_ARG, "options.save_t[%zu] is %g", i, o->save_t[i]);
    s->adjoint = o->adjoint != NDE_ADJOINT_NONE;
    s->event_rows = s->rhs.problem.n_events ? o->event_rows ? o->event_rows : 16 : 0;
    s->rows = o->n_save ? o->n_save : 1;
    return NDE_OK;
}

static nde_status read_tolerances(nde_stiff_solver *s) {
    const nde_options *o = &s->options;
    double atol = o->atol == 0 ? 1e-9 : o->atol == NDE_ZERO ? 0 : o->atol;
    s->rtol = o->rtol == 0 ? 1e-6 : o->rtol == NDE_ZERO ? 0 : o->rtol;
    if (!is_size(s->rtol)) return wrong("options.rtol", o->rtol);
    if (!is_size(atol)) return wrong("options.atol", o->atol);
    for (size_t i = 0; o->atol_each && i < s->rhs.dim; i++) {
        if (!is_size(o->atol_each[i])) return nde_fail(NDE_E_ARG, "options.atol_each[%zu] is %g", i, o->atol_each[i]);
        if (o->atol_each[i] == 0) atol = 0;
    }
    return s->rtol == 0 && atol == 0 ? nde_fail(NDE_E_ARG, "options: rtol and atol are both zero") : NDE_OK;
}

static nde_status read_back(nde_stiff_solver *s) {
    nde_stiff_options *f = &s->stiff;
    if (f->checkpoint < 0 || f->checkpoint > INT32_MAX) return wrong("stiff.checkpoint", (double)f->checkpoint);
    if (!f->checkpoint) f->checkpoint = 250;
    if (f->polynomial != 0 && f->polynomial != 1) return wrong("stiff.polynomial", f->polynomial);
    if (f->back_method != 0 && f->back_method != NDE_STIFF_BDF && f->back_method != NDE_STIFF_ADAMS)
        return wrong("stiff.back_method", f->back_method);
    const struct { const char *name; double value; } sizes[] = { { "stiff.back_rtol", f->back_rtol }, { "stiff.back_atol",
        f->back_atol },
        { "stiff.integral_rtol", f->integral_rtol }, { "stiff.integral_atol", f->integral_atol } };
    for (size_t i = 0; i < sizeof sizes/sizeof *sizes; i++)
        if (!is_size(sizes[i].value)) return wrong(sizes[i].name, sizes[i].value);
    if (s->adjoint && s->method == NDE_STIFF_DAE)
        return nde_fail(NDE_E_ARG, "options.adjoint is %d: not of NDE_STIFF_DAE", (int)s->options.adjoint);
    if (!f->back_method) f->back_method = s->method;
    const nde_field *without = s->adjoint ? nde_rhs_without_vjp(&s->rhs) : NULL;
    return without ? nde_fail(NDE_E_NO_VJP, "field '%s' has no vjp: options.adjoint needs it", nde_field_name(without))
        : NDE_OK;
}

static nde_status read_method(nde_stiff_solver *s) {
    nde_stiff_options *f = &s->stiff;
    const bool mass = f->mass || f->mass_diagonal;
    if (f->method < 0 || f->method > NDE_STIFF_DAE) return wrong("stiff.method", f->method);
    s->method = f->method ? f->method : mass || f->dy0 ? NDE_STIFF_DAE : NDE_STIFF_BDF;
    if (s->method != NDE_STIFF_DAE && (mass || f->dy0))
        return nde_fail(NDE_E_ARG, "stiff.%s is given: only NDE_STIFF_DAE knows it", mass ? "mass" : "dy0");
    if (f->mass && f->mass_diagonal) return nde_fail(NDE_E_ARG,
                                                     "stiff: mass and mass_diagonal are given: one of them must be NULL");
    for (size_t i = 0; f->mass_diagonal && i < s->rhs.dim; i++)
        if (!isfinite(f->mass_diagonal[i])) return nde_fail(NDE_E_ARG, "stiff.mass_diagonal[%zu] is %g", i,
                                                            f->mass_diagonal[i]);
    size_t entries = 0;
    if (f->mass && !nde_size_multiply(s->rhs.dim, s->rhs.dim, &entries)) return nde_fail(NDE_E_SIZE, "stiff.mass: dim is %zu",
                                                                                         s->rhs.dim);
    for (size_t i = 0; f->mass && i < entries; i++)
        if (!isfinite(f->mass[i])) return nde_fail(NDE_E_ARG, "stiff.mass[%zu] is %g", i, f->mass[i]);
    s->is_diagonal = f->mass != NULL;
    for (size_t i = 0; s->is_diagonal && i < entries; i++) s->is_diagonal = f->mass[i] == 0 || i % (s->rhs.dim + 1) == 0;
    const int most = s->method == NDE_STIFF_ADAMS ? 12 : 5;
    if (f->max_order < 0 || f->max_order > most) return wrong("stiff.max_order", f->max_order);
    if (!f->max_order) f->max_order = most;
    s->engine = s->method == NDE_STIFF_DAE ? &nde_sun_idas : &nde_sun_cvodes;
    return NDE_OK;
}

static size_t larger(size_t a, size_t b) { return a > b ? a : b; }

/* The band that the sparsity and the mass matrix need. */
static void measure_band(const nde_stiff_solver *s, size_t *lower, size_t *upper) {
    const nde_field *f = s->rhs.drift.field;
    const size_t n = s->rhs.dim;
    *lower = s->stiff.lower, *upper = s->stiff.upper;
    const bool given = *lower || *upper;
    if (!given && !f->sparsity_start) *lower = *upper = n - 1;
    for (size_t i = 0; !given && f->sparsity_start && i < n; i++)
        for (size_t e = f->sparsity_start[i]; e < f->sparsity_start[i + 1]; e++) {
            const size_t j = f->sparsity_index[e];
            if (i > j) *lower = larger(*lower, i - j);
            else *upper = larger(*upper, j - i);
        }
    for (size_t i = 0; s->stiff.mass && i < n; i++)
        for (size_t j = 0; j < n; j++) {
            if (s->stiff.mass[i*n + j] == 0) continue;
            if (i > j) *lower = larger(*lower, i - j);
            else *upper = larger(*upper, j - i);
        }
}

/* Where the matrix or its products are from. */
static nde_status read_jacobian(nde_stiff_solver *s) {
    const nde_field *drift = s->rhs.drift.field;
    const int how = s->options.jacobian;
    const char *name = nde_field_name(drift);
    if (how < NDE_JACOBIAN_AUTO || how > NDE_JACOBIAN_DIFFERENCES) return wrong("options.jacobian", how);
    s->differences = how == NDE_JACOBIAN_DIFFERENCES;
    if (s->linear == NDE_STIFF_NONE || s->differences) return NDE_OK;
    if (how == NDE_JACOBIAN_GIVEN && (!drift->jacobian || s->linear == NDE_STIFF_KRYLOV))
        return nde_fail(NDE_E_ARG, "options.jacobian is %d: %s", how, drift->jacobian ? "NDE_STIFF_KRYLOV takes the jvp"
                        : "the drift has none");
    if (how == NDE_JACOBIAN_JVP && !drift->jvp) return nde_fail(NDE_E_NO_JVP, "options.jacobian is %d: field '%s' has no jvp",
                                                                how, name);
    if (s->linear == NDE_STIFF_KRYLOV && !drift->jvp)
        return nde_fail(NDE_E_NO_JVP,
                        "field '%s' has no jvp: NDE_STIFF_KRYLOV takes it, or set options.jacobian to differences", name);
    return drift->jacobian || drift->jvp || drift->vjp ? NDE_OK
               : nde_fail(NDE_E_NO_JVP, "field '%s' has no jacobian, jvp or vjp: set options.jacobian to differences", name);
}

static nde_status read_linear(nde_stiff_solver *s) {
    nde_stiff_options *f = &s->stiff;
    const nde_field *drift = s->rhs.drift.field;
    const size_t n = s->rhs.dim;
    size_t lower, upper;
    enum { MOST_DENSE = 512 };
    if (f->linear < 0 || f->linear > NDE_STIFF_NONE) return wrong("stiff.linear", f->linear);
    if (f->suppress_algebraic != 0 && f->suppress_algebraic != 1) return wrong("stiff.suppress_algebraic",
                                                                               f->suppress_algebraic);
    if (f->dense != 0 && f->dense != 1) return wrong("stiff.dense", f->dense);
    if (f->lower >= n || f->upper >= n) return nde_fail(NDE_E_ARG, "stiff: lower is %zu, upper %zu, dim %zu", f->lower,
                                                        f->upper, n);
    if (f->krylov > INT_MAX) return nde_fail(NDE_E_ARG, "stiff.krylov is %zu", f->krylov);
    if (!f->krylov) f->krylov = n < 20 ? n : 20;
    measure_band(s, &lower, &upper);
    s->linear = f->linear                      ? f->linear
                : s->method == NDE_STIFF_ADAMS ? NDE_STIFF_NONE
                : 4*(lower + upper + 1) < n    ? NDE_STIFF_BAND
                : n > MOST_DENSE && drift->jvp ? NDE_STIFF_KRYLOV
                                               : NDE_STIFF_DENSE;
    if (s->linear == NDE_STIFF_NONE && s->method == NDE_STIFF_DAE)
        return nde_fail(NDE_E_ARG, "stiff.linear is NDE_STIFF_NONE: not of NDE_STIFF_DAE");
    const nde_status bad = read_jacobian(s);
    if (bad) return bad;
    if (n > INT_MAX) return nde_fail(NDE_E_SIZE, "problem.dim is %zu", n);
    const bool banded = s->linear == NDE_STIFF_BAND;
    s->lower = banded ? lower : n - 1, s->upper = banded ? upper : n - 1;
    const bool matrix = banded || s->linear == NDE_STIFF_DENSE;
    s->whole = matrix && drift->jacobian &&
               (s->options.jacobian == NDE_JACOBIAN_GIVEN || (s->options.jacobian == NDE_JACOBIAN_AUTO && (!banded ||
                   !drift->jvp)));
#ifdef NDE_HAVE_OPENBLAS
    s->lapack = !s->options.reproducible;
#endif
    return NDE_OK;
}

static nde_status check_allocator(const nde_options *o) {
    const nde_allocator *a = o ? o->allocator : NULL;
    return a && (!a->take || !a->give) ? nde_fail(NDE_E_ARG, "options.allocator: %s is NULL", a->take ? "give" : "take")
        : NDE_OK;
}

nde_status nde_sun_read(nde_stiff_solver *s, const nde_problem *problem, const nde_options *options,
                        const nde_stiff_options *stiff) {
    if (!nde_read_sized(&s->options, sizeof s->options, options, sizeof s->options))
        return nde_fail(NDE_E_ARG, "options.size: %zu bytes are not a layout that this library knows", options->size);
    if (!nde_read_sized(&s->stiff, sizeof s->stiff, stiff, sizeof s->stiff))
        return nde_fail(NDE_E_ARG, "stiff.size: %zu bytes are not a layout that this library knows", stiff->size);
    if (!problem) return nde_fail(NDE_E_ARG, "problem is NULL");
    if (!nde_read_sized(&s->rhs.problem, sizeof s->rhs.problem, problem, sizeof s->rhs.problem))
        return nde_fail(NDE_E_ARG, "problem.size: %zu bytes are not a layout that this library knows", problem->size);
    nde_status bad = check_allocator(&s->options);
    if (!bad) bad = refuse_unknown(s);
    if (!bad) bad = nde_rhs_make(&s->rhs, problem, s->parts, s->terms);
    if (!bad) bad = read_limits(s);
    if (!bad) bad = read_tolerances(s);
    if (!bad) bad = read_method(s);
    if (!bad) bad = read_linear(s);
    return bad ? bad : read_back(s);
}
