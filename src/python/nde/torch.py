# SPDX-License-Identifier: MIT
"""PyTorch's face: odeint, odeint_adjoint and odeint_event with torchdiffeq's signature, sdeint and sdeint_adjoint with torchsde's,
gradients exact for the steps taken. An nn.Sequential of Linear layers and activations runs in C; any other function by its own forward and
backward. On the CPU, in float32 and float64."""
import numpy as np
import torch
from torch import nn

from . import _library
from ._field import MLP
from ._library import ArgumentError, Status
from ._problem import Event
from ._torch_field import Function
from ._torch_sde import sdeint, sdeint_adjoint
from ._torch_solve import Solve, SolveToEvent, flat, hidden

__all__ = ["mlp", "odeint", "odeint_adjoint", "odeint_event", "sdeint", "sdeint_adjoint", "sequential"]
METHODS = {"explicit_adams": "adams_bashforth", "implicit_adams": "adams_bashforth_moulton",
           "fixed_adams": "adams_bashforth_moulton", "adaptive_heun": "heun", "heun2": "heun"}
FAR = 1e12 # how far an event may be: ends of solves that their events end
FIXED = "heun2", "midpoint", "euler", "rk4"
OPTIONS = {"max_num_steps": "max_steps", "first_step": "h0", "safety": "safety", "ifactor": "factor_max", "dfactor": "factor_min",
           "min_step": "h_min", "max_step": "h_max", "step_t": "clip_t", "jump_t": "clip_t"} # torchdiffeq's; and step_size
ACTIVATIONS = {nn.Tanh: "tanh", nn.Softplus: "softplus", nn.ReLU: "relu", nn.SiLU: "silu", nn.GELU: "gelu", nn.ELU: "elu",
               nn.Sigmoid: "sigmoid", nn.Identity: "identity"}
USUAL = {nn.Softplus: {"beta": 1, "threshold": 20}, nn.ELU: {"alpha": 1.0}, nn.GELU: {"approximate": "none"}}


class Network:
    """What an nde.MLP is made of, to which a solver brings the parameters."""

    def __init__(self, widths, activation, dtype):
        self.key = widths, activation, dtype

    def made(self):
        widths, activation, dtype = self.key
        return MLP(widths, activation, dtype=dtype)


def network(sequential):
    """The Network of an nn.Sequential of Linear layers with one activation between them; None if it is something else."""
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
    return Network((linear[0].in_features, *[layer.out_features for layer in linear]), activation, dtype)


def mlp(sequential):
    """nde.MLP of an nn.Sequential of Linear layers with one activation between them, with its parameters, or None."""
    found = network(sequential)
    if found is None:
        return None
    net = found.made()
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


def fixed(method, t, options, more):
    """Steps of a method that torchdiffeq does not adapt, or that has no error estimate: step_size, or those of an even t."""
    if more.get("steps") or method not in FIXED and _library.methods[METHODS.get(method, method)]["error_order"]:
        return {}
    t = t.detach().double().numpy()
    gaps = np.diff(t)
    if step := options.get("step_size"):
        return {"steps": int(np.ceil(abs(t[-1] - t[0])/step*(1 - 1e-12)))}
    if not np.allclose(gaps, gaps[0], rtol=1e-5, atol=0):
        raise ArgumentError(Status.E_ARG, f"nde: {method} has fixed steps and t is not even: give options a step_size")
    return {"steps": len(gaps)}


def asked(func, y0, t, rtol, atol, method, options, adjoint_params, more):
    """What torchdiffeq's arguments are to nde.solve: the method's name, the parameters, the options."""
    options = options or {}
    if unknown := options.keys() - {"step_size", "dtype", *OPTIONS}:
        raise ArgumentError(Status.E_ARG, f"nde: options has {unknown.pop()!r}; known are step_size, {', '.join(OPTIONS)}")
    name = method or "dopri5"
    method = METHODS.get(name, name)
    _library.number("method", method)
    if adjoint_params is None:
        adjoint_params = func.parameters() if isinstance(func, nn.Module) else ()
    given = {OPTIONS[option]: np.asarray(value) if option.endswith("_t") else value for option, value in options.items()
             if option in OPTIONS}
    more = {"rtol": rtol, "atol": atol, "method": method, "max_steps": -1, **given, **fixed(name, t, options, more), **more}
    return tuple(adjoint_params), more


