/* SPDX-License-Identifier: MIT
 * nde/base.h - the names of libnde that mention no real type: they exist once and serve both precisions.
 *
 * Conventions of the whole library (docs/architecture.md, section 3):
 *   - A function that can fail returns nde_status; 0 is success, > 0 a good reason to stop early, < 0 a failure.
 *   - A struct that may grow begins with `size`, filled in by NDE_INIT. 0 means the layout of the first release of the
 *     series. A larger size than the library knows is accepted when its tail is zero, else it is NDE_E_ARG.
 *   - Zero means "the sensible default" in tolerances, limits, factors and enums. NDE_ZERO (-1) means literally zero or
 *     off. Times, states, seeds and indices are always literal.
 *   - Time, step sizes, tolerances and norms are double in both precisions.
 *   - Functions are thread-safe on different objects; one object belongs to one thread at a time. */
#ifndef NDE_BASE_H
#define NDE_BASE_H

#include <stddef.h>
#include <stdint.h>

#if defined(__GNUC__)
#define NDE_API __attribute__((visibility("default")))
#define NDE_CHECK __attribute__((warn_unused_result))
#else
#define NDE_API
#define NDE_CHECK
#endif

/* The loop over the lanes of a field: NDE_LANES(b, at->n) dy[b] = -y[b]; The arrays of a call do not overlap, which a
 * compiler cannot know: without this it may not vectorise. */
#if defined(__clang__)
#define NDE_LANES(b, n) _Pragma("clang loop vectorize(assume_safety)") for (size_t b = 0; b < (n); b++)
#elif defined(__GNUC__)
#define NDE_LANES(b, n) _Pragma("GCC ivdep") for (size_t b = 0; b < (n); b++)
#else
#define NDE_LANES(b, n) for (size_t b = 0; b < (n); b++)
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define NDE_VERSION_MAJOR 0
#define NDE_VERSION_MINOR 1
#define NDE_VERSION_PATCH 0

/* Designated initialiser that fills in `size`: nde_options o = NDE_INIT(nde_options, .rtol = 1e-8); C only. */
#define NDE_INIT(type, ...) ((type){ .size = sizeof(type), __VA_ARGS__ })
#define NDE_ZERO (-1)

/* ---- status ------------------------------------------------------------------------------------------------------ */

#define NDE_STATUS_LIST(X)                                                                     \
    X(OK, 0, "done")                                                                           \
    X(STOPPED, 1, "stopped by the caller")                                                     \
    X(EVENT, 2, "ended at a terminal event")                                                   \
    X(UNFINISHED, 3, "paused before the end: more steps remain")                               \
    X(E_ARG, -1, "an argument is wrong")                                                       \
    X(E_NOMEM, -2, "out of memory")                                                            \
    X(E_BUDGET, -3, "the record does not fit its budget")                                      \
    X(E_FIELD, -4, "a field failed")                                                           \
    X(E_STEPSIZE, -5, "the step size went to zero")                                            \
    X(E_STEPS, -6, "too many steps")                                                           \
    X(E_NO_VJP, -7, "a field has no vjp")                                                      \
    X(E_CALCULUS, -8, "method and problem disagree on the calculus or on the kind of noise")   \
    X(E_LANES, -9, "some trajectories failed: see solution.status")                            \
    X(E_SIZE, -10, "a size is too large")                                                      \
    X(E_IO, -11, "reading or writing failed")                                                  \
    X(E_FIELD_FIRST, -12, "a field failed at its first call")                                  \
    X(E_NONFINITE, -13, "a value is not finite")                                               \
    X(E_CALLS, -14, "too many evaluations, or out of time")                                    \
    X(E_NO_JVP, -15, "a field has no jvp")                                                       \
    X(E_DOMAIN, -16, "the solution leaves its domain")                                          \
    X(E_CONVERGENCE, -17, "an iteration does not converge")                                     \
    X(E_SINGULAR, -18, "a matrix is singular")

typedef enum nde_status {
#define NDE_X(name, value, text) NDE_##name = value,
    NDE_STATUS_LIST(NDE_X)
#undef NDE_X
} nde_status;

/* The sentence of a status; "unknown status" for any other number. Never NULL, never freed. */
NDE_API const char *nde_status_text(int status);
/* The name of a status without its prefix ("OK", "E_ARG"); "?" for any other number. */
NDE_API const char *nde_status_name(int status);
/* Status of a name as given by nde_status_name. Errors: NDE_E_ARG when there is none. */
NDE_API NDE_CHECK nde_status nde_status_find(const char *name, nde_status *status);
/* Text of the last failure, in this thread, of a call that has no object (create, check, parse); "" before the first.
 * Failures of solvers stand in the solver and its solution instead. Valid until this thread's next such call. */
NDE_API const char *nde_error(void);
/* "major.minor.patch" of the library that is loaded. */
NDE_API const char *nde_version(void);
/* One line: version, instruction sets compiled in and found, BLAS, compiler. */
NDE_API const char *nde_build_info(void);
/* Bytes of a public struct in the library that is loaded, by its name ("nde_options"); 0 when there is none of that name. For
 * bindings, which have layouts of their own to compare. */
NDE_API size_t nde_size_of(const char *type);

/* ---- memory and threads ------------------------------------------------------------------------------------------ */

/* Where memory comes from. NULL members of options mean malloc and free.
 *   take   `bytes` > 0 at a multiple of `align` (a power of two, at most 4096), or NULL; need not be zeroed
 *   give   gives back a block of take, with the bytes that were asked for */
typedef struct nde_allocator {
    void *(*take)(void *ctx, size_t bytes, size_t align);
    void (*give)(void *ctx, void *block, size_t bytes);
    void *ctx;
} nde_allocator;

/* Runs task(arg, i, worker) for each i < count, in any order and on any threads, and returns when all are done.
 * worker in [0, workers) is unique among the tasks that run at one time. Nonzero return: the solve fails with
 * NDE_E_FIELD. Assignment of tasks to workers never changes a result. */
typedef struct nde_executor {
    int (*run)(void *ctx, size_t count, void (*task)(void *arg, size_t i, int worker), void *arg);
    void *ctx;
    int workers; /* >= 1 */
} nde_executor;

/* A host's own BLAS. Arguments as in cblas_dgemm and cblas_sgemm with row-major order (order 101; transpose 111: no, 112: yes),
 * whose enumerations are passed as int. A member that is NULL: no BLAS in that precision. Called from several threads at a time
 * when options.threads > 1; how many it uses itself is the host's affair. */
typedef struct nde_blas {
    size_t size;
    void (*dgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, double alpha, const double *a, int lda,
                  const double *b, int ldb, double beta, double *c, int ldc);
    void (*sgemm)(int order, int transpose_a, int transpose_b, int m, int n, int k, float alpha, const float *a, int lda,
                  const float *b, int ldb, float beta, float *c, int ldc);
} nde_blas;

/* ---- methods ----------------------------------------------------------------------------------------------------- */

/* Method numbers NDE_EULER, NDE_TSIT5 ...: generated from src/method/methods.def; never reused. 0: chosen by the problem. */
#include "methods.h"

typedef struct nde_method nde_method;

