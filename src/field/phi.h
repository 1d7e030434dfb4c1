/* SPDX-License-Identifier: MIT
 * phi.h - the functions phi_0(z) = e^z, phi_(k+1)(z) = (phi_k(z) - 1/k!)/z of numbers, of matrices, and of operators that
 * are known by their products. */
#ifndef NDE_FIELD_PHI_H
#define NDE_FIELD_PHI_H

#include "field/parts.h"

enum { NDE_PHIS = 5, NDE_PHI_NODES = 2 }; /* phi_0 ... phi_4; at z/2 and at z */

void nde_phi_number(double z, double *phi);
/* phi [NDE_PHIS][d][d] of the matrix z [d][d], which is overwritten. space [d][d]. */
void nde_phi_matrix(size_t d, nde_real *z, nde_real *phi, nde_real *space);
/* e = e^z, z [d][d] is overwritten; and from there to e^(2 z). space [d][d]. */
void nde_exp_matrix(size_t d, nde_real *z, nde_real *e, nde_real *space);
void nde_exp_square(size_t d, nde_real *e, nde_real *space);

/* phi_k(z/2) x and phi_k(z) x for z = tau L, lane by lane, from the space of x, L x, L^2 x ... (Arnoldi). Lanes do not see
 * each other.
 * Source: Y. Saad, SIAM J. Numer. Anal. 29 (1992) 209-228. */
typedef struct nde_krylov {
    const nde_field *linear; /* x -> L x */
    nde_site site;
    size_t d, n, ld, most, count; /* vectors: at most, of the last x */
    double tolerance;
    nde_real *basis;   /* [most + 1][d][ld] */
    nde_real *h;       /* [most][most + 1][ld] */
    nde_real *weight;  /* [NDE_PHI_NODES][NDE_PHIS][most][ld]: of the vectors */
    nde_real *size;    /* [ld] |x|; 0: nothing is left to do */
    nde_real *look;    /* [ld] when to look whether there are enough: somewhat before there were for the vector before; 0:
                        * at 2 */
} nde_krylov;

/* Vectors that pay: of dim rows, `asked` or as many as usual. */
size_t nde_krylov_most(size_t dim, size_t asked);
void nde_krylov_lay(nde_krylov *k, nde_rows_of_work *w);
/* Rows of scratch for nde_krylov_build, for one lane at a time. */
size_t nde_krylov_scratch(size_t most);
/* Transposed: of L'. A lane that needs more vectors is marked NDE_LANE_RETRY. Returns what the field returned. */
int nde_krylov_build(nde_krylov *k, bool transposed, const nde_real *tau, const nde_real *x, nde_real *scratch);
/* to += w phi x, node 0: of z/2; 1: of z. */
void nde_krylov_add(const nde_krylov *k, int phi, int node, nde_real w, nde_real *to);
/* to = L x, or L' x. */
int nde_krylov_multiply(const nde_krylov *k, bool transposed, const nde_real *x, nde_real *to);

#endif
