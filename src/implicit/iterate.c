/* SPDX-License-Identifier: MIT
 * iterate.c - Anderson's acceleration and Broyden's method on a block of lanes. */
#include "implicit/layer.h"

#include <math.h>
#include <string.h>

static nde_real *vector(const nde_unknowns *x, size_t i) { return x->history + i*x->dim*x->ld; }

static void subtract(const nde_unknowns *x, const nde_real *a, const nde_real *b, nde_real *to) {
    for (size_t i = 0; i < x->dim*x->ld; i += x->ld) NDE_LANES(l, x->n) to[i + l] = a[i + l] - b[i + l];
}
static void add(const nde_unknowns *x, const nde_real *w, const nde_real *from, nde_real *to) {
    nde_lane_add(x->dim, x->n, x->ld, w, 1, from, to);
}
static void dot(const nde_unknowns *x, const nde_real *a, const nde_real *b, nde_real *to) {
    nde_lane_dots(x->dim, x->n, x->ld, a, b, to);
}

/* ---- Anderson's acceleration -------------------------------------------------------------------
 * The last m differences dY of iterates and dR of residuals. With c that makes |r - sum c_i dR_i| least, by the normal
 * equations,
 *     y+ = y + mixing r - sum c_i (dY_i + mixing dR_i).
 * They are solved by L D L' from the newest difference on; one that is almost a combination of newer ones is left out. */

size_t nde_anderson_small(size_t memory) { return 2*memory*(memory + 1); }

/* Products of the differences; L with 1/D, or 0, on its diagonal; c, and what else there is one of for each difference. */
static nde_real *product(const nde_unknowns *x, size_t i, size_t j) { return x->small + (i*x->memory + j)*x->ld; }
static nde_real *lower(const nde_unknowns *x, size_t i, size_t j) { return product(x, x->memory + i, j); }
static nde_real *share(const nde_unknowns *x, size_t i) { return product(x, 2*x->memory, i); }
static nde_real *spare(const nde_unknowns *x, size_t i) { return product(x, 2*x->memory + 1, i); }

/* Where the i-th newest of `count` differences stands. */
static size_t slot(const nde_unknowns *x, size_t count, size_t i) { return (count - 1 - i)%x->memory; }

static void factorise(const nde_unknowns *x, size_t count, size_t used, size_t b) {
    const nde_real small = 64*(sizeof(nde_real) == sizeof(float) ? (nde_real)0x1p-23 : (nde_real)0x1p-52);
    for (size_t i = 0; i < used; i++) {
        const size_t row = slot(x, count, i);
        const nde_real all = product(x, row, row)[b];
        nde_real left = all;
        for (size_t j = 0; j < i; j++) {
            nde_real sum = product(x, row, slot(x, count, j))[b]; /* becomes L D */
            for (size_t k = 0; k < j; k++) sum -= spare(x, k)[b]*lower(x, j, k)[b];
            spare(x, j)[b] = sum;
            lower(x, i, j)[b] = sum*lower(x, j, j)[b];
            left -= sum*lower(x, i, j)[b];
        }
        lower(x, i, i)[b] = left > small*all ? 1/left : 0;
    }
}

/* c of lane b, where spare holds the products of the differences with r, newest first. */
static void substitute(const nde_unknowns *x, size_t used, size_t b) {
    for (size_t i = 0; i < used; i++) {
        nde_real sum = spare(x, i)[b];
        for (size_t k = 0; k < i; k++) sum -= lower(x, i, k)[b]*spare(x, k)[b];
        spare(x, i)[b] = sum;
    }
    for (size_t i = used; i-- > 0;) {
        nde_real sum = spare(x, i)[b]*lower(x, i, i)[b];
        for (size_t k = i + 1; k < used; k++) sum -= lower(x, k, i)[b]*share(x, k)[b];
        share(x, i)[b] = sum;
    }
}

/* trial from the last min(count, m) differences. */
static void mix(nde_unknowns *x, size_t count) {
    const size_t used = count < x->memory ? count : x->memory;
    const nde_real mixing = (nde_real)x->how.mixing;
    nde_real *change = x->direction;
    for (size_t b = 0; b < x->n; b++) factorise(x, count, used, b);
    for (size_t i = 0; i < used; i++) dot(x, vector(x, x->memory + slot(x, count, i)), x->residual, spare(x, i));
    for (size_t b = 0; b < x->n; b++) substitute(x, used, b);
    for (size_t i = 0; i < x->dim*x->ld; i += x->ld) NDE_LANES(b, x->n) change[i + b] = mixing*x->residual[i + b];
    for (size_t j = 0; j < used; j++) {
        const nde_real *c = share(x, j), *dy = vector(x, slot(x, count, j)), *dr = dy + x->memory*x->dim*x->ld;
        for (size_t i = 0; i < x->dim*x->ld; i += x->ld)
            NDE_LANES(b, x->n) change[i + b] -= c[b]*(dy[i + b] + mixing*dr[i + b]);
    }
    nde_unknowns_place(x, x->live);
}