/* Kinds of methods: which body runs the table, which problems it solves. */
enum {
    NDE_KIND_RUNGE_KUTTA = 1, NDE_KIND_PARTITIONED = 2, NDE_KIND_STOCHASTIC = 3, NDE_KIND_COMPOSITION = 4,
    NDE_KIND_REVERSIBLE = 5, NDE_KIND_CHEBYSHEV = 6,
    NDE_KIND_COUPLED = 7, /* of no method of the registry: see nde_options.coupling */
    NDE_KIND_NYSTROM = 8, /* for q' = v, v' = F2(t, q): dim = 2 problem.split. At starts and jumps q' is asked for too,
                           * and where it is not v the trajectory ends with NDE_E_ARG */
    NDE_KIND_SPLITTING = 9, /* for problem.splitting; fixed steps */
    NDE_KIND_MULTISTEP = 10, /* fixed steps, of options.order */
    NDE_KIND_ROSENBROCK = 11, /* for stiff problems: a Jacobian and its factors in each step. Not with noise, splittings
                               * and flows; gradients and tangents by vjp_jvp, without terms and input */
    NDE_KIND_DIRK = 12,       /* for stiff problems: diagonally implicit stages by Newton's method, whose solution is a
                               * matter of options.newton_tolerance. Where it is not found the step is tried again with a
                               * smaller h; at the least one or with fixed steps the trajectory ends with
                               * NDE_E_CONVERGENCE. kvaerno4 and kvaerno5 evaluate the field beyond the step, by 0.15 and
                               * 0.23 of it. Not with noise, splittings and flows */
    NDE_KIND_IMEX = 13,       /* for problem.splitting: explicit along the drift, as NDE_KIND_DIRK along second, whose
                               * Jacobian it is alone; drift_by and second_by are 0, neither field is a flow */
    NDE_KIND_SWITCHING = 14,  /* for problems that may be stiff now and then: each step is one of an explicit method or one of a
                               * Rosenbrock method, as the steps before looked; the first one, and the first one after a jump,
                               * reset or clip, is explicit. Orders are those of the explicit one. nde_stats.jacobians counts
                               * implicit attempts. What is said of ROSENBROCK holds too */
    NDE_KIND_COLLOCATION = 15 /* for stiff problems: all stages of a step at once, by Newton's method as in NDE_KIND_DIRK, for
                               * which two matrices are factored, of dim and of 2 dim rows; gradients and tangents factor one
                               * of dim*stages rows. Not with noise, splittings and flows */
};

NDE_API size_t nde_method_count(void);
NDE_API const nde_method *nde_method_at(size_t i);              /* NULL when i >= count */
NDE_API const nde_method *nde_method_find(const char *name);    /* NULL when there is none; "tsit5" */
NDE_API const nde_method *nde_method_get(int id);               /* NULL when there is none; NDE_TSIT5 */
NDE_API int nde_method_id(const nde_method *method);
NDE_API const char *nde_method_name(const nde_method *method);
NDE_API const char *nde_method_source(const nde_method *method); /* paper or book of the coefficients */
NDE_API int nde_method_kind(const nde_method *method);
NDE_API int nde_method_order(const nde_method *method);          /* of the solution that is continued; with noise see
                                                                  * nde_method_strong */
NDE_API int nde_method_error_order(const nde_method *method);    /* of the embedded solution; 0: no error estimate, fixed
                                                                  * steps only. With noise see nde_method_estimate */
NDE_API int nde_method_dense_order(const nde_method *method);    /* of the continuous extension */
NDE_API int nde_method_calculus(const nde_method *method);       /* with noise: NDE_ITO, NDE_STRATONOVICH, their sum for both;
                                                                  * 0: not for noise */
NDE_API int nde_method_strong(const nde_method *method, int kind); /* twice its strong order with noise of a kind, NDE_NOISE_*;
                                                                  * 0: not for this kind */
NDE_API int nde_method_estimate(const nde_method *method, int kind); /* twice the power of h with which its error estimate
                                                                      * goes to zero with noise of a kind, NDE_NOISE_*; 0:
                                                                      * none, fixed steps only */
NDE_API size_t nde_method_stages(const nde_method *method);      /* slopes of a step; of rkc2 see options.stages */
NDE_API size_t nde_method_evaluations(const nde_method *method); /* field evaluations of an accepted step; 0: not always
                                                                  * as many */

/* The caller's own explicit Runge-Kutta table; checked on entry, copied, need not outlive the call.
 *   a   [stages*(stages-1)/2] rows of the strictly lower triangle, one after the other (row 0 is empty)
 *   b   [stages] weights; c [stages] nodes, NULL: row sums of a
 *   e   [stages] b minus the embedded weights, NULL: no error estimate
 * first_same_as_last: the last row of a equals b and c of it is 1. Order as claimed by the caller. */
typedef struct nde_tableau {
    size_t size;
    size_t stages;
    const double *a, *b, *c, *e;
    int order, error_order, first_same_as_last;
} nde_tableau;

/* ---- controllers, stepping, adjoints ----------------------------------------------------------------------------- */

/* Step size controllers, never renumbered. With k = q + 1, q the order of the error estimate, e the error norm of a step
 * relative to the tolerance and to safety^k, all but I and PI are digital filters of the last three accepted steps:
 *   h_new/h = e^-b1 e_1^-b2 e_2^-b3 (h/h_1)^-a2 (h_1/h_2)^-a3      k b1    k b2    k b3    a2     a3
 *   I        the plain one: safety e^(-1/k)
 *   PI       DOPRI5's, the default
 *   PI34     Gustafsson's PI 0.3/0.4                                7/10   -4/10
 *   PI33     Soederlind's PI3333                                    2/3    -1/3
 *   PI42     Soederlind's PI4020                                    3/5    -1/5
 *   H211     dead-beat                                              1/2     1/2            1/2
 *   H211B    b = 4: smooth steps, a good general choice             1/4     1/4            1/4
 *   H211PI                                                          1/6     1/6
 *   H312     dead-beat                                              1/4     2/4     1/4    3/4    1/4
 *   H312B    b = 8                                                  1/8     2/8     1/8    3/8    1/8
 *   H312PID                                                         1/18    2/18    1/18
 *   H321     predicts                                               1/3     1/18   -5/18  -5/6   -1/6
 *   PID      options.pid
 *   PI31     the default with noise, whose errors are random        4/10   -1/10
 * After a rejection h shrinks by safety e^(-1/k), and the next accepted step does not grow.
 * Sources: G. Soederlind, ACM TOMS 29 (2003) 1-26; G. Soederlind, L. Wang, J. Comput. Appl. Math. 185 (2006) 225-243;
 * K. Gustafsson, ACM TOMS 17 (1991) 533-554; E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I
 * (1993); S. Ilie, K. Jackson, W. Enright, Numer. Algorithms 68 (2015) 791-812 (PI31). */
