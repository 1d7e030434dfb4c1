/* SPDX-License-Identifier: MIT
 * one.h - the step of one trajectory of a plain problem, without a detour: half of a small step is the way to its field. */
#ifndef NDE_METHOD_ONE_H
#define NDE_METHOD_ONE_H

#include <math.h>

#include "core/one.h"
#include "method/body.h"

static inline bool nde_is_one(const nde_rhs *rhs, const nde_table *table, const nde_lanes *lanes) {
    return lanes->site.ld == 1 && rhs->plain && table->split == rhs->dim;
}

/* nde_body.attempt for the lanes of nde_is_one; dim: that of the problem, perhaps known when it is compiled. */
static inline __attribute__((always_inline)) int nde_attempt_one(const nde_rhs *rhs, const nde_table *table, nde_lanes *lanes, size_t dim,
                                                                 double t, double t_new, double dt, const nde_real *y, nde_real *z,
                                                                 nde_real *k, size_t slab, nde_real *tape, size_t tape_slab) {
    const nde_row *row = table->row[0];
    const double *c = table->method->c;
    const nde_real h = (nde_real)dt;
    nde_site *at = &lanes->site;
    const nde_field *f = rhs->drift.field;
    double *time = lanes->scratch->t;
    const int last = table->stages - 1, first = table->fsal ? 1 : 0;
    nde_real *Y = lanes->scratch->Y, *ki = k + (size_t)first*slab;
    at->tape_ld = 1;
    at->tape = NULL;
    at->t = time;
    if (!f->tape) tape = NULL;
    for (int i = first; i <= last; i++, ki += slab) {
        if (i == last && table->last_is_new) Y = z;
        nde_combine_one(dim, h, row + i, k, slab, y, Y);
        time[0] = c[i] == 1 ? t_new : t + c[i]*dt;
        if (tape) at->tape = tape + (size_t)i*tape_slab;
        ki[0] = (nde_real)NAN; /* a field that writes nothing is seen */
        const int rc = f->eval(f, at, Y, ki);
        if (rc) return lanes->scratch->stage = i, rc;
    }
    if (!table->last_is_new) nde_combine_one(dim, h, &table->out[0], k, slab, y, z);
    return 0;
}

#endif
