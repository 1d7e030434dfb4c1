/* SPDX-License-Identifier: MIT
 * nde/implicit.h - implicit layers: fields whose value is the solution of an equation, with exact derivatives by the implicit
 * function theorem.
 *
 * nde_field_implicit makes a field of an equation, which goes wherever a field goes: into compositions, into the
 * right-hand side of a differential equation (the algebraic part of an index-1 problem), into events. Derivatives do not
 * look at how the solution was found: they cost one linear system with the transposed Jacobian, and memory that does not
 * depend on the number of iterations. nde_field_value, nde_field_vjp and nde_field_jvp call it without a solver;
 * nde_implicit_solve also tells how it went.
 *
 * A solution, the steady state of a differential equation for instance, can be found by any other means and be given as y: a
 * solve that begins there takes an iteration or none, and has the derivatives. */
#ifndef NDE_IMPLICIT_H
#define NDE_IMPLICIT_H

#include "base.h"
#include "field.h"
#include "real.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The equation y = F(t, y, u; p, q), or 0 = F(t, y, u; p, q), and how it is solved. Its residual is F - y, or F.
 *   field        dim = out; must outlive the layer
 *   root         0: y = F; 1: 0 = F
 *   inputs       0: the layer's own y [dim] is the guess from which the iteration starts, and has no derivative. > 0: the
 *                layer's y are the first `inputs` rows of the field's u, its u are the rest, and the iteration starts from
 *                `start`
 *   start        [dim] for all lanes; NULL: zero. Not copied
 *   iteration    NDE_ANDERSON ...: see base.h; 0: Anderson for fixed points; for roots Newton where `linear` is dense, else
 *                Newton-Krylov
 *   linear       NDE_LINEAR_*; 0: dense for dim <= 32 where the field has jacobian or jvp, else GMRES
 *   rtol, atol   a lane has converged when the root mean square over rows of residual/(atol + rtol |y|) is at most 1. 0: 1e-10
 *                (float: 1e-5) each; NDE_ZERO: literally zero, not both
 *   max_iterations   evaluations of F with their directions; a lane that needs more fails. 0: 100
 *   memory       of Anderson and Broyden, and vectors of GMRES between restarts. 0: 5, 20, 30; NDE_ZERO: Anderson without
 *                memory, which is plain iteration
 *   mixing       of Anderson: how much of the residual is added, within (0, 2). 0: 1
 *   linear_rtol  relative residual at which GMRES is done in derivatives; one that does not get there within 50 dim + 500
 *                products is a failure. 0: 1e-13 (float: 1e-6) */
typedef struct nde_implicit {
    size_t size;
    const nde_field *field;
    int32_t root;
    size_t inputs;
    const nde_real *start;
    int32_t iteration, linear;
    double rtol, atol;
    int32_t max_iterations, memory;
    double mixing, linear_rtol;
} nde_implicit;

/* The layer as a field: dim = inputs, or field.dim; out = field.dim; np, nq, t as the field's. It allocates nothing: all
 * that it works with stands in `work`. A lane in which the solution is not found is marked NDE_LANE_RETRY, its value is
 * NaN. vjp and jvp exist where the field has what they need: vjp, and jvp or jacobian for LINEAR_DENSE; jvp. Lanes whose
 * cotangents are all zero are not solved for. .eval is NULL when the description is wrong, and nde_error() says why. The
 * description must outlive the field. */
NDE_API nde_field nde_field_implicit(const nde_implicit *layer);

/* How it went in each lane; NULL arrays are not wanted.
 *   iterations   [n] steps that were taken
 *   residual     [n] as measured against the tolerances: at most 1 where it has converged; of the last point that was finite
 *   status       [n] NDE_OK; NDE_E_CONVERGENCE: not within max_iterations, or no step along Newton's direction has a smaller
 *                residual; NDE_E_SINGULAR: a matrix that is to be solved with is singular; NDE_E_NONFINITE, NDE_E_FIELD:
 *                what the field gave; NDE_STOPPED
 *   evaluations  out: of F, with all lanes of the block */
typedef struct nde_implicit_report {
    size_t size;
    int32_t *iterations;
    double *residual;
    nde_status *status;
    int64_t evaluations;
} nde_implicit_report;
/* The solution, without a solver; one allocation.
 *   at       as in nde_field_value, of the layer
 *   y        [layer's dim][ld]: the guess, or the inputs
 *   value    out [field.dim][ld]; in lanes that fail the last point that was finite; undefined on other errors than NDE_E_LANES
 *   report   may be NULL
 * Errors: NDE_E_ARG, NDE_E_SIZE, NDE_E_NOMEM, NDE_E_NO_JVP; NDE_E_FIELD when a callback fails as a whole; NDE_E_LANES when some
 * lanes have no solution, the first of which nde_error() names. */
NDE_API NDE_CHECK nde_status nde_implicit_solve(const nde_implicit *layer, const nde_site *at, const nde_real *y,
                                                nde_real *value, nde_implicit_report *report);

#ifdef __cplusplus
}
#endif
#endif
