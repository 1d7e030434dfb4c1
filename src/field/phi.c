/* SPDX-License-Identifier: MIT
 * phi.c - phi of numbers and matrices. Source: B. Skaflestad, W. Wright, Appl. Numer. Math. 59 (2009) 783-799 (scaling and
 * squaring). */
#include "field/phi.h"

#include <math.h>
#include <string.h>

static const double inverse[NDE_PHIS] = { 1, 1, 0.5, 1/6.0, 1/24.0 }; /* 1/k! */

/* phi_0 ... phi_4 of a number: by the recurrence where nothing cancels, else by the series of the last one. */
void nde_phi_number(double z, double *phi) {
    phi[0] = exp(z);
    if (fabs(z) >= 1) {
        phi[1] = expm1(z)/z;
        for (int k = 2; k < NDE_PHIS; k++) phi[k] = (phi[k - 1] - inverse[k - 1])/z;
        return;
    }
    double next = 1/24.0;
    phi[4] = 0;
    for (int n = 0; n < 20; n++) phi[4] += next, next *= z/(n + 5);
    for (int k = 3; k > 0; k--) phi[k] = z*phi[k + 1] + inverse[k];
}

/* c = a b + c, all [d][d]. */
static void add_product(size_t d, const nde_real *a, const nde_real *b, nde_real *c) {
    for (size_t i = 0; i < d; i++)
        for (size_t k = 0; k < d; k++)
            for (size_t j = 0; j < d && a[i*d + k] != 0; j++) c[i*d + j] += a[i*d + k]*b[k*d + j];
}
static void fill(size_t d, double diagonal, nde_real *a) {
    memset(a, 0, d*d*sizeof *a);
    for (size_t i = 0; i < d; i++) a[i*d + i] = (nde_real)diagonal;
}

/* Halves z until it is small, for the series; how often. */
static int halve(size_t d, nde_real *z) {
    double norm = 0;
    int halves = 0;
    for (size_t i = 0; i < d; i++) {
        double sum = 0;
        for (size_t j = 0; j < d; j++) sum += fabs((double)z[i*d + j]);
        norm = fmax(norm, sum);
    }
    if (norm > 0.5 && isfinite(norm)) (void)frexp(2*norm, &halves);
    const nde_real by = (nde_real)ldexp(1, -halves);
    for (size_t e = 0; e < d*d; e++) z[e] *= by;
    return halves;
}

/* to = f(z), the sum of z^n/(n + first)!; space [d][d]. */
static void series(size_t d, int first, const nde_real *z, nde_real *to, nde_real *space) {
    enum { DEGREE = 13 };
    double factorial = 1;
    for (int n = 1; n <= DEGREE + first; n++) factorial /= n;
    fill(d, factorial, to);
    for (int n = DEGREE; n > 0; n--) {
        factorial *= n + first;
        fill(d, factorial, space);
        add_product(d, z, to, space);
        memcpy(to, space, d*d*sizeof *space);
    }
}

void nde_exp_square(size_t d, nde_real *e, nde_real *space) {
    memset(space, 0, d*d*sizeof *space);
    add_product(d, e, e, space);
    memcpy(e, space, d*d*sizeof *space);
}

void nde_exp_matrix(size_t d, nde_real *z, nde_real *e, nde_real *space) {
    const int halves = halve(d, z);
    series(d, 0, z, e, space);
    for (int k = 0; k < halves; k++) nde_exp_square(d, e, space);
}

/* phi_k(2 z) = 2^-k (phi_0(z) phi_k(z) + sum of phi_l(z)/(k - l)!, 0 < l <= k). */
static void double_phi(size_t d, nde_real *phi, nde_real *space) {
    const size_t size = d*d;
    for (int k = NDE_PHIS - 1; k >= 0; k--) {
        const double by = ldexp(1, -k);
        memset(space, 0, size*sizeof *space);
        add_product(d, phi, phi + (size_t)k*size, space);
        for (size_t e = 0; e < size; e++) {
            double sum = (double)space[e];
            for (int l = 1; l <= k; l++) sum += inverse[k - l]*(double)phi[(size_t)l*size + e];
            space[e] = (nde_real)(sum*by);
        }
        memcpy(phi + (size_t)k*size, space, size*sizeof *space);
    }
}

/* phi_0 ... phi_4 of the matrix z [d][d], which is overwritten: the series where it is small, then doubled. space [d][d]. */
void nde_phi_matrix(size_t d, nde_real *z, nde_real *phi, nde_real *space) {
    const size_t size = d*d;
    int halves = halve(d, z);
    series(d, NDE_PHIS - 1, z, phi + (NDE_PHIS - 1)*size, space);
    for (int k = NDE_PHIS - 2; k >= 0; k--) {
        nde_real *to = phi + (size_t)k*size;
        fill(d, inverse[k], to);
        add_product(d, z, to + size, to);
    }
    for (; halves > 0; halves--) double_phi(d, phi, space);
}
