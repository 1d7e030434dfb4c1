# SPDX-License-Identifier: MIT
"""A training step of a neural SDE: dy = f(y) dt + g(y) o dW, f an MLP 16-64-16 with lipswish, g 0.1 sigmoid of another, dW diagonal;
batch 512, 64 equal steps to t = 1, mean y(1)^2, another path for each step. Error: of the gradient by all parameters against that by another
way (libnde: discrete adjoint for the reversible one; torchsde: backprop for its adjoints) on the same path and steps, relative."""
import numpy as np

from kit import BOTH, Work, away, jax_compiled, jax_for, layers, run, symmetric, torch_gradient, torch_net, weights

BATCH, DIM, STEPS = 512, 16, 64
WIDTHS = (DIM, 64, DIM)
EVERY = {"dtype": BOTH, "threads": [1, 2]}


def data():
    return weights(WIDTHS, 11), weights(WIDTHS, 22), symmetric((BATCH, DIM), 99)


@run("libnde", **EVERY, mode=["reversible_heun reversible", "reversible_heun discrete", "midpoint discrete"])
def libnde(dtype, threads, mode, **_):
    import nde
    import nde.ops as ops
    method, adjoint = mode.split()
    f, g, y0 = data()
    split = len(f)

    def net(first, last, y):
        hidden = ops.dense("lipswish", first, WIDTHS[1], y)
        return ops.dense(last, first + WIDTHS[1]*(DIM + 1), DIM, hidden)
    drift = nde.program(lambda t, y, p: net(0, "identity", y))
    noise = nde.Noise(nde.program(lambda t, y, p: 0.1*net(split, "sigmoid", y)), seed=1)

    def made(adjoint):
        return nde.Solver(drift, y0.astype(dtype), (0, 1), np.concatenate([f, g]), terms=[noise], calculus="stratonovich", steps=STEPS,
                          method=method, adjoint=adjoint, threads=threads)

    def gradient(solver):
        found = solver.run()
        return found.backward(y_end=2/found.y_end.size*found.y_end, wanted=("p",)).p
    solver = made(adjoint)

    def call():
        noise.seed += 1
        return gradient(solver)

    def error(found):
        return away(found, gradient(made("discrete"))) if adjoint == "reversible" else None
    return Work(call, error, nde.__version__)


@run("torchsde", **EVERY, mode=["reversible_heun adjoint", "midpoint adjoint", "reversible_heun backprop", "midpoint backprop"])
def torchsde(dtype, mode, **_):
    import torch
    import torchsde as ts
    method, way = mode.split()
    dtype, seed = getattr(torch, dtype), [0]
    f, g, y0 = data()

    class Lipswish(torch.nn.Module):
        def forward(self, x):
            return torch.nn.functional.silu(x)/1.1

    class Neural(torch.nn.Module):
        noise_type, sde_type = "diagonal", "stratonovich"

        def __init__(self):
            super().__init__()
            self.drift, self.noise = torch_net(torch, f, WIDTHS, dtype, Lipswish), torch_net(torch, g, WIDTHS, dtype, Lipswish)

        def f(self, t, y):
            return self.drift(y)

        def g(self, t, y):
            return 0.1*torch.sigmoid(self.noise(y))
    sde, y0, t = Neural(), torch.tensor(y0, dtype=dtype), torch.tensor([0.0, 1.0], dtype=dtype)
    adjoint = {"adjoint_method": "adjoint_reversible_heun" if method == "reversible_heun" else method}

    def gradient(way):
        sde.zero_grad()
        path = ts.BrownianInterval(t0=t[0], t1=t[1], size=(BATCH, DIM), dtype=dtype, dt=1/STEPS, entropy=seed[0])
        sdeint, more = (ts.sdeint_adjoint, adjoint) if way == "adjoint" else (ts.sdeint, {})
        sdeint(sde, y0, t, bm=path, method=method, dt=1/STEPS, **more)[-1].pow(2).mean().backward()
        return torch_gradient(torch, sde)

    def call():
        seed[0] += 1
        return gradient(way)
    return Work(call, lambda found: away(found, gradient("backprop")) if way == "adjoint" else None, ts.__version__)


@run("diffrax", **EVERY, mode=["ReversibleHeun checkpoints", "Midpoint checkpoints", "Heun backsolve"])
def diffrax(dtype, mode, **_):
    jax, jnp, dfx = jax_for(dtype)
    import lineax
    method, way = mode.split()
    f, g, y0 = data()
    parameters = [[(jnp.asarray(w, dtype), jnp.asarray(b, dtype)) for w, b in layers(p, WIDTHS)] for p in (f, g)]
    y0 = jnp.asarray(y0, dtype)
    adjoint = dfx.RecursiveCheckpointAdjoint() if way == "checkpoints" else dfx.BacksolveAdjoint()

    def net(p, y):
        (w1, b1), (w2, b2) = p
        return jax.nn.silu(y @ w1.T + b1)/1.1 @ w2.T + b2

    def one(y, key, p):
        path = dfx.VirtualBrownianTree(0.0, 1.0, tol=0.5/STEPS, shape=jax.ShapeDtypeStruct((DIM,), y.dtype), key=key)
        noise = dfx.ControlTerm(lambda t, y, p: lineax.DiagonalLinearOperator(0.1*jax.nn.sigmoid(net(p[1], y))), path)
        terms = dfx.MultiTerm(dfx.ODETerm(lambda t, y, p: net(p[0], y)), noise)
        return dfx.diffeqsolve(terms, getattr(dfx, method)(), t0=0.0, t1=1.0, dt0=1/STEPS, y0=y, args=p, adjoint=adjoint,
                               max_steps=STEPS + 8).ys[-1]

    def loss(p, key):
        return jnp.mean(jax.vmap(lambda y, k: one(y, k, p))(y0, jax.random.split(key, BATCH))**2)
    key = jax.random.PRNGKey(0)
    gradient, seconds = jax_compiled(jax, jax.grad(loss), parameters, key)
    return Work(lambda: gradient(parameters, key), version=dfx.__version__, compile=seconds)
