/* SPDX-License-Identifier: MIT
 * nde/stiff.h - libnde-stiff: variable-order BDF and Adams methods and index-1 differential-algebraic equations by SUNDIALS
 * (CVODES, IDAS), for problems of libnde. A library of its own, double only: link nde-stiff beside nde.
 *
 * The call is that of nde/solve.h: an nde_problem and nde_options in, an nde_solution out, with the same meaning of times,
 * saves, jumps, events, tolerances and statuses. options.jacobian says where the Jacobian of the drift is from: 0 is its own
 * where it has one (not for bands, if there is a jvp), else jvp, as few as its sparsity or band allow, else vjp; NDE_E_NO_JVP
 * without any of them. What is not known here is refused by name: problem.terms, split, splitting, norm, domain, spectrum,
 * loss, observe, stream, reduction; joint steps, fixed steps, and options of explicit methods. Tolerances weigh components as
 * 1/(rtol |y_i| + atol_i) in the root mean square, as everywhere in libnde; a quadrature counts too here, with rtol and the
 * least atol, for its formula is not that of the states. Of NDE_STIFF_DAE, rows at t0 are the consistent ones. After a reset
 * the order is 1 again: what happens within the tolerances then, such as the last of ever shorter bounces, may go unseen.
 *
 * SUNDIALS allocates some of its memory itself, by malloc; vectors, matrices and all else come from options.allocator. Nothing
 * is printed: what SUNDIALS has to say is part of solution.error. When the environment names files in SUNLOGGER_ERROR_FILENAME
 * and its like, SUNDIALS itself writes there. Callbacks must not leave by longjmp or exceptions.
 * Sources: A. Hindmarsh et al., SUNDIALS, ACM TOMS 31 (2005) 363-396; R. Serban, A. Hindmarsh, CVODES, ASME IDETC (2005);
 * D. Gardner et al., ACM TOMS 48 (2022) 31. */
#ifndef NDE_STIFF_H
#define NDE_STIFF_H

#include "adjoint.h"
#include "base.h"
#include "solve.h"

