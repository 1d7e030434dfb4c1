# SPDX-License-Identifier: MIT
"""Solves: the problem and its options from Python's arrays, and the solver. Arrays of many trajectories are (..., n, dim)
here and [...][dim][n] in the library: the same memory, seen transposed."""
import ctypes
import threading

import numpy as np

from . import _library
from ._field import Calls, Shape, as_field
from ._library import ArgumentError, Status, address, array, check, double, names_of, number, struct
from ._problem import CALCULUS, Event
from ._solution import Running, Solution

MANY = (1, 2)


class Solver:
    """Made once, run as often as wanted: each run reads its arrays anew, so that a training updates them in place.

    Arguments are those of nde.solve.
    y0, p, q    the arrays that a run reads: y0 (dim,) or (n, dim), p (np,), q (n, nq). Those given, where their type and
                layout allow it
    One thread at a time.
    """

    def __init__(self, field, y0, t, p=None, q=None, **given):
        self.given = given
        self._make(field, y0, t, p, q, **given)

    def _make(self, field, y0, t, p, q, *, dtype=None, terms=(), quadrature=None, observe=None, observe_rows=0,
              quadrature_rows=0, jump=None, jump_t=None, jump_u=None, events=(), input=None, split=0, positive=None,
              second=None, calculus=None, progress=None, **options):
        if calculus not in (*CALCULUS, *CALCULUS.values()):
            raise ArgumentError(Status.E_ARG, f"nde: calculus is {calculus!r}; known are ito, stratonovich")
        self.t = t
        given = getattr(y0, "dtype", None)
        self.names = names = names_of(dtype or (given if given == np.float32 else np.float64))
        self.calls, self.lock, self.pointer, self.progress = Calls(), threading.Lock(), ctypes.c_void_p(), progress
        y0 = np.asarray(y0)
        if y0.ndim not in MANY or not y0.size:
            raise ArgumentError(Status.E_ARG, f"nde: y0 has shape {y0.shape}; (dim,) or (n, dim) is needed")
        self.many, self.n, self.dim = y0.ndim == 2, len(y0) if y0.ndim == 2 else 1, y0.shape[-1]
        self._y0 = array("y0", y0.T, names.dtype)
        self.field = None if field is None else as_field(field)
        p = getattr(self.field, "p", None) if p is None else p
        self.p = None if p is None else array("p", p, names.dtype, 1)
        self._q = None if q is None else array("q", np.asarray(q).T, names.dtype, MANY)
        if q is not None and ((self._q.ndim == 2) != self.many or self.many and self._q.shape[1] != self.n):
            raise ArgumentError(Status.E_ARG, f"nde: q has shape {np.shape(q)}, y0 {y0.shape}")
        self.np, self.nq = 0 if p is None else len(self.p), 0 if q is None else len(self._q)

        self.problem = struct("problem")(n=self.n, dim=self.dim, np=self.np, nq=self.nq, y0=self._y0, p=self.p, q=self._q,
                                         split=split, calculus=CALCULUS.get(calculus, calculus))
        self.options = struct("options")()
        self._times(t, options)
        path = input and input.bind(names, self.n)
        channels = path.channels if path else 0
        self.problem.put(input=path, drift=self._bind(self.field, self.dim, channels),
                         observe=self._bind(observe, observe_rows, channels),
                         quadrature=self._bind(quadrature, quadrature_rows, channels))
        self._jumps(jump, jump_t, jump_u)
        self._terms(terms, channels)
        self._events(events, channels)
        if positive is not None:
            rows = np.ascontiguousarray(positive, np.uintp)
            self.problem.put(domain=struct("domain")(positive=rows, n_positive=len(rows)))
        if second is not None:
            self.problem.put(splitting=struct("splitting")(second=self._bind(second, self.dim, channels)))
        self._set(self.options, {"adjoint": "discrete", **options})
        self._hook()
        self._create()

    def __del__(self):
        if getattr(self, "pointer", None):
            self._destroy()
            self.pointer = None

    # ---- the solver in C; that of nde.stiff has others ----

    _solution = Solution

    def _create(self):
        check(self.names.solver_create(*map(ctypes.addressof, (self.problem, self.options, self.pointer))))

    def _destroy(self):
        self.names.solver_destroy(self.pointer)

    def _solve(self, solution):
        return self.names.solver_run(self.pointer, ctypes.addressof(solution))

    def _backward(self, seed, gradient):
        return self.names.backward(self.pointer, ctypes.addressof(seed), ctypes.addressof(gradient))

    def _dense(self, trajectory, times, y, dy):
        return self.names.solver_dense_many(self.pointer, trajectory, times.size, address(times), address(y), address(dy))

    def error(self):
        """Text of the last failure."""
        return self.names.solver_error(self.pointer).decode() or double.error().decode()

    # ---- the problem ----

    def recording(self):
        """One that does the same and keeps a record."""
        given = {**self.given, "dtype": self.names.dtype, "adjoint": "discrete"}
        return type(self)(self.field, self.y0, self.t, self.p, self.q, **given)

    @property
    def y0(self):
        return self._y0.T

    @property
    def q(self):
        return None if self._q is None else self._q.T

    def _bind(self, field, out, nu):
        if field is None:
            return None
        self.fields = [*getattr(self, "fields", ()), field := as_field(field)]
        return field.bind(Shape(self.names, self.dim, self.np, self.nq, nu, out, self.calls))

    def _times(self, t, options):
        """t: times whose values are wanted, the first and last of which are the span; (n, times): of each trajectory."""
        t = array("t", t, float, MANY)
        if t.shape[-1] < 2 or t.ndim == 2 and len(t) != self.n:
            raise ArgumentError(Status.E_ARG, f"nde: t has shape {t.shape}; at least its start and its end are needed")
        if t.ndim == 2:
            ends = np.ascontiguousarray(t[:, 0]), np.ascontiguousarray(t[:, -1])
            self.problem.put(t0_each=ends[0], t1_each=ends[1])
        else:
            self.problem.put(t0=t[0], t1=t[-1])
        if not options.get("save_every"):
            rows = np.ascontiguousarray(t.T)
            self.options.put(**{"save_t_each" if t.ndim == 2 else "save_t": rows}, n_save=len(rows))

    def _jumps(self, jump, t, u):
        if jump is None:
            return
        t, inputs = array("jump_t", t, float, 1), 0
        if u is not None:
            u = np.asarray(u)
            u = array("jump_u", u[..., None] if not self.many else u.swapaxes(1, 2), self.names.dtype, 3)
            inputs = u.shape[1]
            if u.shape != (len(t), inputs, self.n):
                raise ArgumentError(Status.E_ARG, f"nde: jump_u has shape {u.shape}, not {(len(t), inputs, self.n)}")
        self.problem.put(jump=self._bind(jump, self.dim, inputs), jump_t=t, n_jumps=len(t), jump_u=u, jump_inputs=inputs)

    def _terms(self, terms, channels):
        self._list("terms", "term", [term.bind(self, channels) for term in terms])

    def _events(self, events, channels):
        events = events if isinstance(events, (list, tuple)) else [events]
        events = [event if isinstance(event, Event) else Event(event) for event in events]
        self._list("events", "event", [event.bind(self, channels) for event in events])

    def _list(self, member, name, items):
        if items:
            together = (struct(name)*len(items))(*items)
            self.problem.put(**{member: together, "n_" + member: len(items)}).kept.append(items)

    # ---- the options ----

    def _set(self, options, given):
        """Members of nde_options by name: words where they stand for numbers, arrays of the length that the help says."""
        lengths = {"[dim]": self.dim, "[n]": self.n}
        for name, value in given.items():
            kind = options.kinds.get(name)
            if kind is None or name == "size":
                raise TypeError(f"nde: no option {name!r}; nde.options() lists them")
            if value is None:
                continue
            if name == "back":
                self._set(back := struct("options")(), value)
                value = back
            elif name == "blas":
                if value != "numpy":
                    raise ArgumentError(Status.E_ARG, f"nde: blas is {value!r}; known is numpy")
                value = _library.numpy_blas()
            elif name in ("tableau", "store"):
                options.kept.append(value)
                value = value.struct
            elif name == "pid":
                value = c_array(options, name, value)
            elif kind == "pointer":
                shape = options.help[name].split(" ")[0].rstrip(",")
                value = array(name, value, np.uint64 if name == "estimate_seed" else float)
                if shape in lengths and value.shape != (lengths[shape],):
                    raise ArgumentError(Status.E_ARG, f"nde: {name} has shape {value.shape}, not ({lengths[shape]},)")
                if shape.startswith("[n_"):
                    options.put(**{shape[1:-1]: len(value)})
            else:
                value = number(name, value)
            try:
                options.put(**{name: value})
            except (TypeError, ctypes.ArgumentError) as error:
                raise TypeError(f"nde: option {name} is {value!r}: {error}") from None

    def _hook(self):
        """The progress function; in the main thread always one, so that Ctrl-C is heard while C runs."""
        own = self.progress
        if own or threading.current_thread() is threading.main_thread():
            self.options.put(progress=self.calls.guard(lambda _, fraction, steps: bool(own(fraction, steps)) if own else 0))

    # ---- runs ----

    def run(self, check=True):
        """Solves from the start. The solution, whose arrays are the solver's: valid until its next run.
        check: raise nde.Error for a failure, with what there is in its .solution; False: see solution.status."""
        solution = struct("solution")()
        with Running(self):
            status = self._solve(solution)
        found = self._solution(self, solution, status)
        if status < 0 and (check or not solution.y_end):
            raise _library.failure(status, self.error() or double.status_text(status).decode(), found)
        return found

    def value_and_grad(self, loss, wanted=("y0", "p", "q")):
        """Runs, and takes the gradient of loss(y) -> (value, dvalue/dy): value, gradient."""
        solution = self.run()
        value, seed = loss(solution.y)
        return value, solution.backward(seed, wanted=wanted)


