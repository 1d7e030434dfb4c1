/* SPDX-License-Identifier: MIT
 * krylov.c - phi of operators that are known by their products: see phi.h. */
#include "field/phi.h"

#include <float.h>
#include <math.h>
#include <string.h>

enum { USUAL = 30 }; /* vectors: beyond, to orthogonalise them costs more than shorter steps do */
enum { SMALL = NDE_PHIS + 2 }; /* matrices of one lane: z, phi, scratch */

size_t nde_krylov_most(size_t dim, size_t asked) {
    const size_t most = asked ? asked : USUAL;
    return most < dim ? most : dim;
}

size_t nde_krylov_scratch(size_t most) { return SMALL*most*most; }

void nde_krylov_lay(nde_krylov *k, nde_rows_of_work *w) {
    k->basis = nde_take_rows(w, k->most + 1, k->d);
    k->h = nde_take_rows(w, k->most, k->most + 1);
    k->weight = nde_take_rows(w, (size_t)NDE_PHI_NODES*NDE_PHIS, k->most);
    k->size = nde_take_rows(w, 1, 1);
}

static nde_real *vector(const nde_krylov *k, size_t j) { return k->basis + j*k->d*k->ld; }
static nde_real *coefficient(const nde_krylov *k, size_t i, size_t j) { return k->h + (j*(k->most + 1) + i)*k->ld; }
static nde_real *weight(const nde_krylov *k, int node, int phi, size_t j) {
    return k->weight + ((size_t)(node*NDE_PHIS + phi)*k->most + j)*k->ld;
}

int nde_krylov_multiply(const nde_krylov *k, bool transposed, const nde_real *x, nde_real *to) {
    if (!transposed) return k->linear->eval(k->linear, &k->site, x, to);
    memset(to, 0, k->d*k->ld*sizeof *to);
    return k->linear->vjp(k->linear, &k->site, x, x, &(nde_cotangent){ .y = to });
}

/* to = |x|, and x of length 1 unless it is 0. */
static void normalise(const nde_krylov *k, nde_real *x, nde_real *to) {
    NDE_LANES(b, k->n) to[b] = 0;
    for (size_t i = 0; i < k->d*k->ld; i += k->ld) NDE_LANES(b, k->n) to[b] += x[i + b]*x[i + b];
    for (size_t b = 0; b < k->n; b++) to[b] = (nde_real)sqrt((double)to[b]);
    for (size_t i = 0; i < k->d*k->ld; i += k->ld)
        for (size_t b = 0; b < k->n; b++) x[i + b] = to[b] > 0 ? x[i + b]/to[b] : 0;
}

/* Takes vectors 0 ... j off vector j + 1, and adds what they took to column j of h. */
static void take_off(const nde_krylov *k, size_t j, nde_real *dot) {
    nde_real *x = vector(k, j + 1);
    for (size_t i = 0; i <= j; i++) {
        const nde_real *v = vector(k, i);
        nde_real *h = coefficient(k, i, j);
        NDE_LANES(b, k->n) dot[b] = 0;
        for (size_t r = 0; r < k->d*k->ld; r += k->ld) NDE_LANES(b, k->n) dot[b] += v[r + b]*x[r + b];
        for (size_t r = 0; r < k->d*k->ld; r += k->ld) NDE_LANES(b, k->n) x[r + b] -= dot[b]*v[r + b];
        NDE_LANES(b, k->n) h[b] += dot[b];
    }
}

/* phi of the small matrix of lane b, whose first columns are the weights, once they are near enough: then nothing is left to do. The
 * estimate is that of phi_0, which is the worst. */
static void settle(nde_krylov *k, size_t b, double tau, nde_real *scratch) {
    const size_t m = k->count, size = m*m;
    nde_real *z = scratch, *phi = z + size, *space = phi + NDE_PHIS*size;
    for (size_t i = 0; i < m; i++)
        for (size_t j = 0; j < m; j++) z[i*m + j] = i > j + 1 ? 0 : (nde_real)(tau/2*(double)coefficient(k, i, j)[b]);
    nde_phi_matrix(m, z, phi, space);
    for (int node = 0; node < NDE_PHI_NODES; node++) {
        if (node) nde_phi_double(m, phi, space);
        for (int f = 0; f < NDE_PHIS; f++)
            for (size_t j = 0; j < m; j++) weight(k, node, f, j)[b] = k->size[b]*phi[((size_t)f*m + j)*m];
    }
    const double eps = sizeof(nde_real) == sizeof(double) ? DBL_EPSILON : (double)FLT_EPSILON;
    const double next = fabs(tau)*(double)coefficient(k, m, m - 1)[b], off = next*fabs((double)phi[(m + m - 1)*m]);
    double length = 1;
    for (size_t j = 0; j < m; j++) length += fabs((double)phi[j*m]);
    if (m == k->d || off <= fmax(k->tolerance, 4*eps*next)*length) k->size[b] = 0;
}

static bool looked_at(size_t count, size_t most) {
    return count == most || count <= 4 || (count <= 8 && count % 2 == 0) || count % 4 == 0;
}

int nde_krylov_build(nde_krylov *k, bool transposed, const nde_real *tau, const nde_real *x, nde_real *scratch) {
    memcpy(k->basis, x, k->d*k->ld*sizeof *x);
    memset(k->h, 0, k->most*(k->most + 1)*k->ld*sizeof *k->h);
    memset(k->weight, 0, (size_t)NDE_PHI_NODES*NDE_PHIS*k->most*k->ld*sizeof *k->weight);
    normalise(k, k->basis, k->size);
    bool left = true;
    for (k->count = 0; left && k->count < k->most;) {
        const size_t j = k->count++;
        const int code = nde_krylov_multiply(k, transposed, vector(k, j), vector(k, j + 1));
        if (code) return code;
        take_off(k, j, scratch);
        normalise(k, vector(k, j + 1), coefficient(k, j + 1, j));
        if (!looked_at(k->count, k->most)) continue;
        left = false;
        for (size_t b = 0; b < k->n; b++) {
            if (k->size[b] != 0) settle(k, b, (double)tau[b], scratch);
            left = left || k->size[b] != 0;
        }
    }
    for (size_t b = 0; b < k->n && k->site.lane; b++)
        if (k->size[b] != 0 && k->site.lane[b] == NDE_LANE_OK) k->site.lane[b] = NDE_LANE_RETRY;
    return 0;
}

void nde_krylov_add(const nde_krylov *k, int phi, int node, nde_real w, nde_real *to) {
    for (size_t j = 0; j < k->count; j++) {
        const nde_real *v = vector(k, j), *a = weight(k, node, phi, j);
        for (size_t i = 0; i < k->d*k->ld; i += k->ld) NDE_LANES(b, k->n) to[i + b] += w*a[b]*v[i + b];
    }
}
