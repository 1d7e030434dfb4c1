# SPDX-License-Identifier: MIT
"""Two solitons are where theory has them, and so are the derivatives of their place. kdv.py KDV"""
import math
import re
import sys
import tempfile
from pathlib import Path

from support import NUMBER, Picture, check, finish, refuses, run

kdv = Path(sys.argv[1]).resolve()
NAMES = ["integral", "derivative by a shift of the start", "derivative by the end's time", "derivative by a and b, as time goes by"]


def integral(t):
    """Of the two solitons apart, each of them displaced by the other, times sin(pi x/20)."""
    total = 0
    for k, sign in ((2.4, 1), (1.6, -1)):
        middle = k*k*t + sign*math.log(5)/k
        total += sum(k*k/2/math.cosh(k/2*(x/10 - middle))**2*math.sin(math.pi*x/200)/10 for x in range(-400, 400))
    return total


with tempfile.TemporaryDirectory() as folder:
    file = Path(folder, "kdv.svg")
    done = run(kdv, file)
    check(done.returncode == 0 and not done.stderr, f"exit {done.returncode} {done.stderr}")
    check(float(re.search(rf"at 21 times: {NUMBER}", done.stdout)[1]) < 1e-6, done.stdout)
    rows = {name: [float(x) for x in numbers] for name, *numbers in re.findall(
        rf"^([a-z][\w', ]*\w) +{NUMBER} +{NUMBER} +{NUMBER}$", done.stdout, re.M)}
    check(list(rows) == NAMES, done.stdout)
    for name, (found, known, error) in rows.items():
        check(abs(found - known) < 1e-6 and error < 1e-6 and abs(known) > 0.1, f"{name}: {found}, {known}, {error}")
    check(abs(rows["integral"][1] - integral(2)) < 1e-3, f"{rows['integral']}, apart {integral(2)}")
    slope = (integral(2.001) - integral(1.999))/0.002
    check(abs(rows[NAMES[2]][1] - slope) < 1e-3, f"{rows[NAMES[2]]}, apart {slope}")
    picture = Picture(file)
    check(picture.texts["label"] == ["x", "t + u/15"] and picture.lines == [256]*21, f"{picture.texts}, {picture.lines}")
    refuses(run(kdv, Path(folder, "none", "x.svg")), "cannot write", "kdv without its folder")
    refuses(run(kdv, "--what"), "usage", "kdv --what")
    refuses(run(kdv, file, file), "usage", "kdv with two files")
finish()
