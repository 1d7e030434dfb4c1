# SPDX-License-Identifier: MIT
"""Expectations over paths, by multilevel Monte Carlo."""
import ctypes

import numpy as np

from . import _library
from ._library import c_type, struct
from ._solution import Running, Solution
from ._solve import Solver

LEVEL = np.dtype(struct("level"))


class Expectation:
    """What multilevel came to.

    value             the expectation; standard_error and bias (an estimate of its size) of it
    reached           both are as wanted; else levels or samples were not enough
    cost              evaluations of the right-hand side; plain_cost: those of plain Monte Carlo with the finest steps
    levels            of each its steps, samples, mean, variance ...: nde_level
    """

    def __init__(self, report):
        self.value, self.standard_error, self.bias = report.value, report.standard_error, report.bias
        self.cost, self.plain_cost, self.reached = report.cost, report.plain_cost, bool(report.reached)
        self.levels = np.rec.array(np.frombuffer(report.level, LEVEL)[:report.levels], copy=True)

    def __repr__(self):
        return f"<nde.Expectation: {self.value:.6g}, standard error {self.standard_error:.2g}, {len(self.levels)} levels>"


def multilevel(value, field, y0, t, p=None, q=None, *, error, levels=0, first=0, samples=0, weak=0.0, steps, terms, **more):
    """The expectation of a function of the solution of a stochastic differential equation, by multilevel Monte Carlo
    (nde/sample.h): few samples with fine steps, many with coarse ones.

    value      value(sol): of each trajectory of a solution a number, (n,)
    field ...  as for nde.solve; y0 (n, dim): a batch, which is repeated with other paths as often as needed
    error      the root mean square error that is wanted
    steps      of level 0; level l has steps*2**l
    levels     at most so many, 3 to 24; first: samples of a level to begin with; samples: of all levels at most
    weak       order of the bias by the step; 0: estimated
    terms      [nde.Noise(...)]
    **more     options of nde.solve
    Raises nde.Error, and what `value` raises.
    """
    solver = Solver(field, y0, t, p, q, steps=steps, terms=terms, **{**more, "adjoint": "none"})
    options = struct("options").from_buffer_copy(solver.options)
    options.progress = c_type(options.kinds["progress"])()

    def of_batch(_, at, out):
        found = np.asarray(value(Solution(solver, struct("solution").from_address(at), 0)), float)
        if found.shape != (solver.n,):
            raise ValueError(f"nde: value returned shape {found.shape}, not {(solver.n,)}")
        np.ctypeslib.as_array((ctypes.c_double*solver.n).from_address(out))[:] = found
    what = struct("multilevel")(problem=solver.problem, options=options, value=solver.calls.guard(of_batch), error=error,
                                levels=levels, first=first, samples=samples, weak=weak)
    report = struct("multilevel_report")()
    with Running(solver):
        status = solver.names.multilevel_run(ctypes.addressof(what), ctypes.addressof(report))
    if status < 0:
        raise _library.failure(status)
    return Expectation(report)
