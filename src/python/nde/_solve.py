# SPDX-License-Identifier: MIT
"""Solves: the problem and its options from Python's arrays, the solver, the solution and its gradients. Arrays of many
trajectories are (..., n, dim) here and [...][dim][n] in the library: the same memory, seen transposed."""
import ctypes
import os
import threading

import numpy as np

from . import _library
from ._field import Calls, Shape, as_field
from ._library import CONSTANTS, ArgumentError, Error, Status, address, array, check, double, names_of, number, struct, view

MANY = (1, 2)
STATS = np.dtype(struct("stats"))


class Event:
    """A zero that g(t, y, p) passes (nde_event).

    g           field of one row, or a function
    direction   > 0: only where g rises; < 0: only where it falls; 0: both
    terminal    k > 0: the k-th hit ends the trajectory
    reset       y+ = reset(t, y-): the trajectory goes on from there; None: as it is
    at_start    True: a g beyond zero at the start is a hit
    """

    def __init__(self, g, *, direction=0, terminal=0, reset=None, at_start=False):
        self.g, self.reset = as_field(g), reset and as_field(reset)
        self.members = {"direction": int(np.sign(direction)), "terminal": int(terminal), "at_start": bool(at_start)}


class Path:
    """Driving data X(t), linear between knots: t [knots], x (knots, channels), or (knots, n, channels) with n trajectories."""

    def __init__(self, t, x):
        self.t, self.x = t, x

    def bind(self, names, n):
        t, x = array("path.t", self.t, float, 1), np.asarray(self.x)
        if x.ndim == 2:
            x = np.repeat(x[:, None, :], n, axis=1)
        if x.ndim != 3 or x.shape[:2] != (len(t), n):
            raise ArgumentError(Status.E_ARG, f"nde: path.x has shape {x.shape}; ({len(t)}, {n}, channels) is needed")
        x = array("path.x", x.swapaxes(1, 2), names.dtype)
        return struct("path")(channels=x.shape[1], knots=len(t), t=t, x=x)


class Tableau:
    """An explicit Runge-Kutta method of your own, for the option tableau (nde_tableau): a (stages, stages) strictly lower, b [stages];
    c: None for row sums of a; e: b less the embedded weights, None: no error estimate."""

    def __init__(self, a, b, c=None, e=None, *, order, error_order=0, first_same_as_last=False):
        a, b = array("a", a, float, 2), array("b", b, float, 1)
        if a.shape != (len(b), len(b)) or np.triu(a).any():
            raise ArgumentError(Status.E_ARG, f"nde: a has shape {a.shape}, b {len(b)} entries; a is strictly lower triangular")
        rest = {name: array(name, x, float, 1) for name, x in {"c": c, "e": e}.items() if x is not None}
        if any(len(x) != len(b) for x in rest.values()):
            raise ArgumentError(Status.E_ARG, "nde: b, c and e have different lengths")
        self.struct = struct("tableau")(stages=len(b), a=a[np.tril_indices(len(b), -1)], b=b, **rest, order=order,
                                        error_order=error_order, first_same_as_last=bool(first_same_as_last))


class Store:
    """A file for the record's states beyond the budget, for the option store (nde_store_open)."""

    def __init__(self, file):
        self.struct = struct("store")()
        check(double.store_open(ctypes.addressof(self.struct), os.fsencode(file)))

    def __del__(self):
        double.store_close(ctypes.addressof(self.struct))


class Control:
    """A term F(t, y, u) with u = dX/dt of a path (a controlled differential equation): field(t, y, u), its product with u."""

    def __init__(self, field, path):
        self.field, self.path = as_field(field), path

    def bind(self, solver, channels):
        path = self.path.bind(solver.names, solver.n)
        return struct("term")(field=solver._bind(self.field, solver.dim, channels + path.channels), path=path)


class Noise:
    """A term of a stochastic differential equation, for solve(..., terms=[...], calculus="ito").

    field     g(t, y): with kind "diagonal" component i of it goes with dW_i; else the product g(t, y) u with u = dW [dim]
    kind      "diagonal", "scalar", "additive", "commutative", "general"
    seed      and other members of nde_noise (dim, grid ...): the path is a function of them; read when the solver is made
    """

    def __init__(self, field, kind="diagonal", *, seed=0, **members):
        for name in members:
            if name not in struct("noise").kinds or name == "size":
                raise TypeError(f"nde: a noise has no {name!r}")
        known = _library.group("NDE_NOISE_")
        if kind not in known:
            raise ArgumentError(Status.E_ARG, f"nde: kind is {kind!r}; known are {', '.join(known)}")
        self.field, self.kind, self.number, self.members = as_field(field), kind, known[kind], {"seed": seed, **members}

    def bind(self, solver, channels):
        increments = 0 if self.kind == "diagonal" else self.members.get("dim") or (1 if self.kind == "scalar" else solver.dim)
        return struct("term")(field=solver._bind(self.field, solver.dim, channels + increments), kind=self.number,
                              noise=struct("noise")(**self.members))


