/* SPDX-License-Identifier: MIT
 * krylov.c - phi of operators that are known by their products: see phi.h. */
#include "field/phi.h"

#include <float.h>
#include <math.h>
#include <string.h>

#include "core/lanes.h"

enum { USUAL = 30 }; /* vectors: beyond, to orthogonalise them costs more than shorter steps do */
enum { MORE = NDE_PHIS - 1, SMALL = 3 }; /* rows that phi_1 ... phi_4 add to a small matrix; such matrices of one lane */

size_t nde_krylov_most(size_t dim, size_t asked) {
    const size_t most = asked ? asked : USUAL;
    return most < dim ? most : dim;
}

size_t nde_krylov_scratch(size_t most) { return SMALL*(most + MORE)*(most + MORE); }

void nde_krylov_lay(nde_krylov *k, nde_rows_of_work *w) {
    k->basis = nde_take_rows(w, k->most + 1, k->d);
    k->h = nde_take_rows(w, k->most, k->most + 1);
    k->weight = nde_take_rows(w, (size_t)NDE_PHI_NODES*NDE_PHIS, k->most);
    k->size = nde_take_rows(w, 1, 1), k->look = nde_take_rows(w, 1, 1);
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

/* phi of the small matrix of lane b, whose first columns are the weights, once they are near enough: then nothing is left
 * to do. Of e^Z, Z = [z e_1 0; 0 0 1; ...], the first column is phi_0(z) e_1 and the last ones phi_1(z) e_1 ...: those of
 * z/2 come first, and those of z by a square, times 2^k. The estimate is that of phi_0, which is the worst.
 * Source: R. Sidje, ACM TOMS 24 (1998) 130-156. */
static void settle(nde_krylov *k, size_t b, double tau, nde_real *scratch) {
    const size_t m = k->count, d = m + MORE;
    nde_real *z = scratch, *e = z + d*d, *space = e + d*d;
    memset(z, 0, d*d*sizeof *z);
    for (size_t i = 0; i < m; i++)
        for (size_t j = i > 0 ? i - 1 : 0; j < m; j++) z[i*d + j] = (nde_real)(tau/2*(double)coefficient(k, i, j)[b]);
    for (size_t i = 0; i < MORE; i++) z[(i ? m + i - 1 : 0)*d + m + i] = 1;
    nde_exp_matrix(d, z, e, space);
    for (int node = 0; node < NDE_PHI_NODES; node++) {
        if (node) nde_exp_square(d, e, space);
        for (int f = 0; f < NDE_PHIS; f++)
            for (size_t j = 0; j < m; j++)
                weight(k, node, f, j)[b] = k->size[b]*(nde_real)ldexp((double)e[j*d + (f ? m + (size_t)f - 1 : 0)], -f*node);
    }
    const double eps = sizeof(nde_real) == sizeof(double) ? DBL_EPSILON : (double)FLT_EPSILON;
    const double next = fabs(tau)*(double)coefficient(k, m, m - 1)[b], off = next*fabs((double)e[(m - 1)*d + m])/2;
    double length = 1;
    for (size_t j = 0; j < m; j++) length += fabs((double)e[j*d]);
    const bool enough = m == k->d || off <= fmax(k->tolerance, 4*eps*next)*length;
    k->look[b] = (nde_real)(enough ? (m > 2 ? m - 2 : 1) : m < 8 ? m + 2 : m + m/4);
    if (enough) k->size[b] = 0;
}

int nde_krylov_build(nde_krylov *k, bool transposed, const nde_real *tau, const nde_real *x, nde_real *scratch) {
    memcpy(k->basis, x, k->d*k->ld*sizeof *x);
    memset(k->weight, 0, (size_t)NDE_PHI_NODES*NDE_PHIS*k->most*k->ld*sizeof *k->weight);
    nde_lane_normalise(k->d, k->n, k->ld, k->basis, k->size);
    bool left = true;
    for (k->count = 0; left && k->count < k->most;) {
        const size_t j = k->count++;
        const int code = nde_krylov_multiply(k, transposed, vector(k, j), vector(k, j + 1));
        if (code) return code;
        nde_lane_take_off(k->d, k->n, k->ld, j + 1, k->basis, vector(k, j + 1), coefficient(k, 0, j));
        nde_lane_normalise(k->d, k->n, k->ld, vector(k, j + 1), coefficient(k, j + 1, j));
        left = false;
        for (size_t b = 0; b < k->n; b++) {
            const bool looks = k->count == k->most || (double)k->count >= (double)k->look[b];
            if (k->size[b] != 0 && looks) settle(k, b, (double)tau[b], scratch);
            left = left || k->size[b] != 0;
        }
    }
    for (size_t b = 0; b < k->n && k->site.lane; b++)
        if (k->size[b] != 0 && k->site.lane[b] == NDE_LANE_OK) k->site.lane[b] = NDE_LANE_RETRY;
    return 0;
}

void nde_krylov_add(const nde_krylov *k, int phi, int node, nde_real w, nde_real *to) {
    for (size_t j = 0; j < k->count; j++) nde_lane_add(k->d, k->n, k->ld, weight(k, node, phi, j), w, vector(k, j), to);
}