enum {
    NDE_CONTROLLER_AUTO = 0, NDE_CONTROLLER_I = 1, NDE_CONTROLLER_PI = 2, NDE_CONTROLLER_PI34 = 3, NDE_CONTROLLER_PI33 = 4,
    NDE_CONTROLLER_PI42 = 5, NDE_CONTROLLER_H211 = 6, NDE_CONTROLLER_H211B = 7, NDE_CONTROLLER_H211PI = 8,
    NDE_CONTROLLER_H312 = 9, NDE_CONTROLLER_H312B = 10, NDE_CONTROLLER_H312PID = 11, NDE_CONTROLLER_H321 = 12,
    NDE_CONTROLLER_PID = 13, NDE_CONTROLLER_PI31 = 14
};
/* Where the error of a step is known from.
 *   EMBEDDED   the method's own estimate
 *   DOUBLING   two half steps against the whole one, for any explicit Runge-Kutta method or tableau of at most 21 stages, also
 *              one without an estimate; 3 s evaluations where the method takes s. What is continued is the extrapolated state,
 *              of one order more, and the extension has degree five. Not with noise or problem.split.
 * Source: E. Hairer, S. P. Norsett, G. Wanner, Solving Ordinary Differential Equations I (1993), II.4. */
enum { NDE_ERROR_EMBEDDED = 0, NDE_ERROR_DOUBLING = 1 };
/* Norms of the errors of a step's components, each relative to its tolerance. */
enum { NDE_NORM_RMS = 0, NDE_NORM_MAX = 1 };
/* When the next step would be shorter than h_min. */
enum {
    NDE_H_MIN_FAIL = 0,  /* after a rejection the trajectory ends with NDE_E_STEPSIZE */
    NDE_H_MIN_ACCEPT = 1 /* steps are never shorter, and at h_min accepted whatever their error; stats.forced counts those */
};
/* An attempted step and what becomes of it: accept and factor come as the solver's controller would have them. */
typedef struct nde_decision {
    size_t trajectory;             /* with joint steps the first one that still runs: one decision for all */
    int32_t order;                 /* q of the error estimate: error ~ h^(q + 1) */
    int32_t refused;               /* attempts rejected in a row before this one */
    double t, h;                   /* from t to t + h; h < 0 backwards in time */
    double error;                  /* norm relative to the tolerance; NaN: the step could not be made, and is rejected */
    double error_last, error_last2, h_last, h_last2; /* of the accepted step before and of the one before that, errors at
                                                      * least 1e-4; 0: none */
    int32_t accept;                /* out: 0 or not */
    double factor;                 /* out: the next step is factor*h, within factor_min, factor_max, h_min and h_max; NaN:
                                    * factor_min */
} nde_decision;
/* A controller of the caller's own.
 *   decide   called after each attempt, from several threads when options.threads > 1. Returns 0; nonzero: the run stops with
 *            NDE_STOPPED, the value stands in stats.callback */
typedef struct nde_controller {
    size_t size;
    int (*decide)(void *ctx, nde_decision *decision);
    void *ctx;
} nde_controller;
/* Where a record puts states that its memory has no room for, as bytes at offsets: a file (nde_store_open), or what the caller
 * likes. Written while solving, from several threads when options.threads > 1; read by what goes through the record.
 * Offsets begin at 0 and follow each other without large gaps; a run begins anew.
 *   write, read   all `bytes` bytes at `offset`, or nonzero: NDE_E_IO ends the run or the call */
typedef struct nde_store {
    size_t size;
    int (*write)(void *ctx, uint64_t offset, const void *from, size_t bytes);
    int (*read)(void *ctx, uint64_t offset, void *to, size_t bytes);
    void *ctx;
} nde_store;
/* options.stepping: own t, h and decision for each trajectory, or one of each for all. */
enum { NDE_STEP_INDEPENDENT = 0, NDE_STEP_JOINT = 1 };
/* options.adjoint: how nde_backward differentiates.
 *   NONE          not at all; nothing is recorded
 *   DISCRETE      the transpose of the steps, from a record of them: exact
 *   BACKSOLVE     state, adjoint and the integrals for p and q are solved backwards from the end: no record, but of what
 *                 events end or reset, if they may: a state and some 150 bytes each, in options.budget. The state is set to
 *                 the saved one at save times; between them it is as good as the way back is stable
 *   INTERPOLATED  adjoint and integrals are solved backwards along the dense solution of the record
 *   QUADRATURE    the adjoint alone; then the integrals by adaptive Gauss-Kronrod quadrature along both dense solutions
 *   GAUSS         the same with Gauss-Legendre nodes in each step of the way back
 *   REVERSIBLE    the transpose of the steps, whose states are found by undoing them: the record keeps their times, and states
 *                 where a trajectory ends, jumps or begins anew, and as anchors (options.anchor_limit). Of alf,
 *                 reversible_heun, options.coupling, the compositions and velocity_verlet (which is then run as one, as with
 *                 options.quantum). Right to rounding times what it grows by on the way back; with options.quantum the bits
 *                 of DISCRETE
 * The others are right to the tolerances of the solve and of options.back. They do not know jumps, clips, loss_error and
 * gradients of paths. With noise, BACKSOLVE and INTERPOLATED are the stochastic adjoint: the Stratonovich problem of
 * state, adjoint and integrals along the same path, made again; right to the order of the steps (see options.back; 0: heun
 * where the method is for forwards only), which may be others on the same grid. Save times are at nodes then, but for
 * trees; gradients by times are DISCRETE's. Ito noise, if it is not additive, needs options.convert, jvp and vjp_jvp of
 * its fields. Those after BACKSOLVE are fast while the record keeps slopes (tape, stages); of what it no longer has, steps
 * are repeated for each trajectory.
 * Sources: R. Chen et al., Neural ordinary differential equations, NeurIPS (2018); A. Norcliffe, M. Deisenroth, Faster
 * training of neural ODEs using Gauss-Legendre quadrature, TMLR (2023); R. Piessens et al., QUADPACK (1983); X. Li, T.-K.
 * L. Wong, R. Chen, D. Duvenaud, Scalable gradients for stochastic differential equations, AISTATS (2020). */
enum {
    NDE_ADJOINT_NONE = 0, NDE_ADJOINT_DISCRETE = 1, NDE_ADJOINT_BACKSOLVE = 2, NDE_ADJOINT_INTERPOLATED = 3,
    NDE_ADJOINT_QUADRATURE = 4, NDE_ADJOINT_GAUSS = 5, NDE_ADJOINT_REVERSIBLE = 6
};
/* options.estimates: of which accepted steps solution.error_estimate and stiffness_estimate tell. A term is |h| E of a
 * step, E the root mean square over components of its embedded error (of both estimates of dop853, as its controller takes
 * them), in units of the state: no tolerance, weight or norm of the options enters. And S = |k_j - k_i|/|Y_j - Y_i|,
 * slopes of two stages at one time by the states where they were taken (as in nde_stats.stiff), an estimate of the norm of
 * the Jacobian; 0 where one of these differences is lost in rounding.
 *   NONE  of none
 *   ALL   sums over all steps
 *   TIME  the terms of one step, in which a time lies that is uniform over the span of the trajectory. Unbiased for the
 *         sums when multiplied by span/|h|
 *   STEP  the terms of one step, each as likely as any other, of more where the solution is hard. Unbiased when multiplied by
 *         stats.accepted
 * Draws are functions of options.estimate_seed and the trajectory. A step that an event cuts counts as it was attempted.
 * Sources: A. Pal, Y. Ma, V. Shah, C. Rackauckas, Opening the blackbox, ICML (2021), 3; A. Pal, A. Edelman, C. Rackauckas,
 * Locally regularized neural differential equations, ICML (2023), 3; L. Shampine, ACM TOMS 3 (1977) 44-53. */
