/* SPDX-License-Identifier: MIT
 * layer.h - one equation on a block of lanes while it is solved: what iterations, linear systems and the layer share.
 *
 * Letters: y the unknowns [dim][ld], G(y) = F(y) - y or F(y) the residual, J the Jacobian of G. A lane lives until it has
 * converged or failed; then its y stays, and the field sees it as idle. Masks are rows of 1 and 0. */
#ifndef NDE_IMPLICIT_LAYER_H
#define NDE_IMPLICIT_LAYER_H

#include "nde/implicit.h"
#include "field/parts.h"
#include "implicit/gmres.h"

/* Where a lane stands. */
enum { NDE_LIVES = 0, NDE_CONVERGED, NDE_TOO_SLOW, NDE_SINGULAR, NDE_NOT_FINITE, NDE_FIELD_FAILED, NDE_STOPS };

typedef struct nde_unknowns {
    nde_implicit how;                /* with defaults filled in */
    const nde_field *field;
    nde_site site;                   /* of the field */
    size_t dim, n, ld, memory;
    nde_real *y, *residual;          /* [dim][ld] */
    nde_real *direction, *trial, *trial_residual; /* [dim][ld] */
    nde_real *norm, *trial_norm;     /* [ld] of residuals relative to the tolerances; NaN where there is none */
    nde_real *steps;                 /* [ld] taken so far */
    nde_real *live;                  /* [ld] mask */
    nde_real *begin, *weight, *goal; /* [ld] of an iteration's own */
    unsigned char *lane, *fate;      /* [ld] what the field sees; NDE_LIVES ... */
    nde_real *history, *small;       /* [][dim][ld], [][ld]: of Anderson, Broyden, GMRES */
    nde_real *jacobian, *matrix, *column; /* [dim][dim][ld], the same as LU, [dim]; NULL: GMRES */
    int *pivot;                      /* [dim][ld] */
    nde_real *tape;                  /* [field.tape][ld] */
    nde_real *inputs, *a_inputs;     /* [nu][ld] with how.inputs */
    int64_t evaluations;
} nde_unknowns;

/* ---- points: unknowns.c ---- */

/* From x->y on: all lanes live that the caller's site does not call idle. */
int nde_unknowns_begin(nde_unknowns *x, const unsigned char *lane);
/* What the field sees: lanes outside of the mask are idle. */
void nde_unknowns_show(nde_unknowns *x, const nde_real *mask);
/* residual, norm = G(y) in the lanes of the mask; the others are idle. */
int nde_unknowns_evaluate(nde_unknowns *x, const nde_real *y, const nde_real *mask, nde_real *residual, nde_real *norm);
/* trial = y + weight direction; y where weight [ld] is 0. */
void nde_unknowns_place(nde_unknowns *x, const nde_real *weight);
/* y = trial in the lanes of the mask, with its residual, and looks whether they have converged. */
void nde_unknowns_take(nde_unknowns *x, const nde_real *mask);
/* The same in all live lanes; those whose trial is not finite fail. */
void nde_unknowns_commit(nde_unknowns *x);
/* Ends live lanes whose direction is not finite. */
void nde_unknowns_refuse(nde_unknowns *x, const nde_real *direction, unsigned char fate);
void nde_unknowns_end(nde_unknowns *x, size_t b, unsigned char fate);
bool nde_unknowns_any(const nde_unknowns *x);

/* ---- linear systems with J at y: linear.c ---- */

/* What is done once for all systems at one y. Overwrites direction and trial_residual. */
int nde_unknowns_factor(nde_unknowns *x, const nde_real *y, bool transposed);
/* J x = b, or J' x = b; b is overwritten. In lanes without a solution x is not finite.
 *   goal   of GMRES: as there; NULL: how.linear_rtol, and where that is not reached x is NaN */
int nde_unknowns_solve(nde_unknowns *x, const nde_real *y, bool transposed, nde_real *goal, nde_real *b, nde_real *solution);

/* ---- iterations, after nde_unknowns_begin: iterate.c, newton.c ---- */

int nde_anderson(nde_unknowns *x);
int nde_broyden(nde_unknowns *x);
int nde_newton(nde_unknowns *x);
/* Rows of x->small that Anderson's needs. */
size_t nde_anderson_small(size_t memory);

#endif
