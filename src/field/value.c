/* SPDX-License-Identifier: MIT
 * value.c - the value of a field and its derivatives, called without a solver. */
#include "field/parts.h"

#include <string.h>

nde_status nde_site_validate(const char *who, const nde_field *field, const nde_site *at, const nde_real *y) {
    if (!at || !y) return nde_fail(NDE_E_ARG, "%s: %s is NULL", who, at ? "y" : "at");
    if (at->n == 0 || at->ld < at->n) return nde_fail(NDE_E_ARG, "%s: at.n is %zu, at.ld %zu", who, at->n, at->ld);
    if (!at->t) return nde_fail(NDE_E_ARG, "%s: at.t is NULL", who);
    if (field->nu && !at->u) return nde_fail(NDE_E_ARG, "%s: at.u is NULL, the field has nu %zu", who, field->nu);
    if (field->np && !at->p) return nde_fail(NDE_E_ARG, "%s: at.p is NULL, the field has np %zu", who, field->np);
    if (field->nq && !at->q) return nde_fail(NDE_E_ARG, "%s: at.q is NULL, the field has nq %zu", who, field->nq);
    return NDE_OK;
}

/* What a site needs besides what the caller knows. */
static void lay_out(const nde_field *field, nde_call *call, bool taped, nde_arena *arena) {
    nde_site *at = &call->at;
    call->work = nde_arena_take_rows(arena, field->work, at->ld, sizeof(nde_real));
    call->prepared = nde_arena_take(arena, field->prepared, sizeof(nde_real));
    call->tape = nde_arena_take_rows(arena, taped ? field->tape : 0, at->ld, sizeof(nde_real));
    call->value = nde_arena_take_rows(arena, taped ? field->out : 0, at->ld, sizeof(nde_real));
    call->lane = nde_arena_take(arena, at->n, 1);
    call->index = nde_arena_take(arena, at->index ? 0 : at->n, sizeof(size_t));
    call->interval = nde_arena_take(arena, at->interval ? 0 : at->n, sizeof(size_t));
}

static nde_status fill_in(const char *who, const nde_field *field, nde_call *call) {
    nde_site *at = &call->at;
    for (size_t b = 0; b < at->n && call->index; b++) call->index[b] = b;
    if (call->index) at->index = call->index;
    if (call->interval) at->interval = call->interval;
    at->work = call->work, at->lane = call->lane, at->prepared = call->prepared, at->tape = call->tape, at->tape_ld = at->ld;
    at->flags = 0, at->worker = 0, at->kernels = NULL;
    const int code = call->prepared ? field->prepare(field, at->p, call->prepared) : 0;
    return code ? nde_fail(NDE_E_FIELD, "%s: %s returned %d", who, nde_field_name(field), code) : NDE_OK;
}

nde_status nde_call_begin(const char *who, const nde_field *field, const nde_site *at, const nde_real *y, bool taped,
                          nde_call *call) {
    const nde_allocator *memory = &nde_allocator_default;
    nde_arena arena = { 0 };
    *call = (nde_call){ .block = NULL };
    const nde_status status = nde_site_validate(who, field, at, y);
    if (status) return status;
    call->at = *at;
    lay_out(field, call, taped, &arena);
    if (arena.overflow) return nde_fail(NDE_E_NOMEM, "%s: %zu lanes at distance %zu do not fit", who, at->n, at->ld);
    call->bytes = arena.used;
    call->block = memory->take(memory->ctx, call->bytes, 64);
    if (!call->block) return nde_fail(NDE_E_NOMEM, "%s: no memory for %zu bytes", who, call->bytes);
    memset(call->block, 0, call->bytes);
    arena = (nde_arena){ .base = call->block };
    lay_out(field, call, taped, &arena);
    return fill_in(who, field, call);
}

void nde_call_end(nde_call *call) {
    const nde_allocator *memory = &nde_allocator_default;
    if (call->block) memory->give(memory->ctx, call->block, call->bytes);
}

nde_status nde_call_judge(const char *who, const nde_field *field, const nde_call *call, int code) {
    if (code) return nde_fail(NDE_E_FIELD, "%s: %s returned %d", who, nde_field_name(field), code);
    for (size_t b = 0; b < call->at.n; b++)
        if (call->at.lane[b] != NDE_LANE_OK)
            return nde_fail(NDE_E_FIELD, "%s: %s failed in lane %zu", who, nde_field_name(field), b);
    return NDE_OK;
}

static nde_status evaluate(const char *who, const nde_field *field, nde_call *call, const nde_real *y, nde_real *value) {
    return nde_call_judge(who, field, call, field->eval(field, &call->at, y, value));
}

nde_status nde_field_value(const nde_field *field, const nde_site *at, const nde_real *y, nde_real *value) {
    static const char who[] = "nde_field_value";
    nde_call call;
    nde_status status = nde_field_validate(field, "nde_field_value: field");
    if (status) return status;
    if (!value) return nde_fail(NDE_E_ARG, "%s: value is NULL", who);
    status = nde_call_begin(who, field, at, y, false, &call);
    if (!status) status = evaluate(who, field, &call, y, value);
    nde_call_end(&call);
    return status;
}

nde_status nde_field_vjp(const nde_field *field, const nde_site *at, const nde_real *y, const nde_real *a, nde_real *value,
                         nde_cotangent *to) {
    static const char who[] = "nde_field_vjp";
    nde_call call;
    nde_status status = nde_field_validate(field, "nde_field_vjp: field");
    if (status) return status;
    if (!a || !to) return nde_fail(NDE_E_ARG, "%s: %s is NULL", who, a ? "to" : "a");
    if (!field->vjp) return nde_fail(NDE_E_NO_VJP, "%s: %s has no vjp", who, nde_field_name(field));
    nde_cotangent plain = *to;
    plain.cotape = NULL;
    status = nde_call_begin(who, field, at, y, true, &call);
    if (!status) status = evaluate(who, field, &call, y, value ? value : call.value);
    if (!status) status = nde_call_judge(who, field, &call, field->vjp(field, &call.at, y, a, &plain));
    nde_call_end(&call);
    return status;
}

nde_status nde_field_jvp(const nde_field *field, const nde_site *at, const nde_real *y, const nde_tangent *v, nde_real *dv) {
    static const char who[] = "nde_field_jvp";
    nde_call call;
    nde_status status = nde_field_validate(field, "nde_field_jvp: field");
    if (status) return status;
    if (!v || !dv) return nde_fail(NDE_E_ARG, "%s: %s is NULL", who, v ? "dv" : "v");
    if (!field->jvp) return nde_fail(NDE_E_NO_JVP, "%s: %s has no jvp", who, nde_field_name(field));
    nde_tangent one = *v;
    one.lanes = one.p_stride = 0;
    status = nde_call_begin(who, field, at, y, false, &call);
    if (!status) status = nde_call_judge(who, field, &call, field->jvp(field, &call.at, y, &one, dv));
    nde_call_end(&call);
    return status;
}