enum { NDE_ESTIMATES_NONE = 0, NDE_ESTIMATES_ALL = 1, NDE_ESTIMATES_TIME = 2, NDE_ESTIMATES_STEP = 3 };
/* problem.calculus. No default: 0 with noise present is NDE_E_CALCULUS. A method converges to the solution in its own calculus,
 * nde_method_calculus; additive noise is the same in both. */
enum { NDE_ITO = 1, NDE_STRATONOVICH = 2 };
/* nde_term.kind: what g(t, y) dW is, which decides how a term is called and which methods converge. DIAGONAL: component i sees
 * dW_i alone, and g_i depends on y_i alone (where it does not, only orders 1/2 and no conversion are to be had); SCALAR: m = 1;
 * ADDITIVE: g does not depend on y; COMMUTATIVE: the columns of g commute, sum_i g_ij dg_k/dy_i = sum_i g_ik dg_j/dy_i;
 * GENERAL: none of these. Several terms of noise count as ADDITIVE when all are, else as GENERAL. */
enum { NDE_NOISE_DIAGONAL = 1, NDE_NOISE_SCALAR = 2, NDE_NOISE_ADDITIVE = 3, NDE_NOISE_COMMUTATIVE = 4, NDE_NOISE_GENERAL = 5 };
/* options.isa: sets of kernels. V3 and V4 are x86-64-v3 (AVX2, FMA) and x86-64-v4 (AVX-512); a set that this machine or this
 * build does not have is NDE_E_ARG. */
enum { NDE_ISA_AUTO = 0, NDE_ISA_BASELINE = 1, NDE_ISA_V3 = 3, NDE_ISA_V4 = 4 };
/* Forms of the record, in the order in which it falls back when its budget is used up. */
enum {
    NDE_RECORD_NONE = 0, NDE_RECORD_TAPE = 1, NDE_RECORD_STAGES = 2, NDE_RECORD_STATES = 3, NDE_RECORD_CHECKPOINTS = 4,
    NDE_RECORD_TIMES = 5 /* that of NDE_ADJOINT_REVERSIBLE, which does not fall back: beyond the budget is NDE_E_BUDGET */
};

/* ---- noise ------------------------------------------------------------------------------------------------------- */

/* noise.source: where the path comes from.
 *   GRID    the span [t0, t1] of the problem has `grid` equal cells, made again whenever they are needed. Steps are of
 *           whole cells
 *   TREE    a virtual Brownian tree: any times in any order, for steps that are not known before (options.steps 0). [t0,
 *           t1] is halved down to cells of `tolerance` of it; with at most one time in each such cell the law is exact,
 *           with more the path between them is a chord. Costs one normal a component for a step that ends where an
 *           interval is halved, log2(step/(tolerance span)) + 1 for others: choose the tolerance somewhat below the
 *           smallest step
 *   STORED  the caller's own increments w, h, k [grid][m][n], m components and n trajectories of the problem: not copied,
 *           to be there as long as the solver; h and k NULL: for methods that do not need them */
enum { NDE_SOURCE_GRID = 0, NDE_SOURCE_TREE = 1, NDE_SOURCE_STORED = 2 };
/* noise.levy: what a tree's intervals know, which decides what path it is; grids and stored increments do not mind. 0: what the
 * method needs; two methods see one path of a tree if both are given the larger of their needs. */
enum { NDE_LEVY_W = 1, NDE_LEVY_H = 2, NDE_LEVY_K = 3 };
/* noise.area: the approximation of the full Levy area A_ij = 1/2 int (W_i dW_j - W_j dW_i), for methods that need it: H_i
 * W_j - W_i H_j and a normal of its own for each pair, whose variance is that of what is left over (FOSTER: h^2/20 +
 * (h/5)(H_i^2 + H_j^2)) or the mean of that (DAVIE: h^2/12). */
enum { NDE_AREA_FOSTER = 0, NDE_AREA_DAVIE = 1 };
/* noise.normals: what W, H and K of a grid's cells are made of, which decides what path it is.
 *   DOUBLE  two normals from 128 random bits: 52 for the radius, 52 for the angle, |z| < 8.58
 *   SINGLE  four from 128, computed in float: 30 bits for the radius, 32 for the angle, |z| < 6.56, beyond which a normal is
 *           once in 10^10. Twice to three times as fast; for runs whose other errors are larger. Its increments are rounded
 *           and add up as those of DOUBLE. Of grids only; what is left over of an area stays DOUBLE */
enum { NDE_NORMALS_DOUBLE = 0, NDE_NORMALS_SINGLE = 1 };

/* Brownian motion as a pure function of (seed, trajectory, component, times): never stored, the same on the way back.
 * Increments W over adjoining steps add up exactly: they are multiples of one power of two, 2^-44 of the least one from
 * sqrt(t1 - t0) on. The float library sees the double path, rounded.
 * Methods that need more than the increment W of a step of length h also see
 *   H = (1/h) int_0^h (W_s - s/h W) ds                  the space-time Levy area, of variance h/12
 *   K = (1/h^2) int_0^h (W_s - s/h W)(h/2 - s) ds       the space-time-time Levy area, of variance h/720
 * W, H and K of a step are independent, and so are different steps. Coarse and fine steps see one path. So does a solve
 * backwards in time of the same span: from where one forwards has ended it leads back; for Stratonovich and additive
 * noise, by methods whose stages have no multipliers of the noise of their own (heun, midpoint, ralston, reversible_heun).
 *   seed         may change between runs of a solver; what else stands here is read when it is made
 *   dim          independent components m; 0: what the term's field needs
 *   grid         > 0: cells, of grids and stored increments; must be a multiple of options.steps. 0: options.steps
 *   tolerance    of a tree: a share of the span, 2^-40 to 1; 0: 2^-20
 *   antithetic   1: trajectories 2k and 2k + 1 are a pair: the path of the second is the first one's times -1. Both count as
 *                trajectory k. Not with stored increments
 *   normals      NDE_NORMALS_*; NDE_NORMALS_SINGLE of grids only
 *   correlation  NULL, or L [dim][dim]: dW becomes L dW, of covariance L L^T dt; only its lower triangle, with the
 *                diagonal, is read. Not copied. Not with stored increments
 * Counter, for ever: Philox4x32-10, key = seed (low word first), words of 32 bits, low bits first: { component/2 : 24,
 * purpose : 8 }, { position, low 32 }, { position, high 16; trajectory, high 16 }, { trajectory, low 32 }. Words 0 and 1 of the
 * result are the radius and words 2 and 3 the angle of a Box-Muller pair: cosine for the even component, sine for the odd one.
 * NDE_NORMALS_SINGLE: component/4 in place of component/2, and purposes of its own; words 0 and 1 are radius and angle of
 * components 4k (cosine) and 4k + 1 (sine), words 2 and 3 those of 4k + 2 and 4k + 3.
 *   grid   W, H, K of a cell: purposes W, H, K or W_SINGLE ...; position = its number; times sqrt(cell), sqrt(cell/12),
 *          sqrt(cell/720), in units. Rest of the area of (i, j), j < i: purpose AREA, component i (i - 1)/2 + j
 *   tree   purpose TREE, position = 2^l + number of the interval among those of length 2^-l of the span, by the normal
 *          that halves or cuts it; 0 for the whole span; plus 2^46 for the second normal, 2^47 for the third
 * Sources: J. Salmon et al., Parallel random numbers: as easy as 1, 2, 3, SC11 (2011); J. Foster, T. Lyons, H. Oberhauser, SIAM
 * J. Numer. Anal. 58 (2020) 1393-1421 (H, K). */