def odeint(func, y0, t, *, rtol=1e-7, atol=1e-9, method=None, options=None, event_fn=None, adjoint_params=None, **more):
    """torchdiffeq.odeint: y (len(t), *y0.shape) of y' = func(t, y); differentiable by y0, t and the parameters of func.

    func             nn.Module or function; an nn.Sequential of Linear and activations (of y alone) runs in C
    y0               tensor, or tuple of tensors
    method           torchdiffeq's names or nde.methods; None: dopri5. options: step_size, max_num_steps, jump_t ...
    event_fn         the solve ends where event_fn(t, y), or an entry of it, changes its sign, however far that is; t[1] only says
                     in which direction. Returns that time and y at t[0] and there, (2, *y0.shape). Differentiable too; by what
                     event_fn depends on if that is in adjoint_params
    adjoint_params   what func depends on beside t and y; None: func.parameters()
    **more           options of nde.solve: adjoint="backsolve" ...
    """
    settings = {"rtol": rtol, "atol": atol, "method": method, "options": options, "adjoint_params": adjoint_params, **more}
    if isinstance(y0, (tuple, list)):
        return _of_tuple(func, y0, t, event_fn, **settings)
    if event_fn is not None:
        return _to_event(func, y0, t, event_fn, **settings)
    parameters, more = asked(func, y0, t, rtol, atol, method, options, adjoint_params, more)
    field = network(func) if isinstance(func, nn.Sequential) else None
    if field is None:
        parameters = tuple(p for p in parameters if p.requires_grad)
        field = Function(of_time(func), y0.shape, parameters)
        hidden(field.function, y0, t, parameters)
    else:
        more.setdefault("stepping", "joint")
    return Solve.apply(field, more, y0, t, *parameters)


def of_time(func):
    return (lambda t, y: func(y)) if isinstance(func, nn.Sequential) else func


def _to_event(func, y0, t, event_fn, rtol, atol, method, options, adjoint_params, **more):
    if adjoint_params is None:
        adjoint_params = [p for part in (func, event_fn) if isinstance(part, nn.Module) for p in part.parameters()]
    t0, t1 = t[0], t[0].detach().double() + FAR*(t[1] - t[0]).detach().double().sign()
    span = torch.stack([t0.detach().double(), t1])
    parameters, more = asked(func, y0, span, rtol, atol, method, options, adjoint_params, more)
    if more.get("steps") == 1:
        raise ArgumentError(Status.E_ARG, f"nde: {method} has fixed steps, and with event_fn no end: give options a step_size")
    parameters = tuple(p for p in parameters if p.requires_grad)
    with torch.no_grad():
        signs = event_fn(t0, y0).sign()
    field = Function(of_time(func), y0.shape, parameters)
    event = Function(lambda t, y: (event_fn(t, y)*signs).min(), y0.shape, parameters, value=())
    hidden(lambda t, y: field.function(t, y).sum() + event.function(t, y), y0, t, parameters)
    when, y = SolveToEvent.apply(field, {"events": Event(event, terminal=1), **more}, y0, t0, float(t1), *parameters)
    return when, torch.stack([y0, y])


def _of_tuple(func, y0, t, event_fn, adjoint_params, **more):
    shapes, sizes = [part.shape for part in y0], [part.numel() for part in y0]

    def pack(parts):
        return torch.cat([part.reshape(-1) for part in parts])

    def unpack(y, *lead):
        return tuple(part.reshape(*lead, *shape) for part, shape in zip(torch.split(y, sizes, dim=-1), shapes))

    def packed(t, y):
        return pack(func(t, unpack(y)))
    if adjoint_params is None and isinstance(func, nn.Module):
        adjoint_params = tuple(func.parameters())
    if event_fn is None:
        return unpack(odeint(packed, pack(y0), t, adjoint_params=adjoint_params, **more), len(t))
    when, y = odeint(packed, pack(y0), t, event_fn=lambda t, y: event_fn(t, unpack(y)), adjoint_params=adjoint_params, **more)
    return when, unpack(y, 2)


def odeint_event(func, y0, t0, *, event_fn, reverse_time=False, odeint_interface=odeint, **more):
    """torchdiffeq.odeint_event: odeint with event_fn: when it changes its sign, and y at t0 and then."""
    there = t0.reshape(()).detach() + (-1 if reverse_time else 1)
    return odeint_interface(func, y0, torch.stack([t0.reshape(()), there]), event_fn=event_fn, **more)


def odeint_adjoint(func, y0, t, *, adjoint_rtol=None, adjoint_atol=None, adjoint_method=None, adjoint_options=None, **more):
    """torchdiffeq.odeint_adjoint. Its gradient is that of the steps, as odeint's, unless adjoint="backsolve" or another
    continuous adjoint is asked for, which adjoint_rtol, adjoint_atol and adjoint_method belong to."""
    back = {"rtol": adjoint_rtol, "atol": adjoint_atol, "method": METHODS.get(adjoint_method, adjoint_method)}
    back = {name: value for name, value in back.items() if value is not None}
    if back and more.get("adjoint", "discrete") not in ("discrete", "none"):
        more["back"] = back
    return odeint(func, y0, t, **more)