#ifdef __cplusplus
extern "C" {
#endif

/* nde_stiff_options.method
 *   BDF    CVODES, orders 1 to 5: stiff problems
 *   ADAMS  CVODES, orders 1 to 12: smooth problems that are not stiff
 *   DAE    IDAS, BDF of orders 1 to 5 for M y' = drift, M constant and perhaps singular (index 1); M = 1 without mass */
enum { NDE_STIFF_BDF = 1, NDE_STIFF_ADAMS = 2, NDE_STIFF_DAE = 3 };
/* nde_stiff_options.linear: how Newton's equations are solved.
 *   DENSE   LU of the n x n matrix: LAPACK's from 64 rows on, where the library was built with OpenBLAS and not with
 *           options.reproducible
 *   BAND    LU of the band that the drift's sparsity, or lower and upper, leave
 *   KRYLOV  GMRES with exact products of the Jacobian, not preconditioned; no matrix. Takes the drift's jvp
 *   NONE    functional iteration, no equations: for ADAMS on problems that are not stiff */
enum { NDE_STIFF_DENSE = 1, NDE_STIFF_BAND = 2, NDE_STIFF_KRYLOV = 3, NDE_STIFF_NONE = 4 };

/* What nde_options do not say. NULL and zeros: BDF with a direct solver. */
typedef struct nde_stiff_options {
    size_t size;
    int32_t method;              /* NDE_STIFF_*; 0: DAE where there is a mass matrix, else BDF */
    int32_t linear;              /* NDE_STIFF_*; 0: NONE with ADAMS, else BAND where the sparsity leaves less than a quarter of
                                  * the matrix, DENSE up to 512 rows, KRYLOV above where the drift has a jvp */
    int32_t max_order;           /* 0: 5, with ADAMS 12 */
    size_t lower, upper;         /* of BAND: diagonals below and above the main one; both 0: those of the drift's sparsity */
    size_t krylov;               /* of KRYLOV: vectors; 0: min(dim, 20) */
    const double *mass;          /* [dim][dim] M, row-major; NULL: mass_diagonal. Copied */
    const double *mass_diagonal; /* [dim]; NULL: 1. Copied */
    const double *dy0;           /* [dim][n] y' at the start, of DAE, which is then taken as it is with y0; read anew by each
                                  * run. NULL: it is found. A column of M that is zero belongs to an algebraic component, whose
                                  * y0 is a guess then, and is set so that the equations hold at the start (and after jumps and
                                  * resets) */
    int32_t suppress_algebraic;  /* 1: algebraic components do not count in the error test */
    /* The continuous adjoint, with options.adjoint NDE_ADJOINT_INTERPOLATED: not of DAE */
    int64_t checkpoint;          /* steps between checkpoints, whose states are in memory on the way back; 0: 250 */
    int32_t polynomial;          /* how they are interpolated; 1: by polynomials of the orders of the steps; 0: by Hermite's
                                  * cubics */
    int32_t back_method;         /* BDF or ADAMS; 0: as method */
    double back_rtol, back_atol; /* of the adjoint; 0: as the solve */
    double integral_rtol, integral_atol; /* > 0: the integrals for p and q count in the error test of the way back, with
                                          * these; an atol of 0 is literal. 0: they do not */
    int32_t dense;               /* 1: the run keeps what nde_stiff_dense needs, in options.budget */
} nde_stiff_options;

/* What a trajectory cost beyond nde_stats, whose factorisations are setups of the linear solver here. Its layout never
 * changes. */
typedef struct nde_stiff_counts {
    int64_t products;          /* of the Jacobian with vectors, by the Krylov method */
    int64_t error_failures, newton_failures; /* steps that were tried again; together nde_stats.rejected */
    int64_t restarts;          /* at jumps, clips and resets: the order is 1 again */
    int32_t last_order, most_order; /* of the last step, and the highest */
    int64_t reserved[2];
} nde_stiff_counts;

typedef struct nde_stiff_solver nde_stiff_solver;

/* Makes a solver, to be run any number of times.
 *   problem, options   as for nde_solver_create; options NULL: all defaults. options.method is 0
 *   stiff              NULL: all defaults
 *   solver             out; NULL on error
 * Errors: NDE_E_ARG, NDE_E_SIZE, NDE_E_NOMEM, NDE_E_NO_JVP, NDE_E_NO_VJP (options.adjoint); nde_stiff_error(NULL) says why. */
NDE_API NDE_CHECK nde_status nde_stiff_create(const nde_problem *problem, const nde_options *options,
                                              const nde_stiff_options *stiff,
                                              nde_stiff_solver **solver);
/* Solves all trajectories from the start. Arrays of the problem are read anew.
 *   solution   out, also on failure: states up to the last accepted step; may be NULL. It belongs to the solver; valid until
 *              its next run or destruction. solution.solver is NULL
 * Returns what nde_solver_run returns. A right-hand side that is not finite, or that asks for smaller steps again and again,
 * ends the trajectory with NDE_E_NONFINITE or NDE_E_FIELD; convergence failures, errors and tolerances that cannot be met with
 * NDE_E_STEPSIZE; a matrix that is singular whatever the step with NDE_E_STEPSIZE too; initial values that cannot be made
 * consistent with NDE_E_ARG. */
NDE_API NDE_CHECK nde_status nde_stiff_run(nde_stiff_solver *solver, nde_solution *solution);
/* nde_stiff_create and nde_stiff_run; *solver is to be destroyed when the solution is no longer needed, also on failure. */
NDE_API NDE_CHECK nde_status nde_stiff_solve(const nde_problem *problem, const nde_options *options,
                                             const nde_stiff_options *stiff,
                                             nde_stiff_solver **solver, nde_solution *solution);
/* [n] of the last run; never NULL. Trajectories that did not run are zero. */
NDE_API const nde_stiff_counts *nde_stiff_count(const nde_stiff_solver *solver);
/* The same of the last way back. */
NDE_API const nde_stiff_counts *nde_stiff_count_back(const nde_stiff_solver *solver);
/* The polynomial of the method's own in the step around t, with its derivative; needs nde_stiff_options.dense. Before jumps and
 * resets at t.
 *   y, dy   out [dim]; either may be NULL
 * Errors: NDE_E_ARG (nothing was kept; t outside what was solved). */
NDE_API NDE_CHECK nde_status nde_stiff_dense(const nde_stiff_solver *solver, size_t trajectory, double t, double *y,
                                             double *dy);
/* Gradients by the continuous adjoint: CVODES solves it backwards along the interpolated solution, so that they are right to
 * the tolerances of solve, interpolation and way back: a second opinion on those of nde_backward. After a jump or reset the way
 * back is refused. On error y0 and q of the gradient are undefined.
 *   seed       y, y_end, quadrature: cotangents as for nde_backward; other members are NULL
 *   gradient   out: y0, p, q, back; other members are NULL
 * Where more than one trajectory was run, each is solved forwards once more on the way.
 * Errors: NDE_E_ARG (no options.adjoint; the run failed), NDE_E_FIELD, NDE_E_NOMEM, and what ends a solve. */
NDE_API NDE_CHECK nde_status nde_stiff_backward(nde_stiff_solver *solver, const nde_seed *seed, const nde_gradient *gradient);
/* Text of the last failure of this solver; NULL: of the last call without one in this thread. Never NULL. */
NDE_API const char *nde_stiff_error(const nde_stiff_solver *solver);
/* "6.4.1": the SUNDIALS that it was built with. */
NDE_API const char *nde_stiff_sundials(void);
/* NULL is allowed. */
NDE_API void nde_stiff_destroy(nde_stiff_solver *solver);

#ifdef __cplusplus
}
#endif
#endif