/* The newest differences and their products, between y and trial. */
static void remember(nde_unknowns *x, size_t count) {
    const size_t newest = slot(x, count, 0), used = count < x->memory ? count : x->memory;
    nde_real *dr = vector(x, x->memory + newest);
    subtract(x, x->trial, x->y, vector(x, newest));
    subtract(x, x->trial_residual, x->residual, dr);
    for (size_t i = 0; i < used; i++) {
        dot(x, dr, vector(x, x->memory + slot(x, count, i)), product(x, newest, slot(x, count, i)));
        memcpy(product(x, slot(x, count, i), newest), product(x, newest, slot(x, count, i)), x->n*sizeof *dr);
    }
}

int nde_anderson(nde_unknowns *x) {
    int rc = 0;
    for (size_t count = 0; !rc && nde_unknowns_any(x); count++) {
        mix(x, count);
        rc = nde_unknowns_evaluate(x, x->trial, x->live, x->trial_residual, x->trial_norm);
        if (!rc && x->memory) remember(x, count + 1);
        if (!rc) nde_unknowns_commit(x);
    }
    return rc;
}

/* ---- Broyden's method --------------------------------------------------------------------------
 * Steps s alone are kept: with z = P r, P = -1/J at the start (J of a fixed point taken as -1), each of them adds
 * s_(j+1) (s_j.z)/|s_j|^2 to z, and the next one is z/(1 - s_k.z/|s_k|^2). When the memory is full, and in a lane where that is
 * almost a division by zero, all begins anew. Source: Kelley (1995), 7.3. */

/* direction = P r */
static int first_step(nde_unknowns *x, bool anew) {
    if (!x->how.root) return memcpy(x->direction, x->residual, x->dim*x->ld*sizeof *x->direction), 0;
    const int rc = anew ? nde_unknowns_factor(x, x->y, false) : 0;
    if (rc) return rc;
    for (size_t i = 0; i < x->dim*x->ld; i += x->ld) NDE_LANES(b, x->n) x->trial[i + b] = -x->live[b]*x->residual[i + b];
    return nde_unknowns_solve(x, x->y, false, NULL, x->trial, x->direction);
}

/* direction, from k steps and those to come from them: s_k is the last one; a lane has those from `begin` on. */
static void update(nde_unknowns *x, size_t k) {
    nde_real *z = x->direction, *begin = x->begin, *w = x->weight, *size = x->small;
    for (size_t j = 0; j <= k; j++) {
        dot(x, vector(x, j), z, w);
        for (size_t b = 0; b < x->n; b++) w[b] = begin[b] <= (nde_real)j && size[j*x->ld + b] > 0 ? w[b]/size[j*x->ld + b] : 0;
        if (j < k) add(x, w, vector(x, j + 1), z);
    }
    for (size_t b = 0; b < x->n; b++) {
        const nde_real left = 1 - w[b];
        const bool steep = !(left > (nde_real)0.05 || left < (nde_real)-0.05);
        if (steep) begin[b] = (nde_real)(k + 1);
        w[b] = steep ? 1 : 1/left;
    }
    nde_lane_scale(x->dim, x->n, x->ld, w, z, z);
}

int nde_broyden(nde_unknowns *x) {
    int rc = first_step(x, true);
    memset(x->begin, 0, x->ld*sizeof *x->begin);
    for (size_t k = 0; !rc && nde_unknowns_any(x);) {
        nde_unknowns_refuse(x, x->direction, x->how.root && k == 0 ? NDE_SINGULAR : NDE_NOT_FINITE);
        memcpy(vector(x, k), x->direction, x->dim*x->ld*sizeof *x->direction);
        dot(x, vector(x, k), vector(x, k), x->small + k*x->ld);
        nde_unknowns_place(x, x->live);
        rc = nde_unknowns_evaluate(x, x->trial, x->live, x->trial_residual, x->trial_norm);
        if (rc) break;
        nde_unknowns_commit(x);
        const bool full = k + 1 == x->memory;
        rc = first_step(x, full);
        if (full) k = 0, memset(x->begin, 0, x->ld*sizeof *x->begin);
        else if (!rc) update(x, k), k++;
    }
    return rc;
}
