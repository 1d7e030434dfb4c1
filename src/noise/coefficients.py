# SPDX-License-Identifier: MIT
"""Prints the polynomials of src/noise/normal.h. Standard library only.

Each is the interpolant of a power series in z at the Chebyshev nodes of [0, top], in 60 digits: within a factor of two of
the best polynomial of its degree. The relative error of the function that it stands for is printed beside.
"""
from decimal import Decimal, getcontext
import math

getcontext().prec = 60
PI = Decimal("3.14159265358979323846264338327950288419716939937510582097494459")


def series(term, z):
    total, j = Decimal(0), 0
    while True:
        t = term(j)*z**j
        total += t
        if abs(t) < Decimal(10)**-55 and j > 3:
            return total
        j += 1


def interpolate(f, top, count):
    """Coefficients of z^0 ... z^(count - 1), by Newton's divided differences."""
    x = [top/2*(1 + Decimal(math.cos(math.pi*(2*i + 1)/(2*count)))) for i in range(count)]
    d = [f(v) for v in x]
    for j in range(1, count):
        for i in range(count - 1, j - 1, -1):
            d[i] = (d[i] - d[i - 1])/(x[i] - x[i - j])
    c = [Decimal(0)]*count
    for i in range(count - 1, -1, -1):
        c = [d[i] - x[i]*c[0]] + [c[k - 1] - x[i]*c[k] for k in range(1, count)]
    return c


def show(name, term, top, count, whole):
    c = interpolate(lambda z: series(term, z), top, count)
    worst = Decimal(0)
    for i in range(1, 400):
        z = top*i/400
        worst = max(worst, abs(sum(a*z**j for j, a in enumerate(c)) - series(term, z))*whole(z))
    print(f"{name}: relative error {float(worst):.1e}")
    for a in c:
        print("   ", float(a).hex(), f"{float(a):.17g}")


# 2 atanh(s)/s = 2 + z L(z), z = s^2, s = (m - 1)/(m + 1), |s| <= (sqrt 2 - 1)/(sqrt 2 + 1)
S2 = ((Decimal(2).sqrt() - 1)/(Decimal(2).sqrt() + 1))**2
show("log", lambda j: Decimal(2)/(2*j + 3), S2, 7, lambda z: z/2)
# sin(2 pi f) = f S(z) and cos(2 pi f) = 1 + z C(z), z = f^2, |f| <= 1/8. S begins with 2 pi, which is split off
F2 = Decimal(1)/64
show("sin", lambda j: (-1)**(j + 1)*(2*PI)**(2*j + 3)/math.factorial(2*j + 3), F2, 6, lambda z: z/(2*PI))
show("cos", lambda j: (-1)**(j + 1)*(2*PI)**(2*j + 2)/math.factorial(2*j + 2), F2, 7, lambda z: z)
