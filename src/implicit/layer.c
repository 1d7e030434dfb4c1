/* SPDX-License-Identifier: MIT
 * layer.c - an equation as a field: its solution, and the derivatives of that by the implicit function theorem.
 *
 * With G(y, s) = 0 for all s that the layer sees, J dy = -dG/ds ds, and cotangents a of y become those of s by w = -J'^-1 a and
 * one product w' dG/ds, for which the field's own vjp serves.
 * tape: the solution. work: first what unknowns_of lays out, then the field's. */
#include "implicit/layer.h"

#include <math.h>
#include <string.h>

enum { DENSE_MOST = 32 }; /* rows up to which a dense matrix is the default */

/* ---- the description ---- */

static const bool is_float = sizeof(nde_real) == sizeof(float);

static double tolerance(double given, double usual) { return given == 0 ? usual : given == NDE_ZERO ? 0 : given; }

/* With defaults filled in. */
static nde_implicit settled(const nde_implicit *layer) {
    nde_implicit how;
    (void)nde_read_sized(&how, sizeof how, layer, sizeof how);
    const nde_field *f = how.field;
    if (!how.linear) how.linear = f->dim <= DENSE_MOST && (f->jacobian || f->jvp) ? NDE_LINEAR_DENSE : NDE_LINEAR_GMRES;
    if (!how.iteration)
        how.iteration = !how.root ? NDE_ANDERSON : how.linear == NDE_LINEAR_DENSE ? NDE_NEWTON : NDE_NEWTON_KRYLOV;
    const double usual = is_float ? 1e-5 : 1e-10;
    how.rtol = tolerance(how.rtol, usual), how.atol = tolerance(how.atol, usual);
    if (how.linear_rtol == 0) how.linear_rtol = is_float ? 1e-6 : 1e-13;
    if (!how.max_iterations) how.max_iterations = 100;
    if (how.mixing == 0) how.mixing = 1;
    return how;
}

/* memory 0 is each method's own. */
static size_t memory_of(const nde_implicit *how, size_t usual, size_t least) {
    const size_t m = how->memory == 0 ? usual : how->memory == NDE_ZERO ? 0 : (size_t)how->memory;
    return m > least ? m : least;
}

/* Does it take J itself, in the iteration or in derivatives? */
static bool takes_matrix(const nde_implicit *how, bool iterates) {
    if (!iterates) return how->linear == NDE_LINEAR_DENSE;
    return how->iteration == NDE_NEWTON || (how->iteration == NDE_BROYDEN && how->root);
}

/* ---- work ---- */

/* Lays out what an iteration (or, else, derivatives) needs. */
static void lay(nde_unknowns *x, nde_rows_of_work *w, bool iterates) {
    const nde_implicit *how = &x->how;
    const size_t dim = x->field->dim;
    x->inputs = nde_take_rows(w, how->inputs ? x->field->nu : 0, 1),
        x->a_inputs = nde_take_rows(w, how->inputs ? x->field->nu : 0, 1);
    x->y = nde_take_rows(w, dim, 1), x->residual = nde_take_rows(w, dim, 1), x->direction = nde_take_rows(w, dim, 1);
    x->trial = nde_take_rows(w, dim, 1), x->trial_residual = nde_take_rows(w, dim, 1);
    x->norm = nde_take_rows(w, 1, 1), x->trial_norm = nde_take_rows(w, 1, 1), x->steps = nde_take_rows(w, 1, 1),
        x->live = nde_take_rows(w, 1, 1);
    x->begin = nde_take_rows(w, 1, 1), x->weight = nde_take_rows(w, 1, 1), x->goal = nde_take_rows(w, 1, 1);
    x->lane = (unsigned char *)nde_take_rows(w, 1, 1), x->fate = (unsigned char *)nde_take_rows(w, 1, 1);
    x->history = x->small = x->jacobian = x->matrix = x->column = x->tape = NULL, x->pivot = NULL;
    if (takes_matrix(how, iterates)) {
        x->jacobian = nde_take_rows(w, dim, dim), x->matrix = nde_take_rows(w, dim, dim), x->column = nde_take_rows(w, dim, 1);
        void *pivot = nde_take_rows(w, dim, 1); /* an int takes no more room than a real */
        x->pivot = pivot;
    }
    if (!iterates) x->tape = nde_take_rows(w, how->linear == NDE_LINEAR_GMRES ? x->field->tape : 0, 1);
    if (iterates && how->iteration == NDE_ANDERSON) {
        x->memory = memory_of(how, 5, 0);
        x->history = nde_take_rows(w, 2*x->memory, dim), x->small = nde_take_rows(w, nde_anderson_small(x->memory), 1);
    } else if (iterates && how->iteration == NDE_BROYDEN) {
        x->memory = memory_of(how, 20, 1);
        x->history = nde_take_rows(w, x->memory, dim), x->small = nde_take_rows(w, x->memory, 1);
    } else if (!x->matrix) {
        x->memory = memory_of(how, 30, 1);
        if (x->memory > dim) x->memory = dim;
        x->history = nde_take_rows(w, x->memory + 1, dim), x->small = nde_take_rows(w, nde_gmres_rows(x->memory), 1);
    }
}

