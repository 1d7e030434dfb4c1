/* SPDX-License-Identifier: MIT
 * anew.h - a run of a solver that is made for it. */
#ifndef NDE_TEST_ANEW_H
#define NDE_TEST_ANEW_H

/* *solver: NULL, or the one of the run before; destroyed by the caller after the last one. */
static inline nde_status run_anew(nde_solver **solver, const nde_problem *problem, const nde_options *options,
                                  nde_solution *solution) {
    nde_solver_destroy(*solver);
    *solver = NULL;
    assert_int_equal(nde_solver_create(problem, options, solver), NDE_OK);
    return nde_solver_run(*solver, solution);
}

#endif