CALCULUS = {None: 0, "ito": CONSTANTS["NDE_ITO"], "stratonovich": CONSTANTS["NDE_STRATONOVICH"]}


class Solver:
    """Made once, run as often as wanted: each run reads its arrays anew, so that a training updates them in place.

    Arguments are those of nde.solve.
    y0, p, q    the arrays that a run reads: y0 (dim,) or (n, dim), p (np,), q (n, nq). Those given, where their type and
                layout allow it
    One thread at a time.
    """

    def __init__(self, field, y0, t, p=None, q=None, *, dtype=None, terms=(), quadrature=None, observe=None, observe_rows=0,
                 quadrature_rows=0, jump=None, jump_t=None, jump_u=None, events=(), input=None, split=0, positive=None,
                 second=None, calculus=None, progress=None, **options):
        if calculus not in (*CALCULUS, *CALCULUS.values()):
            raise ArgumentError(Status.E_ARG, f"nde: calculus is {calculus!r}; known are ito, stratonovich")
        self.given = {"dtype": dtype, "terms": terms, "quadrature": quadrature, "observe": observe, "observe_rows": observe_rows,
                      "quadrature_rows": quadrature_rows, "jump": jump, "jump_t": jump_t, "jump_u": jump_u, "events": events,
                      "input": input, "split": split, "positive": positive, "second": second, "calculus": calculus, "progress": progress, **options}
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
        if self._q is not None and (self._q.ndim == 2) != self.many or self.many and q is not None and self._q.shape[1] != self.n:
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
        status = names.solver_create(ctypes.addressof(self.problem), ctypes.addressof(self.options), ctypes.addressof(self.pointer))
        check(status)

    def __del__(self):
        if getattr(self, "pointer", None):
            self.names.solver_destroy(self.pointer)
            self.pointer = None

    # ---- the problem ----

    def recording(self):
        """One that does the same and keeps a record."""
        return Solver(self.field, self.y0, self.t, self.p, self.q, **{**self.given, "dtype": self.names.dtype, "adjoint": "discrete"})

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
                raise ArgumentError(Status.E_ARG, f"nde: jump_u has {u.shape[0]} jumps of {u.shape[2]}, not {len(t)} of {self.n}")
        self.problem.put(jump=self._bind(jump, self.dim, inputs), jump_t=t, n_jumps=len(t), jump_u=u, jump_inputs=inputs)

    def _terms(self, terms, channels):
        self._list("terms", "term", [term.bind(self, channels) for term in terms])

    def _events(self, events, channels):
        events = [event if isinstance(event, Event) else Event(event) for event in (events if isinstance(events, (list, tuple)) else [events])]
        self._list("events", "event", [struct("event")(g=self._bind(event.g, 1, channels), **event.members,
                                                       reset=self._bind(event.reset, self.dim, channels)) for event in events])

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
            status = self.names.solver_run(self.pointer, ctypes.addressof(solution))
        found = Solution(self, solution, status)
        if status < 0 and (check or not solution.y_end):
            text = self.names.solver_error(self.pointer).decode() or double.status_text(status).decode()
            raise _library.failure(status, text, found)
        return found

    def value_and_grad(self, loss, wanted=("y0", "p", "q")):
        """Runs, and takes the gradient of loss(y) -> (value, dvalue/dy): value, gradient."""
        solution = self.run()
        value, seed = loss(solution.y)
        return value, solution.backward(seed, wanted=wanted)


