# SPDX-License-Identifier: MIT
"""What networks within programs learn is what their examples promise, and drawn. networks.py HNN LNN UDE UDE_HARES CNF"""
import re
import sys
from pathlib import Path

from support import NUMBER, check, finish, study


def bodies(hnn):
    """Networks that fit noisy data about as well as it can be; the Hamiltonian one keeps the energy ten times as well."""
    text = study(hnn, 1, labels=["q", "p", "time", "H", "q1", "q2", "time", "H"], lines=[1001]*12, wrong=[["0"], ["one"]])
    rows = {(row[0], row[1]): [float(x) for x in row[2:]] for row in
            re.findall(rf"^(\w+) +(plain|Hamiltonian) +(\d+) +{NUMBER} +{NUMBER} +{NUMBER}$", text, re.M)}
    for body, noise, most in (("pendulum", 0.1, 1.1), ("planet", 0.01, 8)):
        (more, loss, *plain), (less, least, *kept) = rows[body, "plain"], rows[body, "Hamiltonian"]
        check(0.9*more < less < more, f"hnn: {less} parameters, {more} of the plain network")
        check(least < most*noise**2/2 and loss < 4*most*noise**2/2, f"hnn: {body}: losses {loss}, {least} at a noise of {noise}")
        check(kept[0] < 0.1*plain[0] and plain[0] > 0.1, f"hnn: {body}: the energy is {kept} off, {plain} with the plain network")


def double_pendulum(lnn):
    text = study(lnn, 1, labels=["time", "q2", "time", "E"], lines=[150]*3 + [1001]*3, wrong=[["0"], ["one"]])
    rows = {row[0]: [float(x) for x in row[1:]] for row in
            re.findall(rf"^double pendulum +(plain|Lagrangian) +(\d+) +{NUMBER} +{NUMBER} +{NUMBER}$", text, re.M)}
    (more, loss, off, _), (less, least, kept, _) = rows["plain"], rows["Lagrangian"]
    check(0.9*more < less < more, f"lnn: {less} parameters, {more} of the plain network")
    check(least < 6*0.01**2/2 and loss < 20*0.01**2/2, f"lnn: losses {loss}, {least} at a noise of 0.01")
    check(kept < 0.5*off and kept < 0.1, f"lnn: the energy is {kept} off, {off} with the plain network")


def interactions(ude):
    """Found again within 5 % wherever data are."""
    text = study(ude, 1, labels=["x", "y", "x y", "of the network"], lines=[181]*6, wrong=[["0"], ["one"]])
    noise, left = map(float, re.search(rf"noise of {NUMBER}: {NUMBER} off", text).groups())
    places, off, most = map(float, re.search(rf"at (\d+) places: {NUMBER} off \(RMS\), {NUMBER} at most", text).groups())
    check(0.5*noise < left < 1.3*noise, f"ude: the data are {left} off, their noise is {noise}")
    check(places > 500 and off < 0.05 and most < 0.1, f"ude: interactions are {off} off, {most} at most, at {places} places")


def hares(ude_hares):
    """A network is more flexible than the equations, and foretells what is not far worse."""
    text = study(ude_hares, 1, labels=["year", "log"]*2, lines=[181]*4, wrong=[["0"], ["one"]])
    rows = {row[0]: [float(x) for x in row[1:]] for row in
            re.findall(rf"^(Lotka-Volterra|hybrid) +(\d+) +{NUMBER} +{NUMBER}$", text, re.M)}
    (few, known, _), (_, hybrid, ahead) = rows["Lotka-Volterra"], rows["hybrid"]
    check(few == 4 and hybrid < known < 0.2 and ahead < 0.6, f"ude_hares: {rows}")


def flows(cnf):
    """They come nearer to the truth, and not past it, from the normal density that they begin near."""
    text = study(cnf, 60, 1, labels=["x", "y"]*6, lines=[], wrong=[["0"], ["many"], ["10", "0"], ["10", "21"]])
    rows = re.findall(rf"^(two moons|checkerboard) +(exact|probe, RNODE) +1 +{NUMBER} +{NUMBER} +{NUMBER}$", text, re.M)
    check(len(rows) == 4, f"cnf: {text}")
    for name, trace, likelihood, behind, evaluations in rows:
        check(-1.1 < float(behind) < -0.05, f"cnf: {name}, {trace}: {likelihood}, {behind} of the truth")
        check(6 < float(evaluations) < 60, f"cnf: {name}, {trace}: {evaluations} evaluations")


for example, program in zip((bodies, double_pendulum, interactions, hares, flows), sys.argv[1:], strict=True):
    example(Path(program).resolve())
finish()
