# SPDX-License-Identifier: MIT
"""What implicit layers learn is what their examples promise, and drawn. layers.py DEQ EMULATOR"""
import re
import sys
from pathlib import Path

from support import NUMBER, check, finish, study


def digits(deq):
    """It learns, and every iteration gets to the equilibrium in its time."""
    text = study(deq, 1, labels=["epoch", "share", "iteration", "residual"], lines=[31] + [25]*4, wrong=[["0"], ["one"]])
    before, _, after, loss = map(float, re.search(
        rf"before: {NUMBER} % read right, loss {NUMBER}; after 30 epochs: {NUMBER} %, loss {NUMBER}", text).groups())
    check(before < 30 and after > 88 and loss < 0.5, f"deq: {before} % before, {after} % after, loss {loss}")
    rows = {name.strip(): [float(x) for x in rest] for name, *rest in
            re.findall(rf"^residual.*: ([A-Za-z ]+?) +{NUMBER} {NUMBER} {NUMBER}$", text, re.M)}
    check(len(rows) == 4, f"deq: {text}")
    for name, (few, more, most) in rows.items():
        check(most <= more <= few, f"deq: residuals of {name}: {few}, {more}, {most}")
    check(rows["plain iteration"][1] > 1e3*max(rows["Anderson"][1], rows["Broyden"][1]), f"deq: {rows}")
    check(rows["Newton"][0] < 1e-12, f"deq: {rows}")


def steps(emulator):
    """Both fit one step; over sixty of them one blows up."""
    text = study(emulator, labels=["step", "size"], lines=[61]*3, wrong=[])
    rows = {name: [float(x) for x in rest] for name, *rest in
            re.findall(rf"^(explicit|implicit|exact) .*?{NUMBER} +{NUMBER}$", text, re.M)}
    left = {name: float(x) for name, x in re.findall(rf"^(explicit|implicit) +{NUMBER} ", text, re.M)}
    check(max(left.values()) < 0.02, f"emulator: {left} left over")
    (_, exact), (_, blown), (_, kept) = rows["exact"], rows["explicit"], rows["implicit"]
    check(blown > 1e10 and abs(kept/exact - 1) < 0.2, f"emulator: after 60 steps {rows}")


digits(Path(sys.argv[1]).resolve())
steps(Path(sys.argv[2]).resolve())
finish()
