# SPDX-License-Identifier: MIT
"""What a solve came to: its values as views of the library's memory, and what is differentiated after it."""
import ctypes
import math

import numpy as np

from . import _library
from ._library import ArgumentError, Error, Status, array, double, struct, view

STATS = np.dtype(struct("stats"))


class Running:
    """One thread at a time is in a solver, and not from within its own callbacks; what these raised is raised after it."""

    def __init__(self, solver):
        self.solver = solver

    def __enter__(self):
        if not self.solver.lock.acquire(blocking=False):
            raise RuntimeError("nde: this solver is running")
        self.solver.calls.__enter__()

    def __exit__(self, *_):
        self.solver.lock.release()
        self.solver.calls.__exit__()


class Gradient:
    """Derivatives of a loss: y0, p, q and what else was wanted, in the shapes of what they are by; or tangents of outputs."""

    def __init__(self, **found):
        self.__dict__.update(found)

    def __repr__(self):
        return "Gradient(" + ", ".join(f"{name}={value!r}" for name, value in self.__dict__.items()) + ")"


class Solution:
    """What a solve came to. With one trajectory arrays have no axis n.

    t            times of y; y (times, n, dim); y_end (n, dim), t_end (n,): where each stopped
    status       a Status, or an array of them; ok: all is well; error: what went wrong first, or None
    stats        .evals, .accepted, .rejected ...: nde_stats
    quadrature   (n, rows)
    events       of each event (t, y) of its hits; with many trajectories a list of these
    sol(t)       the solution at any time in between
    """

    def __init__(self, solver, found, status):
        self.solver, self.found, self.result = solver, found, Status(status)
        self.many, self.n, self.dim, self.again, self._y = solver.many, solver.n, solver.dim, False, None

    def _recorded(self):
        """The solver with its record: nde.solve keeps none unless it is told so, and what needs one solves once more."""
        if self.again and not self.solver.options.adjoint:
            solver = self.solver.recording()
            found = solver.run(check=False)
            if found.y_end.tobytes() != self.y_end.tobytes():
                raise Error(Status.E_ARG, "nde: solved again for a record, it came to another end: arrays were changed in "
                            "between, or the function is not the same; solve with adjoint=\"discrete\"")
            self.solver, self.found, self._y = solver, found.found, None
        return self.solver

    def _view(self, name, shape, dtype=None):
        """[...][rows][n] of the library as (..., n, rows)."""
        seen = view(getattr(self.found, name), shape, dtype or self.solver.names.dtype, self.solver)
        return seen if seen is None else self._shown(seen)

    def _shown(self, seen):
        return seen.swapaxes(-1, -2) if self.many else seen[..., 0]

    def _each(self, name, dtype):
        seen = view(getattr(self.found, name), (self.n,), dtype, self.solver)
        return seen if self.many or seen is None else seen[0]

    @property
    def _rows(self):
        """Rows that are there: with save_every, those that the longest trajectory has."""
        if not self.solver.options.save_every:
            return self.found.n_save
        return int(view(self.found.saved, (self.n,), np.uintp, self.solver).max())

    @property
    def t(self):
        each = self.solver.options.save_every or self.solver.options.save_t_each
        seen = view(self.found.t, (self.found.n_save, self.n) if each else (self.found.n_save,), np.float64, self.solver)
        return seen[:self._rows, 0] if each and not self.many else seen[:self._rows]

    @property
    def y(self):
        if self._y is None and self.found.y:
            self._y = self._view("y", (self.found.n_save, self.found.out, self.n))[:self._rows]
        return self._y

    @property
    def y_end(self):
        return self._view("y_end", (self.dim, self.n))

    @property
    def t_end(self):
        return self._each("t_end", np.float64)

    @property
    def quadrature(self):
        return self._view("quadrature", (self.found.nz, self.n))

    @property
    def stats(self):
        seen = np.rec.array(view(self.found.stats, (self.n,), STATS, self.solver), copy=False)
        return seen if self.many else seen[0]

    @property
    def status(self):
        seen = self._each("status", np.int32)
        return np.array([Status(value) for value in seen], object) if self.many else Status(int(seen))

    @property
    def ok(self):
        return self.result in (Status.OK, Status.EVENT)

    @property
    def error(self):
        return self.found.error and self.found.error.decode()

    @property
    def record(self):
        """The form that the record ended in: "tape" ..., "none"."""
        return next(name for name, value in _library.group("NDE_RECORD_").items() if value == self.found.record)

    @property
    def events(self):
        f, s = self.found, self.solver
        if not f.n_events:
            return []
        saved = view(f.event_saved, (self.n,), np.uintp, s)
        which, t = view(f.event_which, (f.event_rows, self.n), np.int32, s), view(f.event_t, (f.event_rows, self.n), float, s)
        y = view(f.event_y, (f.event_rows, self.dim, self.n), s.names.dtype, s)
        found = []
        for b in range(self.n):
            mine = [which[:saved[b], b] == event for event in range(f.n_events)]
            found.append([(t[:saved[b], b][hits], y[:saved[b], :, b][hits]) for hits in mine])
        return found if self.many else found[0]

    def __call__(self, t, derivative=False):
        """y at times t within what was solved, (..., n, dim); derivative: dy/dt instead."""
        times = array("t", np.atleast_1d(t), float)
        self._recorded()
        found = np.empty((self.n, times.size, self.dim), self.solver.names.dtype)
        with Running(self.solver):
            for b in range(self.n):
                status = self.solver._dense(b, times, *((None, found[b]) if derivative else (found[b], None)))
                if status < 0:
                    break
        self._check(status)
        found = found.reshape(self.n, *np.shape(t), self.dim)
        return np.moveaxis(found, 0, -2) if self.many else found[0]

    def backward(self, y=None, *, y_end=None, quadrature=None, t_end=None, wanted=("y0", "p", "q")):
        """Gradient of a loss whose derivatives by sol.y, sol.y_end, sol.quadrature and sol.t_end are given, any number of times.
        wanted: of "y0", "p", "q", "t0", "t1", "save_t"."""
        s, (arrays, gradient) = self._recorded(), self._wanted(wanted)
        seed = self._seeds(y=y, y_end=y_end, quadrature=quadrature, t_end=t_end)
        with Running(s):
            status = s._backward(seed, gradient)
        self._check(status)
        return self._given(arrays)

    def forward(self, *, y0=None, p=None, q=None):
        """How y, y_end and quadrature move as y0, p and q move along a direction: an object of these."""
        s, names = self._recorded(), self.solver.names
        direction, (arrays, tangent) = self._direction(y0=y0, p=p, q=q), self._tangent()
        with Running(s):
            status = names.forward(s.pointer, ctypes.addressof(direction), ctypes.addressof(tangent))
        self._check(status)
        return Gradient(**{name: self._shown(value) for name, value in arrays.items()})

    def hessian_product(self, *, y0=None, p=None, q=None, y=None, y_end=None, quadrature=None, tangent=None, wanted=("y0", "p", "q")):
        """Product of the Hessian of a loss with a direction y0, p, q: an object as of backward (nde_hessian_product). Needs a solve
        with curvature=1 and an adjoint.
        y, y_end, quadrature   derivatives of the loss by these, as for backward
        tangent                {"y": ..., ...}: their derivatives along the direction: the loss's second derivative times what forward
                               gives. None: zero, as for a loss that is linear in y"""
        s, (arrays, product) = self._recorded(), self._wanted(wanted)
        parts = (self._direction(y0=y0, p=p, q=q), self._seeds(y=y, y_end=y_end, quadrature=quadrature), self._seeds(**(tangent or {})),
                 product)
        with Running(s):
            status = s.names.hessian_product(s.pointer, *map(ctypes.addressof, parts))
        self._check(status)
        return self._given(arrays)

    def gauss_newton_product(self, *, y0=None, p=None, q=None, outputs=("y",), weight=None, wanted=("y0", "p", "q")):
        """J'WJ times a direction y0, p, q, J the derivative of the outputs: an object as of backward (nde_gauss_newton_product).
        outputs   of "y", "y_end", "quadrature"
        weight    {"y": ..., ...}: W, a number for each output; None: 1"""
        s, (arrays, product), (_, tangent) = self._recorded(), self._wanted(wanted), self._tangent(outputs)
        parts = self._direction(y0=y0, p=p, q=q), self._seeds(**(weight or {})), tangent, product
        with Running(s):
            status = s.names.gauss_newton_product(s.pointer, *map(ctypes.addressof, parts))
        self._check(status)
        return self._given(arrays)

    def _wanted(self, wanted):
        """Zeroed arrays of what a gradient is wanted by, and the nde_gradient of them."""
        s = self.solver
        shapes = {"y0": (self.dim, self.n), "p": (s.np,), "q": (s.nq, self.n), "t0": (self.n,), "t1": (self.n,),
                  "save_t": (self.found.n_save, self.n) if s.options.save_t_each else (self.found.n_save,)}
        if unknown := [name for name in wanted if name not in shapes]:
            raise ArgumentError(Status.E_ARG, f"nde: wanted has {unknown[0]!r}; known are {', '.join(shapes)}")
        arrays = {name: np.zeros(shapes[name], s.names.dtype if name in ("y0", "p", "q") else float)
                  for name in wanted if math.prod(shapes[name])}
        gradient = struct("gradient")(**arrays)
        if "p" in wanted:
            arrays.setdefault("p", None)
        return arrays, gradient

    def _given(self, arrays):
        rows = {name: self._shown(arrays[name]) for name in ("y0", "q") if name in arrays}
        times = {name: float(arrays[name][0]) for name in ("t0", "t1") if name in arrays and not self.many}
        return Gradient(**{**arrays, **rows, **times})

    def _direction(self, **given):
        s = self.solver
        shapes = {"y0": s.y0.shape, "p": (s.np,), "q": s.q.shape if s.nq else (0,)}
        moved = {name: np.asarray(value) for name, value in given.items() if value is not None}
        for name, value in moved.items():
            if value.shape != shapes[name]:
                raise ArgumentError(Status.E_ARG, f"nde: the direction of {name} has shape {value.shape}, not {shapes[name]}")
        return struct("direction")(**{name: array(f"the direction of {name}", value.T, s.names.dtype) for name, value in moved.items()})

    def _tangent(self, outputs=("y", "y_end", "quadrature")):
        """Zeroed arrays of outputs, those that there are, and the nde_output_tangent of them."""
        shapes = {"y": (self.found.n_save, self.found.out, self.n), "y_end": (self.dim, self.n), "quadrature": (self.found.nz, self.n)}
        if unknown := [name for name in outputs if name not in shapes]:
            raise ArgumentError(Status.E_ARG, f"nde: outputs has {unknown[0]!r}; known are {', '.join(shapes)}")
        arrays = {name: np.zeros(shapes[name], self.solver.names.dtype) for name in outputs if getattr(self.found, name)}
        return arrays, struct("output_tangent")(**arrays)

    def gradient_check(self, y=None, *, y_end=None, quadrature=None, random=1):
        """How right backward's gradient is, for a vjp of your own: it is compared along random directions with forward mode and
        with differences. An object of nde_gradient_report's members: difference_error, forward_error (NaN: a field has no jvp)
        ..., which are below 1e-9 in double when all is well."""
        s, seed, report = self._recorded(), self._seeds(y=y, y_end=y_end, quadrature=quadrature), struct("gradient_report")()
        with Running(s):
            given = map(ctypes.addressof, (s.problem, s.options, seed))
            status = s.names.gradient_check(*given, random, ctypes.addressof(report))
        if status < 0:
            raise _library.failure(status)
        found = {name: getattr(report, name) for name in report.kinds if name != "size"}
        return Gradient(**{name: list(value) if hasattr(value, "__len__") else value for name, value in found.items()})

    def _seeds(self, **given):
        return struct("seed")(**{name: self._seed(name, value) for name, value in given.items() if value is not None})

    def _seed(self, name, value):
        shown = getattr(self, name)
        value = np.asarray(value)
        if shown is None or value.shape != np.shape(shown):
            raise ArgumentError(Status.E_ARG, f"nde: the cotangent of {name} has shape {value.shape}, {name} itself "
                                f"{None if shown is None else np.shape(shown)}")
        if name == "t_end":
            return array("the cotangent of t_end", value.reshape(self.n), float)
        value = value.swapaxes(-1, -2) if self.many else value[..., None]
        if name == "y" and len(value) < self.found.n_save:
            value = np.concatenate([value, np.zeros((self.found.n_save - len(value), *value.shape[1:]), value.dtype)])
        return array(f"the cotangent of {name}", value, self.solver.names.dtype)

    def _check(self, status):
        if status < 0:
            raise _library.failure(status, self.solver.error(), self)

    def plot(self, axes=None, **look):
        """Components over time, by matplotlib: the axes."""
        import matplotlib.pyplot as plt
        axes = axes or plt.gca()
        for b in range(self.n if self.many else 1):
            axes.plot(self.t if self.t.ndim == 1 else self.t[:, b], self.y[:, b] if self.many else self.y, **look)
        axes.set_xlabel("t")
        return axes

    def __repr__(self):
        n = f"{self.n} trajectories of " if self.many else ""
        return f"<nde.Solution: {self.result.name}, {n}{self.dim} components, {self._rows} times>"
