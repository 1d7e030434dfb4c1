# SPDX-License-Identifier: MIT
"""SciPy's solve_ivp with right-hand sides in Python: the same lines of CSV as driver.h. scipy_peer.py PROBLEM ..."""
import re
import sys
import time
from pathlib import Path

import numpy as np
from scipy.integrate import solve_ivp

HERE = Path(__file__).parent
NUMBER = r"-?\d+(?:\.\d+)?(?:e[-+]?\d+)?"
ENDS = [np.array([float(x) for x in re.findall(NUMBER, row)])
        for row in re.findall(r"\{([^{}]*)\}", (HERE / "reference.h").read_text().split("=", 1)[1])]
STARTS = re.findall(r'\{ "(\w+)", (\d+), ([\d.]+), \{([^{}]*)\} \}', (HERE / "problems.h").read_text())


def lorenz(t, y):
    return [10*(y[1] - y[0]), y[0]*(28 - y[2]) - y[1], y[0]*y[1] - 8/3*y[2]]


def pleiades(t, y, masses=np.arange(1.0, 8.0)):
    p = y[:14].reshape(2, 7)
    d = p[:, None, :] - p[:, :, None]
    r2 = (d*d).sum(axis=0) + np.eye(7)
    return np.concatenate([y[14:], (masses*d/(r2*np.sqrt(r2))).sum(axis=2).ravel()])


def arenstorf(t, y, mu=0.012277471):
    nu, r1, r2 = 1 - mu, (y[0] + mu)**2 + y[1]**2, (y[0] - 1 + mu)**2 + y[1]**2
    d1, d2 = r1**1.5, r2**1.5
    return [y[2], y[3], y[0] + 2*y[3] - nu*(y[0] + mu)/d1 - mu*(y[0] - nu)/d2, y[1] - 2*y[2] - nu*y[1]/d1 - mu*y[1]/d2]


def lotka_volterra(t, y):
    return [y[0]*(1.5 - y[1]), y[1]*(y[0] - 3)]


def three_body(t, y):
    p = y[:6].reshape(3, 2)
    d = p[None] - p[:, None]
    r2 = (d*d).sum(axis=2) + np.eye(3)
    return np.concatenate([y[6:], (d/(r2*np.sqrt(r2))[:, :, None]).sum(axis=1).ravel()])


for (name, dim, end, start), reference in zip(STARTS, ENDS):
    if name not in sys.argv[1:]:
        continue
    y0 = np.array([float(x) for x in start.split(",")])
    y0 = np.concatenate([y0, np.zeros(int(dim) - len(y0))])
    for method in "RK45", "DOP853", "LSODA":
        for digits in range(3, 13):
            begin = time.perf_counter()
            solution = solve_ivp(globals()[name], (0, float(end)), y0, method=method, rtol=10.0**-digits, atol=10.0**-digits)
            seconds = time.perf_counter() - begin
            error = np.linalg.norm(solution.y[:, -1] - reference)/np.linalg.norm(reference)
            if solution.success and error < 1:
                print(f"SciPy,{method},{name},1e-{digits},{solution.nfev},{error:.4g},{seconds:.4g}")
