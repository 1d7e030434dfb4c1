# SPDX-License-Identifier: MIT
"""lorenz and kepler run, draw what they say, and refuse what they cannot do. pictures.py LORENZ KEPLER"""
import sys
import tempfile
from pathlib import Path

from support import Picture, check, finish, refuses, run

expected = {
    "lorenz": {"labels": ["x", "z", "time", "x"], "lines": [6001, 6001, 6001]},
    "kepler": {"labels": ["q1", "q2", "period", "|E/E0 - 1|"], "lines": [101, 101, 101, 400, 400]},
}
with tempfile.TemporaryDirectory() as scratch:
    for program in map(Path, sys.argv[1:]):
        file, name = Path(scratch, program.name + ".svg"), program.name
        done = run(program, file)
        check(done.returncode == 0 and not done.stderr, f"{name}: exit {done.returncode} {done.stderr}")
        check(str(file) in done.stdout, f"{name} does not say where its picture is")
        picture = Picture(file)
        check(picture.texts["label"] == expected[name]["labels"], f"{name}: labels {picture.texts['label']}")
        check(picture.lines == expected[name]["lines"], f"{name}: lines of {picture.lines} points")
        check(len(picture.texts["tick"]) >= 16, f"{name}: {len(picture.texts['tick'])} ticks")

        refuses(run(program, Path(scratch, "none", "x.svg")), "cannot write", f"{name} without its folder")
        refuses(run(program, "--what"), "usage", f"{name} --what")
        refuses(run(program, file, file), "usage", f"{name} with two files")
finish()
