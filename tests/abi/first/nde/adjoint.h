/* SPDX-License-Identifier: MIT
 * nde/adjoint.h - exact derivatives of a finished solve.
 *
 * What is differentiated: the map in which each step is a fixed fraction of its segment between forced times (t0, jumps,
 * knots of a linear path, clips, t1). For fixed steps this is the derivative of the program itself. Rejected attempts leave no
 * trace. A save time moves alone; a jump time moves the ends of its two segments; the increments of noise scale with
 * the square root of the step, stored ones too. With the continuous adjoints (options.adjoint) it is the exact
 * solution instead, with noise that along the same path.
 *
 * Estimates of steps (options.estimates) belong to the discrete solution. To regularise with another adjoint, take the
 * estimate of a step of its own: save the states at one drawn time (nde_uniform), make a second solver of one step from
 * there (t0 that time, y0 these rows, options.steps 1, estimates ALL, adjoint DISCRETE), add its gradient by y0 to the
 * seed of that row, and that by p to the gradient.
 *
 * Events: an event is where its g is zero along the extension of a step, and moves as that zero does, with y, p, q and
 * times: so do the state there, what a reset makes of it, and the steps after the reset, which are fixed fractions of the
 * segment from the event to the next forced time (fixed steps: the first of them leads to the next node). There is no
 * derivative, and it is refused with the place, where a g that ends or resets a trajectory, or whose time is asked for, is
 * touched and not crossed; and where a trajectory is ended or reset at the same time as by another event, at a jump, knot
 * or clip, or at t1: which comes first decides what happens. A save time that is that of a reset belongs to the time before
 * it. With continuous adjoints the way back is solved in pieces between events. */
#ifndef NDE_ADJOINT_H
#define NDE_ADJOINT_H

#include "base.h"
#include "real.h"
#include "solve.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Cotangents of the outputs; NULL: zero. */
typedef struct nde_seed {
    size_t size;
    const nde_real *y;          /* [n_save][out][n], as solution.y */
    const nde_real *y_end;      /* [dim][n] */
    const nde_real *quadrature; /* [nz][n] */
    const double *error_estimate, *stiffness_estimate; /* [n] of the solution's members; not with continuous adjoints */
    const double *event_t;      /* [event_rows][n], as solution.event_t; rows not filled are ignored, and trajectories that
                                 * failed */
    const nde_real *event_y;    /* [event_rows][dim][n], as solution.event_y: states before a reset */
    const double *t_end;        /* [n], as solution.t_end: where a terminal event ended a trajectory, its time; else t1 */
} nde_seed;

/* Gradients; NULL: not wanted. Overwritten; untouched on error. */
typedef struct nde_gradient {
    size_t size;
    nde_real *y0;         /* [dim][n] */
    nde_real *p;          /* [np] */
    nde_real *q;          /* [nq][n] */
    double *t0, *t1;      /* [n] */
    double *save_t;       /* [n_save]; [n_save][n] with options.save_t_each, 0 where it is NaN */
    double *jump_t;       /* [n_jumps] */
    nde_real *jump_u;     /* [n_jumps][jump_inputs][n] */
    nde_real *input_x;    /* [knots][channels][n] of problem.input */
    nde_real *const *term_x; /* [n_terms] each NULL or [knots][channels][n] of the term's path */
    double *loss_error;   /* [1] sum over steps of <cotangent of the new state, embedded error>: an estimate of the loss's
                           * own discretisation error; an over-estimate under local extrapolation. 0 without an estimate.
                           * A step that an event cuts adds nothing */
    double *reconstruction; /* [n] with NDE_ADJOINT_BACKSOLVE and REVERSIBLE only: the largest distance (root mean square
                             * over components) between the state gone back to and that of the solve, at save times and the
                             * start; at the states that are kept (with a quantum: and at the start, which was rounded to
                             * it) */
    nde_stats *back;      /* [n] with continuous adjoints only: what the way back cost */
    int64_t *recomputed;  /* [1] steps of a block of trajectories that were made again to have the states behind them,
                           * beside the once that each step without slopes is made again; 0 unless the record keeps
                           * checkpoints, and has less room than for the root of the number of steps as states and as steps
                           * with slopes and tapes */
    double *loss_spread;  /* [1] root of the sum of the squares of the terms of loss_error, one for each step of each
                           * trajectory: what it would come to if their signs were random. Where it is more than
                           * |loss_error|, they cancel */
    double *p_error;      /* [np] standard errors of p as a sum over independent trajectories, from the spread of the
                           * groups' sums (options.group; with antithetic noise an even number); NaN with less than two
                           * groups */
} nde_gradient;

