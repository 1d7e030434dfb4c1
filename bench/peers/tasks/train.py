# SPDX-License-Identifier: MIT
"""A training step of a neural ODE: loss and gradient, no optimiser.
    spiral  2-50-2 tanh of y^3, batch 20, mean |y - target| at 10 times in [0, 0.25]; dopri5, rtol 1e-7, atol 1e-9
    small   4-32-32-4 tanh, batch 1, mean y(1)^2; dopri5, 1e-5
    mid     64-256-256-64 tanh, batch 256, mean y(1)^2; dopri5, 1e-5
    long    4-32-4 tanh, batch 64, mean y(100)^2; dopri5, 1e-6: the sizes of diffrax's small_neural_ode
Error: of the gradient by all parameters, relative, against libnde's by dop853 at 1e-12 in double."""
import numpy as np

from kit import BOTH, Work, away, jax_compiled, jax_for, jax_gradient, layers, run, symmetric, torch_gradient, torch_net, weights

CASES = { # widths, batch, times, rtol, atol, bound of the weights
    "spiral": ((2, 50, 2), 20, np.linspace(0, 0.25, 10), 1e-7, 1e-9, 0.1*3**0.5),
    "small": ((4, 32, 32, 4), 1, np.array([0, 1.0]), 1e-5, 1e-5, None),
    "mid": ((64, 256, 256, 64), 256, np.array([0, 1.0]), 1e-5, 1e-5, None),
    "long": ((4, 32, 4), 64, np.array([0, 100.0]), 1e-6, 1e-6, None),
}
EVERY = {"case": list(CASES), "dtype": BOTH, "threads": [1, 2]}


def data(case):
    """Parameters, y0, targets or None."""
    widths, batch, t, _, _, bound = CASES[case]
    p = weights(widths, 1234, bound)
    for weight, bias in layers(p, widths):
        bias[:] *= case != "spiral"
    target = symmetric((len(t), batch, widths[0]), 77) if case == "spiral" else None
    return p, symmetric((batch, widths[0]), 99, 2.0 if case == "spiral" else 1.0), target


def loss(y, target, xp):
    return xp.mean(abs(y - target)) if target is not None else xp.mean(y[-1]**2)


def loss_gradient(y, target):
    if target is not None:
        return np.sign(y - target)/y.size
    seed = np.zeros_like(y)
    seed[-1] = 2*y[-1]/y[-1].size
    return seed


def solver(case, dtype, threads=1, **more):
    import nde
    widths, _, t, rtol, atol, _ = CASES[case]
    p, y0, _ = data(case)
    net = nde.MLP(widths, dtype=dtype)
    net.p[...] = p
    field = nde.compose(net, nde.program(lambda t, y: y*y*y)) if case == "spiral" else net
    given = {"method": "dopri5", "rtol": rtol, "atol": atol, "stepping": "joint", "threads": threads, "adjoint": "discrete", **more}
    return nde.Solver(field, y0.astype(dtype), t, net.p, **given)


def step(solver, target):
    solution = solver.run()
    return solution.backward(loss_gradient(solution.y, target), wanted=("p",)).p


def error(case):
    return lambda gradient: away(gradient, step(solver(case, "float64", method="dop853", rtol=1e-12, atol=1e-12), data(case)[2]))


@run("libnde", **EVERY)
def libnde(case, dtype, threads):
    import nde
    made, target = solver(case, dtype, threads), data(case)[2]
    made.run()
    return Work(lambda: step(made, target), error(case), nde.__version__, int(np.atleast_1d(made.run().stats)[0].evals))


def module(torch, case, dtype):
    p, y0, target = data(case)
    dtype = getattr(torch, dtype)
    net = torch_net(torch, p, CASES[case][0], dtype, torch.nn.Tanh)
    return net, torch.tensor(y0, dtype=dtype), torch.tensor(CASES[case][2], dtype=dtype), \
        None if target is None else torch.tensor(target, dtype=dtype)


