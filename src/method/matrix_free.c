/* SPDX-License-Identifier: MIT
 * matrix_free.c - W = I - gamma h J of a block of lanes without a matrix: GMRES from products with J at a point, and from those
 * with its transpose, preconditioned from the right by the caller. Rows are scaled by what is wanted of them, so that residuals
 * are compared as errors are; their transposes the other way round. Rows of the quadrature follow from those of the state.
 * Source: A. Hindmarsh and others, ACM Trans. Math. Softw. 31 (2005) 363-396, 2.1 (scaling). */
#include "core/isa.h"
#include "method/matrix_free.h"
#include "method/shared.h"

#include <math.h>
#include <string.h>

/* Of derivatives, and of the systems within an iteration that corrects what they leave. */
static const nde_real exact = sizeof(nde_real) == sizeof(double) ? (nde_real)1e-13 : (nde_real)1e-6;
static const nde_real rough = (nde_real)1e-3;

void nde_matrix_free_lay(nde_matrix_free *of, nde_arena *arena, const nde_rhs *r, size_t krylov, size_t ld) {
    const size_t real = sizeof(nde_real);
    size_t rows;
    if (!nde_size_multiply(r->dim, krylov + 1, &rows)) arena->overflow = true, rows = 0;
    of->basis = nde_arena_take_rows(arena, rows, ld, real);
    of->small = nde_arena_take_rows(arena, nde_gmres_rows(krylov), ld, real);
    of->scale = nde_arena_take_rows(arena, r->dim, ld, real);
    of->side = nde_arena_take_rows(arena, r->dim, ld, real);
    of->solution = nde_arena_take_rows(arena, r->dim, ld, real);
    of->v = nde_arena_take_rows(arena, r->dim, ld, real);
    of->u = nde_arena_take_rows(arena, r->rows, ld, real);
    of->product = nde_arena_take_rows(arena, r->rows, ld, real);
    of->goal = nde_arena_take(arena, ld, real);
    of->h = nde_arena_take(arena, ld, sizeof *of->h);
    of->products = nde_arena_take(arena, ld, sizeof *of->products);
}

static nde_matrix_free *free_of(const nde_attempt *s) { return &s->lanes->scratch->linear->free; }

void nde_matrix_free_aim(const nde_attempt *s, const double *t, const nde_real *y, nde_real *tape, bool turned) {
    const nde_real most = sizeof(nde_real) == sizeof(double) ? (nde_real)1e100 : (nde_real)1e18;
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, *who = s->lanes->site.index;
    nde_matrix_free *of = free_of(s);
    of->t = t, of->y = y, of->tape = tape, of->turned = turned, of->again = false;
    for (size_t b = 0; b < n; b++) of->h[b] = (double)(nde_real)s->table->method->gamma*s->dt[b];
    for (size_t r = 0; r < s->rhs->dim; r++)
        for (size_t b = 0; b < n; b++) {
            const double wanted = nde_newton_wanted(&s->table->newton, who[b], r, fabs((double)y[r*ld + b]));
            of->scale[r*ld + b] = wanted*(double)most > 1 ? (nde_real)(1/wanted) : most;
        }
}

/* ---- products -------------------------------------------------------------------------------- */

typedef struct product {
    const nde_attempt *s;
    bool transposed;
} product;

/* to = scale x, or x/scale. */
static void weigh(const nde_attempt *s, bool up, const nde_real *x, nde_real *to) {
    const size_t ld = s->lanes->site.ld;
    const nde_real *scale = free_of(s)->scale;
    for (size_t e = 0; e < s->rhs->dim*ld; e += ld)
        for (size_t b = 0; b < s->lanes->site.n; b++) to[e + b] = up ? scale[e + b]*x[e + b] : x[e + b]/scale[e + b];
}

/* u = what the caller makes of v for an approximate solution; its rows of the quadrature are 0. */
static int precondition(const nde_attempt *s, bool transposed) {
    const nde_preconditioner *by = &s->table->jacobian.preconditioner;
    const nde_site *at = &s->lanes->site;
    nde_matrix_free *of = free_of(s);
    const size_t dim = s->rhs->dim, ld = at->ld;
    memset(of->u + dim*ld, 0, (s->rhs->rows - dim)*ld*sizeof *of->u);
    if (!by->solve) {
        memcpy(of->u, of->v, dim*ld*sizeof *of->u);
        return 0;
    }
    const nde_preconditioner_site where = { .n = at->n, .ld = ld, .trajectory = at->index, .t = of->t, .h = of->h, .y = of->y,
                                            .worker = at->worker, .transposed = transposed, .again = of->again };
    of->again = true;
    return by->solve(by->ctx, &where, of->v, of->u);
}

