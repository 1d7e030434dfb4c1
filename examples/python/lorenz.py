# SPDX-License-Identifier: MIT
"""A thousand pairs of trajectories of the Lorenz system, each 1e-8 apart at first, and how fast they part (E. N. Lorenz,
J. Atmos. Sci. 20, 1963)."""
import numpy as np

import nde


@nde.program
def lorenz(t, y, p):
    x, y, z = y
    return [p[0]*(y - x), x*(p[1] - z) - y, x*y - p[2]*z]


start = [1, 1, 20] + np.random.default_rng(0).normal(size=(1000, 3))
t = np.linspace(0, 16, 17)
sol = nde.solve(lorenz, np.concatenate([start, start + [1e-8, 0, 0]]), t, p=[10, 28, 8/3], rtol=1e-10, method="vern7")
apart = np.log(np.linalg.norm(sol.y[:, 1000:] - sol.y[:, :1000], axis=2)).mean(axis=1)
print(f"{sol.stats.accepted.sum()} steps; Lyapunov exponent about {(apart[16] - apart[4])/12:.2f} (0.906 over long times)")
