# SPDX-License-Identifier: MIT
"""libnde beside its peers on the same tasks, in one run: compare.py BUILD FOLDER [options]

BUILD is Meson's folder of a release build. Every way to solve a task is a process of its own, which finds its peer, solves
once and says how exact that is; then all of a task take turns, one sample each. FOLDER gets peers.json (all numbers),
peers.md (tables) and peers.svg, anew after each comparison; with --keep what it has of other comparisons stays. What is not
installed, or fails, is a line `not run`."""
import argparse
import itertools
import json
import math
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import kit
import work_precision

HERE = Path(__file__).resolve().parent
TASKS = ["first_call", "lorenz", "ensemble", "gbm", "neural_sde", "train", "cde", "cnf"] # what docs/performance.md says of, first
IN_C = { # of work_precision.py's programs, on its problem lorenz
    "libnde": ["dopri5", "tsit5", "dop853", "vern9"], "libnde inline": ["dopri5", "tsit5", "vern9"], "Boost": ["dopri5", "fehlberg78"],
    "GSL": ["rkf45", "rk8pd"], "SUNDIALS": ["ARKODE Dormand-Prince 5", "ARKODE Fehlberg 8", "CVODE Adams"],
}
LONG = 20.0 # seconds: of what takes longer for one call, one sample is taken
PATIENCE = 300.0 # seconds: what has not answered then is ended


class Runner:
    """One way to solve a task: its process and what it said."""

    def __init__(self, command, peer, settings, environment, threads):
        self.command, self.peer, self.settings, self.environment, self.threads = command, peer, settings, environment, threads
        self.samples, self.said, self.peak = [], {}, None

    def start(self):
        limits = {name: str(self.threads) for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")}
        cores = set(sorted(os.sched_getaffinity(0))[:self.threads])
        outer = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"} # compiled once, as for anybody
        self.process = subprocess.Popen(self.command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
                                        cwd=HERE, env={**outer, **self.environment, **limits, "OMP_WAIT_POLICY": "passive"},
                                        preexec_fn=lambda: os.sched_setaffinity(0, cores))
        try:
            self.said = json.loads(self.answer())
        except ValueError:
            self.said = {"absent": f"it ended without a word, or took more than {PATIENCE:g} s"}
        if not self.runs:
            self.end()

    def answer(self):
        """The next line of the process; empty if it ends, or has to be ended."""
        watch = threading.Timer(PATIENCE, self.process.kill)
        watch.start()
        try:
            return self.process.stdout.readline()
        finally:
            watch.cancel()

    @property
    def runs(self):
        return "absent" not in self.said

    def sample(self):
        if self.samples and self.said["first"] > LONG:
            return
        try:
            self.process.stdin.write("\n")
            self.process.stdin.flush()
            self.samples.append(float(self.answer()))
        except (OSError, ValueError):
            self.said = {"absent": "it ended while it was timed"}

    def end(self):
        """The most memory that it had at a time, in MB; then it is gone."""
        try:
            status = Path(f"/proc/{self.process.pid}/status").read_text()
            self.peak = int(next(line for line in status.splitlines() if line.startswith("VmHWM")).split()[1])/1024
        except (OSError, StopIteration):
            pass
        self.process.stdin.close()
        self.process.wait()

    def row(self, task):
        group = {name: self.settings.get(name) for name in kit.GROUP}
        rest = {name: value for name, value in self.settings.items() if name not in group}
        found = {"task": task, **group, "peer": self.peer, "settings": rest, **self.said}
        if self.samples:
            found.update(median=statistics.median(self.samples), least=min(self.samples), most=max(self.samples), samples=len(self.samples),
                         peak_mb=self.peak)
        return found


def runners(task, threads, given, programs):
    """{group of settings: [Runner]}: who is compared with whom, on so many threads."""
    groups = {}
    environment = {"PYTHONPATH": f"{HERE}:{Path(given.build).resolve()/'src/python'}"}
    everyone = [([sys.executable, str(HERE/"kit.py"), task, str(number)], one.peer, one.settings)
                for number, one in enumerate(kit.runs_of(task))]
    if task == "lorenz":
        everyone += [([*programs[name], "serve", "lorenz", method, case] if name in programs else ["false"], name,
                      {"case": case, "dtype": "float64", "threads": 1, "method": method, "field": "C++" if name == "Boost" else "C"})
                     for name, methods in IN_C.items() for method in methods for case in ("1e-06", "1e-09")]
    for command, peer, settings in everyone:
        key = tuple(settings[name] for name in kit.GROUP)
        wanted = settings["threads"] == threads and settings["dtype"] in given.dtypes
        if wanted and (not given.peers or any(name in peer for name in given.peers)) and (not given.cases or key[0] in given.cases):
            groups.setdefault(key, []).append(Runner(command, peer, settings, environment, settings["threads"]))
    return groups


def compare(group, repeats, seconds):
    """All of a group begin, take turns, forwards and backwards, until all have `repeats` samples or the time is over, and end."""
    for one in group:
        one.start()
    start = time.monotonic()
    for turn in range(repeats):
        if turn and time.monotonic() - start > seconds:
            break
        for one in group[::-1 if turn % 2 else 1]:
            if one.runs:
                one.sample()
    for one in group:
        if one.runs:
            one.end()


# ---- what is written ----------------------------------------------------------------------------------------------------


def machine():
    cpu = next((line.split(":")[1].strip() for line in open("/proc/cpuinfo") if line.startswith("model name")), platform.machine())
    return {"cpu": cpu, "cpus": os.cpu_count(), "load": os.getloadavg()[0], "python": platform.python_version(),
            "date": subprocess.run(["date", "-I"], capture_output=True, text=True).stdout.strip()}


def seconds(x):
    for unit, scale in (("s", 1), ("ms", 1e3), ("us", 1e6)):
        if x*scale >= 1 or unit == "us":
            return f"{x*scale:.3g} {unit}"


def title(key):
    case, dtype, threads = key
    return ", ".join([*[case]*bool(case), dtype, "one thread" if threads == 1 else f"{threads} threads"])


def table(rows):
    """Fastest first; times over that of the fastest libnde."""
    good = sorted((row for row in rows if "median" in row), key=lambda row: row["median"])
    ours = next((row["median"] for row in good if row["peer"].startswith("libnde")), None)
    lines = ["| who | how | median | spread | over libnde | error | compile | peak MB |", "|---|---|---|---|---|---|---|---|"]
    for row in good:
        how = ", ".join(f"{name} {value}" for name, value in row["settings"].items())
        error = "" if row["error"] is None else f"{row['error']:.1e}"
        lines.append(f"| {row['peer']} {row['version']} | {how} | {seconds(row['median'])} | {seconds(row['least'])} ... {seconds(row['most'])} "
                     f"| {'' if ours is None else format(row['median']/ours, '.3g')} | {error} "
                     f"| {'' if row['compile'] is None else seconds(row['compile'])} | {row['peak_mb'] or 0:.0f} |")
    for row in rows:
        if "median" not in row:
            how = ", ".join(f"{name} {value}" for name, value in row["settings"].items())
            lines.append(f"| {row['peer']} | {how} | not run: {row.get('absent')} |" + " |"*5)
    return lines


def picture(path, groups):
    """For each comparison the fastest way of each peer, over libnde's."""
    import matplotlib
    matplotlib.use("svg")
    import matplotlib.pyplot as plt
    matplotlib.rcParams.update({"svg.hashsalt": "nde", "svg.fonttype": "none"})
    bars = []
    for (task, *key), rows in groups.items():
        best = {}
        for row in rows:
            if "median" in row:
                name = "libnde" if row["peer"].startswith("libnde") else row["peer"]
                best[name] = min(best.get(name, row["median"]), row["median"])
        bars += [(f"{task} {title(key)}", name, value/best["libnde"]) for name, value in best.items() if "libnde" in best and name != "libnde"]
    figure, axes = plt.subplots(figsize=(9, 1 + 0.16*len(bars)))
    names = list(dict.fromkeys(name for _, name, _ in bars))
    axes.barh(range(len(bars)), [value for _, _, value in bars], color=[f"C{names.index(name) % 10}" for _, name, _ in bars], left=0)
    axes.set_yticks(range(len(bars)), [f"{label}: {name}" for label, name, _ in bars], fontsize=6)
    axes.set_xscale("log")
    axes.axvline(1, color="black", lw=0.8)
    axes.invert_yaxis()
    axes.set_xlabel("time over that of libnde")
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})