typedef struct nde_noise {
    size_t size;
    uint64_t seed;
    size_t dim;
    int64_t grid;
    int32_t source, levy, area, antithetic; /* NDE_SOURCE_*, NDE_LEVY_*, NDE_AREA_* */
    double tolerance;
    const double *correlation, *w, *h, *k;
    int32_t normals; /* NDE_NORMALS_* */
} nde_noise;

/* A question to a path. Times t0 <= s <= t <= t1, of a grid and of stored increments between cells.
 *   t0, t1   the span of the problem, of which the path is a function
 *   s, t     from when to when
 *   dim      components m; 0: noise.dim
 *   first, n trajectories first to first + n - 1; n 0: 1
 *   N        of stored increments: trajectories of the problem */
typedef struct nde_between {
    size_t size;
    double t0, t1, s, t;
    size_t dim, first, n, N;
} nde_between;
/* What a path does from s to t, as a solve along it sees.
 *   noise   as that of the solve; noise.grid 0 stands for the solve's options.steps, which are not known here: give them.
 *           With noise.levy 0 a tree is the path of a method that needs what is asked for: W, H or K
 *   w       out, [m][n]: W(t) - W(s)
 *   h, k    out, [m][n]: H and K as above; NULL: not wanted; k only beside h
 *   area    out, [m (m - 1)/2][n], row i (i - 1)/2 + j with j < i: A_ij as noise.area says; NULL: not wanted. Of a grid
 *           without correlation
 * Allocates and frees by malloc. Errors: NDE_E_ARG, NDE_E_SIZE, NDE_E_NOMEM; nothing is written then. */
NDE_API NDE_CHECK nde_status nde_noise_between(const nde_noise *noise, const nde_between *between, double *w, double *h,
                                               double *k, double *area);

/* Purposes of random numbers under one seed, numbered for ever; 128 to 255 are the user's. */
enum {
    NDE_PURPOSE_W = 0, NDE_PURPOSE_H = 1, NDE_PURPOSE_K = 2, NDE_PURPOSE_AREA = 3, NDE_PURPOSE_TREE = 4,
    NDE_PURPOSE_INITIALISATION = 5, NDE_PURPOSE_SHUFFLE = 6, NDE_PURPOSE_PROBE = 7, NDE_PURPOSE_DROPOUT = 8,
    NDE_PURPOSE_STEP = 9, NDE_PURPOSE_END = 10, NDE_PURPOSE_W_SINGLE = 11, NDE_PURPOSE_H_SINGLE = 12,
    NDE_PURPOSE_K_SINGLE = 13
};
/* One standard normal: a pure function of its arguments, same bits on every IEEE-754 machine and compiler.
 * component < 2^25, position and trajectory < 2^48 (higher bits are ignored), purpose < 256. */
NDE_API double nde_normal(uint64_t seed, unsigned purpose, uint64_t trajectory, uint64_t position, uint64_t component);
/* One uniform in (0, 1), likewise. */
NDE_API double nde_uniform(uint64_t seed, unsigned purpose, uint64_t trajectory, uint64_t position, uint64_t component);

/* STEER: a random end for each trajectory, so that a network learns no stiff short cut to one end: t1_each [n] uniform within
 * (t1 - width, t1 + width), for problem.t1_each; with joint steps draw one (n = 1) for problem.t1. The gradient by t1 is
 * the sum of nde_gradient.t1 over trajectories.
 *   seed    another one for each iteration
 *   width   > 0; less than the distance from t1 to t0 and to save times
 * Errors: NDE_E_ARG. Source: A. Ghosh et al., STEER: simple temporal regularization for neural ODE, NeurIPS (2020). */
NDE_API NDE_CHECK nde_status nde_steer(uint64_t seed, size_t n, double t1, double width, double *t1_each);

/* ---- fields: flags ----------------------------------------------------------------------------------------------- */

/* nde_site.flags */
enum {
    NDE_SAME_TIME = 1, /* all t of the call are equal */
    NDE_HAS_IDLE = 2,  /* some lane[] is NDE_LANE_IDLE: finite data, result ignored */
    NDE_POSITIONS = 4, /* with problem.split: only the rows of positions are asked of eval and jvp, the others may be left as
                        * they are; in vjp the cotangents of the others are zero. A field may ignore it */
    NDE_VELOCITIES = 8 /* the same for the rows of velocities */
};
/* nde_site.lane[]: in OK or IDLE; a field may write RETRY (step again, smaller) or STOP (the user stops) for one lane. */
enum { NDE_LANE_OK = 0, NDE_LANE_IDLE = 1, NDE_LANE_RETRY = 2, NDE_LANE_STOP = 3 };
/* What a callback returns. Other values > 0: this block cannot be evaluated here, retry smaller. < 0: failed. */
#define NDE_FIELD_OK 0
#define NDE_FIELD_RETRY 1
#define NDE_FIELD_STOP 2147483647
/* nde_field.traits */
#define NDE_AUTONOMOUS 1u  /* does not depend on t */
#define NDE_LINEAR_IN_U 2u /* linear in u */
#define NDE_LANEWISE 4u    /* a lane's bits do not depend on its neighbours */
#define NDE_DIRECTIONS 8u  /* jvp knows nde_tangent.lanes */

/* Activations s(z). A = 1 in elu; lipswish is silu/1.1, whose slope is at most 1. gelu is the exact one, by erf.
 * Source of lipswish: P. Kidger et al., Efficient and accurate gradients for neural SDEs (2021). */
#define NDE_ACTIVATION_LIST(X)                                                                 \
    X(IDENTITY, 1, "identity")                                                                 \
    X(TANH, 2, "tanh")                                                                         \
    X(SOFTPLUS, 3, "softplus")                                                                 \
    X(RELU, 4, "relu")                                                                         \
    X(SILU, 5, "silu")                                                                         \
    X(GELU, 6, "gelu")                                                                         \
    X(ELU, 7, "elu")                                                                           \
    X(SIGMOID, 8, "sigmoid")                                                                   \
    X(SIN, 9, "sin")                                                                           \
    X(LIPSWISH, 10, "lipswish")

typedef enum nde_activation {
    NDE_ACTIVATION_DEFAULT = 0, /* hidden layers: tanh; last layer: identity */
#define NDE_X(name, value, text) NDE_##name = value,
    NDE_ACTIVATION_LIST(NDE_X)
#undef NDE_X
} nde_activation;
/* "tanh" of NDE_TANH; "?" for a number that is none. */
NDE_API const char *nde_activation_name(int activation);
/* NDE_TANH of "tanh"; 0 when there is none of that name. */
NDE_API int nde_activation_find(const char *name);

/* How nde_mlp_init draws weights; biases are 0. Variance of a weight, for `in` inputs and `out` outputs:
 *   GLOROT  2/(in + out), uniform or normal    X. Glorot, Y. Bengio, AISTATS (2010)
 *   HE      2/in, uniform or normal            K. He et al., ICCV (2015)
 *   ORTHOGONAL  rows (or columns, when out > in) orthonormal, uniformly distributed    A. Saxe et al., ICLR (2014) */
