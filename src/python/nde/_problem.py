# SPDX-License-Identifier: MIT
"""What a problem is put together from, beside its field: events, paths, controls, noise; and objects that options take."""
import ctypes
import os

import numpy as np

from ._field import as_field
from ._library import CONSTANTS, ArgumentError, Status, array, check, chosen, double, group, struct


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

    def bind(self, solver, channels):
        return struct("event")(g=solver._bind(self.g, 1, channels), reset=solver._bind(self.reset, solver.dim, channels),
                               **self.members)


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
    """An explicit Runge-Kutta method of your own, for the option tableau (nde_tableau).

    a, b   (stages, stages), strictly lower, and [stages]; c: None for row sums of a
    e      b less the embedded weights; None: no error estimate
    """

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
    seed      and other members of nde_noise: dim, grid, source="tree", normals="single" ...: the path is a function of
              them, or source="stored" with increments w, and h, k where a method needs them, (steps, m, n);
              noise.seed = k between runs of a Solver gives other paths
    """

    def __init__(self, field, kind="diagonal", *, seed=0, **members):
        for name in members:
            if name not in struct("noise").kinds or name == "size":
                raise TypeError(f"nde: a noise has no {name!r}")
            if isinstance(members[name], str):
                members[name] = chosen(name, members[name], group(f"NDE_{name.upper()}_"))
            elif struct("noise").kinds[name] == "pointer":
                members[name] = array(name, members[name], float)
        self.members, self.number = members, chosen("kind", kind, group("NDE_NOISE_"))
        self.stored = {name: members[name].shape for name in "whk" if name in members}
        if self.stored:
            members.setdefault("grid", len(members[[*self.stored][0]]))
        self.field, self.kind, self.struct = as_field(field), kind, struct("noise")(seed=seed, **members)

    @property
    def seed(self):
        return self.struct.seed

    @seed.setter
    def seed(self, seed):
        self.struct.seed = seed

    def bind(self, solver, channels):
        increments = 0 if self.kind == "diagonal" else self.struct.dim or (1 if self.kind == "scalar" else solver.dim)
        for name, shape in self.stored.items():
            if shape != (want := (self.struct.grid, increments or solver.dim, solver.n)):
                raise ArgumentError(Status.E_ARG, f"nde: the noise's {name} has shape {shape}, not {want}")
        return struct("term")(field=solver._bind(self.field, solver.dim, channels + increments), kind=self.number,
                              noise=self.struct)


CALCULUS = {None: 0, "ito": CONSTANTS["NDE_ITO"], "stratonovich": CONSTANTS["NDE_STRATONOVICH"]}
