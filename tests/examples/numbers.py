# SPDX-License-Identifier: MIT
"""What examples report is true: exponents, references, periods, and the same picture for any number of threads.
numbers.py CHAOS PLEIADES THREE_BODY ENSEMBLE REGULARISED SPIRAL NEURAL_LORENZ EQUATION PINN_HEAT OU GBM_OPTION"""
import math
import re
import sys
import tempfile
from pathlib import Path

from support import NUMBER, Picture, check, finish, refuses, run

(chaos, pleiades, three_body, ensemble, regularised, spiral, neural_lorenz,
 equation, pinn_heat, ou, gbm_option) = (Path(program).resolve() for program in sys.argv[1:])


def report(program, *arguments, cwd):
    done = run(program, *arguments, cwd=cwd)
    check(done.returncode == 0 and not done.stderr, f"{program.name}: exit {done.returncode} {done.stderr}")
    return done.stdout


def exponents(scratch):
    """Within five standard errors and 2 % of what is published."""
    lines = re.findall(rf"^(\w+) +{NUMBER} \+- {NUMBER} *{NUMBER}?$", report(chaos, 1000, cwd=scratch), re.M)
    check(len(lines) == 20, f"chaos: {len(lines)} systems")
    for name, exponent, error, published in lines:
        exponent, error = float(exponent), float(error)
        check(exponent > 0 and 0 < error < 0.5*exponent, f"{name}: {exponent} +- {error}")
        if published:
            far = abs(exponent - float(published))
            check(far < 5*error + 0.02*exponent, f"{name}: {exponent} +- {error}, published {published}")
    well_known = {name for name, _, _, published in lines if published}
    check({"lorenz", "roessler", "chua", "chen", "duffing", "van_der_pol"} <= well_known, f"published: {well_known}")
    for wrong in ("39", "1e3", "", "999999999999"):
        refuses(run(chaos, wrong, cwd=scratch), "usage", f"chaos {wrong!r}")


def stars(scratch):
    text = report(pleiades, cwd=scratch)
    reference = float(re.search(rf"1e-13: {NUMBER} from", text)[1])
    check(reference < 1e-10, f"pleiades: the reference is {reference} off")
    rows = re.findall(rf"^(\w+) +{NUMBER} +(\d+) +{NUMBER}$", text, re.M)
    check(len(rows) == 30, f"pleiades: {len(rows)} rows")
    for before, after in zip(rows, rows[1:]):
        if before[0] == after[0]:
            check(int(after[2]) > int(before[2]), f"pleiades: {after} is not dearer than {before}")
            check(float(after[3]) < 0.3*float(before[3]), f"pleiades: {after} is not better than {before}")
    for name, tolerance, _, error in rows:
        check(float(error) < max(1e4*float(tolerance), 1e-10), f"pleiades: {name} at {tolerance} is {error} off")


def bodies(scratch):
    text = report(three_body, cwd=scratch)
    once, many, energy = map(float, re.search(rf"eight: {NUMBER} from .*?, {NUMBER} after .* error {NUMBER}", text).groups())
    check(once < 1e-6 and many < 1e-4 and energy < 1e-11, f"three_body: {once}, {many}, {energy}")
    times = [float(t) for t in re.findall(rf"closest at t = {NUMBER}, 0.690527 apart", text)]
    off = [abs(t - (2*k + 1)*6.32591398/12) for k, t in enumerate(times)] # by symmetry
    check(len(off) == 6 and max(off) < 1e-7, f"three_body: closest at {times}")
    closed = float(re.search(rf"orbit: {NUMBER} from", text)[1])
    check(closed < 1e-8, f"three_body: the orbit misses its start by {closed}")


def adjoints(scratch):
    """Every adjoint converges to the gradient; less memory is what checkpoints and the way back without a record are for."""
    rows = re.findall(rf"^(\w[\w, ]*\w) +{NUMBER} +{NUMBER} +(\d+) +(\d+)$", report(spiral, cwd=scratch), re.M)
    ways = {name: [row for row in rows if row[0] == name] for name in dict.fromkeys(row[0] for row in rows)}
    check(len(ways) >= 7, f"spiral: {list(ways)}")
    for name, these in ways.items():
        errors = [float(row[2]) for row in these]
        check(len(these) == 7 and errors[-1] < 1e-6 and errors[-1] < 1e-4*errors[0], f"spiral: {name}: {errors}")
    more = {name: int(these[-1][4]) - int(these[0][4]) for name, these in ways.items()} # bytes, of the finest tolerance
    for name in ("reversible", "backsolve", "discrete, checkpoints"):
        check(more[name] < 0.2*more["discrete"], f"spiral: {name} grows by {more[name]} bytes, all that is recorded by {more['discrete']}")


