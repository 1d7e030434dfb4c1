# SPDX-License-Identifier: MIT
"""Lotka-Volterra fitted to the pelts of lynx and hare, 1900 to 1920, by gradients through the solve."""
import sys
from pathlib import Path

import numpy as np

import nde

file = Path(sys.argv[1]) if len(sys.argv) > 1 else Path(__file__).parents[1]/"data/lynx_hare.csv"
lines = [line for line in file.read_text().splitlines() if line[:1].isdigit()]
year, lynx, hare = np.loadtxt(lines, delimiter=",").T
data = np.log(np.stack([hare, lynx], axis=1)/30) # logarithms keep populations positive

rates = nde.program(lambda t, y, p: [p[0] - p[1]*np.exp(y[1]), p[2]*np.exp(y[0]) - p[3]], p=np.array([0.5, 0.8, 0.8, 0.8]))
fit = nde.fit(rates, year - year[0], data, optimiser=nde.Optimiser("adam", 0.02), iterations=500, rtol=1e-6)
sol = nde.solve(rates, data[0], year - year[0], rtol=1e-8)
print(fit)
print("rates", np.round(rates.p, 3), "root mean square error of the logarithms",
      np.round(np.sqrt(((sol.y - data)**2).mean()), 3))
