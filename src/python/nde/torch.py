# SPDX-License-Identifier: MIT
"""PyTorch's face: odeint and odeint_adjoint with torchdiffeq's signature, gradients exact for the steps taken. An nn.Sequential
of Linear layers and activations runs in C; any other function by its own forward and backward. On the CPU, in float32 and
float64."""
import ctypes

import numpy as np
import torch
from torch import nn

from . import _library
from ._field import MLP, Bridge, Field
from ._library import ArgumentError, Status, struct
from ._solve import Solver

METHODS = {"explicit_adams": "adams_bashforth", "implicit_adams": "adams_bashforth_moulton",
           "fixed_adams": "adams_bashforth_moulton"}
ACTIVATIONS = {nn.Tanh: "tanh", nn.Softplus: "softplus", nn.ReLU: "relu", nn.SiLU: "silu", nn.GELU: "gelu", nn.ELU: "elu",
               nn.Sigmoid: "sigmoid", nn.Identity: "identity"}
USUAL = {nn.Softplus: {"beta": 1, "threshold": 20}, nn.ELU: {"alpha": 1.0}, nn.GELU: {"approximate": "none"}}


def mlp(sequential):
    """nde.MLP of an nn.Sequential of Linear layers with one activation between them; None if it is something else."""
    layers = list(sequential) if isinstance(sequential, nn.Sequential) else []
    linear = [layer for layer in layers if type(layer) is nn.Linear]
    between = [layer for layer in layers if type(layer) is not nn.Linear]
    kinds = {type(layer) for layer in between}
    regular = (linear and layers[::2] == linear and layers[1::2] == between and len(between) == len(linear) - 1
               and len(kinds) <= 1 and all(layer.bias is not None for layer in linear) and kinds <= ACTIVATIONS.keys())
    usual = all(getattr(layer, name) == value for layer in between for name, value in USUAL.get(type(layer), {}).items())
    if not regular or not usual:
        return None
    activation = ACTIVATIONS[kinds.pop()] if kinds else "tanh"
    dtype = str(linear[0].weight.dtype).replace("torch.", "")
    net = MLP([linear[0].in_features, *[layer.out_features for layer in linear]], activation, dtype=dtype)
    net.p[...] = flat(sequential.parameters())
    return net


def sequential(net):
    """nn.Sequential of an nde.MLP without more inputs, residuals and norms, with its parameters."""
    m, words = net.mlp, {value: name for name, value in _library.activations.items()}
    kinds = {name: kind for kind, name in ACTIVATIONS.items()}
    more = m.time_input or m.residual or m.layer_norm or m.inputs_u or m.inputs_q
    if more or words[m.hidden] not in kinds or words[m.last] != "identity":
        raise ArgumentError(Status.E_ARG, "nde: PyTorch has no Sequential of this network")
    layers = []
    for weight, bias in net.layers:
        linear = nn.Linear(weight.shape[1], weight.shape[0], dtype=getattr(torch, str(net.p.dtype)))
        with torch.no_grad():
            linear.weight.copy_(torch.from_numpy(weight))
            linear.bias.copy_(torch.from_numpy(bias))
        layers += [linear, kinds[words[m.hidden]]()]
    return nn.Sequential(*layers[:-1])


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


class Function(Field):
    """func(t, y) of tensors, as a field of one trajectory; its parameters are p."""

    def __init__(self, func, shape, parameters):
        self.function, self.shape, self.parameters = func, shape, parameters
        self.letters, self.vjp, self.vectorised = ("t", "y"), True, False

    def bind(self, shape):
        bridge = TorchBridge(self, shape)
        return struct("field")(name=b"the PyTorch function", dim=shape.dim, np=shape.np, out=shape.out,
                               eval=shape.calls.guard(bridge.eval), vjp=shape.calls.guard(bridge.pull))


class TorchBridge(Bridge):
    def __init__(self, field, shape):
        super().__init__(field, shape)
        self.field = field

    def inputs(self, site, y):
        t = torch.tensor(float(self.vector(site.t, 1, ctypes.c_double)[0]), dtype=getattr(torch, str(self.dtype)))
        return t, torch.from_numpy(self.vector(y, self.shape.dim).copy()).reshape(self.field.shape)

    def called(self, t, y):
        found = self.function(t, y)
        if not isinstance(found, torch.Tensor):
            raise TypeError(f"nde: the function returned {type(found).__name__}, not a tensor")
        if found.shape != y.shape:
            raise ValueError(f"nde: the function returned shape {tuple(found.shape)}, not {tuple(y.shape)}")
        return found

    def eval(self, _, at, y, dy):
        with torch.no_grad():
            found = self.called(*self.inputs(self.site(at), y))
        self.vector(dy, self.shape.out)[:] = found.reshape(-1).numpy()

    def pull(self, _, at, y, a, to):
        to, (t, y) = struct("cotangent").from_address(to), self.inputs(self.site(at), y)
        a = torch.from_numpy(self.vector(a, self.shape.out).copy()).reshape(self.field.shape)
        with torch.enable_grad():
            t, y = t.requires_grad_(), y.requires_grad_()
            found = self.called(t, y)
            if not found.requires_grad:
                return
            by_t, by_y, *by_p = torch.autograd.grad(found, (t, y, *self.field.parameters), a, allow_unused=True)
        if to.y and by_y is not None:
            self.vector(to.y, self.shape.dim)[:] += by_y.reshape(-1).numpy()
        if to.t and by_t is not None:
            self.vector(to.t, 1, ctypes.c_double)[:] += float(by_t)
        if to.p:
            sums, first = self.vector(to.p, self.shape.np, ctypes.c_double), 0
            for parameter, by in zip(self.field.parameters, by_p):
                if by is not None:
                    sums[first:first + by.numel()] += by.reshape(-1).numpy()
                first += parameter.numel()


