# SPDX-License-Identifier: MIT
"""One Lorenz trajectory from (1, 1, 1) to t = 10, as a user of each would write it. Error: norm at the end, relative, against a solution in
quadruple precision (reference.h). The programs in C and C++ run beside these (compare.py)."""
import re
import subprocess
import tempfile
from pathlib import Path

import numpy as np

from kit import Work, away, jax_compiled, jax_for, run

END, START = 10.0, [1.0, 1.0, 1.0]
CASES = ["1e-06", "1e-09"]
ROW = re.search(r"\{([^{}]*)\}", (Path(__file__).parents[1]/"reference.h").read_text().split("=", 1)[1])[1]
EXACT = [float(x) for x in re.findall(r"-?\d+\.\d+(?:e[-+]?\d+)?", ROW)][:3]


def error(end):
    return away(end, EXACT)


def lorenz(t, y):
    return [10*(y[1] - y[0]), y[0]*(28 - y[2]) - y[1], y[0]*y[1] - 8/3*y[2]]


C = """int lorenz(double t, const double *y, const double *p, double *dy, void *ctx) {
    dy[0] = 10*(y[1] - y[0]), dy[1] = y[0]*(28 - y[2]) - y[1], dy[2] = y[0]*y[1] - 8.0/3*y[2];
    return 0;
}
"""


def c_field(nde):
    folder = Path(tempfile.mkdtemp())
    (folder/"lorenz.c").write_text(C)
    subprocess.run(["cc", "-O3", "-march=native", "-shared", "-fPIC", folder/"lorenz.c", "-o", folder/"lorenz.so"], check=True)
    return nde.CField(folder/"lorenz.so", "lorenz", dim=3)


@run("libnde", case=CASES, field=["program", "C function", "Python function"], method=["dopri5", "tsit5", "dop853", "vern9"])
def libnde(case, field, method, **_):
    import nde
    tolerance = float(case)
    drift = (nde.program(lorenz) if field == "program" else c_field(nde) if field == "C function" else
             lambda t, y: np.array(lorenz(t, y.tolist())))
    solver = nde.Solver(drift, START, (0, END), rtol=tolerance, atol=tolerance, method=method, adjoint="none")
    return Work(lambda: solver.run().y_end, error, nde.__version__, int(solver.run().stats.evals))


@run("libnde solve_ivp", case=CASES, field=["Python function"], method=["RK45", "DOP853"])
def libnde_solve_ivp(case, method, **_):
    import nde
    tolerance = float(case)
    return Work(lambda: nde.solve_ivp(lorenz, (0, END), START, method=method, rtol=tolerance, atol=tolerance).y[:, -1], error,
                nde.__version__)


@run("SciPy solve_ivp", case=CASES, method=["RK45", "DOP853", "LSODA"])
def scipy(case, method, **_):
    import scipy
    from scipy.integrate import solve_ivp
    tolerance = float(case)
    found = solve_ivp(lorenz, (0, END), START, method=method, rtol=tolerance, atol=tolerance)
    return Work(lambda: solve_ivp(lorenz, (0, END), START, method=method, rtol=tolerance, atol=tolerance).y[:, -1], error,
                scipy.__version__, found.nfev)


@run("SciPy odeint", case=CASES, method=["LSODA"])
def scipy_odeint(case, **_):
    import scipy
    from scipy.integrate import odeint
    tolerance = float(case)
    return Work(lambda: odeint(lorenz, START, [0, END], rtol=tolerance, atol=tolerance, tfirst=True, mxstep=10**6)[-1], error, scipy.__version__)


@run("numbalsoda", case=CASES, method=["LSODA"])
def numbalsoda(case, **_):
    import numba
    from numbalsoda import lsoda, lsoda_sig
    tolerance = float(case)

    @numba.cfunc(lsoda_sig)
    def f(t, y, dy, p):
        dy[0], dy[1], dy[2] = 10*(y[1] - y[0]), y[0]*(28 - y[2]) - y[1], y[0]*y[1] - 8/3*y[2]
    start, times = np.array(START), np.array([0, END])
    return Work(lambda: lsoda(f.address, start, times, rtol=tolerance, atol=tolerance)[0][-1], error, numba.__version__)


def tensors(torch):
    def f(t, y):
        a, b, c = y[..., 0], y[..., 1], y[..., 2]
        return torch.stack((10*(b - a), a*(28 - c) - b, a*b - 8/3*c), -1)
    return f


@run("torchdiffeq", case=CASES, method=["dopri5", "dopri8"])
def torchdiffeq(case, method, **_):
    import torch
    import torchdiffeq
    y0, t, f = torch.tensor(START, dtype=torch.float64), torch.tensor([0.0, END], dtype=torch.float64), tensors(torch)

    def call():
        with torch.no_grad():
            return torchdiffeq.odeint(f, y0, t, rtol=float(case), atol=float(case), method=method)[-1]
    return Work(call, error, torchdiffeq.__version__)


@run("torchode", case=CASES, method=["dopri5"], compiled=[False, True])
def torchode(case, compiled, **_):
    import torch
    import torchode as to
    zero = torch.zeros(1, dtype=torch.float64)
    problem = to.InitialValueProblem(y0=torch.tensor([START], dtype=torch.float64), t_start=zero, t_end=zero + END)
    term = to.ODETerm(tensors(torch))
    solver = to.AutoDiffAdjoint(to.Dopri5(term=term), to.IntegralController(atol=float(case), rtol=float(case), term=term))
    solve = torch.compile(solver.solve) if compiled else solver.solve

    def call():
        with torch.no_grad():
            return solve(problem).ys[0, -1]
    return Work(call, error, to.__version__)


@run("diffrax", case=CASES, method=["Dopri5", "Tsit5", "Dopri8"])
def diffrax(case, method, **_):
    jax, jnp, dfx = jax_for("float64")
    control = dfx.PIDController(rtol=float(case), atol=float(case))

    def solve(y0):
        return dfx.diffeqsolve(dfx.ODETerm(lambda t, y, args: jnp.stack(lorenz(t, y))), getattr(dfx, method)(), t0=0.0, t1=END, dt0=None,
                               y0=y0, stepsize_controller=control, saveat=dfx.SaveAt(t1=True), max_steps=2**16).ys[-1]
    y0 = jnp.array(START)
    compiled, seconds = jax_compiled(jax, solve, y0)
    return Work(lambda: compiled(y0), error, dfx.__version__, compile=seconds)
