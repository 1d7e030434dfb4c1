# SPDX-License-Identifier: MIT
"""A solve as something that PyTorch can differentiate. Making a solver takes longer than a small solve: the next call that is
like an earlier one, but for function, y0, parameters and seed, has its solver."""
import threading

import numpy as np
import torch

from ._library import ArgumentError, Error, Status
from ._problem import Noise
from ._solve import Solver
from ._torch_field import Function

MOST_IDLE = 8
IDLE = [] # (key, solver, terms), the latest at the end. Threads and finalisers change it by single calls, which are atomic
PLAIN = (str, int, float, type(None), np.generic)


def flat(tensors):
    """All entries, one after the other, as NumPy's."""
    parts = [tensor.detach().reshape(-1) for tensor in tensors]
    return torch.cat(parts).numpy() if parts else None


def split(array, tensors):
    """Tensors of the shapes of others from one array."""
    found, at = [], 0
    for tensor in tensors:
        part = torch.from_numpy(np.ascontiguousarray(array[at:at + tensor.numel()]))
        found.append(part.to(tensor.dtype).reshape(tensor.shape))
        at += tensor.numel()
    return found


def frozen(value):
    """An option's value as part of a key. TypeError for what may change unseen."""
    if isinstance(value, PLAIN):
        return value
    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    if isinstance(value, dict):
        return tuple((name, frozen(value[name])) for name in sorted(value))
    if isinstance(value, (list, tuple)):
        return tuple(map(frozen, value))
    if isinstance(value, Noise) and isinstance(value.field, Function) and not value.stored:
        return value.kind, value.field.key, frozen(value.members)
    raise TypeError(type(value))


class Lease:
    """A solver that one solve has for itself, its gradients included, until nobody refers to the lease any more.

    field   a Function, or a Network of nde.torch
    more    options of nde.solve
    """

    def __init__(self, field, y0, t, p, more):
        self.solver, self.terms = None, more.get("terms", ())
        try:
            main = threading.current_thread() is threading.main_thread() # where it was made, a solver hears Ctrl-C
            self.key = type(field), field.key, y0.shape, y0.dtype.str, frozen(t), main, frozen(more)
        except TypeError:
            self.key = None
        if not self.take(field, y0, p):
            self.solver = Solver(field.made(), y0, t, p, **more)

    def take(self, field, y0, p):
        """An idle solver of this key, with these arrays, functions and seeds. False: there is none."""
        for idle in [idle for idle in IDLE[::-1] if self.key and idle[0] == self.key]:
            try:
                IDLE.remove(idle)
            except ValueError: # another thread was faster
                continue
            given, (_, self.solver, self.terms) = self.terms, idle
            self.solver.y0[...] = y0
            if p is not None:
                self.solver.p[...] = p
            for mine, other in zip(self.functions(), [field, *[term.field for term in given]]):
                if isinstance(mine, Function):
                    mine.stand_for(other)
            for mine, other in zip(self.terms, given):
                mine.seed = other.seed
            return True
        return False

    def functions(self):
        return [self.solver.field, *[term.field for term in self.terms]]

    def __del__(self, idle=IDLE, most=MOST_IDLE):
        if self.solver is None or self.key is None:
            return
        for field in self.functions():
            if isinstance(field, Function): # an idle solver keeps nobody's model alive
                field.stand_for(None)
        idle.append((self.key, self.solver, self.terms))
        del idle[:-most]


class Solve(torch.autograd.Function):
    """nde.solve, as something that PyTorch can differentiate: by y0, t and parameters."""

    @staticmethod
    def forward(ctx, field, more, y0, t, *parameters):
        needed = any(ctx.needs_input_grad)
        y = y0.detach().numpy()
        y = y.reshape(-1, y.shape[-1]) if getattr(field, "shape", None) is None else y.reshape(-1)
        more = {"adjoint": "discrete" if needed else "none", **more}
        lease = Lease(field, y, t.detach().double().numpy(), flat(parameters), more)
        solution = lease.solver.run()
        if needed:
            ctx.lease, ctx.solution, ctx.shape = lease, solution, y0.shape
            ctx.save_for_backward(t, *parameters)
        return torch.from_numpy(solution.y.copy()).reshape(len(t), *y0.shape)

    @staticmethod
    def backward(ctx, seed):
        _, _, y0_needed, t_needed, *needed = ctx.needs_input_grad
        t, *parameters = ctx.saved_tensors
        wanted = ["y0"] + ["p"]*any(needed) + ["t0", "t1", "save_t"]*t_needed
        found = ctx.solution.backward(seed.detach().numpy().reshape(ctx.solution.y.shape), wanted=wanted)
        by_t = None
        if t_needed:
            by_t = np.array(found.save_t)
            by_t[0] += np.sum(found.t0)
            by_t[-1] += np.sum(found.t1)
            by_t = torch.from_numpy(by_t).to(t.dtype)
        by_p = split(found.p, parameters) if any(needed) else [None]*len(parameters)
        return (None, None, torch.from_numpy(np.array(found.y0)).reshape(ctx.shape) if y0_needed else None, by_t,
                *[by if want else None for by, want in zip(by_p, needed)])


class SolveToEvent(torch.autograd.Function):
    """When and where an event ends a solve of one trajectory: differentiable by y0, t0 and parameters."""

    @staticmethod
    def forward(ctx, field, more, y0, t0, t1, *parameters):
        more = {"adjoint": "discrete" if any(ctx.needs_input_grad) else "none", **more}
        solution = Solver(field, y0.detach().numpy().reshape(-1), (float(t0), t1), flat(parameters), **more).run()
        if solution.result != Status.EVENT:
            raise Error(Status.OK, f"nde: no event up to t = {t1}", solution)
        ctx.solution = solution
        ctx.save_for_backward(y0, t0, *parameters)
        return t0.new_tensor(solution.t_end), torch.from_numpy(solution.y_end.copy()).reshape(y0.shape)

    @staticmethod
    def backward(ctx, by_time, by_y):
        y0, t0, *parameters = ctx.saved_tensors
        found = ctx.solution.backward(y_end=by_y.detach().numpy().reshape(-1), t_end=float(by_time), wanted=("y0", "p", "t0"))
        by_p = split(found.p, parameters) if parameters else []
        return None, None, torch.from_numpy(np.array(found.y0)).reshape(y0.shape), t0.new_tensor(found.t0), None, *by_p


def hidden(function, y0, t, parameters):
    """A gradient must not be lost in silence: a function that depends on tensors that nobody named is refused."""
    if parameters or not torch.is_grad_enabled():
        return
    with torch.enable_grad():
        found = function(t[0].detach().to(y0.dtype), y0.detach())
    if isinstance(found, torch.Tensor) and found.requires_grad:
        raise ArgumentError(Status.E_ARG, "nde: the function depends on tensors that need a gradient: name them in "
                            "adjoint_params")
