# SPDX-License-Identifier: MIT
"""Fields that solve something of their own: the root of an equation, a step of an exponential integrator."""
import ctypes

import numpy as np

from ._field import Field, Shape, as_field, made
from ._library import CONSTANTS, ArgumentError, Status, array, chosen, group, struct

ITERATIONS = {name.lower(): CONSTANTS["NDE_" + name] for name in ("ANDERSON", "BROYDEN", "NEWTON", "NEWTON_KRYLOV")}
SCHEMES = {name.lower(): CONSTANTS["NDE_" + name] for name in ("ETDRK2", "ETDRK3", "ETDRK4", "KROGSTAD4", "LAWSON4")}


class Implicit(Field):
    """y with y = F(t, y, u; p, q), as a field with exact derivatives (nde_field_implicit): an implicit layer.

    field     F
    root      True: y with F = 0 instead
    inputs    0: the field's own y is where the iteration starts, and has no derivative. > 0: its y, of so many rows, are the
              first rows of F's u, and the iteration starts from `start`
    start     (rows of F,); None: zero
    iteration "anderson", "broyden", "newton", "newton_krylov"; linear: "dense", "gmres"
    others    members of nde_implicit: rtol, atol, max_iterations, memory, mixing, linear_rtol
    """

    def __init__(self, field, *, root=False, inputs=0, start=None, iteration=None, linear=None, **others):
        for name in others:
            if name not in ("rtol", "atol", "max_iterations", "memory", "mixing", "linear_rtol"):
                raise TypeError(f"nde: an implicit field has no {name!r}")
        self.of, self.p, self.inputs, self.start = as_field(field), as_field(field).p, inputs, start
        self.members = {"root": bool(root), "inputs": inputs, **others,
                        "iteration": iteration and chosen("iteration", iteration, ITERATIONS),
                        "linear": linear and chosen("linear", linear, group("NDE_LINEAR_"))}

    def bind(self, shape):
        rows = shape.out or shape.dim
        inner = self.of.bind(Shape(shape.names, rows, shape.np, shape.nq, self.inputs + shape.nu, rows, shape.calls))
        start = None if self.start is None else array("start", self.start, shape.names.dtype, 1)
        if start is not None and len(start) != rows:
            raise ArgumentError(Status.E_ARG, f"nde: start has shape {start.shape}, not ({rows},)")
        layer = struct("implicit")(field=inner, start=start, **self.members)
        return made(shape.names.field_implicit(ctypes.addressof(layer)), layer, inner)


class Exponential(Field):
    """A step of an exponential integrator for y' = L y + N(t, y; p, q), for solve(..., second=..., method="lie") with fixed steps,
    which L does not bound (nde_field_exponential).

    rest      N
    linear    L: (dim,), its diagonal, or (dim, dim)
    scheme    "krogstad4", "etdrk2", "etdrk3", "etdrk4", "lawson4"
    h         the length of the steps, if it is known: matrix functions are made once a run then
    """

    def __init__(self, rest, linear, scheme="krogstad4", h=0.0):
        self.of, self.p, self.h, self.scheme = as_field(rest), as_field(rest).p, h, chosen("scheme", scheme, SCHEMES)
        self.linear = array("linear", linear, float, (1, 2))

    def bind(self, shape):
        if set(self.linear.shape) != {shape.dim}:
            raise ArgumentError(Status.E_ARG, f"nde: linear has shape {self.linear.shape}, y {shape.dim} rows")
        inner = self.of.bind(Shape(shape.names, shape.dim, shape.np, shape.nq, 0, shape.dim, shape.calls))
        step = struct("exponential")(rest=inner, scheme=self.scheme, h=self.h,
                                     **{"matrix" if self.linear.ndim == 2 else "diagonal": self.linear})
        return made(shape.names.field_exponential(ctypes.addressof(step)), step, inner)
