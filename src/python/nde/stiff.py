# SPDX-License-Identifier: MIT
"""Stiff and differential-algebraic problems by SUNDIALS' CVODES and IDAS (libnde-stiff, nde/stiff.h), called as nde.solve:

    import nde.stiff
    sol = nde.stiff.solve(field, y0, (0, 1e11), rtol=1e-8)

ImportError where libnde-stiff is not: wheels have none. nde.solve has stiff methods of its own, such as rodas5p."""
import ctypes

import numpy as np

from . import _library, _solve
from ._library import VERSION, Names, address, array, chosen, group, struct
from ._solution import Solution as _Solution

__all__ = ["Solution", "Solver", "solve"]


def _load():
    place = _library.places("libnde-stiff", "NDE_STIFF_LIBRARY", "stiff")[0]
    try:
        found = ctypes.CDLL(place)
    except OSError as error:
        raise ImportError(f"nde.stiff: libnde-stiff {VERSION} is not here; it is built with -Dsundials=enabled: {error}") from None
    return Names("nde_", np.float64, found)


_functions = _load()
sundials = _functions.stiff_sundials().decode()
_METHODS = {"bdf": "BDF", "adams": "ADAMS", "dae": "DAE"}
_LINEAR = {"dense": "DENSE", "band": "BAND", "krylov": "KRYLOV", "none": "NONE"}


class Solution(_Solution):
    """nde.Solution, without forward mode and second derivatives. backward is CVODES' continuous adjoint, right to the tolerances:
    solve with adjoint="interpolated"; sol(t) needs dense=1."""

    def _recorded(self):
        return self.solver

    def _refused(self, *_, **__):
        raise NotImplementedError("nde.stiff: backward alone is there; see nde.solve(..., method=\"rodas5p\")")

    forward = hessian_product = gauss_newton_product = gradient_check = _refused


class Solver(_solve.Solver):
    """nde.Solver for nde.stiff.solve's arguments."""
    _solution = Solution

    def __init__(self, field, y0, t, p=None, q=None, *, method="bdf", linear=None, mass=None, dy0=None, **more):
        self.stiff = struct("stiff_options")(method=_number("method", method, _METHODS),
                                             linear=linear and _number("linear", linear, _LINEAR))
        if mass is not None:
            mass = array("mass", mass, float, (1, 2))
            if set(mass.shape) != {np.shape(y0)[-1]}:
                raise _library.ArgumentError(_library.Status.E_ARG, f"nde: mass has shape {mass.shape}, y0 {np.shape(y0)}")
            self.stiff.put(**{"mass" if mass.ndim == 2 else "mass_diagonal": mass})
        if dy0 is not None:
            self.stiff.put(dy0=array("dy0", np.asarray(dy0).T, float))
        self.stiff.put(**{name: more.pop(name) for name in [*more] if name in self.stiff.kinds and name != "size"})
        super().__init__(field, y0, t, p, q, **{"adjoint": "none", **more})

    def _create(self):
        status = _functions.stiff_create(*map(ctypes.addressof, (self.problem, self.options, self.stiff, self.pointer)))
        if status < 0:
            raise _library.failure(status, self.error())

    def _destroy(self):
        _functions.stiff_destroy(self.pointer)

    def _solve(self, solution):
        return _functions.stiff_run(self.pointer, ctypes.addressof(solution))

    def _backward(self, seed, gradient):
        return _functions.stiff_backward(self.pointer, ctypes.addressof(seed), ctypes.addressof(gradient))

    def _dense(self, trajectory, times, y, dy):
        for i, t in enumerate(times):
            rows = [None if out is None else address(out[i]) for out in (y, dy)]
            if (status := _functions.stiff_dense(self.pointer, trajectory, t, *rows)) < 0:
                return status
        return 0

    def error(self):
        return _functions.stiff_error(self.pointer).decode() or _functions.stiff_error(None).decode()


def _number(what, word, known):
    """The number of a word of nde_stiff_options."""
    numbers = group("NDE_STIFF_")
    return chosen(what, word, {name: numbers[constant.lower()] for name, constant in known.items()})


def solve(field, y0, t, p=None, q=None, *, check=True, **more):
    """nde.solve by CVODES or IDAS, in double precision.

    method    "bdf"; "adams"; "dae": M y' = field(t, y), M constant and perhaps singular
    linear    "dense", "band", "krylov", "none"; None: what suits
    mass      M of "dae": (dim, dim), or (dim,) its diagonal; dy0: y' at the start, like y0; None: it is found
    **more    other members of nde_stiff_options, and what nde.solve takes: rtol, atol, events, jump ... A Python function needs
              jacobian="differences", or derivatives (nde.PythonField)
    """
    return Solver(field, y0, t, p, q, **more).run(check)
