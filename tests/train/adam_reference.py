# SPDX-License-Identifier: MIT
"""Prints the values that tests/train/adam.c compares with: algorithm 1 of D. Kingma, J. Ba (2015), written from the paper,
in 50 digits. Standard library only."""
from decimal import Decimal, getcontext

getcontext().prec = 50
D = Decimal


def adam(p, gradients, rate, beta1, beta2, epsilon, clip=None, decay=None, every=None):
    m, v = [D(0)]*len(p), [D(0)]*len(p)
    for t, g in enumerate(gradients, start=1):
        norm = sum(x*x for x in g).sqrt()
        if clip is not None and norm > clip:
            g = [x*clip/norm for x in g]
        m = [beta1*a + (1 - beta1)*x for a, x in zip(m, g)]
        v = [beta2*a + (1 - beta2)*x*x for a, x in zip(v, g)]
        alpha = rate if decay is None else rate*decay**(D(t - 1)/every)
        p = [a - alpha*(b/(1 - beta1**t))/((c/(1 - beta2**t)).sqrt() + epsilon) for a, b, c in zip(p, m, v)]
    return p


def show(name, p):
    print(name, ", ".join(f"{x:.20g}" for x in p))


START = [D("1"), D("-2"), D("0.5")]
GRADIENTS = [[D(n)/8 for n in row] for row in ([3, -4, 0], [-1, 2, 8], [16, 0, -5], [1, 1, 1], [-7, 3, 2])]
show("defaults", adam(START, GRADIENTS, D("0.001"), D("0.9"), D("0.999"), D("1e-8")))
show("own", adam(START, GRADIENTS, D("0.25"), D("0.75"), D("0.5"), D("0.125")))
show("clipped", adam(START, GRADIENTS, D("0.25"), D("0.75"), D("0.5"), D("0.125"), clip=D("0.5")))
show("decayed", adam(START, GRADIENTS, D("0.25"), D("0.75"), D("0.5"), D("0.125"), decay=D("0.5"), every=D(2)))