/* The equation at a site of the layer. */
static nde_unknowns unknowns_of(const nde_field *self, const nde_site *at, bool iterates) {
    nde_unknowns x = { .how = settled(self->ctx), .n = at->n, .ld = at->ld };
    nde_rows_of_work w = { .base = at->work, .ld = at->ld };
    const nde_field *f = x.field = x.how.field;
    x.dim = f->dim;
    lay(&x, &w, iterates);
    x.site = nde_part_site(f, at, (nde_slice){ .work = self->work - f->work });
    x.site.lane = x.lane, x.site.tape = NULL;
    if (x.how.inputs) x.site.u = x.inputs;
    return x;
}

static void copy(size_t count, size_t n, const nde_real *from, size_t ld_from, nde_real *to, size_t ld_to) {
    for (size_t i = 0; i < count; i++) memcpy(to + i*ld_to, from + i*ld_from, n*sizeof *to);
}

/* u of the field: y of the layer, then its u. NULL: zero. */
static void join(const nde_unknowns *x, const nde_real *y, const nde_real *u, nde_real *to) {
    const size_t first = x->how.inputs, rest = x->field->nu - first;
    memset(to, 0, x->field->nu*x->ld*sizeof *to);
    if (y) copy(first, x->n, y, x->ld, to, x->ld);
    if (u) copy(rest, x->n, u, x->ld, to + first*x->ld, x->ld);
}

/* The inputs, and the guess. */
static void set_out(nde_unknowns *x, const nde_site *at, const nde_real *y) {
    const nde_real *start = x->how.start;
    if (!x->how.inputs) {
        copy(x->dim, x->n, y, x->ld, x->y, x->ld);
        return;
    }
    join(x, y, at->u, x->inputs);
    for (size_t i = 0; i < x->dim; i++)
        for (size_t b = 0; b < x->n; b++) x->y[i*x->ld + b] = start ? start[i] : 0;
}

/* ---- value ---- */

/* Finds x.y. */
static int iterate(nde_unknowns *x, const nde_site *at, const nde_real *y) {
    set_out(x, at, y);
    const int rc = nde_unknowns_begin(x, at->lane);
    if (rc) return rc;
    switch (x->how.iteration) {
    case NDE_ANDERSON: return nde_anderson(x);
    case NDE_BROYDEN: return nde_broyden(x);
    default: return nde_newton(x);
    }
}

static int eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    nde_unknowns x = unknowns_of(self, at, true);
    const int rc = iterate(&x, at, y);
    if (rc) return rc;
    copy(x.dim, x.n, x.y, x.ld, dy, x.ld);
    for (size_t b = 0; b < x.n; b++) {
        if (x.fate[b] == NDE_CONVERGED) continue;
        if (at->lane) at->lane[b] = x.fate[b] == NDE_STOPS ? NDE_LANE_STOP : NDE_LANE_RETRY;
        for (size_t i = 0; i < x.dim; i++) dy[i*x.ld + b] = (nde_real)NAN;
    }
    if (at->tape) copy(x.dim, x.n, dy, x.ld, at->tape, at->tape_ld);
    return NDE_FIELD_OK;
}

