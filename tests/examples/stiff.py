# SPDX-License-Identifier: MIT
"""What is stiff is solved, learned and fitted as its examples promise. stiff.py HIRES STIFF_NEURAL BATTERY_THERMAL RODS"""
import re
import sys
from pathlib import Path

from support import NUMBER, check, finish, study


def reactions(hires):
    """Every method comes to the published end; of order 2 as the power 2/3 of the tolerance."""
    names = []
    text = study(hires, labels=["largest relative error", "microseconds"], lines=lambda lines: set(lines) == {7},
                 wrong=[["-x"]])
    for name, *numbers in re.findall(rf"^(\w+) +{NUMBER} +(\d+) +(\d+) +{NUMBER} +{NUMBER}$", text, re.M):
        rtol, steps, jacobians, time, error = map(float, numbers)
        names.append(name)
        check(error < max(1000*rtol, 10*rtol**(2/3)), f"hires: {name} at {rtol} is {error} off")
        check(time > 0 and jacobians > 0, f"hires: {name}: {time} us, {jacobians} Jacobians")
        check(not name.startswith("ro") or jacobians >= steps, f"hires: {name}: {steps} steps, {jacobians} Jacobians")
    check({"rosenbrock23", "rodas4", "rodas5p"} <= set(names), f"hires: {text}")
    check(all(names.count(name) == 7 for name in names), f"hires: {text}")


def network(stiff_neural):
    """40 iterations leave less than 0.01 of the largest amounts; both ways to the gradient agree to rounding."""
    text = study(stiff_neural, 40, 1, labels=["time", "share of the largest amount"], lines=[50]*3,
                 wrong=[["0"], ["many"], ["1", "0"], ["1", "one"]])
    before, after = map(float, re.search(rf"solves: {NUMBER} off before, {NUMBER} after", text).groups())
    check(before > 0.3 and after < 0.01, f"stiff_neural: {before} off, {after} after 40 iterations")
    apart = float(re.search(rf"sensitivities: {NUMBER} apart", text)[1])
    check(apart < 1e-11, f"stiff_neural: gradients are {apart} apart")


def battery(battery_thermal):
    """The truth is within four standard errors of what is found, which are a few per cent; what is left is noise."""
    for seed in (1, 2):
        text = study(battery_thermal, seed, labels=["seconds", "voltage, V", "seconds", "warmer by, K"], lines=[361]*4,
                     wrong=[["0"], ["one"]])
        left = float(re.search(rf"then {NUMBER}", text)[1])
        check(0.8 < left < 1.2, f"battery_thermal: chi-square {left} per degree of freedom")
        rows = re.findall(rf"^(\w[^,]*, \S+) +{NUMBER} +{NUMBER} +{NUMBER} +{NUMBER}$", text, re.M)
        check(len(rows) == 6, f"battery_thermal: {text}")
        for name, *numbers in rows:
            start, truth, found, error = map(float, numbers)
            check(abs(found - truth) < 4*error < 0.08*truth, f"battery_thermal: {name} is {found} +- {error}, not {truth}")
            check(abs(start - truth) > 10*error, f"battery_thermal: {name} starts at {start}")


def rod(reaction_diffusion):
    """Whatever the method, one end, and one gradient."""
    text = study(reaction_diffusion, labels=["x", "t", "x", "slope"], lines=[100], wrong=[["-x"]])
    rows = {row[0]: [float(x) for x in row[1:]] for row in
            re.findall(rf"^(\w+) +(\d+) +{NUMBER} +{NUMBER} +{NUMBER}$", text, re.M)}
    check(set(rows) == {"rodas5p", "dense", "kvaerno5", "rkc2", "tsit5", "exponential"}, f"reaction_diffusion: {text}")
    for name, (_, _, error, of_gradient) in rows.items():
        most = 30 if name == "rkc2" else 1 # its tolerance is 1e-5
        check(error < most*1e-5 and of_gradient < most*1e-4, f"reaction_diffusion: {name} is {error}, {of_gradient} off")
    check(rows["dense"][0] == rows["rodas5p"][0], f"reaction_diffusion: a band and a dense matrix differ: {text}")


for example, program in zip((reactions, network, battery, rod), sys.argv[1:], strict=True):
    example(Path(program).resolve())
finish()
