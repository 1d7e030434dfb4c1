/* SPDX-License-Identifier: MIT
 * nde/train.h - optimisers, schedules, losses and parameter files. */
#ifndef NDE_TRAIN_H
#define NDE_TRAIN_H

#include "base.h"
#include "real.h"
#include "solve.h"

#ifdef __cplusplus
extern "C" {
#endif

/* ---- optimisers -------------------------------------------------------------------------------------------------- */

/* What an optimiser is and where it stands (rules and schedules: NDE_ADAM and NDE_SCHEDULE_COSINE ... in base.h): `step` and
 * `state` are all that a resumed run needs. */
typedef struct nde_optimiser {
    size_t size;
    int32_t kind;                 /* 0: ADAM */
    int32_t nesterov;             /* 1: with SGD and momentum */
    double rate;                  /* 0: 1e-3; SGD 1e-2, RMSPROP 1e-2, ADADELTA 1 */
    double beta1, beta2;          /* ADAM, ADAMW; 0: 0.9, 0.999 */
    double momentum;              /* SGD, RMSPROP */
    double rho;                   /* RMSPROP, ADADELTA: memory of the mean square; 0: 0.99, 0.9 */
    double epsilon;               /* 0: 1e-8; ADADELTA 1e-6 */
    double weight_decay;          /* ADAMW: p shrinks by rate*weight_decay, 0: 1e-2; others: added to the gradient, 0: none */
    double clip_norm, clip_value; /* > 0: the gradient's entries are cut to +-clip_value, then its 2-norm to clip_norm */
    int32_t schedule;             /* NDE_SCHEDULE_* */
    double decay;                 /* 0: 0.1 for EXPONENTIAL; literal for COSINE */
    int64_t decay_steps, warmup_steps; /* decay_steps > 0 with a schedule */
    int64_t step;                 /* steps taken so far; start with 0 */
    double *state;                /* [nde_optimiser_length] the caller's; zeroed here at step 0 */
} nde_optimiser;

/* Doubles of `state` for np parameters (at most 3 np); 0 on error, and for SGD without momentum, which needs none. */
NDE_API size_t nde_optimiser_length(const nde_optimiser *optimiser, size_t np);
/* One step: p [np] is updated in place from gradient [np].
 * Errors: NDE_E_ARG; NDE_E_NONFINITE: the gradient (after clipping, its square) is not finite. On error nothing was changed. */
NDE_API NDE_CHECK nde_status nde_optimiser_step(nde_optimiser *optimiser, size_t np, const nde_real *gradient, nde_real *p);
/* The rate that the next step will have; NaN when the optimiser is wrong. */
NDE_API double nde_optimiser_rate(const nde_optimiser *optimiser);

/* Mean of the parameters over the steps at which it is updated.
 *   decay   0: equal weights (stochastic weight averaging: P. Izmailov et al., UAI 2018); in (0, 1): exponential,
 *           mean = decay*mean + (1 - decay)*p, beginning with the first p */
typedef struct nde_average {
    size_t size;
    double decay;
    int64_t count;   /* updates so far; start with 0 */
    double *mean;    /* [np] the caller's */
} nde_average;
/* Errors: NDE_E_ARG (a p that is not finite too: it would stay in the mean). On error nothing was changed. */
NDE_API NDE_CHECK nde_status nde_average_update(nde_average *average, size_t np, const nde_real *p);
/* p [np] = mean. Errors: NDE_E_ARG (no update yet). */
NDE_API NDE_CHECK nde_status nde_average_get(const nde_average *average, size_t np, nde_real *p);

/* Early stopping: keeps the parameters of the best loss so far.
 *   patience      losses in a row without improvement until it says stop; >= 1
 *   improvement   by how much a loss must be below the best; 0: any
 *   best_p        [np] the caller's; NULL: not kept, and np and p do not matter */
typedef struct nde_patience {
    size_t size;
    int64_t patience;
    double improvement;
    int64_t count, waited, best_at; /* losses seen, since the best, number of the best (the first is 1); start with 0 */
    double best;                    /* Inf while there is none */
    nde_real *best_p;
} nde_patience;
/* Returns NDE_STOPPED when patience is over, else NDE_OK; the caller may go on: a better loss starts it anew. A loss that is
 * NaN is no improvement. Errors: NDE_E_ARG; nothing was changed. */
NDE_API NDE_CHECK nde_status nde_patience_update(nde_patience *patience, double loss, size_t np, const nde_real *p);

/* Parameters with bounds as functions of free ones z; lower = -inf or NULL, upper = inf or NULL: none on that side.
 *   none: p = z;   lower: p = lower + exp(z);   upper: p = upper - exp(z);   both: p = lower + (upper - lower)/(1 + exp(-z))
 * lower = 0 gives positive parameters by their logarithm, (0, 1) probabilities by their logit. */
typedef struct nde_bounds {
    size_t size;
    const double *lower, *upper; /* [np] */
} nde_bounds;
/* p of z, z of p (which must be strictly inside), and gradient_z = dp/dz gradient_p; all may be in place. The p of a finite z
 * is finite and strictly inside: where rounding would put it on a bound, it is the number next to that.
 * Errors: NDE_E_ARG; nothing was changed. */
NDE_API NDE_CHECK nde_status nde_bounds_apply(const nde_bounds *bounds, size_t np, const nde_real *z, nde_real *p);
NDE_API NDE_CHECK nde_status nde_bounds_free(const nde_bounds *bounds, size_t np, const nde_real *p, nde_real *z);
NDE_API NDE_CHECK nde_status nde_bounds_pullback(const nde_bounds *bounds, size_t np, const nde_real *z,
                                                 const nde_real *gradient_p, nde_real *gradient_z);

/* ---- data -------------------------------------------------------------------------------------------------------- */

/* A data set of n trajectories at common times; an entry that is NaN is missing. */
typedef struct nde_series {
    size_t size;
    size_t n, dim, times;
    const double *t;        /* [times] strictly monotone */
    const nde_real *y;      /* [times][dim][n] */
    const nde_real *weight; /* [times][dim][n] >= 0; NULL: 1 */
} nde_series;

/* A piece of one trajectory. Its layout never changes. */
typedef struct nde_window {
    size_t trajectory, start, length; /* times start ... start + length - 1 */
    const unsigned char *mask;        /* [length] 0: this time is left out; NULL: none is */
} nde_window;

/* All windows of `length` times that begin every `stride` times, trajectory after trajectory.
 *   window   out [capacity]; NULL: only *count is set
 *   count    out
 * Errors: NDE_E_ARG; NDE_E_SIZE (capacity too small: nothing is written but *count). */
NDE_API NDE_CHECK nde_status nde_windows(const nde_series *series, size_t length, size_t stride, nde_window *window,
                                         size_t capacity, size_t *count);
/* order [count]: a random permutation of 0 ... count - 1, a pure function of (seed, epoch): a resumed run has the same.
 * Source: R. Durstenfeld, Algorithm 235 (1964). Errors: NDE_E_ARG. */
NDE_API NDE_CHECK nde_status nde_shuffle(uint64_t seed, uint64_t epoch, size_t count, size_t *order);
/* A mini-batch of m windows as lanes: what a problem with n = m and nde_loss_mse need.
 *   window   [m]; windows may have different lengths
 *   times    rows of the batch, >= every length; rows beyond a window's length are missing (NaN)
 *   t        out [times] relative to each window's start, the same for all (to 8 ulp of the largest |t|), else NDE_E_ARG
 *   y0       out [dim][m] state at each start (missing entries: NDE_E_ARG)
 *   data     out [times][dim][m]; missing and masked entries are NaN
 *   weight   out [times][dim][m]; NULL: not wanted
 *   t0       out [m] absolute time of each start, for fields that depend on it; NULL: not wanted
 * Errors: NDE_E_ARG. */
NDE_API NDE_CHECK nde_status nde_batch(const nde_series *series, const nde_window *window, size_t m, size_t times, double *t,
                                       nde_real *y0, nde_real *data, nde_real *weight, double *t0);

/* ---- losses ------------------------------------------------------------------------------------------------------ */

/* 1/2 of the weighted mean of (y - data)^2 over the entries of data that are not NaN and have weight > 0. A y that is NaN
 * there makes the loss NaN.
 *   solution  y [n_save][out][n]
 *   data      [n_save][out][n]; NaN: missing
 *   weight    [n_save][out][n] >= 0, or NULL: 1; the mean is over the sum of weights
 *   loss      out
 *   seed_y    out [n_save][out][n]: dloss/dy, 0 where data is missing; may be NULL
 * Errors: NDE_E_ARG (NULL, a negative weight, no data at all). */
NDE_API NDE_CHECK nde_status nde_loss_mse(const nde_solution *solution, const nde_real *data, const nde_real *weight,
                                          double *loss, nde_real *seed_y);

/* Multiple shooting: each lane is a segment with its own initial state, and lane next[b] goes on where lane b ends. Adds
 * penalty/2 times the mean over those pairs and components of (y_end_b - y0_next)^2.
 *   solution   y_end [dim][n]
 *   y0         [dim][n] the initial states, which are parameters
 *   next       [n]; SIZE_MAX: nothing follows
 *   loss       added to
 *   seed_y_end out [dim][n], gradient_y0 out [dim][n]: the derivatives; y0's total gradient is this one plus nde_backward's
 * Errors: NDE_E_ARG. Source: H. G. Bock, K. J. Plitt, A multiple shooting algorithm, IFAC (1984). */
NDE_API NDE_CHECK nde_status nde_loss_continuity(const nde_solution *solution, const nde_real *y0, const size_t *next,
                                                 double penalty, double *loss, nde_real *seed_y_end, nde_real *gradient_y0);

/* ---- whole fits -------------------------------------------------------------------------------------------------- */

/* How a minimisation went. Its layout never changes. */
typedef struct nde_fit {
    int64_t iterations, evaluations;
    double first, last;   /* value of the objective */
    double gradient_norm; /* at the end, largest entry */
    int64_t reserved[4];
} nde_fit;

/* L-BFGS for a deterministic objective, by liblbfgs (D. Liu, J. Nocedal, Math. Programming 45, 1989); without it in the
 * build: NDE_E_ARG with a sentence.
 *   memory, iterations, tolerance   0: 8, 1000, 1e-6 on the gradient's 2-norm over max(1, 2-norm of p)
 *   value      returns 0 and *value and gradient [np] at p [np], all finite, or it ends with NDE_E_NONFINITE; > 0: not
 *              possible here, shorten the step (neither is read); < 0: give up
 *   progress   after each iteration; nonzero: stop. May be NULL */
typedef struct nde_minimiser {
    size_t size;
    int (*value)(void *ctx, size_t np, const nde_real *p, double *value, nde_real *gradient);
    int (*progress)(void *ctx, int64_t iteration, double value, const nde_real *p);
    void *ctx;
    size_t memory;
    int64_t iterations;
    double tolerance;
} nde_minimiser;
/* p [np] in: the start; out: the best point found, on error too. fit: out, may be NULL.
 * Returns NDE_OK (converged); NDE_STOPPED; NDE_UNFINISHED (iterations used up, or no further progress possible); NDE_E_ARG,
 * NDE_E_NOMEM, NDE_E_FIELD (value gave up), NDE_E_NONFINITE. */
NDE_API NDE_CHECK nde_status nde_minimise(const nde_minimiser *minimiser, size_t np, nde_real *p, nde_fit *fit);

/* Levenberg-Marquardt for few parameters: minimises 1/2 |r(p)|^2.
 *   residual   returns 0 and r [m] and, when not NULL, jacobian [m][np] at p [np], all finite, or it ends with
 *              NDE_E_NONFINITE; > 0: not possible here, shorten the step; < 0: give up
 *   lower, upper   [np] or NULL: every p that is tried is inside; equal: held. The start is moved inside
 *   iterations, tolerance   0: 100, 1e-10 (float: 1e-6) on the relative decrease, on the step and on the gradient's cosine
 * Source: J. More, The Levenberg-Marquardt algorithm, Lecture Notes in Math. 630 (1978); M. Transtrum, J. Sethna,
 * arXiv 1201.5885 (2012). */
typedef struct nde_least_squares {
    size_t size;
    size_t m;
    int (*residual)(void *ctx, size_t np, const nde_real *p, size_t m, double *r, double *jacobian);
    int (*progress)(void *ctx, int64_t iteration, double value, const nde_real *p);
    void *ctx;
    const double *lower, *upper;
    int64_t iterations;
    double tolerance;
} nde_least_squares;
/* As nde_minimise; fit's values are |r|^2/2, and gradient_norm leaves out what points out of a bound. covariance: out [np][np],
 * (J'J)^-1 |r|^2/(m - np) at the end, bounds or not; NULL: not wanted; all NaN when J'J is singular or m <= np. */
NDE_API NDE_CHECK nde_status nde_least_squares_fit(const nde_least_squares *problem, size_t np, nde_real *p, double *covariance,
                                                   nde_fit *fit);
/* Residuals and their Jacobian by forward sensitivities of a solver's last run (options.adjoint set), over the entries of data
 * that are not NaN and have weight > 0, in the order of data: r = sqrt(weight)(y - data).
 *   data, weight   [n_save][out][n], as in nde_loss_mse
 *   m              out: how many; r and jacobian NULL: only this
 *   r              [m]; jacobian [m][np], np the solver's; NULL: not wanted
 *   work           [k (n_save*out*n + np)] scratch, k the smaller of np and the solver's options.directions (0: 1), which are
 *                  followed at once
 * Errors: NDE_E_ARG, those of nde_forward. */
NDE_API NDE_CHECK nde_status nde_residuals(nde_solver *solver, const nde_solution *solution, const nde_real *data,
                                           const nde_real *weight, size_t np, size_t *m, double *r, double *jacobian,
                                           nde_real *work);

/* ---- files ------------------------------------------------------------------------------------------------------- */

/* Writes a vector as a NumPy .npy file (version 1.0), to a temporary name first and renamed when complete.
 * Errors: NDE_E_ARG, NDE_E_IO. */
NDE_API NDE_CHECK nde_status nde_npy_save(const char *file, const nde_real *values, size_t count);
/* Reads `count` values from such a file, of this precision's type. Errors: NDE_E_ARG, NDE_E_IO (missing, not a regular file,
 * another type, shape or length: then values are untouched). */
NDE_API NDE_CHECK nde_status nde_npy_load(const char *file, nde_real *values, size_t count);

#ifdef __cplusplus
}
#endif
#endif
