/* SPDX-License-Identifier: MIT
 * nde/solve.h - the problem, the solver and the solution.
 *
 * Which call
 *   one solve                       nde_solve, then nde_solution_free
 *   many of one shape (training)    nde_solver_create once, nde_solver_run as often as wanted: it reads the problem's arrays
 *                                   anew and allocates nothing; nde_solver_destroy
 *   in pieces, or saved to disk     nde_solver_steps, nde_solver_state, nde_solver_restore
 *   what will it cost               nde_plan
 *   gradients, tangents             options.adjoint, then nde_backward, nde_forward (nde/adjoint.h)
 *   a small problem, as fast as by hand: nde/inline.h
 * Which values
 *   at the end                      solution.y_end
 *   at chosen times                 options.save_t, to solution.y: they never change the steps
 *   at every k-th step              options.save_every
 *   anywhere, afterwards            options.adjoint, then nde_solver_dense
 *   where something happens         problem.events, to solution.event_t and event_y; how that moves: seed.event_t,
 *                                   event_y, t_end
 * What went wrong
 *   a call returns its status; solution.error names trajectory, t, h and component, solution.status[i] tells it for each; calls
 *   without a solver leave their sentence in nde_error(). Values up to the last accepted step are there after any status. */
#ifndef NDE_SOLVE_H
#define NDE_SOLVE_H

#include "base.h"
#include "field.h"
#include "path.h"
#include "real.h"

