/* SPDX-License-Identifier: MIT
 * steady.c - the distance of a state from rest, as a field of one row: for events that end a trajectory there. */
#include "field/parts.h"

#include <math.h>

/* The field's value goes to the first rows of work. */
static size_t own_rows(const nde_field *field) { return nde_aligned_rows(field->out); }

static int eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *g) {
    const nde_steady *steady = self->ctx;
    const nde_field *f = steady->field;
    const nde_site site = nde_part_site(f, at, (nde_slice){ .work = own_rows(f) });
    nde_real *value = at->work;
    const int rc = f->eval(f, &site, y, value);
    if (rc) return rc;
    for (size_t b = 0; b < at->n; b++) {
        double sum = 0;
        for (size_t i = b; i < f->out*at->ld; i += at->ld) {
            const double x = (double)value[i]/(steady->atol + steady->rtol*fabs((double)y[i]));
            sum += x*x;
        }
        g[b] = (nde_real)(sqrt(sum/(double)f->out) - 1);
    }
    return NDE_FIELD_OK;
}

static int prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    const nde_steady *steady = self->ctx;
    return nde_part_prepare(steady->field, p, &prepared);
}

nde_field nde_field_steady(const nde_steady *steady) {
    const nde_field none = { .size = sizeof none };
    if (!steady || !steady->field) {
        (void)nde_fail(NDE_E_ARG, "nde_field_steady: %s is NULL", steady ? "field" : "steady");
        return none;
    }
    const nde_field *f = steady->field;
    if (nde_field_validate(f, "nde_field_steady: field")) return none;
    if (f->out != f->dim || !(steady->rtol >= 0) || !(steady->atol >= 0) || !(steady->rtol + steady->atol > 0)) {
        (void)nde_fail(NDE_E_ARG, "nde_field_steady: rtol is %g, atol %g, out %zu of dim %zu", steady->rtol, steady->atol,
                       f->out, f->dim);
        return none;
    }
    nde_field g = { .size = sizeof g, .name = "steady", .ctx = steady, .dim = f->dim, .nu = f->nu, .out = 1,
                    .traits = f->traits, .prepared = f->prepared, .prepare = f->prepared ? prepare : NULL, .eval = eval };
    if (!nde_size_add(f->work, own_rows(f), &g.work) || (f->np && !nde_size_add(f->p_first, f->np, &g.np)) ||
        (f->nq && !nde_size_add(f->q_first, f->nq, &g.nq))) {
        (void)nde_fail(NDE_E_SIZE, "nde_field_steady: work, np or nq of field '%s' is too large", nde_field_name(f));
        return none;
    }
    g.traits &= ~NDE_LINEAR_IN_U;
    return g;
}
