/* SPDX-License-Identifier: MIT
 * nde/sample.h - expectations over paths. */
#ifndef NDE_SAMPLE_H
#define NDE_SAMPLE_H

#include "base.h"
#include "real.h"
#include "solve.h"

#ifdef __cplusplus
extern "C" {
#endif

/* The expectation of a functional of the solution, by multilevel Monte Carlo: few samples with fine steps, many with
 * coarse ones. Level l has options.steps 2^l steps; its samples are the differences of the values with these and with half
 * as many steps along the same path. How many samples a level has follows from the variances and costs that are seen, and
 * levels are added until the estimated bias is small enough.
 *   problem   with noise from grids without grid; a batch of its n trajectories (even with antithetic noise) is repeated
 *             with other noise as often as needed: y0 and q are those of every batch. Seeds are functions of noise.seed,
 *             level and batch
 *   options   with steps: of level 0; no adjoint, save_every or progress. NULL members of both as ever
 *   value     value [n] out: of the trajectories of a run, whatever it makes of it. Returns 0; nonzero: NDE_E_FIELD
 *   error     > 0: the root mean square error wanted, half of its square the variance and half the bias
 *   levels    at most so many, 3 to NDE_MOST_LEVELS; 0: 12
 *   first     samples of a level to begin with; 0: 1000. Rounded up to batches
 *   samples   of all levels together at most; 0: 10^10
 *   weak      order of the bias by the step; 0: estimated, and at least 1/2
 * Source: M. B. Giles, Multilevel Monte Carlo path simulation, Oper. Res. 56 (2008) 607-617; Acta Numerica 24 (2015)
 * 259-328. */
typedef struct nde_multilevel {
    size_t size;
    const nde_problem *problem;
    const nde_options *options;
    int (*value)(void *ctx, const nde_solution *solution, double *value);
    void *ctx;
    double error;
    int32_t levels;
    int64_t first, samples;
    double weak;
} nde_multilevel;

/* report: out; zero its size, or NDE_INIT it; untouched on error. Allocates the solvers of one level at a time and two arrays,
 * through options.allocator, and frees them. The same bits for any number of threads.
 * Errors: NDE_E_ARG; those of nde_solver_create and nde_solver_run; NDE_E_FIELD; NDE_E_NONFINITE where a value is not
 * finite. */
NDE_API NDE_CHECK nde_status nde_multilevel_run(const nde_multilevel *multilevel, nde_multilevel_report *report);

#ifdef __cplusplus
}
#endif
#endif