enum {
    NDE_GLOROT_UNIFORM = 0, NDE_GLOROT_NORMAL = 1, NDE_HE_UNIFORM = 2, NDE_HE_NORMAL = 3, NDE_ORTHOGONAL = 4
};

typedef enum nde_path_kind { NDE_PATH_LINEAR = 0 } nde_path_kind;

/* ---- optimisers --------------------------------------------------------------------------------------------------- */

/* Optimisers by number, never reused. The rules and defaults are those of PyTorch's torch.optim:
 *   ADAM      D. Kingma, J. Ba, Adam: a method for stochastic optimization, ICLR (2015)
 *   ADAMW     I. Loshchilov, F. Hutter, Decoupled weight decay regularization, ICLR (2019)
 *   SGD       with momentum, Nesterov's on request: I. Sutskever et al., ICML (2013)
 *   RMSPROP   T. Tieleman, G. Hinton, lecture 6.5 (2012)
 *   ADADELTA  M. Zeiler, ADADELTA: an adaptive learning rate method, arXiv 1212.5701 (2012) */
enum { NDE_ADAM = 1, NDE_ADAMW = 2, NDE_SGD = 3, NDE_RMSPROP = 4, NDE_ADADELTA = 5 };
/* The rate of step k (from 0), after a linear warm-up rate*(k + 1)/warmup_steps over the first warmup_steps; j counts the steps
 * since then, T is decay_steps:
 *   CONSTANT     rate
 *   EXPONENTIAL  rate * decay^(j/T)
 *   COSINE       rate * (decay + (1 - decay)(1 + cos(pi j/T))/2) until j = T, then rate * decay
 *                I. Loshchilov, F. Hutter, SGDR, ICLR (2017) */
enum { NDE_SCHEDULE_CONSTANT = 0, NDE_SCHEDULE_EXPONENTIAL = 1, NDE_SCHEDULE_COSINE = 2 };

/* options.jacobian: dF/dy of implicit methods.
 *   AUTO         nde_field.jacobian where drift and quadrature have one, there are no terms but noise, and matrices are dense
 *                (options.linear), else jvp
 *   GIVEN        nde_field.jacobian
 *   JVP          one jvp a column; where the drift stands alone and has a sparsity, one for all columns that share no row
 *   DIFFERENCES  of values: one evaluation a column, with steps of sqrt(eps max(1e-5, |y|)). Not with an adjoint of a
 *                Rosenbrock method, whose gradients would be of another map
 * dF/dt is by jvp where all fields have one, else, and with DIFFERENCES, by two more evaluations inside the step. */
enum { NDE_JACOBIAN_AUTO = 0, NDE_JACOBIAN_GIVEN = 1, NDE_JACOBIAN_JVP = 2, NDE_JACOBIAN_DIFFERENCES = 3 };

/* ---- options of a solve ------------------------------------------------------------------------------------------ */

