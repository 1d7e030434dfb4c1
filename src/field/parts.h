/* SPDX-License-Identifier: MIT
 * parts.h - what fields, and what calls them, share: validation, sites and cotangents of a part, sizes.
 *
 * jvp and vjp_jvp neither read nor write at->tape; vjp_jvp ignores cotape. */
#ifndef NDE_FIELD_PARTS_H
#define NDE_FIELD_PARTS_H

#include "nde/field.h"
#include "core/core.h"
#include "core/kernels.h"

/* May this field be used? `who` names the argument in the text: "nde_problem.drift".
 * Errors: NDE_E_ARG, NDE_E_SIZE (text set). */
nde_status nde_field_validate(const nde_field *field, const char *who);

/* May a field be called there, y given? Tape, work, lane and the like do not count. Errors: NDE_E_ARG (text set). */
nde_status nde_site_validate(const char *who, const nde_field *field, const nde_site *at, const nde_real *y);

/* One call of a field without a solver: its site with all that it needs, in one block. */
typedef struct nde_call {
    nde_site at;
    void *block;
    size_t bytes, *index, *interval;
    nde_real *work, *prepared, *tape, *value; /* value [out][ld] with a tape only */
    unsigned char *lane;
} nde_call;
/* taped: at.tape is there, and value. To be ended after any status. Errors: NDE_E_ARG, NDE_E_NOMEM, NDE_E_FIELD (text set). */
nde_status nde_call_begin(const char *who, const nde_field *field, const nde_site *at, const nde_real *y, bool taped,
                          nde_call *call);
void nde_call_end(nde_call *call);
/* Did it return 0, and no lane fail? Errors: NDE_E_FIELD (text set). */
nde_status nde_call_judge(const char *who, const nde_field *field, const nde_call *call, int code);

static inline const char *nde_field_name(const nde_field *field) { return field->name ? field->name : "field"; }

/* Offsets of a part's slices in the arrays of the whole: rows of tape, cotape and work, reals of prepared. */
typedef struct nde_slice {
    size_t tape, cotape, prepared, work;
} nde_slice;

/* Rows rounded up so that what follows them in `work` stays at a multiple of 64 bytes for any ld. */
static inline size_t nde_aligned_rows(size_t rows) { return (rows + 15)/16*16; }

/* The site and the cotangents as `part` sees them: from its p_first and q_first on, with its slices. y of the cotangents is
 * left as it is. */
nde_site nde_part_site(const nde_field *part, const nde_site *at, nde_slice slice);
nde_cotangent nde_part_cotangent(const nde_field *part, const nde_site *at, const nde_cotangent *to, nde_slice slice);
nde_tangent nde_part_tangent(const nde_field *part, const nde_site *at, const nde_tangent *v);

/* What a part prepares, of its own parameters of p of the whole. prepared moves on to the next part's. */
static inline int nde_part_prepare(const nde_field *part, const nde_real *p, nde_real **prepared) {
    const int code = part->prepared ? part->prepare(part, p ? p + part->p_first : NULL, *prepared) : 0;
    *prepared += part->prepared;
    return code;
}

/* The pattern by rows of an [n][n] Jacobian, as fields have it, by columns: start [n + 1], row [row_start[n]]. */
void nde_sparsity_columns(size_t n, const size_t *row_start, const size_t *row_index, size_t *start, size_t *row);
/* Columns that have no row in common may share a direction: colour [n], from 0 on; scratch taken [n]. How many colours. */
size_t nde_colour_columns(size_t n, const size_t *start, const size_t *row, size_t *colour, unsigned char *taken);

/* *total += a*b; false when it does not fit. */
static inline bool nde_size_grow(size_t *total, size_t a, size_t b) {
    size_t product;
    return nde_size_multiply(a, b, &product) && nde_size_add(*total, product, total);
}

/* Rows of work, laid out twice by the same code: first to count them, without a base. Each block begins at a multiple of
 * 64 bytes. */
typedef struct nde_rows_of_work {
    nde_real *base;
    size_t ld, used;
    bool overflow;
} nde_rows_of_work;

/* count*each rows more; NULL: none, or no base. */
static inline nde_real *nde_take_rows(nde_rows_of_work *w, size_t count, size_t each) {
    const size_t first = w->used;
    size_t some = 0;
    if (!nde_size_grow(&some, count, each) || some > PTRDIFF_MAX/64 || !nde_size_add(first, nde_aligned_rows(some), &w->used))
        w->overflow = true;
    return w->base && some && !w->overflow ? w->base + first*w->ld : NULL;
}

#endif
