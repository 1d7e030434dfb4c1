/* SPDX-License-Identifier: MIT
 * jacobian.c - the Jacobian of a block of lanes: as the field gives it, direction by direction, or by differences; and the
 * slope by time. Directions carry all columns of a colour. */
#include "method/jacobian.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "field/parts.h"

/* Of what a difference of reals is lost in. */
static double unit(void) { return sizeof(nde_real) == sizeof(double) ? DBL_EPSILON : (double)FLT_EPSILON; }

/* ---- how ------------------------------------------------------------------------------------- */

static const nde_part *part_of(const nde_jacobian *of, const nde_rhs *r) { return of->second ? &r->second : &r->drift; }

/* The first field of those with a part in it that lacks something. Noise has none. */
static const nde_field *lacking(const nde_jacobian *of, const nde_rhs *r, bool (*lacks)(const nde_field *)) {
    const nde_field *f = part_of(of, r)->field;
    if (f && lacks(f)) return f;
    for (size_t k = 0; k < r->problem.n_terms; k++)
        if (!r->problem.terms[k].noise && lacks(r->term[k].field)) return r->term[k].field;
    return r->quadrature.field && lacks(r->quadrature.field) ? r->quadrature.field : NULL;
}
static bool lacks_jvp(const nde_field *f) { return !f->jvp; }
static bool lacks_jacobian(const nde_field *f) { return !f->jacobian; }

/* Is it that of one field? What else has a part in it; NULL: nothing has. */
static const char *company(const nde_jacobian *of, const nde_rhs *r) {
    for (size_t k = 0; k < r->problem.n_terms; k++)
        if (!r->problem.terms[k].noise) return "terms";
    return r->correction != 0 ? "options.convert" : part_of(of, r)->field ? NULL : "terms";
}

/* Why W cannot be kept by its non-zeros; NULL: it can. */
static const char *denied(const nde_jacobian *of, const nde_rhs *r, int asked) {
    const nde_field *f = part_of(of, r)->field;
    const char *with = company(of, r);
    return with                  ? with
           : r->nz               ? "a quadrature"
           : !f->sparsity_start  ? "a field that has no sparsity"
           : asked == NDE_JACOBIAN_GIVEN ? "options.jacobian NDE_JACOBIAN_GIVEN, which is dense"
           : asked != NDE_JACOBIAN_DIFFERENCES && !f->jvp ? "a field that has no jvp"
                                                          : NULL;
}

static nde_status choose_form(nde_jacobian *of, const nde_rhs *r, int asked, int linear, const nde_allocator *memory) {
    const nde_field *f = part_of(of, r)->field;
    const char *with = denied(of, r, asked);
    of->form = (nde_form){ .kind = NDE_LINEAR_DENSE, .dim = r->dim };
    if (linear < NDE_LINEAR_AUTO || linear > NDE_LINEAR_SPARSE)
        return nde_fail(NDE_E_ARG, "options.linear is %d", linear);
    if (linear == NDE_LINEAR_GMRES) return NDE_OK;
    if (with) return linear < NDE_LINEAR_BAND ? NDE_OK : nde_fail(NDE_E_ARG, "options.linear is %d: not with %s", linear, with);
    return nde_form_choose(&of->form, memory, r->dim, f->sparsity_start, f->sparsity_index, linear);
}

nde_status nde_jacobian_choose(nde_jacobian *of, const nde_rhs *r, int asked, int linear, const nde_allocator *memory) {
    const nde_field *no_jvp = lacking(of, r, lacks_jvp), *no_jacobian = lacking(of, r, lacks_jacobian);
    const char *with = company(of, r);
    if (asked < NDE_JACOBIAN_AUTO || asked > NDE_JACOBIAN_DIFFERENCES)
        return nde_fail(NDE_E_ARG, "options.jacobian is %d", asked);
    const nde_status bad = choose_form(of, r, asked, linear, memory);
    if (bad) return bad;
    const bool given = !no_jacobian && !with, dense = of->form.kind == NDE_LINEAR_DENSE;
    of->how = asked != NDE_JACOBIAN_AUTO ? asked : given && dense ? NDE_JACOBIAN_GIVEN : NDE_JACOBIAN_JVP;
    of->timed = !no_jvp && of->how != NDE_JACOBIAN_DIFFERENCES;
    if (of->how == NDE_JACOBIAN_GIVEN && !given)
        return no_jacobian ? nde_fail(NDE_E_ARG, "options.jacobian is %d: field '%s' has no jacobian", asked,
                                      nde_field_name(no_jacobian))
                           : nde_fail(NDE_E_ARG, "options.jacobian is %d: not with %s", asked, with);
    const nde_field *no_second = r->correction != 0 ? nde_rhs_without_second(r) : NULL;
    if (of->how == NDE_JACOBIAN_JVP && !no_jvp && no_second)
        return nde_fail(NDE_E_NO_VJP,
                        "field '%s' has no vjp_jvp, which a Jacobian with options.convert needs: options.jacobian can be "
                        "NDE_JACOBIAN_DIFFERENCES", nde_field_name(no_second));
    if (of->how == NDE_JACOBIAN_JVP && no_jvp)
        return nde_fail(NDE_E_NO_JVP,
                        "field '%s' has neither jacobian nor jvp: options.jacobian can be NDE_JACOBIAN_DIFFERENCES",
                        nde_field_name(no_jvp));
    return NDE_OK;
}