#ifdef __cplusplus
extern "C" {
#endif

/* + field(t, y, [input values][dZ]) beside the drift.
 *   path   dZ = dX/dt: a controlled differential equation; field.nu = input channels + path.channels, out = dim
 *   noise  dZ = dW: field.nu = input channels + m; kind DIAGONAL: the field is called without dZ, m = dim, and its out = dim
 *          values are multiplied with dW by the solver. The other kinds return the product g(t, y) dW, linear in dW
 * Exactly one of noise and path. In an array of terms the first one's size is the stride. */
typedef struct nde_term {
    size_t size;
    const nde_field *field;
    const nde_noise *noise;
    const nde_path *path;
    int32_t kind; /* NDE_NOISE_*; needed with noise */
} nde_term;

/* A loss on the rows at the save times (states, or what problem.observe makes of them), summed over them: it is called
 * once for each save time after a run, in order.
 *   t       of the row; NaN with options.save_t_each: the callback knows them
 *   y       [out][n]; NaN in trajectories that did not get there
 *   value   the callback adds to it
 *   a_y     out [out][n]: its derivative by y; NULL when the solver has no adjoint. Zeroed before the call
 * Returns 0; nonzero: the run fails with NDE_E_FIELD.
 *   error_estimate, stiffness_estimate   what the sums over trajectories of the solution's members of these names count in
 *                                        the loss,
 *           trajectories that failed left out; finite, and 0 without options.estimates */
typedef struct nde_loss {
    size_t size;
    int (*at)(void *ctx, size_t save, double t, size_t n, const nde_real *y, double *value, nde_real *a_y);
    void *ctx;
    double error_estimate, stiffness_estimate;
} nde_loss;

/* An event: a zero that g(t, y; p, q) passes. Signs are compared between accepted steps, the zero is then that of the method's
 * continuous extension to 4 ulp of t: two zeros within one step are not seen (options.h_max bounds the step). A zero at the
 * start, after a jump or after a reset is none until g has left it. A value that is exactly zero at the end of a step counts as
 * passed.
 *   g          out = 1; nu = 0 or input.channels. NaN ends the trajectory with NDE_E_NONFINITE, RETRY with NDE_E_FIELD
 *   direction  > 0: only where g rises, in the direction in which the solve runs; < 0: only where it falls; 0: both
 *   terminal   k > 0: the k-th hit ends the trajectory with NDE_EVENT, at the event; 0: none does
 *   at_start   1: a g that is beyond zero already at t0 (>= 0 with direction > 0, <= 0 with direction < 0; no reset) is a hit
 *              there
 *   reset      y+ = reset(t, y-), dim = out, nu as g: the step is cut at the event and the trajectory goes on from y+ as from a
 *              start; not with noise, nor with joint steps of more than one trajectory. NULL: y goes on as it is
 * Hits are taken in the order of time; those within 16 ulp of t of one another happen together: all of them count, resets are
 * made in the order of the events, and a terminal one goes before resets. Two resets in a row of which neither brings the
 * trajectory forward by 2^14 ulp of t (float: 2^-23 t) end it with NDE_E_STEPSIZE: the last of ever shorter bounces. In an
 * array of events the first one's size is the stride.
 * Source of the root: I. Oliveira, R. Takahashi, ACM Trans. Math. Softw. 47 (2020) 5. */
typedef struct nde_event {
    size_t size;
    const nde_field *g;
    int32_t direction;
    int64_t terminal;
    const nde_field *reset;
    int32_t at_start;
} nde_event;

/* A norm of the caller's own for the error of a step. Tolerances are its business: those of the options are not used.
 *   of   from several threads when options.threads > 1. trajectory [n]; error, y, z [dim][ld]: the error estimate of the
 *        attempt, the states before and after it; for the length of a first step, y or slopes stand in place of the error, and
 *        z is y.
 *        norm out [n]: <= 1 accepts, NaN rejects; with joint steps the largest counts. Returns what a field's eval returns */
typedef struct nde_error_norm {
    size_t size;
    int (*of)(void *ctx, size_t n, size_t ld, const size_t *trajectory, const nde_real *error, const nde_real *y,
              const nde_real *z, double *norm);
    void *ctx;
} nde_error_norm;

/* Where the solution may be. A step that ends outside is rejected and tried smaller; one that cannot (fixed steps, no
 * progress), a start or a jump outside end the trajectory with NDE_E_DOMAIN.
 *   positive   [n_positive] components that are never below zero
 *   inside     nonzero where y [dim] is inside, from several threads when options.threads > 1; NULL: everywhere */
typedef struct nde_domain {
    size_t size;
    const size_t *positive;
    size_t n_positive;
    int (*inside)(void *ctx, size_t trajectory, double t, const nde_real *y);
    void *ctx;
} nde_domain;

/* Where a preconditioner is asked: lanes b < n of a block, arrays ld apart.
 *   trajectory    [n] numbers in the ensemble
 *   t, y, h       [n], [dim][ld], [n]: of I - h J, J = dF/dy at (t, y), h being the step times the method's gamma. A lane whose
 *                 h is 0 wants nothing
 *   worker        number of the calling worker, as of a field
 *   transposed    1: of (I - h J)', for gradients
 *   again         1: t, y and h are those of this worker's call before, and what was made of them holds */
typedef struct nde_preconditioner_site {
    size_t n, ld;
    const size_t *trajectory;
    const double *t, *h;
    const nde_real *y;
    int32_t worker, transposed, again;
} nde_preconditioner_site;

/* Approximate solutions of (I - h J) z = r, by which GMRES needs fewer products. Linear in r; the same function of the same
 * arguments on the way back.
 *   solve   r, z [dim][ld], apart; from several threads when options.threads > 1. Returns what a field's eval returns */
typedef struct nde_preconditioner {
    size_t size;
    int (*solve)(void *ctx, const nde_preconditioner_site *at, const nde_real *r, nde_real *z);
    void *ctx;
} nde_preconditioner;

/* How stiff a problem is, for rkc2.
 *   radius   a bound on the spectral radius of the Jacobian of the right-hand side at (t, y), y [dim]; asked at the start of
 *            each attempt, from several threads when options.threads > 1, and again on the way back: to be a pure function.
 *            NaN or negative: the step is tried again with a smaller h */
typedef struct nde_spectrum {
    size_t size;
    double (*radius)(void *ctx, size_t trajectory, double t, const nde_real *y);
    void *ctx;
} nde_spectrum;
/* y' = drift + second, of which each is followed on its own in turn: NDE_LIE (order 1), NDE_STRANG (order 2), or a
 * composition such as NDE_YOSHIDA4, NDE_KAHAN_LI6 (their orders; with sub-steps back in time). Fixed steps; without terms,
 * quadrature and problem.split.
 *   second      dim = out = problem.dim; nu as of the drift
 *   drift_by, second_by   one step of this explicit Runge-Kutta method follows the field, NDE_HEUN ...; 0: rk4. Its order
 *               bounds that of the whole
 * A field, drift or second, whose nu is one more than the input's channels, is one whose flow phi is known instead: its last
 * u is the length tau of a sub-step, and its value the mean slope (phi_tau(y) - y)/tau from t on; nde_field_flow makes it of
 * phi. Its _by is 0. tau has the sign of the sub-step and is never 0. Both may be such fields. Values inside a step lie on a
 * straight line.
 * With a method of NDE_KIND_IMEX, NDE_KENCARP4 ..., the drift is followed explicitly and second implicitly, by one method: the
 * _by are 0, neither is a flow; steps may be adaptive, and Jacobians are those of second alone. Source: R. I. McLachlan,
 * G. R. W. Quispel, Splitting methods, Acta Numerica 11 (2002) 341-434. */
typedef struct nde_splitting {
    size_t size;
    const nde_field *second;
    int32_t drift_by, second_by;
} nde_splitting;

/* Rows as they come, instead of (options.discard) or beside solution.y: a solve of any length in little memory.
 *   at   m rows at once: row[j] of trajectory[j], at t[j]; y [out][ld], component i of row j at y[i*ld + j]. The rows of one
 *        trajectory come in their order, each once, those of different trajectories in any. From several threads when
 *        options.threads > 1, never for one trajectory at one time. Returns 0; nonzero: the run stops with NDE_STOPPED,
 *        the value stands in stats.callback of these trajectories; a call of another thread may still be on its way */
typedef struct nde_stream {
    size_t size;
    int (*at)(void *ctx, size_t m, size_t ld, const size_t *trajectory, const size_t *row, const double *t, const nde_real *y);
    void *ctx;
} nde_stream;

/* What all trajectories do together, row by row and component by component, without keeping them: mean, variance, least,
 * greatest, quantiles, and what the caller makes of them. Not with save_every, whose rows have no times in common. A
 * trajectory counts at the rows that it reached; where it failed, only up to there. Bits depend on options.group, never on
 * threads.
 *   levels     [n_levels] in [0, 1]: quantiles that are wanted, the values of rank ceil(level count); copied
 *   error      of a quantile x: at most error |x|, or 2^(1 - octaves) of the largest magnitude in the row's component if
 *              that is more. Within [2^-13, 1/2]; 0: 1/64. That takes 4 to 8 octaves/error bytes for each row, component
 *              and thread
 *   octaves    within [1, 2046]; 0: 32
 *   bytes      > 0: of the caller's own state for one row, plain bytes at a multiple of 16, which are part of a saved state
 *   init       makes an empty one
 *   add        adds row `row` of a trajectory: component i at y[i*ld]. From several threads when options.threads > 1, for
 *              different states. Nonzero: as in nde_stream
 *   merge      adds the other to `state`, always in one order
 *   edges      [n_edges] finite, ascending: a histogram, of every component alike: how many are below edges[0], from
 *              edges[i] on and below edges[i + 1], from the last one on. Takes 8 (n_edges + 1) bytes for each row,
 *              component and thread. Copied
 * Sources: B. Welford, Technometrics 4 (1962) 419-420; T. Chan, G. Golub, R. LeVeque, Amer. Statist. 37 (1983) 242-247; C.
 * Masson, J. Rim, H. Lee, Proc. VLDB Endow. 12 (2019) 2195-2205. */
typedef struct nde_reduction {
    size_t size;
    const double *levels;
    size_t n_levels;
    double error;
    int32_t octaves;
    size_t bytes;
    void (*init)(void *ctx, size_t row, void *state);
    int (*add)(void *ctx, void *state, size_t row, size_t trajectory, double t, const nde_real *y, size_t ld);
    void (*merge)(void *ctx, size_t row, void *state, const void *other);
    void *ctx;
    const double *edges;
    size_t n_edges;
} nde_reduction;

/* y' = drift(t, y, u; p, q) + terms, y(t0) = y0. Arrays belong to the caller and are read anew by each run: a training
 * loop updates p in place. Structs (fields, terms, paths) must outlive the solver. */
typedef struct nde_problem {
    size_t size;
    size_t n;                   /* trajectories; 0: 1 */
    size_t dim;                 /* rows of y; 0: drift.dim */
    size_t np, nq;              /* rows of p and q; 0: what the fields need */
    double t0, t1;              /* t1 < t0 runs backwards in time */
    const double *t0_each, *t1_each; /* [n], instead; the same direction for all. NULL: t0, t1 */
    const nde_real *y0;         /* [dim][n] */
    const nde_real *p;          /* [np] shared by all fields and trajectories; NULL when np = 0 */
    const nde_real *q;          /* [nq][n]; NULL when nq = 0 */
    const nde_field *drift;     /* dim = out; nu = 0 or input.channels. NULL only with terms */
    const nde_term *terms;      /* [n_terms] */
    size_t n_terms;
    const nde_field *quadrature; /* z' = quadrature(t, y, u), z(t0) = 0: same nodes and weights, outside the error norm */
    const nde_path *input;      /* its values are the first part of every field's u; NULL: none */
    int32_t calculus;           /* NDE_ITO or NDE_STRATONOVICH; needed with noise */
    size_t split;               /* > 0: rows below are positions q, the others velocities v, and drift is separable:
                                 * q' = F1(t, v), v' = F2(t, q) */
    const double *jump_t;       /* [n_jumps] strictly monotone towards t1; outside (t0, t1) they do nothing */
    size_t n_jumps;
    const nde_field *jump;      /* y+ = jump(t, y-, u): dim = out; nu = jump_inputs. site.interval numbers the jump */
    size_t jump_inputs;
    const nde_real *jump_u;     /* [n_jumps][jump_inputs][n]; NULL when jump_inputs = 0 */
    const nde_loss *loss;       /* not with save_every; NULL: none */
    const nde_event *events;    /* [n_events], at most 64 */
    size_t n_events;
    const nde_error_norm *norm; /* instead of options.norm and weights; NULL: these */
    const nde_domain *domain;   /* NULL: everywhere */
    const nde_spectrum *spectrum; /* of rkc2; NULL: see options.spectral_radius */
    const nde_splitting *splitting; /* a second part of the drift; NULL: none */
    const nde_field *observe;   /* rows are what it makes of the states, at their times: out as it likes; nu = 0 or
                                 * input.channels. An observation that is not finite ends the trajectory with
                                 * NDE_E_NONFINITE, RETRY with NDE_E_FIELD, at the end of the step that has the row. With
                                 * options.adjoint the states are kept too. NULL: states */
    const nde_stream *stream;   /* NULL: none */
    const nde_reduction *reduction; /* NULL: none */
    const nde_preconditioner *preconditioner; /* with options.linear NDE_LINEAR_GMRES; NULL: none */
} nde_problem;

typedef struct nde_solver nde_solver;

/* Belongs to the solver; valid until its next run, restore or destroy. Zero it, or NDE_INIT it, before the first use:
 * only `size` is read. */
typedef struct nde_solution {
    size_t size;
    size_t n, dim, nz;
    size_t n_save;              /* rows of y, or that there would be; 0: without a limit */
    const double *t;            /* [n_save] save times; [n_save][n] with save_every and save_t_each */
    const nde_real *y;          /* [n_save][out][n]; rows a trajectory did not reach are NaN; NULL with options.discard */
    const size_t *saved;        /* [n] rows that each trajectory reached */
    const nde_real *y_end;      /* [dim][n] state where each trajectory stopped, always an accepted one */
    const nde_real *quadrature; /* [nz][n] where each stopped; NULL without */
    const double *t_end;        /* [n] where each stopped */
    const nde_status *status;   /* [n] */
    const nde_stats *stats;     /* [n] */
    const char *error;          /* first failure in trajectory order: trajectory, t, h, component; NULL: none */
    size_t record_bytes;        /* bytes used of the budget */
    int record;                 /* NDE_RECORD_*: the form that the record ended in */
    double loss;                /* value of problem.loss; NaN without, or when the run did not end with NDE_OK or E_LANES */
    double lanes_busy;          /* accepted and rejected lane steps / lanes that the kernels passed over */
    nde_solver *solver;         /* set by nde_solve only: nde_solution_free destroys it */
    /* hits of events; all NULL without */
    size_t n_events, event_rows;
    const int64_t *event_count; /* [n_events][n] hits of each event */
    const size_t *event_saved;  /* [n] rows of the following that are filled: the first hits of each trajectory */
    const int32_t *event_which; /* [event_rows][n] number of the event; -1 in rows not filled */
    const unsigned char *event_together; /* [event_rows][n] 1: at the same time as the row before */
    const double *event_t;      /* [event_rows][n]; NaN in rows not filled */
    const nde_real *event_y;    /* [event_rows][dim][n] states there, before a reset; NaN in rows not filled */
    const int32_t *event_end;   /* [n] the event that ended the trajectory, or whose g or reset failed; -1: none */
    size_t out;                 /* components of a row: dim, or out of problem.observe */
    /* of problem.reduction, so far; all NULL without */
    size_t n_levels;
    const size_t *row_count;    /* [n_save] trajectories that reached the row: n - row_count were left out */
    const double *mean, *least, *greatest; /* [n_save][out]; NaN where there are none */
    const double *variance;     /* [n_save][out] unbiased: sum of squares/(row_count - 1); NaN with less than two */
    const double *quantile;     /* [n_save][n_levels][out]; NaN where there are none */
    const void *reduced;        /* [n_save] the caller's states, nde_reduction.bytes, rounded up to a multiple of 16, apart */
    /* with options.estimates, else NULL */
    const double *error_estimate;     /* [n] |h| E, summed or of one step: see NDE_ESTIMATES_ALL */
    const double *stiffness_estimate; /* [n] S likewise; NULL too when the method is no explicit Runge-Kutta method */
    const int64_t *estimate_step;     /* [n] with TIME and STEP: the number of that step, from 1; 0: none; NULL with ALL */
    /* of problem.reduction too */
    size_t n_bins;                    /* n_edges + 1; 0: no histogram */
    const uint64_t *histogram;        /* [n_save][n_bins][out] counts */
    const double *mean_error;         /* [n_save][out] standard error of the mean: root of variance/row_count; with
                                       * antithetic noise from the spread of the groups (options.group, an even number),
                                       * each of independent pairs. NaN with less than two trajectories, or groups */
} nde_solution;

/* Bytes that nde_solver_create_in needs, record included: exact. 0 on error: nde_error() says why. */
NDE_API size_t nde_solver_bytes(const nde_problem *problem, const nde_options *options);
/* What a solve will need, before it runs: right to the byte and to the flop. Its layout may grow. */
typedef struct nde_needs {
    size_t size;
    size_t bytes;             /* = nde_solver_bytes: workspace and record */
    size_t workspace_bytes;   /* all but the record */
    size_t record_bytes;      /* the record's arena */
    size_t record_used;       /* what it will hold after a run with fixed steps, without jumps, knots and clips; else 0. With
                               * NDE_ADJOINT_REVERSIBLE, as if neighbours kept their distance */
    size_t tape_bytes, stage_bytes, state_bytes; /* by which one more step makes the record of a panel grow, in each form */
    int32_t record;           /* NDE_RECORD_*: the form that the run of record_used ends in (record_used 0: it will not fit);
                               * else the form it begins with; NONE without adjoint */
    int32_t isa, method;
    size_t panel;             /* lanes of a block */
    size_t panels;            /* blocks */
    double gemm_eval, gemm_vjp; /* flops (2 a multiply-add) in dense products of one evaluation of the right-hand side for all
                               * trajectories, and of its vjp to y and p */
    double gemm_step, gemm_step_adjoint; /* of one attempted step; of an accepted one's way back from the tape */
} nde_needs;
/* Errors: those of nde_solver_create. */
NDE_API NDE_CHECK nde_status nde_plan(const nde_problem *problem, const nde_options *options, nde_needs *needs);

/* Makes a solver; one allocation of nde_solver_bytes bytes (and the threads, when options.threads > 1).
 *   problem, options   options may be NULL: all defaults. save_t and atol_each are copied
 *   solver             out; NULL on error
 * Errors: NDE_E_ARG, NDE_E_SIZE, NDE_E_NOMEM, NDE_E_CALCULUS, NDE_E_BUDGET, NDE_E_NO_VJP is left to nde_backward. */
NDE_API NDE_CHECK nde_status nde_solver_create(const nde_problem *problem, const nde_options *options, nde_solver **solver);
/* The same in the caller's block, at a multiple of 64 bytes, of at least nde_solver_bytes bytes; it allocates nothing
 * (unless options.threads > 1). The block must outlive the solver. Errors: also NDE_E_ARG for a block that is too small. */
NDE_API NDE_CHECK nde_status nde_solver_create_in(void *block, size_t bytes, const nde_problem *problem,
                                                  const nde_options *options, nde_solver **solver);
/* Solves from the start; allocates nothing. After any status the solver may be run again or destroyed.
 *   solution   out, also on failure: states up to the last accepted step; may be NULL
 * Returns NDE_OK; NDE_STOPPED; NDE_EVENT when one or more ended at a terminal event; for one trajectory (or joint steps) its
 * failure; NDE_E_LANES when some of several failed; NDE_E_ARG for arrays that are missing, times that are not finite.
 * With one thread a callback may leave this, or a call that goes through the record, by longjmp or a C++ exception: the
 * solver may then be run again or destroyed. That of nde_solve would be lost. */
NDE_API NDE_CHECK nde_status nde_solver_run(nde_solver *solver, nde_solution *solution);
/* Goes on by at most `steps` accepted block steps of each group, from the start, the last pause or a restored state.
 * Returns also NDE_UNFINISHED: call again. */
NDE_API NDE_CHECK nde_status nde_solver_steps(nde_solver *solver, int64_t steps, nde_solution *solution);
/* Saves the state between two calls of nde_solver_steps: state, carry, times, controllers, queues, what was saved so far.
 *   block   out; NULL: only *bytes is set
 *   bytes   in: bytes of block; out: bytes that are needed
 * Errors: NDE_E_ARG (block too small). The record is not part of it. */
NDE_API NDE_CHECK nde_status nde_solver_state(const nde_solver *solver, void *block, size_t *bytes);
/* Brings a saved state back, into a solver made with the same problem sizes and options; goes on with the same bits.
 * Until the next run there is no record: nde_backward refuses. Errors: NDE_E_ARG. */
NDE_API NDE_CHECK nde_status nde_solver_restore(nde_solver *solver, const void *block, size_t bytes);
/* The solution of one trajectory at time t by the method's continuous extension, before jumps and resets at t; needs
 * options.adjoint.
 *   y, dy   out [dim]: value and time derivative; either may be NULL
 * Errors: NDE_E_ARG (no record; t outside what was solved). */
NDE_API NDE_CHECK nde_status nde_solver_dense(nde_solver *solver, size_t trajectory, double t, nde_real *y, nde_real *dy);
/* The same at many times, in any order, in that of the solve at the cost of one walk through the record.
 *   t       [count]
 *   y, dy   out [count][dim]
 * Errors: those of nde_solver_dense; then y and dy are filled up to the time that failed. */
NDE_API NDE_CHECK nde_status nde_solver_dense_many(nde_solver *solver, size_t trajectory, size_t count, const double *t,
                                                   nde_real *y, nde_real *dy);
/* Text of the last failure of this solver: "" when there was none. */
NDE_API const char *nde_solver_error(const nde_solver *solver);
/* NULL is allowed. */
NDE_API void nde_solver_destroy(nde_solver *solver);
/* Create, run and keep: solution->solver is destroyed by nde_solution_free. *solution is zeroed when creation fails. */
NDE_API NDE_CHECK nde_status nde_solve(const nde_problem *problem, const nde_options *options, nde_solution *solution);
NDE_API void nde_solution_free(nde_solution *solution);

/* For functions of nde/inline.h: reads and checks options and times for one trajectory, as nde_solver_create and
 * nde_solver_run do. options NULL: all defaults; saved NULL: no output is wanted.
 * Errors: those of nde_solver_create; NDE_E_ARG for another method than the one named, and for options that such a function
 * does not know. */
NDE_API NDE_CHECK nde_status nde_inline_read(const char *method, size_t dim, double t0, double t1, const nde_options *options,
                                             const nde_real *saved, nde_inline_plan *plan);

#ifdef __cplusplus
}
#endif
#endif
