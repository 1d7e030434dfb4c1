# SPDX-License-Identifier: MIT
"""10,000 Lorenz trajectories, rho from 20 to 40, to t = 10; rtol = atol = 1e-6; ends only. Error: median over trajectories of the largest
component's, against libnde at 1e-12."""
import numpy as np

from kit import Work, jax_compiled, jax_for, run

N, END, TOLERANCE = 10000, 10.0, 1e-6
RHO = 20 + 20*np.arange(N)/(N - 1)
SAMPLE = slice(0, N, N//40)


def program():
    import nde
    return nde.program(lambda t, y, q: [10*(y[1] - y[0]), y[0]*(q[0] - y[2]) - y[1], y[0]*y[1] - 8/3*y[2]])


def error(ends):
    import nde
    exact = nde.solve(program(), np.ones((N, 3))[SAMPLE], (0, END), q=RHO[SAMPLE, None], rtol=1e-12, atol=1e-12, method="dop853")
    return float(np.median(abs(np.asarray(ends)[SAMPLE] - exact.y_end).max(axis=1)))


@run("libnde", threads=[1, 2], method=["dopri5", "tsit5"])
def libnde(threads, method, **_):
    import nde
    solver = nde.Solver(program(), np.ones((N, 3)), (0, END), q=RHO[:, None], rtol=TOLERANCE, atol=TOLERANCE, method=method, adjoint="none",
                        threads=threads)
    return Work(lambda: solver.run().y_end, error, nde.__version__, int(solver.run().stats.evals.sum()))


def lorenz(torch):
    rho = torch.tensor(RHO)

    def f(t, y):
        a, b, c = y[:, 0], y[:, 1], y[:, 2]
        return torch.stack((10.0*(b - a), a*(rho - c) - b, a*b - (8/3)*c), 1)
    return f


@run("torchdiffeq", threads=[1, 2], steps=["joint"])
def torchdiffeq(**_):
    import torch
    import torchdiffeq
    f, y0, t = lorenz(torch), torch.ones(N, 3, dtype=torch.float64), torch.tensor([0.0, END], dtype=torch.float64)

    def call():
        with torch.no_grad():
            return torchdiffeq.odeint(f, y0, t, rtol=TOLERANCE, atol=TOLERANCE, method="dopri5")[-1]
    return Work(call, error, torchdiffeq.__version__)


@run("torchode", threads=[1, 2], steps=["independent"], compiled=[False, True])
def torchode(compiled, **_):
    import torch
    import torchode as to
    full = torch.full((N,), END, dtype=torch.float64)
    problem = to.InitialValueProblem(y0=torch.ones(N, 3, dtype=torch.float64), t_start=torch.zeros_like(full), t_end=full)
    term = to.ODETerm(lorenz(torch))
    solver = to.AutoDiffAdjoint(to.Dopri5(term=term), to.IntegralController(atol=TOLERANCE, rtol=TOLERANCE, term=term))
    solve = torch.compile(solver.solve) if compiled else solver.solve

    def call():
        with torch.no_grad():
            return solve(problem).ys[:, -1]
    return Work(call, error, to.__version__)


@run("diffrax", threads=[1, 2], method=["Dopri5", "Tsit5"], steps=["independent", "joint"])
def diffrax(method, steps, **_):
    jax, jnp, dfx = jax_for("float64")

    def f(t, y, r):
        return jnp.stack([10.0*(y[1] - y[0]), y[0]*(r - y[2]) - y[1], y[0]*y[1] - (8/3)*y[2]])

    def one(r, y0):
        return dfx.diffeqsolve(dfx.ODETerm(f), getattr(dfx, method)(), t0=0.0, t1=END, dt0=None, y0=y0, args=r, max_steps=2**16,
                               stepsize_controller=dfx.PIDController(rtol=TOLERANCE, atol=TOLERANCE), saveat=dfx.SaveAt(t1=True)).ys[-1]
    every = jax.vmap(lambda r: one(r, jnp.ones(3))) if steps == "independent" else lambda r: one(r, jnp.ones((3, N))).T
    rho = jnp.asarray(RHO)
    solve, seconds = jax_compiled(jax, every, rho)
    return Work(lambda: solve(rho), error, dfx.__version__, compile=seconds)