/* ---- derivatives ---- */

/* The solution once more: both layouts begin alike, so that derivatives have it too. Lanes without one are not live, and
 * have the guess, where products with cotangents of zero are zero. */
static int solve_again(const nde_field *self, const nde_site *at, const nde_real *y, nde_unknowns *x) {
    nde_unknowns found = unknowns_of(self, at, true);
    const int rc = at->tape ? 0 : iterate(&found, at, y);
    if (rc) return rc;
    *x = unknowns_of(self, at, false);
    for (size_t b = 0; b < x->n; b++) {
        const bool there = at->tape ? isfinite(at->tape[b]) : found.fate[b] == NDE_CONVERGED;
        x->live[b] = there ? 1 : 0;
    }
    if (!at->tape) return 0;
    set_out(x, at, y);
    for (size_t i = 0; i < x->dim; i++)
        for (size_t b = 0; b < x->n; b++)
            if (x->live[b] > 0) x->y[i*x->ld + b] = at->tape[i*at->tape_ld + b];
    return 0;
}

/* Are there lanes with a right-hand side b other than 0 which have no solution? The others become 0. */
static bool settle(const nde_unknowns *x, const nde_real *b, nde_real *w) {
    bool all = true;
    for (size_t l = 0; l < x->n; l++) {
        bool zero = true, finite = x->live[l] > 0;
        for (size_t i = l; i < x->dim*x->ld; i += x->ld) {
            if (b[i] != 0) zero = false;
            if (!isfinite(w[i])) finite = false;
        }
        for (size_t i = l; i < x->dim*x->ld && zero; i += x->ld) w[i] = 0;
        all = all && (zero || finite);
    }
    return all;
}

static int vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    nde_unknowns x;
    int rc = solve_again(self, at, y, &x);
    if (rc) return rc;
    const nde_field *f = x.field;
    nde_real *w = x.residual;
    nde_unknowns_show(&x, x.live);
    rc = nde_unknowns_factor(&x, x.y, true);
    for (size_t i = 0; i < x.dim*x.ld; i += x.ld) NDE_LANES(b, x.n) x.trial[i + b] = -a[i + b];
    if (!rc) rc = nde_unknowns_solve(&x, x.y, true, NULL, x.trial, w);
    if (rc) return rc;
    if (!settle(&x, a, w)) return NDE_FIELD_RETRY;
    nde_cotangent there = nde_part_cotangent(f, at, to, (nde_slice){ .tape = 0 });
    there.y = NULL, there.cotape = NULL;
    if (x.how.inputs) {
        there.u = x.a_inputs;
        memset(there.u, 0, f->nu*x.ld*sizeof *there.u);
    }
    x.site.tape = x.tape, x.site.tape_ld = x.ld;
    rc = f->vjp(f, &x.site, x.y, w, &there);
    for (size_t i = 0; i < x.how.inputs && to->y; i++)
        for (size_t b = 0; b < x.n; b++) to->y[i*x.ld + b] += x.a_inputs[i*x.ld + b];
    for (size_t i = x.how.inputs; x.how.inputs && i < f->nu && to->u; i++)
        for (size_t b = 0; b < x.n; b++) to->u[(i - x.how.inputs)*x.ld + b] += x.a_inputs[i*x.ld + b];
    return rc;
}

static int jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    nde_unknowns x;
    nde_site untaped = *at;
    untaped.tape = NULL;
    int rc = solve_again(self, &untaped, y, &x);
    if (rc) return rc;
    const nde_field *f = x.field;
    nde_tangent along = nde_part_tangent(f, at, v);
    along.y = NULL;
    if (x.how.inputs) join(&x, v->y, v->u, x.a_inputs), along.u = x.a_inputs;
    nde_unknowns_show(&x, x.live);
    rc = nde_unknowns_factor(&x, x.y, false);
    if (!rc) rc = f->jvp(f, &x.site, x.y, &along, x.residual);
    if (rc) return rc;
    for (size_t i = 0; i < x.dim*x.ld; i += x.ld) NDE_LANES(b, x.n) x.residual[i + b] = -x.residual[i + b];
    memcpy(x.trial, x.residual, x.dim*x.ld*sizeof *x.trial);
    rc = nde_unknowns_solve(&x, x.y, false, NULL, x.trial, dv);
    if (rc) return rc;
    return settle(&x, x.residual, dv) ? 0 : NDE_FIELD_RETRY;
}

