/* SPDX-License-Identifier: MIT
 * flow.c - the mean slope of a flow that is known: F = (phi(t, y, u) - y)/tau with tau the last row of u.
 * In work, before phi's own: a/tau, and the value that a derivative by tau needs. */
#include "field/parts.h"

#include <string.h>

static size_t own_rows(const nde_field *phi) { return nde_aligned_rows(2*phi->out); }

static nde_site inner(const nde_field *phi, const nde_site *at) {
    return nde_part_site(phi, at, (nde_slice){ .work = own_rows(phi) });
}

static const nde_real *length(const nde_field *phi, const nde_site *at) { return at->u + (phi->nu - 1)*at->ld; }

static int eval(const nde_field *self, const nde_site *at, const nde_real *y, nde_real *dy) {
    const nde_field *phi = self->ctx;
    const nde_site site = inner(phi, at);
    const nde_real *tau = length(phi, at);
    const int rc = phi->eval(phi, &site, y, dy);
    if (rc) return rc;
    for (size_t i = 0; i < phi->out; i++)
        NDE_LANES(b, at->n) dy[i*at->ld + b] = (dy[i*at->ld + b] - y[i*at->ld + b])/tau[b];
    return 0;
}

/* a . dF = (a/tau) . dphi - (a/tau) . dy - a . F dtau/tau */
static int vjp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_real *a, nde_cotangent *to) {
    const nde_field *phi = self->ctx;
    const size_t rows = phi->out, ld = at->ld;
    const nde_real *tau = length(phi, at);
    nde_real *part = at->work, *value = at->work + rows*ld, *a_tau = to->u ? to->u + (phi->nu - 1)*ld : NULL;
    if (a_tau) {
        nde_site untaped = *at;
        untaped.tape = NULL;
        const int rc = eval(self, &untaped, y, value);
        if (rc) return rc;
    }
    for (size_t i = 0; i < rows; i++)
        for (size_t b = 0; b < at->n; b++) {
            const size_t k = i*ld + b;
            part[k] = a[k]/tau[b];
            if (to->y) to->y[k] -= part[k];
            if (a_tau) a_tau[b] -= part[k]*value[k];
        }
    const nde_site site = inner(phi, at);
    nde_cotangent there = nde_part_cotangent(phi, at, to, (nde_slice){ .tape = 0 });
    return phi->vjp(phi, &site, y, part, &there);
}

static int jvp(const nde_field *self, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    const nde_field *phi = self->ctx;
    const nde_site site = inner(phi, at);
    const nde_tangent along = nde_part_tangent(phi, at, v);
    const nde_real *tau = length(phi, at), *v_tau = v->u ? v->u + (phi->nu - 1)*at->ld : NULL;
    nde_real *value = at->work + phi->out*at->ld;
    int rc = v_tau ? eval(self, at, y, value) : 0;
    if (!rc) rc = phi->jvp(phi, &site, y, &along, dv);
    if (rc) return rc;
    for (size_t i = 0; i < phi->out; i++)
        for (size_t b = 0; b < at->n; b++) {
            const size_t k = i*at->ld + b;
            dv[k] = (dv[k] - (v->y ? v->y[k] : 0) - (v_tau ? value[k]*v_tau[b] : 0))/tau[b];
        }
    return 0;
}

static int prepare(const nde_field *self, const nde_real *p, nde_real *prepared) {
    return nde_part_prepare(self->ctx, p, &prepared);
}

nde_field nde_field_flow(const nde_field *phi) {
    const nde_field none = { .size = sizeof none };
    if (!phi) {
        (void)nde_fail(NDE_E_ARG, "nde_field_flow: phi is NULL");
        return none;
    }
    if (nde_field_validate(phi, "nde_field_flow: phi")) return none;
    if (phi->out != phi->dim || !phi->nu) {
        (void)nde_fail(NDE_E_ARG, "nde_field_flow: field '%s' has dim %zu, out %zu, nu %zu", nde_field_name(phi), phi->dim,
                       phi->out, phi->nu);
        return none;
    }
    nde_field f = { .size = sizeof f, .name = "flow", .ctx = phi, .dim = phi->dim, .nu = phi->nu, .out = phi->out,
                    .tape = phi->tape, .traits = phi->traits & ~NDE_LINEAR_IN_U, .prepared = phi->prepared,
                    .prepare = phi->prepared && phi->prepare ? prepare : NULL, .eval = eval, .vjp = phi->vjp ? vjp : NULL,
                    .jvp = phi->jvp ? jvp : NULL, .gemm_eval = phi->gemm_eval, .gemm_vjp = phi->gemm_vjp };
    if (!nde_size_add(phi->work, own_rows(phi), &f.work) || (phi->np && !nde_size_add(phi->p_first, phi->np, &f.np)) ||
        (phi->nq && !nde_size_add(phi->q_first, phi->nq, &f.nq))) {
        (void)nde_fail(NDE_E_SIZE, "nde_field_flow: work, np or nq of field '%s' is too large", nde_field_name(phi));
        return none;
    }
    return f;
}