typedef struct nde_options {
    size_t size;
    int32_t method;      /* NDE_TSIT5 ...; 0: tsit5, with noise euler_maruyama (Ito) or heun (Stratonovich),
                          * velocity_verlet with problem.split, strang with problem.splitting */
    int32_t stepping;    /* NDE_STEP_INDEPENDENT: own t, h and decision for each trajectory; NDE_STEP_JOINT: one for all */
    int32_t controller;  /* NDE_CONTROLLER_*; 0: PI, with noise PI31. Ignored with fixed steps */
    int32_t adjoint;     /* NDE_ADJOINT_DISCRETE: keep the record that nde_backward, nde_forward and dense need */
    const nde_tableau *tableau;    /* instead of method */
    double rtol, atol;             /* 0: 1e-6 and 1e-9 (float: 1e-4 and 1e-6). NDE_ZERO: literally zero, not both */
    const double *atol_each;       /* [dim], instead of atol; zeros are literal here; NULL: atol */
    int64_t steps;                 /* > 0: that many equal steps, nodes t0 + k*h; 0: adaptive */
    double h0;                     /* > 0: length of the first step; 0: Hairer's choice */
    double h_min, h_max;           /* lengths of steps; 0: 16 ulp of t, and no bound. h_min NDE_ZERO: no bound */
    double safety, factor_min, factor_max; /* 0: 0.9, 0.2 and 10 */
    int64_t max_steps;             /* accepted and rejected, for each trajectory; 0: 1,000,000; NDE_ZERO: no limit */
    const double *save_t;          /* [n_save] monotone from t0 towards t1; NULL: the end only */
    size_t n_save;
    int64_t save_every;            /* > 0: every save_every-th accepted step instead of save_t, the start and end too */
    size_t save_rows;              /* with save_every: rows kept for each trajectory; 0: 1024, or what fixed steps need */
    size_t budget;                 /* bytes of the record; 0: 1 GiB or an eighth of the memory, whichever is less. When used
                                    * up, the record falls back in place: tape, stages, states, checkpoints. The last two
                                    * take 8 bytes a step and lane (joint: a step), and the states, each of which has 16
                                    * more; checkpoints are as many of these as fit. Those of fixed steps, without jumps,
                                    * knots and clips, are placed so that the way back repeats as few steps as it can;
                                    * those of others so that it repeats hardly more: from 6 states on at most 1.5 times as
                                    * many, mostly 1.2 */
    int32_t record;                /* NDE_RECORD_*: the richest form to begin with; 0: tape. CHECKPOINTS: of every second
                                    * step at most. 0 with NDE_ADJOINT_REVERSIBLE */
    int32_t threads;               /* 0 and 1: the calling thread only; ignored with an executor */
    const nde_executor *executor;  /* NULL: a pool owned by the solver when threads > 1. Must outlive the solver */
    size_t group;                  /* trajectories that share a queue, lanes and a gradient sum; 0: from n and dim only */
    int32_t reproducible;          /* 1: own dense kernels in fixed order at every size, also where BLAS is faster */
    const nde_blas *blas;          /* for products of the size at which a BLAS is faster; NULL: OpenBLAS where the library
                                    * was built for it, finds it (libopenblas.so.0) and it is set to one thread. Copied;
                                    * ignored when reproducible */
    int32_t isa;                   /* NDE_ISA_*: force a set of kernels; 0: the best this machine has */
    int (*progress)(void *ctx, double fraction, int64_t steps); /* now and then, from the calling thread, one at a time;
                                                                 * nonzero: stop */
    void *progress_ctx;
    const nde_allocator *allocator; /* NULL: malloc and free. Copied */
    double pid[5];                 /* with NDE_CONTROLLER_PID: k b1, k b2, k b3, a2, a3, each within [-10, 10], the first three
                                    * with a sum > 0. Gains kI, kP, kD of a PID controller: kI + kP + kD, -(kP + 2 kD), kD */
    const nde_controller *decide;  /* has the last word on each step; NULL: none. Copied */
    int32_t h_min_policy;          /* NDE_H_MIN_*; 0: fail */
    int64_t max_evals;             /* evaluations of the right-hand side for each trajectory; a step that might need more is
                                    * not tried: NDE_E_CALLS. 0: no limit */
    double max_seconds;            /* of wall clock for each run, looked at once a block step; then trajectories end where
                                    * they are with NDE_E_CALLS. 0: no limit */
    size_t event_rows;             /* hits kept for each trajectory, the first ones; 0: 16. All are counted */
    int32_t error;                 /* NDE_ERROR_*; 0: the method's own estimate */
    int32_t norm;                  /* NDE_NORM_*; 0: RMS. problem.norm is the caller's own */
    const double *weights;         /* [dim] >= 0: factors of the components' errors in the norm; 0 leaves one out, also of
                                    * the mean. NULL: all 1. Copied */
    const double *rtol_n, *atol_n; /* [n] for each trajectory, instead of rtol and atol; zeros are literal. Copied */
    const double *clip_t;          /* [n_clip] in any order: times at which steps end, and the right-hand side may be
                                    * discontinuous: the step before ends with its value just before (the time one ulp
                                    * earlier), the next begins with that at the time itself. Those outside (t0, t1) do
                                    * nothing. Not with noise. Copied */
    size_t n_clip;
    int32_t compensated;           /* 1: what rounding takes from the state at a step is added at the next one, so that a
                                    * million steps round like one: for training in float and for energies over very many steps.
                                    * Twice the memory of a state; derivatives are those of the plain sum.
                                    * Source: W. Kahan, Comm. ACM 8 (1965) 40; N. Higham, Accuracy and Stability (2002), 4.3 */
    double quantum;                /* > 0: the bit-reversible mode of the symmetric compositions (leapfrog, yoshida4 ...), of
                                    * velocity_verlet, reversible_heun, alf without damping, and coupling 1. Start, jumps and
                                    * every increment are rounded to multiples of this power of two, so that sums are exact:
                                    * fixed steps of an autonomous field from t1 to t0 then undo those from t0 to t1 bit for
                                    * bit, however many (methods with partners: begun with the partner too). A state beyond 2^53
                                    * quanta (float: 2^24) becomes NaN. Derivatives see through the rounding. 0: none.
                                    * Source: D. Levesque, L. Verlet, J. Stat. Phys. 72 (1993) 519-537 */
    double damping;                /* of alf, within (1/2, 1]: eta of the paper. Below 1 what oscillates from step to step dies
                                    * out, it is stable where slopes contract, and of order 1 instead of 2; undoing a step
                                    * multiplies what is wrong by 1/(2 damping - 1). 0: 1, none */
    int32_t stages;                /* of rkc2, 2 to 500: its steps are stable where the eigenvalues of the Jacobian are real,
                                    * between -0.65 (stages^2 - 1)/|h| and 0. With a bound on them, spectral_radius or
                                    * problem.spectrum: the most that a step may take, 0: 200. Every step then takes as few
                                    * as it needs; with spectral_radius none is longer than they allow, with problem.spectrum
                                    * such a step is left to the error estimate. Without a bound: those of every step, 0: 10 */
    double spectral_radius;        /* of rkc2: the eigenvalues are above -spectral_radius. 0: not known, or problem.spectrum */
    const struct nde_options *back; /* how a continuous adjoint is solved: method or tableau, error, rtol, atol, steps,
                                    * controller and its numbers, norm (GAUSS, QUADRATURE), limits, budget (of its own record:
                                    * GAUSS, QUADRATURE). 0 in method, rtol, atol, budget: as the solve itself. NULL: all as the
                                    * solve itself, tsit5 where that is no explicit Runge-Kutta method. Its other members do
                                    * nothing: those of the solve count. Copied */
    int32_t parameters_in_norm;    /* 1: the integrals for p and q of BACKSOLVE and INTERPOLATED count in the error norm of the
                                    * way back (the largest root mean square of state, adjoint and integrals), for comparison.
                                    * 0: they do not. Source: P. Kidger, R. Chen, T. Lyons, "Hey, that's not an ODE", ICML
                                    * (2021) */
    double coupling;               /* l within (0, 1]: an explicit Runge-Kutta method is coupled with itself backwards in
                                    * time and becomes algebraically reversible, of the same order, at twice the
                                    * evaluations. With its increment P_h: y+ = l y + (1 - l) x + P_h(t, x), x+ = x -
                                    * P_-h(t + h, y+), extended by Hermite's cubic. Undoing a step multiplies what is wrong
                                    * in y - x by 1/l; l = 1 knows the bit-reversible mode, but is hardly stable. 0: off;
                                    * 0.999 is the paper's choice. Source: S. McCallum, J. Foster (2024), arXiv 2410.11648 */
    const double *save_t_each;     /* [n_save][n] instead of save_t: own save times of each trajectory, monotone from its
                                    * t0 towards its t1. NaN: it has no more. solution.t and the gradient of save_t are
                                    * [n_save][n] then. Copied */
    int32_t discard;               /* 1: rows are not kept, solution.y is NULL: they only go to problem.stream and
                                    * problem.reduction. With save_every, save_rows 0 is no limit then (with adjoint, it is
                                    * what it is otherwise) */
    int32_t order;                 /* of adams_bashforth and adams_bashforth_moulton, 1 to 8; 0: 4. Fixed steps; those for which
                                    * too few of the same length lie behind, after starts, jumps, knots, clips and resets, are
                                    * taken by rk4 (order 4 and below) or vern7 */
    int32_t estimates;             /* NDE_ESTIMATES_*, for a method with an error estimate; 0: none. With adjoint DISCRETE and
                                    * REVERSIBLE they have derivatives as the states have */
    const uint64_t *estimate_seed; /* of the draws of TIME and STEP, read anew by each run: another one for each iteration of a
                                    * training. Must outlive the solver; NULL: 0 */
    size_t directions;             /* > 1: forward mode has room to follow so many at once (nde_forward_many), or fewer
                                    * where they would be more than 512 lanes; one if the method takes vjp_jvp. 0: 1 */
    double anchor_limit;           /* of NDE_ADJOINT_REVERSIBLE: all trajectories of a group keep a state where rounding
                                    * since the last one is predicted to have grown more on the way back. Each step counts
                                    * as one rounding; it grows by what undoing a step does (1/coupling, 1/(2 damping - 1))
                                    * and as neighbours part along the direction in which they came closest, which is
                                    * followed by differences of the right-hand side (two evaluations, once in 64 steps at
                                    * least; more often while steps are long for it). 0: 1e4 (float: 1e2); >= 1; HUGE_VAL:
                                    * none. With options.quantum nothing grows */
    const nde_store *store;        /* where the record's states go when the budget is used up: the first one of each
                                    * stretch that fits in memory, from which the others are made again on the way back:
                                    * once, or twice where times have taken their room meanwhile. Times stay in memory. Not
                                    * used by NDE_ADJOINT_REVERSIBLE. One store for each solver; its contents are of no use
                                    * to others. NULL: none. Copied */
    int32_t curvature;             /* 1: room for nde_hessian_product, with a record of its own of `budget` bytes. Not with
                                    * events, norms, domains, spectra and controllers of the caller's own, quantum, discard
                                    * and diagonal noise */
    int32_t convert;               /* 1: a problem in the other calculus than the method's is solved with another drift
                                    * that has the same solution there: Ito's less 1/2 sum_j dg_j/dy g_j is Stratonovich's,
                                    * g_j the columns of the noise. Takes their jvp, gradients their vjp_jvp; nde_forward
                                    * and curvature do not know it. 0: NDE_E_CALCULUS */
    int32_t jacobian;              /* NDE_JACOBIAN_*: where implicit methods have dF/dy from */
    double newton_tolerance;       /* of methods that iterate, DIRK, COLLOCATION and drift_implicit_euler: what Newton's
                                    * method may leave in a stage, as a part of rtol and atol; at most 1. Gradients are those
                                    * of stages that are solved exactly, differences of runs see what is left. 0: 0.01, with
                                    * fixed steps as NDE_ZERO: until rounding ends it */
    int32_t linear;                /* NDE_LINEAR_*: how implicit methods keep and factor their matrices; radau5 DENSE
                                    * alone. GMRES: of methods of
                                    * NDE_KIND_DIRK and NDE_KIND_IMEX, from jvp and, for gradients, vjp: nothing of dim x dim
                                    * numbers is kept; see problem.preconditioner. In a step to three digits, since an
                                    * iteration corrects them; in gradients and tangents to rounding, and NaN where that
                                    * takes more than 50 dim + 500 products */
    int32_t krylov;                /* of GMRES: vectors between restarts, of dim numbers a lane each; 0: 30, or dim */
} nde_options;

