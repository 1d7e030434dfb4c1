# SPDX-License-Identifier: MIT
"""The section of docs/performance.md on peers, from what compare.py found: what libnde is to be at least, beside what it is. As a program:
bounds.py docs/peers/peers.json [docs/performance.md]      prints it, or writes it between the marks of that file"""
import json
import re
import sys
from pathlib import Path

from work_precision import envelope, time_at

NATIVE = "C function", "program"
MARKS = re.compile(r"(?<=<!-- peers -->\n).*?(?=<!-- end of peers -->)", re.S)


def fastest(rows, peer, **settings):
    """The fastest row of a peer whose settings are these, or None. A setting may be a function that says which are wanted."""
    def fits(row):
        have = {**row["settings"], **{name: row[name] for name in ("task", "case", "dtype", "threads")}}
        return "median" in row and row["peer"] == peer and all(want(have.get(name)) if callable(want) else have.get(name) == want
                                                               for name, want in settings.items())
    return min(filter(fits, rows), key=lambda row: row["median"], default=None)


def times(rows, peer, ours=None, how=None, **settings):
    """How many times the time of libnde's fastest a peer's fastest takes."""
    here, there = fastest(rows, "libnde", **settings, **(ours or {})), fastest(rows, peer, **settings, **(how or {}))
    return None if here is None or there is None else there["median"]/here["median"]


def at_equal_error(rows, peers, fields):
    """The least ratio of rows of these peers to libnde with its field in one of these, interpolated between its own tolerances."""
    lorenz = [row for row in rows if row["task"] == "lorenz" and "median" in row]
    ours = [row for row in lorenz if row["peer"].startswith("libnde") and row["settings"].get("field") in fields]
    found = []
    for row in lorenz:
        if ours and (row["peer"], row["settings"].get("method")) in peers:
            seconds = time_at(envelope((mine["error"], mine["median"]) for mine in ours), row["error"])
            found += [row["median"]/seconds]*bool(seconds)
    return min(found, default=None)


def least(values):
    """Of ratios that are known; None where none is."""
    return min((value for value in values if value is not None), default=None)


def claims(rows):
    """[(what, is to be at least, is)]"""
    both, one = ("float64", "float32"), {"threads": 1}
    for case, words, bound in (("spiral", "spiral", 40), ("small", "4-32-32-4", 150)):
        for dtype in both:
            yield f"training step {words}, {dtype}: over torchdiffeq", bound, times(rows, "torchdiffeq", task="train", case=case, dtype=dtype, **one)
            yield "the same: over diffrax, compiled", 3, times(rows, "diffrax", task="train", case=case, dtype=dtype, **one)
    for dtype in both:
        best = least(times(rows, peer, task="train", case="mid", dtype=dtype, **one) for peer in ("torchdiffeq", "torchode", "diffrax"))
        yield f"training step 64-256-256-64, {dtype}: over the best peer", 1.3, best
    for dtype in both:
        how = {"task": "gbm", "dtype": dtype, **one}
        yield f"geometric Brownian motion, Euler, {dtype}: over torchsde", 8, times(rows, "torchsde", {"method": "euler_maruyama"},
                                                                                    {"method": "euler"}, **how)
        yield "the same: over a loop in PyTorch", 2.5, times(rows, "PyTorch loop", {"method": "euler_maruyama"}, **how)
    for dtype in both:
        how = {"task": "neural_sde", "dtype": dtype, **one}
        yield f"neural SDE, {dtype}: over torchsde's adjoint", 4, times(rows, "torchsde", None, {"mode": lambda mode: "adjoint" in mode}, **how)
        yield "the same: over torchsde's fastest", 2.3, times(rows, "torchsde", **how)
    yield "ensemble: over torchode", 20, times(rows, "torchode", task="ensemble", **one)
    yield "one Lorenz trajectory, field native: over solve_ivp at equal error", 50, at_equal_error(
        rows, [("SciPy solve_ivp", method) for method in ("RK45", "DOP853", "LSODA")], NATIVE)
    yield "the same: over odeint's LSODA", 20, at_equal_error(rows, [("SciPy odeint", "LSODA")], NATIVE)
    yield "the same, field a Python function: over solve_ivp", 1, at_equal_error(
        rows, [("SciPy solve_ivp", method) for method in ("RK45", "DOP853", "LSODA")], ("Python function",))


def limits(rows):
    """[(what, is to be at most, is)], in ms"""
    for words, case, bound in (("`import nde`", "import", 60), ("first solve after it", "first solve", 1),
                               ("C program with one solve, start to end", "exec to end, in C", 3)):
        found = fastest(rows, "libnde", task="first_call", case=case)
        yield words, bound, found and 1e3*found["median"]


def table(facts, rows):
    """Markdown."""
    lines = ["By `bench/peers/compare.py`, medians on one thread, " + ", ".join(f"{name} {value}" for name, value in facts.items())
             + "; all rows in [docs/peers](peers/peers.md).", "", "| what | at least | is |", "|---|---|---|"]
    for what, bound, value in claims(rows):
        lines.append(f"| {what} | x {bound} | {'not run' if value is None else f'x {value:.3g}' + ' **less**'*(value < bound)} |")
    lines += ["", "| what | at most, ms | is |", "|---|---|---|"]
    for what, bound, value in limits(rows):
        lines.append(f"| {what} | {bound} | {'not run' if value is None else f'{value:.3g}' + ' **more**'*(value > bound)} |")
    numpy = fastest(rows, "NumPy alone", task="first_call", case="import")
    if numpy:
        lines += ["", f"`import numpy` alone takes {1e3*numpy['median']:.3g} ms there."]
    absent = sorted({f"{row['peer']} ({row['task']}): " + re.sub(r"\d{9,}", "...", row["absent"]) for row in rows if "absent" in row})
    return "\n".join(lines + [""]*bool(absent) + [f"- Not run: {line}" for line in absent])


def main(source, file=None):
    found = json.loads(Path(source).read_text())
    section = table(found["machine"], found["rows"])
    if file is None:
        print(section)
        return 0
    text, count = MARKS.subn(lambda _: f"\n{section}\n\n", Path(file).read_text())
    if count != 1:
        print(f"{file} has {count} places between <!-- peers --> and <!-- end of peers -->", file=sys.stderr)
        return 1
    Path(file).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
