# SPDX-License-Identifier: MIT
"""Functions of PyTorch tensors as fields, with every derivative by PyTorch."""
import ctypes

import torch

from ._field import Bridge, Field
from ._library import struct


class Function(Field):
    """func(t, y), or func(t, y, u), of tensors; its parameters are p.

    shape    of y, where one trajectory is all of it; None: y is (n, dim), of n trajectories at the same time t
    inputs   True: u, (n, nu), is an argument too
    value    shape of its value; None: that of y
    """

    def __init__(self, function, shape, parameters, inputs=False, value=None):
        self.function, self.shape, self.parameters, self.inputs, self.value = function, shape, parameters, inputs, value

    @property
    def key(self):
        """What a solver knows of it; function and parameters may be others in its next run."""
        return self.shape, self.inputs, sum(parameter.numel() for parameter in self.parameters)

    def made(self):
        return self

    def stand_for(self, other):
        self.function, self.parameters = (None, ()) if other is None else (other.function, other.parameters)

    def bind(self, shape):
        bridge = TorchBridge(self, shape)
        guard = shape.calls.guard
        return struct("field")(name=b"the PyTorch function", dim=shape.dim, np=shape.np, nu=shape.nu, out=shape.out,
                               eval=guard(bridge.eval), vjp=guard(bridge.pull), jvp=guard(bridge.push),
                               vjp_jvp=guard(bridge.pull_push))


class TorchBridge(Bridge):
    def __init__(self, field, shape):
        self.field, self.shape, self.dtype = field, shape, shape.names.dtype
        self.real, self.sites, self.vectors = ctypes.c_float if self.dtype.itemsize == 4 else ctypes.c_double, {}, {}

    def tensor(self, where, rows, site):
        """The block at an address as (n, rows); NULL is zero."""
        if not where:
            return torch.zeros(site.n, rows, dtype=getattr(torch, str(self.dtype)))
        return torch.from_numpy(self.rows(where, rows, site.n, site.ld).copy())

    def inputs(self, site, y):
        """t, y and u of a block, as the function's arguments."""
        t = torch.tensor(float(self.vector(site.t, 1, ctypes.c_double)[0]), dtype=getattr(torch, str(self.dtype)))
        return [t, self.shaped(self.tensor(y, self.shape.dim, site)),
                *[self.tensor(site.u, self.shape.nu, site)]*self.field.inputs]

    def shaped(self, y):
        return y if self.field.shape is None else y.reshape(self.field.shape)

    def called(self, t, y, *u):
        found = self.field.function(t, y, *u)
        if not isinstance(found, torch.Tensor):
            raise TypeError(f"nde: the function returned {type(found).__name__}, not a tensor")
        if found.shape != (want := y.shape if self.field.value is None else self.field.value):
            raise ValueError(f"nde: the function returned shape {tuple(found.shape)}, not {tuple(want)}")
        return found

    def put(self, where, rows, site, found, add=True):
        if where and found is not None:
            block, found = self.rows(where, rows, site.n, site.ld), found.numpy(force=True).reshape(site.n, rows)
            block[...] = block + found if add else found

    def eval(self, _, at, y, dy):
        site = self.site(at)
        with torch.no_grad():
            found = self.called(*self.inputs(site, y))
        self.put(dy, self.shape.out, site, found, add=False)

    def pull(self, _, at, y, a, to):
        site = self.site(at)
        given = self.inputs(site, y)
        with torch.enable_grad():
            given = [tensor.requires_grad_() for tensor in given]
            self.carry(site, [self.called(*given)], [a], given, to)

    def carry(self, site, found, cotangents, given, *to):
        """Cotangents of values, those that are not NULL, to t, y, u and p; and to directions, which follow in `given`."""
        pairs = [(value, self.tensor(a, self.shape.out, site).reshape(value.shape)) for value, a in zip(found, cotangents)
                 if a and value.requires_grad]
        if not pairs:
            return
        by = torch.autograd.grad([value for value, _ in pairs], [*given, *self.field.parameters], [a for _, a in pairs],
                                 allow_unused=True)
        count = 2 + self.field.inputs
        for place, where in enumerate(to):
            if where:
                self.add_to(struct("cotangent").from_address(where), site, *by[place*count:(place + 1)*count])
        self.add_parameters(struct("cotangent").from_address(to[0]), by[len(given):])

    def add_to(self, to, site, by_t, by_y, by_u=None):
        self.put(to.y, self.shape.dim, site, by_y)
        self.put(to.u, self.shape.nu, site, by_u)
        if to.t and by_t is not None:
            self.vector(to.t, 1, ctypes.c_double)[:] += float(by_t)

    def add_parameters(self, to, found):
        if not to.p:
            return
        sums, first = self.vector(to.p, self.shape.np, ctypes.c_double), 0
        for parameter, by in zip(self.field.parameters, found):
            if by is not None:
                sums[first:first + by.numel()] += by.numpy(force=True).reshape(-1)
            first += parameter.numel()

    def direction(self, site, where):
        """Tangents of t, y and u; parameters do not move along those that a solver asks of noise."""
        v = struct("tangent").from_address(where)
        if v.p:
            raise NotImplementedError("nde: forward mode by parameters of a PyTorch function")
        t = float(self.vector(v.t, 1, ctypes.c_double)[0]) if v.t else 0.0
        return [torch.tensor(t, dtype=getattr(torch, str(self.dtype))), self.shaped(self.tensor(v.y, self.shape.dim, site)),
                *[self.tensor(v.u, self.shape.nu, site)]*self.field.inputs]

    def push(self, _, at, y, v, dv):
        site = self.site(at)
        with torch.no_grad():
            _, moved = torch.func.jvp(self.called, tuple(self.inputs(site, y)), tuple(self.direction(site, v)))
        self.put(dv, self.shape.out, site, moved, add=False)

    def pull_push(self, _, at, y, v, a, b, to, to_direction):
        site = self.site(at)
        given, along = self.inputs(site, y), self.direction(site, v)
        with torch.enable_grad():
            given, along = ([tensor.requires_grad_() for tensor in tensors] for tensors in (given, along))
            found = torch.func.jvp(self.called, tuple(given), tuple(along))
            self.carry(site, found, [a, b], [*given, *along], to, to_direction)
