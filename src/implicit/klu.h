/* SPDX-License-Identifier: MIT
 * klu.h - W of a sparse form by KLU, of SuiteSparse: in double, where the library was built with it. Each lane has factors of
 * its own, made anew each time, pivots included, so that they are a function of W alone. KLU takes its memory by malloc.
 * Source: T. Davis, E. Palamadai Natarajan, Algorithm 907: KLU, ACM TOMS 37 (2010) 36. */
#ifndef NDE_IMPLICIT_KLU_H
#define NDE_IMPLICIT_KLU_H

#include "implicit/lu.h"

bool nde_klu_is_there(void);
/* Operations of a factorisation without pivots, HUGE_VAL where it does not say. Errors: NDE_E_NOMEM. */
nde_status nde_klu_predict(size_t n, int *row_start, int *column, double *flops);

void nde_klu_lay(nde_lu *lu, nde_arena *arena);
/* Errors: NDE_E_NOMEM. */
nde_status nde_klu_open(nde_lu *lu);
void nde_klu_close(nde_lu *lu);
/* lu->a, W of lane b. False: no memory. */
bool nde_klu_factor(nde_lu *lu, size_t b);
/* x [dim]; without factors, it is not finite. */
void nde_klu_solve(const nde_lu *lu, size_t b, bool transposed, nde_real *x);

#endif
