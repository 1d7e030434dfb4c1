/* SPDX-License-Identifier: MIT
 * form.c - how W = I - gamma h J is kept, by the non-zeros of J. */
#include <limits.h>
#include <math.h>

#include "field/parts.h"
#include "implicit/klu.h"
#include "implicit/lu.h"
#include "implicit/order.h"

/* Below, lanes go side by side. KLU goes from entry to entry, a band column by column: an operation of the former costs as much
 * as so many of the latter (docs/performance.md). */
enum { DENSE_MOST = NDE_LU_ROWS, KLU_COST = 3 };

/* ---- the choice ------------------------------------------------------------------------------ */

/* What looking at a pattern takes. */
typedef struct view {
    size_t *order, *queue, *degree, *column_start, *column_index;
    int *row_start, *column;
} view;

static void lay_view(view *v, nde_arena *arena, size_t n, size_t nonzeros) {
    v->order = nde_arena_take(arena, n, sizeof *v->order);
    v->queue = nde_arena_take(arena, n, sizeof *v->queue);
    v->degree = nde_arena_take(arena, n, sizeof *v->degree);
    v->column_start = nde_arena_take(arena, n + 1, sizeof *v->column_start);
    v->column_index = nde_arena_take(arena, nonzeros, sizeof *v->column_index);
    v->row_start = nde_arena_take(arena, n + 1, sizeof *v->row_start);
    v->column = nde_arena_take(arena, n + nonzeros, sizeof *v->column);
}

/* W by rows, with the diagonal, as KLU takes it; where J's entries and the diagonal stand in it goes to place and diagonal,
 * unless they are NULL. How many. */
static size_t write_rows(const nde_form *f, int *row_start, int *column, size_t *place, size_t *diagonal) {
    size_t at = 0;
    for (size_t i = 0; i < f->dim; i++) {
        size_t own = SIZE_MAX;
        row_start[i] = (int)at;
        for (size_t e = f->start[i]; e < f->start[i + 1]; e++, at++) {
            column[at] = (int)f->index[e];
            if (f->index[e] == i) own = at;
            if (place) place[e] = at;
        }
        if (own == SIZE_MAX) own = at, column[at++] = (int)i;
        if (diagonal) diagonal[i] = own;
    }
    row_start[f->dim] = (int)at;
    return at;
}

static bool names_twice(const nde_form *f, size_t *seen) {
    for (size_t i = 0; i < f->dim; i++) seen[i] = SIZE_MAX;
    for (size_t i = 0; i < f->dim; i++)
        for (size_t e = f->start[i]; e < f->start[i + 1]; e++) {
            if (seen[f->index[e]] == i) return true;
            seen[f->index[e]] = i;
        }
    return false;
}

/* The narrower of two bands. */
static void look_at_band(nde_form *f, const view *v) {
    const nde_graph graph = { f->dim, f->start, f->index, v->column_start, v->column_index, v->order, v->queue, v->degree };
    size_t lower, upper;
    nde_sparsity_columns(f->dim, f->start, f->index, v->column_start, v->column_index);
    nde_order_band(&graph);
    nde_measure_band(f->dim, f->start, f->index, NULL, &f->lower, &f->upper);
    nde_measure_band(f->dim, f->start, f->index, v->order, &lower, &upper);
    f->ordered = 2*lower + upper < 2*f->lower + f->upper;
    if (f->ordered) f->lower = lower, f->upper = upper;
}

static double band_flops(const nde_form *f) {
    return 2*(double)f->dim*(double)(f->lower + 1)*(double)(f->upper + 1);
}