void nde_jacobian_lay(nde_jacobian *of, nde_arena *arena, const nde_rhs *r) {
    const nde_field *f = part_of(of, r)->field;
    if (of->krylov) return;
    const bool sparse = of->how != NDE_JACOBIAN_GIVEN && !company(of, r) && !r->nz && f->sparsity_start;
    const bool by_rows = of->form.kind != NDE_LINEAR_DENSE && r->autonomous;
    const size_t n = sparse ? r->dim : 0, nonzeros = sparse ? f->sparsity_start[n] : 0;
    of->colours = of->row_colours = r->dim;
    of->colour = nde_arena_take(arena, n, sizeof *of->colour);
    of->row_colour = nde_arena_take(arena, by_rows ? n : 0, sizeof *of->row_colour);
    size_t *start = nde_arena_take(arena, sparse ? n + 1 : 0, sizeof *start),
        *row = nde_arena_take(arena, nonzeros, sizeof *row);
    unsigned char *taken = nde_arena_take(arena, n, 1);
    if (of->colour && taken) {
        of->start = f->sparsity_start, of->index = f->sparsity_index;
        nde_sparsity_columns(n, of->start, of->index, start, row);
        of->colours = nde_colour_columns(n, start, row, of->colour, taken);
        if (of->row_colour) of->row_colours = nde_colour_columns(n, of->start, of->index, of->row_colour, taken);
    }
    nde_form_lay(&of->form, arena, start, row);
}

int nde_jacobian_evaluations(const nde_jacobian *of, const nde_rhs *r) {
    return (of->how == NDE_JACOBIAN_DIFFERENCES ? (int)of->colours : 0) + (!of->timed && !r->autonomous ? 2 : 0);
}

static size_t entries_of(const nde_jacobian *of, const nde_rhs *r, nde_arena *arena) {
    size_t entries = of->form.nonzeros;
    if (of->krylov) return 0;
    if (of->form.kind == NDE_LINEAR_DENSE && !nde_size_multiply(r->rows, r->dim, &entries)) arena->overflow = true, entries = 0;
    return entries;
}

void nde_linear_lay(nde_linear *of, nde_arena *arena, const nde_rhs *r, const nde_jacobian *jacobian, size_t ld) {
    const size_t real = sizeof(nde_real);
    of->j = nde_arena_take_rows(arena, entries_of(jacobian, r, arena), ld, real);
    of->f_t = nde_arena_take_rows(arena, r->rows, ld, real);
    of->v = nde_arena_take_rows(arena, r->dim, ld, real);
    of->dv = nde_arena_take_rows(arena, r->rows, ld, real);
    of->t = nde_arena_take(arena, ld, sizeof *of->t);
    if (!jacobian->krylov) nde_lu_lay_as(&of->lu, arena, &jacobian->form, ld);
    else nde_lu_lay(&of->lu, arena, 0, ld), nde_matrix_free_lay(&of->free, arena, r, jacobian->krylov, ld);
}

void nde_linear_lay_newton(nde_linear *of, nde_arena *arena, size_t ld) {
    of->fate = nde_arena_take(arena, ld, sizeof *of->fate);
    of->iterations = nde_arena_take(arena, ld, sizeof *of->iterations);
    of->size = nde_arena_take(arena, ld, sizeof *of->size);
    of->before = nde_arena_take(arena, ld, sizeof *of->before);
    of->eta = nde_arena_take(arena, ld, sizeof *of->eta);
    of->change = nde_arena_take(arena, ld, sizeof *of->change);
    of->most = nde_arena_take(arena, ld, sizeof *of->most);
}

