/* SPDX-License-Identifier: MIT
 * factor.c - W = I - gamma h J in the layout that suits its size, and who factors it. */
#include "implicit/lu.h"

#include <limits.h>
#include <string.h>

#include "core/blas.h"
#include "implicit/klu.h"

static int kind_of(const nde_lu *lu) { return lu->form ? lu->form->kind : NDE_LINEAR_DENSE; }

void nde_lu_lay(nde_lu *lu, nde_arena *arena, size_t dim, size_t ld) {
    size_t entries;
    if (dim > INT_MAX || !nde_size_multiply(dim, dim, &entries)) arena->overflow = true, entries = 0;
    *lu = (nde_lu){ .dim = dim, .ld = ld };
    lu->a = nde_arena_take_rows(arena, entries, ld, sizeof *lu->a);
    lu->p = nde_arena_take_rows(arena, dim, ld, sizeof *lu->p);
    lu->x = nde_arena_take(arena, dim, sizeof *lu->x);
}

void nde_lu_lay_as(nde_lu *lu, nde_arena *arena, const nde_form *form, size_t ld) {
    if (form->kind == NDE_LINEAR_DENSE) {
        nde_lu_lay(lu, arena, form->dim, ld);
        return;
    }
    *lu = (nde_lu){ .dim = form->dim, .ld = ld, .form = form };
    const bool band = form->kind == NDE_LINEAR_BAND;
    lu->a = nde_arena_take_rows(arena, form->entries, band ? ld : 1, sizeof *lu->a);
    lu->p = nde_arena_take_rows(arena, band ? form->dim : 0, ld, sizeof *lu->p);
    lu->x = nde_arena_take(arena, form->dim, sizeof *lu->x);
    if (!band) nde_klu_lay(lu, arena);
}

nde_status nde_lu_open(nde_lu *lu) { return kind_of(lu) == NDE_LINEAR_SPARSE ? nde_klu_open(lu) : NDE_OK; }

void nde_lu_close(nde_lu *lu) {
    if (kind_of(lu) == NDE_LINEAR_SPARSE) nde_klu_close(lu);
}

/* ---- dense ----------------------------------------------------------------------------------- */

static bool is_side_by_side(const nde_lu *lu, size_t ld) { return ld > 1 && lu->dim <= NDE_LU_ROWS; }

static nde_real *matrix(const nde_lu *lu, size_t b) { return lu->a + b*lu->dim*lu->dim; }

/* What W is made of: see nde_lu_factor_blocks. */
typedef struct parts {
    size_t blocks, apart;
    const nde_real *m, *j;
} parts;

/* Lanes side by side: element (row, column) of block (i, k). */
static void write_element(size_t n, size_t ld, const nde_real *h, nde_real one, nde_real m, const nde_real *j,
                          nde_real *w) {
    for (size_t b = 0; b < n; b++) w[b] = one - m*h[b]*j[b];
    for (size_t b = n; b < ld && b % NDE_LU_STRIP; b++) w[b] = one;
}

static void write_lanes(nde_lu *lu, size_t n, size_t ld, const nde_real *h, const parts *of) {
    const size_t blocks = of->blocks, d = lu->dim/blocks;
    nde_real *w = lu->a;
    for (size_t i = 0; i < blocks; i++)
        for (size_t row = 0; row < d; row++)
            for (size_t k = 0; k < blocks; k++) {
                const nde_real *j = of->j + i*of->apart + row*d*ld;
                for (size_t column = 0; column < d; column++, j += ld, w += ld)
                    write_element(n, ld, h, i == k && row == column, of->m[i*blocks + k], j, w);
            }
}

/* By columns, of the one lane that h and j begin with. */
static void write_one(const nde_lu *lu, size_t ld, nde_real h, const parts *of, const nde_real *first, nde_real *a) {
    const size_t all = lu->dim, d = all/of->blocks;
    for (size_t column = 0; column < all; column++)
        for (size_t block = 0; block < of->blocks; block++) {
            const nde_real by = of->m[block*of->blocks + column/d]*h, *j = first + block*of->apart + column%d*ld;
            for (size_t row = 0; row < d; row++, j += d*ld) *a++ = (nde_real)(block*d + row == column) - by**j;
        }
}

void nde_lu_factor_blocks(const nde_kernels *kernels, nde_lu *lu, size_t n, size_t ld, const nde_real *h, size_t blocks,
                          const nde_real *m, const nde_real *j, size_t apart) {
    const size_t d = lu->dim;
    const parts of = { .blocks = blocks, .apart = apart, .m = m, .j = j };
    if (is_side_by_side(lu, ld)) {
        write_lanes(lu, n, ld, h, &of);
        kernels->lu->factor_lanes(d, n, ld, lu->a, lu->p);
        return;
    }
    const bool far = nde_lapack_pays(kernels, d);
    for (size_t b = 0; b < n; b++) {
        write_one(lu, ld, h[b], &of, j + b, matrix(lu, b));
        if (far) nde_lapack_factor(d, matrix(lu, b), lu->p + b*d);
        else kernels->lu->factor(d, matrix(lu, b), lu->p + b*d);
    }
}

