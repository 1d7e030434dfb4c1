/* SPDX-License-Identifier: MIT
 * rosenbrock_one.h - the step of a Rosenbrock method for one trajectory of a plain problem, without a detour: the same bits as
 * that of rosenbrock.c. */
#ifndef NDE_METHOD_ROSENBROCK_ONE_H
#define NDE_METHOD_ROSENBROCK_ONE_H

#include "implicit/lu_one.h"
#include "method/one.h"

NDE_LU_INLINE int nde_rosenbrock_eval(const nde_rhs *rhs, nde_lanes *lanes, int i, double t, const nde_real *y, nde_real *k,
                                      nde_real *tape) {
    const nde_field *f = rhs->drift.field;
    nde_site *at = &lanes->site;
    lanes->scratch->t[0] = t;
    at->t = lanes->scratch->t, at->tape = f->tape ? tape : NULL, at->tape_ld = 1;
    k[0] = (nde_real)NAN; /* a field that writes nothing is seen */
    const int rc = f->eval(f, at, y, k);
    if (rc) lanes->scratch->stage = i;
    return rc;
}

/* J at the start of the step, where F is f. */
NDE_LU_INLINE int nde_rosenbrock_jacobian(const nde_rhs *rhs, const nde_jacobian *of, nde_lanes *lanes, double t,
                                          const nde_real *y, const nde_real *f) {
    nde_linear *l = lanes->scratch->linear;
    const nde_field *drift = rhs->drift.field;
    nde_site *at = &lanes->site;
    if (of->how != NDE_JACOBIAN_GIVEN) return nde_jacobian_eval(of, rhs, lanes, l, &t, y, f);
    lanes->scratch->t[0] = t;
    at->t = lanes->scratch->t, at->tape = NULL;
    return drift->jacobian(drift, at, y, l->j);
}

/* J, F_t and W there. */
NDE_LU_INLINE int nde_rosenbrock_linearise(const nde_rhs *rhs, const nde_table *table, nde_lanes *lanes, size_t dim, double t,
                                           double dt, nde_real h, const nde_real *y, const nde_real *f) {
    nde_linear *l = lanes->scratch->linear;
    const nde_jacobian *of = &table->jacobian;
    const nde_real gamma = (nde_real)table->method->gamma;
    int rc = nde_rosenbrock_jacobian(rhs, of, lanes, t, y, f);
    if (!rc && !rhs->autonomous) rc = nde_jacobian_eval_time(of, rhs, lanes, l, &t, &dt, y, f);
    if (rc) return rc;
    if (dim > NDE_LU_SMALL) return nde_lu_factor(rhs->kernels, &l->lu, 1, 1, &h, gamma, l->j);
    nde_lu_write_one(dim, 1, gamma*h, l->j, l->lu.a);
    nde_lu_factor_one(dim, l->lu.a, l->lu.p);
    return 0;
}

/* to = W^-1 gamma (f + sum_j coupling k_j + lift h F_t); `to` may be f. */
NDE_LU_INLINE void nde_rosenbrock_solve(const nde_rhs *rhs, const nde_table *table, const nde_linear *l, size_t dim,
                                        nde_real h, int i, const nde_real *f, const nde_real *k, nde_real *to) {
    const nde_row *row = &table->coupling[i];
    const nde_real by = (nde_real)table->method->gamma, up = rhs->autonomous ? 0 : (nde_real)table->method->lift[i];
    nde_real few[NDE_LU_SMALL] = { 0 }, *x = dim > NDE_LU_SMALL ? to : few;
    for (size_t e = 0; e < dim; e++) {
        nde_real sum = f[e];
        NDE_SCALAR_LOOP for (int j = 0; j < row->count; j++) sum += row->weight[j]*k[(size_t)row->index[j]*dim + e];
        if (up != 0) sum += up*h*l->f_t[e];
        x[e] = sum*by;
    }
    if (dim > NDE_LU_SMALL) {
        nde_lu_solve(rhs->kernels, &l->lu, 1, 1, x);
        return;
    }
    nde_lu_solve_one(dim, l->lu.a, l->lu.p, x);
    for (size_t e = 0; e < dim; e++) to[e] = x[e];
}

/* nde_body.attempt for the lanes of nde_is_one; slabs are dim apart. */
NDE_LU_INLINE int nde_rosenbrock_one(const nde_rhs *rhs, const nde_table *table, nde_lanes *lanes, size_t dim, double t,
                                     double t_new, double dt, const nde_real *y, nde_real *z, nde_real *k, nde_real *tape,
                                     size_t tape_slab) {
    const double *c = table->method->c;
    const nde_real h = (nde_real)dt;
    const int first = table->fsal, end = table->stages - first, last = table->stages - 1;
    nde_real *const Y = lanes->scratch->Y;
    const nde_linear *l = lanes->scratch->linear;
    bool known = false; /* the last slope */
    int rc = table->fsal ? 0 : nde_rosenbrock_eval(rhs, lanes, 0, t, y, k, tape);
    if (!rc) rc = nde_rosenbrock_linearise(rhs, table, lanes, dim, t, dt, h, y, k);
    for (int i = first; !rc && i < end; i++) {
        known = table->fsal && i == end - 1 && i > 1 && c[i] == 1;
        const int at = known ? last : i == first ? 0 : i;
        if (i > first) {
            nde_combine_one(dim, h, known ? &table->out[0] : &table->row[0][i], k, dim, y, known ? z : Y);
            rc = nde_rosenbrock_eval(rhs, lanes, i, c[i] == 1 ? t_new : t + c[i]*dt, known ? z : Y, k + (size_t)at*dim,
                                     tape ? tape + (size_t)at*tape_slab : NULL);
        }
        if (!rc) nde_rosenbrock_solve(rhs, table, l, dim, h, i, k + (size_t)at*dim, k, k + (size_t)i*dim);
    }
    if (rc || known) return rc;
    nde_combine_one(dim, h, &table->out[0], k, dim, y, z);
    return table->fsal ? nde_rosenbrock_eval(rhs, lanes, last, t_new, z, k + (size_t)last*dim,
                                             tape ? tape + (size_t)last*tape_slab : NULL) : 0;
}

#endif
