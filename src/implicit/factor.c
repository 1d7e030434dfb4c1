/* SPDX-License-Identifier: MIT
 * factor.c - W = I - gamma h J in the layout that suits its size, and who factors it. */
#include "implicit/lu.h"

#include <limits.h>

#include "core/blas.h"

void nde_lu_lay(nde_lu *lu, nde_arena *arena, size_t dim, size_t ld) {
    size_t entries;
    if (dim > INT_MAX || !nde_size_multiply(dim, dim, &entries)) arena->overflow = true, entries = 0;
    lu->dim = dim, lu->ld = ld;
    lu->a = nde_arena_take_rows(arena, entries, ld, sizeof *lu->a);
    lu->p = nde_arena_take_rows(arena, dim, ld, sizeof *lu->p);
    lu->x = nde_arena_take(arena, dim, sizeof *lu->x);
}

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

void nde_lu_factor(const nde_kernels *kernels, nde_lu *lu, size_t n, size_t ld, const nde_real *h, nde_real gamma,
                   const nde_real *j) {
    nde_lu_factor_blocks(kernels, lu, n, ld, h, 1, &gamma, j, 0);
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

void nde_lu_solve(const nde_kernels *kernels, const nde_lu *lu, size_t n, size_t ld, nde_real *x) {
    if (is_side_by_side(lu, ld)) kernels->lu->solve_lanes(lu->dim, n, ld, lu->a, lu->p, x);
    else solve_each(lu, n, ld, x, kernels->lu->solve);
}

void nde_lu_solve_transposed(const nde_kernels *kernels, const nde_lu *lu, size_t n, size_t ld, nde_real *x) {
    if (is_side_by_side(lu, ld)) kernels->lu->transpose_lanes(lu->dim, n, ld, lu->a, lu->p, x);
    else solve_each(lu, n, ld, x, kernels->lu->transpose);
}
