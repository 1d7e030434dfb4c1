# SPDX-License-Identifier: MIT
"""A planet on an ellipse (e = 0.6) for 400 periods: a symplectic method keeps its energy, dopri5 loses it."""
import numpy as np

import nde


@nde.program
def kepler(t, y):
    q, v = y[:2], y[2:]
    return np.concatenate([v, -q/np.sum(q*q)**1.5])


def energy(y):
    return 0.5*(y[:, 2]**2 + y[:, 3]**2) - 1/np.hypot(y[:, 0], y[:, 1])


e, period = 0.6, 2*np.pi
y0, t = [1 - e, 0, 0, np.sqrt((1 + e)/(1 - e))], period*np.arange(401)
verlet = nde.solve(kepler, y0, t, method="velocity_verlet", split=2, steps=200*400)
dopri5 = nde.solve(kepler, y0, t, method="dopri5", rtol=1e-5, atol=1e-7)
for name, sol in {"velocity_verlet": verlet, "dopri5": dopri5}.items():
    error = abs(energy(sol.y)/energy(sol.y[:1]) - 1)
    print(f"{name:16} {sol.stats.evals:6} evaluations, energy error {error[1]:.1e} after 1 period, {error[-1]:.1e} after 400")