def forecasts(scratch):
    text = report(neural_lorenz, "--quick", cwd=scratch)
    rows = re.findall(rf"^(\w+, [\w ]*\w) +{NUMBER} +{NUMBER}$", text, re.M)
    check(len(rows) == 4, f"neural_lorenz: {text}")
    for name, evaluations, holds in rows:
        check(float(evaluations) >= 4 and 0.05 < float(holds) < 10, f"neural_lorenz: {name}: {evaluations}, {holds}")


def trajectories(scratch):
    for threads in (1, 2):
        text = report(ensemble, 20000, threads, f"{threads}.svg", cwd=scratch)
        busy = float(re.search(rf"busy {NUMBER} %", text)[1])
        check(busy > 90, f"ensemble: lanes busy {busy} %")
    check(Path(scratch, "1.svg").read_bytes() == Path(scratch, "2.svg").read_bytes(), "ensemble: threads change the picture")
    for wrong in (["0"], ["-5"], ["ten"], ["10", "0"], ["10", "many"]):
        refuses(run(ensemble, *wrong, cwd=scratch), "usage", f"ensemble {wrong}")


def regularisers(scratch):
    """At one loss, predictions take fewer evaluations with every regulariser but random ends."""
    text = report(regularised, 1, "regularised.svg", cwd=scratch)
    rows = {row[0].strip(): [float(x) for x in row[1:]] for row in re.findall(
        rf"^(\w[\w ]*?) +(\d+) +{NUMBER} +{NUMBER} +{NUMBER} +{NUMBER}$", text, re.M)}
    check(len(rows) == 7 and rows["none"][3] == 1, f"regularised: {rows}")
    for name, (iterations, loss, evaluations, share, _) in rows.items():
        check(loss <= 0.01 and iterations < 1500, f"regularised: {name} comes to a loss of {loss}")
        check(abs(share - evaluations/rows["none"][2]) < 2e-3, f"regularised: {name} {evaluations} are not {share}")
        check(share < 0.85 or name in ("none", "STEER"), f"regularised: {name} leaves {share} of the evaluations")
    for wrong in (["0"], ["21"], ["one"], ["1", "a.svg", "b"]):
        refuses(run(regularised, *wrong, cwd=scratch), "usage", f"regularised {wrong}")


def heat(scratch):
    """The method of lines is as exact as its distance lets it be, the network as residuals at points and Levenberg-Marquardt do."""
    for seed in (1, 2):
        text = report(pinn_heat, seed, cwd=scratch)
        rows = {name: float(largest) for name, largest in re.findall(rf"^(\w[\w ]* - [\w ]*\w) +{NUMBER} +[-+.\de]+$", text, re.M)}
        check(len(rows) == 3, f"pinn_heat: {text}")
        lines, network, both = rows.values()
        check(1e-6 < lines < 2e-5, f"pinn_heat: the method of lines is {lines} off")
        check(network < 2e-3 and both < 2e-3 and both < network + lines, f"pinn_heat: the network is {network} off, {both} from the lines")
    for wrong in (["0"], ["one"], ["1", "a.svg", "b"]):
        refuses(run(pinn_heat, *wrong, cwd=scratch), "usage", f"pinn_heat {wrong}")