/* A direction of the inputs; NULL: zero. Shapes as in nde_gradient. */
typedef struct nde_direction {
    size_t size;
    const nde_real *y0, *p, *q;
    const double *t0, *t1, *save_t, *jump_t;
    const nde_real *jump_u, *input_x;
    const nde_real *const *term_x;
} nde_direction;

/* Tangents of the outputs; NULL: not wanted. Shapes as nde_seed. */
typedef struct nde_output_tangent {
    size_t size;
    nde_real *y, *y_end, *quadrature;
    double *error_estimate, *stiffness_estimate; /* where the solution has them */
    double *event_t;
    nde_real *event_y;
    double *t_end;
} nde_output_tangent;

/* Gradients of the last run, any number of times.
 *   solver     ran to NDE_OK, NDE_EVENT, or NDE_E_LANES (trajectories that failed count as constants), with options.adjoint set
 *   seed       cotangents of the outputs; NULL: those of problem.loss
 *   gradient   out
 * Errors: NDE_E_ARG (no record; an event without a derivative, see above; what a continuous adjoint does not give: some
 * gradients, events with noise, those that act and have no row), NDE_E_NO_VJP, NDE_E_FIELD; with continuous adjoints also
 * what ends a solve, NDE_E_BUDGET. Where the record keeps checkpoints, those that have been passed make room for the states
 * of others: once more gives the same bits, but may repeat more steps.
 * Allocates nothing. Sums over trajectories have the same bits for any number of threads.
 * Source: E. Hairer, C. Lubich, G. Wanner, Geometric Numerical Integration (2006), VI.6; P. Kidger (2021), 5.1. */
NDE_API NDE_CHECK nde_status nde_backward(nde_solver *solver, const nde_seed *seed, const nde_gradient *gradient);
/* Runs the solver and takes the gradient of problem.loss: nde_solver_run, then nde_backward with the loss's cotangents.
 *   value      out: the loss; NaN when the run fails
 *   gradient   out
 * Returns NDE_EVENT where trajectories ended at terminal events: rows that they did not reach do not count.
 * Errors: those of both; NDE_E_LANES: some trajectories failed, the gradient is of the others; NDE_E_ARG without problem.loss
 * or options.adjoint. */
NDE_API NDE_CHECK nde_status nde_value_and_gradient(nde_solver *solver, double *value, const nde_gradient *gradient);
/* Forward mode of the same map: the tangent of the outputs along one direction of the inputs.
 *   direction   of the inputs
 *   tangent     out
 * Errors: NDE_E_ARG (no record; an event without a derivative), NDE_E_NO_JVP, NDE_E_FIELD. */
NDE_API NDE_CHECK nde_status nde_forward(nde_solver *solver, const nde_direction *direction,
                                         const nde_output_tangent *tangent);
/* The same along `count` directions: in every array of both structs, each of term_x too, they follow each other: y0
 * [count][dim][n], p [count][np], t0 [count][n], ..., tangents y [count][n_save][out][n], ... NULL: zero, or not wanted,
 * in all of them. As many as options.directions are followed at once, beside each other in the lanes, on one repetition of
 * the steps: a small problem takes little longer for many than for one. Fields see lanes of all directions in one call;
 * where input_x or term_x moves, or p and a field lacks the trait NDE_DIRECTIONS, those of one after the other. The same
 * bits as `count` calls of nde_forward, where fields are NDE_LANEWISE.
 * Errors: those of nde_forward; NDE_E_ARG for count 0. */
NDE_API NDE_CHECK nde_status nde_forward_many(nde_solver *solver, size_t count, const nde_direction *directions,
                                              const nde_output_tangent *tangents);

/* Product of the Hessian of a loss with a direction: the derivative of the gradient along it, exact for the discrete
 * solution. The state is solved once more, with its tangent beside it, and then backwards. Its steps are those of the run,
 * adaptive ones to rounding (not after nde_solver_run_to_goal: those of the solver's own tolerances).
 *   solver        ran to NDE_OK, or to NDE_E_LANES, with options.curvature; p, q, y0 are still those of the run
 *   direction     y0, p and q; other members are NULL
 *   seed          first derivatives of the loss by y, y_end and quadrature; NULL: those of problem.loss
 *   seed_tangent  their derivatives along the direction: with L'' of the loss by the outputs, L'' times what nde_forward
 *                 gives for the direction. NULL: zero, as for a loss that is linear in the outputs
 *   product       out; any member of a gradient but loss_error, loss_spread, reconstruction and back
 * A direction of y0, p or q only, and any member of product, give rows of one symmetric matrix.
 * Errors: NDE_E_ARG, NDE_E_NO_VJP where a field has no vjp_jvp, NDE_E_FIELD, NDE_E_BUDGET.
 * Source: B. Pearlmutter, Fast exact multiplication by the Hessian, Neural Computation 6 (1994) 147-160. */
