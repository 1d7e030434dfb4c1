# SPDX-License-Identifier: MIT
"""Geometric Brownian motion dy = 0.05 y dt + 0.2 y dW, 4096 x 16, 1000 equal steps to t = 1, another path for each solve. Error: mean
strong error at the end, against the exact solution on the same path."""
import math

import numpy as np

from kit import BOTH, Work, jax_compiled, jax_for, run

BATCH, DIM, STEPS, MU, SIGMA = 4096, 16, 1000, 0.05, 0.2
EVERY = {"dtype": BOTH, "threads": [1, 2]}


def strong(y, w):
    return float(abs(np.asarray(y, float) - np.exp(MU - SIGMA**2/2 + SIGMA*np.asarray(w, float))).mean())


# Normals of 32 bits, of which torch.randn in float32 is made too.
@run("libnde", **EVERY | {"dtype": ["float32"]}, method=["euler_maruyama", "milstein", "sriw1"], normals=["single"])
@run("libnde", **EVERY, method=["euler_maruyama", "milstein", "sriw1"])
def libnde(dtype, threads, method, normals=None, **_):
    import nde

    def made(drift, g, y0, seed, **more):
        noise = nde.Noise(nde.program(g), seed=seed, **{"normals": normals} if normals else {})
        return nde.Solver(nde.program(drift), np.full((BATCH, DIM), y0, dtype), (0, 1), terms=[noise], calculus="ito", steps=STEPS,
                          adjoint="none", threads=threads, **more), noise

    solver, noise = made(lambda t, y: MU*y, lambda t, y: SIGMA*y, 1.0, 1, method=method)

    def call():
        noise.seed += 1
        return solver.run().y_end

    def error(_):
        path, _ = made(lambda t, y: 0*y, lambda t, y: 0*y + 1, 0.0, noise.seed)
        return strong(solver.run().y_end, path.run().y_end)
    return Work(call, error, nde.__version__, 2*STEPS)


@run("torchsde", **EVERY, method=["euler", "milstein", "srk"])
def torchsde(dtype, method, **_):
    import torch
    import torchsde as ts

    class Motion:
        noise_type, sde_type = "diagonal", "ito"

        def f(self, t, y):
            return MU*y

        def g(self, t, y):
            return SIGMA*y
    dtype, seed = getattr(torch, dtype), [0]
    y0, t = torch.ones(BATCH, DIM, dtype=dtype), torch.tensor([0.0, 1.0], dtype=dtype)
    levy = "space-time" if method == "srk" else "none"

    def call():
        seed[0] += 1
        path = ts.BrownianInterval(t0=t[0], t1=t[1], size=(BATCH, DIM), dtype=dtype, dt=1/STEPS, levy_area_approximation=levy, entropy=seed[0])
        with torch.no_grad():
            return ts.sdeint(Motion(), y0, t, bm=path, method=method, dt=1/STEPS)[-1], path

    def error(answer):
        y, path = answer
        return strong(y, path(t[0], t[1]))
    return Work(call, error, ts.__version__, 2*STEPS)


@run("PyTorch loop", **EVERY, method=["euler"])
def torch_loop(dtype, **_):
    import torch
    dtype, h = getattr(torch, dtype), 1/STEPS

    def call():
        y = torch.ones(BATCH, DIM, dtype=dtype)
        with torch.no_grad():
            for _ in range(STEPS):
                y = y*(1 + MU*h + SIGMA*math.sqrt(h)*torch.randn(BATCH, DIM, dtype=dtype))
        return y
    return Work(call, version=torch.__version__, evaluations=2*STEPS)


@run("diffrax", **EVERY, method=["Euler", "ItoMilstein"], path=["UnsafeBrownianPath", "VirtualBrownianTree"])
def diffrax(dtype, method, path, **_):
    jax, jnp, dfx = jax_for(dtype)
    import lineax
    shape, seed = jax.ShapeDtypeStruct((BATCH*DIM,), jnp.dtype(dtype)), [0]
    tree = path == "VirtualBrownianTree"

    def solve(key):
        w = dfx.VirtualBrownianTree(0.0, 1.0, tol=0.5/STEPS, shape=shape, key=key) if tree else dfx.UnsafeBrownianPath(shape=shape, key=key)
        noise = dfx.ControlTerm(lambda t, y, args: lineax.DiagonalLinearOperator(SIGMA*y), w)
        terms = dfx.MultiTerm(dfx.ODETerm(lambda t, y, args: MU*y), noise)
        found = dfx.diffeqsolve(terms, getattr(dfx, method)(), t0=0.0, t1=1.0, dt0=1/STEPS, y0=jnp.ones(shape.shape, dtype),
                                saveat=dfx.SaveAt(t1=True), adjoint=dfx.ForwardMode(), max_steps=STEPS + 8)
        return found.ys[-1], w.evaluate(0.0, 1.0) if tree else found.ys[-1]
    keys = jax.random.split(jax.random.PRNGKey(0), 64)
    compiled, seconds = jax_compiled(jax, solve, keys[0])

    def call():
        seed[0] += 1
        return compiled(keys[seed[0] % 64])
    return Work(call, lambda answer: strong(*answer) if tree else None, dfx.__version__, 2*STEPS, seconds)