def c_array(options, name, values):
    member = getattr(options, name)
    return type(member)(*values)


def solve(field, y0, t, p=None, q=None, *, check=True, **more):
    """Solves y' = field(t, y; p, q), y(t[0]) = y0.

    field        nde.program, nde.MLP, nde.CField, a text, or a Python function
    y0           (dim,); (n, dim): n trajectories at once. float32 solves in single precision, or dtype="float32"
    t            (t0, t1), or all times at which y is wanted, from the first to the last, forwards or backwards;
                 (n, times): of each trajectory
    p, q         parameters of all, (np,); of each, (n, nq)
    method       "tsit5", "dop853", "vern7" ...: nde.methods; and all other options by name: nde.options() lists them with
                 their help: rtol, atol, steps (fixed), save_every, adjoint="none", threads ...
    terms        [nde.Control(...), nde.Noise(...)]: beside the field, which may be None; with noise calculus="ito" or
                 "stratonovich"
    quadrature   field that is integrated along; observe: rows are what it makes of states. Python functions have one row, or
                 quadrature_rows, observe_rows of them
    jump         y+ = jump(t, y-, p, q, u) at times jump_t, with inputs jump_u (jumps, n, inputs)
    events       functions or nde.Event
    input        nde.Path whose values all fields see as u
    split        > 0: rows below are positions, the others velocities (symplectic methods)
    positive     components that are never below zero
    second       a second part of the field (splitting methods)
    progress     progress(fraction, steps); True: stop
    check        False: a failure raises nothing, see .status
    Raises nde.Error. Gradients and values in between, Solution.backward and sol(t), need a record: with adjoint="discrete" (or
    another one of the adjoints) it is kept at once, without adjoint they solve once more.
    """
    found = Solver(field, y0, t, p, q, **{"adjoint": "none", **more}).run(check)
    found.again = "adjoint" not in more
    return found


