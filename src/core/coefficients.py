# SPDX-License-Identifier: MIT
"""Prints the polynomials of src/core/vecmath.h. Needs mpmath.

Each is the best polynomial for its weighted error (Remez exchange in 60 digits on 600 Chebyshev points), its coefficients
rounded to the precision one after the other from the lowest, the rest fitted again after each. log2 of the error left,
relative to the function that the polynomial is part of, is printed beside.
"""
import re

from mpmath import mp, mpf

mp.dps = 60
GRID = 600


def error_of(c, f, weight, points):
    return [weight(x)*(f(x) - mp.polyval(c[::-1], x)) for x in points]


def best(f, weight, points, start, count):
    """The best polynomial of count coefficients that begins with start: of all those that the exchange meets."""
    known, free = len(start), count - len(start)
    left = [f(x) - (mp.polyval(start[::-1], x) if start else 0) for x in points]
    size = [weight(x) for x in points]
    chosen = [int((GRID - 1)*(i + 0.5)/(free + 1)) for i in range(free + 1)]
    found = []
    for _ in range(20):
        a = mp.matrix([[points[i]**(known + j)*size[i] for j in range(free)] + [(-1)**row] for row, i in enumerate(chosen)])
        try:
            solved = mp.lu_solve(a, mp.matrix([left[i]*size[i] for i in chosen]))
        except ZeroDivisionError:
            break
        c = [solved[j] for j in range(free)]
        error = [s*(w - x**known*mp.polyval(c[::-1], x)) for s, w, x in zip(size, left, points)]
        found.append((max(map(abs, error)), c))
        extrema = [] # the largest of each run of one sign
        for i, e in enumerate(error):
            if not extrema or (e > 0) != (error[extrema[-1]] > 0):
                extrema.append(i)
            elif abs(e) > abs(error[extrema[-1]]):
                extrema[-1] = i
        while len(extrema) > free + 1:
            extrema.pop(0 if abs(error[extrema[0]]) < abs(error[extrema[-1]]) else -1)
        if len(extrema) <= free or found[-1][0] < abs(solved[free])*mpf("1.001"):
            break
        chosen = extrema
    return start + min(found)[1]


def rounded(x, bits):
    m, e = mp.frexp(x)
    return mp.ldexp(mp.nint(mp.ldexp(m, bits)), e - bits)


def show(name, f, weight, low, high, double, single):
    for bits, count, text in (53, double, ""), (24, single, "f"):
        if not count:
            continue
        points = [(mpf(low) + high)/2 - (mpf(high) - low)/2*mp.cos(mp.pi*(i + mpf(1)/2)/GRID) for i in range(GRID)]
        c, worst = [], mp.inf
        for done in range(count):
            again = best(f, weight, points, c[:done], count)
            if done == 0 or max(map(abs, error_of(again, f, weight, points))) < worst:
                c = again
            c[done] = rounded(c[done], bits)
            worst = max(map(abs, error_of(c, f, weight, points)))
        print(f"{name}{text}: {count}, 2^{float(mp.log(worst, 2)):.1f}")
        print("    " + ", ".join(re.sub(r"\.?0*p", "p", float(v).hex()) + text for v in c))


def scaled_erfc(y):
    """exp(y^2) erfc(y)"""
    return mp.exp(y*y)*mp.erfc(y)


HALF_LN2 = mp.log(2)/2*mpf("1.001")
# exp(r) - 1 = r + r^2 q(r), relative to r
show("exp", lambda r: (mp.expm1(r) - r)/r**2, abs, -HALF_LN2, HALF_LN2, 10, 5)
# tanh(r) = r + r^3 c(w), w = r^2, |r| <= ln 2/2 - 1/6 = 0.1799
show("tanh", lambda w: (mp.tanh(mp.sqrt(w))/mp.sqrt(w) - 1)/w, lambda w: w, 0, mpf("0.1801")**2, 6, 3)
# 2 artanh(s) = 2 s + s^3 a(w), w = s^2, s <= 1/3, relative to 2 s
show("artanh", lambda w: (2*mp.atanh(mp.sqrt(w))/mp.sqrt(w) - 2)/w, lambda w: w/2, 0, mpf(1)/9, 10, 5)
# sin(r) = r + r^3 a(w) and cos(r) = 1 - w/2 + w^2 b(w), |r| <= pi/4
PI4 = (mp.pi/4*mpf("1.001"))**2
show("sin", lambda w: (mp.sin(mp.sqrt(w))/mp.sqrt(w) - 1)/w, lambda w: w, 0, PI4, 6, 4)
show("cos", lambda w: (mp.cos(mp.sqrt(w)) - 1 + w/2)/w**2, lambda w: w*w, 0, PI4, 6, 4)
# erf(x) = x + x a(w), w = x^2, x <= 1
show("erf", lambda w: mp.erf(mp.sqrt(w))/mp.sqrt(w) - 1, lambda w: 1/(1 + (mp.erf(mp.sqrt(w))/mp.sqrt(w) - 1)), 0, 1, 13, 8)
# exp(y^2) erfc(y) (y + K) = g(t), t = (y - K)/(y + K). Source of the form: M. Shepherd, J. Laframboise (1981)
K = mpf(15)/4


def tail(t):
    y = K*(1 + t)/(1 - t)
    return scaled_erfc(y)*(y + K)


show("erfc double", tail, lambda t: 1/tail(t), -1, (28 - K)/(28 + K), 23, 0)
show("erfc float", tail, lambda t: 1/tail(t), -1, (11 - K)/(11 + K), 0, 11)