void nde_linear_lay_stages(nde_linear *of, nde_arena *arena, const nde_rhs *r, size_t stages, size_t ld, bool sweeps) {
    size_t entries, rows, dims;
    if (!nde_size_multiply(r->rows, stages, &rows) || !nde_size_multiply(r->dim, stages, &dims) ||
        !nde_size_multiply(rows, r->dim, &entries))
        arena->overflow = true, rows = dims = entries = 0;
    nde_lu_lay(&of->pair, arena, dims/stages*2, ld);
    nde_lu_lay(&of->whole, arena, sweeps ? dims : 0, ld);
    of->j_each = nde_arena_take_rows(arena, sweeps ? entries : 0, ld, sizeof *of->j_each);
    of->rest = nde_arena_take_rows(arena, rows, ld, sizeof *of->rest);
    of->part = nde_arena_take_rows(arena, dims, ld, sizeof *of->part);
    of->given = nde_arena_take_rows(arena, sweeps ? rows : 0, ld, sizeof *of->given);
}

void nde_linear_lay_tangents(nde_linear *of, nde_arena *arena, const nde_rhs *r, const nde_jacobian *jacobian, size_t ld) {
    of->v_j = nde_arena_take_rows(arena, entries_of(jacobian, r, arena), ld, sizeof *of->v_j);
    of->v_f_t = nde_arena_take_rows(arena, r->rows, ld, sizeof *of->v_f_t);
}

/* ---- by the state ---------------------------------------------------------------------------- */

static int ask(const nde_rhs *r, nde_lanes *lanes, const nde_part *part, const double *t, const nde_real *y, nde_real *j) {
    nde_site at = nde_rhs_site(r, lanes, part, NULL, 0);
    at.t = t, at.u = part->field->nu ? lanes->scratch->u : NULL;
    return part->field->jacobian(part->field, &at, y, j);
}

static int ask_all(const nde_jacobian *of, const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y,
                   nde_real *j) {
    nde_rhs_inputs(r, lanes, t);
    const int rc = ask(r, lanes, part_of(of, r), t, y, j);
    return rc || !r->nz ? rc : ask(r, lanes, &r->quadrature, t, y, j + r->dim*r->dim*lanes->site.ld);
}

static bool has_colour(const nde_jacobian *of, size_t column, size_t colour) {
    return (of->colour ? of->colour[column] : column) == colour;
}

/* The step of a difference along component i. Source: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II
 * (1996), IV.8. */
static nde_real nudge(nde_real y) { return (nde_real)sqrt(unit()*fmax(1e-5, fabs((double)y))); }

/* v: 1 in the columns of a colour; or y, moved there. */
static void aim(const nde_jacobian *of, const nde_rhs *r, const nde_lanes *lanes, size_t colour, const nde_real *y,
                nde_real *v) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    const bool moved = of->how == NDE_JACOBIAN_DIFFERENCES;
    for (size_t i = 0; i < r->dim; i++, v += ld, y += ld) {
        const bool here = has_colour(of, i, colour);
        for (size_t b = 0; b < n; b++) v[b] = moved ? y[b] + (here ? nudge(y[b]) : 0) : here;
    }
}

/* An entry of dv in the column that it belongs to. */
static void put(const nde_lanes *lanes, const nde_real *dv, nde_real *j) {
    memcpy(j, dv, lanes->site.n*sizeof *j);
}

/* Columns of a colour. */
static void spread(const nde_jacobian *of, const nde_rhs *r, const nde_lanes *lanes, size_t colour, const nde_real *dv,
                   nde_real *j) {
    const size_t ld = lanes->site.ld;
    const bool dense = of->form.kind == NDE_LINEAR_DENSE;
    for (size_t i = 0; i < r->rows; i++, dv += ld) {
        if (!of->colour) put(lanes, dv, j + (i*r->dim + colour)*ld);
        for (size_t e = of->colour ? of->start[i] : 1, end = of->colour ? of->start[i + 1] : 0; e < end; e++)
            if (of->colour[of->index[e]] == colour) put(lanes, dv, j + (dense ? i*r->dim + of->index[e] : e)*ld);
    }
}

