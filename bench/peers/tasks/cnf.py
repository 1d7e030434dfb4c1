# SPDX-License-Identifier: MIT
"""A training step of a continuous normalising flow in two dimensions: MLP 3-64-64-2 tanh of (x, t), batch 512, exact trace, from 0 to 1 by
dopri5 at 1e-5; negative mean log-likelihood under a standard normal. Trace: `closed`, the formula for this network; `autograd`, one derivative
for each dimension. Error: of the gradient by all parameters, relative, against libnde's at 1e-12 in double."""
import numpy as np

from kit import BOTH, Work, away, jax_compiled, jax_for, jax_gradient, layers, run, symmetric, torch_gradient, weights

BATCH, WIDTH, TOLERANCE = 512, 64, 1e-5
WIDTHS = (3, WIDTH, WIDTH, 2)
EVERY = {"dtype": BOTH, "threads": [1, 2]}


def data():
    return weights(WIDTHS, 31), symmetric((BATCH, 2), 99, 2.0)


def solver(dtype, threads=1, **more):
    import nde
    import nde.ops as ops
    p, x = data()

    def flow(t, y, p):
        x = y[:2]
        hidden = ops.dense("tanh", 4*WIDTH, WIDTH, ops.dense("tanh", 0, WIDTH, ops.concatenate(x, t)))
        f = ops.dense("identity", len(p) - 2*(WIDTH + 1), 2, hidden)
        return ops.concatenate(f, -ops.divergence(f, x))
    y0 = np.concatenate([x, np.zeros((BATCH, 1))], axis=1)
    given = {"method": "dopri5", "rtol": TOLERANCE, "atol": TOLERANCE, "stepping": "joint", "threads": threads, "adjoint": "discrete", **more}
    return nde.Solver(nde.program(flow), y0.astype(dtype), (0, 1), p, **given)


def step(solver):
    found = solver.run()
    seed = np.array(found.y_end)/BATCH
    seed[:, 2] = 1/BATCH
    return found.backward(y_end=seed, wanted=("p",)).p


def error(gradient):
    return away(gradient, step(solver("float64", method="dop853", rtol=1e-12, atol=1e-12)))


@run("libnde", **EVERY, steps=["joint", "independent"])
def libnde(dtype, threads, steps, **_):
    import nde
    made = solver(dtype, threads, stepping=steps)
    return Work(lambda: step(made), error, nde.__version__, int(made.run().stats[0].evals))


@run("torchdiffeq", **EVERY, trace=["closed", "autograd"], mode=["backprop", "adjoint"])
def torchdiffeq(dtype, trace, mode, **_):
    import torch
    import torchdiffeq
    dtype = getattr(torch, dtype)
    p, x = data()
    tanh, linear = torch.tanh, torch.nn.functional.linear
    odeint = torchdiffeq.odeint if mode == "backprop" else torchdiffeq.odeint_adjoint

    class Flow(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.p = torch.nn.ParameterList([torch.tensor(part, dtype=dtype) for layer in layers(p, WIDTHS) for part in layer])

        def net(self, t, x):
            w1, b1, w2, b2, w3, b3 = self.p
            h1 = tanh(linear(torch.cat([x, t.to(dtype).expand(len(x), 1)], 1), w1, b1))
            h2 = tanh(linear(h1, w2, b2))
            return linear(h2, w3, b3), h1, h2

        def forward(self, t, state):
            x = state[0]
            if trace == "closed":
                v, h1, h2 = self.net(t, x)
                w1, _, w2, _, w3, _ = self.p
                return v, -(((1 - h2*h2) @ (w2*(w1[:, :2] @ w3).t()))*(1 - h1*h1)).sum(1, keepdim=True)
            with torch.enable_grad():
                x = x.requires_grad_(True)
                v, _, _ = self.net(t, x)
                found = sum(torch.autograd.grad(v[:, i].sum(), x, create_graph=True)[0][:, i] for i in range(2))
            return v, -found.unsqueeze(1)
    flow, x, t = Flow(), torch.tensor(x, dtype=dtype), torch.tensor([0.0, 1.0], dtype=dtype)

    def call():
        flow.zero_grad()
        z, logs = odeint(flow, (x.clone(), torch.zeros(BATCH, 1, dtype=dtype)), t, rtol=TOLERANCE, atol=TOLERANCE, method="dopri5")
        (0.5*z[-1].pow(2).sum(1) + logs[-1][:, 0]).mean().backward()
        return torch_gradient(torch, flow)
    return Work(call, error, torchdiffeq.__version__)


@run("diffrax", **EVERY, trace=["closed", "autograd"], mode=["checkpoints", "backsolve"])
def diffrax(dtype, trace, mode, **_):
    jax, jnp, dfx = jax_for(dtype)
    p, x = data()
    parameters, x = [(jnp.asarray(w, dtype), jnp.asarray(b, dtype)) for w, b in layers(p, WIDTHS)], jnp.asarray(x, dtype)
    adjoint = dfx.RecursiveCheckpointAdjoint() if mode == "checkpoints" else dfx.BacksolveAdjoint()

    def net(t, x, p):
        (w1, b1), (w2, b2), (w3, b3) = p
        h1 = jnp.tanh(jnp.concatenate([x, jnp.full((len(x), 1), t, x.dtype)], 1) @ w1.T + b1)
        h2 = jnp.tanh(h1 @ w2.T + b2)
        return h2 @ w3.T + b3, h1, h2

    def drift(t, state, p):
        v, h1, h2 = net(t, state[0], p)
        if trace == "closed":
            return v, -(((1 - h2*h2) @ (p[1][0]*(p[0][0][:, :2] @ p[2][0]).T))*(1 - h1*h1)).sum(1)
        return v, -jax.vmap(lambda q: jnp.trace(jax.jacfwd(lambda q: net(t, q[None], p)[0][0])(q)))(state[0])

    def loss(p):
        z, logs = dfx.diffeqsolve(dfx.ODETerm(drift), dfx.Dopri5(), t0=0.0, t1=1.0, dt0=None, y0=(x, jnp.zeros(BATCH, dtype)), args=p,
                                  stepsize_controller=dfx.PIDController(rtol=TOLERANCE, atol=TOLERANCE), adjoint=adjoint).ys
        return jnp.mean(0.5*jnp.sum(z[-1]**2, 1) + logs[-1])
    gradient, seconds = jax_compiled(jax, jax.grad(loss), parameters)
    return Work(lambda: gradient(parameters), lambda found: error(jax_gradient(np, found)), dfx.__version__, compile=seconds)