def torch_step(torch, case, dtype, odeint, version, in_c=False):
    net, y0, t, target = module(torch, case, dtype)

    class Drift(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.net, self.calls = net, 0

        def forward(self, t, y):
            self.calls += 1
            return self.net(y**3 if case == "spiral" else y)
    drift, (rtol, atol) = Drift(), CASES[case][3:5]

    def call():
        drift.zero_grad()
        loss(odeint(net if in_c else drift, y0, t, rtol=rtol, atol=atol, method="dopri5"), target, torch).backward()
        return torch_gradient(torch, net)
    call()
    return Work(call, error(case), version, drift.calls or None)


@run("libnde nde.torch", **{**EVERY, "case": ["small", "mid", "long"], "threads": [1]})
def libnde_torch(case, dtype, **_):
    import torch
    import nde.torch
    return torch_step(torch, case, dtype, nde.torch.odeint, nde.__version__, in_c=True)


@run("torchdiffeq", **EVERY, mode=["backprop", "adjoint"])
def torchdiffeq(case, dtype, mode, **_):
    import torch
    import torchdiffeq
    odeint = torchdiffeq.odeint if mode == "backprop" else torchdiffeq.odeint_adjoint
    return torch_step(torch, case, dtype, odeint, torchdiffeq.__version__)


@run("torchode", **EVERY, compiled=[False, True])
def torchode(case, dtype, compiled, **_):
    import torch
    import torchode as to
    net, y0, t, target = module(torch, case, dtype)
    rtol, atol = CASES[case][3:5]
    term = to.ODETerm((lambda t, y: net(y**3)) if case == "spiral" else (lambda t, y: net(y)))
    solver = to.AutoDiffAdjoint(to.Dopri5(term=term), to.IntegralController(atol=atol, rtol=rtol, term=term))
    solve = torch.compile(solver.solve) if compiled else solver.solve

    def call():
        net.zero_grad()
        found = solve(to.InitialValueProblem(y0=y0, t_eval=t.expand(len(y0), -1)))
        loss(found.ys.transpose(0, 1), target, torch).backward()
        return torch_gradient(torch, net)
    return Work(call, error(case), to.__version__)


@run("diffrax", **EVERY, mode=["checkpoints", "backsolve"], steps=["joint", "independent"])
def diffrax(case, dtype, mode, steps, **_):
    jax, jnp, dfx = jax_for(dtype)
    widths, _, t, rtol, atol, _ = CASES[case]
    p, y0, target = data(case)
    parameters = [(jnp.asarray(w, dtype), jnp.asarray(b, dtype)) for w, b in layers(p, widths)]
    y0, t = jnp.asarray(y0, dtype), jnp.asarray(t, dtype)
    target = None if target is None else jnp.asarray(target, dtype)
    adjoint = dfx.RecursiveCheckpointAdjoint() if mode == "checkpoints" else dfx.BacksolveAdjoint()

    def drift(_, y, parameters):
        y = y**3 if case == "spiral" else y
        for w, b in parameters[:-1]:
            y = jnp.tanh(y @ w.T + b)
        return y @ parameters[-1][0].T + parameters[-1][1]

    def solve(y0, parameters):
        return dfx.diffeqsolve(dfx.ODETerm(drift), dfx.Dopri5(), t0=t[0], t1=t[-1], dt0=None, y0=y0, args=parameters, adjoint=adjoint,
                               saveat=dfx.SaveAt(ts=t), stepsize_controller=dfx.PIDController(rtol=rtol, atol=atol), max_steps=4096).ys

    def of(parameters):
        y = solve(y0, parameters) if steps == "joint" else jax.vmap(lambda y: solve(y, parameters), out_axes=1)(y0)
        return loss(y, target, jnp)
    gradient, seconds = jax_compiled(jax, jax.grad(of), parameters)
    return Work(lambda: gradient(parameters), lambda found: error(case)(jax_gradient(np, found)), dfx.__version__, compile=seconds)
