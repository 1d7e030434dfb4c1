# SPDX-License-Identifier: MIT
"""torchsde's sdeint and sdeint_adjoint: gradients are exact for the steps taken in both."""
import numpy as np
import torch
from torch import nn

from . import _library
from ._library import ArgumentError, Status
from ._problem import Noise
from ._torch_field import Function
from ._torch_solve import Solve, hidden

METHODS = {"euler": "euler_maruyama"}
NAMES = {"drift": "f", "diffusion": "g", "prior_drift": "h"}
KINDS = "diagonal", "scalar", "additive", "general"


def method_of(sde, name, options):
    """nde's method for torchsde's name; None: what torchsde would take."""
    additive = sde.noise_type == "additive"
    if name is None:
        name = "midpoint" if sde.sde_type == "stratonovich" else "euler" if sde.noise_type == "general" else "srk"
    if name == "srk":
        return "sra1" if additive else "sriw1"
    if name == "milstein" and options.get("grad_free"):
        return "milstein_free"
    name = METHODS.get(name, name)
    _library.number("method", name)
    return name


def stored(bm, t, levy, m):
    """The increments of somebody else's Brownian motion over steps between times t, as members of nde.Noise, with rows of zeros up to m.
    U is the integral of W over a step, less its length times W at its start."""
    found = [bm(a, b, return_U=True) if levy else (bm(a, b), None) for a, b in zip(t, t[1:])]
    members = {"w": torch.stack([w for w, _ in found])}
    if levy:
        h = (t[1:] - t[:-1]).reshape(-1, 1, 1)
        members["h"] = torch.stack([u for _, u in found])/h - members["w"]/2
    members = {name: nn.functional.pad(x.detach().double(), (0, m - x.shape[-1])) for name, x in members.items()}
    return {name: np.ascontiguousarray(x.numpy().swapaxes(1, 2)) for name, x in members.items()}


def part(sde, names, which):
    """The sde's function of that role; f and g may also come together, as f_and_g."""
    name = (names or {}).get(which, NAMES[which])
    if which != "prior_drift" and not hasattr(sde, name) and hasattr(sde, "f_and_g"):
        return lambda t, y: sde.f_and_g(t, y)[which == "diffusion"]
    return getattr(sde, name)


def with_log_ratio(f, g, h, diagonal):
    """Drift and diffusion with a row more: half the square of u, where g u = f - h; it has no noise."""
    def drift(t, z):
        y = z[:, :-1]
        value, scale = f(t, y), g(t, y)
        if diagonal:
            away = torch.where(scale.abs() > 1e-7, scale, torch.where(scale < 0, -1e-7, 1e-7).to(scale))
            u = (value - h(t, y))/away
        else:
            u = (torch.linalg.pinv(scale) @ (value - h(t, y)).unsqueeze(-1)).squeeze(-1)
        return torch.cat([value, 0.5*u.square().sum(1, keepdim=True)], dim=1)

    def diffusion(t, z):
        found = g(t, z[:, :-1])
        return torch.cat([found, torch.zeros_like(found[:, :1])], dim=1)
    return drift, diffusion


def sdeint(sde, y0, ts, bm=None, method=None, dt=1e-3, adaptive=False, rtol=1e-5, atol=1e-4, dt_min=1e-5, options=None, names=None,
           logqp=False, extra=False, extra_solver_state=None, *, adjoint_params=None, seed=None, **more):
    """torchsde.sdeint: y (len(ts), batch, dim) of dy = f(t, y) dt + g(t, y) dW; differentiable by y0 and parameters.

    sde              its noise_type, sde_type, f and g (or f_and_g; names), with logqp h too
    bm               None: a path of nde's own, another one for each call, drawn from PyTorch's generator, or that of `seed`; or a
                     function bm(ta, tb): torchsde's BrownianInterval, whose increments are then taken
    method           torchsde's names or nde.methods
    dt               steps are equal and no longer than dt; adaptive: that of the first, steps by rtol and atol
    logqp            y and the log-ratios of each interval between ts, (len(ts) - 1, batch)
    adjoint_params   what f and g depend on beside t and y; None: sde.parameters()
    **more           options of nde.solve
    """
    if extra or extra_solver_state is not None:
        raise NotImplementedError("nde: extra solver states")
    if sde.noise_type not in KINDS:
        raise ArgumentError(Status.E_ARG, f"nde: noise_type is {sde.noise_type!r}; known are {', '.join(KINDS)}")
    if y0.ndim != 2:
        raise ArgumentError(Status.E_ARG, f"nde: y0 has shape {tuple(y0.shape)}; (batch, dim) is needed")
    ts, diagonal = torch.as_tensor(ts), sde.noise_type == "diagonal"
    f, g, dim = part(sde, names, "drift"), part(sde, names, "diffusion"), y0.shape[1]
    if adjoint_params is None:
        adjoint_params = sde.parameters() if isinstance(sde, nn.Module) else ()
    parameters = tuple(p for p in adjoint_params if p.requires_grad)
    hidden(lambda t, y: f(t, y).sum() + g(t, y).sum(), y0, ts, parameters)
    if logqp:
        f, g = with_log_ratio(f, g, part(sde, names, "prior_drift"), diagonal)
        y0 = torch.cat([y0, y0.new_zeros(len(y0), 1)], dim=1)
    with torch.no_grad():
        m = g(ts[0].to(y0.dtype), y0.detach()).shape[-1]
    times = ts.detach().double()
    if adaptive:
        how = {"rtol": rtol, "atol": atol, "h0": dt, "h_min": dt_min, "h_min_policy": "accept"}
        members = {"source": "tree"}
    else:
        steps = max(1, int(np.ceil(float(abs(times[-1] - times[0]))/dt*(1 - 1e-12))))
        how, members = {"steps": steps}, {}
    if bm is not None:
        if adaptive:
            raise ArgumentError(Status.E_ARG, "nde: with bm steps are fixed: adaptive needs a path of nde's own")
        levy = getattr(bm, "levy_area_approximation", "none") != "none"
        members = {"source": "stored", **stored(bm, torch.linspace(times[0], times[-1], steps + 1, dtype=times.dtype), levy, m)}
    if seed is None:
        seed = int(torch.randint(2**62, ())) if bm is None else 0
    product = g if diagonal else lambda t, y, u: (g(t, y) @ u.unsqueeze(-1)).squeeze(-1)
    noise = Noise(Function(product, None, parameters, inputs=not diagonal), sde.noise_type, seed=seed,
                  **members, **({} if diagonal else {"dim": m}))
    more = {"terms": [noise], "calculus": sde.sde_type, "method": method_of(sde, method, options or {}), "stepping": "joint",
            "max_steps": -1, **how, **more}
    y = Solve.apply(Function(f, None, parameters), more, y0, times, *parameters)
    return (y[:, :, :dim], y[1:, :, -1] - y[:-1, :, -1]) if logqp else y


def sdeint_adjoint(sde, y0, ts, bm=None, method=None, adjoint_method=None, dt=1e-3, adaptive=False, adjoint_adaptive=False, rtol=1e-5,
                   adjoint_rtol=1e-5, atol=1e-4, adjoint_atol=1e-4, dt_min=1e-5, options=None, adjoint_options=None, **more):
    """torchsde.sdeint_adjoint. Its gradient is that of the steps taken, as sdeint's; reversible_heun goes back without a record of its
    states."""
    if method == "reversible_heun":
        more.setdefault("adjoint", "reversible")
    return sdeint(sde, y0, ts, bm, method, dt, adaptive, rtol, atol, dt_min, options, **more)