/* nde_exponential.scheme: exponential time differencing of orders 2, 3 and 4 by Cox and Matthews, of order 4 by Krogstad; and
 * Lawson's method with the coefficients of rk4, whose fixed points are not those of the equation. */
enum { NDE_ETDRK2 = 1, NDE_ETDRK3 = 2, NDE_ETDRK4 = 3, NDE_KROGSTAD4 = 4, NDE_LAWSON4 = 5 };

/* ---- implicit layers (nde/implicit.h) ----------------------------------------------------------------------------- */

/* nde_implicit.iteration: how the solution is found. All lanes of a block are iterated together, each of them until it has
 * converged itself; its bits do not depend on the others if the field is LANEWISE.
 *   ANDERSON       fixed points: the mixture of the last `memory` iterates whose residual is least. Needs eval alone
 *   BROYDEN        rank-one updates from the last `memory` steps, of -1 for fixed points, of the Jacobian at the start for
 *                  roots
 *   NEWTON         LU of the dense Jacobian, by field.jacobian or dim directions of jvp; shorter steps where the residual
 *                  does not shrink
 *   NEWTON_KRYLOV  the same, with directions by GMRES from products of the Jacobian (jvp), as exact as is worth while
 * Sources: D. Anderson, J. ACM 12 (1965) 547-560; H. Walker, P. Ni, SIAM J. Numer. Anal. 49 (2011) 1715-1735; C. Broyden,
 * Math. Comp. 19 (1965) 577-593; C. Kelley, Iterative Methods for Linear and Nonlinear Equations (1995), 7.3 and 8.1; S.
 * Eisenstat, H. Walker, SIAM J. Sci. Comput. 17 (1996) 16-32. */
enum { NDE_ITERATION_AUTO = 0, NDE_ANDERSON = 1, NDE_BROYDEN = 2, NDE_NEWTON = 3, NDE_NEWTON_KRYLOV = 4 };
/* How linear systems are solved: nde_options.linear; of derivatives, nde_implicit.linear (DENSE, GMRES).
 *   DENSE   LU of the dense matrix, dim x dim numbers a lane
 *   GMRES   from vjp (and jvp), without a matrix
 *   BAND    LU of the band that the field's sparsity leaves, with rows and columns in their order or in that of Cuthill and
 *           McKee, reversed, whichever is narrower: (2 lower + upper + 1) dim numbers a lane
 *   SPARSE  LU of the non-zeros by KLU, in double where the library was built with it (option klu); KLU's memory is its own, by
 *           malloc
 * BAND and SPARSE need a right-hand side of one field that has a sparsity, without terms and quadrature, and its jvp or
 * differences. AUTO of nde_options: where all that is there and dim > 16, SPARSE if KLU says that it takes fewer operations by
 * far, else BAND if it takes at most half the memory of DENSE; the Jacobian is then by jvp, even if the field has one, which
 * would be dense. All else is DENSE.
 * Sources: E. Cuthill, J. McKee, Proc. 24th ACM National Conference (1969) 157-172; A. George, Computer implementation of the
 * finite element method (1971); T. Davis, E. Palamadai Natarajan, ACM TOMS 37 (2010) 36. */
enum { NDE_LINEAR_AUTO = 0, NDE_LINEAR_DENSE = 1, NDE_LINEAR_GMRES = 2, NDE_LINEAR_BAND = 3, NDE_LINEAR_SPARSE = 4 };

/* What one trajectory cost and how it ended. Solutions hold arrays of it: its layout never changes. */
typedef struct nde_stats {
    int64_t evals;               /* evaluations of the right-hand side */
    int64_t accepted, rejected;  /* steps */
    double h_first, h_last;      /* first and last accepted step */
    double t_fail, h_fail, error_fail; /* where, at which step and with which error norm it failed; 0 when it did not */
    size_t worst;                /* component with the largest error, or the first non-finite one, at the failure */
    int64_t callback;            /* value that the failing callback returned */
    int64_t forced;              /* steps accepted beyond the tolerance by NDE_H_MIN_ACCEPT */
    double stiff_t, stiff;       /* since when stability bounded the steps of an explicit Runge-Kutta method again and again,
                                  * and an estimate of the norm of the Jacobian then; 0 and 0: not that it was seen, a step of
                                  * 64 is looked at.
                                  * Source: E. Hairer, G. Wanner, Solving Ordinary Differential Equations II (1996), IV.2 */
    /* of implicit methods: Jacobians made, matrices factored, iterations of Newton's method and of linear solvers */
    int64_t jacobians, factorisations, newton_iterations, linear_iterations;
    int64_t reserved[1];
} nde_stats;

enum { NDE_MOST_LEVELS = 24 };
/* What one level of nde_multilevel_run came to. Arrays of it: its layout never changes. */
typedef struct nde_level {
    int64_t steps, samples;
    double mean, variance;           /* of a sample: the difference, of level 0 the value */
    double fine_mean, fine_variance; /* of the value with these steps alone */
    double cost;                     /* of a sample: evaluations of the right-hand side */
} nde_level;

typedef struct nde_multilevel_report {
    size_t size;
    double value, standard_error, bias; /* bias: estimated size of what is left of it */
    double cost, plain_cost;         /* evaluations; of plain Monte Carlo with the finest steps for the same standard error */
    int32_t levels;
    int32_t reached;                 /* 1: bias and standard error are as wanted; 0: levels or samples were not enough */
    nde_level level[24];             /* NDE_MOST_LEVELS; those of `levels` are filled */
} nde_multilevel_report;

/* What a solver makes of its options, for functions of nde/inline.h. */
typedef struct nde_inline_plan {
    size_t size;
    double rtol, atol;
    const double *atol_each;                                    /* NULL: atol */
    double alpha, beta, reject, safety, factor_min, factor_max; /* of the controller */
    double h0, h_min, h_max;                                    /* as in options; h_max 0: no bound */
    int64_t max_steps;                                          /* <= 0: no limit */
    const double *save_t;                                       /* [n_save] */
    size_t n_save;
} nde_inline_plan;

#ifdef __cplusplus
}
#endif
#endif