/* Of lanes apart: each by itself. */
static void solve_each(const nde_lu *lu, size_t n, size_t ld, nde_real *x,
                       void (*solve)(size_t d, const nde_real *a, const int *p, nde_real *x)) {
    const size_t d = lu->dim;
    if (ld == 1) {
        solve(d, lu->a, lu->p, x);
        return;
    }
    for (size_t b = 0; b < n; b++) {
        for (size_t i = 0; i < d; i++) lu->x[i] = x[i*ld + b];
        solve(d, matrix(lu, b), lu->p + b*d, lu->x);
        for (size_t i = 0; i < d; i++) x[i*ld + b] = lu->x[i];
    }
}

/* ---- by the non-zeros ------------------------------------------------------------------------ */

/* W of lane b, in lu->a: for a band at the lane's own place. */
static nde_real *write_form(const nde_lu *lu, size_t b, size_t ld, nde_real by, const nde_real *j) {
    const nde_form *f = lu->form;
    nde_real *a = lu->a + (f->kind == NDE_LINEAR_BAND ? b*f->entries : 0);
    memset(a, 0, f->entries*sizeof *a);
    for (size_t e = 0; e < f->nonzeros; e++) a[f->place[e]] = -by*j[e*ld + b];
    for (size_t i = 0; i < f->dim; i++) a[f->diagonal[i]] += 1;
    return a;
}

static int factor_form(const nde_kernels *kernels, nde_lu *lu, size_t n, size_t ld, const nde_real *h, nde_real gamma,
                       const nde_real *j) {
    const nde_form *f = lu->form;
    for (size_t b = 0; b < n; b++) {
        nde_real *a = write_form(lu, b, ld, gamma*h[b], j);
        if (f->kind == NDE_LINEAR_BAND) kernels->lu->factor_band(f->dim, f->lower, f->upper, a, lu->p + b*f->dim);
        else if (!nde_klu_factor(lu, b)) return lu->starved = true, -1;
    }
    return 0;
}

/* lu->x, in the order of the factors. */
static void solve_one(const nde_kernels *kernels, const nde_lu *lu, size_t b, bool transposed) {
    const nde_form *f = lu->form;
    if (f->kind == NDE_LINEAR_SPARSE) {
        nde_klu_solve(lu, b, transposed, lu->x);
        return;
    }
    const nde_real *a = lu->a + b*f->entries;
    const int *p = lu->p + b*f->dim;
    if (transposed) kernels->lu->transpose_band(f->dim, f->lower, f->upper, a, p, lu->x);
    else kernels->lu->solve_band(f->dim, f->lower, f->upper, a, p, lu->x);
}

static void solve_form(const nde_kernels *kernels, const nde_lu *lu, size_t n, size_t ld, bool transposed, nde_real *x) {
    const nde_form *f = lu->form;
    for (size_t b = 0; b < n; b++) {
        for (size_t i = 0; i < f->dim; i++) lu->x[f->ordered ? f->order[i] : i] = x[i*ld + b];
        solve_one(kernels, lu, b, transposed);
        for (size_t i = 0; i < f->dim; i++) x[i*ld + b] = lu->x[f->ordered ? f->order[i] : i];
    }
}

/* ---------------------------------------------------------------------------------------------- */

int nde_lu_factor(const nde_kernels *kernels, nde_lu *lu, size_t n, size_t ld, const nde_real *h, nde_real gamma,
                  const nde_real *j) {
    if (lu->form) return factor_form(kernels, lu, n, ld, h, gamma, j);
    nde_lu_factor_blocks(kernels, lu, n, ld, h, 1, &gamma, j, 0);
    return 0;
}

void nde_lu_solve(const nde_kernels *kernels, const nde_lu *lu, size_t n, size_t ld, nde_real *x) {
    if (lu->form) solve_form(kernels, lu, n, ld, false, x);
    else if (is_side_by_side(lu, ld)) kernels->lu->solve_lanes(lu->dim, n, ld, lu->a, lu->p, x);
    else solve_each(lu, n, ld, x, kernels->lu->solve);
}

void nde_lu_solve_transposed(const nde_kernels *kernels, const nde_lu *lu, size_t n, size_t ld, nde_real *x) {
    if (lu->form) solve_form(kernels, lu, n, ld, true, x);
    else if (is_side_by_side(lu, ld)) kernels->lu->transpose_lanes(lu->dim, n, ld, lu->a, lu->p, x);
    else solve_each(lu, n, ld, x, kernels->lu->transpose);
}
