/* SPDX-License-Identifier: MIT
 * linear.c - systems with the Jacobian J of the residual of an equation, or its transpose: by LU of the dense matrix, or by GMRES
 * from jvp and vjp. */
#include "implicit/layer.h"

#include <math.h>
#include <string.h>

/* ---- dense ---- */

static nde_real *element(const nde_unknowns *x, size_t i, size_t j) { return x->matrix + (i*x->dim + j)*x->ld; }

static void swap(const nde_unknowns *x, size_t i, size_t k, size_t b) {
    for (size_t j = 0; j < x->dim; j++) {
        const nde_real keep = element(x, i, j)[b];
        element(x, i, j)[b] = element(x, k, j)[b], element(x, k, j)[b] = keep;
    }
}

static void factor(const nde_unknowns *x) {
    for (size_t k = 0; k < x->dim; k++) {
        for (size_t b = 0; b < x->n; b++) {
            size_t best = k;
            for (size_t i = k + 1; i < x->dim; i++)
                if (fabs((double)element(x, i, k)[b]) > fabs((double)element(x, best, k)[b])) best = i;
            x->pivot[k*x->ld + b] = (nde_real)best;
            if (best != k) swap(x, k, best, b);
        }
        for (size_t i = k + 1; i < x->dim; i++) {
            nde_real *l = element(x, i, k);
            NDE_LANES(b, x->n) l[b] /= element(x, k, k)[b];
            for (size_t j = k + 1; j < x->dim; j++) NDE_LANES(b, x->n) element(x, i, j)[b] -= l[b]*element(x, k, j)[b];
        }
    }
}

static void exchange(const nde_unknowns *x, size_t k, nde_real *z) {
    for (size_t b = 0; b < x->n; b++) {
        const size_t i = (size_t)x->pivot[k*x->ld + b];
        const nde_real keep = z[k*x->ld + b];
        z[k*x->ld + b] = z[i*x->ld + b], z[i*x->ld + b] = keep;
    }
}

/* z -= element(i, j) of the factors, or of their transposes, times row j of z. */
static void eliminate(const nde_unknowns *x, size_t i, size_t j, bool transposed, nde_real *z) {
    const nde_real *e = transposed ? element(x, j, i) : element(x, i, j);
    NDE_LANES(b, x->n) z[i*x->ld + b] -= e[b]*z[j*x->ld + b];
}
static void divide(const nde_unknowns *x, size_t i, nde_real *z) {
    NDE_LANES(b, x->n) z[i*x->ld + b] /= element(x, i, i)[b];
}

static void substitute(const nde_unknowns *x, bool transposed, nde_real *z) {
    for (size_t k = 0; k < x->dim && !transposed; k++) exchange(x, k, z);
    for (size_t i = 0; i < x->dim; i++) {
        for (size_t j = 0; j < i; j++) eliminate(x, i, j, transposed, z);
        if (transposed) divide(x, i, z);
    }
    for (size_t i = x->dim; i-- > 0;) {
        for (size_t j = i + 1; j < x->dim; j++) eliminate(x, i, j, transposed, z);
        if (!transposed) divide(x, i, z);
    }
    for (size_t k = x->dim; k-- > 0 && transposed;) exchange(x, k, z);
}

/* dF/dy by directions. */
static int by_directions(nde_unknowns *x, const nde_real *y) {
    nde_real *e = x->direction, *column = x->trial_residual;
    memset(e, 0, x->dim*x->ld*sizeof *e);
    for (size_t j = 0; j < x->dim; j++) {
        for (size_t b = 0; b < x->n; b++) e[j*x->ld + b] = 1;
        const int rc = x->field->jvp(x->field, &x->site, y, &(nde_tangent){ .y = e }, column);
        if (rc) return rc;
        for (size_t i = 0; i < x->dim; i++) memcpy(element(x, i, j), column + i*x->ld, x->n*sizeof *e);
        for (size_t b = 0; b < x->n; b++) e[j*x->ld + b] = 0;
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
    const int rc = f->jacobian ? f->jacobian(f, &x->site, y, x->matrix) : by_directions(x, y);
    for (size_t i = 0; i < x->dim && !x->how.root; i++) NDE_LANES(b, x->n) element(x, i, i)[b] -= 1;
    factor(x);
    return rc;
}

int nde_unknowns_solve(nde_unknowns *x, const nde_real *y, bool transposed, nde_real *goal, nde_real *b, nde_real *solution) {
    if (x->matrix) {
        substitute(x, transposed, b);
        memcpy(solution, b, x->dim*x->ld*sizeof *b);
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
