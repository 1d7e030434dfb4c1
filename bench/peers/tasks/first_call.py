# SPDX-License-Identifier: MIT
"""From nothing to a first result: a process that imports the package (`import`), or solves Lotka-Volterra to t = 10 at 1e-6 after that,
compilation included (`first solve`). Seconds are those that the process measures, the interpreter's own start left out; of the C
program from its start to its end."""
import functools
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from kit import Work, run

TORCH = "import torch; f = lambda t, y: torch.stack([y[..., 0]*(1.5 - y[..., 1]), y[..., 1]*(y[..., 0] - 3)], -1); " \
        "y0 = torch.ones(1, 2, dtype=torch.float64); "
PEERS = { # import, first solve
    "libnde": ("import nde", "nde.solve(nde.program(lambda t, y: [y[0]*(1.5 - y[1]), y[1]*(y[0] - 3)]), [1.0, 1.0], (0, 10), rtol=1e-6, atol=1e-6)"),
    "NumPy alone": ("import numpy", ""),
    "SciPy": ("from scipy.integrate import solve_ivp",
              "solve_ivp(lambda t, y: [y[0]*(1.5 - y[1]), y[1]*(y[0] - 3)], (0, 10), [1.0, 1.0], rtol=1e-6, atol=1e-6)"),
    "torchdiffeq": ("import torchdiffeq", TORCH + "torchdiffeq.odeint(f, y0, torch.tensor([0.0, 10.0]), rtol=1e-6, atol=1e-6)"),
    "torchode": ("import torchode as to", TORCH + "term = to.ODETerm(f); to.AutoDiffAdjoint(to.Dopri5(term=term), to.IntegralController("
                 "atol=1e-6, rtol=1e-6, term=term)).solve(to.InitialValueProblem(y0, torch.zeros(1), 10 + torch.zeros(1)))"),
    "diffrax": ("import jax; jax.config.update('jax_enable_x64', True); import jax.numpy as jnp; import diffrax as d",
                "d.diffeqsolve(d.ODETerm(lambda t, y, a: jnp.stack([y[0]*(1.5 - y[1]), y[1]*(y[0] - 3)])), d.Tsit5(), 0.0, 10.0, None, "
                "jnp.ones(2), stepsize_controller=d.PIDController(rtol=1e-6, atol=1e-6)).ys.block_until_ready()"),
}
CLOCK = "import time; a = time.perf_counter(); {}; b = time.perf_counter(); {}; c = time.perf_counter(); print(b - a, c - b)"


def package(peer, case, **_):
    command = [sys.executable, "-c", CLOCK.format(*(part or "pass" for part in PEERS[peer]))]

    def call():
        said = subprocess.run(command, capture_output=True, text=True)
        if said.returncode:
            raise ImportError(said.stderr.strip().split("\n")[-1])
        return float(said.stdout.split()[case == "first solve"])
    return Work(call, timed=True)


for name, (_, solve) in PEERS.items():
    run(name, case=["import"] + ["first solve"]*bool(solve))(functools.partial(package, name))


C = """#include <nde.h>
static int f(double t, const double *y, const double *p, double *dy, void *ctx) {
    (void)t, (void)p, (void)ctx;
    dy[0] = y[0]*(1.5 - y[1]), dy[1] = y[1]*(y[0] - 3);
    return 0;
}
int main(void) {
    const nde_pointwise how = NDE_INIT(nde_pointwise, .f = f);
    const nde_field field = nde_field_pointwise(&how, 2, 0);
    const double y0[] = { 1, 1 };
    nde_solution s = { 0 };
    const nde_status status = nde_solve(&NDE_INIT(nde_problem, .drift = &field, .y0 = y0, .t1 = 10), NULL, &s);
    nde_solution_free(&s);
    return status != NDE_OK;
}
"""


@run("libnde", case=["exec to end, in C"])
def in_c(**_):
    import nde
    from nde._library import LIBRARY
    folder, root = Path(tempfile.mkdtemp()), Path(__file__).parents[3]
    library = Path(LIBRARY._name).parent
    (folder/"first.c").write_text(C)
    subprocess.run(["cc", "-O2", f"-I{root}/include", f"-I{library.parent}/include", folder/"first.c", f"-L{library}", f"-Wl,-rpath,{library}",
                    "-lnde", "-o", folder/"first"], check=True, capture_output=True)

    def call():
        start = time.perf_counter()
        subprocess.run([folder/"first"], check=True)
        return time.perf_counter() - start
    return Work(call, version=nde.__version__, timed=True)