static nde_status choose(nde_form *f, const view *v, int asked) {
    double flops = HUGE_VAL;
    if (names_twice(f, v->queue))
        return !asked ? NDE_OK : nde_fail(NDE_E_ARG, "options.linear is %d: sparsity_index names an entry twice", asked);
    look_at_band(f, v);
    if (asked != NDE_LINEAR_BAND && nde_klu_is_there() && f->dim + f->nonzeros <= INT_MAX) {
        f->entries = write_rows(f, v->row_start, v->column, NULL, NULL);
        const nde_status bad = nde_klu_predict(f->dim, v->row_start, v->column, &flops);
        if (bad) return bad;
    }
    const bool narrow = 2*(2*f->lower + f->upper + 1) <= f->dim;
    const double dense = 2.0/3*(double)f->dim*(double)f->dim*(double)f->dim, rival = narrow ? band_flops(f) : dense;
    f->kind = asked ? asked : KLU_COST*flops < rival ? NDE_LINEAR_SPARSE : narrow ? NDE_LINEAR_BAND : NDE_LINEAR_DENSE;
    f->ordered = f->ordered && f->kind == NDE_LINEAR_BAND;
    return NDE_OK;
}

nde_status nde_form_choose(nde_form *f, const nde_allocator *memory, size_t dim, const size_t *start, const size_t *index,
                           int asked) {
    view v;
    nde_arena arena = { 0 };
    *f = (nde_form){ .kind = NDE_LINEAR_DENSE, .dim = dim, .nonzeros = start[dim], .start = start, .index = index };
    if (asked == NDE_LINEAR_SPARSE && !nde_klu_is_there())
        return nde_fail(NDE_E_ARG, "options.linear is %d: libnde was built without KLU, or this is single precision", asked);
    if (asked == NDE_LINEAR_DENSE || (!asked && dim <= DENSE_MOST)) return NDE_OK;
    lay_view(&v, &arena, dim, f->nonzeros);
    const size_t bytes = arena.used;
    if (arena.overflow) return nde_fail(NDE_E_SIZE, "a sparsity of %zu entries is too large", f->nonzeros);
    void *block = memory->take(memory->ctx, bytes, 64);
    if (!block) return nde_fail(NDE_E_NOMEM, "out of memory: %zu bytes", bytes);
    arena = (nde_arena){ .base = block };
    lay_view(&v, &arena, dim, f->nonzeros);
    const nde_status bad = choose(f, &v, asked);
    memory->give(memory->ctx, block, bytes);
    return bad;
}

/* ---- memory ---------------------------------------------------------------------------------- */

static size_t band_place(const nde_form *f, size_t row, size_t column) {
    const size_t i = f->ordered ? f->order[row] : row, j = f->ordered ? f->order[column] : column;
    return j*(2*f->lower + f->upper) + f->lower + f->upper + i;
}

static void lay_band(nde_form *f, nde_arena *arena, const size_t *column_start, const size_t *row) {
    size_t *queue = nde_arena_take(arena, f->ordered ? f->dim : 0, sizeof *queue),
        *degree = nde_arena_take(arena, f->ordered ? f->dim : 0, sizeof *degree);
    f->order = nde_arena_take(arena, f->ordered ? f->dim : 0, sizeof *f->order);
    if (!nde_size_multiply(2*f->lower + f->upper + 1, f->dim, &f->entries)) arena->overflow = true, f->entries = 0;
    if (!f->place || !f->diagonal) return;
    const nde_graph graph = { f->dim, f->start, f->index, column_start, row, f->order, queue, degree };
    if (f->ordered) nde_order_band(&graph);
    for (size_t i = 0; i < f->dim; i++) {
        f->diagonal[i] = band_place(f, i, i);
        for (size_t e = f->start[i]; e < f->start[i + 1]; e++) f->place[e] = band_place(f, i, f->index[e]);
    }
}

void nde_form_lay(nde_form *f, nde_arena *arena, const size_t *column_start, const size_t *row) {
    if (f->kind == NDE_LINEAR_DENSE) return;
    f->place = nde_arena_take(arena, f->nonzeros, sizeof *f->place);
    f->diagonal = nde_arena_take(arena, f->dim, sizeof *f->diagonal);
    if (f->kind == NDE_LINEAR_BAND) {
        lay_band(f, arena, column_start, row);
        return;
    }
    f->row_start = nde_arena_take(arena, f->dim + 1, sizeof *f->row_start);
    f->column = nde_arena_take(arena, f->entries, sizeof *f->column);
    if (f->row_start && f->column) write_rows(f, f->row_start, f->column, f->place, f->diagonal);
}
