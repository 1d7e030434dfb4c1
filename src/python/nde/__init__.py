# SPDX-License-Identifier: MIT
"""Neural and ordinary differential equations with exact gradients: libnde from Python.

    import nde
    sol = nde.solve(nde.program(lambda t, y, p: [y[1], -p[0]*y[0]]), [1.0, 0.0], (0, 10), p=[4.0], rtol=1e-8)
    sol.y, sol.stats.accepted, sol(2.5)
    gradient = sol.backward(sol.y)          # of a loss whose derivative by y is sol.y: .y0, .p
"""
from . import ops
from ._field import CField, Field, MLP, PythonField, Retry, Stop, compose, concatenate
from ._fit import Fit, Optimiser, fit, load, save
from ._layer import Exponential, Implicit
from ._library import ArgumentError, Error, FileError, OutOfMemory, Status, activations, methods
from ._library import VERSION as __version__
from ._program import program
from ._scipy import solve_ivp
from ._problem import Control, Event, Noise, Path, Store, Tableau
from ._sample import Expectation, multilevel
from ._solution import Gradient, Solution
from ._solve import Solver, mse, options, solve, value_and_grad