/* j of differences: of the slopes, by that of the states. */
static void divide(const nde_jacobian *of, const nde_rhs *r, const nde_lanes *lanes, const nde_real *y, nde_real *j) {
    const size_t n = lanes->site.n, ld = lanes->site.ld, dim = r->dim;
    for (size_t i = 0; i < r->rows; i++)
        for (size_t e = nde_row_start(of, dim, i), end = nde_row_start(of, dim, i + 1); e < end; e++, j += ld) {
            const nde_real *at = y + nde_column_of(of, dim, i, e)*ld;
            for (size_t b = 0; b < n; b++) j[b] /= (at[b] + nudge(at[b])) - at[b];
        }
}

static void subtract(const nde_rhs *r, const nde_lanes *lanes, const nde_real *f, nde_real *dv) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    for (size_t i = 0; i < r->rows*ld; i += ld)
        for (size_t b = 0; b < n; b++) dv[i + b] -= f[i + b];
}

int nde_jacobian_eval(const nde_jacobian *of, const nde_rhs *r, nde_lanes *lanes, nde_linear *l, const double *t,
                      const nde_real *y, const nde_real *f) {
    static const nde_source still;
    const bool moved = of->how == NDE_JACOBIAN_DIFFERENCES;
    if (of->how == NDE_JACOBIAN_GIVEN) return ask_all(of, r, lanes, t, y, l->j);
    if (of->colour && of->form.kind == NDE_LINEAR_DENSE) memset(l->j, 0, r->rows*r->dim*lanes->site.ld*sizeof *l->j);
    for (size_t colour = 0; colour < of->colours; colour++) {
        aim(of, r, lanes, colour, y, l->v);
        const int rc = moved ? nde_rhs_eval(r, lanes, t, l->v, l->dv, NULL, 0) : nde_rhs_jvp(r, lanes, t, y, l->v, &still,
                l->dv);
        if (rc) return rc;
        if (moved) subtract(r, lanes, f, l->dv);
        spread(of, r, lanes, colour, l->dv, l->j);
    }
    if (moved) divide(of, r, lanes, y, l->j);
    return 0;
}

/* ---- by time --------------------------------------------------------------------------------- */

/* Times `count` nudges into the step from t. */
static void shift(const nde_lanes *lanes, const double *t, const double *dt, int count, double *to) {
    for (size_t b = 0; b < lanes->site.n; b++) {
        const double once = (t[b] + cbrt(unit())*dt[b]) - t[b];
        to[b] = t[b] + count*once;
    }
}

/* Of second order, from F(t), F(t + e), F(t + 2 e). */
static int differ(const nde_rhs *r, nde_lanes *lanes, nde_linear *l, const double *t, const double *dt, const nde_real *y,
                  const nde_real *f) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    shift(lanes, t, dt, 1, l->t);
    int rc = nde_rhs_eval(r, lanes, l->t, y, l->f_t, NULL, 0);
    shift(lanes, t, dt, 2, l->t);
    if (!rc) rc = nde_rhs_eval(r, lanes, l->t, y, l->dv, NULL, 0);
    for (size_t i = 0; !rc && i < r->rows*ld; i += ld)
        for (size_t b = 0; b < n; b++) {
            const double e = l->t[b] - t[b];
            l->f_t[i + b] = e != 0 ? (nde_real)((4*(double)l->f_t[i + b] - (double)l->dv[i + b] - 3*(double)f[i + b])/e) : 0;
        }
    return rc;
}

int nde_jacobian_eval_time(const nde_jacobian *of, const nde_rhs *r, nde_lanes *lanes, nde_linear *l, const double *t,
                           const double *dt, const nde_real *y, const nde_real *f) {
    const size_t n = lanes->site.n;
    if (!of->timed) return differ(r, lanes, l, t, dt, y, f);
    const nde_source source = { .t = l->t };
    for (size_t b = 0; b < n; b++) l->t[b] = 1;
    return nde_rhs_jvp(r, lanes, t, y, NULL, &source, l->f_t);
}

void nde_jacobian_apply(const nde_jacobian *of, const nde_rhs *r, const nde_lanes *lanes, const nde_real *j, const nde_real *x,
                        nde_real *to) {
    const size_t n = lanes->site.n, ld = lanes->site.ld, dim = r->dim;
    for (size_t i = 0; i < r->rows; i++, to += ld) {
        memset(to, 0, n*sizeof *to);
        for (size_t e = nde_row_start(of, dim, i), end = nde_row_start(of, dim, i + 1); e < end; e++, j += ld) {
            const nde_real *from = x + nde_column_of(of, dim, i, e)*ld;
            for (size_t b = 0; b < n; b++) to[b] += j[b]*from[b];
        }
    }
}