NDE_API NDE_CHECK nde_status nde_hessian_product(nde_solver *solver, const nde_direction *direction, const nde_seed *seed,
                                                 const nde_seed *seed_tangent, const nde_gradient *product);
/* Product of the Gauss-Newton matrix J'WJ with a direction: nde_forward, then nde_backward, of the same record.
 *   weight    W, a number for each output; NULL, and NULL members: 1
 *   tangent   out: W J v. Its members say which outputs are counted: y, y_end, quadrature
 *   product   out
 * Errors: those of nde_forward and nde_backward; NDE_E_ARG with continuous adjoints.
 * Source: N. Schraudolph, Fast curvature matrix-vector products, Neural Computation 14 (2002) 1723-1738. */
NDE_API NDE_CHECK nde_status nde_gauss_newton_product(nde_solver *solver, const nde_direction *direction,
                                                      const nde_seed *weight, const nde_output_tangent *tangent,
                                                      const nde_gradient *product);

/* How right a gradient is, along three random directions v of y0, p and q together, each of the size of what it moves. */
typedef struct nde_gradient_report {
    size_t size;
    double gradient[3];       /* <gradient, v>, of options.adjoint */
    double forward[3];        /* <seed, J v> by forward mode of the recorded steps; NaN where a field has no jvp */
    double difference[3];     /* the same by differences of the frozen map: the recorded steps, repeated from x + h v */
    double forward_error, difference_error; /* root mean square of gradient's distance from each, relative to its size */
    double h;                 /* step of the differences: central, extrapolated once by Richardson's rule */
    double norm_y0, norm_p, norm_q; /* of the gradients */
    size_t inputs;            /* numbers in y0, p and q */
    int64_t steps, evals;     /* of the solve, over all trajectories */
} nde_gradient_report;
/* Compares the gradient that nde_backward gives for a problem with forward mode and with differences. Healthy in double:
 * both errors below 1e-9 for the discrete adjoint, near the tolerance for the others. A wrong gradient is not an error of
 * the call. Allocates two solvers and some arrays, through options.allocator, and frees them.
 *   seed     of the outputs, but for times and states of events; NULL: those of problem.loss
 *   random   seed of the directions
 *   report   out; zero its size, or NDE_INIT it; untouched on error
 * Errors: those of nde_solver_create, nde_solver_run and nde_backward; NDE_E_FIELD when a field fails near the solution. */
NDE_API NDE_CHECK nde_status nde_gradient_check(const nde_problem *problem, const nde_options *options, const nde_seed *seed,
                                                uint64_t random, nde_gradient_report *report);

/* What nde_solver_run_to_goal came to. */
typedef struct nde_goal_report {
    size_t size;
    double loss_error, loss_spread; /* of the last run */
    double factor;                  /* its tolerances are those of the options times this */
    int64_t evals;                  /* evaluations of the right-hand side, over all runs and trajectories, without the ways
                                     * back */
    int32_t runs;
    int32_t reached;                /* 1: |loss_error| and loss_spread are within the goal; 0: tolerances are as small as
                                     * they can be */
} nde_goal_report;
/* Goal-oriented tolerances: runs the solver, and again with smaller tolerances, until the estimated error of the loss is
 * at most `goal`, or tolerances are near rounding, or after 16 runs. Tolerances only shrink: begin with loose ones
 * (options.rtol 1e-2). The estimate is that of the solution that is continued by methods whose error estimate is of the
 * same; under local extrapolation (all embedded pairs here) it over-estimates, the more the smaller the tolerance. Then
 * the solver's tolerances are what they were; its record, nde_backward and dense solution are of the last run.
 *   solver     with options.adjoint DISCRETE and adaptive steps
 *   goal       > 0, in units of the loss
 *   seed       of the outputs, for a loss that is linear in them; NULL: those of problem.loss
 *   gradient   out, of the last run; NULL: not wanted
 *   solution   out, of the last run; NULL: not wanted
 *   report     out; zero its size, or NDE_INIT it; NULL: not wanted
 * Errors: NDE_E_ARG; those of nde_solver_run (NDE_E_LANES: the goal is for the others) and nde_backward.
 * Source: R. Becker, R. Rannacher, Acta Numerica 10 (2001) 1-102; Y. Cao, L. Petzold, SIAM J. Sci. Comput. 26 (2004)
 * 359-374. */
NDE_API NDE_CHECK nde_status nde_solver_run_to_goal(nde_solver *solver, double goal, const nde_seed *seed,
                                                    const nde_gradient *gradient, nde_solution *solution,
                                                    nde_goal_report *report);

#ifdef __cplusplus
}
#endif
#endif