def value_and_grad(loss, field, y0, t, p=None, q=None, *, wanted=("y0", "p", "q"), **more):
    """A loss of the solution's y and its exact gradient: value, gradient (.y0, .p, .q).
    loss: loss(y) -> (value, dvalue/dy); nde.mse(data) is one. Other arguments are those of nde.solve."""
    return Solver(field, y0, t, p, q, **more).value_and_grad(loss, wanted)


def mse(data, weight=None):
    """The loss 1/2 mean (y - data)^2 over the entries of data that are not NaN, each counted by its weight."""
    data = np.asarray(data)
    there = ~np.isnan(data)
    weight = there*1.0 if weight is None else np.where(there, weight, 0.0)
    total = weight.sum()

    def loss(y):
        if y.shape != data.shape:
            raise ArgumentError(Status.E_ARG, f"nde: the data has shape {data.shape}, y {y.shape}")
        error = np.where(weight > 0, y - data, 0)
        return 0.5*float((weight*error*error).sum()/total), weight*error/total
    return loss


def options():
    """What nde.solve knows beside its own arguments: {name: help}, and for words what they may be."""
    help, found = struct("options").help, {}
    for name, kind in struct("options").kinds.items():
        words = f" One of: {', '.join(_library.choices[name])}." if name in _library.choices else ""
        found[name] = (help[name] or "") + words
    for hidden in ("size", "save_t", "n_save", "n_clip", "progress", "progress_ctx", "save_t_each", "executor", "allocator",
                   "decide"):
        del found[hidden]
    return found