static int prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    const nde_implicit *layer = self->ctx;
    return nde_part_prepare(layer->field, p, &prepared);
}

/* ---- construction ---- */

static bool is_tolerance(double x) { return x == NDE_ZERO || (x >= 0 && isfinite(x)); }

static nde_status check(const nde_implicit *layer, const char *who) {
    nde_implicit l;
    if (!layer) return nde_fail(NDE_E_ARG, "%s: the description is NULL", who);
    if (!nde_read_sized(&l, sizeof l, layer, sizeof l))
        return nde_fail(NDE_E_ARG, "%s: size is %zu, this library knows %zu", who, layer->size, sizeof l);
    if (!l.field) return nde_fail(NDE_E_ARG, "%s: field is NULL", who);
    const nde_field *f = l.field;
    const nde_status status = nde_field_validate(f, who);
    if (status) return status;
    if (f->out != f->dim)
        return nde_fail(NDE_E_ARG, "%s: field '%s' has dim %zu, out %zu", who, nde_field_name(f), f->dim, f->out);
    if (l.inputs > f->nu)
        return nde_fail(NDE_E_ARG, "%s: inputs is %zu, field '%s' has nu %zu", who, l.inputs, nde_field_name(f), f->nu);
    if (l.root != 0 && l.root != 1) return nde_fail(NDE_E_ARG, "%s: root is %d", who, (int)l.root);
    if (l.iteration < 0 || l.iteration > NDE_NEWTON_KRYLOV)
        return nde_fail(NDE_E_ARG, "%s: iteration is %d", who, (int)l.iteration);
    if (l.linear < 0 || l.linear > NDE_LINEAR_GMRES) return nde_fail(NDE_E_ARG, "%s: linear is %d", who, (int)l.linear);
    if (l.root && l.iteration == NDE_ANDERSON)
        return nde_fail(NDE_E_ARG, "%s: iteration is Anderson's, for fixed points, and root is 1", who);
    if (!is_tolerance(l.rtol) || !is_tolerance(l.atol) || (l.rtol == NDE_ZERO && l.atol == NDE_ZERO))
        return nde_fail(NDE_E_ARG, "%s: rtol is %g, atol %g", who, l.rtol, l.atol);
    if (l.max_iterations < 0) return nde_fail(NDE_E_ARG, "%s: max_iterations is %d", who, (int)l.max_iterations);
    if (l.memory < NDE_ZERO || l.memory > 1000) return nde_fail(NDE_E_ARG, "%s: memory is %d", who, (int)l.memory);
    if (!(l.mixing >= 0 && l.mixing < 2)) return nde_fail(NDE_E_ARG, "%s: mixing is %g", who, l.mixing);
    if (!(l.linear_rtol >= 0 && l.linear_rtol < 1)) return nde_fail(NDE_E_ARG, "%s: linear_rtol is %g", who, l.linear_rtol);
    l = settled(layer);
    const bool has_matrix = f->jacobian || f->jvp;
    if ((takes_matrix(&l, true) && !has_matrix) || (l.iteration == NDE_NEWTON_KRYLOV && !f->jvp))
        return nde_fail(NDE_E_NO_JVP, "%s: field '%s' has no jvp", who, nde_field_name(f));
    return NDE_OK;
}

