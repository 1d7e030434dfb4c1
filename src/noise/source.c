/* SPDX-License-Identifier: MIT
 * source.c - what a noise does over steps, whichever source it has: grid, tree or stored increments; correlated, antithetic. */
#include <math.h>
#include <string.h>

#include "noise/fold.h"
#include "noise/kernel.h"
#include "noise/tree.h"
#include "noise/unit.h"

enum { PIECE = NDE_NOISE_PIECE };

/* ---- reading --------------------------------------------------------------------------------- */

static nde_status check_source(const nde_noise *x) {
    if (x->source < NDE_SOURCE_GRID || x->source > NDE_SOURCE_STORED)
        return nde_fail(NDE_E_ARG, "noise.source is %d", (int)x->source);
    if (x->levy < 0 || x->levy > NDE_LEVY_K) return nde_fail(NDE_E_ARG, "noise.levy is %d", (int)x->levy);
    if (x->area != NDE_AREA_FOSTER && x->area != NDE_AREA_DAVIE) return nde_fail(NDE_E_ARG, "noise.area is %d", (int)x->area);
    if (x->normals != NDE_NORMALS_DOUBLE && x->normals != NDE_NORMALS_SINGLE)
        return nde_fail(NDE_E_ARG, "noise.normals is %d", (int)x->normals);
    if (x->normals == NDE_NORMALS_SINGLE && x->source != NDE_SOURCE_GRID)
        return nde_fail(NDE_E_ARG, "noise.normals is %d: NDE_NORMALS_SINGLE are of grids, noise.source is %d", (int)x->normals,
                        (int)x->source);
    if (x->antithetic != 0 && x->antithetic != 1)
        return nde_fail(NDE_E_ARG, "noise.antithetic is %d", (int)x->antithetic);
    if (!(x->tolerance >= 0x1p-40 && x->tolerance <= 1))
        return nde_fail(NDE_E_ARG, "noise.tolerance is %g: a share of the span, from 2^-40 on", x->tolerance);
    const bool stored = x->source == NDE_SOURCE_STORED;
    if (stored != (x->w != NULL))
        return nde_fail(NDE_E_ARG, "noise.w is %sNULL, noise.source %d", x->w ? "not " : "", (int)x->source);
    if ((x->h && !x->w) || (x->k && !x->h)) return nde_fail(NDE_E_ARG, "noise.%s is NULL", x->w ? "h" : "w");
    if (stored && (x->correlation || x->antithetic))
        return nde_fail(NDE_E_ARG, "noise.%s is given beside stored increments", x->correlation ? "correlation" : "antithetic");
    return NDE_OK;
}

nde_status nde_noise_read(nde_noise *known, const nde_noise *noise) {
    if (!noise) return nde_fail(NDE_E_ARG, "noise is NULL");
    if (!nde_read_sized(known, sizeof *known, noise, sizeof *known))
        return nde_fail(NDE_E_ARG, "noise.size is %zu, which is not a layout that this library knows", noise->size);
    if (known->grid < 0) return nde_fail(NDE_E_ARG, "noise.grid is %lld: it must not be negative", (long long)known->grid);
    if (known->grid > (int64_t)1 << 48)
        return nde_fail(NDE_E_SIZE, "noise.grid is %lld: at most 2^48 cells have a place in the counter",
                        (long long)known->grid);
    if (known->tolerance == 0) known->tolerance = 0x1p-20;
    const nde_status bad = nde_noise_check(known, known->dim);
    return bad ? bad : check_source(known);
}

nde_status nde_noise_check(const nde_noise *noise, size_t m) {
    if (m > (size_t)1 << 25)
        return nde_fail(NDE_E_SIZE, "noise.dim is %zu: at most 2^25 components have a place in the counter", m);
    for (size_t i = 0; noise->correlation && i < m; i++)
        for (size_t j = 0; j <= i; j++)
            if (!isfinite(noise->correlation[i*m + j]))
                return nde_fail(NDE_E_ARG, "noise.correlation[%zu] is %g", i*m + j, noise->correlation[i*m + j]);
    return NDE_OK;
}

nde_status nde_noise_need(nde_noise *noise, int levy) {
    const bool stored = noise->source == NDE_SOURCE_STORED;
    const int has = stored ? noise->k ? NDE_LEVY_K : noise->h ? NDE_LEVY_H : NDE_LEVY_W : noise->levy ? noise->levy : levy;
    if (has < levy)
        return nde_fail(NDE_E_ARG,
                        stored ? "noise.%s is NULL: the method needs it" : "noise.levy is too little: the method needs %s",
                        levy == NDE_LEVY_K && has == NDE_LEVY_H ? "k" : "h");
    noise->levy = has;
    return NDE_OK;
}