def rows_of(groups):
    return [row for rows in groups.values() for row in rows]


def groups_of(folder):
    """Those that are in the folder."""
    groups = {}
    for row in json.loads((folder/"peers.json").read_text())["rows"]:
        groups.setdefault((row["task"], *(row[name] for name in kit.GROUP)), []).append(row)
    return groups


def write(folder, facts, groups):
    folder.mkdir(parents=True, exist_ok=True)
    (folder/"peers.json").write_text(json.dumps({"machine": facts, "rows": rows_of(groups)}, indent=1) + "\n")
    lines = ["# libnde and its peers", "", "By `bench/peers/compare.py`, " + ", ".join(f"{name} {value}" for name, value in facts.items()) + ".", "",
             "![times over that of libnde](peers.svg)"]
    for (task, *key), rows in groups.items():
        lines += ["", f"## {task}: {title(key)}", "", *table(rows)]
    (folder/"peers.md").write_text("\n".join(lines) + "\n")
    try:
        picture(folder/"peers.svg", groups)
    except ImportError as error:
        print(f"no picture: {error}", file=sys.stderr)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("build")
    parser.add_argument("folder", type=Path)
    parser.add_argument("--repeats", type=int, default=11, help="samples of each")
    parser.add_argument("--seconds", type=float, default=60, help="of one comparison: no turn begins after these")
    parser.add_argument("--minutes", type=float, default=math.inf, help="of all: no comparison begins after these")
    parser.add_argument("--keep", action="store_true")
    parser.add_argument("--threads", type=lambda text: [int(x) for x in text.split(",")], default=[1, 2])
    for name, choices in {"tasks": TASKS, "cases": [], "peers": [], "dtypes": kit.BOTH}.items():
        parser.add_argument("--" + name, type=lambda text: text.split(","), default=choices, help="only these, with commas")
    given = parser.parse_args()
    groups, facts, start = groups_of(given.folder) if given.keep else {}, machine(), time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        programs = work_precision.build(given.build, scratch) if "lorenz" in given.tasks else {}
        for threads, task in itertools.product(given.threads, given.tasks): # one thread first, everywhere
            for key, group in runners(task, threads, given, programs).items():
                if time.monotonic() - start > 60*given.minutes:
                    print(f"not begun: {task}: {title(key)}", file=sys.stderr)
                    continue
                compare(group, given.repeats, given.seconds)
                groups[task, *key] = rows = [one.row(task) for one in group]
                print(f"\n{task}: {title(key)}", *table(rows), sep="\n", flush=True)
                write(given.folder, facts, groups) # what is done stays, if the rest is broken off
    return 0


if __name__ == "__main__":
    sys.exit(main())
