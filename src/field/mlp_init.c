/* SPDX-License-Identifier: MIT
 * mlp_init.c - first parameters of a network: pure functions of the seed, the same bits on every machine. */
#include "field/mlp.h"

#include <math.h>
#include <string.h>

/* limit*uniform(-1, 1) */
static void fill_uniform(double limit, uint64_t seed, size_t layer, size_t count, nde_real *w) {
    for (size_t i = 0; i < count; i++)
        w[i] = (nde_real)(limit*(2*nde_uniform(seed, NDE_PURPOSE_INITIALISATION, layer, i, 0) - 1));
}

static void fill_normal(double deviation, uint64_t seed, size_t layer, size_t count, nde_real *w) {
    for (size_t i = 0; i < count; i++)
        w[i] = (nde_real)(deviation*nde_normal(seed, NDE_PURPOSE_INITIALISATION, layer, i, 0));
}

/* ---- orthogonal ---- */

/* `count` vectors of `length` numbers in w: number k of vector i at i*step + k*stride. */
typedef struct vectors {
    nde_real *w;
    size_t count, length, step, stride;
} vectors;

static void normalise(const vectors *v, size_t i) {
    nde_real *x = v->w + i*v->step;
    double squares = 0;
    for (size_t k = 0; k < v->length; k++) squares += (double)x[k*v->stride]*(double)x[k*v->stride];
    const double scale = squares > 0 ? 1/sqrt(squares) : 0;
    for (size_t k = 0; k < v->length; k++) x[k*v->stride] = (nde_real)((double)x[k*v->stride]*scale);
}

/* Takes the part along the unit vector i out of the `some` vectors from j on. */
enum { SOME = 32 };
static void take_out(const vectors *v, size_t i, size_t j, size_t some) {
    double along[SOME] = { 0 };
    const nde_real *q = v->w + i*v->step;
    nde_real *x = v->w + j*v->step;
    for (size_t k = 0; k < v->length; k++)
        for (size_t s = 0; s < some; s++) along[s] += (double)q[k*v->stride]*(double)x[s*v->step + k*v->stride];
    for (size_t k = 0; k < v->length; k++) {
        for (size_t s = 0; s < some; s++) {
            nde_real *to = x + s*v->step + k*v->stride;
            *to = (nde_real)((double)*to - along[s]*(double)q[k*v->stride]);
        }
    }
}

/* The Q of a Gaussian matrix whose R has a positive diagonal is uniformly distributed over the orthonormal ones; modified
 * Gram-Schmidt gives that Q, and applied twice it is orthonormal to rounding.
 * Sources: F. Mezzadri, How to generate random matrices from the classical compact groups, Notices AMS 54 (2007);
 * L. Giraud, J. Langou, M. Rozloznik, The loss of orthogonality in the Gram-Schmidt orthogonalization process (2005). */
static void make_orthogonal(uint64_t seed, size_t layer, size_t in, size_t out, nde_real *w) {
    const vectors rows = { w, out, in, in, 1 }, columns = { w, in, out, 1, in }, v = out <= in ? rows : columns;
    fill_normal(1, seed, layer, in*out, w);
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < v.count; i++) {
            normalise(&v, i);
            for (size_t j = i + 1; j < v.count; j += SOME) take_out(&v, i, j, v.count - j < SOME ? v.count - j : SOME);
        }
    }
}

/* ---- all of a network ---- */

static void make_weights(int32_t scheme, uint64_t seed, size_t layer, size_t in, size_t out, nde_real *w) {
    const double both = (double)in + (double)out;
    switch (scheme) {
    case NDE_GLOROT_UNIFORM: fill_uniform(sqrt(6/both), seed, layer, in*out, w); return;
    case NDE_GLOROT_NORMAL: fill_normal(sqrt(2/both), seed, layer, in*out, w); return;
    case NDE_HE_UNIFORM: fill_uniform(sqrt(6/(double)in), seed, layer, in*out, w); return;
    case NDE_HE_NORMAL: fill_normal(sqrt(2/(double)in), seed, layer, in*out, w); return;
    default: make_orthogonal(seed, layer, in, out, w);
    }
}

static nde_real *fill(nde_real *p, size_t count, nde_real value) {
    for (size_t i = 0; i < count; i++) *p++ = value;
    return p;
}

nde_status nde_mlp_init(const nde_mlp *mlp, int32_t scheme, uint64_t seed, nde_real *p) {
    const nde_status status = nde_mlp_validate(mlp, "nde_mlp_init");
    if (status != NDE_OK) return status;
    if (scheme < NDE_GLOROT_UNIFORM || scheme > NDE_ORTHOGONAL)
        return nde_fail(NDE_E_ARG, "nde_mlp_init: scheme is %d", (int)scheme);
    if (!p) return nde_fail(NDE_E_ARG, "nde_mlp_init: p is NULL");
    for (size_t l = 0; l < mlp->layers; l++) {
        const nde_layer y = nde_layer_at(mlp, l);
        make_weights(scheme, seed, l, y.in, y.out, p);
        p = fill(p + y.in*y.out, y.out, 0);
        if (y.norm) p = fill(fill(p, y.out, 1), y.out, 0);
    }
    return NDE_OK;
}