def c_array(options, name, values):
    member = getattr(options, name)
    return type(member)(*values)


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
        self.many, self.n, self.dim, self.again = solver.many, solver.n, solver.dim, False

    def _recorded(self):
        """The solver with its record: nde.solve keeps none unless it is told so, and what needs one solves once more."""
        if self.again and not self.solver.options.adjoint:
            solver = self.solver.recording()
            found = solver.run(check=False)
            if found.y_end.tobytes() != self.y_end.tobytes():
                raise Error(Status.E_ARG, "nde: solved again for a record, it came to another end: arrays were changed in between, or "
                            "the function is not the same; solve with adjoint=\"discrete\"")
            self.solver, self.found = solver, found.found
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
        saved = view(self.found.saved, (self.n,), np.uintp, self.solver)
        return int(saved.max()) if self.solver.options.save_every else self.found.n_save

    @property
    def t(self):
        each = self.solver.options.save_every or self.solver.options.save_t_each
        seen = view(self.found.t, (self.found.n_save, self.n) if each else (self.found.n_save,), np.float64, self.solver)
        return seen[:self._rows, 0] if each and not self.many else seen[:self._rows]

    @property
    def y(self):
        seen = self._view("y", (self.found.n_save, self.found.out, self.n))
        return None if seen is None else seen[:self._rows]

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
        names, found = self.solver.names, np.empty((self.n, times.size, self.dim), self.solver.names.dtype)
        with Running(self.solver):
            for b in range(self.n):
                out = address(found[b])
                status = names.solver_dense_many(self.solver.pointer, b, times.size, address(times),
                                                 *((None, out) if derivative else (out, None)))
                if status < 0:
                    break
        self._check(status)
        found = found.reshape(self.n, *np.shape(t), self.dim)
        return np.moveaxis(found, 0, -2) if self.many else found[0]

    def backward(self, y=None, *, y_end=None, quadrature=None, wanted=("y0", "p", "q")):
        """Gradient of a loss whose derivatives by sol.y, sol.y_end and sol.quadrature are given, any number of times.
        wanted: of "y0", "p", "q", "t0", "t1", "save_t"."""
        s, names = self._recorded(), self.solver.names
        seed = self._seeds(y=y, y_end=y_end, quadrature=quadrature)
        shapes = {"y0": (self.dim, self.n), "p": (s.np,), "q": (s.nq, self.n), "t0": (self.n,), "t1": (self.n,),
                  "save_t": (self.found.n_save, self.n) if s.options.save_t_each else (self.found.n_save,)}
        if unknown := [name for name in wanted if name not in shapes]:
            raise ArgumentError(Status.E_ARG, f"nde: wanted has {unknown[0]!r}; known are {', '.join(shapes)}")
        arrays = {name: np.zeros(shapes[name], names.dtype if name in ("y0", "p", "q") else float)
                  for name in wanted if np.prod(shapes[name])}
        gradient = struct("gradient")(**arrays)
        with Running(s):
            status = names.backward(s.pointer, ctypes.addressof(seed), ctypes.addressof(gradient))
        self._check(status)
        if "p" in wanted:
            arrays.setdefault("p", None)
        rows = {name: self._shown(arrays[name]) for name in ("y0", "q") if name in arrays}
        times = {name: float(arrays[name][0]) for name in ("t0", "t1") if name in arrays and not self.many}
        return Gradient(**{**arrays, **rows, **times})

    def forward(self, *, y0=None, p=None, q=None):
        """How y, y_end and quadrature move as y0, p and q move along a direction: an object of these."""
        s, names = self._recorded(), self.solver.names
        shapes = {"y0": s.y0.shape, "p": (s.np,), "q": s.q.shape if s.nq else (0,)}
        moved = {name: np.asarray(value) for name, value in {"y0": y0, "p": p, "q": q}.items() if value is not None}
        for name, value in moved.items():
            if value.shape != shapes[name]:
                raise ArgumentError(Status.E_ARG, f"nde: the direction of {name} has shape {value.shape}, {name} itself {shapes[name]}")
        direction = struct("direction")(**{name: array(f"the direction of {name}", value.T, names.dtype) for name, value in moved.items()})
        outputs = {"y": (self.found.n_save, self.found.out, self.n), "y_end": (self.dim, self.n), "quadrature": (self.found.nz, self.n)}
        arrays = {name: np.zeros(shape, names.dtype) for name, shape in outputs.items() if getattr(self.found, name)}
        tangent = struct("output_tangent")(**arrays)
        with Running(s):
            status = names.forward(s.pointer, ctypes.addressof(direction), ctypes.addressof(tangent))
        self._check(status)
        return Gradient(**{name: self._shown(value) for name, value in arrays.items()})

    def gradient_check(self, y=None, *, y_end=None, quadrature=None, random=1):
        """How right backward's gradient is, for a vjp of your own: it is compared along random directions with forward mode and with
        differences. An object of nde_gradient_report's members: difference_error, forward_error (NaN: a field has no jvp) ..., which
        are below 1e-9 in double when all is well."""
        s, seed, report = self._recorded(), self._seeds(y=y, y_end=y_end, quadrature=quadrature), struct("gradient_report")()
        with Running(s):
            status = s.names.gradient_check(*map(ctypes.addressof, (s.problem, s.options, seed)), random, ctypes.addressof(report))
        if status < 0:
            raise _library.failure(status)
        found = {name: getattr(report, name) for name in report.kinds if name != "size"}
        return Gradient(**{name: list(value) if hasattr(value, "__len__") else value for name, value in found.items()})

    def _seeds(self, **given):
        return struct("seed")(**{name: self._seed(name, value) for name, value in given.items() if value is not None})

    def _seed(self, name, value):
        shown = getattr(self, name)
        value = np.asarray(value)
        if shown is None or value.shape != shown.shape:
            raise ArgumentError(Status.E_ARG, f"nde: the cotangent of {name} has shape {value.shape}, {name} itself "
                                f"{None if shown is None else shown.shape}")
        value = value.swapaxes(-1, -2) if self.many else value[..., None]
        if name == "y" and len(value) < self.found.n_save:
            value = np.concatenate([value, np.zeros((self.found.n_save - len(value), *value.shape[1:]), value.dtype)])
        return array(f"the cotangent of {name}", value, self.solver.names.dtype)

    def _check(self, status):
        if status < 0:
            text = self.solver.names.solver_error(self.solver.pointer).decode()
            raise _library.failure(status, text or double.error().decode(), self)

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
    for hidden in ("size", "save_t", "n_save", "n_clip", "progress", "progress_ctx", "save_t_each", "executor", "allocator", "decide"):
        del found[hidden]
    return found