def equations(scratch):
    """A pendulum of small swings and its derivatives; the derivatives of Lorenz by differences; errors name their place."""
    def table(*arguments):
        rows = re.findall(r"^ *(\w+)\( *\S+\) = +(.*)$", report(equation, *arguments, cwd=scratch), re.M)
        return {name: [float(x) for x in numbers.split()] for name, numbers in rows}

    swing, t, k = table("state x, v; param k; dx = v; dv = -k*x", 2, "x=1", "k=2.25"), 2, 1.5
    expected = [math.cos(k*t), math.cos(k*t), -t*math.sin(k*t)/(2*k)]
    check(max(abs(a - b) for a, b in zip(swing["x"], expected)) < 1e-6, f"equation: {swing} is not {expected}")
    text = "state x, y, z; param r; dx = 10*(y - x); dy = x*(r - z) - y; dz = x*y - 8*z/3"
    middle, low, high = (table(text, 1, "x=1", "y=1", "z=1", f"r={r}") for r in (28, 28 - 1e-4, 28 + 1e-4))
    for name, (_, *derivatives) in middle.items():
        difference = (high[name][0] - low[name][0])/2e-4
        check(len(middle) == 3 and abs(derivatives[3] - difference) < 1e-5, f"equation: d{name}/dr {derivatives[3]}, {difference}")
    for wrong, words in ((["dx = 1", 1], "line 1"), (["state x; dx = sn(x)", 1, "x=1"], "sn"), (["state x; dx = x", "one"], "usage"),
                         (["state x; dx = x", 1, "y=1"], "'y'"), (["state x; dx = x", 1, "x"], "NAME=VALUE")):
        refuses(run(equation, *wrong, cwd=scratch), words, f"equation {wrong}")


def moments(scratch):
    """Means and variances within four standard errors of theory, counts within those of a binomial; bands and paths in the picture."""
    text = report(ou, 20000, "ou.svg", cwd=scratch)
    rows = [[float(x) for x in row] for row in re.findall(rf"^ *{NUMBER} +{NUMBER} {NUMBER} {NUMBER} +{NUMBER} {NUMBER} {NUMBER}$", text, re.M)]
    check(len(rows) == 4, f"ou: {text}")
    for t, mean, mean_theory, mean_error, variance, variance_theory, variance_error in rows:
        check(abs(mean - mean_theory) < 4*mean_error and mean_error < 0.004, f"ou: at {t} the mean is {mean}, not {mean_theory}")
        check(abs(variance - variance_theory) < 4*variance_error, f"ou: at {t} the variance is {variance}, not {variance_theory}")
    bins = [[float(x) for x in row] for row in re.findall(rf"^ ?{NUMBER} +(\d+) +{NUMBER}$", text, re.M)]
    check(len(bins) == 7, f"ou: {len(bins)} bins")
    for edge, below, expected in bins:
        check(abs(below - expected) < 4*math.sqrt(expected*(1 - expected/20000)), f"ou: {below} are below {edge}, not {expected}")
    picture = Picture(Path(scratch, "ou.svg"))
    check(picture.bands == 2 and picture.lines == [81]*6, f"ou: {picture.bands} bands, {picture.lines}")
    for wrong in (["1"], ["ten"], ["10", "a.svg", "b"]):
        refuses(run(ou, *wrong, cwd=scratch), "usage", f"ou {wrong}")


def options(scratch):
    """Prices within four standard errors and the bias of the formula; levels are cheaper than plain Monte Carlo, Milstein's most."""
    text = report(gbm_option, 4e-4, cwd=scratch)
    exact = float(re.search(rf"Scholes: {NUMBER}", text)[1])
    check(abs(exact - 0.104506) < 1e-6, f"gbm_option: {exact}")
    values = re.findall(rf"^value {NUMBER} \+- {NUMBER}, bias {NUMBER}$", text, re.M)
    costs = [float(ratio) for ratio in re.findall(rf": {NUMBER} times as much", text)]
    check(len(values) == 2 and len(costs) == 2, f"gbm_option: {text}")
    for value, error, bias in values:
        check(abs(float(value) - exact) < 4*float(error) + 2*float(bias) and float(error) < 3e-4, f"gbm_option: {value} +- {error}")
    check(costs[0] > 1.2 and costs[1] > 2, f"gbm_option: plain Monte Carlo costs {costs} times as much")
    for wrong in (["0"], ["x"], ["1e-3", "2"]):
        refuses(run(gbm_option, *wrong, cwd=scratch), "usage", f"gbm_option {wrong}")


with tempfile.TemporaryDirectory() as folder:
    exponents(folder)
    stars(folder)
    bodies(folder)
    trajectories(folder)
    regularisers(folder)
    adjoints(folder)
    forecasts(folder)
    equations(folder)
    heat(folder)
    moments(folder)
    options(folder)
finish()