class _Solve(torch.autograd.Function):
    @staticmethod
    def forward(ctx, field, more, y0, t, *parameters):
        needed = any(ctx.needs_input_grad)
        y = y0.detach().numpy()
        y = y.reshape(-1, y.shape[-1]) if isinstance(field, MLP) else y.reshape(-1)
        more = {"adjoint": "discrete" if needed else "none", **more}
        solver = Solver(field, y, t.detach().double().numpy(), flat(parameters), **more)
        ctx.solution, ctx.shape, ctx.tensors = solver.run(), y0.shape, (y0, t, *parameters)
        return torch.from_numpy(ctx.solution.y.copy()).reshape(len(t), *y0.shape)

    @staticmethod
    def backward(ctx, seed):
        _, _, y0_needed, t_needed, *needed = ctx.needs_input_grad
        y0, t, *parameters = ctx.tensors
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


def fixed(method, t, options, more):
    """Steps of a method without an error estimate: step_size, or those of an even t."""
    if _library.methods[method]["error_order"] or more.get("steps"):
        return {}
    t = t.detach().double().numpy()
    gaps = np.diff(t)
    if step := options.get("step_size"):
        return {"steps": int(np.ceil(abs(t[-1] - t[0])/step*(1 - 1e-12)))}
    if not np.allclose(gaps, gaps[0], rtol=1e-5, atol=0):
        raise ArgumentError(Status.E_ARG, f"nde: {method} has fixed steps and t is not even: give options a step_size")
    return {"steps": len(gaps)}


def odeint(func, y0, t, *, rtol=1e-7, atol=1e-9, method=None, options=None, event_fn=None, adjoint_params=None, **more):
    """torchdiffeq.odeint: y (len(t), *y0.shape) of y' = func(t, y); differentiable by y0, t and the parameters of func.

    func             nn.Module or function; an nn.Sequential of Linear and activations (of y alone) runs in C
    y0               tensor, or tuple of tensors
    method           torchdiffeq's names or nde.methods; None: dopri5. options: step_size, max_num_steps
    adjoint_params   what func depends on beside t and y; None: func.parameters()
    **more           options of nde.solve: adjoint="backsolve" ...
    """
    if event_fn is not None:
        raise NotImplementedError("nde: event_fn; see nde.solve(events=...)")
    options = options or {}
    if unknown := options.keys() - {"step_size", "max_num_steps", "dtype", "norm"} or {"norm"} & options.keys():
        raise ArgumentError(Status.E_ARG, f"nde: options has {unknown.pop()!r}; known are step_size, max_num_steps")
    if isinstance(y0, (tuple, list)):
        more.update(rtol=rtol, atol=atol, method=method, options=options)
        return _of_tuple(func, y0, t, adjoint_params, **more)
    method = METHODS.get(method, method) or "dopri5"
    _library.number("method", method)
    if adjoint_params is None:
        adjoint_params = func.parameters() if isinstance(func, nn.Module) else ()
    parameters = tuple(adjoint_params)
    field = mlp(func) if isinstance(func, nn.Sequential) else None
    if field is None:
        function = (lambda t, y: func(y)) if isinstance(func, nn.Sequential) else func
        parameters = tuple(p for p in parameters if p.requires_grad)
        field = Function(function, y0.shape, parameters)
        _hidden(function, y0, t, parameters)
    else:
        more.setdefault("stepping", "joint")
    more = {"rtol": rtol, "atol": atol, "method": method, "max_steps": options.get("max_num_steps", -1),
            **fixed(method, t, options, more), **more}
    return _Solve.apply(field, more, y0, t, *parameters)


def _hidden(function, y0, t, parameters):
    """A gradient must not be lost in silence: a function that depends on tensors that nobody named is refused."""
    if parameters or not torch.is_grad_enabled():
        return
    with torch.enable_grad():
        found = function(t[0].detach().to(y0.dtype), y0.detach())
    if isinstance(found, torch.Tensor) and found.requires_grad:
        raise ArgumentError(Status.E_ARG, "nde: the function depends on tensors that need a gradient: name them in "
                            "adjoint_params")


def _of_tuple(func, y0, t, adjoint_params, **more):
    shapes, sizes = [part.shape for part in y0], [part.numel() for part in y0]

    def pack(parts):
        return torch.cat([part.reshape(-1) for part in parts])

    def unpack(y, *lead):
        return tuple(part.reshape(*lead, *shape) for part, shape in zip(torch.split(y, sizes, dim=-1), shapes))

    def packed(t, y):
        return pack(func(t, unpack(y)))
    if adjoint_params is None and isinstance(func, nn.Module):
        adjoint_params = tuple(func.parameters())
    return unpack(odeint(packed, pack(y0), t, adjoint_params=adjoint_params, **more), len(t))


def odeint_adjoint(func, y0, t, *, adjoint_rtol=None, adjoint_atol=None, adjoint_method=None, adjoint_options=None, **more):
    """torchdiffeq.odeint_adjoint. Its gradient is that of the steps, as odeint's, unless adjoint="backsolve" or another
    continuous adjoint is asked for, which adjoint_rtol, adjoint_atol and adjoint_method belong to."""
    back = {"rtol": adjoint_rtol, "atol": adjoint_atol, "method": METHODS.get(adjoint_method, adjoint_method)}
    back = {name: value for name, value in back.items() if value is not None}
    if back and more.get("adjoint", "discrete") not in ("discrete", "none"):
        more["back"] = back
    return odeint(func, y0, t, **more)