nde_field nde_field_implicit(const nde_implicit *layer) {
    static const char who[] = "nde_field_implicit";
    const nde_field none = { .size = sizeof none };
    if (check(layer, who)) return none;
    nde_unknowns x = { .how = settled(layer), .field = layer->field };
    const nde_field *f = layer->field;
    const bool can_solve = x.how.linear == NDE_LINEAR_GMRES || f->jacobian || f->jvp;
    nde_field g = { .size = sizeof g, .name = "implicit", .ctx = layer, .dim = x.how.inputs ? x.how.inputs : f->dim,
                    .nu = f->nu - x.how.inputs, .out = f->dim, .tape = f->dim, .prepared = f->prepared,
                    .traits = f->traits & (NDE_AUTONOMOUS | NDE_LANEWISE), .eval = eval,
                    .vjp = f->vjp && can_solve ? vjp : NULL, .jvp = f->jvp && can_solve ? jvp : NULL,
                    .prepare = f->prepared ? prepare : NULL };
    for (int iterates = 0; iterates < 2; iterates++) {
        nde_rows_of_work w = { .ld = 1 };
        lay(&x, &w, iterates);
        if (w.overflow) g.work = SIZE_MAX;
        else if (w.used > g.work) g.work = w.used;
    }
    if (!nde_size_add(g.work, f->work, &g.work) || (f->np && !nde_size_add(f->p_first, f->np, &g.np)) ||
        (f->nq && !nde_size_add(f->q_first, f->nq, &g.nq)))
        return (void)nde_fail(NDE_E_SIZE, "%s: work, np or nq of field '%s' is too large", who, nde_field_name(f)), none;
    return nde_field_validate(&g, who) == NDE_OK ? g : none;
}

/* ---- without a solver ---- */

static nde_status status_of(unsigned char fate) {
    static const nde_status status[] = { [NDE_LIVES] = NDE_E_CONVERGENCE, [NDE_CONVERGED] = NDE_OK,
                                         [NDE_TOO_SLOW] = NDE_E_CONVERGENCE, [NDE_SINGULAR] = NDE_E_SINGULAR,
                                         [NDE_NOT_FINITE] = NDE_E_NONFINITE, [NDE_FIELD_FAILED] = NDE_E_FIELD,
                                         [NDE_STOPS] = NDE_STOPPED };
    return status[fate];
}

static void fill(const nde_unknowns *x, nde_implicit_report *report) {
    report->evaluations = x->evaluations;
    for (size_t b = 0; b < x->n; b++) {
        if (report->iterations) report->iterations[b] = (int32_t)x->steps[b];
        if (report->residual) report->residual[b] = (double)x->norm[b];
        if (report->status) report->status[b] = status_of(x->fate[b]);
    }
}

static nde_status solve(const char *who, const nde_field *self, const nde_call *call, const nde_real *y, nde_real *value,
                        nde_implicit_report *report) {
    nde_unknowns x = unknowns_of(self, &call->at, true);
    const int rc = iterate(&x, &call->at, y);
    if (rc) return nde_call_judge(who, x.field, call, rc);
    copy(x.dim, x.n, x.y, x.ld, value, x.ld);
    if (report) fill(&x, report);
    for (size_t b = 0; b < x.n; b++)
        if (x.fate[b] != NDE_CONVERGED)
            return nde_fail(NDE_E_LANES, "%s: lane %zu: %s after %d iterations, residual %g of the tolerance", who, b,
                            nde_status_text(status_of(x.fate[b])), (int)x.steps[b], (double)x.norm[b]);
    return NDE_OK;
}

nde_status nde_implicit_solve(const nde_implicit *layer, const nde_site *at, const nde_real *y, nde_real *value,
                              nde_implicit_report *report) {
    static const char who[] = "nde_implicit_solve";
    nde_implicit_report r;
    nde_call call;
    nde_status status = check(layer, who);
    if (status) return status;
    if (!value) return nde_fail(NDE_E_ARG, "%s: value is NULL", who);
    if (!nde_read_sized(&r, sizeof r, report, sizeof r))
        return nde_fail(NDE_E_ARG, "%s: report.size is %zu, this library knows %zu", who, report->size, sizeof r);
    const nde_field self = nde_field_implicit(layer);
    if (!self.eval) return NDE_E_SIZE;
    status = nde_call_begin(who, &self, at, y, false, &call);
    if (!status) status = solve(who, &self, &call, y, value, report);
    nde_call_end(&call);
    return status;
}