/* ---- correlation ----------------------------------------------------------------------------- */

/* rows [m][ld] = factor rows, its lower triangle; rounded to a unit of the row's own where round is not NULL. */
static void correlate(const double *factor, size_t m, size_t n, size_t ld, const double *round, double *rows) {
    for (size_t i = m; i-- > 0;) {
        const double *a = factor + i*m;
        double *to = rows + i*ld, square = 0;
        for (size_t b = 0; b < n; b++) to[b] *= a[i];
        for (size_t j = 0; j < i; j++)
            for (size_t b = 0; b < n; b++) to[b] += a[j]*rows[j*ld + b];
        for (size_t j = 0; j <= i; j++) square += a[j]*a[j];
        const double scale = square > 0x1p-1000 ? nde_power_of_two(sqrt(square)) : 0;
        for (size_t b = 0; b < n && round && scale > 0; b++) to[b] = nde_to_unit(to[b], scale*round[b]);
    }
}

/* ---- sources --------------------------------------------------------------------------------- */

/* One piece of the lanes of a call; its rows of w, h, k begin at `begin`. */
typedef struct piece {
    const nde_noise *noise;
    const nde_noise_at *at;
    const nde_noise_kernels *kernels;
    size_t m, begin, n, trajectory[PIECE];
    double *out[3]; /* w, h, k: NULL not wanted */
    double cell[PIECE], round[PIECE];
} piece;

static void of_grid(const piece *p) {
    const nde_noise_at *at = p->at;
    p->kernels->cells(p->noise, at->grid, p->m, p->n, at->ld, p->trajectory, p->cell, at->first + p->begin, at->count,
                      p->out[0], p->out[1], p->out[2]);
}

/* rows [3][m][PIECE] of cell j of each step. */
static void one_cell(const piece *p, int64_t j, double *rows) {
    const nde_noise_at *at = p->at;
    const size_t m = p->m, all = m*PIECE;
    int64_t first[PIECE];
    for (size_t b = 0; b < p->n; b++) first[b] = at->first[p->begin + b] + j;
    if (p->noise->source == NDE_SOURCE_GRID) {
        p->kernels->cells(p->noise, at->grid, m, p->n, PIECE, p->trajectory, p->cell, first, 1, rows,
                          p->out[1] ? rows + all : NULL, p->out[2] ? rows + 2*all : NULL);
        return;
    }
    const double *const from[3] = { p->noise->w, p->noise->h, p->noise->k };
    for (size_t what = 0; what < 3; what++)
        for (size_t i = 0; i < m && p->out[what]; i++)
            for (size_t b = 0; b < p->n; b++)
                rows[what*all + i*PIECE + b] = from[what][((size_t)first[b]*m + i)*at->N + p->trajectory[b]];
}

/* Of stored increments, and of a grid whose cells are to be correlated. */
static void by_cells(const piece *p) {
    const size_t m = p->m, all = m*PIECE, ld = p->at->ld;
    nde_fold *fold = p->at->work;
    double *rows = (double *)(fold + m), spare[PIECE];
    memset(fold, 0, m*sizeof *fold);
    memset(rows, 0, 3*all*sizeof *rows);
    for (int64_t j = 0; j < p->at->count; j++) {
        one_cell(p, j, rows);
        for (size_t what = 0; what < 3 && p->noise->correlation; what++)
            if (p->out[what]) correlate(p->noise->correlation, m, p->n, PIECE, p->round, rows + what*all);
        for (size_t i = 0; i < m; i++)
            nde_fold_cell(&fold[i], p->n, rows + i*PIECE, rows + all + i*PIECE, rows + 2*all + i*PIECE);
    }
    for (size_t i = 0; i < m; i++)
        nde_fold_end(&fold[i], p->n, (uint64_t)p->at->count, p->out[0] + i*ld, p->out[1] ? p->out[1] + i*ld : spare,
                     p->out[2] ? p->out[2] + i*ld : NULL);
}

/* Do lanes that stand beside each other take the same cell? */
static bool is_block(size_t n, const size_t *trajectory, const int64_t *first) {
    bool is = true;
    for (size_t b = 1; b < n; b++) is &= trajectory[b] == trajectory[0] + b && first[b] == first[0];
    return is;
}

const double *nde_noise_stored(const nde_noise *noise, const nde_noise_at *at, size_t m) {
    if (noise->source != NDE_SOURCE_STORED || at->count != 1 || !is_block(at->n, at->trajectory, at->first)) return NULL;
    return noise->w + (size_t)at->first[0]*m*at->N + at->trajectory[0];
}

