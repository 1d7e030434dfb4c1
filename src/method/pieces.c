/* SPDX-License-Identifier: MIT
 * pieces.c - slopes in pieces that no increment of noise has gone into: what the end of one step and the start of the next
 * share. */
#include "method/rhs.h"

#include <string.h>

/* The piece of term k, which is diagonal; NULL: it is part of the first one. */
static const nde_real *piece_at(const nde_rhs *r, size_t k, const nde_real *pieces, size_t slab) {
    return r->problem.terms[k].noise ? pieces + (1 + r->term[k].rate/r->dim)*slab : NULL;
}

int nde_pieces_eval(const nde_rhs *r, nde_lanes *lanes, const double *t, const nde_real *y, nde_real *pieces, size_t slab,
                    nde_real *tape, size_t tape_ld) {
    for (size_t j = 1; r->nz && j < r->pieces; j++)
        memset(pieces + j*slab + r->dim*lanes->site.ld, 0, r->nz*lanes->site.ld*sizeof *pieces);
    lanes->apart = slab;
    const int rc = nde_rhs_eval(r, lanes, t, y, pieces, tape, tape_ld);
    lanes->apart = 0;
    return rc;
}

void nde_pieces_sum(const nde_rhs *r, const nde_lanes *lanes, const nde_real *pieces, size_t slab, nde_real *k) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    const nde_real *sum = pieces;
    for (size_t j = 0; j < r->problem.n_terms; j++) {
        const nde_real *g = piece_at(r, j, pieces, slab);
        if (!g) continue;
        r->kernels->step->multiply_add(r->dim, n, ld, g, nde_rhs_rate(r, lanes, j), sum, k);
        sum = k;
    }
    memcpy(k + r->dim*ld, pieces + r->dim*ld, r->nz*ld*sizeof *k);
}

/* As dW/h goes like 1/sqrt(h): its derivative by h is -1/(2h) times it. */
void nde_pieces_sum_transpose(const nde_rhs *r, const nde_lanes *lanes, const double *dt, const nde_real *pieces, size_t slab,
                              const nde_real *a_k, nde_real *a_pieces, double *a_h) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    for (size_t i = 0; i < r->rows*ld; i += ld)
        for (size_t b = 0; b < n; b++) a_pieces[i + b] += a_k[i + b];
    for (size_t j = 0; j < r->problem.n_terms; j++) {
        const nde_real *g = piece_at(r, j, pieces, slab);
        if (!g) continue;
        const nde_real *rate = nde_rhs_rate(r, lanes, j);
        r->kernels->step->multiply_add(r->dim, n, ld, a_k, rate, a_pieces + (g - pieces), a_pieces + (g - pieces));
        for (size_t i = 0; a_h && i < r->dim*ld; i += ld)
            for (size_t b = 0; b < n; b++)
                a_h[b] -= dt[b] != 0 ? 0.5*(double)a_k[i + b]*(double)g[i + b]*(double)rate[i + b]/dt[b] : 0;
    }
}

void nde_pieces_sum_tangent(const nde_rhs *r, const nde_lanes *lanes, const double *dt, const double *v_h,
                            const nde_real *pieces, const nde_real *v_pieces, size_t slab, nde_real *v_k) {
    const size_t n = lanes->site.n, ld = lanes->site.ld;
    nde_pieces_sum(r, lanes, v_pieces, slab, v_k);
    for (size_t j = 0; j < r->problem.n_terms; j++) {
        const nde_real *g = piece_at(r, j, pieces, slab);
        if (!g) continue;
        const nde_real *rate = nde_rhs_rate(r, lanes, j);
        for (size_t i = 0; i < r->dim*ld; i += ld)
            for (size_t b = 0; b < n; b++)
                v_k[i + b] -= (nde_real)(dt[b] != 0 ? 0.5*(double)g[i + b]*(double)rate[i + b]*v_h[b]/dt[b] : 0);
    }
}
