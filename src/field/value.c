/* SPDX-License-Identifier: MIT
 * value.c - the value of a field, called without a solver. */
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
typedef struct rest {
    nde_real *work, *prepared;
    unsigned char *lane;
    size_t *index, *interval;
} rest;

static rest lay_out(const nde_field *field, const nde_site *at, nde_arena *arena) {
    size_t work;
    if (!nde_size_multiply(field->work, at->ld, &work)) arena->overflow = true, work = 0;
    return (rest){ .work = nde_arena_take(arena, work, sizeof(nde_real)),
                   .prepared = nde_arena_take(arena, field->prepared, sizeof(nde_real)),
                   .lane = nde_arena_take(arena, at->n, 1),
                   .index = at->index ? NULL : nde_arena_take(arena, at->n, sizeof(size_t)),
                   .interval = at->interval ? NULL : nde_arena_take(arena, at->n, sizeof(size_t)) };
}

static nde_status evaluate(const nde_field *field, nde_site at, rest with, const nde_real *y, nde_real *value) {
    for (size_t b = 0; b < at.n && with.index; b++) with.index[b] = b;
    if (with.index) at.index = with.index;
    if (with.interval) at.interval = with.interval;
    at.work = with.work, at.lane = with.lane, at.prepared = with.prepared;
    at.tape = NULL, at.flags = 0;
    const int unprepared = with.prepared ? field->prepare(field, at.p, with.prepared) : 0;
    const int code = unprepared ? unprepared : field->eval(field, &at, y, value);
    if (code) return nde_fail(NDE_E_FIELD, "nde_field_value: %s returned %d", nde_field_name(field), code);
    for (size_t b = 0; b < at.n; b++)
        if (at.lane[b] != NDE_LANE_OK)
            return nde_fail(NDE_E_FIELD, "nde_field_value: %s failed in lane %zu", nde_field_name(field), b);
    return NDE_OK;
}

nde_status nde_field_value(const nde_field *field, const nde_site *at, const nde_real *y, nde_real *value) {
    const nde_allocator *memory = &nde_allocator_default;
    nde_arena arena = { 0 };
    nde_status status = nde_field_validate(field, "nde_field_value: field");
    if (!status) status = nde_site_validate("nde_field_value", field, at, y);
    if (status) return status;
    if (!value) return nde_fail(NDE_E_ARG, "nde_field_value: value is NULL");
    (void)lay_out(field, at, &arena);
    const size_t bytes = arena.used;
    if (arena.overflow) return nde_fail(NDE_E_NOMEM, "nde_field_value: %zu lanes at distance %zu do not fit", at->n, at->ld);
    void *block = memory->take(memory->ctx, bytes, 64);
    if (!block) return nde_fail(NDE_E_NOMEM, "nde_field_value: no memory for %zu bytes", bytes);
    memset(block, 0, bytes);
    arena = (nde_arena){ .base = block };
    status = evaluate(field, *at, lay_out(field, at, &arena), y, value);
    memory->give(memory->ctx, block, bytes);
    return status;
}