static void of_store(const piece *p) {
    const nde_noise_at *at = p->at;
    const double *const from[3] = { p->noise->w, p->noise->h, p->noise->k };
    const bool block = is_block(p->n, p->trajectory, at->first + p->begin);
    for (size_t what = 0; what < 3 && p->out[what]; what++)
        for (size_t i = 0; i < p->m; i++) {
            const double *row = from[what] + i*at->N;
            double *to = p->out[what] + i*at->ld;
            const size_t cell = p->m*at->N;
            if (block) memcpy(to, row + (size_t)at->first[p->begin]*cell + p->trajectory[0], p->n*sizeof *to);
            else
                for (size_t b = 0; b < p->n; b++) to[b] = row[(size_t)at->first[p->begin + b]*cell + p->trajectory[b]];
        }
}

/* Correlated, W is rounded at both ends of the step: its differences are exact. */
static void of_tree(const piece *p) {
    const nde_noise_at *at = p->at;
    const double *factor = p->noise->correlation;
    const size_t m = p->m, n = p->n, ld = at->ld;
    double *start = nde_tree_over(p->noise, at, m, p->begin, n, p->trajectory, p->out);
    if (!factor) return;
    double *w = p->out[0];
    for (size_t i = 0; i < m; i++)
        for (size_t b = 0; b < n; b++) w[i*ld + b] += start[i*PIECE + b];
    correlate(factor, m, n, ld, p->round, w);
    correlate(factor, m, n, PIECE, p->round, start);
    for (size_t i = 0; i < m; i++)
        for (size_t b = 0; b < n; b++) w[i*ld + b] -= start[i*PIECE + b];
    for (size_t what = 1; what < 3; what++)
        if (p->out[what]) correlate(factor, m, n, ld, NULL, p->out[what]);
}

/* ---- asking ---------------------------------------------------------------------------------- */

size_t nde_noise_bytes(const nde_noise *noise, size_t m, size_t lanes) {
    size_t bytes = 0, row = sizeof(double)*PIECE;
    if (noise->source == NDE_SOURCE_TREE) return nde_tree_bytes(noise, m, lanes);
    if (noise->source == NDE_SOURCE_GRID && !noise->correlation) return 0;
    return nde_size_multiply(m, sizeof(nde_fold) + 3*row, &bytes) ? bytes : SIZE_MAX;
}

double nde_noise_cell(const nde_noise *noise) { return nde_tree_cell(noise); }

void nde_noise_clear(const nde_noise *noise, void *work, size_t lanes) {
    if (noise->source == NDE_SOURCE_TREE) nde_tree_clear(work, lanes);
}

/* The lanes from `begin` on; of a pair both see the path of one number. */
static void take(const nde_noise *noise, const nde_noise_at *at, size_t m, size_t begin, piece *p) {
    p->noise = noise, p->at = at, p->m = m, p->begin = begin, p->n = at->n - begin < PIECE ? at->n - begin : PIECE;
    const double *from = at->t0 + begin, *to = at->t1 + begin;
    const size_t spans = nde_are_equal(p->n, from) && nde_are_equal(p->n, to) ? 1 : p->n;
    for (size_t b = 0; b < p->n; b++) p->trajectory[b] = at->trajectory[begin + b] >> (noise->antithetic ? 1 : 0);
    for (size_t b = 0; b < spans; b++)
        p->cell[b] = (to[b] - from[b])/(double)at->grid; /* the span's own cells: one path for any number of steps */
    for (size_t b = spans; b < p->n; b++) p->cell[b] = p->cell[0];
    for (size_t b = 0; b < p->n && noise->correlation; b++) p->round[b] = nde_unit_round(sqrt(to[b] - from[b]));
}

static void negate(const nde_noise_at *at, size_t m, size_t begin, size_t n, double *rows) {
    for (size_t i = 0; i < m && rows; i++)
        for (size_t b = 0; b < n; b++)
            if (at->trajectory[begin + b] & 1) rows[i*at->ld + b] = -rows[i*at->ld + b];
}

void nde_noise_over(const nde_noise *noise, const nde_noise_at *at, size_t m, double *w, double *h, double *k) {
    piece p;
    p.kernels = nde_noise_kernels_get(at->isa);
    for (size_t begin = 0; begin < at->n; begin += PIECE) {
        take(noise, at, m, begin, &p);
        p.out[0] = w + begin, p.out[1] = h ? h + begin : NULL, p.out[2] = k ? k + begin : NULL;
        if (noise->source == NDE_SOURCE_TREE) of_tree(&p);
        else if (noise->source == NDE_SOURCE_STORED && at->count == 1) of_store(&p);
        else if (noise->source == NDE_SOURCE_STORED || noise->correlation) by_cells(&p);
        else of_grid(&p);
        for (size_t what = 0; what < 3 && noise->antithetic; what++) negate(at, m, begin, p.n, p.out[what]);
    }
}