/* product [rows] = J (h v), with the rows of the quadrature, v being overwritten; or [dim] = h J' u. */
static int multiply(const nde_attempt *s, bool transposed) {
    static const nde_source still;
    static const nde_sink nowhere;
    nde_matrix_free *of = free_of(s);
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, dim = s->rhs->dim;
    const bool turned = s->lanes->turned;
    nde_real *scaled = transposed ? of->product : of->v;
    int rc = 0;
    s->lanes->turned = of->turned;
    if (transposed) {
        memset(of->product, 0, dim*ld*sizeof *of->product);
        rc = nde_rhs_vjp(s->rhs, s->lanes, of->t, of->y, of->u, of->tape, ld, of->product, &nowhere);
    }
    for (size_t e = 0; e < dim*ld; e += ld)
        for (size_t b = 0; b < n; b++) scaled[e + b] *= (nde_real)of->h[b];
    if (!transposed) rc = nde_rhs_jvp(s->rhs, s->lanes, of->t, of->y, of->v, &still, of->product);
    s->lanes->turned = turned;
    return rc;
}

/* z = W M x of scaled rows, M being the preconditioner; or their transposes in its order. */
static int apply(const void *ctx, const nde_real *x, nde_real *z) {
    const product *p = ctx;
    const nde_attempt *s = p->s;
    nde_matrix_free *of = free_of(s);
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, dim = s->rhs->dim;
    weigh(s, p->transposed, x, of->v);
    int rc = precondition(s, p->transposed);
    memcpy(of->v, of->u, dim*ld*sizeof *of->v);
    if (!rc) rc = multiply(s, p->transposed);
    if (rc) return rc;
    for (size_t e = 0; e < dim*ld; e += ld)
        for (size_t b = 0; b < n; b++) z[e + b] = of->u[e + b] - of->product[e + b];
    weigh(s, !p->transposed, z, z);
    return 0;
}

/* ---- systems --------------------------------------------------------------------------------- */

/* The part of a that comes through the quadrature. */
static int gather_quadrature(const nde_attempt *s, nde_real *a) {
    nde_matrix_free *of = free_of(s);
    const size_t ld = s->lanes->site.ld, dim = s->rhs->dim;
    if (!s->rhs->nz) return 0;
    memset(of->u, 0, dim*ld*sizeof *of->u);
    memcpy(of->u + dim*ld, a + dim*ld, s->rhs->nz*ld*sizeof *of->u);
    const int rc = multiply(s, true);
    if (!rc) nde_add_rows(s, dim, of->product, a);
    return rc;
}

/* The part of the quadrature that comes of x. */
static int spread_quadrature(const nde_attempt *s, nde_real *x) {
    nde_matrix_free *of = free_of(s);
    const size_t ld = s->lanes->site.ld, dim = s->rhs->dim;
    if (!s->rhs->nz) return 0;
    memcpy(of->v, x, dim*ld*sizeof *x);
    const int rc = multiply(s, false);
    if (!rc) nde_add_rows(s, s->rhs->nz, of->product + dim*ld, x + dim*ld);
    return rc;
}

static int solve(const nde_attempt *s, bool transposed, nde_real goal, size_t most, nde_real *x) {
    nde_matrix_free *of = free_of(s);
    const size_t n = s->lanes->site.n, ld = s->lanes->site.ld, dim = s->rhs->dim;
    const product p = { .s = s, .transposed = transposed };
    const nde_gmres gmres = { .dim = dim, .n = n, .ld = ld, .memory = s->table->jacobian.krylov, .most = most,
                              .apply = apply, .ctx = &p, .basis = of->basis, .small = of->small, .products = of->products };
    int rc = transposed ? gather_quadrature(s, x) : 0;
    for (size_t b = 0; b < n; b++) of->goal[b] = goal;
    weigh(s, !transposed, x, of->side);
    if (!rc) rc = nde_gmres_solve(&gmres, of->side, of->goal, of->solution);
    weigh(s, transposed, of->solution, of->v);
    if (!rc) rc = precondition(s, transposed);
    memcpy(x, of->u, dim*ld*sizeof *x);
    return rc || transposed ? rc : spread_quadrature(s, x);
}

int nde_matrix_free_improve(const nde_attempt *s, nde_real *x) {
    return solve(s, false, rough, 10*s->table->jacobian.krylov, x);
}

int nde_matrix_free_solve(const nde_attempt *s, bool transposed, nde_real *x) {
    nde_matrix_free *of = free_of(s);
    const size_t ld = s->lanes->site.ld;
    const int rc = solve(s, transposed, exact, 50*s->rhs->dim + 500, x);
    for (size_t b = 0; !rc && b < s->lanes->site.n; b++)
        for (size_t e = b; !(of->goal[b] <= exact) && e < s->rhs->rows*ld; e += ld) x[e] = (nde_real)NAN;
    return rc;
}
