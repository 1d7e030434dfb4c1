/* SPDX-License-Identifier: MIT
 * linear.c - systems with the Jacobian J of the residual of an equation, or its transpose: by LU of the dense matrix, or
 * by GMRES from jvp and vjp. */
#include "implicit/layer.h"
#include "implicit/lu.h"

#include <math.h>
#include <string.h>

/* ---- dense: a matrix of each lane by columns, as lu.h has them ---- */

static nde_real *matrix(const nde_unknowns *x, size_t b) { return x->matrix + b*x->dim*x->dim; }

static const nde_lu_kernels *kernels_of(const nde_unknowns *x) {
    const nde_kernels *given = x->site.kernels;
    return (given ? given : nde_kernels_get(NDE_ISA_AUTO, false))->lu;
}

/* The matrix that `j` [dim][dim][ld] is in lane b; less 1 for a fixed point. */
static void write(const nde_unknowns *x, const nde_real *j, size_t b) {
    nde_real *a = matrix(x, b);
    for (size_t column = 0; column < x->dim; column++)
        for (size_t row = 0; row < x->dim; row++)
            *a++ = j[(row*x->dim + column)*x->ld + b] - (row == column && !x->how.root ? 1 : 0);
}

static void factor(const nde_unknowns *x, const nde_real *j) {
    const nde_lu_kernels *use = kernels_of(x);
    for (size_t b = 0; b < x->n; b++) write(x, j, b), use->factor(x->dim, matrix(x, b), x->pivot + b*x->dim);
}

/* One lane after the other. */
static void substitute(const nde_unknowns *x, bool transposed, const nde_real *z, nde_real *to) {
    const nde_lu_kernels *use = kernels_of(x);
    nde_real *one = x->column;
    for (size_t b = 0; b < x->n; b++) {
        for (size_t i = 0; i < x->dim; i++) one[i] = z[i*x->ld + b];
        (transposed ? use->transpose : use->solve)(x->dim, matrix(x, b), x->pivot + b*x->dim, one);
        for (size_t i = 0; i < x->dim; i++) to[i*x->ld + b] = one[i];
    }
}

/* dF/dy by directions. */
static int by_directions(nde_unknowns *x, const nde_real *y, nde_real *j) {
    nde_real *e = x->direction, *column = x->trial_residual;
    memset(e, 0, x->dim*x->ld*sizeof *e);
    for (size_t k = 0; k < x->dim; k++) {
        for (size_t b = 0; b < x->n; b++) e[k*x->ld + b] = 1;
        const int rc = x->field->jvp(x->field, &x->site, y, &(nde_tangent){ .y = e }, column);
        if (rc) return rc;
        for (size_t i = 0; i < x->dim; i++) memcpy(j + (i*x->dim + k)*x->ld, column + i*x->ld, x->n*sizeof *e);
        for (size_t b = 0; b < x->n; b++) e[k*x->ld + b] = 0;
    }
    return 0;
}

/* ---- products ---- */

typedef struct product {
    nde_unknowns *x;
    const nde_real *y;
    bool transposed;
} product;

static int apply(const void *ctx, const nde_real *v, nde_real *z) {
    const product *p = ctx;
    nde_unknowns *x = p->x;
    nde_site site = x->site;
    int rc;
    if (p->transposed) {
        site.tape = x->tape, site.tape_ld = x->ld;
        memset(z, 0, x->dim*x->ld*sizeof *z);
        rc = x->field->vjp(x->field, &site, p->y, v, &(nde_cotangent){ .y = z });
    } else rc = x->field->jvp(x->field, &site, p->y, &(nde_tangent){ .y = v }, z);
    for (size_t i = 0; i < x->dim*x->ld && !x->how.root; i += x->ld) NDE_LANES(b, x->n) z[i + b] -= v[i + b];
    return rc;
}

/* ---- either ---- */

int nde_unknowns_factor(nde_unknowns *x, const nde_real *y, bool transposed) {
    const nde_field *f = x->field;
    if (!x->matrix) {
        nde_site site = x->site;
        site.tape = x->tape, site.tape_ld = x->ld;
        return transposed && x->tape ? f->eval(f, &site, y, x->trial_residual) : 0;
    }
    const int rc = f->jacobian ? f->jacobian(f, &x->site, y, x->jacobian) : by_directions(x, y, x->jacobian);
    if (!rc) factor(x, x->jacobian);
    return rc;
}

int nde_unknowns_solve(nde_unknowns *x, const nde_real *y, bool transposed, nde_real *goal, nde_real *b, nde_real *solution) {
    if (x->matrix) {
        substitute(x, transposed, b, solution);
        return 0;
    }
    const product p = { .x = x, .y = y, .transposed = transposed };
    const nde_gmres gmres = { .dim = x->dim, .n = x->n, .ld = x->ld, .memory = x->memory, .most = 50*x->dim + 500,
                              .apply = apply, .ctx = &p, .basis = x->history, .small = x->small };
    nde_real *reached = goal ? goal : x->goal;
    for (size_t l = 0; l < x->n && !goal; l++) reached[l] = (nde_real)x->how.linear_rtol;
    const int rc = nde_gmres_solve(&gmres, b, reached, solution);
    for (size_t l = 0; l < x->n && !goal && !rc; l++)
        for (size_t i = 0; i < x->dim && !(reached[l] <= (nde_real)x->how.linear_rtol); i++)
            solution[i*x->ld + l] = (nde_real)NAN;
    return rc;
}
