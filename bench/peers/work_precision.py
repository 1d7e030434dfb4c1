# SPDX-License-Identifier: MIT
"""Work-precision pictures: builds the programs whose libraries are installed, runs them in turns, writes FOLDER/PROBLEM.svg and
FOLDER/README.md: libnde's time over each peer's on each decade of the error, interpolated on each program's lower envelope; and that
of libnde with the field compiled in by nde/inline.h over Boost's, whose templates do the same.
work_precision.py BUILD FOLDER [ROUNDS] [PROBLEM ...]      BUILD: Meson's folder, a release build; ROUNDS: 7 or more"""
import csv
import math
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).parent
FLAGS = ["-O3", "-march=native", "-w"]
PROBLEMS = ["lorenz", "pleiades", "arenstorf", "lotka_volterra", "three_body"]
PEERS = { # source, compiler, libraries
    "libnde": ("nde.c", "gcc", ["-lnde", "-lm"]),
    "libnde inline": ("nde_inline.c", "gcc", ["-fno-math-errno", "-lnde", "-lm"]),
    "Boost": ("boost.cpp", "g++", ["-std=c++17"]),
    "GSL": ("gsl.c", "gcc", ["-lgsl", "-lgslcblas", "-lm"]),
    "SUNDIALS": ("sundials.c", "gcc", ["-lsundials_arkode", "-lsundials_cvode", "-lsundials_nvecserial", "-lm"]),
}
COLOURS = {"libnde": "#c0392b", "libnde inline": "#e59866", "Boost": "#2471a3", "GSL": "#1e8449", "SUNDIALS": "#7d3c98", "SciPy": "#b9770e"}


def build(build_folder, scratch):
    commands = {}
    for name, (source, compiler, libraries) in PEERS.items():
        program = Path(scratch, name)
        where = [f"-I{HERE.parents[1]}/include", f"-I{build_folder}/include", f"-L{build_folder}/src",
                 f"-Wl,-rpath,{Path(build_folder, 'src').resolve()}"] if "-lnde" in libraries else []
        done = subprocess.run([compiler, *FLAGS, *where, HERE / source, "-o", program, *libraries], capture_output=True, text=True)
        if done.returncode == 0:
            commands[name] = [str(program)]
        else:
            print(f"{name} is not installed", file=sys.stderr)
    if subprocess.run([sys.executable, "-c", "import scipy"], capture_output=True).returncode == 0:
        commands["SciPy"] = [sys.executable, str(HERE / "scipy_peer.py")]
    return commands


def envelope(points):
    """The (error, seconds) that no other point beats in both, by falling error."""
    best, kept = math.inf, []
    for error, seconds in sorted(points):
        if seconds < best:
            kept.append((error, seconds))
            best = seconds
    return kept[::-1] # largest error first


def time_at(points, error):
    """Interpolated in logarithms; beyond the coarsest point its time; None beyond the finest."""
    if error > points[0][0]:
        return points[0][1]
    for (e0, s0), (e1, s1) in zip(points, points[1:]):
        if e1 <= error <= e0:
            part = math.log(error/e0)/math.log(e1/e0)
            return s0*(s1/s0)**part
    return None


def draw(path, problem, results):
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    matplotlib.rcParams.update({"svg.hashsalt": "nde", "svg.fonttype": "none"})
    figure, axes = plt.subplots(figsize=(7.5, 5.2))
    markers = "osD^vP*X"
    for program, methods in results.items():
        for k, (method, points) in enumerate(methods.items()):
            points = sorted(points)
            axes.loglog([p[0] for p in points], [p[1] for p in points], color=COLOURS[program], lw=0.8, ms=3,
                        marker=markers[k % len(markers)], alpha=0.8, label=f"{program} {method}")
    axes.set_xlabel("relative error at the end")
    axes.set_ylabel("seconds")
    axes.set_title(problem)
    axes.grid(True, which="major", lw=0.3)
    axes.legend(fontsize=6, ncol=2, loc="upper left", bbox_to_anchor=(1.01, 1)) # beside the curves
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def main():
    build_folder, folder = sys.argv[1], Path(sys.argv[2])
    rounds = int(sys.argv[3]) if len(sys.argv) > 3 else 7
    wanted = sys.argv[4:] or PROBLEMS
    seconds, facts = {}, {}
    with tempfile.TemporaryDirectory() as scratch:
        commands = build(build_folder, scratch)
        for problem in wanted:
            for turn in range(rounds):
                for program, command in list(commands.items())[::1 if turn % 2 else -1]:
                    if program == "SciPy" and turn: # its times are in other regions: once
                        continue
                    out = subprocess.run([*command, problem], capture_output=True, text=True, check=True).stdout
                    for _, method, _, tolerance, evaluations, error, time in csv.reader(out.splitlines()):
                        key = (problem, program, method, tolerance)
                        seconds.setdefault(key, []).append(float(time))
                        facts[key] = (float(error), int(evaluations))
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for problem in wanted:
        results = {}
        for (p, program, method, _), times in seconds.items():
            if p == problem:
                key = (p, program, method, _)
                results.setdefault(program, {}).setdefault(method, []).append((facts[key][0], statistics.median(times)))
        draw(folder / f"{problem}.svg", problem, results)
        lower = {program: envelope([p for points in methods.values() for p in points]) for program, methods in results.items()}
        peers = [program for program in lower if not program.startswith("libnde")]
        pairs = [("libnde", p) for p in peers] + [("libnde inline", p) for p in peers if p == "Boost"] # who to whom
        lines += [f"\n## {problem}\n", f"![{problem}]({problem}.svg)\n",
                  "| error | libnde [us] | inline [us] | " + " | ".join(a + "/" + p for a, p in pairs) + " |",
                  "|---"*(3 + len(pairs)) + "|"]
        for digits in range(3, 13):
            at = {program: time_at(points, 10.0**-digits) for program, points in lower.items()}
            if at["libnde"] is None:
                continue
            cells = ["" if at[a] is None or at[p] is None else f"{at[a]/at[p]:.2f}" for a, p in pairs]
            mine = ["" if at[a] is None else f"{1e6*at[a]:.1f}" for a in ("libnde", "libnde inline")]
            lines.append(f"| 1e-{digits} | " + " | ".join(mine + cells) + " |")
    print("\n".join(lines))
    head = folder / "README.md"
    text = head.read_text().split("\n## ")[0] if head.exists() else "# Work and precision\n"
    head.write_text(text.rstrip() + "\n" + "\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
