# SPDX-License-Identifier: MIT
"""Examples run, draw what they say, and refuse what they cannot do. pictures.py PROGRAM..."""
import sys
import tempfile
from pathlib import Path

from support import Picture, check, finish, refuses, run

expected = { # before: arguments before the picture's name
    "lorenz": {"labels": ["x", "z", "time", "x"], "lines": [6001]*3},
    "kepler": {"labels": ["q1", "q2", "period", "|E/E0 - 1|"], "lines": [101]*3 + [400]*2},
    "three_body": {"labels": ["x", "y"]*2, "lines": [667]*3 + [2001]},
    "pleiades": {"labels": ["x", "y", "error of the places at t = 3", "evaluations"], "lines": [1501]*7 + [5]*6},
    "chaos": {"before": ["40"], "labels": [None]*40, "lines": [4801]*20},
    "spiral": {"labels": ["y1", "y2", "error of the gradient", "microseconds"], "lines": [1001]*2 + [7]*7},
    "neural_lorenz": {"before": ["--quick"], "labels": ["time", "x/20"], "lines": [160]*5, "ticks": 8},
    "pinn_heat": {"before": ["1"], "labels": ["x", "u", "iteration", "mean square of the residuals"], "lines": [399]*4 + [150]},
    "ensemble": {"before": ["500", "2"], "labels": ["rho", "x", "rho", "z"], "lines": []},
    "regularised": {"before": ["1"], "labels": ["iteration", "evaluations of a prediction"] + ["x", "y"]*2, "count": 7 + 2*194},
}
with tempfile.TemporaryDirectory() as scratch:
    for program in map(Path, sys.argv[1:]):
        file, name = Path(scratch, program.name + ".svg"), program.name
        program = [program, *expected[name].get("before", [])]
        done = run(*program, file)
        check(done.returncode == 0 and not done.stderr, f"{name}: exit {done.returncode} {done.stderr}")
        check(str(file) in done.stdout, f"{name} does not say where its picture is")
        picture = Picture(file)
        check(picture.texts["label"] == expected[name]["labels"], f"{name}: labels {picture.texts['label']}")
        if "lines" in expected[name]:
            check(picture.lines == expected[name]["lines"], f"{name}: lines of {picture.lines} points")
        else: # that vary with the last digits
            check(len(picture.lines) == expected[name]["count"], f"{name}: {len(picture.lines)} lines")
        check(len(picture.texts["tick"]) >= expected[name].get("ticks", 16), f"{name}: {len(picture.texts['tick'])} ticks")

        refuses(run(*program, Path(scratch, "none", "x.svg")), "cannot write", f"{name} without its folder")
        refuses(run(program[0], "--what"), "usage", f"{name} --what")
        refuses(run(*program, file, file), "usage", f"{name} with two files")
finish()
